"""One purge: reviewed, confirmed, then gone for good; a tombstone stays in the log."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.recovery import jobs
from app.recovery.artifact import Artifact
from app.recovery.database import (
    Actor,
    Connection,
    Database,
    lock_timeout_text,
    notify,
)
from app.recovery.errors import Locked, NotConfirmed, NotFound, Refused
from app.recovery.kinds import Kind
from app.recovery.locks import run_locked
from app.recovery.looking import look
from app.recovery.lookup import get_artifact
from app.recovery.names import names_object
from app.recovery.operation import operation
from app.recovery.plan import Conflict, Step, changed_plan, parse_conflicts, parse_steps
from app.recovery.progress import OnProgress
from app.recovery.sql import load

SQL = load("purge")


@dataclass(frozen=True)
class PurgePlan:
    """What would be dropped, and what stands in the way; sizes in bytes."""

    steps: tuple[Step, ...]
    conflicts: tuple[Conflict, ...]
    dependents: tuple[dict[str, Any], ...]
    size_bytes: int
    already_gone: bool
    digest: str
    """Of the steps, and of what the artifact says of itself and its seal."""


@dataclass(frozen=True)
class PurgeReview:
    """Everything that one should have read before it is final."""

    artifact: Artifact
    checksum_recorded: str | None
    verified_at: datetime | None
    last_export: dict[str, Any] | None
    dependents: tuple[dict[str, Any], ...]
    held: bool
    size_bytes: int
    plan: PurgePlan

    @property
    def blocked(self) -> list[str]:
        """The reasons why it cannot go; empty where it can."""
        return [conflict.message for conflict in self.plan.conflicts]

    def to_json(self) -> dict[str, Any]:
        """Return the review as JSON shows it."""
        return {
            "artifact": self.artifact.to_json(),
            "checksum_recorded": self.checksum_recorded,
            "verified_at": self.verified_at.isoformat() if self.verified_at else None,
            "last_export": self.last_export,
            "dependents": list(self.dependents),
            "held": self.held,
            "size_bytes": self.size_bytes,
            "plan": asdict(self.plan),
        }


@dataclass(frozen=True)
class Tombstone:
    """What stays of an artifact: its row, its last export, who purged it and why."""

    artifact_id: str
    object: str
    purged_by: str
    purged_by_role: str
    reason: str | None
    size_bytes: int
    already_gone: bool
    last_export: dict[str, Any] | None
    row: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        """Return the tombstone as JSON shows it, and as the log keeps it."""
        return dict(vars(self))


async def review_purge(db: Database, artifact_id: str) -> PurgeReview:
    """Return what would be deleted, how well it is proved and copied, and what stops it."""
    artifact = await get_artifact(db, artifact_id)
    async with look(db, artifact.id, readonly=True) as connection:
        plan = _parse_plan(json.loads(await connection.fetchval(SQL["plan_purge"], artifact.id)))
        last_export = await connection.fetchval(SQL["last_export"], artifact.id)
    return PurgeReview(
        artifact=artifact,
        checksum_recorded=artifact.checksum,
        verified_at=artifact.verified_at,
        last_export=json.loads(last_export) if last_export else None,
        dependents=plan.dependents,
        held=artifact.held,
        size_bytes=plan.size_bytes,
        plan=plan,
    )


def _parse_plan(data: dict[str, Any]) -> PurgePlan:
    return PurgePlan(
        steps=parse_steps(data["steps"]),
        conflicts=parse_conflicts(data["conflicts"]),
        dependents=tuple(data["dependents"] or ()),
        size_bytes=data["size_bytes"] or 0,
        already_gone=bool(data["already_gone"]),
        digest=data["digest"],
    )


def require_named(
    typed: str | None, name: str, artifact_id: str | None = None, *, repeat: bool = True
) -> None:
    """Raise NotConfirmed unless what was typed names the object, as `names_object` has it.

    Without ``repeat`` the error, which is written to the log, does not say what was typed.
    """
    if names_object(typed, name, artifact_id):
        return
    words = (typed or "").strip()
    said = f"typed: {words}" if words else "no name was typed"
    raise NotConfirmed(
        "not confirmed: nothing was changed",
        detail=said if repeat or not words else None,
        hint=f"type the name of the object: {name}",
    )


async def purge(
    db: Database,
    artifact_id: str,
    actor: Actor,
    *,
    confirm: str | None,
    confirmed: bool = False,
    expected_digest: str | None = None,
    reason: str | None = None,
    job: jobs.Job | None = None,
    on_progress: OnProgress | None = None,
) -> Tombstone:
    """Drop what is parked, delete the row, write the tombstone: one transaction.

    Refused unless the name was typed (or a caller said that it is confirmed), where the plan is
    another than the digest says, on a hold, and while something depends on it; Locked where a job
    works on it or a lock is not had in time.
    """
    doing = operation(
        *(db, Kind.PURGE, actor, artifact_id), job=job, on_progress=on_progress, reason=reason
    )
    async with doing as op:
        artifact = op.artifact
        if not confirmed:
            require_named(confirm, artifact.object_name, artifact.id)
        async with op.running({"reason": reason}) as run:

            async def work(connection: Connection) -> Tombstone:
                stone, entry = await bury(
                    *(db, connection, artifact, actor, "purge", reason, run.job.id), expected_digest
                )
                await notify(connection, "audit", str(entry))
                await notify(connection, "artifact", artifact.id)
                await run.finish(connection, stone.to_json())
                return stone

            stone = await run_locked(db, f"the purge of {artifact.object_name}", work, op.report)
            run.finished = True
    return stone


async def bury(
    db: Database,
    connection: Connection,
    artifact: Artifact,
    actor: Actor,
    action: str,
    reason: str | None = None,
    job_id: str | None = None,
    expected_digest: str | None = None,
) -> tuple[Tombstone, int]:
    """Do the purge in one statement; return the tombstone and the log's entry that keeps it.

    Listeners are not told. Alone it is a transaction of its own, which waits for no lock longer
    than the lock timeout.
    """
    found: dict[str, Any] = json.loads(
        await connection.fetchval(
            SQL["bury"],
            *(artifact.id, job_id, action, actor.name, actor.address, reason, expected_digest),
            lock_timeout_text(db.lock_timeout),
        )
    )
    if "missing" in found:
        raise NotFound(f"{artifact.object_name} was purged meanwhile")
    if "busy" in found:
        raise Locked(f"a {found['busy']} is under way")
    if "refused" in found:
        (conflict,) = parse_conflicts([found["refused"]])
        raise Refused(conflict.message, detail=conflict.detail, hint=conflict.hint)
    if "changed" in found:
        raise changed_plan(artifact.object_name)
    return Tombstone(**found["stone"]), found["entry"]
