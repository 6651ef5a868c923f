-- The fidelity report: the recorded definition beside the catalog.

-- Whether now is as recorded. A key that the record does not have says nothing: another version may tell more (18 names
-- NOT NULL). `lax`, between major versions: their words for one expression differ in spaces, parentheses and qualifiers.
CREATE OR REPLACE FUNCTION zanith._same(recorded jsonb, now jsonb, lax boolean) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF recorded = now THEN
        RETURN true;
    ELSIF jsonb_typeof(recorded) = 'object' AND jsonb_typeof(now) = 'object' THEN
        -- where a sequence stands that was never called is not told by its oid
        IF recorded -> 'is_called' = 'false' AND now -> 'is_called' = 'false' THEN
            recorded := recorded - 'last_value';
        END IF;
        RETURN NOT EXISTS (SELECT FROM jsonb_each(recorded) r WHERE NOT zanith._same(r.value, COALESCE(now -> r.key, 'null'), lax));
    ELSIF jsonb_typeof(recorded) = 'array' AND jsonb_typeof(now) = 'array' THEN
        RETURN jsonb_array_length(recorded) = jsonb_array_length(now) AND NOT EXISTS (
            SELECT FROM zanith._each(recorded) r JOIN zanith._each(now) n USING (ord) WHERE NOT zanith._same(r.item, n.item, lax));
    ELSIF lax AND jsonb_typeof(recorded) = 'string' AND jsonb_typeof(now) = 'string' THEN
        RETURN regexp_replace(recorded #>> '{}', '[[:space:]()]|([[:alnum:]_]+|"[^"]*")[.](?=[[:alnum:]_"])', '', 'g') = regexp_replace(now #>> '{}', '[[:space:]()]|([[:alnum:]_]+|"[^"]*")[.](?=[[:alnum:]_"])', '', 'g');
    END IF;
    RETURN false;
END $$;

-- A description with other names, given as {from: to}: where a text is the name, and where SQL holds it as an identifier.
CREATE OR REPLACE FUNCTION zanith._with_names(value jsonb, names jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF names = '{}' OR value IS NULL THEN
        RETURN value;
    ELSIF jsonb_typeof(value) = 'object' THEN
        RETURN (SELECT COALESCE(jsonb_object_agg(v.key, zanith._with_names(v.value, names)), '{}') FROM jsonb_each(value) v);
    ELSIF jsonb_typeof(value) = 'array' THEN
        RETURN (SELECT zanith._list(zanith._with_names(v.item, names) ORDER BY v.ord) FROM zanith._each(value) v);
    ELSIF jsonb_typeof(value) <> 'string' THEN
        RETURN value;
    END IF;
    RETURN to_jsonb(COALESCE(names ->> (value #>> '{}'), zanith._rename_identifiers(value #>> '{}', names)));
END $$;

-- A description in which nobody holds a privilege.
CREATE OR REPLACE FUNCTION zanith._without_privilege(value jsonb, privilege text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN CASE jsonb_typeof(value)
    WHEN 'object' THEN (SELECT COALESCE(jsonb_object_agg(v.key, CASE WHEN v.key IN ('privileges', 'grantable') AND jsonb_typeof(v.value) = 'array'
                            THEN v.value - privilege ELSE zanith._without_privilege(v.value, privilege) END), '{}') FROM jsonb_each(value) v)
    WHEN 'array' THEN (SELECT zanith._list(zanith._without_privilege(v.item, privilege) ORDER BY v.ord) FROM zanith._each(value) v)
    ELSE value END;
END $$;

-- Two descriptions, part by part. Parts with names are compared by name, all others whole.
CREATE OR REPLACE FUNCTION zanith._compare(what text, recorded jsonb, now jsonb, lax boolean)
RETURNS TABLE (part text, verdict text, was jsonb, is_now jsonb)
LANGUAGE plpgsql IMMUTABLE ROWS 20 AS $$ BEGIN
    RETURN QUERY
    SELECT what || ' ' || k.key, CASE WHEN zanith._same(recorded -> k.key, now -> k.key, lax) THEN 'exact' WHEN now IS NULL THEN 'missing' ELSE 'different' END,
           recorded -> k.key, now -> k.key
    FROM jsonb_object_keys(recorded) k(key)
    WHERE NOT (jsonb_typeof(recorded -> k.key) = 'array' AND (recorded -> k.key -> 0) ? 'name')
      AND NOT (k.key IN ('name', 'schema', 'oid'))
      AND NOT (jsonb_typeof(recorded -> k.key) = 'null' AND jsonb_typeof(now -> k.key) = 'null')
      AND NOT (recorded -> k.key = '[]' AND now -> k.key = '[]')
    UNION ALL
    SELECT regexp_replace(regexp_replace(l.key, 'ies$', 'y'), '(?<=index)es$|(?<!statistic)s$', '') || ' ' || COALESCE(r.item ->> 'name', n.item ->> 'name'),
           CASE WHEN n.item IS NULL THEN 'missing' WHEN zanith._same(r.item - 'parked' - 'plain' - 'uses', n.item, lax) THEN 'exact' ELSE 'different' END,
           r.item, n.item
    FROM (SELECT k.key FROM jsonb_object_keys(recorded) k(key)
          WHERE jsonb_typeof(recorded -> k.key) = 'array' AND (recorded -> k.key -> 0) ? 'name') l,
         LATERAL zanith._each(recorded -> l.key) r
         LEFT JOIN LATERAL (
            SELECT x.item FROM zanith._each(now -> l.key) x
            WHERE x.item ->> 'name' = r.item ->> 'name' AND x.item -> 'schema' IS NOT DISTINCT FROM r.item -> 'schema'
              AND x.item -> 'table' IS NOT DISTINCT FROM r.item -> 'table' AND x.item -> 'via' IS NOT DISTINCT FROM r.item -> 'via') n ON true;
END $$;

-- Of an object, the keys that another has otherwise; of anything else, all.
CREATE OR REPLACE FUNCTION zanith._differing(one jsonb, other jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN jsonb_typeof(one) = 'object' AND jsonb_typeof(other) = 'object'
        THEN (SELECT COALESCE(jsonb_object_agg(k.key, k.value), '{}') FROM jsonb_each(one) k
              WHERE other -> k.key IS DISTINCT FROM k.value)
        ELSE one END
); END $$;

-- The definition as it would be recorded now, in the same shape.
CREATE OR REPLACE FUNCTION zanith.describe_now(artifact_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$ BEGIN RETURN (
    SELECT zanith._describe_as(a, NULL) FROM zanith._artifact(artifact_id) a
); END $$;

CREATE OR REPLACE FUNCTION zanith._describe_as(a zanith._zanith_migration_artifacts, as_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN zanith._strategy_is(a.artifact_type, 'definition') THEN zanith._describe_kept_now(zanith._kept_address_as(a.definition, as_name))
        WHEN t.live IS NULL THEN NULL
        WHEN zanith._strategy_is(a.artifact_type, 'rows') THEN zanith._describe_table(t.live)
        WHEN a.source_column IS NULL THEN zanith._define_table(a.artifact_type, t.live, a.id, 'cascade')
        WHEN zanith._attribute_number(t.live, t.col) IS NULL THEN NULL
        WHEN a.artifact_type = 'archive_values' THEN zanith._define_values(t.live, t.col, a.id)
        ELSE zanith._define_column(a.artifact_type, t.live, t.col, a.id, 'cascade') END
    FROM (SELECT zanith._relation_oid(a.source_schema, CASE WHEN a.source_column IS NULL THEN COALESCE(as_name, a.source_table) ELSE a.source_table END),
                 COALESCE(as_name, a.source_column)) t(live, col)
); END $$;

-- The names that a restore under another name gives: {now: recorded}.
CREATE OR REPLACE FUNCTION zanith._names_as(a zanith._zanith_migration_artifacts, as_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN as_name IS NULL THEN '{}' ELSE jsonb_build_object(as_name, COALESCE(a.kept_object, a.source_column, a.source_table))
        || COALESCE((SELECT jsonb_object_agg(q.back, r.item ->> 'name')
            FROM zanith._each(a.definition -> 'members') m, LATERAL zanith._each(m.item -> 'renames') r,
                 LATERAL (SELECT zanith._name_back(r.item ->> 'kind', r.item ->> 'schema', r.item ->> 'name', as_name)) q(back)
            WHERE q.back <> r.item ->> 'name' AND zanith._relation_oid(r.item ->> 'schema', q.back) IS NOT NULL), '{}') END
); END $$;

-- Columns that a cascade took along, without what names the artifact.
CREATE OR REPLACE FUNCTION zanith._generated_columns(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('name', g.item -> 'name', 'column', g.item -> 'column', 'constraints', g.item -> 'constraints',
        'indexes', g.item -> 'indexes', 'statistics', g.item -> 'statistics', 'references', g.item -> 'references') ORDER BY g.ord)
    FROM zanith._each(d #> '{cascade,columns}') g
); END $$;

-- Functions and operators that a part calls now and did not when it was recorded: text of ours that was read under the owner's path may
-- have found others. What PostgreSQL's own catalog has is in no list. An index that is shared with a parked column is recorded under another name.
CREATE OR REPLACE FUNCTION zanith._other_meanings(recorded jsonb, now jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH parts(name) AS (
        SELECT format('the index %I', i.item ->> 'name') FROM zanith._parts(recorded) p, LATERAL zanith._each(p.part -> 'indexes') i WHERE NOT i.item ? 'parked'
        UNION ALL SELECT format('the constraint %I', k.item ->> 'name') FROM zanith._parts(recorded) p, LATERAL zanith._each(p.part -> 'constraints') k
        UNION ALL SELECT format('the expression of %I', recorded #>> '{column,name}') WHERE recorded #>> '{column,name}' IS NOT NULL
        UNION ALL SELECT 'the view ' || zanith._qualify(v.item ->> 'schema', v.item ->> 'name') FROM zanith._each(recorded #> '{cascade,views}') v
    ), needs(was, item) AS (
        SELECT true, x.item FROM zanith._each(recorded -> 'needs') x UNION ALL SELECT false, x.item FROM zanith._each(now -> 'needs') x
    )
    SELECT zanith._list(DISTINCT jsonb_build_object('part', n.item -> 'by', 'calls', n.item -> 'what'))
    FROM needs n JOIN parts p ON p.name = n.item ->> 'by'
    WHERE NOT n.was AND n.item ->> 'type' IN ('function', 'aggregate', 'operator')
      AND NOT EXISTS (SELECT FROM needs o WHERE o.was AND o.item -> 'by' = n.item -> 'by' AND o.item -> 'type' = n.item -> 'type'
                      AND o.item -> 'names' = n.item -> 'names' AND o.item -> 'args' = n.item -> 'args')
); END $$;

-- A table without the positions of its sequences: a restore of rows does not set one back that is further.
CREATE OR REPLACE FUNCTION zanith._without_positions(t jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN t || jsonb_build_object('columns', (
    SELECT zanith._list(CASE WHEN jsonb_array_length(COALESCE(NULLIF(c.item -> 'sequences', 'null'), '[]')) = 0 THEN c.item ELSE c.item || jsonb_build_object('sequences', (
               SELECT zanith._list(s.item - 'last_value' - 'is_called' ORDER BY s.ord) FROM zanith._each(c.item -> 'sequences') s)) END ORDER BY c.ord)
    FROM zanith._each(t -> 'columns') c)); END $$;

-- What was restored under another name is compared under that; the name is then what differs.
CREATE OR REPLACE FUNCTION zanith.compare(artifact_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$ BEGIN RETURN (
    SELECT zanith.compare_as(artifact_id, zanith._restored_as(artifact_id))
); END $$;

CREATE OR REPLACE FUNCTION zanith.compare_as(artifact_id text, as_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    names jsonb := zanith._names_as(a, as_name);
    d jsonb := zanith._with_names(a.definition, names);
    n jsonb := zanith._with_names(zanith._describe_as(a, as_name), names);
    lax boolean := (d ->> 'server_version')::integer / 10000 <> current_setting('server_version_num')::integer / 10000;
    report jsonb;
BEGIN
    -- what came back into the column has all that the column has
    IF as_name IS NULL AND d ? 'stays' THEN
        d := d || jsonb_build_object('column', d -> 'stays');
        n := n || jsonb_build_object('column', n -> 'stays');
    END IF;
    IF (d ->> 'server_version')::integer < 170000 THEN
        n := zanith._without_privilege(n, 'MAINTAIN'); -- a privilege that 17 added; an owner has all
    END IF;
    SELECT jsonb_build_object(
        'exact', zanith._list(c.part ORDER BY c.ord, c.part) FILTER (WHERE c.verdict = 'exact'),
        'different', zanith._list(jsonb_build_object('what', c.part,
                                  'recorded', zanith._differing(c.was, c.is_now), 'now', zanith._differing(c.is_now, c.was)) ORDER BY c.ord, c.part)
                              FILTER (WHERE c.verdict = 'different'),
        'missing', zanith._list(jsonb_build_object('what', c.part, 'recorded', c.was) ORDER BY c.ord, c.part)
                            FILTER (WHERE c.verdict = 'missing'))
    INTO report
    FROM (
        SELECT 1 AS ord, x.* FROM zanith._compare('table', d -> 'definition', n, lax) x WHERE a.artifact_type = 'rebuild_table'
        UNION ALL
        SELECT 1, x.* FROM zanith._compare('table', zanith._without_positions(d -> 'definition'), zanith._without_positions(n), lax) x WHERE a.artifact_type = 'archive_rows'
        UNION ALL
        SELECT m.ord, x.* FROM zanith._each(d -> 'members') m,
            LATERAL zanith._compare('table ' || (m.item ->> 'name'), m.item -> 'definition',
                (SELECT y.item -> 'definition' FROM zanith._each(n -> 'members') y
                 WHERE y.item ->> 'name' = m.item ->> 'name' AND y.item ->> 'schema' = m.item ->> 'schema'), lax) x
        UNION ALL
        SELECT 1, x.* FROM zanith._compare('column', d -> 'column', n -> 'column', lax) x WHERE jsonb_typeof(d -> 'column') = 'object'
        UNION ALL
        SELECT 1, x.* FROM (VALUES ('sequence'), ('type'), ('identity')) k(key), LATERAL zanith._compare('', jsonb_build_object(k.key, d -> k.key), CASE WHEN n IS NOT NULL THEN jsonb_build_object(k.key, n -> k.key) END, lax) x WHERE jsonb_typeof(d -> k.key) = 'object'
        UNION ALL
        SELECT 2, x.* FROM zanith._compare('', jsonb_build_object('constraints', d -> 'constraints', 'indexes', d -> 'indexes',
                'statistics', d -> 'statistics', 'foreign keys to it', d -> 'references', 'views', d #> '{cascade,views}',
                'policies', d #> '{cascade,policies}', 'triggers', d #> '{cascade,triggers}', 'rules', d #> '{cascade,rules}',
                'functions', d #> '{cascade,functions}', 'defaults', d #> '{cascade,defaults}', 'memberships', d #> '{cascade,publications}',
                'generated columns', zanith._generated_columns(d)),
            jsonb_build_object('constraints', n -> 'constraints', 'indexes', n -> 'indexes', 'statistics', n -> 'statistics',
                'foreign keys to it', n -> 'references', 'views', n #> '{cascade,views}', 'policies', n #> '{cascade,policies}',
                'triggers', n #> '{cascade,triggers}', 'rules', n #> '{cascade,rules}', 'functions', n #> '{cascade,functions}',
                'defaults', n #> '{cascade,defaults}', 'memberships', n #> '{cascade,publications}',
                'generated columns', zanith._generated_columns(n)), lax) x
        WHERE a.artifact_type <> 'rebuild_table' AND jsonb_typeof(x.was) <> 'null' AND x.was <> '[]'
        UNION ALL
        SELECT 0, CASE WHEN a.kept_kind IS NOT NULL THEN a.kept_kind || ' name' WHEN a.source_column IS NULL THEN 'table name' ELSE 'column name' END, 'different',
               to_jsonb(COALESCE(a.kept_object, a.source_column, a.source_table)), to_jsonb(as_name)
        WHERE as_name <> COALESCE(a.kept_object, a.source_column, a.source_table)
        UNION ALL
        -- the same column of the descendants
        SELECT 2 + t.ord, x.* FROM zanith._each(d -> 'tree') t,
            LATERAL (SELECT (SELECT y.item FROM zanith._each(n -> 'tree') y
                             WHERE y.item ->> 'name' = t.item ->> 'name' AND y.item ->> 'schema' = t.item ->> 'schema')) y(item),
            LATERAL zanith._compare(format(CASE jsonb_typeof(t.item -> 'column') WHEN 'object' THEN 'column of %s' ELSE 'table %s' END, t.item ->> 'name'), (t.item - 'owner' - 'renames') || COALESCE(NULLIF(t.item -> 'column', 'null'), '{}'),
                                    (y.item - 'owner' - 'renames') || COALESCE(NULLIF(y.item -> 'column', 'null'), '{}'), lax) x
        WHERE x.part NOT LIKE '% column'
    ) c;
    IF d ? 'column' AND d ? 'search_path' AND as_name IS NULL AND zanith._other_meanings(d, n) <> '[]' THEN
        report := report || jsonb_build_object('meaning', zanith._other_meanings(d, n));
    END IF;
    RETURN report || CASE WHEN a.artifact_type = 'rebuild_table'
        THEN jsonb_build_object('then', d -> 'definition', 'now', n) ELSE '{}' END;
END $$;
