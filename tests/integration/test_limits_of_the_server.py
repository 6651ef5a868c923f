"""What the server itself ends: by a timeout, a full disk, a deadlock; and replicas that lag."""

from __future__ import annotations

import asyncio
import json
import resource
from contextlib import suppress
from datetime import timedelta

import asyncpg
import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Failed, Locked, ZanithError
from app.recovery.db.database import Database
from app.recovery.db.installer import install
from app.recovery.db.locks import run_locked
from app.recovery.inspection.doctor import doctor
from app.recovery.jobs import model as jobs
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.restore.backfill import find_unfinished
from app.recovery.restore.restore import restore
from app.recovery.rows.seal import seal, verify

DBA = Actor("dba", "10.0.0.9", "staff")
ROWS = 6_000
TABLE = f"""
CREATE TABLE t (id bigint PRIMARY KEY, n integer NOT NULL DEFAULT 0, code text NOT NULL);
INSERT INTO t (id, code) SELECT g, 'c' || g FROM generate_series(1, {ROWS}) g;
"""
RIGHT = "SELECT count(*) FROM t WHERE code = 'c' || id"
# Nearly 2 kB that cannot be made smaller.
CODE = "(SELECT string_agg(md5({}::text || i), '') FROM generate_series(1, 60) i)"
ONLINE = CaptureRequest("archive_column", "t", "code", online=True)


async def opened(database, setting="", **more):
    """Open the database with a setting for all sessions, and the table in it."""
    database.psql(TABLE)
    limit(database, setting)
    return await Database.open(database.url, **{"lock_retries": 0, **more})


def limit(database, setting):
    if setting:
        database.psql(f"ALTER DATABASE {database.name} SET {setting}")


def unlimited(database):
    database.psql(f"ALTER DATABASE {database.name} RESET ALL")


async def until(condition, seconds=20):
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.02)


# -------------------------------------------------------------------------------------- timeouts


async def test_a_statement_timeout_leaves_all_as_it_was(database):
    db = await opened(database, "statement_timeout = '500ms'", lock_timeout=timedelta(seconds=10))
    try:
        async with database.connect() as other, other.transaction():
            await other.execute("LOCK TABLE t IN SHARE MODE")
            with pytest.raises(Failed, match="statement timeout") as caught:
                await capture(db, CaptureRequest("archive_table", "t"), DBA)
        assert "statement_timeout is too short" in caught.value.hint
        assert (await doctor(db)).findings == ()
    finally:
        await db.close()
    assert database.psql(RIGHT) == str(ROWS)


