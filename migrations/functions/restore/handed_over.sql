-- Tables that changed hands. What is recorded was written by the owner of that time. Where the table belongs to another role now, the restore
-- would read it as that role. So nothing that is recorded, or that is in the table already, may call code of a third role then.

-- Whose tables these are, and whose they were: the table of a column, the tables beneath it, and those of a moved tree. {was, now, relation}. What a
-- superuser wrote is trusted.
CREATE OR REPLACE FUNCTION zanith._handed_over(d jsonb, live oid) RETURNS TABLE (was text, now text, relation oid)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN RETURN QUERY
    SELECT o.was, pg_get_userbyid(c.relowner)::text, c.oid
    FROM (SELECT d #>> '{table,owner}' AS was, live AS oid WHERE NOT d ? 'members'
          UNION ALL SELECT t.item ->> 'owner', zanith._relation_oid(t.item ->> 'schema', t.item ->> 'name') FROM zanith._each(d -> 'tree') t
          UNION ALL SELECT m.item #>> '{definition,owner}', zanith._relation_oid(m.item ->> 'parked_schema', m.item ->> 'parked') FROM zanith._each(d -> 'members') m) o
    JOIN pg_class c ON c.oid = o.oid
    WHERE pg_get_userbyid(c.relowner) <> o.was AND NOT zanith._is_superuser(o.was);
END $$;

-- Whose a table was at the capture that the restore finds by name; NULL where that was not recorded.
CREATE OR REPLACE FUNCTION zanith._partner_owner(d jsonb, table_name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT p.item ->> 'owner' FROM zanith._each(d -> 'partners') p WHERE zanith._qualify(p.item ->> 'schema', p.item ->> 'name') = table_name LIMIT 1
); END $$;

-- The first routine or type with checks that objects reach and that is neither the role's own nor harmless: "f(integer) of mallory". A superuser's
-- is harmless unless it is volatile and takes arguments, which whoever wrote the call chose.
CREATE OR REPLACE FUNCTION zanith._find_third_code(classes oid[], objects oid[], role_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT format('%s of %I', x.what, x.owner) FROM (
        SELECT p.oid::regprocedure::text AS what, pg_get_userbyid(p.proowner) AS owner, p.provolatile <> 'v' OR p.pronargs = 0 AS harmless
        FROM zanith._reach(classes, objects) r JOIN pg_proc p ON r.class = 'pg_proc'::regclass AND p.oid = r.object
        WHERE p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'zanith'::regnamespace)
        UNION ALL
        SELECT format('the type %s', format_type(t.oid, NULL)), pg_get_userbyid(t.typowner), true
        FROM zanith._reach(classes, objects) r JOIN pg_type t ON r.class = 'pg_type'::regclass AND t.oid = r.object AND t.typtype = 'd'
        WHERE EXISTS (SELECT FROM pg_constraint k WHERE k.contypid = t.oid AND k.contype = 'c')) x
    WHERE CASE WHEN zanith._is_superuser(x.owner) THEN NOT x.harmless ELSE x.owner <> role_name END
    ORDER BY 1 LIMIT 1
); END $$;

-- The first built-in function in a printed expression that could do more than compute: a volatile one with arguments, such as those that execute
-- SQL, but for those of sequences.
CREATE OR REPLACE FUNCTION zanith._find_acting_call(expression text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT format('%s(%s)', p.proname, pg_get_function_identity_arguments(p.oid))
    FROM regexp_matches(expression, '"?([a-z_][a-z0-9_]*)"?\(', 'g') m(called) JOIN pg_proc p ON p.proname = m.called[1] AND p.pronamespace = 'pg_catalog'::regnamespace
    WHERE p.provolatile = 'v' AND p.pronargs > 0 AND p.proname NOT IN ('nextval', 'currval', 'setval') OR p.proname ~ '_to_xml'
    ORDER BY 1 LIMIT 1
); END $$;

