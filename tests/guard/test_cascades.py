"""What a statement deletes without naming it is captured, and what that needs comes back."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.recovery.db.database import Database as Engine
from app.recovery.purge.purge import purge
from tests.acceptance.command import done
from tests.clusters import CommandFailed
from tests.conftest import Database
from tests.guard.test_rules import artifacts
from tests.guard.test_statements import without_tokens
from tests.guard.twin import DBA, turn_guard_on
from tests.oracle.judges import grant_capture, restore_by_psql

# By name: what is made in the schema {s}, and the statements that delete it.
SCHEMA = "DROP SCHEMA {s} CASCADE"
WHOLE = {
    "keys": (
        "CREATE TABLE {s}.a (id int PRIMARY KEY); CREATE TABLE {s}.b (id serial, a int REFERENCES"
        " {s}.a); INSERT INTO {s}.a VALUES (1); INSERT INTO {s}.b (a) VALUES (1)",
        SCHEMA,
    ),
    "partitions": (
        "CREATE TABLE {s}.p (a int) PARTITION BY RANGE (a); CREATE TABLE {s}.p1 PARTITION OF {s}.p"
        " FOR VALUES FROM (1) TO (9); INSERT INTO {s}.p VALUES (1);"
        "CREATE TABLE {s}.up (x int); CREATE TABLE {s}.down (y int) INHERITS ({s}.up)",
        SCHEMA,
    ),
    "views": (
        "CREATE TYPE {s}.e AS ENUM ('a'); CREATE TABLE {s}.t (e {s}.e DEFAULT 'a');"
        "CREATE VIEW {s}.v AS SELECT * FROM {s}.t WHERE e = 'a'",
        SCHEMA,
    ),
    "functions": (
        "CREATE FUNCTION {s}.touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE FUNCTION {s}.good(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT $1 > 0';"
        "CREATE SEQUENCE {s}.q; CREATE TABLE {s}.t (a int DEFAULT nextval('{s}.q')"
        " CHECK ({s}.good(a)));"
        "CREATE TRIGGER touch BEFORE INSERT ON {s}.t FOR EACH ROW EXECUTE FUNCTION {s}.touch();"
        "CREATE INDEX ON {s}.t ({s}.good(a)); INSERT INTO {s}.t DEFAULT VALUES",
        SCHEMA,
    ),
    "nested types": (
        "CREATE TYPE {s}.e AS ENUM ('a', 'b'); CREATE DOMAIN {s}.d AS {s}.e CHECK (VALUE <> 'b');"
        "CREATE TYPE {s}.c AS (x {s}.d, y int); CREATE TABLE {s}.t (a {s}.c[], b {s}.e);"
        "INSERT INTO {s}.t VALUES (ARRAY[ROW('a', 1)::{s}.c], 'b')",
        SCHEMA,
    ),
    "one by one": (
        "CREATE TYPE {s}.e AS ENUM ('a'); CREATE DOMAIN {s}.d AS {s}.e;"
        "CREATE TABLE {s}.t (a {s}.d)",
        "DROP TABLE {s}.t; DROP DOMAIN {s}.d; DROP TYPE {s}.e; DROP SCHEMA {s}",
    ),
    "column and type": (
        "CREATE TYPE {s}.e AS ENUM ('a', 'b'); CREATE TABLE {s}.t (id int PRIMARY KEY, a {s}.e"
        " DEFAULT 'b' NOT NULL); INSERT INTO {s}.t VALUES (1, 'a'), (2, 'b')",
        "ALTER TABLE {s}.t DROP COLUMN a; DROP TYPE {s}.e",
    ),
    "type of a column": (
        "CREATE TYPE {s}.e AS ENUM ('a', 'b'); CREATE DOMAIN {s}.d AS int CHECK (VALUE > 0);"
        "CREATE TABLE {s}.t (id int PRIMARY KEY, a {s}.d); CREATE TABLE {s}.u (a {s}.e);"
        "INSERT INTO {s}.t VALUES (1, 5), (2, NULL); INSERT INTO {s}.u VALUES ('a')",
        "DROP TYPE {s}.e CASCADE; DROP DOMAIN {s}.d CASCADE",
    ),
    "domain of a column without a key": (
        "CREATE DOMAIN {s}.d AS int CHECK (VALUE > 0); CREATE TABLE {s}.t (a int, b {s}.d);"
        "INSERT INTO {s}.t VALUES (1, 5), (1, 5)",
        "DROP DOMAIN {s}.d CASCADE",
    ),
    "a column without a key, then its table": (
        "CREATE TABLE {s}.t (a int, b int); INSERT INTO {s}.t VALUES (1, 5), (1, 5)",
        "ALTER TABLE {s}.t DROP COLUMN b; DROP SCHEMA {s} CASCADE",
    ),
    "beside rows that break a constraint": (
        "CREATE TABLE {s}.t (a int PRIMARY KEY, b int, c int); INSERT INTO {s}.t VALUES (1, -5, 7);"
        "ALTER TABLE {s}.t ADD CONSTRAINT positive CHECK (b > 0) NOT VALID",
        "ALTER TABLE {s}.t DROP COLUMN c",
    ),
    "statistics": (
        "CREATE TABLE {s}.t (a int, b int); CREATE SCHEMA {s}x;"
        "CREATE STATISTICS {s}.own ON a, (b % 10) FROM {s}.t;"
        "CREATE STATISTICS {s}x.aside (ndistinct) ON a, b FROM {s}.t",
        "DROP SCHEMA {s} CASCADE; DROP SCHEMA {s}x CASCADE",
    ),
    "typed table": (
        "CREATE TYPE {s}.pair AS (x int, y int); CREATE TABLE {s}.t OF {s}.pair;"
        "INSERT INTO {s}.t VALUES (1, 2)",
        "DROP TYPE IF EXISTS {s}.none_such, {s}.pair CASCADE",
    ),
    "granted": (
        "CREATE TABLE {s}.t (a int); GRANT USAGE ON SCHEMA {s} TO PUBLIC;"
        "COMMENT ON SCHEMA {s} IS $$a 'home'$$",
        "DROP TABLE {s}.t; DROP SCHEMA {s}",
    ),
    "quoted names": (
        """CREATE TYPE {s}."a ""b'" AS ENUM ('x'); CREATE TABLE {s}."C D" ("e f" {s}."a ""b'")""",
        """DROP TABLE {s}."C D"; DROP TYPE {s}."a ""b'" """,
    ),
}


def restore_all(database: Database, directory: Path) -> None:
    for artifact in database.psql(
        "SELECT id FROM zanith._zanith_migration_artifacts WHERE status = 'recoverable'"
        " ORDER BY capture_order DESC"
    ).split():
        restore_by_psql(database, artifact, directory)


def dump(database: Database) -> str:
    return database.pg_dump("--schema-only", "-N", "zanith", "-N", "_zanith_shadow")


def ordered(text: str) -> list[str]:
    """Return a dump's lines in any order, without commas and what no restore brings back."""
    lines = [re.sub(r",$", "", line) for line in without_tokens(text)]
    return sorted(line for line in lines if not line.startswith("-- Name: zanith_guard"))


