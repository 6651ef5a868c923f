"""Exports: announced as a job, then streamed, hashed and counted while they go."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor, require_rows
from app.recovery.core.atomic_file import give_name, settle, unfinished
from app.recovery.core.compression import EXTENSIONS, Compressor, compressor
from app.recovery.core.errors import Failed, Locked, NotFound, NotPermitted, Refused, WrongUsage
from app.recovery.core.progress import OnProgress
from app.recovery.core.tasks import stop
from app.recovery.core.translate import translate
from app.recovery.core.version import VERSION
from app.recovery.db.database import Database
from app.recovery.jobs import leases, queueing, runs
from app.recovery.jobs import model as jobs
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.operation import Operation, attempt, operation
from app.recovery.queries import load
from app.recovery.rows.parallel import check_jobs, copy_rows
from app.recovery.rows.stream import Measured, Meter, Sink, bounded, reporting, snapshot

SQL = load("export")
FORMATS = ("csv", "jsonl", "json", "spreadsheet")
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8; header=present",
    "jsonl": "application/x-ndjson",
    "json": "application/json",
    "spreadsheet": "text/csv; charset=utf-8; header=present",
}
_SUFFIX = {"spreadsheet": "spreadsheet.csv"}
# Chunks between COPY and the reader: enough to keep both busy, few enough to keep memory flat.
_QUEUE = 4


@dataclass(frozen=True)
class ExportRequest:
    """Which artifact, as what, whether compressed, and over how many connections."""

    artifact_id: str
    format: str = "csv"
    compress: str | None = None
    jobs: int = 1


def filename(artifact: Artifact, format: str, compress: str | None) -> str:  # noqa: A002
    """Return a file name that is safe everywhere: public.orders.code-1a2b3c.csv.gz."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", artifact.object_name.replace('"', ""))
    stem = plain.strip("._")[:100] or "export"
    return f"{stem}-{artifact.id}.{_SUFFIX.get(format, format)}{EXTENSIONS[compress]}"


async def announce(db: Database, request: ExportRequest, actor: Actor) -> jobs.Job:
    """Put the export into the job table, so that it can be followed from the first byte.

    WrongUsage for an unknown format, NotPermitted where the actor may not see rows, Refused where
    there are none.
    """
    artifact = await get_artifact(db, request.artifact_id)
    async with attempt(db, actor, Kind.EXPORT, artifact.id, artifact.object_name):
        return await _announce(db, artifact, request, actor)


async def _announce(
    db: Database, artifact: Artifact, request: ExportRequest, actor: Actor
) -> jobs.Job:
    if request.format not in FORMATS:
        raise WrongUsage(
            f"there is no format {request.format!r}", hint=f"one of {', '.join(FORMATS)}"
        )
    if request.compress not in EXTENSIONS:
        raise WrongUsage(f"there is no compression {request.compress!r}", hint="gzip or zstd")
    check_jobs(request.jobs)
    require_rows(actor, "export")
    if artifact.physical_name is None:
        raise Refused(f"of {artifact.object_name} only the definition was kept: no rows to export")
    if not artifact.holds_rows:
        raise Refused(f"{artifact.object_name} is live again: nothing is parked")
    params = {
        "format": request.format,
        "compress": request.compress,
        "jobs": request.jobs,
        "filename": filename(artifact, request.format, request.compress),
        "address": actor.address,
        "role": actor.role,
    }
    return await queueing.queue(
        *(db, Kind.EXPORT, artifact.id, params, actor),
        object=artifact.object_name,
        wait=leases.WAIT_TO_START,
    )


def check_fetch(job: jobs.Job, actor: Actor) -> None:
    """Raise unless the actor may fetch the announced export now."""
    require_rows(actor, "export")
    if job.actor != actor.name or job.params.get("role") != actor.role:
        raise NotPermitted(
            f"this export was announced by {job.actor}", hint="announce one of your own"
        )
    if job.ended:
        raise Refused(
            f"this export is {job.state} already", hint="announce another one to download it again"
        )
    if job.state == "running":
        raise Locked("this export is being downloaded already", hint="announce another one")


async def stream_export(
    db: Database, job_id: str, on_progress: OnProgress | None = None
) -> AsyncIterator[bytes]:
    """Yield the announced export's bytes, no faster than they are taken.

    Closing the iterator ends the COPY in the server at once; one that is not read from is cut off
    after a bound. The job's progress and result are written on the way.
    """
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(maxsize=_QUEUE)

    async def produce() -> jobs.Job:
        try:
            return await push_export(db, job_id, queue.put, on_progress)
        finally:
            producer_done.set()
            with suppress(asyncio.QueueFull):
                queue.put_nowait(None)

    producer_done = asyncio.Event()
    producer = asyncio.create_task(produce())
    try:
        while not (producer_done.is_set() and queue.empty()):
            chunk = await queue.get()
            if chunk is None:
                break
            yield chunk
        await producer
    finally:
        with suppress(Exception):
            await stop(producer)


