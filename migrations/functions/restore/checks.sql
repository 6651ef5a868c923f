-- Checks: queries that count what live traffic changed since. The caller decides when they run; they only read.

CREATE OR REPLACE FUNCTION zanith._check(
    kind text, object text, message text, source text, condition text, example text, blocks boolean,
    choices text[] DEFAULT '{}', hint text DEFAULT NULL)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_array(jsonb_build_object(
        'kind', kind, 'object', object, 'message', message,
        'count_sql', format('SELECT count(*) FROM %s WHERE %s', source, condition),
        'examples_sql', CASE WHEN example IS NOT NULL THEN format('SELECT pg_catalog.format(''%%s'', %s) FROM %s WHERE %s LIMIT 3', example, source, condition) END,
        'blocks', blocks, 'choices', to_jsonb(choices), 'hint', hint))
$$;

-- How a row is named in an example: by its key; where it has none, by the place at which it stands now, or not at all. Never by what
-- it holds: an example is looked at, copied and sent around.
CREATE OR REPLACE FUNCTION zanith._key_example(key jsonb, alias text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT 'pg_catalog.concat_ws('', '', ' || zanith._key_list(key, quote_ident(alias) || '.') || ')'
$$;

CREATE OR REPLACE FUNCTION zanith._row_example(relation oid, alias text) RETURNS text
LANGUAGE sql STABLE AS $$
    SELECT COALESCE(zanith._key_example(zanith._find_key(relation), alias), format('pg_catalog.format(''%%s, ctid %%s'', %1$I.tableoid::pg_catalog.regclass, %1$I.ctid)', alias))
$$;

-- The rows as they would be after the restore, under an alias: the live columns, the value by its own name, and what is
-- generated from it. A definition that has no rows changes none.
CREATE OR REPLACE FUNCTION zanith._rows_after(d jsonb, live oid, choices jsonb, alias text DEFAULT 'r') RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN d ->> 'strategy' = 'keep_definition' THEN format('%s%s %I', zanith._only(d), zanith._relation_name(live), alias)
                WHEN q.columns IS NULL THEN zanith._rows_filled(d, live, choices, alias)
                ELSE format('(SELECT z.*, %s FROM %s) %I', q.columns, zanith._rows_filled(d, live, choices, 'z'), alias) END
    FROM (SELECT string_agg(format('(%s) AS %I', g.item #>> '{column,generated,expression}', g.item ->> 'name'), ', ' ORDER BY g.ord)
          FROM zanith._each(d #> '{cascade,columns}') g WHERE g.item #> '{table,name}' = d #> '{table,name}' AND g.item #> '{table,schema}' = d #> '{table,schema}') q(columns)
); END $$;

-- The same but for columns that are generated from it.
CREATE OR REPLACE FUNCTION zanith._rows_filled(d jsonb, live oid, choices jsonb, alias text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN d ->> 'strategy' = 'soft_drop_column' THEN
            format('(SELECT %s, %s AS %I FROM %s t) %I', l.columns,
                CASE WHEN f.value IS NULL THEN p.col ELSE format('COALESCE(%s, %s)', p.col, f.value) END, d #>> '{column,name}', l.name, alias)
        ELSE format('(SELECT %s, %s AS %I FROM %s t LEFT JOIN ONLY %s a ON %s) %I', l.columns,
                CASE WHEN f.value IS NULL THEN v.archived
                     ELSE format('CASE WHEN pg_catalog.num_nulls(a.%I) > 0 THEN %s ELSE %s END', d #>> '{key,0,name}', f.value, v.archived) END,
                d #>> '{column,name}', l.name, zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'),
                zanith._key_match(d -> 'key'), alias) END
    FROM (SELECT zanith._only(d) || zanith._relation_name(live), (SELECT COALESCE(string_agg('t.' || quote_ident(attname), ', ' ORDER BY attnum), '0')
            FROM pg_attribute WHERE attrelid = live AND attnum > 0 AND NOT attisdropped
             AND attname <> d #>> '{column,name}')) l(name, columns),
         -- a default is not evaluated for a look: it may write, as nextval does
         (SELECT zanith._fill_value(d -> 'column', choices - 'fill_default')) f(value),
         (SELECT format('t.%I', d #>> '{parked,column}')) p(col),
         (SELECT zanith._read_kept(d, format('a.%I', d #>> '{column,name}'))) v(archived)
); END $$;

CREATE OR REPLACE FUNCTION zanith._column_checks(d jsonb, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    col text := d #>> '{column,name}';
    live_name text := zanith._relation_name(live);
    archive text := CASE WHEN d ? 'parked' THEN zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}') END;
    rows_after text := zanith._rows_after(d, live, choices);
    must boolean := COALESCE(d #> '{column,not_null}', 'null') <> 'null';
    lenient boolean := COALESCE((choices ->> 'not_valid')::boolean, false);
    example text := zanith._key_example(d -> 'key', 'r');
    checks jsonb := '[]';
    k jsonb;
    i jsonb;
BEGIN
    IF d #> '{column,generated}' <> 'null' THEN
        RETURN checks;
    END IF;
    IF d ->> 'strategy' = 'archive_column' THEN
        checks := checks
            || zanith._check('rows_added', live_name, format('{count} {row|rows} of %s {was|were} inserted since the capture and {has|have} no archived value', live_name),
                zanith._only(d) || live_name || ' t', format('NOT EXISTS (SELECT FROM ONLY %s a WHERE %s)', archive, zanith._key_match(d -> 'key')),
                zanith._key_example(d -> 'key', 't'), false,
                CASE WHEN zanith._goes_into_column(d, live, choices) THEN '{}'::text[] ELSE ARRAY['--fill VALUE', '--fill default'] END,
                CASE WHEN zanith._goes_into_column(d, live, choices) THEN 'They keep their present value.' ELSE 'They will hold NULL, or the value that --fill gives.' END)
            || zanith._check('rows_gone', archive, '{count} archived {value no longer has|values no longer have} a row; {it stays|they stay} in the archive',
                format('ONLY %s a', archive), format('NOT EXISTS (SELECT FROM %s%s t WHERE %s)', zanith._only(d), live_name, zanith._key_match(d -> 'key')),
                zanith._key_example(d -> 'key', 'a'), false);
        FOR k IN SELECT u.item FROM zanith._unproved_conditions(live) u LOOP
            checks := checks || zanith._check('check_violations', k ->> 'name',
                format('{count} {row breaks|rows break} the constraint %I, which is NOT VALID, so that PostgreSQL does not update {it|them}', k ->> 'name'),
                zanith._only(d) || live_name || ' t', k ->> 'broken', zanith._key_example(d -> 'key', 't'), true, '{}',
                format('Correct the rows first. Or drop the constraint, restore, and add it again: ALTER TABLE %s ADD CONSTRAINT %I %s.', live_name, k ->> 'name', k ->> 'definition'));
        END LOOP;
    END IF;
    IF must AND NOT COALESCE((choices ->> 'allow_null')::boolean, false)
       AND NOT (COALESCE((choices ->> 'fill_default')::boolean, false) AND (d #>> '{column,default}' IS NOT NULL OR d #>> '{column,identity}' IS NOT NULL)) THEN
        checks := checks || zanith._check('null_gaps', format('%s.%I', live_name, col),
            format('{count} {row|rows} would hold NULL in %I, which is NOT NULL', col), rows_after, format('pg_catalog.num_nulls(r.%I) > 0', col), example,
            true,
            ARRAY['--fill VALUE'] || CASE WHEN d #>> '{column,default}' IS NOT NULL OR d #>> '{column,identity}' IS NOT NULL THEN ARRAY['--fill default'] ELSE '{}' END
                || CASE WHEN zanith._takes_no_null(d) THEN '{}' ELSE ARRAY['--allow-null'] END,
            CASE WHEN zanith._takes_no_null(d) THEN CASE WHEN d #>> '{column,identity}' IS NOT NULL THEN 'Give them the next numbers of the identity, choose a value, or write one into each of them first: an identity column cannot be NULL.'
                    ELSE 'Choose a value for them, or write one into each of them first: a key column cannot be NULL.' END
                 ELSE 'Choose a value for them, or restore the column without NOT NULL.' END);
    END IF;
    FOR k IN SELECT x.item FROM zanith._each(d -> 'constraints') x LOOP
        IF zanith._constraint_is(k, 'condition') AND (k ->> 'enforced')::boolean AND (k ->> 'validated')::boolean THEN
            checks := checks || zanith._check('check_violations', k ->> 'name', format('{count} {row breaks|rows break} the check %I', k ->> 'name'),
                zanith._rows_after(d, live, choices, d #>> '{table,name}'), format('NOT (%s)', k ->> 'expression'),
                zanith._key_example(d -> 'key', d #>> '{table,name}'), NOT lenient, ARRAY['--not-valid'],
                'Correct the rows, or restore the check as NOT VALID.');
        ELSIF zanith._constraint_is(k, 'unique') THEN
            checks := checks || zanith._duplicate_check(k ->> 'name', k #> '{index,keys}', k #>> '{index,predicate}',
                zanith._masked(k #>> '{index,using}') LIKE '%NULLS NOT DISTINCT%', rows_after);
        ELSIF zanith._constraint_is(k, 'reference') AND (k ->> 'validated')::boolean AND (k ->> 'enforced')::boolean
              AND NOT (k #>> '{foreign_key,period}')::boolean
              AND zanith._relation_oid(k #>> '{foreign_key,schema}', k #>> '{foreign_key,table}') IS NOT NULL THEN
            checks := checks || zanith._orphan_check(k, rows_after, CASE WHEN (k #>> '{foreign_key,self}')::boolean THEN zanith._rows_after(d, live, choices, 'p')
                ELSE zanith._qualify(k #>> '{foreign_key,schema}', k #>> '{foreign_key,table}') || ' p' END, example, NOT lenient);
        END IF;
    END LOOP;
    FOR i IN SELECT x.item FROM zanith._each(d -> 'indexes') x WHERE (x.item ->> 'unique')::boolean LOOP
        checks := checks || zanith._duplicate_check(i ->> 'name', i -> 'keys', i ->> 'predicate',
            zanith._masked(i ->> 'using') LIKE '%NULLS NOT DISTINCT%', rows_after);
    END LOOP;
    FOR k IN SELECT x.item FROM zanith._each(d -> 'references') x
             WHERE (x.item ->> 'validated')::boolean AND (x.item ->> 'enforced')::boolean
               AND NOT (x.item #>> '{foreign_key,period}')::boolean
               AND zanith._relation_oid(x.item ->> 'schema', x.item ->> 'table') IS NOT NULL LOOP
        checks := checks || zanith._orphan_check(k, zanith._qualify(k ->> 'schema', k ->> 'table') || ' r', zanith._rows_after(d, live, choices, 'p'),
            zanith._row_example(zanith._relation_oid(k ->> 'schema', k ->> 'table'), 'r'), NOT lenient);
    END LOOP;
    RETURN checks;
END $$;

-- The checks and NOT NULL constraints of a table that its rows need not meet: [{name, definition, broken}]. `broken`: true of a row that does not.
CREATE OR REPLACE FUNCTION zanith._unproved_conditions(live oid) RETURNS TABLE (item jsonb)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN RETURN QUERY
    SELECT jsonb_build_object('name', k.conname, 'definition', pg_get_constraintdef(k.oid), 'broken', COALESCE('NOT (' || pg_get_expr(k.conbin, k.conrelid) || ')', (
               SELECT format('pg_catalog.num_nulls(t.%I) > 0', a.attname) FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = k.conkey[1])))
    FROM pg_constraint k
    WHERE k.conrelid = live AND NOT k.convalidated AND k.contype = ANY (zanith._letters_of('condition') || zanith._letters_of('not_null'))
      AND to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false'
    ORDER BY k.conname;
END $$;

-- Groups that a unique key would refuse. It cannot be lenient: PostgreSQL has no unique key that is not valid.
CREATE OR REPLACE FUNCTION zanith._duplicate_check(name text, keys jsonb, predicate text, nulls_equal boolean, source text)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_array(jsonb_build_object(
        'kind', 'duplicates', 'object', name, 'message', format('{count} {value occurs|values occur} more than once and {breaks|break} the unique key %I', name),
        'count_sql', format('SELECT count(*) FROM (SELECT 1 FROM %s%s GROUP BY %s HAVING count(*) > 1) g', source, q.where, q.keys),
        'examples_sql', format('SELECT pg_catalog.concat_ws('', '', %s) FROM %s%s GROUP BY %1$s HAVING count(*) > 1 LIMIT 3', q.keys, source, q.where),
        'blocks', true, 'choices', '[]'::jsonb, 'hint', 'Correct the rows first: a unique key cannot be restored without validation.'))
    FROM (SELECT string_agg(x.key, ', ' ORDER BY x.ord),
                 COALESCE(' WHERE ' || NULLIF(concat_ws(' AND ', '(' || predicate || ')', CASE WHEN nulls_equal THEN NULL
                     ELSE string_agg(format('pg_catalog.num_nonnulls(%s) > 0', x.key), ' AND ' ORDER BY x.ord) END), ''), '')
          FROM jsonb_array_elements_text(keys) WITH ORDINALITY x(key, ord)) q(keys, "where")
); END $$;

-- {builtin}: whether the type of a column that a foreign key refers to is PostgreSQL's own.
CREATE OR REPLACE FUNCTION zanith._referenced_column(key jsonb, name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object('builtin', t.typnamespace = 'pg_catalog'::regnamespace) FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = zanith._relation_oid(key ->> 'schema', key ->> 'table') AND a.attname = name AND NOT a.attisdropped
); END $$;

-- `child` is what holds the key, under the alias r; `parent` what it points at, under the alias p.
CREATE OR REPLACE FUNCTION zanith._orphan_check(con jsonb, child text, parent text, example text, blocks boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._guarding(ARRAY['COMPARED ' || zanith._qualify(con ->> 'schema', con ->> 'table'), 'COMPARED ' || zanith._qualify(con #>> '{foreign_key,schema}', con #>> '{foreign_key,table}')], zanith._check('foreign_key_orphans', con ->> 'name', format('{count} {row has|rows have} no referenced row for the foreign key %I', con ->> 'name'),
        child, format('%s AND NOT EXISTS (SELECT FROM %s WHERE %s)', q.present, parent, q.matches),
        example, blocks, ARRAY['--not-valid'], 'Correct the rows, or restore the foreign key as NOT VALID.'))
    FROM (SELECT string_agg(format('r.%I IS NOT NULL', c.name), ' AND ' ORDER BY c.ord),
                 string_agg(format('p.%I %s r.%I', f.name, zanith._equals(zanith._referenced_column(con -> 'foreign_key', f.name)), c.name), ' AND ' ORDER BY c.ord)
          FROM jsonb_array_elements_text(con #> '{foreign_key,columns}') WITH ORDINALITY c(name, ord)
          JOIN jsonb_array_elements_text(con #> '{foreign_key,references}') WITH ORDINALITY f(name, ord) USING (ord)) q(present, matches)
); END $$;

CREATE OR REPLACE FUNCTION zanith._table_checks(d jsonb, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    lenient boolean := COALESCE((choices ->> 'not_valid')::boolean, false);
    parked text := zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}');
    checks jsonb := '[]';
    m record;
    k jsonb;
    fallback oid;
BEGIN
    FOR m IN SELECT x.item, x.ord FROM zanith._each(d -> 'members') x LOOP
        FOR k IN SELECT x.item FROM zanith._each(m.item #> '{definition,constraints}') x
                 WHERE zanith._constraint_is(x.item, 'reference') AND NOT (x.item ->> 'inherited')::boolean
                   AND (x.item ->> 'validated')::boolean AND (x.item ->> 'enforced')::boolean
                   AND NOT (x.item #>> '{foreign_key,period}')::boolean
                   AND NOT (x.item #>> '{foreign_key,self}')::boolean
                   AND zanith._relation_oid(x.item #>> '{foreign_key,schema}', x.item #>> '{foreign_key,table}') IS NOT NULL LOOP
            checks := checks || zanith._orphan_check(k, zanith._qualify(m.item ->> 'parked_schema', m.item ->> 'parked') || ' r',
                zanith._qualify(k #>> '{foreign_key,schema}', k #>> '{foreign_key,table}') || ' p',
                zanith._row_example(zanith._relation_oid(m.item ->> 'parked_schema', m.item ->> 'parked'), 'r'), NOT lenient);
        END LOOP;
    END LOOP;
    FOR k IN SELECT x.item FROM zanith._each(d -> 'references') x
             WHERE (x.item ->> 'validated')::boolean AND (x.item ->> 'enforced')::boolean
               AND NOT (x.item #>> '{foreign_key,period}')::boolean
               AND x.item #>> '{foreign_key,schema}' = d #>> '{table,schema}' AND x.item #>> '{foreign_key,table}' = d #>> '{table,name}'
               AND zanith._relation_oid(x.item ->> 'schema', x.item ->> 'table') IS NOT NULL LOOP
        checks := checks || zanith._orphan_check(k, zanith._qualify(k ->> 'schema', k ->> 'table') || ' r', parked || ' p',
            zanith._row_example(zanith._relation_oid(k ->> 'schema', k ->> 'table'), 'r'), NOT lenient);
    END LOOP;
    -- rows that the default partition took meanwhile would stand in the way of the bound
    SELECT p.partdefid INTO fallback FROM pg_partitioned_table p
    WHERE p.partrelid = zanith._relation_oid(d #>> '{members,0,definition,partition_of,schema}', d #>> '{members,0,definition,partition_of,name}');
    IF COALESCE(fallback, 0) <> 0 AND d #>> '{members,0,definition,partition_of,accepts}' IS NOT NULL THEN
        checks := checks || zanith._check('default_partition', zanith._relation_name(fallback),
            format('{count} {row|rows} in the default partition %s {belongs|belong} to this one', zanith._relation_name(fallback)),
            zanith._relation_name(fallback), d #>> '{members,0,definition,partition_of,accepts}', 'tableoid::regclass', true, '{}',
            'Move them away first, then attach and insert them again.');
    END IF;
    RETURN checks;
END $$;

-- A check reads a table with its partitions and children as the owner of the table. Where one of them belongs to another role, it is locked
-- first, and the check does not run if code of that role could (see guard_tables).
CREATE OR REPLACE FUNCTION zanith._guarding_members(relation oid, checks jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF checks = '[]' OR NOT zanith._has_several_owners(relation) THEN
        RETURN checks;
    END IF;
    RETURN (SELECT zanith._list(c.item || jsonb_build_object('guards', COALESCE(c.item -> 'guards', '[]') || to_jsonb(zanith._relation_name(relation))) ORDER BY c.ord)
            FROM zanith._each(checks) c);
END $$;
