-- bounds: how long such a search may take, until the transaction ends
SELECT set_config('statement_timeout', $1, true);

-- hits: artifacts, migrations and jobs whose id or name has the text, exact ones first; the second parameter is the text as a pattern
SELECT * FROM (
    SELECT 'artifact' AS kind, a.id, zanith._object_name(a) AS name, a.kept_kind AS what, a.status AS state, a.created_at AS at, NULL::bigint AS number,
           CASE WHEN a.id = $1 THEN 0 WHEN lower(n.named) = lower($1) OR lower(n.plain) = lower($1) OR a.kept_name = $1 THEN 1
                WHEN starts_with(a.id, $1) THEN 2 ELSE 3 END AS rank
    FROM zanith._zanith_migration_artifacts AS a, LATERAL (
        SELECT pg_catalog.concat_ws('.', quote_ident(a.source_schema), quote_ident(a.source_table), quote_ident(a.source_column)) AS named,
               pg_catalog.concat_ws('.', a.source_schema, a.source_table, a.source_column) AS plain OFFSET 0) AS n
    WHERE starts_with(a.id, $1) OR n.named ILIKE $2 OR n.plain ILIKE $2 OR a.kept_name ILIKE $2
    ORDER BY rank, a.capture_order DESC LIMIT $3) AS artifacts
UNION ALL
SELECT * FROM (
    SELECT 'migration', a.migration_id, a.migration_id, NULL, NULL, max(a.created_at), count(*),
           CASE WHEN a.migration_id = $1 THEN 0 WHEN starts_with(lower(a.migration_id), lower($1)) THEN 2 ELSE 3 END AS rank
    FROM zanith._zanith_migration_artifacts AS a WHERE a.migration_id ILIKE $2
    GROUP BY a.migration_id ORDER BY rank, max(a.capture_order) DESC LIMIT $3) AS migrations
UNION ALL
SELECT * FROM (
    SELECT 'job', j.id, j.object, j.kind, j.state, j.created_at, NULL::bigint,
           CASE WHEN j.id = $1 THEN 0 WHEN starts_with(j.id, $1) THEN 2 ELSE 4 END AS rank
    FROM zanith._zanith_jobs AS j WHERE starts_with(j.id, $1) OR j.object ILIKE $2
    ORDER BY rank, j.created_at DESC LIMIT $3) AS jobs
ORDER BY rank, kind, at DESC
LIMIT $3;
