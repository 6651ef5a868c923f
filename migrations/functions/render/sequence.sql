-- Sequences.

-- The options of a sequence as CREATE SEQUENCE and identity take them.
CREATE OR REPLACE FUNCTION zanith._sequence_options(sequence jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %sCYCLE',
        sequence ->> 'start', sequence ->> 'increment', sequence ->> 'min', sequence ->> 'max',
        sequence ->> 'cache', CASE WHEN (sequence ->> 'cycle')::boolean THEN '' ELSE 'NO ' END)
$$;

-- Set where a sequence stands.
CREATE OR REPLACE FUNCTION zanith._render_position(sequence jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._step(
        format('SELECT pg_catalog.setval(%L, %s, %s)', zanith._qualify(sequence ->> 'schema', sequence ->> 'name'),
               sequence ->> 'last_value', sequence ->> 'is_called'),
        'Set the sequence to its last value')
$$;
