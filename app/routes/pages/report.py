"""The report of a restore, to print or to send on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from importlib import resources
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response

from app.recovery.jobs import model as jobs
from app.recovery.jobs.model import Job
from app.recovery.restore.analyze import find_analyzed
from app.recovery.restore.document import (
    Checked,
    check,
    digest_of,
    document_of,
    for_reader,
    name_of,
)
from app.recovery.restore.next_steps import NextStep, find_next
from app.routes.studio import TheStudio, Who

router = APIRouter(prefix="/studio/jobs")


@dataclass(frozen=True)
class ReportView:
    """A report as its reader may see it; the digest and the check are of all of it."""

    job: Job
    document: dict[str, Any]
    digest: str
    checks: tuple[Checked, ...]
    analyzed: Mapping[str, datetime] = field(default_factory=dict)
    """When the table of an artifact that it restored was analyzed, since it began."""
    alone: bool = False
    """Whether it is a file by itself, away from the studio."""

    @property
    def matches(self) -> bool:
        """Whether the log has the same digest, or the same of each object."""
        return all(each.matches for each in self.checks)

    @property
    def rehearsed(self) -> bool:
        """Whether all of it was rolled back."""
        return any(report.get("rehearsed") for report in self.document["reports"])

    @property
    def created_at(self) -> datetime:
        """When somebody asked for it."""
        return datetime.fromisoformat(self.document["created_at"])

    @property
    def left(self) -> list[dict[str, Any]]:
        """The objects of a migration that it did not restore."""
        results = (self.job.result or {}).get("results") or []
        return [item for item in results if item["outcome"] != "restored"]

    def name_of(self, report: dict[str, Any]) -> str:
        """Return the name of the object of one report."""
        return name_of(report["artifact"])

    def when_of(self, report: dict[str, Any]) -> datetime:
        """Return when the object of one report was dropped."""
        return datetime.fromisoformat(report["artifact"]["created_at"])

    def next_of(self, report: dict[str, Any]) -> list[NextStep]:
        """Return what is left to do for one object."""
        return find_next(report)

    @property
    def style(self) -> str:
        """The style sheet, for a file that is away from the studio."""
        return (resources.files("app") / "static" / "studio.css").read_text("utf-8")


@router.get("/{job_id}/report", response_class=HTMLResponse)
async def show(
    request: Request, studio: TheStudio, who: Who, job_id: str, download: bool = False
) -> Response:
    """Show the report, or send it as a file."""
    db = studio.reading(who)
    job = await jobs.get(db, job_id)
    document = document_of(job)
    checks = await check(db, job)
    shown = for_reader(document, who)
    ids = {step.analyzes for one in shown["reports"] for step in find_next(one) if step.analyzes}
    analyzed = await find_analyzed(db, ids, job.created_at)
    view = ReportView(job, shown, digest_of(document), checks, analyzed, alone=download)
    name = f"attachment; filename=restore-report-{job.id}.html"
    return studio.pages.render(
        request,
        "report/file.html" if download else "report/page.html",
        view,
        title=f"Report of job {job.id}",
        section="jobs",
        headers={"Content-Disposition": name} if download else None,
    )
