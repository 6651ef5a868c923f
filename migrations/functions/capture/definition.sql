-- Definitions: everything the restore will need, read from the catalog before anything changes.

-- Names that must be free afterwards: [{kind, schema, name, parked}], ordinals in one sequence from `first`. What is
-- parked already keeps that name.
CREATE OR REPLACE FUNCTION zanith._park_names(names jsonb, id text, first integer DEFAULT 1) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object(
        'parked', zanith._parked_name(n.item ->> 'name', id, first - 1 + n.ord::integer)) || n.item ORDER BY n.ord)
    FROM zanith._each(names) n
); END $$;

CREATE OR REPLACE FUNCTION zanith._names_of(names jsonb, relation oid) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT ARRAY(SELECT n.item #>> '{}' FROM zanith._each(names -> relation::text) n)); END $$;

-- soft_drop_column and archive_column.
CREATE OR REPLACE FUNCTION zanith._define_column(strategy text, relation oid, column_name text, id text, on_dependents text, gone text[] DEFAULT '{}')
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    soft boolean := strategy = 'soft_drop_column';
    num smallint := zanith._attribute_number(relation, column_name);
    t jsonb;
    schema_name text;
    dependents jsonb := zanith._list_dependents(relation, num, gone => gone);
    alone boolean := dependents = '[]' AND gone = '{}';
    -- names of columns generated from it that a cascade drops, by table
    going jsonb := CASE WHEN on_dependents = 'cascade' AND NOT alone THEN (
        SELECT jsonb_object_agg(g.object, g.names)
        FROM (SELECT d.object, array_agg(a.attname) AS names
              FROM zanith._find_dependents(relation, num, gone => gone) d JOIN pg_attribute a ON a.attrelid = d.object AND a.attnum = d.subobject
              WHERE d.kind = 'column' GROUP BY d.object) g) END;
    part jsonb := zanith._describe_part(relation, column_name, id, soft, 1, zanith._names_of(going, relation));
    tree jsonb := '[]';
    cascade jsonb := CASE WHEN on_dependents <> 'cascade' THEN '{}' WHEN alone THEN zanith._no_cascade() ELSE zanith._describe_cascade(relation, num, id, gone) END;
    ordinal integer := 1 + jsonb_array_length(part -> 'renames');
    kept jsonb := zanith._describe_kept(relation, num);
    m oid;
BEGIN
    SELECT n.nspname, jsonb_build_object(
               'schema', n.nspname, 'name', c.relname, 'owner', pg_get_userbyid(c.relowner),
               'force_row_security', c.relforcerowsecurity, 'oid', c.oid, 'runner', zanith._runner(pg_get_userbyid(c.relowner)), 'keyed', zanith._key_calls_code(c.oid),
               'whole', c.relkind = 'p' OR EXISTS (SELECT FROM pg_inherits WHERE inhparent = c.oid) AND NOT zanith._children_keep(relation, column_name))
    INTO schema_name, t
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    FOR m IN SELECT f.member FROM zanith._bearers(relation, column_name) f WHERE f.member <> relation LOOP
        tree := tree || zanith._describe_part(m, column_name, id, soft, ordinal, zanith._names_of(going, m));
        ordinal := ordinal + jsonb_array_length(tree -> -1 -> 'renames');
    END LOOP;
    RETURN jsonb_build_object(
        'format', 1, 'strategy', strategy, 'id', id, 'server_version', current_setting('server_version_num')::integer,
        'table', t, 'direct', strategy = 'archive_column' AND zanith._copies_directly(relation), 'column', part -> 'column',
        'parked', CASE WHEN soft
            THEN jsonb_build_object('schema', schema_name, 'table', t ->> 'name',
                                    'column', zanith._parked_name(column_name, id))
            ELSE jsonb_build_object('schema', '_zanith_shadow',
                                    'table', zanith._parked_name((t ->> 'name') || '_' || column_name, id, 0, '_zanith_archive_'),
                                    'column', column_name, 'type', kept -> 'type', 'text', kept -> 'text') END,
        'kept', kept,
        'measured', zanith._measured_columns(relation, COALESCE(jsonb_path_query_array(zanith._find_key(relation, num), '$[*].name'), '[]')),
        -- a key tells apart the rows of one table, not those of its children
        'key', CASE WHEN soft OR NOT EXISTS (SELECT FROM zanith._bearers(relation, column_name) f JOIN pg_class c ON c.oid = f.member WHERE f.member <> relation AND NOT c.relispartition)
               THEN zanith._find_key(relation, num) END,
        'constraints', part -> 'constraints', 'references', part -> 'references',
        'indexes', part -> 'indexes', 'statistics', part -> 'statistics', 'renames', part -> 'renames',
        'numbers', zanith._number_neighbours(relation, part || jsonb_build_object('cascade', cascade)),
        'tree', tree, 'keepers', zanith._describe_keepers(relation, column_name), 'cascade', cascade,
        'publications', zanith._describe_publications(relation),
        'dependents', dependents,
        'on_dependents', on_dependents, 'earlier', '[]'::jsonb,
        -- text in the archive keeps its labels
        'labels', CASE WHEN soft THEN '{}' ELSE zanith._describe_labels(relation, COALESCE(jsonb_path_query_array(zanith._find_key(relation, num), '$[*].name'), '[]')
            || CASE WHEN kept IS NULL THEN to_jsonb(column_name) ELSE '[]' END) END,
        'needs', zanith._describe_needs(relation, num), 'database', zanith._database_identity(),
        'partners', zanith._describe_partners(ARRAY(SELECT f.member FROM zanith._family(relation) f), cascade));
END $$;

-- {name: number} of the columns that constraints, indexes, statistics and dependents of a part name: a renamed one keeps it.
CREATE OR REPLACE FUNCTION zanith._number_neighbours(relation oid, part jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_object_agg(a.attname, a.attnum), '{}') FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
      AND jsonb_path_query_array(part, '$.**.columns[*]') ? a.attname
); END $$;

