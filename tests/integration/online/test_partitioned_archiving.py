"""Archiving from partitioned tables, whose rows and partitions come, go and move meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import asyncpg
import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.online_archive import OnlineArchive
from app.recovery.core.errors import Cancelled, Failed, Refused
from app.recovery.db.database import Database
from app.recovery.inspection.doctor import doctor
from app.recovery.jobs import model as jobs
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import verify
from tests.conftest import give_to_operator
from tests.online import (
    DBA,
    FOLLOWED,
    ROWS,
    SLOWLY,
    WRONG,
    execute,
    fetchval,
    followed,
    kill_who_waits_for,
    left_behind,
    opened,
    place,
    restore_beside,
    running_job,
    until,
    wrongly_archived,
)
from tests.partitions import FULL, SHAPES, Moving, archiving, make, restoring, under_way


@pytest.fixture
async def db(database):
    async with opened(database, lock_retries=6) as found:
        yield found


@asynccontextmanager
async def meanwhile(db, rate=4_000):
    """An archive under way, already copying, for what happens in the middle of it."""
    async with under_way(db, archiving(db, limits=Limits(rows_per_second=rate))) as running:
        await until(lambda: fetchval(db, COPIED))
        yield running


COPIED = """SELECT COALESCE((SELECT pg_relation_size(c.oid) > 0 FROM pg_class c
 WHERE relname ~ '^_zanith_archive' AND relkind = 'r'), false)"""


@pytest.mark.parametrize("shape", SHAPES)
async def test_a_column_is_archived_beside_traffic_that_moves_rows(database, db, shape):
    await make(db, shape)
    traffic = Moving(database.url, "t", ROWS, only_while=FOLLOWED)
    async with traffic.flowing():
        artifact = await archiving(db, limits=SLOWLY)
    assert traffic.unforeseen == []
    assert traffic.done > 50
    assert (artifact.artifact_type, artifact.status) == ("archive_column", "recoverable")
    assert (await verify(db, artifact.id, DBA)).matches
    assert await wrongly_archived(db, artifact, "part, id") == 0
    assert await left_behind(db) == []
    assert (await doctor(db)).findings == ()

    await restore_beside(db, artifact, traffic)
    assert traffic.unforeseen == []
    assert traffic.done > 50


@pytest.mark.parametrize("online", [True, False])
async def test_all_that_hangs_on_the_column_comes_back(db, online):
    await execute(db, FULL)
    artifact = await archiving(db, on_dependents="cascade")
    report = await restore(db, artifact.id, Choices(online=online), DBA)
    assert report.fidelity["different"] == report.fidelity["missing"] == []
    assert [loss.message for loss in report.losses if loss.code == "not_validated"] == []
    assert await fetchval(db, WRONG) == 0
    invalid = "SELECT array_agg(indexrelid::regclass::text) FROM pg_index WHERE NOT indisvalid"
    assert await fetchval(db, invalid) is None
    assert (await restore(db, artifact.id, None, DBA)).already_restored
    if online:
        made = [step.sql for step in report.steps if "INDEX" in step.sql]
        assert all(
            "CONCURRENTLY" in sql or " ONLY " in sql
            for sql in made
            if sql.startswith(("CREATE INDEX", "CREATE UNIQUE INDEX"))
        )


async def test_a_row_that_moves_takes_its_null_along(db):
    await make(db, "range", "")
    await execute(db, "UPDATE t SET code = NULL WHERE id % 4 = 0")
    async with meanwhile(db) as running:
        await execute(db, "UPDATE t SET part = (part + 10) % 25 WHERE id % 8 = 0")
    artifact = await running
    assert artifact.row_count == ROWS
    assert await fetchval(
        db, f"SELECT count(*) FROM t JOIN {place(artifact)} a USING (part, id) WHERE code IS NULL"
    ) == await fetchval(db, "SELECT count(*) FROM t WHERE id % 4 = 0")


# Rows that come with a partition: into a table, under a part, so many.
COME = (
    'INSERT INTO {} (id, part, tag, "{{0}}")'
    " SELECT g, {}, 'r' || g, 'c' || g FROM generate_series(90001, 90000 + {}) g;"
)
CHANGES = {
    "truncated": "TRUNCATE t_1",
    "all truncated": "TRUNCATE t; INSERT INTO t (id, part, tag) VALUES (1, 1, 'new')",
    "dropped": "DROP TABLE t_1",
    "detached": "ALTER TABLE t DETACH PARTITION t_1",
    "created": "CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (100) TO (110);"
    + COME.format("t", 100, 100)
    + "TRUNCATE t_2;"
    + COME.format("t", 100, 50),
    "attached": "CREATE TABLE t_2 (LIKE t INCLUDING ALL);"
    + COME.format("t_2", -1, 50)
    + "ALTER TABLE t ATTACH PARTITION t_2 FOR VALUES FROM (-5) TO (0);",
    "attached again": "ALTER TABLE t DETACH PARTITION t_1;"
    "DELETE FROM t_1 WHERE id % 7 = 0; UPDATE t_1 SET id = -id WHERE id % 7 = 1;"
    "UPDATE t_1 SET \"{0}\" = 'c7', tag = 'r7' WHERE id % 7 = 2;"
    "ALTER TABLE t ATTACH PARTITION t_1 FOR VALUES FROM (10) TO (20);",
    "a tree": "ALTER TABLE t DETACH PARTITION t_1;"
    "CREATE TABLE t_2 (LIKE t INCLUDING ALL) PARTITION BY HASH (id);"
    "CREATE TABLE t_2_a PARTITION OF t_2 FOR VALUES WITH (modulus 2, remainder 0);"
    "CREATE TABLE t_2_b PARTITION OF t_2 FOR VALUES WITH (modulus 2, remainder 1);"
    "INSERT INTO t_2 SELECT * FROM t_1;"
    "ALTER TABLE t ATTACH PARTITION t_2 FOR VALUES FROM (10) TO (20);",
}
PARKED = """SELECT attname FROM pg_attribute
 WHERE attrelid = 't'::regclass AND attname ~ '^_zanith_dropped'"""


@pytest.mark.newest
@pytest.mark.parametrize("when", ["copying", "compared"])
@pytest.mark.parametrize("change", CHANGES)
async def test_partitions_come_and_go_meanwhile(db, monkeypatch, change, when):
    await make(db, "range")
    if when == "copying":
        async with meanwhile(db) as running:
            await execute(db, CHANGES[change].format(await fetchval(db, PARKED)))
            artifact = await running
    else:
        changed = []
        real = OnlineArchive._compare

        async def compare(self):
            found = await real(self)
            if not changed:
                changed.append(
                    await execute(db, CHANGES[change].format(await fetchval(db, PARKED)))
                )
            return found

        monkeypatch.setattr(OnlineArchive, "_compare", compare)
        artifact = await archiving(db)
    assert artifact.artifact_type == "archive_column"
    assert await wrongly_archived(db, artifact, "part, id") == 0
    assert artifact.row_count == await fetchval(db, "SELECT count(*) FROM t WHERE tag LIKE 'r%'")
    assert (await verify(db, artifact.id, DBA)).matches
    assert await left_behind(db) == []
    if change == "detached":  # what went with it is where it went
        parked = await fetchval(
            db, "SELECT attname FROM pg_attribute WHERE attname ~ '^_zanith_dropped' AND attnum > 0"
        )
        lost = f"SELECT count(*) FROM t_1 WHERE \"{parked}\" IS DISTINCT FROM 'c' || id"
        assert await fetchval(db, lost) == 0
    # what was detached keeps what went with it, and that is said
    found = [(finding.code, finding.object) for finding in (await doctor(db)).findings]
    kept = change in {"detached", "a tree"}
    assert [code for code, _ in found] == (["orphan_column"] if kept else [])
    assert all(name.startswith("public.t_1.") for _, name in found)


async def test_a_partition_is_detached_concurrently(database, db):
    await make(db, "range")
    await execute(db, "DROP TABLE t_rest")  # where there is a default partition it cannot be
    async with meanwhile(db, 2_000) as running, database.connect() as other:
        away = asyncio.create_task(execute(db, "ALTER TABLE t DETACH PARTITION t_1 CONCURRENTLY"))
        async with other.transaction():
            await other.fetchval("SELECT count(*) FROM t")
            await asyncio.sleep(0.5)  # the detach is half done
        await away
        artifact = await running
    assert await wrongly_archived(db, artifact, "part, id") == 0
    assert artifact.row_count == await fetchval(db, "SELECT count(*) FROM t")
    assert await left_behind(db) == []


@pytest.mark.newest
@pytest.mark.parametrize("when", ["copying", "compared"])
async def test_a_partition_comes_and_is_gone_again(db, monkeypatch, when):
    await make(db, "range")
    come = CHANGES["attached"] + "UPDATE t SET id = id + 1000 WHERE part = -1 AND id < 90010"
    away = "ALTER TABLE t DETACH PARTITION t_2"
    times = []
    name = "_copy" if when == "copying" else "_catch_up"
    real = getattr(OnlineArchive, name)

    async def between(self, *args):
        times.append(name)
        if len(times) != (1 if when == "copying" else 2):  # the second follows the comparison
            return await real(self, *args)
        await execute(db, come.format(await fetchval(db, PARKED)))
        try:
            return await real(self, *args)
        finally:
            await execute(db, away)

    monkeypatch.setattr(OnlineArchive, name, between)
    artifact = await archiving(db)
    assert artifact.row_count == await fetchval(db, "SELECT count(*) FROM t")
    assert await wrongly_archived(db, artifact, "part, id") == 0
    assert await left_behind(db) == []


async def churn(database, wanted="t_1"):
    """Take a partition away, change it and bring it back, again and again, while work is on."""
    connection = await asyncpg.connect(database.url)
    await connection.execute("SET lock_timeout = '1s'")
    turns = 0
    for _ in range(8):
        await asyncio.sleep(0.3)
        try:
            async with connection.transaction():
                await connection.execute("LOCK TABLE t IN ACCESS EXCLUSIVE MODE")
                if not await connection.fetchval(FOLLOWED):
                    break
                await connection.execute(f"ALTER TABLE t DETACH PARTITION {wanted}")
                await connection.execute(f"DELETE FROM {wanted} WHERE id % 50 = $1", turns)
                await connection.execute(
                    f"ALTER TABLE t ATTACH PARTITION {wanted} FOR VALUES FROM (10) TO (20)"
                )
            turns += 1
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
            pass
    await connection.close()
    return turns


@pytest.mark.newest
async def test_partitions_come_and_go_all_the_while_beside_traffic(database, db):
    await make(db, "range")
    traffic = Moving(database.url, "t", ROWS, only_while=FOLLOWED)
    running = asyncio.create_task(archiving(db, limits=Limits(rows_per_second=4_000)))
    await until(lambda: followed(db))
    async with traffic.flowing(pause=0.005):
        turns = await churn(database)
        artifact = await running
    assert turns > 0
    assert [e for e in traffic.unforeseen if "Deadlock" not in e] == []
    assert await wrongly_archived(db, artifact, "part, id") == 0
    assert await left_behind(db) == []

    running = asyncio.create_task(
        restoring(db, artifact, Limits(rows_per_second=4_000), fill="filled")
    )
    await until(lambda: followed(db))
    async with traffic.flowing(pause=0.005):
        turns = await churn(database)
        report = await running
    assert turns > 0
    assert [e for e in traffic.unforeseen if "Deadlock" not in e] == []
    assert report.artifact.status == "restored"
    assert await fetchval(db, WRONG) == 0
    assert await fetchval(db, "SELECT count(*) FROM t WHERE code IS NULL") == 0
    assert await left_behind(db) == []


@pytest.mark.newest
async def test_a_cancelled_archive_goes_on_with_other_partitions(database, db):
    await make(db, "levels")
    before = database.schema()
    async with meanwhile(db, 1_000) as running:
        job = await running_job(db, "capture")
        await jobs.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled):
        await running
    artifact = await get_artifact(db, "t.code")
    assert artifact.artifact_type == "soft_drop_column"
    # its recipe takes away what follows, though a partition is gone by then
    await execute(db, "CREATE TABLE kept AS SELECT * FROM t_1_a; DROP TABLE t_1_a;")
    script = await fetchval(db, "SELECT recovery_sql FROM zanith._zanith_migration_artifacts")
    database.psql(script)
    assert await fetchval(db, WRONG) == 0
    assert await left_behind(db) == []
    await execute(
        db,
        "CREATE TABLE t_1_a PARTITION OF t_1 FOR VALUES WITH (modulus 2, remainder 0);"
        "INSERT INTO t SELECT * FROM kept; DROP TABLE kept",
    )
    assert database.schema() == before

    async with meanwhile(db, 1_000) as running:
        job = await running_job(db, "capture")
        await jobs.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled):
        await running
    await execute(
        db,
        "ALTER TABLE t DETACH PARTITION t_0; DELETE FROM t_0 WHERE id < 1000;"
        "ALTER TABLE t ATTACH PARTITION t_0 FOR VALUES FROM (0) TO (10)",
    )
    artifact = await archiving(db)
    assert artifact.artifact_type == "archive_column"
    assert await wrongly_archived(db, artifact, "part, id") == 0
    assert await left_behind(db) == []


@pytest.mark.newest
async def test_a_killed_backend_loses_nothing(database, db):
    await make(db, "levels")
    running = asyncio.create_task(archiving(db, limits=Limits(rows_per_second=2_000)))
    await until(lambda: followed(db))
    async with database.connect() as other, other.transaction():
        await other.execute("LOCK TABLE t_1_b IN ACCESS EXCLUSIVE MODE")  # it waits here
        await until(lambda: kill_who_waits_for(other))
    with pytest.raises(Failed):
        await running
    artifact = await archiving(db)
    assert (artifact.artifact_type, artifact.row_count) == ("archive_column", ROWS)
    assert await wrongly_archived(db, artifact, "part, id") == 0


async def test_who_owns_zanith_and_the_tables_needs_no_more(database, create_role):
    owner = create_role("owner")
    give_to_operator(database.url, owner)
    async with database.connect() as connection:
        await connection.execute(f"GRANT CREATE ON SCHEMA public TO {owner}")
    opened = await Database.open(database.url_of(owner))
    try:
        await make(opened, "levels")
        await execute(opened, "CREATE INDEX ON t (code)")
        artifact = await archiving(opened)
        assert artifact.row_count == ROWS
        report = await restore(opened, artifact.id, Choices(online=True), DBA)
        assert report.fidelity["different"] == report.fidelity["missing"] == []
        assert [loss for loss in report.losses if loss.code == "not_validated"] == []
        assert await fetchval(opened, WRONG) == 0
        assert await left_behind(opened) == []
    finally:
        await opened.close()


async def test_nothing_is_dropped_where_a_partition_was_not_followed(db):
    await make(db, "range")
    async with meanwhile(db) as running:
        await execute(db, "ALTER TABLE t_1 DISABLE TRIGGER USER")
    with pytest.raises(Refused) as caught:
        await running
    assert "on public.t_1" in caught.value.message
    assert (
        await fetchval(db, f"SELECT count(*) FROM t WHERE \"{await fetchval(db, PARKED)}\" <> ''")
        == ROWS
    )
