-- Some rows of an artifact: found by conditions, shown beside the live rows, and put back one by one.
--
-- Values travel as text, as PostgreSQL prints and reads them under the canonical settings: they are $1 of each statement, and in no plan.

-- The columns of the rows to look at: those of the artifact; of a soft-dropped column its key and itself. {name, attribute, type, kept}
CREATE OR REPLACE FUNCTION zanith._searched_columns(a zanith._zanith_migration_artifacts, place jsonb) RETURNS TABLE (name text, attribute smallint, type oid, ord bigint)
LANGUAGE plpgsql STABLE ROWS 10 AS $$
DECLARE
    root oid := (place ->> 'oid')::oid;
BEGIN
    RETURN QUERY SELECT c.name, t.attnum, t.atttypid, c.ord
        FROM jsonb_array_elements_text(CASE WHEN a.artifact_type = 'soft_drop_column'
                 THEN COALESCE((SELECT zanith._list(k.item -> 'name' ORDER BY k.ord) FROM zanith._each(zanith._key_now(a.definition, root)) k), '[]') || jsonb_build_array(a.source_column)
                 ELSE zanith._row_columns(a.definition) END) WITH ORDINALITY c(name, ord)
        JOIN pg_attribute t ON t.attrelid = root AND NOT t.attisdropped
             AND t.attname = CASE WHEN a.artifact_type = 'soft_drop_column' AND c.name = a.source_column THEN place ->> 'column' ELSE c.name END
        ORDER BY c.ord;
END $$;

