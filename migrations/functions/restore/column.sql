-- Restoring a column: parked or archived, the same steps around it, in every table of its family.

-- The parts that are still there to be restored: the table's own, and those of its present descendants. A script
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
    SELECT zanith._list(s.item || jsonb_build_object('sql', zanith._do(format(
        'BEGIN IF pg_catalog.to_regclass(%L) IS NOT NULL THEN EXECUTE %L; END IF; END', target, s.item ->> 'sql'))) ORDER BY s.ord)
    FROM zanith._each(steps) s
); END $$;

-- Whether a part of a column cannot do without NOT NULL: an identity, a primary key and a replica identity ask for it.
CREATE OR REPLACE FUNCTION zanith._needs_not_null(part jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT part #>> '{column,identity}' IS NOT NULL
        OR EXISTS (SELECT FROM zanith._each(part -> 'constraints') k WHERE zanith._constraint_is(k.item, 'key') OR (k.item #>> '{index,replica_identity}')::boolean)
        OR jsonb_path_exists(part, '$.indexes[*] ? (@.replica_identity == true)')
); END $$;

-- Whether the column cannot come back without NOT NULL: `_needs_not_null`, of a key that has the column itself, not only beside it.
CREATE OR REPLACE FUNCTION zanith._takes_no_null(d jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(d #> '{column,not_null}', 'null') <> 'null' AND (d #>> '{column,identity}' IS NOT NULL
        OR EXISTS (SELECT FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'constraints') k
                   WHERE (zanith._constraint_is(k.item, 'key') OR (k.item #>> '{index,replica_identity}')::boolean) AND k.item -> 'columns' ? (d #>> '{column,name}'))
        OR EXISTS (SELECT FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'indexes') i
                   WHERE (i.item ->> 'replica_identity')::boolean AND i.item -> 'keys' ? quote_ident(d #>> '{column,name}')))
); END $$;

-- 'ONLY ' where each table of a family has a step of its own, or children keep the column.
CREATE OR REPLACE FUNCTION zanith._alone(d jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN zanith._only(d) = '' OR COALESCE(d -> 'keepers', '[]') <> '[]' THEN 'ONLY ' ELSE '' END $$;

-- NOT NULL of the table and of each descendant that is so by itself or by another name, the lowest first: what is added
-- above merges with what is there. It is validated at once where what follows in the same transaction asks for it; `beside`:
-- a key is made after it, beside live traffic.
CREATE OR REPLACE FUNCTION zanith._render_not_nulls(d jsonb, target_schema text, target_table text, live oid, col text, final text, beside boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY p.ord DESC, s.ord)
    FROM (SELECT NOT beside AND EXISTS (SELECT FROM zanith._live_parts(d, target_schema, target_table, live) p WHERE zanith._needs_not_null(p.part))
              -- before 18 a check proves NOT NULL, which a row of NULLs fails, although NOT NULL takes it
              OR current_setting('server_version_num')::integer < 180000 AND EXISTS (
                  SELECT FROM pg_type t WHERE t.oid = zanith._beneath_domain(to_regtype(d #>> '{column,type}')) AND t.typtype = 'c')) q(at_once),
         zanith._live_parts(d, target_schema, target_table, live) p,
         LATERAL zanith._render_not_null(p.part -> 'column', p.target, col, d ->> 'id', current_setting('server_version_num')::integer,
            q.at_once, final, COALESCE(d -> 'keepers', '[]') <> '[]') n(steps),
         LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target, zanith._guarding_not_null(d, p.target, n.steps))) s
    WHERE zanith._has_own_not_null(d, p.ord, p.part)
       OR p.part #>> '{column,not_null,name}' <> d #>> '{column,not_null,name}'
); END $$;

-- SET NOT NULL evaluates every check of the table and of its descendants, to learn whether one spares the scan. Of several owners nobody but
-- the operator may give the command, and no code may run then.
CREATE OR REPLACE FUNCTION zanith._guarding_not_null(d jsonb, target text, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN CASE WHEN NOT zanith._is_mixed(d) THEN steps ELSE (
        SELECT zanith._list(s.item || CASE WHEN COALESCE(s.item -> 'proves', 'null') <> 'null' OR (s.item ->> 'grows')::boolean
                                                 THEN jsonb_build_object('guards', ARRAY[target]) ELSE '{}' END ORDER BY s.ord) FROM zanith._each(steps) s) END;
END $$;

-- A script does not know what descendants call when it runs. (A restore asks under its lock, see pin_schemas.)
CREATE OR REPLACE FUNCTION zanith._guarding_fill(d jsonb, target text, live oid, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN CASE WHEN live IS NOT NULL OR NOT zanith._is_mixed(d) THEN steps ELSE (
        SELECT zanith._mark(steps, jsonb_build_object('guards', ARRAY[target], 'guarded_as', zanith._runner(d #>> '{table,owner}')))) END;
END $$;

-- Constraints of one place in the order of creation (see _constraint_kinds), of the table and of its descendants.
CREATE OR REPLACE FUNCTION zanith._render_constraints_back(
    d jsonb, target_schema text, target_table text, live oid, nth integer, not_valid boolean)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY CASE WHEN q.unique_ones THEN -p.ord ELSE p.ord END, NOT (k.item ->> 'inherited')::boolean, t.top, k.ord, s.ord)
    FROM (SELECT nth = 2) q(unique_ones),
         zanith._live_parts(d, target_schema, target_table, live) p CROSS JOIN LATERAL zanith._each(p.part -> 'constraints') k
         JOIN zanith._constraint_kinds() f ON f.kind = k.item ->> 'kind' AND f.place = nth
         LEFT JOIN zanith._topmost_indexes(d) t ON jsonb_typeof(k.item -> 'index') = 'object' AND t.name = zanith._qualify(p.part ->> 'schema', k.item ->> 'name'),
         LATERAL zanith._constraint_by_owner(k.item, p.part ->> 'owner', p.part ->> 'schema', p.target,
            CASE WHEN NOT 'reference' = ANY (f.facts) THEN NULL
                 WHEN (k.item #>> '{foreign_key,self}')::boolean THEN p.target
                 ELSE zanith._qualify(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}') END,
            not_valid, 'reference' = ANY (f.facts) AND zanith._wants_proof_at_once(p.part ->> 'schema', p.part ->> 'name')) r(steps),
         LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target, r.steps)) s
    -- what comes with the parent's; a unique key of a descendant is made first, by its own name, and the parent's takes it up
    WHERE q.unique_ones OR p.ord = 0 OR NOT (k.item ->> 'inherited')::boolean
); END $$;

-- Indexes that were dropped: those of descendants first, so that the parent's takes them up instead of making its own.
CREATE OR REPLACE FUNCTION zanith._render_indexes_back(d jsonb, target_schema text, target_table text, live oid, soft boolean)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF NOT d @? '$.**.indexes[*]' THEN
        RETURN '[]';
    END IF;
    RETURN (
    SELECT zanith._list(s.item ORDER BY -p.ord, NOT (i.item ->> 'partition')::boolean, t.top, i.ord, s.ord)
    FROM zanith._live_parts(d, target_schema, target_table, live) p CROSS JOIN LATERAL zanith._each(p.part -> 'indexes') i
         LEFT JOIN zanith._topmost_indexes(d) t ON t.name = zanith._qualify(p.part ->> 'schema', i.item ->> 'name'),
         LATERAL zanith._with_parked_columns(i.item, zanith._relation_oid(p.part ->> 'schema', p.part ->> 'name')) x(item),
         LATERAL (SELECT zanith._made_by(x.item, p.part ->> 'owner', zanith._render_index(x.item, p.part ->> 'schema', p.target)) || CASE WHEN (i.item ->> 'valid')::boolean THEN '[]' ELSE (
                      SELECT zanith._list(zanith._as_owner(CASE WHEN NOT COALESCE((x.item ->> 'builtin')::boolean, false) THEN p.part ->> 'owner' END, zanith._step(
                          format('ALTER INDEX %s ATTACH PARTITION %s', y.item ->> 'parent', zanith._qualify(c.part ->> 'schema', y.item ->> 'name')),
                          'Attach the index of a partition', 'SHARE UPDATE EXCLUSIVE', ARRAY[c.target])) -> 0 ORDER BY c.ord, y.ord)
                      FROM zanith._live_parts(d, target_schema, target_table, live) c, LATERAL zanith._each(c.part -> 'indexes') y
                      WHERE y.item ->> 'parent' = zanith._qualify(p.part ->> 'schema', i.item ->> 'name')) END) r(steps),
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

-- The column itself, under its recorded name: parked, or added and filled from the archive.
CREATE OR REPLACE FUNCTION zanith._render_column_back(d jsonb, target_schema text, target_table text, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN d ->> 'strategy' = 'soft_drop_column' THEN zanith._step(
        format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, d #>> '{parked,column}', q.col),
        'Give the column its own name', 'ACCESS EXCLUSIVE', ARRAY[q.target])
    ELSE CASE WHEN d ->> 'name' IS NULL AND COALESCE(d #> '{column,generated}', 'null') <> 'null' THEN zanith._render_generated_check(d, q.target) ELSE '[]' END
        || zanith._render_add_filled(d, q.target, q.col, live, choices)
        || (SELECT zanith._list(s.item ORDER BY p.ord, s.ord)
            FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(
                zanith._where_beneath(p.ord, live, p.target, zanith._render_column_settings(p.part -> 'column', q.alone, p.target, q.col))) s) END
    FROM (SELECT zanith._qualify(target_schema, target_table), zanith._comes_back_as(d, choices), zanith._alone(d)) q(target, col, alone)
); END $$;

-- Keys, exclusion constraints and indexes; `online`: beside live traffic.
CREATE OR REPLACE FUNCTION zanith._render_keys_and_indexes_back(
    d jsonb, target_schema text, target_table text, live oid, soft boolean, not_valid boolean, online boolean)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    target text := zanith._qualify(target_schema, target_table);
BEGIN
    RETURN CASE
        WHEN NOT online THEN zanith._render_constraints_back(d, target_schema, target_table, live, 2, not_valid)
            || zanith._render_indexes_back(d, target_schema, target_table, live, soft)
        WHEN zanith._only(d) = '' THEN zanith._render_trees_beside(d, target_schema, target_table, live, true, soft)
            || zanith._render_trees_beside(d, target_schema, target_table, live, false, soft)
        ELSE zanith._render_uniques_beside(d, target_schema, target) || zanith._render_indexes_beside(d, target_schema, target, live, soft) END;
END $$;

-- Statistics objects that were dropped.
CREATE OR REPLACE FUNCTION zanith._render_statistics_back(d jsonb, target_schema text, target_table text, live oid, soft boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY p.ord, x.ord, s.ord)
    FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(p.part -> 'statistics') x,
         LATERAL zanith._with_parked_columns(x.item, zanith._relation_oid(p.part ->> 'schema', p.part ->> 'name')) y(item),
         LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target, zanith._made_by(y.item, p.part ->> 'owner', zanith._render_statistics(y.item)))) s
    WHERE y.item IS NOT NULL AND (NOT soft OR NOT COALESCE((x.item ->> 'plain')::boolean, true))
); END $$;

-- The owners and targets of those that stayed, after the type of the column changed.
CREATE OR REPLACE FUNCTION zanith._render_statistics_kept(d jsonb, target_schema text, target_table text, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY p.ord, x.ord, s.ord)
    FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(p.part -> 'statistics') x,
         LATERAL zanith._each(zanith._render_statistics_settings(x.item)) s
    WHERE NOT x.item ? 'parked' AND COALESCE((x.item ->> 'plain')::boolean, true)
); END $$;

-- Foreign keys that refer to a key of the column; `online`: after the key was created beside live traffic.
CREATE OR REPLACE FUNCTION zanith._render_references_back(
    d jsonb, target_schema text, target_table text, live oid, not_valid boolean, online boolean)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF online THEN
        RETURN (SELECT zanith._list(s.item ORDER BY p.ord, s.ord)
            FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(zanith._render_references_beside(p.part, p.target, not_valid)) s);
    END IF;
    RETURN (SELECT zanith._list(s.item ORDER BY p.ord, k.ord, s.ord)
        FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(p.part -> 'references') k,
             LATERAL (SELECT zanith._qualify(k.item ->> 'schema', k.item ->> 'table'), (k.item #>> '{foreign_key,self}')::boolean) o(child, self),
             LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target, zanith._constraint_by_owner(k.item,
                CASE WHEN o.self THEN p.part ->> 'owner' ELSE zanith._owner_of(o.child) END, k.item ->> 'schema',
                CASE WHEN o.self THEN p.target ELSE o.child END, p.target, not_valid,
                zanith._wants_proof_at_once(k.item ->> 'schema', k.item ->> 'table')))) s);
END $$;

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
        || zanith._as_owner(q.owner, zanith._render_column_back(d, target_schema, target_table, live, choices))
        -- before the fill, which may ask the default, and that its sequence
        || CASE WHEN q.soft THEN zanith._render_renames_back(d, target_schema, live)
            ELSE (SELECT zanith._list(s.item ORDER BY p.ord, s.ord)
                FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target,
                    zanith._render_serials_back(p.part, p.target, q.col, COALESCE((d ->> 'again')::boolean, false)))) s) END
        || zanith._render_earlier_sequences(d, q.target)
        || zanith._render_numbers(d, choices)
        || zanith._as_owner(d #>> '{table,owner}', zanith._guarding_fill(d, q.target, live,
            COALESCE(zanith._render_fill(d, q.target, live, choices), '[]')), zanith._is_mixed(d))
        || zanith._as_owner(d #>> '{table,owner}',
            CASE WHEN q.soft AND d #>> '{column,base_type}' IS NOT NULL THEN zanith._building_anew(true, zanith._step(
                format('ALTER TABLE %s ALTER COLUMN %I TYPE %s%s', q.target, q.col, d #>> '{column,type}',
                       COALESCE(' COLLATE ' || (d #>> '{column,collation}'), '')),
                'Set the domain again (every value is checked)', 'ACCESS EXCLUSIVE', ARRAY[q.target], true))
                || zanith._render_column_settings((d -> 'column') - 'statistics' - 'options', '', q.target, q.col) ELSE '[]' END)
        || (SELECT zanith._list(s.item ORDER BY g.ord, s.ord)
            FROM zanith._each(d #> '{cascade,columns}') g, LATERAL zanith._each(
                zanith._render_generated_back(g.item, d, target_schema, target_table, live)) s)
        || zanith._as_owner(q.owner,
            CASE WHEN q.nullable THEN '[]' ELSE zanith._render_not_nulls(d, target_schema, target_table, live, q.col, q.final, q.online) END
            || zanith._render_constraints_back(d, target_schema, target_table, live, 1, q.not_valid))
        -- a change of type makes statistics objects anew, as the operator's and without their targets
        || CASE WHEN q.soft AND d #>> '{column,base_type}' IS NOT NULL THEN zanith._render_statistics_kept(d, target_schema, target_table, live) ELSE '[]' END
        || (SELECT zanith._list(s.item ORDER BY p.ord, s.ord)
            FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target,
                zanith._render_identity_back(p.part, p.target, q.col)
                || zanith._as_owner(p.part ->> 'owner', zanith._render_default(p.part -> 'column', q.alone, p.target, q.col)))) s)
        || zanith._render_numbers_end(d, choices)
        || zanith._render_keys_and_indexes_back(d, target_schema, target_table, live, q.soft, q.not_valid, q.online)
        || zanith._render_statistics_back(d, target_schema, target_table, live, q.soft)
        || zanith._render_constraints_back(d, target_schema, target_table, live, 3, q.not_valid)
        || zanith._render_references_back(d, target_schema, target_table, live, q.not_valid, q.online)
        || (SELECT zanith._list(s.item ORDER BY p.ord, s.ord)
            FROM zanith._live_parts(d, target_schema, target_table, live) p, LATERAL zanith._each(zanith._where_beneath(p.ord, live, p.target,
                zanith._render_grants(p.part #> '{column,grants}', 'TABLE ' || p.target, p.part ->> 'owner', q.col, NOT q.soft)
                || CASE WHEN q.soft THEN '[]' ELSE
                    zanith._render_comment(p.part #>> '{column,comment}', format('COLUMN %s.%I', p.target, q.col)) END)) s)
        || CASE WHEN q.nullable THEN '[]' ELSE zanith._as_owner(q.owner, zanith._render_not_null_heirs(d, q.target, q.col, live, choices)) END
        || zanith._render_cascade_restore(d, live IS NULL)
        || CASE WHEN q.final <> q.col THEN zanith._step(
            format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, q.col, q.final),
            'Give the column the chosen name', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
        || CASE WHEN q.final <> q.col AND name_taken THEN zanith._step(
            format('ALTER TABLE %s RENAME COLUMN %I TO %I', q.target, q.swap, q.col),
            'Give the live column its name back', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
    FROM (SELECT zanith._qualify(target_schema, target_table), zanith._comes_back_as(d, choices),
                 COALESCE(choices ->> 'as', d #>> '{column,name}'), '_zanith_lent_' || (d ->> 'id'),
                 d ->> 'strategy' = 'soft_drop_column',
                 COALESCE((choices ->> 'not_valid')::boolean, false),
                 COALESCE((choices ->> 'allow_null')::boolean, false),
                 zanith._only(d) || zanith._qualify(target_schema, target_table),
                 zanith._alone(d),
                 -- descendants of other owners: then the operator, and nothing that the owner wrote is evaluated (see _check_family)
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

-- Whether descendants belong to other roles.
CREATE OR REPLACE FUNCTION zanith._is_mixed(d jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT EXISTS (SELECT FROM zanith._each(d -> 'tree') t WHERE t.item -> 'owner' <> d #> '{table,owner}')
); END $$;

-- The steps of one part: for a descendant, in a script, only where it is still there.
CREATE OR REPLACE FUNCTION zanith._where_beneath(ord bigint, live oid, target text, steps jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN ord > 0 AND live IS NULL THEN zanith._where_there(target, steps) ELSE steps END
$$;

-- An archived column's sequence: a parked serial's moves back. One that went with a column which was restored before is made anew.
CREATE OR REPLACE FUNCTION zanith._render_serials_back(part jsonb, target text, column_name text, again boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT (SELECT zanith._list(s.item ORDER BY r.ord, s.ord)
            FROM zanith._each(part -> 'renames') r LEFT JOIN zanith._each(part #> '{column,sequences}') x
                 ON again AND x.item -> 'name' = r.item -> 'name' AND x.item -> 'schema' = r.item -> 'schema'
                    AND zanith._relation_oid('_zanith_shadow', r.item ->> 'parked') IS NULL, LATERAL zanith._each(
                CASE WHEN x.item IS NOT NULL THEN zanith._render_serial_anew(x.item, part ->> 'owner', target, column_name) ELSE zanith._step(format('ALTER SEQUENCE _zanith_shadow.%I SET SCHEMA %I', r.item ->> 'parked', r.item ->> 'schema'),
                    'Move the sequence back to its schema', 'ACCESS EXCLUSIVE')
                || zanith._step(format('ALTER SEQUENCE %s RENAME TO %I', zanith._qualify(r.item ->> 'schema', r.item ->> 'parked'),
                    r.item ->> 'name'), 'Give the sequence its own name', 'ACCESS EXCLUSIVE')
                || zanith._step(format('ALTER SEQUENCE %s OWNED BY %s.%I', zanith._qualify(r.item ->> 'schema', r.item ->> 'name'),
                    target, column_name), 'Make the column own its sequence', 'SHARE ROW EXCLUSIVE') END) s)
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_serial_anew(sequence jsonb, owner text, target text, column_name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('CREATE %sSEQUENCE %s AS %s %s', CASE WHEN sequence ->> 'persistence' = 'u' THEN 'UNLOGGED ' ELSE '' END, q.name,
                sequence ->> 'type', zanith._sequence_options(sequence)), CASE WHEN column_name IS NULL THEN 'Create the sequence' ELSE 'Create the sequence that was dropped with the column' END)
        || zanith._step(format('ALTER SEQUENCE %s OWNER TO %I', q.name, owner), 'Set the owner of the sequence')
        || CASE WHEN column_name IS NULL THEN '[]' ELSE zanith._step(format('ALTER SEQUENCE %s OWNED BY %s.%I', q.name, target, column_name), 'Make the column own its sequence', 'SHARE ROW EXCLUSIVE') END
        || zanith._render_position(sequence)
        || zanith._render_relation_grants_anew(sequence -> 'grants', 'SEQUENCE', q.name, owner)
        || zanith._render_comment(sequence ->> 'comment', 'SEQUENCE ' || q.name)
    FROM (SELECT zanith._qualify(sequence ->> 'schema', sequence ->> 'name')) q(name)
); END $$;

-- The sequence that numbers rows without a value before the column is an identity again: it needs NOT NULL first. It has the options
-- and the position of the identity's own, which goes on where it ended. NULL where no row is numbered.
CREATE OR REPLACE FUNCTION zanith._numbers_from(d jsonb, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT s.item || jsonb_build_object('name', '_zanith_numbers_' || (d ->> 'id'), 'cache', 1)
    FROM zanith._each(d #> '{column,sequences}') s WHERE (s.item ->> 'identity')::boolean AND (choices ->> 'fill_default')::boolean
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_numbers(d jsonb, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    n jsonb := zanith._numbers_from(d, choices);
    name text := CASE WHEN n IS NOT NULL THEN zanith._qualify(n ->> 'schema', n ->> 'name') END;
BEGIN
    RETURN CASE WHEN n IS NULL THEN '[]' ELSE
        zanith._step(format('CREATE SEQUENCE %s AS %s %s', name, n ->> 'type', zanith._sequence_options(n)), 'Create a sequence that numbers the rows inserted since the capture')
        || zanith._render_position(n)
        || zanith._step(format('GRANT USAGE ON SEQUENCE %s TO %I', name, d #>> '{table,owner}'), 'Let the owner of the table take numbers from it') END;
END $$;

CREATE OR REPLACE FUNCTION zanith._render_numbers_end(d jsonb, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    n jsonb := zanith._numbers_from(d, choices);
    name text := CASE WHEN n IS NOT NULL THEN zanith._qualify(n ->> 'schema', n ->> 'name') END;
BEGIN
    RETURN CASE WHEN n IS NULL THEN '[]' ELSE (
        -- by number and not by a query: the fill ran the owner's code, which may have put a view in its place
        SELECT zanith._step(format('SELECT pg_catalog.setval(%L, pg_catalog.pg_sequence_last_value(%L))', zanith._qualify(s.item ->> 'schema', s.item ->> 'name'), name),
            'Set the sequence of the identity to the last number that a row got')
        FROM zanith._each(d #> '{column,sequences}') s WHERE (s.item ->> 'identity')::boolean)
        || zanith._step('DROP SEQUENCE ' || name, 'Drop the sequence that numbered the rows') END;
END $$;

-- An identity's is made anew where it stood.
CREATE OR REPLACE FUNCTION zanith._render_identity_back(part jsonb, target text, column_name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT (SELECT zanith._list(s.item ORDER BY x.ord, s.ord)
            FROM zanith._each(part #> '{column,sequences}') x, LATERAL zanith._each(
                zanith._step(format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s)',
                        target, column_name, part #>> '{column,identity}',
                        zanith._qualify(x.item ->> 'schema', x.item ->> 'name'), zanith._sequence_options(x.item)),
                    'Make it an identity column, with its own sequence', 'ACCESS EXCLUSIVE', ARRAY[target])
                || zanith._render_position(x.item)
                || zanith._render_relation_grants_anew(x.item -> 'grants', 'SEQUENCE', zanith._qualify(x.item ->> 'schema', x.item ->> 'name'), x.item ->> 'owner')
                || zanith._render_comment(x.item ->> 'comment', 'SEQUENCE ' || zanith._qualify(x.item ->> 'schema', x.item ->> 'name'))
            ) s WHERE (x.item ->> 'identity')::boolean)
); END $$;
