"""Asking for an approval, and deciding on it: each is one transaction with its audit entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from app.recovery.approvals.looking import Looked, Review, look, review
from app.recovery.core.actor import Actor, require_named_person
from app.recovery.core.errors import NotPermitted, Refused
from app.recovery.core.four_eyes import TITLES, Change, in_order, require_reason
from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import notify
from app.recovery.jobs import audit
from app.recovery.jobs.approvals import (
    EVENT,
    Approval,
    find_matching,
    get_approval,
    hash_match,
    query,
    read_approval,
)
from app.recovery.jobs.operation import attempt
from app.recovery.purge.erase import Match, as_one, check_erasure, plan_erasure, shape_of
from app.recovery.purge.purge import require_named
from app.recovery.queries import load

SQL = load("approvals")


async def request(
    db: Database,
    kind: Change,
    artifact_id: str | None,
    actor: Actor,
    *,
    reason: str | None,
    params: Mapping[str, Any] | None = None,
    match: Match | None = None,
    rows: int | None = None,
    expected_digest: str | None = None,
) -> Approval:
    """Ask another person to approve a change, as it would be now, and return the request.

    ``params`` are the choices of a restore or the kinds of a rule; an erasure has ``match`` and
    ``rows``, and of its values only a hash is kept. ``expected_digest`` is that of the plan that
    the person saw, as the page of the change has it. WrongUsage without a reason; Refused where
    the change cannot run, is another now, or was asked for already.
    """
    given = dict(params or {})
    if kind is Change.ERASE:
        given = {**shape_of(match or {}), "rows": rows or 0}
    async with attempt(db, actor, "request", artifact_id, None, reason=reason):
        require_named_person(actor)
        reason = require_reason(reason)
        hashed = None
        if kind is Change.ERASE:
            plan = await plan_erasure(db, artifact_id or "", match or {}, actor)
            check_erasure(plan, rows or 0, expected_digest)
            expected_digest = None
            hashed = hash_match(as_one(match or {}))
        looked = await look(db, kind, artifact_id, given, actor)
        _check_runs(looked)
        _check_seen(looked, expected_digest)
        async with db.acquire() as connection, connection.transaction():
            await _end_stale(connection, looked, actor)
            await _refuse_second(connection, looked, match)
            number = await _insert(connection, looked, actor, reason, hashed)
            await _record(
                connection, actor, "request", looked, {"approval": number, "reason": reason}
            )
            await notify(connection, EVENT, number)
    return await get_approval(db, number)


def _check_runs(looked: Looked) -> None:
    for stop in looked.stops:
        raise Refused(stop.message, detail=stop.detail, hint=stop.hint)


def _check_seen(looked: Looked, expected: str | None) -> None:
    if expected is not None and expected != looked.digest:
        raise Refused(
            f"the {TITLES[looked.kind]} {looked.object} is not the one that you saw",
            detail="the catalog or the artifact changed meanwhile",
            hint="look at it again, then ask for it",
        )


async def _end_stale(connection: Connection, looked: Looked, actor: Actor) -> None:
    """Mark requests of the same change that lapsed, so that they do not stand in the way."""
    about = (looked.kind.value, _artifact_id(looked), looked.digest, looked.params)
    for row in await connection.fetch(SQL["stale"], *about):
        await _lapse_one(connection, row, actor)


async def _refuse_second(connection: Connection, looked: Looked, match: Match | None) -> None:
    only = None
    if match:
        about = (connection, _artifact_id(looked) or "", looked.digest, as_one(match))
        only = await find_matching(*about)
        if only is None:
            return
    key = (looked.kind.value, _artifact_id(looked), looked.digest, only)
    row = await connection.fetchrow(query("live"), *key)
    if row is not None:
        raise _asked_already(read_approval(row))


def _asked_already(found: Approval) -> Refused:
    if found.state == "approved":
        return Refused(
            f"the {found.title} is approved already",
            detail=f"{found.decided_by} approved the request {found.id}",
            hint="run it",
        )
    return Refused(
        f"{found.requested_by} asked for the {found.title} already",
        detail=f"the request {found.id} waits for another person",
        hint=f"zanith approvals approve {found.id}, as another person than {found.requested_by}",
    )


async def _insert(
    connection: Connection, looked: Looked, actor: Actor, reason: str | None, hashed: str | None
) -> str:
    try:
        number: str = await connection.fetchval(
            SQL["request"],
            *(looked.kind.value, _artifact_id(looked), looked.object, looked.digest),
            *(looked.params, looked.facts, hashed, reason),
            *(actor.name, actor.through, actor.address),
        )
    except asyncpg.UniqueViolationError:
        raise Refused(
            f"somebody asked for the {TITLES[looked.kind]} {looked.object} a moment ago",
            hint="zanith approvals list shows the request",
        ) from None
    return number


def _artifact_id(looked: Looked) -> str | None:
    return looked.artifact.id if looked.artifact else None


async def approve(
    db: Database,
    reference: str,
    actor: Actor,
    *,
    confirm: str | None,
    confirmed: bool = False,
    expected_digest: str | None = None,
    reason: str | None = None,
) -> Approval:
    """Approve a request as a second person; the name of its object was typed.

    Refused where it was decided already, lapsed, or where its change is another by now: then it
    lapses. NotPermitted for whoever asked for it. A rule that a request ends goes at once.
    """
    asked = await get_approval(db, reference)
    async with attempt(db, actor, "approve", asked.artifact_id, asked.object, reason=reason):
        _require_waiting(asked)
        await _require_second(db, asked, actor)
        if not confirmed:
            require_named(confirm, asked.object, asked.artifact_id)
        looked = await review(db, asked, actor)
        if looked.changed or expected_digest not in {None, asked.digest}:
            await _lapse_changed(db, looked, actor)
        assert looked.now is not None  # noqa: S101 - it would have changed
        _check_runs(looked.now)
        await _decide(db, asked, actor, "approved", reason)
    return await get_approval(db, asked.id)


async def reject(
    db: Database, reference: str, actor: Actor, *, reason: str | None = None
) -> Approval:
    """Reject a request as a second person; NotPermitted for whoever asked, who withdraws it."""
    asked = await get_approval(db, reference)
    async with attempt(db, actor, "reject", asked.artifact_id, asked.object, reason=reason):
        _require_waiting(asked)
        await _require_second(db, asked, actor)
        await _decide(db, asked, actor, "rejected", reason)
    return await get_approval(db, asked.id)


async def withdraw(
    db: Database, reference: str, actor: Actor, *, reason: str | None = None
) -> Approval:
    """Take back a request, or an approval that was not used: as who asked, or who approved."""
    asked = await get_approval(db, reference)
    async with attempt(db, actor, "withdraw", asked.artifact_id, asked.object, reason=reason):
        require_named_person(actor)
        if actor.name not in {asked.requested_by, asked.decided_by}:
            raise NotPermitted(
                f"{asked.requested_by} asked for it, and {actor.name} cannot withdraw it",
                hint="reject it instead",
            )
        async with db.acquire() as connection, connection.transaction():
            found = read_approval(await connection.fetchrow(query("lock"), asked.id))
            if not found.live:
                raise _over(found)
            await connection.execute(SQL["end"], found.id, "withdrawn")
            await _record_on(connection, actor, "withdraw", found, {"reason": reason})
            await notify(connection, EVENT, found.id)
    return await get_approval(db, asked.id)


async def _require_second(db: Database, asked: Approval, actor: Actor) -> None:
    require_named_person(actor)
    async with db.side() as connection:
        problem = await connection.fetchval(SQL["problem"], asked.id, actor.name, actor.through)
    if problem is None:
        return
    if problem == "same_person":
        raise NotPermitted(
            f"{asked.requested_by} asked for it, and cannot decide on it",
            detail="an approval needs a second person",
            hint="another person decides; withdraw the request if it was wrong",
        )
    raise NotPermitted(
        f"the request came through the database role {asked.requested_by_role}, as you do",
        detail="on the command line the role tells people apart: the name is only what the client"
        " says",
        hint="connect as your own role, or decide in the studio",
    )


def _require_waiting(asked: Approval) -> None:
    if asked.state != "requested":
        raise _over(asked)


def _over(found: Approval) -> Refused:
    words = {
        "approved": f"{found.decided_by} approved it already",
        "rejected": f"{found.decided_by} rejected it already",
        "withdrawn": "it was withdrawn",
        "used": "the change that it approved is done",
        "lapsed": "it lapsed",
    }
    return Refused(
        f"the request {found.id} is over: {words.get(found.state, found.state)}",
        hint="ask again if it is still needed" if found.state != "approved" else None,
    )


async def _decide(
    db: Database, asked: Approval, actor: Actor, state: str, reason: str | None
) -> None:
    action = {"approved": "approve", "rejected": "reject"}[state]
    async with db.acquire() as connection, connection.transaction():
        found = read_approval(await connection.fetchrow(query("lock"), asked.id))
        _require_waiting(found)
        await connection.execute(
            SQL["decide"], *(found.id, state, actor.name, actor.through, reason)
        )
        await _record_on(connection, actor, action, found, {"reason": reason})
        if found.kind is Change.LIFT and state == "approved":
            kinds = found.params["kinds"]
            await connection.fetch(SQL["lift"], kinds)
            await connection.execute(SQL["end"], found.id, "used")
            await _record_on(connection, actor, "lift", found, {"changes": kinds})
        await notify(connection, EVENT, found.id)


async def _lapse_changed(db: Database, looked: Review, actor: Actor) -> None:
    """End a request whose change is another by now, and raise Refused."""
    asked = looked.approval
    if looked.changed:
        async with db.acquire() as connection, connection.transaction():
            found = read_approval(await connection.fetchrow(query("lock"), asked.id))
            if found.live:
                await _lapse_one(connection, found, actor)
    labels = ", ".join(each.label.lower() for each in looked.differences)
    raise Refused(
        f"the {asked.title} is another than {asked.requested_by} asked for: nothing was approved",
        detail=looked.gone or (f"changed: {labels}" if labels else None),
        hint="look at it again, and ask for it again",
    )


async def _lapse_one(connection: Connection, row: Any, actor: Actor) -> None:
    item = row if isinstance(row, Mapping) or hasattr(row, "keys") else vars(row)
    await connection.execute(SQL["end"], item["id"], "lapsed")
    detail = {"approval": item["id"], "change": str(item["kind"])}
    about = (item["artifact_id"], item["object"], detail)
    await audit.record(connection, actor, "lapse", "done", *about)
    await notify(connection, EVENT, item["id"])


async def lapse(db: Database, actor: Actor) -> int:
    """Mark the requests whose day is over, and return how many there were."""
    async with db.side() as connection, connection.transaction():
        rows = await connection.fetch(SQL["overdue"])
        for row in rows:
            await _lapse_one(connection, row, actor)
    return len(rows)


async def require(db: Database, kinds: frozenset[Change], actor: Actor) -> list[str]:
    """Require approvals of these changes in this database from now on; return what is new."""
    names = [kind.value for kind in in_order(kinds)]
    async with (
        attempt(db, actor, "require", None, ", ".join(names)),
        db.acquire() as connection,
        connection.transaction(),
    ):
        rows = await connection.fetch(SQL["require"], names, actor.name)
        new = [str(row["kind"]) for row in rows]
        if new:
            about = (None, ", ".join(new), {"changes": new})
            await audit.record(connection, actor, "require", "done", *about)
            await notify(connection, EVENT, "")
    return new


async def _record(
    connection: Connection, actor: Actor, action: str, looked: Looked, detail: dict[str, Any]
) -> None:
    said = {"change": looked.kind.value, "digest": looked.digest, **detail}
    about = (_artifact_id(looked), looked.object, said)
    await audit.record(connection, actor, action, "done", *about)


async def _record_on(
    connection: Connection, actor: Actor, action: str, found: Approval, detail: dict[str, Any]
) -> None:
    said = {
        "approval": found.id,
        "change": found.kind.value,
        "digest": found.digest,
        "requested_by": found.requested_by,
        "requested_by_role": found.requested_by_role,
        **detail,
    }
    about = (found.artifact_id, found.object, said)
    await audit.record(connection, actor, action, "done", *about)
