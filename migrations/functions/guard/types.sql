-- ALTER TABLE … ALTER COLUMN … TYPE: what the conversion could lose is copied first (archive_values). PostgreSQL says by its event table_rewrite that
-- it converts values, so a change of type for which it does not rewrite the table loses none, and passes.

-- The columns of a table as they are now: [{name, type, modifier}].
CREATE OR REPLACE FUNCTION zanith._guard_list_types(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('name', a.attname, 'type', a.atttypid::bigint, 'modifier', a.atttypmod) ORDER BY a.attnum)
    FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped
); END $$;

-- The base type of a domain, whose values it has, with its modifier; any other type as it is.
CREATE OR REPLACE FUNCTION zanith._guard_beneath(type oid, modifier integer, OUT base oid, OUT base_modifier integer)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    t record;
BEGIN
    base := type;
    base_modifier := modifier;
    LOOP
        SELECT d.typbasetype, d.typtypmod INTO t FROM pg_type d WHERE d.oid = base AND d.typtype = 'd';
        EXIT WHEN NOT FOUND;
        base := t.typbasetype;
        base_modifier := t.typtypmod;
    END LOOP;
END $$;

-- Whether each value of a type, converted by the cast alone, converts back to itself. False where that is not known.
CREATE OR REPLACE FUNCTION zanith._guard_keeps_values(old oid, old_modifier integer, new oid, new_modifier integer) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    named text[];
BEGIN
    SELECT b.base, b.base_modifier INTO old, old_modifier FROM zanith._guard_beneath(old, old_modifier) b;
    SELECT b.base, b.base_modifier INTO new, new_modifier FROM zanith._guard_beneath(new, new_modifier) b;
    IF old = new AND new_modifier IN (-1, old_modifier) THEN
        RETURN true;
    ELSIF EXISTS (SELECT FROM pg_cast c WHERE c.castsource = old AND c.casttarget = new AND c.oid >= 16384) THEN
        RETURN false; -- somebody's own
    END IF;
    SELECT ARRAY[CASE WHEN o.typtype = 'e' THEN 'enum' ELSE o.oid::regtype::text END, n.oid::regtype::text] INTO named FROM pg_type o, pg_type n WHERE o.oid = old AND n.oid = new;
    RETURN CASE
        WHEN named[2] = 'numeric' AND new_modifier <> -1 THEN
            zanith._guard_scale(new_modifier) >= CASE named[1] WHEN 'numeric' THEN NULLIF(zanith._guard_scale(old_modifier), -2000) WHEN 'smallint' THEN 0 WHEN 'integer' THEN 0 WHEN 'bigint' THEN 0 END
        WHEN old = new THEN
            named[1] IN ('character varying', 'character', 'bit varying', 'timestamp without time zone', 'timestamp with time zone', 'time without time zone', 'time with time zone')
            AND old_modifier BETWEEN 0 AND new_modifier
        WHEN new_modifier <> -1 THEN false
        ELSE (named[1], named[2]) IN (
            ('smallint', 'integer'), ('smallint', 'bigint'), ('smallint', 'numeric'), ('smallint', 'real'), ('smallint', 'double precision'),
            -- a value that is too large is an error
            ('integer', 'smallint'), ('bigint', 'smallint'), ('bigint', 'integer'),
            ('integer', 'bigint'), ('integer', 'numeric'), ('integer', 'double precision'), ('bigint', 'numeric'), ('real', 'double precision'),
            ('date', 'timestamp without time zone'), ('cidr', 'inet'), ('character varying', 'text'), ('text', 'character varying'))
            OR named[1] IN ('smallint', 'integer', 'bigint', 'boolean', 'uuid', 'enum') AND named[2] IN ('text', 'character varying') END IS TRUE;
END $$;

