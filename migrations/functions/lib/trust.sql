-- Trust: who calls, and what of a relation would run code that an owner wrote.

-- Zanith's own role: the owner of the schema zanith, as whom definer functions run.
CREATE OR REPLACE FUNCTION zanith._own_role() RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT pg_get_userbyid(n.nspowner) FROM pg_namespace n WHERE n.nspname = 'zanith'); END $$;

CREATE OR REPLACE FUNCTION zanith._is_superuser(role_name text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT COALESCE(bool_or(r.rolsuper), false) FROM pg_roles r WHERE r.rolname = role_name); END $$;

-- Whether statements about a table of this role run as the operator: a superuser, or Zanith's own role. Code of any other role that such a table
-- calls would run as the operator.
CREATE OR REPLACE FUNCTION zanith._is_trusted(role_name text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN role_name = zanith._own_role() OR zanith._is_superuser(role_name); END $$;

-- Inserts who calls, and returns what a definer function asks for. It runs as its caller: nobody can insert another's name.
CREATE OR REPLACE FUNCTION zanith._prove_caller() RETURNS uuid
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    proof uuid := pg_catalog.gen_random_uuid();
BEGIN
    INSERT INTO zanith._zanith_callers (proof) VALUES (proof);
    RETURN proof;
END $$;

-- Who it was, in a definer function. `done`: the proof serves no other call.
CREATE OR REPLACE FUNCTION zanith._read_caller(proof uuid, done boolean DEFAULT true) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    caller text;
BEGIN
    SELECT c.name INTO caller FROM zanith._zanith_callers c WHERE c.proof = _read_caller.proof;
    IF NOT FOUND THEN
        PERFORM zanith._refuse('the calling role is unknown', 'Call the documented functions instead of this one.', '42501');
    END IF;
    IF done THEN
        DELETE FROM zanith._zanith_callers c WHERE c.proof = _read_caller.proof;
    END IF;
    RETURN caller;
END $$;

-- A relation, its partitions or inheritance children, and the tables that it is a partition of. `alone`: without inheritance children.
CREATE OR REPLACE FUNCTION zanith._lineage(relation oid, alone boolean DEFAULT false) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 2 AS $$ BEGIN RETURN QUERY
    SELECT f.member FROM zanith._family(relation) f
    WHERE NOT alone OR f.member = relation OR EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind = 'p')
    UNION SELECT a.relid FROM pg_partition_ancestors(relation) a(relid) WHERE a.relid IS NOT NULL;
END $$;

-- Columns of a range type whose subtype_diff is somebody's function: ANALYZE calls it, and autovacuum does so as the owner of the table. `names`:
-- among these; NULL is all.
CREATE OR REPLACE FUNCTION zanith._measured_columns(relation oid, names jsonb DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(a.attname ORDER BY a.attnum)
    FROM pg_attribute a, LATERAL (SELECT zanith._beneath_domain(a.atttypid)) t(oid)
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.atttypid >= 16384 AND (names IS NULL OR names ? a.attname)
      AND EXISTS (SELECT FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid) AND r.rngsubdiff >= 16384)
); END $$;

-- What is evaluated when a relation is read or planned: the planner evaluates expressions and predicates of indexes, checks,
-- statistics and partition keys.
CREATE OR REPLACE FUNCTION zanith._read_parts(relation oid, alone boolean DEFAULT false) RETURNS TABLE (class oid, object oid, subobject integer, what text)
LANGUAGE sql STABLE ROWS 5 AS $$ SELECT p.class, p.object, p.subobject, p.what FROM zanith._read_parts_of(ARRAY[relation], alone) p $$;

