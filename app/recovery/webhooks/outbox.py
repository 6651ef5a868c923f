"""The outbox in PostgreSQL: events, and deliveries that one process at a time sends.

A delivery is claimed for a while. A process that dies leaves its claim to expire, and another one
sends the event again, with the same ``webhook-id``.
"""

from __future__ import annotations

import random
import secrets
from datetime import timedelta
from typing import Any

from app.recovery.db.connections import Connection
from app.recovery.db.database import Database
from app.recovery.db.transactions import notify
from app.recovery.queries import load
from app.recovery.webhooks.messages import message_of, path_of
from app.recovery.webhooks.model import (
    Claim,
    Delivery,
    Event,
    Overview,
    Receiver,
    ReceiverState,
    Webhooks,
)
from app.recovery.webhooks.sending import GONE, Answer

SQL = load("webhooks")

LEASE = timedelta(seconds=60)
FIRST_PAUSE = timedelta(seconds=10)
LONGEST_PAUSE = timedelta(hours=1)
REST = timedelta(minutes=1)
"""So long a receiver that does not answer gets nothing else."""

SHOWN = 50


async def tell(
    connection: Connection,
    key: str,
    type: str,  # noqa: A002 - the column's name
    *,
    artifact_id: str | None = None,
    job_id: str | None = None,
    object: str | None = None,  # noqa: A002 - the column's name
    facts: dict[str, Any] | None = None,
) -> str | None:
    """Tell of an event in the caller's transaction, once for each key; return its id.

    None where nobody receives, or where the key was used before. ``type`` is one of
    :data:`app.recovery.webhooks.messages.TYPES`.
    """
    found: str | None = await connection.fetchval(
        SQL["tell"], key, type, artifact_id, job_id, object, facts or {}
    )
    return found


async def register(db: Database, receivers: tuple[Receiver, ...]) -> None:
    """Say that this process has these addresses."""
    ids, hosts = [one.id for one in receivers], [one.host for one in receivers]
    async with db.side() as connection:
        await connection.execute(SQL["register"], ids, hosts)


async def sweep(db: Database) -> None:
    """Tell of what came with time, give up what was tried for days, forget what is a month old."""
    async with db.side() as connection:
        await connection.execute(SQL["tell_of_states"])
        if await connection.fetch(SQL["give_up"]):
            await notify(connection, "webhook", "")
        await connection.execute(SQL["forget"])


async def tell_of_blocked_jobs(db: Database) -> None:
    """Tell of jobs that wait for a lock, once each."""
    async with db.side() as connection:
        await connection.execute(SQL["tell_of_blocked_jobs"])


async def claim(db: Database, receiver: Receiver) -> Claim | None:
    """Claim what waits the longest for a receiver and is due; None where nothing is."""
    lease = secrets.token_hex(8)
    async with db.side() as connection:
        row: Any = await connection.fetchrow(SQL["claim"], receiver.id, lease, LEASE)
    return Claim(read_event(row), receiver, lease, row["attempts"]) if row else None


async def add_test(db: Database, receivers: tuple[Receiver, ...], actor: str) -> list[Claim]:
    """Write a test for these receivers, and return the claims to send it by."""
    event_id, lease = f"msg_{secrets.token_hex(16)}", secrets.token_hex(8)
    ids = [one.id for one in receivers]
    async with db.side() as connection, connection.transaction():
        await connection.execute(SQL["add_test"], event_id, {"actor": actor}, ids, lease, LEASE)
        row = await connection.fetchrow(SQL["event"], event_id)
    return [Claim(read_event(row), one, lease, 1) for one in receivers]


async def settle(db: Database, claim: Claim, answer: Answer) -> None:
    """Write what came of a claim. What another process has by now is left to it."""
    about = (claim.event.id, claim.receiver.id, claim.lease, answer.status)
    async with db.side() as connection:
        if answer.delivered:
            await connection.execute(SQL["delivered"], *about)
            await connection.execute(SQL["answers_again"], claim.receiver.id)
        else:
            await _failed(connection, claim, answer, about)
        await notify(connection, "webhook", claim.event.id)


async def _failed(
    connection: Connection, claim: Claim, answer: Answer, about: tuple[object, ...]
) -> None:
    wait = pause(claim.attempts)
    if answer.retry_after is not None:
        wait = max(wait, timedelta(seconds=answer.retry_after))
    await connection.execute(SQL["failed"], *about, answer.error, wait, claim.event.type == "test")
    if answer.status == GONE:
        await connection.execute(SQL["stop"], claim.receiver.id)
    elif answer.status is None or answer.retry_after is not None:
        rest = REST if answer.retry_after is None else timedelta(seconds=answer.retry_after)
        await connection.execute(SQL["rest"], claim.receiver.id, min(rest, wait))


async def retry(db: Database, receiver_id: str | None = None) -> int:
    """Let what waits or was given up be sent now; return how many deliveries that are."""
    async with db.side() as connection, connection.transaction():
        number: int = await connection.fetchval(SQL["retry"], receiver_id)
        await notify(connection, "webhook", "")
    return number


def pause(attempt: int) -> timedelta:
    """Return how long to wait after the n-th attempt: three times as long each, with jitter."""
    longest = min(
        FIRST_PAUSE.total_seconds() * 3 ** (min(attempt, 20) - 1), LONGEST_PAUSE.total_seconds()
    )
    return timedelta(seconds=random.uniform(longest / 2, longest))  # noqa: S311 - it spreads retries


async def overview(db: Database, webhooks: Webhooks, limit: int = SHOWN) -> Overview:
    """Return who receives, what waits, and the newest deliveries, those that wait first."""
    here = {one.id for one in webhooks.receivers}
    async with db.side() as connection:
        receivers = await connection.fetch(SQL["receivers"])
        deliveries = await connection.fetch(SQL["deliveries"], limit)
    return Overview(
        receivers=tuple(ReceiverState(**dict(row), here=row["id"] in here) for row in receivers),
        deliveries=tuple(_delivery(row) for row in deliveries),
        signed=bool(webhooks.secrets),
        linked=webhooks.public_url is not None,
    )


async def count(db: Database) -> tuple[int, int, float]:
    """Return how many deliveries wait, how many were given up, and the seconds of the oldest.

    Zeros where this role may not read them.
    """
    async with db.side() as connection:
        if not await connection.fetchval(SQL["readable"]):
            return 0, 0, 0.0
        row: Any = await connection.fetchrow(SQL["counts"])
    return row["waiting"], row["given_up"], row["oldest"]


def read_event(row: Any) -> Event:
    """Return the event of a row."""
    return Event(
        *(row["id"], row["type"], row["at"], row["artifact_id"], row["job_id"], row["object"]),
        facts=row["facts"],
    )


def _delivery(row: Any) -> Delivery:
    event = read_event(row)
    return Delivery(
        event=event,
        message=message_of(event),
        path=path_of(event),
        receiver_id=row["receiver_id"],
        host=row["host"],
        state=row["state"],
        attempts=row["attempts"],
        next_attempt_at=row["next_attempt_at"],
        last_attempt_at=row["last_attempt_at"],
        last_status=row["last_status"],
        last_error=row["last_error"],
        ended_at=row["ended_at"],
    )
