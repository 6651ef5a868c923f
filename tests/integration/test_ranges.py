"""Several connections read one archive: the same bytes for every key, and nothing left behind."""

from __future__ import annotations

import asyncio

import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import PoolExhausted, WrongUsage, ZanithError
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.rows import export, seal
from app.recovery.rows.export import ExportRequest
from tests.sessions import client_of

DBA = Actor("dba", None, "staff")
ROWS = 3_000
KEYS = {
    "bigint": ("k bigint", "n * 7"),
    "text": ("k text", "chr(97 + n % 26) || chr(192 + n % 60) || '''\"' || n"),
    "uuid": ("k uuid", "md5(n::text)::uuid"),
    "numeric": ("k numeric", "CASE n WHEN 1 THEN 'NaN' WHEN 2 THEN 'Infinity' ELSE n / 7.0 END"),
    "timestamptz": ("k timestamptz", "'2024-03-31 00:00+01'::timestamptz + n * interval '7 min'"),
    "bytea": ("k bytea", "decode(md5(n::text), 'hex')"),
    "float": ("k float8", "CASE n WHEN 1 THEN 'NaN'::float8 ELSE n / 3.0 END"),
    "date": ("k date", "CASE n WHEN 1 THEN '-infinity'::date ELSE '2024-01-01'::date + n END"),
    "domain": ("k code", "'c' || n"),
    "enum and more": ("k mood, j int", "(enum_range(NULL::mood))[1 + n % 2], n"),
    "composite": ("k int, j text", "n % 5, 'x' || n"),
    "one value": ("k int, j int", "1, n"),
}


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    async with client_of(opened) as connection:
        await connection.execute("CREATE DOMAIN code AS text; CREATE TYPE mood AS ENUM ('z', 'a')")
    yield opened
    await opened.close()


async def archive(db, columns: str, values: str, rows: int = ROWS, *, key: bool = True) -> str:
    names = ", ".join(column.split()[0] for column in columns.split(", "))
    async with client_of(db) as connection:
        await connection.execute(
            f"CREATE TABLE t ({columns}, words text{f', PRIMARY KEY ({names})' if key else ''});"
            f" INSERT INTO t SELECT {values}, repeat('w', n % 90) || E'\\n\"' FROM"
            f" generate_series(1, {rows}) n ORDER BY md5(n::text)"
        )
        return await connection.fetchval("SELECT zanith.archive_table('t')")


async def pieces(db, artifact: str, wanted: int) -> int:
    async with client_of(db) as connection:
        return len(await connection.fetchval("SELECT zanith.split_rows($1, $2)", artifact, wanted))


async def collect(db, artifact: str, wanted: int, form: str = "csv") -> tuple[bytes, dict]:
    job = await export.announce(db, ExportRequest(artifact, form, jobs=wanted), DBA)
    data = b"".join([chunk async for chunk in export.stream_export(db, job.id)])
    return data, (await jobs.get(db, job.id)).result


@pytest.mark.parametrize("kind", KEYS)
async def test_the_bytes_are_the_same_for_every_key(db, kind):
    artifact = await archive(db, *KEYS[kind])
    assert await pieces(db, artifact, 4) > 2
    for form in ("csv", "json") if kind != "composite" else export.FORMATS:
        alone, one = await collect(db, artifact, 1, form)
        for wanted in (2, 4):
            together, several = await collect(db, artifact, wanted, form)
            assert together == alone
            assert several["checksum"] == one["checksum"]
            assert several["rows"] == ROWS
    sealed = await seal.seal(db, artifact, DBA, jobs_at_once=3)
    assert sealed.checksum == (await collect(db, artifact, 1))[1]["checksum"]
    assert (await seal.verify(db, artifact, DBA, jobs_at_once=2)).matches


@pytest.mark.parametrize("rows", [0, 1, 3])
async def test_more_connections_than_rows(db, rows):
    artifact = await archive(db, "k int", "n", rows)
    alone, _ = await collect(db, artifact, 1)
    assert (await collect(db, artifact, 8))[0] == alone


async def test_without_a_key_one_connection_reads(db):
    artifact = await archive(db, "k int", "n", key=False)
    assert await pieces(db, artifact, 4) == 1
    assert (await collect(db, artifact, 4))[1]["rows"] == ROWS


