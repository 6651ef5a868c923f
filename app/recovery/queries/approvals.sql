-- columns: what every reader of a request is shown; the hash of an erasure's values is not among it
p.id, p.kind, p.artifact_id, p.object, p.digest, p.params, p.facts, p.reason, p.requested_by, p.requested_by_role, p.requested_through, p.requested_from,
p.requested_at, p.expires_at,
CASE WHEN p.state IN ('requested', 'approved') AND p.expires_at <= clock_timestamp() THEN 'lapsed' ELSE p.state END AS state,
p.decided_by, p.decided_by_role, p.decided_through, p.decided_at, p.decision_reason, p.ended_at, p.job_id, p.request_order

-- list: those that wait for a decision first, then those that wait to be used, then the rest; newest first
SELECT {columns} FROM zanith._zanith_approvals AS p
WHERE ($1::text IS NULL OR p.artifact_id = $1)
  AND ($2::text[] IS NULL OR CASE WHEN p.state IN ('requested', 'approved') AND p.expires_at <= clock_timestamp() THEN 'lapsed' ELSE p.state END = ANY ($2))
ORDER BY CASE WHEN p.expires_at <= clock_timestamp() THEN 2 WHEN p.state = 'requested' THEN 0 WHEN p.state = 'approved' THEN 1 ELSE 2 END, p.request_order DESC
LIMIT $3 OFFSET $4;

-- one: by its id, or the only beginning of one
SELECT {columns} FROM zanith._zanith_approvals AS p WHERE starts_with(p.id, $1) ORDER BY p.id = $1 DESC, p.request_order DESC LIMIT 2;

-- lock: one, so that nobody else decides on it or uses it meanwhile
SELECT {columns} FROM zanith._zanith_approvals AS p WHERE p.id = $1 FOR UPDATE;

-- summary: what the frame of a page says: how many wait, whether there ever was one, and what this database requires
SELECT (SELECT count(*) FROM zanith._zanith_approvals AS p WHERE p.state = 'requested' AND p.expires_at > clock_timestamp()) AS pending,
       EXISTS (SELECT FROM zanith._zanith_approvals) AS any,
       ARRAY(SELECT r.kind FROM zanith._zanith_approval_rules AS r) AS required;

-- rules: what this database requires, and who wanted so
SELECT kind, required_by, required_by_role, required_at FROM zanith._zanith_approval_rules ORDER BY kind;

-- require: require approvals of a change from now on
INSERT INTO zanith._zanith_approval_rules (kind, required_by)
SELECT k.kind, $2 FROM pg_catalog.unnest($1::text[]) AS k(kind) ON CONFLICT DO NOTHING RETURNING kind;

-- lift: require them no longer; a trigger looks for the approval
DELETE FROM zanith._zanith_approval_rules WHERE kind = ANY ($1::text[]) RETURNING kind;

-- request: ask for one
INSERT INTO zanith._zanith_approvals (id, kind, artifact_id, object, digest, params, facts, match_hash, reason, requested_by, requested_through, requested_from)
VALUES (zanith._new_id(), $1, $2, $3, $4, $5::jsonb, $6::jsonb, $7, $8, $9, $10, $11) RETURNING id;

-- hashes: of the values of the erasures that are asked for or approved, newest first
SELECT id, match_hash FROM zanith._zanith_approvals AS p
WHERE p.kind = 'erase' AND p.artifact_id = $1 AND p.digest = $2 AND p.state IN ('requested', 'approved') AND p.expires_at > clock_timestamp() AND p.match_hash IS NOT NULL
ORDER BY p.state = 'approved' DESC, p.request_order DESC LIMIT 20;

-- problem: why somebody cannot decide on one
SELECT zanith._decider_problem(p, $2, session_user, $3) FROM zanith._zanith_approvals AS p WHERE p.id = $1;

-- decide: approve or reject it
UPDATE zanith._zanith_approvals SET state = $2, decided_by = $3, decided_through = $4, decision_reason = $5 WHERE id = $1;

-- end: it was withdrawn, used, or lapsed
UPDATE zanith._zanith_approvals SET state = $2 WHERE id = $1;

-- overdue: those that lapsed and are not marked so
SELECT id, kind, artifact_id, object FROM zanith._zanith_approvals AS p
WHERE p.state IN ('requested', 'approved') AND p.expires_at <= clock_timestamp() ORDER BY p.request_order FOR UPDATE SKIP LOCKED LIMIT 100;

-- stale: requests of the same change that lapsed, or whose plan was another
SELECT id, kind, artifact_id, object FROM zanith._zanith_approvals AS p
WHERE p.kind = $1 AND p.artifact_id IS NOT DISTINCT FROM $2 AND p.state IN ('requested', 'approved')
  AND (p.expires_at <= clock_timestamp() OR p.kind <> 'erase' AND p.digest <> $3 AND p.params = $4::jsonb) FOR UPDATE;

-- live: the request of just this change that is asked for or approved
SELECT {columns} FROM zanith._zanith_approvals AS p
WHERE p.kind = $1 AND p.artifact_id IS NOT DISTINCT FROM $2 AND p.digest = $3 AND p.state IN ('requested', 'approved') AND p.expires_at > clock_timestamp()
  AND ($4::text IS NULL OR p.id = $4)
ORDER BY p.state = 'approved' DESC, p.request_order DESC LIMIT 1;

-- latest: the last request of a change of an artifact
SELECT {columns} FROM zanith._zanith_approvals AS p WHERE p.kind = $1 AND p.artifact_id = $2 ORDER BY p.request_order DESC LIMIT 1;

-- use: use the approval of a change once, or say why there is none
SELECT zanith._use_approval($1, $2, $3, $4, $5, $6, $7, $8, $9);
