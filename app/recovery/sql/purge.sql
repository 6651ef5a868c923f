-- plan_purge: what would be dropped, and what stands in its way
SELECT zanith.plan_purge($1)::text;

-- take: the row, locked, as the tombstone keeps it
SELECT (to_jsonb(a) - 'recovery_sql' - 'capture_order')::text
FROM zanith._zanith_migration_artifacts AS a WHERE a.id = $1 FOR UPDATE;

-- jobs: the one, other than our own, that works on it; and the last export that went through
SELECT (SELECT kind || ' by ' || actor FROM zanith._zanith_jobs
        WHERE artifact_id = $1 AND id IS DISTINCT FROM $2 AND state IN ('queued', 'running')
          AND lease_expires_at > clock_timestamp() AND kind IN ('restore', 'seal', 'purge', 'erase')
        LIMIT 1) AS busy,
       (SELECT jsonb_build_object('at', ended_at, 'by', actor, 'format', params ->> 'format',
                                  'rows', result -> 'rows', 'bytes', result -> 'bytes',
                                  'checksum', result ->> 'checksum', 'equals_seal', result -> 'equals_seal')::text
        FROM zanith._zanith_jobs
        WHERE artifact_id = $1 AND kind = 'export' AND state = 'done'
        ORDER BY created_at DESC LIMIT 1) AS last_export;

-- delete: the row itself, unless somebody put a hold on it meanwhile
DELETE FROM zanith._zanith_migration_artifacts WHERE id = $1 AND held_by IS NULL RETURNING id;

-- candidates: what cleanup may take, oldest first, with why it would be left
SELECT {columns}, {health} AS health, {size} AS size_bytes, NULL AS key,
       CASE WHEN a.held_by IS NOT NULL
                THEN 'on hold by ' || a.held_by || COALESCE(': ' || a.held_reason, '')
            WHEN a.expires_at IS NULL THEN 'never expires: purge it by name'
            WHEN j.kind IS NOT NULL THEN 'a ' || j.kind || ' of it is under way' END AS skip
FROM zanith._zanith_migration_artifacts AS a {place}
LEFT JOIN zanith._zanith_jobs AS j
       ON j.artifact_id = a.id AND j.state IN ('queued', 'running')
      AND j.kind IN ('restore', 'seal', 'purge', 'erase') AND j.lease_expires_at > clock_timestamp()
WHERE (a.created_at < now() - $1::interval OR $2::boolean AND a.expires_at < now()
       OR $1::interval IS NULL AND NOT $2::boolean AND $3::text[] IS NOT NULL)
  AND ($3::text[] IS NULL OR a.id = ANY ($3))
ORDER BY a.capture_order;

-- hold: keep it from purge and cleanup
UPDATE zanith._zanith_migration_artifacts SET held_by = $2, held_reason = $3 WHERE id = $1 RETURNING id;

-- release: let purge and cleanup have it again
UPDATE zanith._zanith_migration_artifacts SET held_by = NULL, held_reason = NULL
WHERE id = $1 AND held_by IS NOT NULL RETURNING id;
