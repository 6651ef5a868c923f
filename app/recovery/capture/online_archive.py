"""Archiving online: a parked column's values go to the shadow while live traffic goes on.

The column is soft-dropped first, which takes no time and leaves nothing at stake. Its values are
then copied in batches along the key, followed by triggers, compared byte by byte, and dropped in a
last short transaction; only there does the artifact become an archive. Whatever ends it before
leaves a soft-dropped column, which restores, and a copy that can be taken up again.
"""

from __future__ import annotations

from typing import Any

from app.recovery.artifacts.model import Artifact
from app.recovery.core.errors import Failed, Refused
from app.recovery.db.connections import Connection
from app.recovery.db.locks import run_locked
from app.recovery.db.transactions import transaction
from app.recovery.jobs.operation import Operation
from app.recovery.jobs.throttle import Limits, Position, Throttle
from app.recovery.queries import load

SQL = load("online")

# Nobody waits for a batch: long ones cost less.
BATCH_SECONDS = 0.5
# Notes that may be worked off while the table is locked, and those that one transaction takes
# before.
UNDER_THE_LOCK = 200
AT_A_TIME = 5_000
# How often a comparison begins anew because traffic noted more than may wait for the lock.
ROUNDS = 100


class OnlineArchive:
    """One column on its way from its table to the shadow."""

    def __init__(self, op: Operation, artifact: Artifact, limits: Limits) -> None:
        self._op = op
        self._db = op.db
        self._artifact = artifact
        self._throttle = Throttle(op, limits, batch_seconds=BATCH_SECONDS)

    async def run_all(self, expected: int | None) -> int:
        """Copy, compare, drop; return how many rows are archived.

        Refused where the artifact cannot be archived or a value differs, Locked, naming who holds
        it up, where the table's lock is not to be had; both leave the column parked.
        """
        await self._begin()
        await self._copy(expected)
        await self._throttle.tell(step="add the key of the archive")
        async with self._db.acquire() as connection:
            await connection.execute(SQL["key_archive"], self._artifact.id)
        return await self._end()

    async def _begin(self) -> None:
        step = "create the archive"

        async def work(connection: Connection) -> None:
            await connection.execute(SQL["begin_archive"], self._artifact.id)
            await self._op.run.fence(connection, step=step)

        await self._throttle.tell(step=step)
        await run_locked(self._db, step, work, self._op.tell)

    async def _copy(self, expected: int | None) -> None:
        async with self._db.acquire() as connection:
            state = await connection.fetchval(SQL["copied_to"], self._artifact.id)
        if state["done"]:
            return

        async def batch(
            connection: Connection, position: Position, size: int
        ) -> tuple[int, Position]:
            row: Any = await connection.fetchrow(
                SQL["copy_batch"], self._artifact.id, position, size
            )
            return row["copied"], row["last"]

        # of one that is gone on with, nobody counted what is copied already
        total = None if state["last"] else expected
        await self._throttle.go_through("copy key and value", batch, total, state["last"])

    async def _end(self) -> int:
        """Catch up and compare, until little enough is left to do under the lock."""
        for _ in range(ROUNDS):
            await self._realign()
            await self._catch_up()
            compared = await self._compare()
            if compared is None:
                continue
            kept, shape = compared
            kept += await self._catch_up()
            done = await self._finish(kept, shape)
            if done is not None:
                return done
        raise Failed(
            f"traffic changes {self._artifact.object_name} faster than the copy can follow",
            hint="run it again when there is less traffic: it resumes from here",
        )

    async def _realign(self) -> None:
        """Follow partitions that came meanwhile, and copy what came and went with them."""
        step = "follow new and detached partitions"

        async def work(connection: Connection) -> bool:
            found: bool = await connection.fetchval(SQL["follow_shape"], self._artifact.id)
            return found

        if not await run_locked(self._db, step, work, self._op.tell):
            return
        await self._throttle.tell(step=step)

        async def align(connection: Connection) -> None:
            await connection.execute(SQL["realign_archive"], self._artifact.id)
            await self._op.run.fence(connection, step=step)

        await run_locked(self._db, step, align, self._op.tell)

    async def _catch_up(self) -> int:
        """Work off what was noted until little is left, and return by how much the archive grew."""
        step = "copy changed rows"
        grown = 0
        await self._throttle.tell(step=step)
        while True:
            await self._throttle.await_turn(step)

            async def work(connection: Connection) -> tuple[int, int]:
                row: Any = await connection.fetchrow(SQL["catch_up"], self._artifact.id, AT_A_TIME)
                await self._op.run.fence(connection, step=step)
                return row["noted"], row["grown"]

            noted, more = await run_locked(self._db, step, work, self._op.tell)
            grown += more
            if noted < AT_A_TIME:
                return grown

    async def _compare(self) -> tuple[int, str] | None:
        """Compare live with archive in one snapshot.

        Return how many rows the archive holds, and which partitions were there; None where these
        changed while it was at it.
        """
        await self._throttle.tell(step="compare every value with its copy")
        async with (
            self._db.acquire() as connection,
            transaction(connection, isolation="repeatable_read"),
        ):
            row: Any = await connection.fetchrow(SQL["compare_copy"], self._artifact.id)
            shape: str = await connection.fetchval(SQL["shape"], self._artifact.id)
        wrong = [
            f"{row[kind]:,} {kind}" for kind in ("missing", "surplus", "differing") if row[kind]
        ]
        if wrong and await self._moved_on(shape):
            return None
        if wrong:
            raise Refused(
                f"the archive of {self._artifact.object_name} differs from the table:"
                f" {', '.join(wrong)}; nothing was dropped",
                detail="another session wrote to the archive, or disabled the triggers",
                hint=f"start again after SELECT zanith.give_up('{self._artifact.id}')",
            )
        return int(row["rows"]), shape

    async def _moved_on(self, shape: str) -> bool:
        async with self._db.acquire() as connection:
            found: bool = await connection.fetchval(SQL["moved_on"], self._artifact.id, shape)
        return found

    async def _finish(self, kept: int, shape: str) -> int | None:
        """Run the last transaction; None where too much changed since the comparison."""

        async def work(connection: Connection) -> int | None:
            await connection.execute(SQL["actor"], self._op.actor.name)
            done: int | None = await connection.fetchval(
                SQL["finish_archive"], self._artifact.id, kept, UNDER_THE_LOCK, shape
            )
            if done is not None:
                result = {"artifact_id": self._artifact.id, "rows": done}
                await self._op.run.finish(connection, result)
            return done

        await self._throttle.tell(step="drop the column")
        what = f"the drop of {self._artifact.object_name}"
        done = await run_locked(self._db, what, work, self._op.tell)
        self._op.run.finished = done is not None
        return done
