-- Dependents: what a plain DROP would refuse for. The walk follows pg_depend as DROP does
-- (PostgreSQL manual, "pg_depend"): automatic and internal dependents go with the object, normal ones stand in its way.

-- Every object that depends on one of the frontier, once: [{c, o, s, d, m, n}] of class, object, subobject, name. A rule stands for its view,
-- unless it is the table's own; a default for itself. `d`: it is a dependent or depends on one; else it goes with the target. `m`: it is renamed
-- too, or goes with an object that is renamed; `x`: so is the object that it depends on.
CREATE OR REPLACE FUNCTION zanith._hanging_on(frontier jsonb, family oid[]) RETURNS TABLE (c oid, o oid, s integer, d boolean, entry jsonb)
LANGUAGE sql STABLE ROWS 10 AS $$
    SELECT DISTINCT ON (h.c, h.o, h.s) h.c, h.o, h.s, h.d, jsonb_build_object(
               'c', h.c, 'o', h.o, 's', h.s, 'd', h.d, 'x', h.x, 'm', h.m,
               'n', pg_describe_object(h.c, h.o, h.s), 'on', h.n) AS entry
    FROM (
        SELECT CASE WHEN v.oid IS NOT NULL OR g.attnum IS NOT NULL THEN 'pg_class'::regclass::oid
                    WHEN k.oid IS NOT NULL THEN 'pg_constraint'::regclass::oid ELSE dep.classid END AS c,
               COALESCE(v.oid, g.attrelid, k.oid, CASE WHEN dep.classid = 'pg_constraint'::regclass AND (
                            SELECT c.conparentid <> 0 FROM pg_constraint c WHERE c.oid = dep.objid)
                        THEN zanith._topmost_constraint(dep.classid, dep.objid, family) END, dep.objid) AS o,
               CASE WHEN v.oid IS NOT NULL OR k.oid IS NOT NULL THEN 0 ELSE COALESCE(g.attnum, dep.objsubid) END AS s,
               (f.d OR dep.deptype = 'n' OR k.oid IS NOT NULL) AS d, f.m AS x, f.n,
               -- it is renamed too, or goes with what is renamed
               CASE WHEN dep.deptype = 'n' OR k.oid IS NOT NULL THEN dep.classid = 'pg_class'::regclass AND dep.objsubid = 0 AND dep.objid = ANY (family) ELSE f.m END AS m
        FROM jsonb_to_recordset(frontier) AS f(c oid, o oid, s integer, d boolean, n text, m boolean)
        -- OFFSET 0 makes PostgreSQL read the index for each object: a join may read all of pg_depend
        CROSS JOIN LATERAL (SELECT x.* FROM pg_depend x WHERE x.refclassid = f.c AND x.refobjid = f.o AND (f.s = 0 OR x.refobjsubid = f.s) OFFSET 0) dep
        LEFT JOIN LATERAL (
            SELECT c.oid FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class AND c.relkind IN ('v', 'm')
            WHERE dep.classid = 'pg_rewrite'::regclass AND r.oid = dep.objid OFFSET 0) v ON true
        -- the expression of a generated column stands for the column
        LEFT JOIN LATERAL (
            SELECT a.attrelid, a.attnum FROM pg_attrdef x JOIN pg_attribute a ON a.attrelid = x.adrelid AND a.attnum = x.adnum AND a.attgenerated <> ''
            WHERE dep.classid = 'pg_attrdef'::regclass AND x.oid = dep.objid OFFSET 0) g ON true
        -- an index that goes takes its constraint along, and DROP minds that where only an expression named the column;
        -- found by its table: pg_constraint has no index on conindid
        LEFT JOIN LATERAL (
            SELECT c.oid FROM pg_index i JOIN pg_constraint c ON c.conrelid = i.indrelid AND c.conindid = i.indexrelid AND c.contype = ANY (zanith._letters_of('indexed'))
            WHERE dep.classid = 'pg_class'::regclass AND dep.deptype IN ('a', 'n') AND f.c <> 'pg_constraint'::regclass AND i.indexrelid = dep.objid OFFSET 0) k ON true
        -- a pin stays with its table (see guard/pin.sql)
        LEFT JOIN LATERAL (
            SELECT p.oid FROM pg_proc p WHERE dep.classid = 'pg_proc'::regclass AND p.oid = dep.objid AND p.pronamespace = zanith._schema_of_pins() OFFSET 0) pin ON true
        WHERE dep.deptype IN ('n', 'a', 'i', 'P', 'S') AND pin.oid IS NULL
          -- sub-objects of a whole relation that is going anyway
          AND NOT (f.s = 0 AND dep.classid = f.c AND dep.objid = f.o)
    ) h
    ORDER BY h.c, h.o, h.s, h.d, h.x
