"""What was purged: the tombstones that the audit log keeps."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import asyncpg

from app.recovery.artifacts.listing import named_table
from app.recovery.artifacts.lookup import ID, readings
from app.recovery.core.errors import WrongUsage
from app.recovery.core.names import SHORTEST_ID, parse_name
from app.recovery.db.database import Database
from app.recovery.queries import load

SQL = load("tombstones")


@dataclass(frozen=True)
class Purged:
    """One artifact that is gone for good: when, by which action, and its tombstone."""

    at: datetime
    action: str
    tombstone: Tombstone

    def to_json(self) -> dict[str, Any]:
        """Return the tombstone's keys and when and how it came to be."""
        return {"purged_at": self.at, "action": self.action, **self.tombstone.to_json()}


async def list_purged(
    db: Database, table: str | None = None, limit: int | None = None
) -> list[Purged]:
    """Return what was purged, newest first: all, or what was of one table."""
    async with db.side() as connection:
        rows = await connection.fetch(SQL["purged"], *named_table(table), limit)
    return [read_purged(row) for row in rows]


async def find_purged(db: Database, reference: str) -> Purged | None:
    """Return what is left of the artifact that a reference named before it was purged.

    A reference is what `get_artifact` takes. None where nothing of it was purged, where an id's
    beginning means several, and for a role that may not read the audit log.
    """
    words = reference.strip()
    try:
        async with db.side() as connection:
            if ID.fullmatch(words) and len(words) >= SHORTEST_ID:
                rows = await connection.fetch(SQL["of_id"], words)
                found = [read_purged(row) for row in rows]
                if found and (len(found) == 1 or found[0].tombstone.artifact_id == words):
                    return found[0]
            if words[:1].isdigit():
                return None
            for reading in readings(parse_name(words)):
                row = await connection.fetchrow(SQL["of_object"], *reading)
                if row is not None:
                    return read_purged(row)
    except (asyncpg.InsufficientPrivilegeError, WrongUsage):
        pass
    return None


def read_purged(row: Any) -> Purged:
    """Return the tombstone of an entry of the log."""
    return Purged(row["at"], row["action"], Tombstone(**row["detail"]))


@dataclass(frozen=True)
class Tombstone:
    """What stays of an artifact: its row, its last export, who purged it and why."""

    artifact_id: str
    object: str
    purged_by: str
    purged_by_role: str
    reason: str | None
    size_bytes: int
    already_gone: bool
    last_export: dict[str, Any] | None
    row: dict[str, Any]
    job_id: str | None = None
    """The job that purged it; None for a cleanup, and where an earlier version did it."""

    def to_json(self) -> dict[str, Any]:
        """Return the tombstone as JSON shows it, and as the log keeps it."""
        return dict(vars(self))
