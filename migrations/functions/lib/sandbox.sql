-- The sandbox: a statement that names what an owner made is parsed, planned and executed as that owner.

-- The function in which a statement runs as the role that makes it. SET ROLE alone would not hold: what runs under it can RESET
-- it; within a security definer function it cannot. The statement comes as text, so that it is parsed inside: a literal of a
-- domain runs its CHECK in the parser. (PostgreSQL manual, "CREATE FUNCTION".) One function serves one call: CREATE, not OR
-- REPLACE, fails where something of that name was left in wait, and a call with exact types finds no other. `wants` is
-- "values" for a JSON array of a query's first column; else the call returns the number of rows. `path` is the search path
-- that the owner's functions run under. `ours`: the transaction is the engine's own, and deferred triggers fire inside.
-- `arguments` are $1 of the statement: values that no log is to show. A table that a statement works on is in use and keeps its name; a deferred
-- trigger after it could give that name to another table, which later steps would take for the first. A DO of ours renames no table, and may itself
-- run deferred triggers.
CREATE OR REPLACE FUNCTION zanith.sandbox() RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    -- the tables that this transaction keeps everybody else out of, with their names
    locked text := 'ARRAY(SELECT concat_ws('' '', c.oid, n.nspname, c.relname) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace '
        'WHERE l.pid = pg_backend_pid() AND l.locktype = ''relation'' AND l.mode = ''AccessExclusiveLock'' AND c.relkind IN (''r'', ''p''))';
BEGIN
    RETURN 'CREATE FUNCTION pg_temp._zanith_run(statement text, wants text, path text, ours boolean, arguments text[] DEFAULT NULL) RETURNS jsonb LANGUAGE plpgsql '
        'SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $run$ DECLARE found jsonb; done bigint; named text[]; schemas text[]; better text; BEGIN '
        'IF ours AND path <> ''pg_catalog, pg_temp'' THEN PERFORM set_config(''search_path'', path, true); schemas := pg_catalog.current_schemas(false)::pg_catalog.text[]; '
        'PERFORM pg_catalog.set_config(''search_path'', ''pg_catalog, pg_temp'', true); EXECUTE ' || quote_literal(zanith._better_query()) || ' INTO better USING schemas, current_user::text; '
        'IF better IS NOT NULL THEN RAISE EXCEPTION ''%'', better USING ERRCODE = ''insufficient_privilege'', HINT = ''Rename it for the length of this, or choose a search path without its schema.''; END IF; END IF; '
        'IF ours AND starts_with(statement, ''DO '') THEN named := ' || locked || '; END IF; '
        'IF wants = ''values'' THEN statement := format(''SELECT COALESCE(pg_catalog.jsonb_agg(q.v), ''''[]'''') FROM (%s) q(v)'', statement); '
        'PERFORM set_config(''search_path'', path, true); EXECUTE statement INTO found USING arguments; '
        'ELSE PERFORM set_config(''search_path'', path, true); EXECUTE statement USING arguments; GET DIAGNOSTICS done = ROW_COUNT; found := to_jsonb(done); END IF; '
        'IF ours THEN PERFORM pg_catalog.set_config(''search_path'', ''pg_catalog, pg_temp'', true); IF named IS NULL THEN named := ' || locked || '; END IF; '
        'PERFORM set_config(''search_path'', path, true); SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL IMMEDIATE; '
        'PERFORM pg_catalog.set_config(''search_path'', ''pg_catalog, pg_temp'', true); IF NOT named <@ ' || locked || ' THEN '
        'RAISE EXCEPTION ''a deferred trigger of % exchanged a table that is locked'', current_user USING ERRCODE = ''insufficient_privilege'', HINT = ''Change that trigger, or disable it for the length of this.''; END IF; '
        'END IF; RETURN found; END $run$';
END $$;

-- A routine or an operator in the schemas $1, of neither the role $2 nor a superuser, that has the name of a built-in one: in a text that is read under
-- a path with that schema it could stand for the built-in one.
CREATE OR REPLACE FUNCTION zanith._better_query() RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN
    'SELECT pg_catalog.format(''%s of %I could stand for a built-in one'', x.name, r.rolname) FROM ('
    'SELECT p.oid::pg_catalog.regprocedure::pg_catalog.text AS name, p.proowner AS owner FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace '
    'WHERE n.nspname = ANY ($1) AND n.nspname <> ''pg_catalog'' AND EXISTS (SELECT FROM pg_catalog.pg_proc b WHERE b.proname = p.proname AND b.pronamespace = ''pg_catalog''::pg_catalog.regnamespace) '
    'UNION ALL SELECT o.oid::pg_catalog.regoperator::pg_catalog.text, o.oprowner FROM pg_catalog.pg_operator o JOIN pg_catalog.pg_namespace n ON n.oid = o.oprnamespace '
    'WHERE n.nspname = ANY ($1) AND n.nspname <> ''pg_catalog'' AND EXISTS (SELECT FROM pg_catalog.pg_operator b WHERE b.oprname = o.oprname AND b.oprnamespace = ''pg_catalog''::pg_catalog.regnamespace)) x '
    'JOIN pg_catalog.pg_roles r ON r.oid = x.owner AND NOT r.rolsuper AND r.rolname <> $2 LIMIT 1';
