"""What a statement may not do to the session in which migrations run and are recorded."""

from __future__ import annotations

from app.migrate.apply.errors import MigrationFailed
from app.migrate.apply.history import SQL
from app.migrate.apply.prepare import Prepared, Unit
from app.recovery.db.connections import Connection

READ_OTHERWISE = (
    "standard_conforming_strings is off, so that PostgreSQL would read the backslashes of this"
    " statement in another way than the plan",
    "write SET standard_conforming_strings = on at the beginning of the file, and write strings"
    " with escapes as E'…'",
)


def require_same_reading(
    connection: Connection, prepared: Prepared, unit: Unit, sql: str | None = None
) -> None:
    """Raise MigrationFailed if PostgreSQL would read the statement in another way than the plan.

    The parser takes a backslash in '…' for a character. PostgreSQL does so only while
    standard_conforming_strings is on; otherwise the string, and the statement, end elsewhere.
    """
    if is_read_otherwise(connection, sql or unit.sql):
        raise _failed(prepared, unit, *READ_OTHERWISE)


def is_read_otherwise(connection: Connection, sql: str) -> bool:
    """Return whether the session reads strings of the statement in another way than the parser."""
    return connection.get_settings().standard_conforming_strings != "on" and "\\" in sql


def require_usable(connection: Connection, prepared: Prepared, unit: Unit) -> None:
    """Raise MigrationFailed if the statement left settings with which nothing can be recorded."""
    settings = connection.get_settings()
    if settings.client_encoding.upper().replace("-", "") != "UTF8":
        raise _failed(
            prepared,
            unit,
            f"the statement sets client_encoding to {settings.client_encoding}",
            "save the file in UTF-8, and leave the statement out",
        )
    if getattr(settings, "default_transaction_read_only", "off") == "on":
        raise _failed(
            prepared,
            unit,
            "default_transaction_read_only is on, so that the run cannot be recorded",
            "leave the statement out that sets it",
        )


async def require_lock(connection: Connection, prepared: Prepared, unit: Unit) -> None:
    """Raise MigrationFailed if the session lost the lock that only one session has."""
    if not await connection.fetchval(SQL["held"]):
        raise _failed(
            prepared,
            unit,
            "the migration released the lock that keeps others from running migrations",
            "do not call pg_advisory_unlock_all(), and release only the locks that the file took",
        )


def _failed(prepared: Prepared, unit: Unit, message: str, hint: str) -> MigrationFailed:
    line, column = unit.line, unit.steered.column
    error = MigrationFailed(f"{prepared.script.path}:{line}:{column}: {message}", hint=hint)
    error.migration, error.line, error.column = prepared.id, line, column
    return error
