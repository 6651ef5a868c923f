"""`zanith migrate up` and `status`: what runs, what is recorded, and what is refused."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from app.migrate.apply.errors import MigrationFailed
from app.migrate.apply.history import read_history, read_steps
from app.migrate.apply.status import read_status
from app.migrate.apply.up import UpReport, UpRequest, migrate_up
from app.migrate.read.layouts import read_migrations
from app.migrate.review.plan import Gates
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, NotPermitted, Refused, Taken, WrongUsage, ZanithError
from app.recovery.db.database import Database
from app.recovery.restore.migration import restore_migration
from tests.conftest import allow_capture
from tests.guard.twin import turn_guard_on_at
from tests.online import until

DBA = Actor("dba", None, "cli")
ORDERS = """
CREATE TABLE orders (id int PRIMARY KEY, code text, note text);
INSERT INTO orders SELECT g, 'c' || g, 'n' FROM generate_series(1, 9) AS g;
"""


WAITING = """
SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted)
"""


@pytest.fixture
async def db(database) -> AsyncIterator[Database]:
    opened = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=200), lock_retries=8
    )
    yield opened
    await opened.close()


def write(directory: Path, **files: str) -> Path:
    for name, text in files.items():
        (directory / f"{name}.sql").write_text(text)
    return directory


async def up(db: Database, directory: Path, **request) -> UpReport:
    layout, migrations = read_migrations(directory)
    return await migrate_up(db, layout, migrations, DBA, UpRequest(**request))


async def states(db: Database, directory: Path) -> dict[str, str]:
    status = await read_status(db, *read_migrations(directory))
    return {entry.id: entry.state.value for entry in status.entries}


@pytest.mark.each_version
async def test_drops_are_captured_and_come_back_by_the_id(database, db, tmp_path):
    database.psql(ORDERS)
    before = database.pg_dump("-s", "-n", "public")
    write(
        tmp_path,
        **{
            "0001_drop": "ALTER TABLE orders DROP COLUMN note;\nDROP TABLE orders;",
            "0002_more": "CREATE TABLE more (a int);",
        },
    )
    report = await up(db, tmp_path)
    assert [one.id for one in report.ran] == ["0001_drop", "0002_more"]
    assert database.psql("SELECT to_regclass('orders') IS NULL").strip() == "t"
    runs = await read_history(db)
    assert [(one.id, one.outcome, one.recoverable) for one in runs] == [
        ("0002_more", "applied", 0),
        ("0001_drop", "applied", 2),
    ]
    async with db.acquire() as connection:
        first, second = await read_steps(connection, [runs[1].run])
    assert (first.kind, first.level, first.status) == ("drop_column", "destructive", "done")
    assert first.ran.startswith("SELECT zanith.archive_column(")
    assert second.tables == ["public.orders"]
    database.psql("DROP TABLE more")
    await restore_migration(db, "0001_drop", None, DBA)
    assert database.pg_dump("-s", "-n", "public") == before
    assert database.psql("SELECT count(note) FROM orders").strip() == "9"


async def test_the_guard_captures_and_its_artifacts_have_the_id(database, db, tmp_path):
    turn_guard_on_at(database.url)
    database.psql(ORDERS + "CREATE VIEW v AS SELECT 1 AS a;")
    before = database.pg_dump("-s", "-n", "public")
    write(tmp_path, **{"1_drop": "DROP VIEW v; TRUNCATE orders; DROP TABLE orders;"})
    with pytest.raises(Refused, match="truncates_table"):  # it copies the rows of no table yet
        await up(db, tmp_path)
    write(tmp_path, **{"1_drop": "DROP VIEW v; DROP TABLE orders;"})
    report = await up(db, tmp_path)
    assert report.guarded
    found = database.psql(
        "SELECT DISTINCT migration_id FROM zanith._zanith_migration_artifacts"
    ).split()
    assert found == ["1_drop"]
    await restore_migration(db, "1_drop", None, DBA)
    assert database.pg_dump("-s", "-n", "public") == before
    assert database.psql("SELECT count(*) FROM orders").strip() == "9"


BAD = {
    "second statement": (
        "CREATE TABLE made (a int);\n\nSELECT nosuch\n  FROM orders;",
        MigrationFailed, r"1\.sql:3:8: column \"nosuch\" does not exist",
    ),
    "deferred": (
        "CREATE TABLE made (a int PRIMARY KEY);\n"
        "CREATE TABLE more (a int REFERENCES made DEFERRABLE INITIALLY DEFERRED);\n"
        "INSERT INTO more VALUES (1);",
        MigrationFailed, r"1\.sql: at COMMIT: insert or update on table \"more\"",
    ),
    "extension": (
        "SELECT 1;\nCREATE EXTENSION nosuch;",
        MigrationFailed, r"1\.sql:2:1: extension \"nosuch\" is not available",
    ),
    "psql": ("SELECT 1;\n\\d orders\n", WrongUsage, r"1\.sql:2:1: \\d is a psql command"),
    "copy": ("COPY orders FROM stdin;\n1\tx\ty\n\\.\n", WrongUsage, r"1\.sql:2:1: .*COPY"),
    "end of the transaction": (
        "CREATE TABLE made (a int);\nCOMMIT;\nCREATE TABLE more (a int);",
        WrongUsage, r"1\.sql:2:1: COMMIT would end the transaction",
    ),
    "concurrently": (
        "CREATE INDEX CONCURRENTLY ON orders (note);",
        Refused, r"1\.sql:1: create_index_concurrently orders would fail",
    ),
    "rows": (
        "SELECT 1;\nCREATE UNIQUE INDEX ON orders ((id > 0));",
        Refused, r"1\.sql:2: create_index orders would fail",
    ),
    "loses rows": ("\nTRUNCATE orders;", Refused, r"1\.sql:2: truncate orders: truncates_table"),
    "drops in a block": (
        "DO $$ BEGIN DROP TABLE orders; END $$;", Refused, r"1\.sql:1: a DO block drops",
    ),
    "no right": ("SET ROLE pg_monitor;\nCREATE TABLE made (a int);", NotPermitted, r"1\.sql:2:1"),
    "syntax": ("SELECT 1;\nCREATE x ();", WrongUsage, r"1\.sql:2:8: syntax error"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
async def test_what_fails_leaves_the_database_as_it_was(database, db, tmp_path, case):
    text, kind, said = BAD[case]
    database.psql(ORDERS)
    before = database.pg_dump("-n", "public")
    write(tmp_path, **{"1": text})
    with pytest.raises(kind) as refused:
        await up(db, tmp_path)
    assert re.search(said, refused.value.message), refused.value.message
    assert refused.value.hint
    assert database.pg_dump("-n", "public") == before
    expected = "failed" if kind in {MigrationFailed, NotPermitted} else "pending"
    if kind is not WrongUsage:
        assert await states(db, tmp_path) == {"1": expected}
    write(tmp_path, **{"1": "CREATE TABLE mended (a int);"})
    assert len((await up(db, tmp_path)).ran) == 1


NEWER = "CREATE TABLE t (a int);\nALTER TABLE t ADD CHECK (a > 0)\n  NOT ENFORCED;"


@pytest.mark.each_version
async def test_a_statement_that_only_the_parser_knows(database, db, tmp_path):
    write(tmp_path, **{"1": NEWER})
    if database.server.version >= 18:
        await up(db, tmp_path)
        return
    with pytest.raises(MigrationFailed, match=r"1\.sql:3:7: syntax error at or near"):
        await up(db, tmp_path)
    assert database.psql("SELECT to_regclass('t') IS NULL").strip() == "t"


async def test_states(database, db, tmp_path):
    write(tmp_path, **{"1_a": "SELECT 1;", "2_b": "SELECT 2;\nSELECT 3;", "4_d": "SELECT 4;"})
    await up(db, tmp_path, to="2")
    write(tmp_path, **{"3_c": "SELECT nosuch;", "5_e": "SELECT 5;"})
    assert list((await states(db, tmp_path)).values()) == [
        "applied", "applied", "pending", "pending", "pending",
    ]  # fmt: skip
    with pytest.raises(MigrationFailed):
        await up(db, tmp_path)
    assert (await states(db, tmp_path))["3_c"] == "failed"
    (tmp_path / "3_c.sql").unlink()
    await up(db, tmp_path, steps=1)
    write(tmp_path, **{"3_c": "SELECT 3;", "2_b": "SELECT 2;\n\nSELECT 33;"})
    (tmp_path / "1_a.sql").unlink()
    assert await states(db, tmp_path) == {
        "1_a": "vanished", "2_b": "edited", "3_c": "out_of_order", "4_d": "applied",
        "5_e": "pending",
    }  # fmt: skip
    for wrong, said, mend in (
        ("1_a", "its file does not exist any more", {"1_a": "SELECT 1;"}),
        ("2_b", "was edited after it was applied", {"2_b": "\r\nSELECT 2;\r\nSELECT 3;\n\n"}),
        ("3_c", "a later migration is already applied", {}),
    ):
        with pytest.raises(Refused, match=said) as refused:
            await up(db, tmp_path)
        assert wrong in refused.value.message
        if wrong == "2_b":
            assert f"{tmp_path}/2_b.sql:2: now:     " in refused.value.detail
            assert "2_b.sql:3: now:     SELECT 33;" in refused.value.detail
            assert "applied: SELECT 3;" in refused.value.detail
        write(tmp_path, **mend)
    report = await up(db, tmp_path, out_of_order=True)
    assert [one.id for one in report.ran] == ["3_c", "5_e"]
    assert set((await states(db, tmp_path)).values()) == {"applied"}
    (tmp_path / "1_a.sql").unlink()
    assert (await up(db, tmp_path, allow_vanished=True)).ran == ()


async def test_a_repeatable_migration_runs_again_when_it_changed(database, db, tmp_path):
    write(tmp_path, V1__a="CREATE TABLE t (a int);", R__v="CREATE OR REPLACE VIEW v AS SELECT 1 a")
    assert [one.id for one in (await up(db, tmp_path)).ran] == ["V1__a", "R__v"]
    assert (await up(db, tmp_path)).ran == ()
    write(tmp_path, R__v="CREATE OR REPLACE VIEW v AS SELECT 2 AS a")
    assert (await states(db, tmp_path))["R__v"] == "changed"
    assert [one.id for one in (await up(db, tmp_path)).ran] == ["R__v"]
    outcomes = [one.outcome for one in await read_history(db, migration="R__v")]
    assert outcomes == ["applied", "replaced"]


async def test_the_second_process_hears_who_runs(database, db, tmp_path):
    write(tmp_path, **{"1": "SELECT pg_sleep(1.5);"})
    first = asyncio.create_task(up(db, tmp_path))
    await asyncio.sleep(0.7)
    other = await Database.open(database.url)
    try:
        with pytest.raises(Taken, match="already running") as taken:
            await up(other, tmp_path)
        assert re.match(r"pid \d+ \(postgres", taken.value.detail)
        assert await states(other, tmp_path) == {"1": "pending"}
        waited = await up(other, tmp_path, wait=timedelta(seconds=20))
    finally:
        await other.close()
    assert [one.id for one in (await first).ran] == ["1"]
    assert waited.ran == ()


async def test_a_lock_is_waited_for_briefly_and_its_holder_is_named(database, db, tmp_path):
    database.psql(ORDERS)
    write(tmp_path, **{"1": "SET lock_timeout = 0;\nALTER TABLE orders ADD COLUMN x int;"})
    async with database.connect() as blocker, blocker.transaction():
        await blocker.execute("LOCK TABLE orders IN ACCESS SHARE MODE")
        with pytest.raises(Locked) as locked:
            await up(db, tmp_path)
        assert str(blocker.get_server_pid()) in locked.value.detail
        assert await states(db, tmp_path) == {"1": "failed"}
        waiting = asyncio.create_task(up(db, tmp_path))
        for _ in range(2):  # it waits, gives up, and waits again
            await until(lambda: blocker.fetchval(WAITING))
            await asyncio.sleep(0.3)
    (ran,) = (await waiting).ran
    assert ran.tries > 1
    (newest, older) = await read_history(db)
    assert (newest.outcome, newest.tries, older.outcome) == ("applied", ran.tries, "failed")


async def test_a_session_is_as_any_client_has_it_and_leaks_nothing(database, db, tmp_path):
    database.psql(
        f"CREATE SCHEMA app; ALTER ROLE postgres IN DATABASE {database.name} SET search_path = app"
    )
    write(
        tmp_path,
        **{
            "1": "CREATE TABLE here (a int); SET search_path = public; SET ROLE pg_monitor;",
            "2": "CREATE TABLE there (a int); CREATE TEMP TABLE gone (a int);",
            "3": "CREATE TABLE gone (a int);",
        },
    )
    assert len((await up(db, tmp_path)).ran) == 3
    found = database.psql("SELECT count(*) FROM pg_tables WHERE schemaname = 'app'").strip()
    assert found == "3"


@pytest.mark.each_version
async def test_a_role_without_superuser_migrates(database, tmp_path, create_role):
    role = create_role("migrator")
    allow_capture(database.url, role)
    database.psql(f"GRANT CREATE ON SCHEMA public TO {role}")
    write(
        tmp_path,
        **{
            "1_a": ORDERS,
            "2_b": "ALTER TABLE orders DROP COLUMN code;",
            "3_c": "-- zanith: no-transaction\nCREATE INDEX CONCURRENTLY i ON orders (note);",
            "4_d": "DROP TABLE orders;",
        },
    )
    db = await Database.open(database.url_of(role))
    try:
        assert len((await up(db, tmp_path)).ran) == 4
        assert set((await states(db, tmp_path)).values()) == {"applied"}
        async with db.acquire() as connection:
            with pytest.raises(ZanithError):
                async with db.acquire() as other:
                    await other.execute("DELETE FROM zanith._zanith_migration_steps")
            assert await connection.fetchval("SELECT count(*) FROM zanith.migration_risks") == 4
    finally:
        await db.close()
    owner = await Database.open(database.url)
    try:
        await restore_migration(owner, "4_d", None, DBA)
        runs = await read_history(owner)
    finally:
        await owner.close()
    assert {one.applied_by_role for one in runs} == {role}
    assert database.psql("SELECT count(*) FROM orders").strip() == "9"


async def test_gates_and_choices(database, db, tmp_path):
    database.psql(ORDERS)
    write(tmp_path, **{"1": "CREATE INDEX ON orders (note);", "2": "TRUNCATE orders;"})
    with pytest.raises(Refused, match=r"above medium \(35\)"):
        await up(db, tmp_path, steps=1, gates=Gates(max_risk=35))
    dry = await up(db, tmp_path, dry_run=True)
    assert (dry.ran, len(dry.pending), len(dry.plan.failures)) == ((), 2, 1)
    report = await up(db, tmp_path, gates=Gates(allow_destructive=True))
    assert len(report.ran) == 2
    for wrong in ({"steps": 0}, {"to": "9"}, {"to": "1"}, {"steps": 1, "to": "2"}):
        with pytest.raises(ZanithError):
            await up(db, tmp_path, **wrong)


async def test_views_answer(database, db, tmp_path):
    database.psql(ORDERS + "CREATE TABLE old (a int); SELECT zanith.archive_table('old');")
    write(tmp_path, **{"1_a": "ALTER TABLE orders DROP COLUMN code;", "2_b": "SELECT nosuch;"})
    with pytest.raises(MigrationFailed) as failed:
        await up(db, tmp_path)
    assert "applied before it: 1_a" in failed.value.detail
    for query, expected in {
        "SELECT id, line, sqlstate, mended FROM zanith.migration_failures": "2_b|1|42703|f",
        "SELECT kind, statements FROM zanith.migration_kinds WHERE failed = 0": "drop_column|1",
        "SELECT id, recoverable FROM zanith.migration_recoverable": "1_a|1",
        "SELECT level, destructive FROM zanith.migration_risks WHERE id = '1_a'": "destructive|1",
        "SELECT DISTINCT changed_by FROM zanith.table_changes WHERE migration = '1_a'"
        " AND table_name = 'public.orders'": "dba",
        "SELECT action, object FROM zanith.changes_outside_migrations": "capture|public.old",
    }.items():
        assert database.psql(query).strip() == expected, query
