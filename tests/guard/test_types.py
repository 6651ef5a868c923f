"""ALTER COLUMN TYPE: what the conversion could lose is kept first, or the statement is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass

import asyncpg
import pytest

from app.recovery.db.guard_triggers import LATER
from app.recovery.guard.rules import Mode, Rule
from tests.acceptance.command import done, zanith
from tests.clusters import CommandFailed
from tests.conftest import Database
from tests.guard.test_rules import artifacts, as_role, count, refused
from tests.guard.twin import turn_guard_on, without_ours
from tests.oracle.judges import open_session, restore_by_psql, see

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0); CREATE DOMAIN price AS numeric(9, 2);
"""


@dataclass(frozen=True)
class Change:
    """A column with values, and what changes its type. ``kept`` says whether it could lose some."""

    type: str
    values: tuple[str, ...]
    to: str
    kept: bool = False


LOSES = {
    "rounds": Change("numeric(10,4)", ("1.5678", "-2.5000", "NULL"), "int"),
    "less_scale": Change("numeric(10,4)", ("1.5678",), "numeric(10,2)"),
    "to_date": Change("timestamptz", ("'2024-02-29 23:30:00+00'",), "date"),
    "to_timestamp": Change("timestamptz", ("'2024-10-27 00:30+00'",), "timestamp"),
    "to_zone": Change("timestamp", ("'2024-03-31 02:30'",), "timestamptz"),
    "less_precision": Change("timestamp", ("'2024-01-01 00:00:00.123456'",), "timestamp(0)"),
    "cut": Change("text", ("'abcdef'", "'ab'", "''"), "varchar(3) USING left(c, 3)"),
    "cut_by_cast": Change("text", ("'abcdef'",), 'varchar(3) USING "c"::varchar(3)'),
    "cut_blanks": Change("text", ("'ab   '",), "varchar(3)"),
    "cut_varchar": Change("varchar(9)", ("'abcdef'",), "varchar(3) USING c::varchar(3)"),
    "constant": Change("int", ("1", "2"), "int USING 0"),
    "wider_but_using": Change("int", ("1", "2"), "bigint USING c / 2"),
    "same_type": Change("text", ("'abc'",), "text USING reverse(c)"),
    "default_cast": Change("numeric(4,1)", ("2.5",), "numeric(4,1) USING c::int"),
    "collated": Change('text COLLATE "C"', ("'B'", "'a'"), 'text COLLATE "POSIX" USING lower(c)'),
    "float": Change("float8", ("0.1", "'NaN'", "1e-30"), "real"),
    "float_numeric": Change("float8", ("0.12345678901234567",), "numeric"),
    "json": Change("json", ("""'{"b": 1, "a": 2, "a": 3}'""",), "jsonb"),
    "jsonb": Change("jsonb", ("""'{"a": [1, null]}'""",), "text USING c ->> 'a'"),
    "enum": Change("mood", ("'glad'", "'sad'"), "int USING (c = 'glad')::int"),
    "composite": Change("pair", ("(1, 'x')",), "text USING (c).b"),
    "domain": Change("positive", ("3",), "boolean USING true"),
    "domain_rounds": Change("price", ("3.25",), "int"),
    "bytes": Change("bytea", (r"'\x00ff'",), "text USING encode(c, 'hex')"),
    "array": Change("int[]", ("'{1,2}'", "'[0:1]={3,4}'"), "int USING c[1]"),
    "money": Change("money", ("1.25",), "numeric"),
}
KEEPS = {
    "wider": Change("int", ("1", "NULL"), "bigint"),
    "narrower": Change("bigint", ("1", "2147483647"), "int"),
    "no_scale": Change("numeric(10,4)", ("1.5678",), "numeric"),
    "more_scale": Change("numeric(10,2)", ("1.56",), "numeric(12,4)"),
    "whole": Change("bigint", ("9223372036854775807",), "numeric(30,2)"),
    "longer": Change("varchar(5)", ("'abc'",), "varchar(9)"),
    "any_length": Change("varchar(5)", ("'abc'",), "text"),
    "fits": Change("text", ("'abc'", "'abcdefghi'"), "varchar(9)"),
    "fits_by_cast": Change("varchar(9)", ("'abc'",), 'varchar(3) USING "c"::varchar(3)'),
    "said_twice": Change("int", ("1",), "bigint USING c::bigint"),
    "printed": Change("int", ("-1",), "text"),
    "labels": Change("mood", ("'glad'",), "varchar"),
    "days": Change("date", ("'2024-02-29'",), "timestamp"),
    "double": Change("real", ("0.1", "'NaN'"), "float8"),
    "out_of_domain": Change("positive", ("3",), "int"),
    "into_domain": Change("int", ("3",), "positive"),
    "uuid": Change("uuid", ("'00000000-0000-0000-0000-000000000001'",), "text"),
    "same": Change("text", ("'a'",), "text"),
    "collation": Change("text", ("'a'",), 'text COLLATE "C"'),
}
FAILS = {
    "too_long": Change("text", ("'abcdef'",), "varchar(3)"),
    "too_large": Change("bigint", ("3000000000",), "int"),
    "no_cast": Change("text", ("'1'",), "int"),
    "no_type": Change("text", ("'1'",), "none_such"),
    "no_number": Change("text", ("'x'",), "int USING c::int"),
}
ALL = {**LOSES, **KEEPS, **FAILS}
BYTES = (
    "SELECT string_agg(encode(record_send(row(id, {column})), 'hex'), ' ' ORDER BY id) FROM {table}"
)
TYPE = (
    "SELECT atttypid, atttypmod, attcollation FROM pg_attribute"
    " WHERE attrelid = '{table}'::regclass AND attname = 'c_old'"
)


