"""An id for every request, one line in the log when it is answered, and no fault without either."""

from __future__ import annotations

import logging
import re
import secrets
import time

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.recovery.core.translate import translate
from app.routes import errors
from app.routes.metrics import Counters
from app.routes.middleware.proxies import TRUSTED
from app.routes.middleware.request_id import request_id

HEADER = "X-Request-Id"
log = logging.getLogger("zanith.studio")
access_log = logging.getLogger("zanith.access")

_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Tracing:
    """Names, times, counts and logs each request; a trusted proxy may name it first."""

    def __init__(self, app: ASGIApp, *, counters: Counters) -> None:
        self.app = app
        self.counters = counters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on under its id."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        scope.setdefault("state", {})
        name = _given(scope) or secrets.token_hex(8)
        began, status = time.perf_counter(), 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[HEADER] = name
            await send(message)

        token = request_id.set(name)
        try:
            await self.app(scope, receive, send_named)
        finally:
            self.counters.answered(status)
            _write(scope, status, 1000 * (time.perf_counter() - began))
            request_id.reset(token)


def _given(scope: Scope) -> str | None:
    given = Headers(scope=scope).get(HEADER, "")
    return given if scope.get(TRUSTED) and _GIVEN.fullmatch(given) else None


def _write(scope: Scope, status: int, milliseconds: float) -> None:
    """Log the request: its path only, since a query may hold what is nobody's business."""
    actor = scope["state"].get("actor")
    client = scope.get("client")
    access_log.info(
        "%s %s %s",
        scope["method"],
        scope["path"],
        status or "cut off",
        extra={
            "facts": {
                "method": scope["method"],
                "path": scope["path"],
                "status": status or None,
                "milliseconds": round(milliseconds, 1),
                "actor": actor.name if actor else None,
                "address": client[0] if client else None,
            }
        },
    )


class Faults:
    """Answers what no route foresaw; what fails after the answer began cuts the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on; log a fault, and answer it in the one shape of every error."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def send_noting(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, send_noting)
        except Exception as exc:
            known = translate(exc)
            asked = (scope["method"], scope["path"])
            if (
                known.withheld
            ):  # a traceback ends with PostgreSQL's text: it can hold values of rows
                log.error("%s %s failed: %s", *asked, known.for_log)  # noqa: TRY400
            else:
                log.exception("%s %s failed", *asked)
            if started:
                raise
            response = await errors.answer(Request(scope), known)
            await response(scope, receive, send)
