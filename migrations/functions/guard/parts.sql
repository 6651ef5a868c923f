-- What a transaction drops before the table or column that it is of: many tools drop the index, then the constraint, then the column.

-- The parts of tables among the objects of a rehearsal that are still there: {class, object, relation, list, part, columns, called}. `called` is the
-- label of _find_needy. Those of a partition or an inheritance child come back with the parent's.
CREATE OR REPLACE FUNCTION zanith._guard_parts(dropped jsonb) RETURNS TABLE (class oid, object oid, relation oid, list text, part jsonb, columns jsonb, called text)
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY
    WITH gone AS MATERIALIZED (SELECT x.item ->> 'type' AS type, (x.item ->> 'oid')::oid AS oid FROM zanith._each(dropped) x), parts AS (
        SELECT 'pg_constraint'::regclass::oid AS class, k.oid, k.conrelid AS relation, 'constraints' AS list, zanith._describe_constraint(k.oid) AS part,
               CASE WHEN k.conindid <> 0 AND k.conrelid = (SELECT i.indrelid FROM pg_index i WHERE i.indexrelid = k.conindid) THEN zanith._index_columns(k.conindid)
                    ELSE zanith._attribute_names(k.conrelid, k.conkey) END AS columns,
               format('the constraint %I', k.conname) AS called
        FROM gone g JOIN pg_constraint k ON k.oid = g.oid AND k.conrelid <> 0 AND k.conparentid = 0
        JOIN zanith._constraint_kinds() f ON f.letter = k.contype AND f.place IS NOT NULL WHERE g.type = 'table constraint'
        UNION ALL
        SELECT 'pg_class'::regclass, i.indexrelid, i.indrelid, 'indexes', zanith._describe_index(i.indexrelid), zanith._index_columns(i.indexrelid), format('the index %I', c.relname)
        FROM gone g JOIN pg_index i ON i.indexrelid = g.oid JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
        WHERE g.type = 'index' AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = i.indrelid AND k.conindid = i.indexrelid)
        UNION ALL
        SELECT 'pg_statistic_ext'::regclass, s.oid, s.stxrelid, 'statistics', x.item, x.item -> 'columns', format('the statistics object %I', s.stxname)
        FROM gone g JOIN pg_statistic_ext s ON s.oid = g.oid JOIN pg_namespace n ON n.oid = s.stxnamespace, LATERAL zanith._each(zanith._describe_statistics(s.stxrelid)) x
        WHERE g.type = 'statistics object' AND x.item ->> 'name' = s.stxname AND x.item ->> 'schema' = n.nspname
        UNION ALL
        SELECT 'pg_attrdef'::regclass, f.oid, f.adrelid, 'defaults', jsonb_build_object('name', a.attname, 'default', pg_get_expr(f.adbin, f.adrelid)),
               jsonb_build_array(a.attname), format('the default of %I', a.attname)
        FROM gone g JOIN pg_attrdef f ON f.oid = g.oid JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated = '' WHERE g.type = 'default value'
        UNION ALL
        SELECT 'pg_class'::regclass, c.oid, a.attrelid, 'sequences',
               x.item || jsonb_build_object('column', a.attname, 'as', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END), jsonb_build_array(a.attname), NULL
        FROM gone g JOIN pg_class c ON c.oid = g.oid AND c.relkind = 'S' JOIN pg_namespace n ON n.oid = c.relnamespace
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND d.refclassid = 'pg_class'::regclass
        JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid, LATERAL zanith._each(zanith._describe_sequences(a.attrelid, a.attnum)) x
        WHERE g.type = 'sequence' AND x.item ->> 'name' = c.relname AND x.item ->> 'schema' = n.nspname
        UNION ALL
        SELECT 'pg_trigger'::regclass, t.oid, t.tgrelid, 'triggers', x.item, x.item -> 'columns', 'the ' || pg_describe_object('pg_trigger'::regclass, t.oid, 0)
        FROM gone g JOIN pg_trigger t ON t.oid = g.oid AND NOT t.tgisinternal AND t.tgparentid = 0, LATERAL zanith._each(zanith._describe_triggers(t.tgrelid)) x
        WHERE g.type = 'trigger' AND x.item ->> 'name' = t.tgname
        UNION ALL
        SELECT 'pg_policy'::regclass, p.oid, p.polrelid, 'policies', x.item, zanith._guard_columns_of('pg_policy'::regclass, p.oid, p.polrelid), 'the ' || pg_describe_object('pg_policy'::regclass, p.oid, 0)
        FROM gone g JOIN pg_policy p ON p.oid = g.oid, LATERAL zanith._each(zanith._describe_policies(p.polrelid)) x
        WHERE g.type = 'policy' AND x.item ->> 'name' = p.polname
        UNION ALL
        SELECT 'pg_rewrite'::regclass, r.oid, r.ev_class, 'rules', x.item, zanith._guard_columns_of('pg_rewrite'::regclass, r.oid, r.ev_class), 'the ' || pg_describe_object('pg_rewrite'::regclass, r.oid, 0)
        FROM gone g JOIN pg_rewrite r ON r.oid = g.oid, LATERAL zanith._each(zanith._describe_rules(r.ev_class)) x
        WHERE g.type = 'rule' AND x.item ->> 'name' = r.rulename)
    SELECT p.class, p.oid, p.relation, p.list, p.part, p.columns, p.called
    FROM parts p JOIN pg_class c ON c.oid = p.relation AND c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
    WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AND NOT zanith._guard_is_ours(c.oid);
