-- Indexes, those behind constraints included.

-- {"extensions": [name]}: with which extensions an object goes, by ALTER … DEPENDS ON EXTENSION; {} where there are none.
CREATE OR REPLACE FUNCTION zanith._describe_extensions(class oid, object oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN count(*) = 0 THEN '{}' ELSE jsonb_build_object('extensions', jsonb_agg(DISTINCT e.extname)) END
    FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = class AND d.objid = object AND d.deptype = 'x' AND d.refclassid = 'pg_extension'::regclass
); END $$;

-- `using` is all of pg_get_indexdef after the table's name: method, keys, INCLUDE, NULLS NOT DISTINCT, WITH, WHERE.
CREATE OR REPLACE FUNCTION zanith._describe_index(index oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'name', c.relname,
        'unique', i.indisunique,
        'using', substr(pg_get_indexdef(i.indexrelid), length(format('CREATE %sINDEX %I ON %s%s ',
            CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, c.relname,
            CASE WHEN c.relkind = 'I' THEN 'ONLY ' ELSE '' END, zanith._relation_name(i.indrelid))) + 1),
        'valid', i.indisvalid,
        'clustered', i.indisclustered,
        'replica_identity', i.indisreplident,
        'builtin', zanith._is_builtin('pg_class'::regclass, i.indexrelid),
        'plain', NOT i.indisunique AND i.indexprs IS NULL AND i.indpred IS NULL,
        'columns', zanith._index_columns(i.indexrelid),
        'keys', (SELECT jsonb_agg(pg_get_indexdef(i.indexrelid, n, true) ORDER BY n)
                 FROM generate_series(1, i.indnkeyatts) n),
        'predicate', pg_get_expr(i.indpred, i.indrelid),
        'options', zanith._user_options(to_jsonb(c.reloptions), false),
        'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
        'statistics', (SELECT jsonb_object_agg(a.attnum, a.attstattarget)
                       FROM pg_attribute a
                       WHERE a.attrelid = i.indexrelid AND NULLIF(a.attstattarget, -1) IS NOT NULL),
        'partition', c.relispartition,
        'partitioned', c.relkind = 'I',
        'parent', (SELECT zanith._relation_name(h.inhparent) FROM pg_inherits h WHERE h.inhrelid = c.oid),
        'comment', obj_description(c.oid, 'pg_class')) || zanith._describe_extensions('pg_class'::regclass, c.oid)
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indexrelid = index
); END $$;

-- Every column that the index names: keys, INCLUDE, expressions, predicate.
CREATE OR REPLACE FUNCTION zanith._index_columns(index oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(a.attname ORDER BY a.attname COLLATE "C")
    FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid
    WHERE i.indexrelid = index AND a.attnum > 0
      AND (a.attnum = ANY (i.indkey::smallint[])
           OR EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = index
                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = i.indrelid
                        AND d.refobjsubid = a.attnum))
); END $$;

-- Indexes that stand on their own, by name; with a column, those that name it. A constraint is found by its table:
-- pg_constraint has no index on conindid.
CREATE OR REPLACE FUNCTION zanith._describe_indexes(relation oid, attribute smallint DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._describe_index(i.indexrelid) ORDER BY c.relname COLLATE "C")
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    WHERE i.indrelid = relation
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = i.indrelid AND k.conindid = i.indexrelid AND k.contype = ANY (zanith._letters_of('indexed')))
      AND (attribute IS NULL OR attribute = ANY (i.indkey::smallint[])
           OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = i.indexrelid
                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = relation AND d.refobjsubid = attribute))
); END $$;
