"""No setting of a role or database, and nothing in a schema of its path, changes what runs."""

from __future__ import annotations

import pytest

from app.recovery.artifacts.catalog import describe_relation, list_relations
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import ZanithError
from app.recovery.db import session_settings
from app.recovery.db.database import Database
from app.recovery.inspection.doctor import doctor
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore

DBA = Actor("dba", None, "staff")

# Operators that match a comparison of names better than those of pg_catalog do.
TRAPS = """
CREATE SEQUENCE public.ran;
CREATE FUNCTION public.trap(name, text) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM nextval('public.ran'); RETURN $1::text OPERATOR(pg_catalog.=) $2; END $f$;
CREATE OPERATOR public.= (LEFTARG = name, RIGHTARG = text, FUNCTION = public.trap);
CREATE FUNCTION public.trap(text, name) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM nextval('public.ran'); RETURN $1 OPERATOR(pg_catalog.=) $2::text; END $f$;
CREATE OPERATOR public.= (LEFTARG = text, RIGHTARG = name, FUNCTION = public.trap);
CREATE FUNCTION public.trap("char", text) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM nextval('public.ran'); RETURN $1::text OPERATOR(pg_catalog.=) $2; END $f$;
CREATE OPERATOR public.= (LEFTARG = "char", RIGHTARG = text, FUNCTION = public.trap);
CREATE FUNCTION public.quote_ident(name) RETURNS text LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM nextval('public.ran'); RETURN pg_catalog.quote_ident($1::text); END $f$;
CREATE FUNCTION public.num_nulls(anyelement) RETURNS int LANGUAGE plpgsql AS $f$ BEGIN
    PERFORM nextval('public.ran'); RETURN 0; END $f$;
"""
TABLE = "CREATE TABLE public.t (id int PRIMARY KEY, c text NOT NULL DEFAULT 'x' CHECK (c <> ''));"
ODD = {
    "DateStyle": "SQL, DMY",
    "IntervalStyle": "iso_8601",
    "TimeZone": "Pacific/Chatham",
    "array_nulls": "off",
    "bytea_output": "escape",
    "extra_float_digits": "-4",
    "gin_fuzzy_search_limit": "1",
    "quote_all_identifiers": "on",
    "standard_conforming_strings": "off",
    "transform_null_equals": "on",
    "xmlbinary": "hex",
    "xmloption": "document",
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "search_path": "public, pg_catalog",
    "plan_cache_mode": "force_custom_plan",
}


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def test_every_function_that_others_can_call_has_the_settings(connection):
    rows = await connection.fetch(
        "SELECT p.proname::text AS name, COALESCE(p.proconfig, '{}') AS settings FROM pg_proc p"
        " WHERE p.pronamespace = 'zanith'::regnamespace AND (p.proname::text !~ '^_' OR p.prosecdef"
        " OR p.prorettype = 'trigger'::regtype)"
    )
    captures = {"soft_drop_column", "archive_column", "soft_drop_table", "archive_table"}
    captures |= {"rebuild_table", "archive_rows", "archive_values"}
    assert {row["name"] for row in rows} > captures | {"_record_capture", "refuse_write", "locate"}
    for row in rows:
        wanted = {f"{name}={value}" for name, value in session_settings.of_functions().items()}
        if row["name"] in captures:  # they pass their caller's path on
            wanted.discard("search_path=pg_catalog, pg_temp")
            assert not any(text.startswith("search_path=") for text in row["settings"]), row["name"]
        assert wanted <= set(row["settings"]), row["name"]


async def test_the_list_names_settings_that_exist(connection):
    names = set(session_settings.of_connections())
    known = await connection.fetch("SELECT name FROM pg_settings WHERE name = ANY ($1)", names)
    assert {row["name"] for row in known} == names


@pytest.mark.parametrize("way", ["SET TimeZone = 'UTC+1'", "RESET standard_conforming_strings"])
async def test_doctor_reports_a_function_whose_settings_differ(db, connection, way):
    assert (await doctor(db)).findings == ()
    await connection.execute(f"ALTER FUNCTION zanith.locate(text) {way}")
    (finding,) = (await doctor(db)).findings
    assert finding.code == "function_altered"
    assert "settings of the function zanith.locate(text)" in finding.message


async def test_the_settings_are_put_back_by_the_next_installation(connection):
    from app.recovery.db import installer

    await connection.execute("ALTER FUNCTION zanith.locate(text) RESET ALL")
    await installer.install(connection)
    found = await connection.fetchval(
        "SELECT proconfig FROM pg_proc WHERE oid = 'zanith.locate(text)'::regprocedure"
    )
    assert "standard_conforming_strings=on" in found


async def test_every_connection_has_them_whatever_the_role_sets(database, create_role):
    role = create_role("odd", options="LOGIN SUPERUSER")
    async with database.connect() as connection:
        for name, value in ODD.items():
            shown = value if name == "search_path" else f"'{value}'"
            await connection.execute(f"ALTER ROLE {role} SET {name} = {shown}")
    db = await Database.open(database.url_of(role))
    try:
        for lend in (db.acquire, db.side, db.leasing):
            for _ in range(2):  # also after the reset when it is given back
                async with lend() as connection:
                    for name, value in session_settings.of_connections().items():
                        assert await connection.fetchval(f"SHOW {name}") == value
                    assert await connection.fetchval("SHOW transaction_isolation") == (
                        "read committed"
                    )
                    await connection.execute("SET search_path = public")
                    await connection.execute("RESET search_path")
    finally:
        await db.close()