CREATE OR REPLACE FUNCTION zanith._read_parts_of(relations oid[], alone boolean DEFAULT false) RETURNS TABLE (class oid, object oid, subobject integer, what text)
LANGUAGE plpgsql STABLE ROWS 5 AS $$ BEGIN RETURN QUERY
    WITH tables AS MATERIALIZED (SELECT DISTINCT l.l AS oid FROM unnest(relations) r(oid), LATERAL zanith._lineage(r.oid, alone) l)
    SELECT 'pg_class'::regclass::oid, t.oid, 0, 'the partition key' FROM tables t
    UNION ALL SELECT 'pg_class'::regclass, i.indexrelid, NULL, 'an index' FROM tables t JOIN pg_index i ON i.indrelid = t.oid
    UNION ALL SELECT 'pg_constraint'::regclass, k.oid, NULL, 'a check' FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = ANY (zanith._letters_of('code'))
    UNION ALL SELECT 'pg_statistic_ext'::regclass, s.oid, NULL, 'a statistics object' FROM tables t JOIN pg_statistic_ext s ON s.stxrelid = t.oid
    UNION ALL SELECT 'pg_attrdef'::regclass, d.oid, NULL, 'a generated column' FROM tables t JOIN pg_attrdef d ON d.adrelid = t.oid
              JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum AND a.attgenerated <> '';
END $$;

-- The same as addresses for zanith._reach: of a partition key what it depends on, since a table also depends on the types of its columns, which no
-- read evaluates.
CREATE OR REPLACE FUNCTION zanith._read_addresses(relations oid[]) RETURNS TABLE (class oid, object oid)
LANGUAGE plpgsql STABLE ROWS 5 AS $$ BEGIN
    RETURN QUERY SELECT p.class, p.object FROM zanith._read_parts_of(relations) p WHERE p.subobject IS NULL
                 UNION SELECT d.refclassid, d.refobjid FROM zanith._read_parts_of(relations) p
                       JOIN pg_depend d ON d.classid = p.class AND d.objid = p.object AND d.objsubid = p.subobject AND d.refclassid <> 'pg_class'::regclass;
END $$;

-- The expressions of an object, as PostgreSQL keeps them.
CREATE OR REPLACE FUNCTION zanith._trees(class oid, object oid) RETURNS TABLE (tree text)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN
    IF class = 'pg_class'::regclass THEN
        RETURN QUERY SELECT concat(i.indexprs::text, i.indpred::text) FROM pg_index i WHERE i.indexrelid = object
                     UNION ALL SELECT p.partexprs::text FROM pg_partitioned_table p WHERE p.partrelid = object AND p.partexprs IS NOT NULL;
    ELSIF class = 'pg_constraint'::regclass THEN
        RETURN QUERY SELECT k.conbin::text FROM pg_constraint k WHERE k.oid = object AND k.conbin IS NOT NULL;
    ELSIF class = 'pg_attrdef'::regclass THEN
        RETURN QUERY SELECT f.adbin::text FROM pg_attrdef f WHERE f.oid = object;
    ELSIF class = 'pg_statistic_ext'::regclass THEN
        RETURN QUERY SELECT s.stxexprs::text FROM pg_statistic_ext s WHERE s.oid = object AND s.stxexprs IS NOT NULL;
    ELSIF class = 'pg_trigger'::regclass THEN
        RETURN QUERY SELECT g.tgqual::text FROM pg_trigger g WHERE g.oid = object AND g.tgqual IS NOT NULL;
    ELSIF class = 'pg_rewrite'::regclass THEN
        RETURN QUERY SELECT concat(r.ev_qual::text, r.ev_action::text) FROM pg_rewrite r WHERE r.oid = object;
    END IF;
END $$;

-- Whether an object calls the one built-in function that is immutable, so that the planner evaluates it, and acts. It looks up the partition key of any table, and
-- whoever first asks for a key evaluates it.
CREATE OR REPLACE FUNCTION zanith._asks_for_key(class oid, object oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(bool_or(position(format(':funcid %s ', 'pg_catalog.satisfies_hash_partition(oid, integer, integer, "any")'::regprocedure::oid) IN t.tree) > 0), false)
    FROM zanith._trees(class, object) t
); END $$;

