-- Labels of enums in text. PostgreSQL stores the oid of a label and prints its name, so ALTER TYPE … RENAME VALUE changes how a value is
-- printed and how its text is read. The names are replaced in text that the output function of an array, a composite, a range or a
-- multirange wrote: it is taken apart, and each part is quoted again as that function quotes it. A domain is printed as its base type.

-- Where a value of a type holds labels: {enum: {oid: label}}, {array: of}, {fields: {ordinal: of}}, {range: of} or {multirange: of}.
-- NULL where it holds none.
CREATE OR REPLACE FUNCTION zanith._label_tree(type oid, depth integer DEFAULT 0) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    t record;
    part jsonb;
BEGIN
    IF type IS NULL OR type < 16384 OR depth > 50 THEN
        RETURN NULL;
    END IF;
    SELECT b.oid, b.typtype, b.typrelid, (SELECT e.oid FROM pg_type e WHERE e.oid = b.typelem AND e.typarray = b.oid) AS element INTO t
    FROM pg_type b WHERE b.oid = zanith._beneath_domain(type);
    IF t.typtype = 'e' THEN
        RETURN (SELECT jsonb_build_object('enum', jsonb_object_agg(e.oid::text, e.enumlabel)) FROM pg_enum e WHERE e.enumtypid = t.oid HAVING count(*) > 0);
    ELSIF t.typtype = 'c' THEN
        SELECT jsonb_object_agg(f.ordinal, f.tree) INTO part FROM (
            SELECT row_number() OVER (ORDER BY a.attnum) AS ordinal, zanith._label_tree(a.atttypid, depth + 1) AS tree
            FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) f WHERE f.tree IS NOT NULL;
        RETURN CASE WHEN part IS NOT NULL THEN jsonb_build_object('fields', part) END;
    ELSIF t.typtype = 'r' THEN
        part := zanith._label_tree((SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid), depth + 1);
        RETURN CASE WHEN part IS NOT NULL THEN jsonb_build_object('range', part) END;
    ELSIF t.typtype = 'm' THEN
        part := zanith._label_tree((SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = t.oid), depth + 1) -> 'range';
        RETURN CASE WHEN part IS NOT NULL THEN jsonb_build_object('multirange', part) END;
    END IF;
    part := zanith._label_tree(t.element, depth + 1);
    RETURN CASE WHEN part IS NOT NULL THEN jsonb_build_object('array', part) END;
END $$;

