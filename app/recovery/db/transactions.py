"""Transactions that end as they should, on a connection that may be lost."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from app.recovery.db.connections import (
    SERVER_ERRORS,
    Connection,
)
from app.recovery.queries import load

SQL = load("database")


@asynccontextmanager
async def rolled_back(connection: Connection, **options: Any) -> AsyncIterator[None]:
    """Run the body in a transaction that leaves nothing, however it ends."""
    block = connection.transaction(**options)
    await block.__aenter__()
    try:
        yield
    finally:
        with suppress(*SERVER_ERRORS):
            await block.__aexit__(Exception, None, None)


@asynccontextmanager
async def transaction(connection: Connection, **options: Any) -> AsyncIterator[None]:
    """Run the body in a transaction, or a savepoint within one; a lost connection masks nothing.

    (asyncpg's own context manager fails to roll back on a connection that was given up, and that
    failure would take the place of the reason.)
    """
    block = connection.transaction(**options)
    await block.__aenter__()  # not start(): cancelled there, it would be complained of
    try:
        yield
    except BaseException as exc:
        with suppress(*SERVER_ERRORS):
            await block.__aexit__(type(exc), exc, None)
        raise
    await block.__aexit__(None, None, None)


def milliseconds(limit: timedelta) -> int:
    """Return a timeout as PostgreSQL takes it: none of less than a millisecond."""
    return max(1, round(limit.total_seconds() * 1000))


def lock_timeout_text(limit: timedelta) -> str:
    """Return the limit as PostgreSQL's setting takes it."""
    return f"{milliseconds(limit)}ms"


async def notify(connection: Connection, event: str, *keys: str) -> None:
    """Tell listeners, at commit, that artifacts, jobs or the audit log changed."""
    await connection.execute(SQL["notify"], event, keys)
