-- user_schema: whether a schema n belongs to the user, neither to PostgreSQL nor to Zanith
NOT starts_with(n.nspname, 'pg_') AND n.nspname NOT IN ('information_schema', 'zanith', '_zanith_shadow', 'zanith_pin')

-- fingerprint: the texts of a snapshot that a foreign session of this database would print otherwise
SELECT pg_catalog.current_setting('server_version_num')::int AS version, pg_catalog.current_database()::text AS database;

-- aliases: objects that are a part of another one, such as the row type of a table
SELECT 'pg_type'::regclass::oid AS classid, t.oid AS objid, 'pg_class'::regclass::oid AS of_classid, c.oid AS of_objid
FROM pg_type AS t JOIN pg_class AS c ON c.oid = t.typrelid
WHERE c.relkind <> 'c' AND t.oid >= 16384
UNION ALL
SELECT 'pg_class'::regclass, c.oid, 'pg_type'::regclass, c.reltype FROM pg_class AS c WHERE c.relkind = 'c' AND c.oid >= 16384
UNION ALL
SELECT 'pg_type'::regclass, a.oid, CASE WHEN c.oid IS NULL THEN 'pg_type'::regclass ELSE 'pg_class'::regclass END, COALESCE(c.oid, t.oid)
FROM pg_type AS t JOIN pg_type AS a ON a.oid = t.typarray
LEFT JOIN pg_class AS c ON c.oid = t.typrelid AND c.relkind <> 'c'
WHERE t.oid >= 16384
UNION ALL
SELECT 'pg_type'::regclass, r.rngmultitypid, 'pg_type'::regclass, r.rngtypid FROM pg_range AS r WHERE r.rngtypid >= 16384
UNION ALL
SELECT 'pg_rewrite'::regclass, w.oid, 'pg_class'::regclass, w.ev_class FROM pg_rewrite AS w WHERE w.rulename = '_RETURN' AND w.oid >= 16384
UNION ALL
SELECT 'pg_opfamily'::regclass, o.opcfamily, 'pg_opclass'::regclass, o.oid FROM pg_opclass AS o WHERE o.oid >= 16384
UNION ALL
SELECT 'pg_attrdef'::regclass, d.oid, 'pg_class'::regclass, d.adrelid FROM pg_attrdef AS d WHERE d.oid >= 16384;

-- needs: what each object depends on; both as the catalog names them
SELECT DISTINCT d.classid, d.objid, d.objsubid, d.refclassid, d.refobjid, d.refobjsubid
FROM pg_depend AS d
WHERE d.objid >= 16384 AND d.deptype IN ('n', 'a', 'i', 'P', 'S')
  AND (d.refobjid >= 16384 OR d.refclassid = 'pg_extension'::regclass);

-- depends_on_extension: objects that a DROP EXTENSION takes along by ALTER … DEPENDS ON EXTENSION
SELECT d.classid, d.objid, d.objsubid, pg_catalog.jsonb_agg(x.extname ORDER BY x.extname) AS extensions
FROM pg_depend AS d JOIN pg_extension AS x ON x.oid = d.refobjid
WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'x'
GROUP BY d.classid, d.objid, d.objsubid;

-- comments: of all objects but the built-in ones
SELECT d.classoid AS classid, d.objoid AS objid, d.objsubid, d.description AS comment
FROM pg_description AS d
WHERE d.objoid >= 16384 OR d.classoid IN ('pg_namespace'::regclass, 'pg_extension'::regclass);

-- labels: security labels of all objects, by provider
SELECT l.classoid AS classid, l.objoid AS objid, l.objsubid, pg_catalog.jsonb_object_agg(l.provider, l.label) AS security_labels
FROM pg_seclabel AS l GROUP BY l.classoid, l.objoid, l.objsubid;

