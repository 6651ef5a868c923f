"""An artifact beside what has its name now: the definition line by line, and the values.

The page itself answers at once. The counts and the rows are parts of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.artifacts.tombstones import find_purged
from app.recovery.core.errors import NotFound
from app.recovery.inspection.definitions import (
    Definitions,
    definition_of,
    read_definitions,
    side_by_side,
)
from app.recovery.rows.compare import (
    CLASSES,
    PAGE,
    TIME_LIMIT,
    Class,
    Comparison,
    Sample,
    count_differences,
    sample_differences,
)
from app.routes.rendering import as_json, is_partial, link
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


NAMES = {
    "changed": "Changed",
    "only_archived": "Only archived",
    "only_live": "Only live",
    "same": "The same",
}


@dataclass(frozen=True)
class CountsView:
    """How many values are the same, and how many are not."""

    artifact: Artifact
    found: Comparison

    @property
    def classes(self) -> list[tuple[str, str, int | None]]:
        """Each class with its name and how many rows are of it."""
        return [(kind, NAMES[kind], getattr(self.found.counts, kind)) for kind in CLASSES]

    @property
    def timed_out(self) -> bool:
        """Whether the time limit ended the count."""
        return self.found.not_counted == TIME_LIMIT


@dataclass(frozen=True)
class RowsView:
    """Some rows with both values."""

    artifact: Artifact
    found: Sample

    @property
    def classes(self) -> list[tuple[str, str]]:
        """What can be chosen."""
        return [(kind, NAMES[kind]) for kind in CLASSES]

    def at(self, offset: int) -> str:
        """The address of the rows from that number on."""
        path = f"/studio/artifacts/{self.artifact.id}/diff/rows"
        chosen = {"kind": self.found.kind, "column": self.found.column}
        return link(path, {**chosen, "offset": max(offset, 0)})

    @property
    def next_link(self) -> str | None:
        """The rows after these, or None at the end."""
        return self.at(self.found.offset + len(self.found.rows)) if self.found.more else None

    @property
    def previous_link(self) -> str | None:
        """The rows before these, or None at the start."""
        return self.at(self.found.offset - PAGE) if self.found.offset else None


@router.get("/diff", response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Show the artifact beside what has its name now."""
    artifact, definitions = await read_definitions(studio.reading(who), artifact_id)
    view = DiffView(artifact, definitions)
    title = f"{artifact.object_name} then and now"
    return studio.pages.render(request, "diff/page.html", view, title=title, section="artifacts")


@router.get("/diff/counts", response_class=HTMLResponse)
async def show_counts(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Count what is the same and what is not."""
    db = studio.reading(who)
    artifact = await get_artifact(db, artifact_id)
    view = CountsView(artifact, await count_differences(db, artifact.id, who))
    template = "diff/counts.html" if is_partial(request) else "diff/counts_page.html"
    title = f"Values of {artifact.object_name} then and now"
    return studio.pages.render(request, template, view, title=title, section="artifacts")


@router.get("/diff/rows", response_class=HTMLResponse)
async def show_rows(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    kind: Class = "changed",
    column: Annotated[str, Query(max_length=200)] = "",
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> Response:
    """Show rows of a class with both values, and record who looked."""
    db = studio.db  # the log is written there; rows are read in a transaction that is rolled back
    artifact = await get_artifact(db, artifact_id)
    found = await sample_differences(
        db, artifact.id, who, kind, column=column or None, offset=offset
    )
    template = "diff/rows.html" if is_partial(request) else "diff/rows_page.html"
    title = f"Rows of {artifact.object_name} then and now"
    return studio.pages.render(
        request, template, RowsView(artifact, found), title=title, section="artifacts"
    )


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
