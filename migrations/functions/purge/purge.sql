-- The plan of a purge: what would be dropped, and what stands in its way.

-- The parked table and its descendants that were parked with it.
CREATE OR REPLACE FUNCTION zanith._parked_members(artifact_id text, root oid) RETURNS TABLE (member oid)
LANGUAGE sql STABLE AS $$
    SELECT f.member FROM zanith._family(root) f
    WHERE f.member = root OR obj_description(f.member, 'pg_class') = zanith._parked_comment(artifact_id)
$$;

-- Whether anything outside may depend on tables, or on what goes with them: one look at pg_depend. Most are depended on by
-- nothing, and the walk along all dependents takes many times as long. (PL/pgSQL, here and below: it keeps its plans.)
CREATE OR REPLACE FUNCTION zanith._may_be_needed(members oid[]) RETURNS boolean
LANGUAGE plpgsql STABLE SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    going oid[] := members || ARRAY(
        SELECT d.objid FROM pg_depend d
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (members) AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'));
    types oid[] := ARRAY(
        SELECT t.oid FROM pg_class c JOIN pg_type r ON r.oid = c.reltype, LATERAL (VALUES (r.oid), (r.typarray)) t(oid) WHERE c.oid = ANY (members));
BEGIN
    RETURN EXISTS (
            SELECT FROM pg_depend d
            WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (going) AND d.deptype = 'n'
              AND NOT (d.classid = 'pg_class'::regclass AND d.objid = ANY (going))
              AND NOT (d.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef x WHERE x.oid = d.objid AND x.adrelid = ANY (members)))
              AND NOT (d.classid = 'pg_constraint'::regclass AND EXISTS (SELECT FROM pg_constraint k WHERE k.oid = d.objid AND k.conrelid = ANY (members))))
        OR EXISTS (
            SELECT FROM pg_depend d
            WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid = ANY (types) AND d.deptype = 'n'
              AND NOT (d.classid = 'pg_class'::regclass AND d.objid = ANY (going)));
END $$;

CREATE OR REPLACE FUNCTION zanith.dependents(artifact_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    place jsonb := zanith._place(a);
    root oid := (place ->> 'oid')::oid;
    by_column boolean := a.artifact_type = 'soft_drop_column';
    members oid[] := ARRAY(SELECT m.member FROM zanith._parked_members(a.id, root) m WHERE root IS NOT NULL);
BEGIN
    IF root IS NULL OR NOT by_column AND NOT zanith._may_be_needed(members) THEN
        RETURN '[]';
    END IF;
    -- what follows traffic for unfinished work goes with that
    RETURN (SELECT zanith._list(x.item ORDER BY x.ord)
            FROM zanith._each(zanith._list_dependents(root,
                CASE WHEN by_column THEN zanith._attribute_number(root, place ->> 'column') ELSE 0::smallint END,
                CASE WHEN a.definition ? 'members' THEN members ELSE '{}' END, parked => true)) x
            WHERE NOT starts_with(x.item ->> 'name', 'trigger ~zanith_follow_' || a.id));
END $$;

-- What stops a purge. `target` is the parked table.
CREATE OR REPLACE FUNCTION zanith._find_purge_conflicts(a zanith._zanith_migration_artifacts, place jsonb, target text, dependents jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := a.definition;
    conflicts jsonb := '[]';
    attached_tables text;
BEGIN
    IF a.held_by IS NOT NULL THEN
        conflicts := conflicts || zanith._conflict('held', format('%s is held by %s', zanith._object_name(a), zanith._signed(a.held_by, a.held_by_role)),
            format('Release it first: zanith recover release %s', a.id), '{}', a.held_reason);
    END IF;
    IF place ->> 'state' = 'moved' AND a.artifact_type <> 'soft_drop_column' THEN
        conflicts := conflicts || zanith._conflict('archive_moved', 'the parked object was renamed, moved or given to another role',
            'Put it back where it was recorded, then purge.', '{}', place ->> 'detail');
    END IF;
    IF a.artifact_type = 'soft_drop_column' AND obj_description((place ->> 'oid')::oid, 'pg_class') LIKE 'zanith artifact %' THEN
        conflicts := conflicts || zanith._conflict('table_parked', format('the table of %s is parked too, and its seal includes this column', zanith._object_name(a)),
            'Restore or purge the table first.');
    END IF;
    -- archived values are stored by the key of their table: without it they could not come back
    SELECT string_agg(format('%s (%s)', zanith._object_name(o), o.id), ', ' ORDER BY o.capture_order) INTO attached_tables
    FROM zanith._zanith_migration_artifacts o
    WHERE a.source_column IS NOT NULL AND a.artifact_type <> 'archive_values' AND a.status = 'recoverable' AND zanith._strategy_is(o.artifact_type, 'values') AND (o.status = 'recoverable' OR zanith.is_recoverable_again(o.id))
      AND o.capture_order < a.capture_order AND o.definition #> '{table,oid}' = d #> '{table,oid}' AND o.definition -> 'database' = d -> 'database'
      AND jsonb_path_exists(o.definition, '$.key[*] ? (@.name == $name)', jsonb_build_object('name', a.source_column));
    IF attached_tables IS NOT NULL THEN
        conflicts := conflicts || zanith._conflict('key_needed', format('archived values are stored by %s, and could not come back without it', zanith._object_name(a)),
            'Restore or purge those first.', '{}', attached_tables);
    END IF;
    SELECT string_agg(zanith._relation_name(t.member), ', ') INTO attached_tables
    FROM zanith._tree((place ->> 'oid')::oid) t
    WHERE a.artifact_type <> 'soft_drop_column' AND place ? 'oid'
      AND obj_description(t.member, 'pg_class') IS DISTINCT FROM zanith._parked_comment(a.id);
    IF attached_tables IS NOT NULL THEN
        conflicts := conflicts || zanith._conflict('attached_tables', format('tables were attached to the parked object of %s after the capture', zanith._object_name(a)),
            'Detach them first: the purge would delete them too.', '{}', attached_tables);
    END IF;
    IF jsonb_array_length(dependents) > 0 THEN
        conflicts := conflicts || zanith._conflict('dependents', format('other objects depend on the parked object of %s', zanith._object_name(a)),
            concat_ws(' ', CASE WHEN EXISTS (SELECT FROM zanith._each(dependents) x WHERE NOT x.item ? 'artifact') THEN 'Change them first, so that they no longer use it.' END,
                (SELECT 'First restore or purge the artifacts that depend on it: ' || string_agg(DISTINCT x.item ->> 'artifact', ', ') || '.' FROM zanith._each(dependents) x WHERE x.item ? 'artifact')),
            '{}', (SELECT string_agg(x.item ->> 'name', ', ') FROM zanith._each(dependents) x));
        conflicts := jsonb_set(conflicts, '{-1,artifacts}', (SELECT zanith._list(DISTINCT x.item -> 'artifact') FROM zanith._each(dependents) x WHERE x.item ? 'artifact'));
    END IF;
    IF place ? 'oid' AND NOT pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = (place ->> 'oid')::oid), 'USAGE') THEN
        conflicts := conflicts || zanith._conflict('not_permitted', format('must be owner of %s', target),
            'Purge as its owner, as a member of that role, or as a superuser.');
    END IF;
    RETURN conflicts;
