"""Sessions of the studio that ended before their time, for every studio of the database."""

from __future__ import annotations

from datetime import timedelta

from app.recovery.db.database import Database
from app.recovery.db.transactions import notify
from app.recovery.queries import load

SQL = load("ended_sessions")
EVENT = "session"


async def end(db: Database, session_id: str, left: timedelta) -> None:
    """Write down that a session is over, which would have ended by itself after ``left``."""
    async with db.side() as connection, connection.transaction():
        await connection.execute(SQL["end"], session_id, left)
        await notify(connection, EVENT, session_id)


async def find_ended(db: Database) -> frozenset[str]:
    """Return the ids of the sessions that were ended."""
    async with db.side() as connection:
        return frozenset(row["id"] for row in await connection.fetch(SQL["ended"]))
