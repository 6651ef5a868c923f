"""Schemas that others made: built by the migrations of published packages, judged like any database."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path

from tests.clusters import Server
from tests.oracle.rows import add_rows

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".venv-oracle" / "bin" / "python"
# The tables that each must at least make, so that an empty schema cannot pass.
PROJECTS = {
    "contrib": 14,
    "procrastinate": 3,
    "pgqueuer": 3,
    "dbos": 5,
    "chancy": 5,
    "airflow": 40,
    "oscar": 60,
    "wagtail": 100,
}
TABLES = """
SELECT count(*) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


class NotBuilt(Exception):
    """A project's migrations failed, or made less than they must."""


def build(server: Server, project: str) -> str:
    """Migrate an empty database as the project does; return its name."""
    name = f"project_{project}"
    server.create_database(name)
    migrate(server, project, name)
    filled, tables = asyncio.run(add_rows(server.url(name)))
    print(f"{filled} of {tables} tables have rows", flush=True)
    if filled < tables / 2:
        raise NotBuilt(f"{project}: only {filled} of {tables} tables could be given rows")
    return name


def migrate(server: Server, project: str, name: str) -> None:
    """Run the migrations of a project in a database that is empty."""
    ended = subprocess.run(
        [PYTHON, "-m", f"tests.oracle.foreign.{project}", server.url(name)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith(("PG", "DJANGO", "AIRFLOW"))},
    )
    if ended.returncode:
        raise NotBuilt(f"{project}: {ended.stderr[-2000:]}")
    made = int(server.psql(name, TABLES))
    if made < PROJECTS[project]:
        raise NotBuilt(f"{project} made {made} tables, not {PROJECTS[project]}")
