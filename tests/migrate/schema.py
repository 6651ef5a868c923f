"""The schema that each form runs on, in four shapes: empty, filled, dirty and partitioned."""

from __future__ import annotations

TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TYPE pair AS (l int, r int);
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE DOMAIN plain AS int;
CREATE FUNCTION steady(int) RETURNS int IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION restless() RETURNS int VOLATILE LANGUAGE plpgsql
    AS 'BEGIN RETURN (random() * 10)::int; END';
CREATE FUNCTION fired() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE o (id int PRIMARY KEY, x int);
CREATE TABLE other (id int PRIMARY KEY, a int);
CREATE SCHEMA s;
CREATE SEQUENCE sq;
CREATE SEQUENCE owned;
"""
COLUMNS = """
    id int NOT NULL, a int, b int, s smallint, l bigint, v varchar(10), w varchar, x text,
    n numeric(10,2), f real, ts timestamp, tz timestamptz, dt date, j json, m mood, p positive,
    pp plain, pr pair, o int, u int, nn int NOT NULL DEFAULT 1, ck int, ca int[], bt bytea, bo bool,
    gs int, g int GENERATED ALWAYS AS (gs * 2) STORED, c char(5), tm time, ip cidr, vb varbit(8),
    vc varchar(10), nc numeric(10,2), z int, fk int
"""
OF_TABLE = """
ALTER TABLE t ADD CONSTRAINT t_pk PRIMARY KEY (id);
ALTER TABLE t ADD CONSTRAINT t_fk FOREIGN KEY (fk) REFERENCES o;
ALTER TABLE t ADD CONSTRAINT t_ck CHECK (ck IS NOT NULL);
ALTER TABLE t ADD CONSTRAINT t_vc CHECK (length(vc) < 100);
ALTER TABLE t ADD CONSTRAINT t_nc CHECK (nc < 1000000);
ALTER TABLE t ADD CONSTRAINT t_nv CHECK (b > 0) NOT VALID;
ALTER TABLE t ADD CONSTRAINT t_az CHECK (a < 1000000);
CREATE INDEX t_a ON t (a);
CREATE INDEX t_v ON t (v);
CREATE UNIQUE INDEX t_idx ON t (id, nn);
CREATE UNIQUE INDEX t_uz ON t (id, z);
CREATE TRIGGER tg AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION fired();
CREATE RULE ru AS ON UPDATE TO t WHERE false DO ALSO NOTHING;
CREATE POLICY po ON t;
CREATE STATISTICS st ON a, b FROM t;
CREATE VIEW vw AS SELECT gs AS id FROM t;
CREATE MATERIALIZED VIEW mv AS SELECT gs AS id, gs AS a FROM t;
CREATE UNIQUE INDEX mv_id ON mv (id);
"""
PLAIN = f"""
CREATE TABLE t ({COLUMNS});
{OF_TABLE}
ALTER TABLE t ADD CONSTRAINT t_fknv FOREIGN KEY (o) REFERENCES o NOT VALID;
CREATE TABLE lone (id int PRIMARY KEY, a int, b int);
"""
PARTITIONED = f"""
CREATE TABLE t ({COLUMNS}) PARTITION BY RANGE (id);
CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (0) TO (50);
CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (50) TO (100);
CREATE TABLE t_d PARTITION OF t DEFAULT;
{OF_TABLE}
CREATE TABLE lone (id int PRIMARY KEY, a int, b int) PARTITION BY RANGE (id);
CREATE TABLE lone_1 PARTITION OF lone FOR VALUES FROM (0) TO (1000);
"""
# Tables beside t: referenced, inherited, partitioned by list, of a type, published.
BESIDE = """
CREATE TABLE q (id int PRIMARY KEY, a int UNIQUE, k varchar(10) UNIQUE);
CREATE TABLE r (id int PRIMARY KEY, q int CONSTRAINT r_q REFERENCES q, k varchar(10)
    CONSTRAINT r_k REFERENCES q (k));
