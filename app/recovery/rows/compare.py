"""Archived values beside the live ones: how many are the same, and some that are not.

The live table belongs to somebody. It is read as the checks of a plan read it: as its owner, or
after a look at whose code could run (docs/security.md). Counting reads all rows of both sides, so
it is bounded in time; a number that nobody knows is None and never 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import asyncpg

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor, require_rows
from app.recovery.core.errors import Busy, OutOfTime, Refused, WrongUsage
from app.recovery.core.translate import raised_by_owner, translate
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.jobs import audit
from app.recovery.jobs.operation import attempt
from app.recovery.plan.checks import prepared
from app.recovery.plan.execute import guard, query_as
from app.recovery.queries import load

SQL = load("compare")
PLAN = load("plan")
PAGE = 20
_DEEPEST = 100_000

TIME_LIMIT = "time limit"

# What says nothing of the values: the server, its resources, a cancel.
_NO_ANSWER = ("08", "25", "40", "53", "57", "58", "XX")

Class = Literal["changed", "only_archived", "only_live", "same"]
CLASSES: tuple[Class, ...] = ("changed", "only_archived", "only_live", "same")


@dataclass(frozen=True)
class Compared:
    """A column on both sides: its types, and how its values are compared.

    ``how`` is "equality", that of the type, or "text". ``changed`` is in how many rows its values
    differ; None where nobody knows.
    """

    name: str
    recorded: str
    now: str
    how: str
    type_changed: bool
    changed: int | None = None


@dataclass(frozen=True)
class Counts:
    """How many rows, or values of one column, are the same, changed, or on one side only."""

    same: int | None
    changed: int | None
    only_archived: int | None
    only_live: int | None


@dataclass(frozen=True)
class Comparison:
    """What was compared by which key, and how it came out.

    ``reason`` says why nothing can be compared. ``not_counted`` says why there are no counts.
    ``archived`` and ``live`` are the rows of both sides.
    """

    reason: str | None
    not_counted: str | None
    live_table: str | None
    key: tuple[str, ...]
    columns: tuple[Compared, ...]
    only_recorded: tuple[str, ...]
    only_now: tuple[str, ...]
    counts: Counts | None
    archived: int | None
    live: int | None

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        counts = self.counts or Counts(None, None, None, None)
        return {
            "reason": self.reason,
            "not_counted": self.not_counted,
            "live_table": self.live_table,
            "key": list(self.key),
            "rows_archived": self.archived,
            "rows_live": self.live,
            **{name: getattr(counts, name) for name in CLASSES},
            "columns": [vars(column) for column in self.columns],
            "only_recorded": list(self.only_recorded),
            "only_now": list(self.only_now),
        }


@dataclass(frozen=True)
class Cell:
    """One column of a row on both sides; None is NULL, or no value on that side."""

    then: str | None
    now: str | None
    differs: bool


@dataclass(frozen=True)
class Row:
    """A row by its key, with the values of both sides."""

    key: tuple[str | None, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Sample:
    """Some rows of a class in the order of the key, from ``offset`` on."""

    kind: Class
    column: str | None
    key: tuple[str, ...]
    columns: tuple[Compared, ...]
    rows: tuple[Row, ...]
    offset: int
    more: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it: of a row its key, and the values of both sides by column."""
        names = [column.name for column in self.columns]
        pairs = [list(zip(names, row.cells, strict=True)) for row in self.rows]
        return {
            "class": self.kind,
            "column": self.column,
            "offset": self.offset,
            "more": self.more,
            "rows": [
                {
                    "key": dict(zip(self.key, row.key, strict=False)),
                    "archived": {n: c.then for n, c in cells} if self.kind != "only_live" else None,
                    "live": {n: c.now for n, c in cells} if self.kind != "only_archived" else None,
                    "differ": [name for name, cell in cells if cell.differs],
                }
                for row, cells in zip(self.rows, pairs, strict=True)
            ],
        }


