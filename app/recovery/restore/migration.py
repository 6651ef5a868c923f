"""A whole migration: everything that it dropped, newest first, one transaction each, one job."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.migrations import find_all
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotConfirmed, NotPermitted, Refused, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.core.progress import OnProgress
from app.recovery.core.tasks import gather
from app.recovery.db.database import Database
from app.recovery.jobs import audit
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.jobs.operation import Operation, attempt, operation
from app.recovery.jobs.parts import PartOfRun, take_artifact
from app.recovery.plan.model import Choices, Conflict, Drift, Plan, changed_plan
from app.recovery.plan.planning import plan_restore, with_seal
from app.recovery.queries import load
from app.recovery.restore.document import detail_of
from app.recovery.restore.offline import OfflineRestore
from app.recovery.restore.preconditions import (
    approval_params,
    check_plan,
    require_approved_restore,
)
from app.recovery.restore.report import RestoreReport

SQL = load("restore")
OF_ONE = ("as_name", "online", "fire_triggers")
"""Choices that are each of one object: a migration is not restored with them."""
AT_ONCE = 3
"""Objects that are planned at once, each over a connection of its own."""


async def find_recoverable(db: Database, migration_id: str) -> list[Artifact]:
    """Return what of a migration is left to restore, newest first.

    What is already restored, and what a rebuild only recorded, is left out. Archived rows come
    after those that their foreign keys refer to.
    """
    found, _ = await find_all(db, migration_id)
    return await in_restore_order(db, found)


async def in_restore_order(db: Database, artifacts: Sequence[Artifact]) -> list[Artifact]:
    """Return those of a migration's artifacts, newest first, that are left to restore."""
    found = [
        artifact
        for artifact in artifacts
        if artifact.status == "recoverable" and artifact.artifact_type != "rebuild_table"
    ]
    rows = [artifact.id for artifact in found if artifact.artifact_type == "archive_rows"]
    needs: list[Any] = []
    if rows:
        async with db.side() as connection:
            needs = await connection.fetch(SQL["rows_first"], rows)
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
    found = await find_recoverable(db, migration_id)
    for artifact, plan in await plan_each(db, found, choices):
        if isinstance(plan, ZanithError):
            raise plan
        planned.append((artifact, plan))
    return planned


async def plan_each(
    db: Database,
    artifacts: Sequence[Artifact],
    choices: Choices | None = None,
    *,
    actor: Actor | None = None,
) -> list[tuple[Artifact, Plan | ZanithError]]:
    """Return the plans of artifacts that come back in this order; an error where there is none.

    Some are planned at once. For an ``actor`` as `plan_restore` has it.
    """
    plans: dict[str, Plan | ZanithError] = {}
    left = iter(artifacts)

    async def work() -> None:
        for artifact in left:
            try:
                chosen = await _beside(db, artifact, choices, actor)
                plans[artifact.id] = await plan_restore(db, artifact.id, chosen, actor=actor)
            except NotPermitted:
                raise
            except ZanithError as error:
                error.stopped_at = artifact.id
                plans[artifact.id] = error

    await gather(*(work() for _ in range(min(AT_ONCE, len(artifacts)))))
    planned: list[tuple[Artifact, Plan | ZanithError]] = []
    before: set[str] = set()
    for artifact in artifacts:
        plan = plans[artifact.id]
        planned.append((artifact, after_others(plan, before) if isinstance(plan, Plan) else plan))
        before.add(artifact.id)
    return planned


def after_others(plan: Plan, before: set[str]) -> Plan:
    """Return the plan without what stops it only until those before it are back."""
    blocking: list[Conflict | Drift] = [*plan.conflicts, *(d for d in plan.drift if d.blocks)]
    waits = {one for stop in blocking for one in stop.waits_for} & before
    stops = tuple(c for c in plan.conflicts if not waits.intersection(c.waits_for))
    drift = tuple(d for d in plan.drift if not d.blocks or not waits.intersection(d.waits_for))
    return replace(plan, conflicts=stops, drift=drift, waits_for=tuple(sorted(waits)))


