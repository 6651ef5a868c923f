"""The observer: what a statement did, in any schema, for any role, and without a trace."""

from __future__ import annotations

import pytest

from app.migrate.observe.catalog import Catalog, read_catalog
from app.migrate.observe.look import OUTSIDE, Observed, look, read_scans

HOSTILE = 'we"ird.näme 💥'
SETUP = f"""
CREATE SCHEMA "S 1";
CREATE TYPE "S 1".mood AS ENUM ('ok');
CREATE DOMAIN "S 1".positive AS int CONSTRAINT above CHECK (value > 0);
CREATE TABLE "S 1".t (id int CONSTRAINT pk PRIMARY KEY, a int,
    b int CONSTRAINT b_check CHECK (b > 0));
CREATE INDEX t_a ON "S 1".t (a);
CREATE TABLE public."{HOSTILE.replace('"', '""')}" (id int PRIMARY KEY, t int REFERENCES "S 1".t);
CREATE VIEW "S 1".v AS SELECT id FROM "S 1".t;
CREATE FUNCTION "S 1".f(n int, text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION "S 1".tr() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tg AFTER INSERT ON "S 1".t FOR EACH ROW EXECUTE FUNCTION "S 1".tr();
CREATE POLICY po ON "S 1".t;
CREATE TABLE "S 1".part (id int) PARTITION BY RANGE (id);
CREATE TABLE "S 1".part_1 PARTITION OF "S 1".part FOR VALUES FROM (0) TO (9);
INSERT INTO "S 1".t VALUES (1, 1, 1);
"""
T = '"S 1".t'
WEIRD = 'public."we""ird.näme 💥"'
# a statement, and what it created, dropped and renamed, without the parts of others
CASES = {
    "CREATE TABLE x (id serial PRIMARY KEY, t text UNIQUE)": (
        ["sequence public.x_id_seq", "table public.x"],
        [],
        [],
    ),
    f"ALTER TABLE {T} ADD COLUMN c int UNIQUE": (
        [f"table column {T}.c", f"table constraint {T}.t_c_key"],
        [],
        [],
    ),
    f"ALTER TABLE {T} DROP COLUMN b": (
        [],
        [f"table column {T}.b", f"table constraint {T}.b_check"],
        [],
    ),
    f"DROP TABLE {WEIRD}": ([], [f"table {WEIRD}"], []),
    f"DROP TABLE {T} CASCADE": (
        [],
        [f"table {T}", f'table constraint {WEIRD}."we""ird.näme 💥_t_fkey"', 'view "S 1".v'],
        [],
    ),
    f"ALTER TABLE {T} RENAME TO u": ([], [], [f'table {T} > table "S 1".u']),
    f"ALTER TABLE {T} RENAME COLUMN a TO z": (
        [],
        [],
        [f"table column {T}.a > table column {T}.z"],
    ),
    f"ALTER TABLE {T} RENAME CONSTRAINT pk TO key": (
        [],
        [],
        ['index "S 1".pk > index "S 1".key', f"table constraint {T}.pk > table constraint {T}.key"],
    ),
    'ALTER SCHEMA "S 1" RENAME TO s2': ([], [], ['schema "S 1" > schema s2']),
    f'ALTER TABLE {WEIRD} SET SCHEMA "S 1"': (
        [],
        [],
        [
            f'index {WEIRD[:-1]}_pkey" > index "S 1".{WEIRD[7:-1]}_pkey"',
            f'table {WEIRD} > table "S 1".{WEIRD[7:]}',
        ],
    ),
    'DROP INDEX "S 1".t_a': ([], ['index "S 1".t_a'], []),
    'DROP FUNCTION "S 1".f': ([], ['function "S 1".f(n integer, text)'], []),
    f"DROP TRIGGER tg ON {T}": ([], [f"trigger {T}.tg"], []),
    f"DROP POLICY po ON {T}": ([], [f"policy {T}.po"], []),
    'DROP DOMAIN "S 1".positive': ([], ['type "S 1".positive'], []),
    'ALTER DOMAIN "S 1".positive DROP CONSTRAINT above': (
        [],
        ['domain constraint "S 1".positive.above'],
        [],
    ),
    "DROP EXTENSION plpgsql CASCADE; CREATE EXTENSION plpgsql": (
        ["extension plpgsql"],
        ['function "S 1".tr()', f"trigger {T}.tg"],
        [],
    ),
    "CREATE SCHEMA s3 CREATE TABLE y (id int)": (["schema s3", "table s3.y"], [], []),
    'CREATE CAST ("S 1".mood AS int) WITH INOUT': (['cast ("S 1".mood AS integer)'], [], []),
    "CREATE PUBLICATION p": (["publication p"], [], []),
    f"CREATE STATISTICS st ON a, b FROM {T}": (["statistics object public.st"], [], []),
    f"CREATE RULE ru AS ON UPDATE TO {T} DO ALSO NOTHING": ([f"rule {T}.ru"], [], []),
    "CREATE TEMPORARY TABLE z (id int)": ([], [], []),
    f"INSERT INTO {T} VALUES (2, 2, 2)": ([], [], []),
    """DO $$ BEGIN BEGIN CREATE TABLE gone (); RAISE 'x';
        EXCEPTION WHEN OTHERS THEN CREATE TABLE n (); END; END $$""": (
        ["table public.n"],
        [],
        [],
    ),
}