$$;

-- One row a dependent, in the order of its distance. `kind` is what the cascade can do with it.
-- attribute 0 means the whole relation; `besides` are descendants that go along. What companions take along (`gone`, see
-- companions.sql) is left out. So is what was parked before and stays as it is, since it names what is only renamed; with `parked` it is not.
CREATE OR REPLACE FUNCTION zanith._find_dependents(relation oid, attribute smallint DEFAULT 0, besides oid[] DEFAULT '{}', gone text[] DEFAULT '{}', parked boolean DEFAULT false)
RETURNS TABLE (class oid, object oid, subobject integer, kind text, name text, "on" text, distance integer)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    round integer := 0;
    column_name text := (SELECT a.attname FROM pg_attribute a WHERE attribute <> 0 AND a.attrelid = relation AND a.attnum = attribute);
    family oid[] := ARRAY(SELECT f.member FROM zanith._bearers(relation, column_name) f);
    frontier jsonb;
    -- what was reached, as keys of an object: class.object.subobject, and whether as a dependent
    seen jsonb;
    found jsonb := '[]';
    next jsonb;
BEGIN
    -- A column goes with the same column of descendants; a table's partitions depend on it by themselves.
    SELECT jsonb_agg(jsonb_build_object('c', 'pg_class'::regclass::oid, 'o', f.member, 's', COALESCE(a.attnum, 0), 'd', false, 'm', attribute = 0,
                     'n', pg_describe_object('pg_class'::regclass, f.member, COALESCE(a.attnum, 0))))
    INTO frontier
    FROM unnest(family) f(member)
    LEFT JOIN pg_attribute a ON a.attrelid = f.member AND NOT a.attisdropped AND a.attname = column_name
    WHERE f.member = relation OR a.attnum IS NOT NULL OR f.member = ANY (besides);
    IF NOT zanith._may_have_dependents(frontier) THEN
        RETURN; -- as of most columns, and found in a tenth of the time
    END IF;
    seen := (SELECT jsonb_object_agg(zanith._reached(f.c, f.o, f.s, false), true) FROM jsonb_to_recordset(frontier) AS f(c oid, o oid, s integer));
    WHILE jsonb_array_length(frontier) > 0 AND round < 100 LOOP
        round := round + 1;
        SELECT zanith._list(DISTINCT e.entry) INTO next
        FROM zanith._hanging_on(frontier, family) e
        WHERE NOT seen ?| CASE WHEN e.d THEN ARRAY[zanith._reached(e.c, e.o, 0, false), zanith._reached(e.c, e.o, e.s, false),
                                                   zanith._reached(e.c, e.o, 0, true), zanith._reached(e.c, e.o, e.s, true)]
                               ELSE ARRAY[zanith._reached(e.c, e.o, 0, false), zanith._reached(e.c, e.o, e.s, false)] END;
        seen := seen || COALESCE((SELECT jsonb_object_agg(zanith._reached(n.c, n.o, n.s, n.d), true)
                                  FROM jsonb_to_recordset(next) AS n(c oid, o oid, s integer, d boolean)), '{}');
        frontier := next;
        found := found || (SELECT zanith._list(x.item || jsonb_build_object('r', round))
                                    FROM zanith._each(next) x WHERE (x.item ->> 'd')::boolean);
    END LOOP;
    RETURN QUERY
        SELECT DISTINCT ON (d.c, d.o, d.s) d.c, d.o, d.s, zanith._dependent_kind(d.c, d.o, d.s), d.n, d."on", d.r
        FROM jsonb_to_recordset(found) AS d(c oid, o oid, s integer, n text, "on" text, r integer, x boolean)
        -- what also goes with the target by another way is no dependent
        WHERE NOT seen ?| ARRAY[zanith._reached(d.c, d.o, 0, false), zanith._reached(d.c, d.o, d.s, false)]
          -- nor a column of a view or table that is one itself
          AND NOT (d.s > 0 AND seen ? zanith._reached(d.c, d.o, 0, true))
          -- nor what goes with a dependent by itself, as a default goes with its view
          AND NOT EXISTS (SELECT FROM pg_depend own
                          WHERE own.classid = d.c AND own.objid = d.o AND own.objsubid = d.s
                            AND own.deptype IN ('a', 'i', 'P', 'S')
                            AND seen ?| ARRAY[zanith._reached(own.refclassid, own.refobjid, 0, false), zanith._reached(own.refclassid, own.refobjid, own.refobjsubid, false),
                                              zanith._reached(own.refclassid, own.refobjid, 0, true), zanith._reached(own.refclassid, own.refobjid, own.refobjsubid, true)])
          AND NOT (d.c = 'pg_type'::regclass AND EXISTS (
                  SELECT FROM pg_type t WHERE t.oid = d.o AND (t.typrelid <> 0 OR t.typelem <> 0)))
          AND NOT (d.c = 'pg_class'::regclass AND EXISTS (
                  SELECT FROM pg_class i WHERE i.oid = d.o AND i.relkind = 't'))
          AND NOT (d.c = 'pg_trigger'::regclass AND EXISTS (
                  SELECT FROM pg_trigger t WHERE t.oid = d.o AND (t.tgisinternal OR t.tgparentid <> 0)))
          AND NOT (d.c = 'pg_rewrite'::regclass AND EXISTS (
                  SELECT FROM pg_rewrite r WHERE r.oid = d.o AND r.rulename = '_RETURN'))
          AND NOT (gone <> '{}' AND (zanith._reached(d.c, d.o, 0, false) = ANY (gone) OR zanith._reached(d.c, d.o, d.s, false) = ANY (gone)))
          AND (parked OR NOT (d.x AND zanith._parked_with(d.c, d.o, d.s) IS NOT NULL))
        ORDER BY d.c, d.o, d.s, d.r;