async def _beside(
    db: Database, artifact: Artifact, choices: Choices | None, actor: Actor | None = None
) -> Choices | None:
    """Return the choices, with a name for old values that cannot go back into their column."""
    if artifact.artifact_type != "archive_values":
        return choices
    if not (await plan_restore(db, artifact.id, choices, actor=actor)).blocked:
        return choices
    async with db.side() as connection:
        name = await connection.fetchval(SQL["name_beside"], artifact.id)
    return choices if name is None else replace(choices or Choices(), as_name=name)


def digest_of_all(planned: Sequence[tuple[Artifact, Plan]]) -> str:
    """Return the SHA-256 of all plans in their order: what somebody confirms of a migration."""
    text = json.dumps([[artifact.id, plan.digest] for artifact, plan in planned])
    return hashlib.sha256(text.encode()).hexdigest()


def require_migration(typed: str | None, migration_id: str) -> None:
    """Raise NotConfirmed unless what was typed is the id; white space of any kind is a space."""
    said = " ".join((typed or "").split())
    if typed != migration_id and (not said or said != " ".join(migration_id.split())):
        raise NotConfirmed(
            "not confirmed: nothing was changed",
            detail=f"typed: {said}" if said else "no migration id was typed",
            hint=f"type the migration id: {migration_id}",
        )


def check_all(
    migration_id: str,
    planned: Sequence[tuple[Artifact, Plan]],
    choices: Choices,
    expected_digest: str | None,
) -> None:
    """Raise Refused where nothing is left, one plan cannot run, or they are not those confirmed."""
    if not planned:
        raise Refused(f"nothing of {migration_id} is left to restore")
    for artifact, plan in planned:
        try:
            check_plan(with_seal(plan, choices), None)
        except Refused as error:
            error.stopped_at = artifact.id
            raise
    if expected_digest not in {None, digest_of_all(planned)}:
        raise changed_plan(f"the migration {migration_id}")


def job_params(
    choices: Choices, digest: str | None, *, approvals: frozenset[Change] = frozenset()
) -> dict[str, Any]:
    """Return what a job has to know so that any worker can run it; its object is the migration.

    ``approvals`` as the job of one restore has them.
    """
    params: dict[str, Any] = {"choices": choices.to_json(), "digest": digest}
    return params | approval_params(choices, approvals)


async def restore_migration(
    db: Database,
    migration_id: str,
    choices: Choices | None,
    actor: Actor,
    *,
    expected_digest: str | None = None,
    reports: list[RestoreReport] | None = None,
    job: Job | None = None,
    on_progress: OnProgress | None = None,
) -> list[RestoreReport]:
    """Restore everything that a migration dropped under one job, and return the reports.

    Refused, with nothing changed, where the plans are not those of the digest; Locked where
    another restore of it runs. Stops at the first that cannot be restored, whose error names it;
    what came before it stays restored, `reports` holds what came of it, and running it again goes
    on from there. Without a job none is made where nothing is left to restore.
    """
    done = reports if reports is not None else []
    choices = choices or Choices()
    if job is None and not await find_recoverable(db, migration_id):
        return done
    doing = operation(
        *(db, Kind.RESTORE_MIGRATION, actor), name=migration_id, job=job, on_progress=on_progress
    )
    params = job_params(choices, expected_digest, approvals=db.approvals)
    async with doing as op, op.running(params) as run:
        if expected_digest is not None:
            await _check_plans(db, migration_id, choices, expected_digest)
        await require_approvals(db, migration_id, choices, actor)
        found = await find_recoverable(db, migration_id)
        await _MigrationRestore(op, found, choices, done).run_all()
        run.finished = True
    return done


