"""Slow figures are remembered in proportion to how slow they were; quick ones are not."""

import asyncio
from contextlib import asynccontextmanager

from app.recovery.core.cache import Cache


async def test_quick_is_counted_anew_and_slow_is_remembered(monkeypatch):
    monkeypatch.setattr("app.recovery.core.cache._LONGEST", 0.3)
    memory, calls = Cache(), []

    @asynccontextmanager
    async def lend():
        await asyncio.sleep(0.1)  # the wait for it is no cost of the figure
        yield "lent"

    async def quick(_lent: str) -> int:
        calls.append(1)
        return len(calls)

    assert [await memory.recall("a", lend, quick), await memory.recall("a", lend, quick)] == [1, 2]

    async def slow(lent: str) -> int:
        assert lent == "lent"
        await asyncio.sleep(0.06)
        calls.append(1)
        return len(calls)

    results = await asyncio.gather(*(memory.recall("b", lend, slow) for _ in range(5)))
    assert results == [3] * 5
    await asyncio.sleep(0.5)
    assert await memory.recall("b", lend, slow) == 4
