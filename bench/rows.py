"""A row of the table: what was measured, against what, and which bar it has to clear."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Bar:
    """What has to hold: the ratio, or ours itself, is at most or at least a limit."""

    limit: float
    of: Literal["ratio", "ours"] = "ratio"
    least: bool = False

    def holds(self, value: float) -> bool:
        """Whether the value clears the bar."""
        return value >= self.limit if self.least else value <= self.limit


@dataclass(frozen=True)
class Row:
    """One line; ours and the baseline in `unit`. Without a bar it is there to be read only.

    The spread is the lowest and the highest of what the bar is about, round by round.
    """

    topic: str
    what: str
    unit: str
    ours: float
    baseline_is: str
    baseline: float | None = None
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    bar: Bar | None = None
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the bar is cleared; None where there is none."""
        if self.bar is None:
            return None
        value = self.ours if self.bar.of == "ours" else self.ratio
        return value is not None and self.bar.holds(value)

    def to_json(self) -> dict[str, Any]:
        """Return the row as JSON shows it."""
        return {**asdict(self), "met": self.met}


Take = Callable[[], float | None]


def alternate(rounds: int, **takes: Take) -> dict[str, list[float]]:
    """Return the figures of each take, round by round; every other round goes backwards.

    A take returns its figure, or None for the seconds that it took. What stands side by side was
    measured side by side: a machine that slows down meanwhile slows all of it.
    """
    found: dict[str, list[float]] = {name: [] for name in takes}
    for number in range(rounds):
        order = list(takes.items())
        for name, take in reversed(order) if number % 2 else order:
            started = time.perf_counter()
            figure = take()
            taken = time.perf_counter() - started
            found[name].append(taken if figure is None else figure)
    return found


def times(
    topic: str,
    what: str,
    baseline_is: str,
    ours: Sequence[float],
    baseline: Sequence[float],
    bar: Bar | None,
    note: str = "",
) -> Row:
    """Return a row of seconds: the ratio is ours over the baseline, the median over the rounds."""
    return _compared(topic, what, "s", baseline_is, ours, baseline, bar, note)


def rates(
    topic: str,
    what: str,
    baseline_is: str,
    ours: Sequence[float],
    baseline: Sequence[float],
    size: int,
    bar: Bar | None,
    note: str = "",
) -> Row:
    """Return a row of throughputs in MB/s from seconds that both took for `size` bytes."""
    mine, theirs = ([size / 1e6 / taken for taken in figures] for figures in (ours, baseline))
    return _compared(topic, what, "MB/s", baseline_is, mine, theirs, bar, note)


def levels(
    topic: str, what: str, unit: str, ours: Sequence[float], bar: Bar | None, note: str = ""
) -> Row:
    """Return a row of a figure that stands for itself: its median."""
    return Row(
        topic, what, unit, statistics.median(ours), "–", spread=edges(ours), bar=bar, note=note
    )


def _compared(
    topic: str,
    what: str,
    unit: str,
    baseline_is: str,
    ours: Sequence[float],
    baseline: Sequence[float],
    bar: Bar | None,
    note: str,
) -> Row:
    ratios = [mine / theirs for mine, theirs in zip(ours, baseline, strict=True)]
    return Row(
        topic,
        what,
        unit,
        statistics.median(ours),
        baseline_is,
        statistics.median(baseline),
        statistics.median(ratios),
        edges(ours) if bar and bar.of == "ours" else edges(ratios),
        bar,
        note,
    )


def edges(figures: Sequence[float]) -> tuple[float, float]:
    """Return the lowest and the highest."""
    return min(figures), max(figures)
