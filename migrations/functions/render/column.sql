-- Columns: the parts of ALTER TABLE that give one its properties back.

CREATE OR REPLACE FUNCTION zanith._render_add_column(col jsonb, target text, column_name text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._building_anew(col #>> '{generated,kind}' = 'STORED' OR col ->> 'base_type' IS NOT NULL, zanith._step(
        format('ALTER TABLE %s ADD COLUMN %I %s%s%s', target, column_name, col ->> 'type',
            COALESCE(' COLLATE ' || (col ->> 'collation'), ''),
            COALESCE(' GENERATED ALWAYS AS (' || zanith._round_trip_safe(col #>> '{generated,expression}') || ') '
                     || (col #>> '{generated,kind}'), '')),
        'Add the column (PostgreSQL can only add it last)',
        'ACCESS EXCLUSIVE', ARRAY[target], COALESCE(col #>> '{generated,kind}' = 'STORED', false)))
$$;

-- Storage, compression, statistics target and options.
CREATE OR REPLACE FUNCTION zanith._render_column_settings(col jsonb, alone text, target text, column_name text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._step(
        format('ALTER TABLE %s%s ALTER COLUMN %I SET %s', alone, target, column_name, s.clause),
        s.purpose, 'SHARE UPDATE EXCLUSIVE', ARRAY[target]) -> 0 ORDER BY s.ord)
    FROM (VALUES
        (1, 'STORAGE ' || (col ->> 'storage'), 'Set the storage of the column'),
        (2, 'COMPRESSION ' || (col ->> 'compression'), 'Set the compression of the column'),
        (3, 'STATISTICS ' || (col ->> 'statistics'), 'Set the statistics target'),
        (4, '(' || zanith._option_list(col -> 'options') || ')', 'Set the options of the column')
    ) s(ord, clause, purpose)
    WHERE s.clause IS NOT NULL
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_default(col jsonb, alone text, target text, column_name text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN col ->> 'default' IS NULL THEN '[]' ELSE zanith._step(
        format('ALTER TABLE %s%s ALTER COLUMN %I SET DEFAULT %s', alone, target, column_name, zanith._round_trip_safe(col ->> 'default')),
        'Set the default', 'ACCESS EXCLUSIVE', ARRAY[target]) END
$$;

-- NOT NULL without a long lock: by its name, NOT VALID and validated afterwards where the server has named ones (18);
-- else through a validated CHECK, which spares SET NOT NULL its scan. (PostgreSQL manual, "ALTER TABLE".)
-- `now`: an identity column needs it in the same transaction. `final_name`: what the column is called afterwards. `alone`: children have
-- the column too, and before 18 each is NOT NULL or not by itself.
CREATE OR REPLACE FUNCTION zanith._render_not_null(
    col jsonb, target text, column_name text, id text, server_version integer, now boolean, final_name text, alone boolean)
RETURNS jsonb LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    prefix text := CASE WHEN alone THEN 'ONLY ' ELSE '' END;
BEGIN RETURN
    CASE
        WHEN COALESCE(col -> 'not_null', 'null') = 'null' THEN '[]'
        WHEN server_version >= 180000 AND col #>> '{not_null,name}' IS NOT NULL THEN
            zanith._step(format('ALTER TABLE %s ADD CONSTRAINT %I NOT NULL %I%s%s', target, col #>> '{not_null,name}',
                    column_name, CASE WHEN (col #>> '{not_null,no_inherit}')::boolean THEN ' NO INHERIT' ELSE '' END,
                    CASE WHEN now THEN '' ELSE ' NOT VALID' END),
                'Add NOT NULL for new rows', 'ACCESS EXCLUSIVE', ARRAY[target], now)
            || zanith._render_comment(col #>> '{not_null,comment}',
                    format('CONSTRAINT %I ON %s', col #>> '{not_null,name}', target))
            || CASE WHEN now OR NOT (col #>> '{not_null,validated}')::boolean THEN '[]' ELSE
                zanith._proving(col #>> '{not_null,name}',
                    zanith._step(format('ALTER TABLE %s VALIDATE CONSTRAINT %I', target, col #>> '{not_null,name}'),
                    'Validate NOT NULL', 'SHARE UPDATE EXCLUSIVE', ARRAY[target], true, 2)) END
        WHEN now THEN
            zanith._step(format('ALTER TABLE %s%s ALTER COLUMN %I SET NOT NULL', prefix, target, column_name),
                'Set NOT NULL', 'ACCESS EXCLUSIVE', ARRAY[target], true)
        ELSE
            zanith._step(format('ALTER TABLE %s%s ADD CONSTRAINT %I CHECK (%I IS NOT NULL)%s NOT VALID',
                    prefix, target, '_zanith_not_null_' || id, column_name, CASE WHEN alone THEN ' NO INHERIT' ELSE '' END),
                'Add a helper CHECK for new rows', 'ACCESS EXCLUSIVE', ARRAY[target])
            || zanith._proving('_zanith_not_null_' || id,
               zanith._step(format('ALTER TABLE %s%s VALIDATE CONSTRAINT %I', prefix, target, '_zanith_not_null_' || id),
                'Validate the helper CHECK', 'SHARE UPDATE EXCLUSIVE', ARRAY[target], true, 2)
            || zanith._step(format('ALTER TABLE %s%s ALTER COLUMN %I SET NOT NULL', prefix, target, final_name),
                'Set NOT NULL (the helper CHECK saves the scan)', 'ACCESS EXCLUSIVE', ARRAY[target], false, 2)
            || zanith._step(format('ALTER TABLE %s%s DROP CONSTRAINT %I', prefix, target, '_zanith_not_null_' || id),
                'Drop the helper CHECK', 'ACCESS EXCLUSIVE', ARRAY[target], false, 2))
    END;
END $$;
