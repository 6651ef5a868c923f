"""Cleanup: purge by age, one transaction each; what cannot go is skipped and said."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

import asyncpg

from app.recovery.artifacts.model import Artifact, compose, from_row
from app.recovery.core.actor import Actor
from app.recovery.core.errors import Locked, NotFound, Refused, WrongUsage, ZanithError
from app.recovery.core.four_eyes import Change
from app.recovery.core.progress import OnProgress, tell
from app.recovery.core.tasks import gather, run_to_completion
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import notify
from app.recovery.jobs.kinds import Kind
from app.recovery.jobs.model import Job
from app.recovery.jobs.operation import Operation, attempt, operation
from app.recovery.purge.purge import purge_artifact
from app.recovery.queries import load

BLOCKS = load("artifacts")
SQL = load("purge")
UNAPPROVED = "a second person must approve it"
"""How the reason begins why an artifact stays whose purge nobody approved yet."""

# At once: most of a purge is a commit that waits for the disk, and several wait for it together.
WORKERS = 4
TOLD_AT_ONCE = 20
DEADLOCK = "40P01"


@dataclass(frozen=True)
class CleanupResult:
    """What became of one artifact: purged, skipped or failed, and why; the how-manieth of all.

    Its health is what its name tells, as where many are listed.
    """

    artifact: Artifact
    outcome: str
    why: str | None
    done: int = 0
    total: int = 0

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON shows it."""
        return {"artifact": self.artifact.to_json(), "outcome": self.outcome, "why": self.why}

    def to_outcome(self) -> dict[str, Any]:
        """Return what a job keeps of it."""
        return {
            "artifact_id": self.artifact.id,
            "object": self.artifact.object_name,
            "size_bytes": self.artifact.size_bytes,
            "outcome": self.outcome,
            "why": self.why,
        }


async def plan_cleanup(
    db: Database,
    older_than: timedelta | None = None,
    expired: bool = False,
    *,
    only: list[str] | None = None,
    before_expiry: bool = False,
    broken: bool = False,
) -> list[tuple[Artifact, str | None]]:
    """Return what is older than the duration, or past its expiry, oldest first.

    ``only`` narrows that to some ids; alone it means just these. With each stands why it would be
    left: a hold, no expiry, an expiry date to come, a broken seal, a job under way, no approval
    where one is needed; None where it goes. What is old enough but not expired goes with
    ``before_expiry``, and what does not match its seal with ``broken`` or by its id. WrongUsage
    where nothing is asked.
    """
    asked = (older_than, expired, only, before_expiry)
    return await _find(db, *asked, seen="every", broken=broken)


async def _find(
    db: Database,
    older_than: timedelta | None,
    expired: bool,
    only: list[str] | None,
    before_expiry: bool,
    seen: str,
    *,
    broken: bool = False,
) -> list[tuple[Artifact, str | None]]:
    if older_than is None and not expired and only is None:
        raise WrongUsage(
            "no age is given", hint="--older-than 30d, or --expired for expired artifacts"
        )
    async with db.acquire() as connection:
        rows = await connection.fetch(
            compose(SQL["candidates"], asked=compose(BLOCKS[seen]), old=SQL["old"]),
            *(older_than, expired, only, before_expiry, broken, Change.PURGE in db.approvals),
        )
    return [(from_row(row), row["skip"]) for row in rows]


async def asks_about_more_than(
    db: Database,
    number: int,
    older_than: timedelta | None,
    expired: bool,
    only: list[str] | None = None,
) -> bool:
    """Tell whether `plan_cleanup` of the same would look at more artifacts than so many."""
    async with db.side() as connection:
        query = compose(SQL["more_than"], old=SQL["old"])
        found: bool = await connection.fetchval(query, older_than, expired, only, number)
    return found


async def find_last_exports(db: Database, ids: list[str]) -> dict[str, dict[str, Any]]:
    """Return the last export of each artifact that was ever exported, by its id."""
    async with db.side() as connection:
        rows = await connection.fetch(SQL["last_exports"], ids)
    return {row["id"]: row["last"] for row in rows if row["last"]}


async def find_digests(db: Database, ids: list[str]) -> dict[str, str]:
    """Return the digest of the plan to purge each artifact, by its id: what somebody is shown."""
    async with db.side() as connection:
        return {row["id"]: row["digest"] for row in await connection.fetch(SQL["digests"], ids)}


