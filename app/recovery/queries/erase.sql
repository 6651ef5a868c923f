-- plan: what deleting the rows would do; the values are not in it
SELECT zanith.plan_erasure($1, $2, $3);

-- lock_row: nobody seals, restores or purges it meanwhile
SELECT row_count, checksum, checksum_query, checksum_settings AS settings
FROM zanith._zanith_migration_artifacts WHERE id = $1 FOR UPDATE;

-- record: the count and seal of what is left, with the recipe that checks them; the old seal is in the audit log
UPDATE zanith._zanith_migration_artifacts
SET row_count = $2, checksum = $3, checksum_query = $4, checksum_settings = $5::jsonb,
    sealed_at = clock_timestamp(), verified_at = NULL, verified_ok = NULL
WHERE id = $1;

-- render: the recipe anew
UPDATE zanith._zanith_migration_artifacts SET recovery_sql = zanith._render_script(id) WHERE id = $1 AND (status = 'recoverable' OR zanith._strategy_is(artifact_type, 'archive'));
