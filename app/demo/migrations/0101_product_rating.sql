ALTER TABLE shop.products ADD COLUMN rating smallint;
COMMENT ON COLUMN shop.products.rating IS 'from 1 to 5; NULL is not rated';

-- zanith: down
ALTER TABLE shop.products DROP COLUMN rating;
