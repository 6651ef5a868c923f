"""One artifact: its whole story on one page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, WrongUsage, ZanithError
from app.recovery.db.database import Database
from app.recovery.inspection.definitions import Definitions, render_definition
from app.recovery.inspection.inspect import Inspection, Preview, inspect, preview_rows
from app.recovery.jobs import audit
from app.recovery.jobs import model as jobs
from app.recovery.jobs.audit import Activity, ActivityFilter
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.purge import hold
from app.recovery.restore.analyze import find_analyzed
from app.recovery.restore.document import reports_of
from app.recovery.restore.next_steps import NextStep, find_next
from app.recovery.restore.restore import is_standing
from app.recovery.rows.leftover import PAGE, LeftOver, find_left_over
from app.routes import sealing
from app.routes.chosen import Chosen
from app.routes.errors import status_of
from app.routes.middleware.prefix import ours
from app.routes.pages.job import JobView
from app.routes.pages.restore import COUNT, RestoreView, completed, is_live_again, whole
from app.routes.pages.restore import build as restoring
from app.routes.pages.rows import LINES, Line, SearchForm
from app.routes.rendering import is_partial, link
from app.routes.studio import Studio, TheStudio, Typed, Who, checked_form
from app.routes.words import plan_on_page

router = APIRouter(prefix="/studio/artifacts/{artifact_id}")

ROWS = 20
FEW = 8


@dataclass(frozen=True)
class Station:
    """One stop on the life line: `past` lies behind, `here` is where the artifact stands."""

    what: str
    at: datetime | None
    by: str | None
    past: bool
    here: bool = False
    bad: bool = False
    role: str | None = None


def life_line(artifact: Artifact) -> tuple[Station, ...]:
    """Return the stations from live to restored, as far as they apply to this artifact."""
    rebuilt = artifact.artifact_type == "rebuild_table"
    what = {
        "rebuild_table": "Recorded, then rebuilt",
        "archive_rows": "Rows copied",
        "archive_values": "Values copied",
    }.get(artifact.artifact_type, "Dropped")
    parked = Station(
        what, artifact.created_at, artifact.created_by, past=True, role=artifact.created_by_role
    )
    stations = [Station("Live", None, None, past=True), parked]
    if artifact.artifact_type != "soft_drop_column" and artifact.physical_name is not None:
        sealed = artifact.sealed_at is not None
        what = "Sealed" if sealed else "Not sealed yet"
        if artifact.seal_broken:
            what = "Seal broken"
        stations.append(
            Station(what, artifact.sealed_at, None, past=sealed, bad=artifact.seal_broken)
        )
    if artifact.status == "recoverable" and artifact.health in {"missing", "moved"}:
        stations.append(Station(artifact.health.capitalize(), None, None, past=True, bad=True))
    restored = artifact.status == "restored"
    if artifact.gone_again:
        what = "Restored, and dropped again"
        at, by, role = artifact.restored_at, artifact.restored_by, artifact.restored_by_role
        stations.append(Station(what, at, by, past=True, role=role))
    end = "Restored" if restored else "Purge" if rebuilt else "Restore, or purge"
    stations.append(
        Station(
            end,
            artifact.restored_at if restored else None,
            artifact.restored_by if restored else None,
            past=restored,
            role=artifact.restored_by_role if restored else None,
        )
    )
    last = max(index for index, station in enumerate(stations) if station.past)
    return tuple(replace(station, here=index == last) for index, station in enumerate(stations))


@dataclass(frozen=True)
class After:
    """What is left to do after the restore of an artifact, and the job that has its report."""

    job_id: str | None = None
    steps: tuple[NextStep, ...] = ()
    analyzed: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True)
class ArtifactView:
    """Everything that is known of one artifact."""

    inspection: Inspection
    life: tuple[Station, ...]
    restore: RestoreView
    standing: bool = True
    after: After = field(default_factory=After)
    hold_error: ZanithError | None = None
    hold_reason: str = ""

    @property
    def artifact(self) -> Artifact:
        """The artifact itself."""
        return self.inspection.artifact

    @property
    def rebuilt(self) -> bool:
        """Whether it was only recorded: there is nothing to put back."""
        return self.artifact.artifact_type == "rebuild_table"

    @property
    def parked(self) -> bool:
        """Whether there is anything parked, or the record of a table, that can be looked at."""
        artifact = self.artifact
        live_again = artifact.status == "restored" and not artifact.keeps_archive
        return artifact.kept_kind is None and not live_again

    @property
    def live_again(self) -> bool:
        """Whether it was restored, and no plan says anything else."""
        return is_live_again(self.artifact, self.inspection.plan)

    @property
    def exports(self) -> tuple[Job, ...]:
        """The exports that there were, newest first."""
        return tuple(self.inspection.exports)

    @property
    def activity(self) -> tuple[Activity, ...]:
        """What the log says about it, newest first."""
        return tuple(self.inspection.activity)

    @property
    def definitions(self) -> Definitions:
        """The recorded definition, and the one of today where the two are compared."""
        return self.inspection.definitions


@dataclass(frozen=True)
class SealView:
    """The part of the page about the checksum."""

    artifact: Artifact


@dataclass(frozen=True)
class RowsView:
    """The first rows of the parked object."""

    artifact: Artifact
    preview: Preview | None
    paged: bool

    @property
    def search(self) -> SearchForm:
        """The form to search them."""
        columns = self.preview.columns if self.preview else []
        return SearchForm((Line(),) * LINES, tuple(column.name for column in columns))

    def at(self, offset: int) -> str:
        """The address of the rows from that number on."""
        path = f"/studio/artifacts/{self.artifact.id}/rows"
        return link(path, {"offset": max(offset, 0)} if offset > 0 else {})

    @property
    def next_link(self) -> str | None:
        """The rows after these, or None at the end; below the artifact it leads to all of them."""
        here = self.preview
        if here is None or not here.more:
            return None
        return self.at(here.offset + ROWS if self.paged else 0)

    @property
    def previous_link(self) -> str | None:
        """The rows before these, or None at the start."""
        here = self.preview
        return self.at(here.offset - ROWS) if here is not None and here.offset > 0 else None


@dataclass(frozen=True)
class LeftView:
    """Keys of archived values that have no row now."""

    artifact: Artifact
    found: LeftOver

    def at(self, offset: int) -> str:
        """The address of the keys from that number on."""
        path = f"/studio/artifacts/{self.artifact.id}/left"
        return link(path, {"offset": offset} if offset > 0 else {})

    @property
    def next_link(self) -> str | None:
        """The keys after these, or None at the end."""
        return self.at(self.found.offset + len(self.found.keys)) if self.found.more else None

    @property
    def previous_link(self) -> str | None:
        """The keys before these, or None at the start."""
        return self.at(self.found.offset - PAGE) if self.found.offset else None


@dataclass(frozen=True)
class PurgedView:
    """What is left of an artifact after its purge: the tombstone in the log."""

    artifact_id: str
    tombstone: Activity
    activity: tuple[Activity, ...]
    ddl: str | None = None

    @property
    def row(self) -> dict[str, Any]:
        """The artifact's row as it was."""
        row = self.tombstone.detail.get("row")
        return row if isinstance(row, dict) else {}

    def moment(self, key: str) -> datetime | None:
        """One of the row's times."""
        text = self.row.get(key)
        return datetime.fromisoformat(text) if text else None

    @property
    def exported_at(self) -> datetime | None:
        """The time of its last export."""
        last = self.tombstone.detail.get("last_export")
        return datetime.fromisoformat(str(last["at"])) if last else None


