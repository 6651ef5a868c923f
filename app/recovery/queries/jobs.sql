-- start: a job waits to run; a unique index refuses a second live change of one artifact
INSERT INTO zanith._zanith_jobs (id, kind, artifact_id, object, params, actor, lease_expires_at)
VALUES ($1, $2, $3, $4, $5::jsonb, $6, clock_timestamp() + $7)
RETURNING id;

-- has_artifact: whether the artifact of a new job is still there, as its own transaction sees it
SELECT EXISTS (SELECT FROM zanith._zanith_migration_artifacts WHERE id = $1);

-- handed_over: what waits for any worker
SELECT id FROM zanith._zanith_jobs
WHERE state = 'queued' AND params ->> 'handed_over' = 'true'
ORDER BY created_at LIMIT 20;

-- resumable: what lost its worker half way, or before it began, and nobody went on with
SELECT j.id FROM zanith._zanith_jobs AS j
WHERE j.state = 'interrupted' AND j.params ->> 'online' = 'true'
  AND COALESCE((j.params ->> 'attempt')::integer, 1) < $1
  AND NOT EXISTS (SELECT FROM zanith._zanith_jobs AS o
                  WHERE o.created_at > j.created_at AND o.kind = ANY ($2::text[])
                    AND (o.params ->> 'resumes' = j.id OR o.artifact_id = j.artifact_id))
  AND (j.params ->> 'handed_over' = 'true' OR zanith.unfinished(j.artifact_id) IS NOT NULL)
ORDER BY j.created_at LIMIT 20;

-- left_half_done: whether there is anything to go on with: the work itself, or a column that was to be archived
SELECT zanith.unfinished($1) IS NOT NULL
    OR EXISTS (SELECT FROM zanith._zanith_migration_artifacts WHERE id = $1 AND status = 'recoverable' AND artifact_type = 'soft_drop_column');

-- claim: one worker takes a job that waits
UPDATE zanith._zanith_jobs
SET state = 'running', worker = $2, lease = $3, started_at = clock_timestamp(),
    lease_expires_at = clock_timestamp() + $4
WHERE id = $1 AND state = 'queued'
RETURNING id;

-- keep: the lease of a job that waits runs on; nothing where it waits no more
UPDATE zanith._zanith_jobs SET lease_expires_at = clock_timestamp() + $2
WHERE id = $1 AND state = 'queued'
RETURNING id;

-- heartbeat: the lease runs on; says who wants the job cancelled; nothing where the lease is lost
UPDATE zanith._zanith_jobs SET lease_expires_at = clock_timestamp() + $3
WHERE id = $1 AND lease = $2 AND state = 'running'
RETURNING cancel_requested_by, pause_requested_by;

-- attach: what a running job makes or changes now, NULL for nothing; like the two below it tells listeners, in one round trip
UPDATE zanith._zanith_jobs SET artifact_id = $3
WHERE id = $1 AND lease = $2 AND state = 'running'
RETURNING id, pg_catalog.pg_notify('zanith', pg_catalog.json_build_object('event', 'job', 'id', id)::text);

-- pause: work in batches rests, or goes on
UPDATE zanith._zanith_jobs SET pause_requested_by = $2
WHERE id = $1 AND state IN ('queued', 'running')
RETURNING id;

-- progress: how far a running job came
UPDATE zanith._zanith_jobs SET progress = progress || $3::jsonb
WHERE id = $1 AND lease = $2 AND state = 'running'
RETURNING id, pg_catalog.pg_notify('zanith', pg_catalog.json_build_object('event', 'job', 'id', id)::text);

-- finish: a job ends, once; of one that is done all steps are, also those that were too short to be told one by one
UPDATE zanith._zanith_jobs
SET state = $3, result = $4::jsonb,
    progress = CASE WHEN $3 = 'done' AND progress ? 'total' THEN progress || pg_catalog.jsonb_build_object('done', progress -> 'total') ELSE progress END, error = $5::jsonb, ended_at = clock_timestamp(),
    lease_expires_at = NULL, artifact_id = CASE kind WHEN 'restore_migration' THEN NULL ELSE artifact_id END
WHERE id = $1 AND lease = $2 AND state = 'running'
RETURNING id, pg_catalog.pg_notify('zanith', pg_catalog.json_build_object('event', 'job', 'id', id)::text);

