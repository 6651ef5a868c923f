-- TRUNCATE on demand. No event trigger fires for it, so a table that wants it has a trigger of its own: see zanith guard truncate.

-- Whether a table has the triggers, as the guard made them.
CREATE OR REPLACE FUNCTION zanith._guard_keeps_rows(relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT count(*) = 2 FROM pg_trigger t WHERE t.tgrelid = relation AND t.tgfoid = 'zanith._guard_truncate()'::regprocedure AND t.tgenabled = 'A'
); END $$;

-- The tables that a TRUNCATE which reaches this one reaches too: partitions and children, and with CASCADE the tables whose foreign keys refer to
-- it. TRUNCATE has locked all of them.
CREATE OR REPLACE FUNCTION zanith._guard_reached(root oid) RETURNS TABLE (relation oid)
LANGUAGE plpgsql STABLE ROWS 3 AS $$ BEGIN RETURN QUERY
    WITH RECURSIVE mine AS MATERIALIZED (
        SELECT l.relation AS oid FROM pg_locks l
        WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted AND l.mode = 'AccessExclusiveLock'
          AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
    ), reached(oid) AS (
        SELECT root
        UNION
        SELECT x.oid FROM reached r, LATERAL (
            SELECT i.inhrelid AS oid FROM pg_inherits i WHERE i.inhparent = r.oid
            UNION ALL SELECT k.conrelid FROM zanith._foreign_keys_to(ARRAY[r.oid]) k) x JOIN mine m ON m.oid = x.oid
    )
    SELECT r.oid FROM reached r;
END $$;

-- Those whose rows it deletes and that do not keep them by triggers of their own; itself first.
CREATE OR REPLACE FUNCTION zanith._guard_truncated(root oid) RETURNS TABLE (relation oid, name text, schema_name text, foreign_table boolean)
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY
    SELECT c.oid, zanith._relation_name(c.oid), n.nspname::text, c.relkind = 'f'
    FROM zanith._guard_reached(root) r JOIN pg_class c ON c.oid = r.relation AND c.relkind IN ('r', 'f') JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = root OR NOT zanith._guard_keeps_rows(c.oid)
    ORDER BY c.oid <> root, c.oid;
END $$;

-- A table that it reaches from this one by foreign keys, and whose rows those of this one refer to: neither could come back first.
CREATE OR REPLACE FUNCTION zanith._guard_find_ring(root oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._relation_name(k.confrelid) FROM zanith._guard_reached(root) r, LATERAL zanith._foreign_keys_to(ARRAY[r.relation]) k
    WHERE r.relation <> root AND k.conrelid = root AND EXISTS (SELECT FROM zanith._tree(r.relation) t JOIN pg_class c ON c.oid = t.member AND c.relkind = 'r' WHERE pg_relation_size(t.member) > 0)
    ORDER BY 1 LIMIT 1
); END $$;

-- Before the TRUNCATE of a table: keeps the rows of that table and of what goes with it. After it, the next TRUNCATE is another one.
CREATE OR REPLACE FUNCTION zanith._guard_truncate() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    t record;
    complete boolean := zanith._guard_keeps_rows(tg_relid);
BEGIN
    IF tg_when = 'AFTER' THEN
        PERFORM zanith._guard_forget_rows();
    ELSIF zanith._guard_is_on() THEN
        FOR t IN SELECT * FROM zanith._guard_truncated(tg_relid) LOOP
            CONTINUE WHEN t.relation <> tg_relid AND zanith._guard_has_asked(t.relation);
            PERFORM zanith._guard_rows(t.relation, t.name, t.schema_name, t.foreign_table);
            -- another table with the triggers may reach it too
            IF t.relation <> tg_relid AND complete THEN
                PERFORM zanith._guard_note_rows(t.relation, zanith._prove_caller());
            END IF;
        END LOOP;
    END IF;
    RETURN NULL;
END $$;

