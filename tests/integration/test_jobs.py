"""Jobs: one live change at a time, a lease that fences, cancel, and history."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import AsyncExitStack, suppress
from datetime import timedelta

import pytest

from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, Failed, Locked, NotFound, NotPermitted, Refused
from app.recovery.db.database import Database
from app.recovery.jobs import audit, leases, queueing, runs
from app.recovery.jobs import model as jobs
from tests.sessions import client_of

ACTOR = Actor("dba", "10.0.0.9", "staff")


PARKED = """
CREATE TABLE a (); CREATE TABLE b ();
SELECT zanith.archive_table('a'); SELECT zanith.archive_table('b');
UPDATE zanith._zanith_migration_artifacts
SET id = CASE source_table WHEN 'a' THEN 'abcdefgh' ELSE 'other123' END;
"""


@pytest.fixture
async def db(database):
    database.psql(PARKED)
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


@pytest.mark.smoke
async def test_a_job_runs_reports_and_ends(db):
    job = await queueing.start(db, "restore", "abcdefgh", {"a": 1}, ACTOR, object="public.t")
    assert (job.state, job.params, job.object) == ("queued", {"a": 1}, "public.t")
    async with runs.running(db, job) as run:
        await run.progress(step=1)
        await run.progress(steps=3)
        now = await jobs.get(db, job.id)
        assert (now.state, now.progress) == ("running", {"step": 1, "steps": 3})
        run.result = {"rows": 5}
    ended = await jobs.get(db, job.id)
    assert (ended.state, ended.result) == ("done", {"rows": 5})
    assert ended.elapsed >= 0
    assert ended.to_json()["started_at"]


async def test_one_live_change_of_an_artifact(db):
    starts = (queueing.start(db, kind, "abcdefgh", {}, ACTOR) for kind in ["restore", "purge"] * 4)
    results = await asyncio.gather(*starts, return_exceptions=True)
    assert sum(isinstance(result, jobs.Job) for result in results) == 1
    locked = [result for result in results if isinstance(result, Locked)]
    assert len(locked) == 7
    assert "started by dba" in (locked[0].detail or "")
    await queueing.start(db, "export", "abcdefgh", {}, ACTOR)
    await queueing.start(db, "restore", "other123", {}, ACTOR)


async def test_failure_is_kept(db):
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    with pytest.raises(Refused):
        async with runs.running(db, job):
            raise Refused("no", hint="h")
    ended = await jobs.get(db, job.id)
    assert (ended.state, ended.error["message"]) == ("refused", "no")
    await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)


async def test_finish_and_data_commit_together(db):
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    async with runs.running(db, job) as run, client_of(db) as connection:
        async with connection.transaction():
            await connection.execute("CREATE TABLE t ()")
            await run.finish(connection, {"ok": True})
        run.finished = True
    assert (await jobs.get(db, job.id)).result == {"ok": True}


async def test_lost_lease_stops_the_commit(db):
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)

    async def body() -> None:
        recording = audit.recording_failure(db, ACTOR, "restore", "abcdefgh")
        async with recording, runs.running(db, job) as run:
            async with client_of(db) as connection:
                await connection.execute(
                    "UPDATE zanith._zanith_jobs SET lease_expires_at = now() - interval '1 s'"
                )
            assert await leases.reap_expired(db) == [job.id]
            async with client_of(db) as connection, connection.transaction():
                await connection.execute("CREATE TABLE t ()")
                await run.finish(connection, {})

    with pytest.raises(Failed, match="lease"):
        await body()
    ended = await jobs.get(db, job.id)
    assert ended.state == "interrupted"
    [entry] = [one for one in await audit.list_activity(db) if one.action != "capture"]
    assert (entry.actor, entry.action, entry.outcome) == (ACTOR.name, "restore", "failed")
    assert entry.detail["message"] == "interrupted: the process that ran it has ended"
    assert entry.detail["job"] == job.id
    async with client_of(db) as connection:
        assert await connection.fetchval("SELECT to_regclass('t')") is None


async def test_expired_lease_does_not_stand_in_the_way(db):
    await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    async with client_of(db) as connection:
        await connection.execute(
            "UPDATE zanith._zanith_jobs SET lease_expires_at = now() - interval '1 s'"
        )
    await queueing.start(db, "purge", "abcdefgh", {}, ACTOR)


async def test_cancel_wakes_a_running_job(db):
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    begun = asyncio.Event()

    async def body() -> None:
        async with runs.running(db, job), client_of(db) as connection:
            begun.set()
            await connection.execute("SELECT pg_sleep(30)")

    task = asyncio.create_task(body())
    await begun.wait()
    await asyncio.sleep(0.3)
    async with asyncio.timeout(leases.HEARTBEAT.total_seconds() + 2):
        await jobs.cancel(db, job.id, Actor("boss"))
        with pytest.raises(Cancelled, match="boss"):
            await task
    assert (await jobs.get(db, job.id)).state == "cancelled"


@pytest.fixture
def quick(monkeypatch):
    """Leases that run out within the test."""
    monkeypatch.setattr(leases, "LEASE", timedelta(seconds=1.5))
    monkeypatch.setattr(leases, "HEARTBEAT", timedelta(seconds=0.2))


async def test_a_body_that_misses_its_cancellation_is_told_again(db, quick):
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)

    async def body() -> None:
        async with runs.running(db, job):
            other = asyncio.create_task(asyncio.sleep(60))
            with suppress(asyncio.CancelledError):
                await other  # as a caller that stops its own task does
            await asyncio.sleep(60)

    task = asyncio.create_task(body())
    await asyncio.sleep(0.3)
    await jobs.cancel(db, job.id, ACTOR)
    async with asyncio.timeout(5):
        with pytest.raises(Cancelled):
            await task
    assert task.cancelling() == 0
    assert (await jobs.get(db, job.id)).state == "cancelled"


async def test_a_lease_is_kept_while_a_cancelled_body_cleans_up(db, quick):
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)

    async def body() -> None:
        async with runs.running(db, job):
            until = asyncio.get_running_loop().time() + 2.5
            while (left := until - asyncio.get_running_loop().time()) > 0:
                with suppress(asyncio.CancelledError):
                    await asyncio.sleep(left)
            await asyncio.sleep(60)

    task = asyncio.create_task(body())
    await asyncio.sleep(0.3)
    await jobs.cancel(db, job.id, ACTOR)
    while not task.done():
        assert await leases.reap_expired(db) == []
        await asyncio.sleep(0.1)
    assert isinstance(task.exception(), Cancelled)
    assert (await jobs.get(db, job.id)).state == "cancelled"


async def test_a_lease_waits_for_no_other_statement(db, quick):
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    async with runs.running(db, job) as run, AsyncExitStack() as taken:
        for _ in range(3):
            await taken.enter_async_context(db.side())
        await asyncio.sleep(2.5)
        async with client_of(db) as connection:
            left = await connection.fetchval(
                "SELECT lease_expires_at > clock_timestamp() FROM zanith._zanith_jobs"
            )
        assert left
        assert run.stop_reason is None
    assert (await jobs.get(db, job.id)).state == "done"


KILLED_BEFORE_IT_BEGAN = """
import asyncio, os, signal, sys
from datetime import timedelta
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.jobs import leases, queueing

