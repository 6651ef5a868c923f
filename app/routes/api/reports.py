"""The report of a restore, with its digest, and whether the audit log has the same."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.recovery.jobs import model as jobs
from app.recovery.restore.document import check, digest_of, document_of, for_reader
from app.routes.answers import Document
from app.routes.api.models import RESPONSES, _Answer
from app.routes.studio import TheStudio, Who

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["jobs"], default_response_class=Document
)


class CheckedOut(BaseModel):
    """A digest that was computed again, and the one in the audit log."""

    object: str
    computed: str
    recorded: str | None = Field(description="null if the log has none")
    entry: int | None = Field(description="the number of the entry of the log")
    matches: bool


class ReportOut(_Answer):
    """What a restore did: by whom, the SQL, rows, seal, fidelity, losses, the lock it held."""

    report: dict[str, Any]
    digest: str = Field(description="SHA-256 of the canonical JSON of the whole report")
    checks: list[CheckedOut]
    matches: bool = Field(description="whether the audit log has the same digest")


@router.get("/jobs/{job_id}/report", response_model=ReportOut)
async def get_report(studio: TheStudio, who: Who, job_id: str, download: bool = False) -> Any:
    """Show the report of a restore or a rehearsal that ended; `download` sends it as a file."""
    db = studio.reading(who)
    job = await jobs.get(db, job_id)
    document = document_of(job)
    checks = await check(db, job)
    said = {
        "report": for_reader(document, who),
        "digest": digest_of(document),
        "checks": [{**vars(each), "matches": each.matches} for each in checks],
        "matches": all(each.matches for each in checks),
    }
    name = f"attachment; filename=restore-report-{job.id}.json"
    return Document(said, headers={"Content-Disposition": name} if download else None)
