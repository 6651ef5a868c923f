-- Coverage: which drops PostgreSQL would carry out, and which of them a capture would take. Read-only: nothing is dropped or locked.

-- The tables of a database that a DROP can name: not those of the system, of a session, or of Zanith, and nothing that is parked.
CREATE OR REPLACE FUNCTION zanith.droppable_tables() RETURNS TABLE (relation oid, name text, drops integer)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$ BEGIN RETURN QUERY
    SELECT c.oid, zanith._relation_name(c.oid), 2 + 2 * (
        SELECT count(*)::integer FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND NOT starts_with(a.attname, '_zanith_dropped_'))
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND n.nspname !~ '^pg_' AND n.nspname NOT IN ('information_schema', 'zanith', '_zanith_shadow')
      AND COALESCE(obj_description(c.oid, 'pg_class'), '') NOT LIKE 'zanith artifact %'
    ORDER BY n.nspname COLLATE "C", c.relname COLLATE "C";
END $$;

-- Why PostgreSQL itself would refuse to drop a column or (attribute 0) a table, whatever depends on it; NULL where it would not.
CREATE OR REPLACE FUNCTION zanith._refused_by_postgresql(relation oid, attribute smallint) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT r.why FROM (
        SELECT 1 AS ord, 'inherited from a parent' AS why FROM pg_attribute a WHERE attribute > 0 AND a.attrelid = relation AND a.attnum = attribute AND a.attinhcount > 0
        UNION ALL
        SELECT 2, 'part of a partition key' FROM pg_partitioned_table p WHERE attribute > 0 AND p.partrelid IN (SELECT f.member FROM zanith._family(relation) f)
           AND EXISTS (SELECT FROM pg_attribute a, pg_attribute b WHERE b.attrelid = relation AND b.attnum = attribute AND a.attrelid = p.partrelid AND a.attname = b.attname
                       AND (a.attnum = ANY (p.partattrs::smallint[]) OR EXISTS (
                            SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = p.partrelid AND d.objsubid = a.attnum
                               AND d.refclassid = 'pg_class'::regclass AND d.refobjid = p.partrelid AND d.refobjsubid = 0 AND d.deptype = 'i')))
        UNION ALL
        SELECT 3, 'a column of a typed table' FROM pg_class c WHERE attribute > 0 AND c.oid = relation AND c.reloftype <> 0
        UNION ALL
        SELECT 4, 'a member of an extension' FROM pg_depend d
        WHERE attribute = 0 AND d.classid = 'pg_class'::regclass AND d.objid = relation AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e') r
    ORDER BY r.ord LIMIT 1
); END $$;

-- The kind of a refusal: what counts refusals of one kind needs words without names.
CREATE OR REPLACE FUNCTION zanith._reason_of(state text, message text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE((SELECT r.reason FROM (VALUES
        (0, 'security labels', 'security labels'),
        (1, '^cannot cascade to everything', 'it has a dependent object that a cascade cannot record'),
        (2, 'has no (other )?primary key or unique index to store', 'its table has no other key'),
        (3, 'is a generated column$', 'a generated column'),
        (3, 'inheritance children have the column too', 'its children keep the column, and its type is a domain or a column is generated from it'),
        (4, 'has inheritance children', 'tables inherit from its table'),
        (5, 'of its own, or from another parent', 'a child also has the column itself, or from another parent'),
        (8, 'belongs to the extension', 'a table of an extension'),
        (10, 'foreign table', 'a partition or child is a foreign table'),
        (11, 'were disabled \(DISABLE TRIGGER ALL\)', 'constraint triggers that were disabled'),
        (12, 'used all 1600 columns', 'its table has used all 1600 columns'),
        (13, '^permission denied for schema', 'no privilege to create in its schema'),
        (14, '^must be owner of', 'another role owns a part of it'),
        (15, 'cannot be moved to _zanith_shadow', 'Zanith''s own role may not act as its owner'),
        (16, 'belongs? to (an)?other|belongs to .* as well|several owners', 'tables of one tree have several owners'),
        (17, 'has another generation expression in', 'a partition generates the column by another expression')) r(ord, pattern, reason)
        WHERE message ~ r.pattern ORDER BY r.ord LIMIT 1), format('%s (%s)', message, state))
); END $$;

