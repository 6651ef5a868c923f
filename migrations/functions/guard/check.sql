-- The checks of every statement, whatever captured its data: what was dropped is accounted for, and what was left for it to drop is gone.

-- What the statement of a sql_drop event dropped without its data being anywhere else, each with the rule that applies: [{type, identity, rule,
-- setting, line}]. `setting`: only zanith.guard lets it pass.
CREATE OR REPLACE FUNCTION zanith._guard_find_losses(of_role text) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine xid8 := pg_current_xact_id_if_assigned();
    scripted boolean;
BEGIN
    IF EXISTS (SELECT FROM zanith._zanith_guard_facts f WHERE f.transaction = mine AND f.kind = 'own work') THEN
        RETURN '[]';
    END IF;
    -- a script that ended let its tables go, and nothing that follows does
    scripted := EXISTS (SELECT FROM zanith._zanith_guard_facts f WHERE f.transaction = mine AND f.kind = 'member') AND zanith._guard_extension() IS NOT NULL;
    RETURN (
        SELECT zanith._list(jsonb_build_object('type', x.item -> 'type', 'identity', x.item -> 'identity', 'rule', r.rule, 'line', zanith._guard_line(x.item)) ORDER BY x.ord)
        FROM zanith._each(zanith._guard_list_dropped()) x, LATERAL (
            -- a restore that was not finished is undone by recovery_sql: that is recorded, and not refused
            SELECT zanith._guard_rule(of_role, x.item ->> 'schema') || CASE WHEN zanith._guard_is_unfinished(x.item) THEN '{"mode": "off"}' ELSE '{}' END::jsonb) r(rule)
        WHERE (zanith._guard_holds_data(x.item) OR zanith._guard_deletes_field(x.item)) AND r.rule ->> 'rule' <> 'off'
          AND NOT EXISTS (
            SELECT FROM zanith._zanith_guard_facts f
            WHERE f.transaction = mine AND f.relation = (x.item ->> 'oid')::oid
              AND CASE WHEN f.kind = 'member' THEN scripted
                       WHEN (x.item ->> 'attnum')::integer = 0 THEN f.kind = 'stand-in' AND f.attnum = 0
                       ELSE f.kind = 'captured' AND (f.attnum = (x.item ->> 'attnum')::integer OR f.attributes < (x.item ->> 'attnum')::integer) END)
          AND NOT zanith._guard_is_helper(x.item #>> '{names,0}', x.item #>> '{names,1}')
    );
END $$;

-- The id of the artifact that a parked name has in it.
CREATE OR REPLACE FUNCTION zanith._guard_artifact_of(name text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN (
    SELECT a.id FROM zanith._zanith_migration_artifacts a WHERE a.id = substring(name FROM '_([0-9a-f]{12})(?:_[0-9]+)?$')
); END $$;

-- A table of Zanith's own that no artifact needs: an empty placeholder of a parent, or keys that online work noted in the shadow schema.
CREATE OR REPLACE FUNCTION zanith._guard_is_helper(of_schema text, name text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    a zanith._zanith_migration_artifacts;
BEGIN
    SELECT * INTO a FROM zanith._zanith_migration_artifacts r WHERE r.id = zanith._guard_artifact_of(name);
    IF EXISTS (SELECT FROM zanith._each(a.definition -> 'placeholders') p WHERE p.item ->> 'parked' = name AND a.definition #>> '{parked,schema}' = of_schema) THEN
        RETURN true;
    END IF;
    RETURN of_schema = '_zanith_shadow' AND (a.id IS NULL OR NOT (
        name = a.physical_table OR EXISTS (SELECT FROM zanith._each(a.definition -> 'members') m WHERE m.item ->> 'parked' = name)));
END $$;

-- A column that an online restore had begun to fill, in the table of its artifact: the archive still has the values.
CREATE OR REPLACE FUNCTION zanith._guard_is_unfinished(dropped jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN dropped ->> 'type' = 'table column' AND EXISTS (
    SELECT FROM zanith._zanith_migration_artifacts a
    WHERE a.id = zanith._guard_artifact_of(dropped #>> '{names,2}') AND zanith._half_filled(a.id) = dropped #>> '{names,2}'
      AND zanith._strategy_is(a.artifact_type, 'values') AND (a.definition #>> '{table,oid}')::oid = (dropped ->> 'oid')::oid
); END $$;

-- An attribute of a composite type that a column has: PostgreSQL deletes its values in each row.
CREATE OR REPLACE FUNCTION zanith._guard_deletes_field(dropped jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN dropped ->> 'type' = 'composite type column'
        AND zanith._find_stored_values(ARRAY(SELECT c.reltype FROM pg_class c WHERE c.oid = (dropped ->> 'oid')::oid)) IS NOT NULL;
END $$;

-- What to use instead of the drop.
CREATE OR REPLACE FUNCTION zanith._guard_line(dropped jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    name text := zanith._qualify(dropped #>> '{names,0}', dropped #>> '{names,1}');
    parked text := zanith._guard_artifact_of(COALESCE(dropped #>> '{names,2}', dropped #>> '{names,1}'));
BEGIN RETURN CASE
    WHEN parked IS NOT NULL THEN format('zanith recover purge %s', parked)
    WHEN dropped ->> 'type' = 'composite type column' THEN 'CREATE TYPE …; ALTER TABLE … ALTER COLUMN … TYPE … USING …; with a type that has no such attribute.'
    WHEN dropped ->> 'type' = 'table' THEN format('SELECT zanith.archive_table(%L, on_dependents => ''cascade'');', name)
    ELSE format('SELECT zanith.archive_column(%L, %L, on_dependents => ''cascade'');', name, dropped #>> '{names,2}') END;
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_start() RETURNS event_trigger
LANGUAGE plpgsql AS $$ BEGIN
    PERFORM zanith._guard_begin(tg_tag, pg_catalog.current_setting('search_path'));
END $$;

-- Whether the text that was sent may run the script of an extension. The setting keeps a long text from being searched again for each of its
-- statements; a wrong one leads to a refusal.
CREATE OR REPLACE FUNCTION zanith._guard_names_extension() RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    key text := extract(epoch FROM statement_timestamp());
BEGIN
    IF current_setting('zanith.guard_no_script', true) = key THEN
        RETURN false;
    ELSIF current_query() COLLATE "C" ~* 'extension' THEN
        RETURN true;
    ELSIF length(current_query()) > 1000 THEN
        PERFORM set_config('zanith.guard_no_script', key, false);
    END IF;
    RETURN false;
END $$;

-- Lets PostgreSQL process the changes of its caches. After ALTER DOMAIN ... DROP CONSTRAINT in the same transaction it has not, and then 15 to 18
-- refuse each change of the catalog in a subtransaction, which a rehearsal is: "there are unprocessed inval messages".
CREATE OR REPLACE FUNCTION zanith._guard_flush_changes() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    DELETE FROM zanith._zanith_guard_facts WHERE false;
END $$;

-- Captures what the statement is about to drop. `path` is the caller's. The two settings only keep it from a capture; then the check refuses.
CREATE OR REPLACE FUNCTION zanith._guard_begin(tag text, path text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tokens text[];
BEGIN
    IF 'on' IN (current_setting('zanith.guard_busy', true), current_setting('zanith.guard_rehearsal', true)) THEN
        RETURN;
    END IF;
    IF zanith._guard_names_extension() AND zanith._guard_accept_members() THEN
        PERFORM set_config('zanith.guard_left', 'on', true);
        RETURN;
    END IF;
    tokens := zanith._guard_statement(tag);
    IF tokens IS NULL OR NOT zanith._guard_acts(current_user) THEN
        RETURN;
    END IF;
    -- what is called can run the script of an extension
    IF zanith._guard_frames() <> '' AND zanith._guard_accept_members() THEN
        PERFORM set_config('zanith.guard_left', 'on', true);
        RETURN;
    END IF;
    -- no function has it as its own setting: only a superuser could create that
    PERFORM set_config('zanith.guard_busy', 'on', true), zanith._guard_flush_changes();
    IF tag = 'DROP SCHEMA' THEN
        PERFORM zanith._guard_schemas(tokens), zanith._guard_cascade(tag, tokens, path);
    ELSIF tag = 'DROP TABLE' THEN
        PERFORM zanith._guard_tables(array_to_string(tokens, ' '), path);
    ELSIF tag = 'ALTER TABLE' THEN
        PERFORM zanith._guard_columns(tokens, path);
    -- the part of a table
    ELSIF tag NOT IN ('DROP INDEX', 'DROP POLICY', 'DROP RULE', 'DROP SEQUENCE', 'DROP STATISTICS', 'DROP TRIGGER') THEN
        PERFORM zanith._guard_cascade(tag, tokens, path);
    ELSIF lower(tokens[3] COLLATE "C") <> 'concurrently' THEN
        PERFORM zanith._guard_other(array_to_string(tokens, ' '), path);
    END IF;
    PERFORM set_config('zanith.guard_busy', '', true);
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_dropped() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    losses jsonb;
BEGIN
    IF current_setting('zanith.guard_rehearsal', true) = 'on' THEN
        -- another event trigger of the rehearsed statement drops this; that statement comes after it
        IF zanith._guard_is_nested() THEN
            RETURN;
        END IF;
        RAISE SQLSTATE 'ZG000' USING MESSAGE = zanith._guard_list_dropped();
    END IF;
    -- this alone is asked where nothing of the kind goes, so that a broken guard stops no other DDL
    IF NOT EXISTS (SELECT FROM pg_event_trigger_dropped_objects() o WHERE o.object_type IN ('table', 'table column', 'composite type column') AND NOT o.is_temporary) THEN
        RETURN;
    END IF;
    losses := zanith._guard_find_losses(current_user);
    PERFORM zanith._guard_refuse(tg_tag, losses, 'delete');
    IF losses <> '[]' THEN
        PERFORM zanith._guard_record(tg_tag, zanith._prove_caller());
        IF EXISTS (SELECT FROM zanith._each(losses) x WHERE x.item #>> '{rule,mode}' = 'warn') THEN
            RAISE WARNING 'guard: deleted for good: %', zanith._guard_names(losses, '{warn}') USING HINT = 'Instead: ' || (losses #>> '{0,line}');
        END IF;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_names(losses jsonb, modes text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(format('%s %s', CASE x.item ->> 'type' WHEN 'table column' THEN 'column' WHEN 'composite type column' THEN 'attribute' ELSE x.item ->> 'type' END, x.item ->> 'identity'), ', ' ORDER BY x.ord)
    FROM zanith._each(losses) x WHERE x.item #>> '{rule,mode}' = ANY (modes)
); END $$;

-- Raises where a loss is not allowed, and says what to use.
CREATE OR REPLACE FUNCTION zanith._guard_refuse(tag text, losses jsonb, verb text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    names text := zanith._guard_names(losses, '{refuse,capture}');
    drops boolean := verb = 'delete';
    first jsonb;
BEGIN
    IF names IS NULL THEN
        RETURN;
    END IF;
    SELECT x.item INTO first FROM zanith._each(losses) x WHERE x.item #>> '{rule,mode}' IN ('refuse', 'capture') ORDER BY x.ord LIMIT 1;
    PERFORM zanith._refuse(
        format('guard: %s would %s for good: %s', tag, verb, names),
        concat(CASE WHEN tag = 'DROP OWNED' THEN 'Use: REASSIGN OWNED BY … TO …; first. ' WHEN drops THEN concat('Use: ', first ->> 'line', ' ') ELSE first ->> 'line' END,
            zanith._guard_way_out(first -> 'rule')),
        '2BP01',
        CASE WHEN first #>> '{rule,mode}' = 'refuse' THEN format('The guard refuses every %s here.', CASE WHEN drops THEN 'drop' ELSE 'change of a type that can lose something' END)
             WHEN tag IN ('DROP TABLE', 'ALTER TABLE') THEN 'It captured nothing: it did not find this statement alone in its text, or a script of an extension runs it. Send the statement by itself.'
             WHEN tag = 'DROP OWNED' THEN 'A captured table belongs to its owner as before, so that the statement would drop it all the same.'
             ELSE format('The guard does not capture what %s %s.', tag, CASE WHEN drops THEN 'drops' ELSE 'converts' END) END);
END $$;

-- Writes to the audit log what a warning, or the setting zanith.guard, let go. It reads what was dropped from PostgreSQL, so that it records
-- nothing else.
CREATE OR REPLACE FUNCTION zanith._guard_record(tag text, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller text := zanith._read_caller(proof);
BEGIN
    PERFORM zanith._guard_log(caller, tag, x.item ->> 'identity', x.item ->> 'type', x.item #>> '{rule,mode}')
    FROM (SELECT l.item FROM zanith._each(zanith._guard_find_losses(caller)) l ORDER BY l.ord) x;
END $$;

-- One entry of the audit log, as the role that may write it.
CREATE OR REPLACE FUNCTION zanith._guard_log(caller text, tag text, object text, deleted text, mode text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    named text := NULLIF(current_setting('zanith.actor', true), '');
BEGIN
    IF length(named) > 200 THEN
        named := NULL;
    END IF;
    INSERT INTO zanith._zanith_audit_log (actor, db_role, address, action, outcome, object, detail)
    VALUES (COALESCE(named, caller), caller, host(inet_client_addr()), 'guard', 'done', object,
           jsonb_build_object('deleted', deleted, 'command', tag, 'mode', mode, 'turned_off', mode = 'off',
               'application', NULLIF(current_setting('application_name'), '')));
    IF zanith._guard_may_notify() THEN
        PERFORM pg_notify('zanith', '{"event": "audit", "id": ""}');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_end() RETURNS event_trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    -- a hint only: without it there is nothing to look for. What an event trigger runs within the statement does not end it.
    IF current_setting('zanith.guard_left', true) = 'on' AND current_setting('zanith.guard_busy', true) IS DISTINCT FROM 'on' AND NOT zanith._guard_is_nested() THEN
        PERFORM set_config('zanith.guard_left', '', true);
        PERFORM zanith._guard_settle(tg_tag);
    END IF;
END $$;

-- Raises where an empty object is left: the statement dropped something else than was captured for it.
CREATE OR REPLACE FUNCTION zanith._guard_settle(tag text) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine xid8 := pg_current_xact_id_if_assigned();
    names text;
BEGIN
    SELECT string_agg(COALESCE(format_type(t.oid, NULL), concat_ws('.', zanith._relation_name(c.oid), quote_ident(a.attname))), ', ') INTO names
    FROM zanith._zanith_guard_facts f LEFT JOIN pg_class c ON c.oid = f.relation AND f.attnum >= 0 LEFT JOIN pg_type t ON t.oid = f.relation AND f.attnum = -1
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = f.attnum AND f.attnum > 0
    WHERE f.transaction = mine AND f.kind = 'stand-in' AND COALESCE(c.oid, t.oid) IS NOT NULL AND (f.attnum <= 0 OR NOT a.attisdropped);
    IF names IS NOT NULL THEN
        PERFORM zanith._refuse(format('guard: %s did not drop %s, which was captured for it', tag, names),
            'Send the statement by itself, not in one string with others.', '0A000', 'The guard took another statement of the string for this one. Nothing was changed.');
    END IF;
    names := zanith._guard_find_unchanged(mine);
    IF names IS NOT NULL THEN
        PERFORM zanith._refuse(format('guard: %s gave %s another type than the guard found in the text', tag, names),
            'Send the statement by itself, not in one string with others.', '0A000', 'The guard took another statement of the string for this one. Nothing was changed.');
    END IF;
    DELETE FROM zanith._zanith_guard_facts f WHERE f.transaction = mine AND f.kind IN ('stand-in', 'member', 'types');
    PERFORM zanith._guard_settle_definitions();
END $$;