-- How a search compares values of a type without an operator that somebody made: by built-in operators ('ordered'), or as text, byte by byte.
CREATE OR REPLACE FUNCTION zanith._compared_as(type oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    base oid := zanith._beneath_domain(type);
BEGIN
    RETURN CASE WHEN base < 16384 AND EXISTS (
        SELECT FROM pg_type t JOIN pg_opclass o ON o.opcdefault AND o.opcmethod = (SELECT m.oid FROM pg_am m WHERE m.amname = 'btree')
        WHERE t.oid = base AND (o.opcintype = t.oid OR t.oid = 'varchar'::regtype AND o.opcintype = 'text'::regtype
              OR t.typcategory = 'A' AND o.opcintype = 'anyarray'::regtype AND t.typelem < 16384 AND EXISTS (
                  SELECT FROM pg_opclass e WHERE e.opcdefault AND e.opcmethod = o.opcmethod AND e.opcintype = t.typelem)
              OR t.typtype = 'r' AND o.opcintype = 'anyrange'::regtype))
        THEN 'ordered' ELSE 'text' END;
END $$;

-- A condition that holds where a value is printed as the text number `number` of $1: through its output function, byte by byte. An operator of
-- the owner's is not called, a collation that takes two texts for equal is not asked, and NULL is not the empty text.
CREATE OR REPLACE FUNCTION zanith._printed_as(value text, number integer, operator text DEFAULT '=') RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('pg_catalog.num_nulls(%1$s) OPERATOR(pg_catalog.=) 0 AND pg_catalog.format(''%%s'', %1$s) COLLATE pg_catalog."C" OPERATOR(pg_catalog.%3$s) ($1::pg_catalog.text[])[%2$s]',
        value, number, CASE operator WHEN 'LIKE' THEN '~~' ELSE operator END)
$$;

-- One condition of a search. `compared`: see _compared_as. The value is the text number `number` of $1.
CREATE OR REPLACE FUNCTION zanith._render_sought(value text, type oid, compared text, operator text, number integer) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN CASE
    WHEN operator = 'IS NULL' THEN CASE compared WHEN 'ordered' THEN value || ' IS NULL' ELSE format('pg_catalog.num_nulls(%s) OPERATOR(pg_catalog.=) 1', value) END
    WHEN operator = 'IS NOT NULL' THEN CASE compared WHEN 'ordered' THEN value || ' IS NOT NULL' ELSE format('pg_catalog.num_nulls(%s) OPERATOR(pg_catalog.=) 0', value) END
    WHEN compared = 'text' OR operator = 'LIKE' THEN zanith._printed_as(value, number, operator)
    ELSE format('%s OPERATOR(pg_catalog.%s) ($1::pg_catalog.text[])[%s]::%s', value, operator, number, zanith._input_type(type)) END;
END $$;

-- The built-in type as which a text is read to be compared with a value: without a length, which would cut it.
CREATE OR REPLACE FUNCTION zanith._input_type(type oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN t.typname = 'varchar' THEN 'pg_catalog.text' ELSE format('pg_catalog.%I', t.typname) END FROM pg_type t WHERE t.oid = zanith._beneath_domain(type)
); END $$;

-- Why a text is not a value of a built-in type: what PostgreSQL says, and what to write. NULL where it is one.
CREATE OR REPLACE FUNCTION zanith._find_wrong_value(type oid, value text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    name text := zanith._input_type(type);
    category "char" := (SELECT t.typcategory FROM pg_type t WHERE t.oid = zanith._beneath_domain(type));
BEGIN
    EXECUTE format('SELECT $1::%s', name) USING value;
    RETURN NULL;
EXCEPTION WHEN data_exception OR feature_not_supported OR syntax_error OR program_limit_exceeded THEN
    RETURN jsonb_build_object('message', format('this is not a value of type %s', format_type(type, NULL)), 'hint', CASE
        WHEN name ~ '\.int[248]$|\.oid$' THEN 'Write a whole number, such as 4711.'
        WHEN category = 'N' THEN 'Write a number, such as 19.90.'
        WHEN category = 'B' THEN 'Write true or false.'
        WHEN name = 'pg_catalog.date' THEN 'Write a date, such as 2026-01-31.'
        WHEN name ~ '\.timestamp' THEN 'Write a time, such as 2026-01-31 13:45:00, with +00 for the zone UTC.'
        WHEN name ~ '\.time' THEN 'Write a time of day, such as 13:45:00.'
        WHEN name = 'pg_catalog.interval' THEN 'Write a duration, such as 1 day 02:00:00.'
        WHEN name = 'pg_catalog.uuid' THEN 'Write a UUID, such as 00000000-0000-0000-0000-000000004711.'
        WHEN name = 'pg_catalog.bytea' THEN 'Write the bytes in hexadecimal, such as \x0a1b.'
        WHEN category = 'A' THEN 'Write an array, such as {1,2}.'
        WHEN category = 'R' THEN 'Write a range, such as [1,5).'
        ELSE 'Write the value as PostgreSQL prints it, as in the rows.' END);
END $$;

-- How rows of an artifact are searched. `conditions`: [{column, operator, value}]. {columns: [{name, type, compared, indexed}], key, errors: [{number,
-- message, hint}], indexed, pages, select_sql, refs_sql}. $1 of select_sql: the values of the conditions, then the first page and the page after the
-- last. It returns for each row its place, and for each column [text, length, digest], the text cut to 2000 characters.
CREATE OR REPLACE FUNCTION zanith.plan_row_search(artifact_id text, conditions jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    place jsonb := zanith._place(a);
    root oid := (place ->> 'oid')::oid;
    source text;
    columns jsonb;
    errors jsonb := '[]';
    sought text[] := '{}';
    by_index boolean := false;
    several integer := jsonb_array_length(conditions);
    c record;
    wrong jsonb;
    known boolean;
    shown text;
BEGIN
    IF root IS NULL THEN
        PERFORM zanith._refuse(format('%s has no parked rows', zanith._object_name(a)), 'There are no rows to look at.', '55000');
    END IF;
    source := CASE WHEN a.definition ? 'members' OR a.artifact_type = 'soft_drop_column' THEN zanith._only(a.definition) ELSE 'ONLY ' END || zanith._relation_name(root);
    SELECT jsonb_agg(jsonb_build_object('name', s.name, 'type', format_type(s.type, NULL), 'compared', zanith._compared_as(s.type), 'oid', s.type::bigint, 'attribute', s.attribute,
               'value', zanith._archived_value(a, s.name, s.attribute, root), 'indexed', EXISTS (
                   SELECT FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_am m ON m.oid = x.relam
                   WHERE i.indrelid = root AND i.indisvalid AND i.indpred IS NULL AND i.indkey[0] = s.attribute AND m.amname = 'btree' AND zanith._compared_as(s.type) = 'ordered')) ORDER BY s.ord)
    INTO columns FROM zanith._searched_columns(a, place) s;
    FOR c IN SELECT x.item ->> 'column' AS name, x.item ->> 'operator' AS operator, x.item ->> 'value' AS value, x.ord::integer AS number, k.item AS col
             FROM zanith._each(conditions) x LEFT JOIN zanith._each(columns) k ON k.item ->> 'name' = x.item ->> 'column' ORDER BY x.ord LOOP
        wrong := NULL;
        IF c.col IS NULL THEN
            wrong := jsonb_build_object('message', format('the rows have no column %I', c.name), 'hint', format('They have: %s.',
                (SELECT string_agg(quote_ident(k.item ->> 'name'), ', ' ORDER BY k.ord) FROM zanith._each(columns) k)));
        ELSIF c.operator NOT IN ('=', '<>', '<', '<=', '>', '>=', 'LIKE', 'IS NULL', 'IS NOT NULL') THEN
            wrong := jsonb_build_object('message', format('%s is not an operator of a search', c.operator), 'hint', 'Use =, <>, <, <=, >, >=, LIKE, IS NULL or IS NOT NULL.');
        ELSIF c.operator NOT LIKE 'IS %' AND c.value IS NULL THEN
            wrong := jsonb_build_object('message', format('%s needs a value', c.operator), 'hint', 'Write a value, or use IS NULL.');
        ELSIF c.operator = 'LIKE' AND (length(c.value) - length(rtrim(c.value, E'\\'))) % 2 = 1 THEN
            wrong := jsonb_build_object('message', 'the pattern ends with a backslash', 'hint', 'Write two for one: a single backslash takes the next character as it is.');
        ELSIF c.operator IN ('<', '<=', '>', '>=') AND c.col ->> 'compared' = 'text' THEN
            wrong := jsonb_build_object('message', format('values of type %s have no order here', c.col ->> 'type'), 'hint', 'Use =, <> or LIKE: they compare the value as PostgreSQL prints it.');
        ELSIF c.operator IN ('=', '<>', '<', '<=', '>', '>=') AND c.col ->> 'compared' = 'ordered' THEN
            wrong := zanith._find_wrong_value((c.col ->> 'oid')::oid, c.value);
        END IF;
        IF wrong IS NOT NULL THEN
            errors := errors || jsonb_build_array(wrong || jsonb_build_object('number', c.number - 1));
        ELSE
            sought := sought || ('(' || zanith._render_sought(c.col ->> 'value', (c.col ->> 'oid')::oid, c.col ->> 'compared', c.operator, c.number) || ')');
            known := (c.col ->> 'indexed')::boolean AND (c.operator = '=' OR c.operator = 'IS NULL' OR several = 1 AND c.operator IN ('<', '<=', '>', '>='));
            by_index := by_index OR known;
        END IF;
    END LOOP;
    IF errors = '[]' AND NOT by_index THEN
        sought := sought || format('r.ctid OPERATOR(pg_catalog.>=) ($1::pg_catalog.text[])[%s]::pg_catalog.tid', several + 1)
                         || format('r.ctid OPERATOR(pg_catalog.<) ($1::pg_catalog.text[])[%s]::pg_catalog.tid', several + 2);
    END IF;
    SELECT string_agg(zanith._shown_value(k.item ->> 'value'), ', ' ORDER BY k.ord) INTO shown FROM zanith._each(columns) k;
    shown := format('SELECT pg_catalog.jsonb_build_array(pg_catalog.concat(r.tableoid, '':'', r.ctid), pg_catalog.jsonb_build_array(%s)) FROM %s r WHERE ', shown, source);
    RETURN jsonb_build_object(
        'artifact_id', a.id, 'object', zanith._object_name(a), 'errors', errors, 'indexed', by_index,
        'columns', (SELECT jsonb_agg(k.item - ARRAY['value', 'oid', 'attribute'] ORDER BY k.ord) FROM zanith._each(columns) k),
        'key', COALESCE((SELECT zanith._list(k.item -> 'name' ORDER BY k.ord) FROM zanith._each(CASE WHEN a.artifact_type = 'soft_drop_column'
                   THEN zanith._key_now(a.definition, root) ELSE NULLIF(a.definition -> 'key', 'null') END) k), '[]'),
        'pages', (SELECT max(pg_relation_size(f.member) / current_setting('block_size')::bigint) FROM zanith._family(root) f),
        'select_sql', shown || COALESCE(array_to_string(sought, ' AND '), 'true'),
        -- $1: the places of the rows, or whole texts of those rows
        'refs_sql', shown || zanith._at_places(),
        'whole_sql', format('SELECT pg_catalog.jsonb_build_array(pg_catalog.concat(r.tableoid, '':'', r.ctid), pg_catalog.jsonb_build_array(%s)) FROM %s r WHERE %s',
            (SELECT string_agg(zanith._printed(k.item ->> 'value'), ', ' ORDER BY k.ord) FROM zanith._each(columns) k), source, zanith._at_places()));
END $$;

-- A condition for the rows at the places in $1: "oid of the table:(page,number)".
CREATE OR REPLACE FUNCTION zanith._at_places() RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT 'r.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT pg_catalog.split_part(x.x, '':'', 2)::pg_catalog.tid FROM pg_catalog.unnest($1::pg_catalog.text[]) x(x))) '
    'AND pg_catalog.concat(r.tableoid, '':'', r.ctid) OPERATOR(pg_catalog.=) ANY ($1::pg_catalog.text[])' $$;

-- A value of a row, under the labels that its type has now.
CREATE OR REPLACE FUNCTION zanith._archived_value(a zanith._zanith_migration_artifacts, column_name text, attribute smallint, root oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    value text := format('r.%I', (SELECT t.attname FROM pg_attribute t WHERE t.attrelid = root AND t.attnum = attribute));
BEGIN
    RETURN CASE WHEN column_name = a.source_column AND zanith._is_kept_as_text(a.definition) THEN zanith._relabel_kept(a.definition, value) ELSE value END;
END $$;

-- A value as [text, length, digest], the text cut to 2000 characters; null where it is NULL.
CREATE OR REPLACE FUNCTION zanith._shown_value(value text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('(SELECT CASE WHEN q.v IS NOT NULL THEN pg_catalog.jsonb_build_array(pg_catalog."left"(q.v, 2000), pg_catalog.length(q.v), %2$s) END FROM (SELECT %1$s OFFSET 0) q(v))',
        zanith._printed(value), zanith._digest_of_text('q.v'))
$$;

CREATE OR REPLACE FUNCTION zanith._digest_of_text(value text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT format('pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(%s, ''UTF8'')), ''hex'')', value) $$;

-- A text as a value of a column's type. A cast from text to a type that somebody made could be anybody's function, and give another value; JSON calls
-- the input function.
CREATE OR REPLACE FUNCTION zanith._read_text(value text, type oid, modifier integer) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN CASE WHEN zanith._beneath_domain(type) < 16384 THEN format('%s::%s::%s', value, zanith._input_type(type), format_type(type, modifier))
        ELSE format('(SELECT x.v FROM pg_catalog.json_to_record(pg_catalog.json_build_object(''v'', %s)) x(v %s))', value, format_type(type, modifier)) END;
END $$;

-- The live column that gets the values of an archived column: by the name under which it was restored, if there is one.
CREATE OR REPLACE FUNCTION zanith._written_column(a zanith._zanith_migration_artifacts, live oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN COALESCE((
    SELECT n.name FROM (VALUES (1, zanith._restored_as(a.id)), (2, a.source_column)) n(rank, name)
    WHERE zanith._strategy_is(a.artifact_type, 'column') AND zanith._attribute_number(live, n.name) IS NOT NULL ORDER BY n.rank LIMIT 1), a.source_column);
END $$;

-- The tables in which an UPDATE of a column changes rows too, by foreign keys with ON UPDATE CASCADE, SET NULL or SET DEFAULT, and theirs in turn.
-- Before PostgreSQL 18 the AFTER triggers of these tables run as the role of the UPDATE, whoever owns them.
CREATE OR REPLACE FUNCTION zanith._tables_updated_with(live oid, column_name text) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 1 AS $$
BEGIN
    IF EXISTS (SELECT FROM zanith._family(live) f JOIN pg_attribute t ON t.attrelid = f.member AND t.attname = column_name
               JOIN pg_index i ON i.indrelid = f.member AND i.indisunique AND t.attnum = ANY (i.indkey)) THEN
        RETURN QUERY WITH RECURSIVE updated(relation) AS (
            SELECT k.conrelid FROM zanith._family(live) f JOIN pg_attribute t ON t.attrelid = f.member AND t.attname = column_name
            JOIN pg_constraint k ON k.confrelid = f.member AND t.attnum = ANY (k.confkey) AND k.confupdtype IN ('c', 'n', 'd')
            UNION SELECT k.conrelid FROM updated u JOIN pg_constraint k ON k.confrelid = u.relation AND k.confupdtype IN ('c', 'n', 'd'))
        SELECT u.relation FROM updated u;
    END IF;
END $$;

-- Whose code would run as another role because of that; NULL if nobody's.
CREATE OR REPLACE FUNCTION zanith._find_code_updated_with(live oid, column_name text, owner text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    updated oid[] := ARRAY(SELECT u FROM zanith._tables_updated_with(live, column_name) u);
BEGIN
    RETURN COALESCE((
        SELECT min(format('a foreign key with ON UPDATE of table %s, which belongs to %I', zanith._relation_name(c.oid), pg_get_userbyid(c.relowner)))
        FROM pg_class c WHERE c.oid = ANY (updated) AND pg_get_userbyid(c.relowner) <> owner AND NOT zanith._is_superuser(pg_get_userbyid(c.relowner))),
        CASE WHEN zanith._is_trusted(owner) THEN zanith._third_code_of_tables(updated, owner, true, true, true) END);
END $$;

-- How some rows of an artifact come back: a column's values by UPDATE, rows of a table by INSERT. {artifact_id, object, target, form, key, columns, role,
-- path, triggers, conflicts, steps, live_sql, old_sql, fits_sql, key_fits_sql, key_changed, write_sql, refuses_null}.
--   key, columns  of the live table: those of the key, and those that are compared and written
--   live_sql   $1: the keys of n rows, one after another. Returns [number, [shown values of `columns`]] for each live row
--   old_sql    $1: one key. Returns the whole texts of `columns`; of rows nothing
--   fits_sql   $1: texts of `columns`. Returns whether each is printed as it was read
--   key_changed, key_fits_sql  the columns of the key whose live type is another: {name, type, was}. $1: one key. As fits_sql
--   write_sql  $1: of a column the key, the new text, and the digest of the old one; of rows the texts of `columns`. One row: written, and printed as asked
CREATE OR REPLACE FUNCTION zanith.plan_some_rows(artifact_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    place jsonb := zanith._place(a);
    of_column boolean := zanith._strategy_is(a.artifact_type, 'column');
    live oid := zanith._relation_oid(a.source_schema, a.source_table);
    key jsonb := CASE WHEN a.artifact_type = 'soft_drop_column' THEN zanith._key_now(a.definition, live) ELSE NULLIF(a.definition -> 'key', 'null') END;
    target text;
    owner text;
    named text;
    role_name text;
    d jsonb;
    parts record;
    conflicts jsonb;
    plan jsonb;
BEGIN
    IF live IS NOT NULL AND obj_description(live, 'pg_class') = zanith._parked_comment(a.id) THEN
        live := NULL;
    END IF;
    target := zanith._relation_name(live);
    owner := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = live);
    named := zanith._written_column(a, live);
    role_name := zanith._runner(owner);
    plan := jsonb_build_object('artifact_id', a.id, 'object', zanith._object_name(a), 'target', target, 'form', CASE WHEN of_column THEN 'update' ELSE 'insert' END,
        'column', named, 'named', zanith._qualify(a.source_schema, a.source_table), 'key', COALESCE((SELECT zanith._list(k.item -> 'name' ORDER BY k.ord) FROM zanith._each(key) k), '[]'), 'role', role_name, 'steps', '[]'::jsonb, 'columns', '[]'::jsonb, 'triggers', '[]'::jsonb);
    conflicts := zanith._find_row_conflicts(a, place, live, key, CASE WHEN of_column THEN named END);
    IF live IS NULL OR key IS NULL OR EXISTS (SELECT FROM zanith._each(conflicts) c WHERE c.item ->> 'code' IN ('archive_missing', 'table_gone', 'column_gone', 'column_changed', 'key_gone')) THEN
        RETURN plan || jsonb_build_object('conflicts', conflicts);
    END IF;
    d := zanith._with_owner(a.definition, owner);
    SELECT p.*, w.written INTO parts FROM zanith._written_columns(a, live, CASE WHEN of_column THEN named END) w(written),
        LATERAL zanith._render_some_rows(live, w.written, key, of_column, CASE WHEN of_column THEN zanith._only(a.definition) ELSE '' END) p;
    RETURN plan || jsonb_build_object('conflicts', conflicts,
        'path', CASE WHEN EXISTS (SELECT FROM zanith._code_of_table(live, true)) THEN zanith._owner_path(d) END,
        -- a value that was printed as one of the same built-in type is one of it
        'alike', (SELECT COALESCE(bool_and(t.atttypid = (w.item ->> 'type')::oid AND t.atttypmod = (w.item ->> 'modifier')::integer AND t.atttypid < 16384), false)
                  FROM zanith._each(parts.written) w LEFT JOIN zanith._searched_columns(a, place) s ON s.name = CASE WHEN of_column THEN a.source_column ELSE w.item ->> 'name' END
                  LEFT JOIN pg_attribute t ON t.attrelid = (place ->> 'oid')::oid AND t.attnum = s.attribute),
        'columns', parts.columns, 'live_sql', parts.live_sql, 'old_sql', parts.old_sql, 'fits_sql', parts.fits_sql, 'key_fits_sql', parts.key_fits_sql, 'write_sql', parts.write_sql,
        'key_changed', (SELECT zanith._list(jsonb_build_object('name', t.attname, 'type', format_type(t.atttypid, t.atttypmod), 'was', format_type(p.atttypid, p.atttypmod)) ORDER BY k.ord)
                        FROM zanith._each(key) k JOIN pg_attribute t ON t.attrelid = live AND t.attname = k.item ->> 'name' AND NOT t.attisdropped
                        JOIN pg_attribute p ON p.attrelid = (place ->> 'oid')::oid AND p.attname = t.attname AND NOT p.attisdropped
                        WHERE p.atttypid <> t.atttypid OR p.atttypmod <> t.atttypmod),
        'refuses_null', (SELECT zanith._list(t.attname ORDER BY t.attnum) FROM pg_attribute t WHERE t.attrelid = live AND t.attnotnull AND parts.columns ? t.attname),
        'triggers', (SELECT zanith._list(DISTINCT g.tgname) FROM zanith._family(live) f JOIN pg_trigger g ON g.tgrelid = f.member
                     WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND NOT starts_with(g.tgname, '~zanith_') AND g.tgtype & CASE WHEN of_column THEN 16 ELSE 4 END <> 0),
        'steps', zanith._as_owner(owner, zanith._step(parts.write_sql,
            CASE WHEN of_column THEN 'Write the archived value into one live row, unless that row changed' ELSE 'Insert one archived row, unless its key is taken' END, 'ROW EXCLUSIVE', ARRAY[target])));
END $$;

-- The live columns that are compared and written, as {name, type, modifier}: the column, or all that both tables have and that PostgreSQL does not compute.
CREATE OR REPLACE FUNCTION zanith._written_columns(a zanith._zanith_migration_artifacts, live oid, column_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('name', t.attname, 'type', t.atttypid::bigint, 'modifier', t.atttypmod) ORDER BY c.ord)
    FROM jsonb_array_elements_text(CASE WHEN column_name IS NULL THEN zanith._row_columns(a.definition) ELSE jsonb_build_array(column_name) END) WITH ORDINALITY c(name, ord)
    JOIN pg_attribute t ON t.attrelid = live AND t.attname = c.name AND NOT t.attisdropped AND t.attgenerated = ''
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_some_rows(
    live oid, written jsonb, key jsonb, of_column boolean, only_ text, OUT columns jsonb, OUT live_sql text, OUT old_sql text, OUT fits_sql text, OUT key_fits_sql text, OUT write_sql text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    target text := zanith._relation_name(live);
    width integer := jsonb_array_length(key);
    one text;
    each text;
    col jsonb := written -> 0;
    printed text := zanith._printed(format('t.%I', col ->> 'name'));
BEGIN
    columns := (SELECT zanith._list(w.item -> 'name' ORDER BY w.ord) FROM zanith._each(written) w);
    SELECT string_agg(format('t.%I %s %s', t.attname, zanith._equals(k.item), zanith._read_text(format('($1::pg_catalog.text[])[%s]', k.ord), t.atttypid, t.atttypmod)), ' AND ' ORDER BY k.ord),
           string_agg(format('t.%I %s %s', t.attname, zanith._equals(k.item), zanith._read_text(format('($1::pg_catalog.text[])[(g.n OPERATOR(pg_catalog.-) 1) OPERATOR(pg_catalog.*) %s OPERATOR(pg_catalog.+) %s]',
               width, k.ord), t.atttypid, t.atttypmod)), ' AND ' ORDER BY k.ord)
    INTO one, each FROM zanith._each(key) k JOIN pg_attribute t ON t.attrelid = live AND t.attname = k.item ->> 'name' AND NOT t.attisdropped;
    live_sql := format('SELECT pg_catalog.jsonb_build_array(g.n, l.v) FROM pg_catalog.generate_series(1, pg_catalog.array_length($1::pg_catalog.text[], 1) OPERATOR(pg_catalog./) %s) g(n), '
        'LATERAL (SELECT pg_catalog.jsonb_build_array(%s) FROM %s%s AS t WHERE %s OFFSET 0) l(v)', width,
        (SELECT string_agg(zanith._shown_value(format('t.%I', w.item ->> 'name')), ', ' ORDER BY w.ord) FROM zanith._each(written) w), only_, target, each);
    fits_sql := format('SELECT pg_catalog.jsonb_build_array(%s)', (
        SELECT string_agg(zanith._printed_alike(w.ord, (w.item ->> 'type')::oid, (w.item ->> 'modifier')::integer), ', ' ORDER BY w.ord) FROM zanith._each(written) w));
    key_fits_sql := format('SELECT pg_catalog.jsonb_build_array(%s)', (
        SELECT string_agg(zanith._printed_alike(k.ord, t.atttypid, t.atttypmod), ', ' ORDER BY k.ord)
        FROM zanith._each(key) k JOIN pg_attribute t ON t.attrelid = live AND t.attname = k.item ->> 'name' AND NOT t.attisdropped));
    IF of_column THEN
        old_sql := format('SELECT pg_catalog.jsonb_build_array(%s) FROM %s%s AS t WHERE %s', printed, only_, target, one);
        -- PostgreSQL looks at the condition again if another session changed the row meanwhile
        write_sql := format('WITH w AS (UPDATE %s%s AS t SET %I = %s WHERE %s AND %s RETURNING %s AS v) SELECT FROM w, pg_catalog.generate_series(1, CASE WHEN %s THEN 1 ELSE 2 END)',
            only_, target, col ->> 'name', zanith._read_text(format('($1::pg_catalog.text[])[%s]', width + 1), (col ->> 'type')::oid, (col ->> 'modifier')::integer), one,
            zanith._same_text(zanith._digest_of_text(printed), format('($1::pg_catalog.text[])[%s]', width + 2)), printed,
            zanith._same_text('w.v', format('($1::pg_catalog.text[])[%s]', width + 1)));
    ELSE
        SELECT format('WITH w AS (INSERT INTO %s AS t (%s) OVERRIDING SYSTEM VALUE SELECT %s ON CONFLICT DO NOTHING RETURNING ARRAY[%s]::pg_catalog.text[] AS v) '
                'SELECT FROM w, pg_catalog.generate_series(1, CASE WHEN w.v OPERATOR(pg_catalog.=) $1::pg_catalog.text[] THEN 1 ELSE 2 END)', target,
            string_agg(quote_ident(w.item ->> 'name'), ', ' ORDER BY w.ord),
            string_agg(zanith._read_text(format('($1::pg_catalog.text[])[%s]', w.ord), (w.item ->> 'type')::oid, (w.item ->> 'modifier')::integer), ', ' ORDER BY w.ord),
            string_agg(zanith._printed(format('t.%I', w.item ->> 'name')), ', ' ORDER BY w.ord)) INTO write_sql FROM zanith._each(written) w;
    END IF;
END $$;

-- Whether the text number `number` of $1 is printed as it was read, as a value of a type. It fails where the text is no value of it.
CREATE OR REPLACE FUNCTION zanith._printed_alike(number bigint, type oid, modifier integer) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN format('(SELECT pg_catalog.num_nulls(q.v) OPERATOR(pg_catalog.=) 1 AND pg_catalog.num_nulls(q.t) OPERATOR(pg_catalog.=) 1 OR pg_catalog.format(''%%s'', q.v) COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) q.t '
        'FROM (SELECT %s, ($1::pg_catalog.text[])[%s] OFFSET 0) q(v, t))', zanith._read_text(format('($1::pg_catalog.text[])[%s]', number), type, modifier), number);
END $$;

-- Whether two texts, or NULLs, are the same, byte by byte.
CREATE OR REPLACE FUNCTION zanith._same_text(one text, other text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('(SELECT CASE WHEN pg_catalog.num_nulls(q.a, q.b) OPERATOR(pg_catalog.=) 0 THEN q.a COLLATE pg_catalog."C" OPERATOR(pg_catalog.=) q.b ELSE pg_catalog.num_nulls(q.a, q.b) OPERATOR(pg_catalog.=) 2 END FROM (SELECT %s, %s OFFSET 0) q(a, b))', one, other)
$$;

-- What keeps rows from being put back one by one. `column_name`: the live column, NULL for rows of a table.
CREATE OR REPLACE FUNCTION zanith._find_row_conflicts(a zanith._zanith_migration_artifacts, place jsonb, live oid, key jsonb, column_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb := '[]';
    t record;
    table_name text := zanith._relation_name(live);
    other text;
    copy text := 'Copy the rows as SQL instead, and run that as you like.';
    wanted text := CASE WHEN column_name IS NULL THEN 'INSERT' ELSE 'UPDATE' END;
    keys smallint[];
BEGIN
    SELECT c.relkind, c.relforcerowsecurity, pg_get_userbyid(c.relowner) AS owner INTO t FROM pg_class c WHERE c.oid = live;
    IF place ->> 'state' IN ('missing', 'none') THEN
        found := found || zanith._conflict('archive_missing', 'no rows are parked', CASE place ->> 'state' WHEN 'none' THEN 'It is live again: look at the table itself.' ELSE 'Look at it with zanith recover doctor.' END, '{}', place ->> 'detail');
    ELSIF place ->> 'state' <> 'ok' THEN
        found := found || zanith._conflict('archive_moved', 'the parked object was renamed, moved or given to another role', 'Move it back to its recorded place first.', '{}', place ->> 'detail');
    END IF;
    IF a.verified_ok IS FALSE THEN
        found := found || zanith._conflict('seal_broken', 'the parked rows did not match their seal when they were last verified', 'Find out who changed them. ' || copy, ARRAY['--unverified']);
    END IF;
    IF live IS NULL OR t.relkind NOT IN ('r', 'p') THEN
        RETURN found || zanith._conflict('table_gone', format('there is no table %s', zanith._qualify(a.source_schema, a.source_table)),
            CASE WHEN column_name IS NULL THEN 'Restore the whole table, or create a table of that name. ' ELSE 'Restore or create the table first. ' END || copy);
    END IF;
    IF NOT pg_has_role(t.owner, 'USAGE') THEN
        found := found || zanith._conflict('not_permitted', format('must be owner of table %s', table_name), 'Restore as its owner, as a member of that role, or as a superuser.');
    END IF;
    IF zanith._has_several_owners(live) THEN
        found := found || zanith._conflict('several_owners', zanith._several_owners(live), 'Give all of it one owner first: ALTER TABLE … OWNER TO …. ' || copy);
    ELSIF zanith._is_trusted(t.owner) THEN
        other := zanith._third_code_of_tables(ARRAY(SELECT f.member FROM zanith._family(live) f), t.owner, true, true, true);
        IF other IS NOT NULL THEN
            found := found || zanith._conflict('code_of_another', format('code of another role would run as %I: %s calls %s', t.owner, table_name, other), copy);
        END IF;
    END IF;
    other := CASE WHEN column_name IS NOT NULL AND current_setting('server_version_num')::integer < 180000 THEN zanith._find_code_updated_with(live, column_name, t.owner) END;
    IF other IS NOT NULL THEN
        found := found || zanith._conflict('code_of_another', format('code of another role would run as %I: an UPDATE of %s calls %s', t.owner, table_name, other), copy);
    END IF;
    IF t.relforcerowsecurity AND NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = t.owner AND (r.rolsuper OR r.rolbypassrls)) THEN
        found := found || zanith._conflict('row_security', format('row security of %s is forced on its owner, and could hide the rows', table_name), copy);
    END IF;
    SELECT string_agg(quote_ident(r.rulename), ', ' ORDER BY r.rulename) INTO other FROM zanith._family(live) f JOIN pg_rewrite r ON r.ev_class = f.member
    WHERE r.ev_enabled <> 'D' AND r.ev_type = CASE wanted WHEN 'UPDATE' THEN '2' ELSE '3' END;
    IF other IS NOT NULL THEN
        found := found || zanith._conflict('rules', format('rules of %s would act on the %s: %s', table_name, wanted, other), 'Drop the rules first: DROP RULE …. ' || copy);
    END IF;
    IF key IS NULL THEN
        RETURN found || zanith._conflict('key_gone', 'the parked rows have no key by which a live row could be found', copy);
    END IF;
    SELECT string_agg(quote_ident(k.item ->> 'name'), ', ' ORDER BY k.ord) INTO other FROM zanith._each(key) k WHERE zanith._attribute_number(live, k.item ->> 'name') IS NULL;
    IF other IS NOT NULL THEN
        RETURN found || zanith._conflict('key_gone', format('%s has no column %s, which is of the key of the parked rows', table_name, other), 'Add it again, or undo its renaming. ' || copy);
    END IF;
    keys := ARRAY(SELECT zanith._attribute_number(live, k.item ->> 'name') FROM zanith._each(key) k);
    IF NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = live AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
                     AND (i.indkey::smallint[])[0:i.indnkeyatts - 1] <@ keys AND keys <@ (i.indkey::smallint[])[0:i.indnkeyatts - 1]) THEN
        found := found || zanith._conflict('key_gone', format('%s has another key now: no unique index over %s', table_name, (SELECT string_agg(quote_ident(k.item ->> 'name'), ', ' ORDER BY k.ord) FROM zanith._each(key) k)),
            'Create that index first: CREATE UNIQUE INDEX CONCURRENTLY …. ' || copy);
    END IF;
    RETURN found || (SELECT zanith._list(x.conflict -> 0 ORDER BY x.place) FROM zanith._find_row_columns(a, live, table_name, column_name, copy) x);
END $$;

CREATE OR REPLACE FUNCTION zanith._find_row_columns(a zanith._zanith_migration_artifacts, live oid, table_name text, column_name text, copy text) RETURNS TABLE (place bigint, conflict jsonb)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN RETURN QUERY
    SELECT c.ord, zanith._conflict('column_gone', format('%s has no column %I', table_name, c.name),
        CASE WHEN column_name IS NOT NULL THEN 'Restore the column, or add it again. ' ELSE 'Add it again, or undo its renaming: the value would be lost. ' END || copy)
    FROM jsonb_array_elements_text(CASE WHEN column_name IS NULL THEN zanith._row_columns(a.definition) ELSE jsonb_build_array(column_name) END) WITH ORDINALITY c(name, ord)
    WHERE zanith._attribute_number(live, c.name) IS NULL
    UNION ALL
    SELECT 5000, zanith._conflict('column_changed', format('%s.%I is %s now', table_name, t.attname, CASE WHEN t.attgenerated <> '' THEN 'a generated column' ELSE 'an identity column that is always generated' END),
        'PostgreSQL writes no value into such a column. ' || CASE WHEN t.attgenerated <> '' THEN 'Drop its expression first. ' ELSE 'Set it to GENERATED BY DEFAULT first. ' END || copy)
    FROM pg_attribute t WHERE column_name IS NOT NULL AND t.attrelid = live AND t.attname = column_name AND NOT t.attisdropped AND (t.attgenerated <> '' OR t.attidentity = 'a')
    UNION ALL
    SELECT 10000 + t.attnum, zanith._conflict('needs_value', format('%s has a new column %I, which is NOT NULL and has no default', table_name, t.attname),
        format('Give it a default first: ALTER TABLE %s ALTER COLUMN %I SET DEFAULT …. ', table_name, t.attname) || copy)
    FROM pg_attribute t
    WHERE column_name IS NULL AND t.attrelid = live AND t.attnum > 0 AND NOT t.attisdropped AND t.attnotnull AND NOT t.atthasdef AND t.attidentity = '' AND t.attgenerated = ''
      AND NOT zanith._row_columns(a.definition) ? t.attname;
END $$;

-- Keeps the definition of the live table as it is while one row is put back; reads and writes go on. Of a trusted role's table all partitions too: a
-- trigger that somebody else could add there would run as that role. Also of the tables that foreign keys update with it.
CREATE OR REPLACE FUNCTION zanith.lock_for_rows(artifact_id text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    live oid := zanith._relation_oid(a.source_schema, a.source_table);
    owner text := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = live);
BEGIN
    PERFORM zanith._lock_definition(f.member, false) FROM zanith._family(live) f WHERE f.member = live OR zanith._is_trusted(owner);
    PERFORM zanith._lock_definition(u, false) FROM zanith._tables_updated_with(live, zanith._written_column(a, live)) u JOIN pg_class c ON c.oid = u
        WHERE pg_get_userbyid(c.relowner) = owner;
END $$;
