-- Statements that delete more than they name: DROP SCHEMA, DROP TYPE and others with CASCADE. And DROP TYPE of a type that only parked objects use.

-- The statement with CASCADE at its end, and whether it has that already. CASCADE can be a name too.
CREATE OR REPLACE FUNCTION zanith._guard_with_cascade(tag text, tokens text[], OUT cascades boolean, OUT statement text)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    last text := lower(tokens[cardinality(tokens)] COLLATE "C");
    named integer := cardinality(string_to_array(tag, ' ')) + 1;
    conditional boolean := lower(tokens[named] COLLATE "C") = 'if' AND lower(tokens[named + 1] COLLATE "C") = 'exists' AND cardinality(tokens) > named + 1;
    said boolean := last IN ('cascade', 'restrict') AND tokens[cardinality(tokens) - 1] NOT IN (',', '.') AND cardinality(tokens) > named + CASE WHEN conditional THEN 2 ELSE 0 END;
BEGIN
    cascades := said AND last = 'cascade';
    statement := array_to_string(CASE WHEN said THEN tokens[:cardinality(tokens) - 1] ELSE tokens END, ' ') || ' CASCADE';
END $$;

-- Captures all tables and columns that the statement deletes without naming them, and moves the types aside that parked objects need.
CREATE OR REPLACE FUNCTION zanith._guard_cascade(tag text, tokens text[], path text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted record;
    dropped jsonb;
    live boolean;
    patience text := current_setting('zanith.lock_timeout', true);
BEGIN
    SELECT * INTO wanted FROM zanith._guard_with_cascade(tag, tokens);
    -- PostgreSQL refuses it where anything depends on the object
    IF NOT wanted.cascades AND tag NOT IN ('DROP TYPE', 'DROP DOMAIN') THEN
        dropped := zanith._guard_rehearse(array_to_string(tokens, ' '), path);
        PERFORM zanith._guard_keep(dropped, array_to_string(tokens, ' '), path);
        PERFORM zanith._guard_note_schemas(dropped, zanith._prove_caller()) WHERE tag = 'DROP SCHEMA';
        RETURN;
    END IF;
    dropped := zanith._guard_rehearse(wanted.statement, path);
    live := EXISTS (SELECT FROM zanith._each(dropped) x WHERE (x.item ->> 'normal')::boolean AND NOT (x.item ->> 'named')::boolean AND NOT zanith._guard_is_parked(x.item));
    IF dropped IS NULL OR live AND NOT wanted.cascades THEN
        -- PostgreSQL refuses it, unless what goes with it belongs to it, as with a range
        PERFORM zanith._guard_keep(zanith._guard_rehearse(array_to_string(tokens, ' '), path), array_to_string(tokens, ' '), path) WHERE live;
        RETURN;
    END IF;
    PERFORM set_config('zanith.lock_timeout', current_setting('lock_timeout'), true);
    IF EXISTS (SELECT FROM zanith._each(dropped) x WHERE zanith._guard_holds_data(x.item) AND NOT zanith._guard_is_parked(x.item)) THEN
        PERFORM zanith._guard_whole_tables(dropped, array_to_string(tokens, ' ')), zanith._guard_lone_columns(dropped, array_to_string(tokens, ' '));
        dropped := zanith._guard_rehearse(wanted.statement, path);
    END IF;
    -- but for what parked objects need: that stays
    PERFORM zanith._guard_keep((SELECT zanith._list(x.item ORDER BY x.ord) FROM zanith._each(dropped) x WHERE NOT EXISTS (
        SELECT FROM zanith._each(n.needed) y WHERE y.item ->> 'oid' = x.item ->> 'oid' AND y.item ->> 'class' = x.item ->> 'class')), array_to_string(tokens, ' '), path)
    FROM (SELECT zanith._guard_needed(dropped) OFFSET 0) n(needed);
    PERFORM zanith._guard_free(dropped, wanted.statement, path);
    PERFORM zanith._guard_note_schemas(dropped, zanith._prove_caller()) WHERE tag = 'DROP SCHEMA';
    PERFORM set_config('zanith.lock_timeout', COALESCE(patience, ''), true);
END $$;

-- Each table that goes becomes an artifact; a partition or a child goes with its parent.
CREATE OR REPLACE FUNCTION zanith._guard_whole_tables(dropped jsonb, statement text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    t record;
    rule jsonb;
    artifact text;
BEGIN
    FOR t IN SELECT c.oid, c.relname, n.nspname, zanith._qualify(n.nspname, c.relname) AS name
             FROM zanith._each(dropped) x JOIN pg_class c ON c.oid = (x.item ->> 'oid')::oid JOIN pg_namespace n ON n.oid = c.relnamespace
             WHERE zanith._guard_holds_data(x.item) AND x.item ->> 'type' = 'table' AND NOT zanith._guard_is_ours(c.oid) AND NOT zanith._guard_is_member(c.oid)
             ORDER BY EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid), x.ord LOOP
        rule := zanith._guard_rule(current_user, t.nspname);
        CONTINUE WHEN rule ->> 'mode' <> 'capture' OR zanith._relation_oid(t.nspname, t.relname) IS DISTINCT FROM t.oid;
        PERFORM zanith._guard_check_role('table ' || t.name);
        artifact := zanith._guard_capture('archive_table', t.oid, NULL, statement, rule);
        PERFORM zanith._guard_say(format('table %s is kept as artifact %s', t.name, artifact));
    END LOOP;
END $$;

-- Each column that goes from a table that stays becomes an artifact; that of a child goes with that of its parent.
CREATE OR REPLACE FUNCTION zanith._guard_lone_columns(dropped jsonb, statement text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    c record;
    rule jsonb;
    artifact text;
BEGIN
    FOR c IN SELECT k.oid, a.attnum, a.attname, n.nspname
             FROM zanith._each(dropped) x JOIN pg_class k ON k.oid = (x.item ->> 'oid')::oid JOIN pg_namespace n ON n.oid = k.relnamespace
             JOIN pg_attribute a ON a.attrelid = k.oid AND a.attnum = (x.item ->> 'attnum')::smallint
             WHERE zanith._guard_holds_data(x.item) AND x.item ->> 'type' = 'table column' AND NOT zanith._guard_is_parked(x.item) AND NOT zanith._guard_is_member(k.oid)
             ORDER BY a.attinhcount, a.attgenerated = '', x.ord LOOP
        rule := zanith._guard_rule(current_user, c.nspname);
        CONTINUE WHEN rule ->> 'mode' <> 'capture' OR zanith._attribute_number(c.oid, c.attname) IS DISTINCT FROM c.attnum OR zanith._guard_is_ours(c.oid);
        PERFORM zanith._guard_check_role('a column of ' || zanith._relation_name(c.oid));
        artifact := zanith._guard_column(c.oid, c.attname, statement, rule);
        PERFORM zanith._guard_say(format('column %s.%I is kept as artifact %s', zanith._relation_name(c.oid), c.attname, artifact));
    END LOOP;
END $$;

-- The statement that drops one object, under the name that it has now; NULL where it is gone or parked. `i.type` and the names are those of
-- pg_identify_object: for most kinds, the word of DROP and the text that follows it.
CREATE OR REPLACE FUNCTION zanith._guard_dropping(class oid, object oid, part integer) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN zanith._guard_is_parked(jsonb_build_object('names', a.object_names)) THEN NULL ELSE CASE i.type
        WHEN 'default value' THEN format('ALTER TABLE %I.%I ALTER COLUMN %I DROP DEFAULT', a.object_names[1], a.object_names[2], a.object_names[3])
        WHEN 'table constraint' THEN format('ALTER TABLE %I.%I DROP CONSTRAINT %I CASCADE', a.object_names[1], a.object_names[2], a.object_names[3])
        WHEN 'table column' THEN format('ALTER TABLE %I.%I DROP COLUMN %I CASCADE', a.object_names[1], a.object_names[2], a.object_names[3])
        WHEN 'foreign table column' THEN format('ALTER FOREIGN TABLE %I.%I DROP COLUMN %I CASCADE', a.object_names[1], a.object_names[2], a.object_names[3])
        WHEN 'composite type column' THEN format('ALTER TYPE %I.%I DROP ATTRIBUTE %I CASCADE', a.object_names[1], a.object_names[2], a.object_names[3])
        WHEN 'domain constraint' THEN format('ALTER DOMAIN %s DROP CONSTRAINT %I CASCADE', a.object_names[1], a.object_args[1])
        WHEN 'composite type' THEN format('DROP TYPE %s CASCADE', i.identity)
        WHEN 'statistics object' THEN format('DROP STATISTICS %s CASCADE', i.identity)
        WHEN 'foreign-data wrapper' THEN format('DROP FOREIGN DATA WRAPPER %s CASCADE', i.identity)
        WHEN 'user mapping' THEN format('DROP USER MAPPING FOR %I SERVER %I', a.object_names[1], a.object_args[1])
        WHEN 'transform' THEN format('DROP TRANSFORM FOR %s LANGUAGE %I CASCADE', a.object_names[1], a.object_args[1])
        WHEN 'publication relation' THEN format('ALTER PUBLICATION %I DROP TABLE %I.%I', a.object_args[1], a.object_names[1], a.object_names[2])
        WHEN 'operator of access method' THEN format('ALTER OPERATOR FAMILY %2$I.%3$I USING %1$I DROP OPERATOR %4$s (%5$s)', a.object_names[1], a.object_names[2], a.object_names[3], a.object_names[4], array_to_string(a.object_args, ', '))
        WHEN 'function of access method' THEN format('ALTER OPERATOR FAMILY %2$I.%3$I USING %1$I DROP FUNCTION %4$s (%5$s)', a.object_names[1], a.object_names[2], a.object_names[3], a.object_names[4], array_to_string(a.object_args, ', '))
        WHEN 'function' THEN format('DROP ROUTINE %s CASCADE', i.identity)
        WHEN 'procedure' THEN format('DROP ROUTINE %s CASCADE', i.identity)
        WHEN 'aggregate' THEN format('DROP ROUTINE %s CASCADE', i.identity)
        ELSE format('DROP %s %s CASCADE', i.type, i.identity) END END
    FROM pg_identify_object(class, object, part) i, LATERAL (SELECT y.* FROM pg_identify_object_as_address(class, object, part) y WHERE i.identity IS NOT NULL) a
); END $$;

-- Frees the statement from what is parked. What parked objects need is moved aside; what else depends on that would then outlive the
-- statement, so it is dropped here.
CREATE OR REPLACE FUNCTION zanith._guard_free(dropped jsonb, statement text, path text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    first jsonb := dropped;
    moved jsonb := '[]';
    needed jsonb;
    x record;
BEGIN
    LOOP
        needed := zanith._guard_needed(dropped);
        EXIT WHEN needed = '[]';
        PERFORM zanith._guard_put_aside(needed);
        moved := moved || needed;
        dropped := zanith._guard_rehearse(statement, path);
    END LOOP;
    FOR x IN SELECT y.item FROM zanith._each(dropped) y WHERE NOT (y.item ->> 'named')::boolean AND (y.item ->> 'normal')::boolean AND zanith._guard_is_parked(y.item) LOOP
        PERFORM zanith._refuse(format('guard: the statement would delete a part of a parked object: %s %s', x.item ->> 'type', x.item ->> 'identity'),
            'Use: zanith recover restore, or zanith recover purge, for that artifact first.', '2BP01');
    END LOOP;
    FOR x IN SELECT y.item FROM zanith._each(first) y
             WHERE moved <> '[]' AND ((y.item ->> 'normal')::boolean OR y.item ->> 'type' LIKE '% of access method') AND NOT (y.item ->> 'named')::boolean AND NOT (y.item ->> 'temporary')::boolean
               AND NOT EXISTS (SELECT FROM zanith._each(moved || COALESCE(dropped, '[]')) z WHERE z.item ->> 'oid' = y.item ->> 'oid' AND z.item ->> 'class' = y.item ->> 'class')
             -- those that are part of another object go with it
             ORDER BY y.item ->> 'type' = 'rule' OR y.item ->> 'type' LIKE '% of access method', y.ord LOOP
        EXECUTE COALESCE(zanith._guard_dropping((x.item ->> 'class')::regclass, (x.item ->> 'oid')::oid, (x.item ->> 'attnum')::integer), 'SELECT');
    END LOOP;
END $$;
