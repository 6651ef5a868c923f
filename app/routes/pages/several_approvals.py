"""Several approvals at once: of purges that were chosen, and of requests that were ticked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, Response

from app.recovery.approvals import several
from app.recovery.approvals.several import Outcome
from app.recovery.core.errors import NotPermitted, Refused, WrongUsage, ZanithError
from app.routes import four_eyes
from app.routes.errors import status_of
from app.routes.pages.approvals import build_list, show_requests
from app.routes.studio import Studio, TheStudio, Typed, Who, checked_form

router = APIRouter(prefix="/studio/approvals")


@dataclass(frozen=True)
class SeveralView:
    """What became of each; or why nothing was asked for, with what was typed."""

    action: str
    outcomes: tuple[Outcome, ...] = ()
    artifacts: tuple[str, ...] = ()
    error: ZanithError | None = None
    reason: str = ""

    @property
    def done(self) -> int:
        """How many went through."""
        return sum(outcome.error is None for outcome in self.outcomes)


def _show(request: Request, studio: Studio, view: SeveralView, status: int = 200) -> HTMLResponse:
    return studio.pages.render(
        request,
        "approvals/several.html",
        view,
        title="Several approvals",
        section="approvals",
        status=status,
    )


@router.post("/purges", dependencies=[checked_form])
async def ask_for_purges(
    request: Request,
    studio: TheStudio,
    who: Who,
    id: Annotated[list[str] | None, Form(max_length=several.MOST)] = None,  # noqa: A002 - its name
    reason: Typed = "",
) -> Response:
    """Ask for the approval of each purge, with one reason; show what became of each."""
    ids = tuple(id or ())
    try:
        found = await several.request_purges(studio.db, ids, who, reason=reason.strip() or None)
    except (Refused, WrongUsage, NotPermitted) as exc:
        view = SeveralView("request", artifacts=ids, error=exc, reason=reason)
        return _show(request, studio, view, status_of(exc))
    await four_eyes.refresh(studio)
    return _show(request, studio, SeveralView("request", tuple(found)))


@router.post("/approve", dependencies=[checked_form])
async def approve(
    request: Request,
    studio: TheStudio,
    who: Who,
    id: Annotated[list[str] | None, Form(max_length=several.MOST)] = None,  # noqa: A002 - its name
    confirm: Typed = "",
    reason: Typed = "",
) -> Response:
    """Approve the ticked requests, each by itself; or show the list again with why not."""
    ticked = dict(one.partition(":")[::2] for one in id or ())
    try:
        found = await several.approve_several(
            *(studio.db, list(ticked), who),
            confirm=int(confirm) if confirm.strip().isdecimal() else None,
            digests={one: digest for one, digest in ticked.items() if digest},
            reason=reason.strip() or None,
        )
    except (Refused, WrongUsage, NotPermitted) as exc:
        view = replace(
            await build_list(studio.reading(who)),
            error=exc,
            ticked=frozenset(ticked),
            typed=confirm,
            reason=reason,
        )
        return show_requests(request, studio, view, status_of(exc))
    await four_eyes.refresh(studio)
    return _show(request, studio, SeveralView("approve", tuple(found)))
