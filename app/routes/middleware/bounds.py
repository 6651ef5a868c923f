"""What one request may cost: its size, its time, and how many are open at once.

A body is read whole before any route sees the request, so that what is too large or too slow ends
here. The head of a request is bounded by the server itself, in app.server.serving.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import unquote_to_bytes

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.recovery.core.errors import ZanithError
from app.routes.auth.access import address_of
from app.routes.errors import (
    Crowded,
    Malformed,
    TooLarge,
    TooLong,
    TooManyStreams,
    TooSlow,
    WrongKind,
    answer,
)

BODY_BYTES = 1024 * 1024
BODY_SECONDS = 30.0
QUERY_BYTES = 8 * 1024
FIELDS = 64
CONNECTIONS = 500
STREAMS = 200
STREAMS_OF_ONE = 60

_FORM = "application/x-www-form-urlencoded"


class Bounds:
    """Refuses what asks for too much, in the shape that every error has."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        body_bytes: int = BODY_BYTES,
        body_seconds: float = BODY_SECONDS,
        streams: int = STREAMS,
        streams_of_one: int = STREAMS_OF_ONE,
    ) -> None:
        self.app = app
        self.body_bytes = body_bytes
        self.body_seconds = body_seconds
        self.streams = streams
        self.streams_of_one = streams_of_one
        self.open: Counter[str] = Counter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body read, or answer why not."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        try:
            check_crowd(request)
            check_address(scope)
            body = await self._body(request.headers, receive)
            if body is None:  # the client went
                return
            check_form(request.headers, body)
            with self._stream(request):
                await self.app(scope, _replay(body, receive), send)
        except _Bound as exc:
            response = await answer(request, exc.error)
            response.headers["Connection"] = "close"  # what is left of the body is not read
            await response(scope, receive, send)

    async def _body(self, headers: Headers, receive: Receive) -> bytes | None:
        """Return the whole body, or None where the client went before it was there."""
        said = headers.get("content-length", "")
        if said.isdecimal() and int(said) > self.body_bytes:
            raise _Bound(self._too_large())
        parts = bytearray()
        try:
            async with asyncio.timeout(self.body_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    parts += message.get("body", b"")
                    if len(parts) > self.body_bytes:
                        raise _Bound(self._too_large())
                    if not message.get("more_body", False):
                        return bytes(parts)
        except TimeoutError:
            raise _Bound(
                TooSlow(
                    "the request did not arrive in time",
                    detail=f"its body may take {self.body_seconds:g} seconds",
                )
            ) from None

    def _too_large(self) -> ZanithError:
        return TooLarge(
            "the request is too large", detail=f"its body may have {self.body_bytes} bytes"
        )

    @contextmanager
    def _stream(self, request: Request) -> Iterator[None]:
        """Count an event stream while it is open; everything else goes through."""
        if not request.url.path.endswith("/events"):
            yield
            return
        address = address_of(request)
        if self.open.total() >= self.streams or self.open[address] >= self.streams_of_one:
            raise _Bound(
                TooManyStreams(
                    "too many event streams are open",
                    detail=f"{self.streams_of_one} from one address, {self.streams} in all",
                    hint="close some, or look again in a while: the job continues by itself",
                )
            )
        self.open[address] += 1
        try:
            yield
        finally:
            self.open[address] -= 1
            if not self.open[address]:
                del self.open[address]


class _Bound(Exception):
    """Carries the error of this module, so that no other one is taken for it."""

    def __init__(self, error: ZanithError) -> None:
        super().__init__(error.message)
        self.error = error


def check_crowd(request: Request) -> None:
    """Refuse what comes over too many connections; whether the studio lives is always answered."""
    if request.url.path == "/healthz":
        return
    if request.app.state.studio.connections() > CONNECTIONS:
        raise _Bound(
            Crowded(
                detail=f"there may be {CONNECTIONS} at once",
                hint="close some, or look again in a moment: running work continues by itself",
            )
        )


def check_address(scope: Scope) -> None:
    """Refuse a query that is too long, and NUL, which no text of PostgreSQL can hold."""
    query: bytes = scope.get("query_string", b"")
    if len(query) > QUERY_BYTES:
        raise _Bound(
            TooLong("the address is too long", detail=f"its query may have {QUERY_BYTES} bytes")
        )
    if "\0" in scope["path"] or b"\0" in unquote_to_bytes(query):
        raise _Bound(Malformed("the address holds a NUL character"))


def check_form(headers: Headers, body: bytes) -> None:
    """Refuse a form of another kind than pages send, one with too many fields, and NUL in one."""
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        raise _Bound(WrongKind("forms are sent urlencoded here"))
    if kind != _FORM or not body:
        return
    # One field may stand often: a cleanup ticks one box for each artifact.
    if len({part.partition(b"=")[0] for part in body.split(b"&")}) > FIELDS:
        raise _Bound(TooLarge("the form has too many fields", detail=f"it may have {FIELDS}"))
    if b"\0" in unquote_to_bytes(body):
        raise _Bound(Malformed("the form holds a NUL character"))


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives the body at once, then what comes after it."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
