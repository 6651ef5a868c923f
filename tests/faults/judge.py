"""What must hold after a fault, and after it was gone on with: told in words where it does not.

The judge is PostgreSQL's catalog and the rows themselves, read over a connection of its own.
"""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg

from app.recovery.db.database import Database
from app.recovery.inspection.doctor import doctor
from app.recovery.jobs import leases
from tests.faults.world import COLUMNS, Values, is_live, read

# What may be found after a fault: work that can be gone on with, and a capture that waits for its
# seal.
UNDER_WAY = {"unfinished", "unsealed"}
SECONDS = 10.0
ARTIFACTS = """
SELECT id, artifact_type, status, source_table, source_column, row_count,
       quote_ident(physical_schema) || '.' || quote_ident(physical_table) AS place,
       quote_ident(coalesce(physical_column, source_column)) AS value
FROM zanith._zanith_migration_artifacts ORDER BY capture_order
"""
# Backends of the struck operation, and what a backend that is gone could leave.
LEFT = """
SELECT array(
    SELECT format('backend %s, %s: %s', pid, state, left(query, 60)) FROM pg_stat_activity
    WHERE datname = current_database() AND application_name = 'zanith'
    UNION ALL SELECT format('prepared transaction %s', gid) FROM pg_prepared_xacts
    UNION ALL SELECT format('lock %s on %s', mode, relation::regclass) FROM pg_locks
    WHERE pid <> pg_backend_pid() AND locktype = 'relation' AND mode <> 'AccessShareLock'
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND pid IN (SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'))
"""
LEASES = """
SELECT array(SELECT format('%s %s, %s', kind, id, state) FROM zanith._zanith_jobs
WHERE state IN ('queued', 'running')
  AND (lease_expires_at IS NULL OR lease_expires_at > clock_timestamp()
       + CASE WHEN kind = 'export' AND state = 'queued' THEN $2 ELSE $1::interval END)
  AND params ->> 'handed_over' IS DISTINCT FROM 'true')
"""


async def await_quiet(connection: asyncpg.Connection) -> list[str]:
    """Return which backends and locks of the operation stay, once they had time to go."""
    left: list[str] = []
    for _ in range(round(SECONDS / 0.05)):
        left = await connection.fetchval(LEFT)
        if not left:
            return []
        await asyncio.sleep(0.05)
    return [f"left behind: {one}" for one in left]


async def judge_leases(connection: asyncpg.Connection) -> list[str]:
    """Return which jobs live on without a lease that runs out soon; exports wait to be fetched."""
    found = await connection.fetchval(LEASES, leases.LEASE, leases.WAIT_TO_START)
    return [f"lives on: {one}" for one in found]


async def judge_values(
    connection: asyncpg.Connection,
    original: dict[tuple[str, str], Values],
    by_hand: dict[tuple[str, str], Values] | None,
) -> list[str]:
    """Return which values are neither live nor parked, or both, or not what they were.

    ``by_hand`` is what there would be after an operation that takes something away for good.
    """
    artifacts = await connection.fetch(ARTIFACTS)
    told: list[str] = []
    for table, column in COLUMNS:
        found = await _places(connection, artifacts, table, column)
        what = f"{table}.{column}"
        allowed = [original.get((table, column), {})]
        if by_hand is not None:
            allowed.append(by_hand.get((table, column), {}))
        if len(found) > 1:
            told.append(f"{what} is in {len(found)} places: {', '.join(found)}")
        if not found and {} not in allowed:
            told.append(f"{what} is lost: neither live nor parked")
        told += [
            f"{what} is not what it was, in {place}: {_difference(values, allowed[0])}"
            for place, values in found.items()
            if values not in allowed
        ]
    return told


async def _places(
    connection: asyncpg.Connection, artifacts: list[Any], table: str, column: str
) -> dict[str, Values]:
    found: dict[str, Values] = {}
    if await is_live(connection, table, column):
        found["live"] = await read(connection, f"public.{table}", column)
    for row in artifacts:
        whole = row["source_column"] is None
        if row["source_table"] != table or row["source_column"] not in {None, column}:
            continue
        if row["status"] != "recoverable" or row["artifact_type"] == "rebuild_table":
            continue
        value = f'"{column}"' if whole else row["value"]
        found[f"{row['artifact_type']} {row['id']}"] = await read(connection, row["place"], value)
    return found


def _difference(values: Values, wanted: Values) -> str:
    gone, more = wanted.keys() - values.keys(), values.keys() - wanted.keys()
    other = [key for key in wanted.keys() & values.keys() if wanted[key] != values[key]]
    return f"{len(gone)} rows gone, {len(more)} more, {len(other)} with another value"


async def judge_parked(connection: asyncpg.Connection) -> list[str]:
    """Return which parked objects have not exactly one artifact, counted by their names."""
    rows = await connection.fetch(
        "SELECT c.oid::regclass::text AS name, count(a.id) AS n FROM pg_class c"
        " LEFT JOIN zanith._zanith_migration_artifacts a"
        "   ON a.physical_table = c.relname"
        "   AND a.physical_schema = c.relnamespace::regnamespace::text"
        "   AND a.artifact_type <> 'soft_drop_column'"
        " WHERE c.relkind IN ('r', 'p') AND (c.relname LIKE '\\_zanith\\_dropped\\_%'"
        "   OR c.relnamespace = '_zanith_shadow'::regnamespace)"
        # what is half done is told by its comment, and by the doctor
        "   AND coalesce(obj_description(c.oid, 'pg_class'), '') !~ '^zanith unfinished'"
        "   AND c.relname !~ '_follow_' GROUP BY 1"
    )
    columns = await connection.fetch(
        "SELECT attname AS name, count(a.id) AS n FROM pg_attribute"
        " LEFT JOIN zanith._zanith_migration_artifacts a ON a.physical_column = attname"
        "   AND a.artifact_type = 'soft_drop_column' AND a.status = 'recoverable'"
        " WHERE attname LIKE '\\_zanith\\_dropped\\_%' AND NOT attisdropped"
        "   AND attinhcount = 0"
        "   AND attrelid IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p')) GROUP BY 1"
    )
    return [f"{row['name']} has {row['n']} artifacts" for row in [*rows, *columns] if row["n"] != 1]


async def judge_health(db: Database, allowed: set[str]) -> list[str]:
    """Return what the doctor finds beside what may be."""
    return [
        f"doctor: {finding.kind}: {finding.message}"
        for finding in (await doctor(db)).findings
        if finding.kind not in allowed
    ]
