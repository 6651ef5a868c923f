-- Health of many artifacts at once, for lists and totals. Most are as they were recorded, and one query proves that for all of them.

-- What zanith.worst_damage() says of each of these artifacts that is damaged.
CREATE OR REPLACE FUNCTION zanith.worst_damages(ids text[]) RETURNS TABLE (id text, kind text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
BEGIN
    RETURN QUERY
        SELECT s.suspect, w.worst
        FROM (SELECT unnest(ids) EXCEPT SELECT u.intact FROM zanith._intact(ids) u) s(suspect),
             LATERAL (SELECT zanith.worst_damage(s.suspect) OFFSET 0) w(worst)
        WHERE w.worst IS NOT NULL;
END $$;

-- Those of the artifacts that are surely not damaged: zanith._damage() finds nothing. What is rare is not decided here: the others can be intact too.
CREATE OR REPLACE FUNCTION zanith._intact(ids text[]) RETURNS TABLE (intact text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    own text := zanith._own_role();
    -- columns that are not where they were recorded; their tables were parked later, or are gone
    away name[] := ARRAY(
        SELECT a.physical_column FROM zanith._zanith_migration_artifacts a
        WHERE a.id = ANY (ids) AND a.artifact_type = 'soft_drop_column' AND a.status = 'recoverable'
          AND NOT EXISTS (SELECT FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid JOIN pg_attribute t ON t.attrelid = c.oid
                          WHERE n.nspname = a.physical_schema AND c.relname = a.physical_table AND c.relkind IN ('r', 'p')
                            AND t.attname = a.physical_column AND NOT t.attisdropped));
    found name[] := '{}';
    roots oid[] := '{}';
    relogged text[] := '{}';
BEGIN
    -- whose checksum is another in the audit log, which not every role reads
    IF has_table_privilege('zanith._zanith_audit_log', 'SELECT') THEN
        relogged := ARRAY(
            SELECT a.id FROM zanith._zanith_migration_artifacts a CROSS JOIN LATERAL (
                SELECT l.detail ->> 'checksum' FROM zanith._zanith_audit_log l
                WHERE l.artifact_id = a.id AND l.action IN ('seal', 'erase') AND l.outcome = 'done' ORDER BY l.id DESC LIMIT 1) l(checksum)
            WHERE a.id = ANY (ids) AND a.checksum <> l.checksum);
    END IF;
    -- nothing is parked, or it is live again
    RETURN QUERY
        SELECT a.id FROM zanith._zanith_migration_artifacts a
        WHERE a.id = ANY (ids) AND a.verified_ok IS NOT FALSE
          AND (a.physical_table IS NULL OR a.status = 'restored') AND NOT zanith._strategy_is(a.artifact_type, 'archive')
          AND zanith._edited_parts(a, a.status = 'recoverable' AND a.checksum IS NOT NULL, NULL) = '{}' AND NOT a.id = ANY (relogged);
    -- a name that one column alone has, for which the catalog is read once
    IF cardinality(away) > 0 THEN
        SELECT COALESCE(array_agg(q.name), '{}'), COALESCE(array_agg(q.root), '{}') INTO found, roots
        FROM (SELECT t.attname AS name, min(t.attrelid) AS root FROM pg_attribute t JOIN pg_class c ON c.oid = t.attrelid
              WHERE t.attname = ANY (away) AND NOT t.attisdropped AND t.attinhcount = 0 AND c.relkind IN ('r', 'p')
              GROUP BY t.attname HAVING count(*) = 1) q;
    END IF;
    RETURN QUERY
        SELECT a.id
        FROM zanith._zanith_migration_artifacts a
        JOIN (SELECT here.id, here.root
              FROM (SELECT x.id, c.oid AS root FROM zanith._zanith_migration_artifacts x
                    JOIN pg_namespace n ON n.nspname = x.physical_schema
                    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = x.physical_table AND c.relkind IN ('r', 'p')
                    WHERE x.id = ANY (ids) AND x.artifact_type = 'soft_drop_column' AND NOT x.physical_column::name = ANY (away)) here
              UNION ALL
              -- it went with its table, which is parked
              SELECT x.id, c.oid FROM unnest(found, roots) f(name, root)
              JOIN zanith._zanith_migration_artifacts x ON x.physical_column = f.name AND x.artifact_type = 'soft_drop_column' AND x.id = ANY (ids)
              JOIN pg_class c ON c.oid = f.root AND (c.oid::text = x.definition #>> '{table,oid}' OR pg_get_userbyid(c.relowner) = x.definition #>> '{table,owner}')
              JOIN pg_description e ON e.objoid = c.oid AND e.classoid = 'pg_class'::regclass AND e.objsubid = 0 AND e.description LIKE 'zanith artifact %') p
          ON p.id = a.id
        WHERE a.status = 'recoverable' AND a.verified_ok IS NOT FALSE
          AND zanith._edited_parts(a, a.checksum IS NOT NULL, NULL) = '{}' AND NOT a.id = ANY (relogged)
          AND NOT EXISTS (SELECT FROM zanith._column_faults(a, p.root));
    -- a table without partitions and children
    RETURN QUERY
        SELECT a.id
        FROM zanith._zanith_migration_artifacts a
        JOIN pg_namespace n ON n.nspname = a.physical_schema
        JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = a.physical_table AND c.relkind = 'r'
        CROSS JOIN LATERAL (SELECT COALESCE(a.definition #> '{members,0}', 'null'), a.definition ? 'members') m(item, moved)
        WHERE a.id = ANY (ids) AND a.artifact_type <> 'soft_drop_column' AND (a.status = 'recoverable' OR zanith._strategy_is(a.artifact_type, 'archive'))
          AND a.verified_ok IS NOT FALSE AND NOT c.relhassubclass AND NOT c.relispartition AND NOT c.relforcerowsecurity
          AND c.relrowsecurity = COALESCE((m.item #>> '{definition,row_security}')::boolean, false)
          AND NOT a.definition @? '$.earlier[*]'
          AND (NOT m.moved OR jsonb_typeof(m.item) = 'object' AND a.definition #> '{members,1}' IS NULL)
          AND (pg_get_userbyid(c.relowner) = a.definition #>> '{table,owner}'
               OR NOT zanith._strategy_is(a.artifact_type, 'parks') AND pg_get_userbyid(c.relowner) = own)
          AND EXISTS (SELECT FROM pg_description e WHERE e.objoid = c.oid AND e.classoid = 'pg_class'::regclass AND e.objsubid = 0
                        AND e.description = zanith._parked_comment(a.id))
          AND (NOT zanith._strategy_is(a.artifact_type, 'values') OR EXISTS (
                   SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attname = a.physical_column AND NOT t.attisdropped))
          AND (SELECT count(*) FROM pg_trigger g
               WHERE g.tgrelid = c.oid AND g.tgname IN ('_zanith_refuse_statement', '_zanith_refuse_row') AND g.tgenabled = 'A') = 2
          -- the owner of a table may read its copy
          AND NOT EXISTS (SELECT FROM aclexplode(c.relacl) x
                          WHERE x.grantee <> c.relowner AND (m.moved OR pg_get_userbyid(x.grantee) IS DISTINCT FROM a.definition #>> '{table,owner}'))
          AND NOT EXISTS (SELECT FROM pg_attribute t WHERE t.attrelid = c.oid AND t.attacl IS NOT NULL)
          AND (SELECT array_agg(t.of_catalog ORDER BY t.of_catalog COLLATE "C") FROM (
                   SELECT concat_ws(' ', quote_ident(t.attname), format_type(t.atttypid, t.atttypmod)) FROM pg_attribute t
                   WHERE t.attrelid = c.oid AND t.attnum > 0 AND NOT t.attisdropped) t(of_catalog))
            = (SELECT array_agg(r.of_record ORDER BY r.of_record COLLATE "C") FROM (
                   SELECT concat_ws(' ', quote_ident(k.item ->> 'name'), k.item ->> 'type')
                   FROM zanith._each(zanith._recorded_columns(a, m.item)) k) r(of_record))
          AND (m.moved OR COALESCE(a.definition -> 'key', 'null') = 'null' OR EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary))
          AND NOT EXISTS (
              SELECT FROM zanith._each(m.item -> 'renames') r
              WHERE CASE r.item ->> 'kind'
                        WHEN 'index' THEN NOT EXISTS (SELECT FROM pg_index i JOIN pg_class o ON o.oid = i.indexrelid
                                                      WHERE i.indrelid = c.oid AND o.relname = r.item ->> 'parked')
                        WHEN 'sequence' THEN zanith._relation_oid(m.item ->> 'parked_schema', r.item ->> 'parked') IS NULL
                        WHEN 'statistics' THEN NOT EXISTS (SELECT FROM pg_statistic_ext s WHERE s.stxrelid = c.oid AND s.stxname = r.item ->> 'parked')
                        ELSE false END)
          AND NOT EXISTS (
              SELECT FROM zanith._each(m.item #> '{definition,constraints}') k
              WHERE zanith._constraint_is(k.item, 'condition')
                AND NOT EXISTS (SELECT FROM pg_constraint o WHERE o.conrelid = c.oid AND o.conname = k.item ->> 'name'))
          AND (a.artifact_type <> 'archive_column' OR NOT EXISTS (
              SELECT FROM zanith._each(a.definition -> 'renames') r
              WHERE r.item ->> 'kind' = 'sequence' AND zanith._relation_oid('_zanith_shadow', r.item ->> 'parked') IS NULL))
          -- a restored column can count as recoverable again: its checksum is compared too
          AND zanith._edited_parts(a, a.checksum IS NOT NULL, NULL) = '{}' AND NOT a.id = ANY (relogged);
END $$;
