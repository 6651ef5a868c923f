-- Code of a third role, which a restore or a read would run as the owner of a table. Two kinds of tables can call it:
--   * tables that changed hands: what is recorded was written by the owner of that time;
--   * tables of a trusted role (see zanith._is_trusted), which are read as the operator. Their owner chose the function or the type, but its own
--     owner can change it at any time, and the owner of its schema can create it again.

-- Whose these tables are, and whose they were: the table of a column, its descendants, and the tables of a moved tree. {was, now, relation}. `was` is
-- NULL where the owner, or a superuser, wrote all of it.
CREATE OR REPLACE FUNCTION zanith._handed_over(d jsonb, live oid) RETURNS TABLE (was text, now text, relation oid)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN RETURN QUERY
    SELECT CASE WHEN pg_get_userbyid(c.relowner) <> o.was AND NOT zanith._is_superuser(o.was) THEN o.was END, pg_get_userbyid(c.relowner)::text, c.oid
    FROM (SELECT d #>> '{table,owner}' AS was, live AS oid WHERE NOT d ? 'members'
          UNION ALL SELECT t.item ->> 'owner', zanith._relation_oid(t.item ->> 'schema', t.item ->> 'name') FROM zanith._each(d -> 'tree') t
          UNION ALL SELECT m.item #>> '{definition,owner}', zanith._relation_oid(m.item ->> 'parked_schema', m.item ->> 'parked') FROM zanith._each(d -> 'members') m) o
    JOIN pg_class c ON c.oid = o.oid
    WHERE pg_get_userbyid(c.relowner) <> o.was AND NOT zanith._is_superuser(o.was) OR zanith._is_trusted(pg_get_userbyid(c.relowner));
END $$;

-- Whose a table was at the capture that the restore finds by name; NULL where that was not recorded.
CREATE OR REPLACE FUNCTION zanith._partner_owner(d jsonb, table_name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT p.item ->> 'owner' FROM zanith._each(d -> 'partners') p WHERE zanith._qualify(p.item ->> 'schema', p.item ->> 'name') = table_name LIMIT 1
); END $$;

-- The first routine, domain or composite type that objects reach and that is neither the role's own nor harmless: "f(integer) of mallory". A superuser's
-- is harmless unless it is volatile and takes arguments, which the author of the call chose. `own`: the role itself wrote the call. A domain without
-- a check counts too, and a composite type: their owner can add a check, or an attribute that has one, at any time.
CREATE OR REPLACE FUNCTION zanith._find_third_code(classes oid[], objects oid[], role_name text, own boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH reached AS MATERIALIZED (SELECT r.class, r.object FROM zanith._reach(classes, objects) r)
    SELECT format('%s of %I', x.what, x.owner) FROM (
        SELECT p.oid::regprocedure::text AS what, pg_get_userbyid(p.proowner) AS owner, own OR p.provolatile <> 'v' OR p.pronargs = 0 AS harmless
        FROM reached r JOIN pg_proc p ON r.class = 'pg_proc'::regclass AND p.oid = r.object
        JOIN pg_language l ON l.oid = p.prolang
        WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'zanith'::regnamespace)
          AND (l.lanname NOT IN ('internal', 'c') OR zanith._is_superuser(pg_get_userbyid(p.proowner))) -- others own none but those that make a range
        UNION ALL
        SELECT format('the type %s', format_type(t.oid, NULL)), pg_get_userbyid(t.typowner), true
        -- OFFSET 0: the search for the owners of all types in the catalog would take long
        FROM reached r CROSS JOIN LATERAL (SELECT y.* FROM pg_type y WHERE y.oid = r.object AND y.typtype IN ('d', 'c') OFFSET 0) t
        WHERE r.class = 'pg_type'::regclass AND t.oid >= 16384) x
    WHERE CASE WHEN zanith._is_superuser(x.owner) THEN NOT x.harmless ELSE x.owner <> role_name END
    ORDER BY 1 LIMIT 1
); END $$;

