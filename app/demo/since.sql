-- What happened since: traffic that went on, a name that was taken, an archive that somebody edited.

SET search_path = shop, pg_catalog;

ALTER TABLE products ADD COLUMN currency char(3) NOT NULL DEFAULT 'EUR';
INSERT INTO customers (uid, name, email, tags)
SELECT md5('late customer ' || n)::uuid, 'New Customer ' || n, 'new' || n || '@example.com', '{newsletter}'
FROM generate_series(1, 37) n;
INSERT INTO orders (customer_id, status, total, placed_at)
SELECT 1 + n * 7 % 2000, 'placed', n * 1.99, now() - make_interval(mins => n)
FROM generate_series(1, 212) n;
DELETE FROM orders WHERE id % 2000 = 0;

CREATE TABLE gift_cards (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code    uuid NOT NULL UNIQUE,
    balance euros NOT NULL DEFAULT 0
);
ALTER TABLE gift_cards OWNER TO shop_owner;

-- Somebody switches the guards off and edits an archive: what verify and restore find out.
DO $$
DECLARE
    parked regclass;
    guard name;
BEGIN
    SELECT format('%I.%I', physical_schema, physical_table) INTO STRICT parked
    FROM zanith._zanith_migration_artifacts WHERE source_table = 'products' AND source_column = 'legacy_sku';
    EXECUTE format('ALTER TABLE %s DISABLE TRIGGER ALL', parked);
    EXECUTE format('UPDATE %s SET legacy_sku = %L WHERE legacy_sku = %L', parked, 'OLD/EDITED', 'OLD/1003');
    FOR guard IN SELECT tgname FROM pg_trigger WHERE tgrelid = parked AND NOT tgisinternal LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', parked, guard);
    END LOOP;
END $$;
