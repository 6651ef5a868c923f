"""An export as an HTTP response that stops its COPY the moment the client is gone.

uvicorn's `send()` returns silently after a disconnect, so `receive()` is watched beside the stream.
The engine bounds each send in time: a client that stalls holds a snapshot open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from app.recovery.core.translate import translate
from app.routes.middleware.priority import Priority, Turns

log = logging.getLogger("zanith.studio")

Sink = Callable[[bytes], Awaitable[None]]


def attachment(filename: str) -> str:
    """Return a Content-Disposition that is inert for any name (RFC 6266)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


class ExportResponse(Response):
    """Gives a sink to `push`, which waits there for the client to take each chunk.

    `start` runs it as a task that the end of the studio waits for.
    """

    def __init__(
        self,
        push: Callable[[Sink], Awaitable[Any]],
        start: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]],
        *,
        courtesy: Priority,
        filename: str,
        media_type: str,
        export_id: str,
    ) -> None:
        self.push = push
        self.start = start
        self.courtesy = courtesy
        self.started = False
        self.status_code = 200
        self.media_type = media_type
        self.background = None
        self.init_headers(
            {
                "Content-Disposition": attachment(filename),
                "Zanith-Export-Id": export_id,
                "Cache-Control": "no-store",
            }
        )

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, or stop at once when the client goes.

        What fails before the first byte is raised and becomes a proper answer; what fails later
        cuts the connection, so that no client takes a part for the whole.
        """
        work = self.start(self._stream(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            await asyncio.wait({work})
        if work.cancelled() or (error := work.exception()) is None:
            return
        if not self.started:
            raise error
        number = self.headers["zanith-export-id"]
        log.warning("export %s was cut off: %s", number, translate(error).for_log)

    async def _stream(self, send: Send) -> None:
        turns = Turns(self.courtesy)

        async def sink(chunk: bytes) -> None:
            await self._start(send)
            await turns.take()
            await send({"type": "http.response.body", "body": chunk, "more_body": True})

        await self.push(sink)
        await self._start(send)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _start(self, send: Send) -> None:
        if not self.started:
            self.started = True
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
