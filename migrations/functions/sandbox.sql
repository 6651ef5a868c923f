-- The sandbox: a statement that names what an owner made is parsed, planned and executed as that owner.

-- The function in which a statement runs as the role that makes it. SET ROLE alone would not hold: what runs under it can RESET
-- it; within a security definer function it cannot. The statement comes as text, so that it is parsed inside: a literal of a
-- domain runs its CHECK in the parser. (PostgreSQL manual, "CREATE FUNCTION".) One function serves one call: CREATE, not OR
-- REPLACE, fails where something of that name was left in wait, and a call with exact types finds no other. `wants` is
-- "values" for a JSON array of a query's first column; else the call returns the number of rows. `path` is the search path
-- that the owner's functions run under. `ours`: the transaction is the engine's own, and deferred triggers fire inside.
-- `arguments` are $1 of the statement: values that no log is to show.
CREATE OR REPLACE FUNCTION zanith.sandbox() RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT 'CREATE FUNCTION pg_temp._zanith_run(statement text, wants text, path text, ours boolean, arguments text[] DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql '
        'SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $run$ DECLARE found jsonb; done bigint; BEGIN '
        'IF wants = ''values'' THEN statement := format(''SELECT COALESCE(pg_catalog.jsonb_agg(q.v), ''''[]'''') FROM (%s) q(v)'', statement); '
        'PERFORM set_config(''search_path'', path, true); EXECUTE statement INTO found USING arguments; '
        'ELSE PERFORM set_config(''search_path'', path, true); EXECUTE statement USING arguments; GET DIAGNOSTICS done = ROW_COUNT; found := to_jsonb(done); END IF; '
        'IF ours THEN SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL IMMEDIATE; END IF; RETURN found; END $run$'
$$;

-- The settings that the engine relies on between two statements: whatever an owner's code leaves of its own is put back.
CREATE OR REPLACE FUNCTION zanith._guarded_settings() RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT array_agg(s.name ORDER BY s.name) || ARRAY['row_security', 'lock_timeout', 'statement_timeout', 'idle_in_transaction_session_timeout',
        'check_function_bodies', 'plan_cache_mode', 'default_tablespace', 'default_table_access_method', 'default_toast_compression',
        'synchronous_commit', 'enable_hashjoin', 'enable_mergejoin', 'enable_seqscan', 'enable_indexscan', 'client_encoding', 'client_min_messages']
    FROM jsonb_object_keys(zanith._fixed_settings()) s(name)
); END $$;

-- Executes a statement as a role and returns what `wants` says: the number of rows, or with "values" the first column of a query.
-- A role that is NULL, or is the one that calls already, needs no sandbox. The owner's code runs under `path`. Where the transaction
-- is somebody else's and not `ours`, deferred constraints stay deferred, and code that leaves anything in the session is refused.
CREATE OR REPLACE FUNCTION zanith._run_as(
    role_name text, statement text, wants text DEFAULT 'rows', path text DEFAULT NULL, ours boolean DEFAULT true,
    arguments text[] DEFAULT NULL)
RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    outer_role text := current_setting('role');
    definition text := zanith.sandbox(); -- read now: the role may not use the schema zanith
    settings text[];
    before jsonb;
    found jsonb;
    done bigint;
    events text[];
BEGIN
    path := COALESCE(path, zanith._fixed_path());
    IF role_name IS NULL OR role_name = current_user AND (role_name = session_user OR outer_role = 'none') THEN
        settings := zanith._read_settings();
        PERFORM set_config('search_path', path, true);
        IF wants = 'values' THEN
            EXECUTE pg_catalog.format('SELECT COALESCE(pg_catalog.jsonb_agg(q.v), ''[]'') FROM (%s) q(v)', statement) INTO found USING arguments;
        ELSE
            EXECUTE statement USING arguments;
            GET DIAGNOSTICS done = ROW_COUNT;
            found := pg_catalog.to_jsonb(done);
        END IF;
        PERFORM zanith._put_back_settings(settings);
        RETURN found;
    END IF;
    settings := zanith._read_settings();
    before := zanith._session_state(NOT ours);
    -- what makes the sandbox, and takes it away, fires event triggers
    events := ARRAY[zanith._sandbox_event_path(current_user), zanith._own_event_path()];
    PERFORM set_config('role', role_name, true), set_config('search_path', COALESCE(events[1], 'pg_catalog, pg_temp'), true);
    EXECUTE definition;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM set_config('role', outer_role, true);
    EXECUTE 'SELECT pg_temp._zanith_run($1::text, $2::text, $3::text, $4::boolean, $5::text[])' INTO found USING statement, wants, path, ours, arguments;
    PERFORM pg_catalog.set_config('search_path', COALESCE(events[2], 'pg_catalog, pg_temp'), true);
    EXECUTE 'DROP FUNCTION pg_temp._zanith_run(text, text, text, boolean, text[])';
    PERFORM zanith._put_back_settings(settings);
    PERFORM zanith._check_left_behind(before, NOT ours, role_name);
    RETURN found;
END $$;

-- The same for a statement about a table that an artifact is of, under the path that reading the table needs.
CREATE OR REPLACE FUNCTION zanith._run_on(relation oid, d jsonb, role_name text, statement text, wants text DEFAULT 'rows') RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    RETURN zanith._run_as(role_name, statement, wants, zanith._reading_path(relation, d, role_name));
END $$;

