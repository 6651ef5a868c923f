-- settings: the caller's path decides what an unqualified name means; the log names the person
SELECT set_config('search_path', r.reset_val, true), set_config('zanith.actor', $1, true)
FROM pg_settings AS r WHERE r.name = 'search_path';

-- soft_drop_column: $7 asks for the default expiry, else $8 is it, NULL for never
SELECT zanith.soft_drop_column($1::text::regclass, $2, migration_id => $3, reason => $4, on_dependents => $5,
    published_ok => $6, expires_in => CASE WHEN $7 THEN zanith.default_retention() ELSE $8::interval END);

-- archive_column: the same
SELECT zanith.archive_column($1::text::regclass, $2, migration_id => $3, reason => $4, on_dependents => $5,
    published_ok => $6, expires_in => CASE WHEN $7 THEN zanith.default_retention() ELSE $8::interval END);

-- soft_drop_table: the same without a column
SELECT zanith.soft_drop_table($1::text::regclass, migration_id => $2, reason => $3, on_dependents => $4,
    published_ok => $5, expires_in => CASE WHEN $6 THEN zanith.default_retention() ELSE $7::interval END);

-- archive_table: the same without a column
SELECT zanith.archive_table($1::text::regclass, migration_id => $2, reason => $3, on_dependents => $4,
    published_ok => $5, expires_in => CASE WHEN $6 THEN zanith.default_retention() ELSE $7::interval END);

-- rebuild_table: records, and keeps the rows where asked
SELECT zanith.rebuild_table($1::text::regclass, migration_id => $2, reason => $3, keep_rows => $4,
    expires_in => CASE WHEN $5 THEN zanith.default_retention() ELSE $6::interval END);
