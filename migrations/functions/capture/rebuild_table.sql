-- rebuild_table: keep the definition, and a copy of the rows where asked; the table itself is not touched. archive_rows copies in the same way, but
-- leaves row security alone where a superuser copies: TRUNCATE has the table in use.

CREATE OR REPLACE FUNCTION zanith._render_rebuild_table(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN COALESCE(d -> 'parked', 'null') = 'null' THEN '[]' ELSE
        CASE WHEN q.superuser THEN '[]' ELSE zanith._render_force(d, false) END
        || zanith._render_copy(d, q.archive, format('SELECT * FROM %s', q.source), q.source, q.target)
        || CASE WHEN COALESCE(d -> 'key', 'null') = 'null' THEN '[]' ELSE
            zanith._by_zanith(zanith._step(format('ALTER TABLE %s ADD PRIMARY KEY (%s)', q.archive, zanith._key_list(d -> 'key')),
                'Add the primary key of the copy', 'ACCESS EXCLUSIVE', ARRAY[q.archive], true)) END
        || zanith._render_archive_closed(q.archive, d #>> '{table,owner}', d ->> 'id')
        || CASE WHEN q.superuser THEN '[]' ELSE zanith._render_force(d, true) END END
    FROM (SELECT zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}'),
                 CASE WHEN (d #>> '{table,partitioned}')::boolean THEN '' ELSE 'ONLY ' END
                 || zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}'),
                 zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'),
                 d ->> 'strategy' = 'archive_rows' AND (d ->> 'direct')::boolean) q(target, source, archive, superuser)
); END $$;
