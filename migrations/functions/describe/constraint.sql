-- Constraints: CHECK, PRIMARY KEY, UNIQUE, EXCLUDE, FOREIGN KEY. (NOT NULL belongs to its column.)

CREATE OR REPLACE FUNCTION zanith._describe_constraint(con oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'name', c.conname,
        'schema', n.nspname, 'table', r.relname,
        'kind', k.kind,
        'definition', pg_get_constraintdef(c.oid),
        'expression', pg_get_expr(c.conbin, c.conrelid),
        'validated', c.convalidated,
        'enforced', COALESCE((to_jsonb(c) ->> 'conenforced')::boolean, true),
        'columns', zanith._attribute_names(c.conrelid, c.conkey),
        'inherited', c.conparentid <> 0 OR NOT c.conislocal,
        'index', CASE WHEN 'indexed' = ANY (k.facts) THEN zanith._describe_index(c.conindid) END,
        'foreign_key', CASE WHEN 'reference' = ANY (k.facts) THEN zanith._describe_foreign_key(c.oid) END,
        'comment', obj_description(c.oid, 'pg_constraint'))
    FROM pg_constraint c JOIN zanith._constraint_kinds() k ON k.letter = c.contype
    JOIN pg_class r ON r.oid = c.conrelid
    JOIN pg_namespace n ON n.oid = r.relnamespace
    WHERE c.oid = con
); END $$;

-- A foreign key in parts, so that it can be rendered for a table of another name.
CREATE OR REPLACE FUNCTION zanith._describe_foreign_key(con oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'columns', zanith._attribute_names(c.conrelid, c.conkey),
        'schema', n.nspname, 'table', r.relname,
        'self', c.conrelid = c.confrelid,
        'references', zanith._attribute_names(c.confrelid, c.confkey),
        'match', CASE c.confmatchtype WHEN 'f' THEN 'FULL' ELSE 'SIMPLE' END,
        'on_update', zanith._foreign_key_action(c.confupdtype),
        'on_delete', zanith._foreign_key_action(c.confdeltype),
        'set_columns', zanith._attribute_names(c.conrelid, c.confdelsetcols),
        'deferrable', c.condeferrable, 'deferred', c.condeferred,
        'period', COALESCE((to_jsonb(c) ->> 'conperiod')::boolean, false))
    FROM pg_constraint c JOIN pg_class r ON r.oid = c.confrelid JOIN pg_namespace n ON n.oid = r.relnamespace
    WHERE c.oid = con
); END $$;

CREATE OR REPLACE FUNCTION zanith._foreign_key_action(action "char") RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE action WHEN 'a' THEN 'NO ACTION' WHEN 'r' THEN 'RESTRICT' WHEN 'c' THEN 'CASCADE'
                       WHEN 'n' THEN 'SET NULL' WHEN 'd' THEN 'SET DEFAULT' END
$$;

-- All of a table's own, by name; with a column, those that name it. Foreign keys in the order in which they were made: one
-- that points at a partitioned table takes names for its twins that the next may have had.
CREATE OR REPLACE FUNCTION zanith._describe_constraints(relation oid, attribute smallint DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._describe_constraint(c.oid) ORDER BY c.contype, CASE WHEN 'reference' = ANY (k.facts) THEN c.oid END, c.conname COLLATE "C")
    FROM pg_constraint c JOIN zanith._constraint_kinds() k ON k.letter = c.contype
    WHERE c.conrelid = relation AND k.place IS NOT NULL
      -- a key that points at a partitioned table has a twin for each partition; they come with it
      AND NOT EXISTS (SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.conrelid = c.conrelid)
      AND (attribute IS NULL OR attribute = ANY (c.conkey)
           OR NOT 'reference' = ANY (k.facts) AND EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_constraint'::regclass AND d.objid = c.oid
                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = relation
                        AND d.refobjsubid = attribute)
           OR 'indexed' = ANY (k.facts) AND EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = c.conindid AND attribute = ANY (i.indkey::smallint[]))
           OR 'indexed' = ANY (k.facts) AND EXISTS (SELECT FROM pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.conindid
                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = relation AND d.refobjsubid = attribute))
); END $$;

-- The foreign keys that point at tables, by their dependencies: pg_constraint has no index on confrelid.
CREATE OR REPLACE FUNCTION zanith._foreign_keys_to(tables oid[]) RETURNS SETOF pg_constraint
LANGUAGE sql STABLE ROWS 3 AS $$
    SELECT c.* FROM pg_constraint c
    WHERE c.contype = ANY (zanith._letters_of('reference')) AND c.confrelid = ANY (tables) AND c.oid IN (
        SELECT d.objid FROM pg_depend d
        WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = ANY (tables) AND d.classid = 'pg_constraint'::regclass)
$$;

-- Foreign keys of other tables that point here; with a column, those that point at it, or rest on an index that names it.
CREATE OR REPLACE FUNCTION zanith._describe_references(relation oid, attribute smallint DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._describe_constraint(c.oid) ORDER BY c.oid)
    FROM zanith._foreign_keys_to(ARRAY[relation]) c
    WHERE c.conparentid = 0
      AND (c.conrelid <> relation OR attribute IS NOT NULL AND NOT attribute = ANY (c.conkey))
      AND (attribute IS NULL OR attribute = ANY (c.confkey)
           OR EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = c.conindid AND attribute = ANY (i.indkey::smallint[])))
); END $$;
