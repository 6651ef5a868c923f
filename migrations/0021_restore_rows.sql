-- restore_rows puts back some rows of an artifact. What it overwrites is kept beside the job, and not in it: the values of rows are in no job.

ALTER TABLE zanith._zanith_jobs DROP CONSTRAINT _zanith_jobs_kind_check;
ALTER TABLE zanith._zanith_jobs ADD CONSTRAINT _zanith_jobs_kind_check CHECK (kind IN (
    'restore', 'restore_rows', 'rehearse', 'seal', 'verify', 'purge', 'cleanup', 'export', 'capture', 'erase'));

DROP INDEX zanith.jobs_one_live_change;
ALTER TABLE zanith._zanith_jobs DROP COLUMN changes_artifact;
ALTER TABLE zanith._zanith_jobs ADD COLUMN changes_artifact boolean NOT NULL
    GENERATED ALWAYS AS (kind IN ('restore', 'restore_rows', 'seal', 'purge', 'erase', 'capture')) STORED;
COMMENT ON COLUMN zanith._zanith_jobs.changes_artifact IS
    'Whether it changes an artifact, or what is parked of it: one such job of an artifact is live at a time.';
CREATE UNIQUE INDEX jobs_one_live_change ON zanith._zanith_jobs (artifact_id)
    WHERE state IN ('queued', 'running') AND changes_artifact;

CREATE TABLE zanith._zanith_overwritten (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id       text NOT NULL,
    artifact_id  text NOT NULL,
    at           timestamptz NOT NULL DEFAULT clock_timestamp(),
    target       text NOT NULL,                      -- the live table, as SQL
    key_columns  text[] NOT NULL,
    key          text[] NOT NULL CHECK (cardinality(key) = cardinality(key_columns)),
    columns      text[] NOT NULL,                    -- what was written
    was          text[]                              -- its values before; NULL where the row was inserted
        CHECK (was IS NULL OR cardinality(was) = cardinality(columns))
);
COMMENT ON TABLE zanith._zanith_overwritten IS
    'Values of rows: what restore_rows overwrote, one line for each row. A purge and an erasure of the artifact delete them.';
CREATE INDEX overwritten_by_job ON zanith._zanith_overwritten (job_id, id);
CREATE INDEX overwritten_by_artifact ON zanith._zanith_overwritten (artifact_id);
REVOKE ALL ON zanith._zanith_overwritten FROM PUBLIC;
