-- The fidelity report: the recorded definition beside the catalog.

-- Two descriptions, part by part. Parts with names are compared by name, all others whole.
CREATE OR REPLACE FUNCTION zanith._compare(what text, recorded jsonb, now jsonb)
RETURNS TABLE (part text, verdict text, was jsonb, is_now jsonb)
LANGUAGE sql IMMUTABLE ROWS 20 AS $$
    SELECT what || ' ' || k.key, CASE WHEN recorded -> k.key = now -> k.key THEN 'exact' WHEN now IS NULL THEN 'missing' ELSE 'different' END,
           recorded -> k.key, now -> k.key
    FROM jsonb_object_keys(recorded) k(key)
    WHERE NOT (jsonb_typeof(recorded -> k.key) = 'array' AND (recorded -> k.key -> 0) ? 'name')
      AND NOT (k.key IN ('name', 'schema', 'oid'))
      AND NOT (jsonb_typeof(recorded -> k.key) = 'null' AND jsonb_typeof(now -> k.key) = 'null')
      AND NOT (recorded -> k.key = '[]' AND now -> k.key = '[]')
    UNION ALL
    SELECT regexp_replace(regexp_replace(l.key, 'ies$', 'y'), '(?<=index)es$|(?<!statistic)s$', '') || ' ' || COALESCE(r.item ->> 'name', n.item ->> 'name'),
           CASE WHEN n.item IS NULL THEN 'missing' WHEN r.item = n.item THEN 'exact' ELSE 'different' END,
           r.item, n.item
    FROM (SELECT k.key FROM jsonb_object_keys(recorded) k(key)
          WHERE jsonb_typeof(recorded -> k.key) = 'array' AND (recorded -> k.key -> 0) ? 'name') l,
         LATERAL zanith._each(recorded -> l.key) r
         LEFT JOIN LATERAL (
            SELECT x.item FROM zanith._each(now -> l.key) x
            WHERE x.item ->> 'name' = r.item ->> 'name' AND x.item -> 'schema' IS NOT DISTINCT FROM r.item -> 'schema'
              AND x.item -> 'table' IS NOT DISTINCT FROM r.item -> 'table' AND x.item -> 'via' IS NOT DISTINCT FROM r.item -> 'via') n ON true
$$;

-- Of an object, the keys that another has otherwise; of anything else, all.
CREATE OR REPLACE FUNCTION zanith._differing(one jsonb, other jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(one) = 'object' AND jsonb_typeof(other) = 'object'
        THEN (SELECT COALESCE(jsonb_object_agg(k.key, k.value), '{}') FROM jsonb_each(one) k
              WHERE other -> k.key IS DISTINCT FROM k.value)
        ELSE one END
$$;

-- The definition as it would be recorded now, in the same shape.
CREATE OR REPLACE FUNCTION zanith.describe_now(artifact_id text) RETURNS jsonb
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $$
    SELECT CASE WHEN t.live IS NULL THEN NULL
        WHEN a.artifact_type = 'rebuild_table' THEN zanith._describe_table(t.live)
        WHEN a.source_column IS NULL THEN zanith._define_table(a.artifact_type, t.live, a.id, 'cascade')
        WHEN zanith._attribute_number(t.live, a.source_column) IS NULL THEN NULL
        ELSE zanith._define_column(a.artifact_type, t.live, a.source_column, a.id, 'cascade') END
    FROM zanith._artifact(artifact_id) a, LATERAL (SELECT zanith._relation_oid(a.source_schema, a.source_table)) t(live)
$$;

CREATE OR REPLACE FUNCTION zanith.compare(artifact_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    d jsonb := a.definition;
    n jsonb := zanith.describe_now(artifact_id);
    report jsonb;
BEGIN
    SELECT jsonb_build_object(
        'exact', COALESCE(jsonb_agg(c.part ORDER BY c.ord, c.part) FILTER (WHERE c.verdict = 'exact'), '[]'),
        'different', COALESCE(jsonb_agg(jsonb_build_object('what', c.part,
                                  'recorded', zanith._differing(c.was, c.is_now), 'now', zanith._differing(c.is_now, c.was)) ORDER BY c.ord, c.part)
                              FILTER (WHERE c.verdict = 'different'), '[]'),
        'missing', COALESCE(jsonb_agg(jsonb_build_object('what', c.part, 'recorded', c.was) ORDER BY c.ord, c.part)
                            FILTER (WHERE c.verdict = 'missing'), '[]'))
    INTO report
    FROM (
        SELECT 1 AS ord, x.* FROM zanith._compare('table', d -> 'definition', n) x WHERE a.artifact_type = 'rebuild_table'
        UNION ALL
        SELECT m.ord, x.* FROM zanith._each(d -> 'members') m,
            LATERAL zanith._compare('table ' || (m.item ->> 'name'), m.item -> 'definition',
                (SELECT y.item -> 'definition' FROM zanith._each(n -> 'members') y
                 WHERE y.item ->> 'name' = m.item ->> 'name' AND y.item ->> 'schema' = m.item ->> 'schema')) x
        UNION ALL
        SELECT 1, x.* FROM zanith._compare('column', d -> 'column', n -> 'column') x WHERE d ? 'column'
        UNION ALL
        SELECT 2, x.* FROM zanith._compare('', jsonb_build_object('constraints', d -> 'constraints', 'indexes', d -> 'indexes',
                'statistics', d -> 'statistics', 'foreign keys to it', d -> 'references', 'views', d #> '{cascade,views}',
                'policies', d #> '{cascade,policies}', 'triggers', d #> '{cascade,triggers}', 'rules', d #> '{cascade,rules}'),
            jsonb_build_object('constraints', n -> 'constraints', 'indexes', n -> 'indexes', 'statistics', n -> 'statistics',
                'foreign keys to it', n -> 'references', 'views', n #> '{cascade,views}', 'policies', n #> '{cascade,policies}',
                'triggers', n #> '{cascade,triggers}', 'rules', n #> '{cascade,rules}')) x
        WHERE a.artifact_type <> 'rebuild_table' AND jsonb_typeof(x.was) <> 'null' AND x.was <> '[]'
    ) c;
    RETURN report || CASE WHEN a.artifact_type = 'rebuild_table'
        THEN jsonb_build_object('then', d -> 'definition', 'now', n) ELSE '{}' END;
END $$;
