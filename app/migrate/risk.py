"""What an operation of a migration can do: levels, reasons, locks. Each is listed here only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any


class Level(IntEnum):
    """How much an operation can harm; the number is its score."""

    SAFE = 5
    LOW = 15
    MEDIUM = 35
    HIGH = 60
    DESTRUCTIVE = 80
    BLOCKED = 95

    @property
    def word(self) -> str:
        """The level as people and scripts write it."""
        return self.name.lower()

    @property
    def tone(self) -> str:
        """How a terminal and a page mark it: good, warn or bad."""
        if self >= Level.DESTRUCTIVE:
            return "bad"
        return "warn" if self >= Level.MEDIUM else "good"


class Family(StrEnum):
    """What a reason is about."""

    DATA = "data"
    TIME = "locks and time"
    FAILURE = "may fail on data"
    CLIENTS = "clients and dependents"
    UNKNOWN = "unknown"


class Reason(StrEnum):
    """Why an operation has its level. The values are part of the public interface."""

    DROPS_COLUMN = "drops_column_with_data"
    DROPS_TABLE = "drops_table_with_data"
    TRUNCATES = "truncates_table"
    NARROWS_TYPE = "narrows_column_type"
    CHANGES_TYPE = "changes_column_type"
    REWRITES = "rewrites_table"
    SCANS = "scans_table"
    BLOCKS_WRITES = "blocks_writes"
    BLOCKS_READS = "blocks_reads"
    BACKFILL = "requires_backfill"
    REQUIRED_COLUMN = "adds_required_column_without_default"
    NOT_NULL = "changes_column_nullable_to_not_null"
    UNIQUE = "adds_unique_constraint"
    FOREIGN_KEY = "adds_foreign_key"
    CHECK = "adds_check_constraint"
    RENAMES = "renames_object"
    DROPS_DEFINITION = "drops_index_or_constraint"
    ROW_SECURITY = "changes_row_security"
    REPLICATION = "affects_replication"
    OPAQUE = "opaque_sql"

    @property
    def about(self) -> About:
        """The family, the least level and the meaning."""
        return _ABOUT[self]


@dataclass(frozen=True)
class About:
    """A reason: its family, the least level of an operation that has it, and its meaning."""

    family: Family
    level: Level
    meaning: str


_ABOUT = {
    Reason.DROPS_COLUMN: About(Family.DATA, Level.DESTRUCTIVE, "the values of a column are lost"),
    Reason.DROPS_TABLE: About(Family.DATA, Level.DESTRUCTIVE, "the rows of a table are lost"),
    Reason.TRUNCATES: About(Family.DATA, Level.DESTRUCTIVE, "all rows of a table are deleted"),
    Reason.NARROWS_TYPE: About(
        Family.DATA, Level.HIGH, "values may not fit into the new type, or lose digits"
    ),
    Reason.CHANGES_TYPE: About(
        Family.DATA, Level.MEDIUM, "values are converted, and clients see another type"
    ),
    Reason.REWRITES: About(Family.TIME, Level.HIGH, "PostgreSQL writes all rows anew"),
    Reason.SCANS: About(Family.TIME, Level.LOW, "PostgreSQL reads all rows"),
    Reason.BLOCKS_WRITES: About(
        Family.TIME, Level.HIGH, "nobody can write for a time that grows with the rows"
    ),
    Reason.BLOCKS_READS: About(
        Family.TIME, Level.HIGH, "nobody can read for a time that grows with the rows"
    ),
    Reason.BACKFILL: About(Family.TIME, Level.MEDIUM, "existing rows are changed or need values"),
    Reason.REQUIRED_COLUMN: About(
        Family.FAILURE, Level.HIGH, "it fails if the table has rows, and old clients fail later"
    ),
    Reason.NOT_NULL: About(Family.FAILURE, Level.MEDIUM, "it fails if a row has NULL"),
    Reason.UNIQUE: About(Family.FAILURE, Level.MEDIUM, "it fails if two rows have one key"),
    Reason.FOREIGN_KEY: About(
        Family.FAILURE, Level.MEDIUM, "it fails if a row references a row that does not exist"
    ),
    Reason.CHECK: About(Family.FAILURE, Level.MEDIUM, "it fails if a row breaks the condition"),
    Reason.RENAMES: About(Family.CLIENTS, Level.HIGH, "clients that use the old name fail at once"),
    Reason.DROPS_DEFINITION: About(
        Family.CLIENTS, Level.MEDIUM, "queries get slower, or wrong data is no longer refused"
    ),
    Reason.ROW_SECURITY: About(
        Family.CLIENTS, Level.MEDIUM, "roles see or change other rows than before"
    ),
    Reason.REPLICATION: About(
        Family.CLIENTS, Level.MEDIUM, "subscribers get other rows, or replication stops"
    ),
    Reason.OPAQUE: About(
        Family.UNKNOWN, Level.MEDIUM, "only PostgreSQL knows what it does when it runs"
    ),
}
LOSES = frozenset({Reason.DROPS_COLUMN, Reason.DROPS_TABLE, Reason.TRUNCATES})
CONVERTS = frozenset({Reason.NARROWS_TYPE})
"""What loses values where the old type is known to have more, or where an expression computes the
new ones."""


class Mode(IntEnum):
    """PostgreSQL's lock modes of tables, from the weakest to the strongest."""

    ACCESS_SHARE = 1
    ROW_SHARE = 2
    ROW_EXCLUSIVE = 3
    SHARE_UPDATE_EXCLUSIVE = 4
    SHARE = 5
    SHARE_ROW_EXCLUSIVE = 6
    EXCLUSIVE = 7
    ACCESS_EXCLUSIVE = 8

    @property
    def word(self) -> str:
        """The mode as the manual and LOCK TABLE write it."""
        return self.name.replace("_", " ")

    @classmethod
    def named(cls, name: str) -> Mode:
        """Return the mode that pg_locks calls by this name: `AccessShareLock`."""
        return _OF_PG_LOCKS[name]

    @property
    def blocks_writes(self) -> bool:
        """Whether INSERT, UPDATE and DELETE have to wait for it."""
        return self >= Mode.SHARE

    @property
    def blocks_reads(self) -> bool:
        """Whether SELECT has to wait for it."""
        return self is Mode.ACCESS_EXCLUSIVE


