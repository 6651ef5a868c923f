"""Rows of an artifact: found, shown beside the live ones, and put back one by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, NotPermitted, Refused, ZanithError
from app.recovery.core.names import parse_name, quote
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.purge.erase import erase
from app.recovery.purge.purge import purge
from app.recovery.restore.overwritten import find_overwritten
from app.recovery.restore.rows_plan import RowsPlan, copy_rows, plan_rows
from app.recovery.restore.some_rows import RestoredRows, restore_rows
from app.recovery.rows.conditions import Condition, WrongConditions, parse_conditions
from app.recovery.rows.search import Found, find_rows
from tests.hard_names import NAMES, VALUES
from tests.online import execute, fetchval, until
from tests.sessions import client_of

DBA = Actor("dba", "10.0.0.9", "staff")
BLIND = Actor("eve", "10.0.0.7", "viewer", sees_rows=False)
ORDERS = """
CREATE TABLE orders (order_id bigint PRIMARY KEY, note text, total numeric(10,2));
INSERT INTO orders SELECT n, 'note ' || n, n * 1.5 FROM generate_series(1, 1000) n;
"""


@pytest.fixture
async def db(database) -> AsyncIterator[Database]:
    opened = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=100), lock_retries=0
    )
    yield opened
    await opened.close()


async def find(db: Database, artifact: str, where: str) -> Found:
    return await find_rows(db, artifact, parse_conditions([where]), DBA)


async def plan_for(db: Database, artifact: str, where: str) -> RowsPlan:
    found = await find(db, artifact, where)
    return await plan_rows(db, artifact, [row.ref for row in found.rows], DBA)


async def put_back(db: Database, plan: RowsPlan, **more) -> RestoredRows:
    given = {"confirm": plan.object, "expected_digest": plan.digest} | more
    refs = [row.row.ref for row in plan.rows]
    return await restore_rows(db, plan.artifact_id, refs, DBA, **given)


async def archived_notes(db: Database) -> str:
    """Archive a column that is there again, in which some values were lost."""
    await execute(db, ORDERS)
    found = await fetchval(db, "SELECT zanith.archive_column('orders', 'note')")
    await execute(db, "ALTER TABLE orders ADD note text DEFAULT 'new'")
    return found


@pytest.mark.each_version
async def test_values_of_some_rows_come_back(db):
    artifact = await archived_notes(db)
    await execute(db, "DELETE FROM orders WHERE order_id = 5")
    await execute(db, "UPDATE orders SET note = 'note 6' WHERE order_id = 6")
    plan = await plan_for(db, artifact, "order_id >= 4 AND order_id < 8")
    assert [(row.key, row.outcome) for row in plan.rows] == [
        (("4",), "changes"),
        (("5",), "missing"),
        (("6",), "same"),
        (("7",), "changes"),
    ]
    done = await put_back(db, plan)
    assert (done.rows, done.same, [row.number for row in done.left]) == (2, 1, [2])
    rows = await fetchval(
        db,
        "SELECT string_agg(order_id || note, ' ' ORDER BY order_id) FROM orders"
        " WHERE order_id BETWEEN 3 AND 8",
    )
    assert rows == "3new 4note 4 6note 6 7note 7 8new"
    kept = await find_overwritten(db, done.job_id, DBA)
    assert kept.as_csv() == "order_id,note\n4,new\n7,new\n"
    await execute(db, kept.as_sql())
    assert await fetchval(db, "SELECT count(*) FROM orders WHERE note = 'new'") == 998


@pytest.mark.each_version
async def test_rows_of_a_table_come_back_into_the_table_of_that_name(db):
    await execute(db, ORDERS)
    artifact = await fetchval(db, "SELECT zanith.archive_table('orders')")
    await execute(db, ORDERS.split(";", 1)[0])
    await execute(db, "INSERT INTO orders VALUES (3, 'other', 1), (4, 'note 4', 6)")
    plan = await plan_for(db, artifact, "order_id <= 4")
    assert [row.outcome for row in plan.rows] == ["insert", "insert", "taken", "same"]
    done = await put_back(db, plan)
    assert (done.rows, done.same, len(done.left)) == (2, 1, 1)
    assert await fetchval(
        db, "SELECT array_agg(order_id || note ORDER BY order_id) FROM orders"
    ) == [
        "1note 1",
        "2note 2",
        "3other",
        "4note 4",
    ]
    kept = await find_overwritten(db, done.job_id, DBA)
    await execute(db, kept.as_sql())
    assert await fetchval(db, "SELECT count(*) FROM orders") == 2


# ------------------------------------------------------------------------------------------ values

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'it''s'); CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE TYPE span AS RANGE (subtype = float8);
"""
VALUES_OF = {
    "bigint": "-9223372036854775808",
    "numeric": "NaN",
    "numeric(12,3)": "-0.100",
    "real": "1e-30",
    "double precision": "0.1",
    "boolean": "f",
    "text": "a 'quote', a \\ and\na line",
    "varchar(9)": "",
    "char(5)": "ab   ",
    '"char"': "x",
    "bytea": "\\x00ff",
    "json": '{"b" : 1,  "a": 2, "a": 3}',
    "jsonb": '{"a": [1, null]}',
    "uuid": "00000000-0000-0000-0000-000000004711",
    "date": "infinity",
    "timestamp": "2024-02-29 12:00:00.000001",
    "timestamptz": "2024-10-27 00:30:00+00",
    "timetz": "24:00:00+05:30",
    "interval": "1 year 2 mons -3 days +04:05:06.7",
    "int[]": "[0:1]={1,NULL}",
    "text[]": '{"a,b","\\"",NULL,""}',
    "numrange": "[1.5,)",
    "int4multirange": "{[1,3),[5,7)}",
    "inet": "10.0.0.0/8",
    "bit(3)": "101",
    "point": "(1,2)",
    "tsvector": "'a':1 'b'",
    "mood": "it's",
    "mood[]": "{sad,it's}",
    "pair": '(1,"x, y")',
    "positive": "3",
    "span": "[0.1,2)",
}


