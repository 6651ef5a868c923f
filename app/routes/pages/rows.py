"""Rows of an artifact: searched, ticked, put back, copied, or taken along.

Values are in the forms and in no address.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Busy, Locked, Refused, WrongUsage, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import find_columns
from app.recovery.jobs.approvals import find_required
from app.recovery.restore.rows_plan import WORDS, PlannedRow, RowsPlan, copy_rows, plan_rows
from app.recovery.rows.conditions import OPERATORS, WITHOUT_VALUE, Condition, WrongConditions
from app.recovery.rows.search import Found, check_refs, find_rows
from app.routes import work
from app.routes.answers import as_file
from app.routes.errors import status_of
from app.routes.rendering import from_field
from app.routes.studio import Studio, TheStudio, Typed, Who, checked_form

router = APIRouter(prefix="/studio/artifacts/{artifact_id}/rows")

LINES = 3
MEANINGS = {"LIKE": "is like", "IS NULL": "is NULL", "IS NOT NULL": "is not NULL"}


@dataclass(frozen=True)
class Line:
    """One line of the form of a search, and what is wrong with it."""

    column: str = ""
    operator: str = "="
    value: str = ""
    message: str = ""
    hint: str = ""


@dataclass(frozen=True)
class SearchForm:
    """The form: its lines as they were typed."""

    lines: tuple[Line, ...]
    columns: tuple[str, ...] = ()
    operators: tuple[str, ...] = OPERATORS

    def meaning(self, operator: str) -> str:
        """Return the words for an operator."""
        return MEANINGS.get(operator, operator)


@dataclass(frozen=True)
class Skip:
    """The choice to put rows back without a comparison with their seal."""

    chosen: bool = False
    allowed: bool = True
    """False where that needs an approval: single rows can have none."""

    def offers(self, plan: RowsPlan) -> bool:
        """Whether the choice makes a difference to this plan."""
        codes = {conflict.code for conflict in plan.conflicts}
        return self.chosen or codes == {"seal_broken"} or plan.verification is not None


async def read_skip(db: Database, *, chosen: bool = False) -> Skip:
    """Return the choice, and whether it can be made here."""
    return Skip(chosen, Change.UNVERIFIED not in await find_required(db))


@dataclass(frozen=True)
class RowsPage:
    """What was found, beside the live rows, and the form to search again."""

    artifact: Artifact
    search: SearchForm
    found: Found | None = None
    plan: RowsPlan | None = None
    error: ZanithError | None = None
    page: int = 0
    ticked: tuple[str, ...] | None = None
    wrong_ticks: ZanithError | None = None
    skip: Skip = Skip()

    @property
    def words(self) -> dict[str, str]:
        """What each outcome means."""
        return WORDS

    @property
    def asked(self) -> tuple[Line, ...]:
        """The lines of the search that named a column: the form of the rows has them too."""
        return tuple(line for line in self.search.lines if line.column)

    def is_ticked(self, row: PlannedRow) -> bool:
        """Whether to tick a row: as it was sent, or at first if it would be written."""
        return row.written if self.ticked is None else row.row.ref in self.ticked


@dataclass(frozen=True)
class ChosenRows:
    """The plan for the ticked rows, and how to confirm it."""

    artifact: Artifact
    plan: RowsPlan
    skip: Skip
    error: ZanithError | None = None
    typed: str = ""
    reason: str = ""

    @property
    def words(self) -> dict[str, str]:
        """What each outcome means."""
        return WORDS


def lines_in_form(
    column: Annotated[list[str] | None, Form(max_length=LINES)] = None,
    operator: Annotated[list[str] | None, Form(max_length=LINES)] = None,
    value: Annotated[list[str] | None, Form(max_length=LINES)] = None,
) -> tuple[Line, ...]:
    """Read the lines of the form; without scripts, a line whose operator takes no value has one."""
    columns = [from_field(name) for name in column or []]
    return tuple(map(Line, columns, operator or [], value or []))


Lines = Annotated[tuple[Line, ...], Depends(lines_in_form)]


def conditions_of(lines: tuple[Line, ...]) -> list[tuple[int, Condition]]:
    """Return the conditions with the numbers of their lines; an empty line is none."""
    return [
        (
            number,
            Condition(line.column, line.operator, None)
            if line.operator in WITHOUT_VALUE
            else Condition(line.column, line.operator, line.value),
        )
        for number, line in enumerate(lines)
        if line.column
    ]


async def search_form(db: Database, artifact_id: str, lines: tuple[Line, ...] = ()) -> SearchForm:
    """Return the form with the columns that can be searched; none where there are no rows."""
    try:
        columns = tuple(column.name for column in await find_columns(db, artifact_id))
    except ZanithError:
        columns = ()
    return SearchForm((lines + (Line(),) * LINES)[:LINES], columns)


async def build(
    studio: Studio, artifact_id: str, who: Actor, lines: tuple[Line, ...], page: int
) -> RowsPage:
    """Search, and put the live rows beside what is found."""
    artifact = await get_artifact(studio.db, artifact_id)
    numbered = conditions_of(lines)
    if not numbered:
        message = "Choose the column to search by."
        wrong = Line(operator="=", value=lines[0].value if lines else "", message=message)
        return RowsPage(artifact, await search_form(studio.db, artifact.id, (wrong, *lines[1:])))
    try:
        asked = [condition for _, condition in numbered]
        found = await find_rows(studio.db, artifact.id, asked, who, page=page)
    except WrongConditions as exc:
        shown = list(lines)
        for at, message, hint in exc.errors:
            number = numbered[at][0]
            line = lines[number]
            shown[number] = Line(line.column, line.operator, line.value, message, hint)
        return RowsPage(artifact, await search_form(studio.db, artifact.id, tuple(shown)))
    except (WrongUsage, Refused, Busy) as exc:
        form = await search_form(studio.db, artifact.id, lines)
        return RowsPage(artifact, form, error=exc)
    form = await search_form(studio.db, artifact.id, lines)
    plan, error = None, None
    if found.rows:
        try:
            refs = [row.ref for row in found.rows]
            plan = await plan_rows(studio.db, artifact.id, refs, who)
        except ZanithError as exc:
            error = exc
    skip = await read_skip(studio.db)
    return RowsPage(artifact, form, found, plan, error, page, skip=skip)


@router.post("/find", response_class=HTMLResponse, dependencies=[checked_form])
async def find(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    lines: Lines,
    page: Annotated[int, Form(ge=0, lt=2**32)] = 0,
) -> Response:
    """Show the rows that match, beside the live rows; nothing changes."""
    request.state.reads_only = True
    view = await build(studio, artifact_id, who, lines, page)
    wrong = any(line.message for line in view.search.lines)
    status = 400 if wrong else status_of(view.error) if view.error else 200
    return _show_found(request, studio, view, status)


def _show_found(request: Request, studio: TheStudio, view: RowsPage, status: int) -> HTMLResponse:
    return studio.pages.render(
        request,
        "rows/found.html",
        view,
        title=f"Rows of {view.artifact.object_name}",
        section="artifacts",
        status=status,
    )


@dataclass(frozen=True)
class Ticked:
    """The rows that were ticked, and the search that found them, as the form has both."""

    refs: tuple[str, ...]
    lines: tuple[Line, ...]
    page: int


def ticked_in_form(
    lines: Lines,
    ref: Annotated[list[str] | None, Form(max_length=1000)] = None,
    page: Annotated[int, Form(ge=0, lt=2**32)] = 0,
) -> Ticked:
    """Read the form of the rows that were found."""
    return Ticked(tuple(ref or ()), lines, page)


TheTicked = Annotated[Ticked, Depends(ticked_in_form)]
SkipsSeal = Annotated[bool, Form()]


async def show_again(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    ticked: Ticked,
    error: ZanithError,
) -> Response:
    """Show the rows that were found again, as they were ticked, with the error at their form."""
    if not any(line.column for line in ticked.lines):
        raise error  # no search was sent with the rows
    view = await build(studio, artifact_id, who, ticked.lines, ticked.page)
    if view.plan is None:
        return _show_found(request, studio, view, status_of(error))
    view = replace(view, ticked=ticked.refs, wrong_ticks=error)
    return _show_found(request, studio, view, status_of(error))


def _show(request: Request, studio: TheStudio, view: ChosenRows, status: int = 200) -> HTMLResponse:
    return studio.pages.render(
        request,
        "rows/chosen.html",
        view,
        title=f"Put rows of {view.artifact.object_name} back",
        section="artifacts",
        status=status,
    )


@router.post("/chosen", response_class=HTMLResponse, dependencies=[checked_form])
async def choose(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    ticked: TheTicked,
    to: Annotated[Literal["plan", "csv", "sql"], Form()] = "plan",
    unverified: SkipsSeal = False,
) -> Response:
    """Show the plan for the ticked rows, or give them as CSV or SQL; nothing changes."""
    request.state.reads_only = True
    artifact = await get_artifact(studio.db, artifact_id)
    try:
        refs = check_refs(ticked.refs)
        if to != "plan":
            text = await copy_rows(studio.db, artifact.id, refs, who, to)
            return as_file(text, f"rows-{artifact.id}", to)
        plan = await plan_rows(studio.db, artifact.id, refs, who, unverified=unverified)
    except (WrongUsage, Refused) as exc:
        return await show_again(request, studio, who, artifact.id, ticked, exc)
    skip = await read_skip(studio.db, chosen=unverified)
    return _show(request, studio, ChosenRows(artifact, plan, skip))


@router.post("/restore", dependencies=[checked_form])
async def start(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    ref: Annotated[list[str] | None, Form(max_length=1000)] = None,
    confirm: Typed = "",
    digest: Annotated[str, Form(max_length=64)] = "",
    reason: Typed = "",
    unverified: SkipsSeal = False,
) -> Response:
    """Start to put them back, or show the plan again with what stands in the way."""
    refs = check_refs(ref or ())
    try:
        job = await work.start_rows(
            *(studio, artifact_id, refs, who),
            confirm=confirm,
            digest=digest or None,
            reason=reason.strip() or None,
            unverified=unverified,
        )
    except (Refused, Locked, WrongUsage) as exc:
        artifact = await get_artifact(studio.db, artifact_id)
        plan = await plan_rows(studio.db, artifact.id, refs, who, unverified=unverified)
        skip = await read_skip(studio.db, chosen=unverified)
        view = ChosenRows(artifact, plan, skip, exc, confirm, reason)
        return _show(request, studio, view, status_of(exc))
    return RedirectResponse(f"/studio/jobs/{job.id}", 303)