-- A column that is generated from the one that goes: a definition of its own, but for what names both, which is recorded there.
-- `later`: other such columns of the table, which come back after it; what names one of them too is recorded there.
CREATE OR REPLACE FUNCTION zanith._define_generated(relation oid, column_name text, later text[], origin oid, attribute smallint, id text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._without_shared(q.d, relation, o.attname || later)
           || jsonb_build_object('name', column_name, 'tree', (
                SELECT zanith._list(zanith._without_shared(t.item, zanith._relation_oid(t.item ->> 'schema', t.item ->> 'name'), o.attname || later) ORDER BY t.ord)
                FROM zanith._each(q.d -> 'tree') t))
    FROM (SELECT zanith._define_column('archive_column', relation, column_name, id, 'refuse') - 'dependents' - 'publications' - 'key' - 'earlier') q(d),
         pg_attribute o
    WHERE o.attrelid = origin AND o.attnum = attribute
); END $$;

-- A part without the constraints, indexes, statistics and foreign keys to it that name one of other columns too.
CREATE OR REPLACE FUNCTION zanith._without_shared(part jsonb, relation oid, others text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH of_others AS MATERIALIZED (
        SELECT zanith._describe_part(relation, o.name, '', false) AS other
        FROM unnest(others) o(name) WHERE zanith._attribute_number(relation, o.name) IS NOT NULL
    )
    SELECT part || (SELECT jsonb_object_agg(k.key, (
               SELECT zanith._list(x.item ORDER BY x.ord) FROM zanith._each(part -> k.key) x
               WHERE NOT EXISTS (SELECT FROM of_others o, LATERAL zanith._each(o.other -> k.key) y
                                 WHERE y.item -> 'name' = x.item -> 'name' AND y.item -> 'table' IS NOT DISTINCT FROM x.item -> 'table'
                                   AND y.item -> 'schema' IS NOT DISTINCT FROM x.item -> 'schema')))
           FROM (VALUES ('constraints'), ('indexes'), ('statistics'), ('references')) k(key))
); END $$;

-- What one table of a family has of a column: the column, all that names it, and the names to park, from ordinal `first` on.
-- What also names a column in `going`, generated from it, goes with that and is made again: it is not plain.
CREATE OR REPLACE FUNCTION zanith._describe_part(relation oid, column_name text, id text, soft boolean, first integer DEFAULT 1, going text[] DEFAULT '{}')
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    num smallint := zanith._attribute_number(relation, column_name);
    named jsonb := jsonb_build_array(column_name);
    col jsonb := zanith._describe_column(relation, num);
    -- the change to the base type would make the indexes of a partitioned table anew, under other names
    retyped boolean := soft AND col ->> 'base_type' IS NOT NULL
        AND EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND (c.relkind = 'p' OR c.relispartition));
    indexes jsonb;
    stats jsonb;
    part jsonb;
