"""The list of artifacts: one line each where the terminal is wide, two where it is not."""

from collections.abc import Iterator
from datetime import datetime

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.cli.humanize import printable, shorten
from app.cli.render.health import state
from app.recovery.artifacts.listing import Page
from app.recovery.artifacts.model import Artifact
from app.text import ago, count, left, plural, size

ROOMY = 110
"""Columns from which every figure gets a column of its own."""


def artifact_list(
    page: Page,
    width: int,
    now: datetime | None = None,
    *,
    filtered: bool = True,
    purged: int | None = 0,
) -> RenderableType:
    """A table of the page, and how many there are in all where that is more.

    `purged` is how many artifacts there were, None where that is not known.
    """
    if not page.items:
        return Text(_none(filtered=filtered, purged=purged), style="quiet")
    table = _roomy(page, width, now) if width >= ROOMY else _narrow(page, width, now)
    if page.total <= len(page.items):
        return table
    rest = f"{count(len(page.items))} of {plural(page.total, 'artifact')}; --limit shows more"
    return Group(table, Text(rest, style="quiet"))


def _none(*, filtered: bool, purged: int | None) -> str:
    if filtered:
        return "No artifacts match."
    if purged is None:
        return "Nothing is parked."
    if purged == 0:
        return "Nothing has been dropped yet."
    were = "artifact was" if purged == 1 else "artifacts were"
    return f"Nothing is parked. {count(purged)} {were} purged: zanith list --purged shows them."


def _table() -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("ID", no_wrap=True, style="name")
    table.add_column("Object", overflow="fold")
    return table


def _roomy(page: Page, width: int, now: datetime | None) -> Table:
    room = max(24, width - 92)
    table = _table()
    table.add_column("Type", no_wrap=True)
    table.add_column("Migration", no_wrap=True, max_width=15 + max(0, width - 120) // 3)
    for name in ("Rows", "Size", "Age", "Left"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("Health", no_wrap=True)
    for artifact in page.items:
        table.add_row(
            artifact.id,
            shorten(artifact.title, 2 * room),
            artifact.artifact_type,
            printable(artifact.migration_id or "–"),
            count(artifact.row_count),
            size(artifact.size_bytes),
            _age(artifact, now),
            Text("held", style="name") if artifact.held else left(artifact.expires_at, now),
            state(artifact),
        )
    return table


def _narrow(page: Page, width: int, now: datetime | None) -> Table:
    """Two lines each: what it is, and in quieter words its figures."""
    room = max(24, width - 28)
    table = _table()
    table.add_column("Health", no_wrap=True)
    for artifact in page.items:
        name = Text(shorten(artifact.title, 2 * room))
        figures = Text(" · ".join(_figures(artifact, now)), style="quiet")
        until = Text(_until(artifact, now), style="quiet")
        table.add_row(artifact.id, Group(name, figures), Group(state(artifact), until))
    return table


def _figures(artifact: Artifact, now: datetime | None) -> Iterator[str]:
    yield artifact.artifact_type
    if artifact.row_count is not None:
        rows = "row" if artifact.row_count == 1 else "rows"
        yield f"{count(artifact.row_count, exact_to=1_000_000)} {rows}"
    if artifact.size_bytes is not None:
        yield size(artifact.size_bytes)
    yield f"{_age(artifact, now)} old"


def _until(artifact: Artifact, now: datetime | None) -> str:
    if artifact.held:
        return "held"
    until = left(artifact.expires_at, now)
    return until if until in {"never", "expired"} else f"{until} left"


def _age(artifact: Artifact, now: datetime | None) -> str:
    return ago(artifact.created_at, now).removesuffix(" ago")
