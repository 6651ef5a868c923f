"""The tables as the pending statements so far leave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from app.migrate.preflight.expressions import type_sql
from app.migrate.preflight.facts import Column, Domain, Facts, Live, Type
from app.migrate.preflight.rows import Rows
from app.migrate.review.world import World, key, words


@dataclass
class State:
    """The tables by the names that statements use, and what nobody knows any more."""

    facts: Facts
    world: World
    tables: dict[str, Rows] = field(default_factory=dict)
    by_oid: dict[int, Rows] = field(default_factory=dict)
    oids: dict[str, int] = field(default_factory=dict)
    """The tables of the database by name, as long as no statement changed what the name means."""
    unknown: str | None = None
    """Why nobody knows any rows from here on."""
    redefined: dict[str, str] = field(default_factory=dict)
    """Names of functions and types that earlier statements create or change, and where."""
    domains: dict[str, Domain] = field(default_factory=dict)

    @classmethod
    def begin(cls, facts: Facts, world: World) -> State:
        """Return the state before the first statement."""
        state = cls(facts, world)
        for name, oid in facts.names.items():
            if oid in facts.tables:
                state.oids[key(name)] = oid
        state.domains = {key(name): domain for name, domain in facts.domains.items()}
        state.by_oid = {oid: rows_of(live) for oid, live in facts.tables.items()}
        return state

    def column(self, definition: Any) -> Column:
        """Return a column of a table that a statement creates."""
        return Column(type_sql(definition.type_name), self.type_of(definition.type_name))

    def type_of(self, type_name: Any) -> Type | None:
        """Return what the catalog says of a type; None if it does not exist yet."""
        found = self.facts.types.get(tuple(words(type_name.names)))
        if found is not None and type_name.array_bounds:
            return Type(f"{found.base}[]", equals="OPERATOR(pg_catalog.=)")
        return found

    def find(self, parts: Sequence[str]) -> Rows | None:
        """Return the rows of a table by a name of a statement."""
        name = key(parts)
        if name in self.tables:
            return self._known(self.tables[name])
        oid = self.oids.get(name)
        if oid is None:
            oid = self._by_its_name(parts)
        return self.of(oid) if oid is not None else None

    def of(self, oid: int) -> Rows | None:
        """Return the rows of a table of the database."""
        found = self.by_oid.get(oid)
        return self._known(found) if found is not None else None

    def _by_its_name(self, parts: Sequence[str]) -> int | None:
        """A definition of the catalog names a table with its schema."""
        for oid, live in self.facts.tables.items():
            if tuple(parts) == live.name:
                return oid
        return None

    def _known(self, rows: Rows) -> Rows:
        if self.unknown and not rows.unknown:
            return replace(rows, unknown=self.unknown)
        return rows

    def put(self, parts: Sequence[str], rows: Rows) -> None:
        """Keep what a statement made of a table."""
        if rows.live is not None and rows.live.oid in self.by_oid:
            self.by_oid[rows.live.oid] = rows
            return
        self.tables[key(parts)] = rows

    def create(self, parts: Sequence[str], rows: Rows) -> None:
        """Let a name mean a table that a statement created."""
        self.tables[key(parts)] = rows

    def rename(self, parts: Sequence[str], moved: Sequence[str]) -> None:
        """Let a table have another name, or be in another schema."""
        rows = self.find(parts)
        old, new = key(parts), key(moved)
        if rows is None:
            return
        renamed = replace(rows, name=moved[-1])
        if old in self.tables:
            del self.tables[old]
            self.tables[new] = renamed
        elif rows.live is not None:
            self.oids = {name: oid for name, oid in self.oids.items() if oid != rows.live.oid}
            self.oids[new] = rows.live.oid
            self.by_oid[rows.live.oid] = renamed

    def drop(self, parts: Sequence[str]) -> None:
        """Forget a table that a statement drops."""
        rows = self.find(parts)
        self.tables.pop(key(parts), None)
        if rows is not None and rows.live is not None:
            gone = rows.live.oid
            self.oids = {name: oid for name, oid in self.oids.items() if oid != gone}
            self.by_oid.pop(gone, None)

    def spoil(self, oids: set[int], why: str) -> None:
        """Note that nobody knows the rows of these tables any more."""
        for oid in oids & set(self.by_oid):
            rows = self.by_oid[oid]
            self.by_oid[oid] = replace(rows, unknown=rows.unknown or why)


def rows_of(live: Live) -> Rows:
    """Return the rows of a table as the database has them."""
    return Rows(
        live.name[1],
        live,
        dict(live.columns),
        key=live.key,
        constraints=dict(live.constraints),
        indexes=dict(live.indexes),
    )
