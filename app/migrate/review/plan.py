"""`zanith migrate plan`: the operations of migrations, and the gates that they have to pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from postgast import pg_query_pb2 as pg

from app.migrate.read.migrations import Layout, Migration, find_named
from app.migrate.read.scripts import Source, Steered, read_script
from app.migrate.review.classify import classify, needs_no_transaction
from app.migrate.review.memory import remember
from app.migrate.review.operations import Context
from app.migrate.review.world import World
from app.migrate.risk import CONVERTS, LOSES, By, Level, Mode, Operation, Reason
from app.recovery.core.errors import NotFound

# These tools run each migration in one transaction, unless it says otherwise.
IN_TRANSACTION = frozenset({Layout.ZANITH, Layout.DRIZZLE, Layout.GOOSE, Layout.DBMATE})

_ALONE = {
    Layout.GOOSE: "-- +goose NO TRANSACTION",
    Layout.DBMATE: "-- migrate:up transaction:false",
}


@dataclass(frozen=True)
class PlannedStatement:
    """A statement, its place in the file, and what it does."""

    line: int
    column: int
    text: str
    operations: tuple[Operation, ...]

    def to_json(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "column": self.column,
            "statement": self.text,
            "operations": [operation.to_json() for operation in self.operations],
        }


@dataclass(frozen=True)
class PlannedMigration:
    """A migration that is to run. `transaction` is False if it runs outside of one."""

    id: str
    path: Path
    transaction: bool
    statements: tuple[PlannedStatement, ...]

    @property
    def operations(self) -> Iterator[Operation]:
        for statement in self.statements:
            yield from statement.operations

    @property
    def level(self) -> Level:
        return max((one.level for one in self.operations), default=Level.SAFE)

    def to_json(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "path": str(self.path),
            "transaction": self.transaction,
            "level": self.level.word,
            "score": self.level.value,
            "statements": [statement.to_json() for statement in self.statements],
        }


@dataclass(frozen=True)
class Gates:
    """What a plan may contain."""

    max_risk: int | None = None
    fail_on: frozenset[Reason] = frozenset()
    allow_destructive: bool = False
    guard: bool = False
    """Whether the guard is on in the database, and captures what this role drops."""
    kept_rows: frozenset[str] = frozenset()
    """The tables whose rows it copies before a TRUNCATE."""
    catalog: bool = False
    """Whether a database says what the types of columns are, so that a narrower one is known."""


@dataclass(frozen=True)
class Failure:
    """An operation that did not pass a gate."""

    gate: str
    message: str
    hint: str
    migration: PlannedMigration
    line: int
    column: int

    def to_json(self) -> dict[str, Any]:
        return {
            "gate": self.gate,
            "message": self.message,
            "hint": self.hint,
            "migration": self.migration.id,
            "path": str(self.migration.path),
            "line": self.line,
            "column": self.column,
        }


@dataclass(frozen=True)
class MigrationPlan:
    """The migrations with what they do, and the operations that did not pass the gates."""

    layout: Layout
    migrations: tuple[PlannedMigration, ...]
    failures: tuple[Failure, ...] = ()
    gates: Gates = field(default_factory=Gates)
    """The gates that the operations were judged by."""
    notes: tuple[str, ...] = ()
    """What a person has to know to read the plan, such as that a file is only a down part."""

    @property
    def operations(self) -> list[Operation]:
        return [one for migration in self.migrations for one in migration.operations]

    @property
    def level(self) -> Level:
        return max((one.level for one in self.migrations), default=Level.SAFE)

    def to_json(self) -> dict[str, Any]:
        counts = {level.word: 0 for level in Level}
        for operation in self.operations:
            counts[operation.level.word] += 1
        return {
            "layout": self.layout.value,
            "level": self.level.word,
            "score": self.level.value,
            "operations": counts,
            "passed": not self.failures,
            "failures": [failure.to_json() for failure in self.failures],
            "notes": list(self.notes),
            "migrations": [migration.to_json() for migration in self.migrations],
        }


def plan_migrations(
    layout: Layout,
    migrations: Sequence[Migration],
    gates: Gates | None = None,
    after: str | None = None,
    applied: Sequence[Migration] = (),
    live: World | None = None,
    *,
    together: bool = False,
) -> MigrationPlan:
    """Return what the migrations do.

    `applied` are read for what they create, and not planned. With `after`, neither are the
    migrations up to that one, and the others are pending together: a table that one of them creates
    is empty for those after it. So it is with `together`. Raises Unreadable for a file that is not
    SQL, and NotFound if there is no migration of that name. `live` is what a database says: those
    that are applied are not read then.
    """
    world = live or World()
    done, pending = divide(migrations, after)
    for migration in () if live else (*applied, *done):
        world.begin(pending=False)
        for steered in read_script(migration.up).statements:
            remember(world, steered.statement)
    planned = []
    for place, migration in enumerate(pending):
        world.begin(pending=(together or after is not None) and place > 0)
        planned.append(_plan_one(world, layout, migration))
    gates = replace(gates or Gates(), catalog=live is not None)
    return judge_gates(MigrationPlan(layout, tuple(planned)), gates)


def judge_gates(plan: MigrationPlan, gates: Gates) -> MigrationPlan:
    """Return the plan with the operations that do not pass the gates."""
    return replace(plan, failures=tuple(_check(gates, plan.migrations)), gates=gates)


def divide(
    migrations: Sequence[Migration], after: str | None
) -> tuple[Sequence[Migration], Sequence[Migration]]:
    """Return the migrations up to one, and those after it."""
    if after is None:
        return (), migrations
    ids = [migration.id for migration in migrations]
    found = find_named(after, ids)
    if found is None:
        raise NotFound(f"no migration is named {after}", hint="name one by its id or its version")
    place = ids.index(found) + 1
    return migrations[:place], migrations[place:]


def _plan_one(world: World, layout: Layout, migration: Migration) -> PlannedMigration:
    source = read_script(migration.up)
    transaction = migration.transaction and source.steering.transaction
    alone = _ALONE.get(layout, "-- zanith: no-transaction")
    reader = _Statements(world, transaction and layout in IN_TRANSACTION, alone)
    reader.inside = transaction and layout is not Layout.SQITCH
    statements = tuple(reader.read(source))
    return PlannedMigration(migration.id, migration.up.path, transaction, statements)


@dataclass
class _Statements:
    """The statements of one migration: which locks are held, and whether a transaction is open."""

    world: World
    wrapped: bool
    alone: str
    """The comment that lets a file run without a transaction."""
    inside: bool = False
    begun: bool = False
    held: dict[str, tuple[Mode, int]] = field(default_factory=dict)

    def read(self, source: Source) -> Iterator[PlannedStatement]:
        for steered in source.statements:
            statement = steered.statement
            if statement.kind == "transaction_stmt":
                self._note_transaction(statement.node)
                continue
            operations = classify(Context(self.world, steered))
            operations = [self._judge_transaction(steered, one) for one in operations]
            if self.inside or self.begun:
                operations = [self._judge_held(one) for one in operations]
                self._hold(operations, statement.line)
            remember(self.world, statement)
            yield PlannedStatement(statement.line, steered.column, steered.text, tuple(operations))

    def _note_transaction(self, node: Any) -> None:
        if node.kind in {pg.TRANS_STMT_BEGIN, pg.TRANS_STMT_START}:
            self.begun = True
        elif node.kind in {pg.TRANS_STMT_COMMIT, pg.TRANS_STMT_ROLLBACK}:
            self.begun = False
            self.held.clear()

    def _judge_transaction(self, steered: Steered, operation: Operation) -> Operation:
        alone = needs_no_transaction(steered.statement)
        if alone is None:
            return operation
        if self.begun or self.wrapped:
            return replace(
                operation,
                lowest=Level.BLOCKED,
                notes=(*operation.notes, f"PostgreSQL refuses {alone} in a transaction"),
                hint=f"put it into a migration of its own, with the comment: {self.alone}",
            )
        if not self.inside:  # the file says so already
            return operation
        return replace(operation, notes=(*operation.notes, "run it outside a transaction"))

    def _judge_held(self, operation: Operation) -> Operation:
        """A long operation makes each lock long that the transaction took before."""
        if not (operation.scans or operation.rewrites) or not self.held:
            return operation
        table, (mode, line) = max(self.held.items(), key=lambda item: item[1][0])
        more = {Reason.BLOCKS_WRITES, *({Reason.BLOCKS_READS} if mode.blocks_reads else ())}
        if more <= operation.reasons:
            return operation
        note = f"the transaction holds {mode.word} on {table} since line {line}"
        return replace(operation, reasons=operation.reasons | more, notes=(*operation.notes, note))

    def _hold(self, operations: Iterable[Operation], line: int) -> None:
        for operation in operations:
            for lock in operation.locks:
                if lock.table is not None and lock.mode.blocks_writes:
                    known = self.held.get(lock.table)
                    if known is None or known[0] < lock.mode:
                        self.held[lock.table] = (lock.mode, line)


# ------------------------------------------------------------------------------------------- gates


def _check(gates: Gates, migrations: Iterable[PlannedMigration]) -> Iterator[Failure]:
    for migration in migrations:
        for statement in migration.statements:
            for operation in statement.operations:
                for gate, message, hint in _failures(gates, operation):
                    yield Failure(gate, message, hint, migration, statement.line, statement.column)


def _failures(gates: Gates, operation: Operation) -> Iterator[tuple[str, str, str]]:
    what = f"{operation.kind} {operation.object}".strip()
    level = operation.accepted_level
    named = [code for code in Reason if code in (operation.reasons - operation.allowed)]
    if level is Level.BLOCKED:
        yield "blocked", f"{what} would fail", operation.hint or "correct the statement"
    if gates.max_risk is not None and level.value > gates.max_risk:
        yield (
            "max_risk",
            f"{what} has the level {level.word} ({level.value}), above {_words(gates.max_risk)}",
            operation.hint or _or(_allow(named), "raise --max-risk"),
        )
    for code in named:
        if code in gates.fail_on:
            yield "fail_on", f"{what}: {code}", _or(operation.hint, _allow([code]))
    lost = [code for code in named if code in LOSES or (gates.catalog and code in CONVERTS)]
    if lost and not gates.allow_destructive and not is_kept(operation, gates):
        allowed = _or(_allow(lost[:1]), "give --allow-destructive")
        yield (
            "destructive",
            f"{what}: {lost[0]}, and a capture does not cover it",
            _or(_keeping(operation, lost[0]), allowed),
        )


def _keeping(operation: Operation, lost: Reason) -> str | None:
    """Return how the guard keeps what is lost, if it can."""
    if lost in CONVERTS:
        return "turn the guard on, which keeps the old values"
    by_guard = operation.recovery is not None and operation.recovery.by is By.GUARD
    return operation.hint if by_guard else None


def _allow(codes: Sequence[Reason]) -> str:
    """Return the comment that allows reasons; "" if there are none."""
    return f"write the comment: zanith: allow {', '.join(codes)}" if codes else ""


def _or(hint: str | None, other: str) -> str:
    return f"{hint}; or {other}" if hint else other


def _words(score: int) -> str:
    """Return a score as a person names it: with its level, if it is that of one."""
    level = next((level for level in Level if level.value == score), None)
    return f"{level.word} ({score})" if level else str(score)


def is_kept(operation: Operation, gates: Gates) -> bool:
    """Return whether what an operation loses is captured, with the guard as the gates have it."""
    if operation.recovery is None:
        return False
    by = operation.recovery.by
    if by is By.GUARD and Reason.TRUNCATES in operation.reasons:
        return operation.object in gates.kept_rows
    return by is By.CAPTURE or (gates.guard and by is By.GUARD)
