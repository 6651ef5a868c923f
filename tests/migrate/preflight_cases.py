"""Rows and statements: PostgreSQL judges whether the statement fails on the rows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A statement on rows. `found` is the number that the probes tell; None is that all pass.

    `unchecked`: no probe may say that it passed. `since` is the first version that has it.
    """

    rows: str
    sql: str
    found: int | None = None
    unchecked: bool = False
    since: int = 15
    icu: bool = False
    any: bool = False
    """Whether it may fail for another reason than rows, such as a cast that does not exist."""


T = "CREATE TABLE t (id int PRIMARY KEY, a {}, b int); INSERT INTO t VALUES {};"


def _t(kind: str, *values: str) -> str:
    rows = ", ".join(f"({n}, {value}, {n})" for n, value in enumerate(values, 1))
    return T.format(kind, rows or "(1, NULL, NULL)")


_O = "CREATE TABLE o (id int PRIMARY KEY, k text UNIQUE); INSERT INTO o VALUES (1, 'a'), (2, 'b');"
_PARTED = """CREATE TABLE p (id int, a text) PARTITION BY {}; CREATE TABLE d PARTITION OF p DEFAULT;
INSERT INTO p VALUES (1, 'a'), (5, 'b'), (10, NULL); CREATE TABLE n (id int, a text);
INSERT INTO n VALUES (20, 'x'), (21, 'y');"""

