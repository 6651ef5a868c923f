-- keys: of a query that names rows, some in the order of their text
SELECT q.key FROM ({query}) AS q(key) ORDER BY q.key COLLATE "C" LIMIT {limit} OFFSET {offset};
