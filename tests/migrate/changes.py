"""Single changes of a schema that pg_dump shows: each on the same schema, which has one of each kind.

A line that begins with a number and a colon needs this version of PostgreSQL.
"""

from __future__ import annotations

SETUP = r"""
CREATE SCHEMA app; CREATE SCHEMA "odd.""name";
CREATE TYPE app.mood AS ENUM ('sad', 'ok');
CREATE TYPE app.pair AS (a int, b text);
CREATE TYPE app.span AS RANGE (subtype = float8, subtype_diff = float8mi);
CREATE DOMAIN app.positive AS int CONSTRAINT above CHECK (VALUE > 0);
CREATE SEQUENCE app.counter START 10 INCREMENT 2;
CREATE COLLATION app.ger (provider = libc, locale = 'C');
CREATE FUNCTION app.double(x int) RETURNS int LANGUAGE sql IMMUTABLE RETURN x * 2;
CREATE FUNCTION app.plain(x int, y text DEFAULT 'a') RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN x; END$$;
CREATE FUNCTION app.touch() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RETURN NEW; END$$;
CREATE FUNCTION app.log_ddl() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$;
CREATE PROCEDURE app.work(a int) LANGUAGE plpgsql AS $$BEGIN END$$;
CREATE FUNCTION app.adds(a int, b int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE AGGREGATE app.total(int) (sfunc = app.adds, stype = int, initcond = '0');
CREATE OPERATOR app.=== (function = int4eq, leftarg = int, rightarg = int, commutator = OPERATOR(app.===));
CREATE TABLE app.customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, code varchar(10) NOT NULL, name text COLLATE "C" DEFAULT 'none',
    state app.mood DEFAULT 'ok', level app.positive, twice int GENERATED ALWAYS AS (length(code) * 2) STORED, note text,
    CONSTRAINT code_long CHECK (length(code) > 2), CONSTRAINT code_key UNIQUE (code));
CREATE TABLE app.orders (
    id serial PRIMARY KEY, customer bigint CONSTRAINT to_customer REFERENCES app.customers ON DELETE CASCADE,
    at timestamptz DEFAULT now(), during tstzrange, amount numeric(10,2), data jsonb, "q""uote" int,
    CONSTRAINT apart EXCLUDE USING gist (during WITH &&));
CREATE INDEX orders_at ON app.orders (at) WHERE amount > 0;
CREATE UNIQUE INDEX orders_once ON app.orders (lower(data::text), id) INCLUDE (at);
CREATE STATISTICS app.orders_stats (ndistinct) ON customer, at FROM app.orders;
CREATE TABLE app.measures (at date NOT NULL, v int CHECK (v >= 0), k int DEFAULT 1) PARTITION BY RANGE (at);
CREATE TABLE app.measures_1 PARTITION OF app.measures FOR VALUES FROM ('2026-01-01') TO ('2026-02-01');
CREATE TABLE app.measures_d PARTITION OF app.measures DEFAULT;
CREATE INDEX measures_v ON app.measures (v);
CREATE TABLE app.base (a int, b text CHECK (b <> ''));
CREATE TABLE app.heir (c int) INHERITS (app.base);
CREATE TABLE app.other (x int, y int);
CREATE UNLOGGED TABLE app.fast (x int);
CREATE VIEW app.named AS SELECT id, name, twice FROM app.customers;
CREATE VIEW app.upon AS SELECT n.name, app.double(n.twice) AS four FROM app.named AS n;
CREATE MATERIALIZED VIEW app.summary AS SELECT state, count(*) AS n FROM app.customers GROUP BY state;
CREATE UNIQUE INDEX summary_key ON app.summary (state);
CREATE TRIGGER touched BEFORE UPDATE OF name ON app.customers FOR EACH ROW WHEN (OLD.name IS DISTINCT FROM NEW.name) EXECUTE FUNCTION app.touch();
CREATE RULE quiet AS ON DELETE TO app.other DO INSTEAD NOTHING;
ALTER TABLE app.orders ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON app.orders FOR SELECT TO reader USING (customer = 1);
CREATE FOREIGN DATA WRAPPER wrapper; CREATE SERVER far FOREIGN DATA WRAPPER wrapper;
CREATE FOREIGN TABLE app.remote (a int OPTIONS (column_name 'A'), b text) SERVER far OPTIONS (t 'x');
CREATE USER MAPPING FOR reader SERVER far OPTIONS (password 'secret');
CREATE PUBLICATION pub FOR TABLE app.orders (id, at) WHERE (id > 1);
CREATE EVENT TRIGGER logged ON ddl_command_end WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION app.log_ddl();
CREATE FUNCTION app.rank(app.mood) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1'; CREATE CAST (app.mood AS int) WITH FUNCTION app.rank(app.mood);
CREATE TEXT SEARCH DICTIONARY app.dict (template = simple);
CREATE TEXT SEARCH CONFIGURATION app.conf (copy = simple);
CREATE OPERATOR CLASS app.reverse FOR TYPE int USING btree AS OPERATOR 1 <, OPERATOR 3 =, FUNCTION 1 btint4cmp(int, int);
ALTER DEFAULT PRIVILEGES FOR ROLE owner_1 IN SCHEMA app GRANT SELECT ON TABLES TO reader;
GRANT SELECT ON app.customers TO reader; GRANT UPDATE (name) ON app.customers TO reader;
COMMENT ON TABLE app.customers IS 'customers'; COMMENT ON COLUMN app.customers.name IS 'the name';
"""