DUPLICATES = [
    Case(_t("text", "'x'", "'y'", "NULL", "NULL"), "ALTER TABLE t ADD UNIQUE (a)"),
    Case(_t("text", "'x'", "'x'", "'y'", "'y'"), "ALTER TABLE t ADD UNIQUE (a)", 2),
    Case(_t("text", "'x'", "'X'"), "ALTER TABLE t ADD UNIQUE (a)"),
    Case(_t("text", "'x'", "'X'"), "CREATE UNIQUE INDEX ON t (lower(a))", 1),
    Case(_t("text", "'x'", "'X'", "''", "''"), "CREATE UNIQUE INDEX ON t (lower(a)) WHERE a <> ''", 1),
    Case(_t("text", "''", "''"), "CREATE UNIQUE INDEX ON t (a)", 1),
    Case(_t("text", "'a'", "'a '"), "CREATE UNIQUE INDEX ON t (a)"),
    Case(_t("char(5)", "'a'", "'a '"), "CREATE UNIQUE INDEX ON t (a)", 1),
    Case(_t("text", "NULL", "NULL"), "CREATE UNIQUE INDEX ON t (a) NULLS NOT DISTINCT", 1),
    Case(_t("text", "NULL", "'x'"), "CREATE UNIQUE INDEX ON t (a) NULLS NOT DISTINCT"),
    Case(_t("text", "NULL", "NULL"), "ALTER TABLE t ADD UNIQUE NULLS NOT DISTINCT (a)", 1),
    Case(_t("float8", "'NaN'", "'NaN'"), "ALTER TABLE t ADD UNIQUE (a)", 1),
    Case(_t("float8", "'-0'", "0"), "ALTER TABLE t ADD UNIQUE (a)", 1),
    Case(_t("numeric", "1.0", "1.00"), "ALTER TABLE t ADD UNIQUE (a)", 1),
    Case(_t("numeric", "'NaN'", "'NaN'"), "ALTER TABLE t ADD UNIQUE (a)", 1),
    Case(_t("int", "1", "1"), "ALTER TABLE t ADD UNIQUE (a, b)"),
    Case(_t("int", "1", "1"), "ALTER TABLE t ADD UNIQUE (a) INCLUDE (b)", 1),
    Case(_t("int", "1", "1"), "CREATE UNIQUE INDEX ON t (a) INCLUDE (b)", 1),
    Case(_t("int", "1", "1", "2"), "CREATE UNIQUE INDEX ON t (a) WHERE b > 1"),
    Case(_t("int", "1", "1", "2"), "ALTER TABLE t ADD PRIMARY KEY (a)".replace("t ADD", "t DROP CONSTRAINT t_pkey, ADD"), 1),
    Case(_t("int", "1", "NULL", "2"), "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)", 1),
    Case(_t("int", "1", "3", "2"), "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a)"),
    Case(_t("int", "1", "0"), "CREATE UNIQUE INDEX ON t ((10 / a))", 1),
    Case(_t("text", "'x'", "'X'") + "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2',"
         " deterministic = false);", "CREATE UNIQUE INDEX ON t (a COLLATE ci)", 1, icu=True),
    Case(_t("text", "'x'", "'y'") + "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2',"
         " deterministic = false);", "CREATE UNIQUE INDEX ON t (a COLLATE ci)", icu=True),
    Case(_t("text", "'x'", "'x'"), "CREATE UNIQUE INDEX ON t (a text_pattern_ops)", 1),
    Case(_t("jsonb", "'{}'", "'{}'"), "CREATE UNIQUE INDEX ON t (a)", 1),
    Case(_t("int[]", "'{1}'", "'{1}'"), "CREATE UNIQUE INDEX ON t (a)", 1),
    Case(_t("int", "1", "1") + "CREATE TABLE c () INHERITS (t); INSERT INTO c VALUES (9, 1, 1);"
         "DELETE FROM ONLY t WHERE id = 2;", "ALTER TABLE t ADD UNIQUE (a)"),
    Case(_t("int", "1", "1"), "ALTER TABLE t ADD c int DEFAULT 1 UNIQUE", 1),
    Case(_t("int", "1", "1"), "ALTER TABLE t ADD c int UNIQUE"),
    Case(_t("int", "1", "1"), "ALTER TABLE t ADD c serial UNIQUE"),
    Case(_t("int", "1", "1"), "ALTER TABLE t ADD c uuid DEFAULT gen_random_uuid() UNIQUE", unchecked=True),
    Case(_t("int", "1", "2"), "ALTER TABLE t ADD c int GENERATED ALWAYS AS (a / 4) STORED UNIQUE", 1),
    Case(_t("int4range", "'[1,5)'", "'[4,9)'"), "ALTER TABLE t ADD EXCLUDE USING gist (a WITH &&)", 1),
    Case(_t("int4range", "'[1,4)'", "'[4,9)'"), "ALTER TABLE t ADD EXCLUDE USING gist (a WITH &&)"),
    Case(_t("int4range", "'[1,5)'", "'[4,9)'"),
         "ALTER TABLE t ADD EXCLUDE USING gist (a WITH &&) WHERE (b > 1)"),
    Case(_t("int", "1", "1"), "ALTER TABLE t ADD EXCLUDE (a WITH =)", 1),
    Case("CREATE TABLE t (id int, a int) PARTITION BY LIST (id); CREATE TABLE t1 PARTITION OF t FOR"
         " VALUES IN (1); INSERT INTO t VALUES (1, 1), (1, 1);", "ALTER TABLE t ADD UNIQUE (id, a)", 1),
    Case("CREATE TABLE t (id int, a int) PARTITION BY LIST (id); CREATE TABLE t1 PARTITION OF t FOR"
         " VALUES IN (1); INSERT INTO t VALUES (1, 1), (1, 1);", "ALTER TABLE ONLY t ADD UNIQUE (id, a)"),
    Case(_t("int", "1", "1") + "CREATE MATERIALIZED VIEW m AS SELECT * FROM t",
         "CREATE UNIQUE INDEX ON m (a)", 1),
]  # fmt: skip

