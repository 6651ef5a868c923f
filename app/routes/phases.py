"""The steps of a plan in groups, for a page: by phase, and where there are many by table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from app.recovery.plan.estimate import Estimate
from app.recovery.plan.model import Step

MANY = 20
"""A phase of more steps is divided, where each part is about one table."""

_TITLES = {
    0: "Before the change, while reads and writes go on",
    1: "In one transaction",
    2: "After the commit, each in its own transaction",
    3: "At the end, in one short transaction",
}


@dataclass(frozen=True)
class Group:
    """Steps that run one after another, with the number of the first."""

    title: str
    first: int
    steps: tuple[Step, ...]
    seconds: float
    table: str | None = None


def group_steps(
    steps: Sequence[Step], costs: Mapping[Step, Estimate | None] | None = None
) -> tuple[Group, ...]:
    """Return the steps in the order in which they run."""
    ordered = sorted(steps, key=lambda step: step.transaction)
    found: list[Group] = []
    first = 1
    for transaction, phase in groupby(ordered, lambda step: step.transaction):
        for table, part in _divided(tuple(phase)):
            known = [cost for step in part if (cost := (costs or {}).get(step))]
            seconds = sum(cost.seconds for cost in known)
            found.append(Group(_TITLES[transaction], first, part, seconds, table))
            first += len(part)
    return tuple(found)


def _divided(steps: tuple[Step, ...]) -> list[tuple[str | None, tuple[Step, ...]]]:
    """Return runs of steps on one table, if there are fewer of them by far than steps."""
    if len(steps) > MANY:
        runs = [(key, tuple(run)) for key, run in groupby(steps, _table)]
        if 1 < len(runs) <= len(steps) // 2:
            return list(runs)
    return [(None, steps)]


def _table(step: Step) -> str | None:
    return step.tables[0] if step.tables else None
