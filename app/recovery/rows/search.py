"""A search for rows of what is parked: by its index where there is one, else page by page.

A search without an index goes through the parked rows for a few seconds at most, and then says how
far it came. Whoever searched can go on from there.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import asyncpg

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.actor import Actor, require_rows
from app.recovery.core.errors import Refused, WrongUsage
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import transaction
from app.recovery.jobs import audit
from app.recovery.jobs.operation import attempt
from app.recovery.queries import load
from app.recovery.rows import conditions as asked
from app.recovery.rows.conditions import Condition, WrongConditions, check_number
from app.recovery.rows.stream import Reading, prove

SQL = load("some_rows")
PLAN = load("plan")
STREAM = load("stream")

PAGE = 50
MOST_ROWS = 1_000
"""Rows that are named one by one at most; a whole artifact is restored as a whole."""
MOST_CHARACTERS = 64_000_000
"""Of all whole values together: they are in memory at once."""
SECONDS = 5.0
_FIRST_PAGES = 32
_STEP_SECONDS = 0.5
_PLACE = re.compile(r"[0-9]{1,10}:\([0-9]{1,10},[0-9]{1,5}\)")


@dataclass(frozen=True)
class Cell:
    """One value as PostgreSQL prints it: cut where it is long, with the SHA-256 of all of it."""

    text: str
    length: int
    digest: str

    @property
    def cut(self) -> bool:
        """Whether there is more of it."""
        return self.length > len(self.text)


@dataclass(frozen=True)
class FoundColumn:
    """A column of the rows, and how a search compares it."""

    name: str
    type: str
    compared: str
    indexed: bool


@dataclass(frozen=True)
class FoundRow:
    """One row: ``ref`` is its place, by which it is named until it is moved; NULL is None."""

    ref: str
    cells: tuple[Cell | None, ...]

    def to_json(self, columns: Sequence[FoundColumn]) -> dict[str, Any]:
        """Return the row as JSON shows it; of a long value its beginning."""
        named = zip((column.name for column in columns), self.cells, strict=True)
        values = {name: None if cell is None else cell.text for name, cell in named}
        cut = [c.name for c, cell in zip(columns, self.cells, strict=True) if cell and cell.cut]
        return {"ref": self.ref, "values": values, "cut": cut}


@dataclass(frozen=True)
class Found:
    """The rows that a search found, and how far it came.

    ``next_page`` is where it goes on where its time was over, ``pages`` how many there are;
    ``more`` says that it stopped at the number of rows that were asked for.
    """

    columns: tuple[FoundColumn, ...]
    key: tuple[str, ...]
    rows: tuple[FoundRow, ...]
    indexed: bool
    pages: int
    next_page: int | None = None
    out_of_time: bool = False
    more: bool = False

    @property
    def complete(self) -> bool:
        """Whether every row that matches is here."""
        return not (self.more or self.out_of_time)

    @property
    def percent(self) -> int:
        """How much of the parked rows it went through."""
        if self.next_page is None:
            return 0 if self.out_of_time else 100
        return min(99, 100 * self.next_page // max(self.pages, 1))

    @property
    def limit_reached(self) -> str | None:
        """What to say and to do where it is not complete."""
        if self.out_of_time:
            by_index = ", ".join(column.name for column in self.columns if column.indexed)
            how = f"search by an indexed column ({by_index})" if by_index else "export the rows"
            far = f"it went through {self.percent} % of the rows" if self.next_page else ""
            return f"the time limit of {SECONDS:.0f} s was reached; {far or 'it did not end'}: " + (
                f"search on from there, or {how}" if self.next_page else how
            )
        if self.more:
            return f"more than {len(self.rows):,} rows match: add a condition"
        return None

    def to_json(self) -> dict[str, Any]:
        """Return what was found as JSON shows it."""
        return {
            "columns": [asdict(column) for column in self.columns],
            "key": list(self.key),
            "rows": [row.to_json(self.columns) for row in self.rows],
            "indexed": self.indexed,
            "complete": self.complete,
            "percent": self.percent,
            "next_page": self.next_page,
            "limit_reached": self.limit_reached,
        }


async def find_rows(
    db: Database,
    artifact_id: str,
    conditions: Sequence[Condition],
    actor: Actor,
    *,
    limit: int = PAGE,
    page: int = 0,
    seconds: float = SECONDS,
) -> Found:
    """Return the rows for which all conditions hold. The audit log says who searched by what.

    WrongConditions where a column, an operator or a value does not fit, NotPermitted where the
    actor may not see rows.
    """
    check_number(conditions)
    if not 0 < limit <= MOST_ROWS or page < 0:
        raise WrongUsage(f"a search returns 1 to {MOST_ROWS:,} rows", hint="export more of them")
    artifact = await get_artifact(db, artifact_id)
    async with attempt(db, actor, "view", artifact.id, artifact.object_name):
        require_rows(actor, "look at rows")
        async with bounded_read(db, artifact.id) as connection:
            reading = await prove(connection, artifact.id)
            await connection.execute(STREAM["settings"], None)
            plan = await plan_search(connection, artifact.id, conditions)
            found = await _search(reading, plan, conditions, limit, page, seconds)
        by = sorted({condition.column for condition in conditions})
        shown = {"rows": len(found.rows), "searched_by": by}
        await audit.record_view(db, actor, artifact.id, artifact.object_name, shown)
    return found


async def plan_search(
    connection: Connection, artifact_id: str, conditions: Sequence[Condition]
) -> dict[str, Any]:
    """Return how the database searches; WrongConditions where it cannot."""
    wanted = asked.to_json(conditions)
    plan: dict[str, Any] = await connection.fetchval(SQL["plan_search"], artifact_id, wanted)
    if plan["errors"]:
        errors = [(item["number"], item["message"], item["hint"]) for item in plan["errors"]]
        raise WrongConditions(errors, [condition.column for condition in conditions])
    return plan


async def _search(
    reading: Reading,
    plan: dict[str, Any],
    conditions: Sequence[Condition],
    limit: int,
    page: int,
    seconds: float,
) -> Found:
    values = [condition.value for condition in conditions]
    columns = columns_of(plan)
    empty = Found(columns, tuple(plan["key"]), (), plan["indexed"], plan["pages"] or 0)
    until = time.monotonic() + seconds
    sql = f"{plan['select_sql']} LIMIT {limit + 1}"
    if plan["indexed"]:
        rows = await _within(reading, sql, values, until)
        if rows is None:
            return replace(empty, out_of_time=True)
        return replace(empty, rows=tuple(rows[:limit]), more=len(rows) > limit)
    found: list[FoundRow] = []
    size = _FIRST_PAGES
    while page < empty.pages:
        end = page + size
        began = time.monotonic()
        rows = await _within(reading, sql, [*values, f"({page},0)", f"({end},0)"], until)
        if rows is None:
            at_work = replace(empty, rows=tuple(found), next_page=page or None)
            return replace(at_work, out_of_time=True)
        found += rows
        if len(found) > limit:
            return replace(empty, rows=tuple(found[:limit]), more=True)
        page = end
        if time.monotonic() - began < _STEP_SECONDS / 2:
            size *= 2
        elif time.monotonic() - began > _STEP_SECONDS:
            size = max(size // 2, 1)
        if time.monotonic() > until and page < empty.pages:
            return replace(empty, rows=tuple(found), next_page=page, out_of_time=True)
    return replace(empty, rows=tuple(found))


async def _within(
    reading: Reading, sql: str, values: Sequence[str | None], until: float
) -> list[FoundRow] | None:
    """Return the rows; None where the time is over before it ends."""
    left = max(1, round(1000 * (until - time.monotonic())))
    try:
        async with transaction(reading.connection):
            await reading.connection.execute(SQL["time"], left)
            return await read_rows(reading, sql, values)
    except asyncpg.QueryCanceledError:
        if time.monotonic() < until:
            raise
        return None


async def read_rows(reading: Reading, sql: str, values: Sequence[str | None]) -> list[FoundRow]:
    """Return the rows that a statement of the plan of a search finds."""
    return [
        FoundRow(ref, tuple(None if cell is None else Cell(*cell) for cell in cells))
        for ref, cells in await run_with(reading, sql, values)
    ]


def check_size(rows: Sequence[FoundRow]) -> None:
    """Raise Refused where the whole values of these rows are too much for the memory."""
    size = sum(cell.length for row in rows for cell in row.cells if cell)
    if size > MOST_CHARACTERS:
        raise Refused(
            f"these rows have {size:,} characters; {MOST_CHARACTERS:,} are read at once at most",
            hint="choose fewer rows",
        )


async def with_whole_cells(
    reading: Reading, whole_sql: str, rows: Sequence[FoundRow], at: Sequence[int]
) -> tuple[FoundRow, ...]:
    """Return the rows with whole values at some places: a key that is cut finds no live row."""
    long = [
        row for row in rows if any(cell and cell.cut for cell in map(row.cells.__getitem__, at))
    ]
    if not long:
        return tuple(rows)
    check_size(long)
    texts = dict(await run_with(reading, whole_sql, [row.ref for row in long]))

    def whole(row: FoundRow) -> FoundRow:
        pairs = enumerate(zip(row.cells, texts[row.ref], strict=True))
        cells = (replace(c, text=text) if c and n in at else c for n, (c, text) in pairs)
        return replace(row, cells=tuple(cells))

    return tuple(whole(row) if row.ref in texts else row for row in rows)


async def run_with(reading: Reading, sql: str, values: Sequence[str | None]) -> list[Any]:
    """Return the first column of a query with texts for $1, run as whoever may read the rows."""
    found: list[Any] = await reading.connection.fetchval(
        PLAN["run_with"], reading.role, sql, "values", reading.path, list(values)
    )
    return found


def columns_of(plan: dict[str, Any]) -> tuple[FoundColumn, ...]:
    """Return the columns that the plan of a search has."""
    return tuple(FoundColumn(**column) for column in plan["columns"])


def check_refs(refs: Sequence[str]) -> list[str]:
    """Return the places of rows, each once; WrongUsage where there are none or too many."""
    found = list(dict.fromkeys(refs))
    if not all(_PLACE.fullmatch(ref) for ref in found):
        raise WrongUsage("that is not the place of a row", hint="search the rows again")
    if not 0 < len(found) <= MOST_ROWS:
        raise WrongUsage(
            "no row is ticked" if not found else f"{MOST_ROWS:,} rows at most can be named",
            hint="search for rows, and tick some; restore the whole artifact for all of them",
        )
    return found


def in_order(rows: Sequence[FoundRow], refs: Sequence[str]) -> tuple[FoundRow, ...]:
    """Return the rows in the order of their places; Refused where some are not there any more."""
    by_ref = {row.ref: row for row in rows}
    if len(by_ref) < len(refs):
        raise Refused(
            f"{len(refs) - len(by_ref):,} of the rows are not there any more",
            hint="search the rows again: an erasure or VACUUM FULL moves or removes them",
        )
    return tuple(by_ref[ref] for ref in refs)
