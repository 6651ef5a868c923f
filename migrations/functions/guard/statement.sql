-- Which statement runs: an event trigger is told a tag, and no text.

-- The statements of a string: the words of each, plain ones in lower case, and its tokens as they were written. Of a statement that neither
-- drops nor alters nor copies, the first words alone. `place` is its first character, `size` its length.
CREATE OR REPLACE FUNCTION zanith._guard_statements(source text) RETURNS TABLE (words text[], tokens text[], place integer, size integer)
LANGUAGE plpgsql IMMUTABLE ROWS 5 AS $$
DECLARE
    t record;
    word text;
    depth integer := 0;     -- of parentheses: a rule has statements in them
    blocks integer := 0;    -- of BEGIN ATOMIC in a routine
    routine boolean := false;
    before text := '';      -- the word before
    kept boolean := true;
    here integer := 1;
BEGIN
    words := '{}';
    tokens := '{}';
    FOR t IN SELECT x.token, x.kind FROM zanith._tokens(source) x ORDER BY x.ord LOOP
        here := here + length(t.token);
        CONTINUE WHEN t.kind = 'comment' OR t.token COLLATE "C" ~ '^[[:space:]]+$';
        word := CASE t.kind WHEN 'plain' THEN lower(t.token COLLATE "C") ELSE t.token END;
        IF word = ';' AND depth <= 0 AND blocks <= 0 THEN
            IF words <> '{}' THEN
                RETURN NEXT;
            END IF;
            words := '{}';
            tokens := '{}';
            kept := true;
            routine := false;
            CONTINUE;
        ELSIF word IN ('(', '[') THEN
            depth := depth + 1;
        ELSIF word IN (')', ']') THEN
            depth := depth - 1;
        ELSIF routine AND depth = 0 THEN
            -- parameters can be called begin; within parentheses, each CASE has its END; AS and "." precede a name
            blocks := blocks + CASE WHEN blocks = 0 THEN (before = 'begin' AND word = 'atomic')::integer WHEN before IN ('as', '.') THEN 0
                                    WHEN word = 'case' THEN 1 WHEN word = 'end' THEN -1 ELSE 0 END;
        END IF;
        before := word;
        place := CASE WHEN words = '{}' THEN here - length(t.token) ELSE place END;
        size := here - place;
        IF kept THEN
            words := words || word;
            tokens := tokens || t.token;
            routine := words[1] = 'create' AND CASE words[2] WHEN 'or' THEN words[4] ELSE words[2] END IN ('function', 'procedure');
            kept := words[1] IN ('drop', 'alter', 'copy') OR cardinality(words) < 4;
        END IF;
    END LOOP;
    IF words <> '{}' THEN
        RETURN NEXT;
    END IF;
END $$;

