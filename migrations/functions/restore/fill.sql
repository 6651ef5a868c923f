-- Filling a column that comes back: archived values into their rows, quietly.

-- Quiet: user triggers and rules off, FORCE ROW LEVEL SECURITY lifted; all put back in their exact states afterwards.
-- A plan names each as the table has it now (`live`); a script, which runs who knows when, looks for itself (`live` NULL), in one
-- statement that keeps what it has to put back. `runner`: who runs the steps between, where descendants belong to others. `inserts`: they add rows.
CREATE OR REPLACE FUNCTION zanith._render_quiet(target text, live oid, steps jsonb, runner text DEFAULT NULL, inserts boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN live IS NULL THEN zanith._render_quiet_script(target, steps, runner, inserts)
        ELSE zanith._list(zanith._step(q.off, format('%s %s during the backfill', CASE q.what WHEN 'the replica identity' THEN 'Change' ELSE 'Disable' END, q.what),
                'ACCESS EXCLUSIVE', ARRAY[q.on_table]) -> 0 ORDER BY q.ord)
            || steps
            || zanith._list(zanith._step(q.back, format('%s %s as it was', CASE q.what WHEN 'the replica identity' THEN 'Set' ELSE 'Enable' END, q.what),
                'ACCESS EXCLUSIVE', ARRAY[q.on_table]) -> 0 ORDER BY q.ord) END
    FROM zanith._find_update_side_effects(live, target) q WHERE NOT inserts OR zanith._acts_on_insert(q.what)
); END $$;

