"""Columns of partitioned tables and of inheritance parents, tables that inherit, and what cascades take."""

from __future__ import annotations

from tests.acceptance.shapes import ARCHIVE, CASCADE, PUBLISHED, SOFT
from tests.acceptance.shapes.dependents import NOTE
from tests.oracle.judges import Shape

PARTED = (
    "CREATE TABLE t (id int, k int NOT NULL, c int NOT NULL DEFAULT 1 CHECK (c < 100), d text, "
    "PRIMARY KEY (id)) PARTITION BY RANGE (id);"
    "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE t2 (x int, k int NOT NULL, c int DEFAULT 2 NOT NULL CONSTRAINT t_c_check CHECK (c < 100),"
    " d text, id int NOT NULL); ALTER TABLE t2 DROP x; ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (10) TO (20);"
    "CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (20) TO (40) PARTITION BY LIST (id);"
    "CREATE TABLE t31 PARTITION OF t3 FOR VALUES IN (21, 22); CREATE TABLE t3d PARTITION OF t3 DEFAULT;"
    "INSERT INTO t (id, k, c, d) SELECT i, i, i % 3 + 1, 'x' FROM generate_series(1, 30) i;"
)
HEIRS = (
    "CREATE TABLE t (id int PRIMARY KEY, c int NOT NULL DEFAULT 1 CONSTRAINT ck CHECK (c < 100), d text);"
    "CREATE TABLE t1 () INHERITS (t); CREATE TABLE t2 (CHECK (c > 0)) INHERITS (t);"
    "CREATE TABLE t11 () INHERITS (t1);"
    "INSERT INTO t SELECT i, i, 'a' FROM generate_series(1, 3) i;"
    "INSERT INTO t1 SELECT i, i, 'a' FROM generate_series(11, 13) i; INSERT INTO t11 VALUES (20, 5, '');"
)


def parted(more: str = "", **options) -> Shape:
    return Shape(PARTED + more, options=options.pop("options", CASCADE), **options)


def heirs(more: str = "", table: str = "t", column: str | None = None, **options) -> Shape:
    return Shape(HEIRS + more, table=table, column=column, options=CASCADE, **options)


