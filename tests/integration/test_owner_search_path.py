"""An owner's functions find in a restore what they find in traffic: the search path is theirs."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest

from app.recovery.capture import CaptureRequest, capture
from app.recovery.database import Actor, Database
from app.recovery.erase import erase
from app.recovery.errors import Refused, WrongUsage
from app.recovery.export import ExportRequest, export_to_file
from app.recovery.inspection import preview_rows
from app.recovery.plan import Choices, plan_restore
from app.recovery.rehearsal import rehearse
from app.recovery.restore import restore
from app.recovery.seal import seal, verify
from tests.acceptance.command import done, zanith
from tests.oracle.judges import grant_capture, restore_by_psql
from tests.studios import run_studio

DBA = Actor("dba", None, "staff")
PATH = "app, public"
# Functions whose bodies name things without a schema, and which hide that they did not find them.
# Indexes stand before the rows: PostgreSQL 17 and later would build them without the path.
NORM = """
CREATE FUNCTION norm(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'select lower(t)';
CREATE FUNCTION safe_norm(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RETURN norm(t); EXCEPTION WHEN undefined_function THEN RETURN NULL; END $$;
"""
GENERATED = f"""{NORM}
CREATE TABLE p (id int PRIMARY KEY, name text,
    g text GENERATED ALWAYS AS (safe_norm(name)) STORED);
INSERT INTO p SELECT n, 'N' || n FROM generate_series(1, 50) n;
"""
PARTIAL = f"""{NORM}
CREATE FUNCTION is_vip(t text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RETURN norm(t) = 'vip'; EXCEPTION WHEN undefined_function THEN RETURN false; END $$;
CREATE TABLE ux (id int PRIMARY KEY, tier text, k int);
CREATE INDEX ux_vip ON ux (k) WHERE is_vip(tier);
INSERT INTO ux
SELECT n, CASE WHEN n % 2 = 0 THEN 'VIP' ELSE 'none' END, n FROM generate_series(1, 1000) n;
"""
CITEXT = """
CREATE FUNCTION is_vip(e citext) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ select e = 'vip' $$;
CREATE TABLE ux (id int PRIMARY KEY, tier citext, k int);
CREATE INDEX ux_vip ON ux (k) WHERE is_vip(tier);
INSERT INTO ux
SELECT n, CASE WHEN n % 2 = 0 THEN 'VIP' ELSE 'none' END, n FROM generate_series(1, 1000) n;
"""
SLUGS = f"""{NORM}
CREATE TABLE cl (id int PRIMARY KEY, name text, slug text, extra text);
CREATE FUNCTION s() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    BEGIN NEW.slug := norm(NEW.name); EXCEPTION WHEN OTHERS THEN NEW.slug := NULL; END;
    RETURN NEW; END $$;
CREATE TRIGGER s BEFORE UPDATE ON cl FOR EACH ROW EXECUTE FUNCTION s();
INSERT INTO cl SELECT n, 'N' || n, 'n' || n, 'x' || n FROM generate_series(1, 200) n;
"""
VIPS = f"SET search_path = {PATH}; SET enable_seqscan = off; SET enable_bitmapscan = off;"


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url, lock_timeout=timedelta(milliseconds=500))
    yield opened
    await opened.close()


@pytest.fixture(params=["superuser", "owner"])
def owner(request, create_role):
    """Whose schema it is: a superuser's, or that of a role which may do nothing else."""
    return "postgres" if request.param == "superuser" else create_role("app_owner")


def make(database, owner, sql, path=PATH):
    """Make a schema `app` of the owner's, who then runs the statements under this path."""
    database.psql(f"""CREATE SCHEMA app AUTHORIZATION {owner};
        GRANT USAGE, CREATE ON SCHEMA _zanith_shadow TO {owner};
        GRANT USAGE, CREATE ON SCHEMA public TO {owner}""")
    database.psql(f"SET ROLE {owner}; SET search_path = {path};{sql}")


def drop(database, call, path=PATH):
    """Capture by SQL in a session with this path; return the artifact's id."""
    answer = database.psql(f"SET search_path = {path}; SELECT zanith.{call}")
    return answer.splitlines()[-1]


def recorded(database, artifact):
    return database.psql(
        "SELECT definition ->> 'search_path' FROM zanith._zanith_migration_artifacts"
        f" WHERE id = '{artifact}'"
    )


def forget_path(database, artifact):
    """Make it one of an earlier version, which recorded no path."""
    database.psql(
        "UPDATE zanith._zanith_migration_artifacts SET definition = definition - 'search_path'"
        f" WHERE id = '{artifact}'"
    )


def need_extension(database, *names):
    for name in names:
        there = database.psql(f"SELECT 1 FROM pg_available_extensions WHERE name = '{name}'")
        if not there:
            pytest.skip(f"this server has no extension {name}")
        database.psql(f"CREATE EXTENSION {name} SCHEMA public")


def vips(database):
    """How many rows the partial index has."""
    count = f"{VIPS} SELECT count(*) FROM app.ux WHERE is_vip(tier) AND k > 0"
    return int(database.psql(count).splitlines()[-1])


async def bring_back(route, database, db, artifact, directory):
    if route == "psql":
        restore_by_psql(database, artifact, directory)
    else:
        report = await restore(db, artifact, Choices(), DBA)
        assert not report.fidelity["different"]
        assert not report.fidelity["missing"]


@pytest.mark.parametrize("route", ["engine", "psql"])
async def test_a_generated_column_has_its_values(database, db, owner, route, tmp_path):
    make(database, owner, GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')")
    await bring_back(route, database, db, artifact, tmp_path)
    assert database.psql("SELECT count(*) FROM app.p WHERE g = lower(name)") == "50"


@pytest.mark.parametrize("route", ["engine", "psql"])
async def test_a_partial_index_has_its_rows(database, db, owner, route, tmp_path):
    make(database, owner, PARTIAL)
    artifact = drop(database, "archive_column('app.ux', 'k')")
    await bring_back(route, database, db, artifact, tmp_path)
    assert vips(database) == 500
    assert database.psql("SELECT count(proconfig) FROM pg_proc WHERE proname = 'is_vip'") == "0"


@pytest.mark.parametrize("route", ["engine", "psql"])
async def test_a_partial_index_over_citext_has_its_rows(database, db, owner, route, tmp_path):
    need_extension(database, "citext")
    make(database, owner, CITEXT)
    artifact = drop(database, "archive_column('app.ux', 'k')")
    await bring_back(route, database, db, artifact, tmp_path)
    assert vips(database) == 500


async def test_triggers_that_fire_find_what_they_name(database, db, owner):
    make(database, owner, SLUGS)
    artifact = drop(database, "archive_column('app.cl', 'extra')")
    await restore(db, artifact, Choices(online=True, fire_triggers=True), DBA)
    wrong = "SELECT count(*) FROM app.cl WHERE slug IS DISTINCT FROM lower(name) OR extra IS NULL"
    assert database.psql(wrong) == "0"


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


async def test_user_is_the_owner(database, db, create_role, tmp_path):
    role = create_role("app_owner")
    make(database, role, "")
    database.psql(f"CREATE SCHEMA {role} AUTHORIZATION {role}")
    database.psql(f"SET ROLE {role}; SET search_path = {role};{NORM}")
    made = PARTIAL.replace(NORM, "")
    database.psql(f"SET ROLE {role}; SET search_path = app, {role};{made}")
    path = '"$user", app'
    for route in ("engine", "psql"):
        artifact = drop(database, "archive_column('app.ux', 'k')", path)
        await bring_back(route, database, db, artifact, tmp_path)
        database.psql(f"SET search_path = app, {role}; SET enable_seqscan = off")
        count = f"SET search_path = app, {role}; {VIPS.split(';', 1)[1]}"
        found = database.psql(f"{count} SELECT count(*) FROM app.ux WHERE is_vip(tier) AND k > 0")
        assert found.splitlines()[-1] == "500"


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
    # CREATE INDEX CONCURRENTLY cannot run as the owner, so whoever restores would run the owner's
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


@pytest.mark.parametrize("route", ["engine", "psql"])
@pytest.mark.parametrize("populated", [True, False])
async def test_a_materialized_view_has_its_rows(database, db, owner, route, populated, tmp_path):
    data = "" if populated else "WITH NO DATA"
    make(database, owner, f"{PARTIAL} CREATE MATERIALIZED VIEW m AS SELECT id, k FROM ux"
                          f" WHERE is_vip(tier) {data};")  # fmt: skip
    call = "soft_drop_column('app.ux', 'k', on_dependents => 'cascade')"
    artifact = drop(database, call)
    await bring_back(route, database, db, artifact, tmp_path)
    assert database.psql("SELECT relispopulated FROM pg_class WHERE relname = 'm'") == (
        "t" if populated else "f"
    )
    if populated:
        assert database.psql("SELECT count(*) FROM app.m") == "500"
    assert vips(database) == 500


async def test_a_domain_is_checked_under_the_path(database, db, owner):
    make(database, owner, f"""{NORM}
        CREATE DOMAIN low AS text CHECK (VALUE IS NULL OR safe_norm(VALUE) IS NOT NULL);
        CREATE TABLE d (id int PRIMARY KEY, c low, n text);
        CREATE INDEX d_n ON d (safe_norm(n));
        INSERT INTO d SELECT n, 'v' || n, 'N' || n FROM generate_series(1, 200) n;""")  # fmt: skip
    for strategy in ("archive_column", "soft_drop_column"):
        artifact = drop(database, f"{strategy}('app.d', 'c')")
        assert not (await plan_restore(db, artifact)).blocked
        await restore(db, artifact, Choices(), DBA)
        # the table was written anew, and with it the index of the other column
        count = f"{VIPS} SELECT count(*) FROM d WHERE safe_norm(n) >= 'n'"
        assert database.psql(count).splitlines()[-1] == "200", strategy


async def test_the_plan_is_json_with_the_path(database, db):
    make(database, "postgres", GENERATED)
    artifact = drop(database, "archive_column('app.p', 'g')")
    steps = json.loads(json.dumps((await plan_restore(db, artifact)).to_json()))["steps"]
    assert {step["path"] for step in steps} == {None, "pg_catalog, app, public, pg_temp"}


@pytest.mark.parametrize("route", ["engine", "psql"])
async def test_indexes_over_functions_of_extensions(database, db, create_role, route, tmp_path):
    need_extension(database, "unaccent", "cube", "earthdistance")
    role = create_role("app_owner")
    make(database, role, """
        CREATE FUNCTION plain(t text) RETURNS text LANGUAGE sql IMMUTABLE AS
            $$ SELECT lower(unaccent(t)) $$;
        CREATE TABLE places (id int PRIMARY KEY, name text, lat float, lon float);
        CREATE INDEX places_name ON places (plain(name));
        CREATE INDEX places_at ON places USING gist (ll_to_earth(lat, lon)) WHERE name <> '';
        INSERT INTO places SELECT n, 'Café ' || n, n % 80, n % 170 FROM generate_series(1, 300) n;
        """)  # fmt: skip
    artifact = drop(database, "archive_column('app.places', 'name')")
    await bring_back(route, database, db, artifact, tmp_path)
    asked = f"{VIPS} SELECT count(*) FROM places WHERE plain(name) = 'cafe 7'"
    assert database.psql(asked).splitlines()[-1] == "1"
    near = "earth_box(ll_to_earth(7, 7), 1000) @> ll_to_earth(lat, lon) AND name <> ''"
    asked = f"SET search_path = {PATH}; SET enable_seqscan = off; SELECT min(id) FROM places"
    assert database.psql(f"{asked} WHERE {near}").splitlines()[-1] == "7"


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


@pytest.mark.parametrize("route", ["engine", "online", "psql"])
async def test_operators_of_ours_are_postgresqls(database, db, create_role, route, tmp_path):
    """Anybody may have made operators in a schema of the path that fit varchar exactly."""
    role = create_role("app_owner")
    make(database, role, f"""{NORM}
        CREATE TABLE v (id varchar PRIMARY KEY, c varchar, d text CHECK (safe_norm(d) IS NOT NULL));
        INSERT INTO v SELECT n, 'c' || n, 'd' FROM generate_series(1, 100) n;
        CREATE TABLE w (c varchar PRIMARY KEY); INSERT INTO w SELECT c FROM v;
        ALTER TABLE v ADD FOREIGN KEY (c) REFERENCES w;""")  # fmt: skip
    artifact = drop(database, "archive_column('app.v', 'c')")
    for name in ("=", "<>", "<", "<=", ">", ">="):
        database.psql(f"""CREATE FUNCTION public."harm{name}"(varchar, varchar) RETURNS boolean
            LANGUAGE plpgsql AS $$ BEGIN RAISE 'ran %', current_user; END $$;
            CREATE OPERATOR public.{name} (LEFTARG = varchar, RIGHTARG = varchar,
                FUNCTION = public."harm{name}")""")
    if route == "psql":
        restore_by_psql(database, artifact, tmp_path)
    else:
        await restore(db, artifact, Choices(online=route == "online"), DBA)
    assert database.psql("SELECT count(*) FROM app.v WHERE c = 'c' || id") == "100"


# PostgreSQL evaluates an expression of an index whenever it plans a query on the table, and puts
# the body of a function in SQL in its place. (17 and later make no index over such a function.)
READ = f"""{NORM}
CREATE FUNCTION inlined(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'select lower(t)';
CREATE TABLE kept (id int PRIMARY KEY, name text, note text);
CREATE INDEX kept_name ON kept (inlined(name));
CREATE OR REPLACE FUNCTION inlined(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'select norm(t)';
INSERT INTO kept SELECT n, 'N' || n, 'x' || n FROM generate_series(1, 2000) n;
"""


@pytest.mark.parametrize("route", ["engine", "psql"])
@pytest.mark.parametrize("strategy", ["soft_drop_table", "archive_table"])
async def test_a_moved_table_is_read_under_the_path(database, db, owner, strategy, route, tmp_path):
    make(database, owner, READ)
    artifact = drop(database, f"{strategy}('app.kept')")
    sealed = await seal(db, artifact, DBA)
    assert sealed.row_count == 2000
    assert (await verify(db, artifact, DBA, jobs_at_once=2)).matches
    preview = await preview_rows(db, artifact, DBA, limit=2)
    assert preview.rows[1][1].text == "N2"
    for form in ("csv", "jsonl", "spreadsheet"):
        await export_to_file(db, ExportRequest(artifact, form), tmp_path / f"rows.{form}", DBA)
    lines = (tmp_path / "rows.jsonl").read_text("utf-8").splitlines()
    assert json.loads(lines[1]) == {"id": 2, "name": "N2", "note": "x2"}
    await erase(db, artifact, {"id": "2"}, DBA, rows=1, confirm="app.kept")
    await bring_back(route, database, db, artifact, tmp_path)
    asked = f"SET search_path = {PATH}; SELECT count(*), max(id) FROM kept"
    assert database.psql(asked) == "1999|2000"


async def test_a_column_is_archived_and_filled_beside_traffic_under_the_path(database, db, owner):
    make(database, owner, READ)
    database.psql(f"ALTER DATABASE {database.name} SET search_path = {PATH}")
    request = CaptureRequest("archive_column", "app.kept", "note", online=True)
    artifact = await capture(db, request, DBA)
    assert artifact.row_count == 2000
    assert (await preview_rows(db, artifact.id, DBA, limit=2)).rows[1][1].text == "x2"
    await restore(db, artifact.id, Choices(online=True), DBA)
    asked = f"SET search_path = {PATH}; SELECT count(*) FROM kept WHERE note = 'x' || id"
    assert database.psql(asked) == "2000"


async def test_rows_of_a_dropped_column_are_read_under_the_path(database, db, owner, tmp_path):
    make(database, owner, READ)
    artifact = drop(database, "soft_drop_column('app.kept', 'note')")
    assert (await preview_rows(db, artifact, DBA, limit=2)).rows[1][1].text == "x2"
    file = tmp_path / "rows.csv"
    await export_to_file(db, ExportRequest(artifact, "csv"), file, DBA)
    assert len(file.read_text("utf-8").splitlines()) == 2001


async def test_nothing_in_the_path_stands_for_what_reads(database, db, owner):
    make(database, owner, READ)
    database.psql("""
        CREATE FUNCTION app.num_nulls(text) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
        CREATE FUNCTION app.format(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT $1';
        """)  # fmt: skip
    artifact = drop(database, "archive_table('app.kept')")
    sealed = await seal(db, artifact, DBA)
    preview = await preview_rows(db, artifact, DBA, limit=2)
    assert preview.rows[1][1].text == "N2"
    database.psql("DROP FUNCTION app.num_nulls(text), app.format(text, text)")
    verified = await verify(db, artifact, DBA)
    assert verified.matches
    assert sealed.checksum