def test_what_goes_with_a_statement_comes_back(guarded, tmp_path):
    names = {f"c{number}": case for number, case in enumerate(WHOLE.values())}
    for schema, (made, _) in names.items():
        guarded.psql(f"CREATE SCHEMA {schema}; {made.format(s=schema)}")
    before = dump(guarded)
    rows = "SELECT count(*) FROM c0.b" + "".join(
        f"; SELECT {column}::text FROM {table}"
        for table, column in (
            ("c4.t", "a"),
            ("c6.t", "a"),
            ("c7.t", "a"),
            ("c8.t", "b"),
            ("c9.t", "b"),
            ("c10.t", "c"),
        )
    )
    had = guarded.psql(rows)
    for schema, (_, drops) in names.items():
        for drop in drops.format(s=schema).split("; "):
            guarded.psql(drop)
    left = guarded.psql(
        "SELECT n.nspname, t.typname FROM pg_namespace n JOIN pg_type t ON t.typnamespace = n.oid"
        " WHERE n.nspname ~ '^c[0-9]' AND t.typname !~ '^_?(t|u)$' ORDER BY 1"
    )
    assert left == ""
    restore_all(guarded, tmp_path)
    assert ordered(dump(guarded)) == ordered(before)
    assert sorted(guarded.psql(rows).split()) == sorted(had.split())
    assert guarded.psql(SHADOW) == "0"


@pytest.mark.newest
@pytest.mark.parametrize("form", ["{}", "IF EXISTS {}", "IF EXISTS none_such, {}", "{}, other"])
def test_a_keyword_can_be_the_name(guarded, form):
    words = ("schema", "cascade", "restrict", "if", "exists", "type", "view", '"Cascade"')
    for number, word in enumerate(words, 1):
        guarded.psql(f"CREATE SCHEMA {word}; CREATE SCHEMA other; CREATE TABLE {word}.t (a int)")
        guarded.psql(f"DROP SCHEMA {form.format(word)} CASCADE; DROP SCHEMA IF EXISTS other")
        assert artifacts(guarded) == number, word
        if word != "exists":  # no type can be called so
            guarded.psql(f"CREATE DOMAIN {word} AS int; CREATE DOMAIN other AS int")
            guarded.psql(f"DROP DOMAIN {form.format(word)}; DROP DOMAIN IF EXISTS other")
    left = "SELECT typname FROM pg_type WHERE typtype = 'd' AND typnamespace = 2200"
    assert guarded.psql(left) == ""


