"""Expressions of a migration as text, and the names in them that may mean code of somebody."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.read.parser import deparse
from app.migrate.review.world import messages_in, words
from app.recovery.core.names import quote


def text_of(node: Any) -> str:
    """Return an expression as SQL text."""
    parsed = pg.ParseResult()
    select = parsed.stmts.add().stmt.select_stmt
    select.limit_option = pg.LIMIT_OPTION_DEFAULT
    select.op = pg.SETOP_NONE
    select.target_list.add().res_target.val.CopyFrom(node)
    return deparse(parsed).removeprefix("SELECT ")


def type_sql(type_name: Any) -> str:
    """Return a type as SQL text."""
    node = pg.Node()
    node.type_cast.arg.a_const.isnull = True
    node.type_cast.type_name.CopyFrom(type_name)
    return text_of(node).removeprefix("NULL::")


# Operators that an expression uses without naming them: IN, BETWEEN, CASE, NULLIF, rows.
_IMPLICIT = ("=", "<>", "<", "<=", ">", ">=", "~~", "!~~", "~~*", "!~~*", "~")


@dataclass
class Names:
    """Names in expressions: whatever has one of them may be called."""

    routines: set[str] = field(default_factory=set)
    operators: set[str] = field(default_factory=set)
    types: set[str] = field(default_factory=set)
    schemas: set[str] = field(default_factory=set)

    def add(self, node: Any) -> None:
        """Add those of an expression, or of a type."""
        for name in _names(node, pg.FuncCall, "funcname"):
            self._note(self.routines, name)
        for name in _names(node, pg.TypeName, "names"):
            self._note(self.types, name)
            self.routines.add(name[-1])  # a cast may be a call
        for name in _names(node, pg.A_Expr, "name"):
            self._note(self.operators, name)
        for column in _all(node, pg.ColumnRef):
            # the name of a function can stand for a column: t.f is f(t)
            self.routines.update(item.string.sval for item in column.fields if item.string.sval)
        for item in _all(node, pg.A_Indirection):
            self.routines.update(words(item.indirection))
        self.operators.update(_IMPLICIT)

    def add_operator(self, name: list[str]) -> None:
        self._note(self.operators, name)

    def add_type(self, type_name: Any) -> None:
        """Add the name of a type by itself."""
        name = words(type_name.names)
        self._note(self.types, name)
        self.routines.add(name[-1])

    def _note(self, kept: set[str], name: list[str]) -> None:
        if name:
            kept.add(name[-1])
        if len(name) > 1:
            self.schemas.add(name[-2])

    @property
    def all(self) -> set[str]:
        return self.routines | self.operators | self.types

    def also(self, other: Names) -> Names:
        """Return these names and those of another."""
        return Names(
            self.routines | other.routines,
            self.operators | other.operators,
            self.types | other.types,
            self.schemas | other.schemas,
        )


def _all(node: Any, kind: type) -> Iterator[Any]:
    if isinstance(node, kind):
        yield node
    yield from messages_in(node, kind)


def _names(node: Any, kind: type, of: str) -> Iterator[list[str]]:
    for one in _all(node, kind):
        yield words(getattr(one, of))


def reads_whole_rows(node: Any, table: str, columns: Container[str]) -> bool:
    """Whether an expression reads a row as one value, which has other columns in a probe."""
    for one in _all(node, pg.ColumnRef):
        names = [item.string.sval for item in one.fields]
        if any(item.HasField("a_star") for item in one.fields):
            return True
        if names == [table] and table not in columns:
            return True
    return False


def operator_sql(name: Iterable[str]) -> str:
    """Return an operator as an expression writes it: `=`, `OPERATOR(s.=)`."""
    *schema, sign = name
    return f"OPERATOR({quote(schema)}.{sign})" if schema else sign


def elements(items: Iterable[Any]) -> list[tuple[str, list[Any]]]:
    """Return the expression of each element of an index, and the nodes in it."""
    found = []
    for item in items:
        element = item.index_elem
        if element.HasField("expr"):
            text, nodes = f"({text_of(element.expr)})", [element.expr]
        else:
            text, nodes = quote([element.name]), []
        if element.collation:
            text += f" COLLATE {quote(words(element.collation))}"
        found.append((text, nodes))
    return found


def columns_in(nodes: Iterable[Any]) -> frozenset[str]:
    """Return the names of columns in expressions, and in elements of indexes."""
    found: set[str] = set()
    for node in nodes:
        found.update(item.name for item in _all(node, pg.IndexElem) if item.name)
        for one in _all(node, pg.ColumnRef):
            found.update(item.string.sval for item in one.fields if item.string.sval)
    return frozenset(found)


def mentions(node: Any, columns: Container[str]) -> bool:
    """Whether an expression, or a list of elements of an index, names one of the columns."""
    return any(name in columns for name in columns_in((node,)))
