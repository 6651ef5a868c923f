"""What an operator does with an artifact, from the plan of its capture to its end, one operation after another.

Each operation is done, or refused: both are right, if nothing of the owner's ran as another. What the hooks said
is read after each, so that an escape names the operation that let it happen.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg

from app.recovery import worker
from app.recovery.artifacts import listing
from app.recovery.artifacts.model import Artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import ZanithError
from app.recovery.core.names import quote
from app.recovery.db.database import Database
from app.recovery.inspection import doctor
from app.recovery.inspection.definitions import read_definitions
from app.recovery.inspection.inspect import inspect, preview_rows
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge import hold
from app.recovery.purge.cleanup import cleanup, plan_cleanup
from app.recovery.purge.erase import erase, plan_erasure
from app.recovery.purge.purge import purge, review_purge
from app.recovery.restore.analyze import analyze
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from app.recovery.rows import export
from app.recovery.rows.compare import CLASSES, count_differences, sample_differences
from app.recovery.rows.export import ExportRequest
from app.recovery.rows.seal import find_sealed, find_unsealed, seal, sweep, verify
from tests.hostile.tables import Table
from tests.hostile.trap import Seen, Trap

DBA = Actor("dba", None, "staff")
FORMATS = ("csv", "jsonl", "json", "spreadsheet")
QUICKLY = Limits(max_lag=None)


def _tell_nobody(_job: object, _word: str) -> None:
    """Be what a worker tells of its jobs."""


@dataclass(frozen=True)
class Step:
    """One operation, how it ended, and what escaped meanwhile."""

    operation: str
    refused: str | None
    escapes: tuple[Seen, ...]


@dataclass
class Journey:
    """The operations of one operator on one table, and what came of them.

    ``by`` runs statements as a superuser: what a DBA does meanwhile.
    """

    db: Database
    trap: Trap
    table: Table
    by: Callable[[str], Any] = lambda _sql: None
    steps: list[Step] = field(default_factory=list)

    async def do(self, operation: str, work: Callable[[], Awaitable[Any]]) -> Any:
        """Do one operation and note what came of it; return what it returned, None where it was refused."""
        result, refused = None, None
        try:
            result = await work()
        except (ZanithError, asyncpg.PostgresError) as exc:
            refused = " ".join(filter(None, (str(exc), getattr(exc, "detail", None))))
        self.steps.append(Step(operation, refused, tuple(self.trap.escapes())))
        return result

    async def capture(
        self,
        strategy: str,
        on_dependents: str = "cascade",
        of_column: str | None = None,
        **more: Any,
    ) -> Artifact | None:
        """Plan a capture and do it."""
        of_column = of_column or self.table.column
        column = of_column if strategy in {"archive_column", "soft_drop_column"} else None
        request = CaptureRequest(
            strategy,
            self.table.full,
            column,
            on_dependents=on_dependents,
            published_ok=True,
            **more,
        )
        name = f"{strategy}{' online' if more.get('online') else ''}"
        await self.do(f"plan {name}", lambda: plan_capture(self.db, request))
        found: Artifact | None = await self.do(
            name,
            lambda: capture(self.db, request, DBA, limits=QUICKLY if more.get("online") else None),
        )
        if found is None and on_dependents == "cascade" and strategy != "rebuild_table":
            keep = replace(request, on_dependents="refuse")
            found = await self.do(f"{name}, refuse", lambda: capture(self.db, keep, DBA))
        return found

    async def look(self, artifact: Artifact, *, close: bool = False) -> None:
        """Do what only reads; ``close`` is all of it."""
        await self.do("verify", lambda: verify(self.db, artifact.id, DBA))
        await self.do("rows", lambda: preview_rows(self.db, artifact.id, DBA))
        for format_ in FORMATS if close else FORMATS[:2]:
            await self.do(f"export {format_}", partial(self.export, artifact, format_))
        if close:
            await self.do("seal", lambda: seal(self.db, artifact.id, DBA))
            await self.do(
                "verify, 2 jobs", lambda: verify(self.db, artifact.id, DBA, jobs_at_once=2)
            )
            await self.do("inspect", lambda: inspect(self.db, artifact.id))
            await self.do(
                "plan erasure", lambda: plan_erasure(self.db, artifact.id, self._match(), DBA)
            )
            await self.do("plan purge", lambda: review_purge(self.db, artifact.id))
            await self.compare(artifact)

    async def compare(self, artifact: Artifact, when: str = "") -> None:
        """Look at it beside what has its name now, by definition and by value."""
        await self.do(f"compare{when}", lambda: read_definitions(self.db, artifact.id))
        found = await self.do(
            f"count what differs{when}", lambda: count_differences(self.db, artifact.id, DBA)
        )
        for kind in CLASSES if found is not None and found.reason is None else ():
            await self.do(
                f"show {kind}{when}", partial(sample_differences, self.db, artifact.id, DBA, kind)
            )

    async def restore(
        self, artifact: Artifact, name: str = "restore", *, close: bool = False, **choices: Any
    ) -> None:
        """Restore; ``close`` is to plan it, to rehearse it, and to look at what came back too."""
        wanted = Choices(**choices)
        if close:
            await self.do(f"plan {name}", lambda: plan_restore(self.db, artifact.id, wanted))
            await self.do(f"rehearse {name}", lambda: rehearse(self.db, artifact.id, wanted, DBA))
        limits = QUICKLY if wanted.online else None
        await self.do(name, lambda: restore(self.db, artifact.id, wanted, DBA, limits=limits))
        if close:
            await self.do(f"inspect after {name}", lambda: inspect(self.db, artifact.id))
            await self.compare(artifact, f" after {name}")
            await self.do(f"analyze after {name}", lambda: analyze(self.db, artifact.id, DBA))

    async def export(self, artifact: Artifact, format_: str) -> int:
        """Export, and return how many bytes came."""
        job = await export.announce(self.db, ExportRequest(artifact.id, format_), DBA)
        size = 0
        async for chunk in export.stream_export(self.db, job.id):
            size += len(chunk)
        return size

    async def give(self, table: str) -> None:
        """Have a superuser give a table to the operator."""
        async with self.db.acquire() as connection:
            me = await connection.fetchval("SELECT current_user")
        given = f"ALTER TABLE {table} OWNER TO {me}"
        await self.do("give it away", lambda: asyncio.to_thread(self.by, given))

    async def erase(self, artifact: Artifact) -> None:
        """Erase one row."""
        await self.do(
            "erase",
            lambda: erase(
                self.db, artifact.id, self._match(), DBA, rows=1, confirm=artifact.object_name
            ),
        )

    async def leave_out(self, artifact: Artifact) -> tuple[str, ...]:
        """Return what the parts are called that can be left out; of some tables, plan without each."""
        async with self.db.acquire() as connection:
            found = tuple(row["label"] for row in await connection.fetch(LABELS, artifact.id))
        for label in found if self.table.name in EACH_LEFT_OUT else ():
            wanted = Choices(without=(label,))
            await self.do(
                f"plan restore --without '{label}'",
                partial(plan_restore, self.db, artifact.id, wanted),
            )
        return found

    async def everywhere(self, artifact: Artifact | None = None) -> None:
        """Do what concerns all artifacts."""
        await self.do("list", lambda: listing.list_artifacts(self.db))
        await self.do("summarize", lambda: listing.summarize(self.db))
        await self.do("doctor", lambda: doctor.doctor(self.db))
        await self.do(
            "plan cleanup", lambda: plan_cleanup(self.db, timedelta(0), before_expiry=True)
        )
        await self.do("seal --all", self._seal_all)
        await self.do("verify --all", self._verify_all)
        await self.do("sweep", lambda: sweep(self.db, DBA, set()))
        await self.do("work", lambda: worker.serve(self.db, 1, _tell_nobody, once=True))
        if artifact is not None:
            await self.do("hold", lambda: hold.hold(self.db, artifact.id, DBA))
            await self.do("release", lambda: hold.release(self.db, artifact.id, DBA))

    async def _seal_all(self) -> None:
        for id_ in await find_unsealed(self.db, None):
            with suppress(ZanithError):
                await seal(self.db, id_, DBA)

    async def _verify_all(self) -> None:
        for id_ in await find_sealed(self.db):
            with suppress(ZanithError):
                await verify(self.db, id_, DBA)

    async def purge(self, artifact: Artifact) -> None:
        """Purge by name."""
        await self.do(
            "purge", lambda: purge(self.db, artifact.id, DBA, confirm=artifact.object_name)
        )

    async def cleanup(self, artifact: Artifact) -> None:
        """Purge by age."""
        await self.do(
            "cleanup",
            lambda: cleanup(
                self.db, timedelta(0), False, DBA, only=[artifact.id], before_expiry=True
            ),
        )

    def _match(self) -> dict[str, str]:
        return {self.table.key: self.table.value}

    @property
    def escapes(self) -> list[Seen]:
        """What ran as another than its owner."""
        return [seen for step in self.steps for seen in step.escapes]

    def report(self) -> str:
        """Return the operations with escapes, for a failing test."""
        lines = []
        for step in self.steps:
            kinds = sorted(
                {
                    f"{seen.hook}: {seen.ran} → {seen.became}, under {seen.statement or '?'}"
                    for seen in step.escapes
                }
            )
            lines += [f"{self.table.full}, {step.operation}: {kind}" for kind in kinds]
        return "\n".join(lines)


# ------------------------------------------------------------------------------------------------- journeys


async def archived_column(journey: Journey) -> None:
    """Archive a column, look at it in every way, restore it."""
    if artifact := await journey.capture("archive_column"):
        await journey.look(artifact, close=True)
        await journey.everywhere(artifact)
        await journey.restore(artifact, close=True)


async def erased_column(journey: Journey) -> None:
    """Archive, erase a row, restore with a value for it; restore beside another; purge."""
    if artifact := await journey.capture("archive_column"):
        await journey.erase(artifact)
        await journey.restore(artifact, "restore --fill", fill="1")
    if artifact := await journey.capture("archive_column"):
        await journey.restore(artifact, "restore --as", as_name="c_again")
        await journey.purge(artifact)


async def online_column(journey: Journey) -> None:
    """Archive and restore in batches."""
    if artifact := await journey.capture("archive_column", online=True):
        await journey.look(artifact)
        await journey.restore(artifact, "restore --online", online=True, fire_triggers=True)


async def parked_column(journey: Journey) -> None:
    """Park a column, look at it, restore it; park it again, purge it."""
    if artifact := await journey.capture("soft_drop_column"):
        await journey.look(artifact)
        await journey.restore(artifact, close=True)
    if artifact := await journey.capture("soft_drop_column"):
        await journey.restore(
            artifact, "restore --allow-null --not-valid", allow_null=True, not_valid=True
        )
        await journey.purge(artifact)


async def archived_table(journey: Journey) -> None:
    """Archive a table, look at it, restore it; archive it again, erase in it, clean it up."""
    if artifact := await journey.capture("archive_table"):
        await journey.look(artifact, close=True)
        await journey.everywhere()
        await journey.restore(artifact, close=True)
    if artifact := await journey.capture("archive_table"):
        await journey.erase(artifact)
        await journey.cleanup(artifact)


async def parked_table(journey: Journey) -> None:
    """Park a table where it is, keeping what depends on it, look at it, restore it."""
    if artifact := await journey.capture("soft_drop_table", on_dependents="keep"):
        await journey.look(artifact)
        await journey.restore(artifact, "restore --not-valid", not_valid=True)


async def rebuilt_table(journey: Journey) -> None:
    """Keep a table's rows before a rebuild, and look at them."""
    if artifact := await journey.capture("rebuild_table", keep_rows=True):
        await journey.look(artifact)
        await journey.purge(artifact)


