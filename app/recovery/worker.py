"""Workers: any process with a connection can run waiting jobs, and resume interrupted ones.

Several may work at once, on one machine or many: a job is claimed once, and an artifact has one
live change. A job that was handed over waits for any of them; one whose worker was lost is taken up
again where its work can be gone on with, a few times at most.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Protocol

from app.recovery.approvals.deciding import lapse
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor, require_change
from app.recovery.core.errors import Locked, Refused, Taken, ZanithError
from app.recovery.db.database import Database
from app.recovery.db.events import Event
from app.recovery.jobs import leases, queueing, runs
from app.recovery.jobs import model as jobs
from app.recovery.jobs.kinds import Kind, Trait, kinds_with
from app.recovery.jobs.model import Job
from app.recovery.jobs.operation import attempt
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.queries import load
from app.recovery.restore.migration import restore_migration
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import seal, sweep, verify

SQL = load("jobs")

log = logging.getLogger(__name__)
ACTOR = Actor(name="zanith worker", address=None, role="staff")
ATTEMPTS = 5
# Seconds after which to look again where nobody told of work or of a capture, those for which what
# is told is gathered, and those that a capture has to seal itself.
SWEEP_AGAIN = 60.0
LOOK_AGAIN = 2.0
GATHER = 0.1
SETTLE = 1.5


async def hand_over(
    db: Database,
    kind: str,
    artifact_id: str | None,
    params: dict[str, Any],
    actor: Actor,
    *,
    object: str | None,  # noqa: A002 - the column's name
) -> Job:
    """Put a job into the table for any worker to run, and return it.

    Locked, naming who runs what, where a live change of the artifact exists; Refused for a kind
    that wants somebody to confirm it.
    """
    async with attempt(db, actor, kind, artifact_id, object):
        if not Kind(kind).detaches:
            raise Refused(f"a {Kind(kind).words} cannot be queued: it must be confirmed")
        return await _hand_over(db, kind, artifact_id, params, actor, object)


async def _hand_over(
    db: Database,
    kind: str,
    artifact_id: str | None,
    params: dict[str, Any],
    actor: Actor,
    name: str | None,
) -> Job:
    said = {**params, "handed_over": True, "address": actor.address}
    return await queueing.queue(db, kind, artifact_id, said, actor, object=name, wait=None)


async def find_work(db: Database) -> list[Job]:
    """Return what waits for a worker, oldest first; what was left half done has a new job by then.

    Of several who look at once, one gets a job: the others' are Locked when they begin.
    """
    await leases.reap_expired(db)
    settling = kinds_with(Trait.SETTLES)
    async with db.side() as connection:
        left = [row["id"] for row in await connection.fetch(SQL["resumable"], ATTEMPTS, settling)]
    for job_id in left:
        with suppress(Locked, Refused):  # somebody else was first, or undid it
            await resume(db, job_id, None)
    async with db.side() as connection:
        waiting = [row["id"] for row in await connection.fetch(SQL["handed_over"])]
    return [await jobs.get(db, job_id) for job_id in waiting]


class Crew(Protocol):
    """The tasks of one process that run jobs."""

    @property
    def full(self) -> bool:
        """Whether it takes no more jobs for now."""
        ...

    @property
    def running(self) -> int:
        """How many tasks are under way."""
        ...

    def runs(self, job_id: str) -> bool:
        """Whether the job is under way here."""
        ...

    def take(self, db: Database, job: Job) -> None:
        """Begin to run a job."""
        ...


async def keep_up(db: Database, crew: Crew, actor: Actor, *, once: bool = False) -> None:
    """Let the crew run what waits for a worker, and seal what has no seal, until cancelled.

    With `once` until nothing is left. Where the server is away, or is a standby, it looks again
    later. What the crew runs goes on when this ends.
    """
    given_up: set[str] = set()
    sweeping: asyncio.Task[None] | None = None
    sweep_at = 0.0
    async with db.events.subscribe() as queue:
        try:
            while True:
                for job in await _look(db, patient=not once):
                    if not crew.full and not crew.runs(job.id):
                        crew.take(db, job)
                if sweeping is not None and sweeping.done():
                    sweeping.result()
                if time.monotonic() >= sweep_at and not crew.full and not _under_way(sweeping):
                    sweep_at = time.monotonic() + SWEEP_AGAIN
                    sweeping = asyncio.create_task(_sweep(db, actor, given_up))
                if once and not crew.running:
                    if sweeping is not None:
                        await sweeping
                    return
                if await _hear(queue):
                    # The command that captured seals by itself: let it come first.
                    sweep_at = min(sweep_at, time.monotonic() + SETTLE)
        finally:
            if sweeping is not None:
                await runs.interrupt_all([sweeping])


def _under_way(task: asyncio.Task[None] | None) -> bool:
    return task is not None and not task.done()


async def _look(db: Database, *, patient: bool) -> list[Job]:
    """Return what waits; where the server is away a patient worker looks again later."""
    try:
        return [] if patient and db.server.standby else await find_work(db)
    except ZanithError as exc:
        if not patient:
            raise
        log.warning("cannot look for work: %s", exc.for_log)
        return []


async def _sweep(db: Database, actor: Actor, given_up: set[str]) -> None:
    with suppress(ZanithError):
        await db.refresh()  # a standby may have been promoted
        if not db.server.standby:
            await sweep(db, actor, given_up)
            await lapse(db, actor)


async def _hear(queue: asyncio.Queue[Event]) -> bool:
    """Wait until there may be work again; whether an artifact may have come meanwhile."""
    heard: list[Event] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(LOOK_AGAIN):
            heard.append(await queue.get())
            await asyncio.sleep(GATHER)
    while not queue.empty():
        heard.append(queue.get_nowait())
    return any(event.kind in {"artifact", "reconnected"} for event in heard)


class _Crew:
    """So many tasks at once; ``tell`` hears of each job, with a word of what came of it."""

    def __init__(self, at_once: int, tell: Callable[[Job, str], None]) -> None:
        self._at_once = at_once
        self._tell = tell
        self.tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def full(self) -> bool:
        return self.running >= self._at_once

    @property
    def running(self) -> int:
        return len(self.tasks)

    def runs(self, job_id: str) -> bool:
        return job_id in self.tasks

    def take(self, db: Database, job: Job) -> None:
        task = self.tasks[job.id] = asyncio.create_task(self._run(db, job))
        task.add_done_callback(lambda _: self.tasks.pop(job.id))

    async def _run(self, db: Database, job: Job) -> None:
        self._tell(job, "begun")
        try:
            await perform(db, job)
        except Taken:
            self._tell(job, "another worker has it")
        except ZanithError as exc:
            self._tell(job, exc.for_log)
        else:
            self._tell(job, "done")


async def serve(
    db: Database, at_once: int, tell: Callable[[Job, str], None], *, once: bool = False
) -> None:
    """Keep up with so many jobs at once, until cancelled; with `once` until nothing is left.

    What is under way then is interrupted, and another worker goes on with it. ``tell`` hears of
    each job when it begins and when it ends, with a word of what came of it.
    """
    crew = _Crew(at_once, tell)
    try:
        await keep_up(db, crew, ACTOR, once=once)
    finally:
        await runs.interrupt_all(crew.tasks.values())


async def resume(db: Database, job_id: str, actor: Actor | None) -> Job:
    """Return a new job that goes on with one that ended half done; without an actor as its own.

    Refused where there is nothing to go on with.
    """
    job = await jobs.get(db, job_id)
    if actor is not None:
        require_change(actor, f"go on with a {job.kind}")
    if not job.ended or job.state == "done" or not job.params.get("online"):
        raise Refused(
            f"there is nothing to resume in job {job.id}",
            detail=f"it is a {job.kind}, {job.state}",
            hint="only online work that was cancelled or interrupted can be resumed",
        )
    async with db.side() as connection:
        begun: bool = await connection.fetchval(SQL["left_half_done"], job.artifact_id)
    if not begun and not job.params.get("handed_over"):
        raise Refused(
            f"no work on {job.object} is unfinished", hint="look at it, and start it again"
        )
    params = {
        **job.params,
        "resumes": job.id,
        "attempt": int(job.params.get("attempt", 1)) + (actor is None),
        "digest": None if begun else job.params.get("digest"),
    }
    if actor is None:  # of several workers one goes on with it, and the others have no part in it
        return await _hand_over(
            *(db, job.kind, job.artifact_id, params), acting_for(job), job.object
        )
    return await hand_over(db, job.kind, job.artifact_id, params, actor, object=job.object)


def acting_for(job: Job) -> Actor:
    """Return who asked for the job: it was seen to then that they may."""
    return Actor(job.actor, job.params.get("address"), "staff")


async def perform(db: Database, job: Job) -> None:
    """Run a job as its row says it, and raise what that raises; Locked where another has it."""
    actor, params = acting_for(job), job.params
    limits = Limits(**params["limits"]) if params.get("limits") else None
    if job.kind is Kind.CAPTURE:
        await capture(
            *(db, CaptureRequest.from_json(params["request"]), actor),
            job=job,
            expected_digest=params.get("digest"),
            limits=limits,
        )
    elif job.kind is Kind.RESTORE:
        await restore(
            *(db, job.artifact_id or "", Choices.from_json(params["choices"]), actor),
            job=job,
            expected_digest=params.get("digest"),
            limits=limits,
        )
    elif job.kind is Kind.RESTORE_MIGRATION:
        await restore_migration(
            *(db, job.object or "", Choices.from_json(params["choices"]), actor),
            job=job,
            expected_digest=params.get("digest"),
        )
    else:
        does: dict[str, Callable[..., Awaitable[Any]]] = {"seal": seal, "verify": verify}
        await does[job.kind](db, job.artifact_id or "", actor, job=job)
