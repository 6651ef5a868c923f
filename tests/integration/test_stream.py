"""Seal, verify and export: the bytes are PostgreSQL's own, and anyone can check them."""

from __future__ import annotations

import asyncio
import csv
import gzip
import hashlib
import io
import json
import resource
import signal
from dataclasses import replace

import pytest
import zstandard

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, Failed, NotPermitted, Refused, WrongUsage
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import preview_rows
from app.recovery.jobs import model as jobs
from app.recovery.jobs import queueing, runs
from app.recovery.jobs.audit import list_activity
from app.recovery.rows import export, seal
from app.recovery.rows.export import ExportRequest
from tests.sessions import client_of

DBA = Actor("dba", None, "staff")
VIEWER = Actor("eve", None, "viewer")
TABLE = """
CREATE TABLE orders (
    id bigint PRIMARY KEY, code text, raw json, at timestamptz, n numeric, b bytea);
INSERT INTO orders
SELECT n, CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN ''
          WHEN 2 THEN 'a "quoted", line' || chr(10) || 'é'
          ELSE 'c' || n || chr(1) || chr(2) END,
       E'{"a":\\n [1,\\r\\n2]}', '2024-01-01 12:00+02'::timestamptz + n * interval '1 s',
       n / 7.0, convert_to('x' || n, 'UTF8')
FROM generate_series(1, 2000) AS n;
"""


@pytest.fixture
async def db(database_of_either):
    opened = await Database.open(database_of_either.url)
    async with client_of(opened) as connection:
        await connection.execute(TABLE)
    yield opened
    await opened.close()


@pytest.fixture
async def archived(db):
    async with client_of(db) as connection:
        return await connection.fetchval("SELECT zanith.archive_table('orders')")


async def collect(db, job):
    return b"".join([chunk async for chunk in export.stream_export(db, job.id)])


async def announced(db, artifact_id, **options):
    return await export.announce(db, ExportRequest(artifact_id, **options), DBA)


@pytest.mark.smoke
async def test_seal_is_the_sha256_of_psqls_own_copy(database, db, archived, tmp_path):
    sealed = await seal.seal(db, archived, DBA)
    assert (sealed.row_count, sealed.health) == (2000, "ok")
    assert sealed.sealed_at
    async with client_of(db) as connection:
        row = await connection.fetchrow(
            "SELECT checksum_query AS query, checksum_settings::text AS settings"
            " FROM zanith._zanith_migration_artifacts"
        )
    settings = "".join(
        f"SET {name} = '{value}';\n" for name, value in json.loads(row["settings"]).items()
    )
    copy = f"COPY ({row['query']}) TO STDOUT (FORMAT csv, HEADER true, ENCODING 'UTF8');"
    said = tmp_path / "sum"
    database.psql(f"{settings}\\o | sha256sum > {said}\n{copy}\n")
    assert said.read_text().split()[0] == sealed.checksum
    assert [entry.action for entry in await list_activity(db)][:1] == ["seal"]


async def test_export_equals_the_seal(db, archived):
    sealed = await seal.seal(db, archived, DBA)
    job = await announced(db, archived)
    data = await collect(db, job)
    assert hashlib.sha256(data).hexdigest() == sealed.checksum
    job = await jobs.get(db, job.id)
    assert job.state == "done"
    result = job.result
    assert result["equals_seal"] is True
    assert (result["rows"], result["bytes"]) == (2000, len(data))
    assert result["manifest"]["checksum_of_seal"] == sealed.checksum
    assert job.progress["rows"] == 2000


async def test_unsealed_export_says_nothing_of_equality(db, archived):
    job = await announced(db, archived)
    await collect(db, job)
    assert (await jobs.get(db, job.id)).result["equals_seal"] is None


async def test_json_and_jsonl_hold_what_the_table_held(db, archived):
    lines = (await collect(db, await announced(db, archived, format="jsonl"))).decode()
    rows = [json.loads(line) for line in lines.splitlines()]
    assert len(rows) == 2000
    assert rows[1]["code"] == 'a "quoted", line\né'
    assert rows[2]["code"] == "c3\x01\x02"
    assert rows[3]["code"] is None
    assert rows[0]["raw"] == {"a": [1, 2]}
    whole = await collect(db, await announced(db, archived, format="json"))
    assert json.loads(whole) == rows


async def test_empty_table(db):
    async with client_of(db) as connection:
        await connection.execute("CREATE TABLE empty (a int)")
        made = await connection.fetchval("SELECT zanith.soft_drop_table('empty')")
    assert json.loads(await collect(db, await announced(db, made, format="json"))) == []
    assert await collect(db, await announced(db, made, format="jsonl")) == b""
    assert await collect(db, await announced(db, made)) == b"a\n"
    assert (await seal.seal(db, made, DBA)).row_count == 0


