"""The two streams of a command: what is asked for on stdout, everything else on stderr."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any, TextIO

from rich.console import Console, RenderableType
from rich.theme import Theme

from app.cli.document import document
from app.cli.exits import Exit
from app.cli.pager import page

WIDE = 200
"""Columns when the output is no terminal and COLUMNS says nothing: names stay whole for `grep`."""

THEME = Theme(
    {
        "good": "green",
        "warn": "yellow",
        "bad": "bold red",
        "quiet": "dim",
        "head": "bold",
        "name": "bold cyan",
        "flag": "cyan",
    }
)


class _Console(Console):
    """Raises where rich would end the process: main decides how it ends."""

    def on_broken_pipe(self) -> None:
        """Say that the reader has gone."""
        raise BrokenPipeError


def make_console(stream: TextIO) -> Console:
    """A console that takes no markup from names, and no colour where none is wanted."""
    width = None if stream.isatty() or os.environ.get("COLUMNS") else WIDE
    return _Console(
        file=stream, theme=THEME, width=width, markup=False, highlight=False, emoji=False
    )


@dataclass(frozen=True)
class Terminal:
    """Where a command speaks: `json` turns stdout into one document and nothing else."""

    json: bool = False
    out: Console = field(default_factory=lambda: make_console(sys.stdout))
    err: Console = field(default_factory=lambda: make_console(sys.stderr))

    def show(self, *parts: RenderableType) -> None:
        """Print for a person; with --json it is left out."""
        if not self.json:
            for part in parts:
                self.out.print(part)

    def page(self, *parts: RenderableType) -> None:
        """Print for a person what may be long; with --json it is left out."""
        if not self.json:
            page(self.out, *parts)

    def say(self, *parts: RenderableType) -> None:
        """Print beside the result, on stderr; with --json it is left out."""
        if not self.json:
            for part in parts:
                self.err.print(part)

    def emit(self, result: Mapping[str, Any]) -> None:
        """Write the one JSON document of this command."""
        write_json(result)

    @property
    def interactive(self) -> bool:
        """Whether a person is there to be asked."""
        return sys.stdin is not None and sys.stdin.isatty() and sys.stderr.isatty()


def write_json(result: Mapping[str, Any]) -> None:
    """One indented JSON document of this command on stdout."""
    write_plain_json(document(result))


def write_plain_json(whole: Mapping[str, Any]) -> None:
    """Indented JSON of a foreign form, escaped only where the stream's encoding needs it."""
    text = json.dumps(whole, default=_plain, ensure_ascii=False, indent=2)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = json.dumps(whole, default=_plain, indent=2)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def leave_pipe() -> Exit:
    """Leave quietly when the reader of our output has gone, as `list | head` does."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return Exit.BROKEN_PIPE


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    raise TypeError(f"{type(value).__name__} has no JSON form")
