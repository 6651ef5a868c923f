"""`python -m tests.migrate`: every form on every shape, on each version; 1 if the plan says less.

`--document` makes the tables of docs/migrate.md anew instead.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import asyncpg

from tests import clusters
from tests.clusters import Server
from tests.migrate.documented import DOCUMENT, document
from tests.migrate.forms import forms
from tests.migrate.judge import Verdicts, judge
from tests.migrate.schema import SHAPES


def main() -> int:
    """Judge, or make the document, as the options say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", default="", help="such as 15,18; the newest and the oldest")
    parser.add_argument("--document", action="store_true", help="make docs/migrate.md anew")
    parser.add_argument("--over", action="store_true", help="list what is over-predicted")
    parser.add_argument("--only", default="", help="forms that have this text")
    options = parser.parse_args()
    if options.document:
        DOCUMENT.write_text(document(DOCUMENT.read_text("utf-8")), "utf-8")
        return 0
    under = 0
    for version in clusters.choose_versions(options.versions, clusters.find_versions()):
        began = time.monotonic()
        found = run_version(version, [form for form in forms() if options.only in form])
        under += len(found.under) + len(found.missed)
        print(f"PostgreSQL {version}, {time.monotonic() - began:.0f} s\n{found.report()}")
        if options.over:
            for aspect, sqls in found.over_forms.items():
                print(f"{aspect}:", *sorted(sqls), sep="\n    ")
            print("never:", *found.never, sep="\n    ")
    return 1 if under else 0


def run_version(version: int, statements: list[str]) -> Verdicts:
    """Judge on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="zanith-migrate-") as made:
        directory = Path(made)
        directory.chmod(0o755)
        server = Server(version, clusters.find_versions()[version], directory / str(version))
        server.create()
        try:
            server.psql("postgres", "CREATE TABLESPACE judged LOCATION ''")
            return asyncio.run(judge_on(server, statements))
        finally:
            server.remove()


async def judge_on(server: Server, statements: list[str], prefix: str = "judged") -> Verdicts:
    """Judge in a database for each shape."""

    async def connect(shape: str) -> asyncpg.Connection:
        server.create_database(f"{prefix}_{shape}")
        return await asyncpg.connect(server.url(f"{prefix}_{shape}"))

    return await judge(connect, SHAPES, statements, server.version)


if __name__ == "__main__":
    sys.exit(main())
