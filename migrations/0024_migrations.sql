-- The history of migrations: one row for each run of a migration, one for each of its statements, and views that answer the usual questions.

CREATE TABLE zanith._zanith_migrations (
    run             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id              text NOT NULL CHECK (length(id) BETWEEN 1 AND 200),
    direction       text NOT NULL DEFAULT 'up' CHECK (direction IN ('up', 'down')),
    origin          text NOT NULL DEFAULT 'zanith' CHECK (length(origin) BETWEEN 1 AND 60),  -- of a baseline: the tool that applied it
    layout          text,
    path            text,
    repeatable      boolean NOT NULL DEFAULT false,
    transactional   boolean NOT NULL DEFAULT true,
    checksum        text CHECK (checksum ~ '^[0-9a-f]{64}$'),  -- SHA-256 of contents; NULL where a baseline had no file
    contents        text,                          -- the SQL that ran
    outcome         text NOT NULL CHECK (outcome IN ('running', 'applied', 'failed', 'reverted', 'replaced')),
    tries           integer NOT NULL DEFAULT 1 CHECK (tries > 0),
    began_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    applied_at      timestamptz,                   -- when it ended well
    elapsed         interval,
    applied_by      text NOT NULL,
    applied_by_role text NOT NULL DEFAULT session_user,
    applied_from    text,                          -- the client's address
    error           jsonb,                         -- of a failed run: message, hint, sqlstate; no value of a row
    undone_by_run   bigint REFERENCES zanith._zanith_migrations,  -- the run that reverted or replaced it
    engine          text NOT NULL,
    CHECK ((checksum IS NULL) = (contents IS NULL)),
    CHECK ((outcome IN ('applied', 'reverted', 'replaced')) = (applied_at IS NOT NULL)),
    CHECK ((outcome IN ('reverted', 'replaced')) = (undone_by_run IS NOT NULL))
);
COMMENT ON TABLE zanith._zanith_migrations IS
    'One row for each run of a migration: what ran, by whom, how long it took, and what became of it.';
CREATE UNIQUE INDEX migrations_one_live ON zanith._zanith_migrations (id)
    WHERE direction = 'up' AND outcome IN ('running', 'applied') AND NOT repeatable;
CREATE INDEX migrations_by_id ON zanith._zanith_migrations (id, run DESC);
CREATE INDEX migrations_by_time ON zanith._zanith_migrations (began_at);

CREATE TABLE zanith._zanith_migration_steps (
    run       bigint NOT NULL REFERENCES zanith._zanith_migrations,
    ordinal   integer NOT NULL CHECK (ordinal > 0),
    line      integer NOT NULL,
    kind      text NOT NULL,                       -- of the operation with the highest level
    object    text,
    sql       text NOT NULL,                       -- as the file has it
    ran       text,                                -- the statement that ran instead, where a drop became a capture
    level     text NOT NULL,
    score     integer NOT NULL,
    reasons   text[] NOT NULL DEFAULT '{}',
    predicted jsonb NOT NULL DEFAULT '[]',         -- all operations of the statement, as the plan had them
    observed  jsonb,                               -- the locks that PostgreSQL took, and what it rewrote and scanned
    tables    text[] NOT NULL DEFAULT '{}',        -- that it locked against writes or schema changes, or created or dropped
    changes   jsonb NOT NULL DEFAULT '{}',         -- what it created, dropped and renamed: the reverse is derived from it
    before    jsonb,                               -- of a statement outside a transaction: what was there when it began
    status    text NOT NULL CHECK (status IN ('pending', 'begun', 'done', 'skipped', 'failed', 'undone')),
    began_at  timestamptz,
    elapsed   interval,
    error     jsonb,
    PRIMARY KEY (run, ordinal)
);
COMMENT ON TABLE zanith._zanith_migration_steps IS
    'One row for each statement of a run: what it was predicted to do, what PostgreSQL did, how long it took.';

REVOKE ALL ON zanith._zanith_migrations, zanith._zanith_migration_steps FROM PUBLIC;

-- What failed lately, and why.
CREATE VIEW zanith.migration_failures WITH (security_invoker = true) AS
SELECT m.run, m.id, m.direction, m.began_at AS at, m.applied_by, m.applied_by_role, m.path, s.line, s.sql,
       COALESCE(s.error, m.error) ->> 'message' AS message, COALESCE(s.error, m.error) ->> 'hint' AS hint,
       COALESCE(s.error, m.error) ->> 'sqlstate' AS sqlstate, m.tries,
       EXISTS (SELECT FROM zanith._zanith_migrations AS l
               WHERE l.id = m.id AND l.direction = m.direction AND l.run > m.run AND l.outcome NOT IN ('failed', 'running')) AS mended
FROM zanith._zanith_migrations AS m
LEFT JOIN zanith._zanith_migration_steps AS s ON s.run = m.run AND s.status IN ('failed', 'begun')
WHERE m.outcome IN ('failed', 'running')
ORDER BY m.run DESC;
COMMENT ON VIEW zanith.migration_failures IS 'Runs of migrations that failed or were interrupted: where, why, and whether a later run ended well.';

-- Which kinds of statements are slow.
CREATE VIEW zanith.migration_kinds WITH (security_invoker = true) AS
SELECT s.kind, count(*) AS statements, count(*) FILTER (WHERE s.status = 'failed') AS failed,
       sum(s.elapsed) AS total, avg(s.elapsed) AS mean, max(s.elapsed) AS longest,
       (pg_catalog.array_agg(m.id ORDER BY s.elapsed DESC NULLS LAST))[1] AS longest_in
