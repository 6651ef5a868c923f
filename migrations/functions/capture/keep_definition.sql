-- keep_definition: the definition of an object without rows, and of what a cascade drops with it, before somebody drops it by itself. Nothing is parked.

-- What of a list, as _guard_list_dropped has it, can be described and created again: `kind`, its table where it is a part of one, and the schema that the
-- rules of the guard ask for. Parts of what is in the list itself come with that. Those of partitions and children come with the parent's.
CREATE OR REPLACE FUNCTION zanith._kept_objects(dropped jsonb) RETURNS TABLE (class oid, object oid, kind text, relation oid, home oid, named boolean, ord bigint)
LANGUAGE plpgsql STABLE ROWS 5 AS $$ BEGIN RETURN QUERY
    WITH gone AS MATERIALIZED (
        SELECT COALESCE(x.item ->> 'class', 'pg_class')::regclass::oid AS class, (x.item ->> 'oid')::oid AS oid, COALESCE((x.item ->> 'named')::boolean, true) AS named, x.ord
        FROM zanith._each(dropped) x WHERE COALESCE((x.item ->> 'attnum')::integer, 0) = 0 AND NOT COALESCE((x.item ->> 'temporary')::boolean, false)),
    found AS (
        SELECT g.*, CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' ELSE 'sequence' END AS kind, NULL::oid AS relation, c.relnamespace AS home
        FROM gone g JOIN pg_class c ON g.class = 'pg_class'::regclass AND c.oid = g.oid AND c.relkind IN ('v', 'm', 'S')
        WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = g.class AND d.objid = c.oid AND d.deptype = 'i' AND c.relkind = 'S')
        UNION ALL
        SELECT g.*, 'column identity', d.refobjid, c.relnamespace
        FROM gone g JOIN pg_class c ON g.class = 'pg_class'::regclass AND c.oid = g.oid AND c.relkind = 'S'
        JOIN pg_depend d ON d.classid = g.class AND d.objid = c.oid AND d.deptype = 'i' AND d.refclassid = 'pg_class'::regclass
        UNION ALL
        SELECT g.*, 'index', i.indrelid, c.relnamespace FROM gone g JOIN pg_index i ON g.class = 'pg_class'::regclass AND i.indexrelid = g.oid
        JOIN pg_class c ON c.oid = i.indexrelid AND NOT c.relispartition
        WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = i.indrelid AND k.conindid = i.indexrelid AND k.contype = ANY (zanith._letters_of('indexed')))
        UNION ALL
        SELECT g.*, CASE p.prokind WHEN 'a' THEN 'aggregate' WHEN 'p' THEN 'procedure' ELSE 'function' END, NULL, p.pronamespace
        FROM gone g JOIN pg_proc p ON g.class = 'pg_proc'::regclass AND p.oid = g.oid
        WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = g.class AND d.objid = p.oid AND d.deptype = 'i') -- that of a range
        UNION ALL
        SELECT g.*, CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END, NULL, t.typnamespace FROM gone g JOIN pg_type t ON g.class = 'pg_type'::regclass AND t.oid = g.oid
        LEFT JOIN pg_class c ON c.oid = t.typrelid WHERE t.typtype IN ('e', 'd', 'r') OR c.relkind = 'c'
        UNION ALL
        SELECT g.*, 'constraint', k.conrelid, k.connamespace FROM gone g JOIN pg_constraint k ON g.class = 'pg_constraint'::regclass AND k.oid = g.oid AND k.conrelid <> 0 AND k.conparentid = 0
        JOIN zanith._constraint_kinds() f ON f.letter = k.contype AND f.place IS NOT NULL WHERE k.conislocal
        UNION ALL
        SELECT g.*, 'statistics object', s.stxrelid, s.stxnamespace FROM gone g JOIN pg_statistic_ext s ON g.class = 'pg_statistic_ext'::regclass AND s.oid = g.oid
        UNION ALL
        SELECT g.*, 'trigger', t.tgrelid, NULL FROM gone g JOIN pg_trigger t ON g.class = 'pg_trigger'::regclass AND t.oid = g.oid AND NOT t.tgisinternal AND t.tgparentid = 0
        JOIN pg_proc p ON p.oid = t.tgfoid AND p.pronamespace <> 'zanith'::regnamespace
        UNION ALL
        SELECT g.*, 'policy', p.polrelid, NULL FROM gone g JOIN pg_policy p ON g.class = 'pg_policy'::regclass AND p.oid = g.oid
        UNION ALL
        SELECT g.*, 'rule', r.ev_class, NULL FROM gone g JOIN pg_rewrite r ON g.class = 'pg_rewrite'::regclass AND r.oid = g.oid AND r.rulename <> '_RETURN'
        UNION ALL
        SELECT g.*, 'column default', f.adrelid, NULL FROM gone g JOIN pg_attrdef f ON g.class = 'pg_attrdef'::regclass AND f.oid = g.oid
        JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated = ''
        UNION ALL
        SELECT g.*, 'publication', r.prrelid, NULL FROM gone g JOIN pg_publication_rel r ON g.class = 'pg_publication_rel'::regclass AND r.oid = g.oid)
    SELECT f.class, f.oid, f.kind, f.relation, n.oid, f.named, f.ord
    FROM found f LEFT JOIN pg_class c ON c.oid = f.relation JOIN pg_namespace n ON n.oid = COALESCE(c.relnamespace, f.home)
    WHERE n.nspname NOT IN ('zanith', '_zanith_shadow', 'zanith_pin') AND NOT starts_with(n.nspname, 'pg_') AND COALESCE(c.relpersistence, 'p') <> 't'
      AND NOT EXISTS (SELECT FROM gone g WHERE g.class = 'pg_class'::regclass AND g.oid = f.relation)
      AND (f.relation IS NULL OR NOT zanith._guard_is_ours(f.relation))
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = f.class AND e.objid = f.oid AND e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e');
END $$;

