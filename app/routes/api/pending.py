"""Pending migrations: what `zanith migrate status` and `plan` print, and what applies them."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Body, Query, Response
from pydantic import Field

from app.migrate.apply.pending import Pending, read_pending, require_runnable
from app.migrate.read.migrations import LONGEST_ID
from app.recovery.core.errors import ZanithError
from app.routes.answers import Document, of_job
from app.routes.api.models import RESPONSES, ErrorBody, JobDocument, Text, _Answer, _Strict
from app.routes.deploying import Replay, directory_of, start_deploy, start_verification
from app.routes.studio import TheStudio, Who
from app.routes.words import error_body

router = APIRouter(
    prefix="/api/pending",
    responses=RESPONSES,
    tags=["migrations"],
    default_response_class=Document,
)


class PendingDocument(_Answer):
    """The directory of migrations, and the plan of those that are to run."""

    status: dict[str, Any] = Field(description="as `zanith migrate status --json` prints it")
    plan: dict[str, Any] | None = Field(
        description="as `zanith migrate plan --json` prints it; null if a file cannot be planned"
    )
    guard: bool = Field(description="whether the guard captures each drop")
    digest: str | None = Field(description="what an apply of just this is confirmed by")
    refused: ErrorBody | None = Field(
        description="why it cannot be applied now; the rows are asked only when it is applied"
    )


class ApplyBody(_Strict):
    """Which migration to apply, with those before it, and its id as confirmation."""

    to: Text = Field(description="the id of the last one that is to run")
    confirm: Text | None = Field(None, description="its id; else 409")
    digest: Text | None = Field(
        None, description="the digest of what was looked at; anything else is refused"
    )


class VerifyBody(_Strict):
    """Which migrations to verify on a shadow."""

    to: Text | None = Field(
        None, description="the id of the last one; null for all that are pending"
    )
    replay: Replay | None = Field(
        None,
        description="what the shadow begins with: the applied migrations, or the schema of the live"
        " database; null for the migrations, or for the live schema if none is applied",
    )


@router.get("", response_model=PendingDocument)
async def show(
    studio: TheStudio,
    who: Who,
    to: Annotated[
        str | None, Query(max_length=LONGEST_ID, description="plan those up to this one only")
    ] = None,
) -> Response:
    """Show which migrations of the directory are applied or pending, and what would run."""
    found = await read_pending(studio.reading(who), directory_of(studio), to)
    body = await asyncio.to_thread(_document, found)
    return Response(body, media_type="application/json")


def _document(found: Pending) -> str:
    """Return the document as text: a long plan takes long."""
    said = {
        "status": found.status.to_json(),
        "plan": found.plan.to_json() if found.plan else None,
        "guard": found.guarded,
        "digest": found.digest,
        "refused": _refusal(found),
    }
    return PendingDocument.model_validate(said).model_dump_json(by_alias=True)


def _refusal(found: Pending) -> dict[str, Any] | None:
    try:
        require_runnable(found)
    except ZanithError as error:
        said: dict[str, Any] = error_body(error)["error"]
        return said
    return None


@router.post("/apply", status_code=202, response_model=JobDocument)
async def apply(
    studio: TheStudio, who: Who, wanted: Annotated[ApplyBody, Body()]
) -> dict[str, Any]:
    """Start to apply the pending migrations up to one, under one job; `confirm` is its id.

    It refuses what `zanith migrate up` refuses. What was applied before a failure stays, and
    `result.applied` of the job has it.
    """
    job = await start_deploy(studio, wanted.to, who, confirm=wanted.confirm, digest=wanted.digest)
    return of_job(job)


@router.post("/verify", status_code=202, response_model=JobDocument)
async def verify(
    studio: TheStudio, who: Who, wanted: Annotated[VerifyBody, Body()]
) -> dict[str, Any]:
    """Start to verify the pending migrations on a shadow, under one job.

    `result` of the job is what `zanith migrate verify --json` prints. The job is done only with the
    verdict ok: it is a mismatch with drift or failed, and failed where nothing is known.
    """
    return of_job(await start_verification(studio, wanted.to, who, wanted.replay))
