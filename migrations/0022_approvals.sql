-- Four eyes: a change that one person asks for, and that another person approves before it may run.

-- Which changes need an approval in this database, whatever the settings of a client say. A row goes only with an approved request of the kind "lift".
CREATE TABLE zanith._zanith_approval_rules (
    kind             text PRIMARY KEY CHECK (kind IN ('purge', 'erase', 'unverified')),
    required_by      text NOT NULL,
    required_by_role text NOT NULL DEFAULT session_user,
    required_at      timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE zanith._zanith_approval_rules IS 'The changes that need the approval of a second person in this database.';

CREATE TABLE zanith._zanith_approvals (
    id                text PRIMARY KEY CHECK (id ~ '^[0-9a-z]{8,24}$'),
    request_order     bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    kind              text NOT NULL CHECK (kind IN ('purge', 'erase', 'unverified', 'lift')),
    artifact_id       text,                          -- no foreign key: history outlives a purge
    object            text NOT NULL,
    digest            text NOT NULL CHECK (digest ~ '^[0-9a-f]{64}$'),
    params            jsonb NOT NULL DEFAULT '{}',   -- choices of a restore, columns and number of rows of an erasure: no value of a row
    facts             jsonb NOT NULL DEFAULT '{}',   -- what the request showed, so that a later reader sees what changed
    match_hash        text,                          -- of an erasure: salt and scrypt hash of the values; gone as soon as the request ends
    reason            text,
    requested_by      text NOT NULL,
    requested_by_role text NOT NULL DEFAULT session_user,
    requested_through text NOT NULL CHECK (requested_through IN ('studio', 'cli')),
    requested_from    text,                          -- the client's address
    requested_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    expires_at        timestamptz NOT NULL DEFAULT clock_timestamp() + interval '1 day',
    state             text NOT NULL DEFAULT 'requested' CHECK (state IN ('requested', 'approved', 'rejected', 'withdrawn', 'used', 'lapsed')),
    decided_by        text,
    decided_by_role   text,
    decided_through   text CHECK (decided_through IN ('studio', 'cli')),
    decided_at        timestamptz,
    decision_reason   text,
    ended_at          timestamptz,                   -- when it was rejected, withdrawn or used, or was found to have lapsed
    job_id            text,                          -- the job that used it; NULL where a cleanup without a job did
    CHECK ((artifact_id IS NULL) = (kind = 'lift')),
    CHECK (num_nulls(decided_by, decided_by_role, decided_through, decided_at) IN (0, 4)),
    CHECK (state NOT IN ('approved', 'rejected', 'used') OR decided_by IS NOT NULL),
    CHECK (state <> 'requested' OR decided_by IS NULL),
    CHECK (match_hash IS NULL OR kind = 'erase')
);
COMMENT ON TABLE zanith._zanith_approvals IS
    'One row for each change that somebody asked another person to approve: what it would do, who asked, who decided, and what became of it.';
-- One request of a change at a time. The values of an erasure are not known here, so several may ask for one of the same columns.
CREATE UNIQUE INDEX approvals_one_live ON zanith._zanith_approvals (kind, COALESCE(artifact_id, ''), digest)
    WHERE state IN ('requested', 'approved') AND kind <> 'erase';
CREATE INDEX approvals_live ON zanith._zanith_approvals (artifact_id, kind) WHERE state IN ('requested', 'approved');

REVOKE ALL ON zanith._zanith_approval_rules, zanith._zanith_approvals FROM PUBLIC;

-- What a row may become, and who made it so: also for a role that writes the table itself. The owner of the table can turn this off.
CREATE FUNCTION zanith._check_approval() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    may_change text[] := ARRAY['state', 'decided_by', 'decided_by_role', 'decided_through', 'decided_at', 'decision_reason', 'ended_at', 'match_hash', 'job_id'];
    problem text;
BEGIN
    IF TG_OP = 'INSERT' THEN
        IF NEW.state <> 'requested' OR num_nonnulls(NEW.decided_by, NEW.decided_by_role, NEW.decided_through, NEW.decided_at, NEW.ended_at, NEW.job_id) > 0 THEN
            RAISE EXCEPTION 'an approval begins as a request' USING ERRCODE = 'insufficient_privilege';
        END IF;
        NEW.requested_by_role := session_user;
        NEW.requested_at := clock_timestamp();
        NEW.expires_at := NEW.requested_at + interval '1 day';
        RETURN NEW;
    ELSIF TG_OP <> 'UPDATE' THEN
        RAISE EXCEPTION 'approvals are never deleted' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF to_jsonb(NEW) - may_change <> to_jsonb(OLD) - may_change OR NOT (OLD.state || ' ' || NEW.state) = ANY (ARRAY[
            'requested approved', 'requested rejected', 'requested withdrawn', 'requested lapsed', 'approved withdrawn', 'approved lapsed', 'approved used']) THEN
        RAISE EXCEPTION 'a request for an approval cannot be changed' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NEW.state IN ('approved', 'used') AND OLD.expires_at <= clock_timestamp() THEN
        RAISE EXCEPTION 'the request lapsed at %', OLD.expires_at USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    IF NEW.state IN ('approved', 'rejected') THEN
        NEW.decided_by_role := session_user;
        NEW.decided_at := clock_timestamp();
        problem := zanith._decider_problem(OLD, NEW.decided_by, NEW.decided_by_role, NEW.decided_through);
        IF problem IS NOT NULL THEN
            RAISE EXCEPTION 'the person who asked cannot decide' USING ERRCODE = 'insufficient_privilege', DETAIL = problem;
        END IF;
    ELSE
        NEW.decided_by := OLD.decided_by;
        NEW.decided_by_role := OLD.decided_by_role;
        NEW.decided_through := OLD.decided_through;
        NEW.decided_at := OLD.decided_at;
        NEW.decision_reason := OLD.decision_reason;
    END IF;
    NEW.job_id := CASE WHEN NEW.state = 'used' THEN NEW.job_id END;
    NEW.ended_at := CASE WHEN NEW.state <> 'approved' THEN clock_timestamp() END;
    NEW.match_hash := CASE WHEN NEW.state = 'approved' THEN OLD.match_hash END;
    RETURN NEW;
END $$;
CREATE TRIGGER approval_is_checked BEFORE INSERT OR UPDATE OR DELETE ON zanith._zanith_approvals
    FOR EACH ROW EXECUTE FUNCTION zanith._check_approval();
CREATE TRIGGER approvals_stay BEFORE TRUNCATE ON zanith._zanith_approvals
    FOR EACH STATEMENT EXECUTE FUNCTION zanith._check_approval();

CREATE FUNCTION zanith._check_approval_rule() RETURNS trigger LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        NEW.required_by_role := session_user;
        NEW.required_at := clock_timestamp();
        RETURN NEW;
    ELSIF TG_OP = 'DELETE' AND EXISTS (
            SELECT FROM zanith._zanith_approvals p
            WHERE p.kind = 'lift' AND p.state = 'approved' AND p.params -> 'kinds' ? OLD.kind AND p.expires_at > clock_timestamp()) THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'a second person must approve that a rule for approvals ends'
        USING ERRCODE = 'insufficient_privilege', HINT = 'Ask for it: zanith approvals lift KIND --reason TEXT.';
END $$;
CREATE TRIGGER approval_rule_is_checked BEFORE INSERT OR UPDATE OR DELETE ON zanith._zanith_approval_rules
    FOR EACH ROW EXECUTE FUNCTION zanith._check_approval_rule();
CREATE TRIGGER approval_rules_stay BEFORE TRUNCATE ON zanith._zanith_approval_rules
    FOR EACH STATEMENT EXECUTE FUNCTION zanith._check_approval_rule();

-- session_replication_role = replica turns off every trigger that is not ENABLE ALWAYS.
ALTER TABLE zanith._zanith_approvals ENABLE ALWAYS TRIGGER approval_is_checked, ENABLE ALWAYS TRIGGER approvals_stay;
ALTER TABLE zanith._zanith_approval_rules ENABLE ALWAYS TRIGGER approval_rule_is_checked, ENABLE ALWAYS TRIGGER approval_rules_stay;
