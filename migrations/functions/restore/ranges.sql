-- The rows of an artifact in pieces, for several connections to read at once.

-- Queries whose rows, one after another, are those of zanith.row_query: by ranges of the first key column, of some 4 MB where
-- an index gives them in order, else as many as there are jobs, each with its own sort. One query where there is no key, or
-- nothing to split. Where the ranges lie a sample of pages says, so a wrong guess makes pieces uneven and nothing else.
CREATE OR REPLACE FUNCTION zanith.split_rows(artifact_id text, jobs integer, role_name text DEFAULT NULL) RETURNS text[]
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    d jsonb := zanith._with_recorded_labels(a.definition);
    whole text := zanith.row_query(artifact_id);
    place jsonb := zanith._place(a);
    first text := CASE WHEN d #> '{key,0}' <> 'null' THEN zanith._canonical_order(jsonb_build_array(d #> '{key,0}')) END;
    source text := CASE WHEN d ? 'members' THEN zanith._only(d) ELSE 'ONLY ' END || zanith._qualify(place ->> 'schema', place ->> 'table');
    bytes bigint;
    parts integer;
    bounds text[];
    found jsonb;
BEGIN
    IF jobs < 2 OR a.artifact_type = 'soft_drop_column' OR whole IS NULL OR first IS NULL THEN
        RETURN ARRAY[whole];
    END IF;
    SELECT sum(pg_relation_size(t.member)) INTO bytes FROM zanith._tree((place ->> 'oid')::oid) t;
    parts := CASE WHEN (d #>> '{key,0,native}')::boolean AND EXISTS (
            SELECT FROM pg_index i WHERE i.indrelid = (place ->> 'oid')::oid AND i.indisvalid AND i.indpred IS NULL
             AND i.indkey[0] = zanith._attribute_number(i.indrelid, d #>> '{key,0,name}'))
        THEN LEAST(GREATEST(bytes / (4 * 1024 * 1024), jobs), 4000) ELSE jobs END;
    -- four pages a piece, and 400 at least
    found := zanith._run_on((place ->> 'oid')::oid, d, role_name, format('WITH sampled AS (SELECT %1$s AS v FROM %2$s r TABLESAMPLE SYSTEM (%3$s) REPEATABLE (0)),
            ranked AS (SELECT v, row_number() OVER (ORDER BY v) AS place, count(*) OVER () AS among FROM sampled)
        SELECT pg_catalog.jsonb_agg(pg_catalog.format(''%%s'', b.v) ORDER BY b.v) FROM (
            SELECT DISTINCT v FROM ranked WHERE place * %4$s::bigint / among > (place - 1::bigint) * %4$s::bigint / among AND place < among) b',
        first, source, LEAST(100, 100.0 * GREATEST(4 * parts, 400) * 8192 / GREATEST(bytes, 1)), parts), 'values') -> 0;
    bounds := ARRAY(SELECT b.bound FROM jsonb_array_elements_text(NULLIF(found, 'null')) WITH ORDINALITY b(bound, ord) ORDER BY b.ord);
    IF bounds = '{}' THEN
        RETURN ARRAY[whole];
    END IF;
    RETURN ARRAY(
        SELECT zanith._canonical_query(d, place ->> 'schema', place ->> 'table', concat_ws(' AND ',
            CASE WHEN n > 1 THEN format('(%s) >= %L', first, bounds[n - 1]) END,
            CASE WHEN n <= cardinality(bounds) THEN format('(%s) < %L', first, bounds[n]) END))
        FROM generate_series(1, cardinality(bounds) + 1) n ORDER BY n)
        -- a key holds no NULL; where somebody let one in, it must not be passed over
        || ARRAY[zanith._canonical_query(d, place ->> 'schema', place ->> 'table', format('(%s) IS NULL', first))];
END $$;
