"""Many artifacts, for what is done to all of them: one capture, and copies of it made in SQL.

Each is a table that is really parked, as a capture leaves it; 100,000 captures would take an hour.
"""

from __future__ import annotations

import asyncio
import os

import asyncpg

from bench.place import Place

FIRST = """
CREATE TABLE public.t1 (id int, note text);
INSERT INTO t1 VALUES (1, 'x');
SELECT zanith.archive_table('t1');
"""
COPY = """
DO $do$ DECLARE a zanith._zanith_migration_artifacts; new_id text; parked text; was text; n int; BEGIN
    SELECT * INTO a FROM zanith._zanith_migration_artifacts ORDER BY capture_order LIMIT 1;
    was := a.id;
    FOR n IN {first}..{last} LOOP
        new_id := substr(md5(n::text), 1, 12);
        parked := '_zanith_dropped_t' || n || '_' || new_id;
        EXECUTE format('CREATE TABLE _zanith_shadow.%I (id int, note text)', parked);
        EXECUTE format('CREATE TRIGGER _zanith_refuse_statement BEFORE INSERT OR UPDATE OR DELETE OR '
            'TRUNCATE ON _zanith_shadow.%I EXECUTE FUNCTION zanith.refuse_write()', parked);
        EXECUTE format('CREATE TRIGGER _zanith_refuse_row BEFORE INSERT OR UPDATE OR DELETE '
            'ON _zanith_shadow.%I FOR EACH ROW EXECUTE FUNCTION zanith.refuse_write()', parked);
        EXECUTE format('ALTER TABLE _zanith_shadow.%I ENABLE ALWAYS TRIGGER _zanith_refuse_statement, '
            'ENABLE ALWAYS TRIGGER _zanith_refuse_row', parked);
        EXECUTE format('COMMENT ON TABLE _zanith_shadow.%I IS %L', parked, 'zanith artifact ' || new_id);
        INSERT INTO zanith._zanith_migration_artifacts (id, migration_id, artifact_type, source_schema,
            source_table, physical_schema, physical_table, row_count, checksum, checksum_query,
            checksum_settings, sealed_at, definition, recovery_sql, created_by, captured_with, expires_at)
        VALUES (new_id, 'm' || n % 50, a.artifact_type, 'public', 't' || n, '_zanith_shadow', parked,
            a.row_count, a.checksum, a.checksum_query, a.checksum_settings, a.sealed_at,
            replace(replace(a.definition::text, a.physical_table, parked), '"t1"', '"t' || n || '"')::jsonb || jsonb_build_object('id', new_id),
            replace(a.recovery_sql, was, new_id), 'bench', a.captured_with, now() + n * interval '1 minute');
    END LOOP;
END $do$
"""
BATCH = 500


def begin(place: Place, name: str) -> bool:
    """Make a database with one artifact in it; False where this run has it already."""
    if not place.begin(name):
        return False
    place.server.psql(name, FIRST)
    return True


def fill(place: Place, name: str, first: int, last: int) -> None:
    """Park tables number `first` to `last`, on as many connections as there are cores."""
    asyncio.run(_fill(place.url(name), first, last))
    place.server.psql(name, "VACUUM ANALYZE; CHECKPOINT")


async def _fill(url: str, first: int, last: int) -> None:
    starts = iter(range(first, last + 1, BATCH))

    async def work() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute("SET synchronous_commit = off")
            for start in starts:
                stop = min(start + BATCH - 1, last)
                batch = COPY.replace("{first}", str(start)).replace("{last}", str(stop))
                await connection.execute(batch)
        finally:
            await connection.close()

    await asyncio.gather(*(work() for _ in range(os.cpu_count() or 1)))
