-- Restoring a column: parked or archived, the same steps around it, in every table of its family.

-- The parts that are still there to be restored: the table's own, and those of tables that are beneath it now. A script
-- (`live` NULL) has all, and looks for itself when it runs.
CREATE OR REPLACE FUNCTION zanith._live_parts(d jsonb, target_schema text, target_table text, live oid)
RETURNS TABLE (ord bigint, part jsonb, target text) LANGUAGE sql STABLE ROWS 3 AS $$
    SELECT p.ord, p.part, p.target FROM zanith._parts(d, target_schema, target_table) p
    WHERE p.ord = 0 OR live IS NULL
       OR zanith._relation_oid(p.part ->> 'schema', p.part ->> 'name') IN (SELECT f.member FROM zanith._family(live) f)
$$;

-- Steps for a table that may be gone when a script runs.
CREATE OR REPLACE FUNCTION zanith._where_there(target text, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg(s.item || jsonb_build_object('sql', zanith._do(format(
        'BEGIN IF pg_catalog.to_regclass(%L) IS NOT NULL THEN EXECUTE %L; END IF; END', target, s.item ->> 'sql'))) ORDER BY s.ord), '[]')
    FROM zanith._each(steps) s
); END $$;

-- Whether a part of a column cannot do without NOT NULL: an identity, a primary key and a replica identity ask for it.
CREATE OR REPLACE FUNCTION zanith._needs_not_null(part jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT part #>> '{column,identity}' IS NOT NULL
        OR jsonb_path_exists(part, '$.constraints[*] ? (@.kind == "primary key" || @.index.replica_identity == true)')
        OR jsonb_path_exists(part, '$.indexes[*] ? (@.replica_identity == true)')
); END $$;