-- The functions of the implicit casts from a type, or from the type of a domain: an operator or a foreign key may call any of them.
CREATE OR REPLACE FUNCTION zanith._implicit_casts(type oid) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 3 AS $$ BEGIN
    RETURN QUERY SELECT k.castfunc FROM pg_cast k WHERE k.castsource IN (type, zanith._beneath_domain(type)) AND k.castcontext = 'i' AND k.castfunc <> 0;
END $$;

-- The functions of all casts from or to a type, or the type of a domain: an expression that is read again may call any of them, though it was
-- recorded before the cast was created.
CREATE OR REPLACE FUNCTION zanith._casts_of(type oid) RETURNS SETOF oid
LANGUAGE plpgsql STABLE ROWS 3 AS $$ BEGIN
    RETURN QUERY SELECT k.castfunc FROM pg_cast k
                 WHERE type >= 16384 AND k.castfunc <> 0 AND (k.castsource IN (type, zanith._beneath_domain(type)) OR k.casttarget IN (type, zanith._beneath_domain(type)));
END $$;

-- The first of these that calls code outside of pg_catalog; NULL where there is none. What a dependency names is not built in: of
-- that PostgreSQL records none. `proves`: for a statement that proves foreign
-- keys or attaches a partition. It runs no rule for INSERT, UPDATE or DELETE, but implicit casts of the columns of foreign keys.
CREATE OR REPLACE FUNCTION zanith._find_foreign_code(relation oid, proves boolean DEFAULT false, alone boolean DEFAULT false, compares boolean DEFAULT false) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH tables AS MATERIALIZED (SELECT l.l AS oid FROM zanith._lineage(relation, alone) l)
    SELECT f.what FROM (
        SELECT 1 AS rank, format('%s is not a table', zanith._relation_name(c.oid)) AS what FROM tables t JOIN pg_class c ON c.oid = t.oid WHERE c.relkind NOT IN ('r', 'p')
        UNION ALL
        SELECT 2, format('a rule of %s', zanith._relation_name(r.ev_class)) FROM tables t JOIN pg_rewrite r ON r.ev_class = t.oid AND (NOT proves OR r.ev_type = '1')
        UNION ALL
        -- OFFSET 0: the search for the casts of all columns in the catalog would take long
        SELECT 2, format('the foreign key %I, whose columns are cast by %s', a.conname, x.castfunc::regprocedure)
        FROM (SELECT k.conname, a.atttypid FROM tables t JOIN pg_constraint k ON k.conrelid = t.oid AND k.contype = ANY (zanith._letters_of('reference'))
              JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey) OFFSET 0) a,
             LATERAL zanith._implicit_casts(a.atttypid) x(castfunc) JOIN pg_proc p ON p.oid = x.castfunc
        WHERE proves AND NOT zanith._is_superuser(pg_get_userbyid(p.proowner))
        UNION ALL
        SELECT 2, format('the column %I, which %s casts', a.attname, x.castfunc::regprocedure)
        FROM (SELECT a.attname, a.atttypid FROM tables t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped OFFSET 0) a,
             LATERAL zanith._implicit_casts(a.atttypid) x(castfunc) JOIN pg_proc p ON p.oid = x.castfunc
        WHERE compares AND NOT zanith._is_superuser(pg_get_userbyid(p.proowner))
        UNION ALL
        SELECT 3, format('%s that uses %s', p.what, pg_describe_object(d.refclassid, d.refobjid, 0))
        FROM zanith._read_parts(relation, alone) p JOIN pg_depend d ON d.classid = p.class AND d.objid = p.object AND (p.subobject IS NULL OR d.objsubid = p.subobject)
        WHERE d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
           OR d.refclassid = 'pg_type'::regclass AND (SELECT y.typtype IN ('d', 'c', 'r', 'm') FROM pg_type y WHERE y.oid = d.refobjid)
        UNION ALL
        SELECT 3, format('%s that asks for the partition key of a table', p.what) FROM zanith._read_parts(relation) p WHERE zanith._asks_for_key(p.class, p.object)) f
    ORDER BY f.rank, f.what LIMIT 1
); END $$;

