"""Restoring to partitioned tables, whose rows and partitions come, go and move meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.errors import Cancelled, Failed, Refused
from app.recovery.jobs import model as jobs
from app.recovery.jobs import runs
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.backfill import Backfill
from app.recovery.restore.offline import OfflineRestore
from app.recovery.restore.restore import restore
from tests.online import (
    DBA,
    WRONG,
    archived,
    execute,
    fetchval,
    followed,
    kill_who_waits_for,
    left_behind,
    opened,
    running_job,
    until,
)
from tests.partitions import FULL, archiving, make, restoring, under_way
from tests.sessions import client_of


@pytest.fixture
async def db(database):
    async with opened(database, lock_retries=6) as found:
        yield found


@asynccontextmanager
async def filling(db, artifact, rate=4_000, **choices):
    """A restore under way, for what happens in the middle of it."""
    work = restoring(db, artifact, Limits(rows_per_second=rate), **choices)
    async with under_way(db, work) as running:
        await asyncio.sleep(0.2)
        yield running


HALF = (
    "SELECT attname FROM pg_attribute WHERE attname ~ '^_zanith_restoring' AND attnum > 0 LIMIT 1"
)
COMINGS = {
    "truncated": "TRUNCATE t_1",
    "dropped": "DROP TABLE t_1",
    "created": "CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (100) TO (110);"
    "INSERT INTO t (id, part, tag) SELECT g, 100, 'new' FROM generate_series(1, 50) g;"
    "UPDATE t SET part = 101 WHERE part = 5; UPDATE t SET part = 5 WHERE part = 101 AND id < 1000;",
    "attached again": "ALTER TABLE t DETACH PARTITION t_1;"
    "DELETE FROM t_1 WHERE id % 7 = 0; UPDATE t_1 SET \"{0}\" = 'none';"
    "ALTER TABLE t ATTACH PARTITION t_1 FOR VALUES FROM (10) TO (20);",
    "copied": "CREATE TABLE t_2 (LIKE t INCLUDING ALL); INSERT INTO t_2 SELECT * FROM t_1;"
    "UPDATE t_2 SET \"{0}\" = 'none'; DROP TABLE t_1;"
    "ALTER TABLE t ATTACH PARTITION t_2 FOR VALUES FROM (10) TO (20);",
}


@pytest.mark.newest
@pytest.mark.parametrize("when", ["filling", "compared"])
@pytest.mark.parametrize("change", COMINGS)
async def test_partitions_come_and_go_while_it_is_filled(db, monkeypatch, change, when):
    await make(db, "range")
    artifact = await archived(db)

    async def happens():
        await execute(db, COMINGS[change].format(await fetchval(db, HALF)))

    if when == "filling":
        async with filling(db, artifact) as running:
            await happens()
            report = await running
    else:
        changed = []
        real = Backfill._compare

        async def compare(self, *args, **more):
            found = await real(self, *args, **more)
            if not changed:
                changed.append(await happens())
            return found

        monkeypatch.setattr(Backfill, "_compare", compare)
        report = await restoring(db, artifact)
    assert report.artifact.status == "restored"
    assert await fetchval(db, WRONG) == 0
    assert await fetchval(db, "SELECT count(*) FROM t WHERE tag = 'new' AND code <> 'none'") == 0
    assert await left_behind(db) == []


@pytest.mark.parametrize("when", ["filling", "compared"])
async def test_a_partition_that_is_detached_meanwhile_is_asked_about(db, monkeypatch, when):
    await make(db, "range")
    artifact = await archived(db)
    away = "ALTER TABLE t DETACH PARTITION t_1"
    if when == "filling":
        async with filling(db, artifact) as running:
            await execute(db, away)
        with pytest.raises(Refused) as caught:
            await running
    else:
        real = Backfill._compare

        async def compare(self, *args, **more):
            found = await real(self, *args, **more)
            await execute(db, away)
            return found

        monkeypatch.setattr(Backfill, "_compare", compare)
        with pytest.raises(Refused) as caught:
            await restoring(db, artifact)
        monkeypatch.undo()
    assert "public.t_1" in caught.value.message
    half = await fetchval(db, HALF)
    assert half in (caught.value.hint or "")
    if when == "filling":
        await execute(db, "ALTER TABLE t ATTACH PARTITION t_1 FOR VALUES FROM (10) TO (20)")
    else:
        await execute(db, f'ALTER TABLE t_1 DROP COLUMN "{half}"')
    report = await restoring(db, artifact)
    assert report.artifact.status == "restored"
    assert await fetchval(db, WRONG) == 0
    assert await left_behind(db) == []


@pytest.mark.newest
async def test_a_cancelled_restore_leaves_all_as_it_was(database, db):
    await make(db, "levels")
    artifact = await archived(db)
    before = database.schema()
    async with filling(db, artifact, 1_000) as running:
        job = await running_job(db, "restore")
        await jobs.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled):
        await running
    assert database.schema() == before


@pytest.mark.newest
@pytest.mark.parametrize("online", [True, False])
async def test_an_interrupted_restore_goes_on_or_begins_anew(db, online):
    await make(db, "levels")
    artifact = await archived(db)
    async with filling(db, artifact, 1_000, fill="f") as running:
        runs.interrupt(running)
        with pytest.raises(asyncio.CancelledError):
            await running
    await execute(db, "INSERT INTO t (id, part, tag) VALUES (-1, 11, 'new')")
    await restore(db, artifact.id, Choices(online=online, fill="f"), DBA)
    assert await fetchval(db, WRONG) == 0
    assert await fetchval(db, "SELECT code FROM t WHERE id = -1") == ("none" if online else "f")
    assert await left_behind(db) == []


@pytest.mark.newest
async def test_a_killed_backend_goes_on(database, db):
    await make(db, "levels")
    artifact = await archived(db)
    running = asyncio.create_task(restoring(db, artifact, Limits(rows_per_second=2_000)))
    await until(lambda: followed(db))
    async with database.connect() as other, other.transaction():
        await other.execute("LOCK TABLE t_1_b IN ACCESS EXCLUSIVE MODE")
        await until(lambda: kill_who_waits_for(other))
    with pytest.raises(Failed):
        await running
    await restoring(db, artifact)
    assert await fetchval(db, WRONG) == 0


async def test_rows_that_somebody_holds_or_moves_are_filled_last(db):
    await make(db, "range")
    artifact = await archived(db)
    async with filling(db, artifact, 1_500) as running, client_of(db) as holder:
        # batches go by part and id: these are to come
        transaction = holder.transaction()
        await transaction.start()
        await holder.execute("UPDATE t SET n = 5 WHERE part > 15 AND id % 5 = 0")
        await holder.execute("UPDATE t SET part = part - 9 WHERE part > 15 AND id % 5 = 1")
        await holder.execute("UPDATE t SET part = part + 3 WHERE part = 19 AND id % 5 = 2")

        async def waits():
            return await fetchval(
                db, "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
            )

        await until(waits)
        await transaction.commit()
        await running
    assert await fetchval(db, WRONG) == 0


LATE = """
CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (100) TO (110) PARTITION BY LIST (part);
CREATE TABLE t_2_a PARTITION OF t_2 FOR VALUES IN (100, 101);
CREATE TABLE t_3 PARTITION OF t FOR VALUES FROM (110) TO (120);
INSERT INTO t (id, part, tag) SELECT g, 100 + g % 20, 'new' FROM generate_series(1, 21) g
 WHERE g % 20 < 2 OR g % 20 > 10;
