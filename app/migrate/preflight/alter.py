"""ALTER TABLE: the probes of all of its actions, over the rows that the statement makes.

PostgreSQL applies the actions of one statement in passes: it drops, changes types, adds columns,
and then adds and checks constraints.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.preflight.columns import add_columns, change_types
from app.migrate.preflight.constraints import (
    nulls,
    plain_elements,
    probes_of_constraint,
    probes_of_index,
)
from app.migrate.preflight.expressions import mentions
from app.migrate.preflight.findings import Kind
from app.migrate.preflight.partitions import bound_of, probes_of_attach
from app.migrate.preflight.probe import Probe, find_duplicates, not_checked
from app.migrate.preflight.rows import Rows
from app.migrate.preflight.state import State
from app.migrate.review.world import definition_of, parts_of, words
from app.recovery.core.names import quote

Numbered = tuple[int, Probe]


def probes_of_alter(state: State, node: Any) -> list[Numbered]:
    """Return the probes, each with the number of its action, and note what the statement does."""
    parts = parts_of(node.relation)
    rows = state.find(parts)
    commands = [(n, item.alter_table_cmd) for n, item in enumerate(node.cmds)]
    if rows is None:
        return [(n, _lost(command, parts)) for n, command in commands if _matters(command)]
    only = not node.relation.inh
    after, probes = _change(state, rows, commands)
    changed = {command.name for _, command in commands if command.subtype == pg.AT_AlterColumnType}
    if changed:
        first = next(n for n, c in commands if c.subtype == pg.AT_AlterColumnType)
        probes += [(first, probe) for probe in _again(state, after, changed)]
    for number, command in commands:
        found = list(_probes(state, after, command, only=only))
        probes += [(number, probe) for probe in found]
    state.put(parts, _constrained(after, commands))
    if after.new or rows.new:
        return []
    return probes


_CHECKED = frozenset(
    {
        pg.AT_AddConstraint,
        pg.AT_ValidateConstraint,
        pg.AT_SetNotNull,
        pg.AT_AlterColumnType,
        pg.AT_AttachPartition,
        pg.AT_SetExpression,
    }
)


def _matters(command: Any) -> bool:
    return command.subtype in _CHECKED


def _lost(command: Any, parts: list[str]) -> Probe:
    kind = Kind.DOES_NOT_FIT if command.subtype == pg.AT_AlterColumnType else Kind.OTHER
    return not_checked(kind, quote(parts), "a table of that name does not exist")


def _change(
    state: State, rows: Rows, commands: list[tuple[int, Any]]
) -> tuple[Rows, list[Numbered]]:
    """Return the rows without the dropped columns, with new types and new columns."""
    by_kind: dict[int, list[tuple[int, Any]]] = {}
    for number, command in commands:
        by_kind.setdefault(command.subtype, []).append((number, command))
    for _, command in by_kind.get(pg.AT_DropConstraint, ()):
        kept = {n: c for n, c in rows.constraints.items() if n != command.name}
        indexes = {n: i for n, i in rows.indexes.items() if n != command.name}
        rows = replace(rows, constraints=kept, indexes=indexes)
    dropped = {command.name for _, command in by_kind.get(pg.AT_DropColumn, ())}
    if dropped:
        rows = _without(rows, dropped)
    probes: list[Numbered] = []
    if changes := by_kind.get(pg.AT_AlterColumnType):
        rows, found = change_types(state, rows, changes)
        probes += found
    for number, command in by_kind.get(pg.AT_SetExpression, ()):
        probes.append((number, not_checked(Kind.OTHER, rows.name, "no probe computes it")))
        rows = replace(rows, vague={**rows.vague, command.name: "an earlier statement computes it"})
    if additions := by_kind.get(pg.AT_AddColumn):
        rows, found = add_columns(state, rows, additions)
        probes += found
    return rows, probes


def _without(rows: Rows, dropped: set[str]) -> Rows:
    columns = {name: column for name, column in rows.columns.items() if name not in dropped}
    layered = replace(rows, columns=columns)
    return replace(
        layered,
        constraints={n: c for n, c in rows.constraints.items() if not _is_of(c, dropped)},
        indexes={n: i for n, i in rows.indexes.items() if not mentions(i, dropped)},
    )


def _is_of(constraint: Any, columns: set[str]) -> bool:
    keys = {*words(constraint.keys), *words(constraint.fk_attrs)}
    return bool(keys & columns) or mentions(constraint, columns)


def _again(state: State, rows: Rows, changed: set[str]) -> Iterator[Probe]:
    """What PostgreSQL checks anew after a change of types."""
    for column in changed & set(rows.columns):
        if rows.columns[column].not_null:
            yield from nulls(rows, column, again=True)
    for index in rows.indexes.values():
        if mentions(index, changed):
            yield from probes_of_index(rows, index, again=True)
    for constraint in rows.constraints.values():
        kind = constraint.contype
        if kind in {pg.CONSTR_UNIQUE, pg.CONSTR_PRIMARY, pg.CONSTR_NOTNULL}:
            continue
        if _is_of(constraint, changed):
            yield from probes_of_constraint(state, rows, constraint)
    yield from _references(state, rows, changed)


def _references(state: State, rows: Rows, changed: set[str]) -> Iterator[Probe]:
    """The foreign keys of other tables that reference a column which gets another type."""
    for oid in rows.live.referencing if rows.live else ():
        other = state.of(oid)
        if other is None:
            yield not_checked(Kind.ORPHANS, rows.name, "another table references it")
            continue
        for constraint in other.constraints.values():
            own = constraint.HasField("pktable") and state.find(parts_of(constraint.pktable))
            keys = set(words(constraint.pk_attrs) or rows.key)
            if own and own.live and rows.live and own.live.oid == rows.live.oid and keys & changed:
                why = "the referenced column gets another type"
                yield not_checked(Kind.ORPHANS, quote([other.name, constraint.conname]), why)


def _probes(state: State, rows: Rows, command: Any, *, only: bool) -> Iterator[Probe]:
    kind = command.subtype
    if kind == pg.AT_SetNotNull:
        yield from nulls(rows, command.name, only=only)
    elif kind == pg.AT_AddConstraint:
        constraint = definition_of(command).constraint
        yield from probes_of_constraint(state, rows, constraint, only=only)
    elif kind in {pg.AT_ValidateConstraint, pg.AT_AlterConstraint}:
        yield from _of_known(state, rows, command, only=only)
    elif kind == pg.AT_AddColumn:
        yield from _of_column(state, rows, definition_of(command).column_def)
    elif kind == pg.AT_AttachPartition:
        yield from _attach(state, rows, command)


def _of_known(state: State, rows: Rows, command: Any, *, only: bool) -> Iterator[Probe]:
    definition = definition_of(command)
    name = command.name
    if command.subtype == pg.AT_AlterConstraint:
        altered = definition.at_alter_constraint
        if not (altered.alter_enforceability and altered.is_enforced):
            return
        name = altered.conname
    constraint = rows.constraints.get(name)
    if constraint is None:
        shown = quote([rows.name, name])
        yield not_checked(Kind.CHECK, shown, "the constraint is not known")
        return
    yield from probes_of_constraint(state, rows, constraint, only=only, again=True)


def _of_column(state: State, rows: Rows, column: Any) -> Iterator[Probe]:
    """The constraints in the definition of a new column."""
    for item in column.constraints:
        constraint = item.constraint
        if constraint.contype in {pg.CONSTR_UNIQUE, pg.CONSTR_PRIMARY}:
            yield find_duplicates(
                rows,
                plain_elements([column.colname]),
                quote([rows.name, column.colname]),
                nulls_distinct=not constraint.nulls_not_distinct,
            )
        elif constraint.contype == pg.CONSTR_CHECK:
            yield from probes_of_constraint(state, rows, constraint)
        elif constraint.contype == pg.CONSTR_FOREIGN:
            own = pg.Constraint()
            own.CopyFrom(constraint)
            own.fk_attrs.add().string.sval = column.colname
            yield from probes_of_constraint(state, rows, own)


def _attach(state: State, parent: Rows, command: Any) -> Iterator[Probe]:
    name, bound = bound_of(command)
    partition = state.find(name)
    if partition is None:
        yield not_checked(Kind.OUTSIDE, quote(name), "the table does not exist")
        return
    yield from probes_of_attach(state, parent, partition, bound)


def _constrained(rows: Rows, commands: list[tuple[int, Any]]) -> Rows:
    """Note which constraints the rows satisfy after the statement."""
    columns, constraints, indexes = dict(rows.columns), dict(rows.constraints), dict(rows.indexes)
    for _, command in commands:
        kind = command.subtype
        if kind in {pg.AT_SetNotNull, pg.AT_DropNotNull} and command.name in columns:
            required = kind == pg.AT_SetNotNull
            columns[command.name] = replace(columns[command.name], not_null=required)
        if kind == pg.AT_AddConstraint:
            constraint = definition_of(command).constraint
            if constraint.conname:
                constraints[constraint.conname] = constraint
            if constraint.contype in {pg.CONSTR_UNIQUE, pg.CONSTR_PRIMARY}:
                index = _index_of(constraint)
                indexes[constraint.conname or f"of {len(indexes)}"] = index
    return replace(rows, columns=columns, constraints=constraints, indexes=indexes)


def _index_of(constraint: Any) -> Any:
    index = pg.IndexStmt(unique=True, nulls_not_distinct=constraint.nulls_not_distinct)
    index.idxname = constraint.conname
    index.relation.inh = True
    for element in plain_elements(words(constraint.keys)):
        index.index_params.add().CopyFrom(element)
    return index