async def require_approvals(
    db: Database, migration_id: str, choices: Choices, actor: Actor
) -> None:
    """Raise before the first one runs where one of them still needs an approval."""
    if not choices.unverified:
        return
    for artifact, plan in await plan_migration(db, migration_id, choices):
        chosen = await _beside(db, artifact, choices) or choices
        try:
            await require_approved_restore(db, artifact, chosen, plan, actor)
        except ZanithError as error:
            error.stopped_at = artifact.id
            raise


async def _check_plans(
    db: Database, migration_id: str, choices: Choices, expected_digest: str
) -> None:
    """Compare all plans before the first runs: afterwards each is of another catalog."""
    if digest_of_all(await plan_migration(db, migration_id, choices)) != expected_digest:
        raise changed_plan(f"the migration {migration_id}")


class _MigrationRestore:
    """The restore of a migration under way: what became of each object is in the job's progress.

    The entry of an object is written in the transaction that restores it.
    """

    def __init__(
        self,
        op: Operation,
        found: Sequence[Artifact],
        choices: Choices,
        reports: list[RestoreReport],
    ) -> None:
        self._op = op
        self._db = op.db
        self._found = found
        self._choices = choices
        self._reports = reports
        self._outcomes = [_outcome(artifact, "waiting") for artifact in found]

    async def run_all(self) -> None:
        """Restore each in order; end the job in the transaction that writes the log."""
        await self._op.run.progress(**self._so_far())
        try:
            for number, artifact in enumerate(self._found):
                try:
                    self._reports.append(await self._restore(number, artifact))
                except ZanithError as error:
                    error.stopped_at = artifact.id
                    self._set(number, audit.outcome_of(error), error.for_log)
                    raise
        except BaseException:
            self._op.run.result = self._result()
            raise
        await self._end()

    async def _restore(self, number: int, artifact: Artifact) -> RestoreReport:
        name = artifact.object_name
        async with attempt(self._db, self._op.actor, Kind.RESTORE, artifact.id, name):
            await take_artifact(self._op, artifact.id)
            artifact = await get_artifact(self._db, artifact.id)
            if artifact.status == "restored":
                self._set(number, "restored", "it was restored already")
                return RestoreReport(artifact, None, (), None, (), already_restored=True)
            await self._op.run.progress(object=name, step="planning", **self._so_far())
            chosen = await _beside(self._db, artifact, self._choices)

            def committed() -> dict[str, Any]:
                return self._so_far(number, "restored")

            part = self._op.part(Kind.RESTORE, artifact, PartOfRun(self._op.run, committed))
            report = await OfflineRestore(part, artifact, chosen or Choices()).run_all()
            unproved = [loss for loss in report.losses if loss.code == "not_validated"]
            self._set(number, "restored", "not everything was validated" if unproved else None)
            return report

    def _set(self, number: int, outcome: str, why: str | None = None) -> None:
        self._outcomes[number] = _outcome(self._found[number], outcome, why)

    def _so_far(self, number: int | None = None, outcome: str = "") -> dict[str, Any]:
        """Return how far it is, also of one whose transaction is about to commit."""
        outcomes = list(self._outcomes)
        if number is not None:
            outcomes[number] = _outcome(self._found[number], outcome)
        done = sum(item["outcome"] == "restored" for item in outcomes)
        return {"done": done, "total": len(outcomes), "results": outcomes}

    def _result(self) -> dict[str, Any]:
        reports = [report.to_json() for report in self._reports]
        return {"results": list(self._outcomes), "reports": reports}

    async def _end(self) -> None:
        result = self._result()
        objects = [[item["artifact_id"], item["object"]] for item in self._outcomes]
        async with self._db.side() as connection, connection.transaction():
            detail = {
                **detail_of(self._op.run.job, result["reports"]),
                "choices": self._choices.to_json(),
                "objects": objects,
            }
            await self._op.record(connection, detail)
            await self._op.run.finish(connection, result)


def _outcome(artifact: Artifact, outcome: str, why: str | None = None) -> dict[str, Any]:
    return {
        "artifact_id": artifact.id,
        "object": artifact.title,
        "outcome": outcome,
        "why": why,
    }
