"""One purge: reviewed, confirmed, then gone for good; a tombstone stays in the log."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.artifacts.tombstones import Tombstone
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, NotConfirmed, NotFound, Refused
from app.recovery.core.four_eyes import Change
from app.recovery.core.names import names_object
from app.recovery.core.progress import OnProgress
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import run_locked
from app.recovery.db.transactions import lock_timeout_text, notify
from app.recovery.jobs import model as jobs
from app.recovery.jobs.approvals import approval_needed
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.operation import operation
from app.recovery.plan.model import Conflict, Step, changed_plan
from app.recovery.plan.parsing import parse_conflicts, parse_steps
from app.recovery.queries import load

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


async def review_purge(db: Database, artifact_id: str) -> PurgeReview:
    """Return what would be deleted, how well it is proved and copied, and what stops it."""
    artifact = await get_artifact(db, artifact_id)
    # it reads the catalog only, and waits for nobody who reads the rows
    subject = f"the review of {artifact.id}"
    async with bounded_read(db, subject, readonly=True) as connection:
        plan = parse_purge_plan(await connection.fetchval(SQL["plan_purge"], artifact.id))
        last_export = await connection.fetchval(SQL["last_export"], artifact.id)
    return PurgeReview(
        artifact=artifact,
        checksum_recorded=artifact.checksum,
        verified_at=artifact.verified_at,
        last_export=last_export,
        dependents=plan.dependents,
        held=artifact.held,
        size_bytes=plan.size_bytes,
        plan=plan,
    )


def parse_purge_plan(data: dict[str, Any]) -> PurgePlan:
    """Return the plan of the database's JSON."""
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
    """Drop the parked object, delete the row, write the tombstone: one transaction.

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
                stone, entry = await purge_artifact(
                    *(db, connection, artifact, actor, "purge", reason, run.job.id), expected_digest
                )
                await notify(connection, "audit", str(entry))
                await notify(connection, "artifact", artifact.id)
                await run.finish(connection, stone.to_json())
                return stone

            stone = await run_locked(db, f"the purge of {artifact.object_name}", work, op.report)
            run.finished = True
    return stone


async def purge_artifact(
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
    found: dict[str, Any] = await connection.fetchval(
        SQL["purge"],
        *(artifact.id, job_id, action, actor.name, actor.address, reason, expected_digest),
        lock_timeout_text(db.lock_timeout),
        Change.PURGE in db.approvals,
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
    if "unapproved" in found:
        raise approval_needed(Change.PURGE, artifact.id, artifact.object_name, found["unapproved"])
    return Tombstone(**found["stone"]), found["entry"]
