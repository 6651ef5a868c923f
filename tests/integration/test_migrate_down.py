"""`zanith migrate down`: by the down part, or derived from what was recorded."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.migrate.apply.down import DownReport, DownRequest, migrate_down, plan_down
from app.migrate.apply.errors import MigrationFailed
from app.migrate.apply.history import read_history
from app.migrate.read.layouts import read_migrations
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, Refused, WrongUsage
from app.recovery.db.database import Database
from tests.integration.test_migrate_up import ORDERS, states, up, write
from tests.migrate.round_trip import BASE, generate, round_trip

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
    plan = await plan_down(db, layout, migrations, DownRequest())
    (one,) = plan.reversals
    assert (one.derived, one.problems, one.restores) == (True, (), ("public.orders.code",))
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
    await up(db, tmp_path)
    before = database.pg_dump("-n", "public")
    with pytest.raises(Refused, match=IRREVERSIBLE[text]) as refused:
        await down(db, tmp_path)
    assert "down part" in refused.value.hint
    assert database.pg_dump("-n", "public") == before
    assert len((await down(db, tmp_path, keep_rows=True)).ran) == 1


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