END $$;

-- The steps of a purge; none where the parked object is already gone.
CREATE OR REPLACE FUNCTION zanith._render_purge(a zanith._zanith_migration_artifacts, place jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := a.definition;
    steps jsonb := '[]';
BEGIN
    IF place ? 'oid' THEN
        IF zanith._is_followed(a.id) THEN
            steps := zanith._render_follow_end(a.id) || zanith._render_unmake(a.id);
        END IF;
        steps := steps || CASE WHEN a.artifact_type = 'soft_drop_column'
            THEN zanith._step(format('ALTER TABLE %s DROP COLUMN %I', target, place ->> 'column'),
                'Drop the parked column for good', 'ACCESS EXCLUSIVE', ARRAY[target])
            ELSE (SELECT zanith._step('DROP TABLE ' || string_agg(m.name, ', ' ORDER BY m.name <> target, m.name),
                         'Drop the parked table for good', 'ACCESS EXCLUSIVE', array_agg(m.name ORDER BY m.name <> target, m.name))
                  FROM (SELECT zanith._qualify(d #>> '{parked,schema}', h.item ->> 'parked') AS name FROM zanith._each(d -> 'placeholders') h
                        WHERE a.status = 'recoverable' AND zanith._relation_oid(d #>> '{parked,schema}', h.item ->> 'parked') IS NOT NULL
                        UNION ALL
                        SELECT zanith._relation_name(x.member)
                        FROM zanith._parked_members(a.id, (place ->> 'oid')::oid) x JOIN pg_class c ON c.oid = x.member
                        -- a partition goes with its parent
                        WHERE x.member = (place ->> 'oid')::oid OR NOT c.relispartition) m) END;
        IF zanith._strategy_is(a.artifact_type, 'values') AND a.status = 'recoverable' THEN
            steps := steps || (SELECT zanith._list(zanith._step(format('DROP SEQUENCE _zanith_shadow.%I', r.item ->> 'parked'),
                'Drop its sequence for good', 'ACCESS EXCLUSIVE') -> 0 ORDER BY r.ord)
                FROM zanith._each(d -> 'renames') r
                WHERE zanith._relation_oid('_zanith_shadow', r.item ->> 'parked') IS NOT NULL);
        END IF;
    END IF;
    steps := steps || zanith._render_aside_purge(a);
    RETURN zanith._as_owner_of_key(zanith._runner(place ->> 'owner'), zanith._key_calls_code((place ->> 'oid')::oid), steps);
END $$;

CREATE OR REPLACE FUNCTION zanith.plan_purge(artifact_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    place jsonb := zanith._place(a);
    target text := CASE WHEN place ? 'oid' THEN zanith._qualify(place ->> 'schema', place ->> 'table') END;
    dependents jsonb := zanith.dependents(artifact_id);
    steps jsonb := zanith._render_purge(a, place, target);
BEGIN
    RETURN jsonb_build_object('artifact_id', a.id, 'object', zanith._object_name(a), 'steps', steps, 'conflicts', zanith._find_purge_conflicts(a, place, target, dependents),
        'dependents', dependents, 'size_bytes', CASE WHEN place ? 'oid' THEN CASE WHEN a.artifact_type = 'soft_drop_column' THEN 0
            ELSE (SELECT COALESCE(sum(pg_total_relation_size(t.member)), 0) FROM zanith._parked_members(a.id, (place ->> 'oid')::oid) t) END END, 'already_gone', NOT place ? 'oid',
        -- what a person looks at before it is final: another digest means that they should look again
        'digest', zanith._digest(jsonb_build_array(steps, a.status, a.checksum, a.row_count)));
END $$;

-- The last export of an artifact that went through.
CREATE OR REPLACE FUNCTION zanith.last_export(of_artifact text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN (
    SELECT jsonb_build_object('at', ended_at, 'by', actor, 'by_role', actor_role, 'format', params ->> 'format', 'rows', result -> 'rows', 'bytes', result -> 'bytes',
                              'checksum', result ->> 'checksum', 'equals_seal', result -> 'equals_seal')
    FROM zanith._zanith_jobs WHERE artifact_id = of_artifact AND kind = 'export' AND state IN ('done', 'mismatch')
    ORDER BY created_at DESC LIMIT 1
); END $$;

-- One purge in the caller's transaction: it drops the parked object, deletes the row and writes the tombstone to the log: {stone, entry}.
-- Where it may not be, nothing is changed: {missing}, {busy: by whom}, {refused: conflict}, {changed} where it is not the plan that was expected,
-- or {unapproved: why} where a second person must approve it first. One statement, because a cleanup
-- runs thousands of them; listeners are told by the caller, because transactions that notify commit one after another.
CREATE OR REPLACE FUNCTION zanith.purge_artifact(artifact_id text, job_id text, action text, actor text, address text, reason text, expected_digest text DEFAULT NULL,
    needs_approval boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET row_security = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    a zanith._zanith_migration_artifacts;
    live zanith._zanith_jobs;
    plan jsonb;
    lacking jsonb;
    step jsonb;
    stone jsonb;
    entry bigint;
BEGIN
    PERFORM zanith._check_words(reason, NULL, actor);
    SELECT * INTO a FROM zanith._zanith_migration_artifacts x WHERE x.id = purge_artifact.artifact_id FOR UPDATE;
    IF NOT FOUND THEN
        RETURN jsonb_build_object('missing', true);
    END IF;
    live := zanith._live_change(a.id);
    IF live.id <> purge_artifact.job_id OR live.id IS NOT NULL AND purge_artifact.job_id IS NULL THEN
        RETURN jsonb_build_object('busy', split_part(live.kind, '_', 1) || ' by ' || zanith._signed(live.actor, live.actor_role));
    END IF;
    plan := zanith.plan_purge(a.id);
    IF jsonb_array_length(plan -> 'conflicts') > 0 THEN
        RETURN jsonb_build_object('refused', plan #> '{conflicts,0}');
    END IF;
    IF plan ->> 'digest' <> expected_digest THEN
        RETURN jsonb_build_object('changed', true);
    END IF;
    lacking := zanith._use_approval('purge', needs_approval, a.id, plan ->> 'digest', purge_artifact.job_id, purge_artifact.actor, purge_artifact.address);
    IF lacking IS NOT NULL THEN
        RETURN jsonb_build_object('unapproved', lacking);
    END IF;
    IF zanith._strategy_is(a.artifact_type, 'moves') THEN
        PERFORM zanith._pin((zanith._place(a) ->> 'oid')::oid, 'purge');
    END IF;
    FOR step IN SELECT s.item FROM zanith._each(plan -> 'steps') s ORDER BY s.ord LOOP
        IF step ->> 'role' IS NULL THEN
            PERFORM zanith._execute(step ->> 'sql', zanith._own_event_path());
        ELSE
            PERFORM zanith._run_as(step ->> 'role', step ->> 'sql');
        END IF;
    END LOOP;
    DELETE FROM zanith._zanith_migration_artifacts x WHERE x.id = a.id;
    DELETE FROM zanith._zanith_overwritten x WHERE x.artifact_id = a.id; -- values of rows
    stone := jsonb_build_object('artifact_id', a.id, 'object', plan -> 'object', 'purged_by', purge_artifact.actor, 'purged_by_role', session_user, 'reason', purge_artifact.reason, 'job_id', purge_artifact.job_id,
        'size_bytes', COALESCE((plan ->> 'size_bytes')::bigint, 0), 'already_gone', plan -> 'already_gone', 'last_export', zanith.last_export(a.id),
        'row', to_jsonb(a) - 'recovery_sql' - 'capture_order');
    INSERT INTO zanith._zanith_audit_log (actor, address, action, outcome, artifact_id, object, detail)
    VALUES (purge_artifact.actor, purge_artifact.address, purge_artifact.action, 'done', a.id, plan ->> 'object', stone)
    RETURNING id INTO entry;
    RETURN jsonb_build_object('stone', stone, 'entry', entry);
END $$;
