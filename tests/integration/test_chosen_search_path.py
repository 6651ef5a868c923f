"""Which search path a restore uses: the recorded one, the configured one, or a chosen one."""

from __future__ import annotations

import json

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import Refused, WrongUsage
from app.recovery.db.database import Database
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.rehearsal import rehearse
from app.recovery.restore.restore import restore
from tests.acceptance.command import done, zanith
from tests.integration.search_paths import (
    DBA,
    GENERATED,
    NORM,
    PARTIAL,
    PATH,
    SLUGS,
    bring_back,
    db,
    drop,
    forget_path,
    make,
    owner,
    recorded,
    vips,
)
from tests.oracle.judges import grant_capture
from tests.studios import run_studio

pytestmark = pytest.mark.each_version

__all__ = ["db", "owner"]


async def test_the_path_of_the_session_is_recorded(database, db):
    make(database, "postgres", GENERATED)
    one = drop(
        database, "soft_drop_column('app.p', 'name', on_dependents => 'cascade')", '"$user", app'
    )
    assert recorded(database, one) == '"$user", app'
    database.psql(f"ALTER DATABASE {database.name} SET search_path = app, pg_temp")
    again = await Database.open(database.url)
    try:
        two = await capture(again, CaptureRequest("archive_table", "p"), DBA)
    finally:
        await again.close()
    assert recorded(database, two.id) == "app, pg_temp"


async def test_the_online_form_records_it_too(database, db):
    make(database, "postgres", SLUGS)
    database.psql(f"ALTER DATABASE {database.name} SET search_path = {PATH}")
    again = await Database.open(database.url)
    try:
        request = CaptureRequest("archive_column", "app.cl", "extra", online=True)
        artifact = await capture(again, request, DBA)
    finally:
        await again.close()
    assert artifact.artifact_type == "archive_column"
    assert recorded(database, artifact.id) == PATH


HOSTILE = ['say "hi"', "a,b", "Upper", "it's", "$user$", "back\\slash", "; DROP TABLE app.p; --"]


@pytest.mark.parametrize("route", ["engine", "psql"])
async def test_a_path_of_hostile_names(database, db, owner, route, tmp_path):
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in HOSTILE)
    make(database, owner, "")
    for name in HOSTILE:
        quoted = '"' + name.replace('"', '""') + '"'
        database.psql(f"CREATE SCHEMA {quoted} AUTHORIZATION {owner}")
    last = '"' + HOSTILE[-1] + '"'
    database.psql(f"SET ROLE {owner}; SET search_path = {last};{NORM}")
    database.psql(f"SET ROLE {owner}; SET search_path = app, {names};{PARTIAL.replace(NORM, '')}")
    artifact = drop(database, "archive_column('app.ux', 'k')", f"app, {names}")
    plan = await plan_restore(db, artifact)
    assert plan.search_path is not None
    await bring_back(route, database, db, artifact, tmp_path)
    count = f"SET search_path = app, {names}; SET enable_seqscan = off; SET enable_bitmapscan = off"
    found = database.psql(f"{count}; SELECT count(*) FROM ux WHERE is_vip(tier) AND k > 0")
    assert found.splitlines()[-1] == "500"


