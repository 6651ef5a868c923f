-- Publications that name the table.

-- ONLY, as pg_dump says it: each table that is in a publication has an entry of its own. `target` for entries that name no table.
CREATE OR REPLACE FUNCTION zanith._render_unpublish(publications jsonb, target text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._step(
        format('ALTER PUBLICATION %I DROP TABLE ONLY %s', p.item ->> 'name', q.target),
        'Remove the table from the publication, as DROP would', 'SHARE UPDATE EXCLUSIVE', ARRAY[q.target]) -> 0 ORDER BY p.ord)
    FROM zanith._each(publications) p, LATERAL (SELECT COALESCE(_render_unpublish.target, p.item ->> 'table')) q(target)
    WHERE p.item ->> 'via' = 'table'
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_publish(publications jsonb, target text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._step(
        format('ALTER PUBLICATION %I ADD TABLE ONLY %s%s%s', p.item ->> 'name', q.target,
            COALESCE(' (' || zanith._name_list(NULLIF(p.item -> 'columns', 'null')) || ')', ''),
            COALESCE(' WHERE (' || zanith._round_trip_safe(p.item ->> 'where') || ')', '')),
        'Add the table to the publication', 'SHARE UPDATE EXCLUSIVE', ARRAY[q.target]) -> 0 ORDER BY p.ord)
    FROM zanith._each(publications) p, LATERAL (SELECT COALESCE(_render_publish.target, p.item ->> 'table')) q(target)
    WHERE p.item ->> 'via' = 'table'
); END $$;
