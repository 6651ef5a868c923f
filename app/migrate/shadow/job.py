"""A verification on a shadow as a job: its stages while it runs, and its verdict at the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.migrate.shadow.findings import Verdict
from app.migrate.shadow.verify import Request, Verification, verify
from app.recovery.core.actor import Actor
from app.recovery.core.progress import OnProgress
from app.recovery.core.tasks import stop
from app.recovery.db.database import Database
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.jobs.operation import Operation, operation

OUTCOMES = {
    Verdict.OK: "done",
    Verdict.DRIFT: "mismatch",
    Verdict.FAILED: "mismatch",
    Verdict.INCONCLUSIVE: "failed",
}
"""How the job ends by its verdict: only what was verified is done."""


async def verify_as_job(
    db: Database,
    name: str,
    request: Request,
    actor: Actor,
    *,
    digest: str | None = None,
    job: Job | None = None,
    on_progress: OnProgress | None = None,
) -> Verification:
    """Verify pending migrations under a job; its result is what `verify --json` prints.

    `digest` is that of the pending migrations that are verified, so that a page can tell whether
    the verdict is of them.
    """
    doing = operation(
        *(db, Kind.VERIFY_MIGRATIONS, actor), name=name, job=job, on_progress=on_progress
    )
    async with doing as op, op.running({"digest": digest}) as run:
        async with _telling(op) as tell:
            found = await verify(request, tell)
        outcome = OUTCOMES[found.verdict]
        run.outcome = outcome
        result = found.to_json()
        async with db.side() as connection, connection.transaction():
            detail = {"job": run.job.id, "digest": digest, "verdict": found.verdict.value}
            await op.record(connection, detail, outcome)
            await run.finish(connection, result)
        run.finished = True
    return found


@asynccontextmanager
async def _telling(op: Operation) -> AsyncIterator[Callable[[str], None]]:
    """Lend a function that tells of a stage, from any thread."""
    loop = asyncio.get_running_loop()
    said: asyncio.Queue[str | None] = asyncio.Queue()

    def tell(text: str | None) -> None:
        loop.call_soon_threadsafe(said.put_nowait, text)

    async def write() -> None:
        stages = _Stages(op)
        while (stage := await said.get()) is not None:
            await stages.begin(stage)
        await stages.begin("recording the verdict")

    writer = asyncio.create_task(write())
    try:
        yield tell
        tell(None)
        await asyncio.wait({writer})
    finally:
        await stop(writer)


@dataclass
class _Stages:
    """The stages that were told, each with the time that it took."""

    op: Operation
    done: list[dict[str, Any]] = field(default_factory=list)
    now: str | None = None
    since: float = 0.0

    async def begin(self, stage: str) -> None:
        if self.now is not None:
            elapsed = round(time.monotonic() - self.since, 3)
            self.done.append({"purpose": self.now, "elapsed": elapsed})
        self.now, self.since = stage, time.monotonic()
        await self.op.report({"step": stage, "steps": list(self.done)})
