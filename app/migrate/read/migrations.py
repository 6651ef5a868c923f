"""What a migration is: its id, and the SQL of each direction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from app.recovery.core.errors import WrongUsage

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


def find_named(text: str, ids: Sequence[str]) -> str | None:
    """Return the migration that a text means: by its id, or else by its version; None if none is.

    WrongUsage if it is the version, or the beginning, of more than one.
    """
    if text in ids:
        return text
    found = [one for one in dict.fromkeys(ids) if one.startswith((f"{text}_", f"{text}-"))]
    if len(found) > 1:
        raise WrongUsage(
            f"{text} is the beginning of {len(found)} migrations: {', '.join(found[:5])}",
            hint="give the whole id of one",
        )
    return found[0] if found else None
