"""What hangs on a column or table: views, triggers, policies, rules, publications."""

from __future__ import annotations

from tests.acceptance.shapes import CASCADE, KEEP, SOFT
from tests.oracle.judges import Shape

T = (
    "CREATE TABLE t (id int PRIMARY KEY, a int, c text, z text); "
    "INSERT INTO t VALUES (1, 5, 'v', 'w'), (2, 6, NULL, 'w');"
)
CHAIN = (
    T
    + "CREATE VIEW v1 AS SELECT id, c FROM t WHERE a > 0; CREATE VIEW v2 AS SELECT c AS cc FROM v1;"
    "CREATE VIEW v3 AS SELECT v1.id, v2.cc FROM v1 LEFT JOIN v2 ON v1.c = v2.cc; "
    "CREATE VIEW aa AS SELECT * FROM v3;"
    "CREATE VIEW unharmed AS SELECT id FROM t"
)
VIEW_CARE = (
    T + "CREATE VIEW v WITH (security_barrier = true, check_option = 'cascaded') AS SELECT id, "
    "c FROM t WHERE a > 0;"
    "ALTER VIEW v OWNER TO :owner; GRANT SELECT ON t TO :owner; "
    "GRANT SELECT, UPDATE (c) ON v TO :reader WITH GRANT OPTION;"
    "GRANT SELECT (id) ON v TO PUBLIC; COMMENT ON VIEW v IS 'it''s'; "
    "COMMENT ON COLUMN v.c IS 'col';"
    "ALTER VIEW v ALTER c SET DEFAULT 'from view'; REVOKE DELETE ON v FROM :owner"
)
NOTE = (
    "CREATE TABLE log (what text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN"
    " EXECUTE format('INSERT INTO %I.log VALUES ($1)', TG_TABLE_SCHEMA) USING TG_NAME; "
    "RETURN NEW; END$$;"
)

