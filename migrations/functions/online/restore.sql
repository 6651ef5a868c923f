-- Restoring an archived column online: filled under another name in batches along the key, while triggers keep rows and
-- values together; then named in a short transaction, its indexes made and its constraints proved beside live traffic.

-- The column on its way back: what the steps are about.
CREATE OR REPLACE FUNCTION zanith._filling(a zanith._zanith_migration_artifacts,
    OUT live text, OUT archive text, OUT log text, OUT half text, OUT name text, OUT type text, OUT relation oid, OUT owner text, OUT rows text, OUT runner text, OUT reader text, OUT value text, OUT d jsonb)
LANGUAGE plpgsql STABLE AS $$ BEGIN
    -- what the column came back as when it was begun
    d := zanith._with_type_now(CASE WHEN zanith._is_kept_as_text(a.definition) AND (zanith._begun_with(a.id) ->> 'as_text')::boolean THEN zanith._as_text(a.definition) ELSE a.definition END);
    SELECT zanith._qualify(a.source_schema, a.source_table), zanith._qualify(a.physical_schema, a.physical_table), zanith._follow_name(a.id),
           quote_ident(zanith._half_filled(a.id)), quote_ident(a.source_column), d #>> '{column,type}',
           q.oid, (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = q.oid),
           zanith._only(a.definition) || zanith._qualify(a.source_schema, a.source_table),
           -- archives of earlier versions belong to the owner of the table
           (SELECT CASE WHEN NOT zanith._is_trusted(pg_get_userbyid(c.relowner)) THEN pg_get_userbyid(c.relowner) END
            FROM pg_class c WHERE c.oid = zanith._relation_oid(a.physical_schema, a.physical_table))
    INTO live, archive, log, half, name, type, relation, owner, rows, reader
    FROM (SELECT zanith._relation_oid(a.source_schema, a.source_table)) q(oid);
    runner := zanith._runner(owner);
    value := zanith._read_kept(d, 'a.' || name);
END $$;

-- What a fill was begun with; it goes on with the same.
CREATE OR REPLACE FUNCTION zanith._begun_with(id text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT substring(zanith._unfinished_says(id) FROM '^zanith unfinished restoring [0-9a-z]+ (.*)$')::jsonb
); END $$;

CREATE OR REPLACE FUNCTION zanith._filling_choices(choices jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_object_agg(c.key, c.value), '{}') FROM jsonb_each(choices) c WHERE c.key IN ('fill', 'fill_default', 'as_text')
); END $$;

