-- Options: the storage parameters in pg_class.reloptions and pg_attribute.attoptions.

-- The options that a user can have set; NULL where none is. A server may write others by itself: 15.20 keeps pg_attver=… in
-- the options of every column. ALTER TABLE takes two for a column. (PostgreSQL manual, "ALTER TABLE".) For a relation the
-- access method decides, so all count but those with the prefix pg_, which is the server's.
CREATE OR REPLACE FUNCTION zanith._user_options(options jsonb, of_column boolean) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT jsonb_agg(o.option ORDER BY o.ord)
    FROM jsonb_array_elements_text(NULLIF(options, 'null')) WITH ORDINALITY o(option, ord),
         LATERAL split_part(o.option, '=', 1) n(name)
    WHERE CASE WHEN of_column THEN n.name IN ('n_distinct', 'n_distinct_inherited') ELSE NOT starts_with(n.name, 'pg_') END
); END $$;

-- name=value, … for WITH and SET; a value that is more than a word or a number is quoted.
CREATE OR REPLACE FUNCTION zanith._option_list(options jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT string_agg(quote_ident(n.name) || '=' || CASE WHEN v.value ~ '^[[:alnum:]_.+-]+$' THEN v.value ELSE quote_literal(v.value) END,
                      ', ' ORDER BY o.ord)
    FROM jsonb_array_elements_text(NULLIF(options, 'null')) WITH ORDINALITY o(option, ord),
         LATERAL split_part(o.option, '=', 1) n(name),
         LATERAL substr(o.option, length(n.name) + 2) v(value)
); END $$;

-- A definition as it is recorded now: earlier versions recorded the server's own options too.
CREATE OR REPLACE FUNCTION zanith._as_recorded_now(definition jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN CASE WHEN position('"pg_attver=' IN definition::text) > 0 THEN zanith._without_server_options(definition) ELSE definition END;
END $$;

CREATE OR REPLACE FUNCTION zanith._without_server_options(value jsonb, of_column boolean DEFAULT false) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    IF jsonb_typeof(value) = 'object' THEN
        RETURN (SELECT COALESCE(jsonb_object_agg(v.key, CASE v.key
                    WHEN 'options' THEN COALESCE(zanith._user_options(v.value, of_column), 'null')
                    ELSE zanith._without_server_options(v.value, v.key IN ('column', 'columns')) END), '{}') FROM jsonb_each(value) v);
    ELSIF jsonb_typeof(value) = 'array' THEN
        RETURN (SELECT zanith._list(zanith._without_server_options(v.item, of_column) ORDER BY v.ord) FROM zanith._each(value) v);
    END IF;
    RETURN value;
END $$;
