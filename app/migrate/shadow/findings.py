"""What a verification found, and the verdict that follows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from app.migrate.shadow.failure import StatementFailed


class Verdict(StrEnum):
    """How a verification ended."""

    OK = "ok"
    DRIFT = "drift"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"


class Kind(StrEnum):
    """What a finding is about. The values are part of the public interface."""

    STATEMENT_FAILED = "statement_failed"
    UNDER_PREDICTED = "under_predicted"
    DOWN_FAILED = "down_failed"
    DOWN_DIFFERS = "down_differs"
    DRIFT = "drift"
    DIFFERS_FROM_DECLARED = "differs_from_declared"
    REPLAY_FAILED = "replay_failed"
    SHADOW_LACKS = "shadow_lacks"
    OLDER_SERVER = "older_server"
    WHOLE_SERVER = "whole_server"

    @property
    def verdict(self) -> Verdict:
        return _VERDICTS[self]


_VERDICTS = {
    Kind.STATEMENT_FAILED: Verdict.FAILED,
    Kind.UNDER_PREDICTED: Verdict.FAILED,
    Kind.DOWN_FAILED: Verdict.FAILED,
    Kind.DOWN_DIFFERS: Verdict.FAILED,
    Kind.DRIFT: Verdict.DRIFT,
    Kind.DIFFERS_FROM_DECLARED: Verdict.DRIFT,
    Kind.REPLAY_FAILED: Verdict.INCONCLUSIVE,
    Kind.SHADOW_LACKS: Verdict.INCONCLUSIVE,
    Kind.OLDER_SERVER: Verdict.INCONCLUSIVE,
    Kind.WHOLE_SERVER: Verdict.INCONCLUSIVE,
}
# The first of these that a finding has is the verdict.
_ORDER = (Verdict.FAILED, Verdict.DRIFT, Verdict.INCONCLUSIVE, Verdict.OK)


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be, and its place in a file, if it has one."""

    kind: Kind
    message: str
    hint: str | None = None
    migration: str | None = None
    path: Path | None = None
    line: int | None = None
    column: int | None = None

    @classmethod
    def of(cls, kind: Kind, failure: StatementFailed, migration: str | None) -> Finding:
        """Return the finding of a failed statement; what the shadow lacks is no failure."""
        found = Kind.SHADOW_LACKS if failure.lacking else kind
        hint = failure.hint
        if failure.lacking:
            hint = "use a shadow that has it: --shadow same-server, or --shadow-url"
        place = (failure.path, failure.line, failure.column)
        return cls(found, failure.message, hint, migration, *place)

    @property
    def place(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.path else ""

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind.value,
            "message": self.message,
            "hint": self.hint,
            "migration": self.migration,
            "path": str(self.path) if self.path else None,
            "line": self.line,
            "column": self.column,
        }


def verdict_of(findings: Iterable[Finding]) -> Verdict:
    """Return the worst verdict of the findings."""
    found = {one.kind.verdict for one in findings}
    return next(verdict for verdict in _ORDER if verdict in found or verdict is Verdict.OK)
