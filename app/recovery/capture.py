"""Captures: planned, run under the lock discipline, sealed right after their commit."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from typing import Any

from app.recovery import jobs, queueing, runs
from app.recovery.archiving import Archiving
from app.recovery.artifact import TYPES, Artifact
from app.recovery.database import (
    LONGEST_NAME,
    LONGEST_REASON,
    Actor,
    Connection,
    Database,
)
from app.recovery.durations import format_duration, parse_duration
from app.recovery.errors import NotFound, Refused, Taken, WrongUsage, ZanithError
from app.recovery.kinds import Kind
from app.recovery.locks import run_locked
from app.recovery.looking import look
from app.recovery.lookup import get_artifact
from app.recovery.names import quote
from app.recovery.operation import Operation, operation
from app.recovery.options import option
from app.recovery.pace import Limits
from app.recovery.plan import Step, check_digest, digest_of, parse_steps
from app.recovery.progress import OnProgress, tell
from app.recovery.seal import seal
from app.recovery.sql import load

SQL = load("capture")
ONLINE = load("online")
PLAN = load("plan")
COLUMN_STRATEGIES = ("soft_drop_column", "archive_column")
_GO_ON = (
    "the column is parked as {}: the same command goes on, zanith recover restore-column undoes it"
)
DEPENDENTS = ("refuse", "keep", "cascade")


@dataclass(frozen=True)
class CaptureRequest:
    """What to capture and how.

    ``table`` is SQL text for a table's name, ``column`` an exact name; ``expires_in`` None is
    never, "default" what the database's zanith.retention says.
    """

    strategy: str
    table: str
    column: str | None = None
    migration_id: str | None = option(
        "The migration that this capture belongs to.",
        label="Migration or ticket",
        metavar="ID",
        longest=LONGEST_NAME,
    )
    expires_in: timedelta | str | None = option(
        "How long to keep it, such as 30d, 12h or never; then a cleanup may purge it. Default: "
        "ZANITH_RETENTION, 30d where it is not set.",
        default="default",
        label="Keep it for",
        metavar="30d|never",
        longest=40,
        read=parse_duration,
        write=format_duration,
    )
    reason: str | None = option(
        "Why; kept in the audit log.", label="Why, for whoever finds it", longest=LONGEST_REASON
    )
    on_dependents: str = option(
        "refuse as DROP does; keep them where a rename allows it; or record and drop them.",
        default="refuse",
        label="What depends on it",
        words=DEPENDENTS,
    )
    published_ok: bool = option(
        "Continue although a publication includes the table.",
        default=False,
        label="Published is fine",
    )
    keep_rows: bool = option(
        "Copy the rows too, so that they can be exported.", default=False, label="Keep the rows"
    )
    online: bool = option(
        "Work in batches, with short locks, while reads and writes go on.",
        default=False,
        label="Online",
        group="Online",
    )

    def to_json(self) -> dict[str, Any]:
        """Return the request as a job keeps it; its expiry in seconds."""
        expires_in = self.expires_in
        if isinstance(expires_in, timedelta):
            expires_in = str(expires_in.total_seconds())
        return {**asdict(self), "expires_in": expires_in}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CaptureRequest:
        """Return the request that :meth:`to_json` gave."""
        expires_in = data["expires_in"]
        if expires_in not in {None, "default"}:
            expires_in = timedelta(seconds=float(expires_in))
        return cls(**{**data, "expires_in": expires_in})

    @property
    def object_name(self) -> str:
        """What it is about, as it was named."""
        return self.table if self.column is None else f"{self.table}.{quote(self.column)}"


@dataclass(frozen=True)
class CapturePlan:
    """What a capture would do; sizes in bytes."""

    strategy: str
    object: str
    steps: tuple[Step, ...]
    warnings: tuple[str, ...]
    dependents: tuple[dict[str, Any], ...]
    goes_with: tuple[dict[str, Any], ...]
    publications: tuple[str, ...]
    size_bytes: int | None
    row_estimate: int | None
    online: bool = False

    @property
    def digest(self) -> str:
        """SHA-256 of the steps: what a person confirmed is what runs, or nothing does."""
        return digest_of(self.steps)

    @property
    def copies_rows(self) -> bool:
        """Whether reads and writes wait for as long as rows are copied."""
        return any(step.grows for step in self.steps) and not self.online

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON shows it."""
        return {**asdict(self), "digest": self.digest}


def check_request(request: CaptureRequest) -> None:
    """Raise WrongUsage where the request means nothing."""
    if request.strategy not in TYPES:
        raise WrongUsage(f"there is no strategy {request.strategy!r}", hint=", ".join(TYPES))
    if (request.column is not None) != (request.strategy in COLUMN_STRATEGIES):
        raise WrongUsage(
            f"{request.strategy} takes {'a' if request.column is None else 'no'} column"
        )
    if request.on_dependents not in DEPENDENTS:
        raise WrongUsage(
            f"on_dependents cannot be {request.on_dependents!r}", hint=", ".join(DEPENDENTS)
        )
    if request.online and request.strategy != "archive_column":
        raise WrongUsage(
            f"{request.strategy} has no online form: it takes no time that grows with the rows"
            if request.strategy != "rebuild_table"
            else "rebuild_table has no online form",
            hint="leave --online out",
        )
    if isinstance(request.expires_in, str) and request.expires_in != "default":
        raise WrongUsage(f"expires_in cannot be {request.expires_in!r}")


