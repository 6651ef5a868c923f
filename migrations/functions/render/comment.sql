-- Comments.

CREATE OR REPLACE FUNCTION zanith._render_comment(comment text, object text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN comment IS NULL THEN '[]'
                ELSE zanith._step(format('COMMENT ON %s IS %L', object, comment), 'Set the comment') END
$$;
