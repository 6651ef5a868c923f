"""Seal and verify: the row count and checksum of the parked object, recorded and compared."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused, ZanithError
from app.recovery.core.progress import OnProgress
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import notify
from app.recovery.jobs import model as jobs
from app.recovery.jobs import queueing, runs
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.operation import Operation, operation
from app.recovery.queries import load
from app.recovery.rows.parallel import check_jobs, copy_rows
from app.recovery.rows.stream import (
    Measured,
    Meter,
    Reading,
    discard,
    paced,
    reporting,
    snapshot,
)

log = logging.getLogger("zanith.seal")
SQL = load("seal")
STREAM = load("stream")


@dataclass(frozen=True)
class Verification:
    """What a verification found beside what the seal says."""

    artifact: Artifact
    expected: str
    actual: str
    rows_expected: int | None
    rows: int
    matches: bool

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON shows it."""
        return {
            "artifact": self.artifact.to_json(),
            "expected": self.expected,
            "actual": self.actual,
            "rows_expected": self.rows_expected,
            "rows": self.rows,
            "matches": self.matches,
        }


@dataclass(frozen=True)
class Sealed:
    """What the row says of its seal."""

    row_count: int | None
    checksum: str | None
    settings: dict[str, str] | None


async def read_seal(connection: Connection, artifact_id: str) -> Sealed:
    """Return what the row says of its seal now."""
    row: Any = await connection.fetchrow(SQL["seal_of"], artifact_id)
    return Sealed(row["row_count"], row["checksum"], row["settings"])


async def seal(
    db: Database,
    artifact_id: str,
    actor: Actor,
    *,
    job: jobs.Job | None = None,
    on_progress: OnProgress | None = None,
    jobs_at_once: int = 1,
) -> Artifact:
    """Record the row count and checksum of the parked object, and return the artifact.

    One that is sealed already is returned as it is. Refused where there is nothing to seal, or the
    count is not the recorded one; Locked where a change of it is under way.
    """
    doing = operation(db, Kind.SEAL, actor, artifact_id, job=job, on_progress=on_progress)
    async with doing as op:
        check_jobs(jobs_at_once)
        async with op.running() as run:
            _require_rows(op.artifact)
            artifact = await get_artifact(db, op.artifact.id)
            if artifact.sealed_at is None:
                await _seal(op, artifact, run, jobs_at_once)
    return await get_artifact(db, op.artifact.id)


async def _seal(op: Operation, artifact: Artifact, run: runs.Run, jobs_at_once: int) -> None:
    db = op.db
    async with snapshot(db, artifact.id) as reading:
        settings = await reading.connection.fetchval(STREAM["canonical_settings"])
        query, measured = await _measure(op, artifact, reading, jobs_at_once, settings)
    if artifact.row_count is not None and artifact.row_count != measured.rows:
        raise Refused(
            f"{artifact.object_name} was captured with {artifact.row_count:,} rows,"
            f" and {measured.rows:,} are parked",
            hint="the parked object was changed: first find out who changed it",
        )
    async with db.acquire() as connection, connection.transaction():
        await connection.execute(
            SQL["record_seal"], artifact.id, measured.rows, measured.checksum, query, settings
        )
        found = {"rows": measured.rows, "bytes": measured.bytes, "checksum": measured.checksum}
        await op.record(connection, found)
        await notify(connection, "artifact", artifact.id)
        await run.finish(connection, found)
    run.finished = True


async def verify(
    db: Database,
    artifact_id: str,
    actor: Actor,
    *,
    job: jobs.Job | None = None,
    on_progress: OnProgress | None = None,
    jobs_at_once: int = 1,
    rate: int | None = None,
) -> Verification:
    """Read the parked object again, compare it with its seal, and record the result.

    ``jobs_at_once`` connections read it together, for a seal too, and the bytes are the same.
    ``rate`` is how many bytes a second are read at most.

    A mismatch is an answer, not an error: ``matches`` is False and the artifact's health "changed".
    Refused where there is no seal.
    """
    doing = operation(db, Kind.VERIFY, actor, artifact_id, job=job, on_progress=on_progress)
    async with doing as op:
        check_jobs(jobs_at_once)
        artifact = op.artifact
        async with op.running() as run:
            _require_rows(artifact)
            found = await _verify(op, jobs_at_once, rate)
            run.result = {key: value for key, value in found.to_json().items() if key != "artifact"}
            run.outcome = "done" if found.matches else "mismatch"
            if run.local:
                return found
            async with db.acquire() as connection, connection.transaction():
                await connection.execute(SQL["record_verification"], artifact.id, found.matches)
                await op.record(connection, run.result, run.outcome)
                await notify(connection, "artifact", artifact.id)
                await run.finish(connection, run.result)
            run.finished = True
    return Verification(
        await get_artifact(db, artifact.id),
        found.expected,
        found.actual,
        found.rows_expected,
        found.rows,
        found.matches,
    )


