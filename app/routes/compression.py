"""Text answers compressed with gzip: pages, JSON, CSS and scripts, of 1 kB and more.

An attacker who sees the sizes of compressed answers and chooses a part of them can guess the rest
(BREACH). So an answer to a request from a page of another site stays as it is, and no two pages
carry the same form token: see docs/security.md.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.routes.middleware.same_origin import is_foreign

MINIMUM_BYTES = 1024
LEVEL = 6
TEXTS = frozenset(
    {
        "application/javascript",
        "application/json",
        "image/svg+xml",
        "text/css",
        "text/html",
        "text/javascript",
        "text/plain",
    }
)


class Compression:
    """Compresses what is text, whole and asked for by a page of this studio or a program."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send texts through the compression, and all else past it."""
        if scope["type"] != "http" or is_foreign(Headers(scope=scope)):
            await self.app(scope, receive, send)
            return

        async def inner(scope: Scope, receive: Receive, compress: Send) -> None:
            chosen = send

            async def choose(message: Message) -> None:
                nonlocal chosen
                if message["type"] == "http.response.start" and _is_text(message):
                    chosen = compress
                await chosen(message)

            await self.app(scope, receive, choose)

        compressed = GZipMiddleware(inner, minimum_size=MINIMUM_BYTES, compresslevel=LEVEL)
        await compressed(scope, receive, send)


def _is_text(start: Message) -> bool:
    """Whether an answer is a text to show; an export or another file to save stays as it is."""
    headers = Headers(raw=start["headers"])
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind in TEXTS and "content-disposition" not in headers
