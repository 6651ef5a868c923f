"""Statements other than ALTER TABLE as operations, refined by what their text says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.read.statements import read_tokens
from app.migrate.review.drops import judge_drop, on_index
from app.migrate.review.facts import CHILDREN, JOINED, Fact
from app.migrate.review.operations import Context, More, build
from app.migrate.review.other_facts import FULL, GENTLE, RENAME, RENAME_COLUMN, RENAMES, SET_SCHEMA
from app.migrate.review.queries import judge_delete, judge_query, judge_select, reading, table_locks
from app.migrate.review.world import key, messages_in, parts_of, words
from app.migrate.rewriting.rewrite import DROPS_INSIDE, bodies
from app.migrate.risk import Level, Lock, Mode, Operation, Reason
from app.recovery.core.names import quote

Judge = Callable[[Context, Fact, Any], Iterator[Operation]]

# ------------------------------------------------------------------------------------ new relations


def _create_table(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    more = More()
    for constraint in messages_in(node, pg.Constraint):
        if constraint.contype == pg.CONSTR_FOREIGN:
            _lock(context, more, constraint.pktable, Mode.SHARE_ROW_EXCLUSIVE)
    for like in messages_in(node, pg.TableLikeClause):
        _lock(context, more, like.relation, Mode.ACCESS_SHARE)
    partition = node.HasField("partbound")
    for parent in node.inh_relations:
        _lock(context, more, parent.range_var, FULL if partition else GENTLE)
    lowest = Level.LOW if more.locks else fact.lowest
    fact = replace(fact, lowest=lowest)
    if partition:
        parent = parts_of(node.inh_relations[0].range_var)
        known = context.world.find(parent)
        more.locks.append(Lock(FULL, None, f"the default partition, {JOINED}"))
        if known is None or known.default_partition:
            more.notes.append("PostgreSQL scans the default partition, if there is one")
            more.reasons.add(Reason.CHECK)
            more.hint = (
                "create the table without PARTITION OF, and attach it; keep the default partition"
                " empty"
            )
            more.locks = [lock for lock in more.locks if lock.table != quote(parent)]
            fact = replace(fact, mode=FULL, scans=True, kind="create_partition")
            yield build(context, fact, parent, quote(parts_of(node.relation)), more)
            return
        fact = replace(fact, kind="create_partition")
    yield build(context, fact, None, quote(parts_of(node.relation)), more)


def _lock(context: Context, more: More, relation: Any, mode: Mode) -> None:
    parts = parts_of(relation)
    if not context.world.is_new(parts):
        more.locks.append(Lock(mode, quote(parts), "and its partitions"))


def _create_as(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    if node.objtype == pg.OBJECT_MATVIEW:
        fact = replace(fact, kind="create_materialized_view")
    query = replace(fact, scans=not node.into.skip_data)
    yield reading(context, query, node.query, quote(parts_of(node.into.rel)))


def _view(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    view = parts_of(node.view)
    if not node.replace:
        yield reading(context, fact, node.query, quote(view), scans=False)
        return
    fact = replace(fact, kind="replace_view", lowest=Level.LOW, mode=FULL)
    operation = build(context, fact, view)
    found = reading(context, fact, node.query, quote(view), scans=False)
    yield replace(operation, locks=(*operation.locks, *found.locks))


def _index(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    table = parts_of(node.relation)
    more = More()
    if node.unique:
        more.reasons.add(Reason.UNIQUE)
    if node.concurrent:
        fact = replace(fact, kind="create_index_concurrently", mode=GENTLE, hint=None)
    shown = quote([*table[:-1], node.idxname]) if node.idxname else None
    yield build(context, fact, table, shown, more)


def _sequence(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    more = More()
    for option in node.options:
        items = words(option.def_elem.arg.list.items)
        if option.def_elem.defname == "owned_by" and len(items) > 1:
            more.locks.append(Lock(Mode.ACCESS_SHARE, quote(items[:-1])))
    yield build(context, fact, None, quote(parts_of(node.sequence)), more)


# -------------------------------------------------------------------------- what belongs to a table


def _trigger(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    table = parts_of(node.relation)
    more = More()
    if node.HasField("constrrel"):
        more.locks.append(Lock(Mode.ACCESS_SHARE, quote(parts_of(node.constrrel))))
    yield build(context, fact, table, quote([*table, node.trigname]), more)


def _named(field: str) -> Judge:
    """Return a judge of a statement whose table and object have these fields."""

    def judge(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
        relation = node.relation if hasattr(node, "relation") else node.table
        table = parts_of(relation)
        more = More()
        for lock in table_locks(context, node, skip=key(table)).locks:
            if lock.table not in {"old", "new"}:
                more.locks.append(lock)
        yield build(context, fact, table, quote([*table, getattr(node, field)]), more)

    return judge


def _statistics(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    for item in node.relations:
        yield build(context, fact, parts_of(item.range_var), quote(words(node.defnames)))


def _comment(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    names = words(node.object.list.items) or [node.object.string.sval]
    inside = {pg.OBJECT_COLUMN, pg.OBJECT_TABCONSTRAINT, pg.OBJECT_TRIGGER, pg.OBJECT_POLICY}
    if node.objtype in inside | {pg.OBJECT_RULE}:
        yield build(context, fact, names[:-1], quote(names))
    elif node.objtype in {pg.OBJECT_TABLE, pg.OBJECT_VIEW, pg.OBJECT_MATVIEW}:
        yield build(context, fact, names)
    else:
        yield build(context, replace(fact, mode=None), None, quote([n for n in names if n]))


def _grant(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    if not node.is_grant:
        fact = replace(fact, kind="revoke")
    relations = [item.range_var for item in node.objects if item.WhichOneof("node") == "range_var"]
    for relation in relations:
        yield build(context, fact, parts_of(relation))
    if not relations:
        locks = [Lock(Mode.ACCESS_SHARE, None, "the tables of the schema")]
        yield build(context, replace(fact, mode=None), None, "", More(locks=locks))


# ------------------------------------------------------------------------------------------- upkeep


def _relations(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    """Yield one operation for each table of a list."""
    more = [Lock(FULL, None, f"{JOINED}, with CASCADE")]
    cascade = getattr(node, "behavior", pg.DROP_RESTRICT) == pg.DROP_CASCADE
    for item in node.relations:
        locks = more if cascade else []
        yield build(context, fact, parts_of(item.range_var), None, More(locks=list(locks)))


def _lock_table(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    for operation in _relations(context, replace(fact, mode=Mode(node.mode)), node):
        of_view = Lock(Mode(node.mode), None, "the tables of a view")
        yield replace(operation, locks=(*operation.locks, of_view))


def _vacuum(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    options = {option.def_elem.defname for option in node.options}
    if not node.is_vacuumcmd:
        fact = replace(fact, kind="analyze")
    elif "full" in options:
        fact = replace(fact, kind="vacuum_full", mode=FULL, rewrites=True)
    rels = [item.vacuum_relation.relation for item in node.rels]
    for relation in rels:
        yield build(context, fact, parts_of(relation))
    if not rels:
        yield _of_all(context, fact, "all tables of the database")


def _of_all(context: Context, fact: Fact, which: str) -> Operation:
    locks = [Lock(fact.mode, None, which)] if fact.mode else []
    return build(context, fact, None, "", More(locks=locks))


def _cluster(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    if node.HasField("relation"):
        yield build(context, fact, parts_of(node.relation))
    else:
        yield _of_all(context, fact, "all tables that have a cluster index")


def _reindex(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    if any(option.def_elem.defname == "concurrently" for option in node.params):
        fact = replace(fact, mode=GENTLE, reasons=frozenset(), hint=None)
    if not node.HasField("relation"):
        yield _of_all(context, fact, "all tables of the database or schema")
        return
    parts = parts_of(node.relation)
    if node.kind == pg.REINDEX_OBJECT_TABLE:
        yield build(context, fact, parts)
        return
    yield on_index(context, fact, parts)


def _refresh(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    if node.concurrent:
        fact = replace(fact, mode=Mode.EXCLUSIVE, rewrites=False, hint=None)
    locks = [Lock(Mode.ACCESS_SHARE, None, "the tables that it reads")]
    yield build(context, fact, parts_of(node.relation), None, More(locks=locks))


def _move_all(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    yield _of_all(context, fact, f"all objects of the tablespace {node.orig_tablespacename}")


# ------------------------------------------------------------------------------- names and types


def _rename(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    kind = node.rename_type
    table = parts_of(node.relation) if node.HasField("relation") else None
    fact = RENAMES.get(kind, RENAME)
    more = More()
    if kind == pg.OBJECT_COLUMN:
        fact = RENAME_COLUMN
    if kind == pg.OBJECT_INDEX and table:
        index = quote(table)
        more.notes.append("under another name than an index, the lock is ACCESS EXCLUSIVE")
        more.locks.append(Lock(FULL, index, "if it is a table"))
        yield build(context, replace(fact, mode=None), None, index, more)
        return
    if table and kind == pg.OBJECT_TABCONSTRAINT:
        more.locks.append(Lock(FULL, None, JOINED))
    if table:
        shown = quote([*table, node.subname]) if node.subname else None
        if kind == pg.OBJECT_ATTRIBUTE:
            more.locks.append(Lock(FULL, None, "the typed tables of the type, with CASCADE"))
        yield build(context, fact, table, shown, more)
        return
    names = words(node.object.list.items) or [node.subname or node.object.string.sval]
    yield build(context, replace(fact, mode=None), None, quote([n for n in names if n]))


def _set_schema(context: Context, _: Fact, node: Any) -> Iterator[Operation]:
    if node.HasField("relation"):
        yield build(context, SET_SCHEMA, parts_of(node.relation))
        return
    names = words(node.object.list.items) or [node.object.string.sval]
    yield build(context, replace(SET_SCHEMA, mode=None), None, quote([n for n in names if n]))


def _enum(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    name = quote(words(node.type_name))
    if node.old_val:
        renamed = replace(RENAME, kind="rename_enum_value", mode=None, hint=None)
        yield build(context, renamed, None, name)
        return
    notes = ["the new value cannot be used in the same transaction"]
    yield build(context, fact, None, name, More(notes=notes))


_DOMAIN = {
    "O": ("set_not_null_of_domain", Reason.NOT_NULL),
    "C": ("add_check_of_domain", Reason.CHECK),
    "V": ("validate_constraint_of_domain", Reason.CHECK),
}


def _domain(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    name = quote(words(node.type_name))
    more = More()
    constraint = getattr(node, "def").constraint
    checked = node.subtype in _DOMAIN and not constraint.skip_validation
    if checked:
        kind, reason = _DOMAIN[node.subtype]
        fact = replace(fact, kind=kind, scans=True)
        more.reasons |= {reason, Reason.BLOCKS_WRITES}
        more.locks.append(Lock(Mode.SHARE, None, "the tables with columns of the domain"))
        more.hint = None if node.subtype == "V" else "add a CHECK as NOT VALID, then validate it"
    elif node.subtype == "X":
        more.reasons.add(Reason.DROPS_DEFINITION)
    yield build(context, fact, None, name, more)


# ----------------------------------------------------------------------------- replication and code


def _function(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    """A body in SQL's own form names tables; one in a string does not."""
    yield reading(context, fact, node, quote(words(node.funcname)), scans=False)


