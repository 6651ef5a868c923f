"""`python -m tests.guard`: every shape, in several forms each, on each version that is here."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests import clusters
from tests.clusters import Server
from tests.conftest import Database, install_zanith
from tests.guard import cases
from tests.guard.twin import Outcome, run_cases
from tests.oracle.judges import ROLES


def main() -> int:
    """Run the rounds, print counts by form, and end with 1 where a statement was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="forms of each shape")
    parser.add_argument("--start", type=int, default=0, help="the form that the first shape gets")
    parser.add_argument("--versions", default="", help="such as 15,18; the newest and the oldest")
    options = parser.parse_args()
    chosen = clusters.choose_versions(options.versions, clusters.find_versions())
    total: Counter[tuple[str, str, str]] = Counter()
    refusals: Counter[str] = Counter()
    faults = 0
    for version in chosen:
        for number in range(options.start, options.start + options.rounds):
            for kind in ("tables", "columns", "truncates", "definitions"):
                began = time.monotonic()
                outcome = _run(version, kind, number)
                total += outcome.counts
                refusals += outcome.refusals
                faults += len(outcome.faults)
                said = sum(outcome.counts.values())
                seconds = time.monotonic() - began
                print(f"PostgreSQL {version}, {kind}, from form {number}: {said} statements,"
                      f" {len(outcome.faults)} faults, {seconds:.0f} s", flush=True)  # fmt: skip
                for name, text in outcome.faults.items():
                    print(f"=== {name}: {text}", flush=True)
    print(Outcome(total, refusals).report())
    print(f"{sum(total.values())} statements, {faults} faults")
    return 1 if faults else 0


def _run(version: int, kind: str, start: int) -> Outcome:
    """Run one round on a server of its own."""
    with tempfile.TemporaryDirectory(prefix="zanith-guard-") as made:
        directory = Path(made)
        directory.chmod(0o755)
        server = Server(version, clusters.find_versions()[version], directory / str(version))
        server.create()
        try:
            for name in ROLES:
                server.psql("postgres", f"CREATE ROLE {name} LOGIN")
            for name in ("guarded", "twin"):
                server.create_database(name, "template0")
                install_zanith(server.url(name))
            return run_cases(
                cases.every_form(kind, version)
                if kind == "definitions"
                else cases.every_shape(kind, version, start),
                Database(server, "guarded"),
                Database(server, "twin"),
                {name: name for name in ROLES},
                directory,
            )
        finally:
            server.remove()


if __name__ == "__main__":
    sys.exit(main())
