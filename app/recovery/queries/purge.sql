-- plan_purge: what would be dropped, and what stands in its way
SELECT zanith.plan_purge($1);

-- last_export: the last one that went through
SELECT zanith.last_export($1);

-- last_exports: the same of several
SELECT x.id, zanith.last_export(x.id) AS last FROM pg_catalog.unnest($1::text[]) AS x(id);

-- digests: of the plans to purge several, as a person is shown them
SELECT a.id, zanith.plan_purge(a.id) ->> 'digest' AS digest
FROM zanith._zanith_migration_artifacts AS a WHERE a.id = ANY ($1::text[]);

-- purge: one purge, which waits as long as $8 says for a lock, whole or not at all; $9 says that the settings want an approval
SELECT zanith.purge_artifact($1, $2, $3, $4, $5, $6, $7, $9)
FROM (SELECT set_config('lock_timeout', $8, true) AS limited OFFSET 0) AS s WHERE s.limited IS NOT NULL;

-- old: what a cleanup is asked about, by age, expiry or id
(a.created_at < now() - $1::interval OR $2::boolean AND a.expires_at < now()
 OR $1::interval IS NULL AND NOT $2::boolean AND $3::text[] IS NOT NULL)
AND ($3::text[] IS NULL OR a.id = ANY ($3))

-- more_than: whether a cleanup is asked about more artifacts than so many
SELECT count(*) > $4::integer FROM (SELECT FROM zanith._zanith_migration_artifacts AS a WHERE {old} LIMIT $4::integer + 1) AS found;

-- candidates: what cleanup may take, oldest first, with why it would be left
WITH old AS MATERIALIZED (
    SELECT * FROM zanith._zanith_migration_artifacts AS a WHERE {old}
), worst AS MATERIALIZED (
    SELECT d.id, d.kind FROM zanith.worst_damages(ARRAY(SELECT a.id FROM old AS a {place} WHERE {asked})) AS d
)
SELECT {columns}, {health} AS health, {size} AS size_bytes, NULL AS key,
       CASE WHEN a.held_by IS NOT NULL
                THEN 'on hold by ' || zanith._signed(a.held_by, a.held_by_role) || COALESCE(': ' || a.held_reason, '')
            WHEN a.expires_at IS NULL THEN 'never expires: purge it by name'
            WHEN a.expires_at > now() AND $1::interval IS NOT NULL AND NOT $4::boolean
                THEN 'kept until ' || to_char(a.expires_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI') || ' UTC, its expiry date'
            WHEN NOT a.verified_ok AND $3::text[] IS NULL AND NOT $5::boolean THEN 'it did not match its seal when it was last verified: purge it by name'
            WHEN j.kind IS NOT NULL THEN 'a ' || split_part(j.kind, '_', 1) || ' of it is under way'
            WHEN four_eyes.needed AND NOT EXISTS (SELECT FROM zanith._zanith_approvals AS p WHERE p.kind = 'purge' AND p.artifact_id = a.id AND p.state = 'approved' AND p.expires_at > clock_timestamp())
                THEN 'a second person must approve it: zanith approvals request-purge ' || a.id END AS skip
FROM old AS a
LEFT JOIN worst AS w ON w.id = a.id
{place}
CROSS JOIN LATERAL zanith._live_change(a.id) AS j
CROSS JOIN (SELECT zanith._needs_approval('purge', $6::boolean) AS needed) AS four_eyes
ORDER BY a.capture_order;

-- hold: keep it from purge and cleanup; a hold that is there stays as it is
UPDATE zanith._zanith_migration_artifacts SET held_by = $2, held_by_role = session_user, held_reason = $3
WHERE id = $1 AND held_by IS NULL RETURNING id;

-- release: let purge and cleanup have it again
UPDATE zanith._zanith_migration_artifacts SET held_by = NULL, held_by_role = NULL, held_reason = NULL
WHERE id = $1 AND held_by IS NOT NULL RETURNING id;