-- Whether another table of the same TRUNCATE has asked about the rows of this one.
CREATE OR REPLACE FUNCTION zanith._guard_has_asked(relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN EXISTS (
    SELECT FROM zanith._zanith_guard_facts f
    WHERE f.transaction = pg_current_xact_id_if_assigned() AND f.kind = 'rows' AND f.relation = _guard_has_asked.relation
); END $$;

-- Notes that they are kept by an artifact of this transaction, or that the rule lets them go.
CREATE OR REPLACE FUNCTION zanith._guard_note_rows(relation oid, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    rule jsonb := zanith._guard_rule(zanith._read_caller(proof), (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation));
BEGIN
    INSERT INTO zanith._zanith_guard_facts (kind, relation) SELECT 'rows', relation
    WHERE rule ->> 'mode' IN ('off', 'warn') OR EXISTS (
        SELECT FROM zanith._zanith_migration_artifacts a
        WHERE a.artifact_type = 'archive_rows' AND a.migration_id = zanith._guard_migration() AND a.definition #>> '{table,oid}' = relation::text);
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_forget_rows() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    DELETE FROM zanith._zanith_guard_facts f WHERE f.transaction = pg_current_xact_id_if_assigned() AND f.kind = 'rows';
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_copy_line(name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT format('Copy the rows first: SELECT zanith.archive_rows(%L); ', name) $$;

-- The rows of one table: copied, or refused, or let go, as the rule says. A table without a page has none.
CREATE OR REPLACE FUNCTION zanith._guard_rows(relation oid, name text, schema_name text, foreign_table boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    rule jsonb := zanith._guard_rule(current_user, schema_name);
    mode text := rule ->> 'mode';
    patience text := current_setting('zanith.lock_timeout', true);
    artifact text;
    other text;
BEGIN
    IF rule ->> 'rule' = 'off' AND mode = 'off' OR NOT foreign_table AND pg_relation_size(relation) = 0 THEN
        RETURN;
    ELSIF mode IN ('off', 'warn') THEN
        PERFORM zanith._guard_record_rows(relation, zanith._prove_caller());
        IF mode = 'warn' THEN
            RAISE WARNING 'guard: deleted for good: the rows of %', name USING HINT = format('Instead: SELECT zanith.archive_rows(%L);', name);
        END IF;
        RETURN;
    ELSIF mode = 'refuse' THEN
        PERFORM zanith._refuse(format('guard: TRUNCATE would delete for good: the rows of %s', name),
            concat(zanith._guard_copy_line(name), zanith._guard_way_out(rule)), '2BP01', 'The guard refuses every TRUNCATE of a guarded table here.');
    ELSIF foreign_table THEN
        PERFORM zanith._refuse(format('guard: TRUNCATE would delete for good: the rows of %s, which is a foreign table', name), zanith._guard_way_out(rule), '2BP01');
    END IF;
    PERFORM zanith._guard_check_role('the rows of table ' || name);
    IF pg_table_size(relation) > zanith._guard_copy_limit() THEN
        PERFORM zanith._refuse(format('guard: the rows of %s would be deleted for good: a copy would be larger than zanith.guard_copy_limit', name),
            concat(format('To copy them: SET LOCAL zanith.guard_copy_limit = ''%sMB''; ', pg_table_size(relation) / 1048576 + 1), zanith._guard_way_out(rule)), '54000',
            format('The table has %s, and the limit is %s.', pg_size_pretty(pg_table_size(relation)), pg_size_pretty(zanith._guard_copy_limit())));
    END IF;
    other := zanith._guard_find_ring(relation);
    IF other IS NOT NULL THEN
        PERFORM zanith._refuse(format('guard: the rows of %s would be deleted for good: they and the rows of %s refer to each other', name, other),
            concat('Copy both first, and drop a foreign key before you restore. ', zanith._guard_copy_line(name), zanith._guard_way_out(rule)), '0A000', 'Neither could come back before the other.');
    ELSIF (SELECT c.relforcerowsecurity FROM pg_class c WHERE c.oid = relation) AND NOT zanith._copies_directly(relation) THEN
        PERFORM zanith._refuse(format('guard: the rows of %s would be deleted for good: row security applies to their owner (FORCE), who has to copy them', name),
            concat(zanith._guard_copy_line(name), zanith._guard_way_out(rule)), '0A000', 'The guard cannot change the table while TRUNCATE has it in use.');
    END IF;
    -- the statement has waited for its locks
    PERFORM set_config('zanith.lock_timeout', current_setting('lock_timeout'), true);
    artifact := zanith._guard_capture('archive_rows', relation, NULL, 'TRUNCATE ' || name, rule);
    PERFORM set_config('zanith.lock_timeout', COALESCE(patience, ''), true);
    PERFORM zanith._guard_say(format('the rows of %s are kept as artifact %s', name, artifact));
END $$;

-- Writes to the audit log what a warning, or the setting zanith.guard, lets go. The caller has locked the table and may empty it.
CREATE OR REPLACE FUNCTION zanith._guard_record_rows(relation oid, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller text := zanith._read_caller(proof);
    rule jsonb := zanith._guard_rule(caller, (SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation));
BEGIN
    IF NOT has_table_privilege(caller, relation, 'TRUNCATE') OR NOT zanith._is_locked(relation) OR rule ->> 'rule' = 'off' THEN
        PERFORM zanith._refuse(format('%s does not truncate %s', quote_ident(caller), zanith._relation_name(relation)), 'Call the documented functions instead of this one.', '42501');
    END IF;
    PERFORM zanith._guard_log(caller, 'TRUNCATE', zanith._relation_name(relation), 'rows', rule ->> 'mode');
END $$;
