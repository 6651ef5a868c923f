"""Every operation, every way it can end: one entry in the audit log, and a job that ended."""

from __future__ import annotations

import asyncio
import errno
import itertools
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from app.migrate.apply.deploy import deploy
from app.migrate.apply.up import UpRequest
from app.migrate.read.layouts import read_migrations
from app.migrate.read.migrations import Layout
from app.migrate.review.plan import plan_migrations
from app.migrate.shadow.job import verify_as_job
from app.migrate.shadow.model import Pattern
from app.migrate.shadow.verify import Request
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, Failed, Locked, NotPermitted, ZanithError
from app.recovery.db.conninfo import to_url
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs import queueing
from app.recovery.jobs.audit import ActivityFilter, list_activity
from app.recovery.jobs.kinds import Kind
from app.recovery.purge.cleanup import cleanup
from app.recovery.purge.erase import erase
from app.recovery.purge.hold import hold, release
from app.recovery.purge.purge import purge
from app.recovery.restore.migration import restore_migration
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from app.recovery.restore.rows_plan import plan_rows
from app.recovery.restore.some_rows import restore_rows
from app.recovery.rows import export
from app.recovery.rows.conditions import Condition
from app.recovery.rows.seal import seal, verify
from app.recovery.rows.search import find_rows
from tests.online import execute, fetchval

DBA = Actor("dba", "10.0.0.9", "staff")
VIEWER = Actor("eve", "10.0.0.7", "viewer")
BLIND = Actor("eve", "10.0.0.7", "viewer", sees_rows=False)
MIGRATION = "UPDATE zanith._zanith_migration_artifacts SET migration_id = 'of ' || id"
serial = itertools.count(1)
Tell = Callable[[Any], Any]


async def boom(_: Any) -> None:
    """Fail as a full disk would, in the middle of the work."""
    raise OSError(errno.ENOSPC, "No space left on device")


@dataclass(frozen=True)
class Case:
    """How an operation is called on table t<n> or the artifact of it."""

    call: Callable[[Database, str, Actor, jobs.Job | None, Tell | None], Awaitable[Any]]
    # what is done to the table before; None leaves it live
    before: str | None = "SELECT zanith.archive_table('{}')"
    sealed: bool = True
    who_may_not: Actor = VIEWER
    blocked: bool = False  # it tells nothing while it runs: a lock makes it fail


async def export_all(
    db: Database, about: str, actor: Actor, job: jobs.Job | None, tell: Tell | None
) -> None:
    async def sink(chunk: bytes) -> None:
        """Take it."""

    job = job or await export.announce(db, export.ExportRequest(about), actor)
    await export.push_export(db, job.id, sink, tell)


async def put_one_row_back(
    db: Database, about: str, actor: Actor, job: jobs.Job | None, tell: Tell | None
) -> None:
    name = (await get_artifact(db, about)).object_name
    await execute(db, f"CREATE TABLE IF NOT EXISTS {name} (id int PRIMARY KEY)")
    found = await find_rows(db, about, [Condition("id", "=", "1")], DBA)
    refs = [row.ref for row in found.rows]
    plan = await plan_rows(db, about, refs, DBA)
    await restore_rows(
        *(db, about, refs, actor),
        confirm=name,
        expected_digest=plan.digest,
        job=job,
        on_progress=tell,
    )


async def apply_one(
    db: Database, about: str, actor: Actor, job: jobs.Job | None, tell: Tell | None
) -> None:
    name = f"{about[len('public.t') :]}_more"
    with TemporaryDirectory() as directory:
        Path(directory, f"{name}.sql").write_text(f"ALTER TABLE {about} ADD COLUMN more int;\n")
        layout, migrations = read_migrations(Path(directory))
    request = UpRequest(to=name, allow_vanished=True)
    await deploy(db, layout, migrations, actor, request, job=job, on_progress=tell)


async def verify_one(
    db: Database, about: str, actor: Actor, job: jobs.Job | None, tell: Tell | None
) -> None:
    server, name = db.server, f"{db.server.database}_shadow"
    if not await fetchval(db, "SELECT count(*) FROM pg_database WHERE datname = $1", name):
        await execute(db, f'CREATE DATABASE "{name}" TEMPLATE template0')
    url = to_url(
        {"host": server.host, "port": str(server.port), "user": server.role, "dbname": name}
    )
    plan = plan_migrations(Layout.ZANITH, ())
    request = Request(Layout.ZANITH, (), (), plan, Pattern.URL, url)
    await verify_as_job(db, about, request, actor, job=job, on_progress=tell)


