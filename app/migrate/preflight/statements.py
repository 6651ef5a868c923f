"""Each statement: its probes, and what it leaves for the statements after it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.preflight.alter import Numbered, probes_of_alter
from app.migrate.preflight.constraints import probes_of_index
from app.migrate.preflight.domains import probes_of_domain
from app.migrate.preflight.facts import Column
from app.migrate.preflight.findings import Kind
from app.migrate.preflight.partitions import probes_of_default
from app.migrate.preflight.probe import Probe, not_checked
from app.migrate.preflight.rows import Rows
from app.migrate.preflight.state import State
from app.migrate.read.statements import Statement
from app.migrate.review.world import messages_in, parts_of, words
from app.migrate.risk import Operation, Reason
from app.recovery.core.names import quote

MAY_FAIL = frozenset(
    {
        Reason.NARROWS_TYPE,
        Reason.REQUIRED_COLUMN,
        Reason.NOT_NULL,
        Reason.UNIQUE,
        Reason.FOREIGN_KEY,
        Reason.CHECK,
    }
)
"""Reasons of operations that fail because of rows."""


def probes_of(
    state: State, statement: Statement, operations: list[Operation], place: str
) -> list[Numbered]:
    """Return the probes of a statement, each with the number of its operation, and follow it."""
    node = statement.node
    if statement.kind == "alter_table_stmt" and node.objtype == pg.OBJECT_TABLE:
        found = probes_of_alter(state, node)
    else:
        ask = _ASK.get(statement.kind)
        found = [(0, probe) for probe in ask(state, node)] if ask else []
        _follow(state, statement, operations, place)
    found = [(n, _still_known(state, probe)) for n, probe in found]
    return found + list(_without_probe(state, found, operations, statement))


def _still_known(state: State, probe: Probe) -> Probe:
    redefined = probe.names.all & set(state.redefined)
    if redefined and probe.unknown is None:
        name = min(redefined)
        why = f"{state.redefined[name]} defines {name}"
        return not_checked(probe.kind, probe.object, why)
    return probe


def _without_probe(
    state: State, found: list[Numbered], operations: list[Operation], statement: Statement
) -> Iterator[Numbered]:
    """Say of each operation that may fail on rows, and that nobody asks about, that it is so."""
    asked = {number for number, _ in found}
    for number, operation in enumerate(operations):
        if number in asked or not operation.reasons & MAY_FAIL:
            continue
        if _needs_none(state, operation, statement):
            continue
        yield number, not_checked(Kind.OTHER, operation.object, "no probe asks about this form")


def _needs_none(state: State, operation: Operation, statement: Statement) -> bool:
    """Whether what is known already says that no row can stop it."""
    if statement.kind == "alter_table_stmt":
        rows = state.find(parts_of(statement.node.relation))
        return rows is not None and (rows.new or rows.unknown is None) and _covered(operation)
    return operation.kind in {"create_partition", "add_check_of_domain", "set_not_null_of_domain"}


_COVERED = frozenset(
    {"set_not_null", "add_not_null", "add_primary_key", "add_primary_key_using_index",
     "attach_partition", "alter_column_type", "add_column", "add_unique", "add_check",
     "add_foreign_key", "add_exclusion", "validate_constraint", "alter_constraint"}
)  # fmt: skip


def _covered(operation: Operation) -> bool:
    return operation.kind in _COVERED


# ---------------------------------------------------------------------------------------- asking


def _ask_index(state: State, node: Any) -> Iterator[Probe]:
    rows = state.find(parts_of(node.relation))
    if rows is None:
        if node.unique:
            yield not_checked(Kind.DUPLICATES, quote(parts_of(node.relation)), "it is not known")
        return
    if not rows.new:
        yield from probes_of_index(rows, node)
    if node.unique and node.idxname:
        kept = {**rows.indexes, node.idxname: node}
        state.put(parts_of(node.relation), replace(rows, indexes=kept))


def _ask_partition(state: State, node: Any) -> Iterator[Probe]:
    if not node.HasField("partbound") or node.partbound.is_default:
        return
    parent = state.find(parts_of(node.inh_relations[0].range_var))
    if parent is not None and not parent.new:
        shown = quote(parts_of(node.relation))
        yield from probes_of_default(state, parent, node.partbound, shown)


_ASK: dict[str, Callable[[State, Any], Iterator[Probe]]] = {
    "index_stmt": _ask_index,
    "create_stmt": _ask_partition,
    "alter_domain_stmt": probes_of_domain,
}

# ------------------------------------------------------------------------------------- following


def _follow(state: State, statement: Statement, operations: list[Operation], place: str) -> None:
    follow = _FOLLOW.get(statement.kind)
    if follow is not None:
        follow(state, statement.node, place)
    elif any(Reason.OPAQUE in one.reasons for one in operations):
        state.unknown = state.unknown or f"{place} may change any row"
    for name in defined_by(statement):
        state.redefined.setdefault(name, place)


def _create(state: State, node: Any, _: str) -> None:
    parts = parts_of(node.relation)
    if node.if_not_exists and state.find(parts) is not None:
        return
    columns: dict[str, Column] = {}
    key: tuple[str, ...] = ()
    for element in node.table_elts:
        if element.WhichOneof("node") == "column_def":
            column = element.column_def
            columns[column.colname] = state.column(column)
            kinds = {item.constraint.contype for item in column.constraints}
            key = (column.colname,) if pg.CONSTR_PRIMARY in kinds else key
        elif element.constraint.contype == pg.CONSTR_PRIMARY:
            key = tuple(words(element.constraint.keys))
    state.create(parts, Rows(parts[-1], None, columns, new=True, key=key))


def _create_as(state: State, node: Any, place: str) -> None:
    relation = node.into.rel if hasattr(node, "into") else node.into_clause.rel
    parts = parts_of(relation)
    if parts:
        state.create(parts, Rows(parts[-1], unknown=f"{place} fills it"))


def _select(state: State, node: Any, place: str) -> None:
    if node.HasField("into_clause"):
        _create_as(state, node, place)
    writes = (pg.InsertStmt, pg.UpdateStmt, pg.DeleteStmt, pg.MergeStmt)
    if any(True for kind in writes for _ in messages_in(node, kind)):
        state.unknown = state.unknown or f"{place} changes rows"
    if any(True for _ in messages_in(node, pg.FuncCall)):
        state.unknown = state.unknown or f"{place} calls functions, which may change rows"


def _write(state: State, node: Any, place: str) -> None:
    parts = parts_of(node.relation)
    rows = state.find(parts)
    if rows is None:
        return
    why = f"{place} changes its rows"
    state.put(parts, replace(rows, new=False, unknown=rows.unknown or why))
    if rows.live is not None:
        state.spoil(set(rows.live.referencing), why)
        if rows.live.acts:
            state.unknown = state.unknown or f"triggers that {place} fires may change any row"


def _copy(state: State, node: Any, place: str) -> None:
    if node.is_from:
        _write(state, node, place)


def _truncate(state: State, node: Any, place: str) -> None:
    for item in node.relations:
        rows = state.find(parts_of(item.range_var))
        if rows is None:
            continue
        state.put(parts_of(item.range_var), replace(rows, new=True, unknown=None))
        if rows.live is not None and node.behavior == pg.DROP_CASCADE:
            state.spoil(set(rows.live.referencing), f"{place} may delete its rows")


def _drop(state: State, node: Any, _: str) -> None:
    for item in node.objects if node.remove_type == pg.OBJECT_TABLE else ():
        state.drop(words(item.list.items))


def _rename(state: State, node: Any, _: str) -> None:
    parts = parts_of(node.relation)
    if node.rename_type == pg.OBJECT_TABLE:
        state.rename(parts, [*parts[:-1], node.newname])
    elif node.rename_type == pg.OBJECT_COLUMN and node.relation_type == pg.OBJECT_TABLE:
        rows = state.find(parts)
        if rows is not None and node.subname in rows.columns:
            state.put(parts, _renamed(rows, node.subname, node.newname))


def _renamed(rows: Rows, old: str, new: str) -> Rows:
    layer = {new if name == old else name: sql for name, sql in rows.plain().items()}
    columns = {new if name == old else name: one for name, one in rows.columns.items()}
    if rows.live is None:
        return replace(rows, columns=columns)
    found = rows.over(columns, layer, rows.names)
    key = tuple(new if name == old else name for name in rows.key)
    return replace(found, key=key)


def _set_schema(state: State, node: Any, _: str) -> None:
    if node.object_type == pg.OBJECT_TABLE:
        parts = parts_of(node.relation)
        state.rename(parts, [node.newschema, parts[-1]])


_FOLLOW: dict[str, Callable[[State, Any, str], None]] = {
    "create_stmt": _create,
    "create_table_as_stmt": _create_as,
    "select_stmt": _select,
    "insert_stmt": _write,
    "update_stmt": _write,
    "delete_stmt": _write,
    "merge_stmt": _write,
    "copy_stmt": _copy,
    "truncate_stmt": _truncate,
    "drop_stmt": _drop,
    "rename_stmt": _rename,
    "alter_object_schema_stmt": _set_schema,
}


def _last(field: str) -> Callable[[Any], str]:
    """Return what reads the last part of a name that a field has."""
    return lambda node: words(getattr(node, field))[-1]


def _function(node: Any) -> str:
    return words(node.func.objname)[-1] if node.func.objname else ""


_DEFINES: dict[str, Callable[[Any], str]] = {
    "create_function_stmt": _last("funcname"),
    "alter_function_stmt": _function,
    "create_domain_stmt": _last("domainname"),
    "alter_domain_stmt": _last("type_name"),
    "create_enum_stmt": _last("type_name"),
    "alter_enum_stmt": _last("type_name"),
    "create_range_stmt": _last("type_name"),
    "composite_type_stmt": lambda node: str(node.typevar.relname),
    "define_stmt": _last("defnames"),
    "create_cast_stmt": _function,
}


def defined_by(statement: Statement) -> Iterator[str]:
    """Yield the name of the function or type that a statement creates or changes."""
    read = _DEFINES.get(statement.kind)
    name = read(statement.node) if read else ""
    if name:
        yield name
