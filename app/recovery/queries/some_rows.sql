-- plan_search: how rows are searched; values are parameters of the statement in it
SELECT zanith.plan_row_search($1, $2::jsonb);

-- plan: how some rows come back
SELECT zanith.plan_some_rows($1);

-- time: no statement of this transaction takes longer than so many milliseconds, nor than it may already
SELECT set_config('statement_timeout', LEAST(NULLIF(s.setting::bigint, 0), $1::bigint)::text, true) FROM pg_settings s WHERE s.name = 'statement_timeout';

-- wait: for no lock longer than that, until the transaction ends
SELECT set_config('lock_timeout', $1, true);

-- lock: the definition of the live table stays as it is; reads and writes go on
SELECT zanith.lock_for_rows($1);

-- commit_later: the last transaction of the job writes to disk what the rows before it left; nobody waits for a disk while a row is locked
SELECT set_config('synchronous_commit', 'off', true);

-- keep: what is about to be overwritten in one row; NULL where it is inserted
INSERT INTO zanith._zanith_overwritten (job_id, artifact_id, target, key_columns, key, columns, was)
VALUES ($1, $2, $3, $4::text[], $5::text[], $6::text[], $7::text[]);

-- kept: what a job overwrote, in order
SELECT target, key_columns, key, columns, was FROM zanith._zanith_overwritten WHERE job_id = $1 ORDER BY id;

-- kept_count: how many rows of it are kept
SELECT count(*) FROM zanith._zanith_overwritten WHERE job_id = $1;

-- forget: an erasure leaves no value of the rows anywhere
DELETE FROM zanith._zanith_overwritten WHERE artifact_id = $1;

-- copy_update: a value into its row, for a person to run
UPDATE {target} SET {column} = {value} WHERE {rows};

-- copy_insert: a row into its table
INSERT INTO {target} ({columns}) OVERRIDING SYSTEM VALUE VALUES ({values});

-- copy_delete: an inserted row out of its table
DELETE FROM {target} WHERE {rows};
