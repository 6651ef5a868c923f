"""A restore beside live traffic: filled in batches, and named in a transaction of an instant."""

from __future__ import annotations

from contextlib import suppress

from app.recovery.core.errors import Failed, Refused
from app.recovery.db.connections import Connection
from app.recovery.db.locks import begin, run_locked
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Plan
from app.recovery.plan.planning import plan_restore, read_plan
from app.recovery.queries import load
from app.recovery.restore.backfill import ROUNDS, Backfill
from app.recovery.restore.offline import OfflineRestore
from app.recovery.restore.preconditions import check_plan, recording_change
from app.recovery.restore.report import RestoreReport, RowCounts

ONLINE = load("online")


class PartitionsMovedError(Exception):
    """A partition came or went between the comparison and the lock: all is compared again."""


class OnlineRestore(OfflineRestore):
    """One restore of an archived column under way, in short transactions."""

    _shape: str | None = None
    _counted: RowCounts | None = None

    async def run_in_batches(self, limits: Limits) -> RestoreReport:
        """Do everything, in order, and return the report.

        What ends it before the column is named leaves it half filled: it can be gone on with, or
        given up. Cancelled by somebody, it is given up at once.
        """
        plan = await plan_restore(self._db, self._artifact.id, self._choices, decisive=True)
        check_plan(plan, None)
        self._require_session(plan)
        async with (
            recording_change(self._db, self._artifact.id),
            self._db.acquire() as connection,
            begin(self._db, connection),
        ):
            await self._check(connection)
        before = await run_locked(self._db, self._what, self._prepare, self._op.report)
        filling = Backfill(self._op, self._artifact, self._choices, limits)
        self._expected_digest = None  # it was that of a plan with the steps that are done now
        for _ in range(ROUNDS):
            self._rows = await filling.run_all(needs_all=self._needs_all(before))
            self._shape = filling.shape
            self._counted = RowCounts.of(filling.counted, self._choices)
            with suppress(PartitionsMovedError):
                plan = await run_locked(self._db, self._what, self._change, self._op.report)
                return await self._end(plan)
        raise Failed(
            f"partitions of {self._artifact.object_name} change faster than it can be renamed",
            hint="run it again when there is less traffic: it resumes from here",
        )

    def _require_session(self, plan: Plan) -> None:
        """Raise Refused where a step needs a setting of its session, which a pooler does not keep.

        Another's statement might run under it, and CREATE INDEX CONCURRENTLY without it.
        """
        if self._db.pooled and any(step.concurrently and step.path for step in plan.steps):
            raise Refused(
                "behind this pooler an index cannot be built while traffic goes on",
                detail="an event trigger needs a search path, which only a session keeps",
                hint="connect to the server directly, or restore without --online",
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
        await self._op.run.fence(connection, step="the column is there, and is filled")
        return plan

    async def _count(self, connection: Connection) -> RowCounts | None:
        """Return what the comparison counted: the last transaction fills nothing."""
        return self._counted or await super()._count(connection)

    async def _plan_again(self, connection: Connection) -> Plan:
        """Plan against the catalog as it is now; the values were compared row by row just now."""
        return await read_plan(connection, self._artifact.id, self._choices, checks=False)

    async def _look_under_lock(self, connection: Connection, plan: Plan) -> None:
        """Raise where a partition came or went since all was compared."""
        await super()._look_under_lock(connection, plan)
        if self._shape != await connection.fetchval(ONLINE["shape"], self._artifact.id):
            raise PartitionsMovedError
