"""The triggers of the guard: created, renewed by an installation, dropped."""

from __future__ import annotations

from app.recovery.db.connections import Connection
from app.recovery.queries import load

SQL = load("guard")
LATER = "zanith_guard_rewritten"  # which earlier versions did not have
TRIGGERS = ("zanith_guard_dropped", "zanith_guard_end", LATER, "zanith_guard_start")


async def create_triggers(connection: Connection) -> None:
    """Create the triggers of the guard, and enable them in every replication role."""
    await drop_triggers(connection)
    for event in ("start", "dropped", "rewritten", "end"):
        await connection.execute(SQL[f"create_{event}"])
    await connection.execute(SQL["create_commit"])
    for name in TRIGGERS:
        await connection.execute(f"ALTER EVENT TRIGGER {name} ENABLE ALWAYS")


async def renew_triggers(connection: Connection) -> None:
    """Create them again if all that an earlier version had are enabled.

    This version may have more of them, or listen to more commands.
    """
    (found,) = await connection.fetch(SQL["fitness"])
    enabled = {row["name"]: row["enabled"] for row in await connection.fetch(SQL["triggers"])}
    if found["superuser"] and {LATER: "A", **enabled} == dict.fromkeys(TRIGGERS, "A"):
        await create_triggers(connection)


async def drop_triggers(connection: Connection) -> None:
    """Drop the event triggers of the guard, if there are any."""
    for name in TRIGGERS:
        await connection.execute(f"DROP EVENT TRIGGER IF EXISTS {name}")


async def drop_truncate_triggers(connection: Connection) -> None:
    """Drop the triggers of TRUNCATE from all tables that have one."""
    for row in await connection.fetch(SQL["truncate_triggers"]):
        await connection.execute(row["statement"])
