"""Statements that read or change rows: the tables that they name, and functions that they call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.review.columns import STEADY
from app.migrate.review.facts import Fact
from app.migrate.review.operations import Context, More, build
from app.migrate.review.other_facts import CAPTURE
from app.migrate.review.world import key, messages_in, parts_of, relations_in, words
from app.migrate.risk import Level, Lock, Mode, Operation, Reason
from app.recovery.core.names import parse_name, quote

# Functions that a SELECT may call without being more than a query, besides those of defaults.
_HARMLESS_TEXT = """
    setval nextval currval lastval set_config pg_advisory_lock pg_advisory_xact_lock
    pg_advisory_unlock pg_try_advisory_lock version count sum max min avg to_regclass
    pg_get_serial_sequence pg_notify pg_sleep gen_random_uuid random clock_timestamp exists json_agg
    jsonb_agg string_agg array_agg row_number unnest generate_series
"""
_HARMLESS = STEADY | frozenset(_HARMLESS_TEXT.split())
_CAPTURES = {
    "archive_table": "capture_table",
    "soft_drop_table": "capture_table",
    "archive_column": "capture_column",
    "soft_drop_column": "capture_column",
    "archive_values": "keep_values",
    "archive_rows": "keep_rows",
}


def reading(
    context: Context, fact: Fact, query: Any, shown: str, *, scans: bool = True
) -> Operation:
    """Return the operation of a query: a short lock on each table that it reads."""
    more = table_locks(context, query)
    fact = replace(fact, mode=None, scans=fact.scans and scans and bool(more.locks))
    return build(context, fact, None, shown, more)


_WRITING = (pg.InsertStmt, pg.UpdateStmt, pg.DeleteStmt, pg.MergeStmt)


def table_locks(
    context: Context, node: Any, skip: str = "", mode: Mode = Mode.ACCESS_SHARE
) -> More:
    """Return the locks on the tables in a query: stronger where a part of it writes."""
    written = {
        key(parts_of(part.relation)) for kind in _WRITING for part in messages_in(node, kind)
    }
    more = More()
    for parts in relations_in(node):
        if key(parts) != skip and not context.world.is_new(parts):
            needed = Mode.ROW_EXCLUSIVE if key(parts) in written else mode
            more.locks.append(Lock(needed, quote(parts), "or more, and its partitions"))
    return more


def judge_query(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    """Yield the operation of INSERT, UPDATE, MERGE or COPY."""
    table = parts_of(node.relation)
    if not table:  # COPY of a query
        yield reading(context, replace(fact, scans=True), node, "")
        return
    # a foreign key may reference a table that the statement reads
    more = table_locks(context, node, skip=key(table), mode=Mode.ROW_SHARE)
    more.scans = bool(more.locks)
    # foreign keys of the rows, both ways, and triggers
    more.locks.append(Lock(Mode.ROW_EXCLUSIVE, None, "tables of its foreign keys and triggers"))
    if isinstance(node, pg.CopyStmt) and not node.is_from:
        fact = replace(fact, mode=Mode.ACCESS_SHARE, scans=True)
    if any(_has_writes(node, kind) for kind in (pg.UpdateStmt, pg.DeleteStmt)):
        more.reasons.add(Reason.BACKFILL)
    yield build(context, replace(fact, children=True), table, None, more)


def _has_writes(node: Any, kind: type) -> bool:
    """Whether a statement has another that writes, in its WITH."""
    return any(True for _ in messages_in(node, kind))


def judge_delete(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    """Yield the operation of DELETE; without a condition it deletes all rows."""
    if not node.HasField("where_clause"):
        fact = replace(fact, kind="delete_all", reasons=fact.reasons | {Reason.TRUNCATES})
    yield from judge_query(context, fact, node)


def judge_select(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    """Yield the operation of SELECT: a capture, a query, or a call that only PostgreSQL knows."""
    calls = list(messages_in(node, pg.FuncCall))
    captures = [call for call in calls if _is_capture(call)]
    if captures:
        yield from (_capture(context, call) for call in captures)
        return
    unknown = {
        name[-1]
        for name in (words(call.funcname) for call in calls)
        if name[0] != "pg_catalog" and name[-1] not in _HARMLESS
    }
    if unknown:
        fact = replace(fact, reasons=fact.reasons | {Reason.OPAQUE})
    found = reading(context, replace(fact, scans=True), node, "")
    if any(_has_writes(node, kind) for kind in (pg.UpdateStmt, pg.DeleteStmt, pg.InsertStmt)):
        found = replace(found, reasons=found.reasons | {Reason.BACKFILL})
    if unknown:
        any_table = Lock(Mode.ACCESS_EXCLUSIVE, None, "any table")
        notes = (f"calls {', '.join(sorted(unknown))}",)
        found = replace(found, locks=(*found.locks, any_table), notes=notes)
    if node.HasField("into_clause"):
        found = replace(found, kind="create_table_as", object=quote(parts_of(node.into_clause.rel)))
    yield found


def _is_capture(call: Any) -> bool:
    name = words(call.funcname)
    return len(name) == 2 and name[0] == "zanith" and name[1] in _CAPTURES


def _capture(context: Context, call: Any) -> Operation:
    function = words(call.funcname)[-1]
    texts = [argument.a_const.sval.sval for argument in call.args]
    table = parse_name(texts[0]) if texts and texts[0] else None
    fact = replace(CAPTURE, kind=_CAPTURES[function])
    if function.startswith("soft_drop") and fact.recovery is not None:
        fact = replace(fact, recovery=replace(fact.recovery, strategy="soft"))
    if not fact.kind.startswith("capture"):
        fact = replace(fact, lowest=Level.LOW, mode=Mode.SHARE)
    copies = function not in {"soft_drop_table", "soft_drop_column", "archive_table"}
    names = [*table, *(text for text in texts[1:2] if text)] if table else []
    shown = quote(names) if names and fact.kind.endswith(("column", "values")) else None
    more = More(scans=copies, notes=["Zanith can restore it: zanith recover restore"])
    return build(context, fact, table, shown, more)
