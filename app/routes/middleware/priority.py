"""Small requests go before downloads: both want the same cores, and only at one somebody looks.

While an answer is being made, what streams waits before each chunk, for a moment. The COPY behind
it, which nobody reads then, waits as well, and leaves its core to the page's query. A request that
takes long is not waited for any longer, and a stream never waits for most of its time: whatever a
page may be waiting for itself, downloads go on.
"""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

SMALL = 0.25
"""Seconds for which a request counts as small."""
PATIENCE = 0.05
"""Seconds that a chunk waits at most."""
SHARE = 3
"""How many times as long as it worked a stream may wait: it keeps a quarter of its pace."""


class Priority:
    """How many answers are being made."""

    def __init__(self) -> None:
        self._making = 0
        self._none = asyncio.Event()
        self._none.set()

    def come(self) -> None:
        """Note a request."""
        self._making += 1
        self._none.clear()

    def go(self) -> None:
        """Note that its answer begins, that it has none, or that it takes long."""
        self._making -= 1
        if not self._making:
            self._none.set()

    async def wait(self, longest: float) -> None:
        """Return when no answer is being made, or after so many seconds."""
        if self._making:
            with suppress(TimeoutError):
                async with asyncio.timeout(longest):
                    await self._none.wait()


class Turns:
    """The turns of one stream between small requests."""

    def __init__(self, courtesy: Priority) -> None:
        self._courtesy = courtesy
        self._since = time.monotonic()

    async def take(self) -> None:
        """Let others go first, as long as that leaves the stream its share."""
        worked = time.monotonic() - self._since
        await self._courtesy.wait(min(PATIENCE, SHARE * worked))
        self._since = time.monotonic()


class PriorityMiddleware:
    """Notes each request until its answer begins, or it turns out to be none of the small ones."""

    def __init__(self, app: ASGIApp, *, courtesy: Priority) -> None:
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
        long = asyncio.get_running_loop().call_later(SMALL, done)
        try:
            await self.app(scope, receive, send_noting)
        finally:
            long.cancel()
            done()
