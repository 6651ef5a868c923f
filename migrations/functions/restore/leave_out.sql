-- Parts that a restore leaves out by choice: what they need is gone for good. A part is named by a label, such as `foreign key NAME`,
-- `policy NAME on table TABLE` or `grants to ROLE`; a conflict says which labels resolve it.

-- A definition as it is to come back: without what is left out, and for the current owner. A column belongs to the owner of its table; a
-- moved table is restored for another owner by choice alone.
CREATE OR REPLACE FUNCTION zanith._as_chosen(d jsonb, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN
    d := zanith._parts_chosen(d, choices);
    d := zanith._kept_as(d, choices ->> 'as');
    IF d ? 'column' OR d ->> 'strategy' = 'archive_rows' THEN
        RETURN zanith._with_owner(d, (SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = live));
    ELSIF d ? 'members' AND COALESCE((choices ->> 'current_owner')::boolean, false) THEN
        RETURN zanith._with_owners_now(d);
    END IF;
    RETURN d;
END $$;

-- The same for the recorded owner.
CREATE OR REPLACE FUNCTION zanith._parts_chosen(d jsonb, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF COALESCE((choices ->> 'as_text')::boolean, false) AND zanith._is_kept_as_text(d) THEN
        d := zanith._as_text(d);
    END IF;
    RETURN zanith._with_type_now(zanith._leave_out(d, choices -> 'without'));
END $$;

-- A column that comes back as the text that its archive holds: without its type, without its default, and without the parts that name the type.
CREATE OR REPLACE FUNCTION zanith._as_text(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    col text := quote_ident(d #>> '{column,name}');
    types text[] := ARRAY(SELECT t.item ->> 'name' FROM zanith._each(d #> '{kept,types}') t) || (d #>> '{column,type}');
    labels jsonb := (SELECT jsonb_agg(DISTINCT zanith._label(n.item ->> 'by')) FROM zanith._each(d -> 'needs') n
                     WHERE n.item ->> 'type' = 'type' AND n.item #>> '{names,0}' = ANY (types)
                        OR n.item ->> 'type' LIKE 'composite type%' AND zanith._qualify(n.item #>> '{names,0}', n.item #>> '{names,1}') = ANY (types));
    plain jsonb := '{"type": "text", "base_type": null, "collation": null, "storage": null}';
BEGIN
    d := zanith._leave_out(d, COALESCE(labels, '[]') || to_jsonb(ARRAY['default of ' || col]));
    RETURN jsonb_set(d - 'aside', '{parked,text}', 'false') || jsonb_build_object('column', d -> 'column' || plain, 'tree', (
        SELECT zanith._list(t.item || jsonb_build_object('column', t.item -> 'column' || plain) ORDER BY t.ord) FROM zanith._each(d -> 'tree') t));
END $$;

-- A definition whose type was renamed or moved to another schema since: the type that the archive has now, or the one of that oid where
-- the parked object does not depend on it.
CREATE OR REPLACE FUNCTION zanith._with_type_now(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    was text := d #>> '{column,type}';
    -- a soft-dropped column has its domain lifted
    away jsonb := CASE WHEN d #>> '{parked,type}' IS NOT NULL OR d ->> 'strategy' = 'soft_drop_column' AND d #>> '{column,base_type}' IS NOT NULL THEN d -> 'kept' END;
    now text;
BEGIN
    IF zanith._type_exists(was) OR zanith._type_comes_back(d, was) OR away IS NULL AND d ->> 'strategy' <> 'archive_column' THEN
        RETURN d;
    END IF;
    SELECT format_type(t.atttypid, t.atttypmod) INTO now FROM pg_attribute t
    WHERE t.attrelid = zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}') AND t.attname = d #>> '{parked,column}' AND NOT t.attisdropped;
    IF away IS NOT NULL THEN
        SELECT format_type(t.oid, (away ->> 'modifier')::integer) INTO now FROM pg_type t
        WHERE t.oid = (away ->> 'oid')::oid AND d ->> 'database' = zanith._database_identity();
    END IF;
    IF now IS NULL THEN
        RETURN d;
    END IF;
    RETURN jsonb_set(d, '{column,type}', to_jsonb(now)) || jsonb_build_object('retyped', now, 'tree', (
        SELECT zanith._list(CASE WHEN t.item #>> '{column,type}' = was THEN jsonb_set(t.item, '{column,type}', to_jsonb(now)) ELSE t.item END ORDER BY t.ord)
        FROM zanith._each(d -> 'tree') t));
END $$;

-- The label of a part, by what a plan calls it: "the index i" is `index i`. A column on its own needs nothing but its collation.
CREATE OR REPLACE FUNCTION zanith._label(called text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN called LIKE 'the column %' AND called NOT LIKE 'the column % of table %' THEN 'collation of ' || substr(called, length('the column ') + 1)
                ELSE regexp_replace(called, '^the ', '') END
$$;

-- A conflict that leaving something out resolves.
CREATE OR REPLACE FUNCTION zanith._without_it(conflict jsonb, labels text[]) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_array(c.item || jsonb_build_object('without', to_jsonb(labels)))
    FROM zanith._each(conflict) c
); END $$;

-- The labels of one part in a list of a definition. In a table that was moved everything but its foreign keys is there.
CREATE OR REPLACE FUNCTION zanith._labels_of(list text, item jsonb, moved boolean) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN list IN ('constraints', 'references') AND zanith._constraint_is(item, 'reference') THEN ARRAY[format('foreign key %I', item ->> 'name'),
            format('foreign key %I of %s', item ->> 'name', zanith._qualify(item ->> 'schema', item ->> 'table'))]
        WHEN list = 'grants' THEN ARRAY['grants to ' || quote_ident(item ->> 'grantee')]
        WHEN list = 'publications' THEN ARRAY[format('publication %I', item ->> 'name')]
        WHEN moved THEN '{}'
        WHEN list = 'constraints' THEN ARRAY[format('constraint %I', item ->> 'name'), CASE WHEN jsonb_typeof(item -> 'index') = 'object' THEN format('index %I', item ->> 'name') END]
        WHEN list = 'indexes' THEN ARRAY[format('index %I', item ->> 'name')]
        WHEN list = 'statistics' THEN ARRAY[format('statistics object %I', item ->> 'name')]
        WHEN list = 'columns' AND item ? 'column' THEN ARRAY[format('column %I', item ->> 'name'), zanith._label(item #>> '{uses,called}')]
        WHEN list = 'needs' THEN ARRAY[zanith._label(item ->> 'by')]
        WHEN list IN ('views', 'functions', 'policies', 'triggers', 'rules', 'defaults') THEN ARRAY[zanith._label(zanith._called(list, item))]
        ELSE '{}' END
$$;

-- What a dependent is called in a plan. Records of earlier versions do not say it of the dependents of a table.
CREATE OR REPLACE FUNCTION zanith._called(list text, item jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(item #>> '{uses,called}', CASE list
        WHEN 'views' THEN format('the view %s', zanith._qualify(item ->> 'schema', item ->> 'name'))
        WHEN 'functions' THEN format('the function %s', item ->> 'name')
        WHEN 'policies' THEN format('the policy %s on table %s', item ->> 'name', item ->> 'table')
        WHEN 'triggers' THEN format('the trigger %s on table %s', item ->> 'name', item ->> 'table')
        WHEN 'rules' THEN format('the rule %s on table %s', item ->> 'name', item ->> 'table')
        WHEN 'defaults' THEN format('the default value for column %s of table %s', item ->> 'column', item ->> 'table') END)
$$;

-- A definition without the part of that label. `key` is the list or object that a value is, `moved` that it is of a table which was moved.
CREATE OR REPLACE FUNCTION zanith._without_part(value jsonb, label text, key text DEFAULT NULL, moved boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    IF jsonb_typeof(value) = 'array' THEN
        RETURN (SELECT zanith._list(zanith._without_part(v.item, label, key, moved) ORDER BY v.ord) FROM zanith._each(value) v
                WHERE jsonb_typeof(v.item) <> 'object' OR NOT COALESCE(label = ANY (zanith._labels_of(key, v.item, moved)), false));
    ELSIF jsonb_typeof(value) <> 'object' THEN
        RETURN CASE WHEN key = 'tablespace' AND 'tablespace ' || quote_ident(value #>> '{}') = label THEN 'null' ELSE value END;
    END IF;
    value := (SELECT COALESCE(jsonb_object_agg(v.key, zanith._without_part(v.value, label, v.key, moved OR v.key = 'members')), '{}') FROM jsonb_each(value) v);
    IF key = 'column' AND NOT moved THEN
        value := value
            || CASE WHEN value ? 'default' AND label = format('default of %I', value ->> 'name') THEN '{"default": null}' ELSE '{}' END::jsonb
            || CASE WHEN value ? 'generated' AND label = format('expression of %I', value ->> 'name') THEN '{"generated": null}' ELSE '{}' END::jsonb
            || CASE WHEN value ? 'collation' AND label = format('collation of %I', value ->> 'name') THEN '{"collation": null}' ELSE '{}' END::jsonb;
    END IF;
    RETURN value;
END $$;

-- What cannot be made without a part: dependents that are made of a dependent, and foreign keys that rest on a key.
CREATE OR REPLACE FUNCTION zanith._goes_along(d jsonb, label text) RETURNS TABLE (other text)
LANGUAGE sql IMMUTABLE ROWS 1 AS $$
    SELECT zanith._label(x.item #>> '{uses,called}')
    FROM jsonb_each(d -> 'cascade') k, LATERAL zanith._each(k.value) x
    WHERE k.key <> 'order' AND x.item #> '{uses,upon}' ? ('the ' || label)
    UNION
    SELECT format('foreign key %I of %s', r.item ->> 'name', zanith._qualify(r.item ->> 'schema', r.item ->> 'table'))
    FROM zanith._each(d -> 'constraints') c, LATERAL zanith._each(d -> 'references') r
    WHERE jsonb_typeof(c.item -> 'index') = 'object' AND label = ANY (zanith._labels_of('constraints', c.item, false))
      AND c.item -> 'columns' @> (r.item #> '{foreign_key,references}') AND c.item -> 'columns' <@ (r.item #> '{foreign_key,references}')
$$;

CREATE OR REPLACE FUNCTION zanith._order_without(cascade jsonb, label text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_array(k.list, k.place) ORDER BY o.ord)
    FROM zanith._each(cascade -> 'order') o
    JOIN (SELECT l.list, x.ord, row_number() OVER (PARTITION BY l.list ORDER BY x.ord) - 1 AS place
          FROM (VALUES ('views'), ('functions')) l(list), LATERAL zanith._each(cascade -> l.list) x
          WHERE NOT label = ANY (zanith._labels_of(l.list, x.item, false))) k ON k.list = o.item ->> 0 AND k.ord - 1 = (o.item ->> 1)::bigint
); END $$;

-- The definition without what was chosen to be left out, which it names under `left_out`.
CREATE OR REPLACE FUNCTION zanith._leave_out(d jsonb, without jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    waiting text[] := ARRAY(SELECT w.label FROM jsonb_array_elements_text(CASE WHEN jsonb_typeof(without) = 'array' THEN without ELSE '[]' END) w(label));
    label text;
    less jsonb;
    also text[];
BEGIN
    WHILE cardinality(waiting) > 0 LOOP
        label := waiting[1];
        waiting := waiting[2:];
        -- without a key nothing tells which archived value is of which row
        CONTINUE WHEN label LIKE 'expression of %' AND jsonb_array_length(COALESCE(NULLIF(d -> 'key', 'null'), '[]')) = 0;
        also := ARRAY(SELECT g.other FROM zanith._goes_along(d, label) g);
        less := zanith._without_part(d, label);
        IF less <> d THEN
            -- the order in which dependents are made counts them
            IF d #> '{cascade,order}' IS NOT NULL THEN
                less := jsonb_set(less, '{cascade,order}', zanith._order_without(d -> 'cascade', label));
            END IF;
            d := less || jsonb_build_object('left_out', COALESCE(d -> 'left_out', '[]') || to_jsonb(label));
            waiting := waiting || also;
        END IF;
    END LOOP;
    RETURN d;
END $$;
