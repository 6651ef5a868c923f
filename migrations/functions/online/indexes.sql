-- What grows with the rows and can be made beside live traffic: indexes CONCURRENTLY, keys of them, and what rests on those.

CREATE OR REPLACE FUNCTION zanith._set_transaction(number integer, steps jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(jsonb_agg(s.item || jsonb_build_object('transaction', number) ORDER BY s.ord), '[]') FROM zanith._each(steps) s
$$;

-- The engine runs these batch by batch: what stands in the plan is their pattern.
CREATE OR REPLACE FUNCTION zanith._in_batches(steps jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(jsonb_agg(s.item || '{"batches": true}' ORDER BY s.ord), '[]') FROM zanith._each(steps) s
$$;

-- Steps that are needed only while an index, or with `con` the constraint of it, is not there.
CREATE OR REPLACE FUNCTION zanith._making(index text, steps jsonb, con boolean DEFAULT false) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(jsonb_agg(s.item || jsonb_build_object('makes', index, 'makes_constraint', con) ORDER BY s.ord), '[]') FROM zanith._each(steps) s
$$;

CREATE OR REPLACE FUNCTION zanith._making_key(con jsonb, steps jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
    SELECT COALESCE(jsonb_agg(s.item || jsonb_build_object('makes_key', con ->> 'name') ORDER BY s.ord), '[]')
    FROM zanith._each(steps) s
$$;

-- An index beside live traffic. One that an earlier try left invalid goes first.
CREATE OR REPLACE FUNCTION zanith._render_index_beside(index jsonb, schema_name text, target text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT zanith._making(q.name, COALESCE(jsonb_agg(s.item || '{"concurrently": true}' ORDER BY s.ord), '[]'))
    FROM (SELECT zanith._qualify(schema_name, index ->> 'name')) q(name),
    LATERAL zanith._each(
        CASE WHEN EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = to_regclass(q.name) AND NOT i.indisvalid) THEN zanith._step(
            format('DROP INDEX CONCURRENTLY %s', q.name), 'what an earlier try left half made', 'SHARE UPDATE EXCLUSIVE', ARRAY[target], false, 2) ELSE '[]' END
        || zanith._step(format('CREATE %sINDEX CONCURRENTLY %I ON %s %s', CASE WHEN (index ->> 'unique')::boolean THEN 'UNIQUE ' ELSE '' END, index ->> 'name',
                target, zanith._steady(index ->> 'using')),
            'its index, while writes go on', 'SHARE UPDATE EXCLUSIVE', ARRAY[target], true, 2)) s
    GROUP BY q.name
$$;

-- Unique constraints: the index beside live traffic, then the constraint takes it over in an instant.
CREATE OR REPLACE FUNCTION zanith._render_uniques_beside(d jsonb, schema_name text, target text) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(s.item ORDER BY k.ord, s.ord), '[]') FROM zanith._each(d -> 'constraints') k, LATERAL zanith._each(
        zanith._render_index_beside(k.item -> 'index', schema_name, target)
        || zanith._making(zanith._qualify(schema_name, k.item ->> 'name'), zanith._set_transaction(2,
            zanith._step(format('ALTER TABLE %s ADD CONSTRAINT %I UNIQUE USING INDEX %I%s', target, k.item ->> 'name', k.item ->> 'name',
                    substring(k.item ->> 'definition' FROM '((?: DEFERRABLE)?(?: INITIALLY DEFERRED)?)$')),
                format('the unique constraint %I', k.item ->> 'name'), 'ACCESS EXCLUSIVE', ARRAY[target])
            || zanith._render_index_settings(k.item -> 'index', schema_name, target)
            || zanith._render_comment(k.item ->> 'comment', format('CONSTRAINT %I ON %s', k.item ->> 'name', target))), true)) s
    WHERE k.item ->> 'kind' = 'unique'
$$;

-- Indexes that went; of a soft-dropped column those that would have bitten.
CREATE OR REPLACE FUNCTION zanith._render_indexes_beside(d jsonb, schema_name text, target text, relation oid, soft boolean) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(s.item ORDER BY i.ord, s.ord), '[]') FROM zanith._each(d -> 'indexes') i,
        LATERAL zanith._with_parked_columns(i.item, relation) x(item), LATERAL zanith._each(
        zanith._render_index_beside(x.item, schema_name, target)
        || zanith._making(zanith._qualify(schema_name, i.item ->> 'name'), zanith._set_transaction(2, zanith._render_index_settings(x.item, schema_name, target)))) s
    WHERE (i.item ->> 'valid')::boolean AND x.item IS NOT NULL AND (NOT soft OR NOT (i.item ->> 'plain')::boolean)
$$;

-- Foreign keys of others that rest on a unique key of these.
CREATE OR REPLACE FUNCTION zanith._render_references_beside(d jsonb, target text, not_valid boolean) RETURNS jsonb
LANGUAGE sql STABLE AS $$
    SELECT COALESCE(jsonb_agg(s.item ORDER BY k.ord, s.ord), '[]') FROM zanith._each(d -> 'references') k, LATERAL zanith._each(
        zanith._making_key(k.item, zanith._set_transaction(2, zanith._render_constraint(k.item, k.item ->> 'schema',
            CASE WHEN (k.item #>> '{foreign_key,self}')::boolean THEN target ELSE zanith._qualify(k.item ->> 'schema', k.item ->> 'table') END, target,
            not_valid, zanith._wants_proof_at_once(k.item ->> 'schema', k.item ->> 'table'))))) s
$$;
