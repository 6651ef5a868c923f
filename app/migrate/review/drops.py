"""DROP: one operation for each object, with what CASCADE may take."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.review.facts import CHILDREN, JOINED, LOST, Fact
from app.migrate.review.operations import Context, More, build
from app.migrate.review.other_facts import CASCADE_LOSES, DROP_OTHER, DROPS, FULL, GENTLE
from app.migrate.review.world import key, type_text, words
from app.migrate.rewriting.rewrite import CASCADING
from app.migrate.risk import By, Lock, Operation, Recovery
from app.recovery.core.names import parse_name, quote

_OF_TABLE = frozenset({pg.OBJECT_TRIGGER, pg.OBJECT_RULE, pg.OBJECT_POLICY})
# Objects that are relations themselves: the lock is on them.
_RELATIONS = frozenset(
    {pg.OBJECT_TABLE, pg.OBJECT_VIEW, pg.OBJECT_MATVIEW, pg.OBJECT_FOREIGN_TABLE}
)
# The guard captures what a cascade from these takes; from the others it refuses.
_GUARDED = frozenset(
    {
        pg.OBJECT_SCHEMA,
        pg.OBJECT_TYPE,
        pg.OBJECT_DOMAIN,
        pg.OBJECT_FUNCTION,
        pg.OBJECT_PROCEDURE,
        pg.OBJECT_ROUTINE,
        pg.OBJECT_AGGREGATE,
        pg.OBJECT_COLLATION,
        pg.OBJECT_CAST,
    }
)


def judge_drop(context: Context, _: Fact, node: Any) -> Iterator[Operation]:
    """Yield an operation for each object of a DROP."""
    fact = DROPS.get(node.remove_type) or _other(node.remove_type)
    cascade = node.behavior == pg.DROP_CASCADE
    for item in node.objects:
        parts = _name(item)
        if node.remove_type == pg.OBJECT_INDEX:
            yield _drop_index(context, fact, node, parts)
        elif node.remove_type in _OF_TABLE:
            yield build(context, fact, parts[:-1], quote(parts), _cascading(cascade))
        elif node.remove_type in _RELATIONS:
            yield _drop_relation(context, fact, node, parts)
        else:
            yield _drop_other(context, fact, node, parts)


def _other(kind: int) -> Fact:
    word = CASCADING.get(kind)
    return replace(DROP_OTHER, kind=f"drop_{word.replace(' ', '_')}") if word else DROP_OTHER


def _name(item: Any) -> list[str]:
    kind = item.WhichOneof("node")
    if kind == "list":
        found = [
            type_text(one.type_name) if one.WhichOneof("node") == "type_name" else one.string.sval
            for one in item.list.items
        ]
        return [part for part in found if part]
    if kind == "type_name":
        return words(item.type_name.names)
    if kind == "object_with_args":
        return words(item.object_with_args.objname)
    return [item.string.sval]


def _cascading(cascade: bool) -> More:
    if not cascade:
        return More()
    return More(
        locks=[Lock(FULL, None, "what CASCADE drops")],
        notes=["CASCADE also drops what depends on it"],
    )


def _drop_relation(context: Context, fact: Fact, node: Any, parts: Sequence[str]) -> Operation:
    more = _cascading(node.behavior == pg.DROP_CASCADE)
    if node.remove_type == pg.OBJECT_TABLE:
        which = f"its parent, {JOINED}"
        more.locks.append(Lock(FULL, None, which))
        fact = replace(fact, recovery=context.recovery_of(parts, None, more))
    return build(context, fact, parts, None, more)


def _drop_index(context: Context, fact: Fact, node: Any, parts: Sequence[str]) -> Operation:
    if node.concurrent:
        fact = replace(fact, kind="drop_index_concurrently", mode=GENTLE, hint=None)
    operation = on_index(context, fact, parts)
    if node.behavior == pg.DROP_CASCADE:
        more = _cascading(cascade=True)
        return replace(operation, locks=(*operation.locks, *more.locks), notes=tuple(more.notes))
    return operation


def on_index(context: Context, fact: Fact, parts: Sequence[str]) -> Operation:
    """Return the operation on an index: its locks are on the table, if that is known."""
    table = context.world.indexes.get(key(parts))
    if table is None:
        locks = [Lock(fact.mode, None, f"the table of the index, {CHILDREN}")] if fact.mode else []
        return build(context, fact, None, quote(parts), More(locks=locks))
    return build(context, fact, parse_name(table), quote(parts))


def _drop_other(context: Context, fact: Fact, node: Any, parts: Sequence[str]) -> Operation:
    kind = node.remove_type
    cascade = node.behavior == pg.DROP_CASCADE
    more = _cascading(cascade)
    if kind == pg.OBJECT_STATISTIC_EXT:
        more.locks.append(Lock(GENTLE, None, "the table of the statistics"))
    if kind == pg.OBJECT_PUBLICATION:
        more.locks.append(Lock(GENTLE, None, "the tables of the publication"))
    if cascade and (kind in CASCADING or kind == pg.OBJECT_SCHEMA):
        more.reasons |= CASCADE_LOSES
        recovery = Recovery(By.GUARD, "archive") if kind in _GUARDED else LOST
        more.hint = "drop or capture what depends on it by itself, and leave out CASCADE"
        fact = replace(fact, recovery=recovery)
    return build(context, fact, None, quote(parts), more)
