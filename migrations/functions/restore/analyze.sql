-- ANALYZE of the table that a restore brought back, or gave a column.

-- The statement, the role that runs it, and the search path and the tables to look at, as a step has them. `reason` says why it cannot run. ANALYZE
-- evaluates the indexes and statistics objects of a table, and calls functions of its types. It skips a partition of another owner.
CREATE OR REPLACE FUNCTION zanith.plan_analyze(artifact_id text) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    called text := CASE WHEN a.source_column IS NULL AND a.kept_kind IS NULL THEN zanith._restored_as(a.id) END;
    live oid := zanith._relation_oid(a.source_schema, COALESCE(called, a.source_table));
    live_name text := zanith._relation_name(live);
    owner text;
    kind "char";
    found text;
    role text;
BEGIN
    SELECT pg_get_userbyid(c.relowner), c.relkind INTO owner, kind FROM pg_class c WHERE c.oid = live;
    found := CASE WHEN live IS NULL THEN format('no table has the name %s now', zanith._qualify(a.source_schema, COALESCE(called, a.source_table)))
        WHEN kind NOT IN ('r', 'p') THEN format('%s is not a table', live_name)
        WHEN a.status <> 'restored' THEN 'it is not restored' END;
    IF found IS NULL THEN
        found := zanith._find_mixed_code(live);
        IF found IS NULL AND zanith._is_trusted(owner) THEN
            SELECT zanith._find_third_code(array_agg(r.class), array_agg(r.object), owner) INTO found FROM (
                SELECT x.class, x.object FROM zanith._read_addresses(ARRAY[live]) x
                UNION SELECT 'pg_type'::regclass, c.atttypid FROM pg_attribute c WHERE c.attrelid = live AND c.attnum > 0 AND c.atttypid >= 16384) r;
        END IF;
        found := 'code of one owner would run as another: ' || found;
    END IF;
    role := zanith._runner(owner);
    RETURN jsonb_build_object('reason', found, 'sql', 'ANALYZE ' || live_name, 'table', live_name, 'role', role,
        'path', CASE WHEN found IS NULL THEN zanith._reading_path(live, a.definition, role) END, 'guards', jsonb_build_array(live_name));
END $$;
