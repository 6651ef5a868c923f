-- Event triggers fire for the DDL of captures and restores too. Their functions find what they name where the session's
-- traffic finds it.

-- Event triggers that are on, but for the guard's, with their functions: [{name, function, short, path}]; `path`: whether the function has a
-- search_path of its own. `short` is what an error calls it where its schema is on the path.
CREATE OR REPLACE FUNCTION zanith._event_triggers() RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('name', e.evtname, 'function', e.evtfoid::regprocedure::text,
            'short', (SELECT quote_ident(p.proname) || '()' FROM pg_proc p WHERE p.oid = e.evtfoid), 'path', EXISTS (
        SELECT FROM pg_proc p, unnest(p.proconfig) c(setting) WHERE p.oid = e.evtfoid AND starts_with(c.setting, 'search_path='))) ORDER BY e.evtname)
    FROM pg_event_trigger e WHERE e.evtenabled <> 'D' AND NOT EXISTS (SELECT FROM pg_proc p WHERE p.oid = e.evtfoid AND p.pronamespace = 'zanith'::regnamespace)
); END $$;

-- The path for DDL, of the schemas in one that a session has; NULL where no event trigger needs one.
CREATE OR REPLACE FUNCTION zanith._event_path(path text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._owner_path(jsonb_build_object('search_path', path))
    WHERE path IS NOT NULL AND zanith._event_triggers() @> '[{"path": false}]'
); END $$;

-- The same of the role that runs this: an event trigger never runs as one role under the path of another.
CREATE OR REPLACE FUNCTION zanith._own_event_path() RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._event_path(zanith._configured_path(current_user)) WHERE zanith._event_triggers() <> '[]'
); END $$;

-- The same for DDL that another role causes: while a sandbox is made (SET ROLE, which whatever runs then could undo), and in a definer function.
-- No schema in which another role than this one and superusers can create objects is in it, by "$user" either.
CREATE OR REPLACE FUNCTION zanith._sandbox_event_path(role_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._event_path(array_to_string(ARRAY(SELECT quote_ident(n.name) FROM unnest(zanith._path_names(zanith._configured_path(role_name))) WITH ORDINALITY n(name, ord)
                                                    WHERE n.name NOT IN ('$user', '') AND NOT zanith._others_create_in(ARRAY[n.name]) ORDER BY n.ord), ', '))
    WHERE zanith._event_triggers() <> '[]'
); END $$;

-- A temporary object that an event trigger could find before another, where a definer function runs DDL in the session of another role: the
-- trigger of such a table would run as the role of this function. A function in C finds nothing by name, and one whose path ends with pg_temp
-- finds its own objects first. {object, trigger, function}; NULL where there is none.
CREATE OR REPLACE FUNCTION zanith._find_temporary() RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN CASE WHEN pg_my_temp_schema() <> 0 THEN (
    SELECT jsonb_build_object('object', o.name, 'trigger', e.evtname, 'function', e.evtfoid::regprocedure::text)
    FROM (SELECT c.relname, c.relowner FROM pg_class c WHERE c.relnamespace = pg_my_temp_schema() AND c.relkind <> 'i'
          UNION ALL SELECT t.typname, t.typowner FROM pg_type t WHERE t.typnamespace = pg_my_temp_schema() AND t.typcategory <> 'A') o(name, owner)
    JOIN pg_roles r ON r.oid = o.owner AND NOT r.rolsuper AND r.rolname <> current_user,
         pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid AND p.pronamespace <> 'zanith'::regnamespace
    JOIN pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('c', 'internal')
    WHERE e.evtenabled <> 'D' AND NOT EXISTS (SELECT FROM unnest(p.proconfig) c(setting) WHERE c.setting ~ '^search_path=.*,\s*"?pg_temp"?\s*$')
    ORDER BY e.evtname, o.name LIMIT 1
) END; END $$;

