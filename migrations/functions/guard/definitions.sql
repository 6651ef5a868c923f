-- What a statement drops by itself and that has no rows: its definition becomes an artifact. Whatever goes wrong here, the statement goes on.

-- Where each sequence among the objects of a rehearsal stands, by its oid. One that was never called does not say so by its oid: it is read as its owner.
CREATE OR REPLACE FUNCTION zanith._guard_read_positions(dropped jsonb) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    s record;
    positions jsonb := '{}';
BEGIN
    FOR s IN SELECT c.oid, zanith._relation_name(c.oid) AS name, zanith._runner(pg_get_userbyid(c.relowner)) AS runner
             FROM zanith._each(dropped) x JOIN pg_class c ON c.oid = (x.item ->> 'oid')::oid AND c.relkind = 'S' AND c.relpersistence <> 't'
             WHERE COALESCE(x.item ->> 'class', 'pg_class') = 'pg_class' AND NOT (zanith._sequence_position(c.oid) ->> 'is_called')::boolean LOOP
        BEGIN
            positions := positions || jsonb_build_object(s.oid::text, zanith._run_as(s.runner, format('SELECT pg_catalog.jsonb_build_object(''last_value'', last_value, ''is_called'', is_called) FROM %s', s.name), 'values', ours => false) -> 0);
        EXCEPTION WHEN insufficient_privilege THEN
            NULL; -- its owner may not use the schema: it begins at its start
        END;
    END LOOP;
    RETURN positions;
END $$;

