"""What a change would do now, in the form in which a request keeps it and a reader compares it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.artifacts.model import Artifact
from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, WrongUsage
from app.recovery.core.four_eyes import Change, digest_of_request, in_order, parse_changes
from app.recovery.db.database import Database
from app.recovery.jobs.approvals import Approval, find_rules
from app.recovery.plan.model import Choices, Conflict, Loss, Step
from app.recovery.plan.planning import plan_restore
from app.recovery.purge.erase import erasure_digest, plan_columns
from app.recovery.purge.purge import review_purge
from app.recovery.restore.preconditions import unverified_digest


@dataclass(frozen=True)
class Looked:
    """What a change would do now; ``stops`` are the reasons why it cannot run at all."""

    kind: Change
    object: str
    digest: str
    params: dict[str, Any]
    facts: list[list[Any]]
    steps: tuple[Step, ...] = ()
    stops: tuple[Conflict, ...] = ()
    losses: tuple[Loss, ...] = ()
    artifact: Artifact | None = None
    review: Any = None


@dataclass(frozen=True)
class Difference:
    """A fact that is not what the request showed."""

    label: str
    then: Any
    now: Any


@dataclass(frozen=True)
class Review:
    """A request beside what its change would do now.

    ``now`` is None where that cannot be said any more, as of a purged artifact; ``gone`` says why.
    """

    approval: Approval
    now: Looked | None
    gone: str | None = None
    differences: tuple[Difference, ...] = field(default=())

    @property
    def changed(self) -> bool:
        """Whether the plan is another than the one that was asked for."""
        return self.now is None or self.now.digest != self.approval.digest

    def to_json(self) -> dict[str, Any]:
        """Return the review as JSON shows it."""
        return {
            "approval": self.approval.to_json(),
            "changed": self.changed,
            "gone": self.gone,
            "digest_now": self.now.digest if self.now else None,
            "differences": [vars(each) for each in self.differences],
            "steps": [asdict(step) for step in self.now.steps] if self.now else [],
            "conflicts": [asdict(stop) for stop in self.now.stops] if self.now else [],
            "losses": [asdict(loss) for loss in self.now.losses] if self.now else [],
        }


async def look(
    db: Database, kind: Change, artifact_id: str | None, params: Mapping[str, Any], actor: Actor
) -> Looked:
    """Return what a change would do now; raises what its own plan raises."""
    if kind is Change.LIFT:
        return await _look_at_rules(db, params)
    if not artifact_id:
        raise WrongUsage("no artifact is named", hint="name the artifact that it is about")
    if kind is Change.PURGE:
        return await _look_at_purge(db, artifact_id)
    if kind is Change.ERASE:
        return await _look_at_erasure(db, artifact_id, params)
    return await _look_at_restore(db, artifact_id, params, actor)


async def review(db: Database, approval: Approval, actor: Actor) -> Review:
    """Return a request beside what its change would do now; of an ended one only what it showed."""
    if not approval.live:
        return Review(approval, None)
    try:
        now = await look(db, approval.kind, approval.artifact_id, approval.params, actor)
    except NotFound as exc:
        return Review(approval, None, exc.message)
    return Review(approval, now, differences=compare(approval.facts, now.facts))


def compare(then: Sequence[Sequence[Any]], now: Sequence[Sequence[Any]]) -> tuple[Difference, ...]:
    """Return the facts that differ, in the order in which they are shown."""
    was = {str(label): value for label, value in then}
    values = {str(label): value for label, value in now}
    labels = [*was, *(label for label in values if label not in was)]
    return tuple(
        Difference(label, was.get(label), values.get(label))
        for label in labels
        if was.get(label) != values.get(label)
    )


async def _look_at_purge(db: Database, artifact_id: str) -> Looked:
    looked = await review_purge(db, artifact_id)
    last = looked.last_export
    facts = [
        *_of_artifact(looked.artifact),
        ["Size in bytes", looked.size_bytes],
        ["Last export", str(last["at"]) if last else None],
        ["Dependents", [item["name"] for item in looked.dependents]],
        *_of_steps(looked.plan.steps),
    ]
    return Looked(
        Change.PURGE,
        looked.artifact.object_name,
        looked.plan.digest,
        {},
        facts,
        looked.plan.steps,
        looked.plan.conflicts,
        artifact=looked.artifact,
        review=looked,
    )


async def _look_at_erasure(db: Database, artifact_id: str, params: Mapping[str, Any]) -> Looked:
    artifact = await get_artifact(db, artifact_id)
    columns, rows = list(params["columns"]), int(params["rows"])
    sets = int(params.get("sets", 1))
    plan = await plan_columns(db, artifact.id, columns, sets)
    facts = [
        *_of_artifact(artifact),
        ["Columns", columns],
        ["Rows to erase", rows],
        *_of_steps(plan.steps),
    ]
    return Looked(
        Change.ERASE,
        artifact.object_name,
        erasure_digest(plan, rows, artifact.checksum),
        {"columns": columns, "sets": sets, "rows": rows},
        facts,
        plan.steps,
        plan.conflicts,
        artifact=artifact,
    )


async def _look_at_restore(
    db: Database, artifact_id: str, params: Mapping[str, Any], actor: Actor
) -> Looked:
    artifact = await get_artifact(db, artifact_id)
    choices = Choices.from_json(dict(params["choices"]))
    if not choices.unverified:
        raise WrongUsage(
            "this restore checks the seal, and needs no approval",
            hint="an approval is for a restore with --unverified",
        )
    if choices.online:
        raise WrongUsage(
            "a restore without the seal that needs an approval cannot work online",
            hint="ask for it without --online",
        )
    plan = await plan_restore(db, artifact.id, choices, actor=actor)
    blocking = [
        Conflict("drift", drift.message, None, drift.hint, drift.choices)
        for drift in plan.drift
        if drift.blocks
    ]
    facts = [
        *_of_artifact(artifact),
        ["Seal", "broken" if artifact.seal_broken else "not broken when it was last verified"],
        ["Drift", [f"{drift.message} ({drift.count})" for drift in plan.drift]],
        ["Losses", [loss.message for loss in plan.losses]],
        *_of_steps(plan.steps),
    ]
    return Looked(
        Change.UNVERIFIED,
        artifact.object_name,
        unverified_digest(plan, choices),
        {"choices": choices.to_json()},
        facts,
        plan.steps,
        (*plan.conflicts, *blocking),
        plan.losses,
        artifact=artifact,
    )


async def _look_at_rules(db: Database, params: Mapping[str, Any]) -> Looked:
    kinds = in_order(parse_changes(",".join(params["kinds"])))
    required = {rule["kind"] for rule in await find_rules(db)}
    missing = [kind.value for kind in kinds if kind.value not in required]
    stops = (
        Conflict(
            "not_required",
            f"this database requires no approval of {', '.join(missing) or 'nothing'}",
            None,
            "zanith approvals list shows what it requires",
            (),
        ),
    )
    names = [kind.value for kind in kinds]
    return Looked(
        Change.LIFT,
        ", ".join(names),
        digest_of_request("lift", names),
        {"kinds": names},
        [["Required now", sorted(required)]],
        stops=stops if missing or not kinds else (),
    )


def _of_artifact(artifact: Artifact) -> list[list[Any]]:
    return [
        ["Status", artifact.status],
        ["Rows", artifact.row_count],
        ["Checksum", artifact.checksum],
        ["Verified", artifact.verified_at.isoformat() if artifact.verified_at else None],
        ["Held", artifact.held],
    ]


def _of_steps(steps: Sequence[Step]) -> list[list[Any]]:
    """Return the purposes, each with a mark of its statement: no statement is kept."""
    return [["Steps", [f"{step.purpose} ({_mark(step)})" for step in steps]]]


def _mark(step: Step) -> str:
    return hashlib.sha256(step.sql.encode()).hexdigest()[:8]