-- The expressions of a column's parts, by the label of each part.
CREATE OR REPLACE FUNCTION zanith._texts_of_parts(d jsonb) RETURNS TABLE (label text, expression text)
LANGUAGE plpgsql IMMUTABLE ROWS 5 AS $$ BEGIN RETURN QUERY
    SELECT format('default of %I', p.part #>> '{column,name}'), p.part #>> '{column,default}' FROM zanith._parts(d) p
    UNION ALL SELECT format('expression of %I', p.part #>> '{column,name}'), p.part #>> '{column,generated}' FROM zanith._parts(d) p
    UNION ALL SELECT format('constraint %I', k.item ->> 'name'), k.item ->> 'definition' FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'constraints') k WHERE k.item ->> 'kind' <> 'foreign key'
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
END $$;

-- The first code of a third role in a table as it is now: what reading or writing a row evaluates, what proving a foreign key casts with, and,
-- `triggers`, what fires.
CREATE OR REPLACE FUNCTION zanith._third_code_of_table(relation oid, role_name text, triggers boolean) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._find_third_code(array_agg(x.class), array_agg(x.object), role_name)
    FROM (SELECT r.class, r.object FROM zanith._read_parts(relation) r
          UNION ALL SELECT 'pg_proc'::regclass, c.castfunc FROM pg_attribute t JOIN pg_cast c ON c.castsource = t.atttypid AND c.castfunc <> 0 AND c.castcontext = 'i'
                    WHERE t.attrelid = relation AND t.attnum > 0 AND NOT t.attisdropped
          UNION ALL SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite w WHERE w.ev_class = relation
          UNION ALL SELECT 'pg_trigger'::regclass, g.oid FROM pg_trigger g WHERE triggers AND g.tgrelid = relation AND NOT g.tgisinternal AND NOT starts_with(g.tgname, '~zanith_')) x
); END $$;

