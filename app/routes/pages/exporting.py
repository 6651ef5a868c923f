"""Export: choose a format, then watch the download."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.errors import NotFound
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs.model import Job
from app.recovery.rows import export
from app.recovery.rows.export import ExportRequest
from app.routes.rendering import is_partial
from app.routes.studio import TheStudio, Who, checked_form

router = APIRouter(prefix="/studio")

Format = Literal["csv", "jsonl", "json", "spreadsheet"]
Compress = Literal["none", "gzip", "zstd"]


@dataclass(frozen=True)
class ExportFormView:
    """The form before an export, and the exports that there were."""

    artifact: Artifact
    exports: tuple[Job, ...]


@dataclass(frozen=True)
class ExportView:
    """One export: announced, running or done."""

    job: Job
    artifact: Artifact | None
    filename: str
    by_itself: bool = False

    @property
    def content(self) -> str:
        """Where the bytes come from."""
        return f"/api/exports/{self.job.id}/content"

    @property
    def percent(self) -> float | None:
        """How far it is, 0 to 100, where the number of rows is known."""
        rows = self.job.progress.get("rows")
        total = self.job.progress.get("rows_expected") or self.job.progress.get("total")
        if total is None and self.artifact is not None:
            total = self.artifact.row_count
        return min(100.0, round(100 * rows / total, 1)) if rows is not None and total else None

    @property
    def plain_csv(self) -> bool:
        """Whether the file's own SHA-256 is the checksum, with nothing to decompress."""
        return self.job.params.get("format", "csv") == "csv" and not self.job.params.get("compress")

    @property
    def check_line(self) -> str | None:
        """The command that prints the checksum of what was downloaded."""
        name = "'" + self.filename.replace("'", "'\\''") + "'"
        compress = self.job.params.get("compress")
        if compress == "gzip":
            return f"gzip -dc {name} | sha256sum"
        if compress == "zstd":
            return f"zstd -dc {name} | sha256sum"
        return f"sha256sum {name}"


async def build(db: Database, export_id: str, *, by_itself: bool = False) -> ExportView:
    """Read an export, and its artifact unless that is gone."""
    job = await jobs.get(db, export_id)
    if job.kind != "export":
        raise NotFound(f"there is no export {export_id}")
    artifact: Artifact | None = None
    with suppress(NotFound):  # it may have been purged since
        artifact = await get_artifact(db, job.artifact_id or "")
    name = str(job.params.get("filename") or "export")
    return ExportView(job, artifact, name, by_itself and job.state == "queued")


@router.get("/artifacts/{artifact_id}/export", response_class=HTMLResponse)
async def choose(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Show the form: format and compression."""
    db = studio.reading(who)
    artifact = await get_artifact(db, artifact_id)
    earlier = await jobs.list_jobs(db, artifact_id=artifact.id, kinds=["export"], limit=10)
    return studio.pages.render(
        request,
        "export/form.html",
        ExportFormView(artifact, tuple(earlier)),
        title=f"Export {artifact.object_name}",
        section="artifacts",
    )


@router.post("/artifacts/{artifact_id}/export", dependencies=[checked_form])
async def announce(
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    format: Annotated[Format, Form()] = "csv",  # noqa: A002 - the documented name
    compress: Annotated[Compress, Form()] = "none",
) -> Response:
    """Announce the export, and go to the page that follows it from the first byte."""
    studio.runner.check()
    wanted = ExportRequest(artifact_id, format, None if compress == "none" else compress)
    job = await export.announce(studio.db, wanted, who)
    return RedirectResponse(f"/studio/exports/{job.id}?start=yes", 303)


@router.get("/exports/{export_id}", response_class=HTMLResponse)
async def show(
    request: Request, studio: TheStudio, who: Who, export_id: str, start: bool = False
) -> Response:
    """Show one export; with scripts the download begins by itself."""
    view = await build(studio.reading(who), export_id, by_itself=start)
    what = view.artifact.object_name if view.artifact else view.job.object or view.job.id
    return studio.pages.render(
        request, "export/page.html", view, title=f"Export of {what}", section="artifacts"
    )


@router.get("/exports/{export_id}/progress", response_class=HTMLResponse)
async def show_progress(request: Request, studio: TheStudio, who: Who, export_id: str) -> Response:
    """Show how far it is; once it ended, the whole panel."""
    view = await build(studio.reading(who), export_id)
    if not view.job.ended:
        return studio.pages.render(request, "export/progress.html", view, title="Export")
    if not is_partial(request):
        return RedirectResponse(f"/studio/exports/{export_id}", 303)
    headers = {"HX-Retarget": f"#job-{view.job.id}", "HX-Reswap": "outerHTML"}
    return studio.pages.render(request, "export/panel.html", view, title="Export", headers=headers)
