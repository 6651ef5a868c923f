-- Migration ids: an artifact of the guard gets the id that the migration tool records in the same transaction.

-- The known tools: the table in which each records its migrations, in any schema, the columns that tell it from others of that name, and the id.
CREATE OR REPLACE FUNCTION zanith._guard_tools() RETURNS TABLE (tool text, named text, columns text[], id text)
LANGUAGE sql IMMUTABLE AS $$
    SELECT k.tool, k.named, k.columns::text[], k.id FROM (VALUES
        ('aerich', 'aerich', '{version,app}', 't.version'),
        ('Alembic', 'alembic_version', '{version_num}', 't.version_num'),
        ('Django', 'django_migrations', '{app,name}', 'concat(t.app, ''.'', t.name)'),
        ('drizzle', '__drizzle_migrations', '{hash,created_at}', 't.created_at'),
        ('drizzle', '__drizzle_migrations', '{hash,created_at,name}', 'COALESCE(t.name, t.created_at::text)'),
        ('Flyway', 'flyway_schema_history', '{version,script}', 'COALESCE(t.version, t.script)'),
        ('goose', 'goose_db_version', '{version_id,is_applied}', 'CASE WHEN t.is_applied THEN t.version_id END'),
        ('graphile-migrate', 'migrations', '{hash,filename}', 't.filename'),
        ('Knex', 'knex_migrations', '{name,batch}', 't.name'),
        ('Liquibase', 'databasechangelog', '{id,author,filename}', 'concat_ws(''::'', t.filename, t.id, t.author)'),
        ('node-pg-migrate', 'pgmigrations', '{name,run_on}', 't.name'),
        ('piccolo', 'migration', '{name,app_name,ran_on}', 't.name'),
        ('Prisma', '_prisma_migrations', '{migration_name,checksum}', 't.migration_name'),
        ('Rails, dbmate, golang-migrate', 'schema_migrations', '{version}', 't.version'),
        ('Sequel', 'schema_info', '{version}', 't.version'),
        ('Sequel', 'schema_migrations', '{filename}', 't.filename'),
        ('Sequelize', 'SequelizeMeta', '{name}', 't.name'),
        ('sqitch', 'changes', '{change_id,change,project}', 't.change'),
        ('TypeORM', 'migrations', '{timestamp,name}', 't.name'),
        ('yoyo', '_yoyo_migration', '{migration_hash,migration_id}', 't.migration_id')) k(tool, named, columns, id)
$$;

