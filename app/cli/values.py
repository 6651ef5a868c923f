"""Values that say which rows are meant: asked for or read from a file, never on the command line.

What stands on a command line is in the shell's history and in the list of processes. No error says
what was read.
"""

import sys
from pathlib import Path

from app.cli.confirm import ask
from app.cli.console import Terminal
from app.cli.humanize import printable
from app.recovery.core.errors import WrongUsage
from app.recovery.core.names import parse_name
from app.text import plural

MOST_BYTES = 1 << 20
"""More than any set of keys needs; a wrong file is not read whole."""


def key_columns(names: list[str]) -> list[str]:
    """Return the columns' names as PostgreSQL parses them; WrongUsage for one that stands twice."""
    columns = []
    for name in names:
        *table, column = parse_name(name)
        if table:
            raise WrongUsage(
                f"{printable(name)} is not a column's name alone",
                hint="name the column alone, and quote it as in SQL if it has a dot",
            )
        columns.append(column)
    if len(set(columns)) < len(columns):
        raise WrongUsage("a column is given twice", hint="name each column once")
    return columns


def key_values(terminal: Terminal, columns: list[str], source: str | None) -> dict[str, str]:
    """Return each column's value: from `source` (a file, or - for stdin), else asked for.

    WrongUsage where there is nobody to ask, and unless there is just one value for each column.
    """
    values = _asked(terminal, columns) if source is None else _lines(_read(source))
    if len(values) != len(columns):
        raise WrongUsage(
            f"{plural(len(columns), 'column')}, and {plural(len(values), 'value')}",
            hint="give one value a line, in the order of --column",
        )
    if any("\0" in value for value in values):
        raise WrongUsage("a value holds a zero byte", hint="PostgreSQL text cannot contain one")
    return dict(zip(columns, values, strict=True))


def _asked(terminal: Terminal, columns: list[str]) -> list[str]:
    if not terminal.interactive:
        raise WrongUsage(
            "no values were given, and there is no terminal to ask on",
            hint="pass --values-from FILE, or --values-from - to read them from stdin",
        )
    values = []
    for column in columns:
        value = ask(terminal, f"The exact value of {printable(column)}: ")
        if value is None:
            raise WrongUsage("no value was typed", hint="an empty line is the empty text")
        values.append(value)
    return values


def _read(source: str) -> str:
    if source == "-":
        raw = sys.stdin.buffer.read(MOST_BYTES + 1)
    else:
        with Path(source).open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise WrongUsage("the values are larger than 1 MB", hint="give one value a line")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise WrongUsage("the values are not UTF-8", hint="convert the file first") from None


def _lines(text: str) -> list[str]:
    """The lines as they are, spaces and all; a line may end as on Windows."""
    lines = text.split("\n")
    if not lines[-1]:
        lines.pop()
    return [line.removesuffix("\r") for line in lines]
