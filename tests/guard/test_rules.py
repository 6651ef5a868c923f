"""Who decides what the guard does, and what nobody can forge."""

from __future__ import annotations

import pytest

from app.recovery.db.guard_triggers import TRIGGERS
from app.recovery.guard.rules import Mode, Rule
from tests.acceptance.command import done, zanith
from tests.clusters import CommandFailed
from tests.guard.twin import turn_guard_on
from tests.oracle.judges import grant_capture, open_session


def count(database, what: str) -> int:
    return int(database.psql(f"SELECT count(*) FROM zanith.{what}"))


def artifacts(database) -> int:
    """Return how many artifacts hold rows or values, or a table or column."""
    return count(database, "_zanith_migration_artifacts WHERE kept_kind IS NULL")


def refused(database, sql: str) -> str:
    """Run SQL that the guard refuses, and return what it says."""
    with pytest.raises(CommandFailed) as failed:
        database.psql(sql)
    assert "guard: " in str(failed.value)
    return str(failed.value)


def as_role(role: str, sql: str) -> str:
    return f"SET SESSION AUTHORIZATION {role};\n{sql}"


@pytest.fixture
def app(guarded, create_role) -> str:
    """A role that owns the schema app with a table in it, and may not capture."""
    role: str = create_role("app")
    guarded.psql(
        f"CREATE SCHEMA app AUTHORIZATION {role};"
        f"SET ROLE {role}; CREATE TABLE app.t (id int PRIMARY KEY, c text);"
        "INSERT INTO app.t VALUES (1, 'a')"
    )
    return role


@pytest.mark.newest
def test_an_installation_renews_the_event_triggers(guarded):
    """A later version may have to listen to more commands; a guard that is off stays off."""
    tags = "SELECT evttags FROM pg_event_trigger WHERE evtname = 'zanith_guard_start'"
    wanted = guarded.psql(tags)
    stale = "UPDATE zanith._zanith_schema SET hash = 'x' WHERE file !~ '^[0-9]'"
    guarded.psql(
        "DROP EVENT TRIGGER zanith_guard_start;"
        "CREATE EVENT TRIGGER zanith_guard_start ON ddl_command_start"
        " WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION zanith._guard_start();"
        f"ALTER EVENT TRIGGER zanith_guard_start ENABLE ALWAYS; {stale}"
    )
    done("init", url=guarded.url)
    assert guarded.psql(tags) == wanted
    guarded.psql(f"ALTER EVENT TRIGGER zanith_guard_start DISABLE; {stale}")
    done("init", url=guarded.url)
    assert guarded.psql(tags.replace("evttags", "evtenabled")) == "D"


# ------------------------------------------------------------------------------------------ modes


def test_off_lets_everything_pass(database):
    turn_guard_on(database, Rule(Mode.OFF))
    database.psql("CREATE TABLE t (a int); DROP TABLE t")
    assert artifacts(database) == count(database, "_zanith_audit_log WHERE action <> 'guard'") == 0


def test_warn_says_what_is_lost_and_records_it(database):
    turn_guard_on(database, Rule(Mode.WARN))
    with open_session(database) as run:
        run("CREATE TABLE t (a int, b int)")
        run("ALTER TABLE t DROP COLUMN b")
        run("DROP TABLE t")
    assert artifacts(database) == 0
    found = database.psql(
        "SELECT object, detail ->> 'mode' FROM zanith._zanith_audit_log"
        " WHERE detail ? 'deleted' ORDER BY id"
    )
    assert found.splitlines() == ["public.t.b|warn", "public.t|warn"]


def test_refuse_refuses_and_says_what_to_use(database):
    turn_guard_on(database, Rule(Mode.REFUSE))
    database.psql("CREATE TABLE t (id int PRIMARY KEY, b int)")
    said = refused(database, "ALTER TABLE t DROP COLUMN b")
    assert "SELECT zanith.archive_column('public.t', 'b', on_dependents => 'cascade');" in said
    said = refused(database, "DROP TABLE t")
    line = "SELECT zanith.archive_table('public.t', on_dependents => 'cascade');"
    assert line in said
    database.psql(line)
    assert artifacts(database) == 1


