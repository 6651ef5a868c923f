-- The audit log refuses changes in every replication role; beside a person's name stands the database role; ended sessions.

-- session_replication_role = replica turns off every trigger that is not ENABLE ALWAYS.
ALTER TABLE zanith._zanith_audit_log ENABLE ALWAYS TRIGGER audit_is_append_only;

-- A person's name is what a client says (zanith.actor). The role beside it is what the server checked.
ALTER TABLE zanith._zanith_migration_artifacts
    ADD COLUMN created_by_role text,
    ADD COLUMN held_by_role text,
    ADD COLUMN restored_by_role text;
ALTER TABLE zanith._zanith_jobs ADD COLUMN actor_role text;
ALTER TABLE zanith._zanith_jobs ALTER COLUMN actor_role SET DEFAULT session_user;

UPDATE zanith._zanith_migration_artifacts a
SET created_by_role = (
        SELECT l.db_role FROM zanith._zanith_audit_log l
        WHERE l.artifact_id = a.id AND l.action = 'capture' AND l.outcome = 'done' ORDER BY l.id LIMIT 1),
    held_by_role = CASE WHEN a.held_by IS NOT NULL THEN (
        SELECT l.db_role FROM zanith._zanith_audit_log l
        WHERE l.artifact_id = a.id AND l.action = 'hold' AND l.outcome = 'done' ORDER BY l.id DESC LIMIT 1) END,
    restored_by_role = CASE WHEN a.restored_by IS NOT NULL THEN (
        SELECT l.db_role FROM zanith._zanith_audit_log l
        WHERE l.artifact_id = a.id AND l.action = 'restore' AND l.outcome = 'done' ORDER BY l.id DESC LIMIT 1) END;

-- Sessions of the studio that ended before their time. `id` is the SHA-256 of the session's cookie, which cannot be made from it.
CREATE TABLE zanith._zanith_ended_sessions (
    id         text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{64}$'),
    expires_at timestamptz NOT NULL             -- the session would have ended then: the row may go
);
COMMENT ON TABLE zanith._zanith_ended_sessions IS
    'Sign-outs: sessions of the studio that every studio of this database refuses. A row may go after expires_at.';
CREATE INDEX ended_sessions_by_expiry ON zanith._zanith_ended_sessions (expires_at);