END $$;

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
    events text;
BEGIN
    path := COALESCE(path, zanith._fixed_path());
    IF role_name IS NULL OR role_name = current_user AND (role_name = session_user OR outer_role = 'none') THEN
        settings := zanith._read_settings();
        IF ours THEN
            PERFORM zanith._check_better(path);
        END IF;
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
    events := COALESCE(zanith._sandbox_event_path(current_user), 'pg_catalog, pg_temp');
    PERFORM set_config('role', role_name, true), set_config('search_path', events, true);
    EXECUTE definition;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM set_config('role', outer_role, true);
    EXECUTE 'SELECT pg_temp._zanith_run($1::text, $2::text, $3::text, $4::boolean, $5::text[])' INTO found USING statement, wants, path, ours, arguments;
    PERFORM pg_catalog.set_config('search_path', events, true);
    EXECUTE 'DROP FUNCTION pg_temp._zanith_run(text, text, text, boolean, text[])';
    PERFORM zanith._put_back_settings(settings);
    PERFORM zanith._check_left_behind(before, NOT ours, role_name);
    RETURN found;
END $$;

-- What keeps every session from creating a routine or an operator until the end of the transaction. A superuser's statement is read under a
-- path in which others can create them, and PostgreSQL cannot lock a schema. It conflicts with itself: its transaction creates functions too.
CREATE OR REPLACE FUNCTION zanith._names_lock() RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT 'LOCK TABLE pg_catalog.pg_proc, pg_catalog.pg_operator IN SHARE ROW EXCLUSIVE MODE' $$;

-- Raises where something could stand for a built-in routine or operator in a text that is read under a path.
CREATE OR REPLACE FUNCTION zanith._check_better(path text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    schemas text[];
    better text;
BEGIN
    IF path <> zanith._fixed_path() THEN
        PERFORM set_config('search_path', path, true);
        schemas := pg_catalog.current_schemas(false)::pg_catalog.text[];
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
        IF zanith._is_superuser(current_user) AND NOT pg_is_in_recovery() AND zanith._others_create_in(schemas) THEN
            EXECUTE zanith._names_lock();
        END IF;
        EXECUTE zanith._better_query() INTO better USING schemas, current_user::text;
        IF better IS NOT NULL THEN
            PERFORM zanith._refuse(better, 'Rename it for the length of this, or choose a search path without its schema.', '42501');
        END IF;
    END IF;
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
        'temporary', (SELECT zanith._list(d.classid || '/' || d.objid ORDER BY d.classid, d.objid) FROM pg_depend d
                      WHERE d.refclassid = 'pg_namespace'::regclass AND d.refobjid = pg_my_temp_schema() AND pg_my_temp_schema() <> 0),
        -- 18 runs a deferred trigger as the role that queued it
        'deferring', CASE WHEN current_setting('server_version_num')::integer < 180000 THEN (
            SELECT zanith._list(DISTINCT l.relation) FROM pg_locks l
            WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
              AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
              AND l.relation <> 'zanith._zanith_guard_unnamed'::regclass -- its trigger is Zanith's, and reads as the role that commits
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
            PERFORM zanith._refuse(whose || ' left a cursor open, which would run as another role at the end of the transaction',
                'Change that function to close its cursors.', '42501');
        END IF;
        FOR name IN SELECT c.key FROM jsonb_each(now -> 'cursors') c WHERE before -> 'cursors' -> c.key IS DISTINCT FROM c.value LOOP
            EXECUTE format('CLOSE %I', name);
        END LOOP;
    END IF;
    IF now -> 'statements' <> before -> 'statements' THEN
        PERFORM zanith._refuse(whose || ' changed prepared statements of this session, which would run as another role', 'Change that function so that it does not change them.', '42501');
    END IF;
    IF now -> 'temporary' <> before -> 'temporary' THEN
        IF everything OR before -> 'temporary' <> '[]' THEN
            PERFORM zanith._refuse(whose || ' created temporary objects in this session, which could hide other objects',
                'Change that function to drop its temporary objects.', '42501');
        END IF;
        DISCARD TEMP;
    END IF;
    FOR name IN SELECT zanith._relation_name((r.item #>> '{}')::oid) FROM zanith._each(now -> 'deferring') r
                WHERE NOT everything OR NOT before -> 'deferring' @> r.item LOOP
        IF everything OR zanith._has_pending_triggers(name) THEN
            PERFORM zanith._refuse(format('%s leaves deferred triggers of %s, which would run as another role', whose, name),
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
