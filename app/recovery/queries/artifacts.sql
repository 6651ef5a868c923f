-- columns: what is read of a row, with its state
a.id, a.capture_order, a.migration_id, a.artifact_type, {status} AS status, a.source_schema, a.source_table,
a.source_column, a.physical_schema, a.physical_table, a.physical_column, a.row_count, a.checksum,
a.sealed_at, a.verified_at, a.reason, a.created_at, a.created_by, a.created_by_role, a.expires_at,
a.held_by, a.held_by_role, a.held_reason, a.restored_at, a.restored_by, a.restored_by_role, a.verified_ok, a.cascade_of, a.kept_kind, a.kept_name,
CASE WHEN a.status = 'recoverable' AND zanith._strategy_is(a.artifact_type, 'column') THEN {half_done} END AS unfinished

-- half_done: online work that has begun and is not done: archiving, restoring, or NULL. As zanith.unfinished(), for roles that may not call it
(SELECT substring(obj_description(f.oid, 'pg_class') FROM '^zanith unfinished ([a-z]+)')
 FROM pg_class AS f JOIN pg_namespace AS s ON s.oid = f.relnamespace
 WHERE s.nspname = '_zanith_shadow' AND f.relname = ('_zanith_follow_' || a.id)::name)

-- status: a column that was restored and is gone again is recoverable where its archive stands
CASE WHEN a.status = 'restored' AND zanith._strategy_is(a.artifact_type, 'values') AND zanith.is_recoverable_again(a.id) THEN 'recoverable' ELSE a.status END

-- place: joins the parked object by its recorded name
LEFT JOIN pg_namespace AS n ON n.nspname = a.physical_schema
LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = a.physical_table

-- health: the worst that is known, as the doctor tells it; w is what worst_damages() says of those that were asked about
COALESCE(w.kind, CASE WHEN a.verified_ok IS FALSE THEN 'changed' ELSE {calm} END)

-- every: whose damage is asked about for the whole truth
(a.physical_table IS NOT NULL OR a.verified_ok IS FALSE)

-- stray: whose damage is asked about for totals over all, which take no look at each parked object: what is not where it was recorded
(a.physical_table IS NOT NULL AND a.status = 'recoverable'
 AND (c.oid IS NULL OR a.physical_column IS NOT NULL AND NOT EXISTS (
          SELECT FROM pg_attribute AS t
          WHERE t.attrelid = c.oid AND t.attname = a.physical_column AND NOT t.attisdropped)))

-- calm: what a row says where nothing is damaged
CASE
    WHEN a.sealed_at IS NULL AND a.physical_table IS NOT NULL AND a.status = 'recoverable'
         AND a.artifact_type <> 'soft_drop_column' THEN 'unsealed'
    WHEN {overdue} THEN 'expired'
    ELSE 'ok'
END

-- overdue: a cleanup takes it by its date, and takes more than the record of what was restored
a.expires_at < now() AND a.held_by IS NULL AND (a.status = 'recoverable' OR zanith._strategy_is(a.artifact_type, 'archive'))

-- size: bytes of the parked object, its partitions and children, indexes and TOAST included; NULL for what lives in a live table
CASE
    WHEN c.oid IS NULL OR a.artifact_type = 'soft_drop_column'
         OR (a.status = 'restored' AND NOT zanith._strategy_is(a.artifact_type, 'archive')) THEN NULL
    WHEN c.relhassubclass
        THEN (SELECT sum(pg_total_relation_size(m.member)) FROM zanith._parked_members(a.id, c.oid) AS m)
    ELSE pg_total_relation_size(c.oid)
END::bigint

-- filter: every part may be NULL
    ($1::text IS NULL OR a.artifact_type = $1)
AND ($2::text IS NULL OR {status} = $2)
AND ($3::text IS NULL OR a.source_schema = $3)
AND ($4::text IS NULL OR a.source_table = $4)
AND ($5::text IS NULL OR a.source_column = $5)
AND ($6::text IS NULL OR pg_catalog.concat_ws(' ', a.id, a.source_schema || '.' || a.source_table, a.source_column, a.kept_kind, a.kept_name,
                                   a.migration_id, a.reason, a.created_by, a.created_by_role) ILIKE $6)
