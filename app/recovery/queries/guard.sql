-- fitness: what must be so before the event triggers run its functions as every role
SELECT zanith._is_superuser(zanith._own_role()) AS trusted, zanith._own_role()::text AS owner, zanith._is_superuser(current_user) AS superuser;

-- create_start: finds the statement and captures what it would drop
CREATE EVENT TRIGGER zanith_guard_start ON ddl_command_start WHEN TAG IN ('ALTER TABLE', 'ALTER TYPE', 'DROP AGGREGATE', 'DROP CAST', 'DROP COLLATION', 'DROP DOMAIN', 'DROP FUNCTION', 'DROP INDEX', 'DROP MATERIALIZED VIEW', 'DROP POLICY', 'DROP PROCEDURE', 'DROP ROUTINE', 'DROP RULE', 'DROP SCHEMA', 'DROP SEQUENCE', 'DROP STATISTICS', 'DROP TABLE', 'DROP TRIGGER', 'DROP TYPE', 'DROP VIEW')
EXECUTE FUNCTION zanith._guard_start();

-- create_dropped: refuses what was dropped and is nowhere else
CREATE EVENT TRIGGER zanith_guard_dropped ON sql_drop EXECUTE FUNCTION zanith._guard_dropped();

-- create_rewritten: refuses a change of a column's type that converts values, and that nothing keeps
CREATE EVENT TRIGGER zanith_guard_rewritten ON table_rewrite EXECUTE FUNCTION zanith._guard_rewritten();

-- create_end: refuses where a stand-in is left
CREATE EVENT TRIGGER zanith_guard_end ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'DROP AGGREGATE', 'DROP CAST', 'DROP COLLATION', 'DROP DOMAIN', 'DROP FUNCTION', 'DROP INDEX', 'DROP MATERIALIZED VIEW', 'DROP POLICY', 'DROP PROCEDURE', 'DROP ROUTINE', 'DROP RULE', 'DROP SCHEMA', 'DROP SEQUENCE', 'DROP STATISTICS', 'DROP TABLE', 'DROP TRIGGER', 'DROP TYPE', 'DROP VIEW')
EXECUTE FUNCTION zanith._guard_end();

-- create_commit: the trigger that looks at COMMIT for the id that a migration tool recorded, also where changes are replayed; it stays when the guard is turned off
DO $commit$ BEGIN
    IF NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = 'zanith._zanith_guard_unnamed'::regclass AND g.tgname = 'guard_commit') THEN
        CREATE CONSTRAINT TRIGGER guard_commit AFTER INSERT ON zanith._zanith_guard_unnamed DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION zanith._guard_commit();
        ALTER TABLE zanith._zanith_guard_unnamed ENABLE ALWAYS TRIGGER guard_commit;
    END IF;
END $commit$;

-- triggers: those of the guard that exist, by name, with how they are enabled
SELECT e.evtname::text AS name, e.evtenabled::text AS enabled
FROM pg_event_trigger AS e JOIN pg_proc AS p ON p.oid = e.evtfoid
WHERE p.pronamespace = 'zanith'::regnamespace ORDER BY 1;

-- truncate_members: a table with its partitions and children, each with whether it has the triggers of TRUNCATE; foreign tables keep their rows elsewhere
SELECT zanith._relation_name(c.oid) AS name, zanith._guard_keeps_rows(c.oid) AS kept
FROM zanith._family($1) AS f JOIN pg_class AS c ON c.oid = f.member AND c.relkind IN ('r', 'p') ORDER BY f.depth, c.oid;

-- truncate_fit: raises where no capture takes a table
SELECT zanith._check_table('archive_rows', $1);

-- truncated: tables with the triggers, and of each its partitions and children without them; those beneath another such table are not named themselves
SELECT DISTINCT zanith._relation_name(t.tgrelid) AS name, ARRAY(
           SELECT zanith._relation_name(f.member) FROM zanith._family(t.tgrelid) AS f JOIN pg_class AS c ON c.oid = f.member AND c.relkind IN ('r', 'p')
           WHERE NOT zanith._guard_keeps_rows(f.member) ORDER BY f.depth, f.member) AS without
FROM pg_trigger AS t
WHERE t.tgfoid = 'zanith._guard_truncate()'::regprocedure
  AND NOT EXISTS (SELECT FROM pg_inherits AS i JOIN pg_trigger AS p ON p.tgrelid = i.inhparent AND p.tgfoid = t.tgfoid WHERE i.inhrelid = t.tgrelid)
ORDER BY 1;

-- set_pin: pins a table with its partitions and children, or ends that
SELECT zanith._pin($1, $2);

-- pins: pinned tables, those beneath another one with it: whether columns are pinned, which were added since, and which partitions have no pin
SELECT zanith._relation_name(p.relation) AS name, p.columns, zanith._pin_lacks(p.relation) AS lacking, zanith._pin_misses(p.relation) AS without
FROM zanith._pins() AS p
WHERE NOT zanith._guard_is_ours(p.relation)
  AND NOT EXISTS (SELECT FROM pg_inherits AS i JOIN zanith._pins() AS o ON o.relation = i.inhparent WHERE i.inhrelid = p.relation)
ORDER BY 1;

-- truncate_triggers: the triggers of TRUNCATE, as statements that drop them
SELECT pg_catalog.format('DROP TRIGGER %I ON %s', t.tgname, zanith._relation_name(t.tgrelid)) AS statement
FROM pg_trigger AS t WHERE t.tgfoid = 'zanith._guard_truncate()'::regprocedure ORDER BY t.tgrelid;