END $$;

CREATE OR REPLACE FUNCTION zanith._reached(class oid, object oid, subobject integer, as_dependent boolean) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT class::text || '.' || object::text || '.' || subobject::text || CASE WHEN as_dependent THEN '.d' ELSE '' END $$;

-- Whether something could be a dependent of these objects, [{c, o, s}], or of what goes with them by itself: false is certain. An
-- index with a constraint, and the expression of a generated column, stand for something else, so they are looked at closely.
CREATE OR REPLACE FUNCTION zanith._may_have_dependents(objects jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH RECURSIVE going(c, o, s, needed) AS (
        SELECT f.c, f.o, f.s, false FROM jsonb_to_recordset(objects) AS f(c oid, o oid, s integer)
        UNION
        SELECT d.classid, d.objid, d.objsubid,
               d.deptype = 'n'
            OR d.classid = 'pg_attrdef'::regclass AND EXISTS (
                   SELECT FROM pg_attrdef x JOIN pg_attribute a ON a.attrelid = x.adrelid AND a.attnum = x.adnum AND a.attgenerated <> '' WHERE x.oid = d.objid)
            OR d.classid = 'pg_class'::regclass AND d.deptype = 'a' AND g.c <> 'pg_constraint'::regclass AND EXISTS (
                   SELECT FROM pg_index i JOIN pg_constraint k ON k.conrelid = i.indrelid AND k.conindid = i.indexrelid AND k.contype = ANY (zanith._letters_of('indexed'))
                   WHERE i.indexrelid = d.objid)
        FROM going g, LATERAL (SELECT x.* FROM pg_depend x WHERE x.refclassid = g.c AND x.refobjid = g.o AND (g.s = 0 OR x.refobjsubid = g.s) OFFSET 0) d
        WHERE NOT g.needed AND d.deptype IN ('n', 'a', 'i', 'P', 'S') AND NOT (g.s = 0 AND d.classid = g.c AND d.objid = g.o)
    )
    SELECT EXISTS (SELECT FROM going WHERE needed)
); END $$;

