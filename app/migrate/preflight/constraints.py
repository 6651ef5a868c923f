"""Constraints and unique indexes: the rows that they do not allow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.preflight.expressions import Names, elements, operator_sql, text_of
from app.migrate.preflight.facts import Column
from app.migrate.preflight.findings import Kind
from app.migrate.preflight.probe import (
    Probe,
    find_broken,
    find_duplicates,
    find_nulls,
    names_of,
    not_checked,
    unreadable,
)
from app.migrate.preflight.rows import KEY, PLACE, Rows, tuple_sql
from app.migrate.preflight.state import State
from app.migrate.review.constraints import is_checked
from app.migrate.review.world import parts_of, words
from app.recovery.core.names import quote


def probes_of_constraint(
    state: State, rows: Rows, constraint: Any, *, only: bool = False, again: bool = False
) -> Iterator[Probe]:
    """Yield what asks whether rows break a constraint that is added, or checked `again`."""
    if not again and not is_checked(constraint):
        return
    kind = constraint.contype
    shown = _shown(rows, constraint)
    if kind == pg.CONSTR_CHECK:
        subject = shown if constraint.conname else f"the new check of {shown}"
        text = text_of(constraint.raw_expr)
        yield find_broken(
            rows, constraint.raw_expr, text, subject, only=only or constraint.is_no_inherit
        )
    elif kind == pg.CONSTR_NOTNULL:
        for column in words(constraint.keys):
            yield from nulls(rows, column, only=only, again=again)
    elif kind in {pg.CONSTR_UNIQUE, pg.CONSTR_PRIMARY}:
        yield from _unique(rows, constraint, shown, only=only)
    elif kind == pg.CONSTR_EXCLUSION:
        yield _overlaps(rows, constraint, shown)
    elif kind == pg.CONSTR_FOREIGN:
        yield _orphans(state, rows, constraint, shown)


def _shown(rows: Rows, constraint: Any) -> str:
    """Return the name of a constraint, or its table with its columns."""
    if constraint.conname:
        return quote([rows.name, constraint.conname])
    columns = words(constraint.keys) or words(constraint.fk_attrs)
    listed = f" ({', '.join(quote([name]) for name in columns)})" if columns else ""
    return f"{quote([rows.name])}{listed}"


def nulls(rows: Rows, column: str, *, only: bool = False, again: bool = False) -> Iterator[Probe]:
    """Yield the probe for NULL, unless the column is NOT NULL already."""
    found = rows.columns.get(column)
    if again or found is None or not found.not_null:
        yield find_nulls(rows, column, only=only)


def _unique(rows: Rows, constraint: Any, shown: str, *, only: bool) -> Iterator[Probe]:
    if only and rows.whole:
        return  # nothing is built for the partitions
    keys = words(constraint.keys)
    if constraint.indexname:
        index = rows.indexes.get(constraint.indexname)
        if index is None:
            if constraint.contype == pg.CONSTR_PRIMARY:
                why = f"the index {constraint.indexname} is not known"
                yield not_checked(Kind.NULLS, shown, why)
            return
        keys = [item.index_elem.name for item in index.index_params]
    if constraint.contype == pg.CONSTR_PRIMARY:
        for column in keys:
            yield from nulls(rows, column)
    if constraint.indexname:
        return
    if getattr(constraint, "without_overlaps", False):
        yield not_checked(Kind.OVERLAPS, shown, "it is WITHOUT OVERLAPS")
        return
    yield find_duplicates(
        rows,
        plain_elements(keys),
        shown,
        nulls_distinct=not constraint.nulls_not_distinct,
    )


def plain_elements(columns: Sequence[str]) -> list[Any]:
    """Return columns as elements of an index."""
    found = []
    for column in columns:
        node = pg.Node()
        node.index_elem.name = column
        found.append(node)
    return found


def probes_of_index(rows: Rows, index: Any, *, again: bool = False) -> Iterator[Probe]:
    """Yield the probe of a unique index that is created, or built `again`."""
    if not index.unique or (rows.whole and not index.relation.inh and not again):
        return
    name = index.idxname
    yield find_duplicates(
        rows,
        index.index_params,
        quote([rows.name, name]) if name else f"the new index of {quote([rows.name])}",
        predicate=index.where_clause if index.HasField("where_clause") else None,
        nulls_distinct=not index.nulls_not_distinct,
    )


# -------------------------------------------------------------------------------------- exclusion


def _overlaps(rows: Rows, constraint: Any, shown: str) -> Probe:
    pairs = [tuple(item.list.items) for item in constraint.exclusions]
    parts = elements([element for element, _ in pairs])
    operators = [words(operator.list.items) for _, operator in pairs]
    nodes = [node for _, some in parts for node in some]
    where = ""
    if constraint.HasField("where_clause"):
        nodes.append(constraint.where_clause)
        where = f" WHERE ({text_of(constraint.where_clause)})"
    why = unreadable(rows, nodes) or ("it is not known" if rows.live is None else None)
    if why or rows.live is None:
        return not_checked(Kind.OVERLAPS, shown, why or "")
    names = names_of(rows, nodes)
    for operator in operators:
        names.add_operator(operator)
    alias = quote([rows.name])
    columns = [f"{sql} AS k{n}" for n, (sql, _) in enumerate(parts, 1)]
    columns += [f"{alias}.{quote([KEY])} AS key", f"{alias}.{quote([PLACE])} AS place"]
    source = f"(SELECT {', '.join(columns)} FROM {rows.source(only=True)}{where})"
    tests = [f"a.k{n} {operator_sql(operator)} b.k{n}" for n, operator in enumerate(operators, 1)]
    return Probe(
        Kind.OVERLAPS,
        shown,
        f"{{count}} {{pair of rows excludes|pairs of rows exclude}} each other in {shown}",
        (rows.live.oid,),
        names,
        f"SELECT pg_catalog.concat(a.key, ' and ', b.key) FROM {source} AS a"
        f" JOIN {source} AS b ON a.place OPERATOR(pg_catalog.<) b.place"
        f" AND {' AND '.join(f'({test})' for test in tests)}",
    )


# ------------------------------------------------------------------------------------ foreign keys

# Types whose operators compare one with the other, in one kind of index.
_FAMILIES = (
    frozenset({"smallint", "integer", "bigint"}),
    frozenset({"text", "character varying"}),
    frozenset({"real", "double precision"}),
    frozenset({"date", "timestamp without time zone", "timestamp with time zone"}),
)


def _orphans(state: State, rows: Rows, constraint: Any, shown: str) -> Probe:
    columns = words(constraint.fk_attrs)
    referenced = state.find(parts_of(constraint.pktable))
    why = unreadable(rows, ())
    if why is None:
        why = _why_not(rows, constraint, columns, referenced)
    if why or rows.live is None or referenced is None:
        return not_checked(Kind.ORPHANS, shown, why or "the referenced table does not exist")
    alias = quote([rows.name])
    values = [f"{alias}.{quote([name])}" for name in columns]
    tables = [rows.live.oid]
    missing = "true"  # a new table has no row to reference
    if not referenced.new:
        tests = _matches(rows, referenced, columns, words(constraint.pk_attrs))
        if tests is None:
            return not_checked(Kind.ORPHANS, shown, "its key, or its equality, is not known")
        source = f"({referenced.sql(only=True)}) AS pk"
        missing = f"NOT EXISTS (SELECT FROM {source} WHERE {' AND '.join(tests)})"
        tables += [referenced.live.oid] if referenced.live else []
    told = tuple_sql(tuple(columns), values)
    return Probe(
        Kind.ORPHANS,
        shown,
        f"{{count}} {{row references|rows reference}} no row of {quote([referenced.name])}"
        f" by {shown}",
        tuple(tables),
        _names_of_both(rows, referenced),
        f"SELECT pg_catalog.concat({alias}.{quote([KEY])}, ': ', {told})"
        f" FROM {rows.source(only=True)} WHERE {_filled(values, constraint)} AND {missing}",
    )


def _why_not(
    rows: Rows, constraint: Any, columns: Sequence[str], referenced: Rows | None
) -> str | None:
    if getattr(constraint, "fk_with_period", False):
        return "it is a key of periods"
    if referenced is None or referenced.unknown:
        return referenced.unknown if referenced else "the referenced table is not known"
    if any(name not in rows.columns for name in columns):
        return "a column does not exist"
    return next((why for name, why in rows.vague.items() if name in columns), None)


def _matches(
    rows: Rows, referenced: Rows, columns: Sequence[str], named: Sequence[str]
) -> list[str] | None:
    """Return the comparisons of a foreign key; None if a column or an operator is not known."""
    keys = list(named) or list(referenced.key)
    if len(keys) != len(columns) or any(key not in referenced.columns for key in keys):
        return None
    alias = quote([rows.name])
    tests = []
    for name, key in zip(columns, keys, strict=True):
        test = _equal(rows.columns[name], referenced.columns[key], name, key, alias)
        if test is None:
            return None
        tests.append(test)
    return tests


def _names_of_both(rows: Rows, other: Rows) -> Names:
    return names_of(rows, ()).also(names_of(other, ()))


def _filled(values: list[str], constraint: Any) -> str:
    """MATCH SIMPLE looks at rows without any NULL, MATCH FULL at those that are not all NULL."""
    nulls_in = f"pg_catalog.num_nulls({', '.join(values)})"
    if constraint.fk_matchtype == "f":
        return f"{nulls_in} OPERATOR(pg_catalog.<) {len(values)}"
    return f"{nulls_in} OPERATOR(pg_catalog.=) 0"


def _equal(own: Column, other: Column, name: str, key: str, alias: str) -> str | None:
    mine, theirs = f"{alias}.{quote([name])}", f"pk.{quote([key])}"
    if own.facts is None or other.facts is None or other.facts.equals is None:
        return None
    equals = other.facts.equals
    both = {own.facts.base, other.facts.base}
    if len(both) > 1:
        if any(both <= one for one in _FAMILIES):
            equals = "OPERATOR(pg_catalog.=)"
        else:
            mine = f"CAST({mine} AS {other.facts.base})"
    return f"{theirs} {equals} {mine}"
