"""The guard: what it protects and how, and what it captured and let pass lately."""

from __future__ import annotations

from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from app.recovery.core.tasks import gather
from app.recovery.db.database import Database
from app.recovery.guard.recent import Recent, read_recent
from app.recovery.guard.rules import Guard, read_guard
from app.routes.rendering import is_partial
from app.routes.studio import TheStudio, Who

router = APIRouter()
PATH = "/studio/guard"

# What PostgreSQL's letters for an event trigger mean, and whether the guard then acts.
_ENABLED = {
    "A": ("enabled always", "good"),
    "O": ("enabled for the origin only", "bad"),
    "R": ("enabled for replicas only", "bad"),
    "D": ("disabled", "bad"),
    None: ("missing", "bad"),
}
_OFF = {"D": ("disabled", ""), None: ("missing", "")}
_DOES = {
    "zanith_guard_start": "captures what a statement would drop, before it runs",
    "zanith_guard_dropped": "refuses what was dropped without a capture",
    "zanith_guard_rewritten": "refuses a change of a column's type that nothing captured",
    "zanith_guard_end": "refuses a statement that dropped something else than was captured",
}


@dataclass(frozen=True)
class EventTrigger:
    """One event trigger of the guard, as a badge and a line."""

    name: str
    does: str
    said: str
    kind: str


@dataclass(frozen=True)
class GuardView:
    """The guard as it is, and what it did lately."""

    guard: Guard
    recent: Recent

    @property
    def triggers(self) -> tuple[EventTrigger, ...]:
        """Every event trigger that the guard needs, and those that call its functions besides."""
        said = {**_ENABLED, **(_OFF if self.guard.state == "off" else {})}
        return tuple(
            EventTrigger(name, _DOES.get(name, "is not one of the guard's own"), *said[enabled])
            for name, enabled in self.guard.expected.items()
        )


async def build(db: Database) -> GuardView:
    """Read the state and the newest drops."""
    return GuardView(*await gather(read_guard(db), read_recent(db)))


@router.get(PATH, response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who) -> HTMLResponse:
    """Show the guard, or only what changes where HTMX asks."""
    view = await build(studio.reading(who))
    template = "guard/results.html" if is_partial(request) else "guard/page.html"
    return studio.pages.render(request, template, view, title="Guard", section="guard")
