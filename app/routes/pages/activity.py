"""Activity: the audit log, refusals too."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response, StreamingResponse

from app.recovery.core.errors import WrongUsage
from app.recovery.db.database import Database
from app.recovery.jobs import audit
from app.recovery.jobs.audit import Activity, ActivityFilter
from app.routes.dates import moment
from app.routes.rendering import is_partial, link
from app.routes.studio import TheStudio, Who

router = APIRouter(prefix="/studio/activity")

PATH = "/studio/activity"
PAGE = 100
ACTIONS = (
    "capture",
    "seal",
    "verify",
    "restore",
    "rehearse",
    "export",
    "hold",
    "release",
    "purge",
    "cleanup",
    "erase",
    "restore_rows",
    "deploy",
    "verify_migrations",
    "preflight",
    "guard",
    "request",
    "approve",
    "reject",
    "withdraw",
    "use",
    "lapse",
    "require",
    "lift",
    "login",
    "logout",
    "view",
    "webhook",
)


@dataclass(frozen=True)
class ActivityQuery:
    """What the address of the log says."""

    actor: str = ""
    action: str = ""
    outcome: str = ""
    object: str = ""
    artifact: str = ""
    since: str = ""
    until: str = ""
    before: int | None = None

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the log."""
        return self != ActivityQuery(before=self.before)

    def link(self, path: str = PATH) -> str:
        """Return the address of this part of the log."""
        return link(path, vars(self))

    def wrong(self) -> dict[str, WrongUsage]:
        """Return which dates are none, and why, by their names."""
        found: dict[str, WrongUsage] = {}
        for name in ("since", "until"):
            try:
                moment(getattr(self, name))
            except WrongUsage as exc:
                found[name] = exc
        return found

    def to_filter(self, limit: int) -> ActivityFilter:
        """Return what the engine takes; WrongUsage for a date that is none."""
        return ActivityFilter(
            actor=self.actor or None,
            action=self.action or None,
            artifact_id=self.artifact or None,
            object=self.object or None,
            since=moment(self.since),
            until=moment(self.until),
            outcome=self.outcome or None,
            before=self.before,
            limit=limit,
        )


def activity_query(
    actor: str = "",
    action: str = "",
    outcome: str = "",
    object: str = "",  # noqa: A002 - the documented name
    artifact: str = "",
    since: str = "",
    until: str = "",
    before: Annotated[int | None, Query(ge=1, lt=2**63)] = None,
) -> ActivityQuery:
    """Read the filters from the address."""
    return ActivityQuery(actor, action, outcome, object, artifact, since, until, before)


Asked = Annotated[ActivityQuery, Depends(activity_query)]


@dataclass(frozen=True)
class ActivityView:
    """A page of the log, newest first."""

    query: ActivityQuery
    entries: tuple[Activity, ...]
    older: str | None
    wrong: Mapping[str, WrongUsage] = field(default_factory=dict)
    actions: tuple[str, ...] = ACTIONS
    outcomes: tuple[str, ...] = audit.OUTCOMES

    @property
    def download(self) -> str:
        """Where the same entries come from as NDJSON."""
        return replace(self.query, before=None).link(f"{PATH}/download")


async def build(db: Database, query: ActivityQuery) -> ActivityView:
    """Read one page of the log, and whether there is more."""
    entries = await audit.list_activity(db, query.to_filter(PAGE + 1))
    older = None
    if len(entries) > PAGE:
        entries = entries[:PAGE]
        older = replace(query, before=entries[-1].id).link()
    return ActivityView(query, tuple(entries), older)


@router.get("", response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, query: Asked) -> Response:
    """Show the log."""
    wrong = {} if is_partial(request) else query.wrong()
    db = studio.reading(who)
    view = ActivityView(query, (), None, wrong=wrong) if wrong else await build(db, query)
    template = "activity/results.html" if is_partial(request) else "activity/page.html"
    return studio.pages.render(
        request, template, view, title="Activity", section="activity", status=400 if wrong else 200
    )


@router.get("/download")
async def download(studio: TheStudio, who: Who, query: Asked) -> Response:
    """Give the same entries as NDJSON, newest first."""
    db = studio.reading(who)
    query.to_filter(1)  # a wrong date is refused before the stream begins

    async def lines() -> AsyncIterator[str]:
        rest = query
        while entries := await audit.list_activity(db, rest.to_filter(1000)):
            yield "".join(json.dumps(entry.to_json()) + "\n" for entry in entries)
            rest = replace(rest, before=entries[-1].id)

    return StreamingResponse(
        lines(),
        media_type="application/x-ndjson",
        headers={
            "Content-Disposition": 'attachment; filename="zanith-activity.ndjson"',
            "Cache-Control": "no-store",
        },
    )
