-- schemas: those of a search path that exist, as the role finds them; it runs under that path, so that it has no operator
SELECT pg_catalog.current_schemas(false) AS schemas;

-- installed: whether this role can run probes in this database
SELECT EXISTS (SELECT FROM pg_proc AS p JOIN pg_namespace AS n ON n.oid = p.pronamespace
               WHERE n.nspname = 'zanith' AND p.proname = 'probe_as' AND has_schema_privilege(n.oid, 'USAGE'));

-- probe_as: the role as which a probe runs, or why it does not run
SELECT role_name, reason FROM zanith.probe_as($1::oid[], $2::text[], $3::text[], $4::text[], $5::text[]);

-- names: the tables as guard_tables takes them
SELECT COALESCE(pg_catalog.array_agg(pg_catalog.format('%I.%I', n.nspname, c.relname) ORDER BY o.place), '{}')
FROM pg_catalog.unnest($1::oid[]) WITH ORDINALITY AS o(oid, place) JOIN pg_class AS c ON c.oid = o.oid JOIN pg_namespace AS n ON n.oid = c.relnamespace;

-- read_only: nothing in the transaction writes from here on
SELECT set_config('transaction_read_only', 'on', true);

-- path: the search path for the rest of the transaction
SELECT pg_catalog.set_config('search_path', $1, true);

-- make_reader: the query that reads rows as a role
SELECT zanith.make_reader($1, $2, $3::text[], $4);

-- make_probe: the call of a function that tries something with each row as a role
SELECT zanith.make_probe($1, $2, $3);

-- tables: what the probes have to know of each table
SELECT c.oid, n.nspname AS schema, c.relname AS name, c.relkind::text AS kind,
       ARRAY(SELECT i.inhrelid FROM pg_inherits AS i WHERE i.inhparent = c.oid) <> '{}' AS parent,
       (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attname, a.atttypid::bigint, format_type(a.atttypid, a.atttypmod), a.attnotnull)
            ORDER BY a.attnum), '[]') FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
       (SELECT COALESCE(pg_catalog.jsonb_agg(a.attname ORDER BY k.place), '[]') FROM pg_index AS i
            CROSS JOIN LATERAL pg_catalog.unnest(i.indkey::smallint[]) WITH ORDINALITY AS k(number, place)
            JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number
        WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts) AS key,
       (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(k.conname, pg_get_constraintdef(k.oid)) ORDER BY k.conname), '[]')
        FROM pg_constraint AS k WHERE k.conrelid = c.oid AND k.contype <> 't') AS constraints,
       (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(x.relname, pg_get_indexdef(x.oid)) ORDER BY x.relname), '[]')
        FROM pg_index AS i JOIN pg_class AS x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid) AS indexes,
       (SELECT COALESCE(pg_catalog.jsonb_agg(DISTINCT k.conrelid::bigint), '[]') FROM pg_constraint AS k WHERE k.confrelid = c.oid AND k.contype = 'f') AS referencing,
       EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal) OR EXISTS (SELECT FROM pg_rewrite AS r
            WHERE r.ev_class = c.oid AND r.ev_type <> '1') AS acts,
       p.partstrat::text AS strategy,
       (SELECT COALESCE(pg_catalog.jsonb_agg(CASE WHEN k.number = 0 THEN NULL ELSE a.attname END ORDER BY k.place), '[]')
        FROM pg_catalog.unnest(p.partattrs::smallint[]) WITH ORDINALITY AS k(number, place)
        LEFT JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.number) AS partition_key,
       NULLIF(p.partdefid, 0) AS default_partition,
       c.relispartition AS is_partition,
       (SELECT COALESCE(pg_catalog.jsonb_agg(pg_get_expr(x.relpartbound, x.oid)), '[]') FROM pg_inherits AS i JOIN pg_class AS x ON x.oid = i.inhrelid
        WHERE i.inhparent = c.oid AND x.relpartbound IS NOT NULL AND p.partrelid IS NOT NULL) AS bounds
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace LEFT JOIN pg_partitioned_table AS p ON p.partrelid = c.oid
WHERE c.oid = ANY ($1::oid[]) AND c.relkind IN ('r', 'p', 'm');

-- domains: the columns of each domain, its base type, and whether other types have it inside
SELECT t.oid, format_type(t.typbasetype, t.typtypmod) AS base,
       (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(a.attrelid::bigint, a.attname)), '[]')
        FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
        WHERE a.atttypid = t.oid AND a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'm')) AS columns,
       EXISTS (SELECT FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind = 'c' WHERE a.atttypid = t.oid)
           OR EXISTS (SELECT FROM pg_type AS d WHERE d.typtype = 'd' AND d.typbasetype IN (t.oid, t.typarray))
           OR EXISTS (SELECT FROM pg_attribute AS a WHERE a.atttypid = t.typarray) AS inside,
       (SELECT COALESCE(pg_catalog.jsonb_agg(pg_catalog.jsonb_build_array(k.conname, pg_get_constraintdef(k.oid))), '[]')
        FROM pg_constraint AS k WHERE k.contypid = t.oid) AS constraints
FROM pg_type AS t WHERE t.oid = ANY ($1::oid[]) AND t.typtype = 'd';

-- types: the type beneath a domain, and the operator of equality of the type's own kind of index
SELECT t.oid, format_type(b.oid, NULL) AS base, b.typtype::text = 'e' AS enum, t.typtype::text = 'd' AS domain,
       (SELECT pg_catalog.format('OPERATOR(%I.%s)', s.nspname, o.oprname)
        FROM pg_opclass AS k JOIN pg_am AS m ON m.oid = k.opcmethod AND m.amname = 'btree'
        JOIN pg_amop AS e ON e.amopfamily = k.opcfamily AND e.amopstrategy = 3 AND e.amoplefttype = k.opcintype AND e.amoprighttype = k.opcintype
        JOIN pg_operator AS o ON o.oid = e.amopopr JOIN pg_namespace AS s ON s.oid = o.oprnamespace
        WHERE k.opcdefault AND k.opcintype = CASE WHEN b.typtype::text = 'e' THEN 'anyenum'::regtype WHEN b.oid = 'varchar'::regtype THEN 'text'::regtype
            WHEN b.typcategory::text = 'A' THEN 'anyarray'::regtype WHEN b.typtype::text = 'r' THEN 'anyrange'::regtype ELSE b.oid END LIMIT 1) AS equals
FROM pg_type AS t JOIN pg_type AS b ON b.oid = CASE WHEN t.typtype::text = 'd' THEN t.typbasetype ELSE t.oid END WHERE t.oid = ANY ($1::oid[]);

-- assignable: whether PostgreSQL casts a type to another where a column gets another type; it runs under the path of the role, so that it has no operator
SELECT pg_catalog.to_regtype($1)::pg_catalog.oid AS source, pg_catalog.to_regtype($2)::pg_catalog.oid AS target;

-- casts: whether there is such a cast; NULL where a type is not known
SELECT b.source = b.target OR b.kind = 'S' OR EXISTS (SELECT FROM pg_cast AS k WHERE k.castsource = b.source AND k.casttarget = b.target AND k.castcontext::text IN ('i', 'a'))
       OR b.source_kind = 'A' AND b.kind = 'A'
FROM (SELECT COALESCE(NULLIF(s.typbasetype, 0), s.oid) AS source, COALESCE(NULLIF(t.typbasetype, 0), t.oid) AS target,
             t.typcategory::text AS kind, s.typcategory::text AS source_kind FROM pg_type AS s, pg_type AS t WHERE s.oid = $1::oid AND t.oid = $2::oid) AS b;
