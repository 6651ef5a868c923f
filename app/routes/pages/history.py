"""Applied migrations: the history of runs, and one run with what each statement did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from app.migrate.apply.history import PastRun, Step, is_busy, read_history, read_run
from app.migrate.read.migrations import LONGEST_ID
from app.migrate.risk import Level, Mode
from app.recovery.core.errors import NotFound
from app.routes.rendering import link, migration_link
from app.routes.studio import TheStudio, Who

PATH = "/studio/history"
PAGE = 50
MODES = {mode.word: mode for mode in Mode}
OURS = ("zanith.", "_zanith_shadow.")
OUTCOMES = {
    "applied": "good",
    "failed": "bad",
    "running": "busy",
    "interrupted": "bad",
    "reverted": "flat",
    "replaced": "flat",
}
STATUSES = {"done": "good", "failed": "bad", "undone": "warn", "begun": "busy", "pending": "flat"}

router = APIRouter(prefix=PATH)


def mark(run: PastRun, *, busy: bool) -> tuple[str, str]:
    """Return the word for an outcome, and how it is marked."""
    outcome = run.outcome_while(busy=busy)
    return outcome, OUTCOMES.get(outcome, "flat")


@dataclass(frozen=True)
class HistoryView:
    """The runs, newest first; ``busy`` says whether somebody runs migrations now."""

    runs: tuple[PastRun, ...]
    search: str
    more: str | None
    busy: bool

    def mark(self, run: PastRun) -> tuple[str, str]:
        """The word for an outcome, and how it is marked."""
        return mark(run, busy=self.busy)


@dataclass(frozen=True)
class Ran:
    """One statement: what the plan said of it, and what PostgreSQL did."""

    step: Step

    @property
    def tone(self) -> str:
        """How its status is marked."""
        return STATUSES.get(self.step.status, "flat")

    @property
    def level(self) -> Level:
        """The level that was predicted."""
        return Level(self.step.score)

    @property
    def predicted(self) -> list[str]:
        """The locks of the plan, in words."""
        return [_words(lock) for lock in self._predicted]

    @property
    def observed(self) -> list[str] | None:
        """The locks that PostgreSQL took on tables that existed; None if nobody looked."""
        return None if self.step.observed is None else [_words(lock) for lock in self._observed]

    @property
    def stronger(self) -> bool:
        """Whether a lock is stronger than all that were predicted.

        Without any nobody knows: locks on tables that the same deploy creates are not predicted.
        """
        most = _strongest(self._predicted)
        return bool(most) and _strongest(self._observed) > most

    @property
    def seen(self) -> dict[str, Any]:
        """What else was observed: what was rewritten and scanned, and what could not be seen."""
        return self.step.observed or {}

    @property
    def seconds(self) -> float | None:
        """The estimate of the plan, where the size of the table was known."""
        known = [one["seconds"] for one in self.step.predicted if one.get("seconds") is not None]
        return sum(known) if known else None

    @property
    def _predicted(self) -> list[dict[str, Any]]:
        locks = [lock for one in self.step.predicted for lock in one.get("locks") or ()]
        return [lock for number, lock in enumerate(locks) if lock not in locks[:number]]

    @property
    def _observed(self) -> list[dict[str, Any]]:
        locks = (self.step.observed or {}).get("locks") or []
        return [lock for lock in locks if not str(lock["table"]).startswith(OURS)]


def _words(lock: dict[str, Any]) -> str:
    where = " ".join(str(part) for part in (lock.get("table"), lock.get("which")) if part)
    return f"{lock['mode']} on {where}" if where else str(lock["mode"])


def _strongest(locks: Sequence[dict[str, Any]]) -> int:
    return max((MODES[lock["mode"]] for lock in locks if lock["mode"] in MODES), default=0)


@dataclass(frozen=True)
class RunView:
    """One run with its statements."""

    run: PastRun
    steps: tuple[Ran, ...]
    busy: bool

    @property
    def mark(self) -> tuple[str, str]:
        """The word for its outcome, and how it is marked."""
        return mark(self.run, busy=self.busy)

    @property
    def undo(self) -> str | None:
        """The address of the page that restores what it dropped; None if there is nothing."""
        if self.run.direction != "up" or not self.run.recoverable:
            return None
        return migration_link(self.run.id)

    @property
    def difference(self) -> str | None:
        """The address of what it changed in the schema; None if it was not recorded."""
        applied = self.run.outcome in {"applied", "reverted", "replaced"}
        if self.run.direction != "up" or self.run.origin != "zanith" or not applied:
            return None
        names = {"before": f"{self.run.id}:before", "after": f"{self.run.id}:after"}
        return link("/studio/schema", names)


@router.get("", response_class=HTMLResponse)
async def show_all(
    request: Request,
    studio: TheStudio,
    who: Who,
    migration_id: Annotated[str, Query(alias="id", max_length=LONGEST_ID)] = "",
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> HTMLResponse:
    """Show the runs of migrations, newest first."""
    try:
        found = await read_history(
            studio.reading(who), None, migration_id or None, PAGE + 1, before
        )
    except NotFound:
        found = []
    busy = await is_busy(studio.reading(who))
    more = None
    if len(found) > PAGE:
        found = found[:PAGE]
        more = link(PATH, {"id": migration_id, "before": found[-1].run})
    return studio.pages.render(
        *(request, "history/list.html", HistoryView(tuple(found), migration_id, more, busy)),
        title="Applied migrations",
        section="migrations",
    )


@router.get("/{run}", response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, run: int) -> HTMLResponse:
    """Show one run: each statement with its time, and its locks beside those of the plan."""
    found, steps = await read_run(studio.reading(who), _bounded(run))
    busy = await is_busy(studio.reading(who))
    view = RunView(found, tuple(Ran(step) for step in steps), busy)
    return studio.pages.render(
        *(request, "history/page.html", view),
        title=f"Run {found.run} of {found.id}",
        section="migrations",
    )


def _bounded(run: int) -> int:
    """Return the number; NotFound where PostgreSQL could not have it."""
    if not 0 < run < 2**62:
        raise NotFound(f"there is no run {run}", hint="look at the history")
    return run
