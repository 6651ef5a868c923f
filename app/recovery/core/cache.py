"""What is slow to count is remembered for a while, in proportion to how slow it was.

At most a twentieth of the time is spent counting, whatever the number of artifacts; what is quick
is counted anew each time, so that small installations never see an old figure.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeVar

T = TypeVar("T")
C = TypeVar("C")

_QUICK = 0.05
_TIMES = 20
_LONGEST = 60.0
_ENTRIES = 200


class Cache:
    """Values by key, each with the moment until which it holds (monotonic, in seconds)."""

    def __init__(self) -> None:
        self._values: dict[Hashable, tuple[float, Any]] = {}
        self._locks: dict[Hashable, asyncio.Lock] = {}

    async def recall(
        self,
        key: Hashable,
        lend: Callable[[], AbstractAsyncContextManager[C]],
        compute: Callable[[C], Awaitable[T]],
    ) -> T:
        """Return the remembered value, or compute it on what is lent for that.

        Nobody computes the same twice at once; the wait for what is lent is no part of the cost.
        """
        async with self._locks.setdefault(key, asyncio.Lock()):
            until, value = self._values.get(key, (0.0, None))
            if until > time.monotonic():
                return value  # type: ignore[no-any-return]
            async with lend() as lent:
                started = time.monotonic()
                fresh = await compute(lent)
                ended = time.monotonic()
            self._forget()
            took = ended - started
            if took > _QUICK:
                self._values[key] = (ended + min(took * _TIMES, _LONGEST), fresh)
            return fresh

    def holds(self, key: Hashable) -> float:
        """Return for how many seconds more a value is remembered; 0 where the next is computed."""
        until, _ = self._values.get(key, (0.0, None))
        return max(0.0, until - time.monotonic())

    def _forget(self) -> None:
        """Drop what holds no longer, and all where there is too much of it."""
        now = time.monotonic()
        self._values = {key: kept for key, kept in self._values.items() if kept[0] > now}
        if len(self._locks) > _ENTRIES:
            self._values.clear()
            self._locks = {key: lock for key, lock in self._locks.items() if lock.locked()}
