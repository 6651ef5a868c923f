-- The history of migrations: what `zanith migrate` records, in the transaction of the migration. Each function records for the role of the session.

-- One run of a migration, with its statements; returns its number. `described` and `steps` have the columns of the two tables as keys.
CREATE OR REPLACE FUNCTION zanith.record_migration(described jsonb, steps jsonb) RETURNS bigint
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    number bigint;
BEGIN
    PERFORM zanith._check_migrates();
    PERFORM zanith._check_words(NULL, described ->> 'id', described ->> 'applied_by');
    INSERT INTO zanith._zanith_migrations AS m (id, direction, origin, layout, path, repeatable, transactional, checksum, contents, outcome, tries,
        began_at, applied_at, elapsed, applied_by, applied_by_role, applied_from, error, engine)
    SELECT d.id, COALESCE(d.direction, 'up'), COALESCE(d.origin, 'zanith'), d.layout, d.path, COALESCE(d.repeatable, false), COALESCE(d.transactional, true),
           d.checksum, d.contents, d.outcome, COALESCE(d.tries, 1), COALESCE(d.began_at, clock_timestamp()),
           CASE WHEN d.outcome = 'applied' THEN COALESCE(d.applied_at, clock_timestamp()) END, d.elapsed, d.applied_by, session_user,
           host(inet_client_addr()), d.error, 'zanith ' || zanith.version() || ', PostgreSQL ' || current_setting('server_version')
    FROM jsonb_populate_record(NULL::zanith._zanith_migrations, described) d
    RETURNING m.run INTO number;
    INSERT INTO zanith._zanith_migration_steps (run, ordinal, line, kind, object, sql, ran, level, score, reasons, predicted, observed, tables, changes,
        before, status, began_at, elapsed, error)
    SELECT number, s.ordinal, s.line, s.kind, s.object, s.sql, s.ran, s.level, s.score, COALESCE(s.reasons, '{}'), COALESCE(s.predicted, '[]'), s.observed,
           COALESCE(s.tables, '{}'), COALESCE(s.changes, '{}'), s.before, s.status, s.began_at, s.elapsed, s.error
    FROM jsonb_populate_recordset(NULL::zanith._zanith_migration_steps, steps) s;
    IF described ->> 'outcome' = 'applied' THEN
        PERFORM zanith._name_captures(described ->> 'id', described ->> 'direction' = 'down');
    END IF;
    RETURN number;
END $$;

-- What became of one statement of a run that goes on outside a transaction.
CREATE OR REPLACE FUNCTION zanith.record_migration_step(of_run bigint, step jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    s zanith._zanith_migration_steps;
BEGIN
    PERFORM zanith._check_migrates();
    SELECT * INTO s FROM zanith._zanith_migration_steps x WHERE x.run = of_run AND x.ordinal = (step ->> 'ordinal')::integer
        AND EXISTS (SELECT FROM zanith._zanith_migrations m WHERE m.run = of_run AND m.outcome = 'running') FOR UPDATE;
    IF NOT FOUND THEN
        PERFORM zanith._refuse(format('run %s has ended, or has no such statement', of_run), 'Run zanith migrate status.', '55000');
    END IF;
    s := jsonb_populate_record(s, step - '{run,ordinal,sql,line}'::text[]);
    UPDATE zanith._zanith_migration_steps x
    SET ran = s.ran, observed = s.observed, tables = s.tables, changes = s.changes, before = s.before, status = s.status, began_at = s.began_at,
        elapsed = s.elapsed, error = s.error
    WHERE x.run = of_run AND x.ordinal = s.ordinal;
    IF s.status = 'done' THEN
        PERFORM zanith._name_captures(m.id, m.direction = 'down') FROM zanith._zanith_migrations m WHERE m.run = of_run;
    END IF;
END $$;

-- How a run ended that went on outside a transaction.
CREATE OR REPLACE FUNCTION zanith.end_migration(of_run bigint, new_outcome text, took interval, why jsonb) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM zanith._check_migrates();
    UPDATE zanith._zanith_migrations m
    SET outcome = new_outcome, elapsed = took, error = why, applied_at = CASE WHEN new_outcome = 'applied' THEN clock_timestamp() END
    WHERE m.run = of_run AND m.outcome = 'running' AND new_outcome IN ('applied', 'failed');
    IF NOT FOUND THEN
        PERFORM zanith._refuse(format('run %s has ended', of_run), 'Run zanith migrate status.', '55000');
    END IF;
END $$;

-- The run that a migration is applied by no longer counts: another run reverted it, or replaced it with newer contents.
CREATE OR REPLACE FUNCTION zanith.undo_migration(of_run bigint, new_outcome text, by_run bigint) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM zanith._check_migrates();
    UPDATE zanith._zanith_migrations m SET outcome = new_outcome, undone_by_run = by_run
    WHERE m.run = of_run AND m.outcome = 'applied' AND m.direction = 'up' AND new_outcome IN ('reverted', 'replaced') AND m.run <> by_run;
    IF NOT FOUND THEN
        PERFORM zanith._refuse(format('run %s is not applied any more', of_run), 'Run zanith migrate status.', '55000');
    END IF;
END $$;

-- Raises where the role of the session may not read the history: what may be read may be recorded too.
CREATE OR REPLACE FUNCTION zanith._check_migrates() RETURNS void
LANGUAGE plpgsql STABLE AS $$ BEGIN
    IF NOT has_table_privilege(session_user, 'zanith._zanith_migration_artifacts', 'SELECT') OR NOT has_table_privilege(session_user, 'zanith._zanith_migrations', 'SELECT') THEN
        PERFORM zanith._refuse(format('%I may not run migrations', session_user),
            format('An administrator runs zanith init --grant %I.', session_user), '42501');
    END IF;
END $$;

-- The captures of this transaction get the id of the migration: those of the guard, and those that name none. What a down drops has an id of its
-- own, so that it does not come back with what the up dropped.
CREATE OR REPLACE FUNCTION zanith._name_captures(of_migration text, down boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    unnamed text := zanith._guard_migration();
    migration text := CASE WHEN down THEN left(of_migration, 195) || ' down' ELSE of_migration END;
BEGIN
    UPDATE zanith._zanith_migration_artifacts a SET migration_id = migration WHERE a.migration_id = unnamed;
    UPDATE zanith._zanith_migration_artifacts a SET migration_id = migration
    WHERE a.migration_id IS NULL AND a.created_at >= transaction_timestamp() AND zanith._guard_wrote(a.xmin);
    DELETE FROM zanith._zanith_guard_unnamed n WHERE n.transaction = pg_current_xact_id_if_assigned();
END $$;
