"""What depends on an object that the guard moves is dropped, whatever its kind is."""

from __future__ import annotations

import pytest

from app.recovery.guard.rules import Mode, Rule
from tests.conftest import Database
from tests.guard.test_cascades import dump
from tests.guard.test_statements import without_tokens
from tests.guard.twin import turn_guard_on

WORLD = """
CREATE SCHEMA si;
CREATE TYPE si.mood AS ENUM ('a', 'b');
CREATE FUNCTION si.f(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1; END';
CREATE FUNCTION si.cmp(int,int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 0; END';
CREATE FUNCTION si.lt(int,int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN $1 <
    $2; END';
CREATE FUNCTION si.ev() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION si.tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION si.c(si.mood) RETURNS int IMMUTABLE LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE SEQUENCE si.q;
CREATE TABLE si.tt (a int DEFAULT si.f(1), b int CHECK (si.lt(b, 2)), m si.mood, q int DEFAULT
    nextval('si.q'), cc int CHECK (si.cmp(1, 2) = 0), k int DEFAULT si.c('a'));
CREATE TRIGGER t BEFORE INSERT ON si.tt FOR EACH ROW EXECUTE FUNCTION si.tr();
INSERT INTO si.tt DEFAULT VALUES;
CREATE TABLE live (id int PRIMARY KEY, a int, b int, q int DEFAULT nextval('si.q'), CONSTRAINT
    lc CHECK (si.f(a) > 0));
CREATE STATISTICS public.st ON (si.f(a)), b FROM live;
CREATE INDEX li ON live (si.f(b));
CREATE VIEW lv AS SELECT si.f(a) AS x FROM live; CREATE MATERIALIZED VIEW lm AS SELECT si.f(a)
    AS x FROM live;
CREATE TRIGGER t BEFORE INSERT ON live FOR EACH ROW EXECUTE FUNCTION si.tr();
CREATE POLICY lp ON live USING (si.f(a) > 1);
CREATE RULE lr AS ON DELETE TO live WHERE si.f(OLD.a) = 1 DO INSTEAD NOTHING;
CREATE PUBLICATION pub FOR TABLE live WHERE (a > 1);
CREATE DOMAIN public.dm AS int CHECK (si.f(VALUE) > 0);
CREATE DOMAIN public.dd AS si.mood;
CREATE TYPE public.co AS (x int, m si.mood);
CREATE AGGREGATE public.ag(int) (SFUNC = si.cmp, STYPE = int, INITCOND = '0');
CREATE OPERATOR public.<<< (LEFTARG = int, RIGHTARG = int, FUNCTION = si.lt);
CREATE OPERATOR CLASS public.oc FOR TYPE int USING btree AS OPERATOR 1 public.<<<, FUNCTION 1
    si.cmp(int, int);
CREATE OPERATOR FAMILY public.of USING btree;
ALTER OPERATOR FAMILY public.of USING btree ADD OPERATOR 1 public.<<< (int, int), FUNCTION 1
    si.cmp(int, int);
CREATE CAST (si.mood AS int) WITH FUNCTION si.c(si.mood);
CREATE FUNCTION public.takes(si.mood) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE PROCEDURE
    public.pr(si.mood) LANGUAGE plpgsql AS 'BEGIN END';
CREATE EVENT TRIGGER ev ON ddl_command_end WHEN TAG IN ('CREATE SERVER') EXECUTE FUNCTION
    si.ev();
CREATE FOREIGN DATA WRAPPER fw; CREATE SERVER srv FOREIGN DATA WRAPPER fw; CREATE FOREIGN TABLE
    public.far (x int DEFAULT si.f(1), m si.mood) SERVER srv;
CREATE SCHEMA free; CREATE TABLE free.ft (a int, m si.mood);
CREATE VIEW vd AS SELECT 1 AS y; ALTER VIEW vd ALTER y SET DEFAULT si.f(2);
"""


@pytest.mark.each_version
def test_dependents_of_every_kind_go_as_without_the_guard(
    guarded: Database, twin_database: Database
) -> None:
    dumps = []
    for database in (guarded, twin_database):
        database.psql(WORLD)
        if database is guarded:
            turn_guard_on(guarded, Rule(Mode.OFF, schema="free"))
        before = without_tokens(dump(database))
        database.psql("DROP SCHEMA si CASCADE")
        after = without_tokens(dump(database))
        assert len(after) < len(before) - 200
        dumps.append([line for line in after if "zanith" not in line])
    moved = guarded.psql(
        "SELECT count(*) FROM pg_proc WHERE pronamespace = '_zanith_shadow'::regnamespace"
    )
    assert moved == "5"
    lines, expected = ([line for line in lines if line.strip(" -")] for lines in dumps)
    extra = ("    EXECUTE FUNCTION", "         WHEN TAG", "ALTER EVENT", "CREATE EVENT")
    assert [line for line in lines if not line.startswith(extra)] == [
        line for line in expected if not line.startswith(extra)
    ]
