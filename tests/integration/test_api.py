"""The JSON API: its answers, its refusals, and who gets in."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Iterator

import httpx
import pytest

from app.recovery.core.actor import Actor
from app.recovery.purge.purge import purge
from app.recovery.rows import seal
from tests.acceptance.test_cli_flow import ARTIFACT_KEYS
from tests.studios import (
    Running,
    capture_orders,
    form_token,
    locked,
    run_studio,
    sign_in,
    wait_for_job,
    wait_for_seals,
    wait_until,
)

pytestmark = pytest.mark.newest

STAFF, VIEWER = "s3cret-token-of-staff", "s3cret-token-of-viewer"


@pytest.fixture
def artifacts(database) -> dict[str, str]:
    return capture_orders(database)


@pytest.fixture
def studio(database, artifacts) -> Iterator[Running]:
    with run_studio(database.tcp_url) as running:
        wait_for_seals(database)
        yield running


@pytest.fixture
def client(studio: Running) -> Iterator[httpx.Client]:
    with studio.client() as opened:
        yield opened


@pytest.fixture
def guarded(database, artifacts) -> Iterator[Running]:
    """A studio that wants tokens."""
    tokens = {"auth_token": f"ana:{STAFF}", "read_only_auth_token": f"vic:{VIEWER}"}
    with run_studio(database.tcp_url, **tokens) as running:
        yield running


def refused(answer: httpx.Response, status: int, code: str) -> dict:
    """Check that an answer is an error in the one shape, and return it."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "detail", "hint", "sqlstate"}
    assert error["code"] == code
    return dict(error)


# ------------------------------------------------------------------------------------------ reading


def test_lists_by_page(client, artifacts):
    first = client.get("/api/artifacts", params={"limit": 2}).json()
    second = client.get("/api/artifacts", params={"limit": 2, "after": first["next"]}).json()
    ids = [item["id"] for item in first["artifacts"] + second["artifacts"]]
    assert ids == [artifacts["weird"], artifacts["table"], artifacts["column"]]
    assert first["total"] == 3
    assert second["next"] is None
    assert set(first["artifacts"][0]) == ARTIFACT_KEYS


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({"type": "archive_table"}, ["table"]),
        ({"table": "public.orders"}, ["column"]),
        ({"search": "0007"}, ["column"]),
        ({"status": "restored"}, []),
        ({"health": "damaged"}, []),
        ({"older_than": "1d"}, []),
        ({"sort": "name", "direction": "up"}, ["weird", "table", "column"]),
    ],
)
def test_filters(client, artifacts, filters, expected):
    found = client.get("/api/artifacts", params=filters).json()["artifacts"]
    assert [item["id"] for item in found] == [artifacts[name] for name in expected]


@pytest.mark.smoke
def test_inspects_by_id_prefix_and_name(client, artifacts):
    one = client.get(f"/api/artifacts/{artifacts['column']}").json()
    assert set(one) > ARTIFACT_KEYS | {
        "recovery_sql",
        "plan",
        "definition",
        "dependents",
        "exports",
    }
    assert one["plan"]["steps"][0].keys() >= {"sql", "purpose", "lock", "tables"}
    for reference in (artifacts["column"][:8], "public.orders.code"):
        assert client.get(f"/api/artifacts/{reference}").json()["id"] == one["id"]


def test_describes_itself(client):
    described = client.get("/api/openapi.json").json()
    assert {"/api/artifacts", "/api/exports/{export_id}/content", "/healthz"} <= set(
        described["paths"]
    )
    assert not [path for path in described["paths"] if path.startswith("/studio")]


def test_for_machines(client):
    assert client.get("/healthz").json()["status"] == "ok"
    assert client.get("/readyz").json()["status"] == "ready"
    assert "zanith_artifacts_recoverable 3.0" in client.get("/metrics").text


# ----------------------------------------------------------------------------------------- refusals


