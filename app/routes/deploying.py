"""Applying and verifying pending migrations from a page or the API, each under a job.

The directory is the one of the setting. The process that read it runs the job, and no other worker.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Literal

from app.migrate.apply.deploy import deploy
from app.migrate.apply.digest import require_digest
from app.migrate.apply.pending import Pending, read_pending, require_runnable
from app.migrate.apply.session import require_primary
from app.migrate.apply.up import UpRequest
from app.migrate.read.migrations import Migration
from app.migrate.review.plan import MigrationPlan
from app.migrate.shadow.job import verify_as_job
from app.migrate.shadow.model import Live, pattern_of, read_live
from app.migrate.shadow.replay import Source
from app.migrate.shadow.verify import Request
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, Refused
from app.recovery.jobs import queueing
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.jobs.operation import attempt
from app.recovery.restore.migration import require_migration
from app.routes import work
from app.routes.studio import Studio

Replay = Literal["files", "live"]
"""What a shadow begins with: the applied migrations, or the live schema."""


def directory_of(studio: Studio) -> Path:
    """Return the directory of migrations; NotFound where none is set."""
    if studio.settings.migrations is None:
        raise NotFound(
            "no directory of migrations is set",
            hint="start the studio with ZANITH_MIGRATIONS, the directory of your SQL migrations",
        )
    return studio.settings.migrations


async def start_deploy(
    studio: Studio, to: str, actor: Actor, *, confirm: str | None, digest: str | None
) -> Job:
    """Start to apply the pending migrations up to one, and return the job.

    Refused without the typed id, and at once where `up` would refuse before it asks the rows, or
    where something else would run than what was looked at.
    """
    studio.runner.check()
    require_primary(studio.db.server.standby)
    directory = directory_of(studio)
    async with attempt(studio.db, actor, Kind.DEPLOY, None, to):
        found = await read_pending(studio.db, directory, to)
        last = found.chosen[-1].id
        require_migration(confirm, last)
        await asyncio.to_thread(check, found, digest)
        params = {
            "digest": digest,
            "address": actor.address,
            "steps": [entry.id for entry in found.chosen],
        }
        job = await queueing.start(studio.db, Kind.DEPLOY, None, params, actor, object=last)
    request = UpRequest(to=last, digest=found.digest)
    doing = deploy(studio.db, found.status.layout, found.migrations, actor, request, job=job)
    return await work.run_job(studio, job, doing, f"deploy up to {last!r}")


def check(found: Pending, digest: str | None) -> None:
    """Raise Refused where it cannot run, or is not what was looked at."""
    require_runnable(found)
    if found.plan is not None:
        require_digest(digest, found.chosen, found.plan, guarded=found.guarded)


async def start_verification(
    studio: Studio, to: str | None, actor: Actor, replay: Replay | None = None
) -> Job:
    """Start to verify the pending migrations up to one on a shadow, and return the job.

    The settings say where the shadow is made. ``replay`` is what it begins with; None is
    :func:`begin_with`. Refused where nothing is pending.
    """
    studio.runner.check()
    require_primary(studio.db.server.standby)
    directory = directory_of(studio)
    async with attempt(studio.db, actor, Kind.VERIFY_MIGRATIONS, None, to):
        found = await read_pending(studio.db, directory, to)
        plan = _planned(found)
        last, digest = found.chosen[-1].id, found.digest
        url = studio.settings.database_url
        live = await read_live(url.get_secret_value() if url else None)
        begin = Source(replay) if replay else begin_with(found)
        params = {"digest": digest, "address": actor.address, "replay": begin.value}
        job = await queueing.start(
            studio.db, Kind.VERIFY_MIGRATIONS, None, params, actor, object=last
        )
    request = _request(studio, found, plan, live, begin)
    doing = verify_as_job(studio.db, last, request, actor, digest=digest, job=job)
    return await work.run_job(studio, job, doing, f"verification up to {last!r}")


def begin_with(found: Pending) -> Source:
    """Return what a shadow begins with: the live schema if no migration of the files is applied."""
    return Source.FILES if _applied(found) else Source.LIVE


def _applied(found: Pending) -> list[Migration]:
    pending = {entry.id for entry in found.status.pending}
    return [one for one in found.migrations if one.id not in pending]


def _planned(found: Pending) -> MigrationPlan:
    if found.error is not None:
        raise found.error
    if not found.chosen or found.plan is None:
        raise Refused("no migration is pending", hint="there is nothing to verify")
    return found.plan


def _request(
    studio: Studio, found: Pending, plan: MigrationPlan, live: Live, source: Source
) -> Request:
    chosen = [entry.migration for entry in found.chosen if entry.migration is not None]
    url = studio.settings.shadow_address
    return Request(
        found.status.layout,
        _applied(found),
        chosen,
        plan,
        pattern_of(studio.settings.shadow, url),
        url,
        live,
        live,
        source,
    )
