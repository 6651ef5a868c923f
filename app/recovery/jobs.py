"""Jobs: work that takes time, claimed once, with a lease that fences every write.

A unique index lets one change of an artifact live at a time. Ended jobs stay as history.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from weakref import WeakSet

import asyncpg

from app.recovery import audit, leases
from app.recovery.database import Actor, Connection, Database, notify, require_change
from app.recovery.errors import (
    Cancelled,
    Failed,
    LeaseLost,
    Locked,
    NotFound,
    Taken,
    ZanithError,
    translate,
)
from app.recovery.sql import load
from app.recovery.tasks import stop

SQL = load("jobs")
# So long is a job that gives way waited for.
GIVE_WAY = timedelta(seconds=10)
LOOK_AGAIN = 0.05
ENDED = frozenset({"done", "failed", "cancelled", "interrupted"})
LIVE = ("queued", "running")
READING = frozenset({"export", "verify"})
SHUT_DOWN = "interrupted: the studio was shut down; nothing was changed, start it again"
_interrupted: WeakSet[asyncio.Task[Any]] = WeakSet()


@dataclass(frozen=True)
class Job:
    """One row of the job table."""

    id: str
    kind: str
    artifact_id: str | None
    object: str | None
    state: str
    params: dict[str, Any]
    progress: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    actor: str
    worker: str | None
    cancel_requested_by: str | None
    pause_requested_by: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def elapsed(self) -> float:
        """Seconds that it ran, until now where it still does."""
        if self.started_at is None:
            return 0.0
        end = self.ended_at or datetime.now(self.started_at.tzinfo)
        return max(0.0, (end - self.started_at).total_seconds())

    def to_json(self) -> dict[str, Any]:
        """Return the job as JSON shows it; times in ISO 8601, elapsed in seconds."""
        data = asdict(self)
        for key in ("created_at", "started_at", "ended_at"):
            data[key] = data[key].isoformat() if data[key] else None
        return {**data, "elapsed": round(self.elapsed, 3)}


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
    """Put a job into the table for whoever comes for it within `wait`, None for ever; return it.

    Locked, naming who runs what, where a live change of the artifact exists.
    """
    if kind not in READING:
        require_change(actor, f"start a {kind}")
    job_id = secrets.token_hex(8)
    if db.server.standby and kind in READING:
        return db.local_jobs.keep(
            Job(
                id=job_id,
                kind=kind,
                artifact_id=artifact_id,
                object=object,
                state="queued",
                params=params,
                progress={},
                result=None,
                error=None,
                actor=actor.name,
                worker=None,
                cancel_requested_by=None,
                pause_requested_by=None,
                created_at=datetime.now(UTC),
                started_at=None,
                ended_at=None,
            ),
        )
    values = (job_id, kind, artifact_id, object, json.dumps(params, default=str), actor.name)
    for last_try in (False, True):
        try:
            async with db.side() as connection, connection.transaction():
                await connection.fetchval(SQL["start"], *values, wait)
                await notify(connection, "job", job_id)
            return await get(db, job_id)
        except ZanithError as exc:
            if not isinstance(exc.__cause__, asyncpg.UniqueViolationError):
                raise
            await leases.reap_expired(db)
            live = await _live(db, artifact_id)
            if live is not None and not last_try and _gives_way(live, kind):
                await _make_way(db, live, actor)
                continue
            if live is not None or last_try:
                raise _occupied(live) from None
    raise AssertionError("unreachable")


def _occupied(job: Job | None) -> Locked:
    if job is None:
        return Locked("somebody else just worked on it", hint="look at it again")
    return Locked(
        f"a {job.kind} of it is under way",
        detail=f"job {job.id}, started by {job.actor} at {job.created_at:%Y-%m-%d %H:%M:%S} UTC",
        hint="wait for it or cancel it",
    )


async def get(db: Database, job_id: str) -> Job:
    """Return a job as it is now; NotFound where there is none."""
    if (local := db.local_jobs.get(job_id)) is not None:
        return local
    async with db.side() as connection:
        row = await connection.fetchrow(SQL["get"], job_id)
    if row is None:
        raise NotFound(f"there is no job {job_id}")
    return read_job(row)


class Run:
    """A job that this process runs: made by :func:`running`."""

    def __init__(self, db: Database, job: Job, lease: str) -> None:
        self.db = db
        self.job = job
        self.lease = lease
        self.result: dict[str, Any] | None = None
        self.finishing = False
        self.finished = False
        self.stop_reason: ZanithError | None = None
        self.paused_by: str | None = job.pause_requested_by
        self.told = 0

    @property
    def local(self) -> bool:
        """Whether the job lives in this process only, on a standby."""
        return self.job.id in self.db.local_jobs

    async def progress(self, **values: Any) -> None:
        """Merge values into the job's progress, over a connection of its own."""
        if self.local:
            now = await get(self.db, self.job.id)
            self.db.local_jobs.change(now.id, progress={**now.progress, **values})
            return
        async with self.db.side() as connection, connection.transaction():
            await self._write(connection, "progress", json.dumps(values, default=str))

    async def attach(self, connection: Connection, artifact_id: str) -> None:
        """Say in the data transaction which artifact came of it, so that nobody else works on it.

        Failed where the lease was lost meanwhile.
        """
        await self._write(connection, "attach", artifact_id)

    async def fence(self, connection: Connection, **values: Any) -> None:
        """Do the same inside the data transaction, as its last statement.

        Failed where the lease was lost meanwhile: the transaction must not commit then.
        """
        await self._write(connection, "progress", json.dumps(values, default=str))

    async def finish(self, connection: Connection, result: dict[str, Any]) -> None:
        """End the job as done inside the data transaction: both commit or neither."""
        self.finishing = True  # from here on the transaction decides, not the heartbeat
        await self._write(connection, "finish", "done", json.dumps(result, default=str), None)
        self.result = result

    async def _write(self, connection: Connection, statement: str, *values: Any) -> None:
        found = await connection.fetchval(SQL[statement], self.job.id, self.lease, *values)
        if found is None:
            raise LeaseLost(
                hint="look at the jobs page; nothing that was not committed has changed"
            )
        await notify(connection, "job", self.job.id)


