-- Following: what keeps half-done work true while live traffic goes on. A table of keys, a function, and triggers.

-- The table of keys and the function of an artifact's unfinished work bear one name.
CREATE OR REPLACE FUNCTION zanith._follow_name(id text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT zanith._qualify('_zanith_shadow', '_zanith_follow_' || id) $$;

-- Where its work stands: archiving, restoring, or NULL where none is under way. The comment of the table of keys says it.
CREATE OR REPLACE FUNCTION zanith.unfinished(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$ BEGIN RETURN (
    SELECT substring(zanith._unfinished_says(artifact_id) FROM '^zanith unfinished ([a-z]+)')
); END $$;
COMMENT ON FUNCTION zanith.unfinished IS 'The unfinished work of an artifact: archiving, restoring, or NULL.';

-- What the comment of the table of keys says; nobody but Zanith or a superuser is believed.
CREATE OR REPLACE FUNCTION zanith._unfinished_says(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT obj_description(c.oid, 'pg_class') FROM pg_class c
    WHERE c.oid = zanith._relation_oid('_zanith_shadow', '_zanith_follow_' || artifact_id) AND zanith._is_trusted(pg_get_userbyid(c.relowner))
); END $$;

-- Whether two values differ in any byte. For most types = says it, in half the time; text by the collation that knows of bytes
-- alone. To others (1.0 and 1.00, 1 day and 24 hours) it calls things alike that are not, and some have none.
CREATE OR REPLACE FUNCTION zanith._differ(type text, one text, other text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN to_regtype(type) IN ('text'::regtype, 'varchar'::regtype)
            THEN format('((%s)::text COLLATE pg_catalog."C") IS DISTINCT FROM ((%s)::text COLLATE pg_catalog."C")', one, other)
        WHEN to_regtype(type) IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype, 'boolean'::regtype, 'date'::regtype, 'timestamp'::regtype,
                                  'timestamptz'::regtype, 'uuid'::regtype, 'bytea'::regtype)
            THEN format('%s IS DISTINCT FROM %s', one, other)
        ELSE format('ROW(%s)::record OPERATOR(pg_catalog.*<>) ROW(%s)::record', one, other) END
$$;

-- Whether a row's key, and with a column its value too, is another than it was: for the WHEN of a trigger.
CREATE OR REPLACE FUNCTION zanith._changed(key jsonb, col text DEFAULT NULL, type text DEFAULT NULL) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT string_agg('(' || zanith._differ(c.type, 'OLD.' || c.name, 'NEW.' || c.name) || ')', ' OR ' ORDER BY c.ord)
    FROM (SELECT quote_ident(k.item ->> 'name'), k.item ->> 'type', k.ord FROM zanith._each(key) k
          UNION ALL SELECT col, type, NULL WHERE col IS NOT NULL) c(name, type, ord)
); END $$;

CREATE OR REPLACE FUNCTION zanith._unfinished_comment(id text, what text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT format('zanith unfinished %s %s', what, id) $$;

-- Triggers of one time fire in the order of their names: these are the last.
CREATE OR REPLACE FUNCTION zanith._follow_trigger(id text, event text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT quote_ident('~zanith_follow_' || id || '_' || event) $$;

-- (k1 type, k2 type …): columns of the table of keys, whatever the key is called.
CREATE OR REPLACE FUNCTION zanith._follow_columns(key jsonb, suffix text DEFAULT '', with_type boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(format('k%s%s', k.ord, CASE WHEN with_type THEN ' ' || (k.item ->> 'type') || suffix ELSE '' END), ', ' ORDER BY k.ord)
    FROM zanith._each(key) k
); END $$;

-- l.k1 = t.id AND …
CREATE OR REPLACE FUNCTION zanith._follow_match(key jsonb, alias text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(format('l.k%s %s %s.%I', k.ord, zanith._equals(k.item), alias, k.item ->> 'name'), ' AND ' ORDER BY k.ord) FROM zanith._each(key) k
); END $$;

-- One trigger, and always on: replication's apply is traffic too.
CREATE OR REPLACE FUNCTION zanith._render_follow_trigger(id text, target text, event text, timing text, condition text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('CREATE TRIGGER %s %s ON %s FOR EACH %s EXECUTE FUNCTION %s()', q.name, timing, target,
                CASE WHEN condition IS NULL THEN 'STATEMENT' ELSE 'ROW WHEN (' || condition || ')' END, zanith._follow_name(id)),
            format('Create the trigger that records the keys of changed rows: %s', event), 'SHARE ROW EXCLUSIVE', ARRAY[target])
        -- of a row trigger of a partitioned table each partition has its own, and that is set with it
        || zanith._step(format('ALTER TABLE %s%s ENABLE ALWAYS TRIGGER %s', CASE WHEN condition IS NULL THEN 'ONLY ' ELSE '' END, target, q.name),
            'Fire this trigger for replicated changes too', 'SHARE ROW EXCLUSIVE', ARRAY[target])
    FROM (SELECT zanith._follow_trigger(id, event)) q(name)
); END $$;

-- The table and each descendant report a TRUNCATE: PostgreSQL does not copy these triggers to partitions. Only those that are missing.
CREATE OR REPLACE FUNCTION zanith._render_follow_truncates(id text, relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY m.depth, m.member, s.ord)
    FROM zanith._tree(relation) m, LATERAL zanith._each(zanith._render_follow_trigger(id, zanith._relation_name(m.member), 'truncate', 'AFTER TRUNCATE', NULL)) s
    WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = m.member AND quote_ident(g.tgname) = zanith._follow_trigger(id, 'truncate'))
); END $$;

