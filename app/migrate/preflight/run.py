"""Preflight: each probe asked of the database, and the plan with what they found.

A probe evaluates expressions of the migration, and of the owner of the table. It runs as the plan's
checks run: as the owner, in a function that cannot change the role, or after a look at whose code
could run (docs/security.md). Nothing is written, and an answer that takes too long is none.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import asyncpg

from app.migrate.preflight.facts import SQL, Facts, read_facts
from app.migrate.preflight.findings import Finding, Outcome, Place
from app.migrate.preflight.probe import Attempt, Probe
from app.migrate.preflight.state import State
from app.migrate.preflight.statements import probes_of
from app.migrate.read.migrations import Migration
from app.migrate.read.scripts import read_script
from app.migrate.review.live import read_live, resolve_names
from app.migrate.review.memory import remember
from app.migrate.review.plan import MigrationPlan, judge_gates
from app.migrate.review.world import World
from app.migrate.risk import Level, Operation
from app.recovery.core.actor import Actor
from app.recovery.core.durations import format_duration
from app.recovery.core.errors import OutOfTime, ZanithError
from app.recovery.core.names import quote
from app.recovery.core.translate import translate
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.plan.checks import count_in
from app.recovery.plan.execute import OWN_PATH, guard
from app.recovery.queries import load

PLAN = load("plan")

WITHIN = timedelta(minutes=1)
"""How long all probes together may take by default."""

# What PostgreSQL says of a value: the statement fails for the same reason.
_ABOUT_VALUES = ("22", "23", "P0", "0A")


@dataclass(frozen=True)
class Asked:
    """A probe of a statement."""

    place: Place
    probe: Probe


async def run_preflight(
    db: Database,
    plan: MigrationPlan,
    migrations: Sequence[Migration],
    actor: Actor,
    within: timedelta = WITHIN,
) -> tuple[Finding, ...]:
    """Ask the rows of the database whether they let the planned migrations run.

    `migrations` are those of the plan. Examples are left out for an actor who may not see rows.
    """
    async with db.acquire() as connection:
        installed = await connection.fetchval(SQL["installed"])
    if not installed:
        why = "Zanith is not installed here, or not for this role: run zanith init"
        return tuple(_without(asked, why) for asked in _probes(plan, migrations, Facts(), World()))
    world = await read_live(db, migrations)
    async with db.acquire() as connection, connection.transaction(readonly=True):
        path = await db.configured_path(connection)
        relations, types = await resolve_names(connection, path, migrations)
        facts = await read_facts(connection, relations, types)
        schemas = await _schemas(connection, path)
    ends = time.monotonic() + within.total_seconds()
    found = []
    for asked in _probes(plan, migrations, facts, world):
        limits = _Limits(timedelta(seconds=max(ends - time.monotonic(), 0)), within)
        if not limits.left and not asked.probe.unknown:
            found.append(_without(asked, limits.late))
        else:
            found.append(await _run(db, asked, schemas, limits, examples=actor.sees_rows))
    return tuple(found)


async def _schemas(connection: Connection, path: str) -> tuple[str, ...]:
    own = await connection.fetchval("SELECT pg_catalog.current_setting('search_path')")
    await connection.execute(SQL["path"], path)
    schemas = await connection.fetchval(SQL["schemas"])
    await connection.execute(SQL["path"], own)
    return tuple(schemas)


def _probes(
    plan: MigrationPlan, migrations: Sequence[Migration], facts: Facts, world: World
) -> list[Asked]:
    """Return the probes of all statements, in their order."""
    state = State.begin(facts, world)
    by_id = {migration.id: migration for migration in migrations}
    found = []
    for planned in plan.migrations:
        statements = {(one.line, one.column): one for one in planned.statements}
        numbers = {place: number for number, place in enumerate(statements)}
        for steered in read_script(by_id[planned.id].up).statements:
            where = (steered.statement.line, steered.column)
            if where not in statements:
                continue
            said = f"{planned.path}:{where[0]}"
            operations = list(statements[where].operations)
            for number, probe in probes_of(state, steered.statement, operations, said):
                place = Place(planned.id, str(planned.path), *where, numbers[where], number)
                found.append(Asked(place, probe))
            remember(world, steered.statement)
    return found


def _without(asked: Asked, why: str) -> Finding:
    probe = asked.probe
    message = probe.message if probe.unknown else count_in(probe.message, None)
    return Finding(asked.place, probe.kind, probe.object, Outcome.NOT_CHECKED, message, reason=why)


@dataclass(frozen=True)
class _Limits:
    """How long the probes may take from here on, and how long all of them."""

    left: timedelta
    whole: timedelta

    @property
    def late(self) -> str:
        return f"it was not done within {format_duration(self.whole)}"


@dataclass(frozen=True)
class _Reader:
    """Reads for one probe, in a transaction that is rolled back."""

    connection: Connection
    role: str | None
    path: str

    async def count(self, sql: str) -> tuple[int, tuple[str, ...]]:
        """Return what a query counted, and its examples."""
        async with self.connection.transaction():
            if self.role is not None:
                names = ["count", "examples"]
                sql = await self.connection.fetchval(
                    SQL["make_reader"], self.role, sql, names, self.path
                )
            await self.connection.execute(SQL["read_only"])
            if self.role is None:
                await self.connection.execute(SQL["path"], self.path)
            row: Any = await self.connection.fetchrow(sql)
        return int(row[0]), tuple(map(str, json.loads(row[1] or "[]")))

    async def attempt(self, body: str) -> tuple[int, tuple[str, ...]]:
        """Return for how many rows something failed, and the first of them."""
        async with self.connection.transaction():
            call = await self.connection.fetchval(SQL["make_probe"], self.role, body, self.path)
            await self.connection.execute(SQL["read_only"])
            found: Any = await self.connection.fetchval(call)
        return found["count"], tuple(found["examples"])

    async def has_no_cast(self, source: str, target: str) -> bool:
        """Whether PostgreSQL refuses to cast a type to another by itself."""
        await self.connection.execute(SQL["path"], self.path)
        types: Any = await self.connection.fetchrow(SQL["assignable"], source, target)
        await self.connection.execute(SQL["path"], OWN_PATH)
        known = await self.connection.fetchval(SQL["casts"], types["source"], types["target"])
        return known is False


async def _run(
    db: Database, asked: Asked, schemas: Sequence[str], limits: _Limits, *, examples: bool
) -> Finding:
    """Run one probe. Whatever stops it is the reason why nobody knows its answer."""
    if asked.probe.unknown:
        return _without(asked, asked.probe.unknown)
    try:
        async with bounded_read(db, "the rows of migrations", within=limits.left) as connection:
            await connection.execute(PLAN["settings"])
            reader = await _prepare(connection, asked.probe, schemas)
            if isinstance(reader, str):
                return _without(asked, reader)
            finding = await _ask(reader, asked)
    except OutOfTime:
        return _without(asked, limits.late)
    except ZanithError as error:
        return _without(asked, error.for_log)
    return finding if examples else replace(finding, examples=())


async def _prepare(connection: Connection, probe: Probe, schemas: Sequence[str]) -> _Reader | str:
    """Return what reads as the role that may read, or why nobody may."""
    names = probe.names
    row: Any = await connection.fetchrow(
        SQL["probe_as"],
        list(probe.tables),
        sorted({*schemas, *names.schemas}),
        sorted(names.routines),
        sorted(names.operators),
        sorted(names.types),
    )
    if row["reason"]:
        return str(row["reason"])
    tables = await connection.fetchval(SQL["names"], list(probe.tables))
    await guard(connection, row["role_name"], tuple(tables), nowait=True)
    path = ", ".join([*(quote([schema]) for schema in schemas), "pg_temp"])
    return _Reader(connection, row["role_name"], path)


async def _ask(reader: _Reader, asked: Asked) -> Finding:
    probe = asked.probe
    if probe.cast is not None and await reader.has_no_cast(*probe.cast):
        source, target = probe.cast
        said = f"PostgreSQL does not cast {source} to {target} by itself: write USING"
        return _found(asked, said, None)
    try:
        if probe.sql is not None:
            count, examples = await reader.count(probe.counting)
        else:
            count, examples = await _evaluate(reader, probe.attempt)
    except asyncpg.PostgresError as error:
        if probe.attempt is None or not (error.sqlstate or "").startswith(_ABOUT_VALUES):
            raise
        return await _try(reader, asked, probe.attempt, translate(error).for_log)
    return _found(asked, count_in(probe.message, count), count, examples)


async def _evaluate(reader: _Reader, attempt: Attempt | None) -> tuple[int, tuple[str, ...]]:
    """Evaluate something for all rows: if that ends, it fails for none."""
    if attempt is not None:
        await reader.count(attempt.query)
    return 0, ()


async def _try(reader: _Reader, asked: Asked, attempt: Attempt, error: str) -> Finding:
    """Count the rows for which PostgreSQL cannot evaluate something."""
    probe = asked.probe
    message = probe.message
    if probe.sql is not None and not attempt.condition:
        message = f"PostgreSQL cannot evaluate {probe.object} for {{count}} {{row|rows}}"
    try:
        count, examples = await reader.attempt(attempt.body)
    except asyncpg.PostgresError as exc:
        return _without(asked, translate(exc).for_log)
    if not count:
        return _without(asked, error)
    return _found(asked, count_in(message, count), count, examples)


def _found(
    asked: Asked, message: str, count: int | None, examples: tuple[str, ...] = ()
) -> Finding:
    outcome = Outcome.PASSED if count == 0 else Outcome.FOUND
    probe = asked.probe
    return Finding(asked.place, probe.kind, probe.object, outcome, message, count, examples)


# ----------------------------------------------------------------------------------------- the plan


def with_findings(plan: MigrationPlan, findings: Sequence[Finding]) -> MigrationPlan:
    """Return the plan with the operations that would fail as blocked, and its gates judged."""
    by_place: dict[tuple[str, int, int], list[Finding]] = {}
    for finding in findings:
        place = finding.place
        by_place.setdefault((place.migration, place.statement, place.operation), []).append(finding)
    migrations = []
    for migration in plan.migrations:
        statements = [
            replace(
                statement,
                operations=tuple(
                    _judged(one, by_place.get((migration.id, number, place), ()))
                    for place, one in enumerate(statement.operations)
                ),
            )
            for number, statement in enumerate(migration.statements)
        ]
        migrations.append(replace(migration, statements=tuple(statements)))
    return judge_gates(replace(plan, migrations=tuple(migrations)), plan.gates)


def _judged(operation: Operation, findings: Sequence[Finding]) -> Operation:
    """Return an operation with what the probes say of it; never with a value of a row."""
    if not findings:
        return operation
    notes = tuple(f"preflight: {finding.words}" for finding in findings)
    if not any(finding.outcome is Outcome.FOUND for finding in findings):
        return replace(operation, notes=(*operation.notes, *notes))
    return replace(
        operation,
        lowest=Level.BLOCKED,
        notes=(*operation.notes, *notes),
        hint="correct these rows first, in a migration of their own",
    )
