"""For machines: is it alive, is it ready, and its figures for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest

from app.recovery import artifacts, jobs
from app.recovery.artifacts import Summary
from app.recovery.schema import require_installed
from app.recovery.version import VERSION
from app.routes.api.models import RESPONSES, VersionedOut
from app.routes.studio import TheStudio, Who

router = APIRouter(tags=["machine"])


@router.get("/healthz", response_model=VersionedOut)
async def alive() -> dict[str, str]:
    """Say that the process answers, without asking the database."""
    return {"status": "ok", "version": VERSION}


@router.get(
    "/readyz", response_model=VersionedOut, responses={s: RESPONSES[s] for s in (409, 500, 503)}
)
async def ready(studio: TheStudio) -> dict[str, str]:
    """Say whether the database answers and has what this engine needs."""
    await require_installed(studio.db)
    return {"status": "ready", "version": VERSION}


@router.get("/metrics", response_class=Response, responses={s: RESPONSES[s] for s in (401, 503)})
async def metrics(studio: TheStudio, who: Who) -> Response:
    """Give the figures in Prometheus' text format; a token is needed where pages need one."""
    db = studio.reading(who)
    summary = await artifacts.summarize(db)
    live = await jobs.list_jobs(db, states=list(jobs.LIVE), limit=1000)
    return Response(
        exposition(summary, len(live), studio.runner.running), 200, None, CONTENT_TYPE_LATEST
    )


def exposition(summary: Summary, live_jobs: int, tasks: int) -> bytes:
    """Return the figures as Prometheus reads them; names and tables are not in them."""
    registry = CollectorRegistry()
    for name, text, value in (
        ("zanith_artifacts", "Artifacts that can be restored or were", summary.total),
        ("zanith_artifacts_recoverable", "Artifacts that can be restored", summary.recoverable),
        ("zanith_artifacts_damaged", "Changed, missing or moved", summary.damaged),
        ("zanith_artifacts_unsealed", "Without a recorded checksum yet", summary.unsealed),
        ("zanith_artifacts_held", "Kept from purge and cleanup", summary.held),
        ("zanith_artifacts_expiring_soon", "Expire within a week", summary.expiring_soon),
        ("zanith_parked_bytes", "Bytes that parked objects take", summary.parked_bytes),
        ("zanith_jobs_live", "Jobs queued or running, of any process", live_jobs),
        ("zanith_studio_tasks", "Jobs that this process runs", tasks),
    ):
        Gauge(name, text, registry=registry).set(value)
    return generate_latest(registry)
