-- relations: the OID of each name; it runs under the search path of the role, so that it has no operator
SELECT pg_catalog.to_regclass(n)::pg_catalog.oid AS oid FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS names(n, place);

-- types: the OID of each name; it runs under the search path of the role, so that it has no operator
SELECT pg_catalog.to_regtype(n)::pg_catalog.oid AS oid FROM pg_catalog.unnest($1::pg_catalog.text[]) WITH ORDINALITY AS names(n, place);

-- tables: what the catalog says of each table
WITH RECURSIVE family AS (
    SELECT w.oid AS top, w.oid AS member FROM pg_catalog.unnest($1::oid[]) AS w(oid)
    UNION
    SELECT f.top, i.inhrelid FROM family AS f JOIN pg_inherits AS i ON i.inhparent = f.member
), sizes AS (
    SELECT f.top, count(*) AS members, sum(GREATEST(m.reltuples, 0))::float8 AS rows, sum(pg_table_size(m.oid))::bigint AS bytes
    FROM family AS f JOIN pg_class AS m ON m.oid = f.member GROUP BY f.top
)
SELECT c.oid, s.members, s.rows, s.bytes,
       (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attname, format_type(a.atttypid, a.atttypmod),
            a.attnotnull AND NOT EXISTS (SELECT FROM pg_constraint AS n WHERE n.conrelid = c.oid AND n.contype = 'n'
                AND n.conkey = ARRAY[a.attnum] AND NOT n.convalidated)) ORDER BY a.attnum), '[]')
        FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(k.conname, pg_get_constraintdef(k.oid)) ORDER BY k.conname), '[]')
        FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype <> 't') AS constraints,
       EXISTS (SELECT FROM pg_constraint AS k WHERE k.contype = 'f' AND k.confrelid = c.oid) AS referenced,
       EXISTS (SELECT FROM pg_constraint AS k WHERE k.contype = 'f' AND k.conrelid = c.oid) AS referencing,
       EXISTS (SELECT FROM pg_partitioned_table AS p WHERE p.partrelid = c.oid AND p.partdefid <> 0) AS default_partition,
       EXISTS (SELECT FROM pg_publication AS p WHERE p.puballtables) OR EXISTS (SELECT FROM pg_publication_rel AS p
            JOIN family AS f ON f.top = c.oid WHERE p.prrelid = f.member) OR EXISTS (
            SELECT FROM pg_publication_namespace AS p WHERE p.pnnspid = c.relnamespace) AS published
FROM pg_class AS c JOIN sizes AS s ON s.top = c.oid WHERE c.relkind IN ('r', 'p', 'm');

-- indexes: the table of each index
SELECT i.indexrelid AS oid, quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS table
FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE i.indexrelid = ANY ($1::oid[]);

-- no_domains: those of the types that are no domains
SELECT t.oid FROM pg_type AS t WHERE t.oid = ANY ($1::oid[]) AND t.typtype <> 'd';

-- steady: those of the names that only functions have which are not volatile
SELECT p.proname::text AS name FROM pg_proc AS p WHERE p.proname = ANY ($1::text[])
GROUP BY p.proname HAVING bool_and(p.provolatile <> 'v');

-- captures: whether this role reaches Zanith in the database, which says how a drop can be captured
SELECT CASE WHEN (SELECT has_schema_privilege(n.oid, 'USAGE') FROM pg_namespace AS n WHERE n.nspname = 'zanith')
    THEN pg_catalog.to_regprocedure('zanith.plan_capture(text, regclass, text, text, boolean, boolean)') IS NOT NULL ELSE false END;

-- plan_capture: raises what the capture of a table or column would raise, whatever depends on it
SELECT zanith.plan_capture($1, $2::oid::pg_catalog.regclass, $3, 'cascade', $4, false);

-- guard_copies: whether the guard copies the values of a column of this table, as zanith._guard_column decides it
SELECT (SELECT COALESCE(sum(pg_relation_size(t.member)), 0) <= zanith._guard_copy_limit() FROM zanith._tree($1::oid) AS t)
    AND NOT EXISTS (SELECT FROM zanith._family($1::oid) AS f, LATERAL zanith._unproved_conditions(f.member) AS u);