def test_errors_have_one_shape(client, artifacts):
    column = artifacts["column"]
    refused(client.get("/api/artifacts/none_such"), 404, "not_found")
    refused(client.get("/api/nothing"), 404, "not_found")
    refused(client.get("/api/jobs/none"), 404, "not_found")
    refused(client.patch("/api/artifacts"), 405, "method")
    refused(client.get("/api/artifacts", params={"type": "banana"}), 400, "usage")
    refused(client.get("/api/artifacts", params={"older_than": "soon"}), 400, "usage")
    refused(client.get("/api/artifacts", params={"limit": 0}), 422, "invalid")
    refused(client.get("/api/artifacts", params={"after": "???"}), 400, "usage")
    refused(client.post(f"/api/artifacts/{column}/restore", json={"nope": 1}), 422, "invalid")
    refused(client.post("/api/cleanup", json={}), 400, "usage")
    refused(client.get(f"/api/artifacts/{column}/export?format=xml"), 422, "invalid")


@pytest.mark.smoke
def test_destruction_wants_the_name(client, artifacts, database):
    here = f"/api/artifacts/{artifacts['table']}"
    error = refused(client.delete(here), 409, "refused")
    assert "public.carts" in error["hint"]
    refused(client.request("DELETE", here, json={"confirm": "public.orders"}), 409, "refused")
    refused(client.post(f"{here}/restore", json={}), 409, "refused")
    assert database.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts") == "3"

    answer = client.request("DELETE", here, json={"confirm": "carts", "reason": "tidy"})
    assert answer.status_code == 200
    refused(client.get(here), 404, "not_found")


def test_a_hold_keeps_from_purge(client, artifacts):
    here = f"/api/artifacts/{artifacts['table']}"
    assert client.post(f"{here}/hold", json={"reason": "audit"}).json()["held"] is True
    refused(client.request("DELETE", here, json={"confirm": "carts"}), 409, "refused")
    assert client.post(f"{here}/release").json()["held"] is False
    assert client.request("DELETE", here, json={"confirm": "carts"}).status_code == 200


def test_two_restores_at_once_are_one(client, artifacts, database):
    here = f"/api/artifacts/{artifacts['column']}/restore"
    with locked(database):
        started = client.post(here, json={"confirm": "code"})
        assert started.status_code == 202
        refused(client.post(here, json={"confirm": "code"}), 423, "locked")
    assert wait_for_job(client, started.json()["job"]["id"])["state"] == "done"


def test_a_changed_archive_is_not_restored(client, artifacts, database):
    here = f"/api/artifacts/{artifacts['column']}"
    place = client.get(here).json()
    table = f"{place['physical_schema']}.{place['physical_name']}"
    database.psql(f"ALTER TABLE {table} DISABLE TRIGGER ALL; UPDATE {table} SET code = 'x'")
    verified = wait_for_job(client, client.post(f"{here}/verify").json()["job"]["id"])
    assert verified["result"]["matches"] is False
    assert client.get(here).json()["health"] == "changed"
    job = client.post(f"{here}/restore", json={"confirm": "code"})
    if job.status_code == 202:
        job_error = wait_for_job(client, job.json()["job"]["id"])["error"]
        assert job_error["code"] == "refused"
    else:
        refused(job, 409, "refused")


# ------------------------------------------------------------------------------------------ working


def test_restores_under_a_job(client, artifacts, database):
    here = f"/api/artifacts/{artifacts['column']}"
    plan = client.get(here).json()["plan"]
    wrong = client.post(f"{here}/restore", json={"confirm": "code", "digest": "0" * 64})
    if wrong.status_code == 202:
        assert wait_for_job(client, wrong.json()["job"]["id"])["state"] == "failed"
    job = client.post(f"{here}/restore", json={"confirm": "code", "digest": plan["digest"]})
    ended = wait_for_job(client, job.json()["job"]["id"])
    assert ended["state"] == "done", ended
    assert client.get(here).json()["status"] == "restored"
    assert database.psql("SELECT code FROM orders WHERE id = 5") == "C-5"


