"""How far a change has come towards an approval, for the page of the change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from app.recovery.core.four_eyes import Change
from app.recovery.db.database import Database
from app.recovery.jobs.approvals import (
    Approval,
    find_matching,
    find_required,
    query,
    read_approval,
)


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