"""
WHOLE = """
SELECT count(*) FROM pg_index i JOIN pg_partition_tree('t') p ON p.relid = i.indrelid
WHERE i.indisvalid AND p.isleaf AND EXISTS (
    SELECT FROM pg_partition_ancestors(i.indexrelid) a
    WHERE a.relid = ANY (ARRAY['once', 't_upper', 't_pair', 't_plain']::regclass[]))"""


async def test_partitions_that_came_since_get_what_the_others_have(db, monkeypatch):
    await execute(db, FULL)
    artifact = await archiving(db, on_dependents="cascade")
    await execute(db, LATE)
    changed = []
    real = OfflineRestore._follow_up

    async def follow_up(self, *args):
        if not changed:
            late = "CREATE TABLE t_4 PARTITION OF t FOR VALUES FROM (120) TO (130)"
            changed.append(await execute(db, late))
        return await real(self, *args)

    monkeypatch.setattr(OfflineRestore, "_follow_up", follow_up)
    report = await restoring(db, artifact, allow_null=True)
    lost = [loss.message for loss in report.losses if loss.code == "not_validated"]
    assert lost == []
    leaves = "SELECT count(*) FROM pg_partition_tree('t') WHERE isleaf"
    assert await fetchval(db, WHOLE) == 4 * await fetchval(db, leaves)
    invalid = "SELECT array_agg(indexrelid::regclass::text) FROM pg_index WHERE NOT indisvalid"
    assert await fetchval(db, invalid) is None
    assert await fetchval(db, WRONG) == 0
    assert (await restore(db, artifact.id, None, DBA)).already_restored


async def test_an_index_that_fails_is_said_and_made_later(db, monkeypatch):
    await execute(db, FULL)
    artifact = await archiving(db, on_dependents="cascade")
    real = Backfill._compare

    async def compare(self, *args, **more):
        await execute(db, "INSERT INTO t (id, part, tag) VALUES (1001, 1, 'new')")
        await execute(db, f"UPDATE t SET \"{await fetchval(db, HALF)}\" = 'c1' WHERE id = 1001")
        return await real(self, *args, **more)

    monkeypatch.setattr(Backfill, "_compare", compare)
    report = await restoring(db, artifact)
    lost = [loss.message for loss in report.losses if loss.code == "not_validated"]
    assert any("once" in message for message in lost)
    assert not await fetchval(
        db, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'once'::regclass"
    )
    await execute(db, "DELETE FROM t WHERE id = 1001")
    again = await restore(db, artifact.id, None, DBA)
    assert [loss.message for loss in again.losses if loss.code == "not_validated"] == []
    assert again.fidelity["different"] == again.fidelity["missing"] == []
    assert await fetchval(db, WHOLE) == 4 * 4
    assert (await restore(db, artifact.id, None, DBA)).already_restored


async def test_what_cannot_come_back_online_is_said(db, server):
    await make(db, "range")
    await execute(
        db,
        "CREATE TABLE kinds (code text PRIMARY KEY); INSERT INTO kinds SELECT code FROM t;"
        "ALTER TABLE t ADD CONSTRAINT known FOREIGN KEY (code) REFERENCES kinds;",
    )
    artifact = await archived(db)
    plan = await plan_restore(db, artifact.id, Choices(online=True))
    if server.version < 18:
        assert [conflict.code for conflict in plan.conflicts] == ["not_online"]
        assert "foreign key" in plan.conflicts[0].message
        await restore(db, artifact.id, None, DBA)
    else:
        report = await restoring(db, artifact)
        assert [loss for loss in report.losses if loss.code == "not_validated"] == []
        assert report.fidelity["different"] == report.fidelity["missing"] == []
        assert await fetchval(db, "SELECT bool_and(convalidated) FROM pg_constraint")
    await execute(db, "ALTER TABLE t DROP CONSTRAINT known; CREATE INDEX lame ON ONLY t (code);")
    artifact = await archived(db)
    plan = await plan_restore(db, artifact.id, Choices(online=True))
    assert [conflict.code for conflict in plan.conflicts] == ["not_online"]
    assert "not valid" in plan.conflicts[0].message
    await restore(db, artifact.id, None, DBA)
    assert await fetchval(db, WRONG) == 0


async def test_triggers_of_partitions_are_asked_about(db):
    await make(db, "range")
    await execute(
        db,
        "CREATE TABLE fired (id bigint);"
        "CREATE FUNCTION fire() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN INSERT INTO public.fired VALUES (NEW.id); RETURN NEW; END';"
        "CREATE TRIGGER fire AFTER UPDATE ON t_1 FOR EACH ROW EXECUTE FUNCTION fire();",
    )
    artifact = await archived(db)
    await restoring(db, artifact)  # a superuser keeps them still
    assert await fetchval(db, "SELECT count(*) FROM fired") == 0
    artifact = await archived(db)
    await execute(db, "ALTER TABLE t_1 ENABLE ALWAYS TRIGGER fire")
    plan = await plan_restore(db, artifact.id, Choices(online=True))
    assert [conflict.code for conflict in plan.conflicts] == ["triggers_fire"]
    await restoring(db, artifact, fire_triggers=True)
    assert await fetchval(db, "SELECT count(*) FROM fired") > 1_000
    assert await fetchval(db, WRONG) == 0


async def test_lifted_indexes_of_a_soft_dropped_column_are_made_beside_traffic(database, db):
    await execute(db, FULL)
    before = database.schema()
    wanted = CaptureRequest("soft_drop_column", "t", "code", on_dependents="cascade")
    artifact = await capture(db, wanted, DBA)
    report = await restoring(db, artifact)
    assert [loss.message for loss in report.losses if loss.code == "not_validated"] == []
    assert report.fidelity["different"] == report.fidelity["missing"] == []
    assert database.schema() == before
    made = [step.sql for step in report.steps if "CONCURRENTLY" in step.sql]
    # of each leaf two unique keys and two indexes that would have bitten, and two that are its own
    assert len(made) == 4 * 4 + 2
    assert (await restore(db, artifact.id, None, DBA)).already_restored

    artifact = await capture(db, wanted, DBA)
    await execute(db, LATE)
    await restoring(db, artifact, allow_null=True)
    leaves = "SELECT count(*) FROM pg_partition_tree('t') WHERE isleaf"
    assert await fetchval(db, WHOLE) == 4 * await fetchval(db, leaves)
    invalid = "SELECT array_agg(indexrelid::regclass::text) FROM pg_index WHERE NOT indisvalid"
    assert await fetchval(db, invalid) is None


async def test_indexes_keep_their_names_where_the_table_went_elsewhere(db):
    await execute(db, FULL.split("CREATE VIEW", maxsplit=1)[0])
    names = (
        "SELECT array_agg(c.relname::text ORDER BY c.relname) FROM pg_class c"
        " JOIN pg_index i ON i.indexrelid = c.oid"
        " WHERE c.relnamespace IN (to_regnamespace('public'), to_regnamespace('other'))"
    )
    before = await fetchval(db, names)
    artifact = await capture(db, CaptureRequest("soft_drop_column", "t", "code"), DBA)
    await execute(db, "CREATE SCHEMA other; ALTER TABLE t SET SCHEMA other")
    report = await restoring(db, artifact)
    assert [loss.message for loss in report.losses if loss.code == "not_validated"] == []
    assert await fetchval(db, names) == before
