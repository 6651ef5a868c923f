"""A database with many artifacts, as after a year: for the pages of lists, and for their pictures.

The captures are real. The dates, the persons and the holds of them are then spread by SQL.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import asyncpg

from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.rows import seal

ANA = Actor("ana", "203.0.113.7", "staff")
NUMBER = 300
IN_A_TABLE = 8  # columns that one table loses
SETTINGS = {"zanith.lock_timeout": "1s", "client_min_messages": "warning"}

SCHEMAS = 'CREATE SCHEMA sales; CREATE SCHEMA "Old Data"'
CAPTURE = """
DO $$
DECLARE
    made integer := 0; n integer := 0; spot text; strategy text;
BEGIN
    WHILE made < {number} LOOP
        n := n + 1;
        spot := (ARRAY['public', 'sales', '"Old Data"'])[n % 3 + 1] || '.'
             || (ARRAY['orders', 'order_items', 'invoices', 'visits', 'sessions'])[n % 5 + 1]
             || '_' || n;
        EXECUTE format('CREATE TABLE %s (id integer PRIMARY KEY, %s)', spot, (
            SELECT string_agg(format('legacy_%s integer DEFAULT %s', c, c), ', ')
            FROM generate_series(1, {columns}) AS c));
        EXECUTE format('INSERT INTO %s SELECT g FROM generate_series(1, %s) AS g', spot, n * 40);
        FOR c IN 1 .. {columns} LOOP
            EXIT WHEN made >= {number};
            strategy := CASE c % 5 WHEN 0 THEN 'archive_column' ELSE 'soft_drop_column' END;
            EXECUTE format(
                'SELECT zanith.%s(%L, %L, migration_id => %L, reason => %L)',
                strategy, spot, 'legacy_' || c,
                lpad(n::text, 4, '0') || '_drop_legacy', 'column ' || c || ' is not read any more');
            made := made + 1;
        END LOOP;
        IF made < {number} THEN
            strategy := CASE n % 2 WHEN 0 THEN 'archive_table' ELSE 'soft_drop_table' END;
            -- another table than that of the columns, which stays
            spot := spot || '_old';
            EXECUTE format('CREATE TABLE %s (id integer PRIMARY KEY)', spot);
            EXECUTE format('INSERT INTO %s SELECT generate_series(1, %s)', spot, n * 40);
            EXECUTE format(
                'SELECT zanith.%s(%L, migration_id => %L)',
                strategy, spot, lpad(n::text, 4, '0') || '_drop_table');
            made := made + 1;
        END IF;
        COMMIT;
    END LOOP;
END $$;
"""

# Of ten artifacts one never expires, two are overdue (one of them held), one expires in two days.
SPREAD = """
UPDATE zanith._zanith_migration_artifacts SET
    created_at = now() - ({number} - capture_order) * interval '29 hours',
    created_by = (ARRAY['ana', 'ben', 'cleo'])[capture_order % 3 + 1],
    held_by = CASE WHEN capture_order % 10 IN (3, 4) THEN 'ben' END,
    held_reason = CASE WHEN capture_order % 10 IN (3, 4) THEN 'audit of 2026' END,
    expires_at = CASE capture_order % 10
        WHEN 0 THEN NULL
        WHEN 1 THEN now() - interval '3 days'
        WHEN 3 THEN now() - interval '5 days'
        WHEN 5 THEN now() + interval '2 days'
        ELSE now() + (capture_order % 97 + 8) * interval '1 day' END
"""


def build_many(url: str, number: int = NUMBER, *, sealed: bool = True) -> None:
    """Capture so many objects in a database in which `zanith init` ran."""
    with ThreadPoolExecutor(1) as thread:
        thread.submit(asyncio.run, _build(url, number, sealed=sealed)).result()


async def _build(url: str, number: int, *, sealed: bool) -> None:
    connection = await asyncpg.connect(url, server_settings=SETTINGS)
    try:
        await connection.execute(SCHEMAS)
        await connection.execute(CAPTURE.format(number=number, columns=IN_A_TABLE))
        await connection.execute(SPREAD.format(number=number))
        await connection.execute("ANALYZE")
    finally:
        await connection.close()
    if sealed:
        db = await Database.open(url, max_size=2, application_name="many artifacts")
        try:
            for artifact in await seal.find_unsealed(db):
                await seal.seal(db, artifact, ANA)
        finally:
            await db.close()
