"""Progress on stderr: a bar on a terminal, silence elsewhere."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from app.cli.console import Terminal
from app.cli.humanize import printable, shorten
from app.text import count, size, took

Follow = Callable[[Any], None]


@contextmanager
def watching(terminal: Terminal, what: str) -> Iterator[Follow]:
    """Show a bar while the block runs; the block reports to the function that it gets."""
    if not terminal.err.is_terminal:
        yield _ignore
        return
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[figures]}", style="quiet"),
        TimeElapsedColumn(),
        console=terminal.err,
        transient=True,
    )
    with bar:
        room = max(20, terminal.err.width - 56)
        task = bar.add_task(shorten(what, room), total=None, figures="")

        told: list[str] = []

        def follow(report: Any) -> None:
            values = _values(report)
            blockers = list(values.get("waiting_for") or ())
            pids = [blocker.split(" (")[0] for blocker in blockers]  # the rest tells ages
            if pids and pids != told:
                told[:] = pids
                for blocker in blockers:
                    bar.console.print(Text(f"Waiting for a lock of {printable(blocker)}"))
            bar.update(
                task,
                description=shorten(_step(values) or what, room),
                completed=values.get("done") or values.get("rows") or 0,
                total=values.get("total") or values.get("rows_expected"),
                figures=figures(values),
            )

        yield follow


def _step(values: Mapping[str, Any]) -> str:
    """What is under way; of a wait the number of tries: the blocker stands above the bar."""
    if values.get("waiting_for"):
        return f"waiting for it, try {values['tries'] + 1}"
    return str(values.get("step") or "")


def figures(values: Mapping[str, Any]) -> str:
    """`1,200,000 rows · 84 MB · 92 MB/s · 3 s left`, as much of it as is known."""
    parts = []
    if values.get("rows") is not None:
        parts.append(f"{count(values['rows'])} rows")
    if values.get("bytes") is not None:
        parts.append(size(values["bytes"]))
    if values.get("rate"):
        parts.append(f"{size(int(values['rate']))}/s")
    if values.get("left") is not None:
        parts.append(f"{took(values['left'])} left")
    return printable(" · ".join(parts))


def _values(report: Any) -> Mapping[str, Any]:
    """What a report says, as a mapping, whichever form the engine gives it."""
    if isinstance(report, Mapping):
        return report
    return {name: getattr(report, name) for name in dir(report) if not name.startswith("_")}


def _ignore(report: Any) -> None:
    """Take a report where nobody looks."""