def create(name: str, change: Change) -> str:
    rows = ", ".join(f"({n}, {value})" for n, value in enumerate(change.values))
    return (
        f"CREATE TABLE t_{name} (id int PRIMARY KEY, c {change.type}, d int DEFAULT 1);"
        f"INSERT INTO t_{name} VALUES {rows};"
    )


def end(database: Database, sql: str) -> str:
    """Run one statement, and return how it ended."""
    try:
        return database.psql(f"SET timezone = 'Europe/Berlin'; {sql}")
    except CommandFailed as error:
        return str(error).partition("ERROR:")[2].partition("\n")[0].strip()


def kept(database: Database) -> dict[str, str]:
    """Return the artifact of each table whose values are kept."""
    found = database.psql(
        "SELECT jsonb_object_agg(source_table, id) FROM zanith._zanith_migration_artifacts"
        " WHERE artifact_type = 'archive_values'"
    )
    return json.loads(found) if found else {}


def values(database: Database, table: str, column: str = "c") -> str:
    """Return a column with its key, byte by byte."""
    return database.psql(BYTES.format(table=table, column=column))


@pytest.mark.each_version
def test_what_could_be_lost_is_kept_and_all_ends_as_without_the_guard(
    guarded, twin_database, tmp_path
):
    twin_database.psql("DROP SCHEMA IF EXISTS zanith, _zanith_shadow CASCADE")
    made = TYPES + "".join(create(name, change) for name, change in ALL.items())
    for database in (guarded, twin_database):
        database.psql(made)
    before = {name: values(guarded, f"t_{name}") for name in ALL}
    ends = {}
    for name, change in ALL.items():
        statement = f"ALTER TABLE t_{name} ALTER COLUMN c TYPE {change.to}"
        ends[name] = [end(database, statement) for database in (guarded, twin_database)]
    assert [name for name, (one, other) in ends.items() if one != other] == []
    assert [name for name, (one, _) in ends.items() if one] == list(FAILS)
    here, there = (without_ours(see(one, moved=True)) for one in (guarded, twin_database))
    assert here["public"] == there["public"]
    found = kept(guarded)
    assert set(found) == {f"t_{name}" for name in LOSES}
    for name, change in LOSES.items():
        restore_by_psql(guarded, found[f"t_{name}"], tmp_path)
        assert values(guarded, f"t_{name}", "c_old") == before[name], name
        assert guarded.psql(TYPE.format(table=f"t_{name}")) == guarded.psql(
            f"CREATE TEMP TABLE x (c_old {change.type}); {TYPE.format(table='x')}"
        )