@pytest.mark.each_version
async def test_every_type_comes_back_as_it_was(db):
    columns = ", ".join(f'"c {n}" {kind}' for n, kind in enumerate(VALUES_OF))
    made = f"CREATE TABLE kinds (id int PRIMARY KEY, {columns})"
    await execute(db, f"{TYPES} {made}")
    async with client_of(db) as connection:
        literals = [
            await connection.fetchval("SELECT quote_literal($1)", value)
            for value in VALUES_OF.values()
        ]
        nulls = ", ".join("NULL" for _ in VALUES_OF)
        await connection.execute(
            f"INSERT INTO kinds VALUES (1, {', '.join(literals)}), (2, {nulls})"
        )
    before = await fetchval(db, "SELECT array_agg(k::text ORDER BY id) FROM kinds k")
    artifact = await fetchval(db, "SELECT zanith.archive_table('kinds')")
    await execute(db, made)
    for number, (kind, value) in enumerate(VALUES_OF.items()):
        conditions = [Condition(f"c {number}", "=", value)]
        found = await find_rows(db, artifact, conditions, DBA)
        assert len(found.rows) == 1, kind
        assert found.rows[0].cells[number + 1].text == value, kind
    done = await put_back(db, await plan_for(db, artifact, "id IS NOT NULL"))
    assert (done.rows, done.left) == (2, ())
    assert await fetchval(db, "SELECT array_agg(k::text ORDER BY id) FROM kinds k") == before
    again = await plan_for(db, artifact, "id IS NOT NULL")
    assert again.counts == {"same": 2}


@pytest.mark.each_version
@pytest.mark.parametrize(
    "kind", ["json", "mood", "pair", "positive", "bytea", "numeric", "char(5)"]
)
async def test_a_value_of_a_column_comes_back_as_it_was(db, kind):
    value = VALUES_OF[kind]
    await execute(db, TYPES)
    await execute(db, f"CREATE TABLE kinds (id int PRIMARY KEY, v {kind})")
    async with client_of(db) as connection:
        literal = await connection.fetchval("SELECT quote_literal($1)", value)
        await connection.execute(f"INSERT INTO kinds VALUES (1, {literal}), (2, NULL)")
    artifact = await fetchval(db, "SELECT zanith.archive_column('kinds', 'v')")
    await execute(db, f"ALTER TABLE kinds ADD v {kind}")
    if kind == "mood":  # a renamed label is still the same value
        await execute(db, "ALTER TYPE mood RENAME VALUE 'it''s' TO 'is'")
        value = "is"
    plan = await plan_for(db, artifact, "id < 3")
    assert plan.counts == {"changes": 1, "same": 1}
    await put_back(db, plan)
    assert await fetchval(db, "SELECT format('%s', v) FROM kinds WHERE id = 1") == value


