-- Columns.

-- One column as pg_dump sees it. `not_null` names its constraint where the server has one (18 and later).
CREATE OR REPLACE FUNCTION zanith._describe_column(relation oid, attribute smallint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'name', a.attname,
        'type', format_type(a.atttypid, a.atttypmod),
        'base_type', CASE WHEN t.typtype = 'd' THEN zanith._base_type(a.atttypid, a.atttypmod) END,
        'collation', CASE WHEN a.attcollation <> t.typcollation
                          THEN (SELECT format('%I.%I', n.nspname, l.collname)
                                FROM pg_collation l JOIN pg_namespace n ON n.oid = l.collnamespace
                                WHERE l.oid = a.attcollation) END,
        'not_null', CASE WHEN a.attnotnull THEN COALESCE((
            SELECT jsonb_build_object('name', c.conname, 'validated', c.convalidated, 'local', c.conislocal,
                                      'no_inherit', c.connoinherit,
                                      'comment', obj_description(c.oid, 'pg_constraint'))
            FROM pg_constraint c
            WHERE c.conrelid = a.attrelid AND c.contype = ANY (zanith._letters_of('not_null')) AND c.conkey = ARRAY[a.attnum]), '{}') END,
        'inherited', a.attinhcount > 0 AND NOT a.attislocal,
        'default', CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END,
        'generated', CASE WHEN a.attgenerated <> '' THEN jsonb_build_object(
            'kind', CASE a.attgenerated WHEN 's' THEN 'STORED' ELSE 'VIRTUAL' END,
            'expression', pg_get_expr(d.adbin, d.adrelid)) END,
        'identity', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END,
        'sequences', CASE WHEN EXISTS (SELECT FROM pg_depend s WHERE s.classid = 'pg_class'::regclass AND s.refclassid = 'pg_class'::regclass AND s.refobjid = a.attrelid
                                       AND s.refobjsubid = a.attnum AND s.deptype IN ('a', 'i')) THEN zanith._describe_sequences(a.attrelid, a.attnum) ELSE '[]' END,
        'storage', CASE WHEN a.attstorage <> t.typstorage THEN CASE a.attstorage
            WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
        'compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
        'statistics', NULLIF(a.attstattarget, -1),
        'options', CASE WHEN a.attoptions IS NOT NULL THEN zanith._user_options(to_jsonb(a.attoptions), true) END,
        'grants', CASE WHEN a.attacl IS NOT NULL THEN zanith._describe_grants(a.attacl) END,
        'comment', col_description(a.attrelid, a.attnum))
    FROM pg_attribute a
    JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    WHERE a.attrelid = relation AND a.attnum = attribute AND NOT a.attisdropped
); END $$;

-- The base type of a domain over any number of domains, with the modifier that the domain gives it.
CREATE OR REPLACE FUNCTION zanith._base_type(type oid, modifier integer) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH RECURSIVE beneath(oid, typmod, depth) AS (
        SELECT type, modifier, 0
        UNION ALL
        SELECT t.typbasetype, t.typtypmod, b.depth + 1
        FROM beneath b JOIN pg_type t ON t.oid = b.oid AND t.typtype = 'd'
    )
    SELECT format_type(oid, typmod) FROM beneath ORDER BY depth DESC LIMIT 1
); END $$;

CREATE OR REPLACE FUNCTION zanith._describe_columns(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._describe_column(attrelid, attnum) ORDER BY attnum)
    FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped
); END $$;
