-- archive_column: copy key and value of every row to the shadow, prove the copy, drop the column.

CREATE OR REPLACE FUNCTION zanith._render_archive_column(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_cascade_drop(d -> 'cascade')
        -- the others go with the column; one that names it in an expression only would stand in the way
        || zanith._render_parts_off(d, (SELECT jsonb_agg(k.item) FROM zanith._each(d -> 'constraints') k
                                        WHERE k.item ->> 'kind' = 'exclude'))
        || zanith._render_generated_drop(d -> 'cascade')
        || zanith._render_force(d, false)
        || zanith._step(format('CREATE TABLE %s AS SELECT %s, %I FROM %s', q.archive, q.keys, q.col, q.source),
            'copy key and value of every row', 'ACCESS SHARE', ARRAY[q.target], true)
        || zanith._render_copy_gate(q.archive, q.source)
        || zanith._step(format('ALTER TABLE %s ADD PRIMARY KEY (%s)', q.archive, q.keys),
            'the key of the archive', 'ACCESS EXCLUSIVE', ARRAY[q.archive], true)
        || zanith._render_archive_care(q.archive, d #>> '{table,owner}', d ->> 'id')
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY p.ord, r.ord, s.ord)
            FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'renames') r, LATERAL zanith._each(
                zanith._step(format('ALTER SEQUENCE %s OWNED BY NONE', zanith._qualify(r.item ->> 'schema', r.item ->> 'name')),
                    'its sequence outlives the column', 'SHARE ROW EXCLUSIVE')
                || zanith._step(format('ALTER SEQUENCE %s RENAME TO %I', zanith._qualify(r.item ->> 'schema', r.item ->> 'name'),
                    r.item ->> 'parked'), 'free the name of its sequence', 'ACCESS EXCLUSIVE')
                || zanith._step(format('ALTER SEQUENCE %s SET SCHEMA _zanith_shadow',
                    zanith._qualify(r.item ->> 'schema', r.item ->> 'parked')), 'park its sequence', 'ACCESS EXCLUSIVE')) s), '[]')
        || zanith._step(format('ALTER TABLE %s DROP COLUMN %I', q.target, q.col),
            'drop the column', 'ACCESS EXCLUSIVE', ARRAY[q.target])
        || zanith._render_force(d, true)
    FROM (SELECT zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}'), d #>> '{column,name}',
                 zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'),
                 zanith._key_list(d -> 'key'),
                 zanith._only(d) || zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}')) q(target, col, archive, keys, source)
); END $$;

CREATE OR REPLACE FUNCTION zanith._key_list(key jsonb, prefix text DEFAULT '') RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(prefix || quote_ident(k.item ->> 'name'), ', ' ORDER BY k.ord) FROM zanith._each(key) k
); END $$;

-- Rows copied against rows there, before anything is dropped. What CREATE TABLE AS said that it copied the capture keeps in
-- zanith.copied; whoever runs the steps by hand counts. (EXECUTE counts on several cores, an expression of PL/pgSQL on one.)
CREATE OR REPLACE FUNCTION zanith._render_copy_gate(archive text, source text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._step(zanith._do(format(
        'DECLARE there bigint; copied bigint; BEGIN '
        'EXECUTE %L INTO there; '
        'copied := COALESCE(NULLIF(pg_catalog.current_setting(''zanith.copied'', true), '''')::bigint, (SELECT count(*) FROM %s)); '
        'IF there <> copied THEN RAISE EXCEPTION ''the copy has %% rows, the table %%'', copied, there '
        'USING ERRCODE = ''data_exception''; END IF; END', 'SELECT count(*) FROM ' || source, archive)),
        'compare rows copied with rows there', 'ACCESS SHARE', ARRAY[archive], true)
$$;

-- FORCE ROW LEVEL SECURITY would hide rows from their owner: lifted for the copy, put back after it.
CREATE OR REPLACE FUNCTION zanith._render_force(d jsonb, back boolean) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN COALESCE((d #>> '{table,force_row_security}')::boolean, false) THEN zanith._step(
        format('ALTER TABLE %s %sFORCE ROW LEVEL SECURITY', q.target, CASE WHEN back THEN '' ELSE 'NO ' END),
        CASE WHEN back THEN 'row security binds the owner again' ELSE 'let the owner see every row' END,
        'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
    FROM (SELECT zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}')) q(target)
); END $$;
