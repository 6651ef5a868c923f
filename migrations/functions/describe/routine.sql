-- Functions and procedures that a cascade takes along.

CREATE OR REPLACE FUNCTION zanith._describe_routine(routine oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'name', format('%s(%s)', zanith._qualify(n.nspname, p.proname), pg_get_function_identity_arguments(p.oid)),
        'namespace', n.nspname, 'routine', p.proname, 'inputs', oidvectortypes(p.proargtypes),
        'definition', pg_get_functiondef(p.oid),
        'standard', p.prosqlbody IS NOT NULL,
        'owner', pg_get_userbyid(p.proowner),
        'grants', zanith._describe_grants(p.proacl, 'f', p.proowner),
        'comment', obj_description(p.oid, 'pg_proc'))
    FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
    WHERE p.oid = routine AND p.prokind IN ('f', 'p', 'w')
); END $$;
