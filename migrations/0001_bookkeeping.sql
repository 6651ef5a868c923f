-- The bookkeeping: artifacts, the audit log, jobs, and the shadow schema that archives live in.
--
-- Append-only: what has been released is never edited here; a later change is a later file.

CREATE SCHEMA IF NOT EXISTS zanith;
CREATE SCHEMA _zanith_shadow;

REVOKE ALL ON SCHEMA zanith FROM PUBLIC;
REVOKE ALL ON SCHEMA _zanith_shadow FROM PUBLIC;

COMMENT ON SCHEMA zanith IS 'Zanith: recoverable schema changes. Artifacts, audit log, jobs and the capture functions.';
COMMENT ON SCHEMA _zanith_shadow IS 'Zanith: archives and moved tables. Do not edit; see zanith recover list.';

CREATE TABLE zanith._zanith_migration_artifacts (
    id               text PRIMARY KEY CHECK (id ~ '^[0-9a-z]{8,24}$'),
    capture_order    bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    migration_id     text,
    artifact_type    text NOT NULL CHECK (artifact_type IN (
                         'soft_drop_column', 'soft_drop_table', 'archive_column', 'archive_table', 'rebuild_table')),
    status           text NOT NULL DEFAULT 'recoverable' CHECK (status IN ('recoverable', 'restored')),
    source_schema    text NOT NULL,
    source_table     text NOT NULL,
    source_column    text,
    physical_schema  text,
    physical_table   text,
    physical_column  text,
    row_count        bigint CHECK (row_count >= 0),
    checksum         text CHECK (checksum ~ '^[0-9a-f]{64}$'),
    checksum_query   text,
    checksum_settings jsonb,
    sealed_at        timestamptz,
    verified_at      timestamptz,                    -- the last verification, whatever it found
    verified_ok      boolean,                        -- whether the archive then still matched its seal
    definition       jsonb NOT NULL,
    recipe_format    integer NOT NULL DEFAULT 1,
    recovery_sql     text,
    reason           text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_by       text NOT NULL,
    captured_with    text NOT NULL,
    expires_at       timestamptz,
    held_by          text,
    held_reason      text,
    restored_at      timestamptz,
    restored_by      text,
    CHECK ((source_column IS NOT NULL) = (artifact_type IN ('soft_drop_column', 'archive_column'))),
    CHECK ((sealed_at IS NULL) = (checksum IS NULL)),
    CHECK ((verified_at IS NULL) = (verified_ok IS NULL)),
    CHECK ((status = 'restored') = (restored_at IS NOT NULL))
);
COMMENT ON TABLE zanith._zanith_migration_artifacts IS
    'One row for each captured object: what it was, where it is parked, how to prove it and how to bring it back.';

-- Keyset paging: newest first, with and without a filter.
CREATE INDEX artifacts_by_object ON zanith._zanith_migration_artifacts
    (source_schema, source_table, source_column, capture_order DESC);
CREATE INDEX artifacts_by_migration ON zanith._zanith_migration_artifacts (migration_id, capture_order DESC)
    WHERE migration_id IS NOT NULL;
CREATE INDEX artifacts_by_expiry ON zanith._zanith_migration_artifacts (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX artifacts_unsealed ON zanith._zanith_migration_artifacts (capture_order)
    WHERE sealed_at IS NULL AND artifact_type <> 'soft_drop_column';
CREATE UNIQUE INDEX artifacts_by_place ON zanith._zanith_migration_artifacts
    (physical_schema, physical_table, COALESCE(physical_column, '')) WHERE physical_table IS NOT NULL;

CREATE TABLE zanith._zanith_audit_log (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    actor       text NOT NULL,                       -- the person or token's name
    db_role     text NOT NULL DEFAULT session_user,  -- the role the server saw
    address     text,                                -- where from: client address, or NULL for a local socket
    action      text NOT NULL,                       -- capture, seal, verify, restore, export, hold, release, purge, cleanup, login
    outcome     text NOT NULL CHECK (outcome IN ('done', 'refused', 'failed')),
    artifact_id text,
    object      text,                                -- schema.table[.column], quoted as PostgreSQL quotes
    detail      jsonb NOT NULL DEFAULT '{}'
);
COMMENT ON TABLE zanith._zanith_audit_log IS
    'Append-only: who did what, when, from where, and what came of it. The tombstone of a purge stays here.';
CREATE INDEX audit_by_artifact ON zanith._zanith_audit_log (artifact_id, id DESC);

CREATE TABLE zanith._zanith_jobs (
    id               text PRIMARY KEY,
    kind             text NOT NULL CHECK (kind IN (
                         'restore', 'seal', 'verify', 'purge', 'cleanup', 'export', 'capture')),
    artifact_id      text,                           -- no foreign key: history outlives a purge
    object           text,
    state            text NOT NULL DEFAULT 'queued' CHECK (state IN (
                         'queued', 'running', 'done', 'failed', 'cancelled', 'interrupted')),
    params           jsonb NOT NULL DEFAULT '{}',
    progress         jsonb NOT NULL DEFAULT '{}',
    result           jsonb,
    error            jsonb,
    actor            text NOT NULL,
    worker           text,
    lease            text,
    lease_expires_at timestamptz,
    cancel_requested_by text,
    created_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
    started_at       timestamptz,
    ended_at         timestamptz,
    CHECK ((state IN ('done', 'failed', 'cancelled', 'interrupted')) = (ended_at IS NOT NULL))
);
COMMENT ON TABLE zanith._zanith_jobs IS
    'Work that takes time: its progress while it runs, its outcome afterwards.';

-- Two changes of one artifact never run together; reading it (export, verify) may go on beside one another.
CREATE UNIQUE INDEX jobs_one_live_change ON zanith._zanith_jobs (artifact_id)
    WHERE state IN ('queued', 'running') AND kind IN ('restore', 'seal', 'purge');
CREATE INDEX jobs_live ON zanith._zanith_jobs (created_at) WHERE state IN ('queued', 'running');
CREATE INDEX jobs_by_artifact ON zanith._zanith_jobs (artifact_id, created_at DESC);

-- What UPDATE and DELETE cannot do to the log, for anyone but a superuser who disables this by hand.
CREATE FUNCTION zanith._audit_is_append_only() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON zanith._zanith_audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION zanith._audit_is_append_only();