-- Before the first batch: the column under its working name, and what follows traffic.
CREATE OR REPLACE FUNCTION zanith._render_fill_begin(a zanith._zanith_migration_artifacts, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', q.rows), 'Lock the table for a moment', 'ACCESS EXCLUSIVE', ARRAY[q.live])
        || zanith._as_owner(q.owner,
            CASE WHEN choices ? 'fill' THEN zanith._building_anew(col ->> 'base_type' IS NOT NULL, zanith._step(format('ALTER TABLE %s ADD COLUMN %s %s%s%s', q.live, q.half, q.type, COALESCE(' COLLATE ' || (col ->> 'collation'), ''),
                    -- every row has it at once, without being written
                    ' DEFAULT ' || zanith._fill_value(col, choices)),
                'Add the column under a temporary name for the backfill (PostgreSQL can only add it last)', 'ACCESS EXCLUSIVE', ARRAY[q.live]))
            ELSE zanith._render_add_filled(a.definition, q.live, zanith._half_filled(a.id), q.relation, choices, true) END
            || (SELECT zanith._list(s.item ORDER BY p.ord, s.ord) FROM zanith._live_parts(a.definition, a.source_schema, a.source_table, q.relation) p, LATERAL zanith._each(
                    zanith._render_column_settings(p.part -> 'column', q.alone, p.target, zanith._half_filled(a.id))
                    || zanith._render_default(p.part -> 'column', q.alone, p.target, zanith._half_filled(a.id))) s))
        || zanith._step(format('CREATE TABLE %s (%s, pending boolean NOT NULL DEFAULT false, PRIMARY KEY (%s))', q.log,
                zanith._follow_columns(a.definition -> 'key', ' NOT NULL', true), zanith._follow_columns(a.definition -> 'key')),
            'Create the table for the keys of rows that changed during the backfill')
        || zanith._render_privacy(q.log)
        || zanith._step(format('COMMENT ON TABLE %s IS %L', q.log, zanith._unfinished_comment(a.id, 'restoring') || ' ' || zanith._filling_choices(choices)::text), 'Mark the table of keys with the artifact''s id')
        || zanith._step(format('GRANT SELECT, INSERT, UPDATE, DELETE ON TABLE %s TO %I', q.log, q.owner), 'Let the owner of the table record keys')
        || zanith._render_follow_function(a.id, q.owner, format($body$
DECLARE
    archived record;
BEGIN
    IF TG_WHEN = 'AFTER' THEN
        INSERT INTO %1$s (%2$s) VALUES (%3$s) ON CONFLICT (%2$s) DO UPDATE SET pending = false;
        RETURN NULL;
    END IF;
    IF NOT EXISTS (SELECT FROM %1$s l WHERE %4$s AND NOT l.pending) THEN
        SELECT %5$s AS value INTO archived FROM ONLY %6$s a WHERE %7$s;
        IF FOUND THEN
            NEW.%8$s := archived.value;
        END IF;
    END IF;
    RETURN NEW;
END $body$, q.log, zanith._follow_columns(a.definition -> 'key'), zanith._key_list(a.definition -> 'key', 'NEW.'),
                zanith._follow_match(a.definition -> 'key', 'OLD'), q.value, q.archive,
                (SELECT string_agg(format('a.%I = OLD.%1$I', k.item ->> 'name'), ' AND ' ORDER BY k.ord) FROM zanith._each(a.definition -> 'key') k), q.half))
        || zanith._render_follow_trigger(a.id, q.live, 'carry', 'BEFORE UPDATE', q.moved)
        || zanith._render_follow_trigger(a.id, q.live, 'move', 'AFTER UPDATE', q.moved)
        || zanith._render_follow_trigger(a.id, q.live, 'insert', 'AFTER INSERT', 'true')
        || zanith._step(format('SELECT zanith._render_script_anew(%L)', a.id), 'Update recovery_sql: it removes the unfinished work first')
    FROM zanith._filling(a) r, LATERAL (SELECT r.*, a.definition -> 'column' AS col, CASE WHEN r.rows = r.live THEN 'ONLY ' ELSE '' END AS alone,
        zanith._changed(a.definition -> 'key') AS moved) q
); END $$;

