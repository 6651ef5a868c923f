-- relations: tables, partitioned tables, foreign tables, views and materialized views
SELECT 'pg_class'::regclass::oid AS classid, c.oid AS objid, 0 AS objsubid,
       CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view' WHEN 'f' THEN 'foreign_table' ELSE 'table' END AS kind,
       ARRAY[n.nspname::text, c.relname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'owner', pg_get_userbyid(c.relowner),
           'unlogged', CASE WHEN c.relpersistence = 'u' THEN true END,
           'access_method', a.amname,
           'tablespace', (SELECT t.spcname FROM pg_tablespace AS t WHERE t.oid = c.reltablespace),
           'options', (SELECT pg_catalog.jsonb_agg(o.option ORDER BY o.option COLLATE "C") FROM (
                SELECT u.option FROM pg_catalog.unnest(c.reloptions) AS u(option) WHERE NOT starts_with(u.option, 'pg_')
                UNION ALL
                SELECT 'toast.' || u.option FROM pg_class AS t, pg_catalog.unnest(t.reloptions) AS u(option)
                WHERE c.reltoastrelid <> 0 AND t.oid = c.reltoastrelid) AS o),
           'partition_key', CASE WHEN c.relkind = 'p' THEN pg_get_partkeydef(c.oid) END,
           'bound', CASE WHEN c.relispartition THEN pg_get_expr(c.relpartbound, c.oid) END,
           'partition_of', CASE WHEN c.relispartition THEN h.parents -> 0 END,
           'inherits', CASE WHEN NOT c.relispartition THEN h.parents END,
           'row_security', NULLIF(c.relrowsecurity, false),
           'force_row_security', NULLIF(c.relforcerowsecurity, false),
           'replica_identity', CASE WHEN c.relkind IN ('r', 'p', 'm') THEN CASE c.relreplident WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL' END END,
           'of_type', CASE WHEN c.reloftype <> 0 THEN format_type(c.reloftype, NULL) END,
           'server', s.srvname,
           'foreign_options', pg_catalog.to_jsonb(f.ftoptions),
           'definition', CASE WHEN c.relkind IN ('v', 'm') THEN pg_get_viewdef(c.oid) END)) AS attributes
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_am AS a ON a.oid = c.relam
LEFT JOIN pg_foreign_table AS f ON f.ftrelid = c.oid LEFT JOIN pg_foreign_server AS s ON s.oid = f.ftserver
LEFT JOIN (
    SELECT i.inhrelid, pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(pn.nspname, p.relname) ORDER BY i.inhseqno) AS parents
    FROM pg_inherits AS i JOIN pg_class AS p ON p.oid = i.inhparent JOIN pg_namespace AS pn ON pn.oid = p.relnamespace
    WHERE p.relkind IN ('r', 'p', 'f') GROUP BY i.inhrelid) AS h ON h.inhrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't' AND {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e');

-- columns: of relations and composite types, in their order
SELECT 'pg_class'::regclass::oid AS classid, c.oid AS objid, a.attnum::integer AS objsubid, 'column' AS kind,
       ARRAY[n.nspname::text, c.relname::text, a.attname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'type', format_type(a.atttypid, a.atttypmod),
           'collation', CASE WHEN a.attcollation <> t.typcollation THEN (SELECT quote_ident(ln.nspname) || '.' || quote_ident(l.collname)
               FROM pg_collation AS l JOIN pg_namespace AS ln ON ln.oid = l.collnamespace WHERE l.oid = a.attcollation) END,
           'not_null', NULLIF(a.attnotnull, false),
           'identity', CASE a.attidentity WHEN 'a' THEN 'ALWAYS' WHEN 'd' THEN 'BY DEFAULT' END,
           'generated', CASE a.attgenerated WHEN 's' THEN 'STORED' WHEN 'v' THEN 'VIRTUAL' END,
           'expression', CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END,
           'storage', CASE WHEN a.attstorage <> t.typstorage AND c.relkind <> 'v' THEN CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
           'compression', CASE a.attcompression WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' END,
           'statistics', CASE WHEN a.attstattarget >= 0 AND c.relkind <> 'c' THEN a.attstattarget END,
           'options', (SELECT pg_catalog.jsonb_agg(u.option ORDER BY u.option COLLATE "C") FROM pg_catalog.unnest(a.attoptions) AS u(option)
               WHERE starts_with(u.option, 'n_distinct')),
           'foreign_options', pg_catalog.to_jsonb(a.attfdwoptions),
           'inherited', CASE WHEN a.attinhcount > 0 THEN true END,
           'local', CASE WHEN a.attinhcount > 0 AND a.attislocal THEN true END)) AS attributes
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type AS t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum AND a.attgenerated <> ''
WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm', 'c') AND c.relpersistence <> 't' AND {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e')
ORDER BY c.oid, a.attnum;

