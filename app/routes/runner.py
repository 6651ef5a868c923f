"""Work that outlives its request: tasks of this process, watched, and ended with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from app.recovery import worker
from app.recovery.core.errors import ZanithError
from app.recovery.core.translate import translate
from app.recovery.db.database import Database
from app.recovery.jobs import queueing, runs
from app.recovery.jobs.model import Job
from app.routes.errors import ShuttingDown

log = logging.getLogger("zanith.studio")

T = TypeVar("T")


class Runner:
    """Holds the tasks that run jobs, so that none is lost and all are waited for at the end."""

    def __init__(self) -> None:
        self._tasks: dict[asyncio.Task[Any], str | None] = {}
        self.closing = asyncio.Event()

    @property
    def running(self) -> int:
        """How many tasks are under way."""
        return len(self._tasks)

    def runs(self, job_id: str) -> bool:
        """Whether the job is under way here."""
        return job_id in self._tasks.values()

    @property
    def full(self) -> bool:
        """Whether nothing may begin any more."""
        return self.closing.is_set()

    def take(self, db: Database, job: Job) -> None:
        """Run a job that waits for a worker."""
        self.start(worker.perform(db, job), f"{job.kind} of {job.object}", job.id)

    def check(self) -> None:
        """Raise ShuttingDown where nothing may begin any more."""
        if self.full:
            raise ShuttingDown(hint="try again in a moment, at another studio or when it is back")

    def start(
        self, work: Coroutine[Any, Any, T], name: str, job_id: str | None, *, tell: bool = True
    ) -> asyncio.Task[T]:
        """Run a job beside the requests; its outcome is in the table, with `tell` in the log too.

        Without an id it is work that makes its own jobs, one after another.
        ShuttingDown where nothing may begin any more.
        """
        try:
            self.check()
        except ShuttingDown:
            work.close()
            raise
        task = asyncio.create_task(work, name=name)
        self._tasks[task] = job_id
        task.add_done_callback(lambda task: self._ended(task, tell=tell))
        return task

    def _ended(self, task: asyncio.Task[Any], *, tell: bool) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            log.info("%s was stopped", task.get_name())
        elif (error := task.exception()) is not None and tell:
            known = translate(error)
            log.warning("%s: %s", task.get_name(), known.for_log)

    async def close(self, database: Database | None, patience: float) -> None:
        """Begin nothing more, let what runs finish for `patience` seconds, then interrupt it.

        Its jobs say so, and what they were at work on is free for another studio.
        """
        self.closing.set()
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=patience)
        left = [job_id for task in late if (job_id := self._tasks.get(task))]
        await runs.interrupt_all(late)
        for job_id in left:
            if database is None:
                break
            try:
                await queueing.abandon(database, job_id)
            except ZanithError as exc:
                log.warning("job %s is left to its lease: %s", job_id, exc.for_log)


async def outcome(task: asyncio.Task[T]) -> T:
    """Return what work that was started comes to; it goes on if the waiter here is cancelled.

    ShuttingDown where it was interrupted, as its job says.
    """
    await asyncio.wait({task})
    if task.cancelled():
        raise ShuttingDown(
            queueing.SHUT_DOWN, hint="another studio can do it, or this one after a restart"
        )
    return task.result()
