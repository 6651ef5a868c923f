-- What grows with the rows and can be made beside live traffic: indexes CONCURRENTLY, keys of them, and what rests on those.

CREATE OR REPLACE FUNCTION zanith._set_transaction(number integer, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._mark(steps, jsonb_build_object('transaction', number))
); END $$;

-- The engine runs these batch by batch: what stands in the plan is their pattern.
CREATE OR REPLACE FUNCTION zanith._in_batches(steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._mark(steps, '{"batches": true}')
); END $$;

-- Steps that are needed only while an index, or with `con` the constraint of it, is not there.
CREATE OR REPLACE FUNCTION zanith._making(index text, steps jsonb, con boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._mark(steps, jsonb_build_object('makes', index, 'makes_constraint', con))
); END $$;

CREATE OR REPLACE FUNCTION zanith._making_key(con jsonb, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._mark(steps, jsonb_build_object('makes_key', con ->> 'name'))
); END $$;

-- An index beside live traffic. One that an earlier try left invalid goes first.
CREATE OR REPLACE FUNCTION zanith._render_index_beside(index jsonb, schema_name text, target text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._making(q.name, zanith._list(s.item || '{"concurrently": true}' ORDER BY s.ord))
    FROM (SELECT zanith._qualify(schema_name, index ->> 'name')) q(name),
    LATERAL zanith._each(
        CASE WHEN EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = to_regclass(q.name) AND NOT i.indisvalid) THEN zanith._step(
            format('DROP INDEX CONCURRENTLY %s', q.name), 'Drop the invalid index of an earlier attempt', 'SHARE UPDATE EXCLUSIVE', ARRAY[target], false, 2) ELSE '[]' END
        || zanith._step(format('CREATE %sINDEX CONCURRENTLY %I ON %s %s', CASE WHEN (index ->> 'unique')::boolean THEN 'UNIQUE ' ELSE '' END, index ->> 'name',
                target, zanith._round_trip_safe(index ->> 'using')),
            'Build the index (writes go on)', 'SHARE UPDATE EXCLUSIVE', ARRAY[target], true, 2)) s
    GROUP BY q.name
); END $$;

-- Unique constraints and primary keys: the index beside live traffic, then the constraint takes it over in an instant.
CREATE OR REPLACE FUNCTION zanith._render_uniques_beside(d jsonb, schema_name text, target text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY k.ord, s.ord) FROM zanith._each(d -> 'constraints') k, LATERAL zanith._each(
        zanith._render_index_beside(k.item -> 'index', schema_name, target)
        || zanith._making(zanith._qualify(schema_name, k.item ->> 'name'), zanith._set_transaction(2,
            -- as the owner: between the two transactions another index may have taken the name
            zanith._as_owner(zanith._owner_of(target), zanith._step(format('ALTER TABLE %s ADD CONSTRAINT %I %s USING INDEX %I%s', target, k.item ->> 'name', upper(k.item ->> 'kind'), k.item ->> 'name',
                    substring(k.item ->> 'definition' FROM '((?: DEFERRABLE)?(?: INITIALLY DEFERRED)?)$')),
                format('Add the %s constraint %I', k.item ->> 'kind', k.item ->> 'name'), 'ACCESS EXCLUSIVE', ARRAY[target]))
            || zanith._render_index_settings(k.item -> 'index', schema_name, target)
            || zanith._render_comment(k.item ->> 'comment', format('CONSTRAINT %I ON %s', k.item ->> 'name', target))), true)) s
    WHERE zanith._constraint_is(k.item, 'unique')
); END $$;

-- Indexes that went; of a soft-dropped column those that would have bitten.
CREATE OR REPLACE FUNCTION zanith._render_indexes_beside(d jsonb, schema_name text, target text, relation oid, soft boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY i.ord, s.ord) FROM zanith._each(d -> 'indexes') i,
        LATERAL zanith._with_parked_columns(i.item, relation) x(item), LATERAL zanith._each(
        zanith._render_index_beside(x.item, schema_name, target)
        || zanith._making(zanith._qualify(schema_name, i.item ->> 'name'), zanith._set_transaction(2, zanith._render_index_settings(x.item, schema_name, target)))) s
    WHERE (i.item ->> 'valid')::boolean AND x.item IS NOT NULL AND (NOT soft OR NOT (i.item ->> 'plain')::boolean)
); END $$;

