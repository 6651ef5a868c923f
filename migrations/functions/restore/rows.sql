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
    a.definition := zanith._as_recorded_now(a.definition);
    IF a.status = 'restored' THEN
        -- a sequence that is not parked any more went back to the column
        a.definition := a.definition || '{"again": true}';
        IF zanith.is_recoverable_again(a.id) THEN
            a.status := 'recoverable';
        END IF;
    END IF;
    RETURN a;
END $$;

-- A check that names the archived values that have no row in the table as it is now, by their keys; NULL where the artifact is no archive of
-- a column, or the table is gone. It runs as the checks of a plan do.
CREATE OR REPLACE FUNCTION zanith.left_over(artifact_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    live oid := CASE WHEN zanith._strategy_is(a.artifact_type, 'values') THEN zanith._relation_oid(a.source_schema, a.source_table) END;
    d jsonb;
BEGIN
    IF live IS NULL THEN
        RETURN NULL;
    END IF;
    d := zanith._with_owner(a.definition, (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = live));
    RETURN zanith._checks_under_path(CASE WHEN zanith._runs_code(d, live, '{}') THEN zanith._owner_path(d, '{}') END, d, zanith._as_owner(d #>> '{table,owner}', (
        SELECT jsonb_agg(c.item) FROM zanith._each(zanith._column_checks(d, live, '{}')) c WHERE c.item ->> 'kind' = 'rows_gone'))) -> 0;
END $$;

-- The name under which an artifact was restored last; NULL is its own.
CREATE OR REPLACE FUNCTION zanith._restored_as(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT l.detail #>> '{choices,as}' FROM zanith._zanith_audit_log l
    WHERE l.artifact_id = _restored_as.artifact_id AND l.action = 'restore' AND l.outcome = 'done' AND NOT l.detail ? 'follow_up'
    ORDER BY l.id DESC LIMIT 1
); END $$;

-- What a restored column is told by when it bears another name: the number in its table; in a table that was made anew, as by the load of
-- a dump, the names of all columns. {database, table, number, columns}
CREATE OR REPLACE FUNCTION zanith._restored_column(artifact_id text, called text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object('database', zanith._database_identity(), 'table', l.live, 'number', zanith._attribute_number(l.live, COALESCE(called, x.source_column)),
        'columns', (SELECT jsonb_agg(c.attname ORDER BY c.attnum) FROM pg_attribute c WHERE c.attrelid = l.live AND c.attnum > 0 AND NOT c.attisdropped))
    FROM zanith._zanith_migration_artifacts x, LATERAL (SELECT zanith._relation_oid(x.source_schema, x.source_table)) l(live)
    WHERE x.id = artifact_id AND zanith._strategy_is(x.artifact_type, 'values')
); END $$;

