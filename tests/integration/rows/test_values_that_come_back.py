"""Values and rows come back as they were, of every type."""

from __future__ import annotations

import pytest

from app.recovery.core.names import parse_name, quote
from app.recovery.restore.overwritten import find_overwritten
from app.recovery.restore.rows_plan import copy_rows, plan_rows
from app.recovery.rows.conditions import Condition
from app.recovery.rows.search import find_rows
from tests.hard_names import NAMES, VALUES
from tests.integration.rows.putting import (
    DBA,
    ORDERS,
    archived_notes,
    plan_for,
    put_back,
)
from tests.online import execute, fetchval
from tests.sessions import client_of

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


@pytest.mark.parametrize("archive", ["column", "table"])
async def test_a_long_key_finds_its_live_row(db, archive):
    """Values are shown cut; two keys here differ only after the cut."""
    await execute(
        db,
        "CREATE TABLE t (k text PRIMARY KEY, note text);"
        " INSERT INTO t SELECT repeat('k', 5000) || n, 'note ' || n FROM generate_series(1, 2) n",
    )
    if archive == "column":
        artifact = await fetchval(db, "SELECT zanith.archive_column('t', 'note')")
        await execute(db, "ALTER TABLE t ADD note text")
    else:
        artifact = await fetchval(db, "SELECT zanith.archive_table('t')")
        await execute(
            db,
            "CREATE TABLE t (k text PRIMARY KEY, note text);"
            " INSERT INTO t VALUES (repeat('k', 5000) || 1, 'note 1')",
        )
    plan = await plan_for(db, artifact, "note LIKE 'note%'")
    assert [len(row.key[0]) for row in plan.rows] == [5001, 5001]
    expected = {"changes": 2} if archive == "column" else {"same": 1, "insert": 1}
    assert plan.counts == expected
    await put_back(db, plan)
    assert await fetchval(db, "SELECT string_agg(right(k, 1) || note, ',' ORDER BY k) FROM t") == (
        "1note 1,2note 2"
    )
