"""The comparison: the plan of a statement may not say less than PostgreSQL did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from app.migrate.observe.compare import MAY_FAIL, Predicted, compare
from app.migrate.read.migrations import Script
from app.migrate.read.scripts import read_script
from app.migrate.read.statements import read_statements
from app.migrate.review.classify import classify
from app.migrate.review.memory import remember
from app.migrate.review.operations import Context
from app.migrate.review.world import World
from app.migrate.risk import Mode, Operation, Reason
from tests.migrate.runs import EVENTS, Database, Run, read_database, run_all


@dataclass
class Verdicts:
    """What the judge found: statements that do more than the plan says, and those that do less."""

    observed: int = 0
    failed: int = 0
    under: list[str] = field(default_factory=list)
    over: Counter[str] = field(default_factory=Counter)
    predictions: Counter[str] = field(default_factory=Counter)
    over_forms: dict[str, set[str]] = field(default_factory=dict)
    missed: list[str] = field(default_factory=list)
    """What event triggers told and the observer did not see."""
    never: list[str] = field(default_factory=list)
    """Forms that no shape accepts."""

    def report(self) -> str:
        lines = [*self.under, *self.missed]
        lines.append(f"{self.observed} observations, {self.failed} refused by PostgreSQL")
        lines.append(f"{len(self.under)} under-predictions, {len(self.missed)} events not observed")
        for aspect, total in sorted(self.predictions.items()):
            share = 100 * self.over[aspect] / total if total else 0.0
            lines.append(f"{aspect}: {self.over[aspect]} of {total} over-predicted ({share:.0f} %)")
        return "\n".join(lines)


def predict(sql: str, world: World | None = None) -> Predicted:
    """Return the prediction for a statement; the world is what earlier migrations say."""
    operations: list[Operation] = []
    source = read_script(Script(Path("f.sql"), sql.encode()))
    for steered in source.statements:
        operations += classify(Context(world or World(), steered))
    return Predicted.of(operations, [one.statement.node for one in source.statements])


def applied(setup: str) -> World:
    """Return the world after a migration that was applied."""
    world = World()
    for statement in read_statements(setup.encode()):
        remember(world, statement)
    world.begin(pending=False)
    return world


def fails_on_data(empty: Run, other: Run) -> bool:
    """Whether it fails because of rows: without them it does not, and the error is about values."""
    about_values = other.error[:2] in {"22", "23"} and other.error != "22023"  # a wrong option
    return not empty.error and about_values


# ------------------------------------------------------------------------------------------ the run


async def judge(
    connect: Callable[[str], object],
    shapes: dict[str, str],
    statements: Sequence[str],
    version: int,
) -> Verdicts:
    """Run each statement on each shape, and compare; `connect` opens the database of a shape."""
    verdicts = Verdicts()
    seen: dict[str, dict[str, Run]] = {sql: {} for sql in statements}
    databases: dict[str, Database] = {}
    for shape, setup in shapes.items():
        connection: asyncpg.Connection = await connect(shape)  # type: ignore[misc]
        try:
            await connection.execute(setup)
            await connection.execute("ANALYZE")
            await connection.execute(EVENTS)
            await connection.execute("SET max_parallel_maintenance_workers = 0")
            databases[shape] = await read_database(connection)
            async for sql, found in run_all(connection, databases[shape], statements):
                seen[sql][shape] = found
        finally:
            await connection.close()
    worlds = {shape: applied(setup) for shape, setup in shapes.items()}
    for sql, by_shape in seen.items():
        _judge_form(verdicts, version, sql, by_shape, worlds, databases)
    return verdicts


def _judge_form(
    verdicts: Verdicts,
    version: int,
    sql: str,
    by_shape: dict[str, Run],
    worlds: dict[str, World],
    databases: dict[str, Database],
) -> None:
    alone = predict(sql)
    for shape, run in by_shape.items():
        verdicts.observed += 1
        verdicts.failed += bool(run.error)
        verdicts.missed += [f"{version} {shape}: {sql}: {one}" for one in run.missed]
        for how, predicted in (("alone", alone), ("known", predict(sql, worlds[shape]))):
            faults = []
            if not run.error:
                faults = list(compare(databases[shape].names, predicted, run.seen))
            elif fails_on_data(by_shape["empty"], run) and not predicted.may_fail:
                faults = [f"failure: {run.message}"]
            verdicts.under += [f"{version} {shape} {how}: {sql}: {fault}" for fault in faults]
    if all(one.error for one in by_shape.values()):
        verdicts.never.append(f"{sql}: {by_shape['filled'].message}")
        return
    if Reason.OPAQUE not in alone.reasons:
        _count_over(verdicts, "alone", sql, alone, by_shape)
        _count_over(verdicts, "known", sql, predict(sql, worlds["filled"]), by_shape)


def _count_over(
    verdicts: Verdicts, how: str, sql: str, predicted: Predicted, by_shape: dict[str, Run]
) -> None:
    """Count what the plan says and no shape shows."""
    seen = list(by_shape.values())
    said = {
        "scans": (predicted.scans, any(one.seen.scanned or one.seen.rewritten for one in seen)),
        "rewrites": (predicted.rewrites, any(one.seen.rewritten for one in seen)),
        "may fail on data": (
            bool(predicted.reasons & MAY_FAIL),
            any(fails_on_data(by_shape["empty"], one) for one in seen),
        ),
        "locks": (
            any(lock.table for lock in predicted.locks),
            _strongest(predicted) <= max((_found(one) for one in seen), default=Mode.ACCESS_SHARE),
        ),
    }
    for word, (claimed, true) in said.items():
        aspect = f"{how}: {word}"
        if claimed:
            verdicts.predictions[aspect] += 1
            if not true:
                verdicts.over[aspect] += 1
                verdicts.over_forms.setdefault(aspect, set()).add(sql)


def _strongest(predicted: Predicted) -> Mode:
    return max((lock.mode for lock in predicted.locks if lock.table), default=Mode.ACCESS_SHARE)


def _found(run: Run) -> Mode:
    return max(run.seen.locks.values(), default=Mode.ACCESS_SHARE)
