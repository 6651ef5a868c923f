"""The one composition root of the studio: settings, database, routes."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path

from fastapi import FastAPI

from app.recovery.core.actor import Actor
from app.recovery.core.version import VERSION
from app.recovery.db.database import Database
from app.recovery.db.installer import require_installed
from app.recovery.db.operator_role import superuser_notice
from app.recovery.jobs import audit, runs
from app.recovery.rows.schedule import verify_regularly
from app.recovery.webhooks.service import keep_telling
from app.recovery.worker import keep_up
from app.routes import errors, four_eyes
from app.routes.api import approvals as api_approvals
from app.routes.api import artifacts as api_artifacts
from app.routes.api import captures as api_captures
from app.routes.api import diff as api_diff
from app.routes.api import events as api_events
from app.routes.api import exports as api_exports
from app.routes.api import guard as api_guard
from app.routes.api import history as api_history
from app.routes.api import jobs as api_jobs
from app.routes.api import machine
from app.routes.api import migrations as api_migrations
from app.routes.api import pending as api_pending
from app.routes.api import reports as api_reports
from app.routes.api import rows as api_rows
from app.routes.api import webhooks as api_webhooks
from app.routes.auth import sessions
from app.routes.auth.access import Access
from app.routes.auth.token_files import TokenSource
from app.routes.compression import Compression
from app.routes.middleware.bounds import Bounds
from app.routes.middleware.disconnects import Disconnects
from app.routes.middleware.prefix import Prefix
from app.routes.middleware.priority import PriorityMiddleware
from app.routes.middleware.proxies import Proxies
from app.routes.middleware.same_origin import SameOrigin
from app.routes.middleware.tracing import Faults, Tracing
from app.routes.pages import (
    activity,
    analyze,
    approvals,
    artifact,
    artifacts,
    bulk,
    capture,
    cleanup,
    coverage,
    diff,
    erase,
    exporting,
    guard,
    history,
    job,
    login,
    migrations,
    pending,
    purge,
    report,
    rows,
    schema,
    search,
    several_approvals,
    webhooks,
)
from app.routes.pages import restore as restore_page
from app.routes.rendering import KeptFiles, Pages
from app.routes.studio import Studio
from app.settings import Settings, open_database

log = logging.getLogger(__name__)
ACTOR = Actor(name="zanith studio", address=None, role="staff")
ROUTERS = (
    login.router,
    artifacts.router,
    search.router,
    job.router,
    migrations.router,
    pending.router,
    history.router,
    schema.router,
    report.router,
    bulk.router,
    capture.router,
    cleanup.router,
    coverage.router,
    guard.router,
    activity.router,
    webhooks.router,
    several_approvals.router,
    approvals.router,
    restore_page.router,
    exporting.router,
    purge.router,
    erase.router,
    analyze.router,
    diff.router,
    rows.router,
    artifact.router,
    api_approvals.router,
    api_artifacts.router,
    api_captures.router,
    api_diff.router,
    api_events.router,
    api_exports.router,
    api_guard.router,
    api_jobs.router,
    api_migrations.router,
    api_pending.router,
    api_history.router,
    api_reports.router,
    api_rows.router,
    api_webhooks.router,
    machine.router,
)

DESCRIPTION = """
Everything that the pages do. Errors have one shape: `{"error": {"code", "message", "detail",
"hint", "sqlstate"}}`. What destroys or changes the schema wants the object's name typed into
`confirm`, a cleanup the count; without it the answer is 409 and nothing happens.

Send `Authorization: Bearer TOKEN` where the studio was started with tokens.
"""


def create_app(settings: Settings) -> FastAPI:
    """Return the studio as an ASGI application; it connects when it starts.

    WrongUsage for a token file that is missing, empty or broken; starting raises what
    `Database.open` and `require_installed` raise.
    """
    tokens = TokenSource(settings)
    access = Access(
        tokens.read(),
        tokens,
        viewers_see_rows=settings.viewer_export,
        proxy_names=settings.user_header is not None,
    )
    four_eyes.require_people(settings, access)
    studio = Studio(settings, access, Pages(access, settings.root_path))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with running(studio):
            yield

    app = FastAPI(
        title="Zanith",
        version=VERSION,
        description=DESCRIPTION,
        openapi_url=None,  # app.routes.api.machine serves it, to all who may see the pages
        servers=[{"url": settings.root_path}] if settings.root_path else None,
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
    )
    app.state.studio = studio
    errors.install(app)
    for router in ROUTERS:
        in_schema = not any(route.path.startswith("/studio") for route in router.routes)  # type: ignore[attr-defined]
        app.include_router(router, include_in_schema=in_schema)
    app.mount("/static", KeptFiles(directory=Path(str(resources.files("app") / "static"))))
    names = settings.allowed_hosts | {socket.gethostname().lower(), socket.getfqdn().lower()}
    # The last one added is the first to see a request.
    app.add_middleware(Compression)
    app.add_middleware(Disconnects, access=access)
    app.add_middleware(PriorityMiddleware, courtesy=studio.courtesy)
    app.add_middleware(Bounds)
    app.add_middleware(Faults)
    app.add_middleware(SameOrigin, bound_to=settings.host.strip("[]"), names=names)
    app.add_middleware(Prefix, prefix=settings.root_path)
    app.add_middleware(Tracing, counters=studio.counters)
    app.add_middleware(Proxies, trusted=settings.trusted_proxies, user_header=settings.user_header)
    return app


@asynccontextmanager
async def running(studio: Studio) -> AsyncIterator[None]:
    """Connect, keep up what must be kept up, and leave nothing behind."""
    studio.database = await connect(studio.settings)
    helpers: list[asyncio.Task[None]] = []
    try:
        await require_installed(studio.database)
        studio.notice = await superuser_notice(studio.database)
        if studio.notice:
            log.warning("%s", studio.notice)
        if studio.settings.viewers:
            studio.readers = await connect(studio.settings, read_only=True)
            studio.readers.turns = studio.database.turns  # one object, one read, for all who ask
        if not studio.access.open:
            await sessions.read(studio)
            helpers.append(asyncio.create_task(sessions.follow(studio), name="sign-outs"))
        helpers.append(asyncio.create_task(four_eyes.follow(studio), name="approvals"))
        working = keep_up(studio.database, studio.runner, ACTOR)
        helpers.append(asyncio.create_task(working, name="worker"))
        telling = keep_telling(studio.database, studio.settings.webhooks)
        helpers.append(asyncio.create_task(telling, name="webhooks"))
        if studio.settings.verify_every:
            pace = (studio.settings.verify_every, studio.settings.verify_rate)
            checking = verify_regularly(studio.database, *pace, ACTOR)
            helpers.append(asyncio.create_task(checking, name="verification"))
        if studio.settings.audit_log:
            following = audit.follow(studio.database, studio.settings.audit_log)
            helpers.append(asyncio.create_task(following, name="audit file"))
        yield
    finally:
        await runs.interrupt_all(helpers)
        await studio.drain()
        for database in (studio.readers, studio.database):
            if database is not None:
                await database.close()
        studio.database = studio.readers = None


async def connect(settings: Settings, *, read_only: bool = False) -> Database:
    """Open the database for the studio; warn where a pooler keeps its events back."""
    opened = await open_database(settings, "zanith studio", read_only=read_only, bounded=True)
    if opened.pooled and settings.listen_url is None and not read_only:
        log.warning(
            "the connection goes through a pooler: changes by others appear some seconds later;"
            " set ZANITH_LISTEN_URL to a direct address to see them at once"
        )
    return opened
