-- plan_restore: the recipe rendered and checked against the catalog as it is now
SELECT zanith.plan_restore($1, $2::jsonb)::text;

-- plan_capture: what a capture would do
SELECT zanith.plan_capture($1, $2::text::regclass, $3, $4, $5, $6)::text;
