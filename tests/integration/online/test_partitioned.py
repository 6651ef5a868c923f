"""The online forms on partitioned tables, whose rows and partitions come, go and move meanwhile."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import timedelta

import asyncpg
import pytest

from app.recovery import jobs, oversight
from app.recovery.archiving import Archiving
from app.recovery.artifacts import get_artifact
from app.recovery.capture import CaptureRequest, capture
from app.recovery.database import Database
from app.recovery.errors import Cancelled, Failed, Refused
from app.recovery.filling import Filling
from app.recovery.health import doctor
from app.recovery.pace import Limits
from app.recovery.plan import Choices, plan_restore
from app.recovery.restore import restore
from app.recovery.restoring import Restoring
from app.recovery.seal import verify
from tests.online import (
    DBA,
    FOLLOWED,
    ROWS,
    SLOWLY,
    WRONG,
    archived,
    execute,
    fetchval,
    followed,
    left_behind,
    place,
    running_job,
    until,
)
from tests.traffic import Traffic

COLUMNS = """
    id bigint NOT NULL, part integer NOT NULL DEFAULT 0, tag text NOT NULL,
    n integer NOT NULL DEFAULT 0, code text{}, PRIMARY KEY (part, id)"""
RANGES = """
CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (0) TO (10);
CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (10) TO (20);
CREATE TABLE t_rest PARTITION OF t DEFAULT;
"""
SHAPES = {
    "range": "CREATE TABLE t (" + COLUMNS + ") PARTITION BY RANGE (part);" + RANGES,
    "list": "CREATE TABLE t (" + COLUMNS + ") PARTITION BY LIST (part);"
    "CREATE TABLE t_0 PARTITION OF t FOR VALUES IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9);"
    "CREATE TABLE t_1 PARTITION OF t FOR VALUES IN (10, 11, 12, 13, 14, 15);"
    "CREATE TABLE t_rest PARTITION OF t DEFAULT;",
    "hash": "CREATE TABLE t (" + COLUMNS + ") PARTITION BY HASH (part, id);"
    "CREATE TABLE t_0 PARTITION OF t FOR VALUES WITH (modulus 3, remainder 0);"
    "CREATE TABLE t_1 PARTITION OF t FOR VALUES WITH (modulus 3, remainder 1);"
    "CREATE TABLE t_2 PARTITION OF t FOR VALUES WITH (modulus 3, remainder 2);",
    "levels": "CREATE TABLE t (" + COLUMNS + ") PARTITION BY RANGE (part);"
    "CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (10) TO (20) PARTITION BY HASH (id);"
    "CREATE TABLE t_1_a PARTITION OF t_1 FOR VALUES WITH (modulus 2, remainder 0);"
    "CREATE TABLE t_1_b PARTITION OF t_1 FOR VALUES WITH (modulus 2, remainder 1);"
    "CREATE TABLE t_rest PARTITION OF t DEFAULT;",
}
FILL = f"""
INSERT INTO t (id, part, tag, code)
SELECT g, g % 25, 'r' || g, 'c' || g FROM generate_series(1, {ROWS}) g;
"""


class Moving(Traffic):
    """Traffic whose rows also go from one partition to another, and change places across them."""

    def _next(self, chance, who, turn):
        one, other = chance.randint(1, self.rows), chance.randint(1, self.rows)
        fresh, part = who * 10_000_000 + turn, chance.randint(0, 24)
        more = f"UPDATE {self.table} SET n = n + 1 WHERE id = $1"
        new = f"INSERT INTO {self.table} (id, part, tag) VALUES ($1, $2, 'new')"
        gone = f"DELETE FROM {self.table} WHERE id = $1 AND part = $2"
        over = f"UPDATE {self.table} SET part = $2 WHERE id = $1"
        to_id = f"UPDATE {self.table} SET id = $1 WHERE id = $2"
        return chance.choice(
            [
                [(more, (one,))],
                [(more, (one,))],
                [(new, (fresh, part))],
                [(new, (one, part))],  # another row under an id, in this partition or another
                [(gone, (one, part))],
                [(gone, (one, one % 25))],
                [(gone, (one, one % 25)), (new, (one, one % 25))],  # another row under its key
                [(over, (one, part))],
                [(over, (one, part)), (over, (one, one % 25))],  # there and back
                [(over, (one, part)), (to_id, (-fresh, one))],
                [(to_id, (-fresh, one)), (to_id, (one, other)), (to_id, (other, -fresh))],
            ]
        )

    @property
    def unforeseen(self):
        """Errors that an application would not meet without us: that a row moved is not one."""
        return [error for error in self.errors if "another partition" not in error]


@pytest.fixture
async def db(database):
    opened = await Database.open(
        database.url, lock_timeout=timedelta(milliseconds=300), lock_retries=6
    )
    yield opened
    await opened.close()


async def make(db, shape, constraint=" NOT NULL DEFAULT 'none'"):
    await execute(db, SHAPES[shape].format(constraint) + FILL)


async def archiving(db, limits=None, **more):
    wanted = CaptureRequest("archive_column", "t", "code", online=True, **more)
    return await capture(db, wanted, DBA, limits=limits)


@asynccontextmanager
async def meanwhile(db, rate=4_000):
    """An archive under way, already copying, for what happens in the middle of it."""
    running = asyncio.create_task(archiving(db, limits=Limits(rows_per_second=rate)))
    await until(lambda: followed(db))
    await until(lambda: fetchval(db, COPIED))
    try:
        yield running
    except BaseException:
        running.cancel()
        raise


COPIED = """SELECT COALESCE((SELECT pg_relation_size(c.oid) > 0 FROM pg_class c
 WHERE relname ~ '^_zanith_archive' AND relkind = 'r'), false)"""


async def wrongly_archived(db, artifact):
    """Of each row that was there and still is its own value, of no other row any."""
    return await fetchval(
        db,
        f"SELECT count(*) FROM t FULL JOIN {place(artifact)} a USING (part, id)"
        " WHERE (tag LIKE 'r%') IS DISTINCT FROM (a.code IS NOT NULL)"
        " OR a.code <> 'c' || substr(tag, 2)",
    )


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
    assert await wrongly_archived(db, artifact) == 0
    assert await left_behind(db) == []
    assert (await doctor(db)).findings == ()

    traffic.done = 0
    async with traffic.flowing():
        wanted = Choices(online=True, fill="filled")
        report = await restore(db, artifact.id, wanted, DBA, limits=SLOWLY)
    assert traffic.unforeseen == []
    assert traffic.done > 50
    assert await fetchval(db, WRONG) == 0
    # what came before the restore was filled, what came while it ran has the column's own default
    came = "SELECT array(SELECT DISTINCT code FROM t WHERE tag = 'new' ORDER BY 1)"
    assert await fetchval(db, came) == ["filled", "none"]
    assert report.fidelity["different"] == report.fidelity["missing"] == []
    assert [loss.code for loss in report.losses if loss.code == "not_validated"] == []
    assert await left_behind(db) == []


FULL = """
CREATE TABLE kinds (code text PRIMARY KEY);
INSERT INTO kinds SELECT 'c' || g FROM generate_series(1, 300) g;
CREATE TABLE t (
    id integer, part integer, tag text, PRIMARY KEY (part, id),
    code text NOT NULL CONSTRAINT short CHECK (length(code) < 9),
    CONSTRAINT once UNIQUE (code, part),
    CONSTRAINT later UNIQUE (part, code) INCLUDE (tag) DEFERRABLE INITIALLY DEFERRED
) PARTITION BY RANGE (part);
CREATE TABLE t_0 PARTITION OF t FOR VALUES FROM (0) TO (10);
CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (10) TO (20) PARTITION BY LIST (part);
CREATE TABLE t_1_a PARTITION OF t_1 FOR VALUES IN (10, 11, 12, 13, 14);
CREATE TABLE t_1_b PARTITION OF t_1 DEFAULT;
CREATE TABLE t_rest PARTITION OF t DEFAULT;
INSERT INTO t SELECT g, g % 25, 'r' || g, 'c' || g FROM generate_series(1, 300) g;
CREATE INDEX t_upper ON t (upper(code)) WHERE id > 5;
CREATE UNIQUE INDEX t_pair ON t (part, id, code);
CREATE INDEX t_plain ON t (code) WITH (fillfactor = 70);
CREATE INDEX t_1_only ON t_1 (code, id);
CREATE UNIQUE INDEX t_0_only ON t_0 (code);
ALTER TABLE t_1_a ADD CONSTRAINT longer CHECK (length(code) > 1);
ALTER TABLE t_1_a ADD CONSTRAINT alone UNIQUE (code);
ALTER TABLE ONLY t_1_a ALTER code SET STORAGE external, ALTER code SET DEFAULT 'a';
ALTER TABLE ONLY t_1_a ALTER code SET STATISTICS 7;
ALTER TABLE t ALTER code SET STATISTICS 5;
ALTER TABLE ONLY t ALTER code SET DEFAULT 'top';
CREATE STATISTICS t_both ON code, tag FROM t;
CREATE STATISTICS t_0_both ON code, id FROM t_0;
COMMENT ON INDEX t_pair IS 'both';
COMMENT ON INDEX t_0_code_idx IS 'of a partition';
COMMENT ON CONSTRAINT once ON t IS 'only once';
COMMENT ON COLUMN t_0.code IS 'here';
GRANT SELECT (code) ON t TO PUBLIC;
GRANT UPDATE (code) ON t_rest TO PUBLIC;
CREATE VIEW short_codes AS SELECT left(code, 1) AS first FROM t;
"""


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
        real = Archiving._compare

        async def compare(self):
            found = await real(self)
            if not changed:
                changed.append(
                    await execute(db, CHANGES[change].format(await fetchval(db, PARKED)))
                )
            return found

        monkeypatch.setattr(Archiving, "_compare", compare)
        artifact = await archiving(db)
    assert artifact.artifact_type == "archive_column"
    assert await wrongly_archived(db, artifact) == 0
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
    assert await wrongly_archived(db, artifact) == 0
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
    real = getattr(Archiving, name)

    async def between(self, *args):
        times.append(name)
        if len(times) != (1 if when == "copying" else 2):  # the second follows the comparison
            return await real(self, *args)
        await execute(db, come.format(await fetchval(db, PARKED)))
        try:
            return await real(self, *args)
        finally:
            await execute(db, away)

    monkeypatch.setattr(Archiving, name, between)
    artifact = await archiving(db)
    assert artifact.row_count == await fetchval(db, "SELECT count(*) FROM t")
    assert await wrongly_archived(db, artifact) == 0
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
    assert await wrongly_archived(db, artifact) == 0
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
        await oversight.cancel(db, job.id, DBA)
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
        await oversight.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled):
        await running
    await execute(
        db,
        "ALTER TABLE t DETACH PARTITION t_0; DELETE FROM t_0 WHERE id < 1000;"
        "ALTER TABLE t ATTACH PARTITION t_0 FOR VALUES FROM (0) TO (10)",
    )
    artifact = await archiving(db)
    assert artifact.artifact_type == "archive_column"
    assert await wrongly_archived(db, artifact) == 0
    assert await left_behind(db) == []


@pytest.mark.newest
async def test_a_killed_backend_loses_nothing(database, db):
    await make(db, "levels")
    running = asyncio.create_task(archiving(db, limits=Limits(rows_per_second=2_000)))
    await until(lambda: followed(db))
    async with database.connect() as other, other.transaction():
        await other.execute("LOCK TABLE t_1_b IN ACCESS EXCLUSIVE MODE")  # it waits here

        async def killed():
            return await other.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )

        await until(killed)
    with pytest.raises(Failed):
        await running
    artifact = await archiving(db)
    assert (artifact.artifact_type, artifact.row_count) == ("archive_column", ROWS)
    assert await wrongly_archived(db, artifact) == 0


async def test_who_owns_the_tables_needs_no_more(database, create_role):
    owner = create_role("owner")
    async with database.connect() as connection:
        await connection.execute(
            f"GRANT CREATE ON SCHEMA public TO {owner};"
            f"GRANT USAGE ON SCHEMA zanith TO {owner};"
            f"GRANT ALL ON ALL TABLES IN SCHEMA zanith TO {owner};"
            f"GRANT ALL ON ALL SEQUENCES IN SCHEMA zanith TO {owner};"
            f"GRANT ALL ON ALL FUNCTIONS IN SCHEMA zanith TO {owner};"
            f"GRANT ALL ON SCHEMA _zanith_shadow TO {owner};"
        )
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


# ------------------------------------------------------------------------------------- restoring


def restoring(db, artifact, limits=None, **choices):
    return restore(db, artifact.id, Choices(online=True, **choices), DBA, limits=limits)


@asynccontextmanager
async def filling(db, artifact, rate=4_000, **choices):
    """A restore under way, for what happens in the middle of it."""
    running = asyncio.create_task(restoring(db, artifact, Limits(rows_per_second=rate), **choices))
    await until(lambda: followed(db))
    await asyncio.sleep(0.2)
    try:
        yield running
    except BaseException:
        running.cancel()
        raise


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
        real = Filling._compare

        async def compare(self, *args, **more):
            found = await real(self, *args, **more)
            if not changed:
                changed.append(await happens())
            return found

        monkeypatch.setattr(Filling, "_compare", compare)
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
        real = Filling._compare

        async def compare(self, *args, **more):
            found = await real(self, *args, **more)
            await execute(db, away)
            return found

        monkeypatch.setattr(Filling, "_compare", compare)
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
        await oversight.cancel(db, job.id, DBA)
    with pytest.raises(Cancelled):
        await running
    assert database.schema() == before


@pytest.mark.newest
@pytest.mark.parametrize("online", [True, False])
async def test_an_interrupted_restore_goes_on_or_begins_anew(db, online):
    await make(db, "levels")
    artifact = await archived(db)
    async with filling(db, artifact, 1_000, fill="f") as running:
        jobs.interrupt(running)
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

        async def killed():
            return await other.fetchval(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE pg_backend_pid() = ANY (pg_blocking_pids(pid))"
            )

        await until(killed)
    with pytest.raises(Failed):
        await running
    await restoring(db, artifact)
    assert await fetchval(db, WRONG) == 0


async def test_rows_that_somebody_holds_or_moves_are_filled_last(db):
    await make(db, "range")
    artifact = await archived(db)
    async with filling(db, artifact, 1_500) as running, db.acquire() as holder:
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
    real = Restoring._follow_up

    async def follow_up(self, *args):
        if not changed:
            late = "CREATE TABLE t_4 PARTITION OF t FOR VALUES FROM (120) TO (130)"
            changed.append(await execute(db, late))
        return await real(self, *args)

    monkeypatch.setattr(Restoring, "_follow_up", follow_up)
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
    real = Filling._compare

    async def compare(self, *args, **more):
        await execute(db, "INSERT INTO t (id, part, tag) VALUES (1001, 1, 'new')")
        await execute(db, f"UPDATE t SET \"{await fetchval(db, HALF)}\" = 'c1' WHERE id = 1001")
        return await real(self, *args, **more)

    monkeypatch.setattr(Filling, "_compare", compare)
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
