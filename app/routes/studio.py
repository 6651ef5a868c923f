"""What the routes share: the engine's handles and who may knock. Built once, at start."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Form, Request

from app.recovery.core.actor import Actor
from app.recovery.core.errors import Failed
from app.recovery.db.database import Database, ServerInfo
from app.recovery.jobs.approvals import Summary
from app.routes.auth.access import FORM_FIELD, Access
from app.routes.measuring import Measurement
from app.routes.metrics import Counters
from app.routes.middleware.priority import Priority
from app.routes.options import MOST_TYPED
from app.routes.rendering import Pages
from app.routes.runner import Runner
from app.settings import Settings


@dataclass
class Studio:
    """The running studio; `database` is open between start and stop."""

    settings: Settings
    access: Access
    pages: Pages
    runner: Runner = field(default_factory=Runner)
    counters: Counters = field(default_factory=Counters)
    courtesy: Priority = field(default_factory=Priority)
    measurement: Measurement = field(default_factory=Measurement)
    connections: Callable[[], int] = lambda: 0
    """How many the server that serves it has open."""
    unwritten: dict[str, float] = field(default_factory=dict)
    """Sign-outs that are not in the database yet, and when the session would have ended."""
    database: Database | None = None
    readers: Database | None = None
    approvals: Summary = field(default_factory=Summary)
    """How many requests wait for a decision, as of the last event; no page waits for a count."""
    notice: str | None = None
    """What its operator should know: that its role has more rights than it needs."""

    @property
    def db(self) -> Database:
        """The open database; Failed before the start and after the stop."""
        if self.database is None:
            raise Failed("the studio is not connected to its database")
        return self.database

    @property
    def server(self) -> ServerInfo | None:
        """Which server this is, where it is connected."""
        return self.database.server if self.database else None

    async def drain(self, patience: float | None = None) -> None:
        """Begin to end: take no new jobs, end event streams, wait for what runs, for a while.

        The while is in seconds; without one it is what the settings say.
        """
        grace = self.settings.shutdown_grace.total_seconds()
        await self.runner.close(self.database, grace if patience is None else patience)

    def reading(self, actor: Actor) -> Database:
        """The database to read from: for a viewer one whose transactions are read-only.

        A standby's are anyway, and what it runs is remembered beside the one pool that ran it.
        """
        if self.readers is None or actor.role != "viewer" or self.db.server.standby:
            return self.db
        return self.readers


def _studio(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


def _actor(request: Request) -> Actor:
    actor = _studio(request).access.actor(request)
    request.state.actor = actor
    # Before the page reads anything: what changes from here on is new to it.
    request.state.heard = _studio(request).reading(actor).events.position
    return actor


TheStudio = Annotated[Studio, Depends(_studio)]
Who = Annotated[Actor, Depends(_actor)]


async def _given(request: Request) -> str | None:
    given = (await request.form()).get(FORM_FIELD)
    return given if isinstance(given, str) else None


async def _form(request: Request, _who: Who) -> None:
    # Who asks comes first: a sign-in that ended is told from a form that is out of date.
    _studio(request).access.check_form(request, await _given(request))


async def _open_form(request: Request) -> None:
    _studio(request).access.check_form(request, await _given(request), anybody=True)


# A page's form: it must carry the token that the page was given.
checked_form = Depends(_form)
# The same for what somebody may send who is not signed in.
open_form = Depends(_open_form)

# What a person types. The engine refuses what is too long to be kept: the page then says it at the
# field, with the text in it.
Typed = Annotated[str, Form(max_length=MOST_TYPED)]
