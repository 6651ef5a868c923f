"""Domains: the values of their columns that a new constraint does not allow."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.preflight.expressions import Names, text_of
from app.migrate.preflight.facts import Column
from app.migrate.preflight.findings import Kind
from app.migrate.preflight.probe import Probe, find_broken, find_nulls, not_checked
from app.migrate.preflight.rows import Rows
from app.migrate.preflight.state import State
from app.migrate.review.constraints import is_checked
from app.migrate.review.world import definition_of, key, words
from app.recovery.core.names import quote

_VALUE = "value"
# the letters of AlterDomainStmt: SET NOT NULL, ADD CONSTRAINT, VALIDATE CONSTRAINT
_NOT_NULL, _ADD, _VALIDATE = "O", "C", "V"


def probes_of_domain(state: State, node: Any) -> Iterator[Probe]:
    """Yield what asks whether the values of a domain satisfy what ALTER DOMAIN wants."""
    if node.subtype not in {_NOT_NULL, _ADD, _VALIDATE}:
        return
    parts = words(node.type_name)
    shown = quote(parts)
    domain = state.domains.get(key(parts))
    constraint = None
    if node.subtype == _ADD:
        constraint = definition_of(node).constraint
        if constraint.contype != pg.CONSTR_NOTNULL and not is_checked(constraint):
            return
    if domain is not None and node.subtype == _VALIDATE:
        constraint = domain.constraints.get(node.name)
    if domain is None or (constraint is None and node.subtype != _NOT_NULL):
        yield not_checked(Kind.CHECK, shown, "the domain, or its constraint, is not known")
        return
    if domain.inside:
        yield not_checked(Kind.CHECK, shown, "another type has the domain inside")
    for oid, column in domain.columns:
        rows = state.of(oid)
        if rows is None:
            continue
        if constraint is None or constraint.contype == pg.CONSTR_NOTNULL:
            yield find_nulls(rows, column, only=True)
        else:
            yield _broken(rows, column, constraint, shown)


def _broken(rows: Rows, column: str, constraint: Any, shown: str) -> Probe:
    of = quote([rows.name, column])
    subject = f"the check of {shown} in {of}"
    if rows.unknown or column not in rows.columns:
        return not_checked(Kind.CHECK, subject, rows.unknown or "the column does not exist")
    value = {_VALUE: Column(rows.columns[column].type, rows.columns[column].facts)}
    layered = rows.over(value, {_VALUE: of}, Names())
    found = find_broken(layered, constraint.raw_expr, text_of(constraint.raw_expr), subject,
                        only=True)  # fmt: skip
    return replace(found, object=of)
