-- register: this process has these addresses
INSERT INTO zanith._zanith_webhook_receivers (id, host)
SELECT r.id, r.host FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS r(id, host)
ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp(), host = EXCLUDED.host;

-- tell_of_states: what came with time
SELECT zanith._tell_of_states();

-- tell_of_blocked_jobs: who waits for a lock
SELECT zanith._tell_of_blocked_jobs();

-- tell: one event, in the caller's transaction
SELECT zanith._tell($1, $2, $3, $4, $5, $6::jsonb);

-- give_up: what was tried for days; an address that nobody has any more is said
UPDATE zanith._zanith_webhook_deliveries AS d
SET state = 'given_up', ended_at = clock_timestamp(), lease = NULL, lease_expires_at = NULL,
    last_error = COALESCE(d.last_error, 'no studio or worker has this address in ZANITH_WEBHOOK_URL')
WHERE (d.event_id, d.receiver_id) IN (
    SELECT w.event_id, w.receiver_id FROM zanith._zanith_webhook_deliveries AS w
    WHERE w.state = 'waiting' AND w.give_up_at < clock_timestamp() AND (w.lease_expires_at IS NULL OR w.lease_expires_at < clock_timestamp())
    FOR UPDATE SKIP LOCKED)
RETURNING d.receiver_id;

-- forget: events of more than a month ago, and receivers that nobody had for so long
WITH old AS (
    DELETE FROM zanith._zanith_webhook_events AS e
    WHERE e.at < clock_timestamp() - interval '30 days'
      AND NOT EXISTS (SELECT FROM zanith._zanith_webhook_deliveries AS d WHERE d.event_id = e.id AND d.state = 'waiting'))
DELETE FROM zanith._zanith_webhook_receivers AS r
WHERE r.seen_at < clock_timestamp() - interval '30 days';

-- claim: one delivery to a receiver, for as long as the lease; the one that waits the longest
UPDATE zanith._zanith_webhook_deliveries AS d
SET attempts = d.attempts + 1, last_attempt_at = clock_timestamp(), lease = $2, lease_expires_at = clock_timestamp() + $3
FROM zanith._zanith_webhook_events AS e
WHERE e.id = d.event_id AND (d.event_id, d.receiver_id) = (
    SELECT w.event_id, w.receiver_id FROM zanith._zanith_webhook_deliveries AS w
    JOIN zanith._zanith_webhook_receivers AS r ON r.id = w.receiver_id
    WHERE w.receiver_id = $1 AND w.state = 'waiting' AND w.next_attempt_at <= clock_timestamp() AND r.stopped_at IS NULL
      AND (w.lease_expires_at IS NULL OR w.lease_expires_at < clock_timestamp())
    ORDER BY w.next_attempt_at LIMIT 1
    FOR UPDATE OF w SKIP LOCKED)
RETURNING d.attempts, e.id, e.type, e.at, e.artifact_id, e.job_id, e.object, e.facts;

-- add_test: a test, claimed already by the process that sends it
WITH made AS (
    INSERT INTO zanith._zanith_webhook_events (id, key, type, facts) VALUES ($1, $1, 'test', $2::jsonb)
    RETURNING id)
INSERT INTO zanith._zanith_webhook_deliveries (event_id, receiver_id, attempts, last_attempt_at, lease, lease_expires_at)
SELECT made.id, r.id, 1, clock_timestamp(), $4, clock_timestamp() + $5 FROM made, pg_catalog.unnest($3::text[]) AS r(id);

-- event: one as a message tells it
SELECT 1 AS attempts, id, type, at, artifact_id, job_id, object, facts FROM zanith._zanith_webhook_events WHERE id = $1;

-- delivered: the receiver answered; nothing where another process has the delivery by now
UPDATE zanith._zanith_webhook_deliveries
SET state = 'delivered', ended_at = clock_timestamp(), lease = NULL, lease_expires_at = NULL, last_status = $4, last_error = NULL
WHERE event_id = $1 AND receiver_id = $2 AND lease = $3 AND state = 'waiting'
RETURNING event_id;

-- failed: try again after so long; a test is not tried again
UPDATE zanith._zanith_webhook_deliveries
SET lease = NULL, lease_expires_at = NULL, last_status = $4, last_error = $5, next_attempt_at = clock_timestamp() + $6,
    state = CASE WHEN $7 THEN 'given_up' ELSE state END, ended_at = CASE WHEN $7 THEN clock_timestamp() END
WHERE event_id = $1 AND receiver_id = $2 AND lease = $3 AND state = 'waiting'
RETURNING event_id;

-- rest: a receiver that does not answer gets nothing else for a while
UPDATE zanith._zanith_webhook_deliveries AS d SET next_attempt_at = GREATEST(d.next_attempt_at, clock_timestamp() + $2)
WHERE (d.event_id, d.receiver_id) IN (
    SELECT w.event_id, w.receiver_id FROM zanith._zanith_webhook_deliveries AS w
    WHERE w.receiver_id = $1 AND w.state = 'waiting' AND w.lease IS NULL AND w.next_attempt_at < clock_timestamp() + $2
    FOR UPDATE SKIP LOCKED);