-- The foreign key that a twin made for a partition belongs to; NULL for anything else. What a table of the family has from
-- above goes with the table, not what is above.
CREATE OR REPLACE FUNCTION zanith._topmost_constraint(class oid, object oid, family oid[]) RETURNS oid
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH RECURSIVE up(oid, parent) AS (
        SELECT c.oid, c.conparentid FROM pg_constraint c
        WHERE class = 'pg_constraint'::regclass AND c.oid = object AND c.contype = ANY (zanith._letters_of('reference'))
          AND NOT (c.conrelid = ANY (family) AND EXISTS (SELECT FROM pg_constraint p WHERE p.oid = c.conparentid AND p.conrelid <> c.conrelid))
        UNION ALL
        SELECT c.oid, c.conparentid FROM up JOIN pg_constraint c ON c.oid = up.parent
    )
    SELECT oid FROM up WHERE parent = 0
); END $$;

CREATE OR REPLACE FUNCTION zanith._dependent_kind(class oid, object oid, subobject integer) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE
        WHEN class = 'pg_class'::regclass AND subobject > 0 THEN 'column'
        WHEN class = 'pg_class'::regclass THEN (
            SELECT CASE relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
                                WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' ELSE 'table' END FROM pg_class WHERE oid = object)
        WHEN class = 'pg_constraint'::regclass THEN (
            SELECT k.depends_as FROM pg_constraint c JOIN zanith._constraint_kinds() k ON k.letter = c.contype WHERE c.oid = object)
        WHEN class = 'pg_trigger'::regclass THEN 'trigger'
        WHEN class = 'pg_policy'::regclass THEN 'policy'
        WHEN class = 'pg_rewrite'::regclass THEN 'rule'
        WHEN class = 'pg_attrdef'::regclass THEN 'default'
        WHEN class = 'pg_proc'::regclass THEN 'function'
        WHEN class = 'pg_type'::regclass THEN 'type'
        WHEN class = 'pg_publication_rel'::regclass THEN 'publication'
        ELSE 'object' END
); END $$;

-- Whether a dependent that is dropped and made again, or a part of it, bears a security label. A table of the family is renamed, and keeps its own.
CREATE OR REPLACE FUNCTION zanith._loses_label(class oid, object oid, subobject integer, kind text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN kind <> 'table' AND EXISTS (SELECT FROM pg_seclabel s WHERE s.classoid = class AND s.objoid = object AND (subobject = 0 OR s.objsubid = subobject));
END $$;

-- Whether something that a table keeps while it is parked needs a function: that cannot be dropped then.
CREATE OR REPLACE FUNCTION zanith._is_function_of(routine oid, relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT EXISTS (
        SELECT FROM pg_depend d
        LEFT JOIN pg_index i ON d.classid = 'pg_class'::regclass AND i.indexrelid = d.objid
        LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid
        LEFT JOIN pg_attrdef x ON d.classid = 'pg_attrdef'::regclass AND x.oid = d.objid
        LEFT JOIN pg_trigger t ON d.classid = 'pg_trigger'::regclass AND t.oid = d.objid
        LEFT JOIN pg_policy p ON d.classid = 'pg_policy'::regclass AND p.oid = d.objid
        LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid
        LEFT JOIN pg_statistic_ext s ON d.classid = 'pg_statistic_ext'::regclass AND s.oid = d.objid
        WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = routine AND d.deptype = 'n'
          AND COALESCE(i.indrelid, k.conrelid, x.adrelid, t.tgrelid, p.polrelid, r.ev_class, s.stxrelid) IN (SELECT f.member FROM zanith._family(relation) f))
); END $$;

-- The same as a jsonb list for a definition, nearest first: [{kind, name, on}]; `able`: a cascade can
-- take it along, though not all of its kind; `labelled`: it cannot, since a security label would be lost; `artifact`: by which it is parked.
CREATE OR REPLACE FUNCTION zanith._list_dependents(
    relation oid, attribute smallint DEFAULT 0, besides oid[] DEFAULT '{}', gone text[] DEFAULT '{}', parked boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('kind', kind, 'name', name, 'on', "on")
                              || CASE WHEN kind = 'table' AND object IN (SELECT f.member FROM zanith._family(relation) f)
                                        OR kind = 'column' AND attribute <> 0 AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = object AND a.attnum = subobject AND a.attgenerated <> '')
                                        OR kind = 'function' AND NOT (attribute = 0 AND zanith._is_function_of(object, relation))
                                        -- one that names the column itself; what a function of it is in is recorded nowhere
                                        OR kind = 'exclusion constraint' AND EXISTS (
                                             SELECT FROM pg_constraint k JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = attribute
                                             WHERE k.oid = object AND k.conrelid IN (SELECT f.member FROM zanith._family(relation) f)
                                               AND zanith._index_columns(k.conindid) ? a.attname)
                                      THEN jsonb_build_object('able', true) ELSE jsonb_build_object() END
                              || CASE WHEN parked AND zanith._parked_with(class, object, subobject) IS NOT NULL
                                      THEN jsonb_build_object('artifact', zanith._parked_with(class, object, subobject)) ELSE jsonb_build_object() END
                              || CASE WHEN zanith._loses_label(class, object, subobject, kind) THEN jsonb_build_object('labelled', true) ELSE jsonb_build_object() END
                              ORDER BY distance, name COLLATE "C")
    FROM zanith._find_dependents(relation, attribute, besides, gone, parked)
); END $$;

