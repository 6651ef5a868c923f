"""Rows of an artifact: found, put back, and what that overwrote."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from app.recovery.core.errors import Refused, WrongUsage
from app.recovery.restore.overwritten import find_overwritten
from app.recovery.restore.rows_plan import plan_rows
from app.recovery.rows.conditions import parse_conditions
from app.recovery.rows.search import MOST_ROWS, PAGE, find_rows
from app.routes import work
from app.routes.answers import TEXT_FILES, Document, as_file, of_job
from app.routes.api.models import RESPONSES, JobDocument, PurgeIn, Text
from app.routes.options import NO_NUL
from app.routes.studio import Studio, TheStudio, Who
from app.shape import FORMAT_VERSION

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["rows"], default_response_class=Document
)

Where = Annotated[str, Field(pattern=NO_NUL, max_length=2000)]
_WHERE = "conditions such as order_id = 4711 AND note LIKE 'gift%'; all of them must hold"


class FoundOut(BaseModel):
    """What a search found, and how far it came."""

    format_version: int = Field(FORMAT_VERSION, description="grows when a key changes or goes")
    columns: list[dict[str, Any]]
    key: list[str]
    rows: list[dict[str, Any]] = Field(
        description="`ref` names a row, `values` are texts, `cut` names values that are cut"
    )
    indexed: bool
    complete: bool
    percent: int = Field(description="how much of the parked rows it went through")
    next_page: int | None = Field(description="where to go on: pass it as `page`")
    limit_reached: str | None


class RowsPlanOut(BaseModel):
    """What putting rows back would do, row by row."""

    model_config = ConfigDict(extra="allow")

    format_version: int = Field(FORMAT_VERSION, description="grows when a key changes or goes")
    rows: list[dict[str, Any]]
    counts: dict[str, int]
    conflicts: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    digest: str


class RowsIn(PurgeIn):
    """Which rows to put back, the digest of their plan, and the object's name as confirmation."""

    where: list[Where] | None = Field(None, max_length=8, description=_WHERE)
    rows: list[Text] | None = Field(
        None, max_length=MOST_ROWS, description="the `ref` of each row, in place of `where`"
    )
    unverified: bool = Field(False, description="put them back without comparing the seal")
    dry_run: bool = Field(False, description="200 with the plan of these rows; nothing runs")


DOWNLOAD: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the values, as a file",
        "content": {form: {"schema": {"type": "string"}} for form in TEXT_FILES.values()},
    }
}


@router.get("/artifacts/{artifact_id}/rows", response_model=FoundOut)
async def search(
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    where: Annotated[list[Where], Query(min_length=1, max_length=8, description=_WHERE)],
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = PAGE,
    page: Annotated[int, Query(ge=0, lt=2**32)] = 0,
) -> dict[str, Any]:
    """Find parked rows; the audit log says who searched, and by which columns."""
    found = await find_rows(
        studio.db, artifact_id, parse_conditions(where), who, limit=limit, page=page
    )
    return found.to_json()


@router.post(
    "/artifacts/{artifact_id}/restore-rows",
    status_code=202,
    response_model=JobDocument,
    responses={200: {"model": RowsPlanOut, "description": "dry_run: nothing changed"}},
)
async def put_back(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    wanted: Annotated[RowsIn, Body()],
) -> Any:
    """Put rows back one by one; `confirm` is the object's name, `digest` that of the dry run.

    The digest covers the archived and the live values: rows that somebody changed since are refused
    with 409.
    """
    if wanted.dry_run:
        request.state.reads_only = True
    refs = await _refs(studio, artifact_id, wanted, who)
    if wanted.dry_run:
        plan = await plan_rows(studio.db, artifact_id, refs, who, unverified=wanted.unverified)
        return Document(plan.to_json())
    job = await work.start_rows(
        *(studio, artifact_id, refs, who),
        confirm=wanted.confirm,
        digest=wanted.digest,
        reason=wanted.reason,
        unverified=wanted.unverified,
    )
    return of_job(job)


async def _refs(studio: Studio, artifact_id: str, wanted: RowsIn, who: Who) -> list[str]:
    """Return the places of the rows; Refused where a search does not find all of them."""
    if (wanted.where is None) == (wanted.rows is None):
        raise WrongUsage("say which rows", hint="give either where or rows")
    if wanted.rows is not None:
        return wanted.rows
    conditions = parse_conditions(wanted.where or ())
    found = await find_rows(studio.db, artifact_id, conditions, who, limit=MOST_ROWS)
    if not found.complete:
        raise Refused("not all rows were found: nothing was changed", hint=found.limit_reached)
    if not found.rows:
        raise Refused("no row matches: nothing was changed", hint="look at the rows")
    return [row.ref for row in found.rows]


@router.get("/jobs/{job_id}/overwritten", response_class=Response, responses=DOWNLOAD)
async def download(
    studio: TheStudio, who: Who, job_id: str, form: Literal["csv", "sql"] = "csv"
) -> Response:
    """Return the values that a job overwrote, as CSV, or as SQL that undoes it."""
    kept = await find_overwritten(studio.db, job_id, who)
    return as_file(kept.as_csv() if form == "csv" else kept.as_sql(), f"overwritten-{job_id}", form)
