"""What the plan says of the recovery of a drop is what `up` does, with the guard and without it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import asyncpg
import pytest

from app.migrate.apply.errors import MigrationFailed
from app.migrate.apply.up import UpReport
from app.migrate.risk import By
from app.recovery.core.errors import Refused
from app.recovery.db.database import Database
from app.recovery.db.transactions import rolled_back
from tests.acceptance.command import zanith
from tests.guard.twin import turn_guard_on_at
from tests.integration.test_migrate_up import up, write
from tests.plan_schema import check

ROWS = "INSERT INTO t SELECT g, g FROM generate_series(1, 3) AS g;"
CASES = {
    "keyed": ("CREATE TABLE t (a int PRIMARY KEY, b int);" + ROWS, "DROP b"),
    "keyless": ("CREATE TABLE t (a int, b int);" + ROWS, "DROP b"),
    "keyless, two columns": ("CREATE TABLE t (a int, b int, c int);", "DROP b, DROP c"),
    "archive wanted": ("CREATE TABLE t (a int, b int);", "DROP b; -- zanith: strategy archive"),
    "partitioned": (
        "CREATE TABLE t (a int PRIMARY KEY, b int) PARTITION BY RANGE (a);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (9);" + ROWS,
        "DROP b",
    ),
    "partitioned, keyless": (
        "CREATE TABLE t (a int, b int) PARTITION BY RANGE (a);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (9);" + ROWS,
        "DROP b",
    ),
    "partition key": ("CREATE TABLE t (a int, b int) PARTITION BY RANGE (b);", "DROP b"),
    "children": (
        "CREATE TABLE t (a int PRIMARY KEY, b int); CREATE TABLE u () INHERITS (t);",
        "DROP b",
    ),
    "a child that keeps it": (
        "CREATE TABLE t (a int PRIMARY KEY, b int); CREATE TABLE u (b int) INHERITS (t);",
        "DROP b",
    ),
    "a child that keeps it, keyless": (
        "CREATE TABLE t (a int, b int); CREATE TABLE u (b int) INHERITS (t);",
        "DROP b",
    ),
    "typed": ("CREATE TYPE ty AS (a int, b int); CREATE TABLE t OF ty;", "DROP b"),
    "a view depends": (
        "CREATE TABLE t (a int PRIMARY KEY, b int); CREATE VIEW v AS SELECT b FROM t;",
        "DROP b",
    ),
    "a view goes too": (
        "CREATE TABLE t (a int PRIMARY KEY, b int); CREATE VIEW v AS SELECT b FROM t;",
        "DROP b CASCADE",
    ),
    "generated": (
        "CREATE TABLE t (a int PRIMARY KEY, b int GENERATED ALWAYS AS (a * 2) STORED);",
        "DROP b",
    ),
    "generated, keyless": (
        "CREATE TABLE t (a int, b int GENERATED ALWAYS AS (a * 2) STORED);",
        "DROP b",
    ),
    "in the key": ("CREATE TABLE t (a int PRIMARY KEY, b int);" + ROWS, "DROP a"),
    "in a key of two": ("CREATE TABLE t (a int, b int, PRIMARY KEY (a, b));" + ROWS, "DROP b"),
    "published": (
        "CREATE TABLE t (a int PRIMARY KEY, b int); CREATE PUBLICATION p FOR TABLE t;",
        "DROP b",
    ),
    "made in the migration": ("CREATE TABLE u (a int)", "; CREATE TABLE t (a int, b int)"),
}  # fmt: skip


@pytest.fixture
async def db(database) -> AsyncIterator[Database]:
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


def text_of(actions: str) -> str:
    if actions.startswith(";"):
        return f"{actions[1:]};\nALTER TABLE t DROP b;\n"
    return f"ALTER TABLE t {actions};\n" if "--" not in actions else f"ALTER TABLE t {actions}\n"


async def refused_by_postgresql(db: Database, text: str) -> bool:
    async with db.session() as session, rolled_back(session):
        try:
            await session.execute(text)
        except asyncpg.PostgresError:
            return True
    return False


def strategies(database) -> list[str]:
    kinds = database.psql(
        "SELECT artifact_type FROM zanith._zanith_migration_artifacts"
        " WHERE source_column IS NOT NULL ORDER BY id"
    )
    return ["soft" if kind.startswith("soft") else "archive" for kind in kinds.split()]


def said(report: UpReport) -> list[tuple[By, str | None]]:
    found = [one for one in report.plan.operations if one.kind == "drop_column" and one.recovery]
    return [(one.recovery.by, one.recovery.strategy) for one in found if one.recovery]


@pytest.mark.parametrize("guard", [False, True], ids=["without guard", "guard"])
@pytest.mark.parametrize("case", CASES)
async def test_the_plan_says_what_up_does(database, db, tmp_path, case, guard):
    setup, actions = CASES[case]
    text = text_of(actions)
    database.psql(setup)
    impossible = await refused_by_postgresql(db, text)
    if guard:
        turn_guard_on_at(database.url)
    write(tmp_path, **{"1": text})
    report = await up(db, tmp_path, dry_run=True)
    check(report.to_json()["plan"])
    planned = said(report)
    before = database.pg_dump("-n", "public")
    try:
        await up(db, tmp_path)
    except Refused:  # by the gates
        assert {by for by, _ in planned} == {By.NOTHING}
        assert database.pg_dump("-n", "public") == before
        return
    except MigrationFailed:
        assert impossible
        assert database.pg_dump("-n", "public") == before
        return
    assert not impossible
    if planned:
        assert strategies(database) == [strategy for _, strategy in planned]
        assert {by for by, _ in planned} == {By.CAPTURE}
    else:  # of a table without rows the plan says nothing
        assert strategies(database) == ["soft"] * (not guard) or guard


@pytest.mark.parametrize("actions", ["DROP a, DROP b", "DROP b, DROP a"])
async def test_the_columns_of_one_statement_have_one_strategy(database, db, tmp_path, actions):
    database.psql("CREATE TABLE t (a int PRIMARY KEY, b int);")
    write(tmp_path, **{"1": f"ALTER TABLE t {actions};"})
    assert said(await up(db, tmp_path)) == [(By.CAPTURE, "soft")] * 2
    assert strategies(database) == ["soft"] * 2


NO_CAPTURE = "CREATE TABLE t (a int, b int); CREATE TABLE u (b int) INHERITS (t);"


async def test_what_no_capture_covers_is_dropped_where_that_is_allowed(database, db, tmp_path):
    database.psql(NO_CAPTURE)
    write(tmp_path, **{"1": "ALTER TABLE t DROP b;"})
    with pytest.raises(Refused, match="a capture does not cover it"):
        await up(db, tmp_path)
    text = "-- zanith: allow drops_column_with_data\nALTER TABLE t DROP b;"
    write(tmp_path, **{"1": text})
    report = await up(db, tmp_path)
    (operation,) = report.plan.operations
    assert json.dumps(operation.to_json()["recovery"]) == json.dumps(
        {"recoverable": False, "by": "nothing", "strategy": None}
    )
    assert any("no capture: table public.t has no primary key" in note for note in operation.notes)
    assert strategies(database) == []
    columns = database.psql(
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 't'::regclass"
        " AND attnum > 0 AND NOT attisdropped"
    )
    assert columns.strip() == "1"


@pytest.mark.parametrize("guard", [False, True], ids=["without guard", "guard"])
async def test_a_role_that_knows_nothing_of_zanith_can_plan(database, create_role, tmp_path, guard):
    role = create_role("stranger")
    database.psql(f"CREATE TABLE t (a int, b int); GRANT SELECT ON t TO {role}")
    if guard:
        turn_guard_on_at(database.url)
    (tmp_path / "1.sql").write_text("ALTER TABLE t DROP b;")
    asked = ("migrate", "plan", str(tmp_path / "1.sql"), "-d", database.url_of(role), "--json")
    planned = check(zanith(*asked).json)
    ((operation,),) = [one["operations"] for one in planned["migrations"][0]["statements"]]
    assert operation["recovery"]["by"] == "capture"


# whether a change of a type loses values that the database knows of
CONVERSIONS = {
    "amount TYPE int": True,
    "amount TYPE numeric(12,1)": True,
    "amount TYPE bigint USING 0": True,
    "amount TYPE int USING amount::int": True,
    "n TYPE bigint USING n::bigint": False,
    "n TYPE bigint USING CAST(n AS int8)": False,
    "n TYPE bigint USING amount::bigint": True,
    "code TYPE varchar(9) USING code::varchar(9)": True,
    "code TYPE varchar(3)": True,
    "code TYPE varchar(9)": False,
    "code TYPE text": False,
    "id TYPE bigint": False,
    "amount TYPE text": False,
}


@pytest.mark.parametrize("guard", [False, True], ids=["without guard", "guard"])
@pytest.mark.parametrize("change", CONVERSIONS)
async def test_values_that_a_new_type_may_lose_need_a_word(database, db, tmp_path, change, guard):
    database.psql(
        "CREATE TABLE t (id int PRIMARY KEY, amount numeric(10,2), code varchar(5), n int);"
        "INSERT INTO t VALUES (1, 1.75, 'abc', 7)"
    )
    if guard:
        turn_guard_on_at(database.url)
    loses = CONVERSIONS[change] and not guard
    write(tmp_path, **{"1": f"ALTER TABLE t ALTER {change};"})
    named = ("--dir", str(tmp_path), "-d", database.url)
    planned = zanith("migrate", "plan", str(tmp_path / "1.sql"), *named)
    assert planned.code == (4 if loses else 0), planned.err + planned.out
    if loses:
        assert "recoverable: no, unless the guard is on" in planned.out
        with pytest.raises(Refused, match="narrows_column_type, and a capture does not") as refused:
            await up(db, tmp_path)
        assert "turn the guard on, which keeps the old values; or write" in refused.value.hint
        assert database.psql("SELECT amount FROM t").strip() == "1.75"
        text = f"-- zanith: allow narrows_column_type\nALTER TABLE t ALTER {change};"
        write(tmp_path, **{"1": text})
    assert len((await up(db, tmp_path)).ran) == 1
    kept = database.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts").strip()
    if not guard or change == "code TYPE varchar(9)":
        assert kept == "0"
    elif CONVERSIONS[change] and "varchar" not in change:  # no value of the row is too long
        assert kept == "1"
