-- bounds: no statement and no lock of this transaction takes long, also where whoever asked is gone; tells the server process
SELECT pg_backend_pid(), set_config('statement_timeout', $1, true), set_config('lock_timeout', $2, true);

-- terminate: end a process that goes on after it was cancelled: code of an owner's may catch that
SELECT pg_terminate_backend($1);

-- writable: the first statement of a transaction, whatever the session's default
SET TRANSACTION READ WRITE;