VIEWS = {
    "generated_together": Shape(
        "CREATE TABLE t (id int PRIMARY KEY, c int, a int, e int GENERATED ALWAYS AS (a + c) STORED,"
        "f int GENERATED ALWAYS AS (c * 2) STORED, CONSTRAINT ck CHECK (e <> f OR c > f), CONSTRAINT u UNIQUE (f, e));"
        "INSERT INTO t VALUES (1, 2, 3); CREATE INDEX ef ON t (e, f); CREATE INDEX efc ON t (f, c, e);"
        "CREATE STATISTICS st ON e, f FROM t; CREATE VIEW v AS SELECT e, f FROM t;"
        "CREATE TABLE o (x int, y int, FOREIGN KEY (x, y) REFERENCES t (f, e))",
        options=CASCADE,
    ),
    "goes_with_an_extension": Shape(
        NOTE + T + "CREATE INDEX i ON t (c, a); ALTER INDEX i DEPENDS ON EXTENSION plpgsql;"
        "ALTER TABLE t ADD CONSTRAINT u UNIQUE (id, c); ALTER INDEX u DEPENDS ON EXTENSION plpgsql;"
        "CREATE MATERIALIZED VIEW m AS SELECT c FROM t; CREATE INDEX mi ON m (c); ALTER INDEX mi DEPENDS ON EXTENSION plpgsql;"
        "ALTER MATERIALIZED VIEW m DEPENDS ON EXTENSION plpgsql; CREATE FUNCTION f() RETURNS bigint RETURN (SELECT count(c)"
        " FROM t); ALTER FUNCTION f() DEPENDS ON EXTENSION plpgsql; CREATE PROCEDURE p() BEGIN ATOMIC DELETE FROM t WHERE c"
        " IS NULL; END; ALTER PROCEDURE p() DEPENDS ON EXTENSION plpgsql; CREATE TRIGGER g AFTER UPDATE OF c ON t EXECUTE"
        " FUNCTION note(); ALTER TRIGGER g ON t DEPENDS ON EXTENSION plpgsql",
        options=CASCADE,
    ),
    "chain": Shape(CHAIN, options=CASCADE),
    "chain_kept": Shape(CHAIN, options=KEEP, only=SOFT),
    "care": Shape(VIEW_CARE, options=CASCADE),
    "care_kept": Shape(VIEW_CARE, options=KEEP, only=SOFT),
    "invoker": Shape(
        T + "CREATE VIEW v WITH (security_invoker = true) AS SELECT c FROM t", options=CASCADE
    ),
    "star": Shape(
        T + "CREATE VIEW v AS SELECT * FROM t; CREATE VIEW w AS SELECT t FROM t",
        options=CASCADE,
        only=SOFT,
    ),
    "recursive": Shape(
        T + "CREATE RECURSIVE VIEW v (n, c) AS SELECT id, c FROM t UNION ALL SELECT n + 1, "
        "c FROM v WHERE n < 3",
        options=CASCADE,
    ),
    "materialized": Shape(
        T + "CREATE MATERIALIZED VIEW m WITH (fillfactor = 70) AS SELECT id, c, "
        "count(*) OVER () AS n FROM t;"
        "CREATE UNIQUE INDEX mi ON m (id); CREATE INDEX mc ON m (c) WHERE n > 0; "
        "COMMENT ON INDEX mc IS 'x';"
        "ALTER MATERIALIZED VIEW m ALTER c SET STATISTICS 55; "
        "ALTER MATERIALIZED VIEW m ALTER c SET STORAGE EXTERNAL;"
        "ALTER MATERIALIZED VIEW m CLUSTER ON mi; CREATE STATISTICS st ON id, c FROM m; "
        "GRANT SELECT ON m TO :reader;"
        "COMMENT ON MATERIALIZED VIEW m IS 'mat'; CREATE VIEW over AS SELECT * FROM m; "
        "ALTER TABLE m OWNER TO :owner;"
        "GRANT SELECT ON t TO :owner",
        options=CASCADE,
    ),
    "materialized_empty": Shape(
        T + "CREATE MATERIALIZED VIEW m AS SELECT c FROM t WITH NO DATA", options=CASCADE
    ),
    "materialized_kept": Shape(
        T + "CREATE MATERIALIZED VIEW m AS SELECT id, c FROM t; CREATE UNIQUE INDEX mi ON m (id)",
        options=KEEP,
        only=SOFT,
    ),
    "view_triggers": Shape(
        T + NOTE + "CREATE VIEW v AS SELECT id, c FROM t; "
        "CREATE TRIGGER vt INSTEAD OF UPDATE ON v FOR EACH ROW EXECUTE FUNCTION note();"
        "COMMENT ON TRIGGER vt ON v IS 'tt'; "
        "CREATE TRIGGER vs BEFORE INSERT ON v EXECUTE FUNCTION note()",
        options=CASCADE,
    ),
    "view_rules": Shape(
        T + "CREATE VIEW v AS SELECT id, c FROM t; "
        "CREATE RULE r AS ON DELETE TO v DO INSTEAD NOTHING;"
        "CREATE RULE u AS ON UPDATE TO v DO INSTEAD UPDATE t SET c = NEW.c WHERE id = OLD.id; "
        "COMMENT ON RULE u ON v IS 'ru';"
        "CREATE RULE i AS ON INSERT TO v DO INSTEAD INSERT INTO t (id, c) VALUES (NEW.id, "
        "NEW.c) RETURNING id, c",
        options=CASCADE,
    ),
    "group_by_key": Shape(
        T + "CREATE VIEW v AS SELECT id, c, count(*) FROM t GROUP BY id", options=CASCADE
    ),
    "columns_of_others": Shape(
        T + "CREATE TABLE q (x int, y text); CREATE VIEW ov AS SELECT x, y FROM q;"
        "CREATE MATERIALIZED VIEW om AS SELECT x AS n FROM q; CREATE SEQUENCE os;"
        "CREATE TYPE pair AS (p int, r text); CREATE TABLE oc (w pair);"
        "CREATE FOREIGN DATA WRAPPER nowhere; CREATE SERVER elsewhere FOREIGN DATA WRAPPER nowhere;"
        "CREATE FOREIGN TABLE oft (z int) SERVER elsewhere;"
        "CREATE FUNCTION bare(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';"
        "CREATE OPERATOR !!! (RIGHTARG = text, FUNCTION = bare);"
        "CREATE FUNCTION f(oft) RETURNS int LANGUAGE sql AS 'SELECT 1';"
        "CREATE VIEW v AS SELECT !!! t.c AS c, ov.y, om.n, (oc.w).p, os.last_value, oft.z, f(oft.*) FROM t, ov, om, oc, os, oft;"
        "CREATE MATERIALIZED VIEW m AS SELECT t.c, ov.y, om.n, (oc.w).p FROM t, ov, om, oc",
        options=CASCADE,
    ),
    "function_atomic": Shape(
        T + "CREATE FUNCTION f() RETURNS text STABLE RETURN (SELECT max(c) FROM t)",
        options=KEEP,
        only=SOFT,
    ),
    "function_text": Shape(
        T + "CREATE FUNCTION f() RETURNS text LANGUAGE sql STABLE AS 'SELECT max(c) FROM t'"
    ),
    "elsewhere": Shape(
        T + 'CREATE SCHEMA "V s"; CREATE VIEW "V s"."a.b" AS SELECT c FROM t; '
        'GRANT USAGE ON SCHEMA "V s" TO :reader;'
        'GRANT SELECT ON "V s"."a.b" TO :reader',
        options=CASCADE,
    ),
}