FROM zanith._zanith_migration_steps AS s JOIN zanith._zanith_migrations AS m ON m.run = s.run
WHERE s.status IN ('done', 'failed')
GROUP BY s.kind
ORDER BY max(s.elapsed) DESC NULLS LAST, s.kind;
COMMENT ON VIEW zanith.migration_kinds IS 'Each kind of statement: how many ran, and how long they took.';

-- What is still recoverable, by migration. Ids of other tools are here too.
CREATE VIEW zanith.migration_recoverable WITH (security_invoker = true) AS
SELECT a.migration_id AS id, count(*) AS captured,
       count(*) FILTER (WHERE a.status = 'recoverable' AND a.artifact_type <> 'rebuild_table') AS recoverable,
       count(*) FILTER (WHERE a.status = 'restored') AS restored,
       count(*) FILTER (WHERE a.held_by IS NOT NULL) AS held,
       sum(a.row_count) FILTER (WHERE a.status = 'recoverable') AS rows,
       min(a.expires_at) FILTER (WHERE a.status = 'recoverable' AND a.held_by IS NULL) AS first_expires_at,
       max(a.created_at) AS captured_at
FROM zanith._zanith_migration_artifacts AS a
WHERE a.migration_id IS NOT NULL
GROUP BY a.migration_id
ORDER BY max(a.created_at) DESC;
COMMENT ON VIEW zanith.migration_recoverable IS 'What each migration dropped, and how much of it can still be restored.';

-- The risk profile of each run.
CREATE VIEW zanith.migration_risks WITH (security_invoker = true) AS
SELECT m.run, m.id, m.direction, m.outcome, m.applied_at, m.elapsed, count(s.run) AS statements, max(s.score) AS score,
       (pg_catalog.array_agg(s.level ORDER BY s.score DESC) FILTER (WHERE s.level IS NOT NULL))[1] AS level,
       (SELECT pg_catalog.array_agg(DISTINCT r.code ORDER BY r.code)
        FROM zanith._zanith_migration_steps AS t, pg_catalog.unnest(t.reasons) AS r(code) WHERE t.run = m.run) AS reasons,
       count(*) FILTER (WHERE s.level = 'destructive') AS destructive, count(*) FILTER (WHERE s.level = 'high') AS high,
       count(*) FILTER (WHERE s.level = 'medium') AS medium
FROM zanith._zanith_migrations AS m LEFT JOIN zanith._zanith_migration_steps AS s ON s.run = m.run
GROUP BY m.run
ORDER BY m.run DESC;
COMMENT ON VIEW zanith.migration_risks IS 'The level, score and reasons of each run of a migration.';

-- Who changed a table, and when: by migrations, and by captures, restores and purges outside of them.
CREATE VIEW zanith.table_changes WITH (security_invoker = true) AS
SELECT t.name AS table_name, COALESCE(s.began_at, m.began_at) AS at, m.applied_by AS changed_by, m.applied_by_role AS changed_by_role,
       m.id AS migration, m.run, m.direction, s.kind, s.sql
FROM zanith._zanith_migration_steps AS s JOIN zanith._zanith_migrations AS m ON m.run = s.run, pg_catalog.unnest(s.tables) AS t(name)
WHERE s.status IN ('done', 'begun')
UNION ALL
SELECT COALESCE(pg_catalog.quote_ident(a.source_schema) || '.' || pg_catalog.quote_ident(a.source_table), l.object), l.at, l.actor, l.db_role,
       a.migration_id, NULL, NULL, l.action, l.detail ->> 'reason'
FROM zanith._zanith_audit_log AS l LEFT JOIN zanith._zanith_migration_artifacts AS a ON a.id = l.artifact_id
WHERE l.outcome = 'done' AND l.action IN ('capture', 'restore', 'restore_rows', 'guard', 'purge', 'cleanup') AND l.object IS NOT NULL;
COMMENT ON VIEW zanith.table_changes IS 'Each change of a table that Zanith ran or captured: when, by whom, in which migration.';

-- What changed outside of the migrations that Zanith ran, as far as a capture, a restore or the guard recorded it.
CREATE VIEW zanith.changes_outside_migrations WITH (security_invoker = true) AS
SELECT l.at, l.actor AS changed_by, l.db_role AS changed_by_role, l.action, l.object, a.migration_id AS named_migration,
       l.detail ->> 'application' AS application, COALESCE(a.reason, l.detail ->> 'reason') AS reason, l.artifact_id
FROM zanith._zanith_audit_log AS l LEFT JOIN zanith._zanith_migration_artifacts AS a ON a.id = l.artifact_id
WHERE l.outcome = 'done' AND l.action IN ('capture', 'restore', 'guard', 'purge', 'cleanup')
  AND NOT EXISTS (SELECT FROM zanith._zanith_migrations AS m WHERE m.id = a.migration_id AND m.origin = 'zanith')
ORDER BY l.id DESC;
COMMENT ON VIEW zanith.changes_outside_migrations IS
    'Captures, restores and drops that belong to no migration of zanith migrate up.';

REVOKE ALL ON zanith.migration_failures, zanith.migration_kinds, zanith.migration_recoverable, zanith.migration_risks,
    zanith.table_changes, zanith.changes_outside_migrations FROM PUBLIC;
