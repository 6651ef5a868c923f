-- The one path of every capture: check, lock, define, record, execute, finish. And its plan, which does nothing.

-- All tables that captures touch, in one order everywhere: by oid. `captures` as _list_captures gives them.
CREATE OR REPLACE FUNCTION zanith._render_locks(captures jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('LOCK TABLE %s IN %s MODE', string_agg('ONLY ' || l.name, ', ' ORDER BY l.oid), m.mode),
        CASE m.mode WHEN 'ACCESS SHARE' THEN 'Lock the table against changes of its definition'
                    ELSE 'Lock the tables; reads and writes wait until the transaction ends' END,
        m.mode, array_agg(l.name ORDER BY l.oid))
    FROM (SELECT CASE WHEN captures #>> '{-1,definition,strategy}' = 'rebuild_table' AND COALESCE(captures #> '{-1,definition,parked}', 'null') = 'null'
                      THEN 'ACCESS SHARE' ELSE 'ACCESS EXCLUSIVE' END) m(mode),
    (
        SELECT DISTINCT t.locked AS oid, zanith._relation_name(t.locked) AS name
        FROM zanith._each(captures) x, LATERAL zanith._tables_to_lock((x.item ->> 'relation')::oid, x.item -> 'definition') t
    ) l
    GROUP BY m.mode
); END $$;

CREATE OR REPLACE FUNCTION zanith._tables_to_lock(relation oid, d jsonb) RETURNS TABLE (locked oid)
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY
    WITH captured AS MATERIALIZED (SELECT f.member FROM zanith._captured(relation, d) f),
    others(oid) AS (
        SELECT k.conrelid FROM zanith._all_references(d) r(item), LATERAL (SELECT zanith._relation_oid(r.item ->> 'schema', r.item ->> 'table') OFFSET 0) o(oid)
        JOIN pg_constraint k ON k.conrelid = o.oid AND k.contype = ANY (zanith._letters_of('reference'))
        WHERE k.conname = r.item ->> 'name'
        UNION
        SELECT k.confrelid FROM captured t JOIN pg_constraint k ON k.conrelid = t.member AND k.contype = ANY (zanith._letters_of('reference'))
        WHERE d ? 'members' OR EXISTS (SELECT FROM zanith._parts(d) p, zanith._each(p.part -> 'constraints') x WHERE x.item ->> 'name' = k.conname)
        UNION
        SELECT i.inhparent FROM pg_inherits i WHERE d ? 'members' AND i.inhrelid = relation)
    -- a foreign table takes no LOCK TABLE, and the checks refuse it by name
    SELECT c.oid FROM captured f JOIN pg_class c ON c.oid = f.member AND c.relkind <> 'f'
    UNION
    SELECT o.oid FROM others o WHERE has_table_privilege(o.oid, 'UPDATE, DELETE, TRUNCATE');
END $$;

-- The tables that a capture takes with it: all that have the column; or the partitions, and with a cascade the inheritance
-- children, of the table.
CREATE OR REPLACE FUNCTION zanith._captured(relation oid, d jsonb) RETURNS TABLE (member oid, depth integer)
LANGUAGE sql STABLE AS $$
    SELECT f.member, f.depth FROM zanith._family(relation) f WHERE d ? 'column' OR d ? 'members' AND d ->> 'on_dependents' = 'cascade'
    UNION
    SELECT t.member, t.depth FROM zanith._tree(relation) t
$$;

-- `brief`: of a table with many partitions only the first, which is enough to know what to lock.
CREATE OR REPLACE FUNCTION zanith._define(
    strategy text, relation oid, column_name text, id text, on_dependents text, keep_rows boolean, gone text[] DEFAULT '{}', brief boolean DEFAULT false)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT CASE
        WHEN strategy = 'archive_values' THEN zanith._define_values(relation, column_name, id)
        WHEN zanith._strategy_is(strategy, 'column') THEN zanith._define_column(strategy, relation, column_name, id, on_dependents, gone)
        WHEN zanith._strategy_is(strategy, 'moves') THEN zanith._define_table(strategy, relation, id, on_dependents, gone, brief)
        WHEN strategy = 'archive_rows' THEN zanith._define_rows(relation, id)
        ELSE zanith._define_rebuild(relation, id, keep_rows) END
$$;

