"""Rows for the tables that migrations made: a few each, by the types of their columns."""

from __future__ import annotations

import asyncpg

from tests.oracle.judges import quote

ROWS = 3
COLUMNS = """
SELECT c.oid::regclass::text AS relation, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type,
       COALESCE(NULLIF(t.typbasetype, 0), t.oid)::regtype::text AS base, t.typcategory::text AS category,
       CASE WHEN a.atttypmod > 4 AND t.typname IN ('varchar', 'bpchar') THEN a.atttypmod - 4 END AS length,
       (SELECT quote_literal(e.enumlabel) FROM pg_enum e WHERE e.enumtypid = t.oid LIMIT 1) AS label,
       k.confrelid::regclass::text AS parent, f.attname::text AS parent_column
FROM pg_class c
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN LATERAL (SELECT * FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'f'
                   AND a.attnum = ANY (k.conkey) LIMIT 1) k ON true
LEFT JOIN pg_attribute f ON f.attrelid = k.confrelid AND f.attnum = k.confkey[array_position(k.conkey, a.attnum)]
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
  AND a.attgenerated = '' AND a.attidentity = '' AND pg_get_serial_sequence(c.oid::regclass::text, a.attname) IS NULL
ORDER BY c.oid, a.attnum
"""
VALUES = {
    "uuid": "md5('{n}')::uuid",
    "jsonb": "'{{\"n\": {n}}}'",
    "json": "'{{\"n\": {n}}}'",
    "bytea": "decode('00ff0{n}', 'hex')",
    "interval": "'{n} hours'",
    "date": "'2026-01-0{n}'",
    "time without time zone": "'0{n}:00'",
    "inet": "'10.0.0.{n}'",
    "xml": "'<x/>'",
    "tsvector": "'a b{n}'",
}
CATEGORIES = {
    "N": "{n}",
    "B": "{n} % 2 = 0",
    "D": "'2026-01-0{n} 12:00'",
    "A": "'{{}}'",
    "R": "'empty'",
    "S": "left('v{n}', {length})",
}


async def add_rows(url: str) -> tuple[int, int]:
    """Fill what can be filled, parents first; return how many tables have rows, of how many."""
    connection = await asyncpg.connect(url)
    try:
        tables: dict[str, list[asyncpg.Record]] = {}
        for row in await connection.fetch(COLUMNS):
            tables.setdefault(row["relation"], []).append(row)
        waiting = dict(tables)
        for _ in range(6):  # a table waits for those that it refers to
            for relation, columns in list(waiting.items()):
                if await _fill(connection, relation, columns):
                    del waiting[relation]
        filled = [t for t in tables if await connection.fetchval(f"SELECT EXISTS (TABLE {t})")]
        return len(filled), len(tables)
    finally:
        await connection.close()


async def _fill(
    connection: asyncpg.Connection, relation: str, columns: list[asyncpg.Record]
) -> bool:
    names = ", ".join(quote(column["name"]) for column in columns)
    try:
        async with connection.transaction():
            for n in range(1, ROWS + 1):
                values = ", ".join(_value(column, n) for column in columns)
                await connection.execute(f"INSERT INTO {relation} ({names}) VALUES ({values})")
    except asyncpg.PostgresError:
        return False  # counted: too few filled tables fail the build
    return True


def _value(column: asyncpg.Record, n: int) -> str:
    if column["parent"] not in (None, column["relation"]):
        parent = f"{quote(column['parent_column'])} FROM {column['parent']}"
        return f"(SELECT {parent} ORDER BY 1 OFFSET {n - 1} LIMIT 1)"
    if column["parent"]:
        return "NULL"
    if column["label"]:
        return str(column["label"])
    pattern = VALUES.get(column["base"]) or CATEGORIES.get(column["category"])
    return pattern.format(n=n, length=column["length"] or 100) if pattern else "NULL"
