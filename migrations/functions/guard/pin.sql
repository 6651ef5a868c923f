-- Pins, for databases without event triggers: a function of each pinned table takes a row of it and reads its columns, so PostgreSQL refuses a plain
-- DROP TABLE, DROP COLUMN or change of a type, and its error names the function. Nobody may call it, and it does nothing. It follows its table
-- wherever that is moved, by a capture too. It belongs to Zanith's own role. The columns are read from the table: where a function takes a field
-- of its argument, newer minor versions of PostgreSQL refuse every ALTER TABLE that rewrites the table.

-- The name that the error shows.
CREATE OR REPLACE FUNCTION zanith._pin_name() RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT 'use_zanith_drop_not_cascade_or_zanith_guard_pin_off' $$;

-- The schema of the pins; NULL where there is none, or where it belongs to another role.
CREATE OR REPLACE FUNCTION zanith._schema_of_pins() RETURNS oid
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT n.oid FROM pg_namespace n JOIN pg_namespace z ON z.nspname = 'zanith' AND z.nspowner = n.nspowner WHERE n.nspname = 'zanith_pin'
); END $$;

-- Pinned tables, parked ones too; `columns`: a drop of a column is refused as well.
CREATE OR REPLACE FUNCTION zanith._pins() RETURNS TABLE (pin oid, relation oid, columns boolean)
LANGUAGE plpgsql STABLE ROWS 10 AS $$ BEGIN RETURN QUERY
    SELECT p.oid, t.typrelid, p.proargnames[1] = 'table_and_columns'
    FROM pg_proc p JOIN pg_type t ON t.oid = p.proargtypes[0]
    WHERE p.proname = zanith._pin_name() AND p.pronamespace = zanith._schema_of_pins() AND t.typrelid <> 0;
END $$;

-- The columns that a pin is to read. One that is parked may be purged.
CREATE OR REPLACE FUNCTION zanith._pinned_columns(relation oid) RETURNS TABLE (number smallint, name text, inherited boolean)
LANGUAGE plpgsql STABLE ROWS 10 AS $$ BEGIN RETURN QUERY
    SELECT a.attnum, a.attname::text, a.attinhcount > 0 FROM pg_attribute a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND NOT starts_with(a.attname, '_zanith_') ORDER BY a.attnum;
END $$;

-- The columns of a pinned table, and those that its partitions and children have by themselves, that their pin does not read: added since.
CREATE OR REPLACE FUNCTION zanith._pin_lacks(root oid) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN ARRAY(
    SELECT format('%s.%I', zanith._relation_name(f.member), a.name)
    FROM zanith._family(root) f JOIN zanith._pins() p ON p.relation = f.member AND p.columns, LATERAL zanith._pinned_columns(f.member) a
    WHERE (f.member = root OR NOT a.inherited) AND NOT EXISTS (
        SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.pin AND d.refclassid = 'pg_class'::regclass AND d.refobjid = f.member AND d.refobjsubid = a.number)
    ORDER BY f.depth, f.member, a.number
); END $$;

-- The partitions and children of a pinned table that have no pin.
CREATE OR REPLACE FUNCTION zanith._pin_misses(root oid) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN ARRAY(
    SELECT zanith._relation_name(f.member) FROM zanith._family(root) f JOIN pg_class c ON c.oid = f.member AND c.relkind IN ('r', 'p')
    LEFT JOIN zanith._pins() p ON p.relation = f.member WHERE p.pin IS NULL ORDER BY f.depth, f.member
); END $$;

