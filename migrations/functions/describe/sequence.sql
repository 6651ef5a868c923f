-- Sequences that a column owns: serial (deptype a) and identity (deptype i).

-- {last_value, is_called}; nulls for who may not read it: the owner, who captures, may.
CREATE OR REPLACE FUNCTION zanith._sequence_position(sequence oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    position jsonb;
BEGIN
    EXECUTE format('SELECT jsonb_build_object(''last_value'', last_value, ''is_called'', is_called) FROM %s',
                   zanith._relation_name(sequence)) INTO position;
    RETURN position;
EXCEPTION WHEN insufficient_privilege THEN
    RETURN '{"last_value": null, "is_called": null}';
END $$;

-- What is owned by a column, oldest first; [] where nothing is. A column can own several.
CREATE OR REPLACE FUNCTION zanith._describe_sequences(relation oid, attribute smallint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg(jsonb_build_object(
        'schema', n.nspname, 'name', c.relname, 'identity', d.deptype = 'i',
        'type', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement,
        'min', s.seqmin, 'max', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle,
        'persistence', c.relpersistence, 'owner', pg_get_userbyid(c.relowner),
        'grants', zanith._describe_grants(c.relacl, 's', c.relowner),
        'comment', obj_description(c.oid, 'pg_class')) || zanith._sequence_position(c.oid)
        ORDER BY c.oid), '[]')
    FROM pg_depend d
    JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
    JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_sequence s ON s.seqrelid = c.oid
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = relation AND d.refobjsubid = attribute AND d.deptype IN ('a', 'i')
); END $$;
