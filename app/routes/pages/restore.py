"""Restore: the plan with its choices, the typed name, and then the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, Refused, ZanithError
from app.recovery.core.options import Option, option, options_of, options_to_json
from app.recovery.db.database import Database
from app.recovery.jobs.model import Job
from app.recovery.plan.blocking import Blocking, find_blocking
from app.recovery.plan.model import Choices, Plan, Step
from app.recovery.plan.planning import plan_restore
from app.recovery.restore.offline import find_follow_up
from app.recovery.restore.restore import is_standing
from app.routes import work
from app.routes.errors import status_of
from app.routes.options import read_page, reading
from app.routes.rendering import is_partial, link
from app.routes.studio import TheStudio, Who, checked_form
from app.routes.words import plan_on_page

router = APIRouter(prefix="/studio/artifacts/{artifact_id}/restore")


@dataclass(frozen=True)
class Chosen:
    """The choices, and the fields of the page that give rows inserted since a value."""

    choices: Choices = field(default_factory=Choices)
    fill_with: str = option("", default="none", words=("none", "default", "value"))
    fill: str = option("", default="")

    @classmethod
    def from_page(cls, given: dict[str, Any]) -> Chosen:
        """Return what an address or a form says."""
        fill_with, fill = given["fill_with"], given["fill"]
        said = {**given, "without": [part for part in given["without"] if part]}
        filled = {
            "fill": fill if fill_with == "value" else None,
            "fill_default": fill_with == "default",
        }
        return cls(Choices(**read_page(Choices, said) | filled), fill_with, fill)

    @classmethod
    def from_job(cls, made: Mapping[str, Any]) -> Chosen:
        """Return the choices that a job keeps."""
        choices = Choices.from_json(dict(made))
        if choices.fill is not None:
            return cls(choices, "value", choices.fill)
        return cls(choices, "default" if choices.fill_default else "none")

    @property
    def fields(self) -> dict[str, Any]:
        """What the form sends, as from_page reads it."""
        said = {**options_to_json(self.choices), "fill_with": self.fill_with, "fill": self.fill}
        return {key: value for key, value in said.items() if key != "fill_default"}

    @property
    def said(self) -> dict[str, Any]:
        """What an address of a plan with these choices says."""
        said = self.fields
        if self.fill_with != "value":
            del said["fill"]
            said["fill_with"] = "" if self.fill_with == "none" else self.fill_with
        return said

    def link(self, artifact_id: str) -> str:
        """Return the address of the plan with these choices."""
        return link(f"/studio/artifacts/{artifact_id}/restore", self.said)

    def skipping_the_seal(self, artifact_id: str) -> str:
        """Return the address of the same plan without the check of the seal."""
        return replace(self, choices=replace(self.choices, unverified=True)).link(artifact_id)


chosen_in_query = reading(Query, Chosen.from_page, Chosen, Choices)
chosen_in_form = reading(Form, Chosen.from_page, Chosen, Choices)


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
) -> RestoreView:
    """Plan with the choices; what cannot even be planned is shown in the plan's place."""
    artifact = await get_artifact(db, artifact_id)
    try:
        plan = await plan_restore(db, artifact.id, chosen.choices, actor=actor)
    except ZanithError as exc:
        return RestoreView(artifact, chosen, None, error or exc)
    left: tuple[Step, ...] = ()
    standing = True
    if is_live_again(artifact, plan):
        standing = await is_standing(db, artifact)
        left = await find_follow_up(db, artifact.id) if standing else ()
    shown = plan_on_page(plan)
    return RestoreView(artifact, chosen, shown, error, left=left, standing=standing)


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
) -> Response:
    """Show the plan, made with the choices of the address."""
    view = await build(studio.reading(who), artifact_id, chosen, who)
    return _show(request, studio, view)


@router.post("/rehearse", dependencies=[checked_form])
async def rehearse(
    request: Request,
    studio: TheStudio,
    who: Who,
    artifact_id: str,
    chosen: Annotated[Chosen, Depends(chosen_in_form)],
    confirm: Annotated[str, Form(max_length=400)] = "",
    blocking_ok: Annotated[bool, Form()] = False,
) -> Response:
    """Start the rehearsal, or show the plan again with what stands in the way."""
    try:
        job = await work.start_rehearsal(
            studio, artifact_id, chosen.choices, who, accepted=blocking_ok
        )
    except (Refused, Locked) as exc:
        view = await build(studio.reading(who), artifact_id, chosen, who, exc)
        return _show(request, studio, replace(view, typed=confirm), status_of(exc))
    return _go_to(request, job)


def _go_to(request: Request, job: Job) -> Response:
    target = f"/studio/jobs/{job.id}"
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
    confirm: Annotated[str, Form(max_length=400)] = "",
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
        view = await build(studio.reading(who), artifact_id, chosen, who, exc)
        return _show(request, studio, replace(view, typed=confirm), status_of(exc))
    return _go_to(request, job)
