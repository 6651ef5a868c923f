-- SQL text: what PostgreSQL's lexer would see in it, and the changes that respect its tokens.
--
-- Nothing in this project searches and replaces in SQL text. A column's name can hold any text, SQL included. Text is built from
-- parts; where PostgreSQL printed an expression with other names, whole identifiers are exchanged in one pass. No function here has a
-- backslash in a constant: the session's standard_conforming_strings decides how such a constant is read.

-- The tokens, in order; all of them together are the text. `kind` is string (a constant of any form), quoted or plain (identifiers and
-- keywords), comment, or other. The time grows with the length of the text: it is read window by window, and only a comment in a comment
-- or a dollar quote with a tag ends a window early.
CREATE OR REPLACE FUNCTION zanith._tokens(sql text) RETURNS TABLE (ord integer, token text, kind text)
LANGUAGE plpgsql IMMUTABLE ROWS 100 AS $$
DECLARE
    pattern text := zanith._token_pattern(false);       -- of a whole text
    part_pattern text := zanith._token_pattern(true);   -- of a beginning: its last token may go on
    start text := zanith._identifier_start();
    whole integer := length(sql);
    taken integer := 0;     -- characters of sql that were moved to rest
    rest text := '';        -- what comes next
    width integer := 512;   -- of the window
    partial boolean;
    found text[];
    opener text;
    behind integer;
    size integer;
BEGIN
    ord := 0;
    LOOP
        IF length(rest) < width AND taken < whole THEN
            rest := rest || substr(sql, taken + 1, greatest(width, 16384));
            taken := least(taken + greatest(width, 16384), whole);
        END IF;
        EXIT WHEN rest = '';
        partial := length(rest) > width OR taken < whole;
        found := ARRAY(SELECT m.part[1] FROM regexp_matches(left(rest, width) COLLATE "C", CASE WHEN partial THEN part_pattern ELSE pattern END, 'g') m(part));
        behind := 0;
        opener := NULL;
        FOR n IN 1 .. cardinality(found) LOOP
            token := found[n];
            IF token = '/*' OR token COLLATE "C" ~ '^[$][^$]*[$]$' THEN
                opener := token;
                EXIT;
            END IF;
            EXIT WHEN partial AND n = cardinality(found);
            ord := ord + 1;
            behind := behind + length(token);
            kind := CASE WHEN token COLLATE "C" ~ '^(--|/[*])' THEN 'comment'
                         WHEN token COLLATE "C" ~ '^([$].*[$]|([bBeExXnN]|[uU]&)?''.*'')$' THEN 'string' WHEN token COLLATE "C" ~ '^([uU]&)?"..*"$' THEN 'quoted'
                         WHEN token COLLATE "C" ~ start THEN 'plain' ELSE 'other' END;
            RETURN NEXT;
        END LOOP;
        rest := substr(rest, behind + 1);
        IF opener IS NULL THEN
            width := CASE WHEN behind = 0 THEN width * 2 ELSE least(greatest(width, 4096), width * 2) END;
            CONTINUE;
        END IF;
        LOOP
            size := CASE opener WHEN '/*' THEN zanith._comment_length(rest)
                    ELSE NULLIF(position(opener IN substr(rest, 1 + length(opener))), 0) + 2 * length(opener) - 1 END;
            EXIT WHEN size IS NOT NULL OR taken = whole;
            size := length(rest) + 16384;
            rest := rest || substr(sql, taken + 1, size);
            taken := least(taken + size, whole);
        END LOOP;
        ord := ord + 1;
        token := left(rest, COALESCE(size, length(rest)));
        kind := CASE opener WHEN '/*' THEN 'comment' ELSE 'string' END;
        RETURN NEXT;
        rest := substr(rest, length(token) + 1);
        width := 512;
    END LOOP;
END $$;

-- What begins an identifier: a letter, an underscore or any character beyond ASCII (PostgreSQL manual, "Lexical Structure").
CREATE OR REPLACE FUNCTION zanith._identifier_start() RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT '^[^[:cntrl:] -@[-^`{-~]' $$;

