"""Pending migrations of the directory that the settings name: reviewed here, and never written."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from app.migrate.apply.pending import Pending, read_pending
from app.migrate.apply.status import Entry, State
from app.migrate.review.plan import Failure, PlannedMigration
from app.migrate.review.report import lock_words, recovery_words
from app.migrate.risk import Level, Operation, Reason
from app.recovery.core.errors import NotFound, WrongUsage, ZanithError
from app.routes.errors import status_of
from app.routes.rendering import link
from app.routes.studio import Studio, TheStudio, Who

PATH = "/studio/pending"

router = APIRouter(prefix=PATH)

MARKS = {"good": "good", "waiting": "flat", "running": "busy", "bad": "bad"}
"""The class of a page for each mark of a state."""


def link_of(migration_id: str) -> str:
    """Return the address of one migration, for `url()`. An id can be no segment of a path."""
    return link(PATH, {"id": migration_id})


@dataclass(frozen=True)
class Row:
    """One migration of the list: its state, and its plan if it is to run."""

    entry: Entry
    planned: PlannedMigration | None

    @property
    def state(self) -> tuple[str, str]:
        """The words of its state, and their mark."""
        return self.entry.state.words, MARKS[self.entry.state.mark]

    @property
    def link(self) -> str:
        """The address of its page."""
        return link_of(self.entry.id)

    @property
    def counts(self) -> list[tuple[Level, int]]:
        """How many of its operations have each level, the highest first."""
        return count_levels(self.planned.operations if self.planned else ())

    @property
    def reasons(self) -> list[str]:
        """The reason codes of all its operations, in the order of the documentation."""
        found = {code for one in self.operations for code in one.reasons}
        return [code.value for code in Reason if code in found]

    @property
    def operations(self) -> list[Operation]:
        """Its operations; none without a plan."""
        return list(self.planned.operations) if self.planned else []

    @property
    def seconds(self) -> float:
        """About how long it works on rows, as far as the catalog says."""
        return sum(one.seconds or 0.0 for one in self.operations)

    @property
    def captured(self) -> int:
        """How many of its operations lose something that can be restored."""
        return sum(bool(one.recovery and one.recovery.recoverable) for one in self.operations)


def count_levels(operations: Iterable[Operation]) -> list[tuple[Level, int]]:
    """Return each level that operations have, with their number, the highest first."""
    found = Counter(one.level for one in operations)
    return sorted(found.items(), reverse=True)


@dataclass(frozen=True)
class PendingView:
    """The directory and its migrations. ``error`` says why there are none, or no plan."""

    directory: Path | None
    found: Pending | None = None
    error: ZanithError | None = None

    @property
    def rows(self) -> list[Row]:
        """The migrations that are not simply applied, in the order of their run."""
        if self.found is None:
            return []
        plans = {one.id: one for one in self.found.plan.migrations} if self.found.plan else {}
        entries = [one for one in self.found.status.entries if one.state is not State.APPLIED]
        return [Row(entry, plans.get(entry.id)) for entry in entries]

    @property
    def applied(self) -> int:
        """How many are applied, and as their files say."""
        entries = self.found.status.entries if self.found else ()
        return sum(entry.state is State.APPLIED for entry in entries)

    @property
    def counts(self) -> list[tuple[Level, int]]:
        """How many operations of all pending ones have each level, the highest first."""
        return count_levels([one for row in self.rows for one in row.operations])

    @property
    def seconds(self) -> float:
        """About how long all of them work on rows."""
        return sum(row.seconds for row in self.rows)

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What `up` refuses without another option."""
        plan = self.found.plan if self.found else None
        return plan.failures if plan else ()


@dataclass(frozen=True)
class Shown:
    """One operation, with its locks and its recovery in words."""

    operation: Operation
    locks: list[str]
    recovery: str


@dataclass(frozen=True)
class OneView:
    """One pending migration: each statement with its operations."""

    row: Row
    guarded: bool
    failures: tuple[Failure, ...]

    @property
    def command(self) -> str:
        """What runs it, and those before it, in a terminal."""
        return f"zanith migrate up --to {shlex.quote(self.row.entry.id)}"

    @property
    def statements(self) -> list[tuple[int, str, list[Shown]]]:
        """Each statement: its line, its text, and what it does."""
        planned = self.row.planned
        return [
            (
                one.line,
                one.text,
                [Shown(op, list(lock_words(op)), recovery_words(op)) for op in one.operations],
            )
            for one in (planned.statements if planned else ())
        ]


@router.get("", response_class=HTMLResponse)
async def show(
    request: Request,
    studio: TheStudio,
    who: Who,
    migration_id: Annotated[str, Query(alias="id", max_length=200)] = "",
) -> HTMLResponse:
    """Show the pending migrations, or one of them."""
    directory = studio.settings.migrations
    view = PendingView(directory)
    status = 200
    if directory is not None:
        try:
            found = await read_pending(studio.reading(who), directory)
            view = PendingView(directory, found, found.error)
        except (NotFound, WrongUsage) as error:
            view = PendingView(directory, error=error)
            status = status_of(error)
    if not migration_id:
        return studio.pages.render(
            *(request, "pending/list.html", view),
            title="Pending migrations",
            section="migrations",
            status=status,
        )
    return _show_one(request, studio, view, migration_id)


def _show_one(
    request: Request, studio: Studio, view: PendingView, migration_id: str
) -> HTMLResponse:
    row = next((one for one in view.rows if one.entry.id == migration_id), None)
    if row is None:
        raise view.error or NotFound(
            f"no migration of the id {migration_id} is pending",
            hint="look at the list of pending migrations",
        )
    failures = tuple(one for one in view.failures if one.migration.id == migration_id)
    guarded = view.found is not None and view.found.guarded
    return studio.pages.render(
        *(request, "pending/page.html", OneView(row, guarded, failures)),
        title=f"Pending migration {migration_id}",
        section="migrations",
    )