-- Whether somebody who pins a table can: raises.
CREATE OR REPLACE FUNCTION zanith._check_pin(root oid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    c record;
    name text := zanith._relation_name(root);
BEGIN
    SELECT k.relkind, k.relpersistence, n.nspname, pg_has_role(k.relowner, 'USAGE') AS owns INTO c FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace WHERE k.oid = root;
    IF NOT FOUND THEN
        PERFORM zanith._refuse('the table does not exist', 'Name a table.', '42P01');
    ELSIF c.relkind NOT IN ('r', 'p') THEN
        PERFORM zanith._refuse(format('%s is not a table', name), 'Name a table.', '42809');
    ELSIF c.relpersistence = 't' THEN
        PERFORM zanith._refuse(format('%s is a temporary table', name), 'It ends with its session.', '42809');
    ELSIF c.nspname IN ('pg_catalog', 'information_schema') THEN
        -- another major version may have no such column
        PERFORM zanith._refuse(format('%s belongs to PostgreSQL', name), 'Name a table of your own.', '42809');
    ELSIF zanith._guard_is_ours(root) THEN
        PERFORM zanith._refuse(format('%s belongs to Zanith', name), 'zanith recover purge deletes parked objects.', '42809');
    ELSIF zanith._guard_is_member(root) THEN
        PERFORM zanith._refuse(format('%s belongs to an extension', name), 'PostgreSQL refuses its drop already: DROP EXTENSION drops it.', '42809');
    ELSIF NOT c.owns THEN
        PERFORM zanith._refuse(format('must be owner of table %s', name), 'Run it as its owner, or as a member of that role.', '42501');
    END IF;
END $$;

-- `how`: "columns" pins a table, its partitions and its children with their columns; "table" pins them without; "off" ends that. For Zanith's own work on
-- pinned tables: "lift" lets columns go for the moment, "renew" pins all columns again that are there by then, "purge" ends it for a parked table.
CREATE OR REPLACE FUNCTION zanith._pin(root oid, how text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    busy text := COALESCE(current_setting('zanith.guard_busy', true), '');
    member oid;
BEGIN
    IF how IN ('columns', 'table') THEN
        PERFORM zanith._check_pin(root);
        FOR member IN SELECT f.member FROM zanith._family(root) f JOIN pg_class c ON c.oid = f.member AND c.relkind IN ('r', 'p') ORDER BY f.member LOOP
            EXECUTE format('LOCK TABLE ONLY %s IN ACCESS SHARE MODE', zanith._relation_name(member));
        END LOOP;
    ELSIF root IS NULL OR zanith._schema_of_pins() IS NULL THEN
        RETURN;
    END IF;
    PERFORM set_config('zanith.guard_busy', 'on', true);
    PERFORM zanith._set_pins(root, how, zanith._prove_caller());
    PERFORM set_config('zanith.guard_busy', busy, true);
END $$;

-- What anyone calls.
CREATE OR REPLACE FUNCTION zanith.pin_table(relation regclass, columns boolean DEFAULT true) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    PERFORM zanith._pin(relation, CASE WHEN columns THEN 'columns' ELSE 'table' END),
        zanith._log_pin(relation, CASE WHEN columns THEN 'columns' ELSE 'table' END, zanith._prove_caller());
END $$;
COMMENT ON FUNCTION zanith.pin_table IS 'Lets a plain DROP of a table and of its columns fail. Its partitions and children are pinned too.';

CREATE OR REPLACE FUNCTION zanith.unpin_table(relation regclass) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    PERFORM zanith._pin(relation, 'off'), zanith._log_pin(relation, 'off', zanith._prove_caller());
END $$;
COMMENT ON FUNCTION zanith.unpin_table IS 'Removes the pin of a table, of its partitions and of its children: a plain DROP deletes again.';

CREATE OR REPLACE FUNCTION zanith._log_pin(relation oid, how text, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller text := zanith._read_caller(proof);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND pg_has_role(caller, c.relowner, 'USAGE')) THEN
        PERFORM zanith._refuse(format('must be owner of table %s', zanith._relation_name(relation)), 'Run it as its owner, or as a member of that role.', '42501');
    END IF;
    INSERT INTO zanith._zanith_audit_log (actor, db_role, address, action, outcome, object, detail)
    VALUES (caller, caller, host(inet_client_addr()), 'guard', 'done', zanith._relation_name(relation),
            jsonb_build_object('turned', CASE how WHEN 'off' THEN 'off' ELSE 'on' END, 'pin', how));
END $$;

CREATE OR REPLACE FUNCTION zanith._set_pins(root oid, how text, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller text := zanith._read_caller(proof);
    strange oid;
BEGIN
    -- Zanith's work needs the owner of the table that it is about, as PostgreSQL's own statement does
    SELECT f.member INTO strange FROM zanith._family(root) f JOIN pg_class c ON c.oid = f.member
    WHERE NOT pg_has_role(caller, c.relowner, 'USAGE') AND c.relkind IN ('r', 'p') AND (f.member = root OR how IN ('columns', 'table', 'off') OR how = 'purge' AND (SELECT k.relnamespace <> '_zanith_shadow'::regnamespace FROM pg_class k WHERE k.oid = root)) ORDER BY f.depth, f.member LIMIT 1;
    IF FOUND THEN
        PERFORM zanith._refuse(format('must be owner of table %s', zanith._relation_name(strange)), 'Run it as its owner, or as a member of that role.', '42501');
    END IF;
    -- event triggers that fire for this run as Zanith, in the caller's session
    PERFORM zanith._check_temporary();
    PERFORM zanith._change_pins(root, how);
END $$;

-- The same as the role that calls, which is Zanith's own.
CREATE OR REPLACE FUNCTION zanith._change_pins(root oid, how text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t record;
    events text := zanith._sandbox_event_path(current_user);
BEGIN
    IF how IN ('columns', 'table') THEN
        PERFORM zanith._require_pin_schema(events);
    END IF;
    FOR t IN SELECT f.member, zanith._relation_name(f.member) AS name, p.pin, p.columns
             FROM zanith._family(root) f JOIN pg_class c ON c.oid = f.member AND c.relkind IN ('r', 'p') LEFT JOIN zanith._pins() p ON p.relation = f.member
             WHERE p.pin IS NOT NULL OR how IN ('columns', 'table') ORDER BY f.depth, f.member LOOP
        CONTINUE WHEN how IN ('lift', 'renew') AND NOT t.columns;
        IF how IN ('off', 'purge') OR t.columns <> (how <> 'table') THEN
            PERFORM zanith._execute(format('DROP FUNCTION zanith_pin.%I(%s)', zanith._pin_name(), t.name), events);
        END IF;
        IF how NOT IN ('off', 'purge') THEN
            PERFORM zanith._create_pin(t.member, t.name, how, events);
        END IF;
    END LOOP;
END $$;

-- Creates the pin of one table, or changes what it reads.
CREATE OR REPLACE FUNCTION zanith._create_pin(relation oid, table_name text, how text, events text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    pin text := format('zanith_pin.%I(%s)', zanith._pin_name(), table_name);
    argument text := CASE how WHEN 'table' THEN 'table_only' ELSE 'table_and_columns' END;
    is_new boolean := NOT EXISTS (SELECT FROM zanith._pins() p WHERE p.relation = _create_pin.relation);
BEGIN
    PERFORM zanith._execute(format('CREATE OR REPLACE FUNCTION zanith_pin.%I(%s %s) RETURNS void LANGUAGE sql BEGIN ATOMIC SELECT%s; END', zanith._pin_name(), argument, table_name, (
        SELECT format(' %s FROM ONLY %s t WHERE false', string_agg(format('t.%I', a.name), ', ' ORDER BY a.number), table_name)
        FROM zanith._pinned_columns(relation) a WHERE how IN ('columns', 'renew') HAVING count(*) > 0)), events);
    IF is_new THEN
        PERFORM zanith._execute(format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', pin), events),
            zanith._execute(format('COMMENT ON FUNCTION %s IS %L', pin, 'While it exists, PostgreSQL refuses a plain DROP of its table: see zanith guard pin.'), events);
    END IF;
    -- another table can have got the name
    IF NOT EXISTS (SELECT FROM zanith._pins() p WHERE p.relation = _create_pin.relation) THEN
        PERFORM zanith._refuse_exchanged(table_name);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION zanith._require_pin_schema(events text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF zanith._schema_of_pins() IS NOT NULL THEN
        RETURN;
    ELSIF to_regnamespace('zanith_pin') IS NOT NULL THEN
        PERFORM zanith._refuse('the schema zanith_pin does not belong to Zanith', format('Look at what it has. Then: ALTER SCHEMA zanith_pin OWNER TO %I.', current_user), '42501');
    ELSIF NOT has_database_privilege(current_database(), 'CREATE') THEN
        PERFORM zanith._refuse(format('Zanith''s own role %I may not create the schema zanith_pin', current_user),
            format('The owner of the database, or a superuser, runs: CREATE SCHEMA zanith_pin AUTHORIZATION %I.', current_user), '42501');
    END IF;
    PERFORM zanith._execute('CREATE SCHEMA zanith_pin', events),
        zanith._execute('COMMENT ON SCHEMA zanith_pin IS ''Zanith: a function here keeps its table from a plain DROP. See zanith guard pin.''', events);
END $$;

-- The same for the live table of an artifact of a column; of any other, nothing is to do: its pin moves with it.
CREATE OR REPLACE FUNCTION zanith._pin_live(artifact_id text, how text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    a zanith._zanith_migration_artifacts;
BEGIN
    IF zanith._schema_of_pins() IS NOT NULL THEN
        a := zanith._artifact(artifact_id);
        IF a.source_column IS NOT NULL THEN
            PERFORM zanith._pin(zanith._relation_oid(a.source_schema, a.source_table), how);
        END IF;
    END IF;
END $$;
