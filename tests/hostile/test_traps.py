"""The traps can report: a superuser's plain SQL runs each hook, and no place for a hook is forgotten.

PostgreSQL itself doesn't keep a superuser's SELECT, INSERT, ANALYZE or VACUUM from running an owner's code in
one way or another. What it does keep from it (it switches to the table's owner for index functions under CREATE INDEX,
REINDEX, ANALYZE, VACUUM and REFRESH) is here too.
"""

from __future__ import annotations

import pytest

from tests.clusters import CommandFailed
from tests.hostile import tables
from tests.hostile.trap import Trap, describe
from tests.hostile.world import fill

pytestmark = pytest.mark.each_version


@pytest.fixture
def shared(templates):
    """One database for all tests here: each takes back what it did."""
    return templates["superuser"]


@pytest.mark.parametrize("hook", tables.FIRE)
def test_a_trap_reports_a_superuser(shared, cast, hook):
    trap = Trap(shared, cast.owner)
    statement = fill(tables.FIRE[hook], operator=cast.victim)
    shared.psql(f"BEGIN; {statement}; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK")
    found = [seen for seen in trap.escapes() if seen.hook == hook]
    assert found, f"{hook} did not say that it ran as another"


@pytest.mark.parametrize("place", tables.UNAVAILABLE)
def test_a_place_that_postgresql_keeps_from_owners(shared, cast, place):
    with pytest.raises(CommandFailed, match="ERROR"):
        shared.psql(
            "BEGIN; CREATE FUNCTION harm.on_event() RETURNS event_trigger LANGUAGE plpgsql"
            f" AS 'BEGIN END'; {tables.UNAVAILABLE[place]}; ROLLBACK",
            user=cast.owner,
        )
    shared.psql(  # it is the last statement that is refused
        "BEGIN; CREATE FUNCTION harm.on_event() RETURNS event_trigger LANGUAGE plpgsql"
        " AS 'BEGIN END'; ROLLBACK",
        user=cast.owner,
    )


def test_every_catalog_that_names_a_function_is_covered(shared):
    """Neither the manual's list nor ours is trusted: PostgreSQL says which catalogs refer to pg_proc."""
    catalogs = set(shared.psql(NAMES_FUNCTIONS).splitlines())
    assert len(catalogs) > 15
    assert catalogs <= tables.CATALOGS.keys()
    for covered in tables.CATALOGS.values():
        assert covered in tables.FIRE or covered in tables.UNAVAILABLE


def test_every_class_of_dependency_has_a_hook(shared):
    """Each catalog of which a hook is said to cover it has a dependency on code of the owner's."""
    found = set(shared.psql(DEPEND_ON_HARM).splitlines())
    parts = {"pg_index", "pg_partitioned_table", "pg_aggregate", "pg_range"}
    covered = {name for name, by in tables.CATALOGS.items() if by in tables.FIRE} - parts
    assert found == covered


NAMES_FUNCTIONS = """
SELECT DISTINCT fktable::regclass FROM pg_get_catalog_foreign_keys() WHERE pktable = 'pg_proc'::regclass
UNION SELECT attrelid::regclass FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
WHERE a.atttypid IN ('pg_node_tree'::regtype, 'regproc'::regtype) AND c.relnamespace = 'pg_catalog'::regnamespace
  AND c.relkind = 'r' AND c.relname NOT IN ('pg_depend', 'pg_shdepend', 'pg_description')
"""
DEPEND_ON_HARM = """
SELECT DISTINCT d.classid::regclass FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid
WHERE d.refclassid = 'pg_proc'::regclass AND d.deptype IN ('n', 'a') AND p.pronamespace = 'harm'::regnamespace
"""

# -------------------------------------------------------------------- what PostgreSQL protects, and what not

CONFINED = {
    "REINDEX": ("REINDEX TABLE harm.valued", "index expression"),
    "CREATE INDEX": (
        "CREATE INDEX ON harm.valued (harm.tap('index expression', d))",
        "index expression",
    ),
    "ANALYZE of a range": ("ANALYZE harm.ranged", "range subtype_diff"),
    "ANALYZE": ("ANALYZE harm.valued", "other index expression"),
    "ANALYZE of statistics": ("ANALYZE harm.valued", "other statistics"),
    "VACUUM": ("VACUUM ANALYZE harm.valued", "other index expression"),
    "REFRESH": ("REFRESH MATERIALIZED VIEW harm.stored_view", "materialized view"),
    "CLUSTER": ("CLUSTER harm.valued USING valued_pkey", "other index expression"),
}
EXPOSED = {
    "SELECT": ("SELECT d FROM harm.valued", "folded index predicate"),
    "EXPLAIN": ("EXPLAIN SELECT d FROM harm.valued", "folded index predicate"),
    "INSERT": ("INSERT INTO harm.valued (id) VALUES (7)", "default"),
    "UPDATE": ("UPDATE harm.eventful SET d = 3", "before row trigger"),
    "COPY of a view": ("COPY (SELECT * FROM harm.view_of) TO STDOUT", "view"),
    "ADD CHECK": ("ALTER TABLE harm.valued ADD CHECK (harm.tap('check', d) > 0)", "check"),
    "ALTER TYPE": ("ALTER TABLE harm.keyed ALTER COLUMN c TYPE text", "cast to text"),
}


@pytest.mark.parametrize("command", CONFINED)
def test_postgresql_confines(shared, cast, command):
    trap = Trap(shared, cast.owner)
    statement, hook = CONFINED[command]
    shared.psql(statement if "VACUUM" in command else f"BEGIN; {statement}; ROLLBACK")
    seen = [seen for seen in trap.read() if seen.hook == hook]
    assert seen, "it did not run at all"
    assert not [one for one in seen if one.escaped(cast.owner)], describe(seen)


@pytest.mark.parametrize("command", EXPOSED)
def test_postgresql_does_not_confine(shared, cast, command):
    """What a superuser must not do on an owner's table by hand; see docs/security.md."""
    trap = Trap(shared, cast.owner)
    statement, hook = EXPOSED[command]
    shared.psql(f"BEGIN; {statement}; ROLLBACK")
    assert hook in {seen.hook for seen in trap.escapes()}