async def archived_rows(journey: Journey) -> None:
    """Copy a table's rows, look at them, let a DBA delete the live ones without triggers, and restore them."""
    if artifact := await journey.capture("archive_rows"):
        await journey.look(artifact, close=True)
        table = journey.table.full
        deleted = f"ALTER TABLE {table} DISABLE TRIGGER ALL; TRUNCATE {table} CASCADE; ALTER TABLE {table} ENABLE TRIGGER ALL"
        await journey.do("delete the rows", lambda: asyncio.to_thread(journey.by, deleted))
        await journey.restore(artifact, close=True)
        await journey.purge(artifact)


async def key_column(journey: Journey) -> None:
    """Park the key, which lifts what rests on it; restore it."""
    if artifact := await journey.capture("soft_drop_column", of_column=journey.table.key):
        await journey.do("rows", lambda: preview_rows(journey.db, artifact.id, DBA))
        await journey.restore(artifact, close=True)


async def column_again(journey: Journey) -> None:
    """Archive a column and restore it without all that can be left out; restore it once more after it was dropped."""
    if artifact := await journey.capture("archive_column"):
        without = await journey.leave_out(artifact)
        await journey.restore(artifact, "restore --without", without=without)
        dropped = (
            f"ALTER TABLE {journey.table.full} DROP COLUMN IF EXISTS {journey.table.column} CASCADE"
        )
        await journey.do("drop it again", lambda: asyncio.to_thread(journey.by, dropped))
        await journey.restore(artifact, "restore again", close=True)
        await journey.purge(artifact)


