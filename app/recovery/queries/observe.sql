-- state: the search path, and the transaction if it has a number
SELECT pg_catalog.current_setting('search_path') AS path,
       pg_catalog.pg_current_xact_id_if_assigned()::pg_catalog.text::pg_catalog.int8 AS xid;

-- set_path: set the search path until the end of the transaction
SELECT pg_catalog.set_config('search_path', $1, true);

-- locks: the locks of this session on relations and other objects of the database
SELECT l.locktype AS type, l.relation, l.mode, l.classid AS class, l.objid AS object
FROM pg_locks AS l WHERE l.pid = pg_backend_pid() AND l.locktype IN ('relation', 'object') AND l.granted
  AND COALESCE(l.relation, l.objid) >= 16384;

-- scans: how often this session read each table, in what is not yet part of the shared statistics
SELECT c.oid, pg_stat_get_xact_numscans(c.oid) AS scans FROM pg_class AS c
WHERE c.relkind IN ('r', 'm') AND c.oid >= 16384 AND pg_stat_get_xact_numscans(c.oid) > 0;

-- inheritance: each table with its partitions and children, and with theirs
WITH RECURSIVE family AS (
    SELECT i.inhparent AS top, i.inhrelid AS below FROM pg_inherits AS i
    UNION
    SELECT f.top, i.inhrelid FROM family AS f JOIN pg_inherits AS i ON i.inhparent = f.below
)
SELECT f.top, f.below FROM family AS f;

-- gone: those of the objects that do not exist any more
SELECT o.class, o.object FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::oid[])) AS o(class, object)
WHERE (pg_identify_object(o.class, o.object, 0)).identity IS NULL;

-- parts: those of the objects that are part of another object, such as the index of a constraint, or of an extension
SELECT DISTINCT d.classid AS class, d.objid AS object FROM ROWS FROM (pg_catalog.unnest($1::oid[]), pg_catalog.unnest($2::oid[])) AS o(class, object)
JOIN pg_depend AS d ON d.classid = o.class AND d.objid = o.object AND d.objsubid = 0
WHERE d.deptype IN ('i', 'e', 'P', 'S');

-- objects: the objects of the database; with a transaction ($1) what it made or changed, and columns of some relations ($2)
SELECT o.class, o.object, o.sub, o.kind, o.schema, o.parent, o.name, o.arguments, o.file
FROM (
    SELECT c.xmin AS made, 'pg_class'::regclass::oid AS class, c.oid AS object, 0 AS sub,
           CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'S' THEN 'sequence'
               WHEN 'i' THEN 'index' WHEN 'I' THEN 'index' WHEN 'f' THEN 'foreign table' WHEN 'c' THEN 'composite type'
               ELSE 'table' END AS kind,
           c.relnamespace AS schema, COALESCE(i.indrelid, 0) AS parent, c.relname::text AS name, '' AS arguments,
           CASE WHEN c.relkind IN ('r', 'm') THEN c.relfilenode ELSE 0 END AS file
    FROM pg_class AS c LEFT JOIN pg_index AS i ON i.indexrelid = c.oid
    WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND c.relnamespace <> 'pg_toast'::regnamespace
    UNION ALL
    SELECT a.xmin, 'pg_class'::regclass, a.attrelid, a.attnum,
           CASE WHEN a.attisdropped THEN '' WHEN c.relkind = 'f' THEN 'foreign table column'
               WHEN c.relkind = 'c' THEN 'composite type column' ELSE 'table column' END,
           0, a.attrelid, a.attname::text, '', 0
    FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
    WHERE c.oid >= 16384 AND c.relpersistence <> 't' AND c.relkind IN ('r', 'p', 'f', 'c') AND a.attnum > 0
      AND ($2::oid[] IS NULL OR c.oid = ANY ($2::oid[]))
    UNION ALL
    SELECT k.xmin, 'pg_constraint'::regclass, k.oid, 0,
           CASE WHEN k.contypid <> 0 THEN 'domain constraint' ELSE 'table constraint' END,
           0, GREATEST(k.conrelid, k.contypid), k.conname::text, '', 0
    FROM pg_constraint AS k WHERE k.oid >= 16384 AND k.contype <> 't'
    UNION ALL
    SELECT t.xmin, 'pg_trigger'::regclass, t.oid, 0, 'trigger', 0, t.tgrelid, t.tgname::text, '', 0
    FROM pg_trigger AS t WHERE NOT t.tgisinternal
    UNION ALL
    SELECT r.xmin, 'pg_rewrite'::regclass, r.oid, 0, 'rule', 0, r.ev_class, r.rulename::text, '', 0
    FROM pg_rewrite AS r WHERE r.oid >= 16384 AND r.rulename <> '_RETURN'
    UNION ALL
    SELECT p.xmin, 'pg_policy'::regclass, p.oid, 0, 'policy', 0, p.polrelid, p.polname::text, '', 0
    FROM pg_policy AS p
    UNION ALL
    SELECT f.xmin, 'pg_proc'::regclass, f.oid, 0,
           CASE f.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END,
           f.pronamespace, 0, f.proname::text, pg_get_function_identity_arguments(f.oid), 0
    FROM pg_proc AS f WHERE f.oid >= 16384
    UNION ALL
    SELECT t.xmin, 'pg_type'::regclass, t.oid, 0, 'type', t.typnamespace, 0, t.typname::text, '', 0
    FROM pg_type AS t WHERE t.oid >= 16384 AND t.typrelid = 0 AND t.typtype <> 'm'
      AND NOT EXISTS (SELECT FROM pg_type AS e WHERE e.oid = t.typelem AND e.typarray = t.oid)
    UNION ALL
    SELECT n.xmin, 'pg_namespace'::regclass, n.oid, 0, 'schema', 0, 0, n.nspname::text, '', 0
    FROM pg_namespace AS n WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL
    SELECT s.xmin, 'pg_statistic_ext'::regclass, s.oid, 0, 'statistics object', s.stxnamespace, 0, s.stxname::text, '', 0
    FROM pg_statistic_ext AS s
    UNION ALL
    SELECT r.made, r.class, r.object, 0, (pg_identify_object(r.class, r.object, 0)).type, 0, 0,
           (pg_identify_object(r.class, r.object, 0)).identity, '', 0
    FROM (
        SELECT x.xmin AS made, x.tableoid AS class, x.oid AS object FROM pg_extension AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_publication AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_event_trigger AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_foreign_server AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_foreign_data_wrapper AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_collation AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_operator AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_opclass AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_opfamily AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_cast AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_conversion AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_language AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_am AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_transform AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_ts_config AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_ts_dict AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_ts_parser AS x
        UNION ALL SELECT x.xmin, x.tableoid, x.oid FROM pg_ts_template AS x
    ) AS r WHERE r.object >= 16384
) AS o
WHERE ($1::bigint IS NULL OR age(o.made) <= age(($1::bigint % 4294967296)::text::xid))
  AND ($1::bigint IS NULL OR pg_xact_status(
      ($1::bigint + (o.made::text::bigint - $1::bigint % 4294967296 + 4294967296) % 4294967296)::text::xid8) = 'in progress');
