"""Several objects, owners or moments at once: what one hook alone does not show.

Each was a way for the code of one role to run as another, or to make a state that is false. Mallory owns the schema `harm`
and what is in it, Alice the schema `alice`; an operation is a superuser's. What is refused is as good as what is harmless.
"""

from __future__ import annotations

from contextlib import suppress

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import ZanithError
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.purge import purge
from app.recovery.restore.restore import restore
from tests.hostile.scene import DBA, ROWS, Scene


async def gone_and_back(scene: Scene, strategy: str, table: str) -> None:
    """Capture a column as the superuser and restore it."""
    async with scene.opened() as db:
        made = await capture(db, CaptureRequest(strategy, table, "c", on_dependents="cascade"), DBA)
        await restore(db, made.id, Choices(), DBA)


@pytest.mark.smoke
async def test_a_partition_key_beneath_the_table(scene):
    scene.by(scene.mallory, """
        CREATE TABLE harm.t (id int, c int NOT NULL DEFAULT 8, d int) PARTITION BY RANGE (id);
        CREATE TABLE harm.t1 PARTITION OF harm.t FOR VALUES FROM (0) TO (10)
            PARTITION BY RANGE ((d + harm.tap('key beneath', 1)));
        CREATE TABLE harm.t11 PARTITION OF harm.t1 DEFAULT""")  # fmt: skip
    scene.trap.read()
    await gone_and_back(scene, "soft_drop_column", "harm.t")
    async with scene.opened() as db:
        made = await capture(db, CaptureRequest("soft_drop_column", "harm.t", "c"), DBA)
        await purge(db, made.id, DBA, confirm="harm.t.c")
    scene.quiet()


@pytest.mark.parametrize("strategy", ["soft_drop_column", "archive_column"])
async def test_an_index_of_a_partition_that_is_attached(scene, strategy):
    scene.by(scene.mallory, """
        CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int) PARTITION BY RANGE (id);
        CREATE TABLE harm.t1 PARTITION OF harm.t FOR VALUES FROM (0) TO (10);
        CREATE TABLE harm.t2 PARTITION OF harm.t FOR VALUES FROM (10) TO (20);
        CREATE INDEX half ON ONLY harm.t ((c + harm.tap('half', 1)));
        CREATE INDEX half1 ON harm.t1 ((c + harm.tap('half', 1)));
        ALTER INDEX harm.half ATTACH PARTITION harm.half1""")  # fmt: skip
    scene.trap.read()
    await gone_and_back(scene, strategy, "harm.t")
    scene.quiet()


@pytest.mark.parametrize("strategy", ["soft_drop_column", "archive_column"])
async def test_a_domain_whose_check_runs_sql_through_a_function_of_postgresql(scene, strategy):
    scene.by(scene.mallory, f"""
        SET search_path = harm;
        CREATE DOMAIN runs AS int CHECK (num_nulls(ts_rewrite('a'::tsquery,
            'SELECT ''a''::tsquery, ''b''::tsquery WHERE harm.note(''through ts_rewrite'')')) = 0);
        CREATE TABLE t (id int PRIMARY KEY, c runs, d int); INSERT INTO t {ROWS}""")  # fmt: skip
    made = scene.artifact(scene.mallory, f"{strategy}('harm.t', 'c')")
    scene.trap.read()
    async with scene.opened() as db:
        for choices in (Choices(fill="5"), Choices(online=True), Choices()):
            with suppress(ZanithError):  # refused is as good
                await plan_restore(db, made, choices)
    scene.quiet()
