"""Every place of PostgreSQL where a role that is no superuser can put code of its own.

The tables below belong to a hostile owner. Each has a key `id` or `k`, a column `c` that operators drop, and
a column `d` that stays. A hook is named by the text that its code passes to `harm.note`.
"""

from __future__ import annotations

import re

# Literals of the owner's types run a CHECK when they are parsed. One type for each place where one may stand.
PLACES = (
    "default",
    "generated",
    "check",
    "index expression",
    "index predicate",
    "exclusion",
    "statistics",
    "policy",
    "rule",
    "trigger condition",
    "view",
    "materialized view",
    "function body",
    "argument default",
)


def literal(place: str) -> str:
    """Return a condition that is true, with a literal whose parsing runs the owner's CHECK."""
    return f"""('(1)'::harm."t {place}" IS NOT NULL)"""


LITERALS = "".join(
    f"""
    CREATE DOMAIN harm."d {place}" AS int CHECK (harm.tell('literal in {place}'));
    CREATE TYPE harm."t {place}" AS (x harm."d {place}");"""
    for place in PLACES
)
# Some of PostgreSQL's own functions execute a text as SQL: what "calls nothing but built-in functions" can run code of the owner's. They are
# volatile, so no index and no generated column calls them.
ACTING = (
    *("default", "check", "policy", "rule", "trigger condition", "view", "materialized view"),
    *("function body", "argument default", "domain"),
)


def acting(place: str) -> str:
    """Return a condition that is true, in which a built-in function executes the owner's SQL."""
    run = f"""SELECT ''a''::tsquery, ''b''::tsquery WHERE harm.note(''built-in in {place}'')"""
    return f"(ts_rewrite('a'::tsquery, '{run}') IS NOT NULL)"


