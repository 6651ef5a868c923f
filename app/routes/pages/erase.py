"""Erase: delete one person's rows from a parked copy."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.approvals.standing import Standing, of_erasure
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, Refused, WrongUsage, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.db.database import Database
from app.recovery.inspection.inspect import find_columns
from app.recovery.purge.erase import (
    ErasurePlan,
    Match,
    plan_erasure,
)
from app.recovery.restore.rows_plan import RowsPlan, plan_rows
from app.recovery.rows.search import check_refs
from app.routes import work
from app.routes.errors import status_of
from app.routes.pages.rows import TheTicked, show_again
from app.routes.rendering import from_field
from app.routes.studio import TheStudio, Typed, Who, checked_form

router = APIRouter(prefix="/studio/artifacts/{artifact_id}/erase")

PAIRS = 3


@dataclass(frozen=True)
class EraseView:
    """Which rows, and what taking them out would do. Values are in the form and in no address."""

    artifact: Artifact
    columns: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    plan: ErasurePlan | None
    refusal: ZanithError | None = None
    error: ZanithError | None = None
    typed: str = ""
    reason: str = ""
    ticked: RowsPlan | None = None
    """The rows that were ticked, where it starts from these."""
    key: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    """Of ticked rows: the columns of the key, and their values of each row, one after another."""
    standing: Standing = field(default_factory=lambda: Standing(Change.ERASE))


@dataclass(frozen=True)
class Pairs:
    """Columns and their values, as the form's rows give them; or keys of rows that were ticked."""

    pairs: tuple[tuple[str, str], ...] = ()
    key: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()

    @property
    def match(self) -> Match:
        """The same for the engine; rows without a column are left out."""
        if self.key:
            width = len(self.key)
            starts = range(0, len(self.keys), width)
            return [dict(zip(self.key, self.keys[at : at + width], strict=True)) for at in starts]
        named = [(column, value) for column, value in self.pairs if column]
        if len(dict(named)) < len(named):
            raise WrongUsage("a column is given twice", hint="name each column once")
        return dict(named)


def pairs_in_form(
    column: Annotated[list[str] | None, Form(max_length=PAIRS)] = None,
    value: Annotated[list[str] | None, Form(max_length=PAIRS)] = None,
    key: Annotated[list[str] | None, Form(max_length=8)] = None,
    key_value: Annotated[list[str] | None, Form(max_length=8000)] = None,
) -> Pairs:
    """Read which rows are meant."""
    names, keys = tuple(map(from_field, key or [])), tuple(key_value or [])
    if names and (not keys or len(keys) % len(names)):
        raise WrongUsage("the keys of the rows are not complete", hint="tick the rows again")
    pairs = tuple(zip(map(from_field, column or []), value or [], strict=False))
    return Pairs(pairs, names, keys)


async def build(
    db: Database,
    artifact_id: str,
    actor: Actor,
    pairs: Pairs | None = None,
    error: ZanithError | None = None,
) -> EraseView:
    """Read what columns there are, and plan where rows are named."""
    artifact = await get_artifact(db, artifact_id)
    try:
        columns = tuple(column.name for column in await find_columns(db, artifact.id))
    except ZanithError as exc:
        return EraseView(artifact, (), (), None, refusal=exc)
    plan, refusal, standing = None, None, Standing(Change.ERASE)
    if pairs is not None:
        try:
            plan = await plan_erasure(db, artifact.id, pairs.match, actor)
            standing = await of_erasure(db, plan, pairs.match)
        except ZanithError as exc:
            refusal = exc
    given = pairs or Pairs()
    shown = EraseView(artifact, columns, given.pairs, plan, refusal, error)
    return replace(shown, key=given.key, keys=given.keys, standing=standing)


def _show(request: Request, studio: TheStudio, view: EraseView, status: int = 200) -> HTMLResponse:
    return studio.pages.render(
        request,
        "erase/page.html",
        view,
        title=f"Erase rows of {view.artifact.object_name}",
        section="artifacts",
        status=status,
    )


@router.get("", response_class=HTMLResponse)
async def show(request: Request, studio: TheStudio, who: Who, artifact_id: str) -> Response:
    """Ask which rows."""
    return _show(request, studio, await build(studio.reading(who), artifact_id, who))


@router.post("/look", response_class=HTMLResponse, dependencies=[checked_form])
async def look(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    pairs: Annotated[Pairs, Depends(pairs_in_form)],
) -> Response:
    """Show how many rows match, and what would run; nothing changes."""
    request.state.reads_only = True
    view = await build(studio.reading(who), artifact_id, who, pairs)
    return _show(request, studio, view, status_of(view.refusal) if view.refusal else 200)


@router.post("/ticked", response_class=HTMLResponse, dependencies=[checked_form])
async def look_at_ticked(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    ticked: TheTicked,
) -> Response:
    """Show the rows that were ticked, and what erasing them would run; nothing changes."""
    request.state.reads_only = True
    try:
        rows = await plan_rows(studio.db, artifact_id, check_refs(ticked.refs), who)
    except (WrongUsage, Refused) as exc:
        return await show_again(request, studio, who, artifact_id, ticked, exc)
    if not rows.key:
        keyless = Refused("these rows have no key", hint="name columns and values instead")
        return await show_again(request, studio, who, artifact_id, ticked, keyless)
    keys = [value or "" for row in rows.rows for value in row.key]
    pairs = Pairs(key=rows.key, keys=tuple(keys))
    view = await build(studio.db, artifact_id, who, pairs)
    view = replace(view, ticked=rows)
    return _show(request, studio, view, status_of(view.refusal) if view.refusal else 200)


@router.post("", dependencies=[checked_form])
async def start(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    pairs: Annotated[Pairs, Depends(pairs_in_form)],
    rows: Annotated[int, Form(ge=0, lt=2**63)] = 0,
    confirm: Typed = "",
    digest: Annotated[str, Form(max_length=64)] = "",
    reason: Typed = "",
) -> Response:
    """Start the erasure, or show it again with what stands in the way."""
    try:
        job = await work.start_erasure(
            studio,
            artifact_id,
            pairs.match,
            who,
            rows=rows,
            confirm=confirm,
            digest=digest or None,
            reason=reason.strip() or None,
        )
    except (Refused, Locked, WrongUsage) as exc:
        view = replace(
            await build(studio.reading(who), artifact_id, who, pairs, exc),
            typed=confirm,
            reason=reason,
        )
        return _show(request, studio, view, status_of(exc))
    return RedirectResponse(f"/studio/jobs/{job.id}", 303)
