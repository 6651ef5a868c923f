-- purged: what purges and cleanups left in the log, newest first; a part of the name may be NULL
SELECT l.at, l.action, l.detail
FROM zanith._zanith_audit_log AS l
WHERE l.outcome = 'done' AND l.action IN ('purge', 'cleanup') AND l.detail ? 'row'
  AND ($1::text IS NULL OR l.detail -> 'row' ->> 'source_schema' = $1)
  AND ($2::text IS NULL OR l.detail -> 'row' ->> 'source_table' = $2)
  AND ($3::text IS NULL OR l.detail -> 'row' ->> 'source_column' = $3)
ORDER BY l.id DESC
LIMIT $4;

-- of_id: what an id means, or the beginning of one; at most two
SELECT l.at, l.action, l.detail
FROM zanith._zanith_audit_log AS l
WHERE l.outcome = 'done' AND l.action IN ('purge', 'cleanup') AND l.detail ? 'row' AND starts_with(l.artifact_id, $1)
ORDER BY l.artifact_id = $1 DESC, l.id DESC
LIMIT 2;

-- of_object: the one of an object that was purged last; the schema may be NULL
SELECT l.at, l.action, l.detail
FROM zanith._zanith_audit_log AS l
WHERE l.outcome = 'done' AND l.action IN ('purge', 'cleanup') AND l.detail ? 'row'
  AND ($1::text IS NULL OR l.detail -> 'row' ->> 'source_schema' = $1)
  AND l.detail -> 'row' ->> 'source_table' = $2
  AND l.detail -> 'row' ->> 'source_column' IS NOT DISTINCT FROM $3
ORDER BY l.id DESC
LIMIT 1;
