-- Values that the database computes are compared with what they were: where they call code outside of pg_catalog that
-- is no C. A difference ends the restore, and names the functions and some keys, never a value.

-- How many bytes of a table are compared at most; of a larger one a sample of its pages is.
CREATE OR REPLACE FUNCTION zanith._compared_bytes() RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$ SELECT 64 * 1024 * 1024::bigint $$;

-- A step that compares, as PL/pgSQL: `body` sets how many `differ`, and `examples`. `what` says what is wrong then;
-- `code` is to blame.
CREATE OR REPLACE FUNCTION zanith._comparison(body text, declared text, what text, code oid[]) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN zanith._do(format($body$DECLARE differ bigint; examples text; path text := pg_catalog.current_setting('search_path'); %s
BEGIN
    %s
    IF differ > 0 THEN
        RAISE EXCEPTION USING ERRCODE = 'data_exception', MESSAGE = pg_catalog.concat(%L::pg_catalog.text, ' (', differ, CASE differ WHEN 1 THEN ' row differs)' ELSE ' rows differ)' END),
            DETAIL = pg_catalog.concat(%L::pg_catalog.text, path, '. ', examples), HINT = %L;
    END IF;
END$body$, declared, body, what,
        format('It calls %s, which ran under the search path ', (SELECT string_agg(c.routine::regprocedure::text, ', ' ORDER BY c.routine::regprocedure::text) FROM unnest(code) c(routine))),
        'Choose the search path that these functions need with --search-path, give them one of their own (ALTER FUNCTION … SET search_path = …), or undo the changes in them; then restore again.'));
END $$;

