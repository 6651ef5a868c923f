"""Event triggers fire for the DDL of Zanith's definer functions, which run in the session of the role that captures.

The function of an event trigger belongs to a superuser. It finds names without a schema where the session put something: in pg_temp, which
is in every path, or in a schema of the path in which the role can create objects.
"""

from __future__ import annotations

import asyncpg
import pytest

from tests.acceptance.command import zanith
from tests.hostile.scene import ROWS
from tests.hostile.trap import describe

pytestmark = pytest.mark.newest  # ZANITH_TEST_VERSIONS=15 asks an older one

LOG = """
CREATE SCHEMA ops; CREATE TABLE ops.ddl_log (tag text); GRANT USAGE ON SCHEMA ops TO PUBLIC;
GRANT SELECT, INSERT ON ops.ddl_log TO PUBLIC;
CREATE FUNCTION ops.log() RETURNS event_trigger LANGUAGE plpgsql {path} AS $$ BEGIN
    BEGIN EXECUTE 'SELECT ''1''::mood'; EXCEPTION WHEN undefined_object THEN NULL; END;
    BEGIN INSERT INTO ddl_log VALUES (tg_tag); EXCEPTION WHEN undefined_table THEN NULL; END; END $$;
CREATE DOMAIN ops.mood AS int; ALTER DATABASE {database} SET search_path = {configured};
CREATE EVENT TRIGGER logs ON ddl_command_end EXECUTE FUNCTION ops.log();
"""
TABLE = """CREATE TABLE {schema}.ddl_log (tag text); GRANT ALL ON {schema}.ddl_log TO PUBLIC;
    CREATE FUNCTION {schema}.bait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM harm.tell('bait'); RETURN NULL; END $$;
    CREATE TRIGGER bait BEFORE INSERT ON {schema}.ddl_log FOR EACH ROW EXECUTE FUNCTION {schema}.bait()"""
DOMAIN = "CREATE DOMAIN {schema}.mood AS int CHECK (harm.tell('bait'))"
BAITS = {"table": TABLE, "type": DOMAIN}
CALLS = (
    "SELECT zanith.archive_column('harm.t', 'c')",
    "SELECT zanith.archive_table('harm.t')",
    "SELECT zanith.soft_drop_column('harm.t', 'c')",
    "SELECT zanith.soft_drop_table('harm.t')",
    "DROP TABLE harm.t",
    "ALTER TABLE harm.t DROP COLUMN c",
    "DROP TYPE harm.kind",
    "/* extension */ DROP TABLE harm.t",
    "SELECT zanith._guard_extension()",
    "SELECT zanith._guard_accept_members()",
)
# The path of the event trigger's function, the path of the database, and where the bait is.
PATHS = {
    "no path": ("", "public, ops", "pg_temp"),
    "a path without pg_temp": ("SET search_path = ops", "public", "pg_temp"),
    "a schema of all": ("", "public, ops", "public"),
    "a schema of the owner": ("", "harm, ops", "harm"),
}


@pytest.mark.parametrize("where", PATHS)
async def test_nothing_of_the_session_runs_as_a_definer(scene, where):
    path, configured, schema = PATHS[where]
    scene.by(None, LOG.format(path=path, configured=configured, database=scene.place.name))
    scene.by(scene.mallory, f"CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}")  # fmt: skip
    kept = (
        "CREATE TYPE harm.kind AS ENUM ('x'); CREATE TABLE harm.k (id int PRIMARY KEY, c harm.kind)"
    )
    scene.by(scene.mallory, f"{kept}; SELECT zanith.archive_table('harm.k')")
    assert zanith("guard", "on", url=scene.place.url).code == 0
    scene.trap.read()
    refused = 0
    async with scene.place.connect(user=scene.mallory) as mallory:
        for bait in BAITS.values():
            for call in CALLS:
                await mallory.execute("BEGIN")
                await mallory.execute(bait.format(schema=schema))
                try:
                    await mallory.execute(call)
                except asyncpg.PostgresError as error:
                    refused += "could find the temporary object" in str(error)
                await mallory.execute("ROLLBACK")
    seen = scene.trap.read()
    assert {one.hook for one in seen} == {"bait"}  # as the owner, in the owner's own DDL
    assert not (escapes := [one for one in seen if one.escaped(scene.mallory)]), describe(escapes)
    assert bool(refused) == (schema == "pg_temp")


async def test_a_path_that_ends_with_pg_temp_is_the_way_out(scene):
    path = "SET search_path = ops, pg_temp"
    scene.by(None, LOG.format(path=path, configured="public", database=scene.place.name))
    scene.by(scene.mallory, f"CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int); INSERT INTO harm.t {ROWS}")  # fmt: skip
    scene.by(scene.mallory, f"{TABLE.format(schema='pg_temp')}; SELECT zanith.archive_column('harm.t', 'c'); SELECT zanith.archive_table('harm.t')")  # fmt: skip
    assert scene.trap.read() == []
    assert "CREATE TABLE" in scene.by(None, "SELECT DISTINCT tag FROM ops.ddl_log")
