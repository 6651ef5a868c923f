"""Bulk: one action for several artifacts that were ticked on the list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import WrongReason, WrongUsage, ZanithError
from app.recovery.jobs import model as jobs
from app.recovery.jobs.model import Job
from app.recovery.purge import hold
from app.routes import sealing
from app.routes.errors import status_of
from app.routes.pages.artifacts import ArtifactQuery, show_refused
from app.routes.pages.bulk_matching import Action, act_on_matching
from app.routes.pages.bulk_matching import Asked as AskedMatching
from app.routes.pages.cleanup import link_to_chosen
from app.routes.rendering import is_partial, link
from app.routes.studio import Studio, TheStudio, Typed, Who, checked_form

router = APIRouter(prefix="/studio/bulk")

PATH = "/studio/bulk"

MOST = 200


@dataclass(frozen=True)
class Outcome:
    """What became of one artifact: the error where it was refused."""

    artifact_id: str
    artifact: Artifact | None
    error: ZanithError | None


@dataclass(frozen=True)
class BulkView:
    """The result of each."""

    action: str
    outcomes: tuple[Outcome, ...]

    @property
    def done(self) -> int:
        """How many went through."""
        return sum(outcome.error is None for outcome in self.outcomes)


@dataclass(frozen=True)
class VerifyingView:
    """Verifications that were started together, each with its job as it is now."""

    jobs: tuple[Job, ...]
    refused: tuple[Outcome, ...]

    @property
    def here(self) -> str:
        """The address of this page."""
        return link_to_jobs(self.jobs, self.refused)

    @property
    def live(self) -> int:
        """How many wait or run."""
        return sum(not job.ended for job in self.jobs)

    def ended_as(self, state: str) -> int:
        """How many ended so."""
        return sum(job.state == state for job in self.jobs)


def link_to_jobs(started: tuple[Job, ...], refused: tuple[Outcome, ...]) -> str:
    """Return the address of the page that follows these."""
    ids = [outcome.artifact_id for outcome in refused]
    return link(PATH, {"job": [job.id for job in started], "refused": ids})


@router.get("", response_class=HTMLResponse)
async def follow(
    request: Request,
    studio: TheStudio,
    who: Who,
    job: Annotated[list[str] | None, Query(max_length=MOST)] = None,
    refused: Annotated[list[str] | None, Query(max_length=MOST)] = None,
) -> Response:
    """Show verifications that were started together, until the last of them ended."""
    db = studio.reading(who)
    if not job and not refused:
        raise WrongUsage("nothing is selected", hint="tick at least one artifact")
    view = VerifyingView(
        tuple([await jobs.get(db, item) for item in job or ()]),
        tuple([await _one(studio, "verify", item, who, None) for item in refused or ()]),
    )
    template = "bulk/verifying.html" if is_partial(request) else "bulk/verify.html"
    title = f"Verify {len(view.jobs) + len(view.refused)} artifacts"
    return studio.pages.render(request, template, view, title=title, section="artifacts")


@router.post("", response_class=HTMLResponse, dependencies=[checked_form])
async def act(
    request: Request,
    studio: TheStudio,
    who: Who,
    action: Annotated[Action, Form()],
    id: Annotated[list[str] | None, Form()] = None,  # noqa: A002 - the documented name
    reason: Typed = "",
    all: Annotated[bool, Form()] = False,  # noqa: A002 - the documented name
    place: Annotated[str, Form(max_length=8000)] = "",
    match: Annotated[str, Form(max_length=8000)] = "",
    digest: Annotated[str, Form(max_length=64)] = "",
    count: Annotated[int, Form(ge=0)] = 0,
) -> Response:
    """Do it for each of them; what is refused for one does not stop the others.

    With `all` for those that match a filter, after a page has shown their number.
    """
    if all:
        asked = AskedMatching(action, match, reason, digest, count)
        return await act_on_matching(studio, request, who, asked)
    ids = list(dict.fromkeys(id or []))
    query = ArtifactQuery.from_place(place)
    kept = {"ticked": frozenset(ids), "reason": reason}
    try:
        _check(ids)
    except WrongUsage as exc:
        return await show_refused(request, studio, who, query, refused=exc, **kept)
    if action == "purge":
        return RedirectResponse(link_to_chosen(ids), 303)
    outcomes = [await _one(studio, action, item, who, reason.strip() or None) for item in ids]
    if isinstance(outcomes[0].error, WrongReason):  # of each: nothing was changed
        return await show_refused(request, studio, who, query, refused=outcomes[0].error, **kept)
    if action == "verify":
        found = [item.artifact for item in outcomes if item.artifact and item.error is None]
        started = tuple(await sealing.start_verifications(studio, found, who))
        if started:
            failed = tuple(outcome for outcome in outcomes if outcome.error is not None)
            return RedirectResponse(link_to_jobs(started, failed), 303)
    view = BulkView(action, tuple(outcomes))
    title = f"{action.capitalize()} {len(ids)} artifacts"
    errors = [outcome.error for outcome in outcomes if outcome.error is not None]
    return studio.pages.render(
        request,
        "bulk/page.html",
        view,
        title=title,
        section="artifacts",
        status=status_of(errors[0]) if not view.done else 200,
    )


def _check(ids: list[str]) -> None:
    if not ids:
        raise WrongUsage("nothing is ticked", hint="tick at least one artifact")
    if len(ids) > MOST:
        raise WrongUsage(
            f"{len(ids):,} artifacts are ticked, and at most {MOST} are changed at once",
            hint="take one page after the other",
        )


async def _one(
    studio: Studio, action: Action, artifact_id: str, who: Actor, reason: str | None
) -> Outcome:
    artifact: Artifact | None = None
    try:
        if action == "hold":
            artifact = await hold.hold(studio.db, artifact_id, who, reason)
        elif action == "release":
            artifact = await hold.release(studio.db, artifact_id, who)
        else:
            artifact = await get_artifact(studio.reading(who), artifact_id)
            sealing.check_verifiable(artifact)
    except ZanithError as exc:
        return Outcome(artifact_id, artifact, exc)
    return Outcome(artifact_id, artifact, None)
