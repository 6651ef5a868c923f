-- What several parked columns share: an index or a statistics object over two columns is parked with the first that goes
-- and comes back with the last that returns, whatever the order.

-- An index or statistics object as it was before columns and names of it were parked, with what it is like now under
-- `parked`: {columns: {parked: original}, name, using, definition}. Unchanged where nothing of it is parked.
CREATE OR REPLACE FUNCTION zanith._with_original_names(object jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    columns jsonb;
    own text := CASE WHEN starts_with(object ->> 'name', '_zanith_dropped_') THEN zanith._original_name(object ->> 'name') END;
BEGIN
    SELECT COALESCE(jsonb_object_agg(c.name, o.name), '{}') INTO columns
    FROM jsonb_array_elements_text(object -> 'columns') c(name), LATERAL zanith._original_name(c.name) o(name)
    WHERE starts_with(c.name, '_zanith_dropped_') AND o.name IS NOT NULL;
    IF columns = '{}' AND own IS NULL THEN
        RETURN object;
    END IF;
    RETURN zanith._rename_in(object, columns, own) || jsonb_build_object('parked', jsonb_strip_nulls(jsonb_build_object(
        'columns', columns, 'name', object -> 'name', 'using', object -> 'using', 'definition', object -> 'definition')));
END $$;

-- The object with other names for columns, and for itself: whole identifiers, all in one pass.
CREATE OR REPLACE FUNCTION zanith._rename_in(object jsonb, columns jsonb, own text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT object || jsonb_strip_nulls(jsonb_build_object(
        'name', own,
        'using', zanith._rename_identifiers(object ->> 'using', columns),
        'definition', zanith._rename_identifiers(object ->> 'definition',
            columns || CASE WHEN own IS NULL THEN '{}' ELSE jsonb_build_object(object ->> 'name', own) END),
        'predicate', zanith._rename_identifiers(object ->> 'predicate', columns),
        'keys', (SELECT jsonb_agg(zanith._rename_identifiers(x.key, columns) ORDER BY x.ord)
                 FROM jsonb_array_elements_text(object -> 'keys') WITH ORDINALITY x(key, ord)),
        'columns', (SELECT jsonb_agg(y.name ORDER BY y.name COLLATE "C")
                    FROM jsonb_array_elements_text(object -> 'columns') x(name), LATERAL (SELECT COALESCE(columns ->> x.name, x.name)) y(name))))
); END $$;

-- The name to park of an index or statistics object; one that is parked already keeps its name.
CREATE OR REPLACE FUNCTION zanith._rename_entry(kind text, schema_name text, object jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_object('kind', kind, 'schema', schema_name, 'name', object -> 'name')
        || CASE WHEN starts_with(object #>> '{parked,name}', '_zanith_dropped_') THEN jsonb_build_object('parked', object #> '{parked,name}', 'shared', true) ELSE '{}' END
$$;

-- An index or statistics object as it can be made now: columns that are still parked by their parked names, and it too
-- then; NULL where one of them is gone for good, and it with that.
CREATE OR REPLACE FUNCTION zanith._with_parked_columns(object jsonb, relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN NOT object ? 'parked' THEN object
        WHEN s.gone THEN NULL
        WHEN s.waits THEN zanith._rename_in(object || ((object -> 'parked') - 'columns'), s.back, NULL)
        ELSE object END
    FROM (SELECT COALESCE(bool_or(p.parked IS NOT NULL), false),
                 COALESCE(bool_or(p.parked IS NULL AND p.original IS NULL), false),
                 COALESCE(jsonb_object_agg(p.key, p.value) FILTER (WHERE p.parked IS NULL), '{}')
          FROM (SELECT x.key, x.value, zanith._attribute_number(relation, x.key) AS parked,
                       zanith._attribute_number(relation, x.value) AS original
                FROM jsonb_each_text(COALESCE(object #> '{parked,columns}', '{}')) x) p) s(waits, gone, back)
); END $$;

-- Back to their own names: at once, or, where another column of the same index or statistics object is still parked, when
-- that returns. A script finds out when it runs.
CREATE OR REPLACE FUNCTION zanith._render_renames_back(d jsonb, target_schema text, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY p.ord, r.ord, s.ord)
    FROM zanith._parts(d, target_schema, d #>> '{table,name}') p, LATERAL zanith._each(p.part -> 'renames') r,
         LATERAL (SELECT CASE WHEN r.item ->> 'kind' = 'index' THEN p.part ->> 'schema' ELSE r.item ->> 'schema' END) q(schema_name),
         LATERAL zanith._render_renames(jsonb_build_array(r.item || jsonb_build_object('schema', q.schema_name)), NULL, true) n(steps),
         LATERAL zanith._each(CASE
            WHEN r.item ->> 'kind' = 'sequence' OR live IS NULL AND p.ord = 0 AND NOT zanith._may_be_shared(p.part, r.item) THEN n.steps
            WHEN live IS NULL THEN (SELECT jsonb_agg(y.item || jsonb_build_object('sql', zanith._do(format(
                'BEGIN IF %s THEN EXECUTE %L; END IF; END', zanith._returns_query(r.item ->> 'kind', q.schema_name, r.item ->> 'parked', d #>> '{parked,column}'),
                y.item ->> 'sql')))) FROM zanith._each(n.steps) y)
            WHEN zanith._returns(r.item ->> 'kind', q.schema_name, r.item ->> 'parked', d #>> '{parked,column}') THEN n.steps
            ELSE '[]' END) s
); END $$;

-- Whether the object that is parked under a name is over more than one column.
CREATE OR REPLACE FUNCTION zanith._may_be_shared(part jsonb, rename jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT EXISTS (SELECT FROM zanith._each((part -> 'indexes') || (part -> 'statistics')) o
                   WHERE o.item ->> 'name' = rename ->> 'name' AND jsonb_array_length(o.item -> 'columns') > 1)
); END $$;

-- The condition, for now and for a script: it is there, and no column of it but this one is parked.
CREATE OR REPLACE FUNCTION zanith._returns_query(kind text, schema_name text, parked text, parked_column text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT CASE kind WHEN 'index' THEN format(
        'EXISTS (SELECT FROM pg_catalog.pg_class x JOIN pg_catalog.pg_namespace n ON n.oid = x.relnamespace JOIN pg_catalog.pg_index i ON i.indexrelid = x.oid '
        'WHERE n.nspname = %L AND x.relname = %L AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND ' || q.names_it ||
        ' AND pg_catalog.starts_with(a.attname, ''_zanith_dropped_'') AND a.attname <> %L))', schema_name, parked, 'pg_catalog.pg_class', parked_column)
    ELSE format(
        'EXISTS (SELECT FROM pg_catalog.pg_statistic_ext x JOIN pg_catalog.pg_namespace n ON n.oid = x.stxnamespace '
        'WHERE n.nspname = %L AND x.stxname = %L AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = x.stxrelid AND ' || q.names_it ||
        ' AND pg_catalog.starts_with(a.attname, ''_zanith_dropped_'') AND a.attname <> %L))', schema_name, parked, 'pg_catalog.pg_statistic_ext', parked_column) END
    -- by dependency: a column may stand in an expression or predicate alone
    FROM (SELECT 'EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = %L::pg_catalog.regclass AND d.objid = x.oid '
                 'AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum)') q(names_it)
); END $$;

CREATE OR REPLACE FUNCTION zanith._returns(kind text, schema_name text, parked text, parked_column text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    yes boolean;
BEGIN
    EXECUTE 'SELECT ' || zanith._returns_query(kind, schema_name, parked, parked_column) INTO yes;
    RETURN yes;
END $$;

-- The present name of a column that was renamed since: a number stays a column's for as long as the table does.
CREATE OR REPLACE FUNCTION zanith._name_now(d jsonb, live oid, name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT a.attname FROM pg_attribute a
    WHERE live = (d #>> '{table,oid}')::oid AND a.attrelid = live AND a.attnum = (d -> 'numbers' ->> name)::smallint
      AND NOT a.attisdropped AND NOT starts_with(a.attname, '_zanith_dropped_') AND a.attname <> name
); END $$;

-- Whether a column is gone for good: neither there nor renamed nor archived, nor generated from the one that comes back.
CREATE OR REPLACE FUNCTION zanith._is_gone(d jsonb, live oid, name text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT live IS NOT NULL AND name <> d #>> '{column,name}' AND zanith._attribute_number(live, name) IS NULL AND zanith._name_now(d, live, name) IS NULL
       AND NOT EXISTS (SELECT FROM zanith._each(d #> '{cascade,columns}') g WHERE g.item ->> 'name' = name)
       AND NOT COALESCE(d -> 'beside', '[]') ? name
       AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts o
                       WHERE o.source_column = name AND (o.status = 'recoverable' OR zanith.is_recoverable_again(o.id)) AND o.id <> d ->> 'id'
                         AND (o.source_schema = d #>> '{table,schema}' AND o.source_table = d #>> '{table,name}'
                              OR o.definition #> '{table,oid}' = d #> '{table,oid}' AND o.definition -> 'database' = d -> 'database'))
); END $$;

-- What also names a column which is gone for good went with it, as after DROP, and stays away: what it is called, and that column.

-- Dependents, and what hangs on them.
CREATE OR REPLACE FUNCTION zanith._find_lost_dependents(d jsonb, live oid) RETURNS TABLE (called text, "column" text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE dependents AS (
        SELECT x.item -> 'uses' AS uses FROM jsonb_each(d -> 'cascade') k, LATERAL zanith._each(k.value) x WHERE k.key <> 'order' AND x.item ? 'uses'
    ), lost(called, "column") AS (
        SELECT x.uses ->> 'called', c.name
        FROM dependents x, LATERAL jsonb_array_elements_text(x.uses -> 'columns') c(name) WHERE zanith._is_gone(d, live, c.name)
        UNION
        SELECT x.uses ->> 'called', l."column" FROM lost l JOIN dependents x ON x.uses -> 'upon' ? l.called
    )
    SELECT DISTINCT ON (l.called) l.called, l."column" FROM lost l ORDER BY l.called, l."column"
$$;

-- Columns of the table that one of its constraints, indexes, statistics or foreign keys to it names.
CREATE OR REPLACE FUNCTION zanith._columns_of(list text, item jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE list WHEN 'references' THEN item #> '{foreign_key,references}'
        ELSE COALESCE(NULLIF(item -> 'columns', 'null'), '[]') || COALESCE(NULLIF(item #> '{index,columns}', 'null'), '[]') END
$$;

-- Constraints, indexes, statistics and foreign keys to it, by the list that has them.
CREATE OR REPLACE FUNCTION zanith._find_lost(d jsonb, live oid) RETURNS TABLE (list text, called text, name text, "column" text)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT ON (k.list, x.item ->> 'name') k.list, format('the %s %I', COALESCE(x.item ->> 'kind' || ' constraint', k.kind), x.item ->> 'name'),
           x.item ->> 'name', c.name
    FROM (VALUES ('constraints', 'constraint'), ('indexes', 'index'), ('statistics', 'statistics object'), ('references', 'foreign key')) k(list, kind),
         LATERAL zanith._each(d -> k.list) x, LATERAL jsonb_array_elements_text(zanith._columns_of(k.list, x.item)) c(name)
    WHERE zanith._is_gone(d, live, c.name)
      AND NOT jsonb_path_exists(COALESCE(x.item #> '{parked,columns}', '{}'), '$.* ? (@ == $name)', jsonb_build_object('name', c.name))
    ORDER BY k.list, x.item ->> 'name', c.name
$$;

-- The definition without what is lost, which it names under `lost`.
CREATE OR REPLACE FUNCTION zanith._without_lost(d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    lost record;
    dependents jsonb;
    g jsonb;
    generated jsonb := '[]';
BEGIN
    IF NOT d ? 'column' OR live IS NULL THEN
        RETURN d;
    END IF;
    IF d @? '$.cascade.*[*].uses' THEN
        SELECT jsonb_agg(l.called), jsonb_agg(to_jsonb(l)) INTO dependents, g FROM zanith._find_lost_dependents(d, live) l;
    END IF;
    IF dependents IS NOT NULL THEN
        d := d || jsonb_build_object('lost', g, 'cascade', zanith._without_dependents(d -> 'cascade', dependents),
            'needs', (SELECT zanith._list(n.item ORDER BY n.ord) FROM zanith._each(d -> 'needs') n WHERE NOT dependents ? (n.item ->> 'by')));
    END IF;
    FOR lost IN SELECT l.* FROM zanith._find_lost(d, live) l LOOP
        d := d || jsonb_build_object(
            lost.list, (SELECT zanith._list(x.item ORDER BY x.ord) FROM zanith._each(d -> lost.list) x
                        WHERE NOT (x.item ->> 'name' = lost.name AND zanith._columns_of(lost.list, x.item) ? lost."column")),
            'tree', (SELECT zanith._list(t.item || jsonb_build_object(lost.list, (
                         SELECT zanith._list(x.item ORDER BY x.ord) FROM zanith._each(t.item -> lost.list) x
                         WHERE NOT zanith._columns_of(lost.list, x.item) ? lost."column")) ORDER BY t.ord) FROM zanith._each(d -> 'tree') t),
            'lost', COALESCE(d -> 'lost', '[]') || jsonb_build_object('called', lost.called, 'column', lost."column"));
    END LOOP;
    -- what columns that are generated from it have with others: each comes back beside the rest of them
    FOR g IN SELECT x.item FROM zanith._each(d #> '{cascade,columns}') x ORDER BY x.ord LOOP
        g := zanith._without_lost(g || jsonb_build_object('beside', jsonb_path_query_array(d, '$.cascade.columns[*].name')),
            CASE WHEN g #> '{table,oid}' = d #> '{table,oid}' THEN live ELSE zanith._relation_oid(g #>> '{table,schema}', g #>> '{table,name}') END);
        d := d || jsonb_strip_nulls(jsonb_build_object('lost', COALESCE(d -> 'lost' || (g -> 'lost'), d -> 'lost', g -> 'lost')));
        generated := generated || (g - 'beside' - 'lost');
    END LOOP;
    RETURN CASE WHEN generated = '[]' THEN d ELSE jsonb_set(d, '{cascade,columns}', generated) END;
END $$;

-- A cascade without some of what it dropped; `order` counts the others anew.
CREATE OR REPLACE FUNCTION zanith._without_dependents(cascade jsonb, called jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    WITH kept AS (
        SELECT k.key AS list, x.ord, x.item, row_number() OVER (PARTITION BY k.key ORDER BY x.ord) - 1 AS place
        FROM jsonb_each(cascade - 'order') k, LATERAL zanith._each(k.value) x
        WHERE NOT called ? COALESCE(x.item #>> '{uses,called}', '')
    )
    SELECT (SELECT jsonb_object_agg(k.key, (SELECT zanith._list(x.item ORDER BY x.ord) FROM kept x WHERE x.list = k.key))
            FROM jsonb_object_keys(cascade - 'order') k(key))
        || jsonb_build_object('order', (
            SELECT zanith._list(jsonb_build_array(x.list, x.place) ORDER BY o.ord)
            FROM zanith._each(cascade -> 'order') o JOIN kept x ON x.list = o.item ->> 0 AND x.ord - 1 = (o.item ->> 1)::bigint))
); END $$;