async def main():
    leases.LEASE = timedelta(seconds=1)
    db = await Database.open(sys.argv[1])
    await queueing.start(db, "restore", "abcdefgh", {}, Actor("dba", None, "staff"))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_a_client_killed_before_its_job_began_is_soon_in_nobodys_way(database, db):
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_BEFORE_IT_BEGAN, database.url
    )
    assert await process.wait() == -signal.SIGKILL
    [left] = await jobs.list_jobs(db)
    assert left.state == "queued"
    await asyncio.sleep(1.1)
    await queueing.start(db, "purge", "abcdefgh", {}, ACTOR)
    assert (await jobs.get(db, left.id)).state == "interrupted"


async def test_a_job_that_waits_for_its_turn_keeps_its_lease(db, quick):
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    await asyncio.sleep(2)
    assert await leases.reap_expired(db) == []
    async with runs.running(db, job):
        await asyncio.sleep(0.1)
        assert not db.kept_jobs
    assert (await jobs.get(db, job.id)).state == "done"


async def test_a_job_that_is_never_begun_loses_its_lease_in_the_end(db, quick, monkeypatch):
    monkeypatch.setattr(leases, "WAIT_TO_START", timedelta(seconds=0.5))
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    await asyncio.sleep(2.3)
    assert await leases.reap_expired(db) == [job.id]
    assert not db.kept_jobs


