"""Migrations as groups of artifacts: what each dropped, and what became of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.recovery.artifacts.model import BLOCKS, Artifact, compose, from_row
from app.recovery.artifacts.tombstones import Purged, read_purged
from app.recovery.core.errors import NotFound, WrongUsage
from app.recovery.core.tasks import gather
from app.recovery.db.database import Database
from app.recovery.queries import containing, load

SQL = load("migrations")
PAGE = 50


@dataclass(frozen=True)
class Migration:
    """One migration: how many of its objects are parked, restored, and so on, when and by whom.

    ``recorded`` counts tables that it rebuilt: nothing is parked of them that could come back.
    ``expiring`` are those that expire within seven days. ``people`` are names with their roles.
    """

    migration_id: str
    parked: int
    restored: int
    purged: int
    recorded: int
    held: int
    damaged: int
    expiring: int
    first_at: datetime | None
    last_at: datetime | None
    people: tuple[tuple[str, str | None], ...]

    def to_json(self) -> dict[str, Any]:
        """Return the migration as JSON shows it; times in ISO 8601."""
        data = dict(vars(self))
        for key in ("first_at", "last_at"):
            data[key] = data[key].isoformat() if data[key] else None
        data["people"] = [{"name": name, "role": role} for name, role in self.people]
        return data


@dataclass(frozen=True)
class MigrationPage:
    """Some migrations, newest first; ``next`` continues, ``without_id`` counts the artifacts."""

    items: tuple[Migration, ...]
    total: int
    next: str | None
    without_id: int

    def to_json(self) -> dict[str, Any]:
        """Return the page as JSON shows it."""
        return {
            "migrations": [item.to_json() for item in self.items],
            "total": self.total,
            "next": self.next,
            "without_id": self.without_id,
        }


async def list_migrations(
    db: Database, search: str | None = None, after: str | None = None, limit: int = PAGE
) -> MigrationPage:
    """Return migrations whose id contains the text, newest first; ``after`` is a page's ``next``.

    WrongUsage where that is none.
    """
    if after is not None and not (after.isascii() and after.isdecimal() and len(after) <= 18):
        raise WrongUsage("that is not the end of a page", hint="pass `next` of the page before")
    asked = (containing(search or None), int(after) if after else None, limit + 1)

    async def page() -> Sequence[Any]:
        async with db.side() as connection:
            return list(await connection.fetch(compose(SQL["page"]), *asked))

    async def without_id() -> int:
        async with db.side() as connection:
            return int(await connection.fetchval(SQL["without_id"]))

    rows, without = await gather(page(), without_id())
    more = str(rows[limit - 1]["newest"]) if len(rows) > limit else None
    items = tuple(_read(row) for row in rows[:limit])
    return MigrationPage(items, rows[0]["total"] if rows else 0, more, without)


def _read(row: Any) -> Migration:
    data = {key: row[key] for key in Migration.__dataclass_fields__ if key != "people"}
    return Migration(**data, people=tuple((name, role) for name, role in row["people"]))


async def find_all(
    db: Database, migration_id: str, *, quick: bool = False
) -> tuple[list[Artifact], list[Purged]]:
    """Return the artifacts of a migration, newest first, and the tombstones of those purged.

    With ``quick`` damage is told as far as it is quickly seen. NotFound where there is neither.
    """
    query = compose(SQL["of_one"], asked=compose(BLOCKS["stray" if quick else "every"]))

    async def artifacts() -> list[Artifact]:
        async with db.side() as connection:
            rows = await connection.fetch(query, migration_id)
        return [from_row(row) for row in rows]

    async def purged() -> list[Purged]:
        async with db.side() as connection:
            rows = await connection.fetch(SQL["purged_of_one"], migration_id)
        return [read_purged(row) for row in rows]

    found, gone = await gather(artifacts(), purged())
    if not found and not gone:
        raise no_migration(migration_id)
    return found, gone


def no_migration(migration_id: str) -> NotFound:
    """Return the error for an id that no artifact has."""
    return NotFound(
        f"no artifact belongs to the migration {migration_id}",
        hint="zanith recover list --json has the migration of each artifact",
    )