-- grants: of each object whose privileges are not those that it began with
WITH listed(classid, objid, objsubid, letter, owner, acl) AS (
    SELECT 'pg_class'::regclass::oid, c.oid, 0, (CASE c.relkind WHEN 'S' THEN 's' ELSE 'r' END)::"char", c.relowner, c.relacl FROM pg_class AS c WHERE c.relacl IS NOT NULL AND c.oid >= 16384
    UNION ALL
    SELECT 'pg_class'::regclass, a.attrelid, a.attnum, 'c', c.relowner, a.attacl
    FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid WHERE a.attacl IS NOT NULL AND a.attrelid >= 16384
    UNION ALL
    SELECT 'pg_proc'::regclass, p.oid, 0, 'f', p.proowner, p.proacl FROM pg_proc AS p WHERE p.proacl IS NOT NULL AND p.oid >= 16384
    UNION ALL
    SELECT 'pg_namespace'::regclass, n.oid, 0, 'n', n.nspowner, n.nspacl FROM pg_namespace AS n WHERE n.nspacl IS NOT NULL
    UNION ALL
    SELECT 'pg_type'::regclass, t.oid, 0, 'T', t.typowner, t.typacl FROM pg_type AS t WHERE t.typacl IS NOT NULL AND t.oid >= 16384
    UNION ALL
    SELECT 'pg_language'::regclass, l.oid, 0, 'l', l.lanowner, l.lanacl FROM pg_language AS l WHERE l.lanacl IS NOT NULL
    UNION ALL
    SELECT 'pg_foreign_data_wrapper'::regclass, w.oid, 0, 'F', w.fdwowner, w.fdwacl FROM pg_foreign_data_wrapper AS w WHERE w.fdwacl IS NOT NULL
    UNION ALL
    SELECT 'pg_foreign_server'::regclass, s.oid, 0, 'S', s.srvowner, s.srvacl FROM pg_foreign_server AS s WHERE s.srvacl IS NOT NULL
    UNION ALL
    SELECT 'pg_default_acl'::regclass, d.oid, 0, 'x', d.defaclrole, d.defaclacl FROM pg_default_acl AS d
), changed AS (
    SELECT l.* FROM listed AS l
    WHERE l.letter = 'x' OR NOT (l.acl @> COALESCE(acldefault(l.letter, l.owner), '{}') AND COALESCE(acldefault(l.letter, l.owner), '{}') @> l.acl)
), given AS (
    SELECT c.classid, c.objid, c.objsubid,
           CASE WHEN x.grantee = 0 THEN 'PUBLIC' WHEN x.grantee = c.owner THEN 'OWNER' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS grantee,
           CASE WHEN x.grantor <> c.owner THEN quote_ident(pg_get_userbyid(x.grantor)) END AS grantor,
           pg_catalog.jsonb_agg(x.privilege_type || CASE WHEN x.is_grantable THEN '*' ELSE '' END ORDER BY x.privilege_type COLLATE "C") AS privileges
    FROM changed AS c CROSS JOIN LATERAL aclexplode(c.acl) AS x
    GROUP BY c.classid, c.objid, c.objsubid, c.owner, x.grantee, x.grantor
)
SELECT c.classid, c.objid, c.objsubid,
       COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('to', g.grantee, 'by', g.grantor, 'privileges', g.privileges))
           ORDER BY g.grantee COLLATE "C", g.grantor COLLATE "C") FILTER (WHERE g.grantee IS NOT NULL), '[]') AS grants
FROM changed AS c LEFT JOIN given AS g USING (classid, objid, objsubid)
GROUP BY c.classid, c.objid, c.objsubid;

-- default_grants: the privileges that an object of each type begins with
SELECT l.kind, COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_object('to', l.grantee, 'privileges', l.privileges) ORDER BY l.grantee), '[]') AS grants
FROM (
    SELECT k.kind, CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE 'OWNER' END AS grantee,
           pg_catalog.jsonb_agg(x.privilege_type ORDER BY x.privilege_type COLLATE "C") AS privileges
    FROM (VALUES ('table', 'r'::"char"), ('sequence', 's'), ('function', 'f'), ('schema', 'n'), ('type', 'T'), ('language', 'l'),
                 ('foreign_data_wrapper', 'F'), ('server', 'S')) AS k(kind, letter)
    CROSS JOIN LATERAL aclexplode(acldefault(k.letter, 10)) AS x
    GROUP BY k.kind, x.grantee
) AS l GROUP BY l.kind;

-- schemas: the schemas of the user
SELECT 'pg_namespace'::regclass::oid AS classid, n.oid AS objid, 0 AS objsubid, 'schema' AS kind, ARRAY[n.nspname::text] AS name,
       pg_catalog.jsonb_build_object('owner', pg_get_userbyid(n.nspowner)) AS attributes
FROM pg_namespace AS n WHERE {user_schema}
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_namespace'::regclass AND e.objid = n.oid AND e.deptype = 'e');

-- extensions: with their versions
SELECT 'pg_extension'::regclass::oid AS classid, x.oid AS objid, 0 AS objsubid, 'extension' AS kind, ARRAY[x.extname::text] AS name,
       pg_catalog.jsonb_build_object('version', x.extversion, 'schema', n.nspname) AS attributes
FROM pg_extension AS x JOIN pg_namespace AS n ON n.oid = x.extnamespace;

