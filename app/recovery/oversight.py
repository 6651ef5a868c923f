"""Looking after jobs, whoever runs them: list and watch them, cancel them, let them rest."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from app.recovery.database import Actor, Database, notify, require_change
from app.recovery.errors import Refused
from app.recovery.events import await_about
from app.recovery.jobs import READING, SQL, Job, get, read_job


async def list_jobs(
    db: Database,
    *,
    artifact_id: str | None = None,
    states: list[str] | None = None,
    kinds: list[str] | None = None,
    after: Job | None = None,
    limit: int = 50,
) -> list[Job]:
    """Return jobs, newest first; ``after`` is the last one of the page before."""
    key = (after.created_at, after.id) if after else (None, None)
    async with db.side() as connection:
        rows = await connection.fetch(SQL["list"], artifact_id, states, kinds, *key, limit)
    return [read_job(row) for row in rows]


async def watch(db: Database, job_id: str) -> AsyncIterator[Job]:
    """Yield the job now and whenever it changed, up to and with the state in which it ended."""
    async with db.events.subscribe() as queue:
        last: Job | None = None
        while last is None or not last.ended:
            job = await get(db, job_id)
            if job != last:
                yield job
            last = job
            if not job.ended:
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        await await_about(queue, job_id)


async def cancel(db: Database, job_id: str, actor: Actor) -> Job:
    """Ask a job to stop and return it; an ended one is returned as it is."""
    job = await get(db, job_id)
    if job.kind not in READING or job.actor != actor.name:
        require_change(actor, f"cancel a {job.kind} of {job.actor}")
    if job.id in db.local_jobs:
        return job if job.ended else db.local_jobs.change(job.id, cancel_requested_by=actor.name)
    async with db.side() as connection, connection.transaction():
        if await connection.fetchval(SQL["request_cancel"], job_id, actor.name):
            await notify(connection, "job", job_id)
    return await get(db, job_id)


async def pause(db: Database, job_id: str, actor: Actor, *, pause: bool = True) -> Job:
    """Ask a job that works in batches to rest after the one under way, or to go on; return it.

    Refused where the job ended, or its work has no place to rest at.
    """
    job = await get(db, job_id)
    require_change(actor, f"pause a {job.kind}")
    if not job.params.get("online"):
        raise Refused(f"a {job.kind} is one transaction and cannot rest", hint="cancel it instead")
    async with db.side() as connection, connection.transaction():
        found = await connection.fetchval(SQL["pause"], job_id, actor.name if pause else None)
        if found:
            await notify(connection, "job", job_id)
    if not found:
        raise Refused(f"job {job_id} has ended: {job.state}")
    return await get(db, job_id)
