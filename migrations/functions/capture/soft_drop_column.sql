-- soft_drop_column: rename, instant at any size; first lift all that would still bite.

CREATE OR REPLACE FUNCTION zanith._render_soft_drop_column(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_cascade_drop(d -> 'cascade')
        || zanith._render_parts_off(d, d -> 'constraints')
        || (SELECT zanith._list(zanith._step(
                format('DROP INDEX %s', zanith._qualify(p.part ->> 'schema', COALESCE(i.item #>> '{parked,name}', i.item ->> 'name'))),
                'Drop a unique, partial or expression index (recorded)',
                'ACCESS EXCLUSIVE', ARRAY[p.target]) -> 0 ORDER BY p.ord, i.ord)
            FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'indexes') i
            -- one attached to an index of the parent goes with that
            WHERE NOT (i.item ->> 'plain')::boolean AND NOT (p.ord > 0 AND (i.item ->> 'partition')::boolean))
        || (SELECT zanith._list(zanith._step(
                format('DROP STATISTICS %s', zanith._qualify(x.item ->> 'schema', COALESCE(x.item #>> '{parked,name}', x.item ->> 'name'))),
                'Drop a statistics object (recorded)') -> 0 ORDER BY p.ord, x.ord)
            FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'statistics') x
            WHERE NOT COALESCE((x.item ->> 'plain')::boolean, true))
        || zanith._render_generated_drop(d -> 'cascade')
        || (SELECT zanith._list(zanith._step(
                format('ALTER TABLE %s%s ALTER COLUMN %I DROP DEFAULT', q.alone, p.target, q.col),
                'Drop the default, so that new rows leave the column NULL', 'ACCESS EXCLUSIVE', ARRAY[p.target]) -> 0 ORDER BY p.ord)
            FROM zanith._parts(d) p WHERE p.part #>> '{column,default}' IS NOT NULL)
        -- the identity of a partition is that of its parent
        || (SELECT zanith._list(zanith._step(
                format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY', p.target, q.col),
                'Drop the identity (its sequence is recorded)', 'ACCESS EXCLUSIVE', ARRAY[p.target]) -> 0 ORDER BY p.ord)
            FROM zanith._parts(d) p WHERE jsonb_path_exists(p.part #> '{column,sequences}', '$[*] ? (@.identity == true)'))
        || (SELECT zanith._list(zanith._step(
                format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', p.target, q.col),
                'Drop NOT NULL, so that new rows may leave the column NULL', 'ACCESS EXCLUSIVE', ARRAY[p.target]) -> 0 ORDER BY p.ord)
            FROM zanith._parts(d) p WHERE zanith._has_own_not_null(d, p.ord, p.part))
        -- PostgreSQL reads the expressions of the table anew
        || CASE WHEN d #>> '{column,base_type}' IS NULL THEN '[]' ELSE zanith._as_role(d #>> '{table,runner}', zanith._step(
                format('ALTER TABLE %s ALTER COLUMN %I TYPE %s%s', q.target, q.col, d #>> '{column,base_type}',
                       COALESCE(' COLLATE ' || (d #>> '{column,collation}'), '')),
                'Replace the domain by its base type, so that no check of it applies', 'ACCESS EXCLUSIVE', ARRAY[q.target])) END
        || (SELECT zanith._list(s.item ORDER BY p.ord, s.ord)
            FROM zanith._parts(d) p, LATERAL zanith._each(
                zanith._render_revokes(p.part #> '{column,grants}', 'TABLE ' || p.target, p.part ->> 'owner', q.col)
                || zanith._render_renames(p.part -> 'renames', NULL)) s)
        || zanith._step(format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, q.col, d #>> '{parked,column}'),
            'Park the column under another name', 'ACCESS EXCLUSIVE', ARRAY[q.target])
    FROM (SELECT zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}'), d #>> '{column,name}',
                 CASE WHEN zanith._only(d) = '' THEN 'ONLY ' ELSE '' END) q(target, col, alone)
); END $$;

-- Drop the foreign keys that point here, and the named constraints, of the table and of its descendants. What a table
-- has from its parent goes with the parent's.
CREATE OR REPLACE FUNCTION zanith._render_parts_off(d jsonb, constraints jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_constraints_off((SELECT jsonb_agg(k.item ORDER BY p.ord, k.ord)
            FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'references') k))
        || zanith._render_constraints_off(constraints)
        || zanith._render_constraints_off((SELECT jsonb_agg(k.item ORDER BY t.ord, k.ord)
            FROM zanith._each(d -> 'tree') t, LATERAL zanith._each(t.item -> 'constraints') k
            WHERE NOT (k.item ->> 'inherited')::boolean
              AND (d ->> 'strategy' = 'soft_drop_column' OR zanith._constraint_is(k.item, 'exclusion'))))
); END $$;

-- Drop constraints that are recorded. Foreign keys first: they hang on the unique ones.
CREATE OR REPLACE FUNCTION zanith._render_constraints_off(constraints jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._step(
        format('ALTER TABLE %s DROP CONSTRAINT %I', q.target, k.item ->> 'name'),
        format('Drop the %s constraint (recorded)', k.item ->> 'kind'), 'ACCESS EXCLUSIVE',
        CASE WHEN zanith._constraint_is(k.item, 'reference') THEN ARRAY[q.target,
             zanith._qualify(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}')]
             ELSE ARRAY[q.target] END) -> 0
        ORDER BY NOT zanith._constraint_is(k.item, 'reference'), k.ord)
    FROM zanith._each(constraints) k,
         LATERAL (SELECT zanith._qualify(k.item ->> 'schema', k.item ->> 'table')) q(target)
); END $$;

-- Rename to the parked names, or `back`; `now_in` is the schema they are in then (the shadow), NULL for their own.
CREATE OR REPLACE FUNCTION zanith._render_renames(renames jsonb, now_in text, back boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._step(
        format('ALTER %s %s RENAME TO %I', upper(r.item ->> 'kind'),
            zanith._qualify(CASE WHEN r.item ->> 'kind' = 'statistics' THEN r.item ->> 'schema'
                                 ELSE COALESCE(now_in, r.item ->> 'schema') END,
                            r.item ->> CASE WHEN back THEN 'parked' ELSE 'name' END),
            r.item ->> CASE WHEN back THEN 'name' ELSE 'parked' END),
        CASE WHEN back THEN format('Give its %s its own name', r.item ->> 'kind')
             ELSE format('Free the name of its %s', r.item ->> 'kind') END,
        CASE r.item ->> 'kind' WHEN 'index' THEN 'SHARE UPDATE EXCLUSIVE' WHEN 'statistics' THEN NULL
             ELSE 'ACCESS EXCLUSIVE' END) -> 0 ORDER BY r.ord)
    FROM zanith._each(renames) r WHERE back OR NOT COALESCE((r.item ->> 'shared')::boolean, false)
); END $$;
