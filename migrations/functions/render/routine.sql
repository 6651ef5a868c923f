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

-- Its owner makes it: defaults of arguments, and a body of standard SQL, are read when it is made. Without the bodies: a body may
-- name what is still to come.
CREATE OR REPLACE FUNCTION zanith._routine_by_owner(routine jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg(CASE WHEN s.ord = 2 THEN s.item || jsonb_build_object('role', zanith._runner(routine ->> 'owner')) ELSE s.item END ORDER BY s.ord), '[]')
    FROM zanith._each(zanith._render_routine(routine)) s
); END $$;