-- The calls that led to the trigger function, innermost first, of those that led to one of ours.
CREATE OR REPLACE FUNCTION zanith._guard_calls(stack text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN ltrim(substring(stack FROM 'PL/pgSQL function zanith[.]_guard_start[(][)] line [0-9]+ at [^' || chr(10) || ']*(.*)$'), chr(10));
END $$;

-- The calls that lead here, in English whatever lc_messages is: only a superuser may change that, as whom this runs.
CREATE OR REPLACE FUNCTION zanith._guard_stack() RETURNS text
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    language text := current_setting('lc_messages');
    stack text;
BEGIN
    PERFORM set_config('lc_messages', 'C', true);
    GET DIAGNOSTICS stack = PG_CONTEXT;
    PERFORM set_config('lc_messages', language, true);
    RETURN stack;
END $$;

-- The calls that led to the statement that runs; empty where a client sent it.
CREATE OR REPLACE FUNCTION zanith._guard_frames() RETURNS text
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    RETURN zanith._guard_calls(zanith._guard_context());
END $$;

-- All calls that lead here.
CREATE OR REPLACE FUNCTION zanith._guard_context() RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    stack text;
BEGIN
    IF current_setting('lc_messages') ~ '^(C|POSIX|en_.*)$' THEN
        GET DIAGNOSTICS stack = PG_CONTEXT;
    ELSE
        stack := zanith._guard_stack();
    END IF;
    RETURN stack;
END $$;

-- Whether the function of another event trigger runs this statement, while the statement that fired it goes on. A rehearsal has its own.
CREATE OR REPLACE FUNCTION zanith._guard_is_nested() RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    triggers jsonb := zanith._event_triggers();
    stack text := CASE WHEN triggers <> '[]' THEN split_part(zanith._guard_context(), 'function zanith._guard_rehearse(', 1) END;
BEGIN
    RETURN EXISTS (SELECT FROM zanith._each(triggers) t
                   WHERE strpos(stack, format('function %s line ', t.item ->> 'function')) > 0 OR strpos(stack, format('function %s line ', t.item ->> 'short')) > 0);
END $$;

-- The text that runs, and where it names only one statement of several, the number of that. `calls` as _guard_frames gives them.
CREATE OR REPLACE FUNCTION zanith._guard_source(calls text, OUT source text, OUT number integer)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    routine text;
BEGIN
    IF calls = '' THEN
        source := current_query();
    ELSIF starts_with(calls, 'SQL statement "') THEN
        -- the text ends where the next call, or nothing, follows
        SELECT substr(calls, 16, min(e.place) - 16) INTO source
        FROM (SELECT strpos(calls, concat('"', chr(10), c.call)) FROM (VALUES ('PL/'), ('SQL '), ('extension script'), ('Python'), ('JavaScript')) c(call)
              UNION ALL SELECT CASE WHEN right(calls, 1) = '"' THEN length(calls) END) e(place)
        WHERE e.place > 0;
    ELSIF starts_with(calls, 'SQL function "') THEN
        routine := substring(calls FROM '^SQL function "(.*?)" statement [0-9]+(?:' || chr(10) || '|$)');
        number := substring(calls FROM '^SQL function ".*?" statement ([0-9]+)')::integer;
        SELECT CASE WHEN count(*) = 1 THEN min(p.prosrc) END INTO source
        FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang AND l.lanname = 'sql' WHERE p.proname = routine;
    END IF;
END $$;

-- The tokens of the statement that runs, where it may drop something or change the type of a column; NULL where it does not, or where it was not found. Of several statements
-- with this tag in one text, the setting zanith.guard_text counts those that began; it outlives a COMMIT between them. A wrong count is noticed:
-- what was not captured is not let go, and what was captured has to be gone at the end.
CREATE OR REPLACE FUNCTION zanith._guard_statement(tag text) RETURNS text[]
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    calls text := zanith._guard_frames();
    text_now text;
    statement_number integer;
    key text;
    state jsonb;
    seen integer;
    many boolean;
    found jsonb;
BEGIN
    key := concat_ws(' ', extract(epoch FROM statement_timestamp()), CASE WHEN calls <> '' THEN hashtextextended(calls, 0) END);
    state := NULLIF(current_setting('zanith.guard_text', true), '')::jsonb;
    -- a long text is not read again for each of its statements
    IF state ->> 'key' IS DISTINCT FROM key OR starts_with(calls, 'SQL function "') THEN
        SELECT s.source, s.number INTO text_now, statement_number FROM zanith._guard_source(calls) s;
    END IF;
    IF state ->> 'key' IS DISTINCT FROM key THEN
        IF text_now IS NULL OR NOT text_now COLLATE "C" ~* '[[:<:]](drop|type)[[:>:]]' THEN
            IF length(text_now) > 1000 THEN -- it is not looked through again for its next statement
                PERFORM set_config('zanith.guard_text', jsonb_build_object('key', key)::text, false);
            END IF;
            RETURN NULL;
        END IF;
        -- {key, seen: {tag: number}, of: {tag: {count, drops: {number: tokens}}}, back: whether it goes back, all: of an SQL function}
        SELECT jsonb_build_object('key', key, 'seen', '{}'::jsonb, 'back', bool_or(s.words[1] IN ('rollback', 'abort')), 'of', (
                   SELECT jsonb_object_agg(o.tag, jsonb_build_object('count', o.count, 'drops', o.drops)) FROM (
                       SELECT n.tag, count(*) AS count, jsonb_object_agg(n.number, n.tokens) FILTER (WHERE 'drop' = ANY (n.words)
                               OR n.tag = 'ALTER TABLE' AND 'type' = ANY (n.words) AND 'alter' = ANY (n.words[4:])) AS drops
                       FROM (SELECT x.words, x.tokens, t.tag, row_number() OVER (PARTITION BY t.tag ORDER BY x.ord) - 1 AS number
                             FROM zanith._guard_statements(text_now) WITH ORDINALITY x(words, tokens, place, size, ord),
                                  LATERAL (SELECT upper(concat_ws(' ', x.words[1], x.words[2], CASE x.words[2] WHEN 'materialized' THEN x.words[3] END))) t(tag)
                             WHERE x.words[1] IN ('drop', 'alter')) n GROUP BY n.tag) o),
                   'all', CASE WHEN statement_number IS NOT NULL THEN jsonb_agg(to_jsonb(s.tokens) ORDER BY s.ord) END)
        INTO state FROM zanith._guard_statements(text_now) WITH ORDINALITY s(words, tokens, place, size, ord);
    END IF;
    many := (state -> 'of' -> tag ->> 'count')::integer > 1;
    IF statement_number IS NOT NULL THEN
        found := state -> 'all' -> statement_number - 1;
    ELSE
        -- a loop runs one text again and again: after its last comes its first
        seen := COALESCE((state -> 'seen' ->> tag)::integer, 0) % COALESCE((state -> 'of' -> tag ->> 'count')::integer, 1);
        found := state -> 'of' -> tag -> 'drops' -> seen::text;
        IF many THEN
            PERFORM set_config('zanith.guard_text', jsonb_set(state, ARRAY['seen', tag], to_jsonb(seen + 1))::text, false);
        END IF;
    END IF;
    -- a rollback within the text takes the count back too
    IF (state ->> 'back')::boolean AND many OR jsonb_typeof(found) IS DISTINCT FROM 'array' THEN
        RETURN NULL;
    END IF;
    RETURN ARRAY(SELECT t.token FROM jsonb_array_elements_text(found) WITH ORDINALITY t(token, ord) ORDER BY t.ord);
END $$;
