"""Schemas not made for us: what Django's own migrations build, captured and brought back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT, Database
from tests.oracle.judges import literal, open_session, restore_by_psql, see, show_difference

TABLES = """
SELECT c.relname FROM pg_class c
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace ORDER BY 1
"""
COLUMNS = """
SELECT c.relname || ' ' || a.attname
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
ORDER BY 1
"""
# Those that something is left to store the values by.
ARCHIVABLE = COLUMNS.replace(
    "ORDER BY 1",
    """AND EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND NOT a.attnum = ANY (i.indkey::smallint[]))
ORDER BY 1""",
)


def migrate(database: Database) -> None:
    """Have Django build its tables, and put a few rows into them."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PG", "DJANGO"))
    }
    words = [sys.executable, "-m", "tests.oracle.foreign.contrib", database.url]
    ended = subprocess.run(
        words, capture_output=True, text=True, check=False, env=environment, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stderr


@pytest.fixture
def site(database: Database) -> Database:
    """A database that Django has just migrated."""
    migrate(database)
    return database


def everything(database: Database) -> list[str]:
    return see(database, moved=True)["public"]


def check_each(site: Database, strategy: str, objects: list[list[str]], directory: Path) -> None:
    """Capture and restore one after another, then all before any comes back, newest first."""
    before = everything(site)
    with open_session(site) as run:

        def capture(names: list[str]) -> str:
            arguments = ", ".join([literal(f"public.{names[0]}"), *map(literal, names[1:])])
            return str(run(f"SELECT zanith.{strategy}({arguments}, on_dependents => 'cascade')"))

        for names in objects[::10]:
            restore_by_psql(site, capture(names), directory)
            assert not show_difference(before, everything(site)), names
        artifacts = [capture(names) for names in objects]
    for artifact in reversed(artifacts):
        restore_by_psql(site, artifact, directory)
    assert not show_difference(before, everything(site))


def test_every_table_and_column_of_django_comes_back(site: Database, tmp_path: Path) -> None:
    """All that DROP itself would take; a copy needs a key that is left."""
    tables = [[name] for name in site.psql(TABLES).splitlines()]
    columns = [line.split() for line in site.psql(ARCHIVABLE).splitlines()]
    assert (len(tables) > 10, len(columns) > 40) == (True, True)
    check_each(site, "archive_table", tables, tmp_path)
    check_each(site, "archive_column", columns, tmp_path)


@pytest.mark.newest
def test_a_rename_does_the_same(site: Database, tmp_path: Path) -> None:
    """The tables and columns of Django again, parked by name only; those of primary keys too."""
    check_each(site, "soft_drop_table", [[n] for n in site.psql(TABLES).splitlines()], tmp_path)
    columns = [line.split() for line in site.psql(COLUMNS).splitlines()]
    check_each(site, "soft_drop_column", columns, tmp_path)


@pytest.mark.newest
def test_django_goes_on_without_them(site: Database) -> None:
    """Its tables gone and its migrations forgotten, `migrate` builds them anew: no name is held."""
    with open_session(site) as run:
        for name in site.psql(TABLES).splitlines():
            run(f"SELECT zanith.soft_drop_table('public.{name}', on_dependents => 'cascade')")
    migrate(site)
    assert site.psql("SELECT count(*) FROM auth_user") == "5"
