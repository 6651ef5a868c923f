-- What a plain DROP would take is captured, and an empty object of the same name is left for the statement to drop.

CREATE OR REPLACE FUNCTION zanith._guard_reason(statement text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    -- the tokens of a statement have a space between them
    SELECT 'guard: ' || left(string_agg(t.token, '' ORDER BY t.ord), 200)
    FROM (SELECT x.ord, x.token, lag(x.token) OVER (ORDER BY x.ord) AS before, lead(x.token) OVER (ORDER BY x.ord) AS after FROM zanith._tokens(statement) x) t
    WHERE NOT (t.token = ' ' AND (t.before IN ('.', '(', '[', '::') OR t.after IN ('.', ',', ')', ']', ';', '::')))
); END $$;

-- The migration id of an artifact until the tool's own is known (tools.sql).
CREATE OR REPLACE FUNCTION zanith._guard_migration() RETURNS text
LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN format('transaction %s', pg_current_xact_id()); END $$;

-- Raises where this role may not capture; it may still run any DDL that deletes nothing.
CREATE OR REPLACE FUNCTION zanith._guard_check_role(object text) RETURNS void
LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF NOT has_table_privilege('zanith._zanith_migration_artifacts', 'SELECT') THEN
        PERFORM zanith._refuse(format('guard: %s would be deleted for good, because %I may not capture it', object, current_user),
            format('An administrator runs zanith init --grant %I, or zanith guard on --public.', current_user), '42501');
    END IF;
END $$;

-- Says what was captured, unless the session does not want to hear it.
CREATE OR REPLACE FUNCTION zanith._guard_say(said text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF COALESCE(current_setting('zanith.guard_notice', true), '') <> 'off' THEN
        RAISE NOTICE 'guard: %', said;
    END IF;
END $$;

-- The tables that a statement names, each as _guard_find_losses has it, with its name and oid.
CREATE OR REPLACE FUNCTION zanith._guard_named_tables(dropped jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('type', 'table', 'identity', x.item -> 'identity', 'rule', zanith._guard_rule(current_user, n.nspname), 'line', zanith._guard_line(x.item),
        'oid', c.oid, 'name', zanith._qualify(n.nspname, c.relname)) ORDER BY x.ord)
    FROM zanith._each(dropped) x JOIN pg_class c ON c.oid = (x.item ->> 'oid')::oid JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE zanith._guard_holds_data(x.item) AND x.item ->> 'type' = 'table' AND (x.item ->> 'named')::boolean AND NOT zanith._guard_is_ours(c.oid) AND NOT zanith._guard_is_member(c.oid)
); END $$;