-- What each of some objects takes along, as DROP … CASCADE follows pg_depend, of the objects in a list. A part of an object stands for the object. The default of a column
-- goes with that of the parent.
CREATE OR REPLACE FUNCTION zanith._kept_reach(dropped jsonb, heads oid[]) RETURNS TABLE (class oid, object oid, also_class oid, also_object oid)
LANGUAGE plpgsql STABLE ROWS 20 AS $$ BEGIN RETURN QUERY
    WITH RECURSIVE gone AS MATERIALIZED (
        SELECT DISTINCT COALESCE(x.item ->> 'class', 'pg_class')::regclass::oid AS c, (x.item ->> 'oid')::oid AS o
        FROM zanith._each(dropped) x WHERE COALESCE((x.item ->> 'attnum')::integer, 0) = 0),
    edges AS MATERIALIZED (
        SELECT d.refclassid AS rc, d.refobjid AS ro, g.c, g.o, d.deptype
        FROM gone g CROSS JOIN LATERAL (SELECT x.* FROM pg_depend x WHERE x.classid = g.c AND x.objid = g.o OFFSET 0) d JOIN gone r ON r.c = d.refclassid AND r.o = d.refobjid
        UNION ALL
        SELECT 'pg_attrdef'::regclass, p.oid, g.c, g.o, 'a'
        FROM gone g JOIN pg_attrdef f ON g.c = 'pg_attrdef'::regclass AND f.oid = g.o JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
        JOIN pg_inherits i ON i.inhrelid = f.adrelid JOIN pg_attribute b ON b.attrelid = i.inhparent AND b.attname = a.attname
        JOIN pg_attrdef p ON p.adrelid = b.attrelid AND p.adnum = b.attnum JOIN gone q ON q.c = g.c AND q.o = p.oid),
    ways AS MATERIALIZED (
        SELECT e.rc AS of_c, e.ro AS of_o, e.c, e.o FROM edges e
        UNION SELECT e.c, e.o, e.rc, e.ro FROM edges e WHERE e.deptype = 'i'),
    walk(hc, ho, c, o) AS (
        SELECT g.c, g.o, g.c, g.o FROM gone g WHERE g.o = ANY (heads)
        UNION
        SELECT w.hc, w.ho, e.c, e.o FROM walk w JOIN ways e ON e.of_c = w.c AND e.of_o = w.o)
    SELECT w.hc, w.ho, w.c, w.o FROM walk w WHERE (w.hc, w.ho) <> (w.c, w.o);
END $$;