-- Whether an error says nothing of the object, but of the moment: a lock that was not had in time, a conflict, too little memory or disk, a
-- server or a connection that ends, a statement that was stopped, a table that went meanwhile.
CREATE OR REPLACE FUNCTION zanith._is_momentary(state text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT left(state, 2) IN ('08', '40', '53', '57', '58', 'XX') OR state IN ('25P03', '25P04', '42P01', '55006', '55P03')
$$;

-- Whether nothing that a capture renames where it is, of a table and of its columns, could want for a right: this role may create in each
-- schema that has a part of it; so may each owner, and this role may become that owner.
CREATE OR REPLACE FUNCTION zanith._may_rename_all(relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH tables AS MATERIALIZED (SELECT c.oid, c.relnamespace, c.relowner FROM zanith._family(relation) f JOIN pg_class c ON c.oid = f.member),
         schemas AS MATERIALIZED (
            SELECT t.relnamespace AS oid FROM tables t
            UNION SELECT s.stxnamespace FROM tables t JOIN pg_statistic_ext s ON s.stxrelid = t.oid
            UNION SELECT q.relnamespace FROM tables t
                  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i')
                  JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S')
    SELECT NOT EXISTS (SELECT FROM schemas s WHERE NOT has_schema_privilege(s.oid, 'CREATE'))
       AND NOT EXISTS (SELECT FROM (SELECT DISTINCT t.relowner AS oid FROM tables t) o
                       WHERE zanith._runner(pg_get_userbyid(o.oid)) IS NOT NULL AND (
                             NOT pg_has_role(o.oid, CASE WHEN current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END)
                          OR EXISTS (SELECT FROM schemas s WHERE NOT has_schema_privilege(o.oid, s.oid, 'CREATE'))))
); END $$;

-- Raises what a capture of a table, or of a column of it, refuses with; _check_table has passed. A definition takes longest. It says nothing
-- new where no right is wanting (`rights`, see _may_rename_all) and all `dependents` are such as are lifted, and set again where they were.
CREATE OR REPLACE FUNCTION zanith._try_capture(strategy text, target oid, column_name text, dependents jsonb, rights boolean) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    choice text := CASE WHEN jsonb_array_length(dependents) > 0 THEN 'cascade' ELSE 'refuse' END;
BEGIN
    IF column_name IS NOT NULL THEN
        PERFORM zanith._check_column(strategy, target, column_name);
    END IF;
    IF rights AND zanith._strategy_is(strategy, 'parks') AND NOT EXISTS (
           SELECT FROM zanith._each(dependents) x WHERE x.item ->> 'kind' NOT IN ('foreign key', 'policy', 'trigger', 'rule', 'default', 'publication')) THEN
        RETURN;
    END IF;
    PERFORM zanith._list_captures(strategy, target, column_name, '000000000000', choice, true, false, true);
END $$;

-- What becomes of each drop of a table and of its columns: {column, cascade, verdict, strategy, reason, message, hint}. verdict: covered; not_covered;
-- refused, where PostgreSQL refuses the drop too; not_judged, where this role owns too little to tell, or where an error of the moment stood in the way.
CREATE OR REPLACE FUNCTION zanith.judge_drops(target oid)
RETURNS TABLE (column_name text, cascade boolean, verdict text, strategy text, reason text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan
-- a few objects are looked up by index, thousands of times: no scan of a whole catalog each time
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    owned boolean := (SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c WHERE c.oid = target);
    fit text[] := '{}'; -- the strategies that the table itself is fit for, whichever column it is
    rights boolean;
    item record;
    dependents jsonb;
    extended boolean;
    state text;
    failure text;
BEGIN
    IF owned IS NULL THEN
        RETURN; -- it was dropped meanwhile
    END IF;
    FOR item IN SELECT 0::smallint AS num, NULL::text AS name, zanith._strategies_of('moves') AS strategies
                UNION ALL (SELECT a.attnum, a.attname::text, zanith._strategies_of('column', 'drops') FROM pg_attribute a
                           WHERE a.attrelid = target AND a.attnum > 0 AND NOT a.attisdropped AND NOT starts_with(a.attname, '_zanith_dropped_') ORDER BY a.attnum) LOOP
        column_name := item.name;
        strategy := NULL; message := NULL; hint := NULL;
        reason := zanith._refused_by_postgresql(target, item.num);
        IF reason IS NOT NULL OR NOT owned THEN
            verdict := CASE WHEN reason IS NOT NULL THEN 'refused' ELSE 'not_judged' END;
            reason := COALESCE(reason, 'its table belongs to another role');
            cascade := false; RETURN NEXT;
            cascade := true; RETURN NEXT;
            CONTINUE;
        END IF;
        SELECT zanith._list(to_jsonb(x)), COALESCE(bool_or(EXISTS (
                   SELECT FROM pg_depend e WHERE e.classid = x.class AND e.objid = x.object AND x.subobject = 0
                      AND e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e')), false)
        INTO dependents, extended FROM zanith._find_dependents(target, item.num) x;
        IF extended THEN
            verdict := 'refused'; reason := 'an extension needs what depends on it';
            cascade := false; RETURN NEXT;
            cascade := true; RETURN NEXT;
            CONTINUE;
        END IF;
        verdict := 'not_covered';
        FOREACH strategy IN ARRAY item.strategies LOOP
            BEGIN
                IF NOT strategy = ANY (fit) THEN
                    PERFORM zanith._check_table(strategy, target);
                    fit := fit || strategy;
                END IF;
                rights := COALESCE(rights, zanith._may_rename_all(target));
                PERFORM zanith._try_capture(strategy, target, item.name, dependents, rights);
                verdict := 'covered'; reason := NULL; message := NULL; hint := NULL;
                EXIT;
            EXCEPTION WHEN OTHERS THEN
                GET STACKED DIAGNOSTICS failure = MESSAGE_TEXT, state = RETURNED_SQLSTATE;
                IF zanith._is_momentary(state) THEN
                    -- this strategy may take it all the same
                    verdict := 'not_judged'; reason := format('%s (%s)', failure, state); message := failure; hint := NULL;
                ELSIF message IS NULL THEN
                    -- what keeps the first way from being used is the reason
                    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
                    reason := zanith._reason_of(state, failure); message := failure;
                END IF;
            END;
        END LOOP;
        IF verdict <> 'covered' THEN
            strategy := NULL;
        END IF;
        cascade := true; RETURN NEXT;
        -- without dependents both forms of DROP do the same
        cascade := false;
        IF jsonb_array_length(dependents) > 0 THEN
            verdict := 'refused'; reason := 'other objects depend on it'; strategy := NULL; message := NULL; hint := NULL;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION zanith.judge_drops IS 'Which drops of a table and its columns PostgreSQL would carry out, and whether a capture takes them.';
