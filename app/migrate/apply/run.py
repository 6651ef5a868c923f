"""One migration, run in one transaction with its record, or statement by statement outside one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import asyncpg

from app.migrate.apply import resume
from app.migrate.apply.errors import MigrationFailed, is_lost, locate
from app.migrate.apply.history import SQL, Run, Step, read_steps
from app.migrate.apply.limits import require_lock, require_same_reading, require_usable
from app.migrate.apply.prepare import Prepared, Unit
from app.migrate.apply.session import as_connected, begin, clean, keep_lock_timeout
from app.migrate.apply.steps import describe_observed, describe_run, describe_step, seconds
from app.migrate.observe.catalog import own_path, read_catalog
from app.migrate.observe.look import look
from app.migrate.review.captures import REFUSED
from app.migrate.review.live import relations_of
from app.migrate.schema.snapshots import take
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, ZanithError
from app.recovery.core.progress import OnProgress, tell
from app.recovery.core.translate import translate
from app.recovery.db.connections import LOST, Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import retry
from app.recovery.db.transactions import lock_timeout_text, transaction


@dataclass(frozen=True)
class Ran:
    """How one migration ran. `notes` say what was found and cleaned up before."""

    id: str
    run: int
    path: str
    elapsed: float
    tries: int
    statements: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "notes": list(self.notes)}


@dataclass
class Runner:
    """Runs migrations in one session, for one person."""

    db: Database
    session: Connection
    actor: Actor
    on_progress: OnProgress | None = None
    direction: str = "up"
    again: str | None = None
    """What to do with a statement of which nobody knows whether it ended: again or skip."""
    notes: list[str] = field(default_factory=list)

    async def run(
        self, prepared: Prepared, earlier: Run | None = None, undoes: int | None = None
    ) -> Ran:
        """Run a migration; `earlier` is the run that it goes on from, or replaces.

        `undoes` is the run that this one reverts. MigrationFailed, with file and line, if a
        statement fails: what ran in its transaction is rolled back.
        """
        await clean(self.session)
        self.notes = []
        if prepared.transactional:
            ran = await self._in_transaction(prepared, earlier, undoes)
        else:
            ran = await self._outside(prepared, earlier, undoes)
        return ran

    # ------------------------------------------------------------------------- one transaction

    async def _in_transaction(
        self, prepared: Prepared, earlier: Run | None, undoes: int | None
    ) -> Ran:
        began, start, tries = _now(), time.monotonic(), 0
        steps: list[dict[str, Any]] = []
        recording = False

        async def work(connection: Connection) -> int:
            nonlocal tries, recording
            tries += 1
            steps.clear()
            recording = False
            await self._snapshot(prepared, "before")
            await self._statements(prepared, prepared.units, steps)
            recording = True
            await connection.execute(SQL["own_role"])
            await self._snapshot(prepared, "after")
            described = describe_run(
                prepared,
                self.actor,
                "applied",
                direction=self.direction,
                tries=tries,
                began_at=began,
                elapsed=time.monotonic() - start,
            )
            run: int = await connection.fetchval(SQL["record"], described, steps)
            await self._undo(connection, prepared, earlier, undoes, run)
            recording = False
            return run

        try:
            run = await retry(self.db, prepared.id, self.opened, work, self.on_progress)
        except (ZanithError, *LOST, asyncpg.PostgresError) as exc:
            error = _recording(prepared, exc) if recording else _at_commit(prepared, exc)
            await self._record_failure(prepared, steps, error, began, start, max(tries, 1))
            raise error from exc
        return self._ran(prepared, run, start, tries)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[tuple[Connection, int]]:
        """Lend the session in a transaction, with the pid of its server process."""
        async with begin(self.db, self.session, self.actor.name) as pid:
            yield self.session, pid

    async def _snapshot(self, prepared: Prepared, when: Literal["before", "after"]) -> None:
        """Store the schema before or after a migration, in the open transaction."""
        if self.direction == "down":
            return
        async with own_path(self.session):
            await take(self.session, prepared.id, when, by=self.actor.name)

    async def _undo(
        self,
        connection: Connection,
        prepared: Prepared,
        earlier: Run | None,
        undoes: int | None,
        run: int,
    ) -> None:
        """Let the run that this one reverts or replaces no longer count."""
        if undoes is not None:
            await connection.fetchval(SQL["undo"], undoes, "reverted", run)
        elif prepared.migration.repeatable and earlier is not None and earlier.applied:
            await connection.fetchval(SQL["undo"], earlier.run, "replaced", run)

    async def _statements(
        self, prepared: Prepared, units: Sequence[Unit], steps: list[dict[str, Any]]
    ) -> None:
        """Run statements in the open transaction, and note of each what PostgreSQL did."""
        catalog = await read_catalog(self.session)
        for planned in units:
            unit = planned
            await self._tell(prepared, unit)
            began, start = _now(), time.monotonic()
            try:
                unit = await self._execute(prepared, unit)
                require_usable(self.session, prepared, unit)
            except (MigrationFailed, asyncpg.PostgresError) as exc:
                if is_lost(exc):
                    raise
                error = locate(prepared, unit, exc)
                steps.append(
                    describe_step(
                        unit,
                        "failed",
                        began_at=began,
                        elapsed=seconds(time.monotonic() - start),
                        error=error.as_kept(),
                    )
                )
                raise error from exc
            elapsed = time.monotonic() - start
            observed, catalog = await look(self.session, catalog)
            steps.append(
                describe_step(
                    unit,
                    "done",
                    began_at=began,
                    elapsed=seconds(elapsed),
                    **describe_observed(observed),
                )
            )
            if "lock_timeout" in unit.steered.text.lower():
                await keep_lock_timeout(self.db, self.session)
        if units:
            await require_lock(self.session, prepared, units[-1])

    async def _execute(self, prepared: Prepared, unit: Unit) -> Unit:
        """Run a statement, and return it as it ran: another capture, if one is refused."""
        for sql in filter(None, (unit.sql, unit.otherwise)):
            require_same_reading(self.session, prepared, unit, sql)
        if unit.otherwise is None:
            await self.session.execute(unit.sql)
            return unit
        try:
            async with transaction(self.session):
                await self.session.execute(unit.sql)
        except asyncpg.PostgresError as exc:
            if exc.sqlstate not in REFUSED:
                raise
            try:
                await self.session.execute(unit.otherwise)
            except asyncpg.PostgresError as other:
                raise (exc if other.sqlstate in REFUSED else other) from None
            return replace(unit, ran=unit.otherwise)
        return unit

    async def _record_failure(
        self,
        prepared: Prepared,
        steps: Sequence[dict[str, Any]],
        error: ZanithError,
        began: str,
        start: float,
        tries: int,
    ) -> None:
        """Record a run that was rolled back; what cannot be recorded does not hide the error."""
        undone = [
            {**step, "status": "undone"} if step["status"] == "done" else step for step in steps
        ]
        described = describe_run(
            prepared,
            self.actor,
            "failed",
            direction=self.direction,
            tries=tries,
            began_at=began,
            elapsed=time.monotonic() - start,
            error=error,
        )
        with suppress(ZanithError):
            async with self.db.acquire() as connection:
                await connection.fetchval(SQL["record"], described, undone)

    # --------------------------------------------------------------------- outside a transaction

    async def _outside(self, prepared: Prepared, earlier: Run | None, undoes: int | None) -> Ran:
        start = time.monotonic()
        known = await self._known(prepared, earlier)
        if not known:
            async with self.opened():
                await self._snapshot(prepared, "before")
        run = await self._record_begin(prepared, known)
        try:
            for group in prepared.groups:
                await self._group(prepared, run, group, known)
        except (ZanithError, asyncpg.PostgresError) as exc:
            if is_lost(exc):
                raise _interrupted(prepared) from exc
            error = _recording(prepared, exc)
            error.hint = "; ".join(filter(None, (error.hint, resume.GO_ON)))
            async with self.db.acquire() as connection:
                await self._end(connection, run, "failed", start, error)
            raise error from exc
        except LOST as exc:
            raise _interrupted(prepared) from exc
        await clean(self.session)
        async with self.opened() as (connection, _):
            await self._snapshot(prepared, "after")
            await self._end(connection, run, "applied", start)
            await self._undo(connection, prepared, earlier, undoes, run)
        return self._ran(prepared, run, start, 1)

    async def _known(self, prepared: Prepared, earlier: Run | None) -> dict[int, Step]:
        """Return the statements of a run that ended in the middle, which this run goes on from."""
        if earlier is None or earlier.transactional or earlier.outcome not in {"running", "failed"}:
            return {}
        async with self.db.acquire() as connection:
            steps = await read_steps(connection, [earlier.run])
        known = {step.ordinal: step for step in steps if step.status in resume.KNOWN}
        resume.require_same(prepared, known)
        if earlier.outcome == "running":
            error = resume.interrupted(prepared)
            async with self.db.acquire() as connection:
                await connection.fetchval(SQL["end"], earlier.run, "failed", None, error.as_kept())
        return known

    async def _record_begin(self, prepared: Prepared, known: dict[int, Step]) -> int:
        steps = []
        for unit in prepared.units:
            step = known.get(unit.ordinal)
            if step is not None and step.status in resume.DONE:
                kept = {"observed": step.observed, "tables": list(step.tables)}
                steps.append(describe_step(unit, "skipped", changes=step.changes, **kept))
            elif step is not None:  # what is known of it stays known if this run ends before it
                steps.append(describe_step(unit, step.status, before=step.before))
            else:
                steps.append(describe_step(unit, "pending"))
        described = describe_run(prepared, self.actor, "running", direction=self.direction)
        run: int = await self.session.fetchval(SQL["record"], described, steps)
        return run

    async def _group(
        self, prepared: Prepared, run: int, group: Sequence[Unit], known: dict[int, Step]
    ) -> None:
        steps = [known.get(unit.ordinal) for unit in group]
        if all(step is not None and step.status in resume.DONE for step in steps):
            for unit in group:  # what the session needs again
                if unit.steered.statement.kind == "variable_set_stmt":
                    await self.session.execute(unit.sql)
            return
        if len(group) == 1 and group[0].alone:
            await self._alone(prepared, run, group[0], steps[0])
            return

        done: list[dict[str, Any]] = []
        recorded = False

        async def work(connection: Connection) -> None:
            nonlocal recorded
            recorded = False
            done.clear()
            await self._statements(prepared, group, done)
            async with as_connected(connection):
                for step in done:
                    await connection.fetchval(SQL["record_step"], run, step)
            recorded = True

        try:
            await retry(self.db, prepared.id, self.opened, work, self.on_progress)
        except (ZanithError, asyncpg.PostgresError) as exc:
            await self._record_failed(run, done)
            if recorded and not is_lost(exc):
                raise _at_commit(prepared, exc) from exc
            raise

    async def _record_failed(self, run: int, done: Sequence[dict[str, Any]]) -> None:
        """Record the statement that failed; what cannot be recorded does not hide its error."""
        with suppress(ZanithError):
            async with self.db.acquire() as connection:
                for step in done:
                    if step["status"] == "failed":
                        await connection.fetchval(SQL["record_step"], run, step)

    async def _alone(self, prepared: Prepared, run: int, unit: Unit, earlier: Step | None) -> None:
        """Run a statement that PostgreSQL refuses in a transaction; it is recorded twice."""
        await self._tell(prepared, unit)
        sql = unit.sql
        if earlier is not None and earlier.before is not None:
            found = await resume.look_after(self, prepared, unit, earlier)
            self.notes += found.notes
            if found.done:
                await self._mark(run, unit, "done", elapsed=None)
                return
            sql = found.sql or sql
        before = await resume.facts_before(self, unit)
        await self._mark(run, unit, "begun", began_at=_now(), before=before)
        catalog = await read_catalog(self.session)
        start = time.monotonic()
        try:
            require_same_reading(self.session, prepared, unit, sql)
            await self._execute_alone(prepared, unit, sql)
            require_usable(self.session, prepared, unit)
            await require_lock(self.session, prepared, unit)
        except (MigrationFailed, asyncpg.PostgresError) as exc:
            if is_lost(exc):
                raise
            error = locate(prepared, unit, exc)
            await self._mark(
                run,
                unit,
                "failed",
                began_at=_now(),
                before=before,
                elapsed=seconds(time.monotonic() - start),
                error=error.as_kept(),
            )
            raise error from exc
        elapsed = seconds(time.monotonic() - start)
        names = None if unit.runs_code else relations_of(unit.steered.statement)
        observed, _ = await look(self.session, catalog, named=names)
        await self._mark(
            run, unit, "done", before=before, elapsed=elapsed, **describe_observed(observed)
        )

    async def _execute_alone(self, prepared: Prepared, unit: Unit, sql: str) -> None:
        if resume.is_concurrent(unit):
            # it waits for transactions of others, and blocks none of them meanwhile
            await self.session.fetchval(SQL["session_lock_timeout"], "0")
            await self.session.execute(sql)
            return
        timeout = lock_timeout_text(self.db.lock_timeout)
        await self.session.fetchval(SQL["session_lock_timeout"], timeout)

        @asynccontextmanager
        async def opened() -> AsyncIterator[tuple[Connection, int]]:
            yield self.session, self.session.get_server_pid()

        async def work(connection: Connection) -> None:
            await connection.execute(sql)

        await retry(self.db, prepared.id, opened, work, self.on_progress)

    async def _mark(self, run: int, unit: Unit, status: str, **more: Any) -> None:
        """Record it over another connection: the migration can have changed its session."""
        step = {"ordinal": unit.ordinal, "ran": unit.ran, "status": status, **more}
        async with self.db.acquire() as connection:
            await connection.fetchval(SQL["record_step"], run, step)

    async def _end(
        self,
        connection: Connection,
        run: int,
        outcome: str,
        start: float,
        error: ZanithError | None = None,
    ) -> None:
        took = timedelta(seconds=time.monotonic() - start)
        kept = error.as_kept() if error else None
        await connection.fetchval(SQL["end"], run, outcome, took, kept)

    # ------------------------------------------------------------------------------------ both

    async def _tell(self, prepared: Prepared, unit: Unit) -> None:
        total = len(prepared.units)
        await tell(
            self.on_progress,
            {
                "step": f"{prepared.id}, line {unit.line}",
                "migration": prepared.id,
                "line": unit.line,
                "statement": unit.steered.text,
                "transactional": prepared.transactional,
                "done": unit.ordinal - 1,
                "total": total,
            },
        )

    def _ran(self, prepared: Prepared, run: int, start: float, tries: int) -> Ran:
        return Ran(
            prepared.id,
            run,
            str(prepared.script.path),
            round(time.monotonic() - start, 6),
            tries,
            len(prepared.units),
            tuple(self.notes),
        )


def _at_commit(prepared: Prepared, exc: BaseException) -> ZanithError:
    """Return the error; one that no statement raised came at COMMIT."""
    error = translate(exc)
    if not isinstance(exc, asyncpg.PostgresError) or isinstance(error, Locked):
        return error
    found = MigrationFailed(
        f"{prepared.script.path}: at COMMIT: {error.message}",
        detail=error.detail,
        hint=error.hint or "a deferred constraint or trigger refused it: correct the file",
        sqlstate=error.sqlstate,
    )
    return found.withhold(error.kept_detail, error.kept_message) if error.withheld else found


def _recording(prepared: Prepared, exc: BaseException) -> ZanithError:
    """Return the error of the record of a run, which follows its last statement."""
    error = translate(exc)
    if isinstance(error, Locked | MigrationFailed) or not isinstance(exc, asyncpg.PostgresError):
        return error
    if is_lost(exc):
        return error
    found = MigrationFailed(
        f"{prepared.script.path}: the run cannot be recorded: {error.message}",
        detail=error.detail,
        hint="leave out what the migration sets for its transaction, or does to the schema zanith",
        sqlstate=error.sqlstate,
    )
    return found.withhold(error.kept_detail, error.kept_message) if error.withheld else found


def _interrupted(prepared: Prepared) -> ZanithError:
    error = resume.interrupted(prepared)
    error.hint = resume.GO_ON
    return error


def _now() -> str:
    return datetime.now(UTC).isoformat()
