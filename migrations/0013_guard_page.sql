-- The page of the guard reads the newest plain drops, of a log and a list that may be long.

CREATE INDEX artifacts_of_guard ON zanith._zanith_migration_artifacts (capture_order DESC) WHERE starts_with(reason, 'guard: ');
CREATE INDEX audit_of_guard ON zanith._zanith_audit_log (id DESC) WHERE action = 'guard';
