"""The few shapes that every view is made of: a heading, a marked line, a list of facts."""

from collections.abc import Iterable

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from app.cli.humanize import printable_block


def heading(words: str) -> Text:
    """A section's name, with an empty line above."""
    return Text(f"\n{words}", style="head")


def marked(mark: str | Text, body: RenderableType | str, width: int = 1) -> Table:
    """A line with a mark in front; what wraps stays indented behind the mark."""
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=width, no_wrap=True)
    grid.add_column()
    grid.add_row(mark, safe(body) if isinstance(body, str) else body)
    return grid


def listing(title: str, mark: str, style: str, lines: Iterable[str]) -> list[RenderableType]:
    """A titled list; nothing where there are no lines."""
    shown: list[RenderableType] = [marked(Text(mark, style=style), line) for line in lines]
    return [heading(title), *shown] if shown else []


def aside(words: RenderableType, indent: int = 2) -> Padding:
    """A line that belongs to the one above it."""
    shown = safe(words, "quiet") if isinstance(words, str) else words
    return Padding(shown, (0, 0, 0, indent), expand=False)


def facts(rows: Iterable[tuple[str | Text, str | Text | None]]) -> Table:
    """Names and values in two columns; a value of None leaves its row out."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="quiet", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value is not None:
            grid.add_row(name, value if isinstance(value, Text) else safe(value))
    return grid


def safe(words: str, style: str = "") -> Text:
    """Text from the database: never markup, never a control character."""
    return Text(printable_block(words), style=style)
