-- Triggers, policies and rules: what acts on the rows of a table.

CREATE OR REPLACE FUNCTION zanith._describe_triggers(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(jsonb_build_object(
        'name', t.tgname, 'definition', pg_get_triggerdef(t.oid),
        'enabled', CASE t.tgenabled WHEN 'O' THEN 'ENABLE' WHEN 'D' THEN 'DISABLE'
                                    WHEN 'R' THEN 'ENABLE REPLICA' WHEN 'A' THEN 'ENABLE ALWAYS' END,
        'builtin', t.tgqual IS NULL OR zanith._is_builtin('pg_trigger'::regclass, t.oid, t.tgfoid),
        'inherited', t.tgparentid <> 0,
        'columns', zanith._trigger_columns(t.oid),
        'comment', obj_description(t.oid, 'pg_trigger')) || zanith._describe_extensions('pg_trigger'::regclass, t.oid) ORDER BY t.tgname COLLATE "C")
    FROM pg_trigger t
    WHERE t.tgrelid = relation AND NOT t.tgisinternal AND t.tgfoid <> 'zanith.refuse_write()'::regprocedure
      -- the guard's
      AND t.tgfoid IS DISTINCT FROM to_regprocedure('zanith._guard_truncate()')
); END $$;

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