async def test_operators_in_public_never_run(database):
    database.psql(TRAPS + TABLE + "INSERT INTO public.t VALUES (1, 'a')")
    # public stands first, as where somebody found that convenient
    database.psql(f"ALTER DATABASE {database.name} SET search_path = public, pg_catalog")
    db = await Database.open(database.url)
    try:
        await list_relations(db, "t")
        await describe_relation(db, "public", "t")
        request = CaptureRequest("archive_column", "t", "c")
        await plan_capture(db, request)
        artifact = await capture(db, request, DBA)
        assert (await doctor(db)).findings == ()
        await restore(db, artifact.id, Choices(), DBA)
        assert database.psql("SELECT is_called FROM public.ran") == "f"
        database.psql("SELECT count(*) FROM pg_class WHERE relname = 't'::text")  # the trap works
        assert database.psql("SELECT is_called FROM public.ran") == "t"
    finally:
        await db.close()


async def test_a_capture_in_sql_is_the_same_under_any_setting(database):
    """What a caller's session has set does not change what is recorded of a table."""
    database.psql("""
        CREATE TABLE public.odd (id int PRIMARY KEY, a timestamptz DEFAULT '2020-02-03 04:05:06+00',
            b interval DEFAULT '1 day 2 hours', c bytea DEFAULT '\\x5c27', d float8 DEFAULT 0.1,
            e text DEFAULT E'a\\\\b', f text[] DEFAULT '{NULL,a}', g money DEFAULT 1.5::money);
        INSERT INTO public.odd VALUES (1)""")
    settings = "".join(
        f"SET {name} = {value if name == 'search_path' else repr(value)};"
        for name, value in ODD.items()
        if not name.startswith("default_transaction")
    )
    recorded = "definition -> 'columns' #>> '{}', recovery_sql"
    found = []
    for before in ("", settings):
        text = database.psql(
            f"{before} BEGIN; SELECT zanith.archive_table('odd') AS id \\gset\n"
            "SET LOCAL standard_conforming_strings = on;"
            f"SELECT {recorded}, definition - 'id' - 'search_path'"
            " FROM zanith._zanith_migration_artifacts WHERE id = :'id'; SELECT :'id'; ROLLBACK"
        )
        body, _, artifact_id = text.rpartition("\n")
        found.append(body.replace(artifact_id, "ID"))
    assert found[0] == found[1]
    assert "2020-02-03 04:05:06+00" in found[0]


@pytest.mark.parametrize("where", ["role", "database", "role in database", "url", "PGOPTIONS"])
async def test_an_unqualified_name_means_what_it_means_to_an_ordinary_session(
    database, create_role, monkeypatch, where
):
    role = create_role("pathed", options="LOGIN SUPERUSER")
    database.psql(
        "CREATE SCHEMA shop; CREATE TABLE shop.t (id int); CREATE TABLE public.t (id int)"
    )
    url = database.url_of(role)
    if where == "url":
        url += "&options=-csearch_path%3Dshop"
    elif where == "PGOPTIONS":
        monkeypatch.setenv("PGOPTIONS", "-c search_path=shop")
    else:
        subject = {
            "role": f"ROLE {role}",
            "database": f"DATABASE {database.name}",
            "role in database": f"ROLE {role} IN DATABASE {database.name}",
        }[where]
        database.psql(f"ALTER {subject} SET search_path = shop")
    db = await Database.open(url)
    try:
        assert (await plan_capture(db, CaptureRequest("soft_drop_table", "t"))).object == "shop.t"
        artifact = await capture(db, CaptureRequest("soft_drop_table", "t"), DBA)
        assert artifact.source_schema == "shop"
        database.psql("SELECT zanith.soft_drop_table('public.t')")
        assert (await get_artifact(db, "t")).id == artifact.id
        async with db.acquire() as connection:
            assert await connection.fetchval("SHOW search_path") == "pg_catalog, pg_temp"
    finally:
        await db.close()


async def test_a_name_without_schema_that_is_nowhere_is_told(db):
    with pytest.raises(ZanithError, match='"nowhere" does not exist'):
        await plan_capture(db, CaptureRequest("soft_drop_table", "nowhere"))


def test_the_printed_script_sets_them_for_itself_and_for_the_functions(bare_database):
    from app.recovery.db import installer

    bare_database.psql(f"ALTER DATABASE {bare_database.name} SET search_path = public, pg_catalog")
    bare_database.psql(TRAPS)
    bare_database.psql(installer.print_sql())
    assert bare_database.psql("SELECT is_called FROM public.ran") == "f"
    count = "SELECT count(*) FROM pg_proc WHERE proconfig @> '{standard_conforming_strings=on}'"
    assert int(bare_database.psql(count)) > 40
