-- settings: a restore or purge waits briefly for locks, as the capture functions do, sees every row, trusts no path, and keeps
-- no lock for long once nobody is heard of; tells the server process of this connection, also behind a pooler
SELECT pg_backend_pid(), set_config('lock_timeout', $1, true), set_config('zanith.lock_timeout', $1, true),
       set_config('row_security', 'off', true), set_config('search_path', 'pg_catalog, pg_temp', true),
       set_config('idle_in_transaction_session_timeout', '1min', true),
       -- a transaction that waits so long makes autovacuum give way, while traffic queues behind it; of a deadlock with traffic we are told first
       CASE WHEN has_parameter_privilege(current_user, 'deadlock_timeout', 'SET') THEN set_config('deadlock_timeout', '30ms', true) END,
       zanith.begin_own_work();

-- pid: the server process of this connection
SELECT pg_backend_pid();
