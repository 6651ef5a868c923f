-- Companions: what a cascade takes along that has rows or values of its own, which the seal of the table would not cover. Each gets an
-- artifact of its own in the same transaction: an inheritance child with other columns or another parent, and a column of the table's row type.

-- The artifact by which a column, or the column of a default, is parked, alone or with its table; NULL for anything else.
CREATE OR REPLACE FUNCTION zanith._parked_with(class oid, object oid, subobject integer) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    relation oid := CASE WHEN class = 'pg_class'::regclass AND subobject > 0 THEN object END;
    named text;
BEGIN
    IF class = 'pg_attrdef'::regclass THEN
        SELECT x.adrelid, x.adnum INTO relation, subobject FROM pg_attrdef x WHERE x.oid = object;
    END IF;
    SELECT a.attname INTO named FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum = subobject;
    RETURN COALESCE(substring(obj_description(relation, 'pg_class') FROM '^zanith artifact ([0-9a-z]+)$'),
                    CASE WHEN zanith._original_name(named) IS NOT NULL THEN substring(named FROM '_([0-9a-f]{12})(?:_[0-9]+)?$') END);
END $$;

-- The companions of a table that a cascade would drop, in the order in which they are captured: [{strategy, relation, column}].
CREATE OR REPLACE FUNCTION zanith._find_companions(strategy text, relation oid, on_dependents text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb := '[]';
BEGIN
    IF zanith._strategy_is(strategy, 'moves') AND on_dependents = 'cascade' THEN
        -- a parked column keeps the type of a table, which is renamed; of a view, which is made again, only an archive is free
        SELECT zanith._list(jsonb_build_object('relation', c.oid, 'column', a.attname,
                   'strategy', CASE WHEN t.typrelid IN (SELECT f.member FROM zanith._family(relation) f) THEN 'soft_drop_column' ELSE 'archive_column' END)
                   ORDER BY c.oid, a.attnum)
        INTO found
        FROM zanith._find_dependents(relation) x
        JOIN pg_class c ON c.oid = x.object AND c.relkind IN ('r', 'p')
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.subobject AND a.attgenerated = '' AND a.attinhcount = 0
        JOIN pg_type y ON y.oid = a.atttypid
        JOIN pg_type t ON t.oid = CASE WHEN y.typcategory = 'A' AND y.typelem <> 0 THEN y.typelem ELSE y.oid END
        WHERE x.kind = 'column' AND c.oid NOT IN (SELECT f.member FROM zanith._family(relation) f);
        SELECT k.list INTO found FROM zanith._collect_children(strategy, relation, found, '{}') k;
    END IF;
    RETURN found;
END $$;

-- Adds the inheritance children of a table that need an artifact of their own, each after its descendants. `gone`: tables that go with one.
CREATE OR REPLACE FUNCTION zanith._collect_children(strategy text, root oid, INOUT list jsonb, INOUT gone text[])
LANGUAGE plpgsql STABLE AS $$
DECLARE
    family oid[] := ARRAY(SELECT f.member FROM zanith._family(root, gone) f);
    child oid;
BEGIN
    IF cardinality(family) = 1 THEN
        RETURN;
    END IF;
    FOREACH child IN ARRAY ARRAY(
        SELECT f.member FROM unnest(family) WITH ORDINALITY f(member, ord) JOIN pg_class c ON c.oid = f.member AND c.relkind = 'r' AND NOT c.relispartition
        WHERE f.member <> root AND (
              EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = f.member AND NOT i.inhparent = ANY (family))
           OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = f.member AND a.attnum > 0 AND NOT a.attisdropped
                      AND NOT EXISTS (SELECT FROM pg_attribute b WHERE b.attrelid = root AND b.attname = a.attname AND NOT b.attisdropped)))
        ORDER BY f.ord) LOOP
        CONTINUE WHEN zanith._reached('pg_class'::regclass, child, 0, false) = ANY (gone);
        SELECT k.list, k.gone INTO list, gone FROM zanith._collect_children(strategy, child, list, gone) k;
        list := list || jsonb_build_object('strategy', strategy, 'relation', child, 'column', NULL);
        gone := gone || ARRAY(SELECT zanith._reached('pg_class'::regclass, f.member, 0, false) FROM zanith._family(child, gone) f);
    END LOOP;
