-- Obstacles: what else than names and columns stops a restore: things that its parts need, tables that are others now,
-- privileges, and what a parent demands of its partition. Read-only.

-- The foreign keys of partitioned tables that are validated at once, as the owner of the table, who may not refer to the other one: where
-- one of the tables calls code, or the other one is parked. A table that is parked has no grants; it has the recorded ones again before
-- the key comes back.
CREATE OR REPLACE FUNCTION zanith._find_keys_at_once(d jsonb, live oid) RETURNS TABLE (name text, label text, owner text, child text, parent text)
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN QUERY SELECT k.name, k.label, pg_get_userbyid(c.relowner)::text, zanith._relation_name(c.oid), k.parent
    FROM (SELECT x.item ->> 'name', format('foreign key %I', x.item ->> 'name'), live, zanith._relation_oid(x.item #>> '{foreign_key,schema}', x.item #>> '{foreign_key,table}'),
                 zanith._qualify(x.item #>> '{foreign_key,schema}', x.item #>> '{foreign_key,table}'), x.item #> '{foreign_key,references}', NULL::jsonb
          FROM zanith._each(d -> 'constraints') x WHERE zanith._constraint_is(x.item, 'reference') AND (x.item ->> 'validated')::boolean
          UNION ALL
          SELECT x.item ->> 'name', format('foreign key %I of %s', x.item ->> 'name', zanith._qualify(x.item ->> 'schema', x.item ->> 'table')), zanith._relation_oid(x.item ->> 'schema', x.item ->> 'table'), live,
                 zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}'), x.item #> '{foreign_key,references}', d #> '{members,0,definition}'
          FROM zanith._each(d -> 'references') x WHERE (x.item ->> 'validated')::boolean) k(name, label, child, referenced, parent, columns, parked)
    -- OFFSET 0: the search for the owners of all tables in the catalog would take long
    CROSS JOIN LATERAL (SELECT x.* FROM pg_class x WHERE x.oid = k.child OFFSET 0) c
    JOIN pg_namespace n ON n.oid = c.relnamespace AND zanith._wants_proof_at_once(n.nspname, c.relname)
    WHERE NOT zanith._is_superuser(pg_get_userbyid(c.relowner))
      AND CASE WHEN k.parked IS NULL THEN NOT zanith._may_refer(pg_get_userbyid(c.relowner), k.referenced, k.columns)
                   -- else the operator adds it (see _prover)
                   AND (zanith._find_foreign_code(k.child, true, true) IS NOT NULL OR zanith._find_foreign_code(k.referenced, true, true) IS NOT NULL)
               ELSE NOT COALESCE(pg_has_role(c.relowner, to_regrole(quote_ident(k.parked ->> 'owner')), 'USAGE'), false) AND NOT EXISTS (
                   SELECT FROM (SELECT g.item FROM zanith._each(k.parked -> 'grants') g
                                UNION ALL SELECT g.item FROM zanith._each(k.parked -> 'columns') x, LATERAL zanith._each(x.item -> 'grants') g) g
                   WHERE g.item -> 'privileges' ? 'REFERENCES'
                     AND (g.item ->> 'grantee' IS NULL OR pg_has_role(c.relowner, to_regrole(quote_ident(g.item ->> 'grantee')), 'USAGE'))) END;
END $$;

-- Objects, roles and tablespaces that parts of the definition name, and that do not exist any more or are called something else.
CREATE OR REPLACE FUNCTION zanith._missing_dependencies(a zanith._zanith_migration_artifacts) RETURNS TABLE (place integer, conflict jsonb)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN
    IF a.definition @? '$.**.needs[*]' THEN
        RETURN QUERY
            SELECT 1, zanith._without_it(CASE WHEN o.back IS NOT NULL
                THEN zanith._conflict('dependency_renamed', format('%s needs the %s, which is called %s now%s', n.item ->> 'by', n.item ->> 'what', zanith._read_name(o.now),
                        CASE WHEN f.objid IS NOT NULL THEN ', and another object has its name' ELSE '' END),
                    format('The recorded definition has the old name. %s for the length of the restore: %s.',
                        CASE WHEN f.objid IS NOT NULL THEN 'Rename the other object, then give the old name back' ELSE 'Give the old name back' END, o.back))
                ELSE zanith._conflict(CASE WHEN n.item ->> 'type' LIKE '% column' THEN 'column_gone' ELSE 'dependency_gone' END,
                    format('%s needs the %s, which does not exist any more', n.item ->> 'by', n.item ->> 'what'),
                    CASE q.waits_for WHEN '[]' THEN 'Create it again, or restore it first (zanith recover list shows whether it is parked).' ELSE format('It was dropped too: restore artifact %s first.', q.waits_for ->> 0) END,
                    '{}', NULL, q.waits_for) END,
                -- a column that is generated from this one has no values of its own to come back
                CASE WHEN n.item ->> 'by' = 'the expression of ' || quote_ident(a.source_column) AND jsonb_array_length(COALESCE(NULLIF(a.definition -> 'key', 'null'), '[]')) = 0 THEN '{}'
                     ELSE ARRAY[CASE WHEN n.item ->> 'by' = 'the expression of ' || quote_ident(n.generated) THEN 'column ' || quote_ident(n.generated) ELSE zanith._label(n.item ->> 'by') END] END)
            FROM (SELECT x.item, NULL::text AS generated FROM zanith._each(a.definition -> 'needs') x
                  UNION ALL SELECT x.item, g.item ->> 'name' FROM zanith._each(a.definition #> '{cascade,columns}') g, LATERAL zanith._each(g.item -> 'needs') x
                  WHERE x.item ->> 'type' NOT IN ('table', 'table column')) n
                 LEFT JOIN LATERAL (SELECT r.now, zanith._name_back_sql(n.item -> 'object', r.now) AS back
                       FROM (SELECT zanith._named(n.item #>> '{object,class}', (n.item #>> '{object,oid}')::oid, (n.item #>> '{object,subobject}')::integer) AS now) r
                       WHERE a.definition ->> 'database' = zanith._database_identity() AND r.now ->> 'schema' <> '_zanith_shadow'
                         AND NOT starts_with(COALESCE(r.now ->> 'column', r.now ->> 'name'), '_zanith_dropped_')) o ON true,
                 LATERAL zanith._object_at(n.item ->> 'type', ARRAY(SELECT jsonb_array_elements_text(n.item -> 'names')), ARRAY(SELECT jsonb_array_elements_text(n.item -> 'args'))) f,
                 LATERAL (SELECT CASE WHEN f.objid IS NULL THEN zanith._kept_by(n.item) || zanith._parked_as(n.item #>> '{names,0}', n.item #>> '{names,1}', n.item #>> '{names,2}')
                     || CASE WHEN n.item #>> '{names,2}' IS NULL THEN '[]' ELSE zanith._parked_as(n.item #>> '{names,0}', n.item #>> '{names,1}') END END) q(waits_for)
            -- tables that others took the place of have a conflict of their own
            WHERE f.objid IS NULL AND NOT zanith._type_comes_back(a.definition, concat_ws('.', quote_ident(n.item #>> '{object,schema}'), quote_ident(n.item #>> '{object,name}'))) OR o.back IS NOT NULL AND (n.item #>> '{object,class}' <> 'pg_class' OR a.kept_kind IS NOT NULL);
    END IF;
    IF a.definition @? '$.cascade.*[*]' OR a.definition @? '$.column.sequences[*]' OR a.definition ?| ARRAY['sequence', 'type'] THEN
        RETURN QUERY
            SELECT 2, zanith._without_it(zanith._conflict('role_missing', format('the role %I, which %s names, does not exist any more', r.name, r.by),
                format('Create the role: CREATE ROLE %I.', r.name)), ARRAY[r.label])
            FROM zanith._named_roles(a.definition) r WHERE to_regrole(quote_ident(r.name)) IS NULL;
    END IF;
    IF a.definition @? '$.**.tablespace ? (@ != null)' THEN
        RETURN QUERY
            SELECT 3, zanith._without_it(zanith._conflict('tablespace_gone', format('the tablespace %I, in which %s was, does not exist any more', s.name, s.by),
                format('Create it: CREATE TABLESPACE %I LOCATION ….', s.name)), ARRAY[format('tablespace %I', s.name)])
            FROM zanith._named_tablespaces(a.definition) s WHERE NOT EXISTS (SELECT FROM pg_tablespace t WHERE t.spcname = s.name);
    END IF;
END $$;

-- Tables whose names other tables have now.
CREATE OR REPLACE FUNCTION zanith._replaced_tables(a zanith._zanith_migration_artifacts, live oid) RETURNS TABLE (place integer, conflict jsonb)
LANGUAGE sql STABLE ROWS 1 AS $$
    SELECT 4, zanith._about(zanith._conflict('table_replaced', CASE q.parked WHEN '[]'
            THEN format('%s was renamed to %s, and another table has its name now', q.name, zanith._relation_name((p.item ->> 'oid')::oid))
            ELSE format('%s is parked, as artifact %s, and another table has its name now', q.name, q.parked ->> 0) END,
        CASE q.parked WHEN '[]'
            THEN format('The restore goes by name, and would use the wrong table. For the length of the restore: ALTER TABLE %s RENAME TO %s; ALTER TABLE %s RENAME TO %s.',
                q.name, quote_ident(left(p.item ->> 'name', 57) || '_aside'), zanith._relation_name((p.item ->> 'oid')::oid), quote_ident(p.item ->> 'name'))
            ELSE format('The restore goes by name, and would use the wrong table. Give the new table another name, ALTER TABLE %s RENAME TO %s, then restore artifact %s first.',
                q.name, quote_ident(left(p.item ->> 'name', 57) || '_aside'), q.parked ->> 0) END,
        '{}', format('These need it: %s.', COALESCE((
            SELECT string_agg(DISTINCT format('the foreign key %I', k.name), ', ') FROM (
                SELECT x.item ->> 'name', x.item #>> '{foreign_key,schema}', x.item #>> '{foreign_key,table}' FROM zanith._all_foreign_keys(a.definition) x(item)
                UNION ALL SELECT x.item ->> 'name', x.item ->> 'schema', x.item ->> 'table' FROM zanith._all_references(a.definition) x(item)) k(name, of_schema, of_table)
            WHERE k.of_schema = p.item ->> 'schema' AND k.of_table = p.item ->> 'name'), 'the column itself'))), q.parked)
    FROM zanith._known_tables(a) p,
         LATERAL (SELECT zanith._qualify(p.item ->> 'schema', p.item ->> 'name'), zanith._parked_by((p.item ->> 'oid')::oid)) q(name, parked)
    WHERE zanith._relation_oid(p.item ->> 'schema', p.item ->> 'name') <> (p.item ->> 'oid')::oid
      AND EXISTS (SELECT FROM pg_class c WHERE c.oid = (p.item ->> 'oid')::oid AND c.relkind IN ('r', 'p'))
$$;

-- Privileges that this role, or the owner of what comes back, does not have.
CREATE OR REPLACE FUNCTION zanith._missing_privileges(a zanith._zanith_migration_artifacts, live oid) RETURNS TABLE (place integer, conflict jsonb)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN
    IF NOT zanith._is_superuser(current_user) THEN
        RETURN QUERY
            SELECT 5, zanith._conflict('not_permitted', format('permission denied for schema %I', s.name),
                format('The restore gives the object its name in that schema: GRANT CREATE ON SCHEMA %I TO %I.', s.name, current_user))
            FROM (SELECT DISTINCT x.item ->> 'schema' AS name FROM zanith._each(a.definition -> 'members') x
                  UNION SELECT n.nspname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                        WHERE c.oid = live AND jsonb_array_length((a.definition -> 'indexes') || (a.definition -> 'renames')
                            || COALESCE(jsonb_path_query_array(a.definition, '$.constraints[*] ? (@.index != null)'), '[]')) > 0) s
            WHERE CASE WHEN to_regnamespace(quote_ident(s.name)) IS NOT NULL THEN NOT has_schema_privilege(s.name, 'CREATE') END;
        RETURN QUERY
            SELECT 6, zanith._without_it(zanith._conflict('not_permitted', format('must be owner of %s, whose foreign key %I comes back', zanith._relation_name(c.oid), k.item ->> 'name'),
                'Restore as its owner, as a member of that role, or as a superuser.'), ARRAY[format('foreign key %I of %s', k.item ->> 'name', zanith._relation_name(c.oid))])
            FROM zanith._all_references(a.definition) k(item)
            JOIN pg_class c ON c.oid = zanith._relation_oid(k.item ->> 'schema', k.item ->> 'table')
            WHERE NOT pg_has_role(c.relowner, 'USAGE');
        RETURN QUERY
            SELECT 7, zanith._without_it(zanith._conflict('not_permitted', format('no REFERENCES privilege on %s, which the foreign key %I needs', zanith._relation_name(c.oid), k.item ->> 'name'),
                format('GRANT REFERENCES ON %s TO %I.', zanith._relation_name(c.oid), current_user)), ARRAY[format('foreign key %I', k.item ->> 'name')])
            FROM zanith._all_foreign_keys(a.definition) k(item)
            JOIN pg_class c ON c.oid = zanith._relation_oid(k.item #>> '{foreign_key,schema}', k.item #>> '{foreign_key,table}')
            WHERE NOT (k.item #>> '{foreign_key,self}')::boolean
              AND EXISTS (SELECT FROM jsonb_array_elements_text(k.item #> '{foreign_key,references}') x(name)
                          JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = x.name AND NOT t.attisdropped
                          WHERE NOT has_column_privilege(c.oid, t.attnum, 'REFERENCES'));
    END IF;
    IF a.definition @? '$.constraints[*]' OR a.definition @? '$.references[*]' THEN
        RETURN QUERY
            SELECT 7, zanith._without_it(zanith._conflict('not_permitted', format('%I, the owner of %s, has no REFERENCES privilege on %s, which the foreign key %I needs', r.owner, r.child, r.parent, r.name),
                format('PostgreSQL before 18 validates the key of a partitioned table at once, which runs as its owner: GRANT REFERENCES ON %s TO %I.', r.parent, r.owner)), ARRAY[r.label])
            FROM zanith._find_keys_at_once(a.definition, live) r;
    END IF;
    IF NOT zanith._is_superuser(current_user) THEN
        RETURN QUERY
            SELECT 8, zanith._without_it(zanith._conflict('not_permitted', format('must be owner of the publication %I, to which the restore adds the table', p.pubname),
                format('Restore as %I, as a member of that role, or as a superuser.', pg_get_userbyid(p.pubowner))), ARRAY[format('publication %I', p.pubname)])
            FROM zanith._each(a.definition -> 'publications') x JOIN pg_publication p ON p.pubname = x.item ->> 'name'
            WHERE a.definition ? 'members' AND x.item ->> 'via' = 'table' AND NOT pg_has_role(p.pubowner, 'USAGE');
    END IF;
    IF a.definition @? '$.publications[*]' THEN
        RETURN QUERY
            SELECT 9, zanith._without_it(zanith._conflict('publication_changed', format('the publication %I is for all tables now', p.pubname),
                'Rename it, or make it a publication of named tables again; then restore.'), ARRAY[format('publication %I', p.pubname)])
            FROM zanith._each(a.definition -> 'publications') x JOIN pg_publication p ON p.pubname = x.item ->> 'name'
            WHERE a.definition ? 'members' AND x.item ->> 'via' = 'table' AND p.puballtables;
    END IF;
    IF a.definition @? '$.cascade.*[*]' OR a.definition ?| ARRAY['column', 'type'] THEN
        RETURN QUERY
            SELECT 11, zanith._conflict('not_permitted', format('%I has no CREATE privilege on the schema %I, where it will own %s', m.owner, m.schema_name, m.what),
                format('GRANT CREATE ON SCHEMA %I TO %I for the length of the restore: it calls functions that are not built in, and is made as its owner.', m.schema_name, m.owner))
            FROM zanith._made_by_owner(a.definition) m
            WHERE zanith._runner(m.owner) IS NOT NULL AND to_regrole(quote_ident(m.owner)) IS NOT NULL AND to_regnamespace(quote_ident(m.schema_name)) IS NOT NULL
              AND CASE WHEN to_regnamespace(quote_ident(m.schema_name)) IS NOT NULL THEN NOT has_schema_privilege(m.owner, m.schema_name, 'CREATE') END;
    END IF;
END $$;

-- What a parent demands, and tables of several owners where code would run.
CREATE OR REPLACE FUNCTION zanith._demands_of_others(a zanith._zanith_migration_artifacts, live oid) RETURNS TABLE (place integer, conflict jsonb)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN
    IF a.definition #> '{members,0,definition,partition_of}' <> 'null' THEN
        RETURN QUERY
            SELECT 10, x.conflict FROM zanith._find_parent_demands(a.definition) x(conflict);
    END IF;
    RETURN QUERY
        SELECT 12, zanith._conflict('several_owners', zanith._several_owners(live), 'Give all of it one owner first: ALTER TABLE … OWNER TO ….', '{}', x.code)
        FROM zanith._find_mixed_code(live) x(code) WHERE x.code IS NOT NULL;
    IF a.definition #> '{members,0,definition,partition_of}' <> 'null' THEN
        RETURN QUERY
            SELECT 13, zanith._conflict('several_owners', format('its parent %s belongs to another role, and attaching it would call code', zanith._qualify(p.at ->> 'schema', p.at ->> 'name')),
                format('Give both one owner first: ALTER TABLE … OWNER TO %I.', a.definition #>> '{table,owner}'))
            FROM (SELECT a.definition #> '{members,0,definition,partition_of}') p(at)
            WHERE COALESCE(p.at, 'null') <> 'null' AND zanith._owner_of_table(p.at) <> a.definition #>> '{table,owner}'
              AND zanith._attaching_calls_code(a.definition, p.at);
    END IF;
    IF a.definition ? 'column' THEN
        -- a descendant may have been given away since the capture, which refuses the same
        RETURN QUERY
            SELECT 14, zanith._conflict('several_owners', m.what, format('Give all of it one owner first: ALTER TABLE … OWNER TO %I.', m.owner))
            FROM zanith._mixed_expressions(a.definition) m;
    END IF;
END $$;

CREATE OR REPLACE FUNCTION zanith._find_obstacles(a zanith._zanith_migration_artifacts, live oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(c.conflict -> 0 ORDER BY c.place)
    FROM (
        SELECT x.* FROM zanith._missing_dependencies(a) x
        UNION ALL SELECT x.* FROM zanith._replaced_tables(a, live) x
        UNION ALL SELECT x.* FROM zanith._missing_privileges(a, live) x
        UNION ALL SELECT x.* FROM zanith._demands_of_others(a, live) x) c
); END $$;

-- Columns of a definition whose expressions are evaluated when they come back, in a tree whose tables belong to several owners.
CREATE OR REPLACE FUNCTION zanith._mixed_expressions(d jsonb) RETURNS TABLE (what text, owner text)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN RETURN QUERY
    SELECT format('partitions or children of %s belong to other roles, and the restore of %I evaluates an expression',
                  zanith._qualify(g.part #>> '{table,schema}', g.part #>> '{table,name}'), g.part #>> '{column,name}'), g.part #>> '{table,owner}'
    FROM (SELECT d UNION ALL SELECT x.item FROM zanith._each(d #> '{cascade,columns}') x) g(part)
    WHERE d ? 'column' AND zanith._is_mixed(g.part)
      AND (COALESCE(g.part #> '{column,generated}', 'null') <> 'null' OR g.part #>> '{column,base_type}' IS NOT NULL
           OR EXISTS (SELECT FROM zanith._parts(g.part) p, LATERAL zanith._each(p.part -> 'constraints') k WHERE zanith._constraint_is(k.item, 'condition')));
END $$;

-- Foreign keys, but for those that were NOT VALID, to a table of another owner that calls code. To validate one PostgreSQL plans a query on both tables as the owner of the one
-- that has it, and evaluates expressions of the other's indexes.
CREATE OR REPLACE FUNCTION zanith._mixed_keys(d jsonb) RETURNS TABLE (name text, child oid, parent oid, calls text)
LANGUAGE plpgsql STABLE ROWS 1 AS $$ BEGIN RETURN QUERY
    -- The keys come first: the search for code of every table in the catalog would take long.
    WITH keys AS MATERIALIZED (
        SELECT k.con ->> 'name' AS key, c.oid AS child, p.oid AS parent, pg_get_userbyid(p.relowner) AS owner
        FROM (SELECT DISTINCT x.con FROM jsonb_path_query(d, 'strict $.** ? (@.foreign_key.type() == "object")') x(con)) k,
             LATERAL (SELECT zanith._relation_oid(COALESCE(k.con ->> 'schema', d #>> '{table,schema}'), COALESCE(k.con ->> 'table', d #>> '{table,name}')),
                             zanith._relation_oid(k.con #>> '{foreign_key,schema}', k.con #>> '{foreign_key,table}'),
                             -- of a moved table, the parked one is the one that is not there
                             CASE WHEN d ? 'members' THEN zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}') END) o(child, parent, parked),
             pg_class c, pg_class p
        WHERE c.oid = COALESCE(o.child, o.parked) AND p.oid = COALESCE(o.parent, o.parked) AND k.con ->> 'validated' IS DISTINCT FROM 'false'
          AND c.relowner <> p.relowner)
    SELECT k.key, k.child, k.parent, f.code
    FROM keys k, LATERAL (SELECT CASE WHEN NOT zanith._is_superuser(k.owner) THEN zanith._find_foreign_code(k.parent, true) END) f(code)
    WHERE f.code IS NOT NULL;
END $$;

CREATE OR REPLACE FUNCTION zanith._find_mixed_keys(d jsonb, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._conflict('several_owners',
            format('validating the foreign key %I of %s would run code of %I as %I', k.name, zanith._relation_name(c.oid), pg_get_userbyid(p.relowner), pg_get_userbyid(c.relowner)),
            'Give both tables one owner, or leave the key NOT VALID.', '{--not-valid}', k.calls) -> 0 ORDER BY k.name)
    FROM zanith._mixed_keys(d) k JOIN pg_class c ON c.oid = k.child JOIN pg_class p ON p.oid = k.parent
    WHERE NOT COALESCE((choices ->> 'not_valid')::boolean, false)
); END $$;

-- What a restore makes as its owner, in which schema: it calls something outside of pg_catalog (see _made_by).
CREATE OR REPLACE FUNCTION zanith._made_by_owner(d jsonb) RETURNS TABLE (owner text, schema_name text, what text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT v.item ->> 'owner', v.item ->> 'schema', format('the view %I', v.item ->> 'name')
    FROM zanith._each(d #> '{cascade,views}') v WHERE NOT COALESCE((v.item ->> 'builtin')::boolean, false)
    UNION ALL
    SELECT f.item ->> 'owner', f.item ->> 'namespace', format('the function %s', f.item ->> 'name') FROM zanith._each(d #> '{cascade,functions}') f
    UNION ALL
    SELECT d #>> '{type,owner}', d #>> '{type,schema}', format('the type %I', d #>> '{type,name}') WHERE NOT (d #>> '{type,builtin}')::boolean
    UNION ALL
    SELECT p.part ->> 'owner', p.part ->> 'schema', format('the index %I', i.item ->> 'name')
    FROM zanith._parts(d) p, LATERAL (
        SELECT x.item FROM zanith._each(p.part -> 'indexes') x WHERE d ->> 'strategy' = 'archive_column' OR NOT (x.item ->> 'plain')::boolean
        UNION ALL SELECT k.item -> 'index' FROM zanith._each(p.part -> 'constraints') k WHERE jsonb_typeof(k.item -> 'index') = 'object') i
    WHERE d ? 'column' AND NOT COALESCE((i.item ->> 'builtin')::boolean, (i.item ->> 'plain')::boolean, false)
    UNION ALL
    SELECT p.part ->> 'owner', s.item ->> 'schema', format('the statistics object %I', s.item ->> 'name')
    FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'statistics') s
    WHERE d ? 'column' AND NOT COALESCE((s.item ->> 'builtin')::boolean, false) AND (d ->> 'strategy' = 'archive_column' OR NOT COALESCE((s.item ->> 'plain')::boolean, true))
$$;

-- Roles that would be named again besides the owner and grantees of the object itself; `label`: what names them.
CREATE OR REPLACE FUNCTION zanith._named_roles(d jsonb) RETURNS TABLE (name text, by text, label text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT r.name, r.by, COALESCE(r.label, 'grants to ' || quote_ident(r.name)) FROM (
        SELECT v.item ->> 'owner', format('the view %I', v.item ->> 'name'), zanith._label(zanith._called('views', v.item)) FROM zanith._each(d #> '{cascade,views}') v
        UNION ALL
        SELECT f.item ->> 'owner', format('the function %s', f.item ->> 'name'), zanith._label(zanith._called('functions', f.item)) FROM zanith._each(d #> '{cascade,functions}') f
        UNION ALL
        SELECT g.item ->> 'grantee', format('a grant of the function %s', f.item ->> 'name'), NULL
        FROM zanith._each(d #> '{cascade,functions}') f, LATERAL zanith._each(f.item -> 'grants') g
        UNION ALL
        SELECT g.item ->> 'grantee', format('a grant of the view %I', v.item ->> 'name'), NULL
        FROM zanith._each(d #> '{cascade,views}') v, LATERAL zanith._each(v.item -> 'grants') g
        UNION ALL
        SELECT x.name, format('the policy %I', p.item ->> 'name'), zanith._label(zanith._called('policies', p.item))
        FROM zanith._each(d #> '{cascade,policies}') p, LATERAL jsonb_array_elements_text(p.item -> 'roles') x(name)
        UNION ALL
        SELECT g.item ->> 'grantee', format('a grant of the sequence %I', s.item ->> 'name'), NULL
        FROM zanith._each(d #> '{column,sequences}') s, LATERAL zanith._each(s.item -> 'grants') g WHERE (s.item ->> 'identity')::boolean
        UNION ALL
        SELECT o.owner, o.what, NULL FROM zanith._kept_owners(d) o WHERE d ?| ARRAY['sequence', 'type']
        UNION ALL
        SELECT g.item ->> 'grantee', format('a grant of %s', k.called), NULL
        FROM (VALUES ('sequence', 'the sequence'), ('type', 'the type')) k(key, called), LATERAL zanith._each(d #> ARRAY[k.key, 'grants']) g
    ) r(name, by, label)
    WHERE r.name IS NOT NULL
$$;

CREATE OR REPLACE FUNCTION zanith._named_tablespaces(d jsonb) RETURNS TABLE (name text, by text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT DISTINCT o.item ->> 'tablespace', format('%s %I', o.what, o.item ->> 'name')
    FROM (SELECT 'the index' AS what, i.item FROM zanith._each(d -> 'indexes') i WHERE d ? 'column'
          UNION ALL SELECT 'the index', k.item -> 'index' FROM zanith._each(d -> 'constraints') k
          UNION ALL SELECT 'the view', v.item FROM zanith._each(d #> '{cascade,views}') v
          UNION ALL SELECT 'the index', i.item FROM zanith._each(d #> '{cascade,views}') v, LATERAL zanith._each(v.item -> 'indexes') i) o
    WHERE o.item ->> 'tablespace' IS NOT NULL
$$;

-- Tables that the restore finds by name, with their oids as of the capture; none where oids are of another database.
CREATE OR REPLACE FUNCTION zanith._known_tables(a zanith._zanith_migration_artifacts) RETURNS TABLE (item jsonb)
LANGUAGE sql STABLE AS $$
    SELECT t.item FROM (
        SELECT p.item FROM zanith._each(a.definition -> 'partners') p
        UNION ALL
        SELECT a.definition -> 'table' WHERE zanith._strategy_is(a.artifact_type, 'archive') OR zanith._strategy_is(a.artifact_type, 'definition') AND a.definition ? 'column') t
    WHERE a.definition ->> 'database' = zanith._database_identity()
$$;

-- What the parent of a partition demands now that the parked table does not have: ATTACH PARTITION would refuse it.
CREATE OR REPLACE FUNCTION zanith._find_parent_demands(d jsonb) RETURNS SETOF jsonb
LANGUAGE sql STABLE ROWS 3 AS $$
    WITH q AS (
        SELECT zanith._relation_oid(d #>> '{members,0,definition,partition_of,schema}', d #>> '{members,0,definition,partition_of,name}') AS parent,
               zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}') AS child,
               zanith._qualify(d #>> '{parked,schema}', d #>> '{parked,table}') AS parked
    ), pairs AS (
        SELECT q.parked, p.attname, p.attnotnull AND NOT c.attnotnull AS needs_not_null,
               format_type(p.atttypid, p.atttypmod) AS wanted, format_type(c.atttypid, c.atttypmod) AS has,
               p.attcollation <> c.attcollation AS other_collation, p.attgenerated <> c.attgenerated AS other_generation
        FROM q JOIN pg_attribute p ON p.attrelid = q.parent AND p.attnum > 0 AND NOT p.attisdropped
        JOIN pg_attribute c ON c.attrelid = q.child AND c.attname = p.attname AND NOT c.attisdropped
    )
    SELECT zanith._conflict('parent_changed', format('its parent''s column %I is %s now; here it is %s', attname, wanted, has),
        format('Change it in the parked table too: ALTER TABLE %s ALTER COLUMN %I TYPE %s.', parked, attname, wanted))
    FROM pairs WHERE wanted <> has
    UNION ALL
    SELECT zanith._conflict('parent_changed', format('its parent''s column %I has another collation now', attname),
        'Give the column of the parked table the same one with ALTER TABLE … ALTER COLUMN … TYPE … COLLATE, then restore.')
    FROM pairs WHERE wanted = has AND other_collation
    UNION ALL
    SELECT zanith._conflict('parent_changed', format('its parent''s column %I is generated by another expression now', attname),
        'Undo that change of the parent for the length of the restore, or insert the rows from an export.')
    FROM pairs WHERE other_generation
    UNION ALL
    SELECT zanith._conflict('parent_changed', format('its parent''s column %I is NOT NULL now; here it is not', attname),
        format('Make it so in the parked table too: ALTER TABLE %s ALTER COLUMN %I SET NOT NULL.', parked, attname))
    FROM pairs WHERE needs_not_null
    UNION ALL
    SELECT zanith._conflict('parent_changed', format('its parent has the check %I now, which is not here', k.conname),
        format('Add it to the parked table too: ALTER TABLE %s ADD CONSTRAINT %I %s.', q.parked, k.conname,
               zanith._without_ending(pg_get_constraintdef(k.oid), ' NOT VALID')))
    FROM q JOIN pg_constraint k ON k.conrelid = q.parent AND k.contype = ANY (zanith._letters_of('condition')) AND NOT k.connoinherit
    WHERE q.child IS NOT NULL AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = q.child AND c.conname = k.conname
        AND c.contype = k.contype AND pg_get_constraintdef(c.oid) = pg_get_constraintdef(k.oid))
$$;
