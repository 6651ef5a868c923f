-- The guard's rules, and the facts that a transaction has: what decides whether a drop may pass.

-- Whether the guard's event triggers are there and enabled.
CREATE OR REPLACE FUNCTION zanith._guard_is_on() RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (
    SELECT FROM pg_event_trigger e JOIN pg_proc p ON p.oid = e.evtfoid
    WHERE e.evtenabled <> 'D' AND p.proname = '_guard_dropped' AND p.pronamespace = 'zanith'::regnamespace
); END $$;

-- The modes, the strictest last.
CREATE OR REPLACE FUNCTION zanith._guard_modes() RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$ SELECT ARRAY['off', 'warn', 'capture', 'refuse'] $$;

-- The rule for a drop by a role in a schema: {rule, mode, may_turn_off, expires_in}. `rule` is the mode that the operator chose, `mode` the one
-- in force: the setting zanith.guard may make it stricter, and may turn it off where the rule allows that.
CREATE OR REPLACE FUNCTION zanith._guard_rule(of_role text, of_schema text) RETURNS jsonb
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule zanith._zanith_guard_rules;
    wanted text := NULLIF(current_setting('zanith.guard', true), '');
    modes text[] := zanith._guard_modes();
BEGIN
    SELECT * INTO rule FROM zanith._zanith_guard_rules r
    WHERE (r.schema_name IS NULL OR r.schema_name = of_schema) AND (r.role_name IS NULL OR r.role_name = of_role)
    ORDER BY num_nonnulls(r.schema_name, r.role_name) DESC, array_position(modes, r.mode) DESC LIMIT 1;
    rule.mode := COALESCE(rule.mode, 'off');
    RETURN jsonb_build_object('rule', rule.mode, 'may_turn_off', COALESCE(rule.may_turn_off, false), 'expires_in', rule.expires_in,
        'mode', CASE WHEN wanted = 'off' AND rule.may_turn_off OR array_position(modes, wanted) > array_position(modes, rule.mode)
                     THEN wanted ELSE rule.mode END);
END $$;

-- Whether any rule, or the setting, lets the guard act at all on what a role drops; not in Zanith's own work.
CREATE OR REPLACE FUNCTION zanith._guard_acts(of_role text) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    RETURN (EXISTS (SELECT FROM zanith._zanith_guard_rules r WHERE (r.role_name IS NULL OR r.role_name = of_role) AND r.mode <> 'off')
            OR NULLIF(current_setting('zanith.guard', true), '') <> 'off')
        AND NOT EXISTS (SELECT FROM zanith._zanith_guard_facts f WHERE f.transaction = pg_current_xact_id_if_assigned() AND f.kind = 'own work');
END $$;

-- A transaction of the engine's own, which drops only what it has recorded or what an operator purges. Only a role that may write Zanith's
-- tables can say so; for any other role, and without the guard, it does nothing.
CREATE OR REPLACE FUNCTION zanith.begin_own_work() RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    IF zanith._guard_is_on() AND NOT pg_is_in_recovery() AND current_setting('transaction_read_only') = 'off'
       AND has_table_privilege('zanith._zanith_guard_facts', 'INSERT') THEN
        PERFORM zanith._guard_sweep();
        INSERT INTO zanith._zanith_guard_facts (kind) VALUES ('own work');
    END IF;
END $$;
COMMENT ON FUNCTION zanith.begin_own_work() IS 'Zanith''s own transactions, such as a purge, pass the guard.';

-- Removes facts of transactions that ended. It waits for nobody.
CREATE OR REPLACE FUNCTION zanith._guard_sweep() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF current_setting('transaction_isolation') = 'read committed' THEN
        DELETE FROM zanith._zanith_guard_facts f WHERE f.ctid IN (
            SELECT o.ctid FROM zanith._zanith_guard_facts o WHERE o.transaction < pg_snapshot_xmin(pg_current_snapshot()) FOR UPDATE SKIP LOCKED);
        DELETE FROM zanith._zanith_guard_unnamed u WHERE u.ctid IN (
            SELECT o.ctid FROM zanith._zanith_guard_unnamed o WHERE o.transaction < pg_snapshot_xmin(pg_current_snapshot()) FOR UPDATE SKIP LOCKED);
        DELETE FROM zanith._zanith_guard_definitions d WHERE d.ctid IN (
            SELECT o.ctid FROM zanith._zanith_guard_definitions o WHERE o.transaction < pg_snapshot_xmin(pg_current_snapshot()) FOR UPDATE SKIP LOCKED);
        DELETE FROM zanith._zanith_guard_parts p WHERE p.ctid IN (
            SELECT o.ctid FROM zanith._zanith_guard_parts o WHERE o.transaction < pg_snapshot_xmin(pg_current_snapshot()) FOR UPDATE SKIP LOCKED);
    END IF;
