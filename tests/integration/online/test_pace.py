"""Work in batches keeps to its limits, and rests when asked or when a replica is behind."""

from __future__ import annotations

import asyncio
import json

import pytest

from app.recovery.capture.capture import capture
from app.recovery.core.errors import Refused, WrongUsage
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from tests.conftest import install_zanith
from tests.online import DBA, ROWS, TABLE, column, execute, fetchval, followed, running_job, until


@pytest.mark.newest
async def test_it_rests_when_asked_and_goes_on(db):
    running = asyncio.create_task(capture(db, column(), DBA, limits=Limits(rows_per_second=4_000)))
    job = await running_job(db, "capture")
    await until(lambda: followed(db))
    await jobs.pause(db, job.id, DBA)

    async def rests():
        return "paused by dba" in json.dumps((await jobs.get(db, job.id)).progress)

    await until(rests)
    archive = await fetchval(
        db, "SELECT relname FROM pg_class WHERE relname ~ '^_zanith_archive' AND relkind = 'r'"
    )
    first = await fetchval(db, f"SELECT count(*) FROM _zanith_shadow.{archive}")
    await asyncio.sleep(1.5)
    assert await fetchval(db, f"SELECT count(*) FROM _zanith_shadow.{archive}") == first
    await jobs.pause(db, job.id, DBA, pause=False)
    assert (await running).row_count == ROWS
    with pytest.raises(Refused):
        await jobs.pause(db, job.id, DBA)


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


@pytest.mark.newest
async def test_batches_do_not_wait_for_the_disk_and_the_end_does(db, database):
    """What a crash may take back is made again; what is told as done is on the disk."""
    await execute(
        db,
        "CREATE TABLE commits (state text, step text, how text);"
        "CREATE FUNCTION note_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO public.commits VALUES (NEW.state, NEW.progress ->> 'step',"
        " current_setting('synchronous_commit')); RETURN NULL; END $$;"
        "CREATE TRIGGER note AFTER UPDATE ON zanith._zanith_jobs FOR EACH ROW"
        " WHEN (NEW.kind IN ('capture', 'restore')) EXECUTE FUNCTION note_commit();"
        "ALTER TABLE zanith._zanith_jobs ENABLE ALWAYS TRIGGER note",
    )
    database.psql(f"ALTER DATABASE {db.server.database} SET synchronous_commit = local")
    again = await Database.open(database.url)
    try:
        artifact = await capture(again, column(), DBA)
        await restore(again, artifact.id, Choices(online=True), DBA)
        rows = await fetchval(
            again,
            "SELECT jsonb_object_agg(k.key, k.how)::text FROM (SELECT CASE WHEN state = 'done'"
            " THEN state ELSE COALESCE(step, '') END AS key, jsonb_agg(DISTINCT how) AS how"
            " FROM commits GROUP BY 1) k",
        )
    finally:
        await again.close()
    found = json.loads(rows)
    assert found["done"] == ["local"]
    assert "off" in found["copy key and value"]
    assert "off" in found["backfill the column"]
    assert found["create the archive"] == ["local"]