@pytest.mark.parametrize(
    ("kind", "unpack"),
    [
        ("gzip", gzip.decompress),
        ("zstd", lambda data: zstandard.ZstdDecompressor().decompressobj().decompress(data)),
    ],
)
async def test_compressed(db, archived, kind, unpack):
    sealed = await seal.seal(db, archived, DBA)
    job = await announced(db, archived, compress=kind)
    data = await collect(db, job)
    assert hashlib.sha256(unpack(data)).hexdigest() == sealed.checksum
    result = (await jobs.get(db, job.id)).result
    assert result["equals_seal"] is True
    assert result["file_checksum"] == hashlib.sha256(data).hexdigest()
    assert result["bytes"] == len(data) < result["bytes_plain"]


async def test_a_soft_dropped_column_exports_beside_its_key(db):
    async with client_of(db) as connection:
        made = await connection.fetchval("SELECT zanith.soft_drop_column('orders', 'code')")
    data = await collect(db, await announced(db, made))
    assert data.startswith(b'id,code\n1,""\n')
    with pytest.raises(Refused, match="no checksum"):
        await seal.seal(db, made, DBA)


async def test_verify_matches_and_tells_a_change(db, archived):
    with pytest.raises(Refused, match="not sealed"):
        await seal.verify(db, archived, DBA)
    await seal.seal(db, archived, DBA)
    found = await seal.verify(db, archived, VIEWER)
    assert found.matches
    assert found.artifact.verified_at
    await tamper(db, archived)
    found = await seal.verify(db, archived, DBA)
    assert not found.matches
    assert found.expected != found.actual
    assert found.artifact.health == "changed"
    again = await seal.seal(db, archived, DBA)
    assert again.checksum == found.expected


async def tamper(db, artifact_id):
    artifact = await get_artifact(db, artifact_id)
    name = f'{artifact.physical_schema}."{artifact.physical_name}"'
    async with client_of(db) as connection:
        await connection.execute(
            f"ALTER TABLE {name} DISABLE TRIGGER USER; UPDATE {name} SET code = 'x' WHERE id = 7"
        )


async def test_a_copy_that_lost_rows_is_not_sealed(db):
    async with client_of(db) as connection:
        made = await connection.fetchval("SELECT zanith.archive_column('orders', 'code')")
        artifact = await get_artifact(db, made)
        name = f'_zanith_shadow."{artifact.physical_name}"'
        await connection.execute(
            f"ALTER TABLE {name} DISABLE TRIGGER USER; DELETE FROM {name} WHERE id = 7"
        )
    with pytest.raises(Refused, match="2,000 rows"):
        await seal.seal(db, made, DBA)
    assert (await get_artifact(db, made)).sealed_at is None


async def test_viewer_and_wrong_wishes(db, archived):
    with pytest.raises(NotPermitted):
        await seal.seal(db, archived, VIEWER)
    with pytest.raises(NotPermitted):
        await export.announce(db, ExportRequest(archived), replace(VIEWER, sees_rows=False))
    await export.announce(db, ExportRequest(archived), VIEWER)
    for options in ({"format": "xml"}, {"compress": "rar"}):
        with pytest.raises(WrongUsage):
            await announced(db, archived, **options)


BIG = """
CREATE TABLE big AS
SELECT n AS id, repeat(md5(n::text), 8) AS text FROM generate_series(1, 150000) n;
ALTER TABLE big ADD PRIMARY KEY (id);
"""


@pytest.fixture
async def big(db):
    async with client_of(db) as connection:
        await connection.execute(BIG)
        return await connection.fetchval("SELECT zanith.archive_table('big')")


ACTIVE = """
SELECT count(*) FROM pg_stat_activity
WHERE state = 'active' AND query LIKE 'COPY%' AND datname = current_database()
"""


async def test_a_client_that_leaves_ends_the_copy(db, big):
    job = await announced(db, big)
    stream = export.stream_export(db, job.id)
    taken = await anext(stream)
    assert len(taken) >= 64 * 1024
    async with client_of(db) as connection:
        assert await connection.fetchval(ACTIVE) == 1
        started = asyncio.get_running_loop().time()
        await stream.aclose()
        while await connection.fetchval(ACTIVE):  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert asyncio.get_running_loop().time() - started < 2  # it would never end by itself
    assert (await jobs.get(db, job.id)).state == "cancelled"


async def test_a_client_that_stalls_is_cut_off(db, big, monkeypatch):
    monkeypatch.setattr("app.recovery.rows.stream.STALL", 0.3)
    job = await announced(db, big)
    stream = export.stream_export(db, job.id)
    await anext(stream)
    await asyncio.sleep(0.8)
    with pytest.raises(Failed, match="was disconnected"):
        async for _ in stream:
            pass
    assert (await jobs.get(db, job.id)).state == "failed"


async def test_cancelled_by_somebody(db, big):
    job = await announced(db, big)
    stream = export.stream_export(db, job.id)
    await anext(stream)
    await jobs.cancel(db, job.id, Actor("boss"))

    async def drain() -> None:
        async for _ in stream:
            await asyncio.sleep(0.05)

    with pytest.raises(Cancelled, match="boss"):
        await drain()