SHADOW = (
    "SELECT count(*) FROM pg_type WHERE typnamespace = '_zanith_shadow'::regnamespace"
    " AND typtype IN ('e', 'd') OR typname ~ 'dropped_pair'"
)


@pytest.mark.newest
def test_what_needs_a_type_goes_with_it(guarded):
    """A type that is moved aside lives on: its functions and views do not."""
    guarded.psql(
        "CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (a e);"
        "CREATE FUNCTION f(e) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE VIEW v AS SELECT 'a'::e AS x; CREATE DOMAIN d AS e; CREATE CAST (e AS int)"
        " WITH FUNCTION f(e); CREATE TYPE pair AS (x e, y int); CREATE TABLE w (a int DEFAULT"
        " f('a'::e) CHECK (f('a'::e) > 0)); DROP TYPE e CASCADE"
    )
    found = (
        "SELECT (SELECT count(*) FROM pg_proc WHERE proname = 'f'), to_regclass('v'),"
        " to_regtype('d'), to_regtype('e'), (SELECT count(*) FROM pg_cast WHERE oid >= 16384),"
        " (SELECT count(*) FROM pg_attrdef WHERE adrelid = 'w'::regclass)"
        " + (SELECT count(*) FROM pg_constraint WHERE conrelid = 'w'::regclass),"
        " (SELECT count(*) FROM pg_attribute WHERE attrelid = 'pair'::regclass"
        " AND NOT attisdropped)"
    )
    assert guarded.psql(found) == "0||||0|0|1"


@pytest.mark.newest
async def test_a_type_that_is_aside_has_conflicts_and_is_purged_with_its_last_artifact(guarded):
    guarded.psql(
        "CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (a e); CREATE TABLE u (a e);"
        "DROP TABLE t, u; DROP TYPE e; CREATE TYPE e AS ENUM ('z'); CREATE TABLE w (a e)"
    )
    plan = (
        "SELECT zanith.plan_restore(id) #>> '{conflicts,0,message}'"
        " FROM zanith._zanith_migration_artifacts ORDER BY source_table"
    )
    assert guarded.psql(plan).split("\n") == ["the name of the type public.e is taken"] * 2
    # the other type of the name is that of no artifact
    with pytest.raises(CommandFailed, match="other objects depend on it"):
        guarded.psql("DROP TYPE e")
    guarded.psql("SET zanith.guard = off; DROP TYPE e CASCADE")
    assert guarded.psql(plan).strip() == ""
    engine = await Engine.open(guarded.url)
    try:
        for name, left in (("t", "1"), ("u", "0")):
            artifact = guarded.psql(
                f"SELECT id FROM zanith._zanith_migration_artifacts WHERE source_table = '{name}'"
            )
            await purge(engine, artifact, DBA, confirm=name)
            assert guarded.psql(SHADOW) == left
    finally:
        await engine.close()


@pytest.mark.newest
def test_a_schema_that_cannot_come_back_is_a_conflict(guarded):
    role = "guard_leaver"
    guarded.psql(
        f"CREATE ROLE {role}; CREATE SCHEMA s AUTHORIZATION {role}; CREATE TABLE s.t (a int);"
        " DROP SCHEMA s CASCADE;"
        f" DROP ROLE {role}"
    )
    said = (
        "SELECT zanith.plan_restore(id) #>> '{conflicts,0,hint}'"
        " FROM zanith._zanith_migration_artifacts"
    )
    assert "CREATE SCHEMA s" in guarded.psql(said)
    guarded.psql("CREATE SCHEMA s")
    assert guarded.psql(said) == ""