-- Whether the column that was restored last was dropped. A renamed one was not. False where no record tells.
CREATE OR REPLACE FUNCTION zanith._is_dropped_again(artifact_id text, live oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    known jsonb;
BEGIN
    SELECT l.detail -> 'column' INTO known FROM zanith._zanith_audit_log l
    WHERE l.artifact_id = _is_dropped_again.artifact_id AND l.action = 'restore' AND l.outcome = 'done' AND NOT l.detail ? 'follow_up'
    ORDER BY l.id DESC LIMIT 1;
    IF COALESCE(jsonb_typeof(known), 'null') <> 'object' THEN
        RETURN false;
    ELSIF known ->> 'database' = zanith._database_identity() AND live = (known ->> 'table')::oid THEN
        RETURN EXISTS (SELECT FROM pg_attribute c WHERE c.attrelid = live AND c.attnum = (known ->> 'number')::smallint AND c.attisdropped);
    END IF;
    RETURN NOT EXISTS (SELECT FROM pg_attribute c WHERE c.attrelid = live AND c.attnum > 0 AND NOT c.attisdropped AND NOT known -> 'columns' ? c.attname);
END $$;

-- Whether a column that was restored is gone again while its archive stands: its row says `restored`, and it can be restored once more.
-- Where its table is gone or parked, where a later artifact has the column, or where it was renamed, it cannot.
CREATE OR REPLACE FUNCTION zanith.is_recoverable_again(artifact_id text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts;
    live oid;
    name text;
BEGIN
    SELECT * INTO a FROM zanith._zanith_migration_artifacts x WHERE x.id = is_recoverable_again.artifact_id;
    live := zanith._relation_oid(a.source_schema, a.source_table);
    IF a.status <> 'restored' OR NOT zanith._strategy_is(a.artifact_type, 'values') OR live IS NULL OR COALESCE(obj_description(live, 'pg_class'), '') LIKE 'zanith artifact %' THEN
        RETURN false;
    END IF;
    name := COALESCE(zanith._restored_as(a.id), a.source_column);
    RETURN zanith._attribute_number(live, name) IS NULL AND zanith._is_dropped_again(a.id, live)
       AND zanith._attribute_number(zanith._relation_oid(a.physical_schema, a.physical_table), a.physical_column) IS NOT NULL
       AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts o
                       WHERE o.source_schema = a.source_schema AND o.source_table = a.source_table AND o.source_column = name
                         AND o.status = 'recoverable' AND o.capture_order > a.capture_order);
END $$;

-- The labels that a table's values hold, as trees: {column: tree}. ALTER TYPE … RENAME VALUE changes how values are printed, not the values.
CREATE OR REPLACE FUNCTION zanith._describe_labels(relation oid, names jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_object_agg(l.name, l.tree), '{}')
    FROM (SELECT a.attname AS name, zanith._label_tree(a.atttypid) AS tree FROM pg_attribute a
          WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND (names IS NULL OR names ? a.attname)) l WHERE l.tree IS NOT NULL
); END $$;

-- The recorded trees, {column: tree}. Earlier versions recorded those of enums alone, as {oid: label}.
CREATE OR REPLACE FUNCTION zanith._recorded_labels(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT jsonb_object_agg(l.key, CASE WHEN l.value ?| ARRAY['enum', 'array', 'fields', 'range', 'multirange'] THEN l.value ELSE jsonb_build_object('enum', l.value) END)
    FROM jsonb_each(NULLIF(d -> 'labels', 'null')) l
); END $$;

