"""A studio that is told to stop lets go of everything; another one goes on."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
import time
from contextlib import suppress

import httpx
import pytest

from app.recovery.core.actor import Actor
from app.recovery.db.database import Database
from app.recovery.jobs import model as jobs
from app.recovery.jobs import queueing, runs
from app.recovery.jobs.runs import interrupt_all
from app.routes.pages import purge
from tests.studios import (
    capture_orders,
    form_token,
    locked,
    run_command,
    run_studio,
    wait_for_job,
    wait_for_seals,
    wait_until,
)

pytestmark = pytest.mark.newest

PATIENT = {"lock_timeout": "30s"}
WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = '{}'::regclass"
INTERRUPTED = "interrupted: the studio was shut down; nothing was changed, start it again"


@pytest.fixture
def artifacts(database):
    return capture_orders(database)


def start_restore(client: httpx.Client, artifact: str) -> str:
    """Start a restore that waits for a lock, and return its job once it does."""
    answer = client.post(f"/api/artifacts/{artifact}/restore", json={"confirm": "code"})
    assert answer.status_code == 202, answer.text
    job = answer.json()["job"]["id"]
    wait_until(lambda: client.get(f"/api/jobs/{job}").json()["job"]["state"] == "running")
    return str(job)


def test_a_restore_that_waits_is_interrupted_and_free(database, artifacts, tmp_path):
    with run_studio(database.tcp_url) as other, locked(database), other.client() as there:
        wait_for_seals(database)
        with (
            run_command(
                database.tcp_url,
                tmp_path,
                ZANITH_LOCK_TIMEOUT="30s",
                ZANITH_SHUTDOWN_GRACE="2s",
            ) as command,
            command.client() as client,
        ):
            job = start_restore(client, artifacts["column"])
            events: list[str] = []
            follower = threading.Thread(target=follow, args=(command.url, job, events))
            follower.start()
            wait_until(lambda: "event: progress" in events)

            began = time.monotonic()
            command.process.send_signal(signal.SIGTERM)
            wait_until(lambda: client.get("/readyz").status_code == 503)
            assert time.monotonic() - began < 1.5
            refused = client.get("/readyz").json()["error"]
            assert (refused["code"], refused["message"]) == (
                "shutting_down",
                "The studio is shutting down.",
            )
            late = client.post(f"/api/artifacts/{artifacts['table']}/verify")
            assert late.status_code == 503
            assert late.headers["retry-after"]
            assert client.get("/healthz").status_code == 200
            follower.join(1.5)
            assert not follower.is_alive()
            assert events[-1] == "closed properly"
            assert there.get(f"/api/jobs/{job}").json()["job"]["state"] == "running"

            assert command.process.wait(10) == 0
            assert time.monotonic() - began < 8
        ended = there.get(f"/api/jobs/{job}").json()["job"]
        assert ended["state"] == "interrupted"
        assert ended["error"]["message"] == INTERRUPTED
        interrupted_once(database, "restore")
        found = there.get(f"/api/artifacts/{artifacts['column']}").json()
        assert found["status"] == "recoverable"
        assert (
            database.psql("SELECT count(*) FROM zanith._zanith_jobs WHERE ended_at IS NULL") == "0"
        )
        again = there.post(
            f"/api/artifacts/{artifacts['column']}/restore", json={"confirm": "code"}
        )
        assert again.status_code == 202
        assert "stopped" in command.output.read_text()
    number = again.json()["job"]["id"]
    state = database.psql(f"SELECT state FROM zanith._zanith_jobs WHERE id = '{number}'")
    assert state == "done"
    assert database.psql("SELECT code FROM orders WHERE id = 5") == "C-5"


def interrupted_once(database, action: str) -> None:
    """See that the audit log says it, in one entry."""
    said = database.psql(
        "SELECT outcome, detail ->> 'message' FROM zanith._zanith_audit_log"
        f" WHERE action = '{action}'"
    )
    assert said == f"failed|{INTERRUPTED}"


PARKED = """
SELECT format('%I.%I', physical_schema, physical_table)
FROM zanith._zanith_migration_artifacts WHERE id = '{}'
"""
ASKED = {
    "purge": ("DELETE", "table", "", {"confirm": "carts"}),
    "rehearsal": ("POST", "column", "/restore", {"rehearse": True}),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_is_waited_for_is_interrupted_and_says_so(database, artifacts, tmp_path, what):
    verb, key, path, body = ASKED[what]
    parked = database.psql(PARKED.format(artifacts[key]))
    table = parked if what == "purge" else "public.orders"
    grace = {"ZANITH_LOCK_TIMEOUT": "30s", "ZANITH_SHUTDOWN_GRACE": "1s"}
    answers: list[httpx.Response] = []
    with run_command(database.tcp_url, tmp_path, **grace) as command, command.client() as client:
        wait_for_seals(database)

        def ask() -> None:
            there = f"/api/artifacts/{artifacts[key]}{path}"
            answers.append(client.request(verb, there, json=body))

        with locked(database, table):
            asking = threading.Thread(target=ask)
            asking.start()
            wait_until(lambda: database.psql(WAITING.format(table)) != "0")
            command.process.send_signal(signal.SIGTERM)
            assert command.process.wait(12) == 0
            asking.join(5)
    [answer] = answers
    if what == "purge":
        assert answer.status_code == 503, answer.text
        assert answer.headers["retry-after"]
        assert answer.json()["error"]["message"] == INTERRUPTED
    else:  # nobody waits for it, and its job says so
        assert answer.status_code == 202, answer.text
        ended = database.psql(
            "SELECT state, error ->> 'message' FROM zanith._zanith_jobs WHERE kind = 'rehearse'"
        )
        assert ended == f"interrupted|{INTERRUPTED}"
    interrupted_once(database, "purge" if what == "purge" else "rehearse")
    status = "SELECT string_agg(DISTINCT status, ',') FROM zanith._zanith_migration_artifacts"
    assert database.psql(status) == "recoverable"
    live = "SELECT count(*) FROM zanith._zanith_jobs WHERE ended_at IS NULL"
    assert database.psql(live) == "0"


def test_a_purge_that_waits_is_followed_on_its_page(database, artifacts, monkeypatch):
    monkeypatch.setattr(purge, "QUICK_SECONDS", 0.3)
    parked = database.psql(PARKED.format(artifacts["table"]))
    with run_studio(database.tcp_url, **PATIENT) as studio:
        wait_for_seals(database)
        with httpx.Client(base_url=studio.url, headers={"Origin": studio.url}) as browser:
            there = f"/studio/artifacts/{artifacts['table']}/purge"
            with locked(database, parked):
                form = {"form_token": form_token(browser.get(there).text), "confirm": "carts"}
                sent = browser.post(there, data=form)
                assert sent.headers["location"].startswith("/studio/jobs/"), sent.text
            with studio.client() as client:
                job = sent.headers["location"].rsplit("/", 1)[1]
                assert wait_for_job(client, job)["state"] == "done"
            assert "Purged." in browser.get(sent.headers["location"]).text


def follow(url: str, job: str, events: list[str]) -> None:
    """Read events until the stream ends, and say how it ended."""
    try:
        with httpx.stream("GET", f"{url}/api/jobs/{job}/events", timeout=30) as stream:
            events.extend(line for line in stream.iter_lines())
            events.append("closed properly")
    except httpx.HTTPError as exc:
        events.append(f"cut off: {exc}")


def test_a_job_that_ends_in_time_is_let_finish(database, artifacts, tmp_path):
    with run_command(
        database.tcp_url, tmp_path, ZANITH_LOCK_TIMEOUT="30s", ZANITH_SHUTDOWN_GRACE="20s"
    ) as command:
        wait_for_seals(database)
        with command.client() as client, locked(database):
            job = start_restore(client, artifacts["column"])
            command.process.send_signal(signal.SIGTERM)
            wait_until(lambda: client.get("/readyz").status_code == 503)
        assert command.process.wait(15) == 0
    state = database.psql(f"SELECT state FROM zanith._zanith_jobs WHERE id = '{job}'")
    assert state == "done"
    assert database.psql("SELECT code FROM orders WHERE id = 5") == "C-5"


@pytest.mark.parametrize("second", [signal.SIGINT, signal.SIGTERM])
def test_the_second_signal_ends_it_at_once(database, artifacts, tmp_path, second):
    grace = {"ZANITH_LOCK_TIMEOUT": "30s", "ZANITH_SHUTDOWN_GRACE": "5min"}
    with run_command(database.tcp_url, tmp_path, **grace) as command, command.client() as client:
        wait_for_seals(database)
        with locked(database):
            job = start_restore(client, artifacts["column"])
            command.process.send_signal(signal.SIGTERM)
            wait_until(lambda: client.get("/readyz").status_code == 503)
            began = time.monotonic()
            command.process.send_signal(second)
            assert command.process.wait(10) == 0
            assert time.monotonic() - began < 5
    said = command.output.read_text()
    assert "Traceback" not in said
    assert "error" not in said.lower(), said
    assert "stopped" in said
    state = database.psql(f"SELECT state FROM zanith._zanith_jobs WHERE id = '{job}'")
    assert state == "interrupted"
    interrupted_once(database, "restore")


def test_an_idle_studio_ends_at_once(database, artifacts, tmp_path):
    with run_command(database.tcp_url, tmp_path) as command, command.client() as client:
        wait_for_seals(database)
        assert client.get("/readyz").status_code == 200
        began = time.monotonic()
        command.process.send_signal(signal.SIGTERM)
        assert command.process.wait(10) == 0
        assert time.monotonic() - began < 5


async def test_what_had_not_begun_is_ended_likewise(database, artifacts):
    db = await Database.open(database.url)
    try:
        actor = Actor("ana", role="staff")
        job = await queueing.start(db, "restore", artifacts["column"], {}, actor)
        await queueing.abandon(db, job.id)
        ended = await jobs.get(db, job.id)
        assert ended.state == "interrupted"
        assert ended.error
        assert "nothing was changed" in ended.error["message"]
        interrupted_once(database, "restore")
        done = await queueing.start(db, "restore", artifacts["column"], {}, actor)
        async with runs.running(db, done):
            await queueing.abandon(db, done.id)
        assert (await jobs.get(db, done.id)).state == "done"
    finally:
        await db.close()


async def test_a_task_that_misses_its_end_is_told_again():
    async def awaits_another() -> None:
        other = asyncio.create_task(asyncio.sleep(0.3))
        with suppress(asyncio.CancelledError):
            await other  # as a caller that stops its own task does
        await asyncio.sleep(60)

    task = asyncio.create_task(awaits_another())
    await asyncio.sleep(0)
    began = time.monotonic()
    await interrupt_all([task])
    assert task.cancelled()
    assert time.monotonic() - began < 4


def test_one_studio_starts_another_follows_and_cancels(database, artifacts):
    with (
        run_studio(database.tcp_url, **PATIENT) as a,
        run_studio(database.tcp_url, **PATIENT) as b,
        locked(database),
        a.client() as first,
        b.client() as second,
    ):
        wait_for_seals(database)
        job = start_restore(first, artifacts["column"])
        names: list[str] = []
        last: dict = {}
        with second.stream("GET", f"/api/jobs/{job}/events") as stream:
            for line in stream.iter_lines():
                if line.startswith("event:"):
                    names.append(line.split(": ")[1])
                if line.startswith("data:"):
                    last = json.loads(line[5:])
                    if len(names) == 1:
                        asked = second.post(f"/api/jobs/{job}/cancel")
                        assert asked.status_code == 200
        assert names[0] == "progress", last
        assert names[-1] == "failed"
        assert last["state"] == "cancelled", last
        assert first.get(f"/api/jobs/{job}").json()["job"]["state"] == "cancelled"


def test_events_end_with_the_token(database, artifacts, tmp_path):
    file = tmp_path / "staff"
    file.write_text("ana:the-s3cret-of-ana\nbob:the-s3cret-of-bob")
    settings = {"auth_token_file": file, **PATIENT}
    with run_studio(database.tcp_url, **settings) as studio, locked(database):
        wait_for_seals(database)
        with studio.client("the-s3cret-of-ana") as ana, studio.client("the-s3cret-of-bob") as bob:
            job = start_restore(bob, artifacts["column"])
            with ana.stream("GET", f"/api/jobs/{job}/events") as stream:
                lines = stream.iter_lines()
                assert next(lines).startswith(("event:", "retry:", "data:"))
                file.write_text("bob:the-s3cret-of-bob")
                began = time.monotonic()
                list(lines)
                assert time.monotonic() - began < 4
            assert bob.post(f"/api/jobs/{job}/cancel").status_code == 200
            assert wait_for_job(bob, job)["state"] == "cancelled"
