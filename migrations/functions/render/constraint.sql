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
    SELECT (SELECT CASE WHEN p.lazy THEN added
                   ELSE zanith._building(ARRAY[format('the constraint %I', con ->> 'name'), format('the index %I', con ->> 'name')], added) END
            FROM zanith._step(
            format('ALTER TABLE %s%s ADD CONSTRAINT %I %s%s', CASE WHEN alone THEN 'ONLY ' ELSE '' END, target, con ->> 'name', p.clause,
                   CASE WHEN p.scans AND NOT at_once THEN ' NOT VALID' ELSE '' END),
            format('Add the %s constraint %I', con ->> 'kind', con ->> 'name'),
            p.lock,
            CASE WHEN referenced IS NULL OR referenced = target THEN ARRAY[target] ELSE ARRAY[target, referenced] END,
            -- one that is not enforced looks at no row
            NOT alone AND (NOT p.lazy OR p.scans AND at_once)) AS added)
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
        SELECT CASE WHEN 'reference' = ANY (k.facts)
                    THEN zanith._foreign_key_clause(con -> 'foreign_key', referenced)
                         || CASE WHEN (con ->> 'enforced')::boolean THEN '' ELSE ' NOT ENFORCED' END
                    -- an index of a partitioned table takes its options only when it is made
                    WHEN o.options IS NOT NULL AND (con #>> '{index,partitioned}')::boolean
                    THEN zanith._without_ending(q.definition, q.deferral) || format(' WITH (%s)', o.options) || q.deferral
                    ELSE zanith._without_ending(q.definition, ' NOT VALID') END,
               k.lock, 'not_valid' = ANY (k.facts), 'not_valid' = ANY (k.facts) AND (con ->> 'enforced')::boolean
        FROM zanith._constraint_kinds() k, (SELECT zanith._option_list(con #> '{index,options}')) o(options),
             (SELECT s.definition, COALESCE((SELECT e.ending FROM (VALUES (1, ' DEFERRABLE INITIALLY DEFERRED'), (2, ' DEFERRABLE')) e(ord, ending)
                                             WHERE right(s.definition, length(e.ending)) = e.ending ORDER BY e.ord LIMIT 1), '')
              FROM (SELECT zanith._round_trip_safe(con ->> 'definition')) s(definition)) q(definition, deferral)
        WHERE k.kind = con ->> 'kind'
    ) p(clause, lock, lazy, scans)
); END $$;

-- The same, by whom: a check and an index are read by the owner unless they call nothing outside of pg_catalog; a foreign key is added
-- by who restores, without a look at any row, and validated by the owner of its table, whose casts that may call. For that PostgreSQL
-- plans a query on both tables.
CREATE OR REPLACE FUNCTION zanith._constraint_by_owner(
    con jsonb, owner text, schema_name text, target text, referenced text DEFAULT NULL,
    not_valid boolean DEFAULT false, at_once boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE
        WHEN zanith._constraint_is(con, 'reference') THEN (
            SELECT zanith._list(CASE WHEN s.item ->> 'proves' IS NOT NULL OR s.ord = 1 AND (s.item ->> 'grows')::boolean
                THEN s.item || jsonb_build_object('role', zanith._prover(owner, con -> 'foreign_key', at_once), 'guards', ARRAY['ONLY ' || target, 'ONLY ' || referenced]) ELSE s.item END ORDER BY s.ord) FROM zanith._each(q.steps) s)
        WHEN zanith._constraint_is(con, 'condition') THEN zanith._as_owner(owner, q.steps)
        ELSE CASE WHEN zanith._constraint_is(con, 'key') AND zanith._runner(owner) IS NOT NULL THEN zanith._render_key_check(con -> 'columns', target) ELSE '[]' END
             || zanith._made_by(NULLIF(con -> 'index', 'null'), owner, q.steps) END
    FROM (SELECT zanith._render_constraint(con, schema_name, target, referenced, not_valid, at_once)) q(steps)
); END $$;

-- Who adds a foreign key that is validated at once: the owner of its table, or the operator where the owner may not refer to the other table.
-- No table may call code then (see guard_tables). NULL is the operator. Who validates a key later needs no privilege on the other table.
CREATE OR REPLACE FUNCTION zanith._prover(owner text, key jsonb, at_once boolean) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    runner text := zanith._runner(owner);
BEGIN
    IF at_once AND runner IS NOT NULL AND NOT zanith._may_refer(runner, zanith._relation_oid(key ->> 'schema', key ->> 'table'), key -> 'references') THEN
        RETURN NULL;
    END IF;
    RETURN runner;
END $$;

-- Whether a role may refer to columns of a table; of a table or column that does not exist it is not denied.
CREATE OR REPLACE FUNCTION zanith._may_refer(role_name text, relation oid, columns jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN NOT EXISTS (
    SELECT FROM jsonb_array_elements_text(columns) x(name) JOIN pg_attribute t ON t.attrelid = relation AND t.attname = x.name AND NOT t.attisdropped
    WHERE NOT has_column_privilege(role_name, relation, t.attnum, 'REFERENCES')
); END $$;

-- ADD PRIMARY KEY sets NOT NULL of a column that lacks it, and for that evaluates what is constant in the checks of the table, and of those
-- beneath it. No code of the owner runs between this step and that one.
CREATE OR REPLACE FUNCTION zanith._render_key_check(columns jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN
    zanith._step(zanith._do(format($body$DECLARE taken record; BEGIN
    WITH RECURSIVE family(o) AS (SELECT %1$L::pg_catalog.regclass::pg_catalog.oid UNION SELECT i.inhrelid FROM family JOIN pg_catalog.pg_inherits i ON i.inhparent = o)
    SELECT a.attrelid::pg_catalog.regclass AS relation, a.attname INTO taken FROM family JOIN pg_catalog.pg_attribute a ON a.attrelid = o AND a.attname = ANY (%2$L::pg_catalog.name[])
        JOIN pg_catalog.pg_class c ON c.oid = o JOIN pg_catalog.pg_roles r ON r.oid = c.relowner AND NOT r.rolsuper AND r.rolname <> current_user
    WHERE NOT a.attnotnull AND NOT a.attisdropped AND EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = o AND k.contype = 'c') LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%%.%% now takes NULL, and the primary key would evaluate the checks of that table as %%', taken.relation, pg_catalog.quote_ident(taken.attname), current_user
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = pg_catalog.format('Let the owner of the table set NOT NULL first: ALTER TABLE %%s ALTER COLUMN %%I SET NOT NULL.', taken.relation, taken.attname);
    END IF;
END$body$, target, ARRAY(SELECT c.item #>> '{}' FROM zanith._each(columns) c))),
        'Stop where a column of the primary key takes NULL', NULL, ARRAY[target]);
END $$;

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