-- A definition that says which labels were renamed since, {column: tree} under `relabelled`, and in the columns of its key.
CREATE OR REPLACE FUNCTION zanith._with_recorded_labels(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    recorded jsonb := zanith._recorded_labels(d);
    renamed jsonb;
BEGIN
    IF recorded IS NULL OR d ->> 'database' IS DISTINCT FROM zanith._database_identity() THEN
        RETURN d; -- a dump has the labels of its time
    END IF;
    SELECT jsonb_object_agg(x.name, x.tree) INTO renamed FROM (
        SELECT c.key AS name, zanith._renamed_labels(c.value, zanith._labels_now(c.value), true) AS tree FROM jsonb_each(recorded) c) x WHERE x.tree IS NOT NULL;
    RETURN CASE WHEN renamed IS NULL THEN d ELSE zanith._relabelled(d, renamed) END;
END $$;

-- A recorded tree with the labels that its enums have now. The parked object keeps its types.
CREATE OR REPLACE FUNCTION zanith._labels_now(tree jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    form text := (SELECT k.form FROM jsonb_object_keys(tree) k(form));
BEGIN
    RETURN jsonb_build_object(form, CASE form
        WHEN 'enum' THEN (SELECT COALESCE(jsonb_object_agg(l.key, e.enumlabel), '{}') FROM jsonb_object_keys(tree -> form) l(key) JOIN pg_enum e ON e.oid = l.key::oid)
        WHEN 'fields' THEN (SELECT jsonb_object_agg(f.key, zanith._labels_now(f.value)) FROM jsonb_each(tree -> form) f)
        ELSE zanith._labels_now(tree -> form) END);
END $$;

CREATE OR REPLACE FUNCTION zanith._relabelled(d jsonb, renamed jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN d || jsonb_build_object('relabelled', COALESCE(renamed, '{}')) || CASE WHEN jsonb_typeof(d -> 'key') <> 'array' THEN '{}' ELSE jsonb_build_object('key', (
        SELECT jsonb_agg(k.item || CASE WHEN renamed ? (k.item ->> 'name') THEN jsonb_build_object('relabelled', renamed -> (k.item ->> 'name')) ELSE '{}' END ORDER BY k.ord)
        FROM zanith._each(d -> 'key') k)) END;
END $$;

-- The same for a script, which is run later than it is written, so that it finds itself what was renamed.
CREATE OR REPLACE FUNCTION zanith._with_labels_by_oid(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN zanith._relabelled(d, zanith._recorded_labels(d));
END $$;

-- A value as text, under the labels that it had.
CREATE OR REPLACE FUNCTION zanith._relabelled_value(name text, tree jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN format('(SELECT %s FROM (SELECT %s OFFSET 0) q(v))', zanith._render_labels(tree, 'q.v', true), zanith._printed(format('r.%I', name)));
END $$;

-- A row as text, under the labels that it had, where it is to be sorted by that: as PostgreSQL prints it.
CREATE OR REPLACE FUNCTION zanith._relabelled_row(d jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT format('pg_catalog.format(''%%s'', ROW(%s)) COLLATE "C"', string_agg(CASE WHEN d -> 'relabelled' ? c.name
        THEN zanith._relabelled_value(c.name, d #> ARRAY['relabelled', c.name]) ELSE format('r.%I', c.name) END, ', ' ORDER BY c.ord))
    FROM jsonb_array_elements_text(zanith._row_columns(d)) WITH ORDINALITY c(name, ord)
); END $$;

-- ORDER BY for a key: a collation-free scalar in its own order, every other as text in C, so that the order is the
-- same on every server; a table without a key by the whole row's text. The text of a type that is not built in comes from
-- its output function, through format(): a cast to text could be anybody's function.
CREATE OR REPLACE FUNCTION zanith._canonical_order(key jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(string_agg(CASE WHEN k.item ? 'relabelled' THEN zanith._relabelled_value(k.item ->> 'name', k.item -> 'relabelled') || ' COLLATE "C"'
                                    WHEN (k.item ->> 'native')::boolean THEN format('r.%I', k.item ->> 'name')
                                    WHEN (k.item ->> 'builtin')::boolean THEN format('r.%I::text COLLATE "C"', k.item ->> 'name')
                                    ELSE format('pg_catalog.format(''%%s'', r.%I) COLLATE "C"', k.item ->> 'name') END, ', ' ORDER BY k.ord),
                    'pg_catalog.format(''%s'', r) COLLATE "C"')
    FROM zanith._each(key) k
); END $$;

-- The columns of the artifact's rows, in recorded order.
CREATE OR REPLACE FUNCTION zanith._row_columns(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT CASE d ->> 'strategy'
        WHEN 'archive_column' THEN (SELECT zanith._list(k.item -> 'name' ORDER BY k.ord) FROM zanith._each(d -> 'key') k)
                                   || jsonb_build_array(d #> '{column,name}')
        WHEN 'rebuild_table' THEN (SELECT jsonb_agg(c.item -> 'name' ORDER BY c.ord) FROM zanith._each(d #> '{definition,columns}') c)
        WHEN 'archive_rows' THEN (SELECT jsonb_agg(c.item -> 'name' ORDER BY c.ord) FROM zanith._each(d #> '{definition,columns}') c)
        ELSE (SELECT jsonb_agg(c.item -> 'name' ORDER BY c.ord) FROM zanith._each(d #> '{members,0,definition,columns}') c) END
); END $$;

-- The SELECT whose CSV the seal is the SHA-256 of; NULL where there is nothing to seal.
CREATE OR REPLACE FUNCTION zanith.canonical_query(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$ BEGIN RETURN (
    SELECT CASE WHEN a.artifact_type <> 'soft_drop_column' AND p.place ? 'table' THEN
        zanith._canonical_query(zanith._with_recorded_labels(a.definition), p.place ->> 'schema', p.place ->> 'table') END
    FROM zanith._artifact(artifact_id) a, LATERAL (SELECT zanith._place(a) OFFSET 0) p(place)
); END $$;

-- `condition`: only rows for which it holds; their alias is r.
CREATE OR REPLACE FUNCTION zanith._canonical_query(d jsonb, schema_name text, table_name text, condition text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT format('SELECT %s FROM %s%s r%s ORDER BY %s',
        COALESCE((SELECT string_agg(CASE WHEN d -> 'relabelled' ? c.name THEN format('%s AS %I', zanith._relabelled_value(c.name, d #> ARRAY['relabelled', c.name]), c.name)
                                         ELSE 'r.' || quote_ident(c.name) END, ', ' ORDER BY c.ord)
                  FROM jsonb_array_elements_text(zanith._row_columns(d)) WITH ORDINALITY c(name, ord)), ''),
        CASE WHEN d ? 'members' THEN zanith._only(d) ELSE 'ONLY ' END,
        zanith._qualify(schema_name, table_name),
        COALESCE(' WHERE ' || condition, ''),
        CASE WHEN d ? 'relabelled' AND COALESCE(jsonb_array_length(NULLIF(d -> 'key', 'null')), 0) = 0 THEN zanith._relabelled_row(d) ELSE zanith._canonical_order(d -> 'key') END)
); END $$;

-- The rows to look at or export: the canonical query, or key and value of a soft-dropped column in the live table.
CREATE OR REPLACE FUNCTION zanith.row_query(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$ BEGIN RETURN (
    SELECT CASE WHEN a.artifact_type <> 'soft_drop_column' THEN zanith.canonical_query(artifact_id)
        WHEN p.place ? 'table' THEN format('SELECT %sr.%I AS %I FROM %s r ORDER BY %s', COALESCE(zanith._key_list(k.key, 'r.') || ', ', ''),
                    p.place ->> 'column', a.source_column, zanith._qualify(p.place ->> 'schema', p.place ->> 'table'),
                    zanith._canonical_order(k.key)) END
    FROM zanith._artifact(artifact_id) a, LATERAL (SELECT zanith._place(a) OFFSET 0) p(place), LATERAL (SELECT zanith._key_now(a.definition, (p.place ->> 'oid')::oid)) k(key)
); END $$;

-- The key by which rows are told apart now: as recorded, or another, or none, where a column of it was dropped or parked since.
CREATE OR REPLACE FUNCTION zanith._key_now(d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN live IS NULL OR NOT EXISTS (SELECT FROM zanith._each(d -> 'key') k WHERE zanith._attribute_number(live, k.item ->> 'name') IS NULL) THEN NULLIF(d -> 'key', 'null')
                ELSE zanith._find_key(live) END
); END $$;

-- Where the parked object is, found by its identity: the artifact id in the parked name of a column, or in the
-- comment of a table; a table that lost its comment and still bears its parked name, with the id in it, is it too.
-- {state, code, schema, table, column, owner, oid}; state: ok, moved, missing, none (nothing was parked); code: how.
CREATE OR REPLACE FUNCTION zanith._place(a zanith._zanith_migration_artifacts) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found record;
    claims oid[];
    here oid := zanith._relation_oid(a.physical_schema, a.physical_table);
    by_column boolean := a.artifact_type = 'soft_drop_column';
    codes text[];
    owners jsonb := '{}';
    foreign_owner boolean;
BEGIN
    IF a.physical_table IS NULL THEN
        RETURN jsonb_build_object('state', 'none', 'detail', 'the definition alone was recorded');
    ELSIF a.status = 'restored' AND NOT zanith._strategy_is(a.artifact_type, 'archive') THEN
        RETURN jsonb_build_object('state', 'none', 'detail', 'it is live again');
    END IF;
    -- Where it was recorded, by index; all over the catalog only when it is not there.
    IF by_column AND zanith._attribute_number(here, a.physical_column) IS NULL
       OR NOT by_column AND obj_description(here, 'pg_class') IS DISTINCT FROM zanith._parked_comment(a.id) THEN
        claims := zanith._claims(a);
        IF cardinality(claims) > 0 OR by_column OR obj_description(here, 'pg_class') LIKE 'zanith artifact %' THEN
            here := claims[1];
        END IF;
    END IF;
    SELECT n.nspname, c.relname, c.oid, pg_get_userbyid(c.relowner) AS owner INTO found
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = here AND c.relkind IN ('r', 'p');
    IF found.oid IS NULL THEN
        RETURN zanith._missing_place(a);
    END IF;
    IF zanith._strategy_is(a.artifact_type, 'values')
       AND zanith._attribute_number(found.oid, a.physical_column) IS NULL THEN
        RETURN jsonb_build_object('state', 'missing',
            'code', CASE WHEN zanith._type_exists(a.definition #>> '{column,type}') THEN 'column_dropped' ELSE 'type_dropped' END,
            'detail', format('the archive has no column %I any more', a.physical_column)
                || CASE WHEN zanith._type_exists(a.definition #>> '{column,type}') THEN ''
                        ELSE format(': its type %s was dropped', a.definition #>> '{column,type}') END);
    END IF;
    -- a copy belongs to Zanith itself; what was moved or renamed, and copies of earlier versions, to the owner of the table
    foreign_owner := found.owner <> a.definition #>> '{table,owner}'
        AND NOT (NOT zanith._strategy_is(a.artifact_type, 'parks') AND (found.owner = zanith._own_role()
            -- a load without owners gives it to the role that loads; REASSIGN OWNED gives both to one
            OR zanith._is_superuser(found.owner) OR found.owner = zanith._owner_of_table(jsonb_build_object('schema', a.source_schema, 'name', a.source_table))));
    -- a moved table that was given to another is the same table, or one that was loaded: its new owner is a choice of the restore. One
    -- that took the place of the parked one is not believed.
    IF NOT by_column AND a.definition ? 'members' AND (a.definition ->> 'database' IS DISTINCT FROM zanith._database_identity() OR found.oid = (a.definition #>> '{table,oid}')::oid) THEN
        owners := zanith._changed_owners(a.definition);
        foreign_owner := false;
    END IF;
    codes := ARRAY(SELECT c.code FROM (VALUES
        (1, 'duplicate_id', cardinality(claims) > 1),
        (2, 'renamed', found.relname <> a.physical_table),
        (3, 'schema_changed', found.nspname <> a.physical_schema),
        (4, 'owner_gone', foreign_owner AND to_regrole(quote_ident(a.definition #>> '{table,owner}')) IS NULL),
        (5, 'owner_changed', foreign_owner)) c(rank, code, so) WHERE c.so ORDER BY c.rank);
    RETURN jsonb_build_object(
        'state', CASE WHEN codes = '{}' THEN 'ok' ELSE 'moved' END,
        -- a column travels with its table, and what happens to that is no damage
        'code', CASE WHEN by_column AND codes[1] <> 'duplicate_id' THEN 'live_table_' ELSE '' END || codes[1],
        'schema', found.nspname, 'table', found.relname, 'column', a.physical_column,
        'owner', found.owner, 'oid', found.oid, 'owners_were', owners,
        'detail', NULLIF(concat_ws('; ',
            CASE WHEN cardinality(claims) > 1
                 THEN 'several objects have its id: ' || (SELECT string_agg(zanith._relation_name(c), ', ' ORDER BY c) FROM unnest(claims) c) END,
            CASE WHEN found.nspname <> a.physical_schema OR found.relname <> a.physical_table
                 THEN format('recorded as %s, found as %s', zanith._qualify(a.physical_schema, a.physical_table), zanith._qualify(found.nspname, found.relname)) END,
            CASE WHEN foreign_owner
                 THEN format('recorded owner %I, now %I', a.definition #>> '{table,owner}', found.owner) END), ''));
END $$;

-- The tables of a parked tree that belong to another role now: {name: {was, now}}.
CREATE OR REPLACE FUNCTION zanith._changed_owners(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_object_agg(zanith._qualify(m.item ->> 'schema', m.item ->> 'name'), jsonb_build_object('was', m.item #> '{definition,owner}', 'now', o.now)), '{}')
    FROM zanith._each(d -> 'members') m,
         LATERAL (SELECT pg_get_userbyid(c.relowner) FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
                  WHERE n.nspname = m.item ->> 'parked_schema' AND c.relname = m.item ->> 'parked' OFFSET 0) o(now)
    WHERE o.now <> m.item #>> '{definition,owner}'
); END $$;

-- All tables that bear the artifact's id: in the name of a column of their own, or in their comment; a partition that
-- went along bears it too, and does not count.
CREATE OR REPLACE FUNCTION zanith._claims(a zanith._zanith_migration_artifacts) RETURNS oid[]
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN a.artifact_type = 'soft_drop_column' THEN ARRAY(
            SELECT t.attrelid FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
            WHERE t.attname = a.physical_column AND NOT t.attisdropped AND c.relkind IN ('r', 'p') AND t.attinhcount = 0
              -- the name of the column is no secret: a table of somebody else's that has it elsewhere is not believed
              AND (c.oid = (a.definition #>> '{table,oid}')::oid OR c.oid = zanith._relation_oid(a.physical_schema, a.physical_table)
                   OR pg_get_userbyid(c.relowner) = a.definition #>> '{table,owner}' OR zanith._is_superuser(pg_get_userbyid(c.relowner)))
            ORDER BY c.relispartition, c.oid)
        ELSE ARRAY(
            SELECT c.oid FROM pg_description d JOIN pg_class c ON c.oid = d.objoid
            WHERE d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND d.description = zanith._parked_comment(a.id)
              AND c.relkind IN ('r', 'p') AND NOT c.relispartition
              AND NOT EXISTS (SELECT FROM zanith._each(a.definition -> 'placeholders') h WHERE h.item ->> 'parked' = c.relname)
              AND NOT EXISTS (SELECT FROM zanith._each(a.definition -> 'members') m
                              WHERE m.ord > 1 AND m.item ->> 'parked' = c.relname AND m.item ->> 'parked_schema' = (SELECT n.nspname FROM pg_namespace n WHERE n.oid = c.relnamespace))
            ORDER BY c.oid) END
); END $$;

-- Why it is nowhere: its schema is gone, its table, or its column alone.
CREATE OR REPLACE FUNCTION zanith._missing_place(a zanith._zanith_migration_artifacts) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object('state', 'missing', 'code', q.code, 'detail', CASE q.code
        WHEN 'shadow_dropped' THEN 'there is no schema _zanith_shadow: it was dropped, or a backup by schema left it out'
        WHEN 'schema_dropped' THEN format('there is no schema %I any more', a.physical_schema)
        WHEN 'live_table_dropped' THEN format('its table %s is gone', zanith._qualify(a.physical_schema, a.physical_table))
        WHEN 'type_dropped' THEN format('its column is gone, and so is the type %s', a.definition #>> '{column,type}')
        WHEN 'column_dropped' THEN format('%s has no column %I any more', zanith._qualify(a.physical_schema, a.physical_table), a.physical_column)
        ELSE 'no object has the artifact''s id any more' END)
    FROM (SELECT CASE
        WHEN to_regnamespace(quote_ident(a.physical_schema)) IS NULL AND a.physical_schema = '_zanith_shadow' THEN 'shadow_dropped'
        WHEN to_regnamespace(quote_ident(a.physical_schema)) IS NULL THEN 'schema_dropped'
        WHEN a.artifact_type <> 'soft_drop_column' THEN 'table_dropped'
        WHEN zanith._relation_oid(a.physical_schema, a.physical_table) IS NULL THEN 'live_table_dropped'
        WHEN NOT zanith._type_exists(COALESCE(a.definition #>> '{column,base_type}', a.definition #>> '{column,type}')) THEN 'type_dropped'
        ELSE 'column_dropped' END) q(code)
); END $$;

-- The same for callers, with its size in bytes (all members of a partitioned one, indexes and TOAST included).
CREATE OR REPLACE FUNCTION zanith.locate(artifact_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$ BEGIN RETURN (
    SELECT (p.place - 'oid') || jsonb_build_object('size_bytes', CASE WHEN p.place ? 'oid' THEN
        CASE WHEN a.artifact_type = 'soft_drop_column' THEN 0
             ELSE (SELECT COALESCE(sum(pg_total_relation_size(t.member)), 0) FROM zanith._parked_members(a.id, (p.place ->> 'oid')::oid) t) END END)
    FROM zanith._artifact(artifact_id) a, LATERAL (SELECT zanith._place(a) OFFSET 0) p(place)
); END $$;
