"""Captured, sealed, restored: once, exactly, under short locks, never from a changed archive."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.planning import plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, NotFound, NotPermitted, Refused, WrongUsage
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import inspect
from app.recovery.jobs import model as jobs
from app.recovery.jobs import queueing
from app.recovery.jobs.audit import ActivityFilter, list_activity
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.migration import plan_migration, restore_migration
from app.recovery.restore.rehearsal import rehearse, rehearse_migration
from app.recovery.restore.restore import find_for_restore, restore
from app.recovery.rows.seal import verify
from tests.sessions import client_of

DBA = Actor("dba", "10.0.0.9", "staff")
TABLES = """
CREATE TABLE customers (id bigint PRIMARY KEY, name text NOT NULL);
CREATE TABLE orders (
    id bigint PRIMARY KEY,
    customer bigint NOT NULL REFERENCES customers,
    code text NOT NULL DEFAULT 'none' CHECK (code <> ''),
    note text
);
CREATE INDEX orders_code ON orders (code);
INSERT INTO customers SELECT n, 'n' || n FROM generate_series(1, 10) n;
INSERT INTO orders
SELECT n, n % 10 + 1, 'c' || n, NULLIF(n % 3, 0)::text FROM generate_series(1, 500) n;
"""


@pytest.fixture
async def db(database_of_either):
    opened = await Database.open(
        database_of_either.url, lock_timeout=timedelta(milliseconds=200), lock_retries=2
    )
    async with client_of(opened) as connection:
        await connection.execute(TABLES)
    yield opened
    await opened.close()


def column(strategy="archive_column", name="code", **more):
    return CaptureRequest(strategy, "orders", name, **more)


async def rows(db, table="orders"):
    async with client_of(db) as connection:
        return await connection.fetch(f"SELECT * FROM {table} ORDER BY id")


async def restores(db):
    """Return the entries of restores in the audit log, without those of what followed."""
    done = await list_activity(db, ActivityFilter(action="restore", outcome="done"))
    return [entry for entry in done if "follow_up" not in entry.detail]


@pytest.mark.smoke
@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column"])
async def test_a_column_goes_and_comes_back(database, db, strategy):
    before, held = database.schema(), [dict(row) for row in await rows(db)]
    plan = await plan_capture(db, column(strategy))
    assert plan.steps
    assert plan.object == "public.orders.code"
    artifact = await capture(db, column(strategy, reason="gone", migration_id="m1"), DBA)
    assert (artifact.reason, artifact.migration_id) == ("gone", "m1")
    assert artifact.created_by == "dba"
    assert (artifact.sealed_at is not None) == (strategy == "archive_column")
    assert "code" not in dict((await rows(db))[0])
    assert (await find_for_restore(db, "orders.code", "column")).id == artifact.id

    shown = await plan_restore(db, artifact.id)
    assert not shown.blocked
    report = await restore(db, artifact.id, None, DBA, expected_digest=shown.digest)
    assert report.artifact.status == "restored"
    assert report.artifact.restored_by == "dba"
    assert [dict(row) for row in await rows(db)] == held
    assert not report.fidelity["missing"]
    if strategy == "soft_drop_column":
        assert database.schema() == before
    job = (await jobs.list_jobs(db, kinds=["restore"]))[0]
    assert job.state == "done"
    entry = (await list_activity(db, ActivityFilter(action="restore")))[0]
    assert (entry.actor, entry.outcome, entry.address) == ("dba", "done", "10.0.0.9")

    again = await restore(db, artifact.id, None, DBA)
    assert again.already_restored


@pytest.mark.smoke
@pytest.mark.parametrize("strategy", ["archive_table", "soft_drop_table"])
async def test_a_table_goes_and_comes_back(database, db, strategy):
    before, held = database.schema(), await rows(db)
    artifact = await capture(db, CaptureRequest(strategy, "orders", expires_in=None), DBA)
    assert artifact.expires_at is None
    assert artifact.sealed_at
    assert artifact.row_count == 500
    report = await restore(db, artifact.id, None, DBA)
    assert database.schema() == before
    assert await rows(db) == held
    assert report.rows == 500
    assert not report.fidelity["missing"]
    assert report.artifact.verified_at


@pytest.mark.smoke
async def test_a_changed_archive_is_never_restored(db):
    artifact = await capture(db, column(), DBA)
    name = f'_zanith_shadow."{artifact.physical_name}"'
    async with client_of(db) as connection:
        await connection.execute(
            f"ALTER TABLE {name} DISABLE TRIGGER USER; UPDATE {name} SET code = 'x' WHERE id = 7"
        )
    with pytest.raises(Refused, match="changed since") as error:
        await restore(db, artifact.id, None, DBA)
    assert artifact.checksum in error.value.detail
    assert (await get_artifact(db, artifact.id)).health == "changed"
    assert "code" not in dict((await rows(db))[0])
    refused = (await list_activity(db, ActivityFilter(action="restore")))[0]
    assert refused.outcome == "refused"
    assert not (await verify(db, artifact.id, DBA)).matches
    report = await restore(db, artifact.id, Choices(unverified=True), DBA)
    assert report.artifact.status == "restored"
    [done] = await restores(db)
    assert done.detail["unverified"] is True


async def test_of_many_who_click_one_wins(db):
    artifact = await capture(db, column(), DBA)
    results = await asyncio.gather(
        *(restore(db, artifact.id, None, Actor(f"p{n}", None, "staff")) for n in range(8)),
        return_exceptions=True,
    )
    won = [r for r in results if not isinstance(r, BaseException) and not r.already_restored]
    told = [r for r in results if isinstance(r, Locked) or getattr(r, "already_restored", False)]
    assert (len(won), len(told)) == (1, 7)
    assert len(await restores(db)) == 1


async def test_who_blocks_is_named_and_nothing_changed(db):
    artifact = await capture(db, column(), DBA)
    async with client_of(db) as holder, holder.transaction():
        await holder.execute("SELECT count(*) FROM orders")
        with pytest.raises(Locked, match="did not get its locks") as error:
            await restore(db, artifact.id, None, DBA)
        assert f"pid {holder.get_server_pid()}" in error.value.detail
        assert "SELECT count(*) FROM orders" in error.value.detail
        assert error.value.blockers[0].pid == holder.get_server_pid()
    assert (await get_artifact(db, artifact.id)).status == "recoverable"
    assert (await restore(db, artifact.id, None, DBA)).artifact.status == "restored"


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_a_lock_that_comes_free_is_had(db):
    artifact = await capture(db, column(), DBA)
    seen = []
    db.lock_retries = 20
    async with client_of(db) as holder:
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("SELECT count(*) FROM orders")
        task = asyncio.create_task(restore(db, artifact.id, None, DBA, on_progress=seen.append))
        await until(lambda: any("waiting_for" in report for report in seen))
        await transaction.rollback()
    assert (await task).artifact.status == "restored"


async def test_capture_names_its_blocker_too(db):
    async with client_of(db) as holder, holder.transaction():
        await holder.execute("LOCK orders IN ACCESS SHARE MODE")
        with pytest.raises(Locked) as error:
            await capture(db, column("soft_drop_column"), DBA)
        assert f"pid {holder.get_server_pid()}" in error.value.detail
    assert "code" in dict((await rows(db))[0])


@pytest.mark.smoke
async def test_a_plan_that_changed_is_shown_again(db):
    artifact = await capture(db, column(), DBA)
    with pytest.raises(Refused, match="not the one that was confirmed") as error:
        await restore(db, artifact.id, None, DBA, expected_digest="0" * 64)
    assert error.value.plan.steps
    async with client_of(db) as connection:
        await connection.execute("ALTER TABLE orders ADD code int")
    with pytest.raises(Refused, match="already has a column") as error:
        await restore(db, artifact.id, None, DBA)
    assert "--as NAME" in error.value.hint
    report = await restore(db, artifact.id, Choices(as_name="code_2"), DBA)
    assert dict((await rows(db))[0])["code_2"] == "c1"
    assert report.artifact.status == "restored"


@pytest.mark.smoke
async def test_drift_blocks_until_a_choice_resolves_it(db):
    artifact = await capture(db, column(), DBA)
    async with client_of(db) as connection:
        await connection.execute("INSERT INTO orders VALUES (1001, 1), (1002, 1)")
    plan = await plan_restore(db, artifact.id)
    assert plan.blocked
    drift = next(item for item in plan.drift if item.blocks)
    assert drift.count == 2
    assert drift.examples
    with pytest.raises(Refused):
        await restore(db, artifact.id, None, DBA)
    await restore(db, artifact.id, Choices(fill="late"), DBA)
    assert dict((await rows(db))[-1])["code"] == "late"


async def test_rehearsal_changes_nothing(database, db):
    artifact = await capture(db, column(), DBA)
    before = database.schema()
    report = await rehearse(db, artifact.id, None, DBA)
    assert report.steps
    assert all(step.elapsed >= 0 for step in report.steps)
    assert database.schema() == before
    assert (await get_artifact(db, artifact.id)).status == "recoverable"


@pytest.mark.parametrize("strategy", ["archive_column", "soft_drop_column"])
async def test_under_another_name_the_name_is_what_differs(db, strategy):
    artifact = await capture(db, column(strategy), DBA)
    async with client_of(db) as connection:
        await connection.execute("ALTER TABLE orders ADD code int")
    rehearsed = await rehearse(db, artifact.id, Choices(as_name="code_2"), DBA)
    report = await restore(db, artifact.id, Choices(as_name="code_2"), DBA)
    assert report.fidelity == rehearsed.fidelity
    assert report.fidelity["different"] == [
        {"what": "column name", "recorded": "code", "now": "code_2"}
    ]
    assert report.fidelity["missing"] == []
    assert "index orders_code" in report.fidelity["exact"]
    assert (await inspect(db, artifact.id)).fidelity == report.fidelity


async def test_a_table_under_another_name_is_compared_too(db):
    artifact = await capture(db, CaptureRequest("archive_table", "orders"), DBA)
    async with client_of(db) as connection:
        await connection.execute("CREATE TABLE orders (id int PRIMARY KEY)")
    report = await restore(db, artifact.id, Choices(as_name="orders_2"), DBA)
    assert [x["what"] for x in report.fidelity["different"]] == ["table name"]
    assert report.fidelity["missing"] == []
    assert (await inspect(db, artifact.id)).fidelity == report.fidelity


async def test_a_migration_is_rehearsed_whole(database, db):
    await capture(db, column("soft_drop_column", "note", migration_id="m9"), DBA)
    await capture(db, CaptureRequest("archive_table", "orders", migration_id="m9"), DBA)
    parked = database.schema()
    reports = await rehearse_migration(db, "m9", None, DBA)
    assert [r.artifact.artifact_type for r in reports] == ["archive_table", "soft_drop_column"]
    assert all(r.rehearsed and r.steps and not r.fidelity["missing"] for r in reports)
    assert database.schema() == parked


async def test_what_a_migration_restored_before_it_stopped_is_known(db):
    stuck = await capture(db, column("soft_drop_column", "code", migration_id="m10"), DBA)
    await capture(db, column("soft_drop_column", "note", migration_id="m10"), DBA)
    async with client_of(db) as connection:
        await connection.execute("ALTER TABLE orders ADD code int")
    reports = []
    with pytest.raises(Refused) as error:
        await restore_migration(db, "m10", None, DBA, reports=reports)
    assert error.value.stopped_at == stuck.id
    assert [r.artifact.source_column for r in reports] == ["note"]


async def test_a_serial_fills_what_came_since_from_its_own_sequence(db):
    async with client_of(db) as connection:
        await connection.execute("ALTER TABLE orders ADD number serial")
    artifact = await capture(db, column(name="number"), DBA)
    async with client_of(db) as connection:
        await connection.execute("INSERT INTO orders VALUES (1001, 1)")
    await restore(db, artifact.id, Choices(fill_default=True), DBA)
    assert dict((await rows(db))[-1])["number"] == 501


async def test_a_seal_that_waits_gives_way(db):
    artifact = await capture(db, column(), DBA)
    waiting = await queueing.start(db, "seal", artifact.id, {}, DBA)
    assert (await restore(db, artifact.id, None, DBA)).artifact.status == "restored"
    assert (await jobs.get(db, waiting.id)).state == "cancelled"


async def test_a_whole_migration_comes_back(database, db):
    before = database.schema()
    await capture(db, CaptureRequest("rebuild_table", "customers", migration_id="m7"), DBA)
    await capture(db, column("soft_drop_column", "note", migration_id="m7"), DBA)
    await capture(db, CaptureRequest("archive_table", "orders", migration_id="m7"), DBA)
    assert len(await plan_migration(db, "m7")) == 2
    reports = await restore_migration(db, "m7", None, DBA)
    assert [r.artifact.artifact_type for r in reports] == ["archive_table", "soft_drop_column"]
    assert database.schema() == before
    with pytest.raises(NotFound):
        await restore_migration(db, "m8", None, DBA)


async def test_a_key_comes_back_before_the_values_that_are_stored_by_it(database, db):
    """The migration dropped the key first."""
    async with client_of(db) as connection:
        await connection.execute("""
            CREATE TABLE kv (id int PRIMARY KEY, k int NOT NULL UNIQUE, w int);
            INSERT INTO kv VALUES (1, 10, 100), (2, 20, 200)""")
    await capture(db, CaptureRequest("archive_column", "kv", "w", migration_id="m9"), DBA)
    await capture(db, CaptureRequest("archive_column", "kv", "id", migration_id="m9"), DBA)
    plans = await plan_migration(db, "m9")
    assert [len(plan.waits_for) for _, plan in plans if not plan.blocked] == [0, 1]
    await restore_migration(db, "m9", None, DBA)
    assert database.psql("SELECT id, k, w FROM kv ORDER BY id") == "1|10|100\n2|20|200"


async def test_a_rebuild_is_forensic(db):
    artifact = await capture(db, CaptureRequest("rebuild_table", "orders", keep_rows=True), DBA)
    assert artifact.row_count == 500
    assert artifact.sealed_at
    with pytest.raises(Refused, match="rebuilt"):
        await restore(db, artifact.id, None, DBA)


async def test_a_killed_backend_leaves_the_old_state(database, db):
    artifact = await capture(db, column(), DBA)
    async with client_of(db) as killer, client_of(db) as holder, holder.transaction():
        await holder.execute("SELECT count(*) FROM orders")
        db.lock_timeout = timedelta(seconds=5)
        task = asyncio.create_task(restore(db, artifact.id, None, DBA))
        async with asyncio.timeout(10):
            while not await killer.fetchval(  # noqa: ASYNC110
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ):
                await asyncio.sleep(0.01)
        with pytest.raises(Exception, match=r"lost|terminat|closed"):
            await task
    assert (await get_artifact(db, artifact.id)).status == "recoverable"
    assert (await jobs.list_jobs(db, kinds=["restore"]))[0].state == "failed"
    assert (await restore(db, artifact.id, None, DBA)).artifact.status == "restored"


async def test_a_viewer_and_wrong_names(db):
    viewer = Actor("eve", None, "viewer")
    artifact = await capture(db, column(), DBA)
    with pytest.raises(NotPermitted):
        await restore(db, artifact.id, None, viewer)
    with pytest.raises(NotPermitted):
        await capture(db, column("soft_drop_column", "note"), viewer)
    for name, kind in (("orders", "column"), ("a.b.c", "table")):
        with pytest.raises(WrongUsage):
            await find_for_restore(db, name, kind)
    with pytest.raises(NotFound):
        await find_for_restore(db, "orders.nothing", "column")
    for request in (
        CaptureRequest("vanish", "orders"),
        CaptureRequest("archive_column", "orders"),
        CaptureRequest("archive_table", "orders", "code"),
        column(on_dependents="maybe"),
        column(expires_in="soon"),
    ):
        with pytest.raises(WrongUsage):
            await capture(db, request, DBA)
    with pytest.raises(NotFound):
        await plan_capture(db, CaptureRequest("archive_table", "nothing"))
    refused = await list_activity(db, ActivityFilter(action="capture", outcome="refused"))
    codes = [str(entry.detail["code"]) for entry in refused]
    assert (codes.count("usage"), len(codes)) == (5, 6)


async def test_a_partition_that_is_attached_again_keeps_the_comments_on_its_triggers(db):
    async with client_of(db) as connection:
        await connection.execute("""
            CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
            CREATE TABLE tree (id int PRIMARY KEY, code text NOT NULL) PARTITION BY RANGE (id);
            CREATE TABLE tree_1 (id int NOT NULL, code text NOT NULL);
            ALTER TABLE tree ATTACH PARTITION tree_1 DEFAULT;
            CREATE TRIGGER noted AFTER INSERT ON tree FOR EACH ROW EXECUTE FUNCTION note();
            COMMENT ON TRIGGER noted ON tree_1 IS 'the partition''s';
            INSERT INTO tree VALUES (1, 'a')""")
        made = await capture(db, CaptureRequest("archive_column", "tree", "code"), DBA)
        report = await restore(db, made.id, Choices(), DBA)
        assert "inheritance" not in [loss.code for loss in report.losses]
        partition = await connection.fetchval("SELECT 'tree_1'::regclass::oid")
        comment = "SELECT obj_description(oid, 'pg_trigger') FROM pg_trigger WHERE tgrelid = $1"
        assert await connection.fetchval(comment, partition) == "the partition's"
