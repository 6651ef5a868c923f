"""What came of a restore or of its rehearsal."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from app.recovery.artifact import Artifact
from app.recovery.plan import Loss


@dataclass(frozen=True)
class StepDone:
    """A step that ran, and its seconds."""

    purpose: str
    sql: str
    elapsed: float


@dataclass(frozen=True)
class RestoreReport:
    """What came of a restore; ``fidelity`` is the recorded definition beside the catalog.

    ``rehearsed``: all of it was rolled back, and the report is of what would have come.
    """

    artifact: Artifact
    fidelity: dict[str, Any] | None
    steps: tuple[StepDone, ...]
    rows: int | None
    losses: tuple[Loss, ...]
    already_restored: bool = False
    rehearsed: bool = False

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
        }
