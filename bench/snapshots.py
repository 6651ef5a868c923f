"""A snapshot of up to 1,000 tables beside pg_dump, the difference of two, and its DDL."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from functools import partial

from app.migrate.schema.ddl.generate import generate
from app.migrate.schema.difference import difference
from app.migrate.schema.model import Schema
from app.migrate.schema.read import read_schema
from app.recovery.db.database import Database
from bench.place import Place
from bench.rows import Bar, Row, alternate, levels, times

TOPIC = "snapshots"
MOST_TABLES = 1_000

# What a table of an application has.
SCHEMA = """
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.at = now(); RETURN NEW; END';
DO $$ BEGIN
FOR n IN 1..{tables} LOOP
    EXECUTE format('CREATE TABLE t%1$s (id bigserial PRIMARY KEY, parent bigint REFERENCES t%2$s, '
                   'name text NOT NULL, code varchar(20) UNIQUE, price numeric(10, 2) DEFAULT 0, '
                   'at timestamptz DEFAULT now(), meta jsonb, CHECK (price >= 0))', n, greatest(n - 1, 1));
    EXECUTE format('CREATE INDEX ON t%s (parent, at)', n);
    EXECUTE format('CREATE TRIGGER touch BEFORE UPDATE ON t%s FOR EACH ROW EXECUTE FUNCTION touch()', n);
    EXECUTE format('COMMENT ON COLUMN t%s.code IS %L', n, 'of the shop ' || n);
    IF n % 100 = 0 THEN COMMIT; END IF;
END LOOP; END $$;
"""
# Of each kind of change a few; and a change of every table.
FEW = """
ALTER TABLE t1 ADD COLUMN added int; ALTER TABLE t2 DROP COLUMN meta; DROP TABLE t{tables} CASCADE;
CREATE TABLE fresh (id int); ALTER TABLE t3 ALTER COLUMN name TYPE varchar(10); CREATE INDEX ON t4 (name);
"""
EACH = """
DO $$ BEGIN FOR n IN 1..{tables} LOOP
    EXECUTE format('ALTER TABLE t%s ADD COLUMN added int, ALTER COLUMN name DROP NOT NULL', n);
END LOOP; END $$;
"""
# Every table has another name: each dropped one is compared with each created one.
RENAMED = """
DO $$ BEGIN FOR n IN 1..{tables} LOOP EXECUTE format('ALTER TABLE t%1$s RENAME TO r%1$s', n); END LOOP; END $$;
"""
CHANGES = {"a few changes": FEW, "each table changed": EACH, "each table renamed": RENAMED}


def measure(place: Place) -> Iterator[Row]:
    """Read the schema, compare it with changed ones, and write the difference as DDL."""
    tables = min(MOST_TABLES, place.rows // 100)
    place.begin("snapshots")
    place.server.psql("snapshots", SCHEMA.format(tables=tables))
    found = alternate(
        place.rounds, ours=lambda: _read(place, "snapshots")[0], dump=lambda: _dump(place)
    )
    before = _read(place, "snapshots")[1]
    yield times(
        *(TOPIC, f"snapshot of {tables:,} tables, {len(before.objects):,} objects"),
        "pg_dump --schema-only", found["ours"], found["dump"], bar=Bar(3.0, of="ours"),
    )  # fmt: skip
    for words, change in CHANGES.items():
        with place.clone("snapshots") as changed:
            place.server.psql(changed, change.format(tables=tables))
            after = _read(place, changed)[1]
        taken = alternate(
            place.rounds,
            ours=partial(_compare, before, after),
            ddl=partial(_write, before, after),
        )
        bar = Bar(1.0, of="ours")
        yield levels(TOPIC, f"difference of two, {words}", "s", taken["ours"], bar)
        yield levels(TOPIC, f"its DDL, {words}", "s", taken["ddl"], None)


def _read(place: Place, dbname: str) -> tuple[float, Schema]:
    async def work(db: Database) -> tuple[float, Schema]:
        async with db.acquire() as connection:
            began = time.perf_counter()
            schema = await read_schema(connection)
            return time.perf_counter() - began, schema

    return place.engine(dbname, work)


def _dump(place: Place) -> None:
    program = str(place.server.bin_dir / "pg_dump")
    command = [program, "--schema-only", "-N", "zanith*", "-d", place.url("snapshots")]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def _again(schema: Schema) -> Schema:
    """Return the schema as it comes from its table: nothing is worked out yet but its contents."""
    fresh = Schema(schema.objects, schema.version, schema.defaults)
    fresh.__dict__["contents"] = schema.contents
    return fresh


def _compare(before: Schema, after: Schema) -> float:
    old, new = _again(before), _again(after)
    began = time.perf_counter()
    difference(old, new).to_json()
    return time.perf_counter() - began


def _write(before: Schema, after: Schema) -> float:
    found = difference(_again(before), _again(after))
    began = time.perf_counter()
    generate(found)
    return time.perf_counter() - began
