"""How an error of the engine becomes an answer: the one place that maps to HTTP status codes.

The API answers in one JSON shape, a page with a page, and an HTMX request with the piece that the
page puts into its notice.
"""

from __future__ import annotations

import copy
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from app.recovery.core.errors import (
    Busy,
    Failed,
    Locked,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    OutOfTime,
    Refused,
    WrongUsage,
    ZanithError,
)
from app.routes.answers import Document
from app.routes.auth.returning import to_login
from app.routes.middleware.request_id import request_id
from app.routes.words import error_body


class TooManyAttempts(NotAuthenticated):
    """Too many wrong tokens from this address."""

    code = "too_many_attempts"


class Invalid(WrongUsage):
    """The request does not have the form that is documented."""

    code = "invalid"


class Malformed(WrongUsage):
    """The request cannot be read as it stands."""

    code = "malformed"


class TooLarge(WrongUsage):
    """The request is too large."""

    code = "too_large"


class TooLong(WrongUsage):
    """The address is too long."""

    code = "too_long"


class TooSlow(WrongUsage):
    """The request took too long to arrive."""

    code = "too_slow"


class WrongKind(WrongUsage):
    """The body is of a kind that is not taken here."""

    code = "wrong_kind"


class TooManyStreams(Refused):
    """Too many event streams are open."""

    code = "too_many_streams"


class ShuttingDown(ZanithError):
    """The studio is shutting down."""

    code = "shutting_down"


class Crowded(ZanithError):
    """Too many connections to the studio are open."""

    code = "crowded"


class NotReady(ZanithError):
    """The studio cannot answer from its database just now."""

    code = "not_ready"


class WrongMethod(WrongUsage):
    """The address exists, but not for this method."""

    code = "method"


# First match wins, so a subclass stands before its parent.
_STATUS: tuple[tuple[type[ZanithError], int], ...] = (
    (TooManyAttempts, 429),
    (TooManyStreams, 429),
    (TooLarge, 413),
    (TooLong, 414),
    (TooSlow, 408),
    (WrongKind, 415),
    (ShuttingDown, 503),
    (Crowded, 503),
    (NotReady, 503),
    (Busy, 503),
    (OutOfTime, 503),
    (NotAuthenticated, 401),
    (NotPermitted, 403),
    (NotFound, 404),
    (Invalid, 422),
    (WrongMethod, 405),
    (WrongUsage, 400),
    (Refused, 409),
    (Locked, 423),
)

# SQLSTATE classes that say the server is not there just now: connection, resources, intervention.
_UNAVAILABLE = ("08", "53", "57")


def status_of(error: ZanithError) -> int:
    """Return the HTTP status of an error: 4xx by its class, 503 for a server away, else 500."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            return status
    away = isinstance(error, Failed) and isinstance(error.__cause__, OSError | TimeoutError)
    if away or (not error.by_owner and (error.sqlstate or "").startswith(_UNAVAILABLE)):
        return 503
    return 500


def body_of(error: ZanithError) -> dict[str, Any]:
    """Return the one JSON shape that every error of the API has."""
    return error_body(error)


def wants_page(request: Request) -> bool:
    """Whether a person is asking, rather than a program: everything under /studio, and the root."""
    return request.url.path == "/" or request.url.path.startswith("/studio")


async def answer(request: Request, error: ZanithError) -> Response:
    """Return the error as JSON, as a page, as a fragment, or as the way to the login page."""
    status = status_of(error)
    request.app.state.studio.counters.refused(error.code)
    if status == 500:
        error = _numbered(error)
    headers = {"Cache-Control": "no-store"}
    if status == 401 and not wants_page(request):
        headers["WWW-Authenticate"] = 'Bearer realm="zanith"'
    if status == 429:
        headers["Retry-After"] = "60"
    soon = isinstance(error, ShuttingDown | Crowded | Busy | OutOfTime)
    if soon:
        headers["Retry-After"] = "1"
    if not wants_page(request):
        return Document(body_of(error), status, headers)
    if status == 401:
        return to_login(request)
    pages = request.app.state.studio.pages
    partial = bool(request.headers.get("HX-Request"))
    template = "error/notice.html" if partial else "error/page.html"
    title = "Busy: try again in a moment" if soon else _title(status)
    page: Response = pages.error(request, template, error, title, status)
    page.headers.update(headers)
    return page


def _numbered(error: ZanithError) -> ZanithError:
    """Return the error with the request's id, so that a person can quote it."""
    numbered = copy.copy(error)
    numbered.detail = "; ".join(
        part for part in (error.detail, f"request {request_id.get()}") if part
    )
    return numbered


def _title(status: int) -> str:
    return {
        400: "The request is not valid",
        403: "Not permitted",
        404: "Nothing here",
        405: "Method not allowed",
        409: "Refused: nothing was changed",
        422: "The request is not valid",
        423: "Busy: try again in a moment",
        408: "The request took too long",
        413: "Too large",
        414: "The address is too long",
        415: "Unsupported content type",
        429: "Too many attempts",
        503: "The database does not answer",
    }.get(status, HTTPStatus(status).phrase)


def from_http(exc: HTTPException, request: Request) -> ZanithError:
    """Return what the framework refused in the words of the engine."""
    if exc.status_code == 404:
        return NotFound(
            f"there is nothing at {request.url.path}",
            hint="the pages begin at /studio, the API at /api/openapi.json",
        )
    if exc.status_code == 405:
        return WrongMethod(f"{request.method} is not possible at {request.url.path}")
    if exc.status_code < 500:
        return Invalid(str(exc.detail))
    return Failed(str(exc.detail))


def from_validation(exc: RequestValidationError) -> ZanithError:
    """Return a request that does not validate as one error that names the first field."""
    problems = exc.errors()
    first = problems[0] if problems else {"loc": (), "msg": "invalid"}
    where = ".".join(str(part) for part in first["loc"][1:]) or str(first["loc"][0])
    more = "; ".join(
        f"{'.'.join(str(part) for part in problem['loc'][1:])}: {problem['msg']}"
        for problem in problems[1:]
    )
    return Invalid(
        f"{where}: {first['msg']}", detail=more or None, hint="see /api/openapi.json for the form"
    )


def install(app: FastAPI) -> None:
    """Let every exception that a route may raise end in `answer`; faults end in tracing."""

    @app.exception_handler(ZanithError)
    async def _known(request: Request, exc: ZanithError) -> Response:
        return await answer(request, exc)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, exc: RequestValidationError) -> Response:
        return await answer(request, from_validation(exc))

    @app.exception_handler(HTTPException)
    async def _http(request: Request, exc: HTTPException) -> Response:
        return await answer(request, from_http(exc, request))
