-- Online forms: work in batches that may rest, and a capture that goes on after its artifact is there.

ALTER TABLE zanith._zanith_jobs ADD COLUMN pause_requested_by text;

DROP INDEX zanith.jobs_one_live_change;
CREATE UNIQUE INDEX jobs_one_live_change ON zanith._zanith_jobs (artifact_id)
    WHERE state IN ('queued', 'running') AND kind IN ('restore', 'seal', 'purge', 'erase', 'capture');