@pytest.mark.newest
async def test_names_and_values_are_data(db):
    for name in (*NAMES.values(), '"; DROP TABLE x; --'):
        table, column = quote(name), quote(name + "!" if len(name) < 60 else name)
        async with client_of(db) as connection:
            await connection.execute(
                f"CREATE TABLE public.{table} (k text PRIMARY KEY, {column} text)"
            )
            await connection.executemany(
                f"INSERT INTO public.{table} VALUES ($1, $2)",
                [(f"{n}'; --", value) for n, value in enumerate(VALUES)],
            )
            artifact = await connection.fetchval(
                "SELECT zanith.archive_column($1::text::regclass, $2)",
                f"public.{table}",
                parse_name(column)[0],
            )
            await connection.execute(f"ALTER TABLE public.{table} ADD {column} text")
            conditions = [Condition("k", "LIKE", "%'; --")]
            found = await find_rows(db, artifact, conditions, DBA)
            refs = [row.ref for row in found.rows]
            copied = await copy_rows(db, artifact, refs, DBA, "sql")
            plan = await plan_rows(db, artifact, refs, DBA)
            assert plan.counts == {"changes": len(VALUES)}
            await put_back(db, plan)
            read = f"SELECT array_agg({column} ORDER BY k) FROM public.{table}"
            assert await connection.fetchval(read) == list(VALUES)
            await connection.execute(f"UPDATE public.{table} SET {column} = NULL")
            await connection.execute(copied)
            assert await connection.fetchval(read) == list(VALUES)


# ------------------------------------------------------------------------------------------ search


@pytest.mark.newest
async def test_a_wrong_condition_says_what_to_write(db):
    await execute(
        db,
        "CREATE TABLE t (id int PRIMARY KEY, at date, doc json, ok bool, words tsvector,"
        " deep jsonb, ids int[]); INSERT INTO t VALUES (1, NULL, '{}')",
    )
    artifact = await fetchval(db, "SELECT zanith.archive_table('t')")
    for condition, message, hint in (
        (("id", "=", "x"), "id: this is not a value of type integer", "whole number"),
        (("at", "<", "2026-02-30"), "at: this is not a value of type date", "2026-01-31"),
        (("ok", "=", "maybe"), "ok: this is not a value of type boolean", "true or false"),
        (("doc", "<", "{}"), "doc: values of type json have no order here", "LIKE"),
        (("nix", "=", "1"), "nix: the rows have no column nix", "id, at, doc, ok, words"),
        (("words", "=", "'a"), "words: this is not a value of type tsvector", "as in the rows"),
        (("deep", "=", "[" * 50_000), "deep: this is not a value of type jsonb", "as in the rows"),
        (("ids", "=", "{" * 9), "ids: this is not a value of type integer", "{1,2}"),
        (("doc", "LIKE", "{}\\\\\\"), "doc: the pattern ends with a backslash", "Write two"),
        (("id", "~", "1"), "id: ~ is not an operator of a search", "IS NULL"),
        (("id", "=", None), "id: = needs a value", "IS NULL"),
    ):
        with pytest.raises(WrongConditions, match=message) as caught:
            await find_rows(db, artifact, [Condition(*condition)], DBA)
        assert hint in caught.value.hint
        assert caught.value.errors[0][0] == 0


