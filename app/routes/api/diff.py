"""An artifact beside what has its name now."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query

from app.recovery.inspection.definitions import read_definitions
from app.recovery.rows.compare import PAGE, Class, count_differences, sample_differences
from app.routes.answers import Document
from app.routes.api.models import RESPONSES, DiffOut, Text
from app.routes.studio import TheStudio, Who

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["artifacts"], default_response_class=Document
)


@router.get("/artifacts/{artifact_id}/diff", response_model=DiffOut)
async def compare(
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    show: Annotated[Class | None, Query(description="also rows of this class")] = None,
    column: Annotated[Text | None, Query(description="rows that differ in this column")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = PAGE,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> dict[str, Any]:
    """Compare definition and values with what has the name now; `show` adds rows.

    A number that was not counted is null, and `not_counted` says why. The audit log records who
    looked at rows.
    """
    artifact, definitions = await read_definitions(studio.reading(who), artifact_id)
    counted = await count_differences(studio.reading(who), artifact.id, who)
    sample = None
    if show is not None:
        found = await sample_differences(
            studio.db, artifact.id, who, show, column=column, limit=limit, offset=offset
        )
        sample = found.to_json()
    return {
        "artifact": artifact.to_json(),
        "definition": definitions.to_json(),
        "values": counted.to_json(),
        "sample": sample,
    }
