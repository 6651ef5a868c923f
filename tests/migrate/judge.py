"""The comparison: the plan of a statement may not say less than PostgreSQL did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg

from app.migrate.read.migrations import Script
from app.migrate.read.scripts import read_script
from app.migrate.read.statements import read_statements
from app.migrate.review.classify import classify
from app.migrate.review.memory import remember
from app.migrate.review.operations import Context
from app.migrate.review.world import World, relations_in
from app.migrate.risk import Family, Lock, Mode, Operation, Reason
from tests.migrate.observe import JUDGE, Catalog, Observed, observe, read_catalog

EVERY = "any table"
# Statements about rows may fail on the rows by what they are.
OF_ROWS = frozenset({"insert", "update", "delete", "delete_all", "merge", "truncate", "copy"})
MAY_FAIL = frozenset(
    reason
    for reason in Reason
    if reason.about.family is Family.FAILURE or reason is Reason.NARROWS_TYPE
)


@dataclass(frozen=True)
class Predicted:
    """What the operations of a statement say together."""

    operations: Sequence[Operation]
    named: frozenset[str]
    """The tables that the statement names."""

    @property
    def reasons(self) -> frozenset[Reason]:
        return frozenset().union(*(one.reasons for one in self.operations))

    @property
    def locks(self) -> list[Lock]:
        return [lock for one in self.operations for lock in one.locks]

    @property
    def scans(self) -> bool:
        return any(one.scans or one.rewrites for one in self.operations)

    @property
    def rewrites(self) -> bool:
        return any(one.rewrites for one in self.operations)

    @property
    def may_fail(self) -> bool:
        if self.reasons & (MAY_FAIL | {Reason.OPAQUE}):
            return True
        return any(one.kind in OF_ROWS for one in self.operations)


@dataclass
class Verdicts:
    """What the judge found: statements that do more than the plan says, and those that do less."""

    observed: int = 0
    failed: int = 0
    under: list[str] = field(default_factory=list)
    over: Counter[str] = field(default_factory=Counter)
    predictions: Counter[str] = field(default_factory=Counter)
    over_forms: dict[str, set[str]] = field(default_factory=dict)
    never: list[str] = field(default_factory=list)
    """Forms that no shape accepts."""

    def report(self) -> str:
        lines = [*self.under, f"{self.observed} observations, {self.failed} refused by PostgreSQL"]
        lines.append(f"{len(self.under)} under-predictions")
        for aspect, total in sorted(self.predictions.items()):
            share = 100 * self.over[aspect] / total if total else 0.0
            lines.append(f"{aspect}: {self.over[aspect]} of {total} over-predicted ({share:.0f} %)")
        return "\n".join(lines)


def predict(sql: str, world: World | None = None) -> Predicted:
    """Return the prediction for a statement; the world is what earlier migrations say."""
    operations: list[Operation] = []
    for steered in read_script(Script(Path("f.sql"), sql.encode())).statements:
        operations += classify(Context(world or World(), steered))
    named = {
        ".".join(parts).removeprefix("public.")
        for statement in read_statements(sql.encode())
        for parts in relations_in(statement.node)
    }
    return Predicted(operations, frozenset(named))


def applied(setup: str) -> World:
    """Return the world after a migration that was applied."""
    world = World()
    for statement in read_statements(setup.encode()):
        remember(world, statement)
    world.begin(pending=False)
    return world


# ------------------------------------------------------------------------------------- comparison


def compare(catalog: Catalog, predicted: Predicted, observed: Observed) -> Iterator[str]:
    """Yield what PostgreSQL did and the plan does not say."""
    for table, mode in observed.locks.items():
        said = _mode(catalog, predicted, table)
        if said is None or mode > said:
            yield f"lock {mode.word} on {table}, predicted {said.word if said else 'none'}"
    truncates = Reason.TRUNCATES in predicted.reasons
    # TRUNCATE builds the indexes of the new, empty files
    scanned = observed.scanned - (observed.rewritten if truncates else set())
    if scanned and not predicted.scans:
        yield f"scan of {sorted(scanned)}"
    if observed.rewritten and not (predicted.rewrites or truncates):
        yield f"rewrite of {sorted(observed.rewritten)}"
    worked = scanned or (observed.rewritten and predicted.rewrites)
    strongest = max(observed.locks.values(), default=Mode.ACCESS_SHARE)
    if worked and strongest.blocks_writes and Reason.BLOCKS_WRITES not in predicted.reasons:
        yield "blocks writes"
    if worked and strongest.blocks_reads and Reason.BLOCKS_READS not in predicted.reasons:
        yield "blocks reads"
    yield from _dropped(predicted, observed)


_DROPS: dict[str, frozenset[Reason]] = {
    "table": frozenset({Reason.DROPS_TABLE}),
    "table column": frozenset({Reason.DROPS_COLUMN, Reason.DROPS_TABLE}),
    "index": frozenset({Reason.DROPS_DEFINITION, Reason.DROPS_TABLE, Reason.DROPS_COLUMN}),
    "table constraint": frozenset(
        {Reason.DROPS_DEFINITION, Reason.DROPS_TABLE, Reason.DROPS_COLUMN}
    ),
}


def _dropped(predicted: Predicted, observed: Observed) -> Iterator[str]:
    if Reason.OPAQUE in predicted.reasons:
        return
    # changes of a type make constraints and indexes anew; a partition leaves those of its parent
    anew = Reason.CHANGES_TYPE in predicted.reasons or any(
        one.kind == "detach_partition" for one in predicted.operations
    )
    for kind, reasons in _DROPS.items():
        if anew and kind in {"index", "table constraint"}:
            continue
        if kind in observed.dropped and not reasons & predicted.reasons:
            yield f"drop of a {kind}"


def _mode(catalog: Catalog, predicted: Predicted, table: str) -> Mode | None:
    modes = [lock.mode for lock in predicted.locks if _covers(catalog, predicted, lock, table)]
    return max(modes, default=None)


def _covers(catalog: Catalog, predicted: Predicted, lock: Lock, table: str) -> bool:
    name = None if lock.table is None else lock.table.removeprefix("public.")
    if name == table:
        return True
    if name is not None:
        below = table in catalog.family.get(name, ())
        return (below and bool(lock.which)) or lock.which.startswith("or more")
    # what only the database knows, such as a table of a foreign key, is no table that is named
    return table not in predicted.named or lock.which == EVERY or "index" in lock.which


def fails_on_data(empty: Observed, other: Observed) -> bool:
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
    seen: dict[str, dict[str, Observed]] = {sql: {} for sql in statements}
    catalogs: dict[str, Catalog] = {}
    for shape, setup in shapes.items():
        connection: asyncpg.Connection = await connect(shape)  # type: ignore[misc]
        try:
            await connection.execute(setup)
            await connection.execute("ANALYZE")
            await connection.execute(JUDGE)
            await connection.execute("SET max_parallel_maintenance_workers = 0")
            catalogs[shape] = await read_catalog(connection)
            async for sql, found in observe(connection, catalogs[shape], statements):
                seen[sql][shape] = found
        finally:
            await connection.close()
    worlds = {shape: applied(setup) for shape, setup in shapes.items()}
    for sql, by_shape in seen.items():
        _judge_form(verdicts, version, sql, by_shape, worlds, catalogs)
    return verdicts


def _judge_form(
    verdicts: Verdicts,
    version: int,
    sql: str,
    by_shape: dict[str, Observed],
    worlds: dict[str, World],
    catalogs: dict[str, Catalog],
) -> None:
    alone = predict(sql)
    for shape, observed in by_shape.items():
        verdicts.observed += 1
        verdicts.failed += bool(observed.error)
        for how, predicted in (("alone", alone), ("known", predict(sql, worlds[shape]))):
            faults = []
            if not observed.error:
                faults = list(compare(catalogs[shape], predicted, observed))
            elif fails_on_data(by_shape["empty"], observed) and not predicted.may_fail:
                faults = [f"failure: {observed.message}"]
            verdicts.under += [f"{version} {shape} {how}: {sql}: {fault}" for fault in faults]
    if all(one.error for one in by_shape.values()):
        verdicts.never.append(f"{sql}: {by_shape['filled'].message}")
        return
    if Reason.OPAQUE not in alone.reasons:
        _count_over(verdicts, "alone", sql, alone, by_shape)
        _count_over(verdicts, "known", sql, predict(sql, worlds["filled"]), by_shape)


def _count_over(
    verdicts: Verdicts, how: str, sql: str, predicted: Predicted, by_shape: dict[str, Observed]
) -> None:
    """Count what the plan says and no shape shows."""
    seen = list(by_shape.values())
    said = {
        "scans": (predicted.scans, any(one.scanned or one.rewritten for one in seen)),
        "rewrites": (predicted.rewrites, any(one.rewritten for one in seen)),
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


def _found(observed: Observed) -> Mode:
    return max(observed.locks.values(), default=Mode.ACCESS_SHARE)
