"""The table of docs/migrate.md, made from the code: `python -m tests.migrate --document`."""

from __future__ import annotations

from pathlib import Path

from app.migrate.read.migrations import Layout, Migration, Script
from app.migrate.review.plan import plan_migrations
from app.migrate.review.report import lock_words, recovery_words
from app.migrate.risk import Operation, Reason

DOCUMENT = Path(__file__).parents[2] / "docs" / "migrate.md"
CODES = ("<!-- codes -->", "<!-- end of codes -->")
FORMS = ("<!-- forms -->", "<!-- end of forms -->")
EXAMPLES = """
CREATE TABLE t (id int)
CREATE TABLE t (o int REFERENCES orders)
CREATE TABLE orders_2026 PARTITION OF orders FOR VALUES FROM (1) TO (2)
ALTER TABLE t ADD COLUMN c int
ALTER TABLE t ADD COLUMN c int NOT NULL DEFAULT 0
ALTER TABLE t ADD COLUMN c int NOT NULL
ALTER TABLE t ADD COLUMN c uuid DEFAULT gen_random_uuid()
ALTER TABLE t ADD COLUMN c int GENERATED ALWAYS AS (a * 2) STORED
ALTER TABLE t ADD COLUMN c bigserial
ALTER TABLE t ADD COLUMN c int CHECK (c > 0)
ALTER TABLE t ADD COLUMN c int UNIQUE
ALTER TABLE t ADD COLUMN c int REFERENCES orders
ALTER TABLE t ADD COLUMN c unknown_type
ALTER TABLE t DROP COLUMN c
ALTER TABLE t ALTER COLUMN c TYPE bigint
ALTER TABLE t ALTER COLUMN c TYPE text
ALTER TABLE t ALTER COLUMN c SET DEFAULT 1
ALTER TABLE t ALTER COLUMN c SET NOT NULL
ALTER TABLE t ALTER COLUMN c DROP NOT NULL
ALTER TABLE t ADD CHECK (c > 0)
ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0) NOT VALID
ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES orders
ALTER TABLE t ADD FOREIGN KEY (c) REFERENCES orders NOT VALID
ALTER TABLE t VALIDATE CONSTRAINT k
ALTER TABLE t ADD UNIQUE (c)
ALTER TABLE t ADD UNIQUE USING INDEX i
ALTER TABLE t ADD PRIMARY KEY (c)
ALTER TABLE t ADD PRIMARY KEY USING INDEX i
ALTER TABLE t ADD EXCLUDE USING gist (c WITH &&)
ALTER TABLE t DROP CONSTRAINT k
ALTER TABLE t ATTACH PARTITION p FOR VALUES IN (1)
ALTER TABLE t DETACH PARTITION p
ALTER TABLE t DETACH PARTITION p CONCURRENTLY
ALTER TABLE t SET LOGGED
ALTER TABLE t SET UNLOGGED
ALTER TABLE t SET TABLESPACE s
ALTER TABLE t SET ACCESS METHOD heap
ALTER TABLE t SET (fillfactor = 70)
ALTER TABLE t OWNER TO r
ALTER TABLE t ENABLE TRIGGER g
ALTER TABLE t DISABLE TRIGGER ALL
ALTER TABLE t REPLICA IDENTITY FULL
ALTER TABLE t ENABLE ROW LEVEL SECURITY
ALTER TABLE t RENAME TO u
ALTER TABLE t RENAME COLUMN c TO d
ALTER TABLE t RENAME CONSTRAINT k TO l
ALTER TABLE t SET SCHEMA s
ALTER INDEX i RENAME TO j
DROP TABLE t
DROP INDEX i
DROP INDEX CONCURRENTLY i
DROP VIEW v
DROP MATERIALIZED VIEW v
DROP SCHEMA s
DROP SCHEMA s CASCADE
DROP TYPE y CASCADE
DROP EXTENSION e CASCADE
DROP OWNED BY r
TRUNCATE t
DELETE FROM t
DELETE FROM t WHERE c = 1
UPDATE t SET c = 1
INSERT INTO t VALUES (1)
CREATE INDEX ON t (c)
CREATE UNIQUE INDEX ON t (c)
CREATE INDEX CONCURRENTLY ON t (c)
REINDEX TABLE t
CLUSTER t
VACUUM FULL t
VACUUM t
ANALYZE t
CREATE TRIGGER g AFTER INSERT ON t EXECUTE FUNCTION f()
CREATE RULE r AS ON DELETE TO t DO INSTEAD NOTHING
CREATE POLICY p ON t
CREATE STATISTICS s ON a, b FROM t
CREATE VIEW v AS SELECT * FROM t
CREATE OR REPLACE VIEW v AS SELECT * FROM t
CREATE MATERIALIZED VIEW v AS SELECT * FROM t
REFRESH MATERIALIZED VIEW v
REFRESH MATERIALIZED VIEW CONCURRENTLY v
CREATE FUNCTION f() RETURNS int RETURN 1
COMMENT ON TABLE t IS 'x'
GRANT SELECT ON t TO r
LOCK TABLE t
ALTER TYPE y ADD VALUE 'x'
ALTER TYPE y RENAME VALUE 'x' TO 'z'
ALTER TYPE y DROP ATTRIBUTE a
ALTER DOMAIN d ADD CHECK (value > 0)
ALTER DOMAIN d SET NOT NULL
CREATE PUBLICATION p FOR TABLE t
CREATE SUBSCRIPTION s CONNECTION 'x' PUBLICATION p
DO $$ … $$
CALL f()
SELECT f()
SELECT zanith.archive_table('t')
SELECT zanith.archive_column('t', 'c')
""".strip().splitlines()


def operations_of(sql: str) -> list[Operation]:
    """Return what a text does, as a file by itself."""
    migration = Migration("f", Script(Path("f.sql"), sql.encode()))
    return plan_migrations(Layout.FILE, [migration]).operations


def table_of_forms() -> str:
    """Return the table: statement, kind, level, reasons, locks, recoverable."""
    lines = [
        "| statement | kind | level | reasons | locks | recoverable |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for sql in EXAMPLES:
        (one,) = operations_of(sql)
        cells = (
            f"`{sql}`",
            f"`{one.kind}`",
            one.level.word,
            ", ".join(f"`{code}`" for code in one.codes),
            "; ".join(lock_words(one)),
            recovery_words(one),
        )
        lines.append(f"| {' | '.join(cells)} |".replace("  ", " "))
    return "\n".join(lines)


def table_of_codes() -> str:
    """Return the table of the reason codes."""
    lines = ["| reason code | family | least level | meaning |", "| --- | --- | --- | --- |"]
    for reason in Reason:
        about = reason.about
        lines.append(
            f"| `{reason}` | {about.family.value} | {about.level.word} | {about.meaning} |"
        )
    return "\n".join(lines)


def document(text: str) -> str:
    """Return the document with its tables made anew."""
    for (start, end), table in ((CODES, table_of_codes()), (FORMS, table_of_forms())):
        before, rest = text.split(start)
        _, after = rest.split(end)
        text = f"{before}{start}\n{table}\n{end}{after}"
    return text
