-- Grants: taking them away at capture, giving them back at restore.

-- GRANT steps for recorded grants on `object` (say "TABLE public.orders"); `column_list` for column grants, quoted.
-- `anew`: the object was just created, so that the owner's own entry is set as recorded too.
CREATE OR REPLACE FUNCTION zanith._render_grants(
    grants jsonb, object text, owner text, column_name text DEFAULT NULL, anew boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(CASE WHEN anew AND grants <> 'null' AND column_name IS NULL
                 THEN zanith._step(format('REVOKE ALL ON %s FROM %I', object, owner),
                                   'Revoke the privileges of the owner (what was recorded is granted next)') END, '[]')
        || (
        SELECT zanith._list(s.step ORDER BY g.ord, s.part)
        FROM zanith._each(grants) g,
             LATERAL (
                SELECT p.part, zanith._step(
                    format('GRANT %s ON %s TO %s%s',
                        (SELECT string_agg(x.privilege || COALESCE(' (' || quote_ident(column_name) || ')', ''), ', '
                                           ORDER BY x.privilege)
                         FROM jsonb_array_elements_text(p.privileges) x(privilege)),
                        object,
                        COALESCE(quote_ident(g.item ->> 'grantee'), 'PUBLIC'),
                        CASE WHEN p.part = 2 THEN ' WITH GRANT OPTION' ELSE '' END),
                    'Grant the recorded privileges') -> 0 AS step
                FROM (VALUES
                    (1, (SELECT zanith._list(e.v) FROM jsonb_array_elements(g.item -> 'privileges') e(v)
                         WHERE NOT g.item -> 'grantable' @> e.v)),
                    (2, g.item -> 'grantable')) p(part, privileges)
                WHERE jsonb_array_length(p.privileges) > 0
             ) s
        WHERE anew OR g.item ->> 'grantee' IS DISTINCT FROM owner)
); END $$;

-- The privileges of an object that was just created, exactly as recorded: what the default privileges of its creator granted is revoked first.
-- NULL, as recorded, is PostgreSQL's own default, and needs nothing where no default privileges applied. `acl`: a query for the object's privileges.
CREATE OR REPLACE FUNCTION zanith._render_grants_anew(grants jsonb, kind text, object text, owner text, acl text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(zanith._do(format($body$/* DDL */ DECLARE given pg_catalog.aclitem[] := (%1$s); r record;
BEGIN
    IF given IS NOT NULL OR %2$L::pg_catalog.bool THEN
        EXECUTE %3$L;
        FOR r IN SELECT DISTINCT pg_catalog.pg_get_userbyid(x.grantee) AS name FROM pg_catalog.aclexplode(given) x WHERE x.grantee OPERATOR(pg_catalog.<>) 0::pg_catalog.oid LOOP
            EXECUTE pg_catalog.concat(%4$L, pg_catalog.quote_ident(r.name), ' CASCADE');
        END LOOP;%5$s
    END IF;
END$body$, acl, COALESCE(grants, 'null') <> 'null', format('REVOKE ALL ON %s %s FROM PUBLIC, %I', kind, object, owner),
            format('REVOKE ALL ON %s %s FROM ', kind, object),
            CASE WHEN COALESCE(grants, 'null') <> 'null' THEN '' ELSE format(E'\n        EXECUTE %L;', format('GRANT ALL ON %s %s TO %I%s', kind, object, owner,
                CASE WHEN kind IN ('ROUTINE', 'TYPE') THEN ', PUBLIC' ELSE '' END)) END)),
            'Revoke privileges that were not recorded')
        || zanith._render_grants(grants, format('%s %s', kind, object), owner, NULL, true)
); END $$;