-- defaults: of columns that are not generated
SELECT 'pg_attrdef'::regclass::oid AS classid, d.oid AS objid, 0 AS objsubid, 'default' AS kind,
       ARRAY[n.nspname::text, c.relname::text, a.attname::text] AS name,
       pg_catalog.jsonb_build_object('expression', pg_get_expr(d.adbin, d.adrelid)) AS attributes
FROM pg_attrdef AS d JOIN pg_class AS c ON c.oid = d.adrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = d.adnum AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relkind IN ('r', 'p', 'f', 'v') AND c.relpersistence <> 't' AND {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e');

-- constraints: of tables, without those that PostgreSQL makes for the partitions of a foreign key
SELECT 'pg_constraint'::regclass::oid AS classid, k.oid AS objid, 0 AS objsubid, 'constraint' AS kind,
       ARRAY[n.nspname::text, c.relname::text, k.conname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'type', CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'x' THEN 'exclusion' WHEN 'f' THEN 'foreign key'
               WHEN 'n' THEN 'not null' ELSE 'check' END,
           'definition', pg_get_constraintdef(k.oid),
           'column', CASE WHEN k.contype = 'n' THEN (SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = k.conkey[1]) END,
           'options', (SELECT pg_catalog.jsonb_agg(u.option ORDER BY u.option COLLATE "C") FROM pg_catalog.unnest(i.reloptions) AS u(option)
               WHERE NOT starts_with(u.option, 'pg_')),
           'tablespace', s.spcname,
           'inherited', CASE WHEN k.coninhcount > 0 THEN true END,
           'local', CASE WHEN k.coninhcount > 0 AND k.conislocal THEN true END)) AS attributes
FROM pg_constraint AS k JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_class AS i ON i.oid = k.conindid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_tablespace AS s ON s.oid = i.reltablespace
WHERE k.contype <> 't' AND NOT (k.contype = 'f' AND k.conparentid <> 0) AND {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e');

-- indexes: with those of constraints
SELECT 'pg_class'::regclass::oid AS classid, c.oid AS objid, 0 AS objsubid, 'index' AS kind, ARRAY[n.nspname::text, c.relname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'table', pg_catalog.jsonb_build_array(n.nspname, t.relname),
           'constraint', k.conname,
           'definition', CASE WHEN k.oid IS NULL THEN pg_get_indexdef(c.oid) END,
           'tablespace', CASE WHEN k.oid IS NULL THEN s.spcname END,
           'invalid', CASE WHEN NOT i.indisvalid AND c.relkind <> 'I' THEN true END,
           'clustered', NULLIF(i.indisclustered, false),
           'replica_identity', NULLIF(i.indisreplident, false),
           'partition_of', (SELECT pg_catalog.jsonb_build_array(pn.nspname, p.relname) FROM pg_inherits AS h JOIN pg_class AS p ON p.oid = h.inhparent
               JOIN pg_namespace AS pn ON pn.oid = p.relnamespace WHERE c.relispartition AND h.inhrelid = c.oid),
           'statistics', (SELECT pg_catalog.jsonb_object_agg(a.attnum, a.attstattarget) FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attstattarget >= 0))) AS attributes
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_constraint AS k ON k.conrelid = i.indrelid AND k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')
LEFT JOIN pg_tablespace AS s ON s.oid = c.reltablespace
WHERE t.relkind IN ('r', 'p', 'm') AND t.relpersistence <> 't' AND {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = t.oid AND e.deptype = 'e');

