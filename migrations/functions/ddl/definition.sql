-- The statements of whole definitions: of a table with its partitions, of a column, of what a cascade took along, of a kept definition.

-- CREATE TABLE, a column a line, and what is said of the table and its columns right after it. A child leaves out the columns that it only inherits.
CREATE OR REPLACE FUNCTION zanith._ddl_create_table(t jsonb, server_version integer) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    target text := zanith._qualify(t ->> 'schema', t ->> 'name');
    partition boolean := COALESCE(t -> 'partition_of', 'null') <> 'null';
    beneath boolean := NOT partition AND jsonb_path_exists(t, '$.columns[*] ? (@.inherited == true)');
    parents text := (SELECT string_agg(zanith._qualify(p.item ->> 'schema', p.item ->> 'name'), ', ' ORDER BY p.ord) FROM zanith._each(t -> 'inherits') p);
    columns text := (SELECT string_agg(E'\n    ' || zanith._ddl_column(c.item, t ->> 'schema', t ->> 'name', partition, server_version), ',' ORDER BY c.ord)
                     FROM zanith._each(t -> 'columns') c WHERE NOT (beneath AND (c.item ->> 'inherited')::boolean));
BEGIN
    RETURN zanith._ddl_owned_sequences(t -> 'columns')
        || concat_ws(' ', format('CREATE %sTABLE %s (%s)', CASE WHEN t ->> 'persistence' = 'u' THEN 'UNLOGGED ' ELSE '' END, target, COALESCE(columns || E'\n', '')),
            CASE WHEN beneath THEN 'INHERITS (' || parents || ')' END, 'PARTITION BY ' || (t ->> 'partition_key'),
            'USING ' || quote_ident(NULLIF(t ->> 'access_method', 'heap')), 'WITH (' || zanith._option_list(t -> 'options') || ')', 'TABLESPACE ' || quote_ident(t ->> 'tablespace'))
        -- of inherited columns, what is said of them in the child
        || ARRAY(SELECT s.sql FROM zanith._each(t -> 'columns') c, LATERAL unnest(
                    CASE WHEN NOT beneath OR NOT (c.item ->> 'inherited')::boolean THEN '{}' ELSE
                        zanith._ddl_of(zanith._render_default(c.item, 'ONLY ', target, c.item ->> 'name'))
                        || CASE WHEN COALESCE(c.item -> 'not_null', 'null') <> 'null' AND COALESCE((c.item #>> '{not_null,local}')::boolean, server_version < 180000)
                                THEN ARRAY[format('ALTER TABLE ONLY %s ALTER COLUMN %I SET NOT NULL', target, c.item ->> 'name')] ELSE '{}' END END) WITH ORDINALITY s(sql, ord)
                 ORDER BY c.ord, s.ord)
        || CASE WHEN t ->> 'owner' IS NULL THEN '{}' ELSE ARRAY[format('ALTER TABLE %s OWNER TO %I', target, t ->> 'owner')] END
        || zanith._ddl_constraints(t -> 'constraints', 1, t ->> 'schema', target, partition OR NOT beneath)
        || CASE WHEN partition OR beneath THEN '{}' ELSE ARRAY(
            SELECT format('ALTER TABLE %s INHERIT %s', target, zanith._qualify(p.item ->> 'schema', p.item ->> 'name')) FROM zanith._each(t -> 'inherits') p ORDER BY p.ord) END
        || zanith._ddl_of(zanith._render_comment(t ->> 'comment', 'TABLE ' || target))
        || ARRAY(SELECT s.sql FROM zanith._each(t -> 'columns') c, LATERAL unnest(zanith._ddl_column_care(
                     -- one that is not valid comes from the parent
                     CASE WHEN beneath AND NOT (c.item #>> '{not_null,local}')::boolean THEN jsonb_set(c.item, '{not_null,validated}', 'true') ELSE c.item END,
                     target, 'ONLY ', server_version)) WITH ORDINALITY s(sql, ord) ORDER BY c.ord, s.ord)
        || zanith._ddl_grants(t -> 'grants', 'TABLE', target, t ->> 'owner', server_version);
END $$;

-- A table with its partitions and children, parents first. An empty text stands for an empty line.
CREATE OR REPLACE FUNCTION zanith._ddl_tables(tables jsonb, server_version integer) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    ddl text[] := '{}';
    m record;
    family jsonb := jsonb_build_object('table', tables -> 0, 'constraints', tables #> '{0,constraints}', 'indexes', tables #> '{0,indexes}', 'tree', tables - 0);
    tops jsonb := zanith._ddl_tops(family);
BEGIN
    FOR m IN SELECT x.item AS t, zanith._qualify(x.item ->> 'schema', x.item ->> 'name') AS target FROM zanith._each(tables) x ORDER BY x.ord LOOP
        ddl := ddl || zanith._ddl_create_table(m.t, server_version) || ''::text;
    END LOOP;
    -- those of partitions first: the parent's take them up
    FOR m IN SELECT x.item AS t, zanith._qualify(x.item ->> 'schema', x.item ->> 'name') AS target FROM zanith._each(tables) x ORDER BY x.ord DESC LOOP
        ddl := ddl || zanith._ddl_constraints(zanith._ddl_sorted(m.t -> 'constraints', m.t ->> 'schema', tops), 2, m.t ->> 'schema', m.target, true)
            || zanith._ddl_indexes(zanith._ddl_sorted(m.t -> 'indexes', m.t ->> 'schema', tops), m.t ->> 'schema', m.target, true)
            || zanith._ddl_statistics(m.t -> 'statistics')
            || CASE WHEN m.t ->> 'replica_identity' IN ('FULL', 'NOTHING') THEN ARRAY[format('ALTER TABLE ONLY %s REPLICA IDENTITY %s', m.target, m.t ->> 'replica_identity')] ELSE '{}' END
            || CASE WHEN (m.t ->> 'row_security')::boolean THEN ARRAY[format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', m.target)] ELSE '{}' END
            || CASE WHEN (m.t ->> 'force_row_security')::boolean THEN ARRAY[format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', m.target)] ELSE '{}' END || ''::text;
    END LOOP;
    FOR m IN SELECT x.item AS t, zanith._qualify(x.item ->> 'schema', x.item ->> 'name') AS target FROM zanith._each(tables) x ORDER BY x.ord LOOP
        IF COALESCE(m.t -> 'partition_of', 'null') <> 'null' THEN
            ddl := ddl || format('ALTER TABLE %s ATTACH PARTITION %s %s', zanith._qualify(m.t #>> '{partition_of,schema}', m.t #>> '{partition_of,name}'), m.target, m.t #>> '{partition_of,bound}')
                -- ATTACH PARTITION makes NOT NULL the parent's alone (18)
                || ARRAY(SELECT format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', m.target, c.item ->> 'name') FROM zanith._each(m.t -> 'columns') c
                         WHERE (c.item ->> 'inherited')::boolean AND (c.item #>> '{not_null,local}')::boolean AND (c.item #>> '{not_null,validated}')::boolean AND server_version >= 180000 ORDER BY c.ord);
        END IF;
    END LOOP;
    FOR m IN SELECT x.item AS t, zanith._qualify(x.item ->> 'schema', x.item ->> 'name') AS target FROM zanith._each(tables) x ORDER BY x.ord LOOP
        ddl := ddl || zanith._ddl_indexes(m.t -> 'indexes', m.t ->> 'schema', m.target, false);
    END LOOP;
    ddl := ddl || zanith._ddl_attached_indexes(family);
    FOR m IN SELECT x.item AS t, zanith._qualify(x.item ->> 'schema', x.item ->> 'name') AS target FROM zanith._each(tables) x ORDER BY x.ord LOOP
        ddl := ddl || ''::text || zanith._ddl_constraints(m.t -> 'constraints', 3, m.t ->> 'schema', m.target, false)
            || zanith._ddl_acting(m.t, m.target)
            || zanith._ddl_of(zanith._render_publish(m.t -> 'publications', m.target));
    END LOOP;
    RETURN ddl;
END $$;

-- Foreign keys of other tables, each at its own.
CREATE OR REPLACE FUNCTION zanith._ddl_references(keys jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ARRAY(
    SELECT s.sql FROM zanith._each(keys) k, LATERAL unnest(zanith._ddl_constraint(k.item, k.item ->> 'schema', zanith._qualify(k.item ->> 'schema', k.item ->> 'table'))) WITH ORDINALITY s(sql, ord)
    ORDER BY k.ord, s.ord
); END $$;

-- A column and all that names it, in every table of its family.
CREATE OR REPLACE FUNCTION zanith._ddl_column_family(d jsonb, server_version integer) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    ddl text[] := '{}';
    lone boolean := COALESCE(d -> 'column', 'null') = 'null';
    beneath boolean := jsonb_array_length(COALESCE(NULLIF(d -> 'tree', 'null'), '[]')) > 0;
    tops jsonb := zanith._ddl_tops(d);
    -- before 17 ADD COLUMN gives an identity to no table with partitions
    apart boolean := beneath AND server_version < 170000 AND d #>> '{column,identity}' IS NOT NULL;
    own_names boolean := EXISTS (SELECT FROM zanith._each(d -> 'tree') t WHERE t.item #>> '{column,not_null,name}' IS NOT NULL
                                 AND (t.item #>> '{column,not_null,name}' IS DISTINCT FROM d #>> '{column,not_null,name}' OR (t.item #>> '{column,not_null,local}')::boolean));
    p record;
    g record;
BEGIN
    FOR p IN SELECT x.ord, x.part, x.target FROM zanith._parts(d) x WHERE NOT lone ORDER BY x.ord LOOP
        ddl := ddl
            || CASE WHEN p.ord > 0 AND (p.part #>> '{column,inherited}')::boolean THEN '{}' ELSE
                zanith._ddl_owned_sequences(jsonb_build_array(p.part -> 'column'))
                || format('ALTER TABLE %s ADD COLUMN %s', p.target, zanith._ddl_column(
                    -- NOT NULL of those beneath comes first, by its own name
                    (p.part -> 'column') || CASE WHEN own_names THEN '{"not_null": null}' ELSE '{}' END::jsonb || CASE WHEN apart THEN '{"sequences": []}' ELSE '{}' END::jsonb, p.part ->> 'schema', p.part ->> 'name', false, server_version))
                || CASE WHEN NOT apart THEN '{}' ELSE (zanith._ddl_of(zanith._render_identity_back(p.part, p.target, d #>> '{column,name}')))[:1] END END
            || CASE WHEN p.ord = 0 OR NOT (p.part #>> '{column,inherited}')::boolean THEN '{}' ELSE
                CASE WHEN p.part #> '{column,default}' = d #> '{column,default}' THEN '{}' WHEN p.part #>> '{column,default}' IS NULL
                     THEN ARRAY[format('ALTER TABLE ONLY %s ALTER COLUMN %I DROP DEFAULT', p.target, d #>> '{column,name}')]
                     ELSE zanith._ddl_of(zanith._render_default(p.part -> 'column', 'ONLY ', p.target, d #>> '{column,name}')) END
                || CASE WHEN NOT own_names AND zanith._has_own_not_null(d, p.ord, p.part) AND (p.part #> '{column,not_null}' <> d #> '{column,not_null}' OR (p.part #>> '{column,not_null,local}')::boolean)
                        THEN ARRAY[format('ALTER TABLE ONLY %s ALTER COLUMN %I SET NOT NULL', p.target, d #>> '{column,name}')] ELSE '{}' END END
            || zanith._ddl_column_care((p.part -> 'column') || CASE WHEN own_names THEN '{"not_null": null}' ELSE '{}' END::jsonb, p.target, CASE WHEN beneath THEN 'ONLY ' ELSE '' END, server_version);
    END LOOP;
    FOR p IN SELECT x.ord, x.part, x.target FROM zanith._parts(d) x WHERE own_names ORDER BY x.ord DESC LOOP
        IF p.part #>> '{column,not_null,name}' IS NOT NULL AND (zanith._has_own_not_null(d, p.ord, p.part) OR p.part #>> '{column,not_null,name}' IS DISTINCT FROM d #>> '{column,not_null,name}') THEN
            ddl := ddl || format('ALTER TABLE %s ADD CONSTRAINT %I NOT NULL %I%s', p.target, p.part #>> '{column,not_null,name}', d #>> '{column,name}',
                                 CASE WHEN (p.part #>> '{column,not_null,no_inherit}')::boolean THEN ' NO INHERIT' ELSE '' END || CASE WHEN (p.part #>> '{column,not_null,validated}')::boolean THEN '' ELSE ' NOT VALID' END)
                || zanith._ddl_of(zanith._render_comment(p.part #>> '{column,not_null,comment}', format('CONSTRAINT %I ON %s', p.part #>> '{column,not_null,name}', p.target)));
        END IF;
    END LOOP;
    FOR g IN SELECT x.item AS d FROM zanith._each(d #> '{cascade,columns}') x ORDER BY x.ord LOOP
        ddl := ddl || ''::text || zanith._ddl_column_family(g.d, server_version);
    END LOOP;
    IF lone AND COALESCE(d -> 'identity', 'null') <> 'null' THEN
        ddl := ddl || zanith._ddl_of(zanith._render_identity_back(jsonb_build_object('column', d -> 'identity'), zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}'), d #>> '{identity,name}'))
            || ARRAY(SELECT s.sql FROM zanith._each(d #> '{identity,sequences}') x, LATERAL unnest(zanith._ddl_grants(x.item -> 'grants', 'SEQUENCE', zanith._qualify(x.item ->> 'schema', x.item ->> 'name'), x.item ->> 'owner', server_version)) WITH ORDINALITY s(sql, ord));
    END IF;
    FOR p IN SELECT x.ord, x.part, x.target FROM zanith._parts(d) x ORDER BY x.ord LOOP
        ddl := ddl || zanith._ddl_constraints(p.part -> 'constraints', 1, p.part ->> 'schema', p.target, p.ord = 0);
    END LOOP;
    FOR p IN SELECT x.ord, x.part, x.target FROM zanith._parts(d) x ORDER BY x.ord DESC LOOP
        ddl := ddl || zanith._ddl_constraints(zanith._ddl_sorted(p.part -> 'constraints', p.part ->> 'schema', tops), 2, p.part ->> 'schema', p.target, true)
            || zanith._ddl_indexes(zanith._ddl_sorted(p.part -> 'indexes', p.part ->> 'schema', tops), p.part ->> 'schema', p.target, true);
    END LOOP;
    FOR p IN SELECT x.ord, x.part, x.target FROM zanith._parts(d) x ORDER BY x.ord LOOP
        ddl := ddl || zanith._ddl_indexes(p.part -> 'indexes', p.part ->> 'schema', p.target, false);
    END LOOP;
    ddl := ddl || zanith._ddl_attached_indexes(d);
    FOR p IN SELECT x.ord, x.part, x.target FROM zanith._parts(d) x ORDER BY x.ord LOOP
        ddl := ddl || zanith._ddl_statistics(p.part -> 'statistics')
            || zanith._ddl_constraints(p.part -> 'constraints', 3, p.part ->> 'schema', p.target, p.ord = 0);
    END LOOP;
    FOR p IN SELECT x.ord, x.part, x.target FROM zanith._parts(d) x ORDER BY x.ord LOOP
        ddl := ddl || zanith._ddl_references(p.part -> 'references');
    END LOOP;
    RETURN ddl;
END $$;

-- What a cascade took along, without columns that are generated from a dropped one.
CREATE OR REPLACE FUNCTION zanith._ddl_cascade(d jsonb, server_version integer) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN
    zanith._ddl_of(zanith._render_cascade_restore(d, true))
    || ARRAY(SELECT s.sql FROM zanith._each(d #> '{cascade,views}') v, LATERAL unnest(
                 zanith._ddl_grants(v.item -> 'grants', 'TABLE', zanith._qualify(v.item ->> 'schema', v.item ->> 'name'), v.item ->> 'owner', server_version)
                 || ARRAY(SELECT g.sql FROM zanith._each(v.item -> 'columns') c, LATERAL unnest(zanith._ddl_column_grants(c.item, zanith._qualify(v.item ->> 'schema', v.item ->> 'name'))) WITH ORDINALITY g(sql, ord) ORDER BY c.ord, g.ord)
             ) WITH ORDINALITY s(sql, ord) ORDER BY v.ord, s.ord)
    || ARRAY(SELECT s.sql FROM zanith._each(d #> '{cascade,functions}') f, LATERAL unnest(zanith._ddl_grants(f.item -> 'grants', 'ROUTINE', f.item ->> 'name', f.item ->> 'owner', server_version)) WITH ORDINALITY s(sql, ord)
             ORDER BY f.ord, s.ord);
END $$;

-- A type or a sequence that was dropped by itself.
CREATE OR REPLACE FUNCTION zanith._ddl_standalone(d jsonb, server_version integer) RETURNS text[]
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN
    CASE WHEN NOT d ? 'type' THEN '{}' ELSE zanith._ddl_of(zanith._render_type(d -> 'type'))
        || zanith._ddl_grants(d #> '{type,grants}', 'TYPE', zanith._qualify(d #>> '{type,schema}', d #>> '{type,name}'), d #>> '{type,owner}', server_version) END
    || CASE WHEN NOT d ? 'sequence' THEN '{}' ELSE zanith._ddl_create_sequence(d -> 'sequence')
        || ARRAY[format('ALTER SEQUENCE %s OWNER TO %I', zanith._qualify(d #>> '{sequence,schema}', d #>> '{sequence,name}'), d #>> '{sequence,owner}')]
        || CASE WHEN d #>> '{owned_by,column}' IS NULL THEN '{}' ELSE ARRAY[format('ALTER SEQUENCE %s OWNED BY %s.%I', zanith._qualify(d #>> '{sequence,schema}', d #>> '{sequence,name}'),
                zanith._qualify(d #>> '{owned_by,schema}', d #>> '{owned_by,table}'), d #>> '{owned_by,column}')] END
        || zanith._ddl_sequence_care(d -> 'sequence', server_version) END;
END $$;

-- The statements that create what a definition describes, one after the other; NULL where there is no definition.
CREATE OR REPLACE FUNCTION zanith.definition_ddl(definition jsonb) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    d jsonb := definition || CASE WHEN COALESCE(definition -> 'stays', 'null') <> 'null' THEN jsonb_build_object('column', definition -> 'stays') ELSE '{}' END;
    server_version integer := COALESCE((d ->> 'server_version')::integer, current_setting('server_version_num')::integer);
    tables jsonb := CASE WHEN jsonb_typeof(d -> 'members') = 'array' THEN (SELECT zanith._list(m.item -> 'definition' ORDER BY m.ord) FROM zanith._each(d -> 'members') m)
                         WHEN jsonb_typeof(d -> 'definition') = 'object' THEN jsonb_build_array(d -> 'definition')
                         -- a table as it is now, by itself
                         WHEN jsonb_typeof(d -> 'columns') = 'array' THEN jsonb_build_array(d) END;
    ddl text[];
BEGIN
    IF definition IS NULL THEN
        RETURN NULL;
    END IF;
    ddl := CASE WHEN tables IS NOT NULL THEN zanith._ddl_tables(tables, server_version) || CASE WHEN d ? 'members' THEN zanith._ddl_references(d -> 'references') ELSE '{}' END
                WHEN d ? 'column' THEN zanith._ddl_column_family(d, server_version) ELSE '{}' END
        || zanith._ddl_standalone(d, server_version) || ''::text || zanith._ddl_cascade(d, server_version);
    -- an empty line between groups, and none twice
    RETURN NULLIF(trim(BOTH E'\n' FROM regexp_replace(array_to_string(ARRAY(
        SELECT CASE WHEN s.sql = '' THEN '' ELSE rtrim(s.sql, E';\n') || ';' END FROM unnest(ddl) WITH ORDINALITY s(sql, ord) ORDER BY s.ord), E'\n'), E'\n{3,}', E'\n\n', 'g')), '');
END $$;

-- The same of what is there now by the name of an artifact, or by the name that it came back by; NULL where nothing is. Dependents that the artifact
-- did not drop are left out.
CREATE OR REPLACE FUNCTION zanith.ddl_now(artifact_id text) RETURNS text
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    d jsonb := zanith._describe_as(a, CASE WHEN a.restored_at IS NOT NULL THEN zanith._restored_as(artifact_id) END);
BEGIN
    RETURN zanith.definition_ddl(CASE WHEN a.definition ->> 'on_dependents' = 'cascade' THEN d ELSE d - 'cascade' END);
END $$;
