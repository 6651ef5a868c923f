"""Connections in which no setting that an owner's code made for its session stays.

Also those through a pooler that passes no settings on, such as PgBouncer's transaction mode.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from app.recovery.db.session_settings import set_locally
from app.recovery.queries import to_json

T = TypeVar("T")
_ALONE = re.compile(r"\s*(?:CREATE|DROP|REINDEX)\b.*\bCONCURRENTLY\b", re.IGNORECASE | re.DOTALL)

# A setting that was made for the session, under one for the transaction, comes out at COMMIT. RESET
# follows in the same message: nobody's statement is read before it.
_COMMIT = "COMMIT; RESET ALL;"


async def use_json(connection: asyncpg.Connection[asyncpg.Record]) -> None:
    """Let json and jsonb be Python's dicts, lists and the like, as parameters and in rows.

    That is the client's alone: asyncpg knows the oids of both, and asks the server nothing.
    """
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=to_json, decoder=json.loads, format="text"
        )


class OwnConnection(asyncpg.Connection):
    """A connection that forgets all settings but its own at the end of each transaction."""

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """Run statements; COMMIT also resets all settings."""
        return await super().execute(_COMMIT if query == "COMMIT;" else query, *args, **options)

    def get_reset_query(self) -> str:
        """Return what gives a session back as new; settings first: the rest is read under them."""
        return "RESET ALL; CLOSE ALL; UNLISTEN *; SELECT pg_catalog.pg_advisory_unlock_all();"


class PooledConnection(OwnConnection):
    """A connection whose transactions each begin with the fixed settings.

    The next transaction may run in another session, which other clients use too. So no setting may
    outlive a transaction. A statement outside of a transaction gets one of its own.
    """

    async def execute(self, query: str, *args: Any, **options: Any) -> str:
        """Run statements; BEGIN also sets the fixed settings."""
        execute = super().execute
        if query.startswith("BEGIN"):
            if "ISOLATION LEVEL" not in query:
                query = query.replace("BEGIN", "BEGIN ISOLATION LEVEL READ COMMITTED", 1)
            return await execute(f"{query.rstrip(';')};{set_locally()}", **options)
        if _ALONE.match(query):  # PostgreSQL refuses it inside a transaction
            return await execute(query, *args, **options)
        return await self._within(lambda: execute(query, *args, **options))

    async def fetch(self, *args: Any, **options: Any) -> Any:
        """Run a query and return its rows."""
        fetch = super().fetch
        return await self._within(lambda: fetch(*args, **options))

    async def fetchval(self, *args: Any, **options: Any) -> Any:
        """Run a query and return one value of its first row."""
        fetchval = super().fetchval
        return await self._within(lambda: fetchval(*args, **options))

    async def fetchrow(self, *args: Any, **options: Any) -> Any:
        """Run a query and return its first row."""
        fetchrow = super().fetchrow
        return await self._within(lambda: fetchrow(*args, **options))

    async def _within(self, run: Callable[[], Awaitable[T]]) -> T:
        """Run it in the transaction that is open, else in one of its own."""
        if self.is_in_transaction():
            return await run()
        block = self.transaction()
        await block.start()
        try:
            result = await run()
        except BaseException:
            with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await block.rollback()
            raise
        await block.commit()
        return result


Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]"

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

# What a lost, refusing or unreachable server raises; asyncpg calls it internal where a connection
# ended so that it cannot tell where in the protocol it stands.
SERVER_ERRORS = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    OSError,
    TimeoutError,
)

LOST = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    ConnectionError,
)