PARTITIONED_COLUMNS = {
    "generated_of_heirs": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, a int, c int GENERATED ALWAYS AS (a * 2) STORED);"
        "CREATE TABLE t1 (z int) INHERITS (t); INSERT INTO t VALUES (1, 4); INSERT INTO t1 VALUES (1, 5);"
        "CREATE INDEX i ON t1 (c); COMMENT ON COLUMN t1.c IS 'of the child'",
        only=ARCHIVE,
    ),
    "parted": parted(losses=("column of t2",)),
    "parted_indexes": parted(
        'CREATE INDEX plain ON t (c, d); ALTER INDEX t1_c_d_idx RENAME TO "My idx"; COMMENT ON INDEX "My idx" IS \'m\';'
        "CREATE UNIQUE INDEX uniq ON t (id, c); ALTER INDEX t31_id_c_idx SET (fillfactor = 50);"
        "CREATE INDEX part ON t ((c + 1)) WHERE c > 3; CREATE INDEX loc ON t2 (c);"
        "CREATE UNIQUE INDEX locu ON t31 (c, id) WHERE c > 5",
        losses=("column of t2",),
    ),
    "parted_constraints": parted(
        "ALTER TABLE t2 ADD CONSTRAINT special UNIQUE (c, id); COMMENT ON CONSTRAINT special ON t2 IS 's';"
        "ALTER TABLE t ADD CONSTRAINT uc UNIQUE (c, id) WITH (fillfactor = 71);"
        "ALTER TABLE t31 ADD CONSTRAINT loc CHECK (c > -50) NOT VALID; CREATE TABLE p (x int PRIMARY KEY);"
        "INSERT INTO p VALUES (1), (2), (3); ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES p ON DELETE CASCADE;"
        "CREATE TABLE kid (c int, id int, FOREIGN KEY (c, id) REFERENCES t (c, id)); INSERT INTO kid VALUES (2, 1)",
        losses=("column of t2",),
    ),
    "parted_twins": parted(
        "CREATE UNIQUE INDEX za ON t (id, c); CREATE UNIQUE INDEX ib ON t (id, c);"
        "ALTER TABLE t ADD CONSTRAINT zu UNIQUE (c, id), ADD CONSTRAINT iu UNIQUE (c, id)",
        losses=("column of t2",),
    ),
    "parted_by_themselves": Shape(
        NOTE
        + "CREATE TABLE t (id int PRIMARY KEY, c text CONSTRAINT above NOT NULL, z int) PARTITION BY RANGE (id);"
        "CREATE TABLE t1 (z int, id int NOT NULL, c text CONSTRAINT own NOT NULL); CREATE TABLE t2 PARTITION OF t DEFAULT;"
        "ALTER TABLE t ATTACH PARTITION t1 FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE t3 (z int, id int NOT NULL, c text NOT NULL) PARTITION BY LIST (id);"
        "CREATE TABLE t31 (z int, id int NOT NULL, c text CONSTRAINT leaf NOT NULL); ALTER TABLE t3 ATTACH PARTITION t31 DEFAULT;"
        "ALTER TABLE t ATTACH PARTITION t3 FOR VALUES FROM (20) TO (30); INSERT INTO t SELECT i, 'v' || i, 1 FROM generate_series(1, 35) i;"
        "CREATE INDEX ON t (c); CREATE TABLE ref (x int PRIMARY KEY); INSERT INTO ref VALUES (1); ALTER TABLE t ADD FOREIGN KEY (z) REFERENCES ref;"
        "CREATE TRIGGER g AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION note(); ALTER TABLE t1 DISABLE TRIGGER g;"
        "ALTER TABLE t31 ENABLE ALWAYS TRIGGER g",
        since=18,
        only=ARCHIVE,
        then="SELECT conrelid::regclass, conname, conislocal, coninhcount, convalidated FROM pg_constraint WHERE connamespace ="
        " '{schema}'::regnamespace ORDER BY conrelid::regclass::text, conname",
    ),
    "parted_domain": Shape(
        "CREATE DOMAIN pos AS int CHECK (VALUE > 0); CREATE TABLE t (id int PRIMARY KEY, c pos, d int) PARTITION BY LIST (id);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); CREATE TABLE t2 PARTITION OF t DEFAULT;"
        "INSERT INTO t VALUES (1, 2, 3), (4, 5, 6); CREATE INDEX two ON t (c, d); COMMENT ON INDEX two IS 'two';"
        "CREATE INDEX half ON ONLY t (c); CREATE INDEX part ON t2 (c); ALTER INDEX half ATTACH PARTITION part",
        options=CASCADE,
        only=SOFT,
    ),
    "parted_settings": parted(
        "ALTER TABLE t3d ALTER c SET DEFAULT 9, ALTER c SET STATISTICS 77; ALTER TABLE t ALTER c SET STATISTICS 5;"
        "GRANT SELECT (c) ON t31 TO :reader; COMMENT ON COLUMN t2.c IS 'two'; COMMENT ON COLUMN t.c IS 'root';"
        "CREATE STATISTICS st ON c, k FROM t2",
        losses=("column of t2",),
    ),
    "parted_triggers": parted(
        NOTE + "CREATE TRIGGER tr AFTER UPDATE OF c ON t FOR EACH ROW EXECUTE FUNCTION note();"
        "CREATE TRIGGER own BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();"
        "ALTER TABLE ONLY t2 ENABLE ALWAYS TRIGGER own; CREATE VIEW v AS SELECT c FROM t31",
        losses=("column of t2",),
    ),
    "parted_identity": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int GENERATED BY DEFAULT AS IDENTITY (START 50)) PARTITION BY HASH (id);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 1, REMAINDER 0); INSERT INTO t VALUES (1), (2)",
    ),
    "parted_set_null_columns": Shape(
        "CREATE TABLE r (x int, y int, PRIMARY KEY (x, y)); CREATE TABLE t (id int PRIMARY KEY, a int, c int, z int)"
        " PARTITION BY RANGE (id); CREATE TABLE t1 (junk int, LIKE t); ALTER TABLE t1 DROP junk;"
        "ALTER TABLE t ATTACH PARTITION t1 DEFAULT; ALTER TABLE t ADD FOREIGN KEY (id, c) REFERENCES r"
        " ON DELETE SET NULL (c)",
        options=CASCADE,
    ),
    "heirs": heirs(
        "ALTER TABLE t1 ADD CONSTRAINT own CHECK (c > -5); CREATE INDEX i ON t11 (c);"
        "CREATE UNIQUE INDEX u ON t2 (c, id); ALTER TABLE t2 ALTER c SET DEFAULT 7;"
        "COMMENT ON COLUMN t11.c IS 'x'; GRANT SELECT (c) ON t2 TO :reader",
        column="c",
        only=SOFT,
    ),
}
CASCADES = {
    "generated": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, a int, c int, g int GENERATED ALWAYS AS (c * 2) STORED,"
        " h int GENERATED ALWAYS AS (c + a) STORED NOT NULL CHECK (h > 0), CHECK (h > c), UNIQUE (h, c));"
        "INSERT INTO t VALUES (1, 1, 1), (2, 2, 2); CREATE INDEX i ON t (g, c); CREATE VIEW v AS SELECT g FROM t;"
        "ALTER TABLE t ADD UNIQUE (h); CREATE TABLE k (x int REFERENCES t (h)); COMMENT ON COLUMN t.g IS 'twice';"
        "GRANT SELECT (g) ON t TO :reader",
        options=CASCADE,
    ),
    "functions": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int); INSERT INTO t VALUES (1, 1);"
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT c FROM t; END; CREATE VIEW v AS SELECT f();"
        "CREATE VIEW w AS SELECT * FROM v; COMMENT ON FUNCTION f() IS 'f'; REVOKE ALL ON FUNCTION f() FROM PUBLIC;"
        "GRANT EXECUTE ON FUNCTION f() TO :reader; CREATE TABLE other (y int DEFAULT f())",
        options=CASCADE,
    ),
    "views_made_out_of_order": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int); CREATE VIEW v1 AS SELECT id FROM t; CREATE VIEW v2 AS SELECT c FROM t;"
        "CREATE OR REPLACE VIEW v1 AS SELECT id, (SELECT max(c) FROM v2) AS m, (SELECT min(c) FROM t) AS n FROM t",
        options=CASCADE,
    ),
    "shared_sequence": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int); CREATE SEQUENCE sq OWNED BY t.c; SELECT nextval('sq');"
        "CREATE TABLE o (n int DEFAULT nextval('sq'))",
        options=CASCADE,
    ),
    "published_columns": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int, d int); CREATE PUBLICATION family_columns FOR TABLE t (id, c);"
        "CREATE PUBLICATION family_rows FOR TABLE t WHERE (c > 1)",
        options=f"{CASCADE}, {PUBLISHED}",
    ),
    "published_in_part": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, b int, c int); INSERT INTO t VALUES (1, 2, 3);"
        "CREATE PUBLICATION family_part FOR TABLE t (id, b); ALTER TABLE t REPLICA IDENTITY FULL",
        options=f"{CASCADE}, {PUBLISHED}",
        only=ARCHIVE,
    ),
    "published_in_part_and_filtered": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, b int, c int); INSERT INTO t VALUES (1, 2, 3);"
        "CREATE PUBLICATION family_some FOR TABLE t (id, b); CREATE PUBLICATION family_few FOR TABLE t WHERE (b > 1)",
        options=f"{CASCADE}, {PUBLISHED}",
        only=ARCHIVE,
    ),
    "filtered_without_identity": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, b int, c int); INSERT INTO t VALUES (1, 2, 3);"
        "CREATE PUBLICATION family_filter FOR TABLE t WHERE (b IS NOT NULL); ALTER TABLE t REPLICA IDENTITY NOTHING",
        options=f"{CASCADE}, {PUBLISHED}",
        only=ARCHIVE,
    ),
    "filtered_beside_generated": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, b int, c int, e int GENERATED ALWAYS AS (b * 2) STORED);"
        "INSERT INTO t VALUES (1, 2, 3); ALTER TABLE t REPLICA IDENTITY FULL;"
        "CREATE PUBLICATION family_beside FOR TABLE t WHERE (b IS NOT NULL)",
        options=f"{CASCADE}, {PUBLISHED}",
        only=ARCHIVE,
    ),
    "filtered_in_part": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, b int, c int, e int); INSERT INTO t VALUES (1, 2, 3, 4);"
        "ALTER TABLE t REPLICA IDENTITY FULL;"
        'CREATE PUBLICATION "family part" FOR TABLE t (id, b) WHERE (b IS NOT NULL)',
        options=f"{CASCADE}, {PUBLISHED}",
        only=ARCHIVE,
    ),
    "identity_wider_than_the_list": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, a int NOT NULL, b int, c int); INSERT INTO t VALUES (1, 2, 3, 4);"
        "CREATE PUBLICATION family_wide FOR TABLE t (id, b); CREATE UNIQUE INDEX wide ON t (id, a);"
        "ALTER TABLE t REPLICA IDENTITY USING INDEX wide",
        options=f"{CASCADE}, {PUBLISHED}",
        only=ARCHIVE,
    ),
    "domain_statistics": Shape(
        "CREATE DOMAIN pos AS int CHECK (VALUE > 0); CREATE TABLE t (id int PRIMARY KEY, a int, c pos);"
        "CREATE STATISTICS st ON a, c FROM t; ALTER STATISTICS st SET STATISTICS 9; ALTER STATISTICS st OWNER TO :owner",
    ),
    "domain_statistics_of_a_list": Shape(
        "CREATE DOMAIN pos AS int CHECK (VALUE > 0); CREATE TABLE t (id int PRIMARY KEY, a text, c pos);"
        "CREATE STATISTICS st ON (a::varchar IN ('x', 'y')), c FROM t; COMMENT ON STATISTICS st IS 'kept';"
        "ALTER STATISTICS st SET STATISTICS 9; ALTER STATISTICS st OWNER TO :owner",
    ),
}
INHERITED_TABLES = {
    "parent": heirs(
        "CREATE VIEW v AS SELECT c FROM t1; CREATE UNIQUE INDEX u ON t2 (c, id);"
        "CREATE TABLE kid (x int, y int, FOREIGN KEY (x, y) REFERENCES t2 (c, id))"
    ),
    "child": heirs(table="t2"),
    "child_with_children": heirs(table="t1"),
    "child_of_two": Shape(
        "CREATE TABLE p (a int, CHECK (a > 0)); CREATE TABLE q (b text NOT NULL); "
        "CREATE TABLE t (c int) INHERITS (p, q); INSERT INTO t VALUES (1, 'b', 2)",
        column=None,
    ),
    "child_that_declares": heirs(
        "CREATE TABLE loc (c int NOT NULL, d text, id int NOT NULL, CONSTRAINT ck CHECK (c < 100));"
        "ALTER TABLE loc INHERIT t",
        table="loc",
    ),
    "child_not_valid": Shape(
        "CREATE TABLE p (id int, c int); CREATE TABLE t () INHERITS (p); INSERT INTO t VALUES (1, 1);"
        "ALTER TABLE p ADD CONSTRAINT k CHECK (c > 3) NOT VALID",
        column=None,
    ),
    "row_functions": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int); CREATE FUNCTION f(t) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE VIEW v AS SELECT f(t) FROM t; CREATE FUNCTION g() RETURNS SETOF t LANGUAGE sql AS 'SELECT * FROM t';"
        "CREATE FUNCTION h(v) RETURNS int LANGUAGE sql AS 'SELECT 1'",
        column=None,
        options=CASCADE,
    ),
}