_FK = _O + "CREATE TABLE t (id int PRIMARY KEY, o {}, b int);"
ORPHANS = [
    Case(_FK.format("int") + "INSERT INTO t VALUES (1, 1), (2, NULL)",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o"),
    Case(_FK.format("int") + "INSERT INTO t VALUES (1, 1), (2, 7), (3, 8)",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o", 2),
    Case(_FK.format("int") + "INSERT INTO t VALUES (1, 7)",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o NOT VALID"),
    Case(_FK.format("int") + "ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (o) REFERENCES o NOT VALID;"
         "ALTER TABLE t DISABLE TRIGGER ALL; INSERT INTO t VALUES (1, 7)",
         "ALTER TABLE t VALIDATE CONSTRAINT k", 1),
    Case(_FK.format("bigint") + "INSERT INTO t VALUES (1, 1), (2, 9)",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o (id)", 1),
    Case(_FK.format("smallint") + "INSERT INTO t VALUES (1, 1)",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o (id)"),
    Case(_FK.format("varchar") + "INSERT INTO t VALUES (1, 'a'), (2, 'c')",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o (k)", 1),
    Case(_FK.format("char(3)") + "INSERT INTO t VALUES (1, 'a'), (2, 'c')",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o (k)", 1),
    Case("CREATE TABLE o (k char(3) PRIMARY KEY); INSERT INTO o VALUES ('a');"
         "CREATE TABLE t (id int PRIMARY KEY, o text); INSERT INTO t VALUES (1, 'a'), (2, 'a  ');",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o"),
    Case("CREATE TABLE o (k float8 PRIMARY KEY); INSERT INTO o VALUES ('NaN'), ('-0');"
         "CREATE TABLE t (id int PRIMARY KEY, o float8); INSERT INTO t VALUES (1, 'NaN'), (2, 0);",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o"),
    Case("CREATE TABLE o (a int, b int, PRIMARY KEY (a, b)); INSERT INTO o VALUES (1, 1);"
         "CREATE TABLE t (id int PRIMARY KEY, a int, b int);"
         "INSERT INTO t VALUES (1, 1, 1), (2, 2, NULL), (3, NULL, NULL);",
         "ALTER TABLE t ADD FOREIGN KEY (a, b) REFERENCES o"),
    Case("CREATE TABLE o (a int, b int, PRIMARY KEY (a, b)); INSERT INTO o VALUES (1, 1);"
         "CREATE TABLE t (id int PRIMARY KEY, a int, b int);"
         "INSERT INTO t VALUES (1, 1, 1), (2, 2, NULL), (3, NULL, NULL), (4, 1, 2);",
         "ALTER TABLE t ADD FOREIGN KEY (a, b) REFERENCES o MATCH FULL", 2),
    Case("CREATE TABLE t (id int PRIMARY KEY, o int); INSERT INTO t VALUES (1, 1), (2, 1), (3, 9);",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES t", 1),
    Case(_O + "CREATE TABLE t (id int, o int) PARTITION BY LIST (id); CREATE TABLE t1 PARTITION OF t"
         " FOR VALUES IN (1); INSERT INTO t VALUES (1, 1), (1, 7);",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o", 1),
    Case("CREATE TABLE o (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE o1 PARTITION OF o"
         " FOR VALUES IN (1); INSERT INTO o VALUES (1);"
         "CREATE TABLE t (id int PRIMARY KEY, o int); INSERT INTO t VALUES (1, 1), (2, 2);",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o", 1),
    Case("CREATE TABLE o (id int PRIMARY KEY); CREATE TABLE oc () INHERITS (o); INSERT INTO oc VALUES"
         " (1); CREATE TABLE t (id int PRIMARY KEY, o int); INSERT INTO t VALUES (1, 1);",
         "ALTER TABLE t ADD FOREIGN KEY (o) REFERENCES o", 1),
    Case(_FK.format("int") + "INSERT INTO t VALUES (1, 1), (2, 2)",
         "ALTER TABLE t ADD c int DEFAULT 9 REFERENCES o", 2),
    Case(_FK.format("int") + "INSERT INTO t VALUES (1, 1), (2, 2)",
         "ALTER TABLE t ADD c int DEFAULT 1 REFERENCES o"),
    Case(_FK.format("int") + "INSERT INTO t VALUES (1, 1)", "ALTER TABLE t ADD c int REFERENCES o"),
    Case("CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE o (m mood PRIMARY KEY); INSERT INTO o"
         " VALUES ('a'); CREATE TABLE t (id int PRIMARY KEY, m mood); INSERT INTO t VALUES (1, 'b');",
         "ALTER TABLE t ADD FOREIGN KEY (m) REFERENCES o", 1),
]  # fmt: skip

VALUES = [
    Case(_t("int", "1", "NULL"), "ALTER TABLE t ALTER a SET NOT NULL", 1),
    Case(_t("int", "1", "2"), "ALTER TABLE t ALTER a SET NOT NULL"),
    Case(_t("int", "1", "NULL"), "ALTER TABLE t ADD CONSTRAINT k NOT NULL a", 1, since=18),
    Case(_t("int", "1", "NULL"), "ALTER TABLE t ADD CONSTRAINT k NOT NULL a NOT VALID", since=18),
    Case("CREATE TYPE pair AS (l int, r int);" + _t("pair", "(NULL, NULL)::pair"),
         "ALTER TABLE t ALTER a SET NOT NULL"),
    Case(_t("int", "1") + "CREATE TABLE c () INHERITS (t); INSERT INTO c VALUES (9, NULL, 1);",
         "ALTER TABLE t ALTER a SET NOT NULL", 1),
    Case(_t("int", "1") + "ALTER TABLE t ADD CHECK (a IS NOT NULL)", "ALTER TABLE t ALTER a SET NOT NULL"),
    Case(_t("int", "1", "2"), "ALTER TABLE t ADD c int NOT NULL", 2),
    Case("CREATE TABLE t (id int PRIMARY KEY)", "ALTER TABLE t ADD c int NOT NULL"),
    Case(_t("int", "1", "2"), "ALTER TABLE t ADD c int NOT NULL DEFAULT 1"),
    Case(_t("int", "1", "2"), "ALTER TABLE t ADD c int NOT NULL DEFAULT NULL", 2),
    Case(_t("int", "1", "2"), "ALTER TABLE t ADD c serial NOT NULL"),
    Case(_t("int", "1", "2"), "ALTER TABLE t ADD c int GENERATED ALWAYS AS IDENTITY"),
    Case(_t("int", "1", "NULL"), "ALTER TABLE t ADD c int NOT NULL GENERATED ALWAYS AS (a + 1) STORED", 1),
    Case(_t("int", "1", "0"), "ALTER TABLE t ADD c int GENERATED ALWAYS AS (10 / a) STORED", 1),
    Case(_t("int", "1", "-1", "NULL"), "ALTER TABLE t ADD CHECK (a > 0)", 1),
    Case(_t("int", "1", "NULL"), "ALTER TABLE t ADD CHECK (a > 0)"),
    Case(_t("int", "1", "-1"), "ALTER TABLE t ADD CHECK (a > 0) NOT VALID"),
    Case(_t("int", "1", "-1"), "ALTER TABLE t ADD CHECK (t.a > 0 AND b < 10)", 1),
    Case(_t("int", "1", "0"), "ALTER TABLE t ADD CHECK (10 / a > 0)", 1),
    Case(_t("int", "1", "-1") + "ALTER TABLE t ADD CONSTRAINT k CHECK (a > 0) NOT VALID",
         "ALTER TABLE t VALIDATE CONSTRAINT k", 1),
    Case(_t("int", "1", "1") + "CREATE TABLE c () INHERITS (t); INSERT INTO c VALUES (9, -1, 1);",
         "ALTER TABLE t ADD CHECK (a > 0)", 1),
    Case(_t("int", "1", "1") + "CREATE TABLE c () INHERITS (t); INSERT INTO c VALUES (9, -1, 1);",
         "ALTER TABLE t ADD CHECK (a > 0) NO INHERIT"),
    Case(_t("int", "1", "1"), "ALTER TABLE t ADD CHECK (t IS NOT NULL)", unchecked=True),
    Case(_t("int", "1", "2"), "ALTER TABLE t ADD c int DEFAULT 5 CHECK (c < 3)", 2),
    Case(_t("int", "1", "2"), "ALTER TABLE t ADD c int CHECK (c < 3)"),
    Case("CREATE DOMAIN d AS int NOT NULL;" + _t("int", "1", "2"), "ALTER TABLE t ADD c d", 2),
    Case("CREATE DOMAIN d AS int CHECK (value > 0);" + _t("int", "1", "2"), "ALTER TABLE t ADD c d"),
    Case("CREATE DOMAIN d AS int CHECK (value > 0);" + _t("int", "1", "2"),
         "ALTER TABLE t ADD c d DEFAULT 0", 2),
    Case("CREATE DOMAIN d AS int;" + _t("d", "1", "-2"), "ALTER DOMAIN d ADD CHECK (value > 0)", 1),
    Case("CREATE DOMAIN d AS int;" + _t("d", "1", "2"), "ALTER DOMAIN d ADD CHECK (VALUE > 0)"),
    Case("CREATE DOMAIN d AS int;" + _t("d", "1", "NULL"), "ALTER DOMAIN d SET NOT NULL", 1),
    Case("CREATE DOMAIN d AS int CONSTRAINT k CHECK (value > 0) NOT VALID".replace(
         " CONSTRAINT k CHECK (value > 0) NOT VALID", "") + ";" + _t("d", "1", "-2")
         + "ALTER DOMAIN d ADD CONSTRAINT k CHECK (value > 0) NOT VALID;",
         "ALTER DOMAIN d VALIDATE CONSTRAINT k", 1),
]  # fmt: skip

TYPES = [
    Case(_t("text", "'abc'", "'abcdef'"), "ALTER TABLE t ALTER a TYPE varchar(3)", 1),
    Case(_t("text", "'abc'", "'abc    '"), "ALTER TABLE t ALTER a TYPE varchar(3)"),
    Case(_t("text", "'äöü'", "'äöüß'"), "ALTER TABLE t ALTER a TYPE varchar(3)", 1),
    Case(_t("text", "'abc'", "'abcdef'"), "ALTER TABLE t ALTER a TYPE char(3)", 1),
    Case(_t("text", "'abcdef'"), "ALTER TABLE t ALTER a TYPE varchar(3) USING left(a, 3)"),
    Case(_t("int", "1", "12345"), "ALTER TABLE t ALTER a TYPE varchar(3)", 1),
    Case(_t("varchar(10)", "'abcdef'"), "ALTER TABLE t ALTER a TYPE varchar(5)", 1),
    Case(_t("varchar(10)", "'abcdef'"), "ALTER TABLE t ALTER a TYPE varchar(20)"),
    Case(_t("bigint", "1", "3000000000"), "ALTER TABLE t ALTER a TYPE int", 1),
    Case(_t("bigint", "1", "2147483647"), "ALTER TABLE t ALTER a TYPE int"),
    Case(_t("int", "1", "-40000"), "ALTER TABLE t ALTER a TYPE smallint", 1),
    Case(_t("numeric", "1", "99999.5"), "ALTER TABLE t ALTER a TYPE numeric(7,2)"),
    Case(_t("numeric", "1", "99999.999"), "ALTER TABLE t ALTER a TYPE numeric(7,2)", 1),
    Case(_t("numeric", "'NaN'", "1"), "ALTER TABLE t ALTER a TYPE numeric(7,2)"),
    Case(_t("numeric", "'NaN'", "1"), "ALTER TABLE t ALTER a TYPE int", 1),
    Case(_t("numeric", "'Infinity'", "1"), "ALTER TABLE t ALTER a TYPE numeric(7,2)", 1),
    Case(_t("float8", "'NaN'", "1e300", "'-0'"), "ALTER TABLE t ALTER a TYPE int", 2),
    Case(_t("float8", "1e300", "1"), "ALTER TABLE t ALTER a TYPE real", 1),
    Case(_t("text", "'1'", "'x'", "''", "NULL"), "ALTER TABLE t ALTER a TYPE int USING a::int", 2),
    Case(_t("text", "'1'", "' 2 '"), "ALTER TABLE t ALTER a TYPE int USING a::int"),
    Case(_t("text", "'1'"), "ALTER TABLE t ALTER a TYPE int", 0),
    Case(_t("text", "'1'", "'2'"), "ALTER TABLE t ALTER a TYPE date USING a::date", 2),
    Case("CREATE TYPE mood AS ENUM ('a', 'b');" + _t("text", "'a'", "'c'", "NULL"),
         "ALTER TABLE t ALTER a TYPE mood USING a::mood", 1),
    Case("CREATE TYPE mood AS ENUM ('a', 'b');" + _t("text", "'a'", "'b'"),
         "ALTER TABLE t ALTER a TYPE mood USING a::mood"),
    Case("CREATE TYPE mood AS ENUM ('a', 'b');" + _t("mood", "'a'", "'b'"), "ALTER TABLE t ALTER a TYPE text"),
    Case("CREATE DOMAIN d AS int CHECK (value < 5);" + _t("int", "1", "9"), "ALTER TABLE t ALTER a TYPE d", 1),
    Case("CREATE DOMAIN d AS int NOT NULL;" + _t("int", "1", "NULL"), "ALTER TABLE t ALTER a TYPE d", 1),
    Case(_t("int", "1", "2"), "ALTER TABLE t ALTER a TYPE bigint"),
    Case(_t("int", "1", "2"), "ALTER TABLE t ALTER a TYPE boolean", 0),
    Case(_t("int", "1", "0"), "ALTER TABLE t ALTER a TYPE boolean USING a::boolean"),
    Case(_t("text", "'1'", "'01'") + "CREATE UNIQUE INDEX ON t (a)",
         "ALTER TABLE t ALTER a TYPE int USING a::int", 1),
    Case(_t("timestamp", "'2020-01-01 10:00:00.1'", "'2020-01-01 10:00:00.2'")
         + "ALTER TABLE t ADD UNIQUE (a)", "ALTER TABLE t ALTER a TYPE timestamp(0)", 1),
    Case(_t("numeric", "1.4", "5.0") + "ALTER TABLE t ADD CHECK (a <> 1)",
         "ALTER TABLE t ALTER a TYPE int", 1),
    Case(_t("int NOT NULL", "1", "0"), "ALTER TABLE t ALTER a TYPE int USING NULLIF(a, 0)", 1),
    Case(_t("int", "1", "2"), "ALTER TABLE t ALTER a TYPE int USING a / (a - 1)", 1),
    Case(_O + "CREATE TABLE t (id int PRIMARY KEY, a int REFERENCES o); INSERT INTO t VALUES (1, 1);",
         "ALTER TABLE t ALTER a TYPE bigint USING a + 5", 1),
    Case(_t("text[]", "'{abc}'"), "ALTER TABLE t ALTER a TYPE varchar(2)[]", unchecked=True),
    Case(_t("bit(4)", "'1010'"), "ALTER TABLE t ALTER a TYPE bit(3)", 1),
    Case(_t("varbit", "'1010'"), "ALTER TABLE t ALTER a TYPE varbit(3)", 1),
    Case(_t("json", "'{}'"), "ALTER TABLE t ALTER a TYPE jsonb"),
    Case(_t("json", """'"\\u0000"'""", "'1'"), "ALTER TABLE t ALTER a TYPE jsonb", 1),
    Case(_t("text", "'1'", "'2'"), "ALTER TABLE t ALTER a TYPE int USING a::int, ADD CHECK (a < 2)", 1),
    Case(_t("text", "'1'", "'2'"), "ALTER TABLE t ADD c int DEFAULT 1, ADD CHECK (c + b < 3)", 1),
    Case(_t("text", "'1'", "NULL"), "ALTER TABLE t DROP COLUMN b, ALTER a SET NOT NULL", 1),
]  # fmt: skip

PARTITIONS = [
    Case(_PARTED.format("RANGE (id)"), "ALTER TABLE p ATTACH PARTITION n FOR VALUES FROM (20) TO (30)"),
    Case(_PARTED.format("RANGE (id)"), "ALTER TABLE p ATTACH PARTITION n FOR VALUES FROM (20) TO (21)", 1),
    Case(_PARTED.format("RANGE (id)"), "ALTER TABLE p ATTACH PARTITION n FOR VALUES FROM (5) TO (30)", 2),
    Case(_PARTED.format("RANGE (id)"), "ALTER TABLE p ATTACH PARTITION n FOR VALUES FROM (MINVALUE) TO (30)", 3),
    Case(_PARTED.format("RANGE (id)"), "CREATE TABLE q PARTITION OF p FOR VALUES FROM (5) TO (6)", 1),
    Case(_PARTED.format("RANGE (id)"), "CREATE TABLE q PARTITION OF p FOR VALUES FROM (6) TO (7)"),
    Case(_PARTED.format("LIST (a)"), "CREATE TABLE q PARTITION OF p FOR VALUES IN ('b', NULL)", 2),
    Case(_PARTED.format("LIST (a)"), "CREATE TABLE q PARTITION OF p FOR VALUES IN ('z')"),
    Case(_PARTED.format("LIST (a)"), "ALTER TABLE p ATTACH PARTITION n FOR VALUES IN ('x')", 1),
    Case(_PARTED.format("LIST (a)"), "ALTER TABLE p ATTACH PARTITION n FOR VALUES IN ('x', 'y')"),
    Case(_PARTED.format("RANGE (id, a)").replace("(10, NULL)", "(10, 'c')"),
         "ALTER TABLE p ATTACH PARTITION n FOR VALUES FROM (20, MINVALUE) TO (21, MAXVALUE)"),
    Case(_PARTED.format("RANGE (id, a)").replace("(10, NULL)", "(10, 'c')"),
         "ALTER TABLE p ATTACH PARTITION n FOR VALUES FROM (20, 'y') TO (21, MINVALUE)", 2),
    Case("CREATE TABLE p (id int) PARTITION BY HASH (id); CREATE TABLE n (id int);"
         "INSERT INTO n SELECT generate_series(1, 50);",
         "ALTER TABLE p ATTACH PARTITION n FOR VALUES WITH (MODULUS 1, REMAINDER 0)"),
    Case("CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN"
         " (1); CREATE TABLE n (id int); INSERT INTO n VALUES (1), (2);",
         "ALTER TABLE p ATTACH PARTITION n DEFAULT", 1),
    Case("CREATE TABLE p (id int PRIMARY KEY) PARTITION BY LIST (id); CREATE TABLE n (id int NOT NULL);"
         "INSERT INTO n VALUES (1), (1);", "ALTER TABLE p ATTACH PARTITION n FOR VALUES IN (1)", 1),
    Case(_O + "CREATE TABLE p (id int REFERENCES o) PARTITION BY LIST (id); CREATE TABLE n (id int);"
         "INSERT INTO n VALUES (9);", "ALTER TABLE p ATTACH PARTITION n FOR VALUES IN (9)", 1),
    Case("CREATE TABLE p (id date) PARTITION BY RANGE (id); CREATE TABLE n (id date); INSERT INTO n"
         " VALUES ('2020-02-01'), (NULL);",
         "ALTER TABLE p ATTACH PARTITION n FOR VALUES FROM ('2020-01-01') TO ('2020-03-01')", 1),
    Case("CREATE TABLE p (id int) PARTITION BY RANGE ((id + 1)); CREATE TABLE n (id int); INSERT INTO n"
         " VALUES (1);", "ALTER TABLE p ATTACH PARTITION n FOR VALUES FROM (1) TO (3)", unchecked=True),
]  # fmt: skip

# Statements before it in the same migration.
SEQUENCES = [
    Case(_t("int", "1", "NULL"), "ALTER TABLE t RENAME TO u; ALTER TABLE u RENAME a TO c;"
         "ALTER TABLE u ALTER c SET NOT NULL", 1),
    Case(_t("int", "1", "NULL"), "UPDATE t SET a = 1 WHERE a IS NULL; ALTER TABLE t ALTER a SET NOT NULL",
         unchecked=True),
    Case(_t("int", "1", "NULL"), "TRUNCATE t; ALTER TABLE t ALTER a SET NOT NULL"),
    Case(_t("int", "1", "NULL"), "DO $$ BEGIN UPDATE t SET a = 1; END $$; ALTER TABLE t ALTER a SET NOT NULL",
         unchecked=True),
    Case(_t("int", "1", "5"), "ALTER TABLE t ADD c text DEFAULT 'x'; ALTER TABLE t ADD UNIQUE (c)", 1),
    Case(_t("text", "'1'", "'5'"), "ALTER TABLE t ALTER a TYPE int USING a::int; ALTER TABLE t ADD CHECK (a < 5)", 1),
    Case(_t("int", "1", "5"), "CREATE TABLE n (id int PRIMARY KEY); ALTER TABLE t ADD FOREIGN KEY (a) REFERENCES n", 2),
    Case(_t("int", "1", "5"), "CREATE FUNCTION f(int) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN $1 < 5;"
         "ALTER TABLE t ADD CHECK (f(a))", unchecked=True),
    Case(_t("int", "1", "5"), "CREATE TABLE n (a int); INSERT INTO n VALUES (1), (1);"
         "ALTER TABLE n ADD UNIQUE (a)", unchecked=True),
    Case(_t("int", "1", "1"), "CREATE TABLE t2 (a int); ALTER TABLE t2 ADD UNIQUE (a);"
         "ALTER TABLE t2 ALTER a SET NOT NULL"),
    Case("CREATE SCHEMA s;" + _t("int", "1", "NULL"), "ALTER TABLE t SET SCHEMA s; ALTER TABLE s.t ALTER a SET NOT NULL", 1),
    Case(_t("int", "1", "NULL"), "DROP TABLE t; CREATE TABLE t (a int); ALTER TABLE t ALTER a SET NOT NULL"),
]  # fmt: skip

CASES = [*DUPLICATES, *ORPHANS, *VALUES, *TYPES, *PARTITIONS, *SEQUENCES]