CREATE OR REPLACE FUNCTION zanith._check_temporary() RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb := zanith._find_temporary();
BEGIN
    IF found IS NOT NULL THEN
        PERFORM zanith._refuse(format('the event trigger %I could find the temporary object %I, and run code of it as %I', found ->> 'trigger', found ->> 'object', current_user),
            format('Drop it first (DISCARD TEMP), or give the event trigger''s function a search path that ends with pg_temp: ALTER FUNCTION %s SET search_path = …, pg_temp.', found ->> 'function'), '42501');
    END IF;
END $$;

-- Whether a statement is DDL that names everything with its schema and evaluates nothing; a block of such says so at its beginning.
CREATE OR REPLACE FUNCTION zanith._is_ddl(statement text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT statement ~ '^(ALTER |CREATE |DROP |COMMENT |GRANT |REVOKE |DO [$]do[$] /[*] DDL [*]/)' $$;

-- Executes a step of a capture and returns how many rows it wrote. DDL runs under `path`, where event triggers need
-- that, and `reads` what reads the table: the planner looks into functions of its indexes. What fails in an event
-- trigger says which it is, and what to do. `alone`: the caller knows that no event trigger fires.
CREATE OR REPLACE FUNCTION zanith._execute(statement text, path text, reads boolean DEFAULT false, alone boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    done bigint;
    trigger jsonb;
    said text; state text; more text; context text;
BEGIN
    IF alone OR path IS NULL AND zanith._event_triggers() = '[]' THEN
        EXECUTE statement;
        GET DIAGNOSTICS done = ROW_COUNT;
        RETURN done;
    END IF;
    BEGIN
        IF path IS NOT NULL AND (reads OR zanith._is_ddl(statement)) THEN
            PERFORM set_config('search_path', path, true);
        END IF;
        EXECUTE statement;
        GET DIAGNOSTICS done = ROW_COUNT;
        PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    EXCEPTION WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, state = RETURNED_SQLSTATE, more = PG_EXCEPTION_DETAIL, context = PG_EXCEPTION_CONTEXT;
        SELECT t.item INTO trigger FROM zanith._each(zanith._event_triggers()) t 
            WHERE position(format(' function %s ', t.item ->> 'function') IN context) > 0 OR position(format(' function %s ', t.item ->> 'short') IN context) > 0 LIMIT 1;
        IF trigger IS NULL THEN
            RAISE;
        END IF;
        -- its SQLSTATE, which may be anything, says nothing about the caller's request
        RAISE EXCEPTION USING ERRCODE = CASE WHEN state ~ '^(40|53|55P03|57|58|XX)' THEN state ELSE '55000' END, MESSAGE = format('the event trigger %I failed: %s', trigger ->> 'name', said), DETAIL = COALESCE(more, ''),
            HINT = format('It fires for DDL. Give its function a search path (ALTER FUNCTION %s SET search_path = …), or disable it for the length of this: ALTER EVENT TRIGGER %I DISABLE.',
                          trigger ->> 'function', trigger ->> 'name');
    END;
    RETURN done;
END $$;

-- Steps of a restore that are DDL, or whose sandbox is, under the path that event triggers need: the owner's where the
-- owner runs them, else that of the operator, whom nobody knows yet in a script.
CREATE OR REPLACE FUNCTION zanith._under_event_paths(steps jsonb, path text, in_script boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    operators text;
    sandbox text;
BEGIN
    IF NOT zanith._event_triggers() @> '[{"path": false}]' THEN
        RETURN steps;
    END IF;
    operators := zanith._event_path(zanith._configured_path(CASE WHEN NOT in_script THEN current_user END));
    sandbox := zanith._sandbox_event_path(NULL);
    RETURN (SELECT zanith._list(s.item || CASE
            WHEN s.item ->> 'path' IS NOT NULL AND s.item ->> 'role' IS NULL OR COALESCE((s.item ->> 'batches')::boolean, false) THEN '{}'
            WHEN s.item ->> 'role' IS NOT NULL THEN jsonb_build_object('path', COALESCE(s.item ->> 'path', path), 'sandbox_path', sandbox)
            WHEN zanith._is_ddl(s.item ->> 'sql') THEN jsonb_build_object('path', operators, 'for_events', true)
            ELSE '{}' END ORDER BY s.ord)
        FROM zanith._each(steps) s);
END $$;
