"""Holds and releases of all artifacts that a filter finds: whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from app.recovery.artifacts.listing import ArtifactFilter, find_ids
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Refused, WrongUsage
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.jobs import audit
from app.recovery.jobs.operation import attempt
from app.recovery.queries import load

SQL = load("bulk")
MOST = 5_000


@dataclass(frozen=True)
class Matching:
    """What a filter finds at a moment, oldest first; the digest tells any other set."""

    ids: tuple[str, ...]

    @property
    def digest(self) -> str:
        """The SHA-256 of the ids."""
        return hashlib.sha256("\n".join(self.ids).encode()).hexdigest()


async def find_matching(db: Database, wanted: ArtifactFilter) -> Matching:
    """Return what the filter finds now; WrongUsage where that is too much for one action."""
    async with db.acquire() as connection:
        return await _find(db, connection, wanted)


async def _find(db: Database, connection: Connection, wanted: ArtifactFilter) -> Matching:
    ids = await find_ids(db, connection, wanted, MOST + 1)
    if len(ids) > MOST:
        raise WrongUsage(
            f"more than {MOST:,} artifacts match", hint="narrow the filter, for example by date"
        )
    return Matching(tuple(ids))


def check_same(found: Matching, digest: str, count: int) -> None:
    """Raise Refused where the filter no longer finds what somebody was shown."""
    if found.digest == digest:
        return
    number = len(found.ids)
    same = "as many, but not the same ones" if number == count else f"{number:,}"
    raise Refused(
        f"the artifacts that match have changed: {count:,} were shown, and {same} match now",
        detail="nothing was changed",
        hint="look at them again, then confirm",
    )


async def change_matching(
    db: Database,
    wanted: ArtifactFilter,
    actor: Actor,
    action: Literal["hold", "release"],
    *,
    digest: str,
    count: int,
    reason: str | None = None,
) -> list[str]:
    """Hold or release all that match, in one transaction; return the ids that this changed.

    Refused where the filter finds others than those that somebody was shown. What was held, or
    released, already stays as it is. Each that changes has its entry in the audit log.
    """
    async with (
        attempt(db, actor, action, None, None, reason=reason),
        db.acquire() as connection,
        connection.transaction(),
    ):
        found = await _find(db, connection, wanted)
        await connection.execute(SQL["lock"], list(found.ids))
        # Somebody else may have changed them while this waited for the locks.
        check_same(await _find(db, connection, wanted), digest, count)
        values = (actor.name, reason) if action == "hold" else ()
        rows = await connection.fetch(SQL[f"{action}_all"], list(found.ids), *values)
        await audit.record_all(
            connection, actor, action, [(row["id"], row["object"]) for row in rows], reason
        )
    return [row["id"] for row in rows]
