-- The dangerous one: it deletes what customers wrote. Zanith captures the column, so that it can come back.
ALTER TABLE shop.orders DROP COLUMN notes;