-- set_rule: what to do with drops in a schema, by a role; NULL is every one
INSERT INTO zanith._zanith_guard_rules (schema_name, role_name, mode, may_turn_off, expires_in)
VALUES ($1, $2, $3, COALESCE($4, true), $5)
ON CONFLICT (schema_name, role_name) DO UPDATE
    SET mode = excluded.mode, may_turn_off = COALESCE($4, _zanith_guard_rules.may_turn_off), expires_in = COALESCE($5, _zanith_guard_rules.expires_in),
        set_at = clock_timestamp(), set_by = session_user;

-- remove_rule: the number of rules that went
WITH gone AS (
    DELETE FROM zanith._zanith_guard_rules WHERE schema_name IS NOT DISTINCT FROM $1 AND role_name IS NOT DISTINCT FROM $2 RETURNING 1)
SELECT count(*) FROM gone;

-- schema: the names that a rule can have
SELECT nspname::text AS name FROM pg_namespace ORDER BY 1;

-- role: the names that a rule can have
SELECT rolname::text AS name FROM pg_roles ORDER BY 1;

-- rules: what to do, the most specific first
SELECT schema_name, role_name, mode, may_turn_off, expires_in, set_at, set_by FROM zanith._zanith_guard_rules
ORDER BY pg_catalog.num_nonnulls(schema_name, role_name) DESC, schema_name NULLS LAST, role_name NULLS LAST;

-- open_schema: the event triggers call functions by name as the role that runs the DDL
GRANT USAGE ON SCHEMA zanith TO PUBLIC;

-- open_captures: every role may capture what it owns, and see the artifacts
GRANT SELECT ON zanith._zanith_migration_artifacts, zanith._zanith_schema TO PUBLIC;

-- lacking: roles that own tables and may not capture them
SELECT r.rolname::text AS name, count(*) AS tables
FROM pg_class AS c JOIN pg_roles AS r ON r.oid = c.relowner JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND NOT c.relispartition AND c.relpersistence <> 't'
  AND n.nspname NOT IN ('information_schema', 'zanith', '_zanith_shadow') AND NOT starts_with(n.nspname, 'pg_')
GROUP BY r.oid, r.rolname
HAVING NOT has_table_privilege(r.oid, 'zanith._zanith_migration_artifacts', 'SELECT')
ORDER BY r.rolname;

-- counts: what the guard captured, and what a warning or the setting let go
SELECT (SELECT count(*) FROM zanith._zanith_migration_artifacts AS a WHERE starts_with(a.reason, 'guard: ')) AS captured,
       (SELECT count(*) FROM zanith._zanith_audit_log AS l WHERE l.action = 'guard' AND l.detail ? 'deleted') AS deleted;

-- captures: the newest artifacts of plain drops, with the application that sent the statement, as the audit log has it
SELECT a.id, pg_catalog.concat_ws(' ', a.kept_kind, zanith._object_name(a)) AS object, a.artifact_type AS strategy, a.status, substr(a.reason, length('guard: ') + 1) AS statement, a.migration_id,
       a.created_at AS at, a.created_by AS actor, a.created_by_role AS db_role,
       (SELECT l.detail ->> 'application' FROM zanith._zanith_audit_log AS l WHERE l.artifact_id = a.id AND l.action = 'capture' ORDER BY l.id LIMIT 1) AS application
FROM zanith._zanith_migration_artifacts AS a WHERE starts_with(a.reason, 'guard: ')
ORDER BY a.capture_order DESC LIMIT $1;

-- deletions: the newest objects that a warning or the setting let go
SELECT l.object, l.detail ->> 'deleted' AS kind, l.detail ->> 'command' AS command, l.detail ->> 'mode' AS mode,
       l.at, l.actor, l.db_role, l.detail ->> 'application' AS application
FROM zanith._zanith_audit_log AS l WHERE l.action = 'guard' AND l.detail ? 'deleted'
ORDER BY l.id DESC LIMIT $1;

-- statements: where each statement of a text begins, how long it is, its first words, and whether it waits for data of the client
SELECT s.place, s.size, upper(pg_catalog.concat_ws(' ', s.words[1], s.words[2])) AS command,
       s.words[1] = 'copy' AND pg_catalog.array_to_string(s.words, ' ') ~ ' from stdin( |$)' AS from_stdin
FROM zanith._guard_statements($1) AS s;

-- own_role: as who connected, without the limits of the statements; the settings of a rolled back savepoint come back
RESET SESSION AUTHORIZATION; RESET ROLE; SET LOCAL statement_timeout = 0;

-- begin_trial: as the session of a tool would be: its search path, short waits for locks
SELECT set_config('search_path', COALESCE(zanith._configured_path(current_user), '"$user", public'), true), set_config('lock_timeout', $1, true),
       set_config('zanith.guard_notice', 'off', true);

-- lock_timeout: how long the rest of the transaction waits for locks
SELECT set_config('lock_timeout', $1, true);

-- marks: the transaction, the newest artifact and the newest entry of the log
SELECT pg_current_xact_id()::text AS transaction,
       (SELECT COALESCE(max(capture_order), 0) FROM zanith._zanith_migration_artifacts) AS artifact,
       (SELECT COALESCE(max(id), 0) FROM zanith._zanith_audit_log WHERE action = 'guard') AS entry;

-- captured_since: the artifacts after a mark
SELECT artifact_type AS strategy, pg_catalog.concat_ws(' ', a.kept_kind, zanith._object_name(a)) AS object FROM zanith._zanith_migration_artifacts AS a WHERE capture_order > $1 ORDER BY capture_order;

-- deleted_since: what was let go after a mark
SELECT object FROM zanith._zanith_audit_log WHERE action = 'guard' AND id > $1 AND detail ? 'deleted' ORDER BY id;

-- database: whether DROP DATABASE is refused here, since it is a template
SELECT d.datname::text AS name, d.datistemplate AS kept FROM pg_database AS d WHERE d.datname = current_database();
