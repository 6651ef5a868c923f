"""One LISTEN connection, and everybody in this process who wants to hear what it hears.

Events only wake: a waiter reads the state from the tables again, and polls as well.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from app.recovery.core.tasks import stop
from app.recovery.db.session_settings import of_connections

CHANNEL = "zanith"


@dataclass(frozen=True)
class Event:
    """Something changed: ``kind`` is artifact, job, audit, webhook or approval.

    It is "reconnected" after a gap.
    """

    kind: str
    id: str


class Hub:
    """Holds the connection while there is a subscriber, and mends it when it is lost."""

    def __init__(self, url: str | None, application_name: str, *, direct: bool = False) -> None:
        self._url = url
        self._direct = direct
        # Behind a pooler LISTEN would stay on whichever connection to the server it met.
        self.pooled = False
        self._application_name = application_name
        self._queues: set[asyncio.Queue[Event]] = set()
        self._task: asyncio.Task[None] | None = None
        self._began = secrets.token_hex(4)
        self._number = 0

    @property
    def position(self) -> str:
        """How far it heard. It is another one after each event, and in each process."""
        return f"{self._began}.{self._number}"

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[asyncio.Queue[Event]]:
        """Lend a queue of events; a slow reader loses old events, never the newest."""
        queue: asyncio.Queue[Event] = asyncio.Queue(maxsize=256)
        self._queues.add(queue)
        if self._task is None and (self._direct or not self.pooled):
            self._task = asyncio.create_task(self._run())
        try:
            yield queue
        finally:
            self._queues.discard(queue)
            if not self._queues:
                await self.close()

    async def close(self) -> None:
        """Stop listening."""
        task, self._task = self._task, None
        if task is not None:
            await stop(task)

    async def _run(self) -> None:
        pause = 0.5
        while True:
            try:
                connection = await self._connect()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                await asyncio.sleep(pause)
                pause = min(pause * 2, 30)
                continue
            lost = asyncio.Event()
            try:
                connection.add_termination_listener(lambda _, lost=lost: lost.set())
                await connection.add_listener(CHANNEL, self._heard)
                pause = 0.5
                self._spread(Event("reconnected", ""))
                await lost.wait()
            except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await asyncio.sleep(pause)  # a standby cannot LISTEN; its readers poll
                pause = min(pause * 2, 30)
            finally:
                connection.terminate()

    async def _connect(self) -> Any:
        """Connect; a pooler that passes no settings on is asked without: LISTEN needs none."""
        settings = {"application_name": self._application_name}
        options: dict[str, Any] = {"timeout": 10, "statement_cache_size": 0}
        with suppress(asyncpg.ProtocolViolationError):
            fixed = {**settings, **of_connections()}
            return await asyncpg.connect(self._url, server_settings=fixed, **options)
        return await asyncpg.connect(self._url, server_settings=settings, **options)

    def _heard(self, _connection: Any, _pid: int, _channel: str, payload: object) -> None:
        try:
            data = json.loads(str(payload))
            event = Event(str(data["event"]), str(data["id"]))
        except (ValueError, KeyError, TypeError):
            return
        self._spread(event)

    def _spread(self, event: Event) -> None:
        self._number += 1
        for queue in self._queues:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)


async def await_about(queue: asyncio.Queue[Event], key: str) -> None:
    """Wait for an event about what has the id, or about a gap in which there may have been one."""
    while (await queue.get()).id not in {key, ""}:
        pass
