"""Captures: plan what a drop would do, then do it under a job."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request

from app.recovery.capture.planning import plan_capture
from app.routes import work
from app.routes.answers import Document, of_job
from app.routes.api.models import RESPONSES, CaptureIn, CapturePlanOut, JobDocument
from app.routes.studio import TheStudio, Who

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["captures"], default_response_class=Document
)


@router.post(
    "/captures",
    status_code=202,
    response_model=JobDocument,
    responses={200: {"model": CapturePlanOut, "description": "dry_run: nothing changed"}},
)
async def capture(
    request: Request, studio: TheStudio, who: Who, wanted: Annotated[CaptureIn, Body()]
) -> Any:
    """Drop a table or column recoverably: 202 with the job; its result has the `artifact_id`."""
    capturing = wanted.to_request()
    if wanted.dry_run:
        request.state.reads_only = True
        plan = await plan_capture(studio.reading(who), capturing)
        return Document(plan.to_json())
    job = await work.start_capture(
        studio, capturing, who, confirm=wanted.confirm, digest=wanted.digest
    )
    return of_job(job)
