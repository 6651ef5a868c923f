"""How long a restore held its strongest lock on tables that others use."""

from __future__ import annotations

import time
from dataclasses import dataclass

from app.recovery.plan.blocking import is_live
from app.recovery.plan.model import LOCKS, Plan, Step


@dataclass(frozen=True)
class LockHeld:
    """The strongest lock, on which live tables, and the seconds from its grant to the COMMIT."""

    mode: str
    tables: tuple[str, ...]
    seconds: float


class LockClock:
    """Measures that while the steps of the first transaction run.

    A step that does nothing but lock has its lock when it ends. Of any other the moment is not
    seen: it counts from the beginning of the step.
    """

    def __init__(self, plan: Plan) -> None:
        steps = [step for step in plan.steps if step.transaction == 1]
        found = [
            (step.lock, table)
            for step in steps
            for table in step.tables
            if step.lock in LOCKS and is_live(table, plan)
        ]
        self._mode = max((lock for lock, _ in found if lock), key=LOCKS.index, default=None)
        self._tables = tuple(dict.fromkeys(t for lock, t in found if lock == self._mode))
        self._since: float | None = None

    def ran(self, step: Step, began: float) -> None:
        """Note a step that has just ended, and when it began, by the monotonic clock."""
        takes = step.lock == self._mode and not {*step.tables}.isdisjoint(self._tables)
        if takes and self._since is None:
            self._since = time.monotonic() if step.locks else began

    def read(self) -> LockHeld | None:
        """Return how long it is held by now; None where no such lock was taken."""
        if self._mode is None or self._since is None:
            return None
        seconds = round(time.monotonic() - self._since, 4)
        return LockHeld(self._mode, self._tables, seconds)
