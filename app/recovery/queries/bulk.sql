-- lock: several artifacts, in one order, so that two who lock the same wait for one another
SELECT id FROM zanith._zanith_migration_artifacts WHERE id = ANY ($1::text[]) ORDER BY id FOR NO KEY UPDATE;

-- hold_all: keep them from purge and cleanup; a hold that is there stays as it is
UPDATE zanith._zanith_migration_artifacts AS a SET held_by = $2, held_by_role = session_user, held_reason = $3
WHERE a.id = ANY ($1::text[]) AND a.held_by IS NULL RETURNING a.id, zanith._object_name(a) AS object;

-- release_all: let purge and cleanup have them again
UPDATE zanith._zanith_migration_artifacts AS a SET held_by = NULL, held_by_role = NULL, held_reason = NULL
WHERE a.id = ANY ($1::text[]) AND a.held_by IS NOT NULL RETURNING a.id, zanith._object_name(a) AS object;
