-- Triggers, policies and rules: what acts on the rows of a table.

CREATE OR REPLACE FUNCTION zanith._fires_when(letter "char") RETURNS text
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE letter WHEN 'O' THEN 'ENABLE' WHEN 'D' THEN 'DISABLE' WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END
$$;

CREATE OR REPLACE FUNCTION zanith._describe_triggers(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object(
        'name', t.tgname, 'definition', pg_get_triggerdef(t.oid),
        'enabled', zanith._fires_when(t.tgenabled),
        'builtin', t.tgqual IS NULL OR zanith._is_builtin('pg_trigger'::regclass, t.oid, t.tgfoid),
        'inherited', t.tgparentid <> 0,
        'columns', zanith._trigger_columns(t.oid),
        'comment', obj_description(t.oid, 'pg_trigger')) || zanith._describe_extensions('pg_trigger'::regclass, t.oid) ORDER BY t.tgname COLLATE "C")
    FROM pg_trigger t
    WHERE t.tgrelid = relation AND NOT t.tgisinternal AND t.tgfoid <> 'zanith.refuse_write()'::regprocedure
      -- the guard's
      AND t.tgfoid IS DISTINCT FROM to_regprocedure('zanith._guard_truncate()')
); END $$;

-- {partitions: [{table, enabled}]} of a trigger: those that fire it otherwise than its table does; {} where none does.
CREATE OR REPLACE FUNCTION zanith._describe_trigger_states(trigger oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN COALESCE((
    WITH RECURSIVE family AS (
        SELECT t.oid, t.tgrelid, t.tgenabled, 0 AS depth FROM pg_trigger t WHERE t.oid = trigger
        UNION ALL SELECT c.oid, c.tgrelid, c.tgenabled, f.depth + 1 FROM family f JOIN pg_inherits i ON i.inhparent = f.tgrelid JOIN pg_trigger c ON c.tgrelid = i.inhrelid AND c.tgparentid = f.oid)
    SELECT jsonb_build_object('partitions', jsonb_agg(jsonb_build_object('table', zanith._relation_name(f.tgrelid), 'enabled', zanith._fires_when(f.tgenabled)) ORDER BY f.depth, f.tgrelid))
    FROM family f JOIN pg_trigger t ON t.oid = trigger WHERE f.tgenabled <> t.tgenabled HAVING count(*) > 0
), '{}'); END $$;

CREATE OR REPLACE FUNCTION zanith._trigger_columns(trigger oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(DISTINCT a.attname)
    FROM pg_trigger t
    JOIN pg_depend d ON d.classid = 'pg_trigger'::regclass AND d.objid = t.oid
                    AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.tgrelid
    JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = d.refobjsubid
    WHERE t.oid = trigger AND d.refobjsubid > 0
); END $$;

CREATE OR REPLACE FUNCTION zanith._describe_policies(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object(
        'name', p.polname, 'permissive', p.polpermissive,
        'command', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                 WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
        'roles', (SELECT jsonb_agg(CASE WHEN r.oid = 0 THEN NULL ELSE pg_get_userbyid(r.oid) END ORDER BY r.ord)
                  FROM unnest(p.polroles) WITH ORDINALITY r(oid, ord)),
        'using', pg_get_expr(p.polqual, p.polrelid),
        'check', pg_get_expr(p.polwithcheck, p.polrelid),
        'comment', obj_description(p.oid, 'pg_policy')) ORDER BY p.polname COLLATE "C")
    FROM pg_policy p WHERE p.polrelid = relation
); END $$;

CREATE OR REPLACE FUNCTION zanith._describe_rules(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object(
        'name', r.rulename, 'definition', pg_get_ruledef(r.oid),
        'enabled', CASE r.ev_enabled WHEN 'O' THEN 'ENABLE' WHEN 'D' THEN 'DISABLE'
                                     WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END,
        'comment', obj_description(r.oid, 'pg_rewrite')) ORDER BY r.rulename COLLATE "C")
    FROM pg_rewrite r WHERE r.ev_class = relation AND r.rulename <> '_RETURN'
); END $$;
