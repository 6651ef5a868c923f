"""Constraints that ALTER TABLE adds: the one table of what PostgreSQL does for each kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.review.alter_table_facts import FULL, TRIGGERS
from app.migrate.review.facts import Fact
from app.migrate.review.operations import More
from app.migrate.review.world import World, parts_of, words
from app.migrate.risk import Lock, Reason
from app.recovery.core.names import quote

_NOT_VALID = "add it as NOT VALID, then VALIDATE CONSTRAINT in another transaction"
_FROM_INDEX = (
    "create a unique index with CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … USING INDEX"
)

CONSTRAINTS: dict[int, Fact] = {
    pg.CONSTR_CHECK: Fact(
        "add_check", FULL, scans=True, reasons=frozenset({Reason.CHECK}), hint=_NOT_VALID
    ),
    pg.CONSTR_NOTNULL: Fact(
        "add_not_null", FULL, scans=True, reasons=frozenset({Reason.NOT_NULL}), hint=_NOT_VALID
    ),
    pg.CONSTR_FOREIGN: Fact(
        "add_foreign_key",
        TRIGGERS,
        scans=True,
        reasons=frozenset({Reason.FOREIGN_KEY}),
        hint=_NOT_VALID,
    ),
    pg.CONSTR_UNIQUE: Fact(
        "add_unique", FULL, scans=True, reasons=frozenset({Reason.UNIQUE}), hint=_FROM_INDEX
    ),
    pg.CONSTR_PRIMARY: Fact(
        "add_primary_key",
        FULL,
        scans=True,
        reasons=frozenset({Reason.UNIQUE, Reason.NOT_NULL}),
        hint=_FROM_INDEX,
    ),
    pg.CONSTR_EXCLUSION: Fact(
        "add_exclusion", FULL, scans=True, reasons=frozenset({Reason.UNIQUE})
    ),
}
"""By the kind of the constraint, for one that is checked at once."""


def describe_constraint(world: World, constraint: Any, general: Fact) -> tuple[Fact, More]:
    """Return the fact of a constraint that is added, and what its definition adds to it."""
    more = More()
    fact = replace(CONSTRAINTS.get(constraint.contype, general), children=general.children)
    if constraint.contype == pg.CONSTR_FOREIGN:
        referenced = parts_of(constraint.pktable)
        if not world.is_new(referenced):
            more.locks.append(Lock(TRIGGERS, quote(referenced), "and its partitions"))
    if not is_checked(constraint):
        unchecked = replace(fact, scans=False, reasons=frozenset(), hint=None)
        return replace(unchecked, kind=f"{fact.kind}_not_valid"), more
    if constraint.indexname:
        return _from_index(constraint, fact), more
    return fact, more


def _from_index(constraint: Any, fact: Fact) -> Fact:
    """USING INDEX: nothing is built, and a primary key still needs NOT NULL."""
    fact = replace(fact, kind=f"{fact.kind}_using_index", scans=False, hint=None)
    if constraint.contype != pg.CONSTR_PRIMARY:
        return replace(fact, reasons=frozenset())
    return replace(
        fact,
        scans=True,
        reasons=frozenset({Reason.NOT_NULL}),
        hint="make its columns NOT NULL first, with a validated CHECK: PostgreSQL does not scan"
        " then",
    )


def said_not_null(constraint: Any) -> set[str]:
    """Return the columns that a CHECK or NOT NULL constraint makes NOT NULL, if it is valid."""
    return columns_not_null(constraint) if is_checked(constraint) else set()


def is_checked(constraint: Any) -> bool:
    """Whether the rows that exist are checked: not for NOT VALID and NOT ENFORCED."""
    if constraint.skip_validation:
        return False
    return constraint.is_enforced or constraint.contype not in {pg.CONSTR_CHECK, pg.CONSTR_FOREIGN}


def columns_not_null(constraint: Any) -> set[str]:
    """Return the columns of `CHECK (column IS NOT NULL)`, also if it is one of several with AND."""
    if constraint is None:
        return set()
    if constraint.contype in {pg.CONSTR_NOTNULL, pg.CONSTR_PRIMARY}:
        return set(words(constraint.keys))
    return _tested(constraint.raw_expr) if constraint.contype == pg.CONSTR_CHECK else set()


def _tested(expression: Any) -> set[str]:
    kind = expression.WhichOneof("node")
    if kind == "bool_expr" and expression.bool_expr.boolop == pg.AND_EXPR:
        return set().union(*(_tested(one) for one in expression.bool_expr.args))
    if kind != "null_test" or expression.null_test.nulltesttype != pg.IS_NOT_NULL:
        return set()
    fields = expression.null_test.arg.column_ref.fields
    return {fields[0].string.sval} if len(fields) == 1 else set()
