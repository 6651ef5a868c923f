"""Columns in constraints, foreign keys both ways, indexes and statistics."""

from __future__ import annotations

from tests.acceptance.shapes import CASCADE
from tests.acceptance.shapes.columns import table
from tests.oracle.judges import Shape

EXCLUDE = "EXCLUDE USING gist (c WITH &&)"
CONSTRAINTS = {
    "list_of_varchar": table(
        "c varchar(10) DEFAULT 'a' CHECK (c IN ('a', 'b''s', E'\\\\x') OR c IS NULL), d varchar, CHECK (c <> ALL (ARRAY['x', d]))",
        "(1, 'a')",
        "CREATE UNIQUE INDEX i ON t (id) WHERE c NOT IN ('a', 'b'); CREATE VIEW v AS SELECT c FROM t WHERE c IN ('a', 'b')",
        options=CASCADE,
    ),
    "referenced_index_includes_it": table(
        "c int, d int, CONSTRAINT u UNIQUE (id, d) INCLUDE (c)",
        "(1, 5)",
        "CREATE TABLE k (x int, y int, FOREIGN KEY (x, y) REFERENCES t (id, d))",
        options=CASCADE,
    ),
    "foreign_key_and_twin": table(
        "c int",
        "(1, 5)",
        "CREATE TABLE p (x int PRIMARY KEY); CREATE TABLE q (x int PRIMARY KEY) PARTITION BY LIST (x);"
        "CREATE TABLE qd PARTITION OF q DEFAULT; INSERT INTO p VALUES (5); INSERT INTO q VALUES (5);"
        "ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES p; ALTER TABLE t ADD CONSTRAINT k FOREIGN KEY (c) REFERENCES q",
    ),
    "check": table("c int CHECK (c > 0)", "(1, 5)"),
    "check_many": table(
        "c int, d int DEFAULT 9, CONSTRAINT ordered CHECK (c < d AND z IS DISTINCT FROM 'no')",
        "(1, 5)",
        "COMMENT ON CONSTRAINT ordered ON t IS 'order'",
    ),
    "check_not_valid": table(
        "c int", "(1, -5)", "ALTER TABLE t ADD CONSTRAINT p CHECK (c > 0) NOT VALID"
    ),
    "check_no_inherit": table("c int CONSTRAINT p CHECK (c > 0) NO INHERIT", "(1, 5)"),
    "check_not_enforced": table(
        "c int CONSTRAINT p CHECK (c > 0) NOT ENFORCED", "(1, -5)", since=18
    ),
    "check_whole_row": table(
        "c int, CONSTRAINT whole CHECK ((t.*) IS NOT NULL OR id > 0)", "(1, 5)"
    ),
    "unique": table("c int UNIQUE", "(1, 5), (2, NULL), (3, NULL)"),
    "unique_many": table("c int, d int, CONSTRAINT u UNIQUE (z, c, d)", "(1, 5), (2, 5)"),
    "unique_nulls": table("c int UNIQUE NULLS NOT DISTINCT", "(1, 5), (2, NULL)"),
    "unique_deferred": table("c int UNIQUE DEFERRABLE INITIALLY DEFERRED", "(1, 5), (2, 6)"),
    "unique_include": table(
        "c int, d int, CONSTRAINT u UNIQUE (c) INCLUDE (z, d) WITH (fillfactor = 71)", "(1, 5)"
    ),
    "unique_includes_it": table("c int, d int, CONSTRAINT u UNIQUE (d) INCLUDE (c)", "(1, 5)"),
    "unique_comment": table(
        "c int CONSTRAINT u UNIQUE",
        "(1, 5)",
        "COMMENT ON CONSTRAINT u ON t IS 'constraint'; COMMENT ON INDEX u IS 'index'",
    ),
    "unique_clustered": table("c int CONSTRAINT u UNIQUE", "(1, 5)", "ALTER TABLE t CLUSTER ON u"),
    "exclude": table(f"c int4range, {EXCLUDE}", "(1, '[1,3)'), (2, '[3,5)')"),
    "exclude_where": table(
        "c int4range, d point, CONSTRAINT e EXCLUDE USING gist (c WITH &&, "
        "d WITH ~=) INCLUDE (z) WITH (fillfactor = 60)"
        " WHERE (id > 5) DEFERRABLE",
        "(1, '[1,3)'), (2, '[1,5)')",
    ),
    "exclude_expression": table(
        "c int, CONSTRAINT e EXCLUDE USING btree ((c % 100) WITH =)",
        "(1, 5), (2, 6)",
        options=CASCADE,
    ),
    "temporal": table(
        "c int4range NOT NULL CHECK (NOT isempty(c)), d int4range NOT NULL, "
        "CONSTRAINT u UNIQUE (d, c WITHOUT OVERLAPS)",
        "",
        since=18,
    ),
    "fk_out": Shape(
        "CREATE TABLE p (a int PRIMARY KEY, b int UNIQUE); INSERT INTO p VALUES (1, 1), (2, 2);"
        "CREATE TABLE t (id int PRIMARY KEY, "
        "c int REFERENCES p ON DELETE CASCADE ON UPDATE SET NULL, z int);"
        "INSERT INTO t VALUES (1, 1), (2, NULL)"
    ),
    "fk_actions": Shape(
        "CREATE TABLE p (a int PRIMARY KEY); INSERT INTO p VALUES (0), (1);"
        "CREATE TABLE t (id int PRIMARY KEY, c int DEFAULT 0,"
        " CONSTRAINT f1 FOREIGN KEY (c) REFERENCES p ON DELETE RESTRICT ON UPDATE RESTRICT,"
        " CONSTRAINT f2 FOREIGN KEY (c) REFERENCES p ON DELETE SET DEFAULT ON UPDATE SET DEFAULT,"
        " CONSTRAINT f3 FOREIGN KEY (c) REFERENCES p ON DELETE NO ACTION ON UPDATE CASCADE "
        "DEFERRABLE INITIALLY DEFERRED,"
        " CONSTRAINT f4 FOREIGN KEY (c) REFERENCES p DEFERRABLE); INSERT INTO t VALUES (1, 1);"
        "COMMENT ON CONSTRAINT f1 ON t IS 'first'"
    ),
    "fk_many": Shape(
        "CREATE TABLE p (a int, b int, PRIMARY KEY (a, b)); INSERT INTO p VALUES (1, 2);"
        "CREATE TABLE t (id int PRIMARY KEY, c int, d int,"
        " CONSTRAINT f FOREIGN KEY (d, c) REFERENCES p (a, b) MATCH FULL ON DELETE CASCADE,"
        " CONSTRAINT g FOREIGN KEY (d, c) REFERENCES p (a, b) ON DELETE SET NULL (c),"
        " CONSTRAINT h FOREIGN KEY (d, c) REFERENCES p (a, b) ON DELETE SET DEFAULT (d, c));"
        "INSERT INTO t VALUES (1, 2, 1)"
    ),
    "fk_not_valid": Shape(
        "CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, c int); "
        "INSERT INTO t VALUES (1, 7);"
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (c) REFERENCES p NOT VALID"
    ),
    "fk_not_enforced": Shape(
        "CREATE TABLE p (a int PRIMARY KEY); CREATE TABLE t (id int PRIMARY KEY, c int); "
        "INSERT INTO t VALUES (1, 7);"
        "ALTER TABLE t ADD CONSTRAINT f FOREIGN KEY (c) REFERENCES p NOT ENFORCED",
        since=18,
    ),
    "fk_self": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int REFERENCES t ON DELETE SET NULL, z int);"
        "INSERT INTO t VALUES (1, NULL), (2, 1)"
    ),
    "fk_self_in": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int UNIQUE, z int REFERENCES t (c)); "
        "INSERT INTO t VALUES (1, 5, 5)",
        options=CASCADE,
    ),
    "fk_self_both": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int UNIQUE REFERENCES t (c), z int); "
        "INSERT INTO t VALUES (1, 5, 5)"
    ),
    "fk_in": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int UNIQUE, z int); "
        "INSERT INTO t VALUES (1, 5), (2, 6);"
        "CREATE TABLE k (x int REFERENCES t (c) ON DELETE CASCADE, y int,"
        " CONSTRAINT f FOREIGN KEY (y) REFERENCES t (c) NOT VALID); INSERT INTO k VALUES (5, NULL);"
        "COMMENT ON CONSTRAINT f ON k IS 'kept'; ALTER TABLE k OWNER TO :owner",
        options=CASCADE,
    ),
    "fk_in_many": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int, z int, UNIQUE (z, c)); "
        "INSERT INTO t VALUES (1, 5, 2);"
        "CREATE TABLE k (x int, y int, CONSTRAINT f FOREIGN KEY (x, y) REFERENCES t (z, "
        "c) MATCH FULL DEFERRABLE);"
        "INSERT INTO k VALUES (2, 5)",
        options=CASCADE,
    ),
    "fk_from_partitioned": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int UNIQUE); INSERT INTO t VALUES (1, 5);"
        "CREATE TABLE k (x int, y int REFERENCES t (c)) PARTITION BY LIST (x);"
        "CREATE TABLE k1 PARTITION OF k FOR VALUES IN (1); INSERT INTO k VALUES (1, 5)",
        options=CASCADE,
    ),
    "fk_to_partitioned": Shape(
        "CREATE TABLE p (a int PRIMARY KEY) PARTITION BY LIST (a); "
        "CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);"
        "INSERT INTO p VALUES (1); CREATE TABLE t (id int PRIMARY KEY, c int REFERENCES p); "
        "INSERT INTO t VALUES (1, 1)"
    ),
}

