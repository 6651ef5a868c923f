"""Filling an archived column online: batch by batch, beside live traffic.

The column stands under a name of its own until every value in it is the archived one. Rows that
somebody holds are left for later; triggers carry the value of a row whose key moves, and note keys
that another row has now, so that it does not get what was archived of the old one.
"""

from __future__ import annotations

from typing import Any

from app.recovery.artifacts.model import Artifact
from app.recovery.core.errors import Failed, Refused
from app.recovery.core.progress import OnProgress
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import run_locked
from app.recovery.db.transactions import transaction
from app.recovery.jobs.operation import Operation
from app.recovery.jobs.throttle import Limits, Position, Throttle
from app.recovery.plan.execute import run_step
from app.recovery.plan.model import Choices, Step
from app.recovery.queries import load

SQL = load("online")
RESTORE = load("restore")

# Writers of its rows wait for a batch.
BATCH_SECONDS = 0.05
# Rows of one batch at most: each of them is locked until it ends.
LARGEST_BATCH = 20_000
# Rows that are waited for, in one transaction.
AT_A_TIME = 50
# How often all begins anew because partitions came or went meanwhile.
ROUNDS = 20


class Backfill:
    """One column on its way back, up to where it can be named."""

    def __init__(self, op: Operation, artifact: Artifact, choices: Choices, limits: Limits) -> None:
        self._db = op.db
        self._artifact = artifact
        self._choices = choices
        self._throttle = Throttle(op, limits, batch_seconds=BATCH_SECONDS, largest=LARGEST_BATCH)
        # which partitions there were when all was compared
        self.shape = ""
        # rows filled, rows of the table, archived values, as the comparison counted them
        self.counted: list[int] | None = None
        self._path: str | None = None

    async def run_all(self, *, needs_all: bool) -> int:
        """Fill and compare; return how many rows have their archived value.

        Refused where a value differs, or with `needs_all` a row has none; Locked, naming who holds
        it up, where rows are not to be had. Both can be gone on with.
        """
        chosen = self._choices.to_json()
        async with self._db.acquire() as connection:
            self._path = await connection.fetchval(SQL["owner_path"], self._artifact.id, chosen)
            if await connection.fetchval(SQL["quiet_session"]):
                self._throttle.settings = f"{SQL['commit_later']}; {SQL['quiet']}"
        for _ in range(ROUNDS):
            before = await self._find_shape()
            await self._throttle.go_through(
                "backfill the column", self._batch, self._artifact.row_count
            )
            if self._choices.fill_default:
                await self._throttle.go_through(
                    "fill rows inserted since the capture", self._since, None
                )
            await self._throttle.go_through("backfill rows that were locked", self._pending, None)
            filled = await self._compare(before, needs_all=needs_all)
            if filled is not None:
                return filled
        raise Failed(
            f"partitions of {self._artifact.object_name} change faster than it can be backfilled",
            hint="run it again when there is less traffic: it resumes from here",
        )

    async def _find_shape(self) -> str:
        async with self._db.acquire() as connection:
            found: str = await connection.fetchval(SQL["shape"], self._artifact.id)
        return found

    async def _batch(
        self, connection: Connection, position: Position, size: int
    ) -> tuple[int, Position]:
        plan = await self._plan(connection, "plan_fill_batch", position, size)
        return await self._fill(connection, plan), plan["last"]

    async def _since(
        self, connection: Connection, position: Position, size: int
    ) -> tuple[int, Position]:
        plan = await self._plan(connection, "plan_fill_since", position, size)
        return await self._fill(connection, plan), plan["last"]

    async def _pending(
        self, connection: Connection, _: Position, size: int
    ) -> tuple[int, Position]:
        size = min(size, AT_A_TIME)
        plan = await self._plan(connection, "plan_fill_pending", size)
        filled = await self._fill(connection, plan)
        left = await connection.fetchval(SQL["is_pending"], self._artifact.id)
        return filled, [] if left else None

    async def _plan(self, connection: Connection, statement: str, *values: Any) -> dict[str, Any]:
        found: dict[str, Any] = await connection.fetchval(
            SQL[statement], self._artifact.id, *values
        )
        return found

    async def _fill(self, connection: Connection, plan: dict[str, Any]) -> int:
        await run_step(
            connection, Step(plan["sql"], "fill", None, (), role=plan["role"], path=self._path)
        )
        filled: int = await connection.fetchval(SQL["filled"])
        return filled

    async def _compare(self, before: str, *, needs_all: bool) -> int | None:
        """Compare every value in one snapshot; None where rows came with a partition meanwhile."""
        await self._throttle.tell(step="compare every value with the archived one")
        async with (
            self._db.acquire() as connection,
            transaction(connection, isolation="repeatable_read"),
        ):
            row: Any = await connection.fetchrow(SQL["compare_fill"], self._artifact.id)
            self.counted = await connection.fetchval(RESTORE["counts"])
            self.shape = await connection.fetchval(SQL["shape"], self._artifact.id)
        if (row["differing"] or row["empty"]) and before != await self._find_shape():
            return None
        if row["differing"]:
            raise Refused(
                f"{row['differing']:,} values differ from the archived ones:"
                " the column did not get its name",
                detail="another session or a trigger wrote to the column during the backfill",
                hint=f"start again after SELECT zanith.give_up('{self._artifact.id}')",
            )
        if needs_all and row["empty"]:
            raise Refused(
                f"{row['empty']:,} rows have no value, and {self._artifact.object_name}"
                " is NOT NULL: the column did not get its name",
                detail="they were inserted since the capture",
                hint=f"choose --allow-null; for --fill, start again after"
                f" SELECT zanith.give_up('{self._artifact.id}')",
            )
        return int(row["filled"])


async def find_unfinished(db: Database, artifact_id: str) -> str | None:
    """Return what is half done with an artifact: archiving, restoring, or None."""
    async with db.side() as connection:
        found: str | None = await connection.fetchval(SQL["unfinished"], artifact_id)
    return found


async def give_up(db: Database, artifact_id: str, on_progress: OnProgress | None = None) -> str:
    """Take away what unfinished work of an artifact had made; return what it was, "" for none."""

    async def work(connection: Connection) -> str:
        return await connection.fetchval(SQL["give_up"], artifact_id) or ""

    return await run_locked(db, "undoing it", work, on_progress)