async def test_to_a_file_with_its_manifest(db, archived, tmp_path):
    sealed = await seal.seal(db, archived, DBA)
    path = tmp_path / "out.csv"
    seen = []
    job = await export.export_to_file(db, ExportRequest(archived), path, DBA, seen.append)
    assert job.state == "done"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == sealed.checksum
    manifest = json.loads((tmp_path / "out.csv.manifest.json").read_text())
    assert manifest["checksum"] == sealed.checksum
    assert manifest["exported_by"] == "dba"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out.csv", "out.csv.manifest.json"]
    assert seen[-1]["rows"] == 2000


async def test_disk_full_leaves_nothing(db, big, tmp_path):
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024 * 1024, before[1]))
    try:
        with pytest.raises(Failed, match="cannot be written") as error:
            await export.export_to_file(db, ExportRequest(big), tmp_path / "out.csv", DBA)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    assert error.value.hint
    assert list(tmp_path.iterdir()) == []
    [job] = await jobs.list_jobs(db, kinds=["export"])
    assert job.state == "failed"


async def test_a_directory_that_is_not_there(db, archived, tmp_path):
    with pytest.raises(Failed, match=r"the folder .*no does not exist"):
        await export.export_to_file(db, ExportRequest(archived), tmp_path / "no" / "out.csv", DBA)
    assert await jobs.list_jobs(db, kinds=["export"]) == []


async def test_unsealed_are_found(db, archived):
    assert await seal.find_unsealed(db) == [archived]
    await seal.seal(db, archived, DBA)
    assert await seal.find_unsealed(db) == []


async def test_nothing_runs_as_a_formula_in_a_spreadsheet(db):
    async with client_of(db) as connection:
        await connection.execute(
            """CREATE TABLE sums (
                "=id" int PRIMARY KEY, a text, b numeric, c interval, d text[]);
            INSERT INTO sums VALUES (-1, '=1+1', -2.5, '-1 day', '{a}'), (0, '@x', 1, NULL, NULL),
                (1, E'\\tx', 0, '1 day', '{}'), (2, '\uff1dx', 0, NULL, NULL),
                (3, 'a=1', 0, NULL, NULL),
                (4, '', 0, NULL, NULL), (5, E'-2"\\n,', 0, NULL, NULL)"""
        )
        made = await connection.fetchval("SELECT zanith.archive_table('sums')")
    job = await announced(db, made, format="spreadsheet")
    text = (await collect(db, job)).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [
        ["'=id", "a", "b", "c", "d"],
        ["-1", "'=1+1", "-2.5", "'-1 days", "{a}"],
        ["0", "'@x", "1", "", ""],
        ["1", "'\tx", "0", "1 day", "{}"],
        ["2", "'\uff1dx", "0", "", ""],
        ["3", "a=1", "0", "", ""],
        ["4", "", "0", "", ""],
        ["5", "'-2\"\n,", "0", "", ""],
    ]
    ended = await jobs.get(db, job.id)
    assert ended.result["equals_seal"] is None
    assert ended.params["filename"].endswith(".spreadsheet.csv")


@pytest.mark.parametrize("form", ["csv", "spreadsheet", "jsonl", "json"])
async def test_a_name_is_never_taken_for_a_place_in_a_template(db, form):
    names = ["{query}", "{values}", "{names}", "{value}", "{name}", "{number}", ") AS r --", "$1"]
    columns = ", ".join(f"\"{name}\" text DEFAULT '{number}'" for number, name in enumerate(names))
    async with db.acquire() as connection:
        await connection.execute(
            f"CREATE TABLE public.odd ({columns}); INSERT INTO public.odd DEFAULT VALUES"
        )
        made = await connection.fetchval("SELECT zanith.archive_table('public.odd')")
    text = (await collect(db, await announced(db, made, format=form))).decode()
    if form in {"csv", "spreadsheet"}:
        shown, row = csv.reader(io.StringIO(text, newline=""))
    else:
        [found] = json.loads(text) if form == "json" else [json.loads(text)]
        shown, row = list(found), list(found.values())
    assert shown == names
    assert row == [str(number) for number in range(len(names))]
    preview = await preview_rows(db, made, DBA)
    assert [column.name for column in preview.columns] == names
    assert [value.text for value in preview.rows[0]] == row


async def test_a_sweep_leaves_alone_what_somebody_seals(db, archived):
    assert archived in await seal.find_unsealed(db)
    job = await queueing.start(db, "seal", archived, {}, DBA)
    async with runs.running(db, job):
        assert archived not in await seal.find_unsealed(db)
    assert archived in await seal.find_unsealed(db)


async def test_of_two_sweeps_one_seals_and_the_other_tells_of_no_failure(db, archived, monkeypatch):
    find, both = seal.find_unsealed, asyncio.Barrier(2)

    async def find_together(db):
        found = await find(db)
        await both.wait()
        return found

    monkeypatch.setattr(seal, "find_unsealed", find_together)
    await asyncio.gather(*(seal.sweep(db, DBA, set()) for _ in range(2)))
    entries = [(e.action, e.outcome) for e in await list_activity(db) if e.action == "seal"]
    assert entries == [("seal", "done")]
