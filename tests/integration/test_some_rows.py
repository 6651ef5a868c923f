"""Rows of an artifact: found, shown beside the live ones, and put back one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.restore.some_rows import (
    RestoredRows,
    RowsPlan,
    find_overwritten,
    plan_rows,
    restore_rows,
)
from app.recovery.rows.conditions import parse_conditions
from app.recovery.rows.search import Found, find_rows
from tests.online import execute, fetchval

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
