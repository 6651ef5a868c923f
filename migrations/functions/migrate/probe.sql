-- Probes of a pending migration: queries that read the rows as the migration will, before it runs.

-- The role as which a probe of tables runs, NULL for this one; or the reason why it does not run. The first table decides. `path`: the search path
-- under which the expressions of the migration are read. `schemas`: those of the path, and those that the expressions name. `routines`, `operators`
-- and `types`: names in these expressions. Every routine of such a name counts, because PostgreSQL may choose any of them.
CREATE OR REPLACE FUNCTION zanith.probe_as(tables oid[], schemas text[], routines text[], operators text[], types text[], OUT role_name text, OUT reason text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    owner text := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = tables[1]);
    runner text;
    classes oid[];
    objects oid[];
BEGIN
    IF pg_is_in_recovery() THEN
        reason := 'this server is a standby';
        RETURN;
    END IF;
    role_name := zanith._reads_as(tables[1]);
    runner := COALESCE(role_name, current_user);
    IF zanith._is_trusted(runner) OR zanith._is_trusted(owner) THEN
        reason := zanith._third_code_of_tables(tables, runner, false, own => true);
    END IF;
    IF reason IS NULL AND cardinality(routines || operators || types) > 0 THEN
        IF zanith._is_superuser(runner) AND zanith._others_create_in(schemas) THEN
            EXECUTE zanith._names_lock();
        END IF;
        SELECT array_agg(f.class), array_agg(f.object) INTO classes, objects FROM (
            SELECT 'pg_proc'::regclass::oid AS class, p.oid AS object FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE p.proname = ANY (routines) AND n.nspname = ANY (schemas) AND n.nspname <> 'pg_catalog'
            UNION ALL SELECT 'pg_operator'::regclass, o.oid FROM pg_operator o JOIN pg_namespace n ON n.oid = o.oprnamespace
            WHERE o.oprname = ANY (operators) AND n.nspname = ANY (schemas) AND n.nspname <> 'pg_catalog'
            UNION ALL SELECT 'pg_type'::regclass, t.oid FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
            WHERE t.typname = ANY (types) AND n.nspname = ANY (schemas) AND n.nspname <> 'pg_catalog') f;
        classes := classes || array_fill('pg_proc'::regclass::oid, ARRAY[cardinality(zanith._casts_among(classes, objects))]);
        objects := objects || zanith._casts_among(classes[:cardinality(objects)], objects);
        reason := zanith._find_third_code(classes, objects, runner, true);
    END IF;
    IF reason IS NOT NULL THEN
        reason := format('%s would run as %I', reason, runner);
    END IF;
END $$;

-- Makes the function that tries something with each row as a role, and returns its call; `body` is in PL/pgSQL, and is ours. It goes with the
-- transaction, which is rolled back. No role is this one.
CREATE OR REPLACE FUNCTION zanith.make_probe(role_name text, body text, path text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    outer_role text := current_setting('role');
    checking text := current_setting('check_function_bodies');
    function_name text := '_zanith_probe_' || replace(gen_random_uuid()::text, '-', '');
    definition text := format('CREATE FUNCTION pg_temp.%I() RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER SET search_path TO %s AS %L',
        function_name, zanith._path_literals(path), body);
BEGIN
    PERFORM set_config('check_function_bodies', 'off', true);
    PERFORM set_config('search_path', COALESCE(zanith._sandbox_event_path(current_user), 'pg_catalog, pg_temp'), true);
    PERFORM set_config('role', COALESCE(role_name, outer_role), true);
    EXECUTE definition;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM set_config('role', outer_role, true);
    PERFORM set_config('check_function_bodies', checking, true);
    RETURN format('SELECT pg_temp.%I()', function_name);
END $$;
