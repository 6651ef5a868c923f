"""Restores: found, begun as a job in the form that fits, gone on with, or given up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from app.recovery.artifacts.lookup import find_latest, get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, NotFound, Refused, WrongUsage, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.core.names import parse_name, signed
from app.recovery.core.progress import OnProgress
from app.recovery.core.strategies import DEFINITION, OF_COLUMNS, Strategy
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs.approvals import find_required
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.operation import Operation, operation
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices, Step
from app.recovery.queries import load
from app.recovery.restore.backfill import find_unfinished, give_up
from app.recovery.restore.offline import OfflineRestore, find_follow_up
from app.recovery.restore.online import OnlineRestore
from app.recovery.restore.preconditions import approval_params, not_online
from app.recovery.restore.report import RestoreReport

SQL = load("restore")
BLOCKS = load("artifacts")

NO_TABLE = (*OF_COLUMNS, *DEFINITION, Strategy.REBUILD_TABLE)
TABLE_TYPES = tuple(s for s in Strategy if s not in NO_TABLE)


async def find_for_restore(db: Database, name: str, kind: str) -> Artifact:
    """Return the latest recoverable artifact of a column or table, else the latest restored one.

    ``kind`` is "column" or "table". NotFound where it was never dropped, WrongUsage for no name.
    """
    parts = parse_name(name)
    is_column = kind == "column"
    if not 1 + is_column <= len(parts) <= 2 + is_column:
        shape = "[schema.]table.column" if is_column else "[schema.]table"
        raise WrongUsage(f"{name} does not name a {kind}", hint=f"write {shape}")
    column = parts[-1] if is_column else None
    path = parts[:-1] if is_column else parts
    schema = path[0] if len(path) == 2 else None
    types = OF_COLUMNS if is_column else TABLE_TYPES
    async with db.acquire() as connection:
        found = await find_latest(db, connection, schema, path[-1], column, types)
    if found is None:
        raise NotFound(f"no dropped {kind} {name} is recoverable", hint="see zanith recover list")
    return await get_artifact(db, found)


async def find_any(db: Database, reference: str | None) -> Artifact:
    """Return what a reference means, as a restore takes it; of None what was dropped last.

    A name means what can come back, before what was only recorded for a rebuild. NotFound where
    there is nothing.
    """
    if reference is None:
        async with db.side() as connection:
            newest = await connection.fetchval(BLOCKS["newest"])
        if newest is None:
            raise NotFound("nothing that was dropped is recoverable", hint="see zanith list")
        return await get_artifact(db, newest)
    found = await get_artifact(db, reference)
    if found.artifact_type == "rebuild_table" and not found.id.startswith(reference):
        with suppress(NotFound):
            return await find_for_restore(db, reference, "table")
    return found


async def restore(
    db: Database,
    artifact_id: str,
    choices: Choices | None,
    actor: Actor,
    *,
    expected_digest: str | None = None,
    job: jobs.Job | None = None,
    on_progress: OnProgress | None = None,
    limits: Limits | None = None,
) -> RestoreReport:
    """Restore an artifact and return the report; restoring a restored one is a no-op that says so.

    Refused, with the new plan, where the plan is not the one confirmed or cannot run; Locked where
    another works on it or a lock is not had in time; ChangedArchive where its seal is broken.
    """
    choices = choices or Choices()
    doing = operation(db, Kind.RESTORE, actor, artifact_id, job=job, on_progress=on_progress)
    async with doing as op:
        (limits or Limits()).check()
        artifact = op.artifact
        if artifact.status == "restored" and job is None:
            await _check_stands(db, artifact)
            left = await find_follow_up(db, artifact.id)
            return await _go_on(op, left) if left else _nothing_to_do(artifact)
        params = job_params(*(artifact, choices, expected_digest, limits), approvals=db.approvals)
        async with _given_up_when_cancelled(db, artifact, choices), op.running(params) as run:
            artifact = await get_artifact(db, artifact.id)
            if artifact.status == "restored":
                await _check_stands(db, artifact)
                run.result = _nothing_to_do(artifact).to_json()
                return _nothing_to_do(artifact)
            asked = (op, artifact, choices, expected_digest)
            await _refuse_online(op, choices)
            if works_in_batches(artifact, choices):
                return await OnlineRestore(*asked).run_in_batches(limits or Limits())
            return await OfflineRestore(*asked).run_all()


async def _refuse_online(op: Operation, choices: Choices) -> None:
    """Raise Refused for an online restore that skips the seal, where that needs an approval."""
    if choices.unverified and choices.online:
        asked = bool(op.run.job.params.get("approval"))
        if asked or Change.UNVERIFIED in await find_required(op.db):
            raise not_online()


def works_in_batches(artifact: Artifact, choices: Choices) -> bool:
    """Whether it can rest and be gone on with: of what is online, only archived values are."""
    return choices.online and artifact.archives_column


def job_params(
    artifact: Artifact,
    choices: Choices,
    digest: str | None,
    limits: Limits | None = None,
    *,
    approvals: frozenset[Change] = frozenset(),
) -> dict[str, Any]:
    """Return what a job has to know so that any worker can run it, or go on with it.

    ``approvals`` are the changes that need one here: a worker may have other settings.
    """
    batches = works_in_batches(artifact, choices)
    return {
        "choices": choices.to_json(),
        "digest": digest,
        "online": batches,
        "limits": (limits or Limits()).to_json() if batches else None,
        **approval_params(choices, approvals),
    }


@asynccontextmanager
async def _given_up_when_cancelled(
    db: Database, artifact: Artifact, choices: Choices
) -> AsyncIterator[None]:
    """Take away what an online restore had begun, once its job ended because somebody wanted so.

    Whatever else ends it leaves that to be gone on with, and says so.
    """
    try:
        yield
    except ZanithError as exc:
        if not choices.online or not await find_unfinished(db, artifact.id):
            raise
        # with a code it is the server's: a timeout, or somebody who cancelled the statement alone
        if isinstance(exc, Cancelled) and exc.sqlstate is None:
            await give_up(db, artifact.id)
            exc.hint = "the unfinished column is dropped: nothing has changed"
        else:
            ways = f"the same command resumes, SELECT zanith.give_up('{artifact.id}') undoes it"
            exc.hint = "\n".join(filter(None, (exc.hint, f"the backfill is unfinished: {ways}")))
        raise


async def find_choices(db: Database, artifact_id: str) -> Choices:
    """Return the choices that an artifact was restored with."""
    async with db.acquire() as connection:
        return Choices.from_json(await connection.fetchval(SQL["choices"], artifact_id))


async def is_standing(db: Database, artifact: Artifact) -> bool:
    """Return whether what was restored is there, by the name that it came back by."""
    chosen = await find_choices(db, artifact.id)
    async with db.side() as connection:
        found: bool = await connection.fetchval(SQL["stands"], artifact.id, chosen.as_name)
    return found


async def _check_stands(db: Database, artifact: Artifact) -> None:
    """Raise Refused where what was restored has gone again since."""
    if await is_standing(db, artifact):
        return
    hint = "none of its data is parked any more: look for a newer artifact with zanith recover list"
    if artifact.archives_column:  # else it is recoverable again
        hint = (
            "its values are still parked: rename the column back where it has another name now,"
            " bring its table back first, or restore the newer artifact of the column; zanith"
            " recover list shows both"
        )
    elif artifact.keeps_archive:
        hint = "its rows are still parked: bring its table back first, or rename it back"
    by = signed(artifact.restored_by, artifact.restored_by_role)
    raise Refused(
        f"{artifact.object_name} was restored already, and no longer exists",
        detail=f"restored at {artifact.restored_at:%Y-%m-%d %H:%M:%S} UTC by {by},"
        " then dropped or renamed by somebody",
        hint=hint,
    )


async def _go_on(op: Operation, steps: tuple[Step, ...]) -> RestoreReport:
    """Prove what a restore left unproved, and return the report of that."""
    db, artifact = op.db, op.artifact
    async with op.running({"follow_up": True}):
        chosen = await find_choices(db, artifact.id)
        return await OfflineRestore(op, artifact, chosen).run_follow_up(steps)


def _nothing_to_do(artifact: Artifact) -> RestoreReport:
    return RestoreReport(artifact, None, (), None, (), already_restored=True)
