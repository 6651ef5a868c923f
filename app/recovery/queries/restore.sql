-- mark: one restore wins; nothing comes back where another was first. $4 is when it was restored before
UPDATE zanith._zanith_migration_artifacts
SET status = 'restored', restored_at = clock_timestamp(), restored_by = $2, restored_by_role = session_user,
    verified_at = CASE WHEN $3 THEN clock_timestamp() ELSE verified_at END,
    verified_ok = CASE WHEN $3 THEN true ELSE verified_ok END
WHERE id = $1 AND restored_at IS NOT DISTINCT FROM $4
RETURNING id;

-- lift_pins: a restore may change the type of a column of a pinned table
SELECT zanith._pin_live($1, 'lift');

-- renew_pins: the columns of a pinned table, with those that were restored, are pinned again
SELECT zanith._pin_live($1, 'renew');

-- rows_first: of artifacts, those whose rows refer to rows that others hold
SELECT a.id, pg_catalog.array_agg(f.item #>> '{}') AS first
FROM zanith._zanith_migration_artifacts AS a, LATERAL zanith._each(zanith._rows_needed(a.definition)) AS f
WHERE a.id = ANY ($1::text[]) AND a.artifact_type = 'archive_rows'
GROUP BY a.id;

-- name_beside: the name by which the old values of a column that is still there come back; NULL for anything else
SELECT zanith.name_beside($1);

-- pin_schemas: schemas keep their names until the transaction ends
SELECT zanith.pin_schemas($1);

-- check_partners: no other table was exchanged since the plan was made; the locks of the restore keep them now
SELECT zanith.check_partners($1, $2::jsonb);

-- renew_script: the script of a column whose archive stays
SELECT zanith._renew_script($1);

-- restored_column: what the column of an archive is told by from now on; $2 is the name that it came back by, NULL its own
SELECT zanith._restored_column($1, $2);

-- stands: whether what was restored is there, by the name that it came back by
SELECT CASE WHEN a.kept_kind IS NOT NULL THEN zanith._kept_stands(a, $2)
            WHEN a.source_column IS NULL THEN zanith._relation_oid(a.source_schema, COALESCE($2, a.source_table)) IS NOT NULL
            ELSE zanith._attribute_number(zanith._relation_oid(a.source_schema, a.source_table), COALESCE($2, a.source_column)) IS NOT NULL END
FROM zanith._artifact($1) AS a;

-- forget_counts: nothing is filled yet in this transaction
SELECT set_config('zanith.fill_counts', '', true);

-- counts: rows that a fill in this transaction gave their value, rows of the table, archived values; NULL where nothing was filled
SELECT string_to_array(NULLIF(current_setting('zanith.fill_counts', true), ''), ' ')::bigint[];

-- left_over: the check that names archived values without a row
SELECT zanith.left_over($1);

-- compare: the recorded definition beside the catalog, under the name that it came back by
SELECT zanith.compare_as($1, $2);

-- locate: where the parked object is
SELECT zanith.locate($1);

-- follow_up: what was to follow the restore of an artifact, with the choices that it was made with
SELECT zanith.plan_follow_up($1, COALESCE((
    SELECT l.detail -> 'choices' FROM zanith._zanith_audit_log AS l
    WHERE l.artifact_id = $1 AND l.action = 'restore' AND l.outcome = 'done' AND NOT l.detail ? 'follow_up'
    ORDER BY l.id DESC LIMIT 1), '{}'));

-- choices: those that an artifact was last restored with
SELECT COALESCE((
    SELECT l.detail -> 'choices' FROM zanith._zanith_audit_log AS l
    WHERE l.artifact_id = $1 AND l.action = 'restore' AND l.outcome = 'done' AND NOT l.detail ? 'follow_up'
    ORDER BY l.id DESC LIMIT 1), '{}');

-- analyze: ANALYZE of the table that came back, as a step of its owner; `reason` says why it cannot run
SELECT zanith.plan_analyze($1);
