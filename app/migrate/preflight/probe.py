"""A probe: a question to the rows of a table, as SQL."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.migrate.preflight.expressions import (
    Names,
    columns_in,
    elements,
    mentions,
    reads_whole_rows,
    text_of,
)
from app.migrate.preflight.findings import EXAMPLES, Kind
from app.migrate.preflight.rows import KEY, Rows, tuple_sql
from app.recovery.core.names import quote

# PostgreSQL reports NaN for an integer as a feature that is not supported.
_FAILURES = (
    "data_exception OR integrity_constraint_violation OR raise_exception OR feature_not_supported"
)


@dataclass(frozen=True)
class Attempt:
    """Something that PostgreSQL evaluates for each row, and that may fail: a cast, a condition."""

    rows: Rows
    sql: str
    uses: frozenset[str]
    """The columns that it reads: the others are not evaluated."""
    only: bool = False
    condition: bool = False
    """Whether it is a condition, which is broken where it is false, too."""

    @property
    def query(self) -> str:
        """The query that evaluates it for all rows."""
        source = self.rows.source(only=self.only)
        inner = f"SELECT {self.sql} AS v FROM {source} OFFSET 0"
        # count(q.v) needs each value
        return f"SELECT CAST(pg_catalog.count(q.v) AS pg_catalog.text), NULL FROM ({inner}) AS q"

    @property
    def body(self) -> str:
        """The body of a function that counts the rows for which it fails."""
        alias = quote([self.rows.name])
        used = [quote([name]) for name in self.rows.columns if name in self.uses]
        read = ", ".join(f"{alias}.{name}" for name in (*used, quote([KEY])))
        taken = ", ".join(f"zanith_row.{name} AS {name}" for name in used) or "NULL"
        keys = f"zanith_keys OPERATOR(pg_catalog.||) pg_catalog.to_jsonb(zanith_row.{quote([KEY])})"
        attempt = f"PERFORM {self.sql} FROM (SELECT {taken}) AS {alias};"
        if self.condition:
            attempt = (
                f"IF NOT (SELECT {self.sql} FROM (SELECT {taken}) AS {alias})"
                " THEN RAISE EXCEPTION USING ERRCODE = 'check_violation'; END IF;"
            )
        return f"""#variable_conflict use_column
