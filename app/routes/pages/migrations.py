"""Migrations: what each dropped, and everything of one restored with one name and one job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.artifacts.migrations import MigrationPage, find_all, list_migrations
from app.recovery.artifacts.model import Artifact
from app.recovery.artifacts.tombstones import Purged
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, Refused, WrongUsage, ZanithError
from app.recovery.core.options import Option, options_of
from app.recovery.db.database import Database
from app.recovery.jobs.model import Job
from app.recovery.plan.blocking import Blocking, find_blocking
from app.recovery.plan.model import Choices, Conflict, Drift, Plan
from app.recovery.plan.verdict import Outcome, Verdict, judge
from app.recovery.restore.migration import OF_ONE, digest_of_all, in_restore_order, plan_each
from app.routes import work
from app.routes.chosen import Chosen
from app.routes.errors import status_of
from app.routes.migration_ids import id_of
from app.routes.options import reading
from app.routes.rendering import is_partial, link, migration_link
from app.routes.studio import TheStudio, Typed, Who, checked_form
from app.routes.words import plan_on_page

PATH = "/studio/migrations"

router = APIRouter(prefix=PATH)


def for_all(chosen: Chosen) -> Chosen:
    """Return the choices without those that are of one object."""
    defaults = {item.name: item.default for item in options_of(Choices) if item.name in OF_ONE}
    return replace(chosen, choices=replace(chosen.choices, **defaults))


chosen_in_query = reading(Query, Chosen.from_page, Chosen, Choices)
chosen_in_form = reading(Form, Chosen.from_page, Chosen, Choices)


@dataclass(frozen=True)
class MigrationsView:
    """The list of migrations, newest first."""

    page: MigrationPage
    search: str
    first: bool

    @property
    def here(self) -> str:
        """The address of this list."""
        return link(PATH, {"search": self.search})

    @property
    def next_link(self) -> str | None:
        """The address of the following page; None at the end."""
        said = {"search": self.search, "after": self.page.next}
        return link(PATH, said) if self.page.next else None


@dataclass(frozen=True)
class Planned:
    """One object that is left to restore: its plan and the verdict on it, or why there is none."""

    artifact: Artifact
    plan: Plan | None
    verdict: Verdict | None
    error: ZanithError | None

    @property
    def runs(self) -> bool:
        """Whether it can be restored as it is planned."""
        return self.verdict is not None and self.verdict.outcome in {Outcome.YES, Outcome.UNKNOWN}

    @property
    def alone(self) -> bool:
        """Whether a choice that is of one object would resolve what stops it."""
        flags = {item.flag.split()[0] for item in options_of(Choices) if item.name in OF_ONE}
        plan = self.plan
        stops: list[Conflict | Drift] = [*plan.conflicts, *plan.drift] if plan else []
        return any(flag.split(maxsplit=1)[0] in flags for stop in stops for flag in stop.choices)


@dataclass(frozen=True)
class MigrationView:
    """One migration: what is left to restore, in that order, and what became of the rest.

    ``planned`` is None until somebody asks for the plans.
    """

    migration_id: str
    left: tuple[Artifact, ...]
    others: tuple[Artifact, ...]
    purged: tuple[Purged, ...]
    chosen: Chosen
    planned: tuple[Planned, ...] | None = None
    error: ZanithError | None = None
    typed: str = ""

    @property
    def here(self) -> str:
        """The address of the page, to send forms to."""
        return migration_link(self.migration_id)

    @property
    def with_plan(self) -> str:
        """The address of the page with the plans of these choices."""
        return migration_link(self.migration_id, {"plan": "yes", **self.chosen.said})

    @property
    def plans(self) -> list[Plan]:
        """All plans that could be made."""
        return [item.plan for item in self.planned or () if item.plan is not None]

    @property
    def runs(self) -> bool:
        """Whether all of it can be restored as it is planned."""
        return bool(self.planned) and all(item.runs for item in self.planned or ())

    @property
    def unknown(self) -> bool:
        """Whether a check of one of them has no answer."""
        found = [item.verdict.outcome for item in self.planned or () if item.verdict]
        return Outcome.UNKNOWN in found

    @property
    def stopped(self) -> list[Planned]:
        """What cannot be restored as it is planned."""
        return [item for item in self.planned or () if not item.runs]

    @property
    def digest(self) -> str:
        """The digest over all plans, which a restore is confirmed by."""
        found = [(item.artifact, item.plan) for item in self.planned or () if item.plan]
        return digest_of_all(found)

    @property
    def seconds(self) -> float:
        """How long all of it takes, by estimate."""
        return sum(item.verdict.seconds for item in self.planned or () if item.verdict)

    @property
    def blocking(self) -> Blocking:
        """What the restores, one after another, keep others from."""
        return find_blocking(self.plans, rehearsed=False)

    @property
    def rehearsal_blocking(self) -> Blocking:
        """What a rehearsal of all of it keeps others from."""
        return find_blocking(self.plans, rehearsed=True)

    @property
    def losses(self) -> list[tuple[str, list[str]]]:
        """What does not come back exactly, and of which objects."""
        found: dict[str, list[str]] = {}
        for item in self.planned or ():
            for loss in item.verdict.losses if item.verdict else ():
                found.setdefault(loss, []).append(item.artifact.object_name)
        return list(found.items())

    @property
    def rows_to_fill(self) -> int:
        """How many rows were inserted since the drop, where that is known."""
        kinds = [d for plan in self.plans for d in plan.drift if d.kind == "rows_added"]
        return sum(drift.count or 0 for drift in kinds)

    @property
    def options(self) -> dict[str, Option]:
        """What the engine says of each option, by its name."""
        return {item.name: item for item in options_of(Choices)}

    @property
    def available(self) -> frozenset[str]:
        """The names of the choices that resolve something in one of the plans."""
        return frozenset(c.name for plan in self.plans for c in plan.choices) - {*OF_ONE}

    @property
    def ticks(self) -> list[Option]:
        """The choices that are there or not, where one can be made here."""
        made = self.chosen.choices
        offered = self.available - {"fill_default"}
        if not any(item.artifact.checksum for item in self.planned or ()):
            offered -= {"unverified"}
        items = [item for item in options_of(Choices) if item.is_flag and item.name not in OF_ONE]
        items = [item for item in items if item.name != "fill_default"]
        return [item for item in items if item.name in offered or getattr(made, item.name)]

    @property
    def parts(self) -> list[str]:
        """The parts that can be left out, and those that are."""
        offered = [p for plan in self.plans for c in plan.conflicts for p in c.without]
        return list(dict.fromkeys([*self.chosen.choices.without, *offered]))


async def build(
    db: Database,
    migration_id: str,
    chosen: Chosen,
    actor: Actor,
    *,
    plan: bool,
    error: ZanithError | None = None,
) -> MigrationView:
    """Read what the migration dropped, and plan with the choices if that is asked."""
    found, purged = await find_all(db, migration_id, quick=True)
    left = await in_restore_order(db, found)
    ids = {artifact.id for artifact in left}
    others = tuple(artifact for artifact in found if artifact.id not in ids)
    view = MigrationView(migration_id, tuple(left), others, tuple(purged), chosen, error=error)
    if not plan:
        return view
    planned = await plan_each(db, left, chosen.choices, actor=actor)
    return replace(view, planned=tuple(_judged(planned, chosen.choices)))


def _judged(
    planned: Sequence[tuple[Artifact, Plan | ZanithError]], choices: Choices
) -> list[Planned]:
    found = []
    for artifact, plan in planned:
        if isinstance(plan, Plan):
            shown = plan_on_page(plan)
            found.append(Planned(artifact, shown, judge(shown, choices), None))
        else:
            found.append(Planned(artifact, None, None, plan))
    return found


def _show(
    request: Request, studio: TheStudio, view: MigrationView, status: int = 200
) -> HTMLResponse:
    partial = is_partial(request)
    return studio.pages.render(
        request,
        "migrations/plan.html" if partial else "migrations/page.html",
        view,
        title=f"Migration {view.migration_id}",
        section="migrations",
        status=status,
        headers={"HX-Retarget": "#plan"} if partial and status >= 400 else None,
    )


@router.get("", response_class=HTMLResponse)
async def show_all(
    request: Request,
    studio: TheStudio,
    who: Who,
    search: Annotated[str, Query(max_length=200)] = "",
    after: Annotated[str, Query(max_length=20)] = "",
) -> Response:
    """Show the migrations, newest first."""
    page = await list_migrations(studio.reading(who), search, after or None)
    view = MigrationsView(page, search, first=not after)
    template = "migrations/results.html" if is_partial(request) else "migrations/list.html"
    return studio.pages.render(request, template, view, title="Migrations", section="migrations")


@router.get("/{migration_id:anything}", response_class=HTMLResponse)
async def show(
    request: Request,
    studio: TheStudio,
    who: Who,
    migration_id: str,
    chosen: Annotated[Chosen, Depends(chosen_in_query)],
    id: Annotated[str | None, Query(max_length=2)] = None,  # noqa: A002 - the name in addresses
    plan: bool = False,
) -> Response:
    """Show what a migration dropped; with `plan` also the verdict on each object."""
    found = id_of(migration_id, id)
    if not found:
        return RedirectResponse(PATH, 303)
    view = await build(studio.reading(who), found, for_all(chosen), who, plan=plan)
    return _show(request, studio, view)


@router.post("/{migration_id:anything}", dependencies=[checked_form])
async def start(
    request: Request,
    studio: TheStudio,
    who: Who,
    migration_id: str,
    chosen: Annotated[Chosen, Depends(chosen_in_form)],
    id: Annotated[str | None, Query(max_length=2)] = None,  # noqa: A002 - the name in addresses
    action: Annotated[str, Form(pattern="^(restore|rehearse)$")] = "restore",
    confirm: Typed = "",
    digest: Annotated[str, Form(max_length=64)] = "",
    blocking_ok: Annotated[bool, Form()] = False,
) -> Response:
    """Start to restore or to rehearse all of it, or show the plans again with what is in the way.

    An action of its own in the form, because an id may end as any address does.
    """
    found, chosen = id_of(migration_id, id), for_all(chosen)
    try:
        if action == "rehearse":
            job = await work.start_migration_rehearsal(
                studio, found, chosen.choices, who, accepted=blocking_ok
            )
        else:
            job = await work.start_migration(
                studio, found, chosen.choices, who, confirm=confirm, digest=digest or None
            )
    except (Refused, Locked, WrongUsage) as exc:
        view = await build(studio.reading(who), found, chosen, who, plan=True, error=exc)
        return _show(request, studio, replace(view, typed=confirm), status_of(exc))
    return _go_to(request, job)


def _go_to(request: Request, job: Job) -> Response:
    target = f"/studio/jobs/{job.id}"
    if is_partial(request):
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)
