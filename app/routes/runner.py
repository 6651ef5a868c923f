"""Work that outlives its request: tasks of this process, watched, and ended with it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from app.recovery.errors import Refused, translate

log = logging.getLogger("zanith.studio")


class Runner:
    """Holds the tasks that run jobs, so that none is lost and all are waited for at the end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closing = False

    @property
    def running(self) -> int:
        """How many tasks are under way."""
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run `work` beside the requests; its outcome is in its job, its failure in the log too."""
        if self._closing:
            work.close()
            raise Refused("the studio is shutting down", hint="try again when it is back")
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            log.info("%s was stopped", task.get_name())
        elif (error := task.exception()) is not None:
            known = translate(error)
            log.warning("%s: %s", task.get_name(), known.message)

    async def close(self, patience: float = 5.0) -> None:
        """Let what runs finish for `patience` seconds, then cancel it; its job says so."""
        self._closing = True
        if not self._tasks:
            return
        _, late = await asyncio.wait(set(self._tasks), timeout=patience)
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late, timeout=patience)
