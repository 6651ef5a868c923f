"""The audit log: who did what, when, from where, and what came of it. Refusals too."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg

from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, Failed, LeaseLost, Locked, Taken, ZanithError
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import notify
from app.recovery.queries import load

SQL = load("audit")
# "mismatch": a verification or export that found something else than was sealed.
OUTCOMES = ("done", "mismatch", "refused", "failed", "cancelled")
log = logging.getLogger(__name__)

# Entries that became visible after a younger one was written to the file are still found by looking
# this far back.
_OVERLAP = 1000


@dataclass(frozen=True)
class Activity:
    """One entry of the log."""

    id: int
    at: datetime
    actor: str
    db_role: str
    address: str | None
    action: str
    outcome: str
    artifact_id: str | None
    object: str | None
    detail: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the entry as JSON shows it; times in ISO 8601."""
        return {**asdict(self), "at": self.at.isoformat()}


@dataclass(frozen=True)
class ActivityFilter:
    """What to list; ``before`` is the id of the last entry of the page before."""

    actor: str | None = None
    action: str | None = None
    artifact_id: str | None = None
    object: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    outcome: str | None = None
    before: int | None = None
    limit: int = 100


async def record(
    connection: Connection,
    actor: Actor,
    action: str,
    outcome: str,
    artifact_id: str | None = None,
    object: str | None = None,  # noqa: A002 - the column's name
    detail: dict[str, Any] | None = None,
) -> int:
    """Write an entry in the caller's transaction and return its id; outcome is one of OUTCOMES."""
    number: int = await connection.fetchval(
        SQL["record"],
        actor.name,
        actor.address,
        action,
        outcome,
        artifact_id,
        object,
        detail or {},
    )
    await notify(connection, "audit", str(number))
    return number


async def record_view(
    db: Database,
    actor: Actor,
    artifact_id: str | None,
    object: str | None,  # noqa: A002 - the column's name
    detail: dict[str, Any],
) -> None:
    """Write in a transaction of its own that somebody looked; a standby takes no writes."""
    if db.server.standby:
        return
    async with db.side() as connection, connection.transaction():
        await record(connection, actor, "view", "done", artifact_id, object, detail)


async def record_all(
    connection: Connection,
    actor: Actor,
    action: str,
    changed: list[tuple[str, str]],
    reason: str | None,
) -> None:
    """Write an entry for each of several artifacts, by id and object, and tell listeners of them.

    In the caller's transaction, which changed them.
    """
    ids, objects = [each for each, _ in changed], [name for _, name in changed]
    told = {"reason": reason, "together": len(changed)}
    await connection.execute(
        SQL["record_all"], actor.name, actor.address, action, ids, objects, told
    )


async def record_ended(connection: Connection, job_id: str) -> None:
    """Write that a job was interrupted or given up, in the transaction that says so: hence once."""
    number: int = await connection.fetchval(SQL["record_ended"], job_id)
    await notify(connection, "audit", str(number))


def outcome_of(error: ZanithError) -> str:
    """Return how the log, and the state of a job, tell of an error."""
    if isinstance(error, Cancelled):
        return "cancelled"
    return "failed" if isinstance(error, Failed | Locked) else "refused"


@asynccontextmanager
async def recording_failure(
    db: Database,
    actor: Actor,
    action: str,
    artifact_id: str | None = None,
    object: str | None = None,  # noqa: A002 - the column's name
) -> AsyncIterator[None]:
    """Translate what goes wrong inside, write it to the log, and raise it on.

    The work itself records its success, in its own transaction; the process that finds a lost lease
    records that.
    """
    try:
        yield
    except asyncio.CancelledError:
        raise
    except Exception as exc:
        error = translate(exc)
        if error.code == "failed" and not isinstance(exc, ZanithError):
            if isinstance(exc, asyncpg.PostgresError):  # its text can hold values of rows
                log.error("%s of %s failed: %s", action, artifact_id, error.for_log)  # noqa: TRY400
            else:
                log.exception("%s of %s failed", action, artifact_id)
        outcome = outcome_of(error)
        if isinstance(error, LeaseLost | Taken):  # the process that has the job records it
            raise error from exc
        with suppress(ZanithError):
            async with db.side() as connection:
                await record(
                    connection, actor, action, outcome, artifact_id, object, error.as_kept()
                )
        raise error from exc


async def list_activity(db: Database, wanted: ActivityFilter | None = None) -> list[Activity]:
    """Return a page of the log, newest first."""
    f = wanted or ActivityFilter()
    async with db.side() as connection:
        rows = await connection.fetch(
            SQL["list"],
            f.actor,
            f.action,
            f.artifact_id,
            f.object,
            f.since,
            f.until,
            f.outcome,
            f.before,
            f.limit,
        )
    return [_activity(row) for row in rows]


async def follow(db: Database, file: Path) -> None:
    """Append every new entry to a file as NDJSON, until cancelled. Entries made before are not."""
    async with db.side() as connection:
        last: int = await connection.fetchval(SQL["last"])
    first, seen = last, set[int]()
    async with db.events.subscribe() as queue:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while (await queue.get()).kind == "job":
                        pass
            with suppress(ZanithError):
                async with db.side() as connection:
                    rows = await connection.fetch(SQL["since"], max(first, last - _OVERLAP))
                fresh = [_activity(row) for row in rows if row["id"] not in seen]
                if fresh:
                    await asyncio.to_thread(_append, file, fresh)
                last = max(last, *(entry.id for entry in fresh)) if fresh else last
                seen = {n for n in seen if n > last - _OVERLAP} | {entry.id for entry in fresh}


def _append(file: Path, entries: list[Activity]) -> None:
    try:
        with file.open("a", encoding="utf-8") as out:
            out.writelines(json.dumps(entry.to_json()) + "\n" for entry in entries)
    except OSError as exc:
        log.error("the audit file %s cannot be written: %s", file, exc.strerror)  # noqa: TRY400


def _activity(row: Any) -> Activity:
    return Activity(**dict(row))