@pytest.mark.newest
async def test_a_search_without_an_index_says_how_far_it_came(db):
    await execute(
        db,
        "CREATE TABLE t (id int PRIMARY KEY, note text);"
        " INSERT INTO t SELECT n, repeat('x', 500) || n FROM generate_series(1, 20000) n",
    )
    artifact = await fetchval(db, "SELECT zanith.archive_table('t')")
    slow = [Condition("note", "LIKE", "%x20000")]
    found = await find_rows(db, artifact, slow, DBA, seconds=0.001)
    assert found.out_of_time
    assert "the time limit" in found.limit_reached
    pages, rounds = [0], 0
    while not found.complete:
        found = await find_rows(db, artifact, slow, DBA, page=found.next_page or 0, seconds=0.1)
        pages.append(found.next_page or found.pages)
        rounds += 1
        assert rounds < 100
    assert pages == sorted(pages)
    assert len(found.rows) == 1
    more = await find_rows(db, artifact, [Condition("note", "LIKE", "%x1%")], DBA, limit=7)
    assert (len(more.rows), more.more, more.complete) == (7, True, False)
    by_key = await find_rows(db, artifact, [Condition("id", "=", "4711")], DBA)
    assert (by_key.indexed, len(by_key.rows), by_key.complete) == (True, 1, True)


# ------------------------------------------------------------------------------- what stands in it

OWNED = """
CREATE ROLE {0}; GRANT CREATE, USAGE ON SCHEMA public TO {0}; ALTER TABLE orders OWNER TO {0};
"""
STOPPED = {
    "table_gone": ("ALTER TABLE orders RENAME TO other", "table_gone"),
    "column_gone": ("ALTER TABLE orders DROP COLUMN note", "column_gone"),
    "key_dropped": ("ALTER TABLE orders DROP CONSTRAINT orders_pkey", "key_gone"),
    "key_renamed": ("ALTER TABLE orders RENAME order_id TO id", "key_gone"),
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


# --------------------------------------------------------------------------------- several at once


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


# ------------------------------------------------------------------------------ rights and records


@pytest.mark.newest
async def test_who_may_see_no_rows_sees_none(db):
    artifact = await archived_notes(db)
    plan = await plan_for(db, artifact, "order_id = 4")
    done = await put_back(db, plan)
    refs = [row.row.ref for row in plan.rows]
    for attempt in (
        find_rows(db, artifact, parse_conditions(["order_id = 4"]), BLIND),
        plan_rows(db, artifact, refs, BLIND),
        copy_rows(db, artifact, refs, BLIND, "csv"),
        find_overwritten(db, done.job_id, BLIND),
        restore_rows(
            *(db, artifact, refs, replace(BLIND, sees_rows=True)),
            confirm=plan.object,
            expected_digest=plan.digest,
        ),
    ):
        with pytest.raises(NotPermitted):
            await attempt


@pytest.mark.newest
async def test_the_log_has_keys_that_are_numbers_and_no_values(db, database):
    artifact = await archived_notes(db)
    done = await put_back(db, await plan_for(db, artifact, "note = 'note 4'"), reason="ticket 9")
    logged = "SELECT detail FROM zanith._zanith_audit_log WHERE action = 'restore_rows'"
    said = await fetchval(db, logged)
    assert (said["keys"], said["rows"], said["reason"]) == ([["4"]], 1, "ticket 9")
    await execute(
        db,
        "CREATE TABLE people (email text PRIMARY KEY, note text);"
        " INSERT INTO people VALUES ('ann@example.com', 'secret')",
    )
    people = await fetchval(db, "SELECT zanith.archive_column('people', 'note')")
    await execute(db, "ALTER TABLE people ADD note text DEFAULT 'overwritten'")
    plan = await plan_for(db, people, "email = 'ann@example.com'")
    job = (await put_back(db, plan)).job_id
    kept = "SELECT string_agg(t::text, '') FROM zanith.{} t"
    for table in ("_zanith_audit_log", "_zanith_jobs"):
        text = await fetchval(db, kept.format(table))
        assert not any(word in text for word in ("ann@", "secret", "overwritten", "note 4"))
    values = await fetchval(db, kept.format("_zanith_overwritten"))
    assert "ann@example.com" in values
    await erase(db, people, {"email": "ann@example.com"}, DBA, rows=1, confirm=plan.object)
    await purge(db, artifact, DBA, confirm=None, confirmed=True)
    assert await fetchval(db, "SELECT count(*) FROM zanith._zanith_overwritten") == 0
    for gone in (job, done.job_id):
        with pytest.raises(NotFound, match="nothing that this job overwrote is kept"):
            await find_overwritten(db, gone, DBA)


@pytest.mark.each_version
async def test_code_of_an_owner_runs_as_the_owner(db, create_role):
    artifact = await archived_notes(db)
    role = create_role("owner")
    await execute(
        db,
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role}; ALTER TABLE orders OWNER TO {role};"
        f"SET ROLE {role}; CREATE TABLE heard (by text);"
        "CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO public.heard VALUES (current_user || ' ' || TG_OP); RETURN NEW; END $$;"
        "CREATE TRIGGER hear BEFORE UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION hear();"
        "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION hear();"
        "CREATE FUNCTION odd(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN"
        " IF current_user <> 'postgres' THEN RETURN true; END IF;"
        " RAISE EXCEPTION 'as %', current_user; END $$;"
        "ALTER TABLE orders ADD CHECK (odd(note)) NOT VALID; RESET ROLE",
    )
    done = await put_back(db, await plan_for(db, artifact, "order_id <= 2"))
    assert done.rows == 2
    heard = await fetchval(db, "SELECT array_agg(DISTINCT by) FROM heard")
    assert heard == [f"{role} UPDATE"]


