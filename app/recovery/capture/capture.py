"""Captures: planned, run under the lock discipline, sealed right after their commit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from app.recovery.artifacts.companions import find_companions
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.capture.online_archive import OnlineArchive
from app.recovery.capture.planning import CapturePlan, callers_path, plan_in
from app.recovery.capture.request import CaptureRequest, check_request
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused, Taken, WrongUsage, ZanithError
from app.recovery.core.progress import OnProgress, tell
from app.recovery.core.strategies import Strategy
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.locks import run_locked
from app.recovery.jobs import model as jobs
from app.recovery.jobs import queueing, runs
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.operation import Operation, operation
from app.recovery.jobs.throttle import Limits
from app.recovery.plan.model import check_digest
from app.recovery.queries import load
from app.recovery.rows.seal import seal

SQL = load("capture")
ONLINE = load("online")
PLAN = load("plan")
_GO_ON = (
    "the column is parked as {}: the same command resumes, zanith recover restore-column undoes it"
)


async def capture(
    db: Database,
    request: CaptureRequest,
    actor: Actor,
    *,
    expected_digest: str | None = None,
    job: jobs.Job | None = None,
    on_progress: OnProgress | None = None,
    limits: Limits | None = None,
) -> Artifact:
    """Capture in one transaction, seal what has rows, and return the artifact of what was named.

    Under a job, that ends in the same transaction. Locked, naming who blocks, where the lock is not
    had in the tries that the settings allow; Refused where the plan is another than the digest
    says. A seal that fails leaves the capture unsealed: the log says why, and a sweep tries again.
    """
    doing = operation(
        *(db, Kind.CAPTURE, actor),
        name=request.object_name,
        job=job,
        on_progress=on_progress,
        reason=request.reason,
        migration_id=request.migration_id,
    )
    async with doing as op:
        check_request(request)
        (limits or Limits()).check()
        if request.online:
            artifact_id = await _capture_online(op, request, expected_digest, limits or Limits())
        elif job is None:  # a role that may only capture has no access to jobs
            artifact_id = await _capture(op, request, expected_digest, None)
        else:
            async with op.running() as run:
                artifact_id = await _capture(op, request, expected_digest, run)
                run.finished = True
    return await _seal(db, artifact_id, actor, on_progress)


async def capture_together(
    db: Database,
    requests: Sequence[CaptureRequest],
    plans: Sequence[CapturePlan],
    actor: Actor,
    *,
    on_progress: OnProgress | None = None,
) -> list[Artifact]:
    """Capture several in one transaction, in their order; seal what has rows.

    ``plans`` are those that were shown, each made as if it were the only one. A step that several
    share runs with the first. Refused where a plan has changed, or where a later one would
    run what was not shown: then nothing was changed.
    """
    names = ", ".join(request.object_name for request in requests)
    path = await db.configured_path()

    async def work(connection: Connection) -> list[str]:
        await connection.execute(SQL["actor"], actor.name)
        for request, shown in zip(requests, plans, strict=True):
            check_digest(await plan_in(connection, request, path), shown.digest)
        ids: list[str] = []
        for request, shown in zip(requests, plans, strict=True):
            if ids:
                _check_shown(await plan_in(connection, request, path), shown)
            ids.append(await _execute(db, connection, request, path))
        return ids

    doing = operation(
        *(db, Kind.CAPTURE, actor),
        name=names,
        on_progress=on_progress,
        reason=requests[0].reason,
        migration_id=requests[0].migration_id,
    )
    async with doing as op:
        for request in requests:
            check_request(request)
            if request.online:
                raise WrongUsage("--online takes one column", hint="drop the columns one by one")
        await op.report({"step": "capture"})
        ids = await run_locked(db, f"the drop of {names}", work, op.report)
    return [await _seal(db, artifact_id, actor, on_progress) for artifact_id in ids]


def _check_shown(now: CapturePlan, shown: CapturePlan) -> None:
    """Raise Refused where a step would run that was not in the plan that was looked at."""
    if not {step.sql for step in now.steps} <= {step.sql for step in shown.steps}:
        raise Refused(
            f"{now.object} has another plan once the others are dropped: nothing was changed",
            hint="name them in another order, or drop them one after the other",
        )


async def _seal(
    db: Database, artifact_id: str, actor: Actor, on_progress: OnProgress | None
) -> Artifact:
    """Seal what was just captured with its companions; return the one that was named."""
    for companion in await find_companions(db, artifact_id):
        await _seal_one(db, companion.id, actor, on_progress)
    return await _seal_one(db, artifact_id, actor, on_progress)


async def _seal_one(
    db: Database, artifact_id: str, actor: Actor, on_progress: OnProgress | None
) -> Artifact:
    """Seal one artifact, or wait for the sweep that was quicker; return it as it is."""
    artifact = await get_artifact(db, artifact_id)
    if artifact.physical_name is None or artifact.artifact_type == "soft_drop_column":
        return artifact
    try:
        while artifact.sealed_at is None:
            try:
                return await seal(db, artifact.id, actor, on_progress=on_progress)
            except Taken as exc:
                if exc.job_id is not None:
                    step = f"another session is sealing it: {exc.detail}"
                    await tell(on_progress, {"step": step})
                    await queueing.await_end(db, exc.job_id)
                artifact = await get_artifact(db, artifact.id)
    except ZanithError as exc:
        await tell(on_progress, {"step": f"not sealed: {exc.message}"})
        return await get_artifact(db, artifact.id)
    return artifact


async def _capture(
    op: Operation, request: CaptureRequest, expected_digest: str | None, run: runs.Run | None
) -> str:
    db = op.db
    path = await db.configured_path()

    async def work(connection: Connection) -> str:
        await connection.execute(SQL["actor"], op.actor.name)
        if expected_digest is not None:
            check_digest(await plan_in(connection, request, path), expected_digest)
        found = await _execute(db, connection, request, path)
        if run is not None and request.online:
            await run.attach(connection, found)
        elif run is not None:
            await run.finish(connection, {"artifact_id": found})
        return found

    await op.report({"step": "capture"})
    return await run_locked(db, f"the drop of {request.object_name}", work, op.report)


async def _execute(db: Database, connection: Connection, request: CaptureRequest, path: str) -> str:
    """Run a capture in the transaction that is open; the artifact's id."""
    strategy = "soft_drop_column" if request.online else request.strategy
    async with callers_path(connection, request, path):
        found: str = await connection.fetchval(SQL[strategy], *_arguments(request, db.retention))
    return found