async def test_an_online_restore_outlives_a_statement_timeout(database):
    db = await opened(database, lock_timeout=timedelta(seconds=10))
    artifact = await capture(db, ONLINE, DBA)
    await db.close()
    limit(database, "statement_timeout = '2s'")
    db = await Database.open(database.url, lock_timeout=timedelta(seconds=10), lock_retries=0)
    slowly = Limits(rows_per_second=ROWS // 3)
    choices = Choices(online=True)
    try:
        running = asyncio.create_task(restore(db, artifact.id, choices, DBA, limits=slowly))

        async def half_filled():
            return await find_unfinished(db, artifact.id)

        await until(half_filled)
        async with database.connect() as other, other.transaction():
            place = f"_zanith_shadow.{artifact.physical_name}"
            await other.execute(f"LOCK TABLE {place} IN ACCESS EXCLUSIVE MODE")
            with pytest.raises(Failed, match="statement timeout") as caught:
                await running
        assert (
            "the same command resumes" in caught.value.hint
        )  # nobody wanted it to stop: it is not given up
        assert await find_unfinished(db, artifact.id) == "restoring"
        [job] = await jobs.list_jobs(db, kinds=["restore"])
        assert job.state == "failed"
        await restore(db, artifact.id, choices, DBA)
        assert (await doctor(db)).findings == ()
    finally:
        await db.close()
    assert database.psql(RIGHT) == str(ROWS)


async def test_a_restore_that_rests_outlives_what_the_role_has_for_it(database):
    db = await opened(database)
    artifact = await capture(db, CaptureRequest("archive_column", "t", "code"), DBA)
    await db.close()
    limit(database, "idle_in_transaction_session_timeout = '150ms'")
    db = await Database.open(database.url, lock_timeout=timedelta(milliseconds=50), lock_retries=5)
    try:
        async with database.connect() as other:
            await other.execute("SET idle_in_transaction_session_timeout = 0")
            async with other.transaction():
                await other.execute("LOCK TABLE t IN SHARE MODE")
                with pytest.raises(Locked) as caught:
                    await restore(db, artifact.id, None, DBA)
        assert "fault" not in caught.value.message
        assert (await get_artifact(db, artifact.id)).status == "recoverable"
    finally:
        await db.close()
    unlimited(database)
    # where the job's own end was cut off as well: as after twenty seconds
    database.psql("UPDATE zanith._zanith_jobs SET lease_expires_at = now() WHERE state = 'running'")
    db = await Database.open(database.url)
    try:
        await restore(db, artifact.id, None, DBA)
        assert (await doctor(db)).findings == ()
    finally:
        await db.close()
    assert database.psql(RIGHT) == str(ROWS)


@pytest.mark.parametrize("setting", ["", "'7s'", "'5min'"])
async def test_locks_are_not_kept_by_who_is_not_heard_of(database, setting):
    """The engine's own bound holds, whatever the role has."""
    name = "idle_in_transaction_session_timeout"
    db = await opened(database, setting and f"{name} = {setting}")
    try:
        found = await run_locked(
            db, "a look", lambda connection: connection.fetchval(f"SHOW {name}")
        )
        assert found == "1min"
    finally:
        await db.close()


@pytest.mark.each_version
async def test_a_transaction_timeout_spares_the_online_forms(database):
    if database.server.version < 17:
        pytest.skip("transaction_timeout came with PostgreSQL 17")
    db = await opened(database, "transaction_timeout = '3s'", lock_timeout=timedelta(seconds=10))
    try:
        async with database.connect() as other:
            await other.execute("SET transaction_timeout = 0")
            async with other.transaction():
                await other.execute("LOCK TABLE t IN SHARE MODE")
                with pytest.raises(Failed):
                    await capture(db, CaptureRequest("archive_column", "t", "code"), DBA)
        assert (await doctor(db)).findings == ()
        slowly = Limits(rows_per_second=ROWS // 4)  # four seconds in all, and none in one piece
        artifact = await capture(db, ONLINE, DBA, limits=slowly)
        await restore(db, artifact.id, Choices(online=True), DBA, limits=slowly)
    finally:
        await db.close()
    assert database.psql(RIGHT) == str(ROWS)


# ------------------------------------------------------------------------------------- full disks


async def test_without_room_to_sort_there_is_no_seal_yet(database):
    # without a key it is ordered by the whole row, which takes a sort
    database.psql(f"{TABLE} CREATE TABLE keyless AS SELECT * FROM t")
    found = database.psql("SELECT zanith.archive_table('public.keyless')")
    limit(database, "temp_file_limit = 0")
    limit(database, "work_mem = '64kB'")
    db = await Database.open(database.url)
    try:
        with pytest.raises(Failed, match="temp_file_limit"):
            await seal(db, found, DBA)
    finally:
        await db.close()
    unlimited(database)
    db = await Database.open(database.url)
    try:
        assert {finding.kind for finding in (await doctor(db)).findings} == {"unsealed"}
        await seal(db, found, DBA)
        assert (await verify(db, found, DBA)).matches
    finally:
        await db.close()


def restart(server, largest=resource.RLIM_INFINITY):
    """Start the server anew so that no file of it may grow beyond so many bytes."""
    server.stop()
    kept = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, kept[1]))  # which it inherits
    try:
        server.start()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, kept)


@pytest.mark.newest
async def test_a_disk_that_fills_up_keeps_what_was_there(disposable_server):
    """Files of the server may not grow beyond a size, as where the disk is full."""
    connection = await asyncpg.connect(disposable_server.url())
    await install(connection)
    await connection.execute(
        "CREATE TABLE wide (id integer PRIMARY KEY, code text);"
        f"INSERT INTO wide SELECT g, {CODE.format('g')} FROM generate_series(1, 12000) g"
    )
    await connection.close()
    restart(disposable_server, 17 * 1024 * 1024)  # a segment of its log, and less than the copy
    db = await Database.open(disposable_server.url())
    try:
        for online in (False, True):
            with pytest.raises(ZanithError, match="could not extend file") as caught:
                await capture(
                    db, CaptureRequest("archive_column", "wide", "code", online=online), DBA
                )
            assert caught.value.code == "failed"
            assert "traceback" not in caught.value.message.lower()
        # the column is parked, whole, and can be gone on with or restored
        assert {finding.kind for finding in (await doctor(db)).findings} == {"unfinished"}
        await db.close()
        restart(disposable_server)
        db = await Database.open(disposable_server.url())
        request = CaptureRequest("archive_column", "wide", "code", online=True)
        artifact = await capture(db, request, DBA)
        assert artifact.row_count == 12000
        await restore(db, artifact.id, None, DBA)
    finally:
        await db.close()
    right = f"SELECT count(*) FROM wide WHERE code = {CODE.format('id')}"
    assert disposable_server.psql("postgres", right) == "12000"