-- Whether a table beneath a relation belongs to another role.
CREATE OR REPLACE FUNCTION zanith._has_several_owners(relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (
    SELECT FROM zanith._family(relation) f JOIN pg_class c ON c.oid = f.member WHERE c.relowner <> (SELECT r.relowner FROM pg_class r WHERE r.oid = relation)
); END $$;

-- The first table beneath a relation that belongs to another role, and code of that role's, or of a third one's, which reading
-- or writing the relation calls: it would run as the owner of the relation. NULL where there is none.
CREATE OR REPLACE FUNCTION zanith._find_mixed_code(relation oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN
    -- most trees have one owner, and the search for code takes many times as long
    IF NOT zanith._has_several_owners(relation) THEN
        RETURN NULL;
    END IF;
    RETURN (
    SELECT format('%s belongs to %I and calls %s', zanith._relation_name(f.member), pg_get_userbyid(c.relowner), code.called)
    FROM zanith._family(relation) f JOIN pg_class c ON c.oid = f.member JOIN pg_class r ON r.oid = relation
         CROSS JOIN LATERAL (SELECT array_agg(x.class) AS classes, array_agg(x.object) AS objects FROM zanith._read_addresses(ARRAY[f.member]) x) parts
         CROSS JOIN LATERAL (SELECT min(zanith._find_acting_builtin(x.class, x.object)) AS acting FROM zanith._read_parts(f.member) x) told
         CROSS JOIN LATERAL (SELECT COALESCE(zanith._find_third_code(parts.classes, parts.objects, pg_get_userbyid(r.relowner)), told.acting)) code(called)
    WHERE c.relowner <> r.relowner AND NOT zanith._is_superuser(pg_get_userbyid(c.relowner)) AND code.called IS NOT NULL
    ORDER BY f.member LIMIT 1
); END $$;

CREATE OR REPLACE FUNCTION zanith._check_owners(relation oid, code text DEFAULT '0A000') RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found text := zanith._find_mixed_code(relation);
BEGIN
    IF found IS NOT NULL THEN
        PERFORM zanith._refuse(zanith._several_owners(relation), 'Give all of it one owner first: ALTER TABLE … OWNER TO ….', code, found);
    END IF;
END $$;

CREATE OR REPLACE FUNCTION zanith._several_owners(relation oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN format('%s has several owners, and code of one owner would run as another', zanith._relation_name(relation));
END $$;

-- Whether an object calls nothing outside of pg_catalog, and names no type from elsewhere: a literal is of the type that bears the name
-- when it is read again, and by then that may be one whose checks run in the parser. `besides`: a function that does not count.
CREATE OR REPLACE FUNCTION zanith._is_builtin(class oid, object oid, besides oid DEFAULT 0) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN NOT EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = class AND d.objid = object AND d.refobjid <> besides
       AND (d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass)
            OR d.refclassid = 'pg_type'::regclass AND d.deptype <> 'i')
) AND NOT zanith._asks_for_key(class, object); END $$;

-- Locks tables against a change of their definition, and raises where one belongs to another role than the one that is about to plan a
-- query on it, and calls code. `role_name`: that role, NULL for this one. With `nowait` it does not wait for the locks. A name after ONLY is
-- of a table of a foreign key: PostgreSQL's query on it leaves out inheritance children, and reads partitions.
-- A name after COMPARED is of a table whose columns are compared with those of another: any of them may be cast.
CREATE OR REPLACE FUNCTION zanith.guard_tables(role_name text, tables text[], nowait boolean DEFAULT false) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    runner text := COALESCE(role_name, current_user);
    t record;
    found text;
BEGIN
    FOR t IN SELECT c.oid, pg_get_userbyid(c.relowner) AS owner, pg_get_userbyid(n.nspowner) AS schema_owner, m.alone, m.compared
             FROM (SELECT l.member, bool_and(q.alone) AS alone, bool_or(starts_with(x.name, 'COMPARED ')) AS compared FROM unnest(tables) x(name),
                       LATERAL (SELECT to_regclass(regexp_replace(x.name, '^(ONLY|COMPARED) ', '')), starts_with(x.name, 'ONLY ')) q(named, alone),
                       LATERAL zanith._lineage(q.named, q.alone) l(member)
                   WHERE q.named IS NOT NULL GROUP BY l.member) m
             JOIN pg_class c ON c.oid = m.member JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE pg_get_userbyid(c.relowner) <> runner AND NOT zanith._is_superuser(pg_get_userbyid(c.relowner)) ORDER BY c.oid LOOP
        PERFORM zanith._lock_definition(t.oid, nowait);
        found := zanith._find_foreign_code(t.oid, true, t.alone, t.compared);
        -- the statement of this role names the table once more
        IF found IS NULL AND role_name IS NULL AND t.schema_owner <> runner AND NOT zanith._is_superuser(t.schema_owner) AND NOT zanith._pin_schema(t.oid) THEN
            found := format('%s is in a schema of %I', zanith._relation_name(t.oid), t.schema_owner);
        END IF;
        IF found IS NOT NULL THEN
            PERFORM zanith._refuse(format('code of %I would run as %I: %s belongs to another role', t.owner, runner, zanith._relation_name(t.oid)),
                'Give both tables one owner: ALTER TABLE … OWNER TO ….', '42501', found);
        END IF;
    END LOOP;
END $$;

-- Keeps the definition of a table as it is until the end of the transaction; reads and writes go on. A role that may only refer to the
-- table may have this lock too: a foreign key takes a stronger one.
CREATE OR REPLACE FUNCTION zanith._lock_definition(relation oid, nowait boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF zanith._is_locked(relation) THEN
        RETURN;
    END IF;
    EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE%s', zanith._relation_name(relation), CASE WHEN nowait THEN ' NOWAIT' END);
EXCEPTION WHEN insufficient_privilege THEN
    PERFORM zanith._lock_referenced(relation, nowait, zanith._prove_caller());
END $$;

CREATE OR REPLACE FUNCTION zanith._lock_referenced(relation oid, nowait boolean, proof uuid) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    caller text := zanith._read_caller(proof);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = relation AND c.relkind IN ('r', 'p')) OR NOT has_any_column_privilege(caller, relation, 'REFERENCES') THEN
        PERFORM zanith._refuse(format('permission denied for table %s', zanith._relation_name(relation)), 'GRANT REFERENCES on it to the role that restores.', '42501');
    END IF;
    EXECUTE format('LOCK TABLE ONLY %s IN SHARE UPDATE EXCLUSIVE MODE%s', zanith._relation_name(relation), CASE WHEN nowait THEN ' NOWAIT' END);
END $$;

-- Whether a partition key, of the table itself, above or beneath it, calls code outside of pg_catalog: whoever first asks for the key
-- evaluates it.
CREATE OR REPLACE FUNCTION zanith._key_calls_code(parent oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    tables oid[] := ARRAY(SELECT l.l FROM zanith._lineage(parent) l);
BEGIN RETURN (
    -- a table of a type depends on that too
    SELECT EXISTS (SELECT FROM pg_depend d JOIN pg_partitioned_table p ON p.partrelid = d.objid
                   WHERE d.classid = 'pg_class'::regclass AND d.objsubid = 0 AND d.objid = ANY (tables)
                     AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass))
        OR EXISTS (SELECT FROM pg_partitioned_table p JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs::smallint[])
                   JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_type e ON e.oid = t.typelem
                   WHERE p.partrelid = ANY (tables) AND COALESCE(e.typtype, t.typtype) IN ('d', 'c', 'r', 'm') AND t.oid >= 16384)
        OR EXISTS (SELECT FROM pg_partitioned_table p WHERE p.partrelid = ANY (tables) AND zanith._asks_for_key('pg_class'::regclass, p.partrelid))
); END $$;

