-- archive_values: copy key and value of every row, before somebody changes the type of the column. It is an archive of a column that stays: the
-- restore puts the values back into the column, or adds a column of the old type beside it.

-- A part as it comes back beside the present column, which keeps the constraints, indexes, default and sequences: the values with their type.
CREATE OR REPLACE FUNCTION zanith._part_of_values(part jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT part || jsonb_build_object('constraints', '[]'::jsonb, 'references', '[]'::jsonb, 'indexes', '[]'::jsonb, 'statistics', '[]'::jsonb, 'renames', '[]'::jsonb,
        'column', (part -> 'column') || '{"not_null": null, "default": null, "identity": null, "sequences": []}')
$$;

-- A name that no column of a table has, for the old values of one.
CREATE OR REPLACE FUNCTION zanith._name_beside(live oid, column_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT q.name FROM generate_series(1, 1601) n, LATERAL (SELECT zanith._clip(column_name, 50) || '_old' || CASE WHEN n = 1 THEN '' ELSE n::text END) q(name)
    WHERE zanith._attribute_number(live, q.name) IS NULL ORDER BY n LIMIT 1
); END $$;

-- The name of a column while a restore works on it. Nothing that comes back with the values of a column that stays names it.
CREATE OR REPLACE FUNCTION zanith._comes_back_as(d jsonb, choices jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT COALESCE(CASE WHEN d ? 'stays' THEN choices ->> 'as' END, d #>> '{column,name}') $$;

CREATE OR REPLACE FUNCTION zanith._define_values(relation oid, column_name text, id text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._part_of_values(q.d) || jsonb_build_object(
        'stays', q.d -> 'column', 'attnum', zanith._attribute_number(relation, column_name), 'beside', zanith._name_beside(relation, column_name), 'numbers', '{}'::jsonb, 'dependents', '[]'::jsonb, 'partners', '[]'::jsonb,
        'tree', (SELECT zanith._list(zanith._part_of_values(t.item) ORDER BY t.ord) FROM zanith._each(q.d -> 'tree') t),
        -- subscribers of all tables would receive the archive
        'publications', (SELECT zanith._list(p.item ORDER BY p.ord) FROM zanith._each(q.d -> 'publications') p WHERE p.item ->> 'via' = 'all tables'),
        'needs', (SELECT zanith._list(n.item ORDER BY n.ord) FROM zanith._each(q.d -> 'needs') n WHERE n.item ->> 'type' = 'collation'))
    FROM (SELECT zanith._define_column('archive_column', relation, column_name, id, 'refuse')) q(d)
); END $$;
