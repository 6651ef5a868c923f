"""Approvals: ask for one, list, look, and decide."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from pydantic import BaseModel, ConfigDict, Field

from app.recovery.approvals import deciding, several
from app.recovery.approvals.looking import review
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.errors import WrongUsage
from app.recovery.core.four_eyes import Change, in_order
from app.recovery.core.options import read_options
from app.recovery.jobs import approvals
from app.recovery.plan.model import Choices
from app.routes import four_eyes
from app.routes.answers import Document
from app.routes.api.models import RESPONSES, Text, _Answer, _Strict
from app.routes.options import declaring
from app.routes.studio import Studio, TheStudio, Who

router = APIRouter(
    prefix="/api", responses=RESPONSES, tags=["approvals"], default_response_class=Document
)


class ApprovalOut(BaseModel):
    """One request for an approval, and what became of it."""

    model_config = ConfigDict(extra="allow")

    id: str
    kind: str = Field(description="purge, erase, unverified, or lift")
    artifact_id: str | None
    object: str
    digest: str = Field(description="of what was asked for; another plan ends the request")
    state: str = Field(description="requested, approved, rejected, withdrawn, used or lapsed")
    reason: str | None
    requested_by: str
    requested_by_role: str
    requested_at: str
    expires_at: str
    decided_by: str | None
    decided_by_role: str | None
    decided_at: str | None
    decision_reason: str | None
    job_id: str | None = Field(description="the job that used it")


class ApprovalDocument(_Answer):
    """One request by itself."""

    approval: ApprovalOut


class ApprovalReviewOut(ApprovalDocument):
    """One request beside what its change would do now."""

    changed: bool = Field(description="the plan is another now: it cannot be approved")
    gone: str | None
    digest_now: str | None
    differences: list[dict[str, Any]]
    steps: list[dict[str, Any]]
    conflicts: list[dict[str, Any]]
    losses: list[dict[str, Any]]


class ApprovalsOut(_Answer):
    """Requests: those that wait first; `required` are the changes that need an approval."""

    approvals: list[ApprovalOut]
    required: list[str]


@declaring(Choices)
class ChoicesIn(_Strict):
    """The choices of a restore that skips the seal."""


class ApprovalIn(_Strict):
    """What to ask for: a purge, an erasure, a restore without its seal, or the end of a rule."""

    kind: Change
    artifact: Text | None = Field(None, description="its id or name; not for kind lift")
    reason: Text = Field("", description="for the other person, and the audit log; required")
    digest: Text | None = Field(
        None, description="of kinds purge and erase: the digest of the plan that was looked at"
    )
    choices: ChoicesIn | None = Field(None, description="of kind unverified")
    match: dict[Text, Text] | None = Field(
        None, description="of kind erase: column and value; only a salted hash is kept, for a day"
    )
    row_count: Annotated[int, Field(ge=0, lt=2**63)] = Field(
        0, description="of kind erase: how many rows match"
    )
    changes: list[Change] = Field([], max_length=10, description="of kind lift")

    def to_params(self) -> dict[str, Any]:
        """Return what the engine takes besides."""
        if self.kind is Change.UNVERIFIED:
            given = vars(self.choices) if self.choices else {}
            chosen = Choices(**{**read_options(Choices, given), "unverified": True})
            return {"choices": chosen.to_json()}
        if self.kind is Change.LIFT:
            return {"kinds": [change.value for change in self.changes]}
        return {}


class PurgesIn(_Strict):
    """The artifacts whose purge is to be approved, and why: one request for each."""

    artifacts: list[Text] = Field(max_length=several.MOST, description="ids or names")
    reason: Text = Field("", description="for the other person, and the audit log; required")
    digests: dict[Text, Text] = Field(
        {}, description="by id, the digest of the plan that was looked at"
    )


class OutcomeOut(BaseModel):
    """What became of one of several: the request, or the error."""

    reference: str
    approval: ApprovalOut | None
    error: dict[str, Any] | None


class OutcomesOut(_Answer):
    """What became of each."""

    outcomes: list[OutcomeOut]


class DecisionIn(_Strict):
    """Why, for whoever asked, and the audit log."""

    reason: Text | None = None


class ApproveIn(DecisionIn):
    """The object's name as confirmation."""

    confirm: Text | None = Field(None, description="the object's name; else 409")
    digest: Text | None = Field(None, description="the digest of the request that was looked at")


class ApproveSeveralIn(DecisionIn):
    """The requests, and how many they are as confirmation."""

    requests: list[Text] = Field(max_length=several.MOST, description="ids")
    confirm: Annotated[int, Field(ge=0, le=several.MOST)] | None = Field(
        None, description="how many requests; else 409"
    )
    digests: dict[Text, Text] = Field(
        {}, description="by id, the digest of the request that was looked at"
    )


