-- Functions and procedures.

CREATE OR REPLACE FUNCTION zanith._render_routine(routine jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._step('SET LOCAL check_function_bodies = off', 'Do not check function bodies (they may name objects of later steps)')
        -- PostgreSQL prints CREATE OR REPLACE, which would take the place of one that somebody made meanwhile
        || zanith._step('CREATE ' || substr(d.definition, 1 + length(CASE WHEN starts_with(d.definition, 'CREATE OR REPLACE ') THEN 'CREATE OR REPLACE ' ELSE 'CREATE ' END)),
                        format('Create the function %s', routine ->> 'name'))
        || zanith._step(format('ALTER ROUTINE %s OWNER TO %I', routine ->> 'name', routine ->> 'owner'), 'Set the owner of the function')
        || zanith._render_grants_anew(routine -> 'grants', 'ROUTINE', routine ->> 'name', routine ->> 'owner',
            -- an ordered-set aggregate is called by its types
            format('SELECT p.proacl FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace '
                   'WHERE %L IN (pg_catalog.format(''%%I.%%I(%%s)'', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)), '
                   'pg_catalog.format(''%%I.%%I(%%s)'', n.nspname, p.proname, pg_catalog.oidvectortypes(p.proargtypes)))', routine ->> 'name'))
        || zanith._render_comment(routine ->> 'comment', 'ROUTINE ' || (routine ->> 'name'))
        || zanith._render_extensions(routine -> 'extensions', 'ROUTINE ' || (routine ->> 'name'))
    FROM (SELECT rtrim(CASE WHEN (routine ->> 'standard')::boolean THEN zanith._round_trip_safe(routine ->> 'definition') ELSE routine ->> 'definition' END, chr(10))) d(definition)
); END $$;

-- Its owner makes it: defaults of arguments, and a body of standard SQL, are read when it is made. Without the bodies: a body may
-- name what is still to come.
CREATE OR REPLACE FUNCTION zanith._routine_by_owner(routine jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(CASE WHEN s.ord = 2 THEN s.item || jsonb_build_object('role', zanith._runner(routine ->> 'owner')) ELSE s.item END ORDER BY s.ord)
    FROM zanith._each(zanith._render_routine(routine)) s
); END $$;