async def build(db: Database, artifact_id: str, actor: Actor) -> ArtifactView:
    """Read everything about one artifact."""
    inspection = await inspect(db, artifact_id, checks=False, actor=actor)
    artifact = inspection.artifact
    standing = artifact.status != "restored" or await is_standing(db, artifact)
    plan = plan_on_page(inspection.plan) if inspection.plan else None
    view = RestoreView(artifact, Chosen(), plan, inspection.plan_error, actor=actor)
    live = artifact.status == "restored" and standing
    after = await find_after(db, artifact, inspection.activity) if live else After()
    return ArtifactView(inspection, life_line(artifact), await completed(db, view), standing, after)


async def find_after(db: Database, artifact: Artifact, activity: Iterable[Activity]) -> After:
    """Return what is left to do after the last restore that the log has of it."""
    done = (e for e in activity if e.action == Kind.RESTORE and e.outcome == "done")
    job_id = next((str(entry.detail["job"]) for entry in done if entry.detail.get("job")), None)
    if job_id is None:
        return After()
    with suppress(NotFound):
        job = await jobs.get(db, job_id)
        of_it = [one for one in reports_of(job) if one["artifact"]["id"] == artifact.id]
        steps = tuple(step for report in of_it for step in find_next(report))
        ids = {step.analyzes for step in steps if step.analyzes}
        return After(job.id, steps, await find_analyzed(db, ids, job.created_at))
    return After()


async def find_tombstone(db: Database, artifact_id: str) -> PurgedView | None:
    """Return what the log keeps of a purged artifact, or None if it never was one."""
    entries = await audit.list_activity(db, ActivityFilter(artifact_id=artifact_id, limit=50))
    for entry in entries:
        if entry.action in {"purge", "cleanup"} and entry.outcome == "done":
            return PurgedView(artifact_id, entry, tuple(entries))
    return None


