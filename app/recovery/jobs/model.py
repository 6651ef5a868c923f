"""Jobs as rows: read them, watch them, ask them to stop or to rest. Ended ones stay as history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.recovery.core.actor import Actor, require_change
from app.recovery.core.errors import NotFound, Refused
from app.recovery.db.database import Database
from app.recovery.db.events import await_about
from app.recovery.db.transactions import notify
from app.recovery.jobs import audit
from app.recovery.jobs.kinds import Kind
from app.recovery.queries import load

SQL = load("jobs")
LIVE = ("queued", "running")
HOW_IT_ENDED = (*audit.OUTCOMES, "interrupted")
ENDED = frozenset(HOW_IT_ENDED)


@dataclass(frozen=True)
class Job:
    """One row of the job table."""

    id: str
    kind: Kind
    artifact_id: str | None
    object: str | None
    state: str
    params: dict[str, Any]
    progress: dict[str, Any]
    result: dict[str, Any] | None
    error: dict[str, Any] | None
    actor: str
    actor_role: str | None
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


async def get(db: Database, job_id: str) -> Job:
    """Return a job as it is now; NotFound where there is none."""
    if (local := db.local_jobs.get(job_id)) is not None:
        return local
    async with db.side() as connection:
        row = await connection.fetchrow(SQL["get"], job_id)
    if row is None:
        raise NotFound(f"there is no job {job_id}", hint="see zanith jobs list")
    return read_job(row)


def read_job(row: Any) -> Job:
    """Return the job that a row of the table says."""
    return Job(**{**dict(row), "kind": Kind(row["kind"])})


async def list_jobs(
    db: Database,
    *,
    artifact_id: str | None = None,
    states: list[str] | None = None,
    kinds: list[str] | None = None,
    after: Job | None = None,
    limit: int = 50,
    blocked: bool | None = None,
) -> list[Job]:
    """Return jobs, newest first; ``after`` is the last one of the page before."""
    key = (after.created_at, after.id) if after else (None, None)
    async with db.side() as connection:
        rows = await connection.fetch(SQL["list"], artifact_id, states, kinds, *key, limit, blocked)
    return [read_job(row) for row in rows]


async def find_newest(db: Database, kind: Kind, digest: str) -> Job | None:
    """Return the newest job of a kind about just what has the digest; None where there is none."""
    async with db.side() as connection:
        row = await connection.fetchrow(SQL["newest"], kind.value, digest)
    return read_job(row) if row else None


async def count_blocked(db: Database) -> int:
    """Return how many jobs wait for a lock that others have."""
    async with db.side() as connection:
        number: int = await connection.fetchval(SQL["count_blocked"])
    return number


async def watch(db: Database, job_id: str) -> AsyncGenerator[Job]:
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
    if not job.kind.reads or job.actor != actor.name:
        require_change(actor, f"cancel a {job.kind.words} of {job.actor}")
    if job.id in db.local_jobs:
        return job if job.ended else db.local_jobs.change(job.id, cancel_requested_by=actor.name)
    async with db.side() as connection, connection.transaction():
        state = await connection.fetchval(SQL["request_cancel"], job_id, actor.name)
        if state is not None:
            await notify(connection, "job", job_id)
        if state == "cancelled" and job.params.get("handed_over"):  # nobody else tells of it
            await audit.record_ended(connection, job_id)
    return await get(db, job_id)


async def pause(db: Database, job_id: str, actor: Actor, *, pause: bool = True) -> Job:
    """Ask a job that works in batches to rest after the one under way, or to go on; return it.

    Refused where the job ended, or its work has no place to rest at.
    """
    job = await get(db, job_id)
    require_change(actor, f"pause a {job.kind.words}")
    if not job.params.get("online"):
        message = f"a {job.kind.words} does not work in batches and cannot be paused"
        raise Refused(message, hint="cancel it instead")
    async with db.side() as connection, connection.transaction():
        found = await connection.fetchval(SQL["pause"], job_id, actor.name if pause else None)
        if found:
            await notify(connection, "job", job_id)
    if not found:
        raise Refused(f"job {job_id} has ended: {job.state}")
    return await get(db, job_id)
