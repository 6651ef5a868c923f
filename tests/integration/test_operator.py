"""A role that is no superuser does all of the work on tables of owners that it is a member of."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from app.recovery.artifacts.listing import list_artifacts
from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, Refused
from app.recovery.db import installer
from app.recovery.db.database import Database
from app.recovery.db.operator_role import describe_operator, set_operator, superuser_notice
from app.recovery.inspection.doctor import doctor
from app.recovery.inspection.inspect import inspect
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.purge import purge, review_purge
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import verify
from tests.acceptance.command import zanith
from tests.studios import run_studio

DBA = Actor("dba", None, "staff")
TABLE = """
SET ROLE {owner};
CREATE FUNCTION public.twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE TABLE public.t (id int PRIMARY KEY, c int NOT NULL DEFAULT 1 CHECK (public.twice(c) > 0),
                       d text);
CREATE INDEX by_twice ON public.t (public.twice(c));
INSERT INTO public.t (id, c, d) SELECT g, g, 'd' || g FROM generate_series(1, 50) g;
ANALYZE public.t;
"""


@pytest.fixture
async def db(operator_database):
    operator_database.psql(TABLE.format(owner=operator_database.owner))
    opened = await Database.open(operator_database.url)
    yield opened
    await opened.close()


def owners(database) -> set[str]:
    """Return who owns anything in the schemas of Zanith, except the parked objects of others."""
    return set(
        database.psql("""
        SELECT DISTINCT pg_get_userbyid(o.owner) FROM (
            SELECT nspowner FROM pg_namespace WHERE nspname IN ('zanith', '_zanith_shadow')
            UNION ALL SELECT relowner FROM pg_class WHERE relnamespace = 'zanith'::regnamespace
            UNION ALL SELECT proowner FROM pg_proc WHERE pronamespace = 'zanith'::regnamespace
            UNION ALL SELECT typowner FROM pg_type WHERE typnamespace = 'zanith'::regnamespace
        ) o(owner)""").splitlines()
    )


async def test_everything_belongs_to_the_operator(operator_database):
    assert owners(operator_database) == {operator_database.operator}


@pytest.mark.parametrize("online", [False, True])
async def test_a_column_goes_and_comes_back(db, operator_database, online):
    request = CaptureRequest("archive_column", "public.t", "c", online=online)
    if online:  # CREATE INDEX CONCURRENTLY cannot run as the owner of the function: that is refused
        operator_database.psql("DROP INDEX public.by_twice")
    assert (await plan_capture(db, request)).steps
    artifact = await capture(db, request, DBA)
    assert artifact.sealed_at is not None
    assert (await verify(db, artifact.id, DBA)).matches
    assert (await inspect(db, artifact.id)).artifact.id == artifact.id
    assert len((await list_artifacts(db)).items) == 1
    assert (await doctor(db)).findings == ()
    assert not (await plan_restore(db, artifact.id)).blocked
    report = await restore(db, artifact.id, Choices(online=online), DBA)
    assert {loss.code for loss in report.losses} <= {"position", "planner_statistics"}
    assert not report.fidelity["missing"]
    assert operator_database.psql("SELECT count(*) FROM public.t WHERE c = id") == "50"


@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
async def test_a_table_goes_and_comes_back(db, operator_database, strategy):
    before = operator_database.schema()
    artifact = await capture(db, CaptureRequest(strategy, "public.t"), DBA)
    await restore(db, artifact.id, Choices(), DBA)
    assert operator_database.schema() == before


async def test_rows_are_exported_and_purged(db, tmp_path):
    artifact = await capture(db, CaptureRequest("archive_table", "public.t"), DBA)
    await export_to_file(db, ExportRequest(artifact.id, "csv"), tmp_path / "t.csv", DBA)
    assert hashlib.sha256((tmp_path / "t.csv").read_bytes()).hexdigest() == artifact.checksum
    assert (await review_purge(db, artifact.id)).plan.steps
    await purge(db, artifact.id, DBA, confirm="public.t")
    assert not (await list_artifacts(db)).items


async def test_the_operator_upgrades_itself(operator_database, monkeypatch):
    real = installer.files()
    text = "CREATE OR REPLACE FUNCTION zanith.extra() RETURNS int LANGUAGE sql AS 'SELECT 1';"
    more = installer.SchemaFile("functions/extra.sql", text)
    monkeypatch.setattr(installer, "files", lambda: (*real, more))
    async with operator_database.connect(operator_database.operator) as connection:
        assert await installer.install(connection) == ["functions/extra.sql"]


async def test_the_operator_replaces_every_function(operator_database, monkeypatch):
    changed = tuple(
        replace(file, text=file.text + "\n-- of another version\n")
        if file.path.startswith("functions/")
        else file
        for file in installer.files()
    )
    monkeypatch.setattr(installer, "files", lambda: changed)
    async with operator_database.connect(operator_database.operator) as connection:
        applied = await installer.install(connection)
    assert set(applied) == {file.path for file in changed if file.path.startswith("functions/")}
    assert owners(operator_database) == {operator_database.operator}


def test_the_owner_of_a_database_needs_no_superuser(bare_database, create_role):
    """As on a hosted service, whose administrator is no superuser."""
    role = create_role("admin", "LOGIN CREATEROLE")
    bare_database.psql(f"ALTER DATABASE {bare_database.name} OWNER TO {role}")
    url = bare_database.url_of(role)
    assert zanith("init", url=url).code == 0
    bare_database.psql(
        "CREATE TABLE public.t (id int PRIMARY KEY, c int); INSERT INTO public.t VALUES (1, 7)",
        user=role,
    )
    assert zanith("drop", "column", "t.c", "--strategy", "archive", "--yes", url=url).code == 0
    assert zanith("recover", "verify", "t.c", url=url).code == 0
    assert zanith("recover", "restore", "t.c", "--yes", url=url).code == 0
    assert bare_database.psql("SELECT c FROM public.t") == "7"
    assert zanith("doctor", url=url).code == 0
    guard = zanith("guard", "on", "--json", url=url)
    assert (guard.code, guard.error["code"]) == (6, "not_permitted")
    assert "zanith rewrite" in guard.error["hint"]
    assert owners(bare_database) == {role}
    bare_database.psql(f"ALTER DATABASE {bare_database.name} OWNER TO CURRENT_USER")


async def test_no_function_of_the_operators_runs_as_a_superuser(operator_database):
    operator_database.psql(
        f"SET ROLE {operator_database.operator};"
        "UPDATE zanith._zanith_schema SET hash = 'x' WHERE file = 'functions/lib/names.sql';"
        "CREATE OR REPLACE FUNCTION zanith._renew_scripts() RETURNS TABLE (object text, why text)"
        " LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''ran as %'', current_user; END'"
    )
    async with operator_database.connect() as connection:
        with pytest.raises(Refused, match=operator_database.operator) as refused:
            await installer.install(connection)
        assert refused.value.hint == f"connect as {operator_database.operator}"
    for command in (["init"], ["recover", "list"], ["recover", "doctor"]):
        ended = zanith(*command, url=operator_database.url_of("postgres"))
        assert ended.code == 4
        assert f"connect as {operator_database.operator}" in ended.err


async def test_a_stranger_that_nobody_named_is_no_operator(bare_database, create_role):
    stranger = create_role("stranger")
    bare_database.psql(f"CREATE SCHEMA zanith AUTHORIZATION {stranger}")
    async with bare_database.connect() as connection:
        with pytest.raises(Refused, match=stranger):
            await installer.install(connection)


async def test_who_cannot_be_the_operator(database, create_role):
    boss = create_role("boss", options="SUPERUSER")
    async with database.connect() as connection:
        with pytest.raises(NotFound, match="no role nobody_of_that_name"):
            await set_operator(connection, "nobody_of_that_name")
        with pytest.raises(Refused, match="superuser"):
            await set_operator(connection, boss)
    assert owners(database) == {"postgres"}


async def test_missing_memberships_are_named_with_their_grants(database, create_role):
    role, owner = create_role("operator"), create_role("owner")
    database.psql(
        f"CREATE SCHEMA s AUTHORIZATION {owner}; SET ROLE {owner}; CREATE TABLE s.t (id int);"
        "RESET ROLE; CREATE TABLE public.of_superuser (id int)"
    )
    async with database.connect() as connection:
        found = await set_operator(connection, role)
        ending = " WITH INHERIT TRUE, SET TRUE;" if database.server.version >= 16 else ";"
        assert found.grants == (f"GRANT {owner} TO {role}{ending}",)
        assert any("postgres, a superuser" in note for note in found.notes)
        await connection.execute(found.grants[0])
        assert (await describe_operator(connection, role)).grants == ()


async def test_a_superuser_over_others_tables_is_told_once(database, create_role, db):
    assert await superuser_notice(db) is None
    owner = create_role("owner")
    database.psql(f"CREATE TABLE public.u (id int); ALTER TABLE public.u OWNER TO {owner}")
    other = await Database.open(database.url)
    notice = await superuser_notice(other)
    await other.close()
    assert notice is not None
    assert owner in notice
    assert "init --operator" in notice


@pytest.mark.newest
def test_the_studio_of_an_operator_has_nothing_to_say_of_superusers(operator_database):
    operator_database.psql(TABLE.format(owner=operator_database.owner))
    url = operator_database.server.tcp_url(operator_database.name, operator_database.operator)
    with run_studio(url) as studio, studio.client() as client:
        page = client.get("/studio")
    assert page.status_code == 200
    assert "is a superuser, and this database has tables of" not in page.text


@pytest.mark.newest
def test_the_studio_of_a_superuser_says_so_on_its_first_page(database, create_role):
    owner = create_role("owner")
    database.psql(f"CREATE TABLE public.u (id int); ALTER TABLE public.u OWNER TO {owner}")
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        page = client.get("/studio")
    assert "is a superuser, and this database has tables of" in page.text