-- Foreign keys of others that rest on a unique key of these.
CREATE OR REPLACE FUNCTION zanith._render_references_beside(d jsonb, target text, not_valid boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY k.ord, s.ord) FROM zanith._each(d -> 'references') k, LATERAL zanith._each(
        zanith._making_key(k.item, zanith._set_transaction(2, zanith._constraint_by_owner(k.item,
            zanith._owner_of(CASE WHEN (k.item #>> '{foreign_key,self}')::boolean THEN target ELSE zanith._qualify(k.item ->> 'schema', k.item ->> 'table') END), k.item ->> 'schema',
            CASE WHEN (k.item #>> '{foreign_key,self}')::boolean THEN target ELSE zanith._qualify(k.item ->> 'schema', k.item ->> 'table') END, target,
            not_valid, zanith._wants_proof_at_once(k.item ->> 'schema', k.item ->> 'table'))))) s
); END $$;

-- Of a partitioned table, as PostgreSQL's manual does it: the index of the table itself on it alone, those of its partitions
-- beside live traffic, each attached; it is valid when all are. Partitions that came since get indexes of their own names.
CREATE OR REPLACE FUNCTION zanith._render_trees_beside(d jsonb, target_schema text, target_table text, live oid, uniques boolean, soft boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH RECURSIVE every AS MATERIALIZED (
        SELECT r.member, r.schema_name, p.target, x.item, i.con, x.item ->> 'parent' AS parent, p.ord AS part, i.ord
        FROM zanith._live_parts(d, target_schema, target_table, live) p,
             LATERAL (SELECT zanith._relation_oid(q.schema_name, q.table_name) AS member, q.schema_name
                      FROM (SELECT CASE WHEN p.ord = 0 THEN target_schema ELSE p.part ->> 'schema' END, CASE WHEN p.ord = 0 THEN target_table ELSE p.part ->> 'name' END) q(schema_name, table_name)) r,
             LATERAL (SELECT i.item, NULL::jsonb AS con, i.ord FROM zanith._each(p.part -> 'indexes') i WHERE NOT uniques AND (i.item ->> 'valid')::boolean AND (NOT soft OR NOT (i.item ->> 'plain')::boolean)
                      UNION ALL SELECT k.item -> 'index', k.item, k.ord FROM zanith._each(p.part -> 'constraints') k WHERE uniques AND zanith._constraint_is(k.item, 'unique')) i,
             LATERAL zanith._with_parked_columns(i.item, r.member) x(item)
        WHERE x.item IS NOT NULL
    ), down AS (
        SELECT e.member, e.schema_name, e.target, e.item, e.con, NULL::text AS above, 0 AS depth, e.part, e.ord
        FROM every e WHERE e.parent IS NULL
        UNION ALL
        SELECT c.oid, n.nspname::text COLLATE "default", zanith._relation_name(c.oid) COLLATE "default", COALESCE(e.item, w.item),
               CASE WHEN o.con IS NOT NULL THEN COALESCE(e.con, o.con || jsonb_build_object('name', w.item ->> 'name', 'index', w.item, 'comment', NULL)) END,
               zanith._qualify(o.schema_name, o.item ->> 'name') COLLATE "default", o.depth + 1, o.part, o.ord
        FROM down o JOIN pg_inherits h ON h.inhparent = o.member JOIN pg_class c ON c.oid = h.inhrelid AND c.relispartition JOIN pg_namespace n ON n.oid = c.relnamespace
             CROSS JOIN LATERAL (SELECT o.item || jsonb_build_object('name', zanith._name_beneath(c.oid, o.item ->> 'name'), 'partitioned', c.relkind = 'p',
                 'tablespace', NULL, 'statistics', NULL, 'comment', NULL, 'clustered', false, 'replica_identity', false)) w(item)
             -- where the table went to another schema, it was recorded in that of then
             LEFT JOIN every e ON e.member = c.oid AND e.parent IN (zanith._qualify(o.schema_name, o.item ->> 'name'), zanith._qualify(d #>> '{table,schema}', o.item ->> 'name'))
    )
    SELECT zanith._list(s.item ORDER BY o.part, o.ord, o.depth, o.member, s.ord)
    FROM down o, LATERAL (SELECT zanith._qualify(o.schema_name, o.item ->> 'name')) q(name), LATERAL zanith._each(
        CASE WHEN NOT (o.item ->> 'partitioned')::boolean THEN
            CASE WHEN uniques THEN zanith._render_uniques_beside(jsonb_build_object('constraints', jsonb_build_array(o.con)), o.schema_name, o.target)
                 ELSE zanith._render_index_beside(o.item, o.schema_name, o.target)
                      || zanith._making(q.name, zanith._set_transaction(2, zanith._render_index_settings(o.item, o.schema_name, o.target))) END
        WHEN to_regclass(q.name) IS NULL THEN zanith._making(q.name, zanith._set_transaction(2,
            CASE WHEN uniques THEN zanith._as_owner(CASE WHEN zanith._constraint_is(o.con, 'key') THEN zanith._owner_of(o.target) END, zanith._render_constraint_alone(o.con, o.schema_name, o.target))
                 ELSE zanith._step(format('CREATE %sINDEX %I ON ONLY %s %s', CASE WHEN (o.item ->> 'unique')::boolean THEN 'UNIQUE ' ELSE '' END, o.item ->> 'name',
                            o.target, zanith._round_trip_safe(o.item ->> 'using')),
                        'Create the index on the partitioned table only; it becomes valid when each partition has its index', 'SHARE', ARRAY[o.target])
                      || zanith._render_index_settings(o.item, o.schema_name, o.target) END))
        ELSE '[]' END
        || CASE WHEN o.above IS NULL THEN '[]' ELSE zanith._attaching(q.name, zanith._set_transaction(2,
            zanith._as_owner(zanith._owner_of(o.target),
            zanith._step(format('ALTER INDEX %s ATTACH PARTITION %s', o.above, q.name), 'Attach the index of a partition', 'SHARE UPDATE EXCLUSIVE', ARRAY[o.target])))) END) s
); END $$;

-- A unique constraint of a partitioned table alone: those of its partitions are attached to it.
CREATE OR REPLACE FUNCTION zanith._render_constraint_alone(con jsonb, schema_name text, target text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_constraint(con, schema_name, target, alone => true)
); END $$;

-- Steps that are needed while an index is no part of another.
CREATE OR REPLACE FUNCTION zanith._attaching(index text, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._mark(steps, jsonb_build_object('makes', index, 'attaches', true))
); END $$;

-- What the index of a partition is called that had none: always the same.
CREATE OR REPLACE FUNCTION zanith._name_beneath(relation oid, index text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._parked_name(c.relname || '_' || index, substr(md5(c.relname || ' ' || index), 1, 8), 0, '') FROM pg_class c WHERE c.oid = relation
); END $$;
