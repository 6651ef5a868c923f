"""The database that is struck: small, with all that a column and a table can hang on."""

from __future__ import annotations

from typing import Any, TypeAlias

import asyncpg

ROWS = 240
LINES = 120
EVENTS = 120
# What is captured stands last in its table: a column that is added again does so too.
TABLES = f"""
CREATE TABLE customers (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO customers SELECT g, 'customer ' || g FROM generate_series(1, 9) g;
CREATE TABLE orders (
    id bigint PRIMARY KEY, tag text NOT NULL, n integer NOT NULL DEFAULT 0,
    code integer NOT NULL DEFAULT 1 CONSTRAINT orders_customer REFERENCES customers);
CREATE INDEX orders_code ON orders (code);
COMMENT ON COLUMN orders.code IS 'who ordered';
INSERT INTO orders SELECT g, 'r' || g, g, 1 + g % 9 FROM generate_series(1, {ROWS}) g;
CREATE TABLE lines (
    id bigserial PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders,
    what text NOT NULL, CONSTRAINT lines_once UNIQUE (what));
CREATE INDEX lines_of ON lines (order_id);
COMMENT ON TABLE lines IS 'what was ordered';
INSERT INTO lines (order_id, what) SELECT g, 'w' || g FROM generate_series(1, {LINES}) g;
CREATE TABLE events (id bigint, day integer, note text NOT NULL, PRIMARY KEY (id, day))
    PARTITION BY RANGE (day);
CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM (0) TO (10);
CREATE TABLE events_2 PARTITION OF events FOR VALUES FROM (10) TO (20) PARTITION BY HASH (id);
CREATE TABLE events_2_even PARTITION OF events_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_2_odd PARTITION OF events_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE events_rest PARTITION OF events DEFAULT;
CREATE INDEX events_note ON events (note);
INSERT INTO events SELECT g, g % 30, 'e' || g FROM generate_series(1, {EVENTS}) g;
"""
COLUMNS = (
    ("customers", "name"),
    ("orders", "tag"),
    ("orders", "n"),
    ("orders", "code"),
    ("lines", "order_id"),
    ("lines", "what"),
    ("events", "note"),
)
Values: TypeAlias = dict[str, str | None]  # by the row's key


async def read(
    connection: asyncpg.Connection, relation: str, column: str, key: str = "id"
) -> Values:
    """Return every value of a column as text, by its row; the names are SQL."""
    rows = await connection.fetch(f"SELECT {key}::text AS k, {column}::text AS v FROM {relation}")
    return {row["k"]: row["v"] for row in rows}


async def read_all(connection: asyncpg.Connection) -> dict[tuple[str, str], Values]:
    """Return what is in every live column that is there."""
    found: dict[tuple[str, str], Values] = {}
    for table, column in COLUMNS:
        if await is_live(connection, table, column):
            found[table, column] = await read(connection, f"public.{table}", column)
    return found


async def is_live(connection: asyncpg.Connection, table: str, column: str) -> bool:
    """Return whether the column is there under its own name."""
    answer: Any = await connection.fetchval(
        "SELECT EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('public.' || $1)"
        " AND attname = $2 AND NOT attisdropped)",
        table,
        column,
    )
    return bool(answer)
