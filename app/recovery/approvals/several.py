"""Several requests at once: each is made or decided by itself, with its own audit entry."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.recovery.approvals import deciding
from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.actor import Actor, require_named_person
from app.recovery.core.errors import (
    Locked,
    NotConfirmed,
    NotFound,
    NotPermitted,
    Refused,
    WrongUsage,
    ZanithError,
)
from app.recovery.core.four_eyes import Change, require_reason
from app.recovery.db.database import Database
from app.recovery.jobs.approvals import Approval
from app.recovery.jobs.operation import attempt

MOST = 500


@dataclass(frozen=True)
class Outcome:
    """What became of one of several: the request as it is now, or the error."""

    reference: str
    """The artifact or the request, as it was named."""
    approval: Approval | None
    error: ZanithError | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as JSON shows it."""
        return {
            "reference": self.reference,
            "approval": self.approval.to_json() if self.approval else None,
            "error": self.error.as_dict() if self.error else None,
        }


async def request_purges(
    db: Database,
    references: Sequence[str],
    actor: Actor,
    *,
    reason: str | None,
    digests: Mapping[str, str] | None = None,
) -> list[Outcome]:
    """Ask for the approval of the purge of each artifact: one request each, with one reason.

    ``digests`` are those of the plans that the person saw, by id. An artifact that cannot be purged
    now, or whose purge was asked for already, is left out, and its outcome says why. WrongUsage
    without a reason.
    """
    async with attempt(db, actor, "request", None, None, reason=reason):
        require_named_person(actor)
        why = require_reason(reason)
        named = _check(references, "artifact")

    async def ask(reference: str) -> Approval:
        artifact = await get_artifact(db, reference)
        digest = (digests or {}).get(artifact.id)
        asked = (db, Change.PURGE, artifact.id, actor)
        return await deciding.request(*asked, reason=why, expected_digest=digest)

    return await _each(named, ask)


async def approve_several(
    db: Database,
    references: Sequence[str],
    actor: Actor,
    *,
    confirm: int | None,
    digests: Mapping[str, str] | None = None,
    reason: str | None = None,
) -> list[Outcome]:
    """Approve each request as a second person; their number was typed.

    A request that cannot be approved is left out, and its outcome says why. NotConfirmed for
    another number. ``digests`` are those of the requests that the person saw, by id.
    """
    async with attempt(db, actor, "approve", None, None, reason=reason):
        require_named_person(actor)
        named = _check(references, "request")
        if confirm != len(named):
            typed = "no number" if confirm is None else f"{confirm:,}"
            raise NotConfirmed(
                "not confirmed: nothing was changed",
                detail=f"requests: {len(named):,}; {typed} was typed",
                hint=f"type {len(named)}",
            )

    async def approve(reference: str) -> Approval:
        digest = (digests or {}).get(reference)
        return await deciding.approve(
            *(db, reference, actor),
            confirm=None,
            confirmed=True,
            expected_digest=digest,
            reason=reason,
        )

    return await _each(named, approve)


def _check(references: Sequence[str], what: str) -> list[str]:
    named = list(dict.fromkeys(references))
    if not named:
        raise WrongUsage(f"no {what} is named", hint=f"name at least one {what}")
    if len(named) > MOST:
        raise WrongUsage(
            f"{len(named):,} at once are too many", hint=f"name {MOST} of them at most"
        )
    return named


async def _each(
    references: Sequence[str], act: Callable[[str], Awaitable[Approval]]
) -> list[Outcome]:
    outcomes = []
    for reference in references:
        try:
            outcomes.append(Outcome(reference, await act(reference)))
        except (Refused, Locked, NotFound, NotPermitted, WrongUsage) as exc:
            outcomes.append(Outcome(reference, None, exc))
    return outcomes
