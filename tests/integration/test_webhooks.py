"""Webhooks: each event reaches each receiver, once where the receiver answered."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
from contextlib import ExitStack, asynccontextmanager

import asyncpg
import pytest

from app.recovery.approvals import deciding
from app.recovery.core.actor import Actor
from app.recovery.core.four_eyes import Change
from app.recovery.db.database import Database
from app.recovery.jobs.kinds import Kind, Trait, kinds_with
from app.recovery.plan.model import Choices
from app.recovery.restore.restore import restore
from app.recovery.rows import seal
from app.recovery.webhooks import messages, outbox, sending, service
from app.recovery.webhooks.model import Receiver, Webhooks
from tests.receivers import receiver
from tests.studios import capture_orders

pytestmark = pytest.mark.newest

ANA = Actor("ana", None, "staff")
KEY = b"k" * 32
DELIVERIES = """
SELECT d.state, d.attempts, d.last_status, d.last_error FROM zanith._zanith_webhook_deliveries d
JOIN zanith._zanith_webhook_events e ON e.id = d.event_id ORDER BY e.at, d.receiver_id"""


def hooks(*receivers, secrets=(), public_url="https://zanith.example.com/z") -> Webhooks:
    return Webhooks(tuple(Receiver(r.url) for r in receivers), secrets, public_url)


@pytest.fixture
async def db(database):
    opened = await Database.open(database.url)
    yield opened
    await opened.close()


@pytest.fixture
def quick(monkeypatch):
    """Retry soon, and do not wait for long; a busy machine still answers in that time."""
    monkeypatch.setattr(outbox, "pause", lambda _: outbox.timedelta(milliseconds=100))
    monkeypatch.setattr(outbox, "REST", outbox.timedelta(0))
    monkeypatch.setattr(sending, "SECONDS", 4.0)
    monkeypatch.setattr(service, "LOOK_AGAIN", 0.05)


@asynccontextmanager
async def telling(db, *settings: Webhooks):
    """Run the background task of so many processes."""
    tasks = [asyncio.create_task(service.keep_telling(db, one)) for one in settings]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def tell(db, key: str = "one", kind: str = "restore.ended", **facts) -> str | None:
    async with db.side() as connection, connection.transaction():
        said = {"kind": "restore", "state": "done", "actor": "ana", **facts}
        return await outbox.tell(connection, key, kind, artifact_id="a", job_id="j",
                                 object="public.a<b>&*_@here", facts=said)  # fmt: skip


async def until(condition) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - of a server in a thread
            await asyncio.sleep(0.02)


async def test_a_restore_is_told_with_its_end(database, db):
    ids = capture_orders(database)
    with receiver() as one:
        settings = hooks(one, secrets=(KEY, b"x" * 24))
        await outbox.register(db, settings.receivers)
        for artifact in ids.values():
            await seal.seal(db, artifact, ANA)
        await restore(db, ids["weird"], Choices(), ANA)
        await service.keep_telling(db, settings, once=True)
        (request,) = [r for r in one.requests if r.json["type"] == "restore.ended"]
        said = request.json
        job = said["job"]
        assert job == {"id": job["id"], "kind": "restore", "state": "done", "actor": "ana"}
        assert said["artifact"]["id"] == ids["weird"]
        assert said["id"] == request.id
        assert said["url"] == f"https://zanith.example.com/z/studio/jobs/{job['id']}"
        assert "<b>" in said["message"]
        assert "<" not in said["text"]
        assert "&lt;b&gt;Name&lt;/b&gt; &amp; co" in said["text"]
        assert said["text"].endswith(said["url"])
        # as docs/operations.md says it
        stamp, body = request.headers["webhook-timestamp"], request.body
        signed = f"{request.id}.{stamp}.".encode() + body
        mine = "v1," + base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
        first, second = request.headers["webhook-signature"].split()
        assert first == mine != second
        # what was archived is in none of them
        assert not any(b"<script>alert(1)" in r.body for r in one.requests)


async def test_a_rolled_back_event_is_not_told_and_a_key_is_told_once(database, db):
    with receiver() as one:
        assert await tell(db) is None  # nobody receives yet
        await outbox.register(db, hooks(one).receivers)
        assert await tell(db)
        assert await tell(db) is None
        async with db.side() as connection:
            block = connection.transaction()
            await block.start()
            assert await outbox.tell(connection, "two", "test")
            await block.rollback()
        await service.keep_telling(db, hooks(one), once=True)
        assert [r.json["type"] for r in one.requests] == ["restore.ended"]


ANSWERS = [
    ("200", "delivered", ""),
    ("204", "delivered", ""),
    ("200 bytes=100000000", "delivered", ""),
    ("400", "waiting", "it answered 400"),
    ("410", "waiting", "it answered 410: it is gone"),
    ("429 retry-after=30", "waiting", "it answered 429"),
    (f"429 retry-after={'9' * 400}", "waiting", "it answered 429"),
    ("500 bytes=100000000", "waiting", "it answered 500"),
    ("close", "waiting", "no answer came"),
    ("late 3", "waiting", "it did not answer within"),
    ("301 location={other}", "waiting", "it answered 301, a redirect to 127.0.0.2"),
    ("302 location={other}", "waiting", "it answered 302, a redirect to 127.0.0.2"),
    ("307 location={other}", "waiting", "it answered 307, a redirect to 127.0.0.2"),
]


@pytest.mark.parametrize(("answer", "state", "error"), ANSWERS, ids=[a[:40] for a, _, _ in ANSWERS])
async def test_answer(database, db, monkeypatch, answer, state, error):
    monkeypatch.setattr(sending, "SECONDS", 1.0)
    with receiver() as other, receiver("200") as one:
        one.answers[:] = [answer.format(other=f"http://127.0.0.2:{other.port}/elsewhere")]
        await outbox.register(db, hooks(one).receivers)
        event = await tell(db)
        await service.keep_telling(db, hooks(one), once=True)
        found = database.psql(DELIVERIES).split("|")
        assert found[:2] == [state, "1"]
        assert found[3].startswith(error) if error else found[3] == ""
        assert "secret" not in found[3]
        assert [r.id for r in one.requests] == [event]
        assert other.requests == []
        if state == "delivered":
            return
        # what the receiver did not get waits, and comes once it answers
        due = "SELECT extract(epoch FROM next_attempt_at - now()) FROM {}"
        wait = float(database.psql(due.format("zanith._zanith_webhook_deliveries")))
        assert wait > (25 if answer == "429 retry-after=30" else 0)
        one.answers[:] = ["200"]
        if answer == "410":
            database.psql("UPDATE zanith._zanith_webhook_deliveries SET next_attempt_at = now()")
            await service.keep_telling(db, hooks(one), once=True)
            assert len(one.requests) == 1
        assert await service.try_again(db, ANA) == 1
        await service.keep_telling(db, hooks(one), once=True)
        assert [r.id for r in one.requests] == [event, event]
        assert database.psql(DELIVERIES).split("|")[:2] == ["delivered", "2"]


async def test_each_end_of_an_attempt_is_an_event_for_the_pages(database, db):
    async def heard(queue) -> str:
        async with asyncio.timeout(20):
            while (found := await queue.get()).kind != "webhook":
                pass
            return found.id

    with receiver("500") as one:
        await outbox.register(db, hooks(one).receivers)
        async with db.events.subscribe() as queue:
            assert (await queue.get()).kind == "reconnected"
            event = await tell(db)
            assert await heard(queue) == event
            await service.keep_telling(db, hooks(one), once=True)
            assert await heard(queue) == event  # it waits
            database.psql("UPDATE zanith._zanith_webhook_deliveries SET give_up_at = now()")
            await outbox.sweep(db)
            assert await heard(queue) == ""  # it was given up
            one.answers[:] = ["200"]
            await service.try_again(db, ANA)
            assert await heard(queue) == ""
            await service.keep_telling(db, hooks(one), once=True)
            assert await heard(queue) == event  # it arrived
            await outbox.sweep(db)
            assert not [found for found in iter_nowait(queue) if found.kind == "webhook"]


def iter_nowait(queue: asyncio.Queue):
    """Yield what is in the queue."""
    while not queue.empty():
        yield queue.get_nowait()


async def test_a_receiver_that_is_down_delays_no_other_and_gets_all_later(database, db, quick):
    with ExitStack() as stack:
        up, slow = stack.enter_context(receiver()), stack.enter_context(receiver("late 8"))
        down = stack.enter_context(receiver())
        settings = hooks(up, slow, down)
        port, events = down.port, []
        stack.pop_all()  # each is closed by itself
    with receiver(port=up.port) as up, receiver("late 8", port=slow.port) as slow:
        async with telling(db, settings, settings):
            await until(lambda: database.psql(
                "SELECT count(*) FROM zanith._zanith_webhook_receivers") == "3")  # fmt: skip
            events = [await tell(db, f"event {n}") for n in range(20)]
            await until(lambda: len(up.requests) == 20)
            with receiver(port=port) as down:
                await until(lambda: len(down.requests) == 20)
                await asyncio.sleep(0.3)
                assert sorted(r.id for r in down.requests) == sorted(events)
        assert sorted(r.id for r in up.requests) == sorted(events)


async def test_every_kind_whose_end_is_told_has_its_words(database, db):
    told = kinds_with(Trait.TOLD)
    text = database.psql("SELECT prosrc FROM pg_proc WHERE proname = '_tell_of_job'")
    assert f"'{{{','.join(told)}}}'" in text
    assert {f"{Kind(kind).does_to_one}.ended" for kind in told} <= set(messages.TYPES)


async def test_a_restore_that_waits_for_a_lock_is_told_with_its_blocker(database, quick):
    ids = capture_orders(database)
    database.psql("UPDATE zanith._zanith_migration_artifacts SET expires_at = NULL")
    patient = await Database.open(
        database.url, lock_timeout=outbox.timedelta(milliseconds=50), lock_retries=1000
    )
    try:
        with receiver() as one:
            await outbox.register(patient, hooks(one).receivers)
            await seal.seal(patient, ids["column"], ANA)
            async with database.connect() as other, telling(patient, hooks(one)):
                block = other.transaction()
                await block.start()
                await other.execute("LOCK TABLE public.orders IN ACCESS SHARE MODE")
                pid = await other.fetchval("SELECT pg_backend_pid()")
                task = asyncio.create_task(restore(patient, ids["column"], Choices(), ANA))
                await until(lambda: one.requests)
                await block.rollback()
                await task
                await until(lambda: len(one.requests) == 2)
            blocked, ended = (request.json for request in one.requests)
            assert blocked["type"] == "job.blocked"
            assert f"held by pid {pid} (postgres" in blocked["message"]
            assert (ended["type"], ended["job"]["state"]) == ("restore.ended", "done")
            assert blocked["url"] == ended["url"]
    finally:
        await patient.close()


async def test_a_request_for_an_approval_is_told_once_with_its_page(database, db):
    ids = capture_orders(database)
    with receiver() as one:
        await outbox.register(db, hooks(one).receivers)
        asked = await deciding.request(db, Change.PURGE, ids["weird"], ANA, reason="it is old")
        await service.keep_telling(db, hooks(one), once=True)
        (request,) = [r for r in one.requests if r.json["type"] == "approval.requested"]
        page = f"https://zanith.example.com/z/studio/approvals/{asked.id}"
        assert request.json["url"] == page
        lapses = f"It lapses on {asked.expires_at:%Y-%m-%d}"
        assert (
            f"ana asks for an approval: purge of {asked.object}. {lapses}"
            in request.json["message"]
        )


@pytest.mark.parametrize("function", ["_tell_of_job", "_tell_of_request"])
async def test_a_trigger_of_another_table_tells_nothing(database, db, function):
    """A role that may capture would choose the words, and could use up the key of a true event."""
    forged = f"""
        CREATE TABLE public.forged (id text, kind text, state text, artifact_id text, object text,
            actor text, requested_by text, error jsonb, params jsonb, ended_at timestamptz,
            expires_at timestamptz);
        CREATE TRIGGER forges AFTER INSERT ON public.forged FOR EACH ROW
            EXECUTE FUNCTION zanith.{function}();
        INSERT INTO public.forged (id, kind, state, object, actor, requested_by)
            VALUES ('1', 'purge', 'done', 'public.a', 'ana', 'ana')"""
    with receiver() as one:
        await outbox.register(db, hooks(one).receivers)
        async with database.connect() as connection:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(forged)
        assert database.psql("SELECT count(*) FROM zanith._zanith_webhook_events") == "0"
