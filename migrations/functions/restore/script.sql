-- recovery_sql: the recipe as a psql script that restores without us, from the same steps as the plan.

-- The settings under which the canonical CSV has the same bytes everywhere.
CREATE OR REPLACE FUNCTION zanith.canonical_settings() RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT '{"DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "1",
             "bytea_output": "hex", "lc_monetary": "C", "xmlbinary": "base64", "search_path": "pg_catalog",
             "row_security": "off"}'::jsonb
$$;

CREATE OR REPLACE FUNCTION zanith._render_script(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    d jsonb := a.definition;
    steps jsonb;
    name text := zanith._one_line(zanith._object_name(a));
    rows_of text;
    script text;
BEGIN
    IF a.artifact_type = 'rebuild_table' THEN
        RETURN format(E'-- %s: the definition was recorded before a rebuild; there is nothing to put back.\n'
                      '-- Compare the definition in zanith._zanith_migration_artifacts with the table as it is now.\n', name);
    END IF;
    steps := zanith._render_restore(a, '{}', true);
    rows_of := zanith._qualify(a.physical_schema, a.physical_table);
    script := format(E'-- Restores %s (artifact %s). Run with: psql -X -d DATABASE -f THIS_FILE\n'
                     '\\set ON_ERROR_STOP on\n'
                     '\\set SINGLELINE off\n'
                     'BEGIN;\n%s', name, a.id, zanith._script_settings());
    IF a.artifact_type <> 'soft_drop_column' THEN
        script := script || format(E'-- Nobody writes to what is parked from here on.\nLOCK TABLE %s IN SHARE MODE;\n', rows_of);
    END IF;
    script := script || zanith._script_gate(a, rows_of);
    script := script || COALESCE((SELECT string_agg(zanith._script_step(s.item), '' ORDER BY s.ord)
        FROM zanith._each(steps) s WHERE (s.item ->> 'transaction')::integer = 1), '');
    script := script || format(E'\n-- Tell the bookkeeping, where there is one.\n%s;\nCOMMIT;\n', zanith._do(format(
        E'BEGIN IF to_regprocedure(''zanith.mark_restored(text)'') IS NOT NULL THEN\n'
        '    PERFORM zanith.mark_restored(%L); END IF; END', a.id)));
    IF EXISTS (SELECT FROM zanith._each(steps) s WHERE (s.item ->> 'transaction')::integer = 2) THEN
        script := script || E'\n-- Constraints were added without a scan; now prove them, without stopping writes.\n'
            || (SELECT string_agg(E'BEGIN;\n' || zanith._script_settings() || zanith._script_step(s.item) || E'COMMIT;\n', '' ORDER BY s.ord)
                FROM zanith._each(steps) s WHERE (s.item ->> 'transaction')::integer = 2);
    END IF;
    RETURN script;
END $$;

-- Renders the script of every artifact anew, as after an upgrade; which could not be, and why.
CREATE OR REPLACE FUNCTION zanith._renew_recipes() RETURNS TABLE (object text, why text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    a zanith._zanith_migration_artifacts;
BEGIN
    FOR a IN SELECT * FROM zanith._zanith_migration_artifacts x WHERE x.status = 'recoverable' ORDER BY x.capture_order LOOP
        BEGIN
            UPDATE zanith._zanith_migration_artifacts x SET recovery_sql = r.script
            FROM (SELECT zanith._render_script(a.id) AS script) r WHERE x.id = a.id AND x.recovery_sql IS DISTINCT FROM r.script;
        EXCEPTION WHEN OTHERS THEN
            object := zanith._object_name(a) || ' (' || a.id || ')';
            why := SQLERRM;
            RETURN NEXT;
        END;
    END LOOP;
END $$;

-- What a script checks before it changes anything: the number of rows, and the checksum where there is one. A table that was moved
-- still belongs to its owner, and PostgreSQL evaluates expressions of its indexes when it plans a query. The script therefore reads
-- the table as its owner, and then rolls back everything that this left in the session.
CREATE OR REPLACE FUNCTION zanith._script_gate(a zanith._zanith_migration_artifacts, rows_of text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := a.definition;
    runner text := zanith._runner(d #>> '{table,owner}');
    path text := zanith._reading_path((zanith._place(a) ->> 'oid')::oid, d, runner);
    reader text := CASE WHEN a.artifact_type IN ('archive_table', 'soft_drop_table')
                        THEN COALESCE(runner, CASE WHEN path IS NOT NULL THEN d #>> '{table,owner}' END) END;
    names text[] := ARRAY(SELECT c.name FROM jsonb_array_elements_text(zanith._row_columns(d)) WITH ORDINALITY c(name, ord) ORDER BY c.ord);
    counted text := CASE WHEN d ? 'members' THEN zanith._only(d) ELSE 'ONLY ' END || rows_of;
    gate text := a.checksum_query;
    events text := zanith._sandbox_event_path(NULL);
    script text := E'SAVEPOINT _zanith_read;\n' || COALESCE(format(E'SELECT pg_catalog.set_config(''search_path'', %L, true);\n', events), '');
BEGIN
    IF a.artifact_type = 'soft_drop_column' OR a.row_count IS NULL AND a.checksum IS NULL THEN
        RETURN '';
    END IF;
    IF reader IS NOT NULL THEN
        script := script || format(E'-- What is parked belongs to %1$s and is read as %1$s.\nSET LOCAL check_function_bodies = off;\nSET LOCAL ROLE %2$I;\n%3$s;\n%4$sRESET ROLE;\n',
            zanith._one_line(quote_ident(reader)), reader, zanith._render_reader('_zanith_count', 'SELECT true FROM ' || counted, 1, path),
            CASE WHEN a.checksum IS NOT NULL THEN zanith._render_reader('_zanith_rows', a.checksum_query, cardinality(names), path) || E';\n' END);
        counted := 'pg_temp._zanith_count()';
        gate := zanith._render_reading('_zanith_rows', names);
    END IF;
    IF a.checksum IS NOT NULL THEN
        script := script || format(E'CREATE TEMPORARY VIEW _zanith_gate AS %s;\n', gate);
    END IF;
    IF events IS NOT NULL THEN
        script := script || E'SET LOCAL search_path = pg_catalog, pg_temp;\n';
    END IF;
    IF a.row_count IS NOT NULL THEN
        script := script || format(E'-- Nothing is restored from an archive that lost or gained rows.\n%s;\n', zanith._do(format(
            E'BEGIN IF (SELECT count(*) FROM %s) <> %s THEN\n'
            '    RAISE EXCEPTION ''the archive does not hold the %s rows that were recorded''; END IF; END',
            counted, a.row_count, a.row_count)));
    END IF;
    IF a.checksum IS NOT NULL THEN
        script := script || E'-- Nor from one whose bytes changed: the SHA-256 of the canonical CSV must be the sealed one.\n'
               '\\echo comparing what is parked with its seal: the next command fails where they differ\n'
            || (SELECT string_agg(format(E'SET LOCAL %s = %L;\n', s.key, s.value), '' ORDER BY s.key)
                FROM jsonb_each_text(a.checksum_settings) s WHERE s.key NOT IN ('search_path', 'row_security'))
            || format(E'\\copy (SELECT * FROM pg_temp._zanith_gate) TO PROGRAM ''sha256sum | grep -q "^%s"'' (FORMAT csv, HEADER true, ENCODING ''UTF8'')\n', a.checksum);
    END IF;
    RETURN script || E'ROLLBACK TO SAVEPOINT _zanith_read;\nRELEASE SAVEPOINT _zanith_read;\n';
END $$;

-- What each transaction of a script begins with: first what decides how PostgreSQL and psql read the rest. Each on its own line, since
-- psql asks for standard_conforming_strings once a line.
CREATE OR REPLACE FUNCTION zanith._script_settings() RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(format('SET LOCAL %s = %s;', s.name, CASE WHEN s.name = 'search_path' THEN s.value ELSE quote_literal(s.value) END) || chr(10), ''
                      ORDER BY s.name <> 'standard_conforming_strings', s.name <> 'backslash_quote', s.ord, s.name)
    FROM (SELECT f.key, f.value, 1 FROM jsonb_each_text(zanith._fixed_settings()) f
          UNION ALL SELECT 'row_security', 'off', 2 UNION ALL SELECT 'lock_timeout', '2s', 3) s(name, value, ord)
); END $$;

-- One step in a script: what for, the statement, run as whom it says.
CREATE OR REPLACE FUNCTION zanith._script_step(step jsonb) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT format(E'\n-- %s\n%s;\n', zanith._one_line(step ->> 'purpose'),
        CASE WHEN step ->> 'role' IS NULL AND step ->> 'path' IS NULL THEN zanith._script_statement(step ->> 'sql')
             -- a superuser's own
             WHEN step ->> 'role' IS NULL THEN format(E'SELECT pg_catalog.set_config(''search_path'', %L, true);\n%s;\nSET LOCAL search_path = pg_catalog, pg_temp',
                         step ->> 'path', zanith._script_statement(step ->> 'sql'))
             ELSE format(E'SET LOCAL ROLE %I;\n%s%s;\nSET LOCAL search_path = pg_catalog, pg_temp;\nRESET ROLE;\n'
                         'SELECT pg_temp._zanith_run(%L::text, ''rows''::text, %L::text, true);\nCLOSE ALL;\nDISCARD TEMP;\n%s', step ->> 'role',
                         CASE WHEN step ->> 'sandbox_path' IS NULL THEN '' ELSE format(E'SELECT pg_catalog.set_config(''search_path'', %L, true);\n', step ->> 'sandbox_path') END,
                         zanith.sandbox(), step ->> 'sql', COALESCE(step ->> 'path', 'pg_catalog, pg_temp'),
                         zanith._without_ending(zanith._script_settings(), ';' || chr(10))) END)
$$;

-- A statement as psql passes it on unchanged. Outside of quotes psql puts variables in (:name, :'name', :"name", :{?name}), obeys what
-- follows a backslash, and ends a statement at a semicolon that it does not take for part of one. Where any of these might be, PostgreSQL
-- gets the text as a constant between dollar quotes, which psql leaves alone.
CREATE OR REPLACE FUNCTION zanith._script_statement(statement text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN starts_with(statement, 'DO $') -- between dollar quotes already
                  OR position(':' IN replace(statement, '::', '')) + position(';' IN statement) + position(chr(92) IN statement) = 0
                THEN statement ELSE zanith._do('BEGIN EXECUTE ' || zanith._dollar_quoted(statement, 'sql') || '; END') END
$$;

-- Steps of the restore with these choices, against the catalog as it is now, in the order in which they run;
-- `in_script`: to be run who knows when, so nothing that is true just now is relied on.
CREATE OR REPLACE FUNCTION zanith._render_restore(
    a zanith._zanith_migration_artifacts, choices jsonb, in_script boolean DEFAULT false)
RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := a.definition;
    place jsonb;
    live_schema text := a.source_schema;
    live_table text := a.source_table;
    keyed boolean;
    live oid;
BEGIN
    IF a.artifact_type = 'rebuild_table' THEN
        RETURN '[]';
    ELSIF a.artifact_type IN ('soft_drop_table', 'archive_table') THEN
        keyed := zanith._key_calls_code(zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}'))
            OR zanith._key_calls_code(zanith._relation_oid(d #>> '{members,0,definition,partition_of,schema}', d #>> '{members,0,definition,partition_of,name}'));
        RETURN zanith._as_owner_of_key(zanith._runner(d #>> '{table,owner}'), keyed, zanith._in_run_order(zanith._under_paths(zanith._render_restore_table(d, choices), d, NULL, choices, in_script)));
    END IF;
    IF a.artifact_type = 'soft_drop_column' THEN
        -- the parked column tells which table it is, whatever that is called by now
        place := zanith._place(a);
        live_schema := COALESCE(place ->> 'schema', live_schema);
        live_table := COALESCE(place ->> 'table', live_table);
    END IF;
    live := zanith._relation_oid(live_schema, live_table);
    IF NOT in_script THEN
        -- whose table it is by now
        d := jsonb_set(d, '{table,owner}', COALESCE((SELECT to_jsonb(pg_get_userbyid(c.relowner)) FROM pg_class c
            WHERE c.oid = live), d #> '{table,owner}'));
    END IF;
    keyed := zanith._key_calls_code(zanith._relation_oid(live_schema, live_table));
    IF COALESCE((choices ->> 'online')::boolean, false) AND a.artifact_type = 'archive_column' AND NOT in_script THEN
        a.definition := d;
        RETURN zanith._in_run_order(zanith._under_paths(zanith._render_restore_online(a, choices), d, live, choices, in_script));
    END IF;
    RETURN zanith._as_owner_of_key(zanith._runner(d #>> '{table,owner}'), keyed, zanith._in_run_order(zanith._under_paths(zanith._render_follow_end(a.id) || zanith._render_unmake(a.id) || zanith._render_restore_column(d, live_schema, live_table,
        CASE WHEN NOT in_script THEN live END,
        EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = live
                AND t.attname = a.source_column AND NOT t.attisdropped), choices), d, live, choices, in_script)));
END $$;

CREATE OR REPLACE FUNCTION zanith._in_run_order(steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg(s.item ORDER BY (s.item ->> 'transaction')::integer, s.ord), '[]') FROM zanith._each(steps) s
); END $$;

-- Keeps what the seal found and renders the script anew, now with its gate. The first seal stands: a second one is
-- accepted only when it says the same.
CREATE OR REPLACE FUNCTION zanith.record_seal(artifact_id text, row_count bigint, checksum text, query text, settings jsonb)
RETURNS void LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
BEGIN
    PERFORM zanith._record_seal(artifact_id, row_count, checksum, query, settings, zanith._prove_caller());
END $$;

CREATE OR REPLACE FUNCTION zanith._record_seal(artifact_id text, row_count bigint, checksum text, query text, settings jsonb, proof uuid)
RETURNS void LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    caller text := zanith._read_caller(proof);
BEGIN
    IF NOT zanith._may_act_as(caller, a.definition #>> '{table,owner}')
       AND NOT has_table_privilege(caller, 'zanith._zanith_migration_artifacts', 'UPDATE') THEN
        PERFORM zanith._refuse(format('must be owner of %s to seal it', zanith._object_name(a)), 'Seal it as its owner.', '42501');
    END IF;
    IF query IS DISTINCT FROM zanith.canonical_query(artifact_id) OR settings IS DISTINCT FROM zanith.canonical_settings() THEN
        PERFORM zanith._refuse('the seal was made with another query or other settings', 'Use zanith.canonical_query and zanith.canonical_settings.', '22023');
    END IF;
    IF _record_seal.row_count IS NULL OR _record_seal.checksum IS NULL OR a.row_count IS NOT NULL AND a.row_count <> _record_seal.row_count THEN
        PERFORM zanith._refuse(format('%s was recorded with %s rows, not %s', zanith._object_name(a), a.row_count, _record_seal.row_count),
            'What is parked gained or lost rows since the capture; look who wrote to it.', '55000');
    END IF;
    IF a.checksum IS NOT NULL AND a.checksum <> _record_seal.checksum THEN
        PERFORM zanith._refuse(format('artifact %s is sealed with another checksum', artifact_id),
            'Verify it: what is parked has changed since.', '55000',
            format('sealed %s, now %s', a.checksum, _record_seal.checksum));
    END IF;
    IF a.checksum IS NOT NULL THEN
        RETURN;
    END IF;
    UPDATE zanith._zanith_migration_artifacts r
    SET row_count = _record_seal.row_count, checksum = _record_seal.checksum, checksum_query = query,
        checksum_settings = settings, sealed_at = COALESCE(r.sealed_at, clock_timestamp())
    WHERE r.id = artifact_id;
    UPDATE zanith._zanith_migration_artifacts r SET recovery_sql = zanith._render_script(artifact_id)
    WHERE r.id = artifact_id AND r.status = 'recoverable';
END $$;

-- What the script says at its end. Whoever may act as the owner may say it.
CREATE OR REPLACE FUNCTION zanith.mark_restored(artifact_id text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM zanith._mark_restored(artifact_id, zanith._prove_caller());
END $$;

CREATE OR REPLACE FUNCTION zanith._mark_restored(artifact_id text, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    caller text := zanith._read_caller(proof);
BEGIN
    IF NOT zanith._may_act_as(caller, a.definition #>> '{table,owner}') THEN
        PERFORM zanith._refuse(format('must be owner of %s to restore it', zanith._object_name(a)), 'Restore it as its owner.', '42501');
    END IF;
    UPDATE zanith._zanith_migration_artifacts r SET status = 'restored', restored_at = clock_timestamp(), restored_by = caller, restored_by_role = caller
    WHERE r.id = artifact_id AND r.status = 'recoverable';
    IF FOUND THEN
        INSERT INTO zanith._zanith_audit_log (actor, db_role, address, action, outcome, artifact_id, object, detail)
        VALUES (caller, caller, host(inet_client_addr()), 'restore', 'done', a.id, zanith._object_name(a), '{"with": "recovery_sql"}');
        PERFORM pg_notify('zanith', jsonb_build_object('event', 'artifact', 'id', a.id)::text);
    END IF;
END $$;
