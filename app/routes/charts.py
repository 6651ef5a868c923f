"""Bar charts as geometry: the template only draws what is computed here.

Every figure also stands as text beside its bar, so nothing is said by a picture alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from app import text as formats


@dataclass(frozen=True)
class Bar:
    """One bar: its label, its figure as text, and its share of the longest bar in percent."""

    label: str
    figure: str
    exact: str
    percent: float
    y: int


@dataclass(frozen=True)
class BarChart:
    """A horizontal bar chart; `height` is in the viewBox units of the drawing (100 wide)."""

    title: str
    bars: tuple[Bar, ...]
    more: str | None = None

    ROW = 26

    @property
    def height(self) -> int:
        """Height of the drawing in viewBox units."""
        return max(len(self.bars), 1) * self.ROW


def _bars(rows: Sequence[tuple[str, float, str, str]]) -> tuple[Bar, ...]:
    longest = max((value for _, value, _, _ in rows), default=0) or 1
    return tuple(
        Bar(label, figure, exact, round(100 * value / longest, 2), index * BarChart.ROW)
        for index, (label, value, figure, exact) in enumerate(rows)
    )


def by_table(rows: Sequence[tuple[str, int]], tables: int, total: int, limit: int = 6) -> BarChart:
    """Parked bytes by table, the largest first; the rest of all ``tables`` is summed in words.

    The rows may name the largest only: the rest is what the ``total`` of bytes has besides.
    """
    shown = sorted(rows, key=lambda row: -row[1])[:limit]
    more = None
    if tables > len(shown):
        rest = formats.size(total - sum(value for _, value in shown))
        more = f"and {formats.plural(tables - len(shown), 'more table')}, {rest}"
    return BarChart(
        "Parked bytes by table",
        _bars([(n, v, formats.size(v), f"{formats.number(v)} bytes") for n, v in shown]),
        more,
    )


def by_expiry(rows: Sequence[tuple[str, int]]) -> BarChart:
    """How many artifacts expire when, soonest first, in the engine's own buckets."""
    return BarChart(
        "Artifacts by expiry",
        _bars([(n, v, formats.number(v), formats.plural(v, "artifact")) for n, v in rows]),
    )
