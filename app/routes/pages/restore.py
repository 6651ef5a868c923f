"""Restore: the plan with its choices, the typed name, and then the job."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Form, Query, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from pydantic import StringConstraints

from app.recovery import artifacts
from app.recovery.artifacts import Artifact
from app.recovery.blocking import Blocking, find_blocking
from app.recovery.database import Actor, Database
from app.recovery.errors import Locked, Refused, ZanithError
from app.recovery.jobs import Job
from app.recovery.plan import Choices, Plan, Step, plan_restore
from app.recovery.restore import is_standing
from app.recovery.restoring import find_follow_up
from app.routes import work
from app.routes.errors import status_of
from app.routes.rendering import is_partial, link
from app.routes.studio import TheStudio, Who, checked_form
from app.routes.words import plan_on_page

router = APIRouter(prefix="/studio/artifacts/{artifact_id}/restore")

Fill = Literal["none", "default", "value"]
Part = Annotated[str, StringConstraints(max_length=300)]


@dataclass(frozen=True)
class Chosen:
    """The choices as the form's fields have them."""

    as_name: str = ""
    fill_with: Fill = "none"
    fill: str = ""
    allow_null: bool = False
    not_valid: bool = False
    unverified: bool = False
    online: bool = False
    fire_triggers: bool = False
    search_path: str = ""
    without: tuple[str, ...] = ()
    current_owner: bool = False
    as_text: bool = False

    def to_choices(self) -> Choices:
        """Return the choices as the engine takes them."""
        return Choices(
            as_name=self.as_name.strip() or None,
            fill=self.fill if self.fill_with == "value" else None,
            fill_default=self.fill_with == "default",
            allow_null=self.allow_null,
            not_valid=self.not_valid,
            unverified=self.unverified,
            online=self.online,
            fire_triggers=self.fire_triggers,
            search_path=self.search_path.strip() or None,
            without=self.without,
            current_owner=self.current_owner,
            as_text=self.as_text,
        )

    @classmethod
    def from_choices(cls, made: Mapping[str, Any]) -> Chosen:
        """Return the choices as a job keeps them."""
        choices = Choices.from_json(dict(made))
        fill_with: Fill = "none"
        if choices.fill is not None:
            fill_with = "value"
        elif choices.fill_default:
            fill_with = "default"
        return cls(
            as_name=choices.as_name or "",
            fill_with=fill_with,
            fill=choices.fill or "",
            allow_null=choices.allow_null,
            not_valid=choices.not_valid,
            unverified=choices.unverified,
            online=choices.online,
            fire_triggers=choices.fire_triggers,
            search_path=choices.search_path or "",
            without=choices.without,
            current_owner=choices.current_owner,
            as_text=choices.as_text,
        )

    def link(self, artifact_id: str) -> str:
        """Return the address of the plan with these choices."""
        said = {
            "as": self.as_name,
            "fill_with": self.fill_with if self.fill_with != "none" else "",
            "fill": self.fill if self.fill_with == "value" else "",
            "allow_null": "yes" if self.allow_null else "",
            "not_valid": "yes" if self.not_valid else "",
            "unverified": "yes" if self.unverified else "",
            "online": "yes" if self.online else "",
            "fire_triggers": "yes" if self.fire_triggers else "",
            "search_path": self.search_path.strip(),
            "without": list(self.without),
            "current_owner": "yes" if self.current_owner else "",
            "as_text": "yes" if self.as_text else "",
        }
        return link(f"/studio/artifacts/{artifact_id}/restore", said)


def chosen_in_query(
    as_name: Annotated[str, Query(alias="as", max_length=300)] = "",
    fill_with: Fill = "none",
    fill: Annotated[str, Query(max_length=2000)] = "",
    allow_null: bool = False,
    not_valid: bool = False,
    unverified: bool = False,
    online: bool = False,
    fire_triggers: bool = False,
    search_path: Annotated[str, Query(max_length=2000)] = "",
    without: Annotated[list[Part], Query(max_length=100)] = [],  # noqa: B006
    current_owner: bool = False,
    as_text: bool = False,
) -> Chosen:
    """Read the choices from the address."""
    flags = (allow_null, not_valid, unverified, online, fire_triggers)
    parts = tuple(part for part in without if part)
    return Chosen(as_name, fill_with, fill, *flags, search_path, parts, current_owner, as_text)


def chosen_in_form(
    as_name: Annotated[str, Form(alias="as", max_length=300)] = "",
    fill_with: Annotated[Fill, Form()] = "none",
    fill: Annotated[str, Form(max_length=2000)] = "",
    allow_null: Annotated[bool, Form()] = False,
    not_valid: Annotated[bool, Form()] = False,
    unverified: Annotated[bool, Form()] = False,
    online: Annotated[bool, Form()] = False,
    fire_triggers: Annotated[bool, Form()] = False,
    search_path: Annotated[str, Form(max_length=2000)] = "",
    without: Annotated[list[Part], Form(max_length=100)] = [],  # noqa: B006
    current_owner: Annotated[bool, Form()] = False,
    as_text: Annotated[bool, Form()] = False,
) -> Chosen:
    """Read the choices from the form that starts the restore."""
    flags = (allow_null, not_valid, unverified, online, fire_triggers)
    parts = tuple(part for part in without if part)
    return Chosen(as_name, fill_with, fill, *flags, search_path, parts, current_owner, as_text)


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
        """Whether what is parked was found changed, and checking it is not left out."""
        recoverable = self.artifact.status == "recoverable"
        return recoverable and self.artifact.seal_broken and not self.chosen.unverified

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
        return replace(self.chosen, unverified=True).link(self.artifact.id)

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
    artifact = await artifacts.get_artifact(db, artifact_id)
    try:
        plan = await plan_restore(db, artifact.id, chosen.to_choices(), actor=actor)
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
            studio, artifact_id, chosen.to_choices(), who, accepted=blocking_ok
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
            chosen.to_choices(),
            who,
            confirm=confirm,
            digest=digest or None,
        )
    except (Refused, Locked) as exc:
        view = await build(studio.reading(who), artifact_id, chosen, who, exc)
        return _show(request, studio, replace(view, typed=confirm), status_of(exc))
    return _go_to(request, job)
