-- keep_definition: the definition of an object without rows, such as a view, a function, an index or a trigger, that a plain statement dropped by itself.

-- `kept_kind` says what it is of, `kept_name` is its name as a person reads it, `kept_object` the name alone, as the catalog had it. The source is its
-- table where it is a part of one; else its own schema and name. They are NULL for captures of tables and columns.
ALTER TABLE zanith._zanith_migration_artifacts
    ADD COLUMN kept_kind text,
    ADD COLUMN kept_name text,
    ADD COLUMN kept_object text,
    DROP CONSTRAINT _zanith_migration_artifacts_artifact_type_check,
    ADD CONSTRAINT _zanith_migration_artifacts_artifact_type_check CHECK (artifact_type IN (
        'soft_drop_column', 'soft_drop_table', 'archive_column', 'archive_table', 'rebuild_table', 'archive_rows', 'archive_values', 'keep_definition')),
    ADD CONSTRAINT artifacts_kept CHECK (num_nulls(kept_kind, kept_name, kept_object) = CASE artifact_type WHEN 'keep_definition' THEN 0 ELSE 3 END);
CREATE INDEX artifacts_by_kept_object ON zanith._zanith_migration_artifacts (kept_object, source_schema, capture_order DESC) WHERE kept_object IS NOT NULL;

-- Written by definer functions that described the object from the catalog. At the end of the statement, and at COMMIT, the guard looks whether it is gone.
CREATE UNLOGGED TABLE zanith._zanith_guard_definitions (
    transaction xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
    artifact    text NOT NULL,
    class       oid NOT NULL,
    object      oid NOT NULL,
    role_name   text NOT NULL      -- that dropped it
);
CREATE INDEX guard_definitions_by_transaction ON zanith._zanith_guard_definitions (transaction);
COMMENT ON TABLE zanith._zanith_guard_definitions IS 'For the length of a transaction: the objects without rows that it dropped, and the artifacts that keep their definitions.';
REVOKE ALL ON zanith._zanith_guard_definitions FROM PUBLIC;