def interrupt(task: asyncio.Task[Any]) -> None:
    """Cancel a task because its process ends: a job that it runs is interrupted, not cancelled."""
    _interrupted.add(task)
    task.cancel()


async def abandon(db: Database, job_id: str, error: ZanithError | None = None) -> None:
    """End a job that was to run in this process, which ends; nothing where it began or ended."""
    error = error or Failed(SHUT_DOWN)
    if (local := db.local_jobs.get(job_id)) is not None:
        if local.state == "queued":
            now = datetime.now(UTC)
            said = error.as_dict()
            db.local_jobs.change(job_id, state="interrupted", error=said, ended_at=now)
        return
    async with db.side() as connection, connection.transaction():
        if await connection.fetchval(SQL["abandon"], job_id, json.dumps(error.as_dict())):
            await audit.record_interrupted(connection, job_id)
            await notify(connection, "job", job_id)


@asynccontextmanager
async def running(db: Database, job: Job) -> AsyncIterator[Run]:
    """Claim a queued job and keep its lease while the body runs.

    The job ends as done with ``run.result``, cancelled where somebody asked, else failed with
    the error, which is raised on as a ZanithError. Set ``run.finished`` after a commit that
    contained :meth:`Run.finish`. Locked where somebody else claimed it first.
    """
    lease = secrets.token_hex(8)
    try:
        await _claim(db, job, lease)
        if (keeping := db.kept_jobs.get(job.id)) is not None:
            keeping.cancel()
    except Failed as exc:  # nobody else is to wait for it, where it is nobody else's to run
        if not job.params.get("handed_over"):
            with suppress(ZanithError):
                await abandon(db, job.id, exc)
        raise
    run = Run(db, job, lease)
    body = asyncio.current_task()
    assert body is not None  # noqa: S101 - a coroutine always runs in a task
    heart = asyncio.create_task(leases.beat(run, body))
    try:
        yield run
    except asyncio.CancelledError:
        try:
            await stop(heart)
        finally:
            await _end_cancelled(run, body)
        if run.stop_reason is None:
            raise
        for _ in range(run.told):
            body.uncancel()
        raise run.stop_reason from None
    except Exception as exc:
        error = translate(exc)
        try:
            await stop(heart)
        finally:
            await _end_failed(run, error)
        raise error from exc
    else:
        try:
            await stop(heart)
        finally:
            await _end(run, "done", None)
    finally:
        await stop(heart)


