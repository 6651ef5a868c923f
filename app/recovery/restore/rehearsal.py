"""Rehearsals: a restore that runs whole, tells how long each step took, and is rolled back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import WrongUsage, ZanithError
from app.recovery.core.progress import OnProgress
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import run_locked
from app.recovery.jobs import model as jobs
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.operation import Operation, operation
from app.recovery.plan.model import Choices, Plan
from app.recovery.plan.planning import read_plan
from app.recovery.queries import load
from app.recovery.restore.document import detail_of
from app.recovery.restore.held import LockClock
from app.recovery.restore.migration import find_recoverable
from app.recovery.restore.offline import check_meaning, check_under_lock, compare, execute
from app.recovery.restore.preconditions import (
    SEAL_CHECK,
    check_parked,
    check_plan,
    recording_change,
)
from app.recovery.restore.report import RestoreReport, RowCounts, StepDone

SQL = load("restore")


class _RolledBackError(Exception):
    """Ends a rehearsal."""


async def rehearse(
    db: Database,
    artifact_id: str,
    choices: Choices | None,
    actor: Actor,
    *,
    job: jobs.Job | None = None,
    on_progress: OnProgress | None = None,
) -> RestoreReport:
    """Run a restore, roll it back, and return the report that would come, with each step's time.

    The steps of the second transaction run too, so that what they would prove is known. It takes
    the locks of the real restore and holds them for as long as all of it takes.
    """
    doing = operation(db, Kind.REHEARSE, actor, artifact_id, job=job, on_progress=on_progress)
    async with doing as op:
        what = f"the rehearsal of {op.artifact.object_name}"
        rehearsal = _Rehearsal(op, what, [op.artifact], choices or Choices())
        (report,) = await rehearsal.run_all(lambda documents: documents[0])
        return report


async def rehearse_migration(
    db: Database,
    migration_id: str,
    choices: Choices | None,
    actor: Actor,
    *,
    job: jobs.Job | None = None,
    on_progress: OnProgress | None = None,
) -> list[RestoreReport]:
    """Rehearse all that a migration dropped, newest first, each upon what came before it."""
    doing = operation(db, Kind.REHEARSE, actor, name=migration_id, job=job, on_progress=on_progress)
    async with doing as op:
        found = await find_recoverable(db, migration_id)
        what = f"the rehearsal of {migration_id}"
        rehearsal = _Rehearsal(op, what, found, choices or Choices(), many=True)
        return await rehearsal.run_all(lambda documents: {"reports": documents})


class _Rehearsal:
    """One rehearsal under way: a job, and a transaction that is rolled back."""

    def __init__(
        self,
        op: Operation,
        what: str,
        artifacts: Sequence[Artifact],
        choices: Choices,
        *,
        many: bool = False,
    ) -> None:
        self._op = op
        self._db = op.db
        self._what = what
        self._artifacts = artifacts
        self._choices = choices
        self._many = many

    async def run_all(
        self, result: Callable[[list[dict[str, Any]]], dict[str, Any]]
    ) -> list[RestoreReport]:
        """Run it under a job, whose result is made of the reports; the audit log has the steps."""
        if self._choices.online:
            raise WrongUsage(
                "the online form is many transactions, and cannot be rolled back as one",
                hint="rehearse without --online: its steps and its result are the same",
            )
        async with self._op.running({"choices": self._choices.to_json()}) as run:
            reports = await self._run_each()
            documents = [report.to_json() for report in reports]
            run.result = result(documents)
            detail = {
                **detail_of(run.job, documents),
                "choices": self._choices.to_json(),
                "steps": [step for document in documents for step in document["steps"]],
                "losses": [loss for document in documents for loss in document["losses"]],
            }
            async with self._db.side() as connection, connection.transaction():
                await self._op.record(connection, detail)
        return reports

    async def _run_each(self) -> list[RestoreReport]:
        reports: list[RestoreReport] = []

        async def work(connection: Connection) -> None:
            reports.clear()
            for artifact in self._artifacts:
                try:
                    reports.append(await self._run(connection, artifact))
                except ZanithError as error:
                    error.stopped_at = artifact.id
                    raise
            raise _RolledBackError

        with suppress(_RolledBackError):
            await run_locked(self._db, self._what, work, self._op.report)
        return reports

    async def _plan(self, connection: Connection, artifact: Artifact) -> tuple[Choices, Plan]:
        """Return the choices and the plan; of a migration as its restore would choose.

        Old values that cannot go back into their column come back beside it.
        """
        plan = await read_plan(connection, artifact.id, self._choices)
        if self._many and artifact.artifact_type == "archive_values" and plan.blocked:
            name = await connection.fetchval(SQL["name_beside"], artifact.id)
            if name is not None:
                chosen = replace(self._choices, as_name=name)
                return chosen, await read_plan(connection, artifact.id, chosen)
        return self._choices, plan

    async def _run(self, connection: Connection, artifact: Artifact) -> RestoreReport:
        done: list[StepDone] = []
        rows = artifact.row_count
        started = time.monotonic()
        async with recording_change(self._db, artifact.id):
            measured = await check_parked(
                self._db, connection, artifact, self._choices, self._op.report
            )
        if measured is not None:
            rows = measured.rows
            done.append(StepDone(SEAL_CHECK, "", round(time.monotonic() - started, 4)))
        await connection.execute(SQL["forget_counts"])
        chosen, plan = await self._plan(connection, artifact)
        check_plan(plan, None)
        total = len(done) + len(plan.steps)
        clock, lock = LockClock(plan), None
        for step in plan.steps:
            values = {"step": step.purpose, "done": len(done), "total": total}
            await self._op.tell(values)
            # between two short steps a write would take longer than they do, under their locks
            if step.grows or not done or step.transaction == 2:
                await self._op.run.progress(**values, steps=[asdict(item) for item in done])
            if step.transaction != 1 and lock is None:
                lock = clock.read()  # the restore commits here
            began = time.monotonic()
            done.append(await execute(connection, step, plan.event_triggers))
            if step.transaction == 1:
                clock.ran(step, began)
            if step.locks and step.transaction == 1:
                await check_under_lock(connection, plan, artifact.id, self._what)
        fidelity = await compare(connection, artifact.id, chosen)
        check_meaning(fidelity)
        counts = RowCounts.of(await connection.fetchval(SQL["counts"]), chosen)
        return RestoreReport(
            *(artifact, fidelity, tuple(done), rows, plan.losses),
            rehearsed=True,
            counts=counts,
            companions=plan.companions,
            lock=lock or clock.read(),
            verified=measured is not None and artifact.sealed_at is not None,
        )


async def try_restore(
    db: Database, connection: Connection, artifact: Artifact, choices: Choices, plan: Plan
) -> None:
    """Run a restore in the caller's transaction, which the caller rolls back.

    It raises what the restore would raise. It is no job, and the log does not have it.
    """
    async with recording_change(db, artifact.id):
        await check_parked(db, connection, artifact, choices, None)
    await connection.execute(SQL["forget_counts"])
    what = f"the restore of {artifact.object_name}"
    for step in plan.steps:
        await execute(connection, step, plan.event_triggers)
        if step.locks and step.transaction == 1:
            await check_under_lock(connection, plan, artifact.id, what)
    check_meaning(await compare(connection, artifact.id, choices))
