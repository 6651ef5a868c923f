"""The one routine that streams rows out: for seal, verify, export, and the gate before a restore.

Canonical CSV is ``COPY (query) TO STDOUT (FORMAT csv, HEADER true, ENCODING 'UTF8')`` under fixed
settings; its SHA-256 is the checksum.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import asyncpg

from app.recovery.core.errors import Failed, Refused, ZanithError
from app.recovery.core.names import quote
from app.recovery.core.tasks import stop
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import rolled_back
from app.recovery.queries import fill, load

SQL = load("stream")

Sink = Callable[[bytes], Awaitable[None]]

SMALLEST_CHUNK = 64 * 1024
# The server sends 8 KiB at a time, and waking for each costs more than its bytes. After a short one
# we let it fill the socket for a moment: a third of the work for the same throughput.
SHORT = 16 * 1024
BREATH = 0.001
TICK = 0.25
# A reader that takes no byte for so long is cut off: it holds a snapshot, and VACUUM waits for it.
STALL = 60.0

_CSV = {"format": "csv", "header": True, "encoding": "UTF8"}
# One column without header or quoting: the two control characters cannot stand in JSON text.
_LINES = {"format": "csv", "quote": "\x01", "delimiter": "\x02", "encoding": "UTF8"}

# What a spreadsheet takes for the beginning of a formula, and types whose minus sign is none.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_NUMBERS = frozenset({"int2", "int4", "int8", "float4", "float8", "numeric", "oid"})

# Types of pg_catalog whose JSON form can hold no raw line break.
_PLAIN_KINDS = frozenset({"scalar", "range", "multirange"})


@dataclass(frozen=True)
class Measured:
    """What went through: rows by COPY's own count, bytes and SHA-256 of the plain stream."""

    rows: int
    bytes: int
    checksum: str


class Meter:
    """Counts and hashes what goes through while it goes."""

    def __init__(self) -> None:
        self.bytes = 0
        self.rows = 0
        self.pid: int | None = None
        self.started = time.monotonic()
        self._hash = hashlib.sha256()

    def update(self, data: bytes) -> None:
        """Count and hash one chunk."""
        self.bytes += len(data)
        self._hash.update(data)

    @property
    def checksum(self) -> str:
        """SHA-256 of what went through so far, in hex."""
        return self._hash.copy().hexdigest()

    @property
    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started

    def report(self, rows_expected: int | None) -> dict[str, Any]:
        """Return what a progress line shows; rate in bytes a second, left in seconds."""
        elapsed = max(self.elapsed, 0.001)
        left = None
        if rows_expected and self.rows:
            left = max(0.0, elapsed * (rows_expected - self.rows) / self.rows)
        return {
            "rows": self.rows,
            "rows_expected": rows_expected,
            "bytes": self.bytes,
            "rate": round(self.bytes / elapsed),
            "left": round(left, 1) if left is not None else None,
            "checksum": self.checksum,
        }


@dataclass(frozen=True)
class Reading:
    """A connection on which the parked object can be read, and as whom: None is the operator.

    ``path`` is the search path of the owner's code where the planner evaluates code that needs one.
    """

    connection: Connection
    role: str | None
    path: str | None


@asynccontextmanager
async def snapshot(
    db: Database, artifact_id: str, settings: dict[str, str] | None = None
) -> AsyncIterator[Reading]:
    """Lend a connection in a snapshot under the canonical settings; nothing of it stays.

    ``settings`` are those that a seal kept; without it today's hold. Nothing that an owner
    wrote runs as the operator there: that is proved under a lock, else rows are read as their
    owner.
    """
    async with db.acquire() as connection:
        lock = await connection.fetchval(SQL["read_locks"], artifact_id)
        async with rolled_back(connection, isolation="repeatable_read"):
            if not db.server.standby:
                await connection.execute(SQL["writable"])
            await _try_lock(connection, lock)  # before the first query: what is seen then is locked
            await connection.execute(SQL["settings"], settings)
            yield await reading_of(connection, artifact_id)