AND ($7::interval IS NULL OR a.created_at < now() - $7)
AND ($9::boolean IS NULL OR (a.held_by IS NOT NULL) = $9)
AND ($10::interval IS NULL OR a.expires_at < now() + $10 AND {goes})
AND ($11::boolean IS NULL OR (a.expires_at IS NULL) = $11)
AND ($12::text IS NULL OR a.migration_id ILIKE $12)
AND ($13::text IS NULL OR pg_catalog.concat_ws(' ', a.created_by, a.created_by_role) ILIKE $13)
AND ($14::timestamptz IS NULL OR a.created_at >= $14)
AND ($15::timestamptz IS NULL OR a.created_at < $15)
AND ($16::boolean IS NULL OR {exported} = $16)
AND ($17::text IS NULL OR pg_catalog.concat_ws(' ', pg_catalog.concat_ws('.', a.source_schema, a.source_table, a.source_column),
                                    pg_catalog.concat_ws('.', quote_ident(a.source_schema), quote_ident(a.source_table), quote_ident(a.source_column)),
                                    a.kept_name) ILIKE $17)

-- goes: a cleanup takes it once its date is past, and it could still come back
a.held_by IS NULL AND {status} = 'recoverable'

-- exported: whether its rows were ever exported to the end; what has no rows needs no export
(a.physical_table IS NULL OR EXISTS (
    SELECT FROM zanith._zanith_jobs AS j
    WHERE j.artifact_id = a.id AND j.kind = 'export' AND j.state IN ('done', 'mismatch')))

-- page_of_rows: a page where row and order need nothing but the row
WITH page AS MATERIALIZED (
    SELECT * FROM zanith._zanith_migration_artifacts AS a
    WHERE {filter} AND ($8::text[] IS NULL)
      AND ($18::text IS NULL OR ({key}, a.capture_order) {before} ($18::text::{type}, $19::bigint))
    ORDER BY {key} {direction}, a.capture_order {direction}
    LIMIT $20
), worst AS MATERIALIZED (
    SELECT d.id, d.kind FROM zanith.worst_damages(ARRAY(SELECT a.id FROM page AS a WHERE {every})) AS d
)
SELECT {columns}, {health} AS health, {size} AS size_bytes, {key}::text AS key
FROM page AS a
LEFT JOIN worst AS w ON w.id = a.id
{place}
ORDER BY {key} {direction}, a.capture_order {direction};

-- among: the damage of all that match, where a state of health is asked for; damage only takes away from the other states, so of these it is asked of those that are in them without it
SELECT d.id, d.kind
FROM zanith.worst_damages(ARRAY(
    SELECT a.id FROM zanith._zanith_migration_artifacts AS a {place}
    WHERE {filter} AND ($8::text[] && ARRAY['missing', 'moved', 'changed'] OR {calm} = ANY ($8)) AND {asked})) AS d

-- page_by_health: a page of those in a state of health
WITH among AS MATERIALIZED ({among}), page AS MATERIALIZED (
    SELECT a.*, {key} AS key
    FROM zanith._zanith_migration_artifacts AS a
    LEFT JOIN among AS w ON w.id = a.id
    WHERE {filter} AND {health} = ANY ($8::text[])
      AND ($18::text IS NULL OR ({key}, a.capture_order) {before} ($18::text::{type}, $19::bigint))
    ORDER BY {key} {direction}, a.capture_order {direction}
    LIMIT $20
), worst AS MATERIALIZED (
    SELECT d.id, d.kind FROM zanith.worst_damages(ARRAY(SELECT a.id FROM page AS a WHERE {every})) AS d
)
SELECT {columns}, {health} AS health, {size} AS size_bytes, a.key::text AS key
FROM page AS a
LEFT JOIN worst AS w ON w.id = a.id
{place}
ORDER BY a.key {direction}, a.capture_order {direction};

-- page_by_size: a page in order of size, in any state of health
WITH among AS MATERIALIZED ({among}), page AS MATERIALIZED (
    SELECT * FROM (
        SELECT a.*, COALESCE({size}, -1) AS ordering
        FROM zanith._zanith_migration_artifacts AS a
        LEFT JOIN among AS w ON w.id = a.id
        {place}
        WHERE {filter} AND ($8::text[] IS NULL OR {health} = ANY ($8))) AS a
    WHERE $18::text IS NULL OR (a.ordering, a.capture_order) {before} ($18::bigint, $19::bigint)
    ORDER BY a.ordering {direction}, a.capture_order {direction}
    LIMIT $20
), worst AS MATERIALIZED (
    SELECT d.id, d.kind FROM zanith.worst_damages(ARRAY(SELECT a.id FROM page AS a WHERE {every})) AS d
)
SELECT {columns}, {health} AS health, NULLIF(a.ordering, -1) AS size_bytes, a.ordering::text AS key
FROM page AS a
LEFT JOIN worst AS w ON w.id = a.id
{place}
ORDER BY a.ordering {direction}, a.capture_order {direction};