BEGIN
    -- and would lose the extensions of any index
    SELECT zanith._list(zanith._with_original_names(x.item || CASE WHEN retyped OR x.item -> 'columns' ?| going
                                OR soft AND col ->> 'base_type' IS NOT NULL AND x.item ? 'extensions'
                              THEN '{"plain": false}'::jsonb ELSE '{}' END)
                              ORDER BY x.ord) INTO indexes
    FROM zanith._each(zanith._describe_indexes(relation, num)) x;
    -- nor is one that the change to the base type would make anew, in words that PostgreSQL reads otherwise
    SELECT zanith._list(zanith._with_original_names(x.item || CASE WHEN x.item -> 'columns' ?| going
                                OR soft AND col ->> 'base_type' IS NOT NULL AND zanith._round_trip_safe(x.item ->> 'definition') <> x.item ->> 'definition'
                              THEN '{"plain": false}'::jsonb ELSE '{}' END)
                              ORDER BY x.ord) INTO stats
    FROM zanith._each(zanith._describe_statistics(relation)) x WHERE x.item -> 'columns' @> named;
    SELECT jsonb_build_object(
        'schema', n.nspname, 'name', c.relname, 'owner', pg_get_userbyid(c.relowner),
        'column', col,
        -- a foreign key that the parent gives comes with the parent's
        'constraints', (SELECT zanith._list(k.item ORDER BY k.ord) FROM zanith._each(zanith._describe_constraints(relation, num)) k
                        WHERE NOT (zanith._constraint_is(k.item, 'reference') AND (k.item ->> 'inherited')::boolean AND first > 0)),
        'references', zanith._describe_references(relation, num),
        'indexes', indexes, 'statistics', stats,
        'renames', zanith._park_names(
            CASE WHEN soft THEN (
                SELECT zanith._list(zanith._rename_entry('index', n.nspname, x.item) ORDER BY x.ord)
                FROM zanith._each(indexes) x WHERE (x.item ->> 'plain')::boolean)
              || (
                SELECT zanith._list(zanith._rename_entry('statistics', x.item ->> 'schema', x.item) ORDER BY x.ord)
                FROM zanith._each(stats) x WHERE COALESCE((x.item ->> 'plain')::boolean, true)) ELSE '[]' END
            || (
                SELECT zanith._list(jsonb_build_object('kind', 'sequence', 'schema', x.item ->> 'schema', 'name', x.item ->> 'name') ORDER BY x.ord)
                FROM zanith._each(col -> 'sequences') x WHERE NOT (x.item ->> 'identity')::boolean), id, first))
    INTO part
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    RETURN part;
END $$;

