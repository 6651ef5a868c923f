-- Definitions: everything the restore will need, read from the catalog before anything changes.

-- Names that must be free afterwards: [{kind, schema, name, parked}], ordinals in one sequence from `first`.
CREATE OR REPLACE FUNCTION zanith._park_names(names jsonb, id text, first integer DEFAULT 1) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(jsonb_agg(n.item || jsonb_build_object(
        'parked', zanith._parked_name(n.item ->> 'name', id, first - 1 + n.ord::integer)) ORDER BY n.ord), '[]')
    FROM zanith._each(names) n
$$;

-- soft_drop_column and archive_column.
CREATE OR REPLACE FUNCTION zanith._define_column(strategy text, relation oid, column_name text, id text, on_dependents text)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    soft boolean := strategy = 'soft_drop_column';
    num smallint := zanith._attribute_number(relation, column_name);
    t jsonb;
    col jsonb := zanith._describe_column(relation, num);
    named jsonb := jsonb_build_array(column_name);
    schema_name text;
    indexes jsonb;
    stats jsonb;
BEGIN
    SELECT n.nspname, jsonb_build_object(
               'schema', n.nspname, 'name', c.relname, 'owner', pg_get_userbyid(c.relowner),
               'force_row_security', c.relforcerowsecurity, 'oid', c.oid)
    INTO schema_name, t
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    SELECT COALESCE(jsonb_agg(x.item ORDER BY x.ord), '[]') INTO indexes
    FROM zanith._each(zanith._describe_indexes(relation)) x WHERE x.item -> 'columns' @> named;
    SELECT COALESCE(jsonb_agg(x.item ORDER BY x.ord), '[]') INTO stats
    FROM zanith._each(zanith._describe_statistics(relation)) x WHERE x.item -> 'columns' @> named;
    RETURN jsonb_build_object(
        'format', 1, 'strategy', strategy, 'id', id, 'server_version', current_setting('server_version_num')::integer,
        'table', t, 'column', col,
        'parked', CASE WHEN soft
            THEN jsonb_build_object('schema', schema_name, 'table', t ->> 'name',
                                    'column', zanith._parked_name(column_name, id))
            ELSE jsonb_build_object('schema', '_zanith_shadow',
                                    'table', zanith._parked_name((t ->> 'name') || '_' || column_name, id, 0, '_zanith_archive_'),
                                    'column', column_name) END,
        'key', zanith._find_key(relation, num),
        'constraints', zanith._describe_constraints(relation, num),
        'references', zanith._describe_references(relation, num),
        'indexes', indexes, 'statistics', stats,
        'cascade', CASE WHEN on_dependents = 'cascade' THEN zanith._describe_cascade(relation, num) ELSE '{}' END,
        'renames', zanith._park_names(
            CASE WHEN soft THEN COALESCE((
                SELECT jsonb_agg(jsonb_build_object('kind', 'index', 'schema', schema_name, 'name', x.item ->> 'name') ORDER BY x.ord)
                FROM zanith._each(indexes) x WHERE (x.item ->> 'plain')::boolean), '[]')
              || COALESCE((
                SELECT jsonb_agg(jsonb_build_object('kind', 'statistics', 'schema', x.item ->> 'schema', 'name', x.item ->> 'name') ORDER BY x.ord)
                FROM zanith._each(stats) x), '[]') ELSE '[]' END
            || COALESCE((
                SELECT jsonb_agg(jsonb_build_object('kind', 'sequence', 'schema', x.item ->> 'schema', 'name', x.item ->> 'name') ORDER BY x.ord)
                FROM zanith._each(col -> 'sequences') x WHERE NOT (x.item ->> 'identity')::boolean), '[]'), id),
        'publications', zanith._describe_publications(relation),
        'dependents', zanith._list_dependents(relation, num),
        'on_dependents', on_dependents);
END $$;

-- soft_drop_table and archive_table: the table with its tree of partitions, each with its own names to park.
CREATE OR REPLACE FUNCTION zanith._define_table(strategy text, relation oid, id text, on_dependents text)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    members jsonb := '[]';
    renames jsonb;
    ordinal integer := 1;
    m record;
    t jsonb;
    shadow boolean := strategy = 'archive_table';
