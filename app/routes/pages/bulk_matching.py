"""Bulk on a filter: one action for all artifacts that match, after their exact number was shown."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from fastapi import Request
from fastapi.responses import RedirectResponse, Response

from app.recovery.artifacts.listing import list_artifacts
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, Refused, WrongUsage, ZanithError
from app.recovery.purge.bulk import Matching, change_matching, check_same, find_matching
from app.routes import sealing
from app.routes.errors import status_of
from app.routes.pages.artifacts import ArtifactQuery
from app.routes.pages.cleanup import link_to_chosen
from app.routes.rendering import link
from app.routes.studio import Studio

SAMPLE = 10
MOST_PURGED = 200
MOST_VERIFIED = 1_000
Action = Literal["hold", "release", "verify", "purge"]
WORDS = {
    "type": "type",
    "status": "status",
    "table": "table",
    "search": "search",
    "health": "health",
    "older_than": "captured longer ago than",
    "object": "table or column has",
    "migration": "migration has",
    "who": "captured by",
    "held": "on hold",
    "exported": "exported",
    "expiring": "expires",
    "since": "captured since",
    "until": "captured before",
}


@dataclass(frozen=True)
class MatchingView:
    """What would be done, to how many, and why it cannot be where it can not."""

    action: Action
    query: ArtifactQuery
    matching: Matching
    sample: tuple[Artifact, ...]
    reason: str = ""
    sealed: int | None = None
    error: ZanithError | None = None

    @property
    def number(self) -> int:
        """How many match."""
        return len(self.matching.ids)

    @property
    def said(self) -> list[tuple[str, str]]:
        """What narrows the list, in words."""
        return [(WORDS[name], value) for name, value in self.query.narrowing.items()]


@dataclass(frozen=True)
class ChangedView:
    """What came of it: how many match, and how many of them it changed."""

    action: Action
    number: int
    changed: int
    back: str


@dataclass(frozen=True)
class Asked:
    """What the form says."""

    action: Action
    match: str
    reason: str = ""
    digest: str = ""
    count: int = 0


async def act_on_matching(studio: Studio, request: Request, who: Actor, asked: Asked) -> Response:
    """Show what would be done to how many; do it where that was confirmed and still holds."""
    query = ArtifactQuery.from_match(asked.match)
    db = studio.reading(who)
    if not asked.digest:
        return await _show(studio, request, who, asked, query, None)
    try:
        if asked.action in {"hold", "release"}:
            changed = await change_matching(
                *(studio.db, query.to_filter(), who, asked.action),
                digest=asked.digest,
                count=asked.count,
                reason=asked.reason.strip() or None,
            )
            view = ChangedView(asked.action, asked.count, len(changed), query.link())
            title = f"{asked.action.capitalize()} {asked.count} artifacts"
            return studio.pages.render(
                request, "bulk/changed.html", view, title=title, section="artifacts"
            )
        found = await find_matching(db, query.to_filter())
        check_same(found, asked.digest, asked.count)
        if asked.action == "purge":
            return RedirectResponse(link_to_chosen(_purgeable(found)), 303)
        sealed = await _sealed(studio, who, query)
        await sealing.start_verifications(studio, sealed, who)
    except (Refused, Locked, WrongUsage) as exc:
        return await _show(studio, request, who, asked, query, exc)
    return RedirectResponse(link("/studio/jobs", {"kind": "verify"}), 303)


async def _show(
    studio: Studio,
    request: Request,
    who: Actor,
    asked: Asked,
    query: ArtifactQuery,
    error: ZanithError | None,
) -> Response:
    db = studio.reading(who)
    found = await find_matching(db, query.to_filter())
    page = await list_artifacts(db, replace(query.to_filter(), limit=SAMPLE))
    sealed = None
    if error is None:
        try:
            if asked.action == "purge":
                return RedirectResponse(link_to_chosen(_purgeable(found)), 303)
            if asked.action == "verify":
                sealed = len(await _sealed(studio, who, query))
        except WrongUsage as exc:
            error = exc
    view = MatchingView(
        *(asked.action, query, found, tuple(page.items), asked.reason, sealed, error)
    )
    return studio.pages.render(
        request,
        "bulk/matching.html",
        view,
        title=f"{asked.action.capitalize()} {view.number} artifacts",
        section="artifacts",
        status=status_of(error) if error else 200,
    )


def _purgeable(found: Matching) -> list[str]:
    if len(found.ids) > MOST_PURGED:
        raise WrongUsage(
            f"{len(found.ids):,} artifacts match, and a review of a purge shows at most"
            f" {MOST_PURGED}",
            hint="narrow the filter, or use Cleanup, which purges by age",
        )
    return list(found.ids)


async def _sealed(studio: Studio, who: Actor, query: ArtifactQuery) -> list[Artifact]:
    """Return those of them that have a seal to compare with."""
    wanted = replace(query.to_filter(), limit=MOST_VERIFIED + 1)
    page = await list_artifacts(studio.reading(who), wanted)
    if len(page.items) > MOST_VERIFIED:
        raise WrongUsage(
            f"{page.total:,} artifacts match, and at most {MOST_VERIFIED:,} are verified at once",
            hint="narrow the filter, for example by date",
        )
    return [artifact for artifact in page.items if artifact.checksum is not None]
