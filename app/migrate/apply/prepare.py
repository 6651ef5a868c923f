"""A migration made ready to run: its statements in groups, with the captures instead of drops."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from postgast import pg_query_pb2 as pg

from app.migrate.apply.contents import checksum_of, kept_text
from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.read.scripts import Source, Steered, read_script
from app.migrate.read.statements import Unreadable, read_tokens
from app.migrate.review.classify import needs_no_transaction
from app.migrate.review.plan import IN_TRANSACTION, PlannedMigration, PlannedStatement
from app.migrate.rewriting.rewrite import Strategy, bodies, drops_column, rewrite
from app.migrate.risk import By
from app.recovery.core.actor import LONGEST_NAME
from app.recovery.core.errors import WrongUsage

_BEGIN = frozenset({pg.TRANS_STMT_BEGIN, pg.TRANS_STMT_START})
_INSIDE = frozenset({pg.TRANS_STMT_SAVEPOINT, pg.TRANS_STMT_RELEASE, pg.TRANS_STMT_ROLLBACK_TO})
_ENDS = frozenset({"COMMIT", "ROLLBACK"})


@dataclass(frozen=True)
class Unit:
    """One statement to run. `ran` is what runs instead of the text, where a drop is captured.

    `otherwise` runs if the engine refuses that. `alone` is True for a statement that PostgreSQL
    runs only outside a transaction.
    """

    ordinal: int
    steered: Steered
    planned: PlannedStatement | None
    ran: str | None = None
    otherwise: str | None = None
    alone: bool = False

    @property
    def sql(self) -> str:
        return self.ran or self.steered.text

    @property
    def line(self) -> int:
        return self.steered.statement.line

    @property
    def runs_code(self) -> bool:
        """Whether it runs code that can change any object, and that can commit if it is alone."""
        return self.steered.statement.kind in {"call_stmt", "do_stmt"}


@dataclass(frozen=True)
class Prepared:
    """A migration to run: each group of statements is one transaction, or one statement alone."""

    migration: Migration
    script: Script
    layout: Layout
    transactional: bool
    groups: tuple[tuple[Unit, ...], ...]
    contents: str

    @property
    def id(self) -> str:
        return self.migration.id

    @property
    def checksum(self) -> str:
        return checksum_of(self.contents)

    @property
    def units(self) -> list[Unit]:
        return [unit for group in self.groups for unit in group]


def prepare(
    layout: Layout,
    migration: Migration,
    script: Script,
    planned: PlannedMigration | None = None,
    *,
    captures: bool,
) -> Prepared:
    """Return the statements of a script as they will run.

    With `captures`, drops become captures: where the guard is on, it does that. Raises Unreadable
    for a transaction command in a place where it would end the transaction of the migration.
    """
    if len(migration.id) > LONGEST_NAME:
        raise WrongUsage(
            f"the id of {script.path} has {len(migration.id)} characters, and {LONGEST_NAME} are"
            " kept at most",
            hint="give the file a shorter name",
        )
    source = read_script(script)
    if script is migration.down and script.path == migration.up.path:
        source = source.under(read_script(migration.up).steering)
    transactional = runs_in_transaction(layout, migration, source)
    units = list(_units(migration, script, source, planned, captures=captures))
    groups = _one_group(script, units) if transactional else tuple(_groups(script, units))
    return Prepared(migration, script, layout, transactional, groups, kept_text(script))


def runs_in_transaction(layout: Layout, migration: Migration, source: Source) -> bool:
    """Return whether a migration runs in one transaction.

    Some tools run files as psql does. A file of theirs is one transaction too, unless PostgreSQL
    refuses that.
    """
    if not (migration.transaction and source.steering.transaction):
        return False
    if layout in IN_TRANSACTION:
        return True
    return not any(needs_no_transaction(one.statement) for one in source.statements)


def _units(
    migration: Migration,
    script: Script,
    source: Source,
    planned: PlannedMigration | None,
    *,
    captures: bool,
) -> Iterator[Unit]:
    plans = iter(planned.statements if planned else ())
    replaced = _captures(migration, script, source) if captures else {}
    for ordinal, steered in enumerate(source.statements, 1):
        statement = steered.statement
        own = statement.kind != "transaction_stmt"
        known = next(plans, None) if own else None
        if statement.kind == "discard_stmt" and statement.node.target == pg.DISCARD_ALL:
            raise _refuse_statement(
                script,
                steered,
                "would release the lock that keeps others from running migrations",
                "leave it out: each migration begins with the settings of a new session",
            )
        ran, otherwise = _choose(replaced, steered, known)
        yield Unit(ordinal, steered, known, ran, otherwise, _is_alone(steered))


def _choose(
    captures: dict[tuple[str, int, str], str], steered: Steered, planned: PlannedStatement | None
) -> tuple[str | None, str | None]:
    """Return the capture of a drop, and the one that runs if the engine refuses that.

    Both are None if the database said that there is no capture: the gates let the loss pass.
    """
    found = [one.recovery for one in (planned.operations if planned else ()) if one.recovery]
    if found and all(one.by is By.NOTHING for one in found):
        return None, None
    key = (steered.statement.line, steered.text)
    chosen = steered.steering.strategy
    archive, soft = captures.get(("archive", *key)), captures.get(("soft", *key))
    if chosen is not None or not drops_column(steered.statement):
        return captures.get((chosen or "archive", *key)), None
    if any(one.strategy == "soft" for one in found):
        return soft, archive
    return archive, soft


def _captures(
    migration: Migration, script: Script, source: Source
) -> dict[tuple[str, int, str], str]:
    """Return the captures instead of drops, by strategy and statement."""
    if not source.statements:
        return {}
    strategies: dict[str, Strategy] = {"archive": "archive", "soft": "soft_drop"}
    # as zanith._name_captures has it: what a down drops does not come back with the up
    named = f"{migration.id[:195]} down" if script is migration.down else migration.id
    return {
        (word, change.line, change.was): change.now
        for word, strategy in strategies.items()
        for change in rewrite(script.data, strategy, named, str(script.path)).changes
    }


def _is_alone(steered: Steered) -> bool:
    """Whether a statement runs outside a transaction, if the file does."""
    statement = steered.statement
    if needs_no_transaction(statement) or statement.kind == "call_stmt":
        return True
    if statement.kind == "do_stmt":
        texts = bodies(statement.node.args)
        return any(token.kind in _ENDS for text in texts for token in read_tokens(text))
    return False


def _one_group(script: Script, units: list[Unit]) -> tuple[tuple[Unit, ...], ...]:
    """Return the statements without the BEGIN and COMMIT around them."""
    if len(units) > 1 and _is(units[0], _BEGIN) and _is(units[-1], {pg.TRANS_STMT_COMMIT}):
        units = units[1:-1]
    for unit in units:
        if unit.steered.statement.kind == "transaction_stmt" and not _is(unit, _INSIDE):
            raise _refuse_command(
                script,
                unit,
                "would end the transaction of the migration",
                "leave it out, or write the comment: zanith: no-transaction",
            )
    return (tuple(units),) if units else ()


def _groups(script: Script, units: Sequence[Unit]) -> Iterator[tuple[Unit, ...]]:
    """Yield the statements of a file without a transaction; BEGIN … COMMIT in it is one group."""
    open_group: list[Unit] | None = None
    for unit in units:
        if _is(unit, _BEGIN) and open_group is None:
            open_group = []
        elif _is(unit, {pg.TRANS_STMT_COMMIT}) and open_group is not None:
            if open_group:
                yield tuple(open_group)
            open_group = None
        elif unit.steered.statement.kind == "transaction_stmt" and not (
            open_group is not None and _is(unit, _INSIDE)
        ):
            raise _refuse_command(
                script, unit, "has no transaction here that it belongs to", "leave it out"
            )
        elif open_group is not None:
            open_group.append(unit)
        else:
            yield (unit,)
    if open_group is not None:
        raise _refuse_command(
            script, units[-1], "is the last statement after a BEGIN without COMMIT", "add COMMIT"
        )


def _is(unit: Unit, kinds: Iterable[int]) -> bool:
    statement = unit.steered.statement
    return statement.kind == "transaction_stmt" and statement.node.kind in kinds


def _refuse_command(script: Script, unit: Unit, why: str, hint: str) -> Unreadable:
    return _refuse_statement(script, unit.steered, why, hint)


def _refuse_statement(script: Script, steered: Steered, why: str, hint: str) -> Unreadable:
    words = " ".join(steered.text.split()[:2]).upper()
    line, column = steered.statement.line, steered.column
    error = Unreadable(f"{script.path}:{line}:{column}: {words} {why}", hint=hint)
    error.line, error.column = line, column
    return error


def first_difference(old: Sequence[str], units: Sequence[Unit]) -> int | None:
    """Return the place of the first statement that is not the one that ran; None if all are."""
    for place, text in enumerate(old):
        if place >= len(units) or units[place].steered.text != text:
            return place
    return None
