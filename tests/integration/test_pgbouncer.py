"""Behind PgBouncer in transaction mode: each transaction may meet another backend."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.capture.capture import capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, Refused
from app.recovery.db.database import Database
from app.recovery.inspection.doctor import doctor
from app.recovery.jobs import model as jobs
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.purge.hold import hold
from app.recovery.restore.restore import restore
from tests.clusters import free_port, server_identity
from tests.faults.operations import OPERATIONS
from tests.faults.world import TABLES
from tests.traffic import Traffic

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
DBA = Actor("dba", "10.0.0.9", "staff")
ROWS = 4_000
TABLE = f"""
CREATE TABLE t (id bigint PRIMARY KEY, tag text NOT NULL, n integer NOT NULL DEFAULT 0,
                code text NOT NULL DEFAULT 'none');
INSERT INTO t SELECT g, 'r' || g, 0, 'c' || g FROM generate_series(1, {ROWS}) g;
"""
SETTINGS = """
[databases]
* = host={host} port={server_port} user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = {size}
logfile = {directory}/log
"""


@pytest.fixture
def pooled_url(database, run_directory) -> Iterator[str]:
    """The address of the database by way of a pooler that has few connections for many clients."""
    directory = Path(run_directory) / f"pgbouncer-{database.name}"
    directory.mkdir()
    port = free_port()
    settings = directory / "pgbouncer.ini"
    settings.write_text(
        SETTINGS.format(
            host=database.server.host,
            server_port=database.server.port,
            port=port,
            size=6,
            directory=directory,
        )
    )
    if account := server_identity():
        os.chown(directory, account["user"], account["group"])
    process = subprocess.Popen(
        [PROGRAM, "-q", settings], stderr=subprocess.DEVNULL, cwd="/", **server_identity()
    )
    try:
        url = f"postgresql://postgres@127.0.0.1:{port}/{database.name}"
        for _ in range(100):
            with suppress(subprocess.CalledProcessError):
                subprocess.run(
                    [database.server.bin_dir / "psql", url, "-c", "SELECT 1"],
                    check=True,
                    capture_output=True,
                )
                break
            time.sleep(0.05)
        yield url
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("name", list(OPERATIONS))
@pytest.mark.newest
async def test_every_operation_works_through_it_or_asks_for_a_direct_connection(
    database, pooled_url, tmp_path, name
):
    database.psql(TABLES)
    db = await Database.open(pooled_url)
    assert db.pooled
    try:
        operation = OPERATIONS[name]
        await operation.prepare(db, tmp_path)
        async with asyncio.timeout(30):
            if operation.direct:
                with pytest.raises(Refused, match="direct connection"):
                    await operation.run(db, tmp_path)
            else:
                await operation.run(db, tmp_path)
        assert await operation.done(db, tmp_path) is not operation.direct
        assert (await doctor(db)).findings == ()
    finally:
        await db.close()


async def test_the_online_forms_work_beside_traffic_that_shares_the_pool(database, pooled_url):
    database.psql(TABLE)
    db = await Database.open(pooled_url)
    followed = "SELECT EXISTS (SELECT FROM pg_trigger WHERE starts_with(tgname, '~zanith_follow_'))"
    traffic = Traffic(pooled_url, "t", ROWS, only_while=followed)
    limits = Limits(rows_per_second=8_000)
    request = CaptureRequest("archive_column", "t", "code", online=True)
    try:
        async with traffic.flowing():
            artifact = await capture(db, request, DBA, limits=limits)
        async with traffic.flowing():
            await restore(db, artifact.id, Choices(online=True, fill="x"), DBA, limits=limits)
        assert traffic.errors == []
        assert traffic.done > 50
    finally:
        await db.close()
    wrong = "SELECT count(*) FROM t WHERE tag LIKE 'r%' AND code <> 'c' || substr(tag, 2)"
    assert database.psql(wrong) == "0"


@pytest.mark.newest
async def test_a_job_is_cancelled_without_being_told(database, pooled_url):
    database.psql(TABLE)
    db = await Database.open(pooled_url)
    request = CaptureRequest("archive_column", "t", "code", online=True)
    try:
        running = asyncio.create_task(
            capture(db, request, DBA, limits=Limits(rows_per_second=ROWS // 8))
        )
        async with asyncio.timeout(20):
            while not (found := await jobs.list_jobs(db, states=["running"])):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
            await jobs.cancel(db, found[0].id, DBA)
            with pytest.raises(Cancelled, match="cancelled by dba"):
                await running
    finally:
        await db.close()


@pytest.mark.newest
@pytest.mark.parametrize("direct", [True, False])
async def test_events_come_at_once_with_a_direct_address(database, pooled_url, direct):
    database.psql(TABLES)
    listen = database.url if direct else None
    db = await Database.open(pooled_url, listen_url=listen)
    try:
        artifact = (
            await capture(db, CaptureRequest("archive_table", "customers"), DBA)
            if 0
            else (await capture(db, CaptureRequest("archive_table", "lines"), DBA))
        )
        heard = []
        async with db.events.subscribe() as queue:
            with suppress(TimeoutError):
                async with asyncio.timeout(5):
                    while not (heard and heard[-1].kind == "reconnected"):
                        heard.append(await queue.get())
            await hold(db, artifact.id, DBA)
            with suppress(TimeoutError):
                async with asyncio.timeout(2):
                    while artifact.id not in {event.id for event in heard}:
                        heard.append(await queue.get())
        assert (artifact.id in {event.id for event in heard}) == direct
        # nobody's LISTEN is left on a connection that others get
        assert (await get_artifact(db, artifact.id)).held
    finally:
        await db.close()


@pytest.mark.newest
def test_the_command_line_works_through_it(database, pooled_url):
    database.psql(TABLES)
    environment = {**os.environ, "ZANITH_DATABASE_URL": pooled_url}

    def zanith(*words: str) -> str:
        command = [sys.executable, "-c", "from app.cli import main; main()", "recover", *words]
        ended = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    database.psql("SELECT zanith.archive_table('public.lines')")
    [found] = json.loads(zanith("list", "--json"))["artifacts"]
    assert "lines" in zanith("inspect", found["id"])
    zanith("doctor")
    zanith("restore-table", "lines", "--yes")


@pytest.mark.newest
async def test_many_who_name_a_table_of_two_schemas_wait_for_nobody(database, pooled_url):
    database.psql(
        "CREATE SCHEMA s; CREATE TABLE t (id int); CREATE TABLE s.t (id int);"
        "SELECT zanith.archive_table('t'), zanith.archive_table('s.t')"
    )
    db = await Database.open(pooled_url)
    try:
        async with asyncio.timeout(20):
            found = await asyncio.gather(*(get_artifact(db, "t") for _ in range(20)))
        assert {artifact.source_schema for artifact in found} == {"public"}
    finally:
        await db.close()


@pytest.mark.newest
async def test_a_step_that_needs_a_session_is_refused(database, pooled_url):
    database.psql(f"{TABLE} CREATE INDEX ON t (code)")
    artifact = database.psql("SELECT zanith.archive_column('t', 'code')")
    database.psql(
        "CREATE FUNCTION public.note() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';"
        "CREATE EVENT TRIGGER note ON ddl_command_end EXECUTE FUNCTION public.note()"
    )
    db = await Database.open(pooled_url)
    try:
        with pytest.raises(Refused, match="behind this pooler") as refused:
            await restore(db, artifact, Choices(online=True), DBA)
        assert "directly" in (refused.value.hint or "")
        await restore(db, artifact, Choices(), DBA)
    finally:
        await db.close()
