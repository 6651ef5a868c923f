"""`zanith migrate down`: applied migrations reverted, newest first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.migrate.apply.history import Run
from app.migrate.apply.prepare import prepare
from app.migrate.apply.recorded import Recorded, read_recorded
from app.migrate.apply.rehearse import Problem, Reverse, foresee, rehearse
from app.migrate.apply.revert import revert
from app.migrate.apply.run import Ran, Runner
from app.migrate.apply.session import open_session
from app.migrate.apply.status import Entry, State, Status, require_sound, status_in
from app.migrate.apply.up import is_guarded
from app.migrate.read.migrations import Layout, Migration, find_named
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, Refused, WrongUsage, ZanithError
from app.recovery.core.progress import OnProgress
from app.recovery.db.database import Database


@dataclass(frozen=True)
class DownRequest:
    """Which of the applied migrations are to be reverted: the newest N, or all after one."""

    steps: int | None = None
    to: str | None = None
    keep_rows: bool = False
    """Whether rows that a migration inserted or changed may stay as they are."""
    wait: timedelta | None = None


@dataclass(frozen=True)
class Reversal:
    """How one migration is reverted: by its down part, or as derived from what was recorded.

    `problems` say what cannot be reversed, and `untried` what was not tried in advance.
    """

    id: str
    run: int
    reverse: Reverse
    derived: bool = True

    @property
    def problems(self) -> Sequence[Problem]:
        return self.reverse.problems

    @property
    def statements(self) -> Sequence[str]:
        return self.reverse.statements

    @property
    def restores(self) -> Sequence[str]:
        return [one.name for one in self.reverse.restores]

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "run": self.run,
            "derived": self.derived,
            "statements": list(self.statements),
            "restores": list(self.restores),
            "definitions": list(self.reverse.definitions),
            "problems": [one.to_json() for one in self.problems],
            "untried": list(self.reverse.untried),
        }


@dataclass(frozen=True)
class DownReport:
    """What is reverted, or would be."""

    reversals: tuple[Reversal, ...]
    ran: tuple[Ran, ...] = ()

    @property
    def blocked(self) -> bool:
        return any(one.problems for one in self.reversals)

    def to_json(self) -> dict[str, Any]:
        return {
            "reversals": [one.to_json() for one in self.reversals],
            "reverted": [one.to_json() for one in self.ran],
        }


async def plan_down(
    db: Database,
    layout: Layout,
    migrations: Sequence[Migration],
    actor: Actor,
    request: DownRequest,
    on_progress: OnProgress | None = None,
) -> DownReport:
    """Return how migrations would be reverted; it changes nothing.

    It tries what it derives in a transaction that it rolls back. Taken if another process runs
    migrations.
    """
    async with open_session(db, request.wait, on_progress) as session:
        chosen = choose(await status_in(session, layout, migrations), request)
        runner = Runner(db, session, actor, on_progress, direction="down")
        return DownReport(tuple(await _plan(runner, chosen, request)))


async def migrate_down(
    db: Database,
    layout: Layout,
    migrations: Sequence[Migration],
    actor: Actor,
    request: DownRequest,
    on_progress: OnProgress | None = None,
) -> DownReport:
    """Revert migrations, newest first, and return what was done.

    Refused, with nothing changed, if one of them cannot be reversed. Each is recorded; one that
    fails stops the rest.
    """
    async with open_session(db, request.wait, on_progress) as session:
        chosen = choose(await status_in(session, layout, migrations), request)
        runner = Runner(db, session, actor, on_progress, direction="down")
        plans = await _plan(runner, chosen, request)
        require_reversible(plans)
        captures = not await is_guarded(db)
        ran: list[Ran] = []
        for place, entry in enumerate(chosen):
            try:
                if plans[place].derived and plans[place].reverse.untried and ran:
                    plans[place : place + 1] = await _plan(runner, [entry], request)
                    require_reversible(plans[place : place + 1])
                ran.append(await _revert(runner, layout, entry, plans[place], captures=captures))
            except ZanithError as error:
                if ran:
                    done = f"reverted before it: {', '.join(one.id for one in ran)}"
                    error.detail = "\n".join(filter(None, (error.detail, done)))
                raise
    return DownReport(tuple(plans), tuple(ran))


def choose(status: Status, request: DownRequest) -> list[Entry]:
    """Return the applied migrations that are to be reverted, newest first."""
    if request.steps is not None and request.to is not None:
        raise WrongUsage("--steps and --to exclude each other", hint="give one of them")
    if request.steps is not None and request.steps < 1:
        raise WrongUsage("--steps must be 1 or more", hint="write how many are to be reverted")
    for entry in status.entries:
        if entry.state is State.INTERRUPTED:
            raise Refused(
                f"{entry.id} was interrupted in the middle",
                hint="finish it with zanith migrate up, or revert by hand what it did",
            )
    applied = [entry for entry in status.entries if entry.run is not None and entry.run.applied]
    applied.sort(key=lambda entry: _run(entry).run, reverse=True)
    usable = [entry for entry in applied if not _run(entry).repeatable]
    if request.to is None:
        chosen = usable[: request.steps or 1]
        if not chosen:
            raise NotFound("no migration is applied", hint="zanith migrate status lists them")
    else:
        ids = [entry.id for entry in usable]
        found = find_named(request.to, ids)
        if found is None:
            raise NotFound(
                f"no applied migration is named {request.to}",
                hint="zanith migrate status lists those that are applied",
            )
        chosen = usable[: ids.index(found)]
    left = Status(status.layout, tuple(chosen))
    require_sound(left, out_of_order=True, allow_vanished=True)
    return chosen


def _run(entry: Entry) -> Run:
    assert entry.run is not None  # noqa: S101 - chosen are those that ran
    return entry.run


async def _plan(runner: Runner, chosen: Sequence[Entry], request: DownRequest) -> list[Reversal]:
    """Return how each is reverted; what is derived is tried, up to the first down part."""
    found: dict[str, Reversal] = {}
    derived: list[Recorded] = []
    part: str | None = None
    for entry in chosen:
        run = _run(entry)
        if entry.migration is not None and entry.migration.down is not None:
            prepared = prepare(Layout.FILE, entry.migration, entry.migration.down, captures=False)
            texts = [unit.steered.text for unit in prepared.units]
            found[entry.id] = Reversal(entry.id, run.run, Reverse(texts), derived=False)
            part = part or entry.id
            continue
        try:
            recorded = await read_recorded(runner.db, run)
        except NotFound:
            problem = Problem("it has no down part, and no snapshot of the schema before it")
            found[entry.id] = Reversal(entry.id, run.run, Reverse(problems=[problem]))
            part = part or entry.id
            continue
        if part is None:
            derived.append(recorded)
        else:
            reverse = foresee(recorded, part, keep_rows=request.keep_rows)
            found[entry.id] = Reversal(entry.id, run.run, reverse)
    tried = await rehearse(runner, derived, keep_rows=request.keep_rows) if derived else []
    for recorded, reverse in zip(derived, tried, strict=True):
        run = recorded.run
        found[run.id] = Reversal(run.id, run.run, reverse)
    return [found[entry.id] for entry in chosen]


def require_reversible(plans: Sequence[Reversal]) -> None:
    """Raise Refused where something cannot be reversed."""
    found = [(one.id, problem) for one in plans for problem in one.problems]
    if not found:
        return
    lines = [f"{name}: {problem.message} ({problem.hint})" for name, problem in found[1:]]
    name, first = found[0]
    raise Refused(
        f"{name}: {first.message}: it cannot be reversed",
        detail="\n".join(lines) or None,
        hint=first.hint,
    )


async def _revert(
    runner: Runner, layout: Layout, entry: Entry, plan: Reversal, *, captures: bool
) -> Ran:
    run = _run(entry)
    if entry.migration is not None and entry.migration.down is not None:
        prepared = prepare(layout, entry.migration, entry.migration.down, captures=captures)
        return await runner.run(prepared, undoes=run.run)
    return await revert(runner, run, plan.reverse)
