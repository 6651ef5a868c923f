"""Verification by the clock: one artifact at a time, slowly, and never in the way of other work.

The job of a scheduled verification is what keeps a second process from another one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from contextlib import suppress
from datetime import timedelta

from app.recovery.core.actor import Actor
from app.recovery.core.errors import ZanithError
from app.recovery.core.tasks import stop
from app.recovery.db.database import Database
from app.recovery.db.transactions import notify
from app.recovery.jobs import leases
from app.recovery.jobs import model as jobs
from app.recovery.queries import load
from app.recovery.rows.seal import verify

SQL = load("seal")
log = logging.getLogger("zanith.verify")

LOOK_AGAIN = 60.0
PAUSE = 1.0
"""Seconds between two artifacts, and between two looks for work that comes first."""
TRY_AGAIN = timedelta(hours=6)
"""So long an artifact is left alone whose verification did not end."""


async def verify_regularly(db: Database, every: timedelta, rate: int, actor: Actor) -> None:
    """Verify each artifact that often, at so many bytes a second, until cancelled.

    The one whose verification is the oldest comes first. Where the server is away, or is a standby,
    it looks again later.
    """
    while True:
        done = False
        try:
            if not db.server.standby:
                done = await verify_oldest(db, every, rate, actor)
        except ZanithError as exc:
            log.warning("a scheduled verification did not end: %s", exc.for_log)
            done = True
        await asyncio.sleep(PAUSE if done else LOOK_AGAIN)


async def verify_oldest(db: Database, every: timedelta, rate: int, actor: Actor) -> bool:
    """Verify the artifact that is due the longest; False where none is, or another process does.

    Other work on the artifact cancels it. Raises what a verification raises.
    """
    job_id = secrets.token_hex(8)
    async with db.side() as connection, connection.transaction():
        await connection.execute(SQL["one_at_a_time"])
        artifact_id = await connection.fetchval(
            SQL["queue_due"], job_id, actor.name, leases.LEASE, every, min(every, TRY_AGAIN)
        )
        if artifact_id is None:
            return False
        await notify(connection, "job", job_id)
    job = await jobs.get(db, job_id)
    task = asyncio.create_task(verify(db, artifact_id, actor, job=job, rate=rate))
    try:
        while not task.done():
            await asyncio.wait({task}, timeout=PAUSE)
            with suppress(ZanithError):
                if not task.done() and await _is_in_the_way(db, job):
                    await jobs.cancel(db, job_id, actor)
    finally:
        if not task.done():
            await stop(task)
    await task
    return True


async def _is_in_the_way(db: Database, job: jobs.Job) -> bool:
    async with db.side() as connection:
        found: bool = await connection.fetchval(SQL["others_wait"], job.artifact_id, job.id)
    return found
