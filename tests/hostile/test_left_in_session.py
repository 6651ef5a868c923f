"""What an owner's code leaves in the session: settings, prepared statements and deferred triggers."""

from __future__ import annotations

import pytest

from app.recovery.db.database import Database
from tests.clusters import CommandFailed
from tests.conftest import allow_capture
from tests.oracle.judges import restore_by_psql

LEAVING = """
CREATE SCHEMA evil;
CREATE FUNCTION evil.lower(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN PERFORM harm.tell('lower'); RETURN 'evil'; END $$;
CREATE FUNCTION harm.leave(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN
    PERFORM set_config('search_path', 'evil, pg_catalog', false),
            set_config('standard_conforming_strings', 'off', false),
            set_config('default_transaction_isolation', 'serializable', false),
            set_config('default_transaction_isolation', 'read committed', true);
    RETURN true;
END $f$;
CREATE TABLE harm.t (id int PRIMARY KEY, c int, d int CHECK (harm.leave(d)));
CREATE INDEX ON harm.t (id) WHERE harm.leave(1);
"""
SETTLED = "SHOW search_path; SHOW standard_conforming_strings; SHOW default_transaction_isolation; SHOW work_mem; SELECT lower('ABC')"


def test_what_is_set_for_the_session_does_not_come_out_at_commit(scene, tmp_path):
    scene.by(None, f"GRANT CREATE ON DATABASE {scene.place.name} TO {scene.mallory}")
    scene.by(scene.mallory, LEAVING)
    scene.trap.read()
    answer = scene.by(None, f"""
        SET search_path = public, harm; SET work_mem = '7MB';
        SELECT zanith.archive_column('harm.t', 'c'); {SETTLED}""")  # fmt: skip
    made, *settled = answer.splitlines()
    assert settled == ["public, harm", "on", "read committed", "7MB", "abc"]
    script = tmp_path / "script.sql"
    recipe = f"SELECT recovery_sql FROM zanith._zanith_migration_artifacts WHERE id = '{made}'"
    script.write_text(f"{scene.by(None, recipe)}\n{SETTLED};", "utf-8")
    answer = scene.place.psql(file=script)
    assert answer.splitlines()[-5:] == ['"$user", public', "on", "read committed", "4MB", "abc"]
    scene.quiet()


async def test_the_engine_resets_its_session_with_the_transaction(scene):
    scene.by(None, f"GRANT CREATE ON DATABASE {scene.place.name} TO {scene.mallory}")
    scene.by(scene.mallory, LEAVING)
    db = await Database.open(scene.place.url, max_size=1)
    try:
        async with db.acquire() as connection:
            before = await connection.fetchval("SHOW search_path")
            async with connection.transaction():
                await connection.fetchval(
                    "SELECT zanith._run_as($1, 'SELECT harm.leave(1)', 'values')", scene.mallory
                )
            assert await connection.fetchval("SHOW search_path") == before
            assert await connection.fetchval("SHOW standard_conforming_strings") == "on"
    finally:
        await db.close()


def test_prepared_statements_of_the_session_stay(scene):
    scene.by(scene.mallory, """
        CREATE FUNCTION harm.replace_them() RETURNS void LANGUAGE plpgsql AS $f$
        DECLARE found record; BEGIN
            FOR found IN SELECT name FROM pg_prepared_statements LOOP
                EXECUTE format('DEALLOCATE %I', found.name);
                EXECUTE format('PREPARE %I AS SELECT harm.note(''prepared'')', found.name);
            END LOOP;
        END $f$;
        CREATE FUNCTION harm.swap(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
            $f$ BEGIN PERFORM harm.replace_them(); RETURN true; END $f$;
        CREATE TABLE harm.t (id int PRIMARY KEY, c int);
        CREATE INDEX ON harm.t (id) WHERE harm.swap(1)""")  # fmt: skip
    scene.trap.read()
    with pytest.raises(CommandFailed, match="changed prepared statements"):
        scene.by(
            None,
            "PREPARE mine AS SELECT 'mine'; SELECT zanith.archive_column('harm.t', 'c'); EXECUTE mine",
        )
    scene.quiet()


DEFERRING = """
CREATE TABLE harm.bait (n int);
CREATE FUNCTION harm.go_on() RETURNS trigger LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM harm.tell('deferred');
    IF NEW.n < 6 THEN SET CONSTRAINTS ALL DEFERRED; INSERT INTO harm.bait VALUES (NEW.n + 1); END IF;
    RETURN NULL;
END $f$;
CREATE CONSTRAINT TRIGGER go_on AFTER INSERT ON harm.bait DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION harm.go_on();
CREATE FUNCTION harm.begin() RETURNS void LANGUAGE sql VOLATILE AS 'INSERT INTO harm.bait VALUES (1)';
CREATE FUNCTION harm.quiet(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$ BEGIN
    IF current_setting('work_mem') = '4MB' THEN PERFORM harm.begin(); END IF; RETURN true; END $f$;
SET work_mem = '5MB';
"""


def test_a_trigger_that_goes_on_deferring_ends_a_script(scene, tmp_path):
    scene.by(scene.mallory, f"""{DEFERRING}
        CREATE TABLE harm.t (id int PRIMARY KEY CHECK (harm.quiet(id)), c int); INSERT INTO harm.t VALUES (1, 1)""")  # fmt: skip
    made = scene.artifact(scene.mallory, "archive_column('harm.t', 'c')")
    scene.trap.read()
    if scene.place.server.version < 18:
        with pytest.raises(CommandFailed, match="would run at the end of the transaction"):
            restore_by_psql(scene.place, made, tmp_path)
    else:  # which runs a deferred trigger as the role that queued it
        restore_by_psql(scene.place, made, tmp_path)
    scene.quiet()


def test_the_tablespace_of_the_caller_is_not_used_with_the_rights_of_zanith(database, create_role):
    owner = create_role("owner")
    allow_capture(database.url, owner)
    database.psql(f"GRANT CREATE ON SCHEMA public TO {owner}")
    database.psql(f"CREATE TABLESPACE {owner}_space LOCATION ''")
    try:
        made = database.psql(
            f"""CREATE TABLE t (id int PRIMARY KEY, a int); SET default_tablespace = {owner}_space;
            SELECT zanith.archive_column('t', 'a')""",
            user=owner,
        )
        places = f"""SELECT count(*), min(c.reltablespace), max(c.reltablespace) FROM pg_class c
            JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE n.nspname = '_zanith_shadow' AND c.relname LIKE '%{made}%'"""
        number, *used = database.psql(places).split("|")
        assert int(number) > 0
        assert used == ["0", "0"]
    finally:
        database.psql("DROP TABLE IF EXISTS t")
        database.psql(f"DROP TABLESPACE IF EXISTS {owner}_space")
