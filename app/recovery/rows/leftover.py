"""Archived values that have no row in the table as it is now: named by their keys, on demand.

Counts of them are kept with a restore. Keys are not: they would outlive an erasure.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from app.recovery.artifacts.lookup import get_artifact
from app.recovery.core.actor import Actor, require_rows
from app.recovery.core.errors import Refused, WrongUsage
from app.recovery.db.bounded_reads import bounded_read
from app.recovery.db.database import Database
from app.recovery.plan.execute import guard, query_as
from app.recovery.plan.model import Check
from app.recovery.plan.parsing import parse_check
from app.recovery.queries import fill, load

PAGE = 100
_DEEPEST = 100_000
LISTING = load("leftover")
SQL = load("restore")
PLAN = load("plan")


@dataclass(frozen=True)
class LeftOver:
    """Some keys in the order of their text, from ``offset`` on, and whether there are more."""

    keys: tuple[str, ...]
    offset: int
    more: bool

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON shows them."""
        return asdict(self)


async def find_left_over(
    db: Database, artifact_id: str, actor: Actor, *, limit: int = PAGE, offset: int = 0
) -> LeftOver:
    """Return the keys of archived values that have no row now.

    NotPermitted where the actor may not see rows, Refused where the artifact is no archive of a
    column of a table that is there.
    """
    require_rows(actor, "look at keys")
    if not 0 <= offset <= _DEEPEST:
        raise WrongUsage(f"keys can be looked at up to number {_DEEPEST:,}", hint="export the rows")
    artifact = await get_artifact(db, artifact_id)
    async with bounded_read(db, artifact.id, isolation="repeatable_read") as connection:
        await connection.execute(PLAN["settings"])
        said = await connection.fetchval(SQL["left_over"], artifact.id)
        if said is None:
            raise Refused(
                f"{artifact.object_name} is no archived column of a table that is there",
                hint="only archived values can be left without a row",
            )
        check: Check = parse_check(said)
        await guard(connection, check.role, check.guards, nowait=True)
        query = fill(
            LISTING["keys"],
            query=(check.examples_sql or "").removesuffix(" LIMIT 3"),
            limit=str(limit + 1),
            offset=str(offset),
        )
        found = await query_as(connection, check.role, query, check.path)
    return LeftOver(tuple(map(str, found[:limit])), offset, len(found) > limit)
