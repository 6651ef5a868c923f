-- tables: what a DROP can name, and how many drops there are of each
SELECT t.relation, t.name, t.drops FROM zanith.droppable_tables() AS t;

-- judged: what becomes of each drop of some tables and of their columns
SELECT t.relation, j.column_name, j.cascade, j.verdict, j.strategy, j.reason, j.message, j.hint
FROM pg_catalog.unnest($1::oid[]) WITH ORDINALITY AS t (relation, ord), LATERAL zanith.judge_drops(t.relation) AS j
ORDER BY t.ord;

-- patience: how long this transaction waits for a lock that a definition needs
SELECT set_config('lock_timeout', $1, true);
