-- end: a session of the studio is over on every studio of this database; what is past its time goes
WITH gone AS (DELETE FROM zanith._zanith_ended_sessions WHERE expires_at < clock_timestamp())
INSERT INTO zanith._zanith_ended_sessions (id, expires_at) VALUES ($1, clock_timestamp() + $2)
ON CONFLICT (id) DO NOTHING;

-- ended: those that would not have ended by themselves yet
SELECT id FROM zanith._zanith_ended_sessions WHERE expires_at > clock_timestamp();
