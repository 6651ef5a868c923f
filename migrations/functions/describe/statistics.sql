-- Extended statistics.

CREATE OR REPLACE FUNCTION zanith._describe_statistics(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object(
        'schema', n.nspname, 'name', s.stxname, 'owner', pg_get_userbyid(s.stxowner),
        'definition', pg_get_statisticsobjdef(s.oid),
        'columns', (SELECT zanith._list(DISTINCT a.attname)
                    FROM pg_attribute a
                    WHERE a.attrelid = relation AND a.attnum > 0
                      AND (a.attnum = ANY (s.stxkeys::smallint[])
                           OR EXISTS (SELECT FROM pg_depend d
                                      WHERE d.classid = 'pg_statistic_ext'::regclass AND d.objid = s.oid
                                        AND d.refclassid = 'pg_class'::regclass AND d.refobjid = relation
                                        AND d.refobjsubid = a.attnum))),
        'builtin', zanith._is_builtin('pg_statistic_ext'::regclass, s.oid),
        'target', NULLIF(s.stxstattarget, -1),
        'comment', obj_description(s.oid, 'pg_statistic_ext')) ORDER BY s.stxname COLLATE "C")
    FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
    WHERE s.stxrelid = relation
); END $$;
