"""A whole migration: everything that it dropped, newest first, one transaction each."""

from __future__ import annotations

from dataclasses import replace

from app.recovery.artifacts.lookup import find_migration
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import ZanithError
from app.recovery.core.progress import OnProgress
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices, Conflict, Drift, Plan, changed_plan
from app.recovery.plan.planning import plan_restore
from app.recovery.queries import load
from app.recovery.restore.preconditions import require_approved_restore
from app.recovery.restore.report import RestoreReport
from app.recovery.restore.restore import restore

SQL = load("restore")


async def find_recoverable(db: Database, migration_id: str) -> list[Artifact]:
    """Return what of a migration is left to restore, newest first.

    What is already restored, and what a rebuild only recorded, is left out. Archived rows come
    after those that their foreign keys refer to.
    """
    found = [
        artifact
        for artifact in await find_migration(db, migration_id)
        if artifact.status == "recoverable" and artifact.artifact_type != "rebuild_table"
    ]
    async with db.side() as connection:
        needs = await connection.fetch(SQL["rows_first"], [artifact.id for artifact in found])
    return _in_order(found, {row["id"]: row["first"] for row in needs})


def _in_order(found: list[Artifact], needs: dict[str, list[str]]) -> list[Artifact]:
    """Move each artifact behind those that it needs; of a circle nothing is known to be first."""
    known = {artifact.id: artifact for artifact in found}
    ordered: dict[str, Artifact] = {}

    def place(name: str, above: frozenset[str]) -> None:
        if name in ordered or name in above:
            return
        for first in needs.get(name, ()):
            if first in known:
                place(first, above | {name})
        ordered[name] = known[name]

    for artifact in found:
        place(artifact.id, frozenset())
    return list(ordered.values())


async def plan_migration(
    db: Database, migration_id: str, choices: Choices | None = None
) -> list[tuple[Artifact, Plan]]:
    """Return what restoring a migration would do, newest first.

    Each plan is of today's catalog; one that only waits for another says so, and is
    stopped by nothing: the other comes back before it.
    """
    planned: list[tuple[Artifact, Plan]] = []
    for artifact in await find_recoverable(db, migration_id):
        plan = await plan_restore(db, artifact.id, await _beside(db, artifact, choices))
        before = {earlier.id for earlier, _ in planned}
        blocking: list[Conflict | Drift] = [*plan.conflicts, *(d for d in plan.drift if d.blocks)]
        waits = {one for stop in blocking for one in stop.waits_for} & before
        stops = tuple(c for c in plan.conflicts if not waits.intersection(c.waits_for))
        drift = tuple(d for d in plan.drift if not d.blocks or not waits.intersection(d.waits_for))
        waiting = replace(plan, conflicts=stops, drift=drift, waits_for=tuple(sorted(waits)))
        planned.append((artifact, waiting))
    return planned


async def _beside(db: Database, artifact: Artifact, choices: Choices | None) -> Choices | None:
    """Return the choices, with a name for old values that cannot go back into their column."""
    if artifact.artifact_type != "archive_values":
        return choices
    if not (await plan_restore(db, artifact.id, choices)).blocked:
        return choices
    async with db.side() as connection:
        name = await connection.fetchval(SQL["name_beside"], artifact.id)
    return choices if name is None else replace(choices or Choices(), as_name=name)


async def restore_migration(
    db: Database,
    migration_id: str,
    choices: Choices | None,
    actor: Actor,
    *,
    expected: list[tuple[Artifact, Plan]] | None = None,
    reports: list[RestoreReport] | None = None,
    on_progress: OnProgress | None = None,
) -> list[RestoreReport]:
    """Restore everything that a migration dropped, and return the reports.

    Refused, with nothing changed, where the plans are others than the expected ones. Stops at the
    first that cannot be restored, whose error names it; what came before it stays restored,
    `reports` holds what came of it, and running it again goes on from there.
    """
    done = reports if reports is not None else []
    if expected is not None:
        await _check_plans(db, migration_id, choices, expected)
    await _require_approvals(db, migration_id, choices, actor)
    for artifact in await find_recoverable(db, migration_id):
        try:
            chosen = await _beside(db, artifact, choices)
            done.append(await restore(db, artifact.id, chosen, actor, on_progress=on_progress))
        except ZanithError as error:
            error.stopped_at = artifact.id
            raise
    return done


async def _require_approvals(
    db: Database, migration_id: str, choices: Choices | None, actor: Actor
) -> None:
    """Raise before the first one runs where one of them still needs an approval."""
    if choices is None or not choices.unverified:
        return
    for artifact, plan in await plan_migration(db, migration_id, choices):
        chosen = await _beside(db, artifact, choices) or choices
        try:
            await require_approved_restore(db, artifact, chosen, plan, actor)
        except ZanithError as error:
            error.stopped_at = artifact.id
            raise


async def _check_plans(
    db: Database,
    migration_id: str,
    choices: Choices | None,
    expected: list[tuple[Artifact, Plan]],
) -> None:
    """Compare all plans before the first runs: afterwards each is of another catalog."""
    now = await plan_migration(db, migration_id, choices)
    shown = {artifact.id: plan.digest for artifact, plan in expected}
    if {artifact.id: plan.digest for artifact, plan in now} != shown:
        raise changed_plan(f"the migration {migration_id}")