-- answers_again: a receiver that answers gets at once what waited because it did not
UPDATE zanith._zanith_webhook_deliveries AS d SET next_attempt_at = clock_timestamp()
WHERE (d.event_id, d.receiver_id) IN (
    SELECT w.event_id, w.receiver_id FROM zanith._zanith_webhook_deliveries AS w
    WHERE w.receiver_id = $1 AND w.state = 'waiting' AND w.lease IS NULL AND w.next_attempt_at > clock_timestamp()
      AND w.last_error IS NOT NULL AND COALESCE(w.last_status, 500) >= 500
    FOR UPDATE SKIP LOCKED);

-- stop: the receiver said that it is gone
UPDATE zanith._zanith_webhook_receivers SET stopped_at = clock_timestamp() WHERE id = $1;

-- retry: what waits or was given up is due now, of one receiver or of all; tests are not
WITH again AS (
    UPDATE zanith._zanith_webhook_receivers SET stopped_at = NULL WHERE ($1::text IS NULL OR id = $1) AND stopped_at IS NOT NULL),
due AS (
    UPDATE zanith._zanith_webhook_deliveries AS d
    SET state = 'waiting', ended_at = NULL, next_attempt_at = clock_timestamp(), give_up_at = clock_timestamp() + interval '3 days'
    FROM zanith._zanith_webhook_events AS e
    WHERE e.id = d.event_id AND e.type <> 'test' AND d.state IN ('waiting', 'given_up') AND d.lease IS NULL AND ($1::text IS NULL OR d.receiver_id = $1)
    RETURNING d.event_id)
SELECT count(*) FROM due;

-- receivers: each with what waits for it, what it got, and how it went the last time
SELECT r.id, r.host, r.first_seen_at, r.seen_at, r.stopped_at, n.waiting, n.given_up, n.delivered, n.next_attempt_at,
       g.ended_at AS last_delivered_at, f.last_error, f.last_attempt_at AS last_failed_at
FROM zanith._zanith_webhook_receivers AS r
CROSS JOIN LATERAL (SELECT count(*) FILTER (WHERE d.state = 'waiting') AS waiting, count(*) FILTER (WHERE d.state = 'given_up' AND e.type <> 'test') AS given_up,
                           count(*) FILTER (WHERE d.state = 'delivered') AS delivered, min(d.next_attempt_at) FILTER (WHERE d.state = 'waiting') AS next_attempt_at
                    FROM zanith._zanith_webhook_deliveries AS d JOIN zanith._zanith_webhook_events AS e ON e.id = d.event_id
                    WHERE d.receiver_id = r.id) AS n
LEFT JOIN LATERAL (SELECT d.ended_at FROM zanith._zanith_webhook_deliveries AS d
                   WHERE d.receiver_id = r.id AND d.state = 'delivered' ORDER BY d.ended_at DESC LIMIT 1) AS g ON true
LEFT JOIN LATERAL (SELECT d.last_error, d.last_attempt_at FROM zanith._zanith_webhook_deliveries AS d
                   WHERE d.receiver_id = r.id AND d.last_error IS NOT NULL ORDER BY d.last_attempt_at DESC NULLS LAST LIMIT 1) AS f ON true
ORDER BY r.host, r.first_seen_at, r.id;

-- deliveries: the newest, with their events; those that did not arrive first
SELECT e.id, e.type, e.at, e.artifact_id, e.job_id, e.object, e.facts,
       d.receiver_id, r.host, d.state, d.attempts, d.next_attempt_at, d.last_attempt_at, d.last_status, d.last_error, d.ended_at
FROM zanith._zanith_webhook_deliveries AS d
JOIN zanith._zanith_webhook_events AS e ON e.id = d.event_id
JOIN zanith._zanith_webhook_receivers AS r ON r.id = d.receiver_id
ORDER BY d.state = 'delivered', e.at DESC, e.id, r.host
LIMIT $1;

-- counts: for the figures and the doctor; nothing where this role may not read the table
SELECT count(*) FILTER (WHERE d.state = 'waiting') AS waiting, count(*) FILTER (WHERE d.state = 'given_up') AS given_up,
       COALESCE(extract(epoch FROM clock_timestamp() - min(e.at) FILTER (WHERE d.state = 'waiting')), 0)::float8 AS oldest
FROM zanith._zanith_webhook_deliveries AS d
JOIN zanith._zanith_webhook_events AS e ON e.id = d.event_id
WHERE d.state IN ('waiting', 'given_up') AND e.type <> 'test';

-- given_up: by receiver, for the doctor
SELECT r.host, r.id, count(*) AS number, max(d.last_error) AS error
FROM zanith._zanith_webhook_deliveries AS d
JOIN zanith._zanith_webhook_events AS e ON e.id = d.event_id
JOIN zanith._zanith_webhook_receivers AS r ON r.id = d.receiver_id
WHERE d.state = 'given_up' AND e.type <> 'test'
GROUP BY r.id ORDER BY r.host, r.id;

-- readable: whether this role may read what the counts come from
SELECT pg_catalog.has_table_privilege('zanith._zanith_webhook_deliveries', 'SELECT') AND pg_catalog.has_table_privilege('zanith._zanith_webhook_events', 'SELECT')
   AND pg_catalog.has_table_privilege('zanith._zanith_webhook_receivers', 'SELECT');