INDEXES = {
    "index": table("c int", "(1, 5)", "CREATE INDEX i ON t (c)"),
    "index_many": table(
        "c int", "(1, 5)", "CREATE INDEX i ON t (z DESC NULLS LAST, c NULLS FIRST, id)"
    ),
    "index_unique": table(
        "c int", "(1, 5)", "CREATE UNIQUE INDEX i ON t (c, z) NULLS NOT DISTINCT"
    ),
    "index_partial": table(
        "c int",
        "(1, 5)",
        "CREATE INDEX i ON t (z) WHERE c > 3; CREATE UNIQUE INDEX j ON t (c) WHERE id > 0",
    ),
    "index_expression": table(
        "c text",
        "(1, 'A')",
        "CREATE INDEX i ON t (lower(c), (c || z)); CREATE UNIQUE INDEX j ON t (upper(c));"
        "ALTER INDEX i ALTER COLUMN 1 SET STATISTICS 77; "
        "ALTER INDEX i ALTER COLUMN 2 SET STATISTICS 78",
    ),
    "index_include": table(
        "c int",
        "(1, 5)",
        "CREATE INDEX i ON t (z) INCLUDE (c); CREATE UNIQUE INDEX j ON t (c) INCLUDE (z)",
    ),
    "index_opclass": table(
        "c text",
        "(1, 'a')",
        "CREATE INDEX i ON t (c text_pattern_ops); "
        'CREATE INDEX j ON t (c COLLATE "C" DESC) WITH (fillfactor = 55, deduplicate_items = off)',
    ),
    "index_methods": table(
        "c int[]",
        "(1, '{1,2}')",
        "CREATE INDEX g ON t USING gin (c) WITH (fastupdate = off, gin_pending_list_limit = 128);"
        "CREATE INDEX b ON t USING brin (id, z) WITH (pages_per_range = 4) WHERE c IS NOT NULL; "
        "CREATE INDEX b2 ON t USING brin (id) WITH (pages_per_range = 4); "
        "CREATE INDEX h ON t USING hash ((c[1]))",
    ),
    "index_gist": table(
        "c int4range",
        "(1, '[1,2)')",
        "CREATE INDEX g ON t USING gist (c range_ops); CREATE INDEX s ON t USING spgist (c)",
    ),
    "index_clustered": table(
        "c int",
        "(1, 5)",
        "CREATE INDEX i ON t (c); CLUSTER t USING i; COMMENT ON INDEX i IS 'it''s'",
    ),
    "index_comment": table(
        "c int", "(1, 5)", "CREATE UNIQUE INDEX i ON t (c); COMMENT ON INDEX i IS 'why'"
    ),
    "index_same_text": table(
        "c int",
        "(1, 5)",
        'CREATE INDEX c ON t (c); CREATE INDEX t_c ON t (c); CREATE INDEX "c idx" ON t (c)',
    ),
    "index_whole_row": table("c int", "(1, 5)", "CREATE INDEX i ON t ((t IS NOT NULL))"),
    "statistics": table(
        "c int, d int",
        "(1, 5)",
        "CREATE STATISTICS s (ndistinct, mcv) ON d, c FROM t; "
        "ALTER STATISTICS s SET STATISTICS 99; COMMENT ON STATISTICS s IS 'x'",
        losses=("statistics",),
    ),
    "statistics_expression": table(
        "c int, d int",
        "(1, 5)",
        "CREATE STATISTICS s ON (c % 10), d FROM t; CREATE STATISTICS u ON (c + d) FROM t",
        losses=("statistics",),
    ),
    "statistics_aside": table(
        "c int, d int",
        "(1, 5)",
        "CREATE SCHEMA aside2; CREATE STATISTICS aside2.s ON c, d FROM t; "
        "ALTER STATISTICS aside2.s OWNER TO :owner",
        losses=("statistics",),
    ),
}
