-- exists: whether this database has the history of migrations
SELECT pg_catalog.to_regclass('zanith._zanith_migrations') IS NOT NULL;

-- lock: one process runs migrations at a time; released with the session
SELECT pg_catalog.pg_try_advisory_lock(7300742847);

-- unlock: migrations may run elsewhere
SELECT pg_catalog.pg_advisory_unlock(7300742847);

-- holder: who runs migrations now
SELECT a.pid, a.usename::text AS role, a.application_name AS application, a.client_addr::text AS address, a.state,
       extract(epoch FROM clock_timestamp() - a.backend_start)::float8 AS age, left(a.query, 200) AS query
FROM pg_locks AS l JOIN pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = 1 AND l.objid = 3005775551 AND l.objsubid = 1
  AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
LIMIT 1;

-- held: whether this session still has the lock of migrations
SELECT EXISTS (SELECT FROM pg_locks AS l WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'advisory' AND l.granted
    AND l.classid = 1 AND l.objid = 3005775551 AND l.objsubid = 1
    AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()));

-- begin: the transaction of a migration waits briefly for locks; its captures carry the person's name
SELECT pg_catalog.pg_backend_pid(), pg_catalog.set_config('lock_timeout', $1, true), pg_catalog.set_config('zanith.lock_timeout', $1, true),
       pg_catalog.set_config('zanith.actor', $2, true);

-- lock_timeout: how long a statement waits for a lock
SELECT pg_catalog.current_setting('lock_timeout');

-- set_lock_timeout: how long a statement waits for a lock, for the rest of the transaction
SELECT pg_catalog.set_config('lock_timeout', $1, true);

-- role: the role that the session set, or none, and the session's user if it is not the one that connected
SELECT pg_catalog.current_setting('role') AS role,
       (SELECT session_user::text FROM pg_stat_activity AS a WHERE a.pid = pg_catalog.pg_backend_pid() AND a.usename <> session_user) AS "user";

-- set_role: the role as it was
SELECT pg_catalog.set_config('role', $1, false);

-- set_user: the session's user as it was
SELECT pg_catalog.set_config('session_authorization', $1, false);

-- own_role: the role that connected, as whom runs are recorded
RESET SESSION AUTHORIZATION; RESET ROLE;

-- clean: nothing that a migration set in its session is there for the next one
RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD TEMP; DISCARD SEQUENCES; DEALLOCATE ALL;

-- record: one run with its statements
SELECT zanith.record_migration($1, $2);

-- record_step: what became of one statement
SELECT zanith.record_migration_step($1, $2);

-- end: how a run ended that went on outside a transaction
SELECT zanith.end_migration($1, $2, $3, $4);

-- undo: the run no longer counts
SELECT zanith.undo_migration($1, $2, $3);

-- newest: the newest run of each migration, or the one by which it is applied
SELECT DISTINCT ON (m.id) m.run, m.id, m.direction, m.origin, m.layout, m.path, m.repeatable, m.transactional, m.checksum, m.outcome, m.tries,
       m.began_at, m.applied_at, extract(epoch FROM m.elapsed)::float8 AS elapsed, m.applied_by, m.applied_by_role, m.error
FROM zanith._zanith_migrations AS m
WHERE m.outcome NOT IN ('reverted', 'replaced')
ORDER BY m.id, m.direction = 'up' AND m.outcome IN ('applied', 'running') DESC, m.run DESC;

-- contents: the SQL that ran
SELECT m.contents FROM zanith._zanith_migrations AS m WHERE m.run = $1;

-- steps: the statements of runs
SELECT s.run, s.ordinal, s.line, s.kind, s.object, s.sql, s.ran, s.level, s.score, s.reasons, s.predicted, s.observed, s.tables, s.changes, s.before,
       s.status, s.began_at, extract(epoch FROM s.elapsed)::float8 AS elapsed, s.error
FROM zanith._zanith_migration_steps AS s WHERE s.run = ANY ($1::bigint[]) ORDER BY s.run, s.ordinal;