BEGIN
    FOR m IN SELECT x.member, x.depth FROM zanith._tree(relation) x LOOP
        t := zanith._describe_table(m.member);
        SELECT COALESCE(jsonb_agg(jsonb_build_object('kind', n.kind, 'schema', n.schema_name, 'name', n.name)
                                  ORDER BY n.kind, n.name COLLATE "C"), '[]')
        INTO renames
        FROM (
            SELECT 'index' AS kind, t ->> 'schema' AS schema_name, c.relname::text AS name
            FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = m.member
            UNION ALL
            SELECT 'statistics', x.item ->> 'schema', x.item ->> 'name' FROM zanith._each(t -> 'statistics') x
            UNION ALL
            SELECT 'sequence', s.item ->> 'schema', s.item ->> 'name'
            FROM zanith._each(t -> 'columns') c, LATERAL zanith._each(c.item -> 'sequences') s
        ) n;
        members := members || jsonb_build_object(
            'schema', t ->> 'schema', 'name', t ->> 'name', 'depth', m.depth,
            'parked_schema', CASE WHEN shadow THEN '_zanith_shadow' ELSE t ->> 'schema' END,
            'parked', CASE WHEN m.depth = 0 THEN zanith._parked_name(t ->> 'name', id)
                           ELSE zanith._parked_name(t ->> 'name', id, ordinal) END,
            'renames', zanith._park_names(renames, id, ordinal + 1),
            'definition', t);
        ordinal := ordinal + 1 + jsonb_array_length(renames);
    END LOOP;
    RETURN jsonb_build_object(
        'format', 1, 'strategy', strategy, 'id', id, 'server_version', current_setting('server_version_num')::integer,
        'table', jsonb_build_object('schema', members #>> '{0,schema}', 'name', members #>> '{0,name}',
                                    'owner', members #>> '{0,definition,owner}', 'oid', relation),
        'parked', jsonb_build_object('schema', members #>> '{0,parked_schema}', 'table', members #>> '{0,parked}'),
        'members', members,
        'key', zanith._find_key(relation),
        'references', zanith._describe_tree_references(relation),
        'cascade', CASE WHEN on_dependents = 'cascade' THEN zanith._describe_cascade(relation) ELSE '{}' END,
        'publications', (SELECT COALESCE(jsonb_agg(DISTINCT p.item), '[]') FROM zanith._each(members) x,
                         LATERAL zanith._each(x.item #> '{definition,publications}') p),
        'dependents', zanith._list_dependents(relation),
        'on_dependents', on_dependents);
END $$;

-- Foreign keys from outside the tree that point into it, or at a parent of it: those point at its rows too.
CREATE OR REPLACE FUNCTION zanith._describe_tree_references(relation oid) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    WITH tree AS (SELECT member FROM zanith._tree(relation)),
         above AS (SELECT a.relid::oid AS member FROM pg_partition_ancestors(relation) a(relid) WHERE a.relid <> relation)
    SELECT COALESCE(jsonb_agg(zanith._describe_constraint(c.oid)
                              ORDER BY zanith._relation_name(c.conrelid) COLLATE "C", c.conname COLLATE "C"), '[]')
    FROM pg_constraint c
    WHERE c.confrelid IN (SELECT member FROM tree UNION ALL SELECT member FROM above) AND c.conrelid NOT IN (SELECT member FROM tree)
      AND c.contype = 'f' AND c.conparentid = 0
$$;

-- rebuild_table: the full definition; nothing moves.
CREATE OR REPLACE FUNCTION zanith._define_rebuild(relation oid, id text, keep_rows boolean) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT jsonb_build_object(
        'format', 1, 'strategy', 'rebuild_table', 'id', id,
        'server_version', current_setting('server_version_num')::integer,
        'table', jsonb_build_object('schema', t ->> 'schema', 'name', t ->> 'name', 'owner', t ->> 'owner',
                                    'force_row_security', t -> 'force_row_security', 'oid', relation,
                                    'partitioned', t -> 'partitioned'),
        'definition', t,
        'parked', CASE WHEN keep_rows THEN jsonb_build_object('schema', '_zanith_shadow',
                  'table', zanith._parked_name(t ->> 'name', id, 0, '_zanith_archive_')) END,
        'key', zanith._find_key(relation),
        'references', zanith._describe_references(relation),
        'publications', t -> 'publications',
        'dependents', zanith._list_dependents(relation),
        'on_dependents', 'keep')
    FROM (SELECT zanith._describe_table(relation)) d(t)
$$;
