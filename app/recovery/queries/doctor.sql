-- damage: how the parked object was changed
SELECT a.id, zanith._object_name(a) AS object, a.verified_at, d.kind, d.code, d.detail,
       zanith._qualify(a.physical_schema, a.physical_table) AS place, a.definition #>> '{table,owner}' AS owner
FROM zanith._zanith_migration_artifacts AS a, LATERAL zanith._damage(a) AS d
ORDER BY a.capture_order, d.code, d.detail;

-- told_by_rows: what the rows themselves say
SELECT a.id, zanith._object_name(a) AS object,
       a.sealed_at IS NULL AND a.physical_table IS NOT NULL AND a.status = 'recoverable'
           AND a.artifact_type <> 'soft_drop_column' AS unsealed,
       COALESCE({overdue}, false) AS expired, a.expires_at
FROM zanith._zanith_migration_artifacts AS a
WHERE a.sealed_at IS NULL OR a.expires_at < now()
ORDER BY a.capture_order;

-- recipes: rows whose script is not what this very engine renders from their definition
SELECT a.id, zanith._object_name(a) AS object
FROM zanith._zanith_migration_artifacts AS a
WHERE (a.status = 'recoverable' OR zanith.is_recoverable_again(a.id)) AND a.recovery_sql IS NOT NULL
  AND starts_with(a.captured_with, 'zanith ' || zanith.version() || ',')
  AND zanith._place(a) ->> 'state' = 'ok' AND COALESCE(zanith._place(a) -> 'owners_were', '{}') = '{}'
  AND (a.source_column IS NULL OR zanith._attribute_number(
           zanith._relation_oid(a.source_schema, a.source_table), a.source_column) IS NULL)
  AND a.recovery_sql <> zanith._render_script(a.id)
ORDER BY a.capture_order;

-- blocked: archived columns whose table is gone, tables whose schema is; parked tables do not count
SELECT a.id, zanith._object_name(a) AS object,
       CASE WHEN zanith._strategy_is(a.artifact_type, 'archive') THEN zanith._qualify(a.source_schema, a.source_table)
            ELSE quote_ident(a.source_schema) END AS gone,
       zanith._strategy_is(a.artifact_type, 'archive') AS is_table,
       zanith._relation_name(c.oid) AS now
FROM zanith._zanith_migration_artifacts AS a
LEFT JOIN pg_class AS c
       ON c.oid = (a.definition #>> '{table,oid}')::oid AND c.relkind IN ('r', 'p')
      AND NOT EXISTS (SELECT FROM zanith._each(a.definition -> 'key') AS k
                      WHERE zanith._attribute_number(c.oid, k.item ->> 'name') IS NULL)
WHERE a.status = 'recoverable'
  AND CASE
      WHEN zanith._strategy_is(a.artifact_type, 'archive') THEN
          zanith._relation_oid(a.source_schema, a.source_table) IS NULL
          AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts AS o
                          WHERE o.source_schema = a.source_schema AND o.source_table = a.source_table
                            AND o.source_column IS NULL AND o.status = 'recoverable'
                            AND zanith._strategy_is(o.artifact_type, 'moves'))
      WHEN a.artifact_type = 'archive_table' THEN to_regnamespace(quote_ident(a.source_schema)) IS NULL
      ELSE false END
ORDER BY a.capture_order;

-- owners: moved tables that were given to another role; a restore takes that as a choice
SELECT a.id, zanith._object_name(a) AS object, o.key AS name, o.value ->> 'was' AS was, o.value ->> 'now' AS now,
       zanith._qualify(a.physical_schema, a.physical_table) AS place
FROM zanith._zanith_migration_artifacts AS a, LATERAL jsonb_each(zanith._place(a) -> 'owners_were') AS o
WHERE a.status = 'recoverable' AND a.definition ? 'members'
ORDER BY a.capture_order, o.key;

-- unfinished: online work that nobody is at
SELECT a.id, zanith._object_name(a) AS object, zanith.unfinished(a.id) AS what
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = '_zanith_shadow'
JOIN zanith._zanith_migration_artifacts AS a ON c.relname = '_zanith_follow_' || a.id
WHERE (zanith._live_change(a.id)).id IS NULL
ORDER BY a.capture_order;

