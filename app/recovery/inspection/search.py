"""Artifacts, migrations and jobs by a part of their name or the beginning of their id."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from app.recovery.core.durations import format_duration
from app.recovery.core.errors import Cancelled, OutOfTime
from app.recovery.db.database import Database
from app.recovery.db.transactions import lock_timeout_text
from app.recovery.queries import containing, load

SQL = load("search")
MOST = 20
_AT_MOST = timedelta(seconds=2)


@dataclass(frozen=True)
class Hit:
    """One that was found; ``number`` counts the artifacts of a migration."""

    kind: Literal["artifact", "migration", "job"]
    id: str
    name: str | None
    what: str | None
    state: str | None
    at: datetime
    number: int | None
    rank: int

    @property
    def exact(self) -> bool:
        """Whether the text is its whole id."""
        return self.rank == 0


async def search(db: Database, text: str, most: int = MOST) -> list[Hit]:
    """Return what the text may mean, exact ids first; nothing for no text.

    OutOfTime where the search takes longer than two seconds.
    """
    said = text.strip()
    pattern = containing(said)
    if pattern is None:
        return []
    try:
        async with db.side() as connection, connection.transaction(readonly=True):
            await connection.execute(SQL["bounds"], lock_timeout_text(_AT_MOST))
            rows = await connection.fetch(SQL["hits"], said, pattern, most)
    except Cancelled:
        raise OutOfTime(
            f"the search took longer than {format_duration(_AT_MOST)} and was ended",
            hint="write more of the name, or the id",
        ) from None
    return [Hit(**dict(row)) for row in rows]
