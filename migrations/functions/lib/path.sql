-- The search path of an owner's code: what an owner's functions find where their bodies name things without a schema.
--
-- Everything of ours runs under 'pg_catalog, pg_temp'. A statement that evaluates an owner's code runs as the owner
-- under the path that was recorded at the capture, pg_catalog first, so that text which was printed under pg_catalog
-- reads the same.

-- The names in a search_path, as PostgreSQL reads them; NULL where it would refuse the text.
CREATE OR REPLACE FUNCTION zanith._path_names(path text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF path IS NULL OR path !~ '^\s*$' AND path !~ '^\s*("([^"]|"")*"|[^\s,"]+)\s*(,\s*("([^"]|"")*"|[^\s,"]+)\s*)*$' THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(
        SELECT CASE WHEN starts_with(m.name[1], '"') THEN replace(substr(m.name[1], 2, length(m.name[1]) - 2), '""', '"') ELSE lower(m.name[1]) END
        FROM regexp_matches(path, '("(?:[^"]|"")*"|[^\s,"]+)', 'g') WITH ORDINALITY m(name, ord) ORDER BY m.ord);
END $$;

-- What search_path is for a role in this database where nobody sets it in the session.
CREATE OR REPLACE FUNCTION zanith._configured_path(role_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found text;
BEGIN
    SELECT substr(c.setting, length('search_path=') + 1) INTO found
    FROM pg_db_role_setting s, unnest(s.setconfig) c(setting)
    WHERE starts_with(c.setting, 'search_path=')
      AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()))
      AND s.setrole IN (0, to_regrole(quote_ident(role_name))::oid)
    ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1;
    IF found IS NULL AND has_function_privilege('pg_catalog.pg_show_all_file_settings()', 'EXECUTE') THEN
        SELECT f.setting INTO found FROM pg_file_settings f WHERE f.name = 'search_path' AND f.applied ORDER BY f.seqno DESC LIMIT 1;
    END IF;
    RETURN COALESCE(found, (SELECT s.boot_val FROM pg_settings s WHERE s.name = 'search_path'));
END $$;