-- The pattern of a token. Of a comment with a comment in it, and of a dollar quote with a tag, it finds the beginning alone. In the
-- beginning of a text (`partial`), what the end cuts off is one token, which may go on.
CREATE OR REPLACE FUNCTION zanith._token_pattern(partial boolean) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    backslash text := chr(92);
    first text := substr(zanith._identifier_start(), 2);
    more text := '[^[:cntrl:] -#%-/:-@[-^`{-~]*';
    tag text := format('(?:%s[^[:cntrl:] -/:-@[-^`{-~]*)?', first);
    cut text := CASE WHEN partial THEN '|$' ELSE '' END;
BEGIN
    RETURN concat_ws('|',
        format('[eE]''(?:[^''%1$s%1$s]|%1$s%1$s.|'''')*(?:''%2$s)', backslash, CASE WHEN partial THEN format('|%1$s%1$s?$', backslash) END),
        format('(?:[bBxXnN]|[uU]&)?''(?:[^'']|'''')*(?:''%s)', cut), format('(?:[uU]&)?"(?:[^"]|"")*(?:"%s)', cut),
        CASE WHEN partial THEN '[uU]&$' END,
        first || more, '[0-9][0-9A-Za-z_.]*', '[$][0-9]+', format('[$]%s(?:[$]%s)', tag, cut), '[$][$](?:[$]?[^$])*[$][$]',
        format('--[^%s%s]*', chr(10), chr(13)), '/[*](?:[^*/]|[*]+[^*/]|/+[^*/])*[*]+/', '/[*]', '::', '[[:space:]]+', '.');
END $$;