-- sequences: with those of columns
SELECT 'pg_class'::regclass::oid AS classid, c.oid AS objid, 0 AS objsubid, 'sequence' AS kind, ARRAY[n.nspname::text, c.relname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'owner', CASE WHEN d.deptype IS NULL THEN pg_get_userbyid(c.relowner) END,
           'unlogged', CASE WHEN c.relpersistence = 'u' THEN true END,
           'type', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement, 'minimum', s.seqmin, 'maximum', s.seqmax,
           'cache', s.seqcache, 'cycle', NULLIF(s.seqcycle, false),
           'owned_by', CASE d.deptype WHEN 'a' THEN pg_catalog.jsonb_build_array(tn.nspname, t.relname, a.attname) END,
           'identity_of', CASE d.deptype WHEN 'i' THEN pg_catalog.jsonb_build_array(tn.nspname, t.relname, a.attname) END)) AS attributes
FROM pg_sequence AS s JOIN pg_class AS c ON c.oid = s.seqrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
LEFT JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')
LEFT JOIN pg_class AS t ON t.oid = d.refobjid LEFT JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = d.refobjsubid
WHERE c.relpersistence <> 't' AND {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e');

-- triggers: without those that PostgreSQL makes, for foreign keys and for partitions whose trigger is in the state of the parent's
SELECT 'pg_trigger'::regclass::oid AS classid, g.oid AS objid, 0 AS objsubid, 'trigger' AS kind,
       ARRAY[n.nspname::text, c.relname::text, g.tgname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'definition', CASE WHEN g.tgparentid = 0 THEN pg_get_triggerdef(g.oid) END,
           'inherited', CASE WHEN g.tgparentid <> 0 THEN true END,
           'enabled', CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS'
               ELSE CASE WHEN g.tgparentid <> 0 THEN 'ENABLE' END END)) AS attributes
FROM pg_trigger AS g JOIN pg_class AS c ON c.oid = g.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
JOIN pg_proc AS p ON p.oid = g.tgfoid JOIN pg_namespace AS pn ON pn.oid = p.pronamespace
LEFT JOIN pg_trigger AS up ON up.oid = g.tgparentid
WHERE (NOT g.tgisinternal OR g.tgparentid <> 0) AND (g.tgparentid = 0 OR (up.tgenabled <> g.tgenabled AND NOT up.tgisinternal))
  AND pn.nspname <> 'zanith' AND {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_class'::regclass AND e.objid = c.oid AND e.deptype = 'e');

-- policies: of row security
SELECT 'pg_policy'::regclass::oid AS classid, p.oid AS objid, 0 AS objsubid, 'policy' AS kind,
       ARRAY[n.nspname::text, c.relname::text, p.polname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object(
           'restrictive', CASE WHEN NOT p.polpermissive THEN true END,
           'command', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
           'roles', (SELECT pg_catalog.jsonb_agg(r.name ORDER BY r.name COLLATE "C")
               FROM (SELECT CASE u.role WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(u.role)) END AS name FROM pg_catalog.unnest(p.polroles) AS u(role)) AS r),
           'using', pg_get_expr(p.polqual, p.polrelid),
           'check', pg_get_expr(p.polwithcheck, p.polrelid))) AS attributes
FROM pg_policy AS p JOIN pg_class AS c ON c.oid = p.polrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_policy'::regclass AND e.objid = p.oid AND e.deptype = 'e');

-- rules: without those that make views
SELECT 'pg_rewrite'::regclass::oid AS classid, w.oid AS objid, 0 AS objsubid, 'rule' AS kind,
       ARRAY[n.nspname::text, c.relname::text, w.rulename::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('definition', pg_get_ruledef(w.oid),
           'enabled', CASE w.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END)) AS attributes
FROM pg_rewrite AS w JOIN pg_class AS c ON c.oid = w.ev_class JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE w.rulename <> '_RETURN' AND {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_rewrite'::regclass AND e.objid = w.oid AND e.deptype = 'e');

-- statistics: statistics objects
SELECT 'pg_statistic_ext'::regclass::oid AS classid, s.oid AS objid, 0 AS objsubid, 'statistics' AS kind,
       ARRAY[n.nspname::text, s.stxname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(s.stxowner), 'definition', pg_get_statisticsobjdef(s.oid),
           'table', pg_catalog.jsonb_build_array(tn.nspname, t.relname),
           'target', CASE WHEN s.stxstattarget >= 0 THEN s.stxstattarget END)) AS attributes
FROM pg_statistic_ext AS s JOIN pg_namespace AS n ON n.oid = s.stxnamespace JOIN pg_class AS t ON t.oid = s.stxrelid
JOIN pg_namespace AS tn ON tn.oid = t.relnamespace
WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_statistic_ext'::regclass AND e.objid = s.oid AND e.deptype = 'e');
