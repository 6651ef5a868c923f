"""What earlier statements say of the schema: new tables are empty, and some types are known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.message import Message
from postgast import pg_query_pb2 as pg

from app.recovery.core.names import quote


@dataclass
class Table:
    """A table that a statement created. `new` is True while it has no rows."""

    name: str
    new: bool = True
    temporary: bool = False
    columns: dict[str, str] = field(default_factory=dict)
    constraints: dict[str, Any] = field(default_factory=dict)
    """The constraints by name, as the parser gives them."""
    not_null: set[str] = field(default_factory=set)
    """Columns that are NOT NULL, or have a validated CHECK that says so."""
    checks: bool = False
    default_partition: bool = False
    referenced: bool = False
    # what only a database says
    live: bool = False
    rows: int = 0
    bytes: int = 0
    alone: bool = False
    """Whether it has no partitions and no inheritance children."""
    joined: bool = True
    """Whether a foreign key references it, or it references a table."""
    published: bool = False


@dataclass(frozen=True)
class Capturable:
    """The strategies by which a table or column can be captured, that of the run first.

    `refusal` is why the first one that the run tries is refused, if it is.
    """

    strategies: tuple[str, ...]
    refusal: str = ""
    hint: str | None = None
    by_guard: bool = False
    """Whether the guard chooses the strategy, and comments in the file do not."""


@dataclass
class World:
    """The tables, indexes and types that statements so far created."""

    tables: dict[str, Table] = field(default_factory=dict)
    indexes: dict[str, str] = field(default_factory=dict)
    """The table of each index, by the keys of both."""
    types: set[str] = field(default_factory=set)
    """Types that are no domains."""
    steady: set[str] = field(default_factory=set)
    """Functions that are not volatile, as the database says."""
    captures: dict[tuple[str, str | None], Capturable] = field(default_factory=dict)
    """How tables, and columns of them, can be captured, as the database says."""

    def begin(self, *, pending: bool) -> None:
        """Begin the next migration; without `pending` those before it are applied."""
        for name in [name for name, table in self.tables.items() if table.temporary]:
            del self.tables[name]
        if not pending:
            for table in self.tables.values():
                table.new = False

    def find(self, parts: Sequence[str]) -> Table | None:
        return self.tables.get(key(parts))

    def is_new(self, parts: Sequence[str]) -> bool:
        """Whether the table has no rows and no clients, because the same plan created it."""
        if len(parts) > 1 and parts[0] == "pg_temp":
            return True
        found = self.find(parts)
        return found is not None and found.new

    def type_of(self, parts: Sequence[str], column: str) -> str | None:
        found = self.find(parts)
        return found.columns.get(column) if found else None

    def forget_captures(self, parts: Sequence[str]) -> None:
        """Another statement changes what the database said of a table."""
        for known in [one for one in self.captures if one[0] == key(parts)]:
            del self.captures[known]

    def drop(self, parts: Sequence[str]) -> None:
        self.forget_captures(parts)
        self.tables.pop(key(parts), None)

    def rename(self, parts: Sequence[str], new: str) -> None:
        self.forget_captures(parts)
        found = self.tables.pop(key(parts), None)
        if found is not None:
            moved = [*parts[:-1], new]
            found.name = quote(moved)
            self.tables[key(moved)] = found


def key(parts: Sequence[str]) -> str:
    """Return the name as the world keeps it: the schema public is the default one."""
    return quote(parts[1:] if len(parts) > 1 and parts[0] == "public" else parts)


def parts_of(relation: Any) -> list[str]:
    """Return the parts of a RangeVar's name."""
    return [part for part in (relation.schemaname, relation.relname) if part]


def definition_of(command: Any) -> Any:
    """Return the definition in an action of ALTER TABLE; its field is a keyword of Python."""
    return getattr(command, "def")


def words(nodes: Iterable[Any]) -> list[str]:
    """Return the strings of a list of nodes."""
    return [node.string.sval for node in nodes]


# ------------------------------------------------------------------------------------------- types

_SHORT = {
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "bpchar": "char",
}


def type_text(type_name: Any) -> str:
    """Return a type as people write it: `varchar(20)`, `integer[]`, `app.mood`."""
    parts = words(type_name.names)
    if len(parts) > 1 and parts[0] == "pg_catalog":
        parts = parts[1:]
    name = _SHORT.get(parts[-1], parts[-1]) if len(parts) == 1 else ".".join(parts)
    numbers = [str(node.a_const.ival.ival) for node in type_name.typmods]
    modifiers = f"({','.join(numbers)})" if numbers else ""
    return name + modifiers + "[]" * len(type_name.array_bounds)


# ------------------------------------------------------------------------------------- relations


def relations_in(node: Any) -> Iterator[list[str]]:
    """Yield the tables that a query names, without those of its WITH."""
    named: set[str] = set()
    found: list[list[str]] = []
    for message in _messages(node):
        if isinstance(message, pg.RangeVar):
            found.append(parts_of(message))
        elif isinstance(message, pg.CommonTableExpr):
            named.add(message.ctename)
    seen: set[str] = set()
    for parts in found:
        known = key(parts)
        if known not in seen and not (len(parts) == 1 and parts[0] in named):
            seen.add(known)
            yield parts


def messages_in(message: Any, kind: type) -> Iterator[Any]:
    """Yield every message of a kind inside of another."""
    return (item for item in _messages(message) if isinstance(item, kind))


_MESSAGES = type(pg.ParseResult().stmts)


def _messages(message: Any) -> Iterator[Any]:
    """Yield the messages inside of another in their order; a tree can have 65,535 levels."""
    waiting = _parts(message)
    while waiting:
        item = waiting.pop()
        yield item
        waiting += _parts(item)


def _parts(message: Any) -> list[Any]:
    """Return the messages right inside of another, the last one first."""
    found: list[Any] = []
    for _, value in message.ListFields():
        if isinstance(value, Message):
            found.append(value)
        elif isinstance(value, _MESSAGES):
            found += value
    found.reverse()
    return found
