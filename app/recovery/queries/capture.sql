-- actor: the log names the person
SELECT set_config('zanith.actor', $1, true);

-- callers_path: the path of an ordinary session decides what an unqualified name means; what runs under it names schemas
SELECT pg_catalog.set_config('search_path', $1, true);

-- own_path: nothing is found by a path of the caller's
SELECT pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);

-- named: the table that a name means, or NULL
SELECT pg_catalog.to_regclass($1)::pg_catalog.oid;

-- soft_drop_column: $7 asks for the default expiry, else $8 is it, NULL for never
SELECT zanith.soft_drop_column($1::pg_catalog.text::pg_catalog.regclass, $2, migration_id => $3, reason => $4, on_dependents => $5,
    published_ok => $6, expires_in => CASE WHEN $7 THEN zanith.default_retention() ELSE $8::pg_catalog.interval END);

-- archive_column: the same
SELECT zanith.archive_column($1::pg_catalog.text::pg_catalog.regclass, $2, migration_id => $3, reason => $4, on_dependents => $5,
    published_ok => $6, expires_in => CASE WHEN $7 THEN zanith.default_retention() ELSE $8::pg_catalog.interval END);

-- soft_drop_table: the same without a column
SELECT zanith.soft_drop_table($1::pg_catalog.text::pg_catalog.regclass, migration_id => $2, reason => $3, on_dependents => $4,
    published_ok => $5, expires_in => CASE WHEN $6 THEN zanith.default_retention() ELSE $7::pg_catalog.interval END);

-- archive_table: the same without a column
SELECT zanith.archive_table($1::pg_catalog.text::pg_catalog.regclass, migration_id => $2, reason => $3, on_dependents => $4,
    published_ok => $5, expires_in => CASE WHEN $6 THEN zanith.default_retention() ELSE $7::pg_catalog.interval END);

-- archive_rows: copies the rows; the table stays
SELECT zanith.archive_rows($1::pg_catalog.text::pg_catalog.regclass, migration_id => $2, reason => $3, published_ok => $4,
    expires_in => CASE WHEN $5 THEN zanith.default_retention() ELSE $6::pg_catalog.interval END);

-- archive_values: copies the values; the column stays
SELECT zanith.archive_values($1::pg_catalog.text::pg_catalog.regclass, $2, migration_id => $3, reason => $4, published_ok => $5,
    expires_in => CASE WHEN $6 THEN zanith.default_retention() ELSE $7::pg_catalog.interval END);

-- rebuild_table: records, and keeps the rows where asked
SELECT zanith.rebuild_table($1::pg_catalog.text::pg_catalog.regclass, migration_id => $2, reason => $3, keep_rows => $4,
    published_ok => $5, expires_in => CASE WHEN $6 THEN zanith.default_retention() ELSE $7::pg_catalog.interval END);
