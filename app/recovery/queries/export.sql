-- exported: what a manifest says of the artifact
SELECT a.row_count, a.checksum, a.checksum_settings AS settings, zanith.row_query(a.id) AS query,
       zanith.canonical_settings() AS canonical, now() AS at
FROM zanith._zanith_migration_artifacts AS a WHERE a.id = $1;
