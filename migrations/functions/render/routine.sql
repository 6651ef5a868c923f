-- Functions and procedures.

CREATE OR REPLACE FUNCTION zanith._render_routine(routine jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._step('SET LOCAL check_function_bodies = off', 'a body may name what is still to come')
        || zanith._step(rtrim(CASE WHEN (routine ->> 'standard')::boolean THEN zanith._steady(routine ->> 'definition') ELSE routine ->> 'definition' END, E'\n'), format('the function %s', routine ->> 'name'))
        || zanith._step(format('ALTER ROUTINE %s OWNER TO %I', routine ->> 'name', routine ->> 'owner'), 'its owner')
        || CASE WHEN COALESCE(routine -> 'grants', 'null') = 'null' THEN '[]' ELSE
            zanith._step(format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine ->> 'name'), 'start from no privileges')
            || zanith._render_grants(routine -> 'grants', 'ROUTINE ' || (routine ->> 'name'), routine ->> 'owner', NULL, true) END
        || zanith._render_comment(routine ->> 'comment', 'ROUTINE ' || (routine ->> 'name'))
$$;
