-- What the shop's migrations dropped: all five strategies. Their dates are set afterwards.

SET search_path = shop, pg_catalog;

SELECT zanith.rebuild_table('shop.products', migration_id => '0031_price_precision', keep_rows => true,
                            reason => 'prices get a currency; kept in case rounding is disputed');
SELECT zanith.archive_column('shop.customers', 'loyalty_points', migration_id => '0033_end_loyalty',
                             reason => 'the loyalty programme ended');
SELECT zanith.archive_table('shop.saved_carts', migration_id => '0034_carts_to_redis',
                            reason => 'carts live in the cache now');
SELECT zanith.archive_column('shop.employees', 'badge', migration_id => '0035_badges',
                             reason => 'photos moved to the access system');
SELECT zanith.archive_table('shop.gift_cards', migration_id => '0036_gift_cards_v2',
                            reason => 'replaced by a table of the same name');
SELECT zanith.soft_drop_column('shop.employees', 'fax', migration_id => '0037_tidy', reason => 'nobody sends faxes');
SELECT zanith.archive_column('shop.products', 'legacy_sku', migration_id => '0038_one_sku',
                             reason => 'every partner uses the new numbers');
SELECT zanith.archive_column('shop.orders', 'legacy_code', migration_id => '0040_leave_the_till',
                             reason => 'the till system is switched off');
SELECT zanith.archive_table('shop.price_history', migration_id => '0041_history_to_warehouse',
                            expires_in => NULL, reason => 'analytics keeps its own copy');
SELECT zanith.soft_drop_table('shop.newsletter_subscribers', migration_id => '0042_checkout_cleanup',
                              reason => 'the mailing service has the list');
SELECT zanith.soft_drop_column('shop.customers', 'phone', migration_id => '0042_checkout_cleanup',
                               reason => 'no longer asked for at checkout');
SELECT zanith.archive_column('shop.order_items', 'discount', migration_id => '0042_checkout_cleanup',
                             reason => 'discounts are order lines now');
SELECT zanith.soft_drop_table('shop.table_bookings', migration_id => '0043_cafe_closed', reason => 'the café closed');