CASES = {
    Kind.CAPTURE: Case(
        lambda db, about, actor, job, tell: capture(
            db, CaptureRequest("archive_table", about), actor, job=job, on_progress=tell
        ),
        before=None,
    ),
    Kind.RESTORE: Case(
        lambda db, about, actor, job, tell: restore(
            db, about, None, actor, job=job, on_progress=tell
        )
    ),
    Kind.RESTORE_MIGRATION: Case(
        lambda db, about, actor, job, tell: restore_migration(
            db, f"of {about}", None, actor, job=job, on_progress=tell
        ),
    ),
    Kind.SEAL: Case(
        lambda db, about, actor, job, tell: seal(db, about, actor, job=job, on_progress=tell),
        sealed=False,
    ),
    Kind.VERIFY: Case(
        lambda db, about, actor, job, tell: verify(db, about, actor, job=job, on_progress=tell)
    ),
    Kind.EXPORT: Case(export_all, who_may_not=BLIND),
    Kind.PURGE: Case(
        lambda db, about, actor, job, tell: purge(
            db, about, actor, confirm=None, confirmed=True, job=job, on_progress=tell
        ),
        blocked=True,
    ),
    Kind.ERASE: Case(
        lambda db, about, actor, job, tell: erase(
            *(db, about, {"id": "1"}, actor),
            rows=1,
            confirm=about,
            job=job,
            on_progress=tell,
        )
    ),
    Kind.RESTORE_ROWS: Case(put_one_row_back),
    Kind.REHEARSE: Case(
        lambda db, about, actor, job, tell: rehearse(
            db, about, None, actor, job=job, on_progress=tell
        )
    ),
    Kind.DEPLOY: Case(apply_one, before=None),
    Kind.VERIFY_MIGRATIONS: Case(verify_one, before=None),
    Kind.CLEANUP: Case(
        lambda db, about, actor, job, tell: cleanup(
            db, None, False, actor, [about], job=job, on_progress=tell
        ),
        blocked=True,
    ),
}


@pytest.fixture
async def db(database):
    opened = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=100), lock_retries=0
    )
    yield opened
    await opened.close()


async def prepare(db: Database, case: Case) -> str:
    """Make a table, park it as the case wants, and return the table's name or the artifact's id."""
    table = f"t{next(serial)}"
    await execute(db, f"CREATE TABLE public.{table} (id int PRIMARY KEY)")
    await execute(db, f"INSERT INTO public.{table} VALUES (1), (2)")
    if case.before is None:
        return f"public.{table}"
    found: str = await fetchval(db, case.before.format(f"public.{table}"))
    await execute(db, MIGRATION)
    if case.sealed:
        await seal(db, found, DBA)
    return found


async def entries(db: Database, kind: str) -> list[Any]:
    return await list_activity(db, ActivityFilter(action=kind, limit=1000))


async def queued(db: Database, kind: Kind, case: Case, about: str) -> jobs.Job:
    if kind is Kind.EXPORT:
        return await export.announce(db, export.ExportRequest(about), DBA)
    of_none = case.before is None or kind in {Kind.CLEANUP, Kind.RESTORE_MIGRATION}
    artifact = None if of_none else about
    return await queueing.start(db, kind, artifact, {}, DBA, object="public.t")


async def told_once(db: Database, kind: Kind, before: int, outcome: str) -> Any:
    """Return the one entry that came since, which has the outcome."""
    found = await entries(db, kind)
    new = found[: len(found) - before]
    assert [entry.outcome for entry in new] == [outcome], (kind, new)
    return new[0]