@pytest.mark.each_version
def test_values_are_kept_by_a_key_that_stays(guarded):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, u int UNIQUE NOT NULL, c numeric);"
        "INSERT INTO t VALUES (1, 10, 1.5), (2, 20, 2.5)"
    )
    for change in ("TYPE int USING 4 - id", "TYPE bigint", "TYPE text"):
        said = refused(guarded, f"ALTER TABLE t ALTER id {change}, ALTER c TYPE int")
        assert "the statement also changes the key column id" in said
    guarded.psql("ALTER TABLE t ALTER c TYPE int")
    assert artifacts(guarded) == 1


@pytest.mark.newest
@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_an_old_snapshot_does_not_say_that_all_values_fit(guarded, level):
    guarded.psql("CREATE TABLE t (id int PRIMARY KEY, c text); INSERT INTO t VALUES (1, 'ab')")
    with open_session(guarded) as run:
        run(f"BEGIN ISOLATION LEVEL {level}")
        run("SELECT count(*) FROM t")
        guarded.psql("INSERT INTO t VALUES (2, 'abcdef')")
        with pytest.raises(asyncpg.PostgresError, match="READ COMMITTED"):
            run("ALTER TABLE t ALTER c TYPE varchar(3) USING c::varchar(3)")
    assert guarded.psql("SELECT c FROM t WHERE id = 2") == "abcdef"


@pytest.mark.each_version
def test_the_mode_refuse_sees_values_that_another_type_does_not_show(guarded):
    guarded.psql("CREATE TABLE t (id int PRIMARY KEY, c text, d text)")
    guarded.psql("INSERT INTO t VALUES (1, 'ccc', 'ddd')")
    session = "SET zanith.guard = refuse; BEGIN;"
    refused(guarded, f"{session} ALTER TABLE t ALTER c TYPE text USING 'lost'")
    captured = f"{session} SELECT zanith.archive_values('t', 'c');"
    refused(
        guarded,
        f"{captured} ALTER TABLE t RENAME c TO c1; ALTER TABLE t RENAME d TO c;"
        "ALTER TABLE t ALTER c TYPE text USING 'lost'",
    )
    guarded.psql(f"{captured} ALTER TABLE t ALTER c TYPE text USING 'kept'; COMMIT")
    assert guarded.psql("SELECT c, d FROM t") == "kept|ddd"


# ----------------------------------------------------------------------------------- which tables


@pytest.mark.newest
def test_the_time_zone_of_the_session_counts(guarded):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, c timestamptz); INSERT INTO t VALUES (1, now())"
    )
    guarded.psql("SET timezone = 'UTC'; ALTER TABLE t ALTER c TYPE timestamp")
    assert artifacts(guarded) == 0
    guarded.psql("SET timezone = 'Asia/Tokyo'; ALTER TABLE t ALTER c TYPE timestamptz")
    assert artifacts(guarded) == 1