def _publication(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    more = More(locks=[Lock(GENTLE, None, "the tables of its schemas")])
    for item in node.pubobjects:
        relation = item.publication_obj_spec.pubtable.relation
        if relation.relname:
            more.locks.append(Lock(GENTLE, quote(parts_of(relation)), CHILDREN))
    yield build(context, fact, None, quote([node.pubname]), more)


def _do(context: Context, fact: Fact, node: Any) -> Iterator[Operation]:
    more = More(locks=[Lock(FULL, None, "any table")], scans=False)
    for body in bodies(node.args):
        if any(DROPS_INSIDE.match(token.kind) for token in read_tokens(body)):
            more.notes.append("its text has DROP or TRUNCATE")
            fact = replace(fact, lowest=Level.HIGH)
    yield build(context, fact, None, "", more)


def _opaque(context: Context, fact: Fact, _: Any) -> Iterator[Operation]:
    yield build(context, fact, None, "", More(locks=[Lock(FULL, None, "any table")]))


JUDGES: dict[str, Judge] = {
    "create_stmt": _create_table,
    "create_table_as_stmt": _create_as,
    "view_stmt": _view,
    "index_stmt": _index,
    "create_seq_stmt": _sequence,
    "alter_seq_stmt": _sequence,
    "create_trig_stmt": _trigger,
    "rule_stmt": _named("rulename"),
    "create_policy_stmt": _named("policy_name"),
    "alter_policy_stmt": _named("policy_name"),
    "create_stats_stmt": _statistics,
    "comment_stmt": _comment,
    "grant_stmt": _grant,
    "truncate_stmt": _relations,
    "lock_stmt": _lock_table,
    "vacuum_stmt": _vacuum,
    "cluster_stmt": _cluster,
    "reindex_stmt": _reindex,
    "refresh_mat_view_stmt": _refresh,
    "alter_table_move_all_stmt": _move_all,
    "rename_stmt": _rename,
    "alter_object_schema_stmt": _set_schema,
    "alter_enum_stmt": _enum,
    "alter_domain_stmt": _domain,
    "create_publication_stmt": _publication,
    "alter_publication_stmt": _publication,
    "create_function_stmt": _function,
    "do_stmt": _do,
    "call_stmt": _opaque,
    "execute_stmt": _opaque,
    "alter_extension_stmt": _opaque,
    "insert_stmt": judge_query,
    "update_stmt": judge_query,
    "delete_stmt": judge_delete,
    "merge_stmt": judge_query,
    "copy_stmt": judge_query,
    "select_stmt": judge_select,
    "drop_stmt": judge_drop,
}
"""By the name of the statement in the parse tree; the others are their fact alone."""
