"""What an artifact needs is found again, whatever kind of object it is."""

from __future__ import annotations

import json

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore

DBA = Actor("dba", None, "staff")
OTHERS = """
CREATE TABLE q (x int, y text);
CREATE VIEW seen AS SELECT x, y FROM q;
CREATE MATERIALIZED VIEW kept AS SELECT x AS n FROM q;
CREATE SEQUENCE drawn;
CREATE TYPE "Pair.x" AS (p int, r text);
CREATE TABLE pairs (w "Pair.x");
CREATE FOREIGN DATA WRAPPER nowhere;
CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;
CREATE FOREIGN TABLE far (z int) SERVER elsewhere;
CREATE FUNCTION bare(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE OPERATOR !!! (RIGHTARG = text, FUNCTION = bare);
CREATE FUNCTION of_two(text, "Pair.x"[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text);
CREATE COLLATION "Own" (LOCALE = 'C');
CREATE TABLE t (id int PRIMARY KEY, a text);
INSERT INTO t VALUES (1, 'a'), (2, NULL);
"""
# what the view needs, each with the statement that takes it away for good
NEEDED = {
    "v.y": ("v.y", "seen v", "ALTER VIEW seen RENAME y TO z"),
    "m.n": ("m.n", "kept m", "ALTER MATERIALIZED VIEW kept RENAME n TO o"),
    "(c.w).p": ("(c.w).p", "pairs c", 'ALTER TYPE "Pair.x" RENAME ATTRIBUTE p TO o CASCADE'),
    "s.last_value": ("s.last_value", "drawn s", "DROP SEQUENCE drawn"),
    "f.z": ("f.z", "far f", "ALTER FOREIGN TABLE far RENAME z TO o"),
    "!!!": ("!!! 'x'::text AS x", "q", "DROP OPERATOR !!! (NONE, text)"),
    "collation": ('q.y COLLATE "Own" AS y', "q", 'DROP COLLATION "Own"'),
    "aggregate": ("(SELECT longest(y) FROM q) AS y", "q", "DROP AGGREGATE longest(text)"),
}
# every object that something could need; PostgreSQL records nothing that needs a column of an index
EVERY_ADDRESS = """
SELECT i.type, i.identity FROM (
    SELECT refclassid, refobjid, refobjsubid FROM pg_depend
    UNION SELECT classid, objid, objsubid FROM pg_depend
    UNION SELECT 'pg_proc'::regclass, oid, 0 FROM pg_proc
    UNION SELECT 'pg_operator'::regclass, oid, 0 FROM pg_operator
    UNION SELECT 'pg_type'::regclass, oid, 0 FROM pg_type
    UNION SELECT 'pg_class'::regclass, attrelid, attnum FROM pg_attribute
          WHERE attnum > 0 AND NOT attisdropped AND attrelid > 16383) d(class, object, subobject),
    LATERAL pg_identify_object_as_address(d.class, d.object, d.subobject) n,
    LATERAL pg_identify_object(d.class, d.object, d.subobject) i,
    LATERAL zanith._object_at(n.type, n.object_names, n.object_args) o
WHERE (o.classid, o.objid) IS DISTINCT FROM (d.class, d.object) AND i.type <> 'index column'
ORDER BY 1, 2
"""


@pytest.fixture
async def db(database, connection):
    await connection.execute(OTHERS)
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def view(kind: str, expression: str, source: str) -> str:
    return f"CREATE {kind} AS SELECT t.a AS first, {expression} FROM t, {source}"


async def test_every_address_that_postgresql_gives_is_found_again(db, connection):
    assert await connection.fetch(EVERY_ADDRESS) == []


async def test_a_cascaded_view_comes_back_whatever_it_reads_beside(db, connection):
    for name, (expression, source, _) in NEEDED.items():
        await connection.execute(view("VIEW w", expression, source))
        if "far" not in source:  # nothing can read it
            await connection.execute(view("MATERIALIZED VIEW mw", expression, source))
        request = CaptureRequest("archive_column", "t", "a", on_dependents="cascade")
        artifact = await capture(db, request, DBA)
        assert not (await plan_restore(db, artifact.id)).conflicts, name
        report = await restore(db, artifact.id, Choices(), DBA)
        assert not report.fidelity["different"], name
        assert not report.fidelity["missing"], name
        await connection.execute("DROP VIEW w; DROP MATERIALIZED VIEW IF EXISTS mw")


@pytest.mark.newest
async def test_what_a_cascaded_view_reads_is_a_conflict_where_it_is_gone(db, connection):
    for name, (expression, source, gone) in NEEDED.items():
        await connection.execute("DROP VIEW IF EXISTS w;" + view("VIEW w", expression, source))
        request = CaptureRequest("archive_column", "t", "a", on_dependents="cascade")
        artifact = await capture(db, request, DBA)
        await connection.execute("BEGIN;" + gone)
        found = await connection.fetchval("SELECT zanith.plan_restore($1, '{}')", artifact.id)
        await connection.execute("ROLLBACK")
        conflicts = json.loads(found)["conflicts"]
        codes = {conflict["code"] for conflict in conflicts}
        renamed = ({"dependency_renamed"},) if "RENAME" in gone else ()
        assert codes in (*renamed, {"column_gone"}, {"dependency_gone"}), (name, conflicts)
        await restore(db, artifact.id, Choices(), DBA)
