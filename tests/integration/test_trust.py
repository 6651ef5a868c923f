"""An owner's code never runs as the operator, and a restore that was cut short is gone on from."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused, ZanithError
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import preview_rows
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import verify
from tests.sessions import client_of

DBA = Actor("dba", None, "staff")

# An owner who means harm: f notes as whom it ran, and tries to leave the role it runs under.
GROUND = """
GRANT USAGE, CREATE ON SCHEMA _zanith_shadow TO {owner};
CREATE SCHEMA harm AUTHORIZATION {owner};
CREATE SEQUENCE public.ran_as_operator;
"""
HARM = """
CREATE FUNCTION harm.f(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN
    BEGIN PERFORM set_config('role', 'none', true); EXCEPTION WHEN OTHERS THEN NULL; END;
    IF current_user <> '{owner}' THEN PERFORM nextval('public.ran_as_operator'); END IF;
    RETURN $1; END $f$;
CREATE TYPE harm.kind AS ENUM ('a', 'b');
CREATE FUNCTION harm.kind_text(harm.kind) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM harm.f(1); RETURN 'x'; END $f$;
CREATE CAST (harm.kind AS text) WITH FUNCTION harm.kind_text(harm.kind);
CREATE TABLE harm.t (id harm.kind PRIMARY KEY, c int NOT NULL CHECK (harm.f(c) > 0), d int);
CREATE UNIQUE INDEX by_f ON harm.t (harm.f(c));
INSERT INTO harm.t VALUES ('a', 1, 1), ('b', 2, 2);
CREATE MATERIALIZED VIEW harm.m AS SELECT harm.f(c) AS c FROM harm.t;
CREATE TABLE harm.p (c int) PARTITION BY RANGE (harm.f(c));
CREATE TABLE harm.p1 PARTITION OF harm.p FOR VALUES FROM (0) TO (10);
CREATE TABLE harm.pd PARTITION OF harm.p DEFAULT;
INSERT INTO harm.p VALUES (1), (20);
"""


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url, lock_timeout=timedelta(milliseconds=300))
    yield opened
    await opened.close()


async def ran_as_operator(db) -> bool:
    async with client_of(db) as connection:
        return bool(await connection.fetchval("SELECT is_called FROM public.ran_as_operator"))


async def test_an_owner_cannot_borrow_the_operator(database, db, create_role):
    owner = create_role("owner", options="LOGIN")
    async with client_of(db) as connection:
        await connection.execute(GROUND.format(owner=owner))
    async with database.connect(user=owner) as connection:
        await connection.execute(HARM.format(owner=owner))
    column = await capture(
        db, CaptureRequest("archive_column", "harm.t", "c", on_dependents="cascade"), DBA
    )
    await verify(db, column.id, DBA)
    await preview_rows(db, column.id, DBA)
    assert not (await plan_restore(db, column.id)).blocked
    assert not await ran_as_operator(db)
    report = await restore(db, column.id, Choices(), DBA)
    assert not report.fidelity["missing"]
    assert not await ran_as_operator(db)

    part = await capture(db, CaptureRequest("soft_drop_table", "harm.p1"), DBA)
    await restore(db, part.id, Choices(), DBA)
    table = await capture(
        db, CaptureRequest("archive_table", "harm.t", on_dependents="cascade"), DBA
    )
    await restore(db, table.id, Choices(), DBA)
    assert not await ran_as_operator(db)
    async with client_of(db) as connection:  # and the trap does work
        await connection.execute("SELECT harm.f(1)")
    assert await ran_as_operator(db)


async def test_what_a_crash_left_unproved_is_proved_by_restoring_again(db):
    async with client_of(db) as connection:
        await connection.execute(
            "CREATE TABLE t (id int PRIMARY KEY, c int NOT NULL CONSTRAINT pos CHECK (c > 0));"
            "INSERT INTO t SELECT n, n FROM generate_series(1, 9) n"
        )
    artifact = await capture(db, CaptureRequest("archive_column", "t", "c"), DBA)
    plan = await plan_restore(db, artifact.id)
    # what a crash after the first transaction leaves: its steps done, its row marked, no second one
    async with client_of(db) as connection, connection.transaction():
        for step in plan.steps:
            if step.transaction == 1:
                await connection.execute(step.sql)
        await connection.execute("SELECT zanith.mark_restored($1)", artifact.id)
    unproved = (
        "SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND NOT convalidated"
    )
    not_null = (
        "SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'c'"
    )
    async with client_of(db) as connection:
        assert await connection.fetchval(unproved) == 2
    report = await restore(db, artifact.id, Choices(), DBA)
    assert not report.losses
    assert not report.already_restored
    async with client_of(db) as connection:
        assert await connection.fetchval(unproved) == 0
        assert await connection.fetchval(not_null)
    assert (await restore(db, artifact.id, Choices(), DBA)).already_restored


async def test_a_seal_is_of_the_rows_that_were_captured(db):
    async with client_of(db) as connection:
        await connection.execute(
            "CREATE TABLE t (id int PRIMARY KEY, c int); INSERT INTO t VALUES (1, 1)"
        )
    artifact = await capture(db, CaptureRequest("archive_column", "t", "c"), DBA)
    async with client_of(db) as connection:
        with pytest.raises(Exception, match="is 1, not 2"):
            await connection.execute(
                "SELECT zanith.record_seal($1, 2, $2, zanith.canonical_query($1),"
                " zanith.canonical_settings())",
                artifact.id,
                artifact.checksum,
            )


async def test_a_column_is_purged_wherever_its_table_went(db):
    from app.recovery.purge.purge import purge

    async with client_of(db) as connection:
        await connection.execute("CREATE TABLE t (id int PRIMARY KEY, c int)")
    artifact = await capture(db, CaptureRequest("soft_drop_column", "t", "c"), DBA)
    async with client_of(db) as connection:
        await connection.execute("ALTER TABLE t RENAME TO renamed")
    await purge(db, artifact.id, DBA, confirm="public.t.c")
    async with client_of(db) as connection:
        assert (
            await connection.fetchval(
                "SELECT count(*) FROM pg_attribute"
                " WHERE attrelid = 'renamed'::regclass AND attnum > 0 AND NOT attisdropped"
            )
            == 1
        )


async def test_an_attached_stranger_stops_a_purge(db):
    from app.recovery.purge.purge import purge

    async with client_of(db) as connection:
        await connection.execute("CREATE TABLE t (id int) PARTITION BY LIST (id)")
    artifact = await capture(db, CaptureRequest("soft_drop_table", "t"), DBA)
    async with client_of(db) as connection:
        await connection.execute("CREATE TABLE live (id int); INSERT INTO live VALUES (1)")
        await connection.execute(
            f"ALTER TABLE {artifact.physical_name} ATTACH PARTITION live FOR VALUES IN (1)"
        )
    with pytest.raises(Refused, match="attached"):
        await purge(db, artifact.id, DBA, confirm="public.t")
    async with client_of(db) as connection:
        assert await connection.fetchval("SELECT count(*) FROM live") == 1


async def test_a_retention_that_no_calendar_holds_is_refused(db):
    async with client_of(db) as connection:
        await connection.execute("CREATE TABLE t (id int)")
    with pytest.raises(ZanithError, match="out of bounds"):
        await capture(
            db, CaptureRequest("soft_drop_table", "t", expires_in=timedelta(days=400_000)), DBA
        )