-- What of a recorded tree was renamed since: the same with {renamed: {from: to}} in place of {enum: …}, and only where anything was. `now`: the
-- tree of the type that the column has; an enum that is no longer in its place is left alone. `back`: from the labels of now to the recorded ones.
CREATE OR REPLACE FUNCTION zanith._renamed_labels(tree jsonb, now jsonb, back boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    form text := (SELECT k.form FROM jsonb_object_keys(tree) k(form));
    found jsonb;
BEGIN
    IF now -> form IS NULL THEN
        RETURN NULL;
    ELSIF form = 'enum' THEN
        SELECT jsonb_object_agg(CASE WHEN back THEN n.value ELSE l.value END, CASE WHEN back THEN l.value ELSE n.value END) INTO found
        FROM jsonb_each_text(tree -> form) l JOIN jsonb_each_text(now -> form) n ON n.key = l.key WHERE n.value <> l.value;
        RETURN CASE WHEN found IS NOT NULL THEN jsonb_build_object('renamed', found) END;
    ELSIF form = 'fields' THEN
        SELECT jsonb_object_agg(f.key, f.found) INTO found FROM (
            SELECT p.key, zanith._renamed_labels(p.value, now #> ARRAY[form, p.key], back) AS found FROM jsonb_each(tree -> form) p) f WHERE f.found IS NOT NULL;
    ELSE
        found := zanith._renamed_labels(tree -> form, now -> form, back);
    END IF;
    RETURN CASE WHEN found IS NOT NULL THEN jsonb_build_object(form, found) END;
END $$;

-- SQL for `value`, which is SQL for text, under the other labels. A tree of {enum: …} is for what is run later than it is written: that finds
-- out itself which labels were renamed. Where the oids are not those of one type, as in another database, every label stays.
CREATE OR REPLACE FUNCTION zanith._render_labels(tree jsonb, value text, back boolean, depth integer DEFAULT 1) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    form text := (SELECT k.form FROM jsonb_object_keys(tree) k(form));
    part text := format('e%s.v', depth);
    parts text;
    known jsonb;
BEGIN
    IF depth = 1 AND form <> 'enum' THEN
        SELECT jsonb_object_agg(l.key, l.value) INTO known FROM jsonb_path_query(tree, '$.**.enum') e(labels), jsonb_each(e.labels) l;
        IF known IS NOT NULL THEN
            RETURN format('CASE WHEN EXISTS (SELECT FROM pg_catalog.jsonb_each_text(%L::pg_catalog.jsonb) l JOIN pg_catalog.pg_enum e ON e.oid OPERATOR(pg_catalog.=) l.key::pg_catalog.oid'
                ' WHERE e.enumlabel OPERATOR(pg_catalog.<>) l.value::pg_catalog.name) THEN %s ELSE %s END', known, zanith._render_labels(tree, value, back, 2), value);
        END IF;
    END IF;
    IF form = 'renamed' THEN
        RETURN format('COALESCE(%2$L::pg_catalog.jsonb OPERATOR(pg_catalog.->>) %1$s, %1$s)', value, tree -> form);
    ELSIF form = 'enum' THEN
        RETURN format('COALESCE((SELECT pg_catalog.jsonb_object_agg(%4$s) FROM pg_catalog.jsonb_each_text(%2$L::pg_catalog.jsonb) l'
            ' JOIN pg_catalog.pg_enum e ON e.oid OPERATOR(pg_catalog.=) l.key::pg_catalog.oid'
            ' HAVING pg_catalog.count(*) OPERATOR(pg_catalog.=) %3$s AND pg_catalog.min(e.enumtypid) OPERATOR(pg_catalog.=) pg_catalog.max(e.enumtypid))'
            ' OPERATOR(pg_catalog.->>) %1$s, %1$s)',
            value, tree -> form, (SELECT count(*) FROM jsonb_object_keys(tree -> form)), CASE WHEN back THEN 'e.enumlabel, l.value' ELSE 'l.value, e.enumlabel' END);
    ELSIF form = 'multirange' THEN
        RETURN format('CASE WHEN %1$s IS NOT NULL THEN pg_catalog.concat(''{'', %2$s, ''}'') END', value,
            zanith._render_labels(jsonb_build_object('range', tree -> form), format('pg_catalog.regexp_replace(%s, ''^.(.*).$'', %L)', value, '\1'), back, depth));
    ELSIF form = 'array' THEN
        -- what stands between elements, with the bounds before them, or an element; unquoted NULL is none
        RETURN format('(SELECT pg_catalog.string_agg(CASE WHEN x%2$s.m[2] IS NULL OR pg_catalog.lower(x%2$s.m[2]) OPERATOR(pg_catalog.=) ''null'' THEN COALESCE(x%2$s.m[1], x%2$s.m[2])'
            ' ELSE pg_catalog.regexp_replace(pg_catalog.format(''%%s'', ARRAY[%4$s]), ''^.(.*).$'', %5$L) END, '''' ORDER BY x%2$s.n)'
            ' FROM pg_catalog.regexp_matches(%1$s, %3$L, ''g'') WITH ORDINALITY x%2$s(m, n), LATERAL (SELECT CASE WHEN pg_catalog.starts_with(x%2$s.m[2], ''"'')'
            ' THEN pg_catalog.regexp_replace(pg_catalog.regexp_replace(x%2$s.m[2], ''^.(.*).$'', %5$L), %6$L, %5$L, ''g'') ELSE x%2$s.m[2] END) e%2$s(v))',
            value, depth, '((?:^(?:\[[-0-9]+:[-0-9]+\])+=)?[{},]+)|("(?:[^"\\]|\\.)*"|[^{},"]+)', zanith._render_labels(tree -> form, part, back, depth + 1), '\1', '\\(.)');
    ELSIF form = 'range' THEN
        -- the word empty stands alone, so it is the first
        RETURN format('(SELECT pg_catalog.string_agg(CASE WHEN x%2$s.m[2] IS NULL OR x%2$s.n OPERATOR(pg_catalog.=) 1 THEN COALESCE(x%2$s.m[1], x%2$s.m[2]) ELSE (SELECT'
            ' CASE WHEN b.v OPERATOR(pg_catalog.=) '''' OR b.v COLLATE pg_catalog."C" OPERATOR(pg_catalog.~) %7$L THEN pg_catalog.concat(''"'', pg_catalog.regexp_replace(b.v, %8$L, %9$L, ''g''), ''"'') ELSE b.v END'
            ' FROM (SELECT %4$s OFFSET 0) b(v)) END, '''' ORDER BY x%2$s.n)'
            ' FROM pg_catalog.regexp_matches(%1$s, %3$L, ''g'') WITH ORDINALITY x%2$s(m, n), LATERAL (SELECT CASE WHEN pg_catalog.starts_with(x%2$s.m[2], ''"'')'
            ' THEN pg_catalog.regexp_replace(pg_catalog.regexp_replace(x%2$s.m[2], ''^.(.*).$'', %5$L), %6$L, %5$L, ''g'') ELSE x%2$s.m[2] END) e%2$s(v))',
            value, depth, '([][(),]+)|("(?:[^"\\]|""|\\\\)*"|[^][(),"]+)', zanith._render_labels(tree -> form, part, back, depth + 1), '\1', '["\\](["\\])',
            '[][(),"\\\s]', '(["\\])', '\1\1');
    END IF;
    SELECT string_agg(format('WHEN x%1$s.n OPERATOR(pg_catalog.=) %2$s THEN pg_catalog.regexp_replace(pg_catalog.format(''%%s'', ROW(%3$s)), ''^.(.*).$'', %4$L)',
        depth, f.key, zanith._render_labels(f.value, part, back, depth + 1), '\1'), ' ' ORDER BY f.key::integer) INTO parts FROM jsonb_each(tree -> form) f;
    -- a field without a character is NULL
    RETURN format('(SELECT pg_catalog.concat(''('', pg_catalog.string_agg(CASE WHEN x%2$s.m[1] OPERATOR(pg_catalog.=) '''' THEN '''' %4$s ELSE x%2$s.m[1] END, '','' ORDER BY x%2$s.n), '')'')'
        ' FROM pg_catalog.regexp_matches(%1$s, %3$L, ''g'') WITH ORDINALITY x%2$s(m, n), LATERAL (SELECT CASE WHEN pg_catalog.starts_with(x%2$s.m[1], ''"'')'
        ' THEN pg_catalog.regexp_replace(pg_catalog.regexp_replace(x%2$s.m[1], ''^.(.*).$'', %5$L), %6$L, %5$L, ''g'') ELSE x%2$s.m[1] END) e%2$s(v)'
        ' HAVING pg_catalog.count(*) OPERATOR(pg_catalog.>) 0)',
        value, depth, '[(,]("(?:[^"\\]|""|\\\\)*"|[^,()"]*)', parts, '\1', '["\\](["\\])');
END $$;
