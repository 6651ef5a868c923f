"""Columns by type and by what they carry: defaults, identity, storage, grants, comments."""

from __future__ import annotations

from tests.acceptance.shapes import ARCHIVE, CASCADE, SOFT
from tests.oracle.judges import Shape

T = "CREATE TABLE t (id bigint PRIMARY KEY, {}, z text)"


def table(column: str, values: str = "", more: str = "", **options) -> Shape:
    """A table with the column between two others, two or three rows, and what else is said."""
    fill = f";INSERT INTO t (id, c) VALUES {values}" if values else ""
    return Shape(f"{T.format(column)}{fill};{more}", **options)


TYPES = {
    "plain": table("c text", "(1, 'a'), (2, NULL), (3, '')"),
    "collated": table('c text COLLATE "C"', "(1, 'a'), (2, 'B')"),
    "varchar": table("c varchar(5)", "(1, 'abc')"),
    "char": table("c char(5)", "(1, 'abc')"),
    "numeric": table("c numeric(8, 3)", "(1, 1.5), (2, 'NaN')"),
    "float": table("c double precision", "(1, 0.1), (2, 1e-300), (3, 'NaN')"),
    "interval": table("c interval day to second(3)", "(1, '3 days 04:05:06.789')"),
    "stamp": table("c timestamp(2) with time zone", "(1, '2020-02-29 12:00:00.12+05')"),
    "bit": table("c bit varying(7)", "(1, B'1010')"),
    "bytea": table("c bytea", r"(1, '\x00ff0a'), (2, '')"),
    "json": table("c json", """(1, '{"b": 1,\n "b": 2}'), (2, '[1,  2]')"""),
    "jsonb": table("c jsonb", """(1, '{"a": [null, 1.50]}')"""),
    "array": table("c text[]", """(1, '{a,NULL,"x y"}'), (2, '{}')"""),
    "array2": table("c int[][] DEFAULT '{{1,2}}'", "(1, '[0:1][1:2]={{1,2},{3,4}}')"),
    "enum": Shape(
        "CREATE TYPE mood AS ENUM ('sad', 'ok'); "
        "CREATE TABLE t (id int PRIMARY KEY, c mood DEFAULT 'ok',"
        " m mood[]); INSERT INTO t VALUES (1, 'sad', '{ok}'), (2, NULL, NULL)"
    ),
    "domain": Shape(
        "CREATE DOMAIN pos AS int NOT NULL CHECK (VALUE > 0) DEFAULT 7;"
        "CREATE TABLE t (id int PRIMARY KEY, c pos); INSERT INTO t VALUES (1, 1); "
        "INSERT INTO t VALUES (2)"
    ),
    "domain_of_domain": Shape(
        "CREATE DOMAIN short AS varchar(9) CHECK (VALUE <> ''); "
        "CREATE DOMAIN code AS short CHECK (VALUE ~ '^x');"
        "CREATE TABLE t (id int PRIMARY KEY, c code DEFAULT 'xx' NOT NULL CHECK (c <> 'xy'));"
        "CREATE INDEX i ON t (c); INSERT INTO t VALUES (1, 'x1')"
    ),
    "domain_index_of_extension": Shape(
        "CREATE DOMAIN pos AS int CHECK (VALUE > 0); CREATE TABLE t (id int PRIMARY KEY, c pos, a int);"
        "CREATE INDEX i ON t (c, a); ALTER INDEX i DEPENDS ON EXTENSION plpgsql; CREATE INDEX j ON t (c);"
        "COMMENT ON INDEX i IS 'kept'; INSERT INTO t VALUES (1, 1, 1)"
    ),
    "domain_in_a_catalog_table": Shape(
        "CREATE DOMAIN pos AS int CHECK (VALUE > 0); CREATE TABLE t (id int PRIMARY KEY, c pos, a int);"
        "INSERT INTO t VALUES (1, 1, 1); CREATE FUNCTION f() RETURNS void BEGIN ATOMIC INSERT INTO t (id, c)"
        " VALUES (1, 2) ON CONFLICT DO NOTHING; END; ALTER TABLE t SET (user_catalog_table = on)",
        options=CASCADE,
    ),
    "domain_array": Shape(
        "CREATE DOMAIN tags AS text[] CHECK (array_length(VALUE, 1) < 4);"
        "CREATE TABLE t (id int PRIMARY KEY, c tags); INSERT INTO t VALUES (1, '{a,b}')"
    ),
    "array_of_domain": Shape(
        "CREATE DOMAIN pos AS int CHECK (VALUE > 0);"
        "CREATE TABLE t (id int PRIMARY KEY, c pos[]); INSERT INTO t VALUES (1, '{1,2}')"
    ),
    "domain_composite": Shape(
        "CREATE TYPE pair AS (x int, y text); CREATE DOMAIN good AS pair CHECK ((VALUE).x > 0);"
        "CREATE TABLE t (id int PRIMARY KEY, c good); INSERT INTO t VALUES (1, '(1,a)')"
    ),
    "composite": Shape(
        "CREATE TYPE pair AS (x int, y text); "
        "CREATE TABLE t (id int PRIMARY KEY, c pair, d pair[]);"
        "INSERT INTO t VALUES (1, '(1,\"a,b\")', NULL), (2, NULL, NULL), (3, '(,)', NULL)"
    ),
    "row_of_table": Shape(
        "CREATE TABLE other (a int, b text); CREATE TABLE t (id int PRIMARY KEY, c other);"
        "INSERT INTO t VALUES (1, '(1,x)')"
    ),
    "range": table("c int4range", "(1, '[1,5)'), (2, 'empty')"),
    "multirange": table("c int4multirange", "(1, '{[1,5),[7,9)}')"),
    "own_range": Shape(
        "CREATE TYPE frange AS RANGE (subtype = float8); "
        "CREATE TABLE t (id int PRIMARY KEY, c frange);"
        "INSERT INTO t VALUES (1, '[1.5,2.5]')"
    ),
    "xml_like": table("c inet", "(1, '10.0.0.1/24')"),
    "tsvector": table("c tsvector", "(1, 'a:1 b:2')", "CREATE INDEX i ON t USING gin (c)"),
    "oids": table("c regclass", "(1, 'pg_class')"),
    "uuid": table("c uuid DEFAULT gen_random_uuid()", "(1, gen_random_uuid()), (2, NULL)"),
    "point": table("c point", "(1, '(1.5,2)')", "CREATE INDEX i ON t USING gist (c)"),
    "money": table("c money", "(1, 12.50)"),
    "oid_named": table('c "char"', "(1, 'x')"),
}