END $$;

-- The columns of a table that an object names.
CREATE OR REPLACE FUNCTION zanith._guard_columns_of(class oid, object oid, relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(DISTINCT a.attname) FROM pg_depend d JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = d.refobjsubid
    WHERE d.classid = class AND d.objid = object AND d.refclassid = 'pg_class'::regclass AND d.refobjid = relation AND d.refobjsubid > 0
); END $$;

-- What one part needs, as _describe_needs says it, without its own table and sequences that a column owns.
CREATE OR REPLACE FUNCTION zanith._guard_needs_of(class oid, object oid, relation oid, called text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(DISTINCT jsonb_build_object('type', i.type, 'names', i.object_names, 'args', i.object_args,
        'what', pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), 'by', called,
        'object', zanith._named((SELECT c.relname FROM pg_class c WHERE c.oid = d.refclassid), d.refobjid, d.refobjsubid)))
    FROM pg_depend d, LATERAL pg_identify_object_as_address(d.refclassid, d.refobjid, d.refobjsubid) i
    WHERE called IS NOT NULL AND d.classid = class AND d.objid = object AND d.deptype IN ('n', 'a', 'x')
      AND d.refclassid NOT IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass)
      AND NOT (d.refclassid = 'pg_class'::regclass AND (d.refobjid = relation OR EXISTS (
            SELECT FROM pg_depend s JOIN pg_class q ON q.oid = s.objid AND q.relkind = 'S'
            WHERE s.classid = 'pg_class'::regclass AND s.objid = d.refobjid AND s.deptype IN ('a', 'i') AND s.refobjid = relation)))
); END $$;

