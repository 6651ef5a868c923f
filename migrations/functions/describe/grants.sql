-- Grants: from an aclitem[] to jsonb, in the order that the catalog holds them.

-- NULL where the privileges are the built-in default, written down or not (`kind` as acldefault takes it, with the owner); else [{grantee, grantor, privileges, grantable}],
-- grantee null for PUBLIC. (PostgreSQL manual, "Privileges".)
CREATE OR REPLACE FUNCTION zanith._describe_grants(acl aclitem[], kind "char" DEFAULT NULL, owner oid DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN acl IS NULL OR acl @> acldefault(kind, owner) AND acl <@ acldefault(kind, owner) THEN NULL ELSE zanith._list(entry ORDER BY ord) END
    FROM (
        SELECT i.ord, jsonb_build_object(
            'grantee', CASE WHEN x.grantee = 0 THEN NULL ELSE pg_get_userbyid(x.grantee) END,
            'grantor', pg_get_userbyid(x.grantor),
            'privileges', jsonb_agg(x.privilege_type ORDER BY x.privilege_type COLLATE "C"),
            'grantable', zanith._list(x.privilege_type ORDER BY x.privilege_type COLLATE "C")
                                  FILTER (WHERE x.is_grantable)) AS entry
        FROM unnest(acl) WITH ORDINALITY i(item, ord), aclexplode(ARRAY[i.item]) x
        GROUP BY i.ord, x.grantee, x.grantor
    ) e
); END $$;
