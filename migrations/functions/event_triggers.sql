-- Event triggers fire for the DDL of captures and restores too. Their functions find what they name where the session's
-- traffic finds it.

-- Event triggers that are on, with their functions: [{name, function, short, path}]; `path`: whether the function has a
-- search_path of its own. `short` is what an error calls it where its schema is on the path.
CREATE OR REPLACE FUNCTION zanith._event_triggers() RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg(jsonb_build_object('name', e.evtname, 'function', e.evtfoid::regprocedure::text,
            'short', (SELECT quote_ident(p.proname) || '()' FROM pg_proc p WHERE p.oid = e.evtfoid), 'path', EXISTS (
        SELECT FROM pg_proc p, unnest(p.proconfig) c(setting) WHERE p.oid = e.evtfoid AND starts_with(c.setting, 'search_path='))) ORDER BY e.evtname), '[]')
    FROM pg_event_trigger e WHERE e.evtenabled <> 'D'
); END $$;

-- The path for DDL, of the schemas in one that a session has; NULL where no event trigger needs one.
CREATE OR REPLACE FUNCTION zanith._event_path(path text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._owner_path(jsonb_build_object('search_path', path))
    WHERE path IS NOT NULL AND zanith._event_triggers() @> '[{"path": false}]'
); END $$;

-- The same of whoever runs this: an event trigger never runs as one role under the path of another.
CREATE OR REPLACE FUNCTION zanith._own_event_path() RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._event_path(zanith._configured_path(current_user)) WHERE zanith._event_triggers() <> '[]'
); END $$;

-- The path while a sandbox is made: SET ROLE, which whatever runs then could undo. So nothing of the owner's is in it,
-- by "$user" either.
CREATE OR REPLACE FUNCTION zanith._sandbox_event_path(role_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._event_path(array_to_string(ARRAY(SELECT quote_ident(n.name) FROM unnest(zanith._path_names(zanith._configured_path(role_name))) n(name)
                                                    WHERE n.name NOT IN ('$user', '')), ', '))
    WHERE zanith._event_triggers() <> '[]'
); END $$;

-- Whether a statement is DDL that names everything with its schema and evaluates nothing; a block of such says so at its beginning.
CREATE OR REPLACE FUNCTION zanith._is_ddl(statement text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT statement ~ '^(ALTER |CREATE |DROP |COMMENT |GRANT |REVOKE |DO [$]do[$] /[*] DDL [*]/)' $$;

-- Executes a step of a capture and returns how many rows it wrote. DDL runs under `path`, where event triggers need
-- that, and `reads` what reads the table: the planner looks into functions of its indexes. What fails in an event
-- trigger says which it is, and what to do.
CREATE OR REPLACE FUNCTION zanith._execute(statement text, path text, reads boolean DEFAULT false) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    done bigint;
    trigger jsonb;
    said text; state text; more text; context text;
BEGIN
    IF path IS NULL AND zanith._event_triggers() = '[]' THEN
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
    RETURN (SELECT COALESCE(jsonb_agg(s.item || CASE
            WHEN s.item ->> 'path' IS NOT NULL AND s.item ->> 'role' IS NULL OR COALESCE((s.item ->> 'batches')::boolean, false) THEN '{}'
            WHEN s.item ->> 'role' IS NOT NULL THEN jsonb_build_object('path', COALESCE(s.item ->> 'path', path), 'sandbox_path', sandbox)
            WHEN zanith._is_ddl(s.item ->> 'sql') THEN jsonb_build_object('path', operators, 'for_events', true)
            ELSE '{}' END ORDER BY s.ord), '[]')
        FROM zanith._each(steps) s);
END $$;
