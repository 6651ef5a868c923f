"""Grants of Zanith's own objects: to those who capture, and to those who read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import asyncpg

from app.recovery.core.errors import NotFound
from app.recovery.core.names import quote
from app.recovery.core.strategies import CAPTURES
from app.recovery.core.translate import translate
from app.recovery.queries import load

if TYPE_CHECKING:
    from app.recovery.db.connections import Connection

SQL = load("installer")

# What a role that captures calls itself; the rest is reached through these.
MIGRATION_TABLES = (
    "_zanith_migrations",
    "_zanith_migration_steps",
    "_zanith_schema_snapshots",
    "_zanith_schema_contents",
    "migration_failures",
    "migration_kinds",
    "migration_recoverable",
    "migration_risks",
)
"""The history of migrations: who captures may run migrations too."""

READ_TABLES = (
    "_zanith_migration_artifacts",
    "_zanith_audit_log",
    "_zanith_jobs",
    "_zanith_schema",
    "_zanith_webhook_receivers",
    "_zanith_webhook_events",
    "_zanith_webhook_deliveries",
    "_zanith_approval_rules",
    *MIGRATION_TABLES,
    "table_changes",
    "changes_outside_migrations",
)
"""What one has to read to look at everything, and at the log."""

APPROVAL_COLUMNS = (
    "id, request_order, kind, artifact_id, object, digest, params, facts, reason, requested_by,"
    " requested_by_role, requested_through, requested_from, requested_at, expires_at, state,"
    " decided_by, decided_by_role, decided_through, decided_at, decision_reason, ended_at, job_id"
)
"""All of a request but the hash of an erasure's values."""

CAPTURE_FUNCTIONS = (
    *CAPTURES,
    "plan_capture",
    "plan_restore",
    "version",
    "record_migration",
    "record_migration_step",
    "end_migration",
    "undo_migration",
    "record_schema_snapshot",
)


async def grant_capture(connection: Connection, role: str) -> None:
    """Let a role capture: use the functions, and see the artifacts.

    ``role`` is the role's exact name. NotFound where there is none.
    """
    try:
        if not await connection.fetchval(SQL["role_exists"], role):
            raise NotFound(f"there is no role {quote(role)}", hint="create it first: CREATE ROLE")
        signatures = await connection.fetch(SQL["grantable"], list(CAPTURE_FUNCTIONS))
        to = quote(role)
        statements = [
            f"GRANT USAGE ON SCHEMA zanith TO {to}",
            f"GRANT SELECT ON zanith._zanith_migration_artifacts, zanith._zanith_schema TO {to}",
            *(f"GRANT SELECT ON zanith.{name} TO {to}" for name in MIGRATION_TABLES),
            *(f"GRANT EXECUTE ON FUNCTION {row[0]} TO {to}" for row in signatures),
        ]
        async with connection.transaction():
            for statement in statements:
                await connection.execute(statement)
    except (asyncpg.PostgresError, OSError) as exc:
        raise translate(exc) from exc


async def grant_read(connection: Connection, role: str) -> None:
    """Let a role look: list, status, inspect and doctor; it changes nothing of Zanith's.

    ``role`` is the role's exact name. NotFound where there is none.
    """
    try:
        if not await connection.fetchval(SQL["role_exists"], role):
            raise NotFound(f"there is no role {quote(role)}", hint="create it first: CREATE ROLE")
        tables = ", ".join(f"zanith.{name}" for name in READ_TABLES)
        async with connection.transaction():
            await connection.execute(
                f"GRANT USAGE ON SCHEMA zanith, _zanith_shadow TO {quote(role)}"
            )
            await connection.execute(f"GRANT SELECT ON {tables} TO {quote(role)}")
            columns = f"GRANT SELECT ({APPROVAL_COLUMNS}) ON zanith._zanith_approvals"
            await connection.execute(f"{columns} TO {quote(role)}")
    except (asyncpg.PostgresError, OSError) as exc:
        raise translate(exc) from exc
