"""Signing in and out with a token, and the colours that a browser prefers."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotAuthenticated, WrongUsage, ZanithError
from app.recovery.jobs import audit
from app.routes.auth import sessions
from app.routes.auth.access import SESSION, SESSION_SECONDS, address_of, set_cookie
from app.routes.errors import TooManyAttempts, status_of
from app.routes.middleware.prefix import ours
from app.routes.middleware.proxies import person
from app.routes.middleware.same_origin import is_foreign
from app.routes.rendering import THEME_COOKIE
from app.routes.studio import Studio, TheStudio, open_form

log = logging.getLogger("zanith.studio")
router = APIRouter()


@dataclass(frozen=True)
class LoginView:
    """The form that asks for the token."""

    next: str
    error: ZanithError | None = None
    ended: bool = False


@dataclass(frozen=True)
class ArrivalView:
    """Where a visitor from another site goes on by themselves."""

    next: str


def _local(studio: Studio, path: str) -> str:
    """Return a path of this studio; anything else becomes the first page."""
    return ours(path, studio.settings.root_path)


@router.get("/")
async def root() -> Response:
    """Lead to the studio."""
    return RedirectResponse("/studio", 307)


@router.get("/studio/login", response_class=HTMLResponse)
async def ask(
    request: Request,
    studio: TheStudio,
    next: str = "/studio",  # noqa: A002 - the documented name
    ended: bool = False,
) -> Response:
    """Ask for the token; where none is needed, go on."""
    if studio.access.open:
        return RedirectResponse(_local(studio, next), 303)
    # A link in a chat or a ticket brings no SameSite=Strict cookie. One step within this site does.
    if is_foreign(request.headers):
        return studio.pages.render(
            request, "login/arrival.html", ArrivalView(_local(studio, next)), title="One moment"
        )
    view = LoginView(_local(studio, next), ended=ended)
    return studio.pages.render(request, "login/page.html", view, title="Sign in")


@router.post("/studio/login", dependencies=[open_form])
async def sign_in(
    request: Request,
    studio: TheStudio,
    token: Annotated[str, Form(max_length=1000)] = "",
    next: Annotated[str, Form()] = "/studio",  # noqa: A002 - the documented name
) -> Response:
    """Check the token and begin a session; a wrong one is counted and logged."""
    address = address_of(request)
    try:
        credential = studio.access.by_token(token.strip(), address)
    except NotAuthenticated as exc:
        if not isinstance(exc, TooManyAttempts):
            # What goes wrong with the database is nothing for somebody without a token.
            with suppress(ZanithError):
                await _log(studio, Actor("unknown", address, "viewer"), "refused", None)
        view = LoginView(_local(studio, next), exc)
        return studio.pages.render(
            request, "login/page.html", view, title="Sign in", status=status_of(exc)
        )
    role: Literal["viewer", "staff"] = "viewer" if credential.role == "viewer" else "staff"
    name = person(request.scope) or credential.name
    try:
        await _log(studio, Actor(name, address, role), "done", credential.name)
    except ZanithError as exc:  # the server is away, or takes no writes: pages say so themselves
        log.warning("the sign-in of %s is not in the audit log: %s", name, exc.for_log)
    await sessions.end(studio, request.cookies.get(SESSION, ""))  # nobody has that one any more
    response = RedirectResponse(_local(studio, next), 303)
    set_cookie(request, response, SESSION, studio.access.session_for(credential), SESSION_SECONDS)
    return response


async def _log(
    studio: Studio, actor: Actor, outcome: str, token: str | None, *, action: str = "login"
) -> None:
    """Write the attempt to the audit log with whose token it was; a standby takes no writes."""
    if studio.server and studio.server.standby:
        return
    async with studio.db.side() as connection:
        detail = {"role": actor.role} | ({"token": token} if token else {})
        await audit.record(connection, actor, action, outcome, detail=detail)


@router.post("/studio/logout", dependencies=[open_form])
async def sign_out(request: Request, studio: TheStudio) -> Response:
    """End the session of this browser, for everybody who has its cookie and on every studio."""
    actor: Actor | None = None
    with suppress(NotAuthenticated, WrongUsage):  # a proxy may name nobody, or nobody that can be
        actor = studio.access.actor(request)
    await sessions.end(studio, request.cookies.get(SESSION, ""))
    if actor is not None:
        with suppress(ZanithError):
            await _log(studio, actor, "done", None, action="logout")
    response = RedirectResponse("/studio/login", 303)
    response.delete_cookie(SESSION, path="/", httponly=True, samesite="strict")
    return response


@router.post("/studio/theme", dependencies=[open_form])
async def choose_theme(
    request: Request,
    studio: TheStudio,
    theme: Annotated[Literal["auto", "light", "dark"], Form()],
    back: Annotated[str, Form()] = "/studio",
) -> Response:
    """Keep the colours that this browser prefers for a year."""
    response = RedirectResponse(_local(studio, back), 303)
    set_cookie(request, response, THEME_COOKIE, theme, 365 * 86400)
    return response
