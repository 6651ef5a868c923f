"""The objects of a database, as far as a statement can create, drop or rename them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from app.migrate.risk import Mode
from app.recovery.core.names import quote
from app.recovery.db.connections import Connection
from app.recovery.queries import load

SQL = load("observe")
# The OIDs of catalogs are the same in each version.
RELATIONS, TYPES, SCHEMAS = 1259, 1247, 2615
LOCKABLE = frozenset({"table", "view", "materialized view", "foreign table"})
"""The kinds of relations that clients name, and so notice a lock on."""

_CALLED = frozenset({"function", "procedure", "aggregate"})
_DESCRIBED = frozenset({"sequence", "index", "composite type", "type", "schema", "rule", "policy"})
_NAMED = (
    LOCKABLE
    | _CALLED
    | _DESCRIBED
    | {"table column", "foreign table column", "composite type column", "table constraint"}
    | {"domain constraint", "trigger", "statistics object"}
)

Address: TypeAlias = tuple[int, int, int]
"""An object as pg_depend names it: the OID of its catalog, its OID, and the number of a column."""


@dataclass(frozen=True)
class Object:
    """An object: its kind, as pg_identify_object() says it, and the parts of its name.

    The parts of a column or constraint begin with those of its table. `part` is True for an object
    that came or went as part of another: a column of a new table, the index of a constraint, a
    member of an extension.
    """

    kind: str
    names: tuple[str, ...]
    arguments: str = ""
    """The types of the arguments, of a function."""
    part: bool = False

    @property
    def name(self) -> str:
        """The quoted name; what has no name of its own, such as a cast, is described."""
        if self.kind not in _NAMED:
            return self.names[0]
        shown = quote(self.names)
        return f"{shown}({self.arguments})" if self.kind in _CALLED else shown

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": self.name, "names": list(self.names), "part": self.part}


@dataclass(frozen=True)
class Entry:
    """An object as its catalog has it: schema and table are OIDs, because both can be renamed."""

    kind: str
    schema: int
    parent: int
    name: str
    arguments: str
    file: int


@dataclass
class Catalog:
    """The objects at one moment, and what the open transaction did until then."""

    entries: dict[Address, Entry]
    transaction: int | None = None
    """The number of the open transaction, if it has one."""
    held: frozenset[tuple[int, Mode]] = frozenset()
    """The locks on relations that the transaction holds."""
    new: frozenset[Address] = field(default=frozenset())
    """What the transaction created: no other session sees it, so none waits for it."""

    def find(self, address: Address) -> Object | None:
        """Return the object at an address; None if there is none."""
        entry = self.entries.get(address)
        return Object(entry.kind, tuple(self._names(entry)), entry.arguments) if entry else None

    def relation(self, oid: int) -> Object | None:
        return self.find((RELATIONS, oid, 0))

    def owner(self, address: Address) -> Address | None:
        """Return the table or domain that an object belongs to."""
        entry = self.entries.get(address)
        if entry is None or not entry.parent:
            return None
        known = (RELATIONS, entry.parent, 0)
        return known if known in self.entries else (TYPES, entry.parent, 0)

    def changed(self, rows: Mapping[Address, Entry | None]) -> Catalog:
        """Return the catalog with other entries; None removes one."""
        if not rows:
            return self
        entries = dict(self.entries)
        for address, entry in rows.items():
            if entry is None:
                entries.pop(address, None)
            else:
                entries[address] = entry
        return replace(self, entries=entries)

    def _names(self, entry: Entry) -> Iterator[str]:
        if entry.schema:
            schema = self.entries.get((SCHEMAS, entry.schema, 0))
            yield schema.name if schema else f"schema {entry.schema}"
        elif entry.parent:
            for known in (RELATIONS, TYPES):
                above = self.entries.get((known, entry.parent, 0))
                if above is not None:
                    yield from self._names(above)
                    break
        yield entry.name


async def read_catalog(connection: Connection) -> Catalog:
    """Return the objects of the database, and the locks of the open transaction.

    It needs no rights, takes no lock on a table, and calls no function of the database.
    """
    async with own_path(connection) as transaction:
        rows = await read_entries(connection, None, None)
        entries = {address: entry for address, entry in rows.items() if entry is not None}
        return Catalog(entries, transaction, (await read_locks(connection))[0])


async def read_entries(
    connection: Connection, transaction: int | None, relations: list[int] | None
) -> dict[Address, Entry | None]:
    """Return the objects, or only those that a transaction made or changed; None is one dropped.

    Columns are those of the relations, if any are named.
    """
    rows = await connection.fetch(SQL["objects"], transaction, relations)
    return {
        (row["class"], row["object"], row["sub"]): Entry(
            row["kind"], row["schema"], row["parent"], row["name"], row["arguments"], row["file"]
        )
        if row["kind"]
        else None
        for row in rows
    }


async def read_locks(
    connection: Connection,
) -> tuple[frozenset[tuple[int, Mode]], frozenset[tuple[int, int]]]:
    """Return the locks of this session: on relations, and exclusive ones on other objects."""
    rows = await connection.fetch(SQL["locks"])
    relations = frozenset(
        (row["relation"], Mode.named(row["mode"])) for row in rows if row["type"] == "relation"
    )
    objects = frozenset(
        (row["class"], row["object"])
        for row in rows
        if row["type"] == "object" and Mode.named(row["mode"]) is Mode.ACCESS_EXCLUSIVE
    )
    return relations, objects


@asynccontextmanager
async def own_path(connection: Connection) -> AsyncIterator[int | None]:
    """Read the catalogs under a search path that nobody can put an operator into.

    It gives the number of the open transaction, and leaves the session's search path as it was.
    """
    inside = connection.is_in_transaction()
    if not inside:
        await connection.execute("BEGIN READ ONLY")
    try:
        ((path, transaction),) = await connection.fetch(SQL["state"])
        await connection.execute("SET LOCAL search_path = pg_catalog, pg_temp")
        yield transaction
        if inside:
            await connection.fetchval(SQL["set_path"], path)
    finally:
        if not inside:
            await connection.execute("ROLLBACK")