-- The schemas of the path under which an owner's code runs: those that were chosen, else recorded, else configured for
-- the owner.
CREATE OR REPLACE FUNCTION zanith._owner_schemas(d jsonb, choices jsonb DEFAULT '{}') RETURNS text[]
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT array_remove(array_remove(zanith._path_names(
        COALESCE(choices ->> 'search_path', d ->> 'search_path', zanith._configured_path(d #>> '{table,owner}'))), 'pg_catalog'), 'pg_temp')
); END $$;

-- Whether somebody other than this role and superusers can create something in one of the schemas.
CREATE OR REPLACE FUNCTION zanith._others_create_in(schemas text[]) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (
    SELECT FROM pg_namespace s, LATERAL (SELECT s.nspowner UNION ALL SELECT x.grantee FROM aclexplode(s.nspacl) x WHERE x.privilege_type = 'CREATE') o(role)
    WHERE s.nspname = ANY (schemas)
      -- pg_database_owner is the owner of the database
      AND NOT EXISTS (SELECT FROM pg_database b, LATERAL (SELECT CASE WHEN o.role = 'pg_database_owner'::regrole THEN b.datdba ELSE o.role END) w(oid) JOIN pg_roles r ON r.oid = w.oid
                      WHERE b.datname = current_database() AND (r.rolsuper OR r.rolname = current_user))
); END $$;

-- A definition with the owner that its table has now, and the owners of its descendants. The recorded path is the former owner's.
-- Grants follow the owner, as in ALTER TABLE … OWNER TO. A dependent keeps its owner and its grants: it was nobody's to give away.
CREATE OR REPLACE FUNCTION zanith._with_owner(d jsonb, owner text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    was text := d #>> '{table,owner}';
BEGIN
    IF owner IS NULL THEN
        RETURN d;
    END IF;
    IF jsonb_array_length(COALESCE(d -> 'tree', '[]')) > 0 THEN
        d := d || jsonb_build_object('tree', (
            SELECT jsonb_agg(zanith._given_to(t.item, t.item ->> 'owner', o.now) || jsonb_build_object('owner', o.now) ORDER BY t.ord)
            FROM zanith._each(d -> 'tree') t, LATERAL (SELECT COALESCE(zanith._owner_of_table(t.item), t.item ->> 'owner')) o(now)));
    END IF;
    IF jsonb_array_length(COALESCE(d #> '{cascade,columns}', '[]')) > 0 THEN -- a generated column belongs to its table's owner
        d := jsonb_set(d, '{cascade,columns}', (
            SELECT jsonb_agg(zanith._with_owner(g.item, CASE WHEN g.item #> '{table,schema}' = d #> '{table,schema}' AND g.item #> '{table,name}' = d #> '{table,name}' THEN owner
                                                             ELSE zanith._owner_of_table(g.item -> 'table') END) ORDER BY g.ord) FROM zanith._each(d #> '{cascade,columns}') g));
    END IF;
    IF owner = was THEN
        RETURN d;
    END IF;
    RETURN jsonb_set(zanith._given_to(d - ARRAY['search_path', 'tree', 'members'], was, owner), '{table,owner}', to_jsonb(owner))
        || (SELECT COALESCE(jsonb_object_agg(k.key, k.value), '{}') FROM jsonb_each(d) k WHERE k.key IN ('tree', 'members'));
END $$;

-- The same of a table that was moved: its owner and those of its partitions, as they are parked now.
CREATE OR REPLACE FUNCTION zanith._with_owners_now(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    members jsonb;
BEGIN
    SELECT jsonb_agg(jsonb_set(zanith._given_to(m.item, m.item #>> '{definition,owner}', o.now), '{definition,owner}', to_jsonb(o.now)) ORDER BY m.ord) INTO members
    FROM zanith._each(d -> 'members') m, LATERAL (SELECT COALESCE(
        zanith._owner_of_table(jsonb_build_object('schema', m.item -> 'parked_schema', 'name', m.item -> 'parked')),
        zanith._owner_of_table(m.item), m.item #>> '{definition,owner}')) o(now);
    RETURN zanith._with_owner(d - 'search_path', members #>> '{0,definition,owner}') || jsonb_build_object('members', members);
END $$;

-- A description in which the grants of one role, and the sequences that belong to it, are another's. What depends on the table and what
-- refers to it may belong to anybody: a routine or a view that got another owner would run as that one.
CREATE OR REPLACE FUNCTION zanith._given_to(value jsonb, was text, now text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN CASE jsonb_typeof(value)
    WHEN 'object' THEN (SELECT COALESCE(jsonb_object_agg(v.key, CASE
                            WHEN v.key IN ('cascade', 'publications', 'references') THEN v.value
                            WHEN v.key IN ('grantee', 'grantor') AND v.value #>> '{}' = was THEN to_jsonb(now)
                            WHEN v.key IN ('sequences', 'statistics') AND jsonb_typeof(v.value) = 'array' THEN (
                                SELECT zanith._list(zanith._given_to(x.item, was, now) || CASE WHEN x.item ->> 'owner' = was THEN jsonb_build_object('owner', now) ELSE '{}' END ORDER BY x.ord)
                                FROM zanith._each(v.value) x)
                            ELSE zanith._given_to(v.value, was, now) END), '{}') FROM jsonb_each(value) v)
    WHEN 'array' THEN (SELECT zanith._list(zanith._given_to(v.item, was, now) ORDER BY v.ord) FROM zanith._each(value) v)
    ELSE value END;
END $$;

CREATE OR REPLACE FUNCTION zanith._owner_path(d jsonb, choices jsonb DEFAULT '{}') RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT string_agg(CASE WHEN n.name = '' THEN '""' ELSE quote_ident(n.name) END, ', ' ORDER BY n.ord)
    FROM unnest(ARRAY['pg_catalog'] || zanith._owner_schemas(d, choices) || ARRAY['pg_temp']) WITH ORDINALITY n(name, ord)
); END $$;

-- The path of everything that is ours.
CREATE OR REPLACE FUNCTION zanith._fixed_path() RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT 'pg_catalog, pg_temp' $$;

-- A path as SET … TO takes it in the clause of a function: there each name is a literal.
CREATE OR REPLACE FUNCTION zanith._path_literals(path text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(quote_literal(n.name), ', ' ORDER BY n.ord) FROM unnest(zanith._path_names(path)) WITH ORDINALITY n(name, ord)
); END $$;

-- The path under which a relation is read as a role: the owner's where the planner evaluates code that finds names by it, else NULL,
-- which is ours. No role is the operator, who reads under no path that somebody else recorded.
CREATE OR REPLACE FUNCTION zanith._reading_path(relation oid, d jsonb, role_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN (role_name IS NOT NULL OR zanith._runner(d #>> '{table,owner}') IS NULL AND NOT zanith._is_mixed(d) AND NOT pg_is_in_recovery())
                 AND EXISTS (SELECT FROM zanith._find_code(p.classes, p.objects)) THEN zanith._owner_path(d) END
    FROM (SELECT array_agg(r.class) AS classes, array_agg(r.object) AS objects FROM zanith._read_parts(relation) r) p
); END $$;

-- Routines that objects call, directly or through operators, operator classes, domains and views, and whose bodies find
-- names by the search path: not PostgreSQL's own, not in C, and without a search_path of their own. What these call
-- runs under theirs. `every`: those with a search_path of their own too.
CREATE OR REPLACE FUNCTION zanith._find_code(classes oid[], objects oid[], every boolean DEFAULT false) RETURNS TABLE (routine oid)
LANGUAGE sql STABLE ROWS 2 AS $$
    SELECT p.oid FROM zanith._reach(classes, objects) r JOIN pg_proc p ON r.class = 'pg_proc'::regclass AND p.oid = r.object
    JOIN pg_namespace n ON n.oid = p.pronamespace AND n.nspname <> 'pg_catalog' AND n.nspname <> 'zanith'
    JOIN pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('internal', 'c')
    WHERE p.prokind <> 'a' AND (every OR NOT EXISTS (SELECT FROM unnest(p.proconfig) c(setting) WHERE starts_with(c.setting, 'search_path=')))
$$;

-- Objects, and all that evaluating them reaches: routines, operators, types with their checks, views. A script has this text too: it calls
-- nothing of ours.
CREATE OR REPLACE FUNCTION zanith._reach_further(classes oid[], objects oid[]) RETURNS TABLE (class oid, object oid)
LANGUAGE sql STABLE ROWS 5 AS $$
    WITH RECURSIVE reached(class, object) AS (
        SELECT DISTINCT o.class, o.object FROM unnest(classes, objects) o(class, object)
        UNION
        SELECT n.class, n.object FROM reached r, LATERAL (
            SELECT d.refclassid, d.refobjid FROM pg_depend d
            LEFT JOIN pg_class c ON d.refclassid = 'pg_class'::regclass AND c.oid = d.refobjid
            WHERE d.classid = r.class AND d.objid = r.object
              AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_type'::regclass, 'pg_class'::regclass)
              AND (c.oid IS NULL OR c.relkind IN ('v', 'm'))
              -- of a function only what is no body of text is known
              AND (r.class <> 'pg_proc'::regclass OR EXISTS (SELECT FROM pg_proc p WHERE p.oid = r.object AND (p.prokind = 'a' OR p.prosqlbody IS NOT NULL)))
            UNION ALL
            SELECT 'pg_rewrite'::regclass, w.oid FROM pg_rewrite w JOIN pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')
            WHERE r.class = 'pg_class'::regclass AND w.ev_class = r.object
            UNION ALL
            -- a literal of a composite type is one of the types of its columns
            SELECT 'pg_type'::regclass, a.atttypid FROM pg_type t JOIN pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384
            WHERE r.class = 'pg_type'::regclass AND t.oid = r.object AND t.typrelid <> 0
            UNION ALL
            SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint c WHERE r.class = 'pg_type'::regclass AND c.contypid = r.object
            UNION ALL
            SELECT 'pg_proc'::regclass, p.amproc FROM pg_amproc p WHERE r.class = 'pg_opfamily'::regclass AND p.amprocfamily = r.object
            UNION ALL
            SELECT 'pg_operator'::regclass, p.amopopr FROM pg_amop p WHERE r.class = 'pg_opfamily'::regclass AND p.amopfamily = r.object) n(class, object)
    )
    SELECT r.class, r.object FROM reached r
$$;

-- The same. Most objects call only built-in functions, which pg_depend does not list: then these objects are the result, without the search.
CREATE OR REPLACE FUNCTION zanith._reach(classes oid[], objects oid[]) RETURNS TABLE (class oid, object oid)
LANGUAGE plpgsql STABLE ROWS 5 AS $$ BEGIN
    IF NOT EXISTS (
        SELECT FROM unnest(classes, objects) o(class, object)
        WHERE o.class = 'pg_type'::regclass AND o.object >= 16384 OR o.class IN ('pg_opfamily'::regclass, 'pg_rewrite'::regclass)
           OR o.class = 'pg_class'::regclass AND (SELECT c.relkind FROM pg_class c WHERE c.oid = o.object) IN ('v', 'm')
           OR (SELECT bool_or(CASE WHEN d.refclassid = 'pg_class'::regclass THEN (SELECT c.relkind FROM pg_class c WHERE c.oid = d.refobjid) IN ('v', 'm')
                                   ELSE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_opclass'::regclass, 'pg_opfamily'::regclass, 'pg_type'::regclass) END)
               FROM pg_depend d WHERE d.classid = o.class AND d.objid = o.object)) THEN
        RETURN QUERY SELECT DISTINCT o.class, o.object FROM unnest(classes, objects) o(class, object);
    ELSE
        RETURN QUERY SELECT f.class, f.object FROM zanith._reach_further(classes, objects) f;
    END IF;
END $$;

-- What the indexes of a table and of its descendants call.
CREATE OR REPLACE FUNCTION zanith._code_of_indexes(relation oid) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 2 AS $$ BEGIN RETURN QUERY
    SELECT f.routine FROM (SELECT array_agg('pg_class'::regclass::oid) AS classes, array_agg(i.indexrelid) AS objects
        FROM zanith._family(relation) m JOIN pg_index i ON i.indrelid = m.member) o, LATERAL zanith._find_code(o.classes, o.objects) f;
END $$;

-- What writing a row of a table calls: expressions of its indexes, checks, generated columns, domains and partition
-- key; with `triggers`, these too.
CREATE OR REPLACE FUNCTION zanith._code_of_table(relation oid, triggers boolean) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 2 AS $$ BEGIN RETURN QUERY
    SELECT f.routine FROM (
        SELECT array_agg(x.class) AS classes, array_agg(x.object) AS objects
        FROM zanith._family(relation) m, LATERAL (
            SELECT 'pg_class'::regclass::oid, i.indexrelid FROM pg_index i WHERE i.indrelid = m.member
            UNION ALL SELECT 'pg_class'::regclass, m.member
            UNION ALL SELECT 'pg_constraint'::regclass, c.oid FROM pg_constraint c WHERE c.conrelid = m.member AND c.contype = ANY (zanith._letters_of('code'))
            UNION ALL SELECT 'pg_attrdef'::regclass, f.oid FROM pg_attrdef f WHERE f.adrelid = m.member
            UNION ALL SELECT 'pg_trigger'::regclass, g.oid FROM pg_trigger g WHERE triggers AND g.tgrelid = m.member AND NOT g.tgisinternal AND NOT starts_with(g.tgname, '~zanith_')) x(class, object)) o,
        LATERAL zanith._find_code(o.classes, o.objects) f;
END $$;

-- What recorded parts call, by what they are called in `needs`; all of them where `parts` is NULL.
CREATE OR REPLACE FUNCTION zanith._code_of_parts(d jsonb, parts jsonb DEFAULT NULL, every boolean DEFAULT false) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 2 AS $$
DECLARE
    n jsonb;
    address record;
    classes oid[] := '{}';
    objects oid[] := '{}';
BEGIN
    FOR n IN SELECT x.item FROM (SELECT d -> 'needs' UNION ALL SELECT g.item -> 'needs' FROM zanith._each(d #> '{cascade,columns}') g) l(list),
             LATERAL zanith._each(l.list) x
             WHERE (parts IS NULL OR parts ? (x.item ->> 'by')) AND x.item #>> '{names,0}' <> 'pg_catalog'
               AND x.item ->> 'type' IN ('function', 'aggregate', 'procedure', 'routine', 'operator', 'operator class', 'operator family', 'type', 'view', 'materialized view', 'view column', 'materialized view column') LOOP
        SELECT a.classid, a.objid INTO address FROM zanith._object_at(n ->> 'type',
            ARRAY(SELECT jsonb_array_elements_text(n -> 'names')), ARRAY(SELECT jsonb_array_elements_text(n -> 'args'))) a;
        IF address.objid IS NOT NULL THEN -- that it is gone is a conflict
            classes := classes || address.classid;
            objects := objects || address.objid;
        END IF;
    END LOOP;
    RETURN QUERY SELECT f.routine FROM zanith._find_code(classes, objects, every) f;
END $$;

-- Whether the steps of a restore run code of an owner that finds names by the search path.
CREATE OR REPLACE FUNCTION zanith._runs_code(d jsonb, live oid, choices jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    parent oid := zanith._relation_oid(d #>> '{members,0,definition,partition_of,schema}', d #>> '{members,0,definition,partition_of,name}');
BEGIN
    RETURN EXISTS (SELECT FROM zanith._code_of_parts(d))
        OR live IS NOT NULL AND EXISTS (SELECT FROM zanith._code_of_table(live, COALESCE((choices ->> 'online')::boolean, false)))
        OR parent IS NOT NULL AND EXISTS (SELECT FROM zanith._code_of_table(parent, false));
END $$;

-- Steps that build an index or a materialized view of recorded parts, by what these are called in `needs`; `rebuilds`:
-- every index of the table is built anew. `owner`: who may run them, where that is not the owner of the table. `what`:
-- the index or the view.
CREATE OR REPLACE FUNCTION zanith._building(parts text[], steps jsonb, rebuilds boolean DEFAULT false, owner text DEFAULT NULL, what jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item || jsonb_build_object('builds', jsonb_build_object('parts', to_jsonb(parts), 'rebuilds', rebuilds, 'owner', owner, 'what', what))
                              ORDER BY s.ord) FROM zanith._each(steps) s
); END $$;

-- A step that may write the table anew, and with it all its indexes.
CREATE OR REPLACE FUNCTION zanith._building_anew(anew boolean, steps jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN anew THEN zanith._building(NULL, steps, true) ELSE steps END $$;

-- PostgreSQL does not write a table with user_catalog_table anew, and creates no function or rule with ON CONFLICT on it. The option is off from
-- the first step after the locks to the end of the transaction that may do one of these.
CREATE OR REPLACE FUNCTION zanith._without_catalog_mark(steps jsonb, d jsonb, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    marks jsonb;
BEGIN
    SELECT zanith._list(jsonb_build_object('name', zanith._relation_name(c.oid), 'value', o.option_value, 'role', zanith._runner(pg_get_userbyid(c.relowner)), 'back', COALESCE((
               -- a parked table has its own name again by then
               SELECT zanith._qualify(x.item ->> 'schema', CASE x.ord WHEN 1 THEN COALESCE(choices ->> 'as', x.item ->> 'name') ELSE x.item ->> 'name' END) FROM zanith._each(d -> 'members') x
               WHERE x.item ->> 'parked_schema' = n.nspname AND x.item ->> 'parked' = c.relname), zanith._relation_name(c.oid))) ORDER BY c.oid)
    INTO marks FROM zanith._family(live) m JOIN pg_class c ON c.oid = m.member JOIN pg_namespace n ON n.oid = c.relnamespace, LATERAL pg_options_to_table(c.reloptions) o
    WHERE o.option_name = 'user_catalog_table';
    IF marks = '[]' THEN
        RETURN steps;
    END IF;
    RETURN (
        WITH spans AS (
            SELECT (x.item ->> 'transaction')::integer AS transaction, min(x.ord) FILTER (WHERE NOT starts_with(x.item ->> 'sql', 'LOCK TABLE')) AS first, max(x.ord) AS last
            FROM zanith._each(steps) x GROUP BY 1
            HAVING bool_or((x.item #>> '{builds,rebuilds}')::boolean) OR (x.item ->> 'transaction')::integer = 1 AND (d #> '{cascade,functions,0}' IS NOT NULL OR d #> '{cascade,rules,0}' IS NOT NULL))
        SELECT zanith._list(y.item ORDER BY y.ord, y.place, y.number) FROM (
            SELECT x.item, x.ord, 2 AS place, 0::bigint AS number FROM zanith._each(steps) x
            UNION ALL
            SELECT s.item || jsonb_build_object('role', t.item -> 'role', 'transaction', a.transaction), a.ord, a.place, t.ord
            FROM zanith._each(marks) t, LATERAL (
                     SELECT transaction, first, 1, t.item ->> 'name', format('ALTER TABLE %s RESET (user_catalog_table)', t.item ->> 'name') FROM spans
                     UNION ALL
                     SELECT transaction, last, 3, t.item ->> 'back', format('ALTER TABLE %s SET (user_catalog_table = %L)', t.item ->> 'back', t.item ->> 'value') FROM spans) a(transaction, ord, place, name, sql),
                 LATERAL zanith._each(zanith._step(a.sql, CASE a.place WHEN 1 THEN 'Reset user_catalog_table: PostgreSQL does not rewrite such a table' ELSE 'Set user_catalog_table again' END,
                     'ACCESS EXCLUSIVE', ARRAY[a.name])) s) y);
END $$;

-- Who may run a step that builds an index: the owner, who needs CREATE on the schema for that; NULL where it has to be
-- the operator.
CREATE OR REPLACE FUNCTION zanith._builder(step jsonb, d jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(step #>> '{builds,owner}', CASE WHEN NOT zanith._is_mixed(d) THEN (
        SELECT o.rolname FROM pg_class c JOIN pg_roles o ON o.rolname = d #>> '{table,owner}'
        WHERE c.oid = to_regclass(step -> 'tables' ->> 0) AND has_schema_privilege(o.oid, c.relnamespace, 'CREATE')) END)
); END $$;

-- Gives the steps that evaluate code of an owner its path, and the owner as the role that runs them. Where PostgreSQL ignores
-- the path of the session, or the operator has to run the step, the functions themselves have it for the length of the
-- step.
CREATE OR REPLACE FUNCTION zanith._under_paths(steps jsonb, d jsonb, live oid, choices jsonb, in_script boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    path text := zanith._owner_path(d, choices);
    -- nobody else's code runs as the operator under a path of theirs
    trusted boolean := zanith._runner(d #>> '{table,owner}') IS NULL AND NOT zanith._is_mixed(d);
    ignored boolean := current_setting('server_version_num')::integer >= 170000;
    done jsonb[] := '{}';
    s jsonb;
    code oid[];
BEGIN
    steps := zanith._without_catalog_mark(steps, d, COALESCE(live, (d #>> '{table,oid}')::oid), choices);
    IF NOT in_script AND NOT zanith._runs_code(d, live, choices) THEN
        RETURN zanith._under_event_paths((SELECT zanith._list(x.item - 'builds' ORDER BY x.ord) FROM zanith._each(steps) x), path, in_script);
    END IF;
    FOR s IN SELECT x.item FROM zanith._each(steps) x ORDER BY x.ord LOOP
        code := '{}';
        IF s ? 'builds' THEN
            code := zanith._code_of_step(s, d, live);
            IF cardinality(code) > 0 AND s ->> 'role' IS NULL AND NOT ignored THEN
                s := s || jsonb_build_object('role', zanith._runner(zanith._builder(s, d)));
            END IF;
        END IF;
        IF (s ->> 'grows')::boolean AND (s ->> 'role' IS NOT NULL OR trusted AND NOT starts_with(s ->> 'sql', 'SELECT * FROM zanith.')) OR s ? 'builds' AND s ->> 'role' IS NOT NULL THEN
            IF NOT COALESCE((s ->> 'concurrently')::boolean, false) THEN
                s := s || jsonb_build_object('path', path);
            END IF;
        END IF;
        IF code = '{}' AND NOT s ? 'builds' THEN
            done := done || jsonb_build_array(s);
        ELSIF ignored OR s ->> 'path' IS NULL THEN
            done := done || zanith._render_function_paths(code, d, choices, in_script, true, s) || jsonb_build_array(s - 'builds')
                || zanith._render_comparisons(s, d, live, path, true) || zanith._render_function_paths(code, d, choices, in_script, false, s);
        ELSE
            done := done || jsonb_build_array(s - 'builds') || zanith._render_comparisons(s, d, live, path, false);
        END IF;
    END LOOP;
    RETURN zanith._under_event_paths((SELECT zanith._list(x.item ORDER BY l.ord, x.ord) FROM unnest(done) WITH ORDINALITY l(steps, ord), LATERAL zanith._each(l.steps) x), path, in_script);
END $$;

-- What follows a step that builds something: a comparison of what was built, as the owner and under the path.
-- `elsewhere`: it was built under another path.
CREATE OR REPLACE FUNCTION zanith._render_comparisons(step jsonb, d jsonb, live oid, path text, elsewhere boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    code oid[];
    what jsonb := step #> '{builds,what}';
    owner text := COALESCE(step #>> '{builds,owner}', d #>> '{table,owner}');
    checks jsonb := '[]';
BEGIN
    IF NOT step ? 'builds' OR zanith._is_mixed(d) THEN
        RETURN '[]';
    END IF;
    IF step #> '{builds,parts}' <> 'null' THEN
        code := ARRAY(SELECT c.routine FROM zanith._code_of_parts(d, step #> '{builds,parts}', true) c(routine));
        checks := CASE WHEN what ? 'view' THEN zanith._render_view_check(what ->> 'view', what ->> 'definition', code)
                       WHEN what ? 'index' THEN zanith._render_index_check(what -> 'index', what ->> 'target', code, elsewhere, d -> 'key') ELSE '[]' END;
    END IF;
    IF (step #>> '{builds,rebuilds}')::boolean AND elsewhere THEN
        checks := checks || (
            SELECT zanith._list(c.item ORDER BY i.indexrelid, c.ord)
            FROM zanith._family(live) m JOIN pg_index i ON i.indrelid = m.member AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL) AND i.indisvalid
            JOIN pg_class t ON t.oid = i.indrelid AND t.relkind = 'r',
                 LATERAL (SELECT ARRAY(SELECT f.routine FROM zanith._find_code(ARRAY['pg_class'::regclass::oid], ARRAY[i.indexrelid], true) f)) x(code),
                 LATERAL zanith._each(zanith._render_index_check(zanith._describe_index(i.indexrelid), zanith._relation_name(i.indrelid), x.code, true, NULL)) c);
    END IF;
    RETURN (SELECT zanith._mark(checks, jsonb_build_object('role', zanith._runner(owner), 'path', path, 'transaction', step -> 'transaction')));
END $$;

-- What a step calls that builds something.
CREATE OR REPLACE FUNCTION zanith._code_of_step(step jsonb, d jsonb, live oid) RETURNS oid[]
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN ARRAY(
    SELECT c.routine FROM zanith._code_of_parts(d, step #> '{builds,parts}') c(routine) WHERE step #> '{builds,parts}' <> 'null'
    UNION
    SELECT i.routine FROM zanith._code_of_indexes(live) i(routine) WHERE (step #>> '{builds,rebuilds}')::boolean
    ORDER BY 1
); END $$;

-- Whose function it is that gets a path, and who can give it one: `runner` NULL is the operator. None for one that
-- belongs to an extension, or to a role that the operator may not act as. A script is run by the owner of the table or
-- by a superuser.
CREATE OR REPLACE FUNCTION zanith._path_takers(code oid[], d jsonb, in_script boolean)
RETURNS TABLE (routine oid, name text, runner text, able boolean, why text) LANGUAGE sql STABLE AS $$
    SELECT p.oid, p.oid::regprocedure::text, zanith._runner(o.rolname),
           NOT e.extended AND (o.rolname = d #>> '{table,owner}' OR o.rolsuper AND (in_script OR u.rolsuper) OR NOT in_script AND NOT o.rolsuper AND pg_has_role(o.oid, 'USAGE')),
           CASE WHEN e.extended THEN 'belongs to an extension' ELSE format('belongs to %I', o.rolname) END
    FROM pg_proc p JOIN pg_roles o ON o.oid = p.proowner JOIN pg_roles u ON u.rolname = current_user,
         LATERAL (SELECT EXISTS (SELECT FROM pg_depend x WHERE x.classid = 'pg_proc'::regclass AND x.objid = p.oid AND x.deptype = 'e')) e(extended)
    WHERE p.oid = ANY (code)
$$;

-- The functions that a step calls get the path for its length, and lose it after it, in the same transaction: nobody
-- else sees it.
CREATE OR REPLACE FUNCTION zanith._render_function_paths(code oid[], d jsonb, choices jsonb, in_script boolean, back boolean, step jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item || jsonb_build_object('role', f.runner, 'transaction', step -> 'transaction') ORDER BY f.name)
    FROM zanith._path_takers(code, d, in_script) f,
         LATERAL (SELECT CASE WHEN back THEN format('ALTER FUNCTION %s SET search_path TO %s', f.name, zanith._path_literals(zanith._owner_path(d, choices)))
                         ELSE format('ALTER FUNCTION %s RESET search_path', f.name) END) a(sql),
         LATERAL zanith._each(zanith._step(
            -- only a superuser can change a superuser's
            CASE WHEN in_script AND f.runner IS NULL AND zanith._runner(d #>> '{table,owner}') IS NOT NULL
                 THEN zanith._do(format('BEGIN IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN EXECUTE %L; END IF; END', a.sql))
                 ELSE a.sql END,
            CASE WHEN NOT back THEN format('Reset the search path of %s', f.name)
                 WHEN current_setting('server_version_num')::integer >= 170000
                 THEN format('Set the search path of %s: PostgreSQL 17 and later ignore the search path while they build an index or a materialized view', f.name)
                 ELSE format('Set the search path of %s: the owner of the table may not build the index', f.name) END)) s
    WHERE f.able
); END $$;

-- Checks that call code of the owner's do so under its path; those of a superuser's table too.
CREATE OR REPLACE FUNCTION zanith._checks_under_path(path text, d jsonb, checks jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(c.item || jsonb_build_object('path', CASE WHEN c.item ->> 'role' IS NOT NULL OR NOT zanith._is_mixed(d) THEN path END) ORDER BY c.ord)
    FROM zanith._each(checks) c
); END $$;

-- The path that batches run under. The owner is that of the table as it is now.
CREATE OR REPLACE FUNCTION zanith.owner_path(artifact_id text, choices jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    owner text := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = zanith._relation_oid(a.source_schema, a.source_table));
BEGIN
    RETURN zanith._owner_path(zanith._with_owner(a.definition, owner), choices);
END $$;
