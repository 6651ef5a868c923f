-- lag: seconds that the furthest streaming replica is behind; NULL where none is, or we may not see
SELECT max(EXTRACT(EPOCH FROM replay_lag))::double precision FROM pg_stat_replication;

-- unfinished: what is half done with an artifact
SELECT zanith.unfinished($1);

-- parked: the soft-dropped column that a name means now
SELECT a.id FROM zanith._zanith_migration_artifacts AS a
WHERE a.artifact_type = 'soft_drop_column' AND a.status = 'recoverable' AND a.source_column = $2
  AND zanith._relation_oid(a.source_schema, a.source_table) = $1::oid
  AND zanith._attribute_number($1::oid, $2) IS NULL
  AND zanith._place(a) ->> 'state' = 'ok'
ORDER BY a.capture_order DESC LIMIT 1;

-- begin_archive: the place for the values, and what follows traffic; false where that is there
SELECT zanith.begin_archive($1);

-- copied_to: whether all is copied, and the last key that was
SELECT zanith.copied_to($1);

-- copy_batch: one batch beyond a key
SELECT copied, last FROM zanith.copy_batch($1, $2::text[], $3);

-- key_archive: the archive's primary key
SELECT zanith.key_archive($1);

-- catch_up: what was noted meanwhile
SELECT noted, grown FROM zanith.catch_up($1, $2);

-- compare_copy: live against archive
SELECT rows, missing, surplus, differing FROM zanith.compare_copy($1);

-- shape: which partitions there are, and what follows them
SELECT zanith.shape($1);

-- follow_shape: partitions that came meanwhile are followed; whether any came or went
SELECT zanith.follow_shape($1);

-- realign_archive: the archive in line with them
SELECT zanith.realign_archive($1);

-- moved_on: whether partitions came or went since a comparison
SELECT zanith.moved_on($1, $2);

-- finish_archive: the last transaction; NULL where too much changed since the comparison
SELECT zanith.finish_archive($1, $2, $3, $4);

-- give_up: what was half made goes
SELECT zanith.give_up($1);

-- actor: the log names the person
SELECT set_config('zanith.actor', $1, true);

-- quiet_session: whether triggers can be kept still in this session alone
SELECT zanith.quiet_session();

-- quiet: triggers that fire on origin stay still in this transaction
SET LOCAL session_replication_role = replica;

-- plan_fill_batch: one batch of a fill beyond a key
SELECT zanith.plan_fill_batch($1, $2::text[], $3);

-- plan_fill_pending: rows that somebody held when their batch came by
SELECT zanith.plan_fill_pending($1, $2);

-- plan_fill_since: rows that came since, in one batch beyond a key
SELECT zanith.plan_fill_since($1, $2::text[], $3);

-- owner_path: the search path of the owner's code, which a batch may call
SELECT zanith.owner_path($1, $2::jsonb);

-- filled: what the last step counted
SELECT current_setting('zanith.filled')::bigint;

-- is_pending: whether rows are left that somebody held
SELECT zanith.is_pending($1);

-- compare_fill: filled against archived
SELECT filled, differing, empty FROM zanith.compare_fill($1);

-- commit_later: the transaction's end does not wait for the disk
SET LOCAL synchronous_commit = off;
