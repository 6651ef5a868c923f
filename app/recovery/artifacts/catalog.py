"""Tables and columns as they live in the database: what a person can pick for a capture."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from app.recovery.artifacts.lookup import schemas_on_path
from app.recovery.core.errors import NotFound
from app.recovery.core.names import quote
from app.recovery.db.database import Database
from app.recovery.queries import containing, load

SQL = load("catalog")
PAGE = 50


@dataclass(frozen=True)
class Relation:
    """A table; size in bytes with its indexes and partitions, rows as the statistics have them.

    ``parked`` counts the recoverable artifacts of it and of its columns.
    """

    schema: str
    name: str
    kind: str
    owner: str
    comment: str | None
    size_bytes: int | None
    row_estimate: int | None
    parked: int

    @property
    def qualified(self) -> str:
        """Its name as SQL writes it."""
        return quote([self.schema, self.name])

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return asdict(self)


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
