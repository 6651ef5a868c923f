"""The reverse of runs, tried in a transaction that is rolled back: what cannot be reversed.

Each run is tried in the state that those before it leave. What takes long is not tried, because the
transaction holds its locks meanwhile; of a restore, the plan still says what is in its way.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg

from app.migrate.apply.derive import derive_drops, derive_rest, foresee_rest, read_units
from app.migrate.apply.history import SQL
from app.migrate.apply.prepare import Unit
from app.migrate.apply.recorded import Recorded, find_changed_rows, find_losses
from app.migrate.apply.run import Runner
from app.migrate.apply.session import clean
from app.migrate.schema.ddl.generate import Ddl
from app.migrate.schema.read import read_schema
from app.recovery.artifacts.model import Artifact
from app.recovery.core.durations import format_duration
from app.recovery.core.errors import Locked, ZanithError
from app.recovery.core.translate import translate
from app.recovery.db.connections import Connection
from app.recovery.db.locks import retry
from app.recovery.db.transactions import lock_timeout_text, milliseconds, transaction
from app.recovery.plan.model import Choices, Conflict, Drift, Plan
from app.recovery.plan.planning import read_plan, with_seal
from app.recovery.queries import load
from app.recovery.restore.migration import after_others
from app.recovery.restore.rehearsal import try_restore

LOCKS = load("locks")
LONGEST = timedelta(seconds=5)
"""How long the tries may take together."""
_LEAST = timedelta(seconds=1)
_CANCELED = "57014"
_PART = "write a down part for it, and run zanith migrate down again"


@dataclass(frozen=True)
class Problem:
    """What cannot be reversed, and what to do about it."""

    message: str
    hint: str = _PART

    def to_json(self) -> dict[str, Any]:
        return {"message": self.message, "hint": self.hint}


@dataclass(frozen=True)
class Restore:
    """The restore of one artifact, with the statements that it runs, if it has a plan."""

    id: str
    name: str
    plan: Plan | None = None


@dataclass
class Reverse:
    """How a run is reverted: statements, restores, the statements after them, and the problems.

    `untried` says what was not tried, and why.
    """

    statements: list[str] = field(default_factory=list)
    restores: list[Restore] = field(default_factory=list)
    definitions: list[str] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    untried: list[str] = field(default_factory=list)


class _RolledBackError(Exception):
    """Ends a rehearsal."""


async def rehearse(
    runner: Runner, runs: Sequence[Recorded], *, keep_rows: bool, within: timedelta = LONGEST
) -> list[Reverse]:
    """Return how runs are reverted, one after another; nothing is changed.

    Locked if it does not get its locks.
    """
    found: list[Reverse] = []
    await clean(runner.session)

    async def work(connection: Connection) -> None:
        found.clear()
        rehearsal = _Rehearsal(runner, connection, within, keep_rows=keep_rows)
        found.extend([await rehearsal.try_run(recorded) for recorded in runs])
        raise _RolledBackError

    what = f"the rehearsal of the down of {runs[0].run.id}"
    with suppress(_RolledBackError):
        await retry(runner.db, what, runner.opened, work, runner.on_progress)
    return found


def foresee(recorded: Recorded, first: str, *, keep_rows: bool) -> Reverse:
    """Return how a run is reverted, as far as that is known before another one is reverted."""
    found = _begin(recorded, keep_rows=keep_rows)
    _foresee(found, recorded)
    found.untried.append(f"it is not tried yet, because {first} is reverted before it")
    return found


def _begin(recorded: Recorded, *, keep_rows: bool) -> Reverse:
    found = Reverse(restores=[Restore(one.id, one.object_name) for one in recorded.artifacts])
    if not keep_rows:
        hint = f"{_PART}; or leave the rows as they are, with --keep-rows"
        found.problems += [Problem(text, hint) for text in find_changed_rows(recorded)]
    return found


def _foresee(found: Reverse, recorded: Recorded) -> None:
    """Add what can be said without a try."""
    drops, left = derive_drops(recorded, recorded.after)
    found.problems += [Problem(text) for text in find_losses(recorded, recorded.after)]
    found.statements = [*recorded.renames, *_texts(drops)]
    found.problems += _missing(drops)
    _add_rest(found, recorded, foresee_rest(recorded, left))


def _add_rest(found: Reverse, recorded: Recorded, rest: Ddl) -> None:
    after = found.definitions if recorded.artifacts else found.statements
    after += [*recorded.late_renames, *_texts(rest)]
    found.problems += _missing(rest)


class _Rehearsal:
    """One transaction in which runs are reverted, newest first."""

    def __init__(
        self, runner: Runner, connection: Connection, within: timedelta, *, keep_rows: bool
    ) -> None:
        self._runner = runner
        self._connection = connection
        self._within = within
        self._ends = time.monotonic() + within.total_seconds()
        self._keep_rows = keep_rows
        self._stopped: str | None = None
        """The run after which the state is not the one that a later run would find."""

    async def try_run(self, recorded: Recorded) -> Reverse:
        if self._stopped is not None:
            return foresee(recorded, self._stopped, keep_rows=self._keep_rows)
        found = _begin(recorded, keep_rows=self._keep_rows)
        if not await self._try(found, recorded):
            self._stopped = recorded.run.id
        return found

    async def _try(self, found: Reverse, recorded: Recorded) -> bool:
        """Try all of a run; return whether the transaction is in the state after it."""
        found.statements += recorded.renames
        if not await self._run(found, recorded.renames):
            _foresee(found, recorded)
            return False
        live = await read_schema(self._connection)
        found.problems += [Problem(text) for text in find_losses(recorded, live)]
        drops, left = derive_drops(recorded, live)
        found.statements += _texts(drops)
        found.problems += _missing(drops)
        foreseen = foresee_rest(recorded, left)
        if not await self._run(found, _texts(drops)):
            _add_rest(found, recorded, foreseen)
            return False
        if not await self._restore_all(found, recorded):
            _add_rest(found, recorded, foreseen)
            return False
        if not await self._run(found, recorded.late_renames):
            _add_rest(found, recorded, foreseen)
            return False
        rest = derive_rest(recorded, await read_schema(self._connection))
        _add_rest(found, recorded, rest)
        return await self._run(found, _texts(rest))

    # ------------------------------------------------------------------------------- statements

    async def _run(self, found: Reverse, texts: Sequence[str]) -> bool:
        """Run statements as the down runs them; return whether all ran."""
        try:
            units = await read_units(self._connection, texts)
        except ZanithError as error:
            found.problems.append(Problem(error.message))
            return False
        for unit in units:
            if not await self._run_unit(found, unit):
                return False
        return True

    async def _run_unit(self, found: Reverse, unit: Unit) -> bool:
        async def work() -> None:
            await self._connection.execute(unit.sql)

        error = await self._attempt(work)
        if _is_late(error):
            found.untried.append(self._late(unit.steered.text))
        elif error is not None:
            said = "; ".join(filter(None, (error.message, error.detail)))
            found.problems.append(Problem(f"{unit.steered.text}: {said}", error.hint or _PART))
        return error is None

    async def _attempt(self, work: Callable[[], Awaitable[None]]) -> ZanithError | None:
        """Do something in a savepoint, within the time that is left; return the error, if any."""
        left = max(self._ends - time.monotonic(), 0.001)
        try:
            async with transaction(self._connection):
                limit = milliseconds(timedelta(seconds=left))
                await self._connection.fetchval(SQL["limit"], f"{limit}ms")
                await work()
                await self._connection.execute(SQL["no_limit"])
        except (ZanithError, asyncpg.PostgresError) as exc:
            error = translate(exc)
            if isinstance(error, Locked) and error.sqlstate:
                raise
            return error
        return None

    def _late(self, what: str) -> str:
        return f"{what}: not tried, because that takes longer than {format_duration(self._within)}"

    # --------------------------------------------------------------------------------- restores

    async def _restore_all(self, found: Reverse, recorded: Recorded) -> bool:
        """Plan each restore, and try it; return whether all were done."""
        if not recorded.artifacts:
            return True
        (path,) = await self._connection.fetch(SQL["paths"])
        timeout = lock_timeout_text(self._runner.db.lock_timeout)
        found.restores.clear()
        back: set[str] = set()
        complete = True
        for artifact in recorded.artifacts:
            await self._connection.fetchval(LOCKS["settings"], timeout)
            plan = await self._plan(found, artifact, back)
            found.restores.append(Restore(artifact.id, artifact.object_name, plan))
            back.add(artifact.id)
            if plan is None or plan.blocked or plan.waits_for:
                tried = False
            else:
                tried = await self._try_one(found, artifact, plan)
            complete = complete and tried
        await self._connection.fetchval(SQL["set_paths"], *path)
        return complete

    async def _plan(self, found: Reverse, artifact: Artifact, back: set[str]) -> Plan | None:
        """Return the plan of a restore in the state of now, and add what is in its way."""
        read: list[Plan] = []
        left = timedelta(seconds=self._ends - time.monotonic())

        async def work() -> None:
            read.append(
                await read_plan(
                    self._connection,
                    artifact.id,
                    Choices(),
                    decisive=True,
                    within=max(left, _LEAST),
                )
            )

        error = await self._attempt(work)
        if _is_late(error):
            found.untried.append(self._late(f"restore {artifact.title}"))
        elif error is not None:
            said = f"restore {artifact.title}: {error.message}"
            found.problems.append(Problem(said, error.hint or _PART))
        if not read:
            return None
        plan = with_seal(after_others(read[0], back), Choices())
        found.problems += _stops(artifact, plan)
        return plan

    async def _try_one(self, found: Reverse, artifact: Artifact, plan: Plan) -> bool:
        """Run a restore; return whether it ended."""
        left = self._ends - time.monotonic()

        async def work() -> None:
            await try_restore(self._runner.db, self._connection, artifact, Choices(), plan)

        if plan.estimate.seconds > left:
            found.untried.append(self._late(f"restore {artifact.title}"))
            return False
        error = await self._attempt(work)
        if _is_late(error):
            found.untried.append(self._late(f"restore {artifact.title}"))
        elif error is not None:
            said = "; ".join(filter(None, (error.message, error.detail)))
            found.problems.append(Problem(f"restore {artifact.title}: {said}", error.hint or _PART))
        return error is None


def _is_late(error: ZanithError | None) -> bool:
    """Whether the time ran out."""
    return error is not None and error.sqlstate == _CANCELED


def _stops(artifact: Artifact, plan: Plan) -> list[Problem]:
    """Return what is in the way of a restore, each with its way out."""
    stops: list[Conflict | Drift] = [*plan.conflicts, *(one for one in plan.drift if one.blocks)]
    return [
        Problem(f"restore {artifact.title}: {stop.message}", _way_out(artifact, stop))
        for stop in stops
    ]


def _way_out(artifact: Artifact, stop: Conflict | Drift) -> str:
    ways = stop.ways_out if isinstance(stop, Conflict) else stop.choices
    if ways:
        flags = " or ".join(dict.fromkeys(ways))
        return f"zanith recover restore {artifact.id} restores it, with {flags}"
    return stop.hint or _PART


def _texts(ddl: Ddl) -> list[str]:
    return [one.sql for one in ddl.statements]


def _missing(ddl: Ddl) -> list[Problem]:
    return [Problem(f"{one.key}: {one.what}") for one in ddl.missing]