def test_the_more_specific_rule_counts(guarded, create_role):
    job = create_role("job")
    guarded.psql(f"GRANT CREATE ON SCHEMA public TO {job}; CREATE SCHEMA strict")
    guarded.psql(f"GRANT ALL ON SCHEMA strict TO {job}")
    turn_guard_on(guarded, Rule(Mode.OFF, role=job))
    turn_guard_on(guarded, Rule(Mode.REFUSE, schema="strict"))
    guarded.psql(as_role(job, "CREATE TABLE t (a int); DROP TABLE t"))
    assert artifacts(guarded) == 0
    # of a rule for the role and one for the schema, the stricter
    refused(guarded, as_role(job, "CREATE TABLE strict.t (a int); DROP TABLE strict.t"))
    turn_guard_on(guarded, Rule(Mode.OFF, schema="strict", role=job))
    guarded.psql(as_role(job, "DROP TABLE strict.t"))


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("on", "--role", "no_such_role"), 3, "CREATE ROLE no_such_role"),
        (("off", "--role", "no_such_role"), 3, "there is no role no_such_role"),
        (("on", "--schema", "publik"), 3, "similar: public"),
        (("off", "--schema", '"Public"'), 3, 'there is no schema "Public"'),
        (("on", "--schema", "a.b"), 2, "not the name of a schema"),
        (("on", "--role", "a.b"), 2, "not the name of a role"),
        (("on", "--schema", ""), 2, "is not a name"),
    ],
)
def test_a_rule_is_for_what_exists(guarded, options, code, said):
    before = count(guarded, "_zanith_guard_rules")
    ended = zanith("guard", *options, url=guarded.url)
    assert (ended.code, count(guarded, "_zanith_guard_rules")) == (code, before), ended
    assert said in ended.err
    guarded.psql('CREATE SCHEMA "a.b"')
    done("guard", "on", "--schema", '"a.b"', url=guarded.url)


def test_a_rule_is_removed_also_of_a_schema_that_is_gone(guarded):
    guarded.psql("CREATE SCHEMA scratch; CREATE TABLE scratch.t (a int)")
    done("guard", "on", "--schema", "scratch", "--mode", "warn", url=guarded.url)
    guarded.psql("DROP TABLE scratch.t")
    assert artifacts(guarded) == 0
    guarded.psql("DROP SCHEMA scratch")
    done("guard", "reset", "--schema", "scratch", url=guarded.url)
    guarded.psql("CREATE SCHEMA scratch; CREATE TABLE scratch.t (a int); DROP TABLE scratch.t")
    assert artifacts(guarded) == 1
    logged = "SELECT object FROM zanith._zanith_audit_log WHERE detail ->> 'turned' = 'reset'"
    assert guarded.psql(logged) == "schema scratch"
    for options, code, said in (
        (("--schema", "scratch"), 3, "there is no rule for schema scratch"),
        ((), 2, "the rule of the whole database cannot be removed"),
    ):
        ended = zanith("guard", "reset", *options, url=guarded.url)
        assert ended.code == code, ended
        assert said in ended.err


def test_an_expiry_of_a_rule_is_that_of_its_artifacts(guarded):
    from datetime import timedelta

    turn_guard_on(guarded, Rule(Mode.CAPTURE, expires_in=timedelta(days=3)))
    guarded.psql("CREATE TABLE t (a int); DROP TABLE t")
    days = "SELECT (expires_at - created_at)::text FROM zanith._zanith_migration_artifacts"
    assert guarded.psql(days).startswith(("3 days", "2 days 23:59"))


def test_the_setting_turns_it_off_where_the_rule_allows_that_and_is_recorded(guarded):
    guarded.psql(
        "CREATE TABLE t (a int); BEGIN; SET LOCAL zanith.guard = off; DROP TABLE t; COMMIT"
    )
    assert artifacts(guarded) == 0
    entry = guarded.psql(
        "SELECT object, detail ->> 'turned_off', db_role FROM zanith._zanith_audit_log"
        " WHERE detail ? 'deleted'"
    )
    assert entry == "public.t|true|postgres"
    turn_guard_on(guarded, Rule(Mode.CAPTURE, may_turn_off=False))
    guarded.psql("CREATE TABLE t (a int); SET zanith.guard = off; DROP TABLE t")
    assert artifacts(guarded) == 1