@pytest.mark.recorded("older", "earlier versions recorded no path")
async def test_without_a_record_the_configured_path_counts(database, db, create_role):
    role = create_role("app_owner")
    make(database, role, GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')")
    forget_path(database, artifact)
    expected = "SELECT zanith._owner_path(definition) FROM zanith._zanith_migration_artifacts"
    assert database.psql(expected) == 'pg_catalog, "$user", public, pg_temp'
    database.psql(f"ALTER DATABASE {database.name} SET search_path = public")
    assert database.psql(expected) == "pg_catalog, public, pg_temp"
    database.psql(f"ALTER ROLE {role} IN DATABASE {database.name} SET search_path = {PATH}")
    assert (await plan_restore(db, artifact)).search_path == "pg_catalog, app, public, pg_temp"
    await restore(db, artifact, Choices(), DBA)
    assert database.psql("SELECT count(*) FROM app.p WHERE g = lower(name)") == "50"


async def test_another_path_can_be_chosen(database, db, owner):
    make(database, owner, GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')", "public")
    chosen = Choices(search_path=PATH)
    plan = await plan_restore(db, artifact, chosen)
    assert plan.search_path == plan.to_json()["search_path"] == "pg_catalog, app, public, pg_temp"
    assert plan.digest != (await plan_restore(db, artifact)).digest
    assert (await rehearse(db, artifact, chosen, DBA)).rehearsed
    await restore(db, artifact, chosen, DBA, expected_digest=plan.digest)
    assert database.psql("SELECT count(*) FROM app.p WHERE g = lower(name)") == "50"


async def test_a_path_that_is_none(database, db):
    make(database, "postgres", GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')")
    with pytest.raises(WrongUsage, match="is not a search path"):
        await plan_restore(db, artifact, Choices(search_path="app public"))
    plan = await plan_restore(db, artifact, Choices(search_path="app, nowhere"))
    assert [(c.code, c.choices) for c in plan.conflicts] == [
        ("schema_gone", ("--search-path SCHEMAS",))
    ]
    with pytest.raises(Refused, match="nowhere"):
        await restore(db, artifact, Choices(search_path="app, nowhere"), DBA)


async def test_a_schema_of_the_path_that_is_gone_is_said(database, db):
    make(database, "postgres", GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')", "app, old_one, public")
    losses = [loss.message for loss in (await plan_restore(db, artifact)).losses]
    assert any("old_one" in message for message in losses)


async def test_nothing_is_said_where_no_code_runs(database, db):
    database.psql("CREATE TABLE t (id int PRIMARY KEY, c text); CREATE INDEX ON t (lower(c))")
    artifact = drop(database, "archive_column('public.t', 'c')")
    plan = await plan_restore(db, artifact)
    assert plan.search_path is None
    assert [step.path for step in plan.steps] == [None] * len(plan.steps)


async def test_the_online_form_builds_no_index_that_needs_the_path(database, db, owner):
    make(database, owner, PARTIAL)
    artifact = drop(database, "archive_column('app.ux', 'k')")
    plan = await plan_restore(db, artifact, Choices(online=True))
    assert [c.code for c in plan.conflicts if "is_vip" in c.message] == ["not_online"]
    database.psql(f"ALTER FUNCTION app.is_vip(text) SET search_path = {PATH}")
    # CREATE INDEX CONCURRENTLY cannot run as the owner, so the operator would run the owner's
    # code
    online = owner == "postgres"
    assert (await plan_restore(db, artifact, Choices(online=True))).blocked is not online
    await restore(db, artifact, Choices(online=online), DBA)
    assert vips(database) == 500


async def test_what_nobody_can_give_the_path_is_said(database, db, create_role, server):
    role, other = create_role("app_owner"), create_role("other")
    make(database, role, PARTIAL)
    database.psql(f"GRANT CREATE ON SCHEMA app TO {other}")
    database.psql(f"ALTER FUNCTION app.is_vip(text) OWNER TO {other}")
    artifact = drop(database, "archive_column('app.ux', 'k')")
    steps = (await plan_restore(db, artifact)).steps
    changed = [step.sql for step in steps if step.sql.startswith("ALTER FUNCTION")]
    assert len(changed) == (2 if server.version >= 17 else 0)  # a superuser may act as anybody
    grant_capture(database, role)
    database.psql(f"GRANT SELECT ON ALL TABLES IN SCHEMA zanith TO {role}")
    as_owner = await Database.open(database.url_of(role))
    try:
        losses = (await plan_restore(as_owner, artifact)).losses
    finally:
        await as_owner.close()
    said = [loss.message for loss in losses if loss.code == "search_path"]
    assert len(said) == (1 if server.version >= 17 else 0)
    assert all("is_vip" in message and other in message for message in said)


async def test_the_plan_is_json_with_the_path(database, db):
    make(database, "postgres", GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')")
    steps = json.loads(json.dumps((await plan_restore(db, artifact)).to_json()))["steps"]
    assert {step["path"] for step in steps} == {None, "pg_catalog, app, public, pg_temp"}


async def test_the_command_names_the_path_and_takes_another(database):
    make(database, "postgres", GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')", "public")
    restoring = ("recover", "restore-column", "app.p.g")
    shown = done(*restoring, "--dry-run", "--search-path", PATH, url=database.url)
    assert "the search path pg_catalog, app, public, pg_temp" in " ".join(shown.out.split())
    plan = done(*restoring, "--dry-run", "--json", url=database.url).json["plan"]
    assert plan["search_path"] == "pg_catalog, public, pg_temp"
    assert "--search-path SCHEMAS" in [choice["flag"] for choice in plan["choices"]]
    refused = zanith(*restoring, "--yes", url=database.url)
    assert refused.code == 4
    assert "--search-path" in refused.err
    done(*restoring, "--yes", "--search-path", PATH, url=database.url)
    assert database.psql("SELECT count(*) FROM app.p WHERE g = lower(name)") == "50"
    assert artifact


@pytest.mark.newest
def test_the_page_and_the_api_take_another_path(database):
    make(database, "postgres", GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')", "public")
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        page = f"/studio/artifacts/{artifact}/restore"
        shown = client.get(page).text
        assert "pg_catalog, public, pg_temp" in shown
        assert 'name="search_path"' in shown
        shown = client.get(page, params={"search_path": PATH}).text
        assert "pg_catalog, app, public, pg_temp" in shown
        assert f'<input type="hidden" name="search_path" value="{PATH}">' in shown
        client.cookies.clear()  # a browser would have to say where it comes from
        asked = {"dry_run": True, "search_path": PATH}
        plan = client.post(f"/api/artifacts/{artifact}/restore", json=asked).json()["plan"]
        assert plan["search_path"] == "pg_catalog, app, public, pg_temp"
        wrong = client.post(
            f"/api/artifacts/{artifact}/restore", json={"dry_run": True, "search_path": "a b"}
        )
        assert wrong.status_code == 400