-- What a statement of the same transaction dropped before is not there to be dropped.
CREATE OR REPLACE FUNCTION zanith._render_capture(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN
    d := zanith._without_earlier(d);
    RETURN zanith._as_owner_of_key(d #>> '{table,runner}', (d #>> '{table,keyed}')::boolean, CASE d ->> 'strategy'
        WHEN 'soft_drop_column' THEN zanith._render_soft_drop_column(d)
        WHEN 'archive_column' THEN zanith._render_archive_column(d)
        WHEN 'rebuild_table' THEN zanith._render_rebuild_table(d)
        WHEN 'archive_rows' THEN zanith._render_rebuild_table(d)
        ELSE zanith._render_move_table(d) END);
END $$;

CREATE OR REPLACE FUNCTION zanith._check_capture(
    strategy text, relation oid, column_name text, d jsonb, on_dependents text, published_ok boolean, gone text[] DEFAULT '{}')
RETURNS void LANGUAGE plpgsql STABLE AS $$
DECLARE
    object text := CASE WHEN column_name IS NULL THEN 'table ' || zanith._relation_name(relation)
        ELSE format('column %I of table %s', column_name, zanith._relation_name(relation)) END;
    lacking text;
BEGIN
    strategy := d ->> 'strategy';
    IF zanith._strategy_is(strategy, 'drops') THEN
        PERFORM zanith._check_dependents(strategy, object, d -> 'dependents', on_dependents);
        PERFORM zanith._check_published(strategy, object, d -> 'publications', published_ok);
        IF d ? 'members' AND on_dependents = 'cascade' THEN
            PERFORM zanith._check_children(relation, gone);
        END IF;
        PERFORM zanith._check_way_back(strategy, relation, object, d);
        PERFORM zanith._check_trusted_parts(d, relation), zanith._check_keyed_parts(d, relation);
    ELSIF COALESCE(d -> 'parked', 'null') <> 'null' THEN
        -- the table stays; subscribers of all tables would receive the copy
        PERFORM zanith._check_published(strategy, object, (
            SELECT zanith._list(p.item) FROM zanith._each(zanith._describe_publications(relation)) p WHERE p.item ->> 'via' = 'all tables'), published_ok);
    END IF;
    IF zanith._strategy_is(strategy, 'archive') OR COALESCE(d -> 'parked', 'null') <> 'null' AND strategy = 'rebuild_table' THEN
        PERFORM zanith._check_third_code(relation);
    END IF;
    IF strategy = 'soft_drop_column' AND on_dependents = 'keep' AND d #>> '{column,base_type}' IS NOT NULL
       AND EXISTS (SELECT FROM zanith._each(d -> 'dependents') x WHERE NOT zanith._constraint_is(x.item, 'reference')) THEN
        PERFORM zanith._refuse(format('cannot keep the dependents of %s: the capture must replace its domain', object),
            'PostgreSQL does not change the type of a column that a view or rule uses; use on_dependents => ''cascade''.');
    END IF;
    IF strategy = 'soft_drop_column' AND on_dependents = 'keep' THEN
        SELECT string_agg(DISTINCT x.name, ', ') INTO lacking
        FROM zanith._find_dependents(relation, zanith._attribute_number(relation, column_name)) x
        LEFT JOIN pg_rewrite r ON x.class = 'pg_class'::regclass AND r.ev_class = x.object
        JOIN pg_depend e ON e.classid = CASE WHEN r.oid IS NULL THEN x.class ELSE 'pg_rewrite'::regclass END AND e.objid = COALESCE(r.oid, x.object) AND e.refclassid = 'pg_constraint'::regclass
        JOIN pg_constraint k ON k.oid = e.refobjid AND k.conrelid IN (SELECT f.member FROM zanith._family(relation) f) AND k.contype = ANY (zanith._letters_of('indexed'))
        WHERE NOT x.kind = ANY (zanith._kinds_of('reference'));
        IF lacking IS NOT NULL THEN
            PERFORM zanith._refuse(format('cannot keep the dependents of a key of %s: the capture must drop the key', object),
                'A view with GROUP BY, or a rule with ON CONFLICT, depends on that key; use on_dependents => ''cascade''.', '0A000', lacking);
        END IF;
    END IF;
    -- A rename asks for CREATE where DROP would not.
    SELECT n.schema_name INTO lacking
    FROM (SELECT x.item ->> 'schema' AS schema_name FROM zanith._each(d -> 'members') x
          UNION ALL SELECT x.item ->> 'schema' FROM zanith._parts(d) p, zanith._each(p.part -> 'renames') x) n
    WHERE NOT has_schema_privilege(n.schema_name, 'CREATE') LIMIT 1;
    IF lacking IS NOT NULL THEN
        PERFORM zanith._refuse(format('permission denied for schema %I', lacking),
            format('The capture renames the parked object in that schema: GRANT CREATE ON SCHEMA %I TO %I.', lacking, current_user), '42501');
    END IF;
    -- What moves to the shadow schema, Zanith moves: nobody else may create anything there.
    SELECT o.name INTO lacking FROM (
        SELECT x.item #>> '{definition,owner}' AS name FROM zanith._each(d -> 'members') x WHERE strategy = 'archive_table'
        UNION ALL SELECT p.part ->> 'owner' FROM zanith._parts(d) p
                  WHERE strategy = 'archive_column' AND jsonb_array_length(p.part -> 'renames') > 0) o
    WHERE NOT pg_has_role(zanith._own_role(), o.name, 'USAGE') LIMIT 1;
    IF lacking IS NOT NULL THEN
        PERFORM zanith._refuse(format('%s cannot be moved to _zanith_shadow: Zanith''s own role %I may not act as %I', object, zanith._own_role(), lacking),
            format('GRANT %I TO %I; or use %s, which moves nothing.', lacking, zanith._own_role(),
                   CASE WHEN strategy = 'archive_table' THEN 'soft_drop_table' ELSE 'soft_drop_column' END), '42501');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION zanith._check_arguments(
    relation regclass, on_dependents text, published_ok boolean, keep_rows boolean, notify boolean, expires_in interval)
RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF relation IS NULL THEN
        PERFORM zanith._refuse('no table was named', 'The first argument is a table, such as ''public.orders''.', '22004');
    END IF;
    IF published_ok IS NULL OR on_dependents IS NULL OR notify IS NULL OR keep_rows IS NULL THEN
        PERFORM zanith._refuse('published_ok, on_dependents, keep_rows and notify must not be NULL', 'Leave an argument out for its default.', '22004');
    END IF;
    IF expires_in < interval '0' THEN
        PERFORM zanith._refuse(format('expires_in is negative: %s', expires_in), 'Use a positive interval, or NULL for never.', '22023');
    END IF;
END $$;

-- Refusals that hold for the object whatever depends on it.
CREATE OR REPLACE FUNCTION zanith._check_object(strategy text, relation oid, column_name text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM zanith._check_table(strategy, relation);
    IF zanith._strategy_is(strategy, 'column') THEN
        PERFORM zanith._check_column(strategy, relation, column_name);
    ELSIF strategy = 'archive_rows' THEN
        PERFORM zanith._check_rows(relation);
    END IF;
END $$;

-- Runs the steps of a capture that is recorded. `ran_code`: another role than this one ran steps.
CREATE OR REPLACE FUNCTION zanith._run_capture(
    id text, relation oid, d jsonb, proof uuid, ddl_path text, code_path text, OUT rows_copied bigint, OUT ran_code boolean)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    step record;
    own bigint[] := '{}'; -- the results of Zanith's own steps that ran before their turn
    pinned boolean := zanith._is_superuser(current_user);
    alone boolean := ddl_path IS NULL AND zanith._event_triggers() = '[]';
    name text := zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}');
BEGIN
    ran_code := false;
    IF d ? 'column' AND NOT d ? 'stays' THEN
        PERFORM zanith._pin(relation, 'lift');
    END IF;
    FOR step IN SELECT s.ord, s.item, NULL::text AS done FROM zanith._each(zanith._render_capture(d)) s ORDER BY s.ord LOOP
        ran_code := ran_code OR step.item ->> 'by' IS DISTINCT FROM 'zanith' AND step.item ->> 'role' <> current_user;
        -- a role that cannot keep the name of the schema checks that it is still the same (see _pin_captured)
        IF NOT pinned AND (step.item -> 'tables') ? name AND to_regclass(name)::oid <> relation THEN
            PERFORM zanith._refuse_exchanged(name);
        END IF;
        IF step.item ->> 'by' = 'zanith' AND own = '{}' THEN
            own := zanith._run_own_steps(id, step.ord, proof);
        END IF;
        step.done := CASE WHEN step.item ->> 'by' = 'zanith' THEN own[1]::text
            WHEN (step.item ->> 'counts')::boolean THEN zanith._run_as(step.item ->> 'role', step.item ->> 'sql', 'values', code_path, false) ->> 0
            WHEN step.item ->> 'role' IS NULL THEN zanith._execute(step.item ->> 'sql', ddl_path, (step.item ->> 'grows')::boolean, alone)::text
            ELSE zanith._run_as(step.item ->> 'role', step.item ->> 'sql', 'rows', code_path, false) #>> '{}' END;
        own := own[2:];
        IF (step.item ->> 'copies')::boolean THEN
            rows_copied := step.done::bigint;
        ELSIF (step.item ->> 'counts')::boolean AND step.done::bigint <> rows_copied THEN
            PERFORM zanith._refuse(format('the number of rows in the copy is %s, in the table %s', rows_copied, step.done), 'Find out who wrote to the table during the copy, and try again.', '22000');
        END IF;
    END LOOP;
    IF d ? 'column' AND NOT d ? 'stays' THEN
        PERFORM zanith._pin(relation, 'renew');
    END IF;
END $$;

-- The capture functions call this. Returns the artifact's id. Generic plans, here and in the planners: what a function asks is
-- planned once in a session, not five times, and planning is most of what a capture costs.
CREATE OR REPLACE FUNCTION zanith._capture(
    strategy text, relation regclass, column_name text, migration_id text, expires_in interval, reason text,
    on_dependents text, published_ok boolean, keep_rows boolean, notify boolean, path text, cascade_of text DEFAULT NULL)
RETURNS text LANGUAGE plpgsql VOLATILE
SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    id text := zanith._new_id();
    d jsonb;
    captures jsonb;
    proof uuid;
    rows_copied bigint;
    sandboxed boolean := false;
    companion record;
    taken text;
    -- event triggers find what they name under it, and functions of the table's indexes, which the planner looks into
    ddl_path text := COALESCE(zanith._event_path(path), CASE WHEN EXISTS (SELECT FROM zanith._code_of_table(relation, false))
                                                             THEN zanith._owner_path(jsonb_build_object('search_path', path)) END);
    code_path text := COALESCE(zanith._owner_path(jsonb_build_object('search_path', path)), 'pg_catalog, pg_temp');
    timeout text := current_setting('lock_timeout');
    security text := current_setting('row_security');
    wanted text := COALESCE(NULLIF(current_setting('zanith.lock_timeout', true), ''), '2s');
    guarded text := COALESCE(current_setting('zanith.guard_busy', true), '');
BEGIN
    PERFORM zanith._check_isolation(), zanith._check_arguments(relation, on_dependents, published_ok, keep_rows, notify, expires_in), zanith._check_object(strategy, relation, column_name);

    -- Nothing retries in somebody else's transaction: a lock not had in time is 55P03 at once.
    PERFORM set_config('lock_timeout', wanted, true), set_config('row_security', 'off', true), set_config('zanith.guard_busy', 'on', true);
    -- a companion is locked already, with the object that was named
    IF cascade_of IS NULL THEN
        captures := zanith._list_captures(strategy, relation, column_name, id, on_dependents, published_ok, keep_rows, false);
        PERFORM zanith._warm(captures #> '{-1,definition}');
        EXECUTE zanith._render_locks(captures) -> 0 ->> 'sql';
        PERFORM zanith._pin_captured((x.item ->> 'relation')::oid, strategy <> 'rebuild_table' OR keep_rows) FROM zanith._each(captures) x;
        -- Again under the lock: what was seen before it may have changed.
        PERFORM zanith._check_object(strategy, relation, column_name);
        FOR companion IN SELECT x.item ->> 'strategy' AS strategy, (x.item ->> 'relation')::oid AS relation, x.item ->> 'column' AS named
                         FROM zanith._each(zanith._find_companions(strategy, relation, on_dependents)) x ORDER BY x.ord LOOP
            taken := zanith._capture(companion.strategy, companion.relation, companion.named, migration_id, expires_in, reason, 'cascade', published_ok,
                                     false, notify, path, id);
            sandboxed := sandboxed OR zanith._runs_as_another((zanith._artifact(taken)).definition);
        END LOOP;
    END IF;
    proof := zanith._prove_caller();
    PERFORM zanith._record_capture(strategy, relation, column_name, id, on_dependents, keep_rows, migration_id, expires_in, reason,
        zanith._read_facts(strategy, relation, column_name), path, proof, cascade_of);
    d := (zanith._artifact(id)).definition || CASE WHEN cascade_of IS NULL THEN '{}' ELSE '{"companion": true}' END::jsonb;
    PERFORM zanith._check_capture(strategy, relation, column_name, zanith._without_earlier(d), on_dependents, published_ok);
    SELECT r.rows_copied, sandboxed OR r.ran_code INTO rows_copied, sandboxed FROM zanith._run_capture(id, relation, d, proof, ddl_path, code_path) r;
    PERFORM zanith._finish_capture(id, rows_copied, notify, proof);
    -- the guard moves such a type aside
    IF guarded <> 'on' AND zanith._warn_of_types(d) IS NOT NULL THEN
        RAISE NOTICE '%', zanith._warn_of_types(d);
    END IF;
    PERFORM set_config('lock_timeout', timeout, true), set_config('row_security', security, true), set_config('zanith.guard_busy', guarded, true);
    IF sandboxed AND cascade_of IS NULL THEN
        PERFORM zanith._settle_settings(path);
    END IF;
    RETURN id;
END $$;

-- After the lock: it was taken by name, and ALTER SCHEMA … RENAME waits for no lock of a table. Raises where another table than the one
-- that is captured, or than one of its descendants, has the lock. From here on the names of their schemas stay, where this role may keep them.
CREATE OR REPLACE FUNCTION zanith._pin_captured(relation oid, exclusively boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF zanith._is_superuser(current_user) THEN
        PERFORM FROM pg_namespace n WHERE n.oid IN (SELECT c.relnamespace FROM zanith._family(relation) f JOIN pg_class c ON c.oid = f.member) ORDER BY n.oid FOR SHARE;
    END IF;
    IF exclusively AND NOT zanith._are_locked(ARRAY(SELECT m.member FROM zanith._tree(relation) m JOIN pg_class c ON c.oid = m.member AND c.relkind <> 'f')) THEN
        PERFORM zanith._refuse_exchanged(zanith._relation_name(relation));
    END IF;
END $$;

CREATE OR REPLACE FUNCTION zanith._refuse_exchanged(name text) RETURNS void
LANGUAGE plpgsql STABLE AS $$ BEGIN
    PERFORM zanith._refuse(format('%s was changed while it was captured', name), 'Try again.', '55000');
END $$;

-- After code of an owner ran in a transaction that is not ours. It could set something for the session, and hide that under a setting
-- for the transaction: PostgreSQL would bring it out at COMMIT. So each setting is set for the session, to what it is now. What the
-- capture functions fix themselves cannot be seen in them: it gets the default of the session.
CREATE OR REPLACE FUNCTION zanith._settle_settings(path text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM set_config(s.name, CASE WHEN s.name = 'search_path' THEN path
                                    WHEN zanith._fixed_settings() ? s.name OR s.name IN ('jit', 'plan_cache_mode') THEN s.reset_val
                                    ELSE current_setting(s.name) END, false)
    FROM pg_settings s
    WHERE s.context = 'user' AND s.name NOT IN ('transaction_isolation', 'transaction_read_only', 'transaction_deferrable') AND NOT starts_with(s.name, 'zanith.guard');
END $$;

-- Everything once without the lock: the first time, a session reads the catalog and plans what the functions ask; what is
-- done again under the lock takes a tenth of that. Nothing comes of it, and what it cannot do, the capture says.
CREATE OR REPLACE FUNCTION zanith._warm(d jsonb) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    a zanith._zanith_migration_artifacts;
BEGIN
    a.id := d ->> 'id';
    a.artifact_type := d ->> 'strategy';
    a.status := 'recoverable';
    a.source_schema := d #>> '{table,schema}';
    a.source_table := d #>> '{table,name}';
    a.source_column := d #>> '{column,name}';
    a.physical_schema := d #>> '{parked,schema}';
    a.physical_table := d #>> '{parked,table}';
    a.physical_column := d #>> '{parked,column}';
    a.definition := d;
    PERFORM zanith._render_capture(d), zanith._render_restore(a, '{}', true);
EXCEPTION WHEN OTHERS THEN
    NULL;
END $$;

-- What only the owner may read, or what would run the owner's code: read as the owner, by name. {positions, accepts}: where each
-- identity sequence stood, and what a partition accepts. Numbers, and an expression that only the owner will ever evaluate.
CREATE OR REPLACE FUNCTION zanith._read_facts(strategy text, relation oid, column_name text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    positions jsonb := '[]';
    bounds jsonb;
    s jsonb;
    owner text := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = relation);
    at jsonb := CASE WHEN zanith._strategy_is(strategy, 'moves') THEN zanith._describe_attachment(relation) END;
BEGIN
    IF zanith._strategy_is(strategy, 'drops') AND column_name IS NOT NULL THEN
        FOR s IN SELECT x.item FROM zanith._each(zanith._describe_sequences(relation, zanith._attribute_number(relation, column_name))) x ORDER BY x.ord LOOP
            -- one that was never called, or that this role may not read, does not say by its oid where it stands
            positions := positions || jsonb_build_array(CASE WHEN (s ->> 'is_called')::boolean
                THEN jsonb_build_array(s -> 'last_value', s -> 'is_called')
                ELSE zanith._run_as(zanith._runner(s ->> 'owner'), format('SELECT jsonb_build_array(last_value, is_called) FROM %s',
                         zanith._qualify(s ->> 'schema', s ->> 'name')), 'values', ours => false) -> 0 END);
        END LOOP;
    END IF;
    IF at ->> 'bound' IS NOT NULL AND at ->> 'accepts' IS NULL THEN
        bounds := zanith._run_as(zanith._runner(owner), format('SELECT pg_get_partition_constraintdef(%s)', relation), 'values', ours => false) -> 0;
    END IF;
    RETURN jsonb_build_object('positions', positions, 'accepts', bounds);
END $$;

-- The steps of a capture from one of Zanith's on. Of a table without placeholders they are the last, which move its tables: of a tree that are
-- many, and the others need not be rendered again.
CREATE OR REPLACE FUNCTION zanith._render_own_steps(d jsonb, ordinal bigint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN
    CASE WHEN d ->> 'strategy' = 'archive_table' AND d -> 'placeholders' = '[]' THEN zanith._render_moves(d)
         ELSE (SELECT zanith._list(s.item ORDER BY s.ord) FROM zanith._each(zanith._render_capture(d)) s WHERE s.ord >= ordinal) END;
END $$;

-- Runs the steps of a capture that are Zanith's to run, from one of them up to the next that is not: they make or move something in the
-- shadow schema. Returns how many rows each wrote. No text is taken: the steps are rendered again from the definition that was recorded in this
-- transaction. A name in them is that of a table that this transaction has locked.
CREATE OR REPLACE FUNCTION zanith._run_own_steps(artifact_id text, ordinal bigint, proof uuid) RETURNS bigint[]
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off SET row_security = off
SET default_tablespace = '' SET default_table_access_method = 'heap' AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    step record;
    done bigint[] := '{}';
    moved oid[] := '{}';
    path text := zanith._sandbox_event_path(current_user);
    alone boolean := path IS NULL AND zanith._event_triggers() = '[]';
BEGIN
    IF NOT pg_has_role(zanith._read_caller(proof, false), a.definition #>> '{table,owner}', 'USAGE') THEN
        PERFORM zanith._refuse(format('must be owner of %s', zanith._object_name(a)), 'Run the capture as its owner.', '42501');
    ELSIF a.recovery_sql IS NOT NULL THEN
        PERFORM zanith._refuse(format('no capture of artifact %s is under way', artifact_id), 'Call the capture functions, not this one.', '55000');
    END IF;
    -- nothing of the caller's runs between the steps
    PERFORM zanith._check_temporary();
    FOR step IN SELECT s.item FROM zanith._each(zanith._render_own_steps(a.definition, ordinal)) s ORDER BY s.ord LOOP
        EXIT WHEN step.item ->> 'by' IS DISTINCT FROM 'zanith';
        moved := moved || zanith._relation_oid(step.item ->> 'from', step.item ->> 'moves');
        IF step.item ?| '{copies,counts}' THEN
            PERFORM zanith._check_copied(a);
        END IF;
        done := done || zanith._run_own_step(step.item, moved[cardinality(moved)], zanith._object_name(a), path, alone);
        -- the copy is there: by this step, or by the owner before this one closes the archive
        IF (step.item ->> 'copies')::boolean OR starts_with(step.item ->> 'sql', 'REVOKE INSERT ') THEN
            PERFORM zanith._note_captured((a.definition #>> '{table,oid}')::oid, a.definition, a.artifact_type = 'archive_column');
        END IF;
    END LOOP;
    IF done = '{}' THEN
        PERFORM zanith._refuse(format('step %s of artifact %s is not Zanith''s', ordinal, artifact_id), 'Call the capture functions, not this one.', '55000');
    END IF;
    -- the moved tables are those that this transaction has locked: another schema may have the name now
    moved := array_remove(moved, NULL);
    IF cardinality(moved) > 0 AND NOT zanith._are_locked(moved) THEN
        PERFORM zanith._refuse_exchanged(zanith._object_name(a));
    END IF;
    RETURN done;
END $$;

-- A copy is read by name as Zanith: only under the lock, while the schema keeps its name, and where nothing of an owner's can run.
CREATE OR REPLACE FUNCTION zanith._check_copied(a zanith._zanith_migration_artifacts) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    root oid := (a.definition #>> '{table,oid}')::oid;
BEGIN
    IF NOT zanith._is_locked(root) OR NOT zanith._pin_schema(root) OR zanith._find_foreign_code(root) IS NOT NULL
       OR zanith._relation_name(root) <> zanith._qualify(a.source_schema, a.source_table) THEN
        PERFORM zanith._refuse_exchanged(zanith._object_name(a));
    END IF;
END $$;

-- One of them, as the role that calls: only _run_own_steps is a definer function. `moved`: the table that it moves.
CREATE OR REPLACE FUNCTION zanith._run_own_step(step jsonb, moved oid, object_name text, path text, alone boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    done bigint;
BEGIN
    IF (step ->> 'counts')::boolean THEN
        EXECUTE step ->> 'sql' INTO done;
    ELSE
        done := zanith._execute(step ->> 'sql', path, false, alone);
    END IF;
    IF step ? 'moves' AND zanith._relation_oid('_zanith_shadow', step ->> 'moves') IS DISTINCT FROM moved THEN
        PERFORM zanith._refuse_exchanged(object_name);
    END IF;
    RETURN done;
END $$;

-- `zanith.actor` is the person's name where the engine captures for somebody; the log keeps the database role beside it.
-- Writes the row. It describes the object from the catalog itself and takes no text to execute: a role that could write
-- a row could choose what an operator runs.
CREATE OR REPLACE FUNCTION zanith._record_capture(
    strategy text, relation oid, column_name text, id text, on_dependents text, keep_rows boolean,
    migration_id text, expires_in interval, reason text, facts jsonb, path text, proof uuid, cascade_of text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    caller text := zanith._read_caller(proof, false);
    d jsonb;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND pg_has_role(caller, c.relowner, 'USAGE')) THEN
        PERFORM zanith._refuse(format('must be owner of table %s', zanith._relation_name(relation)),
                               'Run the capture as its owner.', '42501');
    END IF;
    IF id !~ '^[0-9a-f]{12}$' THEN
        PERFORM zanith._refuse('an artifact id is 12 hex digits', 'Call the capture functions, not this one.', '22023');
    END IF;
    IF expires_in < interval '0' OR expires_in > interval '1000 years' THEN
        PERFORM zanith._refuse(format('expires_in is out of bounds: %s', expires_in), 'Use up to 1000 years, or NULL for never.', '22023');
    END IF;
    -- nobody adds to what somebody else captured: the object that was named is recorded after its companions. The audit log has purged ones.
    IF EXISTS (SELECT FROM zanith._zanith_migration_artifacts a WHERE a.id = _record_capture.cascade_of)
       OR EXISTS (SELECT FROM zanith._zanith_audit_log l WHERE l.artifact_id IN (_record_capture.id, _record_capture.cascade_of)) THEN
        PERFORM zanith._refuse(format('artifact %s was already captured', COALESCE(cascade_of, id)), 'Call the capture functions, not this one.', '22023');
    END IF;
    PERFORM zanith._check_words(reason, migration_id, current_setting('zanith.actor', true));
    IF path IS NOT NULL AND (zanith._path_names(path) IS NULL OR length(path) > 4000) THEN
        PERFORM zanith._refuse('the search path is not a list of schemas, or has more than 4000 characters', 'Set another search_path in this session.', '22023');
    END IF;
    -- under which path the owner's code finds what it names: data, which never runs as anyone else
    d := zanith._define(strategy, relation, column_name, id, on_dependents, keep_rows) || jsonb_build_object('search_path', path);
    SELECT COALESCE(jsonb_set(d, '{column,sequences}', (
        SELECT jsonb_agg(s.item || jsonb_build_object('last_value', (p.item ->> 0)::bigint, 'is_called', (p.item ->> 1)::boolean) ORDER BY s.ord)
        FROM zanith._each(d #> '{column,sequences}') s JOIN zanith._each(facts -> 'positions') p USING (ord))), d) INTO d;
    IF d #>> '{members,0,definition,partition_of,bound}' IS NOT NULL AND d #>> '{members,0,definition,partition_of,accepts}' IS NULL THEN
        d := jsonb_set(d, '{members,0,definition,partition_of,accepts}', COALESCE(to_jsonb(facts ->> 'accepts'), 'null'));
    END IF;
    -- parts of a column that stays come back by themselves, or not at all
    IF NOT d ? 'stays' THEN
        d := zanith._with_earlier(d, relation);
    END IF;
    INSERT INTO zanith._zanith_migration_artifacts
        (id, migration_id, artifact_type, source_schema, source_table, source_column,
         physical_schema, physical_table, physical_column, definition, reason, created_by_role, created_by, captured_with, expires_at, cascade_of)
    VALUES (id, migration_id, strategy, d #>> '{table,schema}', d #>> '{table,name}',
            CASE WHEN d ? 'column' THEN column_name END,
            d #>> '{parked,schema}', d #>> '{parked,table}',
            CASE WHEN d ? 'column' THEN d #>> '{parked,column}' END,
            d, reason, caller, COALESCE(NULLIF(current_setting('zanith.actor', true), ''), caller), 'zanith ' || zanith.version() || ', PostgreSQL ' || current_setting('server_version'),
            clock_timestamp() + expires_in, cascade_of);
    PERFORM zanith._note_captured(relation, d, false);
END $$;

-- Renders recovery_sql, keeps the count, writes the audit entry, tells who listens. Only while the capture's own
-- transaction runs: the row must be new and its object parked.
CREATE OR REPLACE FUNCTION zanith._finish_capture(artifact_id text, rows_copied bigint, notify boolean, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
BEGIN
    IF NOT pg_has_role(zanith._read_caller(proof), a.definition #>> '{table,owner}', 'USAGE') THEN
        PERFORM zanith._refuse(format('must be owner of %s', zanith._object_name(a)), 'Run the capture as its owner.', '42501');
    END IF;
    UPDATE zanith._zanith_migration_artifacts r SET row_count = rows_copied
    WHERE r.id = artifact_id AND r.recovery_sql IS NULL
      AND (zanith._place(a) ->> 'state') IN ('ok', 'none')
    RETURNING * INTO a;
    IF NOT FOUND THEN
        PERFORM zanith._refuse(format('no capture of artifact %s is under way', artifact_id), 'Call the capture functions, not this one.', '55000');
    END IF;
    UPDATE zanith._zanith_migration_artifacts r SET recovery_sql = zanith._render_script(artifact_id) WHERE r.id = artifact_id;
    INSERT INTO zanith._zanith_audit_log (actor, db_role, address, action, outcome, artifact_id, object, detail)
    VALUES (a.created_by, a.created_by_role, host(inet_client_addr()), 'capture', 'done', a.id, zanith._object_name(a),
            jsonb_build_object('strategy', a.artifact_type, 'rows', rows_copied, 'migration_id', a.migration_id, 'reason', a.reason,
                'application', NULLIF(current_setting('application_name'), ''))
            || CASE WHEN a.cascade_of IS NULL THEN '{}' ELSE jsonb_build_object('cascade_of', a.cascade_of) END);
    IF notify THEN
        PERFORM pg_notify('zanith', jsonb_build_object('event', 'artifact', 'id', a.id)::text);
    END IF;
END $$;

-- schema.table[.column], quoted as PostgreSQL quotes; of a kept definition, its name as a person reads it.
CREATE OR REPLACE FUNCTION zanith._object_name(a zanith._zanith_migration_artifacts) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(a.kept_name, zanith._qualify(a.source_schema, a.source_table) || COALESCE('.' || quote_ident(a.source_column), ''))
$$;
