"""A rewritten migration leaves what the original leaves, and all that it dropped comes back."""

from __future__ import annotations

import pytest

from app.migrate.rewriting.rewrite import rewrite
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database as Engine
from app.recovery.restore.restore import restore
from tests.clusters import CommandFailed
from tests.oracle.judges import any_order, dump_entries, read_rows

DBA = Actor("dba")
WORLD = """
CREATE SCHEMA s; CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE orders (id int PRIMARY KEY, code text DEFAULT 'x', price numeric(8,2), "Mixed ""é" text,
    mood mood, gone int);
INSERT INTO orders SELECT i, 'c' || i, i / 3.0, NULLIF(i, 2)::text, 'ok', i FROM generate_series(1, 5) i;
CREATE INDEX ON orders (code); CREATE VIEW cheap AS SELECT id, price FROM orders WHERE price < 1;
CREATE TABLE lines (id int PRIMARY KEY, orders_id int REFERENCES orders);
INSERT INTO lines VALUES (1, 1), (2, 5);
CREATE TABLE s."T.1" (id int PRIMARY KEY, v text); INSERT INTO s."T.1" VALUES (1, 'é');
CREATE TABLE events (id int, at date) PARTITION BY LIST (id);
CREATE TABLE events_1 PARTITION OF events FOR VALUES IN (1); INSERT INTO events VALUES (1, '2026-01-01');
"""
MIGRATIONS = {
    "tables": 'DROP TABLE lines; DROP TABLE s."T.1";',
    "list": 'DROP TABLE lines, s."T.1", events;',
    "cascade": "DROP TABLE orders CASCADE;",
    "may be missing": "DROP TABLE IF EXISTS nowhere, lines; DROP TABLE IF EXISTS s.nowhere CASCADE;",
    "a partition": "DROP TABLE events_1;",
    "columns": 'ALTER TABLE orders DROP code, DROP COLUMN "Mixed ""é";',
    "columns with others": "ALTER TABLE orders ADD code2 text DEFAULT 'y', DROP code, ALTER gone SET DEFAULT 7,"
    " ADD COLUMN code text; CREATE INDEX ON orders (code2);",
    "columns that may be missing": "ALTER TABLE orders DROP IF EXISTS nothing, DROP COLUMN IF EXISTS code;"
    "ALTER TABLE IF EXISTS nowhere DROP x; ALTER TABLE IF EXISTS orders DROP COLUMN IF EXISTS gone CASCADE;",
    "a column with a view": "ALTER TABLE orders DROP price CASCADE;",
    "a search path": 'SET search_path = s; DROP TABLE "T.1"; RESET search_path;',
    "a transaction": "BEGIN; ALTER TABLE orders DROP code; DROP TABLE lines; COMMIT;",
    "temporary": "CREATE TEMP TABLE lines AS SELECT 1; DROP TABLE lines;",
    "a name again": "DROP TABLE lines; CREATE TABLE lines (other int);",
}
REFUSED = {
    "a view depends": ("DROP TABLE orders", "2BP01"),
    "no table": ("DROP TABLE nowhere", "42P01"),
    "no column": ("ALTER TABLE orders DROP nothing", "42703"),
    "no column of a table that may be missing": (
        "ALTER TABLE IF EXISTS orders DROP nothing",
        "42703",
    ),
}


def state(database) -> tuple[dict, list[str]]:
    return dump_entries(database), read_rows(database)


@pytest.fixture
async def db(database):
    opened = await Engine.open(database.url)
    yield opened
    await opened.close()


# a soft-dropped column or table keeps a place in the live schema, so it is compared once it is back
@pytest.mark.parametrize("name", MIGRATIONS)
@pytest.mark.parametrize("strategy", ["archive", "soft_drop"])
async def test_it_leaves_what_the_original_leaves(database, twin_database, db, name, strategy):
    for one in (database, twin_database):
        one.psql(WORLD)
    before = state(database)
    twin_database.psql(MIGRATIONS[name])
    rewritten = rewrite(MIGRATIONS[name].encode(), strategy, "0042")
    assert rewritten.left == ()
    database.psql(rewritten.data.decode())
    if strategy == "archive":
        assert state(database) == state(twin_database)
    artifacts = database.psql(
        "SELECT id FROM zanith._zanith_migration_artifacts WHERE migration_id = '0042'"
        " ORDER BY capture_order DESC"
    ).split()
    assert bool(artifacts) == (name != "temporary")
    if name in ("columns with others", "a name again"):  # something else has the name now
        return
    for artifact in artifacts:
        await restore(db, artifact, None, DBA)
    entries, rows = state(database)
    assert rows == before[1]
    # a column that is added again stands last
    assert {key: any_order(lines) for key, lines in entries.items()} == {
        key: any_order(lines) for key, lines in before[0].items()
    }


@pytest.mark.parametrize("name", REFUSED)
async def test_it_is_refused_as_the_original_is(database, name):
    sql, code = REFUSED[name]
    database.psql(WORLD)
    before = state(database)
    for text in (sql, rewrite(sql.encode()).data.decode()):
        with pytest.raises(CommandFailed, match=code):
            database.psql(f"\\set VERBOSITY verbose\n{text}")
    assert state(database) == before
