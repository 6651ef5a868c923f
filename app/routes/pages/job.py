"""Jobs: what runs and ran, and each one live."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.jobs.throttle import COUNTED
from app.recovery.restore.analyze import find_analyzed
from app.recovery.restore.document import KINDS, name_of, reports_of
from app.recovery.restore.next_steps import NextStep, find_next
from app.routes import work
from app.routes.chosen import Chosen
from app.routes.pages.capture import Picked
from app.routes.rendering import is_partial, link, migration_link
from app.routes.studio import TheStudio, Who, checked_form

router = APIRouter(prefix="/studio/jobs")

PATH = "/studio/jobs"
STATES = ("live", "blocked", *jobs.HOW_IT_ENDED)
GAVE_UP = frozenset({"refused", "failed"})
PAGE = 50
_NOUNS = {
    "rehearse": "Rehearsal",
    "verify": "Verification",
    "erase": "Erasure",
    "restore_rows": "Restore of rows",
    "restore_migration": "Restore",
    "verify_migrations": "Verification on a shadow",
}


@dataclass(frozen=True)
class Ticked:
    """One step of a restore: `state` is done, now, failed or empty; elapsed in seconds."""

    purpose: str
    state: str
    elapsed: float | None

    @property
    def seconds(self) -> float:
        """The same as a number to add up."""
        return self.elapsed or 0.0


@dataclass(frozen=True)
class Rehearsed:
    """One object of a migration that was rehearsed whole, and the seconds of its steps."""

    artifact_id: str
    name: str
    seconds: float
    lacking: int
    losses: int

    @classmethod
    def of(cls, report: dict[str, Any]) -> Rehearsed:
        """Return what a report says of it."""
        fidelity = report.get("fidelity") or {}
        return cls(
            report["artifact"]["id"],
            name_of(report["artifact"]),
            sum(step["elapsed"] for step in report["steps"]),
            len(fidelity.get("missing") or ()) + len(fidelity.get("different") or ()),
            len(report["losses"]),
        )


@dataclass(frozen=True)
class JobView:
    """One job, on its page, in its panel and in its progress."""

    job: Job
    analyzed: Mapping[str, datetime] = field(default_factory=dict)
    """When the table of an artifact that it restored was analyzed, since it began."""

    @property
    def noun(self) -> str:
        """What it is, as the beginning of a title."""
        return _NOUNS.get(self.job.kind, self.job.kind.capitalize())

    @property
    def percent(self) -> float | None:
        """How far it is, 0 to 100, where the total is known."""
        progress = self.job.progress
        if self.job.state in {"done", "mismatch"}:
            return 100.0
        if not self.counting:
            return None
        for done, total in (("done", "total"), ("rows", "rows_expected")):
            if progress.get(done) is not None and progress.get(total):
                return min(100.0, round(100 * float(progress[done]) / float(progress[total]), 1))
        return None

    @property
    def can_rest(self) -> bool:
        """Whether it works in batches, and can be paused between two."""
        return bool(self.job.params.get("online")) and not self.job.ended

    @property
    def can_go_on(self) -> bool:
        """Whether it ended, and may be half done."""
        stopped = self.job.state in GAVE_UP | {"cancelled", "interrupted"}
        return stopped and bool(self.job.params.get("online"))

    @property
    def nothing_changed(self) -> bool:
        """Whether it ended without a result, and what it began was rolled back."""
        ended = self.job.state in GAVE_UP | {"cancelled"}
        kept = self.job.progress.get("committed") or self.job.params.get("online")
        reads = self.job.kind is Kind.VERIFY_MIGRATIONS
        return ended and not kept and not self.restored and not reads and self.job.kind != "cleanup"

    @property
    def migration(self) -> str | None:
        """The address of the migration that it is of, with the same choices, if it is of one."""
        job = self.job
        whole = job.kind == Kind.REHEARSE and job.artifact_id is None and job.object
        if job.kind != Kind.RESTORE_MIGRATION and not whole:
            return None
        with suppress(ZanithError):  # of another version, whose choices were others
            chosen = Chosen.from_job(job.params.get("choices") or {})
            return migration_link(job.object or "", chosen.said)
        return migration_link(job.object or "")

    @property
    def has_report(self) -> bool:
        """Whether there is a report of it to print or send."""
        return self.job.kind in KINDS and self.job.ended and bool(reports_of(self.job))

    @property
    def next_steps(self) -> list[NextStep]:
        """What is left to do after the restore, but for companions, which have their own list."""
        found = [step for report in reports_of(self.job) for step in find_next(report)]
        others = {one["id"] for one in (self.job.result or {}).get("companions") or ()}
        return [step for step in found if step.artifact_id not in others]

    @property
    def rehearsed(self) -> list[Rehearsed]:
        """What a rehearsal of a migration found, object by object."""
        reports = (self.job.result or {}).get("reports") or []
        return [Rehearsed.of(report) for report in reports if report.get("rehearsed")]

    @property
    def restored(self) -> list[dict[str, Any]]:
        """The objects of a migration that it restored."""
        return [result for result in self.results if result.get("outcome") == "restored"]

    @property
    def plan_link(self) -> str | None:
        """The address of the plan that it was started from, with the same choices."""
        job, params = self.job, self.job.params
        with suppress(ZanithError):  # of another version, whose choices were others
            if job.kind in {Kind.RESTORE, Kind.REHEARSE} and job.artifact_id:
                return Chosen.from_job(params.get("choices") or {}).link(job.artifact_id)
            if job.kind == Kind.CAPTURE and params.get("request"):
                return Picked.from_job(params["request"]).link()
        if job.kind in {Kind.PURGE, Kind.ERASE, Kind.EXPORT} and job.artifact_id:
            return f"/studio/artifacts/{job.artifact_id}/{job.kind}"
        if job.kind == Kind.RESTORE_ROWS and job.artifact_id:
            return f"/studio/artifacts/{job.artifact_id}/rows"
        return self._plan_of_several

    @property
    def _plan_of_several(self) -> str | None:
        """The same of work that is not of one artifact."""
        if self.job.kind in {Kind.DEPLOY, Kind.VERIFY_MIGRATIONS}:
            return link("/studio/pending", {"id": self.job.object})
        if self.job.kind is Kind.CLEANUP:
            return link("/studio/cleanup", {"chosen": self.job.params.get("only")})
        return self.migration

    @property
    def leads_back(self) -> bool:
        """Whether it changed nothing, so that what it was about comes next."""
        return self.job.kind in {Kind.REHEARSE, Kind.VERIFY_MIGRATIONS}

    @property
    def back(self) -> str:
        """What the link to that page is called."""
        planned = self.job.kind in {Kind.RESTORE, Kind.REHEARSE, Kind.CAPTURE}
        if self.job.kind == Kind.RESTORE_MIGRATION:
            return "Continue with what is left"
        return "Back to its plan" if planned else "Look at it again"

    @property
    def waiting_for(self) -> list[str]:
        """Who holds the lock that it waits for now, one line each."""
        if not str(self.job.progress.get("step", "")).startswith("waiting for"):
            return []
        return [str(line) for line in self.job.progress.get("waiting_for") or []]

    @property
    def ways_to_end(self) -> list[tuple[int, str, str]]:
        """For each process that is waited for: the pid, the SQL that ends it, what that does."""
        found: list[tuple[int, str, str]] = []
        for one in self.job.progress.get("blocked_by") or [] if self.waiting_for else []:
            pid, state = int(one["pid"]), str(one.get("state") or "")
            if not state.startswith("idle"):  # an idle session has no statement to cancel
                cancel = f"SELECT pg_cancel_backend({pid});"
                found.append((pid, cancel, "cancels its statement; its session stays"))
            end = f"SELECT pg_terminate_backend({pid});"
            found.append((pid, end, "ends its session and rolls back its transaction"))
        return found

    @property
    def attempt(self) -> str:
        """Which try it is, of how many, where that is known."""
        tries, most = (self.job.progress.get(key) for key in ("tries", "tries_at_most"))
        return f"Attempt {tries} of {most}." if tries and most else ""

    @property
    def counting(self) -> bool:
        """Whether rows are what its progress is told by; in batches, only while it copies."""
        part = self.job.progress.get("part")
        return part is None or part in COUNTED

    @property
    def steps(self) -> list[Ticked]:
        """The steps that were planned, ticked off as far as they are done."""
        result, progress = self.job.result or {}, self.job.progress
        done = result.get("steps") or progress.get("steps") or []
        planned = self.job.params.get("steps") or [step["purpose"] for step in done]
        if self.job.params.get("online"):
            return self._ticked_in_batches(planned, done)
        ticked = [Ticked(step["purpose"], "done", step.get("elapsed")) for step in done]
        ticked.extend(Ticked(purpose, "", None) for purpose in planned[len(done) :])
        if len(done) < len(ticked) and self.job.state == "running" and "done" in progress:
            ticked[len(done)] = Ticked(ticked[len(done)].purpose, "now", None)
        if len(done) < len(ticked) and self.job.state in GAVE_UP and "done" in progress:
            ticked[len(done)] = Ticked(ticked[len(done)].purpose, "failed", None)
        return ticked

    def _ticked_in_batches(self, planned: list[str], done: list[dict[str, Any]]) -> list[Ticked]:
        """The same of online work, whose progress names the planned step that is under way."""
        took = {step["purpose"]: step.get("elapsed") for step in done}
        if self.job.state == "done":
            return [Ticked(purpose, "done", took.get(purpose)) for purpose in planned]
        step, part = (str(self.job.progress.get(key) or "\0") for key in ("step", "part"))
        here = next(
            (n for n, purpose in enumerate(planned) if purpose == step),
            next((n for n, purpose in enumerate(planned) if purpose.startswith(part)), 0),
        )
        now = (
            "now" if self.job.state == "running" else "failed" if self.job.state in GAVE_UP else ""
        )
        return [
            Ticked(purpose, "done" if n < here else now if n == here else "", took.get(purpose))
            for n, purpose in enumerate(planned)
        ]

    @property
    def results(self) -> list[dict[str, Any]]:
        """What came of each artifact of a cleanup, or of each object of a migration."""
        found = (self.job.result or {}).get("results") or self.job.progress.get("results") or []
        return [result for result in found if isinstance(result, dict)]


async def build(db: Database, job: Job) -> JobView:
    """Return the view of a job, with what was done after it."""
    view = JobView(job)
    if not job.ended:
        return view
    ids = {step.analyzes for step in view.next_steps if step.analyzes}
    return JobView(job, await find_analyzed(db, ids, job.created_at))


@dataclass(frozen=True)
class JobsView:
    """The list of jobs, newest first."""

    jobs: tuple[Job, ...]
    kind: str
    state: str
    artifact: str
    more: str | None
    first: bool  # the newest are among them
    kinds: tuple[str, ...] = tuple(Kind)
    states: tuple[str, ...] = STATES

    @property
    def live(self) -> bool:
        """Whether any of them still runs, so that the list is worth asking for again."""
        return any(not job.ended for job in self.jobs)

    @property
    def here(self) -> str:
        """The address of this list."""
        said = {"kind": self.kind, "state": self.state, "artifact": self.artifact}
        return link(PATH, said)


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
        blocked=True if state == "blocked" else None,
    )
    more = None
    if len(found) > PAGE:
        found = found[:PAGE]
        more = link(
            PATH, {"kind": kind, "state": state, "artifact": artifact, "after": found[-1].id}
        )
    view = JobsView(tuple(found), kind, state, artifact, more, first=last is None)
    template = "jobs/results.html" if is_partial(request) else "jobs/page.html"
    return studio.pages.render(request, template, view, title="Jobs", section="jobs")


def _states(state: str) -> list[str] | None:
    if state in {"live", "blocked"}:
        return list(jobs.LIVE)
    return [state] if state else None


@router.get("/{job_id}", response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, job_id: str) -> Response:
    """Show one job, live while it runs."""
    db = studio.reading(who)
    job = await jobs.get(db, job_id)
    if job.kind == "export":
        return RedirectResponse(f"/studio/exports/{job.id}", 303)
    view = await build(db, job)
    title = f"{view.noun} of {job.object}" if job.object else view.noun
    return studio.pages.render(request, "job/page.html", view, title=title, section="jobs")


@router.get("/{job_id}/progress", response_class=HTMLResponse)
async def show_progress(request: Request, studio: TheStudio, who: Who, job_id: str) -> Response:
    """Show how far a job is; once it ended, its whole panel takes the place of the live one."""
    db = studio.reading(who)
    job = await jobs.get(db, job_id)
    view = await build(db, job)
    if not job.ended:
        return studio.pages.render(request, "job/progress.html", view, title=job.kind)
    headers = {
        "HX-Retarget": f"#job-{job.id}",
        "HX-Reswap": "outerHTML",
        "HX-Trigger": "job-ended",
    }
    return studio.pages.render(request, "job/panel.html", view, title=job.kind, headers=headers)


@router.post("/{job_id}/pause", dependencies=[checked_form])
async def pause(request: Request, studio: TheStudio, who: Who, job_id: str) -> Response:
    """Let online work rest; what HTMX gets back is the forms alone."""
    return _forms(request, studio, await jobs.pause(studio.db, job_id, who))


@router.post("/{job_id}/resume", dependencies=[checked_form])
async def resume(request: Request, studio: TheStudio, who: Who, job_id: str) -> Response:
    """Go on with what rests, or ended half done: that has another job from here on."""
    job = await work.resume(studio, job_id, who)
    if job.id != job_id and is_partial(request):
        return Response(status_code=204, headers={"HX-Redirect": f"{PATH}/{job.id}"})
    return _forms(request, studio, job)


def _forms(request: Request, studio: TheStudio, job: Job) -> Response:
    if is_partial(request):
        return studio.pages.render(request, "job/cancel.html", JobView(job), title=job.kind)
    return RedirectResponse(f"{PATH}/{job.id}", 303)


@router.post("/{job_id}/cancel", dependencies=[checked_form])
async def cancel(request: Request, studio: TheStudio, who: Who, job_id: str) -> Response:
    """Ask a job to stop; what HTMX gets back is the form alone, the progress shows the rest."""
    return _forms(request, studio, await jobs.cancel(studio.db, job_id, who))
