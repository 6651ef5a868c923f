"""The list of artifacts, with what stands above it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse
from pydantic import TypeAdapter, ValidationError

from app.recovery.artifacts import listing as artifacts
from app.recovery.artifacts.listing import (
    ArtifactFilter,
    Page,
    Summary,
    summarize,
    summary_holds,
)
from app.recovery.core.actor import Actor
from app.recovery.core.durations import parse_duration
from app.recovery.core.errors import WrongUsage, ZanithError
from app.recovery.core.tasks import gather
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.routes import charts
from app.routes.dates import moment
from app.routes.errors import status_of
from app.routes.rendering import is_partial, link
from app.routes.studio import Studio, TheStudio, Who

router = APIRouter()

PATH = "/studio"
HEALTHS = ("ok", "unsealed", "damaged", "changed", "missing", "moved")
EXPIRING = (
    ("overdue", "Past its date"),
    ("7d", "Within 7 days, or past"),
    ("30d", "Within 30 days, or past"),
    ("90d", "Within 90 days, or past"),
    ("never", "Never"),
)
_PART = Query(max_length=200)
Sort = Literal["created", "size", "rows", "expires", "name"]


@dataclass(frozen=True)
class ArtifactQuery:
    """What the address of the list says; the API takes the same parameters."""

    type: str | None = None
    status: str | None = None
    table: str | None = None
    search: str | None = None
    health: str | None = None
    older_than: str | None = None
    object: str | None = None
    migration: str | None = None
    who: str | None = None
    held: str | None = None
    exported: str | None = None
    expiring: str | None = None
    since: str | None = None
    until: str | None = None
    sort: Sort = "created"
    direction: Literal["up", "down"] = "down"
    limit: int = 50
    after: str | None = None

    @property
    def filtered(self) -> bool:
        """Whether anything narrows the list."""
        return bool(self.narrowing)

    @property
    def narrowing(self) -> dict[str, str]:
        """What narrows the list, by its name in the address."""
        said = {name: getattr(self, name) for name in FILTERS}
        return {name: value for name, value in said.items() if value}

    @property
    def match(self) -> str:
        """The same as one text, for a form that acts on all that match."""
        return urlencode(self.narrowing)

    @classmethod
    def from_match(cls, text: str) -> ArtifactQuery:
        """Return the query of that text; WrongUsage where it is none."""
        said = dict(parse_qsl(text))
        if said.keys() - set(FILTERS):
            raise WrongUsage("that filter does not exist", hint="begin at the list of artifacts")
        return cls(**said)  # type: ignore[arg-type]

    @property
    def place(self) -> str:
        """The same with the order and the place, for a form that may lead back to this list."""
        return self.link().partition("?")[2]

    @classmethod
    def from_place(cls, text: str) -> ArtifactQuery:
        """Return the query of that text; the whole list where it is none."""
        try:
            return _PLACE.validate_python(dict(parse_qsl(text)))
        except ValidationError:
            return cls()

    def to_filter(self) -> ArtifactFilter:
        """Return what the engine takes; WrongUsage where a value means nothing."""
        older: timedelta | None = parse_duration(self.older_than) if self.older_than else None
        expiring = self.expiring if self.expiring and self.expiring != "never" else None
        within = timedelta() if expiring == "overdue" else parse_duration(expiring or "0s")
        return ArtifactFilter(
            type=self.type or None,
            status=self.status or None,
            table=self.table or None,
            search=self.search or None,
            older_than=older,
            health=self.health or None,
            object=self.object or None,
            migration=self.migration or None,
            who=self.who or None,
            held=_yes_or_no("held", self.held),
            exported=_yes_or_no("exported", self.exported),
            expiring=within if expiring else None,
            never_expires=True if self.expiring == "never" else None,
            since=moment(self.since),
            until=moment(self.until),
            sort=self.sort,
            descending=self.direction == "down",
            limit=self.limit,
            after=self.after or None,
        )

    def wrong(self) -> dict[str, WrongUsage]:
        """Return which filters mean nothing, and why, by their names."""
        found: dict[str, WrongUsage] = {}
        for name, value in self.narrowing.items():
            try:
                alone: dict[str, Any] = {name: value}
                artifacts.check_filter(ArtifactQuery(**alone).to_filter())
            except WrongUsage as exc:
                found[name] = exc
        return found

    def link(self, path: str = PATH) -> str:
        """Return the address of this very list, without what is the default."""
        defaults = ArtifactQuery()
        said = {k: v for k, v in asdict(self).items() if v != getattr(defaults, k)}
        return link(path, said)


_PLACE = TypeAdapter(ArtifactQuery)
# What a cleanup takes soon, and nobody has a copy of.
UNEXPORTED = ArtifactQuery(expiring="7d", exported="no")
FILTERS = tuple(
    item.name
    for item in fields(ArtifactQuery)
    if item.name not in {"sort", "direction", "limit", "after"}
)


def _yes_or_no(name: str, said: str | None) -> bool | None:
    if said and said not in {"yes", "no"}:
        raise WrongUsage(f"{said!r} is not yes or no", hint=f"write {name}=yes or {name}=no")
    return said == "yes" if said else None


def artifact_query(
    type: str | None = None,  # noqa: A002 - the documented name
    status: str | None = None,
    table: str | None = None,
    search: Annotated[str | None, Query(max_length=200)] = None,
    health: str | None = None,
    older_than: str | None = None,
    object: Annotated[str | None, _PART] = None,  # noqa: A002 - the documented name
    migration: Annotated[str | None, _PART] = None,
    who: Annotated[str | None, _PART] = None,
    held: str | None = None,
    exported: str | None = None,
    expiring: str | None = None,
    since: str | None = None,
    until: str | None = None,
    sort: Sort = "created",
    direction: Literal["up", "down"] = "down",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    after: Annotated[str | None, Query(max_length=2000)] = None,
) -> ArtifactQuery:
    """Read the filters, the order and the place from an address."""
    return ArtifactQuery(
        *(type, status, table, search, health, older_than, object, migration, who),
        *(held, exported, expiring, since, until, sort, direction, limit, after),
    )


Asked = Annotated[ArtifactQuery, Depends(artifact_query)]


@dataclass(frozen=True)
class Attention:
    """What somebody should look at: how many, in words, and where they are listed."""

    number: int
    words: str
    link: str
    bad: bool = False


@dataclass(frozen=True)
class SummaryView:
    """The figures above the list, and their charts."""

    totals: Summary
    attention: tuple[Attention, ...]
    by_table: charts.BarChart
    by_expiry: charts.BarChart
    # milliseconds after which to ask again, where these may be older than what changed
    again_in: int | None = None


@dataclass(frozen=True)
class ArtifactsView:
    """The list and the figures above it; the page and its partial share this."""

    query: ArtifactQuery
    page: Page
    summary: SummaryView | None
    healths: tuple[str, ...] = HEALTHS
    expiring: tuple[tuple[str, str], ...] = EXPIRING
    wrong: Mapping[str, WrongUsage] = field(default_factory=dict)
    refused: ZanithError | None = None
    """Why the action on those that are ticked did not begin; they stay ticked, with the reason."""
    ticked: frozenset[str] = frozenset()
    reason: str = ""

    @property
    def filtered(self) -> bool:
        """Whether the list shows less than everything."""
        return self.query.filtered

    @property
    def folded(self) -> int:
        """How many of the filters that are folded away narrow the list."""
        return len(self.query.narrowing.keys() - {"search", "type", "status", "health", "table"})

    @property
    def beyond(self) -> bool:
        """Whether more match than are on this page."""
        return self.page.total > len(self.page.items)

    @property
    def here(self) -> str:
        """The address of this very list."""
        return self.query.link()

    @property
    def next_link(self) -> str | None:
        """The following page, or None at the end."""
        return replace(self.query, after=self.page.next).link() if self.page.next else None

    @property
    def previous_link(self) -> str | None:
        """The page before, or None at the start."""
        before = self.page.previous
        return None if before is None else replace(self.query, after=before or None).link()

    def sorted_by(self, key: Sort) -> str:
        """The same list in another order; the same column again turns it round."""
        here = self.query.sort == key
        first: Literal["up", "down"] = "up" if key in {"name", "expires"} else "down"
        turned: Literal["up", "down"] = "up" if self.query.direction == "down" else "down"
        direction = turned if here else first
        return replace(self.query, sort=key, direction=direction, after=None).link()


async def build(db: Database, query: ArtifactQuery, *, partial: bool) -> ArtifactsView:
    """Read the list, and for the whole page the figures above it."""
    listing = artifacts.list_artifacts(db, query.to_filter())
    if partial:
        return ArtifactsView(query, await listing, None)
    return ArtifactsView(query, *await gather(listing, build_summary(db)))


async def show_refused(
    request: Request,
    studio: Studio,
    who: Actor,
    query: ArtifactQuery,
    **refused: Any,
) -> HTMLResponse:
    """Show the list again with why an action did not begin, and what was ticked and typed."""
    db = studio.reading(who)
    query = ArtifactQuery() if query.wrong() else query
    view = replace(await build(db, query, partial=False), **refused)
    return studio.pages.render(
        *(request, "artifacts/page.html", view),
        title="Artifacts",
        section="artifacts",
        status=status_of(refused["refused"]),
    )


async def build_summary(db: Database) -> SummaryView:
    """Read the figures above the list."""
    summary, unexported, blocked = await gather(
        summarize(db),
        artifacts.count_matching(db, UNEXPORTED.to_filter()),
        jobs.count_blocked(db),
    )
    by_table = charts.by_table(summary.by_table, summary.parked_tables, summary.parked_bytes)
    by_expiry = charts.by_expiry(summary.by_expiry)
    found = (
        Attention(
            summary.damaged,
            f"{'is' if summary.damaged == 1 else 'are'} damaged",
            ArtifactQuery(health="damaged").link(),
            bad=True,
        ),
        Attention(
            unexported,
            f"{'expires' if unexported == 1 else 'expire'} within 7 days, or"
            f" {'is' if unexported == 1 else 'are'} overdue, without an export",
            UNEXPORTED.link(),
        ),
        Attention(
            summary.unsealed,
            f"{'is' if summary.unsealed == 1 else 'are'} not sealed yet",
            ArtifactQuery(health="unsealed").link(),
        ),
        Attention(
            blocked,
            f"{'job waits' if blocked == 1 else 'jobs wait'} for a lock",
            link("/studio/jobs", {"state": "blocked"}),
        ),
    )
    attention = tuple(item for item in found if item.number)
    return SummaryView(summary, attention, by_table, by_expiry)


@router.get(PATH, response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, query: Asked) -> HTMLResponse:
    """Show the list of artifacts, or only its results where HTMX asks."""
    partial = is_partial(request)
    db = studio.reading(who)
    wrong = {} if partial else query.wrong()
    if wrong:
        view = ArtifactsView(query, Page([], None, None, 0), await build_summary(db), wrong=wrong)
    else:
        view = await build(db, query, partial=partial)
    template = "artifacts/results.html" if partial else "artifacts/page.html"
    return studio.pages.render(
        *(request, template, view),
        title="Artifacts",
        section="artifacts",
        status=400 if wrong else 200,
    )


@router.get(f"{PATH}/summary", response_class=HTMLResponse)
async def show_summary(request: Request, studio: TheStudio, who: Who) -> HTMLResponse:
    """Show the figures above the list again, after something changed."""
    db = studio.reading(who)
    old_for = summary_holds(db)
    view = await build_summary(db)
    if old_for:
        view = replace(view, again_in=math.ceil(1000 * old_for))
    return studio.pages.render(request, "artifacts/figures.html", view, title="Artifacts")
