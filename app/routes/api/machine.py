"""For machines: is it alive, is it ready, and its figures for Prometheus."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST

from app.recovery.artifacts.listing import count_states, summarize
from app.recovery.core.errors import NotAuthenticated, ZanithError
from app.recovery.core.version import VERSION
from app.recovery.db.installer import require_installed
from app.recovery.jobs import model as jobs
from app.recovery.webhooks import outbox
from app.routes.api.models import RESPONSES, ReadyOut, VersionedOut
from app.routes.errors import NotReady
from app.routes.studio import TheStudio, Who

router = APIRouter(tags=["machine"])


@router.get("/healthz", response_model=VersionedOut)
async def alive() -> dict[str, str]:
    """Say that the process answers, without asking the database."""
    return {"status": "ok", "version": VERSION}


@router.get(
    "/readyz", response_model=ReadyOut, responses={s: RESPONSES[s] for s in (409, 500, 503)}
)
async def ready(request: Request, studio: TheStudio) -> dict[str, str | int]:
    """Say whether the database answers and has what this engine needs; not while shutting down.

    The reason is told to clients with a token.
    """
    studio.runner.check()
    try:
        await require_installed(studio.db)
    except ZanithError:
        try:
            studio.access.actor(request)
        except NotAuthenticated:
            raise NotReady(hint="ask again with a token to learn why") from None
        raise
    waiting, given_up, _ = await outbox.count(studio.db)
    return {
        "status": "ready",
        "version": VERSION,
        "webhooks_waiting": waiting,
        "webhooks_given_up": given_up,
    }


@router.get("/api/openapi.json", include_in_schema=False)
async def describe(request: Request, _who: Who) -> dict[str, Any]:
    """Describe the API; a token is needed where pages need one."""
    found: dict[str, Any] = request.app.openapi()
    return found


@router.get("/metrics", response_class=Response, responses={s: RESPONSES[s] for s in (401, 503)})
async def metrics(studio: TheStudio, who: Who) -> Response:
    """Give the figures in Prometheus' text format; a token is needed where pages need one."""
    db = studio.reading(who)
    summary = await summarize(db)
    states = await count_states(db)
    live = await jobs.list_jobs(db, states=list(jobs.LIVE), limit=1000)
    unsent = await outbox.count(db)
    figures = studio.counters.exposition(summary, states, live, studio.runner.running, unsent)
    return Response(figures, 200, None, CONTENT_TYPE_LATEST)
