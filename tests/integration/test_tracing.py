"""Every request has an id, a line in the log, and its place in the figures; no secret has one."""

from __future__ import annotations

import json
import re
import signal
import time

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.recovery.artifacts import listing
from tests.studios import (
    capture_orders,
    form_token,
    run_command,
    run_studio,
    sign_in,
    wait_for_job,
    wait_for_seals,
    wait_until,
)

pytestmark = pytest.mark.newest

TOKENS = {"auth_token": "ana:s3cret-token-of-staff"}
BEARER = {"Authorization": "Bearer s3cret-token-of-staff"}


@pytest.fixture
def artifacts(database):
    return capture_orders(database)


def test_every_answer_has_an_id(database, artifacts):
    with run_studio(database.tcp_url, **TOKENS) as studio:
        seen = set()
        for path, headers in (
            ("/healthz", {}),
            ("/studio", {}),
            ("/static/studio.css", {}),
            ("/nowhere", {}),
            ("/api/artifacts?search=%00", {}),
            ("/healthz", {"Host": "evil.example"}),
            ("/healthz", {"X-Request-Id": "mine"}),
        ):
            given = httpx.get(studio.url + path, headers=headers).headers["x-request-id"]
            assert re.fullmatch("[0-9a-f]{16}", given)
            seen.add(given)
        assert len(seen) == 7


def test_a_trusted_proxy_names_the_request(database, artifacts):
    with run_studio(database.tcp_url, **TOKENS, trusted_proxies="127.0.0.1") as studio:
        for given, kept in (("a.B-c_9", True), ("x" * 65, False), ("a b", False), ("", False)):
            answer = httpx.get(f"{studio.url}/healthz", headers={"X-Request-Id": given})
            assert (answer.headers["x-request-id"] == given) is kept


def test_a_fault_names_the_request(database, artifacts, monkeypatch, caplog):
    async def broken(*_: object) -> None:
        raise RuntimeError("deep inside")

    monkeypatch.setattr(listing, "list_artifacts", broken)
    with run_studio(database.tcp_url) as studio:
        answer = httpx.get(f"{studio.url}/api/artifacts")
        number = answer.headers["x-request-id"]
        assert answer.status_code == 500
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.json()["error"]["detail"] == f"request {number}"
        assert "deep inside" not in answer.text
        page = httpx.get(f"{studio.url}/studio")
        assert page.status_code == 500
        assert f"request {page.headers['x-request-id']}" in page.text
        assert "default-src" in page.headers["content-security-policy"]
    assert "deep inside" in caplog.text


def lines(command) -> list[dict]:
    return [json.loads(line) for line in command.output.read_text().splitlines() if line[:1] == "{"]


def test_logs_are_json_and_hold_no_secret(database, artifacts, tmp_path):
    tokens = tmp_path / "staff"
    tokens.write_text("ana:s3cret-token-of-staff\nbob:the-s3cret-of-bob\n")
    with run_command(
        database.tcp_url,
        tmp_path,
        ZANITH_AUTH_TOKEN_FILE=str(tokens),
        ZANITH_LOG_FORMAT="json",
        ZANITH_AUDIT_LOG=str(tmp_path / "audit.ndjson"),
    ) as command:
        with sign_in(command, "s3cret-token-of-staff") as browser:
            cookies = list(browser.cookies.values())
            page = browser.get(
                f"/studio/artifacts/{artifacts['table']}?token=s3cret-token-of-staff"
            )
            form = form_token(page.text)
            browser.post(f"/studio/artifacts/{artifacts['table']}/hold", data={"form_token": form})
        with command.client("the-s3cret-of-bob") as client:
            job = client.post(f"/api/artifacts/{artifacts['column']}/verify").json()["job"]["id"]
            wait_for_job(client, job)
            got = client.get("/api/artifacts")
            tokens.write_text("ana:s3cret-token-of-staff\nbob the-s3cret-of-bob\n")
            assert client.get("/api/artifacts").status_code == 200
        httpx.get(
            f"{command.url}/api/artifacts",
            headers={"Authorization": "Bearer s3cret-token-of-nobody"},
        )
        wait_until(lambda: any("a wrong token" in line["message"] for line in lines(command)))
        number = got.headers["x-request-id"]
        [line] = [line for line in lines(command) if line["request_id"] == number]
        assert line["logger"] == "zanith.access"
        assert line["level"] == "info"
        assert {k: line[k] for k in ("method", "path", "status", "actor", "address")} == {
            "method": "GET",
            "path": "/api/artifacts",
            "status": 200,
            "actor": "bob",
            "address": "127.0.0.1",
        }
        assert line["milliseconds"] > 0
        assert re.fullmatch(r"\d{4}-.*T.*\+00:00", line["time"])
        wrong = [line for line in lines(command) if "a wrong token" in line["message"]]
        assert wrong[0]["request_id"]
        assert any("the tokens stay as they were" in line["message"] for line in lines(command))
        # SIGHUP reads the files again, and ends nothing.
        tokens.write_text("eve:the-s3cret-of-eve")
        command.process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        assert httpx.get(f"{command.url}/api/artifacts", headers=BEARER).status_code == 401
    said = command.output.read_text()
    assert command.process.returncode == 0
    for secret in ("s3cret", form, *cookies):
        assert secret not in said


