-- seal_of: what a verification compares with
SELECT row_count, checksum, checksum_settings AS settings
FROM zanith._zanith_migration_artifacts WHERE id = $1;

-- record_seal: the first seal stands; a second one is accepted where it says the same
SELECT zanith.record_seal($1, $2, $3, $4, $5::jsonb);

-- record_verification: when it was last verified, and whether it matched
UPDATE zanith._zanith_migration_artifacts SET verified_at = clock_timestamp(), verified_ok = $2
WHERE id = $1;

-- sealed: what has a seal to be verified, the one that was verified the longest ago first
SELECT a.id FROM zanith._zanith_migration_artifacts AS a
WHERE a.sealed_at IS NOT NULL AND a.artifact_type <> 'soft_drop_column' AND a.physical_table IS NOT NULL
  AND (a.status = 'recoverable' OR zanith._strategy_is(a.artifact_type, 'archive'))
  AND ($1::interval IS NULL OR COALESCE(a.verified_at, a.sealed_at) < clock_timestamp() - $1)
ORDER BY a.verified_at NULLS FIRST, a.capture_order;

-- one_at_a_time: who looks for what is due, until the end of the transaction
SELECT pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtextextended('zanith.verify_every', 0));

-- queue_due: a job for what is due the longest, unless such a job is live; not of what somebody works on, nor of what was tried lately
INSERT INTO zanith._zanith_jobs (id, kind, artifact_id, object, params, actor, lease_expires_at)
SELECT $1, 'verify', a.id, zanith._object_name(a), '{"scheduled": true}', $2, clock_timestamp() + $3
FROM zanith._zanith_migration_artifacts AS a
WHERE a.sealed_at IS NOT NULL AND a.artifact_type <> 'soft_drop_column' AND a.physical_table IS NOT NULL
  AND (a.status = 'recoverable' OR zanith._strategy_is(a.artifact_type, 'archive'))
  AND COALESCE(a.verified_at, a.sealed_at) < clock_timestamp() - $4::interval
  AND NOT EXISTS (SELECT FROM zanith._zanith_jobs AS j
                  WHERE j.artifact_id = a.id AND (j.state IN ('queued', 'running') OR j.kind = 'verify' AND j.created_at > clock_timestamp() - $5::interval))
  AND NOT EXISTS (SELECT FROM zanith._zanith_jobs AS j WHERE j.state IN ('queued', 'running') AND j.params ->> 'scheduled' = 'true')
ORDER BY COALESCE(a.verified_at, a.sealed_at), a.capture_order
LIMIT 1
RETURNING artifact_id;

-- others_wait: whether other work on the artifact is live
SELECT EXISTS (SELECT FROM zanith._zanith_jobs AS j WHERE j.artifact_id = $1 AND j.id <> $2 AND j.state IN ('queued', 'running'));

-- unsealed: what a sweep finds to seal, oldest first; not what somebody works on
SELECT a.id FROM zanith._zanith_migration_artifacts AS a
WHERE a.sealed_at IS NULL AND a.artifact_type <> 'soft_drop_column'
  AND a.physical_table IS NOT NULL AND a.status = 'recoverable'
  AND (zanith._live_change(a.id)).id IS NULL
ORDER BY a.capture_order
LIMIT $1;
