"""`python -m tests.migrate.projects`: the migrations of published packages, planned and verified.

Each package migrates an empty database. PostgreSQL logs its statements, and each transaction
becomes a migration. They are planned, and run on a shadow of each version, where what PostgreSQL
did is compared with the plan. Exit 1 if a plan fails or says too little. `--document` writes the
table of docs/verify.md.
"""

from __future__ import annotations

import argparse
import asyncio
import csv
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from app.migrate.read.layouts import read_migrations
from app.migrate.read.migrations import Layout
from app.migrate.read.statements import read_statements
from app.migrate.review.classify import needs_no_transaction
from app.migrate.review.plan import MigrationPlan, plan_migrations
from app.migrate.shadow.model import Pattern, read_live
from app.migrate.shadow.verify import Request, Verification, verify
from app.recovery.core.errors import WrongUsage
from tests import clusters
from tests.clusters import Server
from tests.oracle.projects import PROJECTS, migrate

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "verify.md"
_BEGIN, _END = "<!-- projects -->\n", "<!-- end of projects -->"
LOGGED = """
logging_collector = on
log_destination = 'csvlog'
log_filename = 'statements.log'
log_statement = 'all'
log_rotation_size = 0
"""
_STATEMENT = re.compile(r"(?:statement|execute [^:]*): (.*)", re.DOTALL)
_PARAMETER = re.compile(r"\$(\d+) = (NULL|'(?:[^']|'')*')")
_USED = re.compile(r"\$(\d+)\b")
# the clients' own questions, and what belongs to no migration
_LEFT_OUT = frozenset({"select_stmt", "variable_show_stmt", "listen_stmt", "deallocate_stmt"})
_SELECT = re.compile(r"\s*(SELECT|SHOW|SET|SAVEPOINT|RELEASE)\b", re.IGNORECASE)


@dataclass
class Result:
    """What came of the migrations of a package."""

    project: str
    release: str
    migrations: int = 0
    statements: int = 0
    planned: str = ""
    """The error of the plan, if there is one."""
    levels: dict[str, int] = field(default_factory=dict)
    verified: dict[int, Verification] = field(default_factory=dict)

    @property
    def under(self) -> int:
        return sum(len(one.under) for one in self.ran)

    @property
    def ran(self) -> list:
        return [
            s for found in self.verified.values() for m in found.migrations for s in m.statements
        ]

    @property
    def good(self) -> bool:
        return not self.planned and all(one.verdict == "ok" for one in self.verified.values())


# ------------------------------------------------------------------------------------ recording


def record(server: Server, project: str, directory: Path) -> None:
    """Let a package migrate an empty database, and write its statements as migrations."""
    name = f"record_{project}"
    server.create_database(name)
    migrate(server, project, name)
    files = list(_transactions(server, name))
    for number, (alone, statements) in enumerate(files, 1):
        head = "-- zanith: no-transaction\n\n" if alone else ""
        text = head + ";\n".join(statements) + ";\n"
        (directory / f"{number:05}_{project}.sql").write_text(text, encoding="utf-8")


def _transactions(server: Server, database: str) -> Iterator[tuple[bool, list[str]]]:
    """Yield the statements of each transaction that was committed, and whether they need none."""
    sessions: dict[str, list[str]] = {}
    for session, logged in _logged(server, database):
        text = logged.strip().rstrip(";")
        try:
            statements = read_statements(text.encode())
        except WrongUsage:  # the server refused it too
            continue
        if len(statements) == 1 and statements[0].kind == "transaction_stmt":
            yield from _end(sessions, session, text)
        elif session in sessions:
            sessions[session].append(text)
        elif not all(one.kind in _LEFT_OUT for one in statements):
            yield any(needs_no_transaction(one) for one in statements), [text]


def _end(
    sessions: dict[str, list[str]], session: str, text: str
) -> Iterator[tuple[bool, list[str]]]:
    """Begin or end a transaction of a session; those that did nothing are left out."""
    word = text.split(maxsplit=1)[0].upper()
    if word in {"BEGIN", "START"}:
        sessions[session] = []
    elif word in {"COMMIT", "END"}:
        if any(not _SELECT.match(one) for one in sessions.get(session, [])):
            yield False, sessions[session]
        sessions.pop(session, None)
    elif word in {"ROLLBACK", "ABORT"} and " TO " not in text.upper():
        sessions.pop(session, None)
    elif session in sessions:
        sessions[session].append(text)