-- Whether the column cannot come back without NOT NULL: `_needs_not_null`, of a key that has the column itself, not only beside it.
CREATE OR REPLACE FUNCTION zanith._takes_no_null(d jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(d #> '{column,not_null}', 'null') <> 'null' AND (d #>> '{column,identity}' IS NOT NULL
        OR EXISTS (SELECT FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'constraints') k
                   WHERE (k.item ->> 'kind' = 'primary key' OR (k.item #>> '{index,replica_identity}')::boolean) AND k.item -> 'columns' ? (d #>> '{column,name}'))
        OR EXISTS (SELECT FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'indexes') i
                   WHERE (i.item ->> 'replica_identity')::boolean AND i.item -> 'keys' ? quote_ident(d #>> '{column,name}')))
); END $$;

-- NOT NULL of the table and of each beneath it that is so by itself or by another name, the lowest first: what is added
-- above merges with what is there. It is validated at once where what follows in the same transaction asks for it; `beside`:
-- a key is made after it, beside live traffic.
CREATE OR REPLACE FUNCTION zanith._render_not_nulls(d jsonb, target_schema text, target_table text, live oid, col text, final text, beside boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg(s.item ORDER BY p.ord DESC, s.ord), '[]')
    FROM (SELECT NOT beside AND EXISTS (SELECT FROM zanith._live_parts(d, target_schema, target_table, live) p WHERE zanith._needs_not_null(p.part))
              -- before 18 a check proves NOT NULL, which a row of NULLs fails, although NOT NULL takes it
              OR current_setting('server_version_num')::integer < 180000 AND EXISTS (
                  SELECT FROM pg_type t WHERE t.oid = zanith._beneath_domain(to_regtype(d #>> '{column,type}')) AND t.typtype = 'c')) q(at_once),
         zanith._live_parts(d, target_schema, target_table, live) p,
         LATERAL zanith._render_not_null(p.part -> 'column', p.target, col, d ->> 'id', current_setting('server_version_num')::integer,
            q.at_once, final) n(steps),
         LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target, n.steps)) s
    WHERE zanith._has_own_not_null(d, p.ord, p.part)
       OR p.part #>> '{column,not_null,name}' <> d #>> '{column,not_null,name}'
); END $$;

-- Constraints of a kind, of the table and of those beneath it.
CREATE OR REPLACE FUNCTION zanith._render_constraints_back(
    d jsonb, target_schema text, target_table text, live oid, kinds text[], not_valid boolean)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg(s.item ORDER BY CASE WHEN q.unique_ones THEN -p.ord ELSE p.ord END, NOT (k.item ->> 'inherited')::boolean, t.top, k.ord, s.ord), '[]')
    FROM (SELECT kinds && ARRAY['primary key', 'unique', 'exclude']) q(unique_ones),
         zanith._live_parts(d, target_schema, target_table, live) p CROSS JOIN LATERAL zanith._each(p.part -> 'constraints') k
         LEFT JOIN zanith._topmost_indexes(d) t ON jsonb_typeof(k.item -> 'index') = 'object' AND t.name = zanith._qualify(p.part ->> 'schema', k.item ->> 'name'),
         LATERAL zanith._constraint_by_owner(k.item, p.part ->> 'owner', p.part ->> 'schema', p.target,
            CASE WHEN k.item ->> 'kind' <> 'foreign key' THEN NULL
                 WHEN (k.item #>> '{foreign_key,self}')::boolean THEN p.target
                 ELSE zanith._qualify(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}') END,
            not_valid, k.item ->> 'kind' = 'foreign key' AND zanith._wants_proof_at_once(p.part ->> 'schema', p.part ->> 'name')) r(steps),
         LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target, r.steps)) s
    WHERE k.item ->> 'kind' = ANY (kinds)
      -- what comes with the parent's; a unique key beneath is made first, by its own name, and the parent's takes it up
      AND (q.unique_ones OR p.ord = 0 OR NOT (k.item ->> 'inherited')::boolean)
); END $$;

-- Indexes that went: those of tables beneath first, so that the parent's takes them up instead of making its own.
CREATE OR REPLACE FUNCTION zanith._render_indexes_back(d jsonb, target_schema text, target_table text, live oid, soft boolean)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg(s.item ORDER BY -p.ord, NOT (i.item ->> 'partition')::boolean, t.top, i.ord, s.ord), '[]')
    FROM zanith._live_parts(d, target_schema, target_table, live) p CROSS JOIN LATERAL zanith._each(p.part -> 'indexes') i
         LEFT JOIN zanith._topmost_indexes(d) t ON t.name = zanith._qualify(p.part ->> 'schema', i.item ->> 'name'),
         LATERAL zanith._with_parked_columns(i.item, zanith._relation_oid(p.part ->> 'schema', p.part ->> 'name')) x(item),
         LATERAL (SELECT zanith._made_by(x.item, p.part ->> 'owner', zanith._render_index(x.item, p.part ->> 'schema', p.target)) || CASE WHEN (i.item ->> 'valid')::boolean THEN '[]' ELSE COALESCE((
                      SELECT jsonb_agg(zanith._as_owner(CASE WHEN NOT COALESCE((x.item ->> 'builtin')::boolean, false) THEN p.part ->> 'owner' END, zanith._step(
                          format('ALTER INDEX %s ATTACH PARTITION %s', y.item ->> 'parent', zanith._qualify(c.part ->> 'schema', y.item ->> 'name')),
                          'Attach the index of a partition', 'SHARE UPDATE EXCLUSIVE', ARRAY[c.target])) -> 0 ORDER BY c.ord, y.ord)
                      FROM zanith._live_parts(d, target_schema, target_table, live) c, LATERAL zanith._each(c.part -> 'indexes') y
                      WHERE y.item ->> 'parent' = zanith._qualify(p.part ->> 'schema', i.item ->> 'name')), '[]') END) r(steps),
         LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target, r.steps)) s
    WHERE (NOT soft OR NOT (i.item ->> 'plain')::boolean)
      AND ((i.item ->> 'valid')::boolean OR COALESCE((i.item ->> 'partitioned')::boolean, false)) AND x.item IS NOT NULL
); END $$;

-- Every index and where the one at the top of its tree stands: of two alike, the parent's first takes up the partition's first.
CREATE OR REPLACE FUNCTION zanith._topmost_indexes(d jsonb) RETURNS TABLE (name text, top bigint)
LANGUAGE sql IMMUTABLE ROWS 10 AS $$
    WITH RECURSIVE every AS MATERIALIZED (
        SELECT zanith._qualify(p.part ->> 'schema', x.item ->> 'name') AS name, x.item ->> 'parent' AS parent, i.ord
        FROM zanith._parts(d) p,
             LATERAL (SELECT i.item, i.ord FROM zanith._each(p.part -> 'indexes') i
                      UNION ALL SELECT k.item -> 'index', k.ord FROM zanith._each(p.part -> 'constraints') k) i,
             LATERAL (SELECT NULLIF(i.item, 'null')) x(item)
        WHERE x.item IS NOT NULL
    ), down AS (
        SELECT e.name, e.ord AS top FROM every e WHERE e.parent IS NULL
        UNION ALL
        SELECT e.name, o.top FROM down o JOIN every e ON e.parent = o.name
    )
    SELECT o.name, o.top FROM down o
