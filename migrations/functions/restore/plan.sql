-- The plan of a restore: steps, checks, conflicts, losses and choices. It reads, and changes nothing.

CREATE OR REPLACE FUNCTION zanith._loss(code text, message text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$ SELECT jsonb_build_array(jsonb_build_object('code', code, 'message', message)) $$;

-- What cannot come back exactly, with these choices.
CREATE OR REPLACE FUNCTION zanith._find_losses(a zanith._zanith_migration_artifacts, choices jsonb, owners_were jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN zanith._strategy_is(a.artifact_type, 'values') AND NOT q.into_column THEN zanith._loss('position',
                format('%I comes back as the last column: PostgreSQL can only add it last', COALESCE(choices ->> 'as', a.source_column))) ELSE '[]' END
        || CASE WHEN choices ? 'as' THEN zanith._loss('name', format('it comes back as %I', choices ->> 'as')) ELSE '[]' END
        || CASE WHEN d ? 'stays' AND NOT q.into_column THEN zanith._loss('beside', format('%I comes back without a default, NOT NULL, constraints and indexes: %I keeps its own',
                COALESCE(choices ->> 'as', a.source_column), a.source_column)) ELSE '[]' END
        || CASE WHEN (choices ->> 'allow_null')::boolean AND COALESCE(d #> '{column,not_null}', 'null') <> 'null'
                THEN zanith._loss('not_null', 'the column comes back without NOT NULL') ELSE '[]' END
        || CASE WHEN (choices ->> 'not_valid')::boolean THEN zanith._loss('not_valid', 'restore checks and foreign keys as NOT VALID') ELSE '[]' END
        || CASE WHEN zanith._strategy_is(a.artifact_type, 'values') AND COALESCE(d #> '{column,generated}', 'null') = 'null'
                THEN zanith._loss('planner_statistics', format('planner statistics of its values are missing: run ANALYZE %s', zanith._qualify(a.source_schema, a.source_table)))
                ELSE '[]' END
        || CASE WHEN zanith._strategy_is(a.artifact_type, 'values') AND EXISTS (
                    SELECT FROM pg_index i WHERE i.indrelid = zanith._relation_oid(a.source_schema, a.source_table) AND i.indisclustered)
                THEN zanith._loss('cluster_order', 'the backfill rewrites every row: run CLUSTER again to restore the order of the rows') ELSE '[]' END
        || COALESCE((SELECT zanith._loss('subscribers', format('subscribers of %s receive its rows only after ALTER SUBSCRIPTION … REFRESH PUBLICATION on the subscriber',
                        string_agg(DISTINCT quote_ident(p.item ->> 'name'), ', ')))
            FROM zanith._each(d -> 'publications') p WHERE d ? 'members' HAVING count(*) > 0), '[]')
        || CASE WHEN choices ? 'as' AND d ? 'members' AND jsonb_array_length(COALESCE(d #> '{cascade,views}', '[]')) > 0
                THEN zanith._loss('views', 'views that were dropped with it name the old table, and are not restored') ELSE '[]' END
        || (SELECT zanith._list(zanith._loss('refreshed', format('the rows of the materialized view %s are computed again: they include changes since its last REFRESH%s',
                        zanith._qualify(v.item ->> 'schema', v.item ->> 'name'),
                        CASE WHEN zanith._parked_companions(a.id) <> '[]' THEN ', and not the rows of what was dropped with it: restore that too, then run REFRESH MATERIALIZED VIEW' END)) -> 0 ORDER BY v.ord)
            FROM zanith._each(d #> '{cascade,views}') v
            WHERE (v.item ->> 'materialized')::boolean AND (v.item ->> 'populated')::boolean AND NOT (choices ? 'as' AND d ? 'members'))
        || (SELECT zanith._list(zanith._loss('inheritance', format('NOT NULL of %s.%I comes back as its own constraint, in addition to that of its parent', h.name, d #>> '{column,name}')) -> 0)
            FROM zanith._not_null_heirs(d, zanith._relation_oid(a.source_schema, a.source_table), choices) h WHERE NOT h.kept)
        || (SELECT zanith._list(zanith._loss('inheritance', format('the constraint %I of %s counts as inherited twice, since PostgreSQL kept it at the drop: a later DROP CONSTRAINT on %s does not drop it',
                        k.item #>> '{}', zanith._qualify(c.item ->> 'schema', c.item ->> 'name'), zanith._qualify(a.source_schema, a.source_table))) -> 0 ORDER BY c.ord, k.ord)
            FROM zanith._each(d -> 'keepers') c, LATERAL zanith._each(c.item -> 'inherited') k)
        -- ADD PRIMARY KEY USING INDEX makes it so
        || (SELECT zanith._list(zanith._loss('inheritance', format('NOT NULL of the key columns of %s comes back as its own constraint, in addition to that of its parent',
                        zanith._qualify(t.item ->> 'schema', t.item ->> 'name'))) -> 0)
            FROM zanith._each(d -> 'tree') t
            WHERE (choices ->> 'online')::boolean AND current_setting('server_version_num')::integer >= 180000
              AND EXISTS (SELECT FROM zanith._each(t.item -> 'constraints') k WHERE zanith._constraint_is(k.item, 'key') AND (k.item ->> 'inherited')::boolean))
        || CASE WHEN zanith._has_mixed_members(d) AND zanith._has_parked_names(d) THEN zanith._loss('name',
                'its NOT NULL constraints keep the names that they have while it is parked: its partitions or children belong to several roles') ELSE '[]' END
        || CASE WHEN (choices ->> 'as_text')::boolean AND d #>> '{kept,text}' = 'true'
                THEN zanith._loss('type', format('%I comes back as text, not with its type', d #>> '{column,name}')) ELSE '[]' END
        || CASE WHEN d ? 'retyped' THEN zanith._loss('type', format('%I comes back with the type %s, the present name of its type', d #>> '{column,name}', d ->> 'retyped')) ELSE '[]' END
        || (SELECT zanith._list(zanith._loss('left_out', format('left out by choice: %s', l.item #>> '{}')) -> 0 ORDER BY l.ord) FROM zanith._each(d -> 'left_out') l)
        || (SELECT zanith._list(zanith._loss('owner', format('%s belonged to %I; it comes back as a table of %I', o.key, o.value ->> 'was', o.value ->> 'now')) -> 0 ORDER BY o.key)
            FROM jsonb_each(CASE WHEN (choices ->> 'current_owner')::boolean THEN owners_were END) o)
        || (SELECT zanith._list(zanith._loss('dropped_with_another', format('%s is not restored: it was dropped with the column %I, which no longer exists',
                        l.item ->> 'called', l.item ->> 'column')) -> 0) FROM zanith._each(d -> 'lost') l)
        || (SELECT zanith._list(zanith._loss('not_kept', format('%s was dropped with it, and is not restored: Zanith does not describe it', l.item #>> '{}')) -> 0 ORDER BY l.ord) FROM zanith._each(d -> 'lost_with_it') l)
        || CASE WHEN (choices ->> 'unverified')::boolean THEN zanith._loss('unverified', 'the archive is not compared with its seal') ELSE '[]' END
        || (SELECT zanith._list(zanith._loss('grantor', format('a grant to %s was given by %I; it comes back as given by the owner',
                        COALESCE(quote_ident(g.item ->> 'grantee'), 'PUBLIC'), g.item ->> 'grantor')) -> 0)
            FROM zanith._all_grants(d) g(item)
            WHERE g.item ->> 'grantor' <> d #>> '{table,owner}')
        || (SELECT zanith._list(zanith._loss('grantor', format('a grant to %s was given by %I; it comes back as given by the owner',
                        COALESCE(quote_ident(g.item ->> 'grantee'), 'PUBLIC'), g.item ->> 'grantor')) -> 0)
            FROM (SELECT d -> 'type' UNION ALL SELECT d -> 'sequence' UNION ALL SELECT jsonb_path_query(d, '$.cascade.views[*]') UNION ALL SELECT jsonb_path_query(d, '$.cascade.functions[*]')) o(item),
                 LATERAL zanith._each(CASE WHEN jsonb_typeof(o.item -> 'grants') = 'array' THEN o.item -> 'grants' ELSE '[]' END) g
            WHERE d ? 'objects' AND g.item ->> 'grantor' <> o.item ->> 'owner')
        || (SELECT zanith._list(zanith._loss('name', format('the %s %I comes back as %I: its name is taken',
                        r.item ->> 'kind', r.item ->> 'name', q.back)) -> 0 ORDER BY m.ord, r.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item -> 'renames') r,
                 LATERAL (SELECT zanith._name_back(r.item ->> 'kind', r.item ->> 'schema', r.item ->> 'name', choices ->> 'as')) q(back)
            WHERE q.back <> r.item ->> 'name')
        -- ATTACH PARTITION gives it a part of every index of its parent, of half-made ones too
        || (SELECT zanith._list(zanith._loss('index_part', format('it gets its own index for %s, which it did not have before',
                        zanith._relation_name(i.indexrelid))) -> 0 ORDER BY i.indexrelid)
            FROM pg_index i WHERE i.indrelid = zanith._relation_oid(d #>> '{members,0,definition,partition_of,schema}', d #>> '{members,0,definition,partition_of,name}')
              AND NOT i.indisvalid AND NOT EXISTS (
                SELECT FROM zanith._each(d #> '{members,0,definition,indexes}') o WHERE o.item ->> 'parent' = zanith._relation_name(i.indexrelid)))
    FROM (SELECT a.definition) x(d), LATERAL (SELECT zanith._goes_into_column(x.d, zanith._relation_oid(a.source_schema, a.source_table), choices)) q(into_column)
); END $$;

-- The names of the choices that apply; what each says stands in the engine.
CREATE OR REPLACE FUNCTION zanith._list_choices(a zanith._zanith_migration_artifacts) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(c.name ORDER BY c.ord)
    FROM (VALUES
        (1, 'as', CASE a.artifact_type WHEN 'keep_definition' THEN zanith._takes_a_name(a.definition) ELSE a.artifact_type <> 'archive_rows' END),
        (2, 'fill', a.source_column IS NOT NULL),
        (3, 'fill_default', a.definition #>> '{column,default}' IS NOT NULL),
        (4, 'allow_null', COALESCE(a.definition #> '{column,not_null}', 'null') <> 'null' AND NOT zanith._takes_no_null(a.definition)),
        (5, 'not_valid', a.definition ? 'members' OR jsonb_array_length(COALESCE(a.definition -> 'constraints', '[]')) > 0
            OR jsonb_array_length(COALESCE(a.definition -> 'references', '[]')) > 0),
        (6, 'unverified', a.artifact_type <> 'soft_drop_column' AND NOT zanith._strategy_is(a.artifact_type, 'definition')),
        (7, 'online', a.source_column IS NOT NULL AND a.artifact_type <> 'archive_values'),
        (8, 'fire_triggers', a.artifact_type = 'archive_column'),
        (9, 'search_path', true),
        (10, 'without', true),
        (11, 'current_owner', COALESCE(zanith._changed_owners(a.definition), '{}') <> '{}'),
        (12, 'as_text', zanith._is_kept_as_text(a.definition))
    ) c(ord, name, applies)
    WHERE c.applies AND a.artifact_type <> 'rebuild_table'
); END $$;

-- How large the tables are that steps work on, as the statistics have it: {name: {rows, bytes}}. A table that is still
-- parked is looked up there. Of a table that somebody has locked wholly, or waits to, the planner's number of pages is taken: PostgreSQL
-- measures a file under a lock, and no reader of a plan is to wait for that.
CREATE OR REPLACE FUNCTION zanith._measure_tables(d jsonb, steps jsonb, as_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH locked AS MATERIALIZED (
        SELECT l.relation FROM pg_locks l WHERE l.locktype = 'relation' AND l.mode = 'AccessExclusiveLock' AND l.pid IS DISTINCT FROM pg_backend_pid()
    )
    SELECT COALESCE(jsonb_object_agg(n.name, jsonb_build_object('rows', m.rows, 'bytes', m.bytes)), '{}')
    FROM (SELECT DISTINCT t.name FROM zanith._each(steps) s, LATERAL jsonb_array_elements_text(s.item -> 'tables') t(name)
          WHERE (s.item ->> 'grows')::boolean) n,
         LATERAL (SELECT COALESCE(to_regclass(n.name)::oid, (
            SELECT zanith._relation_oid(x.item ->> 'parked_schema', x.item ->> 'parked') FROM zanith._each(d -> 'members') x
            WHERE zanith._qualify(x.item ->> 'schema', CASE WHEN x.ord = 1 THEN COALESCE(as_name, x.item ->> 'name') ELSE x.item ->> 'name' END) = n.name))) o(oid),
         LATERAL (SELECT sum(z.bytes)::bigint AS bytes,
                         -- never vacuumed or analyzed: a hundred bytes a row
                         sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples ELSE z.bytes / 100 END)::bigint AS rows
                  FROM zanith._tree(o.oid) t JOIN pg_class c ON c.oid = t.member AND c.relkind <> 'p',
                       LATERAL (SELECT CASE WHEN c.oid IN (SELECT k.relation FROM locked k) THEN c.relpages * current_setting('block_size')::bigint ELSE pg_table_size(c.oid) END) z(bytes)) m
    WHERE o.oid IS NOT NULL AND m.bytes IS NOT NULL
); END $$;

-- The owners of the tables that the change locks first, and of their descendants: {name: [oid, owner, …]}. Who runs which step of a plan
-- follows from it, so it is asked for once more under the lock.
CREATE OR REPLACE FUNCTION zanith.owners_of(tables text[]) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_object_agg(n.name, jsonb_build_array(r.oid::oid::text) || (
        SELECT zanith._list(DISTINCT pg_get_userbyid(c.relowner)) FROM zanith._family(r.oid) f JOIN pg_class c ON c.oid = f.member)), '{}')
    FROM (SELECT DISTINCT t.name FROM unnest(tables) t(name)) n, LATERAL (SELECT to_regclass(n.name)) r(oid)
); END $$;

CREATE OR REPLACE FUNCTION zanith.plan_restore(artifact_id text, choices jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    recorded zanith._zanith_migration_artifacts := a;
    asked zanith._zanith_migration_artifacts;
    d jsonb := a.definition;
    place jsonb := zanith._place(a);
    live oid;
    conflicts jsonb;
    fatal boolean;
    runs_code boolean;
    steps jsonb := '[]';
BEGIN
    choices := COALESCE(choices, '{}');
    IF (choices ? 'fill' OR COALESCE((choices ->> 'fill_default')::boolean, false)) AND a.artifact_type = 'soft_drop_column'
       AND COALESCE(d #> '{column,not_null}', 'null') = 'null' AND NOT zanith._refuses_null(to_regtype(d #>> '{column,type}')) THEN
        PERFORM zanith._refuse(format('%s may hold NULL, so a row inserted since the capture cannot be told from one that held NULL', zanith._object_name(a)),
            'Restore without --fill, then update these rows yourself.', '22023');
    END IF;
    IF choices ? 'as' AND zanith._strategy_is(a.artifact_type, 'definition') AND NOT zanith._takes_a_name(d) THEN
        PERFORM zanith._refuse(format('%s %s comes back by its own name only', a.kept_kind, zanith._object_name(a)), 'Restore it without another name, or change the name in a copy of its recovery_sql.', '22023');
    END IF;
    IF choices ? 'search_path' AND (zanith._path_names(choices ->> 'search_path') IS NULL OR length(choices ->> 'search_path') > 4000) THEN
        PERFORM zanith._refuse(format('%L is not a search path', left(choices ->> 'search_path', 200)), 'Give schemas, separated by commas; quote a name that is not in lower case.', '22023');
    END IF;
    live := CASE WHEN a.artifact_type = 'soft_drop_column' THEN (place ->> 'oid')::oid
                 WHEN zanith._strategy_is(a.artifact_type, 'archive') OR zanith._strategy_is(a.artifact_type, 'definition') AND d ? 'column' THEN zanith._relation_oid(a.source_schema, a.source_table) END;
    IF a.artifact_type = 'soft_drop_column' AND place ->> 'state' = 'moved' AND place ->> 'code' <> 'duplicate_id' THEN
        place := place || '{"state": "ok"}'; -- the column travels with its table
    END IF;
    a.definition := zanith._as_chosen(zanith._without_lost(a.definition, live), live, choices);
    IF a.artifact_type = 'soft_drop_column' THEN
        a.definition := a.definition || jsonb_build_object('key', zanith._key_now(a.definition, live)); -- rows are named by it
    ELSIF zanith._strategy_is(a.artifact_type, 'definition') THEN
        a.definition := a.definition || jsonb_build_object('key', zanith._find_key(live));
    END IF;
    d := a.definition;
    runs_code := zanith._runs_code(d, live, choices);
    -- what else stands in the way is told of the current owner: it is blocked until that is chosen
    asked := a;
    asked.definition := CASE WHEN COALESCE(place -> 'owners_were', '{}') = '{}' THEN d ELSE zanith._with_owners_now(d) END;
    conflicts := zanith._find_conflicts(asked, place, live, choices);
    IF NOT EXISTS (SELECT FROM zanith._each(conflicts) c WHERE c.item ->> 'code' IN ('rebuilt', 'restored')) THEN
        conflicts := conflicts || zanith._find_obstacles(asked, live) || zanith._find_mixed_keys(a.definition, choices) || zanith._find_handed_over(zanith._parts_chosen(zanith._without_lost(recorded.definition, live), choices), live, choices) || zanith._find_online_conflicts(a, live, choices) || zanith._find_path_conflicts(d, live, choices);
    END IF;
    IF a.kept_kind IS NOT NULL THEN -- without the object itself, nothing would come back
        SELECT zanith._list(CASE WHEN c.item -> 'without' <@ to_jsonb(ARRAY[concat_ws(' ', a.kept_kind, a.kept_name), 'view ' || a.kept_name]) THEN c.item - 'without' ELSE c.item END ORDER BY c.ord)
        INTO conflicts FROM zanith._each(conflicts) c;
    END IF;
    fatal := EXISTS (SELECT FROM zanith._each(conflicts) c
                     WHERE c.item ->> 'code' IN ('rebuilt', 'restored', 'archive_missing', 'archive_moved', 'table_gone', 'key_gone', 'type_missing', 'column_gone', 'column_changed', 'column_renamed', 'code_of_another', 'table_of_another'));
    IF a.artifact_type <> 'rebuild_table' AND a.status <> 'restored' THEN
        steps := zanith._render_restore(a, choices);
    END IF;
    RETURN jsonb_build_object(
        'artifact_id', a.id, 'object', zanith._object_name(a),
        'target', jsonb_build_object('schema', a.source_schema,
            'table', CASE WHEN a.source_column IS NULL THEN COALESCE(choices ->> 'as', a.source_table) ELSE a.source_table END,
            'column', CASE WHEN a.source_column IS NOT NULL THEN COALESCE(choices ->> 'as', a.source_column) END),
        'steps', steps, 'sizes', zanith._measure_tables(d, steps, choices ->> 'as'),
        -- each can call what the owner wrote: an expression of an index, a default, an operator
        'checks', zanith._guarding_members(COALESCE(live, (place ->> 'oid')::oid), zanith._checks_under_path(CASE WHEN runs_code THEN zanith._owner_path(d, choices) END, d, zanith._as_owner(d #>> '{table,owner}', CASE WHEN fatal THEN '[]'
            WHEN a.artifact_type = 'archive_rows' THEN zanith._rows_checks(d, live)
            WHEN zanith._strategy_is(a.artifact_type, 'definition') THEN CASE WHEN d ? 'column' THEN zanith._column_checks(d, live, choices) ELSE '[]' END
            WHEN a.source_column IS NOT NULL THEN zanith._column_checks(d, live, choices) || zanith._value_checks(d, live, choices) || zanith._old_values_checks(d, live, choices) || zanith._rewritten_checks(a, d, live)
            ELSE zanith._table_checks(d, choices) || zanith._parent_checks(d) END))),
        -- under which code of the owner runs, where any does
        'search_path', CASE WHEN runs_code THEN zanith._owner_path(d, choices) END,
        'event_triggers', zanith._event_triggers(),
        'owners', zanith.owners_of(ARRAY(SELECT t.name FROM zanith._each(steps) s, LATERAL jsonb_array_elements_text(s.item -> 'tables') t(name)
                                         WHERE starts_with(s.item ->> 'sql', 'LOCK TABLE '))),
        'conflicts', conflicts,
        'losses', CASE WHEN a.artifact_type = 'rebuild_table' THEN '[]' ELSE zanith._find_losses(a, choices, COALESCE(place -> 'owners_were', '{}')) || zanith._find_path_losses(d, live, choices, steps) END,
        'choices', (SELECT zanith._list(c.item ORDER BY c.ord) FROM zanith._each(zanith._list_choices(recorded)) c
                    WHERE CASE c.item #>> '{}' WHEN 'search_path' THEN runs_code
                               WHEN 'without' THEN jsonb_path_exists(conflicts, '$[*].without[*]') OR choices ? 'without' ELSE true END),
        -- checks read the archive as the current owner, and a type that comes back
        'prepares', (SELECT zanith._list(s.item -> 'sql' ORDER BY s.ord) FROM zanith._each(zanith._render_preparation(d, false) || zanith._render_archive_readable(recorded, live)) s),
        'left_out', COALESCE(d -> 'left_out', '[]'),
        'companions', zanith._parked_companions(a.id),
        'archive', jsonb_build_object('rows', a.row_count, 'size_bytes', zanith.locate(a.id) -> 'size_bytes', 'sealed', a.sealed_at IS NOT NULL, 'changed', COALESCE(NOT a.verified_ok, false)));
END $$;

-- What is still to be proved of a restored artifact: steps of the second transaction that never ran, or failed.
CREATE OR REPLACE FUNCTION zanith.plan_follow_up(artifact_id text, choices jsonb DEFAULT '{}') RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY s.ord)
    FROM zanith._artifact(artifact_id) a, LATERAL zanith._each(CASE WHEN a.status = 'restored' AND a.artifact_type <> 'rebuild_table'
                                                                    THEN zanith._render_restore(a, choices) END) s
    WHERE EXISTS (SELECT FROM pg_constraint c WHERE c.conname = s.item ->> 'proves' AND c.conrelid = to_regclass(s.item -> 'tables' ->> 0)
                    AND (NOT c.convalidated OR s.item ->> 'proves' = '_zanith_not_null_' || a.id))
       OR CASE WHEN (s.item ->> 'attaches')::boolean THEN NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = to_regclass(s.item ->> 'makes'))
               WHEN (s.item ->> 'makes_constraint')::boolean THEN NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = to_regclass(s.item ->> 'makes'))
               WHEN s.item ? 'makes' THEN NOT EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = to_regclass(s.item ->> 'makes') AND i.indisvalid)
               WHEN s.item ? 'makes_key' THEN NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conname = s.item ->> 'makes_key' AND c.conrelid = to_regclass(s.item -> 'tables' ->> 0)) END
); END $$;
