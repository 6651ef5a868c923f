-- Damage: how the parked object was changed from outside. The doctor, the badge and the plan of a restore read it here.

-- Nothing where all is as it was recorded. `kind` is the badge, `code` tells the cases apart; `stops`: a restore would fail, or bring
-- back less.
CREATE OR REPLACE FUNCTION zanith._damage(a zanith._zanith_migration_artifacts)
RETURNS TABLE (kind text, code text, detail text, stops boolean) LANGUAGE plpgsql STABLE ROWS 1
SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    place jsonb := zanith._place(a);
    root oid := (place ->> 'oid')::oid;
BEGIN
    RETURN QUERY SELECT 'changed', f.code, f.detail, false FROM zanith._row_faults(a) f;
    IF a.verified_ok IS FALSE THEN
        RETURN QUERY SELECT 'changed', 'seal_broken', 'it did not match its seal when it was last verified', false;
    END IF;
    -- a column whose table was parked later went with it
    -- and a column belongs to the owner of its table
    IF place ->> 'state' = 'moved' AND NOT (starts_with(place ->> 'code', 'live_table_')
                                            AND (COALESCE(obj_description(root, 'pg_class') LIKE 'zanith artifact %', false)
                                                 OR place ->> 'code' IN ('live_table_owner_changed', 'live_table_owner_gone')))
       OR place ->> 'state' = 'missing' AND a.status = 'recoverable' THEN
        RETURN QUERY SELECT place ->> 'state', place ->> 'code', place ->> 'detail',
                            place ->> 'state' = 'missing' OR NOT starts_with(place ->> 'code', 'live_table_');
    END IF;
    IF root IS NULL THEN
        RETURN;
    ELSIF a.artifact_type = 'soft_drop_column' THEN
        RETURN QUERY SELECT 'changed', f.code, f.detail, false FROM zanith._column_faults(a, root) f;
    ELSE
        RETURN QUERY SELECT CASE WHEN f.code IN ('column_dropped', 'type_dropped', 'partition_dropped', 'sequence_dropped') THEN 'missing' ELSE 'changed' END,
                            f.code, f.detail, f.stops
                     FROM zanith._parked_faults(a, root) f;
    END IF;
END $$;

