"""Approvals: what waits for a second person, one request with what changed since, the decision."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.approvals import deciding
from app.recovery.approvals.looking import Looked, Review, review
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, NotPermitted, Refused, WrongUsage, ZanithError
from app.recovery.core.four_eyes import Change, in_order
from app.recovery.db.database import Database
from app.recovery.jobs import approvals
from app.recovery.jobs.approvals import Approval
from app.recovery.plan.model import Choices
from app.routes import four_eyes
from app.routes.chosen import Chosen, chosen_in_form
from app.routes.errors import status_of
from app.routes.pages.erase import Pairs, pairs_in_form
from app.routes.rendering import is_partial, link
from app.routes.studio import Studio, TheStudio, Typed, Who, checked_form

router = APIRouter(prefix="/studio")

PATH = "/studio/approvals"
PAGE = 50

Digest = Annotated[str, Form(max_length=64)]


@dataclass(frozen=True)
class ListView:
    """The requests, and what needs one here."""

    approvals: tuple[Approval, ...]
    required: tuple[str, ...]
    by_database: tuple[str, ...]
    offset: int
    more: bool
    error: ZanithError | None = None
    """Why the ticked requests were not approved; they stay ticked, with what was typed."""
    ticked: frozenset[str] = frozenset()
    typed: str = ""
    reason: str = ""

    @property
    def here(self) -> str:
        """The address of this page."""
        return link(PATH, {"offset": self.offset or ""})

    @property
    def older(self) -> str | None:
        """The address of the next page."""
        return link(PATH, {"offset": self.offset + PAGE}) if self.more else None

    @property
    def waiting(self) -> tuple[Approval, ...]:
        """Those that wait for a decision."""
        return tuple(each for each in self.approvals if each.state == "requested")

    @property
    def open(self) -> tuple[Approval, ...]:
        """Those that are approved and not used."""
        return tuple(each for each in self.approvals if each.state == "approved")

    @property
    def over(self) -> tuple[Approval, ...]:
        """The rest."""
        return tuple(each for each in self.approvals if not each.live)


@dataclass(frozen=True)
class Fact:
    """One fact as the request showed it, and as it is now."""

    label: str
    then: Any
    now: Any
    differs: bool
    known: bool


@dataclass(frozen=True)
class RequestView:
    """One request beside what its change would do now."""

    review: Review
    asks: bool
    """Whether the reader is the person who asked."""
    error: ZanithError | None = None
    trouble: ZanithError | None = None
    """Why it cannot be said what the change would do now."""
    typed: str = ""
    reason: str = ""

    @property
    def approval(self) -> Approval:
        """The request."""
        return self.review.approval

    @property
    def now(self) -> Looked | None:
        """What the change would do now."""
        return self.review.now

    @property
    def stale(self) -> bool:
        """Whether it waits, and its change is not the one that was asked for."""
        return self.approval.live and self.trouble is None and self.review.changed

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What the request showed, each beside what is so now."""
        now: dict[str, Any] = dict(map(tuple, self.now.facts)) if self.now else {}
        then: dict[str, Any] = dict(map(tuple, self.approval.facts))
        return tuple(
            Fact(
                *(label, then.get(label), now.get(label)),
                differs=bool(now) and then.get(label) != now.get(label),
                known=bool(now),
            )
            for label in [*then, *(label for label in now if label not in then)]
            # shown below with their statements, unless another step is planned by now
            if label != "Steps" or not now or then.get(label) != now.get(label)
        )

    @property
    def choices(self) -> dict[str, Any]:
        """The choices of a restore."""
        found: dict[str, Any] = self.approval.params.get("choices", {})
        return found

    @property
    def page(self) -> str | None:
        """The page of the change, from which it runs, or is asked for again."""
        return page_of(self.approval)


