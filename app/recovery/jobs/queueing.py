"""Putting jobs into the table, for this process or for any worker.

A unique index lets one change of an artifact live at a time.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

import asyncpg

from app.recovery.artifacts.lookup import no_artifact
from app.recovery.core.actor import Actor, check_words, require_change
from app.recovery.core.errors import Failed, Locked, Taken, ZanithError
from app.recovery.db.database import Database
from app.recovery.db.events import await_about
from app.recovery.db.transactions import notify
from app.recovery.jobs import audit, leases
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job, cancel, get, read_job
from app.recovery.queries import load

SQL = load("jobs")
T = TypeVar("T")

# So long is a job that gives way waited for.
GIVE_WAY = timedelta(seconds=10)
LOOK_AGAIN = 1.0
SHUT_DOWN = "interrupted: the studio was shut down; nothing was changed, start it again"


async def start(
    db: Database,
    kind: str,
    artifact_id: str | None,
    params: dict[str, Any],
    actor: Actor,
    *,
    object: str | None = None,  # noqa: A002 - the column's name
) -> Job:
    """Put a job into the table that this process is about to run, and return it, queued.

    Its lease is kept from the start: where the process dies first, it is in nobody's way for long.
    Locked, naming who runs what, where a live change of the artifact exists.
    """
    job = await queue(db, kind, artifact_id, params, actor, object=object, wait=leases.LEASE)
    if job.id not in db.local_jobs:
        keeping = db.kept_jobs[job.id] = asyncio.create_task(leases.keep(db, job.id))
        keeping.add_done_callback(lambda _: db.kept_jobs.pop(job.id, None))
    return job


async def queue(
    db: Database,
    kind: str,
    artifact_id: str | None,
    params: dict[str, Any],
    actor: Actor,
    *,
    object: str | None = None,  # noqa: A002 - the column's name
    wait: timedelta | None,
) -> Job:
    """Put a job into the table for any worker that comes within `wait`, None for ever; return it.

    Locked, naming who runs what, where a live change of the artifact exists; NotFound where the
    artifact was purged meanwhile.
    """
    does = Kind(kind)
    if not does.reads:
        require_change(actor, f"start a {does.words}")
    check_words(actor, params.get("reason"), params.get("migration_id"))
    job_id = secrets.token_hex(8)
    if db.server.standby and does.reads:
        return db.local_jobs.keep(
            Job(
                id=job_id,
                kind=does,
                artifact_id=artifact_id,
                object=object,
                state="queued",
                params=params,
                progress={},
                result=None,
                error=None,
                actor=actor.name,
                actor_role=db.server.role,
                worker=None,
                cancel_requested_by=None,
                pause_requested_by=None,
                created_at=datetime.now(UTC),
                started_at=None,
                ended_at=None,
            ),
        )
    values = (job_id, does, artifact_id, object, params, actor.name)

    async def write() -> Job:
        async with db.side() as connection, connection.transaction():
            await connection.fetchval(SQL["start"], *values, wait)
            # it may have waited for the job that purged it
            if artifact_id and not await connection.fetchval(SQL["has_artifact"], artifact_id):
                raise no_artifact(artifact_id)
            await notify(connection, "job", job_id)
        return await get(db, job_id)

    return await unless_occupied(db, does, artifact_id, object, actor, write)


async def unless_occupied(
    db: Database,
    kind: Kind,
    artifact_id: str | None,
    name: str | None,
    actor: Actor,
    write: Callable[[], Awaitable[T]],
) -> T:
    """Write what makes a job the live change of an artifact, and return what that returns.

    A seal of it gives way. Locked, naming who runs what, where another live change exists.
    """
    for last_try in (False, True):
        try:
            return await write()
        except ZanithError as exc:
            if not isinstance(exc.__cause__, asyncpg.UniqueViolationError):
                raise
            await leases.reap_expired(db)
            live = await _live(db, kind, artifact_id, name)
            if live is not None and not last_try and _gives_way(live, kind):
                await _make_way(db, live, actor)
                continue
            if live is not None or last_try:
                raise _occupied(live, kind) from None
    raise AssertionError("unreachable")


def _occupied(live: Job | None, kind: Kind) -> Locked:
    """Return what stands in the way; another seal comes to the same as this one."""
    error = Taken if kind is Kind.SEAL and (live is None or live.kind == kind) else Locked
    if live is None:
        return error("another session has just worked on it", hint="look at it again")
    found = error(
        f"a {live.kind.does_to_one} is under way"
        if kind.alone
        else f"a {live.kind.does_to_one} of it is under way",
        detail=f"job {live.id}, started by {live.actor} at {live.created_at:%Y-%m-%d %H:%M:%S} UTC",
        hint="wait for it or cancel it",
    )
    found.job = live
    if isinstance(found, Taken):
        found.job_id = live.id
    return found


async def abandon(db: Database, job_id: str) -> None:
    """End a job that the process which took it will not run; nothing if it began or ended."""
    error = Failed(SHUT_DOWN)
    if (local := db.local_jobs.get(job_id)) is not None:
        if local.state == "queued":
            now = datetime.now(UTC)
            said = error.as_kept()
            db.local_jobs.change(job_id, state="interrupted", error=said, ended_at=now)
        return
    async with db.side() as connection, connection.transaction():
        if await connection.fetchval(SQL["abandon"], job_id, error.as_kept(), "interrupted"):
            await audit.record_ended(connection, job_id)
            await notify(connection, "job", job_id)


async def end_unbegun(db: Database, job_id: str, error: ZanithError) -> None:
    """End a job whose work was refused before it began; the audit log has the reason already."""
    state = audit.outcome_of(error)
    if (local := db.local_jobs.get(job_id)) is not None:
        if local.state == "queued":
            said, now = error.as_kept(), datetime.now(UTC)
            db.local_jobs.change(job_id, state=state, error=said, ended_at=now)
        return
    async with db.side() as connection, connection.transaction():
        if await connection.fetchval(SQL["abandon"], job_id, error.as_kept(), state):
            await notify(connection, "job", job_id)


async def await_end(db: Database, job_id: str) -> None:
    """Wait until a job ended, in any process; if that process is gone it ends with its lease."""
    async with db.events.subscribe() as queue:
        while not (await get(db, job_id)).ended:
            await leases.reap_expired(db)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_AGAIN):
                    await await_about(queue, job_id)


def _gives_way(live: Job, kind: Kind) -> bool:
    """Whether a job is not worth waiting for: a seal of what is about to come back, or to go.

    It only reads; where an archive stays after the restore, a sweep seals it then.
    """
    return live.kind is Kind.SEAL and kind.outranks_seal


async def _make_way(db: Database, live: Job, actor: Actor) -> None:
    """Cancel a job that is not worth waiting for, and wait for its end."""
    await cancel(db, live.id, actor)
    with suppress(TimeoutError):
        async with asyncio.timeout(GIVE_WAY.total_seconds()):
            await await_end(db, live.id)


async def _live(db: Database, kind: Kind, artifact_id: str | None, name: str | None) -> Job | None:
    """Return the live change of an artifact; without one, the live restore of that migration.

    Of a kind that runs alone, the live job.
    """
    async with db.side() as connection:
        only = kind.value if kind.alone else None
        row = await connection.fetchrow(SQL["live"], artifact_id, name, only)
    return read_job(row) if row else None
