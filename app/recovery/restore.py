"""Restores: planned again in the transaction, verified, executed step by step, compared."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, replace
from typing import Any

import asyncpg

from app.recovery import audit, jobs
from app.recovery.artifact import Artifact
from app.recovery.database import (
    Actor,
    Connection,
    Database,
    notify,
    require_change,
    transaction,
)
from app.recovery.errors import (
    Cancelled,
    Failed,
    Locked,
    NotFound,
    Refused,
    WrongUsage,
    ZanithError,
    translate,
)
from app.recovery.filling import ROUNDS, Filling, find_unfinished, give_up
from app.recovery.gate import SQL, ChangedArchive, check_parked, note_changed
from app.recovery.locks import begin, run_locked, run_savepoint
from app.recovery.lookup import find_latest, get_artifact
from app.recovery.names import parse_name
from app.recovery.pace import SQL as ONLINE
from app.recovery.pace import Limits
from app.recovery.plan import (
    Choices,
    Loss,
    Plan,
    Step,
    parse_steps,
    plan_restore,
    read_plan,
    run_step,
)
from app.recovery.progress import OnProgress, tell
from app.recovery.report import RestoreReport, StepDone

COLUMN_TYPES = ("soft_drop_column", "archive_column")
TABLE_TYPES = ("soft_drop_table", "archive_table")


class PartitionsMovedError(Exception):
    """A partition came or went between the comparison and the lock: all is compared again."""


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
    types = COLUMN_TYPES if is_column else TABLE_TYPES
    async with db.acquire() as connection:
        found = await find_latest(connection, schema, path[-1], column, types)
    if found is None:
        raise NotFound(f"no dropped {kind} {name} is recoverable", hint="see zanith recover list")
    return await get_artifact(db, found)


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
    require_change(actor, "restore")
    choices = choices or Choices()
    (limits or Limits()).check()
    artifact = await get_artifact(db, artifact_id)
    if artifact.status == "restored" and job is None:
        left = await find_follow_up(db, artifact.id)
        return (
            await _go_on(db, artifact, left, actor, on_progress)
            if left
            else _nothing_to_do(artifact)
        )
    async with audit.recording_failure(db, actor, "restore", artifact.id, artifact.object_name):
        params = job_params(artifact, choices, expected_digest, limits)
        job = job or await jobs.start(
            db, "restore", artifact.id, params, actor, object=artifact.object_name
        )
        async with _given_up_when_cancelled(db, artifact, choices), jobs.running(db, job) as run:
            artifact = await get_artifact(db, artifact.id)
            if artifact.status == "restored":
                run.result = _nothing_to_do(artifact).to_json()
                return _nothing_to_do(artifact)
            work = _Restore(db, artifact, choices, actor, expected_digest, run, on_progress)
            if works_in_batches(artifact, choices):
                return await work.run_online(limits or Limits())
            return await work.run_all()


def works_in_batches(artifact: Artifact, choices: Choices) -> bool:
    """Whether it can rest and be gone on with: of what is online, only archived values are."""
    return choices.online and artifact.artifact_type == "archive_column"


def job_params(
    artifact: Artifact, choices: Choices, digest: str | None, limits: Limits | None = None
) -> dict[str, Any]:
    """Return what a job has to know so that any worker can run it, or go on with it."""
    batches = works_in_batches(artifact, choices)
    return {
        "choices": choices.to_json(),
        "digest": digest,
        "online": batches,
        "limits": (limits or Limits()).to_json() if batches else None,
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
            exc.hint = "the column that was being filled is gone again: all is as it was"
        else:
            ways = f"the same command goes on, SELECT zanith.give_up('{artifact.id}') undoes it"
            exc.hint = "\n".join(filter(None, (exc.hint, f"it is half filled: {ways}")))
        raise


async def find_follow_up(db: Database, artifact_id: str) -> tuple[Step, ...]:
    """Return the steps that were to follow a restore and did not, as after a crash; none mostly."""
    async with db.acquire() as connection:
        return parse_steps(json.loads(await connection.fetchval(SQL["follow_up"], artifact_id)))


async def find_choices(db: Database, artifact_id: str) -> Choices:
    """Return the choices that an artifact was restored with."""
    async with db.acquire() as connection:
        return Choices.from_json(json.loads(await connection.fetchval(SQL["choices"], artifact_id)))


async def _go_on(
    db: Database,
    artifact: Artifact,
    steps: tuple[Step, ...],
    actor: Actor,
    on_progress: OnProgress | None,
) -> RestoreReport:
    """Prove what a restore left unproved, and return the report of that."""
    async with audit.recording_failure(db, actor, "restore", artifact.id, artifact.object_name):
        job = await jobs.start(
            db, "restore", artifact.id, {"follow_up": True}, actor, object=artifact.object_name
        )
        async with jobs.running(db, job) as run:
            chosen = await find_choices(db, artifact.id)
            work = _Restore(db, artifact, chosen, actor, None, run, on_progress)
            report = await work.run_follow_up(steps)
            async with db.acquire() as connection:
                detail = {"follow_up": True, "losses": [asdict(loss) for loss in report.losses]}
                await audit.record(
                    connection, actor, "restore", "done", artifact.id, artifact.object_name, detail
                )
            return report


def _nothing_to_do(artifact: Artifact) -> RestoreReport:
    return RestoreReport(artifact, None, (), None, (), already_restored=True)


class _Restore:
    """One restore under way."""

    def __init__(
        self,
        db: Database,
        artifact: Artifact,
        choices: Choices,
        actor: Actor,
        expected_digest: str | None,
        run: jobs.Run,
        on_progress: OnProgress | None,
    ) -> None:
        self._db = db
        self._artifact = artifact
        self._choices = choices
        self._actor = actor
        self._expected_digest = expected_digest
        self._run = run
        self._on_progress = on_progress
        self._done: list[StepDone] = []
        self._rows: int | None = artifact.row_count
        self._verified = False
        self._fidelity: dict[str, Any] | None = None
        self._shape: str | None = None

    async def run_all(self) -> RestoreReport:
        """Do everything, in order, and return the report."""
        plan = await plan_restore(self._db, self._artifact.id, self._choices, decisive=True)
        check_plan(plan, None)
        try:
            async with self._db.acquire() as connection, begin(self._db, connection):
                await self._check(connection)
                plan = await run_savepoint(
                    self._db, connection, self._what, self._change, self._tell
                )
        except ChangedArchive:
            await note_changed(self._db, self._artifact.id)
            raise
        return await self._end(plan)

    async def run_online(self, limits: Limits) -> RestoreReport:
        """Do the same beside live traffic: only instants are locked.

        What ends it before the column is named leaves it half filled: it can be gone on with, or
        given up. Cancelled by somebody, it is given up at once.
        """
        plan = await plan_restore(self._db, self._artifact.id, self._choices, decisive=True)
        check_plan(plan, None)
        try:
            async with self._db.acquire() as connection, begin(self._db, connection):
                await self._check(connection)
        except ChangedArchive:
            await note_changed(self._db, self._artifact.id)
            raise
        before = await run_locked(self._db, self._what, self._prepare, self._tell)
        filling = Filling(
            self._db, self._artifact, self._choices, self._run, limits, self._on_progress
        )
        self._expected_digest = None  # it was that of the plan with what is done by now in it
        for _ in range(ROUNDS):
            self._rows = await filling.run_all(needs_all=self._needs_all(before))
            self._shape = filling.shape
            with suppress(PartitionsMovedError):
                plan = await run_locked(self._db, self._what, self._change, self._tell)
                return await self._end(plan)
        raise Failed(
            f"partitions come and go faster than {self._artifact.object_name} can be named",
            hint="run it again at a quieter hour: it goes on from here",
        )

    def _needs_all(self, plan: Plan) -> bool:
        return not self._choices.allow_null and any(
            choice.name == "allow_null" for choice in plan.choices
        )

    async def _prepare(self, connection: Connection) -> Plan:
        """Make the column under its working name, and let its triggers follow traffic."""
        # the data was asked a moment ago, and is compared row by row before the column is named
        plan = await read_plan(connection, self._artifact.id, self._choices, checks=False)
        check_plan(plan, self._expected_digest)
        for step in plan.steps:
            if step.transaction == 0 and not step.batches:
                await self._execute(connection, step)
        await self._run.fence(connection, step="the column is there, and is filled")
        return plan

    async def _end(self, plan: Plan) -> RestoreReport:
        later = [step for step in plan.steps if step.transaction == 2]
        if not later:
            self._run.finished = True
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
        await self._tell({"done": total or len(steps), "total": total or len(steps)})
        async with self._db.acquire() as connection:
            self._fidelity = await self._compare(connection)
        report = self._report(await get_artifact(self._db, self._artifact.id), losses)
        self._run.result = report.to_json()
        return report

    @property
    def _what(self) -> str:
        return f"the restore of {self._artifact.object_name}"

    async def _tell(self, values: dict[str, Any]) -> None:
        await tell(self._on_progress, values)
        await self._run.progress(**values)

    async def _check(self, connection: Connection) -> None:
        if self._choices.unverified or self._artifact.artifact_type == "soft_drop_column":
            return
        measured = await check_parked(self._db, connection, self._artifact, self._tell)
        if measured is not None:
            self._rows = measured.rows
            self._verified = self._artifact.sealed_at is not None

    async def _plan_again(self, connection: Connection) -> Plan:
        """Plan against the catalog as it is now, with no more checks than decide something.

        What was filled online was compared row by row a moment ago.
        """
        asked = (connection, self._artifact.id, self._choices)
        if works_in_batches(self._artifact, self._choices):
            return await read_plan(*asked, checks=False)
        plan = await read_plan(*asked, decisive=True)
        if plan.blocked or self._expected_digest not in {None, plan.digest}:
            return await read_plan(*asked)
        return plan

    async def _change(self, connection: Connection) -> Plan:
        """Plan again, run the first transaction's steps, keep the books; in a savepoint."""
        self._done = []
        plan = await self._plan_again(connection)
        check_plan(plan, self._expected_digest)
        steps = [step for step in plan.steps if step.transaction == 1]
        if not any(step.grows for step in steps):
            await self._warm(connection)
        for number, step in enumerate(steps):
            await self._announce(step, number, len(plan.steps))
            await self._execute(connection, step)
            if number == 0 and self._shape is not None:
                await self._check_shape(connection)
        await tell(
            self._on_progress,
            {"step": "keeping the books", "done": len(steps), "total": len(plan.steps)},
        )
        self._fidelity = await self._compare(connection)
        await self._keep_books(connection, plan)
        return plan

    async def _check_shape(self, connection: Connection) -> None:
        """Raise where a partition came or went since all was compared; the table is locked."""
        if self._shape != await connection.fetchval(ONLINE["shape"], self._artifact.id):
            raise PartitionsMovedError

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
            "steps": [asdict(done) for done in self._done],
        }
        await tell(self._on_progress, values)
        if step.grows or step.transaction == 2 or number == 0:
            await self._run.progress(**values)

    async def _execute(self, connection: Connection, step: Step) -> None:
        self._done.append(await execute(connection, step))

    async def _execute_alone(self, step: Step) -> None:
        """Run a step that takes no transaction about it: it waits for others, and nobody for it."""
        async with self._db.acquire() as connection:
            await self._execute(connection, step)

    async def _compare(self, connection: Connection) -> dict[str, Any]:
        return await compare(connection, self._artifact.id, self._choices)

    async def _keep_books(self, connection: Connection, plan: Plan) -> None:
        """Mark the row, write the log, end or fence the job: all commits with the change."""
        marked = await connection.fetchval(
            SQL["mark"], self._artifact.id, self._actor.name, self._verified
        )
        if marked is None:
            raise Refused(f"{self._artifact.object_name} was restored or purged meanwhile")
        detail = {
            "choices": self._choices.to_json(),
            "digest": plan.digest,
            "verified": self._verified,
            "unverified": self._choices.unverified,
            "rows": self._rows,
            "steps": [asdict(step) for step in self._done],
            "losses": [asdict(loss) for loss in plan.losses],
            "fidelity": self._fidelity,
        }
        await audit.record(
            connection,
            self._actor,
            "restore",
            "done",
            self._artifact.id,
            self._artifact.object_name,
            detail,
        )
        await notify(connection, "artifact", self._artifact.id)
        if any(step.transaction == 2 for step in plan.steps):
            await self._run.fence(connection, committed=True)
        else:
            await self._run.finish(connection, self._report(self._artifact, plan.losses).to_json())

    async def _follow_up(self, steps: tuple[Step, ...], total: int) -> tuple[Loss, ...]:
        """Run what follows the commit, each step for itself; what fails is a loss, said as one.

        Steps that prove one constraint are a chain: after a failure the rest of it is left alone.
        """
        losses: list[Loss] = []
        broken: set[str | None] = set()
        for number, step in enumerate(steps):
            if step.subject is not None and step.subject in broken:
                losses.append(
                    Loss("not_validated", f"{step.purpose}: it stays to be done: {step.sql}")
                )
                continue
            await self._announce(step, total - len(steps) + number, total)

            async def work(connection: Connection, step: Step = step) -> None:
                await self._execute(connection, step)

            try:
                if step.concurrently:
                    await self._execute_alone(step)
                else:
                    await run_locked(self._db, step.purpose, work, self._tell)
            except ZanithError as exc:
                why = f"{exc.message}; it stays to be done: {step.sql}"
                losses.append(Loss("not_validated", f"{step.purpose}: {why}"))
                broken.add(step.subject)
        return tuple(losses)

    def _report(self, artifact: Artifact, losses: tuple[Loss, ...]) -> RestoreReport:
        restored = replace(artifact, status="restored")
        return RestoreReport(restored, self._fidelity, tuple(self._done), self._rows, losses)


