"""Schema history: two points in time, and what changed between them, as DDL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from app.migrate.schema.snapshots import LIVE, Snapshot, list_snapshots
from app.recovery.core.errors import ZanithError
from app.routes.errors import status_of
from app.routes.rendering import is_partial
from app.routes.schemas import Compared, compare
from app.routes.studio import TheStudio, Who
from app.text import instant

PATH = "/studio/schema"
NEWEST = 200
"""So many snapshots can be picked; of older ones the number is typed into the address."""

router = APIRouter(prefix=PATH)
Name = Annotated[str, Query(max_length=210)]


@dataclass(frozen=True)
class SchemaView:
    """The snapshots to pick from, and the difference of the two that were picked."""

    snapshots: tuple[Snapshot, ...]
    before: str
    after: str
    owners: bool
    compared: Compared | None = None
    error: ZanithError | None = None

    @property
    def choices(self) -> list[tuple[str, str]]:
        """What can be picked: the name, and what it is called. The newest comes first."""
        found = [(LIVE, "the schema as it is now")]
        found += [(str(one.id), _title(one)) for one in self.snapshots]
        known = {name for name, _ in found}
        return found + [
            (name, name) for name in (self.before, self.after) if name and name not in known
        ]


def _title(one: Snapshot) -> str:
    what = f"{one.moment} {one.migration_id}" if one.migration_id else one.moment
    same = "" if one.changed else ", unchanged"
    return f"{one.id}: {what}, {instant(one.taken_at)}{same}"


@router.get("", response_class=HTMLResponse)
async def show(
    request: Request,
    studio: TheStudio,
    who: Who,
    before: Name = "",
    after: Name = LIVE,
    owners: bool = True,
) -> HTMLResponse:
    """Show the snapshots, and with two of them what changed in between."""
    db = studio.reading(who)
    async with db.acquire() as connection:
        snapshots = tuple(await list_snapshots(connection, NEWEST))
    view = SchemaView(snapshots, before, after, owners)
    status = 200
    if before:
        try:
            compared = await compare(db, before, after, owners=owners)
            view = SchemaView(snapshots, before, after, owners, compared)
        except ZanithError as error:
            view = SchemaView(snapshots, before, after, owners, error=error)
            status = status_of(error)
    return studio.pages.render(
        *(request, "schema/diff.html" if is_partial(request) else "schema/page.html", view),
        title="Schema history",
        section="migrations",
        status=status,
    )
