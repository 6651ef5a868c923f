-- Two more kinds of jobs: deploy applies pending migrations, verify_migrations runs them on a shadow. Of each, one runs at a time.

ALTER TABLE zanith._zanith_jobs DROP CONSTRAINT _zanith_jobs_kind_check;
ALTER TABLE zanith._zanith_jobs ADD CONSTRAINT _zanith_jobs_kind_check CHECK (kind IN (
    'restore', 'restore_rows', 'restore_migration', 'rehearse', 'seal', 'verify', 'purge', 'cleanup', 'export', 'capture',
    'erase', 'deploy', 'verify_migrations'));

CREATE UNIQUE INDEX jobs_one_live_of_kind ON zanith._zanith_jobs (kind)
    WHERE state IN ('queued', 'running') AND kind IN ('deploy', 'verify_migrations');
