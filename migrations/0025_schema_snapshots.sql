-- Snapshots of the schema: before and after each migration, at a baseline, and whenever somebody takes one.

-- Equal snapshots have their contents once. `contents` is the canonical JSON that `hash` is the SHA-256 of: anyone can check it with sha256sum.
CREATE TABLE zanith._zanith_schema_contents (
    hash     text PRIMARY KEY CHECK (hash = pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(contents, 'UTF8')), 'hex')),
    contents text NOT NULL,                        -- kind, name and attributes of each object
    needs    jsonb NOT NULL,                       -- what each object depends on: the order of statements follows it
    objects  integer NOT NULL CHECK (objects >= 0),
    first_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE zanith._zanith_schema_contents IS 'What the snapshots of the schema hold; equal ones have it once.';

CREATE TABLE zanith._zanith_schema_snapshots (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    moment        text NOT NULL CHECK (moment IN ('before', 'after', 'baseline', 'manual')),
    migration_id  text CHECK (length(migration_id) BETWEEN 1 AND 200),
    hash          text NOT NULL REFERENCES zanith._zanith_schema_contents,
    version       integer NOT NULL,                -- server_version_num
    taken_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    taken_by      text NOT NULL,
    taken_by_role text NOT NULL DEFAULT session_user,
    CHECK (moment NOT IN ('before', 'after') OR migration_id IS NOT NULL)
);
COMMENT ON TABLE zanith._zanith_schema_snapshots IS
    'The schema of the database at a time: see zanith migrate snapshot list.';
CREATE INDEX snapshots_by_migration ON zanith._zanith_schema_snapshots (migration_id, id DESC) WHERE migration_id IS NOT NULL;
CREATE INDEX snapshots_by_hash ON zanith._zanith_schema_snapshots (hash);

REVOKE ALL ON zanith._zanith_schema_contents, zanith._zanith_schema_snapshots FROM PUBLIC;