async def cleanup(
    db: Database,
    older_than: timedelta | None,
    expired: bool,
    actor: Actor,
    only: list[str] | None = None,
    on_progress: OnProgress | None = None,
    *,
    before_expiry: bool = False,
    digests: Mapping[str, str] | None = None,
    reason: str | None = None,
    job: Job | None = None,
) -> list[CleanupResult]:
    """Purge what `plan_cleanup` says of the same, and return what became of each.

    An artifact that differs from its digest, as `find_digests` had it, is skipped. The
    tombstones keep the reason. Under a job, each outcome is in its progress as it comes.
    It goes on past what is held, locked, depended on or failing; only a lost server ends it.
    """
    asked = (older_than, expired, only, before_expiry)
    doing = operation(db, Kind.CLEANUP, actor, job=job, on_progress=on_progress, reason=reason)
    async with doing as op:
        if job is None:
            return await _cleanup(op, *asked, digests or {}, reason, partial(tell, on_progress))
        async with op.running() as run:
            outcomes: list[dict[str, Any]] = []

            async def note(result: CleanupResult) -> None:
                outcomes.append(result.to_outcome())
                await run.progress(done=result.done, total=result.total, results=outcomes[-20:])
                await tell(on_progress, result)

            found = await _cleanup(op, *asked, digests or {}, reason, note)
            run.result = {"results": outcomes}
            return found


async def _cleanup(
    op: Operation,
    older_than: timedelta | None,
    expired: bool,
    only: list[str] | None,
    before_expiry: bool,
    digests: Mapping[str, str],
    reason: str | None,
    note: Callable[[CleanupResult], Awaitable[None]],
) -> list[CleanupResult]:
    db, actor = op.db, op.actor
    # each purge looks at the parked object again
    planned = await _find(db, older_than, expired, only, before_expiry, seen="stray")
    results: dict[int, CleanupResult] = {}
    again: list[int] = []

    async def settle(number: int, outcome: str, why: str | None) -> None:
        result = CleanupResult(planned[number][0], outcome, why, len(results) + 1, len(planned))
        results[number] = result
        await note(result)

    numbers = iter(range(len(planned)))

    async def purge(number: int, news: _News, *, alone: bool) -> bool:
        """Purge one, note what came of it, and return whether its connection is still good."""
        artifact, skip = planned[number]
        found = (
            ("skipped", skip)
            if skip
            else await _purge_one(
                *(db, news, artifact, actor, alone, reason), digests.get(artifact.id)
            )
        )
        if found:
            await settle(number, *found)
        else:
            again.append(number)
        # one that was lost may not know it yet
        return (found is None or found[0] != "failed") and _is_open(news.connection)

    async def work() -> None:
        number = next(numbers, None)
        while number is not None:
            async with db.acquire() as connection, _News(db, connection) as news:
                good = True
                while good and number is not None:
                    # to its end, also where all is cancelled: what is gone is listed and told of
                    good = await run_to_completion(purge(number, news, alone=False))
                    number = next(numbers, None)

    await gather(*(work() for _ in range(min(WORKERS, len(planned)))))
    for number in sorted(again):
        async with db.acquire() as connection, _News(db, connection) as news:
            await run_to_completion(purge(number, news, alone=True))
    return [results[number] for number in sorted(results)]


def _is_open(connection: Connection) -> bool:
    try:
        return not connection.is_closed()
    except asyncpg.InterfaceError:  # the pool took it back when it was lost
        return False


class _News:
    """What listeners are yet to be told of the purges on one connection.

    Some at a time and apart from them: transactions that notify commit one after another.
    """

    def __init__(self, db: Database, connection: Connection) -> None:
        self.connection = connection
        self._db = db
        self._artifacts: list[str] = []
        self._entries: list[str] = []

    async def __aenter__(self) -> _News:
        return self

    async def __aexit__(self, *_: object) -> None:
        await run_to_completion(self._tell())

    async def add(self, artifact_id: str, entry: int) -> None:
        """Note a purge that is committed."""
        self._artifacts.append(artifact_id)
        self._entries.append(str(entry))
        if len(self._entries) >= TOLD_AT_ONCE:
            await self._tell()

    async def _tell(self) -> None:
        """Tell it over another connection, since this one may be lost; what fails is told later."""
        if self._entries:
            with suppress(ZanithError):
                async with self._db.side() as side, side.transaction():
                    await notify(side, "artifact", *self._artifacts)
                    await notify(side, "audit", *self._entries)
                self._artifacts, self._entries = [], []


async def _purge_one(
    db: Database,
    news: _News,
    artifact: Artifact,
    actor: Actor,
    alone: bool,
    reason: str | None,
    digest: str | None,
) -> tuple[str, str | None] | None:
    """Purge one artifact and return the outcome with its reason; no lock is waited for twice.

    None where it got into a deadlock with another one: then it has to be done alone.
    """
    try:
        async with attempt(db, actor, Kind.CLEANUP, artifact.id, artifact.object_name):
            _, entry = await purge_artifact(
                *(db, news.connection, artifact, actor, "cleanup", reason), expected_digest=digest
            )
            await news.add(artifact.id, entry)
    except (Locked, Refused, NotFound) as exc:
        if exc.sqlstate == DEADLOCK and not exc.by_owner and not alone:
            return None
        return "skipped", exc.for_log
    except ZanithError as exc:
        return "failed", exc.for_log
    return "purged", None
