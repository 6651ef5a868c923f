"""Capture: pick a table or a column, see what each way of dropping it would do, confirm one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.artifacts.catalog import (
    Attribute,
    Droppable,
    Relation,
    RelationPage,
    describe_relation,
    judge_drops,
    list_relations,
)
from app.recovery.capture.planning import CapturePlan, plan_capture
from app.recovery.capture.request import CaptureRequest
from app.recovery.core.durations import format_duration
from app.recovery.core.errors import Locked, Refused, WrongUsage, ZanithError
from app.recovery.core.names import parse_name, quote
from app.recovery.core.options import Option, option, options_of, options_to_json
from app.recovery.core.strategies import DROPS, OF_COLUMNS, Strategy
from app.recovery.db.database import Database
from app.routes import work
from app.routes.errors import status_of
from app.routes.options import read_page, reading
from app.routes.rendering import from_field, is_partial, link, one_line
from app.routes.studio import TheStudio, Typed, Who, checked_form

router = APIRouter(prefix="/studio/capture")

PATH = "/studio/capture"
OF_COLUMN = tuple(strategy for strategy in DROPS if strategy in OF_COLUMNS)
OF_TABLE = (Strategy.SOFT_DROP_TABLE, Strategy.ARCHIVE_TABLE, Strategy.REBUILD_TABLE)
_PLACE = ("schema", "table", "column")
_NAME = 300  # 63 bytes are at most so many characters of an address


@dataclass(frozen=True)
class Picked:
    """What the address says: the object, the way, and the options as a page has them."""

    schema: str = option("", default="", longest=_NAME)
    table: str = option("", default="", longest=_NAME)
    column: str = option("", default="", longest=_NAME)
    strategy: str = option("", default="", words=("", *OF_COLUMN, *OF_TABLE))
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ways(self) -> tuple[str, ...]:
        """The strategies that apply to what is picked."""
        return OF_COLUMN if self.column else OF_TABLE

    @classmethod
    def from_page(cls, given: dict[str, Any]) -> Picked:
        """Return what an address or a form says."""
        place = {name: from_field(given.pop(name)) for name in _PLACE}
        return cls(**place, strategy=given.pop("strategy"), options=given)

    @classmethod
    def from_job(cls, made: Mapping[str, Any]) -> Picked:
        """Return what was picked for a capture, from the request that its job keeps."""
        request = CaptureRequest.from_json(dict(made))
        schema, *table = parse_name(request.table)
        return cls(
            schema=schema if table else "public",
            table=table[-1] if table else schema,
            column=request.column or "",
            strategy=request.strategy,
            options=options_to_json(request),
        )

    @property
    def fields(self) -> dict[str, Any]:
        """What the form sends, as from_page reads it."""
        place = {name: one_line(getattr(self, name)) for name in _PLACE}
        usual = {item.name: item.default for item in options_of(CaptureRequest)}
        made = {name: said for name, said in self.options.items() if said != usual[name]}
        return {k: v for k, v in {**place, "strategy": self.strategy, **made}.items() if v}

    def link(self) -> str:
        """Return the address of this very page."""
        return link(PATH, self.fields)

    @property
    def wrong_expiry(self) -> WrongUsage | None:
        """What is wrong with the time to keep it: an error of its field, and of no strategy."""
        try:
            read_page(CaptureRequest, {"expires_in": self.options.get("expires_in", "")})
        except WrongUsage as exc:
            return exc
        return None

    def to_request(self, strategy: str) -> CaptureRequest:
        """Return what the engine takes; WrongUsage for a duration that is none."""
        said = read_page(CaptureRequest, self.options)
        if strategy == "rebuild_table":
            said["on_dependents"] = "refuse"
        return CaptureRequest(
            strategy,
            quote([self.schema, self.table]),
            self.column or None,
            **said
            | {
                "keep_rows": said.get("keep_rows", False) and strategy == "rebuild_table",
                "online": said.get("online", False) and strategy == "archive_column",
            },
        )


picked_in_query = reading(Query, Picked.from_page, Picked, CaptureRequest)
picked_in_form = reading(Form, Picked.from_page, Picked, CaptureRequest)


@dataclass(frozen=True)
class Way:
    """One strategy for what is picked: its plan, or why it cannot be done."""

    strategy: str
    plan: CapturePlan | None
    error: ZanithError | None
    chosen: bool


@dataclass(frozen=True)
class TablesView:
    """The tables to pick from."""

    search: str
    page: RelationPage

    @property
    def next_link(self) -> str | None:
        """The following tables, or None at the end."""
        last = self.page.next
        if last is None:
            return None
        said = {"search": self.search, "after_schema": last.schema, "after": last.name}
        return link(PATH, said)

    def pick(self, relation: Relation) -> str:
        """The address of one table."""
        return Picked(schema=relation.schema, table=relation.name).link()


@dataclass(frozen=True)
class Judged:
    """What can be dropped of a table, or why that could not be told."""

    columns: Mapping[str | None, Droppable]
    error: ZanithError | None = None


@dataclass(frozen=True)
class CaptureView:
    """One table, what is picked of it, and the ways to park that."""

    picked: Picked
    relation: Relation
    attributes: tuple[Attribute, ...]
    ways: tuple[Way, ...]
    whole: bool
    retention: timedelta | str | None
    error: ZanithError | None = None
    typed: str = ""
    judged: Judged | None = None

    @property
    def usual_expiry(self) -> str:
        """How long it is kept where nothing is typed."""
        if isinstance(self.retention, str):
            return "the database's default"
        return format_duration(self.retention)

    @property
    def options(self) -> dict[str, Option]:
        """What the engine says of each option, by its name."""
        return {item.name: item for item in options_of(CaptureRequest)}

    @property
    def ticks(self) -> list[Option]:
        """The options that are there or not, where one applies to what is picked."""
        left = "keep_rows" if self.picked.column else "online"
        return [item for item in options_of(CaptureRequest) if item.is_flag and item.name != left]

    @property
    def chosen(self) -> Way | None:
        """The way that is chosen."""
        return next((way for way in self.ways if way.chosen), None)

    @property
    def object_name(self) -> str:
        """What would be captured, as SQL writes it."""
        parts = [self.picked.schema, self.picked.table]
        return quote([*parts, self.picked.column] if self.picked.column else parts)

    def pick(self, column: str) -> str:
        """The address of one column."""
        return Picked(schema=self.picked.schema, table=self.picked.table, column=column).link()

    @property
    def judge_link(self) -> str:
        """The address of the same page with the judgement of each column in it."""
        return link(PATH, {**self.picked.fields, "check": True})

    @property
    def table_link(self) -> str:
        """The address of the table and its columns."""
        return Picked(schema=self.picked.schema, table=self.picked.table).link()

    @property
    def whole_link(self) -> str:
        """The address of the ways to park the whole table."""
        return Picked(
            schema=self.picked.schema, table=self.picked.table, strategy="soft_drop_table"
        ).link()


async def build(db: Database, picked: Picked, error: ZanithError | None = None) -> CaptureView:
    """Read the table, and plan each way for what is picked."""
    relation, attributes = await describe_relation(db, picked.schema, picked.table)
    whole = not picked.column and bool(picked.strategy)
    ways: list[Way] = []
    if whole or picked.column:
        chosen = picked.strategy if picked.strategy in picked.ways else ""
        for strategy in picked.ways:
            plan, why = await _plan(db, picked, strategy)
            ways.append(Way(strategy, plan, why, strategy == chosen))
    return CaptureView(picked, relation, attributes, tuple(ways), whole, db.retention, error)


async def _show_judged(
    request: Request, studio: TheStudio, who: Who, picked: Picked
) -> HTMLResponse:
    db = studio.reading(who)
    relation, attributes = await describe_relation(db, picked.schema, picked.table)
    view = CaptureView(
        *(picked, relation, attributes, (), False, db.retention), judged=await _judge(db, picked)
    )
    template = "capture/columns.html" if is_partial(request) else "capture/page.html"
    title = f"Drop {view.object_name}, recoverably"
    return studio.pages.render(request, template, view, title=title, section="capture")


async def _judge(db: Database, picked: Picked) -> Judged:
    try:
        found = await judge_drops(db, picked.schema, picked.table)
    except ZanithError as exc:
        return Judged({}, exc)
    return Judged({one.column: one for one in found})


async def _plan(
    db: Database, picked: Picked, strategy: str
) -> tuple[CapturePlan | None, ZanithError | None]:
    try:
        return await plan_capture(db, picked.to_request(strategy)), None
    except ZanithError as exc:
        return None, exc


def _show(
    request: Request, studio: TheStudio, view: CaptureView, status: int = 200
) -> HTMLResponse:
    partial = is_partial(request)
    return studio.pages.render(
        request,
        "capture/ways.html" if partial else "capture/page.html",
        view,
        title=f"Drop {view.object_name}, recoverably",
        section="capture",
        status=status,
        headers={"HX-Retarget": "#ways"} if partial and status >= 400 else None,
    )


@router.get("", response_class=HTMLResponse)
async def show(
    request: Request,
    studio: TheStudio,
    who: Who,
    picked: Annotated[Picked, Depends(picked_in_query)],
    search: Annotated[str, Query(max_length=200)] = "",
    after_schema: Annotated[str, Query(max_length=_NAME)] = "",
    after: Annotated[str, Query(max_length=_NAME)] = "",
    check: bool = False,
) -> Response:
    """Show the tables; of one its columns; of what is picked the ways and their plans."""
    db = studio.reading(who)
    if picked.table and check:
        return await _show_judged(request, studio, who, picked)
    if picked.table:
        return _show(request, studio, await build(db, picked))
    place = (after_schema, after) if after else None
    view = TablesView(search, await list_relations(db, search, place))
    template = "capture/tables.html" if is_partial(request) else "capture/pick.html"
    return studio.pages.render(request, template, view, title="Drop recoverably", section="capture")


@router.post("", dependencies=[checked_form])
async def start(
    request: Request,
    studio: TheStudio,
    who: Who,
    picked: Annotated[Picked, Depends(picked_in_form)],
    confirm: Typed = "",
    digest: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Start the capture, or show its plan again with what stands in the way."""
    try:
        job = await work.start_capture(
            studio,
            picked.to_request(picked.strategy),
            who,
            confirm=confirm,
            digest=digest or None,
        )
    except (Refused, Locked, WrongUsage) as exc:
        view = replace(await build(studio.reading(who), picked, exc), typed=confirm)
        return _show(request, studio, view, status_of(exc))
    target = f"/studio/jobs/{job.id}"
    if is_partial(request):
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)
