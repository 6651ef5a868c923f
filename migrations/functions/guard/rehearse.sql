-- What a statement would drop, said by PostgreSQL itself.

-- Everything that the statement of a sql_drop event dropped.
CREATE OR REPLACE FUNCTION zanith._guard_list_dropped() RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('type', o.object_type, 'identity', o.object_identity, 'schema', o.schema_name, 'names', o.address_names,
        'class', o.classid::regclass::text, 'oid', o.objid, 'attnum', o.objsubid, 'named', o.original, 'normal', o.normal, 'temporary', o.is_temporary) ORDER BY o.ord)
    FROM pg_event_trigger_dropped_objects() WITH ORDINALITY o(classid, objid, objsubid, original, normal, is_temporary, object_type, schema_name, object_name,
        object_identity, address_names, address_args, ord)
); END $$;

-- What holds rows or values of its own.
CREATE OR REPLACE FUNCTION zanith._guard_holds_data(dropped jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT dropped ->> 'type' IN ('table', 'table column') AND NOT (dropped ->> 'temporary')::boolean $$;

-- Runs a statement under the caller's search path in a subtransaction, in which the trigger of sql_drop raises what it sees, and rolls it
-- back. NULL where PostgreSQL refuses the statement: it will refuse it again, with its own error.
CREATE OR REPLACE FUNCTION zanith._guard_rehearse(statement text, path text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET client_min_messages = 'error' AS $$
DECLARE
    seen text;
BEGIN
    PERFORM set_config('search_path', path, true), set_config('zanith.guard_rehearsal', 'on', true);
    EXECUTE statement;
    RAISE SQLSTATE 'ZG000' USING MESSAGE = '[]';
EXCEPTION
    WHEN SQLSTATE 'ZG000' THEN
        GET STACKED DIAGNOSTICS seen = MESSAGE_TEXT;
        RETURN seen::jsonb;
    WHEN lock_not_available OR deadlock_detected THEN
        RAISE;
    WHEN OTHERS THEN
        RETURN NULL;
END $$;

-- The relation that a name, as a statement wrote it, means on the caller's search path.
CREATE OR REPLACE FUNCTION zanith._guard_resolve(name text, path text) RETURNS oid
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    PERFORM set_config('search_path', path, true);
    RETURN pg_catalog.to_regclass(name);
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;