-- languages: procedural languages that no extension brought
SELECT 'pg_language'::regclass::oid AS classid, l.oid AS objid, 0 AS objsubid, 'language' AS kind, ARRAY[l.lanname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(l.lanowner), 'trusted', NULLIF(l.lanpltrusted, false),
           'handler', NULLIF(l.lanplcallfoid::regprocedure::text, '-'), 'inline', NULLIF(l.laninline::regprocedure::text, '-'),
           'validator', NULLIF(l.lanvalidator::regprocedure::text, '-'))) AS attributes
FROM pg_language AS l WHERE l.lanispl
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_language'::regclass AND e.objid = l.oid AND e.deptype = 'e');

-- access_methods: of tables and indexes
SELECT 'pg_am'::regclass::oid AS classid, a.oid AS objid, 0 AS objsubid, 'access_method' AS kind, ARRAY[a.amname::text] AS name,
       pg_catalog.jsonb_build_object('type', CASE a.amtype WHEN 't' THEN 'TABLE' ELSE 'INDEX' END, 'handler', a.amhandler::regproc::text) AS attributes
FROM pg_am AS a WHERE a.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_am'::regclass AND e.objid = a.oid AND e.deptype = 'e');

-- casts: from one type to another
SELECT 'pg_cast'::regclass::oid AS classid, k.oid AS objid, 0 AS objsubid, 'cast' AS kind,
       ARRAY[format_type(k.castsource, NULL), format_type(k.casttarget, NULL)] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('method', CASE k.castmethod WHEN 'f' THEN 'function' WHEN 'i' THEN 'inout' ELSE 'binary' END,
           'function', NULLIF(k.castfunc::regprocedure::text, '-'),
           'context', CASE k.castcontext WHEN 'e' THEN 'explicit' WHEN 'a' THEN 'assignment' ELSE 'implicit' END)) AS attributes
FROM pg_cast AS k WHERE k.oid >= 16384
  AND NOT EXISTS (SELECT FROM pg_depend AS i WHERE i.classid = 'pg_cast'::regclass AND i.objid = k.oid AND i.deptype = 'i')
  AND NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_cast'::regclass AND e.objid = k.oid AND e.deptype = 'e');

-- transforms: of a type for a language
SELECT 'pg_transform'::regclass::oid AS classid, t.oid AS objid, 0 AS objsubid, 'transform' AS kind,
       ARRAY[format_type(t.trftype, NULL), l.lanname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('from_sql', NULLIF(t.trffromsql::regprocedure::text, '-'),
           'to_sql', NULLIF(t.trftosql::regprocedure::text, '-'))) AS attributes
FROM pg_transform AS t JOIN pg_language AS l ON l.oid = t.trflang
WHERE NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_transform'::regclass AND e.objid = t.oid AND e.deptype = 'e');

-- event_triggers: those of the user
SELECT 'pg_event_trigger'::regclass::oid AS classid, e.oid AS objid, 0 AS objsubid, 'event_trigger' AS kind, ARRAY[e.evtname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(e.evtowner), 'event', e.evtevent,
           'function', p.oid::regproc::text, 'tags', (SELECT pg_catalog.jsonb_agg(t.tag ORDER BY t.place) FROM pg_catalog.unnest(e.evttags) WITH ORDINALITY AS t(tag, place)),
           'enabled', CASE e.evtenabled WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END)) AS attributes
FROM pg_event_trigger AS e JOIN pg_proc AS p ON p.oid = e.evtfoid JOIN pg_namespace AS n ON n.oid = p.pronamespace
WHERE n.nspname <> 'zanith'
  AND NOT EXISTS (SELECT FROM pg_depend AS x WHERE x.classid = 'pg_event_trigger'::regclass AND x.objid = e.oid AND x.deptype = 'e');

-- wrappers: foreign-data wrappers
SELECT 'pg_foreign_data_wrapper'::regclass::oid AS classid, w.oid AS objid, 0 AS objsubid, 'foreign_data_wrapper' AS kind, ARRAY[w.fdwname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(w.fdwowner), 'handler', NULLIF(w.fdwhandler::regproc::text, '-'),
           'validator', NULLIF(w.fdwvalidator::regproc::text, '-'), 'options', pg_catalog.to_jsonb(w.fdwoptions))) AS attributes
FROM pg_foreign_data_wrapper AS w
WHERE NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_foreign_data_wrapper'::regclass AND e.objid = w.oid AND e.deptype = 'e');