async def execute(connection: Connection, step: Step) -> StepDone:
    """Run one step and return it with its seconds; an error says in the course of what."""
    try:
        return StepDone(step.purpose, step.sql, await run_step(connection, step))
    except asyncpg.PostgresError as exc:
        error = translate(exc)
        if isinstance(error, Locked):
            raise
        raise type(error)(
            error.message,
            detail=f"in the step: {step.purpose}" + (f"\n{error.detail}" if error.detail else ""),
            hint=error.hint or "everything was rolled back",
            sqlstate=error.sqlstate,
        ) from exc


async def compare(connection: Connection, artifact_id: str, choices: Choices) -> dict[str, Any]:
    """Return the fidelity report: the record beside the catalog, under the name that was chosen."""
    text = await connection.fetchval(SQL["compare"], artifact_id, choices.as_name)
    found: dict[str, Any] = json.loads(text)
    return found


def check_plan(plan: Plan, expected_digest: str | None) -> None:
    """Raise Refused, carrying the plan, where it cannot run or is not the one confirmed."""
    if plan.blocked:
        flags = [flag for conflict in plan.conflicts for flag in conflict.choices]
        flags += [flag for drift in plan.drift if drift.blocks for flag in drift.choices]
        first = next(iter(plan.conflicts), None)
        hint = first.hint if first else None
        if flags:
            hint = f"resolve with {' or '.join(dict.fromkeys(flags))}"
        error = Refused(
            plan.blocked[0], detail="\n".join(plan.blocked[1:]) or _detail(plan), hint=hint
        )
        error.plan = plan
        raise error
    if expected_digest is not None and plan.digest != expected_digest:
        error = Refused(
            f"the plan for {plan.object} is not the one that was confirmed: nothing was changed",
            detail="the catalog changed meanwhile",
            hint="look at the plan as it is now, and confirm that",
        )
        error.plan = plan
        raise error


def _detail(plan: Plan) -> str | None:
    details = [conflict.detail for conflict in plan.conflicts if conflict.detail]
    examples = [
        f"for example {', '.join(drift.examples)}"
        for drift in plan.drift
        if drift.blocks and drift.examples
    ]
    return "\n".join([*details, *examples]) or None
