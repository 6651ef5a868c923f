"""The verdict on a restore: whether it can run, what it blocks, and what does not come back."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from app.recovery.plan.blocking import Blocking, find_blocking
from app.recovery.plan.model import Choices, Conflict, Drift, Plan
from app.recovery.plan.planning import with_seal


class Outcome(StrEnum):
    """Whether an artifact can be restored."""

    YES = "yes"
    CHOICE = "choice"
    """Each reason that stops the plan can be resolved by a choice."""
    FIRST = "first"
    """Another artifact must be restored before it."""
    UNKNOWN = "unknown"
    """Nothing that is known stops it, but a check that can stop it has no answer."""
    NO = "no"


@dataclass(frozen=True)
class Verdict:
    """The answer that stands before the plan.

    ``reasons`` say what stops the plan; they are empty if the outcome is YES or UNKNOWN.
    ``blocking`` says which tables others cannot use, and for how many seconds. ``seconds`` is the
    estimate of the whole restore, the check of the seal included. ``losses`` say what does not
    come back exactly. ``stops`` are the conflicts and the drift behind the reasons, and
    ``uncounted`` the checks that could stop the plan, and have no answer.
    """

    outcome: Outcome
    reasons: tuple[str, ...]
    blocking: Blocking
    seconds: float
    losses: tuple[str, ...]
    stops: tuple[Conflict | Drift, ...] = ()
    uncounted: tuple[Drift, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the verdict as JSON shows it."""
        return {
            "outcome": self.outcome,
            "reasons": self.reasons,
            "blocking": self.blocking.to_json(),
            "seconds": self.seconds,
            "losses": self.losses,
        }


def judge(plan: Plan, choices: Choices | None = None) -> Verdict:
    """Return the verdict on a plan that was made with the choices, a broken seal included."""
    plan = with_seal(plan, choices or Choices())
    stops: list[Conflict | Drift] = [*plan.conflicts, *(d for d in plan.drift if d.blocks)]
    answers = zip(plan.checks, plan.drift, strict=False)
    uncounted = tuple(drift for check, drift in answers if check.blocks and not drift.counted)
    return Verdict(
        _outcome(stops, uncounted),
        tuple(plan.blocked),
        find_blocking([plan], rehearsed=False),
        plan.estimate.seconds,
        tuple(loss.message for loss in plan.losses),
        tuple(stops),
        tuple(drift for drift in uncounted if not drift.blocks),
    )


def _outcome(stops: list[Conflict | Drift], uncounted: tuple[Drift, ...]) -> Outcome:
    if not stops:
        return Outcome.UNKNOWN if uncounted else Outcome.YES
    if any(stop.waits_for for stop in stops):
        return Outcome.FIRST
    return Outcome.CHOICE if all(_has_choice(stop) for stop in stops) else Outcome.NO


def _has_choice(stop: Conflict | Drift) -> bool:
    return bool(stop.choices or (isinstance(stop, Conflict) and stop.without))