async def _capture_online(
    op: Operation,
    request: CaptureRequest,
    expected_digest: str | None,
    limits: Limits,
) -> str:
    """Park the column and archive it from there; one that is parked already is gone on with.

    A job that is given is claimed before anything is looked at: of several workers one may.
    """
    db, found = op.db, None
    if op.job is None:
        found = parked, plan = await _look(db, request)
        params = job_params(db, request, limits)
        running = op.running(params, artifact_id=parked, name=plan.object)
    else:
        running = op.running()
    artifact_id: str | None = None
    try:
        async with running as run:
            artifact_id, plan = found or await _look(db, request)
            if run.job.artifact_id not in {None, artifact_id}:
                raise Refused(f"{plan.object} is not parked any more: there is nothing to resume")
            if artifact_id is None:
                artifact_id = await _capture(op, request, expected_digest, run)
            else:
                check_digest(plan, expected_digest)
            artifact = await get_artifact(db, artifact_id)
            await OnlineArchive(op, artifact, limits).run_all(plan.row_estimate)
    except ZanithError as exc:
        if artifact_id is None:
            raise
        exc.hint = "\n".join(filter(None, (exc.hint, _GO_ON.format(artifact_id))))
        raise
    return artifact_id


async def _look(db: Database, request: CaptureRequest) -> tuple[str | None, CapturePlan]:
    """Return the id under which the column is parked already, if it is, and the plan from there."""
    path = await db.configured_path()
    async with db.acquire() as connection, connection.transaction(readonly=True):
        async with callers_path(connection, request, path) as table:
            pass
        parked: str | None = await connection.fetchval(ONLINE["parked"], table, request.column)
        return parked, await plan_in(connection, request, path)


def job_params(
    db: Database, request: CaptureRequest, limits: Limits | None = None
) -> dict[str, Any]:
    """Return what a job has to know so that any worker can run it, or go on with it.

    It expires as the settings of the requesting process say, not as the worker's.
    """
    if request.expires_in == "default":
        request = replace(request, expires_in=db.retention)
    return {
        "online": request.online,
        "request": request.to_json(),
        "limits": limits.to_json() if limits and request.online else None,
    }


def _arguments(request: CaptureRequest, retention: timedelta | str | None) -> tuple[Any, ...]:
    wanted = retention if request.expires_in == "default" else request.expires_in
    expiry = (wanted == "default", None if wanted == "default" else wanted)
    subject = (request.table, *((request.column,) if request.column is not None else ()))
    story = (request.migration_id, request.reason)
    if request.strategy == Strategy.REBUILD_TABLE:
        return (*subject, *story, request.keep_rows, request.published_ok, *expiry)
    if request.strategy in (Strategy.ARCHIVE_ROWS, Strategy.ARCHIVE_VALUES):
        return (*subject, *story, request.published_ok, *expiry)
    return (*subject, *story, request.on_dependents, request.published_ok, *expiry)