async def plan_capture(db: Database, request: CaptureRequest) -> CapturePlan:
    """Return what the capture would do; raises what it would raise, and changes nothing."""
    check_request(request)
    path = await db.configured_path()
    async with look(db, request.table, readonly=True) as connection:
        return await _plan(connection, request, path)


@asynccontextmanager
async def _callers_path(
    connection: Connection, request: CaptureRequest, path: str
) -> AsyncIterator[int]:
    """Let unqualified names mean what they mean in an ordinary session, within a transaction.

    The table's oid; NotFound, with the name that was given, where it means none.
    """
    await connection.execute(SQL["callers_path"], path)
    table: int | None = await connection.fetchval(SQL["named"], request.table)
    if table is None:
        raise NotFound(
            f'relation "{request.table}" does not exist',
            hint="write its schema too, where that is not on your search_path",
            sqlstate="42P01",
        )
    yield table
    await connection.execute(SQL["own_path"])


async def _plan(connection: Connection, request: CaptureRequest, path: str) -> CapturePlan:
    subject = (request.table, request.column, request.on_dependents, request.published_ok)
    async with _callers_path(connection, request, path):
        if request.online:
            text = await connection.fetchval(PLAN["plan_archive_online"], *subject)
        else:
            text = await connection.fetchval(
                PLAN["plan_capture"], request.strategy, *subject, request.keep_rows
            )
    data = json.loads(text)
    return CapturePlan(
        strategy=data["strategy"],
        object=data["object"],
        steps=parse_steps(data["steps"]),
        warnings=tuple(data["warnings"] or ()),
        dependents=tuple(data["dependents"] or ()),
        goes_with=tuple(data.get("goes_with") or ()),
        publications=tuple(data["publications"] or ()),
        size_bytes=data["size_bytes"],
        row_estimate=data["row_estimate"],
        online=request.online,
    )


async def capture(
    db: Database,
    request: CaptureRequest,
    actor: Actor,
    on_progress: OnProgress | None = None,
    *,
    job: jobs.Job | None = None,
    expected_digest: str | None = None,
    limits: Limits | None = None,
) -> Artifact:
    """Capture in one transaction, seal what has rows, and return the artifact.

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
            artifact_id = await _capture_online(
                op, request, expected_digest, on_progress, limits or Limits()
            )
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
    on_progress: OnProgress | None = None,
) -> list[Artifact]:
    """Capture several in one transaction, in their order; seal what has rows.

    ``plans`` are those that were shown, each made as if it were the only one. A step that several
    share runs with the first. Refused where a plan is another by now, or where a later one would
    run what was not shown: then nothing was changed.
    """
    names = ", ".join(request.object_name for request in requests)
    path = await db.configured_path()

    async def work(connection: Connection) -> list[str]:
        await connection.execute(SQL["actor"], actor.name)
        for request, shown in zip(requests, plans, strict=True):
            check_digest(await _plan(connection, request, path), shown.digest)
        ids: list[str] = []
        for request, shown in zip(requests, plans, strict=True):
            if ids:
                _check_shown(await _plan(connection, request, path), shown)
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
    """Seal what was just captured, or wait for the sweep that was quicker; return it as it is."""
    artifact = await get_artifact(db, artifact_id)
    if artifact.physical_name is None or artifact.artifact_type == "soft_drop_column":
        return artifact
    try:
        while artifact.sealed_at is None:
            try:
                return await seal(db, artifact.id, actor, on_progress=on_progress)
            except Taken as exc:
                if exc.job_id is not None:
                    await tell(on_progress, {"step": f"somebody else seals it: {exc.detail}"})
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
            check_digest(await _plan(connection, request, path), expected_digest)
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
    async with _callers_path(connection, request, path):
        found: str = await connection.fetchval(SQL[strategy], *_arguments(request, db.retention))
    return found


async def _capture_online(
    op: Operation,
    request: CaptureRequest,
    expected_digest: str | None,
    on_progress: OnProgress | None,
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
            work = Archiving(db, artifact, op.actor, run, limits, on_progress)
            await work.run_all(plan.row_estimate)
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
        async with _callers_path(connection, request, path) as table:
            pass
        parked: str | None = await connection.fetchval(ONLINE["parked"], table, request.column)
        return parked, await _plan(connection, request, path)


def job_params(
    db: Database, request: CaptureRequest, limits: Limits | None = None
) -> dict[str, Any]:
    """Return what a job has to know so that any worker can run it, or go on with it.

    It expires as the settings of whoever asked for it say, not as the worker's.
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
    if request.strategy == "rebuild_table":
        return (*subject, *story, request.keep_rows, *expiry)
    return (*subject, *story, request.on_dependents, request.published_ok, *expiry)
