-- The rows of an artifact: the canonical query, and where they are.

CREATE OR REPLACE FUNCTION zanith._artifact(artifact_id text) RETURNS zanith._zanith_migration_artifacts
LANGUAGE plpgsql STABLE AS $$
DECLARE
    a zanith._zanith_migration_artifacts;
BEGIN
    SELECT * INTO a FROM zanith._zanith_migration_artifacts WHERE id = artifact_id;
    IF NOT FOUND THEN
        PERFORM zanith._refuse(format('there is no artifact %L', artifact_id), 'See zanith recover list.', 'P0002');
    END IF;
    RETURN a;
END $$;

-- ORDER BY for a key: a collation-free scalar in its own order, every other as text in C, so that the order is the
-- same on every server; a table without a key by the whole row's text. The text of a type that is not built in comes from
-- its output function, through format(): a cast to text could be anybody's function.
CREATE OR REPLACE FUNCTION zanith._canonical_order(key jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(string_agg(CASE WHEN (k.item ->> 'native')::boolean THEN format('r.%I', k.item ->> 'name')
                                    WHEN (k.item ->> 'builtin')::boolean THEN format('r.%I::text COLLATE "C"', k.item ->> 'name')
                                    ELSE format('format(''%%s'', r.%I) COLLATE "C"', k.item ->> 'name') END, ', ' ORDER BY k.ord),
                    'format(''%s'', r) COLLATE "C"')
    FROM zanith._each(key) k
$$;

-- The columns of the artifact's rows, in recorded order.
CREATE OR REPLACE FUNCTION zanith._row_columns(d jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE d ->> 'strategy'
        WHEN 'archive_column' THEN COALESCE((SELECT jsonb_agg(k.item -> 'name' ORDER BY k.ord) FROM zanith._each(d -> 'key') k), '[]')
                                   || jsonb_build_array(d #> '{column,name}')
        WHEN 'rebuild_table' THEN (SELECT jsonb_agg(c.item -> 'name' ORDER BY c.ord) FROM zanith._each(d #> '{definition,columns}') c)
        ELSE (SELECT jsonb_agg(c.item -> 'name' ORDER BY c.ord) FROM zanith._each(d #> '{members,0,definition,columns}') c) END
$$;

-- The SELECT whose CSV the seal is the SHA-256 of; NULL where there is nothing to seal.
CREATE OR REPLACE FUNCTION zanith.canonical_query(artifact_id text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN a.artifact_type <> 'soft_drop_column' AND p.place ? 'table' THEN
        zanith._canonical_query(a.definition, p.place ->> 'schema', p.place ->> 'table') END
    FROM zanith._artifact(artifact_id) a, LATERAL (SELECT zanith._place(a)) p(place)
$$;

CREATE OR REPLACE FUNCTION zanith._canonical_query(d jsonb, schema_name text, table_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('SELECT %s FROM %s%s r ORDER BY %s',
        COALESCE((SELECT string_agg('r.' || quote_ident(c.name), ', ' ORDER BY c.ord)
                  FROM jsonb_array_elements_text(zanith._row_columns(d)) WITH ORDINALITY c(name, ord)), ''),
        CASE WHEN (d #>> '{members,0,definition,partitioned}')::boolean THEN '' ELSE 'ONLY ' END,
        zanith._qualify(schema_name, table_name),
        zanith._canonical_order(d -> 'key'))
$$;

-- The rows to look at or export: the canonical query, or key and value of a soft-dropped column in the live table.
CREATE OR REPLACE FUNCTION zanith.row_query(artifact_id text) RETURNS text
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN a.artifact_type <> 'soft_drop_column' THEN zanith.canonical_query(artifact_id)
        WHEN p.place ? 'table' THEN format('SELECT %sr.%I AS %I FROM %s r ORDER BY %s', COALESCE(zanith._key_list(a.definition -> 'key', 'r.') || ', ', ''),
                    p.place ->> 'column', a.source_column, zanith._qualify(p.place ->> 'schema', p.place ->> 'table'),
                    zanith._canonical_order(a.definition -> 'key')) END
    FROM zanith._artifact(artifact_id) a, LATERAL (SELECT zanith._place(a)) p(place)
$$;

-- Where the parked object is, found by its identity: the artifact id in the parked name of a column, or in the
-- comment of a table. {state, schema, table, column, oid}; state: ok, moved, missing, none (nothing was parked).
CREATE OR REPLACE FUNCTION zanith._place(a zanith._zanith_migration_artifacts) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found record;
    here oid := zanith._relation_oid(a.physical_schema, a.physical_table);
BEGIN
    IF a.physical_table IS NULL THEN
        RETURN jsonb_build_object('state', 'none', 'detail', 'the definition alone was recorded');
    ELSIF a.status = 'restored' AND a.artifact_type <> 'archive_column' THEN
        RETURN jsonb_build_object('state', 'none', 'detail', 'it is live again');
    END IF;
    -- Where it was recorded, by index; all over the catalog only when it is not there.
    IF a.artifact_type = 'soft_drop_column' THEN
        IF zanith._attribute_number(here, a.physical_column) IS NULL THEN
            here := (SELECT t.attrelid FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
                     WHERE t.attname = a.physical_column AND NOT t.attisdropped AND c.relkind IN ('r', 'p')
                     ORDER BY c.relispartition, c.oid LIMIT 1);
        END IF;
    ELSIF obj_description(here, 'pg_class') IS DISTINCT FROM zanith._parked_comment(a.id) THEN
        here := (SELECT c.oid FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
                 WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND d.description = zanith._parked_comment(a.id)
                   AND c.relkind IN ('r', 'p')
                 ORDER BY c.relispartition, c.oid LIMIT 1);
    END IF;
    SELECT n.nspname, c.relname, c.oid, c.relowner INTO found
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = here;
    IF found.oid IS NULL THEN
        RETURN jsonb_build_object('state', 'missing', 'detail', 'no object bears the artifact''s id any more');
    END IF;
    IF a.artifact_type = 'archive_column'
       AND zanith._attribute_number(found.oid, a.physical_column) IS NULL THEN
        RETURN jsonb_build_object('state', 'missing', 'detail', format('the archive has no column %I any more', a.physical_column));
    END IF;
    RETURN jsonb_build_object(
        'state', CASE WHEN found.nspname = a.physical_schema AND found.relname = a.physical_table
                       AND pg_get_userbyid(found.relowner) = a.definition #>> '{table,owner}' THEN 'ok' ELSE 'moved' END,
        'schema', found.nspname, 'table', found.relname, 'column', a.physical_column,
        'owner', pg_get_userbyid(found.relowner), 'oid', found.oid,
        'detail', NULLIF(concat_ws('; ',
            CASE WHEN found.nspname <> a.physical_schema OR found.relname <> a.physical_table
                 THEN format('recorded as %s, found as %s', zanith._qualify(a.physical_schema, a.physical_table), zanith._qualify(found.nspname, found.relname)) END,
            CASE WHEN pg_get_userbyid(found.relowner) <> a.definition #>> '{table,owner}'
                 THEN format('recorded owner %I, now %I', a.definition #>> '{table,owner}', pg_get_userbyid(found.relowner)) END), ''));
END $$;

-- The same for callers, with its size in bytes (all members of a partitioned one, indexes and TOAST included).
CREATE OR REPLACE FUNCTION zanith.locate(artifact_id text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT (p.place - 'oid') || jsonb_build_object('size_bytes', CASE WHEN p.place ? 'oid' THEN
        CASE WHEN a.artifact_type = 'soft_drop_column' THEN 0
             ELSE (SELECT COALESCE(sum(pg_total_relation_size(t.member)), 0) FROM zanith._tree((p.place ->> 'oid')::oid) t) END END)
    FROM zanith._artifact(artifact_id) a, LATERAL (SELECT zanith._place(a)) p(place)
$$;
