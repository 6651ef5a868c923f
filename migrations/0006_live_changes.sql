-- The table itself says which jobs change an artifact. A list in each query left the capture out of three of them,
-- and a cleanup purged a column whose online archive was running.

DROP INDEX zanith.jobs_one_live_change;
ALTER TABLE zanith._zanith_jobs ADD COLUMN changes_artifact boolean NOT NULL
    GENERATED ALWAYS AS (kind IN ('restore', 'seal', 'purge', 'erase', 'capture')) STORED;
COMMENT ON COLUMN zanith._zanith_jobs.changes_artifact IS
    'Whether it changes an artifact, or what is parked of it: one such job of an artifact is live at a time.';
CREATE UNIQUE INDEX jobs_one_live_change ON zanith._zanith_jobs (artifact_id)
    WHERE state IN ('queued', 'running') AND changes_artifact;
