"""The one preamble of every operation: rights, audit of what goes wrong, the job, its progress.

:func:`attempt` is for what takes no job: it checks that the actor may, and writes one entry to the
audit log where the body is refused or fails. :func:`operation` does that for work under a job, and
ends a job that never began. What goes right is recorded by the work, in its own transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor, check_words, require_change
from app.recovery.core.errors import Taken, ZanithError
from app.recovery.core.progress import OnProgress, tell
from app.recovery.db.database import Database
from app.recovery.jobs import audit, queueing, runs
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job

READING_ACTIONS = frozenset({"view"})


@asynccontextmanager
async def attempt(
    db: Database,
    actor: Actor,
    action: str,
    artifact_id: str | None,
    name: str | None,
    *,
    reason: str | None = None,
    migration_id: str | None = None,
) -> AsyncIterator[None]:
    """Check that the actor may do the action, and that its words are not too long to be kept.

    What is refused or fails is written to the audit log once, as a ZanithError, and raised on.
    """
    async with audit.recording_failure(db, actor, action, artifact_id, name):
        if not _reads(action):
            require_change(actor, Kind(action).words if action in set(Kind) else action)
        check_words(actor, reason, migration_id)
        yield


def _reads(action: str) -> bool:
    return action in READING_ACTIONS or (action in set(Kind) and Kind(action).reads)


class Operation:
    """What runs: made by :func:`operation`."""

    def __init__(
        self,
        db: Database,
        kind: Kind,
        actor: Actor,
        artifact: Artifact | None,
        name: str | None,
        job: Job | None,
        on_progress: OnProgress | None,
    ) -> None:
        self.db = db
        self.kind = kind
        self.actor = actor
        self.job = job
        self.began = False
        self._artifact = artifact
        self._name = name
        self._on_progress = on_progress
        self._run: runs.Run | None = None

    @property
    def artifact(self) -> Artifact:
        """The artifact that it is about, as it was when the operation began."""
        assert self._artifact is not None  # noqa: S101 - asked for by its id
        return self._artifact

    @property
    def run(self) -> runs.Run:
        """The run of its job, inside the body of :meth:`running`."""
        assert self._run is not None  # noqa: S101 - the body of running() has begun
        return self._run

    def found(self, artifact: Artifact) -> None:
        """Note which artifact it is about."""
        self._artifact, self._name = artifact, artifact.object_name

    @asynccontextmanager
    async def running(
        self,
        params: dict[str, Any] | None = None,
        *,
        artifact_id: str | None = None,
        name: str | None = None,
    ) -> AsyncIterator[runs.Run]:
        """Queue the job, unless one was given, claim it, and keep its lease while the body runs.

        Locked, naming who runs what, where a live change of the artifact exists.
        """
        if self.job is None:
            about = self._artifact.id if self._artifact is not None else artifact_id
            self.job = await queueing.start(
                self.db, self.kind, about, params or {}, self.actor, object=name or self._name
            )
        async with runs.running(self.db, self.job) as run:
            self.began = True
            self._run = run
            yield run

    def part(self, kind: Kind, artifact: Artifact, run: runs.Run) -> Operation:
        """Return the operation on one artifact that is a part of this one, under the same job."""
        asked = (self.db, kind, self.actor, artifact, artifact.object_name, self.job)
        part = Operation(*asked, self._on_progress)
        part.began, part._run = True, run
        return part

    async def tell(self, values: dict[str, Any]) -> None:
        """Tell the listener how far it is; the job's row is not written."""
        await tell(self._on_progress, values)

    async def report(self, values: dict[str, Any]) -> None:
        """Tell the listener how far it is, and write it into the job's row."""
        await self.tell(values)
        if self._run is not None:
            await self._run.progress(**values)

    async def record(
        self, connection: Any, detail: dict[str, Any] | None, outcome: str = "done"
    ) -> None:
        """Write to the audit log, in the work's own transaction, what came of it."""
        about = self._artifact.id if self._artifact is not None else None
        await audit.record(connection, self.actor, self.kind, outcome, about, self._name, detail)

    async def end_unbegun(self, exc: BaseException) -> None:
        """End the job that nobody is going to run any more; nothing where it began or ended."""
        if self.job is None:
            if isinstance(exc, asyncio.CancelledError):
                await self._tell_of_the_end(runs.GONE)
            return
        if self.began or isinstance(exc, Taken):
            return
        with suppress(ZanithError):
            if isinstance(exc, ZanithError):  # the log has it
                await queueing.end_unbegun(self.db, self.job.id, exc)
            elif not self.job.params.get("handed_over"):  # others may still run that
                await queueing.abandon(self.db, self.job.id)

    async def _tell_of_the_end(self, error: ZanithError) -> None:
        """Write that work without a job was cancelled: a job's row would say it."""
        about = self._artifact.id if self._artifact is not None else None
        with suppress(ZanithError):
            async with self.db.side() as connection, connection.transaction():
                await audit.record(
                    *(connection, self.actor, self.kind, "cancelled", about),
                    *(self._name, error.as_kept()),
                )


@asynccontextmanager
async def operation(
    db: Database,
    kind: Kind,
    actor: Actor,
    artifact_id: str | None = None,
    *,
    name: str | None = None,
    job: Job | None = None,
    on_progress: OnProgress | None = None,
    reason: str | None = None,
    migration_id: str | None = None,
) -> AsyncIterator[Operation]:
    """Run the body as an operation of the actor on an artifact, or on what ``name`` says.

    ``job`` is one that was queued for it. What ends the body before its job began ends the job too,
    with the reason. NotFound where there is no such artifact: that is written to the log only
    where a job names it.
    """
    artifact = None
    if artifact_id is not None and job is None:
        artifact = await get_artifact(db, artifact_id)
        artifact_id, name = artifact.id, artifact.object_name
    elif job is not None:
        name = job.object
    op = Operation(db, kind, actor, artifact, name, job, on_progress)
    words = {"reason": reason, "migration_id": migration_id}
    try:
        async with attempt(db, actor, kind, artifact_id, name, **words):
            if artifact is None and artifact_id is not None:
                op.found(await get_artifact(db, artifact_id))
            yield op
    except BaseException as exc:
        await op.end_unbegun(exc)
        raise
