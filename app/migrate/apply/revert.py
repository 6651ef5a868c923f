"""A run reverted without a down part: drops in a transaction, then the restores, then the rest."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import asyncpg

from app.migrate.apply.derive import derive_drops, derive_rest, foresee_rest, read_units
from app.migrate.apply.history import SQL, Run
from app.migrate.apply.prepare import Unit
from app.migrate.apply.recorded import Recorded, read_recorded
from app.migrate.apply.rehearse import Restore, Reverse
from app.migrate.apply.run import Ran, Runner
from app.migrate.apply.session import clean
from app.migrate.apply.steps import describe_observed, describe_operations, describe_step, seconds
from app.migrate.observe.catalog import read_catalog
from app.migrate.observe.look import look
from app.migrate.risk import Operation
from app.migrate.schema.read import read_schema
from app.recovery.core.errors import Failed, ZanithError
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.db.locks import retry
from app.recovery.restore.restore import restore


async def revert(runner: Runner, run: Run, planned: Reverse) -> Ran:
    """Revert a run, as it was planned, and return what was done.

    Without restores it is one transaction. Otherwise a failure leaves what was done before it, and
    the next down goes on with the rest.
    """
    await clean(runner.session)
    recorded = await read_recorded(runner.db, run)
    return await _Revert(runner, recorded, planned).run_all()


class _Revert:
    """The reverse of one run under way."""

    def __init__(self, runner: Runner, recorded: Recorded, planned: Reverse) -> None:
        self._runner = runner
        self._recorded = recorded
        self._planned = planned
        self._start = time.monotonic()
        self._steps: list[dict[str, Any]] = []
        self._later: list[int] = []
        """The ordinals of the steps after the first transaction."""

    @property
    def _whole(self) -> bool:
        """Whether one transaction does it all."""
        return not self._recorded.artifacts

    async def run_all(self) -> Ran:
        runner, run = self._runner, self._recorded.run
        number = await retry(runner.db, run.id, runner.opened, self._first, runner.on_progress)
        if not self._whole:
            try:
                for one in self._recorded.artifacts:
                    progress = runner.on_progress
                    await restore(runner.db, one.id, None, runner.actor, on_progress=progress)
                await retry(
                    *(runner.db, run.id, runner.opened),
                    lambda connection: self._last(connection, number),
                    runner.on_progress,
                )
            except (ZanithError, asyncpg.PostgresError) as exc:
                raise await self._record_failure(number, translate(exc)) from exc
        elapsed = round(time.monotonic() - self._start, 6)
        return Ran(
            run.id,
            number,
            run.path or "",
            elapsed,
            1,
            self._later[-1] if self._later else len(self._steps),
        )

    async def _first(self, connection: Connection) -> int:
        """Undo the renames, and drop what has to go; without restores, do the rest too."""
        recorded, run = self._recorded, self._recorded.run
        self._steps.clear()
        self._later.clear()
        await self._execute(recorded.renames)
        drops, left = derive_drops(recorded, await read_schema(connection))
        await self._execute([one.sql for one in drops.statements])
        rest = [one.sql for one in foresee_rest(recorded, left).statements]
        if self._whole:
            await self._execute(rest)
        else:
            await self._note_later(connection, rest)
        described = {
            "id": run.id,
            "direction": "down",
            "layout": run.layout,
            "transactional": self._whole,
            "outcome": "applied" if self._whole else "running",
            "elapsed": seconds(time.monotonic() - self._start),
            "applied_by": self._runner.actor.name,
        }
        number: int = await connection.fetchval(SQL["record"], described, self._steps)
        if self._whole:
            await connection.fetchval(SQL["undo"], run.run, "reverted", number)
        return number

    async def _note_later(self, connection: Connection, rest: Sequence[str]) -> None:
        """Note the restores, and the statements after them, as steps that are still to do."""
        plans = {one.id: one for one in self._planned.restores}
        for artifact in self._recorded.artifacts:
            known = plans.get(artifact.id, Restore(artifact.id, artifact.object_name))
            sqls = [step.sql for step in known.plan.steps] if known.plan else []
            said = describe_operations(_operations(await read_units(connection, sqls)))
            text = f"restore {artifact.object_name}"
            self._note("restore", text, {**said, "object": artifact.object_name})
        units = await read_units(connection, self._planned.definitions or rest)
        text = ";\n".join(unit.steered.text for unit in units)
        if text:
            self._note("definitions", text, describe_operations(_operations(units)))

    def _note(self, kind: str, text: str, said: dict[str, Any]) -> None:
        ordinal = len(self._steps) + 1
        described = {"ordinal": ordinal, "line": 0, "sql": text, "status": "pending"}
        self._steps.append({**said, **described, "kind": kind})
        self._later.append(ordinal)

    async def _last(self, connection: Connection, number: int) -> None:
        """Change and create what is not yet as before, and record the end."""
        known = self._later[-1]
        del self._steps[known:]
        await self._execute(self._recorded.late_renames)
        rest = derive_rest(self._recorded, await read_schema(connection))
        await self._execute([one.sql for one in rest.statements])
        ran = ";\n".join(one["sql"] for one in self._steps[known:])
        for ordinal in self._later:
            more = {"ran": ran} if self._steps[ordinal - 1]["kind"] == "definitions" else {}
            step = {"ordinal": ordinal, "status": "done", **more}
            await connection.fetchval(SQL["record_step"], number, step)
        await connection.fetchval(SQL["end"], number, "applied", None, None)
        await connection.fetchval(SQL["undo"], self._recorded.run.run, "reverted", number)

    async def _record_failure(self, number: int, error: ZanithError) -> ZanithError:
        async with self._runner.db.acquire() as connection:
            await connection.fetchval(SQL["end"], number, "failed", None, error.as_kept())
        goes_on = "zanith migrate down goes on with the rest"
        error.hint = "; ".join(filter(None, (error.hint, goes_on)))
        return error

    async def _execute(self, texts: Sequence[str]) -> None:
        """Run statements in the open transaction; drops become captures."""
        session = self._runner.session
        catalog = await read_catalog(session)
        for unit in await read_units(session, texts, len(self._steps) + 1):
            start = time.monotonic()
            try:
                await session.execute(unit.sql)
            except asyncpg.PostgresError as exc:
                raise _locate(unit, translate(exc)) from exc
            elapsed = seconds(time.monotonic() - start)
            observed, catalog = await look(session, catalog)
            more = {"line": 0, "elapsed": elapsed, **describe_observed(observed)}
            self._steps.append(describe_step(unit, "done", **more))


def _operations(units: Sequence[Unit]) -> list[Operation]:
    return [one for unit in units if unit.planned for one in unit.planned.operations]


def _locate(unit: Unit, error: ZanithError) -> ZanithError:
    """Return the error with the statement that it is about."""
    if error.code == "locked":
        return error
    return Failed(
        error.message,
        detail="\n".join(filter(None, (f"in the statement: {unit.steered.text}", error.detail))),
        hint=error.hint or "write a down part, and run zanith migrate down again",
        sqlstate=error.sqlstate,
    )
