-- record: the number of a new snapshot; NULL if its contents are not stored yet, and are not given
SELECT zanith.record_schema_snapshot($1::jsonb, $2::text, $3::jsonb);

-- list: the newest snapshots, each with the one before it
SELECT s.id, s.moment, s.migration_id, s.hash, s.version, s.taken_at, s.taken_by, s.taken_by_role, c.objects,
       lag(s.hash) OVER (ORDER BY s.id) IS DISTINCT FROM s.hash AS changed
FROM zanith._zanith_schema_snapshots AS s JOIN zanith._zanith_schema_contents AS c ON c.hash = s.hash
WHERE $2::text IS NULL OR s.migration_id = $2
ORDER BY s.id DESC LIMIT $1;

-- one: a snapshot with its contents
SELECT s.id, s.moment, s.migration_id, s.hash, s.version, s.taken_at, s.taken_by, s.taken_by_role, c.objects, c.contents, c.needs
FROM zanith._zanith_schema_snapshots AS s JOIN zanith._zanith_schema_contents AS c ON c.hash = s.hash
WHERE s.id = $1;

-- migrations: those that have a snapshot
SELECT DISTINCT s.migration_id FROM zanith._zanith_schema_snapshots AS s WHERE s.migration_id IS NOT NULL ORDER BY 1;

-- latest: the newest snapshot of a migration at a moment
SELECT s.id FROM zanith._zanith_schema_snapshots AS s
WHERE s.migration_id = $1 AND ($2::text IS NULL OR s.moment = $2) ORDER BY s.id DESC LIMIT 1;