def test_the_setting_makes_it_stricter(guarded):
    refused(guarded, "CREATE TABLE t (a int); SET zanith.guard = refuse; DROP TABLE t")
    guarded.psql("SET zanith.guard = warn; DROP TABLE t")
    assert artifacts(guarded) == 1


# ------------------------------------------------------------------------------------------ roles


def test_a_role_without_any_right_runs_ddl_and_deletes_nothing(guarded, app):
    guarded.psql(
        as_role(
            app,
            "ALTER TABLE app.t ADD d int; CREATE INDEX i ON app.t (d); DROP INDEX app.i;"
            "ALTER TABLE app.t ALTER d SET DEFAULT 1; CREATE VIEW app.v AS SELECT 1;"
            "DROP VIEW app.v; CREATE TEMP TABLE x (a int, b int); ALTER TABLE x DROP b;"
            "DROP TABLE x; DROP TABLE IF EXISTS app.none_such",
        )
    )
    for drop in ("DROP TABLE app.t", "ALTER TABLE app.t DROP COLUMN c"):
        assert f"zanith init --grant {app}" in refused(guarded, as_role(app, drop))
    assert artifacts(guarded) == 0


@pytest.mark.parametrize("how", ["grant", "public"])
def test_a_role_that_may_capture_captures_what_it_owns(guarded, app, how):
    if how == "grant":
        grant_capture(guarded, app)
    else:
        turn_guard_on(guarded, public=True)
    guarded.psql(as_role(app, "ALTER TABLE app.t DROP COLUMN c; DROP TABLE app.t"))
    by = guarded.psql("SELECT DISTINCT created_by_role FROM zanith._zanith_migration_artifacts")
    assert (by, artifacts(guarded)) == (app, 2)


def test_the_guard_takes_no_right_and_gives_none(guarded, app, create_role):
    other = create_role("other")
    turn_guard_on(guarded, public=True)
    with pytest.raises(CommandFailed, match=r"permission denied|must be owner"):
        guarded.psql(as_role(other, "DROP TABLE app.t"))
    for table in ("_zanith_guard_rules", "_zanith_guard_facts"):
        for statement in (f"SELECT FROM zanith.{table}", f"DELETE FROM zanith.{table}"):
            with pytest.raises(CommandFailed, match="permission denied for table"):
                guarded.psql(as_role(app, statement))


# ---------------------------------------------------------------------------------------- forgery

FORGED = [
    "SET zanith.guard_busy = on",
    "SET zanith.guard_rehearsal = on",
    "SET zanith.guard_left = on",
    "SET zanith.guard_known = on",
    "SET zanith.guard_extension = on",
    """SET zanith.guard_text = '{"key": "x", "seen": {}, "of": {"DROP TABLE": [null]}}'""",
    "SELECT zanith._guard_expect('app.t'::regclass, 0::smallint)",
    "SELECT zanith._guard_expect('app.t'::regclass, 2::smallint)",
    "SELECT zanith._guard_leave('app.t'::regclass, 2::smallint)",
    """SELECT zanith._note_captured('app.t'::regclass, '{"column": {"name": "c"}}', true)""",
    "SELECT zanith._record_capture('archive_column', 'app.t'::regclass, 'c', 'abcdefabcdef',"
    " 'cascade', false, NULL, NULL, NULL, '{}', NULL, zanith._prove_caller())",
    "SELECT zanith._record_capture('archive_table', 'app.t'::regclass, NULL, 'abcdefabcdef',"
    " 'cascade', false, NULL, NULL, NULL, '{}', NULL, zanith._prove_caller())",
    "SELECT zanith.begin_own_work()",
    "INSERT INTO zanith._zanith_guard_facts (kind) VALUES ('own work')",
    "SELECT zanith._guard_settle('DROP TABLE')",
    "SELECT zanith._guard_record('DROP TABLE', zanith._prove_caller())",
]


