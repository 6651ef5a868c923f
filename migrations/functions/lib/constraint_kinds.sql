-- What is true of each kind of constraint. A new kind is a line here, its clause in render/constraint.sql and the check of its rows in
-- restore/checks.sql; all else asks this table. Only scripts that run without Zanith name the letters themselves.

-- `letter`: pg_constraint.contype. `kind`: its name in definitions and plans. `called`: its name where it stands among other objects.
-- `depends_as`: its kind as a dependent. `place`: the order in which a restore adds constraints; NULL for one that its column adds.
-- `lock`: what ADD CONSTRAINT takes. `facts`:
--   condition    an expression that each row meets
--   key          the primary key, which sets NOT NULL
--   reference    its rows refer to rows of a table
--   exclusion    its operators say which rows conflict
--   not_null     belongs to its column, which describes it
--   indexed      ADD CONSTRAINT creates an index
--   unique       no two rows have the same values; it has an online form, ADD CONSTRAINT … USING INDEX
--   not_valid    ADD CONSTRAINT … NOT VALID exists
--   inherited    children inherit it
--   code         may evaluate expressions of the owner
CREATE OR REPLACE FUNCTION zanith._constraint_kinds()
RETURNS TABLE (letter "char", kind text, called text, depends_as text, place integer, lock text, facts text[]) LANGUAGE sql IMMUTABLE ROWS 6 AS $$
    SELECT k.* FROM (VALUES
        ('c'::"char", 'check', 'check constraint', 'constraint', 1, 'ACCESS EXCLUSIVE', ARRAY['condition', 'not_valid', 'inherited', 'code']),
        ('p', 'primary key', 'primary key', 'constraint', 2, 'ACCESS EXCLUSIVE', ARRAY['key', 'indexed', 'unique']),
        ('u', 'unique', 'unique constraint', 'constraint', 2, 'ACCESS EXCLUSIVE', ARRAY['indexed', 'unique']),
        ('x', 'exclude', 'exclusion constraint', 'exclusion constraint', 2, 'ACCESS EXCLUSIVE', ARRAY['exclusion', 'indexed', 'code']),
        ('f', 'foreign key', 'foreign key', 'foreign key', 3, 'SHARE ROW EXCLUSIVE', ARRAY['reference', 'not_valid']),
        ('n', 'not null', 'NOT NULL', 'constraint', NULL, 'ACCESS EXCLUSIVE', ARRAY['not_null', 'inherited'])) k
$$;

-- The letters of the kinds of which a fact is true. PostgreSQL calls these when it plans a query.
CREATE OR REPLACE FUNCTION zanith._letters_of(fact text) RETURNS "char"[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT array_agg(k.letter) FROM zanith._constraint_kinds() k WHERE fact = ANY (k.facts)
); END $$;

-- The same as the words of definitions.
CREATE OR REPLACE FUNCTION zanith._kinds_of(fact text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT array_agg(k.kind) FROM zanith._constraint_kinds() k WHERE fact = ANY (k.facts)
); END $$;

-- Whether a fact is true of a described constraint.
CREATE OR REPLACE FUNCTION zanith._constraint_is(con jsonb, fact text) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$ SELECT con ->> 'kind' = ANY (zanith._kinds_of(fact)) $$;
