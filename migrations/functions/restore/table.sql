-- Restoring a table: its tree comes back by name and place, then everything that was detached.

-- The name a part of the table comes back under: its own, or, when the table is restored under another name and its
-- own is taken by now, one made of both.
CREATE OR REPLACE FUNCTION zanith._name_back(kind text, schema_name text, name text, as_name text) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN as_name IS NOT NULL AND CASE kind WHEN 'statistics'
                    THEN EXISTS (SELECT FROM pg_statistic_ext s JOIN pg_namespace n ON n.oid = s.stxnamespace
                                 WHERE n.nspname = schema_name AND s.stxname = name)
                    ELSE zanith._relation_oid(schema_name, name) IS NOT NULL END
                THEN zanith._clip(as_name || '_' || name, 63) ELSE name END
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_restore_table(d jsonb, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE',
                (SELECT string_agg('ONLY ' || zanith._qualify(m.item ->> 'parked_schema', m.item ->> 'parked'), ', ' ORDER BY m.ord)
                 FROM zanith._each(d -> 'members') m)),
            'hold what is parked for the change', 'ACCESS EXCLUSIVE',
            (SELECT array_agg(zanith._qualify(m.item ->> 'parked_schema', m.item ->> 'parked') ORDER BY m.ord)
             FROM zanith._each(d -> 'members') m))
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY m.ord, s.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(
                zanith._render_member_back(m.item, CASE WHEN m.ord = 1 THEN q.final ELSE m.item ->> 'name' END, q.as_name)) s), '[]')
        || zanith._render_attach(d, q.target)
        || zanith._render_inherit(d, q.target)
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY m.ord, s.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(
                zanith._render_publish(m.item #> '{definition,publications}', zanith._member_name(d, m.ord, q.final))) s), '[]')
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY m.ord, k.ord, s.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item #> '{definition,constraints}') k,
                 LATERAL zanith._each(zanith._constraint_by_owner(k.item, m.item #>> '{definition,owner}', m.item ->> 'schema',
                    zanith._member_name(d, m.ord, q.final), zanith._referenced_name(d, k.item, q.final), q.not_valid,
                    (m.item #>> '{definition,partitioned}')::boolean
                        AND current_setting('server_version_num')::integer < 180000)) s
            WHERE k.item ->> 'kind' = 'foreign key' AND NOT (k.item ->> 'inherited')::boolean), '[]')
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY k.ord, s.ord)
            FROM zanith._each(d -> 'references') k, LATERAL zanith._each(
                zanith._constraint_by_owner(k.item, zanith._owner_of(zanith._qualify(k.item ->> 'schema', k.item ->> 'table')), k.item ->> 'schema',
                    zanith._qualify(k.item ->> 'schema', k.item ->> 'table'), zanith._referenced_name(d, k.item, q.final),
                    q.not_valid, zanith._wants_proof_at_once(k.item ->> 'schema', k.item ->> 'table'))) s), '[]')
        || CASE WHEN q.as_name IS NULL THEN zanith._render_cascade_restore(d -> 'cascade') ELSE '[]' END
    FROM (SELECT choices ->> 'as', COALESCE(choices ->> 'as', d #>> '{table,name}'),
                 zanith._qualify(d #>> '{table,schema}', COALESCE(choices ->> 'as', d #>> '{table,name}')),
                 COALESCE((choices ->> 'not_valid')::boolean, false)) q(as_name, final, target, not_valid)
); END $$;

-- The qualified name of the n-th table of the tree as it will be called.
CREATE OR REPLACE FUNCTION zanith._member_name(d jsonb, ordinal bigint, root_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._qualify(d -> 'members' -> (ordinal - 1)::integer ->> 'schema',
                           CASE WHEN ordinal = 1 THEN root_name
                                ELSE d -> 'members' -> (ordinal - 1)::integer ->> 'name' END)
$$;

-- What a foreign key refers to, by the name it will have then.
CREATE OR REPLACE FUNCTION zanith._referenced_name(d jsonb, con jsonb, root_name text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN con #>> '{foreign_key,schema}' = d #>> '{table,schema}'
                 AND con #>> '{foreign_key,table}' = d #>> '{table,name}'
                THEN zanith._qualify(d #>> '{table,schema}', root_name)
                ELSE zanith._qualify(con #>> '{foreign_key,schema}', con #>> '{foreign_key,table}') END
$$;

CREATE OR REPLACE FUNCTION zanith._render_member_back(m jsonb, final text, as_name text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._render_refusal_end(q.parked, (m #>> '{definition,partitioned}')::boolean)
        || CASE WHEN m ->> 'parked_schema' = m ->> 'schema' THEN '[]' ELSE zanith._step(
            format('ALTER TABLE %s SET SCHEMA %I', q.parked, m ->> 'schema'),
            'out of the shadow; no rows move', 'ACCESS EXCLUSIVE', ARRAY[q.parked]) END
        || zanith._step(format('ALTER TABLE %s RENAME TO %I', zanith._qualify(m ->> 'schema', m ->> 'parked'), final),
            'the table, by name', 'ACCESS EXCLUSIVE', ARRAY[q.parked])
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY r.ord, s.ord)
            FROM zanith._each(m -> 'renames') r, LATERAL zanith._each(zanith._render_renames(
                jsonb_build_array(r.item || jsonb_build_object('name',
                    zanith._name_back(r.item ->> 'kind', r.item ->> 'schema', r.item ->> 'name', as_name))), NULL, true)) s), '[]')
        || zanith._step(format('COMMENT ON TABLE %s IS %s', q.target, COALESCE(quote_literal(m #>> '{definition,comment}'), 'NULL')),
            'its own comment')
        || CASE WHEN (m #>> '{definition,force_row_security}')::boolean THEN zanith._step(
            format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', q.target),
            'row security binds the owner again', 'ACCESS EXCLUSIVE', ARRAY[q.target]) ELSE '[]' END
        || zanith._render_grants(m #> '{definition,grants}', 'TABLE ' || q.target, q.owner)
        || COALESCE((SELECT jsonb_agg(s.item ORDER BY c.ord, s.ord)
            FROM zanith._each(m #> '{definition,columns}') c, LATERAL zanith._each(
                zanith._render_grants(c.item -> 'grants', 'TABLE ' || q.target, q.owner, c.item ->> 'name')
                || COALESCE((SELECT jsonb_agg(g.item ORDER BY x.ord, g.ord)
                    FROM zanith._each(c.item -> 'sequences') x, LATERAL zanith._each(zanith._render_grants(
                        x.item -> 'grants', 'SEQUENCE ' || zanith._qualify(x.item ->> 'schema',
                            zanith._name_back('sequence', x.item ->> 'schema', x.item ->> 'name', as_name)), q.owner)) g), '[]')
            ) s), '[]')
    FROM (SELECT zanith._qualify(m ->> 'schema', final), zanith._qualify(m ->> 'parked_schema', m ->> 'parked'),
                 m #>> '{definition,owner}') q(target, parked, owner)
); END $$;

-- Whether ATTACH PARTITION may call what an owner wrote: in a partition key, in a bound, or in a check that could spare the scan.
CREATE OR REPLACE FUNCTION zanith._attaching_calls_code(d jsonb, parent jsonb) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    above oid := zanith._relation_oid(parent ->> 'schema', parent ->> 'name');
    parked oid := zanith._relation_oid(d #>> '{parked,schema}', d #>> '{parked,table}');
BEGIN
    RETURN zanith._key_calls_code(above) OR zanith._find_foreign_code(above) IS NOT NULL OR zanith._find_foreign_code(parked) IS NOT NULL;
END $$;

CREATE OR REPLACE FUNCTION zanith._owner_of_table(named jsonb) RETURNS text
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT pg_get_userbyid(c.relowner) FROM pg_class c WHERE c.oid = zanith._relation_oid(named ->> 'schema', named ->> 'name')
); END $$;

-- A partition back on its parent; triggers that the parent clones, all the way down, come back in the state they had.
CREATE OR REPLACE FUNCTION zanith._render_attach(d jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT CASE WHEN COALESCE(q.at, 'null') = 'null' THEN '[]' ELSE
        -- by whoever owns both: a check may be added to what is parked before this runs
        zanith._guarding(ARRAY[q.parent, target], zanith._as_owner(CASE WHEN zanith._attaching_calls_code(d, q.at) OR zanith._owner_of_table(q.at) = d #>> '{table,owner}' THEN d #>> '{table,owner}' END, zanith._step(
            format('ALTER TABLE %s ATTACH PARTITION %s %s', q.parent, target, q.at ->> 'bound'),
            'back on its parent, with its bound', 'ACCESS EXCLUSIVE', ARRAY[q.parent, target], true)))
        || COALESCE((SELECT jsonb_agg(zanith._step(
                format('ALTER TABLE ONLY %s %s TRIGGER %I', w.name, t.item ->> 'enabled', t.item ->> 'name'),
                'the state of a trigger that the parent gives it', 'SHARE ROW EXCLUSIVE', ARRAY[w.name]) -> 0 ORDER BY m.ord, t.ord)
            FROM zanith._each(d -> 'members') m, LATERAL zanith._each(m.item #> '{definition,triggers}') t,
                 LATERAL (SELECT CASE WHEN m.ord = 1 THEN target ELSE zanith._qualify(m.item ->> 'schema', m.item ->> 'name') END) w(name)
            WHERE (t.item ->> 'inherited')::boolean), '[]') END
    FROM (SELECT d #> '{members,0,definition,partition_of}',
                 zanith._qualify(d #>> '{members,0,definition,partition_of,schema}',
                                 d #>> '{members,0,definition,partition_of,name}')) q(at, parent)
); END $$;

-- The parents of a table that inherits, instead of the placeholders.
CREATE OR REPLACE FUNCTION zanith._render_inherit(d jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT COALESCE(jsonb_agg(s.item ORDER BY s.part, p.ord, s.ord), '[]')
    FROM zanith._each(d -> 'placeholders') p,
         LATERAL (SELECT zanith._qualify(p.item ->> 'schema', p.item ->> 'name'),
                         zanith._qualify(d #>> '{parked,schema}', p.item ->> 'parked')) q(parent, placeholder),
         LATERAL (
            SELECT 1 AS part, e.item, e.ord FROM zanith._each(
                zanith._step(format('ALTER TABLE %s INHERIT %s', target, q.parent),
                    'its rows are its parent''s again', 'ACCESS EXCLUSIVE', ARRAY[q.parent, target])) e
            UNION ALL
            SELECT 2, e.item, e.ord FROM zanith._each(
                zanith._step(format('ALTER TABLE %s NO INHERIT %s', target, q.placeholder), 'the stand-in has served', 'ACCESS EXCLUSIVE', ARRAY[target])
                || zanith._step(format('DROP TABLE %s', q.placeholder), 'the stand-in goes', 'ACCESS EXCLUSIVE')) e) s
); END $$;
