"""Columns: values that do not fit into another type, and rows without a value for a new column."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.preflight.expressions import Names, columns_in, text_of, type_sql
from app.migrate.preflight.facts import Column
from app.migrate.preflight.findings import Kind
from app.migrate.preflight.probe import (
    Attempt,
    Probe,
    find_any,
    find_nulls,
    names_of,
    not_checked,
    unreadable,
)
from app.migrate.preflight.rows import Rows
from app.migrate.preflight.state import State
from app.migrate.review.columns import SERIALS, describe_type_change, is_volatile
from app.migrate.review.world import definition_of, type_text, words
from app.recovery.core.names import quote

# Types that a column cuts values to, unless PostgreSQL is told not to: what is added to the length.
_LENGTHS = {"varchar": 4, "bpchar": 4, "bit": 0, "varbit": 0}


def cast_sql(sql: str, type_name: Any) -> str | None:
    """Return the cast that PostgreSQL uses where a column gets a value: nothing is cut off.

    None if there is no such expression.
    """
    name = words(type_name.names)[-1]
    extra = _LENGTHS.get(name)
    if extra is None or not type_name.typmods:
        return f"CAST({sql} AS {type_sql(type_name)})"
    if type_name.array_bounds or len(type_name.typmods) != 1:
        return None
    length = type_name.typmods[0].a_const.ival.ival + extra
    whole = f"CAST({sql} AS pg_catalog.{quote([name])})"
    return f"pg_catalog.{quote([name])}({whole}, {length}, false)"


# --------------------------------------------------------------------------------------- new types


def change_types(
    state: State, rows: Rows, commands: list[tuple[int, Any]]
) -> tuple[Rows, list[tuple[int, Probe]]]:
    """Return the rows with the new types, and the probes, each with the number of its command."""
    probes: list[tuple[int, Probe]] = []
    layer, columns, names = rows.plain(), dict(rows.columns), Names()
    for number, command in commands:
        old = rows.columns.get(command.name)
        shown = quote([rows.name, command.name])
        if old is None:
            probes.append((number, not_checked(Kind.DOES_NOT_FIT, shown, "it does not exist")))
            continue
        definition = definition_of(command).column_def
        probe, made = _fit(state, rows, command.name, old, definition)
        if made is None:
            why = probe.unknown if probe else None
            rows = replace(rows, unknown=rows.unknown or why or "a type is not known")
        else:
            layer[command.name] = made
            facts = state.type_of(definition.type_name)
            text = type_sql(definition.type_name)
            columns[command.name] = Column(text, facts, old.not_null)
            names.add_type(definition.type_name)
            if definition.HasField("raw_default"):
                names.add(definition.raw_default)
        if probe is not None:
            probes.append((number, probe))
    if rows.unknown:
        return replace(rows, columns=columns), probes
    return rows.over(columns, layer, names), probes


def _fit(
    state: State, rows: Rows, name: str, old: Column, definition: Any
) -> tuple[Probe | None, str | None]:
    """Return what asks whether the values fit, and the expression of the new value."""
    shown = quote([rows.name, name])
    using = definition.raw_default if definition.HasField("raw_default") else None
    nodes = [using] if using is not None else []
    why = unreadable(rows, nodes) or ("it is not known" if rows.live is None else None)
    value = text_of(using) if using is not None else quote([rows.name, name])
    made = cast_sql(f"({value})", definition.type_name)
    if made is None:
        why = why or "it is an array of a limited length"
    if why or rows.live is None or made is None:
        return not_checked(Kind.DOES_NOT_FIT, shown, why or ""), None
    facts = state.type_of(definition.type_name)
    rewrites, narrows = describe_type_change(
        state.world.type_of([rows.name], name) or type_text_of(old),
        type_text(definition.type_name),
        using=using is not None,
    )
    if not rewrites and not narrows and not (facts and facts.domain):
        return None, made
    names = names_of(rows, nodes)
    names.add_type(definition.type_name)
    text = type_sql(definition.type_name)
    return Probe(
        Kind.DOES_NOT_FIT,
        shown,
        f"{{count}} {{value does|values do}} not fit into {text} in {shown}",
        (rows.live.oid,),
        names,
        attempt=Attempt(rows, made, columns_in(nodes) | {name}),
        cast=None if using is not None else (old.type, text),
    ), made


def type_text_of(column: Column) -> str:
    """Return a type of the catalog as the review writes it."""
    text = column.type
    for long, short in _SHORT.items():
        if text == long or text.startswith(f"{long}("):
            return text.replace(long, short, 1)
    return text


_SHORT = {
    "character varying": "varchar",
    "timestamp without time zone": "timestamp",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
    "time with time zone": "timetz",
    "bit varying": "varbit",
    "character": "char",
}


# ------------------------------------------------------------------------------------- new columns


def add_columns(
    state: State, rows: Rows, commands: list[tuple[int, Any]]
) -> tuple[Rows, list[tuple[int, Probe]]]:
    """Return the rows with new columns, and the probes of their values."""
    probes: list[tuple[int, Probe]] = []
    for number, command in commands:
        column = definition_of(command).column_def
        if command.missing_ok and column.colname in rows.columns:
            continue
        kinds = {item.constraint.contype: item.constraint for item in column.constraints}
        value = _value(state, rows, column, kinds)
        after = _with_column(state, rows, column, value)
        probes += [(number, probe) for probe in _probes_of_new(rows, after, column, kinds, value)]
        required = {pg.CONSTR_NOTNULL, pg.CONSTR_PRIMARY} & set(kinds)
        made = replace(after.columns[column.colname], not_null=bool(required))
        rows = replace(after, columns={**after.columns, column.colname: made})
    return rows, probes


def _with_column(state: State, rows: Rows, column: Any, value: _Value) -> Rows:
    facts = state.type_of(column.type_name)
    made = Column(type_sql(column.type_name), facts)
    columns = {**rows.columns, column.colname: made}
    found = rows.over(columns, {**rows.plain(), column.colname: value.sql}, value.names)
    if value.vague:
        return replace(found, vague={**rows.vague, column.colname: value.vague})
    return found


def _probes_of_new(
    rows: Rows, after: Rows, column: Any, kinds: Mapping[int, Any], value: _Value
) -> Iterator[Probe]:
    shown = quote([rows.name, column.colname])
    generated = pg.CONSTR_GENERATED in kinds
    made = after.columns[column.colname]
    if {pg.CONSTR_NOTNULL, pg.CONSTR_PRIMARY} & set(kinds):
        if not value.given:
            yield find_any(rows, shown)
        elif not value.numbered:
            yield find_nulls(after, column.colname)
    if not value.numbered and (generated or made.facts is None or made.facts.domain):
        yield _evaluated(rows, column, value, shown)


def _evaluated(rows: Rows, column: Any, value: _Value, shown: str) -> Probe:
    """Return what asks whether PostgreSQL can compute the values of a new column."""
    why = value.vague or rows.unknown or ("it is not known" if rows.live is None else None)
    if why or rows.live is None:
        return not_checked(Kind.DOES_NOT_FIT, shown, why or "")
    text = type_sql(column.type_name)
    return Probe(
        Kind.DOES_NOT_FIT,
        shown,
        f"{{count}} {{row gets a value that does|rows get values that do}} not fit into {text}"
        f" in {shown}",
        (rows.live.oid,),
        names_of(rows, ()).also(value.names),
        attempt=Attempt(rows, value.sql, value.uses),
    )


@dataclass(frozen=True)
class _Value:
    """The value of a new column. `vague` says why it is not known before the statement runs."""

    sql: str
    names: Names
    given: bool = True
    numbered: bool = False
    vague: str | None = None
    uses: frozenset[str] = frozenset()


def _value(state: State, rows: Rows, column: Any, kinds: Mapping[int, Any]) -> _Value:
    names = Names()
    names.add_type(column.type_name)
    if words(column.type_name.names)[-1] in SERIALS or pg.CONSTR_IDENTITY in kinds:
        return _Value("pg_catalog.row_number() OVER ()", Names(), numbered=True)
    given = kinds.get(pg.CONSTR_GENERATED) or kinds.get(pg.CONSTR_DEFAULT)
    sql = "NULL"
    if given is not None:
        names.add(given.raw_expr)
        names.routines -= set(rows.columns) | {rows.name}
        why = unreadable(rows, (given.raw_expr,))
        if is_volatile(state.world, given.raw_expr):
            why = why or "its default may differ in each row"
        if why:
            return _Value("NULL", Names(), vague=why)
        sql = f"({text_of(given.raw_expr)})"
    made = cast_sql(sql, column.type_name)
    if made is None:
        return _Value("NULL", Names(), vague="it is an array of a limited length")
    uses = columns_in((given.raw_expr,)) if given is not None else frozenset()
    return _Value(made, names, given=given is not None, uses=uses)