@pytest.mark.parametrize("drop", ["DROP TABLE app.t", "ALTER TABLE app.t DROP COLUMN c"])
@pytest.mark.parametrize("capturing", [False, True])
def test_no_setting_and_no_call_makes_a_drop_pass(guarded, app, drop, capturing):
    """What a user can set or call leads to a capture or to a refusal."""
    if capturing:
        grant_capture(guarded, app)
    for forged in [*FORGED, *(f"SET zanith.guard_busy = on;\n{call}" for call in FORGED)]:
        text = as_role(app, f"BEGIN;\n\\set ON_ERROR_STOP off\nSAVEPOINT a;\n{forged};\n")
        text += "ROLLBACK TO a;\n" if "INSERT" in forged else ""
        before = artifacts(guarded)  # each with its recovery_sql
        guarded.server.psql(
            guarded.name, f"{text}SAVEPOINT b;\n{drop};\nROLLBACK TO b;\n{drop};\nCOMMIT;"
        )
        there = guarded.psql(
            "SELECT count(*) FROM pg_attribute WHERE attrelid = to_regclass('app.t')"
            " AND attname = 'c' AND NOT attisdropped"
        )
        kept = guarded.psql(
            "SELECT count(*) FROM zanith._zanith_migration_artifacts WHERE recovery_sql IS NOT NULL"
        )
        assert there == "1" or int(kept) == before + 1, forged
        guarded.psql("DELETE FROM zanith._zanith_migration_artifacts WHERE recovery_sql IS NULL")
        if there != "1":
            guarded.psql("SET zanith.guard = off; DROP TABLE IF EXISTS app.t")
            guarded.psql(
                f"SET ROLE {app}; CREATE TABLE app.t (id int PRIMARY KEY, c text);"
                "INSERT INTO app.t VALUES (1, 'a')"
            )


def test_a_captured_column_gives_its_name_to_no_other(guarded):
    """A column that takes the name of a captured one, in the same transaction, is captured too."""
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b text); INSERT INTO t VALUES (1, 'a', 'b');"
        "BEGIN; SELECT zanith.soft_drop_column('t', 'a'); ALTER TABLE t RENAME b TO a;"
        "ALTER TABLE t DROP COLUMN a; COMMIT"
    )
    assert artifacts(guarded) == 2
    parked = guarded.psql(
        "SELECT string_agg(physical_column, '' ) FROM zanith._zanith_migration_artifacts"
        " WHERE artifact_type = 'soft_drop_column'"
    )
    said = refused(guarded, f"BEGIN; ALTER TABLE t DROP COLUMN {parked}")
    assert "zanith recover purge" in said


def test_what_is_parked_is_dropped_by_a_purge_alone(guarded):
    guarded.psql("CREATE TABLE t (id int PRIMARY KEY, a text); ALTER TABLE t DROP a; DROP TABLE t")
    for name in guarded.psql(
        "SELECT physical_table FROM zanith._zanith_migration_artifacts"
    ).splitlines():
        said = refused(guarded, f"DROP TABLE _zanith_shadow.{name}")
        assert "zanith recover purge" in said
    refused(guarded, "DROP SCHEMA _zanith_shadow CASCADE")


# ------------------------------------------------------------------------------------- the way out


def test_without_the_schema_ddl_goes_on(guarded):
    """DROP SCHEMA zanith takes the event triggers along: nothing is left that could fail."""
    guarded.psql("CREATE TABLE t (a int); DROP TABLE t")
    assert "zanith recover list" in refused(guarded, "DROP SCHEMA IF EXISTS public, zanith CASCADE")
    guarded.psql("CREATE TABLE t (a int); SET zanith.guard = off; DROP SCHEMA zanith CASCADE")
    assert guarded.psql("SELECT count(*) FROM pg_event_trigger") == "0"
    guarded.psql("ALTER TABLE t ADD b int; DROP TABLE t")