-- How long the comment is that a text begins with, since comments nest; NULL where it does not end.
CREATE OR REPLACE FUNCTION zanith._comment_length(sql text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    rest text := sql;
    depth integer := 0;
    opens integer;
    closes integer;
BEGIN
    LOOP
        opens := position('/*' IN rest);
        closes := position('*/' IN rest);
        IF closes = 0 THEN
            RETURN NULL;
        ELSIF opens > 0 AND opens < closes THEN
            depth := depth + 1;
            rest := substr(rest, opens + 2);
        ELSE
            depth := depth - 1;
            rest := substr(rest, closes + 2);
        END IF;
        EXIT WHEN depth = 0;
    END LOOP;
    RETURN length(sql) - length(rest);
END $$;

-- SQL text that PostgreSQL printed, with other names for identifiers: {from: to}, all in one pass and whole identifiers only. Strings keep
-- their text, but for one that names a relation ('t'::regclass). What a "(" follows directly is a function or a type, and what "::"
-- precedes a type; only after REFERENCES is it a table.
CREATE OR REPLACE FUNCTION zanith._rename_identifiers(sql text, names jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    IF NOT EXISTS (SELECT FROM jsonb_object_keys(names) n(name) WHERE position(replace(n.name, '"', '""') IN sql) > 0) THEN
        RETURN sql;
    END IF;
    RETURN (
        SELECT string_agg(CASE
                WHEN s.kind = 'string' AND s.after = '::' AND s.then_comes = 'regclass' AND left(s.token, 1) = ''''
                THEN quote_literal(zanith._rename_identifiers(replace(substr(s.token, 2, length(s.token) - 2), '''''', ''''), names))
                WHEN names ? s.name AND s.before IS DISTINCT FROM '::'
                     AND (s.after IS DISTINCT FROM '(' OR s.earlier ~ '(^| )REFERENCES ([^ ]+[.])?$')
                THEN quote_ident(names ->> s.name) ELSE s.token END, '' ORDER BY s.ord)
        FROM (SELECT t.*, CASE t.kind WHEN 'quoted' THEN replace(substr(t.token, 2, length(t.token) - 2), '""', '"') WHEN 'plain' THEN t.token END AS name,
                     lag(t.token) OVER w AS before, lead(t.token) OVER w AS after, lead(t.token, 2) OVER w AS then_comes,
                     concat(lag(t.token, 4) OVER w, lag(t.token, 3) OVER w, lag(t.token, 2) OVER w, lag(t.token) OVER w) AS earlier
              FROM zanith._tokens(sql) t WINDOW w AS (ORDER BY t.ord)) s);
END $$;

-- The text with an x for every character of a string, a quoted identifier or a comment: a pattern that is looked for in it is found in
-- the SQL alone, at the same place.
CREATE OR REPLACE FUNCTION zanith._masked(sql text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(CASE WHEN t.kind IN ('string', 'quoted', 'comment') THEN repeat('x', length(t.token)) ELSE t.token END, '' ORDER BY t.ord)
    FROM zanith._tokens(sql) t
); END $$;

-- An expression in the words in which it is read back as it was. What PostgreSQL prints of `varchar_column IN ('a', 'b')`,
-- (ARRAY['a'::character varying, …])::text[], it would read as an array of texts: a cast reaches into ARRAY[…]. One to its own
-- type first keeps it. Of some hundred and fifty kinds of expression it is the only one that is not printed as it was read.
CREATE OR REPLACE FUNCTION zanith._round_trip_safe(expression text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    seen text;
    behind integer;
BEGIN
    IF position('::character varying' IN expression) = 0 OR position('::text[]' IN expression) = 0 THEN
        RETURN expression;
    END IF;
    seen := zanith._masked(expression);
    -- from the end, so that places before it stay
    FOR behind IN
        SELECT DISTINCT f.behind FROM (
            VALUES ('(::character varying([(][0-9]+[)])?[]])[)]?::text[[][]]'), -- the last one of the list is a varchar
                   ('([(]ARRAY[[][^][]*::character varying[^][]*[]])[)]::text[[][]]') -- or another one
        ) p(pattern), LATERAL generate_series(1, regexp_count(seen, p.pattern)) n,
             LATERAL regexp_instr(seen, p.pattern, 1, n, 1, '', 1) f(behind)
        ORDER BY 1 DESC LOOP
        expression := concat(left(expression, behind - 1), '::character varying[]', substr(expression, behind));
    END LOOP;
    RETURN expression;
END $$;

-- A text without an ending that it may have. Of what PostgreSQL prints, the ending is known to be no part of a name.
CREATE OR REPLACE FUNCTION zanith._without_ending(whole text, ending text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN right(whole, length(ending)) = ending THEN left(whole, length(whole) - length(ending)) ELSE whole END $$;

-- A text between dollar quotes that are not in it.
CREATE OR REPLACE FUNCTION zanith._dollar_quoted(body text, tag text) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT concat('$', q.tag, '$', body, '$', q.tag, '$')
    FROM (SELECT t.tag, t.n
          FROM (SELECT _dollar_quoted.tag || repeat('_', n) AS tag, n FROM generate_series(0, 16) n
                UNION ALL SELECT _dollar_quoted.tag || md5(body), 17) t
          -- at the end, the beginning of a tag would come before the tag
          WHERE position('$' || t.tag IN body) = 0 ORDER BY t.n LIMIT 1) q
); END $$;

-- A name, a purpose or a reason as part of one comment line of a script: no character in it ends the line, for whatever reads it.
CREATE OR REPLACE FUNCTION zanith._one_line(said text) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    clean text := regexp_replace(said COLLATE "C", '[[:cntrl:][:space:]]+', ' ', 'g');
BEGIN
    IF getdatabaseencoding() = 'UTF8' THEN
        -- U+0085, the line and paragraph separators, and what changes the direction of writing
        clean := (SELECT translate(clean, string_agg(chr(n), ''), repeat(' ', 20)) FROM unnest(ARRAY[133, 8206, 8207, 8232, 8233, 8234, 8235, 8236, 8237, 8238,
                                                                                              8294, 8295, 8296, 8297]) n);
    END IF;
    RETURN clean;
END $$;
