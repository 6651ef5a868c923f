"""What the tests of single rows do again and again."""

from __future__ import annotations

from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.restore.rows_plan import RowsPlan, plan_rows
from app.recovery.restore.some_rows import RestoredRows, restore_rows
from app.recovery.rows.conditions import parse_conditions
from app.recovery.rows.search import Found, find_rows
from tests.online import execute, fetchval

DBA = Actor("dba", "10.0.0.9", "staff")
BLIND = Actor("eve", "10.0.0.7", "viewer", sees_rows=False)
ORDERS = """
CREATE TABLE orders (order_id bigint PRIMARY KEY, note text, total numeric(10,2));
INSERT INTO orders SELECT n, 'note ' || n, n * 1.5 FROM generate_series(1, 1000) n;
"""


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
