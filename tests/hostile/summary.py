"""The last line of a run with the hostile suite in it: how many hooks, how many operations, how many escapes."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.hostile import tables

GAMES = "hostile operations"
ESCAPES = "hostile escapes"


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Add up what the tests noted by `record_property`, from all workers."""
    counts: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", None) == "call":
                counts.update(dict(report.user_properties))
    if operations := counts[GAMES]:
        terminalreporter.write_line(
            f"hostile owner: {operations} operations, {counts[ESCAPES]} escapes; {len(tables.FIRE)} hooks are known"
        )
