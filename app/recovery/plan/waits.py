"""Who would make a restore wait: transactions that have a lock on its tables now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from app.recovery.db.database import Database
from app.recovery.plan.blocking import LONG_SECONDS
from app.recovery.plan.model import Plan
from app.recovery.queries import load

SQL = load("waits")

# The modes that each mode conflicts with, as the manual's table of table-level locks has them.
_CONFLICTS = {
    "ACCESS SHARE": ("ACCESS EXCLUSIVE",),
    "ROW SHARE": ("EXCLUSIVE", "ACCESS EXCLUSIVE"),
    "ROW EXCLUSIVE": ("SHARE", "SHARE ROW EXCLUSIVE", "EXCLUSIVE", "ACCESS EXCLUSIVE"),
    "SHARE UPDATE EXCLUSIVE": (
        *("SHARE UPDATE EXCLUSIVE", "SHARE", "SHARE ROW EXCLUSIVE"),
        *("EXCLUSIVE", "ACCESS EXCLUSIVE"),
    ),
    "SHARE": (
        *("ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE", "SHARE ROW EXCLUSIVE"),
        *("EXCLUSIVE", "ACCESS EXCLUSIVE"),
    ),
}
_CONFLICTS["SHARE ROW EXCLUSIVE"] = ("SHARE", *_CONFLICTS["SHARE"])
_CONFLICTS["EXCLUSIVE"] = ("ROW SHARE", *_CONFLICTS["SHARE ROW EXCLUSIVE"])
_CONFLICTS["ACCESS EXCLUSIVE"] = ("ACCESS SHARE", *_CONFLICTS["EXCLUSIVE"])


@dataclass(frozen=True)
class Session:
    """A session with an open transaction, or a prepared transaction, which has no session.

    ``age`` is the seconds since its transaction began; None where this role may not see it.
    """

    pid: int | None
    prepared: str | None
    role: str | None
    application: str | None
    state: str | None
    age: float | None
    tables: tuple[str, ...]


async def find_waits(db: Database, plan: Plan) -> tuple[Session, ...]:
    """Return who has a lock, for more than a moment, that the steps of the plan would wait for."""
    wanted: dict[str, set[str]] = {}
    for step in plan.steps:
        for table in step.tables if step.lock in _CONFLICTS else ():
            wanted.setdefault(table, set()).update(_CONFLICTS[step.lock or ""])
    if not wanted:
        return ()
    asked = [
        {"name": table, "modes": sorted(f"{mode.title().replace(' ', '')}Lock" for mode in modes)}
        for table, modes in wanted.items()
    ]
    async with db.side() as connection:
        rows = await connection.fetch(SQL["sessions"], asked, timedelta(seconds=LONG_SECONDS))
    return tuple(Session(**{**dict(row), "tables": tuple(row["tables"])}) for row in rows)
