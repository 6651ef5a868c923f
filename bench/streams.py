"""Streams: exports over HTTP, their compression and memory; seal and verify."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import psutil

from app.recovery.db.database import Database
from app.recovery.rows import seal
from app.recovery.rows.stream import Meter, copy_out, discard, snapshot
from bench.download import download
from bench.place import ACTOR, Place
from bench.rows import Bar, Row, alternate, levels, rates
from tests.studios import Command, run_command

TOPIC = "streams"
JOBS = os.cpu_count() or 1
START_SECONDS = 120.0
"""So long a studio may take to start, also where the machine does other work."""
LONG = """
CREATE TABLE public.long AS SELECT n AS id, repeat('x', 1000) AS words FROM generate_series(1, 100000) AS n;
ALTER TABLE public.long ADD PRIMARY KEY (id);
SELECT zanith.archive_table('public.long');
"""
# A table that has to be read as its owner: an index calls a function of the owner's.
OWNED = """
CREATE ROLE bench_owner;
CREATE SCHEMA owned AUTHORIZATION bench_owner;
CREATE FUNCTION owned.same(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TABLE owned.t AS SELECT n AS id, md5(n::text) AS words FROM generate_series(1, {rows}) AS n;
ALTER TABLE owned.t ADD PRIMARY KEY (id);
CREATE INDEX ON owned.t (owned.same(id)) WHERE id = 1;
ALTER TABLE owned.t OWNER TO bench_owner;
SELECT zanith.soft_drop_table('owned.t');
"""
COPYING = "SELECT count(*) FROM pg_stat_progress_copy WHERE datname = current_database()"


@contextmanager
def studio_on(place: Place, dbname: str) -> Iterator[Command]:
    """Run `zanith studio` on a database, as a process of its own."""
    with (
        tempfile.TemporaryDirectory() as folder,
        run_command(place.url(dbname), Path(folder), patience=START_SECONDS) as studio,
    ):
        yield studio


def measure(place: Place) -> Iterator[Row]:
    """Yield the rows of this topic."""
    dbname = place.archived()
    artifact = place.artifact(dbname)
    query = place.server.psql(dbname, f"SELECT zanith.canonical_query('{artifact}')")
    with studio_on(place, dbname) as studio:
        yield from _exports(place, studio, dbname, artifact, query)
    yield _gone(place)
    yield from _memory(place)
    yield from _seals(place, dbname, artifact, query)
    yield _as_owner(place)


def _exports(
    place: Place, studio: Command, dbname: str, artifact: str, query: str
) -> Iterator[Row]:
    address = f"/api/artifacts/{artifact}/export?format="
    size = download(studio.url, f"{address}csv")  # and all is warm
    lines = download(studio.url, f"{address}jsonl")
    found = alternate(
        place.rounds,
        psql=lambda: place.copy(dbname, query),
        csv=lambda: time_download(studio, f"{address}csv"),
        zstd=lambda: time_download(studio, f"{address}csv&compress=zstd"),
        gzip=lambda: time_download(studio, f"{address}csv&compress=gzip"),
        psql_json=lambda: place.copy(dbname, f"SELECT row_to_json(r) FROM ({query}) AS r"),
        jsonl=lambda: time_download(studio, f"{address}jsonl"),
    )
    fast, packed = Bar(0.95, least=True), Bar(0.80, least=True)
    nowhere = "psql COPY to nowhere"
    yield rates(TOPIC, "CSV over HTTP", nowhere, found["csv"], found["psql"], size, fast)
    yield rates(
        TOPIC,
        "JSONL over HTTP",
        "psql, the same query",
        found["jsonl"],
        found["psql_json"],
        lines,
        fast,
    )
    yield rates(
        TOPIC, "zstd 1 over HTTP", "CSV over HTTP", found["zstd"], found["csv"], size, packed
    )
    yield rates(TOPIC, "gzip over HTTP", "CSV over HTTP", found["gzip"], found["csv"], size, packed)


def time_download(studio: Command, path: str) -> float:
    """Return the seconds of one download."""
    started = time.perf_counter()
    download(studio.url, path)
    return time.perf_counter() - started


def _gone(place: Place) -> Row:
    """Close the connection in the middle of a download, and wait until no COPY runs.

    Of 100 MB whatever --rows says: a few would be in the sockets before anybody could leave.
    """
    dbname = "long"
    if place.begin(dbname):
        place.server.psql(dbname, LONG)
    path = f"/api/artifacts/{place.artifact(dbname)}/export"
    with studio_on(place, dbname) as studio:
        taken = asyncio.run(_leave(place.url(dbname), studio.url, path, place.often))
    return levels(TOPIC, "client gone until COPY ended", "ms", taken, Bar(100, of="ours"))


async def _leave(database: str, studio: str, path: str, times: int) -> list[float]:
    watcher = await asyncpg.connect(database)
    host, port = studio.removeprefix("http://").split(":")
    taken = []
    try:
        for _ in range(times):
            reader, writer = await asyncio.open_connection(host, int(port), limit=64 * 1024)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n".encode())
            await reader.readuntil(b"\r\n\r\n")
            await reader.read(64 * 1024)
            while not await watcher.fetchval(COPYING):
                await asyncio.sleep(0.001)
            started = time.perf_counter()
            writer.transport.abort()
            while await watcher.fetchval(COPYING):
                await asyncio.sleep(0.001)
            taken.append(1000 * (time.perf_counter() - started))
    finally:
        await watcher.close()
    return taken


def _memory(place: Place) -> Iterator[Row]:
    """Export N/10 and N rows, each from a studio just started, and look at its memory."""
    for rows in (max(place.rows // 10, 1), place.rows):
        dbname = place.archived(rows)
        path = f"/api/artifacts/{place.artifact(dbname)}/export"
        grown = []
        for _ in range(place.rounds):
            with studio_on(place, dbname) as studio:
                studio.client().get("/studio").raise_for_status()
                grown.append(_growth(studio, path))
        yield levels(
            TOPIC, f"memory grown by an export of {rows:,} rows", "MiB", grown, Bar(32, of="ours")
        )


def _growth(studio: Command, path: str) -> float:
    process = psutil.Process(studio.process.pid)
    before = peak = process.memory_info().rss
    reader = threading.Thread(target=download, args=(studio.url, path))
    reader.start()
    while reader.is_alive():
        peak = max(peak, process.memory_info().rss)
        time.sleep(0.02)
    return (max(peak, process.memory_info().rss) - before) / 2**20


def _as_owner(place: Place) -> Row:
    """Read rows through a function of their owner's, beside a COPY of the same rows."""
    dbname = "owned"
    if place.begin(dbname):
        place.server.psql(dbname, OWNED.format(rows=place.rows))
    artifact = place.artifact(dbname)
    query = place.server.psql(dbname, f"SELECT zanith.canonical_query('{artifact}')")

    async def whole(db: Database) -> int:
        async with snapshot(db, artifact) as reading:
            if reading.role is None:
                raise AssertionError("it was read by the operator")
            return (await copy_out(db, reading, query, discard, Meter())).bytes

    size = place.engine(dbname, whole)

    def timed() -> float:
        started = time.perf_counter()
        place.engine(dbname, whole)
        return time.perf_counter() - started

    found = alternate(place.rounds, owner=timed, psql=lambda: place.copy(dbname, query))
    mine, psql = found["owner"], found["psql"]
    return rates(TOPIC, "rows as their owner", "psql COPY to nowhere", mine, psql, size, None)


def _seals(place: Place, dbname: str, artifact: str, query: str) -> Iterator[Row]:
    again = (
        "UPDATE zanith._zanith_migration_artifacts SET sealed_at = NULL, checksum = NULL,"
        f" checksum_query = NULL, checksum_settings = NULL WHERE id = '{artifact}'"
    )

    async def whole(db: Database) -> int:
        async with snapshot(db, artifact) as reading:
            return (await copy_out(db, reading, query, discard, Meter())).bytes

    size = place.engine(dbname, whole)

    async def sealing(db: Database) -> float:
        async with db.acquire() as connection:
            await connection.execute(again)
        started = time.perf_counter()
        await seal.seal(db, artifact, ACTOR)
        return time.perf_counter() - started

    async def verifying(db: Database, jobs: int = 1) -> float:
        started = time.perf_counter()
        if not (await seal.verify(db, artifact, ACTOR, jobs_at_once=jobs)).matches:
            raise RuntimeError("the seal is broken")
        return time.perf_counter() - started

    found = alternate(
        place.rounds,
        psql=lambda: place.copy(dbname, query, into="sha256sum"),
        seal=lambda: place.engine(dbname, sealing),
        verify=lambda: place.engine(dbname, verifying),
        together=lambda: place.engine(dbname, lambda db: verifying(db, JOBS)),
    )
    for name in ("seal", "verify"):
        yield rates(
            TOPIC,
            name,
            "psql COPY | sha256sum",
            found[name],
            found["psql"],
            size,
            Bar(0.95, least=True),
        )
    yield rates(
        TOPIC, f"verify --jobs {JOBS}", "verify", found["together"], found["verify"], size, None
    )
