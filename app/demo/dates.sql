-- The same history, spread over the past months: the demo's superuser writes what was not so.

CREATE TEMP TABLE story (source_table text, source_column text, age interval, expires interval, who text);
INSERT INTO story VALUES
    ('products', NULL, '81 days', '9 days', 'marek'),
    ('customers', 'loyalty_points', '63 days', '-33 days', 'ana'),
    ('saved_carts', NULL, '29 days 4 hours', '20 hours', 'ana'),
    ('employees', 'badge', '35 days', '-5 days', 'jo'),
    ('gift_cards', NULL, '26 days', '4 days', 'marek'),
    ('employees', 'fax', '24 days', '6 days', 'jo'),
    ('products', 'legacy_sku', '19 days', '11 days', 'marek'),
    ('orders', 'legacy_code', '12 days', '18 days', 'ana'),
    ('price_history', NULL, '9 days', NULL, 'deploy'),
    ('newsletter_subscribers', NULL, '3 days 2 hours', '27 days', 'deploy'),
    ('customers', 'phone', '3 days 2 hours', '27 days', 'deploy'),
    ('order_items', 'discount', '3 days 2 hours', '27 days', 'deploy'),
    ('table_bookings', NULL, '50 minutes', '30 days', 'jo'),
    ('search_log', NULL, '20 minutes', '30 days', 'shop_owner');

UPDATE zanith._zanith_migration_artifacts a
SET created_at = now() - s.age,
    created_by = s.who,
    expires_at = now() + s.expires,
    sealed_at = CASE WHEN a.sealed_at IS NOT NULL THEN now() - s.age + interval '7 seconds' END,
    verified_at = CASE WHEN a.verified_at IS NOT NULL THEN now() - s.age + interval '5 hours' END,
    restored_at = CASE WHEN a.restored_at IS NOT NULL THEN now() - s.age / 2 END
FROM story s
WHERE a.source_table = s.source_table AND a.source_column IS NOT DISTINCT FROM s.source_column;

ALTER TABLE zanith._zanith_audit_log DISABLE TRIGGER audit_is_append_only;
UPDATE zanith._zanith_audit_log l
SET at = CASE l.action
             WHEN 'capture' THEN a.created_at
             WHEN 'seal' THEN a.created_at + interval '7 seconds'
             WHEN 'restore' THEN coalesce(a.restored_at, l.at)
             ELSE a.created_at + interval '5 hours'
         END,
    actor = CASE l.action WHEN 'capture' THEN a.created_by ELSE l.actor END
FROM zanith._zanith_migration_artifacts a
WHERE a.id = l.artifact_id;
ALTER TABLE zanith._zanith_audit_log ENABLE ALWAYS TRIGGER audit_is_append_only;

UPDATE zanith._zanith_jobs j
SET created_at = l.at, started_at = l.at, ended_at = l.at + (j.ended_at - j.started_at)
FROM zanith._zanith_audit_log l
WHERE l.artifact_id = j.artifact_id AND l.action = j.kind AND j.ended_at IS NOT NULL;
ANALYZE;