TYPES = """
CREATE DOMAIN harm.positive AS int CHECK (harm.tap('domain check', VALUE) > 0);
CREATE DOMAIN harm.many AS int[] CHECK (harm.tell('domain over array'));
CREATE DOMAIN harm.inner_one AS int CHECK (harm.tell('domain in composite'));
CREATE TYPE harm.pair AS (x harm.inner_one, y text);
CREATE DOMAIN harm.bounded AS text CHECK (harm.tell('partition bound'));
CREATE DOMAIN harm.label AS text CHECK (harm.tell('domain of the key'));
CREATE TYPE harm.kind AS ENUM ('a', 'b', 'x');
CREATE TYPE harm.other_kind AS ENUM ('a', 'b', 'x');
CREATE FUNCTION harm.as_text(harm.kind) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.tell('cast to text'); RETURN enum_out($1)::text; END $f$;
CREATE CAST (harm.kind AS text) WITH FUNCTION harm.as_text(harm.kind) AS IMPLICIT;
CREATE FUNCTION harm.as_kind(text) RETURNS harm.kind LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.tell('cast from text'); RETURN enum_first(NULL::harm.kind); END $f$;
CREATE CAST (text AS harm.kind) WITH FUNCTION harm.as_kind(text) AS ASSIGNMENT;
CREATE FUNCTION harm.as_int(harm.other_kind) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.tell('cast to integer'); RETURN 1; END $f$;
CREATE CAST (harm.other_kind AS int) WITH FUNCTION harm.as_int(harm.other_kind) AS IMPLICIT;
CREATE FUNCTION harm.span_diff(a float8, b float8) RETURNS float8 LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.tell('range subtype_diff'); RETURN a - b; END $f$;
CREATE TYPE harm.span AS RANGE (subtype = float8, subtype_diff = harm.span_diff);
CREATE FUNCTION harm.same(int, int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.tell('operator'); RETURN $1 = $2; END $f$;
CREATE OPERATOR harm.=== (LEFTARG = int, RIGHTARG = int, FUNCTION = harm.same);
CREATE FUNCTION harm.add(int, int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.tell('aggregate'); RETURN COALESCE($1, 0) + COALESCE($2, 0); END $f$;
CREATE AGGREGATE harm.total (int) (SFUNC = harm.add, STYPE = int);
CREATE FUNCTION harm.tidy() RETURNS int LANGUAGE plpgsql IMMUTABLE SET search_path = harm AS
    $f$ BEGIN PERFORM harm.tell('function with SET'); RETURN 1; END $f$;
CREATE COLLATION harm.plainly FROM "C";
CREATE TABLE harm.sink (v text);
"""
# Today an export as JSON is refused in the whole database where such a cast is, so it is made apart.
JSON_CASTS = """
CREATE FUNCTION harm.as_json(harm.kind) RETURNS json LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.tell('cast to json'); RETURN '"j"'::json; END $f$;
CREATE CAST (harm.kind AS json) WITH FUNCTION harm.as_json(harm.kind);
CREATE FUNCTION harm.as_jsonb(harm.kind) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS
    $f$ BEGIN PERFORM harm.tell('cast to jsonb'); RETURN '"j"'::jsonb; END $f$;
CREATE CAST (harm.kind AS jsonb) WITH FUNCTION harm.as_jsonb(harm.kind);
"""
TRIGGER = """
CREATE FUNCTION harm."on {name}"() RETURNS trigger LANGUAGE plpgsql AS
    $f$ BEGIN PERFORM harm.tell('{name}'); RETURN COALESCE(NEW, OLD); END $f$;
"""
# What is about values: expressions of the table's own.
VALUES = (
    """
CREATE TABLE harm.valued (
    id int PRIMARY KEY,
    c int NOT NULL DEFAULT harm.tap('default', 7) CONSTRAINT c_ok CHECK (harm.tap('check', c) > 0),
    d int DEFAULT harm.tap('other default', 1) CONSTRAINT d_ok CHECK (harm.tap('other check', d) > 0),
    g int GENERATED ALWAYS AS (harm.tap('generated', d)) STORED,
    gc int GENERATED ALWAYS AS (harm.tap('generated from c', c)) STORED,
    EXCLUDE USING btree (harm.tap('exclusion', c) WITH =) WHERE (harm.tap('exclusion predicate', c) > 0)
);
CREATE INDEX ON harm.valued (harm.tap('index expression', c));
CREATE INDEX ON harm.valued (harm.tap('other index expression', d));
CREATE UNIQUE INDEX ON harm.valued (harm.tap('unique expression', c));
CREATE INDEX ON harm.valued (c) WHERE harm.tap('index predicate', c) > 0;
CREATE INDEX ON harm.valued (d) WHERE harm.note('folded index predicate');
CREATE INDEX ON harm.valued (d) WHERE d OPERATOR(harm.===) d;
CREATE STATISTICS harm.of_c ON (harm.tap('statistics', c)) FROM harm.valued;
CREATE STATISTICS harm.of_d ON (harm.tap('other statistics', d)) FROM harm.valued;
CREATE UNIQUE INDEX valued_identity ON harm.valued (id) INCLUDE (c);
CREATE INDEX valued_set ON harm.valued (d) WHERE d < harm.tidy() + 10;
INSERT INTO harm.valued (id, c, d) VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
CREATE TABLE harm.numbered (
    id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, k int UNIQUE NOT NULL, d int,
    i bigint GENERATED ALWAYS AS IDENTITY CHECK (harm.tap('check', i::int) > 0),
    gi int GENERATED ALWAYS AS (harm.tap('generated', i::int)) STORED
);
CREATE INDEX ON harm.numbered (harm.tap('index expression', i::int), harm.tap('other index expression', id));
CREATE INDEX ON harm.numbered (id) WHERE harm.note('folded index predicate');
INSERT INTO harm.numbered (k, d) VALUES (1, 1), (2, 2), (3, 3);
COMMENT ON TABLE harm.valued IS E'a comment\\n\\\\! true';
""",
    """
ALTER TABLE harm.valued ADD v int GENERATED ALWAYS AS (d + 1) VIRTUAL;
""",
)
# What follows a change of the rows: triggers, rules, policies.
EVENTS = (
    "".join(
        TRIGGER.replace("{name}", name)
        for name in (
            "before row trigger",
            "after row trigger",
            "statement trigger",
            "transition trigger",
            "deferred trigger",
            "truncate trigger",
            "trigger on c",
            "instead of trigger",
        )
    )
    + """
CREATE TABLE harm.eventful (id int PRIMARY KEY, c int DEFAULT 1, d int DEFAULT 1);
INSERT INTO harm.eventful VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
CREATE TRIGGER t1 BEFORE INSERT OR UPDATE OR DELETE ON harm.eventful FOR EACH ROW EXECUTE FUNCTION harm."on before row trigger"();
CREATE TRIGGER t2 AFTER INSERT OR UPDATE OR DELETE ON harm.eventful FOR EACH ROW EXECUTE FUNCTION harm."on after row trigger"();
CREATE TRIGGER t3 AFTER INSERT OR UPDATE OR DELETE ON harm.eventful FOR EACH STATEMENT EXECUTE FUNCTION harm."on statement trigger"();
CREATE TRIGGER t4 AFTER UPDATE ON harm.eventful REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION harm."on transition trigger"();
CREATE CONSTRAINT TRIGGER t5 AFTER INSERT OR UPDATE OR DELETE ON harm.eventful DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION harm."on deferred trigger"();
CREATE TRIGGER t6 BEFORE TRUNCATE ON harm.eventful FOR EACH STATEMENT EXECUTE FUNCTION harm."on truncate trigger"();
CREATE TRIGGER t7 AFTER UPDATE OF c ON harm.eventful FOR EACH ROW EXECUTE FUNCTION harm."on trigger on c"();
CREATE TRIGGER t8 AFTER UPDATE ON harm.eventful FOR EACH ROW WHEN (harm.tap('trigger condition', NEW.d) > 0) EXECUTE FUNCTION harm."on after row trigger"();
CREATE TRIGGER t9 AFTER UPDATE ON harm.eventful FOR EACH ROW WHEN (harm.tap('trigger condition on c', NEW.c) > 0) EXECUTE FUNCTION harm."on after row trigger"();
ALTER TABLE harm.eventful ENABLE ALWAYS TRIGGER t1;
CREATE TABLE harm.ruled (id int PRIMARY KEY, c int DEFAULT 1, d int DEFAULT 1);
INSERT INTO harm.ruled VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
CREATE RULE r1 AS ON INSERT TO harm.ruled DO ALSO INSERT INTO harm.sink VALUES (harm.tap('insert rule', NEW.d));
CREATE RULE r2 AS ON UPDATE TO harm.ruled DO ALSO INSERT INTO harm.sink VALUES (harm.tap('update rule', NEW.d));
CREATE RULE r3 AS ON DELETE TO harm.ruled DO ALSO INSERT INTO harm.sink VALUES (harm.tap('delete rule', OLD.d));
CREATE RULE r4 AS ON UPDATE TO harm.ruled WHERE harm.tap('rule condition', NEW.d) < 0 DO INSTEAD NOTHING;
CREATE TABLE harm.instead (id int PRIMARY KEY, c int DEFAULT 1, d int DEFAULT 1);
INSERT INTO harm.instead VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
CREATE RULE r5 AS ON UPDATE TO harm.instead DO INSTEAD INSERT INTO harm.sink VALUES (harm.tap('instead rule', NEW.id));
CREATE RULE r6 AS ON DELETE TO harm.instead DO INSTEAD INSERT INTO harm.sink VALUES (harm.tap('instead rule', OLD.id));
CREATE TABLE harm.guarded (id int PRIMARY KEY, c int DEFAULT 1, d int DEFAULT 1);
INSERT INTO harm.guarded VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
CREATE POLICY p1 ON harm.guarded USING (harm.tap('policy', d) > 0) WITH CHECK (harm.tap('policy check', d) > 0);
CREATE POLICY p2 ON harm.guarded AS RESTRICTIVE USING (harm.tap('policy on c', c) > 0);
ALTER TABLE harm.guarded ENABLE ROW LEVEL SECURITY;
GRANT ALL ON harm.guarded TO PUBLIC;
""",
    "",
)
# What hangs on the column from outside: views, functions, foreign keys.
DEPENDENTS = (
    """
CREATE TABLE harm.viewed (id int PRIMARY KEY, c int DEFAULT 1, d int DEFAULT 1);
INSERT INTO harm.viewed VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3);
CREATE VIEW harm.view_of AS SELECT id, harm.tap('view', c) AS c, d FROM harm.viewed;
CREATE VIEW harm.invoking WITH (security_invoker) AS SELECT id, harm.tap('security invoker view', c) AS c FROM harm.viewed;
CREATE VIEW harm.summed AS SELECT harm.total(c) AS c FROM harm.viewed;
CREATE MATERIALIZED VIEW harm.stored_view AS SELECT id, harm.tap('materialized view', c) AS c FROM harm.viewed;
CREATE UNIQUE INDEX ON harm.stored_view (harm.tap('index of materialized view', id));
CREATE TRIGGER i1 INSTEAD OF UPDATE ON harm.view_of FOR EACH ROW EXECUTE FUNCTION harm."on instead of trigger"();
CREATE RULE v1 AS ON DELETE TO harm.view_of DO INSTEAD INSERT INTO harm.sink VALUES (harm.tap('rule of a view', OLD.id));
CREATE FUNCTION harm.standard(a int DEFAULT harm.tap('argument default', 1)) RETURNS bigint
    BEGIN ATOMIC SELECT count(harm.tap('function body', c)) FROM harm.viewed; END;
CREATE VIEW harm.calling AS SELECT harm.standard() AS n;
CREATE PROCEDURE harm.procedure() LANGUAGE plpgsql AS $f$ BEGIN PERFORM harm.tell('procedure'); END $f$;
CREATE TABLE harm.parent (k int PRIMARY KEY, c int, d int);
INSERT INTO harm.parent VALUES (1, 1, 1), (2, 2, 2);
CREATE TABLE harm.child (id int PRIMARY KEY, c harm.other_kind CONSTRAINT fk REFERENCES harm.parent (k) ON UPDATE CASCADE, d int);
INSERT INTO harm.child VALUES (1, 'a', 1), (2, 'b', 2);
""",
    "",
)
# What is about types: of the column and of the key.
TYPED = (
    """
CREATE TABLE harm.keyed (k harm.label PRIMARY KEY, c harm.kind DEFAULT 'a', d int);
INSERT INTO harm.keyed VALUES ('a', 'a', 1), ('b', 'b', 2);
CREATE TABLE harm.cast_key (k harm.kind PRIMARY KEY, c int DEFAULT 1, d int);
INSERT INTO harm.cast_key VALUES ('a', 1, 1), ('b', 2, 2);
CREATE TABLE harm.domains (id int PRIMARY KEY, c harm.positive DEFAULT 5, d harm.pair, e harm.many, s harm.span);
INSERT INTO harm.domains SELECT n, n, format('(%s,y)', n)::harm.pair, ARRAY[n], harm.span(n, n + 1) FROM generate_series(1, 5) n;
CREATE INDEX ON harm.domains USING gist (s);
CREATE TABLE harm.composed (id int PRIMARY KEY, c harm.pair, d int, x text COLLATE harm.plainly);
INSERT INTO harm.composed VALUES (1, '(1,y)', 1), (2, '(2,z)', 2);
CREATE TABLE harm.arrayed (id int PRIMARY KEY, c harm.many, d int);
INSERT INTO harm.arrayed VALUES (1, '{1}', 1), (2, '{2}', 2);
CREATE TABLE harm.ranged (id int PRIMARY KEY, c harm.span, d int);
INSERT INTO harm.ranged SELECT n, harm.span(n, n + 1), n FROM generate_series(1, 5) n;
""",
    "",
)
# Literals of the owner's types in every expression of a column and of what depends on it.
LITERAL = (
    f"""
CREATE TABLE harm.literal (
    id int PRIMARY KEY,
    c int DEFAULT CASE WHEN {literal("default")} THEN 1 END CONSTRAINT c_ok CHECK (c > 0 OR {literal("check")}),
    d int,
    gc int GENERATED ALWAYS AS (CASE WHEN {literal("generated")} THEN c END) STORED,
    EXCLUDE USING btree (c WITH =) WHERE (c > 0 AND {literal("exclusion")})
);
INSERT INTO harm.literal VALUES (1, 1, 1), (2, 2, 2);
CREATE INDEX ON harm.literal ((CASE WHEN {literal("index expression")} THEN c END));
CREATE INDEX ON harm.literal (c) WHERE c > 0 AND {literal("index predicate")};
CREATE STATISTICS harm.of_literal ON (CASE WHEN {literal("statistics")} THEN c END) FROM harm.literal;
CREATE POLICY p ON harm.literal USING (c > 0 OR {literal("policy")});
CREATE RULE r AS ON UPDATE TO harm.literal WHERE OLD.c < 0 AND {literal("rule")} DO INSTEAD NOTHING;
CREATE TRIGGER t AFTER UPDATE OF c ON harm.literal FOR EACH ROW
    WHEN (NEW.c > 0 AND {literal("trigger condition")}) EXECUTE FUNCTION harm."on trigger on c"();
CREATE VIEW harm.literal_view AS SELECT c FROM harm.literal WHERE {literal("view")};
CREATE MATERIALIZED VIEW harm.literal_stored AS SELECT c FROM harm.literal WHERE {literal("materialized view")};
CREATE FUNCTION harm.literal_body(a boolean DEFAULT {literal("argument default")}) RETURNS bigint
    BEGIN ATOMIC SELECT count(c) FROM harm.literal WHERE {literal("function body")}; END;
CREATE VIEW harm.literal_calling AS SELECT harm.literal_body() AS n;
""",
    "",
)
THROUGH = (
    f"""
CREATE DOMAIN harm.acting_domain AS int CHECK ({acting("domain")});
CREATE TABLE harm.through (
    id int PRIMARY KEY, d int, e harm.acting_domain,
    c int DEFAULT CASE WHEN {acting("default")} THEN 1 END CONSTRAINT c_ok CHECK (c > 0 AND {acting("check")})
);
INSERT INTO harm.through (id, c, d, e) VALUES (1, 1, 1, 1), (2, 2, 2, 2);
CREATE INDEX ON harm.through (c);
CREATE POLICY p ON harm.through USING (c > 0 OR {acting("policy")});
CREATE RULE r AS ON UPDATE TO harm.through WHERE OLD.c < 0 AND {acting("rule")} DO INSTEAD NOTHING;
CREATE TRIGGER t AFTER UPDATE OF c ON harm.through FOR EACH ROW
    WHEN (NEW.c > 0 AND {acting("trigger condition")}) EXECUTE FUNCTION harm."on trigger on c"();
CREATE VIEW harm.through_view AS SELECT c FROM harm.through WHERE {acting("view")};
CREATE MATERIALIZED VIEW harm.through_stored AS SELECT c FROM harm.through WHERE {acting("materialized view")};
CREATE UNIQUE INDEX ON harm.through_stored (c);
CREATE FUNCTION harm.through_body(a boolean DEFAULT {acting("argument default")}) RETURNS bigint
    BEGIN ATOMIC SELECT count(c) FROM harm.through WHERE {acting("function body")}; END;
CREATE VIEW harm.through_calling AS SELECT harm.through_body() AS n;
""",
    "",
)
PARTITIONED = (
    """
CREATE TABLE harm.parted (id int, k int, c int DEFAULT 1, d int) PARTITION BY RANGE (harm.tap('partition key', k));
CREATE TABLE harm.part_1 PARTITION OF harm.parted FOR VALUES FROM (0) TO (10);
CREATE TABLE harm.part_2 PARTITION OF harm.parted DEFAULT;
INSERT INTO harm.parted VALUES (1, 1, 1, 1), (2, 20, 2, 2);
CREATE TABLE harm.listed (k harm.bounded, c int DEFAULT 1, d int) PARTITION BY LIST (k);
CREATE TABLE harm.listed_a PARTITION OF harm.listed FOR VALUES IN ('a');
INSERT INTO harm.listed VALUES ('a', 1, 1);
CREATE TABLE harm.forest (id int, c int DEFAULT 1, d int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
CREATE TABLE harm.tree_1 PARTITION OF harm.forest (CHECK (harm.tap('check of a partition', c) > 0)) FOR VALUES FROM (0) TO (10);
CREATE INDEX ON harm.tree_1 (harm.tap('index of a partition', c));
CREATE INDEX ON harm.tree_1 (d) WHERE harm.note('folded predicate of a partition');
INSERT INTO harm.forest VALUES (1, 1, 1), (2, 2, 2);
""",
    "",
)
GROUPS = (VALUES, EVENTS, DEPENDENTS, TYPED, LITERAL, THROUGH, PARTITIONED)
_CREATED = re.compile(
    r'CREATE (?:[A-Z]+ )*(?:TABLE|VIEW|STATISTICS|FUNCTION|PROCEDURE|DOMAIN) harm\.(\w+|"[^"]+")'
)


def grounds(version: int, schema: str) -> str:
    """Return the tables of all groups, with what hangs on them, in a schema; the types stay where they are."""
    script = "".join(sql + (newer if version >= 18 else "") for sql, newer in GROUPS)
    created = sorted(set(_CREATED.findall(script)), key=len, reverse=True)
    names = "|".join(re.escape(name) for name in created)
    return re.sub(rf"\bharm\.({names})(?!\w)", rf"{schema}.\1", script)
