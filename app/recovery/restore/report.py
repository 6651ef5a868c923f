"""What came of a restore or of its rehearsal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.recovery.artifacts.companions import Companion
from app.recovery.artifacts.model import Artifact
from app.recovery.plan.model import Choices, Loss
from app.recovery.restore.held import LockHeld


@dataclass(frozen=True)
class StepDone:
    """A step that ran, and its seconds."""

    purpose: str
    sql: str
    elapsed: float


@dataclass(frozen=True)
class RowCounts:
    """What became of rows and archived values when a column was filled from its archive.

    ``filled`` rows have their archived value. ``given`` rows had none, and hold what ``given_what``
    says: null, default or value. ``left`` archived values have no row any more.
    """

    filled: int
    given: int
    given_what: str
    left: int

    @classmethod
    def of(cls, counted: Sequence[int] | None, choices: Choices) -> RowCounts | None:
        """Return the counts that a fill left behind; None where nothing was filled."""
        if not counted:
            return None
        filled, live, archived = counted
        what = "default" if choices.fill_default else "null" if choices.fill is None else "value"
        return cls(filled, live - filled, what, archived - filled)


@dataclass(frozen=True)
class RestoreReport:
    """What came of a restore; ``fidelity`` is the recorded definition beside the catalog.

    ``counts`` is of a column that was filled from its archive. ``rehearsed``: all of it was rolled
    back, and the report is of what would have come. ``companions`` came with it and are parked
    still, in the order in which to restore them. ``lock`` is the strongest one that it held on a
    table that others use, ``verified`` whether the archive was compared with its seal.
    """

    artifact: Artifact
    fidelity: dict[str, Any] | None
    steps: tuple[StepDone, ...]
    rows: int | None
    losses: tuple[Loss, ...]
    already_restored: bool = False
    rehearsed: bool = False
    counts: RowCounts | None = None
    companions: tuple[Companion, ...] = ()
    lock: LockHeld | None = None
    verified: bool = False
    job_id: str | None = None
    """The job that did it. The job's own result does not repeat it."""

    def to_json(self) -> dict[str, Any]:
        """Return the report as JSON shows it."""
        return {
            "artifact": self.artifact.to_json(),
            "fidelity": self.fidelity,
            "steps": [asdict(step) for step in self.steps],
            "rows": self.rows,
            "losses": [asdict(loss) for loss in self.losses],
            "already_restored": self.already_restored,
            "rehearsed": self.rehearsed,
            "row_counts": asdict(self.counts) if self.counts else None,
            "companions": [asdict(companion) for companion in self.companions],
            "lock": {**asdict(self.lock), "tables": list(self.lock.tables)} if self.lock else None,
            "verified": self.verified,
        }
