"""One large archive read by several connections: ranges of its key, put together in order.

One backend is the ceiling of a stream. Several that share a snapshot read ranges ahead of the one
that is being sent, each into a bounded buffer; what leaves is byte for byte what one would send.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace

import asyncpg

from app.recovery.core.errors import PoolExhausted, WrongUsage
from app.recovery.db.database import Database
from app.recovery.db.transactions import rolled_back
from app.recovery.queries import fill, load
from app.recovery.rows.stream import (
    BREATH,
    SHORT,
    Measured,
    Meter,
    Reading,
    Shape,
    Sink,
    abandon,
    copy_out,
    statement_for,
)

SQL = load("stream")

MOST_JOBS = 8
# A range's buffer is of so many chunks. Most ranges fit; a longer one waits until it is its turn.
_HELD = 48
_CHUNK = 256 * 1024
_PATIENCE = 1.0  # seconds


def check_jobs(jobs: int) -> None:
    """Raise WrongUsage for a number of connections that is none, or too many."""
    if not 1 <= jobs <= MOST_JOBS:
        raise WrongUsage(f"the number of jobs must be between 1 and {MOST_JOBS}")


async def copy_rows(
    db: Database,
    reading: Reading,
    artifact_id: str,
    query: str,
    sink: Sink,
    meter: Meter,
    *,
    form: str = "csv",
    jobs: int = 1,
    settings: dict[str, str] | None = None,
) -> Measured:
    """Stream an artifact's rows like `copy_out`, over ``jobs`` connections where they can be split.

    What is read is in a snapshot under the settings. Rows without a key, and those of a
    soft-dropped column, come over one.
    """
    pieces = [query]
    if jobs > 1:
        pieces = await reading.connection.fetchval(SQL["split"], artifact_id, jobs, reading.role)
    if len(pieces) == 1:
        return await copy_out(db, reading, query, sink, meter, form)
    async with _fellows(db, reading, jobs - 1, settings) as fellows:
        return await _Relay(db, pieces, meter, form).run([reading, *fellows], sink)


@asynccontextmanager
async def _fellows(
    db: Database, reading: Reading, number: int, settings: dict[str, str] | None
) -> AsyncIterator[list[Reading]]:
    """Lend more connections that see what the first one sees; its lock serves them too.

    As many as are free: two that each hold one and wait for the other's would wait for ever.
    """
    seen = await reading.connection.fetchval(SQL["export_snapshot"])
    async with AsyncExitStack() as stack:
        lent = []
        for _ in range(number):
            try:
                fellow = await stack.enter_async_context(db.acquire(wait=_PATIENCE))
            except PoolExhausted:
                break
            await stack.enter_async_context(rolled_back(fellow, isolation="repeatable_read"))
            if not db.server.standby:
                await fellow.execute(SQL["writable"])
            await fellow.execute(fill(SQL["import_snapshot"], snapshot=seen))
            await fellow.execute(SQL["settings"], settings)
            lent.append(replace(reading, connection=fellow))
        yield lent


class _Relay:
    """Ranges under way: read in any order, sent in theirs."""

    def __init__(self, db: Database, pieces: list[str], meter: Meter, form: str) -> None:
        self._db = db
        self._meter = meter
        self._form = form
        self._pieces = enumerate(pieces)
        self._queues: list[asyncio.Queue[bytes | int | BaseException]] = [
            asyncio.Queue(_HELD) for _ in pieces
        ]
        self._ahead = asyncio.Semaphore(0)

    async def run(self, readings: list[Reading], sink: Sink) -> Measured:
        """Read with all connections and send in order; whatever fails ends all of it."""
        for _ in range(len(readings) + 1):  # ranges that are held at once
            self._ahead.release()
        readers = [asyncio.create_task(self._read(reading)) for reading in readings]
        try:
            await self._send(sink)
        finally:
            for reader in readers:
                reader.cancel()
            await asyncio.gather(*readers, return_exceptions=True)
        return Measured(self._meter.rows, self._meter.bytes, self._meter.checksum)

    async def _send(self, sink: Sink) -> None:
        shape = Shape(sink, self._meter, self._form)
        for queue in self._queues:
            while not isinstance(found := await queue.get(), int):
                if isinstance(found, BaseException):
                    raise found
                await shape.take(found)
            self._meter.rows += found
            self._ahead.release()
        await shape.end()

    async def _read(self, reading: Reading) -> None:
        """Read one range after another; what goes wrong is told where its rows would stand."""
        while True:
            await self._ahead.acquire()
            number, query = next(self._pieces, (-1, ""))
            if number < 0:
                return
            queue = self._queues[number]
            try:
                await queue.put(await self._copy(reading, query, queue, first=number == 0))
            except Exception as exc:  # noqa: BLE001 - raised again by the sender
                await queue.put(exc)
                return

    async def _copy(
        self,
        reading: Reading,
        query: str,
        queue: asyncio.Queue[bytes | int | BaseException],
        *,
        first: bool,
    ) -> int:
        """Read one range into its queue and return its number of rows."""
        held: list[bytes] = []
        size = 0

        async def take(data: bytes) -> None:
            nonlocal size
            held.append(data)
            size += len(data)
            if size >= _CHUNK:
                await queue.put(b"".join(held))
                held.clear()
                size = 0
            if len(data) < SHORT:
                await asyncio.sleep(BREATH)

        connection = reading.connection
        pid = await connection.fetchval(SQL["pid"])
        text, options = await statement_for(reading, query, self._form)
        if "header" in options:
            options = {**options, "header": first}
        try:
            tag = await connection.copy_from_query(text, output=take, **options)
        except asyncpg.PostgresError:
            raise
        except BaseException:
            await asyncio.shield(abandon(self._db, connection, pid))
            raise
        if held:
            await queue.put(b"".join(held))
        return int(tag.rsplit(" ", 1)[-1])
