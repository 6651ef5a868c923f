"""Rehearsals: a restore that runs whole, tells how long each step took, and is rolled back."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress

from app.recovery.artifact import Artifact
from app.recovery.database import Actor, Connection, Database, require_change
from app.recovery.errors import WrongUsage
from app.recovery.gate import ChangedArchive, check_parked, check_plan, note_changed
from app.recovery.locks import run_locked
from app.recovery.lookup import get_artifact
from app.recovery.migration import find_recoverable
from app.recovery.plan import Choices, read_plan
from app.recovery.progress import OnProgress, tell
from app.recovery.report import RestoreReport, StepDone
from app.recovery.restoring import check_meaning, compare, execute


class _RolledBackError(Exception):
    """Ends a rehearsal."""


async def rehearse(
    db: Database,
    artifact_id: str,
    choices: Choices | None,
    actor: Actor,
    *,
    on_progress: OnProgress | None = None,
) -> RestoreReport:
    """Run a restore, roll it back, and return the report that would come, with each step's time.

    The steps of the second transaction run too, so that what they would prove is known. It takes
    the locks of the real restore and holds them for as long as all of it takes.
    """
    artifact = await get_artifact(db, artifact_id)
    what = f"the rehearsal of {artifact.object_name}"
    return (await _rehearse(db, what, [artifact], choices, actor, on_progress))[0]


async def rehearse_migration(
    db: Database,
    migration_id: str,
    choices: Choices | None,
    actor: Actor,
    *,
    on_progress: OnProgress | None = None,
) -> list[RestoreReport]:
    """Rehearse all that a migration dropped, newest first, each upon what came before it."""
    found = await find_recoverable(db, migration_id)
    return await _rehearse(
        db, f"the rehearsal of {migration_id}", found, choices, actor, on_progress
    )


async def _rehearse(
    db: Database,
    what: str,
    artifacts: Sequence[Artifact],
    choices: Choices | None,
    actor: Actor,
    on_progress: OnProgress | None,
) -> list[RestoreReport]:
    require_change(actor, "rehearse a restore")
    if choices is not None and choices.online:
        raise WrongUsage(
            "the online form is many transactions, and cannot be rolled back as one",
            hint="rehearse without --online: the steps and what comes back are the same",
        )
    reports: list[RestoreReport] = []

    async def work(connection: Connection) -> None:
        reports.clear()
        reports.extend(
            [
                await _run(db, connection, artifact, choices or Choices(), on_progress)
                for artifact in artifacts
            ]
        )
        raise _RolledBackError

    with suppress(_RolledBackError):
        await run_locked(db, what, work, on_progress)
    return reports


async def _run(
    db: Database,
    connection: Connection,
    artifact: Artifact,
    choices: Choices,
    on_progress: OnProgress | None,
) -> RestoreReport:
    done: list[StepDone] = []
    rows = artifact.row_count
    if not choices.unverified and artifact.artifact_type != "soft_drop_column":
        started = time.monotonic()
        try:
            measured = await check_parked(db, connection, artifact, on_progress)
        except ChangedArchive:
            await note_changed(db, artifact.id)
            raise
        if measured is not None:
            rows = measured.rows
            words = "check the archive against its seal"
            done.append(StepDone(words, "", round(time.monotonic() - started, 4)))
    plan = await read_plan(connection, artifact.id, choices)
    check_plan(plan, None)
    for number, step in enumerate(plan.steps):
        await tell(on_progress, {"step": step.purpose, "done": number, "total": len(plan.steps)})
        done.append(await execute(connection, step, plan.event_triggers))
    fidelity = await compare(connection, artifact.id, choices)
    check_meaning(fidelity)
    return RestoreReport(artifact, fidelity, tuple(done), rows, plan.losses, rehearsed=True)
