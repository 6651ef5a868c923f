-- Erasure: rows of one person taken out of what is parked is a change like a restore or a purge.

ALTER TABLE zanith._zanith_jobs DROP CONSTRAINT _zanith_jobs_kind_check;
ALTER TABLE zanith._zanith_jobs ADD CONSTRAINT _zanith_jobs_kind_check CHECK (kind IN (
    'restore', 'seal', 'verify', 'purge', 'cleanup', 'export', 'capture', 'erase'));

DROP INDEX zanith.jobs_one_live_change;
CREATE UNIQUE INDEX jobs_one_live_change ON zanith._zanith_jobs (artifact_id)
    WHERE state IN ('queued', 'running') AND kind IN ('restore', 'seal', 'purge', 'erase');
