"""What each layer of a stream costs: the server, Python, the hash, HTTP. No bars: it explains the others."""

from __future__ import annotations

import hashlib
import resource
import time
from collections.abc import Callable, Iterator

from app.recovery.db.database import Database
from app.recovery.rows.stream import Meter, copy_out, discard, snapshot
from bench.place import Place
from bench.rows import Row, alternate, levels, rates
from bench.streams import studio_on, time_download

TOPIC = "layers"


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    dbname = place.archived()
    artifact = place.artifact(dbname)
    query = place.server.psql(dbname, f"SELECT zanith.canonical_query('{artifact}')")
    spent: dict[str, list[float]] = {"bare": [], "hashed": [], "engine": []}
    size = 0

    def through(name: str, keep: Callable[[bytes], object]) -> float:
        async def take(data: bytes) -> None:
            keep(data)

        async def work(db: Database) -> float:
            async with snapshot(db, artifact) as reading:
                started, before = time.perf_counter(), _cpu()
                await reading.connection.copy_from_query(
                    query, output=take, format="csv", header=True
                )
                spent[name].append(_cpu() - before)
                return time.perf_counter() - started

        return place.engine(dbname, work)

    async def engine(db: Database) -> float:
        nonlocal size
        async with snapshot(db, artifact) as reading:
            started, before = time.perf_counter(), _cpu()
            size = (await copy_out(db, reading, query, discard, Meter())).bytes
            spent["engine"].append(_cpu() - before)
            return time.perf_counter() - started

    with studio_on(place, dbname) as studio:
        path = f"/api/artifacts/{artifact}/export"
        time_download(studio, path)  # and all is warm
        found = alternate(
            place.rounds,
            psql=lambda: place.copy(dbname, query),
            bare=lambda: through("bare", len),
            hashed=lambda: through("hashed", hashlib.sha256().update),
            engine=lambda: place.engine(dbname, engine),
            http=lambda: time_download(studio, path),
        )
    words = {
        "bare": "asyncpg's COPY, each piece as it comes",
        "hashed": "the same, with SHA-256",
        "engine": "the engine: large pieces, with SHA-256",
        "http": "the engine, over HTTP",
    }
    for name, what in words.items():
        yield rates(TOPIC, what, "psql COPY to nowhere", found[name], found["psql"], size, None)
    for name, seconds in spent.items():
        each = [1e8 * taken / size for taken in seconds]
        yield levels(TOPIC, f"CPU of Python for 100 MB: {words[name]}", "s", each, None)


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
