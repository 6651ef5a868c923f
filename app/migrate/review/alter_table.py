"""ALTER TABLE: each action as an operation, refined by what its definition says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.review.alter_table_facts import ALTER_TABLE, DROP_ATTRIBUTE, FULL, GENTLE
from app.migrate.review.columns import describe_new_column, describe_type_change
from app.migrate.review.constraints import CONSTRAINTS, describe_constraint
from app.migrate.review.facts import JOINED, Fact
from app.migrate.review.operations import Context, More, build
from app.migrate.review.world import definition_of, parts_of, type_text
from app.migrate.risk import By, Lock, Mode, Operation, Reason, Recovery
from app.recovery.core.names import quote

# Objects other than tables that the parser gives the same form.
OTHERS = {
    pg.OBJECT_INDEX: "index",
    pg.OBJECT_SEQUENCE: "sequence",
    pg.OBJECT_VIEW: "view",
    pg.OBJECT_TYPE: "type",
}
_STRONG_OPTIONS = frozenset({"user_catalog_table"})


@dataclass(frozen=True)
class _Action:
    """An action of a statement: the table, the command, and the definition in it."""

    context: Context
    table: Sequence[str]
    only: bool
    command: Any

    @property
    def shown(self) -> str:
        return quote([*self.table, self.command.name])


def judge_alter_table(context: Context, node: Any) -> Iterator[Operation]:
    """Yield one operation for each action."""
    table = parts_of(node.relation)
    for item in node.cmds:
        command = item.alter_table_cmd
        action = _Action(context, table, not node.relation.inh, command)
        if node.objtype in OTHERS:
            yield _judge_other(action, OTHERS[node.objtype])
            continue
        fact = ALTER_TABLE.get(command.subtype)
        if fact is None:
            fact = Fact("alter_table", FULL, reasons=frozenset({Reason.OPAQUE}))
        refine = _REFINE.get(command.subtype, _plain)
        yield refine(action, fact)


def _plain(action: _Action, fact: Fact, more: More | None = None) -> Operation:
    if action.only and fact.children:
        fact = replace(fact, children=False)
    shown = action.shown if action.command.name else None
    return build(action.context, fact, action.table, shown, more)


def _judge_other(action: _Action, kind: str) -> Operation:
    command = action.command
    if kind == "type" and command.subtype == pg.AT_DropColumn:
        return build(action.context, DROP_ATTRIBUTE, None, action.shown, _typed())
    mode = FULL if kind == "view" else None
    more = More()
    if kind == "type":
        more = _typed()
    if kind == "index" and command.subtype == pg.AT_AttachPartition:
        more.locks.append(Lock(Mode.ACCESS_SHARE, None, "the tables of both indexes"))
    if command.subtype == pg.AT_SetTableSpace:
        more.locks.append(Lock(FULL, None, "queries that use the index wait"))
    return build(action.context, Fact(f"alter_{kind}", mode), action.table, None, more)


def _typed() -> More:
    return More(locks=[Lock(FULL, None, "the typed tables of the type, with CASCADE")])


# ----------------------------------------------------------------------------------------- columns


def _add_column(action: _Action, fact: Fact) -> Operation:
    column = definition_of(action.command).column_def
    more = describe_new_column(action.context.world, column)
    if any(lock.table is None for lock in more.locks):
        more.scans = True
    fact = replace(fact, children=not action.only)
    shown = quote([*action.table, column.colname])
    return build(action.context, fact, action.table, shown, more)


def _drop_column(action: _Action, fact: Fact) -> Operation:
    more = More(locks=[Lock(FULL, None, JOINED)])
    if action.command.behavior == pg.DROP_CASCADE:
        more.notes.append("CASCADE also drops what depends on the column, such as views")
        more.locks.append(Lock(FULL, None, "what CASCADE drops"))
    recovery = action.context.recovery_of(action.table, action.command.name, more)
    if action.only:
        recovery = Recovery(By.GUARD, action.context.strategy)
    return _plain(action, replace(fact, recovery=recovery), more)


def _alter_type(action: _Action, fact: Fact) -> Operation:
    column = definition_of(action.command).column_def
    world = action.context.world
    old = world.type_of(action.table, action.command.name)
    new = type_text(column.type_name)
    using = column.HasField("raw_default")
    rewrites, narrows = describe_type_change(old, new, using=using)
    if using and _casts_itself(column.raw_default, action.command.name, new):
        narrows = describe_type_change(old, new, using=False)[1]
    reasons = {Reason.CHANGES_TYPE, *({Reason.NARROWS_TYPE} if narrows else ())}
    known = world.find(action.table)
    # the statement checks the constraints of the column again, even without a rewrite
    scans = known is None or known.checks
    more = More(scans=scans and not rewrites)
    more.notes.append(f"from {old} to {new}" if old else f"to {new}; the old type is not known")
    more.locks.append(Lock(FULL, None, JOINED))
    if not rewrites:
        fact = replace(fact, recovery=None, hint=None)
    if not narrows:
        fact = replace(fact, recovery=None)
    return _plain(action, replace(fact, rewrites=rewrites, reasons=frozenset(reasons)), more)


def _casts_itself(expression: Any, column: str, new: str) -> bool:
    """Whether an expression is the column itself, cast to the new type: as ALTER casts without it.

    A cast to a type with a length is another one: it cuts values that are longer.
    """
    if expression.WhichOneof("node") != "type_cast":
        return False
    cast = expression.type_cast
    fields = [field.string.sval for field in cast.arg.column_ref.fields]
    return fields == [column] and type_text(cast.type_name) == new and "(" not in new


def _set_not_null(action: _Action, fact: Fact) -> Operation:
    known = action.context.world.find(action.table)
    if known is not None and action.command.name in known.not_null:
        reasons = fact.reasons - {Reason.NOT_NULL}
        fact = replace(fact, scans=False, reasons=reasons, hint=None)
        more = More(notes=["no scan: it is NOT NULL already, or a validated CHECK says so"])
        return _plain(action, fact, more)
    return _plain(action, fact)


# ------------------------------------------------------------------------------------- constraints


def _add_constraint(action: _Action, fact: Fact) -> Operation:
    constraint = definition_of(action.command).constraint
    fact, more = describe_constraint(action.context.world, constraint, fact)
    name = constraint.conname
    shown = quote([*action.table, name]) if name else None
    if action.only:
        fact = replace(fact, children=False)
    return build(action.context, fact, action.table, shown, more)


def _validate(action: _Action, fact: Fact) -> Operation:
    known = action.context.world.find(action.table)
    constraint = known.constraints.get(action.command.name) if known else None
    locks = [Lock(Mode.ROW_SHARE, None, JOINED)]
    if constraint is not None:
        reasons = CONSTRAINTS[constraint.contype].reasons
        return _plain(action, replace(fact, reasons=reasons), More(locks=locks))
    reasons = frozenset({Reason.CHECK, Reason.FOREIGN_KEY, Reason.NOT_NULL})
    more = More(locks=locks, notes=["the kind of the constraint is not known"])
    return _plain(action, replace(fact, reasons=reasons), more)


def _alter_constraint(action: _Action, fact: Fact) -> Operation:
    constraint = definition_of(action.command)
    more = More(locks=[Lock(FULL, None, JOINED)])
    enforced = "is_enforced: true" in str(constraint)
    if enforced and "alter_enforceability: true" in str(constraint):
        more.scans = True
        more.reasons.add(Reason.FOREIGN_KEY)
    return _plain(action, fact, more)


def _drop_constraint(action: _Action, fact: Fact) -> Operation:
    more = More(locks=[Lock(FULL, None, JOINED)])
    return _plain(action, fact, more)


# --------------------------------------------------------------------------- options and partitions


def _set_options(action: _Action, fact: Fact) -> Operation:
    items = definition_of(action.command).list.items
    if any(item.def_elem.defname in _STRONG_OPTIONS for item in items):
        fact = replace(fact, mode=FULL)
    return _plain(action, fact)


def _attach(action: _Action, fact: Fact) -> Operation:
    world = action.context.world
    partition = parts_of(definition_of(action.command).partition_cmd.name)
    parent = world.find(action.table)
    fresh = world.is_new(partition)
    more = More(
        locks=[
            Lock(GENTLE, quote(action.table)),
            Lock(FULL, None, "the default partition, which is scanned"),
            Lock(FULL, None, JOINED),
        ]
    )
    if not fresh or (parent is not None and not parent.default_partition):
        return build(action.context, fact, partition, quote(partition), more)
    # an empty partition is not scanned, and a default partition is
    more.locks.insert(0, Lock(GENTLE, quote(action.table)))
    fact = replace(fact, hint=None)
    return build(action.context, fact, action.table, quote(partition), more)


def _detach(action: _Action, fact: Fact) -> Operation:
    command = definition_of(action.command).partition_cmd
    partition = parts_of(command.name)
    parent = action.context.world.find(action.table)
    more = More(
        scans=parent is None or parent.referenced,
        locks=[
            Lock(FULL, quote(partition)),
            Lock(FULL, None, f"the default partition, {JOINED}"),
        ],
    )
    if more.scans:  # a row that another table references cannot leave
        more.reasons.add(Reason.FOREIGN_KEY)
    if command.concurrent:
        fact = replace(fact, mode=GENTLE, hint=None)
    return build(action.context, fact, action.table, quote(partition), more)


def _add_inherit(action: _Action, fact: Fact) -> Operation:
    parent = parts_of(definition_of(action.command).range_var)
    mode = GENTLE if action.command.subtype == pg.AT_AddInherit else Mode.ACCESS_SHARE
    more = More(locks=[Lock(mode, quote(parent))])
    return _plain(action, replace(fact, children=True), more)


_REFINE: dict[int, Callable[[_Action, Fact], Operation]] = {
    pg.AT_AddColumn: _add_column,
    pg.AT_DropColumn: _drop_column,
    pg.AT_AlterColumnType: _alter_type,
    pg.AT_SetNotNull: _set_not_null,
    pg.AT_AddConstraint: _add_constraint,
    pg.AT_ValidateConstraint: _validate,
    pg.AT_AlterConstraint: _alter_constraint,
    pg.AT_DropConstraint: _drop_constraint,
    pg.AT_SetRelOptions: _set_options,
    pg.AT_ResetRelOptions: _set_options,
    pg.AT_AttachPartition: _attach,
    pg.AT_DetachPartition: _detach,
    pg.AT_DetachPartitionFinalize: _detach,
    pg.AT_AddInherit: _add_inherit,
    pg.AT_DropInherit: _add_inherit,
}
