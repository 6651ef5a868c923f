-- find: ordinary tables of these names, with their stored columns of built-in types; to read them runs no code of their owners
SELECT n.nspname::text AS schema, c.relname::text AS name, pg_catalog.array_agg(a.attname::text) AS columns
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid JOIN pg_type AS t ON t.oid = a.atttypid
WHERE c.relname = ANY ($1::text[]) AND c.relkind = 'r' AND NOT c.relispartition AND c.relpersistence <> 't' AND NOT c.relrowsecurity
  AND n.nspname NOT IN ('zanith', '_zanith_shadow') AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '' AND t.typtype = 'b' AND t.oid < 16384
GROUP BY n.nspname, c.relname ORDER BY n.nspname, c.relname;

-- alembic: the heads
SELECT t.version_num::text AS name, NULL::timestamptz AS at, 'head' AS state FROM ONLY {table} AS t ORDER BY 1;

-- django: the migrations of each app
SELECT t.app::text || '.' || t.name::text AS name, t.applied::timestamptz AS at, 'applied' AS state FROM ONLY {table} AS t ORDER BY t.id;

-- prisma: what was rolled back is not applied; what did not finish failed
SELECT t.migration_name::text AS name, t.finished_at::timestamptz AS at,
       CASE WHEN t.rolled_back_at IS NOT NULL THEN 'undone' WHEN t.finished_at IS NULL THEN 'failed' ELSE 'applied' END AS state
FROM ONLY {table} AS t ORDER BY t.started_at;

-- golang_migrate: the version up to which all are applied
SELECT t.version::text AS name, NULL::timestamptz AS at, CASE WHEN t.dirty THEN 'dirty' ELSE 'up to' END AS state FROM ONLY {table} AS t;

-- versions: one row for each version
SELECT t.version::text AS name, NULL::timestamptz AS at, 'applied' AS state FROM ONLY {table} AS t ORDER BY 1;

-- flyway: each row in the order of installation; a later one of the same version decides
SELECT CASE WHEN t.version IS NULL THEN t.script::text ELSE t.version::text END AS name, t.installed_on::timestamptz AS at,
       CASE WHEN NOT t.success THEN 'failed' WHEN t.type::text LIKE '%BASELINE' THEN 'up to' WHEN t.type::text LIKE 'UNDO%' OR t.type::text = 'DELETE' THEN 'undone'
            WHEN t.type::text = 'SCHEMA' THEN 'none' ELSE 'applied' END AS state
FROM ONLY {table} AS t ORDER BY t.installed_rank;

-- goose: a later row of the same version decides
SELECT t.version_id::text AS name, t.tstamp::timestamptz AS at,
       CASE WHEN t.version_id = 0 THEN 'none' WHEN t.is_applied THEN 'applied' ELSE 'undone' END AS state
FROM ONLY {table} AS t ORDER BY t.id;

-- drizzle: the hash of each file
SELECT t.hash::text AS name, to_timestamp(t.created_at::float8 / 1000) AS at, 'hash' AS state FROM ONLY {table} AS t ORDER BY t.created_at;

-- knex: the file of each migration
SELECT t.name::text AS name, t.migration_time::timestamptz AS at, 'applied' AS state FROM ONLY {table} AS t ORDER BY t.id;

-- names: the file of each migration
SELECT t.name::text AS name, NULL::timestamptz AS at, 'applied' AS state FROM ONLY {table} AS t ORDER BY 1;
