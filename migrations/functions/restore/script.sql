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
    ending text;
    script text;
BEGIN
    IF a.artifact_type = 'rebuild_table' THEN
        RETURN format(E'-- %s: the definition was recorded before a rebuild; there is nothing to restore.\n'
                      '-- Compare the definition in zanith._zanith_migration_artifacts with the table as it is now.\n', name);
    END IF;
    steps := zanith._render_restore(a, '{}', true);
    rows_of := CASE WHEN a.physical_table IS NOT NULL THEN zanith._qualify(a.physical_schema, a.physical_table) END;
    -- what an owner's code set for the session would come out at COMMIT
    ending := E'COMMIT;\n' || CASE WHEN zanith._runner(d #>> '{table,owner}') IS NOT NULL OR zanith._runner((zanith._parked_owner(a)).owner) IS NOT NULL
            OR EXISTS (SELECT FROM zanith._each(steps) s WHERE s.item ->> 'role' IS NOT NULL)
        THEN E'RESET ALL; -- code of the owner may have left a setting in the session\n' ELSE '' END;
    script := format(E'-- Restores %s (artifact %s). Run with: psql -X -d DATABASE -f THIS_FILE\n'
                     '\\set ON_ERROR_STOP on\n'
                     '\\set SINGLELINE off\n'
                     '\\set SHOW_CONTEXT never\n'
                     'BEGIN;\n%s', name, a.id, zanith._script_settings());
    script := zanith._script_companions(a) || script;
    script := script || zanith._script_owner(a, rows_of) || COALESCE(zanith._script_partners(d), '') || zanith._script_third_code(d);
    IF a.artifact_type <> 'soft_drop_column' AND NOT zanith._strategy_is(a.artifact_type, 'definition') THEN
        script := script || format(E'-- Block writes to the parked table from here on.\nLOCK TABLE %s IN SHARE MODE;\n', rows_of);
    END IF;
    -- the parked table is read under the lock; a live table is locked only when it is about to be changed
    script := script || CASE WHEN d ? 'members' THEN zanith._script_guard(a, steps) || zanith._script_gate(a, rows_of)
                             ELSE zanith._script_gate(a, rows_of) || zanith._script_guard(a, steps) END;
    script := script || COALESCE((SELECT string_agg(zanith._script_step(s.item), '' ORDER BY s.ord)
        FROM zanith._each(steps) s WHERE (s.item ->> 'transaction')::integer = 1), '');
    script := script || format(E'\n-- Record the restore in the tables of Zanith, if they exist.\n%s;\n', zanith._do(format(
        E'BEGIN IF to_regnamespace(''zanith'') IS NOT NULL AND has_schema_privilege(''zanith'', ''USAGE'')\n'
        '    AND to_regprocedure(''zanith.mark_restored(text)'') IS NOT NULL THEN\n'
        '    PERFORM zanith.mark_restored(%L); END IF; END', a.id))) || ending;
    IF EXISTS (SELECT FROM zanith._each(steps) s WHERE (s.item ->> 'transaction')::integer = 2) THEN
        script := script || E'\n-- Constraints were added without a scan; validate them now, while writes go on.\n'
            || (SELECT string_agg(E'BEGIN;\n' || zanith._script_settings() || zanith._script_step(s.item) || ending, '' ORDER BY s.ord)
                FROM zanith._each(steps) s WHERE (s.item ->> 'transaction')::integer = 2);
    END IF;
    RETURN script;
END $$;

-- Which scripts run after this one, or before it: a comment.
CREATE OR REPLACE FUNCTION zanith._script_companions(a zanith._zanith_migration_artifacts) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN
    CASE WHEN a.cascade_of IS NULL THEN '' ELSE format(E'-- It was dropped by the cascade of artifact %s: run the script of that artifact first.\n', a.cascade_of) END
    || COALESCE((SELECT E'-- Its cascade also dropped objects that have their own artifacts. Run their scripts after this one, in this order:\n'
                        || string_agg(format(E'--   %s  %s\n', c.id, zanith._one_line(zanith._object_name(c))), '' ORDER BY c.capture_order DESC)
                 FROM zanith._zanith_migration_artifacts c WHERE c.cascade_of = a.id), '');
END $$;

-- A definition with what earlier versions did not record: whether an index, a statistics object, a view or a trigger calls nothing
-- outside of pg_catalog. What each part needs was recorded, but for functions that went with it.
CREATE OR REPLACE FUNCTION zanith._with_builtin(value jsonb, d jsonb, kind text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    IF jsonb_typeof(value) = 'array' THEN
        RETURN (SELECT zanith._list(zanith._with_builtin(v.item, d, kind) ORDER BY v.ord) FROM zanith._each(value) v);
    ELSIF jsonb_typeof(value) <> 'object' THEN
        RETURN value;
    END IF;
    RETURN (SELECT COALESCE(jsonb_object_agg(v.key, zanith._with_builtin(v.value, d, CASE v.key WHEN 'indexes' THEN 'the index %I' WHEN 'index' THEN 'the index %I'
                WHEN 'statistics' THEN 'the statistics object %I' WHEN 'triggers' THEN 'the trigger %I' WHEN 'views' THEN 'the view %2$s' END)), '{}') FROM jsonb_each(value) v)
        || CASE WHEN kind IS NULL OR NOT value ? 'name' OR value ? 'builtin' THEN '{}' ELSE jsonb_build_object('builtin',
            COALESCE(d #> '{cascade,functions}', '[]') = '[]' AND d ? 'needs' AND NOT EXISTS (
                SELECT FROM zanith._each(d -> 'needs') n
                WHERE n.item ->> 'by' = format(kind, value ->> 'name', CASE WHEN value ? 'schema' THEN zanith._qualify(value ->> 'schema', value ->> 'name') END) AND n.item #>> '{names,0}' <> 'pg_catalog'
                  AND n.item ->> 'type' NOT IN ('table', 'table column', 'view', 'view column', 'schema', 'role'))) END;
END $$;

-- ANALYZE of an archive from an earlier version would call a function of its owner as Zanith's own role (see _measured_columns).
CREATE OR REPLACE FUNCTION zanith._measure_no_archive() RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t record;
BEGIN
    FOR t IN SELECT zanith._relation_name(c.oid) AS name, a.attname FROM pg_class c, LATERAL zanith._each(zanith._measured_columns(c.oid)) m
             JOIN pg_attribute a ON a.attname = m.item #>> '{}'
             WHERE c.relnamespace = to_regnamespace('_zanith_shadow') AND c.relkind = 'r' AND pg_get_userbyid(c.relowner) = zanith._own_role()
               AND a.attrelid = c.oid AND COALESCE(a.attstattarget, -1) <> 0 LOOP
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', t.name, t.attname);
    END LOOP;
END $$;

-- Renders the script of every artifact anew, as after an upgrade; which could not be, and why.
CREATE OR REPLACE FUNCTION zanith._renew_scripts() RETURNS TABLE (object text, why text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    a zanith._zanith_migration_artifacts;
    known jsonb;
BEGIN
    PERFORM zanith._measure_no_archive();
    FOR a IN SELECT * FROM zanith._zanith_migration_artifacts x WHERE x.status = 'recoverable' OR zanith._strategy_is(x.artifact_type, 'archive') ORDER BY x.capture_order LOOP
        BEGIN
            known := zanith._as_recorded_now(a.definition);
            known := zanith._with_builtin(known, known);
            UPDATE zanith._zanith_migration_artifacts x SET definition = known WHERE x.id = a.id AND x.definition <> known;
            UPDATE zanith._zanith_migration_artifacts x SET recovery_sql = r.script
            FROM (SELECT zanith._render_script(a.id) AS script) r WHERE x.id = a.id AND x.recovery_sql IS DISTINCT FROM r.script;
        EXCEPTION WHEN OTHERS THEN
            object := zanith._object_name(a) || ' (' || a.id || ')';
            why := SQLERRM;
            RETURN NEXT;
        END;
    END LOOP;
END $$;

-- The present owner of the parked object: archives of earlier versions belong to the owner of the table. Where it is not there, as recorded.
CREATE OR REPLACE FUNCTION zanith._parked_owner(a zanith._zanith_migration_artifacts, OUT relation oid, OUT owner text)
LANGUAGE plpgsql STABLE AS $$ BEGIN
    relation := (zanith._place(a) ->> 'oid')::oid;
    SELECT CASE WHEN pg_get_userbyid(c.relowner) <> zanith._own_role() THEN pg_get_userbyid(c.relowner) END INTO owner FROM pg_class c WHERE c.oid = relation;
    IF NOT FOUND AND zanith._strategy_is(a.artifact_type, 'moves') THEN
        owner := a.definition #>> '{table,owner}';
    END IF;
END $$;

-- A table that was moved is read and restored as the owner that was recorded, who can do neither once it was given to another role.
CREATE OR REPLACE FUNCTION zanith._script_owner(a zanith._zanith_migration_artifacts, rows_of text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    runner text := zanith._runner(a.definition #>> '{table,owner}');
BEGIN
    IF NOT a.definition ? 'members' OR runner IS NULL THEN
        RETURN '';
    END IF;
    RETURN format(E'-- Stop if the parked table no longer belongs to its recorded owner.\n%s;\n', zanith._do(format(
        E'DECLARE given text; BEGIN\n'
        '    SELECT pg_catalog.format(''%%s now belongs to %%I, and this script restores it for %%I'', c.oid::pg_catalog.regclass, o.rolname, %2$L::pg_catalog.text) INTO given\n'
        '    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles o ON o.oid = c.relowner LEFT JOIN pg_catalog.pg_roles r ON r.rolname = %2$L\n'
        '    WHERE c.oid = pg_catalog.to_regclass(%1$L) AND (r.oid IS NULL OR NOT pg_catalog.pg_has_role(r.oid, o.oid, ''USAGE''));\n'
        '    IF FOUND THEN\n'
        '        RAISE EXCEPTION ''%%'', given USING HINT = %3$L; END IF; END', rows_of, runner,
        format('Restore it for its current owner: zanith recover restore-table %s --current-owner. Or give it back with ALTER TABLE … OWNER TO.', zanith._object_name(a)))));
END $$;

-- Steps on a superuser's table run as the role that runs the script. A table that was given away since would run its new owner's code so.
CREATE OR REPLACE FUNCTION zanith._script_guard(a zanith._zanith_migration_artifacts, steps jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- a view is not there yet
    target text := (SELECT t.item #>> '{}' FROM zanith._each(steps) s, LATERAL zanith._each(s.item -> 'tables') t
                    WHERE NOT zanith._strategy_is(a.artifact_type, 'definition') OR starts_with(s.item ->> 'sql', 'LOCK TABLE ') ORDER BY s.ord, t.ord LIMIT 1);
BEGIN
    IF target IS NULL OR zanith._runner(a.definition #>> '{table,owner}') IS NOT NULL THEN
        RETURN '';
    END IF;
    RETURN format(E'-- Stop if code of another role would run as the role that runs this script.\nLOCK TABLE %s IN ACCESS EXCLUSIVE MODE;\n%s;\n', target, zanith._do(format(
        E'DECLARE given text; BEGIN\n'
        '    SELECT pg_catalog.format(''%%s now belongs to %%I'', c.oid::pg_catalog.regclass, r.rolname) INTO given\n'
        '    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner\n'
        '    WHERE NOT r.rolsuper AND r.rolname <> current_user AND r.rolname <> ALL (%2$L::pg_catalog.name[]) AND c.oid IN (\n'
        '        WITH RECURSIVE family(o) AS (SELECT %1$L::pg_catalog.regclass::pg_catalog.oid UNION SELECT i.inhrelid FROM family JOIN pg_catalog.pg_inherits i ON i.inhparent = o)\n'
        '        SELECT o FROM family) LIMIT 1;\n'
        '    IF FOUND THEN\n'
        '        RAISE EXCEPTION ''%%: its code would run as %%'', given, current_user USING HINT = ''Restore it with zanith recover, or run this as that role.'';\n'
        '    END IF; END', target, ARRAY(SELECT DISTINCT o.owner FROM (SELECT t.item ->> 'owner' AS owner FROM zanith._each(a.definition -> 'tree') t
            UNION ALL SELECT m.item #>> '{definition,owner}' FROM zanith._each(a.definition -> 'members') m
            UNION ALL SELECT h.item #>> '{}' FROM zanith._each(a.definition -> 'owners') h) o WHERE o.owner IS NOT NULL))));
END $$;

-- What a script checks before it changes anything: the number of rows, and the checksum where there is one. A table that was moved
-- still belongs to its owner, and PostgreSQL evaluates expressions of its indexes when it plans a query. The script therefore reads
-- the table as its owner, and then rolls back everything that this left in the session.
CREATE OR REPLACE FUNCTION zanith._script_gate(a zanith._zanith_migration_artifacts, rows_of text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := a.definition;
    parked record := zanith._parked_owner(a);
    runner text := zanith._runner(parked.owner);
    path text := zanith._reading_path(parked.relation, d, runner);
    reader text := CASE WHEN a.artifact_type <> 'soft_drop_column' THEN COALESCE(runner, CASE WHEN path IS NOT NULL THEN d #>> '{table,owner}' END) END;
    names text[] := ARRAY(SELECT c.name FROM jsonb_array_elements_text(zanith._row_columns(d)) WITH ORDINALITY c(name, ord) ORDER BY c.ord);
    counted text := CASE WHEN d ? 'members' THEN zanith._only(d) ELSE 'ONLY ' END || rows_of;
    sealed text := CASE WHEN COALESCE(d -> 'labels', '{}') NOT IN ('{}', 'null') AND d ->> 'database' = zanith._database_identity()
        THEN zanith._canonical_query(zanith._with_labels_by_oid(d), a.physical_schema, a.physical_table) ELSE a.checksum_query END;
    gate text := sealed;
    events text := zanith._sandbox_event_path(NULL);
    script text := E'SAVEPOINT _zanith_read;\n' || COALESCE(format(E'SELECT pg_catalog.set_config(''search_path'', %L, true);\n', events), '');
BEGIN
    IF a.artifact_type = 'soft_drop_column' OR a.row_count IS NULL AND a.checksum IS NULL THEN
        RETURN '';
    END IF;
    IF jsonb_array_length(COALESCE(d -> 'members', '[]')) > 1 THEN
        script := format(E'-- Stop if code of another owner of its partitions or children would run.\n%s;\n', zanith._do(zanith._script_tables_guard(
            jsonb_build_object('guards', jsonb_build_array(zanith._only(d) || rows_of), 'role', reader)))) || script;
    END IF;
    IF reader IS NOT NULL THEN
        script := script || format(E'-- The parked table belongs to %1$s; read it as that role.\nSET LOCAL check_function_bodies = off;\nSET LOCAL ROLE %2$I;\n%3$s;\n%4$sRESET ROLE;\n',
            zanith._one_line(quote_ident(reader)), reader, zanith._render_reader('_zanith_count', 'SELECT true FROM ' || counted, 1, path),
            CASE WHEN a.checksum IS NOT NULL THEN zanith._render_reader('_zanith_rows', sealed, cardinality(names), path) || E';\n' END);
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
        script := script || format(E'-- Stop if the archive lost or gained rows.\n%s;\n', zanith._do(format(
            E'BEGIN IF (SELECT count(*) FROM %s) <> %s THEN\n'
            '    RAISE EXCEPTION ''the archive does not hold the recorded number of rows, which is %s''; END IF; END',
            counted, a.row_count, a.row_count)));
    END IF;
    IF a.checksum IS NOT NULL THEN
        script := script || E'-- Stop if its bytes changed: the SHA-256 of the canonical CSV must be the sealed one.\n'
               '\\echo comparing the archive with its seal: the next command fails if they differ\n'
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
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT format(CASE WHEN NOT step ? 'guards' THEN E'\n-- %1$s\n%2$s;\n'
                       -- a key that cannot be proved stays NOT VALID, and the script goes on
                       WHEN step ->> 'proves' IS NOT NULL THEN E'\n-- %1$s\n%3$s;\nSELECT pg_catalog.current_setting(''zanith.guarded'') AS guarded \\gset _zanith_\n\\if :_zanith_guarded\n%2$s;\n\\endif\n'
                       ELSE E'\n-- %1$s\n%3$s;\n%2$s;\n' END, zanith._one_line(step ->> 'purpose'),
        CASE WHEN step ->> 'role' IS NULL AND step ->> 'path' IS NULL THEN zanith._script_statement(step ->> 'sql')
             -- a superuser's own, or what an event trigger needs
             WHEN step ->> 'role' IS NULL THEN format(E'%s%sSELECT pg_catalog.set_config(''search_path'', %L, true);\n%s;\nSET LOCAL search_path = pg_catalog, pg_temp%s',
                         zanith._script_better(step ->> 'path'), c.before, step ->> 'path', zanith._script_statement(step ->> 'sql'), c.after)
             ELSE format(E'SET LOCAL ROLE %I;\n%s%s;\nSET LOCAL search_path = pg_catalog, pg_temp;\nRESET ROLE;\n'
                         'SELECT pg_temp._zanith_run(%L::text, ''rows''::text, %L::text, true);\nCLOSE ALL;\nDISCARD TEMP;\n%s%s', step ->> 'role',
                         CASE WHEN step ->> 'sandbox_path' IS NULL THEN '' ELSE format(E'SELECT pg_catalog.set_config(''search_path'', %L, true);\n', step ->> 'sandbox_path') END,
                         zanith.sandbox(), step ->> 'sql', COALESCE(step ->> 'path', 'pg_catalog, pg_temp'),
                         CASE WHEN current_setting('server_version_num')::integer < 180000 THEN zanith._do(zanith._deferral_check()) || E';\n' ELSE '' END,
                         zanith._without_ending(zanith._script_settings(), ';' || chr(10))) END,
        CASE WHEN step ? 'guards' THEN zanith._do(zanith._script_tables_guard(step)) END)
    FROM (SELECT step ? 'for_events' AND step ->> 'sql' ~ '^(CREATE |ALTER TABLE .* ADD )') e(parses),
         LATERAL (SELECT CASE WHEN e.parses THEN format(E'SELECT pg_catalog.set_config(''zanith.called'', (%s)::pg_catalog.text, true);\n', zanith._called_code()) END,
                         CASE WHEN e.parses THEN E';\n' || zanith._do(format(E'BEGIN IF (%s)::pg_catalog.text <> pg_catalog.current_setting(''zanith.called'') THEN\n'
                             '    RAISE EXCEPTION ''%%'', %L USING HINT = ''A routine in the search path fits better than the built-in one. Rename it for the length of this restore.''; END IF; END',
                             zanith._called_code(), zanith._one_line(step ->> 'purpose') || ' would call code that it did not call when it was captured')) END) c(before, after)
); END $$;

-- The same as zanith._check_better, without Zanith.
CREATE OR REPLACE FUNCTION zanith._script_better(path text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN
    CASE WHEN path = zanith._fixed_path() THEN '' ELSE zanith._do(format(
        E'DECLARE better text; BEGIN\n'
        '    IF (SELECT r.rolsuper FROM pg_catalog.pg_roles r WHERE r.rolname = current_user) THEN\n        %s;\n    END IF;\n'
        '    EXECUTE %L INTO better USING pg_catalog.array_replace(%L::text[], ''$user'', current_user::text), current_user::text;\n'
        '    IF better IS NOT NULL THEN RAISE EXCEPTION ''%%'', better USING HINT = ''Rename it for the length of this.''; END IF; END',
        zanith._names_lock(), zanith._better_query(), zanith._path_names(path))) || E';\n' END;
END $$;

-- A query for the number of routines and operators outside of pg_catalog that this transaction made something depend on, but for the
-- functions of triggers, and for the operators of foreign keys, which come from their index.
CREATE OR REPLACE FUNCTION zanith._called_code() RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN
    'SELECT pg_catalog.count(*) FROM pg_catalog.pg_depend d WHERE d.refclassid IN (''pg_catalog.pg_proc''::pg_catalog.regclass, ''pg_catalog.pg_operator''::pg_catalog.regclass)'
        ' AND d.classid <> ''pg_catalog.pg_proc''::pg_catalog.regclass AND d.xmin::pg_catalog.text = (pg_catalog.pg_current_xact_id()::pg_catalog.text::pg_catalog.numeric % 4294967296)::pg_catalog.text'
        ' AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE d.classid = ''pg_catalog.pg_trigger''::pg_catalog.regclass AND t.oid = d.objid AND t.tgfoid = d.refobjid)'
        ' AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint c WHERE d.classid = ''pg_catalog.pg_constraint''::pg_catalog.regclass AND c.oid = d.objid AND c.contype = ''f'')';
END $$;

-- The same as zanith.guard_tables, without Zanith: a block of PL/pgSQL. Of a constraint that is to be proved it says in the setting
-- zanith.guarded whether it may be.
CREATE OR REPLACE FUNCTION zanith._script_tables_guard(step jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    raising text := $block$    FOR beside IN WITH RECURSIVE named(o, alone) AS (
                SELECT c.oid, pg_catalog.starts_with(x, 'ONLY ') AND c.relkind <> 'p' FROM pg_catalog.unnest(%s::pg_catalog.text[]) x
                JOIN pg_catalog.pg_class c ON c.oid = pg_catalog.to_regclass(pg_catalog.regexp_replace(x, '^ONLY ', ''))),
            family(o, alone) AS (SELECT o, alone FROM named UNION SELECT i.inhrelid, false FROM family JOIN pg_catalog.pg_inherits i ON i.inhparent = o AND NOT alone)
        SELECT c.oid, c.oid::pg_catalog.regclass AS name, r.rolname AS owner, x.oid AS place, s.rolname <> runner AND NOT s.rolsuper AS elsewhere
        FROM (SELECT o FROM family UNION SELECT a.relid FROM named, LATERAL pg_catalog.pg_partition_ancestors(o) a) l JOIN pg_catalog.pg_class c ON c.oid = l.o
            JOIN pg_catalog.pg_namespace x ON x.oid = c.relnamespace JOIN pg_catalog.pg_roles s ON s.oid = x.nspowner
            JOIN pg_catalog.pg_roles r ON r.oid = c.relowner WHERE NOT r.rolsuper AND r.rolname <> runner ORDER BY 1 LOOP
        EXECUTE pg_catalog.format('LOCK TABLE ONLY %%s IN SHARE UPDATE EXCLUSIVE MODE', beside.name);
        IF pg_catalog.current_setting('is_superuser') = 'on' THEN -- its schema keeps its name
            PERFORM FROM pg_catalog.pg_namespace n WHERE n.oid = beside.place FOR SHARE;
            beside.elsewhere := pg_catalog.to_regclass(beside.name::pg_catalog.text) IS DISTINCT FROM beside.oid;
        END IF;
        SELECT pg_catalog.pg_describe_object(d.refclassid, d.refobjid, 0) INTO code FROM pg_catalog.pg_depend d
        WHERE (d.refclassid IN ('pg_catalog.pg_proc'::pg_catalog.regclass, 'pg_catalog.pg_operator'::pg_catalog.regclass)
               OR d.refclassid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.refobjid IN (SELECT t.oid FROM pg_catalog.pg_type t WHERE t.typtype IN ('d', 'c', 'r', 'm')))
          AND (d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND (d.objid = beside.oid AND d.objsubid = 0 OR d.objid IN (SELECT i.indexrelid FROM pg_catalog.pg_index i WHERE i.indrelid = beside.oid))
            OR d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND d.objid IN (SELECT k.oid FROM pg_catalog.pg_constraint k WHERE k.conrelid = beside.oid AND k.contype IN ('c', 'x'))
            OR d.classid = 'pg_catalog.pg_statistic_ext'::pg_catalog.regclass AND d.objid IN (SELECT e.oid FROM pg_catalog.pg_statistic_ext e WHERE e.stxrelid = beside.oid)
            OR d.classid = 'pg_catalog.pg_attrdef'::pg_catalog.regclass AND d.objid IN (SELECT f.oid FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> '' WHERE f.adrelid = beside.oid)) LIMIT 1;
        IF NOT FOUND THEN -- a built-in function that runs what it is told
            SELECT COALESCE(p.oid::pg_catalog.regprocedure::pg_catalog.text, 'casts to JSON') INTO code
            FROM (SELECT pg_catalog.concat(i.indexprs::pg_catalog.text, i.indpred::pg_catalog.text) FROM pg_catalog.pg_index i WHERE i.indrelid = beside.oid
                  UNION ALL SELECT p.partexprs::pg_catalog.text FROM pg_catalog.pg_partitioned_table p WHERE p.partrelid = beside.oid
                  UNION ALL SELECT k.conbin::pg_catalog.text FROM pg_catalog.pg_constraint k WHERE k.conrelid = beside.oid
                  UNION ALL SELECT e.stxexprs::pg_catalog.text FROM pg_catalog.pg_statistic_ext e WHERE e.stxrelid = beside.oid
                  UNION ALL SELECT f.adbin::pg_catalog.text FROM pg_catalog.pg_attrdef f JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum AND a.attgenerated <> '' WHERE f.adrelid = beside.oid) x(tree)
                LEFT JOIN LATERAL pg_catalog.regexp_matches(x.tree, ':(?:(?:op)?funcid|(?:agg|win)fnoid) (\d+)', 'g') m(called) ON true
                LEFT JOIN pg_catalog.pg_proc p ON p.oid = m.called[1]::pg_catalog.oid
            WHERE %s OR pg_catalog.strpos(x.tree, '{JSONCONSTRUCTOREXPR ') > 0 AND %s LIMIT 1;
        END IF;
        IF NOT FOUND THEN -- proving a foreign key casts its columns
            WITH RECURSIVE kinds(o) AS (SELECT a.atttypid FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)
                                        WHERE k.contype = 'f' AND k.conrelid = beside.oid
                                        UNION SELECT t.typbasetype FROM kinds JOIN pg_catalog.pg_type t ON t.oid = kinds.o AND t.typtype = 'd')
            SELECT x.castfunc::pg_catalog.regprocedure::pg_catalog.text INTO code FROM kinds JOIN pg_catalog.pg_cast x ON x.castsource = kinds.o AND x.castcontext = 'i'
                JOIN pg_catalog.pg_proc f ON f.oid = x.castfunc JOIN pg_catalog.pg_roles w ON w.oid = f.proowner WHERE NOT w.rolsuper LIMIT 1;
        END IF;
        IF FOUND OR NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = beside.oid AND c.relkind IN ('r', 'p')) OR %s THEN
            RAISE EXCEPTION 'code of %% would run as %%: %% belongs to another role', beside.owner, runner, beside.name USING DETAIL = COALESCE(code, 'It is no ordinary table, or its schema belongs to another role.');
        END IF;
    END LOOP;
$block$;
BEGIN
    raising := format(raising, quote_literal((SELECT array_agg(g.name) FROM jsonb_array_elements_text(step -> 'guards') g(name))),
                      zanith._acting_condition(), zanith._json_casts(), CASE WHEN step ->> 'role' IS NULL THEN 'beside.elsewhere' ELSE 'false' END);
    RETURN format(E'DECLARE beside record; code pg_catalog.text; runner pg_catalog.text := %s; BEGIN
%sEND', COALESCE(quote_literal(step ->> 'role'), quote_literal(step ->> 'guarded_as'), 'current_user'),
        CASE WHEN step ->> 'proves' IS NULL THEN raising ELSE format(
            E'PERFORM pg_catalog.set_config(''zanith.guarded'', ''true'', true);
BEGIN
%sEXCEPTION WHEN insufficient_privilege OR raise_exception THEN
'
            '    RAISE WARNING ''%% The constraint stays NOT VALID.'', SQLERRM || ''.'';
'
            '    PERFORM pg_catalog.set_config(''zanith.guarded'', ''false'', true);
END;
', raising) END);
END $$;

-- A block of PL/pgSQL for scripts that raises where deferred triggers wait for the end of the transaction: before 18 PostgreSQL runs them
-- as the role that commits. The same as zanith._check_left_behind, without Zanith.
CREATE OR REPLACE FUNCTION zanith._deferral_check() RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $block$DECLARE waiting pg_catalog.text; BEGIN
    FOR waiting IN SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        WHERE c.oid IN (SELECT l.relation FROM pg_catalog.pg_locks l WHERE l.pid = pg_catalog.pg_backend_pid() AND l.locktype = 'relation'
                          AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()))
          AND EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgdeferrable AND NOT t.tgisinternal AND t.tgenabled <> 'D') LOOP
        BEGIN
            EXECUTE pg_catalog.format('ALTER TABLE ONLY %s ALTER COLUMN "_zanith no such column" SET STATISTICS 0', waiting);
        EXCEPTION WHEN undefined_column THEN
            NULL;
        WHEN object_in_use THEN
            RAISE EXCEPTION 'deferred triggers of % would run at the end of the transaction, as the role that runs this script', waiting;
        END;
    END LOOP;
END$block$; END $$;

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
    into_column boolean := false;
BEGIN
    IF a.artifact_type = 'rebuild_table' THEN
        RETURN '[]';
    ELSIF zanith._strategy_is(a.artifact_type, 'moves') THEN
        d := CASE WHEN in_script THEN d ELSE zanith._as_chosen(d, NULL, choices) END;
        keyed := zanith._key_calls_code(zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}'))
            OR zanith._key_calls_code(zanith._relation_oid(d #>> '{members,0,definition,partition_of,schema}', d #>> '{members,0,definition,partition_of,name}'));
        RETURN zanith._render_preparation(d, in_script) || zanith._as_owner_of_key(zanith._runner(d #>> '{table,owner}'), keyed, zanith._in_run_order(zanith._under_paths(zanith._identity_by_owner(zanith._render_restore_table(d, choices, in_script)), d, NULL, choices, in_script)));
    END IF;
    IF zanith._strategy_is(a.artifact_type, 'definition') THEN
        live := CASE WHEN d ? 'column' THEN zanith._relation_oid(live_schema, live_table) END;
        d := CASE WHEN in_script THEN d ELSE zanith._as_chosen(d, live, choices) END;
        RETURN zanith._render_preparation(d, in_script) || zanith._as_owner_of_key(zanith._runner(d #>> '{table,owner}'), zanith._key_calls_code(live), zanith._in_run_order(zanith._under_paths(zanith._identity_by_owner(
            zanith._render_restore_kept(d, CASE WHEN NOT in_script THEN live END, choices, in_script)), d, live, choices, in_script)));
    ELSIF a.artifact_type = 'archive_rows' THEN
        live := zanith._relation_oid(live_schema, live_table);
        d := CASE WHEN in_script THEN d ELSE zanith._as_chosen(d, live, choices) END;
        RETURN zanith._render_preparation(d, in_script) || zanith._as_owner_of_key(zanith._runner(d #>> '{table,owner}'), zanith._key_calls_code(live), zanith._under_paths(
            CASE WHEN in_script THEN '[]' ELSE zanith._render_archive_readable(a, live) END || zanith._render_restore_rows(d, CASE WHEN NOT in_script THEN live END), d, live, choices, in_script));
    ELSIF a.artifact_type = 'soft_drop_column' THEN
        -- the parked column tells which table it is, whatever its present name
        place := zanith._place(a);
        -- a script runs after the restore of the table, where that was captured since
        SELECT COALESCE(p.source_schema, place ->> 'schema', live_schema), COALESCE(p.source_table, place ->> 'table', live_table) INTO live_schema, live_table
        FROM (SELECT) one LEFT JOIN zanith._zanith_migration_artifacts p ON in_script AND p.id = zanith._parked_by((place ->> 'oid')::oid) ->> 0;
    END IF;
    live := zanith._relation_oid(live_schema, live_table);
    IF NOT in_script THEN
        d := zanith._as_chosen(d, live, choices);
        into_column := zanith._goes_into_column(d, live, choices);
        IF into_column THEN -- which has its comment and its grants
            choices := choices || jsonb_build_object('as', zanith._name_beside(live, a.source_column));
            d := d || jsonb_build_object('into', true, 'column', (d -> 'column') || '{"comment": null, "grants": null}');
        END IF;
    ELSIF d ? 'stays' THEN
        choices := choices || jsonb_build_object('as', d -> 'beside');
    END IF;
    keyed := zanith._key_calls_code(zanith._relation_oid(live_schema, live_table));
    IF COALESCE((choices ->> 'online')::boolean, false) AND zanith._strategy_is(a.artifact_type, 'values') AND NOT in_script THEN
        a.definition := d;
        RETURN zanith._set_transaction(0, zanith._render_preparation(d, in_script)) || zanith._in_run_order(zanith._under_paths(zanith._identity_by_owner(zanith._set_transaction(0, zanith._render_archive_readable(a, live)) || zanith._render_restore_online(a, choices)), d, live, choices, in_script));
    END IF;
    RETURN zanith._render_preparation(d, in_script) || zanith._as_owner_of_key(zanith._runner(d #>> '{table,owner}'), keyed, zanith._in_run_order(zanith._under_paths(zanith._identity_by_owner(CASE WHEN in_script THEN '[]' ELSE zanith._render_archive_readable(a, live) END || zanith._render_follow_end(a.id) || zanith._render_unmake(a.id) || zanith._render_restore_column(d, live_schema, live_table,
        CASE WHEN NOT in_script THEN live END,
        EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = live
                AND t.attname = a.source_column AND NOT t.attisdropped), choices)
        || CASE WHEN into_column THEN zanith._render_into_column(d, zanith._relation_name(live), choices ->> 'as') ELSE '[]' END), d, live, choices, in_script)));
END $$;

-- The archive was made readable for the owner that the table had. If the current owner is another, it must be able to read it too.
CREATE OR REPLACE FUNCTION zanith._render_archive_readable(a zanith._zanith_migration_artifacts, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN COALESCE((
    SELECT zanith._step(format('GRANT SELECT, TRUNCATE ON TABLE %s TO %I', zanith._relation_name(c.oid), pg_get_userbyid(t.relowner)),
        'Let the present owner of the table read and lock the archive')
    FROM pg_class t, pg_class c
    WHERE zanith._strategy_is(a.artifact_type, 'archive') AND a.status = 'recoverable' AND t.oid = live AND c.oid = zanith._relation_oid(a.physical_schema, a.physical_table)
      AND NOT has_table_privilege(t.relowner, c.oid, 'SELECT')), '[]');
END $$;

CREATE OR REPLACE FUNCTION zanith._in_run_order(steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY (s.item ->> 'transaction')::integer, s.ord) FROM zanith._each(steps) s
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
    IF NOT zanith._may_decide(caller, a)
       AND NOT has_table_privilege(caller, 'zanith._zanith_migration_artifacts', 'UPDATE') THEN
        PERFORM zanith._refuse(format('must be owner of %s to seal it', zanith._object_name(a)), 'Seal it as its owner.', '42501');
    END IF;
    IF query IS DISTINCT FROM zanith.canonical_query(artifact_id) OR settings IS DISTINCT FROM zanith.canonical_settings() THEN
        PERFORM zanith._refuse('the seal was made with another query or other settings', 'Use zanith.canonical_query and zanith.canonical_settings.', '22023');
    END IF;
    IF _record_seal.row_count IS NULL OR _record_seal.checksum IS NULL OR a.row_count IS NOT NULL AND a.row_count <> _record_seal.row_count THEN
        PERFORM zanith._refuse(format('the recorded number of rows of %s is %s, not %s', zanith._object_name(a), a.row_count, _record_seal.row_count),
            'The archive gained or lost rows since the capture; find out who wrote to it.', '55000');
    END IF;
    IF a.checksum IS NOT NULL AND a.checksum <> _record_seal.checksum THEN
        PERFORM zanith._refuse(format('artifact %s is sealed with another checksum', artifact_id),
            'Verify it: the archive has changed since then.', '55000',
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
    WHERE r.id = artifact_id AND (r.status = 'recoverable' OR zanith._strategy_is(r.artifact_type, 'archive'));
END $$;

-- The script of an archive whose column is live again: what went with the column would have to be made anew.
CREATE OR REPLACE FUNCTION zanith._renew_script(artifact_id text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    UPDATE zanith._zanith_migration_artifacts r SET recovery_sql = zanith._render_script(r.id)
    WHERE r.id = artifact_id AND zanith._strategy_is(r.artifact_type, 'values')
      AND EXISTS (SELECT FROM zanith._parts(r.definition) p WHERE jsonb_array_length(COALESCE(p.part -> 'renames', '[]')) > 0);
END $$;

-- What the script says at its end. A role that may act as the owner may say it.
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
    IF NOT zanith._may_decide(caller, a) THEN
        PERFORM zanith._refuse(format('must be owner of %s to restore it', zanith._object_name(a)), 'Restore it as its owner.', '42501');
    END IF;
    UPDATE zanith._zanith_migration_artifacts r SET status = 'restored', restored_at = clock_timestamp(), restored_by = caller, restored_by_role = caller
    -- an archive stays, and its column may have been restored once more
    WHERE r.id = artifact_id AND (r.status = 'recoverable' OR zanith._strategy_is(r.artifact_type, 'archive'));
    IF FOUND THEN
        PERFORM zanith._renew_script(a.id);
        IF a.source_column IS NOT NULL AND zanith._schema_of_pins() IS NOT NULL THEN
            PERFORM zanith._check_temporary(), zanith._change_pins(zanith._relation_oid(a.source_schema, a.source_table), 'renew');
        END IF;
        BEGIN -- a subtransaction: its number is higher than those of all that the script wrote
            INSERT INTO zanith._zanith_audit_log (actor, db_role, address, action, outcome, artifact_id, object, detail)
            VALUES (caller, caller, host(inet_client_addr()), 'restore', 'done', a.id, zanith._object_name(a),
                    jsonb_build_object('with', 'recovery_sql', 'column', zanith._restored_column(a.id, a.definition ->> 'beside'))
                    || CASE WHEN a.definition ? 'stays' THEN jsonb_build_object('choices', jsonb_build_object('as', a.definition -> 'beside')) ELSE '{}' END);
        EXCEPTION WHEN OTHERS THEN
            RAISE;
        END;
        PERFORM pg_notify('zanith', jsonb_build_object('event', 'artifact', 'id', a.id)::text);
    END IF;
END $$;
