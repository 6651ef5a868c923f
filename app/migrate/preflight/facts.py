"""What the catalog says of the tables and domains that pending migrations name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.migrate.read.statements import Unreadable, read_statements
from app.migrate.review.world import definition_of
from app.recovery.core.names import quote
from app.recovery.db.connections import Connection
from app.recovery.queries import load

SQL = load("preflight")


@dataclass(frozen=True)
class Type:
    """A type: the one beneath a domain, and the operator of equality of its own kind of index."""

    base: str
    enum: bool = False
    domain: bool = False
    equals: str | None = None


@dataclass(frozen=True)
class Column:
    """A column: its type as SQL text, and what a probe has to know of it; None is not known."""

    type: str
    facts: Type | None = None
    not_null: bool = False


@dataclass(frozen=True)
class Live:
    """A table of the database. Definitions are parse trees, as those of a migration are."""

    oid: int
    name: tuple[str, str]
    kind: str
    parent: bool
    columns: Mapping[str, Column]
    key: tuple[str, ...]
    constraints: Mapping[str, Any]
    indexes: Mapping[str, Any]
    referencing: tuple[int, ...]
    acts: bool
    """Whether a change of its rows fires triggers or rules, which may change other tables."""
    strategy: str | None
    partition_key: tuple[str | None, ...]
    """None for an expression."""
    default_partition: int | None
    is_partition: bool
    bounds: tuple[Any, ...]
    """The bounds of its partitions."""

    @property
    def sql(self) -> str:
        return quote(self.name)


@dataclass(frozen=True)
class Domain:
    """A domain: its base type, its columns as (table, column), and its constraints by name."""

    base: str
    columns: tuple[tuple[int, str], ...]
    inside: bool
    """Whether another type has it inside: an array, a composite type, a domain."""
    constraints: Mapping[str, Any]


@dataclass
class Facts:
    """The tables by OID, and the names by which the migrations mean them."""

    tables: dict[int, Live] = field(default_factory=dict)
    names: dict[tuple[str, ...], int] = field(default_factory=dict)
    domains: dict[tuple[str, ...], Domain] = field(default_factory=dict)
    types: dict[tuple[str, ...], Type] = field(default_factory=dict)


async def read_facts(
    connection: Connection, relations: Mapping[tuple[str, ...], int], types: Mapping[Any, int]
) -> Facts:
    """Return what the catalog says of the relations and types, by the names that they have here.

    The tables that these reference, their partitions by default, and the tables of a domain are
    read too.
    """
    facts = Facts(names=dict(relations))
    rows = await connection.fetch(SQL["domains"], list(types.values()))
    for row in rows:
        domain = Domain(
            row["base"],
            tuple((int(oid), name) for oid, name in row["columns"]),
            row["inside"],
            _definitions(_OF_TABLE, row["constraints"]),
        )
        facts.domains.update({name: domain for name, oid in types.items() if oid == row["oid"]})
    wanted = set(relations.values())
    wanted.update(oid for domain in facts.domains.values() for oid, _ in domain.columns)
    found: dict[int, Any] = {}
    while wanted:
        found |= {row["oid"]: row for row in await connection.fetch(SQL["tables"], list(wanted))}
        more = {row["default_partition"] for row in found.values() if row["default_partition"]}
        wanted = (more | await _named_tables(connection, found.values())) - set(found) - wanted
    known = {int(column[1]) for row in found.values() for column in row["columns"]}
    kinds = await _read_types(connection, known | set(types.values()))
    facts.types = {name: kinds[oid] for name, oid in types.items() if oid in kinds}
    facts.tables = {oid: _table(row, kinds) for oid, row in found.items()}
    return facts


async def _read_types(connection: Connection, oids: set[int]) -> dict[int, Type]:
    rows = await connection.fetch(SQL["types"], list(oids))
    return {
        row["oid"]: Type(row["base"], row["enum"], row["domain"], row["equals"]) for row in rows
    }


async def _named_tables(connection: Connection, rows: Iterable[Any]) -> set[int]:
    """Return the tables that foreign keys of the tables reference."""
    named = {
        (constraint.pktable.schemaname, constraint.pktable.relname)
        for row in rows
        for constraint in _definitions(_OF_TABLE, row["constraints"]).values()
        if constraint.HasField("pktable")
    }
    if not named:
        return set()
    ordered = sorted(quote(name) for name in named)
    found = await connection.fetch(load("migrate")["relations"], ordered)
    return {row["oid"] for row in found if row["oid"]}


_OF_TABLE = "ALTER TABLE x ADD CONSTRAINT"


def _table(row: Any, types: Mapping[int, Type]) -> Live:
    return Live(
        oid=row["oid"],
        name=(row["schema"], row["name"]),
        kind=row["kind"],
        parent=row["parent"],
        columns={
            name: Column(text, types.get(int(oid)), not_null)
            for name, oid, text, not_null in row["columns"]
        },
        key=tuple(row["key"]),
        constraints=_definitions(_OF_TABLE, row["constraints"]),
        indexes=_indexes(row["indexes"]),
        referencing=tuple(row["referencing"]),
        acts=row["acts"],
        strategy=row["strategy"],
        partition_key=tuple(row["partition_key"]),
        default_partition=row["default_partition"],
        is_partition=row["is_partition"],
        bounds=tuple(bound for text in row["bounds"] for bound in _bound(text)),
    )


def _definitions(head: str, items: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Return each constraint by its name, as the parser reads it; a newer server's are left out."""
    found = {}
    for name, text in items:
        for statement in _read(f"{head} {quote([name])} {text}"):
            command = statement.node.cmds[0].alter_table_cmd
            found[name] = definition_of(command).constraint
    return found


def _indexes(items: Iterable[tuple[str, str]]) -> dict[str, Any]:
    return {name: statement.node for name, text in items for statement in _read(text)}


def _bound(text: str) -> list[Any]:
    read = _read(f"ALTER TABLE x ATTACH PARTITION y {text}")
    return [definition_of(one.node.cmds[0].alter_table_cmd).partition_cmd.bound for one in read]


def _read(text: str) -> list[Any]:
    try:
        return read_statements(text.encode(), "a definition")
    except Unreadable:
        return []
