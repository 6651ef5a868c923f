"""The history of migrations in a database: runs, their statements, and who runs some now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any

from app.migrate.read.migrations import find_named
from app.recovery.core.errors import NotFound
from app.recovery.db.connections import Connection
from app.recovery.db.database import Blocker, Database
from app.recovery.queries import load

SQL = load("history")


@dataclass(frozen=True)
class Run:
    """One run of a migration. `elapsed` is in seconds."""

    run: int
    id: str
    direction: str
    origin: str
    layout: str | None
    path: str | None
    repeatable: bool
    transactional: bool
    checksum: str | None
    outcome: str
    tries: int
    began_at: datetime
    applied_at: datetime | None
    elapsed: float | None
    applied_by: str
    applied_by_role: str
    error: dict[str, Any] | None

    @property
    def applied(self) -> bool:
        return self.direction == "up" and self.outcome == "applied"

    def outcome_while(self, *, busy: bool) -> str:
        """Return the outcome for people; `busy` is whether somebody runs migrations now.

        A run that did not end, while nobody runs migrations, was interrupted.
        """
        return "interrupted" if self.outcome == "running" and not busy else self.outcome

    def to_json(self) -> dict[str, Any]:
        """Return the run as JSON shows it; times in ISO 8601."""
        return {key: _plain(value) for key, value in vars(self).items()}


@dataclass(frozen=True)
class PastRun(Run):
    """A run in the history, with numbers of its statements and of what is still recoverable."""

    applied_from: str | None
    undone_by_run: int | None
    engine: str
    statements: int
    score: int | None
    recoverable: int | None


@dataclass(frozen=True)
class Step:
    """One statement of a run, as it was predicted and as it ran."""

    run: int
    ordinal: int
    line: int
    kind: str
    object: str | None
    sql: str
    ran: str | None
    level: str
    score: int
    reasons: Sequence[str]
    predicted: list[dict[str, Any]]
    observed: dict[str, Any] | None
    tables: Sequence[str]
    changes: dict[str, Any]
    before: dict[str, Any] | None
    status: str
    began_at: datetime | None
    elapsed: float | None
    error: dict[str, Any] | None

    def to_json(self) -> dict[str, Any]:
        """Return the statement as JSON shows it; times in ISO 8601."""
        return {key: _plain(value) for key, value in vars(self).items() if key != "run"}


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value


async def has_history(db: Database) -> bool:
    """Return whether the database has the tables of the history."""
    async with db.acquire() as connection:
        return bool(await connection.fetchval(SQL["exists"]))


async def read_newest(connection: Connection) -> dict[str, Run]:
    """Return the run that decides about each migration: the one that applied it, or the newest."""
    return {row["id"]: _read(Run, row) for row in await connection.fetch(SQL["newest"])}


async def read_steps(connection: Connection, runs: Sequence[int]) -> list[Step]:
    """Return the statements of runs, in their order."""
    return [_read(Step, row) for row in await connection.fetch(SQL["steps"], list(runs))]


async def read_history(
    db: Database,
    since: timedelta | None = None,
    migration: str | None = None,
    limit: int = 100,
    before: int | None = None,
) -> list[PastRun]:
    """Return the runs of migrations, newest first; NotFound if a migration never ran.

    A migration is named by its id or its version. `before` is the last run of the page before.
    """
    async with db.acquire() as connection:
        now: datetime = await connection.fetchval(SQL["now"])
        earliest = None if since is None else now - since
        if migration is not None:
            ids = [row["id"] for row in await connection.fetch(SQL["ids"])]
            migration = find_named(migration, ids) or migration
        rows = await connection.fetch(SQL["runs"], earliest, migration, limit, before, None)
    if migration is not None and not rows:
        raise NotFound(
            f"the migration {migration} never ran here",
            hint="zanith migrate history lists those that did",
        )
    return [_read(PastRun, row) for row in rows]


async def read_run(db: Database, run: int) -> tuple[PastRun, list[Step]]:
    """Return one run with its statements; NotFound if there is none of this number."""
    async with db.acquire() as connection:
        row = await connection.fetchrow(SQL["runs"], None, None, 1, None, run)
        if row is None:
            raise NotFound(f"there is no run {run}", hint="zanith migrate history lists the runs")
        return _read(PastRun, row), await read_steps(connection, [run])


def runs_of(runs: Sequence[PastRun], steps: Sequence[Step]) -> list[dict[str, Any]]:
    """Return runs with their statements as JSON shows them."""
    return [
        {**run.to_json(), "steps": [step.to_json() for step in steps if step.run == run.run]}
        for run in runs
    ]


async def find_holder(db: Database) -> Blocker | None:
    """Return who runs migrations now, if somebody does."""
    async with db.side() as connection:
        row = await connection.fetchrow(SQL["holder"])
    return Blocker(**dict(row)) if row else None


async def is_busy(db: Database) -> bool:
    """Return whether somebody runs migrations now; on a standby it is not known, and can be."""
    return db.server.standby or await find_holder(db) is not None


def _read(kind: Any, row: Any) -> Any:
    return kind(**{field.name: row[field.name] for field in fields(kind)})