@pytest.mark.parametrize("kind", list(CASES))
async def test_each_operation_tells_once_how_it_ended(db, kind):
    case = CASES[kind]

    about = await prepare(db, case)  # done
    job, before = await queued(db, kind, case, about), len(await entries(db, kind))
    await case.call(db, about, DBA, job, None)
    await told_once(db, kind, before, "done")
    assert (await jobs.get(db, job.id)).state == "done"

    about = await prepare(db, case)  # refused, with a job that waits
    job, before = await queued(db, kind, case, about), len(await entries(db, kind))
    if kind not in {Kind.VERIFY, Kind.EXPORT}:  # which a viewer may do
        with pytest.raises(NotPermitted):
            await case.call(db, about, case.who_may_not, job, None)
        assert (await told_once(db, kind, before, "refused")).actor == "eve"
        ended = await jobs.get(db, job.id)
        assert (ended.state, ended.error["code"]) == ("refused", "not_permitted")
        before = len(await entries(db, kind))
    else:
        await jobs.cancel(db, job.id, DBA)
    if kind is not Kind.VERIFY:  # and one that begins no job
        with pytest.raises(NotPermitted):
            await case.call(db, about, case.who_may_not, None, None)
        await told_once(db, kind, before, "refused")

    about = await prepare(db, case)  # failed, in the middle of it
    job, before = await queued(db, kind, case, about), len(await entries(db, kind))
    if case.blocked:
        place = await fetchval(
            db,
            "SELECT format('%I.%I', physical_schema, physical_table)"
            " FROM zanith._zanith_migration_artifacts WHERE id = $1",
            about,
        )
        async with db.acquire() as holder, holder.transaction():
            await holder.execute(f"SELECT * FROM {place}")
            if kind is Kind.CLEANUP:
                (result,) = await case.call(db, about, DBA, job, None)
                assert result.outcome == "skipped"
            else:
                with pytest.raises(Locked):
                    await case.call(db, about, DBA, job, None)
    else:
        with pytest.raises(Failed, match="No space left"):
            await case.call(db, about, DBA, job, boom)
    await told_once(db, kind, before, "failed")
    state = (await jobs.get(db, job.id)).state
    assert state == ("done" if kind is Kind.CLEANUP else "failed")

    about = await prepare(db, case)  # cancelled before it began
    job, before = await queued(db, kind, case, about), len(await entries(db, kind))
    await jobs.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled, match="cancelled by dba"):
        await case.call(db, about, DBA, job, None)
    assert "cancelled by dba" in (await told_once(db, kind, before, "cancelled")).detail["message"]
    ended = await jobs.get(db, job.id)
    assert (ended.state, ended.error["message"]) == ("cancelled", "cancelled by dba")

    if not case.blocked:  # the client goes away in the middle
        for waits in (False, True):
            given = await queued(db, kind, case, about) if waits else None
            before = len(await entries(db, kind))
            reached = asyncio.Event()

            async def rest(_: Any, reached: asyncio.Event = reached) -> None:
                reached.set()
                await asyncio.sleep(60)

            task = asyncio.create_task(case.call(db, about, DBA, given, rest))
            await asyncio.wait_for(reached.wait(), 20)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            entry = await told_once(db, kind, before, "cancelled")
            assert "the client disconnected" in entry.detail["message"], entry
            last = (await jobs.list_jobs(db, kinds=[kind]))[0]
            assert last.state == "cancelled", kind
            assert given is None or last.id == given.id
    assert not await jobs.list_jobs(db, states=list(jobs.LIVE))


@pytest.mark.newest
async def test_holds_tell_once_too_and_a_job_of_a_purged_artifact_ends(db):
    about = await prepare(db, CASES[Kind.RESTORE])
    for change, action in ((hold, "hold"), (release, "release")):
        for actor, outcome in ((DBA, "done"), (VIEWER, "refused")):
            before = len(await entries(db, action))
            with suppress(NotPermitted):
                await change(db, about, actor, "a reason")
            found = await entries(db, action)
            assert [e.outcome for e in found[: len(found) - before]] == [outcome], action
    job = await queueing.start(db, Kind.VERIFY, about, {}, DBA, object="public.t")
    await purge(db, about, DBA, confirm=None, confirmed=True)
    with pytest.raises(ZanithError, match="no artifact"):
        await verify(db, about, DBA, job=job)
    ended = await jobs.get(db, job.id)
    assert (ended.state, ended.error["code"]) == ("refused", "not_found")
    assert len(await entries(db, Kind.VERIFY)) == 1


def test_every_kind_has_a_case():
    assert set(CASES) == set(Kind)
