-- Triggers, policies and rules.

CREATE OR REPLACE FUNCTION zanith._render_trigger(trigger jsonb, target text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._step(zanith._round_trip_safe(trigger ->> 'definition'), format('Create the trigger %I', trigger ->> 'name'),
                        'SHARE ROW EXCLUSIVE', ARRAY[target])
        || CASE WHEN trigger ->> 'enabled' = 'ENABLE' THEN '[]'
                ELSE zanith._step(format('ALTER TABLE %s %s TRIGGER %I', target, trigger ->> 'enabled',
                                         trigger ->> 'name'),
                                  'Set its state', 'SHARE ROW EXCLUSIVE', ARRAY[target]) END
        || zanith._render_comment(trigger ->> 'comment', format('TRIGGER %I ON %s', trigger ->> 'name', target))
        || zanith._render_extensions(trigger -> 'extensions', format('TRIGGER %I ON %s', trigger ->> 'name', target), ARRAY[target])
$$;

CREATE OR REPLACE FUNCTION zanith._render_policy(policy jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._step(
            format('CREATE POLICY %I ON %s AS %s FOR %s TO %s%s%s', policy ->> 'name', target,
                CASE WHEN (policy ->> 'permissive')::boolean THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
                policy ->> 'command',
                (SELECT string_agg(COALESCE(quote_ident(r.name), 'PUBLIC'), ', ' ORDER BY r.ord)
                 FROM jsonb_array_elements_text(policy -> 'roles') WITH ORDINALITY r(name, ord)),
                COALESCE(' USING (' || zanith._round_trip_safe(policy ->> 'using') || ')', ''),
                COALESCE(' WITH CHECK (' || zanith._round_trip_safe(policy ->> 'check') || ')', '')),
            format('Create the policy %I', policy ->> 'name'), 'ACCESS EXCLUSIVE', ARRAY[target])
        || zanith._render_comment(policy ->> 'comment', format('POLICY %I ON %s', policy ->> 'name', target))
); END $$;

CREATE OR REPLACE FUNCTION zanith._render_rule(rule jsonb, target text) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT zanith._step(rtrim(zanith._round_trip_safe(rule ->> 'definition'), ';'), format('Create the rule %I', rule ->> 'name'),
                        'ACCESS EXCLUSIVE', ARRAY[target])
        || CASE WHEN rule ->> 'enabled' = 'ENABLE' THEN '[]'
                ELSE zanith._step(format('ALTER TABLE %s %s RULE %I', target, rule ->> 'enabled', rule ->> 'name'),
                                  'Set its state', 'ACCESS EXCLUSIVE', ARRAY[target]) END
        || zanith._render_comment(rule ->> 'comment', format('RULE %I ON %s', rule ->> 'name', target))
$$;
