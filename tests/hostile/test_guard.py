"""A superuser's plain drops of a hostile owner's tables, with the guard on: nothing of the owner's runs as another.

PostgreSQL's own DROP runs no code of an owner. The capture that the guard makes of it may run none either.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from app.recovery.core.errors import ZanithError
from app.recovery.db.database import Database as Engine
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.clusters import CommandFailed
from tests.guard.twin import DBA, guard_truncate, turn_guard_on
from tests.hostile.tables import COLUMNS, TABLES
from tests.hostile.trap import Trap, describe
from tests.hostile.world import COPIES
from tests.oracle.judges import restore_by_psql

pytestmark = pytest.mark.newest  # ZANITH_TEST_VERSIONS=15 asks an older one


@pytest.mark.parametrize("what", ["DROP COLUMN", "DROP TABLE", "TRUNCATE"])
def test_a_plain_drop_of_a_superuser_runs_nothing_of_an_owner(
    superusers_ground, cast, record_property, what
):
    ground, trap = superusers_ground, Trap(superusers_ground, cast.owner)
    turn_guard_on(ground)
    refused = {}
    tables = [table for table in (*TABLES, *COLUMNS) if table.since <= ground.server.version]
    for table in tables:
        if table.before:
            ground.psql(table.before, user=cast.owner)
        victim = table.within(COPIES[0])
        drop = f"ALTER TABLE {victim.full} DROP COLUMN {victim.column} CASCADE"
        if what == "DROP TABLE":
            drop = f"DROP TABLE {victim.full} CASCADE"
        elif what == "TRUNCATE":
            # PostgreSQL runs an owner's own triggers of TRUNCATE as the role that truncates
            ground.psql(f"ALTER TABLE {victim.full} DISABLE TRIGGER USER")
            guard_truncate(ground, victim.full)
            drop = f"TRUNCATE {victim.full} CASCADE"
        try:
            ground.psql(drop)
        except CommandFailed as error:
            refused[str(table)] = str(error).partition("ERROR:")[2].partition("\n")[0]
        escapes = trap.escapes()
        assert not escapes, f"{drop}: {describe(escapes)}"
    record_property("hostile operations", len(tables))
    captured = int(ground.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts"))
    assert captured > len(tables) / 2, refused


# What has no rows and is dropped by itself, in one schema: the statements, the least needed first.
ALONE = """
WITH tables AS (SELECT c.oid, c.relkind, c.oid::regclass AS name FROM pg_class c WHERE c.relnamespace = '{schema}'::regnamespace)
SELECT s.statement FROM (
    SELECT 1, format('DROP TRIGGER %I ON %s', g.tgname, t.name) FROM pg_trigger g JOIN tables t ON t.oid = g.tgrelid WHERE NOT g.tgisinternal AND g.tgparentid = 0
    UNION ALL SELECT 1, format('DROP POLICY %I ON %s', p.polname, t.name) FROM pg_policy p JOIN tables t ON t.oid = p.polrelid
    UNION ALL SELECT 1, format('DROP RULE %I ON %s', r.rulename, t.name) FROM pg_rewrite r JOIN tables t ON t.oid = r.ev_class WHERE r.rulename <> '_RETURN'
    UNION ALL SELECT 2, format('DROP VIEW %s CASCADE', t.name) FROM tables t WHERE t.relkind = 'v'
    UNION ALL SELECT 2, format('DROP MATERIALIZED VIEW %s CASCADE', t.name) FROM tables t WHERE t.relkind = 'm'
    UNION ALL SELECT 3, format('DROP STATISTICS %I.%I', '{schema}', s.stxname) FROM pg_statistic_ext s JOIN tables t ON t.oid = s.stxrelid
    UNION ALL SELECT 3, format('DROP INDEX %s', t.name) FROM tables t JOIN pg_index i ON i.indexrelid = t.oid
              WHERE NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = t.oid) AND NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhrelid = t.oid)
    UNION ALL SELECT 4, format('ALTER TABLE %s DROP CONSTRAINT %I CASCADE', t.name, k.conname) FROM pg_constraint k JOIN tables t ON t.oid = k.conrelid
              WHERE k.contype <> 'n' AND k.conparentid = 0 AND k.conislocal
    UNION ALL SELECT 5, format('ALTER TABLE %s ALTER %I DROP DEFAULT', t.name, a.attname) FROM pg_attrdef d JOIN tables t ON t.oid = d.adrelid
              JOIN pg_attribute a ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE a.attgenerated = '' AND t.relkind IN ('r', 'p')
    UNION ALL SELECT 6, format('DROP SEQUENCE %s CASCADE', t.name) FROM tables t WHERE t.relkind = 'S' AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = t.oid AND d.deptype = 'i')
    UNION ALL SELECT 7, format('DROP ROUTINE %s', p.oid::regprocedure) FROM pg_proc p WHERE p.pronamespace = '{schema}'::regnamespace
    UNION ALL SELECT 8, format('DROP DOMAIN %s', y.oid::regtype) FROM pg_type y WHERE y.typnamespace = '{schema}'::regnamespace AND y.typtype = 'd') s(place, statement)
