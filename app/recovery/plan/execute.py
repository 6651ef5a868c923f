"""Steps and queries, each executed as the role and under the search path that it names."""

from __future__ import annotations

import time
from typing import Any

from app.recovery.db.connections import Connection
from app.recovery.plan.model import Step
from app.recovery.queries import load

SQL = load("plan")

OWN_PATH = "pg_catalog, pg_temp"
"""What everything runs under that calls no code of an owner's."""


async def guard(
    connection: Connection, role: str | None, tables: tuple[str, ...], *, nowait: bool = False
) -> None:
    """Lock these tables, and raise where one of another role than ``role`` calls code."""
    if tables:
        await connection.execute(SQL["guard"], role, list(tables), nowait)


async def query_as(
    connection: Connection, role: str | None, sql: str, path: str | None = None
) -> list[Any]:
    """Return the first column of a query that runs as that role, under that search path.

    No role is the operator, no path is ours.
    """
    if role is None and path is None:
        return [row[0] for row in await connection.fetch(sql)]
    asked = (role, sql, "values", path or OWN_PATH)
    found: list[Any] = await connection.fetchval(SQL["run_as"], *asked)
    return found


async def run_step(connection: Connection, step: Step) -> float:
    """Execute one step as whom it says, under its path, in the caller's transaction.

    Return its seconds. One that takes no transaction about it runs in none.
    """
    started = time.monotonic()
    await guard(connection, step.role, step.guards)
    if step.role is None and step.path is None:
        await connection.execute(step.sql)
    elif step.concurrently:
        # in no transaction: the path is the session's until the step is done
        before = await connection.fetchval(SQL["session_path"], step.path)
        try:
            await connection.execute(step.sql)
        finally:
            await connection.fetchval(SQL["session_path"], before)
    else:
        asked = (step.role, step.sql, "rows", step.path or OWN_PATH)
        await connection.execute(SQL["run_as"], *asked)
    return round(time.monotonic() - started, 4)
