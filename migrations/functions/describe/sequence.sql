-- Sequences that a column owns: serial (deptype a) and identity (deptype i).

-- {last_value, is_called}, by oid: another sequence could have the name now. Before 18 a sequence that was never called does not say by its
-- oid where it stands; then, and where it may not be read, it stands at its start. See _read_facts.
CREATE OR REPLACE FUNCTION zanith._sequence_position(sequence oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb;
BEGIN
    IF NOT has_sequence_privilege(sequence, 'SELECT') THEN
        NULL;
    ELSIF current_setting('server_version_num')::integer >= 180000 THEN
        EXECUTE 'SELECT jsonb_build_object(''last_value'', d.last_value, ''is_called'', d.is_called) FROM pg_get_sequence_data($1) d' INTO found USING sequence;
    ELSE
        SELECT jsonb_build_object('last_value', l.v, 'is_called', true) INTO found FROM pg_sequence_last_value(sequence) l(v) WHERE l.v IS NOT NULL;
    END IF;
    RETURN COALESCE(found, (SELECT jsonb_build_object('last_value', s.seqstart, 'is_called', false) FROM pg_sequence s WHERE s.seqrelid = sequence));
END $$;

-- One sequence, whoever owns it.
CREATE OR REPLACE FUNCTION zanith._describe_sequence(sequence oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'schema', n.nspname, 'name', c.relname,
        'type', format_type(s.seqtypid, NULL), 'start', s.seqstart, 'increment', s.seqincrement,
        'min', s.seqmin, 'max', s.seqmax, 'cache', s.seqcache, 'cycle', s.seqcycle,
        'persistence', c.relpersistence, 'owner', pg_get_userbyid(c.relowner),
        'grants', zanith._describe_grants(c.relacl, 's', c.relowner),
        'comment', obj_description(c.oid, 'pg_class')) || zanith._sequence_position(c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_sequence s ON s.seqrelid = c.oid WHERE c.oid = sequence
); END $$;

-- What is owned by a column, oldest first; [] where nothing is. A column can own several.
CREATE OR REPLACE FUNCTION zanith._describe_sequences(relation oid, attribute smallint) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._describe_sequence(c.oid) || jsonb_build_object('identity', d.deptype = 'i') ORDER BY c.oid)
    FROM pg_depend d JOIN pg_class c ON c.oid = d.objid AND c.relkind = 'S'
    WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = relation AND d.refobjsubid = attribute AND d.deptype IN ('a', 'i')
); END $$;
