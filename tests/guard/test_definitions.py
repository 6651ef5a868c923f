"""What has no rows is an artifact too: a plain drop keeps its definition, and it comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.recovery.db.database import Database as Engine
from app.recovery.guard.rules import Mode, Rule
from app.recovery.plan.model import Choices, Plan
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.acceptance.command import Result, zanith
from tests.conftest import Database
from tests.guard.twin import DBA, turn_guard_on, without_ours
from tests.oracle.judges import grant_capture, restore_by_psql, see

ARTIFACTS = (
    "SELECT id FROM zanith._zanith_migration_artifacts WHERE status = 'recoverable'"
    " ORDER BY capture_order DESC"
)
KEPT = (
    "SELECT kept_kind || ' ' || kept_name FROM zanith._zanith_migration_artifacts"
    " ORDER BY capture_order"
)


@dataclass(frozen=True)
class Case:
    """What is made, the statements that drop of it, and the artifacts that these leave."""

    made: str
    drops: str
    kept: tuple[str, ...]
    since: int = 15


CASES = {
    "view": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE VIEW v (x, y) WITH (security_barrier) AS SELECT id, a FROM t WHERE b > 1 WITH"
        " CHECK OPTION; COMMENT ON VIEW v IS 'a view'; COMMENT ON COLUMN v.y IS 'the a'; GRANT"
        " SELECT ON v TO PUBLIC; GRANT UPDATE (y) ON v TO {reader} WITH GRANT OPTION; ALTER VIEW"
        " v ALTER x SET DEFAULT 5; ALTER VIEW v OWNER TO {owner}; GRANT USAGE ON SCHEMA {s} TO"
        " {owner};",
        "DROP VIEW v",
        ("view {s}.v",),
    ),
    "views": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE VIEW v AS SELECT id FROM t; CREATE VIEW w AS SELECT id FROM v; CREATE VIEW x AS"
        " SELECT v.id FROM v, w; CREATE RULE r AS ON INSERT TO w DO INSTEAD NOTHING; CREATE"
        " FUNCTION f(w) RETURNS int LANGUAGE sql AS 'SELECT 1';",
        "DROP VIEW IF EXISTS none_such, v CASCADE",
        ("view {s}.v",),
    ),
    "several_views": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE VIEW v AS SELECT id FROM t; CREATE VIEW w AS SELECT id FROM v; CREATE VIEW x AS"
        " SELECT v.id FROM v, w;",
        "DROP VIEW v, w CASCADE",
        (
            "view {s}.w",
            "view {s}.v",
        ),
    ),
    "quoted": Case(
        'CREATE TABLE "T;--" ("a""b" int, "c\'d" text); CREATE VIEW "V $$ \\ %s" AS'
        ' SELECT "a""b" AS "x.y" FROM "T;--"; COMMENT ON VIEW "V $$ \\ %s" IS \'$do$'
        ' :name \\\'; CREATE INDEX "I )" ON "T;--" ("c\'d"); ALTER TABLE "T;--" ALTER'
        " \"c'd\" SET DEFAULT '%I;';",
        'DROP VIEW "V $$ \\ %s"; DROP INDEX "I )"; ALTER TABLE "T;--" ALTER "c\'d" DROP DEFAULT',
        (
            'view {s}."V $$ \\ %s"',
            'index {s}."I )"',
            'column default {s}."T;--"."c\'d"',
        ),
    ),
    "materialized": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE MATERIALIZED VIEW m WITH (fillfactor = 70) AS SELECT id, a, b FROM t; CREATE"
        " UNIQUE INDEX mi ON m (id); CREATE STATISTICS ms ON a, b FROM m; ALTER MATERIALIZED"
        " VIEW m ALTER a SET STATISTICS 7; COMMENT ON INDEX mi IS 'x'; CREATE MATERIALIZED VIEW"
        " n AS SELECT 1 AS x WITH NO DATA; GRANT SELECT ON m TO {reader}; ALTER MATERIALIZED"
        " VIEW m OWNER TO {owner}; GRANT SELECT ON t TO {owner};",
        "DROP MATERIALIZED VIEW m; DROP MATERIALIZED VIEW n",
        (
            "materialized view {s}.m",
            "materialized view {s}.n",
        ),
    ),
    "functions": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE FUNCTION f(x int DEFAULT 3, VARIADIC y int[] DEFAULT ARRAY[]::int[]) RETURNS"
        " int IMMUTABLE STRICT COST 7 SET search_path = public LANGUAGE sql AS 'SELECT $1';"
        " CREATE FUNCTION f(x text) RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t'; CREATE"
        " FUNCTION g(x int) RETURNS int RETURN x + 1; COMMENT ON FUNCTION g IS 'g'; REVOKE ALL"
        " ON FUNCTION f(text) FROM PUBLIC; GRANT EXECUTE ON FUNCTION f(text) TO {reader}; CREATE"
        " PROCEDURE p(INOUT x int) LANGUAGE plpgsql AS 'BEGIN x := 1; COMMIT; END'; CREATE"
        " AGGREGATE agg(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0', PARALLEL = SAFE);"
        " ALTER FUNCTION g OWNER TO {owner}; GRANT USAGE, CREATE ON SCHEMA {s} TO {owner};",
        "DROP FUNCTION f(int, int[]), f(text); DROP ROUTINE g; DROP PROCEDURE p; DROP AGGREGATE"
        " agg(int)",
        (
            "function {s}.f(x integer, VARIADIC y integer[])",
            "function {s}.f(x text)",
            "function {s}.g(x integer)",
            "procedure {s}.p(INOUT x integer)",
            "aggregate {s}.agg(integer)",
        ),
    ),
    "function_cascade": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE FUNCTION f(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1'; CREATE INDEX"
        " i ON t (f(b)); ALTER TABLE t ADD CONSTRAINT k CHECK (f(b) > 0); CREATE POLICY p ON t"
        " USING (f(b) > 0); ALTER TABLE t ALTER b SET DEFAULT f(3); CREATE VIEW v AS SELECT f(b)"
        " AS x FROM t; CREATE VIEW w AS SELECT x FROM v; CREATE STATISTICS st ON f(b), a FROM t;",
        "DROP FUNCTION f CASCADE",
        (
            "index {s}.i",
            "constraint k on {s}.t",
            "statistics object {s}.st",
            "function {s}.f(integer)",
        ),
    ),
    "indexes": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE INDEX i ON t (a) INCLUDE (b) WHERE b > 0; CREATE UNIQUE INDEX u ON t"
        " (lower(a)); COMMENT ON INDEX u IS 'u'; ALTER INDEX u ALTER COLUMN 1 SET STATISTICS 9;"
        " CREATE UNIQUE INDEX r ON t (id); ALTER TABLE t CLUSTER ON r; ALTER TABLE t REPLICA"
        " IDENTITY USING INDEX r;",
        "DROP INDEX i, u; DROP INDEX r",
        (
            "index {s}.i",
            "index {s}.u",
            "index {s}.r",
        ),
    ),
    "constraints": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE TABLE o (id int PRIMARY KEY, t_id int CONSTRAINT fk REFERENCES t ON DELETE"
        " CASCADE DEFERRABLE); ALTER TABLE t ADD CONSTRAINT k CHECK (b > 5) NOT VALID, ADD"
        " CONSTRAINT u UNIQUE (a) DEFERRABLE, ADD CONSTRAINT x EXCLUDE (b WITH =); COMMENT ON"
        " CONSTRAINT fk ON o IS 'fk'; COMMENT ON CONSTRAINT u ON t IS 'u';",
        "ALTER TABLE o DROP CONSTRAINT fk; ALTER TABLE t DROP CONSTRAINT k, DROP CONSTRAINT u;"
        " ALTER TABLE t DROP CONSTRAINT IF EXISTS x, DROP CONSTRAINT IF EXISTS none_such",
        (
            "constraint fk on {s}.o",
            "constraint k on {s}.t",
            "constraint u on {s}.t",
            "constraint x on {s}.t",
        ),
    ),
    "key_cascade": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE TABLE o (id int, t_id int CONSTRAINT fk REFERENCES t); INSERT INTO o VALUES (1,"
        " 1); CREATE VIEW v AS SELECT id, a FROM t GROUP BY id;",
        "ALTER TABLE t DROP CONSTRAINT t_pkey CASCADE",
        ("constraint t_pkey on {s}.t",),
    ),
    "of_table": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        " CREATE TRIGGER g BEFORE UPDATE OF a ON t FOR EACH ROW WHEN (NEW.b > 0) EXECUTE"
        " FUNCTION touch(1, 'x'); COMMENT ON TRIGGER g ON t IS 'it''s a \\ \"comment\"'; ALTER"
        " TABLE t ENABLE ALWAYS TRIGGER g; CREATE POLICY p ON t AS RESTRICTIVE FOR UPDATE TO"
        " {reader} USING (b > 0) WITH CHECK (a > ''); COMMENT ON POLICY p ON t IS 'p'; ALTER"
        " TABLE t ENABLE ROW LEVEL SECURITY; CREATE RULE r AS ON DELETE TO t WHERE OLD.b = 1 DO"
        " INSTEAD NOTHING; COMMENT ON RULE r ON t IS 'r'; CREATE STATISTICS st (ndistinct, mcv)"
        " ON a, b FROM t; ALTER STATISTICS st SET STATISTICS 9; ALTER TABLE t ALTER a SET"
        " DEFAULT 'x'; COMMENT ON STATISTICS st IS 'st'; ALTER TABLE t OWNER TO {owner}; GRANT"
        " CREATE, USAGE ON SCHEMA {s} TO {owner};",
        "DROP TRIGGER g ON t; DROP POLICY p ON t; DROP RULE r ON t; DROP STATISTICS st; ALTER"
        " TABLE t ALTER COLUMN a DROP DEFAULT, ALTER b SET NOT NULL; ALTER TABLE t ALTER b DROP"
        " NOT NULL",
        (
            "trigger g on {s}.t",
            "policy p on {s}.t",
            "rule r on {s}.t",
            "statistics object {s}.st",
            "column default {s}.t.a",
        ),
    ),
    "of_view": Case(
        "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'a', 2);"
        " CREATE VIEW v AS SELECT id FROM t; CREATE RULE r AS ON INSERT TO v DO INSTEAD NOTHING;"
        " CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        " CREATE TRIGGER g INSTEAD OF UPDATE ON v FOR EACH ROW EXECUTE FUNCTION touch(); CREATE"
        " MATERIALIZED VIEW m AS SELECT id FROM t; CREATE INDEX mi ON m (id);",
        "DROP RULE r ON v; DROP TRIGGER g ON v; DROP INDEX mi",
        (
            "rule r on {s}.v",
            "trigger g on {s}.v",
            "index {s}.mi",
        ),
    ),
    "sequences": Case(
        "CREATE SEQUENCE q AS smallint INCREMENT BY -2 MAXVALUE 10 CYCLE CACHE 3; COMMENT ON"
        " SEQUENCE q IS 'q'; CREATE SEQUENCE fresh; SELECT setval('fresh', 7, false); GRANT"
        " USAGE ON SEQUENCE q TO {reader}; CREATE TABLE t (id serial, n int GENERATED BY DEFAULT"
        " AS IDENTITY (START 5), m int GENERATED ALWAYS AS IDENTITY); INSERT INTO t DEFAULT"
        " VALUES; INSERT INTO t DEFAULT VALUES; SELECT nextval('q'); ALTER SEQUENCE fresh OWNER"
        " TO {owner}; GRANT USAGE ON SCHEMA {s} TO {owner};",
        "DROP SEQUENCE q, fresh; DROP SEQUENCE t_id_seq CASCADE; ALTER TABLE t ALTER n DROP"
        " IDENTITY; ALTER TABLE t ALTER m DROP IDENTITY IF EXISTS",
        (
            "sequence {s}.q",
            "sequence {s}.fresh",
            "sequence {s}.t_id_seq",
            "column identity {s}.t.n",
            "column identity {s}.t.m",
        ),
    ),
    "types": Case(
        "CREATE TYPE e AS ENUM ('a', 'b''c'); COMMENT ON TYPE e IS 'e'; ALTER TYPE e OWNER TO"
        " {owner}; REVOKE ALL ON TYPE e FROM PUBLIC; GRANT USAGE ON TYPE e TO {reader}; CREATE"
        " DOMAIN d AS text COLLATE \"C\" DEFAULT 'x' CONSTRAINT k CHECK (VALUE <> ''); COMMENT"
        " ON CONSTRAINT k ON DOMAIN d IS 'k'; ALTER DOMAIN d ADD CONSTRAINT later CHECK (VALUE"
        " <> 'y') NOT VALID; CREATE TYPE pair AS (x int, y d); COMMENT ON COLUMN pair.y IS 'y';"
        " CREATE TYPE span AS RANGE (subtype = float8); CREATE FUNCTION f(e) RETURNS int"
        " LANGUAGE sql AS 'SELECT 1'; CREATE TYPE nothing AS (); CREATE TYPE words AS RANGE"
        ' (subtype = text, collation = "C");',
        "DROP TYPE pair; DROP DOMAIN d; DROP TYPE e CASCADE; DROP TYPE span; DROP TYPE nothing;"
        " DROP TYPE words",
        (
            "type {s}.pair",
            "domain {s}.d",
            "type {s}.e",
            "type {s}.span",
            "type {s}.nothing",
            "type {s}.words",
        ),
    ),
    "types_cascade": Case(  # what PostgreSQL makes of a type by itself comes back with it
        "CREATE TYPE e AS ENUM ('a'); CREATE TYPE pair AS (x int, y e[]); CREATE FUNCTION"
        " f(pair[]) RETURNS e[] LANGUAGE sql AS 'SELECT $1[1].y'; CREATE TYPE span AS RANGE"
        ' (subtype = float8, multirange_type_name = "Many"); CREATE FUNCTION g("Many"[])'
        " RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT"
        ' "Many"(span(1, 2)) AS x; CREATE VIEW w AS SELECT 1 AS x; CREATE FUNCTION h(w[])'
        " RETURNS int LANGUAGE sql AS 'SELECT 1';",
        "DROP TYPE pair CASCADE; DROP TYPE e; DROP TYPE span CASCADE; DROP VIEW w CASCADE",
        ("type {s}.pair", "type {s}.e", "type {s}.span", "view {s}.w"),
    ),
    "partitions": Case(
        "CREATE TABLE t (id int, a text, b int) PARTITION BY RANGE (id); CREATE TABLE t1"
        " PARTITION OF t FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id); CREATE TABLE t11"
        " PARTITION OF t1 FOR VALUES FROM (0) TO (5); CREATE TABLE t2 PARTITION OF t FOR VALUES"
        " FROM (10) TO (20); INSERT INTO t VALUES (1), (11); CREATE INDEX i ON t (a); CREATE"
        " UNIQUE INDEX u ON t (id, b); ALTER TABLE t ADD CONSTRAINT k PRIMARY KEY (id), ADD"
        " CONSTRAINT c CHECK (b > 0), ALTER a SET DEFAULT 'x'; ALTER INDEX t11_a_idx RENAME TO"
        " own; COMMENT ON INDEX own IS 'own'; CREATE TABLE o (t_id int CONSTRAINT fk REFERENCES"
        " t); CREATE INDEX alone ON t11 (b); CREATE FUNCTION touch() RETURNS trigger LANGUAGE"
        " plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE INSERT ON t FOR EACH ROW"
        " EXECUTE FUNCTION touch(); CREATE TRIGGER h BEFORE INSERT ON t FOR EACH ROW EXECUTE"
        " FUNCTION touch(); ALTER TABLE t ENABLE ALWAYS TRIGGER h; ALTER TABLE ONLY t1 DISABLE"
        " TRIGGER h; ALTER TABLE t11 ENABLE REPLICA TRIGGER h; ALTER TABLE t2 DISABLE TRIGGER g;",
        "DROP TRIGGER h ON t; DROP INDEX i; DROP INDEX u; DROP INDEX alone; ALTER TABLE o DROP"
        " CONSTRAINT fk; ALTER TABLE t DROP CONSTRAINT k; ALTER TABLE t DROP CONSTRAINT c; DROP"
        " TRIGGER g ON t; ALTER TABLE t ALTER a DROP DEFAULT",
        (
            "index {s}.i",
            "index {s}.u",
            "index {s}.alone",
            "constraint fk on {s}.o",
            "constraint k on {s}.t",
            "constraint c on {s}.t",
            "trigger g on {s}.t",
            "trigger h on {s}.t",
            "column default {s}.t.a",
        ),
    ),
    "inheritance": Case(
        "CREATE TABLE t (id int, a text); CREATE TABLE kid (b int) INHERITS (t); ALTER TABLE t"
        " ADD CONSTRAINT c CHECK (id > 0); ALTER TABLE kid ADD CONSTRAINT own CHECK (b > 0);"
        " CREATE INDEX i ON kid (b); ALTER TABLE t ALTER a SET DEFAULT 'x';",
        "ALTER TABLE t DROP CONSTRAINT c; ALTER TABLE kid DROP CONSTRAINT own; DROP INDEX i;"
        " ALTER TABLE t ALTER a DROP DEFAULT",
        (
            "constraint c on {s}.t",
            "constraint own on {s}.kid",
            "index {s}.i",
            "column default {s}.t.a",
        ),
    ),
    "whole": Case(
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'; CREATE VIEW v AS SELECT"
        " f(1) AS x; CREATE VIEW w AS SELECT x FROM v; CREATE SEQUENCE q; CREATE TYPE e AS ENUM"
        " ('a'); CREATE TABLE t (id int PRIMARY KEY, b int); CREATE VIEW of_t AS SELECT b FROM"
        " t; GRANT USAGE ON SCHEMA {s} TO {reader};",
        "DROP SCHEMA {s} CASCADE",
        (
            "sequence {s}.q",
            "function {s}.f(integer)",
            "type {s}.e",
        ),
    ),
}


def names(text: str, roles: dict[str, str], schema: str) -> str:
    for key, value in {**roles, "s": schema}.items():
        text = text.replace(f"{{{key}}}", value)
    return text


def build(database: Database, roles: dict[str, str]) -> dict[str, Case]:
    """Make all cases that this version has, each in a schema of its name."""
    chosen = {n: c for n, c in CASES.items() if database.server.version >= c.since}
    for schema, case in chosen.items():
        database.psql(
            f"CREATE SCHEMA {schema}; SET search_path = {schema};"
            + names(case.made, roles, schema).replace("{{", "{").replace("}}", "}")
        )
    return chosen


async def restore_all(database: Database, artifacts: list[str]) -> None:
    engine = await Engine.open(database.url)
    try:
        for artifact in artifacts:
            report = await restore(engine, artifact, Choices(), DBA)
            assert report.fidelity is not None
            assert report.fidelity["missing"] == []
            assert report.fidelity["different"] == []
    finally:
        await engine.close()


@pytest.mark.parametrize("with_psql", [False, True])
def test_what_is_dropped_by_itself_comes_back_as_it_was(
    guarded: Database, roles: dict[str, str], tmp_path: Path, with_psql: bool
) -> None:
    chosen = build(guarded, roles)
    before = see(guarded, moved=True)
    for schema, case in chosen.items():
        drops = names(case.drops, roles, schema)
        guarded.psql(f"SET search_path = {schema}; {drops}")
    found = guarded.psql(KEPT.replace("ORDER", "WHERE kept_kind IS NOT NULL ORDER")).splitlines()
    expected = [names(line, roles, name) for name, case in chosen.items() for line in case.kept]
    assert set(found) ^ set(expected) == set()
    assert len(found) == len(expected)
    artifacts = guarded.psql(ARTIFACTS).split()
    if with_psql:
        for artifact in artifacts:
            restore_by_psql(guarded, artifact, tmp_path)
    else:
        asyncio.run(restore_all(guarded, artifacts))
    after = see(guarded, moved=True)
    assert without_ours(after) == without_ours(before)
    assert guarded.psql("SELECT count(*) FROM zanith._zanith_guard_definitions") == "0"


# ---------------------------------------------------------------------------------- transactions

TWO = (
    "CREATE TABLE t (id int PRIMARY KEY, a text DEFAULT 'x'); INSERT INTO t VALUES (1, 'a');"
    " CREATE VIEW v AS SELECT id FROM t; CREATE INDEX i ON t (a); CREATE SEQUENCE q;"
)


def kept(database: Database) -> list[str]:
    return database.psql(KEPT.replace("ORDER", "WHERE kept_kind IS NOT NULL ORDER")).splitlines()


def plan(database: Database, artifact: str, choices: Choices | None = None) -> Plan:
    async def ask() -> Plan:
        engine = await Engine.open(database.url)
        try:
            return await plan_restore(engine, artifact, choices or Choices())
        finally:
            await engine.close()

    return asyncio.run(ask())


def captures(database: Database) -> list[str]:
    """Return what the audit log says was captured."""
    return database.psql(
        "SELECT object FROM zanith._zanith_audit_log WHERE action = 'capture' ORDER BY id"
    ).splitlines()


SAME = {  # what a transaction does, and what is kept of it
    "made_again": ("DROP VIEW IF EXISTS v; CREATE VIEW v AS SELECT id FROM t", []),
    "made_otherwise": ("DROP VIEW v; CREATE VIEW v AS SELECT a FROM t", ["view public.v"]),
    "granted": (
        "DROP VIEW v; CREATE VIEW v AS SELECT id FROM t; GRANT SELECT ON v TO PUBLIC",
        ["view public.v"],
    ),
    "index_again": ("DROP INDEX i; CREATE INDEX i ON t (a)", []),
    "default_again": ("ALTER TABLE t ALTER a DROP DEFAULT, ALTER a SET DEFAULT 'x'", []),
    "default_other": (
        "ALTER TABLE t ALTER a DROP DEFAULT; ALTER TABLE t ALTER a SET DEFAULT 'y'",
        ["column default public.t.a"],
    ),
    "undone": ("SAVEPOINT a; DROP VIEW v; ROLLBACK TO a", []),
    "rolled_back": ("DROP VIEW v; ROLLBACK; BEGIN", []),
    "with_column": ("DROP INDEX i; ALTER TABLE t DROP a", []),
    "with_table": ("DROP VIEW v; DROP INDEX i; DROP TABLE t", ["view public.v"]),
    "with_key": (
        "CREATE VIEW w AS SELECT id, a FROM t GROUP BY id;"
        " ALTER TABLE t DROP CONSTRAINT t_pkey CASCADE; DROP TABLE t CASCADE",
        ["constraint t_pkey on public.t"],  # which has the view w
    ),
}


@pytest.mark.parametrize("name", SAME)
def test_a_transaction_keeps_what_is_gone_in_the_end(guarded: Database, name: str) -> None:
    guarded.psql(TWO)
    statements, expected = SAME[name]
    before = see(guarded, moved=True)
    guarded.psql(f"BEGIN; {statements}; COMMIT")
    assert kept(guarded) == expected
    assert guarded.psql("SELECT count(*) FROM zanith._zanith_guard_definitions") == "0"
    logged = [line.split(" ", 2 if line.startswith("column") else 1)[-1] for line in expected]
    assert [line for line in captures(guarded) if not name.startswith("with")] == logged[:1] * (
        not name.startswith("with")
    )
    if name in {"with_column", "with_table"}:
        asyncio.run(restore_all(guarded, guarded.psql(ARTIFACTS).split()))
        assert without_ours(see(guarded, moved=True)) == without_ours(before)
    if name == "with_key":
        asyncio.run(restore_all(guarded, guarded.psql(ARTIFACTS).split()))
        assert guarded.psql("SELECT a FROM w") == "a"


def test_a_statement_that_was_taken_for_another_leaves_no_artifact(guarded: Database) -> None:
    guarded.psql(TWO)
    dropped = (
        "SELECT jsonb_build_array(jsonb_build_object('class', 'pg_class', 'oid', 'v'::regclass::int"
        ", 'attnum', 0, 'type', 'view', 'named', true, 'normal', false, 'temporary', false))"
    )
    guarded.psql(f"BEGIN; SELECT zanith._guard_keep(({dropped}), 'DROP VIEW v', 'public'); COMMIT")
    assert kept(guarded) == []
    assert captures(guarded) == []


def test_who_may_not_capture_drops_as_without_the_guard(
    guarded: Database, create_role: Callable[..., str]
) -> None:
    role = create_role("maker")
    guarded.psql(f"CREATE SCHEMA s AUTHORIZATION {role}")
    text = (
        "SET search_path = s; CREATE VIEW v AS SELECT 1 AS x; CREATE SEQUENCE q; DROP VIEW v;"
        " DROP SEQUENCE q; CREATE TABLE t (a int DEFAULT 1); ALTER TABLE t ALTER a DROP DEFAULT"
    )
    guarded.psql(f"SET ROLE {role}; {text}")
    assert kept(guarded) == []
    # and calls the function by hand in vain
    recorded = guarded.psql(
        f"SET ROLE {role}; CREATE VIEW s.own AS SELECT 1 AS x;"
        " SELECT zanith._guard_record_definitions(jsonb_build_array(jsonb_build_object('class',"
        " 'pg_class', 'oid', 's.own'::regclass::oid, 'attnum', 0, 'type', 'view', 'named', true,"
        " 'temporary', false)), '{}', 'm', 'r', 'public', zanith._prove_caller()); DROP VIEW s.own"
    )
    assert recorded == "[]"
    assert kept(guarded) == []
    grant_capture(guarded, role)
    guarded.psql(f"SET ROLE {role}; DROP TABLE s.t; {text}")
    assert kept(guarded) == ["view s.v", "sequence s.q", "column default s.t.a"]
    roles = guarded.psql("SELECT DISTINCT created_by_role FROM zanith._zanith_migration_artifacts")
    assert roles == role


@pytest.mark.newest
def test_only_the_mode_capture_keeps_definitions(guarded: Database) -> None:
    guarded.psql(TWO)
    for mode in ("off", "refuse"):
        guarded.psql(f"BEGIN; SET LOCAL zanith.guard = {mode}; DROP VIEW v; COMMIT")
        guarded.psql("CREATE VIEW v AS SELECT id FROM t")
    turn_guard_on(guarded, Rule(Mode.WARN, schema="public"))
    guarded.psql("DROP VIEW v")
    assert kept(guarded) == []


@pytest.mark.newest
def test_a_failure_to_record_stops_no_statement(guarded: Database) -> None:
    guarded.psql(TWO)
    guarded.psql("ALTER FUNCTION zanith._define_kept RENAME TO _broken")
    said = guarded.psql("DROP VIEW v")
    assert said == ""
    assert guarded.psql("SELECT to_regclass('v')") == ""
    guarded.psql("ALTER FUNCTION zanith._kept_objects RENAME TO _broken_too")
    guarded.psql("DROP SEQUENCE q; DROP INDEX i")
    assert kept(guarded) == []
    assert guarded.psql("SELECT to_regclass('q'), to_regclass('i')") == "|"


@pytest.mark.newest
def test_what_has_no_definition_to_keep_passes(guarded: Database) -> None:
    guarded.psql(
        "CREATE TEMP VIEW v AS SELECT 1 AS x; DROP VIEW v; CREATE TABLE t (a int); CREATE INDEX i"
        " ON t (a); CREATE FUNCTION f(int, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT"
        " true'; CREATE OPERATOR @@@@ (FUNCTION = f, LEFTARG = int, RIGHTARG = int)"
    )
    guarded.psql("DROP INDEX CONCURRENTLY i")
    guarded.psql("CREATE TABLE o (a int CONSTRAINT n NOT NULL)")
    guarded.psql("ALTER TABLE o DROP CONSTRAINT n")
    assert kept(guarded) == []
    guarded.psql("DROP FUNCTION f CASCADE")
    assert kept(guarded) == ["function public.f(integer, integer)"]
    [artifact] = guarded.psql(ARTIFACTS).split()
    assert [loss.message for loss in plan(guarded, artifact).losses] == [
        "operator public.@@@@(integer,integer) was dropped with it, and is not restored:"
        " Zanith does not describe it"
    ]


@pytest.mark.newest
def test_a_grant_by_another_role_is_a_loss(
    guarded: Database, create_role: Callable[..., str]
) -> None:
    giver = create_role("giver")
    guarded.psql(
        "CREATE VIEW v AS SELECT 1 AS x; CREATE SEQUENCE q; CREATE TYPE e AS ENUM ('a'); CREATE"
        f" FUNCTION f() RETURNS int RETURN 1; GRANT SELECT ON v TO {giver} WITH GRANT OPTION;"
        f" GRANT USAGE ON SEQUENCE q TO {giver} WITH GRANT OPTION; GRANT USAGE ON TYPE e TO {giver}"
        f" WITH GRANT OPTION; GRANT EXECUTE ON FUNCTION f TO {giver} WITH GRANT OPTION; SET ROLE"
        f" {giver}; GRANT SELECT ON v TO PUBLIC; GRANT USAGE ON SEQUENCE q TO PUBLIC; GRANT USAGE"
        " ON TYPE e TO PUBLIC; GRANT EXECUTE ON FUNCTION f TO PUBLIC"
    )
    guarded.psql("DROP VIEW v; DROP SEQUENCE q; DROP TYPE e; DROP FUNCTION f")
    for artifact in guarded.psql(ARTIFACTS).split():
        assert [loss.code for loss in plan(guarded, artifact).losses] == ["grantor"]


# ------------------------------------------------------------------------------------ interfaces


@pytest.mark.newest
def test_the_commands_take_it_as_any_artifact(guarded: Database) -> None:
    guarded.psql(TWO + "ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0)")
    guarded.psql("DROP VIEW v; DROP INDEX i; ALTER TABLE t DROP CONSTRAINT c; DROP SEQUENCE q")

    def run(*words: str) -> Result:
        return zanith(*words, url=guarded.url)

    found = run("list", "--type", "keep_definition", "--json").json["artifacts"]
    assert [(item["kept_kind"], item["kept_name"], item["row_count"]) for item in found] == [
        ("sequence", "public.q", None),
        ("constraint", "c on public.t", None),
        ("index", "public.i", None),
        ("view", "public.v", None),
    ]
    assert "constraint c on public.t" in run("list").out
    assert len(run("list", "--table", "public.t", "--json").json["artifacts"]) == 2
    # by the name of the object, and of what is on a table as a column
    for name, title in (("v", "public.v"), ("public.i", "public.i"), ("t.c", "c on public.t")):
        shown = run("recover", "inspect", name, "--json").json
        assert shown["kept_name"] == title
        assert "CREATE" in shown["recovery_sql"] or "ADD CONSTRAINT" in shown["recovery_sql"]
    assert "its definition is kept" in run("recover", "inspect", "v").out
    for verb in ("export", "seal", "verify"):
        assert "of public.v only the definition was kept" in run("recover", verb, "v").err
    said = run("recover", "restore", "t.c", "--as", "other", "--yes").err
    assert "constraint c on public.t comes back by its own name only" in said
    assert run("recover", "restore-table", "v", "--yes").code != 0  # it is no table
    assert "restored public.v" in run("recover", "restore", "v", "--yes").out
    assert "restored already" in run("recover", "restore", "v", "--yes").out
    assert "purged public.i" in run("recover", "purge", "i", "--yes").out
    assert "i on" not in run("list").out
    trial = run("guard", "test", "DROP VIEW v").out
    assert "view public.v (keep_definition)" in trial
    assert "sequence public.q" in run("status").out
    assert run("recover", "doctor").code == 0


@pytest.mark.newest
def test_a_table_or_column_goes_before_a_definition_of_its_name(guarded: Database) -> None:
    guarded.psql("CREATE TABLE x (id int PRIMARY KEY, c text DEFAULT 'a')")
    guarded.psql("ALTER TABLE x DROP c; ALTER TABLE x ADD c text DEFAULT 'b'")
    guarded.psql("ALTER TABLE x ALTER c DROP DEFAULT; DROP TABLE x; CREATE VIEW x AS SELECT 1 AS y")
    guarded.psql("DROP VIEW x")
    for name, kind in (("x", "archive_table"), ("x.c", "archive_column")):
        found = zanith("recover", "inspect", name, "--json", url=guarded.url).json
        assert found["artifact_type"] == kind
