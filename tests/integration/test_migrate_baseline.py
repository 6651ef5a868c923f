"""`zanith migrate baseline`: the applied set of each tool, by the rules of the tool."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import pytest

from app.migrate.apply.baseline import Tool, adopt, plan_baseline
from app.migrate.apply.history import read_history
from app.migrate.read.layouts import read_migrations
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, Refused
from app.recovery.db.database import Database
from tests.integration.test_migrate_up import states

pytestmark = pytest.mark.newest
DBA = Actor("dba", None, "cli")
FIRST = "CREATE TABLE a (id int);\n"


@pytest.fixture
async def db(database) -> AsyncIterator[Database]:
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


NUMBERED = ("0001_a.sql", "0002_b.sql", "0003_c.sql")
HASH = hashlib.sha256(FIRST.encode()).hexdigest()
# files, the tool's table and rows, and what is adopted, pending, failed and without a file
TOOLS = {
    "alembic": (
        ("1a2b_first.sql", "2b3c_second.sql", "3c4d_third.sql"),
        "CREATE TABLE alembic_version (version_num varchar(32) PRIMARY KEY);"
        "INSERT INTO alembic_version VALUES ('2b3c')",
        ("1a2b_first", "2b3c_second"), ("3c4d_third",), (), (),
    ),
    "django": (
        ("0001_shop_initial.sql", "0002_shop_more.sql"),
        "CREATE TABLE django_migrations (id bigserial, app text, name text, applied timestamptz);"
        "INSERT INTO django_migrations (app, name, applied) VALUES"
        " ('shop', '0001_shop_initial', now()), ('auth', 'user', now())",
        ("0001_shop_initial",), ("0002_shop_more",), (), ("auth.user",),
    ),
    "prisma": (
        ("1_init/migration.sql", "2_more/migration.sql", "3_late/migration.sql"),
        "CREATE TABLE _prisma_migrations (id text, checksum text, finished_at timestamptz,"
        " migration_name text, logs text, rolled_back_at timestamptz, started_at timestamptz);"
        "INSERT INTO _prisma_migrations VALUES ('a', 'x', now(), '1_init', NULL, NULL, now()),"
        " ('b', 'x', NULL, '2_more', NULL, now(), now()),"
        " ('c', 'x', NULL, '3_late', 'e', NULL, now())",
        ("1_init",), ("2_more", "3_late"), ("3_late",), (),
    ),
    "golang-migrate": (
        ("1_a.up.sql", "2_b.up.sql", "3_c.up.sql"),
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);"
        "INSERT INTO schema_migrations VALUES (2, false)",
        ("1_a", "2_b"), ("3_c",), (), (),
    ),
    "rails": (
        NUMBERED,
        "CREATE TABLE schema_migrations (version varchar PRIMARY KEY);"
        "INSERT INTO schema_migrations VALUES ('0001'), ('0003'), ('0009')",
        ("0001_a", "0003_c"), ("0002_b",), (), ("0009",),
    ),
    "supabase": (
        NUMBERED,
        "CREATE SCHEMA supabase_migrations; CREATE TABLE supabase_migrations.schema_migrations"
        " (version text PRIMARY KEY, statements text[], name text);"
        "INSERT INTO supabase_migrations.schema_migrations VALUES ('0001', NULL, 'a')",
        ("0001_a",), ("0002_b", "0003_c"), (), (),
    ),
    "flyway": (
        ("V1__a.sql", "V1.1__b.sql", "V2__c.sql", "V3__d.sql", "R__view.sql"),
        "CREATE TABLE flyway_schema_history (installed_rank int, version varchar, description text,"
        " type varchar, script varchar, checksum int, installed_by text, installed_on timestamp,"
        " execution_time int, success boolean);"
        "INSERT INTO flyway_schema_history VALUES"
        " (1, '1', 'x', 'BASELINE', '<< Flyway Baseline >>', NULL, 'x', now(), 0, true),"
        " (2, '1.1', 'b', 'SQL', 'V1.1__b.sql', 1, 'x', now(), 1, true),"
        " (3, '2', 'c', 'SQL', 'V2__c.sql', 1, 'x', now(), 1, true),"
        " (4, NULL, 'view', 'SQL', 'R__view.sql', 1, 'x', now(), 1, true),"
        " (5, '2', 'c', 'UNDO_SQL', 'U2__c.sql', 1, 'x', now(), 1, true),"
        " (6, '3', 'd', 'SQL', 'V3__d.sql', 1, 'x', now(), 1, false)",
        ("V1__a", "V1.1__b", "R__view"), ("V2__c", "V3__d"), ("3",), (),
    ),
    "goose": (
        NUMBERED,
        "CREATE TABLE goose_db_version (id serial, version_id bigint, is_applied boolean,"
        " tstamp timestamp DEFAULT now());"
        "INSERT INTO goose_db_version (version_id, is_applied) VALUES (0, true), (1, true),"
        " (2, true), (2, false)",
        ("0001_a",), ("0002_b", "0003_c"), (), (),
    ),
    "drizzle": (
        NUMBERED,
        "CREATE SCHEMA drizzle; CREATE TABLE drizzle.__drizzle_migrations (id serial, hash text,"
        " created_at bigint);"
        f"INSERT INTO drizzle.__drizzle_migrations VALUES (1, '{HASH}', 17e11)",
        ("0001_a",), ("0002_b", "0003_c"), (), (),
    ),
    "knex": (
        NUMBERED,
        "CREATE TABLE knex_migrations (id serial, name text, batch int,"
        " migration_time timestamptz);"
        "INSERT INTO knex_migrations (name, migration_time) VALUES ('0001_a.js', now())",
        ("0001_a",), ("0002_b", "0003_c"), (), (),
    ),
    "sequelize": (
        NUMBERED,
        'CREATE TABLE "SequelizeMeta" (name varchar PRIMARY KEY);'
        "INSERT INTO \"SequelizeMeta\" VALUES ('0001_a.js'), ('0002_b.cjs')",
        ("0001_a", "0002_b"), ("0003_c",), (), (),
    ),
}  # fmt: skip


def write(directory, files):
    for place, name in enumerate(files):
        (directory / name).parent.mkdir(exist_ok=True)
        text = FIRST if place == 0 else f"SELECT {place};\n"
        (directory / name).write_text(text)
    return read_migrations(directory)


@pytest.mark.parametrize("tool", TOOLS)
async def test_the_applied_set_of_a_tool(database, db, tmp_path, tool):
    files, sql, adopted, pending, failed, unknown = TOOLS[tool]
    database.psql(sql)
    layout, migrations = write(tmp_path, files)
    found = await plan_baseline(db, migrations)
    assert (found.tool, tuple(one.migration.id for one in found.adopted)) == (tool, adopted)
    assert (found.pending, found.failed, found.unknown) == (pending, failed, unknown)
    assert await read_history(db) == []
    done = await adopt(db, layout, migrations, DBA)
    assert done.done
    assert {one.origin for one in await read_history(db)} == {tool}
    found = await states(db, tmp_path)
    assert {one for one, state in found.items() if state == "applied"} == set(adopted)
    again = await plan_baseline(db, migrations, Tool(tool))
    assert (again.adopted, again.recorded) == ((), adopted)


async def test_what_is_in_doubt_is_refused(database, db, tmp_path):
    layout, migrations = write(tmp_path, NUMBERED)
    with pytest.raises(NotFound, match="no table of applied migrations"):
        await plan_baseline(db, migrations)
    database.psql(
        "CREATE TABLE schema_migrations (version bigint PRIMARY KEY, dirty boolean NOT NULL);"
        "INSERT INTO schema_migrations VALUES (2, true)"
    )
    with pytest.raises(Refused, match="version 2 is dirty"):
        await plan_baseline(db, migrations)
    database.psql('CREATE TABLE "SequelizeMeta" (name varchar PRIMARY KEY)')
    with pytest.raises(Refused, match="several tables") as refused:
        await plan_baseline(db, migrations)
    assert 'sequelize: public."SequelizeMeta"' in refused.value.detail
    found = await adopt(db, layout, migrations, DBA, to="0002")
    assert [one.migration.id for one in found.adopted] == ["0001_a", "0002_b"]
    assert found.pending == ("0003_c",)


async def test_code_of_the_owner_of_a_table_never_runs(database, db, tmp_path, create_role):
    """A view, a table with policies, and a column of a type of theirs are not read."""
    owner = create_role("owner")
    database.psql(
        f"""CREATE TABLE ran (by text); GRANT INSERT ON ran TO PUBLIC;
        GRANT CREATE ON SCHEMA public TO {owner}; SET ROLE {owner};
        CREATE FUNCTION trap() RETURNS boolean LANGUAGE plpgsql AS
            $$ BEGIN INSERT INTO ran VALUES (current_user); RETURN true; END $$;
        CREATE VIEW "SequelizeMeta" AS SELECT '0001_a.js'::text AS name WHERE trap();
        CREATE TABLE schema_migrations (version text);
        INSERT INTO schema_migrations VALUES ('0001');
        CREATE POLICY p ON schema_migrations USING (trap());
        ALTER TABLE schema_migrations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;"""
    )
    _, migrations = write(tmp_path, NUMBERED)
    with pytest.raises(NotFound):
        await plan_baseline(db, migrations)
    assert database.psql("SELECT count(*) FROM ran").strip() == "0"
