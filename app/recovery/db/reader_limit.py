"""Who reads what just now, so that one object's readers take no connection from all others."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.recovery.core.errors import Busy

WAIT_SECONDS = 5.0
"""The longest that a read waits for its turn."""
MOST = 5
"""Reads that run at once, of whatever: half of the connections that work has."""


class ReaderLimit:
    """Which objects are being read, for one process."""

    def __init__(self) -> None:
        self._all = asyncio.Semaphore(MOST)
        self._locks: dict[str, asyncio.Lock] = {}
        self._wanted: Counter[str] = Counter()

    @asynccontextmanager
    async def take(self, subject: str) -> AsyncIterator[None]:
        """Wait for the turn of an object; Busy where it does not come in time."""
        lock = self._locks.setdefault(subject, asyncio.Lock())
        self._wanted[subject] += 1
        try:
            await _in_time(lock, "this object is being read already")
            try:
                await _in_time(self._all, f"{MOST} reads are under way")
                try:
                    yield
                finally:
                    self._all.release()
            finally:
                lock.release()
        finally:
            self._wanted[subject] -= 1
            if not self._wanted[subject]:
                del self._locks[subject], self._wanted[subject]


async def _in_time(lock: asyncio.Lock | asyncio.Semaphore, why: str) -> None:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await lock.acquire()
    except TimeoutError:
        raise Busy(why, hint="try again in a moment: a long read is cancelled") from None
