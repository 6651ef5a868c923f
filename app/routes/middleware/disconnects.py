"""Work for a client that left ends, and so does a stream to somebody who may not see it any more.

The client is checked when a request comes. A stream goes on for as long as it takes, so it is
checked again each second: its token may have been taken out since, or its session ended.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.routes.auth.access import Access
from app.routes.middleware.same_origin import SAFE_METHODS

QUICK_SECONDS = 0.3
"""An answer that begins and ends within this time is not watched."""
LOOK_SECONDS = 1.0
END_SECONDS = 3.0


class Disconnects:
    """Watches each request that takes a while."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self.app = app
        self.access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        answer = _Answer(self.access, scope, receive, send)
        work = asyncio.create_task(_run(self.app, scope, answer))
        try:
            await answer.watch(work)
        finally:
            if not work.done():
                work.cancel()
                await asyncio.wait({work})
        if not work.cancelled():
            work.result()
        await answer.end()


async def _run(app: ASGIApp, scope: Scope, answer: _Answer) -> None:
    await app(scope, answer.receive, answer.send)


class _Answer:
    """One request: how far its answer is, and whether it may go on."""

    def __init__(self, access: Access, scope: Scope, receive: Receive, send: Send) -> None:
        self._access = access
        self._scope = scope
        self._receive = receive
        self._send = send
        self._begun = asyncio.Event()
        self._refused = asyncio.Event()
        self._events = False
        self._whole = False

    @property
    def _state(self) -> dict[str, Any]:
        """What routes noted: who asks, and that a POST changes nothing."""
        found: dict[str, Any] = self._scope.setdefault("state", {})
        return found

    async def send(self, message: Message) -> None:
        """Pass on a part of the answer, and note how far it is."""
        if message["type"] == "http.response.start":
            kinds = [value for name, value in message["headers"] if name.lower() == b"content-type"]
            self._events = any(kind.startswith(b"text/event-stream") for kind in kinds)
            self._begun.set()
        elif self._refused.is_set() and not self._events:
            return  # what comes after the rights ended reaches nobody
        elif message["type"] == "http.response.body" and not message.get("more_body"):
            self._whole = True
        await self._send(message)

    async def receive(self) -> Message:
        """Return what the client sends; once it may not go on, that the client left."""
        coming = asyncio.ensure_future(self._receive())
        refused = asyncio.create_task(self._refused.wait())
        try:
            await asyncio.wait({coming, refused}, return_when=asyncio.FIRST_COMPLETED)
            return coming.result() if coming.done() else {"type": "http.disconnect"}
        finally:
            coming.cancel()
            refused.cancel()

    async def watch(self, work: asyncio.Task[None]) -> None:
        """Return when the work is done, or has to end."""
        await asyncio.wait({work}, timeout=QUICK_SECONDS)
        while not work.done():
            # What changes something is never cut short: its job says how it went.
            reads = self._scope["method"] in SAFE_METHODS or self._state.get("reads_only")
            if reads and await self._left(work):
                return
            await asyncio.wait({work}, timeout=LOOK_SECONDS)
            if self._begun.is_set() and not work.done() and not self._welcome():
                self._refused.set()
                await asyncio.wait({work}, timeout=END_SECONDS)
                return

    async def _left(self, work: asyncio.Task[None]) -> bool:
        """Wait until the answer begins; return whether the client left before that."""
        if work.done() or self._begun.is_set():
            return False
        left = asyncio.create_task(_disconnected(self._receive))
        begun = asyncio.create_task(self._begun.wait())
        try:
            await asyncio.wait({work, left, begun}, return_when=asyncio.FIRST_COMPLETED)
            return left.done() and not begun.done() and not work.done()
        finally:
            left.cancel()
            begun.cancel()

    def _welcome(self) -> bool:
        actor = self._state.get("actor")
        return actor is None or self._access.still(Request(self._scope), actor)

    async def end(self) -> None:
        """End a stream of events properly; anything else is cut off: no part looks whole."""
        if self._refused.is_set() and self._events and not self._whole:
            with suppress(OSError):
                await self._send({"type": "http.response.body", "body": b"", "more_body": False})


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
