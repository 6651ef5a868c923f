"""Exports: announce one, stream it, read its record."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from fastapi.responses import Response

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Cancelled, NotFound
from app.recovery.jobs import model as jobs
from app.recovery.jobs.model import Job
from app.recovery.rows import export
from app.recovery.rows.export import ExportRequest
from app.routes.answers import Document, of_job
from app.routes.api.models import RESPONSES, ExportIn, JobDocument
from app.routes.streaming import ExportResponse, Sink
from app.routes.studio import Studio, TheStudio, Who

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["exports"], default_response_class=Document
)

_BYTES = {"schema": {"type": "string", "format": "binary"}}
_PACKED = {"gzip": "application/gzip", "zstd": "application/zstd"}
_ROWS = {"schema": {"type": "array", "items": {"type": "object"}}}
STREAM: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "the bytes, under a file name; the export's id is in Zanith-Export-Id",
        "content": {
            kind.partition(";")[0]: _ROWS if kind.startswith("application/json") else _BYTES
            for kind in (*export.MEDIA_TYPES.values(), *_PACKED.values())
        },
    }
}


@router.post("/artifacts/{artifact_id}/exports", status_code=202, response_model=JobDocument)
async def announce(
    studio: TheStudio, who: Who, artifact_id: str, wanted: ExportIn | None = None
) -> dict[str, Any]:
    """Announce an export, to be followed from its first byte; then fetch its content."""
    return of_job(await _announce(studio, who, artifact_id, wanted or ExportIn()))


@router.get("/exports/{export_id}", response_model=JobDocument)
async def get_export(studio: TheStudio, who: Who, export_id: str) -> dict[str, Any]:
    """Show an export's record; its `result` has rows, bytes, checksum, equals_seal, manifest."""
    return of_job(await _get(studio, who, export_id))


@router.get("/exports/{export_id}/content", response_class=Response, responses=STREAM)
async def content(studio: TheStudio, who: Who, export_id: str) -> Response:
    """Stream an announced export, once."""
    job = await _get(studio, who, export_id)
    export.check_fetch(job, who)
    return _stream(studio, job)


@router.get("/artifacts/{artifact_id}/export", response_class=Response, responses=STREAM)
async def export_at_once(
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    format: Literal["csv", "jsonl", "json", "spreadsheet"] = "csv",  # noqa: A002 - the documented name
    compress: Annotated[Literal["none", "gzip", "zstd", ""], Query()] = "none",
) -> Response:
    """Announce and stream in one request, for curl."""
    wanted = ExportIn(format=format, compress=compress or "none")
    return _stream(studio, await _announce(studio, who, artifact_id, wanted))


async def _announce(studio: Studio, who: Actor, artifact_id: str, wanted: ExportIn) -> Job:
    studio.runner.check()
    found = await get_artifact(studio.db, artifact_id)
    compress = None if wanted.compress == "none" else wanted.compress
    return await export.announce(
        studio.db,
        ExportRequest(found.id, wanted.format, compress),
        who,
    )


async def _get(studio: Studio, who: Actor, export_id: str) -> Job:
    job = await jobs.get(studio.reading(who), export_id)
    if job.kind != "export":
        raise NotFound(f"there is no export {export_id}")
    return job


def _stream(studio: Studio, job: Job) -> Response:
    form, sent = job.params["format"], 0

    async def push(sink: Sink) -> None:
        async def count(chunk: bytes) -> None:
            nonlocal sent
            await sink(chunk)
            sent += len(chunk)

        outcome = "failed"
        try:
            outcome = (await export.push_export(studio.db, job.id, count)).state
        except (asyncio.CancelledError, Cancelled):
            outcome = "cancelled"
            raise
        finally:
            studio.counters.exported(form, outcome, sent)

    media = _PACKED.get(job.params["compress"] or "") or export.MEDIA_TYPES[form]

    def start(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return studio.runner.start(work, f"export {job.id}", job.id, tell=False)

    return ExportResponse(
        push,
        start,
        courtesy=studio.courtesy,
        filename=job.params["filename"],
        media_type=media,
        export_id=job.id,
    )