-- What filled the rows that came since is no default: off each table that has none of its own. A partition that was made
-- meanwhile has that of its parent.
CREATE OR REPLACE FUNCTION zanith._render_fill_value_off(d jsonb, target_schema text, target_table text, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._step(format('ALTER TABLE %s%s ALTER COLUMN %I DROP DEFAULT', CASE WHEN zanith._only(d) = '' THEN 'ONLY ' ELSE '' END, m.name, d #>> '{column,name}'),
            'Drop the temporary default', 'ACCESS EXCLUSIVE', ARRAY[m.name]) -> 0 ORDER BY m.depth, m.member)
    FROM (SELECT t.member, t.depth, zanith._relation_name(t.member) AS name, zanith._default_of(t.member, d ->> 'id') AS now, p.ord, p.part #>> '{column,default}' AS own
          FROM zanith._tree(live) t LEFT JOIN zanith._live_parts(d, target_schema, target_table, live) p
            ON zanith._relation_oid(CASE WHEN p.ord = 0 THEN target_schema ELSE p.part ->> 'schema' END, CASE WHEN p.ord = 0 THEN target_table ELSE p.part ->> 'name' END) = t.member) m
    WHERE m.own IS NULL AND NOT (m.ord IS NULL AND d #>> '{column,default}' IS NOT NULL AND m.now IS NOT DISTINCT FROM zanith._default_of(live, d ->> 'id'))
); END $$;

-- The default of the column that is being filled.
CREATE OR REPLACE FUNCTION zanith._default_of(relation oid, id text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT pg_get_expr(f.adbin, f.adrelid) FROM pg_attrdef f
    WHERE f.adrelid = relation AND f.adnum = zanith._attribute_number(relation, zanith._half_filled(id))
); END $$;

-- The whole of it: 0 before (the batches among them, which the engine runs), 1 the change, 2 what follows.
CREATE OR REPLACE FUNCTION zanith._render_restore_online(a zanith._zanith_migration_artifacts, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN a.status <> 'recoverable' THEN '[]' ELSE
            zanith._set_transaction(0,
                CASE WHEN zanith.unfinished(a.id) IS NULL THEN zanith._render_fill_begin(a, choices) ELSE '[]' END
                || zanith._in_batches(zanith._as_owner(q.owner, zanith._step(format('UPDATE %s t SET %s = %s FROM ONLY %s a WHERE %s AND (%s) > …', q.rows, q.half, q.value, q.archive,
                        zanith._key_match(d -> 'key'), zanith._key_list(d -> 'key', 'a.')),
                    'Backfill the column in batches along the key, each in its own transaction (locked rows come later)', 'ROW EXCLUSIVE', ARRAY[q.live], true)))
                || CASE WHEN COALESCE((choices ->> 'fill_default')::boolean, false) THEN zanith._in_batches(zanith._as_owner(q.owner, zanith._step(
                        format('UPDATE %s t SET %s = DEFAULT WHERE NOT EXISTS (SELECT FROM ONLY %s a WHERE %s)', q.rows, q.half, q.archive, zanith._key_match(d -> 'key')),
                    'Fill rows inserted since the capture, in batches', 'ROW EXCLUSIVE', ARRAY[q.live], true))) ELSE '[]' END
                || zanith._in_batches(zanith._step(format('SELECT * FROM zanith.compare_fill(%L)', a.id),
                    'Compare every value with the archived one, byte by byte; stop if one differs', 'ACCESS SHARE', ARRAY[q.live], true)))
            || zanith._step(format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', q.rows), 'Lock the table for a moment', 'ACCESS EXCLUSIVE', ARRAY[q.live])
            || zanith._render_follow_end(a.id)
            || zanith._as_owner(q.owner, zanith._step(format('ALTER TABLE %s RENAME COLUMN %s TO %s', q.live, q.half, q.name), 'Give the column its own name', 'ACCESS EXCLUSIVE', ARRAY[q.live]))
            || CASE WHEN choices ? 'fill' THEN zanith._render_fill_value_off(d, a.source_schema, a.source_table, q.relation) ELSE '[]' END
            || zanith._step(format('SELECT zanith._render_script_anew(%L)', a.id), 'Update recovery_sql: there is no unfinished work to remove') END
        || zanith._as_owner(q.owner,
            CASE WHEN COALESCE((choices ->> 'allow_null')::boolean, false) THEN '[]'
                 ELSE zanith._render_not_nulls(d, a.source_schema, a.source_table, q.relation, d #>> '{column,name}', d #>> '{column,name}', true) END
            || zanith._render_constraints_back(d, a.source_schema, a.source_table, q.relation, 1, c.not_valid))
        || zanith._render_keys_and_indexes_back(d, a.source_schema, a.source_table, q.relation, false, c.not_valid, true)
        || zanith._render_statistics_back(d, a.source_schema, a.source_table, q.relation, false)
        || zanith._render_constraints_back(d, a.source_schema, a.source_table, q.relation, 3, c.not_valid)
        || zanith._render_references_back(d, a.source_schema, a.source_table, q.relation, c.not_valid, true)
        || (SELECT zanith._list(s.item ORDER BY p.ord, s.ord) FROM zanith._live_parts(d, a.source_schema, a.source_table, q.relation) p, LATERAL zanith._each(
                zanith._render_grants(p.part #> '{column,grants}', 'TABLE ' || p.target, p.part ->> 'owner', d #>> '{column,name}', true)
                || zanith._render_comment(p.part #>> '{column,comment}', format('COLUMN %s.%s', p.target, q.name))) s)
        || zanith._render_cascade_restore(d, false)
    FROM zanith._filling(a) q, LATERAL (SELECT COALESCE((choices ->> 'not_valid')::boolean, false)) c(not_valid)
); END $$;

-- One batch, as the SQL of a step that the owner runs, and the key that it comes to, NULL at the end. The count of rows
-- filled is left in zanith.filled. {sql, role, last}. It waits for a row for less than anybody notices, and never long enough
-- for a deadlock to be looked for; a batch with a row that is held longer takes the others, at twice the price. What has its
-- value already, NULL or from a run before, is not written.
CREATE OR REPLACE FUNCTION zanith.plan_fill_batch(artifact_id text, after text[], size integer) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET row_security = off
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET bytea_output = 'hex' SET lc_monetary = 'C' AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._filling(a);
    key jsonb := a.definition -> 'key';
    last text[] := zanith._find_bound(NULL, a.definition, q.reader, 'ONLY ' || q.archive, zanith._after(key, after, 't'), size);
    due text := format('%s AND %s AND %s AND %s', zanith._after(key, after, 'a'), zanith._up_to(key, last, 'a'), zanith._after(key, after, 't'), zanith._up_to(key, last, 't'));
BEGIN
    RETURN jsonb_build_object('last', last, 'role', zanith._runner(q.owner), 'sql', zanith._do(format($body$DECLARE filled bigint; patience text := pg_catalog.current_setting('lock_timeout'); BEGIN
    BEGIN
        PERFORM pg_catalog.set_config('lock_timeout', '20ms', true);
        UPDATE %2$s t SET %8$s = %1$s FROM ONLY %3$s a
        WHERE %4$s AND %5$s AND %12$s
            AND (NOT EXISTS (SELECT FROM %6$s) OR NOT EXISTS (SELECT FROM %6$s l WHERE %7$s));
        GET DIAGNOSTICS filled = ROW_COUNT;
    EXCEPTION WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN -- this where a row went to another partition
        WITH got AS (
            SELECT %13$s, %1$s AS value FROM %2$s t JOIN ONLY %3$s a ON %4$s
            WHERE %5$s AND %12$s
                AND NOT EXISTS (SELECT FROM %6$s l WHERE %7$s)
            FOR NO KEY UPDATE OF t SKIP LOCKED
        )
        UPDATE %2$s t SET %8$s = got.value FROM got WHERE %14$s;
        GET DIAGNOSTICS filled = ROW_COUNT;
    END;
    PERFORM pg_catalog.set_config('lock_timeout', patience, true);
    IF filled <> %9$s THEN
        INSERT INTO %6$s (%10$s, pending)
        SELECT %11$s, true FROM %2$s t JOIN ONLY %3$s a ON %4$s
        WHERE %5$s AND %12$s
        ON CONFLICT DO NOTHING;
    END IF;
    PERFORM pg_catalog.set_config('zanith.filled', filled::text, true);
END$body$, q.value, q.rows, q.archive, zanith._key_match(key), due, q.log, zanith._follow_match(key, 'a'), q.half,
        CASE WHEN last IS NULL THEN -1 ELSE size END, zanith._follow_columns(key), zanith._key_list(key, 'a.'),
        CASE WHEN zanith._is_kept_as_text(q.d) THEN zanith._differs_from_kept(q.d, 't.' || q.half, 'a.' || q.name)
             ELSE zanith._differ(q.type, 't.' || q.half, format('a.%s::%s', q.name, q.type)) END,
        -- a ctid tells rows of one table apart
        CASE WHEN q.rows = q.live THEN zanith._key_list(key, 't.') ELSE 't.ctid AS at' END,
        CASE WHEN q.rows = q.live THEN (SELECT string_agg(format('t.%I %s got.%1$I', k.item ->> 'name', zanith._equals(k.item)), ' AND ' ORDER BY k.ord) FROM zanith._each(key) k) ELSE 't.ctid = got.at' END)));
END $$;

-- Rows that somebody held when their batch came by, so many at a time; these are waited for.
CREATE OR REPLACE FUNCTION zanith.plan_fill_pending(artifact_id text, size integer) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._filling(a);
    key jsonb := a.definition -> 'key';
BEGIN
    RETURN jsonb_build_object('role', zanith._runner(q.owner), 'sql', zanith._do(format($body$DECLARE r record; filled bigint := 0; BEGIN
    FOR r IN SELECT * FROM %1$s WHERE pending ORDER BY %2$s LIMIT %3$s LOOP
        UPDATE %4$s t SET %5$s = %6$s FROM ONLY %7$s a WHERE %8$s AND %9$s
            AND EXISTS (SELECT FROM %1$s l WHERE %10$s AND l.pending);
        DELETE FROM %1$s l WHERE %11$s AND l.pending;
        filled := filled + 1;
    END LOOP;
    PERFORM pg_catalog.set_config('zanith.filled', filled::text, true);
END$body$, q.log, zanith._follow_columns(key), size, q.rows, q.half, q.value, q.archive, zanith._key_match(key),
        (SELECT string_agg(format('a.%I %s r.k%s', k.item ->> 'name', zanith._equals(k.item), k.ord), ' AND ' ORDER BY k.ord) FROM zanith._each(key) k),
        zanith._follow_match(key, 'a'),
        (SELECT string_agg(format('l.k%s %s r.k%1$s', k.ord, zanith._equals(k.item)), ' AND ' ORDER BY k.ord) FROM zanith._each(key) k))));
END $$;

-- The rows that came since, in batches along the live key: the column's own default.
CREATE OR REPLACE FUNCTION zanith.plan_fill_since(artifact_id text, after text[], size integer) RETURNS jsonb
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET row_security = off
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET bytea_output = 'hex' SET lc_monetary = 'C' AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._filling(a);
    key jsonb := a.definition -> 'key';
    last text[] := zanith._find_bound(q.relation, a.definition, q.runner, q.rows, zanith._after(key, after, 't'), size);
BEGIN
    RETURN jsonb_build_object('last', last, 'role', zanith._runner(q.owner), 'sql', zanith._do(format($body$DECLARE filled bigint; BEGIN
    UPDATE %1$s t SET %2$s = DEFAULT WHERE %3$s AND %4$s%9$s
        AND NOT EXISTS (SELECT FROM ONLY %5$s a WHERE %6$s) AND NOT EXISTS (SELECT FROM %7$s l WHERE %8$s AND NOT l.pending);
    GET DIAGNOSTICS filled = ROW_COUNT;
    PERFORM pg_catalog.set_config('zanith.filled', filled::text, true);
END$body$, q.rows, q.half, zanith._after(key, after, 't'), zanith._up_to(key, last, 't'), q.archive, zanith._key_match(key), q.log, zanith._follow_match(key, 't'),
        -- where the type refuses NULL an archived value stands in
        CASE WHEN EXISTS (SELECT FROM zanith._domain_conditions(to_regtype(q.type))) THEN '' ELSE format(' AND pg_catalog.num_nulls(t.%s) > 0', q.half) END)));
END $$;

-- Filled against archived, in one snapshot: rows that have the archived value or moved on, those that should have it and
-- have not, and those without any.
CREATE OR REPLACE FUNCTION zanith.compare_fill(artifact_id text, OUT filled bigint, OUT differing bigint, OUT empty bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET row_security = off SET enable_hashjoin = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._filling(a);
    found jsonb;
    key jsonb := a.definition -> 'key';
BEGIN
    found := zanith._run_on(q.relation, a.definition, q.runner, format('SELECT pg_catalog.jsonb_build_array(pg_catalog.count(a.%1$s), count(*) FILTER (WHERE a.%1$s IS NOT NULL AND %3$s AND NOT EXISTS (SELECT FROM %4$s l WHERE %5$s AND NOT l.pending)), '
                   'count(*) FILTER (WHERE pg_catalog.num_nulls(t.%2$s) > 0), count(*)) FROM %6$s t LEFT JOIN ONLY %7$s a ON %8$s',
        quote_ident(key #>> '{0,name}'), q.half, zanith._differs_from_kept(q.d, 't.' || q.half, 'a.' || q.name),
        q.log, zanith._follow_match(key, 'a'), q.rows, q.archive, zanith._key_match(key)), 'values') -> 0;
    filled := found ->> 0;
    differing := found ->> 1;
    empty := found ->> 2;
    EXECUTE format('SELECT set_config(''zanith.fill_counts'', concat_ws('' '', $1, $2, count(*)), true) FROM ONLY %s', q.archive) USING found ->> 0, found ->> 3;
END $$;

-- Whether rows are left that somebody held: what the owner's own count says is not relied on.
CREATE OR REPLACE FUNCTION zanith.is_pending(artifact_id text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    yes boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE pending)', zanith._follow_name(artifact_id)) INTO yes;
    RETURN yes;
END $$;

-- What keeps the online form from being used, or has to be asked about.
CREATE OR REPLACE FUNCTION zanith._find_online_conflicts(a zanith._zanith_migration_artifacts, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := a.definition;
    found jsonb := '[]';
    begun jsonb := zanith._begun_with(a.id);
    said text;
    what text;
BEGIN
    IF NOT COALESCE((choices ->> 'online')::boolean, false) OR live IS NULL THEN
        RETURN found;
    ELSIF a.artifact_type = 'soft_drop_column' THEN
        RETURN zanith._find_soft_online_conflicts(a, live, choices);
    ELSIF NOT zanith._strategy_is(a.artifact_type, 'values') THEN
        RETURN zanith._conflict('not_online', 'a table has no online form: no rows move', 'Leave --online out.');
    END IF;
    BEGIN
        PERFORM zanith._check_online(live, d);
    EXCEPTION WHEN feature_not_supported OR object_not_in_prerequisite_state OR insufficient_privilege THEN
        GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, what = PG_EXCEPTION_HINT;
        found := found || zanith._conflict('not_online', said, what);
    END;
    SELECT string_agg(c.what, '; ') INTO said FROM (VALUES
        ('PostgreSQL computes a generated column at once', COALESCE(d #> '{column,generated}', 'null') <> 'null'),
        ('it is an identity column', d #>> '{column,identity}' IS NOT NULL),
        ('it owns a sequence', EXISTS (SELECT FROM zanith._parts(d) p WHERE jsonb_array_length(COALESCE(p.part -> 'renames', '[]')) > 0)),
        ('columns generated from it come back with it', jsonb_array_length(COALESCE(d #> '{cascade,columns}', '[]')) > 0),
        ('an exclusion constraint comes back with it', EXISTS (SELECT FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'constraints') k WHERE zanith._constraint_is(k.item, 'exclusion'))),
        ('--as gives it another name', choices ? 'as'),
        ('inheritance children have the column too', COALESCE(d -> 'keepers', '[]') <> '[]')) c(what, so) WHERE c.so;
    said := concat_ws('; ', said, zanith._find_beside_limits(d, a.source_schema, a.source_table, live));
    IF said <> '' THEN
        found := found || zanith._conflict('not_online', format('the online form does not do this: %s', said), 'Leave --online out.');
    END IF;
    SELECT string_agg(zanith._relation_name(t.attrelid), ', ' ORDER BY t.attrelid) INTO said
    FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
    WHERE begun IS NOT NULL AND t.attname = zanith._half_filled(a.id) AND NOT t.attisdropped AND c.relkind IN ('r', 'p')
      AND c.relowner = (SELECT l.relowner FROM pg_class l WHERE l.oid = live) -- anybody can call a column so
      AND t.attrelid NOT IN (SELECT m.member FROM zanith._tree(live) m);
    IF said IS NOT NULL THEN
        found := found || zanith._conflict('not_online', format('tables with the unfinished column are no longer partitions of %s: %s', zanith._relation_name(live), said),
            format('Attach them again, or drop %I there; the archive has the values.', zanith._half_filled(a.id)));
    END IF;
    SELECT string_agg(x.what, ', ') INTO said FROM zanith._find_update_side_effects(live, zanith._relation_name(live)) x WHERE NOT starts_with(x.what, 'trigger ') AND x.what <> 'row security for the owner';
    IF said IS NOT NULL THEN
        found := found || zanith._conflict('not_online', format('the backfill is an UPDATE, and %s applies to it; only a restore in one transaction can disable that', said), 'Leave --online out.');
    END IF;
    SELECT string_agg(DISTINCT quote_ident(g.tgname), ', ' ORDER BY quote_ident(g.tgname)) INTO said FROM pg_trigger g
    WHERE g.tgrelid IN (SELECT m.member FROM zanith._tree(live) m) AND NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgtype & 16 <> 0 AND g.tgattr = ''::int2vector
      AND NOT starts_with(g.tgname, '~zanith_follow_')
      AND CASE WHEN zanith.quiet_session() THEN g.tgenabled IN ('A', 'R') ELSE g.tgenabled IN ('A', 'O') END;
    IF said IS NOT NULL AND NOT COALESCE((choices ->> 'fire_triggers')::boolean, false) THEN
        found := found || zanith._conflict('triggers_fire', format('the backfill fires triggers of %s for every row: %s', zanith._relation_name(live), said),
            CASE WHEN zanith.quiet_session() THEN 'They are set to fire always, or for replication.' ELSE 'A role that may SET session_replication_role prevents it.' END
            || ' Leave --online out, or let them fire.', ARRAY['--fire-triggers']);
    END IF;
    IF NOT choices ? 'fill' AND d #>> '{column,default}' IS NULL AND zanith._refuses_null(to_regtype(d #>> '{column,type}'))
       AND NOT EXISTS (SELECT FROM pg_type y WHERE y.oid = to_regtype(d #>> '{column,type}') AND y.typdefault IS NOT NULL) THEN
        found := found || zanith._conflict('needs_value', format('its type %s refuses NULL, and it has no default: an INSERT during the restore would fail', d #>> '{column,type}'),
            'Choose a value for rows inserted since the capture or during the restore, or leave --online out.', ARRAY['--fill VALUE']);
    END IF;
    IF begun IS NOT NULL AND begun <> zanith._filling_choices(choices) THEN
        found := found || zanith._conflict('other_choices', 'it was started with other choices',
            format('Use the same choices, or undo the unfinished restore: SELECT zanith.give_up(%L)', a.id), '{}', begun::text);
    END IF;
    RETURN found;
END $$;

-- What cannot be made beside live traffic of a partitioned table.
CREATE OR REPLACE FUNCTION zanith._find_beside_limits(d jsonb, target_schema text, target_table text, live oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT string_agg(c.what, '; ' ORDER BY c.ord) FROM (VALUES
        (1, 'an index that was not valid comes back with it', EXISTS (
            SELECT FROM zanith._parts(d) p, LATERAL (SELECT i.item FROM zanith._each(p.part -> 'indexes') i UNION ALL SELECT k.item -> 'index' FROM zanith._each(p.part -> 'constraints') k) i
            WHERE COALESCE((i.item ->> 'partitioned')::boolean, false) AND NOT (i.item ->> 'valid')::boolean)),
        (2, 'a foreign key comes back with it, which PostgreSQL before 18 validates on a partitioned table while writes wait', EXISTS (
            SELECT FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(p.part -> 'constraints') k
            WHERE zanith._constraint_is(k.item, 'reference') AND zanith._wants_proof_at_once(p.part ->> 'schema', p.part ->> 'name'))),
        (4, 'its partition key calls functions that are not built in', zanith._key_calls_code(live)),
        (5, 'a key WITHOUT OVERLAPS comes back with it', EXISTS (
            SELECT FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'constraints') k
            WHERE zanith._constraint_is(k.item, 'unique') AND zanith._masked(k.item ->> 'definition') LIKE '%WITHOUT OVERLAPS%')),
        -- CREATE INDEX CONCURRENTLY runs in no function of the owner's
        (3, 'an index comes back with it that calls functions or operators which are not built in', zanith._runner(d #>> '{table,owner}') IS NOT NULL AND EXISTS (
            SELECT FROM zanith._parts(d) p, LATERAL (SELECT i.item FROM zanith._each(p.part -> 'indexes') i
                                                     WHERE d ->> 'strategy' = 'archive_column' OR NOT (i.item ->> 'plain')::boolean
                                                     UNION ALL SELECT k.item -> 'index' FROM zanith._each(p.part -> 'constraints') k WHERE zanith._constraint_is(k.item, 'unique')) i
            WHERE NOT COALESCE((i.item ->> 'builtin')::boolean, (i.item ->> 'plain')::boolean, false)))) c(ord, what, so)
    WHERE c.so
); END $$;

-- Of a soft-dropped column nothing is filled: what grows with the rows are the indexes that were lifted, and those are made
-- beside live traffic.
CREATE OR REPLACE FUNCTION zanith._find_soft_online_conflicts(a zanith._zanith_migration_artifacts, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._conflict('not_online', format('the online form does not do this: %s', c.what), 'Leave --online out.') -> 0 ORDER BY c.ord)
    FROM (VALUES
        (1, 'its table has inheritance children', EXISTS (SELECT FROM pg_inherits i JOIN pg_class k ON k.oid = i.inhrelid WHERE i.inhparent = live AND NOT k.relispartition)),
        (2, 'every value is checked against its domain', a.definition #>> '{column,base_type}' IS NOT NULL),
        (3, 'columns generated from it come back with it', jsonb_array_length(COALESCE(a.definition #> '{cascade,columns}', '[]')) > 0),
        (4, 'an exclusion constraint comes back with it', EXISTS (SELECT FROM zanith._parts(a.definition) p, LATERAL zanith._each(p.part -> 'constraints') k WHERE zanith._constraint_is(k.item, 'exclusion'))),
        (5, 'rows inserted since the capture are filled', choices ? 'fill' OR COALESCE((choices ->> 'fill_default')::boolean, false)),
        (6, '--as gives it another name', choices ? 'as'),
        (8, 'it is an identity column', a.definition #>> '{column,identity}' IS NOT NULL),
        (9, 'partitions or children of its table belong to other roles', zanith._has_several_owners(live)),
        (7, zanith._find_beside_limits(a.definition, a.source_schema, a.source_table, live), zanith._find_beside_limits(a.definition, a.source_schema, a.source_table, live) IS NOT NULL)) c(ord, what, so)
    WHERE c.so
); END $$;

-- Whether this role may keep triggers still in its own session.
CREATE OR REPLACE FUNCTION zanith.quiet_session() RETURNS boolean
LANGUAGE sql STABLE AS $$ SELECT has_parameter_privilege(current_user, 'session_replication_role', 'SET') $$;
