-- Publications: which ones carry a table, and how it came to be in them.

CREATE OR REPLACE FUNCTION zanith._describe_publications(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(m.entry ORDER BY m.name COLLATE "C", m.via COLLATE "C")
    FROM (
        SELECT p.pubname AS name, 'table' AS via, jsonb_build_object(
            'name', p.pubname, 'via', 'table', 'owner', pg_get_userbyid(p.pubowner),
            'columns', CASE WHEN r.prattrs IS NOT NULL
                            THEN zanith._attribute_names(r.prrelid, r.prattrs::smallint[]) END,
            'where', pg_get_expr(r.prqual, r.prrelid)) AS entry
        FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE r.prrelid = relation
        UNION ALL
        SELECT p.pubname, 'schema', jsonb_build_object('name', p.pubname, 'via', 'schema')
        FROM pg_publication_namespace s JOIN pg_publication p ON p.oid = s.pnpubid
        JOIN pg_class c ON c.relnamespace = s.pnnspid WHERE c.oid = relation
        UNION ALL
        SELECT p.pubname, 'all tables', jsonb_build_object('name', p.pubname, 'via', 'all tables')
        FROM pg_publication p, pg_class c
        WHERE p.puballtables AND c.oid = relation AND c.relpersistence = 'p'
    ) m
); END $$;
