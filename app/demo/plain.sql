-- What a migration tool dropped with a plain DROP: the guard captures it.

SET application_name = 'alembic';
SET ROLE shop_owner;
DROP TABLE shop.search_log;
RESET ROLE;
RESET application_name;
