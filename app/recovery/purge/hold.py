"""Holds: a flag that keeps an artifact from purge and cleanup."""

from __future__ import annotations

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.db.transactions import notify
from app.recovery.jobs import audit
from app.recovery.jobs.operation import attempt
from app.recovery.queries import load

SQL = load("purge")


async def hold(db: Database, artifact_id: str, actor: Actor, reason: str | None = None) -> Artifact:
    """Put a hold on the artifact and return the artifact; one that is there keeps its reason."""
    return await _change(db, artifact_id, actor, "hold", reason)


async def release(
    db: Database, artifact_id: str, actor: Actor, reason: str | None = None
) -> Artifact:
    """Take the hold off and return the artifact; where there is none, nothing happens."""
    return await _change(db, artifact_id, actor, "release", reason)


async def _change(
    db: Database, artifact_id: str, actor: Actor, action: str, reason: str | None
) -> Artifact:
    artifact = await get_artifact(db, artifact_id)
    async with attempt(db, actor, action, artifact.id, artifact.object_name, reason=reason):
        values = (actor.name, reason) if action == "hold" else ()
        async with db.acquire() as connection, connection.transaction():
            if await connection.fetchval(SQL[action], artifact.id, *values):
                await audit.record(
                    connection,
                    actor,
                    action,
                    "done",
                    artifact.id,
                    artifact.object_name,
                    {"reason": reason},
                )
                await notify(connection, "artifact", artifact.id)
    return await get_artifact(db, artifact.id)
