"""The rows of a table as a pending statement will find them, as a query.

What earlier statements change is a layer over the table: a new name, another type, a new column. A
layer is a subquery, so an expression of the migration reads it as it will read the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from app.migrate.preflight.expressions import Names
from app.migrate.preflight.facts import Column, Live
from app.recovery.core.names import quote

KEY = "_zanith key"
"""The column by which an example is named."""
PLACE = "_zanith place"
"""The column that tells two rows apart."""


@dataclass(frozen=True)
class Layer:
    """One subquery: the columns that it returns, and the name that it has outside."""

    name: str
    columns: Mapping[str, str]


@dataclass(frozen=True)
class Rows:
    """A table as pending statements leave it. `new`: it has no rows yet.

    `unknown` says why nobody knows its rows. Constraints and indexes are those that its rows have
    to satisfy, by name.
    """

    name: str
    live: Live | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    layers: tuple[Layer, ...] = ()
    new: bool = False
    unknown: str | None = None
    key: tuple[str, ...] = ()
    constraints: Mapping[str, Any] = field(default_factory=dict)
    indexes: Mapping[str, Any] = field(default_factory=dict)
    names: Names = field(default_factory=Names)
    """Names in the expressions of the layers."""
    vague: Mapping[str, str] = field(default_factory=dict)
    """Columns whose values are not known before the statement runs, and why."""

    @property
    def whole(self) -> bool:
        """Whether its partitions are read with it even where a statement says ONLY."""
        return self.live is not None and self.live.kind == "p"

    def sql(self, *, only: bool = False) -> str:
        """Return the query of its rows, with the key and the place of each."""
        if self.live is None:
            raise ValueError("a table that does not exist has no rows")
        alias = quote([self.live.name[1]])
        columns = [f"{alias}.{quote([name])}" for name in self.live.columns]
        parts = [
            *columns,
            f"{self._key_sql(alias)} AS {quote([KEY])}",
            f"pg_catalog.format('%s %s', {alias}.tableoid, {alias}.ctid) AS {quote([PLACE])}",
        ]
        kept = "ONLY " if only and not self.whole else ""
        text = f"SELECT {', '.join(parts)} FROM {kept}{self.live.sql} AS {alias}"
        for layer in self.layers:
            inner = quote([layer.name])
            made = [f"{sql} AS {quote([name])}" for name, sql in layer.columns.items()]
            made += [f"{inner}.{quote([name])}" for name in (KEY, PLACE)]
            text = f"SELECT {', '.join(made)} FROM ({text}) AS {inner}"
        return text

    def source(self, *, only: bool = False) -> str:
        """Return the rows as an item of FROM, under the name of the table."""
        return f"({self.sql(only=only)}) AS {quote([self.name])}"

    def _key_sql(self, alias: str) -> str:
        key = self.live.key if self.live else ()
        if not key:
            return f"pg_catalog.format('row %s', {alias}.ctid)"
        return tuple_sql(key, [f"{alias}.{quote([name])}" for name in key])

    def plain(self) -> dict[str, str]:
        """Return its columns as a layer that changes nothing."""
        alias = quote([self.name])
        return {name: f"{alias}.{quote([name])}" for name in self.columns}

    def over(self, columns: Mapping[str, Column], sql: Mapping[str, str], names: Names) -> Rows:
        """Return the rows with a layer that returns these columns."""
        layers = (*self.layers, Layer(self.name, sql))
        return replace(self, columns=columns, layers=layers, names=self.names.also(names))


def tuple_sql(names: tuple[str, ...], values: list[str]) -> str:
    """Return an expression that prints values as PostgreSQL's errors do: `(id)=(5)`.

    It prints them by the output functions of their types, and calls no cast.
    """
    shown = ", ".join("%s" for _ in values)
    label = ", ".join(names).replace("%", "%%").replace("'", "''")
    escape = "E" if "\\" in label else ""
    label = label.replace("\\", "\\\\")
    return f"pg_catalog.format({escape}'({label})=({shown})', {', '.join(values)})"
