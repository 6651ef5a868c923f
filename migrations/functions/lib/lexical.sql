-- SQL text: what PostgreSQL's lexer would see in it, and the changes that respect its tokens.
--
-- Nothing in this project searches and replaces in SQL text. A column's name can hold any text, SQL included. Text is built from
-- parts; where PostgreSQL printed an expression with other names, whole identifiers are exchanged in one pass. No function here has a
-- backslash in a constant: the session's standard_conforming_strings decides how such a constant is read.

-- The tokens, in order; all of them together are the text. `kind` is string (a constant of any form), quoted or plain (identifiers and
-- keywords), comment, or other.
CREATE OR REPLACE FUNCTION zanith._tokens(sql text) RETURNS TABLE (ord integer, token text, kind text)
LANGUAGE plpgsql IMMUTABLE ROWS 100 AS $$
DECLARE
    backslash text := chr(92);
    -- an identifier begins with a letter, an underscore or any character beyond ASCII (PostgreSQL manual, "Lexical Structure")
    first text := '[^[:cntrl:] -@[-^`{-~]';
    more text := '[^[:cntrl:] -#%-/:-@[-^`{-~]*';
    pattern text := concat_ws('|',
        format('[eE]''(?:[^''%1$s%1$s]|%1$s%1$s.|'''')*''', backslash),
        '(?:[bBxXnN]|[uU]&)?''(?:[^'']|'''')*''', '(?:[uU]&)?"(?:[^"]|"")*"',
        first || more, '[0-9][0-9A-Za-z_.]*', '[$][0-9]+', format('[$](?:%s[^[:cntrl:] -/:-@[-^`{-~]*)?[$]', first),
        '--', '/[*]', '::', '[[:space:]]+', '.');
    rest text := sql;
    found text[];
    opener integer;
    ending text;
    size integer;
BEGIN
    ord := 0;
    WHILE rest <> '' LOOP
        found := ARRAY(SELECT m.part[1] FROM regexp_matches(rest COLLATE "C", pattern, 'g') m(part));
        -- a dollar quote or a comment: what follows is no SQL up to its end
        opener := (SELECT min(f.n) FROM unnest(found) WITH ORDINALITY f(part, n)
                   WHERE f.part IN ('--', '/*') OR length(f.part) > 1 AND left(f.part, 1) = '$' AND right(f.part, 1) = '$');
        FOR n IN 1 .. COALESCE(opener - 1, cardinality(found)) LOOP
            ord := ord + 1;
            token := found[n];
            kind := CASE WHEN token COLLATE "C" ~ '^([bBeExXnN]|[uU]&)?''.*''$' THEN 'string' WHEN token COLLATE "C" ~ '^([uU]&)?"..*"$' THEN 'quoted'
                         WHEN token COLLATE "C" ~ ('^' || first) THEN 'plain' ELSE 'other' END;
            RETURN NEXT;
        END LOOP;
        EXIT WHEN opener IS NULL;
        rest := substr(rest, 1 + length(array_to_string(found[:opener - 1], '')));
        IF found[opener] = '/*' THEN
            size := zanith._comment_length(rest);
        ELSE
            ending := CASE found[opener] WHEN '--' THEN chr(10) ELSE found[opener] END;
            size := position(ending IN substr(rest, 1 + length(found[opener])));
            size := CASE size WHEN 0 THEN length(rest) ELSE length(found[opener]) + size - 1 + length(ending) END;
        END IF;
        ord := ord + 1;
        token := left(rest, size);
        kind := CASE WHEN left(token, 1) = '$' THEN 'string' ELSE 'comment' END;
        RETURN NEXT;
        rest := substr(rest, size + 1);
    END LOOP;
END $$;

-- How long the comment is that a text begins with: comments nest.
CREATE OR REPLACE FUNCTION zanith._comment_length(sql text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN COALESCE((
    SELECT min(d.behind)
    FROM (SELECT sum(length(m.part[1])) OVER w AS behind,
                 sum(CASE m.part[1] WHEN '/*' THEN 1 WHEN '*/' THEN -1 ELSE 0 END) OVER w AS depth
          FROM regexp_matches(sql COLLATE "C", '/[*]|[*]/|.', 'g') WITH ORDINALITY m(part, n) WINDOW w AS (ORDER BY m.n)) d
    WHERE d.depth = 0), length(sql)
); END $$;

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