DECLARE zanith_row record; zanith_found bigint := 0; zanith_keys jsonb := '[]'; BEGIN
FOR zanith_row IN SELECT {read} FROM {self.rows.source(only=self.only)} LOOP
BEGIN {attempt}
EXCEPTION WHEN {_FAILURES} THEN
zanith_found := zanith_found OPERATOR(pg_catalog.+) 1;
IF zanith_found OPERATOR(pg_catalog.<=) {EXAMPLES} THEN zanith_keys := {keys}; END IF;
END; END LOOP;
RETURN pg_catalog.jsonb_build_object('count', zanith_found, 'examples', zanith_keys); END"""


@dataclass(frozen=True)
class Probe:
    """A question about rows. `sql` returns one text for each row, or key, that breaks the rule.

    `message` has a place for the count, as those of a plan's checks. `attempt` is evaluated where
    there is no `sql`, and where that meets a value that PostgreSQL cannot evaluate. `tables` are
    all that it reads: the first decides as whom. `unknown` says why it cannot be asked.
    """

    kind: Kind
    object: str
    message: str
    tables: tuple[int, ...] = ()
    names: Names = field(default_factory=Names)
    sql: str | None = None
    attempt: Attempt | None = None
    cast: tuple[str, str] | None = None
    """Two types: PostgreSQL refuses the statement if it has no cast of one to the other."""
    unknown: str | None = None

    @property
    def counting(self) -> str:
        """The query of the number of rows, and of the first of them."""
        few = f"FILTER (WHERE q.n OPERATOR(pg_catalog.<=) {EXAMPLES})"
        return (
            "SELECT CAST(pg_catalog.count(*) AS pg_catalog.text), CAST(pg_catalog.to_json("
            f"pg_catalog.array_agg(q.k) {few}) AS pg_catalog.text)"
            " FROM (SELECT p.k, pg_catalog.row_number() OVER () AS n"
            f" FROM ({self.sql}) AS p(k)) AS q"
        )


def not_checked(kind: Kind, shown: str, why: str) -> Probe:
    """Return a probe that nobody can ask."""
    return Probe(kind, shown, _SUBJECTS[kind].format(shown), unknown=why)


_SUBJECTS = {
    Kind.DUPLICATES: "whether rows have the same key in {}",
    Kind.OVERLAPS: "whether rows exclude each other in {}",
    Kind.ORPHANS: "whether rows reference rows that do not exist in {}",
    Kind.NULLS: "whether rows have NULL in {}",
    Kind.WITHOUT_VALUE: "whether {} has rows",
    Kind.CHECK: "whether rows break {}",
    Kind.DOES_NOT_FIT: "whether all values fit into {}",
    Kind.OUTSIDE: "whether rows are outside of the bounds of {}",
    Kind.DEFAULT_PARTITION: "whether the default partition has rows for {}",
    Kind.OTHER: "whether rows stop {}",
}


def names_of(rows: Rows, nodes: Iterable[Any]) -> Names:
    """Return the names in expressions, besides those that the rows themselves take."""
    names = rows.names.also(Names())
    for node in nodes:
        names.add(node)
    # the names of columns are functions only where no column has the name
    names.routines -= set(rows.columns) | {rows.name}
    return names


def unreadable(rows: Rows, nodes: Iterable[Any]) -> str | None:
    """Return why expressions cannot be asked of these rows; None if they can."""
    if rows.unknown:
        return rows.unknown
    for node in nodes:
        if reads_whole_rows(node, rows.name, rows.columns):
            return "it reads whole rows"
        for column, why in rows.vague.items():
            if mentions(node, {column}):
                return why
    return None


def _unknown(rows: Rows) -> str | None:
    return "the table is not known" if rows.live is None else None


# ------------------------------------------------------------------------------------------- rows


def find_nulls(rows: Rows, column: str, *, only: bool = False) -> Probe:
    """Rows that have NULL where the statement wants a value."""
    shown = quote([rows.name, column])
    if rows.unknown or rows.live is None:
        return not_checked(Kind.NULLS, shown, rows.unknown or "its rows are not known")
    if column not in rows.columns:
        return not_checked(Kind.NULLS, shown, "the column does not exist")
    if column in rows.vague:
        return not_checked(Kind.NULLS, shown, rows.vague[column])
    alias = quote([rows.name])
    return Probe(
        Kind.NULLS,
        shown,
        f"{{count}} {{row has|rows have}} NULL in {shown}",
        (rows.live.oid,),
        names_of(rows, ()),
        f"SELECT {alias}.{quote([KEY])} FROM {rows.source(only=only)}"
        f" WHERE pg_catalog.num_nulls({alias}.{quote([column])}) OPERATOR(pg_catalog.=) 1",
    )


def find_any(rows: Rows, shown: str) -> Probe:
    """All rows: each would have no value in a column that is required."""
    if rows.unknown or rows.live is None:
        return not_checked(Kind.WITHOUT_VALUE, rows.name, rows.unknown or "it is not known")
    return Probe(
        Kind.WITHOUT_VALUE,
        shown,
        f"{{count}} {{row has|rows have}} no value for {shown}, which is required",
        (rows.live.oid,),
        names_of(rows, ()),
        f"SELECT {quote([rows.name])}.{quote([KEY])} FROM {rows.source()}",
    )


def find_broken(
    rows: Rows, condition: Any, text: str, shown: str, *, only: bool = False, message: str = ""
) -> Probe:
    """Rows that break a condition. One that is NULL for a row is not broken."""
    why = unreadable(rows, (condition,)) or _unknown(rows)
    if why or rows.live is None:
        return not_checked(Kind.CHECK, shown, why or "")
    return Probe(
        Kind.CHECK,
        shown,
        message or f"{{count}} {{row breaks|rows break}} {shown}",
        (rows.live.oid,),
        names_of(rows, (condition,)),
        f"SELECT {quote([rows.name])}.{quote([KEY])} FROM {rows.source(only=only)}"
        f" WHERE NOT ({text})",
        Attempt(rows, f"({text})", columns_in((condition,)), only, condition=True),
    )


# ------------------------------------------------------------------------------------------- keys


def find_duplicates(
    rows: Rows,
    items: Sequence[Any],
    shown: str,
    *,
    predicate: Any = None,
    nulls_distinct: bool = True,
) -> Probe:
    """Keys that more than one row has. `items` are elements of an index, `predicate` its WHERE."""
    parts = elements(items)
    nodes = [node for _, some in parts for node in some]
    if predicate is not None:
        nodes.append(predicate)
    why = unreadable(rows, [*nodes, *items]) or _unknown(rows)
    classes = {item.index_elem.opclass[-1].string.sval for item in items if item.index_elem.opclass}
    if not why and classes - _SAME_EQUALITY:
        why = f"it uses the operator class {min(classes)}"
    if why or rows.live is None:
        return not_checked(Kind.DUPLICATES, shown, why or "")
    text = ", ".join(text for text, _ in parts)
    where = _conditions(text, predicate, nulls_distinct=nulls_distinct)
    numbered = [f"k{n}" for n in range(1, len(parts) + 1)]
    columns = ", ".join(f"{sql} AS {name}" for (sql, _), name in zip(parts, numbered, strict=True))
    names = tuple(item.index_elem.name or sql for item, (sql, _) in zip(items, parts, strict=True))
    key = tuple_sql(names, [f"g.{name}" for name in numbered])
    # one plan for rows whose expressions are evaluated once
    return Probe(
        Kind.DUPLICATES,
        shown,
        f"{{count}} {{key has|keys have}} more than one row in {shown}",
        (rows.live.oid,),
        names_of(rows, nodes),
        f"SELECT {key} FROM (SELECT {columns} FROM {rows.source(only=True)}{where}) AS g"
        f" GROUP BY {', '.join(f'g.{name}' for name in numbered)}"
        " HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 1",
        Attempt(rows, f"ROW({text})", columns_in([*nodes, *items]), only=True),
    )


# Operator classes whose equality is that of the type.
_SAME_EQUALITY = frozenset(
    {"text_pattern_ops", "varchar_pattern_ops", "bpchar_pattern_ops", "text_ops", "varchar_ops",
     "int4_ops", "int8_ops", "int2_ops", "uuid_ops", "date_ops", "timestamptz_ops",
     "timestamp_ops", "numeric_ops", "bpchar_ops"}
)  # fmt: skip


def _conditions(text: str, predicate: Any, *, nulls_distinct: bool) -> str:
    found = []
    if predicate is not None:
        found.append(f"({text_of(predicate)})")
    if nulls_distinct:
        found.append(f"pg_catalog.num_nulls({text}) OPERATOR(pg_catalog.=) 0")
    return f" WHERE {' AND '.join(found)}" if found else ""
