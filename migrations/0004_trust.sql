-- Nobody but Zanith's own role makes anything in the shadow schema, and a definer function knows who calls it.

-- The names in there are no secret; each object has its own grants.
GRANT USAGE ON SCHEMA _zanith_shadow TO PUBLIC;
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT DISTINCT CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(x.grantee)) END AS name
             FROM pg_catalog.pg_namespace n, pg_catalog.aclexplode(n.nspacl) x
             WHERE n.nspname = '_zanith_shadow' AND x.privilege_type = 'CREATE' AND x.grantee <> n.nspowner LOOP
        EXECUTE pg_catalog.format('REVOKE CREATE ON SCHEMA _zanith_shadow FROM %s CASCADE', r.name);
    END LOOP;
END $$;

-- Whoever calls a definer function inserts a row first. The name comes from the default alone, which only the real
-- current_user decides: session_user and SET ROLE say nothing where a function of an index runs under somebody's ANALYZE.
CREATE UNLOGGED TABLE zanith._zanith_callers (
    proof uuid PRIMARY KEY,
    name  text NOT NULL DEFAULT current_user
);
COMMENT ON TABLE zanith._zanith_callers IS 'Who calls, for the length of a call: see zanith._prove_caller.';
REVOKE ALL ON zanith._zanith_callers FROM PUBLIC;
GRANT INSERT (proof) ON zanith._zanith_callers TO PUBLIC;
