"""One list of the jobs that change an artifact: Python, the table and every query agree on it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import Locked, NotFound
from app.recovery.inspection.doctor import doctor
from app.recovery.jobs import queueing
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.leases import LEASE
from app.recovery.purge.cleanup import cleanup, plan_cleanup
from app.recovery.purge.purge import purge
from app.recovery.rows.seal import find_unsealed
from tests.online import DBA, SLOWLY, TABLE, column, execute, fetchval, followed, opened, until

ARTIFACTS = "zanith._zanith_migration_artifacts"


@pytest.fixture
async def db(database):
    async with opened(database, lock_retries=4) as found:
        await execute(found, TABLE)
        yield found


async def test_a_cleanup_leaves_a_column_whose_online_archive_is_running(db):
    archiving = asyncio.create_task(capture(db, column(), DBA, limits=SLOWLY))
    await until(lambda: followed(db))
    parked = await fetchval(db, f"SELECT id FROM {ARTIFACTS}")
    ((found, why),) = await plan_cleanup(db, timedelta(0), before_expiry=True)
    assert (found.id, why) == (parked, "a capture of it is under way")
    # "only" says no more than which: a page that was loaded before the capture began asks so
    (result,) = await cleanup(db, timedelta(0), False, DBA, only=[parked], before_expiry=True)
    assert (result.outcome, result.why) == ("skipped", "a capture of it is under way")
    with pytest.raises(Locked, match="a capture of it is under way"):
        await purge(db, parked, DBA, confirm=None, confirmed=True)
    assert [f.code for f in (await doctor(db)).findings if f.code == "unfinished"] == []
    artifact = await archiving
    assert (artifact.id, artifact.artifact_type) == (parked, "archive_column")
    assert await fetchval(db, f"SELECT count(*) FROM {ARTIFACTS}") == 1


@pytest.mark.newest
async def test_each_kind_of_job_keeps_others_away_or_does_not(db):
    await execute(db, "CREATE TABLE a (id int)")
    artifact = await capture(db, CaptureRequest("archive_table", "a"), DBA)
    await execute(db, f"UPDATE {ARTIFACTS} SET sealed_at = NULL, checksum = NULL")
    check = await fetchval(
        db,
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conname = '_zanith_jobs_kind_check'",
    )
    assert set(check.split("'")[1::2]) == set(Kind)
    for kind in Kind:
        # one that its process is about to run, one that waits for any worker, one that was lost
        for wait in (LEASE, None, timedelta(seconds=-1)):
            job = await queueing.queue(db, kind, artifact.id, {}, DBA, wait=wait)
            said = await fetchval(
                db, "SELECT changes_artifact FROM zanith._zanith_jobs WHERE id = $1", job.id
            )
            assert said is kind.changes, kind
            live = kind.changes and wait != timedelta(seconds=-1)
            ((_, why),) = await plan_cleanup(db, timedelta(0), before_expiry=True)
            assert why == (f"a {kind.does_to_one} of it is under way" if live else None)
            assert (await find_unsealed(db) == []) is live
            busy = await fetchval(
                db,
                "SELECT zanith.purge_artifact($1, NULL, 'cleanup', 'dba', NULL, NULL) ? 'busy'"
                " FROM zanith._zanith_migration_artifacts WHERE $2 OR id = 'rolled back'",
                artifact.id,
                live,
            )
            assert busy is (True if live else None)
            if live:
                with pytest.raises(Locked, match=f"a {kind.does_to_one} of it is under way"):
                    await queueing.queue(db, Kind.ERASE, artifact.id, {}, DBA, wait=LEASE)
            else:
                other = await queueing.queue(db, Kind.ERASE, artifact.id, {}, DBA, wait=LEASE)
                await queueing.abandon(db, other.id)
            await queueing.abandon(db, job.id)
    assert (await get_artifact(db, artifact.id)).status == "recoverable"


@pytest.mark.newest
async def test_no_job_begins_on_what_was_purged_meanwhile(db):
    await execute(db, "CREATE TABLE gone (id int)")
    artifact = await capture(db, CaptureRequest("archive_table", "gone"), DBA)
    await purge(db, artifact.id, DBA, confirm=None, confirmed=True)
    jobs = await fetchval(db, "SELECT count(*) FROM zanith._zanith_jobs")
    for kind in (Kind.PURGE, Kind.RESTORE, Kind.EXPORT, Kind.VERIFY):
        with pytest.raises(NotFound, match=f"there is no artifact {artifact.id}"):
            await queueing.start(db, kind, artifact.id, {}, DBA, object=artifact.object_name)
    assert await fetchval(db, "SELECT count(*) FROM zanith._zanith_jobs") == jobs
