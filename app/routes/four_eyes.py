"""Approvals in the studio: whether its people can be told apart, and what the navigation says."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from app.recovery.core.errors import WrongUsage, ZanithError
from app.recovery.jobs import approvals
from app.routes.auth.access import Access
from app.routes.studio import Studio
from app.settings import Settings

log = logging.getLogger("zanith.studio")

LOOK_SECONDS = 30.0


def require_people(settings: Settings, access: Access) -> None:
    """WrongUsage where approvals are wanted and no two people can sign in as themselves."""
    if not settings.approvals or settings.user_header:
        return
    staff = {one.name for one in access.credentials if one.role == "staff" and one.named}
    if len(staff) < 2:
        raise WrongUsage(
            "ZANITH_APPROVALS needs two people who sign in under their own names",
            detail="one asks, and another one approves",
            hint="give each a token: ZANITH_AUTH_TOKEN=ana:TOKEN,bob:TOKEN, or let a proxy name"
            " them: ZANITH_USER_HEADER",
        )


async def refresh(studio: Studio) -> None:
    """Count again what waits for a decision."""
    studio.approvals = await approvals.summarize(studio.db)


async def follow(studio: Studio) -> None:
    """Count again whenever something was asked for or decided, and now and then."""
    async with studio.db.events.subscribe() as queue:
        while True:
            with suppress(ZanithError):
                await refresh(studio)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    while (await queue.get()).kind not in {approvals.EVENT, "reconnected"}:
                        pass
