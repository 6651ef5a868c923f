"""The probes say of rows what PostgreSQL says of the statement."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.migrate.preflight.findings import Outcome, preflight_to_json
from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from tests.conftest import allow_capture
from tests.migrate import preflight_cases as cases
from tests.migrate.preflight import generate, judge, probe

pytestmark = pytest.mark.each_version
GROUPS = ("DUPLICATES", "ORPHANS", "VALUES", "TYPES", "PARTITIONS", "SEQUENCES")


@pytest.mark.parametrize("group", GROUPS)
async def test_what_the_probes_find_is_what_stops_the_statement(database, group):
    chosen = getattr(cases, group)
    faults = await judged(database, chosen)
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("seed", range(4))
async def test_generated_rows(database, seed):
    faults = await judged(database, list(generate(seed, 40)))
    # a form that a type does not have fails on the catalog: a probe that cannot be asked says so
    wrong = [fault for fault in faults if "not checked" not in fault and " 42" not in fault]
    assert not wrong, "\n".join(wrong)


async def judged(database, chosen) -> list[str]:
    faults = []
    db = await Database.open(database.url)
    try:
        async with database.connect() as connection:
            version = connection.get_server_version().major
            icu = await connection.fetchval(
                "SELECT count(*) > 10 FROM pg_collation WHERE collprovider = 'i'"
            )
            for case in chosen:
                if case.since <= version and (icu or not case.icu):
                    found = await judge(connection, db, case)
                    faults += [f"{case.rows} {case.sql}: {fault}" for fault in found]
    finally:
        await db.close()
    return faults


async def test_examples_are_for_those_who_may_see_rows(database):
    database.psql("CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t VALUES (7, 'secret')")
    db = await Database.open(database.url)
    try:
        sql = "ALTER TABLE t ADD CHECK (a <> 'secret'); ALTER TABLE t ALTER a TYPE varchar(3)"
        seen = await probe(db, sql)
        blind = await probe(db, sql, actor=Actor("viewer", role="viewer", sees_rows=False))
    finally:
        await db.close()
    assert [finding.examples for finding in seen] == [("(id)=(7)",), ("(id)=(7)",)]
    assert all(not finding.examples for finding in blind)
    told = str(preflight_to_json(blind)) + str([finding.words for finding in (*seen, *blind)])
    assert "secret" not in told
    assert "(7)" not in told


async def test_what_takes_too_long_is_not_checked(database):
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, 1);"
        "CREATE FUNCTION slow(int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN LOOP"
        " BEGIN PERFORM pg_sleep(60);"
        " EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$"
    )
    db = await Database.open(database.url)
    try:
        sql = "ALTER TABLE t ADD CHECK (slow(a)), ADD CHECK (a > 0)"
        async with asyncio.timeout(30):
            slow, late = await probe(db, sql, within=timedelta(seconds=1))
    finally:
        await db.close()
    assert (slow.outcome, late.outcome) == (Outcome.NOT_CHECKED, Outcome.NOT_CHECKED)
    assert slow.reason == late.reason == "it was not done within 1s"


async def test_without_rights_nothing_passes(database, create_role):
    stranger = create_role("stranger")
    database.psql("CREATE TABLE t (id int PRIMARY KEY, a int)")
    db = await Database.open(database.url_of(stranger))
    try:
        (found,) = await probe(db, "ALTER TABLE t ALTER a SET NOT NULL")
    finally:
        await db.close()
    assert found.outcome is Outcome.NOT_CHECKED
    assert "not for this role" in (found.reason or "")


async def test_without_zanith_nothing_is_checked(bare_database):
    bare_database.psql("CREATE TABLE t (id int PRIMARY KEY, a int)")
    db = await Database.open(bare_database.url)
    try:
        (found,) = await probe(db, "ALTER TABLE t ALTER a SET NOT NULL")
    finally:
        await db.close()
    assert found.outcome is Outcome.NOT_CHECKED
    assert "zanith init" in (found.reason or "")


async def test_a_policy_that_hides_rows_is_no_answer(database, create_role):
    owner = create_role("owner")
    database.psql(
        f"CREATE TABLE t (id int PRIMARY KEY, a int); INSERT INTO t VALUES (1, NULL);"
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY;"
        f"CREATE POLICY p ON t USING (a > 0); ALTER TABLE t OWNER TO {owner}"
    )
    db = await Database.open(database.url)
    try:
        (found,) = await probe(db, "ALTER TABLE t ALTER a SET NOT NULL")
    finally:
        await db.close()
    assert found.outcome is Outcome.NOT_CHECKED


async def test_names_are_data(database):
    table, column = "a\"b.\n🚀'$$%s", "x" * 40 + "'\"\\%s"
    quoted = ['"' + name.replace('"', '""') + '"' for name in (table, column)]
    async with database.connect() as connection:
        await connection.execute(
            f"CREATE TABLE {quoted[0]} ({quoted[1]} text PRIMARY KEY, id int);"
            f"INSERT INTO {quoted[0]} VALUES ('%s''\"', NULL), ('\\', 1)"
        )
    db = await Database.open(database.url)
    try:
        sql = (
            f"ALTER TABLE {quoted[0]} ALTER id SET NOT NULL, ADD CHECK ({quoted[1]} <> '\\');"
            f"ALTER TABLE {quoted[0]} ALTER {quoted[1]} TYPE int USING {quoted[1]}::int;"
            f"ALTER TABLE {quoted[0]} ADD UNIQUE (id)"
        )
        found = await probe(db, sql)
    finally:
        await db.close()
    by_line = [(one.outcome.value, one.count) for one in found]
    # the key gets another type: whether its values are still unique depends on the cast
    assert by_line[:3] == [("found", 1), ("found", 1), ("found", 2)], found
    assert by_line[-1] == ("passed", 0), found
    assert [one.examples for one in found[:2]] == [
        (f"({column})=(%s'\")",), (f"({column})=(\\)",),
    ]  # fmt: skip


async def test_a_role_that_owns_its_tables_and_may_capture(database, create_role):
    owner = create_role("owner")
    allow_capture(database.url, owner)
    database.psql(
        f"CREATE SCHEMA mine AUTHORIZATION {owner};"
        "CREATE TABLE mine.t (id int PRIMARY KEY, a int);"
        f"ALTER TABLE mine.t OWNER TO {owner}; INSERT INTO mine.t VALUES (1, 1), (2, 1)"
    )
    db = await Database.open(database.url_of(owner))
    try:
        sql = (
            "ALTER TABLE mine.t ALTER a SET NOT NULL, ADD UNIQUE (a), ADD CHECK (a / 0 > 1),"
            " ADD FOREIGN KEY (a) REFERENCES mine.t"
        )
        found = await probe(db, sql)
    finally:
        await db.close()
    assert [(one.outcome.value, one.count) for one in found] == [
        ("passed", 0), ("found", 1), ("found", 2), ("passed", 0),
    ], found  # fmt: skip
