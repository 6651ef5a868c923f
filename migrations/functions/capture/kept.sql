-- How an archive keeps the values of a column. A column depends on its type: DROP TYPE … CASCADE, or DROP EXTENSION, would take the
-- values away. So values of a type that is not PostgreSQL's own are kept as text, as pg_dump writes them, and values of a domain over a
-- type of PostgreSQL's own as that type. The canonical CSV of both is the same.

-- The base type of a domain over any number of domains.
CREATE OR REPLACE FUNCTION zanith._beneath_domain(type oid) RETURNS oid
LANGUAGE plpgsql STABLE AS $$
DECLARE
    base oid;
BEGIN
    LOOP
        SELECT t.typbasetype INTO base FROM pg_type t WHERE t.oid = type AND t.typtype = 'd';
        EXIT WHEN NOT FOUND;
        type := base;
    END LOOP;
    RETURN type;
END $$;

-- {type, text, collated, oid, modifier, enums, types}; NULL where the archive keeps the column as it is. Those with an oid below 16384
-- are PostgreSQL's own, and nobody drops them.
CREATE OR REPLACE FUNCTION zanith._describe_kept(relation oid, attribute smallint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    col record;
    base oid;
    as_text boolean;
BEGIN
    SELECT a.atttypid, a.atttypmod, a.attcollation INTO col FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum = attribute;
    IF col.atttypid < 16384 AND col.attcollation < 16384 THEN
        RETURN NULL;
    END IF;
    base := zanith._beneath_domain(col.atttypid);
    as_text := base >= 16384;
    RETURN jsonb_build_object(
        'type', CASE WHEN as_text THEN 'text' WHEN base <> col.atttypid THEN zanith._base_type(col.atttypid, col.atttypmod) ELSE format_type(col.atttypid, col.atttypmod) END,
        'text', as_text, 'collated', col.attcollation >= 16384, 'oid', col.atttypid, 'modifier', col.atttypmod,
        'enums', zanith._label_tree(base),
        'types', zanith._describe_types(col.atttypid));
END $$;

-- [{name, sql}]: how a type was made, and before it those that it is made of. A person reads it; Zanith never runs it.
CREATE OR REPLACE FUNCTION zanith._describe_types(type oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH RECURSIVE parts(oid, depth) AS (
        SELECT type, 0
        UNION ALL
        SELECT x.oid, p.depth + 1 FROM parts p JOIN pg_type t ON t.oid = p.oid, LATERAL (
            SELECT t.typelem AS oid WHERE t.typcategory = 'A'
            UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd'
            UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid
            UNION ALL SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = t.oid
            UNION ALL SELECT a.atttypid FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                      WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) x
        WHERE x.oid >= 16384 AND p.depth < 50
    )
    SELECT jsonb_agg(jsonb_build_object('name', format_type(q.oid, NULL), 'sql', q.sql) ORDER BY q.depth DESC, q.oid)
    FROM (SELECT p.oid, max(p.depth) AS depth, zanith._type_made(p.oid) AS sql FROM parts p GROUP BY p.oid) q WHERE q.sql IS NOT NULL
); END $$;

-- The statement that makes one type; NULL for an array or a multirange, which come with another.
CREATE OR REPLACE FUNCTION zanith._type_made(type oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN x.name IS NOT NULL THEN format('CREATE EXTENSION %I', x.name)
        WHEN t.typtype = 'e' THEN format('CREATE TYPE %s AS ENUM (%s)', q.name, COALESCE((
            SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid), ''))
        WHEN t.typtype = 'd' THEN concat_ws(' ', format('CREATE DOMAIN %s AS %s', q.name, format_type(t.typbasetype, t.typtypmod)),
            (SELECT 'COLLATE ' || zanith._qualify(m.nspname, l.collname) FROM pg_collation l JOIN pg_namespace m ON m.oid = l.collnamespace, pg_type b
             WHERE l.oid = t.typcollation AND b.oid = t.typbasetype AND b.typcollation <> t.typcollation),
            'DEFAULT ' || pg_get_expr(t.typdefaultbin, 0), CASE WHEN t.typnotnull THEN 'NOT NULL' END,
            (SELECT string_agg(format('CONSTRAINT %I %s', k.conname, pg_get_constraintdef(k.oid)), ' ' ORDER BY k.oid) FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = ANY (zanith._letters_of('condition')) AND k.convalidated))
        WHEN t.typtype = 'c' THEN (SELECT format(CASE WHEN c.relkind IN ('r', 'p') THEN 'CREATE TABLE %s (%s)' ELSE 'CREATE TYPE %s AS (%s)' END, q.name, COALESCE(string_agg(quote_ident(a.attname) || ' ' || format_type(a.atttypid, a.atttypmod)
                || COALESCE((SELECT ' COLLATE ' || zanith._qualify(m.nspname, l.collname) FROM pg_collation l JOIN pg_namespace m ON m.oid = l.collnamespace, pg_type b
                             WHERE l.oid = a.attcollation AND b.oid = a.atttypid AND b.typcollation <> a.attcollation), ''), ', ' ORDER BY a.attnum), ''))
            FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE c.oid = t.typrelid GROUP BY c.relkind)
        WHEN t.typtype = 'r' THEN (SELECT format('CREATE TYPE %s AS RANGE (SUBTYPE = %s%s%s%s%s%s)', q.name, format_type(r.rngsubtype, NULL),
                (SELECT format(', SUBTYPE_OPCLASS = %s', zanith._qualify(m.nspname, o.opcname)) FROM pg_opclass o JOIN pg_namespace m ON m.oid = o.opcnamespace WHERE o.oid = r.rngsubopc AND NOT o.opcdefault),
                (SELECT format(', COLLATION = %s', zanith._qualify(m.nspname, l.collname)) FROM pg_collation l JOIN pg_namespace m ON m.oid = l.collnamespace, pg_type b
                 WHERE l.oid = r.rngcollation AND b.oid = r.rngsubtype AND b.typcollation <> r.rngcollation),
                CASE WHEN r.rngcanonical::oid <> 0 THEN format(', CANONICAL = %s', r.rngcanonical) END,
                CASE WHEN r.rngsubdiff::oid <> 0 THEN format(', SUBTYPE_DIFF = %s', r.rngsubdiff) END,
                format(', MULTIRANGE_TYPE_NAME = %s', format_type(r.rngmultitypid, NULL))) FROM pg_range r WHERE r.rngtypid = t.oid) END
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace, LATERAL (SELECT zanith._qualify(n.nspname, t.typname)) q(name)
         LEFT JOIN LATERAL (SELECT e.extname FROM pg_depend d JOIN pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
                            WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e') x(name) ON true
    WHERE t.oid = type
); END $$;

-- A value as the archive keeps it. format() calls the output function of the type, which is C: a cast could be anybody's function.
CREATE OR REPLACE FUNCTION zanith._keep_value(d jsonb, value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    kept jsonb := NULLIF(d -> 'kept', 'null');
BEGIN
    IF kept IS NULL THEN
        RETURN value;
    ELSIF (kept ->> 'text')::boolean THEN
        RETURN zanith._printed(value);
    END IF;
    RETURN format(CASE WHEN (kept ->> 'collated')::boolean THEN '(%s::%s) COLLATE pg_catalog."default"' ELSE '%s::%s' END, value, kept ->> 'type');
END $$;

-- The same with its name, for the list of a SELECT.
CREATE OR REPLACE FUNCTION zanith._as_kept(d jsonb, value text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN CASE WHEN COALESCE(d -> 'kept', 'null') = 'null' THEN value ELSE format('%s AS %I', zanith._keep_value(d, value), d #>> '{column,name}') END;
END $$;

CREATE OR REPLACE FUNCTION zanith._printed(value text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('CASE WHEN pg_catalog.num_nulls(%1$s) OPERATOR(pg_catalog.=) 0 THEN pg_catalog.format(''%%s'', %1$s) END', value)
$$;

-- Whether what is archived is text in place of values of the column's type.
CREATE OR REPLACE FUNCTION zanith._is_kept_as_text(d jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT d ->> 'strategy' = 'archive_column' AND COALESCE((d #>> '{parked,text}')::boolean, false) $$;

-- The tree of labels that a type had when its values were archived; earlier versions recorded those of an enum alone, as {label: oid}.
CREATE OR REPLACE FUNCTION zanith._kept_labels(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN COALESCE(NULLIF(d #> '{kept,enums}', 'null'), (
    SELECT jsonb_build_object('enum', jsonb_object_agg(l.value, l.key)) FROM jsonb_each_text(NULLIF(d #> '{kept,labels}', 'null')) l HAVING count(*) > 0)
); END $$;

-- Archived text under the labels that the type has now: ALTER TYPE … RENAME VALUE changes how a value is written. A script finds out itself when
-- it runs which were renamed. In another database the oids mean nothing.
CREATE OR REPLACE FUNCTION zanith._relabel_kept(d jsonb, value text, in_script boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    labels jsonb := zanith._kept_labels(d);
BEGIN
    IF labels IS NOT NULL AND d ->> 'database' = zanith._database_identity() THEN
        labels := CASE WHEN in_script THEN labels ELSE zanith._renamed_labels(labels, zanith._label_tree(COALESCE(to_regtype(d #>> '{column,type}')::oid, CASE WHEN zanith._type_comes_back(d, d #>> '{column,type}') THEN (d #>> '{kept,oid}')::oid END)), false) END;
        RETURN CASE WHEN labels IS NULL THEN value ELSE zanith._render_labels(labels, value, false) END;
    END IF;
    RETURN value;
END $$;

-- An archived value as one of the column's type. JSON calls the input function of the type; a cast from text could be anybody's function,
-- and give another value.
CREATE OR REPLACE FUNCTION zanith._read_kept(d jsonb, value text, in_script boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF NOT zanith._is_kept_as_text(d) THEN
        RETURN value;
    END IF;
    RETURN format('(SELECT x.v FROM pg_catalog.json_to_record(pg_catalog.json_build_object(''v'', %s)) x(v %s))',
        zanith._relabel_kept(d, value, in_script), d #>> '{column,type}');
END $$;

-- Whether a value of the column's type and an archived one differ in any byte. A domain is compared as its base type: its checks
-- would run.
CREATE OR REPLACE FUNCTION zanith._differs_from_kept(d jsonb, value text, archived text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    type text := COALESCE(d #>> '{column,base_type}', d #>> '{column,type}');
BEGIN
    IF zanith._is_kept_as_text(d) THEN
        RETURN zanith._differ('text', zanith._printed(value), zanith._relabel_kept(d, archived));
    END IF;
    RETURN zanith._differ(type, format('%s::%s', value, type), format('%s::%s', archived, type));
END $$;
