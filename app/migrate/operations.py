"""From a fact to an operation: what follows from the lock, and what a new table spares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from app.migrate.facts import CHILDREN, Fact
from app.migrate.risk import Level, Lock, Mode, Operation, Reason
from app.migrate.scripts import Steered
from app.migrate.world import World
from app.recovery.core.names import quote


@dataclass
class Context:
    """What a statement is judged by."""

    world: World
    steered: Steered

    @property
    def strategy(self) -> str:
        return self.steered.steering.strategy or "archive"


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
    if fact.mode is not None and name:
        locks.insert(0, Lock(fact.mode, name, CHILDREN if fact.children else ""))
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
        tuple(more.notes),
    )


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
