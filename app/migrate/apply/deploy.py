"""Pending migrations applied as a job: what `up` does, with progress that others can follow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.migrate.apply.up import UpReport, UpRequest, migrate_up
from app.migrate.read.migrations import Layout, Migration
from app.recovery.core.actor import Actor
from app.recovery.core.progress import OnProgress
from app.recovery.db.database import Database
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.jobs.operation import Operation, operation

SHOWN = 600
"""So many characters of a statement are kept in the progress of a job."""


async def deploy(
    db: Database,
    layout: Layout,
    migrations: Sequence[Migration],
    actor: Actor,
    request: UpRequest,
    *,
    job: Job | None = None,
    on_progress: OnProgress | None = None,
) -> UpReport:
    """Apply pending migrations under a job, as :func:`app.migrate.apply.up.migrate_up` does.

    It raises what that raises. The result of the job has what was applied, also if one failed.
    """
    doing = operation(
        *(db, Kind.DEPLOY, actor), name=request.to or "", job=job, on_progress=on_progress
    )
    async with doing as op, op.running({"digest": request.digest}) as run:
        told = _Told(op)
        try:
            report = await migrate_up(db, layout, migrations, actor, request, told)
        finally:
            run.result = {"applied": told.applied}
        async with db.side() as connection, connection.transaction():
            ids = [one.id for one in report.ran]
            detail = {"job": run.job.id, "digest": request.digest, "applied": ids}
            await op.record(connection, detail)
            await run.finish(connection, {"applied": told.applied})
        run.finished = True
    return report


@dataclass
class _Told:
    """What the job says of a run: its migrations are its steps."""

    op: Operation
    applied: list[dict[str, Any]] = field(default_factory=list)

    async def __call__(self, said: Mapping[str, Any]) -> None:
        """Take one report of :func:`app.migrate.apply.up.migrate_up`."""
        if "applied" in said:
            await self._ended(said["applied"])
        elif "migration" in said:
            await self._begins(said)
        else:  # it waits for a lock
            await self.op.report(dict(said))

    async def _ended(self, ran: dict[str, Any]) -> None:
        self.applied.append(ran)
        steps = [{"purpose": one["id"], "elapsed": one["elapsed"]} for one in self.applied]
        step = f"{ran['id']} is applied"
        await self.op.report({"step": step, "steps": steps, "statement": None, "committed": True})

    async def _begins(self, said: Mapping[str, Any]) -> None:
        step = f"{said['migration']}, statement {said['done'] + 1} of {said['total']}"
        values = {**said, "step": step, "statement": said["statement"][:SHOWN]}
        if not said["transactional"]:  # what ran before it is committed
            values["committed"] = True
        await self.op.report(values)
