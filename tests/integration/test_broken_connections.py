"""Connections that break: what was committed stays done, and nothing but errors is heard of it."""

from __future__ import annotations

import asyncio
import logging
import socket
from contextlib import suppress
from datetime import timedelta

import asyncpg
import pytest

from app.recovery import worker
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture, job_params
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Failed, ZanithError
from app.recovery.db.database import Database
from app.recovery.db.installer import install
from app.recovery.db.transactions import transaction
from app.recovery.jobs import leases, queueing
from app.recovery.jobs import model as jobs
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.operation import operation
from app.recovery.jobs.throttle import Limits
from app.recovery.purge.hold import hold
from app.recovery.rows.seal import seal
from tests.faults.proxy import Link, Proxy

pytestmark = pytest.mark.newest
DBA = Actor("dba", "10.0.0.9", "staff")
TABLE = "CREATE TABLE t (id integer PRIMARY KEY, code text); INSERT INTO t VALUES (1, 'c1')"


@pytest.fixture
async def proxy(database):
    database.psql(TABLE)
    one = Proxy(database.server.host, database.server.port)
    await one.start()
    yield one
    await one.close()


@pytest.fixture
async def db(database, proxy):
    opened = await Database.open(proxy.url(database.name, "postgres"))
    yield opened
    await opened.close()


async def test_a_connection_that_breaks_as_it_is_given_back_undoes_nothing(db, proxy):
    struck = []

    async def cut_after(link: Link, letter: str) -> None:
        struck.append(letter)
        link.cut()

    async with db.acquire() as connection:
        await connection.execute("INSERT INTO public.t VALUES (2, 'c2')")
        proxy.at, proxy.act, proxy.counting = 1, cut_after, True  # the reset is what is sent next
    assert struck == ["Q"]
    async with db.acquire() as connection:  # of which there is no trace
        assert await connection.fetchval("SELECT count(*) FROM public.t") == 2


@pytest.mark.parametrize("at", range(1, 13))
async def test_a_backend_that_is_ended_leaves_an_error_with_words(database, db, proxy, at):
    """Also between the two halves of a statement, where asyncpg calls it internal."""

    async def end(link: Link, _letter: str) -> None:
        await asyncio.to_thread(database.psql, f"SELECT pg_terminate_backend({link.pid}, 5000)")

    async def work():
        async with db.acquire() as connection, transaction(connection):
            for number in range(9):
                await connection.fetchval("SELECT $1::integer", number)

    proxy.at, proxy.act, proxy.counting = at, end, True
    with pytest.raises(Failed) as caught:
        await work()
    assert "fault" not in caught.value.message


async def test_a_cancelled_begin_is_not_complained_of(db, proxy):
    heard = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: heard.append(context))

    async def cancel(_link: Link, _letter: str) -> None:
        running.cancel()

    async def work():
        await capture(db, CaptureRequest("archive_table", "t"), DBA)

    for at in range(1, 40, 3):
        proxy.counted, proxy.at, proxy.act, proxy.counting = 0, at, cancel, True
        running = asyncio.ensure_future(work())
        await asyncio.wait({running})
        proxy.counting = False
        assert running.cancelled()
    await asyncio.sleep(0.05)
    assert heard == []


async def test_a_silent_network_is_noticed(db):
    async with db.acquire() as connection:
        found = connection._transport.get_extra_info("socket")
        assert found.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 15
        assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 55_000


async def test_a_server_that_is_away_prints_no_traceback(disposable_server, caplog):
    connection = await asyncpg.connect(disposable_server.url())
    await install(connection)
    await connection.close()
    db = await Database.open(disposable_server.tcp_url())
    try:
        await asyncio.to_thread(disposable_server.stop, "immediate")
        with caplog.at_level(logging.DEBUG):
            with pytest.raises(Failed):
                await get_artifact(db, "public.t")
            await asyncio.sleep(0.3)
        assert [record for record in caplog.records if record.exc_info] == []
        await asyncio.to_thread(disposable_server.start)
        assert await jobs.list_jobs(db) == []
    finally:
        await db.close()


async def test_a_job_that_is_not_over_keeps_nobody_waiting(database, db):
    """Its last transaction holds the row, and the network stalls before the COMMIT arrives."""
    job = await queueing.queue(db, "seal", None, {}, DBA, wait=timedelta(seconds=-1))
    async with database.connect() as other, other.transaction():
        await other.execute("UPDATE zanith._zanith_jobs SET progress = '{}'")
        async with asyncio.timeout(2):
            assert await leases.reap_expired(db) == []
    assert await leases.reap_expired(db) == [job.id]


async def test_what_could_not_begin_is_in_nobodys_way(db, proxy):
    await capture(db, CaptureRequest("archive_table", "t"), DBA)
    found = await get_artifact(db, "public.t")
    job = await queueing.start(db, "restore", found.id, {}, DBA)

    async def cut(link: Link, letter: str) -> None:
        link.cut()

    proxy.counted, proxy.at, proxy.act, proxy.counting = 0, 1, cut, True
    with pytest.raises(Failed):
        async with operation(db, Kind.RESTORE, DBA, job=job) as op, op.running():
            pass
    ended = await jobs.get(db, job.id)
    assert ended.state == "failed"
    assert "connection" in ended.error["message"]
    await queueing.start(db, "restore", found.id, {}, DBA)


async def test_a_worker_outlives_its_server(disposable_server):
    connection = await asyncpg.connect(disposable_server.url())
    await install(connection)
    await connection.execute(TABLE)
    await connection.execute("CHECKPOINT")  # these servers commit without waiting for the disk
    await connection.close()
    db = await Database.open(disposable_server.tcp_url(), lock_timeout=timedelta(seconds=1))
    working = asyncio.create_task(worker.serve(db, 1, lambda *_: None))
    try:
        await asyncio.sleep(0.3)
        await asyncio.to_thread(disposable_server.stop, "immediate")
        await asyncio.sleep(2.5)  # it looks again, in vain
        await asyncio.to_thread(disposable_server.start)
        request = CaptureRequest("archive_column", "public.t", "code", online=True)
        params = job_params(db, request, Limits())
        job = await worker.hand_over(db, "capture", None, params, DBA, object="public.t.code")
        async with asyncio.timeout(20):
            while not (await jobs.get(db, job.id)).ended:  # noqa: ASYNC110 - its events are late
                await asyncio.sleep(0.1)
        ended = await jobs.get(db, job.id)
        assert ended.state == "done", ended.error
        assert not working.done()
    finally:
        working.cancel()
        await asyncio.wait({working})
        await db.close()


async def test_a_hold_is_there_or_not_wherever_it_breaks(db, proxy):
    await capture(db, CaptureRequest("archive_column", "t", "code"), DBA)
    found = await get_artifact(db, "public.t.code")
    await seal(db, found.id, DBA)

    async def lose(link: Link, letter: str) -> None:
        link.deaf = True

    for at in (20, 30, 40, 50):
        proxy.counted, proxy.at, proxy.act, proxy.counting = 0, at, lose, True
        with suppress(ZanithError):
            await hold(db, found.id, DBA, str(at))
        proxy.counting = False
        async with db.acquire() as connection:
            logged = await connection.fetchval(
                "SELECT count(*) FROM zanith._zanith_audit_log WHERE action = 'hold'"
                " AND outcome = 'done' AND detail ->> 'reason' = $1",
                str(at),
            )
            said = await connection.fetchval(
                "SELECT held_reason FROM zanith._zanith_migration_artifacts WHERE id = $1", found.id
            )
        assert (said == str(at)) == bool(logged)
