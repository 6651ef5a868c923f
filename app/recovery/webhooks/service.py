"""What a studio or worker does about webhooks in the background, and what people ask for.

Each receiver is served by a task of its own, so that none waits for another.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

from app.recovery.core.actor import Actor
from app.recovery.core.errors import NotFound, Refused, ZanithError
from app.recovery.core.tasks import gather, stop
from app.recovery.db.database import Database
from app.recovery.jobs import audit
from app.recovery.jobs.operation import attempt
from app.recovery.webhooks import outbox
from app.recovery.webhooks.messages import body_of, headers_of
from app.recovery.webhooks.model import Claim, Receiver, Webhooks
from app.recovery.webhooks.sending import Answer, Sender

log = logging.getLogger("zanith.webhooks")

SWEEP_AGAIN = 60.0
LOOK_AGAIN = 2.0
LAST_SECONDS = 4.0
"""So long a request that is under way may go on when the process ends."""

NO_RECEIVER = "no webhook is set here: ZANITH_WEBHOOK_URL is empty"


async def keep_telling(db: Database, webhooks: Webhooks, *, once: bool = False) -> None:
    """Send what is due, and look for what came with time, until cancelled.

    With ``once`` until nothing is due. Where the server is away, or is a standby, it looks again
    later.
    """
    async with _sender() as sender, db.events.subscribe() as queue:
        work = _Work(db, webhooks, sender)
        try:
            while True:
                try:
                    await work.look()
                except ZanithError as exc:
                    if once:
                        raise
                    log.warning("webhooks wait: %s", exc.for_log)
                if once:
                    await asyncio.gather(*work.serving.values())
                    return
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_AGAIN):
                        while (await queue.get()).kind not in {"webhook", "reconnected"}:
                            pass
        finally:
            await gather(*(stop(task) for task in work.serving.values()))


class _Work:
    """What one process does about webhooks: a task for each receiver, and a sweep each minute."""

    def __init__(self, db: Database, webhooks: Webhooks, sender: Sender) -> None:
        self._db = db
        self._webhooks = webhooks
        self._sender = sender
        self._sweep_at = 0.0
        self.serving: dict[str, asyncio.Task[None]] = {}

    async def look(self) -> None:
        """Write what is to be told, and serve each receiver that is not being served."""
        if self._db.server.standby:
            return
        receivers = self._webhooks.receivers
        if time.monotonic() >= self._sweep_at:
            await outbox.register(self._db, receivers)
            await outbox.sweep(self._db)
            self._sweep_at = time.monotonic() + SWEEP_AGAIN
        if receivers:
            await outbox.tell_of_blocked_jobs(self._db)
        for receiver in receivers:
            if receiver.id not in self.serving or self.serving[receiver.id].done():
                work = _serve(self._db, self._webhooks, receiver, self._sender)
                self.serving[receiver.id] = asyncio.create_task(work)


@asynccontextmanager
async def _sender() -> AsyncIterator[Sender]:
    sender = Sender()
    try:
        yield sender
    finally:
        await sender.close()


async def _serve(db: Database, webhooks: Webhooks, receiver: Receiver, sender: Sender) -> None:
    """Send one receiver what is due, one event after another."""
    try:
        while (claim := await outbox.claim(db, receiver)) is not None:
            await _let_end(_send(db, webhooks, claim, sender))
    except ZanithError as exc:  # a claim expires, and the event is sent again
        log.warning("webhooks to %s wait: %s", receiver.host, exc.for_log)


async def _let_end(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Await a request; when the process ends, give it some seconds to end and to be written."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=LAST_SECONDS)
        task.cancel()
        raise


async def _send(db: Database, webhooks: Webhooks, claim: Claim, sender: Sender) -> Answer:
    """Send one event to one receiver, and write what came of it while the claim is ours."""
    until = time.monotonic() + outbox.LEASE.total_seconds() / 2
    body = body_of(claim.event, webhooks, db.server.database)
    headers = headers_of(claim.event, body, webhooks.secrets)
    answer = await sender.send(claim.receiver, body, headers)
    if not answer.delivered:
        log.warning("webhook to %s failed: %s", claim.receiver.host, answer.error)
    while True:
        try:
            await outbox.settle(db, claim, answer)
        except ZanithError:
            if time.monotonic() > until:
                raise
            await asyncio.sleep(1)
        else:
            return answer


async def send_test(
    db: Database, webhooks: Webhooks, actor: Actor
) -> list[tuple[Receiver, Answer]]:
    """Send a test to each receiver of this process, and return what each answered.

    Refused where there is none.
    """
    async with attempt(db, actor, "webhook", None, None):
        if not webhooks.receivers:
            raise Refused(NO_RECEIVER, hint="set it, and start the studio again")
        await outbox.register(db, webhooks.receivers)
        claims = await outbox.add_test(db, webhooks.receivers, actor.name)
        async with _sender() as sender:
            answers = await asyncio.gather(
                *(_let_end(_send(db, webhooks, claim, sender)) for claim in claims)
            )
        found = list(zip(webhooks.receivers, answers, strict=True))
        said = [{"host": r.host, "status": a.status, "error": a.error} for r, a in found]
        await _record(db, actor, {"what": "test", "answers": said})
    return found


async def try_again(db: Database, actor: Actor, receiver_id: str | None = None) -> int:
    """Let what waits or was given up be sent now; return how many deliveries that are.

    NotFound where there is no such receiver.
    """
    async with attempt(db, actor, "webhook", None, None):
        if receiver_id is not None:
            known = await outbox.overview(db, Webhooks(), limit=0)
            matching = [r.id for r in known.receivers if r.id.startswith(receiver_id)]
            if len(matching) != 1:
                raise NotFound("there is no such receiver", hint="zanith webhooks list")
            receiver_id = matching[0]
        number = await outbox.retry(db, receiver_id)
        await _record(db, actor, {"what": "retry", "deliveries": number})
    return number


def answers_json(found: list[tuple[Receiver, Answer]]) -> list[dict[str, Any]]:
    """Return the answers to a test as JSON shows them."""
    return [
        {
            "id": receiver.id,
            "host": receiver.host,
            "delivered": answer.delivered,
            "status": answer.status,
            "error": answer.error,
        }
        for receiver, answer in found
    ]


async def _record(db: Database, actor: Actor, detail: dict[str, object]) -> None:
    async with db.side() as connection, connection.transaction():
        await audit.record(connection, actor, "webhook", "done", None, None, detail)
