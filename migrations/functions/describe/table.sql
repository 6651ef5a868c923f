-- Tables: one with everything that belongs to it, and the tree of its partitions.

-- The whole definition of one table. Holds no oid and no physical name, so that two descriptions of the same
-- table, before and after, are equal when it came back exactly.
CREATE OR REPLACE FUNCTION zanith._describe_table(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'schema', n.nspname, 'name', c.relname,
        'partitioned', c.relkind = 'p',
        'partition_key', pg_get_partkeydef(c.oid),
        'partition_of', zanith._describe_attachment(c.oid),
        'inherits', zanith._describe_parents(c.oid),
        'owner', pg_get_userbyid(c.relowner),
        'persistence', c.relpersistence,
        'access_method', (SELECT amname FROM pg_am WHERE oid = c.relam),
        'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
        'options', zanith._user_options(to_jsonb(c.reloptions), false),
        'row_security', c.relrowsecurity, 'force_row_security', c.relforcerowsecurity,
        'replica_identity', CASE c.relreplident WHEN 'd' THEN 'DEFAULT' WHEN 'n' THEN 'NOTHING'
                                                WHEN 'f' THEN 'FULL' ELSE 'INDEX' END,
        'columns', zanith._describe_columns(c.oid),
        'constraints', zanith._describe_constraints(c.oid),
        'indexes', zanith._describe_indexes(c.oid),
        'statistics', zanith._describe_statistics(c.oid),
        'triggers', zanith._describe_triggers(c.oid),
        'policies', zanith._describe_policies(c.oid),
        'rules', zanith._describe_rules(c.oid),
        'publications', zanith._describe_publications(c.oid),
        'grants', zanith._describe_grants(c.relacl),
        'comment', obj_description(c.oid, 'pg_class'))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = relation
); END $$;

-- How a partition hangs on its parent; NULL for any other table.
CREATE OR REPLACE FUNCTION zanith._describe_attachment(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'schema', n.nspname, 'name', p.relname, 'bound', pg_get_expr(c.relpartbound, c.oid),
        -- whoever asks first for a partition key evaluates it
        'accepts', CASE WHEN NOT zanith._key_calls_code(p.oid) THEN pg_get_partition_constraintdef(c.oid) END,
        'columns', (SELECT count(*) FROM pg_attribute WHERE attrelid = p.oid AND attnum > 0 AND NOT attisdropped))
    FROM pg_class c
    JOIN pg_inherits i ON i.inhrelid = c.oid
    JOIN pg_class p ON p.oid = i.inhparent
    JOIN pg_namespace n ON n.oid = p.relnamespace
    WHERE c.oid = relation AND c.relispartition
); END $$;

-- The parents of a table that inherits, in their order; NULL for any other.
CREATE OR REPLACE FUNCTION zanith._describe_parents(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_agg(jsonb_build_object('schema', n.nspname, 'name', p.relname) ORDER BY i.inhseqno)
    FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid
    JOIN pg_class p ON p.oid = i.inhparent JOIN pg_namespace n ON n.oid = p.relnamespace
    WHERE c.oid = relation AND NOT c.relispartition
); END $$;

-- The table and all partitions beneath it, parents first.
CREATE OR REPLACE FUNCTION zanith._tree(relation oid) RETURNS TABLE (member oid, depth integer)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE tree(member, depth) AS (
        SELECT relation, 0
        UNION ALL
        SELECT i.inhrelid, t.depth + 1
        FROM tree t JOIN pg_inherits i ON i.inhparent = t.member
        JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
    )
    SELECT member, depth FROM tree ORDER BY depth, member
$$;

-- The table and all beneath it, partitions and inheritance children alike, parents first, each once.
CREATE OR REPLACE FUNCTION zanith._family(relation oid) RETURNS TABLE (member oid, depth integer)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE family(member, depth) AS (
        SELECT relation, 0
        UNION
        SELECT i.inhrelid, f.depth + 1 FROM family f JOIN pg_inherits i ON i.inhparent = f.member
    )
    SELECT member, max(depth) FROM family GROUP BY member ORDER BY 2, 1
$$;

-- 'ONLY ' for a table that stands alone; nothing where its rows, or its columns, are also those of tables beneath it.
CREATE OR REPLACE FUNCTION zanith._only(d jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN COALESCE((d #>> '{table,whole}')::boolean, (d #>> '{members,0,definition,partitioned}')::boolean,
                              (d #>> '{table,partitioned}')::boolean, false) THEN '' ELSE 'ONLY ' END
$$;

-- The columns that tell rows apart: the primary key, else the best valid, immediate, non-partial, plain unique index
-- over NOT NULL columns; NULL where there is none. [{name, type, native, builtin, equals}], in key order.
CREATE OR REPLACE FUNCTION zanith._find_key(relation oid, besides smallint DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT (SELECT jsonb_agg(jsonb_build_object(
                'name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
                'native', zanith._sorts_alike(a.atttypid),
                'builtin', (SELECT t.typnamespace = 'pg_catalog'::regnamespace FROM pg_type t WHERE t.oid = a.atttypid),
                'equals', (SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
                           FROM pg_opclass c JOIN pg_amop m ON m.amopfamily = c.opcfamily AND m.amopstrategy = 3 AND m.amoplefttype = c.opcintype AND m.amoprighttype = c.opcintype
                           JOIN pg_operator o ON o.oid = m.amopopr JOIN pg_namespace n ON n.oid = o.oprnamespace
                           WHERE c.oid = i.indclass[(k.ord - 1)::integer])) ORDER BY k.ord)
            FROM unnest((i.indkey::smallint[])[0:i.indnkeyatts - 1]) WITH ORDINALITY k(num, ord)
            JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k.num)
    FROM pg_index i
    WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND i.indimmediate
      AND i.indpred IS NULL AND i.indexprs IS NULL
      AND (besides IS NULL OR NOT besides = ANY (i.indkey::smallint[])) -- a column of INCLUDE takes its index along
      AND NOT EXISTS (SELECT FROM unnest((i.indkey::smallint[])[0:i.indnkeyatts - 1]) k(num)
                      JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = k.num
                      WHERE NOT a.attnotnull)
      AND COALESCE((SELECT NOT (to_jsonb(c) ->> 'conperiod')::boolean
                    FROM pg_constraint c WHERE c.conrelid = i.indrelid AND c.conindid = i.indexrelid AND c.contype IN ('p', 'u')), true)
    ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid
    LIMIT 1
); END $$;

-- Whether the type's own order is the same on every server: a scalar without a collation.
CREATE OR REPLACE FUNCTION zanith._sorts_alike(type oid) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT type IN ('bool'::regtype, 'int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'oid'::regtype,
                    'numeric'::regtype, 'float4'::regtype, 'float8'::regtype, 'date'::regtype,
                    'time'::regtype, 'timetz'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype,
                    'interval'::regtype, 'uuid'::regtype, 'bytea'::regtype, 'inet'::regtype, 'cidr'::regtype,
                    'macaddr'::regtype, 'macaddr8'::regtype)
$$;
