-- What is true of each strategy. A new one is a line here, and what captures and restores it; all else asks this table.

-- `name`: artifact_type, and the name of its function. `facts`:
--   column    it is of a column; the others are of a table
--   drops     what is captured is not in its place afterwards: it does what DROP does
--   parks     what is captured is kept itself, under another name
--   moves     it is a table that is kept itself, in the shadow schema
--   values    it copies the values of a column, by a key
--   rows      it copies the rows of a table
--   archive   it always has a copy, which stays after the restore
--   definition  it has neither rows nor values: only the definition is kept
CREATE OR REPLACE FUNCTION zanith._strategies() RETURNS TABLE (name text, facts text[]) LANGUAGE sql IMMUTABLE ROWS 8 AS $$
    SELECT s.* FROM (VALUES
        ('soft_drop_column', ARRAY['column', 'drops', 'parks']),
        ('archive_column', ARRAY['column', 'drops', 'values', 'archive']),
        ('archive_values', ARRAY['column', 'values', 'archive']),
        ('soft_drop_table', ARRAY['drops', 'parks', 'moves']),
        ('archive_table', ARRAY['drops', 'parks', 'moves']),
        ('rebuild_table', ARRAY['rows']),
        ('archive_rows', ARRAY['rows', 'archive']),
        ('keep_definition', ARRAY['definition'])) s
$$;

-- The strategies of which all these facts are true. PostgreSQL calls it when it plans a query.
CREATE OR REPLACE FUNCTION zanith._strategies_of(VARIADIC wanted text[]) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT array_agg(s.name) FROM zanith._strategies() s WHERE s.facts @> wanted
); END $$;

CREATE OR REPLACE FUNCTION zanith._strategy_is(strategy text, fact text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT strategy = ANY (zanith._strategies_of(fact)) $$;
