-- A recorded definition as the statements of SQL that create it, for people to read and compare. Nothing here is executed by Zanith: a restore has
-- steps of its own. Rows are not in it: no value, and not where a sequence stands.

-- The statements of some steps, without what only a restore does: guards, privileges (see _ddl_grants), positions and rows.
CREATE OR REPLACE FUNCTION zanith._ddl_of(steps jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ARRAY(
    SELECT s.item ->> 'sql' FROM zanith._each(steps) s
    WHERE s.item ->> 'sql' !~ '^(DO|GRANT|REVOKE|REFRESH|SELECT pg_catalog[.]setval[(]|SET LOCAL) ?' ORDER BY s.ord
); END $$;

-- Privileges on an object that was just created. `kind`: TABLE, SEQUENCE, ROUTINE or TYPE. What its owner and PUBLIC have by default is left out.
CREATE OR REPLACE FUNCTION zanith._ddl_grants(grants jsonb, kind text, object text, owner text, server_version integer) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    -- of any role: the privileges are the same
    usual aclitem[] := acldefault(CASE kind WHEN 'TABLE' THEN 'r' WHEN 'SEQUENCE' THEN 's' WHEN 'ROUTINE' THEN 'f' ELSE 'T' END::"char", 10);
    own jsonb := (SELECT jsonb_agg(x.privilege_type) FROM aclexplode(usual) x WHERE x.grantee <> 0 AND (x.privilege_type <> 'MAINTAIN' OR server_version >= 170000));
    of_public jsonb := (SELECT jsonb_agg(x.privilege_type) FROM aclexplode(usual) x WHERE x.grantee = 0);
    usual_owner boolean;
    usual_public boolean;
BEGIN
    IF COALESCE(grants, 'null') = 'null' THEN
        RETURN '{}';
    END IF;
    SELECT COALESCE(bool_or(g.item ->> 'grantee' = owner AND g.item -> 'privileges' @> own AND g.item -> 'privileges' <@ own AND g.item -> 'grantable' = '[]'), false),
           of_public IS NULL OR COALESCE(bool_or(g.item -> 'grantee' = 'null' AND g.item -> 'privileges' = of_public AND g.item -> 'grantable' = '[]'), false)
    INTO usual_owner, usual_public FROM zanith._each(grants) g;
    RETURN CASE WHEN usual_public THEN '{}' ELSE ARRAY[format('REVOKE ALL ON %s %s FROM PUBLIC', kind, object)] END
        || CASE WHEN usual_owner THEN '{}' ELSE ARRAY[format('REVOKE ALL ON %s %s FROM %I', kind, object, owner)] END
        || ARRAY(SELECT s.item ->> 'sql' FROM zanith._each(grants) g, LATERAL zanith._each(zanith._render_grants(jsonb_build_array(g.item), kind || ' ' || object, '')) s
                 WHERE NOT (usual_owner AND g.item ->> 'grantee' IS NOT DISTINCT FROM owner) AND NOT (of_public IS NOT NULL AND usual_public AND g.item -> 'grantee' = 'null')
                 ORDER BY g.ord, s.ord);
END $$;

-- Privileges on a column.
CREATE OR REPLACE FUNCTION zanith._ddl_column_grants(col jsonb, target text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN ARRAY(SELECT s.item ->> 'sql' FROM zanith._each(zanith._render_grants(col -> 'grants', 'TABLE ' || target, '', col ->> 'name')) s ORDER BY s.ord);
END $$;

-- The options of a sequence that are not the default ones of its type and direction.
CREATE OR REPLACE FUNCTION zanith._ddl_sequence_options(sequence jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    up boolean := (sequence ->> 'increment')::numeric > 0;
    greatest_value numeric := CASE sequence ->> 'type' WHEN 'smallint' THEN 32767 WHEN 'integer' THEN 2147483647 ELSE 9223372036854775807 END;
    lowest numeric := CASE WHEN up THEN 1 ELSE -greatest_value - 1 END;
    highest numeric := CASE WHEN up THEN greatest_value ELSE -1 END;
BEGIN RETURN concat_ws(' ',
    CASE WHEN (sequence ->> 'start')::numeric <> CASE WHEN up THEN sequence ->> 'min' ELSE sequence ->> 'max' END::numeric THEN 'START WITH ' || (sequence ->> 'start') END,
    CASE WHEN (sequence ->> 'increment')::numeric <> 1 THEN 'INCREMENT BY ' || (sequence ->> 'increment') END,
    CASE WHEN (sequence ->> 'min')::numeric <> lowest THEN 'MINVALUE ' || (sequence ->> 'min') END,
    CASE WHEN (sequence ->> 'max')::numeric <> highest THEN 'MAXVALUE ' || (sequence ->> 'max') END,
    CASE WHEN (sequence ->> 'cache')::numeric <> 1 THEN 'CACHE ' || (sequence ->> 'cache') END,
    CASE WHEN (sequence ->> 'cycle')::boolean THEN 'CYCLE' END);
END $$;

-- Comment and privileges of a sequence.
CREATE OR REPLACE FUNCTION zanith._ddl_sequence_care(sequence jsonb, server_version integer) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    name text := zanith._qualify(sequence ->> 'schema', sequence ->> 'name');
BEGIN
    RETURN zanith._ddl_of(zanith._render_comment(sequence ->> 'comment', 'SEQUENCE ' || name))
        || zanith._ddl_grants(sequence -> 'grants', 'SEQUENCE', name, sequence ->> 'owner', server_version);
END $$;

CREATE OR REPLACE FUNCTION zanith._ddl_create_sequence(sequence jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT concat_ws(' ', format('CREATE %sSEQUENCE %s', CASE WHEN sequence ->> 'persistence' = 'u' THEN 'UNLOGGED ' ELSE '' END, zanith._qualify(sequence ->> 'schema', sequence ->> 'name')),
        'AS ' || NULLIF(sequence ->> 'type', 'bigint'), NULLIF(zanith._ddl_sequence_options(sequence), ''))
$$;

-- Sequences that columns own, not those of identities: before the columns, whose defaults may call them.
CREATE OR REPLACE FUNCTION zanith._ddl_owned_sequences(columns jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ARRAY(
    SELECT s.sql FROM zanith._each(columns) c, LATERAL zanith._each(c.item -> 'sequences') x,
         LATERAL unnest(ARRAY[zanith._ddl_create_sequence(x.item), format('ALTER SEQUENCE %s OWNER TO %I', zanith._qualify(x.item ->> 'schema', x.item ->> 'name'), x.item ->> 'owner')])
             WITH ORDINALITY s(sql, ord)
    WHERE NOT (x.item ->> 'identity')::boolean ORDER BY c.ord, x.ord, s.ord
); END $$;

-- A column as CREATE TABLE and ADD COLUMN have it. `of_schema`, `of_table`: its table. `partition`: of a partition, whose names are not always those
-- that PostgreSQL would choose, and which has an identity from its parent (17).
CREATE OR REPLACE FUNCTION zanith._ddl_column(col jsonb, of_schema text, of_table text, partition boolean, server_version integer) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
    own jsonb := (SELECT x.item FROM zanith._each(col -> 'sequences') x WHERE (x.item ->> 'identity')::boolean LIMIT 1);
    named text := col #>> '{not_null,name}';
    options text := CASE WHEN own IS NOT NULL THEN concat_ws(' ',
        CASE WHEN own ->> 'schema' <> of_schema OR own ->> 'name' <> format('%s_%s_seq', of_table, col ->> 'name')
             THEN 'SEQUENCE NAME ' || zanith._qualify(own ->> 'schema', own ->> 'name') END, NULLIF(zanith._ddl_sequence_options(own), '')) END;
BEGIN RETURN concat_ws(' ', quote_ident(col ->> 'name'), col ->> 'type', 'COLLATE ' || (col ->> 'collation'),
    CASE WHEN COALESCE(col -> 'generated', 'null') <> 'null'
             THEN format('GENERATED ALWAYS AS (%s) %s', zanith._round_trip_safe(col #>> '{generated,expression}'), col #>> '{generated,kind}')
         WHEN own IS NOT NULL AND NOT (partition AND server_version >= 170000) THEN format('GENERATED %s AS IDENTITY', col ->> 'identity') || COALESCE(' (' || NULLIF(options, '') || ')', '')
         WHEN col ->> 'default' IS NOT NULL THEN 'DEFAULT ' || zanith._round_trip_safe(col ->> 'default') END,
    -- one that is not valid is added by itself
    CASE WHEN COALESCE(col -> 'not_null', 'null') = 'null' OR NOT COALESCE((col #>> '{not_null,validated}')::boolean, true) THEN NULL
         ELSE COALESCE('CONSTRAINT ' || quote_ident(CASE WHEN partition OR named <> format('%s_%s_not_null', of_table, col ->> 'name') THEN named END) || ' ', '') || 'NOT NULL'
              || CASE WHEN (col #>> '{not_null,no_inherit}')::boolean THEN ' NO INHERIT' ELSE '' END END);
END $$;

-- What a column has besides: settings, comments, privileges, what it owns. `alone`: 'ONLY ' where children have the column too.
CREATE OR REPLACE FUNCTION zanith._ddl_column_care(col jsonb, target text, alone text, server_version integer) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN
    CASE WHEN (col #>> '{not_null,validated}')::boolean IS NOT FALSE THEN '{}'
         ELSE ARRAY[format('ALTER TABLE %s ADD CONSTRAINT %I NOT NULL %I%s NOT VALID', target, col #>> '{not_null,name}', col ->> 'name',
                           CASE WHEN (col #>> '{not_null,no_inherit}')::boolean THEN ' NO INHERIT' ELSE '' END)] END
    || zanith._ddl_of(zanith._render_comment(col #>> '{not_null,comment}', concat('CONSTRAINT ', quote_ident(col #>> '{not_null,name}'), ' ON ', target))
        || zanith._render_column_settings(col, alone, target, col ->> 'name')
        || zanith._render_comment(col ->> 'comment', format('COLUMN %s.%I', target, col ->> 'name')))
    || ARRAY(SELECT s.sql FROM zanith._each(col -> 'sequences') x, LATERAL unnest(
             CASE WHEN (x.item ->> 'identity')::boolean THEN '{}'
                  ELSE ARRAY[format('ALTER SEQUENCE %s OWNED BY %s.%I', zanith._qualify(x.item ->> 'schema', x.item ->> 'name'), target, col ->> 'name')] END
             || zanith._ddl_sequence_care(x.item, server_version)) WITH ORDINALITY s(sql, ord) ORDER BY x.ord, s.ord)
    || zanith._ddl_column_grants(col, target);
END $$;

-- A constraint, as it was: NOT VALID where it was not validated.
CREATE OR REPLACE FUNCTION zanith._ddl_constraint(con jsonb, schema_name text, target text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN
    RETURN zanith._ddl_of(zanith._render_constraint(con, schema_name, target,
        CASE WHEN NOT zanith._constraint_is(con, 'reference') THEN NULL
             ELSE zanith._qualify(con #>> '{foreign_key,schema}', con #>> '{foreign_key,table}') END,
        true, (con ->> 'validated')::boolean));
END $$;

-- The constraints of a list that come at one place in the order of creation.
CREATE OR REPLACE FUNCTION zanith._ddl_constraints(constraints jsonb, nth integer, schema_name text, target text, inherited boolean) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ARRAY(
    SELECT s.sql FROM zanith._each(constraints) k JOIN zanith._constraint_kinds() f ON f.kind = k.item ->> 'kind' AND f.place = nth,
         LATERAL unnest(zanith._ddl_constraint(k.item, schema_name, target)) WITH ORDINALITY s(sql, ord)
    WHERE inherited OR NOT (k.item ->> 'inherited')::boolean ORDER BY k.ord, s.ord
); END $$;

-- Constraints or indexes of a table in the order in which those of its parents take them up: of two alike, the first takes the first.
CREATE OR REPLACE FUNCTION zanith._ddl_sorted(items jsonb, schema_name text, tops jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(i.item ORDER BY COALESCE((tops ->> zanith._qualify(schema_name, i.item ->> 'name'))::integer, 0), i.ord) FROM zanith._each(items) i
); END $$;

-- {name: where the index at the top of its tree stands} of a table and those beneath it.
CREATE OR REPLACE FUNCTION zanith._ddl_tops(d jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (SELECT COALESCE(jsonb_object_agg(t.name, t.top), '{}') FROM zanith._topmost_indexes(d) t); END $$;

-- Indexes that an invalid index of a partitioned table has: it takes up none by itself.
CREATE OR REPLACE FUNCTION zanith._ddl_attached_indexes(d jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ARRAY(
    SELECT format('ALTER INDEX %s ATTACH PARTITION %s', y.item ->> 'parent', zanith._qualify(c.part ->> 'schema', y.item ->> 'name'))
    FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'indexes') i, zanith._parts(d) c, LATERAL zanith._each(c.part -> 'indexes') y
    WHERE NOT (i.item ->> 'valid')::boolean AND y.item ->> 'parent' = zanith._qualify(p.part ->> 'schema', i.item ->> 'name') ORDER BY p.ord, i.ord, c.ord, y.ord
); END $$;

-- Indexes and statistics objects. `whole`: those alone that are valid, or else those alone that are not.
CREATE OR REPLACE FUNCTION zanith._ddl_indexes(indexes jsonb, schema_name text, target text, whole boolean) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ARRAY(
    SELECT s.sql FROM zanith._each(indexes) i, LATERAL unnest(zanith._ddl_of(zanith._render_index(i.item, schema_name, target))) WITH ORDINALITY s(sql, ord)
    WHERE whole = ((i.item ->> 'valid')::boolean OR NOT COALESCE((i.item ->> 'partitioned')::boolean, false)) ORDER BY i.ord, s.ord
); END $$;

CREATE OR REPLACE FUNCTION zanith._ddl_statistics(statistics jsonb) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN ARRAY(
    SELECT s.sql FROM zanith._each(statistics) i, LATERAL unnest(zanith._ddl_of(zanith._render_statistics(i.item))) WITH ORDINALITY s(sql, ord) ORDER BY i.ord, s.ord
); END $$;

-- Triggers, rules and policies. Those that a partition has from its parent come with that: only their state and comment are said.
CREATE OR REPLACE FUNCTION zanith._ddl_acting(t jsonb, target text) RETURNS text[]
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN
    ARRAY(SELECT s.sql FROM zanith._each(t -> 'triggers') x, LATERAL unnest(zanith._ddl_of(
              CASE WHEN NOT COALESCE((x.item ->> 'inherited')::boolean, false) THEN zanith._render_trigger(x.item, target)
                   ELSE zanith._step(format('ALTER TABLE ONLY %s %s TRIGGER %I', target, x.item ->> 'enabled', x.item ->> 'name'), '')
                        || zanith._render_comment(x.item ->> 'comment', format('TRIGGER %I ON %s', x.item ->> 'name', target)) END)) WITH ORDINALITY s(sql, ord)
          ORDER BY x.ord, s.ord)
    || ARRAY(SELECT s.sql FROM zanith._each(t -> 'rules') x, LATERAL unnest(zanith._ddl_of(zanith._render_rule(x.item, target))) WITH ORDINALITY s(sql, ord) ORDER BY x.ord, s.ord)
    || ARRAY(SELECT s.sql FROM zanith._each(t -> 'policies') x, LATERAL unnest(zanith._ddl_of(zanith._render_policy(x.item, target))) WITH ORDINALITY s(sql, ord) ORDER BY x.ord, s.ord);
END $$;