@pytest.mark.each_version
async def test_a_trigger_behind_a_foreign_key_never_runs_as_the_owner_of_the_rows(db, create_role):
    """Before 18 an AFTER trigger of the table that a foreign key updates runs as the updater."""
    artifact = await archived_notes(db)
    role = create_role("other")
    await execute(
        db,
        "UPDATE orders SET note = 'now ' || order_id; ALTER TABLE orders ADD UNIQUE (note);"
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role}; GRANT REFERENCES ON orders TO {role};"
        f"SET ROLE {role}; CREATE TABLE heard (by text);"
        "CREATE TABLE refers (note text REFERENCES orders (note) ON UPDATE CASCADE);"
        "INSERT INTO refers VALUES ('now 1');"
        "CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " INSERT INTO public.heard VALUES (current_user); RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER hear AFTER UPDATE ON refers DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION hear(); RESET ROLE",
    )
    plan = await plan_for(db, artifact, "order_id = 1")
    if int(await fetchval(db, "SHOW server_version_num")) < 180000:
        assert [conflict.code for conflict in plan.conflicts] == ["code_of_another"]
        with pytest.raises(Refused):
            await put_back(db, plan)
    else:
        assert (await put_back(db, plan)).rows == 1
        assert await fetchval(db, "SELECT array_agg(by) FROM heard") == [role]
    await execute(db, "DROP TABLE refers")
    assert (await put_back(db, await plan_for(db, artifact, "order_id = 2"))).rows == 1


@pytest.mark.newest
async def test_a_partitioned_table_and_a_soft_dropped_column(db):
    await execute(
        db,
        "CREATE TABLE parts (id int, day date, v text, PRIMARY KEY (id, day))"
        " PARTITION BY RANGE (day);"
        "CREATE TABLE p1 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2025-07-01');"
        "CREATE TABLE p2 PARTITION OF parts FOR VALUES FROM ('2025-07-01') TO ('2026-01-01');"
        "INSERT INTO parts SELECT n, date '2025-01-01' + n, 'v' || n"
        " FROM generate_series(1, 300) n",
    )
    column = await fetchval(db, "SELECT zanith.archive_column('parts', 'v')")
    await execute(db, "ALTER TABLE parts ADD v text")
    done = await put_back(db, await plan_for(db, column, "day > '2025-06-29' AND id < 185"))
    assert done.rows == 5
    assert await fetchval(db, "SELECT count(*) FROM parts WHERE v = 'v' || id") == 5
    table = await fetchval(db, "SELECT zanith.soft_drop_table('parts')")
    await execute(db, "CREATE TABLE parts (id int, day date, v text, PRIMARY KEY (id, day))")
    done = await put_back(db, await plan_for(db, table, "v = 'v183'"))
    assert (done.rows, await fetchval(db, "SELECT id FROM parts")) == (1, 183)
    await execute(db, ORDERS)
    soft = await fetchval(db, "SELECT zanith.soft_drop_column('orders', 'note')")
    await execute(db, "ALTER TABLE orders ADD note text")
    done = await put_back(db, await plan_for(db, soft, "note = 'note 9'"))
    assert (done.rows, await fetchval(db, "SELECT note FROM orders WHERE order_id = 9")) == (
        1,
        "note 9",
    )
