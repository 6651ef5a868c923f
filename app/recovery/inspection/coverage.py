"""Coverage: of the drops that PostgreSQL would carry out here, which share a capture would take."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.recovery.core.errors import ZanithError
from app.recovery.core.names import quote
from app.recovery.core.translate import translate
from app.recovery.db.connections import SERVER_ERRORS
from app.recovery.db.database import Database
from app.recovery.db.transactions import lock_timeout_text
from app.recovery.queries import load

SQL = load("coverage")
BATCH = 40
"""Drops that are judged in one transaction: a step of the progress, and no long snapshot."""
EXAMPLES = 5


@dataclass(frozen=True)
class Drop:
    """One drop: of a table, or of a column of it, with CASCADE or without."""

    object: str
    cascade: bool
    message: str
    hint: str | None

    @property
    def words(self) -> str:
        """The object, and how it would be dropped."""
        return f"{self.object} CASCADE" if self.cascade else self.object


@dataclass(frozen=True)
class Gap:
    """What is not covered, or not judged, for one reason, with the first few of it."""

    reason: str
    count: int
    examples: tuple[Drop, ...]


@dataclass
class Tally:
    """Drops by result.

    ``refused`` are those that PostgreSQL refuses too. ``not_judged`` are of tables that this role
    does not own, or met an error of the moment: whether a capture would take them is not known.
    """

    covered: int = 0
    not_covered: int = 0
    refused: int = 0
    not_judged: int = 0

    @property
    def carried_out(self) -> int:
        """The judged drops that PostgreSQL would carry out."""
        return self.covered + self.not_covered

    @property
    def share(self) -> float | None:
        """The covered ones of those; None where none was judged."""
        return self.covered / self.carried_out if self.carried_out else None

    @property
    def percent(self) -> str:
        """The share in percent, never rounded up; "none judged" where there is none."""
        if not self.carried_out:
            return "none judged"
        tenths = 1000 * self.covered // self.carried_out
        return "100 %" if tenths == 1000 else f"{tenths // 10}.{tenths % 10} %"

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON shows them."""
        return {**asdict(self), "carried_out": self.carried_out, "share": self.share}


@dataclass
class Reasons:
    """How many drops each reason has, and the first few of them."""

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Drop]] = field(default_factory=dict)

    def add(self, reason: str, drop: Drop, number: int = 1) -> None:
        """Count a drop, or several of one object, and keep the first few."""
        self.counts[reason] += number
        known = self.examples.setdefault(reason, [])
        if len(known) < EXAMPLES and all(other.object != drop.object for other in known):
            known.append(drop)

    def gaps(self) -> tuple[Gap, ...]:
        """Return the reasons, the most frequent first."""
        most = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Gap(why, number, tuple(self.examples[why])) for why, number in most)


@dataclass
class Coverage:
    """What was judged, in all and by what is dropped; gaps by reason, the most frequent first."""

    tables: int = 0
    all: Tally = field(default_factory=Tally)
    of_tables: Tally = field(default_factory=Tally)
    of_columns: Tally = field(default_factory=Tally)
    measured_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _uncovered: Reasons = field(default_factory=Reasons)
    _unjudged: Reasons = field(default_factory=Reasons)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Why what is not covered is not."""
        return self._uncovered.gaps()

    @property
    def not_judged(self) -> tuple[Gap, ...]:
        """Why what was not judged was not."""
        return self._unjudged.gaps()

    def add(self, table: str, row: Any) -> None:
        """Count one verdict."""
        part = self.of_tables if row["column_name"] is None else self.of_columns
        for tally in (self.all, part):
            setattr(tally, row["verdict"], getattr(tally, row["verdict"]) + 1)
        if row["verdict"] in {"not_covered", "not_judged"}:
            kept = self._uncovered if row["verdict"] == "not_covered" else self._unjudged
            named = table if row["column_name"] is None else f"{table}.{quote(row['column_name'])}"
            message = row["message"] or row["reason"]
            kept.add(row["reason"], Drop(named, row["cascade"], message, row["hint"]))

    def skip(self, table: str, drops: int, error: ZanithError) -> None:
        """Count all drops of a table as not judged: an error came where they were looked at."""
        self.all.not_judged += drops
        self.of_tables.not_judged += 2
        self.of_columns.not_judged += drops - 2
        drop = Drop(table, cascade=False, message=error.message, hint=error.hint)
        self._unjudged.add(error.message, drop, drops)

    def to_json(self) -> dict[str, Any]:
        """Return the coverage as JSON shows it."""
        return {
            "tables_measured": self.tables,
            "drops": self.all.to_json(),
            "tables": self.of_tables.to_json(),
            "columns": self.of_columns.to_json(),
            "gaps": [asdict(gap) for gap in self.gaps],
            "not_judged": [asdict(gap) for gap in self.not_judged],
            "measured_at": self.measured_at.isoformat(),
        }


Progress = Callable[[dict[str, Any]], None]


async def measure_coverage(db: Database, on_progress: Progress | None = None) -> Coverage:
    """Judge every drop of every table and column that this role may judge.

    It reads the catalog alone, in read-only transactions, so a standby will do. What an error of
    the moment kept from being judged is counted as that. Where no connection can be had any more,
    there is no measurement.
    """
    found = Coverage()
    async with db.acquire() as connection, connection.transaction(readonly=True):
        tables = await connection.fetch(SQL["tables"])
    total, done = sum(row["drops"] for row in tables), 0
    for batch in _batches(tables):
        verdicts = await _judge(db, batch)
        # who stood in the way of one table is nothing to the others
        for part in [[row] for row in batch] if isinstance(verdicts, ZanithError) else []:
            alone = await _judge(db, part)
            if isinstance(alone, ZanithError):
                found.skip(part[0]["name"], part[0]["drops"], alone)
            else:
                _count(found, part, alone)
        if not isinstance(verdicts, ZanithError):
            _count(found, batch, verdicts)
        found.tables += len(batch)
        done += sum(row["drops"] for row in batch)
        if on_progress is not None:
            step = f"{found.tables} of {len(tables)} tables"
            on_progress({"step": step, "done": done, "total": total})
    return found


async def _judge(db: Database, tables: list[Any]) -> list[Any] | ZanithError:
    """Return the verdicts on some tables, or the error that came instead."""
    async with db.acquire() as connection:
        try:
            async with connection.transaction(readonly=True):
                await connection.fetchval(SQL["patience"], lock_timeout_text(db.lock_timeout))
                return await connection.fetch(SQL["judged"], [row["relation"] for row in tables])
        except SERVER_ERRORS as exc:
            return translate(exc)


def _count(found: Coverage, tables: list[Any], verdicts: list[Any]) -> None:
    names = {row["relation"]: row["name"] for row in tables}
    for row in verdicts:
        found.add(names[row["relation"]], row)


def _batches(tables: list[Any]) -> Iterator[list[Any]]:
    """Yield tables until they have so many drops together."""
    batch: list[Any] = []
    for row in tables:
        batch.append(row)
        if sum(each["drops"] for each in batch) >= BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
