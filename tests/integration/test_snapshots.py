"""Snapshots see what pg_dump sees, and the difference of two as SQL gives the other schema."""

from __future__ import annotations

import asyncio
import json
import random

import asyncpg
import pytest

from app.migrate.schema.ddl.generate import generate
from app.migrate.schema.difference import OWNERSHIP, difference
from app.migrate.schema.model import Key, Schema
from app.migrate.schema.read import read_schema
from app.migrate.schema.snapshots import find_schema, list_snapshots, read_file, take
from app.recovery.core.errors import NotFound, WrongUsage
from app.recovery.db.database import Database as Engine
from tests.conftest import oracle_seed
from tests.migrate.changes import SETUP, changes_for

CHUNKS = 8
# What the SQL of a difference does not do yet, forward (>) or back (<); it is named there.
NOT_GENERATED = {
    "> ALTER TABLE app.other RENAME COLUMN x TO z",
    "> ALTER TYPE app.mood RENAME VALUE 'ok' TO 'okay'",
    "< ALTER TABLE app.heir NO INHERIT app.base",
    "< ALTER TABLE app.other RENAME COLUMN x TO z",
    "< ALTER TABLE app.other DROP COLUMN x",
    "< ALTER TABLE app.customers DROP COLUMN name CASCADE",
    "< ALTER TABLE app.measures DROP COLUMN v",
    "< ALTER TABLE app.base DROP COLUMN b",
    "< ALTER TABLE ONLY app.base DROP COLUMN b",
    "< ALTER TABLE app.customers ALTER twice DROP EXPRESSION",
    "< ALTER TYPE app.mood ADD VALUE 'fine' BEFORE 'ok'",
    "< ALTER TYPE app.mood ADD VALUE 'good'",
    "< ALTER TYPE app.mood RENAME VALUE 'ok' TO 'okay'",
    "< DROP TYPE app.mood CASCADE",
}
# PostgreSQL leaves a constraint there that is inherited from nothing.
ODD = {"> ALTER TABLE ONLY app.base DROP COLUMN b"}
BEFORE_17 = {"> ALTER TABLE app.customers ALTER twice SET EXPRESSION AS (length(code) * 3)"}


def names_of(create_role):
    """Return the setup and the changes as texts that name the roles of this test."""
    reader, owner = create_role("reader"), create_role("owner")

    def named(text: str) -> str:
        return text.replace("owner_1", owner).replace("reader", reader)

    return named


async def judge(connection, sql: str, named, *, back: bool) -> str | None:
    """Return what is wrong with the difference that a change makes; None if nothing is."""
    before = await read_schema(connection)
    undone = connection.transaction()
    await undone.start()
    try:
        await connection.execute(named(sql))
        after = await read_schema(connection)
        if after.hash == before.hash:
            return "it is not seen"
        old, new = before, after
        if back:
            old, new = after, before
        else:
            await undone.rollback()
            undone = connection.transaction()
            await undone.start()
        ddl = generate(difference(old, new))
        if ddl.missing:
            return "missing"
        if ddl.statements:
            await connection.execute(ddl.sql)
        left = difference(await read_schema(connection), new)
        return str(left.to_json()) + ddl.sql if left else None
    except asyncpg.PostgresError as error:
        return f"{error}"
    finally:
        await undone.rollback()


@pytest.mark.parametrize("chunk", range(CHUNKS))
@pytest.mark.parametrize("back", [False, True], ids=["forward", "back"])
async def test_each_change_is_seen_and_the_sql_makes_it(bare_database, create_role, chunk, back):
    named = names_of(create_role)
    bare_database.psql(named(SETUP))
    version = bare_database.server.version
    wrong = {}
    async with bare_database.connect() as connection:
        for sql in changes_for(version)[chunk::CHUNKS]:
            found = await judge(connection, sql, named, back=back)
            label = f"{'<' if back else '>'} {sql}"
            expected = label in NOT_GENERATED or (version < 17 and label in BEFORE_17)
            if label not in ODD and found != ("missing" if expected else None):
                wrong[label] = found
    assert wrong == {}


async def test_random_changes_together(bare_database, create_role):
    """The SQL of a difference makes many changes at once, or names what it does not make."""
    named = names_of(create_role)
    bare_database.psql(named(SETUP))
    chance = random.Random(oracle_seed())
    changes = [one for one in changes_for(bare_database.server.version) if f"> {one}" not in ODD]
    wrong = []
    complete = 0
    async with bare_database.connect() as connection:
        before = await read_schema(connection)
        for _ in range(40):
            undone = connection.transaction()
            await undone.start()
            applied = []
            for sql in chance.sample(changes, 8):
                try:
                    async with connection.transaction():
                        await connection.execute(named(sql))
                    applied.append(sql)
                except asyncpg.PostgresError:
                    pass  # it needs what another one dropped
            after = await read_schema(connection)
            await undone.rollback()
            ddl = generate(difference(before, after))
            if ddl.missing:
                continue
            undone = connection.transaction()
            await undone.start()
            try:
                await connection.execute(ddl.sql)
                if left := difference(await read_schema(connection), after):
                    wrong.append((applied, left.to_json(), ddl.sql))
                complete += 1
            except asyncpg.PostgresError as error:
                wrong.append((applied, str(error), ddl.sql))
            await undone.rollback()
    assert wrong == []
    assert complete > 10