-- What of a list becomes an artifact, in the order of the captures: what needs another one before that, so that restores in the reverse order find what
-- they need. [{class, oid, kind, relation, home, top, members, lost}]: `members` come back with it, itself among them; `top` is the number of the first one that takes it
-- along; `lost` names what nothing describes. A list names objects; others are taken along, but parts of tables, types and sequences have an artifact of their own.
CREATE OR REPLACE FUNCTION zanith._kept_heads(dropped jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH kept AS MATERIALIZED (
        SELECT row_number() OVER (ORDER BY k.ord, k.object) AS n, k.*, zanith._kept_called(k.class, k.object, k.kind) AS called FROM zanith._kept_objects(dropped) k),
    reach AS MATERIALIZED (
        SELECT h.n AS head, h.kind AS of_kind, r.also_class, r.also_object, k.n
        FROM zanith._kept_reach(dropped, ARRAY(SELECT x.object FROM kept x)) r JOIN kept h ON h.class = r.class AND h.object = r.object
        LEFT JOIN kept k ON k.class = r.also_class AND k.object = r.also_object WHERE k.n IS DISTINCT FROM h.n),
    reached AS MATERIALIZED (
        -- a column and those of its children lose their defaults in one statement
        SELECT r.n, count(*) AS times, bool_or(r.of_kind = 'column default') AS by_default FROM reach r WHERE r.n IS NOT NULL GROUP BY r.n),
    heads AS MATERIALIZED (
        SELECT k.*, row_number() OVER (ORDER BY COALESCE(t.times, 0) DESC, k.ord, k.object) AS place, NOT k.named AND t.n IS NOT NULL AS taken
        FROM kept k LEFT JOIN reached t ON t.n = k.n
        WHERE k.kind <> 'publication' AND NOT (k.kind = 'column default' AND COALESCE(t.by_default, false))
          AND (k.named OR t.n IS NULL OR k.kind IN ('index', 'statistics object', 'column identity', 'sequence', 'type', 'domain')
           -- a foreign key goes with the key that it rests on
           OR k.kind = 'constraint' AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.oid = k.object AND c.contype = ANY (zanith._letters_of('reference'))))),
    members AS MATERIALIZED (
        SELECT h.n AS head, h.n FROM heads h
        UNION ALL
        SELECT f.head, f.n FROM (
            SELECT DISTINCT ON (r.n) h.n AS head, r.n FROM reach r JOIN heads h ON h.n = r.head LEFT JOIN heads o ON o.n = r.n
            WHERE r.n IS NOT NULL AND o.n IS NULL ORDER BY r.n, h.place) f),
    upon AS MATERIALIZED (
        SELECT m.head, m.n, zanith._list(DISTINCT u.called) AS called
        FROM members m JOIN reach r ON r.n = m.n JOIN members o ON o.n = r.head AND o.head = m.head JOIN kept u ON u.n = o.n GROUP BY m.head, m.n),
    together AS MATERIALIZED (
        SELECT m.head, zanith._list(jsonb_build_object('class', k.class, 'oid', k.object, 'kind', k.kind, 'relation', k.relation, 'called', k.called, 'upon', COALESCE(u.called, '[]')) ORDER BY k.n) AS members
        FROM members m JOIN kept k ON k.n = m.n LEFT JOIN upon u ON u.head = m.head AND u.n = m.n GROUP BY m.head),
    tops AS MATERIALIZED (
        SELECT r.n, min(t.place) AS place FROM reach r JOIN heads t ON t.n = r.head AND NOT t.taken GROUP BY r.n),
    lost AS MATERIALIZED (
        SELECT x.item, (x.item ->> 'class')::regclass::oid AS class, (x.item ->> 'oid')::oid AS object FROM zanith._each(dropped) x
        WHERE x.item ->> 'type' ~ '^(composite type column|operator|operator class|operator family|cast|collation|conversion|domain constraint|foreign table|transform|text search .*)$'
          AND NOT (x.item ->> 'temporary')::boolean
          AND NOT (x.item ->> 'type' = 'domain constraint' AND EXISTS (SELECT FROM pg_constraint c JOIN kept t ON t.object = c.contypid WHERE c.oid = (x.item ->> 'oid')::oid)))
    SELECT zanith._list(jsonb_build_object('class', h.class, 'oid', h.object, 'kind', h.kind, 'relation', h.relation, 'home', h.home,
            'top', CASE WHEN h.taken THEN t.place END, 'members', g.members,
            'lost', (SELECT zanith._list(DISTINCT to_jsonb(concat_ws(' ', l.item ->> 'type', l.item ->> 'identity'))) FROM lost l
                WHERE CASE l.item ->> 'type' WHEN 'composite type column' THEN h.named AND NOT EXISTS (SELECT FROM heads o WHERE o.named AND o.place < h.place)
                      ELSE EXISTS (SELECT FROM reach r WHERE r.head = h.n AND r.also_object = l.object AND r.also_class = l.class AND r.n IS NULL) END)) ORDER BY h.place)
    FROM heads h JOIN together g ON g.head = h.n LEFT JOIN tops t ON t.n = h.n
); END $$;