_OF_PG_LOCKS = {f"{mode.word.title().replace(' ', '')}Lock": mode for mode in Mode}


@dataclass(frozen=True)
class Lock:
    """A lock on a table.

    `table` is None if only the database knows which tables; `which` then says it. With a table,
    `which` says which others have the same lock, such as its partitions.
    """

    mode: Mode
    table: str | None
    which: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"table": self.table, "mode": self.mode.word, "which": self.which or None}


class By(StrEnum):
    """What makes a loss recoverable."""

    CAPTURE = "capture"
    """A capture: by the guard, or by `zanith rewrite` without it."""
    GUARD = "guard"
    """Only by the guard, which has to be on."""
    NOTHING = "nothing"


@dataclass(frozen=True)
class Recovery:
    """How an operation that loses something can be undone."""

    by: By
    strategy: str | None = None

    @property
    def recoverable(self) -> bool:
        return self.by is not By.NOTHING

    def to_json(self) -> dict[str, Any]:
        return {"recoverable": self.recoverable, "by": self.by.value, "strategy": self.strategy}


@dataclass(frozen=True)
class Operation:
    """One operation of a statement, as the classifier judges it.

    `scans` and `rewrites` are about tables that may have rows. `lowest` is the level without any
    reason.
    """

    kind: str
    object: str
    lowest: Level = Level.LOW
    reasons: frozenset[Reason] = frozenset()
    locks: tuple[Lock, ...] = ()
    rewrites: bool = False
    scans: bool = False
    recovery: Recovery | None = None
    hint: str | None = None
    notes: tuple[str, ...] = ()
    seconds: float | None = None
    """How long it takes, by the size of the table; None without a database."""
    allowed: frozenset[Reason] = field(default=frozenset())
    reason: str | None = None

    @property
    def level(self) -> Level:
        return level_of(self.lowest, self.reasons)

    @property
    def accepted_level(self) -> Level:
        """The level without the reasons that a comment allows: what the gates look at."""
        return level_of(self.lowest, self.reasons - self.allowed)

    @property
    def codes(self) -> list[str]:
        """The reasons, in the order in which the documentation lists them."""
        return [reason.value for reason in Reason if reason in self.reasons]

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "object": self.object,
            "level": self.level.word,
            "score": self.level.value,
            "reasons": self.codes,
            "locks": [lock.to_json() for lock in self.locks],
            "rewrites": self.rewrites,
            "scans": self.scans,
            "seconds": self.seconds,
            "recovery": self.recovery.to_json() if self.recovery else None,
            "hint": self.hint,
            "notes": list(self.notes),
            "allowed": [reason.value for reason in Reason if reason in self.allowed],
            "reason": self.reason,
        }


def level_of(lowest: Level, reasons: Iterable[Reason]) -> Level:
    """Return the highest level of the reasons, and at least the lowest."""
    return max([lowest, *(reason.about.level for reason in reasons)])
