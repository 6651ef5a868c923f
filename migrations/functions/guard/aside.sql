-- Types, routines and sequences that parked objects need, and that a statement drops: they are moved to the shadow schema, and the restore moves
-- them back. And schemas: the restore creates them again.

-- Whether an object that a statement drops is parked, or is part of a parked table: {schema, names}, as _guard_list_dropped has them.
CREATE OR REPLACE FUNCTION zanith._guard_is_parked(dropped jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN COALESCE('_zanith_shadow' IN (dropped ->> 'schema', dropped #>> '{names,0}'), false)
    OR COALESCE(starts_with(dropped #>> '{names,0}', '_zanith_shadow.'), false)
    OR COALESCE(starts_with(dropped #>> '{names,2}', '_zanith_dropped_'), false)
    OR COALESCE(starts_with(dropped #>> '{names,1}', '_zanith_dropped_') AND zanith._guard_is_ours((
        SELECT s.stxrelid FROM pg_statistic_ext s WHERE s.stxname = dropped #>> '{names,1}' AND s.stxnamespace = to_regnamespace(quote_ident(dropped #>> '{names,0}')))), false)
    OR COALESCE(zanith._guard_is_ours(zanith._relation_oid(dropped #>> '{names,0}', dropped #>> '{names,1}')), false);
END $$;

-- Whether an object of a class, under its parked name, is in the shadow schema.
CREATE OR REPLACE FUNCTION zanith._is_aside(class text, parked text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    shadow oid := to_regnamespace('_zanith_shadow');
BEGIN
    RETURN CASE class WHEN 'pg_type' THEN EXISTS (SELECT FROM pg_type t WHERE t.typnamespace = shadow AND t.typname = parked)
                      WHEN 'pg_proc' THEN EXISTS (SELECT FROM pg_proc p WHERE p.pronamespace = shadow AND p.proname = parked)
                      ELSE EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = shadow AND c.relname = parked) END;
END $$;

-- What of a definition is still aside: {class, noun, schema, name, parked, owner}. An archive has its values as text, and a parked column has the base
-- type of its domain: where a new type has the name, that one serves.
CREATE OR REPLACE FUNCTION zanith._list_aside(d jsonb) RETURNS TABLE (item jsonb, ord bigint)
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT x.item, x.ord FROM zanith._each(d -> 'aside') x
    WHERE zanith._is_aside(x.item ->> 'class', x.item ->> 'parked')
      AND NOT ((d ->> 'strategy' = 'archive_column' OR d #>> '{column,base_type}' IS NOT NULL) AND x.item ->> 'class' = 'pg_type' AND zanith._type_exists(zanith._qualify(x.item ->> 'schema', x.item ->> 'name')))
$$;

CREATE OR REPLACE FUNCTION zanith._has_aside(d jsonb, of_class text, of_schema text, name text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (
    SELECT FROM zanith._each(d -> 'aside') x
    WHERE x.item ->> 'class' = of_class AND x.item ->> 'schema' = of_schema AND x.item ->> 'name' = _has_aside.name AND zanith._is_aside(of_class, x.item ->> 'parked')
); END $$;

-- Whether a type, as a definition names it, comes back from the shadow schema with the restore.
CREATE OR REPLACE FUNCTION zanith._type_comes_back(d jsonb, type text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (
    SELECT FROM zanith._list_aside(d) x, LATERAL (SELECT zanith._qualify(x.item ->> 'schema', x.item ->> 'name')) q(name)
    WHERE x.item ->> 'class' = 'pg_type' AND (type = q.name OR starts_with(type, q.name || '[') OR starts_with(type, q.name || '('))
); END $$;

-- Whether an artifact needs an object, by its oid: what it parked depends on the object, or it recorded a part that does. A name that somebody else
-- chose decides nothing.
CREATE OR REPLACE FUNCTION zanith._artifact_needs(a zanith._zanith_migration_artifacts, class text, object oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN
    EXISTS (SELECT FROM pg_depend d, LATERAL pg_identify_object_as_address(d.classid, d.objid, d.objsubid) i, LATERAL (SELECT i.object_names[1], i.object_names[2], i.object_names[3]) n(one, two, three)
            WHERE d.refclassid = class::regclass AND d.refobjid IN (object, (SELECT y.typarray FROM pg_type y WHERE class = 'pg_type' AND y.oid = object))
              AND (n.one = '_zanith_shadow' AND n.two ~ format('_%s(_[0-9]+)?$', a.id)
                   OR n.one = a.physical_schema AND n.two = a.physical_table AND (a.physical_column IS NULL OR n.three = a.physical_column)
                   OR EXISTS (SELECT FROM zanith._each(a.definition -> 'members') m WHERE n.one = m.item ->> 'parked_schema' AND n.two = m.item ->> 'parked')
                   -- only another object needs it which is aside
                   OR EXISTS (SELECT FROM zanith._each(a.definition -> 'aside') o
                              WHERE n.one = '_zanith_shadow' AND n.two = o.item ->> 'parked' OR n.one = zanith._qualify('_zanith_shadow', o.item ->> 'parked'))))
    OR a.definition ->> 'database' = zanith._database_identity() AND (
        a.definition -> 'needs' @> jsonb_build_array(jsonb_build_object('object', jsonb_build_object('class', class, 'oid', object)))
        OR class = 'pg_type' AND EXISTS (SELECT FROM zanith._each(zanith._describe_types((a.definition #>> '{kept,oid}')::oid)) t WHERE t.item ->> 'name' = format_type(object, NULL)));
END $$;

-- The objects among those that a statement drops which parked objects need, and which can be moved with all that belongs to them: [{class, oid,
-- noun, schema, name, named}]. A range has a multirange, which stays where it is.
CREATE OR REPLACE FUNCTION zanith._guard_needed(dropped jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN (
    SELECT zanith._list(o.named || jsonb_build_object('named', x.item -> 'named') ORDER BY x.ord DESC)
    FROM zanith._each(dropped) x, LATERAL (SELECT zanith._named(x.item ->> 'class', (x.item ->> 'oid')::oid, 0)) o(named)
    LEFT JOIN pg_type t ON o.named ->> 'class' = 'pg_type' AND t.oid = (o.named ->> 'oid')::oid LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE (x.item ->> 'attnum')::integer = 0 AND NOT (x.item ->> 'temporary')::boolean AND NOT zanith._guard_is_parked(x.item)
      AND CASE o.named ->> 'class' WHEN 'pg_type' THEN t.typtype IN ('e', 'd', 'c') AND COALESCE(c.relkind, 'c') = 'c'
                                   WHEN 'pg_proc' THEN NOT (x.item ->> 'named')::boolean
                                   WHEN 'pg_class' THEN o.named ->> 'noun' = 'SEQUENCE' AND NOT (x.item ->> 'named')::boolean ELSE false END
      AND NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = (o.named ->> 'class')::regclass AND e.objid = (o.named ->> 'oid')::oid AND e.deptype = 'e')
      AND (EXISTS (SELECT FROM pg_depend d, LATERAL pg_identify_object_as_address(d.classid, d.objid, d.objsubid) i
                   WHERE d.refclassid = (o.named ->> 'class')::regclass AND d.refobjid IN ((o.named ->> 'oid')::oid, t.typarray) AND d.deptype IN ('n', 'a')
                     AND zanith._guard_is_parked(jsonb_build_object('names', i.object_names)))
           OR EXISTS (SELECT FROM zanith._zanith_migration_artifacts r
                      WHERE t.oid IS NOT NULL AND r.status = 'recoverable'
                        AND (zanith._strategy_is(r.artifact_type, 'values') OR r.definition #>> '{column,base_type}' IS NOT NULL)
                        AND r.definition #> '{kept,types}' @> jsonb_build_array(jsonb_build_object('name', format_type(t.oid, NULL)))
                        AND zanith._artifact_needs(r, 'pg_type', t.oid) AND NOT zanith._has_aside(r.definition, 'pg_type', o.named ->> 'schema', o.named ->> 'name')))
); END $$;

-- Moves an object to the shadow schema under a parked name, and records that in each artifact that needs it. Its owner, and the owner of its schema,
-- may drop it; so they may do this. Returns the parked name.
CREATE OR REPLACE FUNCTION zanith._guard_move_aside(class text, object oid, proof uuid) RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    caller text := zanith._read_caller(proof);
    t jsonb := zanith._named(class, object, 0);
    said text := zanith._qualify(t ->> 'schema', t ->> 'name');
    parked text := zanith._parked_name(t ->> 'name', zanith._new_id());
    owner oid := (SELECT y.typowner FROM pg_type y WHERE class = 'pg_type' AND y.oid = object UNION ALL SELECT p.proowner FROM pg_proc p WHERE class = 'pg_proc' AND p.oid = object
                  UNION ALL SELECT c.relowner FROM pg_class c WHERE class = 'pg_class' AND c.oid = object AND c.relkind = 'S');
    argued text := COALESCE('(' || (t ->> 'arguments') || ')', '');
BEGIN
    IF owner IS NULL OR t ->> 'oid' <> object::text OR t ->> 'schema' IN ('zanith', '_zanith_shadow') OR NOT (
           pg_has_role(caller, owner, 'USAGE') OR pg_has_role(caller, (SELECT n.nspowner FROM pg_namespace n WHERE n.nspname = t ->> 'schema'), 'USAGE')) THEN
        PERFORM zanith._refuse(format('must be owner of %s', said), 'Run the statement as its owner.', '42501');
    END IF;
    -- event triggers that fire for this run as Zanith, in the caller's session
    PERFORM zanith._check_temporary();
    PERFORM zanith._execute(format('ALTER %s %s%s RENAME TO %I', t ->> 'noun', said, argued, parked), zanith._sandbox_event_path(current_user)),
            zanith._execute(format('ALTER %s %s%s SET SCHEMA _zanith_shadow', t ->> 'noun', zanith._qualify(t ->> 'schema', parked), argued), zanith._sandbox_event_path(current_user));
    IF zanith._named(class, object, 0) ->> 'name' <> parked OR zanith._named(class, object, 0) ->> 'schema' <> '_zanith_shadow' THEN
        PERFORM zanith._refuse(format('%s was changed while it was moved', said), 'Try again.', '55000');
    END IF;
    -- of an artifact whose object of this name is aside already, this is another one
    UPDATE zanith._zanith_migration_artifacts a
    SET definition = a.definition || jsonb_build_object('aside', jsonb_build_array(jsonb_build_object('class', class, 'noun', t ->> 'noun', 'schema', t ->> 'schema', 'name', t ->> 'name',
            'parked', parked, 'owner', pg_get_userbyid(owner)))
        || (SELECT zanith._list(o.item ORDER BY o.ord) FROM zanith._each(a.definition -> 'aside') o WHERE zanith._is_aside(o.item ->> 'class', o.item ->> 'parked')))
    WHERE a.status = 'recoverable' AND a.artifact_type <> 'rebuild_table' AND NOT zanith._has_aside(a.definition, class, t ->> 'schema', t ->> 'name')
      AND zanith._artifact_needs(a, class, object);
    IF NOT FOUND THEN
        PERFORM zanith._refuse(format('no artifact needs %s', said), 'Drop what depends on it first.', '2BP01');
    END IF;
    UPDATE zanith._zanith_migration_artifacts a SET recovery_sql = zanith._render_script(a.id)
    WHERE a.status = 'recoverable' AND a.definition -> 'aside' @> jsonb_build_array(jsonb_build_object('parked', parked));
    RETURN parked;
END $$;

-- Moves these aside. A type that the statement names finds an empty type of its name.
CREATE OR REPLACE FUNCTION zanith._guard_put_aside(needed jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    x jsonb;
    parked text;
    name text;
BEGIN
    FOR x IN SELECT n.item FROM zanith._each(needed) n ORDER BY n.ord LOOP
        name := zanith._qualify(x ->> 'schema', x ->> 'name');
        parked := zanith._guard_move_aside(x ->> 'class', (x ->> 'oid')::oid, zanith._prove_caller());
        IF (x ->> 'named')::boolean THEN
            EXECUTE format((SELECT CASE t.typtype WHEN 'd' THEN 'CREATE DOMAIN %s AS integer' WHEN 'c' THEN 'CREATE TYPE %s AS ()' ELSE 'CREATE TYPE %s AS ENUM ()' END
                            FROM pg_type t WHERE t.oid = (x ->> 'oid')::oid), name);
            PERFORM zanith._guard_expect(to_regtype(name)::oid, (-1)::smallint);
            PERFORM set_config('zanith.guard_left', 'on', true);
        END IF;
        PERFORM zanith._guard_say(format('%s %s is kept as _zanith_shadow.%I: artifacts need it', lower(x ->> 'noun'), name, parked));
    END LOOP;
END $$;

-- Records the schemas that a statement drops in each artifact that comes back to one of them: their owner and grants.
CREATE OR REPLACE FUNCTION zanith._guard_note_schemas(dropped jsonb, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    caller text := zanith._read_caller(proof);
    n record;
BEGIN
    FOR n IN SELECT s.nspname, jsonb_build_object('name', s.nspname, 'owner', pg_get_userbyid(s.nspowner), 'grants', zanith._describe_grants(s.nspacl, 'n', s.nspowner),
             'comment', obj_description(s.oid, 'pg_namespace')) AS home
             FROM zanith._each(dropped) x JOIN pg_namespace s ON x.item ->> 'class' = 'pg_namespace' AND s.oid = (x.item ->> 'oid')::oid
             WHERE pg_has_role(caller, s.nspowner, 'USAGE') ORDER BY x.ord LOOP
        UPDATE zanith._zanith_migration_artifacts a
        SET definition = a.definition || jsonb_build_object('homes', (SELECT zanith._list(h.item ORDER BY h.ord) FROM zanith._each(a.definition -> 'homes') h WHERE h.item ->> 'name' <> n.nspname)
            || jsonb_build_array(n.home))
        WHERE a.status = 'recoverable' AND a.artifact_type <> 'rebuild_table'
          AND (a.source_schema = n.nspname OR a.definition -> 'aside' @> jsonb_build_array(jsonb_build_object('schema', n.nspname))
               OR a.definition -> 'members' @> jsonb_build_array(jsonb_build_object('schema', n.nspname))
               OR a.definition -> 'members' @> jsonb_build_array(jsonb_build_object('renames', jsonb_build_array(jsonb_build_object('schema', n.nspname)))));
        UPDATE zanith._zanith_migration_artifacts a SET recovery_sql = zanith._render_script(a.id)
        WHERE a.status = 'recoverable' AND a.definition -> 'homes' @> jsonb_build_array(n.home);
    END LOOP;
END $$;

-- The steps that create the schemas which were dropped. Another restore may have done so.
CREATE OR REPLACE FUNCTION zanith._render_homes(d jsonb, in_script boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY h.ord, s.ord)
    FROM zanith._each(d -> 'homes') h,
         LATERAL (SELECT h.item ->> 'name' AS name, zanith._step(format('CREATE SCHEMA %I AUTHORIZATION %I', h.item ->> 'name', h.item ->> 'owner'),
                      'Create the schema that was dropped')
                      || zanith._render_grants(h.item -> 'grants', format('SCHEMA %I', h.item ->> 'name'), h.item ->> 'owner')
                      || zanith._render_comment(h.item ->> 'comment', format('SCHEMA %I', h.item ->> 'name')) AS steps) q,
         LATERAL zanith._each(CASE WHEN in_script THEN zanith._step(zanith._do(format('BEGIN IF pg_catalog.to_regnamespace(%L) IS NULL THEN %s; END IF; END', quote_ident(q.name),
                      (SELECT string_agg(c.item ->> 'sql', '; ' ORDER BY c.ord) FROM zanith._each(q.steps) c))), 'Create the schema that was dropped, if it is not there')
                      ELSE q.steps END) s
    WHERE in_script OR to_regnamespace(quote_ident(q.name)) IS NULL
); END $$;

-- What stops a schema from being created again.
CREATE OR REPLACE FUNCTION zanith._find_home_conflicts(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(c.conflict ORDER BY h.ord)
    FROM zanith._each(d -> 'homes') h, LATERAL (
        SELECT zanith._conflict('owner_missing', format('the owner %I of the schema %I does not exist any more', h.item ->> 'owner', h.item ->> 'name'),
            format('Create the role: CREATE ROLE %I, or create the schema: CREATE SCHEMA %I.', h.item ->> 'owner', h.item ->> 'name')) -> 0
        WHERE to_regrole(quote_ident(h.item ->> 'owner')) IS NULL
        UNION ALL
        SELECT zanith._conflict('grantee_missing', format('the role %I, which had a grant, does not exist any more', g.item ->> 'grantee'),
            format('Create the role: CREATE ROLE %I, or create the schema: CREATE SCHEMA %I.', g.item ->> 'grantee', h.item ->> 'name')) -> 0
        FROM zanith._each(h.item -> 'grants') g WHERE g.item ->> 'grantee' IS NOT NULL AND to_regrole(quote_ident(g.item ->> 'grantee')) IS NULL
        UNION ALL
        SELECT zanith._conflict('not_permitted', format('the schema %I was dropped, and %I may not create schemas', h.item ->> 'name', current_user),
            format('Let a role that may do so create it: CREATE SCHEMA %I AUTHORIZATION %I.', h.item ->> 'name', h.item ->> 'owner')) -> 0
        WHERE NOT has_database_privilege(current_database(), 'CREATE')) c(conflict)
    WHERE to_regnamespace(quote_ident(h.item ->> 'name')) IS NULL
); END $$;

-- The steps that move back what is aside. A script finds out when it runs whether another restore did so.
CREATE OR REPLACE FUNCTION zanith._render_aside_back(d jsonb, in_script boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY x.ord, s.ord)
    FROM zanith._each(d -> 'aside') x, LATERAL (
        SELECT zanith._qualify(x.item ->> 'schema', x.item ->> 'name') AS name,
               format('ALTER %s %s SET SCHEMA %I', x.item ->> 'noun', zanith._qualify('_zanith_shadow', x.item ->> 'parked'), x.item ->> 'schema') AS moving,
               format('ALTER %s %s RENAME TO %I', x.item ->> 'noun', zanith._qualify(x.item ->> 'schema', x.item ->> 'parked'), x.item ->> 'name') AS naming) q,
    LATERAL zanith._each(CASE
        WHEN in_script THEN zanith._step(zanith._do(format('BEGIN IF %s%s THEN %s; %s; END IF; END',
                format(CASE x.item ->> 'class' WHEN 'pg_type' THEN 'pg_catalog.to_regtype(%L) IS NOT NULL' WHEN 'pg_proc' THEN 'pg_catalog.to_regproc(%L) IS NOT NULL'
                                               ELSE 'pg_catalog.to_regclass(%L) IS NOT NULL' END, zanith._qualify('_zanith_shadow', x.item ->> 'parked')),
                CASE WHEN d ->> 'strategy' = 'archive_column' AND x.item ->> 'class' = 'pg_type' THEN format(' AND pg_catalog.to_regtype(%L) IS NULL', q.name) END, q.moving, q.naming)),
            format('Move %s back, if it is in the shadow schema', q.name))
        ELSE zanith._step(q.moving, format('Move %s back to its schema', q.name)) || zanith._step(q.naming, format('Give %s its name back', q.name)) END) s
    WHERE in_script OR EXISTS (SELECT FROM zanith._list_aside(d) t WHERE t.ord = x.ord)
); END $$;

-- What a restore does first.
CREATE OR REPLACE FUNCTION zanith._render_preparation(d jsonb, in_script boolean) RETURNS jsonb
LANGUAGE sql STABLE AS $$ SELECT zanith._render_homes(d, in_script) || zanith._render_aside_back(d, in_script) $$;

-- What stops an object from coming back: another one has its name, or it belongs to somebody else.
CREATE OR REPLACE FUNCTION zanith._find_aside_conflicts(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(c.conflict ORDER BY x.ord)
    FROM zanith._list_aside(d) x, LATERAL (SELECT zanith._qualify(x.item ->> 'schema', x.item ->> 'name'), lower(x.item ->> 'noun'), to_regnamespace(quote_ident(x.item ->> 'schema'))) q(name, noun, home),
    LATERAL (SELECT t.typowner AS owner, EXISTS (SELECT FROM pg_type o WHERE o.typnamespace = q.home AND o.typname = x.item ->> 'name') AS taken
             FROM pg_type t WHERE x.item ->> 'class' = 'pg_type' AND t.typnamespace = '_zanith_shadow'::regnamespace AND t.typname = x.item ->> 'parked'
             UNION ALL
             SELECT p.proowner, EXISTS (SELECT FROM pg_proc o WHERE o.pronamespace = q.home AND o.proname = x.item ->> 'name' AND o.proargtypes = p.proargtypes)
             FROM pg_proc p WHERE x.item ->> 'class' = 'pg_proc' AND p.pronamespace = '_zanith_shadow'::regnamespace AND p.proname = x.item ->> 'parked'
             UNION ALL
             SELECT c.relowner, zanith._relation_oid(x.item ->> 'schema', x.item ->> 'name') IS NOT NULL
             FROM pg_class c WHERE x.item ->> 'class' = 'pg_class' AND c.oid = zanith._relation_oid('_zanith_shadow', x.item ->> 'parked')) o,
    LATERAL (
        SELECT zanith._conflict('name_taken', format('the name of the %s %s is taken', q.noun, q.name), 'Rename the object that has the name now, then restore.') -> 0
        WHERE o.taken
        UNION ALL
        SELECT zanith._conflict('not_permitted', format('must be owner of %s %s', q.noun, q.name), 'Restore as its owner, as a member of that role, or as a superuser.') -> 0
        WHERE NOT pg_has_role(o.owner, 'USAGE')) c(conflict)
); END $$;

-- The steps that drop what nothing but this artifact needs. Types can need one another, and a routine can need a type.
CREATE OR REPLACE FUNCTION zanith._render_aside_purge(a zanith._zanith_migration_artifacts) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH alone AS (
        SELECT CASE x.item ->> 'noun' WHEN 'DOMAIN' THEN 'TYPE' ELSE x.item ->> 'noun' END AS noun, zanith._qualify('_zanith_shadow', x.item ->> 'parked') AS name,
               x.item ->> 'parked' AS parked, zanith._qualify(x.item ->> 'schema', x.item ->> 'name') AS called, x.ord
        FROM zanith._each(a.definition -> 'aside') x
        WHERE zanith._is_aside(x.item ->> 'class', x.item ->> 'parked') AND pg_has_role(COALESCE(to_regrole(quote_ident(x.item ->> 'owner')), 0::oid), 'USAGE')
          AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts o WHERE o.id <> a.id AND o.status = 'recoverable'
                            AND o.definition -> 'aside' @> jsonb_build_array(jsonb_build_object('parked', x.item -> 'parked')))
    ), needing AS (
        SELECT EXISTS (SELECT FROM alone r JOIN pg_proc p ON r.noun = 'ROUTINE' AND p.proname = r.parked AND p.pronamespace = '_zanith_shadow'::regnamespace
                       JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.refclassid = 'pg_type'::regclass
                       JOIN pg_type t ON t.oid = d.refobjid AND t.typnamespace = '_zanith_shadow'::regnamespace) AS routines
    )
    SELECT zanith._list(zanith._step(format('DROP %s %s', g.noun, g.names), format('Drop what nothing else needs for good: %s', g.called)) -> 0 ORDER BY g.noun = 'SEQUENCE', (g.noun = 'TYPE') = n.routines)
    FROM (SELECT noun, string_agg(name, ', ' ORDER BY ord) AS names, string_agg(called, ', ' ORDER BY ord) AS called FROM alone GROUP BY noun) g, needing n
); END $$;