-- How a plan names it, and its needs.
CREATE OR REPLACE FUNCTION zanith._kept_called(class oid, object oid, kind text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN CASE
    WHEN kind IN ('view', 'materialized view') THEN format('the view %s', zanith._relation_name(object))
    WHEN kind = 'constraint' THEN (SELECT format('the constraint %I', k.conname) FROM pg_constraint k WHERE k.oid = object)
    WHEN kind = 'index' THEN (SELECT format('the index %I', c.relname) FROM pg_class c WHERE c.oid = object)
    WHEN kind = 'statistics object' THEN (SELECT format('the statistics object %I', s.stxname) FROM pg_statistic_ext s WHERE s.oid = object)
    ELSE 'the ' || pg_describe_object(class, object, 0) END;
END $$;

-- {kind, of_table, lockable, schema, name, title, owner}: `schema` and `name` are its own as the catalog has them, `title` is what a person reads. What is of a table belongs to
-- the owner of that.
CREATE OR REPLACE FUNCTION zanith._kept_name(class oid, object oid, kind text, relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    of_schema name;
    name text;
    title text;
    owner oid;
BEGIN
    SELECT n.nspname, c.relowner INTO of_schema, owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation;
    CASE
        WHEN class = 'pg_class'::regclass AND kind <> 'column identity' THEN
            SELECT n.nspname, c.relname, COALESCE(owner, c.relowner) INTO of_schema, name, owner FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = object;
        WHEN class = 'pg_proc'::regclass THEN
            SELECT n.nspname, p.proname, zanith._routine_address(p.oid), p.proowner INTO of_schema, name, title, owner FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.oid = object;
        WHEN class = 'pg_type'::regclass THEN
            SELECT n.nspname, t.typname, t.typowner INTO of_schema, name, owner FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE t.oid = object;
        WHEN class = 'pg_statistic_ext'::regclass THEN
            SELECT n.nspname, s.stxname INTO of_schema, name FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE s.oid = object;
        WHEN class = 'pg_attrdef'::regclass OR kind = 'column identity' THEN
            SELECT a.attname INTO name FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum = COALESCE((SELECT f.adnum FROM pg_attrdef f WHERE class = 'pg_attrdef'::regclass AND f.oid = object),
                (SELECT d.refobjsubid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = object AND d.deptype = 'i' AND d.refobjid = relation));
            title := zanith._relation_name(relation) || '.' || quote_ident(name);
        ELSE
            name := COALESCE((SELECT k.conname::text FROM pg_constraint k WHERE class = 'pg_constraint'::regclass AND k.oid = object), (SELECT t.tgname::text FROM pg_trigger t WHERE class = 'pg_trigger'::regclass AND t.oid = object),
                (SELECT p.polname::text FROM pg_policy p WHERE class = 'pg_policy'::regclass AND p.oid = object), (SELECT r.rulename::text FROM pg_rewrite r WHERE class = 'pg_rewrite'::regclass AND r.oid = object));
            title := format('%I on %s', name, zanith._relation_name(relation));
    END CASE;
    RETURN jsonb_build_object('kind', kind, 'of_table', relation IS NOT NULL, 'lockable', EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind IN ('r', 'p')), 'schema', of_schema, 'name', name, 'title', COALESCE(title, zanith._qualify(of_schema, name)), 'owner', pg_get_userbyid(owner));
END $$;

-- What these objects, [{class, oid, kind, relation, called}], need outside of themselves, as _describe_needs has it. The columns that a part of a table names are asked
-- for by name.
CREATE OR REPLACE FUNCTION zanith._kept_needs(members jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH RECURSIVE own AS MATERIALIZED (SELECT m.* FROM jsonb_to_recordset(members) m(class oid, oid oid, kind text, relation oid, called text)),
    described AS MATERIALIZED (
        SELECT o.class, o.oid, o.kind, o.relation, o.called FROM own o WHERE o.kind <> 'publication'
        UNION ALL SELECT x.class, x.oid, o.kind, o.relation, o.called FROM own o, LATERAL (
            SELECT 'pg_rewrite'::regclass::oid AS class, r.oid FROM pg_rewrite r WHERE r.ev_class = o.oid
            UNION ALL SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger t WHERE t.tgrelid = o.oid AND NOT t.tgisinternal
            UNION ALL SELECT 'pg_attrdef'::regclass, f.oid FROM pg_attrdef f WHERE f.adrelid = o.oid
            UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i WHERE i.indrelid = o.oid) x WHERE o.kind IN ('view', 'materialized view')
        UNION ALL SELECT 'pg_constraint'::regclass, k.oid, o.kind, o.relation, o.called FROM own o JOIN pg_constraint k ON k.contypid = o.oid WHERE o.class = 'pg_type'::regclass
        UNION ALL SELECT 'pg_class'::regclass, t.typrelid, o.kind, o.relation, o.called FROM own o JOIN pg_type t ON t.oid = o.oid AND t.typrelid <> 0 WHERE o.class = 'pg_type'::regclass),
    -- PostgreSQL creates these with them: arrays and types of rows, multiranges and the functions of ranges
    parts AS (
        SELECT x.* FROM described x
        UNION SELECT d.classid, d.objid, p.kind, p.relation, p.called FROM parts p CROSS JOIN LATERAL (
            SELECT x.classid, x.objid FROM pg_depend x WHERE x.refclassid = p.class AND x.refobjid = p.oid AND x.deptype = 'i' AND x.classid IN ('pg_type'::regclass, 'pg_proc'::regclass) OFFSET 0) d)
    SELECT zanith._list(DISTINCT jsonb_build_object('type', i.type, 'names', i.object_names, 'args', i.object_args,
        'what', pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid), 'by', p.called,
        'object', zanith._named((SELECT c.relname FROM pg_class c WHERE c.oid = d.refclassid), d.refobjid, d.refobjsubid)))
    FROM parts p CROSS JOIN LATERAL (SELECT x.* FROM pg_depend x WHERE x.classid = p.class AND x.objid = p.oid AND x.deptype IN ('n', 'a', 'x') OFFSET 0) d,
         LATERAL pg_identify_object_as_address(d.refclassid, d.refobjid, d.refobjsubid) i
    WHERE d.refclassid NOT IN ('pg_rewrite'::regclass, 'pg_constraint'::regclass, 'pg_namespace'::regclass, 'pg_extension'::regclass, 'pg_publication'::regclass)
      AND NOT EXISTS (SELECT FROM parts o WHERE o.class = d.refclassid AND o.oid = d.refobjid)
      AND NOT (d.refclassid = 'pg_type'::regclass AND EXISTS (SELECT FROM pg_type t JOIN own o ON o.oid = t.typrelid WHERE t.oid = d.refobjid))
      -- keys and foreign keys name tables and columns; so do indexes and statistics objects of their own table
      AND NOT (p.kind IN ('index', 'constraint', 'statistics object', 'column identity', 'sequence') AND d.refclassid = 'pg_class'::regclass
               AND (d.refobjid = p.relation OR p.kind <> 'index' AND (SELECT c.relkind FROM pg_class c WHERE c.oid = d.refobjid) IN ('r', 'p', 'i', 'I')))
); END $$;

