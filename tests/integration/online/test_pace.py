"""Work in batches keeps to its limits, and rests when asked or when a replica is behind."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.recovery import jobs, oversight
from app.recovery.capture import capture
from app.recovery.database import Database
from app.recovery.errors import Refused, WrongUsage
from app.recovery.pace import Limits
from tests.conftest import install_zanith
from tests.online import DBA, ROWS, TABLE, column, execute, fetchval, followed, running_job, until


@pytest.mark.newest
async def test_it_rests_when_asked_and_goes_on(db):
    running = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=4_000)))
    job = await running_job(db, "capture")
    await until(lambda: followed(db))
    await oversight.pause(db, job.id, DBA)

    async def rests():
        return "paused by dba" in json.dumps((await jobs.get(db, job.id)).progress)

    await until(rests)
    archive = await fetchval(
        db, "SELECT relname FROM pg_class WHERE relname ~ '^_zanith_archive' AND relkind = 'r'"
    )
    first = await fetchval(db, f"SELECT count(*) FROM _zanith_shadow.{archive}")
    await asyncio.sleep(1.5)
    assert await fetchval(db, f"SELECT count(*) FROM _zanith_shadow.{archive}") == first
    await oversight.pause(db, job.id, DBA, pause=False)
    assert (await running).row_count == ROWS
    with pytest.raises(Refused):
        await oversight.pause(db, job.id, DBA)


@pytest.mark.newest
async def test_limits_that_let_nothing_through_are_refused(db):
    for limits in (Limits(batch_seconds=0), Limits(rows_per_second=0), Limits(max_lag=-1)):
        with pytest.raises(WrongUsage):
            await capture(db, column(), DBA, limits=limits)
    assert await fetchval(db, "SELECT count(code) FROM t") == ROWS


async def test_it_rests_while_a_replica_is_behind(disposable_server):
    server = disposable_server
    server.psql("postgres", "CREATE DATABASE live")
    install_zanith(server.url("live"))
    replica = server.standby(server.directory.with_name(f"{server.directory.name}-replica"))
    opened = await Database.open(server.url("live"))
    try:
        await execute(opened, TABLE)
        replica.psql("live", "SELECT pg_wal_replay_pause()")
        limits = Limits(rows_per_second=3_000, max_lag=0.5)
        running = asyncio.create_task(capture(opened, column(), DBA, limits=limits))
        job = await running_job(opened, "capture")

        async def rests():
            return "waiting for a replica" in json.dumps((await jobs.get(opened, job.id)).progress)

        await until(rests)
        replica.psql("live", "SELECT pg_wal_replay_resume()")
        assert (await running).row_count == ROWS
    finally:
        await opened.close()
        replica.remove()