-- Of what acts on an UPDATE, what also acts on an INSERT: an INSERT needs no replica identity.
CREATE OR REPLACE FUNCTION zanith._acts_on_insert(what text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT what ~ '^(trigger|rule|row security) ' $$;

CREATE OR REPLACE FUNCTION zanith._render_quiet_script(target text, steps jsonb, runner text, inserts boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(zanith._do(format('DECLARE s record; back text[] := ''{}''; statement text; path text := pg_catalog.current_setting(''search_path''); BEGIN '
            'PERFORM pg_catalog.set_config(''search_path'', ''pg_catalog, pg_temp'', true); FOR s IN %s LOOP EXECUTE s.off; back := back || s.back; END LOOP; %s %s '
            'FOREACH statement IN ARRAY back LOOP EXECUTE statement; END LOOP; END', CASE WHEN inserts THEN format('SELECT d.* FROM (%s) d WHERE d.what ~ ''^(trigger|rule|row security) ''', zanith._update_side_effects(target)) ELSE zanith._update_side_effects(target) END,
            (SELECT string_agg(CASE WHEN runner IS NULL OR NOT (x.item ->> 'grows')::boolean
                     THEN format('PERFORM pg_catalog.set_config(''search_path'', path, true); EXECUTE %L; PERFORM pg_catalog.set_config(''search_path'', ''pg_catalog, pg_temp'', true);', x.item ->> 'sql')
                ELSE format('PERFORM pg_catalog.set_config(''role'', %L, true); EXECUTE %L; PERFORM pg_catalog.set_config(''role'', ''none'', true); '
                     'EXECUTE ''SELECT pg_temp._zanith_run($1, $2, $3, $4)'' USING %L::text, ''rows''::text, ''pg_catalog, pg_temp''::text, true; '
                     'PERFORM pg_catalog.set_config(''search_path'', ''pg_catalog, pg_temp'', true); '
                     'EXECUTE ''CLOSE ALL''; EXECUTE ''DISCARD TEMP''; %s;', runner, zanith.sandbox(), x.item ->> 'sql', zanith._deferral_check()) END, ' ' ORDER BY x.ord)
             FROM zanith._each(steps) x),
            CASE WHEN runner IS NULL THEN '' ELSE format($check$IF EXISTS (
                WITH RECURSIVE family(o) AS (SELECT %L::pg_catalog.regclass::pg_catalog.oid UNION SELECT i.inhrelid FROM family JOIN pg_catalog.pg_inherits i ON i.inhparent = o)
                SELECT FROM family JOIN pg_catalog.pg_index i ON i.indrelid = o AND (i.indpred IS NOT NULL OR i.indexprs IS NOT NULL) JOIN pg_catalog.pg_class k ON k.oid = i.indexrelid,
                     pg_catalog.unnest(back) b(s), pg_catalog.concat(' REPLICA IDENTITY USING INDEX ', pg_catalog.quote_ident(k.relname)) e(ending)
                WHERE pg_catalog.right(b.s, pg_catalog.length(e.ending)) = e.ending) THEN
                -- PostgreSQL would evaluate what is constant in it
                RAISE EXCEPTION 'the backfill exchanged the index of a replica identity'; END IF;$check$, target) END)),
        (SELECT string_agg(x.item ->> 'purpose', '; ' ORDER BY x.ord) FROM zanith._each(steps) x) || ' (with user triggers and rules disabled)',
        -- of several owners: not as one of them
        'ACCESS EXCLUSIVE', ARRAY[target], runner IS NULL)
); END $$;

-- What would act on an UPDATE of the table: one row each, how to turn it off and how to put it back.
CREATE OR REPLACE FUNCTION zanith._find_update_side_effects(live oid, target text)
RETURNS TABLE (ord bigint, what text, on_table text, off text, back text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF live IS NOT NULL THEN
        RETURN QUERY EXECUTE format('SELECT row_number() OVER (), d.what, d.on_table, d.off, d.back FROM (%s) d', zanith._update_side_effects(target));
    END IF;
END $$;

-- The query of both: triggers of the table and of its descendants, rules and row security of the table alone.
CREATE OR REPLACE FUNCTION zanith._update_side_effects(target text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT format($body$
        SELECT format('trigger %%I', g.tgname) AS what, f.name AS on_table, format('ALTER TABLE ONLY %%s DISABLE TRIGGER %%I', f.name, g.tgname) AS off,
               format('ALTER TABLE ONLY %%s %%s TRIGGER %%I', f.name,
               CASE g.tgenabled WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END, g.tgname) AS back
        FROM (%3$s) f
        JOIN pg_catalog.pg_trigger g ON g.tgrelid = f.o
        WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND NOT starts_with(g.tgname, '~zanith_')
        UNION ALL
        SELECT format('rule %%I', r.rulename), %2$L, format('%%s DISABLE RULE %%I', %1$L, r.rulename), format('%%s %%s RULE %%I', %1$L,
               CASE r.ev_enabled WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END, r.rulename)
        FROM pg_catalog.pg_rewrite r
        WHERE r.ev_class = %2$L::pg_catalog.regclass AND r.ev_enabled <> 'D'
        UNION ALL
        -- a published table takes no UPDATE without a replica identity, nor with one that lacks a column of a row filter or has one
        -- beyond a column list, nor with all columns for one where some are generated or only some are published
        SELECT 'the replica identity', f.name, format('ALTER TABLE ONLY %%s REPLICA IDENTITY %%s', f.name,
                   CASE WHEN f.filtered AND NOT f.partly OR f.key IS NULL THEN 'FULL' ELSE 'USING INDEX ' || quote_ident(f.key) END),
               format('ALTER TABLE ONLY %%s REPLICA IDENTITY %%s', f.name, CASE f.relreplident WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL'
                   WHEN 'i' THEN COALESCE('USING INDEX ' || quote_ident(f.identity), 'NOTHING') ELSE 'DEFAULT' END)
        FROM (SELECT x.*, EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prrelid = x.o AND r.prqual IS NOT NULL) AS filtered,
                     EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prrelid = x.o AND r.prattrs IS NOT NULL)
                       OR EXISTS (SELECT FROM pg_catalog.pg_attribute t WHERE t.attrelid = x.o AND t.attgenerated <> '') AS partly,
                     (SELECT k.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class k ON k.oid = i.indexrelid
                      WHERE i.indrelid = x.o AND i.indisreplident) AS identity,
                     EXISTS (SELECT FROM pg_catalog.pg_index i, pg_catalog.pg_publication_rel r
                             WHERE i.indrelid = x.o AND r.prrelid = x.o AND r.prattrs IS NOT NULL
                               AND CASE x.relreplident WHEN 'i' THEN i.indisreplident WHEN 'd' THEN i.indisprimary END
                               AND NOT (i.indkey::smallint[])[0:i.indnkeyatts - 1] <@ (r.prattrs::smallint[])) AS beyond,
                          (SELECT k.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class k ON k.oid = i.indexrelid
                           WHERE i.indrelid = x.o AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
                             AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute t WHERE t.attrelid = x.o AND NOT t.attnotnull
                                             AND t.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1]))
                             AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prrelid = x.o AND r.prattrs IS NOT NULL
                                             AND NOT (i.indkey::smallint[])[0:i.indnkeyatts - 1] <@ (r.prattrs::smallint[]))
                           ORDER BY i.indnkeyatts, k.oid LIMIT 1) AS key FROM (%3$s) x) f
        -- one whose index is gone is none
        WHERE f.relkind = 'r' AND (f.relreplident = 'n' OR f.relreplident = 'i' AND f.identity IS NULL
              OR f.relreplident = 'd' AND NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = f.o AND i.indisprimary)
              OR f.relreplident = 'f' AND f.partly OR f.relreplident <> 'f' AND f.filtered AND NOT f.partly OR f.beyond)
          AND EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.pubupdate AND (p.puballtables
              OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid
                         AND r.prrelid IN (SELECT f.o UNION SELECT a.relid FROM pg_catalog.pg_partition_ancestors(f.o) a(relid)))
              OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace ns JOIN pg_catalog.pg_class c ON c.relnamespace = ns.pnnspid
                         WHERE ns.pnpubid = p.oid AND c.oid IN (SELECT f.o UNION SELECT a.relid FROM pg_catalog.pg_partition_ancestors(f.o) a(relid)))))
        UNION ALL
        -- with a row filter, and columns that are not published or generated, it may take no UPDATE under any replica identity (18)
        SELECT format('the publication %%I', p.pubname), f.name, format('ALTER PUBLICATION %%I DROP TABLE ONLY %%s', p.pubname, f.name),
               format('ALTER PUBLICATION %%I ADD TABLE ONLY %%s%%s WHERE (%%s)', p.pubname, f.name,
                   (SELECT ' (' || string_agg(quote_ident(t.attname), ', ' ORDER BY t.attnum) || ')' FROM pg_catalog.pg_attribute t
                    WHERE t.attrelid = f.o AND t.attnum = ANY (r.prattrs::smallint[])), pg_catalog.pg_get_expr(r.prqual, r.prrelid))
        FROM (%3$s) f JOIN pg_catalog.pg_publication_rel r ON r.prrelid = f.o AND r.prqual IS NOT NULL
        JOIN pg_catalog.pg_publication p ON p.oid = r.prpubid AND p.pubupdate
        WHERE f.relkind = 'r' AND (EXISTS (SELECT FROM pg_catalog.pg_publication_rel o WHERE o.prrelid = f.o AND o.prattrs IS NOT NULL) OR EXISTS (
            SELECT FROM pg_catalog.pg_attribute t WHERE t.attrelid = f.o AND t.attgenerated <> ''))
        UNION ALL
        SELECT 'row security for the owner', %2$L, %1$L || ' NO FORCE ROW LEVEL SECURITY', %1$L || ' FORCE ROW LEVEL SECURITY'
        FROM pg_catalog.pg_class c WHERE c.oid = %2$L::pg_catalog.regclass AND c.relforcerowsecurity
        ORDER BY 3$body$, 'ALTER TABLE ' || target, target, format($body$
            WITH RECURSIVE family(o) AS (
                SELECT %L::pg_catalog.regclass::oid UNION SELECT i.inhrelid FROM family JOIN pg_catalog.pg_inherits i ON i.inhparent = o)
            SELECT o, c.relkind, c.relreplident, format('%%I.%%I', n.nspname, c.relname) AS name
            FROM family JOIN pg_catalog.pg_class c ON c.oid = o JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace$body$, target))
); END $$;

