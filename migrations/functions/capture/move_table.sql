-- soft_drop_table renames a table where it is; archive_table moves it to the shadow. No rows move in either.

CREATE OR REPLACE FUNCTION zanith._render_move_table(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_cascade_drop(d -> 'cascade')
        || zanith._render_constraints_off(d -> 'references')
        || (SELECT zanith._list(s.item ORDER BY m.ord, s.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(
                zanith._render_unpublish(m.item #> '{definition,publications}',
                                         zanith._qualify(m.item ->> 'schema', m.item ->> 'name'))) s)
        || CASE WHEN COALESCE(root #> '{definition,partition_of}', 'null') = 'null' THEN '[]' ELSE zanith._step(
            format('ALTER TABLE %s DETACH PARTITION %s', q.parent, q.target),
            'Detach the partition (its bound and parent are recorded)', 'ACCESS EXCLUSIVE', ARRAY[q.parent, q.target]) END
        || zanith._render_disinherit(d, q.target)
        || zanith._render_constraints_off((
            SELECT jsonb_agg(k.item ORDER BY m.ord, k.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item #> '{definition,constraints}') k
            WHERE zanith._constraint_is(k.item, 'reference')
              AND (NOT (k.item ->> 'inherited')::boolean OR m.ord = 1)
              -- what its parent has refers to the parent, and went with that
              AND NOT ((k.item ->> 'inherited')::boolean AND EXISTS (
                    SELECT FROM zanith._each(d -> 'references') r
                    WHERE (r.item #>> '{foreign_key,self}')::boolean AND r.item -> 'definition' = k.item -> 'definition'))))
        || (SELECT zanith._list(s.item ORDER BY m.ord, s.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(
                zanith._render_park_member(m.item, d ->> 'id')) s)
        -- together, so that Zanith's own role runs them in one call
        || zanith._render_moves(d)
    FROM (SELECT d #> '{members,0}') r(root),
         LATERAL (SELECT zanith._qualify(root ->> 'schema', root ->> 'name'),
                         zanith._qualify(root #>> '{definition,partition_of,schema}',
                                         root #>> '{definition,partition_of,name}')) q(target, parent)
); END $$;

-- One table of the tree: revoke, free every name, refuse writes, rename.
CREATE OR REPLACE FUNCTION zanith._render_park_member(m jsonb, id text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_revokes(m #> '{definition,grants}', 'TABLE ' || q.target, q.owner)
        || (SELECT zanith._list(s.item ORDER BY c.ord, s.ord)
            FROM zanith._each(m #> '{definition,columns}') c, LATERAL zanith._each(
                zanith._render_revokes(c.item -> 'grants', 'TABLE ' || q.target, q.owner, c.item ->> 'name')
                || (SELECT zanith._list(r.item ORDER BY x.ord, r.ord)
                    FROM zanith._each(c.item -> 'sequences') x, LATERAL zanith._each(zanith._render_revokes(
                        x.item -> 'grants', 'SEQUENCE ' || zanith._qualify(x.item ->> 'schema', x.item ->> 'name'), q.owner)) r)
            ) s
            WHERE c.item -> 'grants' <> 'null' OR c.item -> 'sequences' <> '[]')
        || CASE WHEN (m #>> '{definition,force_row_security}')::boolean THEN zanith._step(
            format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', q.target),
            'Let the owner see every row (NO FORCE ROW LEVEL SECURITY)', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
        || zanith._render_renames(m -> 'renames', NULL)
        || zanith._render_refusal(q.target, m ? 'clones', (m #>> '{definition,partitioned}')::boolean OR m ? 'cloned')
        || zanith._step(format('COMMENT ON TABLE %s IS %L', q.target, zanith._parked_comment(id)), 'Mark the table with the artifact''s id')
        || zanith._step(format('ALTER TABLE %s RENAME TO %I', q.target, m ->> 'parked'),
            'Park the table under another name', 'ACCESS EXCLUSIVE', ARRAY[q.target])
    FROM (SELECT zanith._qualify(m ->> 'schema', m ->> 'name'), m #>> '{definition,owner}') q(target, owner)
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_moves(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY m.ord, s.ord) FROM zanith._each(d -> 'members') m, LATERAL zanith._each(zanith._render_member_move(m.item)) s
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_member_move(m jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN
    CASE WHEN m ->> 'parked_schema' = m ->> 'schema' THEN '[]' ELSE zanith._moving(zanith._step(
        format('ALTER TABLE %s SET SCHEMA %I', zanith._qualify(m ->> 'schema', m ->> 'parked'), m ->> 'parked_schema'),
        'Move the table to the shadow schema (no rows move)', 'ACCESS EXCLUSIVE', ARRAY[zanith._qualify(m ->> 'schema', m ->> 'name')]),
        m ->> 'schema', m ->> 'parked') || (
        SELECT zanith._list(zanith._by_zanith(zanith._step(format('ALTER STATISTICS %s SET SCHEMA %I', zanith._qualify(r.item ->> 'schema', r.item ->> 'parked'), r.item ->> 'parked_schema'),
            'Move a statistics object of the table along')) -> 0 ORDER BY r.ord)
        FROM zanith._each(m -> 'renames') r WHERE r.item ? 'parked_schema') END;
END $$;

-- NO INHERIT would make the columns the table's own for good. They stay inherited where another parent has them: an empty
-- placeholder stands in for each, until the restore.
CREATE OR REPLACE FUNCTION zanith._render_disinherit(d jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY s.part, p.ord, s.ord)
    FROM zanith._each(d -> 'placeholders') p,
         LATERAL (SELECT zanith._qualify(p.item ->> 'schema', p.item ->> 'name'),
                         zanith._qualify(d #>> '{table,schema}', p.item ->> 'parked'), COALESCE((p.item ->> 'other_owner')::boolean, false)) q(parent, placeholder, other),
         LATERAL (
            SELECT 1 AS part, e.item, e.ord FROM zanith._each(
                -- its expressions are its parent's: read as the owner; a parent of another owner calls no code (see _check_parents)
                zanith._as_role(CASE WHEN NOT q.other THEN d #>> '{table,runner}' END, zanith._step(
                    format('CREATE TABLE %s (LIKE %s INCLUDING CONSTRAINTS INCLUDING GENERATED)', q.placeholder, q.parent),
                    'Create an empty placeholder for the parent', 'ACCESS SHARE', ARRAY[q.parent]))
                || CASE WHEN q.other THEN zanith._step(format('ALTER TABLE %s OWNER TO %I', q.placeholder, d #>> '{table,owner}'),
                    'Give the placeholder to the owner of the table', 'ACCESS EXCLUSIVE') ELSE '[]' END
                -- LIKE makes a constraint valid; it has to be as the table has it
                || (SELECT zanith._list(c.item ORDER BY k.ord, c.ord)
                    FROM zanith._each(d #> '{members,0,definition,constraints}') k, LATERAL zanith._each(zanith._as_role(d #>> '{table,runner}',
                        zanith._step(format('ALTER TABLE %s DROP CONSTRAINT IF EXISTS %I', q.placeholder, k.item ->> 'name'), 'Drop the constraint of the placeholder', 'ACCESS EXCLUSIVE')
                        || zanith._step(format('ALTER TABLE %s ADD CONSTRAINT %I %s', q.placeholder, k.item ->> 'name', zanith._round_trip_safe(k.item ->> 'definition')),
                            'Add the constraint to the placeholder as the table has it', 'ACCESS EXCLUSIVE'))) c
                    WHERE zanith._constraint_is(k.item, 'condition') AND (k.item ->> 'inherited')::boolean
                      AND NOT ((k.item ->> 'validated')::boolean AND (k.item ->> 'enforced')::boolean))
                || (SELECT zanith._list(c.item ORDER BY k.ord, c.ord)
                    FROM zanith._each(d #> '{members,0,definition,columns}') k, LATERAL zanith._each(
                        zanith._step(format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', q.placeholder, k.item ->> 'name'), 'Drop NOT NULL of the placeholder', 'ACCESS EXCLUSIVE')
                        || zanith._step(format('ALTER TABLE %s ADD CONSTRAINT %I NOT NULL %I NOT VALID', q.placeholder, k.item #>> '{not_null,name}', k.item ->> 'name'),
                            'Add NOT NULL to the placeholder as the table has it', 'ACCESS EXCLUSIVE')) c
                    WHERE NOT (k.item #>> '{not_null,validated}')::boolean AND EXISTS (
                        SELECT FROM pg_attribute a WHERE a.attrelid = zanith._relation_oid(p.item ->> 'schema', p.item ->> 'name') AND a.attname = k.item ->> 'name' AND a.attnotnull))
                || zanith._render_archive_care(q.placeholder, d #>> '{table,owner}', d ->> 'id')
                || zanith._step(format('ALTER TABLE %s INHERIT %s', target, q.placeholder),
                    'Inherit from the placeholder, so that inherited columns stay inherited', 'ACCESS EXCLUSIVE', ARRAY[target])
                || CASE WHEN d #>> '{parked,schema}' = d #>> '{table,schema}' THEN '[]' ELSE zanith._moving(zanith._step(
                    format('ALTER TABLE %s SET SCHEMA %I', q.placeholder, d #>> '{parked,schema}'), 'Move the placeholder to the shadow schema', 'ACCESS EXCLUSIVE'),
                    d #>> '{table,schema}', p.item ->> 'parked') END) e
            UNION ALL
            SELECT 2, e.item, e.ord FROM zanith._each(
                zanith._step(format('ALTER TABLE %s NO INHERIT %s', target, q.parent),
                    'Detach from the parent (NO INHERIT; the parent is recorded)', 'ACCESS EXCLUSIVE', ARRAY[q.parent, target])) e) s
); END $$;
