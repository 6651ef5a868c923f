"""Preconditions of a restore: the plan is the confirmed one, the archive is the sealed one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused
from app.recovery.core.four_eyes import Change, digest_of_request
from app.recovery.core.names import quote
from app.recovery.core.progress import OnProgress, tell
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import run_savepoint
from app.recovery.jobs.approvals import find_required, require_approved
from app.recovery.plan.model import Choices, Conflict, Drift, Plan, check_digest
from app.recovery.queries import fill, load
from app.recovery.rows.seal import Sealed, read_seal
from app.recovery.rows.stream import Measured, Meter, copy_out, discard, reading_of, reporting

SQL = load("restore")
SEAL = load("seal")
STREAM = load("stream")

SEAL_CHECK = "Check the archive against its seal"
"""How the step is called that comes before all others."""


class ChangedArchive(Refused):
    """The parked object is not as it was sealed."""


def check_plan(plan: Plan, expected_digest: str | None) -> None:
    """Raise Refused, carrying the plan, where it cannot run or is not the one confirmed."""
    if plan.blocked:
        stops: list[Conflict | Drift] = [*plan.conflicts]
        stops += [drift for drift in plan.drift if drift.blocks]
        flags = list(dict.fromkeys(_ways_out(stops[0]))) if stops else []
        hint = stops[0].hint if stops else None
        if flags:
            hint = f"resolve with {' or '.join(flags)}"
        # of several, each with its own way out
        rest = "\n".join(map(_with_way_out, stops[1:]))
        error = Refused(plan.blocked[0], detail=rest or _detail(plan, examples=True), hint=hint)
        error.withhold(rest or _detail(plan, examples=False))
        error.plan = plan
        raise error
    check_digest(plan, expected_digest)


def unverified_digest(plan: Plan, choices: Choices) -> str:
    """Return what an approval of a restore without its seal is of: the plan, and the choices."""
    return digest_of_request(plan.digest, choices.to_json())


async def require_approved_restore(
    db: Database, artifact: Artifact, choices: Choices, plan: Plan, actor: Actor
) -> None:
    """Raise ApprovalNeeded where a restore that skips the seal could not begin now.

    Refused where it needs an approval and works in batches: that is many transactions, which may
    begin again after the approval was used.
    """
    if not choices.unverified:
        return
    if choices.online and Change.UNVERIFIED in await find_required(db):
        raise not_online()
    digest = unverified_digest(plan, choices)
    about = (Change.UNVERIFIED, artifact.id, artifact.object_name, digest, actor)
    await require_approved(db, *about)


def approval_params(choices: Choices, approvals: frozenset[Change]) -> dict[str, Any]:
    """Return what a job keeps where its restore needs an approval by the settings here."""
    return {"approval": True} if choices.unverified and Change.UNVERIFIED in approvals else {}


def not_online() -> Refused:
    """Return the error for an online restore that skips the seal and needs an approval."""
    return Refused(
        "a restore without the seal that needs an approval cannot work online",
        detail="an approval is for one transaction, and the online form needs several",
        hint="restore without --online",
    )


async def refuse_unverified_rows(db: Database) -> None:
    """Raise Refused where a restore without the seal needs an approval: single rows can have none.

    An approval is for one transaction, and each row is a transaction of its own.
    """
    if Change.UNVERIFIED in await find_required(db):
        raise Refused(
            "single rows cannot be put back without the seal where that needs an approval",
            detail="an approval is for one transaction, and each row is a transaction of its own",
            hint="put them back with the seal, or ask for the restore of the whole artifact",
        )


def _ways_out(stop: Conflict | Drift) -> tuple[str, ...]:
    return stop.ways_out if isinstance(stop, Conflict) else stop.choices


def _with_way_out(stop: Conflict | Drift) -> str:
    flags = " or ".join(dict.fromkeys(_ways_out(stop)))
    way = f"resolve with {flags}" if flags else stop.hint
    return f"{stop.message} ({way.rstrip('.')})" if way else stop.message


def _detail(plan: Plan, *, examples: bool) -> str | None:
    """Return what else is to be said; examples are shown, and not kept."""
    details = [conflict.detail for conflict in plan.conflicts if conflict.detail]
    shown = [
        f"for example {', '.join(drift.examples)}"
        for drift in plan.drift
        if examples and drift.blocks and drift.examples
    ]
    return "\n".join([*details, *shown]) or None


async def check_parked(
    db: Database,
    connection: Connection,
    artifact: Artifact,
    choices: Choices,
    on_progress: OnProgress | None,
) -> Measured | None:
    """Verify the parked object in the restore's own transaction, and keep writers away from it.

    Returns what was measured, None where there is nothing to measure, or by choice. Without a seal
    the recorded count is compared. ChangedArchive, naming both checksums, on a mismatch.
    """
    if choices.unverified or artifact.artifact_type == "soft_drop_column":
        return None
    query = await connection.fetchval(STREAM["canonical_query"], artifact.id)
    if query is None:
        return None
    await lock_parked(db, connection, artifact, on_progress)
    sealed = await read_seal(connection, artifact.id)
    measured = await _measure(db, connection, artifact.id, query, sealed, on_progress)
    if sealed.checksum is not None and measured.checksum != sealed.checksum:
        raise ChangedArchive(
            f"the parked object of {artifact.object_name} was changed since it was sealed",
            detail=f"sealed   {sealed.checksum} ({sealed.row_count} rows)\n"
            f"now      {measured.checksum} ({measured.rows} rows)",
            hint="find out who changed it; --unverified restores it as it is, and is audited",
        )
    if sealed.row_count is not None and measured.rows != sealed.row_count:
        raise ChangedArchive(
            f"{sealed.row_count:,} rows were recorded of {artifact.object_name},"
            f" and {measured.rows:,} are parked",
            hint="find out who changed it; --unverified restores it as it is, and is audited",
        )
    return measured


async def lock_parked(
    db: Database, connection: Connection, artifact: Artifact, on_progress: OnProgress | None
) -> None:
    """Keep writers away from the parked object until the transaction ends; readers go on."""
    place = await connection.fetchval(SQL["locate"], artifact.id)
    statement = fill(STREAM["lock_parked"], table=quote((place["schema"], place["table"])))

    async def lock(inner: Connection) -> None:
        await inner.execute(statement)

    what = f"the check of {artifact.object_name}"
    await run_savepoint(db, connection, what, lock, on_progress)


async def _measure(
    db: Database,
    connection: Connection,
    artifact_id: str,
    query: str,
    sealed: Sealed,
    on_progress: OnProgress | None,
) -> Measured:
    """Stream under the seal's settings, which a savepoint takes back afterwards."""
    meter = Meter()

    async def write(values: dict[str, Any]) -> None:
        await tell(on_progress, {**values, "step": SEAL_CHECK})

    savepoint = connection.transaction()
    await savepoint.start()
    await connection.execute(STREAM["settings"], sealed.settings)
    async with reporting(db, meter, sealed.row_count, write):
        reading = await reading_of(connection, artifact_id)
        measured = await copy_out(db, reading, query, discard, meter)
    await savepoint.rollback()
    return measured


@asynccontextmanager
async def recording_change(db: Database, artifact_id: str) -> AsyncIterator[None]:
    """Record that the archive was found changed, if the body finds that."""
    try:
        yield
    except ChangedArchive:
        async with db.side() as connection:
            await connection.execute(SEAL["record_verification"], artifact_id, False)
        raise
