-- Tables: one with everything that belongs to it, and the tree of its partitions.

-- The whole definition of one table. Holds no oid and no physical name, so that two descriptions of the same
-- table, before and after, are equal when it came back exactly. `keyed`: whether the partition key of its parent calls code, where that is known.
CREATE OR REPLACE FUNCTION zanith._describe_table(relation oid, keyed boolean DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'schema', n.nspname, 'name', c.relname,
        'partitioned', c.relkind = 'p',
        'partition_key', pg_get_partkeydef(c.oid),
        'partition_of', zanith._describe_attachment(c.oid, keyed),
        'inherits', zanith._describe_parents(c.oid),
        'owner', pg_get_userbyid(c.relowner),
        'persistence', c.relpersistence,
        'access_method', (SELECT amname FROM pg_am WHERE oid = c.relam),
        'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
        'options', CASE WHEN c.reloptions IS NOT NULL THEN zanith._user_options(to_jsonb(c.reloptions), false) END,
        'row_security', c.relrowsecurity, 'force_row_security', c.relforcerowsecurity,
        'replica_identity', CASE c.relreplident WHEN 'd' THEN 'DEFAULT' WHEN 'n' THEN 'NOTHING'
                                                WHEN 'f' THEN 'FULL' ELSE 'INDEX' END,
        'columns', zanith._describe_columns(c.oid),
        'constraints', zanith._describe_constraints(c.oid),
        'indexes', CASE WHEN c.relhasindex THEN zanith._describe_indexes(c.oid) ELSE '[]' END,
        'statistics', zanith._describe_statistics(c.oid),
        'triggers', CASE WHEN c.relhastriggers THEN zanith._describe_triggers(c.oid) ELSE '[]' END,
        'policies', zanith._describe_policies(c.oid),
        'rules', CASE WHEN c.relhasrules THEN zanith._describe_rules(c.oid) ELSE '[]' END,
        'publications', zanith._describe_publications(c.oid),
        'grants', CASE WHEN c.relacl IS NOT NULL THEN zanith._describe_grants(c.relacl) END,
        'comment', obj_description(c.oid, 'pg_class'))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = relation
); END $$;

-- How a partition hangs on its parent; NULL for any other table.
CREATE OR REPLACE FUNCTION zanith._describe_attachment(relation oid, keyed boolean DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'schema', n.nspname, 'name', p.relname, 'bound', pg_get_expr(c.relpartbound, c.oid),
        -- the role that asks first for a partition key evaluates it
        'accepts', CASE WHEN NOT COALESCE(keyed, zanith._key_calls_code(p.oid)) THEN pg_get_partition_constraintdef(c.oid) END,
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

-- The table and all its partitions, at any depth, parents first.
CREATE OR REPLACE FUNCTION zanith._tree(relation oid) RETURNS TABLE (member oid, depth integer)
LANGUAGE plpgsql STABLE ROWS 2 AS $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = relation) THEN
        RETURN QUERY VALUES (relation, 0);
        RETURN;
    END IF;
    RETURN QUERY
        WITH RECURSIVE tree(oid, depth) AS (
            SELECT relation, 0
            UNION ALL
            SELECT i.inhrelid, t.depth + 1
            FROM tree t JOIN pg_inherits i ON i.inhparent = t.oid
            JOIN pg_class c ON c.oid = i.inhrelid AND c.relispartition
        )
        SELECT t.oid, t.depth FROM tree t ORDER BY t.depth, t.oid;
END $$;

-- The table and its descendants (partitions and inheritance children, at any depth), parents first, each once; with `gone` but what companions
-- of a capture take along (companions.sql).
CREATE OR REPLACE FUNCTION zanith._family(relation oid, gone text[] DEFAULT '{}') RETURNS TABLE (member oid, depth integer)
LANGUAGE plpgsql STABLE ROWS 2 AS $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = relation) THEN
        RETURN QUERY VALUES (relation, 0);
        RETURN;
    END IF;
    RETURN QUERY
        WITH RECURSIVE family(oid, depth) AS (
            SELECT relation, 0
            UNION
            SELECT i.inhrelid, f.depth + 1 FROM family f JOIN pg_inherits i ON i.inhparent = f.oid
            WHERE gone = '{}' OR NOT zanith._reached('pg_class'::regclass, i.inhrelid, 0, false) = ANY (gone)
        )
        SELECT f.oid, max(f.depth) FROM family f GROUP BY f.oid ORDER BY 2, 1;
END $$;

-- Whether DROP COLUMN leaves a column in every inheritance child: each declares it too, or has it from a parent outside of the family.
CREATE OR REPLACE FUNCTION zanith._children_keep(relation oid, column_name text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN COALESCE(EXISTS (SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid AND NOT c.relispartition WHERE i.inhparent = relation)
        AND (SELECT bool_and(a.attislocal OR EXISTS (
                SELECT FROM pg_inherits o JOIN pg_attribute b ON b.attrelid = o.inhparent AND b.attname = a.attname AND NOT b.attisdropped
                WHERE o.inhrelid = i.inhrelid AND o.inhparent NOT IN (SELECT f.member FROM zanith._family(relation) f)))
             FROM pg_inherits i JOIN pg_attribute a ON a.attrelid = i.inhrelid AND a.attname = column_name AND NOT a.attisdropped WHERE i.inhparent = relation), false);
END $$;

-- The tables that a column goes from: the whole family, or the table alone where its children keep the column.
CREATE OR REPLACE FUNCTION zanith._bearers(relation oid, column_name text) RETURNS TABLE (member oid, depth integer)
LANGUAGE plpgsql STABLE ROWS 3 AS $$
DECLARE
    alone boolean := zanith._children_keep(relation, column_name);
BEGIN
    RETURN QUERY SELECT f.member, f.depth FROM zanith._family(relation) f WHERE f.member = relation OR NOT alone;
END $$;

-- The children that keep a column, with those of their constraints that the parent's come back to: PostgreSQL leaves them inherited.
CREATE OR REPLACE FUNCTION zanith._describe_keepers(relation oid, column_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('schema', n.nspname, 'name', c.relname, 'inherited', (
               SELECT zanith._list(k.conname ORDER BY k.conname)
               FROM pg_constraint k JOIN pg_attribute b ON b.attrelid = k.conrelid AND b.attname = column_name AND b.attnum = ANY (k.conkey)
               WHERE k.conrelid = c.oid AND k.contype = ANY (zanith._letters_of('inherited')) AND k.coninhcount > 0 AND EXISTS (
                   SELECT FROM pg_constraint p JOIN pg_attribute d ON d.attrelid = p.conrelid AND d.attname = column_name AND d.attnum = ANY (p.conkey)
                   WHERE p.conrelid = relation AND p.contype = k.contype AND NOT p.connoinherit AND (k.contype = ANY (zanith._letters_of('not_null')) OR p.conname = k.conname)))) ORDER BY i.inhseqno, c.oid)
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.inhparent = relation AND zanith._children_keep(relation, column_name)
); END $$;

-- 'ONLY ' for a table that stands alone; nothing where its rows, or its columns, are also those of its descendants.
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
                    FROM pg_constraint c WHERE c.conrelid = i.indrelid AND c.conindid = i.indexrelid AND c.contype = ANY (zanith._letters_of('unique'))), true)
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