# Expressions of other tables, and of functions, that name the column: DROP minds them. A cascade cannot make them again.
F = (
    T
    + "CREATE TABLE u (x int, y text); CREATE FUNCTION f(x text) RETURNS bigint IMMUTABLE RETURN (SELECT count(c)"
    " FROM t WHERE false AND z = x);"
)
EXPRESSIONS = {
    "index_of_row": Shape(F + "CREATE INDEX i ON u (((NULL::t).c))"),
    "index_of_function": Shape(F + "CREATE INDEX i ON u (x) WHERE f(y) > 0"),
    "index_of_partitions": Shape(
        F + "CREATE TABLE w (x int, y text) PARTITION BY LIST (x); CREATE TABLE w1 PARTITION OF w"
        " DEFAULT; CREATE INDEX i ON w (f(y))"
    ),
    "index_of_view": Shape(
        F + "CREATE MATERIALIZED VIEW m AS SELECT 'a'::text AS y; CREATE INDEX i ON m (f(y))"
    ),
    "exclusion_of_row": Shape(F + "ALTER TABLE u ADD CONSTRAINT k EXCLUDE (((NULL::t).c) WITH =)"),
    "exclusion_of_function": Shape(F + "ALTER TABLE u ADD CONSTRAINT k EXCLUDE (f(y) WITH =)"),
    "check_of_function": Shape(F + "ALTER TABLE u ADD CONSTRAINT k CHECK (f(y) = 0)"),
    "generated_of_row": Shape(
        F + "ALTER TABLE u ADD g boolean GENERATED ALWAYS AS ((NULL::t).c IS NULL) STORED",
    ),
    "statistics_of_row": Shape(F + "CREATE STATISTICS s ON ((NULL::t).c), x FROM u"),
    "own_index_of_function": Shape(F + "CREATE INDEX i ON t (z) WHERE id < 0 AND f(z) > 0"),
    "own_check_of_function": Shape(F + "ALTER TABLE t ADD CONSTRAINT k CHECK (f(z) = 0) NOT VALID"),
    "own_exclusion_of_function": Shape(
        F + "ALTER TABLE t ADD CONSTRAINT k EXCLUDE (f(z) WITH =) WHERE (id < 0)"
    ),
}