-- What the cascade will drop and the restore will make again: {views, functions, order, policies, triggers, rules, defaults,
-- publications, columns}. Policies, triggers and rules are those of other tables (of this one when a column goes).

-- How many dependents deep each of these objects lies: what it needs among them comes first.
CREATE OR REPLACE FUNCTION zanith._creation_order(objects oid[]) RETURNS TABLE (object oid, rank integer)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE edges(object, needs) AS (
        SELECT DISTINCT o.object, COALESCE(t.typrelid, d.refobjid)
        FROM (SELECT 'pg_proc'::regclass::oid, x, x FROM unnest(objects) x
              UNION ALL SELECT 'pg_rewrite'::regclass, r.oid, r.ev_class FROM pg_rewrite r WHERE r.ev_class = ANY (objects)) o(class, part, object)
        -- OFFSET 0 makes PostgreSQL read the index for each object: a join may read all of pg_depend
        CROSS JOIN LATERAL (
            SELECT x.* FROM pg_depend x
            WHERE x.classid = o.class AND x.objid = o.part AND x.refclassid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass) OFFSET 0) d
        LEFT JOIN pg_type e ON d.refclassid = 'pg_type'::regclass AND e.oid = d.refobjid
        LEFT JOIN pg_type t ON t.oid = COALESCE(NULLIF(e.typelem, 0), e.oid) AND t.typrelid <> 0
        WHERE COALESCE(t.typrelid, d.refobjid) = ANY (objects) AND COALESCE(t.typrelid, d.refobjid) <> o.object
    ), ranks(object, rank) AS (
        SELECT o, 0 FROM unnest(objects) o
        UNION
        SELECT e.object, r.rank + 1 FROM ranks r JOIN edges e ON e.needs = r.object WHERE r.rank < cardinality(objects)
    )
    SELECT object, max(rank) FROM ranks GROUP BY object
$$;

