"""What PostgreSQL says of a statement of a file, with the place in the file."""

from __future__ import annotations

import asyncpg

from app.migrate.apply.prepare import Prepared, Unit
from app.recovery.core.errors import Failed, Locked, NotPermitted, ZanithError
from app.recovery.core.translate import translate
from app.recovery.db.connections import LOST

_EXTENSION = "58P01"
_HINTS = {
    _EXTENSION: "install the package of the extension on the server; see pg_available_extensions",
    "0A000": "correct the statement for this version of PostgreSQL",
    "42601": "correct the statement for this version of PostgreSQL",
    "25001": "write the comment: zanith: no-transaction",
    "42501": "run it as the owner of the object, or grant the right",
    "23505": "zanith migrate plan --preflight finds such rows before the migration runs",
}


# What the server says when it ends a session.
_ENDED = frozenset({"57P01", "57P02", "57P03", "57P05"})


class MigrationFailed(Failed):
    """A statement of a migration failed."""

    migration: str = ""
    line: int = 0
    column: int = 0


def locate(
    prepared: Prepared, unit: Unit, exc: asyncpg.PostgresError | MigrationFailed
) -> ZanithError:
    """Return the error with the file, the line and the column that PostgreSQL points to."""
    if isinstance(exc, MigrationFailed):
        return exc
    known = translate(exc)
    if isinstance(known, Locked) and known.sqlstate:
        return known
    line, column = place_of(unit, exc)
    kind: type[ZanithError] = NotPermitted if isinstance(known, NotPermitted) else MigrationFailed
    place = f"{prepared.script.path}:{line}:{column}"
    hint = getattr(exc, "hint", None) or _HINTS.get(exc.sqlstate or "") or known.hint
    error = kind(
        f"{place}: {known.message}",
        detail=known.detail,
        hint=hint or "correct the file, and run zanith migrate up again",
        sqlstate=known.sqlstate,
    )
    if known.withheld:
        kept = known.as_kept()
        error.withhold(kept["detail"], f"{place}: {kept['message']}", hint=known.kept_hint)
    if isinstance(error, MigrationFailed):
        error.migration, error.line, error.column = prepared.id, line, column
    return error


def place_of(unit: Unit, exc: asyncpg.PostgresError) -> tuple[int, int]:
    """Return line and column of an error in the file: those of the statement, if none are given."""
    said = getattr(exc, "position", None)
    if unit.ran is not None or said is None or not str(said).isdecimal():
        return unit.line, unit.steered.column
    before = unit.steered.text[: int(said) - 1]
    lines = before.count("\n")
    column = len(before) - (before.rfind("\n") + 1) + 1
    return unit.line + lines, column if lines else unit.steered.column + column - 1


def is_lost(exc: BaseException) -> bool:
    """Return whether the connection is gone, so that nothing more can be recorded over it."""
    return isinstance(exc, LOST) or getattr(exc, "sqlstate", None) in _ENDED