-- rows_before: how many come before a place in the order, where row and order need nothing but the row
SELECT count(*) FROM zanith._zanith_migration_artifacts AS a
WHERE {filter} AND ($8::text[] IS NULL) AND {side} (({key}, a.capture_order) {before} ($18::text::{type}, $19::bigint));

-- rows_before_by_health: the same of those in a state of health
WITH among AS MATERIALIZED ({among})
SELECT count(*) FROM zanith._zanith_migration_artifacts AS a
LEFT JOIN among AS w ON w.id = a.id
WHERE {filter} AND {health} = ANY ($8::text[]) AND {side} (({key}, a.capture_order) {before} ($18::text::{type}, $19::bigint));

-- rows_before_by_size: the same in order of size
WITH among AS MATERIALIZED ({among})
SELECT count(*) FROM zanith._zanith_migration_artifacts AS a
LEFT JOIN among AS w ON w.id = a.id
{place}
WHERE {filter} AND ($8::text[] IS NULL OR {health} = ANY ($8))
  AND {side} ((COALESCE({size}, -1), a.capture_order) {before} ($18::text::bigint, $19::bigint));

-- ids: which match, where health does not matter, oldest first
SELECT a.id FROM zanith._zanith_migration_artifacts AS a
WHERE {filter} AND ($8::text[] IS NULL) ORDER BY a.capture_order LIMIT $18;

-- ids_by_health: which match in a state of health, oldest first
WITH among AS MATERIALIZED ({among})
SELECT a.id FROM zanith._zanith_migration_artifacts AS a
LEFT JOIN among AS w ON w.id = a.id
WHERE {filter} AND {health} = ANY ($8::text[]) ORDER BY a.capture_order LIMIT $18;

-- count: how many match, where health does not matter
SELECT count(*) FROM zanith._zanith_migration_artifacts AS a
WHERE {filter} AND ($8::text[] IS NULL);

-- count_purged: how many artifacts were purged since ever
SELECT count(*) FROM zanith._zanith_audit_log AS l
WHERE l.action IN ('purge', 'cleanup') AND l.outcome = 'done' AND l.artifact_id IS NOT NULL;

-- count_by_health: how many match in a state of health
WITH among AS MATERIALIZED ({among})
SELECT count(*) FROM zanith._zanith_migration_artifacts AS a
LEFT JOIN among AS w ON w.id = a.id
WHERE {filter} AND {health} = ANY ($8::text[]);

-- one: a single artifact
SELECT {columns}, {health} AS health, {size} AS size_bytes, NULL AS key
FROM zanith._zanith_migration_artifacts AS a
LEFT JOIN LATERAL (SELECT zanith.worst_damage(a.id) AS kind WHERE {every} OFFSET 0) AS w ON true
{place} WHERE a.id = $1;

-- by_id: whether there is exactly this one
SELECT a.id FROM zanith._zanith_migration_artifacts AS a WHERE a.id = $1;

-- by_prefix: ids that begin so
SELECT a.id FROM zanith._zanith_migration_artifacts AS a WHERE starts_with(a.id, $1) ORDER BY a.id LIMIT 10;

-- by_name: the artifacts of an object, recoverable ones first, tables and columns before definitions, newest first; a part may be NULL. What is named on its table is found as a column is
SELECT a.id, a.source_schema, a.source_table, a.source_column, {status} AS status
FROM zanith._zanith_migration_artifacts AS a
WHERE ($1::text IS NULL OR a.source_schema = $1)
  AND (a.kept_kind IS NULL AND a.source_table = $2 AND a.source_column IS NOT DISTINCT FROM $3
       OR a.kept_object = COALESCE($3, $2) AND ($3 IS NULL OR a.source_table = $2)
          AND ($3 IS NULL) = (a.kept_kind NOT IN ('constraint', 'trigger', 'policy', 'rule', 'column default', 'column identity')))
  AND ($4::text[] IS NULL OR a.artifact_type = ANY ($4))
ORDER BY {status} = 'recoverable' DESC, a.kept_kind IS NOT NULL, a.capture_order DESC
LIMIT 100;

-- newest: what was dropped last, of what can come back
SELECT a.id FROM zanith._zanith_migration_artifacts AS a
WHERE a.status = 'recoverable' AND a.artifact_type <> 'rebuild_table'
ORDER BY a.capture_order DESC LIMIT 1;

-- search_path: the schemas in which an unqualified name is looked for under that path, until the transaction ends
SELECT pg_catalog.current_schemas(false)::pg_catalog.text[]
FROM (SELECT pg_catalog.set_config('search_path', $1, true) AS path OFFSET 0) AS s WHERE s.path IS NOT NULL;

-- record: what inspect shows of the row, where the parked object really is, and what depends on it
SELECT a.recovery_sql, a.definition, zanith.locate(a.id) AS place, zanith.dependents(a.id) AS dependents
FROM zanith._zanith_migration_artifacts AS a WHERE a.id = $1;

