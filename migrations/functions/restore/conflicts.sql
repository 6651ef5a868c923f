-- Conflicts: what in the catalog, as it is now, stops a restore. Read-only.

-- `waits_for`: the artifacts whose restore resolves it.
CREATE OR REPLACE FUNCTION zanith._conflict(
    code text, message text, hint text, choices text[] DEFAULT '{}', detail text DEFAULT NULL, waits_for jsonb DEFAULT '[]')
RETURNS jsonb LANGUAGE sql IMMUTABLE AS $$
    SELECT jsonb_build_array(jsonb_build_object('code', code, 'message', message, 'detail', detail, 'hint', hint, 'choices', to_jsonb(choices),
                                                'waits_for', waits_for))
$$;

-- The same with the artifacts that it is about, which pages link to.
CREATE OR REPLACE FUNCTION zanith._about(conflict jsonb, artifacts jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$ SELECT jsonb_build_array((conflict -> 0) || jsonb_build_object('artifacts', artifacts)) $$;

-- The recoverable artifacts that hold a table, or a column of it, newest first: [ids].
CREATE OR REPLACE FUNCTION zanith._parked_as(of_schema text, of_table text, of_column text DEFAULT NULL) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(a.id ORDER BY a.capture_order DESC) FROM zanith._zanith_migration_artifacts a
    WHERE a.source_schema = of_schema AND a.source_table = of_table AND a.source_column IS NOT DISTINCT FROM of_column
      AND a.status = 'recoverable' AND zanith._strategy_is(a.artifact_type, 'drops')
); END $$;

-- The artifact that a table is parked by: [id], or [].
CREATE OR REPLACE FUNCTION zanith._parked_by(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(a.id) FROM zanith._zanith_migration_artifacts a
    WHERE a.source_column IS NULL AND a.status = 'recoverable' AND obj_description(relation, 'pg_class') = 'zanith artifact ' || a.id
); END $$;

