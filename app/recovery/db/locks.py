"""Transactions that take locks for a short time, give way, and try again as a whole."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TypeVar

import asyncpg

from app.recovery.core.durations import format_duration
from app.recovery.core.errors import Locked, ZanithError
from app.recovery.core.progress import OnProgress, tell
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.db.database import Blocker, Database
from app.recovery.db.transactions import lock_timeout_text, transaction
from app.recovery.queries import load

SQL = load("locks")
T = TypeVar("T")

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0


async def run_locked(
    db: Database,
    what: str,
    work: Callable[[Connection], Awaitable[T]],
    on_progress: OnProgress | None = None,
) -> T:
    """Run the work in a transaction under the lock timeout; return what it returned, committed.

    A lock not had in time, or a deadlock, rolls everything back; after a jittered pause all begins
    anew, as often as the settings say. Then Locked, naming who holds it up: pid, user, age, query.
    """

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Connection, int]]:
        async with db.acquire() as connection, begin(db, connection) as pid:
            yield connection, pid

    return await retry(db, what, opened, work, on_progress)


async def run_savepoint(
    db: Database,
    connection: Connection,
    what: str,
    work: Callable[[Connection], Awaitable[T]],
    on_progress: OnProgress | None = None,
) -> T:
    """Do the same within a transaction of the caller's: what it locked before, it keeps."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Connection, int]]:
        async with transaction(connection):
            yield connection, await connection.fetchval(SQL["pid"])

    return await retry(db, what, opened, work, on_progress)


@asynccontextmanager
async def begin(db: Database, connection: Connection) -> AsyncIterator[int]:
    """Open a transaction that waits briefly for locks, sees every row, and trusts no path.

    Lends the pid of the process that runs it.
    """
    async with transaction(connection):
        yield await connection.fetchval(SQL["settings"], lock_timeout_text(db.lock_timeout))


async def retry(
    db: Database,
    what: str,
    opened: Callable[[], AbstractAsyncContextManager[tuple[Connection, int]]],
    work: Callable[[Connection], Awaitable[T]],
    on_progress: OnProgress | None,
) -> T:
    """Run the work in the transaction that ``opened`` lends with its process, until it succeeds."""
    seen: list[Blocker] = []
    for number in range(db.lock_retries + 1):
        try:
            async with opened() as (connection, pid), _noting_blockers(db, pid, seen):
                return await work(connection)
        except (Locked, asyncpg.PostgresError) as exc:
            error = translate(exc)
            if not isinstance(error, Locked) or not error.sqlstate:
                raise
            if number == db.lock_retries:
                raise explain(what, error, seen, db) from exc
        waiting = [blocker.describe(query=False) for blocker in seen]
        await tell(
            on_progress,
            {
                "step": f"waiting for {_names(seen)}",
                "tries": number + 1,
                "tries_at_most": db.lock_retries + 1,
                "waiting_for": waiting,
                "blocked_by": [{"pid": b.pid, "state": b.state} for b in seen],
            },
        )
        await asyncio.sleep(pause(number))
    raise AssertionError("unreachable")


@asynccontextmanager
async def _noting_blockers(db: Database, pid: int, seen: list[Blocker]) -> AsyncIterator[None]:
    watcher = asyncio.create_task(_watch(db, pid, seen))
    try:
        yield
    finally:
        watcher.cancel()
        await asyncio.wait({watcher})  # whose cancellation is not ours


async def _watch(db: Database, pid: int, seen: list[Blocker]) -> None:
    """Note who blocks the process while it waits; the last ones seen stay."""
    interval = min(max(db.lock_timeout.total_seconds() / 4, 0.02), 0.25)
    while True:
        await asyncio.sleep(interval)
        with suppress(ZanithError):
            if found := await db.blockers(pid):
                seen[:] = found


def pause(attempt: int) -> float:
    """Return how many seconds to wait before the next try: doubling, with jitter, bounded."""
    longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2**attempt)
    return random.uniform(longest / 2, longest)  # noqa: S311 - spreads retries, hides nothing


def explain(what: str, exc: ZanithError, seen: list[Blocker], db: Database) -> Locked:
    """Return the error that says who holds what up, where anybody was seen."""
    number = db.lock_retries + 1
    tries = f"{number} {'try' if number == 1 else 'tries'} of {format_duration(db.lock_timeout)}"
    hint = "try again, or with a longer ZANITH_LOCK_TIMEOUT"
    if seen:
        pid = seen[0].pid
        hint = (
            f"wait until pid {pid} is done. To end it: SELECT pg_terminate_backend({pid}), which"
            " rolls back what it has not committed"
        )
    error = Locked(
        f"{what} did not get its locks in {tries}: nothing was changed",
        detail="\n".join(blocker.describe() for blocker in seen) or exc.detail or exc.message,
        hint=hint,
        sqlstate=exc.sqlstate,
    )
    error.blockers = tuple(seen)
    if seen:
        error.withhold("\n".join(blocker.describe(query=False) for blocker in seen))
    return error


def _names(seen: list[Blocker]) -> str:
    return ", ".join(f"pid {blocker.pid} ({blocker.role})" for blocker in seen) or "a lock"