-- Which tables there are, and what follows each: another where a partition came, went, or went and came back meanwhile, since
-- its triggers are made anew.
CREATE OR REPLACE FUNCTION zanith._shape(id text, relation oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT md5(COALESCE(string_agg(concat_ws(':', m.member, i.inhdetachpending, g.made), ',' ORDER BY m.member), '')
        -- text that was archived before a label was renamed is not in line
        || COALESCE((SELECT zanith._label_tree((a.definition #>> '{kept,oid}')::oid)::text FROM zanith._zanith_migration_artifacts a
                     WHERE a.id = _shape.id AND a.artifact_type = 'soft_drop_column' AND zanith._kept_labels(a.definition) IS NOT NULL), ''))
    FROM zanith._tree(relation) m LEFT JOIN pg_inherits i ON i.inhrelid = m.member,
         LATERAL (SELECT string_agg(g.oid::text, ' ' ORDER BY g.oid) AS made FROM pg_trigger g
                  WHERE g.tgrelid = m.member AND starts_with(g.tgname, '~zanith_follow_' || id || '_')) g
); END $$;

-- That with which the work is in line; what it follows traffic with keeps it.
CREATE OR REPLACE FUNCTION zanith._keep_shape(id text, shape text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM zanith._execute(format('COMMENT ON FUNCTION %s() IS %L', zanith._follow_name(id), shape), zanith._own_event_path());
END $$;

CREATE OR REPLACE FUNCTION zanith._kept_shape(id text) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT COALESCE(obj_description(to_regprocedure(zanith._follow_name(id) || '()'), 'pg_proc'), '') $$;

-- What is there now.
CREATE OR REPLACE FUNCTION zanith.shape(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$ BEGIN RETURN (
    SELECT zanith._shape(a.id, CASE WHEN a.artifact_type = 'soft_drop_column' THEN (zanith._place(a) ->> 'oid')::oid ELSE zanith._relation_oid(a.source_schema, a.source_table) END)
    FROM zanith._artifact(artifact_id) a
); END $$;

-- Their function runs as its creator, or as the owner of the table, whichever role writes to the table.
CREATE OR REPLACE FUNCTION zanith._render_follow_function(id text, owner text, body text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('CREATE FUNCTION %s() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %L', q.name, body),
            'Create the trigger function that records the keys of changed rows')
        || zanith._step(format('REVOKE ALL ON FUNCTION %s() FROM PUBLIC', q.name), 'Revoke EXECUTE on it from PUBLIC')
        -- who is no superuser gives a function only to a role that may create in its schema: for an instant, within this transaction
        || CASE WHEN q.free THEN '[]' ELSE zanith._step('SELECT pg_catalog.pg_advisory_xact_lock(7300742847)', 'Wait for other sessions that make the same grant')
            || zanith._step(format('GRANT CREATE ON SCHEMA _zanith_shadow TO %I', owner), 'Let the owner of the table take the function (revoked two steps later)') END
        || zanith._step(format('ALTER FUNCTION %s() OWNER TO %I', q.name, owner), 'Give the function to the owner of the table')
        || CASE WHEN q.free THEN '[]' ELSE zanith._step(format('REVOKE CREATE ON SCHEMA _zanith_shadow FROM %I', owner), 'Revoke CREATE on the shadow schema again') END
    FROM (SELECT zanith._follow_name(id), zanith._is_superuser(current_user) OR owner = current_user) q(name, free)
); END $$;

-- Whether anything of the kind is there: by index, since every plan of a restore or a purge asks.
CREATE OR REPLACE FUNCTION zanith._is_followed(id text) RETURNS boolean
LANGUAGE sql STABLE AS $$
    SELECT to_regclass(zanith._follow_name(id)) IS NOT NULL OR to_regprocedure(zanith._follow_name(id) || '()') IS NOT NULL
$$;

-- The end of it, where anything is there: triggers, function, keys, and what was half made.
CREATE OR REPLACE FUNCTION zanith._render_follow_end(id text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT (SELECT zanith._list(zanith._step(format('DROP TRIGGER %s%I ON %s',
               -- a partition may be gone when a script runs
               CASE WHEN c.relispartition THEN 'IF EXISTS ' ELSE '' END, g.tgname, zanith._relation_name(g.tgrelid)),
               'Drop the trigger that records keys', 'ACCESS EXCLUSIVE', ARRAY[zanith._relation_name(g.tgrelid)]) -> 0 ORDER BY c.relispartition, g.tgname, c.oid)
           -- found by pg_depend: pg_trigger has no index on the function
           FROM pg_depend d JOIN pg_trigger g ON g.oid = d.objid JOIN pg_class c ON c.oid = g.tgrelid
           WHERE q.there AND d.classid = 'pg_trigger'::regclass AND d.refclassid = 'pg_proc'::regclass AND d.refobjid = (SELECT to_regprocedure(q.name || '()')::oid)
             AND starts_with(g.tgname, '~zanith_follow_' || id || '_') AND NOT g.tgisinternal AND g.tgparentid = 0)
        || CASE WHEN to_regprocedure(q.name || '()') IS NOT NULL THEN zanith._step(format('DROP FUNCTION %s()', q.name), 'Drop its trigger function') ELSE '[]' END
        || CASE WHEN to_regclass(q.name) IS NOT NULL THEN zanith._step(format('DROP TABLE %s', q.name), 'Drop the table of recorded keys', 'ACCESS EXCLUSIVE', ARRAY[q.name]) ELSE '[]' END
    FROM (SELECT zanith._follow_name(id), zanith._is_followed(id)) q(name, there)
); END $$;

-- What a column is called while it is being filled.
CREATE OR REPLACE FUNCTION zanith._half_filled(id text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT '_zanith_restoring_' || id $$;

-- What was half made: the archive that a copy had begun, or the column that a fill had begun.
CREATE OR REPLACE FUNCTION zanith._render_unmake(id text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT (SELECT zanith._list(zanith._step(format('DROP TABLE %s', zanith._relation_name(d.objoid)), 'Drop the unfinished archive',
               'ACCESS EXCLUSIVE', ARRAY[zanith._relation_name(d.objoid)]) -> 0)
           FROM pg_description d JOIN pg_class c ON c.oid = d.objoid AND c.relnamespace = '_zanith_shadow'::regnamespace
           -- one that an earlier version began belongs to the owner of the table
           LEFT JOIN zanith._zanith_migration_artifacts a ON a.id = _render_unmake.id AND c.relname = zanith._archive_name(a.definition)
           WHERE q.there AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND d.description = zanith._unfinished_comment(_render_unmake.id, 'archive')
             AND (zanith._is_trusted(pg_get_userbyid(c.relowner)) OR pg_get_userbyid(c.relowner) = a.definition #>> '{table,owner}'))
        || (SELECT zanith._list(zanith._step(format('ALTER TABLE %s DROP COLUMN %I', zanith._relation_name(t.attrelid), t.attname),
               'Drop the unfinished column', 'ACCESS EXCLUSIVE', ARRAY[zanith._relation_name(t.attrelid)]) -> 0)
           FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
           WHERE q.there AND t.attname = zanith._half_filled(id) AND NOT t.attisdropped AND c.relkind IN ('r', 'p') AND t.attinhcount = 0)
    FROM (SELECT zanith._is_followed(id)) q(there)
); END $$;

-- Gives unfinished work up, and says what that took away: nothing of the artifact itself. In the caller's transaction.
CREATE OR REPLACE FUNCTION zanith.give_up(artifact_id text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    what text := zanith.unfinished(artifact_id);
    step jsonb;
BEGIN
    FOR step IN SELECT s.item FROM zanith._each(zanith._render_follow_end(a.id) || zanith._render_unmake(a.id)) s ORDER BY s.ord LOOP
        PERFORM zanith._execute(step ->> 'sql', zanith._own_event_path());
    END LOOP;
    PERFORM zanith._render_script_anew(a.id);
    RETURN what;
END $$;
COMMENT ON FUNCTION zanith.give_up IS 'Drops the objects of an unfinished online archive or restore; the artifact stays as it was.';

-- Renders recovery_sql from the definition, as it is now. Takes no text: a role that may act as the owner may call it.
CREATE OR REPLACE FUNCTION zanith._render_script_anew(artifact_id text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM zanith._store_script(artifact_id, zanith._prove_caller());
END $$;

CREATE OR REPLACE FUNCTION zanith._store_script(artifact_id text, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
BEGIN
    PERFORM zanith._check_own(a, proof);
    UPDATE zanith._zanith_migration_artifacts r SET recovery_sql = zanith._render_script(artifact_id)
    WHERE r.id = artifact_id AND (r.status = 'recoverable' OR zanith._strategy_is(r.artifact_type, 'values'));
END $$;

-- In a security definer function: who calls, who has to be able to act as the owner of the artifact's table.
CREATE OR REPLACE FUNCTION zanith._check_own(a zanith._zanith_migration_artifacts, proof uuid) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    caller text := zanith._read_caller(proof);
BEGIN
    IF NOT zanith._may_decide(caller, a) THEN
        PERFORM zanith._refuse(format('must be owner of %s', zanith._object_name(a)), 'Run it as its owner.', '42501');
    END IF;
    RETURN caller;
END $$;

-- Whether a role may act as another. Where that one is gone, Zanith's own role and superusers still do.
CREATE OR REPLACE FUNCTION zanith._may_act_as(role_name text, owner text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._is_superuser(role_name) OR to_regrole(quote_ident(owner)) IS NOT NULL AND pg_has_role(role_name, owner, 'USAGE')
); END $$;

-- Whether a role may say something of an artifact: who may act as the owner. A table that has another owner now is not its
-- former one's to speak of; its new owner may where it is the table that was recorded.
CREATE OR REPLACE FUNCTION zanith._may_decide(role_name text, a zanith._zanith_migration_artifacts) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    recorded text := a.definition #>> '{table,owner}';
    parked record := zanith._parked_owner(a);
    -- a routine, a type or a sequence has no table
    live oid := CASE WHEN a.kept_kind IS NULL OR (a.definition #>> '{object,of_table}')::boolean THEN zanith._relation_oid(a.source_schema, a.source_table) END;
    now text := COALESCE(parked.owner, (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = live));
BEGIN
    RETURN zanith._is_superuser(role_name) OR role_name = zanith._own_role()
        OR (now IS NULL OR now = recorded) AND zanith._may_act_as(role_name, recorded)
        OR now <> recorded AND (a.definition #>> '{table,oid}')::oid IN (parked.relation, live) AND zanith._may_act_as(role_name, now);
END $$;

-- What keeps an online form from being used at all, whichever it is.
CREATE OR REPLACE FUNCTION zanith._check_online(relation oid, d jsonb) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    name text := zanith._relation_name(relation);
    other text;
BEGIN
    IF (SELECT c.relkind <> 'p' FROM pg_class c WHERE c.oid = relation) AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = relation) THEN
        PERFORM zanith._refuse(format('%s has inheritance children, which the online form does not support', name), 'Leave --online out.');
    END IF;
    IF (zanith._only(d) = '') <> (SELECT c.relkind = 'p' FROM pg_class c WHERE c.oid = relation) THEN
        PERFORM zanith._refuse(format('%s became a partitioned table since the capture, or is no longer one', name), 'Leave --online out.', '55000');
    END IF;
    IF zanith._has_several_owners(relation) THEN
        PERFORM zanith._refuse(format('partitions or children of %s belong to other roles, which could add code between two batches', name), 'Leave --online out.');
    END IF;
    IF d #>> '{column,identity}' IS NOT NULL THEN
        PERFORM zanith._refuse(format('%I of %s is an identity column, which the online form does not support', d #>> '{column,name}', name), 'Leave --online out.');
    END IF;
    SELECT string_agg(zanith._relation_name(m.member), ', ' ORDER BY m.member) INTO other
    FROM zanith._tree(relation) m JOIN pg_class c ON c.oid = m.member WHERE c.relkind = 'f';
    IF other IS NOT NULL THEN
        PERFORM zanith._refuse(format('partitions of %s are foreign tables, which the online form does not support: %s', name, other), 'Detach them first.');
    END IF;
    IF jsonb_array_length(COALESCE(NULLIF(d -> 'key', 'null'), '[]')) = 0 THEN
        PERFORM zanith._refuse(format('table %s has no primary key for the batches of the online form', name), 'The online form needs a primary key; leave --online out.', '55000');
    END IF;
    SELECT string_agg(format('%I (%s)', k.item ->> 'name', k.item ->> 'type'), ', ' ORDER BY k.ord) INTO other
    FROM zanith._each(d -> 'key') k WHERE NOT (k.item ->> 'builtin')::boolean;
    IF other IS NOT NULL THEN
        PERFORM zanith._refuse(format('the key of %s has columns of types that are not built in: %s', name, other),
            'The online form needs a key whose types are built in; leave --online out.');
    END IF;
    -- an index in the key's own order, or every batch would sort the table
    IF NOT EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
          AND zanith._attribute_names(relation, (i.indkey::smallint[])[0:i.indnkeyatts - 1]) = (SELECT jsonb_agg(k.item -> 'name' ORDER BY k.ord) FROM zanith._each(d -> 'key') k)
          AND NOT EXISTS (SELECT FROM generate_series(0, i.indnkeyatts - 1) n
                          JOIN pg_attribute t ON t.attrelid = relation AND t.attnum = (i.indkey::smallint[])[n]
                          JOIN pg_opclass o ON o.oid = (i.indclass::oid[])[n]
                          WHERE (i.indoption::smallint[])[n] <> 0 OR (i.indcollation::oid[])[n] <> t.attcollation OR NOT o.opcdefault)) THEN
        PERFORM zanith._refuse(format('%s has no ascending unique index on its key', name),
            'The online form needs a primary key or an ascending unique index; leave --online out.', '55000');
    END IF;
    IF zanith._key_calls_code(relation) THEN
        PERFORM zanith._refuse(format('the partition key of %s calls functions that are not built in', name), 'Leave --online out.');
    END IF;
    IF row_security_active(relation) THEN
        PERFORM zanith._refuse(format('row security hides rows of %s from you', name),
            'Run it as a role with BYPASSRLS; or leave --online out, which turns row security off for the owner during the change.', '42501');
    END IF;
END $$;
