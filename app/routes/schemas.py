"""Two snapshots of the schema compared, for the page and for the API."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.migrate.schema.ddl.generate import Ddl, generate
from app.migrate.schema.difference import OWNERSHIP, Difference, difference
from app.migrate.schema.model import Key, Schema
from app.migrate.schema.snapshots import LIVE, find_schema, needs_database
from app.recovery.core.errors import NotFound
from app.recovery.db.database import Database


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
