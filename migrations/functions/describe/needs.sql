-- Needs: what the recorded parts refer to outside of themselves, by identity, so that a plan can tell what is gone.

-- What would have to be made again with a column, or (attribute 0) by a cascade of a table: {class, object, subobject, name}.
CREATE OR REPLACE FUNCTION zanith._find_needy(relation oid, attribute smallint)
RETURNS TABLE (class oid, object oid, subobject integer, name text) LANGUAGE sql STABLE ROWS 20 AS $$
    WITH own AS (
        SELECT a.attrelid, a.attnum, a.attname, a.attgenerated FROM pg_attribute r CROSS JOIN LATERAL zanith._bearers(relation, r.attname) f
        JOIN pg_attribute a ON a.attrelid = f.member AND NOT a.attisdropped AND a.attname = r.attname
        WHERE attribute > 0 AND r.attrelid = relation AND r.attnum = attribute
    ), dependents AS (
        SELECT d.* FROM zanith._find_dependents(relation, attribute) d WHERE d.kind IN ('view', 'materialized view', 'policy', 'trigger', 'rule', 'function')
    )
    SELECT 'pg_class'::regclass::oid, attrelid, attnum::integer, format('the column %I', attname) FROM own
    UNION ALL
    SELECT 'pg_attrdef'::regclass, d.oid, 0, format(CASE o.attgenerated WHEN '' THEN 'the default of %I' ELSE 'the expression of %I' END, o.attname)
    FROM own o JOIN pg_attrdef d ON d.adrelid = o.attrelid AND d.adnum = o.attnum
    UNION ALL
    SELECT 'pg_constraint'::regclass, c.oid, 0, format('the constraint %I', c.conname)
    FROM own o JOIN pg_constraint c ON c.conrelid = o.attrelid AND c.contype = ANY (zanith._letters_of('code')) AND EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_constraint'::regclass AND d.objid = c.oid
           AND d.refclassid = 'pg_class'::regclass AND d.refobjid = o.attrelid AND d.refobjsubid = o.attnum)
    UNION ALL
    SELECT 'pg_class'::regclass, i.indexrelid, 0, format('the index %I', c.relname)
    FROM own o JOIN pg_index i ON i.indrelid = o.attrelid JOIN pg_class c ON c.oid = i.indexrelid
    WHERE zanith._index_columns(i.indexrelid) ? o.attname
    UNION ALL
    SELECT 'pg_statistic_ext'::regclass, s.oid, 0, format('the statistics object %I', s.stxname)
    FROM own o JOIN pg_statistic_ext s ON s.stxrelid = o.attrelid AND EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid AND d.refobjsubid = o.attnum)
    UNION ALL
    SELECT d.class, d.object, 0, 'the ' || d.name FROM dependents d WHERE d.kind IN ('policy', 'trigger', 'rule', 'function')
    UNION ALL
    SELECT p.class, p.object, 0, format('the view %s', zanith._relation_name(d.object))
    FROM dependents d, LATERAL (
        SELECT 'pg_class'::regclass::oid, d.object
        UNION ALL SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r WHERE r.ev_class = d.object
        UNION ALL SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger t WHERE t.tgrelid = d.object AND NOT t.tgisinternal
        UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i WHERE i.indrelid = d.object) p(class, object)
    WHERE d.kind IN ('view', 'materialized view')
$$;

-- The name of an object that is not built in, by its oid: {class, oid, noun, schema, name, column, arguments}. An array has the name of its
-- element. NULL where it does not exist, or where PostgreSQL has no ALTER … RENAME that this knows.
CREATE OR REPLACE FUNCTION zanith._named(class text, object oid, subobject integer) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object('class', class, 'oid', object, 'subobject', subobject, 'noun', q.noun, 'schema', n.nspname, 'name', q.name, 'column', q.col, 'arguments', q.arguments)
    FROM (
        SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END AS noun,
               c.relnamespace AS namespace, c.relname AS name, a.attname AS col, NULL::text AS arguments
        FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = subobject AND subobject > 0 AND NOT a.attisdropped WHERE class = 'pg_class' AND c.oid = object
        UNION ALL
        SELECT CASE e.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, e.typnamespace, e.typname, NULL, NULL
        FROM pg_type t JOIN pg_type e ON e.oid = CASE WHEN t.typcategory = 'A' AND t.typelem <> 0 THEN t.typelem ELSE t.oid END WHERE class = 'pg_type' AND t.oid = object
        UNION ALL
        SELECT 'ROUTINE', p.pronamespace, p.proname, NULL, pg_get_function_identity_arguments(p.oid) FROM pg_proc p WHERE class = 'pg_proc' AND p.oid = object
        UNION ALL
        SELECT 'COLLATION', l.collnamespace, l.collname, NULL, NULL FROM pg_collation l WHERE class = 'pg_collation' AND l.oid = object) q
    JOIN pg_namespace n ON n.oid = q.namespace WHERE object >= 16384
); END $$;