-- What a table, and each of its descendants, has of a constraint or an index: those of partitions are part of the parent's. The keys are those of a column's part.
CREATE OR REPLACE FUNCTION zanith._kept_part(relation oid, of_index oid, con oid, of_statistics oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object('schema', n.nspname, 'name', c.relname, 'owner', pg_get_userbyid(c.relowner), 'column', NULL,
        'constraints', CASE WHEN con IS NULL THEN '[]' ELSE jsonb_build_array(zanith._describe_constraint(con)) END, 'references', '[]'::jsonb,
        'indexes', CASE WHEN of_index IS NULL THEN '[]' ELSE jsonb_build_array(zanith._describe_index(of_index) || '{"plain": false}') END,
        'statistics', (SELECT zanith._list(x.item || '{"plain": false}') FROM pg_statistic_ext s JOIN pg_namespace m ON m.oid = s.stxnamespace, LATERAL zanith._each(zanith._describe_statistics(relation)) x
                       WHERE s.oid = of_statistics AND x.item ->> 'name' = s.stxname AND x.item ->> 'schema' = m.nspname),
        'renames', '[]'::jsonb)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation
); END $$;

-- A type as its owner creates it: {schema, name, domain, sql, builtin, owner, grants, comment, comments: [{on, comment}], unproved}. `unproved` are checks of a domain that are not valid.
CREATE OR REPLACE FUNCTION zanith._describe_type(type oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object('schema', n.nspname, 'name', t.typname, 'domain', t.typtype = 'd', 'sql', zanith._type_made(t.oid),
        'builtin', t.typtype = 'e' OR zanith._is_builtin('pg_type'::regclass, t.oid) AND zanith._is_builtin('pg_class'::regclass, t.typrelid)
            AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid AND NOT zanith._is_builtin('pg_constraint'::regclass, k.oid)), 'owner', pg_get_userbyid(t.typowner),
        'grants', zanith._describe_grants(t.typacl, 'T', t.typowner), 'comment', obj_description(t.oid, 'pg_type'),
        'comments', (SELECT zanith._list(jsonb_build_object('on', x.target, 'comment', x.comment) ORDER BY x.target) FROM (
            SELECT format('COLUMN %s.%I', q.name, a.attname), col_description(a.attrelid, a.attnum) FROM pg_attribute a WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
            UNION ALL SELECT format('CONSTRAINT %I ON DOMAIN %s', k.conname, q.name), obj_description(k.oid, 'pg_constraint') FROM pg_constraint k WHERE k.contypid = t.oid) x(target, comment) WHERE x.comment IS NOT NULL),
        'unproved', (SELECT zanith._list(jsonb_build_object('name', k.conname, 'definition', pg_get_constraintdef(k.oid)) ORDER BY k.oid) FROM pg_constraint k
                     WHERE k.contypid = t.oid AND k.contype = ANY (zanith._letters_of('condition')) AND NOT k.convalidated))
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace, LATERAL (SELECT zanith._qualify(n.nspname, t.typname)) q(name) WHERE t.oid = type
); END $$;