END $$;

-- Called by _record_capture, and with `kept` by _run_own_step when the values are in the archive. A column that comes after those that its table
-- has now is added later in this transaction, so nothing of an earlier one is in it. A generated column holds no value of its own. A column that stays is
-- not dropped.
CREATE OR REPLACE FUNCTION zanith._note_captured(of_relation oid, d jsonb, kept boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF d ? 'stays' OR NOT zanith._guard_is_on() THEN
        RETURN;
    END IF;
    PERFORM zanith._guard_sweep();
    INSERT INTO zanith._zanith_guard_facts (kind, relation, attnum, attributes)
    SELECT 'captured', c.oid, CASE WHEN kept OR a.attgenerated <> '' THEN a.attnum ELSE 0 END, c.relnatts
    FROM (SELECT t.member, d #>> '{column,name}' FROM zanith._captured(of_relation, d) t WHERE d ? 'column'
          UNION ALL
          SELECT f.member, g.item #>> '{column,name}'
          FROM zanith._each(d #> '{cascade,columns}') g,
               LATERAL zanith._family(zanith._relation_oid(g.item #>> '{table,schema}', g.item #>> '{table,name}')) f) x(relation, named)
    JOIN pg_class c ON c.oid = x.relation JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = x.named AND NOT a.attisdropped;
END $$;

-- An empty object that the guard leaves for a DROP to find. A table that has no column, and no page, has nothing in it, so that its drop is
-- accounted for; a column is only looked for at the end of the statement.
CREATE OR REPLACE FUNCTION zanith._guard_expect(of_relation oid, number smallint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    IF number = 0 AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = of_relation AND c.relkind = 'r' AND c.relnatts = 0 AND pg_relation_size(c.oid) = 0) THEN
        PERFORM zanith._refuse(format('%s is no stand-in: it has columns', zanith._relation_name(of_relation)), 'Call the documented functions instead of this one.', '42501');
    END IF;
    INSERT INTO zanith._zanith_guard_facts (kind, relation, attnum) VALUES ('stand-in', of_relation, number);
END $$;

-- The extension whose script runs now; NULL where none does. The error takes the setting back. PostgreSQL makes whatever is created in one a member of it.
CREATE OR REPLACE FUNCTION zanith._guard_extension() RETURNS oid
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found text;
BEGIN
    IF zanith._find_temporary() IS NOT NULL THEN
        RETURN NULL; -- the probe could run code of this session; without it, members count as any table
    END IF;
    PERFORM set_config('zanith.guard_busy', 'on', true);
    CREATE TABLE _zanith_shadow._zanith_probe ();
    SELECT d.refobjid::text INTO found FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = zanith._relation_oid('_zanith_shadow', '_zanith_probe')
        AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e';
    RAISE SQLSTATE 'ZG001' USING MESSAGE = COALESCE(found, '');
EXCEPTION WHEN SQLSTATE 'ZG001' THEN
    RETURN NULLIF(SQLERRM, '')::oid;
END $$;

-- Whether a script of an extension runs: tables of that extension are the script's to drop, in this statement.
CREATE OR REPLACE FUNCTION zanith._guard_accept_members() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    extension oid := zanith._guard_extension();
BEGIN
    INSERT INTO zanith._zanith_guard_facts (kind, relation)
    SELECT 'member', d.objid FROM pg_depend d
    WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.refclassid = 'pg_extension'::regclass AND d.refobjid = extension AND d.deptype = 'e';
    RETURN extension IS NOT NULL;
END $$;
