"""Slow figures are remembered in proportion to how slow they were; quick ones are not."""

import asyncio

from app.recovery.memory import Memory


async def test_quick_is_counted_anew_and_slow_is_remembered(monkeypatch):
    monkeypatch.setattr("app.recovery.memory._LONGEST", 0.3)
    memory, calls = Memory(), []

    async def quick() -> int:
        calls.append(1)
        return len(calls)

    assert [await memory.recall("a", quick), await memory.recall("a", quick)] == [1, 2]

    async def slow() -> int:
        await asyncio.sleep(0.03)
        calls.append(1)
        return len(calls)

    results = await asyncio.gather(*(memory.recall("b", slow) for _ in range(5)))
    assert results == [3] * 5
    await asyncio.sleep(0.5)
    assert await memory.recall("b", slow) == 4
