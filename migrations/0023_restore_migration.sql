-- One more kind of job: restore_migration restores everything that a migration dropped, one object after another.

ALTER TABLE zanith._zanith_jobs DROP CONSTRAINT _zanith_jobs_kind_check;
ALTER TABLE zanith._zanith_jobs ADD CONSTRAINT _zanith_jobs_kind_check CHECK (kind IN (
    'restore', 'restore_rows', 'restore_migration', 'rehearse', 'seal', 'verify', 'purge', 'cleanup', 'export', 'capture',
    'erase'));

-- Its artifact_id is the object that it restores now, so the index of live changes protects that object.
DROP INDEX zanith.jobs_one_live_change;
ALTER TABLE zanith._zanith_jobs DROP COLUMN changes_artifact;
ALTER TABLE zanith._zanith_jobs ADD COLUMN changes_artifact boolean NOT NULL
    GENERATED ALWAYS AS (kind IN ('restore', 'restore_rows', 'restore_migration', 'seal', 'purge', 'erase', 'capture')) STORED;
COMMENT ON COLUMN zanith._zanith_jobs.changes_artifact IS
    'Whether it changes an artifact, or what is parked of it: one such job of an artifact is live at a time.';
CREATE UNIQUE INDEX jobs_one_live_change ON zanith._zanith_jobs (artifact_id)
    WHERE state IN ('queued', 'running') AND changes_artifact;

-- Two restores of one migration never run together. An id that was recorded by an early version may be too long for an index.
CREATE UNIQUE INDEX jobs_one_live_migration ON zanith._zanith_jobs (pg_catalog.md5(object))
    WHERE state IN ('queued', 'running') AND kind = 'restore_migration';