-- The parts of a column's definition: the table's own first, under the name that it goes by (recorded, or `now`), then
-- those of its descendants.
CREATE OR REPLACE FUNCTION zanith._parts(d jsonb, now_schema text DEFAULT NULL, now_table text DEFAULT NULL)
RETURNS TABLE (ord bigint, part jsonb, target text) LANGUAGE sql IMMUTABLE ROWS 3 AS $$
    SELECT 0::bigint, jsonb_build_object('schema', q.schema_name, 'name', q.table_name, 'owner', d #> '{table,owner}',
               'column', d -> 'column', 'constraints', d -> 'constraints', 'references', d -> 'references',
               'indexes', d -> 'indexes', 'statistics', d -> 'statistics', 'renames', d -> 'renames'),
           zanith._qualify(q.schema_name, q.table_name)
    FROM (SELECT COALESCE(now_schema, d #>> '{table,schema}'), COALESCE(now_table, d #>> '{table,name}')) q(schema_name, table_name)
    UNION ALL
    SELECT t.ord, t.item, zanith._qualify(t.item ->> 'schema', t.item ->> 'name') FROM zanith._each(d -> 'tree') t
$$;

-- Foreign keys of other tables that point at the table or at what goes with it.
CREATE OR REPLACE FUNCTION zanith._all_references(d jsonb) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE ROWS 3 AS $$
    SELECT r.item FROM zanith._each(d -> 'references') r
    UNION ALL
    SELECT r.item FROM zanith._each(d -> 'tree') t, LATERAL zanith._each(t.item -> 'references') r
$$;

-- Whether a part of a column is NOT NULL by itself, not only because its parent's is.
CREATE OR REPLACE FUNCTION zanith._has_own_not_null(d jsonb, ord bigint, part jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(part #> '{column,not_null}', 'null') <> 'null'
       AND (ord = 0 OR COALESCE((part #>> '{column,not_null,local}')::boolean, COALESCE(d #> '{column,not_null}', 'null') = 'null'))
$$;

-- soft_drop_table and archive_table: the table with its tree of partitions, each with its own names to park. `gone`: what its
-- companions take along. `brief`: without the partitions after the first.
CREATE OR REPLACE FUNCTION zanith._define_table(strategy text, relation oid, id text, on_dependents text, gone text[] DEFAULT '{}', brief boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    members jsonb;
    list jsonb[] := '{}';
    renames jsonb;
    ordinal integer := 1;
    m record;
    t jsonb;
    keyed boolean := zanith._key_calls_code(relation);
    plain boolean := zanith._has_plain_keys(relation);
    dependents jsonb := zanith._list_dependents(relation, gone => gone);
    alone boolean := dependents = '[]' AND gone = '{}';
    cascade jsonb := CASE WHEN on_dependents <> 'cascade' THEN '{}' WHEN alone THEN zanith._no_cascade() ELSE zanith._describe_cascade(relation, gone => gone) END;
    shadow boolean := strategy = 'archive_table';
    -- a cascade takes inheritance children along, as DROP does
    family boolean := on_dependents = 'cascade' AND EXISTS (
        SELECT FROM zanith._family(relation, gone) x JOIN pg_class c ON c.oid = x.member AND NOT c.relispartition WHERE x.member <> relation);
    tables oid[] := ARRAY[relation];
BEGIN
    FOR m IN SELECT x.member, x.depth FROM zanith._tree(relation) x WHERE NOT family
             UNION ALL SELECT x.member, x.depth FROM zanith._family(relation, gone) x WHERE family LOOP
        EXIT WHEN brief AND cardinality(list) > 1;
        IF NOT family AND m.depth > 0 THEN
            tables := tables || m.member;
        END IF;
        t := zanith._describe_table(m.member, CASE WHEN m.depth > 0 AND NOT keyed THEN false END);
        SELECT zanith._list(jsonb_build_object('kind', n.kind, 'schema', n.schema_name, 'name', n.name)
                                  || CASE WHEN n.moves THEN '{"parked_schema": "_zanith_shadow"}' ELSE '{}' END::jsonb
                                  ORDER BY n.kind, n.name COLLATE "C")
        INTO renames
        FROM (
            SELECT 'index' AS kind, t ->> 'schema' AS schema_name, c.relname::text AS name, false AS moves
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = m.member
            UNION ALL
            -- SET SCHEMA leaves them behind, where DROP SCHEMA would drop them
            SELECT 'statistics', x.item ->> 'schema', x.item ->> 'name', shadow AND pg_has_role(zanith._own_role(), x.item ->> 'owner', 'USAGE')
            FROM zanith._each(t -> 'statistics') x
            UNION ALL
            SELECT 'sequence', s.item ->> 'schema', s.item ->> 'name', false
            FROM zanith._each(t -> 'columns') c, LATERAL zanith._each(c.item -> 'sequences') s
        ) n;
        list := list || (jsonb_build_object(
            'schema', t ->> 'schema', 'name', t ->> 'name', 'depth', m.depth,
            'parked_schema', CASE WHEN shadow THEN '_zanith_shadow' ELSE t ->> 'schema' END,
            'parked', CASE WHEN m.depth = 0 THEN zanith._parked_name(t ->> 'name', id)
                           ELSE zanith._parked_name(t ->> 'name', id, ordinal) END,
            'renames', zanith._park_names(renames, id, ordinal + 1),
            'definition', t) || CASE WHEN NOT plain THEN '{}' WHEN m.depth > 0 AND t -> 'partition_of' <> 'null' THEN '{"cloned": true}'
                                                WHEN (t ->> 'partitioned')::boolean THEN '{"clones": true}' ELSE '{}' END::jsonb);
        ordinal := ordinal + 1 + jsonb_array_length(renames);
    END LOOP;
    members := to_jsonb(list);
    RETURN jsonb_build_object(
        'format', 1, 'strategy', strategy, 'id', id, 'server_version', current_setting('server_version_num')::integer,
        'table', jsonb_build_object('schema', members #>> '{0,schema}', 'name', members #>> '{0,name}',
                                    'owner', members #>> '{0,definition,owner}', 'oid', relation,
                                    'runner', zanith._runner(members #>> '{0,definition,owner}'), 'keyed', keyed,
                                    'whole', family OR (members #>> '{0,definition,partitioned}')::boolean),
        'parked', jsonb_build_object('schema', members #>> '{0,parked_schema}', 'table', members #>> '{0,parked}'),
        'members', members,
        -- of inheritance children too, which stay where they are
        'owners', (SELECT jsonb_agg(DISTINCT pg_get_userbyid(c.relowner)) FROM zanith._family(relation) f JOIN pg_class c ON c.oid = f.member),
        'placeholders', (SELECT zanith._list(h.item || jsonb_build_object('other_owner',
                                 COALESCE(zanith._owner_of_table(h.item) <> members #>> '{0,definition,owner}', false)) ORDER BY h.ord)
                         FROM zanith._each(zanith._park_names(members #> '{0,definition,inherits}', id, ordinal)) h),
        -- a key tells apart the rows of one table, not those of its children
        'key', CASE WHEN NOT family THEN zanith._find_key(relation) END,
        'references', zanith._describe_tree_references(relation, family, gone),
        'cascade', cascade,
        'publications', (SELECT zanith._list(DISTINCT p.item) FROM zanith._each(members) x,
                         LATERAL zanith._each(x.item #> '{definition,publications}') p),
        'dependents', dependents,
        'on_dependents', on_dependents, 'earlier', '[]'::jsonb,
        'labels', zanith._describe_labels(relation),
        'needs', CASE WHEN on_dependents = 'cascade' AND NOT alone THEN zanith._describe_needs(relation) ELSE '[]' END, 'database', zanith._database_identity(),
        'partners', zanith._describe_partners(tables, cascade));
END $$;

-- Foreign keys from outside the tree that point into it, or at a parent of it: those point at its rows too.
CREATE OR REPLACE FUNCTION zanith._describe_tree_references(relation oid, family boolean, gone text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH tree AS (SELECT member FROM zanith._tree(relation) UNION SELECT f.member FROM zanith._family(relation, gone) f WHERE family),
         above AS (SELECT a.relid::oid AS member FROM pg_partition_ancestors(relation) a(relid) WHERE a.relid <> relation)
    SELECT zanith._list(zanith._describe_constraint(c.oid) ORDER BY c.oid)
    FROM zanith._foreign_keys_to(ARRAY(SELECT member FROM tree UNION ALL SELECT member FROM above)) c
    WHERE c.conrelid NOT IN (SELECT member FROM tree) AND c.conparentid = 0
      AND NOT zanith._reached('pg_class'::regclass, c.conrelid, 0, false) = ANY (gone)
); END $$;

-- rebuild_table: the full definition; nothing moves.
CREATE OR REPLACE FUNCTION zanith._define_rebuild(relation oid, id text, keep_rows boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'format', 1, 'strategy', 'rebuild_table', 'id', id,
        'server_version', current_setting('server_version_num')::integer,
        'table', jsonb_build_object('schema', t ->> 'schema', 'name', t ->> 'name', 'owner', t ->> 'owner',
                                    'force_row_security', t -> 'force_row_security', 'oid', relation,
                                    'runner', zanith._runner(t ->> 'owner'), 'partitioned', t -> 'partitioned'),
        'direct', keep_rows AND zanith._copies_directly(relation), 'measured', zanith._measured_columns(relation),
        'definition', t,
        'labels', CASE WHEN keep_rows THEN zanith._describe_labels(relation) ELSE '{}' END, 'database', zanith._database_identity(),
        'parked', CASE WHEN keep_rows THEN jsonb_build_object('schema', '_zanith_shadow',
                  'table', zanith._parked_name(t ->> 'name', id, 0, '_zanith_archive_')) END,
        'key', zanith._find_key(relation),
        'references', zanith._describe_references(relation),
        'publications', t -> 'publications',
        'dependents', zanith._list_dependents(relation),
        'on_dependents', 'keep')
    FROM (SELECT zanith._describe_table(relation)) d(t)
); END $$;
