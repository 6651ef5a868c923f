"""The session in which migrations run: as any client's, and one process at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

from app.migrate.apply.history import SQL, find_holder
from app.recovery.core.durations import format_duration
from app.recovery.core.errors import Refused, Taken
from app.recovery.core.progress import OnProgress, tell
from app.recovery.db.connections import SERVER_ERRORS, Connection
from app.recovery.db.database import Blocker, Database
from app.recovery.db.transactions import lock_timeout_text, transaction

_PAUSE = 0.25


@asynccontextmanager
async def open_session(
    db: Database, wait: timedelta | None = None, on_progress: OnProgress | None = None
) -> AsyncIterator[Connection]:
    """Lend the session that runs migrations, with the lock that only one session has.

    Taken, with who has it, if it is not free after `wait`. Refused behind a pooler in transaction
    mode, whose sessions keep no lock.
    """
    if db.pooled:
        raise Refused(
            "migrations need a direct connection, and this one goes through a pooler",
            detail="the pooler gives each transaction another session, which keeps no lock",
            hint="name the server itself with -h and -p, or with --database-url",
        )
    require_primary(db.server.standby)
    async with db.session() as session:
        await _take(db, session, wait, on_progress)
        try:
            yield session
        finally:
            with suppress(*SERVER_ERRORS):
                await session.fetchval(SQL["unlock"])


def require_primary(standby: bool) -> None:
    """Raise Refused on a standby, where nothing can be run or recorded."""
    if standby:
        raise Refused("this server is a standby: it takes no changes", hint="run it on the primary")


async def _take(
    db: Database, session: Connection, wait: timedelta | None, on_progress: OnProgress | None
) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + (wait.total_seconds() if wait else 0)
    while not await session.fetchval(SQL["lock"]):
        holder = await find_holder(db)
        if holder is None and loop.time() < end + 1:  # it ended just now
            await asyncio.sleep(_PAUSE / 5)
            continue
        if loop.time() >= end:
            raise already_running(holder, wait)
        who = _name(holder)
        await tell(on_progress, {"step": f"waiting for {who}"})
        await asyncio.sleep(_PAUSE)


def already_running(holder: Blocker | None, waited: timedelta | None = None) -> Taken:
    """Return the error of who finds that another session runs migrations."""
    who = _name(holder)
    return Taken(
        "migrations of this database are already running",
        detail=f"{who}; waited for {format_duration(waited)}" if waited else who,
        hint="wait until it has ended, or let this command wait with --wait 5min",
    )


def _name(holder: Blocker | None) -> str:
    return holder.describe(query=False) if holder else "another session"


@asynccontextmanager
async def begin(db: Database, session: Connection, actor: str) -> AsyncIterator[int]:
    """Open a transaction that waits briefly for locks; lends the pid of its server process."""
    async with transaction(session, isolation="read_committed", readonly=False):
        yield await session.fetchval(SQL["begin"], lock_timeout_text(db.lock_timeout), actor)


async def clean(session: Connection) -> None:
    """Take back what the last migration set for its session."""
    await session.execute(SQL["clean"])


async def keep_lock_timeout(db: Database, session: Connection) -> None:
    """Give the locks a timeout again, if the migration turned it off."""
    if await session.fetchval(SQL["lock_timeout"]) in {"0", "0ms"}:
        await session.fetchval(SQL["set_lock_timeout"], lock_timeout_text(db.lock_timeout))


@asynccontextmanager
async def as_connected(session: Connection) -> AsyncIterator[None]:
    """Record as the role that connected; the role that the migration set comes back."""
    ((role, user),) = await session.fetch(SQL["role"])
    if role == "none" and user is None:
        yield
        return
    await session.execute(SQL["own_role"])
    yield
    if user is not None:
        await session.fetchval(SQL["set_user"], user)
    await session.fetchval(SQL["set_role"], role)
