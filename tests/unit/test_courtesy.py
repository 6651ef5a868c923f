"""Small requests before downloads: a chunk waits for answers being made, and not forever."""

from __future__ import annotations

import asyncio
import time

import pytest

from app.routes.courtesy import PATIENCE, Courteous, Courtesy


async def test_a_chunk_waits_until_the_answer_begins():
    courtesy = Courtesy()
    may_answer, order = asyncio.Event(), []

    async def page(_scope, _receive, send):
        await may_answer.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await asyncio.sleep(10)  # an event stream, which nobody waits for

    async def send(message):
        order.append(message["type"])

    asking = asyncio.create_task(
        Courteous(page, courtesy=courtesy)({"type": "http"}, lambda: None, send)
    )
    await asyncio.sleep(0)
    chunk = asyncio.create_task(courtesy.let_others_go_first())
    await asyncio.sleep(PATIENCE / 5)
    assert not chunk.done()
    may_answer.set()
    await asyncio.wait_for(chunk, PATIENCE / 2)
    assert order == ["http.response.start"]
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.wait_for(courtesy.let_others_go_first(), PATIENCE / 2)


async def test_a_download_goes_on_where_somebody_always_asks():
    courtesy = Courtesy()
    courtesy.come()
    started = time.monotonic()
    for _ in range(3):
        await courtesy.let_others_go_first()
    assert 3 * PATIENCE <= time.monotonic() - started < 30 * PATIENCE


async def test_a_request_that_fails_holds_nothing_up():
    courtesy = Courtesy()

    async def broken(*_):
        raise ValueError("a fault")

    with pytest.raises(ValueError, match="a fault"):
        await Courteous(broken, courtesy=courtesy)({"type": "http"}, None, None)
    await asyncio.wait_for(courtesy.let_others_go_first(), PATIENCE / 2)
