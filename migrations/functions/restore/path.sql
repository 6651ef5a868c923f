-- What a plan says of the search path of an owner's code.

-- What is wrong with the path that was chosen, and what keeps an index of an owner's code from being built beside live
-- traffic: it is built in no transaction, so nothing can give it the path.
CREATE OR REPLACE FUNCTION zanith._find_path_conflicts(d jsonb, live oid, choices jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    found jsonb := '[]';
    names text;
BEGIN
    IF choices ? 'search_path' THEN
        SELECT string_agg(quote_ident(n.name), ', ' ORDER BY n.ord) INTO names
        FROM unnest(zanith._owner_schemas(d, choices)) WITH ORDINALITY n(name, ord)
        WHERE n.name <> '$user' AND to_regnamespace(quote_ident(n.name)) IS NULL;
        IF names IS NOT NULL THEN
            found := zanith._conflict('schema_gone', format('the search path that was chosen names schemas that do not exist: %s', names),
                'Choose a search path of schemas that exist.', ARRAY['--search-path SCHEMAS']);
        END IF;
    END IF;
    IF COALESCE((choices ->> 'online')::boolean, false) AND live IS NOT NULL THEN
        SELECT string_agg(DISTINCT format('%s calls %s', p.part, c.routine::regprocedure), '; ') INTO names
        FROM (SELECT format('the index %I', i.item ->> 'name') AS part FROM zanith._parts(d) x, LATERAL zanith._each(x.part -> 'indexes') i
              WHERE d ->> 'strategy' = 'archive_column' OR NOT (i.item ->> 'plain')::boolean) p,
             LATERAL zanith._code_of_parts(d, jsonb_build_array(p.part)) c(routine);
        IF names IS NOT NULL THEN
            found := found || zanith._conflict('not_online', format('the online form does not do this: %s, which finds names by the search path', names),
                'Leave --online out, or give the function a search path of its own: ALTER FUNCTION … SET search_path = ….');
        END IF;
    END IF;
    RETURN found;
END $$;

-- What may come back otherwise because of the path: schemas of it that are gone, and functions that PostgreSQL 17 and
-- later run under another one, and that nobody here can change for that.
CREATE OR REPLACE FUNCTION zanith._find_path_losses(d jsonb, live oid, choices jsonb, steps jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (
    SELECT zanith._list(zanith._loss('search_path', l.message) -> 0 ORDER BY l.ord, l.message)
    FROM (
        SELECT 1 AS ord, format('the schema %I of the search path does not exist any more: code of the owner finds nothing in it', n.name) AS message
        FROM unnest(zanith._owner_schemas(d, choices)) n(name)
        WHERE NOT choices ? 'search_path' AND d ->> 'search_path' IS NOT NULL AND n.name NOT IN ('$user', '', 'public') AND to_regnamespace(quote_ident(n.name)) IS NULL
          AND EXISTS (SELECT FROM zanith._each(steps) s WHERE s.item ->> 'path' IS NOT NULL)
        UNION ALL
        SELECT DISTINCT 2, format('PostgreSQL 17 and later run %s without the search path while they build %s; it %s, so you cannot set one for it', t.name, x.part, t.why)
        FROM (SELECT n.item ->> 'by', ARRAY(SELECT c.routine FROM zanith._code_of_parts(d, jsonb_build_array(n.item ->> 'by')) c(routine))
              FROM (SELECT d -> 'needs' UNION ALL SELECT g.item -> 'needs' FROM zanith._each(d #> '{cascade,columns}') g) q(list), LATERAL zanith._each(q.list) n
              WHERE n.item ->> 'by' ~ '^the (index|constraint|view) ' AND n.item #>> '{names,0}' <> 'pg_catalog' AND (d ->> 'strategy' <> 'soft_drop_column' OR n.item ->> 'by' LIKE 'the view %'
                    OR EXISTS (SELECT FROM zanith._parts(d) p, LATERAL zanith._each(p.part -> 'indexes') i WHERE format('the index %I', i.item ->> 'name') = n.item ->> 'by' AND NOT (i.item ->> 'plain')::boolean))
              UNION ALL
              SELECT 'the indexes of the table', ARRAY(SELECT c.routine FROM zanith._code_of_indexes(live) c(routine))
              WHERE live IS NOT NULL AND (d #>> '{column,generated,kind}' = 'STORED' OR d #>> '{column,base_type}' IS NOT NULL OR d #> '{cascade,columns,0}' IS NOT NULL)) x(part, code),
             LATERAL zanith._path_takers(x.code, d, false) t
        WHERE current_setting('server_version_num')::integer >= 170000 AND NOT t.able) l
); END $$;
