"""Restore: the plan with its choices, the typed name, and then the job."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.approvals.standing import Standing, of_restore
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Busy, Locked, OutOfTime, Refused, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.core.options import Option, options_of
from app.recovery.db.database import Database
from app.recovery.jobs.kinds import Kind
from app.recovery.plan.blocking import Blocking, find_blocking
from app.recovery.plan.model import Choices, Conflict, Drift, Plan, Step
from app.recovery.plan.planning import find_recorded_default, plan_restore
from app.recovery.plan.verdict import Outcome, Verdict, judge
from app.recovery.plan.waits import Session, find_waits
from app.recovery.restore.offline import find_follow_up
from app.recovery.restore.restore import is_standing
from app.routes import work
from app.routes.chosen import Chosen, chosen_in_form, chosen_in_query
from app.routes.errors import status_of
from app.routes.phases import Group, group_steps
from app.routes.rendering import is_partial
from app.routes.studio import TheStudio, Typed, Who, checked_form
from app.routes.ways import GAPS, Asker, Way
from app.routes.words import plan_on_page

router = APIRouter(prefix="/studio/artifacts/{artifact_id}/restore")


COUNT = timedelta(seconds=10)
"""The time that a part of a page may take to count; a whole page takes what a read may take."""


def is_live_again(artifact: Artifact, plan: Plan | None) -> bool:
    """Whether it was restored and there is no plan to restore it once more."""
    return artifact.status == "restored" and not (plan and plan.steps)


@dataclass(frozen=True)
class RestoreView:
    """The plan with the choices that it was made with."""

    artifact: Artifact
    chosen: Chosen
    plan: Plan | None
    error: ZanithError | None = None
    typed: str = ""
    left: tuple[Step, ...] = ()
    standing: bool = True
    approval: Standing = field(default_factory=lambda: Standing(Change.UNVERIFIED))
    counted: bool = False
    online: Verdict | None = None
    waits: tuple[Session, ...] = ()
    default: str | None = None
    actor: Actor | None = None

    @property
    def verdict(self) -> Verdict | None:
        """What stands before the plan; None where there is no plan."""
        return judge(self.plan, self.chosen.choices) if self.plan else None

    @property
    def may_come(self) -> bool:
        """Whether the numbers are on their way: nothing known stops the plan, or they add to it."""
        return not self.counted and self.plan is not None and bool(self.plan.steps)

    @property
    def later(self) -> str:
        """The address of the part that has the numbers."""
        return self.chosen.link(self.artifact.id, "/counted")

    @property
    def part(self) -> str:
        """The address of the part that the artifact's own page shows."""
        return f"/studio/artifacts/{self.artifact.id}/verdict"

    @property
    def count_now(self) -> str:
        """The address of this page with the numbers in it."""
        return self.chosen.link(self.artifact.id, count="yes")

    @property
    def stops(self) -> tuple[tuple[Conflict | Drift, tuple[Way, ...]], ...]:
        """What stops the plan, each with the buttons that resolve it."""
        verdict = self.verdict
        items: tuple[Conflict | Drift, ...] = verdict.stops if verdict else ()
        return tuple((item, self._asker.ways(item)) for item in items)

    @property
    def drift(self) -> tuple[tuple[Drift, tuple[Way, ...]], ...]:
        """What changed since and stops nothing, each with the choices that it leaves.

        Rows inserted since that stop the plan are told of there.
        """
        found = [d for d in (self.plan.drift if self.plan else ()) if d.count and not d.blocks]
        gaps = self.plan is not None and any(d.blocks and d.kind in GAPS for d in self.plan.drift)
        asker = self._asker
        return tuple((d, asker.ways(d)) for d in found if not (gaps and d.kind in GAPS))

    @property
    def uncounted(self) -> tuple[Drift, ...]:
        """Checks that were to be counted here and have no answer."""
        found = self.plan.not_counted if self.plan is not None and self.counted else ()
        return tuple(drift for drift in found if not drift.blocks)

    @property
    def needs_choice(self) -> bool:
        """Whether the panel of choices is worth opening."""
        verdict = self.verdict
        return self.chosen.made or (verdict is not None and verdict.outcome is Outcome.CHOICE)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The steps as the page shows them."""
        return group_steps(self.plan.steps, self.plan.costs) if self.plan else ()

    @property
    def _asker(self) -> Asker:
        actor = self.actor
        return Asker(
            self.artifact,
            self.chosen,
            self.default,
            sees_rows=actor is None or actor.sees_rows,
            can_change=actor is None or actor.role != "viewer",
        )

    @property
    def rebuilt(self) -> bool:
        """Whether it was only recorded: there is nothing to put back."""
        return self.artifact.artifact_type == "rebuild_table"

    @property
    def live_again(self) -> bool:
        """Whether it was restored, and nothing is left to do."""
        return is_live_again(self.artifact, self.plan) and not self.left

    @property
    def broken(self) -> bool:
        """Whether the parked object was found changed, and the plan does not skip the check."""
        recoverable = self.artifact.status == "recoverable"
        return recoverable and self.artifact.seal_broken and not self.chosen.choices.unverified

    @property
    def runs(self) -> bool:
        """Whether the plan as it stands can run."""
        return self.plan is not None and not self.plan.blocked and not self.broken

    @property
    def blocking(self) -> Blocking:
        """What the restore keeps others from."""
        return find_blocking([self.plan] if self.plan else [], rehearsed=False)

    @property
    def rehearsal_blocking(self) -> Blocking:
        """What a rehearsal of it keeps others from."""
        return find_blocking([self.plan] if self.plan else [], rehearsed=True)

    @property
    def skipping_the_seal(self) -> str:
        """The address of the same plan without the check of the seal."""
        return self.chosen.skipping_the_seal(self.artifact.id)

    @property
    def options(self) -> dict[str, Option]:
        """What the engine says of each option, by its name."""
        return {item.name: item for item in options_of(Choices)}

    @property
    def ticks(self) -> list[Option]:
        """The choices that are there or not, where one can be made here."""
        made = self.chosen.choices
        # what a conflict offers beside itself, or another field holds
        elsewhere = {"fill_default", "current_owner"}
        if self.artifact.checksum is None:
            elsewhere.add("unverified")
        if not made.online:
            elsewhere.add("fire_triggers")
        offered = self.available - elsewhere
        items = [item for item in options_of(Choices) if item.is_flag]
        return [item for item in items if item.name in offered or getattr(made, item.name)]

    @property
    def available(self) -> frozenset[str]:
        """The names of the choices that resolve something here."""
        return frozenset(choice.name for choice in self.plan.choices) if self.plan else frozenset()


async def build(
    db: Database,
    artifact_id: str,
    chosen: Chosen,
    actor: Actor,
    error: ZanithError | None = None,
    *,
    within: timedelta | None = None,
) -> RestoreView:
    """Plan with the choices; what cannot even be planned is shown in the plan's place.

    Without ``within`` nothing is counted: the plan is then made of the catalog alone. A plan that
    an error brings with it is the present one, and was counted.
    """
    artifact = await get_artifact(db, artifact_id)
    counted = within is not None
    try:
        if isinstance(given := getattr(error, "plan", None), Plan):
            plan, counted = given, True
        else:
            plan = await plan_restore(
                *(db, artifact.id, chosen.choices), checks=counted, within=within, actor=actor
            )
    except (Busy, OutOfTime) as exc:
        if within is None:
            return RestoreView(artifact, chosen, None, error or exc, actor=actor)
        error = error or exc  # the catalog answers still: what could not be counted is said
        plan = await plan_restore(db, artifact.id, chosen.choices, checks=False, actor=actor)
    except ZanithError as exc:
        return RestoreView(artifact, chosen, None, error or exc, actor=actor)
    left: tuple[Step, ...] = ()
    standing = True
    if is_live_again(artifact, plan):
        standing = await is_standing(db, artifact)
        left = await find_follow_up(db, artifact.id) if standing else ()
    view = RestoreView(
        artifact, chosen, plan_on_page(plan), error, left=left, standing=standing, actor=actor
    )
    return await completed(db, replace(view, counted=counted))


async def completed(db: Database, view: RestoreView) -> RestoreView:
    """Return the view with what the card has beside the plan: default, waits, online form."""
    plan, choices = view.plan, view.chosen.choices
    if plan is None or not plan.steps:
        return view
    default = await find_recorded_default(db, view.artifact.id)
    view = replace(view, default=default, approval=await find_approval(db, view))
    if not view.counted:
        return view
    online: Verdict | None = None
    if not choices.online and "online" in view.available:
        asked = replace(choices, online=True)
        found = judge(await plan_restore(db, view.artifact.id, asked, checks=False), asked)
        online = found if found.outcome in {Outcome.YES, Outcome.UNKNOWN} else None
    return replace(view, online=online, waits=await find_waits(db, plan))


async def find_approval(db: Database, view: RestoreView) -> Standing:
    """Return how a restore stands that skips the seal; any other needs no approval."""
    if view.plan is None:
        return Standing(Change.UNVERIFIED)
    return await of_restore(db, view.plan, view.chosen.choices)


def _show(
    request: Request, studio: TheStudio, view: RestoreView, status: int = 200
) -> HTMLResponse:
    template = "restore/plan.html" if is_partial(request) else "restore/page.html"
    return studio.pages.render(
        request,
        template,
        view,
        title=f"Restore {view.artifact.object_name}",
        section="artifacts",
        status=status,
        headers={"HX-Retarget": "#plan"} if is_partial(request) and status >= 400 else None,
    )


@router.get("", response_class=HTMLResponse)
async def show(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    chosen: Annotated[Chosen, Depends(chosen_in_query)],
    count: Annotated[bool, Query()] = False,
) -> Response:
    """Show the plan, made with the choices of the address; its numbers come later."""
    db = studio.reading(who)
    view = await build(db, artifact_id, chosen, who, within=whole(db) if count else None)
    return _show(request, studio, view)


@router.get("/counted", response_class=HTMLResponse)
async def show_counted(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    chosen: Annotated[Chosen, Depends(chosen_in_query)],
) -> Response:
    """Show the verdict with its numbers, as far as they can be counted in a while."""
    db = studio.reading(who)
    view = await build(db, artifact_id, chosen, who, within=min(COUNT, whole(db)))
    return studio.pages.render(
        request, "restore/counted.html", view, title=f"Restore {view.artifact.object_name}"
    )


def whole(db: Database) -> timedelta:
    """The time that all checks together may take: a read of an object ends soon after it."""
    limit = db.read_timeout or timedelta(minutes=1)
    return limit - min(timedelta(seconds=2), limit / 4)


@router.post("/rehearse", dependencies=[checked_form])
async def rehearse(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    chosen: Annotated[Chosen, Depends(chosen_in_form)],
    confirm: Typed = "",
    blocking_ok: Annotated[bool, Form()] = False,
) -> Response:
    """Start the rehearsal, or show the plan again with what stands in the way."""
    try:
        job = await work.start_rehearsal(
            studio, artifact_id, chosen.choices, who, accepted=blocking_ok
        )
    except (Refused, Locked) as exc:
        return await _refuse(request, studio, who, artifact_id, chosen, exc, confirm)
    return _go_to(request, job.id)


async def _refuse(
    request: Request,
    studio: TheStudio,
    who: Actor,
    artifact_id: str,
    chosen: Chosen,
    error: ZanithError,
    typed: str,
    kind: Kind = Kind.REHEARSE,
) -> Response:
    """Show the plan again with the reason; a second click leads to the job of the first."""
    if job_id := work.under_way(error, who, kind, chosen.choices):
        return _go_to(request, job_id)
    view = await build(studio.reading(who), artifact_id, chosen, who, error)
    return _show(request, studio, replace(view, typed=typed), status_of(error))


def _go_to(request: Request, job_id: str) -> Response:
    target = f"/studio/jobs/{job_id}"
    if is_partial(request):
        return Response(status_code=204, headers={"HX-Redirect": target})
    return RedirectResponse(target, 303)


@router.post("", dependencies=[checked_form])
async def start(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    chosen: Annotated[Chosen, Depends(chosen_in_form)],
    confirm: Typed = "",
    digest: Annotated[str, Form(max_length=64)] = "",
) -> Response:
    """Start the restore, or show the plan again with what stands in the way."""
    try:
        job = await work.start_restore(
            studio,
            artifact_id,
            chosen.choices,
            who,
            confirm=confirm,
            digest=digest or None,
        )
    except (Refused, Locked) as exc:
        kind = Kind.RESTORE
        return await _refuse(request, studio, who, artifact_id, chosen, exc, confirm, kind)
    return _go_to(request, job.id)