END $$;

-- What a capture takes out of the live schema, as keys: its tables or columns, and their dependents.
CREATE OR REPLACE FUNCTION zanith._gone_with(relation oid, column_name text, gone text[]) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN ARRAY(
    SELECT zanith._reached('pg_class'::regclass, f.member, COALESCE(a.attnum, 0), false)
    FROM zanith._family(relation, gone) f LEFT JOIN pg_attribute a ON a.attrelid = f.member AND a.attname = column_name AND NOT a.attisdropped
    WHERE column_name IS NULL OR a.attnum IS NOT NULL
    UNION ALL
    SELECT zanith._reached(x.class, x.object, x.subobject, false)
    FROM zanith._find_dependents(relation, COALESCE(zanith._attribute_number(relation, column_name), 0::smallint), gone => gone) x
); END $$;

-- The captures that one capture consists of, in their order: [{strategy, relation, column, definition}]. The object that was named is the
-- last. Each is defined as it will be once those before it have run; in brief where nothing is `checked`.
CREATE OR REPLACE FUNCTION zanith._list_captures(
    strategy text, relation oid, column_name text, id text, on_dependents text, published_ok boolean, keep_rows boolean, checked boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb := '[]';
    gone text[] := '{}';
    c record;
    d jsonb;
BEGIN
    FOR c IN SELECT x.item ->> 'strategy' AS strategy, (x.item ->> 'relation')::oid AS relation, x.item ->> 'column' AS named
             FROM zanith._each(zanith._find_companions(strategy, relation, on_dependents)) x ORDER BY x.ord LOOP
        PERFORM zanith._check_table(c.strategy, c.relation);
        IF c.named IS NOT NULL THEN
            PERFORM zanith._check_column(c.strategy, c.relation, c.named);
        END IF;
        d := zanith._define(c.strategy, c.relation, c.named, id, 'cascade', false, gone, NOT checked) || '{"companion": true}';
        IF checked THEN
            PERFORM zanith._check_capture(c.strategy, c.relation, c.named, d, 'cascade', published_ok, gone);
        END IF;
        found := found || jsonb_build_object('strategy', c.strategy, 'relation', c.relation, 'column', c.named, 'definition', d);
        gone := gone || zanith._gone_with(c.relation, c.named, gone);
    END LOOP;
    d := zanith._define(strategy, relation, column_name, id, on_dependents, keep_rows, gone, NOT checked);
    IF checked THEN
        PERFORM zanith._check_capture(strategy, relation, column_name, d, on_dependents, published_ok, gone);
    END IF;
    RETURN found || jsonb_build_object('strategy', strategy, 'relation', relation, 'column', column_name, 'definition', d);
END $$;

-- Whether a step of a capture runs as another role than the caller.
CREATE OR REPLACE FUNCTION zanith._runs_as_another(d jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (
    SELECT FROM zanith._each(zanith._render_capture(d)) s WHERE s.item ->> 'by' IS DISTINCT FROM 'zanith' AND s.item ->> 'role' <> current_user
); END $$;

-- What was captured with another and is parked still, in the order in which it comes back: [{id, object, artifact_type, status}].
CREATE OR REPLACE FUNCTION zanith._parked_companions(of_artifact text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('id', a.id, 'object', zanith._object_name(a), 'artifact_type', a.artifact_type, 'status', a.status)
                              ORDER BY a.capture_order DESC)
    FROM zanith._zanith_migration_artifacts a WHERE a.cascade_of = of_artifact AND a.status = 'recoverable'
); END $$;