@pytest.mark.each_version
def test_partitions_are_kept_with_their_table(guarded, tmp_path):
    guarded.psql(
        "CREATE TABLE p (id int, k int, v text, PRIMARY KEY (id, k)) PARTITION BY LIST (k);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1) PARTITION BY LIST (id);"
        "CREATE TABLE p11 PARTITION OF p1 DEFAULT;"
        "CREATE TABLE p2 (v text, gone int, k int NOT NULL, id int NOT NULL, w int);"
        "SET zanith.guard = off; ALTER TABLE p2 DROP gone, DROP w; RESET zanith.guard;"
        "ALTER TABLE p ATTACH PARTITION p2 FOR VALUES IN (2);"
        "INSERT INTO p VALUES (1, 1, 'abc'), (2, 2, 'def')"
    )
    before = values(guarded, "p", "v")
    guarded.psql("ALTER TABLE p ALTER v TYPE varchar(1) USING left(v, 1)")
    guarded.psql("ALTER TABLE p ALTER v TYPE text")
    restore_by_psql(guarded, kept(guarded)["p"], tmp_path)
    assert values(guarded, "p", "v_old") == before
    assert artifacts(guarded) == 1


@pytest.mark.each_version
def test_what_cannot_be_kept_is_refused_with_the_reason(guarded, create_role):
    guarded.psql(
        "CREATE TABLE no_key (c text); INSERT INTO no_key VALUES ('abc');"
        "CREATE TABLE up (id int PRIMARY KEY, c text); CREATE TABLE down () INHERITS (up);"
        "INSERT INTO down VALUES (1, 'abc'); CREATE TABLE t (id int PRIMARY KEY, c text);"
        "INSERT INTO t SELECT n, 'abc' FROM generate_series(1, 2000) n"
    )
    cut = "ALTER TABLE {} ALTER c TYPE varchar(2) USING left(c, 2)"
    said = refused(guarded, cut.format("no_key"))
    assert "has no primary key or unique index to store the values by" in said
    assert "Instead, add a column of the new type" in said
    assert "SET LOCAL zanith.guard = off" in said
    assert "inheritance children (public.down)" in refused(guarded, cut.format("up"))
    said = refused(guarded, "SET zanith.guard_copy_limit = '8kB'; " + cut.format("t"))
    assert "SET LOCAL zanith.guard_copy_limit" in said
    assert "Use BEGIN ISOLATION LEVEL READ COMMITTED" in refused(
        guarded, f"BEGIN ISOLATION LEVEL REPEATABLE READ; {cut.format('t')}"
    )
    role = create_role("types")
    guarded.psql(f"ALTER TABLE t OWNER TO {role}")
    assert "may not capture" in refused(guarded, as_role(role, cut.format("t")))
    guarded.psql(as_role(role, "ALTER TABLE t ALTER id TYPE bigint"))
    assert artifacts(guarded) == 0
    for table in ("no_key", "up", "t"):  # without a loss there is nothing to keep
        guarded.psql(f"ALTER TABLE {table} ALTER c TYPE varchar(3)")
    assert artifacts(guarded) == 0
    # the key of the only key is not kept by itself
    assert "no other primary key" in refused(guarded, "ALTER TABLE t ALTER id TYPE text USING 'x'")


@pytest.mark.newest
def test_what_postgresql_refuses_is_refused_by_its_own_error(guarded, create_role):
    guarded.psql(
        "CREATE TABLE t (id int PRIMARY KEY, c text); INSERT INTO t VALUES (1, 'abc');"
        "CREATE VIEW v AS SELECT c FROM t"
    )
    cut = "ALTER TABLE t ALTER c TYPE varchar(2) USING left(c, 2)"
    with pytest.raises(CommandFailed, match="ERROR:  cannot alter type of a column used by a view"):
        guarded.psql(cut)
    role = create_role("types")
    with pytest.raises(CommandFailed, match="ERROR:  must be owner of table t"):
        guarded.psql(as_role(role, cut))
    guarded.psql("DROP VIEW v")
    with open_session(guarded) as run:
        run("BEGIN")
        run("LOCK TABLE t IN SHARE MODE")
        with pytest.raises(CommandFailed, match="ERROR:  canceling statement due to lock timeout"):
            guarded.psql(f"SET lock_timeout = '50ms'; {cut}")
    assert artifacts(guarded) == 0


