-- What anyone calls: the captures and their plan. Each runs in the caller's transaction. The captures set no search_path, so
-- that the caller's is recorded; they name everything with its schema, and _capture sets its own.

-- How long an artifact is kept by default: zanith.retention, else 30 days.
CREATE OR REPLACE FUNCTION zanith.default_retention() RETURNS interval
LANGUAGE sql STABLE AS $$ SELECT COALESCE(NULLIF(current_setting('zanith.retention', true), ''), '30 days')::interval $$;

CREATE OR REPLACE FUNCTION zanith.soft_drop_column(
    relation regclass, column_name text, migration_id text DEFAULT NULL,
    expires_in interval DEFAULT zanith.default_retention(), reason text DEFAULT NULL,
    on_dependents text DEFAULT 'refuse', published_ok boolean DEFAULT false, notify boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql VOLATILE SET jit = off AS $$ BEGIN RETURN
    zanith._capture('soft_drop_column', relation, column_name, migration_id, expires_in, reason,
                    on_dependents, published_ok, false, notify, pg_catalog.current_setting('search_path'));
END $$;
COMMENT ON FUNCTION zanith.soft_drop_column IS 'Parks a column under another name, instantly at any size. Returns the artifact''s id.';

CREATE OR REPLACE FUNCTION zanith.archive_column(
    relation regclass, column_name text, migration_id text DEFAULT NULL,
    expires_in interval DEFAULT zanith.default_retention(), reason text DEFAULT NULL,
    on_dependents text DEFAULT 'refuse', published_ok boolean DEFAULT false, notify boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql VOLATILE SET jit = off AS $$ BEGIN RETURN
    zanith._capture('archive_column', relation, column_name, migration_id, expires_in, reason,
                    on_dependents, published_ok, false, notify, pg_catalog.current_setting('search_path'));
END $$;
COMMENT ON FUNCTION zanith.archive_column IS 'Copies a column beside its key to the shadow schema and drops it. Returns the artifact''s id.';

CREATE OR REPLACE FUNCTION zanith.archive_values(
    relation regclass, column_name text, migration_id text DEFAULT NULL,
    expires_in interval DEFAULT zanith.default_retention(), reason text DEFAULT NULL, published_ok boolean DEFAULT false, notify boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql VOLATILE SET jit = off AS $$ BEGIN RETURN
    zanith._capture('archive_values', relation, column_name, migration_id, expires_in, reason,
                    'refuse', published_ok, false, notify, pg_catalog.current_setting('search_path'));
END $$;
COMMENT ON FUNCTION zanith.archive_values IS 'Copies a column beside its key to the shadow schema, before you change its type. The column stays. Returns the artifact''s id.';

CREATE OR REPLACE FUNCTION zanith.soft_drop_table(
    relation regclass, migration_id text DEFAULT NULL,
    expires_in interval DEFAULT zanith.default_retention(), reason text DEFAULT NULL,
    on_dependents text DEFAULT 'refuse', published_ok boolean DEFAULT false, notify boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql VOLATILE SET jit = off AS $$ BEGIN RETURN
    zanith._capture('soft_drop_table', relation, NULL, migration_id, expires_in, reason,
                    on_dependents, published_ok, false, notify, pg_catalog.current_setting('search_path'));
END $$;
COMMENT ON FUNCTION zanith.soft_drop_table IS 'Parks a table under another name in its own schema. Returns the artifact''s id.';

CREATE OR REPLACE FUNCTION zanith.archive_table(
    relation regclass, migration_id text DEFAULT NULL,
    expires_in interval DEFAULT zanith.default_retention(), reason text DEFAULT NULL,
    on_dependents text DEFAULT 'refuse', published_ok boolean DEFAULT false, notify boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql VOLATILE SET jit = off AS $$ BEGIN RETURN
    zanith._capture('archive_table', relation, NULL, migration_id, expires_in, reason,
                    on_dependents, published_ok, false, notify, pg_catalog.current_setting('search_path'));
END $$;
COMMENT ON FUNCTION zanith.archive_table IS 'Moves a table to the shadow schema; no rows move. Returns the artifact''s id.';

CREATE OR REPLACE FUNCTION zanith.rebuild_table(
    relation regclass, migration_id text DEFAULT NULL,
    expires_in interval DEFAULT zanith.default_retention(), reason text DEFAULT NULL,
    keep_rows boolean DEFAULT false, published_ok boolean DEFAULT false, notify boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql VOLATILE SET jit = off AS $$ BEGIN RETURN
    zanith._capture('rebuild_table', relation, NULL, migration_id, expires_in, reason,
                    'keep', published_ok, keep_rows, notify, pg_catalog.current_setting('search_path'));
END $$;
COMMENT ON FUNCTION zanith.rebuild_table IS 'Records a table''s definition, and its rows where asked, before a rebuild. Returns the artifact''s id.';

CREATE OR REPLACE FUNCTION zanith.archive_rows(
    relation regclass, migration_id text DEFAULT NULL,
    expires_in interval DEFAULT zanith.default_retention(), reason text DEFAULT NULL, published_ok boolean DEFAULT false, notify boolean DEFAULT true)
RETURNS text LANGUAGE plpgsql VOLATILE SET jit = off AS $$ BEGIN RETURN
    zanith._capture('archive_rows', relation, NULL, migration_id, expires_in, reason,
                    'keep', published_ok, true, notify, pg_catalog.current_setting('search_path'));
END $$;
COMMENT ON FUNCTION zanith.archive_rows IS 'Copies the rows of a table to the shadow schema, before you delete them. The table stays. Returns the artifact''s id.';

-- The steps a capture would execute, with what else to know; changes nothing and takes no lasting lock.
-- The id in parked names is a placeholder. Raises what the capture would raise.
CREATE OR REPLACE FUNCTION zanith.plan_capture(
    strategy text, relation regclass, column_name text DEFAULT NULL, on_dependents text DEFAULT 'refuse',
    published_ok boolean DEFAULT false, keep_rows boolean DEFAULT false)
RETURNS jsonb LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    d jsonb;
    captures jsonb;
BEGIN
    IF NOT strategy = ANY (zanith._strategies_of(VARIADIC '{}')) OR zanith._strategy_is(strategy, 'definition') THEN
        PERFORM zanith._refuse(format('there is no strategy %L', strategy),
            format('Use one of %s.', (SELECT string_agg(s.name, ', ') FROM zanith._strategies() s WHERE NOT zanith._strategy_is(s.name, 'definition'))), '22023');
    END IF;
    PERFORM zanith._check_object(strategy, relation, column_name);
    captures := zanith._list_captures(strategy, relation, column_name, '000000000000', on_dependents, published_ok, keep_rows, true);
    d := captures #> '{-1,definition}';
    RETURN jsonb_build_object(
        'strategy', strategy,
        'object', zanith._captured_name(captures -> -1),
        'steps', zanith._render_locks(captures) || (SELECT zanith._list(s.item ORDER BY c.ord, s.ord)
            FROM zanith._each(captures) c, LATERAL zanith._each(zanith._render_capture(c.item -> 'definition')) s),
        'warnings', (SELECT zanith._list(w.item ORDER BY w.ord) FROM (
            SELECT CASE WHEN c.ord < jsonb_array_length(captures) THEN to_jsonb(zanith._captured_name(c.item) || ': ' || (x.item #>> '{}')) ELSE x.item END AS item, c.ord * 1000 + x.ord AS ord
            FROM zanith._each(captures) c, LATERAL zanith._each(zanith._warn(c.item ->> 'strategy', c.item -> 'definition', on_dependents, keep_rows)) x) w),
        'dependents', (SELECT zanith._list(x.item ORDER BY c.ord, x.ord) FROM zanith._each(captures) c, LATERAL zanith._each(c.item #> '{definition,dependents}') x),
        'companions', (SELECT zanith._list(jsonb_build_object('strategy', c.item ->> 'strategy', 'object', zanith._captured_name(c.item)) ORDER BY c.ord)
            FROM zanith._each(captures - -1) c),
        'goes_with', CASE WHEN column_name IS NULL OR d ? 'stays' THEN '[]' ELSE zanith._goes_with(d) END,
        'publications', (SELECT zanith._list(DISTINCT p.item -> 'name') FROM zanith._each(captures) c, LATERAL zanith._each(c.item #> '{definition,publications}') p),
        'size_bytes', (SELECT sum(pg_total_relation_size(t.member)) FROM zanith._measured(captures) t),
        'row_estimate', (SELECT sum(GREATEST(c.reltuples, 0))::bigint FROM zanith._measured(captures) t JOIN pg_class c ON c.oid = t.member));
END $$;

-- The object of one of _list_captures.
CREATE OR REPLACE FUNCTION zanith._captured_name(captured jsonb) RETURNS text
LANGUAGE sql STABLE AS $$ SELECT zanith._relation_name((captured ->> 'relation')::oid) || COALESCE('.' || quote_ident(captured ->> 'column'), '') $$;

-- The tables whose rows captures park; for one object, all that it touches.
CREATE OR REPLACE FUNCTION zanith._measured(captures jsonb) RETURNS TABLE (member oid)
LANGUAGE sql STABLE ROWS 3 AS $$
    SELECT t.member FROM zanith._each(captures) c, LATERAL zanith._captured((c.item ->> 'relation')::oid, c.item -> 'definition') t
    WHERE NOT c.item -> 'definition' ? 'members'
    UNION
    SELECT zanith._relation_oid(m.item ->> 'schema', m.item ->> 'name') FROM zanith._each(captures) c, LATERAL zanith._each(c.item #> '{definition,members}') m
$$;

-- What belongs to a column alone or with others, and goes and comes back with it.
CREATE OR REPLACE FUNCTION zanith._goes_with(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object('kind', g.kind, 'name', g.name) ORDER BY g.ord, g.name)
    FROM (SELECT DISTINCT 1, 'index', quote_ident(i.item ->> 'name') FROM zanith._each(d -> 'indexes') i
          UNION SELECT 2, f.called, quote_ident(k.item ->> 'name')
                FROM zanith._each(d -> 'constraints') k JOIN zanith._constraint_kinds() f ON f.kind = k.item ->> 'kind'
          UNION SELECT 3, 'statistics object', quote_ident(s.item ->> 'name') FROM zanith._each(d -> 'statistics') s
          UNION SELECT 4, 'sequence', zanith._qualify(q.item ->> 'schema', q.item ->> 'name') FROM zanith._each(d #> '{column,sequences}') q) g(ord, kind, name)
); END $$;

-- What is said before it happens.
CREATE OR REPLACE FUNCTION zanith._warn(strategy text, d jsonb, on_dependents text, keep_rows boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(w.warning ORDER BY w.ord)
    FROM (VALUES
        (1, 'while it is parked in its table, the column keeps its place in the row: SELECT *, a positional INSERT, a COPY without a column list, and every role that may read the whole table still see it',
            strategy = 'soft_drop_column'),
        (2, 'reads and writes of the table wait while the rows are copied', zanith._strategy_is(d ->> 'strategy', 'archive') OR keep_rows),
        (3, 'the restored column will be the last column of its table', strategy = 'archive_column'),
        (4, 'dependents continue to work, but only for reads', on_dependents = 'keep' AND zanith._strategy_is(strategy, 'moves')
            AND jsonb_array_length(d -> 'dependents') > 0),
        (5, 'nothing is dropped, so there is nothing to restore: the definition is kept for comparison', strategy = 'rebuild_table'),
        (6, (SELECT 'subscribers of ' || string_agg(DISTINCT quote_ident(p.item ->> 'name'), ', ') || ' may stop'
             FROM zanith._each(d -> 'publications') p),
            strategy <> 'rebuild_table' AND jsonb_array_length(d -> 'publications') > 0),
        (7, (SELECT string_agg(format('the foreign key %I of %s is dropped (recorded)', k.item ->> 'name', zanith._qualify(k.item ->> 'schema', k.item ->> 'table')), '; ')
             FROM zanith._each(d -> 'references') k), strategy <> 'rebuild_table' AND jsonb_array_length(d -> 'references') > 0),
        (20, zanith._warn_of_types(d), zanith._warn_of_types(d) IS NOT NULL),
        (21, zanith._note_of_types(d), zanith._is_kept_as_text(d))
    ) w(ord, warning, applies)
    WHERE w.applies
); END $$;

-- Types of the database's own that columns keep while they are parked. A soft-dropped column has its domain lifted; an archive keeps values
-- of such types as text, but not its key.
CREATE OR REPLACE FUNCTION zanith._parked_types(d jsonb) RETURNS TABLE (name text)
LANGUAGE sql STABLE AS $$
    SELECT DISTINCT zanith._qualify(n.nspname, t.typname)
    FROM (SELECT CASE WHEN d #>> '{column,base_type}' IS NOT NULL THEN jsonb_build_object('type', d #> '{column,base_type}') ELSE d -> 'column' END AS col
          WHERE d ->> 'strategy' = 'soft_drop_column'
          UNION ALL SELECT k.item FROM zanith._each(NULLIF(d -> 'key', 'null')) k WHERE d ->> 'strategy' = 'archive_column'
          UNION ALL SELECT c.item FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item #> '{definition,columns}') c
          UNION ALL SELECT c.item FROM zanith._each(d #> '{definition,columns}') c WHERE COALESCE(d -> 'parked', 'null') <> 'null') x(col),
         LATERAL (SELECT CASE WHEN zanith._type_exists(x.col ->> 'type') THEN to_regtype(x.col ->> 'type')::oid END) o(oid)
    JOIN pg_type p ON p.oid = o.oid LEFT JOIN pg_type e ON e.oid = p.typelem AND p.typcategory = 'A'
    JOIN pg_type t ON t.oid = COALESCE(e.oid, p.oid) JOIN pg_namespace n ON n.oid = t.typnamespace
    WHERE t.oid >= 16384 AND t.typtype IN ('e', 'd', 'c', 'r')
      AND NOT EXISTS (SELECT FROM pg_depend k WHERE k.classid = 'pg_type'::regclass AND k.objid = t.oid AND k.deptype = 'e')
      -- the type of a table that is parked with it
      AND NOT (d ? 'companion' AND EXISTS (SELECT FROM pg_class r WHERE r.oid = t.typrelid AND r.relkind <> 'c'))
$$;

CREATE OR REPLACE FUNCTION zanith._warn_of_types(d jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT format('the type %1$s stays while this is parked: DROP TYPE is refused, and DROP TYPE %1$s CASCADE would destroy the parked values; ', min(y.name))
           || CASE WHEN d ->> 'strategy' = 'soft_drop_column' THEN 'archive_column keeps them as text; or ' ELSE '' END
           || format('move it aside: ALTER TYPE %s RENAME TO ..., or export or restore the values first', min(y.name))
           || CASE WHEN count(*) > 1 THEN '; so do ' || string_agg(y.name, ', ' ORDER BY y.name) FILTER (WHERE y.name > (SELECT min(x.name) FROM zanith._parked_types(d) x)) ELSE '' END
    FROM zanith._parked_types(d) y HAVING count(*) > 0
); END $$;

-- An archive that does not depend on the type of its column: what is needed to restore it after DROP TYPE.
CREATE OR REPLACE FUNCTION zanith._note_of_types(d jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT format('its values are kept as text, so DROP TYPE and DROP EXTENSION leave them alone; a restore needs the type %s, or --as-text', d #>> '{column,type}')
    WHERE zanith._is_kept_as_text(d)
$$;
