-- server: what a server and a database are
SELECT (SELECT system_identifier FROM pg_control_system()) AS system, d.oid, d.datname AS name,
       current_setting('server_version_num')::int / 10000 AS version, current_setting('server_version') AS version_text,
       r.rolname AS role, r.rolsuper AS superuser, r.rolcreatedb AS creates, pg_has_role(d.datdba, 'USAGE') AS owner,
       pg_is_in_recovery() AS standby, shobj_description(d.oid, 'pg_database') AS mark
FROM pg_database AS d, pg_roles AS r WHERE d.datname = current_database() AND r.rolname = session_user;

-- shared: the catalogs of the whole server that this transaction changed
WITH own AS (SELECT pg_current_xact_id_if_assigned()::text::bigint AS id),
     rows(catalog, made) AS (
         SELECT 'pg_database', d.xmin FROM pg_database AS d
         UNION ALL SELECT 'pg_tablespace', t.xmin FROM pg_tablespace AS t
         UNION ALL SELECT 'pg_auth_members', m.xmin FROM pg_auth_members AS m
         UNION ALL SELECT 'pg_db_role_setting', s.xmin FROM pg_db_role_setting AS s
         UNION ALL SELECT 'pg_parameter_acl', p.xmin FROM pg_parameter_acl AS p)
SELECT r.catalog FROM rows AS r, own AS o
WHERE o.id IS NOT NULL AND age(r.made) <= age((o.id % 4294967296)::text::xid)
  AND pg_xact_status((o.id + (r.made::text::bigint - o.id % 4294967296 + 4294967296) % 4294967296)::text::xid8) = 'in progress'
UNION
SELECT c.relname::text FROM pg_locks AS l JOIN pg_class AS c ON c.oid = l.relation
WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND c.relisshared AND c.relkind = 'r'
  AND c.relname <> 'pg_shdepend' AND l.mode NOT IN ('AccessShareLock', 'RowShareLock')
ORDER BY 1;

-- settings_of_database: the encoding and locale of this database
SELECT pg_encoding_to_char(d.encoding) AS encoding, d.datcollate AS collate, d.datctype AS ctype,
       d.datlocprovider::text AS provider,
       COALESCE(pg_catalog.to_jsonb(d) ->> 'datlocale', pg_catalog.to_jsonb(d) ->> 'daticulocale') AS locale
FROM pg_database AS d WHERE d.datname = current_database();

-- lock: take the lock that says that a shadow is in use
SELECT pg_try_advisory_lock($1::bigint);

-- leftovers: the databases whose names are those of shadows, and whether one is in use
SELECT d.datname AS name, shobj_description(d.oid, 'pg_database') AS mark, d.datconnlimit AS connections,
       EXISTS (SELECT FROM pg_locks AS l WHERE l.locktype = 'advisory' AND l.objsubid = 1
               AND (l.classid::bigint << 32) | l.objid::bigint = ('x' || substr(d.datname, 15, 15))::bit(60)::bigint) AS used
FROM pg_database AS d WHERE d.datname ~ '^zanith_shadow_[0-9a-f]{24}$' ORDER BY d.datname;

-- others: the roles other than this one and superusers that own functions, outside of extensions
SELECT DISTINCT r.rolname::text AS role FROM pg_proc AS f JOIN pg_roles AS r ON r.oid = f.proowner
JOIN pg_language AS l ON l.oid = f.prolang
WHERE f.oid >= 16384 AND NOT r.rolsuper AND r.rolname <> session_user AND l.lanname NOT IN ('internal', 'c')
  AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e')
ORDER BY 1;

-- holds: whether another session of this database has the lock with the number
SELECT EXISTS (SELECT FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
    WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND d.datname = current_database()
      AND (l.classid::bigint << 32) | l.objid::bigint = $1::bigint);

-- roles: the roles of the server
SELECT r.rolname::text AS name FROM pg_roles AS r;

-- path: the schemas of the search path
SELECT current_schemas(false)::text[];

-- everything: what to drop so that a database is empty, in this order
SELECT s.statement FROM (
    SELECT 1 AS place, pg_catalog.format('DROP EVENT TRIGGER IF EXISTS %I CASCADE', e.evtname) AS statement FROM pg_event_trigger AS e
    UNION ALL SELECT 2, pg_catalog.format('DROP PUBLICATION IF EXISTS %I', p.pubname) FROM pg_publication AS p
    UNION ALL SELECT 3, pg_catalog.format('DROP EXTENSION IF EXISTS %I CASCADE', x.extname) FROM pg_extension AS x WHERE x.oid >= 16384
    UNION ALL SELECT 4, pg_catalog.format('DROP SCHEMA IF EXISTS %I CASCADE', n.nspname) FROM pg_namespace AS n
        WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
    UNION ALL SELECT 5, pg_catalog.format('DROP SERVER IF EXISTS %I CASCADE', f.srvname) FROM pg_foreign_server AS f
    UNION ALL SELECT 6, pg_catalog.format('DROP FOREIGN DATA WRAPPER IF EXISTS %I CASCADE', f.fdwname) FROM pg_foreign_data_wrapper AS f
    UNION ALL SELECT 7, pg_catalog.format('DROP CAST IF EXISTS (%s AS %s)', format_type(c.castsource, NULL), format_type(c.casttarget, NULL))
        FROM pg_cast AS c WHERE c.oid >= 16384
    UNION ALL SELECT 8, pg_catalog.format('DROP LANGUAGE IF EXISTS %I CASCADE', l.lanname) FROM pg_language AS l WHERE l.oid >= 16384
    UNION ALL SELECT 9, pg_catalog.format('SELECT pg_catalog.lo_unlink(%s)', o.oid) FROM pg_largeobject_metadata AS o
) AS s ORDER BY s.place, s.statement;
