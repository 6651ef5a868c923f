"""TRUNCATE on demand: a trigger of the table keeps the rows that a TRUNCATE would delete."""

from __future__ import annotations

from app.recovery.capture.planning import callers_path
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import run_locked
from app.recovery.guard.rules import ACTION, Guard, read_guard
from app.recovery.jobs import audit
from app.recovery.jobs.operation import attempt
from app.recovery.queries import load

SQL = load("guard")
# Before it: keeps the rows. After it: forgets which statement that was. By name they fire last.
TRIGGERS = {"~zanith_truncate": "BEFORE", "~zanith_truncated": "AFTER"}


async def keep_rows(db: Database, actor: Actor, table: str, *, kept: bool) -> Guard:
    """Let TRUNCATE of a table, its partitions and children keep the rows, or delete them again.

    ``table`` is SQL text for its name. Refused where the guard is off.
    """
    async with attempt(db, actor, ACTION, None, table):
        if kept and (await read_guard(db)).state == "off":
            raise Refused("the guard is off", hint="turn it on first: zanith guard on")
        request = CaptureRequest("archive_rows", table)
        path = await db.configured_path()

        async def change(connection: Connection) -> None:
            async with callers_path(connection, request, path) as relation:
                pass
            if kept:
                await connection.execute(SQL["truncate_fit"], relation)
            for member in await connection.fetch(SQL["truncate_members"], relation):
                if kept and member["kept"]:
                    continue
                for name, when in TRIGGERS.items():
                    await _set_trigger(connection, member["name"], name, when, kept=kept)
            detail = {"turned": "on" if kept else "off", "truncate": True}
            await audit.record(connection, actor, ACTION, "done", object=table, detail=detail)

        await run_locked(db, f"the trigger of {table}", change)
    return await read_guard(db)


async def _set_trigger(
    connection: Connection, table: str, name: str, when: str, *, kept: bool
) -> None:
    """Drop a trigger where there is one, and create it anew where the rows are to be kept."""
    await connection.execute(f'DROP TRIGGER IF EXISTS "{name}" ON {table}')
    if kept:
        await connection.execute(
            f'CREATE TRIGGER "{name}" {when} TRUNCATE ON {table}'
            " FOR EACH STATEMENT EXECUTE FUNCTION zanith._guard_truncate()"
        )
        await connection.execute(f'ALTER TABLE ONLY {table} ENABLE ALWAYS TRIGGER "{name}"')
