-- Refusals: what is never captured, named, with what to do instead.

CREATE OR REPLACE FUNCTION zanith._refuse(message text, hint text, code text DEFAULT '0A000', detail text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF detail IS NULL THEN
        RAISE EXCEPTION '%', message USING ERRCODE = code, HINT = hint;
    END IF;
    RAISE EXCEPTION '%', message USING ERRCODE = code, HINT = hint, DETAIL = detail;
END $$;

-- A capture that reads the rows of a trusted role's table evaluates its expressions as the operator.
CREATE OR REPLACE FUNCTION zanith._check_third_code(relation oid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    t record;
BEGIN
    SELECT o.name AS owner, zanith._relation_name(c.oid) AS name, x.code INTO t
    FROM zanith._family(relation) f JOIN pg_class c ON c.oid = f.member, LATERAL pg_get_userbyid(c.relowner) o(name),
         LATERAL (SELECT CASE WHEN zanith._is_trusted(o.name) THEN zanith._third_code_of_table(c.oid, o.name, false, false, true) END) x(code)
    WHERE x.code IS NOT NULL ORDER BY c.oid LIMIT 1;
    IF FOUND THEN
        PERFORM zanith._refuse(format('code of another role would run as %I: %s uses %s', t.owner, t.name, t.code), zanith._take_over(t.owner), '42501');
    END IF;
END $$;

-- What a cascade drops of a trusted role comes back as the operator: it may call no code of another role. A companion is of one too, with its type.
CREATE OR REPLACE FUNCTION zanith._check_trusted_parts(d jsonb, relation oid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    conflict jsonb := CASE WHEN NOT zanith._is_trusted(d #>> '{table,owner}') THEN zanith._find_trusted_parts(d, relation) -> 0
                           WHEN d ? 'companion' THEN zanith._find_handed_over(d, relation, '{}') -> 0 END;
BEGIN
    IF conflict IS NOT NULL THEN
        PERFORM zanith._refuse(conflict ->> 'message', conflict ->> 'hint', '42501');
    END IF;
END $$;

-- Steps on a table whose partition key calls code run as the owner of the table (see _as_owner_of_key), who can neither drop nor create what
-- another role owns.
CREATE OR REPLACE FUNCTION zanith._check_keyed_parts(d jsonb, relation oid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    p record;
BEGIN
    IF d #>> '{table,runner}' IS NULL OR NOT COALESCE((d #>> '{table,keyed}')::boolean, false) THEN
        RETURN;
    END IF;
    SELECT q.what, q.owner INTO p FROM (
        SELECT format('the view %s', zanith._qualify(v.item ->> 'schema', v.item ->> 'name')), v.item ->> 'owner' FROM zanith._each(d #> '{cascade,views}') v
        UNION ALL SELECT format('the function %s', f.item ->> 'name'), f.item ->> 'owner' FROM zanith._each(d #> '{cascade,functions}') f
        UNION ALL SELECT format('the table %s', x.item ->> 'table'), zanith._owner_of(x.item ->> 'table') FROM zanith._acting_parts(d -> 'cascade') x
        UNION ALL SELECT format('the table %s', t.name), zanith._owner_of(t.name) FROM zanith._all_references(d) k(item), LATERAL zanith._qualify(k.item ->> 'schema', k.item ->> 'table') t(name)
        UNION ALL SELECT format('the publication %I', b.pubname), pg_get_userbyid(b.pubowner) FROM pg_publication b
                  WHERE b.pubname IN (SELECT n.item ->> 'name' FROM zanith._each(d -> 'publications') n UNION ALL SELECT n.item ->> 'name' FROM zanith._each(d #> '{cascade,publications}') n)
        ) q(what, owner)
    WHERE q.owner <> d #>> '{table,owner}' ORDER BY 1 LIMIT 1;
    IF FOUND THEN
        PERFORM zanith._refuse(format('%s belongs to %I, and the partition key of %s calls code of %I', p.what, p.owner, zanith._relation_name(relation), d #>> '{table,owner}'),
            format('Give it to %I first: ALTER … OWNER TO %I. Or drop it.', d #>> '{table,owner}', d #>> '{table,owner}'));
    END IF;
END $$;

-- A partition comes back by ATTACH PARTITION, which needs the owner of both tables where it calls code of an owner's.
CREATE OR REPLACE FUNCTION zanith._check_attaching(relation oid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    parent record;
BEGIN
    SELECT p.oid, p.relowner INTO parent FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent
    WHERE c.oid = relation AND c.relispartition AND p.relowner <> c.relowner;
    IF FOUND AND (zanith._key_calls_code(parent.oid) OR zanith._find_foreign_code(parent.oid, true) IS NOT NULL) THEN
        PERFORM zanith._refuse(format('%s is a partition of %s, which belongs to another role, and attaching it again would call code',
            zanith._relation_name(relation), zanith._relation_name(parent.oid)),
            format('Give both one owner first: ALTER TABLE %s OWNER TO …, or detach it.', zanith._relation_name(relation)), '0A000', zanith._find_foreign_code(parent.oid, true));
    END IF;
END $$;

-- PostgreSQL takes no exclusion constraint of a partition for its parent's: it attaches the partition with a second one. An index that it
-- makes of the parent's has a name of its own choice. With a column: those that name it.
CREATE OR REPLACE FUNCTION zanith._check_exclusions(parted oid, name text, column_name text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    k record;
BEGIN
    SELECT c.conname, zanith._relation_name(c.conrelid) AS relation INTO k FROM pg_class r JOIN pg_constraint c ON c.conrelid = r.oid AND c.contype = ANY (zanith._letters_of('exclusion'))
    WHERE r.oid = parted AND r.relkind = 'p' AND (column_name IS NULL OR zanith._index_columns(c.conindid) ? column_name) ORDER BY c.conname COLLATE "C" LIMIT 1;
    IF FOUND THEN
        PERFORM zanith._refuse(format('%s could not come back with its part of the exclusion constraint %I of the partitioned table %s', name, k.conname, k.relation),
            format('Drop the constraint first, and add it again after the restore: ALTER TABLE %s DROP CONSTRAINT %I.', k.relation, k.conname));
    END IF;
END $$;

-- DETACH PARTITION leaves a constraint trigger FROM another table on the partition, where nothing but a drop of its parent's trigger
-- removes it. ATTACH PARTITION makes it again, and fails.
CREATE OR REPLACE FUNCTION zanith._check_constraint_triggers(relation oid, name text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    t record;
BEGIN
    WITH RECURSIVE up AS (
        SELECT c.tgname, c.tgrelid, c.tgparentid FROM pg_trigger c
        WHERE c.tgrelid = relation AND c.tgparentid <> 0 AND NOT c.tgisinternal AND c.tgconstrrelid <> 0
        UNION ALL SELECT p.tgname, p.tgrelid, p.tgparentid FROM up JOIN pg_trigger p ON p.oid = up.tgparentid)
    SELECT up.tgname, zanith._relation_name(up.tgrelid) AS parent INTO t FROM up WHERE up.tgparentid = 0 ORDER BY up.tgname COLLATE "C" LIMIT 1;
    IF FOUND THEN
        PERFORM zanith._refuse(format('%s could not come back with the constraint trigger %I of the partitioned table %s, which names another table (FROM)', name, t.tgname, t.parent),
            format('Drop the trigger first, and create it again after the capture: DROP TRIGGER %I ON %s.', t.tgname, t.parent));
    END IF;
END $$;

-- A table that inherits is parked with a placeholder that is made like its parent, and comes back by INHERIT.
CREATE OR REPLACE FUNCTION zanith._check_parents(relation oid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    parent record;
BEGIN
    FOR parent IN SELECT p.oid, p.relowner, zanith._relation_name(p.oid) AS name, zanith._find_foreign_code(p.oid, true) AS code
                  FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid JOIN pg_class p ON p.oid = i.inhparent
                  WHERE c.oid = relation AND NOT c.relispartition AND p.relowner <> c.relowner LOOP
        IF parent.code IS NOT NULL AND NOT zanith._is_superuser(pg_get_userbyid(parent.relowner)) THEN
            PERFORM zanith._refuse(format('%s inherits from %s, which belongs to another role and calls code', zanith._relation_name(relation), parent.name),
                format('Give both one owner first: ALTER TABLE %s OWNER TO …, or end the inheritance.', zanith._relation_name(relation)), '0A000', parent.code);
        ELSIF NOT has_table_privilege(parent.oid, 'SELECT') THEN
            PERFORM zanith._refuse(format('permission denied for table %s', parent.name),
                format('%s inherits from it, and the capture creates a placeholder like it: GRANT SELECT ON %s TO %I.', zanith._relation_name(relation), parent.name, current_user), '42501');
        END IF;
    END LOOP;
END $$;

-- Refusals that hold for a table whatever the strategy.
CREATE OR REPLACE FUNCTION zanith._check_table(strategy text, relation oid) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    c record;
    name text := zanith._relation_name(relation);
    other text;
BEGIN
    SELECT k.*, n.nspname INTO c FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace WHERE k.oid = relation;
    IF NOT FOUND THEN
        PERFORM zanith._refuse(format('relation %s does not exist', relation), 'Check the name and its schema.', '42P01');
    END IF;
    IF c.nspname IN ('zanith', '_zanith_shadow')
       OR obj_description(relation, 'pg_class') LIKE 'zanith artifact %' THEN
        PERFORM zanith._refuse(format('%s belongs to Zanith', name),
            'A parked object cannot be captured again; purge it with zanith recover purge.');
    END IF;
    IF c.relkind IN ('v', 'm') THEN
        PERFORM zanith._refuse(format('%s is a view', name),
            'A view holds no rows: keep its definition in your migrations, then use DROP VIEW.');
    ELSIF c.relkind = 'f' THEN
        PERFORM zanith._refuse(format('%s is a foreign table', name),
            'Its rows live on another server; capture them there, then use DROP FOREIGN TABLE.');
    ELSIF c.relkind NOT IN ('r', 'p') THEN
        PERFORM zanith._refuse(format('%s is not a table', name), 'Name a table.', '42809');
    END IF;
    IF c.nspname IN ('pg_catalog', 'information_schema', 'pg_toast') THEN
        PERFORM zanith._refuse(format('%s is a system table', name), 'Name a table of your own.');
    END IF;
    IF c.relpersistence = 't' THEN
        PERFORM zanith._refuse(format('%s is a temporary table', name), 'It ends with its session; use DROP TABLE.');
    END IF;
    IF NOT pg_has_role(c.relowner, 'USAGE') THEN
        PERFORM zanith._refuse(format('must be owner of table %s', name),
            format('Run the capture as %I or as a member of it.', pg_get_userbyid(c.relowner)), '42501');
    END IF;
    PERFORM zanith._check_owners(relation), zanith._check_attaching(relation);
    SELECT e.extname INTO other FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
    WHERE d.classid = 'pg_class'::regclass AND d.objid = relation AND d.refclassid = 'pg_extension'::regclass
      AND d.deptype = 'e';
    IF FOUND THEN
        PERFORM zanith._refuse(format('%s belongs to the extension %I', name, other),
            'Use DROP EXTENSION, or ALTER EXTENSION … DROP TABLE first.');
    END IF;
    -- what is renamed or moved keeps its labels
    IF strategy = 'rebuild_table' AND EXISTS (SELECT FROM pg_seclabel WHERE classoid = 'pg_class'::regclass AND objoid = relation) THEN
        PERFORM zanith._refuse(format('%s has security labels, which rebuild_table does not record', name),
            'Remove the labels first: SECURITY LABEL … IS NULL.');
    END IF;
    SELECT zanith._relation_name(t.tgrelid) INTO other FROM pg_trigger t
    WHERE t.tgisinternal AND t.tgenabled <> 'O' AND t.tgrelid IN (SELECT x.member FROM zanith._tree(relation) x) LIMIT 1;
    IF FOUND AND zanith._strategy_is(strategy, 'drops') THEN
        PERFORM zanith._refuse(format('%s has constraint triggers that were disabled (DISABLE TRIGGER ALL), which is not supported yet', other),
            format('Enable them first: ALTER TABLE %s ENABLE TRIGGER ALL.', other));
    END IF;
    IF zanith._strategy_is(strategy, 'moves') THEN
        PERFORM zanith._check_parents(relation), zanith._check_constraint_triggers(relation, name);
        PERFORM zanith._check_exclusions(i.inhparent, name) FROM pg_inherits i WHERE i.inhrelid = relation;
        SELECT zanith._relation_name(t.member) INTO other FROM zanith._tree(relation) t
        JOIN pg_class k ON k.oid = t.member WHERE k.relkind = 'f' LIMIT 1;
        IF FOUND THEN
            PERFORM zanith._refuse(format('the partition %s of %s is a foreign table', other, name),
                format('Detach it first: ALTER TABLE %s DETACH PARTITION %s.', name, other));
        END IF;
    END IF;
END $$;

-- The first column of a table or materialized view that stores values of types, or of a type that contains one of them.
CREATE OR REPLACE FUNCTION zanith._find_stored_values(types oid[]) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN
    -- most row types are in no column; an array type always depends on its element
    types := types || ARRAY(SELECT t.typarray FROM pg_type t WHERE t.oid = ANY (types) AND t.typarray <> 0);
    IF NOT EXISTS (SELECT FROM pg_depend d WHERE d.refclassid = 'pg_type'::regclass AND d.refobjid = ANY (types) AND d.deptype <> 'i') THEN
        RETURN NULL;
    END IF;
    RETURN (
        WITH RECURSIVE holding(type) AS (
            SELECT unnest(types)
            UNION
            SELECT CASE WHEN d.classid = 'pg_type'::regclass THEN d.objid ELSE c.reltype END
            FROM holding h JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = h.type AND d.classid IN ('pg_type'::regclass, 'pg_class'::regclass)
            LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid AND d.objsubid > 0
            WHERE d.classid = 'pg_type'::regclass OR c.reltype <> 0)
        SELECT format('%s.%I', zanith._relation_name(c.oid), a.attname)
        FROM holding h JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = h.type AND d.classid = 'pg_class'::regclass AND d.objsubid > 0
        JOIN pg_class c ON c.oid = d.objid AND c.relkind IN ('r', 'p', 'm') JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = d.objsubid AND NOT a.attisdropped
        ORDER BY 1 LIMIT 1);
END $$;

-- Refusals that hold for a column.
CREATE OR REPLACE FUNCTION zanith._check_column(strategy text, relation oid, column_name text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    a pg_attribute;
    name text;
    other text;
BEGIN
    SELECT * INTO a FROM pg_attribute WHERE attrelid = relation AND attname = column_name AND NOT attisdropped;
    name := zanith._relation_name(relation) || '.' || quote_ident(column_name);
    IF a.attnum IS NULL THEN
        SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO other
        FROM pg_attribute WHERE attrelid = relation AND attnum > 0 AND NOT attisdropped;
        PERFORM zanith._refuse(format('column %s does not exist', name), 'The table has: ' || COALESCE(other, 'no columns') || '.', '42703');
    ELSIF a.attnum < 0 THEN
        PERFORM zanith._refuse(format('%s is a system column', name), 'Name a column of your own.');
    ELSIF starts_with(column_name, '_zanith_dropped_') THEN
        PERFORM zanith._refuse(format('%s belongs to Zanith', name),
            'A parked object cannot be captured again; purge it with zanith recover purge.');
    END IF;
    IF a.attinhcount > 0 THEN
        SELECT zanith._relation_name(i.inhparent) INTO other FROM pg_inherits i
        WHERE i.inhrelid = relation ORDER BY i.inhseqno LIMIT 1;
        PERFORM zanith._refuse(format('%s is inherited from %s', name, other),
            format('Capture it there: %s.%I.', other, column_name), '42P16');
    END IF;
    IF EXISTS (SELECT FROM pg_partitioned_table p WHERE p.partrelid = relation
               AND (a.attnum = ANY (p.partattrs::smallint[])
                    OR EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = relation
                               AND d.objsubid = a.attnum AND d.refclassid = 'pg_class'::regclass
                               AND d.refobjid = relation AND d.refobjsubid = 0 AND d.deptype = 'i'))) THEN
        PERFORM zanith._refuse(format('%s is part of the partition key', name),
            'Capture the whole table instead, or move its rows to a table with another partition key.', '42P16');
    END IF;
    IF strategy = 'archive_values' AND a.attgenerated <> '' THEN
        PERFORM zanith._refuse(format('%s is a generated column', name), 'PostgreSQL computes its values: there is nothing to copy.');
    END IF;
    PERFORM zanith._check_family(strategy, relation, a, name);
    IF strategy = 'archive_column' THEN
        other := zanith._find_stored_values(ARRAY(SELECT c.reltype FROM zanith._family(relation) f JOIN pg_class c ON c.oid = f.member));
        IF other IS NOT NULL THEN
            PERFORM zanith._refuse(format('%s stores rows of %s, with their values of %I', other, zanith._relation_name(relation), column_name),
                'PostgreSQL deletes these values with the column, and no archive has them: use soft_drop_column.');
        END IF;
    END IF;
    IF strategy = 'soft_drop_column' AND a.attgenerated <> '' THEN
        PERFORM zanith._refuse(format('%s is a generated column', name),
            'PostgreSQL would continue to compute a parked column; use archive_column.');
    END IF;
    SELECT zanith._labelled(strategy, relation, a.attname) INTO other;
    IF other IS NOT NULL THEN
        PERFORM zanith._refuse(format('%s has security labels, which a capture of %s would lose', other, name),
            CASE WHEN strategy = 'archive_column' THEN 'Use soft_drop_column, which keeps the labels of a column; or remove them first: SECURITY LABEL … IS NULL.'
                 ELSE 'Remove the labels first: SECURITY LABEL … IS NULL.' END);
    END IF;
    -- a generated column is computed again: no value is stored by a key
    IF zanith._strategy_is(strategy, 'values') AND a.attgenerated = '' AND zanith._find_key(relation, a.attnum) IS NULL THEN
        PERFORM zanith._refuse(format('table %s has no %sprimary key or unique index to store the values by', zanith._relation_name(relation),
                CASE WHEN zanith._find_key(relation) IS NOT NULL THEN 'other ' ELSE '' END),
            'An archive needs a primary key, or a valid, immediate, non-partial unique index over NOT NULL columns, without this column; '
            || CASE WHEN strategy = 'archive_values' THEN 'add one first.'
                    WHEN zanith._children_keep(relation, a.attname) THEN 'add one first, since inheritance children keep the column.'
                    ELSE 'use soft_drop_column, which needs none.' END, '55000');
    END IF;
END $$;

-- What has a security label that would not come back with a column: the column itself where it is dropped, and the sequence of an identity,
-- which goes in any case. NULL where there is none.
CREATE OR REPLACE FUNCTION zanith._labelled(strategy text, relation oid, column_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_seclabel) THEN
        RETURN NULL;
    END IF;
    RETURN (
        SELECT pg_describe_object(o.class, o.object, o.subobject) FROM (
            SELECT 'pg_class'::regclass::oid, a.attrelid, a.attnum::integer FROM zanith._bearers(relation, column_name) f
            JOIN pg_attribute a ON a.attrelid = f.member AND a.attname = column_name AND NOT a.attisdropped WHERE strategy = 'archive_column'
            UNION ALL
            SELECT d.classid, d.objid, 0 FROM pg_attribute a JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.deptype = 'i'
               AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum
            WHERE a.attrelid = relation AND a.attname = column_name AND NOT a.attisdropped AND a.attidentity <> '') o(class, object, subobject)
        WHERE EXISTS (SELECT FROM pg_seclabel s WHERE s.classoid = o.class AND s.objoid = o.object AND s.objsubid = o.subobject) LIMIT 1);
END $$;

-- Refusals that hold for a column that descendants have too: PostgreSQL drops it there as well, but for those that
-- declare it themselves or have it from another parent.
CREATE OR REPLACE FUNCTION zanith._check_family(strategy text, relation oid, a pg_attribute, name text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    f record;
    other text;
    kept boolean := a.attgenerated = '' AND zanith._children_keep(relation, a.attname);
BEGIN
    IF kept AND strategy = 'archive_column' AND zanith._beneath_domain(a.atttypid) <> a.atttypid THEN
        -- a default that stands in for a moment would be taken from the children too
        PERFORM zanith._refuse(format('the type of %s is a domain, and inheritance children have the column too', name),
            'End the inheritance first: ALTER TABLE … NO INHERIT, and capture the column in each table.');
    END IF;
    IF kept AND strategy = 'archive_column' AND EXISTS (
           SELECT FROM pg_depend d JOIN pg_attrdef x ON x.oid = d.objid AND x.adrelid = relation JOIN pg_attribute g ON g.attrelid = relation AND g.attnum = x.adnum AND g.attgenerated <> ''
           WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = relation AND d.refobjsubid = a.attnum) THEN
        -- DROP leaves what is generated from it in the children too, and no other statement does
        PERFORM zanith._refuse(format('a column is generated from %s, and inheritance children have the column too', name),
            'End the inheritance first: ALTER TABLE … NO INHERIT, and capture the column in each table.');
    END IF;
    PERFORM zanith._check_exclusions(x.member, name, a.attname) FROM zanith._family(relation) x;
    FOR f IN SELECT x.member, c.relkind, c.relispartition, c.relowner, b.* FROM zanith._family(relation) x
             JOIN pg_class c ON c.oid = x.member JOIN pg_attribute b ON b.attrelid = x.member AND b.attname = a.attname AND NOT b.attisdropped
             WHERE x.member <> relation LOOP
        other := zanith._relation_name(f.member);
        IF strategy = 'archive_column' AND kept AND f.relkind <> 'f' THEN
            IF NOT pg_has_role(f.relowner, 'USAGE') THEN
                PERFORM zanith._refuse(format('must be owner of table %s', other), 'It has the column too; run the capture as the owner of both.', '42501');
            ELSIF f.relowner <> (SELECT c.relowner FROM pg_class c WHERE c.oid = relation) THEN
                PERFORM zanith._refuse(format('%s has the column too, and belongs to another role', other), 'Give both one owner first: ALTER TABLE … OWNER TO ….');
            END IF;
        ELSIF zanith._strategy_is(strategy, 'values') AND NOT f.relispartition AND a.attgenerated = '' THEN
            PERFORM zanith._refuse(format('%s has inheritance children (%s), which %s does not support', name, other, strategy),
                CASE WHEN strategy = 'archive_values' THEN 'A key tells apart the rows of one table only.'
                     WHEN EXISTS (SELECT FROM zanith._family(relation) x JOIN pg_attribute b ON b.attrelid = x.member AND b.attname = a.attname AND NOT b.attisdropped
                                  JOIN pg_class c ON c.oid = x.member AND NOT c.relispartition WHERE x.member <> relation AND (b.attislocal OR b.attinhcount > 1))
                     THEN 'End the inheritance first: ALTER TABLE … NO INHERIT, and capture the column in each table.'
                     ELSE 'Use soft_drop_column, which parks it in all of them.' END);
        ELSIF f.relkind = 'f' THEN
            PERFORM zanith._refuse(format('%s is a foreign table and has the column too', other),
                format('Detach it first: ALTER TABLE %s DETACH PARTITION %s.', zanith._relation_name(relation), other));
        ELSIF NOT f.relispartition AND (f.attislocal OR f.attinhcount > 1) THEN
            PERFORM zanith._refuse(format('%s has a column %I of its own, or from another parent, which a DROP would leave there', other, a.attname),
                CASE WHEN kept AND zanith._find_key(relation, a.attnum) IS NOT NULL THEN 'Use archive_column, which takes it from this table alone, as DROP does.'
                     ELSE 'End the inheritance first: ALTER TABLE … NO INHERIT, and capture the column in each table.' END);
        ELSIF NOT pg_has_role(f.relowner, 'USAGE') THEN
            PERFORM zanith._refuse(format('must be owner of table %s', other), 'It has the column too; run the capture as the owner of both.', '42501');
        ELSIF strategy = 'archive_column' AND a.attgenerated <> '' AND
              (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = f.member AND d.adnum = f.attnum)
              IS DISTINCT FROM (SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = relation AND d.adnum = a.attnum) THEN
            PERFORM zanith._refuse(format('%s has another generation expression in %s, which is not supported yet', name, other), 'Detach the partition first.');
        END IF;
    END LOOP;
    IF (SELECT c.reloftype <> 0 FROM pg_class c WHERE c.oid = relation) THEN
        PERFORM zanith._refuse(format('%s is a column of a typed table', name), 'Capture the whole table: PostgreSQL does not change the columns of a typed one.', '42809');
    END IF;
END $$;

-- Refusals of what a restore could not do: nothing is captured that cannot come back. `d` is the definition.
CREATE OR REPLACE FUNCTION zanith._check_way_back(strategy text, relation oid, object text, d jsonb) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    m record;
    new integer := CASE WHEN strategy = 'archive_column' THEN 1 ELSE 0 END + (SELECT count(*) FROM zanith._each(d #> '{cascade,columns}') g
        WHERE zanith._relation_oid(g.item #>> '{table,schema}', g.item #>> '{table,name}') = relation);
    used integer := (SELECT max(a.attnum) FROM zanith._family(relation) f JOIN pg_attribute a ON a.attrelid = f.member);
    pending integer;
BEGIN
    -- a dropped column keeps its number, and each column that is added again takes another
    IF zanith._strategy_is(strategy, 'column') AND new > 0 THEN
        pending := CASE WHEN used > 1400 THEN zanith._columns_to_come(relation, d ->> 'id') ELSE 0 END;
        IF used + pending + new > 1600 THEN
            PERFORM zanith._refuse(format('%s could not come back: its table would need more than 1600 columns', object),
                CASE strategy WHEN 'archive_column' THEN 'A dropped column keeps its number; use soft_drop_column, which adds none, or move the rows to a new table first.'
                     ELSE 'A dropped column keeps its number; drop the columns that are generated from it for good first.' END, '54011',
                format('%s column numbers are used, the columns that are already parked need %s, and this drop needs %s', used, pending, new));
        END IF;
    END IF;
    FOR m IN SELECT x.what, x.owner FROM zanith._mixed_expressions(d) x LIMIT 1 LOOP
        PERFORM zanith._refuse(m.what, format('Give all of it one owner first: ALTER TABLE … OWNER TO %I.', m.owner));
    END LOOP;
    -- an index, a view or a statistics object gets its name in a schema, by its owner where it calls code
    FOR m IN SELECT o.owner, o.schema_name, o.what FROM zanith._made_by_owner(d) o
             WHERE zanith._runner(o.owner) IS NOT NULL AND NOT has_schema_privilege(o.owner, o.schema_name, 'CREATE') LIMIT 1 LOOP
        PERFORM zanith._refuse(format('%s could not come back: %I may not create %s in the schema %I', object, m.owner, m.what, m.schema_name),
            format('GRANT CREATE ON SCHEMA %I TO %I; it calls functions that are not built in, and is made as its owner.', m.schema_name, m.owner), '42501');
    END LOOP;
    FOR m IN SELECT p.part ->> 'schema' AS schema_name, i.item ->> 'name' AS name
             FROM zanith._parts(d) p, LATERAL (SELECT x.item FROM zanith._each(p.part -> 'indexes') x WHERE strategy = 'archive_column' OR NOT (x.item ->> 'plain')::boolean
                                               UNION ALL SELECT k.item -> 'index' FROM zanith._each(p.part -> 'constraints') k WHERE jsonb_typeof(k.item -> 'index') = 'object') i
             WHERE d ? 'column' AND NOT has_schema_privilege(p.part ->> 'schema', 'CREATE') LIMIT 1 LOOP
        PERFORM zanith._refuse(format('%s could not come back: you may not create the index %I in the schema %I', object, m.name, m.schema_name),
            format('GRANT CREATE ON SCHEMA %I TO %I, or capture it as a role that may.', m.schema_name, current_user), '42501');
    END LOOP;
    -- steps of a restore run as the owner
    FOR m IN SELECT DISTINCT o.owner FROM (
                 SELECT x.item #>> '{definition,owner}' AS owner FROM zanith._each(d -> 'members') x UNION ALL SELECT p.part ->> 'owner' FROM zanith._parts(d) p WHERE d ? 'column') o
             WHERE zanith._runner(o.owner) IS NOT NULL
               AND NOT pg_has_role(o.owner, CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END) LOOP
        PERFORM zanith._refuse(format('%s could not come back: steps of its restore run as %I, and %I may not become that role', object, m.owner, current_user),
            format('GRANT %I TO %I WITH SET TRUE, or capture it as %1$I.', m.owner, current_user), '42501');
    END LOOP;
END $$;

-- How many columns the parked columns of a table would add to it, without those of one artifact. It counts, and shows nothing else.
CREATE OR REPLACE FUNCTION zanith._columns_to_come(relation oid, but text) RETURNS integer
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN (
    SELECT COALESCE(sum(CASE WHEN zanith._strategy_is(a.artifact_type, 'values') THEN 1 ELSE 0 END + jsonb_array_length(COALESCE(a.definition #> '{cascade,columns}', '[]'))), 0)::integer
    FROM zanith._zanith_migration_artifacts a, pg_class c, pg_namespace n
    WHERE c.oid = relation AND n.oid = c.relnamespace AND a.source_schema = n.nspname AND a.source_table = c.relname
      AND a.status = 'recoverable' AND a.source_column IS NOT NULL AND a.id <> but
); END $$;

-- Refusals that hold for inheritance children which a cascade takes along; but for companions, of which each is captured for itself.
CREATE OR REPLACE FUNCTION zanith._check_children(relation oid, gone text[]) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    f record;
BEGIN
    FOR f IN SELECT x.member, c.relkind, c.relowner, zanith._relation_name(x.member) AS name FROM zanith._family(relation, gone) x
             JOIN pg_class c ON c.oid = x.member WHERE x.member <> relation AND NOT c.relispartition LOOP
        IF f.relkind = 'f' THEN
            PERFORM zanith._refuse(format('the child %s is a foreign table', f.name), format('End the inheritance first: ALTER FOREIGN TABLE %s NO INHERIT ….', f.name));
        ELSIF NOT pg_has_role(f.relowner, 'USAGE') THEN
            PERFORM zanith._refuse(format('must be owner of table %s', f.name), 'It is part of the capture; run the capture as the owner of both.', '42501');
        END IF;
    END LOOP;
END $$;

-- Dependents: refuse as DROP does, or say which of them the choice cannot handle.
CREATE OR REPLACE FUNCTION zanith._check_dependents(strategy text, object text, dependents jsonb, on_dependents text)
RETURNS void LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    listed text;
    unable text;
    labelled text;
    relocates boolean := strategy = 'archive_column';
    can_cascade text[] := ARRAY['view', 'materialized view', 'foreign key', 'policy', 'trigger', 'rule',
                                'default', 'publication'];
BEGIN
    IF on_dependents NOT IN ('refuse', 'keep', 'cascade') THEN
        PERFORM zanith._refuse(format('on_dependents does not take %L', on_dependents), 'Use refuse, keep or cascade.', '22023');
    END IF;
    SELECT string_agg(format('%s depends on %s', d.item ->> 'name', d.item ->> 'on'), E'\n' ORDER BY d.ord),
           string_agg(format('%s depends on %s', d.item ->> 'name', d.item ->> 'on'), E'\n' ORDER BY d.ord)
               FILTER (WHERE NOT d.item ->> 'kind' = ANY (can_cascade) AND NOT COALESCE((d.item ->> 'able')::boolean, false)),
           string_agg(d.item ->> 'name', E'\n' ORDER BY d.ord) FILTER (WHERE d.item ? 'labelled')
    INTO listed, unable, labelled FROM zanith._each(dependents) d;
    IF listed IS NULL THEN
        RETURN;
    ELSIF on_dependents = 'refuse' THEN
        PERFORM zanith._refuse(format('cannot drop %s because other objects depend on it', object),
            CASE WHEN relocates THEN 'Use on_dependents => ''cascade'' to drop them too (they are recorded and come back), or soft_drop_column with ''keep''.'
                 ELSE 'Use on_dependents => ''keep'' to let them use the parked object, or ''cascade'' to drop them too (they are recorded and come back).' END,
            '2BP01', listed);
    ELSIF on_dependents = 'keep' AND relocates THEN
        PERFORM zanith._refuse(format('cannot keep the dependents of %s: an archived column is dropped, not renamed', object),
            'Use soft_drop_column, or on_dependents => ''cascade''.', '2BP01', listed);
    ELSIF on_dependents = 'cascade' AND unable IS NOT NULL THEN
        PERFORM zanith._refuse(format('cannot cascade to everything that depends on %s', object),
            'Change these first, or use on_dependents => ''keep'' where a rename allows it.', '0A000', unable);
    ELSIF on_dependents = 'cascade' AND labelled IS NOT NULL THEN
        PERFORM zanith._refuse(format('cannot cascade to everything that depends on %s: security labels would be lost', object),
            'Remove the labels first: SECURITY LABEL … IS NULL. Or use on_dependents => ''keep'' where a rename allows it.', '0A000', labelled);
    END IF;
END $$;

-- What subscribers notice: a table that is no longer sent; nothing of a column that is gone, but a parked one is sent by its
-- parked name, which they do not have ("missing replicated column").
CREATE OR REPLACE FUNCTION zanith._check_published(strategy text, object text, publications jsonb, published_ok boolean) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    names text;
    slots text;
BEGIN
    SELECT string_agg(DISTINCT format('publication %I (%s)', p.item ->> 'name', p.item ->> 'via'), ', ')
    INTO names FROM zanith._each(publications) p;
    IF names IS NULL OR published_ok THEN
        RETURN;
    END IF;
    SELECT string_agg(format('slot %I (%s)', slot_name, CASE WHEN active THEN 'active' ELSE 'inactive' END), ', ' ORDER BY slot_name)
    INTO slots FROM pg_replication_slots WHERE slot_type = 'logical' AND database = current_database();
    PERFORM zanith._refuse(format('%s is published', object),
        concat_ws(' ', CASE strategy
                WHEN 'soft_drop_column' THEN 'Subscribers stop at the next change of the table, until they have a column with the parked name; '
                                             'archive_column does not disturb them.'
                WHEN 'archive_column' THEN 'Subscribers keep the column and its values.'
                WHEN 'soft_drop_table' THEN 'Subscribers keep their rows and receive no new ones.'
                WHEN 'archive_table' THEN 'Subscribers keep their rows and receive no new ones.' END,
            CASE WHEN publications @> '[{"via": "all tables"}]' THEN 'A publication of all tables also sends what Zanith writes: its subscribers stop until they have these tables.' END,
            'Choose published_ok => true (--published-ok) to continue.'),
        '2BP01', names || COALESCE('; subscribers: ' || slots, ''));
END $$;

-- A capture reads rows and the catalog under the snapshot of its transaction, which under repeatable read can be older than its lock.
CREATE OR REPLACE FUNCTION zanith._check_isolation() RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM zanith._refuse(format('a capture cannot run under %s isolation', current_setting('transaction_isolation')),
            'It would not see what others committed after the snapshot of this transaction. Use BEGIN ISOLATION LEVEL READ COMMITTED.', '55000');
    END IF;
END $$;
