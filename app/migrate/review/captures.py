"""Whether a capture covers a drop, as the database says: by which strategy, or why by none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import asyncpg
from postgast import pg_query_pb2 as pg

from app.migrate.read.statements import Statement
from app.migrate.review.world import Capturable, World, key, parts_of, words
from app.recovery.core.errors import NotPermitted
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.queries import load

SQL = load("migrate")
REFUSED = frozenset({"0A000", "55000", "2BP01"})
"""The codes of a capture that the engine refuses because of the shape of the object."""


async def ask_captures(
    connection: Connection,
    world: World,
    relations: dict[tuple[str, ...], int],
    statements: Iterable[Statement],
    *,
    guarded: bool,
) -> None:
    """Let the world know how each drop of the statements can be captured; it changes nothing.

    Without Zanith in the database, nothing is known.
    """
    if not await connection.fetchval(SQL["captures"]):
        return
    for parts, column in dict.fromkeys(_drops(statements)):
        oid = relations.get(parts)
        table = world.find(parts)
        if oid is None or table is None or not table.live:
            continue
        if column is not None and column not in table.columns:
            continue
        found = await _ask(connection, oid, column, guarded=guarded)
        if found is not None:
            world.captures[key(parts), column] = found


def _drops(statements: Iterable[Statement]) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """Yield the tables and columns that statements drop."""
    for statement in statements:
        node = statement.node
        if statement.kind == "drop_stmt" and node.remove_type == pg.OBJECT_TABLE:
            for item in node.objects:
                yield tuple(words(item.list.items)), None
        if statement.kind == "alter_table_stmt" and node.objtype == pg.OBJECT_TABLE:
            for item in node.cmds:
                if item.alter_table_cmd.subtype == pg.AT_DropColumn:
                    yield tuple(parts_of(node.relation)), item.alter_table_cmd.name


async def _ask(
    connection: Connection, oid: int, column: str | None, *, guarded: bool
) -> Capturable | None:
    """Ask for each strategy in the order in which the run tries them; None if nobody knows."""
    order: Sequence[str] = ("archive", "soft")
    if guarded and column is None:
        order = ("archive",)
    elif guarded and not await _guard_copies(connection, oid):
        order = ("soft", "archive")
    possible: list[str] = []
    refusal, hint = "", None
    for strategy in order:
        name = "soft_drop" if strategy == "soft" else "archive"
        kind = "table" if column is None else "column"
        published = guarded and strategy == "archive"
        try:
            async with connection.transaction():
                asked = (f"{name}_{kind}", oid, column, published)
                await connection.fetchval(SQL["plan_capture"], *asked)
        except asyncpg.PostgresError as exc:
            error = translate(exc)
            if isinstance(error, NotPermitted) or error.sqlstate not in REFUSED:
                return None
            if not refusal:
                refusal, hint = error.message, error.hint
        else:
            possible.append(strategy)
    return Capturable(tuple(possible), refusal, hint, guarded)


async def _guard_copies(connection: Connection, oid: int) -> bool:
    """Return whether the guard archives a column first; so it is for a role that may not ask."""
    try:
        async with connection.transaction():
            return bool(await connection.fetchval(SQL["guard_copies"], oid))
    except asyncpg.InsufficientPrivilegeError:
        return True
