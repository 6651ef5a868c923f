-- archive_column: copy key and value of every row to the shadow, prove the copy, drop the column; or let it stay (archive_values).

CREATE OR REPLACE FUNCTION zanith._render_archive_column(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_cascade_drop(d -> 'cascade')
        -- the others go with the column; one that names it in an expression only would stand in the way
        || zanith._render_parts_off(d, (SELECT jsonb_agg(k.item) FROM zanith._each(d -> 'constraints') k
                                        WHERE zanith._constraint_is(k.item, 'exclusion')))
        || zanith._render_generated_drop(d -> 'cascade')
        || zanith._render_force(d, false)
        || zanith._render_copy(d, q.archive, format('SELECT %s%s FROM %s', COALESCE(q.keys || ', ', ''), zanith._as_kept(d, quote_ident(q.col)), q.source), q.source, q.target)
        || CASE WHEN q.keys IS NULL THEN '[]' ELSE zanith._by_zanith(zanith._step(format('ALTER TABLE %s ADD PRIMARY KEY (%s)', q.archive, q.keys),
            'Add the primary key of the archive', 'ACCESS EXCLUSIVE', ARRAY[q.archive], true)) END
        || zanith._render_archive_closed(q.archive, d #>> '{table,owner}', d ->> 'id')
        || CASE WHEN d ? 'stays' THEN '[]' ELSE (SELECT zanith._list(s.item ORDER BY p.ord, r.ord, s.ord)
            FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'renames') r, LATERAL zanith._each(
                zanith._step(format('ALTER SEQUENCE %s OWNED BY NONE', zanith._qualify(r.item ->> 'schema', r.item ->> 'name')),
                    'Keep the sequence when the column is dropped', 'SHARE ROW EXCLUSIVE')
                || zanith._step(format('ALTER SEQUENCE %s RENAME TO %I', zanith._qualify(r.item ->> 'schema', r.item ->> 'name'),
                    r.item ->> 'parked'), 'Free the name of the sequence', 'ACCESS EXCLUSIVE')
                || zanith._moving(zanith._step(format('ALTER SEQUENCE %s SET SCHEMA _zanith_shadow',
                    zanith._qualify(r.item ->> 'schema', r.item ->> 'parked')), 'Park the sequence', 'ACCESS EXCLUSIVE'), r.item ->> 'schema', r.item ->> 'parked')) s)
        || zanith._step(format('ALTER TABLE %s DROP COLUMN %I', q.target, q.col),
            'Drop the column', 'ACCESS EXCLUSIVE', ARRAY[q.target]) END
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

-- Steps that Zanith's own role runs, since nobody else may create in the shadow schema.
CREATE OR REPLACE FUNCTION zanith._by_zanith(steps jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$ SELECT zanith._marked(steps, '{"by": "zanith"}') $$;

-- A step that moves a table or sequence, by its parked name, to the shadow schema.
CREATE OR REPLACE FUNCTION zanith._moving(steps jsonb, schema_name text, parked text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$ SELECT zanith._marked(steps, jsonb_build_object('by', 'zanith', 'from', schema_name, 'moves', parked)) $$;

-- Copies rows into a new archive, and compares rows copied with rows there before anything is dropped. Zanith copies where nothing
-- of an owner's can run (`direct`); else the owner does, into a table that Zanith made.
CREATE OR REPLACE FUNCTION zanith._render_copy(d jsonb, archive text, query text, source text, target text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN (d ->> 'direct')::boolean THEN
            zanith._marked(zanith._by_zanith(zanith._step(format('CREATE TABLE %s AS %s', archive, query),
                'Copy the key and value of every row', 'ACCESS SHARE', ARRAY[target], true)), '{"copies": true}')
        ELSE
            zanith._by_zanith(zanith._step(format('CREATE TABLE %s AS %s WITH NO DATA', archive, query), 'Create the table for the copy', 'ACCESS SHARE', ARRAY[target])
                || zanith._step(format('GRANT INSERT, SELECT ON TABLE %s TO %I', archive, d #>> '{table,owner}'), 'Let the owner of the table copy the rows (reading the table runs the owner''s code)'))
            || zanith._marked(zanith._as_role(d #>> '{table,runner}', zanith._step(format('INSERT INTO %s %s', archive, query),
                'Copy the key and value of every row', 'ACCESS SHARE', ARRAY[target], true)), '{"copies": true}')
            || zanith._by_zanith(zanith._step(format('REVOKE INSERT ON TABLE %s FROM %I', archive, d #>> '{table,owner}'), 'Revoke the privilege to write to the archive')) END
        || zanith._by_zanith((SELECT zanith._list(zanith._step(format('ALTER TABLE %s ALTER COLUMN %I SET STATISTICS 0', archive, m.item #>> '{}'),
               format('Collect no statistics of %I: for its type ANALYZE would call a function of the owner', m.item #>> '{}'), 'SHARE UPDATE EXCLUSIVE', ARRAY[archive]) -> 0 ORDER BY m.ord)
            FROM zanith._each(d -> 'measured') m))
        || zanith._marked(zanith._step(format('SELECT count(*) FROM %s', source), 'Compare the number of rows copied with the number in the table', 'ACCESS SHARE', ARRAY[target], true),
               CASE WHEN (d ->> 'direct')::boolean THEN '{"counts": true, "by": "zanith"}' ELSE jsonb_build_object('counts', true, 'role', d #>> '{table,runner}') END)
); END $$;

CREATE OR REPLACE FUNCTION zanith._marked(steps jsonb, mark jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT zanith._list(s.item || mark ORDER BY s.ord) FROM zanith._each(steps) s); END $$;

CREATE OR REPLACE FUNCTION zanith._as_role(role_name text, steps jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$ SELECT zanith._marked(steps, jsonb_build_object('role', role_name)) $$;

-- A new archive: closed, still, named; its owner's table may be read by its owner, who may also lock it.
CREATE OR REPLACE FUNCTION zanith._render_archive_closed(archive text, owner text, id text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._by_zanith(
        zanith._render_privacy(archive)
        || zanith._render_refusal(archive, false, false)
        || zanith._step(format('COMMENT ON TABLE %s IS %L', archive, zanith._parked_comment(id)), 'Mark the archive with the artifact''s id')
        || zanith._step(format('GRANT SELECT, TRUNCATE ON TABLE %s TO %I', archive, owner),
               'Let the owner of the table read and lock the archive (a trigger refuses TRUNCATE)'))
$$;

-- FORCE ROW LEVEL SECURITY would hide rows from their owner: lifted for the copy, put back after it.
CREATE OR REPLACE FUNCTION zanith._render_force(d jsonb, back boolean) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN COALESCE((d #>> '{table,force_row_security}')::boolean, false) THEN zanith._step(
        format('ALTER TABLE %s %sFORCE ROW LEVEL SECURITY', q.target, CASE WHEN back THEN '' ELSE 'NO ' END),
        CASE WHEN back THEN 'Apply row security to the owner again (FORCE)' ELSE 'Let the owner see every row (NO FORCE ROW LEVEL SECURITY)' END,
        'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
    FROM (SELECT zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}')) q(target)
); END $$;