async def test_a_dump_that_is_loaded_has_the_same_snapshot(
    bare_database, create_role, server, request
):
    named = names_of(create_role)
    bare_database.psql(named(SETUP))
    other = bare_database.name + "_copy"
    server.create_database(other)
    try:
        server.psql(other, bare_database.schema())
        connection = await asyncpg.connect(server.url(other))
        async with bare_database.connect() as first:
            old, new = await read_schema(first), await read_schema(connection)
        await connection.close()
        assert difference(old, new).to_json()["changed"] == []
        assert old.hash == new.hash
    finally:
        server.psql("postgres", f"DROP DATABASE {other} WITH (FORCE)")


async def test_the_whole_schema_as_sql(bare_database, create_role, server):
    """What `snapshot show` prints makes the schema in an empty database."""
    named = names_of(create_role)
    bare_database.psql(named(SETUP))
    other = bare_database.name + "_made"
    server.create_database(other)
    try:
        connection = await asyncpg.connect(server.url(other))
        async with bare_database.connect() as first:
            wanted = await read_schema(first)
        ddl = generate(difference(await read_schema(connection), wanted))
        assert ddl.missing == []
        async with connection.transaction():
            await connection.execute(ddl.sql)
        made = await read_schema(connection)
        await connection.close()
        assert difference(made, wanted).to_json()["changed"] == []
        assert made.hash == wanted.hash
    finally:
        server.psql("postgres", f"DROP DATABASE {other} WITH (FORCE)")


@pytest.mark.parametrize(
    ("capture", "drop"),
    [
        ("archive_table('a')", "DROP TABLE a"),
        ("soft_drop_table('a')", "DROP TABLE a"),
        ("archive_column('a', 'note')", "ALTER TABLE a DROP COLUMN note"),
        ("soft_drop_column('a', 'note')", "ALTER TABLE a DROP COLUMN note"),
    ],
)
async def test_what_is_parked_is_left_out(database, twin_database, capture, drop):
    setup = (
        "CREATE TABLE a (id serial PRIMARY KEY, note text NOT NULL DEFAULT 'x' CHECK (note <> ''));"
        "CREATE INDEX ON a (note); INSERT INTO a DEFAULT VALUES"
    )
    for each in (database, twin_database):
        each.psql(setup)
    database.psql(f"SELECT zanith.{capture}")
    twin_database.psql(drop)
    async with database.connect() as one, twin_database.connect() as other:
        captured, dropped = await read_schema(one), await read_schema(other)
    assert difference(captured, dropped).to_json() == difference(dropped, dropped).to_json()


async def test_it_needs_no_rights_and_no_installation(bare_database, create_role):
    named = names_of(create_role)
    bare_database.psql(named(SETUP))
    nobody = create_role("nobody")
    async with bare_database.connect() as one, bare_database.connect(nobody) as other:
        assert (await read_schema(one)).hash == (await read_schema(other)).hash


async def test_the_settings_of_a_session_change_nothing(bare_database, create_role):
    named = names_of(create_role)
    bare_database.psql(named(SETUP))
    odd = "SET search_path = app, public; SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'German';"
    odd += (
        "SET IntervalStyle = 'iso_8601'; SET quote_all_identifiers = on; SET bytea_output = escape"
    )
    async with bare_database.connect() as connection:
        plain = await read_schema(connection)
        await connection.execute(odd)
        assert (await read_schema(connection)).hash == plain.hash
        assert await connection.fetchval("SHOW search_path") == "app, public"
        async with connection.transaction():
            await connection.execute("CREATE TABLE app.mine (a int)")
            assert Key("table", ("app", "mine")) in (await read_schema(connection)).objects
            assert await connection.fetchval("SHOW quote_all_identifiers") == "on"
            assert await connection.fetchval("SELECT count(*) FROM app.mine") == 0


async def test_hostile_names(bare_database):
    name = 'a"b.c\n-- \U0001f600;' + "x" * 40
    quoted = '"' + name.replace('"', '""') + '"'
    bare_database.psql(
        f"CREATE SCHEMA {quoted}; CREATE TABLE {quoted}.{quoted} ({quoted} int DEFAULT 3 CHECK"
        f" ({quoted} > 0)); CREATE VIEW {quoted}.v AS SELECT {quoted} FROM {quoted}.{quoted};"
        f"COMMENT ON TABLE {quoted}.{quoted} IS {quoted.replace(chr(34), chr(39))}"
    )
    async with bare_database.connect() as connection:
        wanted = await read_schema(connection)
        await connection.execute(f"DROP SCHEMA {quoted} CASCADE")
        ddl = generate(difference(await read_schema(connection), wanted))
        await connection.execute(ddl.sql)
        assert (await read_schema(connection)).hash == wanted.hash