CREATE VIEW qv AS SELECT a FROM q;
CREATE TABLE parent (id int, a int);
CREATE TABLE child (c int) INHERITS (parent);
CREATE TABLE step (id int, a int);
CREATE TABLE pa (id int PRIMARY KEY, a int, o int REFERENCES o) PARTITION BY LIST (id);
CREATE TABLE pa_1 PARTITION OF pa FOR VALUES IN (1);
CREATE TABLE pa_d PARTITION OF pa DEFAULT;
CREATE TABLE pr (id int PRIMARY KEY REFERENCES pa);
CREATE TABLE fit (id int NOT NULL, a int, o int);
CREATE TABLE bare (id int, a int) PARTITION BY LIST (id);
CREATE TABLE bare_1 PARTITION OF bare FOR VALUES IN (1);
CREATE TABLE fit2 (id int, a int);
CREATE TABLE typed OF pair;
CREATE TABLE sery (id serial, a int);
CREATE TABLE ident (id int GENERATED ALWAYS AS IDENTITY, a int, b int NOT NULL);
CREATE UNLOGGED TABLE unl (id int);
CREATE TABLE pub (id int PRIMARY KEY);
CREATE PUBLICATION pn FOR TABLE pub;
CREATE TABLE s.inside (id int PRIMARY KEY);
CREATE TABLE uses_inside (id int REFERENCES s.inside);
ALTER SEQUENCE owned OWNED BY sery.a;
"""
ROWS = """
INSERT INTO o SELECT g, g FROM generate_series(1, 20) g;
INSERT INTO other SELECT g, g FROM generate_series(1, 20) g;
INSERT INTO t (id, a, b, s, l, v, w, x, n, f, ts, tz, dt, j, m, p, pp, pr, o, u, ck, ca, bt, bo, c,
    tm, ip, vb, vc, nc, z, fk, gs)
    SELECT g, g, g, g, g, g, g, g, g, g, 'now', 'now', 'now', '1', 'ok', g, g, '(1,1)'::pair, 1,
    g, g, ARRAY[g], '', true, 'a', '10:00', '10.0.0.0/8', B'1', g, g, g, 1, g
    FROM generate_series(1, 60) g WHERE g < 10 OR g > 50;
INSERT INTO lone SELECT g, g, g FROM generate_series(1, 20) g;
INSERT INTO q SELECT g, g, g FROM generate_series(1, 20) g;
INSERT INTO r SELECT g, g, g FROM generate_series(1, 20) g;
INSERT INTO parent SELECT g, g FROM generate_series(1, 20) g;
INSERT INTO child SELECT g, g, g FROM generate_series(1, 20) g;
INSERT INTO step SELECT g, g FROM generate_series(1, 20) g;
INSERT INTO pa SELECT g, g, 1 FROM generate_series(1, 20) g WHERE g <> 2;
INSERT INTO pr VALUES (3);
INSERT INTO fit VALUES (2, 2, 1);
INSERT INTO bare VALUES (1, 1);
INSERT INTO fit2 VALUES (2, 2);
INSERT INTO typed VALUES (1, 1);
INSERT INTO sery (a) VALUES (1), (2);
INSERT INTO ident (a, b) VALUES (1, 1), (2, 2);
INSERT INTO unl VALUES (1);
INSERT INTO s.inside VALUES (1);
REFRESH MATERIALIZED VIEW mv;
"""
# What breaks: duplicates, NULLs, orphans, long and large values.
DIRT = """
UPDATE t SET u = 1, z = NULL, a = NULL, v = 'abcdefgh', w = 'a long text that fits nowhere',
    x = 'a long text that fits nowhere', l = 3000000000, n = 12345.67, s = 30000, nc = 12345.67,
    m = NULL, c = 'abcde', nn = 5 WHERE id IN (1, 2, 51);
ALTER TABLE t DROP CONSTRAINT t_nv;
ALTER TABLE t DISABLE TRIGGER ALL;
INSERT INTO t (id, b, o, ck, fk) VALUES (70, -5, 999, 1, 1);
ALTER TABLE t ENABLE TRIGGER ALL;
ALTER TABLE t ADD CONSTRAINT t_nv CHECK (b > 0) NOT VALID;
UPDATE lone SET a = NULL, b = 1 WHERE id < 5;
UPDATE q SET a = NULL WHERE id = 3;
UPDATE parent SET a = NULL WHERE id < 3;
INSERT INTO fit2 VALUES (99, NULL), (99, NULL);
INSERT INTO fit VALUES (77, 2, 1);
INSERT INTO pa VALUES (77, 1, 1);
UPDATE ident SET b = 1, a = NULL;
UPDATE step SET a = NULL WHERE id < 3;
"""
SHAPES = {
    "empty": TYPES + PLAIN + BESIDE,
    "filled": TYPES + PLAIN + BESIDE + ROWS,
    "dirty": TYPES + PLAIN + BESIDE + ROWS + DIRT,
    "partitioned": TYPES + PARTITIONED + BESIDE + ROWS + DIRT,
}