def page_of(approval: Approval) -> str | None:
    """Return the address of the page of a request's change."""
    if approval.artifact_id is None:
        return None
    if approval.kind is Change.UNVERIFIED:
        chosen = Chosen.from_job(approval.params["choices"])
        return chosen.link(approval.artifact_id)
    return f"/studio/artifacts/{approval.artifact_id}/{approval.kind.value}"


async def build(
    db: Database, reference: str, actor: Actor, error: ZanithError | None = None
) -> RequestView:
    """Read a request, and plan its change; what cannot be planned is said in the plan's place."""
    found = await approvals.get_approval(db, reference)
    asks = actor.name.strip().lower() == found.requested_by.strip().lower()
    try:
        return RequestView(await review(db, found, actor), asks, error)
    except (Refused, Locked, WrongUsage, NotPermitted) as exc:
        return RequestView(Review(found, None), asks, error, trouble=exc)


@router.get("/approvals", response_class=HTMLResponse)
async def show_list(
    request: Request,
    studio: TheStudio,
    who: Who,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> Response:
    """List the requests: those that wait first."""
    return show_requests(request, studio, await build_list(studio.reading(who), offset))


async def build_list(db: Database, offset: int = 0) -> ListView:
    """Read a page of the requests."""
    found = await approvals.list_approvals(db, limit=PAGE + 1, offset=offset)
    rules = await approvals.find_rules(db)
    required = in_order(await approvals.find_required(db))
    return ListView(
        tuple(found[:PAGE]),
        tuple(change.value for change in required),
        tuple(str(rule["kind"]) for rule in rules),
        offset,
        more=len(found) > PAGE,
    )


def show_requests(
    request: Request, studio: Studio, view: ListView, status: int = 200
) -> HTMLResponse:
    """Show the list, or only its results where HTMX asks."""
    template = "approvals/results.html" if is_partial(request) else "approvals/page.html"
    return studio.pages.render(
        request, template, view, title="Approvals", section="approvals", status=status
    )


@router.get("/approvals/badge", response_class=HTMLResponse)
async def show_badge(request: Request, studio: TheStudio, who: Who) -> Response:
    """Return the number in the navigation."""
    await four_eyes.refresh(studio)
    return studio.pages.render(request, "approvals/badge.html", who, title="Approvals")


def _show(
    request: Request, studio: TheStudio, view: RequestView, status: int = 200
) -> HTMLResponse:
    return studio.pages.render(
        request,
        "approvals/request.html",
        view,
        title=f"Approval of the {view.approval.title}",
        section="approvals",
        status=status,
    )


@router.get("/approvals/{approval_id}", response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, approval_id: str) -> Response:
    """Show a request, and what its change would do now."""
    return _show(request, studio, await build(studio.reading(who), approval_id, who))


_DECIDE: dict[str, Callable[..., Awaitable[Approval]]] = {
    "approve": deciding.approve,
    "reject": deciding.reject,
    "withdraw": deciding.withdraw,
}


async def _decided(
    request: Request,
    studio: TheStudio,
    who: Actor,
    approval_id: str,
    action: Literal["approve", "reject", "withdraw"],
    reason: str,
    **given: Any,
) -> Response:
    try:
        await _DECIDE[action](studio.db, approval_id, who, reason=reason.strip() or None, **given)
    except (Refused, Locked, WrongUsage) as exc:
        view = await build(studio.reading(who), approval_id, who, exc)
        typed = str(given.get("confirm") or "")
        shown = replace(view, error=exc, typed=typed, reason=reason)
        return _show(request, studio, shown, status_of(exc))
    await four_eyes.refresh(studio)
    return RedirectResponse(f"{PATH}/{approval_id}", 303)


@router.post("/approvals/{approval_id}/approve", dependencies=[checked_form])
async def approve(
    request: Request,
    studio: TheStudio,
    who: Who,
    approval_id: str,
    confirm: Typed = "",
    digest: Digest = "",
    reason: Typed = "",
) -> Response:
    """Approve it, or show it again with why not."""
    given = {"confirm": confirm, "expected_digest": digest or None}
    return await _decided(request, studio, who, approval_id, "approve", reason, **given)


@router.post("/approvals/{approval_id}/reject", dependencies=[checked_form])
async def reject(
    request: Request, studio: TheStudio, who: Who, approval_id: str, reason: Typed = ""
) -> Response:
    """Reject it."""
    return await _decided(request, studio, who, approval_id, "reject", reason)


@router.post("/approvals/{approval_id}/withdraw", dependencies=[checked_form])
async def withdraw(
    request: Request, studio: TheStudio, who: Who, approval_id: str, reason: Typed = ""
) -> Response:
    """Take it back."""
    return await _decided(request, studio, who, approval_id, "withdraw", reason)


# ----------------------------------------------------------------- asking, from the change's page


@dataclass(frozen=True)
class AskView:
    """A request that was refused: what was typed is kept."""

    artifact_id: str
    object: str
    action: str
    change: str
    fields: dict[str, Any]
    given: Pairs
    back: str
    reason: str
    error: ZanithError

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Of an erasure: the columns and their values."""
        return tuple(pair for pair in self.given.pairs if pair[0])

    @property
    def key(self) -> tuple[str, ...]:
        """Of ticked rows: the columns of the key."""
        return self.given.key

    @property
    def keys(self) -> tuple[str, ...]:
        """Their values, one after another."""
        return self.given.keys


async def _ask(
    request: Request,
    studio: TheStudio,
    who: Actor,
    change: Change,
    artifact_id: str,
    reason: str,
    back: str,
    fields: dict[str, Any],
    pairs: Pairs | None = None,
    **given: Any,
) -> Response:
    try:
        found = await deciding.request(studio.db, change, artifact_id, who, reason=reason, **given)
    except (Refused, Locked, WrongUsage) as exc:
        view = AskView(
            *(artifact_id, artifact_id, request.url.path, change.value, fields, pairs or Pairs()),
            *(back, reason, exc),
        )
        title = "Ask for an approval"
        return studio.pages.render(
            *(request, "approvals/refused.html", view),
            title=title,
            section="approvals",
            status=status_of(exc),
        )
    await four_eyes.refresh(studio)
    return RedirectResponse(f"{PATH}/{found.id}", 303)


@router.post("/artifacts/{artifact_id}/purge/request", dependencies=[checked_form])
async def ask_purge(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    digest: Digest = "",
    reason: Typed = "",
) -> Response:
    """Ask another person to approve the purge."""
    return await _ask(
        *(request, studio, who, Change.PURGE, artifact_id, reason),
        back=f"/studio/artifacts/{artifact_id}/purge",
        fields={"digest": digest},
        expected_digest=digest or None,
    )


@router.post("/artifacts/{artifact_id}/erase/request", dependencies=[checked_form])
async def ask_erasure(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    pairs: Annotated[Pairs, Depends(pairs_in_form)],
    rows: Annotated[int, Form(ge=0, lt=2**63)] = 0,
    digest: Digest = "",
    reason: Typed = "",
) -> Response:
    """Ask another person to approve the erasure; its values are not kept."""
    return await _ask(
        *(request, studio, who, Change.ERASE, artifact_id, reason),
        back=f"/studio/artifacts/{artifact_id}/erase",
        fields={"digest": digest, "rows": str(rows)},
        pairs=pairs,
        match=pairs.match,
        rows=rows,
        expected_digest=digest or None,
    )


@router.post("/artifacts/{artifact_id}/restore/request", dependencies=[checked_form])
async def ask_restore(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    chosen: Annotated[Chosen, Depends(chosen_in_form)],
    reason: Typed = "",
) -> Response:
    """Ask another person to approve the restore that skips the seal."""
    choices: Choices = chosen.choices
    return await _ask(
        *(request, studio, who, Change.UNVERIFIED, artifact_id, reason),
        back=chosen.link(artifact_id),
        fields=chosen.fields,
        params={"choices": choices.to_json()},
    )
