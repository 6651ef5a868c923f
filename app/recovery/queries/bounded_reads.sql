-- bounds: no statement and no lock of this transaction takes long, also where the client is gone, nor longer than the role
-- may; tells the server process
SELECT pg_backend_pid(), count(set_config(s.name, LEAST(NULLIF(s.setting::bigint, 0), b.ms)::text, true))
FROM (VALUES ('statement_timeout', $1::bigint), ('lock_timeout', $2)) b(name, ms) JOIN pg_settings s ON s.name = b.name;

-- terminate: end a process that goes on after it was cancelled: code of an owner's may catch that
SELECT pg_terminate_backend($1);

-- writable: the first statement of a transaction, whatever the session's default
SET TRANSACTION READ WRITE;
