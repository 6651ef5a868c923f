"""How far a change has come towards an approval, for the page of the change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.four_eyes import Change
from app.recovery.db.database import Database
from app.recovery.jobs.approvals import (
    Approval,
    find_matching,
    find_required,
    query,
    read_approval,
)
from app.recovery.plan.model import Choices, Plan
from app.recovery.purge.erase import ErasurePlan, Match, as_one, erasure_digest
from app.recovery.purge.purge import PurgeReview
from app.recovery.restore.preconditions import unverified_digest


@dataclass(frozen=True)
class Standing:
    """Whether a change needs an approval, and the request that is about just this change."""

    change: Change
    needed: bool = False
    found: Approval | None = None
    last: Approval | None = None
    """The last request of such a change of the artifact: it lapsed, was rejected, or is another."""

    @property
    def missing(self) -> bool:
        """Whether the change cannot run yet."""
        return self.needed and (self.found is None or self.found.state != "approved")

    @property
    def approved(self) -> Approval | None:
        """The approval that the change would use."""
        return self.found if self.needed and not self.missing else None

    def to_json(self) -> dict[str, Any]:
        """Return how it stands as JSON shows it."""
        return {
            "needed": self.needed,
            "approved": self.approved is not None,
            "request": self.found.to_json() if self.found else None,
        }


async def of_purge(db: Database, review: PurgeReview) -> Standing:
    """Return how the purge that was reviewed stands."""
    return await find_standing(db, Change.PURGE, review.artifact.id, review.plan.digest)


async def of_erasure(db: Database, plan: ErasurePlan, match: Match) -> Standing:
    """Return how an erasure of just these values stands."""
    artifact = await get_artifact(db, plan.artifact_id)
    digest = erasure_digest(plan, plan.rows or 0, artifact.checksum)
    return await find_standing(db, Change.ERASE, artifact.id, digest, as_one(match))


async def of_restore(db: Database, plan: Plan, choices: Choices) -> Standing:
    """Return how a restore stands; it needs nobody where it verifies the seal."""
    if not choices.unverified:
        return Standing(Change.UNVERIFIED)
    digest = unverified_digest(plan, choices)
    return await find_standing(db, Change.UNVERIFIED, plan.artifact_id, digest)


async def find_standing(
    db: Database,
    change: Change,
    artifact_id: str,
    digest: str | None,
    match: Mapping[str, str] | None = None,
) -> Standing:
    """Return how a change stands; of an erasure only a request of the same values counts."""
    if change not in await find_required(db):
        return Standing(change)
    found = None
    async with db.side() as connection:
        last = await connection.fetchrow(query("latest"), change.value, artifact_id)
        if digest is not None:
            only = None
            if match is not None:
                only = await find_matching(connection, artifact_id, digest, match) or ""
            found = await connection.fetchrow(
                query("live"), change.value, artifact_id, digest, only
            )
    return Standing(
        change,
        needed=True,
        found=read_approval(found) if found else None,
        last=read_approval(last) if last and not found else None,
    )