def _logged(server: Server, database: str) -> Iterator[tuple[str, str]]:
    csv.field_size_limit(sys.maxsize)
    with (server.data / "log" / "statements.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.reader(file):
            match = _STATEMENT.fullmatch(row[13])
            if row[2] == database and row[11] == "LOG" and match is not None:
                yield row[5], _with_parameters(match[1], row[14])


def _with_parameters(text: str, detail: str) -> str:
    values = {int(number): value for number, value in _PARAMETER.findall(detail)}
    return _USED.sub(lambda found: values.get(int(found[1]), found[0]), text) if values else text


# ----------------------------------------------------------------------------------------- judging


def judge(result: Result, directory: Path, servers: dict[int, Server]) -> None:
    """Plan the migrations, and verify them on a shadow of each version."""
    layout, migrations = read_migrations(directory, Layout.ZANITH)
    result.migrations = len(migrations)
    plan = plan_migrations(layout, migrations)
    for one in plan.operations:
        result.levels[one.level.word] = result.levels.get(one.level.word, 0) + 1
    result.statements = sum(len(one.statements) for one in plan.migrations)
    for version, server in servers.items():
        result.verified[version] = asyncio.run(_verify(server, layout, migrations, plan))


async def _verify(
    server: Server, layout: Layout, migrations: list, plan: MigrationPlan
) -> Verification:
    live = await read_live(server.url())
    asked = Request(layout, [], migrations, plan, Pattern.SAME_SERVER, live=live)
    return await verify(asked, lambda _text: None)


# ----------------------------------------------------------------------------------------- the run


def main() -> int:
    """Run the packages, and show or write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", default="", help="such as 15,18; the newest and the oldest")
    parser.add_argument("--only", default="", help="packages, separated by commas")
    parser.add_argument("--document", action="store_true", help="write the table of docs/verify.md")
    options = parser.parse_args()
    versions = clusters.choose_versions(options.versions, clusters.find_versions())
    chosen = options.only.split(",") if options.only else list(PROJECTS)
    results = run(chosen, versions)
    for one in results:
        print(_line(one))
        for version, found in one.verified.items():
            for finding in found.findings:
                print(f"    {version}: {finding.kind.value}: {finding.place}: {finding.message}")
    if options.document:
        before, _, rest = DOCUMENT.read_text("utf-8").partition(_BEGIN)
        table = "\n".join([*_HEAD, *map(_line, results), ""])
        DOCUMENT.write_text(before + _BEGIN + table + _END + rest.partition(_END)[2], "utf-8")
    return 0 if all(one.good for one in results) else 1


def run(projects: list[str], versions: list[int]) -> list[Result]:
    """Record each package on the oldest version, and judge it on all."""
    results = []
    with tempfile.TemporaryDirectory(prefix="zanith-projects-") as made:
        place = Path(made)
        place.chmod(0o755)
        servers = {}
        try:
            for version in versions:
                server = Server(version, clusters.find_versions()[version], place / str(version))
                server.settings = LOGGED if version == versions[-1] else ""
                server.create()
                servers[version] = server
            for project in projects:
                directory = place / project
                directory.mkdir()
                began = time.monotonic()
                record(servers[versions[-1]], project, directory)
                result = Result(project, _release(project))
                judge(result, directory, servers)
                results.append(result)
                print(f"{project}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        finally:
            for server in servers.values():
                server.remove()
    return results


_PACKAGES = {"contrib": "django", "airflow": "apache-airflow-core", "oscar": "django-oscar"}


def _release(project: str) -> str:
    """Return the name and the version of the package, as the oracle's environment has it."""
    from tests.oracle.projects import PYTHON

    package = _PACKAGES.get(project, project)
    code = f"from importlib.metadata import version; print(version({package!r}))"
    return f"{package} {clusters.run([PYTHON, '-c', code]).strip()}"


_HEAD = (
    "| package | migrations | statements | medium or higher | verdicts | more than planned |",
    "| --- | ---: | ---: | ---: | --- | ---: |",
)


def _line(one: Result) -> str:
    verdicts = ", ".join(
        f"{found.verdict.value} on {version}" for version, found in sorted(one.verified.items())
    )
    levels = sum(count for word, count in one.levels.items() if word not in {"safe", "low"})
    cells = (one.release, one.migrations, one.statements, levels, verdicts, one.under)
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