async def _verify(op: Operation, jobs_at_once: int, rate: int | None) -> Verification:
    db, artifact = op.db, op.artifact
    async with db.acquire() as connection:
        sealed = await read_seal(connection, artifact.id)
    if sealed.checksum is None:
        raise Refused(
            f"{artifact.object_name} is not sealed: there is no checksum to compare with",
            hint=f"zanith recover seal {artifact.id}",
        )
    async with snapshot(db, artifact.id, sealed.settings) as reading:
        _, measured = await _measure(op, artifact, reading, jobs_at_once, sealed.settings, rate)
    return judge(artifact, sealed, measured)


def judge(artifact: Artifact, sealed: Sealed, measured: Measured) -> Verification:
    """Return what the measure says beside the seal."""
    return Verification(
        artifact=artifact,
        expected=sealed.checksum or "",
        actual=measured.checksum,
        rows_expected=sealed.row_count,
        rows=measured.rows,
        matches=measured.checksum == sealed.checksum,
    )


async def _measure(
    op: Operation,
    artifact: Artifact,
    reading: Reading,
    jobs_at_once: int,
    settings: dict[str, str] | None,
    rate: int | None = None,
) -> tuple[str, Measured]:
    """Read the parked object over so many connections; return the query and the measure."""
    query: str | None = await reading.connection.fetchval(STREAM["canonical_query"], artifact.id)
    if query is None:
        raise Refused(f"{artifact.object_name} has no rows to check")
    meter = Meter()
    async with reporting(op.db, meter, artifact.row_count, op.report):
        measured = await copy_rows(
            *(op.db, reading, artifact.id, query, discard if rate is None else paced(meter, rate)),
            meter,
            jobs=jobs_at_once,
            settings=settings,
        )
    return query, measured


def _require_rows(artifact: Artifact) -> None:
    if artifact.artifact_type == "soft_drop_column":
        raise Refused(
            "a soft-dropped column has no checksum",
            detail="its values are in live rows, which change; its plan shows the changes",
            hint=f"zanith recover inspect {artifact.id}",
        )
    if artifact.physical_name is None:
        raise Refused(f"of {artifact.object_name} only the definition was kept")
    if artifact.status == "restored" and not artifact.keeps_archive:
        raise Refused(f"{artifact.object_name} is live again: nothing is parked")


async def find_sealed(db: Database, older_than: timedelta | None = None) -> list[str]:
    """Return the ids of what has a seal to be verified, the longest ago verified first.

    With ``older_than`` only what was verified, or else sealed, before that.
    """
    async with db.acquire() as connection:
        return [row["id"] for row in await connection.fetch(SQL["sealed"], older_than)]


async def find_unsealed(db: Database, limit: int | None = 100) -> list[str]:
    """Return the ids of what waits for its seal, oldest first; for a sweep."""
    async with db.acquire() as connection:
        return [row["id"] for row in await connection.fetch(SQL["unsealed"], limit)]


async def sweep(db: Database, actor: Actor, given_up: set[str]) -> None:
    """Seal what waits for its seal; what cannot be sealed is said once, and tried no more.

    What somebody else began a moment ago is theirs, and no failure to tell of.
    """
    for artifact_id in await find_unsealed(db):
        if artifact_id in given_up:
            continue
        try:
            artifact = await get_artifact(db, artifact_id)
            job = await queueing.start(
                db, "seal", artifact.id, {}, actor, object=artifact.object_name
            )
            await seal(db, artifact.id, actor, job=job)
        except ZanithError as exc:
            if exc.code != "locked":
                given_up.add(artifact_id)
                log.warning("%s is not sealed: %s", artifact_id, exc.for_log)
