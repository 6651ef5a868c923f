"""A restore in one transaction: planned again in it, verified, executed step by step, compared.

What proves constraints follows its commit.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import asyncpg

from app.recovery.artifacts.companions import Companion
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.errors import Locked, Refused, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.core.names import quote
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import begin, run_locked, run_savepoint
from app.recovery.db.transactions import notify, transaction
from app.recovery.jobs.approvals import use_approval
from app.recovery.jobs.operation import Operation
from app.recovery.plan.execute import run_step
from app.recovery.plan.model import Choices, EventTrigger, Loss, Plan, Step
from app.recovery.plan.parsing import parse_steps
from app.recovery.plan.planning import plan_restore, read_plan
from app.recovery.queries import load
from app.recovery.restore.document import detail_of
from app.recovery.restore.held import LockClock, LockHeld
from app.recovery.restore.preconditions import (
    check_parked,
    check_plan,
    recording_change,
    unverified_digest,
)
from app.recovery.restore.report import RestoreReport, RowCounts, StepDone

SQL = load("restore")
PLAN = load("plan")


class OfflineRestore:
    """One restore under way: what is checked and what is changed is one transaction."""

    def __init__(
        self,
        op: Operation,
        artifact: Artifact,
        choices: Choices,
        expected_digest: str | None = None,
    ) -> None:
        self._op = op
        self._db = op.db
        self._artifact = artifact
        self._choices = choices
        self._expected_digest = expected_digest
        self._done: list[StepDone] = []
        self._told: list[dict[str, Any]] = []  # the same, as listeners get it
        self._rows: int | None = artifact.row_count
        self._verified = False
        self._event_triggers: tuple[EventTrigger, ...] = ()
        self._fidelity: dict[str, Any] | None = None
        self._counts: RowCounts | None = None
        self._companions: tuple[Companion, ...] = ()
        self._clock: LockClock | None = None
        self._lock: LockHeld | None = None

    async def run_all(self) -> RestoreReport:
        """Do everything, in order, and return the report."""
        plan = await plan_restore(self._db, self._artifact.id, self._choices, decisive=True)
        check_plan(plan, None)
        async with (
            recording_change(self._db, self._artifact.id),
            self._db.acquire() as connection,
            begin(self._db, connection),
        ):
            await self._check(connection)
            plan = await run_savepoint(
                self._db, connection, self._what, self._change, self._op.report
            )
        return await self._end(plan)

    async def _end(self, plan: Plan) -> RestoreReport:
        later = [step for step in plan.steps if step.transaction == 2]
        if not later:
            self._op.run.finished = True
            return self._report(await get_artifact(self._db, self._artifact.id), plan.losses)
        return await self.run_follow_up(tuple(later), plan.losses, len(plan.steps))

    async def run_follow_up(
        self, steps: tuple[Step, ...], losses: tuple[Loss, ...] = (), total: int | None = None
    ) -> RestoreReport:
        """Run what follows the commit, and return the report of all."""
        losses += await self._follow_up(steps, total or len(steps))
        if self._choices.online and not any(loss.code == "not_validated" for loss in losses):
            # a partition that came since the plan was made lacks what the others have
            late = await find_follow_up(self._db, self._artifact.id)
            losses += await self._follow_up(late, len(late))
        await self._op.report({"done": total or len(steps), "total": total or len(steps)})
        async with self._db.acquire() as connection:
            self._fidelity = await compare(connection, self._artifact.id, self._choices)
        report = self._report(await get_artifact(self._db, self._artifact.id), losses)
        await self._record_follow_up(report)
        return report

    async def _record_follow_up(self, report: RestoreReport) -> None:
        """Write to the log what the report is now: the entry of the restore has that before."""
        document = report.to_json()
        detail = {
            **detail_of(self._op.run.job, [document]),
            "follow_up": True,
            "losses": document["losses"],
        }
        async with self._db.acquire() as connection, connection.transaction():
            await self._op.record(connection, detail)
        self._op.run.result = document

    @property
    def _what(self) -> str:
        return f"the restore of {self._artifact.object_name}"

    async def _check(self, connection: Connection) -> None:
        asked = (self._db, connection, self._artifact, self._choices)
        measured = await check_parked(*asked, self._op.report)
        if measured is not None:
            self._rows = measured.rows
            self._verified = self._artifact.sealed_at is not None

    async def _plan_again(self, connection: Connection) -> Plan:
        """Plan against the catalog as it is now, with no more checks than decide something."""
        asked = (connection, self._artifact.id, self._choices)
        plan = await read_plan(*asked, decisive=True)
        if plan.blocked or self._expected_digest not in {None, plan.digest}:
            return await read_plan(*asked)
        return plan

    async def _change(self, connection: Connection) -> Plan:
        """Plan again, run the first transaction's steps, record the result; in a savepoint."""
        self._done = []
        self._told = []
        await connection.execute(SQL["forget_counts"])
        plan = await self._plan_again(connection)
        check_plan(plan, self._expected_digest)
        await self._use_approval(connection, plan)
        self._clock = LockClock(plan)
        self._event_triggers = plan.event_triggers
        self._companions = plan.companions
        steps = [step for step in plan.steps if step.transaction == 1]
        if not any(step.grows for step in steps):
            await self._warm(connection)
        await connection.execute(SQL["lift_pins"], self._artifact.id)
        for number, step in enumerate(steps):
            await self._announce(step, number, len(plan.steps))
            await self._execute(connection, step)
            if step.locks:
                await self._look_under_lock(connection, plan)
        counted = {"done": len(steps), "total": len(plan.steps)}
        await self._op.tell({"step": "recording the result", **counted})
        self._fidelity = await compare(connection, self._artifact.id, self._choices)
        check_meaning(self._fidelity)
        self._counts = await self._count(connection)
        await self._check_names(connection, plan)
        await connection.execute(SQL["renew_pins"], self._artifact.id)
        await self._record_result(connection, plan)
        return plan

    async def _use_approval(self, connection: Connection, plan: Plan) -> None:
        """Use the approval of a restore that skips the seal, where one is needed."""
        if not self._choices.unverified:
            return
        job = self._op.run.job
        name, digest = self._artifact.object_name, unverified_digest(plan, self._choices)
        about = (Change.UNVERIFIED, self._artifact.id, name, digest, self._op.actor, job.id)
        await use_approval(connection, self._db, *about, asked=bool(job.params.get("approval")))

    async def _check_names(self, connection: Connection, plan: Plan) -> None:
        """Raise Refused where another table was put in the place of one since the plan was made."""
        if self._artifact.source_column is not None:
            await check_owners(connection, plan, self._what)
        await connection.execute(SQL["check_partners"], self._artifact.id, self._choices.to_json())

    async def _look_under_lock(self, connection: Connection, plan: Plan) -> None:
        """Raise Refused where what was planned is not so any more under the lock."""
        await check_under_lock(connection, plan, self._artifact.id, self._what)

    async def _warm(self, connection: Connection) -> None:
        """Compare once before the lock is taken, under the parked name; the answer is not used.

        The first time in a session plans what is asked, and that takes longer than all steps of a
        restore that moves no rows.
        """
        parked = (self._artifact.id, self._artifact.physical_name)
        with suppress(asyncpg.PostgresError):
            async with transaction(connection):
                await connection.execute(SQL["compare"], *parked)

    async def _announce(self, step: Step, number: int, total: int) -> None:
        """Say which step begins; into the job's row where there is time to read it.

        Between two short steps that write would be most of the time for which the lock is held.
        """
        values = {
            "step": step.purpose,
            "done": number,
            "total": total,
            "steps": [*self._told],
        }
        await self._op.tell(values)
        if step.grows or step.transaction == 2 or number == 0:
            await self._op.run.progress(**values)

    async def _execute(self, connection: Connection, step: Step) -> None:
        began = time.monotonic()
        self._done.append(await execute(connection, step, self._event_triggers))
        if self._clock is not None and step.transaction == 1:
            self._clock.ran(step, began)
        self._told.append(asdict(self._done[-1]))

    async def _execute_alone(self, step: Step) -> None:
        """Run a step that takes no transaction about it: it waits for others, and nobody for it."""
        async with self._db.acquire() as connection:
            await self._execute(connection, step)

    async def _count(self, connection: Connection) -> RowCounts | None:
        return RowCounts.of(await connection.fetchval(SQL["counts"]), self._choices)

    async def _record_result(self, connection: Connection, plan: Plan) -> None:
        """Mark the row, write the log, end or fence the job: all commits with the change."""
        marked = await connection.fetchval(
            SQL["mark"],
            *(self._artifact.id, self._op.actor.name, self._verified, self._artifact.restored_at),
        )
        if marked is None:
            raise Refused(f"{self._artifact.object_name} was restored or purged meanwhile")
        await connection.execute(SQL["renew_script"], self._artifact.id)
        asked = (self._artifact.id, self._choices.as_name)
        column = await connection.fetchval(SQL["restored_column"], *asked)
        self._lock = self._clock.read() if self._clock is not None else None
        report = self._report(self._artifact, plan.losses).to_json()
        detail = {
            **detail_of(self._op.run.job, [report]),
            "choices": self._choices.to_json(),
            "digest": plan.digest,
            "verified": self._verified,
            "unverified": self._choices.unverified,
            "rows": self._rows,
            "row_counts": asdict(self._counts) if self._counts else None,
            "steps": self._told,
            "losses": [asdict(loss) for loss in plan.losses],
            "fidelity": self._fidelity,
            "column": column,
        }
        # In a subtransaction: its number is higher than those of all that this restore wrote.
        async with connection.transaction():
            await self._op.record(connection, detail)
        await notify(connection, "artifact", self._artifact.id)
        if any(step.transaction == 2 for step in plan.steps):
            await self._op.run.fence(connection, committed=True)
        else:
            await self._op.run.finish(connection, report)

    async def _follow_up(self, steps: tuple[Step, ...], total: int) -> tuple[Loss, ...]:
        """Run what follows the commit, each step for itself; what fails is a loss, said as one.

        Steps that prove one constraint are a chain: after a failure the rest of it is left alone.
        """
        losses: list[Loss] = []
        broken: set[str | None] = set()
        for number, step in enumerate(steps):
            if step.subject is not None and step.subject in broken:
                losses.append(Loss("not_validated", f"{step.purpose}: still to do: {step.sql}"))
                continue
            await self._announce(step, total - len(steps) + number, total)

            async def work(connection: Connection, step: Step = step) -> None:
                await self._execute(connection, step)

            try:
                if step.concurrently:
                    await self._execute_alone(step)
                else:
                    await run_locked(self._db, step.purpose, work, self._op.report)
            except ZanithError as exc:
                why = f"{exc.for_log}; still to do: {step.sql}"
                losses.append(Loss("not_validated", f"{step.purpose}: {why}"))
                broken.add(step.subject)
        return tuple(losses)

    def _report(self, artifact: Artifact, losses: tuple[Loss, ...]) -> RestoreReport:
        restored = replace(artifact, status="restored")
        return RestoreReport(
            *(restored, self._fidelity, tuple(self._done), self._rows, losses),
            counts=self._counts,
            companions=self._companions,
            lock=self._lock,
            verified=self._verified,
            job_id=self._op.run.job.id,
        )


