-- settings: rows are read whole or not at all, and no view or trigger of ours waits long
SELECT set_config('row_security', 'off', true), set_config('lock_timeout', '2s', true),
       set_config('statement_timeout', '20s', true), set_config('search_path', 'pg_catalog', true);

-- preview: some rows as text, and how long each value is in all
SELECT ARRAY[{values}] AS values, ARRAY[{lengths}] AS lengths
FROM (SELECT * FROM ({query}) AS q LIMIT $1 OFFSET $3) AS r ({names});

-- value: one column as text, cut where it is very long
CASE WHEN pg_catalog.num_nulls(r.c{number}) = 0 THEN left(pg_catalog.format('%s', r.c{number}), $2) END

-- length: of the same, in characters
CASE WHEN pg_catalog.num_nulls(r.c{number}) = 0 THEN length(pg_catalog.format('%s', r.c{number})) END