async def given_column(journey: Journey) -> None:
    """Archive a column; its table is given to the operator; restore it in each form."""
    if artifact := await journey.capture("archive_column"):
        await journey.give(journey.table.full)
        await journey.do("rows", lambda: preview_rows(journey.db, artifact.id, DBA))
        await journey.restore(artifact, "restore --online", online=True, fire_triggers=True)
        await journey.restore(artifact)


async def given_table(journey: Journey) -> None:
    """Park a table; it is given to the operator; look at it, and restore it for its owner of today."""
    if artifact := await journey.capture("archive_table"):
        await journey.give(f"{artifact.physical_schema}.{quote(artifact.physical_name or '')}")
        await journey.restore(artifact, "restore for the former owner")
        await journey.look(artifact)
        await journey.do("seal", lambda: seal(journey.db, artifact.id, DBA))
        await journey.erase(artifact)
        await journey.restore(artifact, "restore --current-owner", close=True, current_owner=True)


OF_COLUMNS = (
    *(archived_column, online_column, parked_column, erased_column),
    *(key_column, column_again, given_column),
)
OF_TABLES = (archived_table, parked_table, rebuilt_table, archived_rows, given_table)
# Columns that are no ordinary ones.
OF_OTHER_COLUMNS = (parked_column, column_again)
# An operator who is no superuser runs the same code of ours: of his journeys those that are not the same again.
OF_OPERATORS = (
    *(archived_column, online_column, key_column, given_column),
    *(archived_table, archived_rows, given_table),
)


def journeys_of(table: Table, operator: str) -> list[Callable[[Journey], Awaitable[None]]]:
    """Return what an operator does to a table."""
    if table.column != "c":
        return list(OF_OTHER_COLUMNS if operator == "superuser" else OF_OTHER_COLUMNS[:1])
    known = [*(OF_COLUMNS if table.columns else ()), *OF_TABLES]
    return known if operator == "superuser" else [each for each in known if each in OF_OPERATORS]


# The tables of which a restore is planned without each part: those with parts of every kind.
EACH_LEFT_OUT = ("literal", "through", "viewed")
# What the parts of a definition are called that can be left out.
LABELS = """
SELECT DISTINCT x.label FROM zanith._artifact($1) a, LATERAL (
    SELECT zanith._label(n.item ->> 'by') AS label FROM zanith._each(a.definition -> 'needs') n
    UNION SELECT t.label FROM zanith._texts_of_parts(a.definition) t WHERE t.expression IS NOT NULL) x ORDER BY 1"""


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    """Open the engine's database as an operator, with little patience for locks."""
    db = await Database.open(
        url, lock_timeout=timedelta(milliseconds=500), lock_retries=1, max_size=4
    )
    try:
        yield db
    finally:
        await db.close()
