-- lock: installers take turns; released with the transaction
SELECT pg_advisory_xact_lock(7300742846);

-- create_table: what was installed, one row a file; needed before anything can be recorded
CREATE SCHEMA IF NOT EXISTS zanith;
CREATE TABLE IF NOT EXISTS zanith._zanith_schema (
    file       text PRIMARY KEY,
    hash       text NOT NULL,
    functions  text[] NOT NULL DEFAULT '{}',
    engine     text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE zanith._zanith_schema IS
    'What zanith init installed: each file with its sha256, the functions that it makes, and the engine it came with.';

-- exists: whether anything was ever installed here
SELECT to_regclass('zanith._zanith_schema') IS NOT NULL;

-- applied: the files that are installed
SELECT file, hash, functions, engine FROM zanith._zanith_schema ORDER BY file;

-- record: a file is installed as of now
INSERT INTO zanith._zanith_schema (file, hash, functions, engine) VALUES ($1, $2, $3, $4)
ON CONFLICT (file) DO UPDATE
    SET hash = excluded.hash, functions = excluded.functions, engine = excluded.engine,
        applied_at = clock_timestamp();

-- renew_scripts: the scripts as this version renders them; which of them it could not, and why
SELECT object, why FROM zanith._renew_scripts();

-- forget: a file is no longer part of the engine
DELETE FROM zanith._zanith_schema WHERE file = $1;

-- functions: every function of the schema, with what a replacement must keep
SELECT p.oid::bigint AS oid,
       p.xmin::text || '/' || p.cmin::text AS version,
       p.proname::text AS name,
       p.oid::regprocedure::text AS signature,
       pg_get_userbyid(p.proowner)::text AS owner,
       p.proacl IS NOT NULL AS has_acl,
       ARRAY(SELECT CASE a.grantee WHEN 0 THEN '' ELSE pg_get_userbyid(a.grantee)::text END
                    || CASE WHEN a.is_grantable THEN '*' ELSE '' END
             FROM aclexplode(p.proacl) AS a
             WHERE a.grantee <> p.proowner
             ORDER BY 1) AS grantees,
       EXISTS (SELECT FROM pg_depend AS d
               WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid
                 AND d.deptype IN ('n', 'a')) AS needed
FROM pg_proc AS p
WHERE p.pronamespace = 'zanith'::regnamespace
ORDER BY signature;

-- artifacts: how many captures would be orphaned by an uninstall
SELECT count(*) FROM zanith._zanith_migration_artifacts;

-- has_rules: whether this version of the tables has rules for approvals
SELECT to_regclass('zanith._zanith_approval_rules') IS NOT NULL;

-- rules: the changes that need an approval in this database
SELECT r.kind FROM zanith._zanith_approval_rules AS r ORDER BY r.kind;

-- tables: the tables that an uninstall drops
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE c.relnamespace = 'zanith'::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY 1;

-- views: the views that an uninstall drops first
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE c.relnamespace = 'zanith'::regnamespace AND c.relkind = 'v'
ORDER BY 1;

-- guard_triggers: event triggers that call functions of the schema
SELECT quote_ident(e.evtname) FROM pg_event_trigger AS e JOIN pg_proc AS p ON p.oid = e.evtfoid
WHERE p.pronamespace = 'zanith'::regnamespace ORDER BY 1;

-- drop_pins: statements that end the pins of tables
SELECT o.statement FROM (
    SELECT 1 AS ord, pg_catalog.format('DROP FUNCTION %s', p.oid::regprocedure) AS statement
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname = 'zanith_pin'
    WHERE n.nspowner = (SELECT z.nspowner FROM pg_namespace AS z WHERE z.nspname = 'zanith')
    UNION ALL
    SELECT 2, 'DROP SCHEMA zanith_pin' FROM pg_namespace AS n
    WHERE n.nspname = 'zanith_pin' AND n.nspowner = (SELECT z.nspowner FROM pg_namespace AS z WHERE z.nspname = 'zanith')
) AS o ORDER BY o.ord, o.statement;

-- shadow_leftovers: what stands in the shadow schema without an artifact
SELECT c.oid::regclass::text FROM pg_class AS c
WHERE c.relnamespace = to_regnamespace('_zanith_shadow') AND c.relkind IN ('r', 'p', 'S')
ORDER BY 1
LIMIT 10;

-- grantable: the functions that a capturing role calls itself
SELECT p.oid::regprocedure::text FROM pg_proc AS p
WHERE p.pronamespace = 'zanith'::regnamespace AND p.prokind = 'f' AND p.proname = ANY ($1)
ORDER BY 1;

-- role_exists: whether there is such a role
SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = $1);

-- must_be_fixed: whether a function p needs a fixed setting s: those that others can call; inner functions inherit from these.
-- The captures, and the guard where it begins, leave the search path to their caller, whose path they pass on. The guard tries a statement under
-- its time zone, on which it depends whether PostgreSQL rewrites a table.
(p.proname NOT LIKE '\_%' OR p.prosecdef OR p.prorettype IN ('trigger'::regtype, 'event_trigger'::regtype))
    AND NOT (s.key = 'search_path' AND p.proname IN ({captures}, '_guard_start'))
    AND NOT (s.key = 'TimeZone' AND p.proname = '_guard_start')