async def test_what_is_handed_over_or_to_be_fetched_waits_without_its_process(db, quick):
    for kind, wait in (("restore", None), ("export", leases.WAIT_TO_START)):
        await queueing.queue(db, kind, "abcdefgh", {}, ACTOR, wait=wait)
    await asyncio.sleep(2)
    assert not db.kept_jobs
    assert await leases.reap_expired(db) == []


async def test_a_waiting_job_is_cancelled_at_once(db):
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    assert (await jobs.cancel(db, job.id, ACTOR)).state == "cancelled"
    with pytest.raises(Cancelled, match="cancelled by dba"):
        async with runs.running(db, job):
            pass


async def test_watch_sees_the_end(db):
    job = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    states: list[str] = []

    async def look() -> None:
        states.extend([seen.state async for seen in jobs.watch(db, job.id)])

    task = asyncio.create_task(look())
    await asyncio.sleep(0.2)
    async with runs.running(db, job) as run:
        await run.progress(n=1)
        await asyncio.sleep(0.2)
    async with asyncio.timeout(3):
        await task
    assert states[0] == "queued"
    assert states[-1] == "done"


async def test_history_and_unknown(db):
    started = [await queueing.start(db, "export", "abcdefgh", {}, ACTOR) for _ in range(3)]
    page = await jobs.list_jobs(db, limit=2)
    rest = await jobs.list_jobs(db, after=page[-1])
    assert [job.id for job in [*page, *rest]] == [job.id for job in reversed(started)]
    assert await jobs.list_jobs(db, states=["done"]) == []
    with pytest.raises(NotFound):
        await jobs.get(db, "nope")


async def test_a_viewer_starts_only_what_reads(db):
    viewer = Actor("eve", None, "viewer")
    with pytest.raises(NotPermitted):
        await queueing.start(db, "restore", "abcdefgh", {}, viewer)
    await queueing.start(db, "export", "abcdefgh", {}, viewer)
    live = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    with pytest.raises(NotPermitted):
        await jobs.cancel(db, live.id, viewer)


async def test_audit_log(db, tmp_path):
    file = tmp_path / "audit.ndjson"
    follower = asyncio.create_task(audit.follow(db, file))
    await asyncio.sleep(0.3)
    async with client_of(db) as connection, connection.transaction():
        await audit.record(
            connection, ACTOR, "hold", "done", "abcdefgh", "public.t_1", {"why": "x"}
        )
    with pytest.raises(Refused):
        async with audit.recording_failure(db, ACTOR, "purge", "abcdefgh", "public.tx1"):
            raise Refused("not confirmed")
    entries = await audit.list_activity(db)
    said = [(e.action, e.outcome) for e in entries if e.action != "capture"]
    assert said == [("purge", "refused"), ("hold", "done")]
    assert entries[0].detail["message"] == "not confirmed"
    assert (entries[1].actor, entries[1].address) == ("dba", "10.0.0.9")
    only = await audit.list_activity(db, audit.ActivityFilter(object="T_1"))
    assert [e.action for e in only] == ["hold"]
    older = await audit.list_activity(db, audit.ActivityFilter(before=entries[0].id))
    assert older == entries[1:]
    async with asyncio.timeout(10):
        while not file.exists() or file.read_text().count("\n") < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    follower.cancel()
    async with client_of(db) as connection:
        with pytest.raises(Exception, match="append-only"):
            await connection.execute("DELETE FROM zanith._zanith_audit_log")


async def test_a_seal_gives_way_to_a_restore(db):
    sealing = await queueing.start(db, "seal", "abcdefgh", {}, ACTOR)

    async def seal():
        async with runs.running(db, sealing):
            await asyncio.sleep(60)

    running = asyncio.create_task(seal())
    while (await jobs.get(db, sealing.id)).state != "running":  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    restoring = await queueing.start(db, "restore", "abcdefgh", {}, ACTOR)
    assert restoring.state == "queued"
    with pytest.raises(Cancelled):
        await running
    assert (await jobs.get(db, sealing.id)).state == "cancelled"
    with pytest.raises(Locked):  # nothing else does
        await queueing.start(db, "seal", "abcdefgh", {}, ACTOR)