-- What the dependents of a column are called in a plan, and what each is made of besides it: columns of the same table, and
-- other dependents, by what they are called.
CREATE OR REPLACE FUNCTION zanith._describe_uses(relation oid, attribute smallint)
RETURNS TABLE (class oid, object oid, subobject integer, uses jsonb) LANGUAGE sql STABLE ROWS 10 AS $$
    WITH dependents AS MATERIALIZED (
        SELECT d.class, d.object, d.subobject,
               CASE WHEN d.kind IN ('view', 'materialized view') THEN format('the view %s', zanith._relation_name(d.object)) ELSE 'the ' || d.name END AS called
        FROM zanith._find_dependents(relation, attribute) d
    ), columns AS (
        SELECT a.attrelid, a.attnum, a.attname
        FROM zanith._family(relation) f JOIN pg_attribute a ON a.attrelid = f.member AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_attribute r ON r.attrelid = relation AND r.attname = a.attname AND r.attnum <> attribute
    ), made_of AS (
        SELECT d.called, e.refclassid, e.refobjid, e.refobjsubid
        FROM dependents d, LATERAL (
            SELECT d.class AS class, d.object AS part WHERE d.subobject = 0
            UNION ALL SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite r WHERE d.class = 'pg_class'::regclass AND d.subobject = 0 AND r.ev_class = d.object
            UNION ALL SELECT 'pg_trigger'::regclass, t.oid FROM pg_trigger t WHERE d.class = 'pg_class'::regclass AND d.subobject = 0 AND t.tgrelid = d.object AND NOT t.tgisinternal
            UNION ALL SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index i WHERE d.class = 'pg_class'::regclass AND d.subobject = 0 AND i.indrelid = d.object
            UNION ALL SELECT 'pg_attrdef'::regclass, x.oid FROM pg_attrdef x WHERE d.class = 'pg_class'::regclass AND x.adrelid = d.object AND x.adnum = d.subobject) p
        JOIN pg_depend e ON e.classid = p.class AND e.objid = p.part
    )
    SELECT d.class, d.object, d.subobject, jsonb_build_object('called', d.called,
        'columns', (SELECT zanith._list(DISTINCT c.attname) FROM made_of m
                             JOIN columns c ON m.refclassid = 'pg_class'::regclass AND m.refobjid = c.attrelid AND m.refobjsubid = c.attnum
                             WHERE m.called = d.called),
        'upon', (SELECT zanith._list(DISTINCT o.called) FROM made_of m
                          LEFT JOIN pg_type e ON m.refclassid = 'pg_type'::regclass AND e.oid = m.refobjid
                          LEFT JOIN pg_type t ON t.oid = COALESCE(NULLIF(e.typelem, 0), e.oid) AND t.typrelid <> 0
                          JOIN dependents o ON o.called <> d.called AND (
                               o.class = m.refclassid AND o.object = m.refobjid AND o.subobject IN (0, m.refobjsubid)
                            OR o.class = 'pg_class'::regclass AND o.object = t.typrelid AND o.subobject = 0)
                          WHERE m.called = d.called))
    FROM dependents d
$$;

-- What a cascade drops where nothing depends on the object.
CREATE OR REPLACE FUNCTION zanith._no_cascade() RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT '{"views": [], "functions": [], "order": [], "policies": [], "triggers": [], "rules": [], "defaults": [], "publications": [], "columns": []}'::jsonb
$$;

