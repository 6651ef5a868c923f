-- plan_restore: the recipe rendered and checked against the catalog as it is now
SELECT zanith.plan_restore($1, $2::jsonb);

-- plan_capture: what a capture would do; the path is the caller's, so every name has its schema
SELECT zanith.plan_capture($1, $2::pg_catalog.text::pg_catalog.regclass, $3, $4, $5, $6);

-- plan_archive_online: what archiving a column online would do
SELECT zanith.plan_archive_online($1::pg_catalog.text::pg_catalog.regclass, $2, $3, $4);

-- settings: nothing is found by a path of the caller's, and no row is hidden
SELECT set_config('search_path', 'pg_catalog, pg_temp', true), set_config('row_security', 'off', true);

-- read_only: why a check that locks tables, or runs as their owner, cannot run here; NULL where it can
SELECT CASE WHEN pg_is_in_recovery() THEN 'this server is a standby: the check needs a transaction that can write'
            WHEN current_setting('transaction_read_only')::boolean
                THEN 'this connection is read-only, as a viewer''s is: the check needs a transaction that can write' END;

-- time_left: how long, in ms, a statement of this transaction may take from here on, if that is less than it may anyway
SELECT set_config('statement_timeout', LEAST(NULLIF(setting::bigint, 0), $1::bigint)::text, true) FROM pg_settings WHERE name = 'statement_timeout';

-- guard: tables whose code a statement of this role could run
SELECT zanith.guard_tables($1, $2::text[], $3);

-- owners: the owners of tables and of their descendants
SELECT zanith.owners_of($1::text[]);

-- run_as: a statement as a role under a search path, and what it says: rows or values
SELECT zanith._run_as($1, $2, $3, $4);

-- run_with: the same under a search path, with texts that stand for $1 in it
SELECT zanith._run_as($1, $2, $3, $4, arguments => $5::text[]);

-- session_path: another search path for this session; what it was before
WITH before AS MATERIALIZED (SELECT pg_catalog.current_setting('search_path') AS path)
SELECT before.path FROM before, LATERAL (SELECT pg_catalog.set_config('search_path', $1, false) WHERE before.path IS NOT NULL) AS now(path);

-- recorded_default: the default of a column that was parked, as it was recorded; NULL where it had none
SELECT definition #>> '{column,default}' FROM zanith._zanith_migration_artifacts WHERE id = $1;
