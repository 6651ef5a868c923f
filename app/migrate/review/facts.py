"""The form of a fact about a kind of statement, and the hints that several facts share."""

from __future__ import annotations

from dataclasses import dataclass

from app.migrate.risk import By, Level, Mode, Reason, Recovery

CHILDREN = "its partitions and children"
JOINED = "tables joined to it by a foreign key"
CONCURRENTLY = "use CREATE INDEX CONCURRENTLY, outside a transaction"

DEFINITION = Recovery(By.GUARD, "definition")
OLD_VALUES = Recovery(By.GUARD, "values")
LOST = Recovery(By.NOTHING)


@dataclass(frozen=True)
class Fact:
    """What PostgreSQL does for a kind of operation on a table that has rows.

    `mode` is the lock on the table; None is no lock on any table. `children` is True if partitions
    and inheritance children get the same lock. The reasons that follow from a scan, a rewrite and
    the lock are added by `operations.build`.
    """

    kind: str
    mode: Mode | None = None
    lowest: Level = Level.LOW
    rewrites: bool = False
    scans: bool = False
    reasons: frozenset[Reason] = frozenset()
    hint: str | None = None
    children: bool = False
    recovery: Recovery | None = None