# -------------------------------------------------------------------------------------- deadlocks


async def _traffic(url, told, pause):
    """One turn of an application that takes its locks the other way round."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("UPDATE t SET n = n + 1 WHERE id = 1")
            told.set()
            await asyncio.sleep(pause)
            await connection.execute("INSERT INTO parts (t) VALUES (1)")
    except asyncpg.DeadlockDetectedError:
        return 1
    except asyncpg.UndefinedTableError:
        return 0  # the drop was first
    finally:
        await connection.close()
    return 0


@pytest.mark.parametrize("pause", [0.2, 1.4])
async def test_traffic_is_no_victim_more_often_than_of_a_drop(database, twin_database, pause):
    victims = {}
    for where, how in ((twin_database, "drop"), (database, "capture")):
        where.psql(TABLE + "CREATE TABLE parts (id serial PRIMARY KEY, t bigint REFERENCES t);")
        began = asyncio.Event()
        turn = asyncio.create_task(_traffic(where.url, began, pause))
        await began.wait()
        if how == "drop":
            async with where.connect() as connection:
                with suppress(asyncpg.DeadlockDetectedError):
                    await connection.execute("DROP TABLE parts")
        else:
            db = await Database.open(where.url, lock_retries=20)
            try:
                await capture(db, CaptureRequest("archive_table", "parts"), DBA)
            finally:
                await db.close()
        victims[how] = await turn
    assert victims["capture"] <= victims["drop"]


# --------------------------------------------------------------------------------------- replicas


@pytest.mark.newest
async def test_batches_wait_for_a_replica_that_lags(disposable_server, tmp_path_factory):
    connection = await asyncpg.connect(disposable_server.url())
    await install(connection)
    await connection.execute(TABLE)
    replica = disposable_server.standby(disposable_server.directory / "replica")
    db = await Database.open(disposable_server.url())
    limits = Limits(max_lag=0.5, rows_per_second=ROWS)
    try:
        follower = await asyncpg.connect(replica.url())
        await follower.execute("SELECT pg_wal_replay_pause()")
        running = asyncio.create_task(capture(db, ONLINE, DBA, limits=limits))

        async def waits():
            found = await jobs.list_jobs(db, states=["running"])
            return found and "replica that is" in json.dumps(found[0].progress)

        await until(waits)
        await follower.execute("SELECT pg_wal_replay_resume()")
        async with asyncio.timeout(60):
            artifact = await running
        assert artifact.row_count == ROWS
        await follower.close()
    finally:
        await db.close()
        await connection.close()
        replica.remove()


async def test_a_lock_that_is_not_had_is_no_timeout(database):
    db = await opened(database, lock_timeout=timedelta(milliseconds=100))
    try:
        async with database.connect() as other, other.transaction():
            await other.execute("LOCK TABLE t IN SHARE MODE")
            with pytest.raises(Locked):
                await capture(db, CaptureRequest("archive_table", "t"), DBA)
    finally:
        await db.close()


SLOWLY_VACUUMED = """
ALTER TABLE t SET (autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,
                   autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1);
UPDATE t SET n = 1;
ALTER SYSTEM SET autovacuum_naptime = 1;
SELECT pg_reload_conf();
"""
VACUUMED = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid)"
VACUUMED += " WHERE l.relation = 'public.t'::regclass AND a.backend_type = 'autovacuum worker'"


async def test_autovacuum_gives_way_before_traffic_queues_for_long(disposable_server):
    connection = await asyncpg.connect(disposable_server.url())
    await install(connection)
    await connection.execute(TABLE)
    for statement in SLOWLY_VACUUMED.strip().split(";\n"):
        await connection.execute(statement)
    db = await Database.open(disposable_server.url(), lock_timeout=timedelta(seconds=10))
    try:
        await until(lambda: connection.fetchval(VACUUMED))
        began = asyncio.get_running_loop().time()
        await capture(db, CaptureRequest("soft_drop_column", "t", "code"), DBA)
        # the server has it give way after deadlock_timeout, which is 1 s
        assert asyncio.get_running_loop().time() - began < 0.8
    finally:
        await db.close()
        await connection.close()
