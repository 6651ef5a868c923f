-- A check that found something else than was sealed ends as a mismatch, not as done; a rehearsal is a job like a restore.

ALTER TABLE zanith._zanith_jobs DROP CONSTRAINT _zanith_jobs_kind_check;
ALTER TABLE zanith._zanith_jobs ADD CONSTRAINT _zanith_jobs_kind_check CHECK (kind IN (
    'restore', 'rehearse', 'seal', 'verify', 'purge', 'cleanup', 'export', 'capture', 'erase'));

ALTER TABLE zanith._zanith_jobs DROP CONSTRAINT _zanith_jobs_state_check, DROP CONSTRAINT _zanith_jobs_check;
ALTER TABLE zanith._zanith_jobs ADD CONSTRAINT _zanith_jobs_state_check CHECK (state IN (
    'queued', 'running', 'done', 'mismatch', 'failed', 'cancelled', 'interrupted'));
ALTER TABLE zanith._zanith_jobs ADD CONSTRAINT _zanith_jobs_check CHECK (
    (state NOT IN ('queued', 'running')) = (ended_at IS NOT NULL));

UPDATE zanith._zanith_jobs SET state = 'mismatch'
WHERE state = 'done' AND (kind = 'verify' AND result ->> 'matches' = 'false' OR kind = 'export' AND result ->> 'equals_seal' = 'false');

-- Entries that were written before stay as they are: the log is append-only. Whoever lists it reads their detail.
ALTER TABLE zanith._zanith_audit_log DROP CONSTRAINT _zanith_audit_log_outcome_check;
ALTER TABLE zanith._zanith_audit_log ADD CONSTRAINT _zanith_audit_log_outcome_check CHECK (outcome IN ('done', 'mismatch', 'refused', 'failed'));
