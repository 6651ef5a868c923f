"""An artifact beside what has its name now: the definition, line by line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from app.recovery.artifacts.model import Artifact
from app.recovery.artifacts.tombstones import find_purged
from app.recovery.core.errors import NotFound
from app.recovery.inspection.definitions import (
    Definitions,
    definition_of,
    read_definitions,
    side_by_side,
)
from app.routes.rendering import as_json
from app.routes.sql_text import highlighted_lines
from app.routes.studio import TheStudio, Who

router = APIRouter(prefix="/studio/artifacts/{artifact_id}")


@dataclass(frozen=True)
class Line:
    """A line of SQL on both sides; None where a side has no such line."""

    then: Markup | None
    now: Markup | None
    same: bool


@dataclass(frozen=True)
class DiffView:
    """The definition as it was recorded, and as it is now."""

    artifact: Artifact
    definitions: Definitions

    @property
    def lines(self) -> Iterator[Line]:
        """Both sides, line by line."""
        then, now = self.definitions.then or "", self.definitions.now or ""
        old, new = highlighted_lines(then), highlighted_lines(now)
        for pair in side_by_side(then, now):
            one = None if pair.then is None else old[pair.then]
            yield Line(one, None if pair.now is None else new[pair.now], pair.same)

    @property
    def only_then(self) -> int:
        """How many lines are only in the recorded definition."""
        return sum(1 for line in self.lines if line.then is not None and not line.same)

    @property
    def only_now(self) -> int:
        """How many lines are only in the present one."""
        return sum(1 for line in self.lines if line.now is not None and not line.same)


@router.get("/diff", response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Show the artifact beside what has its name now."""
    artifact, definitions = await read_definitions(studio.reading(who), artifact_id)
    view = DiffView(artifact, definitions)
    title = f"{artifact.object_name} then and now"
    return studio.pages.render(request, "diff/page.html", view, title=title, section="artifacts")


@router.get("/definition.json", response_class=Response)
async def download_definition(studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Send the recorded definition as JSON, of a purged artifact from the audit log."""
    db = studio.reading(who)
    try:
        artifact, definition = await definition_of(db, artifact_id)
        found = artifact.id
    except NotFound:
        purged = await find_purged(db, artifact_id)
        if purged is None or not purged.tombstone.row.get("definition"):
            raise
        found, definition = purged.tombstone.artifact_id, purged.tombstone.row["definition"]
    name = f"zanith-{found}-definition.json"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(as_json(definition), media_type="application/json", headers=headers)