ORDER BY s.place, s.statement COLLATE "C"
"""  # fmt: skip
MORE = f"""
CREATE DOMAIN {COPIES[0]}.own AS int DEFAULT harm.tap('default of a domain', 3) CHECK (harm.tap('check of a domain', VALUE) > 0);
CREATE FUNCTION {COPIES[0]}.argued(x int DEFAULT harm.tap('argument', 3), y harm.positive DEFAULT '1') RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION {COPIES[0]}.atomic() RETURNS boolean BEGIN ATOMIC SELECT harm.note('atomic'); END;
CREATE VIEW {COPIES[0]}.constant AS SELECT harm.tap('view of a constant', 1) AS x, '1'::harm.positive AS y;
CREATE MATERIALIZED VIEW {COPIES[0]}.kept AS SELECT harm.tap('rows of a materialized view', 1) AS x;
CREATE SEQUENCE {COPIES[0]}.fresh START 7;
"""  # fmt: skip


@pytest.mark.parametrize("with_psql", [False, True])
def test_definitions_that_a_superuser_drops_and_restores_run_nothing_of_an_owner(
    superusers_ground, cast, record_property, tmp_path, with_psql
):
    ground, trap = superusers_ground, Trap(superusers_ground, cast.owner)
    ground.psql(MORE, user=cast.owner)
    turn_guard_on(ground)
    statements = ground.psql(ALONE.format(schema=COPIES[0])).splitlines()
    trap.read()
    for statement in statements:
        with suppress(CommandFailed):  # something still needs it
            ground.psql(statement)
        escapes = trap.escapes()
        assert not escapes, f"{statement}: {describe(escapes)}"
    artifacts = ground.psql(
        "SELECT id FROM zanith._zanith_migration_artifacts WHERE kept_kind IS NOT NULL"
        " ORDER BY capture_order DESC"
    ).split()
    assert len(artifacts) > len(statements) / 2
    restored = 0
    for artifact in artifacts:
        try:
            if with_psql:
                restore_by_psql(ground, artifact, tmp_path)
            else:
                asyncio.run(_restore(ground.url, artifact))
            restored += 1
        except (CommandFailed, ZanithError):
            pass  # refused
        escapes = trap.escapes()
        assert not escapes, f"{artifact}: {describe(escapes)}"
    record_property("hostile operations", len(statements) + len(artifacts))
    assert restored > len(artifacts) / 2


async def _restore(url, artifact) -> None:
    engine = await Engine.open(url)
    try:
        await plan_restore(engine, artifact)
        await restore(engine, artifact, Choices(), DBA)
    finally:
        await engine.close()


def test_nobody_keeps_or_removes_a_definition_of_another(superusers_ground, cast):
    """The functions of the guard, called by hand: they describe what the caller could drop."""
    ground, owner, victim = superusers_ground, cast.owner, cast.victim
    turn_guard_on(ground)
    ground.psql(
        f"CREATE SCHEMA vault; CREATE VIEW vault.v AS SELECT 1 AS x; ALTER VIEW vault.v OWNER TO {victim};"
        f" GRANT USAGE ON SCHEMA vault TO PUBLIC; CREATE VIEW vault.w AS SELECT 2 AS x; DROP VIEW vault.w"
    )
    dropped = (
        "jsonb_build_array(jsonb_build_object('class', 'pg_class', 'oid', 'vault.v'::regclass::oid::int,"
        " 'attnum', 0, 'type', 'view', 'named', {named}, 'normal', true, 'temporary', false))"
    )
    for named in ("true", "false"):
        call = f"SELECT zanith._guard_keep({dropped.format(named=named)}, 'x', 'public')"
        ground.psql(call, user=owner)
    found = "SELECT kept_name FROM zanith._zanith_migration_artifacts"
    assert ground.psql(found) == "vault.w"
    # what a role that owns nothing calls at the end of its own transaction
    for call in ("_guard_finish_definitions()", "_guard_settle('DROP VIEW')"):
        ground.psql(f"SELECT zanith.{call}", user=owner)
    for call in (
        "_guard_merge_definitions('[]')",
        "_guard_settle_definitions()",
        "_guard_record_definitions('[]', '{}', 'm', 'r', 'p', gen_random_uuid())",
    ):
        with suppress(CommandFailed):
            ground.psql(f"SELECT zanith.{call}", user=owner)
    assert ground.psql(found) == "vault.w"
    for verb in ("SELECT", "INSERT", "UPDATE", "DELETE"):
        asked = (
            f"SELECT has_table_privilege('{owner}', 'zanith._zanith_guard_definitions', '{verb}')"
        )
        assert ground.psql(asked) == "f"


def test_a_view_of_the_name_of_a_sequence_is_not_read_as_a_superuser(superusers_ground, cast):
    """Where a sequence stands is read as its owner, who may have exchanged it."""
    ground, trap = superusers_ground, Trap(superusers_ground, cast.owner)
    turn_guard_on(ground)
    ground.psql(
        "CREATE SEQUENCE harm.place; ALTER SEQUENCE harm.place RENAME TO q", user=cast.owner
    )
    ground.psql(
        "CREATE VIEW harm.place AS SELECT 1 AS last_value, harm.tell('view') AS is_called",
        user=cast.owner,
    )
    trap.read()
    ground.psql(
        "SELECT zanith._guard_read_positions(jsonb_build_array(jsonb_build_object('class', 'pg_class', 'oid', 'harm.q'::regclass::oid::int)))"
    )
    ground.psql("DROP SEQUENCE harm.q; DROP VIEW harm.place")
    escapes = trap.escapes()
    assert not escapes, describe(escapes)
