"""A standby may be read, and cannot hold a job's row: the process that reads keeps it."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from app.migrate.apply.history import is_busy, read_history
from app.migrate.apply.status import read_status
from app.migrate.read.layouts import read_migrations
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, Locked, NotFound
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs import queueing, runs
from app.recovery.plan.planning import plan_restore
from app.recovery.rows import export, seal
from app.recovery.rows.export import ExportRequest
from tests.acceptance.command import zanith
from tests.conftest import install_zanith
from tests.online import until

pytestmark = pytest.mark.newest
DBA = Actor("dba", "10.0.0.9", "staff")
TABLE = """
CREATE TABLE t (id bigint PRIMARY KEY, code text);
INSERT INTO t SELECT n, 'c' || n FROM generate_series(1, 1000) n;
CREATE TABLE kinds (id bigint PRIMARY KEY);
CREATE TABLE parts (id bigint PRIMARY KEY, kind bigint REFERENCES kinds);
SELECT zanith.archive_column('parts', 'kind');
"""


@pytest.fixture
async def archived(disposable_server):
    """An archive on the primary, sealed, and its standby."""
    server = disposable_server
    server.psql("postgres", "CREATE DATABASE live")
    install_zanith(server.url("live"))
    server.psql("live", TABLE)
    db = await Database.open(server.url("live"))
    try:
        artifact = await capture(db, CaptureRequest("archive_table", "t"), DBA)
    finally:
        await db.close()
    replica = server.standby(server.directory.with_name(f"{server.directory.name}-replica"))
    standby = await Database.open(replica.url("live"))
    yield standby, artifact
    await standby.close()
    replica.remove()


async def test_what_reads_runs_on_a_standby_and_can_be_followed(archived):
    db, artifact = archived
    assert (await seal.verify(db, artifact.id, DBA)).matches
    job = await export.announce(db, ExportRequest(artifact.id), DBA)
    assert (job.state, job.id in db.local_jobs) == ("queued", True)
    sent = b"".join([chunk async for chunk in export.stream_export(db, job.id)])
    assert hashlib.sha256(sent).hexdigest() == artifact.checksum
    [*_, last] = [seen async for seen in jobs.watch(db, job.id)]
    assert (last.state, last.result["rows"]) == ("done", 1000)
    assert last.progress["rows"] == 1000
    with pytest.raises(Locked):  # it ran already
        async with runs.running(db, last):
            pass


async def test_what_a_standby_cannot_check_is_not_counted(archived):
    db, _ = archived
    plan = await plan_restore(db, (await get_artifact(db, "public.parts.kind")).id)
    assert [item.kind for item in plan.not_counted] == ["foreign_key_orphans"]
    assert "standby" in (plan.not_counted[0].reason or "")
    assert not plan.clear
    assert not plan.blocked


RUNNING = """
UPDATE zanith._zanith_migrations SET outcome = 'running', applied_at = NULL, elapsed = NULL
"""


async def test_a_run_on_the_primary_is_not_called_interrupted(
    archived, disposable_server, tmp_path
):
    replica, _ = archived
    (tmp_path / "0001_first.sql").write_text("CREATE TABLE first (id int);\n")
    url = disposable_server.url("live")
    assert zanith("migrate", "up", "--dir", str(tmp_path), url=url).code == 0
    disposable_server.psql("live", RUNNING)
    layout, files = read_migrations(tmp_path)

    async def told(db: Database) -> list[str]:
        (run,) = await read_history(db)
        (entry,) = (await read_status(db, layout, files)).entries
        return [run.outcome, run.outcome_while(busy=await is_busy(db)), entry.state.value]

    async def follows() -> bool:
        return [run.outcome for run in await read_history(replica)] == ["running"]

    await until(follows)
    assert await told(replica) == ["running", "running", "running"]
    primary = await Database.open(url)
    try:
        assert await told(primary) == ["running", "interrupted", "interrupted"]
    finally:
        await primary.close()


async def test_it_is_cancelled_by_whoever_follows_it(archived):
    db, artifact = archived
    job = await queueing.start(db, "verify", artifact.id, {}, DBA)
    assert not db.kept_jobs  # there is no lease to keep

    async def body() -> None:
        async with runs.running(db, job):
            await asyncio.sleep(60)

    running = asyncio.create_task(body())
    await asyncio.sleep(0.1)
    assert (await jobs.get(db, job.id)).state == "running"
    asked = await jobs.cancel(db, job.id, DBA)
    assert asked.cancel_requested_by == "dba"
    with pytest.raises(Cancelled, match="dba"):
        await running
    assert (await jobs.cancel(db, job.id, DBA)).state == "cancelled"


async def test_what_never_began_is_interrupted_and_the_oldest_is_forgotten(archived, monkeypatch):
    db, artifact = archived
    first = await queueing.start(db, "verify", artifact.id, {}, DBA)
    await queueing.abandon(db, first.id)
    assert (await jobs.get(db, first.id)).state == "interrupted"
    monkeypatch.setattr("app.recovery.db.local_jobs._KEPT", 2)
    for _ in range(2):
        await queueing.start(db, "verify", artifact.id, {}, DBA)
    assert first.id not in db.local_jobs
    with pytest.raises(NotFound):
        await jobs.get(db, first.id)