-- The name as a person reads it.
CREATE OR REPLACE FUNCTION zanith._read_name(named jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN zanith._qualify(named ->> 'schema', named ->> 'name') || COALESCE('.' || quote_ident(named ->> 'column'), '') || COALESCE('(' || (named ->> 'arguments') || ')', '');
END $$;

-- The statements that give an object its recorded name again; NULL where it has that.
CREATE OR REPLACE FUNCTION zanith._name_back_sql(was jsonb, now jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    arguments text := COALESCE('(' || (now ->> 'arguments') || ')', '');
    moves boolean := was ->> 'schema' <> now ->> 'schema';
    schema_gone boolean := to_regnamespace(quote_ident(was ->> 'schema')) IS NULL;
BEGIN
    RETURN NULLIF(concat_ws('; ',
        CASE WHEN moves AND schema_gone THEN format('ALTER SCHEMA %I RENAME TO %I', now ->> 'schema', was ->> 'schema')
             WHEN moves THEN format('ALTER %s %s%s SET SCHEMA %I', now ->> 'noun', zanith._qualify(now ->> 'schema', now ->> 'name'), arguments, was ->> 'schema') END,
        CASE WHEN was ->> 'name' <> now ->> 'name' THEN format('ALTER %s %s%s RENAME TO %I', now ->> 'noun', zanith._qualify(was ->> 'schema', now ->> 'name'), arguments, was ->> 'name') END,
        CASE WHEN was ->> 'column' <> now ->> 'column' THEN format('ALTER %s %s RENAME %s %I TO %I', now ->> 'noun', zanith._qualify(was ->> 'schema', was ->> 'name'),
            CASE now ->> 'noun' WHEN 'TYPE' THEN 'ATTRIBUTE' ELSE 'COLUMN' END, now ->> 'column', was ->> 'column') END), '');
END $$;

-- [{type, names, args, what, by, object}]: the address that _object_at takes, in words, which part needs it, and its name by oid. What
-- the restore makes is left out: the column, tables of the tree, views of the cascade, sequences that the column owns.
CREATE OR REPLACE FUNCTION zanith._describe_needs(relation oid, attribute smallint DEFAULT 0) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH needy AS (SELECT * FROM zanith._find_needy(relation, attribute)),
         tables AS (SELECT f.member FROM zanith._family(relation) f),
         dependents AS (SELECT x.class, x.object, x.subobject FROM zanith._find_dependents(relation, attribute) x),
         back AS (SELECT n.object FROM needy n WHERE n.class = 'pg_class'::regclass AND n.subobject = 0),
         column_name AS (SELECT attname FROM pg_attribute WHERE attrelid = relation AND attnum = attribute AND attribute > 0)
    SELECT zanith._list(DISTINCT jsonb_build_object('type', i.type, 'names', i.object_names, 'args', i.object_args,
        'what', pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), 'by', n.name,
        'object', zanith._named((SELECT c.relname FROM pg_class c WHERE c.oid = d.refclassid), d.refobjid, d.refobjsubid)))
    FROM needy n
    JOIN pg_depend d ON d.classid = n.class AND d.objid = n.object AND d.deptype IN ('n', 'a', 'x') AND (n.subobject = 0 OR d.objsubid = n.subobject),
         LATERAL pg_identify_object_as_address(d.refclassid, d.refobjid, d.refobjsubid) i
    WHERE d.refclassid <> 'pg_rewrite'::regclass
      AND NOT EXISTS (SELECT FROM dependents x WHERE x.class = d.refclassid AND x.object = d.refobjid AND x.subobject IN (0, d.refobjsubid))
      AND NOT (d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT object FROM back))
      AND NOT (d.refclassid = 'pg_type'::regclass AND (n.subobject > 0 OR EXISTS (
            SELECT FROM pg_type t WHERE t.oid = d.refobjid AND (t.typrelid IN (SELECT object FROM back) OR t.typrelid IN (SELECT member FROM tables)))))
      AND NOT (d.refclassid = 'pg_class'::regclass AND d.refobjid IN (SELECT member FROM tables)
           -- of the table itself only what views and the like name; constraints and indexes say their columns themselves
           AND (attribute = 0 OR d.refobjsubid = 0 OR n.class IN ('pg_constraint'::regclass, 'pg_class'::regclass, 'pg_statistic_ext'::regclass)
                OR EXISTS (SELECT FROM pg_attribute a, column_name c WHERE a.attrelid = d.refobjid AND a.attnum = d.refobjsubid AND a.attname = c.attname)))
      AND NOT (d.refclassid = 'pg_constraint'::regclass AND EXISTS (
            SELECT FROM pg_constraint c WHERE c.oid = d.refobjid AND c.conrelid IN (SELECT member FROM tables)))
      AND NOT (d.refclassid = 'pg_class'::regclass AND EXISTS (
            SELECT FROM pg_depend s JOIN pg_class q ON q.oid = s.objid AND q.relkind = 'S'
            WHERE s.classid = 'pg_class'::regclass AND s.objid = d.refobjid AND s.deptype IN ('a', 'i') AND s.refobjid IN (SELECT member FROM tables)))
); END $$;

