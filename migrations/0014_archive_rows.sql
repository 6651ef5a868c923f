-- archive_rows: a copy of the rows of a table that stays, as before a TRUNCATE.
ALTER TABLE zanith._zanith_migration_artifacts
    DROP CONSTRAINT _zanith_migration_artifacts_artifact_type_check,
    ADD CONSTRAINT _zanith_migration_artifacts_artifact_type_check CHECK (artifact_type IN (
        'soft_drop_column', 'soft_drop_table', 'archive_column', 'archive_table', 'rebuild_table', 'archive_rows'));

-- 'rows': what a TRUNCATE that runs has asked about already, of tables without a trigger of their own.
ALTER TABLE zanith._zanith_guard_facts
    DROP CONSTRAINT _zanith_guard_facts_kind_check,
    ADD CONSTRAINT _zanith_guard_facts_kind_check CHECK (kind IN ('captured', 'stand-in', 'member', 'own work', 'rows'));
