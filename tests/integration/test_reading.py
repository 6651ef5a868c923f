"""Rows that are parked are read as the operator only where nothing of an owner's can run."""

from __future__ import annotations

import hashlib

import asyncpg
import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import preview_rows
from app.recovery.rows.export import ExportRequest, announce, push_export
from app.recovery.rows.seal import verify
from app.recovery.rows.stream import snapshot

DBA = Actor("dba", None, "staff")
GROUND = """
CREATE SCHEMA own AUTHORIZATION {owner};
SET ROLE {owner};
CREATE TABLE own.plain (id int PRIMARY KEY, c text);
INSERT INTO own.plain VALUES (1, 'a'), (2, NULL), (3, '=1+1'), (4, ''), (5, E'two\nlines');
CREATE FUNCTION own.same(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE TYPE own.mood AS ENUM ('sad', 'ok');
CREATE TABLE own.calling (id int PRIMARY KEY, c text, m own.mood, j jsonb, n numeric(6, 2));
CREATE INDEX ON own.calling (own.same(id)) WHERE own.same(1) = 1;
INSERT INTO own.calling VALUES (1, 'a', 'ok', '{{"a": 1}}', 1.5), (2, NULL, NULL, NULL, NULL),
    (3, '=1+1', 'sad', '[]', -2), (4, '', 'ok', '""', 0), (5, E'two\nlines', NULL, 'null', 'NaN');
RESET ROLE;
"""


@pytest.fixture
async def db(database, create_role):
    owner = create_role("owner")
    opened = await Database.open(database.url)
    async with opened.acquire() as connection:
        await connection.execute(GROUND.format(owner=owner))
    yield opened
    await opened.close()


async def role_of(db, artifact) -> str | None:
    async with snapshot(db, artifact.id) as reading:
        return reading.role


async def export(db, artifact, form: str) -> bytes:
    job = await announce(db, ExportRequest(artifact.id, format=form), DBA)
    chunks: list[bytes] = []

    async def sink(chunk: bytes) -> None:
        chunks.append(chunk)

    await push_export(db, job.id, sink)
    return b"".join(chunks)


async def forms(db, artifact) -> dict[str, bytes]:
    return {
        form: await export(db, artifact, form) for form in ("csv", "jsonl", "json", "spreadsheet")
    }


async def test_a_plain_table_is_read_by_the_operator_under_a_lock(db):
    artifact = await capture(db, CaptureRequest("soft_drop_table", "own.plain"), DBA)
    assert await role_of(db, artifact) is None
    async with db.acquire() as connection, connection.transaction():
        # somebody else holds the lock that would keep the table as it is
        lock = await connection.fetchval("SELECT zanith.read_locks($1)", artifact.id)
        await connection.execute(lock)
        assert await role_of(db, artifact) is not None


async def test_the_bytes_are_the_same_whoever_reads(db):
    artifact = await capture(db, CaptureRequest("soft_drop_table", "own.plain"), DBA)
    plain = await forms(db, artifact)
    assert hashlib.sha256(plain["csv"]).hexdigest() == artifact.checksum
    async with db.acquire() as connection, connection.transaction():
        lock = await connection.fetchval("SELECT zanith.read_locks($1)", artifact.id)
        await connection.execute(lock)
        assert await forms(db, artifact) == plain


async def test_a_table_that_calls_code_is_read_as_its_owner(db):
    artifact = await capture(db, CaptureRequest("archive_table", "own.calling"), DBA)
    role = await role_of(db, artifact)
    assert role
    assert role.startswith("owner")
    assert artifact.row_count == 5
    assert (await verify(db, artifact.id, DBA)).matches
    assert (await verify(db, artifact.id, DBA, jobs_at_once=2)).matches
    found = await forms(db, artifact)
    assert hashlib.sha256(found["csv"]).hexdigest() == artifact.checksum
    assert found["jsonl"].splitlines()[0] == (b'{"id":1,"c":"a","m":"ok","j":{"a": 1},"n":1.50}')
    assert b"'=1+1" in found["spreadsheet"]
    preview = await preview_rows(db, artifact.id, DBA, limit=2)
    assert [value.text if value else None for value in preview.rows[0]] == [
        *("1", "a", "ok", '{"a": 1}', "1.50")
    ]
    assert preview.rows[1][1] is None


async def test_an_archive_belongs_to_zanith_and_is_read_by_the_operator(db):
    artifact = await capture(db, CaptureRequest("archive_column", "own.calling", "c"), DBA)
    assert await role_of(db, artifact) is None
    async with db.acquire() as connection:
        owner = await connection.fetchval(
            "SELECT pg_get_userbyid(relowner) FROM pg_class WHERE relname = $1",
            artifact.physical_name,
        )
    assert owner == "postgres"


async def test_no_definition_changes_while_rows_are_read(db, database):
    artifact = await capture(db, CaptureRequest("soft_drop_table", "own.plain"), DBA)
    changes = (
        f"CREATE STATISTICS own.late ON (id + 1), c FROM own.{artifact.physical_name}",
        "ALTER SCHEMA own RENAME TO other",
    )
    async with snapshot(db, artifact.id) as reading:
        assert reading.role is None
        for change in changes:
            async with database.connect() as other:
                await other.execute("SET statement_timeout = '500ms'")
                with pytest.raises(asyncpg.QueryCanceledError):
                    await other.execute(change)
