"""A statement that failed on a shadow: where, why, and whether it would fail elsewhere too."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from app.migrate.read.scripts import Steered

# What a shadow may lack and the live database have.
_LACKING = {"42501", "58P01"}
# What it names is not there: a schema, relation, column, function or other object.
UNDEFINED = frozenset({"3F000", "42P01", "42703", "42883", "42704"})
_NAMED = re.compile(
    r"(role|tablespace|collation|extension|access method|text search configuration) \".*\""
    r".* (does not exist|is not available)|not supported by this build|not installed"
    r"|must be superuser|language \".*\" does not exist",
    re.DOTALL,
)


@dataclass(eq=False)
class StatementFailed(Exception):
    """A statement failed on the shadow.

    `lacking` is True if the shadow lacks something, such as an extension, so that the failure says
    nothing of the live database.
    """

    path: Path
    line: int
    column: int
    message: str
    hint: str | None = None
    sqlstate: str | None = None
    lacking: bool = False

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}: {self.message}"

    def to_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "line": self.line,
            "column": self.column,
            "message": self.message,
            "hint": self.hint,
            "sqlstate": self.sqlstate,
        }


def locate(path: Path, steered: Steered, error: asyncpg.PostgresError) -> StatementFailed:
    """Return the failure with the line and column that PostgreSQL points to."""
    message = str(error.args[0] if error.args else error)
    line, column = _place(steered, getattr(error, "position", None))
    detail = getattr(error, "detail", None)
    return StatementFailed(
        path,
        line,
        column,
        f"{message}: {detail}" if detail else message,
        getattr(error, "hint", None),
        error.sqlstate,
        lacking=error.sqlstate in _LACKING or _NAMED.search(message) is not None,
    )


def _place(steered: Steered, position: Any) -> tuple[int, int]:
    line, column = steered.statement.line, steered.column
    if not str(position or "").isdecimal():
        return line, column
    before = steered.text[: int(position) - 1]
    lines = before.count("\n")
    if not lines:
        return line, column + len(before)
    return line + lines, len(before) - before.rfind("\n")
