-- settings: under which the canonical CSV has the same bytes on every server; the seal's own, or today's
SELECT set_config(s.key, s.value, true)
FROM jsonb_each_text(COALESCE($1::jsonb, zanith.canonical_settings())) AS s;

-- canonical_settings: the settings that a new seal keeps
SELECT zanith.canonical_settings();

-- canonical_query: what is sealed, or NULL
SELECT zanith.canonical_query($1);

-- foreign_casts: casts to json that somebody made, who may not be trusted to run as the operator
SELECT c.castsource::regtype::text FROM pg_cast AS c
JOIN pg_proc AS p ON p.oid = c.castfunc JOIN pg_roles AS r ON r.oid = p.proowner
WHERE c.casttarget IN ('json'::regtype, 'jsonb'::regtype) AND c.oid >= 16384 AND NOT r.rolsuper
ORDER BY 1;

-- pid: the server process of this connection, also behind a pooler
SELECT pg_backend_pid();

-- rows_so_far: how many rows a COPY has sent
SELECT tuples_processed FROM pg_stat_progress_copy WHERE pid = $1;

-- cancel: end what a process of ours does
SELECT pg_cancel_backend($1);

-- jsonl: one JSON object a line; PostgreSQL escapes every line break within a string
SELECT pg_catalog.row_to_json(r) FROM ({query}) AS r

-- jsonl_of_raw: the same where a value may bring raw line breaks between its tokens, as type json does
SELECT translate(pg_catalog.row_to_json(r)::text, E'\n\r', '  ') FROM ({query}) AS r

-- spreadsheet: the rows for programs that run what begins like a formula (OWASP, "CSV Injection")
SELECT {values} FROM ({query}) AS r ({names})

-- inert: one value that is no number; behind an apostrophe a spreadsheet takes it as text
CASE WHEN pg_catalog.num_nulls({value}) = 0 THEN
    CASE WHEN pg_catalog.format('%s', {value}) ~ '^[=+@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20-]' THEN '''' ELSE '' END || pg_catalog.format('%s', {value})
END AS {name}

-- lock_parked: nobody writes to the parked object, or changes it, while it is verified and restored
LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE

-- split: the rows in pieces, in order; a table that has to be read as its owner is sampled as the owner
SELECT zanith.split_rows($1, $2, $3);

-- read_locks: the lock under which it can be proved that reading runs no code of an owner's
SELECT zanith.read_locks($1);

-- reads_as: the role as which the parked object has to be read, NULL for this one; and the search path of its code, NULL for ours
SELECT role_name AS role, path FROM zanith.reads_as($1);

-- make_reader: the query that reads rows as their owner
SELECT zanith.make_reader($1, $2, $3::text[], $4);

-- writable: a function can be made in the transaction, whatever the session's default
SET TRANSACTION READ WRITE;

-- export_snapshot: for other connections to see what this one sees
SELECT pg_export_snapshot();

-- import_snapshot: see what another connection sees
SET TRANSACTION SNAPSHOT '{snapshot}'