-- What the badge shows of it: the worst kind, NULL where all is as it was recorded.
CREATE OR REPLACE FUNCTION zanith.worst_damage(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$ BEGIN RETURN (
    SELECT d.kind FROM zanith._artifact(artifact_id) a, LATERAL zanith._damage(a) d
    ORDER BY array_position(ARRAY['missing', 'moved', 'changed'], d.kind) LIMIT 1
); END $$;

-- The row against itself: what it says twice, it must say alike.
CREATE OR REPLACE FUNCTION zanith._row_faults(a zanith._zanith_migration_artifacts) RETURNS TABLE (code text, detail text)
LANGUAGE plpgsql STABLE ROWS 1 AS $$
DECLARE
    logged text;
    edited text[];
BEGIN
    -- a checksum is in three places: the row, its recipe, and the audit log, which nobody edits, and not every role reads
    IF a.status = 'recoverable' AND a.checksum IS NOT NULL AND has_table_privilege('zanith._zanith_audit_log', 'SELECT') THEN
        logged := (SELECT l.detail ->> 'checksum' FROM zanith._zanith_audit_log l
                   WHERE l.artifact_id = a.id AND l.action IN ('seal', 'erase') AND l.outcome = 'done' ORDER BY l.id DESC LIMIT 1);
    END IF;
    edited := zanith._edited_parts(a, a.status = 'recoverable' AND a.checksum IS NOT NULL, logged);
    IF edited <> '{}' THEN
        RETURN QUERY SELECT 'row_edited', format('%s of the row was changed by hand', array_to_string(edited, ', '));
    END IF;
END $$;

-- The parts of the row that it says twice and not alike. `logged`: the checksum in the audit log, or NULL. PostgreSQL puts its text
-- into a query over many rows. Arrays are compared, in which NULL equals NULL.
CREATE OR REPLACE FUNCTION zanith._edited_parts(a zanith._zanith_migration_artifacts, sealed boolean, logged text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT array_remove(ARRAY[
        CASE WHEN (a.definition ->> 'strategy' = CASE a.artifact_type WHEN 'archive_values' THEN 'archive_column' ELSE a.artifact_type END) IS NOT TRUE
                  OR (a.artifact_type = 'archive_values') <> a.definition ? 'stays' THEN 'artifact_type' END,
        CASE WHEN sealed AND (a.artifact_type <> 'rebuild_table' AND position(a.checksum IN a.recovery_sql) = 0 OR a.checksum <> logged) THEN 'checksum' END,
        CASE WHEN (a.definition ->> 'id' = a.id) IS NOT TRUE THEN 'id' END,
        CASE WHEN ARRAY[a.physical_schema, a.physical_table]::text[] <> ARRAY[a.definition #>> '{parked,schema}', a.definition #>> '{parked,table}'] THEN 'place' END,
        CASE WHEN a.recovery_sql IS NULL OR a.artifact_type <> 'rebuild_table' AND position(a.id IN a.recovery_sql) = 0 THEN 'recovery_sql' END,
        CASE WHEN ARRAY[a.source_schema, a.source_table, a.source_column]::text[]
                  <> ARRAY[a.definition #>> '{table,schema}', a.definition #>> '{table,name}', a.definition #>> '{column,name}'] THEN 'source' END], NULL)
$$;

-- A parked column: its type and its rights, and the indexes that wait with it.
CREATE OR REPLACE FUNCTION zanith._column_faults(a zanith._zanith_migration_artifacts, root oid) RETURNS TABLE (code text, detail text)
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT 'column_retyped', format('it is %s now; it was parked as %s', format_type(t.atttypid, t.atttypmod), q.type)
    FROM pg_attribute t, (SELECT COALESCE(a.definition #>> '{column,base_type}', a.definition #>> '{column,type}')) q(type)
    WHERE t.attrelid = root AND t.attname = a.physical_column AND NOT t.attisdropped
      AND format_type(t.atttypid, t.atttypmod) <> q.type AND zanith._type_exists(q.type) -- else the type was renamed
      AND NOT starts_with(format_type(t.atttypid, t.atttypmod), '_zanith_shadow.') -- the guard moved it aside
    UNION ALL
    SELECT 'column_altered', 'somebody added a default or NOT NULL to it, which applies to live rows'
    FROM pg_attribute t
    WHERE t.attrelid = root AND t.attname = a.physical_column AND NOT t.attisdropped AND (t.attnotnull OR t.atthasdef)
    UNION ALL
    SELECT 'readable_by_others', format('%s has a privilege on the column', string_agg(DISTINCT zanith._grantee(x.grantee), ', '))
    FROM pg_attribute t, LATERAL aclexplode(t.attacl) x, pg_class c
    WHERE t.attrelid = root AND c.oid = root AND t.attname = a.physical_column AND NOT t.attisdropped AND x.grantee <> c.relowner
    HAVING count(*) > 0
    UNION ALL
    SELECT 'index_dropped', format('the index %s is gone', string_agg(quote_ident(r.item ->> 'name'), ', ' ORDER BY r.ord))
    FROM zanith._each(a.definition -> 'renames') r
    WHERE r.item ->> 'kind' = 'index'
      AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = root AND c.relname = r.item ->> 'parked')
    HAVING count(*) > 0
$$;

CREATE OR REPLACE FUNCTION zanith._grantee(role oid) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT CASE role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(role)) END $$;

-- A parked table with its partitions, or an archive: each against what was recorded of it.
CREATE OR REPLACE FUNCTION zanith._parked_faults(a zanith._zanith_migration_artifacts, root oid)
RETURNS TABLE (code text, detail text, stops boolean) LANGUAGE plpgsql STABLE ROWS 1 AS $$
DECLARE
    m record;
    here oid;
    tree oid[] := ARRAY(SELECT t.member FROM zanith._captured(root, a.definition) t);
    known oid[] := ARRAY[root];
    attached_tables text;
BEGIN
    FOR m IN SELECT x.item, x.ord FROM zanith._each(a.definition -> 'members') x WHERE x.ord > 1 ORDER BY x.ord LOOP
        here := zanith._relation_oid(m.item ->> 'parked_schema', m.item ->> 'parked');
        known := known || here;
        IF here IS NULL THEN
            RETURN QUERY SELECT 'partition_dropped', format('its partition %I is gone', m.item ->> 'name'), true;
        ELSIF NOT here = ANY (tree) THEN
            RETURN QUERY SELECT 'partition_detached', format('its partition %I was detached', m.item ->> 'name'), true;
        END IF;
    END LOOP;
    SELECT string_agg(zanith._relation_name(t), ', ') INTO attached_tables FROM unnest(tree) t WHERE NOT t = ANY (known);
    IF attached_tables IS NOT NULL THEN
        RETURN QUERY SELECT 'partition_attached', format('attached to it since the capture: %s', attached_tables), true;
    END IF;
    FOR m IN SELECT q.item, q.oid FROM (
                 SELECT x.item, CASE x.ord WHEN 1 THEN root ELSE zanith._relation_oid(x.item ->> 'parked_schema', x.item ->> 'parked') END AS oid
                 FROM zanith._each(COALESCE(zanith._without_earlier(a.definition) -> 'members', '[null]')) x) q
             WHERE q.oid IS NOT NULL LOOP
        RETURN QUERY SELECT f.code, f.detail, f.stops FROM zanith._table_faults(a, m.item, m.oid) f;
    END LOOP;
    RETURN QUERY
        SELECT 'sequence_dropped', format('its sequence %s is gone', zanith._qualify(r.item ->> 'schema', r.item ->> 'name')), true
        FROM zanith._each(a.definition -> 'renames') r
        WHERE a.artifact_type = 'archive_column' AND a.status = 'recoverable' AND a.restored_at IS NULL AND r.item ->> 'kind' = 'sequence'
          AND NOT COALESCE((r.item ->> 'shared')::boolean, false)
          AND zanith._relation_oid('_zanith_shadow', r.item ->> 'parked') IS NULL;
END $$;

-- One parked table; `m` is a member of the definition, null for an archive.
CREATE OR REPLACE FUNCTION zanith._table_faults(a zanith._zanith_migration_artifacts, m jsonb, here oid)
RETURNS TABLE (code text, detail text, stops boolean) LANGUAGE plpgsql STABLE ROWS 1 AS $$
DECLARE
    t record;
BEGIN
    SELECT c.*, zanith._relation_name(c.oid) AS name, jsonb_typeof(m) = 'object' AS moved INTO t FROM pg_class c WHERE c.oid = here;
    IF t.oid IS NULL THEN
        RETURN;
    END IF;
    RETURN QUERY SELECT f.code, f.detail, f.stops FROM zanith._columns_faults(zanith._recorded_columns(a, m), here, t.name) f;
    IF obj_description(here, 'pg_class') IS DISTINCT FROM zanith._parked_comment(a.id) THEN
        RETURN QUERY SELECT 'comment_changed', format('the comment of %s does not name the artifact', t.name), false;
    END IF;
    RETURN QUERY
        SELECT CASE WHEN g.tgenabled IS NULL THEN 'trigger_dropped' ELSE 'trigger_disabled' END,
               format('%s accepts writes: its trigger %s is %s', t.name, w.name, CASE WHEN g.tgenabled IS NULL THEN 'gone' ELSE 'off' END), false
        FROM (VALUES ('_zanith_refuse_statement'::name), 
              -- a partition that was detached has lost it to its parent, and is reported
              (CASE WHEN t.relkind = 'r' AND NOT (m ? 'cloned' AND NOT t.relispartition) THEN '_zanith_refuse_row'::name END)) w(name)
        LEFT JOIN pg_trigger g ON g.tgrelid = here AND g.tgname = w.name
        WHERE w.name IS NOT NULL AND g.tgenabled IS DISTINCT FROM 'A';
    RETURN QUERY
        SELECT 'readable_by_others', format('%s may use %s', string_agg(DISTINCT zanith._grantee(x.grantee), ', '), t.name), false
        FROM (SELECT y.grantee FROM aclexplode(t.relacl) y
              UNION ALL SELECT y.grantee FROM pg_attribute k, LATERAL aclexplode(k.attacl) y WHERE k.attrelid = here AND k.attacl IS NOT NULL) x
        -- the owner of the table may read its copy, and so may its current owner
        WHERE x.grantee <> t.relowner AND (t.moved OR x.grantee <> COALESCE(to_regrole(quote_ident(a.definition #>> '{table,owner}')), 0::oid)
                                                  AND x.grantee <> COALESCE((SELECT l.relowner FROM pg_class l WHERE l.oid = zanith._relation_oid(a.source_schema, a.source_table)), 0::oid))
        HAVING count(*) > 0;
    IF t.relforcerowsecurity OR t.relrowsecurity <> COALESCE((m #>> '{definition,row_security}')::boolean, false) THEN
        RETURN QUERY SELECT 'row_security_changed', format('row security of %s differs from the record', t.name), false;
    END IF;
    IF m @? '$.renames[*]' THEN
        RETURN QUERY
            SELECT 'index_dropped', format('%s lost its index %s', t.name, string_agg(quote_ident(r.item ->> 'name'), ', ' ORDER BY r.ord)), true
            FROM zanith._each(m -> 'renames') r
            WHERE r.item ->> 'kind' = 'index'
              AND NOT EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = here AND c.relname = r.item ->> 'parked')
            HAVING count(*) > 0;
        RETURN QUERY
            SELECT r.item ->> 'kind' || '_dropped', format('%s lost its %s %s', t.name, r.item ->> 'kind', zanith._qualify(r.item ->> 'schema', r.item ->> 'name')), true
            FROM zanith._each(m -> 'renames') r
            WHERE r.item ->> 'kind' = 'sequence' AND zanith._relation_oid(m ->> 'parked_schema', r.item ->> 'parked') IS NULL
               OR r.item ->> 'kind' = 'statistics' AND NOT EXISTS (SELECT FROM pg_statistic_ext s WHERE s.stxrelid = here AND s.stxname = r.item ->> 'parked');
    END IF;
    IF NOT t.moved AND COALESCE(a.definition -> 'key', 'null') <> 'null' AND NOT EXISTS (SELECT FROM pg_index i WHERE i.indrelid = here AND i.indisprimary) THEN
        RETURN QUERY SELECT 'index_dropped', format('the archive %s lost its primary key', t.name), false;
    END IF;
    IF m @? '$.definition.constraints[*]' THEN
        RETURN QUERY
            SELECT 'constraint_dropped', format('%s lost its constraint %s', t.name, string_agg(quote_ident(k.item ->> 'name'), ', ' ORDER BY k.ord)), true
            FROM zanith._each(m #> '{definition,constraints}') k
            WHERE zanith._constraint_is(k.item, 'condition')
              AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = here AND c.conname = k.item ->> 'name')
            HAVING count(*) > 0;
    END IF;
END $$;

-- [{name, type}] that the parked table was left with.
CREATE OR REPLACE FUNCTION zanith._recorded_columns(a zanith._zanith_migration_artifacts, m jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN jsonb_typeof(m) = 'object' THEN m #> '{definition,columns}'
        WHEN zanith._strategy_is(a.artifact_type, 'rows') THEN a.definition #> '{definition,columns}'
        ELSE COALESCE(NULLIF(a.definition -> 'key', 'null'), '[]')
             || jsonb_build_array(jsonb_set(a.definition -> 'column', '{type}', COALESCE(NULLIF(a.definition #> '{parked,type}', 'null'), a.definition #> '{column,type}'))) END
$$;

CREATE OR REPLACE FUNCTION zanith._columns_faults(recorded jsonb, here oid, table_name text)
RETURNS TABLE (code text, detail text, stops boolean) LANGUAGE sql STABLE ROWS 1 AS $$
    WITH pair AS MATERIALIZED (
        SELECT c.item ->> 'name' AS was, c.item ->> 'type' AS type, t.attname AS now, format_type(t.atttypid, t.atttypmod) AS type_now
        FROM zanith._each(recorded) c
        FULL JOIN (SELECT * FROM pg_attribute WHERE attrelid = here AND attnum > 0 AND NOT attisdropped) t ON t.attname = c.item ->> 'name'
    ), lost AS (
        SELECT count(was) FILTER (WHERE now IS NULL) AS gone, count(now) FILTER (WHERE was IS NULL) AS new,
               string_agg(quote_ident(was), ', ') FILTER (WHERE now IS NULL) AS names,
               string_agg(quote_ident(now), ', ') FILTER (WHERE was IS NULL) AS new_names,
               bool_and(zanith._type_exists(type)) FILTER (WHERE now IS NULL) AS types_there,
               string_agg(format('%I is %s, it was %s', was, type_now, type), ', ') FILTER (WHERE type <> type_now AND zanith._type_exists(type) AND NOT starts_with(type_now, '_zanith_shadow.')) AS retyped
        FROM pair
    )
    SELECT CASE WHEN new > 0 THEN 'column_renamed' WHEN NOT types_there THEN 'type_dropped' ELSE 'column_dropped' END,
           CASE WHEN new > 0 THEN format('%s has %s in place of %s', table_name, new_names, names)
                ELSE format('%s lost %s', table_name, names) || CASE WHEN types_there THEN '' ELSE ', whose type was dropped' END END, true
    FROM lost WHERE gone > 0
    UNION ALL
    SELECT 'column_added', format('%s gained %s', table_name, new_names), false FROM lost WHERE new > 0 AND gone = 0
    UNION ALL
    SELECT 'column_retyped', format('%s: %s', table_name, retyped), true FROM lost WHERE retyped IS NOT NULL
$$;
