"""The schema of now on a shadow: from the files that were applied, or from the live database."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import asyncpg
from postgast import pg_query_pb2 as pg

from app.migrate.apply.prepare import prepare
from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.read.scripts import Steered, read_script
from app.migrate.review.world import messages_in, words
from app.migrate.shadow.dump import OURS, dump_schema
from app.migrate.shadow.failure import locate
from app.migrate.shadow.model import SQL, Live, Pattern, Shadow, connect
from app.migrate.shadow.rights import rights_for, roles_in
from app.migrate.shadow.run import Runner
from app.recovery.core.errors import Refused

LIVE = Path("pg_dump")
"""The name of the text of pg_dump in errors."""
_ZANITH = "zanith"
_PARKED = ("_zanith_dropped_", "_zanith_refuse_")


class Source(StrEnum):
    """Where the schema of now comes from."""

    FILES = "files"
    LIVE = "live"
    NOTHING = "nothing"
    """No migration was applied so far."""


async def replay_files(runner: Runner, layout: Layout, applied: Sequence[Migration]) -> None:
    """Run the applied migrations. StatementFailed if one of their statements fails."""
    for migration in applied:
        await runner.run(prepare(layout, migration, migration.up, captures=False))


async def replay_live(shadow: Shadow, live: Live) -> None:
    """Load the live schema without owners and grants. StatementFailed if a statement fails.

    Refused if functions of others would run with this role's rights on a server that is not ours.
    """
    if shadow.pattern is not Pattern.EMBEDDED:
        await _refuse_functions_of_others(live)
    await load(shadow, Script(LIVE, await dump_schema(live)))


async def load(shadow: Shadow, script: Script) -> None:
    """Run the statements of a schema one by one."""
    source = read_script(script)
    if shadow.create_roles is not None:
        await shadow.create_roles(roles_in(one.statement for one in source.statements))
    connection = await shadow.connect()
    try:
        for steered in source.statements:
            if _is_left_out(steered) or steered.statement.kind == "transaction_stmt":
                continue
            try:
                async with rights_for(shadow, connection, steered.statement):
                    await connection.execute(steered.text)
            except asyncpg.PostgresError as exc:
                raise locate(script.path, steered, exc) from exc
    finally:
        await connection.close(timeout=5)


def is_of_each_database(steered: Steered) -> bool:
    """Return whether it creates what a new database has: the schema public, or plpgsql."""
    kind, node = steered.statement.kind, steered.statement.node
    if kind == "create_schema_stmt":
        return bool(node.schemaname == "public")
    return kind == "create_extension_stmt" and bool(node.extname == "plpgsql")


def _is_left_out(steered: Steered) -> bool:
    """Whether a dump has it for Zanith, whose schemas are not in it, or each database has it."""
    kind, node = steered.statement.kind, steered.statement.node
    if is_of_each_database(steered):
        return True
    if kind in {"create_event_trig_stmt", "create_trig_stmt"}:
        return words(node.funcname)[0] in OURS
    if kind == "alter_event_trig_stmt":
        return str(node.trigname).startswith(_ZANITH)
    named = [one.relname for one in messages_in(node, pg.RangeVar)]
    if kind == "comment_stmt":
        named += [one.sval for one in messages_in(node, pg.String)]
    if kind == "alter_table_stmt":
        named += [cmd.alter_table_cmd.name for cmd in node.cmds]
    return any(name.startswith(_PARKED) for name in named)


async def _refuse_functions_of_others(live: Live) -> None:
    connection = await connect(live.url)
    try:
        rows = await connection.fetch(SQL["others"])
    finally:
        await connection.close(timeout=5)
    if rows:
        names = ", ".join(row["role"] for row in rows[:3])
        raise Refused(
            f"the live schema has functions of other roles ({names}), which would run with the"
            f" rights of {live.server.role} on this server",
            hint="use the embedded server, or replay the files: --replay files",
        )