-- Whether PostgreSQL can read the partition keys and bounds of a tree, above and beneath a table, without calling code that somebody wrote: columns
-- of built-in types under built-in operator classes. CREATE TRIGGER … FOR EACH ROW on a partitioned table reads them, as its caller.
CREATE OR REPLACE FUNCTION zanith._has_plain_keys(parent oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN NOT EXISTS (
    SELECT FROM zanith._lineage(parent) l JOIN pg_partitioned_table p ON p.partrelid = l.l
    WHERE p.partexprs IS NOT NULL OR EXISTS (SELECT FROM unnest(p.partclass::oid[]) o WHERE o >= 16384)
       OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = p.partrelid AND a.attnum = ANY (p.partattrs::smallint[]) AND a.atttypid >= 16384)
); END $$;

-- Keeps the name of a schema until the end of the transaction, where this role may: what is found by a name under a lock stays what
-- was looked at. ALTER SCHEMA … RENAME waits for no lock of a table. True where the name is safe.
CREATE OR REPLACE FUNCTION zanith._pin_schema(relation oid) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    n record;
BEGIN
    SELECT s.oid, s.nspname, pg_get_userbyid(s.nspowner) AS owner INTO n FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.oid = relation;
    IF n.owner = zanith._own_role() AND n.nspname IN ('zanith', '_zanith_shadow') THEN
        RETURN true;
    ELSIF NOT zanith._is_superuser(current_user) THEN
        RETURN false;
    END IF;
    PERFORM FROM pg_namespace s WHERE s.oid = n.oid AND s.nspname = n.nspname FOR SHARE;
    RETURN FOUND;