def test_a_job_s_records_name_its_request(database, artifacts, tmp_path):
    """What goes wrong in a job long after its request is told by that request's id."""
    table = database.psql(
        "SELECT physical_schema || '.' || physical_table FROM zanith._zanith_migration_artifacts"
        f" WHERE id = '{artifacts['column']}'"
    ).strip()
    with run_command(database.tcp_url, tmp_path) as command, command.client() as client:
        wait_for_seals(database)
        database.psql(f"ALTER TABLE {table} DISABLE TRIGGER ALL; UPDATE {table} SET code = 'x'")
        started = client.post(
            f"/api/artifacts/{artifacts['column']}/restore", json={"confirm": "code"}
        )
        ended = wait_for_job(client, started.json()["job"]["id"])
        assert ended["state"] == "refused"
        number = started.headers["x-request-id"]
        wait_until(lambda: f"(request {number})" in command.output.read_text())
        assert "warning: restore of" in command.output.read_text()


# ---------------------------------------------------------------------------------------- figures


def figures(client: httpx.Client) -> dict[str, float]:
    """Return each figure by its name and labels; the names must be Prometheus' own."""
    found = {}
    for family in text_string_to_metric_families(client.get("/metrics").raise_for_status().text):
        assert family.documentation
        for sample in family.samples:
            labels = ",".join(f"{k}={v}" for k, v in sorted(sample.labels.items()))
            assert (sample.name, labels) not in found
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


def test_figures(database, artifacts):
    with (
        run_studio(database.tcp_url, **TOKENS) as studio,
        studio.client("s3cret-token-of-staff") as client,
    ):
        wait_for_seals(database)
        before = figures(client)
        assert before["zanith_artifacts_by_state{status=recoverable,type=archive_column}"] == 2
        assert before["zanith_artifacts_by_state{status=recoverable,type=archive_table}"] == 1
        assert before["zanith_artifacts_by_health{health=ok}"] == 3
        assert before["zanith_artifacts_by_health{health=unsealed}"] == 0
        assert before["zanith_oldest_unsealed_seconds"] == 0
        assert any(name.startswith("zanith_build_info{version=") for name in before)
        assert before["process_start_time_seconds"] > 0

        answer = client.get(f"/api/artifacts/{artifacts['column']}/export")
        job = answer.headers["zanith-export-id"]
        waits = client.post(f"/api/artifacts/{artifacts['column']}/exports").json()["job"]["id"]
        assert client.get(f"/api/jobs/{job}").json()["job"]["state"] == "done"
        assert client.get("/api/artifacts/none").status_code == 404
        database.psql(
            "UPDATE zanith._zanith_migration_artifacts SET sealed_at = NULL, checksum = NULL,"
            f" created_at = now() - interval '1 hour' WHERE id = '{artifacts['table']}';"
            "UPDATE zanith._zanith_migration_artifacts SET expires_at = now() - interval '1 hour'"
            f" WHERE id = '{artifacts['column']}'"
        )
        # On a busy machine totals are slow, and remembered for a while.
        wait_until(lambda: figures(client)["zanith_artifacts_by_health{health=expired}"] == 1)
        wait_until(lambda: figures(client)["zanith_oldest_unsealed_seconds"] > 0)
        after = figures(client)
        assert after["zanith_exports_total{format=csv,outcome=done}"] == 1
        assert after["zanith_exported_bytes_total"] == len(answer.content)
        assert after["zanith_refusals_total{code=not_found}"] == 1
        assert after["zanith_http_requests_total{status=4xx}"] == 1
        more = "zanith_http_requests_total{status=2xx}"
        assert after[more] >= before.get(more, 0) + 3
        assert after["zanith_jobs{kind=export,state=queued}"] == 1
        assert after["zanith_artifacts_by_health{health=expired}"] == 1
        assert after["zanith_artifacts_by_health{health=unsealed}"] == 1
        assert 3600 <= after["zanith_oldest_unsealed_seconds"] < 3700
        client.post(f"/api/jobs/{waits}/cancel")


def test_figures_are_quick_with_many_artifacts(database, artifacts):
    """All rows cost one pass, and at most a twentieth of the time."""
    database.psql(
        f"""SET session_replication_role = replica;
        INSERT INTO zanith._zanith_migration_artifacts OVERRIDING SYSTEM VALUE
        SELECT (jsonb_populate_record(a, jsonb_build_object(
            'id', 'copy' || lpad(n::text, 8, '0'), 'capture_order', 1000000 + n,
            'artifact_type', 'rebuild_table',
            'physical_table', NULL, 'physical_schema', NULL, 'physical_column', NULL))).*
        FROM zanith._zanith_migration_artifacts AS a, generate_series(1, 20000) AS n
        WHERE a.id = '{artifacts["table"]}';
        ANALYZE zanith._zanith_migration_artifacts"""
    )
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        began = time.monotonic()
        found = figures(client)
        took = time.monotonic() - began
        assert found["zanith_artifacts_by_state{status=recoverable,type=rebuild_table}"] == 20_000
        assert took < 5
        began = time.monotonic()
        for _ in range(5):
            figures(client)
        assert time.monotonic() - began < 5