def test_ddl_of_the_schema_zanith_without_artifacts_passes(guarded):
    guarded.psql("DROP SCHEMA zanith CASCADE; CREATE TABLE t (a int); DROP TABLE t")


def test_broken_functions_stop_no_other_ddl_and_can_be_turned_off(guarded):
    guarded.psql("CREATE TABLE t (a int); DROP FUNCTION zanith._guard_find_losses(text)")
    guarded.psql("CREATE TEMP TABLE x (a int, b int); ALTER TABLE x DROP b; DROP TABLE x")
    guarded.psql("CREATE VIEW v AS SELECT 1; DROP VIEW v; ALTER TABLE t ADD b int")
    with pytest.raises(CommandFailed, match="_guard_find_losses"):
        guarded.psql("DROP TABLE t")
    guarded.psql("".join(f"ALTER EVENT TRIGGER {name} DISABLE;" for name in TRIGGERS))
    guarded.psql("DROP TABLE t")


def test_a_database_that_is_kept_is_not_dropped(bare_database):
    url = bare_database.url
    done("init", url=url)
    drop = f"DROP DATABASE {bare_database.name}"
    assert done("guard", "database", "on", "--json", url=url).json["database_kept"] is True
    with pytest.raises(CommandFailed, match="cannot drop a template database"):
        bare_database.server.psql("postgres", drop)
    assert done("guard", "database", "off", "--json", url=url).json["database_kept"] is False
    assert zanith("guard", "status", url=url).code == 0


def test_a_child_goes_with_its_parent_whatever_its_own_rule_is(guarded):
    guarded.psql("CREATE SCHEMA scratch; CREATE SCHEMA ledger")
    turn_guard_on(guarded, Rule(Mode.OFF, schema="scratch"))
    turn_guard_on(guarded, Rule(Mode.REFUSE, schema="ledger"))
    guarded.psql(
        "CREATE TABLE up (a int);"
        "CREATE TABLE scratch.down (b int) INHERITS (up); INSERT INTO scratch.down VALUES (1, 2);"
        "CREATE TABLE parts (a int) PARTITION BY LIST (a);"
        "CREATE TABLE scratch.one PARTITION OF parts FOR VALUES IN (1);"
        "CREATE TABLE kept (a int) PARTITION BY LIST (a);"
        "CREATE TABLE ledger.one PARTITION OF kept FOR VALUES IN (1)"
    )
    guarded.psql("DROP TABLE up, scratch.down")
    guarded.psql("DROP TABLE scratch.one, parts")
    assert guarded.psql("SELECT to_regclass('scratch.down'), to_regclass('scratch.one')") == "|"
    assert artifacts(guarded) == 3
    assert "refuses every drop" in refused(guarded, "DROP TABLE kept, ledger.one")
    assert guarded.psql("SELECT to_regclass('ledger.one')") == "ledger.one"


def test_the_reason_is_the_statement_as_a_person_writes_it(guarded):
    guarded.psql(
        'CREATE TABLE "a . b" (id int PRIMARY KEY, c numeric(8, 4), d int); INSERT INTO "a . b"'
        " VALUES (1, 1, 1)"
    )
    guarded.psql(
        'ALTER TABLE public . "a . b"\n  ALTER c TYPE numeric(12,2) USING round(c, 2)::numeric;'
    )
    guarded.psql('ALTER  TABLE public."a . b" /* all */ DROP COLUMN d, DROP COLUMN IF EXISTS e')
    guarded.psql('DROP TABLE "a . b" , "a . b" CASCADE')
    reasons = guarded.psql(
        "SELECT reason FROM zanith._zanith_migration_artifacts ORDER BY capture_order"
    )
    assert reasons.splitlines() == [
        'guard: ALTER TABLE public."a . b" ALTER c TYPE numeric (12, 2)'
        " USING round (c, 2)::numeric",
        'guard: ALTER TABLE public."a . b" DROP COLUMN d, DROP COLUMN IF EXISTS e',
        'guard: DROP TABLE "a . b", "a . b" CASCADE',
    ]