END $$;

-- Whether this transaction has locks that keep all others from changing the definitions of relations.
CREATE OR REPLACE FUNCTION zanith._are_locked(relations oid[]) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN relations <@ ARRAY(
    SELECT l.relation FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted
       AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
       AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
); END $$;

CREATE OR REPLACE FUNCTION zanith._is_locked(relation oid) RETURNS boolean
LANGUAGE sql STABLE AS $$ SELECT zanith._are_locked(ARRAY[relation]) $$;

-- The role as which a relation has to be read; NULL where this one may. It may where it is the owner, or where the owner is a
-- superuser or Zanith itself; else nothing of the relation may call code of an owner, proved under locks that keep it so.
CREATE OR REPLACE FUNCTION zanith._reads_as(relation oid) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    owner text := (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = relation);
    owners text[] := ARRAY(SELECT DISTINCT pg_get_userbyid(c.relowner) FROM zanith._family(relation) f JOIN pg_class c ON c.oid = f.member);
BEGIN
    IF owners = ARRAY[current_user::text] AND current_user = session_user
       OR NOT EXISTS (SELECT FROM unnest(owners) o WHERE o <> zanith._own_role() AND NOT zanith._is_superuser(o)) THEN
        RETURN NULL;
    END IF;
    PERFORM zanith._check_owners(relation, '42501');
    IF pg_is_in_recovery() THEN
        PERFORM zanith._refuse(format('%s cannot be read as its owner on a standby', zanith._relation_name(relation)),
            format('Read it on the primary, or connect here as %I.', owner), '42501');
    END IF;
    IF zanith._are_locked(ARRAY(SELECT f.member FROM zanith._family(relation) f))
       AND (SELECT bool_and(zanith._pin_schema(f.member)) FROM zanith._family(relation) f)
       AND zanith._find_foreign_code(relation) IS NULL THEN
        RETURN NULL;
    END IF;
    RETURN owner;
END $$;

-- The same of what is parked, for whoever streams it, and the search path that its owner's code needs while it is read. Locks are
-- the caller's: see read_locks.
CREATE OR REPLACE FUNCTION zanith.reads_as(artifact_id text, OUT role_name text, OUT path text)
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    root oid := (zanith._place(a) ->> 'oid')::oid;
BEGIN
    IF root IS NOT NULL AND zanith._strategy_is(a.artifact_type, 'parks') THEN
        PERFORM zanith._check_handed_over(a.definition, root);
    END IF;
    role_name := CASE WHEN root IS NOT NULL THEN zanith._reads_as(root) END;
    path := zanith._reading_path(root, a.definition, role_name);
