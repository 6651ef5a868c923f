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
        (1, '^cannot cascade to everything', 'something depends on it that a cascade cannot record'),
        (2, 'has no key to file', 'no other key tells the rows of its table apart'),
        (3, 'is a generated column$', 'a generated column'),
        (4, 'has inheritance children', 'tables inherit from its table'),
        (5, 'of its own, or from another parent', 'a child has the column itself too, or from another parent'),
        (6, 'inherits from .* too$', 'a child has another parent'),
        (7, 'has columns of its own', 'a child has columns of its own'),
        (8, 'belongs to the extension', 'a table of an extension'),
        (9, 'security labels', 'security labels'),
        (10, 'foreign table', 'a partition or child is a foreign table'),
        (11, 'were disabled \(DISABLE TRIGGER ALL\)', 'constraint triggers that were disabled'),
        (12, 'used all 1600 columns', 'its table has used all 1600 columns'),
        (13, '^permission denied for schema', 'no privilege to create in its schema'),
        (14, '^must be owner of', 'another role owns a part of it'),
        (15, 'cannot be moved to _zanith_shadow', 'Zanith''s own role may not act as its owner'),
        (16, 'belongs to another|belongs to .* as well|several owners|of several owners', 'tables of one tree have several owners'),
        (17, 'is generated otherwise in', 'a partition generates the column otherwise')) r(ord, pattern, reason)
        WHERE message ~ r.pattern ORDER BY r.ord LIMIT 1), format('%s (%s)', message, state))
); END $$;

-- What becomes of each drop of a table and of its columns: {column, cascade, verdict, strategy, reason, message, hint}. verdict: covered; not_covered;
-- refused, where PostgreSQL refuses the drop too; not_judged, where this role owns too little to tell.
CREATE OR REPLACE FUNCTION zanith.judge_drops(target oid)
RETURNS TABLE (column_name text, cascade boolean, verdict text, strategy text, reason text, message text, hint text)
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan
-- a few objects are looked up by index, thousands of times: no scan of a whole catalog each time
SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    owned boolean := (SELECT pg_has_role(c.relowner, 'USAGE') FROM pg_class c WHERE c.oid = target);
    item record;
    d jsonb;
    depended boolean;
    state text;
BEGIN
    IF owned IS NULL THEN
        RETURN; -- it was dropped meanwhile
    END IF;
    FOR item IN SELECT 0::smallint AS num, NULL::text AS name, ARRAY['soft_drop_table', 'archive_table'] AS strategies
                UNION ALL (SELECT a.attnum, a.attname::text, ARRAY['soft_drop_column', 'archive_column'] FROM pg_attribute a
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
        depended := EXISTS (SELECT FROM zanith._find_dependents(target, item.num));
        IF depended AND EXISTS (SELECT FROM zanith._find_dependents(target, item.num) x JOIN pg_depend e
                                  ON e.classid = x.class AND e.objid = x.object AND x.subobject = 0 AND e.refclassid = 'pg_extension'::regclass AND e.deptype = 'e') THEN
            verdict := 'refused'; reason := 'an extension needs what depends on it';
            cascade := false; RETURN NEXT;
            cascade := true; RETURN NEXT;
            CONTINUE;
        END IF;
        verdict := 'not_covered';
        FOREACH strategy IN ARRAY item.strategies LOOP
            BEGIN
                PERFORM zanith._check_table(strategy, target);
                IF item.num > 0 THEN
                    PERFORM zanith._check_column(strategy, target, item.name);
                END IF;
                d := zanith._define(strategy, target, item.name, '000000000000', CASE WHEN depended THEN 'cascade' ELSE 'refuse' END, false);
                PERFORM zanith._check_capture(strategy, target, item.name, d, CASE WHEN depended THEN 'cascade' ELSE 'refuse' END, true, false);
                verdict := 'covered'; reason := NULL; message := NULL; hint := NULL;
                EXIT;
            EXCEPTION WHEN OTHERS THEN
                -- what keeps the first way from being used is the reason
                IF message IS NULL THEN
                    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT, state = RETURNED_SQLSTATE;
                    reason := zanith._reason_of(state, message);
                END IF;
            END;
        END LOOP;
        IF verdict = 'not_covered' THEN
            strategy := NULL;
        END IF;
        cascade := true; RETURN NEXT;
        -- without dependents both forms of DROP do the same
        cascade := false;
        IF depended THEN
            verdict := 'refused'; reason := 'other objects depend on it'; strategy := NULL; message := NULL; hint := NULL;
        END IF;
        RETURN NEXT;
    END LOOP;
END $$;
COMMENT ON FUNCTION zanith.judge_drops IS 'Which drops of a table and its columns PostgreSQL would carry out, and whether a capture takes them.';