-- servers: foreign servers
SELECT 'pg_foreign_server'::regclass::oid AS classid, s.oid AS objid, 0 AS objsubid, 'server' AS kind, ARRAY[s.srvname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(s.srvowner), 'wrapper', w.fdwname, 'type', s.srvtype,
           'version', s.srvversion, 'options', pg_catalog.to_jsonb(s.srvoptions))) AS attributes
FROM pg_foreign_server AS s JOIN pg_foreign_data_wrapper AS w ON w.oid = s.srvfdw
WHERE NOT EXISTS (SELECT FROM pg_depend AS e WHERE e.classid = 'pg_foreign_server'::regclass AND e.objid = s.oid AND e.deptype = 'e');

-- user_mappings: without their options, which hold passwords
SELECT 'pg_user_mapping'::regclass::oid AS classid, u.umid AS objid, 0 AS objsubid, 'user_mapping' AS kind,
       ARRAY[u.srvname::text, CASE u.umuser WHEN 0 THEN 'PUBLIC' ELSE quote_ident(u.usename) END] AS name, '{}'::jsonb AS attributes
FROM pg_user_mappings AS u;

-- publications: their options
SELECT 'pg_publication'::regclass::oid AS classid, p.oid AS objid, 0 AS objsubid, 'publication' AS kind, ARRAY[p.pubname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('owner', pg_get_userbyid(p.pubowner), 'all_tables', NULLIF(p.puballtables, false),
           'publish', pg_catalog.concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
               CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END),
           'via_root', NULLIF(p.pubviaroot, false),
           'generated_columns', CASE pg_catalog.to_jsonb(p) ->> 'pubgencols' WHEN 's' THEN 'stored' END)) AS attributes
FROM pg_publication AS p;

-- publication_tables: the tables of each publication
SELECT 'pg_publication_rel'::regclass::oid AS classid, r.oid AS objid, 0 AS objsubid, 'publication_table' AS kind,
       ARRAY[p.pubname::text, n.nspname::text, c.relname::text] AS name,
       pg_catalog.jsonb_strip_nulls(pg_catalog.jsonb_build_object('columns', (SELECT pg_catalog.jsonb_agg(a.attname ORDER BY a.attname COLLATE "C")
               FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum = ANY (r.prattrs)),
           'condition', pg_get_expr(r.prqual, r.prrelid))) AS attributes
FROM pg_publication_rel AS r JOIN pg_publication AS p ON p.oid = r.prpubid JOIN pg_class AS c ON c.oid = r.prrelid
JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE {user_schema};

-- publication_schemas: the schemas of each publication
SELECT 'pg_publication_namespace'::regclass::oid AS classid, s.oid AS objid, 0 AS objsubid, 'publication_schema' AS kind,
       ARRAY[p.pubname::text, n.nspname::text] AS name, '{}'::jsonb AS attributes
FROM pg_publication_namespace AS s JOIN pg_publication AS p ON p.oid = s.pnpubid JOIN pg_namespace AS n ON n.oid = s.pnnspid WHERE {user_schema};

-- subscriptions: without their connections, which hold passwords
SELECT 'pg_subscription'::regclass::oid AS classid, s.oid AS objid, 0 AS objsubid, 'subscription' AS kind, ARRAY[s.subname::text] AS name,
       pg_catalog.jsonb_build_object('owner', pg_get_userbyid(s.subowner), 'enabled', s.subenabled, 'publications', pg_catalog.to_jsonb(s.subpublications),
           'slot', s.subslotname, 'synchronous_commit', s.subsynccommit, 'binary', s.subbinary, 'stream', s.substream) AS attributes
FROM pg_subscription AS s WHERE s.subdbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database());

-- default_privileges: of a role, in a schema or in all
SELECT 'pg_default_acl'::regclass::oid AS classid, d.oid AS objid, 0 AS objsubid, 'default_privileges' AS kind,
       ARRAY[pg_get_userbyid(d.defaclrole)::text, COALESCE(n.nspname::text, ''),
           CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' WHEN 'S' THEN 'SEQUENCES' WHEN 'f' THEN 'FUNCTIONS' WHEN 'T' THEN 'TYPES' WHEN 'n' THEN 'SCHEMAS' ELSE 'LARGE OBJECTS' END] AS name,
       '{}'::jsonb AS attributes
FROM pg_default_acl AS d LEFT JOIN pg_namespace AS n ON n.oid = d.defaclnamespace
WHERE n.oid IS NULL OR {user_schema};

-- settings: the values of settings, to give them back
SELECT name, pg_catalog.current_setting(name) AS value FROM pg_catalog.unnest($1::text[]) AS name;

-- set_settings: give them to the transaction
SELECT pg_catalog.set_config(name, value, true)
FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) AS given(name, value);
