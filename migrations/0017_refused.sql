-- A job that was refused ends as the audit log tells of it: refused, and not failed.

ALTER TABLE zanith._zanith_jobs DROP CONSTRAINT _zanith_jobs_state_check;
ALTER TABLE zanith._zanith_jobs ADD CONSTRAINT _zanith_jobs_state_check CHECK (
    state IN ('queued', 'running', 'done', 'mismatch', 'refused', 'failed', 'cancelled', 'interrupted'));