VALUES = {
    "not_null": table("c text NOT NULL", "(1, 'a')"),
    "not_null_named": table("c text CONSTRAINT must NOT NULL", "(1, 'a')", since=18),
    "not_null_comment": table(
        "c text CONSTRAINT must NOT NULL",
        "(1, 'a')",
        "COMMENT ON CONSTRAINT must ON t IS 'why'",
        since=18,
    ),
    "not_null_no_inherit": table(
        "c text CONSTRAINT must NOT NULL NO INHERIT", "(1, 'a')", since=18
    ),
    "not_null_not_valid": table(
        "c text",
        "(1, 'a'), (2, NULL)",
        "ALTER TABLE t ADD CONSTRAINT must NOT NULL c NOT VALID",
        since=18,
    ),
    "default": table("c text DEFAULT 'it''s' || E'\\n'", "(1, 'a')"),
    "default_call": Shape(
        "CREATE FUNCTION f(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 1';"
        "CREATE TABLE t (id int PRIMARY KEY, c int DEFAULT f(3) NOT NULL); "
        "INSERT INTO t VALUES (1), (2)"
    ),
    "default_now": table("c timestamptz NOT NULL DEFAULT now()", "(1, '2020-01-01Z')"),
    "default_null": table("c text DEFAULT NULL::text", "(1, 'a')"),
    "serial": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c serial, z text);"
        "INSERT INTO t (id) VALUES (1), (2); SELECT setval('t_c_seq', 41); "
        "GRANT USAGE ON t_c_seq TO :reader;"
        "COMMENT ON SEQUENCE t_c_seq IS 'numbers'; "
        "ALTER SEQUENCE t_c_seq CACHE 5 CYCLE MAXVALUE 999"
    ),
    "bigserial_unused": Shape("CREATE TABLE t (id int PRIMARY KEY, c bigserial UNIQUE)"),
    "serial_elsewhere": Shape(
        "CREATE SCHEMA aside; CREATE SEQUENCE aside.s INCREMENT -2; "
        "CREATE TABLE t (id int PRIMARY KEY,"
        " c int DEFAULT nextval('aside.s')); INSERT INTO t VALUES (1); "
        "DROP SCHEMA IF EXISTS nothing"
    ),
    "owned_not_default": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int); CREATE SEQUENCE q OWNED BY t.c START 5; "
        "SELECT nextval('q')"
    ),
    "two_sequences": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c serial); CREATE SEQUENCE q OWNED BY t.c; "
        "INSERT INTO t VALUES (1)"
    ),
    "identity_always": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, "
        "c int GENERATED ALWAYS AS IDENTITY (START 10 INCREMENT 5 CACHE 3),"
        " z int); INSERT INTO t (id) VALUES (1), (2); COMMENT ON SEQUENCE t_c_seq IS 'n';"
        "GRANT SELECT ON t_c_seq TO :reader",
    ),
    "identity_default": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, "
        "c bigint GENERATED BY DEFAULT AS IDENTITY (SEQUENCE NAME odd"
        " MINVALUE -5 MAXVALUE 900 START 7 CYCLE)); INSERT INTO t VALUES (1), (2); "
        "INSERT INTO t VALUES (3, 800)",
    ),
    "identity_unused": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c smallint GENERATED ALWAYS AS IDENTITY)"
    ),
    "identity_unique": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, "
        "c int GENERATED ALWAYS AS IDENTITY CONSTRAINT one UNIQUE);"
        "INSERT INTO t VALUES (1), (2)",
    ),
    "generated_without_key": Shape(
        "CREATE TABLE t (a int, c int GENERATED ALWAYS AS (a * 2) STORED, z int);"
        "INSERT INTO t VALUES (4), (4), (NULL); CREATE INDEX i ON t (c)",
        only=ARCHIVE,
    ),
    "generated": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, a int, c int GENERATED ALWAYS AS (a * 2) STORED, "
        "z int);"
        "INSERT INTO t VALUES (1, 4), (2, NULL); CREATE INDEX i ON t (c); "
        "COMMENT ON COLUMN t.c IS 'twice'",
        only=ARCHIVE,
    ),
    "generated_virtual": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, a int, c int GENERATED ALWAYS AS (a * 2) VIRTUAL, "
        "z int);"
        "INSERT INTO t VALUES (1, 4), (2, NULL); GRANT SELECT (c) ON t TO :reader",
        only=ARCHIVE,
        since=18,
    ),
    "generated_not_null": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, a int, "
        'c text COLLATE "C" GENERATED ALWAYS AS (a::text) STORED'
        " NOT NULL CHECK (c <> '')); INSERT INTO t VALUES (1, 4)",
        only=ARCHIVE,
    ),
    "storage": table(
        "c text",
        "(1, repeat('x', 5000))",
        "ALTER TABLE t ALTER c SET STORAGE EXTERNAL, ALTER c SET STATISTICS 321, "
        "ALTER c SET (n_distinct = -0.5,"
        " n_distinct_inherited = 7)",
    ),
    "storage_main": table("c jsonb", "(1, '{}')", "ALTER TABLE t ALTER c SET STORAGE MAIN"),
    "storage_plain": table("c text", "(1, '')", "ALTER TABLE t ALTER c SET STORAGE PLAIN"),
    "compression": table("c text COMPRESSION pglz", "(1, repeat('x', 5000))"),
    "statistics_zero": table("c text", "", "ALTER TABLE t ALTER c SET STATISTICS 0"),
    "grants": table(
        "c text",
        "(1, 'a')",
        "GRANT SELECT (c), UPDATE (c) ON t TO :reader WITH GRANT OPTION; "
        "GRANT SELECT (c, z) ON t TO PUBLIC;"
        "GRANT INSERT (c), REFERENCES (c) ON t TO :writer; GRANT SELECT ON t TO :writer",
    ),
    "comment": table("c text", "(1, 'a')", "COMMENT ON COLUMN t.c IS E'it''s\\n\"quoted\" \\\\ ✓'"),
    "unlogged": Shape(
        "CREATE UNLOGGED TABLE t (id int PRIMARY KEY, c text NOT NULL); "
        "INSERT INTO t VALUES (1, 'a')"
    ),
    "empty": table("c text NOT NULL"),
    "other_owner": Shape(
        "SET ROLE :owner; CREATE TABLE t (id int PRIMARY KEY, "
        "c text DEFAULT 'x' NOT NULL CHECK (c <> ''));"
        "INSERT INTO t VALUES (1, 'a'); GRANT SELECT (c) ON t TO :reader; "
        "GRANT SELECT ON t TO :writer"
    ),
    "dropped_columns": Shape(
        "CREATE TABLE t (x int, id int PRIMARY KEY, y text, c text, w int); "
        "INSERT INTO t VALUES (0, 1, '', 'a', 3);"
        "ALTER TABLE t DROP x, DROP y, ADD v int DEFAULT 5; CREATE INDEX i ON t (v, c)"
    ),
    "fast_default": Shape(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);"
        "ALTER TABLE t ADD c text NOT NULL DEFAULT 'given'; ALTER TABLE t ALTER c SET DEFAULT 'new'"
    ),
    "key_of_two": Shape(
        "CREATE TABLE t (a text, b int, c text, PRIMARY KEY (b, a)); "
        "INSERT INTO t VALUES ('x', 1, 'v'), ('y', 1, 'w')"
    ),
    "key_by_index": Shape(
        "CREATE TABLE t (a text NOT NULL, c text); CREATE UNIQUE INDEX only_key ON t (a);"
        "INSERT INTO t VALUES ('x', 'v'), ('y', NULL)"
    ),
    "no_key": Shape(
        "CREATE TABLE t (a text, c text); INSERT INTO t VALUES ('x', 'v'), ('x', 'v')", only=SOFT
    ),
    "only_column": Shape("CREATE TABLE t (c int); INSERT INTO t VALUES (1), (1)", only=SOFT),
}
