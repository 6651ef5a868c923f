"""Options that a server writes by itself are not recorded, set or compared."""

from __future__ import annotations

import json

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.queries import load
from app.recovery.restore.restore import restore

DBA = Actor("dba", None, "staff")
GROUND = """
CREATE TABLE t (id int PRIMARY KEY, c text, k int);
ALTER TABLE t ALTER c SET (n_distinct = -0.5);
CREATE INDEX by_c ON t (c) WITH (fillfactor = 70);
CREATE VIEW v WITH (security_barrier = true) AS SELECT id, c FROM t;
INSERT INTO t VALUES (1, 'a', 1);
"""
# As 15.20 does it for each column, and as any server might do it for a relation.
WRITTEN_BY_A_SERVER = """
UPDATE pg_attribute SET attoptions = ARRAY['pg_attver=42'] || attoptions
WHERE attrelid IN ('t'::regclass, 'v'::regclass) AND attnum > 0 AND NOT attisdropped;
UPDATE pg_class SET reloptions = ARRAY['pg_relver=42'] || reloptions
WHERE oid IN ('t'::regclass, 'v'::regclass);
"""


@pytest.fixture
async def db(database):
    async with database.connect(server_settings={"allow_system_table_mods": "on"}) as connection:
        await connection.execute(GROUND)
        await connection.execute(WRITTEN_BY_A_SERVER)
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def definition_of(db, artifact) -> str:
    async with db.acquire() as connection:
        return await connection.fetchval(
            "SELECT definition::text FROM zanith._zanith_migration_artifacts WHERE id = $1",
            artifact.id,
        )


async def script_of(db, artifact) -> str:
    async with db.acquire() as connection:
        return await connection.fetchval(
            "SELECT recovery_sql FROM zanith._zanith_migration_artifacts WHERE id = $1", artifact.id
        )


@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column"])
async def test_what_a_server_wrote_into_options_is_not_recorded(db, strategy):
    artifact = await capture(db, CaptureRequest(strategy, "t", "c", on_dependents="cascade"), DBA)
    recorded = await definition_of(db, artifact)
    assert "ver=42" not in recorded
    assert "n_distinct=-0.5" in recorded
    assert "security_barrier=true" in recorded
    plan = await plan_restore(db, artifact.id)
    statements = "\n".join(step.sql for step in plan.steps)
    assert "ver=" not in statements
    assert "security_barrier" in statements
    assert "pg_" + "attver" not in await script_of(db, artifact)
    report = await restore(db, artifact.id, Choices(), DBA)
    assert not report.fidelity["different"]
    assert not report.fidelity["missing"]


async def test_a_table_differs_in_nothing_that_a_server_wrote(db):
    artifact = await capture(db, CaptureRequest("archive_table", "t", on_dependents="cascade"), DBA)
    async with db.acquire() as connection:
        await connection.execute(
            "UPDATE zanith._zanith_migration_artifacts SET definition = replace(definition::text,"
            ' \'"options": null\', \'"options": ["pg_attver=7"]\')::jsonb'
        )
    assert "pg_attver=7" in await definition_of(db, artifact)
    report = await restore(db, artifact.id, Choices(), DBA)
    assert not report.fidelity["different"]


async def test_an_artifact_of_an_earlier_version_is_restored_without_them(db):
    artifact = await capture(
        db, CaptureRequest("archive_column", "t", "c", on_dependents="cascade"), DBA
    )
    async with db.acquire() as connection:
        await connection.execute(
            "UPDATE zanith._zanith_migration_artifacts SET"
            " definition = jsonb_set(definition, '{column,options}',"
            """ '["pg_attver=42", "n_distinct=-0.5"]'),"""
            " recovery_sql = recovery_sql || 'ALTER TABLE t ALTER c SET (pg_attver=42);'"
        )
        assert await connection.fetch(load("installer")["renew_scripts"]) == []
    assert "pg_attver" not in await definition_of(db, artifact)
    assert "pg_attver" not in await script_of(db, artifact)
    assert "n_distinct" in await script_of(db, artifact)
    report = await restore(db, artifact.id, Choices(), DBA)
    assert not report.fidelity["different"]


async def test_a_value_of_an_option_that_is_more_than_a_word_is_quoted(connection):
    options = ["n_distinct=-0.5", "check_option=local", "x=a'b); DROP TABLE t; --", "y=", "Z=a=b"]
    listed = await connection.fetchval("SELECT zanith._option_list($1::jsonb)", json.dumps(options))
    quoted = ["x='a''b); DROP TABLE t; --'", "y=''", "\"Z\"='a=b'"]
    assert listed == ", ".join([*options[:2], *quoted])
    assert await connection.fetchval("SELECT zanith._option_list('null')") is None