-- The scale of the modifier of a numeric; -2000 where it has none.
CREATE OR REPLACE FUNCTION zanith._guard_scale(modifier integer) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN modifier < 4 THEN -2000 ELSE (((modifier - 4) & 2047) # 1024) - 1024 END $$;

-- The columns of a table that get another type or computed values, and whether that keeps their values; `width`: the characters that the new type
-- takes, where a value could be cut off. A generated column has no values of its own.
CREATE OR REPLACE FUNCTION zanith._guard_changed_types(root oid, wanted jsonb, plain text[], computed text[]) RETURNS TABLE (name text, keeps boolean, width integer)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN RETURN QUERY
    SELECT a.attname::text, (a.attname = ANY (plain::name[]) AND NOT a.attname = ANY (computed::name[]) AND zanith._guard_keeps_values(a.atttypid, a.atttypmod, (w.item ->> 'type')::oid, (w.item ->> 'modifier')::integer)) IS TRUE,
           CASE WHEN a.attname = ANY (plain::name[]) AND NOT a.attname = ANY (computed::name[]) AND a.atttypid IN ('text'::regtype, 'varchar'::regtype) AND (w.item ->> 'type')::oid = 'varchar'::regtype
                THEN NULLIF((w.item ->> 'modifier')::integer, -1) - 4 END
    FROM zanith._each(wanted) w JOIN pg_attribute a ON a.attrelid = root AND a.attname = w.item ->> 'name' AND NOT a.attisdropped
    WHERE a.attgenerated = '' AND ((w.item ->> 'type')::oid <> a.atttypid OR (w.item ->> 'modifier')::integer <> a.atttypmod OR a.attname = ANY (computed::name[]))
    ORDER BY a.attnum;
END $$;

-- Whether a table, its partitions and its children have no row, and nobody else can add one.
CREATE OR REPLACE FUNCTION zanith._guard_is_empty(root oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT sum(pg_relation_size(f.member)) = 0 AND zanith._are_locked(array_agg(f.member)) FROM zanith._family(root) f JOIN pg_class c ON c.oid = f.member AND c.relkind IN ('r', 'p')
); END $$;

-- Whether each value of a column has at most as many characters. False where this role may not read all rows, or where code of an owner's could run.
CREATE OR REPLACE FUNCTION zanith._guard_fits(root oid, table_name text, column_name text, width integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET row_security = off AS $$
DECLARE
    found boolean;
BEGIN
    -- the statement converts the latest rows, and a snapshot shows older ones
    IF current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') OR zanith._reads_as(root) IS NOT NULL THEN
        RETURN false;
    END IF;
    EXECUTE format('SELECT NOT EXISTS (SELECT FROM %s t WHERE char_length(t.%I) > %s)', table_name, column_name, width) INTO found;
    RETURN found;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN false;
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_convert_line(name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('Instead, add a column of the new type, copy the values into it, and drop %s. ', name)
$$;

-- `statement` changes the types as the one that runs does. What could be lost is copied, or refused, as the rule says.
CREATE OR REPLACE FUNCTION zanith._guard_types(root oid, statement text, plain text[], computed text[], said text, rule jsonb, path text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    wanted jsonb;
    bytes bigint;
    fitting text[] := '{}';
    table_name text := zanith._relation_name(root);
    c record;
    artifact text;
    changed_key text;
    patience text := current_setting('zanith.lock_timeout', true);
BEGIN
    IF rule ->> 'rule' = 'off' AND rule ->> 'mode' = 'off' THEN
        RETURN;
    END IF;
    -- what PostgreSQL refuses, and what it does not rewrite, has none
    wanted := zanith._guard_rehearse(statement, path) -> 'types';
    -- a name with escapes is not read: then the second side refuses
    IF wanted IS NULL OR EXISTS (SELECT FROM unnest(computed) n(name) WHERE zanith._attribute_number(root, n.name::name) IS NULL) THEN
        RETURN;
    END IF;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', table_name);
    bytes := (SELECT sum(pg_relation_size(f.member)) FROM zanith._family(root) f);
    FOR c IN SELECT t.* FROM zanith._guard_changed_types(root, wanted, plain, computed) t WHERE NOT t.keeps AND t.width IS NOT NULL LOOP
        fitting := fitting || CASE WHEN zanith._guard_fits(root, table_name, c.name, c.width) THEN ARRAY[c.name] ELSE '{}' END;
    END LOOP;
    PERFORM set_config('zanith.lock_timeout', current_setting('lock_timeout'), true);
    FOR c IN SELECT t.name AS attname, format('%s.%I', table_name, t.name) AS name FROM zanith._guard_changed_types(root, wanted, plain, computed) t
             WHERE NOT (t.keeps OR t.name = ANY (fitting)) AND rule ->> 'mode' = 'capture' AND NOT zanith._guard_is_empty(root) LOOP
        PERFORM zanith._guard_check_role('the values of ' || c.name);
        IF bytes > zanith._guard_copy_limit() THEN
            PERFORM zanith._refuse(format('guard: the values of %s would be converted for good: a copy could be larger than zanith.guard_copy_limit', c.name),
                concat(zanith._guard_convert_line(c.name), format('To copy them: SET LOCAL zanith.guard_copy_limit = ''%sMB''; ', bytes / 1048576 + 1), zanith._guard_way_out(rule)), '54000',
                format('The table has %s, and the limit is %s.', pg_size_pretty(bytes), pg_size_pretty(zanith._guard_copy_limit())));
        END IF;
        SELECT k.item ->> 'name' INTO changed_key FROM zanith._each(zanith._find_key(root, zanith._attribute_number(root, c.attname))) k
        JOIN zanith._guard_changed_types(root, wanted, plain, computed) t ON t.name = k.item ->> 'name' LIMIT 1;
        IF FOUND THEN
            PERFORM zanith._refuse(format('guard: the values of %s would be converted for good: the statement also changes the key column %I, by which they would be kept', c.name, changed_key),
                concat('Change the key in a statement of its own. ', zanith._guard_way_out(rule)), '0A000');
        END IF;
        artifact := zanith._guard_capture('archive_values', root, c.attname, said, rule);
        PERFORM zanith._guard_say(format('the values of %s are kept as artifact %s', c.name, artifact));
    END LOOP;
    PERFORM set_config('zanith.lock_timeout', COALESCE(patience, ''), true);
    PERFORM zanith._guard_expect_types(root, wanted, plain, computed, fitting);
    PERFORM set_config('zanith.guard_left', 'on', true);
END $$;

-- Notes the types that the columns of a table, and of its partitions and children, may have after the statement: those whose values are kept, or are
-- archived in this transaction. `plain`, `computed` and `fitting` are what the caller read of the statement and of the rows.
CREATE OR REPLACE FUNCTION zanith._guard_expect_types(root oid, wanted jsonb, plain text[], computed text[], fitting text[]) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    allowed jsonb := (
        SELECT COALESCE(jsonb_object_agg(c.name, jsonb_build_array(w.item -> 'type', w.item -> 'modifier')), '{}')
        FROM zanith._guard_changed_types(root, wanted, plain, computed) c JOIN zanith._each(wanted) w ON w.item ->> 'name' = c.name
        WHERE c.keeps OR c.width IS NOT NULL AND c.name = ANY (fitting) OR zanith._guard_is_empty(root) OR EXISTS (
            SELECT FROM zanith._zanith_migration_artifacts a
            WHERE a.artifact_type = 'archive_values' AND a.definition #>> '{table,oid}' = root::text AND a.source_column = c.name
              AND a.recovery_sql IS NOT NULL AND zanith._guard_wrote(a.xmin)
              -- it was not another column that had the name
              AND (a.definition ->> 'attnum')::smallint = zanith._attribute_number(root, c.name)));
    -- their type may stay, as in TYPE text USING 'x'
    denied text[] := ARRAY(SELECT c.name FROM zanith._guard_changed_types(root, wanted, plain, computed) c WHERE NOT allowed ? c.name);
BEGIN
    INSERT INTO zanith._zanith_guard_facts (kind, relation, attributes, types)
    SELECT 'types', c.oid, c.relnatts, (
        SELECT jsonb_object_agg(a.attnum, CASE WHEN a.attname = ANY (denied::name[]) THEN 'null' ELSE COALESCE(allowed -> a.attname, jsonb_build_array(a.atttypid::bigint, a.atttypmod)) END)
               || jsonb_build_object('changed', zanith._list(to_jsonb(a.attnum)) FILTER (WHERE allowed ? a.attname))
        FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = '')
    FROM zanith._family(root) f JOIN pg_class c ON c.oid = f.member AND c.relkind = 'r';
END $$;

-- The columns that did not get the type that was noted, at the end of the statement.
CREATE OR REPLACE FUNCTION zanith._guard_find_unchanged(mine xid8) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT string_agg(format('%s.%I', zanith._relation_name(f.relation), a.attname), ', ' ORDER BY f.relation, a.attnum)
    FROM zanith._zanith_guard_facts f JOIN pg_attribute a ON a.attrelid = f.relation AND f.types -> 'changed' @> to_jsonb(a.attnum) AND NOT a.attisdropped
    WHERE f.transaction = mine AND f.kind = 'types' AND f.types -> a.attnum::text <> jsonb_build_array(a.atttypid::bigint, a.atttypmod)
); END $$;

-- The columns of the table of a table_rewrite event whose values it converts, and that nothing keeps, each with the rule that applies: [{type,
-- identity, rule, line}]. Without a note of the types, those that this transaction changed.
CREATE OR REPLACE FUNCTION zanith._guard_find_retyped(of_role text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine xid8 := pg_current_xact_id_if_assigned();
    rewritten oid := pg_event_trigger_table_rewrite_oid();
    name text := zanith._relation_name(rewritten);
    rule jsonb := zanith._guard_rule(of_role, (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = rewritten));
    noted zanith._zanith_guard_facts;
BEGIN
    IF rule ->> 'rule' = 'off' OR EXISTS (SELECT FROM zanith._zanith_guard_facts f WHERE f.transaction = mine AND f.kind = 'own work')
       OR EXISTS (SELECT FROM zanith._zanith_guard_facts f WHERE f.transaction = mine AND f.kind = 'member' AND f.relation = rewritten) AND zanith._guard_extension() IS NOT NULL THEN
        RETURN '[]';
    END IF;
    SELECT * INTO noted FROM zanith._zanith_guard_facts f WHERE f.transaction = mine AND f.kind = 'types' AND f.relation = rewritten;
    RETURN (
        SELECT zanith._list(jsonb_build_object('type', 'table column', 'identity', format('%s.%I', name, a.attname), 'rule', rule,
            'line', zanith._guard_convert_line(format('%s.%I', name, a.attname))) ORDER BY a.attnum)
        FROM pg_attribute a WHERE a.attrelid = rewritten AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
         AND CASE WHEN noted.types IS NULL THEN zanith._guard_wrote(a.xmin)
                  ELSE a.attnum <= noted.attributes AND noted.types -> a.attnum::text IS DISTINCT FROM jsonb_build_array(a.atttypid::bigint, a.atttypmod) END);
END $$;

-- Refuses what converts values that nothing keeps; in a rehearsal, says which types the columns get.
CREATE OR REPLACE FUNCTION zanith._guard_rewritten() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rewritten oid := pg_event_trigger_table_rewrite_oid();
    losses jsonb;
BEGIN
    -- 4: the values of a column change
    IF pg_event_trigger_table_rewrite_reason() & 4 = 0 OR NOT EXISTS (
        SELECT FROM pg_class c WHERE c.oid = rewritten AND c.relkind = 'r' AND c.relpersistence <> 't') THEN
        RETURN;
    ELSIF current_setting('zanith.guard_rehearsal', true) = 'on' THEN
        -- as in _guard_dropped
        IF zanith._guard_is_nested() THEN
            RETURN;
        END IF;
        RAISE SQLSTATE 'ZG000' USING MESSAGE = jsonb_build_object('types', zanith._guard_list_types(rewritten));
    END IF;
    losses := zanith._guard_find_retyped(current_user);
    PERFORM zanith._guard_refuse(tg_tag, losses, 'convert');
    IF losses <> '[]' THEN
        PERFORM zanith._guard_record_retyped(tg_tag, zanith._prove_caller());
        IF losses #>> '{0,rule,mode}' = 'warn' THEN
            RAISE WARNING 'guard: converted for good: %', zanith._guard_names(losses, '{warn}') USING HINT = rtrim(losses #>> '{0,line}');
        END IF;
    END IF;
END $$;

-- Writes to the audit log what a warning, or the setting zanith.guard, lets PostgreSQL convert.
CREATE OR REPLACE FUNCTION zanith._guard_record_retyped(tag text, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller text := zanith._read_caller(proof);
BEGIN
    PERFORM zanith._guard_log(caller, tag, x.item ->> 'identity', 'values', x.item #>> '{rule,mode}')
    FROM (SELECT l.item FROM zanith._each(zanith._guard_find_retyped(caller)) l ORDER BY l.ord) x;
END $$;