END $$;

-- The statement that keeps the definition of what is parked as it is while it is read; reads and writes go on. It does not wait: where
-- somebody else has such a lock, rows are read as their owner. NULL where nobody but Zanith or a superuser could change it.
CREATE OR REPLACE FUNCTION zanith.read_locks(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$ BEGIN RETURN (
    SELECT format('LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE NOWAIT', string_agg('ONLY ' || zanith._relation_name(c.oid), ', ' ORDER BY c.oid))
    FROM zanith._family((zanith._place(zanith._artifact(artifact_id)) ->> 'oid')::oid) f JOIN pg_class c ON c.oid = f.member,
         LATERAL pg_get_userbyid(c.relowner) o(name)
    WHERE NOT pg_is_in_recovery() AND o.name <> zanith._own_role() AND NOT zanith._is_superuser(o.name)
    HAVING count(*) > 0
); END $$;

-- The statement that makes the function through which the rows of a query are read as whoever makes it, and the query that reads it.
-- `path`: the search path of the owner's code; what is ours names its schema, so that nothing in the path stands for it.
CREATE OR REPLACE FUNCTION zanith._render_reader(function_name text, query text, columns integer, path text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT format('CREATE FUNCTION pg_temp.%I() RETURNS SETOF text[] LANGUAGE sql SECURITY DEFINER SET search_path TO %s AS %L',
        function_name, zanith._path_literals(COALESCE(path, zanith._fixed_path())), format('SELECT ARRAY[%s]::pg_catalog.text[] FROM (%s) q%s',
            string_agg(format('CASE WHEN pg_catalog.num_nulls(q.c%1$s) OPERATOR(pg_catalog.=) 0 THEN pg_catalog.format(''%%s'', q.c%1$s) END', n), ', ' ORDER BY n),
            query, '(' || string_agg('c' || n, ', ' ORDER BY n) || ')'))
    FROM generate_series(1, columns) n
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_reading(function_name text, names text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT format('SELECT %s FROM (SELECT pg_temp.%I() AS v OFFSET 0) q',
        string_agg(format('q.v[%s] AS %I', n.ord, n.name), ', ' ORDER BY n.ord), function_name)
    FROM unnest(names) WITH ORDINALITY n(name, ord)
); END $$;

-- Makes the function through which rows are read as their owner, `columns` of them as text, and returns the query that reads it. It is
-- a function in SQL, called in a list of a SELECT: PostgreSQL evaluates it row by row there. Its body is parsed at the first call,
-- inside. `names`: what the columns are to be called. It goes with the transaction, which is rolled back. No role is this one.
CREATE OR REPLACE FUNCTION zanith.make_reader(role_name text, query text, names text[], path text) RETURNS text
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    outer_role text := current_setting('role');
    checking text := current_setting('check_function_bodies');
    function_name text := '_zanith_rows_' || replace(gen_random_uuid()::text, '-', '');
    definition text := zanith._render_reader(function_name, query, cardinality(names), path);
BEGIN
    PERFORM set_config('check_function_bodies', 'off', true);
    PERFORM set_config('search_path', COALESCE(zanith._sandbox_event_path(current_user), 'pg_catalog, pg_temp'), true);
    PERFORM set_config('role', COALESCE(role_name, outer_role), true);
    EXECUTE definition;
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    PERFORM set_config('role', outer_role, true);
    PERFORM set_config('check_function_bodies', checking, true);
    RETURN zanith._render_reading(function_name, names);
END $$;

-- Whether Zanith itself may copy the rows of a table that a capture has locked; else its owner does.
CREATE OR REPLACE FUNCTION zanith._copies_directly(relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._is_superuser(zanith._own_role()) AND zanith._find_foreign_code(relation) IS NULL
); END $$;
