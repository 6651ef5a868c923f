"""What a migration is: its id, and the SQL of each direction."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

LONGEST_ID = 255
"""Characters of a migration's id, as files, addresses and pages have it."""


class Layout(StrEnum):
    """How a directory of migrations is laid out."""

    ZANITH = "zanith"
    PRISMA = "prisma"
    DRIZZLE = "drizzle"
    FLYWAY = "flyway"
    UP_DOWN = "up-down"
    """golang-migrate and node-pg-migrate: NAME.up.sql and NAME.down.sql."""
    GOOSE = "goose"
    DBMATE = "dbmate"
    SUPABASE = "supabase"
    SQITCH = "sqitch"
    FILE = "file"
    """One file, or the standard input."""


@dataclass(frozen=True)
class Script:
    """The SQL of one direction.

    ``data`` has as many lines as the file: the other direction's lines are blank, so that the line
    of a statement is its line in the file.
    """

    path: Path
    data: bytes


@dataclass(frozen=True)
class Migration:
    """One migration: its id, the SQL that applies it, and the SQL that reverts it, if any.

    ``transaction`` is False if the tool runs it outside a transaction. ``repeatable`` is True if
    the tool runs it again whenever the file changed.
    """

    id: str
    up: Script
    down: Script | None = None
    transaction: bool = True
    repeatable: bool = False
