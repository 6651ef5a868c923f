"""Coverage: of the drops that PostgreSQL would carry out here, which share a capture would take."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from app.recovery.database import Database
from app.recovery.names import quote
from app.recovery.sql import load

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
    """What is not covered for one reason, with the first few of it."""

    reason: str
    count: int
    examples: tuple[Drop, ...]


@dataclass
class Tally:
    """Drops by what becomes of them.

    ``refused`` are those that PostgreSQL refuses too. ``not_judged`` are of tables that this role
    does not own: whether a capture would take them is not known.
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
class Coverage:
    """What was judged, in all and by what is dropped; gaps by reason, the most frequent first."""

    tables: int = 0
    all: Tally = field(default_factory=Tally)
    of_tables: Tally = field(default_factory=Tally)
    of_columns: Tally = field(default_factory=Tally)
    measured_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    reasons: dict[str, list[Drop]] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Why what is not covered is not."""
        most = sorted(self.counts.items(), key=lambda item: (-item[1], item[0]))
        return tuple(Gap(why, number, tuple(self.reasons[why])) for why, number in most)

    def add(self, table: str, row: Any) -> None:
        """Count one verdict."""
        part = self.of_tables if row["column_name"] is None else self.of_columns
        for tally in (self.all, part):
            setattr(tally, row["verdict"], getattr(tally, row["verdict"]) + 1)
        if row["verdict"] == "not_covered":
            why = row["reason"]
            self.counts[why] = self.counts.get(why, 0) + 1
            named = table if row["column_name"] is None else f"{table}.{quote(row['column_name'])}"
            known = self.reasons.setdefault(why, [])
            if len(known) < EXAMPLES and all(drop.object != named for drop in known):
                known.append(Drop(named, row["cascade"], row["message"], row["hint"]))

    def to_json(self) -> dict[str, Any]:
        """Return the coverage as JSON shows it."""
        return {
            "tables_measured": self.tables,
            "drops": self.all.to_json(),
            "tables": self.of_tables.to_json(),
            "columns": self.of_columns.to_json(),
            "gaps": [asdict(gap) for gap in self.gaps],
            "measured_at": self.measured_at.isoformat(),
        }


Progress = Callable[[dict[str, Any]], None]


async def measure_coverage(db: Database, on_progress: Progress | None = None) -> Coverage:
    """Judge every drop of every table and column that this role may judge.

    It reads the catalog alone, in read-only transactions, so a standby will do.
    """
    found = Coverage()
    async with db.acquire() as connection:
        async with connection.transaction(readonly=True):
            tables = await connection.fetch(SQL["tables"])
        names = {row["relation"]: row["name"] for row in tables}
        total, done = sum(row["drops"] for row in tables), 0
        for batch in _batches(tables):
            async with connection.transaction(readonly=True):
                rows = await connection.fetch(SQL["judged"], [row["relation"] for row in batch])
            for row in rows:
                found.add(names[row["relation"]], row)
            found.tables += len(batch)
            done += sum(row["drops"] for row in batch)
            if on_progress is not None:
                step = f"{found.tables} of {len(tables)} tables"
                on_progress({"step": step, "done": done, "total": total})
    return found


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
