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
ORDER BY a.verified_at NULLS FIRST, a.capture_order;

-- unsealed: what a sweep finds to seal, oldest first; not what somebody works on
SELECT a.id FROM zanith._zanith_migration_artifacts AS a
WHERE a.sealed_at IS NULL AND a.artifact_type <> 'soft_drop_column'
  AND a.physical_table IS NOT NULL AND a.status = 'recoverable'
  AND (zanith._live_change(a.id)).id IS NULL
ORDER BY a.capture_order
LIMIT $1;
