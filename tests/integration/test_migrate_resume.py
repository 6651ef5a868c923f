"""Files without a transaction: recorded statement by statement, and gone on with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.migrate.apply.errors import MigrationFailed
from app.migrate.apply.history import read_history, read_steps
from app.recovery.core.errors import Failed, Refused
from app.recovery.db.database import Database
from tests.acceptance.command import zanith
from tests.integration.test_migrate_up import ORDERS, states, up, write
from tests.online import until

OUTSIDE = "-- zanith: no-transaction\n"


@pytest.fixture
async def db(database) -> AsyncIterator[Database]:
    opened = await Database.open(database.url, lock_timeout=timedelta(milliseconds=300))
    yield opened
    await opened.close()


async def steps(db: Database) -> list[str]:
    async with db.acquire() as connection:
        run = (await read_history(db))[0].run
        return [step.status for step in await read_steps(connection, [run])]


@pytest.mark.each_version
async def test_an_invalid_index_is_dropped_and_built_again(database, db, tmp_path):
    database.psql(ORDERS)
    text = (
        "CREATE TABLE one (a int);\n"
        "CREATE UNIQUE INDEX CONCURRENTLY notes ON orders (note);\n"
        "CREATE UNIQUE INDEX CONCURRENTLY ON orders (note, id);\n"
    )
    write(tmp_path, **{"1": OUTSIDE + text})
    with pytest.raises(MigrationFailed, match=r"1\.sql:3:1: could not create unique index") as one:
        await up(db, tmp_path, preflight=False)
    assert "resumes there" in one.value.hint
    assert await states(db, tmp_path) == {"1": "failed"}
    assert await steps(db) == ["done", "failed", "pending"]
    invalid = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
    assert database.psql(invalid).strip() == "1"
    database.psql("UPDATE orders SET note = id")
    (ran,) = (await up(db, tmp_path)).ran
    assert any("dropped the invalid index public.notes" in note for note in ran.notes)
    assert await steps(db) == ["skipped", "done", "done"]
    assert database.psql(invalid).strip() == "0"
    assert await states(db, tmp_path) == {"1": "applied"}


@pytest.mark.parametrize("how", ["killed", "cancelled"])
async def test_a_lost_connection_in_the_middle(database, db, tmp_path, how):
    database.psql(ORDERS)
    write(
        tmp_path,
        **{
            "1": OUTSIDE + "SET search_path = public;\nCREATE TABLE one (a int);\n"
            "CREATE INDEX CONCURRENTLY notes ON orders (note);\nCREATE TABLE two (a int);",
        },
    )
    async with database.connect() as other, database.connect() as watcher:
        holding = other.transaction()
        await holding.start()
        await other.execute("UPDATE orders SET code = 'x' WHERE id = 1")  # the index waits for it
        running = asyncio.create_task(up(db, tmp_path))
        pid = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX C%'"
        await until(lambda: watcher.fetchval(pid + " AND wait_event_type = 'Lock'"))
        if how == "killed":
            await watcher.fetchval(f"SELECT pg_terminate_backend(({pid}))")
            with pytest.raises(Failed, match="interrupted in the middle"):
                await running
        else:
            running.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        await holding.rollback()
        await until(lambda: watcher.fetchval(f"SELECT NOT EXISTS ({pid})"))
    assert await states(db, tmp_path) == {"1": "interrupted"}
    listed = zanith("migrate", "history", "-d", database.url).out
    assert " 1  interrupted" in listed
    (ran,) = (await up(db, tmp_path)).ran
    assert any("dropped the invalid index public.notes" in note for note in ran.notes)
    assert await steps(db) == ["skipped", "skipped", "done", "done"]
    outcomes = [one.outcome for one in await read_history(db)]
    assert outcomes == ["applied", "failed"]


async def test_what_ended_before_the_interruption_is_not_run_again(database, db, tmp_path):
    """The connection was lost between the end of the statement and its record."""
    database.psql(ORDERS)
    text = "CREATE INDEX CONCURRENTLY notes ON orders (note);\nSELECT nosuch;"
    write(tmp_path, **{"1": OUTSIDE + text})
    with pytest.raises(MigrationFailed):
        await up(db, tmp_path)
    database.psql(
        "UPDATE zanith._zanith_migrations SET outcome = 'running', error = NULL;"
        "UPDATE zanith._zanith_migration_steps SET status = 'begun' WHERE ordinal = 1;"
    )
    write(tmp_path, **{"1": OUTSIDE + text.replace("nosuch", "1")})
    (ran,) = (await up(db, tmp_path)).ran
    assert any("it had ended before the interruption" in note for note in ran.notes)


async def test_only_what_did_not_run_may_be_corrected(database, db, tmp_path):
    text = "CREATE TABLE one (a int);\nSELECT nosuch;"
    write(tmp_path, **{"1": OUTSIDE + text})
    with pytest.raises(MigrationFailed, match=r"1\.sql:3:8"):
        await up(db, tmp_path)
    write(tmp_path, **{"1": OUTSIDE + "CREATE TABLE one (b int);\nSELECT 1;"})
    with pytest.raises(Refused, match="a part of it is already applied") as refused:
        await up(db, tmp_path)
    assert "1.sql:2: applied: CREATE TABLE one (a int)" in refused.value.detail
    write(tmp_path, **{"1": OUTSIDE + "CREATE TABLE one (a int);\nSELECT 1;\nSELECT 2;"})
    assert len((await up(db, tmp_path)).ran) == 1
    assert await steps(db) == ["skipped", "done", "done"]


async def test_a_statement_of_which_nobody_knows(database, db, tmp_path):
    database.psql(
        "CREATE TABLE t (a int); CREATE PROCEDURE p() LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO t VALUES (1); COMMIT; PERFORM pg_sleep(600); END'"
    )
    write(tmp_path, **{"1": OUTSIDE + "CALL p();"})
    running = asyncio.create_task(up(db, tmp_path))
    async with database.connect() as watcher:
        await until(lambda: watcher.fetchval("SELECT EXISTS (SELECT FROM t)"))
        await watcher.fetchval(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL p%'"
        )
    with pytest.raises(Failed, match="interrupted"):
        await running
    with pytest.raises(Refused, match=r"1\.sql:2: .* nobody knows whether it ended"):
        await up(db, tmp_path)
    (ran,) = (await up(db, tmp_path, resume="skip")).ran
    assert any("is skipped" in note for note in ran.notes)
    assert database.psql("SELECT count(*) FROM t").strip() == "1"


async def test_a_part_with_begin_and_commit_is_one_transaction(database, db, tmp_path):
    write(
        tmp_path,
        **{
            "1": OUTSIDE + "CREATE TABLE one (a int);\nBEGIN;\nCREATE TABLE two (a int);\n"
            "SELECT nosuch;\nCOMMIT;",
        },
    )
    with pytest.raises(MigrationFailed, match=r"1\.sql:5:8"):
        await up(db, tmp_path)
    there = "SELECT to_regclass('one') IS NOT NULL, to_regclass('two') IS NOT NULL"
    assert database.psql(there).strip() == "t|f"


async def test_what_others_change_meanwhile_is_not_of_the_migration(database, db, tmp_path):
    database.psql(ORDERS)
    text = f"{OUTSIDE}CREATE INDEX CONCURRENTLY ON orders (note);\n"
    write(tmp_path, **{"1": f"{text}REINDEX INDEX CONCURRENTLY orders_note_idx;"})
    async with database.connect() as other, database.connect() as watcher:
        holding = other.transaction()
        await holding.start()
        await other.execute("UPDATE orders SET code = 'x' WHERE id = 1")  # the index waits for it
        running = asyncio.create_task(up(db, tmp_path))
        pid = "SELECT pid FROM pg_stat_activity WHERE query LIKE 'CREATE INDEX C%'"
        await until(lambda: watcher.fetchval(pid + " AND wait_event_type = 'Lock'"))
        await watcher.execute("CREATE TABLE theirs (a int PRIMARY KEY); CREATE SCHEMA theirs")
        await watcher.execute("CREATE FUNCTION theirs() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        await holding.rollback()
        await running
    async with db.acquire() as connection:
        first, second = await read_steps(connection, [(await read_history(db))[0].run])
    assert [one["name"] for one in first.changes["created"]] == ["public.orders_note_idx"]
    assert first.changes["dropped"] == []
    assert "theirs" not in str((first.changes, first.tables, second.changes, second.tables))