-- What the expression of a generated column gives, beside what was archived; before it is added, which writes every row
-- anew. Rows that were written since the capture say nothing. Row versions have an age only in the database that
-- archived them.
CREATE OR REPLACE FUNCTION zanith._render_generated_check(d jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    part jsonb := jsonb_build_array(format('the expression of %I', d #>> '{column,name}'));
    code oid[] := ARRAY(SELECT c.routine FROM zanith._code_of_parts(d, part, true) c(routine));
    keys text := (SELECT string_agg(format('a.%I', k.item ->> 'name'), ', ' ORDER BY k.ord) FROM zanith._each(d -> 'key') k);
BEGIN
    IF cardinality(code) = 0 OR zanith._is_mixed(d) OR d ->> 'database' IS NULL THEN
        RETURN '[]';
    ELSIF keys IS NULL THEN
        -- without a key all values are compared, where no row was written or deleted since
        RETURN zanith._step(zanith._comparison(format($body$IF pg_catalog.format('%%s/%%s', (SELECT system_identifier FROM pg_catalog.pg_control_system()),
            (SELECT x.oid FROM pg_catalog.pg_database x WHERE x.datname = pg_catalog.current_database())) = %1$L
        AND (SELECT pg_catalog.count(*) FROM %3$s t) = (SELECT pg_catalog.count(*) FROM ONLY %4$s a)
        AND NOT EXISTS (SELECT FROM %3$s t WHERE pg_catalog.age(t.xmin) <= (SELECT pg_catalog.max(pg_catalog.age(a.xmin)) FROM ONLY %4$s a)) THEN
        SELECT pg_catalog.count(*), 'Its table has no key to name them by' INTO differ, examples FROM (
            SELECT pg_catalog.format('%%s', (%2$s)) FROM %3$s EXCEPT ALL SELECT pg_catalog.format('%%s', %5$s) FROM ONLY %4$s a) q;
    END IF;$body$, d ->> 'database', d #>> '{column,generated,expression}', zanith._only(d) || target,
                zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'),
                CASE WHEN zanith._is_kept_as_text(d) THEN zanith._relabel_kept(d, format('a.%I', d #>> '{column,name}')) ELSE format('a.%I', d #>> '{column,name}') END), '',
                format('the expression of %I gives other values than the archived ones', d #>> '{column,name}'), code),
            format('Compare the results of the expression of %I with the archived values', d #>> '{column,name}'), 'ACCESS EXCLUSIVE', ARRAY[target], true);
    END IF;
    RETURN zanith._step(zanith._comparison(format($body$IF pg_catalog.format('%%s/%%s', (SELECT system_identifier FROM pg_catalog.pg_control_system()),
            (SELECT x.oid FROM pg_catalog.pg_database x WHERE x.datname = pg_catalog.current_database())) = %1$L THEN
        WITH differing AS (
            SELECT pg_catalog.concat_ws(', ', %2$s) AS key
            FROM (SELECT %3$s, (%4$s) AS "_zanith value", pg_catalog.age(xmin) AS "_zanith age" FROM %5$s) t JOIN ONLY %6$s a ON %7$s
            WHERE t."_zanith age" > pg_catalog.age(a.xmin) AND %8$s)
        SELECT pg_catalog.count(*), (SELECT pg_catalog.concat('For example the rows with the key ', pg_catalog.string_agg(x.key, '; ')) FROM (SELECT key FROM differing LIMIT 3) x) INTO differ, examples FROM differing;
    END IF;$body$, d ->> 'database', keys, zanith._key_list(d -> 'key'), d #>> '{column,generated,expression}', zanith._only(d) || target,
            zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'), zanith._key_match(d -> 'key'),
            CASE WHEN d #>> '{parked,type}' IS NULL THEN zanith._differ(d #>> '{column,type}', 't."_zanith value"', format('a.%I', d #>> '{column,name}'))
                 ELSE zanith._differs_from_kept(d, 't."_zanith value"', format('a.%I', d #>> '{column,name}')) END), '',
            format('the expression of %I gives other values than the archived ones', d #>> '{column,name}'), code),
        format('Compare the results of the expression of %I with the archived values', d #>> '{column,name}'), 'ACCESS EXCLUSIVE', ARRAY[target], true);
END $$;

-- Whether an index has what a query finds without it. `elsewhere`: the index was built under another path than queries
-- use, so its predicate and expressions are evaluated under both. Then it is asked: an index of rows that the same
-- transaction wrote may not answer yet.
CREATE OR REPLACE FUNCTION zanith._render_index_check(index jsonb, target text, code oid[], elsewhere boolean, key jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    predicate text := index ->> 'predicate';
    rows_of text := CASE WHEN (index ->> 'partitioned')::boolean THEN '' ELSE 'ONLY ' END || target;
    computed jsonb := (SELECT zanith._list(k.key ORDER BY k.ord) FROM jsonb_array_elements_text(index -> 'keys') WITH ORDINALITY k(key, ord)
                       WHERE NOT EXISTS (SELECT FROM jsonb_array_elements_text(index -> 'columns') c(name) WHERE quote_ident(c.name) = k.key));
    told text := (SELECT concat_ws(', ', predicate, string_agg(k.key, ', ' ORDER BY k.ord)) FROM jsonb_array_elements_text(computed) WITH ORDINALITY k(key, ord));
    name text := COALESCE((SELECT string_agg(format('%I', k.item ->> 'name'), ', ' ORDER BY k.ord) FROM zanith._each(key) k), 'ctid');
    conditions text := (SELECT string_agg(quote_literal(c.condition), ', ') FROM (
        SELECT '(' || predicate || ')' WHERE predicate IS NOT NULL
        UNION ALL SELECT concat_ws(' AND ', '(' || predicate || ')', format('(%s) IS NOT NULL', k.key)) FROM jsonb_array_elements_text(computed) k(key)) c(condition));
BEGIN
    IF conditions IS NULL OR cardinality(code) = 0 THEN
        RETURN '[]';
    END IF;
    RETURN zanith._step(zanith._comparison(format($body$share := LEAST(100, 100.0 OPERATOR(pg_catalog.*) %1$s::pg_catalog.numeric OPERATOR(pg_catalog./) GREATEST((SELECT pg_catalog.sum(pg_catalog.pg_relation_size(c.oid)) FROM pg_catalog.pg_class c
        WHERE c.oid = %2$L::pg_catalog.regclass OR c.oid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(%2$L::pg_catalog.regclass) p)), 1));%3$s
    settings := ARRAY(SELECT pg_catalog.current_setting(s.name) FROM pg_catalog.unnest(scans) WITH ORDINALITY s(name, ord) ORDER BY s.ord);
    FOREACH condition IN ARRAY ARRAY[%4$s] LOOP
        EXIT WHEN differ > 0 OR share OPERATOR(pg_catalog.<) 100::pg_catalog.float4;
        PERFORM pg_catalog.set_config(s.name, CASE s.name WHEN 'enable_seqscan' THEN 'on' ELSE 'off' END, true) FROM pg_catalog.unnest(scans) s(name);
        EXECUTE pg_catalog.concat('SELECT pg_catalog.count(*) FROM ', %5$L::pg_catalog.text, ' WHERE ', condition) INTO by_scan;
        PERFORM pg_catalog.set_config(s.name, CASE WHEN s.name IN ('enable_seqscan', 'enable_tidscan') THEN 'off' ELSE 'on' END, true) FROM pg_catalog.unnest(scans) s(name);
        EXECUTE pg_catalog.concat('SELECT pg_catalog.count(*) FROM ', %5$L::pg_catalog.text, ' WHERE ', condition) INTO by_index;
        differ := pg_catalog.abs(by_scan - by_index);
        examples := pg_catalog.concat('A query finds ', by_index, ' rows by the index, and ', by_scan, ' without it');
    END LOOP;
    PERFORM pg_catalog.set_config(s.name, settings[s.ord], true) FROM pg_catalog.unnest(scans) WITH ORDINALITY s(name, ord);$body$,
            zanith._compared_bytes(), target,
            CASE WHEN elsewhere THEN format($body$
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    SELECT pg_catalog.array_agg(pg_catalog.hashtextextended(pg_catalog.format('%%s', ROW(%1$s)), 0) ORDER BY tableoid, ctid) INTO built FROM %2$s TABLESAMPLE SYSTEM (share) REPEATABLE (0);
    PERFORM pg_catalog.set_config('search_path', path, true);
    SELECT pg_catalog.array_agg(pg_catalog.hashtextextended(pg_catalog.format('%%s', ROW(%1$s)), 0) ORDER BY tableoid, ctid),
           pg_catalog.array_agg(pg_catalog.concat_ws(', ', %3$s) ORDER BY tableoid, ctid) INTO asked, keys FROM %2$s TABLESAMPLE SYSTEM (share) REPEATABLE (0);
    IF built OPERATOR(pg_catalog.<>) asked THEN
        SELECT pg_catalog.count(*), (pg_catalog.array_agg(keys[n] ORDER BY n))[1:3] INTO differ, keys FROM pg_catalog.generate_series(1, pg_catalog.cardinality(asked)) n WHERE built[n] <> asked[n];
        examples := pg_catalog.concat('For example the rows with the key ', pg_catalog.array_to_string(keys, '; '));
    END IF;$body$, told, rows_of, name) ELSE '' END, conditions, rows_of),
            $declared$share real; built bigint[]; asked bigint[]; keys text[]; settings text[]; condition text; by_scan bigint; by_index bigint;
    scans text[] := '{enable_seqscan,enable_indexscan,enable_bitmapscan,enable_indexonlyscan,enable_tidscan}';$declared$,
            format('the index %I gives other rows than a query without it', index ->> 'name'), code),
        format('Compare the rows of the index %I with a query that does not use it', index ->> 'name'), 'ACCESS SHARE', ARRAY[target], true);
END $$;

-- Whether a materialized view has what its query gives. One that gives something else each time says nothing.
CREATE OR REPLACE FUNCTION zanith._render_view_check(name text, definition text, code oid[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    answer text := 'SELECT pg_catalog.count(*), COALESCE(pg_catalog.sum(pg_catalog.hashtextextended(pg_catalog.format(''%%s'', q), 0)::numeric), 0) INTO %s FROM (%s) q;';
BEGIN
    IF cardinality(code) = 0 THEN
        RETURN '[]';
    END IF;
    RETURN zanith._step(zanith._comparison(format(answer, 'has, has_sum', 'SELECT * FROM ' || name) || format(answer, 'gives, gives_sum', definition) || format($body$
    IF has <> gives OR has_sum <> gives_sum THEN
        %s
        IF again = gives AND again_sum = gives_sum THEN
            differ := GREATEST(pg_catalog.abs(has - gives), 1);
            examples := pg_catalog.concat('It has ', has, ' rows, and its query gives ', gives);
        END IF;
    END IF;$body$, format(answer, 'again, again_sum', definition)), 'has bigint; gives bigint; again bigint; has_sum numeric; gives_sum numeric; again_sum numeric;',
        format('the materialized view %s differs from the result of its query', name), code),
        format('Compare the materialized view %s with the result of its query', name), 'ACCESS SHARE', ARRAY[name], true);
END $$;
