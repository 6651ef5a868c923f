-- What somebody cancelled is told as cancelled, as the state of its job is, and not as failed.

ALTER TABLE zanith._zanith_audit_log DROP CONSTRAINT _zanith_audit_log_outcome_check;
ALTER TABLE zanith._zanith_audit_log ADD CONSTRAINT _zanith_audit_log_outcome_check CHECK (
    outcome IN ('done', 'mismatch', 'refused', 'failed', 'cancelled'));
