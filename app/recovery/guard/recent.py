"""What the guard did lately: the drops that it captured, and those that a rule let pass."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.recovery.db.database import Database
from app.recovery.queries import load

SQL = load("guard")
NEWEST = 20


@dataclass(frozen=True)
class Captured:
    """One artifact of a plain drop; ``application`` is None where the capture recorded none."""

    id: str
    object: str
    strategy: str
    status: str
    statement: str
    migration_id: str | None
    at: datetime
    actor: str
    db_role: str | None
    application: str | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it; times in ISO 8601."""
        return {**asdict(self), "at": self.at.isoformat()}


@dataclass(frozen=True)
class Deleted:
    """One object that a plain drop deleted for good.

    ``mode`` is warn, or off: the session turned the guard off, or undid an unfinished restore.
    """

    object: str
    kind: str
    command: str
    mode: str
    at: datetime
    actor: str
    db_role: str
    application: str | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it; times in ISO 8601."""
        return {**asdict(self), "at": self.at.isoformat()}


@dataclass(frozen=True)
class Recent:
    """The newest of both, newest first."""

    captures: tuple[Captured, ...]
    deletions: tuple[Deleted, ...]

    def to_json(self) -> dict[str, Any]:
        """Return both lists as JSON shows them."""
        return {
            "captures": [one.to_json() for one in self.captures],
            "deletions": [one.to_json() for one in self.deletions],
        }


async def read_recent(db: Database, newest: int = NEWEST) -> Recent:
    """Return the newest captures and deletions. No table has refusals: they roll back."""
    async with db.side() as connection:
        captures = await connection.fetch(SQL["captures"], newest)
        deletions = await connection.fetch(SQL["deletions"], newest)
    return Recent(
        tuple(Captured(**dict(row)) for row in captures),
        tuple(Deleted(**dict(row)) for row in deletions),
    )
