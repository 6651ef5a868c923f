"""Webhooks of real studios: killed ones, several at once, the page, the API and the rights."""

from __future__ import annotations

import base64
import hmac
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.acceptance.command import zanith
from tests.integration.screens import STAFF, VIEWER, words
from tests.receivers import receiver
from tests.studios import (
    capture_orders,
    run_command,
    run_studio,
    sign_in,
    wait_for_job,
    wait_for_seals,
    wait_until,
)

pytestmark = pytest.mark.newest

GUIDE = Path(__file__).parents[2] / "docs" / "operations.md"
TOKENS = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}
TELL = """SELECT zanith._tell('event {}', 'test', NULL, NULL, NULL, '{{"actor": "ana"}}')"""
STATES = """SELECT state, count(*) FROM zanith._zanith_webhook_deliveries GROUP BY 1 ORDER BY 1"""


def tell(database, *numbers: int) -> set[str]:
    """Write events; return their ids."""
    return set(database.psql(";".join(TELL.format(n) for n in numbers)).split())


def test_a_killed_studio_and_a_killed_receiver_lose_nothing(database, tmp_path):
    with receiver("late 8") as hook, receiver() as other:
        env = {"ZANITH_WEBHOOK_URL": f"{hook.url},{other.url}", "ZANITH_LOG_FORMAT": "json"}
        known = "SELECT count(*) FROM zanith._zanith_webhook_receivers"
        with run_command(database.tcp_url, tmp_path, **env) as first:
            wait_until(lambda: database.psql(known) == "2")
            told = tell(database, 1, 2, 3)
            hook.wait(1)  # the receiver has it, and has not answered
            wait_until(lambda: "delivered|3" in database.psql(STATES))
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait()
            assert "secret" not in first.output.read_text()
        lost = hook.requests[0].id
        hook.answers[:] = ["200"]
        assert database.psql(STATES).split() == ["delivered|3", "waiting|3"]
        with (
            run_command(database.tcp_url, tmp_path, **env) as second,
            run_command(database.tcp_url, tmp_path, **env) as third,
        ):
            told |= tell(database, 4, 5)
            hook.wait(4 + 1, seconds=40)  # not the one that the dead studio still has claimed
            database.psql("UPDATE zanith._zanith_webhook_deliveries SET lease_expires_at = now()"
                          " WHERE lease IS NOT NULL AND attempts = 1 AND event_id = "
                          f"'{lost}'")  # fmt: skip
            wait_until(lambda: database.psql(STATES) == "delivered|10")
            logs = second.output.read_text() + third.output.read_text()
            assert "secret" not in logs
        ids = [request.id for request in hook.requests]
        # the one whose answer never came back came again, with the same id; all others came once
        assert ids.count(lost) == 2
        assert all(ids.count(one) == 1 for one in told - {lost})
        assert sorted(request.id for request in other.requests) == sorted(told)


def test_what_is_told_of_a_database_and_who_may_do_what(database, tmp_path):
    ids = capture_orders(database)
    database.psql(
        """UPDATE zanith._zanith_migration_artifacts SET created_at = now() - interval '2 hours';
        CREATE TABLE public.many (id int PRIMARY KEY)"""
    )
    with (
        receiver() as hook,
        run_studio(
            database.tcp_url, webhook_url=hook.url, public_url="http://z.example", **TOKENS
        ) as studio,
        studio.client(STAFF) as staff,
        studio.client(VIEWER) as viewer,
        sign_in(studio, STAFF) as browser,
    ):
        # one expires within a day
        hook.wait(1)
        wait_for_seals(database)
        wait_until(lambda: "artifact.expiring" in types(hook))
        (expiring,) = [r.json for r in hook.requests if r.json["type"] == "artifact.expiring"]
        assert expiring["artifact"]["id"] == ids["weird"]
        assert expiring["url"] == f"http://z.example/studio/artifacts/{ids['weird']}"
        # another artifact is changed, a verification finds it, and a purge ends
        place = database.psql(
            "SELECT format('%I.%I', physical_schema, physical_table)"
            f" FROM zanith._zanith_migration_artifacts WHERE id = '{ids['table']}'"
        )
        database.psql(f"ALTER TABLE {place} DISABLE TRIGGER ALL; UPDATE {place} SET note = 'x'")
        job = staff.post(f"/api/artifacts/{ids['table']}/verify").json()["job"]
        assert wait_for_job(staff, job["id"])["state"] == "mismatch"
        purge = {"confirm": "carts", "reason": "because"}
        assert staff.request("DELETE", f"/api/artifacts/{ids['table']}", json=purge).is_success
        wait_until(lambda: {"artifact.changed", "purge.ended"} <= types(hook))
        # a viewer looks
        assert viewer.get("/api/webhooks").json()["receivers"][0]["host"].startswith("127.0.0.1:")
        page = viewer.get("/studio/webhooks").text
        assert "Every message arrived" in words(page)
        assert "Needs staff" in words(page)
        assert "secret" not in page + viewer.get("/api/webhooks").text
        for path in ("/api/webhooks/test", "/api/webhooks/retry"):
            assert viewer.post(path, json={}).status_code == 403
        # staff send a test, which fails: it is shown, and not sent again
        hook.answers[:] = ["302 location=http://127.0.0.2:1/"]
        (answer,) = staff.post("/api/webhooks/test").json()["answers"]
        assert (answer["delivered"], answer["status"]) == (False, 302)
        assert "a redirect to 127.0.0.2" in answer["error"]
        assert staff.get("/readyz").json()["webhooks_given_up"] == 0
        form = {"form_token": browser.get("/studio/webhooks").text.split(
            'name="form_token" value="', 1)[1].split('"', 1)[0]}  # fmt: skip
        hook.answers[:] = ["200"]
        assert browser.post("/studio/webhooks/test", data=form).status_code == 303
        assert browser.post("/studio/webhooks/retry", data=form).status_code == 303
        assert "did not arrive" in words(browser.get("/studio/webhooks").text)
        # what is given up is said by the doctor and the metrics
        database.psql(
            "UPDATE zanith._zanith_webhook_deliveries d SET state = 'given_up', last_error = 'x'"
            " FROM zanith._zanith_webhook_events e WHERE e.id = d.event_id"
            " AND e.type = 'purge.ended'"
        )
        assert staff.get("/readyz").json()["webhooks_given_up"] == 1
        assert "zanith_webhooks_given_up 1.0" in staff.get("/metrics").text
        found = zanith("doctor", "--json", url=database.url)
        assert found.code == 0
        assert "given_up" in {finding["code"] for finding in found.json["findings"]}
        listed = zanith("webhooks", "list", url=database.url)
        assert "1 did not arrive" in listed.out
        env = {"ZANITH_WEBHOOK_URL": hook.url}
        before = len(hook.requests)
        assert zanith("webhooks", "retry", url=database.url, **env).code == 0
        hook.wait(before + 1)
        hook.answers[:] = ["500"]
        tested = zanith("webhooks", "test", "--json", url=database.url, **env)
        assert (tested.code, tested.json["answers"][0]["status"]) == (1, 500)


