-- Webhooks: the events to tell, the receivers, and what became of each delivery.

-- A row for each address in ZANITH_WEBHOOK_URL of a studio or worker. The address has secrets, so it is not kept: `id` is its SHA-256.
CREATE TABLE zanith._zanith_webhook_receivers (
    id            text PRIMARY KEY CHECK (id ~ '^[0-9a-f]{64}$'),
    host          text NOT NULL,
    first_seen_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    seen_at       timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when a studio or worker last had the address
    stopped_at    timestamptz                                      -- it answered 410: nothing is sent until a person tries again
);
COMMENT ON TABLE zanith._zanith_webhook_receivers IS 'Receivers of webhooks, by the SHA-256 of their address.';

CREATE TABLE zanith._zanith_webhook_events (
    id          text PRIMARY KEY,                -- the header webhook-id: the same in every attempt
    key         text NOT NULL UNIQUE,            -- what makes it one event, such as expiring:ARTIFACT:EXPIRY
    type        text NOT NULL,
    at          timestamptz NOT NULL DEFAULT clock_timestamp(),
    artifact_id text,                            -- no foreign key: the event outlives a purge
    job_id      text,
    object      text,
    facts       jsonb NOT NULL DEFAULT '{}'
);
CREATE INDEX webhook_events_by_time ON zanith._zanith_webhook_events (at);
COMMENT ON TABLE zanith._zanith_webhook_events IS 'Events that webhooks tell of, each once. A row goes after thirty days.';

CREATE TABLE zanith._zanith_webhook_deliveries (
    event_id         text NOT NULL REFERENCES zanith._zanith_webhook_events ON DELETE CASCADE,
    receiver_id      text NOT NULL REFERENCES zanith._zanith_webhook_receivers ON DELETE CASCADE,
    state            text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'given_up')),
    attempts         integer NOT NULL DEFAULT 0,
    next_attempt_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    give_up_at       timestamptz NOT NULL DEFAULT clock_timestamp() + interval '3 days',
    lease            text,                       -- of the process that sends it now
    lease_expires_at timestamptz,
    last_attempt_at  timestamptz,
    last_status      integer,                    -- the last answer; NULL where there was none
    last_error       text,
    ended_at         timestamptz,
    PRIMARY KEY (event_id, receiver_id),
    CHECK ((state = 'waiting') = (ended_at IS NULL))
);
CREATE INDEX webhook_deliveries_waiting ON zanith._zanith_webhook_deliveries (receiver_id, next_attempt_at) WHERE state = 'waiting';
CREATE INDEX webhook_deliveries_given_up ON zanith._zanith_webhook_deliveries (receiver_id) WHERE state = 'given_up';
CREATE INDEX webhook_deliveries_by_receiver ON zanith._zanith_webhook_deliveries (receiver_id, ended_at DESC) WHERE state = 'delivered';
COMMENT ON TABLE zanith._zanith_webhook_deliveries IS 'One event to one receiver: the attempts so far, and the next.';
