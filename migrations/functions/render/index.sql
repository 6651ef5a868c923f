-- Indexes.

CREATE OR REPLACE FUNCTION zanith._render_index(index jsonb, schema_name text, target text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._building(ARRAY[format('the index %I', index ->> 'name')], zanith._step(
            -- one that lacks its counterpart in a partition was invalid, and comes back so
            format('CREATE %sINDEX %I ON %s%s %s', CASE WHEN (index ->> 'unique')::boolean THEN 'UNIQUE ' ELSE '' END, index ->> 'name',
                   CASE WHEN (index ->> 'partitioned')::boolean AND NOT (index ->> 'valid')::boolean THEN 'ONLY ' ELSE '' END, target, zanith._round_trip_safe(index ->> 'using')),
            format('Build the index %I', index ->> 'name'), 'SHARE', ARRAY[target], true), false, NULL, jsonb_build_object('index', index, 'target', target))
        || zanith._render_index_settings(index, schema_name, target)
$$;

-- What CREATE INDEX and ADD CONSTRAINT leave out: tablespace, CLUSTER and replica identity marks, statistics, comment, extensions.
CREATE OR REPLACE FUNCTION zanith._render_index_settings(index jsonb, schema_name text, target text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT (SELECT zanith._list(zanith._step(s.sql, s.purpose, s.lock, ARRAY[target]) -> 0 ORDER BY s.ord)
        FROM (VALUES
            (1, format('ALTER INDEX %s SET TABLESPACE ', q.name) || quote_ident(index ->> 'tablespace'),
                'Set the tablespace of the index', 'ACCESS EXCLUSIVE', index ->> 'tablespace' IS NOT NULL),
            (2, format('ALTER TABLE %s CLUSTER ON %I', target, index ->> 'name'),
                'Mark the index for CLUSTER', 'SHARE UPDATE EXCLUSIVE', (index ->> 'clustered')::boolean),
            (3, format('ALTER TABLE %s REPLICA IDENTITY USING INDEX %I', target, index ->> 'name'),
                'Set the replica identity', 'ACCESS EXCLUSIVE', (index ->> 'replica_identity')::boolean)
        ) s(ord, sql, purpose, lock, wanted) WHERE s.wanted)
    || (SELECT zanith._list(zanith._step(
            format('ALTER INDEX %s ALTER COLUMN %s SET STATISTICS %s', q.name, t.key, t.value),
            'Set the statistics target', 'SHARE UPDATE EXCLUSIVE', ARRAY[target]) -> 0 ORDER BY t.key)
        FROM jsonb_each_text(NULLIF(index -> 'statistics', 'null')) t)
    || zanith._render_comment(index ->> 'comment', 'INDEX ' || q.name)
    || zanith._render_extensions(index -> 'extensions', 'INDEX ' || q.name, ARRAY[target])
    FROM (SELECT zanith._qualify(schema_name, index ->> 'name')) q(name)
); END $$;