@pytest.mark.newest
def test_nobody_deletes_what_belongs_to_another(guarded, create_role):
    """PostgreSQL lets the owner of a schema drop another's table in it; a capture may not."""
    owner, other = create_role("schema_owner"), create_role("table_owner")
    grant_capture(guarded, owner)
    turn_guard_on(guarded)
    guarded.psql(
        f"CREATE SCHEMA s AUTHORIZATION {owner}; CREATE TABLE s.t (a int); ALTER TABLE s.t OWNER"
        f" TO {other}; CREATE TYPE e AS ENUM ('a'); CREATE TYPE s.mine AS ENUM ('a');"
        f"ALTER TYPE s.mine OWNER TO {owner}; CREATE TABLE s.u (a s.mine);"
        f"ALTER TABLE s.u OWNER TO {owner}"
    )
    as_owner = f"SET SESSION AUTHORIZATION {owner};"
    with pytest.raises(CommandFailed, match=r"guard: s\.t cannot be captured: must be owner"):
        guarded.psql(f"{as_owner} DROP SCHEMA s CASCADE")
    with pytest.raises(CommandFailed, match=r"must be owner of public\.e"):
        guarded.psql(
            f"{as_owner} SELECT zanith._guard_move_aside('pg_type', 'e'::regtype,"
            " zanith._prove_caller())"
        )
    guarded.psql(f"{as_owner} DROP TABLE s.u; DROP TYPE s.mine")
    assert guarded.psql(SHADOW) == "1"


def test_an_attribute_of_a_type_that_columns_have_is_not_dropped(guarded: Database):
    """PostgreSQL deletes its values in each row; no capture has them."""
    guarded.psql("""CREATE TYPE pair AS (x int, y text); CREATE TYPE free AS (x int, y text);
        CREATE DOMAIN good AS pair; CREATE TABLE u (id int PRIMARY KEY, p good[]);
        INSERT INTO u VALUES (1, ARRAY[ROW(1, 'secret')::pair::good])""")
    for sql in ("ALTER TYPE pair DROP ATTRIBUTE y", "ALTER TYPE pair DROP ATTRIBUTE y CASCADE"):
        with pytest.raises(
            CommandFailed, match=r"would delete for good: attribute public\.pair\.y"
        ):
            guarded.psql(sql)
    guarded.psql("ALTER TYPE free DROP ATTRIBUTE y")
    guarded.psql("BEGIN; SET LOCAL zanith.guard = off; ALTER TYPE pair DROP ATTRIBUTE y; COMMIT")
    logged = (
        "SELECT object, detail ->> 'deleted' FROM zanith._zanith_audit_log WHERE action = 'guard'"
    )
    assert "public.pair.y|composite type column" in guarded.psql(logged)


def test_a_row_type_in_another_table_keeps_the_column(guarded: Database, tmp_path: Path):
    guarded.psql("""CREATE TABLE r (id int PRIMARY KEY, c text);
        CREATE TABLE w (id int PRIMARY KEY, v r); INSERT INTO w VALUES (1, (1, 'secret'));
        ALTER TABLE r DROP COLUMN c""")
    found = "SELECT id, artifact_type FROM zanith._zanith_migration_artifacts"
    artifact, strategy = guarded.psql(found).split("|")
    assert strategy == "soft_drop_column"
    restore_by_psql(guarded, artifact, tmp_path)
    assert guarded.psql("SELECT (v).c FROM w") == "secret"


def test_a_published_table_sends_its_subscribers_nothing_else(guarded: Database):
    """A parked name, or an archive, would stop them: they do not have it."""
    guarded.psql("""CREATE TABLE keyed (id int PRIMARY KEY, c int);
        CREATE TABLE keyless (c int, d int); CREATE TABLE whole (id int PRIMARY KEY);
        CREATE PUBLICATION p FOR TABLE keyed, keyless, whole;
        ALTER TABLE keyed DROP COLUMN c; DROP TABLE whole""")
    sent = "SELECT tablename || array_to_string(attnames, ',') FROM pg_publication_tables"
    assert guarded.psql(f"{sent} ORDER BY 1").split() == ["keyedid", "keylessc,d"]
    with pytest.raises(CommandFailed, match=r"keyless\.c cannot be captured"):
        guarded.psql("ALTER TABLE keyless DROP COLUMN c")
    guarded.psql("""CREATE PUBLICATION everything FOR ALL TABLES;
        CREATE TABLE t (id int PRIMARY KEY, c int); INSERT INTO t VALUES (1, 1)""")
    done("guard", "truncate", "t", url=guarded.url)
    for sql in (
        "ALTER TABLE t DROP COLUMN c",
        "DROP TABLE t",
        "TRUNCATE t",
        "ALTER TABLE t ALTER c TYPE text USING 'x'",
        "SELECT zanith.archive_rows('t')",
        "SELECT zanith.rebuild_table('t', keep_rows => true)",
    ):
        with pytest.raises(CommandFailed, match="also sends what Zanith writes"):
            guarded.psql(sql)
