"""Migrations with hard file names and identifiers, and a disk that fills up under them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.migrate.apply.down import DownRequest, migrate_down
from app.migrate.apply.history import read_history, read_steps
from app.migrate.read.layouts import read_migrations
from app.migrate.review.plan import Gates
from app.recovery.core.actor import Actor
from app.recovery.core.errors import WrongUsage, ZanithError
from app.recovery.core.names import quote
from app.recovery.db.database import Database
from app.recovery.db.installer import install
from tests.acceptance.command import zanith
from tests.hard_names import NAMES
from tests.integration.test_limits_of_the_server import CODE, restart
from tests.integration.test_migrate_up import states, up

DBA = Actor("dba", None, "cli")
FILES = [name for name in NAMES if "/" not in NAMES[name]]


@pytest.fixture
async def db(database) -> AsyncIterator[Database]:
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def short(name: str) -> str:
    """Return a quoted name that PostgreSQL does not cut."""
    return quote([name.encode()[:63].decode(errors="ignore")])


@pytest.mark.parametrize("case", FILES)
async def test_hard_names_go_up_and_down(database, db, tmp_path, case):
    name = NAMES[case]
    table, column, renamed, index = map(short, (name, name[::-1], f"x{name}", f"i{name}"))
    text = (
        f"CREATE TABLE {table} (id int PRIMARY KEY, {column} text);\n"
        f"INSERT INTO {table} VALUES (1, '%s {{}} \\');\n"
        f"ALTER TABLE {table} DROP COLUMN {column};\n"
        f"CREATE INDEX {index} ON {table} (id);\n"
        f"COMMENT ON TABLE public.{table} IS '{name.replace(chr(39), chr(39) * 2)}';\n"
        f"COMMENT ON COLUMN public.{table}.id IS '%(a)s';\n"
        f"ALTER TABLE {table} RENAME TO {renamed};"
    )
    (tmp_path / f"1_{name}.sql").write_text(text)
    (tmp_path / f"2_{name}.sql").write_text("-- zanith: no-transaction\nVACUUM;\nSELECT 1;\n")
    before = database.pg_dump("-n", "public")
    named = ("--dir", str(tmp_path), "-d", database.url)
    assert (await up(db, tmp_path, preflight=True)).pending == ()
    found = await states(db, tmp_path)
    assert set(found.values()) == {"applied"}
    assert sorted(found) == [f"1_{name}", f"2_{name}"]
    shown = zanith("migrate", "status", *named, "--json")
    assert [one["id"] for one in shown.json["migrations"]] == [f"1_{name}", f"2_{name}"]
    assert zanith("migrate", "status", *named).code == 0
    told = zanith("migrate", "history", "-d", database.url, "--verbose")
    assert told.code == 0
    assert "\u202e" not in told.out
    assert "\x1b[31m" not in told.out
    layout, migrations = read_migrations(tmp_path)
    await migrate_down(db, layout, migrations, DBA, DownRequest(steps=2, keep_rows=True))
    assert set((await states(db, tmp_path)).values()) == {"pending"}
    assert database.pg_dump("-n", "public") == before


async def test_an_id_that_is_too_long_is_refused_by_name(database, db, tmp_path):
    (tmp_path / f"1_{'a' * 240}.sql").write_text("SELECT 1;")
    with pytest.raises(WrongUsage, match="are kept at most"):
        await up(db, tmp_path)
    assert await read_history(db) == []


@pytest.mark.newest
async def test_a_disk_that_fills_up_leaves_what_the_next_up_goes_on_from(
    disposable_server, tmp_path
):
    connection = await asyncpg.connect(disposable_server.url())
    await install(connection)
    await connection.execute(
        "CREATE TABLE wide (id integer PRIMARY KEY, code text);"
        f"INSERT INTO wide SELECT g, {CODE.format('g')} FROM generate_series(1, 12000) g"
    )
    await connection.close()
    (tmp_path / "1_a.sql").write_text("CREATE TABLE one (a int);")
    (tmp_path / "2_b.sql").write_text("CREATE TABLE two (a int);\nALTER TABLE wide DROP code;")
    (tmp_path / "3_c.sql").write_text(
        "-- zanith: no-transaction\nCREATE TABLE three (a int);\n"
        "CREATE INDEX CONCURRENTLY big ON wide ((repeat(md5(id::text), 50)));"
    )
    restart(disposable_server, 17 * 1024 * 1024)
    db = await Database.open(disposable_server.url())
    try:
        with pytest.raises(ZanithError, match=r"2_b\.sql:2:1: could not extend file"):
            await up(db, tmp_path)
        assert [*(await states(db, tmp_path)).values()] == ["applied", "failed", "pending"]
        assert disposable_server.psql("postgres", "SELECT to_regclass('two') IS NULL") == "t"
        assert disposable_server.psql("postgres", "SELECT count(code) FROM wide") == "12000"
        with pytest.raises(ZanithError, match="file"):
            await up(db, tmp_path, out_of_order=True, gates=Gates(allow_destructive=True))
        await db.close()
        restart(disposable_server)
        db = await Database.open(disposable_server.url())
        assert len((await up(db, tmp_path)).ran) == 2
        assert set((await states(db, tmp_path)).values()) == {"applied"}
        invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
        assert disposable_server.psql("postgres", invalid) == "0"
        layout, migrations = read_migrations(tmp_path)
        await migrate_down(db, layout, migrations, DBA, DownRequest(steps=3))
        assert disposable_server.psql("postgres", "SELECT count(code) FROM wide") == "12000"
        async with db.acquire() as reader:
            runs = [one.run for one in await read_history(db)]
            assert await read_steps(reader, runs)
    finally:
        await db.close()
