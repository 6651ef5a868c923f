"""Pins: a plain DROP of a table or a column fails, without event triggers and a superuser."""

from __future__ import annotations

from enum import StrEnum

from app.recovery.capture.planning import callers_path
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import run_locked
from app.recovery.guard.rules import ACTION, Guard, read_guard
from app.recovery.jobs import audit
from app.recovery.jobs.operation import attempt
from app.recovery.queries import load

SQL = load("guard")


class Pin(StrEnum):
    """What of a table is pinned."""

    COLUMNS = "columns"
    TABLE = "table"
    OFF = "off"


async def set_pin(db: Database, actor: Actor, table: str, pin: Pin) -> Guard:
    """Pin a table with its partitions and children, or end that; done again, pin new columns too.

    ``table`` is SQL text for its name. NotPermitted where Zanith's own role may not create the
    schema of the pins, or where this role does not own the tables.
    """
    async with attempt(db, actor, ACTION, None, table):
        request = CaptureRequest("archive_table", table)
        path = await db.configured_path()

        async def change(connection: Connection) -> None:
            async with callers_path(connection, request, path) as relation:
                pass
            await connection.execute(SQL["set_pin"], relation, pin.value)
            detail = {"turned": "off" if pin is Pin.OFF else "on", "pin": pin.value}
            await audit.record(connection, actor, ACTION, "done", object=table, detail=detail)

        await run_locked(db, f"the pin of {table}", change)
    return await read_guard(db)
