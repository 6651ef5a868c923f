"""Facts of a live database sharpen the plan of migrations."""

from __future__ import annotations

import pytest

from tests.acceptance.command import zanith
from tests.plan_schema import check

SETUP = """
CREATE SCHEMA app;
CREATE SCHEMA "Odd";
CREATE TYPE app.mood AS ENUM ('a');
CREATE DOMAIN app.small AS int CHECK (value < 100);
CREATE FUNCTION app.fixed() RETURNS int STABLE LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION app.random() RETURNS int VOLATILE LANGUAGE sql AS 'SELECT 1';
CREATE TABLE app.orders (id int PRIMARY KEY, v varchar(10), n numeric(10,2), a int, b int NOT NULL,
    c int, CONSTRAINT has_c CHECK (c IS NOT NULL), CONSTRAINT a_nv CHECK (a > 0) NOT VALID);
CREATE INDEX orders_a ON app.orders (a);
INSERT INTO app.orders SELECT g, g, g, g, g, g FROM generate_series(1, 20000) g;
CREATE TABLE app.lines (id int PRIMARY KEY, o int REFERENCES app.orders);
CREATE TABLE app.sent (id int PRIMARY KEY, v varchar(10));
CREATE PUBLICATION p FOR TABLE app.sent;
CREATE TABLE app.parts (id int) PARTITION BY LIST (id);
CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES IN (1);
CREATE TABLE app.more (id int) PARTITION BY LIST (id);
CREATE TABLE app.more_d PARTITION OF app.more DEFAULT;
CREATE TABLE "Odd"."T.1" ("C" varchar(10));
ANALYZE;
ALTER ROLE postgres IN DATABASE {name} SET search_path = app;
"""

pytestmark = pytest.mark.each_version


def operations(database, sql: str) -> list[dict]:
    result = zanith("migrate", "plan", "-", "-d", database.url, "--json", stdin=sql)
    assert result.code in {0, 4}, result
    (migration,) = check(result.json)["migrations"]
    return [one for statement in migration["statements"] for one in statement["operations"]]


def test_the_catalog_sharpens_the_plan(bare_database):
    bare_database.psql(SETUP.format(name=bare_database.name))
    cases = {
        # types that are relabelled, and others
        "ALTER TABLE orders ALTER n TYPE numeric(12,2)": ["changes_column_type", "scans_table",
                                                          "blocks_writes", "blocks_reads"],
        "ALTER TABLE sent ALTER v TYPE text": ["changes_column_type", "affects_replication"],
        'ALTER TABLE "Odd"."T.1" ALTER "C" TYPE varchar(20)': ["changes_column_type"],
        'ALTER TABLE "Odd"."T.1" ALTER "C" TYPE varchar(5)': [
            "narrows_column_type", "changes_column_type", "rewrites_table", "blocks_writes",
            "blocks_reads"],
        # constraints that make a scan unnecessary, and those that do not
        "ALTER TABLE orders ALTER c SET NOT NULL": [],
        "ALTER TABLE orders ALTER b SET NOT NULL": [],
        "ALTER TABLE app.orders ALTER a SET NOT NULL": [
            "scans_table", "blocks_writes", "blocks_reads", "changes_column_nullable_to_not_null"],
        "ALTER TABLE orders VALIDATE CONSTRAINT a_nv": ["scans_table", "adds_check_constraint"],
        # functions and types
        "ALTER TABLE sent ADD c int DEFAULT fixed()": ["affects_replication"],
        "ALTER TABLE orders ADD d int DEFAULT app.random()": [
            "rewrites_table", "blocks_writes", "blocks_reads", "requires_backfill"],
        "ALTER TABLE orders ADD d mood": [],
        "ALTER TABLE orders ADD d small": [
            "rewrites_table", "blocks_writes", "blocks_reads", "adds_check_constraint"],
        # partitions
        "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES IN (2)": [],
        "CREATE TABLE more_2 PARTITION OF more FOR VALUES IN (2)": [
            "scans_table", "blocks_writes", "blocks_reads", "adds_check_constraint"],
    }  # fmt: skip
    text = "-- zanith: no-transaction\n\n" + ";\n".join(cases)
    found = operations(bare_database, text)
    for (sql, reasons), one in zip(cases.items(), found, strict=True):
        assert sorted(one["reasons"]) == sorted(reasons), sql


def test_sizes_locks_and_indexes_are_those_of_the_catalog(bare_database):
    bare_database.psql(SETUP.format(name=bare_database.name))
    (index,) = operations(bare_database, "DROP INDEX orders_a")
    assert index["locks"][0]["table"] == "app.orders"
    (column,) = operations(bare_database, "ALTER TABLE sent DROP COLUMN v")
    assert [(lock["table"], lock["which"]) for lock in column["locks"]] == [("sent", None)]
    (joined,) = operations(bare_database, "ALTER TABLE orders DROP COLUMN v")
    assert "tables joined to it by a foreign key" in [lock["which"] for lock in joined["locks"]]
    (rewrite,) = operations(bare_database, "ALTER TABLE orders ALTER a TYPE bigint")
    assert rewrite["seconds"] == 0.1
    (unknown,) = operations(bare_database, "ALTER TABLE nowhere ALTER a TYPE bigint")
    assert unknown["seconds"] is None


def test_what_is_pending_has_to_be_said(bare_database, tmp_path):
    for number in (1, 2):
        (tmp_path / f"{number}_a.sql").write_text(f"CREATE TABLE t{number} (id int);")
    both = zanith("migrate", "plan", str(tmp_path), "-d", bare_database.url)
    assert both.code == 2
    assert "--after" in both.err
    rest = zanith("migrate", "plan", str(tmp_path), "--after", "1", "-d", bare_database.url)
    assert rest.code == 0, rest


NAMED = {
    "COMMENT ON COLUMN app.orders.v IS 'x'": "comment",
    "COMMENT ON CONSTRAINT has_c ON app.orders IS 'x'": "comment",
    "COMMENT ON COLUMN {name}.app.orders.v IS 'x'": "comment",
    "DROP TRIGGER t ON app.orders": "drop_trigger",
    "DROP POLICY p ON app.orders": "drop_policy",
    "DROP OPERATOR CLASS app.o USING btree": "drop_operator_class",
    "CREATE FUNCTION g(a app.orders.v%TYPE) RETURNS int LANGUAGE sql AS 'SELECT 1'": "function",
    "DELETE FROM elsewhere.app.orders": "delete",
}


def test_names_of_three_parts_are_no_names_of_another_database(bare_database):
    bare_database.psql(SETUP.format(name=bare_database.name))
    for sql, kind in NAMED.items():
        found = operations(bare_database, sql.format(name=bare_database.name))
        assert any(kind in one["kind"] for one in found), (sql, found)
