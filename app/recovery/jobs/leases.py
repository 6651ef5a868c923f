"""Leases of jobs, kept by the process that runs them or is about to.

Each heartbeat renews one and reads whether somebody wants the job stopped; NOTIFY only wakes. One
that ran out makes the job ``interrupted``.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from app.recovery.core.errors import Cancelled, LeaseLost, ZanithError
from app.recovery.db.database import Database
from app.recovery.db.events import await_about
from app.recovery.db.transactions import notify
from app.recovery.jobs import audit
from app.recovery.queries import load

if TYPE_CHECKING:
    from app.recovery.jobs.runs import Run

SQL = load("jobs")
LEASE = timedelta(seconds=20)
HEARTBEAT = timedelta(seconds=3)
# An announced export waits this long for somebody to fetch it, and a job for its own process.
WAIT_TO_START = timedelta(minutes=10)


async def keep(db: Database, job_id: str) -> None:
    """Renew the lease of a job that waits for its turn in this process, for ten minutes at most."""
    with suppress(TimeoutError):
        async with asyncio.timeout(WAIT_TO_START.total_seconds()):
            waits = True
            while waits:
                await asyncio.sleep(HEARTBEAT.total_seconds())
                with suppress(ZanithError):
                    async with db.leasing() as connection:
                        waits = await connection.fetchval(SQL["keep"], job_id, LEASE) is not None


async def beat(run: Run, body: asyncio.Task[Any]) -> None:
    """Renew the lease; stop the body when the lease is lost or somebody wants it stopped."""
    async with run.db.events.subscribe() as queue:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT.total_seconds()):
                    await await_about(queue, run.job.id)
            try:
                row = await _renew(run)
            except ZanithError:
                continue  # the data transaction's fence has the last word
            if run.finishing:
                return
            run.paused_by = row["pause_requested_by"] if row is not None else None
            if row is None:
                run.stop_reason = LeaseLost()
            elif row["cancel_requested_by"]:
                run.stop_reason = Cancelled(f"cancelled by {row['cancel_requested_by']}")
            if run.stop_reason:
                await _insist(run, body)
                return


async def _insist(run: Run, body: asyncio.Task[Any]) -> None:
    """Tell the body to stop until it does, and keep the lease while it cleans up.

    Once is not enough: a task that awaits the end of another one just then may take its
    cancellation for the other's.
    """
    while not run.finishing:
        body.cancel()
        run.told += 1
        await asyncio.sleep(HEARTBEAT.total_seconds())
        with suppress(ZanithError):
            await _renew(run)


async def _renew(run: Run) -> Any:
    """Renew the lease and return who wants the job cancelled; None where the lease is lost."""
    if (local := run.db.local_jobs.get(run.job.id)) is not None:
        return asdict(local)
    async with run.db.leasing() as connection:
        return await connection.fetchrow(SQL["heartbeat"], run.job.id, run.lease, LEASE)


async def reap_expired(db: Database) -> list[str]:
    """Mark jobs whose lease ran out as interrupted, and return their ids."""
    async with db.side() as connection, connection.transaction():
        ids = [row["id"] for row in await connection.fetch(SQL["reap"])]
        for job_id in ids:
            await audit.record_ended(connection, job_id)
            await notify(connection, "job", job_id)
    return ids
