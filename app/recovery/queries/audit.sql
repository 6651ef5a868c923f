-- record: what somebody did or was refused
INSERT INTO zanith._zanith_audit_log (actor, address, action, outcome, artifact_id, object, detail)
VALUES ($1, $2, $3, $4, $5, $6, $7::jsonb)
RETURNING id;

-- record_all: what somebody did to several artifacts at once; tells listeners of each
WITH changed AS (
    SELECT id, object FROM ROWS FROM (pg_catalog.unnest($4::text[]), pg_catalog.unnest($5::text[])) AS x(id, object)
), written AS (
    INSERT INTO zanith._zanith_audit_log (actor, address, action, outcome, artifact_id, object, detail)
    SELECT $1, $2, $3, 'done', id, object, $6::jsonb FROM changed
    RETURNING id
)
SELECT pg_catalog.pg_notify('zanith', pg_catalog.json_build_object('event', event, 'id', id)::text)
FROM (SELECT 'artifact' AS event, id FROM changed UNION ALL SELECT 'audit', max(id)::text FROM written HAVING count(*) > 0) AS told;

-- record_ended: a job that was interrupted or given up, as its row says it
INSERT INTO zanith._zanith_audit_log (actor, db_role, action, outcome, artifact_id, object, detail)
SELECT actor, COALESCE(actor_role, session_user), kind, CASE state WHEN 'cancelled' THEN state ELSE 'failed' END, artifact_id, object, error || pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('job', id, 'bytes_sent', progress -> 'bytes_sent'))
FROM zanith._zanith_jobs WHERE id = $1
RETURNING id;

-- list: newest first, by key; every filter may be NULL
SELECT id, at, actor, db_role, address, action, said.outcome, artifact_id, object, detail
FROM zanith._zanith_audit_log AS l, LATERAL (SELECT zanith._outcome(l.action, l.outcome, l.detail)) AS said(outcome)
WHERE ($1::text IS NULL OR actor = $1)
  AND ($2::text IS NULL OR action = $2)
  AND ($3::text IS NULL OR artifact_id = $3)
  AND ($4::text IS NULL OR object ILIKE '%' || replace(replace(replace($4, '\', '\\'), '%', '\%'), '_', '\_') || '%')
  AND ($5::timestamptz IS NULL OR at >= $5)
  AND ($6::timestamptz IS NULL OR at < $6)
  AND ($7::text IS NULL OR said.outcome = $7)
  AND ($8::bigint IS NULL OR id < $8)
ORDER BY id DESC
LIMIT $9;

-- since: what came after, oldest first; overlaps, since commits may come out of order
SELECT id, at, actor, db_role, address, action, zanith._outcome(action, outcome, detail) AS outcome, artifact_id, object, detail
FROM zanith._zanith_audit_log
WHERE id > $1
ORDER BY id
LIMIT 10000;

-- last: the newest entry's id
SELECT COALESCE(max(id), 0) FROM zanith._zanith_audit_log;
