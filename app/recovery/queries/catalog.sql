-- relations: tables of users by name, those that are parked and partitions apart, with what they take (PostgreSQL manual, "Database Object Size Functions")
WITH shown AS MATERIALIZED (
    SELECT c.oid, n.nspname, c.relname, c.relkind, c.relowner
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
      AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'zanith', '_zanith_shadow')
      AND c.relname NOT LIKE '\_zanith\_dropped\_%'
      AND ($1::text IS NULL OR pg_catalog.concat_ws('.', n.nspname, c.relname) ILIKE $1)
      AND ($2::text IS NULL OR (n.nspname COLLATE "C", c.relname COLLATE "C") > ($2, $3))
      AND ($5::text IS NULL OR (n.nspname, c.relname) = ($5, $6))
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C"
    LIMIT $4
)
SELECT s.nspname AS schema, s.relname AS name,
       CASE WHEN s.relkind = 'p' THEN 'partitioned table' WHEN EXISTS (
            SELECT FROM pg_class AS c WHERE c.oid = s.oid AND c.relispartition) THEN 'partition' ELSE 'table' END AS kind,
       pg_get_userbyid(s.relowner) AS owner, obj_description(s.oid, 'pg_class') AS comment,
       t.size_bytes, t.row_estimate, t.last_used, t.scans,
       (SELECT count(DISTINCT COALESCE(r.ev_class, d.objid))
        FROM pg_depend AS d LEFT JOIN pg_rewrite AS r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
        WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = s.oid AND d.deptype = 'n'
          AND r.ev_class IS DISTINCT FROM s.oid) AS dependents,
       COALESCE(k.number, 0) AS parked
FROM shown AS s
LEFT JOIN (SELECT a.source_schema, a.source_table, count(*) AS number
           FROM zanith._zanith_migration_artifacts AS a WHERE a.status = 'recoverable'
           GROUP BY a.source_schema, a.source_table) AS k ON k.source_schema = s.nspname AND k.source_table = s.relname,
LATERAL (
    SELECT sum(pg_total_relation_size(c.oid))::bigint AS size_bytes,
           CASE WHEN bool_and(c.reltuples >= 0) THEN sum(c.reltuples)::bigint END AS row_estimate,
           max(GREATEST((u.used ->> 'last_seq_scan')::timestamptz, (u.used ->> 'last_idx_scan')::timestamptz)) AS last_used,
           sum((u.used ->> 'seq_scan')::bigint + COALESCE((u.used ->> 'idx_scan')::bigint, 0))::bigint AS scans
    -- OFFSET 0: PostgreSQL looks up each member, and does not read all of pg_class and the statistics for each
    FROM (SELECT s.oid WHERE s.relkind = 'r' UNION ALL SELECT p.relid FROM pg_partition_tree(s.oid) AS p WHERE s.relkind = 'p' OFFSET 0) AS m(oid)
    JOIN pg_class AS c ON c.oid = m.oid AND c.relkind = 'r'
    LEFT JOIN LATERAL (
        -- as JSON, because only PostgreSQL 16 and later have the times of the last scans
        SELECT pg_catalog.to_jsonb(x) AS used FROM pg_stat_user_tables AS x WHERE x.relid = m.oid OFFSET 0) AS u ON true
) AS t
ORDER BY s.nspname COLLATE "C", s.relname COLLATE "C";

-- names: tables of users whose name begins so, with its schema or without, and whether the schemas of a path find it first
SELECT n.nspname AS schema, c.relname AS name,
       n.nspname = ANY ($1::text[]) AND NOT EXISTS (
           SELECT FROM pg_class AS b JOIN pg_namespace AS m ON m.oid = b.relnamespace
           WHERE b.relname = c.relname AND pg_catalog.array_position($1, m.nspname::text) < pg_catalog.array_position($1, n.nspname::text)) AS on_path
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
  AND n.nspname NOT LIKE 'pg\_%' AND n.nspname NOT IN ('information_schema', 'zanith', '_zanith_shadow')
  AND c.relname NOT LIKE '\_zanith\_dropped\_%'
  AND (starts_with(c.relname, $2) OR starts_with(n.nspname || '.' || c.relname, $2))
ORDER BY on_path DESC, n.nspname COLLATE "C", c.relname COLLATE "C"
LIMIT $3;

-- judged: what becomes of a drop of a table and of each of its columns, with CASCADE and without
SELECT j.column_name, j.cascade, j.verdict, j.message, j.hint
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace, LATERAL zanith.judge_drops(c.oid) AS j
WHERE n.nspname = $1 AND c.relname = $2;

-- attributes: a table's columns in their order, those that are parked apart
SELECT a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
       CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS "default",
       a.attgenerated <> '' AS generated, a.attidentity <> '' AS identity,
       EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = a.attrelid AND i.indisprimary AND a.attnum = ANY (i.indkey)) AS in_key,
       col_description(a.attrelid, a.attnum) AS comment
FROM pg_attribute AS a
JOIN pg_class AS c ON c.oid = a.attrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped AND a.attname NOT LIKE '\_zanith\_dropped\_%'
ORDER BY a.attnum;
