"""What was purged: the tombstones that the audit log keeps."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.recovery.burial import Tombstone
from app.recovery.database import Database
from app.recovery.listing import named_table
from app.recovery.sql import load

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
    return [
        Purged(row["at"], row["action"], Tombstone(**json.loads(row["detail"]))) for row in rows
    ]
