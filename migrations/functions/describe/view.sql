-- Views and materialized views.

CREATE OR REPLACE FUNCTION zanith._describe_view(relation oid) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT jsonb_build_object(
        'schema', n.nspname, 'name', c.relname, 'owner', pg_get_userbyid(c.relowner),
        'materialized', c.relkind = 'm',
        'definition', rtrim(pg_get_viewdef(c.oid), ';'),
        'builtin', (SELECT COALESCE(bool_and(zanith._is_builtin('pg_rewrite'::regclass, r.oid)), true) FROM pg_rewrite r WHERE r.ev_class = c.oid),
        'populated', c.relispopulated,
        'options', zanith._user_options(to_jsonb(c.reloptions), false),
        'access_method', (SELECT amname FROM pg_am WHERE oid = c.relam),
        'tablespace', (SELECT spcname FROM pg_tablespace WHERE oid = c.reltablespace),
        'columns', zanith._describe_columns(c.oid),
        'indexes', zanith._describe_indexes(c.oid),
        'statistics', zanith._describe_statistics(c.oid),
        'triggers', zanith._describe_triggers(c.oid),
        'rules', zanith._describe_rules(c.oid),
        'grants', zanith._describe_grants(c.relacl, 'r', c.relowner),
        'comment', obj_description(c.oid, 'pg_class')) || zanith._describe_extensions('pg_class'::regclass, c.oid)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.oid = relation AND c.relkind IN ('v', 'm')
); END $$;
