"""What the probes of a pending migration found."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

EXAMPLES = 3
"""The most rows that a finding names."""


class Outcome(StrEnum):
    """How a probe ended. A probe that did not run has never passed."""

    PASSED = "passed"
    FOUND = "found"
    NOT_CHECKED = "not_checked"


class Kind(StrEnum):
    """What a probe looks for. The values are part of the public interface."""

    DUPLICATES = "duplicates"
    OVERLAPS = "overlaps"
    ORPHANS = "orphans"
    NULLS = "nulls"
    WITHOUT_VALUE = "rows_without_value"
    CHECK = "breaks_check"
    DOES_NOT_FIT = "does_not_fit"
    OUTSIDE = "outside_of_partition"
    DEFAULT_PARTITION = "rows_in_default_partition"
    OTHER = "other"


@dataclass(frozen=True)
class Place:
    """The statement of a finding: its migration, its number, and the number of its operation."""

    migration: str
    path: str
    line: int
    column: int
    statement: int
    operation: int = 0


@dataclass(frozen=True)
class Finding:
    """What one probe found.

    `count` is None if nobody knows it: the probe did not run, or PostgreSQL could not evaluate an
    expression. `examples` are values of rows: they are never kept, and a viewer does not get them.
    `reason` says why a probe did not run.
    """

    place: Place
    kind: Kind
    object: str
    outcome: Outcome
    message: str
    count: int | None = None
    examples: tuple[str, ...] = ()
    reason: str | None = None

    @property
    def words(self) -> str:
        """The finding without a value of a row."""
        if self.outcome is Outcome.NOT_CHECKED:
            return f"not checked: {self.message}: {self.reason}"
        return self.message

    def to_json(self, *, examples: bool = True) -> dict[str, Any]:
        return {
            "migration": self.place.migration,
            "path": self.place.path,
            "line": self.place.line,
            "column": self.place.column,
            "kind": self.kind.value,
            "object": self.object,
            "outcome": self.outcome.value,
            "message": self.message,
            "count": self.count,
            "examples": list(self.examples) if examples else [],
            "reason": self.reason,
        }


def counts(findings: Iterable[Finding]) -> dict[str, int]:
    """Return the number of findings of each outcome."""
    found = dict.fromkeys((outcome.value for outcome in Outcome), 0)
    for finding in findings:
        found[finding.outcome.value] += 1
    return found


def preflight_to_json(findings: Iterable[Finding], *, examples: bool = True) -> dict[str, Any]:
    """Return the findings as JSON: how many of each outcome, and each of them."""
    known = list(findings)
    return {
        "probes": counts(known),
        "findings": [finding.to_json(examples=examples) for finding in known],
    }
