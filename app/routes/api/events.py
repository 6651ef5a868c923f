"""What changes in the database, as it changes: only that, so that a page asks again."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Set
from contextlib import suppress
from typing import Annotated

from fastapi import APIRouter, Query
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.recovery.db.database import Database
from app.recovery.db.ended_sessions import EVENT as SIGN_OUT
from app.recovery.db.events import Event
from app.routes.answers import Document
from app.routes.api.jobs import PING_SECONDS
from app.routes.api.models import RESPONSES
from app.routes.studio import TheStudio, Who

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["events"], default_response_class=Document
)

GATHER_SECONDS = 0.25
UNTOLD_SECONDS = 15.0
ALL = frozenset({"artifact", "job", "audit", "webhook", "approval"})


@router.get("/events", response_class=EventSourceResponse)
async def follow_all(
    studio: TheStudio, who: Who, since: Annotated[str, Query(max_length=64)] = ""
) -> EventSourceResponse:
    """Follow everything: `changed` with the kinds and ids that changed.

    The kinds are artifact, job, audit, webhook and approval. What comes within a quarter of a
    second is one event. After a gap it names all kinds and no id: anything may have changed. It
    does so every 15 seconds on a standby, and on a server that allows prepared transactions, where
    the guard notifies nobody. `since` is the position that a page carries. If anything changed
    since then, the first event comes at once.
    """
    db = studio.reading(who)
    return EventSourceResponse(
        changes(db, since), ping=PING_SECONDS, headers={"Cache-Control": "no-store"}
    )


async def changes(db: Database, since: str = "") -> AsyncIterator[ServerSentEvent]:
    """Yield what changed, gathered; at first all kinds where anything changed since a position."""
    async with db.events.subscribe() as queue:
        if since and since != db.events.position:
            yield _changed(ALL, set())
        patience = None if db.server.tells_all else UNTOLD_SECONDS
        while True:
            heard: list[Event] = []
            with suppress(TimeoutError):
                async with asyncio.timeout(patience):
                    heard.append(await queue.get())
            if heard:
                await asyncio.sleep(GATHER_SECONDS)
            while not queue.empty():
                heard.append(queue.get_nowait())
            told = bool(heard)
            heard = [event for event in heard if event.kind != SIGN_OUT]
            if told and not heard:
                continue
            unsure = not heard or any(event.kind not in ALL for event in heard)
            if unsure:
                yield _changed(ALL, set())
            else:
                yield _changed({event.kind for event in heard}, {event.id for event in heard})


def _changed(kinds: Set[str], ids: Set[str]) -> ServerSentEvent:
    data = {"kinds": sorted(kinds), "ids": sorted(ids)}
    return ServerSentEvent(json.dumps(data), event="changed")
