"""`python -m bench`: measure all topics, or some, and print one table.

The exit status is 1 where a bar is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from bench import (
    captures,
    cleanup,
    demo,
    guard,
    layers,
    listing,
    online,
    pages,
    plans,
    readers,
    restores,
    snapshots,
    some_rows,
    streams,
)
from bench.place import SETTINGS, open_place
from bench.rows import Row
from tests import clusters

# A new topic is a module with TOPIC and measure(place), and its name here.
TOPICS = (
    streams,
    layers,
    captures,
    guard,
    restores,
    some_rows,
    online,
    readers,
    listing,
    cleanup,
    pages,
    plans,
    snapshots,
    demo,
)

HEADER = ("what", "Zanith", "baseline", "ratio", "spread", "bar", "")


def main() -> int:
    """Print a line for each row as soon as it is measured."""
    options = _parse()
    rows: list[tuple[int, Row]] = []
    for version in options.versions:
        server = f"PostgreSQL {version}, {options.settings}"
        print(f"\n{describe_machine()}, {server}; {options.rows:,} rows\n")
        print(line(HEADER), line(tuple("---" for _ in HEADER)), sep="\n", flush=True)
        for row in measure(version, options):
            rows.append((version, row))
            print(line(cells(row)), flush=True)
    if options.json:
        found = {
            "machine": describe_machine(),
            "options": {name: str(value) for name, value in vars(options).items()},
            "rows": [{"version": version, **row.to_json()} for version, row in rows],
        }
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 1 if any(row.met is False for _, row in rows) else 0


def measure(version: int, options: argparse.Namespace) -> Iterator[Row]:
    """Yield the rows of the chosen topics on one server; says on stderr how long each took."""
    with open_place(version, options) as place:
        for topic in TOPICS:
            if options.only and topic.TOPIC not in options.only:
                continue
            started = time.monotonic()
            yield from topic.measure(place)
            taken = time.monotonic() - started
            print(f"{topic.TOPIC}: {taken:.0f} s", file=sys.stderr, flush=True)


def line(words: tuple[str, ...]) -> str:
    """Return one line of the table, which is Markdown."""
    return f"| {' | '.join(word.replace('|', '&#124;') for word in words)} |"


def cells(row: Row) -> tuple[str, ...]:
    """Return a row as it is printed."""
    bar, of_ours = "–", row.bar is not None and row.bar.of == "ours"
    if row.bar:
        unit = f" {row.unit}" if of_ours else " ×"
        bar = f"{'≥' if row.bar.least else '≤'} {row.bar.limit:g}{unit}"
    spread = "–"
    if row.spread:
        form = _figure if of_ours or row.ratio is None else "{:.2f}".format
        spread = "–".join(map(form, row.spread))
    return (
        row.what,
        f"{_figure(row.ours)} {row.unit}",
        row.baseline_is
        if row.baseline is None
        else f"{_figure(row.baseline)} {row.unit}, {row.baseline_is}",
        "–" if row.ratio is None else f"{row.ratio:.2f}",
        spread,
        bar,
        {True: "met", False: "MISSED", None: ""}[row.met],
    )


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def describe_machine() -> str:
    """Return what it was measured on."""
    model = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        names = [text for text in cpuinfo.read_text().splitlines() if text.startswith("model name")]
        model = names[0].partition(": ")[2] if names else model
    memory = psutil.virtual_memory().total / 2**30
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} cores ({model}), {memory:.0f} GiB, {system}"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    names = [topic.TOPIC for topic in TOPICS]
    add = parser.add_argument
    add("--rows", type=int, default=1_000_000, help="of the table; the bars speak of 2,000,000")
    add("--rounds", type=int, default=3, help="of each measurement")
    add("--artifacts", type=int, default=20_000, help="in the list; the bar speaks of 100,000")
    add("--purges", type=int, default=1_000, help="in a cleanup; the bar speaks of 10,000")
    add("--only", nargs="+", choices=names, metavar="NAME", help=", ".join(names))
    add("--versions", type=_versions, default="", help="of PostgreSQL: 18, or 15,18, or all")
    add("--settings", choices=SETTINGS, default="sized", help="of the server: sized, or stock")
    add("--json", type=Path, metavar="FILE", help="write the rows there as well")
    options = parser.parse_args()
    if not 0 < options.rows <= 100_000_000:
        parser.error("--rows is from 1 to 100,000,000")
    return options


def _versions(words: str) -> list[int]:
    found = clusters.find_versions()
    return clusters.choose_versions(words, found) if words else [max(found)]


if __name__ == "__main__":
    sys.exit(main())