-- The expressions of a column's parts, by the label of each part.
CREATE OR REPLACE FUNCTION zanith._texts_of_parts(d jsonb) RETURNS TABLE (label text, expression text)
LANGUAGE plpgsql IMMUTABLE ROWS 5 AS $$ BEGIN RETURN QUERY
    SELECT format('default of %I', p.part #>> '{column,name}'), p.part #>> '{column,default}' FROM zanith._parts(d) p
    UNION ALL SELECT format('expression of %I', p.part #>> '{column,name}'), p.part #>> '{column,generated}' FROM zanith._parts(d) p
    UNION ALL SELECT format('constraint %I', k.item ->> 'name'), k.item ->> 'definition' FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'constraints') k WHERE NOT zanith._constraint_is(k.item, 'reference')
    UNION ALL SELECT format('column %I', g.item ->> 'name'), x.expression FROM zanith._each(d #> '{cascade,columns}') g, LATERAL zanith._texts_of_parts(g.item) x;
END $$;

-- What a part that is of a table says: the expressions of a policy, a trigger, a rule, a default.
CREATE OR REPLACE FUNCTION zanith._text_of_acting_part(item jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT concat_ws(' ', item ->> 'using', item ->> 'check', item ->> 'definition', item ->> 'default') $$;

-- What a recorded part, by its label, needs: addresses as arrays of classes and objects.
CREATE OR REPLACE FUNCTION zanith._needed_objects(needs jsonb, called text, OUT classes oid[], OUT objects oid[])
LANGUAGE plpgsql STABLE AS $$ BEGIN
    SELECT array_agg(o.classid), array_agg(o.objid) INTO classes, objects
    FROM zanith._each(needs) n, LATERAL zanith._object_at(n.item ->> 'type', ARRAY(SELECT jsonb_array_elements_text(n.item -> 'names')),
                                                          ARRAY(SELECT jsonb_array_elements_text(n.item -> 'args'))) o
    WHERE n.item ->> 'by' = called AND o.objid IS NOT NULL;
    -- a part is read again from text, in which a cast has no name
    classes := classes || array_fill('pg_proc'::regclass::oid, ARRAY[cardinality(zanith._casts_among(classes, objects))]);
    objects := objects || zanith._casts_among(classes[:cardinality(objects)], objects);
END $$;

-- The functions of casts of all types that objects reach.
CREATE OR REPLACE FUNCTION zanith._casts_among(classes oid[], objects oid[]) RETURNS oid[]
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN ARRAY(
    SELECT DISTINCT c.c FROM zanith._reach(classes, objects) r, LATERAL zanith._casts_of(r.object) c WHERE r.class = 'pg_type'::regclass ORDER BY 1
); END $$;

-- As whom a recorded part is made again, by its name in `needs`: the owner of a view or of a function, or of the table that it is of.
CREATE OR REPLACE FUNCTION zanith._maker(d jsonb, called text, owner text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN COALESCE(
    (SELECT x.item ->> 'owner' FROM (VALUES ('views'), ('functions')) l(list), LATERAL zanith._each(d #> ARRAY['cascade', l.list]) x
     WHERE zanith._called(l.list, x.item) = called LIMIT 1),
    CASE WHEN called = d #>> '{object,called}' THEN COALESCE(d #>> '{type,owner}', d #>> '{sequence,owner}') END,
    (SELECT zanith._owner_of(p.item ->> 'table') FROM zanith._acting_parts(d -> 'cascade') p WHERE zanith._called(p.list, p.item) = called LIMIT 1),
    owner
); END $$;

-- The first code of a third role in tables as they are now: what reading or writing a row evaluates, what proving a foreign key casts with, and,
-- `triggers`, what fires. `writes`: built-in functions that run what they are told count too; a read evaluates none of them but one. `own`: the
-- role wrote all of it.
CREATE OR REPLACE FUNCTION zanith._third_code_of_tables(relations oid[], role_name text, triggers boolean, writes boolean DEFAULT false, own boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(zanith._find_third_code(array_agg(x.class), array_agg(x.object), role_name, own), (
        SELECT min(CASE WHEN writes AND NOT own THEN zanith._find_acting_builtin(r.class, r.object) WHEN zanith._asks_for_key(r.class, r.object) THEN 'the partition key of a table' END)
        FROM zanith._read_parts_of(relations) r))
    FROM (SELECT r.class, r.object FROM zanith._read_addresses(relations) r
          UNION ALL SELECT 'pg_proc'::regclass, c.castfunc FROM pg_attribute t, LATERAL zanith._casts_of(t.atttypid) c(castfunc)
                    WHERE t.attrelid = ANY (relations) AND t.attnum > 0 AND NOT t.attisdropped
          UNION ALL SELECT 'pg_proc'::regclass, c.castfunc FROM (SELECT array_agg(r.class) AS classes, array_agg(r.object) AS objects FROM zanith._read_addresses(relations) r) q,
                    LATERAL unnest(zanith._casts_among(q.classes, q.objects)) c(castfunc)
          UNION ALL SELECT 'pg_type'::regclass, t.atttypid FROM pg_attribute t
                    WHERE t.attrelid = ANY (relations) AND t.attnum > 0 AND NOT t.attisdropped AND t.atttypid >= 16384 AND zanith._reads_types(t.attrelid)
          UNION ALL SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite w WHERE w.ev_class = ANY (relations)
          UNION ALL SELECT 'pg_trigger'::regclass, g.oid FROM pg_trigger g WHERE triggers AND g.tgrelid = ANY (relations) AND NOT g.tgisinternal AND NOT starts_with(g.tgname, '~zanith_')) x
); END $$;

CREATE OR REPLACE FUNCTION zanith._third_code_of_table(relation oid, role_name text, triggers boolean, writes boolean DEFAULT false, own boolean DEFAULT false) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT zanith._third_code_of_tables(ARRAY[relation], role_name, triggers, writes, own) $$;

-- The same of each of the tables in _handed_over. It looks at those of one role together first: a table may have hundreds of partitions.
CREATE OR REPLACE FUNCTION zanith._code_handed_over(d jsonb, live oid, writes boolean, fires boolean DEFAULT false) RETURNS TABLE (was text, now text, relation oid, code text)
LANGUAGE plpgsql STABLE ROWS 1 AS $$
DECLARE
    h record;
    triggers boolean;
BEGIN
    FOR h IN SELECT x.was, x.now, array_agg(x.relation) AS relations FROM zanith._handed_over(d, live) x GROUP BY x.was, x.now LOOP
        triggers := fires OR writes AND d ? 'members' AND h.was IS NOT NULL;
        IF zanith._third_code_of_tables(h.relations, h.now, triggers, writes AND d ? 'column', h.was IS NULL) IS NOT NULL THEN
            RETURN QUERY SELECT h.was, h.now, r.oid, c.code
                FROM unnest(h.relations) r(oid), LATERAL zanith._third_code_of_table(r.oid, h.now, triggers, writes AND d ? 'column', h.was IS NULL) c(code) WHERE c.code IS NOT NULL;
        END IF;
    END LOOP;
END $$;

-- Conflicts: code of one role that the restore would run as another, since a table changed hands. `d` is as recorded, without what is left out.
CREATE OR REPLACE FUNCTION zanith._find_handed_over(d jsonb, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    h record;
    found jsonb := zanith._find_trusted_parts(d, live);
BEGIN
    FOR h IN SELECT DISTINCT x.was, x.now, x.was IS NULL AS own FROM zanith._handed_over(d, live) x ORDER BY 1, 2 LOOP
        found := found || (
            SELECT zanith._list(zanith._without_it(zanith._code_conflict(c.label, c.code, h.was, h.now), ARRAY[c.label]) -> 0 ORDER BY c.label)
            FROM (SELECT DISTINCT ON (q.label) q.label, q.code FROM (
                    SELECT zanith._label(n.called) AS label, zanith._find_third_code(o.classes, o.objects, h.now) AS code
                    FROM (SELECT DISTINCT x.item ->> 'by' AS called FROM zanith._each(d -> 'needs') x
                          -- a view and a function have owners of their own
                          WHERE NOT h.own AND NOT EXISTS (SELECT FROM (VALUES ('views'), ('functions')) l(list), LATERAL zanith._each(d #> ARRAY['cascade', l.list]) v
                                                          WHERE x.item ->> 'by' = zanith._called(l.list, v.item))
                            -- those of a table that stays have its owner
                            AND NOT EXISTS (SELECT FROM zanith._acting_parts(d -> 'cascade') p WHERE x.item ->> 'by' = zanith._called(p.list, p.item)
                                              AND (NOT d ? 'column' OR zanith._partner_owner(d, p.item ->> 'table') IS NOT NULL))) n,
                         LATERAL zanith._needed_objects(d -> 'needs', n.called) o
                    UNION ALL
                    SELECT format('column %I', g.item ->> 'name'), zanith._find_third_code(o.classes, o.objects, h.now, h.own)
                    FROM zanith._each(d #> '{cascade,columns}') g, LATERAL (SELECT DISTINCT x.item ->> 'by' AS called FROM zanith._each(g.item -> 'needs') x) n,
                         LATERAL zanith._needed_objects(g.item -> 'needs', n.called) o
                    -- one of another table has the owner of that
                    WHERE zanith._is_of_family(d, g.item -> 'table')
                    UNION ALL
                    SELECT t.label, zanith._find_acting_call(t.expression) FROM (
                        SELECT * FROM zanith._texts_of_parts(d)
                        UNION ALL SELECT zanith._label(zanith._called(p.list, p.item)), zanith._text_of_acting_part(p.item) FROM zanith._acting_parts(d -> 'cascade') p
                                  WHERE zanith._partner_owner(d, p.item ->> 'table') IS NULL) t
                    WHERE NOT h.own AND d ? 'column' AND t.expression IS NOT NULL) q
                  WHERE q.code IS NOT NULL ORDER BY q.label, q.code) c);
        found := found || COALESCE((
            SELECT zanith._code_conflict(format('the type %s', d #>> '{column,type}'), c.code, h.was, h.now, CASE WHEN zanith._is_kept_as_text(d) THEN ARRAY['--as-text'] ELSE '{}' END)
            -- its casts too: comparing a value with the other column of a foreign key calls them
            FROM (SELECT zanith._find_third_code(array_agg(x.class), array_agg(x.object), h.now, h.own)
                  FROM (SELECT CASE WHEN zanith._type_exists(d #>> '{column,type}') THEN to_regtype(d #>> '{column,type}')::oid END) t(oid), LATERAL (
                      SELECT 'pg_type'::regclass::oid, t.oid
                      UNION ALL SELECT 'pg_proc'::regclass, k.castfunc FROM zanith._casts_of(t.oid) k(castfunc)) x(class, object)) c(code)
            WHERE d ? 'column' AND c.code IS NOT NULL), '[]');
        -- PostgreSQL looks a row of another table's foreign key up as the owner of the table that it refers to, and casts the value there
        found := found || COALESCE((
            SELECT zanith._list(zanith._without_it(zanith._code_conflict(c.label, c.code, h.was, h.now), ARRAY[c.label]) -> 0 ORDER BY c.label)
            FROM (SELECT DISTINCT ON (q.label) q.label, q.code FROM (
                    SELECT format('foreign key %I of %s', k.item ->> 'name', zanith._relation_name(a.attrelid)) AS label, x.castfunc::regprocedure::text AS code
                    FROM zanith._all_references(d) k(item)
                    JOIN pg_attribute a ON a.attrelid = zanith._relation_oid(k.item ->> 'schema', k.item ->> 'table') AND NOT a.attisdropped AND k.item #> '{foreign_key,columns}' ? a.attname::text,
                         LATERAL zanith._implicit_casts(a.atttypid) x(castfunc) JOIN pg_proc p ON p.oid = x.castfunc
                    WHERE pg_get_userbyid(p.proowner) <> h.now AND NOT zanith._is_superuser(pg_get_userbyid(p.proowner))) q
                  ORDER BY q.label, q.code) c), '[]');
    END LOOP;
    RETURN found || (
        SELECT zanith._list(zanith._code_conflict(zanith._relation_name(x.relation), x.code, x.was, x.now) -> 0 ORDER BY x.relation)
        FROM zanith._code_handed_over(d, live, true, COALESCE((choices ->> 'fire_triggers')::boolean, false)) x) || zanith._find_replaced(d);
END $$;

-- Whether a table, {schema, name}, is the one of the definition or one of its tree.
CREATE OR REPLACE FUNCTION zanith._is_of_family(d jsonb, other jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT other IS NULL OR EXISTS (SELECT FROM zanith._parts(d) p WHERE p.part -> 'schema' = other -> 'schema' AND p.part -> 'name' = other -> 'name')
); END $$;

-- Conflicts: parts that would be made again as the operator, since they are of a trusted role, and that call code of another.
CREATE OR REPLACE FUNCTION zanith._find_trusted_parts(d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    owner text := COALESCE((SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = live), d #>> '{table,owner}');
    -- what a former owner wrote is looked at with the table
    given text := (SELECT x.now FROM zanith._handed_over(d, live) x WHERE x.was IS NOT NULL AND x.now = owner LIMIT 1);
BEGIN
    RETURN (
        SELECT zanith._list(zanith._without_it(zanith._code_conflict(q.label, q.code, NULL, q.maker), ARRAY[q.label]) -> 0 ORDER BY q.label)
        FROM (SELECT zanith._label(n.called) AS label, m.maker, (
                  SELECT zanith._find_third_code(array_agg(x.class), array_agg(x.object), m.maker, true)
                  FROM zanith._needed_objects(d -> 'needs', n.called) o, LATERAL unnest(o.classes, o.objects) x(class, object)
                  -- what fires a trigger runs its function, not what makes it
                  WHERE NOT EXISTS (SELECT FROM pg_proc p WHERE x.class = 'pg_proc'::regclass AND p.oid = x.object AND p.prorettype = 'trigger'::regtype)) AS code
              FROM (SELECT DISTINCT x.item ->> 'by' AS called FROM zanith._each(d -> 'needs') x WHERE x.item #>> '{names,0}' <> 'pg_catalog') n,
                   LATERAL (SELECT zanith._maker(d, n.called, NULLIF(owner, given))) m(maker)
              WHERE zanith._is_trusted(m.maker)
              UNION ALL
              SELECT format('column %I', g.item ->> 'name'), m.maker, zanith._find_third_code(o.classes, o.objects, m.maker, true)
              FROM zanith._each(d #> '{cascade,columns}') g, LATERAL (SELECT zanith._owner_of(zanith._qualify(g.item #>> '{table,schema}', g.item #>> '{table,name}'))) m(maker),
                   LATERAL (SELECT DISTINCT x.item ->> 'by' AS called FROM zanith._each(g.item -> 'needs') x) n, LATERAL zanith._needed_objects(g.item -> 'needs', n.called) o
              WHERE NOT zanith._is_of_family(d, g.item -> 'table') AND zanith._is_trusted(m.maker)) q
        WHERE q.code IS NOT NULL);
END $$;

-- `was` is NULL where the owner, or a superuser, wrote the part: then the code is of a third role.
CREATE OR REPLACE FUNCTION zanith._code_conflict(part text, code text, was text, now text, choices text[] DEFAULT '{}') RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN was IS NULL THEN zanith._conflict('code_of_another', format('code of another role would run as %I: %s uses %s', now, part, code), zanith._take_over(now), choices)
        ELSE zanith._conflict('code_of_another', format('code of %I would run as %I, the present owner of the table: %s calls %s', was, now, part, code),
            format('Give the function to %I too (ALTER FUNCTION … OWNER TO %I), or give the table back to %I for the length of the restore.', now, now, was), choices) END
$$;

CREATE OR REPLACE FUNCTION zanith._take_over(owner text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('Look at what it does, then give it to %I: ALTER FUNCTION, ALTER DOMAIN or ALTER TYPE … OWNER TO %I.', owner, owner)
$$;

-- Conflicts: another table, of another role, that bears the name of one on which something comes back; and code of a third role that would come
-- back on a table which changed hands.
CREATE OR REPLACE FUNCTION zanith._find_replaced(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list((CASE WHEN o.replaced THEN zanith._without_it(zanith._conflict('table_of_another', format('%s is now another table, and belongs to %I; it belonged to %I', t.name, o.owner, t.owner),
                format('The restore adds nothing that belonged to %I to a table of another role. Rename that table for the length of the restore, or give it to %I.', t.owner, t.owner)), l.labels)
            ELSE zanith._without_it(zanith._code_conflict(l.part, l.code, t.owner, o.owner), l.labels) END) -> 0 ORDER BY t.name, l.part)
    FROM (SELECT zanith._qualify(p.item ->> 'schema', p.item ->> 'name') AS name, p.item ->> 'owner' AS owner, (p.item ->> 'oid')::oid AS oid FROM zanith._each(d -> 'partners') p
          UNION ALL
          SELECT zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}'), d #>> '{table,owner}', (d #>> '{table,oid}')::oid WHERE zanith._strategy_is(d ->> 'strategy', 'archive')) t,
         LATERAL (SELECT pg_get_userbyid(c.relowner)::text AS owner, c.oid <> t.oid AND d ->> 'database' = zanith._database_identity() AS replaced
                  FROM pg_class c WHERE c.oid = to_regclass(t.name) AND pg_get_userbyid(c.relowner) <> t.owner AND NOT zanith._is_superuser(t.owner)) o,
         LATERAL (SELECT NULL::text AS part, NULL::text AS code, ARRAY(
                        SELECT format('foreign key %I', k.item ->> 'name') FROM zanith._all_foreign_keys(d) k(item) WHERE zanith._qualify(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}') = t.name
                        UNION ALL SELECT format('foreign key %I of %s', k.item ->> 'name', t.name) FROM zanith._all_references(d) k(item) WHERE zanith._qualify(k.item ->> 'schema', k.item ->> 'table') = t.name
                        UNION ALL SELECT zanith._label(zanith._called(x.list, x.item)) FROM zanith._acting_parts(d -> 'cascade') x WHERE x.item ->> 'table' = t.name) AS labels
                  WHERE o.replaced
                  UNION ALL
                  SELECT zanith._called(x.list, x.item), c.code, ARRAY[zanith._label(zanith._called(x.list, x.item))]
                  FROM zanith._acting_parts(d -> 'cascade') x, LATERAL zanith._needed_objects(d -> 'needs', zanith._called(x.list, x.item)) n,
                       LATERAL (SELECT COALESCE(zanith._find_third_code(n.classes, n.objects, o.owner), zanith._find_acting_call(zanith._text_of_acting_part(x.item)))) c(code)
                  WHERE NOT o.replaced AND x.item ->> 'table' = t.name AND c.code IS NOT NULL) l
    -- where every part of it is left out, nothing comes back on it
    WHERE NOT o.replaced OR cardinality(l.labels) > 0 OR t.oid = (d #>> '{table,oid}')::oid OR EXISTS (
        SELECT FROM zanith._each(d -> 'placeholders') h WHERE zanith._qualify(h.item ->> 'schema', h.item ->> 'name') = t.name
        UNION ALL SELECT FROM (SELECT d #> '{members,0,definition,partition_of}') a(at) WHERE t.name = concat(quote_ident(a.at ->> 'schema'), '.', quote_ident(a.at ->> 'name')))
); END $$;

-- The same once more at the end of a restore, where its locks keep those tables as they are: somebody may have exchanged one since the plan was made.
CREATE OR REPLACE FUNCTION zanith.check_partners(artifact_id text, choices jsonb) RETURNS void
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    d jsonb := (zanith._artifact(artifact_id)).definition;
    found jsonb := zanith._find_replaced(zanith._leave_out(d, choices -> 'without'));
BEGIN
    IF found <> '[]' THEN
        PERFORM zanith._refuse(found #>> '{0,message}', found #>> '{0,hint}', '55000');
    ELSIF d ? 'members' AND d ->> 'database' = zanith._database_identity()
          AND zanith._relation_oid(d #>> '{table,schema}', COALESCE(choices ->> 'as', d #>> '{table,name}')) IS DISTINCT FROM (d #>> '{table,oid}')::oid THEN
        PERFORM zanith._refuse(format('%s was exchanged for another table during the restore', zanith._qualify(d #>> '{table,schema}', COALESCE(choices ->> 'as', d #>> '{table,name}'))),
            'Restore again; nothing was changed.', '55000');
    END IF;
END $$;

-- Keeps the names of the schemas in which a restore works, where this role may: ALTER SCHEMA … RENAME waits for no lock of a table, and a grant
-- by name would be one on another's table. Raises where a descendant of the column's table belongs to another role and calls code now.
CREATE OR REPLACE FUNCTION zanith.pin_schemas(artifact_id text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
BEGIN
    IF a.source_column IS NOT NULL THEN
        PERFORM zanith._check_owners(CASE WHEN a.artifact_type = 'soft_drop_column' THEN (zanith._place(a) ->> 'oid')::oid ELSE zanith._relation_oid(a.source_schema, a.source_table) END);
    END IF;
    IF zanith._is_superuser(current_user) THEN
        PERFORM FROM pg_namespace n WHERE n.nspname IN (
            SELECT a.physical_schema UNION SELECT a.source_schema UNION SELECT m.item ->> 'schema' FROM zanith._each(a.definition -> 'members') m
            UNION SELECT t.item ->> 'schema' FROM zanith._each(a.definition -> 'tree') t UNION SELECT p.item ->> 'schema' FROM zanith._each(a.definition -> 'partners') p)
        ORDER BY n.oid FOR SHARE;
    END IF;
END $$;

-- A role that reads the parked object plans a query on it. Raises where a table of it changed hands and calls code of a third role.
CREATE OR REPLACE FUNCTION zanith._check_handed_over(d jsonb, root oid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    h record;
BEGIN
    SELECT x.was, x.now, zanith._relation_name(x.relation) AS name, x.code INTO h FROM zanith._code_handed_over(d, root, false) x LIMIT 1;
    IF FOUND AND h.was IS NULL THEN
        PERFORM zanith._refuse(format('code of another role would run as %I: %s uses %s', h.now, h.name, h.code), zanith._take_over(h.now), '42501');
    ELSIF FOUND THEN
        PERFORM zanith._refuse(format('code of %I would run as %I, the present owner of the table %s', h.was, h.now, h.name),
            format('Give the function to %I too (ALTER FUNCTION … OWNER TO %I), or give the table back to %I.', h.now, h.now, h.was), '42501', format('It calls %s.', h.code));
    END IF;
END $$;

-- A script is no plan: what it does on other tables runs as the role that owned them at the capture. Adding a foreign key reads no row and runs as the role that runs
-- the script, who has to be told where it would be a table of another role.
CREATE OR REPLACE FUNCTION zanith._script_partners(d jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(format(E'-- Stop if a table of another role has taken the name of a table of this restore.\n%s;\n', zanith._do(format(
        E'DECLARE given pg_catalog.text; BEGIN\n'
        '    SELECT pg_catalog.format(''%%s is now another table, and belongs to %%I; it belonged to %%I'', c.oid::pg_catalog.regclass, r.rolname, t.owner) INTO given\n'
        '    FROM ROWS FROM (pg_catalog.unnest(%1$L::pg_catalog.text[]), pg_catalog.unnest(%2$L::pg_catalog.oid[]), pg_catalog.unnest(%3$L::pg_catalog.text[])) t(name, oid, owner)\n'
        '    JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(t.name) AND c.oid <> t.oid JOIN pg_catalog.pg_roles r ON r.oid = c.relowner AND r.rolname <> t.owner\n'
        '    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_roles o WHERE o.rolname = t.owner AND o.rolsuper)\n'
        '      AND (SELECT pg_catalog.concat(s.system_identifier, ''/'', b.oid) FROM pg_catalog.pg_control_system() s, pg_catalog.pg_database b WHERE b.datname = pg_catalog.current_database()) = %4$L LIMIT 1;\n'
        '    IF FOUND THEN\n'
        '        RAISE EXCEPTION ''%%'', given USING HINT = ''Rename that table for the length of this, or restore with zanith recover --without.''; END IF; END',
        array_agg(q.name), array_agg(q.oid), array_agg(q.owner), d ->> 'database'))), '')
    FROM (SELECT zanith._qualify(p.item ->> 'schema', p.item ->> 'name') AS name, (p.item ->> 'oid')::oid AS oid, p.item ->> 'owner' AS owner FROM zanith._each(d -> 'partners') p WHERE p.item ? 'owner') q
    HAVING count(*) > 0
); END $$;

-- The addresses of what parts of a trusted role need, as _object_at takes them, and of the types of columns: [{type, names, args}].
CREATE OR REPLACE FUNCTION zanith._trusted_needs(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(DISTINCT x.item)
    FROM (SELECT d -> 'needs', NULL::jsonb UNION ALL SELECT g.item -> 'needs', g.item -> 'table' FROM zanith._each(d #> '{cascade,columns}') g) q(needs, of_table), LATERAL (
        SELECT jsonb_build_object('type', n.item -> 'type', 'names', n.item -> 'names', 'args', n.item -> 'args')
        FROM zanith._each(q.needs) n
        WHERE n.item #>> '{names,0}' <> 'pg_catalog' AND n.item ->> 'type' NOT IN ('table', 'table column', 'schema', 'role', 'sequence')
          AND zanith._is_trusted(zanith._maker(d, n.item ->> 'by', d #>> '{table,owner}'))
        UNION ALL
        SELECT jsonb_build_object('type', 'type', 'names', jsonb_build_array(p.part #> '{column,type}'), 'args', '[]'::jsonb)
        FROM zanith._parts(d) p
        WHERE jsonb_typeof(d -> 'column') = 'object' AND zanith._is_trusted(p.part ->> 'owner')
          AND NOT (zanith._type_exists(p.part #>> '{column,type}') AND to_regtype(p.part #>> '{column,type}')::oid < 16384)) x(item)
); END $$;

-- A script is no plan: it looks for itself whether an object that it creates, or a table that it reads, calls code of a third role.
CREATE OR REPLACE FUNCTION zanith._script_third_code(d jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    needs jsonb := zanith._trusted_needs(d);
    tables text[] := ARRAY(SELECT DISTINCT t.name FROM (
        SELECT zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}'), d #>> '{table,owner}' WHERE NOT d ? 'members'
        UNION ALL SELECT zanith._qualify(t.item ->> 'schema', t.item ->> 'name'), t.item ->> 'owner' FROM zanith._each(d -> 'tree') t
        UNION ALL SELECT zanith._qualify(m.item ->> 'parked_schema', m.item ->> 'parked'), m.item #>> '{definition,owner}' FROM zanith._each(d -> 'members') m) t(name, owner)
        -- whatever they call now: a script depends on what was recorded alone
        WHERE zanith._is_trusted(t.owner) ORDER BY 1);
BEGIN
    IF needs = '[]' AND cardinality(tables) = 0 THEN
        RETURN '';
    END IF;
    RETURN format(E'-- Stop if code of a role that is no superuser would run as the role that runs this script.\n%s;\n', zanith._do(format(
        E'DECLARE classes oid[] := ''{}''; objects oid[] := ''{}''; type text; names text[]; args text[]; classid oid; objid oid; third text; BEGIN\n'
        '    FOR type, names, args IN SELECT n.type, n.names, n.args FROM jsonb_to_recordset(%1$L) n(type text, names text[], args text[]) LOOP\n'
        '%2$s;\n'
        '        IF objid IS NOT NULL THEN classes := classes || classid; objects := objects || objid; END IF;\n'
        '    END LOOP;\n'
        '    SELECT classes || array_agg(p.class), objects || array_agg(p.object) INTO classes, objects FROM (\n'
        '        WITH family AS (SELECT f.o FROM unnest(%3$L::text[]) t(name), LATERAL (SELECT to_regclass(t.name)::oid) f(o))\n'
        '        SELECT ''pg_class''::regclass::oid, i.indexrelid FROM family JOIN pg_index i ON i.indrelid = o\n'
        '        UNION ALL SELECT ''pg_constraint''::regclass, k.oid FROM family JOIN pg_constraint k ON k.conrelid = o\n'
        '        UNION ALL SELECT ''pg_statistic_ext''::regclass, s.oid FROM family JOIN pg_statistic_ext s ON s.stxrelid = o\n'
        '        UNION ALL SELECT ''pg_attrdef''::regclass, f.oid FROM family JOIN pg_attrdef f ON f.adrelid = o JOIN pg_attribute a ON a.attrelid = o AND a.attnum = f.adnum AND a.attgenerated <> ''''\n'
        '        UNION ALL SELECT ''pg_proc''::regclass, k.castfunc FROM family JOIN pg_attribute a ON a.attrelid = o AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384\n'
        '            JOIN pg_cast k ON a.atttypid IN (k.castsource, k.casttarget) AND k.castfunc <> 0) p(class, object);\n'
        '    SELECT pg_catalog.format(''%%s of %%I'', x.what, w.rolname) INTO third FROM (\n'
        '        WITH used AS (%4$s)\n'
        '        SELECT t.typowner, format_type(t.oid, NULL) FROM used r JOIN pg_type t ON r.class = ''pg_type''::regclass AND t.oid = r.object AND t.typtype IN (''d'', ''c'')\n'
        '        UNION ALL SELECT p.proowner, p.oid::regprocedure::text FROM used r, LATERAL (SELECT r.object WHERE r.class = ''pg_proc''::regclass\n'
        '                UNION ALL SELECT k.castfunc FROM pg_cast k WHERE r.class = ''pg_type''::regclass AND r.object IN (k.castsource, k.casttarget)) c(o)\n'
        '            JOIN pg_proc p ON p.oid = c.o AND p.prorettype <> ''trigger''::regtype JOIN pg_language l ON l.oid = p.prolang AND l.lanname NOT IN (''internal'', ''c'')) x(owner, what)\n'
        '        JOIN pg_roles w ON w.oid = x.owner WHERE NOT w.rolsuper AND w.rolname <> %5$L LIMIT 1;\n'
        '    IF FOUND THEN\n'
        '        RAISE EXCEPTION ''%% would run as %%'', third, current_user USING HINT = ''Look at what it does, then give it to a superuser: ALTER FUNCTION, ALTER DOMAIN or ALTER TYPE … OWNER TO.''; END IF; END',
        needs, btrim((SELECT p.prosrc FROM pg_proc p WHERE p.oid = 'zanith._object_at(text, text[], text[])'::regprocedure), E'\n '), tables,
        (SELECT p.prosrc FROM pg_proc p WHERE p.oid = 'zanith._reach_further(oid[], oid[])'::regprocedure), zanith._own_role())));
END $$;
