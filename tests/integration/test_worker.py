"""Workers: what was handed over is run once, and what lost its worker is gone on with."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from app.recovery import worker
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture import capture as engine
from app.recovery.capture.capture import capture, job_params
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, Refused, Taken
from app.recovery.db.database import Database
from app.recovery.jobs import audit, leases, queueing, runs
from app.recovery.jobs import model as jobs
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import job_params as restore_params
from app.recovery.restore.restore import restore
from app.recovery.rows import seal
from tests.sessions import client_of

DBA = Actor("dba", "10.0.0.9", "staff")
ROWS = 6_000
TABLES = "".join(
    f"CREATE TABLE t{n} (id bigint PRIMARY KEY, code text);"
    f"INSERT INTO t{n} SELECT g, 'c' || g FROM generate_series(1, {ROWS}) g;"
    for n in range(4)
)


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url, lock_timeout=timedelta(milliseconds=300))
    async with client_of(opened) as connection:
        await connection.execute(TABLES)
    yield opened
    await opened.close()


def request(n, **more):
    return CaptureRequest("archive_column", f"public.t{n}", "code", online=True, **more)


async def hand_over_capture(db, n, limits=None):
    params = job_params(db, request(n), limits or Limits())
    return await worker.hand_over(db, "capture", None, params, DBA, object=f"public.t{n}.code")


async def until_ended(db, job_id):
    async with asyncio.timeout(30):
        async for job in jobs.watch(db, job_id):
            last = job
    return last


async def until_rows(db, job_id):
    async with asyncio.timeout(30):
        async for job in jobs.watch(db, job_id):
            if job.progress.get("rows"):
                return


async def test_several_workers_run_each_job_once(database, db):
    db.retention = timedelta(days=3)  # the requester decides, whichever worker runs it
    handed = [await hand_over_capture(db, n) for n in range(4)]
    db.retention = None
    begun: Counter[str] = Counter()

    def tell(job, word):
        begun[job.id] += word == "begun"

    others = [await Database.open(database.url) for _ in range(2)]
    try:
        await asyncio.gather(*(worker.serve(one, 2, tell, once=True) for one in (db, *others)))
        ended = [await until_ended(db, job.id) for job in handed]
    finally:
        for one in others:
            await one.close()
    assert [job.state for job in ended] == ["done"] * 4
    assert {job.actor for job in ended} == {"dba"}
    for n in range(4):
        artifact = await get_artifact(db, f"public.t{n}.code")
        assert (artifact.artifact_type, artifact.row_count) == ("archive_column", ROWS)
        assert artifact.created_by == "dba"
        assert (artifact.expires_at - artifact.created_at).days == 3
    entries = await audit.list_activity(db, audit.ActivityFilter(limit=200))
    # nobody tells of what another has
    assert [entry for entry in entries if entry.outcome != "done"] == []


async def test_what_another_worker_has_is_not_told_as_a_failure(db):
    job = await hand_over_capture(db, 0)
    async with runs.running(db, job):
        with pytest.raises(Taken):
            await worker.perform(db, job)
    entries = await audit.list_activity(db, audit.ActivityFilter(limit=200))
    assert entries == []


async def test_a_drop_waits_for_a_sweep_that_seals_it_first(db, monkeypatch):
    sweeping = []

    async def seal_second(db, artifact_id, actor, **words):
        sweeping.append(asyncio.create_task(seal.sweep(db, Actor("sweeper"), set())))
        while not await jobs.list_jobs(db, kinds=["seal"]):  # noqa: ASYNC110 - the sweep's
            await asyncio.sleep(0.001)
        return await seal.seal(db, artifact_id, actor, **words)

    monkeypatch.setattr(engine, "seal", seal_second)
    found = await engine.capture(db, replace(request(0), online=False), DBA)
    await sweeping[0]
    assert found.sealed_at is not None
    entries = await audit.list_activity(db, audit.ActivityFilter(limit=200))
    assert [entry for entry in entries if entry.outcome != "done"] == []
    assert [entry.actor for entry in entries if entry.action == "seal"] == ["sweeper"]


async def test_a_drop_seals_itself_where_the_sweep_is_gone(db, monkeypatch):
    left = []

    async def seal_second(db, artifact_id, actor, **words):
        if not left:
            lease = timedelta(seconds=0.5)
            left.append(await queueing.queue(db, "seal", artifact_id, {}, DBA, wait=lease))
        return await seal.seal(db, artifact_id, actor, **words)

    monkeypatch.setattr(engine, "seal", seal_second)
    monkeypatch.setattr(leases, "HEARTBEAT", timedelta(seconds=0.2))
    async with asyncio.timeout(10):
        found = await engine.capture(db, replace(request(0), online=False), DBA)
    assert found.sealed_at is not None
    assert (await jobs.get(db, left[0].id)).state == "interrupted"


async def test_a_killed_worker_is_replaced(database, db):
    job = await hand_over_capture(db, 0, Limits(rows_per_second=2_000))
    environment = {**os.environ, "ZANITH_DATABASE_URL": database.url}
    command = [sys.executable, "-c", "from app.cli import main; main()", "worker"]
    process = await asyncio.create_subprocess_exec(*command, env=environment)
    try:
        await until_rows(db, job.id)
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with client_of(db) as connection:  # as after twenty seconds
        await connection.execute(
            "UPDATE zanith._zanith_jobs SET lease_expires_at = now() WHERE state = 'running'"
        )
    await worker.serve(db, 2, lambda *_: None, once=True)
    first = await jobs.get(db, job.id)
    [second, *_] = await jobs.list_jobs(db, kinds=["capture"])
    assert (first.state, second.state) == ("interrupted", "done")
    assert second.params["resumes"] == first.id
    assert "resumes from there" in first.error["detail"]
    assert (await get_artifact(db, "public.t0.code")).row_count == ROWS


async def test_it_gives_up_on_what_always_fails(db):
    artifact = await capture(db, CaptureRequest("archive_column", "t0", "code"), DBA)
    params = restore_params(artifact, Choices(online=True), None, Limits())
    await worker.hand_over(db, "restore", artifact.id, params, DBA, object="public.t0.code")
    for attempt in range(1, worker.ATTEMPTS + 2):
        async with client_of(db) as connection:
            await connection.execute(
                "UPDATE zanith._zanith_jobs SET state = 'interrupted', ended_at = now()"
                " WHERE state = 'queued'"
            )
        found = await worker.find_work(db)
        assert len(found) == (attempt < worker.ATTEMPTS)


async def test_what_cannot_begin_says_why_and_does_not_wait(db):
    job = await worker.hand_over(
        db, "capture", None, job_params(db, request(9), Limits()), DBA, object="public.t9.code"
    )
    await worker.serve(db, 2, lambda *_: None, once=True)
    ended = await jobs.get(db, job.id)
    assert ended.state == "refused"
    assert "t9" in ended.error["message"]


async def test_what_was_cancelled_goes_on_when_somebody_wants(db):
    running = asyncio.create_task(
        capture(db, request(1), DBA, limits=Limits(rows_per_second=1_000))
    )
    async with asyncio.timeout(20):
        while not (  # noqa: ASYNC110 - the job has no name yet by which it could be watched
            found := await jobs.list_jobs(db, states=["running"], kinds=["capture"])
        ):
            await asyncio.sleep(0.02)
    await until_rows(db, found[0].id)
    await jobs.cancel(db, found[0].id, DBA)
    with pytest.raises(Cancelled):
        await running
    assert await worker.find_work(db) == []  # nobody goes on by themselves: somebody stopped it
    with pytest.raises(Refused):
        await restore_and_resume(db, found[0].id)


async def restore_and_resume(db, job_id):
    again = await worker.resume(db, job_id, DBA)
    await worker.serve(db, 1, lambda *_: None, once=True)
    ended = await jobs.get(db, again.id)
    assert ended.state == "done", ended.error
    artifact = await get_artifact(db, "public.t1.code")
    assert artifact.artifact_type == "archive_column"
    await restore(db, artifact.id, None, DBA)
    await worker.resume(db, job_id, DBA)  # there is nothing left to go on with


async def test_what_somebody_has_to_confirm_is_not_handed_over(db):
    with pytest.raises(Refused):
        await worker.hand_over(db, "purge", "abcdefgh", {}, DBA, object="public.t0")


async def test_a_worker_seals_what_was_left_without_a_seal(db):
    async with client_of(db) as connection:
        left = await connection.fetchval("SELECT zanith.archive_table('public.t2')")
    assert (await get_artifact(db, left)).sealed_at is None
    await worker.serve(db, 1, lambda *_: None, once=True)
    assert (await get_artifact(db, left)).sealed_at is not None
