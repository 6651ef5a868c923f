-- settings: a restore or purge sees every row and trusts no path
SELECT set_config('row_security', 'off', true), set_config('search_path', 'pg_catalog, pg_temp', true);

-- pid: the server process of this connection, also behind a pooler
SELECT pg_backend_pid();
