-- Restoring the old values of a column that stays: into the column, where each present value comes of the old one, or beside it.

-- Whether PostgreSQL itself, and no setting, converts values of one of its types to another, both ways.
CREATE OR REPLACE FUNCTION zanith._converts_alike(one oid, other oid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN one = other OR (
    SELECT bool_and(x.source IN ('text'::regtype, 'varchar'::regtype) OR x.target IN ('text'::regtype, 'varchar'::regtype)
                    OR EXISTS (SELECT FROM pg_cast c LEFT JOIN pg_proc p ON p.oid = c.castfunc
                               WHERE c.castsource = x.source AND c.casttarget = x.target AND COALESCE(p.provolatile, 'i') = 'i'))
       AND bool_and(NOT EXISTS (SELECT FROM pg_cast c WHERE c.castsource = x.source AND c.casttarget = x.target AND c.oid >= 16384))
       AND NOT EXISTS (SELECT FROM pg_type t JOIN pg_proc p ON p.oid IN (t.typinput, t.typoutput) WHERE t.oid IN (one, other) AND p.provolatile <> 'i')
    FROM (VALUES (one, other), (other, one)) x(source, target)
); END $$;

-- Whether the column can get its old type and values back: both types and the cast between them are PostgreSQL's own, and nothing else depends on
-- the type. An expression that computed other values is found by the values.
CREATE OR REPLACE FUNCTION zanith._goes_into_column(d jsonb, live oid, choices jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN d ? 'stays' AND NOT choices ?| ARRAY['as', 'fill'] AND NOT COALESCE((choices ->> 'fill_default')::boolean, false)
       AND NOT COALESCE((choices ->> 'online')::boolean, false) AND NOT zanith._is_mixed(d) AND EXISTS (
        SELECT FROM pg_attribute a, LATERAL (SELECT to_regtype(d #>> '{column,type}')::oid) o(old)
        WHERE a.attrelid = live AND a.attname = d #>> '{column,name}' AND NOT a.attisdropped AND a.attgenerated = '' AND a.attinhcount = 0
          -- another column can have the name by now; after a load from a dump all numbers are others
          AND (a.attnum = (d ->> 'attnum')::smallint OR live <> (d #>> '{table,oid}')::oid)
          AND a.atttypid < 16384 AND o.old < 16384 AND zanith._converts_alike(o.old, a.atttypid)
          AND NOT EXISTS (
            SELECT FROM zanith._family(live) f JOIN pg_attribute m ON m.attrelid = f.member AND m.attname = a.attname
            JOIN pg_depend x ON x.refclassid = 'pg_class'::regclass AND x.refobjid = m.attrelid AND x.refobjsubid = m.attnum
            LEFT JOIN pg_attrdef g ON x.classid = 'pg_attrdef'::regclass AND g.oid = x.objid
            -- the restore lifts a pin
            LEFT JOIN zanith._pins() p ON x.classid = 'pg_proc'::regclass AND p.pin = x.objid
            WHERE p.pin IS NULL AND (x.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass)
               OR g.adnum <> m.attnum)));
END $$;

-- Rows whose present value is not that which the cast makes of the old one; of rows inserted since, those whose value does not survive the change back.
CREATE OR REPLACE FUNCTION zanith._old_values_checks(d jsonb, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    col text := d #>> '{column,name}';
    type text := (SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = live AND a.attname = col AND NOT a.attisdropped);
BEGIN
    IF NOT zanith._goes_into_column(d, live, choices) THEN
        RETURN '[]';
    END IF;
    RETURN zanith._check('values_changed', format('%s.%I', zanith._relation_name(live), col),
        format('{count} {row has|rows have} a value in %I that the change of its type did not give', col),
        format('%s t LEFT JOIN ONLY %s a ON %s', zanith._only(d) || zanith._relation_name(live), zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'), zanith._key_match(d -> 'key')),
        zanith._differ(type, format('t.%I', col), format('CASE WHEN a.%3$I IS NULL THEN t.%1$I::%4$s::%2$s ELSE a.%1$I::%2$s END', col, type, d #>> '{key,0,name}', d #>> '{column,type}')),
        zanith._key_example(d -> 'key', 't'), true, ARRAY['--as ' || zanith._name_for_option(zanith._name_beside(live, col))],
        'The restore would overwrite these values. Restore the old values beside them.');
END $$;

-- A name as an option shows it; NAME where a shell would read it in another way.
CREATE OR REPLACE FUNCTION zanith._name_for_option(name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$ SELECT CASE WHEN name COLLATE "C" ~ '^[a-z_][a-z0-9_]*$' THEN name ELSE 'NAME' END $$;

-- The column beside holds what each row is to have: compared under the lock, it shows what was written since the check.
CREATE OR REPLACE FUNCTION zanith._render_old_values_check(d jsonb, live oid, beside text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    target text := zanith._relation_name(live);
    col text := d #>> '{column,name}';
    type text := (SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute a WHERE a.attrelid = live AND a.attname = col AND NOT a.attisdropped);
BEGIN
    RETURN zanith._step(zanith._do(format($body$BEGIN
    IF EXISTS (SELECT FROM %s t WHERE %s) THEN
        RAISE EXCEPTION USING ERRCODE = 'data_exception', MESSAGE = %L, HINT = %L;
    END IF;
END$body$, zanith._only(d) || target, zanith._differ(type, format('t.%I', col), format('t.%I::%s', beside, type)),
            format('rows of %s have a value in %I that the change of its type did not give', target, col),
            format('The restore would overwrite these values. Restore the old values beside them: --as %s.', zanith._name_for_option(beside)))),
        'Compare every present value with what the change of its type gives', 'ACCESS EXCLUSIVE', ARRAY[target], true);
END $$;

-- The column takes its old type, and its values from the column that was restored beside it.
CREATE OR REPLACE FUNCTION zanith._render_into_column(d jsonb, target text, beside text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN
    zanith._as_owner(d #>> '{table,owner}', zanith._building_anew(true, zanith._step(
        format('ALTER TABLE %s ALTER COLUMN %I TYPE %s USING %I', target, d #>> '{column,name}', concat_ws(' COLLATE ', d #>> '{column,type}', d #>> '{column,collation}'), beside),
        'Give the column its old type and the archived values (PostgreSQL rewrites the table)', 'ACCESS EXCLUSIVE', ARRAY[target], true)))
    || zanith._step(format('ALTER TABLE %s DROP COLUMN %I', target, beside), 'Drop the column that brought the values', 'ACCESS EXCLUSIVE', ARRAY[target]);
END $$;