$$;

-- All steps. `target_schema`, `target_table`: where the table is now; `live`: its oid, NULL in a script.
-- `name_taken`: a live column bears the name.
CREATE OR REPLACE FUNCTION zanith._render_restore_column(
    d jsonb, target_schema text, target_table text, live oid, name_taken boolean, choices jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', q.rows),
            'Lock the table', 'ACCESS EXCLUSIVE', ARRAY[q.target])
        || CASE WHEN q.final <> q.col AND name_taken THEN zanith._step(
            format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, q.col, q.swap),
            'Rename the live column of this name until the end of this transaction', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
        || zanith._as_owner(q.owner,
            CASE WHEN q.soft THEN zanith._step(
                format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, d #>> '{parked,column}', q.col),
                'Give the column its own name', 'ACCESS EXCLUSIVE', ARRAY[q.target])
            ELSE CASE WHEN d ->> 'name' IS NULL AND COALESCE(d #> '{column,generated}', 'null') <> 'null' THEN zanith._render_generated_check(d, q.target) ELSE '[]' END
                || zanith._render_add_filled(d, q.target, q.col, live, choices)
                || COALESCE((SELECT jsonb_agg(s.item ORDER BY p.ord, s.ord)
                    FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(
                        zanith._where_beneath(p.ord, live, p.target, zanith._render_column_settings(p.part -> 'column', q.alone || p.target, q.col))) s), '[]') END)
        -- before the fill, which may ask the default, and that its sequence
        || CASE WHEN q.soft THEN zanith._render_renames_back(d, target_schema, live)
            ELSE COALESCE((SELECT jsonb_agg(s.item ORDER BY p.ord, s.ord)
                FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target,
                    zanith._render_serials_back(p.part, p.target, q.col, COALESCE((d ->> 'again')::boolean, false)))) s), '[]') END
        || zanith._as_owner(d #>> '{table,owner}',
            COALESCE(zanith._render_fill(d, q.target, live, choices), '[]'), zanith._is_mixed(d))
        || zanith._as_owner(d #>> '{table,owner}',
            CASE WHEN q.soft AND d #>> '{column,base_type}' IS NOT NULL THEN zanith._building_anew(true, zanith._step(
                format('ALTER TABLE %s ALTER COLUMN %I TYPE %s%s', q.target, q.col, d #>> '{column,type}',
                       COALESCE(' COLLATE ' || (d #>> '{column,collation}'), '')),
                'Set the domain again (every value is checked)', 'ACCESS EXCLUSIVE', ARRAY[q.target], true))
                || zanith._render_column_settings((d -> 'column') - 'statistics' - 'options', q.target, q.col) ELSE '[]' END)
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY g.ord, s.ord)
            FROM zanith._each(d #> '{cascade,columns}') g, LATERAL zanith._each(
                zanith._render_generated_back(g.item, d, target_schema, target_table, live)) s), '[]')
        || zanith._as_owner(q.owner,
            CASE WHEN q.nullable THEN '[]' ELSE zanith._render_not_nulls(d, target_schema, target_table, live, q.col, q.final, q.online) END
            || zanith._render_constraints_back(d, target_schema, target_table, live, ARRAY['check'], q.not_valid))
        -- a change of type makes statistics objects anew, as the operator's and without their targets
        || CASE WHEN q.soft AND d #>> '{column,base_type}' IS NOT NULL THEN COALESCE((
            SELECT jsonb_agg(s.item ORDER BY p.ord, x.ord, s.ord)
            FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(p.part -> 'statistics') x,
                 LATERAL zanith._each(zanith._render_statistics_settings(x.item)) s
            WHERE NOT x.item ? 'parked' AND COALESCE((x.item ->> 'plain')::boolean, true)), '[]') ELSE '[]' END
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY p.ord, s.ord)
            FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target,
                zanith._render_identity_back(p.part, p.target, q.col)
                || zanith._as_owner(p.part ->> 'owner', zanith._render_default(p.part -> 'column', q.alone || p.target, q.col)))) s), '[]')
        || CASE WHEN q.online AND zanith._only(d) = '' THEN zanith._render_trees_beside(d, target_schema, target_table, live, true, q.soft) || zanith._render_trees_beside(d, target_schema, target_table, live, false, q.soft)
           WHEN q.online THEN zanith._render_uniques_beside(d, target_schema, q.target) || zanith._render_indexes_beside(d, target_schema, q.target, live, q.soft)
           ELSE zanith._render_constraints_back(d, target_schema, target_table, live, ARRAY['primary key', 'unique', 'exclude'], q.not_valid)
                || zanith._render_indexes_back(d, target_schema, target_table, live, q.soft) END
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY p.ord, x.ord, s.ord)
                FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(p.part -> 'statistics') x,
                     LATERAL zanith._with_parked_columns(x.item, zanith._relation_oid(p.part ->> 'schema', p.part ->> 'name')) y(item),
                     LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target, zanith._made_by(y.item, p.part ->> 'owner', zanith._render_statistics(y.item)))) s
                WHERE y.item IS NOT NULL AND (NOT q.soft OR NOT COALESCE((x.item ->> 'plain')::boolean, true))), '[]')
        || zanith._render_constraints_back(d, target_schema, target_table, live, ARRAY['foreign key'], q.not_valid)
        || CASE WHEN q.online THEN COALESCE((SELECT jsonb_agg(s.item ORDER BY p.ord, s.ord) FROM zanith._live_parts(d, target_schema, target_table, live) p,
                LATERAL zanith._each(zanith._render_references_beside(p.part, p.target, q.not_valid)) s), '[]') ELSE COALESCE((SELECT jsonb_agg(s.item ORDER BY p.ord, k.ord, s.ord)
            FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(p.part -> 'references') k,
                 LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target, zanith._constraint_by_owner(k.item,
                    CASE WHEN (k.item #>> '{foreign_key,self}')::boolean THEN p.part ->> 'owner' ELSE zanith._owner_of(zanith._qualify(k.item ->> 'schema', k.item ->> 'table')) END,
                    k.item ->> 'schema',
                    CASE WHEN (k.item #>> '{foreign_key,self}')::boolean THEN p.target
                         ELSE zanith._qualify(k.item ->> 'schema', k.item ->> 'table') END, p.target, q.not_valid,
                    zanith._wants_proof_at_once(k.item ->> 'schema', k.item ->> 'table')))) s), '[]') END
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY p.ord, s.ord)
            FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target,
                zanith._render_grants(p.part #> '{column,grants}', 'TABLE ' || p.target, p.part ->> 'owner', q.col, NOT q.soft)
                || CASE WHEN q.soft THEN '[]' ELSE
                    zanith._render_comment(p.part #>> '{column,comment}', format('COLUMN %s.%I', p.target, q.col)) END)) s), '[]')
        || CASE WHEN q.nullable THEN '[]' ELSE zanith._as_owner(q.owner, zanith._render_not_null_heirs(d, q.target, q.col, live, choices)) END
        || zanith._render_cascade_restore(d, live IS NULL)
        || CASE WHEN q.final <> q.col THEN zanith._step(
            format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, q.col, q.final),
            'Give the column the chosen name', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
        || CASE WHEN q.final <> q.col AND name_taken THEN zanith._step(
            format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, q.swap, q.col),
            'Give the live column its name back', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
    FROM (SELECT zanith._qualify(target_schema, target_table), d #>> '{column,name}',
                 COALESCE(choices ->> 'as', d #>> '{column,name}'), '_zanith_lent_' || (d ->> 'id'),
                 d ->> 'strategy' = 'soft_drop_column',
                 COALESCE((choices ->> 'not_valid')::boolean, false),
                 COALESCE((choices ->> 'allow_null')::boolean, false),
                 zanith._only(d) || zanith._qualify(target_schema, target_table),
                 CASE WHEN zanith._only(d) = '' THEN 'ONLY ' ELSE '' END,
                 -- tables beneath of other owners: then the operator, and nothing that the owner wrote is evaluated (see _check_family)
                 CASE WHEN NOT zanith._is_mixed(d) THEN d #>> '{table,owner}' END,
                 live IS NOT NULL AND COALESCE((choices ->> 'online')::boolean, false)) q(target, col, final, swap, soft, not_valid, nullable, rows, alone, owner, online)
); END $$;

-- A column that was generated from this one, with all that it had; it is computed anew.
CREATE OR REPLACE FUNCTION zanith._render_generated_back(g jsonb, d jsonb, target_schema text, target_table text, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_restore_column(g, q.schema_name, q.table_name,
               CASE WHEN live IS NOT NULL THEN zanith._relation_oid(q.schema_name, q.table_name) END, false, '{}')
    FROM (SELECT CASE WHEN o.same THEN target_schema ELSE g #>> '{table,schema}' END,
                 CASE WHEN o.same THEN target_table ELSE g #>> '{table,name}' END
          FROM (SELECT g #> '{table,schema}' = d #> '{table,schema}' AND g #> '{table,name}' = d #> '{table,name}') o(same)) q(schema_name, table_name)
); END $$;

-- Whether tables beneath belong to others.
CREATE OR REPLACE FUNCTION zanith._is_mixed(d jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT EXISTS (SELECT FROM zanith._each(d -> 'tree') t WHERE t.item -> 'owner' <> d #> '{table,owner}')
); END $$;

-- The steps of one part: for a table beneath, in a script, only where it is still there.
CREATE OR REPLACE FUNCTION zanith._where_beneath(ord bigint, live oid, target text, steps jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN ord > 0 AND live IS NULL THEN zanith._where_there(target, steps) ELSE steps END
$$;

-- An archived column's sequence: a parked serial's moves back. One that went with a column which was restored before is made anew.
CREATE OR REPLACE FUNCTION zanith._render_serials_back(part jsonb, target text, column_name text, again boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE((SELECT jsonb_agg(s.item ORDER BY r.ord, s.ord)
            FROM zanith._each(part -> 'renames') r LEFT JOIN zanith._each(part #> '{column,sequences}') x
                 ON again AND x.item -> 'name' = r.item -> 'name' AND x.item -> 'schema' = r.item -> 'schema'
                    AND zanith._relation_oid('_zanith_shadow', r.item ->> 'parked') IS NULL, LATERAL zanith._each(
                CASE WHEN x.item IS NOT NULL THEN zanith._render_serial_anew(x.item, part ->> 'owner', target, column_name) ELSE zanith._step(format('ALTER SEQUENCE _zanith_shadow.%I SET SCHEMA %I', r.item ->> 'parked', r.item ->> 'schema'),
                    'Move the sequence back to its schema', 'ACCESS EXCLUSIVE')
                || zanith._step(format('ALTER SEQUENCE %s RENAME TO %I', zanith._qualify(r.item ->> 'schema', r.item ->> 'parked'),
                    r.item ->> 'name'), 'Give the sequence its own name', 'ACCESS EXCLUSIVE')
                || zanith._step(format('ALTER SEQUENCE %s OWNED BY %s.%I', zanith._qualify(r.item ->> 'schema', r.item ->> 'name'),
                    target, column_name), 'Make the column own its sequence', 'SHARE ROW EXCLUSIVE') END) s), '[]')
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_serial_anew(sequence jsonb, owner text, target text, column_name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('CREATE %sSEQUENCE %s AS %s %s', CASE WHEN sequence ->> 'persistence' = 'u' THEN 'UNLOGGED ' ELSE '' END, q.name,
                sequence ->> 'type', zanith._sequence_options(sequence)), 'Create the sequence that was dropped with the column')
        || zanith._step(format('ALTER SEQUENCE %s OWNER TO %I', q.name, owner), 'Set the owner of the sequence')
        || zanith._step(format('ALTER SEQUENCE %s OWNED BY %s.%I', q.name, target, column_name), 'Make the column own its sequence', 'SHARE ROW EXCLUSIVE')
        || zanith._render_position(sequence)
        || zanith._render_relation_grants_anew(sequence -> 'grants', 'SEQUENCE', q.name, owner)
        || zanith._render_comment(sequence ->> 'comment', 'SEQUENCE ' || q.name)
    FROM (SELECT zanith._qualify(sequence ->> 'schema', sequence ->> 'name')) q(name)
); END $$;

-- An identity's is made anew where it stood.
CREATE OR REPLACE FUNCTION zanith._render_identity_back(part jsonb, target text, column_name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE((SELECT jsonb_agg(s.item ORDER BY x.ord, s.ord)
            FROM zanith._each(part #> '{column,sequences}') x, LATERAL zanith._each(
                zanith._step(format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s)',
                        target, column_name, part #>> '{column,identity}',
                        zanith._qualify(x.item ->> 'schema', x.item ->> 'name'), zanith._sequence_options(x.item)),
                    'Make it an identity column, with its own sequence', 'ACCESS EXCLUSIVE', ARRAY[target])
                || zanith._render_position(x.item)
                || zanith._render_relation_grants_anew(x.item -> 'grants', 'SEQUENCE', zanith._qualify(x.item ->> 'schema', x.item ->> 'name'), x.item ->> 'owner')
                || zanith._render_comment(x.item ->> 'comment', 'SEQUENCE ' || zanith._qualify(x.item ->> 'schema', x.item ->> 'name'))
            ) s WHERE (x.item ->> 'identity')::boolean), '[]')
); END $$;
