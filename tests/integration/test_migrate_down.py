"""`zanith migrate down`: by the down part, or derived from what was recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from app.migrate.apply import rehearse, revert
from app.migrate.apply.down import DownReport, DownRequest, migrate_down, plan_down
from app.migrate.apply.errors import MigrationFailed
from app.migrate.apply.history import read_history, read_steps
from app.migrate.apply.recorded import read_recorded
from app.migrate.apply.run import Runner
from app.migrate.apply.session import open_session
from app.migrate.apply.status import status_in
from app.migrate.read.layouts import read_migrations
from app.migrate.review.plan import Gates
from app.migrate.schema.difference import difference
from app.migrate.schema.read import read_schema
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, Refused, WrongUsage
from app.recovery.db.database import Database
from tests.guard.twin import turn_guard_on_at
from tests.integration.test_migrate_up import ORDERS, states, up, write
from tests.migrate.round_trip import BASE, generate, read_rows, round_trip

DBA = Actor("dba", None, "cli")


@pytest.fixture
async def db(database) -> AsyncIterator[Database]:
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


async def down(db: Database, directory, **request) -> DownReport:
    layout, migrations = read_migrations(directory)
    return await migrate_down(db, layout, migrations, DBA, DownRequest(**request))


async def test_the_down_part_runs_and_what_it_drops_is_captured(database, db, tmp_path):
    write(
        tmp_path,
        **{
            "1_a": "CREATE TABLE one (a int);\nINSERT INTO one VALUES (1);\n"
            "-- zanith: down\nDROP TABLE one;",
            "2_b": "CREATE TABLE two (a int);\n-- zanith: down\nDROP TABLE two;\nSELECT nosuch;",
            "3_c": "SELECT 3;\n-- zanith: down\nSELECT 4;",
        },
    )
    await up(db, tmp_path)
    with pytest.raises(MigrationFailed, match=r"2_b\.sql:4:8") as failed:
        await down(db, tmp_path, to="1")
    assert "reverted before it: 3_c" in failed.value.detail
    assert list((await states(db, tmp_path)).values()) == ["applied", "applied", "pending"]
    write(tmp_path, **{"2_b": "CREATE TABLE two (a int);\n-- zanith: down\nDROP TABLE two;"})
    report = await down(db, tmp_path, steps=2)
    assert [one.id for one in report.ran] == ["2_b", "1_a"]
    assert set((await states(db, tmp_path)).values()) == {"pending"}
    ids = database.psql("SELECT migration_id FROM zanith._zanith_migration_artifacts ORDER BY 1")
    assert ids.splitlines() == ["1_a down", "2_b down"]
    assert len((await up(db, tmp_path)).ran) == 3
    outcomes = [(one.direction, one.outcome) for one in await read_history(db, migration="1_a")]
    assert outcomes == [("up", "applied"), ("down", "applied"), ("up", "reverted")]


@pytest.mark.each_version
async def test_the_reverse_is_derived(database, db, tmp_path):
    database.psql(ORDERS)
    text = (
        "CREATE TABLE more (a int);\nALTER TABLE orders RENAME COLUMN note TO remark;\n"
        "ALTER TABLE orders DROP COLUMN code;\nCREATE INDEX i ON orders (remark);\n"
        "ALTER TABLE orders ALTER COLUMN remark SET DEFAULT 'x';\n"
        "ALTER TABLE orders RENAME TO sales;"
    )
    write(tmp_path, **{"1": text})
    await up(db, tmp_path)
    layout, migrations = read_migrations(tmp_path)
    plan = await plan_down(db, layout, migrations, DBA, DownRequest())
    (one,) = plan.reversals
    assert (one.derived, one.problems, one.restores) == (True, [], ["public.orders.code"])
    assert "ALTER TABLE public.sales RENAME TO orders" in one.statements
    await down(db, tmp_path)
    columns = database.psql(
        "SELECT string_agg(attname, ',' ORDER BY attname) FROM pg_attribute"
        " WHERE attrelid = 'orders'::regclass AND attnum > 0 AND NOT attisdropped"
    )
    assert columns.strip() == "code,id,note"
    assert database.psql("SELECT count(code) FROM orders").strip() == "9"
    assert await states(db, tmp_path) == {"1": "pending"}


IRREVERSIBLE = {
    "UPDATE orders SET note = 'x';": "line 1: update orders may have changed rows",
    "DO $$ BEGIN UPDATE orders SET note = 'x'; END $$;": "line 1: do may have changed rows",
    "ALTER TABLE orders ALTER COLUMN code TYPE varchar(3);": "line 1: .* converted values",
}


@pytest.mark.parametrize("text", IRREVERSIBLE)
async def test_what_cannot_be_reversed_is_said_first(database, db, tmp_path, text):
    database.psql(ORDERS)
    write(tmp_path, **{"1": text})
    await up(db, tmp_path, gates=Gates(allow_destructive=True))
    before = database.pg_dump("-n", "public")
    with pytest.raises(Refused, match=IRREVERSIBLE[text]) as refused:
        await down(db, tmp_path)
    assert "down part" in refused.value.hint
    assert database.pg_dump("-n", "public") == before
    assert len((await down(db, tmp_path, keep_rows=True)).ran) == 1


RENAMED = {
    "a column that it added": (
        "ALTER TABLE logs ADD COLUMN extra int;\nALTER TABLE logs RENAME TO lines;\n"
        "CREATE INDEX i ON lines (extra);\nALTER TABLE lines RENAME COLUMN extra TO more;"
    ),
    "an index of a dropped column": (
        "CREATE INDEX j ON logs (what);\nALTER TABLE logs DROP COLUMN what;"
    ),
    "a renamed column, dropped": (
        "ALTER TABLE orders RENAME COLUMN note TO remark;\nALTER TABLE orders DROP COLUMN remark;"
    ),
    "a column of a renamed table, dropped": (
        "ALTER TABLE orders RENAME TO sales;\nALTER TABLE sales DROP COLUMN note;\n"
        "ALTER TABLE sales RENAME TO deals;\nALTER TABLE deals ADD COLUMN extra int;"
    ),
    "parts of a table, dropped with it": (
        "ALTER TABLE logs ADD CONSTRAINT ck CHECK (true);\nALTER TABLE logs RENAME TO lines;\n"
        "CREATE INDEX j ON lines (what);\nALTER TABLE lines ADD COLUMN extra int;\n"
        "DROP TABLE lines;"
    ),
    "a renamed table, dropped": "ALTER TABLE orders RENAME TO sales;\nDROP TABLE sales;",
    "a table with a renamed column, dropped": (
        "ALTER TABLE logs RENAME COLUMN what TO was;\nDROP TABLE logs;"
    ),
    "a table that it created, renamed and dropped": (
        "CREATE TABLE made (id serial PRIMARY KEY);\nALTER TABLE made RENAME TO other;\n"
        "DROP TABLE other;"
    ),
    "a column that it added and dropped": (
        "ALTER TABLE orders ADD COLUMN extra int;\nALTER TABLE orders RENAME COLUMN extra TO more;"
        "\nALTER TABLE orders DROP COLUMN more;"
    ),
    "a table with a sequence, renamed": (
        "CREATE TABLE made (id serial PRIMARY KEY);\nINSERT INTO made VALUES (1);\n"
        "ALTER TABLE made RENAME TO other;"
    ),
}


@pytest.mark.parametrize("name", RENAMED)
async def test_what_was_renamed_comes_back_by_its_old_name(database, db, tmp_path, name):
    database.psql(ORDERS)
    database.psql(
        "CREATE TABLE logs (id int PRIMARY KEY, what text) PARTITION BY RANGE (id);"
        "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (10);"
        "INSERT INTO logs VALUES (1, 'w');"
    )
    async with database.connect() as connection:
        before, rows = await read_schema(connection), await read_rows(connection)
        write(tmp_path, **{"1": RENAMED[name]})
        await up(db, tmp_path)
        await down(db, tmp_path)
        after = await read_schema(connection)
        left = difference(before, after, frozenset({"columns"}))
        assert not left, (left.created, left.dropped, left.changed)
        assert await read_rows(connection) == rows


async def test_a_wrong_choice(database, db, tmp_path):
    write(tmp_path, **{"1": "SELECT 1;"})
    for request, kind in (({}, NotFound), ({"steps": 0}, WrongUsage), ({"to": "9"}, NotFound)):
        with pytest.raises(kind):
            await down(db, tmp_path, **request)


@pytest.mark.each_version
@pytest.mark.parametrize("seed", range(1, 9))
async def test_generated_migrations_go_up_and_down(database, seed):
    database.psql(BASE)
    outcome, details = await round_trip(database.url, seed)
    assert outcome in {"same", "refused"}, f"{outcome}: {details}"
    assert generate(seed) == generate(seed)


async def dry(db: Database, directory, **request) -> DownReport:
    layout, migrations = read_migrations(directory)
    return await plan_down(db, layout, migrations, DBA, DownRequest(**request))


def parked(database) -> str:
    return database.psql("SELECT id, status FROM zanith._zanith_migration_artifacts ORDER BY id")


async def test_a_restore_that_is_in_the_way_is_said_before_anything_runs(database, db, tmp_path):
    database.psql(ORDERS)
    write(tmp_path, **{"1": "CREATE TABLE more (a int);\nALTER TABLE orders DROP COLUMN code;"})
    await up(db, tmp_path)
    database.psql("ALTER TABLE orders ADD COLUMN code int")
    before = database.pg_dump("-n", "public"), parked(database)
    report = await dry(db, tmp_path)
    (one,) = report.reversals
    (problem,) = one.problems
    assert problem.message.startswith("restore public.orders.code: ")
    assert "--as" in problem.hint
    assert "DROP TABLE public.more" in one.statements
    with pytest.raises(Refused, match=r"restore public\.orders\.code") as refused:
        await down(db, tmp_path)
    assert "--as" in refused.value.hint
    assert (database.pg_dump("-n", "public"), parked(database)) == before
    outcomes = [(one.direction, one.outcome) for one in await read_history(db)]
    assert outcomes == [("up", "applied")]


async def test_all_problems_are_said_at_once(database, db, tmp_path):
    database.psql(ORDERS)
    text = "ALTER TABLE orders DROP COLUMN code, DROP COLUMN note;\nUPDATE orders SET id = id;"
    write(tmp_path, **{"1": text})
    await up(db, tmp_path)
    database.psql("ALTER TABLE orders ADD COLUMN code int, ADD COLUMN note int")
    (one,) = (await dry(db, tmp_path)).reversals
    said = sorted(problem.message.split(":")[0] for problem in one.problems)
    assert said == ["line 2", "restore public.orders.code", "restore public.orders.note"]


async def test_rows_that_a_definition_of_before_does_not_allow_are_said_first(
    database, db, tmp_path
):
    database.psql(ORDERS)
    text = (
        "ALTER TABLE orders DROP COLUMN note;\nALTER TABLE orders ALTER COLUMN code DROP NOT NULL;"
    )
    database.psql("ALTER TABLE orders ALTER COLUMN code SET NOT NULL")
    write(tmp_path, **{"1": text})
    await up(db, tmp_path)
    database.psql("UPDATE orders SET code = NULL WHERE id = 1")
    before = database.pg_dump("-n", "public")
    with pytest.raises(Refused, match=r"NOT NULL.*: .* contains null values"):
        await down(db, tmp_path)
    assert database.pg_dump("-n", "public") == before


async def test_each_is_tried_after_those_that_are_reverted_before_it(database, db, tmp_path):
    database.psql(ORDERS)
    before = database.pg_dump("-n", "public")
    write(
        tmp_path,
        **{
            "1": "ALTER TABLE orders RENAME COLUMN note TO remark;\nCREATE TABLE more (a int);",
            "2": "ALTER TABLE orders RENAME COLUMN remark TO words;\nDROP TABLE more;",
            "3": "ALTER TABLE orders RENAME TO sales;\nCREATE INDEX ON sales (words);",
        },
    )
    await up(db, tmp_path)
    report = await dry(db, tmp_path, steps=3)
    assert not report.blocked
    assert [list(one.reverse.untried) for one in report.reversals] == [[], [], []]
    assert len((await down(db, tmp_path, steps=3)).ran) == 3
    assert database.pg_dump("-n", "public") == before


async def test_what_follows_a_down_part_is_tried_when_it_ran(database, db, tmp_path):
    database.psql(ORDERS)
    write(
        tmp_path,
        **{
            "1": "CREATE TABLE more (a int);",
            "2": "CREATE VIEW v AS SELECT a FROM more;\n-- zanith: down\nDROP VIEW v;",
        },
    )
    await up(db, tmp_path)
    newest, oldest = (await dry(db, tmp_path, steps=2)).reversals
    assert not newest.derived
    assert oldest.reverse.untried == ["it is not tried yet, because 2 is reverted before it"]
    assert len((await down(db, tmp_path, steps=2)).ran) == 2
    assert set((await states(db, tmp_path)).values()) == {"pending"}


async def test_what_takes_long_is_planned_and_not_tried(database, db, tmp_path):
    database.psql(ORDERS)
    write(tmp_path, **{"1": "DROP TABLE orders;"})
    await up(db, tmp_path)
    layout, migrations = read_migrations(tmp_path)
    async with open_session(db) as session:
        runner = Runner(db, session, DBA, direction="down")
        status = await status_in(session, layout, migrations)
        recorded = await read_recorded(db, status.entries[0].run)
        (found,) = await rehearse.rehearse(runner, [recorded], keep_rows=False, within=timedelta(0))
    assert not found.problems
    assert found.untried


@pytest.mark.each_version
async def test_steps_of_a_derived_down_have_levels_of_their_own(database, db, tmp_path):
    database.psql(ORDERS)
    text = (
        'CREATE TABLE "DROP COLUMN" (a int);\nALTER TABLE orders ADD COLUMN extra int;\n'
        "ALTER TABLE orders DROP COLUMN code;\nDROP INDEX IF EXISTS nosuch;"
    )
    write(tmp_path, **{"1": text})
    await up(db, tmp_path)
    report = await down(db, tmp_path)
    async with db.acquire() as connection:
        steps = await read_steps(connection, [report.ran[0].run])
    by_kind = {step.kind: step for step in steps}
    assert by_kind["drop_table"].ran.startswith("SELECT zanith.archive_table(")
    assert by_kind["drop_column"].ran.startswith("SELECT zanith.soft_drop_column(")
    assert by_kind["drop_column"].reasons == ["drops_column_with_data"]
    assert by_kind["drop_column"].level == "destructive"
    assert by_kind["restore"].object == "public.orders.code"
    assert by_kind["restore"].predicted
    assert {step.status for step in steps} == {"done"}


async def test_a_down_that_ended_in_the_middle_goes_on(database, db, tmp_path, monkeypatch):
    database.psql(ORDERS)
    text = (
        "ALTER TABLE orders RENAME COLUMN note TO remark;\nCREATE TABLE more (a int);\n"
        "ALTER TABLE orders DROP COLUMN code;\nALTER TABLE orders DROP COLUMN total;"
    )
    database.psql("ALTER TABLE orders ADD COLUMN total int DEFAULT 5")
    write(tmp_path, **{"1": text})
    await up(db, tmp_path)
    real, left = revert.restore, iter([True, False])

    async def restore(*args, **named):
        if not next(left):
            raise Refused("the server went away")
        return await real(*args, **named)

    with monkeypatch.context() as patched:
        patched.setattr(revert, "restore", restore)
        with pytest.raises(Refused, match="went away") as refused:
            await down(db, tmp_path)
    assert "goes on with the rest" in refused.value.hint
    assert await states(db, tmp_path) == {"1": "applied"}
    assert len((await down(db, tmp_path)).ran) == 1
    columns = database.psql("SELECT count(code), count(total), count(*) FROM orders")
    assert columns.strip() == "9|9|9"
    assert await states(db, tmp_path) == {"1": "pending"}


@pytest.mark.each_version
async def test_columns_of_partitions_and_children_come_back_with_their_parents(
    database, db, tmp_path
):
    database.psql(
        "CREATE TABLE logs (id int PRIMARY KEY, what text, other text,"
        " CONSTRAINT short CHECK (id < 99)) PARTITION BY RANGE (id);"
        "CREATE TABLE logs_1 PARTITION OF logs FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE above (id int, a text); CREATE TABLE below (b int) INHERITS (above);"
        "INSERT INTO logs VALUES (1, 'w', 'o'); INSERT INTO below VALUES (1, 'x', 2)"
    )
    text = (
        "ALTER TABLE logs RENAME COLUMN what TO words;\n"
        "ALTER TABLE logs RENAME CONSTRAINT short TO brief;\nALTER TABLE logs DROP COLUMN other;\n"
        "-- zanith: strategy soft\nALTER TABLE above DROP COLUMN a;"
    )
    write(tmp_path, **{"1": text})
    await up(db, tmp_path)
    await down(db, tmp_path)
    assert database.psql("SELECT other FROM logs").strip() == "o"
    assert database.psql("SELECT what FROM logs").strip() == "w"
    assert database.psql("SELECT a FROM above ORDER BY 1").split() == ["x"]


GUARDED = {
    "drops": (
        "CREATE TABLE more (a int);\nALTER TABLE orders DROP COLUMN code;\n"
        "ALTER TABLE orders ADD COLUMN extra int;\nCREATE INDEX i ON orders (extra);"
    ),
    "a table": "DROP TABLE orders;",
    "a view": "DROP VIEW v;",
    "a type": "ALTER TABLE orders ALTER COLUMN note TYPE varchar(9);",
}


@pytest.mark.parametrize("name", GUARDED)
async def test_with_the_guard_the_same_comes_back(database, db, tmp_path, name):
    database.psql(ORDERS)
    database.psql("CREATE TABLE kept (a int PRIMARY KEY); CREATE VIEW v AS SELECT a FROM kept;")
    turn_guard_on_at(database.url)
    async with database.connect() as connection:
        before, rows = await read_schema(connection), await read_rows(connection)
        write(tmp_path, **{"1": GUARDED[name]})
        await up(db, tmp_path, gates=Gates(allow_destructive=True))
        (one,) = (await dry(db, tmp_path)).reversals
        if one.problems:
            with pytest.raises(Refused):
                await down(db, tmp_path)
            assert name == "a type"
            return
        await down(db, tmp_path)
        left = difference(before, await read_schema(connection), frozenset({"columns"}))
        assert not left, (left.created, left.dropped, left.changed)
        assert await read_rows(connection) == rows
