"""What a restore will cost: estimates, by a plain rule from the statistics of today.

The rates are those of one core of a small machine with a warm cache; docs/operations.md tells them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

SCAN_BYTES = 500_000_000  # a second: a scan that proves a constraint
FILL_ROWS = 200_000  # a second: rows found by their key and written anew
INDEX_ROWS = 700_000  # a second: rows sorted into an index
VERIFY_BYTES = 100_000_000  # a second: the canonical CSV and its checksum
INDEX_ENTRY = 40  # bytes of a row in an index

_FILL = re.compile(r"^(UPDATE|DO\b.*?\bUPDATE) ", re.DOTALL)
_SINCE = re.compile(r"^UPDATE .* WHERE (NOT EXISTS|\S+ IS NULL)", re.DOTALL)
_INDEX = re.compile(r"^CREATE (UNIQUE )?INDEX |ADD CONSTRAINT .* (UNIQUE|EXCLUDE|PRIMARY KEY)\b")
_REWRITE = re.compile(r"GENERATED ALWAYS AS .* STORED$")


class Growing(Protocol):
    """What of a step tells its cost."""

    @property
    def sql(self) -> str: ...
    @property
    def tables(self) -> tuple[str, ...]: ...
    @property
    def grows(self) -> bool: ...


@dataclass(frozen=True)
class Estimate:
    """Seconds that it takes, and bytes of disk that it needs besides what is there."""

    seconds: float
    disk_bytes: int


def estimate_step(
    step: Growing, sizes: Mapping[str, Mapping[str, Any]], since: int | None = None
) -> Estimate | None:
    """Return what one step costs; None where it does not grow, or nothing is known of its table.

    ``since`` is how many rows came since the capture: a fill of those alone writes no others.
    """
    known = [sizes[table] for table in step.tables if table in sizes]
    if not step.grows or not known:
        return None
    rows = max(int(size["rows"]) for size in known)
    size = max(int(size["bytes"]) for size in known)
    if _FILL.search(step.sql):  # every row is written a second time beside the old one
        if since is not None and _SINCE.search(step.sql) and rows:
            part = min(1.0, since / rows)
            seconds = size / SCAN_BYTES + rows * part / FILL_ROWS
            return Estimate(round(seconds, 2), round(size * part))
        return Estimate(round(rows / FILL_ROWS, 2), size)
    if _REWRITE.search(step.sql):
        return Estimate(round(rows / FILL_ROWS, 2), size)
    if _INDEX.search(step.sql):
        return Estimate(round(rows / INDEX_ROWS, 2), rows * INDEX_ENTRY)
    return Estimate(round(size / SCAN_BYTES, 2), 0)


def estimate_verification(archive: Mapping[str, Any]) -> float | None:
    """Return the seconds that comparing the parked object with its seal takes; None if it is not.

    Without a seal the rows are counted in the same pass.
    """
    size = archive.get("size_bytes")
    return round(int(size) / VERIFY_BYTES, 2) if size else None


def total(estimates: Iterable[Estimate | None], verification: float | None) -> Estimate:
    """Return the sum of steps and verification."""
    known = [estimate for estimate in estimates if estimate is not None]
    seconds = sum(estimate.seconds for estimate in known) + (verification or 0.0)
    return Estimate(round(seconds, 2), sum(estimate.disk_bytes for estimate in known))
