-- The definition says its format itself. Nothing ever read this column, which said 1 of every row.

ALTER TABLE zanith._zanith_migration_artifacts DROP COLUMN recipe_format;
