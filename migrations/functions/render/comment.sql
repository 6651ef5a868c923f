-- Comments.

CREATE OR REPLACE FUNCTION zanith._render_comment(comment text, object text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN comment IS NULL THEN '[]'
                ELSE zanith._step(format('COMMENT ON %s IS %L', object, comment), 'Set the comment') END
$$;

-- ALTER … DEPENDS ON EXTENSION: the object goes with the extension.
CREATE OR REPLACE FUNCTION zanith._render_extensions(extensions jsonb, object text, tables text[] DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._step(format('ALTER %s DEPENDS ON EXTENSION %I', object, e.name),
                                           format('Make it depend on the extension %I', e.name), 'ACCESS EXCLUSIVE', tables) -> 0 ORDER BY e.ord)
    FROM jsonb_array_elements_text(COALESCE(extensions, '[]')) WITH ORDINALITY e(name, ord)
); END $$;
