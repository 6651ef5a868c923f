-- Snapshots of the schema, recorded for the role of the session, in its transaction.

-- Records a snapshot and returns its number; NULL if the contents are neither known nor given. `described` has the columns of the table as keys.
CREATE OR REPLACE FUNCTION zanith.record_schema_snapshot(described jsonb, given text DEFAULT NULL, given_needs jsonb DEFAULT NULL) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    number bigint;
BEGIN
    PERFORM zanith._check_migrates();
    PERFORM zanith._check_words(NULL, described ->> 'migration_id', described ->> 'taken_by');
    IF given IS NOT NULL THEN
        INSERT INTO zanith._zanith_schema_contents (hash, contents, needs, objects)
        VALUES (described ->> 'hash', given, given_needs, (described ->> 'objects')::integer)
        ON CONFLICT (hash) DO NOTHING;
    ELSIF NOT EXISTS (SELECT FROM zanith._zanith_schema_contents c WHERE c.hash = described ->> 'hash') THEN
        RETURN NULL;
    END IF;
    INSERT INTO zanith._zanith_schema_snapshots (moment, migration_id, hash, version, taken_by, taken_by_role)
    VALUES (described ->> 'moment', described ->> 'migration_id', described ->> 'hash', current_setting('server_version_num')::integer,
        described ->> 'taken_by', session_user)
    RETURNING id INTO number;
    RETURN number;
END $$;
