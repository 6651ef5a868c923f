"""Small requests go before downloads: both want the same cores, and only at one somebody looks.

While an answer is being made, what streams waits before each chunk, for a moment at most. The
COPY behind it, which nobody reads, then waits as well, and leaves its core to the page's query.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

PATIENCE = 0.05
"""Seconds that a chunk waits at most, so that nothing starves where somebody always asks."""


class Courtesy:
    """How many answers are being made, and a place to wait until none is."""

    def __init__(self) -> None:
        self._making = 0
        self._none = asyncio.Event()
        self._none.set()

    def come(self) -> None:
        """Note a request."""
        self._making += 1
        self._none.clear()

    def go(self) -> None:
        """Note that its answer begins, or that it has none."""
        self._making -= 1
        if not self._making:
            self._none.set()

    async def let_others_go_first(self) -> None:
        """Return when no answer is being made, or the wait was long enough."""
        if self._making:
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    await self._none.wait()


class Courteous:
    """Notes each request until its answer begins; what comes after that is a stream's own time."""

    def __init__(self, app: ASGIApp, *, courtesy: Courtesy) -> None:
        self.app = app
        self.courtesy = courtesy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        making = True

        def done() -> None:
            nonlocal making
            if making:
                making = False
                self.courtesy.go()

        async def send_noting(message: Message) -> None:
            done()
            await send(message)

        self.courtesy.come()
        try:
            await self.app(scope, receive, send_noting)
        finally:
            done()
