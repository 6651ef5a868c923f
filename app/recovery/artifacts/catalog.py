"""Tables and columns as they live in the database: what a person can pick for a capture."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.recovery.artifacts.lookup import schemas_on_path
from app.recovery.core.errors import NotFound
from app.recovery.core.names import quote
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.database import Database
from app.recovery.queries import containing, load

SQL = load("catalog")
PAGE = 50


@dataclass(frozen=True)
class Relation:
    """A table; size in bytes with its indexes and partitions, rows as the statistics have them.

    ``parked`` counts the recoverable artifacts of it and of its columns, ``dependents`` the views,
    keys and functions that name it. ``last_used`` is None where no scan is known, and always before
    PostgreSQL 16; ``scans`` counts them since the statistics began.
    """

    schema: str
    name: str
    kind: str
    owner: str
    comment: str | None
    size_bytes: int | None
    row_estimate: int | None
    last_used: datetime | None
    scans: int | None
    dependents: int
    parked: int

    @property
    def qualified(self) -> str:
        """Its name as SQL writes it."""
        return quote([self.schema, self.name])

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        used = self.last_used.isoformat() if self.last_used else None
        return {**asdict(self), "last_used": used}


@dataclass(frozen=True)
class Attribute:
    """A column of a table; ``in_key``: the primary key has it."""

    name: str
    type: str
    not_null: bool
    default: str | None
    generated: bool
    identity: bool
    in_key: bool
    comment: str | None


@dataclass(frozen=True)
class RelationPage:
    """Tables by name; ``next`` is the last one, where more follow."""

    items: tuple[Relation, ...]
    next: Relation | None


async def list_relations(
    db: Database,
    search: str | None = None,
    after: tuple[str, str] | None = None,
    limit: int = PAGE,
) -> RelationPage:
    """Return tables whose schema.name contains the search, after the given schema and name."""
    async with db.acquire() as connection:
        rows = await connection.fetch(
            SQL["relations"], containing(search), *(after or (None, None)), limit + 1, None, None
        )
    items = tuple(Relation(**dict(row)) for row in rows[:limit])
    return RelationPage(items, items[-1] if len(rows) > limit else None)


@dataclass(frozen=True)
class Named:
    """A table's schema and name; whether an ordinary session finds it without its schema."""

    schema: str
    name: str
    on_path: bool


async def name_tables(db: Database, beginning: str, limit: int) -> list[Named]:
    """Return tables whose name, with its schema or without, begins so: first those on the path."""
    async with db.side() as connection:
        path = await schemas_on_path(db, connection)
        rows = await connection.fetch(SQL["names"], path, beginning, limit)
    return [Named(row["schema"], row["name"], row["on_path"]) for row in rows]


async def describe_relation(
    db: Database, schema: str, name: str
) -> tuple[Relation, tuple[Attribute, ...]]:
    """Return one table and its columns; NotFound where there is none of that name."""
    async with db.acquire() as connection:
        row = await connection.fetchrow(SQL["relations"], None, None, None, 1, schema, name)
        if row is None:
            raise NotFound(
                f"there is no table {quote([schema, name])}",
                hint="pick one from the list; parked tables are not in it",
            )
        columns = await connection.fetch(SQL["attributes"], schema, name)
    return Relation(**dict(row)), tuple(Attribute(**dict(column)) for column in columns)


@dataclass(frozen=True)
class Droppable:
    """Whether a column, or the table where ``column`` is None, can be dropped recoverably.

    ``alone`` without its dependents, ``together`` with them; ``why`` says what stands in the way of
    the first, or of both.
    """

    column: str | None
    alone: bool
    together: bool
    why: str | None
    hint: str | None


async def judge_drops(db: Database, schema: str, name: str) -> tuple[Droppable, ...]:
    """Judge the drop of a table and of each of its columns; nothing is changed.

    It reads what the table's owner made, and is bounded as such reads are.
    """
    async with bounded_read(db, quote([schema, name]), readonly=True) as connection:
        rows = await connection.fetch(SQL["judged"], schema, name)
    found: dict[str | None, dict[bool, Any]] = {}
    for row in rows:
        found.setdefault(row["column_name"], {})[row["cascade"]] = row
    return tuple(_droppable(column, of) for column, of in found.items())


# A plain DROP that PostgreSQL refuses has no message of ours.
_WITHOUT_MESSAGE = {
    "refused": "another object depends on it, and PostgreSQL drops it only with CASCADE",
    "not_covered": "no capture takes it",
    "not_judged": "this was not judged",
}
_NEVER = "the column cannot be dropped in PostgreSQL, not even with CASCADE: it may be inherited"


def _droppable(column: str | None, of: dict[bool, Any]) -> Droppable:
    alone, together = (
        (row := of.get(cascade)) is not None and row["verdict"] == "covered"
        for cascade in (False, True)
    )
    against = None if alone else of.get(False) or of.get(True)
    why = against["message"] if against else None
    if against and why is None:
        known = _WITHOUT_MESSAGE[against["verdict"]]
        why = known if together or against["verdict"] != "refused" else _NEVER
    return Droppable(column, alone, together, why, against["hint"] if against else None)