-- The column that owns a sequence: {schema, table, column}; NULL where none does.
CREATE OR REPLACE FUNCTION zanith._describe_sequence_owner(sequence oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object('schema', n.nspname, 'table', c.relname, 'column', a.attname)
    FROM pg_depend d JOIN pg_class c ON c.oid = d.refobjid JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.refobjsubid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = sequence AND d.deptype = 'a' AND d.refclassid = 'pg_class'::regclass
); END $$;

-- The definition of one of _kept_heads. Parts of a table that stays are described as those of a column are, without the column; all else as what a cascade takes along.
CREATE OR REPLACE FUNCTION zanith._define_kept(id text, head jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    class oid := (head ->> 'class')::oid;
    object oid := (head ->> 'oid')::oid;
    kind text := head ->> 'kind';
    relation oid := (head ->> 'relation')::oid;
    called jsonb := zanith._kept_name(class, object, kind, relation);
    con record;
    part jsonb;
    d jsonb;
BEGIN
    SELECT CASE WHEN kind = 'constraint' THEN object END AS oid, CASE WHEN kind = 'index' THEN object WHEN k.contype = ANY (zanith._letters_of('indexed')) THEN k.conindid END AS index INTO con
    FROM (SELECT) o LEFT JOIN pg_constraint k ON kind = 'constraint' AND k.oid = object;
    d := jsonb_build_object('format', 1, 'strategy', 'keep_definition', 'id', id, 'server_version', current_setting('server_version_num')::integer,
        'object', called || jsonb_build_object('class', class::regclass::text, 'oid', object, 'called', (SELECT m.item -> 'called' FROM zanith._each(head -> 'members') m WHERE (m.item ->> 'oid')::oid = object AND (m.item ->> 'class')::oid = class)),
        'objects', (SELECT zanith._list(jsonb_build_object('class', (m.item ->> 'class')::oid::regclass::text, 'oid', m.item -> 'oid', 'called', m.item -> 'called', 'type', i.type, 'names', i.object_names, 'args', i.object_args) ORDER BY m.ord)
                    FROM zanith._each(head -> 'members') m, LATERAL pg_identify_object_as_address((m.item ->> 'class')::oid, (m.item ->> 'oid')::oid, 0) i),
        'lost_with_it', head -> 'lost',
        'cascade', zanith._describe_dropped((SELECT zanith._list(jsonb_build_object('object', m.item -> 'oid', 'kind', CASE WHEN m.item ->> 'kind' IN ('procedure', 'aggregate') THEN 'function' WHEN m.item ->> 'kind' = 'column default' THEN 'default' ELSE m.item ->> 'kind' END,
                'uses', jsonb_build_object('uses', jsonb_build_object('called', m.item -> 'called', 'columns', '[]'::jsonb, 'upon', m.item -> 'upon')))) FROM zanith._each(head -> 'members') m)) || '{"columns": []}',
        'publications', '[]'::jsonb, 'on_dependents', 'cascade', 'needs', zanith._kept_needs(head -> 'members'), 'database', zanith._database_identity(),
        'table', COALESCE((
            SELECT jsonb_build_object('schema', n.nspname, 'name', c.relname, 'owner', pg_get_userbyid(c.relowner), 'force_row_security', c.relforcerowsecurity, 'oid', c.oid,
                'runner', zanith._runner(pg_get_userbyid(c.relowner)), 'keyed', zanith._key_calls_code(c.oid), 'whole', c.relkind = 'p' OR EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid))
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation),
            jsonb_build_object('schema', called -> 'schema', 'name', called -> 'name', 'owner', called -> 'owner', 'force_row_security', false, 'oid', object, 'runner', zanith._runner(called ->> 'owner'), 'keyed', false, 'whole', false)));
    d := d || jsonb_build_object('partners', zanith._describe_partners('{}', d -> 'cascade'));
    IF kind IN ('index', 'constraint', 'statistics object', 'column identity') THEN
        part := zanith._kept_part(relation, CASE WHEN kind = 'index' THEN object END, con.oid, CASE WHEN kind = 'statistics object' THEN object END);
        d := d || (part - '{schema,name,owner}'::text[]) || jsonb_build_object(
            'references', (SELECT zanith._list(zanith._describe_constraint((m.item ->> 'oid')::oid) ORDER BY m.ord) FROM zanith._each(head -> 'members') m WHERE m.item ->> 'kind' = 'constraint' AND (m.item ->> 'oid')::oid <> object),
            'numbers', zanith._number_neighbours(relation, part || jsonb_build_object('cascade', d -> 'cascade')),
            'partners', zanith._list_partners(d -> 'partners', relation, (SELECT array_agg((m.item ->> 'oid')::oid) FROM zanith._each(head -> 'members') m WHERE m.item ->> 'kind' = 'constraint')),
            -- those of partitions, by their own names
            'tree', (SELECT zanith._list(zanith._kept_part(i.indrelid, CASE WHEN kind = 'index' THEN f.member END, k.oid, NULL) ORDER BY f.depth, f.member)
                     FROM zanith._family(con.index) f JOIN pg_index i ON i.indexrelid = f.member
                     LEFT JOIN pg_constraint k ON kind = 'constraint' AND k.conrelid = i.indrelid AND k.conindid = f.member AND k.contype = ANY (zanith._letters_of('indexed')) WHERE f.depth > 0),
            'identity', CASE WHEN kind = 'column identity' THEN (
                SELECT jsonb_build_object('name', a.attname, 'identity', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, 'sequences', zanith._describe_sequences(relation, a.attnum))
                FROM pg_attribute a WHERE a.attrelid = relation AND a.attname = called ->> 'name') END);
    ELSIF kind = 'sequence' THEN
        d := d || jsonb_build_object('sequence', zanith._describe_sequence(object) || '{"identity": false}', 'owned_by', zanith._describe_sequence_owner(object));
    ELSIF class = 'pg_type'::regclass THEN
        d := d || jsonb_build_object('type', zanith._describe_type(object));
    END IF;
    RETURN d;
END $$;

-- The partners of a definition with the other tables of foreign keys.
CREATE OR REPLACE FUNCTION zanith._list_partners(partners jsonb, relation oid, constraints oid[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN partners || (
    SELECT zanith._list(jsonb_build_object('schema', n.nspname, 'name', c.relname, 'oid', c.oid, 'owner', pg_get_userbyid(c.relowner)) ORDER BY c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid <> relation AND c.oid IN (SELECT t.t FROM pg_constraint k, LATERAL unnest(ARRAY[k.conrelid, k.confrelid]) t WHERE k.oid = ANY (constraints) AND k.contype = ANY (zanith._letters_of('reference')))
      AND NOT EXISTS (SELECT FROM zanith._each(partners) p WHERE (p.item ->> 'oid')::oid = c.oid)
); END $$;
