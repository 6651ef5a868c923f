-- Approvals by a second person: whether a change needs one, whether there is one, and its one use.

-- Why somebody is not the second person of a request: "same_person", "same_role"; NULL where nothing speaks against it.
-- A studio knows a person by the token, or by the proxy in front of it, and all of its people share one database role. On the command line
-- the name is what the environment says, and only the database role was checked: there both must differ.
CREATE OR REPLACE FUNCTION zanith._decider_problem(asked zanith._zanith_approvals, name text, role text, through text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    asked_as text[] := array_remove(ARRAY[lower(btrim(asked.requested_by)), CASE WHEN asked.requested_through = 'cli' THEN lower(asked.requested_by_role) END], NULL);
    decides_as text[] := array_remove(ARRAY[lower(btrim(name)), CASE WHEN through = 'cli' THEN lower(role) END], NULL);
BEGIN
    RETURN CASE WHEN lower(btrim(name)) = lower(btrim(asked.requested_by)) THEN 'same_person'
                WHEN 'cli' IN (asked.requested_through, through) AND role = asked.requested_by_role THEN 'same_role'
                WHEN asked_as && decides_as THEN 'same_person' END;
END $$;

-- Whether a change needs an approval: the settings of the client asked for it, or this database does.
CREATE OR REPLACE FUNCTION zanith._needs_approval(change text, asked boolean) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN (
    asked OR EXISTS (SELECT FROM zanith._zanith_approval_rules r WHERE r.kind = change)
); END $$;

-- Use the approval of a change, once, in the transaction of the change: NULL where it may go on, else why not: {why, approval, requested_by}.
-- An approval that was given is used also where none is needed by now, so that it serves no later change. With `keep` it only looks. An erasure needs `only_id`: the request whose values the caller has compared.
CREATE OR REPLACE FUNCTION zanith._use_approval(change text, asked boolean, of_artifact text, of_digest text, by_job text, actor text, address text,
    keep boolean DEFAULT false, only_id text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    needed boolean := zanith._needs_approval(change, asked);
    found zanith._zanith_approvals;
    why text;
BEGIN
    SELECT * INTO found FROM zanith._zanith_approvals p
    WHERE p.kind = change AND p.artifact_id = of_artifact AND p.state IN ('requested', 'approved') AND (change <> 'erase' OR p.id = only_id)
    ORDER BY p.state = 'approved' AND p.digest = of_digest AND p.expires_at > clock_timestamp() DESC, p.request_order DESC
    LIMIT 1 FOR UPDATE;
    why := CASE WHEN found.id IS NULL THEN 'none' WHEN found.expires_at <= clock_timestamp() THEN 'lapsed'
                WHEN found.digest <> of_digest THEN 'changed' WHEN found.state = 'requested' THEN 'requested' END;
    IF why IS NOT NULL THEN
        RETURN CASE WHEN needed THEN jsonb_build_object('why', why, 'approval', found.id, 'requested_by', zanith._signed(found.requested_by, found.requested_by_role)) END;
    ELSIF NOT keep THEN
        UPDATE zanith._zanith_approvals p SET state = 'used', job_id = by_job WHERE p.id = found.id;
        INSERT INTO zanith._zanith_audit_log (actor, address, action, outcome, artifact_id, object, detail)
        VALUES (_use_approval.actor, _use_approval.address, 'use', 'done', found.artifact_id, found.object, jsonb_build_object(
            'approval', found.id, 'change', found.kind, 'requested_by', found.requested_by, 'requested_by_role', found.requested_by_role,
            'decided_by', found.decided_by, 'decided_by_role', found.decided_by_role, 'job', by_job));
        PERFORM pg_notify('zanith', json_build_object('event', 'approval', 'id', found.id)::text);
    END IF;
    RETURN NULL;
END $$;
