"""The warning of rows that were written again since the capture counts nobody's restore."""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.oracle.judges import restore_by_psql

DBA = Actor("dba")
TABLE = """
CREATE TABLE t (id integer PRIMARY KEY, a text, b text, c text, n integer);
INSERT INTO t SELECT n, 'a' || n, 'b' || n, 'c' || n, 0 FROM generate_series(1, 9) n
"""


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    database.psql(TABLE)
    yield opened
    await opened.close()


async def take(db, column: str) -> str:
    return (await capture(db, CaptureRequest("archive_column", "t", column), DBA)).id


async def warned(db, artifact: str) -> list[tuple[int | None, str]]:
    plan = await plan_restore(db, artifact, Choices())
    return [(d.count, d.message) for d in plan.drift if d.kind == "rows_rewritten"]


async def test_a_row_that_was_written_since_is_counted(db, database):
    a = await take(db, "a")
    assert [count for count, _ in await warned(db, a)] == [0]
    database.psql("UPDATE t SET n = 1 WHERE id IN (2, 3)")
    assert await warned(db, a) == [(2, "2 rows of public.t were written again since the capture")]


@pytest.mark.parametrize("way", ["offline", "online", "psql"])
async def test_a_restore_of_another_column_is_not_counted(db, database, way, tmp_path):
    a, b = await take(db, "a"), await take(db, "b")
    database.psql("UPDATE t SET n = 1 WHERE id = 4")
    if way == "psql":
        restore_by_psql(database, b, tmp_path)
    else:
        await restore(db, b, Choices(online=way == "online"), DBA)
    assert await warned(db, a) == [
        (0, "0 rows of public.t were written again since the restore of public.t.b"),
        # nobody can know it any more, and nobody says that there are none
        (
            None,
            "an unknown number of rows of public.t were written again between the drop and the"
            " restore of public.t.b",
        ),
    ]
    database.psql("UPDATE t SET n = 2 WHERE id IN (5, 6, 7)")
    assert (await warned(db, a))[0][0] == 3
    # a column that is dropped after that restore has a table that nobody wrote to
    c = await take(db, "c")
    assert await warned(db, c) == [(0, "0 rows of public.t were written again since the capture")]


@pytest.mark.recorded("broken", "the test makes up the identity of another database")
async def test_a_database_that_was_loaded_from_a_dump_does_not_guess(db, database):
    a = await take(db, "a")
    database.psql(
        "UPDATE zanith._zanith_migration_artifacts SET definition = definition"
        """ || '{"database": "another/1"}'"""
    )
    plan = await plan_restore(db, a, Choices())
    (told,) = [d for d in plan.drift if d.kind == "rows_rewritten"]
    assert told.count is None
    assert told.reason == "this database was loaded from a dump or upgraded since the capture"
