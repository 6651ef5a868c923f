"""A table for the online forms, and what is asked of it while they run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from app.recovery.artifacts.model import Artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs.model import Job
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from tests.sessions import client_of
from tests.traffic import Traffic

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
    async with client_of(db) as connection:
        return await connection.fetchval(sql, *values)


async def execute(db: Database, sql: str) -> None:
    """Run statements."""
    async with client_of(db) as connection:
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
        return bool(await jobs.list_jobs(db, states=["running"], kinds=[kind]))

    await until(started)
    return (await jobs.list_jobs(db, states=["running"], kinds=[kind]))[0]


async def archived(db: Database, table: str = "t", name: str = "code", **more: Any) -> Artifact:
    """Archive a column in one transaction, and return its artifact."""
    return await capture(db, CaptureRequest("archive_column", table, name, **more), DBA)


@asynccontextmanager
async def opened(database: Any, lock_retries: int) -> AsyncIterator[Database]:
    """Open the engine's handle on a test's database, and close it."""
    db = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=300), lock_retries=lock_retries
    )
    yield db
    await db.close()


async def wrongly_archived(db: Database, artifact: Artifact, key: str = "id") -> int:
    """Count what is not so: each row's own value, of no other row any."""
    found: int = await fetchval(
        db,
        f"SELECT count(*) FROM t FULL JOIN {place(artifact)} a USING ({key})"
        " WHERE (tag LIKE 'r%') IS DISTINCT FROM (a.code IS NOT NULL)"
        " OR a.code <> 'c' || substr(tag, 2)",
    )
    return found


async def restore_beside(db: Database, artifact: Artifact, traffic: Traffic) -> None:
    """Restore beside traffic, whose count begins anew, and judge every row and report."""
    traffic.done = 0
    async with traffic.flowing():
        wanted = Choices(online=True, fill="filled")
        report = await restore(db, artifact.id, wanted, DBA, limits=SLOWLY)
    assert await fetchval(db, WRONG) == 0
    # what came before the restore was filled, what came while it ran has the column's own default
    came = "SELECT array(SELECT DISTINCT code FROM t WHERE tag = 'new' ORDER BY 1)"
    assert await fetchval(db, came) == ["filled", "none"]
    assert report.fidelity is not None
    assert report.fidelity["different"] == report.fidelity["missing"] == []
    assert [loss.code for loss in report.losses if loss.code == "not_validated"] == []
    assert await left_behind(db) == []


async def kill_who_waits_for(holder: Any) -> int:
    """End every backend that waits for a lock of this connection, and count them."""
    found: int = await holder.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    )
    return found