-- Conflicts: code of one role that the restore would run as another, since a table changed hands. `d` is as recorded, without what is left out.
CREATE OR REPLACE FUNCTION zanith._find_handed_over(d jsonb, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    h record;
    found jsonb := '[]';
BEGIN
    FOR h IN SELECT DISTINCT x.was, x.now FROM zanith._handed_over(d, live) x ORDER BY 1, 2 LOOP
        found := found || COALESCE((
            SELECT jsonb_agg(zanith._without_it(zanith._code_conflict(c.label, c.code, h.was, h.now), ARRAY[c.label]) -> 0 ORDER BY c.label)
            FROM (SELECT DISTINCT ON (q.label) q.label, q.code FROM (
                    SELECT zanith._label(n.called) AS label, zanith._find_third_code(o.classes, o.objects, h.now) AS code
                    FROM (SELECT DISTINCT x.item ->> 'by' AS called FROM zanith._each(d -> 'needs') x
                          WHERE NOT EXISTS (SELECT FROM zanith._each(d #> '{cascade,views}') v WHERE x.item ->> 'by' = format('the view %s', zanith._qualify(v.item ->> 'schema', v.item ->> 'name')))
                            -- those of a table that stays have its owner
                            AND NOT EXISTS (SELECT FROM zanith._acting_parts(d -> 'cascade') p WHERE x.item ->> 'by' = zanith._called(p.list, p.item)
                                              AND (NOT d ? 'column' OR zanith._partner_owner(d, p.item ->> 'table') IS NOT NULL))) n,
                         LATERAL zanith._needed_objects(d -> 'needs', n.called) o
                    UNION ALL
                    SELECT format('column %I', g.item ->> 'name'), zanith._find_third_code(o.classes, o.objects, h.now)
                    FROM zanith._each(d #> '{cascade,columns}') g, LATERAL (SELECT DISTINCT x.item ->> 'by' AS called FROM zanith._each(g.item -> 'needs') x) n,
                         LATERAL zanith._needed_objects(g.item -> 'needs', n.called) o
                    UNION ALL
                    SELECT t.label, zanith._find_acting_call(t.expression) FROM (
                        SELECT * FROM zanith._texts_of_parts(d)
                        UNION ALL SELECT zanith._label(zanith._called(p.list, p.item)), zanith._text_of_acting_part(p.item) FROM zanith._acting_parts(d -> 'cascade') p
                                  WHERE zanith._partner_owner(d, p.item ->> 'table') IS NULL) t
                    WHERE d ? 'column' AND t.expression IS NOT NULL) q
                  WHERE q.code IS NOT NULL ORDER BY q.label, q.code) c), '[]');
        found := found || COALESCE((
            SELECT zanith._code_conflict(format('the type %s', d #>> '{column,type}'), c.code, h.was, h.now)
            FROM (SELECT zanith._find_third_code(ARRAY['pg_type'::regclass::oid], ARRAY[t.oid::oid], h.now) FROM (SELECT CASE WHEN zanith._type_exists(d #>> '{column,type}') THEN to_regtype(d #>> '{column,type}') END) t(oid)) c(code)
            WHERE d ? 'column' AND c.code IS NOT NULL), '[]');
    END LOOP;
    RETURN found || COALESCE((
        SELECT jsonb_agg(zanith._code_conflict(zanith._relation_name(x.relation), c.code, x.was, x.now) -> 0 ORDER BY x.relation)
        FROM zanith._handed_over(d, live) x,
             LATERAL zanith._third_code_of_table(x.relation, x.now, d ? 'members' OR COALESCE((choices ->> 'fire_triggers')::boolean, false)) c(code)
        WHERE c.code IS NOT NULL), '[]') || zanith._find_replaced(d);
END $$;

CREATE OR REPLACE FUNCTION zanith._code_conflict(part text, code text, was text, now text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._conflict('code_of_another', format('what %I wrote would run as %I, whose table it is now: %s calls %s', was, now, part, code),
        format('Give the function to %I too (ALTER FUNCTION … OWNER TO %I), or give the table back to %I for the length of the restore.', now, now, was))
$$;

-- Conflicts: another table, of another role, that bears the name of one on which something comes back; and code of a third role that would come
-- back on a table which changed hands.
CREATE OR REPLACE FUNCTION zanith._find_replaced(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg((CASE WHEN o.replaced THEN zanith._without_it(zanith._conflict('table_of_another', format('%s is another table by now, and belongs to %I; it belonged to %I', t.name, o.owner, t.owner),
                format('Nothing that %I recorded comes back on a table of another role. Rename that table for the length of the restore, or give it to %I.', t.owner, t.owner)), l.labels)
            ELSE zanith._without_it(zanith._code_conflict(l.part, l.code, t.owner, o.owner), l.labels) END) -> 0 ORDER BY t.name, l.part), '[]')
    FROM (SELECT zanith._qualify(p.item ->> 'schema', p.item ->> 'name') AS name, p.item ->> 'owner' AS owner, (p.item ->> 'oid')::oid AS oid FROM zanith._each(d -> 'partners') p
          UNION ALL
          SELECT zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}'), d #>> '{table,owner}', (d #>> '{table,oid}')::oid WHERE d ->> 'strategy' = 'archive_column') t,
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
-- by name would be one on another's table.
CREATE OR REPLACE FUNCTION zanith.pin_schemas(artifact_id text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
BEGIN
    IF zanith._is_superuser(current_user) THEN
        PERFORM FROM pg_namespace n WHERE n.nspname IN (
            SELECT a.physical_schema UNION SELECT a.source_schema UNION SELECT m.item ->> 'schema' FROM zanith._each(a.definition -> 'members') m
            UNION SELECT t.item ->> 'schema' FROM zanith._each(a.definition -> 'tree') t UNION SELECT p.item ->> 'schema' FROM zanith._each(a.definition -> 'partners') p)
        ORDER BY n.oid FOR SHARE;
    END IF;
END $$;

-- Whoever reads what is parked plans a query on it. Raises where a table of it changed hands and calls code of a third role.
CREATE OR REPLACE FUNCTION zanith._check_handed_over(d jsonb, root oid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    h record;
BEGIN
    SELECT x.was, x.now, zanith._relation_name(x.relation) AS name, c.code INTO h
    FROM zanith._handed_over(d, root) x, LATERAL zanith._third_code_of_table(x.relation, x.now, false) c(code) WHERE c.code IS NOT NULL LIMIT 1;
    IF FOUND THEN
        PERFORM zanith._refuse(format('what %I wrote would run as %I, whose table %s is now', h.was, h.now, h.name),
            format('Give the function to %I too (ALTER FUNCTION … OWNER TO %I), or give the table back to %I.', h.now, h.now, h.was), '42501', format('It calls %s.', h.code));
    END IF;
END $$;

-- A script is no plan: what it does on other tables runs as whoever owned them at the capture. Adding a foreign key reads no row and runs as whoever runs
-- the script, who has to be told where it would be a table of another role.
CREATE OR REPLACE FUNCTION zanith._script_partners(d jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(format(E'-- Nothing comes back on a table that took the name of another, and belongs to another role.\n%s;\n', zanith._do(format(
        E'DECLARE given pg_catalog.text; BEGIN\n'
        '    SELECT pg_catalog.format(''%%s is another table by now, and belongs to %%I; it belonged to %%I'', c.oid::pg_catalog.regclass, r.rolname, t.owner) INTO given\n'
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
