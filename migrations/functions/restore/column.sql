-- Restoring a column: parked or archived, the same steps around it.

-- Quiet: user triggers and rules off, FORCE ROW LEVEL SECURITY lifted; all put back in their exact states afterwards.
-- A plan names each as the table has it now (`live`); a script, which runs who knows when, looks for itself (`live` NULL).
CREATE OR REPLACE FUNCTION zanith._render_quiet(target text, live oid, steps jsonb) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN live IS NOT NULL THEN COALESCE(jsonb_agg(zanith._step(q.off, q.what || ' off, so that it does not act on the fill',
                'ACCESS EXCLUSIVE', ARRAY[target]) -> 0 ORDER BY q.ord), '[]')
            ELSE zanith._step(zanith._do(format($body$DECLARE s record; back text := '';
BEGIN
    FOR s IN %s LOOP
        EXECUTE s.off;
        back := back || s.back || ';';
    END LOOP;
    PERFORM pg_catalog.set_config('zanith.quiet', back, true);
END$body$, zanith._disturbances(target))),
            'user triggers and rules off, so that none fires for the fill', 'ACCESS EXCLUSIVE', ARRAY[target]) END
        || steps
        || CASE WHEN live IS NOT NULL THEN COALESCE(jsonb_agg(zanith._step(q.back, q.what || ' back in its exact state',
                'ACCESS EXCLUSIVE', ARRAY[target]) -> 0 ORDER BY q.ord), '[]')
            ELSE zanith._step(zanith._do('BEGIN IF pg_catalog.current_setting(''zanith.quiet'') <> '''' THEN '
                'EXECUTE pg_catalog.current_setting(''zanith.quiet''); END IF; END'),
            'triggers and rules back in their exact states', 'ACCESS EXCLUSIVE', ARRAY[target]) END
    FROM zanith._find_disturbances(live, target) q
$$;

-- What would act on an UPDATE of the table: one row each, how to turn it off and how to put it back.
CREATE OR REPLACE FUNCTION zanith._find_disturbances(live oid, target text) RETURNS TABLE (ord bigint, what text, off text, back text)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF live IS NOT NULL THEN
        RETURN QUERY EXECUTE format('SELECT row_number() OVER (), d.what, d.off, d.back FROM (%s) d', zanith._disturbances(target));
    END IF;
END $$;

-- The query behind both.
CREATE OR REPLACE FUNCTION zanith._disturbances(target text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format($body$
        SELECT format('trigger %%I', g.tgname) AS what, format('%%s DISABLE TRIGGER %%I', %1$L, g.tgname) AS off, format('%%s %%s TRIGGER %%I', %1$L,
               CASE g.tgenabled WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END, g.tgname) AS back
        FROM pg_catalog.pg_trigger g
        WHERE g.tgrelid = %2$L::pg_catalog.regclass AND NOT g.tgisinternal AND g.tgenabled <> 'D'
        UNION ALL
        SELECT format('rule %%I', r.rulename), format('%%s DISABLE RULE %%I', %1$L, r.rulename), format('%%s %%s RULE %%I', %1$L,
               CASE r.ev_enabled WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' ELSE 'ENABLE' END, r.rulename)
        FROM pg_catalog.pg_rewrite r
        WHERE r.ev_class = %2$L::pg_catalog.regclass AND r.ev_enabled <> 'D'
        UNION ALL
        SELECT 'row security for the owner', %1$L || ' NO FORCE ROW LEVEL SECURITY', %1$L || ' FORCE ROW LEVEL SECURITY'
        FROM pg_catalog.pg_class c WHERE c.oid = %2$L::pg_catalog.regclass AND c.relforcerowsecurity
        ORDER BY 2$body$, 'ALTER TABLE ' || target, target)
$$;

-- What a row without a value gets, as SQL: the chosen value, the default, or NULL.
CREATE OR REPLACE FUNCTION zanith._fill_value(col jsonb, choices jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN choices ? 'fill' THEN format('%L::%s', choices ->> 'fill', col ->> 'type')
                WHEN (choices ->> 'fill_default')::boolean THEN COALESCE(col ->> 'default', 'NULL') END
$$;

CREATE OR REPLACE FUNCTION zanith._key_match(key jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT string_agg(format('a.%I = t.%1$I', k.item ->> 'name'), ' AND ' ORDER BY k.ord) FROM zanith._each(key) k
$$;

-- Archived values into their rows, rows filled compared with rows expected; then the rows that came since.
CREATE OR REPLACE FUNCTION zanith._render_fill(d jsonb, target text, live oid, choices jsonb) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT zanith._render_quiet(target, live,
        CASE WHEN d ->> 'strategy' = 'archive_column' THEN zanith._step(zanith._do(format($body$DECLARE filled bigint; expected bigint;
BEGIN
    UPDATE ONLY %1$s AS t SET %2$I = a.%2$I FROM ONLY %3$s AS a WHERE %4$s;
    GET DIAGNOSTICS filled = ROW_COUNT;
    SELECT count(*) INTO expected FROM ONLY %3$s AS a WHERE EXISTS (SELECT FROM ONLY %1$s AS t WHERE %4$s);
    IF filled <> expected THEN
        RAISE EXCEPTION '%% rows were filled, %% were expected', filled, expected USING ERRCODE = 'data_exception';
    END IF;
END$body$, target, q.col, q.archive, zanith._key_match(d -> 'key'))),
            'fill every row from the archive by its key, and compare the count', 'ACCESS EXCLUSIVE', ARRAY[target], true)
        ELSE '[]' END
        || CASE WHEN q.value IS NULL THEN '[]'
            WHEN d ->> 'strategy' = 'archive_column' THEN zanith._step(
                format('UPDATE ONLY %s AS t SET %I = %s WHERE NOT EXISTS (SELECT FROM ONLY %s AS a WHERE %s)',
                       target, q.col, q.value, q.archive, zanith._key_match(d -> 'key')),
                'fill the rows that came since', 'ACCESS EXCLUSIVE', ARRAY[target], true)
            ELSE zanith._step(
                format('UPDATE ONLY %s SET %I = %s WHERE %2$I IS NULL', target, q.col, q.value),
                'fill the rows that came since', 'ACCESS EXCLUSIVE', ARRAY[target], true) END
        || zanith._step('SET CONSTRAINTS ALL IMMEDIATE', 'nothing is left pending before the next change'))
    FROM (SELECT d #>> '{column,name}', zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'),
                 zanith._fill_value(d -> 'column', choices)) q(col, archive, value)
    WHERE d ->> 'strategy' = 'archive_column' AND COALESCE(d #> '{column,generated}', 'null') = 'null'
       OR d ->> 'strategy' = 'soft_drop_column' AND q.value IS NOT NULL
$$;

-- All steps. `target_schema`, `target_table`: where the table is now; `live`: its oid, NULL in a script.
-- `name_taken`: a live column bears the name.
CREATE OR REPLACE FUNCTION zanith._render_restore_column(
    d jsonb, target_schema text, target_table text, live oid, name_taken boolean, choices jsonb)
RETURNS jsonb LANGUAGE sql STABLE AS $$
    SELECT zanith._step(format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', q.target),
            'hold the table for the change', 'ACCESS EXCLUSIVE', ARRAY[q.target])
        || CASE WHEN q.final <> q.col AND name_taken THEN zanith._step(
            format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, q.col, q.swap),
            'the name is taken: lend it for the length of this transaction', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
        || zanith._as_owner(d #>> '{table,owner}',
            CASE WHEN q.soft THEN zanith._step(
                format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, d #>> '{parked,column}', q.col),
                'the column, by its own name', 'ACCESS EXCLUSIVE', ARRAY[q.target])
            ELSE zanith._render_add_column(d -> 'column', q.target, q.col)
                || zanith._render_column_settings(d -> 'column', q.target, q.col) END
            || COALESCE(zanith._render_fill(d, q.target, live, choices), '[]')
            || CASE WHEN q.soft AND d #>> '{column,base_type}' IS NOT NULL THEN zanith._step(
                format('ALTER TABLE %s ALTER COLUMN %I TYPE %s%s', q.target, q.col, d #>> '{column,type}',
                       COALESCE(' COLLATE ' || (d #>> '{column,collation}'), '')),
                'its domain; every value is checked', 'ACCESS EXCLUSIVE', ARRAY[q.target], true)
                || zanith._render_column_settings((d -> 'column') - 'statistics' - 'options', q.target, q.col) ELSE '[]' END
            || CASE WHEN q.nullable THEN '[]' ELSE
                zanith._render_not_null(d -> 'column', q.target, q.col, d ->> 'id',
                    current_setting('server_version_num')::integer, d #>> '{column,identity}' IS NOT NULL, q.final) END
            || COALESCE((SELECT jsonb_agg(s.item ORDER BY k.ord, s.ord)
                FROM zanith._each(d -> 'constraints') k, LATERAL zanith._each(
                    zanith._render_constraint(k.item, target_schema, q.target, NULL, q.not_valid)) s
                WHERE k.item ->> 'kind' = 'check'), '[]'))
        || CASE WHEN q.soft THEN zanith._render_renames((
                SELECT jsonb_agg(r.item || jsonb_build_object('schema', CASE WHEN r.item ->> 'kind' = 'index' THEN target_schema
                                                                             ELSE r.item ->> 'schema' END) ORDER BY r.ord)
                FROM zanith._each(d -> 'renames') r), NULL, true) ELSE '[]' END
        || zanith._render_sequences_back(d, q.target, q.col)
        || zanith._render_default(d -> 'column', q.target, q.col)
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY k.ord, s.ord)
            FROM zanith._each(d -> 'constraints') k, LATERAL zanith._each(
                zanith._render_constraint(k.item, target_schema, q.target)) s
            WHERE k.item ->> 'kind' IN ('unique', 'exclude')), '[]')
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY i.ord, s.ord)
            FROM zanith._each(d -> 'indexes') i, LATERAL zanith._each(
                zanith._render_index(i.item, target_schema, q.target)) s
            WHERE NOT q.soft OR NOT (i.item ->> 'plain')::boolean), '[]')
        || CASE WHEN q.soft THEN '[]'
            ELSE COALESCE((SELECT jsonb_agg(s.item ORDER BY x.ord, s.ord)
                FROM zanith._each(d -> 'statistics') x, LATERAL zanith._each(
                    zanith._render_statistics(x.item)) s), '[]') END
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY k.ord, s.ord)
            FROM zanith._each(d -> 'constraints') k, LATERAL zanith._each(
                zanith._render_constraint(k.item, target_schema, q.target,
                    CASE WHEN (k.item #>> '{foreign_key,self}')::boolean THEN q.target
                         ELSE zanith._qualify(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}') END,
                    q.not_valid)) s
            WHERE k.item ->> 'kind' = 'foreign key'), '[]')
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY k.ord, s.ord)
            FROM zanith._each(d -> 'references') k, LATERAL zanith._each(
                zanith._render_constraint(k.item, k.item ->> 'schema',
                    CASE WHEN (k.item #>> '{foreign_key,self}')::boolean THEN q.target
                         ELSE zanith._qualify(k.item ->> 'schema', k.item ->> 'table') END, q.target, q.not_valid,
                    zanith._wants_proof_at_once(k.item ->> 'schema', k.item ->> 'table'))) s), '[]')
        || zanith._render_grants(d #> '{column,grants}', 'TABLE ' || q.target, d #>> '{table,owner}', q.col, NOT q.soft)
        || CASE WHEN q.soft THEN '[]' ELSE
            zanith._render_comment(d #>> '{column,comment}', format('COLUMN %s.%I', q.target, q.col)) END
        || zanith._render_cascade_restore(d -> 'cascade')
        || CASE WHEN q.final <> q.col THEN zanith._step(
            format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, q.col, q.final),
            'the name that was chosen', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
        || CASE WHEN q.final <> q.col AND name_taken THEN zanith._step(
            format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, q.swap, q.col),
            'the lent name goes back', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
    FROM (SELECT zanith._qualify(target_schema, target_table), d #>> '{column,name}',
                 COALESCE(choices ->> 'as', d #>> '{column,name}'), '_zanith_lent_' || (d ->> 'id'),
                 d ->> 'strategy' = 'soft_drop_column',
                 COALESCE((choices ->> 'not_valid')::boolean, false),
                 COALESCE((choices ->> 'allow_null')::boolean, false)) q(target, col, final, swap, soft, not_valid, nullable)
$$;

-- An archived column's sequence: the parked serial moves back, an identity is made anew where it stood.
CREATE OR REPLACE FUNCTION zanith._render_sequences_back(d jsonb, target text, column_name text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN d ->> 'strategy' <> 'archive_column' THEN '[]' ELSE
        COALESCE((SELECT jsonb_agg(s.item ORDER BY r.ord, s.ord)
            FROM zanith._each(d -> 'renames') r, LATERAL zanith._each(
                zanith._step(format('ALTER SEQUENCE _zanith_shadow.%I SET SCHEMA %I', r.item ->> 'parked', r.item ->> 'schema'),
                    'its sequence, out of the shadow', 'ACCESS EXCLUSIVE')
                || zanith._step(format('ALTER SEQUENCE %s RENAME TO %I', zanith._qualify(r.item ->> 'schema', r.item ->> 'parked'),
                    r.item ->> 'name'), 'its sequence, by its own name', 'ACCESS EXCLUSIVE')
                || zanith._step(format('ALTER SEQUENCE %s OWNED BY %s.%I', zanith._qualify(r.item ->> 'schema', r.item ->> 'name'),
                    target, column_name), 'owned by the column again', 'SHARE ROW EXCLUSIVE')) s), '[]')
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY x.ord, s.ord)
            FROM zanith._each(d #> '{column,sequences}') x, LATERAL zanith._each(
                zanith._step(format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s)',
                        target, column_name, d #>> '{column,identity}',
                        zanith._qualify(x.item ->> 'schema', x.item ->> 'name'), zanith._sequence_options(x.item)),
                    'identity, with its own sequence', 'ACCESS EXCLUSIVE', ARRAY[target])
                || zanith._render_position(x.item)
                || zanith._render_grants(x.item -> 'grants', 'SEQUENCE ' || zanith._qualify(x.item ->> 'schema', x.item ->> 'name'),
                                         x.item ->> 'owner', NULL, true)
                || zanith._render_comment(x.item ->> 'comment', 'SEQUENCE ' || zanith._qualify(x.item ->> 'schema', x.item ->> 'name'))
            ) s WHERE (x.item ->> 'identity')::boolean), '[]') END
$$;