@router.get("", response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Show one artifact; what was purged shows its tombstone."""
    db = studio.reading(who)
    try:
        view = await build(db, artifact_id, who)
    except NotFound:
        purged = await find_tombstone(db, artifact_id)
        if purged is None:
            raise
        ddl = await render_definition(db, artifact_id, purged.row.get("definition"))
        return studio.pages.render(
            request,
            "artifact/purged.html",
            replace(purged, ddl=ddl),
            title=f"{purged.tombstone.object or artifact_id}, purged",
            section="artifacts",
            status=410,
        )
    if view.artifact.id != artifact_id:
        return RedirectResponse(f"/studio/artifacts/{view.artifact.id}", 303)
    return _show(request, studio, view)


def _show(request: Request, studio: Studio, view: ArtifactView, status: int = 200) -> Response:
    return studio.pages.render(
        *(request, "artifact/page.html", view),
        title=view.artifact.object_name,
        section="artifacts",
        status=status,
    )


@router.get("/verdict", response_class=HTMLResponse)
async def show_verdict(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Show the verdict on a restore without choices, with its numbers."""
    db = studio.reading(who)
    view = await restoring(db, artifact_id, Chosen(), who, within=min(COUNT, whole(db)))
    title = view.artifact.object_name
    return studio.pages.render(request, "artifact/verdict.html", view, title=title)


@router.get("/seal", response_class=HTMLResponse)
async def show_seal(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Show the part about the checksum again, after it was verified."""
    artifact = await get_artifact(studio.reading(who), artifact_id)
    view = SealView(artifact)
    return studio.pages.render(request, "artifact/seal.html", view, title=artifact.object_name)


@router.get("/rows", response_class=HTMLResponse)
async def show_rows(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> Response:
    """Show rows of the parked object, in their canonical order, and record who looked."""
    db = studio.db  # the log is written there; rows are read in a read-only transaction anyway
    artifact = await get_artifact(db, artifact_id)
    partial = is_partial(request)
    limit = FEW if partial else ROWS
    preview = await preview_rows(db, artifact.id, who, limit=limit, offset=offset)
    view = RowsView(artifact, preview, paged=not partial)
    template = "artifact/rows.html" if partial else "artifact/rows_page.html"
    title = f"Rows of {artifact.object_name}"
    return studio.pages.render(request, template, view, title=title, section="artifacts")


@router.get("/left", response_class=HTMLResponse)
async def show_left(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> Response:
    """Show which archived values have no row in the table as it is now, by their keys."""
    db = studio.reading(who)
    artifact = await get_artifact(db, artifact_id)
    view = LeftView(artifact, await find_left_over(db, artifact.id, who, offset=offset))
    title = f"Values without a row, of {artifact.object_name}"
    return studio.pages.render(
        request, "artifact/left.html", view, title=title, section="artifacts"
    )


def _follow(request: Request, studio: TheStudio, job: Job) -> Response:
    """Lead to the job: its live panel in place, or its page without scripts."""
    if is_partial(request):
        view = JobView(job)
        return studio.pages.render(request, "job/panel.html", view, title=job.kind)
    return RedirectResponse(f"/studio/jobs/{job.id}", 303)


@router.post("/verify", dependencies=[checked_form])
async def verify(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Verify the seal now."""
    return _follow(request, studio, await sealing.start_verify(studio, artifact_id, who))


@router.post("/seal", dependencies=[checked_form])
async def seal_now(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Seal what is not sealed yet."""
    return _follow(request, studio, await sealing.start_seal(studio, artifact_id, who))


@router.post("/hold", dependencies=[checked_form])
async def put_hold(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    reason: Typed = "",
    back: Annotated[str, Form()] = "",
) -> Response:
    """Keep the artifact from purge and cleanup."""
    try:
        await hold.hold(studio.db, artifact_id, who, reason.strip() or None)
    except WrongUsage as exc:
        view = await build(studio.reading(who), artifact_id, who)
        view = replace(view, hold_error=exc, hold_reason=reason)
        return _show(request, studio, view, status_of(exc))
    page = f"/studio/artifacts/{artifact_id}"
    return RedirectResponse(ours(back, studio.settings.root_path, page), 303)


@router.post("/release", dependencies=[checked_form])
async def release_hold(
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    back: Annotated[str, Form(max_length=400)] = "",
) -> Response:
    """Let purge and cleanup have it again."""
    await hold.release(studio.db, artifact_id, who)
    page = f"/studio/artifacts/{artifact_id}"
    return RedirectResponse(ours(back, studio.settings.root_path, page), 303)