-- request_cancel: a running job is asked to stop, one that waits is cancelled at once
UPDATE zanith._zanith_jobs
SET cancel_requested_by = COALESCE(cancel_requested_by, $2),
    state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,
    error = CASE state WHEN 'queued' THEN pg_catalog.jsonb_build_object('code', 'refused', 'message', 'cancelled by ' || $2,
                                                                        'detail', NULL, 'hint', NULL, 'sqlstate', NULL) END,
    ended_at = CASE state WHEN 'queued' THEN clock_timestamp() END
WHERE id = $1 AND state IN ('queued', 'running')
RETURNING state;

-- abandon: a waiting job will not be run by the process that took it
UPDATE zanith._zanith_jobs
SET state = $3, error = $2::jsonb, ended_at = clock_timestamp(), lease_expires_at = NULL
WHERE id = $1 AND state = 'queued'
RETURNING id;

-- reap: jobs whose worker is gone; one whose last transaction is not over yet is not waited for
UPDATE zanith._zanith_jobs
SET state = 'interrupted', ended_at = clock_timestamp(),
    artifact_id = CASE kind WHEN 'restore_migration' THEN NULL ELSE artifact_id END,
    error = pg_catalog.jsonb_build_object(
        'code', 'failed',
        'message', 'interrupted: the process that ran it has ended',
        'detail', CASE WHEN kind = 'deploy'
                       THEN 'the migrations that it lists are applied; one without a transaction may have run in part'
                       WHEN progress ->> 'committed' = 'true'
                       THEN 'the change itself is committed; the steps after it did not run'
                       WHEN kind = 'restore_migration'
                       THEN 'the objects that it lists stay restored, all others stay parked'
                       WHEN params ->> 'online' = 'true'
                       THEN 'committed batches stay; another worker resumes from there'
                       ELSE 'uncommitted work was rolled back' END,
        'hint', CASE kind WHEN 'deploy' THEN 'look at the pending migrations, and apply them again'
                          ELSE 'look at the artifact, then run it again' END,
        'sqlstate', NULL)
WHERE id IN (SELECT id FROM zanith._zanith_jobs
             WHERE state IN ('queued', 'running') AND lease_expires_at < clock_timestamp()
             FOR UPDATE SKIP LOCKED)
RETURNING id;

-- get: one job
SELECT id, kind, artifact_id, object, state, params, progress, result, error,
       actor, actor_role, worker, cancel_requested_by, pause_requested_by, created_at, started_at, ended_at
FROM zanith._zanith_jobs WHERE id = $1;

-- newest: the newest job of a kind about what has a digest
SELECT id, kind, artifact_id, object, state, params, progress, result, error,
       actor, actor_role, worker, cancel_requested_by, pause_requested_by, created_at, started_at, ended_at
FROM zanith._zanith_jobs WHERE kind = $1 AND params ->> 'digest' = $2
ORDER BY created_at DESC, id DESC LIMIT 1;

-- live: the live change that stands in the way: of an artifact, or without one the restore of a migration; or the job of a kind that runs alone
SELECT id, kind, artifact_id, object, state, params, progress, result, error,
       actor, actor_role, worker, cancel_requested_by, pause_requested_by, created_at, started_at, ended_at
FROM zanith._zanith_jobs
WHERE state IN ('queued', 'running')
  AND CASE WHEN $3::text IS NOT NULL THEN kind = $3
           ELSE changes_artifact AND (artifact_id = $1 OR $1 IS NULL AND kind = 'restore_migration' AND object = $2) END;

-- count_blocked: how many wait for a lock that others have
SELECT count(*) FROM zanith._zanith_jobs
WHERE state = 'running' AND starts_with(progress ->> 'step', 'waiting for ');

-- list: newest first; every filter may be NULL
SELECT id, kind, artifact_id, object, state, params, progress, result, error,
       actor, actor_role, worker, cancel_requested_by, pause_requested_by, created_at, started_at, ended_at
FROM zanith._zanith_jobs
WHERE ($1::text IS NULL OR artifact_id = $1)
  AND ($2::text[] IS NULL OR state = ANY ($2))
  AND ($3::text[] IS NULL OR kind = ANY ($3))
  AND ($4::timestamptz IS NULL OR (created_at, id) < ($4, $5::text))
  AND ($7::boolean IS NULL OR $7 = (state = 'running' AND COALESCE(starts_with(progress ->> 'step', 'waiting for '), false)))
ORDER BY created_at DESC, id DESC
LIMIT $6;