-- Names of objects that the restore would create and that other objects have now.
CREATE OR REPLACE FUNCTION zanith._find_taken_names(d jsonb, as_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH wanted(kind, schema_name, name, choice) AS (
        SELECT r.item ->> 'kind', r.item ->> 'schema', r.item ->> 'name', '{}'::text[] FROM zanith._each(d -> 'renames') r
        UNION ALL
        SELECT r.item ->> 'kind', r.item ->> 'schema', r.item ->> 'name', ARRAY['--as NAME']
        FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item -> 'renames') r WHERE as_name IS NULL
        UNION ALL
        SELECT 'table', m.item ->> 'schema', m.item ->> 'name', '{}'
        FROM zanith._each(d -> 'members') m WHERE m.ord > 1
        UNION ALL
        SELECT 'index', d #>> '{table,schema}', i.item ->> 'name', CASE WHEN d ? 'objects' AND zanith._takes_a_name(d) THEN ARRAY['--as NAME'] ELSE '{}' END FROM zanith._each(d -> 'indexes') i
        WHERE d ->> 'strategy' = 'archive_column' OR NOT (i.item ->> 'plain')::boolean
        UNION ALL
        SELECT 'index', d #>> '{table,schema}', k.item ->> 'name', '{}' FROM zanith._each(d -> 'constraints') k
        WHERE d -> 'column' IS NOT NULL AND COALESCE(k.item -> 'index', 'null') <> 'null'
        UNION ALL
        SELECT 'statistics', s.item ->> 'schema', s.item ->> 'name', '{}' FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'statistics') s
        WHERE d ? 'column' AND (d ->> 'strategy' = 'archive_column' OR NOT COALESCE((s.item ->> 'plain')::boolean, true))
        UNION ALL
        -- what comes back with columns that are generated from it
        SELECT x.kind, x.item ->> 'schema', x.item ->> 'name', '{}' FROM zanith._each(d #> '{cascade,columns}') g,
             LATERAL (SELECT 'statistics' AS kind, s.item FROM zanith._parts(g.item) p, LATERAL zanith._each(p.part -> 'statistics') s
                      UNION ALL SELECT 'index', i.item || jsonb_build_object('schema', p.part -> 'schema') FROM zanith._parts(g.item) p, LATERAL zanith._each(p.part -> 'indexes') i) x
        UNION ALL
        SELECT 'index', v.item ->> 'schema', i.item ->> 'name', '{}' FROM zanith._each(d #> '{cascade,views}') v, LATERAL zanith._each(v.item -> 'indexes') i
        UNION ALL
        SELECT 'statistics', s.item ->> 'schema', s.item ->> 'name', '{}' FROM zanith._each(d #> '{cascade,views}') v, LATERAL zanith._each(v.item -> 'statistics') s
        UNION ALL
        SELECT 'sequence', s.item ->> 'schema', s.item ->> 'name', '{}' FROM zanith._each(d #> '{column,sequences}') s
        WHERE (s.item ->> 'identity')::boolean
        UNION ALL
        SELECT 'index', t.item ->> 'schema', i.item ->> 'name', '{}' FROM zanith._each(d -> 'tree') t, LATERAL zanith._each(t.item -> 'indexes') i
        WHERE d ->> 'strategy' = 'archive_column' OR NOT (i.item ->> 'plain')::boolean
        UNION ALL
        SELECT 'index', t.item ->> 'schema', k.item ->> 'name', '{}' FROM zanith._each(d -> 'tree') t, LATERAL zanith._each(t.item -> 'constraints') k
        WHERE COALESCE(k.item -> 'index', 'null') <> 'null'
        UNION ALL
        SELECT r.item ->> 'kind', r.item ->> 'schema', r.item ->> 'name', '{}' FROM zanith._each(d -> 'tree') t, LATERAL zanith._each(t.item -> 'renames') r
        UNION ALL
        SELECT 'view', v.item ->> 'schema', v.item ->> 'name', CASE WHEN d ? 'objects' AND zanith._takes_a_name(d) THEN ARRAY['--as NAME'] ELSE '{}' END FROM zanith._each(d #> '{cascade,views}') v
        WHERE as_name IS NULL OR d -> 'column' IS NOT NULL
    )
    SELECT zanith._list(zanith._conflict('name_taken',
        format('the name of the %s %s is taken', w.kind, zanith._qualify(w.schema_name, w.name)),
        CASE w.choice WHEN '{}' THEN 'Rename or drop the object that has the name now, then restore.'
             ELSE CASE WHEN d ? 'objects' THEN 'Restore it under another name, or rename the object that has the name now.' ELSE 'With another name for the table, this comes back under another name too.' END END, w.choice) -> 0 ORDER BY w.kind, w.name)
    FROM (SELECT DISTINCT * FROM wanted) w
    WHERE CASE WHEN w.kind = 'statistics'
               THEN EXISTS (SELECT FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
                            WHERE n.nspname = w.schema_name AND s.stxname = w.name)
               ELSE zanith._relation_oid(w.schema_name, w.name) IS NOT NULL
                 -- a view and a table each have a type of their name
                 OR w.kind IN ('view', 'table') AND EXISTS (SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
                        WHERE n.nspname = w.schema_name AND t.typname = w.name AND t.typelem = 0) END
); END $$;

-- Roles, the type and publications that the definition names, and that do not exist any more.
CREATE OR REPLACE FUNCTION zanith._missing_roles_and_types(d jsonb, live oid) RETURNS TABLE (place integer, conflict jsonb)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN
    IF live IS NULL THEN
        RETURN QUERY
            SELECT 1, zanith._conflict('owner_missing', format('the owner %I does not exist any more', d #>> '{table,owner}'),
                format('Create the role: CREATE ROLE %I, or give the parked table to another role with ALTER TABLE … OWNER TO.', d #>> '{table,owner}'))
            -- of a table that was given to another, that is said; a column belongs to the owner of its table
            WHERE to_regrole(quote_ident(d #>> '{table,owner}')) IS NULL AND live IS NULL AND (NOT d ? 'members' OR zanith._changed_owners(d) = '{}') AND d ->> 'strategy' <> 'keep_definition';
    END IF;
    IF d ? 'column' THEN
        RETURN QUERY
            SELECT 2, zanith._conflict('type_missing', format('the type %s does not exist any more', d #>> '{column,type}'),
                'Create the type again, then restore' || COALESCE((
                    SELECT ': ' || string_agg(t.item ->> 'sql', '; ' ORDER BY t.ord) FROM zanith._each(d #> '{kept,types}') t WHERE NOT zanith._type_exists(t.item ->> 'name')), '') || '.',
                CASE WHEN zanith._is_kept_as_text(d) THEN ARRAY['--as-text'] ELSE '{}' END)
            -- a soft-dropped column has its type, whatever its present name; the capture replaced a domain
            WHERE d ? 'column' AND (d ->> 'strategy' = 'archive_column' OR d #>> '{column,base_type}' IS NOT NULL) AND NOT zanith._type_exists(d #>> '{column,type}')
              AND NOT zanith._type_comes_back(d, d #>> '{column,type}');
    END IF;
    IF d @? '$.**.grantee' THEN
        RETURN QUERY
            SELECT 4, zanith._without_it(zanith._conflict('grantee_missing', format('the role %I, which had a grant, does not exist any more', g.grantee),
                format('Create the role: CREATE ROLE %I.', g.grantee)), ARRAY[format('grants to %I', g.grantee)])
            FROM (SELECT DISTINCT x.item ->> 'grantee' AS grantee
                  FROM zanith._all_grants(d) x(item) WHERE x.item ->> 'grantee' IS NOT NULL) g
            WHERE to_regrole(quote_ident(g.grantee)) IS NULL;
    END IF;
    IF d @? '$.publications[*]' THEN
        RETURN QUERY
            SELECT 9, zanith._without_it(zanith._conflict('publication_gone', format('the publication %I does not exist any more', p.item ->> 'name'),
                format('Create it again: CREATE PUBLICATION %I.', p.item ->> 'name')), ARRAY[format('publication %I', p.item ->> 'name')])
            FROM zanith._each(d -> 'publications') p
            WHERE d ? 'members' AND p.item ->> 'via' = 'table'
              AND NOT EXISTS (SELECT FROM pg_publication x WHERE x.pubname = p.item ->> 'name');
    END IF;
END $$;

-- Tables and columns that foreign keys and other parts need.
CREATE OR REPLACE FUNCTION zanith._missing_tables_and_columns(d jsonb, live oid) RETURNS TABLE (place integer, conflict jsonb)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN
    IF d @? '$.**.foreign_key ? (@.type() == "object")' THEN
        RETURN QUERY
            SELECT 5, zanith._without_it(zanith._conflict('table_gone', format('the table %s of the foreign key %I does not exist any more',
                    zanith._qualify(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}'), k.item ->> 'name'),
                CASE zanith._parked_as(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}') WHEN '[]' THEN 'Create that table again first.' ELSE 'It is parked: restore it first.' END,
                '{}', NULL, zanith._parked_as(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}')), ARRAY[format('foreign key %I', k.item ->> 'name')])
            FROM zanith._all_foreign_keys(d) k(item)
            WHERE zanith._relation_oid(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}') IS NULL
              AND NOT (k.item #>> '{foreign_key,schema}' = d #>> '{table,schema}' AND k.item #>> '{foreign_key,table}' = d #>> '{table,name}')
              AND NOT EXISTS (SELECT FROM zanith._each(d -> 'members') m
                              WHERE m.item ->> 'schema' = k.item #>> '{foreign_key,schema}' AND m.item ->> 'name' = k.item #>> '{foreign_key,table}');
    END IF;
    IF d @? '$.references[*]' THEN
        RETURN QUERY
            SELECT 6, zanith._without_it(zanith._conflict('table_gone', format('the table %s, whose foreign key %I referred to this table, does not exist any more',
                    zanith._qualify(k.item ->> 'schema', k.item ->> 'table'), k.item ->> 'name'),
                CASE zanith._parked_as(k.item ->> 'schema', k.item ->> 'table') WHEN '[]' THEN 'Create that table again first.' ELSE 'It is parked: restore it first.' END,
                '{}', NULL, zanith._parked_as(k.item ->> 'schema', k.item ->> 'table')),
                ARRAY[format('foreign key %I of %s', k.item ->> 'name', zanith._qualify(k.item ->> 'schema', k.item ->> 'table'))])
            FROM zanith._each(d -> 'references') k
            WHERE zanith._relation_oid(k.item ->> 'schema', k.item ->> 'table') IS NULL;
    END IF;
    IF d @? '$.**.columns[*]' THEN
        RETURN QUERY
            SELECT 8, zanith._without_it(CASE WHEN r.now_named IS NULL
                THEN zanith._conflict('column_gone', format('%s has no column %I, which %s needs', n.table_name, n.column_name, n.needed_by),
                    CASE o.parked WHEN '[]' THEN 'Create it again, or undo its renaming.' ELSE 'It is parked: restore it first.' END, '{}', NULL, o.parked)
                ELSE zanith._conflict('column_renamed', format('%s.%I, which %s needs, is called %I now', n.table_name, n.column_name, n.needed_by, r.now_named),
                    format('Give it its old name for the length of the restore: ALTER TABLE %s RENAME COLUMN %I TO %I.', n.table_name, r.now_named, n.column_name)) END,
                ARRAY[zanith._label(n.needed_by)])
            FROM zanith._needed_columns(d, live) n,
                 LATERAL (SELECT CASE WHEN n.relation = live THEN zanith._name_now(d, live, n.column_name) END) r(now_named),
                 LATERAL (SELECT COALESCE((SELECT zanith._parked_as(s.nspname, c.relname, n.column_name) FROM pg_class c JOIN pg_namespace s ON s.oid = c.relnamespace WHERE c.oid = n.relation), '[]')) o(parked)
            WHERE zanith._attribute_number(n.relation, n.column_name) IS NULL;
    END IF;
END $$;

-- Keys that foreign keys refer to, and the key by which an archive stores its values.
CREATE OR REPLACE FUNCTION zanith._missing_keys(d jsonb, live oid) RETURNS TABLE (place integer, conflict jsonb)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN
    IF d @? '$.**.foreign_key ? (@.type() == "object")' THEN
        RETURN QUERY
            SELECT 10, zanith._without_it(zanith._conflict('key_gone', format('%s has no unique key on (%s) any more, which the foreign key %I needs',
                    zanith._relation_name(k.parent), zanith._name_list(k.item #> '{foreign_key,references}'), k.item ->> 'name'),
                'Create the key again, or restore what was dropped with it first.'), ARRAY[format('foreign key %I', k.item ->> 'name')])
            FROM (SELECT x.item, zanith._relation_oid(x.item #>> '{foreign_key,schema}', x.item #>> '{foreign_key,table}') AS parent
                  FROM zanith._all_foreign_keys(d) x(item)
                  WHERE NOT (x.item #>> '{foreign_key,self}')::boolean AND NOT (x.item #>> '{foreign_key,period}')::boolean) k
            WHERE k.parent IS NOT NULL AND NOT zanith._is_unique(k.parent, k.item #> '{foreign_key,references}');
    END IF;
    IF d ->> 'strategy' = 'archive_column' THEN
        RETURN QUERY
            SELECT 11, zanith._conflict('key_gone', format('%s no longer has a unique key on (%s), by which the values are stored',
                    zanith._relation_name(live), zanith._key_list(d -> 'key')), 'Create the key again, then restore.')
            WHERE d ->> 'strategy' = 'archive_column' AND live IS NOT NULL AND jsonb_array_length(COALESCE(NULLIF(d -> 'key', 'null'), '[]')) > 0
              AND NOT EXISTS (SELECT FROM zanith._each(d -> 'key') k WHERE zanith._attribute_number(live, k.item ->> 'name') IS NULL)
              AND NOT zanith._is_unique(live, (SELECT jsonb_agg(k.item -> 'name') FROM zanith._each(d -> 'key') k));
        RETURN QUERY
            SELECT 12, zanith._conflict('key_gone', format('the key column %I of %s is %s now; it was %s', k.item ->> 'name',
                    zanith._relation_name(live), format_type(a.atttypid, a.atttypmod), k.item ->> 'type'),
                'The values are stored by the old type: change it back for the restore.')
            FROM zanith._each(d -> 'key') k
            JOIN pg_attribute a ON a.attrelid = live AND a.attname = k.item ->> 'name' AND NOT a.attisdropped
            WHERE d ->> 'strategy' = 'archive_column' AND format_type(a.atttypid, a.atttypmod) <> k.item ->> 'type'
              -- a type that was renamed is still that of the archive
              AND NOT EXISTS (SELECT FROM pg_attribute o WHERE o.attrelid = zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}')
                              AND o.attname = a.attname AND o.atttypid = a.atttypid AND o.atttypmod = a.atttypmod AND NOT o.attisdropped);
    END IF;
END $$;

-- Names of parts of a table, and of functions, that others have now.
CREATE OR REPLACE FUNCTION zanith._taken_names_of_parts(d jsonb, live oid) RETURNS TABLE (place integer, conflict jsonb)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN
    IF d @? '$.constraints[*]' THEN
        RETURN QUERY
            SELECT 3, zanith._conflict('name_taken', format('the table already has a constraint %I', k.item ->> 'name'),
                format('Rename it: ALTER TABLE %s RENAME CONSTRAINT %I TO …', live::regclass, k.item ->> 'name'))
            FROM zanith._each(d -> 'constraints') k
            WHERE EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = live AND c.conname = k.item ->> 'name');
    END IF;
    IF d @? '$.references[*]' THEN
        RETURN QUERY
            SELECT 7, zanith._conflict('name_taken', format('%s already has a constraint %I',
                    zanith._qualify(k.item ->> 'schema', k.item ->> 'table'), k.item ->> 'name'),
                'Rename it, then restore.')
            FROM zanith._each(d -> 'references') k
            JOIN pg_constraint c ON c.conrelid = zanith._relation_oid(k.item ->> 'schema', k.item ->> 'table') AND c.conname = k.item ->> 'name';
    END IF;
    IF d @? '$.cascade.*[*]' THEN
        RETURN QUERY
            SELECT 13, zanith._conflict('name_taken', format('%s already has a %s %I', t.item ->> 'table', t.kind, t.item ->> 'name'),
                'Rename it, then restore.')
            FROM (SELECT 'trigger' AS kind, x.item FROM zanith._each(d #> '{cascade,triggers}') x
                  UNION ALL SELECT 'policy', x.item FROM zanith._each(d #> '{cascade,policies}') x
                  UNION ALL SELECT 'rule', x.item FROM zanith._each(d #> '{cascade,rules}') x) t
            WHERE CASE t.kind
                WHEN 'trigger' THEN EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = to_regclass(t.item ->> 'table') AND g.tgname = t.item ->> 'name')
                WHEN 'policy' THEN EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = to_regclass(t.item ->> 'table') AND p.polname = t.item ->> 'name')
                ELSE EXISTS (SELECT FROM pg_rewrite r WHERE r.ev_class = to_regclass(t.item ->> 'table') AND r.rulename = t.item ->> 'name') END;
    END IF;
    IF d @? '$.cascade.functions[*]' THEN
        RETURN QUERY
            SELECT 14, zanith._conflict('function_exists', format('a function %s exists now, and one with the same arguments comes back', p.oid::regprocedure),
                format('Rename it, then restore: ALTER ROUTINE %s RENAME TO ….', p.oid::regprocedure))
            FROM zanith._each(d #> '{cascade,functions}') f
            JOIN pg_proc p ON CASE WHEN f.item ? 'inputs' THEN p.proname = f.item ->> 'routine' AND oidvectortypes(p.proargtypes) = f.item ->> 'inputs' ELSE true END
            JOIN pg_namespace n ON n.oid = p.pronamespace
            WHERE CASE WHEN f.item ? 'inputs' THEN n.nspname = f.item ->> 'namespace'
                       ELSE format('%s(%s)', zanith._qualify(n.nspname, p.proname), pg_get_function_identity_arguments(p.oid)) = f.item ->> 'name' END;
    END IF;
END $$;

-- What stops a primary key: another one, or a column that takes NULL.
CREATE OR REPLACE FUNCTION zanith._blocked_primary_keys(d jsonb, live oid) RETURNS TABLE (place integer, conflict jsonb)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN
    IF d @? '$.**.constraints[*]' THEN
        RETURN QUERY
            SELECT 15, zanith._without_it(zanith._conflict('primary_key_taken', format('%s has another primary key now: %I', zanith._relation_name(o.relation), c.conname),
                format('A table has only one primary key. Drop the new one, or make it a unique key, then restore: ALTER TABLE %s DROP CONSTRAINT %I.', zanith._relation_name(o.relation), c.conname)),
                ARRAY[format('constraint %I', k.item ->> 'name')])
            FROM zanith._live_parts(d, NULL, NULL, live) p, LATERAL zanith._each(p.part -> 'constraints') k,
                 LATERAL (SELECT CASE WHEN p.ord = 0 THEN live ELSE zanith._relation_oid(p.part ->> 'schema', p.part ->> 'name') END) o(relation)
            JOIN pg_constraint c ON c.conrelid = o.relation AND c.contype = ANY (zanith._letters_of('key'))
            WHERE live IS NOT NULL AND d ? 'column' AND zanith._constraint_is(k.item, 'key') AND c.conname <> k.item ->> 'name';
        -- the primary key would set NOT NULL, for which PostgreSQL evaluates checks (see _render_key_check)
        RETURN QUERY
            SELECT 16, zanith._without_it(zanith._conflict('key_takes_null', format('%s.%I now takes NULL: the primary key %I would evaluate checks of that table as %I',
                    zanith._relation_name(t.attrelid), t.attname, k.item ->> 'name', current_user),
                format('Let the owner of the table set NOT NULL first: ALTER TABLE %s ALTER COLUMN %I SET NOT NULL.', zanith._relation_name(t.attrelid), t.attname)),
                ARRAY[format('constraint %I', k.item ->> 'name')])
            FROM zanith._live_parts(d, NULL, NULL, live) p, LATERAL zanith._each(p.part -> 'constraints') k,
                 LATERAL zanith._family(CASE WHEN p.ord = 0 THEN live ELSE zanith._relation_oid(p.part ->> 'schema', p.part ->> 'name') END) f
            JOIN pg_class c ON c.oid = f.member JOIN pg_attribute t ON t.attrelid = c.oid AND NOT t.attnotnull AND NOT t.attisdropped
            WHERE live IS NOT NULL AND d ? 'column' AND zanith._constraint_is(k.item, 'key') AND k.item -> 'columns' ? t.attname AND t.attname <> d #>> '{column,name}'
              AND zanith._runner(pg_get_userbyid(c.relowner)) <> current_user AND EXISTS (SELECT FROM pg_constraint x WHERE x.conrelid = c.oid AND x.contype = ANY (zanith._letters_of('condition')));
    END IF;
END $$;

-- What the definition needs and does not find.
CREATE OR REPLACE FUNCTION zanith._find_missing(d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(c.conflict -> 0 ORDER BY c.place)
    FROM (
        SELECT x.* FROM zanith._missing_roles_and_types(d, live) x
        UNION ALL SELECT x.* FROM zanith._missing_tables_and_columns(d, live) x
        UNION ALL SELECT x.* FROM zanith._missing_keys(d, live) x
        UNION ALL SELECT x.* FROM zanith._taken_names_of_parts(d, live) x
        UNION ALL SELECT x.* FROM zanith._blocked_primary_keys(d, live) x) c
); END $$;

-- Columns, other than the one that comes back, that its constraints, indexes, statistics and foreign keys name.
CREATE OR REPLACE FUNCTION zanith._needed_columns(d jsonb, live oid)
RETURNS TABLE (relation oid, table_name text, column_name text, needed_by text)
LANGUAGE sql STABLE ROWS 10 AS $$
    SELECT DISTINCT n.relation, zanith._relation_name(n.relation), c.name, n.needed_by
    FROM (
        -- columns that are parked by another artifact are no need: it is made with them as they are (see shared.sql)
        SELECT live AS relation, (SELECT jsonb_agg(y.name) FROM jsonb_array_elements_text(NULLIF(x.item -> 'columns', 'null')) y(name)
                                  WHERE NOT EXISTS (SELECT FROM jsonb_each_text(x.item #> '{parked,columns}') z WHERE z.value = y.name)) AS columns, format('%s %I', x.what, x.item ->> 'name') AS needed_by
        FROM (SELECT 'the constraint' AS what, k.item FROM zanith._each(d -> 'constraints') k
              UNION ALL SELECT 'the constraint', jsonb_build_object('name', k.item ->> 'name', 'columns', k.item #> '{index,columns}')
                        FROM zanith._each(d -> 'constraints') k
              UNION ALL SELECT 'the index', i.item FROM zanith._each(d -> 'indexes') i
              UNION ALL SELECT 'the statistics object', s.item FROM zanith._each(d -> 'statistics') s) x
        -- what was parked with the column is not made anew
        WHERE d ? 'column' AND (x.what = 'the constraint' OR d ->> 'strategy' = 'archive_column' OR NOT COALESCE((x.item ->> 'plain')::boolean, true))
        UNION ALL
        -- views and the like are asked about as needs
        SELECT live, g.item #> '{uses,columns}', g.item #>> '{uses,called}' FROM zanith._each(d #> '{cascade,columns}') g
        UNION ALL
        SELECT live, k.item #> '{foreign_key,references}', format('the foreign key %I', k.item ->> 'name')
        FROM zanith._each(d -> 'references') k WHERE d ? 'column'
        UNION ALL
        SELECT zanith._relation_oid(k.item ->> 'schema', k.item ->> 'table'), k.item -> 'columns', format('the foreign key %I', k.item ->> 'name')
        FROM zanith._each(d -> 'references') k WHERE NOT (k.item #>> '{foreign_key,self}')::boolean
        UNION ALL
        SELECT zanith._relation_oid(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}'), k.item #> '{foreign_key,references}',
               format('the foreign key %I', k.item ->> 'name')
        FROM zanith._all_foreign_keys(d) k(item) WHERE NOT (k.item #>> '{foreign_key,self}')::boolean
    ) n, LATERAL jsonb_array_elements_text(CASE WHEN jsonb_typeof(n.columns) = 'array' THEN n.columns ELSE '[]' END) c(name)
    WHERE n.relation IS NOT NULL AND (n.relation = live AND d ? 'column' AND c.name = d #>> '{column,name}') IS NOT TRUE
      -- columns that are generated from it come back with it
      AND NOT EXISTS (SELECT FROM zanith._each(d #> '{cascade,columns}') g WHERE n.relation = live AND g.item ->> 'name' = c.name)
$$;

-- Whether a valid, immediate unique index over just these columns, in any order, is there.
CREATE OR REPLACE FUNCTION zanith._is_unique(relation oid, columns jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT EXISTS (
        SELECT FROM pg_index i
        WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL AND i.indexprs IS NULL
          AND (SELECT jsonb_agg(n.v ORDER BY n.v) FROM jsonb_array_elements(
                 zanith._attribute_names(relation, (i.indkey::smallint[])[0:i.indnkeyatts - 1])) n(v))
            = (SELECT jsonb_agg(n.v ORDER BY n.v) FROM jsonb_array_elements(columns) n(v)))
); END $$;

CREATE OR REPLACE FUNCTION zanith._all_grants(d jsonb) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE ROWS 10 AS $$
    SELECT g.item FROM zanith._each(d #> '{column,grants}') g
    UNION ALL
    SELECT g.item FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item #> '{definition,grants}') g
    UNION ALL
    SELECT g.item FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item #> '{definition,columns}') c,
                       LATERAL zanith._each(c.item -> 'grants') g
$$;

CREATE OR REPLACE FUNCTION zanith._all_foreign_keys(d jsonb) RETURNS SETOF jsonb
LANGUAGE sql IMMUTABLE ROWS 10 AS $$
    SELECT k.item FROM zanith._each(d -> 'constraints') k WHERE zanith._constraint_is(k.item, 'reference')
    UNION ALL
    SELECT k.item FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item #> '{definition,constraints}') k
    WHERE zanith._constraint_is(k.item, 'reference') AND NOT (k.item ->> 'inherited')::boolean
$$;

-- Whether a type's text, as format_type gave it, still names one.
CREATE OR REPLACE FUNCTION zanith._type_exists(type text) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN to_regtype(type) IS NOT NULL;
EXCEPTION WHEN undefined_object OR invalid_schema_name OR syntax_error THEN
    RETURN false;
END $$;

-- That the table of a column is not there: nothing else can be said of the column then.
CREATE OR REPLACE FUNCTION zanith._find_gone_table(a zanith._zanith_migration_artifacts, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    other text;
    waits_for jsonb;
BEGIN
    IF live IS NULL THEN
        SELECT string_agg(zanith._object_name(o) || ' (' || o.id || ')', ', '), zanith._list(o.id) INTO other, waits_for
        FROM zanith._zanith_migration_artifacts o
        WHERE o.source_schema = a.source_schema AND o.source_table = a.source_table
          AND o.source_column IS NULL AND o.status = 'recoverable' AND zanith._strategy_is(o.artifact_type, 'moves');
        RETURN zanith._conflict('table_gone', format('the table %s does not exist', zanith._qualify(a.source_schema, a.source_table)),
            CASE WHEN other IS NULL THEN 'If it was renamed, give it its old name for the length of the restore.'
                 ELSE format('It is parked itself: restore %s first.', other) END, '{}', NULL, waits_for);
    END IF;
    IF obj_description(live, 'pg_class') LIKE 'zanith artifact %' THEN
        other := substr(obj_description(live, 'pg_class'), 1 + length('zanith artifact '));
        RETURN zanith._conflict('table_gone', format('the table of %s is parked itself', zanith._object_name(a)),
            format('Restore it first: %s.', other), '{}', NULL, jsonb_build_array(other));
    END IF;
    RETURN '[]';
END $$;

-- The name by which values of a column that stays come back beside it; NULL for any other artifact, and where the column is gone.
CREATE OR REPLACE FUNCTION zanith.name_beside(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$ BEGIN RETURN (
    SELECT zanith._name_beside(l.live, a.source_column) FROM zanith._zanith_migration_artifacts a, LATERAL (SELECT zanith._relation_oid(a.source_schema, a.source_table)) l(live)
    WHERE a.id = artifact_id AND a.artifact_type = 'archive_values' AND zanith._attribute_number(l.live, a.source_column) IS NOT NULL
); END $$;

-- The column is there, with another type: its old values come back beside it, and then into it.
CREATE OR REPLACE FUNCTION zanith._name_conflict_of_values(d jsonb, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    col text := d #>> '{column,name}';
    name text := zanith._relation_name(live);
    beside text := zanith._name_beside(live, col);
BEGIN RETURN
    zanith._conflict('name_taken', format('%s.%I is there, and is of type %s now', name, col,
            (SELECT format_type(t.atttypid, t.atttypmod) FROM pg_attribute t WHERE t.attrelid = live AND t.attname = col AND NOT t.attisdropped)),
        format('Restore the archived values beside it, such as under the name %1$s. To give the column its old type and these values then: ALTER TABLE %2$s ALTER COLUMN %3$I TYPE %4$s USING %1$I; ALTER TABLE %2$s DROP COLUMN %1$I;',
            beside, name, col, concat_ws(' COLLATE ', d #>> '{column,type}', d #>> '{column,collation}')),
        ARRAY['--as ' || zanith._name_for_option(beside)]);
END $$;

-- What in a table stops its column from coming back.
CREATE OR REPLACE FUNCTION zanith._find_column_conflicts(a zanith._zanith_migration_artifacts, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := a.definition;
    as_name text := choices ->> 'as';
    found jsonb := '[]';
    other text;
    waits_for jsonb;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = live AND pg_has_role(c.relowner, 'USAGE')) THEN
        found := found || zanith._conflict('not_permitted', format('must be owner of table %s', zanith._relation_name(live)),
            'Restore as its owner, as a member of that role, or as a superuser.');
    END IF;
    IF zanith._attribute_number(live, COALESCE(as_name, a.source_column)) IS NOT NULL AND NOT zanith._goes_into_column(d, live, choices) THEN
        found := found || CASE WHEN as_name IS NULL AND d ? 'stays' THEN zanith._name_conflict_of_values(d, live)
            ELSE zanith._conflict('name_taken', format('%s already has a column %I', zanith._relation_name(live), COALESCE(as_name, a.source_column)),
                'Restore it under another name.', ARRAY['--as NAME']) END;
    END IF;
    IF COALESCE(d -> 'keepers', '[]') <> '[]' THEN
        found := found || zanith._find_keeper_conflicts(d, live, as_name);
    END IF;
    IF (SELECT max(t.attnum) FROM zanith._family(live) f JOIN pg_attribute t ON t.attrelid = f.member)
       + (CASE WHEN zanith._strategy_is(a.artifact_type, 'values') THEN 1 ELSE 0 END) + (SELECT count(*) FROM zanith._each(d #> '{cascade,columns}') g
           WHERE zanith._relation_oid(g.item #>> '{table,schema}', g.item #>> '{table,name}') = live) > 1600 THEN
        found := found || zanith._conflict('too_many_columns', format('%s has used all 1600 columns', zanith._relation_name(live)),
            'A dropped column keeps its number: export the values, or rebuild the table first.');
    END IF;
    IF zanith._strategy_is(a.artifact_type, 'values') THEN
        SELECT string_agg(quote_ident(k.item ->> 'name'), ', ') INTO other FROM zanith._each(d -> 'key') k
        WHERE zanith._attribute_number(live, k.item ->> 'name') IS NULL;
        IF other IS NOT NULL THEN
            SELECT zanith._list(o.id ORDER BY o.capture_order DESC) INTO waits_for
            FROM zanith._zanith_migration_artifacts o JOIN zanith._each(d -> 'key') k ON k.item ->> 'name' = o.source_column
            WHERE o.status = 'recoverable' AND o.source_schema = a.source_schema AND o.source_table = a.source_table AND zanith._attribute_number(live, o.source_column) IS NULL;
            found := found || zanith._conflict('key_gone', format('the key column %s of %s does not exist any more', other, zanith._relation_name(live)),
                'The values are stored by it: restore it first.', waits_for => waits_for);
        END IF;
    END IF;
    RETURN found;
END $$;

-- What stops a table from getting its name, its schema, its owner and its parents back.
CREATE OR REPLACE FUNCTION zanith._find_table_conflicts(a zanith._zanith_migration_artifacts, place jsonb, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := a.definition;
    found jsonb := '[]';
    as_name text := choices ->> 'as';
    object text := zanith._object_name(a);
    other text;
BEGIN
    IF to_regnamespace(quote_ident(a.source_schema)) IS NULL AND NOT d -> 'homes' @> jsonb_build_array(jsonb_build_object('name', a.source_schema)) IS TRUE THEN
        found := found || zanith._conflict('schema_gone', format('the schema %I does not exist any more', a.source_schema),
            format('Create it: CREATE SCHEMA %I.', a.source_schema));
    ELSIF zanith._relation_oid(a.source_schema, COALESCE(as_name, a.source_table)) IS NOT NULL
       OR EXISTS (SELECT FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
                  WHERE n.nspname = a.source_schema AND t.typname = COALESCE(as_name, a.source_table) AND t.typelem = 0) THEN
        found := found || zanith._conflict('name_taken', format('%s exists now', zanith._qualify(a.source_schema, COALESCE(as_name, a.source_table))),
            'Restore it under another name.', ARRAY['--as NAME']);
    END IF;
    IF COALESCE(place -> 'owners_were', '{}') <> '{}' AND NOT COALESCE((choices ->> 'current_owner')::boolean, false) THEN
        SELECT string_agg(format('%s belonged to %I and belongs to %I now', o.key, o.value ->> 'was', o.value ->> 'now'), '; ' ORDER BY o.key) INTO other
        FROM jsonb_each(place -> 'owners_were') o;
        found := found || zanith._conflict('owner_changed', format('the parked object of %s was given to another role', object),
            'Restore it for the owner that it has now, or give it back with ALTER TABLE … OWNER TO.', ARRAY['--current-owner'], other);
    END IF;
    IF NOT pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = (place ->> 'oid')::oid), 'USAGE') THEN
        found := found || zanith._conflict('not_permitted', format('must be owner of table %s', object),
            'Restore as its owner, as a member of that role, or as a superuser.');
    END IF;
    IF COALESCE(d #> '{members,0,definition,partition_of}', 'null') <> 'null' THEN
        found := found || zanith._find_parent_conflicts(d);
    END IF;
    RETURN found || zanith._find_heritage_conflicts(d);
END $$;

CREATE OR REPLACE FUNCTION zanith._find_conflicts(a zanith._zanith_migration_artifacts, place jsonb, live oid, choices jsonb)
RETURNS jsonb LANGUAGE plpgsql STABLE AS $$
DECLARE
    d jsonb := a.definition;
    found jsonb := '[]';
    as_name text := choices ->> 'as';
    object text := zanith._object_name(a);
    other text;
    gone jsonb;
BEGIN
    IF a.artifact_type = 'rebuild_table' THEN
        RETURN zanith._conflict('rebuilt', format('%s was rebuilt, not dropped: there is nothing to restore', object),
            'Inspect shows the definition then and now; rows that were kept can be exported.');
    ELSIF a.status = 'restored' THEN
        RETURN zanith._conflict('restored', format('%s was already restored', object), 'There is nothing left to do.');
    ELSIF place ->> 'state' = 'missing' THEN
        RETURN zanith._conflict('archive_missing', format('the parked object of %s is gone', object),
            'Restore it from a backup, or purge the artifact.', '{}', place ->> 'detail');
    ELSIF place ->> 'state' = 'moved' THEN
        found := found || zanith._conflict('archive_moved', format('the parked object of %s was renamed, moved or given to another role', object),
            'Move it back to its recorded place.', '{}', place ->> 'detail');
    ELSE
        SELECT string_agg(x.detail, '; ') INTO other FROM zanith._damage(a) x WHERE x.stops;
        IF other IS NOT NULL THEN
            found := found || zanith._conflict('archive_damaged', format('the parked object of %s differs from its record', object),
                'zanith recover doctor says how to repair it.', '{}', other);
        END IF;
    END IF;
    IF as_name IS NOT NULL AND (octet_length(as_name) NOT BETWEEN 1 AND 63) THEN
        found := found || zanith._conflict('bad_name', format('%L is not a valid name: a name has 1 to 63 bytes', as_name), 'Choose another name.', ARRAY['--as NAME']);
    END IF;

    IF COALESCE((choices ->> 'allow_null')::boolean, false) AND zanith._takes_no_null(d) THEN
        found := found || zanith._conflict('null_in_key', format('%I cannot come back without NOT NULL: it is an identity, or part of a primary key or of the replica identity', a.source_column),
            'Choose a value for the rows that have none with --fill, or set their values first.', ARRAY['--fill VALUE']);
    END IF;

    IF a.source_column IS NOT NULL OR a.artifact_type = 'archive_rows' OR zanith._strategy_is(a.artifact_type, 'definition') AND d ? 'column' THEN
        gone := zanith._find_gone_table(a, live);
        IF gone <> '[]' THEN
            RETURN found || gone;
        END IF;
        found := found || CASE WHEN zanith._strategy_is(a.artifact_type, 'definition') THEN zanith._find_kept_conflicts(a, live, choices)
                               WHEN a.source_column IS NULL THEN zanith._find_rows_conflicts(d, live) ELSE zanith._find_column_conflicts(a, live, choices) END;
    ELSIF zanith._strategy_is(a.artifact_type, 'definition') THEN
        found := found || zanith._find_kept_conflicts(a, live, choices);
    ELSE
        found := found || zanith._find_table_conflicts(a, place, choices);
    END IF;
    RETURN found || zanith._find_home_conflicts(d) || zanith._find_aside_conflicts(d) || zanith._find_missing(d, live) || zanith._find_taken_names(d, CASE WHEN NOT zanith._strategy_is(a.artifact_type, 'definition') THEN as_name END);
END $$;

CREATE OR REPLACE FUNCTION zanith._find_parent_conflicts(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    at jsonb := d #> '{members,0,definition,partition_of}';
    parent oid := zanith._relation_oid(at ->> 'schema', at ->> 'name');
    gained text;
BEGIN
    IF parent IS NULL THEN
        RETURN zanith._conflict('table_gone', format('its parent %s does not exist any more', zanith._qualify(at ->> 'schema', at ->> 'name')),
            'Restore the parent first.');
    END IF;
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) INTO gained
    FROM pg_attribute a
    WHERE a.attrelid = parent AND a.attnum > 0 AND NOT a.attisdropped
      AND NOT EXISTS (SELECT FROM zanith._each(d #> '{members,0,definition,columns}') c WHERE c.item ->> 'name' = a.attname);
    IF gained IS NOT NULL THEN
        RETURN zanith._conflict('parent_gained_column', format('its parent gained: %s', gained),
            'Add the column to the parked table by hand (ALTER TABLE … ADD COLUMN), then restore.');
    END IF;
    SELECT string_agg(quote_ident(c.item ->> 'name'), ', ' ORDER BY c.ord) INTO gained
    FROM zanith._each(d #> '{members,0,definition,columns}') c
    WHERE zanith._attribute_number(parent, c.item ->> 'name') IS NULL;
    IF gained IS NOT NULL THEN
        RETURN zanith._conflict('parent_lost_column', format('its parent lost: %s', gained),
            'Restore the column of the parent first, or restore this one''s rows from an export.');
    END IF;
    SELECT string_agg(zanith._relation_name(i.inhrelid), ', ') INTO gained
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = parent AND pg_get_expr(c.relpartbound, c.oid) = at ->> 'bound';
    IF gained IS NOT NULL THEN
        RETURN zanith._conflict('bound_taken', format('the bound %s is taken by %s', at ->> 'bound', gained),
            'Detach that partition, or export the rows of this one.');
    END IF;
    RETURN '[]';
END $$;

-- What stops a table from inheriting again: a parent that is gone or parked, and what INHERIT demands of the table.
CREATE OR REPLACE FUNCTION zanith._find_heritage_conflicts(d jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    WITH parents AS MATERIALIZED (
        SELECT p.ord, p.item, zanith._qualify(p.item ->> 'schema', p.item ->> 'name') AS name, zanith._relation_oid(p.item ->> 'schema', p.item ->> 'name') AS oid,
               zanith._parked_as(p.item ->> 'schema', p.item ->> 'name') AS parked
        FROM zanith._each(d -> 'placeholders') p
    ), columns AS (
        SELECT p.ord, p.name, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod) AS type,
               (SELECT c.item ->> 'type' FROM zanith._each(d #> '{members,0,definition,columns}') c WHERE c.item ->> 'name' = a.attname) AS has
        FROM parents p JOIN pg_attribute a ON a.attrelid = p.oid AND a.attnum > 0 AND NOT a.attisdropped
    )
    SELECT zanith._list(x.conflict -> 0 ORDER BY x.ord) FROM (
        SELECT p.ord, zanith._conflict('table_gone', format('its parent %s does not exist any more', p.name),
            CASE p.parked WHEN '[]' THEN 'Create a table of that name with the columns that this one inherits, then restore.'
                 ELSE format('It is parked: restore %s first.', p.parked ->> 0) END, '{}', NULL, p.parked) AS conflict
        FROM parents p WHERE p.oid IS NULL
        UNION ALL
        SELECT c.ord, zanith._conflict('parent_gained_column', format('its parent %s gained: %s', c.name, string_agg(quote_ident(c.attname), ', ' ORDER BY c.attnum)),
            'Add the column to the parked table by hand (ALTER TABLE … ADD COLUMN), then restore.')
        FROM columns c WHERE c.has IS NULL GROUP BY c.ord, c.name
        UNION ALL
        SELECT c.ord, zanith._conflict('parent_changed', format('column %I of its parent %s is %s now; here it is %s', c.attname, c.name, c.type, c.has),
            format('Change it in the parked table too: ALTER TABLE %s ALTER COLUMN %I TYPE %s.', zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}'), c.attname, c.type))
        FROM columns c WHERE c.has <> c.type) x
); END $$;

-- A column comes back to a parent whose children have it themselves: it merges with theirs, by its name and type.
CREATE OR REPLACE FUNCTION zanith._find_keeper_conflicts(d jsonb, live oid, as_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(x.conflict -> 0 ORDER BY x.ord, x.child) FROM (
        SELECT 1 AS ord, i.inhrelid AS child, zanith._conflict('child_changed', format('column %I of the child %s is %s now; here it is %s', a.attname, zanith._relation_name(i.inhrelid),
                format_type(a.atttypid, a.atttypmod), d #>> '{column,type}'),
            format('The restored column merges with that column: ALTER TABLE %s ALTER COLUMN %I TYPE %s.', zanith._relation_name(i.inhrelid), a.attname, d #>> '{column,type}')) AS conflict
        FROM pg_inherits i JOIN pg_attribute a ON a.attrelid = i.inhrelid AND a.attname = d #>> '{column,name}' AND NOT a.attisdropped
        WHERE i.inhparent = live AND format_type(a.atttypid, a.atttypmod) <> d #>> '{column,type}'
        UNION ALL
        SELECT 1, i.inhrelid, zanith._conflict('several_owners', format('the child %s belongs to another role', zanith._relation_name(i.inhrelid)), 'Give both one owner first: ALTER TABLE … OWNER TO ….')
        FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_class p ON p.oid = i.inhparent WHERE i.inhparent = live AND c.relowner <> p.relowner
        UNION ALL
        SELECT 2, 0, zanith._conflict('children_have_it', format('%I cannot come back under another name: it merges with the columns of inheritance children', d #>> '{column,name}'),
            format('Rename the column that has the name now, in %s and in its children.', zanith._relation_name(live)))
        WHERE as_name <> d #>> '{column,name}'
    ) x
); END $$;