-- What is dropped in one list: [{object, kind, uses}]. Triggers and rules of a view that is in the list come with it.
CREATE OR REPLACE FUNCTION zanith._describe_dropped(objects jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF objects = '[]' THEN
        RETURN zanith._no_cascade() - 'columns';
    END IF;
    RETURN (
    WITH dependents AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(objects) d(object oid, kind text, uses jsonb)
    ),
    made AS (
        SELECT m.object, m.list, m.rank, m.uses, row_number() OVER (PARTITION BY m.list ORDER BY m.rank, m.object) - 1 AS place
        FROM (SELECT DISTINCT d.object, CASE d.kind WHEN 'function' THEN 'functions' ELSE 'views' END AS list, r.rank, d.uses
              FROM dependents d
              JOIN zanith._creation_order(ARRAY(SELECT object FROM dependents WHERE kind IN ('view', 'materialized view', 'function'))) r USING (object)
              WHERE d.kind IN ('view', 'materialized view', 'function')) m
    )
    SELECT jsonb_build_object(
        'views', (SELECT zanith._list(zanith._describe_view(object) || uses ORDER BY place) FROM made WHERE list = 'views'),
        'functions', (SELECT zanith._list(zanith._describe_routine(object) || uses ORDER BY place) FROM made WHERE list = 'functions'),
        'order', (SELECT zanith._list(jsonb_build_array(list, place) ORDER BY rank, object) FROM made),
        'policies', (
            SELECT zanith._list(x.item || jsonb_build_object('table', zanith._relation_name(p.polrelid)) || d.uses ORDER BY x.ord)
            FROM dependents d JOIN pg_policy p ON p.oid = d.object AND d.kind = 'policy',
                 zanith._each(zanith._describe_policies(p.polrelid)) x WHERE x.item ->> 'name' = p.polname),
        'triggers', (
            SELECT zanith._list(x.item || jsonb_build_object('table', zanith._relation_name(t.tgrelid)) || zanith._describe_trigger_states(t.oid) || d.uses ORDER BY x.ord)
            FROM dependents d JOIN pg_trigger t ON t.oid = d.object AND d.kind = 'trigger',
                 zanith._each(zanith._describe_triggers(t.tgrelid)) x
            WHERE x.item ->> 'name' = t.tgname
              AND t.tgrelid NOT IN (SELECT v.object FROM dependents v WHERE v.kind = 'view')),
        'rules', (
            SELECT zanith._list(x.item || jsonb_build_object('table', zanith._relation_name(r.ev_class)) || d.uses ORDER BY x.ord)
            FROM dependents d JOIN pg_rewrite r ON r.oid = d.object AND d.kind = 'rule'
            AND r.ev_class NOT IN (SELECT v.object FROM dependents v WHERE v.kind IN ('view', 'materialized view')),
                 zanith._each(zanith._describe_rules(r.ev_class)) x WHERE x.item ->> 'name' = r.rulename),
        'defaults', (
            SELECT zanith._list(jsonb_build_object('name', format('%s.%I', zanith._relation_name(a.attrelid), a.attname),
                                                'table', zanith._relation_name(a.attrelid), 'column', a.attname,
                                                'default', pg_get_expr(x.adbin, x.adrelid)) || d.uses ORDER BY a.attrelid, a.attnum)
            FROM dependents d JOIN pg_attrdef x ON x.oid = d.object AND d.kind = 'default'
            JOIN pg_attribute a ON a.attrelid = x.adrelid AND a.attnum = x.adnum AND a.attgenerated = ''),
        'publications', (
            SELECT zanith._list(x.item || jsonb_build_object('table', zanith._relation_name(r.prrelid)) || d.uses ORDER BY r.prrelid, x.ord)
            FROM dependents d JOIN pg_publication_rel r ON r.oid = d.object AND d.kind = 'publication'
            JOIN pg_publication p ON p.oid = r.prpubid,
                 zanith._each(zanith._describe_publications(r.prrelid)) x WHERE x.item ->> 'name' = p.pubname AND x.item ->> 'via' = 'table'))
); END $$;

CREATE OR REPLACE FUNCTION zanith._describe_cascade(relation oid, attribute smallint DEFAULT 0, id text DEFAULT NULL, gone text[] DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb;
BEGIN
    SELECT zanith._list(to_jsonb(d)) INTO found FROM zanith._find_dependents(relation, attribute, gone => gone) d;
    IF found = '[]' THEN
        RETURN zanith._no_cascade();
    END IF;
    SELECT zanith._list(jsonb_build_object('class', d.class, 'object', d.object, 'subobject', d.subobject, 'kind', d.kind,
        'uses', CASE WHEN u.uses IS NULL THEN '{}' ELSE jsonb_build_object('uses', u.uses) END)) INTO found
    FROM jsonb_to_recordset(found) d(class oid, object oid, subobject integer, kind text)
    LEFT JOIN zanith._describe_uses(relation, attribute) u USING (class, object, subobject);
    RETURN zanith._describe_dropped(found) || jsonb_build_object(
        'columns', (
            SELECT zanith._list(zanith._define_generated(g.attrelid, g.attname, g.later, relation, attribute, id) || g.uses ORDER BY g.attrelid, g.attnum)
            FROM (SELECT a.attrelid, a.attnum, a.attname, d.uses, array_remove(array_agg(a.attname::text) OVER (
                             PARTITION BY a.attrelid ORDER BY a.attnum ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING), NULL) AS later
                  FROM jsonb_to_recordset(found) d(object oid, subobject integer, kind text, uses jsonb)
                  JOIN pg_attribute a ON d.kind = 'column' AND a.attrelid = d.object AND a.attnum = d.subobject AND a.attgenerated <> '' AND a.attinhcount = 0) g));
END $$;
