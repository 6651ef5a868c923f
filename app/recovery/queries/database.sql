-- server_info: what every page and plan says about the server that it is on
SELECT current_database()::text AS database,
       current_user::text AS role,
       current_setting('server_version_num')::int / 10000 AS version,
       current_setting('server_version') AS version_text,
       current_setting('port')::int AS port,
       pg_is_in_recovery() AS standby,
       current_setting('max_prepared_transactions') <> '0' AS prepares,
       COALESCE(current_setting('transaction_timeout', true), '0') <> '0' AS bounded,
       pg_backend_pid() AS pid;

-- blockers: who holds the lock that a backend waits for; nothing where it does not wait
SELECT blocker.pid,
       blocker.usename::text AS role,
       blocker.application_name AS application,
       blocker.client_addr::text AS address,
       blocker.state,
       extract(epoch FROM clock_timestamp() - blocker.xact_start)::float8 AS age,
       left(blocker.query, 200) AS query
FROM pg_stat_activity AS waiter
CROSS JOIN LATERAL pg_catalog.unnest(pg_blocking_pids(waiter.pid)) AS b (pid)
JOIN pg_stat_activity AS blocker ON blocker.pid = b.pid
WHERE waiter.pid = $1 AND waiter.wait_event_type = 'Lock'
ORDER BY blocker.xact_start;

-- notify: tell listeners that something changed
SELECT pg_notify('zanith', pg_catalog.json_build_object('event', $1::text, 'id', k.id)::text) FROM pg_catalog.unnest($2::text[]) AS k(id);

-- configured_path: the search path of a session on which nobody set another, as a pooler shares it
SELECT reset_val FROM pg_settings WHERE name = 'search_path';
