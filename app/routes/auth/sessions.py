"""Sign-outs: a session that ended is refused by every studio, also after a restart."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import suppress
from datetime import timedelta

from app.recovery.core.errors import ZanithError
from app.recovery.db import ended_sessions
from app.routes.studio import Studio

log = logging.getLogger("zanith.studio")

LOOK_SECONDS = 3.0


async def end(studio: Studio, cookie: str) -> None:
    """End a session here at once, and write it down for the others.

    Where that cannot be written now, as on a standby, it is tried again while this studio runs.
    """
    found = studio.access.end_session(cookie)
    if found is None:
        return
    session, left = found
    studio.unwritten[session] = time.monotonic() + left
    await _write(studio)


async def read(studio: Studio) -> None:
    """Refuse from now on what was ended on any studio of the database."""
    studio.access.ended |= await ended_sessions.find_ended(studio.db)


async def follow(studio: Studio) -> None:
    """Hear of sign-outs elsewhere, and look for them each few seconds."""
    failed = False
    async with studio.db.events.subscribe() as queue:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    while (await queue.get()).kind not in {ended_sessions.EVENT, "reconnected"}:
                        pass
            try:
                await read(studio)
                failed = False
            except ZanithError as exc:
                if not failed:
                    log.warning("sign-outs on other studios are not seen: %s", exc.message)
                failed = True
            except Exception:  # whatever it is, the next look comes
                log.exception("sign-outs on other studios are not seen")
            await _write(studio)


async def _write(studio: Studio) -> None:
    if studio.server is None or studio.server.standby:
        return
    for session, until in list(studio.unwritten.items()):
        left = until - time.monotonic()
        try:
            if left > 0:
                await ended_sessions.end(studio.db, session, timedelta(seconds=left))
        except ZanithError as exc:
            log.warning("a sign-out is not written down yet: %s", exc.message)
            return
        studio.unwritten.pop(session, None)
