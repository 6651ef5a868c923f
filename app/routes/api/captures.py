"""Captures: plan what a drop would do, then do it under a job."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from app.recovery.capture import plan_capture
from app.routes import work
from app.routes.api.models import RESPONSES, CaptureIn, CapturePlanOut, JobOut
from app.routes.studio import TheStudio, Who

router = APIRouter(prefix="/api", responses=RESPONSES, tags=["captures"])


@router.post(
    "/captures",
    status_code=202,
    response_model=JobOut,
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
        return JSONResponse(plan.to_json())
    job = await work.start_capture(
        studio, capturing, who, confirm=wanted.confirm, digest=wanted.digest
    )
    return job.to_json()