def test_follows_a_job_by_events(client, artifacts):
    started = client.post(f"/api/artifacts/{artifacts['column']}/verify").json()["job"]["id"]
    names, last = [], {}
    with client.stream("GET", f"/api/jobs/{started}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        for line in stream.iter_lines():
            if line.startswith("event:"):
                names.append(line.split(": ")[1])
            if line.startswith("data:"):
                last = json.loads(line[5:])
    assert names[-1] == "done"
    assert set(names[:-1]) <= {"progress"}
    assert last["result"]["matches"] is True


def test_a_job_whose_artifact_went_first_ends_with_why(client, artifacts, studio, monkeypatch):
    verify = seal.verify

    async def verify_too_late(db, artifact_id, actor, **words):
        await purge(db, artifact_id, Actor("bob"), confirm=None, confirmed=True)
        return await verify(db, artifact_id, actor, **words)

    monkeypatch.setattr(seal, "verify", verify_too_late)
    job = client.post(f"/api/artifacts/{artifacts['table']}/verify").json()["job"]
    ended = wait_for_job(client, job["id"])
    assert (ended["state"], ended["error"]["code"]) == ("refused", "not_found")


def test_exports_what_the_seal_says(client, artifacts):
    here = f"/api/artifacts/{artifacts['column']}"
    seal = client.get(here).json()["checksum"]
    announced = client.post(f"{here}/exports", json={"format": "csv"})
    assert announced.status_code == 202
    export = announced.json()["job"]["id"]
    answer = client.get(f"/api/exports/{export}/content")
    assert hashlib.sha256(answer.content).hexdigest() == seal
    assert ".csv" in answer.headers["content-disposition"]
    record = client.get(f"/api/exports/{export}").json()["job"]
    assert record["result"]["equals_seal"] is True
    assert record["result"]["checksum"] == seal
    assert record["result"]["row_count"] == 500
    refused(client.get(f"/api/exports/{export}/content"), 409, "refused")


def test_exports_at_once(client, artifacts):
    here = f"/api/artifacts/{artifacts['column']}/export"
    answer = client.get(here, params={"format": "jsonl", "compress": "gzip"})
    assert (
        client.get(f"/api/exports/{answer.headers['zanith-export-id']}").json()["job"]["state"]
        == "done"
    )
    lines = gzip.decompress(answer.content).decode().splitlines()
    assert json.loads(lines[2]) == {"id": 3, "code": "C-3"}


def test_a_client_that_leaves_ends_the_copy(client, database, studio):
    database.psql(
        "CREATE TABLE big (id int PRIMARY KEY, t text);"
        "INSERT INTO big SELECT n, repeat('x', 1000) FROM generate_series(1, 100000) AS n;"
    )
    artifact = database.psql("SELECT zanith.archive_table('public.big', notify => false)")
    with client.stream("GET", f"/api/artifacts/{artifact}/export") as answer:
        next(answer.iter_bytes())
        export = answer.headers["zanith-export-id"]
    left = time.monotonic()
    running = """SELECT count(*) FROM pg_stat_activity
        WHERE query LIKE 'COPY%' AND state = 'active' AND application_name LIKE 'zanith%'"""
    wait_until(lambda: database.psql(running) == "0")
    assert time.monotonic() - left < 5  # the whole copy would be done, and the job with it
    assert wait_for_job(client, export)["state"] in {"cancelled", "failed"}
    entries = database.psql(
        "SELECT outcome, detail ->> 'job' FROM zanith._zanith_audit_log WHERE action = 'export'"
    )
    assert entries == f"cancelled|{export}"


def test_cleans_up_after_a_dry_run(client, artifacts, database):
    database.psql(
        "UPDATE zanith._zanith_migration_artifacts SET created_at = now() - interval '9d'"
    )
    kept = client.post("/api/cleanup", json={"older_than": "7d"}).json()
    assert kept["count"] == 0
    assert all("its expiry date" in found["skip"] for found in kept["candidates"])
    asked = {"older_than": "7d", "before_expiry": True}
    dry = client.post("/api/cleanup", json=asked).json()
    assert dry["count"] == 3
    refused(client.post("/api/cleanup", json={**asked, "dry_run": False}), 409, "refused")
    started = client.post("/api/cleanup", json={**asked, "dry_run": False, "confirm": 3})
    assert started.status_code == 202
    ended = wait_for_job(client, started.json()["job"]["id"])
    assert [result["outcome"] for result in ended["result"]["results"]] == ["purged"] * 3
    assert client.get("/api/artifacts").json()["total"] == 0


# -------------------------------------------------------------------------------------- who gets in


def test_tokens_and_roles(guarded, artifacts):
    here = f"/api/artifacts/{artifacts['table']}"
    with guarded.client() as nobody:
        answer = nobody.get("/api/artifacts")
        refused(answer, 401, "not_authenticated")
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert nobody.get("/healthz").status_code == 200
        refused(nobody.get("/metrics"), 401, "not_authenticated")
    with guarded.client(VIEWER) as viewer:
        assert viewer.get(here).status_code == 200
        refused(viewer.post(f"{here}/hold"), 403, "not_permitted")
        refused(viewer.post(f"{here}/seal"), 403, "not_permitted")
        refused(viewer.post(f"{here}/restore", json={"confirm": "carts"}), 403, "not_permitted")
        refused(viewer.request("DELETE", here, json={"confirm": "carts"}), 403, "not_permitted")
        assert viewer.get(f"{here}/export").status_code == 200
    with guarded.client(STAFF) as staff:
        assert staff.post(f"{here}/hold").json()["held"] is True


def test_wrong_tokens_are_limited(guarded):
    with guarded.client("guess") as client:
        for _ in range(5):
            refused(client.get("/api/artifacts"), 401, "not_authenticated")
        answer = client.get("/api/artifacts")
        refused(answer, 429, "too_many_attempts")
        assert answer.headers["retry-after"]
    with guarded.client(STAFF) as staff:  # from the same address, while that is throttled
        assert staff.get("/api/artifacts").status_code == 200
    with sign_in(guarded, STAFF) as browser:
        assert browser.get("/studio").status_code == 200
    with guarded.client("guess") as client:
        refused(client.get("/api/artifacts"), 429, "too_many_attempts")


def test_signs_in_with_a_form(guarded, database):
    with httpx.Client(base_url=guarded.url, headers={"Origin": guarded.url}) as browser:
        away = browser.get("/studio")
        assert away.status_code == 303
        assert away.headers["location"] == "/studio/login?next=%2Fstudio"
        token = form_token(browser.get("/studio/login").text)
        wrong = browser.post("/studio/login", data={"token": "guess", "form_token": token})
        assert wrong.status_code == 401
        right = browser.post("/studio/login", data={"token": STAFF, "form_token": token})
        assert right.status_code == 303
        cookie = next(v for v in right.headers.get_list("set-cookie") if "zanith_session" in v)
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert STAFF not in cookie
        assert "ana" in browser.get("/studio").text
        value = cookie.split("=", 1)[1].split(";")[0]
        other = "AA" if value.endswith("00") else "00"
        forged = {"Cookie": f"zanith_session={value[:-2]}{other}"}
        assert httpx.get(f"{guarded.url}/studio", headers=forged).status_code == 303
    logged = (
        "SELECT outcome, actor FROM zanith._zanith_audit_log WHERE action = 'login' ORDER BY id"
    )
    assert database.psql(logged).splitlines() == ["refused|unknown", "done|ana"]


def test_foreign_requests_are_turned_away(studio, artifacts):
    here = f"{studio.url}/api/artifacts/{artifacts['table']}/hold"
    evil = "http://evil.example"
    refused(
        httpx.get(studio.url + "/studio", headers={"Host": "evil.example"}), 403, "not_permitted"
    )
    refused(httpx.post(here, headers={"Origin": evil}), 403, "not_permitted")
    refused(httpx.post(here, headers={"Origin": "null"}), 403, "not_permitted")
    refused(httpx.post(here, headers={"Sec-Fetch-Site": "cross-site"}), 403, "not_permitted")
    export = f"{studio.url}/api/artifacts/{artifacts['table']}/export"
    refused(httpx.get(export, headers={"Sec-Fetch-Site": "cross-site"}), 403, "not_permitted")
    page = f"{studio.url}/studio/artifacts/{artifacts['table']}/hold"
    answer = httpx.post(page, headers={"Origin": studio.url}, data={"reason": "no form token"})
    assert answer.status_code == 403
    assert "out of date" in answer.text
    assert httpx.post(here).json()["held"] is True


def test_every_answer_is_guarded(client):
    for path in ("/studio", "/api/artifacts", "/static/studio.css", "/nowhere"):
        headers = client.get(path).headers
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"
