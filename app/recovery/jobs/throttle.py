"""Batches that mind others: their size follows the clock, and they wait for who lags behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from app.recovery.core.errors import WrongUsage
from app.recovery.db.connections import Connection
from app.recovery.db.locks import run_locked
from app.recovery.jobs.operation import Operation
from app.recovery.queries import load

SQL = load("online")

FIRST_BATCH = 2_000
# Below this a batch is mostly what every batch costs, and smaller ones would help nobody.
SMALLEST_BATCH = 1_000
LARGEST_BATCH = 200_000
WAIT = 1.0

# Which planned step each part of the work carries out, by how its purpose begins: a view of the
# plan ticks it off by this. A test compares it with the plans.
PLANNED = {
    "create the archive": "Lock the table: reads go on",
    "copy key and value": "Copy key and value",
    "add the key of the archive": "Add the primary key of the archive",
    "follow new and detached partitions": "Copy the rows that live traffic changed",
    "copy changed rows": "Copy the rows that live traffic changed",
    "compare every value with its copy": "Compare every value with its copy",
    "drop the column": "Lock the table, then compare again",
    "backfill the column": "Backfill the column in batches",
    "backfill rows that were locked": "Backfill the column in batches",
    "fill rows inserted since the capture": "Fill rows inserted since the capture",
    "compare every value with the archived one": "Compare every value with the archived one",
}
COUNTED = ("Copy key and value", "Backfill the column in batches")
"""The planned steps of which rows and their total are told."""


@dataclass(frozen=True)
class Limits:
    """How hard work in batches may press.

    ``batch_seconds`` is what one batch should take, None what suits the work; ``rows_per_second``
    is a ceiling over all of them, ``max_lag`` the seconds that a streaming replica may be behind
    before the next one begins.
    """

    batch_seconds: float | None = None
    rows_per_second: int | None = None
    max_lag: float | None = 10.0

    def check(self) -> None:
        """Raise WrongUsage where a limit would let nothing through."""
        if self.batch_seconds is not None and not 0.001 <= self.batch_seconds <= 60:
            raise WrongUsage("a batch takes between 1 ms and 1 min", hint="such as 100ms")
        if self.rows_per_second is not None and self.rows_per_second < 1:
            raise WrongUsage("the rate must be a positive number of rows per second")
        if self.max_lag is not None and self.max_lag < 0:
            raise WrongUsage("the allowed lag cannot be negative")

    def to_json(self) -> dict[str, Any]:
        """Return the limits as a job keeps them."""
        return asdict(self)


Position = list[str] | None
# One batch beyond a key, of at most so many rows, in a transaction that is under way: rows done,
# and the key that it came to, None at the end.
Batch = Callable[[Connection, Position, int], Awaitable[tuple[int, Position]]]


class Throttle:
    """The pace of one piece of work: the size of its batches, learned as it goes."""

    def __init__(
        self,
        op: Operation,
        limits: Limits,
        *,
        batch_seconds: float,
        largest: int = LARGEST_BATCH,
    ) -> None:
        limits.check()
        self._op = op
        self._limits = limits
        self._batch_seconds = limits.batch_seconds or batch_seconds
        self._largest = largest
        self._size = min(FIRST_BATCH, largest)
        self._took = 0.0
        self._look_at = 0.0
        # what each transaction begins with: a crash may take the last batches back, whole, and they
        # are made again
        self.settings = SQL["commit_later"]

    async def tell(self, **values: Any) -> None:
        """Report how far it is, to the job and to the listener."""
        planned = PLANNED.get(str(values.get("step", "")).partition(":")[0])
        if planned is not None:
            values["part"] = planned
        await self._op.report(values)

    async def go_through(
        self, step: str, batch: Batch, expected: int | None, position: Position = None
    ) -> int:
        """Run batch after batch, each in a transaction of its own, and return the rows of all.

        One that does not get its locks is tried again from where the last one that was committed
        ended; Locked, naming who holds it up, when that was tried as often as the settings say.
        """
        started = time.monotonic()
        rows = 0
        await self.tell(step=step, rows=0, rows_expected=expected, rows_rate=None, left=None)

        def count(rows: int) -> dict[str, Any]:
            elapsed = max(time.monotonic() - started, 0.001)
            left = elapsed * (expected - rows) / rows if expected and rows else None
            return {
                "step": step,
                "rows": rows,
                "rows_expected": expected,
                "rows_rate": round(rows / elapsed, 1),
                "left": None if left is None else max(0.0, left),
            }

        while True:
            await self.await_turn(step)

            async def work(
                connection: Connection, position: Position = position, rows: int = rows
            ) -> tuple[int, Position]:
                began = time.monotonic()
                await connection.execute(self.settings)
                done, reached = await batch(connection, position, self._size)
                await self._op.run.fence(connection, **count(rows + done))
                self._took = time.monotonic() - began  # of the try that is committed
                return done, reached

            done, position = await run_locked(self._op.db, step, work, self._op.tell)
            self._learn(self._took)
            rows += done
            await self._op.tell(count(rows))
            if position is None:
                return rows
            await self._hold_back(rows, max(time.monotonic() - started, 0.001))

    def _learn(self, seconds: float) -> None:
        """Let the next batch take what one should: at most twice or half as large as this one."""
        factor = self._batch_seconds / max(seconds, 0.0001)
        wanted = round(self._size * min(2.0, max(0.5, factor)))
        self._size = max(SMALLEST_BATCH, min(self._largest, wanted))

    async def _hold_back(self, rows: int, elapsed: float) -> None:
        if self._limits.rows_per_second is not None:
            await asyncio.sleep(max(0.0, rows / self._limits.rows_per_second - elapsed))

    async def await_turn(self, step: str) -> None:
        """Wait while the job is paused, or a replica is further behind than it may be."""
        told: str | None = None
        while (why := await self._in_the_way()) is not None:
            if why != told:
                await self.tell(step=f"{step}: {why}", waiting=why)
                told = why
            await asyncio.sleep(WAIT)
        if told is not None:
            await self.tell(step=step, waiting=None)

    async def _in_the_way(self) -> str | None:
        if self._op.run.paused_by is not None:
            return f"paused by {self._op.run.paused_by}"
        if self._limits.max_lag is None or time.monotonic() < self._look_at:
            return None
        async with self._op.db.side() as connection:
            lag = await connection.fetchval(SQL["lag"])
        if lag is not None and lag > self._limits.max_lag:
            return f"waiting for a replica that is {lag:.0f} s behind"
        self._look_at = time.monotonic() + WAIT
        return None
