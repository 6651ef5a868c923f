-- missing_or_moved: what the exact look at each artifact says
SELECT a.id, zanith._object_name(a) AS object, a.status, zanith.locate(a.id)::text AS place
FROM zanith._zanith_migration_artifacts AS a
WHERE a.physical_table IS NOT NULL AND a.status = 'recoverable';

-- told_by_rows: what the rows themselves say
SELECT a.id, zanith._object_name(a) AS object,
       a.verified_ok IS FALSE AS changed, a.verified_at,
       a.sealed_at IS NULL AND a.physical_table IS NOT NULL AND a.status = 'recoverable'
           AND a.artifact_type <> 'soft_drop_column' AS unsealed,
       a.expires_at < now() AS expired, a.expires_at
FROM zanith._zanith_migration_artifacts AS a
WHERE a.verified_ok IS FALSE OR a.sealed_at IS NULL OR a.expires_at < now()
ORDER BY a.capture_order;

-- orphan_tables: parked tables, by their comment or their place, that no artifact knows
SELECT n.nspname::text AS schema, c.relname::text AS name,
       substring(d.description FROM '^zanith artifact ([0-9a-f]{12})$') AS artifact_id
FROM pg_class AS c
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_description AS d
       ON d.classoid = 'pg_class'::regclass AND d.objoid = c.oid AND d.objsubid = 0
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND (n.nspname = '_zanith_shadow' OR d.description ~ '^zanith artifact [0-9a-f]{12}$')
  AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts AS a
                  WHERE a.id = substring(d.description FROM '^zanith artifact ([0-9a-f]{12})$'))
  AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts AS a
                  WHERE a.physical_schema = n.nspname AND a.physical_table = c.relname)
ORDER BY 1, 2;

-- orphan_columns: parked columns that no artifact knows
SELECT n.nspname::text AS schema, c.relname::text AS name, t.attname::text AS column
FROM pg_attribute AS t
JOIN pg_class AS c ON c.oid = t.attrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE t.attname ~ '^_zanith_dropped_.*_[0-9a-f]{12}$' AND NOT t.attisdropped AND t.attnum > 0
  AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND NOT EXISTS (SELECT FROM zanith._zanith_migration_artifacts AS a
                  WHERE a.physical_column = t.attname)
ORDER BY 1, 2, 3;
