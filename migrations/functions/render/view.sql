-- Views and materialized views that a cascade dropped.

CREATE OR REPLACE FUNCTION zanith._render_view(view jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._made_by(view, view ->> 'owner', zanith._step(
            format('CREATE %sVIEW %s%s%s%s AS %s%s', CASE WHEN q.mat THEN 'MATERIALIZED ' ELSE '' END, q.name,
                CASE WHEN q.mat AND view ->> 'access_method' <> 'heap'
                     THEN format(' USING %I', view ->> 'access_method') ELSE '' END,
                COALESCE(' WITH (' || q.options || ')', ''),
                CASE WHEN q.mat AND view ->> 'tablespace' IS NOT NULL
                     THEN format(' TABLESPACE %I', view ->> 'tablespace') ELSE '' END,
                zanith._round_trip_safe(view ->> 'definition'),
                CASE WHEN q.mat THEN ' WITH NO DATA' ELSE '' END),
            format('Create the %s %s', q.kind, q.name), 'ACCESS SHARE', ARRAY[q.name]))
        || zanith._step(format('ALTER %s %s OWNER TO %I', upper(q.kind), q.name, view ->> 'owner'), 'Set the owner of the view')
        || (SELECT zanith._list(s.step ORDER BY c.ord, s.ord)
            FROM zanith._each(view -> 'columns') c,
                 LATERAL zanith._each(
                    CASE WHEN q.mat THEN zanith._render_column_settings(c.item - 'compression', '', q.name, c.item ->> 'name')
                         ELSE zanith._as_owner(view ->> 'owner', zanith._render_default(c.item, '', q.name, c.item ->> 'name')) END
                    || zanith._render_comment(c.item ->> 'comment', format('COLUMN %s.%I', q.name, c.item ->> 'name'))
                 ) s(step, ord))
        || (SELECT zanith._list(s.step ORDER BY i.ord, s.ord)
            FROM zanith._each(view -> 'indexes') i,
                 LATERAL zanith._each(zanith._made_by(i.item, view ->> 'owner', zanith._render_index(i.item, view ->> 'schema', q.name))) s(step, ord))
        || (SELECT zanith._list(s.step ORDER BY t.ord, s.ord)
            FROM zanith._each(view -> 'statistics') t,
                 LATERAL zanith._each(zanith._made_by(t.item, view ->> 'owner', zanith._render_statistics(t.item))) s(step, ord))
        || (SELECT zanith._list(s.step ORDER BY t.ord, s.ord)
            FROM zanith._each(view -> 'triggers') t,
                 LATERAL zanith._each(zanith._made_by(t.item, view ->> 'owner', zanith._render_trigger(t.item, q.name))) s(step, ord))
        || (SELECT zanith._list(s.step ORDER BY t.ord, s.ord)
            FROM zanith._each(view -> 'rules') t,
                 LATERAL zanith._each(zanith._made_by('{}', view ->> 'owner', zanith._render_rule(t.item, q.name))) s(step, ord))
        || zanith._render_comment(view ->> 'comment', upper(q.kind) || ' ' || q.name)
        || zanith._render_extensions(view -> 'extensions', upper(q.kind) || ' ' || q.name, ARRAY[q.name])
        || zanith._render_relation_grants_anew(view -> 'grants', 'TABLE', q.name, view ->> 'owner')
        || (SELECT zanith._list(s.step ORDER BY c.ord, s.ord)
            FROM zanith._each(view -> 'columns') c,
                 LATERAL zanith._each(zanith._render_grants(c.item -> 'grants', 'TABLE ' || q.name, view ->> 'owner',
                                                            c.item ->> 'name', true)) s(step, ord))
    FROM (SELECT zanith._qualify(view ->> 'schema', view ->> 'name'),
                 (view ->> 'materialized')::boolean,
                 CASE WHEN (view ->> 'materialized')::boolean THEN 'materialized view' ELSE 'view' END,
                 zanith._option_list(view -> 'options')
    ) q(name, mat, kind, options)
); END $$;

-- The rows of a materialized view that had some. Its query runs as the owner then, not as the operator.
CREATE OR REPLACE FUNCTION zanith._render_refresh(view jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN (view ->> 'materialized')::boolean AND (view ->> 'populated')::boolean
        THEN zanith._under_policies(zanith._building(ARRAY['the view ' || q.name],
            zanith._step(format('REFRESH MATERIALIZED VIEW %s', q.name), 'Compute the rows of the materialized view', 'ACCESS EXCLUSIVE', ARRAY[q.name], true),
            false, view ->> 'owner', jsonb_build_object('view', q.name, 'definition', view ->> 'definition')))
        ELSE '[]' END
    FROM (SELECT zanith._qualify(view ->> 'schema', view ->> 'name')) q(name)
); END $$;

-- Steps that evaluate a query under the policies of its tables, as a REFRESH of the user's does. A restore and a script set row_security = off
-- for all other steps: PostgreSQL then refuses a query whose rows a policy would filter.
CREATE OR REPLACE FUNCTION zanith._under_policies(steps jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_class WHERE relrowsecurity) THEN
        RETURN steps;
    END IF;
    RETURN zanith._step('SET LOCAL row_security = on', 'Apply row security, as a REFRESH does') || steps
        || zanith._step('SET LOCAL row_security = off', 'Refuse filtered rows again');
END $$;
