-- plan_restore: the recipe rendered and checked against the catalog as it is now
SELECT zanith.plan_restore($1, $2::jsonb)::text;

-- plan_capture: what a capture would do; the path is the caller's, so every name has its schema
SELECT zanith.plan_capture($1, $2::pg_catalog.text::pg_catalog.regclass, $3, $4, $5, $6)::pg_catalog.text;

-- plan_archive_online: what archiving a column online would do
SELECT zanith.plan_archive_online($1::pg_catalog.text::pg_catalog.regclass, $2, $3, $4)::pg_catalog.text;

-- settings: nothing is found by a path of the caller's, and no row is hidden
SELECT set_config('search_path', 'pg_catalog, pg_temp', true), set_config('row_security', 'off', true);

-- read_only: a standby, or a viewer's connection
SELECT current_setting('transaction_read_only')::boolean;

-- sandbox: the definition of a function that runs a statement as the role that made it
SELECT zanith.sandbox();

-- run_in_sandbox: a step as its role
SELECT pg_temp._zanith_run($1::text, false);

-- query_in_sandbox: the first column of a query, as its role
SELECT pg_temp._zanith_run($1::text, true)::text;

-- clear_sandbox: cursors and temporary objects that would run or be found later
CLOSE ALL; DISCARD TEMP;
