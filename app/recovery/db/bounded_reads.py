"""Reads of what owners made, for a page or the API: bounded in time and in number.

Such a read can run what an owner wrote: a generated column, a check, an index expression. It may
take for ever, so it is ended after a while, and also where nobody waits for it any more. Only one
read of an object runs at once, so that no owner takes all connections.
"""

from __future__ import annotations

import asyncio
from asyncio import current_task
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Any

from asyncpg.transaction import Transaction

from app.recovery.core.durations import format_duration
from app.recovery.core.errors import OutOfTime, ZanithError
from app.recovery.core.tasks import run_to_completion, stop
from app.recovery.db.connections import SERVER_ERRORS, Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import milliseconds, rolled_back
from app.recovery.queries import load

SQL = load("bounded_reads")

LOOK_SECONDS = 0.25
GIVE_WAY_SECONDS = 3.0
"""The longest that a cancelled statement may take to end."""


@asynccontextmanager
async def bounded_read(
    db: Database,
    subject: str,
    *,
    bounded: bool = True,
    within: timedelta | None = None,
    **options: Any,
) -> AsyncIterator[Connection]:
    """Lend a connection in a transaction that leaves nothing, to read what ``subject`` names.

    Bounded where the database was opened so, as the studio's is, or ``within`` says how long it may
    take: Busy where another read of it is under way for long, OutOfTime where this one takes too
    long.
    """
    limit = within or (db.read_timeout if bounded else None)
    if limit is None:
        async with db.acquire() as connection, rolled_back(connection, **options):
            await _let_functions_be_made(db, connection, **options)
            yield connection
        return
    async with db.turns.take(subject), db.acquire() as connection:
        block = connection.transaction(**options)
        await block.__aenter__()
        await _let_functions_be_made(db, connection, **options)
        clock = asyncio.timeout(limit.total_seconds())
        leaving = asyncio.Event()
        guard: asyncio.Task[None] | None = None
        try:
            async with clock:
                pid = await connection.fetchval(SQL["bounds"], *_bounds(db, limit))
                guard = asyncio.create_task(_guard(db, connection, pid, leaving, current_task()))
                yield connection
        except Exception as exc:  # a lost connection may take the timeout's place
            if not clock.expired():
                raise
            raise OutOfTime(
                f"the read took longer than {format_duration(limit)} and was ended",
                detail="it reads objects of other owners, whose code may run in it",
                hint="raise ZANITH_READ_TIMEOUT, or use the command line, which waits",
            ) from exc
        finally:
            leaving.set()
            await run_to_completion(_leave(block, guard))


async def _let_functions_be_made(db: Database, connection: Connection, **options: Any) -> None:
    """Let a function of an owner's be made in the transaction, whatever the session's default."""
    if not options.get("readonly") and not db.server.standby:
        await connection.execute(SQL["writable"])


def _bounds(db: Database, limit: timedelta) -> tuple[int, int]:
    """Return the timeouts, in ms, by which the server ends it where this process cannot."""
    return milliseconds(limit + timedelta(seconds=1)), milliseconds(db.lock_timeout)


async def _guard(
    db: Database,
    connection: Connection,
    pid: int,
    leaving: asyncio.Event,
    reader: asyncio.Task[Any] | None,
) -> None:
    """Terminate the process that does not give way to a cancel, so that the reader gets away."""
    before = reader.cancelling() if reader else 0
    while not leaving.is_set() and (reader is None or reader.cancelling() <= before):
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await leaving.wait()
    await asyncio.sleep(GIVE_WAY_SECONDS)
    with suppress(ZanithError):
        async with db.side() as other:
            await other.fetchval(SQL["terminate"], pid)
    connection.terminate()


async def _leave(block: Transaction, guard: asyncio.Task[None] | None) -> None:
    with suppress(*SERVER_ERRORS):
        await block.__aexit__(Exception, None, None)
    if guard is not None:
        await stop(guard)