@pytest.mark.each_version
def test_what_holds_no_values_of_its_own_passes(guarded):
    guarded.psql(
        "CREATE TEMP TABLE x AS SELECT 1.5 AS c; ALTER TABLE x ALTER c TYPE int;"
        "CREATE TABLE empty (c text); ALTER TABLE empty ALTER c TYPE date USING now();"
        "CREATE TABLE t (id int PRIMARY KEY, c int, g int GENERATED ALWAYS AS (c + 1) STORED);"
        "INSERT INTO t VALUES (1, 1); ALTER TABLE t ALTER g TYPE text;"
        "BEGIN; ALTER TABLE t ADD z float DEFAULT random(), ALTER c SET STATISTICS 5;"
        "ALTER TABLE t ADD y serial, ALTER z DROP DEFAULT; ALTER TABLE t ALTER z TYPE float; COMMIT"
    )
    if guarded.server.version >= 17:
        guarded.psql(
            "BEGIN; ALTER TABLE t ADD x int; ALTER TABLE t ALTER g SET EXPRESSION AS ('a')"
        )
    assert artifacts(guarded) == 0
    guarded.psql("ALTER TABLE t SET UNLOGGED; CLUSTER t USING t_pkey; VACUUM FULL t")


# ------------------------------------------------------------------------------------ second side


@pytest.mark.each_version
def test_a_conversion_that_the_first_side_did_not_find_is_refused(guarded):
    guarded.psql(
        "CREATE TYPE pair AS (id int, c text); CREATE TABLE typed OF pair (PRIMARY KEY (id));"
        "INSERT INTO typed VALUES (1, 'abc'); CREATE TABLE t (id int PRIMARY KEY, c text);"
        "INSERT INTO t VALUES (1, 'abc')"
    )
    cut = "ALTER TABLE t ALTER c TYPE varchar(2) USING left(c, 2)"
    said = refused(guarded, "ALTER TYPE pair ALTER ATTRIBUTE c TYPE varchar(2) CASCADE")
    assert "ALTER TYPE would convert for good: column public.typed.c" in said
    said = refused(
        guarded, rf"BEGIN \; SAVEPOINT a \; ALTER TABLE t ADD x int \; ROLLBACK TO a \; {cut}"
    )
    assert "it did not find this statement alone in its text" in said
    refused(guarded, r'ALTER TABLE t ALTER U&"\0063" TYPE text USING 1')
    said = refused(guarded, f"SET zanith.guard_busy = on; {cut}")
    assert "ALTER TABLE would convert for good: column public.t.c" in said
    # a note of an earlier statement does not count
    guarded.psql(f"{cut}; ALTER TABLE t ALTER c TYPE text; UPDATE t SET c = 'xyz'")
    refused(guarded, f"SET zanith.guard_busy = on; {cut}")
    guarded.psql("DROP EVENT TRIGGER zanith_guard_start; ALTER TABLE t ADD n int DEFAULT random()")
    refused(guarded, "ALTER TABLE t ALTER id TYPE bigint")
    assert guarded.psql("SELECT id, c FROM t") == "1|xyz"


@pytest.mark.newest
def test_no_setting_makes_a_conversion_pass(guarded):
    guarded.psql("CREATE TABLE t (id int PRIMARY KEY, c text); INSERT INTO t VALUES (1, 'abc')")
    for name in ("busy", "rehearsal", "left", "no_script", "text"):
        value = '{"key": "none"}' if name == "text" else "on"
        with open_session(guarded) as run:
            run(f"SET zanith.guard_{name} = '{value}'")
            try:
                run("ALTER TABLE t ALTER c TYPE varchar(1) USING left(c, 1)")
            except asyncpg.PostgresError:
                assert guarded.psql("SELECT c FROM t") == "abc"
            else:
                assert artifacts(guarded) > 0
                guarded.psql("ALTER TABLE t ALTER c TYPE text; UPDATE t SET c = 'abc'")
    assert artifacts(guarded) == 3


