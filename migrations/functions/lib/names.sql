-- Names: quoting, parked names, identifiers of artifacts.

CREATE OR REPLACE FUNCTION zanith.version() RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT '0.1.0' $$;
COMMENT ON FUNCTION zanith.version() IS 'The version of the functions installed in this database.';

-- The SHA-256, in hex, of what a person looked at.
CREATE OR REPLACE FUNCTION zanith._digest(said jsonb) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT encode(sha256(convert_to(said::text, getdatabaseencoding())), 'hex') $$;

-- Who did it: the name that the client gave, and the database role where that is another.
CREATE OR REPLACE FUNCTION zanith._signed(name text, role text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN role IS NULL OR role = name THEN name ELSE name || ' as ' || role END $$;

-- The outcome of an entry of the audit log. Entries of older versions say "done" of a verification or export that found something else than
-- was sealed, and stay so, because the log is append-only.
CREATE OR REPLACE FUNCTION zanith._outcome(action text, outcome text, detail jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN outcome = 'done' AND (action = 'verify' AND detail ->> 'matches' = 'false' OR action = 'export' AND detail ->> 'equals_seal' = 'false')
        THEN 'mismatch' ELSE outcome END
$$;

-- Settings that change how PostgreSQL parses text, prints definitions or prints values. Every connection of the engine has
-- them from its start. The installer sets them on each function that somebody else can call; inner functions inherit them.
-- In alphabetical order; the engine reads this list from here (app/recovery/db/session_settings.py).
CREATE OR REPLACE FUNCTION zanith._fixed_settings() RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT '{"DateStyle": "ISO, YMD", "IntervalStyle": "postgres", "TimeZone": "UTC", "array_nulls": "on",
             "backslash_quote": "safe_encoding", "bytea_output": "hex", "escape_string_warning": "on",
             "extra_float_digits": "1", "gin_fuzzy_search_limit": "0", "lc_monetary": "C",
             "quote_all_identifiers": "off", "search_path": "pg_catalog, pg_temp", "standard_conforming_strings": "on",
             "transform_null_equals": "off", "xmlbinary": "base64", "xmloption": "content"}'::jsonb
$$;

-- A fresh artifact id: 12 hex digits, 48 random bits, URL-safe and short enough for a parked name.
CREATE OR REPLACE FUNCTION zanith._new_id() RETURNS text
LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN left(replace(gen_random_uuid()::text, '-', ''), 12); END $$;

-- The longest prefix of `name` that fits `bytes` bytes without splitting a character.
CREATE OR REPLACE FUNCTION zanith._clip(name text, bytes integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(max(left(name, n) COLLATE "C") FILTER (WHERE octet_length(left(name, n)) <= bytes), '')
    FROM generate_series(1, length(name)) n
); END $$;

-- The name an object bears while it is parked; 63 bytes at most, and unlike any other by its id and ordinal.
CREATE OR REPLACE FUNCTION zanith._parked_name(name text, id text, ordinal integer DEFAULT 0, prefix text DEFAULT '_zanith_dropped_')
RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT prefix || zanith._clip(name, 63 - octet_length(prefix) - octet_length(suffix)) || suffix
    FROM (SELECT '_' || id || CASE WHEN ordinal > 0 THEN '_' || ordinal ELSE '' END) s(suffix)
); END $$;

-- A qualified, quoted name.
CREATE OR REPLACE FUNCTION zanith._qualify(schema_name text, object_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT format('%I.%I', schema_name, object_name) $$;

-- The qualified, quoted name of a relation; never depends on search_path.
CREATE OR REPLACE FUNCTION zanith._relation_name(relation oid) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._qualify(n.nspname, c.relname)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = relation
); END $$;

-- The oid of a relation by its exact names, or NULL. (to_regclass wants quoting and a search path.)
CREATE OR REPLACE FUNCTION zanith._relation_oid(schema_name text, relation_name text) RETURNS oid
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = schema_name AND c.relname = relation_name
); END $$;

CREATE OR REPLACE FUNCTION zanith._attribute_number(relation oid, column_name text) RETURNS smallint
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT attnum FROM pg_catalog.pg_attribute
    WHERE attrelid = relation AND attname = column_name AND NOT attisdropped
); END $$;

CREATE OR REPLACE FUNCTION zanith._attribute_names(relation oid, numbers smallint[]) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(a.attname ORDER BY k.ord)
    FROM unnest(numbers) WITH ORDINALITY k(num, ord)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = relation AND a.attnum = k.num
); END $$;

-- A jsonb array of names as a quoted, comma-separated list.
CREATE OR REPLACE FUNCTION zanith._name_list(names jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(quote_ident(n.name), ', ' ORDER BY n.ord)
    FROM jsonb_array_elements_text(names) WITH ORDINALITY n(name, ord)
); END $$;

