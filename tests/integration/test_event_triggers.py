"""Event triggers fire for what a capture and a restore do: they find what they find in traffic."""

from __future__ import annotations

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.purge.purge import purge
from app.recovery.restore.restore import restore
from tests.clusters import CommandFailed
from tests.integration.search_paths import (
    DBA,
    PARTIAL,
    db,
    drop,
    make,
    owner,
    vips,
)
from tests.oracle.judges import grant_capture, restore_by_psql

pytestmark = pytest.mark.each_version

__all__ = ["db", "owner"]
LOG = """
CREATE SCHEMA ops;
CREATE TABLE ops.ddl_log (tag text, by_whom text);
GRANT USAGE ON SCHEMA ops TO PUBLIC; GRANT INSERT ON ops.ddl_log TO PUBLIC;
CREATE FUNCTION ops.note() RETURNS event_trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO ddl_log VALUES (tg_tag, current_user); END $$;
CREATE EVENT TRIGGER "Note it" ON ddl_command_end EXECUTE FUNCTION ops.note();
"""


def log_ddl(database, path="app, ops"):
    """Log DDL to a table that the functions name without its schema; `ops` is on every path."""
    database.psql(f"ALTER DATABASE {database.name} SET search_path = {path}")
    database.psql(LOG)


@pytest.fixture
async def logged(database, owner):
    """The engine on a database that logs DDL, connected after that path was set."""
    make(database, owner, PARTIAL)
    log_ddl(database)
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


@pytest.mark.parametrize("strategy", ["soft_drop_column", "archive_column", "archive_table"])
async def test_captures_and_restores_go_through(database, logged, strategy, tmp_path):
    column = "k" if "column" in strategy else None
    artifact = await capture(logged, CaptureRequest(strategy, "app.ux", column), DBA)
    await restore(logged, artifact.id, Choices(), DBA)
    assert vips(database) == 500
    call = f"{strategy}('app.ux'{', ' + repr(column) if column else ''})"
    again = drop(database, call, "app, ops")
    if strategy != "archive_table":
        restore_by_psql(database, again, tmp_path)
        assert vips(database) == 500
    noted = database.psql("SELECT DISTINCT tag FROM ops.ddl_log")
    assert "ALTER TABLE" in noted.splitlines()


async def test_the_online_form_and_a_purge_go_through(database, logged):
    database.psql("ALTER TABLE app.ux ADD extra text DEFAULT 'x'; CREATE INDEX ON app.ux (extra)")
    request = CaptureRequest("archive_column", "app.ux", "extra", online=True)
    artifact = await capture(logged, request, DBA)
    await restore(logged, artifact.id, Choices(online=True), DBA)
    assert database.psql("SELECT count(*) FROM app.ux WHERE extra = 'x'") == "1000"
    assert "CREATE INDEX" in database.psql("SELECT DISTINCT tag FROM ops.ddl_log")
    assert database.psql("SELECT count(*) FROM pg_class WHERE relname = 'ux_extra_idx'") == "1"
    again = await capture(logged, request, DBA)
    await purge(logged, again.id, DBA, confirm="extra")


async def test_an_error_in_one_names_it(database, db, owner, tmp_path):
    make(database, owner, PARTIAL)
    artifact = drop(database, "archive_column('app.ux', 'k')")
    log_ddl(database, "public")
    wanted = 'the event trigger "Note it" failed: relation "ddl_log" does not exist'
    with pytest.raises(CommandFailed) as failed:
        drop(database, "archive_column('app.ux', 'tier')", "app")
    assert wanted in str(failed.value)
    assert "ALTER FUNCTION ops.note() SET search_path" in str(failed.value)
    assert 'ALTER EVENT TRIGGER "Note it" DISABLE' in str(failed.value)
    with pytest.raises(ZanithError) as refused:
        await capture(db, CaptureRequest("archive_column", "app.ux", "tier"), DBA)
    assert wanted in refused.value.message
    table = await _without_trigger(database, db)
    with pytest.raises(ZanithError) as refused:
        await restore(db, table, Choices(), DBA)
    assert wanted in refused.value.message
    assert "ALTER FUNCTION ops.note() SET search_path" in refused.value.hint
    database.psql("ALTER FUNCTION ops.note() SET search_path = ops")
    await restore(db, table, Choices(), DBA)
    await restore(db, artifact, Choices(), DBA)


async def _without_trigger(database, db):
    """Capture the table while the event trigger is off."""
    database.psql('ALTER EVENT TRIGGER "Note it" DISABLE')
    table = await capture(db, CaptureRequest("soft_drop_table", "app.ux"), DBA)
    database.psql('ALTER EVENT TRIGGER "Note it" ENABLE')
    return table.id


async def test_nothing_of_an_owner_runs_as_the_operator(database, create_role, tmp_path):
    """The owner has a table of the log's name on the path, with a trigger that leaves its role."""
    role = create_role("app_owner")
    make(database, role, PARTIAL)
    log_ddl(database, "ops, public")
    database.psql(f"""CREATE TABLE ops.seen (whom text); GRANT INSERT ON ops.seen TO PUBLIC;
        GRANT USAGE ON SCHEMA ops TO PUBLIC; CREATE SCHEMA {role} AUTHORIZATION {role};""")
    for schema in ("app", role):
        database.psql(f"""SET ROLE {role}; SET search_path = ops;
            CREATE TABLE {schema}.ddl_log (tag text, by_whom text);
            CREATE FUNCTION {schema}.harm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                BEGIN PERFORM pg_catalog.set_config('role', 'none', true);
                EXCEPTION WHEN OTHERS THEN NULL; END;
                INSERT INTO ops.seen VALUES (current_user); RETURN NEW; END $$;
            CREATE TRIGGER harm BEFORE INSERT ON {schema}.ddl_log
                FOR EACH ROW EXECUTE FUNCTION {schema}.harm();
            GRANT ALL ON {schema}.ddl_log TO PUBLIC; GRANT USAGE ON SCHEMA {schema} TO PUBLIC""")
    path = '"$user", app, ops, public'
    grant_capture(database, role)
    opened = await Database.open(database.url)
    try:
        for route in ("engine", "psql"):
            async with database.connect(user=role) as session:
                await session.execute(f"SET search_path = {path}")
                artifact = await session.fetchval("SELECT zanith.archive_column('app.ux', 'k')")
            if route == "engine":
                await restore(opened, artifact, Choices(), DBA)
            else:
                restore_by_psql(database, artifact, tmp_path)
    finally:
        await opened.close()
    assert database.psql("SELECT DISTINCT whom FROM ops.seen") == role
