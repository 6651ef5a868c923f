"""Schema history: two points in time, and what changed between them, as DDL."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from app.migrate.schema.ddl.generate import Ddl, generate
from app.migrate.schema.difference import OWNERSHIP, Difference, difference
from app.migrate.schema.model import Key, Schema
from app.migrate.schema.snapshots import (
    LIVE,
    Snapshot,
    find_schema,
    list_snapshots,
    needs_database,
)
from app.recovery.core.errors import NotFound, ZanithError
from app.recovery.db.database import Database
from app.routes.errors import status_of
from app.routes.rendering import is_partial
from app.routes.studio import TheStudio, Who
from app.text import instant

PATH = "/studio/schema"
NEWEST = 200
"""So many snapshots can be picked; of older ones the number is typed into the address."""

router = APIRouter(prefix=PATH)
Name = Annotated[str, Query(max_length=210)]


@dataclass(frozen=True)
class Compared:
    """What changed between two snapshots."""

    found: Difference
    ddl: Ddl

    @property
    def created(self) -> list[Key]:
        """What was created, without the parts of what is listed."""
        return self.found.whole[0]

    @property
    def dropped(self) -> list[Key]:
        """What was dropped, without the parts of what is listed."""
        return self.found.whole[1]

    @property
    def changed(self) -> Mapping[Key, Mapping[str, tuple[Any, Any]]]:
        """What was changed, attribute by attribute."""
        return self.found.changed


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


async def compare(db: Database, before: str, after: str, *, owners: bool) -> Compared:
    """Return what changed between two snapshots, as `zanith migrate snapshot diff` says it."""
    old, new = await _find(db, before), await _find(db, after)
    ignored = frozenset() if owners else OWNERSHIP

    def work() -> Compared:
        found = difference(old, new, ignored)
        return Compared(found, generate(found))

    return await asyncio.to_thread(work)


async def _find(db: Database, name: str) -> Schema:
    """Return the schema of a name. A name is never that of a file: it would be the studio's."""
    if name != LIVE and not needs_database(name):
        raise NotFound(
            f"there is no snapshot {name}",
            hint="name live, the number of a snapshot, MIGRATION:before or MIGRATION:after",
        )
    async with db.acquire() as connection:
        return await find_schema(connection, name)
