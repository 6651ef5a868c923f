"""Every operation that changes or reads a parked object: how it is prepared, run and gone on with.

`done` is what must hold in the end, and is asked before it is gone on with: what a client did not
hear of may have happened all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from app.migrate.apply.status import State, read_status
from app.migrate.apply.up import migrate_up
from app.migrate.read.layouts import read_migrations
from app.migrate.read.migrations import Layout, Migration
from app.recovery import worker
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.capture.capture import capture, job_params
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, Refused
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import Choices
from app.recovery.purge.cleanup import cleanup
from app.recovery.purge.erase import erase
from app.recovery.purge.hold import hold
from app.recovery.purge.purge import purge
from app.recovery.restore.offline import find_follow_up
from app.recovery.restore.restore import restore
from app.recovery.rows.export import ExportRequest, export_to_file
from app.recovery.rows.seal import find_unsealed, seal, verify

DBA = Actor("dba", "10.0.0.9", "staff")
COLUMN, TABLE, PARTITIONED = "public.orders.code", "public.lines", "public.events.note"
Work = Callable[[Database, Path], Awaitable[object]]
Check = Callable[[Database, Path], Awaitable[bool]]


async def _nothing(db: Database, place: Path) -> None:
    """Prepare nothing."""


@dataclass(frozen=True)
class Operation:
    """One operation: `run` may be struck, `prepare` and `go_on` never are.

    ``by_hand`` is what PostgreSQL's own statements would do where something is to go for good.
    """

    name: str
    run: Work
    done: Check
    prepare: Work = _nothing
    go_on: Work | None = None
    by_hand: str = ""
    direct: bool = False  # refused behind a pooler


def _name(strategy: str) -> str:
    return COLUMN if strategy.endswith("column") else TABLE


def _request(strategy: str, name: str | None = None, **more: object) -> CaptureRequest:
    table, column = name or _name(strategy), None
    if strategy.endswith("column"):
        table, _, column = table.rpartition(".")
    if strategy != "rebuild_table":
        more = {"on_dependents": "cascade", **more}
    return CaptureRequest(strategy, table, column, **more)  # type: ignore[arg-type]


async def _find(db: Database, name: str) -> Artifact | None:
    with suppress(NotFound):
        return await get_artifact(db, name)
    return None


def _capture(strategy: str, label: str | None = None, name: str | None = None) -> Operation:
    name = name or _name(strategy)
    request = _request(
        strategy, name, online=label is not None, keep_rows=strategy == "rebuild_table"
    )

    async def run(db: Database, place: Path) -> None:
        await capture(db, request, DBA)

    async def go_on(db: Database, place: Path) -> None:
        found = await _find(db, name)
        if found is None or found.artifact_type != strategy:
            await capture(db, request, DBA)
        for artifact_id in await find_unsealed(db):  # as the studio's sweep does
            await seal(db, artifact_id, DBA)

    async def done(db: Database, place: Path) -> bool:
        found = await _find(db, name)
        if found is None or found.artifact_type != strategy:
            return False
        sealed = strategy == "soft_drop_column" or found.sealed_at is not None
        return sealed and found.status == "recoverable"

    label = label or f"capture {strategy.replace('_', ' ')}"
    return Operation(label, run, done, go_on=go_on)


def _captured(strategy: str, name: str | None = None, *, sealed: bool = True) -> Work:
    async def prepare(db: Database, place: Path) -> None:
        if sealed:
            await capture(db, _request(strategy, name), DBA)
            return
        async with db.acquire() as connection:
            await connection.execute(f"SELECT zanith.{strategy}('{TABLE}')")

    return prepare


def _restore(
    label: str, strategy: str, choices: Choices | None = None, name: str | None = None
) -> Operation:
    name = name or _name(strategy)

    async def run(db: Database, place: Path) -> None:
        await restore(db, (await get_artifact(db, name)).id, choices or Choices(), DBA)

    async def done(db: Database, place: Path) -> bool:
        found = await get_artifact(db, name)
        return found.status == "restored" and not await find_follow_up(db, found.id)

    return Operation(f"restore {label}", run, done, _captured(strategy, name))


async def _seal(db: Database, place: Path) -> None:
    await seal(db, (await get_artifact(db, TABLE)).id, DBA)


async def _sealed(db: Database, place: Path) -> bool:
    return (await get_artifact(db, TABLE)).sealed_at is not None


async def _verify(db: Database, place: Path) -> None:
    assert (await verify(db, (await get_artifact(db, TABLE)).id, DBA)).matches


async def _verified(db: Database, place: Path) -> bool:
    return (await get_artifact(db, TABLE)).verified_at is not None


def _file(place: Path) -> Path:
    return place / "lines.csv"


async def _export(db: Database, place: Path) -> None:
    request = ExportRequest((await get_artifact(db, TABLE)).id)
    job = await export_to_file(db, request, _file(place), DBA)
    assert job.result is not None
    assert job.result["equals_seal"]


async def _exported(db: Database, place: Path) -> bool:
    if not _file(place).exists():
        return False
    # a file that has its name is whole
    found = hashlib.sha256(_file(place).read_bytes()).hexdigest()
    assert found == (await get_artifact(db, TABLE)).checksum
    return _file(place).with_name("lines.csv.manifest.json").exists()


async def _purge(db: Database, place: Path) -> None:
    await purge(db, (await get_artifact(db, COLUMN)).id, DBA, confirm="code")


async def _gone(db: Database, place: Path) -> bool:
    return await _find(db, COLUMN) is None


async def _cleanup(db: Database, place: Path) -> None:
    for result in await cleanup(db, timedelta(0), expired=False, actor=DBA, before_expiry=True):
        if result.outcome != "purged":
            raise Refused(f"{result.outcome}: {result.why}")


async def _erase(db: Database, place: Path) -> None:
    found = await get_artifact(db, TABLE)
    await erase(db, found.id, {"what": "w7"}, DBA, rows=1, confirm="lines")


async def _erased(db: Database, place: Path) -> bool:
    found = await get_artifact(db, TABLE)
    async with db.acquire() as connection:
        query = f"SELECT count(*) FROM _zanith_shadow.{found.physical_name}"
        left: int = await connection.fetchval(query)
    return left == found.row_count == 119


async def _hold(db: Database, place: Path) -> None:
    await hold(db, (await get_artifact(db, COLUMN)).id, DBA, "a lawsuit")


async def _held(db: Database, place: Path) -> bool:
    return (await get_artifact(db, COLUMN)).held


async def _hand_over(db: Database, place: Path) -> None:
    params = job_params(db, _request("archive_column", online=True), Limits())
    await worker.hand_over(db, "capture", None, params, DBA, object=COLUMN)


async def _work(db: Database, place: Path) -> None:
    await worker.serve(db, 1, lambda *_: None, once=True)


async def _work_on(db: Database, place: Path) -> None:
    """Let another worker look; what failed for good somebody has to start again.

    A capture that was done and whose seal was not is left to the studio's sweep.
    """
    await _work(db, place)
    for job in await jobs.list_jobs(db, kinds=["capture"]):
        if job.state != "done" and not await _archived(db, place):
            await worker.resume(db, job.id, DBA)
            await _work(db, place)
    for artifact_id in await find_unsealed(db):
        await seal(db, artifact_id, DBA)


async def _archived(db: Database, place: Path) -> bool:
    found = await _find(db, COLUMN)
    return bool(found and found.artifact_type == "archive_column" and found.sealed_at)


# Migrations that leave nothing new behind, so that all is as before once the drops are restored.
_FILES = {
    "0001_drop_column.sql": "ALTER TABLE orders DROP COLUMN code;\n",
    "0002_drop_table.sql": "DROP TABLE lines;\nSELECT 1;\n",
}
_OUTSIDE = {
    "0001_index.sql": "-- zanith: no-transaction\n"
    "CREATE INDEX CONCURRENTLY struck ON orders (code);\n"
    "SET search_path = public;\n"
    "DROP INDEX CONCURRENTLY struck;\n"
    "ALTER TABLE orders DROP COLUMN code;\n",
}


def _migrate(label: str, files: dict[str, str]) -> Operation:
    def read(place: Path) -> tuple[Layout, list[Migration]]:
        directory = place / "migrations"
        directory.mkdir(exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text)
        return read_migrations(directory)

    async def run(db: Database, place: Path) -> None:
        await migrate_up(db, *read(place), DBA)

    async def applied(db: Database, place: Path) -> bool:
        status = await read_status(db, *read(place))
        return {entry.state for entry in status.entries} == {State.APPLIED}

    async def go_on(db: Database, place: Path) -> None:
        if not await applied(db, place):
            await run(db, place)
        for artifact_id in await find_unsealed(db):  # as the studio's sweep does
            await seal(db, artifact_id, DBA)

    async def done(db: Database, place: Path) -> bool:
        return await applied(db, place) and not await find_unsealed(db)

    return Operation(label, run, done, go_on=go_on, direct=True)


_PARKED_COLUMN = _captured("archive_column")
_PARKED_TABLE = _captured("archive_table")
_GONE = "ALTER TABLE orders DROP COLUMN code"
OPERATIONS = {
    operation.name: operation
    for operation in (
        *(_capture(name) for name in ("soft_drop_column", "soft_drop_table")),
        *(_capture(name) for name in ("archive_column", "archive_table", "rebuild_table")),
        Operation("seal", _seal, _sealed, _captured("archive_table", sealed=False)),
        Operation("verify", _verify, _verified, _PARKED_TABLE),
        Operation("export", _export, _exported, _PARKED_TABLE),
        _restore("soft column", "soft_drop_column"),
        _restore("archived column", "archive_column"),
        _restore("soft table", "soft_drop_table"),
        _restore("archived table", "archive_table"),
        _capture("archive_column", "archive online"),
        _restore("online", "archive_column", Choices(online=True)),
        _capture("archive_column", "archive partitions", PARTITIONED),
        _restore("partitions", "archive_column", Choices(online=True), PARTITIONED),
        Operation("purge", _purge, _gone, _PARKED_COLUMN, by_hand=_GONE),
        Operation("cleanup", _cleanup, _gone, _PARKED_COLUMN, by_hand=_GONE),
        Operation(
            "erase", _erase, _erased, _PARKED_TABLE, by_hand="DELETE FROM lines WHERE what = 'w7'"
        ),
        Operation("hold", _hold, _held, _PARKED_COLUMN),
        Operation("worker", _work, _archived, _hand_over, _work_on),
        _migrate("migrate up", _FILES),
        _migrate("migrate up outside", _OUTSIDE),
    )
}
