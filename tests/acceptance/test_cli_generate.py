"""`zanith migrate generate`: files that are new, and that give the declared schema."""

from __future__ import annotations

import asyncpg
import pytest

from app.migrate.schema.difference import OWNERSHIP, difference
from app.migrate.schema.read import read_schema
from tests.acceptance.command import Result, zanith

LIVE = """
CREATE TABLE customers (id bigint PRIMARY KEY, code text, old_name text, level int);
CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint, note text);
CREATE TABLE gone (id int PRIMARY KEY, v text); INSERT INTO gone VALUES (1, 'kept');
INSERT INTO customers VALUES (1, 'a', 'n', 1);
CREATE VIEW seen AS SELECT id, code FROM customers;
"""
DECLARED = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE TABLE customers (id bigint PRIMARY KEY, code text NOT NULL CHECK (code <> ''), new_name text, level bigint, mood mood DEFAULT 'ok');
CREATE TABLE orders (id bigint PRIMARY KEY, customer bigint REFERENCES customers);
CREATE INDEX orders_customer ON orders (customer);
CREATE UNIQUE INDEX customers_code ON customers (code) WHERE level > 0;
CREATE VIEW seen AS SELECT id, code, level FROM customers;
CREATE TABLE fresh (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, c bigint REFERENCES customers);
CREATE INDEX ON fresh (c);
CREATE FUNCTION f(a int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN a; END $$;
"""
SAME = ("--shadow", "same-server")


@pytest.fixture
def place(tmp_path):
    directory = tmp_path / "migrations"
    directory.mkdir()
    (tmp_path / "schema.sql").write_text(DECLARED)
    return directory


def must(result: Result) -> Result:
    assert result.code == 0, result
    return result


def generate(database, place, *args, schema="schema.sql"):
    return zanith(
        "migrate", "generate", "sync", "--dir", str(place), "--from-diff",
        "--schema", str(place.parent / schema), *SAME, *args, url=database.url,
    )  # fmt: skip


def test_the_files_give_the_declared_schema(database, place):
    database.psql(LIVE)
    open_question = generate(database, place)
    assert open_question.code == 2, open_question
    assert "public.customers.old_name" in open_question.err
    assert "--rename 'public.customers.old_name=public.customers.new_name'" in open_question.err
    assert list(place.iterdir()) == []
    checked = generate(database, place, "--check", "--rename", RENAME)
    assert checked.code == 4
    result = must(generate(database, place, "--rename", RENAME, "--json"))
    assert result.json["not_generated"] == []
    first, online, drops = sorted(place.iterdir())
    assert "NOT VALID" in first.read_text()
    assert "CREATE INDEX CONCURRENTLY orders_customer" in online.read_text()
    assert "zanith.archive_table('public.gone')" in drops.read_text()
    assert "DROP" not in drops.read_text()
    plan = zanith("migrate", "plan", str(place))
    assert plan.code == 0, plan
    must(zanith("migrate", "up", "--dir", str(place), url=database.url))
    again = generate(database, place, "--check", "--json")
    assert again.code == 0, again.out
    assert again.json["equal"] is True
    assert database.psql("SELECT new_name FROM customers") == "n"


RENAME = "public.customers.old_name=public.customers.new_name"


@pytest.mark.newest
def test_a_declared_schema_that_does_not_run_is_named_with_its_line(database, place):
    (place.parent / "bad.sql").write_text("CREATE TABLE a (id int);\nCREATE TABLE b (x nothing);\n")
    result = generate(database, place, schema="bad.sql")
    assert result.code != 0
    assert "bad.sql:2: " in result.err
    assert "Traceback" not in result.err


@pytest.mark.newest
def test_what_is_not_generated_is_in_the_file_and_fails_the_check(database, place):
    database.psql("CREATE TABLE t (a int, b int)")
    (place.parent / "schema.sql").write_text("CREATE TABLE t (b int, a int);")
    assert generate(database, place, "--check").code == 4
    result = must(generate(database, place, "--json"))
    assert result.json["not_generated"] == [
        {"kind": "table", "name": ["public", "t"], "what": "columns"}
    ]
    (file,) = place.iterdir()
    assert file.read_text().startswith("-- not generated: table public.t: columns\n")


@pytest.mark.newest
def test_a_printed_schema_can_be_the_declared_one(database, place):
    database.psql(LIVE)
    shown = must(zanith("migrate", "snapshot", "show", "live", url=database.url))
    assert "CREATE TABLE" in shown.out
    (place.parent / "live.sql").write_text(shown.out)
    found = must(generate(database, place, "--check", schema="live.sql"))
    assert not list(place.iterdir()), found
    (place / "1_a.sql").write_text("SELECT 1;")
    must(
        zanith(
            *("migrate", "verify", str(place), "--shadow", "same-server"),
            *("--schema", str(place.parent / "live.sql"), "--replay", "live"),
            *("-d", database.url),
        )
    )


def test_a_dump_can_be_the_declared_schema(bare_database, place):
    bare_database.psql(LIVE)
    (place.parent / "schema.sql").write_text(bare_database.schema())
    result = generate(bare_database, place, "--check", "--json")
    assert result.code == 0, result
    assert result.json["equal"] is True


@pytest.mark.parametrize(
    ("known", "name", "wanted"),
    [
        (["0041_a.sql", "0042_b.sql"], "Add Code!", "0043_add_code.sql"),
        (["V1__a.sql", "V2__b.sql"], "c", "V3__c.sql"),
        (["1_a.up.sql", "1_a.down.sql"], "c", "2_c.up.sql"),
    ],
)
def test_an_empty_migration_has_the_next_version(tmp_path, known, name, wanted):
    for file in known:
        (tmp_path / file).write_text("SELECT 1;")
    result = must(zanith("migrate", "generate", name, "--dir", str(tmp_path), "--json"))
    assert result.json["files"][0] == str(tmp_path / wanted)
    assert zanith("migrate", "plan", str(tmp_path)).code == 0


def test_a_version_is_the_time_and_nothing_is_overwritten(tmp_path):
    first = must(zanith("migrate", "generate", "a", "--dir", str(tmp_path), "--json"))
    second = must(zanith("migrate", "generate", "a", "--dir", str(tmp_path), "--json"))
    assert first.json["files"][0] < second.json["files"][0]
    assert len(list(tmp_path.iterdir())) == 2
    assert zanith("migrate", "generate", "///", "--dir", str(tmp_path)).code == 2
    assert zanith("migrate", "generate", "a", "--dir", str(tmp_path / "no")).code == 3
    assert zanith("migrate", "generate", "a", "--dir", str(tmp_path), "--from-diff").code == 2


async def test_both_sides_are_compared_by_their_snapshots(database, twin_database, place):
    """The test's own comparison, beside that of the command."""
    database.psql(LIVE)
    twin_database.psql(DECLARED)
    must(generate(database, place, "--rename", RENAME))
    must(zanith("migrate", "up", "--dir", str(place), url=database.url))
    one, other = await asyncpg.connect(database.url), await asyncpg.connect(twin_database.url)
    found = difference(await read_schema(one), await read_schema(other), OWNERSHIP)
    await one.close()
    await other.close()
    assert found.to_json()["changed"] == []
    assert not found
