"""From a fact to an operation: what follows from the lock, and what a new table spares."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from app.migrate.read.scripts import Steered
from app.migrate.review.facts import CHILDREN, JOINED, Fact
from app.migrate.review.world import Table, World, key
from app.migrate.risk import By, Level, Lock, Mode, Operation, Reason, Recovery
from app.recovery.core.names import quote
from app.recovery.plan.estimate import FILL_ROWS, INDEX_ROWS, SCAN_BYTES


@dataclass
class Context:
    """What a statement is judged by."""

    world: World
    steered: Steered

    @property
    def strategy(self) -> str:
        return self.steered.steering.strategy or "archive"

    @property
    def guarded(self) -> bool:
        """Whether the guard makes the captures, as far as the database said."""
        return any(one.by_guard for one in self.world.captures.values())

    def recovery_of(self, table: Sequence[str], column: str | None, more: More) -> Recovery:
        """Return how a drop is captured; why it cannot be is added to `more`."""
        known = self.world.captures.get((key(table), column))
        if known is None:
            return Recovery(By.CAPTURE, self.strategy)
        chosen = self.steered.steering.strategy
        if column is None:  # a table is not captured in another way than the one that is asked for
            chosen = self.strategy
        possible = [
            one for one in known.strategies if known.by_guard or chosen is None or chosen == one
        ]
        if possible:
            return Recovery(By.CAPTURE, possible[0])
        more.notes.append(f"no capture: {known.refusal or f'not with the strategy {chosen}'}")
        more.hint = known.hint
        return Recovery(By.NOTHING)


@dataclass
class More:
    """What the text of a statement adds to a fact."""

    reasons: set[Reason] = field(default_factory=set)
    locks: list[Lock] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    scans: bool = False
    rewrites: bool = False
    hint: str | None = None


def build(
    context: Context,
    fact: Fact,
    table: Sequence[str] | None,
    shown: str | None = None,
    more: More | None = None,
) -> Operation:
    """Return the operation of a fact on a table; `shown` is the object, if not the table itself.

    A table that the same plan created has no rows and no clients: nothing of it is a reason.
    """
    more = more or More()
    scans, rewrites = fact.scans or more.scans, fact.rewrites or more.rewrites
    name = quote(table) if table else ""
    new = table is not None and context.world.is_new(table)
    reasons = {*fact.reasons, *more.reasons, *following(fact.mode, scans=scans, rewrites=rewrites)}
    locks = list(more.locks)
    if new:
        kept = {reason for reason in reasons if reason is Reason.OPAQUE}
        steady = [lock for lock in locks if lock.table is not None]
        return Operation(
            fact.kind,
            shown or name,
            Level.LOW if steady else Level.SAFE,
            frozenset(kept),
            tuple(steady),
        )
    known = context.world.find(table) if table else None
    if fact.mode is not None and name:
        alone = known is not None and known.alone
        locks.insert(0, Lock(fact.mode, name, CHILDREN if fact.children and not alone else ""))
    notes = list(more.notes)
    seconds = None
    if known is not None and known.live:
        locks = [lock for lock in locks if known.joined or lock.which != JOINED]
        seconds = _seconds(known, reasons, rewrites=rewrites, scans=scans)
        if known.published and fact.kind in _REPLICATED:
            reasons.add(Reason.REPLICATION)
            notes.append("a publication has the table: change the subscribers too")
    return Operation(
        fact.kind,
        shown or name,
        fact.lowest,
        frozenset(reasons),
        tuple(locks),
        rewrites,
        scans,
        fact.recovery,
        more.hint or fact.hint,
        tuple(notes),
        seconds,
    )


# Changes of a published table that subscribers have to follow.
_REPLICATED = frozenset(
    {
        "add_column",
        "drop_column",
        "alter_column_type",
        "rename_column",
        "rename",
        "set_schema",
        "drop_table",
    }
)


def _seconds(
    table: Table, reasons: Collection[Reason], *, rewrites: bool, scans: bool
) -> float | None:
    """Return about how long it works on the rows, at the rates of docs/operations.md."""
    if rewrites:
        return round(table.rows / FILL_ROWS, 2)
    if not scans:
        return None
    scan = table.bytes / SCAN_BYTES
    return round(max(scan, table.rows / INDEX_ROWS if _INDEXES & set(reasons) else 0.0), 2)


_INDEXES = frozenset({Reason.UNIQUE, Reason.BLOCKS_WRITES})


def following(mode: Mode | None, *, scans: bool, rewrites: bool) -> Iterable[Reason]:
    """Return the reasons that follow from work on all rows under a lock."""
    if scans:
        yield Reason.SCANS
    if rewrites:
        yield Reason.REWRITES
    if mode is None or not (scans or rewrites):
        return
    if mode.blocks_writes:
        yield Reason.BLOCKS_WRITES
    if mode.blocks_reads:
        yield Reason.BLOCKS_READS
