-- What a migration tool dropped with a plain DROP: the guard captures it, under the tool's own id.

SET application_name = 'alembic';
SET ROLE shop_owner;
BEGIN;
DROP TABLE shop.search_log;
UPDATE shop.alembic_version SET version_num = '0044_drop_search_log' WHERE version_num = '0043_cafe_closed';
COMMIT;
RESET ROLE;
RESET application_name;
