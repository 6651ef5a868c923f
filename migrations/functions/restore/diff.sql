-- Archived values beside the live ones, by the key: queries that count what is the same and what is not, and show some. They only read, and run as the
-- checks of a plan do: as the owner of the live table, after a look at whose code they could call.

-- Whether PostgreSQL itself says when two values of a type are equal: by a default operator class of its own. Of the others, and of types that are not
-- PostgreSQL's own, the text is compared. (The operator = of type box compares areas.)
CREATE OR REPLACE FUNCTION zanith._has_equality(type oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    t record;
BEGIN
    SELECT y.typtype, y.typcategory, y.typelem INTO t FROM pg_type y WHERE y.oid = type;
    RETURN type < 16384 AND CASE WHEN t.typcategory = 'A' THEN zanith._has_equality(t.typelem) WHEN t.typtype IN ('r', 'm') THEN true ELSE EXISTS (
        SELECT FROM pg_opclass c JOIN pg_am m ON m.oid = c.opcmethod AND m.amname IN ('btree', 'hash')
        WHERE c.opcdefault AND c.oid < 16384 AND (c.opcintype = type OR c.opcintype IN (
            SELECT k.casttarget FROM pg_cast k WHERE k.castsource = type AND k.castmethod = 'b' AND k.castcontext = 'i' AND k.oid < 16384))) END;
END $$;

-- How an archived value and a live one are compared: {differs, how, then, now}. `how`: equality or text. `then` and `now` print them.
CREATE OR REPLACE FUNCTION zanith._compared(archived text, archived_type oid, live text, live_type oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    base oid := zanith._beneath_domain(live_type);
    pattern text := CASE WHEN (SELECT y.typcollation FROM pg_type y WHERE y.oid = base) <> 0 THEN '((%s)::%s COLLATE pg_catalog."C")' ELSE '((%s)::%s)' END;
    equality boolean := zanith._beneath_domain(archived_type) = base AND zanith._has_equality(base);
BEGIN
    RETURN jsonb_build_object('how', CASE WHEN equality THEN 'equality' ELSE 'text' END,
        'then', zanith._printed(archived), 'now', zanith._printed(live),
        'differs', CASE WHEN equality THEN concat(format(pattern, archived, format_type(base, -1)), ' IS DISTINCT FROM ', format(pattern, live, format_type(base, -1)))
                        ELSE format('((%s) COLLATE pg_catalog."C") IS DISTINCT FROM ((%s) COLLATE pg_catalog."C")', zanith._printed(archived), zanith._printed(live)) END);
END $$;

-- The columns of both sides: [{name, recorded, now, how, differs, then, now_text, type_changed}], without those of the key.
CREATE OR REPLACE FUNCTION zanith._compared_columns(a zanith._zanith_migration_artifacts, archive oid, live oid, column_now text, key jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := a.definition;
    soft boolean := a.artifact_type = 'soft_drop_column';
    recorded jsonb := CASE WHEN a.source_column IS NOT NULL THEN jsonb_build_array(CASE WHEN COALESCE(d -> 'stays', 'null') <> 'null' THEN d -> 'stays' ELSE d -> 'column' END)
                           WHEN d ? 'members' THEN d #> '{members,0,definition,columns}' ELSE d #> '{definition,columns}' END;
BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('name', c.item ->> 'name', 'recorded', c.item ->> 'type', 'now', t.type, 'type_changed', c.item ->> 'type' <> t.type)
                        || x.how || jsonb_build_object('now_text', x.how -> 'now', 'now', t.type) ORDER BY c.ord)
    FROM zanith._each(recorded) c
         JOIN LATERAL (SELECT f.atttypid, f.attname FROM pg_attribute f WHERE f.attrelid = archive AND f.attname = CASE WHEN soft THEN a.physical_column ELSE c.item ->> 'name' END AND NOT f.attisdropped) o ON true
         JOIN LATERAL (SELECT f.atttypid, f.attname, format_type(f.atttypid, f.atttypmod) AS type FROM pg_attribute f WHERE f.attrelid = live AND f.attname = COALESCE(column_now, c.item ->> 'name') AND NOT f.attisdropped) t ON true,
         LATERAL (SELECT zanith._compared(CASE WHEN zanith._is_kept_as_text(d) THEN zanith._relabel_kept(d, format('a.%I', o.attname)) WHEN soft THEN format('t.%I', o.attname) ELSE format('a.%I', o.attname) END,
                                          o.atttypid, format('t.%I', t.attname), t.atttypid)) x(how)
    WHERE NOT key @> jsonb_build_array(jsonb_build_object('name', c.item ->> 'name'))
); END $$;

-- Whether the columns of a key tell the rows of a table apart now.
CREATE OR REPLACE FUNCTION zanith._is_key(relation oid, key jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (
    SELECT FROM pg_index i
    WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
      AND NOT EXISTS (SELECT FROM unnest((i.indkey::smallint[])[0:i.indnkeyatts - 1]) n(num) JOIN pg_attribute c ON c.attrelid = relation AND c.attnum = n.num
                      WHERE NOT key @> jsonb_build_array(jsonb_build_object('name', c.attname)))
      -- it still has all of them
      AND NOT EXISTS (SELECT FROM zanith._each(key) k WHERE zanith._attribute_number(relation, k.item ->> 'name') IS NULL)
); END $$;

-- Why the values of an artifact cannot be compared with a live table as somebody; NULL where they can.
CREATE OR REPLACE FUNCTION zanith._find_uncomparable(a zanith._zanith_migration_artifacts, place jsonb, archive oid, live oid, key jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    owner text := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = live);
    parts record;
    found text;
BEGIN
    IF a.definition ? 'members' AND place ->> 'owner' <> owner THEN
        RETURN format('the parked table belongs to %I and the live one to %I: give both one owner first', place ->> 'owner', owner);
    END IF;
    found := zanith._find_mixed_code(live);
    IF found IS NULL AND zanith._is_trusted(owner) THEN
        SELECT array_agg(x.class) AS classes, array_agg(x.object) AS objects INTO parts FROM (
            SELECT r.class, r.object FROM zanith._read_addresses(ARRAY[live, archive]) r
            UNION SELECT 'pg_type'::regclass, c.atttypid FROM pg_attribute c WHERE c.attrelid IN (live, archive) AND c.attnum > 0 AND c.atttypid >= 16384) x;
        found := zanith._find_third_code(parts.classes, parts.objects, owner);
        SELECT COALESCE(found, min(format('the key column %I, whose type belongs to %I', c.attname, pg_get_userbyid(y.typowner)))) INTO found
        FROM zanith._each(key) k JOIN pg_attribute c ON c.attrelid = live AND c.attname = k.item ->> 'name' JOIN pg_type y ON y.oid = c.atttypid
        WHERE NOT zanith._is_superuser(pg_get_userbyid(y.typowner)) AND y.oid >= 16384;
    END IF;
    RETURN 'code of one owner would run as another: ' || found;
END $$;

-- What compares the values of an artifact with what has its name now: the columns, the query that counts, and one that shows rows of a class
-- (changed, same, only_archived, only_live), of one column where it is named. Where nothing can be compared, `reason` says why.
CREATE OR REPLACE FUNCTION zanith.compare_values(artifact_id text, class text DEFAULT NULL, column_name text DEFAULT NULL, most integer DEFAULT 20, skip integer DEFAULT 0) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    d jsonb := a.definition;
    place jsonb := zanith._place(a);
    soft boolean := a.artifact_type = 'soft_drop_column';
    archive oid := (place ->> 'oid')::oid;
    called text := CASE WHEN a.restored_at IS NOT NULL THEN zanith._restored_as(a.id) END;
    live oid := CASE WHEN soft THEN archive ELSE zanith._relation_oid(a.source_schema, CASE WHEN a.source_column IS NULL THEN COALESCE(called, a.source_table) ELSE a.source_table END) END;
    column_now text := CASE WHEN a.source_column IS NOT NULL THEN COALESCE(called, a.source_column) END;
    live_name text := zanith._relation_name(live);
    kind "char" := (SELECT c.relkind FROM pg_class c WHERE c.oid = live);
    key jsonb;
    columns jsonb;
    reason text;
    role text;
    source text;
    archived text;
    live_rows text;
    matching text;
    matched text;
    new_rows text;
    keys text;
    q record;
BEGIN
    reason := CASE WHEN archive IS NULL AND a.status = 'restored' AND place ->> 'state' = 'none' THEN 'it is live again, and no second copy of its rows is parked'
        WHEN archive IS NULL THEN format('nothing is parked that could be compared: %s', place ->> 'detail')
        WHEN live IS NULL THEN format('no table has the name %s now', zanith._qualify(a.source_schema, a.source_table))
        WHEN kind NOT IN ('r', 'p') OR live = archive AND NOT soft THEN format('%s is not a table', live_name)
        WHEN column_now IS NOT NULL AND zanith._attribute_number(live, column_now) IS NULL THEN format('%s has no column %I now', live_name, column_now) END;
    IF reason IS NOT NULL THEN
        RETURN jsonb_build_object('object', zanith._object_name(a), 'reason', reason);
    END IF;
    key := COALESCE(NULLIF(CASE WHEN soft THEN zanith._key_now(d, live) ELSE d -> 'key' END, 'null'), '[]');
    columns := zanith._compared_columns(a, archive, live, column_now, CASE WHEN soft THEN '[]' ELSE key END);
    reason := zanith._find_uncomparable(a, place, archive, live, key);
    IF reason IS NULL AND NOT soft AND (key = '[]' OR NOT zanith._is_key(live, key)) THEN
        reason := CASE WHEN key = '[]' THEN 'the archived rows have no key: only their number can be told'
                       ELSE format('%s has no unique key over %s now: only numbers of rows can be told', live_name, zanith._key_list(key)) END;
        key := '[]';
    ELSIF reason IS NOT NULL THEN
        RETURN jsonb_build_object('object', zanith._object_name(a), 'live', live_name, 'reason', reason);
    END IF;
    role := zanith._runner((SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = live));
    live_rows := CASE WHEN kind = 'p' THEN '' WHEN a.source_column IS NOT NULL THEN zanith._only(d) ELSE 'ONLY ' END || live_name;
    archived := CASE WHEN d ? 'members' THEN zanith._only(d) ELSE 'ONLY ' END || zanith._relation_name(archive);
    matching := zanith._key_match(key);
    IF key = '[]' AND NOT soft THEN
        source := archived || ' a';
        matched := 'false';
        new_rows := live_rows || ' t';
        columns := '[]';
    ELSIF soft THEN
        source := live_rows || ' t';
        matched := 'true';
        new_rows := live_rows || ' t WHERE false';
    ELSE
        source := format('%s a LEFT JOIN %s t ON %s', archived, live_rows, matching);
        matched := format('pg_catalog.num_nulls(t.%I) OPERATOR(pg_catalog.=) 0', key #>> '{0,name}');
        new_rows := format('%s t WHERE NOT EXISTS (SELECT FROM %s a WHERE %s)', live_rows, archived, matching);
    END IF;
    -- of one column, where it is named
    SELECT COALESCE(string_agg(format('q.x%s', c.ord), ' OR ' ORDER BY c.ord) FILTER (WHERE column_name IS NULL OR c.item ->> 'name' = column_name), 'false') AS any_of,
           COALESCE(string_agg(format('q.x%s', c.ord), ' OR ' ORDER BY c.ord), 'false') AS any_one,
           COALESCE(string_agg(format(', pg_catalog.count(*) FILTER (WHERE q.m AND q.x%s)', c.ord), '' ORDER BY c.ord), '') AS counts,
           COALESCE(string_agg(format(', %s AS x%s', c.item ->> 'differs', c.ord), '' ORDER BY c.ord), '') AS compared,
           COALESCE(string_agg(format(', pg_catalog.left(%s, 2000)', c.item ->> 'then'), '' ORDER BY c.ord), '') AS before,
           COALESCE(string_agg(format(', pg_catalog.left(%s, 2000)', c.item ->> 'now_text'), '' ORDER BY c.ord), '') AS after,
           COALESCE(string_agg(format(', CASE WHEN %s THEN ''x'' END', c.item ->> 'differs'), '' ORDER BY c.ord), '') AS marks,
           COALESCE(string_agg(format('(%s)', c.item ->> 'differs'), ' OR ' ORDER BY c.ord) FILTER (WHERE column_name IS NULL OR c.item ->> 'name' = column_name), 'false') AS differs,
           COALESCE(string_agg(', NULL', ''), '') AS nothing
    INTO q FROM zanith._each(columns) c;
    keys := CASE WHEN key = '[]' THEN CASE WHEN soft THEN 'pg_catalog.format(''%s'', t.ctid)' ELSE 'NULL' END
                 ELSE (SELECT string_agg(zanith._printed(format('%s.%I', CASE WHEN soft OR class = 'only_live' THEN 't' ELSE 'a' END, k.item ->> 'name')), ', ' ORDER BY k.ord) FROM zanith._each(key) k) END;
    RETURN jsonb_build_object('object', zanith._object_name(a), 'live', live_name, 'reason', reason, 'key', (SELECT zanith._list(k.item -> 'name' ORDER BY k.ord) FROM zanith._each(key) k),
        'columns', (SELECT zanith._list(c.item - ARRAY['differs', 'then', 'now_text'] ORDER BY c.ord) FROM zanith._each(columns) c),
        'only_recorded', CASE WHEN a.source_column IS NOT NULL THEN '[]' ELSE (SELECT zanith._list(n.name ORDER BY n.ord) FROM jsonb_array_elements_text(zanith._row_columns(d)) WITH ORDINALITY n(name, ord)
            WHERE zanith._attribute_number(live, n.name) IS NULL) END,
        'only_now', CASE WHEN a.source_column IS NOT NULL THEN '[]' ELSE (SELECT zanith._list(c.attname ORDER BY c.attnum) FROM pg_attribute c
            WHERE c.attrelid = live AND c.attnum > 0 AND NOT c.attisdropped AND NOT zanith._row_columns(d) ? c.attname) END,
        'role', role, 'path', zanith._reading_path(live, d, role), 'guards', ARRAY['COMPARED ' || live_name, 'COMPARED ' || zanith._relation_name(archive)],
        'prepares', (SELECT zanith._list(s.item -> 'sql' ORDER BY s.ord) FROM zanith._each(zanith._render_archive_readable(a, live)) s),
        'count_sql', format('SELECT pg_catalog.to_jsonb(ARRAY[(SELECT pg_catalog.count(*) FROM %s), pg_catalog.count(*), pg_catalog.count(*) FILTER (WHERE q.m), pg_catalog.count(*) FILTER (WHERE q.m AND (%s))%s]) '
            'FROM (SELECT %s AS m%s FROM %s) q', new_rows, q.any_one, q.counts, matched, q.compared, source),
        'sample_sql', CASE WHEN class IS NOT NULL AND reason IS NULL THEN format('SELECT pg_catalog.to_jsonb(ARRAY[%s%s]::pg_catalog.text[]) FROM %s%s LIMIT %s OFFSET %s', keys,
            CASE class WHEN 'only_archived' THEN q.before || q.nothing || q.nothing WHEN 'only_live' THEN q.nothing || q.after || q.nothing ELSE q.before || q.after || q.marks END,
            CASE class WHEN 'only_live' THEN new_rows
                       WHEN 'only_archived' THEN CASE WHEN soft THEN new_rows ELSE format('%s a WHERE NOT EXISTS (SELECT FROM %s t WHERE %s)', archived, live_rows, matching) END
                       WHEN 'same' THEN format('%s WHERE %s AND NOT (%s)', source, matched, q.differs) ELSE format('%s WHERE %s AND (%s)', source, matched, q.differs) END,
            ' ORDER BY ' || zanith._key_list(key, CASE WHEN soft OR class = 'only_live' THEN 't.' ELSE 'a.' END), most, skip) END);
END $$;
