"""Event triggers of users run DDL while a captured statement goes on."""

from __future__ import annotations

import pytest

from tests.conftest import Database
from tests.guard.test_rules import artifacts, refused

pytestmark = pytest.mark.each_version

BODIES = {  # by the event, with a name that PostgreSQL fires before or after the guard's
    "audit sql_drop": """
        CREATE TABLE IF NOT EXISTS seen (x text); ALTER TABLE seen SET (fillfactor = 90);
        INSERT INTO seen SELECT object_identity FROM pg_event_trigger_dropped_objects();""",
    "zz_audit sql_drop": """
        CREATE TABLE IF NOT EXISTS seen (x text); ALTER TABLE seen SET (fillfactor = 90);""",
    "zz_start ddl_command_start": """
        IF tg_tag IN ('DROP TABLE', 'ALTER TABLE') AND to_regclass('noted') IS NULL THEN
            CREATE TABLE noted (x int); ALTER TABLE noted SET (fillfactor = 90);
        END IF;""",
    "audit_end ddl_command_end": """
        IF tg_tag IN ('DROP TABLE', 'ALTER TABLE') AND to_regclass('noted') IS NULL THEN
            CREATE TABLE noted (x int); ALTER TABLE noted SET (fillfactor = 90);
        END IF;""",
    "drop_history sql_drop": """
        FOR r IN SELECT * FROM pg_event_trigger_dropped_objects()
                 WHERE object_type = 'table' AND object_identity = 'public.t' LOOP
            EXECUTE format('DROP TABLE IF EXISTS public.%I', r.object_name || '_history');
        END LOOP;""",
}
WORLD = """
CREATE TABLE t (id int PRIMARY KEY, c int); INSERT INTO t VALUES (1, 2);
CREATE TABLE t_history (LIKE t); INSERT INTO t_history VALUES (1, 2);
"""


def create(database: Database, named: str, body: str) -> None:
    name, event = named.split()
    database.psql(
        f"CREATE FUNCTION {name}() RETURNS event_trigger LANGUAGE plpgsql SET search_path = public"
        f" AS $x$ DECLARE r record; BEGIN {body} END $x$;"
        f"CREATE EVENT TRIGGER {name} ON {event} EXECUTE FUNCTION {name}()"
    )


@pytest.mark.parametrize("named", BODIES)
def test_their_ddl_does_not_end_the_statement(guarded: Database, named: str) -> None:
    guarded.psql(WORLD)
    create(guarded, named, BODIES[named])
    guarded.psql("ALTER TABLE t DROP COLUMN c")
    guarded.psql("DROP TABLE t")
    history = "drop_history" in named
    assert guarded.psql("SELECT to_regclass('t'), to_regclass('t_history')") == (
        "|" if history else "|t_history"
    )
    assert artifacts(guarded) == 2 + history
    assert (
        guarded.psql("SELECT count(*) FROM zanith._zanith_guard_facts WHERE kind = 'stand-in'")
        == "0"
    )
    assert (
        guarded.psql("SELECT count(*) FROM zanith._zanith_audit_log WHERE detail ? 'deleted'")
        == "0"
    )


def test_a_column_in_the_empty_table_is_said(guarded: Database) -> None:
    guarded.psql(WORLD)
    create(
        guarded,
        "add_columns ddl_command_end",
        """FOR r IN SELECT * FROM pg_event_trigger_ddl_commands()
           WHERE command_tag = 'CREATE TABLE' AND schema_name = 'public' LOOP
               EXECUTE format('ALTER TABLE %s ADD COLUMN made timestamptz', r.object_identity);
           END LOOP;""",
    )
    said = refused(guarded, "DROP TABLE t")
    assert "public.t cannot be captured: an event trigger added a column" in said
    assert "add_columns" in said
    assert guarded.psql("SELECT c FROM t") == "2"
