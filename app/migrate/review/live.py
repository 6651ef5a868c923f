"""What a live database says of the tables, indexes, types and functions that migrations name."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.read.migrations import Migration
from app.migrate.read.scripts import read_script
from app.migrate.read.statements import Statement, Unreadable, read_statements
from app.migrate.review.captures import ask_captures
from app.migrate.review.memory import remember
from app.migrate.review.world import Table, World, key, messages_in, parts_of, words
from app.recovery.core.names import parse_name, quote
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.queries import load

SQL = load("migrate")


async def read_live(
    db: Database, migrations: Iterable[Migration], *, guarded: bool = False
) -> World:
    """Return the world that the catalog describes, for what the migrations name.

    `guarded` is whether the guard captures what this role drops. It reads the catalog only, in one
    transaction that is read-only.
    """
    async with db.acquire() as connection, connection.transaction(readonly=True):
        path = await db.configured_path(connection)
        migrations = list(migrations)
        world = await read_world(connection, path, migrations)
        relations, _ = await resolve_names(connection, path, migrations)
        statements = await asyncio.to_thread(_statements, migrations)
        await ask_captures(connection, world, relations, statements, guarded=guarded)
        return world


async def read_world(connection: Connection, path: str, migrations: Iterable[Migration]) -> World:
    """Return the same as the open transaction sees it; `path` is that of the migrations."""
    migrations = list(migrations)
    world = World()
    relations, types = await resolve_names(connection, path, migrations)
    oids = list(relations.values())
    for row in await connection.fetch(SQL["tables"], oids):
        for name in _names(relations, row["oid"]):
            _add_table(world, name, row)
    for row in await connection.fetch(SQL["indexes"], oids):
        for name in _names(relations, row["oid"]):
            world.indexes[key(name)] = key(parse_name(row["table"]))
    rows = await connection.fetch(SQL["no_domains"], list(types.values()))
    for row in rows:
        world.types.update(key(name) for name in _names(types, row["oid"]))
    functions = sorted(await asyncio.to_thread(lambda: _functions(_statements(migrations))))
    world.steady.update(row["name"] for row in await connection.fetch(SQL["steady"], functions))
    return world


def _statements(migrations: Iterable[Migration]) -> list[Statement]:
    return [
        steered.statement
        for migration in migrations
        for steered in read_script(migration.up).statements
    ]


async def resolve_names(
    connection: Connection, path: str, migrations: Iterable[Migration]
) -> tuple[dict[tuple[str, ...], int], dict[tuple[str, ...], int]]:
    """Return the OIDs of the relations, and of the types, that the migrations name."""
    migrations = list(migrations)
    named, of_types = await asyncio.to_thread(lambda: _named(_statements(migrations)))
    relations = await _resolve(connection, path, "relations", named)
    types = await _resolve(connection, path, "types", of_types)
    return relations, types


def _named(
    statements: Sequence[Statement],
) -> tuple[set[tuple[str, ...]], set[tuple[str, ...]]]:
    named = {name for statement in statements for name in relations_of(statement)}
    return named, _types(statements)


async def _resolve(
    connection: Connection, path: str, block: str, names: set[tuple[str, ...]]
) -> dict[tuple[str, ...], int]:
    """Return the OID of each name, as the role's own search path finds it.

    PostgreSQL knows no object of another database.
    """
    database = await connection.fetchval("SELECT pg_catalog.current_database()")
    ordered = sorted(name for name in names if len(name) < 3 or name[:-2] == (database,))
    if not ordered:
        return {}
    own = await connection.fetchval("SELECT pg_catalog.current_setting('search_path')")
    await connection.execute("SELECT pg_catalog.set_config('search_path', $1, true)", path)
    rows = await connection.fetch(SQL[block], [quote(name) for name in ordered])
    await connection.execute("SELECT pg_catalog.set_config('search_path', $1, true)", own)
    found = zip(ordered, rows, strict=True)
    return {name: row["oid"] for name, row in found if row["oid"] is not None}


def _names(known: Mapping[tuple[str, ...], int], oid: int) -> list[tuple[str, ...]]:
    return [name for name, one in known.items() if one == oid]


def _add_table(world: World, name: tuple[str, ...], row: Any) -> None:
    """Describe the table to the world as a migration would, so that both read alike."""
    table = quote(name)
    columns = [
        f"{quote([column])} {kind}{' NOT NULL' if required else ''}"
        for column, kind, required in row["columns"]
    ]
    texts = [f"CREATE TABLE {table} ({', '.join(columns)})"]
    texts += [
        f"ALTER TABLE {table} ADD CONSTRAINT {quote([constraint])} {definition}"
        for constraint, definition in row["constraints"]
    ]
    world.tables[key(name)] = Table(table, checks=True)
    for text in texts:
        with suppress(Unreadable):  # what a newer server says: the worse case holds
            for statement in read_statements(text.encode(), table):
                remember(world, statement)
    found = world.tables[key(name)]
    found.new = False
    found.live = True
    found.rows, found.bytes = int(row["rows"]), int(row["bytes"])
    found.alone = row["members"] == 1
    found.joined = row["referenced"] or row["referencing"]
    found.referenced = row["referenced"]
    found.default_partition = row["default_partition"]
    found.published = row["published"]


# ------------------------------------------------------------------------------- what they name


# Of these, the name has that of their table before it.
_ON_TABLES = frozenset(
    {
        pg.OBJECT_COLUMN,
        pg.OBJECT_TABCONSTRAINT,
        pg.OBJECT_TRIGGER,
        pg.OBJECT_RULE,
        pg.OBJECT_POLICY,
    }
)
_RELATIONS = frozenset(
    {
        pg.OBJECT_TABLE,
        pg.OBJECT_VIEW,
        pg.OBJECT_MATVIEW,
        pg.OBJECT_FOREIGN_TABLE,
        pg.OBJECT_INDEX,
        pg.OBJECT_SEQUENCE,
    }
)


def relations_of(statement: Statement) -> set[tuple[str, ...]]:
    """Return the names of the relations that a statement names."""
    node = statement.node
    found = {tuple(parts_of(one)) for one in messages_in(node, pg.RangeVar)}
    if statement.kind == "drop_stmt":
        found.update(_relation(node.remove_type, item.list.items) for item in node.objects)
    if statement.kind in {"comment_stmt", "sec_label_stmt"}:
        found.add(_relation(node.objtype, node.object.list.items))
    return {name for name in found if name and all(name)}


def _relation(kind: int, items: Iterable[Any]) -> tuple[str, ...]:
    if kind in _ON_TABLES:
        return tuple(words(items)[:-1])
    return tuple(words(items)) if kind in _RELATIONS else ()


def _types(statements: Iterable[Statement]) -> set[tuple[str, ...]]:
    found = {
        tuple(words(one.names))
        for statement in statements
        for one in messages_in(statement.node, pg.TypeName)
        if one.names and not one.pct_type
    }
    domains = (one.node for one in statements if one.kind == "alter_domain_stmt")
    return found | {tuple(words(node.type_name)) for node in domains}


def _functions(statements: Iterable[Statement]) -> set[str]:
    return {
        words(one.funcname)[-1]
        for statement in statements
        for one in messages_in(statement.node, pg.FuncCall)
    }