def shown(observed: Observed) -> tuple[list[str], list[str], list[str]]:
    return (
        sorted(str(one) for one in observed.created if not one.part and one.kind != "type"),
        sorted(str(one) for one in observed.dropped if not one.part),
        sorted(f"{one.before} > {one.after}" for one in observed.renamed),
    )


async def observe(connection, sql: str) -> tuple[Observed, Catalog]:
    catalog = await read_catalog(connection)
    async with connection.transaction():
        scans = await read_scans(connection)
        await connection.execute(sql)
        return await look(connection, catalog, scans)


@pytest.mark.parametrize("sql", CASES)
async def test_the_objects_of_a_statement(bare_database, sql):
    bare_database.psql(SETUP)
    async with bare_database.connect() as connection:
        observed, after = await observe(connection, sql)
        assert shown(observed) == tuple(sorted(part) for part in CASES[sql])
        # the difference that a look makes is the catalog that a whole reading finds
        again = await read_catalog(connection)
        assert after.entries == again.entries


async def test_locks_are_those_that_are_new_and_of_others(bare_database):
    bare_database.psql(SETUP)
    async with bare_database.connect() as connection:
        catalog = await read_catalog(connection)
        async with connection.transaction():
            seen = []
            for sql in (
                f"LOCK TABLE {T} IN SHARE MODE",
                f"SELECT FROM {T}",
                f"CREATE TABLE n (t int REFERENCES {T})",
                "ALTER TABLE n ADD COLUMN a int",
                f"ALTER TABLE {T} ADD COLUMN c int",
            ):
                await connection.execute(sql)
                observed, catalog = await look(connection, catalog)
                seen.append({str(one): mode.word for one, mode in observed.locks.items()})
    table = f"table {T}"
    assert seen == [
        {table: "SHARE"},
        {table: "ACCESS SHARE"},
        {table: "SHARE ROW EXCLUSIVE"},
        {},
        {table: "ACCESS EXCLUSIVE"},
    ]


async def test_a_role_without_rights_observes_as_much(bare_database, create_role):
    role = create_role("mover")
    bare_database.psql(f"{SETUP} CREATE SCHEMA own AUTHORIZATION {role};")
    bare_database.psql(
        "CREATE TABLE own.t (a int); INSERT INTO own.t VALUES (1);"
        f"ALTER TABLE own.t OWNER TO {role}"
    )
    sql = "ALTER TABLE own.t ADD COLUMN b serial, ADD CHECK (a > 0)"
    found = []
    for user in (role, "postgres"):
        async with bare_database.connect(user) as connection:
            transaction = connection.transaction()
            catalog = await read_catalog(connection)
            await transaction.start()
            scans = await read_scans(connection)
            await connection.execute(sql)
            observed, _ = await look(connection, catalog, scans)
            await transaction.rollback()
            found.append(observed.to_json())
    assert found[0] == found[1]
    assert found[0]["rewritten"] == ["own.t"]
    assert found[0]["unobserved"] == []


async def test_outside_a_transaction_locks_are_not_observed(bare_database):
    bare_database.psql(SETUP)
    async with bare_database.connect() as connection:
        catalog = await read_catalog(connection)
        await connection.execute(f"CREATE INDEX CONCURRENTLY i ON {T} (a)")
        observed, after = await look(connection, catalog)
        assert [str(one) for one in observed.created] == ['index "S 1".i']
        assert observed.locks == {}
        assert observed.unobserved == (OUTSIDE,)
        assert after.entries == (await read_catalog(connection)).entries


async def test_a_rollback_is_seen(bare_database):
    async with bare_database.connect() as connection:
        catalog = await read_catalog(connection)
        for sql in ("BEGIN", "CREATE TABLE a ()", "SAVEPOINT s", "CREATE TABLE b ()"):
            await connection.execute(sql)
            observed, catalog = await look(connection, catalog)
        await connection.execute("ROLLBACK TO s")
        observed, catalog = await look(connection, catalog, whole=True)
        assert [str(one) for one in observed.dropped if not one.part] == ["table public.b"]
        await connection.execute("ROLLBACK")
        observed, catalog = await look(connection, catalog)
        assert [str(one) for one in observed.dropped if not one.part] == ["table public.a"]


async def test_others_are_not_observed(bare_database):
    async with bare_database.connect() as connection, bare_database.connect() as other:
        catalog = await read_catalog(connection)
        async with connection.transaction():
            await connection.execute("CREATE TABLE mine ()")
            await other.execute("CREATE TABLE theirs ()")
            observed, _ = await look(connection, catalog)
            assert [str(one) for one in observed.created if not one.part] == ["table public.mine"]


@pytest.mark.parametrize("inside", [True, False])
async def test_operators_of_others_are_not_called_and_settings_stay(bare_database, inside):
    bare_database.psql("""
        CREATE SCHEMA evil;
        CREATE FUNCTION evil.shout(oid, int) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN
            RAISE 'called'; END $$;
        CREATE OPERATOR evil.>= (LEFTARG = oid, RIGHTARG = int, FUNCTION = evil.shout);
        CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = int, FUNCTION = evil.shout);
    """)
    async with bare_database.connect() as connection:
        if inside:
            await connection.execute("BEGIN")
        await connection.execute("SET search_path = evil, public, pg_catalog")
        catalog = await read_catalog(connection)
        await connection.execute("CREATE TABLE public.n ()")
        observed, _ = await look(connection, catalog, await read_scans(connection))
        assert [str(one) for one in observed.created if not one.part] == ["table public.n"]
        if inside:
            await connection.execute("COMMIT")
        assert await connection.fetchval("SHOW search_path") == "evil, public, pg_catalog"
