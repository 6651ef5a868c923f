"""What stops rows, and what happens when others work on them."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.recovery.core.errors import Refused, ZanithError
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.restore.overwritten import find_overwritten
from app.recovery.restore.rows_plan import copy_rows, plan_rows
from app.recovery.restore.some_rows import RestoredRows
from tests.integration.rows.putting import (
    DBA,
    archived_notes,
    find,
    plan_for,
    put_back,
)
from tests.online import execute, fetchval, until

OWNED = """
CREATE ROLE {0}; GRANT CREATE, USAGE ON SCHEMA public TO {0}; ALTER TABLE orders OWNER TO {0};
"""
STOPPED = {
    "table_gone": ("ALTER TABLE orders RENAME TO other", "table_gone"),
    "column_gone": ("ALTER TABLE orders DROP COLUMN note", "column_gone"),
    "key_dropped": ("ALTER TABLE orders DROP CONSTRAINT orders_pkey", "key_gone"),
    "key_renamed": ("ALTER TABLE orders RENAME order_id TO id", "key_gone"),
    "key_of_another_type": (
        "ALTER TABLE orders ALTER order_id TYPE uuid USING lpad(order_id::text, 32, '0')::uuid",
        "key_changed",
    ),
    "key_that_is_printed_otherwise": (
        "ALTER TABLE orders ALTER order_id TYPE numeric(10, 2)",
        "key_changed",
    ),
    "generated": (
        "ALTER TABLE orders DROP COLUMN note;"
        " ALTER TABLE orders ADD note text GENERATED ALWAYS AS ('x') STORED",
        "column_changed",
    ),
    "rule": ("CREATE RULE r AS ON UPDATE TO orders DO INSTEAD NOTHING", "rules"),
    "row_security": (
        OWNED + "ALTER TABLE orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY",
        "row_security",
    ),
    "code_of_another": (
        "CREATE ROLE {0}; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql"
        " AS 'BEGIN RETURN NEW; END'; ALTER FUNCTION f() OWNER TO {0};"
        " CREATE TRIGGER t BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION f()",
        "code_of_another",
    ),
}


@pytest.mark.newest
@pytest.mark.parametrize("case", STOPPED)
async def test_what_stops_it_is_a_conflict_that_says_what_to_do(db, create_role, case):
    artifact = await archived_notes(db)
    role = create_role("owner")
    change, code = STOPPED[case]
    change = change.replace("CREATE ROLE {0};", "").replace("{0}", role)
    await execute(db, change)
    found = await find(db, artifact, "order_id = 7")
    refs = [row.ref for row in found.rows]
    plan = await plan_rows(db, artifact, refs, DBA)
    assert code in [conflict.code for conflict in plan.conflicts]
    assert all(conflict.hint for conflict in plan.conflicts)
    assert plan.counts == {"unknown": 1}
    with pytest.raises(Refused):
        await put_back(db, plan)
    assert "note 7" in await copy_rows(db, artifact, refs, DBA, "sql")  # this always works


@pytest.mark.newest
@pytest.mark.parametrize("kind", ["int", "text", "numeric"])
async def test_a_key_that_fits_another_type_finds_its_row(db, kind):
    artifact = await archived_notes(db)
    await execute(db, f"ALTER TABLE orders ALTER order_id TYPE {kind}")
    assert (await put_back(db, await plan_for(db, artifact, "order_id = 7"))).rows == 1
    found = await fetchval(
        db, "SELECT string_agg(order_id::text, '') FROM orders WHERE note <> 'new'"
    )
    assert found == "7"


@pytest.mark.newest
async def test_a_row_that_cannot_come_back_is_left_out_and_said(db):
    await execute(
        db,
        "CREATE TABLE people (id int PRIMARY KEY);"
        " INSERT INTO people SELECT generate_series(1, 9);"
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, who int, note text,"
        " twice int GENERATED ALWAYS AS (who * 2) STORED);"
        " INSERT INTO t (who, note) SELECT n, CASE WHEN n <> 3 THEN 'n' || n END"
        " FROM generate_series(1, 6) n",
    )
    artifact = await fetchval(db, "SELECT zanith.archive_table('t')")
    await execute(
        db,
        "DELETE FROM people WHERE id = 2;"
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
        " who int REFERENCES people, note varchar(2) NOT NULL CHECK (note <> 'n4'),"
        " twice int GENERATED ALWAYS AS (who * 2) STORED, since date DEFAULT '2026-01-01');"
        "INSERT INTO t (id, who, note) OVERRIDING SYSTEM VALUE VALUES (5, 1, 'xx')",
    )
    plan = await plan_for(db, artifact, "id > 0")
    outcomes = [row.outcome for row in plan.rows]
    assert outcomes == ["insert", "insert", "null", "insert", "taken", "insert"]
    done = await put_back(db, plan)
    assert done.rows == 2
    assert [row.number for row in done.left] == [2, 3, 4, 5]
    said = [row.why for row in done.left]
    assert "t_who_fkey" in said[0]
    assert "check" in said[2]
    assert await fetchval(db, "SELECT array_agg(id || note || twice ORDER BY id) FROM t") == [
        "1n12",
        "5xx2",
        "6n612",
    ]


@pytest.mark.newest
async def test_rows_that_somebody_changed_since_the_plan_are_refused(db):
    artifact = await archived_notes(db)
    plan = await plan_for(db, artifact, "order_id <= 3")
    await execute(db, "UPDATE orders SET note = 'mine' WHERE order_id = 2")
    with pytest.raises(Refused, match="not the one that was confirmed"):
        await put_back(db, plan)
    assert await fetchval(db, "SELECT count(*) FROM orders WHERE note ~ '^note'") == 0


@pytest.mark.each_version
async def test_a_row_that_changes_meanwhile_is_left_out(database):
    db = await Database.open(database.url, lock_timeout=timedelta(seconds=5), lock_retries=0)
    try:
        artifact = await archived_notes(db)
        plan = await plan_for(db, artifact, "order_id <= 3")
        other = await database.connect()
        await other.execute("BEGIN; UPDATE orders SET note = 'mine' WHERE order_id = 2")
        task = asyncio.create_task(put_back(db, plan))
        waits = "SELECT count(*) FROM pg_locks WHERE NOT granted"
        await until(lambda: fetchval(db, waits))
        await other.execute("COMMIT")
        done = await task
        await other.close()
        assert (done.rows, [row.number for row in done.left]) == (2, [2])
        assert "another session changed" in done.left[0].why
        notes = await fetchval(db, "SELECT array_agg(note ORDER BY order_id) FROM orders")
        assert notes[:3] == ["note 1", "mine", "note 3"]
    finally:
        await db.close()


@pytest.mark.newest
async def test_two_people_at_once_and_a_lock_that_stays(db, database):
    artifact = await archived_notes(db)
    plan = await plan_for(db, artifact, "order_id <= 2")
    results = await asyncio.gather(put_back(db, plan), put_back(db, plan), return_exceptions=True)
    done = [result for result in results if isinstance(result, RestoredRows)]
    assert [result.rows for result in done] == [2]
    refused = next(result for result in results if isinstance(result, ZanithError))
    assert refused.code in {"locked", "refused"}
    plan = await plan_for(db, artifact, "order_id <= 4")
    other = await database.connect()
    await other.execute("BEGIN; SELECT FROM orders WHERE order_id = 3 FOR UPDATE")
    done = [await put_back(db, plan)]
    await other.close()
    assert (done[0].rows, done[0].same, [row.number for row in done[0].left]) == (1, 2, [3])


@pytest.mark.each_version
async def test_a_killed_backend_leaves_whole_rows_and_what_they_were(db):
    artifact = await archived_notes(db)
    await execute(
        db,
        "CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(1); RETURN NEW; END $$;"
        "CREATE TRIGGER die BEFORE UPDATE ON orders FOR EACH ROW WHEN (OLD.order_id = 3)"
        " EXECUTE FUNCTION die()",
    )
    plan = await plan_for(db, artifact, "order_id <= 4")
    assert plan.triggers == ("die",)
    with pytest.raises(ZanithError) as caught:
        await put_back(db, plan)
    assert "2 rows were put back before that" in (caught.value.hint or "")
    job = (await jobs.list_jobs(db, kinds=["restore_rows"]))[0]
    assert (job.state, job.progress["rows"]) == ("failed", 2)
    assert len((await find_overwritten(db, job.id, DBA)).rows) == 2
    await execute(db, "DROP TRIGGER die ON orders")
    again = await plan_for(db, artifact, "order_id <= 4")
    assert [row.outcome for row in again.rows] == ["same", "same", "changes", "changes"]
    assert (await put_back(db, again)).rows == 2
