"""Running a job: claimed once, with a lease that fences every write."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from typing import Any
from weakref import WeakSet

from app.recovery.core.errors import Cancelled, Failed, LeaseLost, Locked, Taken, ZanithError
from app.recovery.core.tasks import stop
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import notify
from app.recovery.jobs import audit, leases
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job, get
from app.recovery.jobs.queueing import SHUT_DOWN
from app.recovery.queries import load

SQL = load("jobs")

_interrupted: WeakSet[asyncio.Task[Any]] = WeakSet()
# Seconds that interrupted work has to end in, and those after which it is told again.
LAST_SECONDS = 6.0
TELL_SECONDS = 2.0
GONE = Cancelled("cancelled: the client disconnected")


class Run:
    """A job that this process runs: made by :func:`running`."""

    def __init__(self, db: Database, job: Job, lease: str) -> None:
        self.db = db
        self.job = job
        self.lease = lease
        self.result: dict[str, Any] | None = None
        self.outcome = "done"
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
            await self._write(connection, "progress", values)

    async def attach(self, connection: Connection, artifact_id: str | None) -> None:
        """Say in a transaction which artifact came of it, or is changed now, if any.

        So nobody else works on it. Failed where the lease was lost meanwhile.
        """
        await self._write(connection, "attach", artifact_id)

    async def fence(self, connection: Connection, **values: Any) -> None:
        """Do the same inside the data transaction, as its last statement.

        Failed where the lease was lost meanwhile: the transaction must not commit then.
        """
        await self._write(connection, "progress", values)

    async def finish(self, connection: Connection, result: dict[str, Any]) -> None:
        """End the job with its outcome inside the data transaction: both commit or neither."""
        self.finishing = True  # from here on the transaction decides, not the heartbeat
        await self._write(connection, "finish", self.outcome, result, None)
        self.result = result

    async def _write(self, connection: Connection, statement: str, *values: Any) -> None:
        found = await connection.fetchval(SQL[statement], self.job.id, self.lease, *values)
        if found is None:
            raise LeaseLost(
                hint="look at the jobs page; nothing that was not committed has changed"
            )


def interrupt(task: asyncio.Task[Any]) -> None:
    """Cancel a task because its process ends: a job that it runs is interrupted, not cancelled."""
    _interrupted.add(task)
    task.cancel()


async def interrupt_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Interrupt tasks and wait for their end, for a few seconds.

    A task that awaits the end of another one just then may take its cancellation for the other's:
    so it is told again.
    """
    left = {task for task in tasks if not task.done()}
    until = time.monotonic() + LAST_SECONDS
    while left and time.monotonic() < until:
        for task in left:
            interrupt(task)
        _, left = await asyncio.wait(left, timeout=TELL_SECONDS)


@asynccontextmanager
async def beside(works: Iterable[Coroutine[Any, Any, None]]) -> AsyncIterator[None]:
    """Run works while the body runs; a job of theirs is interrupted at its end."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        yield
    finally:
        await interrupt_all(tasks)


@asynccontextmanager
async def running(db: Database, job: Job) -> AsyncIterator[Run]:
    """Claim a queued job and keep its lease while the body runs.

    The job ends with ``run.result`` as done, or as ``run.outcome`` says, cancelled where somebody
    asked, else refused or failed with the error, which is raised on as a ZanithError. Set
    ``run.finished`` after a commit that contained :meth:`Run.finish`. Locked where somebody else
    claimed it first.
    """
    lease = secrets.token_hex(8)
    await _claim(db, job, lease)
    if (keeping := db.kept_jobs.get(job.id)) is not None:
        keeping.cancel()
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
            await _end(run, run.outcome, None)
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


def _not_waiting(now: Job) -> ZanithError:
    if now.state == "cancelled":
        return Cancelled(f"cancelled by {now.cancel_requested_by}")
    message = f"job {now.id} is not waiting to be run"
    return Taken(message) if now.worker is not None else Locked(message)


async def _end_cancelled(run: Run, body: asyncio.Task[Any]) -> None:
    if run.stop_reason is None and body in _interrupted:
        await _end(run, "interrupted", await _shut_down(run))
    else:
        await _end_failed(run, run.stop_reason or GONE)


async def _end_failed(run: Run, error: ZanithError) -> None:
    await _end(run, audit.outcome_of(error), error)


async def _end(run: Run, state: str, error: ZanithError | None) -> None:
    """Write how the job ended, unless the data transaction already did."""
    if run.finished:
        return
    if run.local:
        said = error.as_kept() if error else None
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
                run.result,
                error.as_kept() if error else None,
            )
            # nobody is there to tell it: the work did not end with an error
            if state == "interrupted" or error is GONE:
                await audit.record_ended(connection, run.job.id)


async def _shut_down(run: Run) -> ZanithError:
    """Return what an interrupted job says: whether anything came of it."""
    progress: dict[str, Any] = {}
    with suppress(ZanithError):
        progress = (await get(run.db, run.job.id)).progress
    if run.job.kind is Kind.DEPLOY:
        detail = (
            "the migrations that it lists are applied; one without a transaction may have run in"
            " part"
        )
    elif progress.get("committed") and run.job.kind is Kind.RESTORE_ROWS:
        detail = "the rows that were put back before that stay"
    elif progress.get("committed"):
        detail = "the change itself is committed; the steps after it did not run"
    elif run.job.kind is Kind.CLEANUP:
        detail = "the artifacts that it lists are purged, all others stay"
    elif run.job.kind is Kind.RESTORE_MIGRATION:
        detail = "the objects that it lists stay restored, all others stay parked"
    else:
        return Failed(SHUT_DOWN)
    return Failed(
        "interrupted: the studio was shut down", detail=detail, hint="start it again for the rest"
    )


def _worker() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