async def _claim(db: Database, job: Job, lease: str) -> None:
    if job.id in db.local_jobs:
        now = await get(db, job.id)
        if now.state != "queued":
            raise _not_waiting(now)
        db.local_jobs.change(job.id, state="running", started_at=datetime.now(UTC))
        return
    async with db.side() as connection, connection.transaction():
        claimed = await connection.fetchval(SQL["claim"], job.id, _worker(), lease, leases.LEASE)
        if claimed:
            await notify(connection, "job", job.id)
    if not claimed:
        raise _not_waiting(await get(db, job.id))


def _not_waiting(now: Job) -> Locked:
    message = f"job {now.id} is not waiting to be run"
    return Taken(message) if now.worker is not None else Locked(message)


async def _end_cancelled(run: Run, body: asyncio.Task[Any]) -> None:
    if run.stop_reason is None and body in _interrupted:
        await _end(run, "interrupted", await _shut_down(run))
    else:
        gone = Cancelled("cancelled: whoever asked for it went away")
        await _end_failed(run, run.stop_reason or gone)


async def _end_failed(run: Run, error: ZanithError) -> None:
    await _end(run, "cancelled" if isinstance(error, Cancelled) else "failed", error)


async def _end(run: Run, state: str, error: ZanithError | None) -> None:
    """Write how the job ended, unless the data transaction already did."""
    if run.finished:
        return
    if run.local:
        said = error.as_dict() if error else None
        ended = datetime.now(UTC)
        run.db.local_jobs.change(
            run.job.id, state=state, result=run.result, error=said, ended_at=ended
        )
        return
    with suppress(ZanithError):
        async with run.db.leasing() as connection, connection.transaction():
            await run._write(  # noqa: SLF001 - same module
                connection,
                "finish",
                state,
                json.dumps(run.result, default=str) if run.result is not None else None,
                json.dumps(error.as_dict()) if error else None,
            )
            if state == "interrupted":
                await audit.record_interrupted(connection, run.job.id)


async def _shut_down(run: Run) -> ZanithError:
    """Return what an interrupted job says: whether anything came of it."""
    progress: dict[str, Any] = {}
    with suppress(ZanithError):
        progress = (await get(run.db, run.job.id)).progress
    if progress.get("committed"):
        detail = "the change itself is committed; what was to follow it is not done"
    elif run.job.kind == "cleanup":
        detail = "what it lists as purged is gone, all else stays"
    else:
        return Failed(SHUT_DOWN)
    return Failed(
        "interrupted: the studio was shut down", detail=detail, hint="start it again for the rest"
    )


def _gives_way(live: Job, kind: str) -> bool:
    """Whether a job is not worth waiting for: a seal of what is about to come back, or to go.

    It only reads; where an archive stays after the restore, a sweep seals it then.
    """
    return live.kind == "seal" and kind in {"restore", "purge"}


async def _make_way(db: Database, live: Job, actor: Actor) -> None:
    """Cancel a job that is not worth waiting for, and wait for its end."""
    async with db.side() as connection, connection.transaction():
        await connection.fetchval(SQL["request_cancel"], live.id, actor.name)
        await notify(connection, "job", live.id)
    with suppress(TimeoutError):
        async with asyncio.timeout(GIVE_WAY.total_seconds()):
            while not (await get(db, live.id)).ended:  # noqa: ASYNC110 - by another process
                await asyncio.sleep(LOOK_AGAIN)


async def _live(db: Database, artifact_id: str | None) -> Job | None:
    async with db.side() as connection:
        row = await connection.fetchrow(SQL["live"], artifact_id)
    return read_job(row) if row else None


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"


def read_job(row: Any) -> Job:
    """Return the job that a row of the table says."""
    data = dict(row)
    for key in ("params", "progress", "result", "error"):
        data[key] = json.loads(data[key]) if data[key] else data[key]
    return Job(**data)
