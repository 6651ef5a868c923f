"""The guard: its state, its rules, and what it did lately. Only the command line changes it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter

from app.recovery.core.tasks import gather
from app.recovery.guard.recent import read_recent
from app.recovery.guard.rules import read_guard
from app.routes.answers import Document
from app.routes.api.models import RESPONSES, GuardOut
from app.routes.studio import TheStudio, Who

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["guard"], default_response_class=Document
)


@router.get("/guard", response_model=GuardOut)
async def guard(studio: TheStudio, who: Who) -> Any:
    """Return whether a plain DROP is captured, by which rules, and the newest plain drops."""
    db = studio.reading(who)
    found, recent = await gather(read_guard(db), read_recent(db))
    return Document({**found.to_json(), **recent.to_json()})
