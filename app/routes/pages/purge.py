"""Purge: the review before anything is final, and the typed name."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.approvals.standing import Standing, of_purge
from app.recovery.artifacts.model import Artifact
from app.recovery.core.errors import Locked, NotFound, Refused, WrongUsage, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.db.database import Database
from app.recovery.jobs.kinds import Kind
from app.recovery.plan.blocking import Blocking, find_blocking_of_steps
from app.recovery.purge.purge import PurgeReview, review_purge
from app.routes import work
from app.routes.errors import status_of
from app.routes.pages.artifact import find_tombstone
from app.routes.phases import Group, group_steps
from app.routes.runner import outcome
from app.routes.studio import TheStudio, Typed, Who, checked_form

router = APIRouter(prefix="/studio/artifacts/{artifact_id}/purge")

QUICK_SECONDS = 5.0
"""What takes longer, mostly for a lock, is followed on its job's page."""


@dataclass(frozen=True)
class PurgeView:
    """What would be deleted for good, and what is known of it."""

    review: PurgeReview
    error: ZanithError | None = None
    typed: str = ""
    reason: str = ""
    standing: Standing = field(default_factory=lambda: Standing(Change.PURGE))

    @property
    def artifact(self) -> Artifact:
        """The artifact under review."""
        return self.review.artifact

    @property
    def blocking(self) -> Blocking:
        """What the purge keeps others from."""
        return find_blocking_of_steps(self.review.plan.steps)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The steps as the page shows them."""
        return group_steps(self.review.plan.steps)

    @property
    def loses_rows(self) -> bool:
        """Whether rows or values go that are nowhere else in the database."""
        artifact = self.artifact
        return artifact.physical_name is not None and artifact.status != "restored"

    @property
    def exported_at(self) -> datetime | None:
        """When it was last exported."""
        last = self.review.last_export
        return datetime.fromisoformat(str(last["at"])) if last else None


async def build(db: Database, artifact_id: str, error: ZanithError | None = None) -> PurgeView:
    """Read the review."""
    review = await review_purge(db, artifact_id)
    return PurgeView(review, error, standing=await of_purge(db, review))


def _show(request: Request, studio: TheStudio, view: PurgeView, status: int = 200) -> HTMLResponse:
    return studio.pages.render(
        request,
        "purge/page.html",
        view,
        title=f"Purge {view.artifact.object_name}",
        section="artifacts",
        status=status,
    )


@router.get("", response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Show what would be purged."""
    return _show(request, studio, await build(studio.reading(who), artifact_id))


@router.post("", dependencies=[checked_form])
async def confirm_purge(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    confirm: Typed = "",
    digest: Annotated[str, Form(max_length=64)] = "",
    reason: Typed = "",
) -> Response:
    """Purge it, or show the review again with why not; what takes its time is followed."""
    try:
        job, task = await work.start_purge(
            *(studio, artifact_id, who),
            confirm=confirm,
            digest=digest or None,
            reason=reason.strip() or None,
        )
        await asyncio.wait({task}, timeout=QUICK_SECONDS)
        if not task.done():
            return RedirectResponse(f"/studio/jobs/{job.id}", 303)
        tombstone = await outcome(task)
    except NotFound:
        if await find_tombstone(studio.db, artifact_id) is None:
            raise
        return RedirectResponse(f"/studio/artifacts/{artifact_id}", 303)
    except (Refused, Locked, WrongUsage) as exc:
        if job_id := work.under_way(exc, who, Kind.PURGE):
            return RedirectResponse(f"/studio/jobs/{job_id}", 303)
        view = replace(
            await build(studio.reading(who), artifact_id, exc), typed=confirm, reason=reason
        )
        return _show(request, studio, view, status_of(exc))
    return RedirectResponse(f"/studio/artifacts/{tombstone.artifact_id}", 303)
