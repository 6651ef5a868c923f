"""Artifacts by the page, in a constant number of queries, and their totals."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

import asyncpg

from app.recovery.artifacts.model import DAMAGED, HEALTHS, Artifact, compose, from_row
from app.recovery.core.errors import WrongUsage
from app.recovery.core.names import parse_name
from app.recovery.core.strategies import Strategy
from app.recovery.core.tasks import gather
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.queries import containing, load, places

BLOCKS = load("artifacts")


@dataclass(frozen=True)
class ArtifactFilter:
    """What to list and in which order; ``after`` is a cursor that an earlier page gave.

    ``table`` is a whole name; ``object``, ``migration`` and ``who`` are parts of one. ``expiring``:
    not held, and past its expiry date within so long, or already.
    """

    type: str | None = None
    status: str | None = None
    table: str | None = None
    search: str | None = None
    older_than: timedelta | None = None
    health: str | None = None
    object: str | None = None
    migration: str | None = None
    who: str | None = None
    held: bool | None = None
    expiring: timedelta | None = None
    never_expires: bool | None = None
    exported: bool | None = None
    since: datetime | None = None
    until: datetime | None = None
    sort: Literal["created", "size", "rows", "expires", "name"] = "created"
    descending: bool = True
    limit: int = 50
    after: str | None = None


@dataclass(frozen=True)
class Page:
    """One page, the cursors beside it ("" is the first page), and how many match in all.

    ``first`` is the place of its first artifact in the order, counted from 1.
    """

    items: list[Artifact]
    next: str | None
    previous: str | None
    total: int
    first: int = 1

    @property
    def last(self) -> int:
        """The place of its last artifact."""
        return self.first + len(self.items) - 1

    def to_json(self) -> dict[str, Any]:
        """Return the page as JSON shows it."""
        return {
            "items": [item.to_json() for item in self.items],
            "next": self.next,
            "previous": self.previous,
            "total": self.total,
        }


@dataclass(frozen=True)
class Summary:
    """Totals over all artifacts; bytes, and counts by table and by expiry.

    ``by_table`` names the largest only, ``parked_tables`` says how many there are.
    """

    total: int
    recoverable: int
    restored: int
    parked_bytes: int
    expiring_soon: int
    overdue: int
    damaged: int
    unsealed: int
    expired: int
    held: int
    parked_tables: int
    by_table: list[tuple[str, int]]
    by_expiry: list[tuple[str, int]]


@dataclass(frozen=True)
class States:
    """How many artifacts of each type and status; age of the oldest unsealed capture in seconds."""

    counts: list[tuple[str, str, int]]
    oldest_unsealed: float


# Sort key and its type; all text of the queries is in artifacts.sql.
_KEYS = {
    "created": ("a.capture_order", "bigint"),
    "rows": ("COALESCE(a.row_count, -1)", "bigint"),
    "expires": ("COALESCE(a.expires_at, 'infinity')", "timestamptz"),
    "name": (
        "(concat_ws('.', a.source_schema, a.source_table, a.source_column) COLLATE \"C\")",
        "text",
    ),
    "size": ("", "bigint"),
}


@dataclass(frozen=True)
class _Cursor:
    key: str
    order: int
    backward: bool

    def encode(self) -> str:
        raw = json.dumps([self.key, self.order, self.backward]).encode()
        return base64.urlsafe_b64encode(raw).decode().rstrip("=")

    @classmethod
    def decode(cls, text: str) -> _Cursor:
        try:
            raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
            key, order, backward = json.loads(raw)
            return cls(str(key), int(order), bool(backward))
        except (ValueError, TypeError, binascii.Error):
            raise WrongUsage("that page does not exist", hint="begin at the first page") from None


# Up to so many are looked at one by one for a filter by health; of more, what their names tell
# counts, as in the totals.
_LOOKED_AT = 2_000
_HEALTHS = 7  # where the healths stand among the values of the filter


def _page_query(wanted: ArtifactFilter, *, backward: bool, seen: str) -> str:
    block = "page_by_health" if wanted.health else "page_of_rows"
    block = "page_by_size" if wanted.sort == "size" else block
    return _in_order(block, wanted, backward=backward, seen=seen)


def _place_query(wanted: ArtifactFilter, *, backward: bool, seen: str) -> str:
    block = "rows_before_by_health" if wanted.health else "rows_before"
    block = "rows_before_by_size" if wanted.sort == "size" else block
    return _in_order(block, wanted, backward=backward, seen=seen)


def _in_order(block: str, wanted: ArtifactFilter, *, backward: bool, seen: str) -> str:
    descending = wanted.descending != backward
    key, kind = _KEYS[wanted.sort]
    template = BLOCKS[block]
    parts = {
        "side": "" if backward else "NOT",
        "among": compose(BLOCKS["among"], asked=compose(BLOCKS[seen])),
        "key": key,
        "type": kind,
        "before": "<" if descending else ">",
        "direction": "DESC" if descending else "ASC",
    }
    return compose(template, **{name: parts[name] for name in places(template) & set(parts)})


def _count_query(*, by_health: bool, seen: str) -> str:
    if by_health:
        among = compose(BLOCKS["among"], asked=compose(BLOCKS[seen]))
        return compose(BLOCKS["count_by_health"], among=among)
    return compose(BLOCKS["count"])


def _filter_values(wanted: ArtifactFilter) -> tuple[Any, ...]:
    if wanted.sort not in _KEYS:
        raise WrongUsage(f"there is no order {wanted.sort!r}", hint=f"one of {', '.join(_KEYS)}")
    _one_of("type", wanted.type, tuple(Strategy))
    _one_of("status", wanted.status, ("recoverable", "restored"))
    _one_of("health", wanted.health, (*HEALTHS, "damaged"))
    schema, table, column = named_table(wanted.table)
    healths = None
    if wanted.health:
        healths = list(DAMAGED) if wanted.health == "damaged" else [wanted.health]
    return (
        wanted.type,
        wanted.status,
        schema,
        table,
        column,
        containing(wanted.search),
        wanted.older_than,
        healths,
        wanted.held,
        wanted.expiring,
        wanted.never_expires,
        containing(wanted.migration),
        containing(wanted.who),
        wanted.since,
        wanted.until,
        wanted.exported,
        containing(wanted.object),
    )


def check_filter(wanted: ArtifactFilter) -> None:
    """Raise WrongUsage where a filter means nothing."""
    _filter_values(wanted)


def named_table(name: str | None) -> tuple[str | None, str | None, str | None]:
    """Return the schema, table and column of a name; None for each part that it leaves open."""
    parts = parse_name(name) if name else ()
    if len(parts) > 3:
        raise WrongUsage(f"{name} has too many parts", hint="write schema.table")
    schema = parts[0] if len(parts) > 1 else None
    table = parts[min(len(parts), 2) - 1] if parts else None
    return schema, table, parts[2] if len(parts) == 3 else None


def _one_of(what: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise WrongUsage(f"there is no {what} {value!r}", hint=f"one of {', '.join(allowed)}")


async def list_artifacts(db: Database, wanted: ArtifactFilter | None = None) -> Page:
    """Return a page of artifacts and how many match; two queries at once, three on a later page.

    A filter by health takes one more, before them.

    Where many match, their number may be some seconds old, and a health is asked of each artifact's
    name alone: what was altered in place shows on its row and in the doctor.
    """
    wanted = wanted or ArtifactFilter()
    values = _filter_values(wanted)
    limit = max(1, min(wanted.limit, 100_000))
    cursor = _Cursor.decode(wanted.after) if wanted.after else None
    backward = cursor is not None and cursor.backward
    place = (cursor.key, cursor.order) if cursor else (None, None)
    seen = await _how_to_see(db, values) if wanted.health else "every"
    rows, total, before = await gather(
        _fetch(db, _page_query(wanted, backward=backward, seen=seen), *values, *place, limit + 1),
        _count(db, values, seen),
        _count_before(db, wanted, values, cursor, seen),
    )
    if backward and len(rows) <= limit:  # the start is nearer than a page: show it whole
        return await list_artifacts(db, replace(wanted, after=None))
    more, rows = len(rows) > limit, rows[:limit]
    if backward:
        rows.reverse()
    return Page(
        [from_row(row) for row in rows],
        _cursor(rows[-1], backward=False) if rows and (more or backward) else None,
        None if cursor is None else _cursor(rows[0], backward=True) if rows else "",
        total,
        before + 1 - (len(rows) if backward else 0),
    )


async def _count_before(
    db: Database,
    wanted: ArtifactFilter,
    values: tuple[Any, ...],
    cursor: _Cursor | None,
    seen: str,
) -> int:
    """Return how many come before the place of a cursor, or up to it where it leads on."""
    if cursor is None:
        return 0
    query = _place_query(wanted, backward=cursor.backward, seen=seen)
    async with db.side() as connection:
        number: int = await connection.fetchval(query, *values, cursor.key, cursor.order)
    return number


async def _fetch(db: Database, query: str, *values: Any) -> list[Any]:
    async with db.side() as connection:
        return list(await connection.fetch(query, *values))


def _cursor(row: Any, *, backward: bool) -> str:
    return _Cursor(row["key"], row["capture_order"], backward).encode()


async def _how_to_see(db: Database, values: tuple[Any, ...]) -> str:
    """Return the block that tells a health: of few the whole truth, of many what shows."""
    anyhow = (*values[:_HEALTHS], None, *values[_HEALTHS + 1 :])
    return _seen(await _count(db, anyhow, "every"))


def _seen(number: int) -> str:
    return "every" if number <= _LOOKED_AT else "stray"


async def _count(db: Database, values: tuple[Any, ...], seen: str) -> int:
    query = _count_query(by_health=bool(values[_HEALTHS]), seen=seen)

    async def count(connection: Connection) -> int:
        number: int = await connection.fetchval(query, *values)
        return number

    return await db.memory.recall(("count", str(values)), db.side, count)


async def count_matching(db: Database, wanted: ArtifactFilter) -> int:
    """Return how many artifacts match; where that is slow, as of some seconds ago."""
    values = _filter_values(wanted)
    return await _count(db, values, await _how_to_see(db, values) if wanted.health else "every")


async def find_ids(
    db: Database, connection: Connection, wanted: ArtifactFilter, most: int
) -> list[str]:
    """Return the ids of all that match as they are now, oldest first, and at most so many."""
    values = _filter_values(wanted)
    seen = await _how_to_see(db, values) if wanted.health else "every"
    among = compose(BLOCKS["among"], asked=compose(BLOCKS[seen]))
    parts = {"among": among} if wanted.health else {}
    query = compose(BLOCKS["ids_by_health" if wanted.health else "ids"], **parts)
    return [row["id"] for row in await connection.fetch(query, *values, most)]


async def count_purged(db: Database) -> int | None:
    """Return how many artifacts were purged; None for a role that may not read the audit log."""
    try:
        async with db.side() as connection:
            number: int = await connection.fetchval(BLOCKS["count_purged"])
    except asyncpg.InsufficientPrivilegeError:
        return None
    return number


async def summarize(db: Database) -> Summary:
    """Return the totals over all artifacts, in two queries; where that is slow, of a minute ago.

    ``unsealed`` is the number that the list has under its filter; the other counts of health know
    what is not in its recorded place, and what a verification found.
    """
    return await db.memory.recall("summary", db.side, _summarize)


def summary_holds(db: Database) -> float:
    """Return for how many seconds more the totals are those of a while ago."""
    return db.memory.holds("summary")


async def _summarize(connection: Connection) -> Summary:
    row: Any = await connection.fetchrow(compose(BLOCKS["summary"]))
    data = dict(row)
    for key in ("by_table", "by_expiry"):
        data[key] = [(name, number) for name, number in data[key] or []]
    query = _count_query(by_health=True, seen=_seen(data["total"]))
    unsealed = await connection.fetchval(query, *_filter_values(ArtifactFilter(health="unsealed")))
    return Summary(**data, unsealed=unsealed)


async def count_states(db: Database) -> States:
    """Return how many there are of each kind, in one pass over the rows; remembered like totals."""
    return await db.memory.recall("states", db.side, _count_states)


async def _count_states(connection: Connection) -> States:
    rows = await connection.fetch(compose(BLOCKS["states"]))
    counts = [(row["artifact_type"], row["status"], row["number"]) for row in rows]
    return States(counts, max((float(row["oldest"] or 0) for row in rows), default=0.0))
