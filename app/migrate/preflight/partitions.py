"""Partitions: rows outside of the bounds, and rows of the default partition inside of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from app.migrate.preflight.constraints import probes_of_constraint, probes_of_index
from app.migrate.preflight.expressions import Names, text_of
from app.migrate.preflight.facts import Live
from app.migrate.preflight.findings import Kind
from app.migrate.preflight.probe import Probe, names_of, not_checked
from app.migrate.preflight.rows import KEY, Rows
from app.migrate.preflight.state import State
from app.migrate.review.world import definition_of, parts_of
from app.recovery.core.names import quote

_ENDS = {"minvalue", "maxvalue"}


def probes_of_attach(state: State, parent: Rows, partition: Rows, bound: Any) -> Iterator[Probe]:
    """Yield what asks whether a table can become a partition."""
    shown = quote([partition.name])
    if not partition.new:
        yield _outside(parent, partition, bound, shown)
    if not bound.is_default:
        yield from probes_of_default(state, parent, bound, shown)
    if partition.new or parent.live is None:
        return
    for constraint in parent.constraints.values():
        if constraint.HasField("pktable"):
            yield from probes_of_constraint(state, partition, constraint)
    for index in parent.indexes.values():
        yield from probes_of_index(partition, index, again=True)


def probes_of_default(state: State, parent: Rows, bound: Any, shown: str) -> Iterator[Probe]:
    """Yield what asks whether the default partition has rows for a new one."""
    oid = parent.live.default_partition if parent.live else None
    if oid is None:
        return
    rows = state.of(oid)
    if rows is None or rows.unknown or parent.unknown:
        why = (rows.unknown if rows else None) or parent.unknown or "it is not known"
        yield not_checked(Kind.DEFAULT_PARTITION, shown, why)
        return
    condition = inside(parent, rows, bound)
    if condition is None or rows.live is None:
        yield not_checked(Kind.DEFAULT_PARTITION, shown, _KEY_NOT_KNOWN)
        return
    yield Probe(
        Kind.DEFAULT_PARTITION,
        shown,
        f"{{count}} {{row of the default partition belongs|rows of the default partition belong}}"
        f" to {shown}",
        _tables(rows, parent),
        _names(rows, bound),
        f"SELECT {quote([rows.name])}.{quote([KEY])} FROM {rows.source()}"
        f" WHERE ({condition}) IS TRUE",
    )


_KEY_NOT_KNOWN = "the partition key is an expression, or of a type that is not built in"


def _outside(parent: Rows, partition: Rows, bound: Any, shown: str) -> Probe:
    why = parent.unknown or partition.unknown
    if parent.live is not None and parent.live.is_partition:
        why = why or "the table is a partition itself"
    if why or partition.live is None or parent.live is None:
        return not_checked(Kind.OUTSIDE, shown, why or "the table is not known")
    if bound.is_default:
        tests = [inside(parent, partition, other) for other in parent.live.bounds]
        known = [test for test in tests if test is not None]
        condition = f"NOT ({' OR '.join(f'({t}) IS TRUE' for t in known) or 'false'})"
        complete = len(known) == len(tests)
    else:
        test = inside(parent, partition, bound)
        condition, complete = test or "", test is not None
    if not complete:
        return not_checked(Kind.OUTSIDE, shown, _KEY_NOT_KNOWN)
    return Probe(
        Kind.OUTSIDE,
        shown,
        f"{{count}} {{row is|rows are}} outside of the bounds of {shown}",
        _tables(partition, parent),
        _names(partition, bound),
        f"SELECT {quote([partition.name])}.{quote([KEY])} FROM {partition.source()}"
        f" WHERE ({condition}) IS NOT TRUE",
    )


def _tables(rows: Rows, parent: Rows) -> tuple[int, ...]:
    return tuple(one.live.oid for one in (rows, parent) if one.live)


def _names(rows: Rows, bound: Any) -> Names:
    names = names_of(rows, ())
    for node in (*bound.listdatums, *bound.lowerdatums, *bound.upperdatums):
        names.add(node)
    names.routines -= _ENDS
    return names


# ----------------------------------------------------------------------------------------- bounds


def inside(parent: Rows, rows: Rows, bound: Any) -> str | None:
    """Return the condition of rows inside of bounds; None if the key is not plain columns."""
    live = parent.live
    if live is None:
        return None
    values = _key(live, rows)
    if values is None or bound.is_default:
        return None
    columns, types = values
    if live.strategy == "l":
        return _in_list(columns[0], types[0], bound.listdatums)
    if live.strategy == "r":
        return _in_range(columns, types, bound)
    call = f"{live.oid}::pg_catalog.oid, {bound.modulus}, {bound.remainder}, {', '.join(columns)}"
    return f"pg_catalog.satisfies_hash_partition({call})"


def _key(live: Live, rows: Rows) -> tuple[list[str], list[str]] | None:
    columns, types = [], []
    for name in live.partition_key:
        column = live.columns.get(name) if name is not None else None
        facts = column.facts if column else None
        if name is None or column is None or facts is None or facts.domain:
            return None
        if facts.equals is None or not facts.equals.startswith("OPERATOR(pg_catalog."):
            return None
        if name not in rows.columns or rows.columns[name].type != column.type:
            return None
        columns.append(f"{quote([rows.name])}.{quote([name])}")
        types.append(facts.base)
    return columns, types


def _in_list(column: str, kind: str, values: Sequence[Any]) -> str:
    tests = []
    for value in values:
        if value.WhichOneof("node") == "a_const" and value.a_const.isnull:
            tests.append(f"pg_catalog.num_nulls({column}) OPERATOR(pg_catalog.=) 1")
        else:
            tests.append(f"{column} OPERATOR(pg_catalog.=) CAST(({text_of(value)}) AS {kind})")
    return " OR ".join(tests)


def _in_range(columns: list[str], types: list[str], bound: Any) -> str:
    tests = [f"pg_catalog.num_nulls({', '.join(columns)}) OPERATOR(pg_catalog.=) 0"]
    lower = _end(columns, types, bound.lowerdatums, equal=">=", beyond=">")
    upper = _end(columns, types, bound.upperdatums, equal="<", beyond="<=")
    return " AND ".join(test for test in (*tests, lower, upper) if test)


def _end(
    columns: list[str],
    types: list[str],
    values: Sequence[Any],
    *,
    equal: str,
    beyond: str,
) -> str | None:
    """Return the comparison with one end; None if it has no limit.

    After MINVALUE or MAXVALUE in one column the next ones do not count: `(1, MINVALUE)` begins with
    all rows of 1, and `(1, MAXVALUE)` after them.
    """
    left: list[str] = []
    right: list[str] = []
    sign = equal
    for column, kind, value in zip(columns, types, values, strict=True):
        fields = list(value.column_ref.fields)
        word = fields[0].string.sval if len(fields) == 1 else ""
        if word in _ENDS:
            if word == "maxvalue":
                sign = beyond
            break
        left.append(column)
        right.append(f"CAST(({text_of(value)}) AS {kind})")
    if not left:
        first = sign == beyond  # MAXVALUE
        return "false" if first == (equal == ">=") else None
    return f"ROW({', '.join(left)}) OPERATOR(pg_catalog.{sign}) ROW({', '.join(right)})"


def bound_of(command: Any) -> tuple[list[str], Any]:
    """Return the partition that an action attaches, and its bounds."""
    partition = definition_of(command).partition_cmd
    return parts_of(partition.name), partition.bound