-- The tables and columns that a part refers to, by number and by name: {relation, number, schema, table, column}; `columns` are of its own table.
CREATE OR REPLACE FUNCTION zanith._guard_names_of(class oid, object oid, relation oid, columns jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(DISTINCT jsonb_build_object('relation', c.oid, 'number', x.number, 'schema', n.nspname, 'table', c.relname, 'column', a.attname))
    FROM (SELECT relation, zanith._attribute_number(relation, l.item #>> '{}')::integer FROM zanith._each(columns) l
          UNION ALL SELECT d.refobjid, d.refobjsubid FROM pg_depend d
          WHERE d.refclassid = 'pg_class'::regclass
            AND (d.classid = class AND d.objid = object OR d.classid = 'pg_class'::regclass AND class = 'pg_constraint'::regclass
                 AND d.objid = (SELECT k.conindid FROM pg_constraint k WHERE k.oid = object AND k.contype = ANY (zanith._letters_of('indexed'))))) x(oid, number)
    JOIN pg_class c ON c.oid = x.oid AND c.relkind NOT IN ('i', 'I', 'S') JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.number AND x.number <> 0
); END $$;

-- Whether its definition still means what it meant: its own table and columns have their names, and no name has gone to another one. A parked
-- table comes back to its name.
CREATE OR REPLACE FUNCTION zanith._guard_names_hold(names jsonb, relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN NOT EXISTS (
    SELECT FROM zanith._each(names) x, LATERAL (
        SELECT (x.item ->> 'relation')::oid AS oid, (x.item ->> 'number')::integer AS number, zanith._relation_oid(x.item ->> 'schema', x.item ->> 'table') AS named) n,
        LATERAL (SELECT zanith._attribute_number(n.oid, x.item ->> 'column') AS numbered) a
    WHERE n.named <> n.oid OR n.named IS NULL AND NOT zanith._guard_is_ours(n.oid)
       OR n.number <> 0 AND (a.numbered <> n.number OR a.numbered IS NULL AND n.oid = relation)
); END $$;

-- Notes the parts that a statement is about to drop. A name of an object that is not about to be dropped does no harm: a capture takes only what
-- is gone by then.
CREATE OR REPLACE FUNCTION zanith._guard_note_parts(dropped jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    PERFORM zanith._guard_sweep();
    INSERT INTO zanith._zanith_guard_parts (class, object, relation, list, columns, names, item, needs)
    SELECT p.class, p.object, p.relation, p.list, p.columns, zanith._guard_names_of(p.class, p.object, p.relation, p.columns), p.part,
           -- those of keys and foreign keys are the tables and columns that they name
           CASE WHEN p.list <> 'constraints' OR EXISTS (SELECT FROM pg_constraint k WHERE k.oid = p.object AND k.contype = ANY (zanith._letters_of('code')))
                THEN zanith._guard_needs_of(p.class, p.object, p.relation, p.called) ELSE '[]' END
    FROM zanith._guard_parts(dropped) p
    WHERE NOT EXISTS (SELECT FROM zanith._zanith_guard_parts o WHERE o.transaction = pg_current_xact_id() AND o.class = p.class AND o.object = p.object);
END $$;

-- A statement that drops neither tables nor columns, such as DROP INDEX: its parts are noted, and kept by themselves.
CREATE OR REPLACE FUNCTION zanith._guard_other(statement text, path text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dropped jsonb := zanith._guard_rehearse(statement, path);
BEGIN
    IF dropped IS NOT NULL AND NOT EXISTS (SELECT FROM zanith._each(dropped) x WHERE zanith._guard_holds_data(x.item)) THEN
        PERFORM zanith._guard_note_parts(dropped), zanith._guard_keep(dropped, statement, path);
    END IF;
END $$;

-- Takes what this transaction dropped before into the definition of its table or column: `earlier` names it. Each part goes to the first capture
-- that it is of. For _record_capture.
CREATE OR REPLACE FUNCTION zanith._with_earlier(d jsonb, of_relation oid) RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    p record;
    of_column text := d #>> '{column,name}';
    earlier jsonb := '[]';
    merged jsonb := '[]';
BEGIN
    IF NOT (d ? 'column' OR d ? 'members') OR NOT EXISTS (
           SELECT FROM zanith._zanith_guard_parts x WHERE x.transaction = pg_current_xact_id_if_assigned()) THEN
        RETURN d;
    END IF;
    FOR p IN WITH taken AS (
                 DELETE FROM zanith._zanith_guard_parts x
                 WHERE x.transaction = pg_current_xact_id() AND NOT zanith._guard_is_there(x.class, x.object)
                   AND (x.relation = of_relation AND (of_column IS NULL OR x.columns ? of_column)
                        -- the first of two tables that is captured is the last that comes back: it has the foreign key
                        OR of_column IS NULL AND zanith._relation_oid(x.item #>> '{foreign_key,schema}', x.item #>> '{foreign_key,table}') = of_relation)
                   AND zanith._guard_names_hold(x.names, x.relation)
                 RETURNING x.*)
             SELECT t.class, t.object, t.item, t.needs, CASE WHEN t.relation = of_relation THEN t.list ELSE 'references' END AS list FROM taken t ORDER BY 5, 2 LOOP
        CONTINUE WHEN zanith._has_part(d, p.list, p.item);
        d := zanith._with_part(d, p.list, p.item, of_relation)
            || jsonb_build_object('needs', COALESCE(d -> 'needs', '[]') || p.needs);
        earlier := earlier || jsonb_build_object('list', p.list, 'name', p.item ->> 'name');
        merged := merged || jsonb_build_object('class', p.class, 'object', p.object);
    END LOOP;
    PERFORM zanith._guard_merge_definitions(merged) WHERE merged <> '[]';
    RETURN d || jsonb_build_object('earlier', earlier);
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_is_there(class oid, object oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN CASE class
    WHEN 'pg_class'::regclass THEN EXISTS (SELECT FROM pg_class c WHERE c.oid = object)
    WHEN 'pg_constraint'::regclass THEN EXISTS (SELECT FROM pg_constraint c WHERE c.oid = object)
    WHEN 'pg_attrdef'::regclass THEN EXISTS (SELECT FROM pg_attrdef c WHERE c.oid = object)
    WHEN 'pg_trigger'::regclass THEN EXISTS (SELECT FROM pg_trigger c WHERE c.oid = object)
    WHEN 'pg_policy'::regclass THEN EXISTS (SELECT FROM pg_policy c WHERE c.oid = object)
    WHEN 'pg_rewrite'::regclass THEN EXISTS (SELECT FROM pg_rewrite c WHERE c.oid = object)
    WHEN 'pg_proc'::regclass THEN EXISTS (SELECT FROM pg_proc c WHERE c.oid = object)
    WHEN 'pg_type'::regclass THEN EXISTS (SELECT FROM pg_type c WHERE c.oid = object)
    ELSE EXISTS (SELECT FROM pg_statistic_ext c WHERE c.oid = object) END;
END $$;

-- The table's own part of a definition: what lists the constraints, the indexes and the like.
CREATE OR REPLACE FUNCTION zanith._part_path(d jsonb, list text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN list = 'references' THEN ARRAY[list] WHEN d ? 'members' THEN ARRAY['members', '0', 'definition', list]
                WHEN list IN ('triggers', 'policies', 'rules') THEN ARRAY['cascade', list] ELSE ARRAY[list] END
$$;

-- Where a definition of a table has a column.
CREATE OR REPLACE FUNCTION zanith._column_path(d jsonb, name text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN CASE WHEN d ? 'column' THEN ARRAY['column'] ELSE (
    SELECT ARRAY['members', '0', 'definition', 'columns', (c.ord - 1)::text] FROM zanith._each(d #> '{members,0,definition,columns}') c WHERE c.item ->> 'name' = name) END;
END $$;

-- Whether something took the place of a part since it was dropped.
CREATE OR REPLACE FUNCTION zanith._has_part(d jsonb, list text, of_part jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    col jsonb := d #> zanith._column_path(d, COALESCE(of_part ->> 'column', of_part ->> 'name'));
BEGIN RETURN CASE
    WHEN list = 'defaults' THEN col ->> 'default' IS NOT NULL OR col -> 'identity' <> 'null' OR col -> 'generated' <> 'null'
    WHEN list = 'sequences' AND of_part ->> 'as' IS NOT NULL AND (col ->> 'default' IS NOT NULL OR col -> 'identity' <> 'null') THEN true
    WHEN list = 'sequences' THEN EXISTS (SELECT FROM zanith._each(col -> 'sequences') x WHERE x.item -> 'name' = of_part -> 'name' AND x.item -> 'schema' = of_part -> 'schema')
    ELSE EXISTS (SELECT FROM zanith._each(d #> zanith._part_path(d, list)) x WHERE x.item -> 'name' = of_part -> 'name') END;
END $$;

-- A definition with one part more.
CREATE OR REPLACE FUNCTION zanith._with_part(d jsonb, list text, of_part jsonb, of_relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    place text[] := CASE WHEN list IN ('defaults', 'sequences') THEN zanith._column_path(d, COALESCE(of_part ->> 'column', of_part ->> 'name')) ELSE zanith._part_path(d, list) END;
    named record;
    other oid;
BEGIN
    IF list = 'defaults' THEN
        RETURN jsonb_set(d, place || 'default'::text, of_part -> 'default');
    ELSIF list = 'sequences' THEN
        d := jsonb_set(d, place || 'sequences'::text, COALESCE(d #> (place || 'sequences'::text), '[]') || (of_part - '{column,as}'::text[]));
        RETURN CASE WHEN of_part ->> 'as' IS NULL THEN d ELSE jsonb_set(d, place || 'identity'::text, of_part -> 'as') END;
    END IF;
    -- a soft-dropped column has no index of this name to rename
    of_part := of_part || CASE WHEN d ? 'column' AND list IN ('triggers', 'policies', 'rules') THEN jsonb_build_object('table', zanith._relation_name(of_relation))
                         WHEN d ->> 'strategy' = 'soft_drop_column' AND list IN ('indexes', 'statistics') THEN '{"plain": false}' ELSE '{}' END;
    SELECT CASE WHEN list = 'references' THEN of_part ->> 'schema' ELSE of_part #>> '{foreign_key,schema}' END AS schema,
           CASE WHEN list = 'references' THEN of_part ->> 'table' ELSE of_part #>> '{foreign_key,table}' END AS name INTO named;
    other := zanith._relation_oid(named.schema, named.name);
    IF other <> of_relation AND NOT EXISTS (SELECT FROM zanith._each(d -> 'partners') x WHERE (x.item ->> 'oid')::oid = other) THEN
        d := d || jsonb_build_object('partners', COALESCE(d -> 'partners', '[]') || jsonb_build_object('schema', named.schema, 'name', named.name, 'oid', other, 'owner', (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = other)));
    END IF;
    RETURN jsonb_set(d, place, COALESCE(d #> place, '[]') || of_part);
END $$;

-- A definition as the catalog has it: without what was dropped before the capture.
CREATE OR REPLACE FUNCTION zanith._without_earlier(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    e record;
    place text[];
BEGIN
    FOR e IN SELECT x.item ->> 'list' AS list, x.item -> 'name' AS name FROM zanith._each(d -> 'earlier') x WHERE x.item ->> 'list' NOT IN ('defaults', 'sequences') LOOP
        place := zanith._part_path(d, e.list);
        d := jsonb_set(d, place, (SELECT zanith._list(p.item ORDER BY p.ord) FROM zanith._each(d #> place) p WHERE p.item -> 'name' <> e.name));
    END LOOP;
    FOR e IN SELECT x.item ->> 'list' AS list, x.item ->> 'name' AS name FROM zanith._each(d -> 'earlier') x WHERE x.item ->> 'list' IN ('defaults', 'sequences') LOOP
        FOR place IN SELECT ARRAY['column'] WHERE d ? 'column'
                     UNION ALL SELECT ARRAY['members', '0', 'definition', 'columns', (c.ord - 1)::text] FROM zanith._each(d #> '{members,0,definition,columns}') c
                               WHERE e.list = 'sequences' OR c.item ->> 'name' = e.name LOOP
            IF e.list = 'defaults' THEN
                d := jsonb_set(d, place || 'default'::text, 'null');
            ELSIF EXISTS (SELECT FROM zanith._each(d #> (place || 'sequences'::text)) s WHERE s.item ->> 'name' = e.name) THEN
                d := CASE WHEN EXISTS (SELECT FROM zanith._each(d #> (place || 'sequences'::text)) s WHERE s.item ->> 'name' = e.name AND (s.item ->> 'identity')::boolean)
                          THEN jsonb_set(d, place || 'identity'::text, 'null') ELSE d END;
                d := jsonb_set(d, place || 'sequences'::text, (SELECT zanith._list(s.item ORDER BY s.ord) FROM zanith._each(d #> (place || 'sequences'::text)) s WHERE s.item ->> 'name' <> e.name));
            END IF;
        END LOOP;
    END LOOP;
    RETURN d;
END $$;
