"""Work on several artifacts under one job, one after another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from app.recovery.db.connections import Connection
from app.recovery.jobs import queueing
from app.recovery.jobs.operation import Operation
from app.recovery.jobs.runs import Run

_SHOWN = ("step", "waiting_for")
"""What the progress of a part says in the job: the counts there are of all parts."""


async def take_artifact(op: Operation, artifact_id: str) -> None:
    """Make an artifact the one that the operation's job changes now.

    Locked, naming who runs what, where a live change of it exists.
    """

    async def write() -> None:
        async with op.db.side() as connection, connection.transaction():
            await op.run.attach(connection, artifact_id)

    await queueing.unless_occupied(op.db, op.kind, artifact_id, None, op.actor, write)


class PartOfRun(Run):
    """What the work on one artifact has as its run: its end is a part of the job's progress.

    ``committed`` is what the job's progress says from the commit of the work on.
    """

    def __init__(self, whole: Run, committed: Callable[[], dict[str, Any]]) -> None:
        super().__init__(whole.db, whole.job, whole.lease)
        self._committed = committed

    async def progress(self, **values: Any) -> None:
        """Merge which step it is at into the job's progress."""
        await super().progress(**{key: values[key] for key in _SHOWN if key in values})

    async def fence(self, connection: Connection, **_values: Any) -> None:
        """Say inside the data transaction that this part is done, as its last statement."""
        await super().fence(connection, **self._committed())

    async def finish(self, connection: Connection, result: dict[str, Any]) -> None:
        """Do the same where nothing follows the commit."""
        await super().fence(connection, **self._committed())
        self.result = result