STATES = (
    "CREATE TRIGGER plain AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note();"
    "CREATE TRIGGER off BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note(); "
    "ALTER TABLE t DISABLE TRIGGER off;"
    "CREATE TRIGGER rep BEFORE UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION note(); "
    "ALTER TABLE t ENABLE REPLICA TRIGGER rep;"
    "CREATE TRIGGER alw AFTER UPDATE ON t EXECUTE FUNCTION note(); "
    "ALTER TABLE t ENABLE ALWAYS TRIGGER alw;"
)
BESIDE = {
    "trigger_states": Shape(T + NOTE + STATES),
    "trigger_constraint": Shape(
        T
        + NOTE
        + "CREATE CONSTRAINT TRIGGER k AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED FOR EACH "
        "ROW EXECUTE FUNCTION note()"
    ),
    "trigger_of": Shape(
        T
        + NOTE
        + "CREATE TRIGGER tr BEFORE UPDATE OF c ON t FOR EACH ROW EXECUTE FUNCTION note('x', "
        "'it''s');"
        "COMMENT ON TRIGGER tr ON t IS 'of'; "
        "CREATE TRIGGER two AFTER UPDATE OF z, c ON t FOR EACH ROW EXECUTE FUNCTION note();"
        "ALTER TABLE t DISABLE TRIGGER tr; ALTER TABLE t ENABLE ALWAYS TRIGGER two",
        options=CASCADE,
    ),
    "trigger_when": Shape(
        T
        + NOTE
        + "CREATE TRIGGER tr AFTER UPDATE ON t REFERENCING NEW TABLE AS n FOR EACH STATEMENT "
        "EXECUTE FUNCTION note();"
        "CREATE TRIGGER w BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.c IS DISTINCT FROM NEW.c) "
        "EXECUTE FUNCTION note();"
        "ALTER TABLE t ENABLE REPLICA TRIGGER w",
        options=CASCADE,
    ),
    "trigger_kept": Shape(
        T
        + NOTE
        + "CREATE TRIGGER tr BEFORE UPDATE OF c ON t FOR EACH ROW WHEN (NEW.c <> '') EXECUTE "
        "FUNCTION note()",
        options=KEEP,
        only=SOFT,
    ),
    "policies": Shape(
        T + "ALTER TABLE t ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY p ON t AS RESTRICTIVE FOR SELECT TO :reader, :writer USING (c <> '');"
        "CREATE POLICY q ON t FOR UPDATE USING (a > 0) WITH CHECK (c IS NOT NULL); "
        "COMMENT ON POLICY q ON t IS 'pol';"
        "CREATE POLICY unharmed ON t USING (a > 0); CREATE TABLE o (x int); "
        "ALTER TABLE o ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY far ON o USING (EXISTS (SELECT FROM t WHERE c = 'v'))",
        options=CASCADE,
    ),
    "policies_of_what_a_view_reads": Shape(
        T + "INSERT INTO t (id) VALUES (77); ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
        "CREATE POLICY seen ON t USING (id = 77); CREATE VIEW v AS SELECT id, c FROM t;"
        "ALTER VIEW v OWNER TO :owner; GRANT SELECT ON t TO :owner;"
        "CREATE MATERIALIZED VIEW m AS SELECT id FROM v",
        options=CASCADE,
    ),
    "policies_that_a_view_obeys": Shape(
        T + "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY seen ON t USING (c IS NULL);"
        "CREATE VIEW v AS SELECT id, c FROM t; ALTER VIEW v OWNER TO :owner;"
        "GRANT SELECT ON t TO :owner; CREATE MATERIALIZED VIEW m AS SELECT id FROM v",
        options=CASCADE,
    ),
    "policies_kept": Shape(
        T + "ALTER TABLE t ENABLE ROW LEVEL SECURITY; "
        "CREATE POLICY p ON t FOR SELECT TO :reader USING (c <> '')",
        options=KEEP,
        only=SOFT,
    ),
    "forced": Shape(
        "SET ROLE :owner; "
        + T
        + "ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"
        "CREATE POLICY p ON t USING (a = 5)"
    ),
    "rules": Shape(
        T + "CREATE TABLE l (x text); CREATE RULE r AS ON UPDATE TO t DO ALSO INSERT INTO l "
        "VALUES (NEW.c);"
        "CREATE RULE s AS ON UPDATE TO t WHERE NEW.c = 'never' DO INSTEAD NOTHING; "
        "COMMENT ON RULE r ON t IS 'rule';"
        "ALTER TABLE t ENABLE REPLICA RULE s; "
        "CREATE RULE far AS ON DELETE TO l DO ALSO DELETE FROM t WHERE c = OLD.x",
        options=CASCADE,
    ),
    "rules_unharmed": Shape(
        T + "CREATE TABLE l (x int); CREATE RULE r AS ON UPDATE TO t DO ALSO INSERT INTO l VALUES "
        "(1);"
        "CREATE RULE i AS ON UPDATE TO t WHERE OLD.a > 0 DO INSTEAD NOTHING; "
        "ALTER TABLE t ENABLE ALWAYS RULE i"
    ),
    "rule_kept": Shape(
        T + "CREATE TABLE l (x text); CREATE RULE r AS ON DELETE TO t DO ALSO INSERT INTO l "
        "VALUES (OLD.c)",
        options=KEEP,
        only=SOFT,
    ),
    "published_kept": Shape(
        T + "CREATE PUBLICATION published_p FOR TABLE t (id, c); "
        "CREATE PUBLICATION published_w FOR TABLE t WHERE (id > 0)",
        options="published_ok => true, " + KEEP,
        only=SOFT,
    ),
    "published_whole": Shape(
        T + "CREATE PUBLICATION published_whole_p FOR TABLE t WHERE (id > 0)",
        options="published_ok => true",
    ),
}
