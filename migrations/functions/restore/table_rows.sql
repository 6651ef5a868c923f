-- Restoring rows: those that archive_rows copied go back into their table, beside the rows that it has now.

-- The columns whose values are copied back: PostgreSQL computes the others.
CREATE OR REPLACE FUNCTION zanith._stored_columns(d jsonb, prefix text DEFAULT '') RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(prefix || quote_ident(c.item ->> 'name'), ', ' ORDER BY c.ord)
    FROM zanith._each(d #> '{definition,columns}') c WHERE COALESCE(c.item -> 'generated', 'null') = 'null'
); END $$;

-- The sequences that its columns and those of its parents owned. TRUNCATE … RESTART IDENTITY sets them to their start.
CREATE OR REPLACE FUNCTION zanith._owned_sequences(d jsonb) RETURNS TABLE (item jsonb, ord bigint)
LANGUAGE sql IMMUTABLE ROWS 1 AS $$
    SELECT s.item, row_number() OVER (ORDER BY s.place, s.ord)
    FROM (SELECT o.item, c.ord AS place, o.ord FROM zanith._each(d #> '{definition,columns}') c, LATERAL zanith._each(c.item -> 'sequences') o
          UNION ALL SELECT o.item, NULL, o.ord FROM zanith._each(d -> 'sequences_above') o) s
    WHERE (s.item ->> 'is_called')::boolean
$$;

-- Moves a sequence on to where it stood. One that is further already stays there.
CREATE OR REPLACE FUNCTION zanith._render_sequence_on(sequence jsonb, in_script boolean) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name text := zanith._qualify(sequence ->> 'schema', sequence ->> 'name');
    steps jsonb := zanith._step(format('SELECT pg_catalog.setval(%L, %s, true) FROM %s AS s WHERE s.last_value %s %2$s OR s.last_value = %2$s AND NOT s.is_called', name,
            sequence ->> 'last_value', name, CASE WHEN (sequence ->> 'increment')::bigint > 0 THEN '<' ELSE '>' END),
        format('Set the sequence %I to its last value, unless it is further', sequence ->> 'name'));
BEGIN
    RETURN CASE WHEN in_script THEN zanith._where_there(name, steps) ELSE steps END;
END $$;

-- All steps. `live`: the oid of the table, NULL in a script.
CREATE OR REPLACE FUNCTION zanith._render_restore_rows(d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', q.target), 'Lock the table', 'ACCESS EXCLUSIVE', ARRAY[q.target])
        || zanith._as_owner(d #>> '{table,owner}', zanith._render_quiet(q.target, live,
            zanith._step(zanith._do(format($body$DECLARE added bigint; expected bigint;
BEGIN
    INSERT INTO %1$s (%2$s) OVERRIDING SYSTEM VALUE SELECT %3$s FROM ONLY %4$s AS a;
    GET DIAGNOSTICS added = ROW_COUNT;
    expected := (SELECT count(*) FROM ONLY %4$s AS a);
    IF added <> expected THEN
        RAISE EXCEPTION '%% rows were inserted, %% were expected', added, expected USING ERRCODE = 'data_exception';
    END IF;
END$body$, q.target, zanith._stored_columns(d), zanith._stored_columns(d, 'a.'), q.archive)),
                'Insert every row from the archive, and compare the count', 'ACCESS EXCLUSIVE', ARRAY[q.target], true)
            || zanith._step('SET CONSTRAINTS ALL IMMEDIATE', 'Run deferred constraints now'), inserts => true))
        || zanith._as_owner(d #>> '{table,owner}', (SELECT zanith._list(x.item ORDER BY s.ord, x.ord)
            FROM zanith._owned_sequences(d) s, LATERAL zanith._each(zanith._render_sequence_on(s.item, live IS NULL)) x
            WHERE live IS NULL OR EXISTS (SELECT FROM pg_class c WHERE c.oid = zanith._relation_oid(s.item ->> 'schema', s.item ->> 'name') AND c.relkind = 'S')))
    FROM (SELECT zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}'), zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}')) q(target, archive)
); END $$;