-- summary: totals over all artifacts, damage as far as it is quickly told; dates of what a cleanup takes that can still come back; sizes from the planner's page counts where there are any
WITH worst AS MATERIALIZED (
    SELECT d.id, d.kind
    FROM zanith.worst_damages(ARRAY(SELECT a.id FROM zanith._zanith_migration_artifacts AS a {place} WHERE {stray})) AS d
), seen AS MATERIALIZED (
    SELECT {status} AS status, a.held_by, a.expires_at, a.source_schema, a.source_table, {health} AS health,
           CASE WHEN c.oid IS NULL OR a.artifact_type = 'soft_drop_column'
                     OR (a.status = 'restored' AND NOT zanith._strategy_is(a.artifact_type, 'archive')) THEN 0
                WHEN c.relkind = 'r' AND c.relpages > 0 AND c.reltoastrelid = 0 AND NOT c.relhasindex
                    THEN c.relpages * current_setting('block_size')::bigint
                ELSE {size} END AS bytes
    FROM zanith._zanith_migration_artifacts AS a
    LEFT JOIN worst AS w ON w.id = a.id
    {place}
)
SELECT count(*) AS total,
       count(*) FILTER (WHERE status = 'recoverable') AS recoverable,
       count(*) FILTER (WHERE status = 'restored') AS restored,
       COALESCE(sum(bytes), 0)::bigint AS parked_bytes,
       count(*) FILTER (WHERE goes AND expires_at BETWEEN now() AND now() + interval '7 days') AS expiring_soon,
       count(*) FILTER (WHERE goes AND expires_at < now()) AS overdue,
       count(*) FILTER (WHERE health IN ('missing', 'moved', 'changed')) AS damaged,
       count(*) FILTER (WHERE health = 'expired') AS expired,
       count(*) FILTER (WHERE held_by IS NOT NULL) AS held,
       (SELECT count(*) FROM (SELECT FROM seen GROUP BY source_schema, source_table HAVING sum(bytes) > 0) AS t) AS parked_tables,
       (SELECT pg_catalog.json_agg(pg_catalog.json_build_array(x.name, x.bytes) ORDER BY x.bytes DESC, x.name)
        FROM (SELECT quote_ident(source_schema) || '.' || quote_ident(source_table) AS name,
                     sum(bytes)::bigint AS bytes
              FROM seen GROUP BY 1 HAVING sum(bytes) > 0 ORDER BY 2 DESC, 1 LIMIT 100) AS x) AS by_table,
       pg_catalog.json_build_array(
           pg_catalog.json_build_array('overdue', count(*) FILTER (WHERE goes AND expires_at < now())),
           pg_catalog.json_build_array('within 7 days', count(*) FILTER (
               WHERE goes AND expires_at >= now() AND expires_at < now() + interval '7 days')),
           pg_catalog.json_build_array('in 8 to 30 days', count(*) FILTER (
               WHERE goes AND expires_at >= now() + interval '7 days' AND expires_at < now() + interval '30 days')),
           pg_catalog.json_build_array('in 31 to 90 days', count(*) FILTER (
               WHERE goes AND expires_at >= now() + interval '30 days' AND expires_at < now() + interval '90 days')),
           pg_catalog.json_build_array('in more than 90 days', count(*) FILTER (WHERE goes AND expires_at >= now() + interval '90 days')),
           pg_catalog.json_build_array('on hold', count(*) FILTER (WHERE held_by IS NOT NULL AND status = 'recoverable')),
           pg_catalog.json_build_array('never', count(*) FILTER (WHERE goes AND expires_at IS NULL))) AS by_expiry
FROM (SELECT *, held_by IS NULL AND status = 'recoverable' AS goes FROM seen) AS seen;

-- states: how many of each type and status, and the age of the oldest that waits for its seal
SELECT a.artifact_type, {status} AS status, count(*) AS number,
       max(EXTRACT(epoch FROM now() - a.created_at)) FILTER (WHERE {calm} = 'unsealed') AS oldest
FROM zanith._zanith_migration_artifacts AS a
GROUP BY 1, 2
ORDER BY 1, 2;

-- compare: the recorded definition beside the catalog
SELECT zanith.compare($1);

-- companions: what the cascade of a capture took along, newest first
SELECT a.id, zanith._object_name(a) AS object,
       a.artifact_type, {status} AS status
FROM zanith._zanith_migration_artifacts AS a WHERE a.cascade_of = $1 ORDER BY a.capture_order DESC;

-- row_query: the query that shows the parked rows
SELECT zanith.row_query($1);
