"""The measurement of coverage that a studio runs when somebody asks: one at a time, then kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database
from app.recovery.inspection.coverage import Coverage, measure_coverage
from app.routes.runner import Runner


@dataclass
class Measurement:
    """The one measurement that runs, or how the last one ended; every page shows the same."""

    task: asyncio.Task[None] | None = None
    progress: dict[str, Any] = field(default_factory=dict)
    found: Coverage | None = None
    error: ZanithError | None = None

    @property
    def running(self) -> bool:
        """Whether it is under way."""
        return self.task is not None and not self.task.done()

    @property
    def percent(self) -> int | None:
        """How far it is; None before the first step."""
        total = self.progress.get("total")
        return 100 * int(self.progress["done"]) // int(total) if total else None

    def begin(self, runner: Runner, db: Database) -> None:
        """Measure, unless somebody else asked already."""
        if not self.running:
            self.progress, self.error = {}, None
            self.task = runner.start(self._measure(db), "coverage", None, tell=False)

    async def _measure(self, db: Database) -> None:
        try:
            self.found = await measure_coverage(db, self.progress.update)
        except ZanithError as error:
            self.error = error