async def count_differences(db: Database, reference: str, actor: Actor) -> Comparison:
    """Return how the values of an artifact compare with those of what has its name now."""
    artifact = await get_artifact(db, reference)
    said: dict[str, Any] = {}
    try:
        async with bounded_read(db, artifact.id) as connection:
            said = await _ask(connection, artifact, None, None, 0, 0)
            if "count_sql" not in said:
                return _comparison(said, None, None)
            try:
                async with connection.transaction():
                    [numbers] = await _read(connection, said, said["count_sql"])
            except asyncpg.PostgresError as exc:
                if (exc.sqlstate or "").startswith(_NO_ANSWER) and not raised_by_owner(exc):
                    raise
                error = translate(exc)
                # PostgreSQL may quote a value
                return _comparison(said, None, error.message if actor.sees_rows else error.for_log)
    except OutOfTime:
        return _comparison(said, None, TIME_LIMIT)
    except Busy:
        return _comparison(said, None, "another comparison of it is under way")
    return _comparison(said, numbers, None)


async def sample_differences(
    db: Database,
    reference: str,
    actor: Actor,
    kind: Class = "changed",
    *,
    column: str | None = None,
    limit: int = PAGE,
    offset: int = 0,
) -> Sample:
    """Return some rows of a class, with both values. The audit log says who looked.

    NotPermitted where the actor may not see rows, Refused where nothing can be compared, WrongUsage
    beyond row 100,000 or for a column that is not compared.
    """
    if not 0 <= offset <= _DEEPEST:
        raise WrongUsage(f"rows can be looked at up to number {_DEEPEST:,}", hint="export the rows")
    artifact = await get_artifact(db, reference)
    async with attempt(db, actor, "view", artifact.id, artifact.object_name):
        require_rows(actor, "look at rows")
        # what it shows comes by the key, and does not wait for a count
        async with bounded_read(db, f"{artifact.id} rows beside") as connection:
            said = await _ask(connection, artifact, kind, column, limit + 1, offset)
            if said.get("sample_sql") is None:
                raise Refused(said["reason"], hint="there is nothing to compare it with")
            columns = _columns(said, None)
            if column is not None and column not in {item.name for item in columns}:
                raise WrongUsage(f"{column} is not compared", hint="name a column of both sides")
            found = await _read(connection, said, said["sample_sql"])
        shown = {"compared": kind, "offset": offset, "rows": len(found[:limit])}
        await audit.record_view(db, actor, artifact.id, artifact.object_name, shown)
    key = tuple(said["key"])
    rows = tuple(_row(texts, len(key) or 1, len(columns)) for texts in found[:limit])
    return Sample(kind, column, key, columns, rows, offset, len(found) > limit)


async def _ask(
    connection: Connection,
    artifact: Artifact,
    kind: str | None,
    column: str | None,
    limit: int,
    offset: int,
) -> dict[str, Any]:
    await connection.execute(PLAN["settings"])
    asked = (artifact.id, kind, column, limit, offset)
    found: dict[str, Any] = await connection.fetchval(SQL["compare"], *asked)
    return found


async def _read(connection: Connection, said: dict[str, Any], query: str) -> list[Any]:
    """Return what a query over both sides says, as whom and under which path it has to run."""
    async with prepared(connection, said["prepares"]):
        await guard(connection, said["role"], tuple(said["guards"]), nowait=True)
        return await query_as(connection, said["role"], query, said["path"])


def _comparison(
    said: dict[str, Any], numbers: list[int] | None, not_counted: str | None
) -> Comparison:
    counts = archived = live = None
    columns = _columns(said, numbers)
    if numbers is not None:
        new, archived, matched, changed = numbers[:4]
        live = new + matched
        if said["reason"] is None:
            counts = Counts(matched - changed, changed, archived - matched, new)
    return Comparison(
        reason=said.get("reason"),
        not_counted=not_counted,
        live_table=said.get("live"),
        key=tuple(said.get("key") or ()),
        columns=columns,
        only_recorded=tuple(said.get("only_recorded") or ()),
        only_now=tuple(said.get("only_now") or ()),
        counts=counts,
        archived=archived,
        live=live,
    )


def _columns(said: dict[str, Any], numbers: list[int] | None) -> tuple[Compared, ...]:
    known = said.get("columns") or []
    counted = numbers[4:] if numbers is not None else [None] * len(known)
    return tuple(Compared(**item, changed=n) for item, n in zip(known, counted, strict=True))


def _row(texts: list[str | None], keys: int, columns: int) -> Row:
    key, rest = tuple(texts[:keys]), texts[keys:]
    then, now, marks = (rest[n * columns : (n + 1) * columns] for n in range(3))
    pairs = zip(then, now, marks, strict=True)
    return Row(key, tuple(Cell(one, other, mark is not None) for one, other, mark in pairs))
