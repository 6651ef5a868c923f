-- Events for webhooks: written once, in the transaction in which they happen, with a delivery for each receiver.

-- A receiver gets events while a studio or worker had its address within the last week. So a stop of all of them for some days loses nothing, and
-- an address that was taken away gets no more.
CREATE OR REPLACE FUNCTION zanith._webhook_receivers() RETURNS SETOF text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY
    SELECT r.id FROM zanith._zanith_webhook_receivers r WHERE r.seen_at > clock_timestamp() - interval '7 days';
END $$;

-- Tell the receivers of an event, in the caller's transaction; return its id. NULL, and nothing is written, where nobody receives or where the key was
-- used before. A silent event has no deliveries: another one tells of it.
CREATE OR REPLACE FUNCTION zanith._tell(
    event_key text, event_type text, of_artifact text, of_job text, object_name text, event_facts jsonb, silent boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    made text;
BEGIN
    IF NOT EXISTS (SELECT FROM zanith._webhook_receivers()) THEN
        RETURN NULL;
    END IF;
    INSERT INTO zanith._zanith_webhook_events (id, key, type, artifact_id, job_id, object, facts)
    VALUES ('msg_' || replace(gen_random_uuid()::text, '-', ''), event_key, event_type, of_artifact, of_job, object_name, event_facts)
    ON CONFLICT (key) DO NOTHING RETURNING id INTO made;
    IF made IS NOT NULL AND NOT silent THEN
        INSERT INTO zanith._zanith_webhook_deliveries (event_id, receiver_id) SELECT made, r FROM zanith._webhook_receivers() r;
        PERFORM pg_notify('zanith', json_build_object('event', 'webhook', 'id', made)::text);
    END IF;
    RETURN made;
END $$;

-- Anybody who may look up Zanith's functions can name a trigger function in a trigger of their own table, and choose the rows that it sees.
CREATE OR REPLACE FUNCTION zanith._require_trigger_of(relation oid, table_name text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF relation IS DISTINCT FROM zanith._relation_oid('zanith', table_name) THEN
        RAISE EXCEPTION 'only table zanith.% tells of what happens to its rows', table_name
            USING ERRCODE = 'insufficient_privilege', HINT = 'Drop this trigger.';
    END IF;
END $$;

-- Tell of a job when it ends, in the transaction that ends it. The kinds are those of Trait.TOLD; a mismatch is told of every kind that reads an archive.
CREATE OR REPLACE FUNCTION zanith._tell_of_job() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM zanith._require_trigger_of(TG_RELID, '_zanith_jobs');
    IF NEW.state = 'mismatch' AND NEW.kind <> 'verify_migrations' OR NEW.kind = ANY ('{restore,restore_rows,restore_migration,purge,cleanup,erase,deploy}') THEN
        PERFORM zanith._tell('job:' || NEW.id, CASE NEW.state WHEN 'mismatch' THEN 'artifact.changed' ELSE split_part(NEW.kind, '_', 1) || '.ended' END,
            NEW.artifact_id, NEW.id, NEW.object,
            jsonb_build_object('kind', NEW.kind, 'state', NEW.state, 'actor', NEW.actor, 'error', NEW.error ->> 'message', 'detail', NEW.error ->> 'detail'));
    ELSIF NEW.kind = 'verify' AND NEW.params ->> 'scheduled' = 'true' AND NEW.state IN ('failed', 'refused') THEN  -- once a day, as nobody looks at it
        PERFORM zanith._tell(concat_ws(':', 'verify', NEW.artifact_id, to_char(NEW.ended_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')), 'verify.failed',
            NEW.artifact_id, NEW.id, NEW.object,
            jsonb_build_object('kind', NEW.kind, 'state', NEW.state, 'actor', NEW.actor, 'error', NEW.error ->> 'message', 'detail', NEW.error ->> 'detail'));
    END IF;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER tell_of_end AFTER UPDATE OF state ON zanith._zanith_jobs FOR EACH ROW
    WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL) EXECUTE FUNCTION zanith._tell_of_job();
-- A restore may run under session_replication_role = replica.
ALTER TABLE zanith._zanith_jobs ENABLE ALWAYS TRIGGER tell_of_end;

-- Tell of a request for an approval, in the transaction that makes it.
CREATE OR REPLACE FUNCTION zanith._tell_of_request() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM zanith._require_trigger_of(TG_RELID, '_zanith_approvals');
    PERFORM zanith._tell('approval:' || NEW.id, 'approval.requested', NEW.artifact_id, NULL, NEW.object,
        jsonb_build_object('kind', NEW.kind, 'actor', NEW.requested_by, 'approval', NEW.id, 'lapses_at', NEW.expires_at));
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER tell_of_request AFTER INSERT ON zanith._zanith_approvals FOR EACH ROW EXECUTE FUNCTION zanith._tell_of_request();
ALTER TABLE zanith._zanith_approvals ENABLE ALWAYS TRIGGER tell_of_request;

-- Tell of artifacts, each by itself, or of more than ten at once by one event that counts them. {"key", "id", "object", "facts"} each.
CREATE OR REPLACE FUNCTION zanith._tell_of_artifacts(event_type text, artifacts jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    many boolean := jsonb_array_length(artifacts) > 10;
    one jsonb;
BEGIN
    IF many THEN
        PERFORM zanith._tell(event_type || ':' || md5((SELECT string_agg(f.item ->> 'key', ' ' ORDER BY f.item ->> 'key') FROM jsonb_array_elements(artifacts) f(item))),
            event_type, NULL, NULL, NULL, (artifacts -> 0 -> 'facts') || jsonb_build_object('count', jsonb_array_length(artifacts),
                'artifacts', (SELECT jsonb_agg(f.item -> 'id') FROM jsonb_array_elements(artifacts) f(item))));
    END IF;
    FOR one IN SELECT f.item FROM jsonb_array_elements(artifacts) f(item) LOOP
        PERFORM zanith._tell(one ->> 'key', event_type, one ->> 'id', NULL, one ->> 'object', one -> 'facts', silent => many);
    END LOOP;
END $$;

-- Tell of what came with time: artifacts that expire within three days and were never exported, and those without a seal for an hour. One session at
-- a time looks; another one returns at once.
CREATE OR REPLACE FUNCTION zanith._tell_of_states() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM zanith._webhook_receivers()) OR NOT pg_try_advisory_xact_lock(hashtextextended('zanith.tell_of_states', 0)) THEN
        RETURN;
    END IF;
    PERFORM zanith._tell_of_artifacts('artifact.expiring', (
        SELECT COALESCE(jsonb_agg(jsonb_build_object('key', k.key, 'id', a.id, 'object', zanith._object_name(a),
                                                     'facts', jsonb_build_object('expires_at', a.expires_at)) ORDER BY a.expires_at, a.id), '[]')
        FROM zanith._zanith_migration_artifacts a, LATERAL (SELECT concat('expiring:', a.id, ':', extract(epoch FROM a.expires_at)) OFFSET 0) k(key)
        WHERE a.expires_at BETWEEN clock_timestamp() AND clock_timestamp() + interval '3 days'
          AND a.status = 'recoverable' AND a.held_by IS NULL AND a.physical_table IS NOT NULL
          AND NOT EXISTS (SELECT FROM zanith._zanith_webhook_events e WHERE e.key = k.key) AND zanith.last_export(a.id) IS NULL));
    PERFORM zanith._tell_of_artifacts('artifact.unsealed', (
        SELECT COALESCE(jsonb_agg(jsonb_build_object('key', k.key, 'id', a.id, 'object', zanith._object_name(a),
                                                     'facts', jsonb_build_object('captured_at', a.created_at)) ORDER BY a.capture_order), '[]')
        FROM zanith._zanith_migration_artifacts a, LATERAL (SELECT 'unsealed:' || a.id OFFSET 0) k(key)
        WHERE a.sealed_at IS NULL AND a.artifact_type <> 'soft_drop_column' AND a.physical_table IS NOT NULL AND a.status = 'recoverable'
          AND a.created_at < clock_timestamp() - interval '1 hour'
          AND NOT EXISTS (SELECT FROM zanith._zanith_webhook_events e WHERE e.key = k.key) AND (zanith._live_change(a.id)).id IS NULL));
END $$;

-- Tell of jobs that did not get a lock in two tries, with who holds it.
CREATE OR REPLACE FUNCTION zanith._tell_of_blocked_jobs() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    j zanith._zanith_jobs;
BEGIN
    FOR j IN SELECT * FROM zanith._zanith_jobs WHERE state = 'running' AND progress ->> 'step' LIKE 'waiting for%' AND (progress ->> 'tries')::integer >= 2
                 AND lease_expires_at > clock_timestamp()
                 AND NOT EXISTS (SELECT FROM zanith._zanith_webhook_events e WHERE e.key = 'blocked:' || _zanith_jobs.id) LOOP
        PERFORM zanith._tell('blocked:' || j.id, 'job.blocked', j.artifact_id, j.id, j.object,
            jsonb_build_object('kind', j.kind, 'state', j.state, 'actor', j.actor, 'blockers', COALESCE(j.progress -> 'waiting_for', '[]')));
    END LOOP;
END $$;