CREATE OR REPLACE FUNCTION zanith._read_settings() RETURNS text[]
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT array_agg(current_setting(g.name) ORDER BY g.ord) FROM unnest(zanith._guarded_settings()) WITH ORDINALITY g(name, ord)
); END $$;

-- Each name is qualified here: the search path may be an owner's when this runs.
CREATE OR REPLACE FUNCTION zanith._put_back_settings(settings text[]) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM set_config(g.name, settings[g.ord], true)
    FROM unnest(zanith._guarded_settings()) WITH ORDINALITY g(name, ord)
    WHERE current_setting(g.name) IS DISTINCT FROM settings[g.ord] ORDER BY g.name = 'search_path';
END $$;

-- What a call could leave in the session: cursors, prepared statements, temporary objects, tables whose deferred triggers wait, settings.
CREATE OR REPLACE FUNCTION zanith._session_state(everything boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'cursors', (SELECT COALESCE(jsonb_object_agg(c.name, c.creation_time), '{}') FROM pg_cursors c WHERE c.name <> ''),
        'statements', (SELECT COALESCE(jsonb_object_agg(p.name, p.prepare_time), '{}') FROM pg_prepared_statements p),
        'temporary', (SELECT COALESCE(jsonb_agg(d.classid || '/' || d.objid ORDER BY d.classid, d.objid), '[]') FROM pg_depend d
                      WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = pg_my_temp_schema() AND pg_my_temp_schema() <> 0),
        -- 18 runs a deferred trigger as the role that queued it
        'deferring', CASE WHEN current_setting('server_version_num')::integer < 180000 THEN (
            SELECT COALESCE(jsonb_agg(DISTINCT l.relation), '[]') FROM pg_locks l
            WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
              AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
              AND EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = l.relation AND t.tgdeferrable AND NOT t.tgisinternal AND t.tgenabled <> 'D')) END,
        'settings', CASE WHEN everything THEN (
            SELECT jsonb_object_agg(s.name, s.setting) FROM pg_settings s WHERE s.context IN ('user', 'superuser') AND s.name <> ALL (zanith._guarded_settings())) END)
); END $$;

-- Raises where an owner's code left something that would act, or be found, later and as somebody else. In the engine's own
-- transaction cursors and temporary objects are taken away instead.
CREATE OR REPLACE FUNCTION zanith._check_left_behind(before jsonb, everything boolean, role_name text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    now jsonb := zanith._session_state(everything);
    whose text := format('code of %I', role_name);
    name text;
BEGIN
    IF now = before AND (everything OR COALESCE(now -> 'deferring', '[]') IN ('[]', 'null')) THEN
        RETURN;
    END IF;
    IF now -> 'cursors' <> before -> 'cursors' THEN
        IF everything THEN
            PERFORM zanith._refuse(whose || ' left a cursor open, which would run as somebody else at the end of the transaction',
                'Change that function to close its cursors.', '42501');
        END IF;
        FOR name IN SELECT c.key FROM jsonb_each(now -> 'cursors') c WHERE before -> 'cursors' -> c.key IS DISTINCT FROM c.value LOOP
            EXECUTE format('CLOSE %I', name);
        END LOOP;
    END IF;
    IF now -> 'statements' <> before -> 'statements' THEN
        PERFORM zanith._refuse(whose || ' changed prepared statements of this session, which would run as somebody else', 'Change that function to leave them alone.', '42501');
    END IF;
    IF now -> 'temporary' <> before -> 'temporary' THEN
        IF everything OR before -> 'temporary' <> '[]' THEN
            PERFORM zanith._refuse(whose || ' made temporary objects in this session, which could be taken for others',
                'Change that function to drop what it makes.', '42501');
        END IF;
        DISCARD TEMP;
    END IF;
    FOR name IN SELECT zanith._relation_name((r.item #>> '{}')::oid) FROM zanith._each(now -> 'deferring') r
                WHERE NOT everything OR NOT before -> 'deferring' @> r.item LOOP
        IF everything OR zanith._has_pending_triggers(name) THEN
            PERFORM zanith._refuse(format('%s leaves deferred triggers of %s, which would run as somebody else', whose, name),
                'Run it as that role, or make the trigger not deferrable.', '42501');
        END IF;
    END LOOP;
    IF everything AND now -> 'settings' <> before -> 'settings' THEN
        SELECT string_agg(n.key, ', ' ORDER BY n.key) INTO name FROM jsonb_each(now -> 'settings') n WHERE before -> 'settings' -> n.key IS DISTINCT FROM n.value;
        PERFORM zanith._refuse(format('%s changed settings of this session: %s', whose, name), 'Give that function a SET clause instead.', '42501');
    END IF;
END $$;

-- Whether trigger events of a table wait for the end of the transaction: then PostgreSQL refuses to alter it, and says so
-- before it looks for the column, which nobody has.
CREATE OR REPLACE FUNCTION zanith._has_pending_triggers(table_name text) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    EXECUTE format('ALTER TABLE ONLY %s ALTER COLUMN "_zanith no such column" SET STATISTICS 0', table_name);
    RETURN false;
EXCEPTION
    WHEN undefined_column THEN
        RETURN false;
    WHEN object_in_use THEN
        RETURN true;
END $$;
