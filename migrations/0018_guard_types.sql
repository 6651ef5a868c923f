-- archive_values: a copy of the values of a column that stays, as before its type changes.
ALTER TABLE zanith._zanith_migration_artifacts
    DROP CONSTRAINT _zanith_migration_artifacts_artifact_type_check,
    ADD CONSTRAINT _zanith_migration_artifacts_artifact_type_check CHECK (artifact_type IN (
        'soft_drop_column', 'soft_drop_table', 'archive_column', 'archive_table', 'rebuild_table', 'archive_rows', 'archive_values')),
    DROP CONSTRAINT _zanith_migration_artifacts_check,
    ADD CONSTRAINT _zanith_migration_artifacts_check CHECK (
        (source_column IS NOT NULL) = (artifact_type IN ('soft_drop_column', 'archive_column', 'archive_values')));

-- 'types': the types that an ALTER TABLE may give to columns, of tables that it rewrites.

ALTER TABLE zanith._zanith_guard_facts
    ADD COLUMN types jsonb,  -- {attnum: [oid, modifier]} as they are to be after the statement
    DROP CONSTRAINT _zanith_guard_facts_kind_check,
    ADD CONSTRAINT _zanith_guard_facts_kind_check CHECK (kind IN ('captured', 'stand-in', 'member', 'own work', 'rows', 'types'));