def types(hook) -> set[str]:
    return {request.json["type"] for request in hook.requests}


def test_many_at_once_are_one_message(database):
    database.psql(
        "INSERT INTO zanith._zanith_webhook_receivers (id, host) VALUES (repeat('a', 64), 'h')"
    )
    calls = [
        f"CREATE TABLE public.t{n} (id int); SELECT zanith.archive_table('public.t{n}',"
        f" expires_in => '{n} hours');"
        for n in range(1, 13)
    ]
    database.psql("".join(calls))
    events = "SELECT count(*) FROM zanith._zanith_webhook_deliveries; "
    assert database.psql("SELECT zanith._tell_of_states();" + events).strip() == "1"
    facts = "SELECT facts FROM zanith._zanith_webhook_events WHERE facts ? 'count'"
    assert json.loads(database.psql(facts))["count"] == 12
    # once, also where they are looked for again; a new expiry is a new event
    assert database.psql("SELECT zanith._tell_of_states();" + events).strip() == "1"
    database.psql(
        "UPDATE zanith._zanith_migration_artifacts SET expires_at = now() + interval '1 day'"
        " WHERE source_table = 't3'"
    )
    assert database.psql("SELECT zanith._tell_of_states();" + events).strip() == "2"


def test_a_blocked_job_is_told_with_its_blocker(database):
    database.psql(
        """INSERT INTO zanith._zanith_webhook_receivers (id, host) VALUES (repeat('a', 64), 'h');
        INSERT INTO zanith._zanith_jobs (id, kind, object, state, actor, lease, lease_expires_at,
            progress) VALUES
            ('a', 'restore', 'public.a', 'running', 'ana', 'x', now() + interval '1 day',
             '{"step": "waiting for pid 7 (app)", "tries": 2, "waiting_for": ["pid 7 (app)"]}'),
            ('b', 'restore', 'public.a', 'running', 'ana', 'x', now() + interval '1 day',
             '{"step": "waiting for pid 7 (app)", "tries": 1, "waiting_for": ["pid 7 (app)"]}'),
            ('c', 'restore', 'public.a', 'running', 'ana', 'x', now() + interval '1 day',
             '{"step": "add the column", "tries": 3, "waiting_for": ["pid 7 (app)"]}')"""
    )
    database.psql("SELECT zanith._tell_of_blocked_jobs(); SELECT zanith._tell_of_blocked_jobs()")
    found = database.psql("SELECT job_id, facts ->> 'blockers' FROM zanith._zanith_webhook_events")
    assert found == 'a|["pid 7 (app)"]'


def test_the_shell_of_the_guide_checks_a_signature(database, tmp_path):
    secret = "whsec_" + "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    with receiver() as hook:
        env = {"ZANITH_WEBHOOK_URL": hook.url, "ZANITH_WEBHOOK_SECRET": secret}
        assert zanith("webhooks", "test", url=database.url, **env).code == 0
    (request,) = hook.requests
    (tmp_path / "body").write_bytes(request.body)
    guide = GUIDE.read_text(encoding="utf-8")
    script = guide.split("prints the signature of the file `body`:\n\n```sh\n", 1)[1]
    env = {
        "secret": secret,
        "id": request.id,
        "timestamp": request.headers["webhook-timestamp"],
        "PATH": os.environ["PATH"],
    }
    printed = subprocess.run(
        ["bash", "-ec", script.split("```", 1)[0]],
        cwd=tmp_path, env=env, capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert f"v1,{printed}" == request.headers["webhook-signature"]
    block = guide.split("secret. In Python:\n\n```python\n", 1)[1].split("```", 1)[0]
    names = {"base64": base64, "hmac": hmac, "time": time, "body": request.body, **env}
    names["signature"] = request.headers["webhook-signature"]
    exec(block, names)
    assert names["genuine"]
    assert names["fresh"]