def _of(found: approvals.Approval) -> dict[str, Any]:
    return {"approval": found.to_json()}


@router.get("/approvals", response_model=ApprovalsOut)
async def list_approvals(
    studio: TheStudio,
    who: Who,
    artifact: str | None = None,
    state: Annotated[list[str] | None, Query(max_length=10)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Annotated[int, Query(ge=0, lt=2**31)] = 0,
) -> dict[str, Any]:
    """List requests: those that wait for a decision first, then newest first."""
    db = studio.reading(who)
    found = await approvals.list_approvals(
        db, artifact_id=artifact, states=state, limit=limit, offset=offset
    )
    required = in_order(await approvals.find_required(db))
    return {"approvals": [each.to_json() for each in found], "required": required}


@router.get("/approvals/{approval_id}", response_model=ApprovalReviewOut)
async def get_approval(studio: TheStudio, who: Who, approval_id: str) -> dict[str, Any]:
    """Show one request, and what its change would do now."""
    db = studio.reading(who)
    return (await review(db, await approvals.get_approval(db, approval_id), who)).to_json()


@router.post("/approvals", status_code=201, response_model=ApprovalDocument)
async def ask(studio: TheStudio, who: Who, wanted: Annotated[ApprovalIn, Body()]) -> dict[str, Any]:
    """Ask another person to approve a change as it would be now."""
    artifact_id = None
    if wanted.kind is not Change.LIFT:
        if not wanted.artifact:
            raise WrongUsage("no artifact is named", hint="give its id as `artifact`")
        artifact_id = (await get_artifact(studio.db, wanted.artifact)).id
    found = await deciding.request(
        *(studio.db, wanted.kind, artifact_id, who),
        reason=wanted.reason,
        params=wanted.to_params(),
        match=wanted.match,
        rows=wanted.row_count,
        expected_digest=wanted.digest,
    )
    return await _told(studio, found)


async def _told(studio: Studio, found: approvals.Approval) -> dict[str, Any]:
    await four_eyes.refresh(studio)
    return _of(found)


@router.post("/approvals/purges", response_model=OutcomesOut)
async def ask_for_purges(
    studio: TheStudio, who: Who, wanted: Annotated[PurgesIn, Body()]
) -> dict[str, Any]:
    """Ask another person to approve the purge of each artifact: one request each, one reason."""
    found = await several.request_purges(
        *(studio.db, wanted.artifacts, who), reason=wanted.reason, digests=wanted.digests
    )
    await four_eyes.refresh(studio)
    return {"outcomes": [each.to_json() for each in found]}


@router.post("/approvals/approve", response_model=OutcomesOut)
async def approve_several(
    studio: TheStudio, who: Who, wanted: Annotated[ApproveSeveralIn, Body()]
) -> dict[str, Any]:
    """Approve several requests as another person, each by itself; `confirm` is their number."""
    found = await several.approve_several(
        *(studio.db, wanted.requests, who),
        confirm=wanted.confirm,
        digests=wanted.digests,
        reason=wanted.reason,
    )
    await four_eyes.refresh(studio)
    return {"outcomes": [each.to_json() for each in found]}


@router.post("/approvals/{approval_id}/approve", response_model=ApprovalDocument)
async def approve(
    studio: TheStudio, who: Who, approval_id: str, wanted: ApproveIn | None = None
) -> dict[str, Any]:
    """Approve it as another person than the one who asked; `confirm` is the object's name."""
    given = wanted or ApproveIn.model_validate({})
    found = await deciding.approve(
        *(studio.db, approval_id, who),
        confirm=given.confirm,
        expected_digest=given.digest,
        reason=given.reason,
    )
    return await _told(studio, found)


@router.post("/approvals/{approval_id}/reject", response_model=ApprovalDocument)
async def reject(
    studio: TheStudio, who: Who, approval_id: str, wanted: DecisionIn | None = None
) -> dict[str, Any]:
    """Reject it as another person than the one who asked."""
    reason = wanted.reason if wanted else None
    return await _told(studio, await deciding.reject(studio.db, approval_id, who, reason=reason))


@router.post("/approvals/{approval_id}/withdraw", response_model=ApprovalDocument)
async def withdraw(
    studio: TheStudio, who: Who, approval_id: str, wanted: DecisionIn | None = None
) -> dict[str, Any]:
    """Take it back, as the person who asked or who approved."""
    reason = wanted.reason if wanted else None
    return await _told(studio, await deciding.withdraw(studio.db, approval_id, who, reason=reason))
