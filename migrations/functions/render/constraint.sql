-- Constraints.

-- FOREIGN KEY …, from its parts; `referenced` is the quoted name of the table as it is called now.
CREATE OR REPLACE FUNCTION zanith._foreign_key_clause(key jsonb, referenced text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('FOREIGN KEY (%s) REFERENCES %s(%s)%s%s%s%s%s',
        zanith._period_list(key -> 'columns', key), referenced, zanith._period_list(key -> 'references', key),
        CASE WHEN key ->> 'match' = 'FULL' THEN ' MATCH FULL' ELSE '' END,
        CASE WHEN key ->> 'on_update' <> 'NO ACTION' THEN ' ON UPDATE ' || (key ->> 'on_update') ELSE '' END,
        CASE WHEN key ->> 'on_delete' <> 'NO ACTION' THEN ' ON DELETE ' || (key ->> 'on_delete')
             || COALESCE(' (' || zanith._name_list(NULLIF(key -> 'set_columns', '[]')) || ')', '') ELSE '' END,
        CASE WHEN (key ->> 'deferrable')::boolean THEN ' DEFERRABLE' ELSE '' END,
        CASE WHEN (key ->> 'deferred')::boolean THEN ' INITIALLY DEFERRED' ELSE '' END)
$$;

-- The columns of a key; the last of a temporal one is a PERIOD (18).
CREATE OR REPLACE FUNCTION zanith._period_list(names jsonb, key jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(CASE WHEN (key ->> 'period')::boolean AND n.ord = jsonb_array_length(names)
                           THEN 'PERIOD ' ELSE '' END || quote_ident(n.name), ', ' ORDER BY n.ord)
    FROM jsonb_array_elements_text(names) WITH ORDINALITY n(name, ord)
); END $$;

-- Steps that add a constraint to `target`: those that scan come NOT VALID and are validated in the second transaction.
-- `at_once`: validated in the first, where NOT VALID is not to be had (foreign keys of partitioned tables).
-- `not_valid`: stays NOT VALID, by choice of who restores. `alone`: of a partitioned table and not of its partitions.
CREATE OR REPLACE FUNCTION zanith._render_constraint(
    con jsonb, schema_name text, target text, referenced text DEFAULT NULL,
    not_valid boolean DEFAULT false, at_once boolean DEFAULT false, alone boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT (SELECT CASE WHEN con ->> 'kind' IN ('check', 'foreign key') THEN added
                   ELSE zanith._building(ARRAY[format('the constraint %I', con ->> 'name'), format('the index %I', con ->> 'name')], added) END
            FROM zanith._step(
            format('ALTER TABLE %s%s ADD CONSTRAINT %I %s%s', CASE WHEN alone THEN 'ONLY ' ELSE '' END, target, con ->> 'name', p.clause,
                   CASE WHEN p.scans AND NOT at_once THEN ' NOT VALID' ELSE '' END),
            format('Add the %s constraint %I', con ->> 'kind', con ->> 'name'),
            CASE WHEN con ->> 'kind' = 'foreign key' THEN 'SHARE ROW EXCLUSIVE' ELSE 'ACCESS EXCLUSIVE' END,
            CASE WHEN referenced IS NULL OR referenced = target THEN ARRAY[target] ELSE ARRAY[target, referenced] END,
            -- one that is not enforced looks at no row
            NOT alone AND (con ->> 'kind' NOT IN ('check', 'foreign key') OR p.scans AND at_once)) AS added)
        || CASE WHEN COALESCE(con -> 'index', 'null') = 'null' THEN '[]'
                ELSE zanith._render_constraint_index(con -> 'index', schema_name, target) END
        || zanith._render_comment(con ->> 'comment', format('CONSTRAINT %I ON %s', con ->> 'name', target))
        || CASE WHEN p.scans AND NOT at_once AND NOT not_valid AND (con ->> 'validated')::boolean
                THEN zanith._proving(con ->> 'name', zanith._step(format('ALTER TABLE %s VALIDATE CONSTRAINT %I', target, con ->> 'name'),
                    format('Validate the constraint %I', con ->> 'name'), 'SHARE UPDATE EXCLUSIVE',
                    CASE WHEN referenced IS NULL OR referenced = target THEN ARRAY[target]
                         ELSE ARRAY[target, referenced] END, true, 2))
                ELSE '[]' END
    FROM (
        SELECT CASE WHEN con ->> 'kind' = 'foreign key'
                    THEN zanith._foreign_key_clause(con -> 'foreign_key', referenced)
                         || CASE WHEN (con ->> 'enforced')::boolean THEN '' ELSE ' NOT ENFORCED' END
                    -- an index of a partitioned table takes its options only when it is made
                    WHEN o.options IS NOT NULL AND (con #>> '{index,partitioned}')::boolean
                    THEN zanith._without_ending(q.definition, q.deferral) || format(' WITH (%s)', o.options) || q.deferral
                    ELSE zanith._without_ending(q.definition, ' NOT VALID') END,
               con ->> 'kind' IN ('check', 'foreign key') AND (con ->> 'enforced')::boolean
        FROM (SELECT zanith._option_list(con #> '{index,options}')) o(options),
             (SELECT s.definition, COALESCE((SELECT e.ending FROM (VALUES (1, ' DEFERRABLE INITIALLY DEFERRED'), (2, ' DEFERRABLE')) e(ord, ending)
                                             WHERE right(s.definition, length(e.ending)) = e.ending ORDER BY e.ord LIMIT 1), '')
              FROM (SELECT zanith._steady(con ->> 'definition')) s(definition)) q(definition, deferral)
    ) p(clause, scans)
); END $$;

-- The same, by whom: a check and an index are read by the owner unless they call nothing outside of pg_catalog; a foreign key is added
-- by who restores, without a look at any row, and validated by the owner of its table, whose casts that may call. For that PostgreSQL
-- plans a query on both tables.
CREATE OR REPLACE FUNCTION zanith._constraint_by_owner(
    con jsonb, owner text, schema_name text, target text, referenced text DEFAULT NULL,
    not_valid boolean DEFAULT false, at_once boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE con ->> 'kind'
        WHEN 'foreign key' THEN (
            SELECT COALESCE(jsonb_agg(CASE WHEN s.item ->> 'proves' IS NOT NULL OR s.ord = 1 AND (s.item ->> 'grows')::boolean
                THEN s.item || jsonb_build_object('role', zanith._runner(owner), 'guards', ARRAY[target, referenced]) ELSE s.item END ORDER BY s.ord), '[]') FROM zanith._each(q.steps) s)
        WHEN 'check' THEN zanith._as_owner(owner, q.steps)
        ELSE zanith._made_by(NULLIF(con -> 'index', 'null'), owner, q.steps) END
    FROM (SELECT zanith._render_constraint(con, schema_name, target, referenced, not_valid, at_once)) q(steps)
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_constraint_index(index jsonb, schema_name text, target text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE((SELECT zanith._step(
            format('ALTER INDEX %s SET (%s)', zanith._qualify(schema_name, index ->> 'name'), o.list),
            'Set the options of the index', 'SHARE UPDATE EXCLUSIVE', ARRAY[target])
        FROM (SELECT zanith._option_list(index -> 'options')) o(list)
        WHERE o.list IS NOT NULL AND NOT COALESCE((index ->> 'partitioned')::boolean, false)), '[]')
    || zanith._render_index_settings(index, schema_name, target)
); END $$;

-- Before 18 a partitioned table takes no foreign key that is NOT VALID.
CREATE OR REPLACE FUNCTION zanith._wants_proof_at_once(schema_name text, table_name text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT current_setting('server_version_num')::integer < 180000
       AND EXISTS (SELECT FROM pg_class c WHERE c.oid = zanith._relation_oid(schema_name, table_name) AND c.relkind = 'p')
); END $$;