@pytest.mark.newest
def test_a_column_that_changes_is_not_thereby_kept_for_a_drop(guarded):
    guarded.psql("CREATE TABLE t (id int PRIMARY KEY, c text); INSERT INTO t VALUES (1, 'abc')")
    with open_session(guarded) as run:
        run("BEGIN")
        run("ALTER TABLE t ALTER c TYPE varchar(1) USING left(c, 1)")
        run("SET LOCAL zanith.guard_busy = on")
        with pytest.raises(Exception, match="would delete for good"):
            run("ALTER TABLE t DROP c")


# --------------------------------------------------------------------------------- modes and tools


@pytest.mark.newest
def test_the_modes_apply(database):
    cut = "ALTER TABLE t ALTER c TYPE char USING left(c, 1)"
    database.psql("CREATE TABLE t (id int PRIMARY KEY, c text); INSERT INTO t VALUES (1, 'abc')")
    turn_guard_on(database, Rule(Mode.REFUSE))
    assert "The guard refuses every change of a type" in refused(database, cut)
    database.psql("ALTER TABLE t ALTER id TYPE bigint, ALTER c TYPE varchar(3)")
    turn_guard_on(database, Rule(Mode.WARN))
    log = "_zanith_audit_log WHERE detail ->> 'deleted' = 'values' AND object = 'public.t.c'"
    database.psql(cut)
    assert count(database, log) == 1
    database.psql("ALTER TABLE t ALTER id TYPE int; ALTER TABLE t ALTER c TYPE varchar(9)")
    turn_guard_on(database, Rule(Mode.CAPTURE))
    database.psql(f"SET zanith.guard = off; {cut}")
    assert count(database, f"{log} AND (detail ->> 'turned_off')::boolean") == 1
    turn_guard_on(database, Rule(Mode.OFF))
    database.psql(cut.replace("left(c, 1)", "'x'"))
    assert (artifacts(database), count(database, log)) == (0, 3)


@pytest.mark.newest
def test_the_trial_says_what_would_be_kept(guarded):
    guarded.psql("CREATE TABLE t (id int PRIMARY KEY, c text); INSERT INTO t VALUES (1, 'abc')")
    text = "ALTER TABLE t ALTER id TYPE bigint; ALTER TABLE t ALTER c TYPE char USING left(c, 1)"
    tried = done("guard", "test", text, "--json", url=guarded.url).json["statements"]
    assert [one["outcome"] for one in tried] == ["passes", "captured"]
    assert tried[1]["captured"] == [{"strategy": "archive_values", "object": "public.t.c"}]
    assert artifacts(guarded) == 0


@pytest.mark.newest
def test_an_installation_adds_the_event_trigger_of_this_version(guarded):
    present = f"SELECT evtenabled FROM pg_event_trigger WHERE evtname = '{LATER}'"
    guarded.psql(f"DROP EVENT TRIGGER {LATER}")
    assert zanith("guard", "status", "--json", url=guarded.url).json["state"] == "damaged"
    guarded.psql("UPDATE zanith._zanith_schema SET hash = 'x' WHERE file !~ '^[0-9]'")
    done("init", url=guarded.url)
    assert guarded.psql(present) == "A"
    done("guard", "off", "--yes", url=guarded.url)
    assert guarded.psql(present) == ""


@pytest.mark.newest
def test_values_are_kept_by_hand(database):
    database.psql("CREATE TABLE t (id int PRIMARY KEY, c text); INSERT INTO t VALUES (1, 'abc')")
    artifact = database.psql("SELECT zanith.archive_values('t', 'c', reason => 'before an update')")
    database.psql("UPDATE t SET c = ''")
    done("recover", "restore", artifact, "--as", "was", "--yes", url=database.url)
    assert database.psql("SELECT c, was FROM t") == "|abc"
    plan = "SELECT zanith.plan_capture('archive_values', 't', 'c') ->> 'object'"
    assert database.psql(plan) == "public.t.c"
