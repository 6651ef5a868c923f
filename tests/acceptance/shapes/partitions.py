"""Partitioned trees, and single partitions of them."""

from __future__ import annotations

from tests.acceptance.shapes import CASCADE, PUBLISHED
from tests.acceptance.shapes.dependents import NOTE
from tests.acceptance.shapes.tables import of_table

TREE = (
    "CREATE TABLE t (id int NOT NULL, a text DEFAULT 'x', b int, CONSTRAINT pk PRIMARY KEY (id), "
    "CHECK (b > 0)) PARTITION BY RANGE (id);"
    "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (10) PARTITION BY LIST (id); "
    "CREATE TABLE t1a PARTITION OF t1 FOR VALUES IN (1, 2);"
    'CREATE TABLE "t1 b" (b int, id int NOT NULL, junk int, a text); '
    'ALTER TABLE "t1 b" DROP junk; ALTER TABLE "t1 b" ADD CONSTRAINT t_b_check CHECK (b > 0);'
    'ALTER TABLE t1 ATTACH PARTITION "t1 b" DEFAULT; CREATE TABLE t2 PARTITION OF t DEFAULT; '
    "CREATE TABLE t3 PARTITION OF t (b DEFAULT 7,"
    " CONSTRAINT own CHECK (a <> 'no')) FOR VALUES FROM (10) TO (20) WITH (fillfactor = 60);"
    "CREATE INDEX ia ON t (a); CREATE INDEX own_index ON t3 (b); "
    "CREATE UNIQUE INDEX ub ON t (id, b); COMMENT ON INDEX ia IS 'ia';"
    "COMMENT ON INDEX t3_a_idx IS 'leaf'; COMMENT ON TABLE t3 IS 'three'; "
    "INSERT INTO t VALUES (1, 'a', 1), (3, 'b', 1), (11, 'c', 11), (50, 'd', 1);"
    "GRANT SELECT ON t TO :reader; GRANT INSERT ON t3 TO :writer; ALTER TABLE t2 OWNER TO :owner; "
    "ALTER TABLE t3 ALTER a SET STATISTICS 44;"
)
TREE_TRIGGERS = (
    NOTE + "CREATE TRIGGER up BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note(); "
    "ALTER TABLE t3 DISABLE TRIGGER up;"
    "ALTER TABLE t1a ENABLE ALWAYS TRIGGER up; "
    "CREATE TRIGGER own BEFORE DELETE ON t3 FOR EACH ROW EXECUTE FUNCTION note();"
    "CREATE TRIGGER st AFTER INSERT ON t EXECUTE FUNCTION note(); "
    "COMMENT ON TRIGGER up ON t IS 'up'; ALTER TABLE t3 ENABLE REPLICA TRIGGER own;"
)
FKS = (
    "CREATE TABLE p (x int PRIMARY KEY); INSERT INTO p VALUES (1), (11); "
    "ALTER TABLE t ADD CONSTRAINT out_fk FOREIGN KEY (b) REFERENCES p ON DELETE CASCADE;"
    "CREATE TABLE k (x int CONSTRAINT in_fk REFERENCES t); INSERT INTO k VALUES (1), (50)"
)
PARTITIONS = {
    "tree": of_table(TREE + TREE_TRIGGERS),
    "tree_fks": of_table(TREE + FKS, CASCADE),
    "tree_self": of_table(
        TREE
        + "ALTER TABLE t ADD CONSTRAINT self_fk FOREIGN KEY (b) REFERENCES t ON DELETE CASCADE "
        "DEFERRABLE"
    ),
    "tree_policies": of_table(
        TREE + "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (b > 0); "
        "ALTER TABLE t3 ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY q ON t3 USING (true)"
    ),
    "tree_published": of_table(
        TREE + "CREATE PUBLICATION tree_pub FOR TABLE t WITH (publish_via_partition_root = true); "
        "CREATE PUBLICATION tree_leaf FOR TABLE t3 WHERE (id > 1)",
        PUBLISHED,
    ),
    "tree_replica": of_table(
        TREE + "ALTER TABLE t3 REPLICA IDENTITY FULL; "
        "ALTER TABLE t1a REPLICA IDENTITY USING INDEX t1a_pkey"
    ),
    "tree_hash": of_table(
        "CREATE TABLE t (id int, PRIMARY KEY (id)) PARTITION BY HASH (id); "
        "CREATE TABLE h0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
        "CREATE TABLE h1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1); "
        "INSERT INTO t SELECT generate_series(1, 9)"
    ),
    "tree_expression": of_table(
        'CREATE TABLE t (id int, s text) PARTITION BY LIST (lower(s) COLLATE "C"); '
        "CREATE TABLE e1 PARTITION OF t FOR VALUES IN ('a', NULL); "
        "INSERT INTO t VALUES (1, 'A'), (2, NULL)"
    ),
    "tree_empty": of_table("CREATE TABLE t (id int) PARTITION BY LIST (id)"),
    "tree_schemas": of_table(
        "CREATE SCHEMA leaves; CREATE TABLE t (id int PRIMARY KEY, b int) PARTITION BY LIST (id); "
        "CREATE TABLE leaves.l1 PARTITION OF t FOR VALUES IN (1);"
        "CREATE TABLE leaves.t PARTITION OF t FOR VALUES IN (2); INSERT INTO t VALUES (1), (2); "
        "CREATE INDEX ON t (b)"
    ),
    "tree_invalid_index": of_table(
        "CREATE TABLE t (id int, b int) PARTITION BY LIST (id); "
        "CREATE TABLE i1 PARTITION OF t FOR VALUES IN (1); "
        "CREATE TABLE i2 PARTITION OF t FOR VALUES IN (2);"
        "CREATE INDEX half ON ONLY t (b); CREATE INDEX i1half ON i1 (b); "
        "ALTER INDEX half ATTACH PARTITION i1half"
    ),
    "tree_identity": of_table(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, b int) PARTITION BY LIST (b); "
        "CREATE TABLE i1 PARTITION OF t FOR VALUES IN (1); INSERT INTO t (b) VALUES (1), (1)",
        since=17,
    ),
    "tree_serial": of_table(
        "CREATE TABLE t (id serial, b int) PARTITION BY LIST (b); "
        "CREATE TABLE i1 PARTITION OF t FOR VALUES IN (1); INSERT INTO t (b) VALUES (1), (1)"
    ),
    "tree_statistics": of_table(
        TREE + "CREATE STATISTICS s ON a, b FROM t; CREATE STATISTICS s3 ON a, b FROM t3"
    ),
    "tree_names": of_table(
        'CREATE TABLE t ("i d" int, "qu""o" text) PARTITION BY LIST ("i d"); '
        'CREATE TABLE "p""1" PARTITION OF t FOR VALUES IN (1); '
        'CREATE TABLE "new\nline" PARTITION OF t DEFAULT;'
        'CREATE INDEX "a.b" ON t ("qu""o"); CREATE TABLE "'
        + "y" * 63
        + '" PARTITION OF t FOR VALUES IN (3); INSERT INTO t VALUES (1), (3)'
    ),
    "leaf": of_table(TREE + TREE_TRIGGERS, table="t3"),
    "leaf_default": of_table(TREE + TREE_TRIGGERS, table="t2"),
    "leaf_other_order": of_table(TREE, table="t1 b"),
    "leaf_inner": of_table(TREE + TREE_TRIGGERS, table="t1"),
    "leaf_deep": of_table(TREE + TREE_TRIGGERS, table="t1a"),
    "leaf_fks": of_table(TREE + FKS, CASCADE, table="t3"),
    "leaf_self": of_table(
        TREE
        + "ALTER TABLE t ADD CONSTRAINT self_fk FOREIGN KEY (b) REFERENCES t ON DELETE CASCADE",
        CASCADE,
        table="t3",
    ),
    "leaf_own_fk": of_table(
        TREE + "CREATE TABLE p (x int PRIMARY KEY); INSERT INTO p VALUES (11); "
        "ALTER TABLE t3 ADD CONSTRAINT f3 FOREIGN KEY (b) REFERENCES p; "
        "CREATE TABLE k (x int REFERENCES t3); INSERT INTO k VALUES (11)",
        CASCADE,
        table="t3",
    ),
    "leaf_key_not_enforced": of_table(
        TREE + "CREATE TABLE p (x int PRIMARY KEY);"
        "ALTER TABLE t ADD CONSTRAINT out_fk FOREIGN KEY (b) REFERENCES p NOT ENFORCED",
        table="t3",
        since=18,
    ),
    "leaf_key_not_valid": of_table(
        TREE + "CREATE TABLE p (x int PRIMARY KEY);"
        "ALTER TABLE t ADD CONSTRAINT out_fk FOREIGN KEY (b) REFERENCES p NOT VALID",
        table="t3",
        since=18,
    ),
    "inner_key_not_valid": of_table(
        TREE + "CREATE TABLE p (x int PRIMARY KEY);"
        "ALTER TABLE t ADD CONSTRAINT out_fk FOREIGN KEY (b) REFERENCES p NOT VALID",
        table="t1",
        since=18,
    ),
    "leaf_published": of_table(
        TREE + "CREATE PUBLICATION leaf_pub FOR TABLE t3; CREATE PUBLICATION leaf_root FOR TABLE t",
        PUBLISHED,
        table="t3",
    ),
    "leaf_hash": of_table(
        "CREATE TABLE t (id int PRIMARY KEY) PARTITION BY HASH (id); "
        "CREATE TABLE h0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0); "
        "INSERT INTO t VALUES (1)",
        table="h0",
    ),
    "leaf_timestamps": of_table(
        "CREATE TABLE t (at timestamptz, d date, s text) PARTITION BY RANGE (at, s); "
        "CREATE TABLE l PARTITION OF t FOR VALUES FROM ('2020-01-01', "
        "MINVALUE) TO ('2021-01-01 00:00+00', 'it''s');"
        "INSERT INTO t VALUES ('2020-06-01', NULL, 'x')",
        table="l",
    ),
    "leaf_identity": of_table(
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, b int) PARTITION BY LIST (b); "
        "CREATE TABLE i1 PARTITION OF t FOR VALUES IN (1); INSERT INTO t (b) VALUES (1), (1)",
        since=17,
        table="i1",
    ),
}
