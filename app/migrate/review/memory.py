"""What a statement leaves in the world: tables, their columns and constraints, indexes, types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.read.statements import Statement
from app.migrate.review.columns import SERIALS
from app.migrate.review.constraints import columns_not_null, said_not_null
from app.migrate.review.world import (
    Table,
    World,
    definition_of,
    key,
    parts_of,
    type_text,
    words,
)
from app.recovery.core.names import quote


def remember(world: World, statement: Statement) -> None:
    """Note what the statement creates, changes and drops."""
    note = _NOTES.get(statement.kind)
    if note is not None:
        note(world, statement.node)


def _create(world: World, node: Any) -> None:
    parts = parts_of(node.relation)
    if node.if_not_exists and world.find(parts) is None:
        return  # it may exist already, with rows
    table = Table(quote(parts), temporary=node.relation.relpersistence == "t")
    # the columns of these are not in the text
    known = not node.inh_relations and not node.HasField("of_typename")
    world.tables[key(parts)] = table
    for element in node.table_elts:
        kind = element.WhichOneof("node")
        if kind == "column_def":
            _column(world, table, element.column_def)
        elif kind == "constraint":
            _constraint(world, table, element.constraint)
        else:
            known = False  # LIKE
    table.checks = table.checks or not known
    for parent in node.inh_relations:
        found = world.find(parts_of(parent.range_var))
        if found is not None and node.partbound.is_default:
            found.default_partition = True


def _create_as(world: World, node: Any) -> None:
    if not node.if_not_exists:
        _create_from(world, node.into.rel)


def _create_from(world: World, relation: Any) -> None:
    """A table with the rows of a query: new to clients, and as large as the query makes it."""
    parts = parts_of(relation)
    if parts:
        temporary = relation.relpersistence == "t"
        world.tables[key(parts)] = Table(quote(parts), temporary=temporary, checks=True)


def _column(world: World, table: Table, column: Any) -> None:
    table.columns[column.colname] = type_text(column.type_name)
    if words(column.type_name.names)[-1] in SERIALS:
        table.not_null.add(column.colname)
    for item in column.constraints:
        constraint = item.constraint
        if constraint.contype in {pg.CONSTR_NOTNULL, pg.CONSTR_PRIMARY, pg.CONSTR_IDENTITY}:
            table.not_null.add(column.colname)
        _constraint(world, table, constraint)


def _constraint(world: World, table: Table, constraint: Any) -> None:
    if constraint.contype == pg.CONSTR_CHECK:
        table.checks = True
    if constraint.contype == pg.CONSTR_FOREIGN:
        referenced = world.find(parts_of(constraint.pktable))
        if referenced is not None:
            referenced.referenced = True
    if constraint.conname:
        table.constraints[constraint.conname] = constraint
    table.not_null |= said_not_null(constraint)


def _alter(world: World, node: Any) -> None:
    table = world.find(parts_of(node.relation))
    if any(item.alter_table_cmd.subtype != pg.AT_DropColumn for item in node.cmds):
        world.forget_captures(parts_of(node.relation))
    for item in node.cmds if table is not None and node.objtype == pg.OBJECT_TABLE else ():
        command = item.alter_table_cmd
        note = _ACTIONS.get(command.subtype)
        if note is not None and table is not None:
            note(world, table, command)


def _alter_type(_: World, table: Table, command: Any) -> None:
    table.columns[command.name] = type_text(definition_of(command).column_def.type_name)


def _drop_constraint(_: World, table: Table, command: Any) -> None:
    table.not_null -= columns_not_null(table.constraints.pop(command.name, None))


def _drop_column(_: World, table: Table, command: Any) -> None:
    table.columns.pop(command.name, None)
    table.not_null.discard(command.name)


def _attach(_: World, table: Table, command: Any) -> None:
    if definition_of(command).partition_cmd.bound.is_default:
        table.default_partition = True


_ACTIONS: dict[int, Callable[[World, Table, Any], None]] = {
    pg.AT_AddColumn: lambda world, table, command: _column(
        world, table, definition_of(command).column_def
    ),
    pg.AT_AlterColumnType: _alter_type,
    pg.AT_DropColumn: _drop_column,
    pg.AT_AddConstraint: lambda world, table, command: _constraint(
        world, table, definition_of(command).constraint
    ),
    pg.AT_ValidateConstraint: lambda _, table, command: table.not_null.update(
        columns_not_null(table.constraints.get(command.name))
    ),
    pg.AT_DropConstraint: _drop_constraint,
    pg.AT_SetNotNull: lambda _, table, command: table.not_null.add(command.name),
    pg.AT_DropNotNull: lambda _, table, command: table.not_null.discard(command.name),
    pg.AT_AttachPartition: _attach,
}


def _rename(world: World, node: Any) -> None:
    if node.rename_type == pg.OBJECT_TABLE:
        world.rename(parts_of(node.relation), node.newname)
        return
    table = world.find(parts_of(node.relation))
    if node.rename_type == pg.OBJECT_COLUMN and table is not None:
        old = table.columns.pop(node.subname, None)
        if old is not None:
            table.columns[node.newname] = old
        if node.subname in table.not_null:
            table.not_null.remove(node.subname)
            table.not_null.add(node.newname)


def _set_schema(world: World, node: Any) -> None:
    if node.object_type == pg.OBJECT_TABLE:
        parts = parts_of(node.relation)
        found = world.tables.pop(key(parts), None)
        if found is not None:
            world.tables[key([node.newschema, parts[-1]])] = found


def _drop(world: World, node: Any) -> None:
    for item in node.objects if node.remove_type == pg.OBJECT_TABLE else ():
        world.drop(words(item.list.items))


def _index(world: World, node: Any) -> None:
    parts = parts_of(node.relation)
    if node.unique:
        world.forget_captures(parts)
    if node.idxname:
        world.indexes[key([*parts[:-1], node.idxname])] = key(parts)


def _type(world: World, node: Any) -> None:
    world.types.add(key(words(node.type_name)))


_NOTES: dict[str, Callable[[World, Any], None]] = {
    "create_stmt": _create,
    "create_table_as_stmt": _create_as,
    "select_stmt": lambda world, node: _create_from(world, node.into_clause.rel),
    "alter_table_stmt": _alter,
    "rename_stmt": _rename,
    "alter_object_schema_stmt": _set_schema,
    "drop_stmt": _drop,
    "index_stmt": _index,
    "create_enum_stmt": _type,
    "create_range_stmt": _type,
    "composite_type_stmt": lambda world, node: world.types.add(key(parts_of(node.typevar))),
}
