"""A task is stopped to its end, and its caller can be cancelled meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

import pytest

from app.recovery.core.tasks import stop
from app.recovery.rows.stream import Meter, reporting


async def _slow_to_end(ended: list[str]) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        for _ in range(10):
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.02)
        ended.append("ended")


async def test_a_task_is_waited_for_and_its_cancellation_is_not_ours():
    ended: list[str] = []
    task = asyncio.create_task(_slow_to_end(ended))
    await asyncio.sleep(0)
    await stop(task)
    await stop(task)  # one that ended is no matter
    assert ended == ["ended"]


async def test_whoever_is_cancelled_while_stopping_a_task_is_cancelled_once_it_ended():
    ended: list[str] = []
    task = asyncio.create_task(_slow_to_end(ended))
    await asyncio.sleep(0)
    stopping = asyncio.create_task(stop(task))
    await asyncio.sleep(0.03)
    stopping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stopping
    assert ended == ["ended"]


async def test_what_a_stopped_task_failed_with_is_raised():
    async def fail() -> None:
        raise ValueError("broken")

    task = asyncio.create_task(fail())
    await asyncio.sleep(0)
    with pytest.raises(ValueError, match="broken"):
        await stop(task)


async def test_a_stream_cancelled_while_its_last_report_ends_does_not_go_on():
    writing, ending, went_on = asyncio.Event(), asyncio.Event(), []

    async def write(_values: dict[str, Any]) -> None:
        writing.set()
        try:
            await asyncio.sleep(60)
        finally:
            ending.set()
            await asyncio.sleep(0.1)

    async def body() -> None:
        db: Any = None  # no process yet whose rows could be asked for
        async with reporting(db, Meter(), None, write):
            await writing.wait()
        went_on.append(True)

    streaming = asyncio.create_task(body())
    await ending.wait()
    streaming.cancel()
    with pytest.raises(asyncio.CancelledError):
        async with asyncio.timeout(2):
            await streaming
    assert not went_on
