"""What has no rows, and the statements that drop it: what each leaves as artifacts."""

from __future__ import annotations

from dataclasses import dataclass

from tests.conftest import Database


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
    """Put the names of the roles and of the schema into the text."""
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