async def push_export(
    db: Database, job_id: str, sink: Sink, on_progress: OnProgress | None = None
) -> jobs.Job:
    """Stream the announced export into a sink and return its ended job."""
    job = await jobs.get(db, job_id)
    if job.kind != "export" or job.artifact_id is None:
        raise NotFound(f"there is no export {job_id}")
    actor = Actor(job.actor, job.params.get("address"), job.params.get("role", "cli"))
    doing = operation(db, Kind.EXPORT, actor, job.artifact_id, job=job, on_progress=on_progress)
    async with doing as op, op.running() as run:
        await _export(op, job, run, sink)
        if not run.local:
            async with db.acquire() as connection, connection.transaction():
                await op.record(connection, run.result, run.outcome)
                await run.finish(connection, run.result or {})
            run.finished = True
    return await jobs.get(db, job_id)


async def _export(op: Operation, job: jobs.Job, run: runs.Run, sink: Sink) -> None:
    db, artifact = op.db, op.artifact
    meter = Meter()
    pack = compressor(job.params.get("compress"))

    async def write(values: dict[str, Any]) -> None:
        await op.report({**values, "bytes_sent": pack.sent})

    async def send(chunk: bytes) -> None:
        if packed := pack.add(chunk):
            await bounded(sink, packed)

    form = job.params["format"]
    async with snapshot(db, artifact.id) as reading:
        facts: Any = await reading.connection.fetchrow(SQL["exported"], artifact.id)
        if facts is None or facts["query"] is None:
            raise Refused(f"there are no rows of {artifact.object_name} to export")
        async with reporting(db, meter, artifact.row_count, write):
            measured = await copy_rows(
                db,
                reading,
                artifact.id,
                facts["query"],
                send,
                meter,
                form=form,
                jobs=job.params.get("jobs", 1),
            )
            if rest := pack.end():
                await bounded(sink, rest)
    run.result = describe(artifact, job, facts, measured, pack)
    run.outcome = "mismatch" if run.result["equals_seal"] is False else "done"


def describe(
    artifact: Artifact, job: jobs.Job, facts: Any, measured: Measured, pack: Compressor
) -> dict[str, Any]:
    """Return what is known of a finished export, with the manifest that goes beside its file."""
    sealed = facts["checksum"] if job.params["format"] == "csv" else None
    equals = measured.checksum == sealed if sealed else None
    found = {
        "rows": measured.rows,
        "bytes": pack.sent,
        "bytes_plain": measured.bytes,
        "checksum": measured.checksum,
        "file_checksum": pack.checksum or measured.checksum,
        "equals_seal": equals,
    }
    manifest = {
        "artifact": artifact.id,
        "object": artifact.object_name,
        "artifact_type": artifact.artifact_type,
        "file": job.params["filename"],
        "format": job.params["format"],
        "compress": job.params["compress"],
        **found,
        "checksum_algorithm": "sha256",
        "checksum_of_seal": facts["checksum"],
        "snapshot_at": facts["at"].isoformat(),
        "finished_at": datetime.now(UTC).isoformat(),
        "exported_by": job.actor,
        "exported_by_role": job.actor_role,
        "export": job.id,
        "query": facts["query"],
        "settings": facts["canonical"],
        "tool": f"zanith {VERSION}",
    }
    return {**found, "manifest": manifest}


async def export_to_file(
    db: Database,
    request: ExportRequest,
    path: Path,
    actor: Actor,
    on_progress: OnProgress | None = None,
) -> jobs.Job:
    """Export into a file, with its manifest beside it, and return the ended job.

    The file has its name only when it is whole; until then, and after a failure, there is none.
    What an export to the same file left that was killed is taken away.
    Failed where the disk is full or the directory cannot be written; WrongUsage for a path that is
    something else than a file: renaming over a device would replace it.
    """
    _require_file(path)
    job = await announce(db, request, actor)
    try:
        with unfinished(path) as file, unfinished(path) as manifest:

            async def write(chunk: bytes) -> None:
                try:
                    await asyncio.to_thread(file.write, chunk)
                except OSError as exc:
                    raise _unwritable(path, exc) from exc

            job = await push_export(db, job.id, write, on_progress)
            result = job.result or {}
            result = {**result, "manifest": {**result["manifest"], "file": path.name}}
            job = replace(job, result=result)
            manifest.write(json.dumps(result["manifest"], indent=2).encode() + b"\n")
            await asyncio.to_thread(settle, file)
            settle(manifest)
            give_name(file, path)
            give_name(manifest, path.with_name(path.name + ".manifest.json"))
    except OSError as exc:
        raise _unwritable(path, exc) from exc
    finally:
        await _withdraw(db, job, actor)
    return job


def _require_file(path: Path) -> None:
    if path.exists() and not path.is_file():
        raise WrongUsage(f"{path} is not a file", hint="name a file, or write to standard output")
    if not path.parent.exists():
        raise Failed(
            f"the folder {path.parent} does not exist", hint="create it, or name another one"
        )


def _unwritable(path: Path, exc: OSError) -> Failed:
    error = translate(exc)
    return Failed(
        f"{path} cannot be written: {error.message}",
        detail="no partial file is left",
        hint=None if error.hint and ".part" in error.hint else error.hint,
    )


async def _withdraw(db: Database, job: jobs.Job, actor: Actor) -> None:
    """Cancel a job that never began, so that no announcement is left standing."""
    with suppress(Exception):
        if (await jobs.get(db, job.id)).state == "queued":
            await jobs.cancel(db, job.id, actor)
