-- sessions: transactions that have a lock on a table or a part of it, of a mode that a restore would wait for. Autovacuum gives way.
-- A role without pg_read_all_stats does not see since when a transaction of another role runs: it is listed, without its age
SELECT s.pid, p.gid AS prepared, COALESCE(s.usename, p.owner)::text AS role, NULLIF(s.application_name, '') AS application, s.state,
       extract(epoch FROM clock_timestamp() - COALESCE(s.xact_start, p.prepared))::float8 AS age,
       pg_catalog.array_agg(DISTINCT wanted.name) AS tables
FROM pg_catalog.jsonb_to_recordset($1::jsonb) AS wanted(name text, modes text[])
CROSS JOIN LATERAL zanith._tree(pg_catalog.to_regclass(wanted.name)) AS part
JOIN pg_locks AS l ON l.relation = part.member AND l.mode = ANY (wanted.modes)
LEFT JOIN pg_stat_activity AS s ON s.pid = l.pid
LEFT JOIN pg_prepared_xacts AS p ON l.pid IS NULL AND l.virtualtransaction = '-1/' || p.transaction::text
WHERE l.locktype = 'relation' AND l.granted AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
  AND l.pid IS DISTINCT FROM pg_backend_pid() AND s.leader_pid IS NULL AND s.backend_type IS DISTINCT FROM 'autovacuum worker'
  AND (s.pid IS NOT NULL OR p.gid IS NOT NULL)
  AND COALESCE(clock_timestamp() - COALESCE(s.xact_start, p.prepared) > $2::interval, true)
GROUP BY s.pid, p.gid, s.usename, p.owner, s.application_name, s.state, s.xact_start, p.prepared
ORDER BY COALESCE(s.xact_start, p.prepared), s.pid
LIMIT 20;