-- functions: what is installed of the engine, and by whom
SELECT p.proname::text AS name, p.prosrc AS source, p.oid::regprocedure::text AS signature, p.prokind = 'a' AS aggregate,
       CASE p.prokind WHEN 'a' THEN (SELECT pg_catalog.format('SFUNC = %s, STYPE = %s, FINALFUNC = %s', g.aggtransfn::regproc, g.aggtranstype::regtype, g.aggfinalfn::regproc)
                                     FROM pg_aggregate AS g WHERE g.aggfnoid = p.oid)
            ELSE '$$' || p.prosrc || '$$' END AS body,
       pg_get_userbyid(p.proowner)::text AS owner, pg_get_userbyid(n.nspowner)::text AS installer,
       COALESCE(p.proconfig, '{}') AS settings,
       ARRAY(SELECT s.key || '=' || s.value FROM jsonb_each_text({fixed}) AS s WHERE {must_be_fixed}) AS fixed
FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname = 'zanith'
ORDER BY signature;

-- seals: how many are sealed, and which were not verified since
SELECT count(*) AS artifacts, count(a.sealed_at) AS sealed,
       count(a.verified_at) FILTER (WHERE a.sealed_at IS NOT NULL) AS verified, min(a.verified_at) AS oldest_verification,
       COALESCE(pg_catalog.array_agg(a.id ORDER BY a.capture_order)
                FILTER (WHERE a.sealed_at IS NOT NULL AND a.verified_at IS NULL
                                  AND (a.status = 'recoverable' OR zanith.is_recoverable_again(a.id))),
                '{}') AS unverified
FROM zanith._zanith_migration_artifacts AS a;

-- schemas: what a backup by schema has to name
SELECT DISTINCT s.name
FROM zanith._zanith_migration_artifacts AS a,
     LATERAL (VALUES ('zanith'), ('_zanith_shadow'), (a.source_schema), (a.physical_schema)) AS s(name)
WHERE a.status = 'recoverable' AND s.name IS NOT NULL
ORDER BY 1;

-- orphans: parked tables, columns and sequences that no artifact knows, and what claims to be another's
SELECT 'orphan_table' AS code, n.nspname::text AS schema, c.relname::text AS name, NULL::text AS column,
       substring(d.description FROM '^zanith artifact ([0-9a-f]{12})$') AS artifact_id
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_description AS d
       ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND (n.nspname = '_zanith_shadow' OR d.description ~ '^zanith artifact [0-9a-f]{12}$')
  AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts AS a  -- see unfinished
                  WHERE a.id = substring(d.description FROM '^zanith unfinished [a-z]+ ([0-9a-f]{12})'))
  AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts AS a
                  WHERE a.id = substring(d.description FROM '^zanith artifact ([0-9a-f]{12})$'))
  AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts AS a
                  WHERE a.physical_schema = n.nspname AND a.physical_table = c.relname)
UNION ALL
SELECT 'duplicate_id', n.nspname, c.relname, NULL, a.id
FROM zanith._zanith_migration_artifacts AS a
JOIN pg_description AS d
       ON d.classoid = 'pg_class'::regclass AND d.objsubid = 0 AND d.description = 'zanith artifact ' || a.id
JOIN pg_class AS c ON c.oid = d.objoid AND c.relkind IN ('r', 'p') AND NOT c.relispartition
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.oid IS DISTINCT FROM (zanith._place(a) ->> 'oid')::oid
  AND (n.nspname, c.relname) IS DISTINCT FROM (a.physical_schema, a.physical_table)
  AND NOT EXISTS (SELECT FROM zanith._each(a.definition -> 'members') AS m
                  WHERE m.item ->> 'parked' = c.relname AND m.item ->> 'parked_schema' = n.nspname)
UNION ALL
SELECT CASE WHEN a.id IS NULL THEN 'orphan_column' ELSE 'duplicate_id' END, n.nspname, c.relname, t.attname, a.id
FROM pg_attribute AS t
JOIN pg_class AS c ON c.oid = t.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN zanith._zanith_migration_artifacts AS a ON a.physical_column = t.attname
WHERE t.attname ~ '^_zanith_dropped_.*_[0-9a-f]{12}$' AND NOT t.attisdropped AND t.attnum > 0
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition AND t.attinhcount = 0
  AND (a.id IS NULL OR c.oid IS DISTINCT FROM (zanith._place(a) ->> 'oid')::oid)
UNION ALL
SELECT CASE c.relkind WHEN 'S' THEN 'orphan_sequence' ELSE 'orphan_object' END, n.nspname, c.relname, NULL, NULL
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = '_zanith_shadow' AND c.relkind NOT IN ('r', 'p', 'i', 'I', 't', 'c')
  -- one that a column owns goes with it
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                  AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i'))
  AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts AS a
                  WHERE a.id = substring(c.relname FROM '_([0-9a-f]{12})_[0-9]+$') AND c.relkind = 'S')
ORDER BY 1, 2, 3, 4;
