"""Jobs: what runs and ran, and each one live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery import jobs
from app.recovery.jobs import Job
from app.routes.rendering import is_partial, link
from app.routes.studio import TheStudio, Who, checked_form

router = APIRouter(prefix="/studio/jobs")

PATH = "/studio/jobs"
KINDS = ("restore", "export", "verify", "seal", "purge", "cleanup", "capture")
PAGE = 50


@dataclass(frozen=True)
class JobView:
    """One job, on its page, in its panel and in its progress."""

    job: Job
    download: str | None

    @property
    def percent(self) -> float | None:
        """How far it is, 0 to 100, where the total is known."""
        progress = self.job.progress
        total = progress.get("total") or progress.get("rows_expected") or 0
        done = progress.get("done") or progress.get("rows") or 0
        if self.job.state == "done":
            return 100.0
        return min(100.0, round(100 * done / total, 1)) if total else None

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps of a restore with their state, as its progress tells them."""
        found = (self.job.result or {}).get("steps") or self.job.progress.get("steps") or []
        return [step for step in found if isinstance(step, dict)]

    @property
    def results(self) -> list[dict[str, Any]]:
        """What came of each artifact of a cleanup."""
        found = (self.job.result or {}).get("results") or self.job.progress.get("results") or []
        return [result for result in found if isinstance(result, dict)]


@dataclass(frozen=True)
class JobsView:
    """The list of jobs, newest first."""

    jobs: tuple[Job, ...]
    kind: str
    state: str
    artifact: str
    more: str | None
    kinds: tuple[str, ...] = KINDS

    @property
    def live(self) -> bool:
        """Whether any of them still runs, so that the list is worth asking for again."""
        return any(not job.ended for job in self.jobs)

    @property
    def here(self) -> str:
        """The address of this list."""
        return link(PATH, {"kind": self.kind, "state": self.state, "artifact": self.artifact})


@router.get("", response_class=HTMLResponse)
async def show_all(
    request: Request,
    studio: TheStudio,
    who: Who,
    kind: str = "",
    state: str = "",
    artifact: str = "",
    after: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """Show what runs and ran."""
    db = studio.reading(who)
    last = await jobs.get(db, after) if after else None
    found = await jobs.list_jobs(
        db,
        artifact_id=artifact or None,
        states=_states(state),
        kinds=[kind] if kind else None,
        after=last,
        limit=PAGE + 1,
    )
    more = None
    if len(found) > PAGE:
        found = found[:PAGE]
        more = link(
            PATH, {"kind": kind, "state": state, "artifact": artifact, "after": found[-1].id}
        )
    view = JobsView(tuple(found), kind, state, artifact, more)
    template = "jobs/results.html" if is_partial(request) else "jobs/page.html"
    return studio.pages.render(request, template, view, title="Jobs", section="jobs")


def _states(state: str) -> list[str] | None:
    if state == "live":
        return list(jobs.LIVE)
    return [state] if state else None


@router.get("/{job_id}", response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, job_id: str) -> Response:
    """Show one job, live while it runs."""
    job = await jobs.get(studio.reading(who), job_id)
    if job.kind == "export":
        return RedirectResponse(f"/studio/exports/{job.id}", 303)
    view = JobView(job, None)
    title = f"{job.kind.capitalize()} of {job.object}" if job.object else job.kind.capitalize()
    return studio.pages.render(request, "job/page.html", view, title=title, section="jobs")


@router.get("/{job_id}/progress", response_class=HTMLResponse)
async def show_progress(request: Request, studio: TheStudio, who: Who, job_id: str) -> Response:
    """Show how far a job is; once it ended, its whole panel takes the place of the live one."""
    job = await jobs.get(studio.reading(who), job_id)
    view = JobView(job, None)
    if not job.ended:
        return studio.pages.render(request, "job/progress.html", view, title=job.kind)
    headers = {
        "HX-Retarget": f"#job-{job.id}",
        "HX-Reswap": "outerHTML",
        "HX-Trigger": "job-ended",
    }
    return studio.pages.render(
        request, "job/panel.html", view, title=job.kind, headers=headers
    )


@router.post("/{job_id}/cancel", dependencies=[checked_form])
async def cancel(request: Request, studio: TheStudio, who: Who, job_id: str) -> Response:
    """Ask a job to stop."""
    job = await jobs.cancel(studio.db, job_id, who)
    if is_partial(request):
        view = JobView(job, None)
        return studio.pages.render(request, "job/panel.html", view, title=job.kind)
    return RedirectResponse(f"/studio/jobs/{job.id}", 303)