-- A definition with the positions of its sequences.
CREATE OR REPLACE FUNCTION zanith._with_positions(d jsonb, head jsonb, positions jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    place text[] := CASE WHEN d ? 'sequence' THEN '{sequence}' WHEN COALESCE(d -> 'identity', 'null') <> 'null' THEN '{identity,sequences,0}' END;
    found jsonb := positions -> (head ->> 'oid');
BEGIN
    IF place IS NULL OR found IS NULL OR d #> place IS NULL THEN
        RETURN d;
    END IF;
    RETURN jsonb_set(d, place, (d #> place) || jsonb_build_object('last_value', (found ->> 'last_value')::bigint, 'is_called', (found ->> 'is_called')::boolean));
END $$;

-- Records what a statement is about to drop, before PostgreSQL drops it. A role that may not capture drops it as without the guard.
CREATE OR REPLACE FUNCTION zanith._guard_keep(dropped jsonb, statement text, path text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    kept record;
    artifact text;
BEGIN
    IF dropped IS NULL OR dropped = '[]' OR NOT has_table_privilege('zanith._zanith_migration_artifacts', 'SELECT') OR NOT EXISTS (SELECT FROM zanith._kept_objects(dropped)) THEN
        RETURN;
    END IF;
    PERFORM zanith._guard_find_migration(false);
    FOR kept IN SELECT k.item FROM zanith._each(zanith._guard_record_definitions(dropped, zanith._guard_read_positions(dropped), zanith._guard_migration(), zanith._guard_reason(statement), path, zanith._prove_caller())) k ORDER BY k.ord LOOP
        artifact := kept.item ->> 'artifact';
        IF artifact IS NULL THEN
            RAISE WARNING 'guard: %', format('the definition of %s %s is not kept: %s', kept.item ->> 'kind', kept.item ->> 'title', kept.item ->> 'error');
            CONTINUE;
        END IF;
        PERFORM set_config('zanith.guard_left', 'on', true);
        PERFORM zanith._guard_note_unnamed(artifact);
        PERFORM zanith._guard_say(format('the definition of %s %s is kept as artifact %s', kept.item ->> 'kind', kept.item ->> 'title', artifact));
    END LOOP;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN
        RAISE;
    WHEN OTHERS THEN
        RAISE WARNING 'guard: %', format('the definitions of what this statement drops are not kept: %s', SQLERRM);
END $$;

-- Writes the artifacts of one statement: [{artifact, kind, title, error}]. It describes the objects from the catalog, takes no text to execute, and records what the caller owns,
-- or what depends on that, as DROP … CASCADE does. `dropped` can name other objects than the statement drops: those stay, and their artifacts go at the end of the statement.
CREATE OR REPLACE FUNCTION zanith._guard_record_definitions(dropped jsonb, positions jsonb, migration text, why text, path text, proof uuid) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    caller text := zanith._read_caller(proof);
    head jsonb;
    place bigint;
    rule jsonb;
    called jsonb;
    fresh text;
    ids text[] := '{}';
    d jsonb;
    heads jsonb := zanith._kept_heads(dropped);
    done jsonb := '[]';
BEGIN
    IF NOT has_table_privilege(caller, 'zanith._zanith_migration_artifacts', 'SELECT') THEN
        RETURN '[]';
    END IF;
    PERFORM zanith._check_words(why, migration, current_setting('zanith.actor', true));
    IF path IS NOT NULL AND (zanith._path_names(path) IS NULL OR length(path) > 4000) THEN
        path := NULL;
    END IF;
    PERFORM zanith._guard_sweep();
    FOR head IN SELECT h.item FROM zanith._each(heads) h ORDER BY h.ord LOOP
        ids := ids || zanith._new_id();
    END LOOP;
    FOR head, place IN SELECT h.item, h.ord FROM zanith._each(heads) h ORDER BY h.ord LOOP
        rule := zanith._guard_rule(caller, (SELECT n.nspname FROM pg_namespace n WHERE n.oid = (head ->> 'home')::oid));
        called := zanith._kept_name((head ->> 'class')::oid, (head ->> 'oid')::oid, head ->> 'kind', (head ->> 'relation')::oid);
        fresh := ids[place];
        CONTINUE WHEN rule ->> 'mode' <> 'capture' OR NOT zanith._guard_may_keep(caller, heads, head);
        BEGIN
            d := zanith._with_positions(zanith._define_kept(fresh, head), head, positions) || jsonb_build_object('search_path', path);
            INSERT INTO zanith._zanith_migration_artifacts (id, migration_id, artifact_type, source_schema, source_table, kept_kind, kept_name, kept_object, definition, reason, created_by_role, created_by, captured_with, expires_at, cascade_of)
            VALUES (fresh, migration, 'keep_definition', d #>> '{table,schema}', d #>> '{table,name}', head ->> 'kind', called ->> 'title', called ->> 'name', d, why, caller, COALESCE(NULLIF(current_setting('zanith.actor', true), ''), caller),
                'zanith ' || zanith.version() || ', PostgreSQL ' || current_setting('server_version'), clock_timestamp() + COALESCE((rule ->> 'expires_in')::interval, zanith.default_retention()), ids[(head ->> 'top')::integer]);
            UPDATE zanith._zanith_migration_artifacts a SET recovery_sql = zanith._render_script(a.id) WHERE a.id = fresh;
            INSERT INTO zanith._zanith_guard_definitions (artifact, class, object, role_name) VALUES (fresh, (head ->> 'class')::oid, (head ->> 'oid')::oid, caller);
            done := done || jsonb_build_object('artifact', fresh, 'kind', head ->> 'kind', 'title', called ->> 'title');
        EXCEPTION WHEN OTHERS THEN
            done := done || jsonb_build_object('kind', head ->> 'kind', 'title', called ->> 'title', 'error', SQLERRM);
        END;
    END LOOP;
    RETURN done;
END $$;

-- Whether a role may drop an object: its owner, and the owner of its schema; or it goes with what the role may drop.
CREATE OR REPLACE FUNCTION zanith._guard_may_keep(caller text, heads jsonb, head jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    top jsonb := COALESCE(heads -> ((head ->> 'top')::integer - 1), head);
BEGIN
    RETURN pg_has_role(caller, zanith._kept_name((top ->> 'class')::oid, (top ->> 'oid')::oid, top ->> 'kind', (top ->> 'relation')::oid) ->> 'owner', 'USAGE')
        OR pg_has_role(caller, (SELECT n.nspowner FROM pg_namespace n WHERE n.oid = (top ->> 'home')::oid), 'USAGE');
END $$;

-- At the end of a statement: what it left is not kept. An object that the guard moved to the shadow schema comes back with what needs it.
CREATE OR REPLACE FUNCTION zanith._guard_settle_definitions() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    WITH stayed AS (
        DELETE FROM zanith._zanith_guard_definitions g WHERE g.transaction = pg_current_xact_id_if_assigned() AND zanith._guard_is_there(g.class, g.object) RETURNING g.artifact)
    DELETE FROM zanith._zanith_migration_artifacts a USING stayed s WHERE a.id = s.artifact;
    IF NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = 'zanith._zanith_guard_unnamed'::regclass AND g.tgname = 'guard_commit') THEN
        PERFORM zanith._guard_finish_definitions();
    END IF;
END $$;

-- At COMMIT: the artifacts of the transaction that are still wanted are written to the audit log. What the transaction created again as it was has none.
CREATE OR REPLACE FUNCTION zanith._guard_finish_definitions() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    g record;
    a zanith._zanith_migration_artifacts;
BEGIN
    FOR g IN DELETE FROM zanith._zanith_guard_definitions x WHERE x.transaction = pg_current_xact_id_if_assigned() RETURNING x.* LOOP
        SELECT * INTO a FROM zanith._zanith_migration_artifacts x WHERE x.id = g.artifact;
        CONTINUE WHEN NOT FOUND;
        IF zanith._guard_is_there(g.class, g.object) OR zanith._is_made_again(a) THEN
            DELETE FROM zanith._zanith_migration_artifacts x WHERE x.id = a.id;
            CONTINUE;
        END IF;
        INSERT INTO zanith._zanith_audit_log (actor, db_role, address, action, outcome, artifact_id, object, detail)
        VALUES (a.created_by, g.role_name, host(inet_client_addr()), 'capture', 'done', a.id, zanith._object_name(a),
                jsonb_build_object('strategy', a.artifact_type, 'kind', a.kept_kind, 'rows', NULL, 'migration_id', a.migration_id, 'reason', a.reason, 'application', NULLIF(current_setting('application_name'), ''))
                || CASE WHEN a.cascade_of IS NULL THEN '{}' ELSE jsonb_build_object('cascade_of', a.cascade_of) END);
        IF zanith._guard_may_notify() THEN
            PERFORM pg_notify('zanith', jsonb_build_object('event', 'artifact', 'id', a.id)::text);
        END IF;
    END LOOP;
END $$;

-- Whether all that a definition has is there again, just as it was.
CREATE OR REPLACE FUNCTION zanith._is_made_again(a zanith._zanith_migration_artifacts) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb;
BEGIN
    IF NOT zanith._kept_stands(a, NULL) THEN
        RETURN false;
    END IF;
    found := zanith.compare_as(a.id, NULL);
    RETURN found -> 'different' = '[]' AND found -> 'missing' = '[]';
END $$;

-- A capture of the table or the column has taken parts, [{class, object}], that a statement of the transaction dropped before: no other artifact brings these back. What else an
-- artifact has stays in it.
CREATE OR REPLACE FUNCTION zanith._guard_merge_definitions(taken jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    x record;
    gone jsonb;
    label text;
    d jsonb;
BEGIN
    FOR x IN SELECT a.id, a.definition FROM zanith._zanith_guard_definitions g JOIN zanith._zanith_migration_artifacts a ON a.id = g.artifact WHERE g.transaction = pg_current_xact_id() LOOP
        SELECT zanith._list(o.item ORDER BY o.ord) INTO gone FROM zanith._each(x.definition -> 'objects') o
        WHERE taken @> jsonb_build_array(jsonb_build_object('class', (o.item ->> 'class')::regclass::oid, 'object', o.item -> 'oid'));
        CONTINUE WHEN gone = '[]';
        IF jsonb_array_length(gone) = jsonb_array_length(x.definition -> 'objects') THEN
            DELETE FROM zanith._zanith_migration_artifacts a WHERE a.id = x.id;
            CONTINUE;
        END IF;
        d := x.definition;
        -- not _leave_out: what is made of the part comes back, since the part does
        FOR label IN SELECT l.label FROM zanith._each(gone) o, LATERAL (VALUES (zanith._label(o.item ->> 'called')), (regexp_replace(o.item ->> 'called', '^the constraint ', 'foreign key '))) l(label) LOOP
            d := zanith._without_part(d, label);
        END LOOP;
        d := d - CASE WHEN gone @> jsonb_build_array(jsonb_build_object('oid', d #> '{object,oid}', 'class', d #> '{object,class}')) THEN ARRAY['sequence', 'owned_by', 'identity'] ELSE '{}' END
            || jsonb_build_object('objects', (SELECT zanith._list(o.item ORDER BY o.ord) FROM zanith._each(x.definition -> 'objects') o WHERE NOT gone @> jsonb_build_array(o.item)));
        UPDATE zanith._zanith_migration_artifacts a SET definition = d WHERE a.id = x.id;
        UPDATE zanith._zanith_migration_artifacts a SET recovery_sql = zanith._render_script(a.id) WHERE a.id = x.id;
    END LOOP;
END $$;
