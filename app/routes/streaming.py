"""An export as an HTTP response that stops its COPY the moment the client is gone.

uvicorn's `send()` returns silently after a disconnect, so `receive()` is watched beside the stream;
and a client that stalls holds a snapshot open, so each send is bounded in time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from urllib.parse import quote

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

STALL_SECONDS = 60.0


def attachment(filename: str) -> str:
    """Return a Content-Disposition that is inert for any name (RFC 6266)."""
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


class ExportResponse(Response):
    """Streams the chunks as they come, waiting for the client to take each one."""

    def __init__(
        self, chunks: AsyncIterator[bytes], *, filename: str, media_type: str, export_id: str
    ) -> None:
        self.chunks = chunks
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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send everything, or stop at once when the client goes or takes nothing for a minute."""
        stream = asyncio.create_task(self._stream(send))
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({stream, gone}, return_when=asyncio.FIRST_COMPLETED)
            if not stream.done():
                stream.cancel()
            await asyncio.wait({stream})
        finally:
            gone.cancel()
            if not stream.done():
                stream.cancel()
                await asyncio.wait({stream})
        if not stream.cancelled() and (error := stream.exception()) is not None:
            raise error

    async def _stream(self, send: Send) -> None:
        async with aclosing(self.chunks) as chunks:  # type: ignore[type-var]
            # The first chunk comes before the headers: what fails until then is a proper error.
            first = await anext(chunks, b"")
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            await _send(send, first, more=True)
            async for chunk in chunks:
                await _send(send, chunk, more=True)
            await _send(send, b"", more=False)


async def _send(send: Send, body: bytes, *, more: bool) -> None:
    message: Message = {"type": "http.response.body", "body": body, "more_body": more}
    async with asyncio.timeout(STALL_SECONDS):
        await send(message)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