-- The statement's tables: each that it names becomes an artifact, with all that its CASCADE takes along.
CREATE OR REPLACE FUNCTION zanith._guard_tables(statement text, path text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    dropped jsonb := zanith._guard_rehearse(statement, path);
    named jsonb;
    t record;
    artifact text;
    patience text := current_setting('zanith.lock_timeout', true);
BEGIN
    IF dropped IS NULL OR NOT EXISTS (SELECT FROM zanith._each(dropped) x WHERE zanith._guard_holds_data(x.item)) THEN
        RETURN;
    END IF;
    -- the statement would wait as long as its session says
    PERFORM set_config('zanith.lock_timeout', current_setting('lock_timeout'), true);
    named := zanith._guard_named_tables(dropped);
    FOR t IN SELECT x.item ->> 'name' AS name, (x.item ->> 'oid')::oid AS oid, x.item -> 'rule' AS rule FROM zanith._each(named) x WHERE x.item #>> '{rule,mode}' = 'capture' ORDER BY x.ord LOOP
        PERFORM zanith._guard_check_role('table ' || t.name);
        -- a partition may be gone with its parent
        IF to_regclass(t.name) = t.oid THEN
            artifact := zanith._guard_capture('archive_table', t.oid, NULL, statement, t.rule);
            PERFORM zanith._guard_say(format('table %s is kept as artifact %s', t.name, artifact));
        END IF;
    END LOOP;
    -- whatever the rule of a table is, it may be gone with another one
    FOR t IN SELECT x.item ->> 'name' AS name, x.item AS item FROM zanith._each(named) x WHERE to_regclass(x.item ->> 'name') IS NULL ORDER BY x.ord LOOP
        PERFORM zanith._guard_refuse('DROP TABLE', jsonb_build_array(t.item), 'delete') WHERE t.item #>> '{rule,mode}' = 'refuse';
        EXECUTE format('CREATE TABLE %s ()', t.name);
        PERFORM zanith._guard_leave(t.name::regclass, 0::smallint);
    END LOOP;
    PERFORM set_config('zanith.lock_timeout', COALESCE(patience, ''), true);
END $$;

-- Notes an empty object, for the check at the end of the statement. An extension would own it: its script is not to be changed.
CREATE OR REPLACE FUNCTION zanith._guard_leave(relation oid, number smallint) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF number = 0 AND zanith._guard_is_member(relation) THEN
        PERFORM zanith._refuse(format('guard: a script of an extension would drop table %s, which does not belong to it', zanith._relation_name(relation)),
            format('Capture it first, by itself: SELECT zanith.archive_table(%L);', zanith._relation_name(relation)), '2BP01');
    END IF;
    IF number = 0 AND (SELECT c.relnatts > 0 FROM pg_class c WHERE c.oid = relation) THEN
        PERFORM zanith._refuse(format('guard: table %s cannot be captured: an event trigger added a column to the empty table that the guard leaves', zanith._relation_name(relation)),
            format('The event triggers are: %s. Disable that one, or use SELECT zanith.archive_table(%L);',
                (SELECT string_agg(quote_ident(t.item ->> 'name'), ', ' ORDER BY t.ord) FROM zanith._each(zanith._event_triggers()) t), zanith._relation_name(relation)), '55000');
    END IF;
    PERFORM zanith._guard_expect(relation, number);
    PERFORM set_config('zanith.guard_left', 'on', true);
END $$;

-- A parked object, or one of Zanith's tables: no capture takes it, and the check says what to do.
CREATE OR REPLACE FUNCTION zanith._guard_is_ours(relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT n.nspname IN ('zanith', '_zanith_shadow') OR COALESCE(obj_description(c.oid, 'pg_class') LIKE 'zanith artifact %', false)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = relation
); END $$;

-- A table of an extension: PostgreSQL lets only the extension's own script, or DROP EXTENSION, drop it.
CREATE OR REPLACE FUNCTION zanith._guard_is_member(relation oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN EXISTS (
    SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = relation AND d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e'
); END $$;

-- What ALTER TABLE drops, of its tokens: the name of the table as it was written, whether ONLY stands before it, and its actions that drop
-- a column, a constraint, a default or an identity. `target` is NULL where it is not understood. `read` are the tokens of its USING expressions.
-- `changes` are its actions that drop, and those that change a type, of which an expression is as good as another; NULL where none does. `plain` are
-- the columns whose values are converted by the cast alone, `computed` the others of which it changes the type.
CREATE OR REPLACE FUNCTION zanith._guard_actions(tokens text[], OUT target text, OUT alone boolean, OUT actions text, OUT constraints text[], OUT identities text[],
                                                 OUT expressions text[], OUT read text[], OUT changes text, OUT plain text[], OUT computed text[])
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    words text[] := ARRAY(SELECT CASE WHEN left(t.token, 1) IN ('"', '''') THEN t.token ELSE lower(t.token COLLATE "C") END
                          FROM unnest(tokens) WITH ORDINALITY t(token, ord) ORDER BY t.ord);
    place integer := 3;
    start integer;
    depth integer := 0;
    list text[] := '{}';
    before text[] := '{}';
    retyped boolean := false;
    changed text;
    last integer;
    c record;
BEGIN
    place := place + CASE WHEN words[place] = 'if' AND words[place + 1] = 'exists' THEN 2 ELSE 0 END;
    alone := words[place] = 'only';
    place := place + CASE WHEN alone THEN 1 ELSE 0 END;
    start := place;
    WHILE words[place + 1] = '.' LOOP
        place := place + 2;
    END LOOP;
    target := array_to_string(tokens[start:place], '');
    place := place + CASE WHEN words[place + 1] = '*' THEN 2 ELSE 1 END;
    constraints := '{}';
    identities := '{}';
    expressions := '{}';
    read := '{}';
    plain := '{}';
    computed := '{}';
    start := place;
    FOR n IN place .. cardinality(words) + 1 LOOP
        depth := depth + CASE WHEN words[n] IN ('(', '[') THEN 1 WHEN words[n] IN (')', ']') THEN -1 ELSE 0 END;
        IF n > cardinality(words) OR words[n] = ',' AND depth = 0 THEN
            IF words[start] = 'drop' OR words[start] = 'alter' AND 'drop' = ANY (words[start:n - 1]) THEN
                list := list || array_to_string(tokens[start:n - 1], ' ');
                before := before || array_to_string(tokens[start:n - 1], ' ');
                changed := zanith._guard_identifier(tokens[start + CASE WHEN words[start + 1] = 'column' THEN 2 ELSE 1 END]);
                last := CASE WHEN words[n - 2:n - 1] = '{if,exists}' THEN n - 3 ELSE n - 1 END;
                IF words[start] = 'alter' AND words[last - 1:last] = '{drop,identity}' THEN
                    identities := identities || changed;
                ELSIF words[start] = 'alter' AND words[last - 1:last] = '{drop,expression}' THEN
                    expressions := expressions || changed;
                ELSIF words[start] = 'drop' AND words[start + 1] = 'constraint' THEN
                    constraints := constraints || zanith._guard_identifier(tokens[start + CASE WHEN words[start + 2] = 'if' AND words[start + 3] = 'exists' THEN 4 ELSE 2 END]);
                END IF;
            END IF;
            IF words[start] = 'alter' AND array_position(words, 'using', start) < n THEN
                read := read || tokens[array_position(words, 'using', start) + 1:n - 1];
            END IF;
            SELECT * INTO c FROM zanith._guard_retyped(tokens[start:n - 1], words[start:n - 1]);
            IF c.action IS NOT NULL THEN
                before := before || c.action;
                retyped := true;
                plain := array_remove(plain || c.plain, NULL);
                computed := array_remove(computed || c.computed, NULL);
            END IF;
            start := n + 1;
        END IF;
    END LOOP;
    actions := array_to_string(list, ', ');
    changes := CASE WHEN retyped THEN array_to_string(before, ', ') END;
END $$;

-- One action that changes the type of a column: the same without its expression, and the column, as in _guard_actions. Many tools write USING
-- column::type. NULL of any other action.
CREATE OR REPLACE FUNCTION zanith._guard_retyped(tokens text[], words text[], OUT action text, OUT plain text, OUT computed text)
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    named integer := CASE WHEN words[2] = 'column' THEN 3 ELSE 2 END;
    type integer := named + CASE WHEN words[named + 1:named + 2] = '{set,data}' THEN 3 ELSE 1 END;
    conversion integer := array_position(words, 'using');
    type_end integer := LEAST(array_position(words, 'collate'), conversion, cardinality(words) + 1) - 1;
BEGIN
    IF words[1] IS DISTINCT FROM 'alter' OR words[type] IS DISTINCT FROM 'type' THEN
        RETURN;
    ELSIF conversion IS NULL OR words[conversion + 2] = '::' AND zanith._guard_identifier(tokens[conversion + 1]) = zanith._guard_identifier(tokens[named])
          AND words[conversion + 3:] = words[type + 1:type_end] THEN
        action := array_to_string(tokens, ' ');
        plain := zanith._guard_identifier(tokens[named]);
    ELSE
        action := array_to_string(tokens[:conversion], ' ') || ' NULL';
        computed := zanith._guard_identifier(tokens[named]);
    END IF;
END $$;

-- The name that a token stands for.
CREATE OR REPLACE FUNCTION zanith._guard_identifier(token text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN left(token, 1) = '"' THEN replace(substr(token, 2, length(token) - 2), '""', '"') ELSE lower(token COLLATE "C") END
$$;

-- A column that ALTER TABLE drops and that one of its USING expressions may read: PostgreSQL computes that from the row as it was, and the guard
-- has emptied the column by then. A whole row has every column.
CREATE OR REPLACE FUNCTION zanith._guard_find_read(relation oid, dropped jsonb, read text[]) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT a.attname FROM zanith._each(dropped) x JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = (x.item ->> 'attnum')::smallint JOIN pg_class c ON c.oid = relation,
         unnest(read) WITH ORDINALITY t(token, ord)
    WHERE x.item ->> 'type' = 'table column' AND (x.item ->> 'oid')::oid = relation
      AND (zanith._guard_identifier(t.token)::name = a.attname OR t.token ~* '^u&"'
           OR zanith._guard_identifier(t.token)::name = c.relname AND (read[t.ord + 1] IS DISTINCT FROM '.' OR read[t.ord + 2] = '*'))
    ORDER BY x.ord, t.ord LIMIT 1
); END $$;

-- The statement's columns: each becomes an artifact. A copy by the key where that is quick enough, else the column stays in the table under
-- another name. Then a column of the name is there again, with no value, for the statement to drop.
CREATE OR REPLACE FUNCTION zanith._guard_columns(tokens text[], path text) RETURNS void
LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wanted record;
    relation oid;
    name text;
    rule jsonb;
    dropped jsonb;
    columns jsonb;
    c record;
    artifact text;
    patience text := current_setting('zanith.lock_timeout', true);
    had text[];
    lacking text;
BEGIN
    SELECT * INTO wanted FROM zanith._guard_actions(tokens);
    relation := zanith._guard_resolve(wanted.target, path);
    IF COALESCE(wanted.changes, wanted.actions) = '' OR relation IS NULL OR zanith._guard_is_ours(relation) OR zanith._guard_is_member(relation)
       OR NOT EXISTS (SELECT FROM pg_class k WHERE k.oid = relation AND k.relkind IN ('r', 'p') AND k.relpersistence <> 't') THEN
        RETURN;
    END IF;
    name := zanith._relation_name(relation);
    rule := zanith._guard_rule(current_user, (SELECT n.nspname FROM pg_class k JOIN pg_namespace n ON n.oid = k.relnamespace WHERE k.oid = relation));
    IF wanted.changes IS NOT NULL THEN
        PERFORM zanith._guard_types(relation, format('ALTER TABLE %s%s %s', CASE WHEN wanted.alone THEN 'ONLY ' ELSE '' END, name, wanted.changes), wanted.plain, wanted.computed,
            array_to_string(tokens, ' '), rule, path);
    END IF;
    IF wanted.actions = '' OR rule ->> 'mode' <> 'capture' THEN
        RETURN;
    END IF;
    dropped := zanith._guard_rehearse(format('ALTER TABLE %s%s %s', CASE WHEN wanted.alone THEN 'ONLY ' ELSE '' END, name, wanted.actions), path);
    IF dropped IS NULL THEN
        RETURN;
    END IF;
    -- PostgreSQL does not say that DROP IDENTITY drops a sequence
    dropped := dropped || (SELECT zanith._list(jsonb_build_object('type', 'sequence', 'oid', d.objid)) FROM pg_attribute a
        JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i'
        WHERE a.attrelid = relation AND a.attname = ANY (wanted.identities));
    IF NOT EXISTS (SELECT FROM zanith._each(dropped) x WHERE zanith._guard_holds_data(x.item)) THEN
        PERFORM zanith._guard_note_parts(dropped), zanith._guard_keep(dropped, array_to_string(tokens, ' '), path);
        RETURN;
    END IF;
    IF wanted.alone AND EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = relation) THEN
        PERFORM zanith._refuse(format('guard: a column of %s would be deleted for good: it would stay in the children of the table (ONLY)', name),
            'Drop the column without ONLY, or end the inheritance first.', '0A000');
    END IF;
    lacking := zanith._guard_find_read(relation, dropped, wanted.read);
    IF lacking IS NOT NULL THEN
        PERFORM zanith._refuse(format('guard: %s.%I cannot be captured: a USING expression of the same statement reads it', name, lacking),
            format('Use two statements: first ALTER TABLE … ALTER COLUMN … TYPE … USING …; then ALTER TABLE %s DROP COLUMN %I. %s', name, lacking, zanith._guard_way_out(rule)), '0A000');
    END IF;
    PERFORM zanith._guard_check_role('a column of ' || name);
    PERFORM set_config('zanith.lock_timeout', current_setting('lock_timeout'), true);
    columns := zanith._guard_named_columns(relation, dropped, wanted.identities, wanted.expressions);
    had := ARRAY(SELECT k.conname::text FROM pg_constraint k WHERE k.conrelid = relation AND k.conname = ANY (wanted.constraints));
    FOR c IN SELECT a.attnum, a.attname FROM zanith._each(columns) x JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = (x.item ->> 'attnum')::smallint
             ORDER BY a.attgenerated = '', x.ord LOOP
        artifact := zanith._guard_column(relation, c.attname, array_to_string(tokens, ' '), rule);
        PERFORM zanith._guard_say(format('column %s.%I is kept as artifact %s', name, c.attname, artifact));
    END LOOP;
    -- what is still there goes by itself
    PERFORM zanith._guard_note_parts(dropped), zanith._guard_keep(dropped, array_to_string(tokens, ' '), path);
    FOR c IN SELECT x.item ->> 'name' AS attname, x.item ->> 'type' AS type FROM zanith._each(columns) x ORDER BY x.ord LOOP
        IF c.type IS NULL THEN
            PERFORM zanith._refuse(format('guard: %s.%I cannot be captured: inheritance children keep it, and %s', name, c.attname,
                    CASE WHEN c.attname = ANY (wanted.identities || wanted.expressions) THEN 'the statement changes it too' ELSE 'its type is a domain' END),
                format('Use: SELECT zanith.archive_column(%L, %L); %s', name, c.attname, zanith._guard_way_out(rule)));
        END IF;
        PERFORM zanith._guard_add_column(name, c.attname, c.type);
        PERFORM zanith._guard_leave(relation, zanith._attribute_number(relation, c.attname));
    END LOOP;
    -- constraints that went with a column, and that the statement names before it
    FOREACH lacking IN ARRAY had LOOP
        IF NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = relation AND k.conname = lacking) THEN
            EXECUTE format('ALTER TABLE %s ADD CONSTRAINT %I CHECK (true) NOT VALID', name, lacking);
        END IF;
    END LOOP;
    PERFORM set_config('zanith.lock_timeout', COALESCE(patience, ''), true);
END $$;

-- The columns of a table that a statement names to be dropped: {attnum, name, type}. `type` is that of the column that the guard leaves. The same
-- statement can drop the identity or the expression first. PostgreSQL merges it with a column that an inheritance child keeps; NULL where
-- adding it would run the checks of a domain, or would change the child.
CREATE OR REPLACE FUNCTION zanith._guard_named_columns(relation oid, dropped jsonb, identities text[], expressions text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('attnum', a.attnum, 'name', a.attname,
        'type', CASE WHEN NOT k.kept THEN CASE WHEN w.identity THEN 'identity' WHEN w.expression THEN 'boolean GENERATED ALWAYS AS (NULL::boolean) STORED' ELSE 'boolean' END
                     WHEN t.typtype <> 'd' AND NOT w.identity AND NOT w.expression
                     THEN concat_ws(' ', format_type(a.atttypid, a.atttypmod), CASE WHEN l.oid IS NOT NULL THEN 'COLLATE ' || zanith._qualify(n.nspname, l.collname) END) END) ORDER BY x.ord)
    FROM zanith._each(dropped) x JOIN pg_attribute a ON a.attrelid = relation AND a.attnum = (x.item ->> 'attnum')::smallint JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_collation l ON l.oid = a.attcollation LEFT JOIN pg_namespace n ON n.oid = l.collnamespace,
    LATERAL (SELECT zanith._children_keep(relation, a.attname)) k(kept),
    LATERAL (SELECT a.attidentity <> '' AND a.attname = ANY (identities), a.attgenerated <> '' AND a.attname = ANY (expressions)) w(identity, expression)
    WHERE x.item ->> 'type' = 'table column' AND (x.item ->> 'oid')::oid = relation AND (x.item ->> 'named')::boolean AND NOT starts_with(a.attname, '_zanith_')
); END $$;

-- Adds the column that the guard leaves. An identity is added to a column that has a value, so that PostgreSQL does not rewrite the table.
CREATE OR REPLACE FUNCTION zanith._guard_add_column(name text, column_name text, type text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF type <> 'identity' THEN
        EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s', name, column_name, type);
    ELSE
        EXECUTE format('ALTER TABLE %s ADD COLUMN %I smallint NOT NULL DEFAULT 0', name, column_name);
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT, ALTER COLUMN %2$I ADD GENERATED ALWAYS AS IDENTITY', name, column_name);
    END IF;
END $$;

-- How many bytes the guard copies in somebody's statement.
CREATE OR REPLACE FUNCTION zanith._guard_copy_limit() RETURNS bigint
LANGUAGE sql STABLE AS $$ SELECT pg_size_bytes(COALESCE(NULLIF(current_setting('zanith.guard_copy_limit', true), ''), '64MB')) $$;

-- One column; returns the artifact's id. Where both ways are refused, the reason is that of the first.
CREATE OR REPLACE FUNCTION zanith._guard_column(relation oid, column_name text, statement text, rule jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF (SELECT COALESCE(sum(pg_relation_size(t.member)), 0) > zanith._guard_copy_limit() FROM zanith._tree(relation) t) THEN
        RETURN zanith._guard_capture('soft_drop_column', relation, column_name, statement, rule);
    END IF;
    -- PostgreSQL updates no row that breaks a constraint, so that a copy could not come back
    IF EXISTS (SELECT FROM zanith._family(relation) f, LATERAL zanith._unproved_conditions(f.member)) THEN
        BEGIN
            RETURN zanith._guard_capture('soft_drop_column', relation, column_name, statement, rule);
        EXCEPTION WHEN feature_not_supported OR object_not_in_prerequisite_state THEN
            NULL;
        END;
    END IF;
    RETURN zanith._guard_capture('archive_column', relation, column_name, statement, rule);
EXCEPTION WHEN feature_not_supported OR object_not_in_prerequisite_state THEN
    BEGIN
        RETURN zanith._guard_capture('soft_drop_column', relation, column_name, statement, rule);
    EXCEPTION WHEN feature_not_supported OR object_not_in_prerequisite_state THEN
        NULL;
    END;
    RAISE;
END $$;

-- Whether a statement of the guard may tell the studio at once. PREPARE TRANSACTION fails after NOTIFY.
CREATE OR REPLACE FUNCTION zanith._guard_may_notify() RETURNS boolean
LANGUAGE sql STABLE AS $$ SELECT current_setting('max_prepared_transactions') = '0' $$;

-- One capture. A refusal of it says that the guard asked for it, and how to delete the object all the same.
CREATE OR REPLACE FUNCTION zanith._guard_capture(strategy text, relation oid, column_name text, statement text, rule jsonb) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    kept interval := COALESCE((rule ->> 'expires_in')::interval, zanith.default_retention());
    object text := CASE strategy WHEN 'archive_rows' THEN 'the rows of ' WHEN 'archive_values' THEN 'the values of ' ELSE '' END || concat_ws('.', zanith._relation_name(relation), quote_ident(column_name));
    artifact text;
    -- subscribers of a table receive what PostgreSQL's own drop would send them; those of all tables would receive the archive too
    published_ok boolean := strategy <> 'soft_drop_column' AND NOT EXISTS (SELECT FROM pg_publication p WHERE p.puballtables);
    told boolean := zanith._guard_may_notify();
    said text; state text; hint text; more text;
BEGIN
    PERFORM zanith._guard_find_migration(false);
    artifact := CASE strategy
        WHEN 'archive_table' THEN zanith.archive_table(relation, zanith._guard_migration(), kept, zanith._guard_reason(statement), 'cascade', published_ok, told)
        WHEN 'archive_column' THEN zanith.archive_column(relation, column_name, zanith._guard_migration(), kept, zanith._guard_reason(statement), 'cascade', published_ok, told)
        WHEN 'archive_values' THEN zanith.archive_values(relation, column_name, zanith._guard_migration(), kept, zanith._guard_reason(statement), published_ok, told)
        WHEN 'archive_rows' THEN zanith.archive_rows(relation, zanith._guard_migration(), kept, zanith._guard_reason(statement), published_ok, told)
        ELSE zanith.soft_drop_column(relation, column_name, zanith._guard_migration(), kept, zanith._guard_reason(statement), 'cascade', published_ok, told) END;
    PERFORM zanith._guard_note_unnamed(artifact);
    RETURN artifact;
EXCEPTION
    WHEN lock_not_available OR deadlock_detected OR serialization_failure THEN
        RAISE;
    WHEN OTHERS THEN
        GET STACKED DIAGNOSTICS said = MESSAGE_TEXT, state = RETURNED_SQLSTATE, hint = PG_EXCEPTION_HINT, more = PG_EXCEPTION_DETAIL;
        PERFORM zanith._refuse(format('guard: %s cannot be captured: %s', object, said), concat_ws(' ', NULLIF(hint, ''),
            CASE strategy WHEN 'archive_values' THEN rtrim(zanith._guard_convert_line(quote_ident(column_name))) END, zanith._guard_way_out(rule)), state, NULLIF(more, ''));
        RETURN NULL;
END $$;

-- How the statement can delete all the same.
CREATE OR REPLACE FUNCTION zanith._guard_way_out(rule jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN (rule ->> 'may_turn_off')::boolean THEN 'To delete it for good: SET LOCAL zanith.guard = off; this is recorded.'
                ELSE 'An operator can let it pass: zanith guard off.' END
$$;

-- The schema zanith takes the event triggers along, so that no check follows: nobody drops it by mistake while it has records.
CREATE OR REPLACE FUNCTION zanith._guard_schemas(tokens text[]) RETURNS void
LANGUAGE plpgsql STABLE AS $$
DECLARE
    rule jsonb := zanith._guard_rule(current_user, 'zanith');
BEGIN
    IF rule ->> 'mode' IN ('capture', 'refuse') AND EXISTS (SELECT FROM unnest(tokens) t(token) WHERE zanith._guard_identifier(t.token) = 'zanith')
       AND zanith._guard_has_artifacts() THEN
        PERFORM zanith._refuse('guard: the statement would delete the records of all artifacts', concat('zanith recover list shows them. ', zanith._guard_way_out(rule)), '2BP01');
    END IF;
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_has_artifacts() RETURNS boolean
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN EXISTS (SELECT FROM zanith._zanith_migration_artifacts); END $$;