async def prove(connection: Connection, artifact_id: str) -> Reading:
    """Return the same in a transaction that is under way; its isolation is READ COMMITTED."""
    await _try_lock(connection, await connection.fetchval(SQL["read_locks"], artifact_id))
    return await reading_of(connection, artifact_id)


async def reading_of(connection: Connection, artifact_id: str) -> Reading:
    """Return how the parked object can be read in a transaction that has its locks."""
    row: Any = await connection.fetchrow(SQL["reads_as"], artifact_id)
    return Reading(connection, row["role"], row["path"])


async def _try_lock(connection: Connection, statement: str | None) -> None:
    """Take a lock where it is to be had at once."""
    if statement is not None:
        with suppress(asyncpg.LockNotAvailableError, asyncpg.InsufficientPrivilegeError):
            async with connection.transaction():
                await connection.execute(statement)


async def copy_out(
    db: Database,
    reading: Reading,
    query: str,
    sink: Sink,
    meter: Meter,
    form: str = "csv",
) -> Measured:
    """Stream the query's rows into the sink and return what went through.

    ``form`` is csv, jsonl, json or spreadsheet, which is csv that runs nothing. The sink gets at
    least 64 KiB at a time but for the last; a slow one slows the server down. A
    cancellation, or a sink that fails, ends the COPY at once and costs the connection.
    """
    connection = reading.connection
    meter.pid = await connection.fetchval(SQL["pid"])
    shape = Shape(sink, meter, form)
    text, options = await statement_for(reading, query, form)
    try:
        tag = await connection.copy_from_query(text, output=shape.take, **options)
        await shape.end()
    except asyncpg.PostgresError:
        raise
    except BaseException:
        await asyncio.shield(abandon(db, connection, meter.pid))
        raise
    meter.rows = int(tag.rsplit(" ", 1)[-1])
    return Measured(meter.rows, meter.bytes, meter.checksum)


async def statement_for(reading: Reading, query: str, form: str) -> tuple[str, dict[str, Any]]:
    """Return the query whose rows are those in a form, and the options of its COPY."""
    if form == "csv":
        return await read_as(reading, query), _CSV
    if form == "spreadsheet":
        return await _for_spreadsheets(reading, query), _CSV
    casts = [row[0] for row in await reading.connection.fetch(SQL["foreign_casts"])]
    if casts and reading.role is None:
        raise Refused(
            f"an export as {form} would run a cast to json as you: of {', '.join(casts)}",
            hint="export as csv, or drop the cast",
        )
    statement = await reading.connection.prepare(query)
    plain = all(_is_plain(attribute.type) for attribute in statement.get_attributes())
    lines = fill(SQL["jsonl" if plain else "jsonl_of_raw"], query=query)
    return await read_as(reading, lines, ["line"]), _LINES


async def read_as(reading: Reading, query: str, names: list[str] | None = None) -> str:
    """Return the query that gives the same rows where they have to be read as their owner.

    Each value is then its text. To prepare a query only parses it, and runs nothing.
    """
    if reading.role is None and reading.path is None:
        return query
    if names is None:
        statement = await reading.connection.prepare(query)
        names = [attribute.name for attribute in statement.get_attributes()]
    found: str = await reading.connection.fetchval(
        SQL["make_reader"], reading.role, query, names, reading.path
    )
    return found


async def _for_spreadsheets(reading: Reading, query: str) -> str:
    """Return the query with every text, and every name, that begins like a formula made inert."""
    attributes = (await reading.connection.prepare(query)).get_attributes()
    query = await read_as(reading, query, [attribute.name for attribute in attributes])
    names = [f"c{number}" for number in range(1, len(attributes) + 1)]
    values = []
    for name, attribute in zip(names, attributes, strict=True):
        risky = attribute.name.startswith(_FORMULA)
        shown = quote("'" + attribute.name if risky else attribute.name)
        number = attribute.type.schema == "pg_catalog" and attribute.type.name in _NUMBERS
        inert = fill(SQL["inert"], value=f"r.{name}", name=shown)
        values.append(f"r.{name} AS {shown}" if number else inert)
    parts = {"names": ", ".join(names), "query": query, "values": ", ".join(values)}
    return fill(SQL["spreadsheet"], **parts)


