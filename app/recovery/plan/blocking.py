"""What a restore or its rehearsal keeps others from, and for how long: an estimate, said as one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from app.recovery.core.errors import NotAccepted
from app.recovery.core.names import parse_name
from app.recovery.plan.model import LOCKS, Plan, Step

LONG_SECONDS = 1.0
"""A rehearsal that blocks others for longer than this is confirmed first."""

_STOPS_WRITES = LOCKS[LOCKS.index("SHARE") :]
_STOPS_READS = "ACCESS EXCLUSIVE"
_PARKED = "_zanith_"


@dataclass(frozen=True)
class Blocking:
    """Tables that others cannot read or write, tables that they cannot write, and for how long."""

    reads: tuple[str, ...]
    writes: tuple[str, ...]
    seconds: float

    @property
    def what(self) -> str:
        """What is blocked, in words; empty where nothing is."""
        parts = []
        if self.reads:
            parts.append(f"reads and writes of {_listed(self.reads)}")
        if self.writes:
            parts.append(f"writes of {_listed(self.writes)}")
        return ", and ".join(parts)

    @property
    def is_long(self) -> bool:
        """Whether somebody has to confirm it."""
        return bool(self.what) and self.seconds > LONG_SECONDS

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return asdict(self)


def find_blocking(plans: Iterable[Plan], *, rehearsed: bool) -> Blocking:
    """Return what plans that run one after another block.

    A rehearsal is one transaction: it holds its locks while it proves constraints too.
    """
    reads: dict[str, None] = {}
    writes: dict[str, None] = {}
    seconds = 0.0
    for plan in plans:
        for step, estimate in plan.costs.items():
            if step.transaction != 1 and not (rehearsed and step.transaction == 2):
                continue
            seconds += estimate.seconds if estimate else 0.0
            for table in step.tables if step.lock in _STOPS_WRITES else ():
                if is_live(table, plan):
                    (reads if step.lock == _STOPS_READS else writes)[table] = None
    return Blocking(tuple(reads), tuple(t for t in writes if t not in reads), round(seconds, 2))


def find_blocking_of_steps(steps: Iterable[Step]) -> Blocking:
    """Return what short steps on live tables block, such as those of a purge."""
    found: dict[str, str] = {}
    for step in steps:
        for table in step.tables if step.lock in _STOPS_WRITES else ():
            if not any(part.startswith(_PARKED) for part in parse_name(table)):
                found[table] = max(found.get(table, ""), step.lock or "", key=_strength)
    reads = tuple(table for table, lock in found.items() if lock == _STOPS_READS)
    return Blocking(reads, tuple(table for table in found if table not in reads), 0.0)


def _strength(lock: str) -> int:
    return LOCKS.index(lock) if lock in LOCKS else -1


def require_accepted(blocking: Blocking, *, accepted: bool) -> None:
    """Raise NotAccepted where it blocks others for long, and nobody said that this is fine."""
    if blocking.is_long and not accepted:
        raise NotAccepted(
            f"it blocks {blocking.what} for about {blocking.seconds:.0f} s: nothing was changed",
            hint="confirm that others may wait that long, or run it when there is less traffic",
        )


def is_live(table: str, plan: Plan) -> bool:
    """Whether others use the table: not a parked one, nor one that only comes back."""
    parts = parse_name(table)
    target = (plan.target["schema"], plan.target["table"])
    comes_back = plan.target.get("column") is None and parts == target
    return not comes_back and not any(part.startswith(_PARKED) for part in parts)


def _listed(tables: tuple[str, ...], most: int = 3) -> str:
    shown = ", ".join(tables[:most])
    return shown if len(tables) <= most else f"{shown} and {len(tables) - most:,} more"
