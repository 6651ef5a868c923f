"""`zanith migrate up`: the pending migrations, reviewed and run one after another."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from app.migrate.apply.digest import require_digest
from app.migrate.apply.history import SQL
from app.migrate.apply.prepare import Prepared, prepare
from app.migrate.apply.run import Ran, Runner
from app.migrate.apply.session import open_session
from app.migrate.apply.status import Entry, Status, require_sound, status_in
from app.migrate.preflight.run import run_preflight, with_findings
from app.migrate.read.migrations import Layout, Migration, find_named
from app.migrate.review.live import read_live
from app.migrate.review.plan import Gates, MigrationPlan, plan_migrations
from app.migrate.review.world import World
from app.migrate.rewriting.rewrite import rewrite
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, Refused, WrongUsage, ZanithError
from app.recovery.core.names import quote
from app.recovery.core.progress import OnProgress, tell
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database


@dataclass(frozen=True)
class UpRequest:
    """Which of the pending migrations are to run, and what may be in them."""

    steps: int | None = None
    to: str | None = None
    gates: Gates = field(default_factory=Gates)
    out_of_order: bool = False
    allow_vanished: bool = False
    wait: timedelta | None = None
    resume: str | None = None
    dry_run: bool = False
    preflight: bool = True
    """Whether the rows are asked first if they let the migrations run."""
    digest: str | None = None
    """The digest of what somebody looked at: something else does not run."""


@dataclass(frozen=True)
class UpReport:
    """What ran, and what is left. With `dry_run` nothing ran."""

    plan: MigrationPlan
    ran: tuple[Ran, ...]
    pending: tuple[str, ...]
    guarded: bool
    dry_run: bool = False
    captures: tuple[tuple[str, int, str], ...] = ()
    """Of a dry run without the guard: path, line and the capture that would run."""

    def to_json(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            "applied": [one.to_json() for one in self.ran],
            "pending": list(self.pending),
            "guard": self.guarded,
            "captures": [
                {"path": path, "line": line, "statement": text}
                for path, line, text in self.captures
            ],
            "plan": self.plan.to_json(),
        }


async def migrate_up(
    db: Database,
    layout: Layout,
    migrations: Sequence[Migration],
    actor: Actor,
    request: UpRequest | None = None,
    on_progress: OnProgress | None = None,
) -> UpReport:
    """Run pending migrations, in order, and return what ran.

    Each is one transaction with its record, unless it says otherwise. Taken if another process runs
    migrations; Refused if a gate fails, or if the files are not those of the history;
    MigrationFailed if a statement fails. What ran before that stays applied.
    """
    request = request or UpRequest()
    async with open_session(db, request.wait, on_progress) as session:
        status = await status_in(session, layout, migrations)
        require_sound(
            status, out_of_order=request.out_of_order, allow_vanished=request.allow_vanished
        )
        chosen = choose(status, request.steps, request.to)
        files = [entry.migration for entry in chosen if entry.migration is not None]
        guarded = await is_guarded(db)
        plan = await plan_pending(db, layout, files, request.gates, guarded=guarded)
        await asyncio.to_thread(require_digest, request.digest, chosen, plan, guarded=guarded)
        if request.preflight:
            plan = with_findings(plan, await run_preflight(db, plan, files, actor))
        prepared = await asyncio.to_thread(_prepare, layout, files, plan, guarded=guarded)
        left = tuple(entry.id for entry in status.pending)
        if request.dry_run:
            found = tuple(
                (str(one.script.path), unit.line, unit.ran)
                for one in prepared
                for unit in one.units
                if unit.ran
            )
            return UpReport(plan, (), left, guarded, dry_run=True, captures=found)
        require_gates(plan)
        if not guarded:
            await asyncio.to_thread(require_captures, files, request.gates)
        ran = await _run_all(db, session, prepared, chosen, actor, request, on_progress)
        done = {one.id for one in ran}
        return UpReport(plan, ran, tuple(one for one in left if one not in done), guarded)


async def _run_all(
    db: Database,
    session: Connection,
    prepared: Sequence[Prepared],
    chosen: Sequence[Entry],
    actor: Actor,
    request: UpRequest,
    on_progress: OnProgress | None,
) -> tuple[Ran, ...]:
    runner = Runner(db, session, actor, on_progress, again=request.resume)
    ran: list[Ran] = []
    for one, entry in zip(prepared, chosen, strict=True):
        try:
            ran.append(await runner.run(one, entry.run))
            step = f"{one.id} is applied"
            await tell(on_progress, {"step": step, "applied": ran[-1].to_json()})
        except ZanithError as error:
            if ran:
                applied = f"applied before it: {', '.join(done.id for done in ran)}"
                error.detail = "\n".join(filter(None, (error.detail, applied)))
            raise
    return tuple(ran)


def choose(status: Status, steps: int | None = None, to: str | None = None) -> list[Entry]:
    """Return the pending migrations that are to run; WrongUsage or NotFound for a wrong choice."""
    if steps is not None and to is not None:
        raise WrongUsage("--steps and --to exclude each other", hint="give one of them")
    pending = status.pending
    if steps is not None:
        if steps < 1:
            raise WrongUsage("--steps must be 1 or more", hint="write how many are to run")
        return pending[:steps]
    if to is None:
        return pending
    found = find_named(to, [entry.id for entry in status.entries])
    for place, entry in enumerate(pending, 1):
        if entry.id == found:
            return pending[:place]
    if found is not None:
        raise Refused(
            f"{to} is applied already", hint="zanith migrate status lists what is pending"
        )
    raise NotFound(f"no migration is named {to}", hint="name one by its id or its version")


async def plan_pending(
    db: Database,
    layout: Layout,
    migrations: Sequence[Migration],
    gates: Gates,
    *,
    guarded: bool,
) -> MigrationPlan:
    """Return the plan of pending migrations, with what the database says of them."""
    live, gates = await ask_database(db, migrations, gates, guarded=guarded)
    # it takes long for a long file, and heartbeats have to go on meanwhile
    return await asyncio.to_thread(
        plan_migrations, layout, migrations, gates, live=live, together=True
    )


async def ask_database(
    db: Database, migrations: Sequence[Migration], gates: Gates, *, guarded: bool
) -> tuple[World, Gates]:
    """Return what the database says of what the migrations name, and the gates with its guard."""
    live = await read_live(db, migrations, guarded=guarded)
    if guarded:
        gates = replace(gates, guard=True, kept_rows=await _kept_rows(db))
    return live, gates


async def is_guarded(db: Database) -> bool:
    """Return whether the guard captures whatever this role drops."""
    async with db.acquire() as connection:
        return bool(await connection.fetchval(SQL["guarded"]))


async def _kept_rows(db: Database) -> frozenset[str]:
    """Return the tables whose rows the guard copies before a TRUNCATE, as files can name them."""
    async with db.acquire() as connection:
        rows = await connection.fetch(SQL["kept_rows"])
    found = {quote([row["schema"], row["name"]]) for row in rows}
    return frozenset(found | {quote(row["name"]) for row in rows if row["only"]})


def _prepare(
    layout: Layout, migrations: Sequence[Migration], plan: MigrationPlan, *, guarded: bool
) -> list[Prepared]:
    return [
        prepare(layout, migration, migration.up, planned, captures=not guarded)
        for migration, planned in zip(migrations, plan.migrations, strict=True)
    ]


def require_gates(plan: MigrationPlan) -> None:
    """Raise Refused where an operation does not pass a gate."""
    if not plan.failures:
        return
    lines = [f"{one.migration.path}:{one.line}: {one.message}" for one in plan.failures]
    hints = list(dict.fromkeys(one.hint for one in plan.failures))
    raise Refused(
        f"the plan does not pass its gates: {lines[0]}",
        detail="\n".join(lines[1:]) or None,
        hint=hints[0] if len(hints) == 1 else "zanith migrate plan shows each with its way out",
    )


def require_captures(migrations: Sequence[Migration], gates: Gates) -> None:
    """Raise Refused for a DO block that drops something, where no guard can capture it."""
    if gates.allow_destructive:
        return
    for migration in migrations:
        left = rewrite(migration.up.data, "archive", migration.id, str(migration.up.path)).left
        for one in left:
            if "DO block" in one.reason:
                raise Refused(
                    f"{migration.up.path}:{one.line}: {one.reason}, and the guard is not on",
                    hint=f"zanith guard on captures it; or {one.hint}, or give --allow-destructive",
                )