-- The same for a relation.
CREATE OR REPLACE FUNCTION zanith._render_relation_grants_anew(grants jsonb, kind text, relation text, owner text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._render_grants_anew(grants, kind, relation, owner, format('SELECT c.relacl FROM pg_catalog.pg_class c WHERE c.oid OPERATOR(pg_catalog.=) %L::pg_catalog.regclass::pg_catalog.oid', relation))
$$;

-- REVOKE steps that leave the object to its owner alone. Roles in `spared` keep theirs.
CREATE OR REPLACE FUNCTION zanith._render_revokes(
    grants jsonb, object text, owner text, column_name text DEFAULT NULL, spared jsonb DEFAULT '[]')
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._step(
        format('REVOKE ALL%s ON %s FROM %s CASCADE', COALESCE(' (' || quote_ident(column_name) || ')', ''), object, e.grantee),
        'Revoke the privileges of other roles') -> 0 ORDER BY e.first)
    FROM (
        SELECT COALESCE(quote_ident(g.item ->> 'grantee'), 'PUBLIC') AS grantee, min(g.ord) AS first
        FROM zanith._each(grants) g
        WHERE g.item ->> 'grantee' IS DISTINCT FROM owner AND NOT spared ? COALESCE(g.item ->> 'grantee', '')
        GROUP BY 1
    ) e
); END $$;

-- Expressions that the owner wrote run as the owner, not as the operator: these steps say so. (A superuser's own need not.)
-- `rows_only`: those alone that go through rows.
CREATE OR REPLACE FUNCTION zanith._as_owner(owner text, steps jsonb, rows_only boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item || CASE WHEN s.item ->> 'role' IS NOT NULL THEN '{}' WHEN rows_only AND NOT (s.item ->> 'grows')::boolean THEN '{}'
                                             ELSE jsonb_build_object('role', zanith._runner(owner)) END ORDER BY s.ord) FROM zanith._each(steps) s
); END $$;

CREATE OR REPLACE FUNCTION zanith._runner(owner text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN EXISTS (SELECT FROM pg_roles WHERE rolname = owner AND rolsuper) THEN NULL ELSE owner END
); END $$;

-- The statement that makes an object, which reads its expressions anew: as the owner, unless it calls nothing outside of pg_catalog.
-- (An owner needs CREATE on the schema for some of them, and who restores need not give it.)
CREATE OR REPLACE FUNCTION zanith._made_by(item jsonb, owner text, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN COALESCE((item ->> 'builtin')::boolean, false) THEN steps ELSE (
        SELECT zanith._list(CASE WHEN s.ord = 1 THEN s.item || jsonb_build_object('role', zanith._runner(owner)) ELSE s.item END ORDER BY s.ord)
        FROM zanith._each(steps) s) END
); END $$;

-- Steps on a table whose partition key calls code: most of what alters it asks for the key, and the role that asks first evaluates it. So
-- all of them run as the owner, but for those that are Zanith's.
CREATE OR REPLACE FUNCTION zanith._as_owner_of_key(runner text, keyed boolean, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN runner IS NULL OR NOT COALESCE(keyed, false) THEN steps ELSE (
        SELECT zanith._list(CASE WHEN s.item ->> 'role' IS NULL AND NOT s.item ? 'by'
                -- the owner need not be able to use the schema of its function
                AND NOT starts_with(s.item ->> 'sql', 'CREATE TRIGGER _zanith_refuse_') THEN s.item || jsonb_build_object('role', runner) ELSE s.item END ORDER BY s.ord)
        FROM zanith._each(steps) s) END
); END $$;

-- REPLICA IDENTITY USING INDEX evaluates what is constant in the predicate and the expressions of an index, and only then refuses such an
-- index. Between two transactions another index may have taken the name: the owner of the table gives the command.
CREATE OR REPLACE FUNCTION zanith._identity_by_owner(steps jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(CASE WHEN s.item ->> 'role' IS NULL AND starts_with(s.item ->> 'sql', 'ALTER TABLE ') AND position(' REPLICA IDENTITY USING INDEX ' IN s.item ->> 'sql') > 0
        THEN s.item || jsonb_build_object('role', zanith._runner(zanith._owner_of(s.item #>> '{tables,0}'))) ELSE s.item END ORDER BY s.ord)
    FROM zanith._each(steps) s
); END $$;

-- The present owner of a table, as a plan and a script have it.
CREATE OR REPLACE FUNCTION zanith._owner_of(table_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = to_regclass(table_name)); END $$;
