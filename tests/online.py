"""A table for the online forms, and what is asked of it while they run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from app.recovery import oversight
from app.recovery.artifact import Artifact
from app.recovery.capture import CaptureRequest, capture
from app.recovery.database import Actor, Database
from app.recovery.jobs import Job
from app.recovery.pace import Limits

DBA = Actor("dba", "10.0.0.9", "staff")
ROWS = 8_000
TABLE = f"""
CREATE TABLE t (id bigint PRIMARY KEY, tag text NOT NULL, n integer NOT NULL DEFAULT 0,
                code text NOT NULL DEFAULT 'none');
INSERT INTO t (id, tag, code) SELECT g, 'r' || g, 'c' || g FROM generate_series(1, {ROWS}) g;
CREATE INDEX t_code ON t (code);
"""
# Rows that were there, told by their tags, whose value is not theirs.
WRONG = "SELECT count(*) FROM t WHERE tag LIKE 'r%' AND code IS DISTINCT FROM 'c' || substr(tag, 2)"
FOLLOWED = "SELECT EXISTS (SELECT FROM pg_trigger WHERE starts_with(tgname, '~zanith_follow_'))"
SLOWLY = Limits(rows_per_second=8_000)


def column(table: str = "t", name: str = "code", **more: Any) -> CaptureRequest:
    """Ask for a column to be archived online."""
    return CaptureRequest("archive_column", table, name, online=True, **more)


async def fetchval(db: Database, sql: str, *values: object) -> Any:
    """Return the first value that a statement returns."""
    async with db.acquire() as connection:
        return await connection.fetchval(sql, *values)


async def execute(db: Database, sql: str) -> None:
    """Run statements."""
    async with db.acquire() as connection:
        await connection.execute(sql)


async def until(condition: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    """Wait until the condition holds; TimeoutError where it does not in so many seconds."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)


async def followed(db: Database) -> bool:
    """Whether triggers follow a table's traffic."""
    return bool(await fetchval(db, FOLLOWED))


def place(artifact: Artifact) -> str:
    """Return the archive's name for SQL."""
    return f"_zanith_shadow.{artifact.physical_name}"


async def left_behind(db: Database) -> list[str]:
    """What of unfinished work is still anywhere: triggers, functions, tables of keys, columns."""
    found: list[str] = await fetchval(
        db,
        "SELECT array(SELECT tgname::text FROM pg_trigger WHERE tgname ~ '^~zanith'"
        " UNION ALL SELECT proname FROM pg_proc WHERE proname ~ '^_zanith_follow'"
        " UNION ALL SELECT relname FROM pg_class"
        " WHERE relname ~ '^_zanith_follow' AND relkind = 'r'"
        " UNION ALL SELECT attname FROM pg_attribute WHERE attname ~ '^_zanith_restoring')",
    )
    return found


async def running_job(db: Database, kind: str) -> Job:
    """Wait until a job of the kind runs, and return it."""

    async def started() -> bool:
        return bool(await oversight.list_jobs(db, states=["running"], kinds=[kind]))

    await until(started)
    return (await oversight.list_jobs(db, states=["running"], kinds=[kind]))[0]


async def archived(db: Database, table: str = "t", name: str = "code", **more: Any) -> Artifact:
    """Archive a column in one transaction, and return its artifact."""
    return await capture(db, CaptureRequest("archive_column", table, name, **more), DBA)
