"""ANALYZE of the table that a restore brought back, from the page that names it."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from app.recovery.restore.analyze import ACTION
from app.routes import work
from app.routes.middleware.prefix import ours
from app.routes.rendering import is_partial, link
from app.routes.runner import outcome
from app.routes.studio import TheStudio, Who, checked_form

router = APIRouter(prefix="/studio/artifacts/{artifact_id}/analyze")

QUICK_SECONDS = 20.0
"""PostgreSQL reads a sample. With many partitions it may take longer: the activity then tells."""


@router.post("", dependencies=[checked_form])
async def start(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    back: Annotated[str, Form(max_length=400)] = "",
) -> Response:
    """Analyze the table; the page is shown again when that is done, else the activity of it."""
    task = await work.start_analyze(studio, artifact_id, who)
    await asyncio.wait({task}, timeout=QUICK_SECONDS)
    log = link("/studio/activity", {"artifact": artifact_id, "action": ACTION})
    if not task.done():
        if is_partial(request):
            return Response(status_code=204, headers={"HX-Redirect": log})
        return RedirectResponse(log, 303)
    await outcome(task)
    if is_partial(request):
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    page = f"/studio/artifacts/{artifact_id}"
    return RedirectResponse(ours(back, studio.settings.root_path, page), 303)
