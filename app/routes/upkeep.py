"""What the studio sees to by itself: captures get sealed, dead jobs are called interrupted."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from app.recovery import leases, seal, worker
from app.recovery.database import Actor
from app.recovery.errors import ZanithError
from app.routes.errors import ShuttingDown
from app.routes.studio import Studio

log = logging.getLogger("zanith.studio")

EVERY_SECONDS = 60.0
LOOK_SECONDS = 3.0
SETTLE_SECONDS = 1.5
ACTOR = Actor(name="zanith studio", address=None, role="staff")


async def keep_up(studio: Studio) -> None:
    """Sweep at the start, on every capture that is heard of, after a gap, and each minute."""
    db = studio.db
    given_up: set[str] = set()
    async with db.events.subscribe() as queue:
        while True:
            if not db.server.standby:
                await sweep(studio, given_up)
            with suppress(TimeoutError):
                async with asyncio.timeout(EVERY_SECONDS):
                    while (await queue.get()).kind not in {"artifact", "reconnected"}:
                        pass
                    # The command that captured seals by itself: let it come first.
                    await asyncio.sleep(SETTLE_SECONDS)
            while not queue.empty():
                queue.get_nowait()


async def take_up(studio: Studio) -> None:
    """Be a worker: run what was handed over, and go on with what lost its own."""
    while True:
        if not studio.db.server.standby:
            with suppress(ZanithError, ShuttingDown):
                for job in await worker.find_work(studio.db):
                    if not studio.runner.runs(job.id):
                        work = worker.perform(studio.db, job)
                        studio.runner.start(work, f"{job.kind} of {job.object}", job.id)
        await asyncio.sleep(LOOK_SECONDS)


async def sweep(studio: Studio, given_up: set[str]) -> None:
    """Reap dead jobs and seal what is not sealed; what cannot be sealed is tried no more."""
    with suppress(ZanithError):
        await studio.db.refresh()
        await leases.reap_expired(studio.db)
        await seal.sweep(studio.db, ACTOR, given_up)