-- What a row without a value gets, as SQL: the chosen value, the default, the next number of an identity, or NULL.
CREATE OR REPLACE FUNCTION zanith._fill_or_number(d jsonb, choices jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    n jsonb := zanith._numbers_from(d, choices);
BEGIN
    IF d ? 'into' THEN -- the present value; that it converts back to itself is checked afterwards
        RETURN format('t.%I::%s', d #>> '{column,name}', d #>> '{column,type}');
    ELSIF n IS NULL THEN
        RETURN zanith._fill_value(d -> 'column', choices);
    END IF;
    RETURN format('pg_catalog.nextval(%L::pg_catalog.regclass)', zanith._qualify(n ->> 'schema', n ->> 'name'));
END $$;

CREATE OR REPLACE FUNCTION zanith._fill_value(col jsonb, choices jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN choices ? 'fill' THEN format('%L::%s', choices ->> 'fill', col ->> 'type')
                WHEN (choices ->> 'fill_default')::boolean THEN COALESCE(col ->> 'default', 'NULL') END
$$;

-- Adds the column that is filled from an archive. PostgreSQL gives every row NULL first. Where the type refuses NULL, an archived
-- value is the default for an instant, until each row has its own; a row without one stops the restore, unless a value
-- was chosen for it. `beside` live traffic an INSERT needs a default that stays. A script (`live` NULL) does not know what the
-- domain is when it runs. The block names all with its schema: it may run under a path for event triggers.
CREATE OR REPLACE FUNCTION zanith._render_add_filled(d jsonb, target text, column_name text, live oid, choices jsonb, beside boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    col jsonb := d -> 'column';
    clause text := format('ALTER TABLE %s ADD COLUMN %I %s%s', target, column_name, col ->> 'type', COALESCE(' COLLATE ' || (col ->> 'collation'), ''));
BEGIN
    IF COALESCE(col -> 'generated', 'null') <> 'null' OR col ->> 'base_type' IS NULL
       OR live IS NOT NULL AND NOT EXISTS (SELECT FROM zanith._domain_conditions(to_regtype(col ->> 'type'))) THEN
        RETURN zanith._render_add_column(col, target, column_name);
    ELSIF choices ? 'fill' THEN
        RETURN zanith._building_anew(true, zanith._step(format('%s DEFAULT %s', clause, zanith._fill_value(col, choices)),
                'Add the column (PostgreSQL can only add it last), with the chosen value in every row', 'ACCESS EXCLUSIVE', ARRAY[target], true))
            || zanith._step(format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', target, column_name), 'Drop that default', 'ACCESS EXCLUSIVE', ARRAY[target]);
    END IF;
    RETURN zanith._building_anew(true, zanith._step(zanith._do(format($body$/* DDL */ DECLARE standin pg_catalog.text; BEGIN
    %1$s;
EXCEPTION WHEN OTHERS THEN
    IF %2$L OR %11$L AND EXISTS (SELECT FROM %3$s t WHERE NOT EXISTS (SELECT FROM ONLY %4$s a WHERE %5$s)) THEN
        RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM, DETAIL = %6$L, HINT = %7$L;
    END IF;
    SELECT pg_catalog.format('%%s', %12$s) INTO standin FROM ONLY %4$s a WHERE pg_catalog.num_nonnulls(a.%8$I) OPERATOR(pg_catalog.>) 0 LIMIT 1;
    IF NOT FOUND THEN
        RAISE;
    END IF;
    EXECUTE pg_catalog.format('%%s DEFAULT %%L', %1$L::pg_catalog.text, standin);
    ALTER TABLE %9$s ALTER COLUMN %10$I DROP DEFAULT;
END$body$, clause, beside AND col ->> 'default' IS NULL, zanith._only(d) || target, zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'), zanith._key_match(d -> 'key'),
            format('The type %s refuses NULL, and a row inserted since the capture or during the restore has no archived value.', col ->> 'type'),
            'Restore with zanith recover, and choose a value for such rows.', col ->> 'name', target, column_name, zanith._fill_value(col, choices) IS NULL,
            CASE WHEN zanith._is_kept_as_text(d) THEN zanith._relabel_kept(d, format('a.%I', col ->> 'name'), live IS NULL) ELSE format('a.%I', col ->> 'name') END)),
        'Add the column (PostgreSQL can only add it last); if its type refuses NULL, an archived value is its default for a moment', 'ACCESS EXCLUSIVE', ARRAY[target], true));
END $$;

-- Under an owner's search path an operator of somebody's could fit varchar better than PostgreSQL's own, which is for text. For a type
-- that is not built in it is the operator of the index that makes the key; earlier versions did not record that.
CREATE OR REPLACE FUNCTION zanith._equals(key_column jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN (key_column ->> 'builtin')::boolean THEN 'OPERATOR(pg_catalog.=)' ELSE COALESCE(key_column ->> 'equals', '=') END $$;

CREATE OR REPLACE FUNCTION zanith._key_match(key jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(format('a.%I %s t.%1$I', k.item ->> 'name', zanith._equals(k.item)), ' AND ' ORDER BY k.ord) FROM zanith._each(key) k
); END $$;

-- Archived values into their rows, rows filled compared with rows expected; then the rows that came since. Joined by merging
-- two keys in order: of a hash join that does not fit work_mem the rows come batch by batch, and the UPDATE then goes through
-- the table and its indexes once for each.
CREATE OR REPLACE FUNCTION zanith._render_fill(d jsonb, target text, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_quiet(target, live,
        CASE WHEN d ->> 'strategy' = 'archive_column' THEN zanith._step(zanith._do(format($body$DECLARE filled bigint; expected bigint; hashing text := pg_catalog.current_setting('enable_hashjoin');
BEGIN
    PERFORM pg_catalog.set_config('enable_hashjoin', 'off', true);
    UPDATE %1$s AS t SET %6$I = %5$s FROM ONLY %3$s AS a WHERE %4$s;
    GET DIAGNOSTICS filled = ROW_COUNT;
    PERFORM pg_catalog.set_config('enable_hashjoin', hashing, true);
    expected := (SELECT count(*) FROM ONLY %3$s AS a WHERE EXISTS (SELECT FROM %1$s AS t WHERE %4$s));
    IF filled <> expected THEN
        RAISE EXCEPTION '%% rows were filled, %% were expected', filled, expected USING ERRCODE = 'data_exception';
    END IF;
    PERFORM pg_catalog.set_config('zanith.fill_counts', pg_catalog.concat_ws(' ', filled, (SELECT count(*) FROM %1$s AS t), (SELECT count(*) FROM ONLY %3$s AS a)), true);
END$body$, q.rows, q.col, q.archive, zanith._key_match(d -> 'key'), zanith._read_kept(d, format('a.%I', q.col), live IS NULL), zanith._comes_back_as(d, choices))),
            'Backfill every row from the archive by its key, and compare the count', 'ACCESS EXCLUSIVE', ARRAY[target], true)
        ELSE '[]' END
        || CASE WHEN q.value IS NULL THEN '[]'
            WHEN d ->> 'strategy' = 'archive_column' THEN zanith._step(
                format('UPDATE %s AS t SET %I = %s WHERE NOT EXISTS (SELECT FROM ONLY %s AS a WHERE %s)',
                       q.rows, zanith._comes_back_as(d, choices), q.value, q.archive, zanith._key_match(d -> 'key')),
                q.purpose, 'ACCESS EXCLUSIVE', ARRAY[target], true)
            ELSE zanith._step(
                format('UPDATE %s SET %I = %s WHERE pg_catalog.num_nulls(%2$I) > 0', q.rows, q.col, q.value),
                q.purpose, 'ACCESS EXCLUSIVE', ARRAY[target], true) END
        || CASE WHEN d ? 'into' THEN zanith._render_old_values_check(d, live, choices ->> 'as') ELSE '[]' END
        || zanith._step('SET CONSTRAINTS ALL IMMEDIATE', 'Run deferred constraints now'),
        CASE WHEN zanith._is_mixed(d) THEN zanith._runner(d #>> '{table,owner}') END)
    FROM (SELECT d #>> '{column,name}', zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'),
                 CASE WHEN d ? 'into' THEN 'Give rows inserted since the capture their present value' WHEN zanith._numbers_from(d, choices) IS NULL THEN 'Fill rows inserted since the capture' ELSE 'Give rows inserted since the capture the next numbers of the identity' END,
                 zanith._fill_or_number(d, choices), zanith._only(d) || target) q(col, archive, purpose, value, rows)
    WHERE d ->> 'strategy' = 'archive_column' AND COALESCE(d #> '{column,generated}', 'null') = 'null'
       OR d ->> 'strategy' = 'soft_drop_column' AND q.value IS NOT NULL
); END $$;