def _is_plain(kind: Any) -> bool:
    return kind.schema == "pg_catalog" and kind.kind in _PLAIN_KINDS and kind.name != "json"


async def abandon(db: Database, connection: Connection, pid: int | None) -> None:
    """End the COPY in the server now: a backend that sorts does not notice a closed socket."""
    connection.terminate()
    with suppress(ZanithError):
        async with db.side() as other:
            await other.fetchval(SQL["cancel"], pid)


class Shape:
    """Between COPY and the sink: makes chunks large enough, and one array of JSON lines."""

    def __init__(self, sink: Sink, meter: Meter, form: str) -> None:
        self._sink = sink
        self._meter = meter
        self._array = form == "json"
        self._held: list[bytes] = [b"["] if self._array else []
        self._size = len(self._held)
        self._newline = False

    async def take(self, data: bytes) -> None:
        """Take what COPY sent; it ends with a row's end or within a row."""
        if self._array:
            data = self._join(data)
        self._held.append(data)
        self._size += len(data)
        if self._size >= SMALLEST_CHUNK:
            await self._flush()
        if len(data) < SHORT:
            await asyncio.sleep(BREATH)

    def _join(self, data: bytes) -> bytes:
        """Put commas between the rows; the last newline waits until another row follows."""
        lead = b",\n" if self._newline else b""
        self._newline = data.endswith(b"\n")
        body = data[:-1] if self._newline else data
        return lead + body.replace(b"\n", b",\n")

    async def end(self) -> None:
        """Send what is left."""
        if self._array:
            self._held.append(b"]\n")
        await self._flush()

    async def _flush(self) -> None:
        chunk = self._held[0] if len(self._held) == 1 else b"".join(self._held)
        self._held, self._size = [], 0
        if chunk:
            self._meter.update(chunk)
            await self._sink(chunk)


async def discard(_chunk: bytes) -> None:
    """Be a sink that keeps nothing: the meter has seen it."""


def paced(meter: Meter, rate: int) -> Sink:
    """Return a sink that keeps nothing, and lets so many bytes a second through."""

    async def take(_chunk: bytes) -> None:
        await asyncio.sleep(max(0.0, meter.bytes / rate - meter.elapsed))

    return take


@asynccontextmanager
async def reporting(
    db: Database,
    meter: Meter,
    rows_expected: int | None,
    write: Callable[[dict[str, Any]], Awaitable[None]],
) -> AsyncIterator[None]:
    """Write progress four times a second while the body streams, and once at its end."""
    task = asyncio.create_task(_report(db, meter, rows_expected, write))
    try:
        yield
    finally:
        await stop(task)
    await write(meter.report(rows_expected))


async def _report(
    db: Database,
    meter: Meter,
    rows_expected: int | None,
    write: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    while True:
        await asyncio.sleep(TICK)
        with suppress(ZanithError):
            if meter.pid is not None:
                async with db.side() as connection:
                    rows = await connection.fetchval(SQL["rows_so_far"], meter.pid)
                meter.rows = max(meter.rows, rows or 0)
            await write(meter.report(rows_expected))


async def bounded(sink: Sink, chunk: bytes) -> None:
    """Give the chunk to the sink; Failed where it takes longer than the bound."""
    try:
        async with asyncio.timeout(STALL):
            await sink(chunk)
    except TimeoutError:
        raise Failed(
            f"the client read nothing for {STALL:.0f} s and was disconnected",
            hint="a stalled export holds a snapshot; start it again",
        ) from None
