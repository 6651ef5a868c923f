"""An owner's functions find in a restore what they find in traffic: the search path is theirs."""

from __future__ import annotations

import pytest

from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.restore import restore
from tests.integration.search_paths import (
    CITEXT,
    DBA,
    GENERATED,
    NORM,
    PARTIAL,
    PATH,
    SLUGS,
    VIPS,
    bring_back,
    db,
    drop,
    make,
    need_extension,
    owner,
    vips,
)
from tests.oracle.judges import restore_by_psql

pytestmark = pytest.mark.each_version

__all__ = ["db", "owner"]


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
