-- What a cascade drops and a restore makes again: views, functions, policies, triggers, rules, defaults of other tables,
-- membership in publications, and columns that are generated from the one that goes.

-- Views and functions in the order in which they can be made: {kind, item}. Records of earlier versions have views alone.
CREATE OR REPLACE FUNCTION zanith._cascade_objects(cascade jsonb) RETURNS TABLE (ord bigint, kind text, item jsonb)
LANGUAGE sql IMMUTABLE ROWS 3 AS $$
    SELECT o.ord, o.item ->> 0, cascade -> (o.item ->> 0) -> (o.item ->> 1)::integer
    FROM zanith._each(COALESCE(cascade -> 'order', (SELECT jsonb_agg(jsonb_build_array('views', v.ord - 1) ORDER BY v.ord)
                                                    FROM zanith._each(cascade -> 'views') v))) o
$$;

CREATE OR REPLACE FUNCTION zanith._render_cascade_drop(cascade jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT (SELECT zanith._list(zanith._step(format('DROP %s %I ON %s', upper(k.kind), d.item ->> 'name', d.item ->> 'table'),
                format('Drop a dependent %s (recorded)', k.kind), 'ACCESS EXCLUSIVE', ARRAY[d.item ->> 'table']) -> 0 ORDER BY k.ord, d.ord)
            FROM (VALUES (1, 'policy', 'policies'), (2, 'trigger', 'triggers'), (3, 'rule', 'rules')) k(ord, kind, list),
                 LATERAL zanith._each(cascade -> k.list) d)
        || zanith._render_unpublish(cascade -> 'publications')
        || (SELECT zanith._list(zanith._step(format('ALTER TABLE ONLY %s ALTER COLUMN %I DROP DEFAULT', d.item ->> 'table', d.item ->> 'column'),
                'Drop a dependent default (recorded)', 'ACCESS EXCLUSIVE', ARRAY[d.item ->> 'table']) -> 0 ORDER BY d.ord)
            FROM zanith._each(cascade -> 'defaults') d)
        || (SELECT zanith._list(CASE o.kind WHEN 'functions'
                THEN zanith._step(format('DROP ROUTINE %s', o.item ->> 'name'), 'Drop a dependent function (recorded)')
                ELSE zanith._step(format('DROP %sVIEW %s', CASE WHEN (o.item ->> 'materialized')::boolean THEN 'MATERIALIZED ' ELSE '' END, q.name),
                    'Drop a dependent view (recorded)', 'ACCESS EXCLUSIVE', ARRAY[q.name]) END -> 0 ORDER BY o.ord DESC)
            FROM zanith._cascade_objects(cascade) o,
                 LATERAL (SELECT zanith._qualify(o.item ->> 'schema', o.item ->> 'name')) q(name))
); END $$;

-- Columns that are generated from the one that goes: after all that names both was lifted.
CREATE OR REPLACE FUNCTION zanith._render_generated_drop(cascade jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY c.ord DESC, s.ord)
    FROM zanith._each(cascade -> 'columns') c,
         LATERAL (SELECT zanith._qualify(c.item #>> '{table,schema}', c.item #>> '{table,name}')) q(target),
         LATERAL zanith._each(zanith._render_parts_off(c.item, '[]')
            || zanith._step(format('ALTER TABLE %s DROP COLUMN %I', q.target, c.item #>> '{column,name}'),
                'Drop a column that is generated from it (recorded)', 'ACCESS EXCLUSIVE', ARRAY[q.target])) s
); END $$;

-- Whose expression comes back on a table that stays: its owner's of today, where the plan has found that it may (handed_over.sql). A script knows but
-- the owner of that time.
CREATE OR REPLACE FUNCTION zanith._acting_owner(d jsonb, table_name text, in_script boolean) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN
    RETURN CASE WHEN in_script AND table_name = zanith._qualify(d #>> '{table,schema}', d #>> '{table,name}') THEN d #>> '{table,owner}'
                ELSE COALESCE(CASE WHEN in_script THEN zanith._partner_owner(d, table_name) END, zanith._owner_of(table_name)) END;
END $$;

CREATE OR REPLACE FUNCTION zanith._render_cascade_restore(of jsonb, in_script boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF NOT of @? '$.cascade.*[*]' THEN
        RETURN '[]';
    END IF;
    RETURN (
    SELECT (SELECT zanith._list(s.item ORDER BY o.ord, s.ord)
            FROM zanith._cascade_objects(of -> 'cascade') o,
                 LATERAL zanith._each(CASE o.kind WHEN 'functions' THEN zanith._routine_by_owner(o.item) ELSE zanith._render_view(o.item) END) s)
        || (SELECT zanith._list(zanith._made_by('{}', zanith._acting_owner(of, d.item ->> 'table', in_script),
                zanith._step(format('ALTER TABLE ONLY %s ALTER COLUMN %I SET DEFAULT %s', d.item ->> 'table', d.item ->> 'column', zanith._round_trip_safe(d.item ->> 'default')),
                'Set a default that was dropped with the column', 'ACCESS EXCLUSIVE', ARRAY[d.item ->> 'table'])) -> 0 ORDER BY d.ord)
            FROM zanith._each(of #> '{cascade,defaults}') d)
        || (SELECT zanith._list(s.item ORDER BY d.ord, s.ord)
            FROM zanith._each(of #> '{cascade,rules}') d,
                 LATERAL zanith._each(zanith._made_by('{}', zanith._acting_owner(of, d.item ->> 'table', in_script), zanith._render_rule(d.item, d.item ->> 'table'))) s)
        || (SELECT zanith._list(s.item ORDER BY d.ord, s.ord)
            FROM zanith._each(of #> '{cascade,triggers}') d,
                 LATERAL zanith._each(zanith._made_by(d.item, zanith._acting_owner(of, d.item ->> 'table', in_script), zanith._render_trigger(d.item, d.item ->> 'table'))) s)
        || (SELECT zanith._list(zanith._made_by('{}', zanith._acting_owner(of, p.item ->> 'table', in_script),
                zanith._step(format('ALTER TABLE IF EXISTS ONLY %s %s TRIGGER %I', p.item ->> 'table', p.item ->> 'enabled', d.item ->> 'name'),
                'Set the state of the trigger in a partition', 'SHARE ROW EXCLUSIVE', ARRAY[p.item ->> 'table'])) -> 0 ORDER BY d.ord, p.ord)
            FROM zanith._each(of #> '{cascade,triggers}') d, LATERAL zanith._each(COALESCE(d.item -> 'partitions', '[]')) p
            -- one that was dropped or detached since has no such trigger
            WHERE in_script OR to_regclass(d.item ->> 'table') IN (SELECT a.relid FROM pg_partition_ancestors(to_regclass(p.item ->> 'table')) a))
        || (SELECT zanith._list(s.item ORDER BY d.ord, s.ord)
            FROM zanith._each(of #> '{cascade,policies}') d,
                 LATERAL zanith._each(zanith._made_by('{}', zanith._acting_owner(of, d.item ->> 'table', in_script), zanith._render_policy(d.item, d.item ->> 'table'))) s)
        -- after the policies, which the queries obey
        || (SELECT zanith._list(s.item ORDER BY o.ord, s.ord)
            FROM zanith._cascade_objects(of -> 'cascade') o, LATERAL zanith._each(zanith._render_refresh(o.item)) s WHERE o.kind <> 'functions')
        || zanith._render_publish(of #> '{cascade,publications}')
); END $$;
