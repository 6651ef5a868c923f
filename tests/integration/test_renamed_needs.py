"""A recorded definition names an object that was renamed since: the plan says how to go on."""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore

DBA = Actor("dba")
MADE = """
CREATE SCHEMA s; CREATE SCHEMA other;
CREATE TYPE s.mood AS ENUM ('sad', 'ok'); CREATE DOMAIN s.small AS int;
CREATE TYPE s.pair AS (p int, q int);
CREATE FUNCTION s.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 2 * n';
CREATE COLLATION s.plain (locale = 'C');
CREATE TABLE s.beside (id int, note text); CREATE VIEW s.seen AS SELECT 1 AS one;
CREATE TABLE s.t (id int PRIMARY KEY, c int);
INSERT INTO s.t VALUES (1, 1);
"""
# what needs it, what is renamed, how it is called then, and how the conflict says to go back
CASES = {
    "type of a view": (
        "CREATE VIEW s.v AS SELECT id, c, 'ok'::s.mood AS m FROM s.t",
        "ALTER TYPE s.mood RENAME TO temper",
        ("type s.mood", "s.temper", "ALTER TYPE s.temper RENAME TO mood"),
    ),
    "array of a view": (
        "CREATE VIEW s.v AS SELECT id, c, '{ok}'::s.mood[] AS m FROM s.t",
        'ALTER TYPE s.mood RENAME TO "te mper"',
        ("type s.mood[]", 's."te mper"', 'ALTER TYPE s."te mper" RENAME TO mood'),
    ),
    "domain of a view": (
        "CREATE VIEW s.v AS SELECT id, c::s.small AS m FROM s.t",
        "ALTER DOMAIN s.small SET SCHEMA other; ALTER DOMAIN other.small RENAME TO tiny",
        (
            "type s.small",
            "other.tiny",
            "ALTER DOMAIN other.tiny SET SCHEMA s; ALTER DOMAIN s.tiny RENAME TO small",
        ),
    ),
    "function of a view": (
        "CREATE VIEW s.v AS SELECT id, s.twice(c) AS m FROM s.t",
        "ALTER FUNCTION s.twice(int) RENAME TO double",
        (
            "function s.twice(integer)",
            "s.double(n integer)",
            "ALTER ROUTINE s.double(n integer) RENAME TO twice",
        ),
    ),
    "function of another name": (
        "CREATE VIEW s.v AS SELECT id, s.twice(c) AS m FROM s.t",
        "ALTER FUNCTION s.twice(int) RENAME TO double;"
        "CREATE FUNCTION s.twice(n int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 3 * n'",
        ("function s.twice(integer)", "s.double(n integer) now, and another object has its name",
         "Rename the other object, then give the old name back"),
    ),
    "function of a default": (
        "ALTER TABLE s.t ALTER c SET DEFAULT s.twice(3)",
        "ALTER FUNCTION s.twice(int) RENAME TO double",
        (
            "the default of c needs the function s.twice(integer)",
            "s.double(n integer)",
            "ALTER ROUTINE s.double(n integer) RENAME TO twice",
        ),
    ),
    "table of a view": (
        "CREATE VIEW s.v AS SELECT t.id, t.c, b.note FROM s.t JOIN s.beside b USING (id)",
        "ALTER TABLE s.beside RENAME TO aside",
        ("table s.beside", "s.aside", "ALTER TABLE s.aside RENAME TO beside"),
    ),
    "column of a view": (
        "CREATE VIEW s.v AS SELECT t.id, t.c, b.note FROM s.t JOIN s.beside b USING (id)",
        "ALTER TABLE s.beside RENAME COLUMN note TO remark",
        (
            "column note of table s.beside",
            "s.beside.remark",
            "ALTER TABLE s.beside RENAME COLUMN remark TO note",
        ),
    ),
    "view of a view": (
        "CREATE VIEW s.v AS SELECT t.id, t.c, b.one FROM s.t, s.seen b",
        "ALTER VIEW s.seen RENAME TO looked",
        ("view s.seen", "s.looked", "ALTER VIEW s.looked RENAME TO seen"),
    ),
    "collation of a view": (
        "CREATE VIEW s.v AS SELECT id, c::text COLLATE s.plain AS m FROM s.t",
        "ALTER COLLATION s.plain RENAME TO simple",
        ("collation s.plain", "s.simple", "ALTER COLLATION s.simple RENAME TO plain"),
    ),
}  # fmt: skip


@pytest.fixture
async def db(database):
    database.psql(MADE)
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def renamed(database, db, case):
    needs, change, wanted = CASES[case]
    database.psql(needs)
    request = CaptureRequest("archive_column", "s.t", "c", on_dependents="cascade")
    artifact = await capture(db, request, DBA)
    database.psql(change)
    plan = await plan_restore(db, artifact.id)
    found = [c for c in plan.conflicts if c.code == "dependency_renamed"]
    assert found, plan.conflicts
    return artifact, found, wanted


@pytest.mark.parametrize("case", CASES)
async def test_the_conflict_names_both_and_the_way_back(database, db, case):
    artifact, found, (old, new, back) = await renamed(database, db, case)
    told = [c for c in found if old in c.message and f"which is called {new}" in c.message]
    assert told, [c.message for c in found]
    assert back in (told[0].hint or "")
    if "another name" not in case:
        hints = {(conflict.hint or "").removesuffix(".") for conflict in found}
        for hint in hints:
            database.psql(hint.partition("length of the restore: ")[2])
        report = await restore(db, artifact.id, Choices(), DBA)
        assert not report.fidelity["different"]
        assert not report.fidelity["missing"]


@pytest.mark.parametrize("case", CASES)
async def test_it_comes_back_without_what_needs_the_old_name(database, db, case):
    artifact, found, _ = await renamed(database, db, case)
    without = tuple({label for conflict in found for label in conflict.without})
    assert without
    await restore(db, artifact.id, Choices(without=without), DBA)
    assert database.psql("SELECT c FROM s.t") == "1"
