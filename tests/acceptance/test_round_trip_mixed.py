"""Promise 3 where features meet: tables with many at once, put together by chance, always the same."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.oracle.judges import Shape, run_round_trips
from tests.acceptance.shapes import CASCADE
from tests.conftest import Database, versions_to_test

C_TYPES = [
    "c int",
    "c bigint NOT NULL DEFAULT 3",
    "c serial",
    "c pos",
    "c numeric(9, 2) DEFAULT 1.5",
]
FEATURES = [
    "ALTER TABLE t ADD CONSTRAINT k{n} CHECK (c < {big})",
    "ALTER TABLE t ADD CONSTRAINT k{n} CHECK (c <> a OR b IS NULL) NOT VALID",
    "ALTER TABLE t ADD CONSTRAINT k{n} UNIQUE (c, id) INCLUDE (b)",
    "ALTER TABLE t ADD CONSTRAINT k{n} UNIQUE (id, c) DEFERRABLE",
    "ALTER TABLE t ADD CONSTRAINT k{n} EXCLUDE USING btree (id WITH =, c WITH =) WHERE (a > 0)",
    "ALTER TABLE t ADD CONSTRAINT k{n} FOREIGN KEY (a) REFERENCES p (x) ON DELETE SET NULL",
    "ALTER TABLE t ADD CONSTRAINT k{n} FOREIGN KEY (up) REFERENCES t (id) DEFERRABLE INITIALLY "
    "DEFERRED",
    "CREATE TABLE child{n} (x int REFERENCES t ON DELETE CASCADE)",
    "ALTER TABLE t ADD CONSTRAINT u{n} UNIQUE (id, c); CREATE TABLE child{n} (x bigint, y int,"
    " CONSTRAINT back{n} FOREIGN KEY (y, x) REFERENCES t (id, c))",
    "CREATE INDEX i{n} ON t (c DESC, b) WHERE a > 0",
    "CREATE UNIQUE INDEX i{n} ON t (id, (c + 1))",
    "CREATE INDEX i{n} ON t USING brin (id) WITH (pages_per_range = 8)",
    "CREATE INDEX i{n} ON t ((b || c::text)); ALTER INDEX i{n} ALTER COLUMN 1 SET STATISTICS 10{n}",
    "CREATE INDEX i{n} ON t (b) INCLUDE (c); ALTER TABLE t CLUSTER ON i{n}",
    "CREATE VIEW v{n} AS SELECT id, c FROM t; GRANT SELECT ON v{n} TO :reader",
    "CREATE VIEW v{n} AS SELECT a, count(*) AS n FROM t GROUP BY a; COMMENT ON VIEW v{n} IS 'by a'",
    "CREATE MATERIALIZED VIEW m{n} AS SELECT id, c AS cc FROM t; CREATE INDEX mi{n} ON m{n} (cc);"
    "CREATE VIEW over{n} AS SELECT cc FROM m{n}",
    "CREATE TRIGGER g{n} AFTER UPDATE OF c ON t FOR EACH ROW EXECUTE FUNCTION note()",
    "CREATE TRIGGER g{n} BEFORE INSERT OR UPDATE ON t FOR EACH ROW WHEN (NEW.c IS NULL)"
    " EXECUTE FUNCTION note(); ALTER TABLE t ENABLE ALWAYS TRIGGER g{n}",
    "CREATE TRIGGER g{n} AFTER UPDATE ON t EXECUTE FUNCTION note();"
    " ALTER TABLE t DISABLE TRIGGER g{n}",
    "CREATE POLICY y{n} ON t FOR SELECT TO :reader USING (c > 0)",
    "CREATE POLICY y{n} ON t USING (a > 0) WITH CHECK (b <> ''); "
    "ALTER TABLE t ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE t FORCE ROW LEVEL SECURITY",
    "CREATE RULE r{n} AS ON DELETE TO t WHERE OLD.c = 99 DO INSTEAD NOTHING",
    "CREATE RULE r{n} AS ON UPDATE TO t WHERE OLD.a = 99 DO ALSO DELETE FROM log",
    "GRANT SELECT (c, b), UPDATE (c) ON t TO :writer",
    "GRANT SELECT, INSERT ON t TO :reader WITH GRANT OPTION",
    "COMMENT ON COLUMN t.c IS 'n {n}'",
    "COMMENT ON TABLE t IS 'it''s {n}'",
    "ALTER TABLE t ALTER c SET STATISTICS {n}1, ALTER c SET (n_distinct = -0.{n}1)",
    "CREATE STATISTICS s{n} ON a, b FROM t",
    "ALTER TABLE t REPLICA IDENTITY FULL",
    "ALTER TABLE t SET (fillfactor = 5{n}, autovacuum_enabled = false)",
    "ALTER TABLE t DROP COLUMN IF EXISTS junk, ADD extra{n} int DEFAULT 7",
    "ALTER TABLE t ADD twice{n} int GENERATED ALWAYS AS (a * 2) STORED",
    "ALTER TABLE t OWNER TO :owner",
]


def mix(seed: int) -> Shape:
    """Return a table with ten features or fewer, the same for the same seed."""
    chance = random.Random(seed)
    chosen = chance.sample(FEATURES, chance.randint(3, 10))
    made = [text.format(n=n, big=10**6) for n, text in enumerate(chosen)]
    return Shape(
        "CREATE TABLE log (what text); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN EXECUTE format('INSERT INTO %I.log VALUES (1)', TG_TABLE_SCHEMA); RETURN NEW; "
        "END$$;"
        "CREATE DOMAIN pos AS bigint CHECK (VALUE > 0); CREATE TABLE p (x int PRIMARY KEY);"
        "INSERT INTO p VALUES (1), (2), (3);"
        f"CREATE TABLE t (id int PRIMARY KEY, junk int, a int, {chance.choice(C_TYPES)}, b text, "
        f"up int);"
        f"INSERT INTO t (id, a, c, b, up) SELECT n, n % 3 + 1, n * 2, 'b' || n, 1"
        f" FROM generate_series(1, 9) n;" + ";".join(made),
        options=CASCADE,
    )


@pytest.mark.parametrize(
    "strategy", ["soft_drop_column", "archive_column", "soft_drop_table", "archive_table"]
)
def test_mixtures_come_back(
    strategy: str,
    database: Database,
    twin_database: Database,
    roles: dict[str, str],
    tmp_path: Path,
) -> None:
    """Whatever meets in one table, all of it comes back; an archive left what DROP leaves."""
    twin = twin_database if strategy.startswith("archive") else None
    column = "c" if strategy.endswith("column") else None
    newest = max(versions_to_test()) == database.server.version
    seeds = range(24) if newest else range(8)
    shapes = {f"mix{seed}": replace(mix(seed), column=column) for seed in seeds}
    run_round_trips(database, strategy, shapes, roles, tmp_path, twin)
