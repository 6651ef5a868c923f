"""Opening a database: where it is, what goes wrong, and who holds up whom."""

from __future__ import annotations

import asyncio

import pytest

from app.recovery.core.actor import Actor, require_change
from app.recovery.core.errors import Failed, Locked, NotFound, NotPermitted, WrongUsage
from app.recovery.db.database import Database


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def test_server_info(database, db):
    assert db.server.database == database.name
    assert db.server.version == database.server.version
    assert not db.server.standby
    assert db.server.role == "postgres"
    assert db.server.port == database.server.port


async def test_what_goes_wrong_is_said_without_the_password(database):
    with pytest.raises(NotFound, match="does not exist"):
        await Database.open(database.server.url("no_such_database"))
    for url, kind in (
        ("postgresql://u:hunter2@127.0.0.1:1/d", Failed),
        ("postgresql://u:hunter2@127.0.0.1:nine/d", WrongUsage),
        ("mysql://u:hunter2@127.0.0.1/d", WrongUsage),
    ):
        with pytest.raises(kind) as error:
            await Database.open(url)
        assert "hunter2" not in str(error.value.as_dict())


async def test_read_only(database):
    db = await Database.open(database.url, read_only=True)
    try:
        with pytest.raises(Exception, match="read-only"):
            async with db.acquire() as connection:
                await connection.execute("CREATE TABLE t ()")
    finally:
        await db.close()


async def test_a_transaction_that_was_not_rolled_back_is_no_complaint(db):
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: complaints.append(said))
    async with db.acquire() as connection:
        await connection.execute("BEGIN")  # as where the rollback itself was cancelled
    async with db.acquire() as connection:
        assert not connection.is_in_transaction()
    assert complaints == []


async def test_blocker_is_named(db):
    async with db.acquire() as holder, holder.transaction():
        await holder.execute("CREATE TABLE public.t ()")
        await holder.execute("SELECT pg_advisory_xact_lock(1)")

        async def wait() -> None:
            async with db.acquire() as waiter, waiter.transaction():
                pids.append(waiter.get_server_pid())
                await waiter.execute("SET LOCAL lock_timeout = '1s'")
                await waiter.execute("SELECT pg_advisory_xact_lock(1)")

        pids: list[int] = []
        task = asyncio.create_task(wait())
        await asyncio.sleep(0.4)
        found = await db.blockers(pids[0])
        with pytest.raises(Locked):
            await task
    assert [blocker.pid for blocker in found] == [holder_pid(found)]
    assert "pg_advisory_xact_lock" in found[0].describe()


def holder_pid(found):
    return found[0].pid


async def test_columns_may_change_under_a_pooled_connection(db):
    async with db.acquire() as connection:
        await connection.execute("CREATE TABLE public.t (a int)")
        await connection.fetch("SELECT * FROM public.t")
        async with db.acquire() as other:
            await other.execute("ALTER TABLE public.t ADD b int")
        assert await connection.fetch("SELECT * FROM public.t") == []


def test_a_viewer_changes_nothing():
    with pytest.raises(NotPermitted):
        require_change(Actor("eve", None, "viewer"), "purge")
    require_change(Actor("bob", None, "staff"), "purge")


async def test_json_is_data_of_python_on_each_pool(db):
    """Also in an array; without the character of our own texts that some encodings lack."""
    value = {"texts": ["it waits\u2026", "ü\n\"'\\"], "numbers": [1, -2.5, 10**20], "none": None}
    read = {**value, "texts": ["it waits...", "ü\n\"'\\"]}
    for lend in (db.acquire, db.side, db.leasing):
        async with lend() as connection:
            for kind in ("json", "jsonb"):
                query = (
                    f"SELECT $1::{kind} AS one, ARRAY[$2::{kind}, NULL] AS some, $3::{kind} AS none"
                )
                row = await connection.fetchrow(query, value, "null", None)
                assert tuple(row) == (read, ["null", None], None)
                assert await connection.fetchval(f"SELECT '[{{}}, \"a\", null]'::{kind}") == [
                    {},
                    "a",
                    None,
                ]