CHANGES = r"""
CREATE SCHEMA extra
CREATE SCHEMA extra; CREATE TABLE extra.t (a int)
ALTER SCHEMA app OWNER TO owner_1
COMMENT ON SCHEMA app IS 'x'
GRANT USAGE ON SCHEMA app TO reader
DROP SCHEMA "odd.""name"
ALTER SCHEMA "odd.""name" RENAME TO odd
CREATE TABLE app.t (a int, b text NOT NULL DEFAULT 'x', PRIMARY KEY (a))
CREATE TABLE app."a ""b.c" ("x y" int CHECK ("x y" > 0), "z""q" int DEFAULT 5)
CREATE TABLE app.t (id bigserial PRIMARY KEY, c bigint REFERENCES app.customers)
CREATE TABLE app.t (LIKE app.customers INCLUDING ALL)
CREATE TABLE app.t (a int) WITH (fillfactor = 50, toast.autovacuum_enabled = off)
CREATE UNLOGGED TABLE app.t (a int GENERATED BY DEFAULT AS IDENTITY (START 5 INCREMENT 3 MINVALUE 2 MAXVALUE 90 CACHE 4 CYCLE))
CREATE TABLE app.t OF app.pair
CREATE TABLE app.t (a int, b int, c int) PARTITION BY LIST (a); CREATE TABLE app.t1 PARTITION OF app.t FOR VALUES IN (1, 2) PARTITION BY HASH (b); CREATE TABLE app.t2 PARTITION OF app.t1 FOR VALUES WITH (MODULUS 2, REMAINDER 0)
CREATE TABLE app.t (a int, PRIMARY KEY (a)) PARTITION BY RANGE (a); CREATE TABLE app.t1 PARTITION OF app.t FOR VALUES FROM (1) TO (9); CREATE TABLE app.u (a int REFERENCES app.t)
CREATE TABLE app.t (a int) INHERITS (app.base, app.other)
CREATE TABLE app.t (a int) INHERITS (app.base); ALTER TABLE app.t ALTER a SET DEFAULT 3
CREATE TABLE app.t (a int, b int); CREATE TABLE app.u (a int, b int); ALTER TABLE app.t ADD PRIMARY KEY (a); ALTER TABLE app.u ADD PRIMARY KEY (a); ALTER TABLE app.t ADD FOREIGN KEY (b) REFERENCES app.u; ALTER TABLE app.u ADD FOREIGN KEY (b) REFERENCES app.t DEFERRABLE INITIALLY DEFERRED
DROP TABLE app.other
DROP TABLE app.customers CASCADE
DROP TABLE app.measures_1
DROP TABLE app.measures
DROP TABLE app.base CASCADE
DROP TABLE app.other; CREATE VIEW app.other AS SELECT 1 AS x
ALTER TABLE app.other OWNER TO owner_1
ALTER TABLE app.other SET UNLOGGED
ALTER TABLE app.fast SET LOGGED
ALTER TABLE app.other SET (fillfactor = 70)
ALTER TABLE app.customers SET (toast.autovacuum_enabled = off)
ALTER TABLE app.other REPLICA IDENTITY FULL
ALTER TABLE app.other REPLICA IDENTITY NOTHING
ALTER TABLE app.customers REPLICA IDENTITY USING INDEX code_key
ALTER TABLE app.customers CLUSTER ON code_key
ALTER TABLE app.other ENABLE ROW LEVEL SECURITY
ALTER TABLE app.orders DISABLE ROW LEVEL SECURITY
ALTER TABLE app.other FORCE ROW LEVEL SECURITY
ALTER TABLE app.other INHERIT app.fast
ALTER TABLE app.heir NO INHERIT app.base
ALTER TABLE app.measures DETACH PARTITION app.measures_1
CREATE TABLE app.measures_2 (at date NOT NULL, v int CONSTRAINT measures_v_check CHECK (v >= 0), k int); ALTER TABLE app.measures ATTACH PARTITION app.measures_2 FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')
CREATE TABLE app.measures_3 PARTITION OF app.measures FOR VALUES FROM ('2026-03-01') TO ('2026-04-01')
ALTER TABLE app.other SET SCHEMA public
ALTER TABLE app.other RENAME TO another
ALTER TABLE app.other RENAME COLUMN x TO z
ALTER TABLE app.other ADD COLUMN z int
ALTER TABLE app.other ADD COLUMN z int NOT NULL DEFAULT 5, ADD CONSTRAINT zz CHECK (z > 1)
ALTER TABLE app.other ADD COLUMN z int GENERATED ALWAYS AS (x + y) STORED
18: ALTER TABLE app.other ADD COLUMN z int GENERATED ALWAYS AS (x + y) VIRTUAL
ALTER TABLE app.other ADD COLUMN z bigint GENERATED BY DEFAULT AS IDENTITY
ALTER TABLE app.other ADD COLUMN z serial
ALTER TABLE app.other ADD COLUMN z text COLLATE app.ger
ALTER TABLE app.measures ADD COLUMN z int NOT NULL DEFAULT 4
ALTER TABLE app.base ADD COLUMN z int
ALTER TABLE app.base ADD COLUMN c int
ALTER TABLE app.other DROP COLUMN x
ALTER TABLE app.other DROP COLUMN y
ALTER TABLE app.customers DROP COLUMN name CASCADE
ALTER TABLE app.measures DROP COLUMN v
ALTER TABLE app.base DROP COLUMN b
ALTER TABLE ONLY app.base DROP COLUMN b
ALTER TABLE app.other ALTER x TYPE bigint
ALTER TABLE app.orders ALTER amount TYPE numeric(12,4)
ALTER TABLE app.measures ALTER v TYPE bigint
ALTER TABLE app.base ALTER a TYPE bigint
ALTER TABLE app.other ALTER x TYPE text COLLATE "C"
ALTER TABLE app.other ALTER x SET NOT NULL
ALTER TABLE app.customers ALTER code DROP NOT NULL
ALTER TABLE app.measures ALTER at DROP NOT NULL
ALTER TABLE app.measures ALTER k SET NOT NULL
ALTER TABLE app.base ALTER a SET NOT NULL
ALTER TABLE app.other ALTER x SET DEFAULT 4
ALTER TABLE app.other ALTER x SET DEFAULT app.double(4)
ALTER TABLE app.customers ALTER name SET DEFAULT 'some'
ALTER TABLE app.customers ALTER name DROP DEFAULT
ALTER TABLE app.measures ALTER k SET DEFAULT 2
ALTER TABLE ONLY app.measures ALTER k SET DEFAULT 2
ALTER TABLE app.measures_1 ALTER k DROP DEFAULT
ALTER TABLE app.customers ALTER id SET GENERATED BY DEFAULT
ALTER TABLE app.customers ALTER id DROP IDENTITY
ALTER TABLE app.customers ALTER id SET INCREMENT 4 SET CACHE 3
ALTER TABLE app.customers ALTER twice DROP EXPRESSION
17: ALTER TABLE app.customers ALTER twice SET EXPRESSION AS (length(code) * 3)
ALTER TABLE app.orders ALTER id DROP DEFAULT
ALTER TABLE app.orders ALTER id DROP DEFAULT; ALTER TABLE app.orders ALTER id ADD GENERATED ALWAYS AS IDENTITY (SEQUENCE NAME app.new_seq)
ALTER TABLE app.customers ALTER name SET STORAGE EXTERNAL
ALTER TABLE app.customers ALTER name SET COMPRESSION pglz
ALTER TABLE app.customers ALTER name SET STATISTICS 500
ALTER TABLE app.customers ALTER name SET (n_distinct = 5)
ALTER TABLE app.other ADD CONSTRAINT k CHECK (x > 1)
ALTER TABLE app.other ADD CONSTRAINT k CHECK (x > 1) NOT VALID
ALTER TABLE app.other ADD CONSTRAINT k CHECK (x > 1) NO INHERIT
ALTER TABLE app.measures ADD CONSTRAINT k CHECK (v < 1000)
ALTER TABLE app.base ADD CONSTRAINT k CHECK (a < 1000)
ALTER TABLE app.base ADD CONSTRAINT k CHECK (a < 1000) NO INHERIT
18: ALTER TABLE app.other ADD CONSTRAINT k CHECK (x > 1) NOT ENFORCED
18: ALTER TABLE app.other ADD CONSTRAINT k NOT NULL x
18: ALTER TABLE app.other ADD CONSTRAINT k NOT NULL x NOT VALID
18: ALTER TABLE app.other ADD CONSTRAINT k NOT NULL x NO INHERIT
18: ALTER TABLE app.customers RENAME CONSTRAINT customers_code_not_null TO other_name
18: ALTER TABLE app.orders ALTER CONSTRAINT to_customer NOT ENFORCED
ALTER TABLE app.other ADD CONSTRAINT k UNIQUE NULLS NOT DISTINCT (x) INCLUDE (y) WITH (fillfactor = 60)
ALTER TABLE app.other ADD CONSTRAINT k PRIMARY KEY (x, y) DEFERRABLE INITIALLY DEFERRED
ALTER TABLE app.other ADD CONSTRAINT k FOREIGN KEY (x) REFERENCES app.customers (id) MATCH FULL ON UPDATE SET NULL
ALTER TABLE app.other ADD CONSTRAINT k FOREIGN KEY (x) REFERENCES app.customers (id) NOT VALID
ALTER TABLE app.measures ADD CONSTRAINT k FOREIGN KEY (v) REFERENCES app.orders
ALTER TABLE app.measures ADD CONSTRAINT k UNIQUE (at, v)
ALTER TABLE app.other ADD CONSTRAINT k EXCLUDE USING btree (x WITH =)
ALTER TABLE app.orders ALTER CONSTRAINT to_customer DEFERRABLE INITIALLY DEFERRED
ALTER TABLE app.customers DROP CONSTRAINT code_long
ALTER TABLE app.customers DROP CONSTRAINT code_key
ALTER TABLE app.customers DROP CONSTRAINT customers_pkey CASCADE
ALTER TABLE app.customers DROP CONSTRAINT code_long; ALTER TABLE app.customers ADD CONSTRAINT code_long CHECK (length(code) > 3)
ALTER TABLE app.customers RENAME CONSTRAINT code_key TO code_unique
COMMENT ON CONSTRAINT code_long ON app.customers IS 'x'
COMMENT ON INDEX app.code_key IS 'x'
CREATE INDEX i ON app.orders USING hash (amount)
CREATE INDEX i ON app.orders (at DESC NULLS LAST, amount) WITH (fillfactor = 33)
CREATE INDEX i ON app.orders ((data ->> 'a') COLLATE "C" text_pattern_ops)
CREATE INDEX i ON app.measures (at, v)
CREATE INDEX i ON ONLY app.measures (at, v)
CREATE INDEX i ON app.measures_1 (at)
DROP INDEX app.orders_at
DROP INDEX app.measures_v
DROP INDEX app.orders_at; CREATE INDEX orders_at ON app.orders (at)
ALTER INDEX app.orders_at RENAME TO orders_by_time
ALTER INDEX app.orders_at SET (fillfactor = 44)
ALTER INDEX app.orders_once ALTER COLUMN 1 SET STATISTICS 77
COMMENT ON INDEX app.orders_at IS 'x'
CREATE STATISTICS app.s (dependencies, mcv) ON x, y FROM app.other
CREATE STATISTICS app.s ON (x + y), (x * y) FROM app.other
ALTER STATISTICS app.orders_stats SET STATISTICS 7
ALTER STATISTICS app.orders_stats OWNER TO owner_1
DROP STATISTICS app.orders_stats
COMMENT ON STATISTICS app.orders_stats IS 'x'
CREATE SEQUENCE app.s AS smallint START 3 CYCLE CACHE 5
CREATE SEQUENCE app.s OWNED BY app.other.x
ALTER SEQUENCE app.counter INCREMENT -3 MINVALUE -100 MAXVALUE 100 START 50
ALTER SEQUENCE app.counter AS int
ALTER SEQUENCE app.counter OWNED BY app.other.x
ALTER SEQUENCE app.orders_id_seq OWNED BY NONE
ALTER SEQUENCE app.counter OWNER TO owner_1
ALTER SEQUENCE app.counter SET UNLOGGED
DROP SEQUENCE app.counter
GRANT USAGE ON SEQUENCE app.counter TO reader
GRANT SELECT ON SEQUENCE app.customers_id_seq TO reader
COMMENT ON SEQUENCE app.counter IS 'x'
CREATE VIEW app.v AS SELECT 1 AS a, 'x'::text AS b
CREATE VIEW app.v WITH (security_barrier, check_option = local) AS SELECT * FROM app.other WHERE x > 1
CREATE RECURSIVE VIEW app.v (n) AS VALUES (1) UNION ALL SELECT n + 1 FROM v WHERE n < 5
CREATE VIEW app.v AS SELECT * FROM app.upon; CREATE VIEW app.w AS SELECT * FROM app.v
CREATE OR REPLACE VIEW app.named AS SELECT id, name, twice, note FROM app.customers
DROP VIEW app.upon; DROP VIEW app.named; CREATE VIEW app.named AS SELECT name, twice FROM app.customers; CREATE VIEW app.upon AS SELECT n.name, app.double(n.twice) AS four FROM app.named AS n
DROP VIEW app.upon
DROP VIEW app.named CASCADE
ALTER VIEW app.named SET (security_invoker = on)
ALTER VIEW app.named ALTER name SET DEFAULT 'q'
ALTER VIEW app.named OWNER TO owner_1
ALTER VIEW app.upon RENAME COLUMN four TO quad
COMMENT ON VIEW app.named IS 'x'
COMMENT ON COLUMN app.named.name IS 'x'
GRANT SELECT (name) ON app.named TO reader
CREATE MATERIALIZED VIEW app.m AS SELECT x FROM app.other; CREATE INDEX ON app.m (x)
DROP MATERIALIZED VIEW app.summary
DROP MATERIALIZED VIEW app.summary; CREATE MATERIALIZED VIEW app.summary AS SELECT state, count(*) AS n, 1 AS one FROM app.customers GROUP BY state; CREATE UNIQUE INDEX summary_key ON app.summary (state)
ALTER MATERIALIZED VIEW app.summary SET (autovacuum_enabled = off)
ALTER MATERIALIZED VIEW app.summary ALTER state SET STATISTICS 5
ALTER MATERIALIZED VIEW app.summary CLUSTER ON summary_key
COMMENT ON MATERIALIZED VIEW app.summary IS 'x'
CREATE FUNCTION app.f(a int, OUT b int, VARIADIC c text[]) RETURNS int LANGUAGE sql STRICT PARALLEL SAFE COST 5 SET search_path = app, public AS 'SELECT 1'
CREATE FUNCTION app.f() RETURNS TABLE (a int, b text) LANGUAGE sql ROWS 7 SECURITY DEFINER AS 'SELECT 1, ''x'''
CREATE FUNCTION app.f(app.customers) RETURNS int LANGUAGE sql AS 'SELECT 1'
CREATE FUNCTION app.f(app.mood[]) RETURNS SETOF app.pair LANGUAGE sql BEGIN ATOMIC SELECT 1, 'x'::text; END
CREATE OR REPLACE FUNCTION app.double(x int) RETURNS int LANGUAGE sql IMMUTABLE RETURN x * 3
CREATE OR REPLACE FUNCTION app.plain(x int, y text DEFAULT 'b') RETURNS int LANGUAGE plpgsql AS $$BEGIN RETURN x + 1; END$$
DROP FUNCTION app.plain(int, text); CREATE FUNCTION app.plain(x int, y text) RETURNS bigint LANGUAGE plpgsql AS $$BEGIN RETURN x; END$$
DROP FUNCTION app.plain(int, text)
DROP FUNCTION app.double(int) CASCADE
DROP FUNCTION app.touch() CASCADE
ALTER FUNCTION app.plain(int, text) STABLE LEAKPROOF COST 9
ALTER FUNCTION app.plain(int, text) SET work_mem = '1MB'
ALTER FUNCTION app.plain(int, text) OWNER TO owner_1
ALTER FUNCTION app.plain(int, text) RENAME TO plain2
REVOKE EXECUTE ON FUNCTION app.plain(int, text) FROM PUBLIC
GRANT EXECUTE ON FUNCTION app.plain(int, text) TO reader WITH GRANT OPTION
COMMENT ON FUNCTION app.plain(int, text) IS 'x'
CREATE PROCEDURE app.p(INOUT a int) LANGUAGE sql AS 'SELECT 1'
CREATE OR REPLACE PROCEDURE app.work(a int) LANGUAGE plpgsql AS $$BEGIN COMMIT; END$$
DROP PROCEDURE app.work(int)
CREATE AGGREGATE app.agg(int) (sfunc = app.adds, stype = int, combinefunc = app.adds, parallel = safe, msfunc = app.adds, minvfunc = app.adds, mstype = int)
CREATE AGGREGATE app.pc(float8 ORDER BY anyelement) (sfunc = ordered_set_transition, stype = internal, finalfunc = percentile_disc_final, finalfunc_extra)
DROP AGGREGATE app.total(int)
DROP AGGREGATE app.total(int); CREATE AGGREGATE app.total(int) (sfunc = app.adds, stype = int, initcond = '1')
ALTER AGGREGATE app.total(int) OWNER TO owner_1
COMMENT ON AGGREGATE app.total(int) IS 'x'
CREATE TRIGGER t AFTER INSERT OR DELETE ON app.other FOR EACH STATEMENT EXECUTE FUNCTION app.touch('a')
CREATE TRIGGER t AFTER INSERT ON app.other REFERENCING NEW TABLE AS n FOR EACH STATEMENT EXECUTE FUNCTION app.touch('a', 'b')
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON app.other DEFERRABLE FOR EACH ROW EXECUTE FUNCTION app.touch()
CREATE TRIGGER t BEFORE INSERT ON app.measures FOR EACH ROW EXECUTE FUNCTION app.touch()
CREATE TRIGGER t BEFORE INSERT ON app.measures FOR EACH ROW EXECUTE FUNCTION app.touch(); ALTER TABLE app.measures_1 DISABLE TRIGGER t
CREATE TRIGGER t INSTEAD OF INSERT ON app.named FOR EACH ROW EXECUTE FUNCTION app.touch()
ALTER TABLE app.customers DISABLE TRIGGER touched
ALTER TABLE app.customers ENABLE REPLICA TRIGGER touched
DROP TRIGGER touched ON app.customers
ALTER TRIGGER touched ON app.customers RENAME TO touched2
COMMENT ON TRIGGER touched ON app.customers IS 'x'
CREATE RULE r AS ON INSERT TO app.other WHERE NEW.x > 5 DO ALSO SELECT 1
CREATE OR REPLACE RULE quiet AS ON DELETE TO app.other DO ALSO NOTHING
ALTER TABLE app.other DISABLE RULE quiet
DROP RULE quiet ON app.other
COMMENT ON RULE quiet ON app.other IS 'x'
CREATE POLICY p ON app.other AS RESTRICTIVE FOR UPDATE TO PUBLIC USING (x > 1) WITH CHECK (y > 1)
ALTER POLICY mine ON app.orders TO reader, owner_1 USING (customer = 2)
DROP POLICY mine ON app.orders
COMMENT ON POLICY mine ON app.orders IS 'x'
CREATE TYPE app.e AS ENUM ('a', 'it''s')
CREATE TYPE app.e AS ENUM ()
ALTER TYPE app.mood ADD VALUE 'fine' BEFORE 'ok'
ALTER TYPE app.mood ADD VALUE 'good'
ALTER TYPE app.mood RENAME VALUE 'ok' TO 'okay'
ALTER TYPE app.mood OWNER TO owner_1
REVOKE USAGE ON TYPE app.mood FROM PUBLIC
COMMENT ON TYPE app.mood IS 'x'
DROP TYPE app.mood CASCADE
CREATE TYPE app.c AS (a text COLLATE "C", b app.pair[])
CREATE TYPE app.empty AS ()
ALTER TYPE app.pair ADD ATTRIBUTE c int
ALTER TYPE app.pair DROP ATTRIBUTE b
ALTER TYPE app.pair ALTER ATTRIBUTE a TYPE bigint
COMMENT ON COLUMN app.pair.a IS 'x'
DROP TYPE app.pair
CREATE TYPE app.r AS RANGE (subtype = text, collation = "C", multirange_type_name = app.many)
DROP TYPE app.span
COMMENT ON TYPE app.span IS 'x'
CREATE DOMAIN app.d AS varchar(20) COLLATE "C" NOT NULL DEFAULT 'x' CONSTRAINT one CHECK (VALUE <> 'a') CONSTRAINT two CHECK (VALUE <> 'b')
ALTER DOMAIN app.positive SET DEFAULT 4
ALTER DOMAIN app.positive SET NOT NULL
ALTER DOMAIN app.positive DROP CONSTRAINT above
ALTER DOMAIN app.positive ADD CONSTRAINT below CHECK (VALUE < 100) NOT VALID
ALTER DOMAIN app.positive VALIDATE CONSTRAINT above; COMMENT ON CONSTRAINT above ON DOMAIN app.positive IS 'x'
ALTER DOMAIN app.positive OWNER TO owner_1
COMMENT ON DOMAIN app.positive IS 'x'
CREATE TYPE app.shell
DROP EXTENSION plpgsql CASCADE
COMMENT ON EXTENSION plpgsql IS 'x'
CREATE FOREIGN TABLE app.r2 (a int NOT NULL) SERVER far
ALTER FOREIGN TABLE app.remote ADD COLUMN c int
ALTER FOREIGN TABLE app.remote ALTER a OPTIONS (SET column_name 'B')
ALTER FOREIGN TABLE app.remote OPTIONS (SET t 'y', ADD u 'z')
DROP FOREIGN TABLE app.remote
COMMENT ON FOREIGN TABLE app.remote IS 'x'
CREATE SERVER near TYPE 't' VERSION '2' FOREIGN DATA WRAPPER wrapper OPTIONS (host 'h')
ALTER SERVER far VERSION '3'
ALTER SERVER far OPTIONS (ADD host 'h')
GRANT USAGE ON FOREIGN SERVER far TO reader
DROP SERVER far CASCADE
CREATE FOREIGN DATA WRAPPER w2 OPTIONS (debug 'true')
ALTER FOREIGN DATA WRAPPER wrapper OPTIONS (ADD a 'b')
CREATE USER MAPPING FOR PUBLIC SERVER far
DROP USER MAPPING FOR reader SERVER far
CREATE PUBLICATION p2 FOR ALL TABLES WITH (publish = 'insert, delete', publish_via_partition_root)
CREATE PUBLICATION p2 FOR TABLES IN SCHEMA app
CREATE PUBLICATION p2 FOR TABLE app.other, app.measures
18: CREATE PUBLICATION p2 FOR TABLE app.customers WITH (publish_generated_columns = stored)
ALTER PUBLICATION pub ADD TABLE app.other
ALTER PUBLICATION pub DROP TABLE app.orders
ALTER PUBLICATION pub SET TABLE app.orders WHERE (id > 5)
ALTER PUBLICATION pub SET (publish = 'insert')
ALTER PUBLICATION pub OWNER TO owner_1
DROP PUBLICATION pub
COMMENT ON PUBLICATION pub IS 'x'
CREATE EVENT TRIGGER e2 ON sql_drop EXECUTE FUNCTION app.log_ddl()
ALTER EVENT TRIGGER logged DISABLE
DROP EVENT TRIGGER logged
COMMENT ON EVENT TRIGGER logged IS 'x'
CREATE CAST (int AS app.mood) WITH INOUT AS ASSIGNMENT
DROP CAST (app.mood AS int)
COMMENT ON CAST (app.mood AS int) IS 'x'
CREATE OPERATOR app.!== (function = int4ne, leftarg = int, rightarg = int, negator = OPERATOR(app.===), restrict = neqsel, join = neqjoinsel)
ALTER OPERATOR app.=== (int, int) SET (restrict = eqsel, join = eqjoinsel)
DROP OPERATOR app.=== (int, int)
COMMENT ON OPERATOR app.=== (int, int) IS 'x'
CREATE OPERATOR CLASS app.oc DEFAULT FOR TYPE app.pair USING btree AS OPERATOR 1 pg_catalog.< (record, record), FUNCTION 1 (app.pair, app.pair) btrecordcmp(record, record)
DROP OPERATOR CLASS app.reverse USING btree
DROP OPERATOR FAMILY app.reverse USING btree
CREATE OPERATOR FAMILY app.fam USING hash
COMMENT ON OPERATOR CLASS app.reverse USING btree IS 'x'
CREATE COLLATION app.coll (lc_collate = 'C', lc_ctype = 'POSIX')
DROP COLLATION app.ger
COMMENT ON COLLATION app.ger IS 'x'
CREATE DEFAULT CONVERSION app.conv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8
CREATE TEXT SEARCH DICTIONARY app.d2 (template = snowball, language = 'english')
ALTER TEXT SEARCH DICTIONARY app.dict (accept = false)
DROP TEXT SEARCH DICTIONARY app.dict
ALTER TEXT SEARCH CONFIGURATION app.conf ALTER MAPPING FOR word WITH english_stem, simple
ALTER TEXT SEARCH CONFIGURATION app.conf DROP MAPPING FOR url
CREATE TEXT SEARCH CONFIGURATION app.c2 (parser = "default")
DROP TEXT SEARCH CONFIGURATION app.conf
COMMENT ON TEXT SEARCH CONFIGURATION app.conf IS 'x'
CREATE TEXT SEARCH TEMPLATE app.tmpl (init = dsimple_init, lexize = dsimple_lexize)
CREATE TEXT SEARCH PARSER app.prs (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype)
CREATE LANGUAGE lang HANDLER plpgsql_call_handler
CREATE ACCESS METHOD am TYPE INDEX HANDLER bthandler
ALTER DEFAULT PRIVILEGES FOR ROLE owner_1 IN SCHEMA app REVOKE SELECT ON TABLES FROM reader
ALTER DEFAULT PRIVILEGES FOR ROLE owner_1 REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC
ALTER DEFAULT PRIVILEGES FOR ROLE owner_1 IN SCHEMA app GRANT ALL ON SEQUENCES TO reader WITH GRANT OPTION
GRANT INSERT ON app.customers TO reader
GRANT SELECT ON app.customers TO reader WITH GRANT OPTION
GRANT SELECT ON app.other TO PUBLIC
GRANT ALL ON app.other TO reader
REVOKE SELECT ON app.customers FROM reader
REVOKE INSERT, DELETE ON app.other FROM postgres
REVOKE UPDATE (name) ON app.customers FROM reader
GRANT SELECT (note), UPDATE (note) ON app.customers TO reader
GRANT USAGE ON SCHEMA app TO reader; GRANT SELECT ON app.other TO reader WITH GRANT OPTION; SET ROLE reader; GRANT SELECT ON app.other TO owner_1; RESET ROLE
COMMENT ON TABLE app.customers IS NULL
COMMENT ON TABLE app.customers IS E'it''s\n$$ \\ ✓'
COMMENT ON COLUMN app.customers.name IS NULL
COMMENT ON COLUMN app.customers.note IS 'x'
ALTER FUNCTION app.plain(int, text) DEPENDS ON EXTENSION plpgsql
""".strip().splitlines()


def changes_for(version: int) -> list[str]:
    """Return the changes that this version of PostgreSQL knows."""
    found = []
    for line in CHANGES:
        since, colon, sql = line.partition(": ")
        if colon and since.isdecimal():
            if version >= int(since):
                found.append(sql)
        else:
            found.append(line)
    return found