-- What the comment of a parked table says; the artifact's identity survives dump and reload in it.
CREATE OR REPLACE FUNCTION zanith._parked_comment(id text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT 'zanith artifact ' || id $$;

-- Refuses a text of somebody's that is longer than what is kept. Rows from before the bound stay as they are.
CREATE OR REPLACE FUNCTION zanith._check_length(what text, said text, longest integer) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF length(said) > longest THEN
        PERFORM zanith._refuse(format('the %s has %s characters, and %s are kept at most', what, length(said), longest),
            'Shorten it; keep the longer text elsewhere, such as in a ticket.', '22023');
    END IF;
END $$;

-- Why and in which migration something was done, and who did it.
CREATE OR REPLACE FUNCTION zanith._check_words(reason text, migration_id text, actor text) RETURNS void
LANGUAGE plpgsql STABLE AS $$
BEGIN
    PERFORM zanith._check_length('reason', reason, 2000), zanith._check_length('migration id', migration_id, 200),
            zanith._check_length('name of the person', actor, 200);
END $$;

-- One step of a plan. `lock` is the strongest lock it takes on `tables`; `grows`: its time grows with the rows;
-- `transaction`: 1 is the change itself, 2 the validation that follows it, each step for itself; `role`: who runs it,
-- null for the operator; `path`: the search path that it runs under, where it evaluates code of an owner (path.sql).
CREATE OR REPLACE FUNCTION zanith._step(
    sql text, purpose text, lock text DEFAULT NULL, tables text[] DEFAULT '{}',
    grows boolean DEFAULT false, transaction integer DEFAULT 1)
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_array(jsonb_build_object(
        'sql', sql, 'purpose', purpose, 'lock', lock, 'tables', to_jsonb(tables),
        'grows', grows, 'transaction', transaction, 'role', NULL, 'path', NULL, 'proves', NULL))
$$;

-- The values as a jsonb array, in the order that is asked for; [] where there are none.
CREATE OR REPLACE AGGREGATE zanith._list(anycompatible) (
    SFUNC = array_append, STYPE = anycompatiblearray, FINALFUNC = to_jsonb, INITCOND = '{}');

-- The elements of a jsonb array; no rows for anything else. `list` stands here once: PostgreSQL puts the text of this into the calling query,
-- where an argument that stood twice would be evaluated twice.
CREATE OR REPLACE FUNCTION zanith._each(list jsonb) RETURNS TABLE (item jsonb, ord bigint)
LANGUAGE sql IMMUTABLE ROWS 10 AS $$
    SELECT e.item, e.ord FROM jsonb_array_elements(jsonb_path_query_array(list, 'strict $[*]', '{}', true)) WITH ORDINALITY e(item, ord)
$$;

-- Steps, each with these values added.
CREATE OR REPLACE FUNCTION zanith._mark(steps jsonb, mark jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item || mark ORDER BY s.ord) FROM zanith._each(steps) s
); END $$;

-- A DO statement around a body: names can be anything.
CREATE OR REPLACE FUNCTION zanith._do(body text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT 'DO ' || zanith._dollar_quoted(concat(' ', body, ' '), 'do') $$;

-- Steps of the second transaction that prove one constraint: they follow one another, and are needed only while it is
-- there unproved.
CREATE OR REPLACE FUNCTION zanith._proving(con text, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._mark(steps, jsonb_build_object('proves', con))
); END $$;

-- Steps that plan a query on these tables, or compare their definitions. Before each of them runs, the tables are locked, and the code of
-- none of them may run as another role (see guard_tables).
CREATE OR REPLACE FUNCTION zanith._guarding(tables text[], steps jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._mark(steps, jsonb_build_object('guards', tables))
); END $$;

-- What a parked name stood for, as its artifact has it; NULL where no artifact knows it. The id in the name finds the row.
CREATE OR REPLACE FUNCTION zanith._original_name(parked text) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN (
    SELECT CASE WHEN a.physical_column = parked THEN a.source_column ELSE (
        SELECT r.item ->> 'name'
        FROM (SELECT a.definition -> 'renames' UNION ALL SELECT t.item -> 'renames' FROM zanith._each(a.definition -> 'tree') t) l(renames),
             LATERAL zanith._each(l.renames) r
        WHERE r.item ->> 'parked' = parked LIMIT 1) END
    FROM zanith._zanith_migration_artifacts a
    WHERE a.id = substring(parked FROM '^_zanith_dropped_.*_([0-9a-f]{12})(?:_[0-9]+)?$') AND a.source_column IS NOT NULL
); END $$;
