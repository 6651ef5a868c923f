"""What a client of the database does beside the engine, on one of the engine's own connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.recovery.db.connections import Connection
from app.recovery.db.database import Database


@asynccontextmanager
async def client_of(db: Database) -> AsyncIterator[Connection]:
    """Lend a connection with the search path that clients have, until it is given back."""
    async with db.acquire() as connection:
        await connection.execute('SET search_path = "$user", public')
        yield connection
