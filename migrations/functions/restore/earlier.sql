-- What was dropped by itself before its table or column was, in the same transaction (see guard/parts.sql): the restore makes it again.

-- Sequences that a column owned.
CREATE OR REPLACE FUNCTION zanith._render_earlier_sequences(d jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(s.item ORDER BY e.ord, c.ord, q.ord, s.ord)
    FROM zanith._each(d -> 'earlier') e, LATERAL (
             SELECT d -> 'column' AS item, 0::bigint AS ord WHERE d ? 'column'
             UNION ALL SELECT x.item, x.ord FROM zanith._each(d #> '{members,0,definition,columns}') x) c,
         LATERAL zanith._each(c.item -> 'sequences') q,
         LATERAL zanith._each(zanith._render_serial_anew(q.item, q.item ->> 'owner', target, c.item ->> 'name')) s
    WHERE e.item ->> 'list' = 'sequences' AND q.item -> 'name' = e.item -> 'name' AND NOT (q.item ->> 'identity')::boolean
); END $$;

-- The parts of a table. Its foreign keys come back with all the others. Under another name none of them comes back: a table that has the name now
-- may have them.
CREATE OR REPLACE FUNCTION zanith._render_earlier_parts(d jsonb, target text) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    owner text := d #>> '{members,0,definition,owner}';
    schema_name text := d #>> '{table,schema}';
BEGIN
    IF COALESCE(d -> 'earlier', '[]') = '[]' THEN
        RETURN '[]';
    END IF;
    RETURN zanith._render_earlier_sequences(d, target) || (
        SELECT zanith._list(s.item ORDER BY p.place, p.ord, s.ord)
        FROM (
            SELECT CASE l.list WHEN 'identity' THEN 1 WHEN 'defaults' THEN 2 WHEN 'constraints' THEN 3 WHEN 'indexes' THEN 5 WHEN 'statistics' THEN 6
                        WHEN 'triggers' THEN 7 WHEN 'rules' THEN 8 ELSE 9 END + CASE WHEN zanith._constraint_is(x.item, 'key') THEN 1 ELSE 0 END AS place,
                   x.ord, l.list, x.item
            FROM (VALUES ('identity', 'columns'), ('defaults', 'columns'), ('constraints', 'constraints'), ('indexes', 'indexes'), ('statistics', 'statistics'),
                         ('triggers', 'triggers'), ('rules', 'rules'), ('policies', 'policies')) l(list, kept_in),
                 LATERAL zanith._each(d #> ARRAY['members', '0', 'definition', l.kept_in]) x
            WHERE CASE l.list WHEN 'identity' THEN EXISTS (
                       SELECT FROM zanith._each(d -> 'earlier') e, LATERAL zanith._each(x.item -> 'sequences') q
                       WHERE e.item ->> 'list' = 'sequences' AND q.item -> 'name' = e.item -> 'name' AND (q.item ->> 'identity')::boolean)
                  ELSE EXISTS (SELECT FROM zanith._each(d -> 'earlier') e WHERE e.item ->> 'list' = l.list AND e.item -> 'name' = x.item -> 'name') END
              AND NOT (l.list = 'constraints' AND zanith._constraint_is(x.item, 'reference'))) p,
            LATERAL zanith._each(CASE p.list
                WHEN 'identity' THEN zanith._render_identity_back(jsonb_build_object('column', p.item), target, p.item ->> 'name')
                WHEN 'defaults' THEN zanith._as_owner(owner, zanith._render_default(p.item, '', target, p.item ->> 'name'))
                WHEN 'constraints' THEN zanith._constraint_by_owner(p.item, owner, schema_name, target)
                WHEN 'indexes' THEN zanith._made_by(p.item, owner, zanith._render_index(p.item, schema_name, target))
                WHEN 'statistics' THEN zanith._made_by(p.item, owner, zanith._render_statistics(p.item))
                WHEN 'triggers' THEN zanith._made_by(p.item, owner, zanith._render_trigger(p.item, target))
                WHEN 'rules' THEN zanith._made_by('{}', owner, zanith._render_rule(p.item, target))
                ELSE zanith._made_by('{}', owner, zanith._render_policy(p.item, target)) END) s);
END $$;
