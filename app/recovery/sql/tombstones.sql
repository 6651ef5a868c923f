-- purged: what purges and cleanups left in the log, newest first; a part of the name may be NULL
SELECT l.at, l.action, l.detail::text AS detail
FROM zanith._zanith_audit_log AS l
WHERE l.outcome = 'done' AND l.action IN ('purge', 'cleanup') AND l.detail ? 'row'
  AND ($1::text IS NULL OR l.detail -> 'row' ->> 'source_schema' = $1)
  AND ($2::text IS NULL OR l.detail -> 'row' ->> 'source_table' = $2)
  AND ($3::text IS NULL OR l.detail -> 'row' ->> 'source_column' = $3)
ORDER BY l.id DESC
LIMIT $4;