-- What in the table, as it is now, keeps its rows from coming back.
CREATE OR REPLACE FUNCTION zanith._find_rows_conflicts(d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb := '[]';
    name text := zanith._relation_name(live);
    parked oid := zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}');
    export text := 'Or export the rows, and insert them yourself.';
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = live AND c.relkind = 'r') THEN
        RETURN zanith._conflict('table_gone', format('%s is no ordinary table now', name), 'Its rows were in a table of its own. ' || export);
    ELSIF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = live AND pg_has_role(c.relowner, 'USAGE')) THEN
        found := zanith._conflict('not_permitted', format('must be owner of table %s', name), 'Restore as its owner, as a member of that role, or as a superuser.');
    END IF;
    RETURN found || (
        SELECT zanith._list(x.conflict -> 0 ORDER BY x.ord) FROM (
            SELECT c.ord, zanith._conflict('column_gone', format('%s has no column %I, of which its rows have values', name, c.item ->> 'name'),
                CASE p.ids WHEN '[]' THEN 'Create it again, or undo its renaming. ' || export ELSE 'It is parked: restore it first.' END, '{}', NULL, p.ids) AS conflict
            FROM zanith._each(d #> '{definition,columns}') c, LATERAL zanith._parked_as(d #>> '{table,schema}', d #>> '{table,name}', c.item ->> 'name') p(ids)
            WHERE COALESCE(c.item -> 'generated', 'null') = 'null' AND zanith._attribute_number(live, c.item ->> 'name') IS NULL
            UNION ALL
            SELECT c.ord, zanith._conflict('column_changed', format('%s.%I is %s now; its rows have values of type %s', name, n.attname,
                    CASE WHEN n.attgenerated <> '' THEN 'a generated column' ELSE format_type(n.atttypid, n.atttypmod) END, c.item ->> 'type'),
                'Change it back for the restore. ' || export)
            FROM zanith._each(d #> '{definition,columns}') c JOIN pg_attribute n ON n.attrelid = live AND n.attname = c.item ->> 'name' AND NOT n.attisdropped
            LEFT JOIN pg_attribute o ON o.attrelid = parked AND o.attname = n.attname AND NOT o.attisdropped
            WHERE COALESCE(c.item -> 'generated', 'null') = 'null'
              AND (n.attgenerated <> '' OR format_type(n.atttypid, n.atttypmod) <> c.item ->> 'type'
                   -- a type that was renamed is still that of the archive
                   AND (n.atttypid, n.atttypmod) IS DISTINCT FROM (o.atttypid, o.atttypmod))
            UNION ALL
            SELECT 10000 + n.attnum, zanith._conflict('needs_value', format('%s has a new column %I, which is NOT NULL and has no default', name, n.attname),
                format('Give it a default for the restore: ALTER TABLE %s ALTER COLUMN %I SET DEFAULT ….', name, n.attname))
            FROM pg_attribute n
            WHERE n.attrelid = live AND n.attnum > 0 AND NOT n.attisdropped AND n.attnotnull AND NOT n.atthasdef AND n.attidentity = '' AND n.attgenerated = ''
              AND NOT EXISTS (SELECT FROM zanith._each(d #> '{definition,columns}') c WHERE c.item ->> 'name' = n.attname)) x);
END $$;

-- The rows as they would be after the restore, under an alias: columns that both have.
CREATE OR REPLACE FUNCTION zanith._rows_beside(d jsonb, live oid, alias text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT format('(SELECT %s FROM ONLY %s t UNION ALL SELECT %s FROM ONLY %s a) %I', string_agg('t.' || quote_ident(c.item ->> 'name'), ', ' ORDER BY c.ord), zanith._relation_name(live),
        string_agg('a.' || quote_ident(c.item ->> 'name'), ', ' ORDER BY c.ord), zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'), alias)
    FROM zanith._each(d #> '{definition,columns}') c WHERE zanith._attribute_number(live, c.item ->> 'name') IS NOT NULL
); END $$;

-- Keys that rows have taken since, and conditions and foreign keys that archived rows do not meet any more. They all block: a row comes back
-- whole, or not at all.
CREATE OR REPLACE FUNCTION zanith._rows_checks(d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    table_now jsonb := zanith._describe_table(live);
    beside text := zanith._rows_beside(d, live, 'r');
    archive text := zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}');
    checks jsonb := '[]';
    k jsonb;
    i jsonb;
BEGIN
    -- an expression over columns that came since cannot be asked about
    FOR k IN SELECT x.item FROM zanith._each(table_now -> 'constraints') x
             WHERE NOT EXISTS (SELECT FROM jsonb_array_elements_text(x.item -> 'columns') c(name)
                               WHERE NOT EXISTS (SELECT FROM zanith._each(d #> '{definition,columns}') o WHERE o.item ->> 'name' = c.name)) ORDER BY x.ord LOOP
        IF zanith._constraint_is(k, 'condition') AND (k ->> 'enforced')::boolean THEN
            checks := checks || zanith._check('check_violations', k ->> 'name', format('{count} archived {row breaks|rows break} the check %I', k ->> 'name'),
                format('(SELECT * FROM ONLY %s) %I', archive, d #>> '{table,name}'), format('NOT (%s)', k ->> 'expression'),
                zanith._key_example(d -> 'key', d #>> '{table,name}'), true, '{}', 'Drop the check for the length of the restore, and add it again as NOT VALID.');
        ELSIF zanith._constraint_is(k, 'unique') THEN
            checks := checks || zanith._taken_check(zanith._duplicate_check(k ->> 'name', k #> '{index,keys}', k #>> '{index,predicate}',
                zanith._masked(k #>> '{index,using}') LIKE '%NULLS NOT DISTINCT%', beside));
        ELSIF zanith._constraint_is(k, 'reference') AND (k ->> 'enforced')::boolean AND NOT (k #>> '{foreign_key,period}')::boolean
              AND zanith._relation_oid(k #>> '{foreign_key,schema}', k #>> '{foreign_key,table}') IS NOT NULL THEN
            checks := checks || (zanith._orphan_check(k, archive || ' r', CASE WHEN (k #>> '{foreign_key,self}')::boolean THEN zanith._rows_beside(d, live, 'p')
                    ELSE zanith._qualify(k #>> '{foreign_key,schema}', k #>> '{foreign_key,table}') || ' p' END, zanith._key_example(d -> 'key', 'r'), true) -> 0
                || (SELECT jsonb_build_object('choices', '[]'::jsonb, 'waits_for', w.ids, 'hint', CASE w.ids WHEN '[]' THEN 'Insert the referenced rows first.'
                        ELSE format('Restore the referenced rows first: artifact %s.', w.ids ->> 0) END)
                    FROM zanith._rows_kept(k #>> '{foreign_key,schema}', k #>> '{foreign_key,table}') w(ids)));
        END IF;
    END LOOP;
    FOR i IN SELECT x.item FROM zanith._each(table_now -> 'indexes') x WHERE (x.item ->> 'unique')::boolean
             AND NOT EXISTS (SELECT FROM jsonb_array_elements_text(x.item -> 'columns') c(name)
                             WHERE NOT EXISTS (SELECT FROM zanith._each(d #> '{definition,columns}') o WHERE o.item ->> 'name' = c.name)) ORDER BY x.ord LOOP
        checks := checks || zanith._taken_check(zanith._duplicate_check(i ->> 'name', i -> 'keys', i ->> 'predicate', zanith._masked(i ->> 'using') LIKE '%NULLS NOT DISTINCT%', beside));
    END LOOP;
    RETURN checks;
END $$;

CREATE OR REPLACE FUNCTION zanith._taken_check(duplicates jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_array(duplicates -> 0 || jsonb_build_object(
        'message', format('{count} {key|keys} of archived rows {is|are} taken again in the unique key %I', duplicates #>> '{0,object}'),
        'hint', 'Change or delete the rows that have these keys now, or export the archived rows and insert those that you need.'))
$$;

-- The recoverable artifacts that hold rows of a table or of its partitions, newest first: [ids].
CREATE OR REPLACE FUNCTION zanith._rows_kept(of_schema text, of_table text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(a.id ORDER BY a.capture_order DESC) FROM zanith._zanith_migration_artifacts a
    WHERE a.artifact_type = 'archive_rows' AND a.status = 'recoverable'
      AND (a.source_schema = of_schema AND a.source_table = of_table OR zanith._relation_oid(of_schema, of_table) IN (
            SELECT p.relid FROM pg_partition_ancestors(zanith._relation_oid(a.source_schema, a.source_table)) p))
); END $$;

-- The artifacts that hold rows to which foreign keys of these refer: [ids].
CREATE OR REPLACE FUNCTION zanith._rows_needed(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(DISTINCT i.item)
    FROM zanith._each(d #> '{definition,constraints}') k, LATERAL zanith._each(zanith._rows_kept(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}')) i
    WHERE zanith._constraint_is(k.item, 'reference') AND NOT (k.item #>> '{foreign_key,self}')::boolean AND i.item #>> '{}' <> d ->> 'id'
); END $$;
