-- Archiving online: a parked column's values go to the shadow in batches, followed by triggers; then the column is dropped.
--
-- The column is soft-dropped first, so nothing is ever at stake: until the last transaction the artifact is that, and
-- restores as that.

-- The parked column of a table that is archived online: what the steps are about.
CREATE OR REPLACE FUNCTION zanith._archiving(a zanith._zanith_migration_artifacts,
    OUT live text, OUT archive text, OUT log text, OUT col text, OUT name text, OUT keys text, OUT keep text, OUT relation oid, OUT state text,
    OUT live_type text, OUT owner text, OUT runner text, OUT rows text, OUT value text, OUT differs text)
LANGUAGE plpgsql STABLE AS $$ BEGIN
    SELECT n.live,
           zanith._qualify('_zanith_shadow', zanith._archive_name(a.definition)),
           zanith._follow_name(a.id), quote_ident(a.physical_column), quote_ident(a.source_column), zanith._key_list(a.definition -> 'key'),
           -- rows that came since hold no value: where the column was NOT NULL they can be told
           CASE WHEN COALESCE(a.definition #> '{column,not_null}', 'null') = 'null' THEN 'true' ELSE format('pg_catalog.num_nonnulls(t.%I) > 0', a.physical_column) END,
           (p.place ->> 'oid')::oid, p.place ->> 'state',
           COALESCE(a.definition #>> '{column,base_type}', a.definition #>> '{column,type}'),
           o.name, zanith._runner(o.name), zanith._only(a.definition) || n.live
    INTO live, archive, log, col, name, keys, keep, relation, state, live_type, owner, runner, rows
    FROM (SELECT zanith._place(a)) p(place), LATERAL (SELECT
           COALESCE((SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = (p.place ->> 'oid')::oid), a.definition #>> '{table,owner}')) o(name), LATERAL (SELECT
           CASE WHEN p.place ? 'oid' THEN zanith._qualify(p.place ->> 'schema', p.place ->> 'table') ELSE zanith._qualify(a.source_schema, a.source_table) END) n(live);
    value := zanith._keep_value(a.definition, 't.' || col);
    differs := CASE WHEN (a.definition #>> '{kept,text}')::boolean THEN zanith._differ('text', value, 'a.' || name) ELSE zanith._differ(live_type, 't.' || col, 'a.' || name) END;
END $$;

CREATE OR REPLACE FUNCTION zanith._archive_name(d jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._parked_name((d #>> '{table,name}') || '_' || (d #>> '{column,name}'), d ->> 'id', 0, '_zanith_archive_')
$$;

-- What becomes of the definition: that of an archive_column, captured when the column was parked.
CREATE OR REPLACE FUNCTION zanith._archived_definition(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT d || jsonb_build_object(
        'strategy', 'archive_column',
        'parked', jsonb_build_object('schema', '_zanith_shadow', 'table', zanith._archive_name(d), 'column', d #> '{column,name}',
            -- the values were parked without their domain, whose checks would run as the role that copies them
            'type', COALESCE(NULLIF(d #> '{kept,type}', 'null'), d #> '{column,base_type}', 'null'), 'text', d #> '{kept,text}'),
        -- indexes and statistics went with the column; they are made again from their definitions
        'renames', zanith._sequences_of(d -> 'renames'),
        'tree', (SELECT zanith._list(t.item || jsonb_build_object('renames', zanith._sequences_of(t.item -> 'renames')) ORDER BY t.ord)
                 FROM zanith._each(d -> 'tree') t))
); END $$;

CREATE OR REPLACE FUNCTION zanith._sequences_of(renames jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(r.item ORDER BY r.ord) FROM zanith._each(renames) r WHERE r.item ->> 'kind' = 'sequence'
); END $$;

-- The place for the values, and what follows traffic: before the first row is copied. The tables belong to who copies: on what is the
-- owner's, the owner could put a trigger that runs as somebody else. The owner of the table reads it, and writes to them.
CREATE OR REPLACE FUNCTION zanith._render_archive_begin(a zanith._zanith_migration_artifacts) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', q.rows), 'Lock the table: reads go on, writes wait until this transaction ends', 'SHARE ROW EXCLUSIVE', ARRAY[q.live])
        || zanith._step(format('CREATE TABLE %s AS SELECT %s, %s AS %s FROM %s t WITH NO DATA', q.archive, q.keys, q.value, q.name, q.rows),
            'Create the archive table for the key and value of every row', 'ACCESS SHARE', ARRAY[q.live])
        || zanith._step(format('ALTER TABLE %s %s', q.archive, (SELECT string_agg(format('ALTER %I SET NOT NULL', k.item ->> 'name'), ', ' ORDER BY k.ord) FROM zanith._each(q.d -> 'key') k)),
            'Set the key columns NOT NULL while the archive is empty', 'ACCESS EXCLUSIVE', ARRAY[q.archive])
        || zanith._render_privacy(q.archive)
        || zanith._step(format('COMMENT ON TABLE %s IS %L', q.archive, zanith._unfinished_comment(a.id, 'archive')), 'Mark the archive as unfinished, with the artifact''s id')
        || zanith._step(format('CREATE TABLE %s (seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, %s)', q.log, zanith._follow_columns(q.d -> 'key', '', true)),
            'Create the table for the keys of changed rows')
        || zanith._render_privacy(q.log)
        || zanith._step(format('COMMENT ON TABLE %s IS %L', q.log, zanith._unfinished_comment(a.id, 'archiving')), 'Mark the table of keys with the artifact''s id')
        || zanith._step(format('GRANT SELECT, INSERT, DELETE ON TABLE %s, %s TO %I', q.archive, q.log, q.owner), 'Let the owner of the table copy the rows')
        || zanith._render_follow_function(a.id, q.owner, format($body$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        INSERT INTO %1$s DEFAULT VALUES;
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        INSERT INTO %1$s (%2$s) VALUES (%3$s);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO %1$s (%2$s) VALUES (%4$s);
    END IF;
    RETURN NULL;
END $body$, q.log, zanith._follow_columns(q.d -> 'key'), zanith._key_list(q.d -> 'key', 'OLD.'), zanith._key_list(q.d -> 'key', 'NEW.')))
        -- a row that moves to another partition is inserted there: where NULL counts, each insert is noted
        || zanith._render_follow_trigger(a.id, q.live, 'insert', 'AFTER INSERT',
                CASE WHEN q.rows = q.live AND q.keep = 'true' THEN 'true' ELSE format('pg_catalog.num_nonnulls(NEW.%s) > 0', q.col) END)
        || zanith._render_follow_trigger(a.id, q.live, 'update', 'AFTER UPDATE', zanith._changed(q.d -> 'key', q.col, q.live_type))
        || zanith._render_follow_trigger(a.id, q.live, 'delete', 'AFTER DELETE', 'true')
        || zanith._render_follow_truncates(a.id, COALESCE(q.relation, to_regclass(q.live)))
    FROM zanith._archiving(a) r, LATERAL (SELECT r.*, a.definition AS d) q
); END $$;

-- What stands against archiving a soft-dropped column online: raises it.
CREATE OR REPLACE FUNCTION zanith._check_archiving(a zanith._zanith_migration_artifacts) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    q record := zanith._archiving(a);
    object text := zanith._object_name(a);
    other text;
BEGIN
    IF NOT zanith._is_trusted(current_user) THEN
        PERFORM zanith._refuse(format('%I has no CREATE privilege on _zanith_shadow, which the online form needs', current_user),
            format('Run it as %I or as a superuser.', zanith._own_role()), '42501');
    ELSIF a.artifact_type <> 'soft_drop_column' OR a.status <> 'recoverable' THEN
        PERFORM zanith._refuse(format('%s is not a parked column', object), 'Only a soft-dropped column can be archived.', '55000');
    ELSIF q.state IS DISTINCT FROM 'ok' THEN
        PERFORM zanith._refuse(format('%s is not in its recorded place', object), 'Look at it with zanith recover inspect.', '55000', zanith._place(a) ->> 'detail');
    ELSIF a.held_by IS NOT NULL THEN
        PERFORM zanith._refuse(format('%s is held by %s', object, zanith._signed(a.held_by, a.held_by_role)), format('Release it first: zanith recover release %s', a.id), '55000', a.held_reason);
    ELSIF NOT pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = q.relation), 'USAGE') THEN
        PERFORM zanith._refuse(format('must be owner of table %s', q.live), 'Run it as its owner.', '42501');
    END IF;
    PERFORM zanith._check_online(q.relation, a.definition), zanith._check_third_code(q.relation);
    IF NOT zanith._is_unique(q.relation, (SELECT jsonb_agg(k.item -> 'name') FROM zanith._each(a.definition -> 'key') k)) THEN
        PERFORM zanith._refuse(format('%s no longer has the key that it had when %s was parked', q.live, object), 'Create the key again, or keep the column parked.', '55000');
    END IF;
    -- Another artifact of a column that shares an index or constraint with this one expects it parked beside it.
    SELECT string_agg(zanith._object_name(o), ', ') INTO other FROM zanith._zanith_migration_artifacts o
    WHERE o.status = 'recoverable' AND o.id <> a.id AND o.capture_order > a.capture_order AND o.definition #> '{table,oid}' = a.definition #> '{table,oid}'
      AND EXISTS (SELECT FROM jsonb_each(o.definition -> 'numbers') n WHERE n.value = to_jsonb(zanith._attribute_number(q.relation, a.physical_column)));
    IF other IS NOT NULL THEN
        PERFORM zanith._refuse(format('%s was dropped after %s and shares an index, a constraint or a view with it', other, object),
            'Restore or purge that first, or keep this one parked.', '55000');
    END IF;
    SELECT string_agg(format('%s %s', x.item ->> 'kind', x.item ->> 'name'), ', ') INTO other FROM zanith._each(zanith.dependents(a.id)) x;
    IF other IS NOT NULL THEN
        PERFORM zanith._refuse(format('other objects depend on the parked object of %s', object), 'Change them first, so that they no longer use it.', '2BP01', other);
    END IF;
END $$;

-- Begins, or finds begun; returns whether it began just now. In the caller's short transaction.
CREATE OR REPLACE FUNCTION zanith.begin_archive(artifact_id text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    step jsonb;
BEGIN
    PERFORM zanith._check_archiving(a);
    IF zanith.unfinished(a.id) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- what is asked for the first time in a session takes longest: not under the lock
    PERFORM zanith._render_archive_begin(a), zanith._render_script(a.id);
    -- then the lock, before what counts is rendered: partitions may have come
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', (zanith._archiving(a)).rows);
    FOR step IN SELECT s.item FROM zanith._each(zanith._render_archive_begin(a)) s ORDER BY s.ord LOOP
        PERFORM zanith._execute(step ->> 'sql', zanith._own_event_path());
    END LOOP;
    PERFORM zanith._keep_shape(a.id, zanith._shape(a.id, (zanith._archiving(a)).relation));
    PERFORM zanith._render_script_anew(a.id);
    RETURN true;
END $$;

-- One batch in the order of the key: rows copied, and the last key looked at as text, NULL at the end.
CREATE OR REPLACE FUNCTION zanith.copy_batch(artifact_id text, after text[], size integer, OUT copied bigint, OUT last text[])
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET row_security = off
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET bytea_output = 'hex' SET lc_monetary = 'C' AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._archiving(a);
    bounds text := zanith._after(a.definition -> 'key', after, 't');
BEGIN
    last := zanith._find_bound(q.relation, a.definition, q.runner, q.rows, bounds, size);
    copied := zanith._run_on(q.relation, a.definition, q.runner, format('INSERT INTO %s SELECT %s, %s FROM %s t WHERE %s AND %s AND %s ORDER BY %2$s', q.archive,
        zanith._key_list(a.definition -> 'key', 't.'), q.value, q.rows, bounds, zanith._up_to(a.definition -> 'key', last, 't'), q.keep));
    PERFORM zanith._watch_shape(a, q.relation);
END $$;

-- t.a > 'x' AND …: rows beyond a key, given as text; all where there is none.
CREATE OR REPLACE FUNCTION zanith._after(key jsonb, bound text[], alias text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN bound IS NULL THEN 'true' ELSE format('(%s) OPERATOR(pg_catalog.>) (%s)', zanith._key_list(key, alias || '.'), zanith._key_literals(key, bound)) END
$$;

CREATE OR REPLACE FUNCTION zanith._up_to(key jsonb, bound text[], alias text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN bound IS NULL THEN 'true' ELSE format('(%s) OPERATOR(pg_catalog.<=) (%s)', zanith._key_list(key, alias || '.'), zanith._key_literals(key, bound)) END
$$;

CREATE OR REPLACE FUNCTION zanith._key_literals(key jsonb, bound text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(format('%L::%s', bound[k.ord], k.item ->> 'type'), ', ' ORDER BY k.ord) FROM zanith._each(key) k
); END $$;

-- The key of the row that ends a batch, NULL where fewer are left; read as a role.
CREATE OR REPLACE FUNCTION zanith._find_bound(relation oid, d jsonb, runner text, source text, bounds text, size integer) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    key jsonb := d -> 'key';
    found jsonb := zanith._run_on(relation, d, runner, format('SELECT pg_catalog.jsonb_build_array(%s) FROM %s t WHERE %s ORDER BY %s OFFSET %s LIMIT 1',
        (SELECT string_agg(format('t.%I::text', k.item ->> 'name'), ', ' ORDER BY k.ord) FROM zanith._each(key) k),
        source, bounds, zanith._key_list(key, 't.'), size - 1), 'values') -> 0;
BEGIN
    RETURN CASE WHEN found IS NOT NULL THEN ARRAY(SELECT x.part FROM jsonb_array_elements_text(found) WITH ORDINALITY x(part, ord) ORDER BY x.ord) END;
END $$;

-- The key of the archive, once all is copied; nothing where it has one.
CREATE OR REPLACE FUNCTION zanith.key_archive(artifact_id text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._archiving(a);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = to_regclass(q.archive) AND i.indisprimary) THEN
        PERFORM zanith._execute(format('ALTER TABLE %s ADD PRIMARY KEY (%s)', q.archive, q.keys), zanith._own_event_path());
    END IF;
END $$;

-- Brings up to date what was noted, at most so many notes; how many there were, and by how many rows the archive grew. Few
-- keys are looked up by index, whatever the statistics of a young table say.
CREATE OR REPLACE FUNCTION zanith.catch_up(artifact_id text, size integer, OUT noted bigint, OUT grown bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET row_security = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._archiving(a);
    seqs bigint[];
    wiped boolean;
BEGIN
    EXECUTE format('SELECT array_agg(l.seq), bool_or(l.k1 IS NULL) FROM (SELECT seq, k1 FROM %s ORDER BY seq LIMIT %s) l', q.log, size) INTO seqs, wiped;
    noted := COALESCE(cardinality(seqs), 0);
    grown := zanith._catch_up(a, seqs, COALESCE(wiped, false));
    EXECUTE format('DELETE FROM %s WHERE seq = ANY ($1)', q.log) USING seqs;
    PERFORM zanith._watch_shape(a, q.relation);
END $$;

-- After rows were copied, in the same transaction: a partition that they are of cannot be detached before its end. Where there
-- are other partitions than those that the archive is in line with, it is in line with none, though they be gone again at once.
CREATE OR REPLACE FUNCTION zanith._watch_shape(a zanith._zanith_migration_artifacts, relation oid) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF zanith._only(a.definition) = '' AND zanith._kept_shape(a.id) NOT IN ('changed', zanith._shape(a.id, relation)) THEN
        PERFORM zanith._keep_shape(a.id, 'changed');
    END IF;
END $$;

-- Notes stay: the caller takes them away.
CREATE OR REPLACE FUNCTION zanith._catch_up(a zanith._zanith_migration_artifacts, seqs bigint[], wiped boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    q record := zanith._archiving(a);
    due text := format('(SELECT DISTINCT %s FROM %s WHERE seq = ANY (%L::bigint[]) AND k1 IS NOT NULL) l', zanith._follow_columns(a.definition -> 'key'), q.log, seqs);
    gone bigint;
    come bigint;
    grown bigint := 0;
BEGIN
    IF seqs IS NULL THEN
        RETURN 0;
    END IF;
    IF wiped THEN -- a TRUNCATE: whatever is no longer there
        grown := -zanith._drop_gone(a);
    END IF;
    EXECUTE format('DELETE FROM ONLY %s a USING %s WHERE %s', q.archive, due, zanith._follow_match(a.definition -> 'key', 'a'));
    GET DIAGNOSTICS gone = ROW_COUNT;
    come := zanith._run_on(q.relation, a.definition, q.runner, format('INSERT INTO %s SELECT %s, %s FROM %s t JOIN %s ON %s WHERE %s', q.archive, zanith._key_list(a.definition -> 'key', 't.'),
        q.value, q.rows, due, zanith._follow_match(a.definition -> 'key', 't'), q.keep));
    RETURN grown - gone + come;
END $$;

-- Takes out of the archive what is no longer there, or under that key is of another row, and returns how many that was. By two
-- keys in order: what goes is often one partition of a large table.
CREATE OR REPLACE FUNCTION zanith._drop_gone(a zanith._zanith_migration_artifacts) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET enable_mergejoin = on AS $$
DECLARE
    q record := zanith._archiving(a);
BEGIN
    RETURN zanith._run_on(q.relation, a.definition, q.runner, format('DELETE FROM ONLY %s a WHERE NOT EXISTS (SELECT FROM %s t WHERE %s AND NOT (%s))',
        q.archive, q.rows, zanith._key_match(a.definition -> 'key'), q.differs));
END $$;

-- Where partitions came or went since the archive was in line with them: follows those that came, and says so. In a short
-- transaction of its own; false where nothing is to be done.
CREATE OR REPLACE FUNCTION zanith.follow_shape(artifact_id text) RETURNS boolean
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._archiving(a);
    step jsonb;
BEGIN
    IF zanith._shape(a.id, q.relation) = zanith._kept_shape(a.id) THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %s IN SHARE ROW EXCLUSIVE MODE', q.rows);
    PERFORM zanith._check_archiving(a);
    FOR step IN SELECT s.item FROM zanith._each(zanith._render_follow_truncates(a.id, q.relation)) s ORDER BY s.ord LOOP
        PERFORM zanith._execute(step ->> 'sql', zanith._own_event_path());
    END LOOP;
    PERFORM zanith._render_script_anew(a.id);
    RETURN true;
END $$;

-- The archive in line with the partitions that there are now: rows came and went with them that no trigger noted. What is
-- changed from now on is.
CREATE OR REPLACE FUNCTION zanith.realign_archive(artifact_id text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET row_security = off SET enable_hashjoin = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._archiving(a);
    shape text := zanith._shape(a.id, q.relation);
BEGIN
    PERFORM zanith._drop_gone(a);
    PERFORM zanith._run_on(q.relation, a.definition, q.runner, format('INSERT INTO %1$s SELECT %2$s, %3$s FROM %4$s t WHERE %5$s AND NOT EXISTS (SELECT FROM ONLY %1$s a WHERE %6$s)', q.archive,
        zanith._key_list(a.definition -> 'key', 't.'), q.value, q.rows, q.keep, zanith._key_match(a.definition -> 'key')));
    PERFORM zanith._keep_shape(a.id, shape);
END $$;

-- Whether what differs may come of partitions that came or went, or of a TRUNCATE, since a comparison that saw `shape`.
CREATE OR REPLACE FUNCTION zanith.moved_on(artifact_id text, shape text) RETURNS boolean
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._archiving(a);
    wiped boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %s l WHERE l.k1 IS NULL)', q.log) INTO wiped;
    RETURN wiped OR shape <> zanith._shape(a.id, q.relation) OR shape <> zanith._kept_shape(a.id);
END $$;

-- Live against archive, both in the order of the key, in one snapshot: what neither agrees nor is noted. {rows, missing, surplus, differing}
CREATE OR REPLACE FUNCTION zanith.compare_copy(artifact_id text, OUT rows bigint, OUT missing bigint, OUT surplus bigint, OUT differing bigint)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET row_security = off SET enable_hashjoin = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._archiving(a);
    found jsonb;
BEGIN
    found := zanith._run_on(q.relation, a.definition, q.runner, format('SELECT pg_catalog.jsonb_build_array(%s) FROM (SELECT %s, t.%s FROM %s t WHERE %s) t FULL JOIN ONLY %s a ON %s',
        zanith._count_differences(a, format('NOT EXISTS (SELECT FROM %1$s l WHERE l.k1 IS NULL) AND NOT EXISTS (SELECT FROM %1$s l WHERE %2$s) AND NOT EXISTS (SELECT FROM %1$s l WHERE %3$s)',
            q.log, zanith._follow_match(a.definition -> 'key', 't'), zanith._follow_match(a.definition -> 'key', 'a'))),
        zanith._key_list(a.definition -> 'key', 't.'), q.col, q.rows, q.keep, q.archive, zanith._key_match(a.definition -> 'key')), 'values') -> 0;
    rows := found ->> 0;
    missing := found ->> 1;
    surplus := found ->> 2;
    differing := found ->> 3;
END $$;

-- Rows archived, and those that are not as they should be and count. A row without value need not be there. Values are
-- compared byte by byte: = calls things alike that are not, and not every type has it.
CREATE OR REPLACE FUNCTION zanith._count_differences(a zanith._zanith_migration_artifacts, counts text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT format('pg_catalog.count(a.%1$s), count(*) FILTER (WHERE a.%1$s IS NULL AND pg_catalog.num_nonnulls(t.%2$s) > 0 AND %3$s), '
        'count(*) FILTER (WHERE t.%1$s IS NULL AND a.%1$s IS NOT NULL AND %3$s), '
        'count(*) FILTER (WHERE t.%1$s IS NOT NULL AND a.%1$s IS NOT NULL AND %4$s AND %3$s)',
        quote_ident(a.definition #>> '{key,0,name}'), q.col, counts, q.differs)
    FROM zanith._archiving(a) q
); END $$;

-- The end: locked, caught up, compared where anything was noted since the comparison, dropped; the artifact is an archive.
-- `kept`: rows that the archive held by the comparison and what was caught up since. NULL, and nothing done, where more was
-- noted than may be caught up under the lock, or partitions came or went since the comparison, which saw `shape`.
CREATE OR REPLACE FUNCTION zanith.finish_archive(artifact_id text, kept bigint, at_most integer, shape text) RETURNS bigint
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET row_security = off
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    d jsonb := zanith._archived_definition(a.definition);
    q record := zanith._archiving(a);
    step jsonb;
    seqs bigint[];
    wiped boolean;
    bad text;
    found jsonb;
BEGIN
    -- what is asked for the first time in a session takes longest: not under the lock
    PERFORM zanith._check_archiving(a), zanith._shape(a.id, q.relation), zanith._render_archive_end(a, d), zanith._render_script(a.id);
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', q.rows);
    a := zanith._artifact(artifact_id);
    q := zanith._archiving(a);
    PERFORM zanith._check_archiving(a);
    IF shape <> zanith._shape(a.id, q.relation) OR shape <> zanith._kept_shape(a.id) THEN
        RETURN NULL;
    END IF;
    SELECT string_agg(e.event || CASE WHEN m.depth = 0 THEN '' ELSE ' on ' || zanith._relation_name(m.member) END, ', ' ORDER BY m.depth, m.member) INTO bad
    FROM zanith._tree(q.relation) m, unnest(ARRAY['insert', 'update', 'delete', 'truncate']) e(event)
    WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = m.member AND quote_ident(g.tgname) = zanith._follow_trigger(a.id, e.event) AND g.tgenabled = 'A');
    IF bad IS NOT NULL THEN
        PERFORM zanith._refuse(format('the triggers that record changed rows of %s are missing or disabled: %s', q.live, bad),
            format('Undo the unfinished work, then start again: SELECT zanith.give_up(%L)', a.id), '55000');
    END IF;
    IF (SELECT format_type(t.atttypid, t.atttypmod) FROM pg_attribute t WHERE t.attrelid = q.relation AND t.attname = a.physical_column) <> q.live_type THEN
        PERFORM zanith._refuse(format('the type of %s was changed while it was copied', q.col), format('Undo the unfinished work, then start again: SELECT zanith.give_up(%L)', a.id), '55000');
    END IF;
    EXECUTE format('SELECT array_agg(l.seq), bool_or(l.k1 IS NULL) FROM (SELECT seq, k1 FROM %s LIMIT %s) l', q.log, at_most + 1) INTO seqs, wiped;
    IF cardinality(seqs) > at_most OR wiped THEN
        RETURN NULL;
    END IF;
    kept := kept + zanith._catch_up(a, seqs, false);
    IF seqs IS NOT NULL THEN
        found := zanith._run_on(q.relation, a.definition, q.runner, format('SELECT pg_catalog.jsonb_build_array(%s) FROM (SELECT DISTINCT %s FROM %s) l LEFT JOIN %s t ON %s LEFT JOIN ONLY %s a ON %s',
            zanith._count_differences(a, 'true'), zanith._follow_columns(a.definition -> 'key'), q.log, q.rows, zanith._follow_match(a.definition -> 'key', 't'),
            q.archive, zanith._follow_match(a.definition -> 'key', 'a')), 'values') -> 0;
        IF (found ->> 1)::bigint + (found ->> 2)::bigint + (found ->> 3)::bigint > 0 THEN
            PERFORM zanith._refuse(format('the archive of %s differs from the table (rows missing: %s, too many: %s, different: %s); nothing was dropped',
                zanith._object_name(a), found ->> 1, found ->> 2, found ->> 3), 'The column is still parked, and can be restored.', '22000');
        END IF;
    END IF;
    FOR step IN SELECT s.item FROM zanith._each(zanith._render_archive_end(a, d)) s ORDER BY s.ord LOOP
        PERFORM zanith._execute(step ->> 'sql', zanith._own_event_path());
    END LOOP;
    PERFORM zanith._convert_to_archive(a.id, kept, zanith._prove_caller());
    RETURN kept;
END $$;

CREATE OR REPLACE FUNCTION zanith._render_archive_end(a zanith._zanith_migration_artifacts, d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_follow_end(a.id)
        || zanith._render_refusal(q.archive, false, false)
        || zanith._step(format('COMMENT ON TABLE %s IS %L', q.archive, zanith._parked_comment(a.id)), 'Mark the archive with the artifact''s id')
        || zanith._step(format('REVOKE ALL ON TABLE %s FROM %I', q.archive, q.owner), 'Revoke the privilege to write to the archive')
        || zanith._step(format('GRANT SELECT, TRUNCATE ON TABLE %s TO %I', q.archive, q.owner), 'Let the owner of the table read and lock the archive (a trigger refuses TRUNCATE)')
        || zanith._step(format('ALTER TABLE %s OWNER TO %I', q.archive, zanith._own_role()), 'Give the archive to Zanith''s own role')
        || (SELECT zanith._list(s.item ORDER BY p.ord, r.ord, s.ord)
            FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'renames') r, LATERAL zanith._each(
                zanith._step(format('ALTER SEQUENCE %s OWNED BY NONE', zanith._qualify(r.item ->> 'schema', r.item ->> 'parked')),
                    'Keep the sequence when the column is dropped', 'SHARE ROW EXCLUSIVE')
                || zanith._step(format('ALTER SEQUENCE %s SET SCHEMA _zanith_shadow', zanith._qualify(r.item ->> 'schema', r.item ->> 'parked')),
                    'Park the sequence', 'ACCESS EXCLUSIVE')) s)
        || zanith._step(format('ALTER TABLE %s DROP COLUMN %s', q.live, q.col), 'Drop the parked column', 'ACCESS EXCLUSIVE', ARRAY[q.live])
    FROM zanith._archiving(a) q
); END $$;

-- The artifact becomes an archive, by what the catalog says: the column gone, the archive there and closed.
CREATE OR REPLACE FUNCTION zanith._convert_to_archive(artifact_id text, kept bigint, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    d jsonb := zanith._archived_definition(a.definition);
    caller text := zanith._check_own(a, proof);
    archive oid := zanith._relation_oid('_zanith_shadow', d #>> '{parked,table}');
BEGIN
    -- the labels of now are those that the archive was written with: others would be another shape
    d := d || jsonb_build_object('labels', zanith._describe_labels(archive))
        || CASE WHEN zanith._kept_labels(d) IS NULL THEN '{}'
                ELSE jsonb_build_object('kept', d -> 'kept' || jsonb_build_object('enums', zanith._label_tree((d #>> '{kept,oid}')::oid))) END;
    IF a.artifact_type <> 'soft_drop_column'
       -- a partition that was detached meanwhile keeps the column that went with it
       OR (CASE WHEN zanith._only(a.definition) = '' THEN zanith._attribute_number(zanith._relation_oid(a.physical_schema, a.physical_table), a.physical_column) IS NOT NULL
                ELSE zanith._place(a) ->> 'state' <> 'missing' END)
       OR obj_description(zanith._relation_oid('_zanith_shadow', d #>> '{parked,table}'), 'pg_class') IS DISTINCT FROM zanith._parked_comment(a.id) THEN
        PERFORM zanith._refuse(format('no online archive of artifact %s is under way', a.id), 'Use zanith drop column --strategy archive --online.', '55000');
    END IF;
    UPDATE zanith._zanith_migration_artifacts r
    SET artifact_type = 'archive_column', physical_schema = '_zanith_shadow', physical_table = d #>> '{parked,table}', physical_column = a.source_column,
        definition = d, row_count = kept
    WHERE r.id = a.id AND r.status = 'recoverable';
    UPDATE zanith._zanith_migration_artifacts r SET recovery_sql = zanith._render_script(a.id) WHERE r.id = a.id;
    INSERT INTO zanith._zanith_audit_log (actor, db_role, address, action, outcome, artifact_id, object, detail)
    VALUES (COALESCE(NULLIF(current_setting('zanith.actor', true), ''), caller), caller, host(inet_client_addr()), 'capture', 'done', a.id, zanith._object_name(a),
            jsonb_build_object('strategy', 'archive_column', 'online', true, 'rows', kept, 'migration_id', a.migration_id, 'reason', a.reason));
    PERFORM pg_notify('zanith', jsonb_build_object('event', 'artifact', 'id', a.id)::text);
END $$;

-- How far the copy came: {done, last}. The archive itself says it, so nothing else can be out of step with it.
CREATE OR REPLACE FUNCTION zanith.copied_to(artifact_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off
SET DateStyle = 'ISO, YMD' SET IntervalStyle = 'postgres' SET TimeZone = 'UTC' SET bytea_output = 'hex' SET lc_monetary = 'C' AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    q record := zanith._archiving(a);
    last text[];
BEGIN
    EXECUTE format('SELECT ARRAY[%s] FROM ONLY %s t ORDER BY %s LIMIT 1',
        (SELECT string_agg(format('t.%I::text', k.item ->> 'name'), ', ' ORDER BY k.ord) FROM zanith._each(a.definition -> 'key') k), q.archive,
        (SELECT string_agg(format('t.%I DESC', k.item ->> 'name'), ', ' ORDER BY k.ord) FROM zanith._each(a.definition -> 'key') k)) INTO last;
    RETURN jsonb_build_object('last', last, 'done', EXISTS (SELECT FROM pg_index i WHERE i.indrelid = to_regclass(q.archive) AND i.indisprimary));
END $$;

-- What `zanith drop column --strategy archive --online` would do, with what else to know; changes nothing.
CREATE OR REPLACE FUNCTION zanith.plan_archive_online(
    relation regclass, column_name text, on_dependents text DEFAULT 'refuse', published_ok boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts;
    p jsonb;
    id text := '000000000000';
BEGIN
    SELECT x.* INTO a FROM zanith._zanith_migration_artifacts x
    WHERE x.artifact_type = 'soft_drop_column' AND x.status = 'recoverable' AND x.source_column = column_name
      AND zanith._relation_oid(x.source_schema, x.source_table) = relation AND zanith._attribute_number(relation, column_name) IS NULL
      AND zanith._place(x) ->> 'state' = 'ok'
    ORDER BY x.capture_order DESC LIMIT 1;
    IF a.id IS NOT NULL THEN
        PERFORM zanith._check_archiving(a);
        p := jsonb_build_object('object', zanith._object_name(a), 'steps', '[]'::jsonb, 'dependents', '[]'::jsonb, 'publications', '[]'::jsonb,
            'warnings', jsonb_build_array(format('it is already parked (artifact %s): these steps continue from there', a.id)),
            'size_bytes', (SELECT sum(pg_total_relation_size(m.member)) FROM zanith._tree(relation) m),
            'row_estimate', (SELECT sum(GREATEST(c.reltuples, 0))::bigint FROM zanith._tree(relation) m JOIN pg_class c ON c.oid = m.member AND c.relkind <> 'p'));
    ELSE
        PERFORM zanith._check_table('archive_column', relation);
        PERFORM zanith._check_column('archive_column', relation, column_name);
        p := zanith.plan_capture('soft_drop_column', relation, column_name, on_dependents, published_ok);
        a.definition := zanith._define('soft_drop_column', relation, column_name, id, on_dependents, false);
        PERFORM zanith._check_capture('archive_column', relation, column_name,
            a.definition || '{"strategy": "archive_column"}', on_dependents, published_ok);
        PERFORM zanith._check_online(relation, a.definition);
        a.id := id;
        a.artifact_type := 'soft_drop_column';
        a.status := 'recoverable';
        a.source_schema := a.definition #>> '{table,schema}';
        a.source_table := a.definition #>> '{table,name}';
        a.source_column := column_name;
        a.physical_column := a.definition #>> '{parked,column}';
    END IF;
    RETURN p || jsonb_build_object('strategy', 'archive_column', 'warnings', (p -> 'warnings') - COALESCE(zanith._warn_of_types(a.definition), '') || zanith._warn_online(relation, a.definition)
            || array_to_json(array_remove(ARRAY[zanith._warn_of_types(zanith._archived_definition(a.definition)), zanith._note_of_types(zanith._archived_definition(a.definition))], NULL))::jsonb,
        'steps', p -> 'steps' || (
            SELECT jsonb_agg(s.item || jsonb_build_object('transaction', r.part) ORDER BY r.part, s.ord)
            FROM zanith._archiving(a) q, LATERAL (VALUES (2,
                CASE WHEN zanith.unfinished(a.id) IS NULL THEN zanith._render_archive_begin(a) ELSE '[]' END
                || zanith._step(format('INSERT INTO %s SELECT %s, %s FROM %s t WHERE (%2$s) > … ORDER BY %2$s LIMIT …', q.archive, q.keys, q.value, q.rows),
                    'Copy key and value in batches, each in its own transaction (reads and writes go on)', 'ACCESS SHARE', ARRAY[q.live], true)
                || zanith._step(format('ALTER TABLE %s ADD PRIMARY KEY (%s)', q.archive, q.keys), 'Add the primary key of the archive', 'ACCESS EXCLUSIVE', ARRAY[q.archive], true)
                || zanith._step(format('SELECT * FROM zanith.catch_up(%L, …)', a.id), 'Copy the rows that live traffic changed during the copy', 'ACCESS SHARE', ARRAY[q.live])
                || zanith._step(format('SELECT * FROM zanith.compare_copy(%L)', a.id), 'Compare every value with its copy, byte by byte; stop if one differs',
                    'ACCESS SHARE', ARRAY[q.live], true)),
                (3, zanith._step(format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', q.rows), 'Lock the table, then compare again the rows that changed since (the last, short transaction)', 'ACCESS EXCLUSIVE', ARRAY[q.live])
                || zanith._render_archive_end(a, zanith._archived_definition(a.definition)))) r(part, steps), LATERAL zanith._each(r.steps) s));
END $$;

CREATE OR REPLACE FUNCTION zanith._warn_online(relation oid, d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_array(
        format('the copy takes about %s of disk space, and about as much WAL', pg_size_pretty(c.rows * (44 + 2 * k.width + v.width))),
        'until the last transaction the column is soft-dropped and can be restored; a cancelled run can be resumed',
        'until it is done, each change of a key or of the parked value writes one more row',
        'the restored column will be the last column of its table')
    FROM (SELECT sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples ELSE pg_table_size(c.oid) / 100 END)::bigint
          FROM zanith._tree(relation) m JOIN pg_class c ON c.oid = m.member AND c.relkind <> 'p') c(rows),
         (SELECT n.nspname, r.relname, r.relkind = 'p' AS whole FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = relation) t,
         -- the view: pg_statistic itself is a superuser's
         LATERAL (SELECT COALESCE(sum(s.avg_width), 8)::bigint AS width FROM zanith._each(d -> 'key') x
                  JOIN pg_stats s ON s.schemaname = t.nspname AND s.tablename = t.relname AND s.inherited = t.whole AND s.attname = x.item ->> 'name') k,
         LATERAL (SELECT COALESCE(max(s.avg_width), 16)::bigint AS width FROM pg_stats s
                  WHERE s.schemaname = t.nspname AND s.tablename = t.relname AND s.inherited = t.whole AND s.attname IN (d #>> '{column,name}', d #>> '{parked,column}')) v
); END $$;