-- fix_settings: CREATE OR REPLACE forgets them, so they are set again after every change
DO $fix$
DECLARE
    f record;
BEGIN
    FOR f IN
        SELECT p.oid::regprocedure AS signature,
               pg_catalog.string_agg(pg_catalog.format('ALTER FUNCTION %s SET %I TO %s', p.oid::regprocedure, s.key,
                   CASE s.key WHEN 'search_path' THEN s.value ELSE quote_literal(s.value) END), '; ' ORDER BY s.key) AS statements
        FROM pg_proc AS p, pg_catalog.jsonb_each_text({fixed}) AS s
        WHERE p.pronamespace = to_regnamespace('zanith') AND p.prokind = 'f' AND {must_be_fixed}
          AND NOT COALESCE(p.proconfig, '{}') @> ARRAY[s.key || '=' || s.value]
        GROUP BY p.oid
    LOOP
        EXECUTE f.statements;
    END LOOP;
END $fix$

-- owner: whose the schema is, whether the installing role may trust it, whether they may change what it owns, and whom the database names as operator
SELECT r.rolname::text AS name, current_user::text AS installer, r.rolsuper OR r.rolname = current_user AS trusted,
       pg_has_role(current_user, r.oid, 'USAGE') AS able,
       (SELECT substring(c.setting FROM '^zanith[.]operator=(.*)$')
        FROM pg_db_role_setting AS s JOIN pg_database AS d ON d.oid = s.setdatabase, pg_catalog.unnest(s.setconfig) AS c(setting)
        WHERE d.datname = current_database() AND s.setrole = 0 AND starts_with(c.setting, 'zanith.operator=')) AS operator
FROM pg_namespace AS n JOIN pg_roles AS r ON r.oid = n.nspowner WHERE n.nspname = 'zanith';

-- is_superuser: whether this role is a superuser
SELECT r.rolsuper FROM pg_roles AS r WHERE r.rolname = current_user;

-- role: what is to be known of a role before all is given to it
SELECT r.rolsuper, r.rolbypassrls, r.rolcreaterole, r.rolinherit FROM pg_roles AS r WHERE r.rolname = $1;

-- give_all: the statements that make a role the owner of everything of Zanith's, what its former owner had in the shadow too
SELECT pg_catalog.format('ALTER %s %s OWNER TO %I', o.kind, o.name, $1::text)
FROM (
    SELECT 1 AS ord, 'SCHEMA' AS kind, quote_ident(n.nspname) AS name, n.nspowner AS owner
    FROM pg_namespace AS n WHERE n.nspname IN ('zanith', '_zanith_shadow', 'zanith_pin')
    UNION ALL
    SELECT 2, CASE c.relkind WHEN 'S' THEN 'SEQUENCE' WHEN 'v' THEN 'VIEW' ELSE 'TABLE' END, c.oid::regclass::text, c.relowner
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE (n.nspname = 'zanith' OR n.nspname = '_zanith_shadow' AND c.relowner = n.nspowner) AND c.relkind IN ('r', 'p', 'v', 'S')
      -- a sequence of a column goes with its table
      AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                      AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
    UNION ALL
    SELECT 3, 'ROUTINE', p.oid::regprocedure::text, p.proowner
    FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE n.nspname = 'zanith' OR n.nspname IN ('_zanith_shadow', 'zanith_pin') AND p.proowner = n.nspowner
    UNION ALL
    SELECT 4, 'TYPE', t.oid::regtype::text, t.typowner
    FROM pg_type AS t WHERE t.typnamespace = 'zanith'::regnamespace AND t.typrelid = 0 AND t.typcategory <> 'A'
) AS o
WHERE pg_get_userbyid(o.owner) <> $1::text
ORDER BY o.ord, o.name;

-- other_owners: whose tables a role cannot work on yet; a superuser's it never should
SELECT r.rolname::text AS name, r.rolsuper AS superuser, count(*) AS tables
FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'zanith', '_zanith_shadow') AND NOT starts_with(n.nspname, 'pg_')
  AND NOT (pg_has_role($1::name, r.oid, 'USAGE') AND pg_has_role($1::name, r.oid, $2))
GROUP BY r.rolname, r.rolsuper ORDER BY r.rolname;

-- superuser_over: whether this role is a superuser, and whose tables it works on who are none
SELECT pg_catalog.array_agg(DISTINCT r.rolname::text ORDER BY r.rolname::text)
FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT r.rolsuper AND NOT starts_with(n.nspname, 'pg_') AND n.nspname <> 'information_schema'
  AND (SELECT s.rolsuper FROM pg_roles AS s WHERE s.rolname = current_user);

-- own_triggers: those of Zanith's tables, and their tables
SELECT pg_catalog.quote_ident(t.tgname), t.tgrelid::pg_catalog.regclass::pg_catalog.text
FROM pg_catalog.pg_trigger AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'zanith'::pg_catalog.regnamespace AND NOT t.tgisinternal
ORDER BY 2, 1;
