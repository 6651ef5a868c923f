"""ANALYZE of the table that a restore brought back, as its owner; the audit log records it."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import run_locked
from app.recovery.jobs import audit
from app.recovery.jobs.operation import attempt
from app.recovery.plan.execute import run_step
from app.recovery.plan.model import Step
from app.recovery.queries import load

SQL = load("restore")
REPORTS = load("reports")
ACTION = "analyze"


async def analyze(db: Database, reference: str, actor: Actor) -> str:
    """Collect planner statistics of the table of a restored artifact, and return its name.

    PostgreSQL reads a sample of each table. Reads and writes go on. The statement runs as the owner
    of the table. Refused where code of one owner would run as another role; Locked where another
    ANALYZE, a VACUUM or a change of the table is under way.
    """
    artifact = await get_artifact(db, reference)
    async with attempt(db, actor, ACTION, artifact.id, artifact.object_name):

        async def work(connection: Connection) -> str:
            said = await connection.fetchval(SQL["analyze"], artifact.id)
            if said["reason"]:
                hint = f"look at the artifact again, or run {said['sql']} yourself"
                raise Refused(
                    "the table cannot be analyzed from here",
                    detail=said["reason"],
                    hint=hint if said["sql"] else "look at the artifact again",
                )
            table = str(said["table"])
            step = Step(
                sql=said["sql"],
                purpose=f"Analyze {table}",
                lock="SHARE UPDATE EXCLUSIVE",
                tables=(table,),
                role=said["role"],
                path=said["path"],
                guards=tuple(said["guards"]),
            )
            seconds = await run_step(connection, step)
            detail = {"table": table, "seconds": seconds}
            about = (artifact.id, artifact.object_name, detail)
            await audit.record(connection, actor, ACTION, "done", *about)
            return table

        return await run_locked(db, f"ANALYZE of the table of {artifact.object_name}", work)


async def find_analyzed(
    db: Database, artifact_ids: Collection[str], since: datetime
) -> dict[str, datetime]:
    """Return when the table of each artifact was last analyzed from here, if it was since then."""
    if not artifact_ids:
        return {}
    async with db.side() as connection:
        rows = await connection.fetch(REPORTS["analyzed"], list(artifact_ids), since)
    return {row["artifact_id"]: row["at"] for row in rows}