-- runs: the history, newest first; $1 is the earliest time, $2 a migration, $3 how many, $4 the last run of the page before, $5 one run
SELECT m.run, m.id, m.direction, m.origin, m.layout, m.path, m.repeatable, m.transactional, m.checksum, m.outcome, m.tries,
       m.began_at, m.applied_at, extract(epoch FROM m.elapsed)::float8 AS elapsed, m.applied_by, m.applied_by_role, m.applied_from,
       m.error, m.undone_by_run, m.engine,
       (SELECT count(*) FROM zanith._zanith_migration_steps AS s WHERE s.run = m.run) AS statements,
       (SELECT max(s.score) FROM zanith._zanith_migration_steps AS s WHERE s.run = m.run) AS score,
       CASE WHEN m.direction = 'up' THEN (SELECT count(*) FROM zanith._zanith_migration_artifacts AS a WHERE a.migration_id = m.id
           AND a.status = 'recoverable' AND a.artifact_type <> 'rebuild_table') END AS recoverable
FROM zanith._zanith_migrations AS m
WHERE ($1::timestamptz IS NULL OR m.began_at >= $1) AND ($2::text IS NULL OR m.id = $2)
  AND ($4::bigint IS NULL OR m.run < $4) AND ($5::bigint IS NULL OR m.run = $5)
ORDER BY m.run DESC LIMIT $3;

-- captured: how many artifacts a migration has
SELECT count(*) FROM zanith._zanith_migration_artifacts AS a WHERE a.migration_id = $1;

-- guarded: whether the guard captures what this role drops, in every schema
SELECT EXISTS (SELECT FROM pg_event_trigger AS e JOIN pg_proc AS p ON p.oid = e.evtfoid
               WHERE p.pronamespace = 'zanith'::regnamespace AND p.proname = '_guard_start' AND e.evtenabled <> 'D')
   AND COALESCE((SELECT bool_and(zanith._guard_rule(current_user, n.nspname) ->> 'mode' = 'capture') FROM pg_namespace AS n
        WHERE NOT starts_with(n.nspname, 'pg_') AND n.nspname NOT IN ('information_schema', 'zanith', '_zanith_shadow', 'zanith_pin')), false);

-- now: the time of the server
SELECT pg_catalog.clock_timestamp();

-- session_lock_timeout: how long a statement outside a transaction waits for a lock
SELECT pg_catalog.set_config('lock_timeout', $1, false);

-- relation: the OID of a relation, as the session finds it; it has no operator
SELECT pg_catalog.to_regclass($1)::pg_catalog.oid;

-- indexes: the indexes of a table, and of the table of an index
SELECT i.indexrelid::bigint AS oid, i.indisvalid AS valid, n.nspname::text AS schema, c.relname::text AS name
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indrelid = $1 OR i.indrelid = (SELECT x.indrelid FROM pg_index AS x WHERE x.indexrelid = $1)
ORDER BY i.indexrelid;

-- there: whether a relation exists
SELECT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = $1);

-- detaching: whether a table is a partition, and whether it is being detached
SELECT i.inhdetachpending AS pending FROM pg_inherits AS i WHERE i.inhrelid = $1;

-- kept_rows: tables whose rows the guard copies before a TRUNCATE, and whether no other table has the name
SELECT n.nspname::text AS schema, c.relname::text AS name,
       NOT EXISTS (SELECT FROM pg_class AS o WHERE o.relname = c.relname AND o.oid <> c.oid AND o.relkind IN ('r', 'p', 'f')) AS only
FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE t.tgfoid = to_regprocedure('zanith._guard_truncate()') AND t.tgenabled <> 'D';

-- begun: whether a derived down of a run committed its first transaction, and then ended in the middle
SELECT EXISTS (SELECT FROM zanith._zanith_migrations AS m WHERE m.id = $1 AND m.run > $2 AND m.direction = 'down'
    AND m.outcome IN ('running', 'failed') AND NOT m.transactional AND m.checksum IS NULL);

-- paths: what a restore sets for its transaction, and the statements after it need as it was
SELECT pg_catalog.current_setting('search_path') AS path, pg_catalog.current_setting('row_security') AS security;

-- set_paths: the same as it was
SELECT pg_catalog.set_config('search_path', $1, true), pg_catalog.set_config('row_security', $2, true);

-- limit: how long the next statement may take
SELECT pg_catalog.set_config('statement_timeout', $1, true);

-- no_limit: the same as the settings of the role say
SET LOCAL statement_timeout TO DEFAULT;

-- ids: the migrations that ever ran here
SELECT DISTINCT m.id FROM zanith._zanith_migrations AS m ORDER BY 1;
