"""The harness itself: what it finds, what its fixtures promise."""

from __future__ import annotations

from pathlib import Path

import asyncpg
import pytest

from tests.clusters import Server, choose_versions
from tests.conftest import Database

FOUND = {15: Path(), 16: Path(), 17: Path(), 18: Path()}


@pytest.mark.parametrize(
    ("wanted", "chosen"),
    [("", [18, 15]), ("all", [18, 17, 16, 15]), ("15,18", [18, 15]), ("16", [16])],
)
def test_versions_are_chosen_newest_first(wanted, chosen):
    assert choose_versions(wanted, FOUND) == chosen


def test_a_version_that_is_not_here_is_named():
    with pytest.raises(ValueError, match="14"):
        choose_versions("14,18", FOUND)


async def test_client_programs_are_of_the_servers_version(bare_database: Database):
    version = bare_database.server.version
    assert bare_database.psql("SHOW server_version").startswith(str(version))
    assert f"by pg_dump version {version}" in bare_database.pg_dump()
    async with bare_database.connect() as connection:
        assert connection.get_server_version().major == version


def test_a_dump_of_the_same_database_is_the_same(bare_database: Database):
    bare_database.psql("CREATE TABLE t (id int PRIMARY KEY)")
    assert bare_database.schema() == bare_database.schema()


async def test_tcp_works_too(bare_database: Database):
    connection = await asyncpg.connect(bare_database.tcp_url)
    assert await connection.fetchval("SELECT current_database()") == bare_database.name
    await connection.close()


async def test_a_role_connects_as_itself(bare_database: Database, create_role):
    reader = create_role("reader")
    bare_database.psql(f"CREATE TABLE t (); GRANT SELECT ON t TO {reader}")
    async with bare_database.connect(reader) as connection:
        assert await connection.fetchval("SELECT current_user") == reader


@pytest.mark.newest
def test_newest_runs_once(bare_database: Database, primary_server: Server):
    assert bare_database.server.version == primary_server.version


def test_a_disposable_server_survives_a_crash(disposable_server: Server):
    disposable_server.psql("postgres", "CREATE TABLE t AS SELECT 1 AS n; CHECKPOINT")
    disposable_server.stop("immediate")
    disposable_server.start()
    assert disposable_server.psql("postgres", "SELECT n FROM t") == "1"