async def test_a_partitioned_table_and_an_archived_column(db):
    async with client_of(db) as connection:
        await connection.execute(
            "CREATE TABLE p (k int PRIMARY KEY, v text) PARTITION BY RANGE (k);"
            "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (500);"
            "CREATE TABLE p2 PARTITION OF p DEFAULT;"
            "INSERT INTO p SELECT n, 'v' || n FROM generate_series(1, 3000) n;"
            "CREATE TABLE c AS SELECT k, v FROM p; ALTER TABLE c ADD PRIMARY KEY (k)"
        )
        made = [
            await connection.fetchval("SELECT zanith.archive_table('p')"),
            await connection.fetchval("SELECT zanith.archive_column('c', 'v')"),
        ]
    for artifact in made:
        assert await pieces(db, artifact, 3) > 2
        assert (await collect(db, artifact, 3))[0] == (await collect(db, artifact, 1))[0]


async def test_a_row_whose_key_is_null_by_now_is_not_passed_over(db, database):
    artifact = await archive(db, "k int", "n")
    await seal.seal(db, artifact, DBA, jobs_at_once=2)
    table = (await get_artifact(db, artifact)).physical_name
    database.psql(
        f'ALTER TABLE _zanith_shadow."{table}" DISABLE TRIGGER ALL;'
        f'ALTER TABLE _zanith_shadow."{table}" DROP CONSTRAINT "{key_of(database, table)}";'
        f'ALTER TABLE _zanith_shadow."{table}" ALTER k DROP NOT NULL;'
        f"INSERT INTO _zanith_shadow.\"{table}\" VALUES (NULL, 'in between')"
    )
    found = await seal.verify(db, artifact, DBA, jobs_at_once=2)
    assert (found.matches, found.rows) == (False, ROWS + 1)
    assert found.actual == (await seal.verify(db, artifact, DBA)).actual


def key_of(database, table: str) -> str:
    return database.psql(
        "SELECT conname FROM pg_constraint WHERE contype = 'p'"
        f" AND conrelid = '_zanith_shadow.\"{table}\"'::regclass"
    )


async def test_a_number_that_is_none_is_refused(db):
    artifact = await archive(db, "k int", "n", 1)
    for wanted in (0, 9):
        with pytest.raises(WrongUsage, match="jobs"):
            await export.announce(db, ExportRequest(artifact, jobs=wanted), DBA)


@pytest.fixture
async def large(db):
    """Some 40 MB, of which no buffer holds all."""
    async with client_of(db) as connection:
        await connection.execute(
            "CREATE TABLE t (k int PRIMARY KEY, words text);"
            "INSERT INTO t SELECT n, repeat('w', 4000) || n FROM generate_series(1, 20000) n;"
        )
        return await connection.fetchval("SELECT zanith.archive_table('t')")


COPYING = "SELECT pid FROM pg_stat_progress_copy WHERE datname = current_database()"


async def settled(db) -> bool:
    """Whether no COPY runs any more, soon."""
    for _ in range(100):
        async with db.side() as connection:
            if not await connection.fetch(COPYING):
                return True
        await asyncio.sleep(0.02)
    return False


async def test_a_killed_backend_ends_all(db, large):
    job = await export.announce(db, ExportRequest(large, jobs=3), DBA)
    stream = export.stream_export(db, job.id)
    await anext(stream)
    async with db.side() as connection:
        pids = [row["pid"] for row in await connection.fetch(COPYING)]
        await connection.fetchval("SELECT pg_terminate_backend($1)", max(pids))
    with pytest.raises(ZanithError):
        async for _chunk in stream:
            pass
    assert await settled(db)
    assert (await jobs.get(db, job.id)).state == "failed"
    assert (await collect(db, large, 3))[1]["rows"] == 20_000


async def test_who_leaves_leaves_nothing_behind(db, large):
    job = await export.announce(db, ExportRequest(large, jobs=3), DBA)
    stream = export.stream_export(db, job.id)
    await anext(stream)
    await stream.aclose()
    assert await settled(db)
    assert (await jobs.get(db, job.id)).state == "cancelled"
    assert (await collect(db, large, 3))[1]["rows"] == 20_000


async def test_exports_that_want_more_connections_than_there_are_end(database):
    db = await Database.open(database.url, max_size=3)
    try:
        artifact = await archive(db, "k bigint", "n * 7", 60_000)
        assert await pieces(db, artifact, 8) > 3
        async with asyncio.timeout(60):
            found = await asyncio.gather(*(collect(db, artifact, 8) for _ in range(3)))
        assert len({data for data, _ in found}) == 1
    finally:
        await db.close()


async def test_work_that_finds_no_free_connection_says_so(database, monkeypatch):
    monkeypatch.setattr("app.recovery.db.database.WAIT_SECONDS", 0.2)
    db = await Database.open(database.url, max_size=1)
    try:
        async with db.acquire():
            with pytest.raises(PoolExhausted, match="all 1 connections") as refused:
                async with db.acquire():
                    pass
        assert refused.value.hint
        async with db.acquire() as connection:
            assert await connection.fetchval("SELECT 1") == 1
    finally:
        await db.close()
