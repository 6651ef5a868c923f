"""Live traffic on a table, while something is done to it; checked row by row afterwards.

Each row bears a tag that says which row it is, whatever becomes of its key; the value that a test
looks for is known from the tag alone.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg


@dataclass
class Traffic:
    """What several connections did: seconds that each turn took, and what failed.

    With `only_while`, a query, each turn looks under its lock whether it may still change anything:
    what is there when that ends is what the test finds.
    """

    url: str
    table: str
    rows: int
    only_while: str | None = None
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    done: int = 0

    @property
    def longest(self) -> float:
        """The longest that one statement waited and took, in seconds."""
        return max(self.seconds, default=0.0)

    @asynccontextmanager
    async def flowing(self, people: int = 3, pause: float = 0.001) -> AsyncIterator[Traffic]:
        """Let it flow while the block runs."""
        stop = asyncio.Event()
        tasks = [asyncio.create_task(self._flow(stop, n + 1, pause)) for n in range(people)]
        try:
            yield self
        finally:
            stop.set()
            await asyncio.gather(*tasks)

    async def _flow(self, stop: asyncio.Event, who: int, pause: float) -> None:
        chance = random.Random(who)
        connection = await asyncpg.connect(self.url, statement_cache_size=0)
        try:
            turn = 0
            while not stop.is_set():
                turn += 1
                started = time.monotonic()
                try:
                    async with connection.transaction():
                        if await self._may(connection):
                            for statement, values in self._next(chance, who, turn):
                                await connection.execute(statement, *values)
                            self.done += 1
                except asyncpg.UniqueViolationError:
                    pass  # a key that somebody else took first, as any application meets it
                except asyncpg.PostgresError as exc:
                    self.errors.append(repr(exc))
                self.seconds.append(time.monotonic() - started)
                await asyncio.sleep(pause)
        finally:
            await connection.close()

    async def _may(self, connection: asyncpg.Connection) -> bool:
        if self.only_while is None:
            return True
        await connection.execute(f"LOCK TABLE {self.table} IN ROW EXCLUSIVE MODE")
        return bool(await connection.fetchval(self.only_while))

    def _next(
        self, chance: random.Random, who: int, turn: int
    ) -> Sequence[tuple[str, tuple[object, ...]]]:
        """Return the statements of one turn; the values of a table with id, tag and n."""
        table, one = self.table, chance.randint(1, self.rows)
        fresh, other = who * 10_000_000 + turn, chance.randint(1, self.rows)
        more = f"UPDATE {table} SET n = n + 1 WHERE id = $1"
        new = f"INSERT INTO {table} (id, tag) VALUES ($1, 'new')"
        gone = f"DELETE FROM {table} WHERE id = $1"
        moved = f"UPDATE {table} SET id = $1 WHERE id = $2"
        away, back = (moved, (-fresh, one)), (moved, (one, -fresh))
        turns: list[Sequence[tuple[str, tuple[object, ...]]]] = [
            *([(more, (one,))], [(more, (one,))], [(more, (one,))]),
            *([(new, (fresh,))], [(gone, (one,))], [away], [(new, (one,))]),
            [(gone, (one,)), (new, (one,))],  # another row under its key
            [away, back],
            [away, (moved, (one, other)), (moved, (other, -fresh))],  # two change places
        ]
        return chance.choice(turns)
