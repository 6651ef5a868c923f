-- Publications that name the table.

CREATE OR REPLACE FUNCTION zanith._render_unpublish(publications jsonb, target text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(jsonb_agg(zanith._step(
        format('ALTER PUBLICATION %I DROP TABLE %s', p.item ->> 'name', target),
        'out of the publication, as a drop would take it', 'SHARE UPDATE EXCLUSIVE', ARRAY[target]) -> 0 ORDER BY p.ord), '[]')
    FROM zanith._each(publications) p WHERE p.item ->> 'via' = 'table'
$$;

CREATE OR REPLACE FUNCTION zanith._render_publish(publications jsonb, target text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(jsonb_agg(zanith._step(
        format('ALTER PUBLICATION %I ADD TABLE %s%s%s', p.item ->> 'name',
            CASE WHEN (p.item ->> 'only')::boolean THEN 'ONLY ' ELSE '' END || target,
            COALESCE(' (' || zanith._name_list(NULLIF(p.item -> 'columns', 'null')) || ')', ''),
            COALESCE(' WHERE (' || (p.item ->> 'where') || ')', '')),
        'back in the publication', 'SHARE UPDATE EXCLUSIVE', ARRAY[target]) -> 0 ORDER BY p.ord), '[]')
    FROM zanith._each(publications) p WHERE p.item ->> 'via' = 'table'
$$;
