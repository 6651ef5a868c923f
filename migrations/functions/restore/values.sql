-- More checks: values that no longer fit, a fill that is none of the type, keys used again, and expressions that mean nothing now.

-- A check that counts nothing: it asks whether an expression can be evaluated at all over the rows as they would be.
CREATE OR REPLACE FUNCTION zanith._can_evaluate(object text, expression text, rows_after text, hint text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_array(jsonb_build_object('kind', 'expression', 'object', object, 'message', format('%s cannot be evaluated', object),
        'count_sql', format('SELECT count(*) FROM (SELECT %s FROM %s LIMIT 0) q', expression, rows_after), 'examples_sql', NULL,
        'blocks', true, 'choices', '[]'::jsonb, 'hint', hint))
$$;

CREATE OR REPLACE FUNCTION zanith._value_checks(d jsonb, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    col jsonb := d -> 'column';
    after text := zanith._rows_after(d, live, choices - 'fill', d #>> '{table,name}');
    rows_now text := zanith._only(d -> 'table') || zanith._relation_name(live) || ' t';
    example text := COALESCE(zanith._key_example(d -> 'key', 't'), zanith._row_example(live, 't'));
    checks jsonb := '[]';
    x record;
BEGIN
    IF choices ? 'fill' THEN
        checks := checks || jsonb_build_array(jsonb_build_object('kind', 'fill_value', 'object', format('%L', choices ->> 'fill'),
            'message', format('%L is not a value of the type %s', choices ->> 'fill', col ->> 'type'),
            'count_sql', format('SELECT count(*) FROM (SELECT %L::%s OFFSET 0) f(v) WHERE (v IS NULL) IS NULL', choices ->> 'fill', col ->> 'type'), 'examples_sql', NULL,
            'blocks', true, 'choices', '["--fill VALUE"]'::jsonb, 'hint', format('Give a value that is one of %s.', col ->> 'type')));
    END IF;
    IF zanith._is_kept_as_text(d) AND COALESCE(col -> 'generated', 'null') = 'null' AND zanith._type_exists(col ->> 'type') THEN
        checks := checks || zanith._kept_checks(d, live);
    END IF;
    IF col ->> 'base_type' IS NOT NULL AND COALESCE(col -> 'generated', 'null') = 'null' AND zanith._type_exists(col ->> 'type') THEN
        checks := checks || zanith._domain_checks(d, choices, rows_now, example);
    END IF;
    IF COALESCE(col -> 'generated', 'null') <> 'null' THEN
        RETURN checks || zanith._can_evaluate(format('the expression of %I', col ->> 'name'), col #>> '{generated,expression}', rows_now,
            'Its columns or functions changed since the capture: change them back for the restore.');
    END IF;
    FOR x IN SELECT i.item FROM zanith._each(d -> 'indexes') i WHERE NOT (i.item ->> 'plain')::boolean AND NOT i.item ? 'parked' LOOP
        checks := checks || zanith._can_evaluate(format('the index %I', x.item ->> 'name'), concat_ws(', ',
                (SELECT string_agg(k.key, ', ' ORDER BY k.ord) FROM jsonb_array_elements_text(x.item -> 'keys') WITH ORDINALITY k(key, ord)),
                x.item ->> 'predicate'), after, 'Its columns or functions changed since the capture: change them back for the restore.');
    END LOOP;
    RETURN checks;
END $$;

-- Rows that were written since: changed, or gone and made anew under the same key. Told by the transaction that wrote them, if that is
-- younger than the archive. A restore of a column of the same table wrote every row, so only younger ones tell anything. The audit entry of
-- a restore is written last (in a subtransaction of its own: the restore may have used some). The load of a dump gives new transactions.
CREATE OR REPLACE FUNCTION zanith._rewritten_checks(a zanith._zanith_migration_artifacts, d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    here text := zanith._database_identity();
    name text := zanith._relation_name(live);
    beside record;
    checks jsonb;
BEGIN
    IF NOT zanith._strategy_is(a.artifact_type, 'values') OR d #> '{column,generated}' <> 'null' THEN
        RETURN '[]';
    END IF;
    SELECT l.xmin AS written, l.object, l.at INTO beside FROM zanith._zanith_audit_log l
    WHERE l.action = 'restore' AND l.outcome = 'done' AND l.detail #>> '{column,table}' = live::text AND l.detail #>> '{column,database}' = here
      AND l.id > (SELECT max(c.id) FROM zanith._zanith_audit_log c WHERE c.artifact_id = a.id AND c.action = 'capture' AND c.outcome = 'done')
    ORDER BY l.id DESC LIMIT 1;
    checks := zanith._check('rows_rewritten', name, format('{count} {row|rows} of %s {was|were} written again since the %s',
            name, COALESCE('restore of ' || beside.object, 'capture')),
        zanith._only(d -> 'table') || name || ' t',
        format('EXISTS (SELECT FROM ONLY %s a WHERE %s AND pg_catalog.age(t.xmin) < %s)', zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'),
            zanith._key_match(d -> 'key'), COALESCE(format('LEAST(pg_catalog.age(a.xmin), pg_catalog.age(%L::pg_catalog.xid))', beside.written::text), 'pg_catalog.age(a.xmin)')),
        zanith._key_example(d -> 'key', 't'), false, '{}',
        'A row that was deleted and inserted again under its key gets the archived value of the old row. PostgreSQL does not tell it from a changed row: check these rows before the restore.');
    IF COALESCE(a.definition ->> 'database', here) <> here THEN
        RETURN jsonb_build_array(checks -> 0 || jsonb_build_object('unknown', 'this database was loaded from a dump or upgraded since the capture'));
    ELSIF beside.object IS NOT NULL THEN
        RETURN checks || jsonb_build_array(checks -> 0 || jsonb_build_object(
            'message', format('{count} {row|rows} of %s {was|were} written again between the drop and the restore of %s', name, beside.object),
            'hint', 'A row that was deleted and inserted again under its key gets the archived value of the old row.',
            'unknown', format('the restore of %s wrote every row', beside.object)));
    END IF;
    RETURN checks;
END $$;

-- Archived text that the type, as it is now, does not read: a label that is gone, an attribute that was added. Before 16 PostgreSQL cannot be
-- asked, but for an enum its labels can; else the restore fails where it meets such a value, and is rolled back.
CREATE OR REPLACE FUNCTION zanith._kept_checks(d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    type text := d #>> '{column,type}';
    base oid := zanith._beneath_domain(to_regtype(type));
    value text := zanith._relabel_kept(d, format('a.%I', d #>> '{column,name}'));
    reads text;
BEGIN
    IF EXISTS (SELECT FROM pg_type t WHERE t.oid = base AND t.typtype = 'e') THEN
        reads := format('EXISTS (SELECT FROM pg_catalog.pg_enum e WHERE e.enumtypid OPERATOR(pg_catalog.=) %s::pg_catalog.oid AND e.enumlabel::pg_catalog.text OPERATOR(pg_catalog.=) %s)', base, value);
    ELSIF current_setting('server_version_num')::integer >= 160000 THEN
        reads := format('pg_catalog.pg_input_is_valid(%s, %L)', value, type);
    ELSE
        RETURN '[]';
    END IF;
    RETURN zanith._check('unfit_values', type, format('{count} archived {value is|values are} not valid for the type %s as it is now', type),
        format('ONLY %s a', zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}')),
        format('pg_catalog.num_nonnulls(a.%I) > 0 AND NOT %s AND EXISTS (SELECT FROM %s t WHERE %s)', d #>> '{column,name}', reads, zanith._only(d) || zanith._relation_name(live), zanith._key_match(d -> 'key')),
        zanith._key_example(d -> 'key', 'a'), true, ARRAY['--as-text'],
        'Undo the change of the type for the length of the restore, or restore the column as text.');
END $$;

-- Values that the domain of the column refuses, of rows inserted since the capture too: these have none. A column of the table may
-- be called value, so no other column is beside it. OFFSET 0: the planner would evaluate an immutable function of the owner's, rows or not.
CREATE OR REPLACE FUNCTION zanith._domain_checks(d jsonb, choices jsonb, rows_now text, example text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    col jsonb := d -> 'column';
    domain oid := to_regtype(col ->> 'type');
    soft boolean := d ->> 'strategy' = 'soft_drop_column';
    key text := format('SELECT %s AS "_zanith key"', example);
    -- ADD COLUMN gives every row the default of a domain
    filled boolean := choices ? 'fill' OR COALESCE((choices ->> 'fill_default')::boolean, false) AND col ->> 'default' IS NOT NULL
        OR NOT soft AND (SELECT t.typdefault IS NOT NULL FROM pg_type t WHERE t.oid = domain);
    checks jsonb := '[]';
    x record;
BEGIN
    FOR x IN SELECT * FROM zanith._domain_conditions(domain) LOOP
        IF soft THEN
            checks := checks || zanith._check('unfit_values', col ->> 'type', format('{count} {value|values} no longer {fits|fit} the domain %s: %s', col ->> 'type', x.name),
                format('(%s, t.%I AS value FROM %s OFFSET 0) t', key, d #>> '{parked,column}', rows_now), format('pg_catalog.num_nonnulls(value) > 0 AND (%s)', x.broken), 't."_zanith key"', true, '{}',
                'Correct the values, or undo the change of the domain.');
        END IF;
        IF NOT filled THEN
            checks := checks || zanith._check('null_gaps', col ->> 'type', format('{count} {row|rows} would hold NULL in %I, which its domain %s refuses: %s', col ->> 'name', col ->> 'type', x.name),
                CASE WHEN soft THEN format('(%s, t.%I AS value FROM %s OFFSET 0) t', key, d #>> '{parked,column}', rows_now)
                     ELSE format('(%s, NULL::%s AS value FROM %s WHERE NOT EXISTS (SELECT FROM ONLY %s a WHERE %s) OFFSET 0) t', key, col ->> 'base_type', rows_now,
                                 zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'), zanith._key_match(d -> 'key')) END,
                format('pg_catalog.num_nulls(value) > 0 AND (%s)', x.broken), 't."_zanith key"', true,
                CASE WHEN col ->> 'default' IS NULL THEN ARRAY['--fill VALUE'] ELSE ARRAY['--fill VALUE', '--fill default'] END,
                'Choose a value for them: a column of this type cannot be NULL.');
        END IF;
    END LOOP;
    RETURN checks;
END $$;

-- What a domain demands, and the domains that it is over, each as the condition that breaks it; the value is called value.
-- CASE: the planner may print first and look for the domain's own later; a check of a table can't be printed without it.
CREATE OR REPLACE FUNCTION zanith._domain_conditions(type oid) RETURNS TABLE (name text, broken text)
LANGUAGE sql STABLE AS $$
    WITH RECURSIVE beneath(oid, base, strict) AS (
        SELECT t.oid, t.typbasetype, t.typnotnull FROM pg_type t WHERE t.oid = type AND t.typtype = 'd'
        UNION ALL
        SELECT t.oid, t.typbasetype, t.typnotnull FROM beneath b JOIN pg_type t ON t.oid = b.base AND t.typtype = 'd'
    )
    SELECT c.conname::text, CASE WHEN c.contypid <> 0 THEN format('NOT (%s)', pg_get_expr(c.conbin, 0)) END FROM beneath b JOIN pg_constraint c ON c.contypid = b.oid AND c.contype = ANY (zanith._letters_of('condition'))
    UNION ALL
    SELECT 'NOT NULL', 'pg_catalog.num_nulls(value) > 0' FROM beneath WHERE strict
$$;

-- Whether a domain refuses NULL, as far as its text shows: NOT NULL, or a check that is VALUE IS NOT NULL, or begins or ends with it and
-- AND. No check is run: a function of pg_catalog may run SQL of an owner's, as query_to_xml and ts_rewrite do. Each operand of AND and OR has
-- parentheses, so AND here is the outermost operator.
CREATE OR REPLACE FUNCTION zanith._refuses_null(type oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (
    SELECT FROM zanith._domain_conditions(type) c
    WHERE c.broken IN ('pg_catalog.num_nulls(value) > 0', 'NOT ((VALUE IS NOT NULL))')
       OR starts_with(c.broken, 'NOT (((VALUE IS NOT NULL) AND ') OR right(c.broken, 26) = ' AND (VALUE IS NOT NULL)))'
); END $$;

-- Rows of a parked partition that its parent's keys of today refuse. ATTACH PARTITION has no NOT VALID.
CREATE OR REPLACE FUNCTION zanith._parent_checks(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    parent oid := zanith._relation_oid(d #>> '{members,0,definition,partition_of,schema}', d #>> '{members,0,definition,partition_of,name}');
    parked text := zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}');
    checks jsonb := '[]';
    k jsonb;
BEGIN
    FOR k IN SELECT q.key FROM pg_constraint c, LATERAL zanith._describe_constraint(c.oid) q(key)
             WHERE c.conrelid = parent AND c.contype = ANY (zanith._letters_of('reference')) AND c.conparentid = 0 AND (q.key ->> 'enforced')::boolean
               -- the restore adds the partition's own part first, NOT VALID as it was
               AND NOT EXISTS (SELECT FROM zanith._unvalidated_keys(d) u WHERE u.key -> 'foreign_key' = q.key -> 'foreign_key') LOOP
        checks := checks || jsonb_build_array((zanith._orphan_check(k, parked || ' r', zanith._qualify(k #>> '{foreign_key,schema}', k #>> '{foreign_key,table}') || ' p',
            zanith._row_example(zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}'), 'r'), true) -> 0) || '{"choices": [], "hint": "Correct the rows, or drop the parent''s foreign key for the length of the restore."}');
    END LOOP;
    FOR k IN SELECT zanith._describe_index(i.indexrelid) FROM pg_index i WHERE i.indrelid = parent AND i.indisunique LOOP
        checks := checks || zanith._duplicate_check(k ->> 'name', k -> 'keys', k ->> 'predicate', zanith._masked(k ->> 'using') LIKE '%NULLS NOT DISTINCT%', parked || ' r');
    END LOOP;
    RETURN checks;
END $$;
