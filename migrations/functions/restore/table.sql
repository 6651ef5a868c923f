-- Restoring a table: its tree comes back by name and place, then everything that was detached.

-- The name a part of the table comes back under: its own, or, when the table is restored under another name and its
-- own is taken, one made of both.
CREATE OR REPLACE FUNCTION zanith._name_back(kind text, schema_name text, name text, as_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN as_name IS NOT NULL AND CASE kind WHEN 'statistics'
                    THEN EXISTS (SELECT FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
                                 WHERE n.nspname = schema_name AND s.stxname = name)
                    ELSE zanith._relation_oid(schema_name, name) IS NOT NULL END
                THEN zanith._clip(as_name || '_' || name, 63) ELSE name END
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_restore_table(d jsonb, choices jsonb, in_script boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE',
                (SELECT string_agg('ONLY ' || zanith._qualify(m.item ->> 'parked_schema', m.item ->> 'parked'), ', ' ORDER BY m.ord)
                 FROM zanith._each(d -> 'members') m)),
            'Lock the parked table', 'ACCESS EXCLUSIVE',
            (SELECT array_agg(zanith._qualify(m.item ->> 'parked_schema', m.item ->> 'parked') ORDER BY m.ord)
             FROM zanith._each(d -> 'members') m))
        || (SELECT zanith._list(s.item ORDER BY m.ord, s.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(
                zanith._render_member_back(m.item, CASE WHEN m.ord = 1 THEN q.final ELSE m.item ->> 'name' END, q.as_name)) s)
        || zanith._render_not_null_names(d, q.target, in_script)
        || zanith._render_attach(d, q.target)
        || zanith._render_inherit(d, q.target)
        || CASE WHEN q.as_name IS NULL THEN zanith._render_earlier_parts(d, q.target) ELSE '[]' END
        || (SELECT zanith._list(s.item ORDER BY m.ord, s.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(
                zanith._render_publish(m.item #> '{definition,publications}', zanith._qualify(m.item ->> 'schema', CASE WHEN m.ord = 1 THEN q.final ELSE m.item ->> 'name' END))) s)
        || (SELECT zanith._list(s.item ORDER BY m.ord, k.ord, s.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item #> '{definition,constraints}') k,
                 LATERAL zanith._each(zanith._constraint_by_owner(k.item, m.item #>> '{definition,owner}', m.item ->> 'schema',
                    zanith._qualify(m.item ->> 'schema', CASE WHEN m.ord = 1 THEN q.final ELSE m.item ->> 'name' END), zanith._referenced_name(d, k.item, q.final), q.not_valid,
                    (m.item #>> '{definition,partitioned}')::boolean
                        AND current_setting('server_version_num')::integer < 180000)) s
            WHERE zanith._constraint_is(k.item, 'reference') AND NOT (k.item ->> 'inherited')::boolean)
        || (SELECT zanith._list(s.item ORDER BY k.ord, s.ord)
            FROM zanith._each(d -> 'references') k, LATERAL zanith._each(
                zanith._constraint_by_owner(k.item, zanith._owner_of(zanith._qualify(k.item ->> 'schema', k.item ->> 'table')), k.item ->> 'schema',
                    zanith._qualify(k.item ->> 'schema', k.item ->> 'table'), zanith._referenced_name(d, k.item, q.final),
                    q.not_valid, zanith._wants_proof_at_once(k.item ->> 'schema', k.item ->> 'table'))) s)
        || CASE WHEN q.as_name IS NULL THEN zanith._render_cascade_restore(d, in_script) ELSE '[]' END
    FROM (SELECT choices ->> 'as', COALESCE(choices ->> 'as', d #>> '{table,name}'),
                 zanith._qualify(d #>> '{table,schema}', COALESCE(choices ->> 'as', d #>> '{table,name}')),
                 COALESCE((choices ->> 'not_valid')::boolean, false)) q(as_name, final, target, not_valid)
); END $$;

-- SQL of the tree of a table, as an array of oids, in the order in which partitions are attached: the default one last.
CREATE OR REPLACE FUNCTION zanith._members_sql(target text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN format($sql$ARRAY(
        WITH RECURSIVE family(o, depth) AS (
            SELECT %L::pg_catalog.regclass::pg_catalog.oid, 0 UNION SELECT i.inhrelid, depth + 1 FROM family JOIN pg_catalog.pg_inherits i ON i.inhparent = o)
        SELECT f.o FROM family f JOIN pg_catalog.pg_class c ON c.oid = f.o
        GROUP BY f.o, c.relpartbound ORDER BY pg_catalog.max(f.depth), pg_catalog.pg_get_expr(c.relpartbound, f.o) = 'DEFAULT', f.o)$sql$, target);
END $$;

-- SQL of whether each index of the tree in `members` would hang on the same one again: not where two are alike, or one is not valid.
CREATE OR REPLACE FUNCTION zanith._indexes_find_back_sql() RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $sql$NOT EXISTS (SELECT FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class y ON y.oid = x.indexrelid AND y.relkind = 'I'
               WHERE x.indrelid = ANY (members) AND (NOT x.indisvalid OR EXISTS (
                   SELECT FROM pg_catalog.pg_index z WHERE z.indrelid = x.indrelid AND z.indexrelid <> x.indexrelid AND z.indkey = x.indkey AND z.indclass = x.indclass)))$sql$;
END $$;

-- PL/pgSQL that detaches the partitions in an array of oids, and keeps in `back` what attaches them again, with their triggers as they were and the comments on these.
CREATE OR REPLACE FUNCTION zanith._detach_sql(partitions text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN format($sql$back := ARRAY(
            SELECT pg_catalog.format('ALTER TABLE %%s ATTACH PARTITION %%s %%s', i.inhparent::pg_catalog.regclass, c.oid::pg_catalog.regclass, pg_catalog.pg_get_expr(c.relpartbound, c.oid))
            FROM pg_catalog.unnest(%1$s) WITH ORDINALITY m(o, ord) JOIN pg_catalog.pg_class c ON c.oid = m.o AND c.relispartition
            JOIN pg_catalog.pg_inherits i ON i.inhrelid = c.oid ORDER BY m.ord)
        || ARRAY(
            SELECT pg_catalog.format('ALTER TABLE ONLY %%s %%s TRIGGER %%I', g.tgrelid::pg_catalog.regclass,
                   CASE g.tgenabled WHEN 'O' THEN 'ENABLE' WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE ALWAYS' END, g.tgname)
            FROM pg_catalog.pg_trigger g WHERE g.tgrelid = ANY (members) AND g.tgparentid <> 0 AND NOT g.tgisinternal ORDER BY g.tgrelid, g.tgname)
        || ARRAY(
            SELECT pg_catalog.format('COMMENT ON TRIGGER %%I ON %%s IS %%L', g.tgname, g.tgrelid::pg_catalog.regclass, x.description)
            FROM pg_catalog.pg_trigger g JOIN pg_catalog.pg_description x ON x.classoid = 'pg_catalog.pg_trigger'::pg_catalog.regclass AND x.objoid = g.oid
            WHERE g.tgrelid = ANY (members) AND g.tgparentid <> 0 AND NOT g.tgisinternal ORDER BY g.tgrelid, g.tgname);
        FOR statement IN
            SELECT pg_catalog.format('ALTER TABLE %%s DETACH PARTITION %%s', i.inhparent::pg_catalog.regclass, i.inhrelid::pg_catalog.regclass)
            FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relispartition WHERE i.inhrelid = ANY (%1$s) ORDER BY i.inhrelid LOOP
            EXECUTE statement;
        END LOOP;$sql$, partitions);
END $$;

-- Partitions whose NOT NULL was their parent's, by another name (18): those of tables that were made by themselves, as pg_dump makes
-- them. Only ATTACH PARTITION makes it so. {name, kept}: whether that is done in the restore of this column; it reads all rows, as
-- the restore of an archived column does anyway. A script (`live` NULL) finds out when it runs.
CREATE OR REPLACE FUNCTION zanith._not_null_heirs(d jsonb, live oid, choices jsonb) RETURNS TABLE (name text, kept boolean)
LANGUAGE plpgsql STABLE ROWS 3 AS $$
DECLARE
    able boolean := d ->> 'strategy' = 'archive_column' AND NOT COALESCE((choices ->> 'online')::boolean, false) AND NOT zanith._is_mixed(d)
        -- foreign keys that come back with the column and refer to the tree: a partition that one refers to cannot be detached
        AND jsonb_array_length(COALESCE(d -> 'references', '[]')) = 0
        AND NOT jsonb_path_exists(d, '$.constraints[*].foreign_key ? (@.self == true)');
BEGIN
    FOR name IN SELECT zanith._qualify(t.item ->> 'schema', t.item ->> 'name') FROM zanith._each(d -> 'tree') t
                WHERE NOT (t.item #>> '{column,not_null,local}')::boolean AND t.item #>> '{column,not_null,name}' <> d #>> '{column,not_null,name}' LOOP
        kept := able;
        IF able AND live IS NOT NULL THEN
            EXECUTE format('SELECT %s FROM (SELECT %s) q(members)', zanith._attaches_back_sql(d #>> '{column,name}'), zanith._members_sql(zanith._relation_name(live))) INTO kept;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;

-- SQL of whether detaching a partition of the tree in `members` and attaching it again changes nothing else.
CREATE OR REPLACE FUNCTION zanith._attaches_back_sql(column_name text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN format($sql$%s
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = ANY (members))
           AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute t ON t.attrelid = k.conrelid AND t.attnum = k.conkey[1] AND t.attname <> %L
                           WHERE k.conrelid = ANY (members) AND k.contype = 'n' AND k.conislocal AND k.coninhcount > 0)$sql$, zanith._indexes_find_back_sql(), column_name);
END $$;

-- Their NOT NULL is the parent's again. Last in the transaction: it locks tables that foreign keys refer to.
CREATE OR REPLACE FUNCTION zanith._render_not_null_heirs(d jsonb, target text, column_name text, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN h.names IS NULL THEN '[]' ELSE zanith._step(zanith._do(format($body$/* DDL */ DECLARE
    members pg_catalog.oid[] := %1$s; heirs pg_catalog.oid[]; back pg_catalog.text[] := '{}'; statement pg_catalog.text;
BEGIN
    heirs := ARRAY(
        SELECT m.o FROM pg_catalog.unnest(members) WITH ORDINALITY m(o, ord) JOIN pg_catalog.pg_class c ON c.oid = m.o AND c.relispartition
        JOIN pg_catalog.pg_attribute t ON t.attrelid = m.o AND t.attname = %2$L
        JOIN pg_catalog.pg_constraint k ON k.conrelid = m.o AND k.conkey[1] = t.attnum AND k.contype = 'n' AND k.conislocal AND k.coninhcount = 1
        WHERE m.o = ANY (ARRAY(SELECT pg_catalog.to_regclass(n.name)::pg_catalog.oid FROM pg_catalog.unnest(%3$L::pg_catalog.text[]) n(name))) ORDER BY m.ord);
    IF pg_catalog.cardinality(heirs) > 0 AND %4$s THEN
        %5$s
        FOREACH statement IN ARRAY back LOOP
            EXECUTE statement;
        END LOOP;
    END IF;
END$body$, zanith._members_sql(target), column_name, h.names, zanith._attaches_back_sql(column_name), zanith._detach_sql('heirs'))),
            'Detach and attach partitions, so that their NOT NULL is the parent''s again', 'ACCESS EXCLUSIVE', ARRAY[target] || ARRAY(
                SELECT DISTINCT zanith._relation_name(k.confrelid) FROM zanith._tree(live) m JOIN pg_constraint k ON k.conrelid = m.member AND k.contype = ANY (zanith._letters_of('reference')) ORDER BY 1), true) END
    FROM (SELECT array_agg(x.name) FILTER (WHERE x.kept) FROM zanith._not_null_heirs(d, live, choices) x) h(names)
); END $$;

-- Whether NOT NULL constraints of a parked tree have names that 18 made of its parked names.
CREATE OR REPLACE FUNCTION zanith._has_parked_names(d jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN
    COALESCE((d ->> 'server_version')::integer, 0) < 180000 AND current_setting('server_version_num')::integer >= 180000
    AND jsonb_path_exists(d, '$.members[*].definition.columns[*].not_null ? (@ != null)')
    AND EXISTS (SELECT FROM zanith._family(zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}')) f JOIN pg_constraint k ON k.conrelid = f.member
                WHERE k.contype = ANY (zanith._letters_of('not_null')) AND starts_with(k.conname, '_zanith_dropped_'));
END $$;

CREATE OR REPLACE FUNCTION zanith._has_mixed_members(d jsonb) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN EXISTS (SELECT FROM zanith._each(d -> 'members') m WHERE m.item #> '{definition,owner}' <> d #> '{table,owner}');
END $$;

-- Before 18 a NOT NULL has no name. A table that comes to 18 while it is parked gets names there that are made of its parked one;
-- these become the names that 18 would have made of its own. A constraint that is inherited can't be renamed: what has one by
-- another name than its parent is detached, and attached again, which reads its rows. Not where an index of the tree would
-- then hang on another: of two alike, or of one that is not valid. Not in a tree of several owners: ATTACH PARTITION evaluates
-- checks of the partition, which would run as another.
CREATE OR REPLACE FUNCTION zanith._render_not_null_names(d jsonb, target text, in_script boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF COALESCE((d ->> 'server_version')::integer, 0) >= 180000
       OR NOT jsonb_path_exists(d, '$.members[*].definition.columns[*].not_null ? (@ != null)')
       OR zanith._has_mixed_members(d)
       -- a script is the same on every server
       OR NOT in_script AND NOT zanith._has_parked_names(d) THEN
        RETURN '[]';
    END IF;
    RETURN zanith._as_owner(d #>> '{table,owner}', zanith._step(zanith._do(format($body$/* DDL */ DECLARE
    members pg_catalog.oid[]; back pg_catalog.text[] := '{}'; con record; above record; statement pg_catalog.text;
    fresh pg_catalog.text; label pg_catalog.text; one pg_catalog.text; two pg_catalog.text; pass integer; a integer; b integer;
BEGIN
    IF pg_catalog.current_setting('server_version_num')::integer < 180000 THEN
        RETURN;
    END IF;
    members := %4$s;
    -- given to another role since
    IF EXISTS (SELECT FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
               WHERE c.oid = ANY (members) AND r.rolname <> CURRENT_USER AND NOT r.rolsuper) THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_class c ON c.oid = k.conrelid AND c.relispartition
               WHERE k.conrelid = ANY (members) AND k.contype = 'n' AND k.coninhcount > 0 AND pg_catalog.starts_with(k.conname::pg_catalog.text, '_zanith_dropped_'))
       AND %6$s THEN
        %5$s
    END IF;
    FOR con IN
        SELECT k.conrelid, k.conname, k.coninhcount, t.attname, c.relname
        FROM pg_catalog.unnest(members) WITH ORDINALITY m(o, ord) JOIN pg_catalog.pg_class c ON c.oid = m.o JOIN pg_catalog.pg_constraint k ON k.conrelid = m.o
        JOIN pg_catalog.pg_attribute t ON t.attrelid = m.o AND t.attnum = k.conkey[1]
        WHERE k.contype = 'n' AND pg_catalog.starts_with(k.conname::pg_catalog.text, '_zanith_dropped_') ORDER BY m.ord, t.attnum LOOP
        -- a child's goes with its parent's; a parent that is no member has a stand-in
        SELECT i.inhparent AS relation, k.conname INTO above
        FROM ROWS FROM (pg_catalog.unnest(%2$L::pg_catalog.text[]), pg_catalog.unnest(%3$L::pg_catalog.text[])) h(placeholder, parent)
        JOIN pg_catalog.pg_inherits i ON i.inhparent = pg_catalog.to_regclass(h.placeholder) AND i.inhrelid = con.conrelid
        JOIN pg_catalog.pg_constraint o ON o.conrelid = i.inhparent AND o.conname = con.conname
        JOIN pg_catalog.pg_attribute t ON t.attrelid = pg_catalog.to_regclass(h.parent) AND t.attname = con.attname
        JOIN pg_catalog.pg_constraint k ON k.conrelid = t.attrelid AND k.contype = 'n' AND k.conkey[1] = t.attnum
        ORDER BY i.inhseqno LIMIT 1;
        IF FOUND AND con.coninhcount = 1 THEN
            EXECUTE pg_catalog.format('ALTER TABLE %%s RENAME CONSTRAINT %%I TO %%I', above.relation::pg_catalog.regclass, con.conname, above.conname);
        END IF;
        CONTINUE WHEN con.coninhcount > 0;
        pass := 0;
        LOOP
            label := CASE pass WHEN 0 THEN '_not_null' ELSE '_not_null' || pass END;
            a := pg_catalog.octet_length(con.relname::pg_catalog.text);
            b := pg_catalog.octet_length(con.attname::pg_catalog.text);
            WHILE a + b + 1 + pg_catalog.octet_length(label) > 63 LOOP
                IF a > b THEN a := a - 1; ELSE b := b - 1; END IF;
            END LOOP;
            one := con.relname;
            two := con.attname;
            WHILE pg_catalog.octet_length(one) > a LOOP one := pg_catalog.left(one, -1); END LOOP;
            WHILE pg_catalog.octet_length(two) > b LOOP two := pg_catalog.left(two, -1); END LOOP;
            fresh := one || '_' || two || label;
            EXIT WHEN NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = con.conrelid AND k.conname = fresh);
            pass := pass + 1;
        END LOOP;
        EXECUTE pg_catalog.format('ALTER TABLE %%s RENAME CONSTRAINT %%I TO %%I', con.conrelid::pg_catalog.regclass, con.conname, fresh);
    END LOOP;
    FOREACH statement IN ARRAY back LOOP
        EXECUTE statement;
    END LOOP;
END$body$, target,
            ARRAY(SELECT zanith._qualify(d #>> '{parked,schema}', h.item ->> 'parked') FROM zanith._each(d -> 'placeholders') h ORDER BY h.ord),
            ARRAY(SELECT zanith._qualify(h.item ->> 'schema', h.item ->> 'name') FROM zanith._each(d -> 'placeholders') h ORDER BY h.ord),
            zanith._members_sql(target), zanith._detach_sql('members'), zanith._indexes_find_back_sql())),
        'Name the NOT NULL constraints as PostgreSQL 18 would have named them', 'ACCESS EXCLUSIVE', ARRAY[target], jsonb_array_length(d -> 'members') > 1));
END $$;

-- What a foreign key refers to, by the name it will have then.
CREATE OR REPLACE FUNCTION zanith._referenced_name(d jsonb, con jsonb, root_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN con #>> '{foreign_key,schema}' = d #>> '{table,schema}'
                 AND con #>> '{foreign_key,table}' = d #>> '{table,name}'
                THEN zanith._qualify(d #>> '{table,schema}', root_name)
                ELSE zanith._qualify(con #>> '{foreign_key,schema}', con #>> '{foreign_key,table}') END
$$;

CREATE OR REPLACE FUNCTION zanith._render_member_back(m jsonb, final text, as_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_refusal_end(q.parked, m ? 'cloned')
        || CASE WHEN m ->> 'parked_schema' = m ->> 'schema' THEN '[]' ELSE zanith._step(
            format('ALTER TABLE %s SET SCHEMA %I', q.parked, m ->> 'schema'),
            'Move the table back to its schema (no rows move)', 'ACCESS EXCLUSIVE', ARRAY[q.parked]) END
        || zanith._step(format('ALTER TABLE %s RENAME TO %I', zanith._qualify(m ->> 'schema', m ->> 'parked'), final),
            'Give the table its own name', 'ACCESS EXCLUSIVE', ARRAY[q.parked])
        || (SELECT zanith._list(s.item ORDER BY r.ord, s.ord)
            FROM zanith._each(m -> 'renames') r, LATERAL zanith._each(CASE WHEN r.item ? 'parked_schema' THEN zanith._step(
                format('ALTER STATISTICS %s SET SCHEMA %I', zanith._qualify(r.item ->> 'parked_schema', r.item ->> 'parked'), r.item ->> 'schema'),
                'Move a statistics object back to its schema') ELSE '[]' END || zanith._render_renames(
                jsonb_build_array(r.item || jsonb_build_object('name',
                    zanith._name_back(r.item ->> 'kind', r.item ->> 'schema', r.item ->> 'name', as_name))), NULL, true)) s)
        || zanith._step(format('COMMENT ON TABLE %s IS %s', q.target, COALESCE(quote_literal(m #>> '{definition,comment}'), 'NULL')),
            'Set the table''s own comment')
        || CASE WHEN (m #>> '{definition,force_row_security}')::boolean THEN zanith._step(
            format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', q.target),
            'Apply row security to the owner again (FORCE)', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
        || zanith._render_grants(m #> '{definition,grants}', 'TABLE ' || q.target, q.owner)
        || (SELECT zanith._list(s.item ORDER BY c.ord, s.ord)
            FROM zanith._each(m #> '{definition,columns}') c, LATERAL zanith._each(
                zanith._render_grants(c.item -> 'grants', 'TABLE ' || q.target, q.owner, c.item ->> 'name')
                || (SELECT zanith._list(g.item ORDER BY x.ord, g.ord)
                    FROM zanith._each(c.item -> 'sequences') x, LATERAL zanith._each(zanith._render_grants(
                        x.item -> 'grants', 'SEQUENCE ' || zanith._qualify(x.item ->> 'schema',
                            zanith._name_back('sequence', x.item ->> 'schema', x.item ->> 'name', as_name)), q.owner)) g)
            ) s
            WHERE c.item -> 'grants' <> 'null' OR c.item -> 'sequences' <> '[]')
    FROM (SELECT zanith._qualify(m ->> 'schema', final), zanith._qualify(m ->> 'parked_schema', m ->> 'parked'),
                 m #>> '{definition,owner}') q(target, parked, owner)
); END $$;

-- Whether ATTACH PARTITION may call what an owner wrote: in a partition key, in a bound, or in a check that could spare the scan.
CREATE OR REPLACE FUNCTION zanith._attaching_calls_code(d jsonb, parent jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    above oid := zanith._relation_oid(parent ->> 'schema', parent ->> 'name');
    parked oid := zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}');
BEGIN
    RETURN zanith._key_calls_code(above) OR zanith._find_foreign_code(above, true) IS NOT NULL OR zanith._find_foreign_code(parked, true) IS NOT NULL;
END $$;

CREATE OR REPLACE FUNCTION zanith._owner_of_table(named jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = zanith._relation_oid(named ->> 'schema', named ->> 'name')
); END $$;

-- A partition back on its parent; triggers that the parent clones, all the way down, come back in the state they had.
-- Foreign keys that a partition had from its parent as NOT VALID, and that the parent still has so (18). ATTACH PARTITION validates a key
-- that the partition lacks, and takes one over that it has.
CREATE OR REPLACE FUNCTION zanith._unvalidated_keys(d jsonb) RETURNS TABLE (key jsonb, ord bigint)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN RETURN QUERY
    SELECT k.item, k.ord FROM zanith._each(d #> '{members,0,definition,constraints}') k
    WHERE zanith._constraint_is(k.item, 'reference') AND (k.item ->> 'inherited')::boolean AND (k.item ->> 'enforced')::boolean AND NOT (k.item ->> 'validated')::boolean
      AND d #> '{members,0,definition,partition_of}' <> 'null' AND EXISTS (
        SELECT FROM pg_constraint c
        WHERE c.conrelid = zanith._relation_oid(d #>> '{members,0,definition,partition_of,schema}', d #>> '{members,0,definition,partition_of,name}')
          AND c.contype = ANY (zanith._letters_of('reference')) AND NOT c.convalidated AND zanith._describe_foreign_key(c.oid) = k.item -> 'foreign_key');
END $$;

CREATE OR REPLACE FUNCTION zanith._render_attach(d jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN COALESCE(q.at, 'null') = 'null' THEN '[]' ELSE
        (SELECT zanith._list(s.item ORDER BY u.ord, s.ord) FROM zanith._unvalidated_keys(d) u, LATERAL zanith._each(zanith._constraint_by_owner(
            u.key, d #>> '{table,owner}', d #>> '{table,schema}', target, zanith._qualify(u.key #>> '{foreign_key,schema}', u.key #>> '{foreign_key,table}'), true)) s) ||
        -- by the role that owns both: a check may be added to the parked table before this runs
        zanith._guarding(ARRAY[q.parent, target], zanith._as_owner(CASE WHEN zanith._attaching_calls_code(d, q.at) OR zanith._owner_of_table(q.at) = d #>> '{table,owner}' THEN d #>> '{table,owner}' END, zanith._step(
            format('ALTER TABLE %s ATTACH PARTITION %s %s', q.parent, target, q.at ->> 'bound'),
            'Attach the partition to its parent, with its bound', 'ACCESS EXCLUSIVE', ARRAY[q.parent, target], true)))
        || (SELECT zanith._list(zanith._step(
                format('ALTER TABLE ONLY %s %s TRIGGER %I', w.name, t.item ->> 'enabled', t.item ->> 'name'),
                'Set the state of a trigger of the parent', 'SHARE ROW EXCLUSIVE', ARRAY[w.name]) -> 0 ORDER BY m.ord, t.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item #> '{definition,triggers}') t,
                 LATERAL (SELECT CASE WHEN m.ord = 1 THEN target ELSE zanith._qualify(m.item ->> 'schema', m.item ->> 'name') END) w(name)
            WHERE (t.item ->> 'inherited')::boolean)
        -- ATTACH PARTITION makes NOT NULL the parent's alone (18)
        || (SELECT zanith._list(zanith._as_owner(d #>> '{table,owner}', zanith._step(
                format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', target, c.item ->> 'name'),
                format('Set NOT NULL of %I for the partition itself', c.item ->> 'name'), 'ACCESS EXCLUSIVE', ARRAY[target])) -> 0 ORDER BY c.ord)
            FROM zanith._each(d #> '{members,0,definition,columns}') c
            WHERE (c.item ->> 'inherited')::boolean AND (c.item #>> '{not_null,local}')::boolean AND (c.item #>> '{not_null,validated}')::boolean
              AND current_setting('server_version_num')::integer >= 180000) END
    FROM (SELECT d #> '{members,0,definition,partition_of}',
                 zanith._qualify(d #>> '{members,0,definition,partition_of,schema}',
                                 d #>> '{members,0,definition,partition_of,name}')) q(at, parent)
); END $$;

-- The parents of a table that inherits, instead of the placeholders.
CREATE OR REPLACE FUNCTION zanith._render_inherit(d jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY s.part, p.ord, s.ord)
    FROM zanith._each(d -> 'placeholders') p,
         LATERAL (SELECT zanith._qualify(p.item ->> 'schema', p.item ->> 'name'),
                         zanith._qualify(d #>> '{parked,schema}', p.item ->> 'parked')) q(parent, placeholder),
         LATERAL (
            SELECT 1 AS part, e.item, e.ord FROM zanith._each(
                zanith._step(format('ALTER TABLE %s INHERIT %s', target, q.parent),
                    'Inherit from the parent again', 'ACCESS EXCLUSIVE', ARRAY[q.parent, target])) e
            UNION ALL
            SELECT 2, e.item, e.ord FROM zanith._each(
                zanith._step(format('ALTER TABLE %s NO INHERIT %s', target, q.placeholder), 'Detach from the placeholder', 'ACCESS EXCLUSIVE', ARRAY[target])
                || zanith._step(format('DROP TABLE %s', q.placeholder), 'Drop the placeholder', 'ACCESS EXCLUSIVE')) e) s
); END $$;
