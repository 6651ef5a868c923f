"""Jobs: list, look, cancel, and follow."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query
from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import AppStatus

from app.recovery.core.errors import NotFound
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs.model import Job
from app.routes import work
from app.routes.answers import Document, of_job
from app.routes.api.models import RESPONSES, JobDocument, JobsOut
from app.routes.studio import Studio, TheStudio, Who
from app.shape import named

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["jobs"], default_response_class=Document
)

PING_SECONDS = 15
RETRY_MILLISECONDS = 1000

# Streams end as the studio begins to: the library would cut them off at some moment after that.
AppStatus.enable_automatic_graceful_drain = False


@router.get("/jobs", response_model=JobsOut)
async def list_jobs(
    studio: TheStudio,
    who: Who,
    artifact: str | None = None,
    state: Annotated[list[str] | None, Query()] = None,
    kind: Annotated[list[str] | None, Query()] = None,
    after: Annotated[str | None, Query(max_length=64)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> dict[str, Any]:
    """List jobs, newest first; pass `next` of one page as `after` of the next."""
    db = studio.reading(who)
    last = await jobs.get(db, after) if after else None
    found = await jobs.list_jobs(
        db, artifact_id=artifact, states=state, kinds=kind, after=last, limit=limit + 1
    )
    more = found[limit - 1].id if len(found) > limit else None
    return {"jobs": [job.to_json() for job in found[:limit]], "next": more}


@router.get("/jobs/{job_id}", response_model=JobDocument)
async def get_job(studio: TheStudio, who: Who, job_id: str) -> dict[str, Any]:
    """Show one job."""
    return of_job(await jobs.get(studio.reading(who), job_id))


@router.post("/jobs/{job_id}/cancel", response_model=JobDocument)
async def cancel_job(studio: TheStudio, who: Who, job_id: str) -> dict[str, Any]:
    """Ask a job to stop; one that ended stays as it is."""
    return of_job(await jobs.cancel(studio.db, job_id, who))


@router.post("/jobs/{job_id}/pause", response_model=JobDocument)
async def pause_job(studio: TheStudio, who: Who, job_id: str) -> dict[str, Any]:
    """Let online work rest after the batch under way."""
    return of_job(await jobs.pause(studio.db, job_id, who))


@router.post("/jobs/{job_id}/resume", response_model=JobDocument)
async def resume_job(studio: TheStudio, who: Who, job_id: str) -> dict[str, Any]:
    """Go on: with one that rests; or with online work that ended half done, under a new job."""
    return of_job(await work.resume(studio, job_id, who))


@router.get("/jobs/{job_id}/events", response_class=EventSourceResponse)
async def job_events(studio: TheStudio, who: Who, job_id: str) -> EventSourceResponse:
    """Follow a job: `progress` whenever it changed, then `done` or `failed`, then the end.

    `failed` is everything but done, a mismatch too: `state` in its data says which.
    """
    db = studio.reading(who)
    await jobs.get(db, job_id)
    return follow(studio, db, job_id)


@router.get("/exports/{export_id}/events", response_class=EventSourceResponse, tags=["exports"])
async def export_events(studio: TheStudio, who: Who, export_id: str) -> EventSourceResponse:
    """Follow an export: `progress` with rows, bytes and rate, then `done` or `failed`."""
    db = studio.reading(who)
    if (await jobs.get(db, export_id)).kind != "export":
        raise NotFound(f"there is no export {export_id}")
    return follow(studio, db, export_id)


def follow(studio: Studio, db: Database, job_id: str) -> EventSourceResponse:
    """Return the events of a job as a stream that ends with the job.

    It ends early where the studio does: a browser then asks again, and another studio answers.
    """

    async def events() -> AsyncIterator[ServerSentEvent]:
        changes = jobs.watch(db, job_id)
        async for job in _until_closing(studio, changes):
            name = "progress"
            if job.ended:
                name = "done" if job.state == "done" else "failed"
            data = {
                "id": job.id,
                "kind": job.kind,
                "state": job.state,
                "elapsed": round(job.elapsed, 3),
                "progress": job.progress,
            }
            if job.ended:
                data |= {"result": job.result, "error": job.error}
            yield ServerSentEvent(
                json.dumps(named(data), default=str), event=name, retry=RETRY_MILLISECONDS
            )

    return EventSourceResponse(events(), ping=PING_SECONDS, headers={"Cache-Control": "no-store"})


async def _until_closing(studio: Studio, changes: AsyncIterator[Job]) -> AsyncIterator[Job]:
    """Yield what changes until the studio ends."""
    closing: asyncio.Future[Any] = asyncio.create_task(studio.runner.closing.wait())
    coming: asyncio.Future[Any] = asyncio.ensure_future(anext(changes))
    try:
        while not closing.done():
            await asyncio.wait({closing, coming}, return_when=asyncio.FIRST_COMPLETED)
            if coming.done():
                yield coming.result()
                coming = asyncio.ensure_future(anext(changes))
    except StopAsyncIteration:
        return
    finally:
        for task in (closing, coming):
            task.cancel()
        await asyncio.gather(closing, coming, return_exceptions=True)
