-- Restoring a kept definition: its parts come back to their table as those of a column do, all else as after a cascade.

-- The definition as it comes back by another name. No other object is in it that says the name.
CREATE OR REPLACE FUNCTION zanith._kept_as(d jsonb, as_name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    place text[] := CASE d #>> '{object,kind}' WHEN 'index' THEN '{indexes,0}' WHEN 'sequence' THEN '{sequence}' ELSE '{cascade,views,0}' END;
BEGIN
    RETURN CASE WHEN as_name IS NULL OR NOT zanith._takes_a_name(d) THEN d ELSE jsonb_set(d, place || 'name'::text, to_jsonb(as_name)) END;
END $$;

-- Whether it can come back by another name: a text of SQL has the names of all else.
CREATE OR REPLACE FUNCTION zanith._takes_a_name(d jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN d #>> '{object,kind}' IN ('view', 'materialized view', 'index', 'sequence') AND jsonb_array_length(d -> 'objects') = 1 AND COALESCE(jsonb_array_length(NULLIF(d -> 'tree', 'null')), 0) = 0
        AND NOT jsonb_path_exists(d, '$.cascade.views[*].triggers[*]') AND NOT jsonb_path_exists(d, '$.cascade.views[*].rules[*]') AND NOT jsonb_path_exists(d, '$.cascade.views[*].statistics[*]');
END $$;

CREATE OR REPLACE FUNCTION zanith._render_type(type jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._made_by(type, type ->> 'owner', zanith._step(q.sql, format('Create the type %s', q.name)))
        || (SELECT zanith._list(s.item ORDER BY c.ord) FROM zanith._each(type -> 'unproved') c, LATERAL zanith._each(zanith._made_by(type, type ->> 'owner', zanith._step(
                format('ALTER DOMAIN %s ADD CONSTRAINT %I %s', q.name, c.item ->> 'name', zanith._round_trip_safe(c.item ->> 'definition')), format('Add the constraint %I, which is not valid', c.item ->> 'name')))) s)
        || zanith._step(format('ALTER %s %s OWNER TO %I', q.kind, q.name, type ->> 'owner'), 'Set the owner of the type')
        || zanith._render_grants_anew(type -> 'grants', 'TYPE', q.name, type ->> 'owner', format('SELECT t.typacl FROM pg_catalog.pg_type t WHERE t.oid OPERATOR(pg_catalog.=) %L::pg_catalog.regtype::pg_catalog.oid', q.name))
        || zanith._render_comment(type ->> 'comment', 'TYPE ' || q.name)
        || (SELECT zanith._list(s.item ORDER BY c.ord) FROM zanith._each(type -> 'comments') c, LATERAL zanith._each(zanith._render_comment(c.item ->> 'comment', c.item ->> 'on')) s)
    FROM (SELECT zanith._qualify(type ->> 'schema', type ->> 'name'), CASE WHEN (type ->> 'domain')::boolean THEN 'DOMAIN' ELSE 'TYPE' END, zanith._round_trip_safe(type ->> 'sql')) q(name, kind, sql)
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_lone_sequence(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN zanith._render_serial_anew(d -> 'sequence', d #>> '{sequence,owner}', CASE WHEN jsonb_typeof(d -> 'owned_by') = 'object' THEN zanith._qualify(d #>> '{owned_by,schema}', d #>> '{owned_by,table}') END, d #>> '{owned_by,column}');
END $$;

-- The lock that a part needs while it comes back to its table. Reads go on where nothing of the owner's is evaluated; what is not a table is not locked.
CREATE OR REPLACE FUNCTION zanith._render_kept_lock(d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    target text := zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}');
    mode text := CASE WHEN COALESCE(d -> 'identity', 'null') = 'null' AND d -> 'cascade' @> '{"views": [], "functions": [], "policies": [], "triggers": [], "rules": [], "defaults": []}'
                           AND NOT jsonb_path_exists(d, '$.cascade.*[*]') AND NOT jsonb_path_exists(d, '$.indexes[*] ? (@.builtin == false || @.replica_identity == true)') AND NOT jsonb_path_exists(d, '$.statistics[*] ? (@.builtin == false)')
                           AND NOT EXISTS (SELECT FROM zanith._each(d -> 'constraints') k WHERE NOT zanith._constraint_is(k.item, 'reference'))
                      THEN 'SHARE ROW EXCLUSIVE' ELSE 'ACCESS EXCLUSIVE' END;
BEGIN
    RETURN CASE WHEN NOT (d #>> '{object,lockable}')::boolean OR live IS NOT NULL AND (SELECT c.relkind NOT IN ('r', 'p') FROM pg_class c WHERE c.oid = live) THEN '[]'
        ELSE zanith._step(format('LOCK TABLE %s%s IN %s MODE', zanith._only(d), target, mode), 'Lock the table', mode, ARRAY[target]) END;
END $$;

-- All steps. `live`: the table of a part, NULL in a script.
CREATE OR REPLACE FUNCTION zanith._render_restore_kept(d jsonb, live oid, choices jsonb, in_script boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    of_schema text := d #>> '{table,schema}';
    of_table text := d #>> '{table,name}';
    target text := zanith._qualify(of_schema, of_table);
    owner text := CASE WHEN NOT zanith._is_mixed(d) THEN d #>> '{table,owner}' END;
    not_valid boolean := COALESCE((choices ->> 'not_valid')::boolean, false);
    steps jsonb := '[]';
BEGIN
    IF d ? 'column' THEN
        steps := zanith._render_kept_lock(d, live)
            || zanith._as_owner(owner, zanith._render_constraints_back(d, of_schema, of_table, live, 1, not_valid))
            || zanith._render_keys_and_indexes_back(d, of_schema, of_table, live, false, not_valid, false)
            || zanith._render_statistics_back(d, of_schema, of_table, live, false)
            || zanith._render_constraints_back(d, of_schema, of_table, live, 3, not_valid)
            || zanith._render_references_back(d, of_schema, of_table, live, not_valid, false)
            || CASE WHEN COALESCE(d -> 'identity', 'null') = 'null' THEN '[]' ELSE zanith._render_identity_back(jsonb_build_object('column', d -> 'identity'), target, d #>> '{identity,name}') END;
    END IF;
    RETURN steps
        || CASE WHEN d ? 'type' THEN zanith._render_type(d -> 'type') ELSE '[]' END
        || CASE WHEN d ? 'sequence' THEN zanith._render_lone_sequence(d) ELSE '[]' END
        || zanith._render_cascade_restore(d, in_script);
END $$;

-- The same definition as the catalog has it now, found by name; NULL where nothing of the name is there.
CREATE OR REPLACE FUNCTION zanith._describe_kept_now(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb;
    head jsonb;
BEGIN
    SELECT zanith._list(jsonb_build_object('class', o.classid, 'oid', o.objid, 'kind', k.kind, 'relation', k.relation, 'called', zanith._kept_called(o.classid, o.objid, k.kind), 'upon', '[]'::jsonb) ORDER BY x.ord) INTO found
    FROM zanith._each(d -> 'objects') x, LATERAL zanith._kept_address(x.item) o,
         LATERAL zanith._kept_objects(jsonb_build_array(jsonb_build_object('class', o.classid::regclass::text, 'oid', o.objid))) k
    WHERE o.objid IS NOT NULL;
    SELECT f.item || jsonb_build_object('members', found, 'lost', '[]'::jsonb) INTO head
    FROM zanith._each(found) f WHERE f.item ->> 'called' = d #>> '{object,called}' OR f.item ->> 'kind' = d #>> '{object,kind}' AND f.item ->> 'kind' IN ('column identity', 'column default')
    ORDER BY f.ord LIMIT 1;
    IF head IS NULL AND jsonb_array_length(found) > 0 THEN
        -- parts that its table took along
        head := found -> 0 || jsonb_build_object('members', found, 'lost', '[]'::jsonb);
    END IF;
    RETURN CASE WHEN head IS NOT NULL THEN zanith._define_kept(d ->> 'id', head) END;
END $$;

-- One of `objects` as it is now. PostgreSQL names an identity by its sequence.
CREATE OR REPLACE FUNCTION zanith._kept_address(item jsonb, OUT classid oid, OUT objid oid)
LANGUAGE plpgsql STABLE AS $$ BEGIN
    SELECT o.classid, o.objid INTO classid, objid
    FROM zanith._object_at(item ->> 'type', ARRAY(SELECT jsonb_array_elements_text(item -> 'names')), ARRAY(SELECT jsonb_array_elements_text(item -> 'args'))) o;
    IF item ->> 'type' = 'composite type' AND classid = 'pg_class'::regclass THEN
        SELECT 'pg_type'::regclass, c.reltype INTO classid, objid FROM pg_class c WHERE c.oid = objid;
    END IF;
END $$;

-- Whether something is there by the names that a kept definition came back by.
CREATE OR REPLACE FUNCTION zanith._kept_stands(a zanith._zanith_migration_artifacts, as_name text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN zanith._describe_kept_now(zanith._kept_address_as(a.definition, as_name)) IS NOT NULL;
END $$;

-- A definition whose object is looked for under another name.
CREATE OR REPLACE FUNCTION zanith._kept_address_as(d jsonb, as_name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN CASE WHEN as_name IS NULL OR NOT zanith._takes_a_name(d) THEN d
        ELSE jsonb_set(jsonb_set(d, '{objects,0,names,1}', to_jsonb(as_name)), '{object,called}', to_jsonb(
            CASE d #>> '{object,kind}' WHEN 'index' THEN format('the index %I', as_name) WHEN 'sequence' THEN 'the sequence ' || zanith._qualify(d #>> '{object,schema}', as_name)
                 ELSE format('the view %s', zanith._qualify(d #>> '{object,schema}', as_name)) END)) END;
END $$;

-- What stops a kept definition from coming back, besides what _find_missing and _find_taken_names say.
CREATE OR REPLACE FUNCTION zanith._find_kept_conflicts(a zanith._zanith_migration_artifacts, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := zanith._kept_as(a.definition, choices ->> 'as');
    ways text[] := CASE WHEN zanith._takes_a_name(a.definition) THEN ARRAY['--as NAME'] ELSE '{}' END;
    col record;
    found jsonb := '[]';
BEGIN
    IF d ? 'column' THEN
        IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = live AND pg_has_role(c.relowner, 'USAGE')) THEN
            found := found || zanith._conflict('not_permitted', format('must be owner of table %s', zanith._relation_name(live)), 'Restore as its owner, as a member of that role, or as a superuser.');
        END IF;
    ELSIF to_regnamespace(quote_ident(d #>> '{table,schema}')) IS NULL AND NOT d -> 'homes' @> jsonb_build_array(jsonb_build_object('name', d #>> '{table,schema}')) IS TRUE THEN
        found := found || zanith._conflict('schema_gone', format('the schema %I does not exist any more', d #>> '{table,schema}'), format('Create it: CREATE SCHEMA %I.', d #>> '{table,schema}'));
    END IF;
    IF COALESCE(d -> 'identity', 'null') <> 'null' THEN
        SELECT t.attname, t.attnotnull, t.atthasdef, t.attidentity, format_type(t.atttypid, NULL) AS type INTO col FROM pg_attribute t WHERE t.attrelid = live AND t.attname = d #>> '{identity,name}' AND NOT t.attisdropped;
        found := found || CASE
            WHEN col.attname IS NULL THEN zanith._conflict('column_gone', format('%s has no column %I, which was an identity', zanith._relation_name(live), d #>> '{identity,name}'), 'Create it again, or undo its renaming.',
                '{}', NULL, zanith._parked_as(d #>> '{table,schema}', d #>> '{table,name}', d #>> '{identity,name}'))
            WHEN col.attidentity <> '' OR col.atthasdef THEN zanith._conflict('name_taken', format('%s.%I has %s now', zanith._relation_name(live), col.attname, CASE WHEN col.atthasdef THEN 'a default' ELSE 'an identity' END),
                format('Drop that first: ALTER TABLE %s ALTER COLUMN %I DROP %s.', zanith._relation_name(live), col.attname, CASE WHEN col.atthasdef THEN 'DEFAULT' ELSE 'IDENTITY' END))
            WHEN NOT col.attnotnull THEN zanith._conflict('null_in_key', format('%s.%I may be NULL now, and an identity may not', zanith._relation_name(live), col.attname),
                format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL.', zanith._relation_name(live), col.attname))
            WHEN col.type <> d #>> '{identity,sequences,0,type}' THEN zanith._conflict('column_changed', format('%s.%I is %s now; it was %s', zanith._relation_name(live), col.attname, col.type, d #>> '{identity,sequences,0,type}'),
                'Give it its old type for the restore.')
            ELSE '[]' END;
    END IF;
    IF d ? 'sequence' AND zanith._relation_oid(d #>> '{sequence,schema}', d #>> '{sequence,name}') IS NOT NULL THEN
        found := found || zanith._conflict('name_taken', format('the name of the sequence %s is taken', zanith._qualify(d #>> '{sequence,schema}', d #>> '{sequence,name}')), CASE WHEN ways = '{}' THEN 'Rename the object that has the name now, then restore.' ELSE 'Rename the object that has the name now, or restore it under another name.' END, ways);
    END IF;
    IF d #>> '{owned_by,column}' IS NOT NULL AND zanith._attribute_number(zanith._relation_oid(d #>> '{owned_by,schema}', d #>> '{owned_by,table}'), d #>> '{owned_by,column}') IS NULL THEN
        found := found || zanith._conflict('column_gone', format('%s has no column %I, which owned the sequence', zanith._qualify(d #>> '{owned_by,schema}', d #>> '{owned_by,table}'), d #>> '{owned_by,column}'),
            'Restore it first, or undo its renaming.', '{}', NULL, zanith._parked_as(d #>> '{owned_by,schema}', d #>> '{owned_by,table}', d #>> '{owned_by,column}')
            || zanith._parked_as(d #>> '{owned_by,schema}', d #>> '{owned_by,table}'));
    END IF;
    IF d ? 'type' AND EXISTS (SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace WHERE n.nspname = d #>> '{type,schema}' AND t.typname = d #>> '{type,name}') THEN
        found := found || zanith._conflict('name_taken', format('the name of the type %s is taken', zanith._qualify(d #>> '{type,schema}', d #>> '{type,name}')), 'Rename the object that has the name now, then restore.');
    END IF;
    RETURN found || (
        SELECT zanith._list(zanith._conflict('column_renamed', format('%s.%I is another column now: the one that %s names is called %I', zanith._relation_name(live), n.key, d #>> '{object,called}', t.attname),
            format('The recorded definition has the old name. Give the columns their old names for the length of the restore: ALTER TABLE %s RENAME COLUMN ….', zanith._relation_name(live))) -> 0 ORDER BY n.key)
        FROM jsonb_each_text(d -> 'numbers') n JOIN pg_attribute t ON t.attrelid = live AND t.attnum = n.value::smallint AND NOT t.attisdropped AND t.attname <> n.key
        WHERE live = (d #>> '{table,oid}')::oid AND d ->> 'database' = zanith._database_identity() AND zanith._attribute_number(live, n.key) IS NOT NULL)
        || (
        SELECT zanith._list(zanith._without_it(zanith._conflict('name_taken', format('%s.%I has a default now', x.item ->> 'table', x.item ->> 'column'),
            format('Drop that first: ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT.', x.item ->> 'table', x.item ->> 'column')), ARRAY[zanith._label(zanith._called('defaults', x.item))]) -> 0 ORDER BY x.ord)
        FROM zanith._each(d #> '{cascade,defaults}') x JOIN pg_attribute t ON t.attrelid = to_regclass(x.item ->> 'table') AND t.attname = x.item ->> 'column' AND NOT t.attisdropped AND (t.atthasdef OR t.attidentity <> ''))
        || (SELECT zanith._list(zanith._conflict('not_permitted', format('must be a member of %I, which owns %s', o.owner, o.what), format('Restore as %I, as a member of that role, or as a superuser.', o.owner)) -> 0 ORDER BY o.what)
            FROM zanith._kept_owners(d) o WHERE to_regrole(quote_ident(o.owner)) IS NOT NULL AND NOT pg_has_role(to_regrole(quote_ident(o.owner)), 'USAGE'));
END $$;

-- Who owns what comes back and is not of a table.
CREATE OR REPLACE FUNCTION zanith._kept_owners(d jsonb) RETURNS TABLE (owner text, what text)
LANGUAGE sql IMMUTABLE ROWS 1 AS $$
    SELECT v.item ->> 'owner', format('the view %I', v.item ->> 'name') FROM zanith._each(d #> '{cascade,views}') v
    UNION SELECT f.item ->> 'owner', format('the function %s', f.item ->> 'name') FROM zanith._each(d #> '{cascade,functions}') f
    UNION SELECT d #>> '{sequence,owner}', format('the sequence %I', d #>> '{sequence,name}') WHERE d ? 'sequence'
    UNION SELECT d #>> '{type,owner}', format('the type %I', d #>> '{type,name}') WHERE d ? 'type'
$$;

-- The recoverable artifacts that bring an object back, by its address: {type, names, args}.
CREATE OR REPLACE FUNCTION zanith._kept_by(need jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- a view has its columns and its type
    address jsonb := jsonb_build_object('names', CASE WHEN need ->> 'type' LIKE '% column' THEN (need -> 'names') - 2 ELSE need -> 'names' END, 'args', CASE WHEN need ->> 'type' LIKE '% column' THEN '[]' ELSE need -> 'args' END);
BEGIN RETURN (
    SELECT zanith._list(a.id ORDER BY a.capture_order DESC) FROM zanith._zanith_migration_artifacts a
    WHERE a.kept_object IS NOT NULL AND a.status = 'recoverable' AND a.definition -> 'objects' @> jsonb_build_array(address)
); END $$;