async def test_a_rename_is_a_candidate_and_no_more(bare_database):
    bare_database.psql("CREATE TABLE a (id int, x text); CREATE VIEW v AS SELECT 1 AS one")
    async with bare_database.connect() as connection:
        before = await read_schema(connection)
        await connection.execute("ALTER TABLE a RENAME x TO y; ALTER VIEW v RENAME TO w")
        found = difference(before, await read_schema(connection))
    assert [(str(one.before), str(one.after)) for one in found.renames] == [
        ("column public.a.x", "column public.a.y"),
        ("view public.v", "view public.w"),
    ]
    assert [key.kind for key in found.dropped] == ["column", "column", "view"]


async def test_owners_and_grants_can_be_left_out(bare_database, create_role):
    named = names_of(create_role)
    bare_database.psql(named(SETUP))
    async with bare_database.connect() as connection:
        before = await read_schema(connection)
        await connection.execute(
            named("GRANT ALL ON app.other TO reader; ALTER TABLE app.other OWNER TO owner_1;")
            + named("ALTER DEFAULT PRIVILEGES FOR ROLE owner_1 GRANT SELECT ON TABLES TO reader")
        )
        after = await read_schema(connection)
    assert difference(before, after)
    assert not difference(before, after, OWNERSHIP)


# --------------------------------------------------------------------------------------- storage


async def test_equal_snapshots_are_stored_once_and_in_the_transaction(database):
    db = await Engine.open(database.url)
    try:
        async with db.acquire() as connection:
            async with connection.transaction():
                first = await take(connection, by="somebody")
            undone = connection.transaction()
            await undone.start()
            await take(connection, "0001", "before", by="somebody")
            await undone.rollback()
            async with connection.transaction():
                await take(connection, "0001", "before", by="somebody")
                await connection.execute("CREATE TABLE public.t (a int)")
                await take(connection, "0001", "after", by="somebody")
            found = await list_snapshots(connection)
            assert [(one.moment, one.changed) for one in found] == [
                ("after", True),
                ("before", False),
                ("manual", True),
            ]
            assert {one.taken_by_role for one in found} == {"postgres"}
            stored = await find_schema(connection, str(first))
            before = await find_schema(connection, "0001:before")
            after = await find_schema(connection, "0001:after")
            live = await find_schema(connection, "live")
            assert stored.hash == before.hash
            assert after.hash == live.hash
            assert after.objects == live.objects
            assert [str(key) for key in difference(before, after).created] == [
                "column public.t.a",
                "table public.t",
            ]
            for name in ("99", "0002:before", "nowhere.json"):
                with pytest.raises(NotFound):
                    await find_schema(connection, name)
    finally:
        await db.close()
    assert database.psql("SELECT count(*) FROM zanith._zanith_schema_contents") == "2"
    wrong = database.psql(
        "SELECT hash FROM zanith._zanith_schema_contents"
        " WHERE encode(sha256(convert_to(contents, 'UTF8')), 'hex') <> hash"
    )
    assert wrong == ""


async def test_contents_that_do_not_match_their_hash_are_refused(database):
    with pytest.raises(Exception, match="_zanith_schema_contents"):
        database.psql(
            "SELECT zanith.record_schema_snapshot(jsonb_build_object('hash', repeat('a', 64),"
            " 'moment', 'manual', 'taken_by', 'x', 'objects', 0), '[]', '{}')"
        )


async def test_only_who_may_run_migrations_records_snapshots(database, create_role):
    nobody = create_role("nobody")
    database.psql(f"GRANT USAGE ON SCHEMA zanith TO {nobody}")
    call = "SELECT zanith.record_schema_snapshot('{}')"
    async with database.connect(nobody) as connection:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(call)


def test_a_changed_file_is_refused(tmp_path):
    file = tmp_path / "schema.json"
    whole = Schema({}, 180000).to_json()
    file.write_text(json.dumps(whole))
    assert read_file(file).objects == {}
    for text, words in (
        (json.dumps({**whole, "hash": "0" * 64}), "was changed"),
        (json.dumps({**whole, "format": 9}), "format 9"),
        ("[1]", "no snapshot"),
        ("CREATE TABLE t ()", "not JSON"),
    ):
        file.write_text(text)
        with pytest.raises(WrongUsage, match=words):
            read_file(file)


async def test_two_take_the_same_schema_at_once(database):
    one, other = await Engine.open(database.url), await Engine.open(database.url)
    try:

        async def again(db):
            for _ in range(5):
                async with db.acquire() as connection, connection.transaction():
                    await take(connection, by="somebody")

        await asyncio.gather(again(one), again(other))
    finally:
        await one.close()
        await other.close()
    assert database.psql("SELECT count(*) FROM zanith._zanith_schema_snapshots") == "10"
