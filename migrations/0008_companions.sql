-- A cascade takes along what has rows or values of its own: each such child or column is an artifact of its own, and says with which one it came.

ALTER TABLE zanith._zanith_migration_artifacts ADD COLUMN cascade_of text CHECK (cascade_of ~ '^[0-9a-z]{8,24}$' AND cascade_of <> id);
COMMENT ON COLUMN zanith._zanith_migration_artifacts.cascade_of IS
    'The artifact whose cascade took it along; that one may be purged since.';
CREATE INDEX artifacts_by_cascade ON zanith._zanith_migration_artifacts (cascade_of, capture_order DESC) WHERE cascade_of IS NOT NULL;
