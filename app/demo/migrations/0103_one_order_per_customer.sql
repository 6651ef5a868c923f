-- It would fail: many customers have several orders. zanith migrate plan --preflight finds them.
ALTER TABLE shop.orders ADD CONSTRAINT one_order UNIQUE (customer_id);

-- zanith: down
ALTER TABLE shop.orders DROP CONSTRAINT one_order;
