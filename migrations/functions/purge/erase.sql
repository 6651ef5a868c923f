-- The plan of an erasure: rows that some columns identify are deleted from the parked table, where the law demands it.

-- {object, target, columns, steps, count_sql, conflicts}; `$1` stands for the values of the columns, as texts in the order
-- given, `sets` times one after another: each set is of some rows. No value is in a plan, a log or the audit log. Values are
-- compared as PostgreSQL prints them (zanith._printed_as).
CREATE OR REPLACE FUNCTION zanith.plan_erasure(artifact_id text, columns text[], sets integer DEFAULT 1) RETURNS jsonb
LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp SET jit = off AS $$
DECLARE
    a zanith._zanith_migration_artifacts := zanith._artifact(artifact_id);
    place jsonb := zanith._place(a);
    root oid := (place ->> 'oid')::oid;
    target text := CASE WHEN place ? 'oid' THEN zanith._qualify(place ->> 'schema', place ->> 'table') END;
    has jsonb;
    matches text;
    source text;
    conflicts jsonb := '[]';
    other text;
BEGIN
    IF a.artifact_type = 'soft_drop_column' THEN
        PERFORM zanith._refuse(format('the values of %s are still in their table', zanith._object_name(a)),
            format('Erase them there: UPDATE %s SET %I = NULL WHERE …', target, place ->> 'column'), '0A000');
    ELSIF target IS NULL THEN
        PERFORM zanith._refuse(format('%s has no parked rows', zanith._object_name(a)), 'There are no rows to erase.', '55000');
    END IF;
    has := zanith._row_columns(a.definition);
    SELECT string_agg(quote_ident(c.name), ', ') INTO other FROM unnest(columns) c(name) WHERE NOT has ? c.name;
    IF other IS NOT NULL OR COALESCE(cardinality(columns), 0) = 0 THEN
        PERFORM zanith._refuse(COALESCE(format('the parked copy has no column %s', other), 'no column was named'),
            format('It has: %s.', (SELECT string_agg(quote_ident(c.name), ', ') FROM jsonb_array_elements_text(has) c(name))), '42703');
    END IF;
    IF a.held_by IS NOT NULL THEN
        conflicts := conflicts || zanith._conflict('held', format('%s is held by %s', zanith._object_name(a), zanith._signed(a.held_by, a.held_by_role)),
            format('Release it first: zanith recover release %s', a.id), '{}', a.held_reason);
    END IF;
    IF place ->> 'state' <> 'ok' THEN
        conflicts := conflicts || zanith._conflict('archive_moved', 'the parked object was renamed, moved or given to another role',
            'Move it back to its recorded place, then erase.', '{}', place ->> 'detail');
    END IF;
    SELECT string_agg(DISTINCT format('%I of %s', k.conname, zanith._relation_name(k.conrelid)), ', ') INTO other
    FROM pg_constraint k JOIN zanith._family(root) f ON f.member = k.confrelid
    WHERE k.contype = ANY (zanith._letters_of('reference')) AND k.conrelid NOT IN (SELECT g.member FROM zanith._family(root) g);
    IF other IS NOT NULL THEN
        conflicts := conflicts || zanith._conflict('dependents', 'foreign keys refer to the parked table, and deleting rows could change the referencing tables',
            'Remove these foreign keys first: ALTER TABLE … DROP CONSTRAINT ….', '{}', other);
    END IF;
    IF NOT pg_has_role((SELECT c.relowner FROM pg_class c WHERE c.oid = root), 'USAGE') THEN
        conflicts := conflicts || zanith._conflict('not_permitted', format('must be owner of %s', target),
            'Erase as its owner, as a member of that role, or as a superuser.');
    END IF;
    SELECT string_agg('(' || m.one || ')', ' OR ' ORDER BY m.number) INTO matches FROM (
        SELECT s.number, string_agg(zanith._printed_as(format('r.%I', c.name), ((s.number - 1) * cardinality(columns) + c.ord)::integer), ' AND ' ORDER BY c.ord) AS one
        FROM generate_series(1, sets) s(number), unnest(columns) WITH ORDINALITY c(name, ord) GROUP BY s.number) m;
    source := CASE WHEN a.definition ? 'members' THEN zanith._only(a.definition) ELSE 'ONLY ' END || target;
    RETURN jsonb_build_object(
        'artifact_id', a.id, 'object', zanith._object_name(a), 'target', target, 'columns', to_jsonb(columns), 'conflicts', conflicts,
        'count_sql', format('SELECT count(*) FROM %s r WHERE %s', source, matches),
        'steps', zanith._step(format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', source), 'Lock the parked table', 'ACCESS EXCLUSIVE', ARRAY[target])
            || zanith._render_triggers_still(root, true)
            || zanith._step(format('DELETE FROM %s r WHERE %s', source, matches), 'Delete the rows (their values are not recorded anywhere)', 'ROW EXCLUSIVE', ARRAY[target], true)
            || zanith._render_triggers_still(root, false)
            || zanith._step(format('VACUUM %s', target), 'Free the space of the deleted rows for new data', 'SHARE UPDATE EXCLUSIVE', ARRAY[target], true, 2));
END $$;

-- Triggers and rules of the parked table, those that refuse writes and the table's own: disabled, or again as they were. Read while they
-- are as they were, both times. A rule for DELETE would act with the operator's statement, or keep the rows.
CREATE OR REPLACE FUNCTION zanith._render_triggers_still(root oid, off boolean) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._step(
        format('ALTER TABLE ONLY %s %s %s %I', f.name, CASE WHEN off THEN 'DISABLE' ELSE CASE t.enabled WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA' ELSE 'ENABLE' END END,
               upper(t.kind), t.name),
        CASE WHEN off THEN format('Disable the %s %I for the deletion', t.kind, t.name) ELSE format('Enable the %s %I as it was', t.kind, t.name) END,
        CASE t.kind WHEN 'rule' THEN 'ACCESS EXCLUSIVE' ELSE 'SHARE ROW EXCLUSIVE' END, ARRAY[f.name]) -> 0 ORDER BY m.member, t.kind DESC, t.name)
    FROM zanith._family(root) m JOIN (
        SELECT 'trigger' AS kind, g.tgrelid AS relation, g.tgname AS name, g.tgenabled AS enabled FROM pg_trigger g WHERE NOT g.tgisinternal
        UNION ALL
        SELECT 'rule', r.ev_class, r.rulename, r.ev_enabled FROM pg_rewrite r) t ON t.relation = m.member AND t.enabled <> 'D',
         LATERAL zanith._relation_name(m.member) f(name)
); END $$;
