"""Small requests before downloads: a chunk waits for answers being made, and not for long."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.routes.middleware import priority as module
from app.routes.middleware.priority import PATIENCE, SHARE, Priority, PriorityMiddleware, Turns
from app.routes.streaming import ExportResponse

LONG = 60


async def test_a_chunk_waits_until_the_answer_begins():
    courtesy = Priority()
    may_answer, order = asyncio.Event(), []

    async def page(_scope, _receive, send):
        await may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(LONG)  # an event stream, which nobody waits for

    async def send(message):
        order.append(message["type"])

    asking = asyncio.create_task(
        PriorityMiddleware(page, courtesy=courtesy)({"type": "http"}, lambda: None, send)
    )
    await asyncio.sleep(0)
    chunk = asyncio.create_task(courtesy.wait(LONG))
    await asyncio.sleep(0.01)
    assert not chunk.done()
    may_answer.set()
    await asyncio.wait_for(chunk, 5)
    assert order == ["http.response.start"]
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(courtesy.wait(LONG), 5)


async def test_a_download_keeps_its_share_where_somebody_always_asks():
    courtesy = Priority()
    turns = Turns(courtesy)
    courtesy.come()
    worked = waited = 0.0
    for _ in range(20):
        started = time.monotonic()
        await asyncio.sleep(PATIENCE / 10)
        asked = time.monotonic()
        await turns.take()
        worked += asked - started
        waited += time.monotonic() - asked
    assert worked < waited < (SHARE + 2) * worked


async def test_what_takes_long_is_not_waited_for(monkeypatch):
    """It may wait for a connection that a download has."""
    monkeypatch.setattr(module, "SMALL", 0.02)
    courtesy = Priority()

    async def slow(*_):
        await asyncio.sleep(LONG)

    asking = asyncio.create_task(
        PriorityMiddleware(slow, courtesy=courtesy)({"type": "http"}, None, None)
    )
    await asyncio.sleep(0)
    await asyncio.wait_for(courtesy.wait(LONG), 5)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    courtesy.come()
    waiting = asyncio.create_task(courtesy.wait(LONG))
    await asyncio.sleep(0.01)
    assert not waiting.done()  # it was counted off once
    courtesy.go()
    await asyncio.wait_for(waiting, 5)


async def test_a_request_that_fails_holds_nothing_up():
    courtesy = Priority()

    async def broken(*_):
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        await PriorityMiddleware(broken, courtesy=courtesy)({"type": "http"}, None, None)
    await asyncio.wait_for(courtesy.wait(LONG), 5)


async def test_an_export_takes_its_turn_before_each_chunk():
    waits, sent = [], []

    class Noting(Priority):
        async def wait(self, longest):
            waits.append((longest, len(sent)))

    async def push(sink):
        for _ in range(3):
            await sink(b"x")

    async def send(message):
        sent.append(message["type"])

    async def receive():
        await asyncio.sleep(LONG)

    named = {"filename": "x.csv", "media_type": "text/csv", "export_id": "x"}
    response = ExportResponse(push, asyncio.create_task, courtesy=Noting(), **named)
    await response({"type": "http"}, receive, send)
    assert [before for _, before in waits] == [1, 2, 3]
    assert sent == ["http.response.start", *["http.response.body"] * 4]
