"""Cleanup: purge by age, after seeing exactly what would go."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.artifacts.model import Artifact
from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import Locked, Refused, WrongUsage, ZanithError
from app.recovery.db.database import Database
from app.recovery.purge.cleanup import (
    UNAPPROVED,
    asks_about_more_than,
    find_digests,
    find_last_exports,
    plan_cleanup,
)
from app.routes import work
from app.routes.errors import status_of
from app.routes.rendering import is_partial, link
from app.routes.studio import TheStudio, Typed, Who, checked_form
from app.text import plural

PATH = "/studio/cleanup"
AT_ONCE = 20
"""So many artifacts a page shows at once. More are a part of their own: each has a plan."""

router = APIRouter(prefix=PATH)


def doubt(artifact: Artifact, last_export: dict[str, Any] | None) -> str | None:
    """Return why a purge of it deserves a second look; None where nothing speaks against it."""
    if artifact.seal_broken:
        return "it does not match its seal"
    if not artifact.holds_rows:
        return None
    if last_export is None:
        return "it was never exported"
    if last_export.get("equals_seal") is False:
        return "its last export does not match the seal"
    return None


@dataclass(frozen=True)
class Candidate:
    """One artifact that cleanup looks at; with a reason it stays."""

    artifact: Artifact
    skip: str | None
    ticked: bool
    last_export: dict[str, Any] | None
    digest: str = ""

    @property
    def value(self) -> str:
        """What its box sends: which it is, and the digest of what is shown of it."""
        return f"{self.artifact.id}:{self.digest}"

    @property
    def doubt(self) -> str | None:
        """Why it is not ticked before somebody looked at it; None where nothing speaks against."""
        return doubt(self.artifact, self.last_export)

    @property
    def exported_at(self) -> datetime | None:
        """When it was last exported."""
        last = self.last_export
        return datetime.fromisoformat(str(last["at"])) if last else None


@dataclass(frozen=True)
class CleanupView:
    """What a cleanup would take, and what it leaves and why."""

    older_than: str
    expired: bool
    candidates: tuple[Candidate, ...]
    asked: bool
    chosen: tuple[str, ...] = ()  # on the list, whatever their age
    error: ZanithError | None = None
    typed: str = ""
    before_expiry: bool = False
    reason: str = ""
    later: bool = False

    @property
    def by_choice(self) -> bool:
        """Whether it is of what was chosen on the list, and of nothing else."""
        return bool(self.chosen) and not self.expired and not self.older_than.strip()

    @property
    def title(self) -> str:
        """What the page is called."""
        number = len(self.chosen if self.later else self.candidates)
        return f"Purge {plural(number, 'chosen artifact')}" if self.by_choice else "Cleanup"

    @property
    def whole_link(self) -> str:
        """The address of the same page with the artifacts in it."""
        said = {"older_than": self.older_than, "expired": self.expired, "chosen": self.chosen}
        return link(PATH, {**said, "before_expiry": self.before_expiry, "whole": True})

    @property
    def going(self) -> tuple[Candidate, ...]:
        """What would go."""
        return tuple(candidate for candidate in self.candidates if candidate.skip is None)

    @property
    def staying(self) -> tuple[Candidate, ...]:
        """What is left out."""
        return tuple(candidate for candidate in self.candidates if candidate.skip is not None)

    @property
    def unapproved(self) -> tuple[Candidate, ...]:
        """What is left out because a second person has to approve it."""
        return tuple(one for one in self.staying if (one.skip or "").startswith(UNAPPROVED))

    @property
    def ticked(self) -> tuple[Candidate, ...]:
        """What would go if the form were sent as it stands."""
        return tuple(candidate for candidate in self.going if candidate.ticked)

    @property
    def doubtful(self) -> tuple[Candidate, ...]:
        """What would go, and is not ticked before somebody looked at it."""
        return tuple(candidate for candidate in self.going if candidate.doubt)

    @property
    def bytes_ticked(self) -> int:
        """How much that would free."""
        return sum(candidate.artifact.size_bytes or 0 for candidate in self.ticked)


def parse_age(text: str) -> timedelta | None:
    """Return the age; None where none was given; WrongUsage for what is none."""
    return parse_duration(text.strip()) if text.strip() else None


async def build(
    db: Database,
    older_than: str,
    *,
    expired: bool,
    chosen: tuple[str, ...] = (),
    only: frozenset[str] | None = None,
    error: ZanithError | None = None,
    before_expiry: bool = False,
) -> CleanupView:
    """Ask the engine what would go; `only` says what is ticked.

    By default that is all that was exported and matches its seal.
    """
    asked = expired or bool(older_than.strip()) or bool(chosen)
    if not asked:
        return CleanupView(older_than, expired, (), asked=False, error=error)
    try:
        planned = await plan_cleanup(
            *(db, parse_age(older_than), expired),
            only=list(chosen) or None,
            before_expiry=before_expiry,
            broken=True,
        )
    except WrongUsage as exc:
        return CleanupView(older_than, expired, (), asked=False, error=exc)
    exports = await find_last_exports(db, [artifact.id for artifact, _ in planned])
    going = [artifact.id for artifact, skip in planned if skip is None]
    digests = await find_digests(db, going)

    def look(artifact: Artifact, skip: str | None) -> Candidate:
        last = exports.get(artifact.id)
        fine = doubt(artifact, last) is None if only is None else artifact.id in only
        return Candidate(
            *(artifact, skip, skip is None and fine, last), digests.get(artifact.id, "")
        )

    found = tuple(look(artifact, skip) for artifact, skip in planned)
    return CleanupView(
        *(older_than, expired, found),
        asked=True,
        chosen=chosen,
        error=error,
        before_expiry=before_expiry,
    )


def link_to_chosen(ids: list[str]) -> str:
    """Return the address of the review of just these."""
    return link(PATH, {"chosen": ids})


async def _is_long(
    db: Database, older_than: str, *, expired: bool, chosen: tuple[str, ...]
) -> bool:
    """Tell whether there is too much to show at once; an age that is none is no reason to wait."""
    try:
        age = parse_age(older_than)
    except WrongUsage:
        return False
    asked = age is not None or expired or bool(chosen)
    return asked and await asks_about_more_than(db, AT_ONCE, age, expired, list(chosen) or None)


def _show(
    request: Request, studio: TheStudio, view: CleanupView, status: int = 200
) -> HTMLResponse:
    template = "cleanup/results.html" if is_partial(request) else "cleanup/page.html"
    return studio.pages.render(
        request,
        template,
        view,
        title=view.title,
        section="cleanup",
        status=status,
        headers={"HX-Retarget": "#candidates"} if is_partial(request) and status >= 400 else None,
    )


@router.get("", response_class=HTMLResponse)
async def show(
    request: Request,
    studio: TheStudio,
    who: Who,
    older_than: Annotated[str, Query(max_length=40)] = "",
    expired: bool = False,
    before_expiry: bool = False,
    chosen: Annotated[list[str] | None, Query(max_length=200)] = None,
    whole: bool = False,
) -> Response:
    """Show what would be purged; many artifacts as a part of their own, or with ``whole``."""
    db, of = studio.reading(who), tuple(chosen or ())
    asked = not (whole or is_partial(request))
    if asked and await _is_long(db, older_than, expired=expired, chosen=of):
        view = CleanupView(
            *(older_than, expired, ()),
            asked=True,
            chosen=of,
            before_expiry=before_expiry,
            later=True,
        )
        return _show(request, studio, view)
    view = await build(db, older_than, expired=expired, chosen=of, before_expiry=before_expiry)
    return _show(request, studio, view, 400 if view.error else 200)


@router.post("", dependencies=[checked_form])
async def start(
    request: Request,
    studio: TheStudio,
    who: Who,
    older_than: Annotated[str, Form(max_length=40)] = "",
    expired: Annotated[bool, Form()] = False,
    before_expiry: Annotated[bool, Form()] = False,
    id: Annotated[list[str] | None, Form()] = None,  # noqa: A002 - the documented name
    chosen: Annotated[list[str] | None, Form()] = None,
    confirm: Typed = "",
    reason: Typed = "",
) -> Response:
    """Start the cleanup of what is ticked, or show it again with why not."""
    ticked = dict(one.partition(":")[::2] for one in id or [])
    only = list(ticked)
    try:
        count = int(confirm) if confirm.strip().isdecimal() else None
        job = await work.start_cleanup(
            *(studio, parse_age(older_than), expired, only, who),
            confirm=count,
            before_expiry=before_expiry,
            digests={one: digest for one, digest in ticked.items() if digest},
            reason=reason.strip() or None,
        )
    except (Refused, Locked, WrongUsage) as exc:
        view = await build(
            studio.reading(who),
            older_than,
            expired=expired,
            chosen=tuple(chosen or ()),
            only=frozenset(only),
            error=exc,
            before_expiry=before_expiry,
        )
        view = replace(view, typed=confirm, reason=reason)
        return _show(request, studio, view, status_of(exc))
    return RedirectResponse(f"/studio/jobs/{job.id}", 303)