async def check_under_lock(connection: Connection, plan: Plan, artifact_id: str, what: str) -> None:
    """Keep the schemas' names, then raise Refused where a table is another or somebody else's."""
    await connection.execute(SQL["pin_schemas"], artifact_id)
    await check_owners(connection, plan, what)


async def check_owners(connection: Connection, plan: Plan, what: str) -> None:
    """Raise Refused where a table got another owner until the lock was there."""
    if plan.owners != await connection.fetchval(PLAN["owners"], list(plan.owners)):
        raise Refused(
            f"{what} was planned for another owner of the table",
            detail="the table was given to another role, or exchanged, a moment ago",
            hint="look at the plan again",
        )


async def find_follow_up(db: Database, artifact_id: str) -> tuple[Step, ...]:
    """Return the steps that were to follow a restore and did not, as after a crash; none mostly."""
    async with db.acquire() as connection:
        return parse_steps(await connection.fetchval(SQL["follow_up"], artifact_id))


async def execute(
    connection: Connection, step: Step, event_triggers: tuple[EventTrigger, ...] = ()
) -> StepDone:
    """Run one step and return it with its seconds; an error says in the course of what.

    One that an event trigger raised names it.
    """
    try:
        return StepDone(step.purpose, step.sql, await run_step(connection, step))
    except asyncpg.PostgresError as exc:
        error = translate(exc)
        if isinstance(error, Locked):
            raise
        context = getattr(exc, "context", None) or ""
        for trigger in event_triggers:
            names = (trigger.function, trigger.short)
            if any(f" function {name} " in context for name in names):
                name = quote(trigger.name)
                error.message = f"the event trigger {name} failed: {error.message}"
                error.hint = (
                    "It fires for DDL. Give its function a search path"
                    f" (ALTER FUNCTION {trigger.function} SET search_path = …), or disable it for"
                    f" the length of this: ALTER EVENT TRIGGER {name} DISABLE."
                )
                break
        raise error.within(step.purpose, "everything was rolled back") from exc


async def compare(connection: Connection, artifact_id: str, choices: Choices) -> dict[str, Any]:
    """Return the fidelity report: the record beside the catalog, under the name that was chosen."""
    asked = (artifact_id, choices.as_name)
    found: dict[str, Any] = await connection.fetchval(SQL["compare"], *asked)
    return found


def check_meaning(fidelity: dict[str, Any]) -> None:
    """Raise Refused where an expression that came back calls what it did not call before.

    Its text was read under the search path of the owner, and may have found another function there.
    """
    for found in fidelity.get("meaning") or ():
        raise Refused(
            f"{found['part']} would call the {found['calls']}, and did not when it was recorded",
            detail="under the search path of the restore its text means something else",
            hint="choose another search path with --search-path, or rename that object meanwhile",
        )
