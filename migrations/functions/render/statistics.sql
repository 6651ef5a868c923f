-- Extended statistics.

CREATE OR REPLACE FUNCTION zanith._render_statistics(statistics jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._step(zanith._round_trip_safe(statistics ->> 'definition'), 'Create the statistics object', 'SHARE UPDATE EXCLUSIVE')
        || zanith._render_statistics_settings(statistics)
        || zanith._render_comment(statistics ->> 'comment', 'STATISTICS ' || zanith._qualify(statistics ->> 'schema', statistics ->> 'name'))
$$;

-- What CREATE STATISTICS leaves out.
CREATE OR REPLACE FUNCTION zanith._render_statistics_settings(statistics jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('ALTER STATISTICS %s OWNER TO %I', q.name, statistics ->> 'owner'), 'Set the owner of the statistics object')
        || CASE WHEN statistics ->> 'target' IS NULL THEN '[]'
                ELSE zanith._step(format('ALTER STATISTICS %s SET STATISTICS %s', q.name, statistics ->> 'target'),
                                  'Set the statistics target') END
    FROM (SELECT zanith._qualify(statistics ->> 'schema', statistics ->> 'name')) q(name)
); END $$;