-- The object of an address that pg_identify_object_as_address gave; NULL where it does not exist. pg_get_object_address does
-- not take all of these: not the columns of views and composite types, not a composite type, not a prefix operator. A script has this text too:
-- it calls nothing of ours.
CREATE OR REPLACE FUNCTION zanith._object_at(type text, names text[], args text[], OUT classid oid, OUT objid oid)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF type = 'operator' AND cardinality(args) = 1 THEN
        objid := to_regoperator(format('%I.%s(NONE, %s)', names[1], names[2], args[1]));
        classid := CASE WHEN objid IS NOT NULL THEN 'pg_operator'::regclass END;
    ELSIF type IN ('composite type', 'toast table') THEN
        objid := to_regclass(format('%I.%I', names[1], names[2]));
        classid := CASE WHEN objid IS NOT NULL THEN 'pg_class'::regclass END;
    ELSE
        SELECT a.classid, a.objid INTO classid, objid
        FROM pg_get_object_address(CASE WHEN type LIKE '% column' THEN 'table column' ELSE type END, names, args) a;
    END IF;
EXCEPTION WHEN undefined_object OR undefined_function OR undefined_table OR undefined_column OR invalid_schema_name OR wrong_object_type
            OR undefined_parameter OR syntax_error THEN
    classid := NULL;
    objid := NULL;
END $$;

-- Where an oid in a definition means something: this database of this cluster. After dump and reload it is another.
CREATE OR REPLACE FUNCTION zanith._database_identity() RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT format('%s/%s', (SELECT system_identifier FROM pg_control_system()), (SELECT oid FROM pg_database WHERE datname = current_database()))
); END $$;

-- The other tables that the restore finds by name, as they are at the capture: those that foreign keys from here and to here name, parents,
-- and those on which a cascade drops something. [{schema, name, oid, owner}].
CREATE OR REPLACE FUNCTION zanith._describe_partners(tables oid[], cascade jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('schema', n.nspname, 'name', c.relname, 'oid', c.oid, 'owner', pg_get_userbyid(c.relowner)) ORDER BY c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE NOT c.oid = ANY (tables) AND c.oid IN (
        SELECT k.confrelid FROM pg_constraint k WHERE k.contype = ANY (zanith._letters_of('reference')) AND k.conrelid = ANY (tables)
        UNION SELECT k.conrelid FROM zanith._foreign_keys_to(tables) k
        UNION SELECT i.inhparent FROM pg_inherits i WHERE i.inhrelid = ANY (tables)
        UNION SELECT to_regclass(x.item ->> 'table') FROM zanith._acting_parts(cascade) x)
); END $$;

-- What a cascade drops that is of a table which stays: {list, item}.
CREATE OR REPLACE FUNCTION zanith._acting_parts(cascade jsonb) RETURNS TABLE (list text, item jsonb)
LANGUAGE sql IMMUTABLE ROWS 3 AS $$
    SELECT l.list, x.item FROM (VALUES ('policies'), ('triggers'), ('rules'), ('defaults')) l(list), LATERAL zanith._each(cascade -> l.list) x
$$;