-- Their tables in this database, and whether this transaction may have written to each. Only an ordinary table is read, without policies, and of it
-- only stored columns of built-in types, so that no code of its owner is part of the query itself.
CREATE OR REPLACE FUNCTION zanith._guard_books() RETURNS TABLE (relation oid, id text, written boolean)
LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN QUERY
    SELECT DISTINCT ON (c.oid) c.oid, k.id, EXISTS (
        SELECT FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.relation = c.oid AND l.granted
           AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
           AND l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
    FROM zanith._guard_tools() k JOIN pg_class c ON c.relname = k.named JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND NOT c.relispartition AND c.relpersistence <> 't' AND NOT c.relrowsecurity AND n.nspname NOT IN ('zanith', '_zanith_shadow')
      AND cardinality(k.columns) = (SELECT count(*) FROM pg_attribute a JOIN pg_type y ON y.oid = a.atttypid
                                    WHERE a.attrelid = c.oid AND a.attname = ANY (k.columns) AND NOT a.attisdropped AND a.attgenerated = '' AND y.typtype = 'b' AND y.oid < 16384)
    ORDER BY c.oid, cardinality(k.columns) DESC;
END $$;

-- How many rows this session has written to these tables. The difference of two calls in one transaction is what it wrote between them, also rows
-- that it has replaced since.
CREATE OR REPLACE FUNCTION zanith._guard_writes() RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN (
    SELECT COALESCE(sum(pg_stat_get_xact_tuples_inserted(b.relation) + pg_stat_get_xact_tuples_updated(b.relation)), 0) FROM zanith._guard_books() b
); END $$;

-- Whether a row that is visible was written by this transaction, or by a part of it that ended. A number of 32 bits stands for a transaction of
-- any age, so a number ahead of this one may be one that PostgreSQL has not reached yet.
CREATE OR REPLACE FUNCTION zanith._guard_wrote(inserted xid) RETURNS boolean
LANGUAGE plpgsql STABLE AS $$
DECLARE
    top bigint := pg_current_xact_id_if_assigned()::text::bigint;
    ahead bigint := (inserted::text::bigint - top % 4294967296 + 4294967296) % 4294967296;
BEGIN
    RETURN ahead < 2147483648 AND pg_xact_status((top + ahead)::text::xid8) = 'in progress';
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN false;
END $$;

-- The rows of this transaction in these tables: [{command, id}]. It reads as the current role. It is proved under a lock that a table of another
-- role calls no code of that role; such a table, and one that this role may not read, has no rows here.
CREATE OR REPLACE FUNCTION zanith._guard_read_books() RETURNS jsonb
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    b record;
    rows jsonb;
    recorded jsonb := '[]';
BEGIN
    FOR b IN SELECT zanith._relation_name(x.relation) AS name, x.id FROM zanith._guard_books() x WHERE x.written LOOP
        BEGIN
            PERFORM zanith.guard_tables(NULL, ARRAY['ONLY ' || b.name], true);
            EXECUTE format('SELECT zanith._list(jsonb_build_object(''command'', t.cmin::text::bigint, ''id'', (%s)::text)) FROM ONLY %s t WHERE zanith._guard_wrote(t.xmin)', b.id, b.name)
            INTO rows;
            recorded := recorded || rows;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
    RETURN recorded;
END $$;

-- Notes an artifact that has no id of a tool yet. Other triggers of the session may have been made immediate; this one waits for COMMIT.
CREATE OR REPLACE FUNCTION zanith._guard_note_unnamed(artifact text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = 'zanith._zanith_guard_unnamed'::regclass AND g.tgname = 'guard_commit') THEN
        SET CONSTRAINTS zanith.guard_commit DEFERRED;
        INSERT INTO zanith._zanith_guard_unnamed (artifact, writes) VALUES (artifact, zanith._guard_writes());
    END IF;
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_has_unnamed() RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$ BEGIN
    RETURN EXISTS (SELECT FROM zanith._zanith_guard_unnamed u WHERE u.transaction = pg_current_xact_id());
END $$;

-- Gives artifacts of this transaction the id of the first row that was written after the capture; at COMMIT, where none was, of the last one before.
-- If a row was written after the capture and replaced since (a tool that updates its one row, twice), the id is not known, and stays.
CREATE OR REPLACE FUNCTION zanith._guard_name_artifacts(recorded jsonb, writes bigint, final boolean) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mine text := zanith._guard_migration();
    u record;
    later bigint;
    name text;
BEGIN
    FOR u IN SELECT n.artifact, n.writes, n.cmin::text::bigint AS command FROM zanith._zanith_guard_unnamed n WHERE n.transaction = pg_current_xact_id() LOOP
        SELECT count(*), (array_agg(x.item ->> 'id' ORDER BY (x.item ->> 'command')::bigint))[1] INTO later, name
        FROM zanith._each(recorded) x WHERE (x.item ->> 'command')::bigint > u.command;
        IF final AND later = 0 AND u.writes = writes THEN
            SELECT x.item ->> 'id' INTO name FROM zanith._each(recorded) x ORDER BY (x.item ->> 'command')::bigint DESC LIMIT 1;
        ELSIF later <> writes - u.writes THEN
            name := NULL;
        END IF;
        IF length(name) <= 200 THEN
            WITH RECURSIVE captured AS MATERIALIZED (SELECT a.id, a.cascade_of FROM zanith._zanith_migration_artifacts a WHERE a.migration_id = mine),
                 taken(id) AS (SELECT c.id FROM captured c WHERE c.id = u.artifact UNION SELECT c.id FROM captured c JOIN taken t ON c.cascade_of = t.id)
            UPDATE zanith._zanith_migration_artifacts a SET migration_id = name FROM taken t WHERE a.id = t.id;
            DELETE FROM zanith._zanith_guard_unnamed n WHERE n.transaction = pg_current_xact_id() AND n.artifact = u.artifact;
        END IF;
    END LOOP;
    DELETE FROM zanith._zanith_guard_unnamed n WHERE final AND n.transaction = pg_current_xact_id();
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_find_migration(final boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$ BEGIN
    IF zanith._guard_has_unnamed() THEN
        PERFORM zanith._guard_name_artifacts(zanith._guard_read_books(), zanith._guard_writes(), final);
    END IF;
EXCEPTION WHEN OTHERS THEN
    NULL; -- an artifact without the tool's id is as good, and the transaction is the user's
END $$;

CREATE OR REPLACE FUNCTION zanith._guard_commit() RETURNS trigger
LANGUAGE plpgsql AS $$ BEGIN
    PERFORM zanith._guard_find_migration(true);
    BEGIN
        PERFORM zanith._guard_finish_definitions();
    EXCEPTION WHEN OTHERS THEN
        NULL; -- the artifact is there, and the transaction is the user's
    END;
    RETURN NULL;
END $$;
