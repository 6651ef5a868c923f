-- page: migrations with what each dropped, newest first; $1 is a pattern of the id, $2 the newest artifact of the last one of the page before, $3 how many. What was purged is known from the log
WITH dropped AS MATERIALIZED (
    SELECT a.migration_id, a.capture_order AS number, false AS purged FROM zanith._zanith_migration_artifacts AS a WHERE a.migration_id IS NOT NULL
    UNION ALL
    SELECT l.detail #>> '{row,migration_id}', (l.detail #>> '{row,capture_order}')::bigint, true FROM zanith._zanith_audit_log AS l
    WHERE l.action IN ('purge', 'cleanup') AND l.outcome = 'done' AND l.detail #>> '{row,migration_id}' IS NOT NULL
), found AS MATERIALIZED (
    SELECT d.migration_id, max(d.number) AS newest, count(*) FILTER (WHERE d.purged) AS purged
    FROM dropped AS d WHERE $1::text IS NULL OR d.migration_id ILIKE $1 GROUP BY d.migration_id
), shown AS MATERIALIZED (
    SELECT f.migration_id, f.newest, f.purged FROM found AS f WHERE $2::bigint IS NULL OR f.newest < $2 ORDER BY f.newest DESC LIMIT $3
), worst AS MATERIALIZED (
    SELECT d.id, d.kind
    FROM zanith.worst_damages(ARRAY(
        SELECT a.id FROM shown AS s JOIN zanith._zanith_migration_artifacts AS a ON a.migration_id = s.migration_id {place} WHERE {stray})) AS d
)
SELECT s.migration_id, s.newest, s.purged, seen.parked, seen.restored, seen.held, seen.damaged, seen.expiring, seen.recorded,
       seen.first_at, seen.last_at, seen.people,
       (SELECT count(*) FROM found) AS total
FROM shown AS s CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE m.status = 'recoverable' AND m.artifact_type <> 'rebuild_table') AS parked,
           count(*) FILTER (WHERE m.status = 'restored') AS restored,
           count(*) FILTER (WHERE m.artifact_type = 'rebuild_table') AS recorded,
           count(*) FILTER (WHERE m.held) AS held,
           count(*) FILTER (WHERE m.health IN ('missing', 'moved', 'changed')) AS damaged,
           count(*) FILTER (WHERE m.status = 'recoverable' AND NOT m.held AND m.expires_at < now() + interval '7 days') AS expiring,
           min(m.created_at) AS first_at, max(m.created_at) AS last_at,
           COALESCE(pg_catalog.jsonb_agg(DISTINCT pg_catalog.jsonb_build_array(m.created_by, m.created_by_role)), '[]') AS people
    FROM (SELECT a.artifact_type, {status} AS status, a.held_by IS NOT NULL AS held, a.expires_at, a.created_at, a.created_by, a.created_by_role, {health} AS health
          FROM zanith._zanith_migration_artifacts AS a LEFT JOIN worst AS w ON w.id = a.id
          WHERE a.migration_id = s.migration_id OFFSET 0) AS m
) AS seen
ORDER BY s.newest DESC;

-- without_id: how many artifacts no migration is known of
SELECT count(*) FROM zanith._zanith_migration_artifacts AS a WHERE a.migration_id IS NULL;

-- of_one: everything that a migration dropped, newest first
WITH worst AS MATERIALIZED (
    SELECT d.id, d.kind
    FROM zanith.worst_damages(ARRAY(
        SELECT a.id FROM zanith._zanith_migration_artifacts AS a {place} WHERE a.migration_id = $1 AND {asked})) AS d
)
SELECT {columns}, {health} AS health, {size} AS size_bytes, NULL AS key
FROM zanith._zanith_migration_artifacts AS a
LEFT JOIN worst AS w ON w.id = a.id
{place}
WHERE a.migration_id = $1
ORDER BY a.capture_order DESC;

-- purged_of_one: what the log keeps of those of its artifacts that were purged
SELECT l.at, l.action, l.detail
FROM zanith._zanith_audit_log AS l
WHERE l.outcome = 'done' AND l.action IN ('purge', 'cleanup') AND l.detail #>> '{row,migration_id}' = $1
ORDER BY l.id DESC;
