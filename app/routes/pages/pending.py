"""Pending migrations of the directory that the settings name: reviewed here, and never written."""

from __future__ import annotations

import asyncio
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.migrate.apply.pending import Pending, read_pending, require_runnable
from app.migrate.apply.status import Entry, State
from app.migrate.preflight.findings import Finding
from app.migrate.preflight.run import run_preflight
from app.migrate.read.migrations import LONGEST_ID
from app.migrate.review.plan import Failure, Gates, PlannedMigration, is_kept
from app.migrate.review.report import lock_words, recovery_words
from app.migrate.risk import Level, Operation, Reason
from app.migrate.shadow.replay import Source
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Failed, Locked, NotFound, Refused, WrongUsage, ZanithError
from app.recovery.jobs import model as jobs
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.jobs.operation import attempt
from app.routes import work
from app.routes.deploying import (
    Replay,
    begin_with,
    directory_of,
    start_deploy,
    start_verification,
)
from app.routes.errors import status_of
from app.routes.rendering import is_partial, link
from app.routes.studio import Studio, TheStudio, Typed, Who, checked_form

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
    gates: Gates

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
        """How many of its operations lose something that is captured."""
        return sum(is_kept(one, self.gates) for one in self.operations)


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
        return [Row(entry, plans.get(entry.id), self.found.gates) for entry in entries]

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
    def last(self) -> str | None:
        """The address of the last one that is to run: to apply it applies all."""
        chosen = self.found.chosen if self.found else ()
        return link_of(chosen[-1].id) if chosen else None

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
    """One pending migration: each statement with its operations, and what applies it.

    ``refusal`` is why it cannot be applied now, and ``error`` what came of an attempt.
    """

    row: Row
    found: Pending
    refusal: ZanithError | None = None
    error: ZanithError | None = None
    typed: str = ""
    verified: Job | None = None
    """The newest verification of just this on a shadow, also one that did not end."""
    findings: tuple[Finding, ...] | None = None
    """What the rows say; None if they were not asked."""

    @property
    def from_live(self) -> bool:
        """Whether a shadow begins with the live schema, if nobody chooses."""
        return begin_with(self.found) is Source.LIVE

    @property
    def guarded(self) -> bool:
        """Whether the guard captures what it drops."""
        return self.found.guarded

    @property
    def failures(self) -> tuple[Failure, ...]:
        """What `up` refuses of this one without another option."""
        plan = self.found.plan
        own = self.row.entry.id
        return tuple(one for one in plan.failures if one.migration.id == own) if plan else ()

    @property
    def first(self) -> list[str]:
        """The ids of those that run before it."""
        return [entry.id for entry in self.found.chosen[:-1]]

    @property
    def here(self) -> str:
        """The address of its page, to send the form to."""
        return self.row.link

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
                [
                    Shown(op, list(lock_words(op)), recovery_words(op, self.row.gates))
                    for op in one.operations
                ],
            )
            for one in (planned.statements if planned else ())
        ]


MigrationId = Annotated[str, Query(alias="id", max_length=LONGEST_ID)]


@router.get("", response_class=HTMLResponse)
async def show(
    request: Request,
    studio: TheStudio,
    who: Who,
    migration_id: MigrationId = "",
    rows: bool = False,
) -> HTMLResponse:
    """Show the pending migrations, or one of them; with `rows` ask if these let it run."""
    if migration_id:
        view = await _one(studio, who, migration_id)
        if rows:
            view = replace(view, findings=await _ask_rows(studio, who, view.found))
        return await asyncio.to_thread(_show_one, request, studio, view)
    directory = studio.settings.migrations
    listed = PendingView(directory)
    status = 200
    if directory is not None:
        try:
            found = await read_pending(studio.reading(who), directory)
            listed = PendingView(directory, found, found.error)
        except (NotFound, WrongUsage) as error:
            listed = PendingView(directory, error=error)
            status = status_of(error)
    return studio.pages.render(
        *(request, "pending/list.html", listed),
        title="Pending migrations",
        section="migrations",
        status=status,
    )


async def _ask_rows(studio: Studio, who: Actor, found: Pending) -> tuple[Finding, ...]:
    async with attempt(studio.db, who, "preflight", None, found.chosen[-1].id):
        if found.plan is None:
            return ()
        files = [entry.migration for entry in found.chosen if entry.migration is not None]
        return await run_preflight(studio.db, found.plan, files, who)


async def _one(studio: Studio, who: Actor, migration_id: str) -> OneView:
    none = NotFound(
        f"no migration of the id {migration_id} is pending",
        hint="look at the list of pending migrations",
    )
    try:
        found = await read_pending(studio.reading(who), directory_of(studio), migration_id)
    except Refused:
        raise none from None
    last = found.chosen[-1]
    if last.id != migration_id:
        raise none
    refusal = None
    try:
        await asyncio.to_thread(require_runnable, found)
    except ZanithError as error:
        refusal = error
    planned = found.plan.migrations[-1] if found.plan else None
    verified = None
    if found.digest:
        about = (Kind.VERIFY_MIGRATIONS, found.digest)
        verified = await jobs.find_newest(studio.reading(who), *about)
    return OneView(Row(last, planned, found.gates), found, refusal, verified=verified)


def _show_one(request: Request, studio: Studio, view: OneView, status: int = 200) -> HTMLResponse:
    partial = is_partial(request) and view.findings is not None
    return studio.pages.render(
        *(request, "pending/rows.html" if partial else "pending/page.html", view),
        title=f"Pending migration {view.row.entry.id}",
        section="migrations",
        status=status,
    )


@router.post("", dependencies=[checked_form])
async def apply(
    request: Request,
    studio: TheStudio,
    who: Who,
    migration_id: MigrationId,
    confirm: Typed = "",
    digest: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Apply it and those before it as a job, or show it again with why not."""
    try:
        job = await start_deploy(studio, migration_id, who, confirm=confirm, digest=digest or None)
    except (Refused, Locked, WrongUsage, Failed) as exc:
        if job_id := work.under_way(exc, who, Kind.DEPLOY):
            return RedirectResponse(f"/studio/jobs/{job_id}", 303)
        try:
            view = await _one(studio, who, migration_id)
        except NotFound:  # it is applied by now
            raise exc from None
        view = replace(view, error=exc, typed=confirm)
        return _show_one(request, studio, view, status_of(exc))
    return RedirectResponse(f"/studio/jobs/{job.id}", 303)


@router.post("/verify", dependencies=[checked_form])
async def verify(
    request: Request,
    studio: TheStudio,
    who: Who,
    migration_id: MigrationId,
    replay: Annotated[Replay | None, Form()] = None,
) -> Response:
    """Verify it and those before it on a shadow, as a job; or show it again with why not."""
    try:
        job = await start_verification(studio, migration_id, who, replay)
    except (Refused, Locked, WrongUsage, Failed) as exc:
        if job_id := work.under_way(exc, who, Kind.VERIFY_MIGRATIONS):
            return RedirectResponse(f"/studio/jobs/{job_id}", 303)
        view = replace(await _one(studio, who, migration_id), error=exc)
        return _show_one(request, studio, view, status_of(exc))
    return RedirectResponse(f"/studio/jobs/{job.id}", 303)
