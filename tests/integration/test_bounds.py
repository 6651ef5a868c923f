"""No request costs more than it may."""

from __future__ import annotations

import json
import socket
import time
from contextlib import ExitStack
from urllib.parse import urlsplit

import httpx
import pytest

from app.routes.middleware import bounds
from app.routes.middleware.bounds import Bounds
from app.server.serving import CONNECTIONS
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


@pytest.fixture
def artifacts(database):
    return capture_orders(database)


@pytest.fixture
def studio(database, artifacts):
    with run_studio(database.tcp_url) as running:
        wait_for_seals(database)
        yield running


def raw(studio, request: bytes, *, wait: float = 20) -> bytes:
    """Send bytes as they are and return all that comes back."""
    place = urlsplit(studio.url)
    with socket.create_connection((place.hostname, place.port), timeout=wait) as connection:
        connection.sendall(request)
        answer = b""
        while part := connection.recv(65536):
            answer += part
    return answer


def refused(answer: bytes | httpx.Response, status: int, code: str) -> None:
    if isinstance(answer, httpx.Response):
        assert answer.status_code == status, answer.text
        body = answer.json()
    else:
        head, _, rest = answer.partition(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode()), head
        assert b"nosniff" in head
        body = json.loads(rest)
    assert set(body["error"]) == {"code", "message", "detail", "hint", "sqlstate"}
    assert body["error"]["code"] == code


def test_a_large_body_is_refused_before_it_comes(studio):
    head = b"POST /api/cleanup HTTP/1.1\r\nHost: localhost\r\n"
    refused(raw(studio, head + b"Content-Length: 1048577\r\n\r\n"), 413, "too_large")
    chunked = b"Transfer-Encoding: chunked\r\n\r\n" + b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    more = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    refused(raw(studio, head + chunked + more * 16), 413, "too_large")
    fits = httpx.post(f"{studio.url}/api/cleanup", content=b" " * 1_048_576)
    assert fits.status_code == 422


def test_a_large_form_is_a_page(studio):
    answer = httpx.post(f"{studio.url}/studio/theme", data={"back": "x" * 1_100_000})
    assert answer.status_code == 413
    assert "too large" in answer.text
    assert "<html" in answer.text


def test_a_form_has_few_fields(studio, artifacts):
    here = f"{studio.url}/api/artifacts/{artifacts['table']}/hold"
    refused(httpx.post(here, data={f"f{n}": "x" for n in range(65)}), 413, "too_large")
    refused(httpx.post(here, files={"file": b"x"}), 415, "wrong_kind")
    with httpx.Client(base_url=studio.url, headers={"Origin": studio.url}) as browser:
        token = form_token(browser.get("/studio").text)
        ticked = {"form_token": token, "expired": "yes", "confirm": "1"}
        answer = browser.post(
            "/studio/cleanup", data=ticked | {"id": [f"none{n}" for n in range(500)]}
        )
        assert answer.status_code == 409
        assert "500 artifacts are selected" in answer.text


def test_a_head_is_bounded(studio):
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: "
    assert raw(studio, head + b"x" * 40_000).startswith(b"HTTP/1.1 400 ")


def test_a_body_that_does_not_come_is_cut(database, artifacts, monkeypatch):
    monkeypatch.setattr(Bounds.__init__, "__kwdefaults__", {
        **Bounds.__init__.__kwdefaults__, "body_seconds": 0.5,
    })  # fmt: skip
    with run_studio(database.tcp_url) as studio:
        began = time.monotonic()
        answer = raw(
            studio,
            b"POST /api/cleanup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{",
        )
        assert time.monotonic() - began < 5
        refused(answer, 408, "too_slow")


@pytest.mark.parametrize(
    "path",
    [
        "/api/artifacts?search=a%00b",
        "/api/artifacts/a%00b",
        "/api/jobs/%00",
        "/api/artifacts?type=%00",
        "/api/artifacts?a%00b=1",
    ],
)
def test_nul_is_no_text(studio, path):
    refused(httpx.get(studio.url + path), 400, "malformed")


def test_nul_in_a_form(studio, artifacts):
    with httpx.Client(base_url=studio.url, headers={"Origin": studio.url}) as browser:
        token = form_token(browser.get("/studio").text)
        here = f"/studio/artifacts/{artifacts['table']}/hold"
        answer = browser.post(here, data={"form_token": token, "reason": "a\0b"})
        assert answer.status_code == 400
        assert browser.get(f"/studio/artifacts/{artifacts['table']}%00").status_code == 400


def test_an_address_is_bounded(studio):
    refused(httpx.get(f"{studio.url}/api/artifacts?search={'x' * 9000}"), 414, "too_long")
    page = httpx.get(f"{studio.url}/studio?search={'x' * 9000}")
    assert page.status_code == 414
    assert "<html" in page.text


@pytest.mark.parametrize(
    ("path", "statuses"),
    [
        ("/api/artifacts?search=%ff%fe", {200}),
        ("/api/artifacts?search=%ed%a0%80", {200}),
        ("/api/artifacts/%ff", {404}),
        ("/api/artifacts?after=%ff", {400}),
        ("/api/jobs?after=%e2%98%83", {404}),
        ("/studio/activity?before=99999999999999999999", {422}),
        ("/studio/activity?since=0000", {400}),
    ],
)
def test_odd_addresses_are_no_fault(studio, path, statuses):
    assert httpx.get(studio.url + path).status_code in statuses


def test_json_that_is_too_deep_is_no_fault(studio):
    deep = b"[" * 200_000
    answer = httpx.post(
        f"{studio.url}/api/cleanup", content=deep, headers={"Content-Type": "application/json"}
    )
    assert answer.status_code in {400, 422}


def test_connections_are_bounded(database, artifacts, tmp_path):
    with run_command(database.tcp_url, tmp_path) as studio, ExitStack() as opened:
        place = urlsplit(studio.url)
        for _ in range(bounds.CONNECTIONS):
            opened.enter_context(socket.create_connection((place.hostname, place.port)))
        refused(httpx.get(f"{studio.url}/api/artifacts"), 503, "crowded")
        page = httpx.get(f"{studio.url}/studio")
        assert page.status_code == 503
        assert page.headers["retry-after"]
        assert "Too many connections to the studio are open." in page.text
        assert httpx.get(f"{studio.url}/healthz").status_code == 200
        for _ in range(CONNECTIONS - bounds.CONNECTIONS):
            opened.enter_context(socket.create_connection((place.hostname, place.port)))
        assert httpx.get(f"{studio.url}/healthz").status_code == 503
        opened.close()
        wait_until(lambda: httpx.get(f"{studio.url}/api/artifacts").status_code == 200)
        assert "Traceback" not in studio.output.read_text()


def test_all_event_streams_are_bounded(database, artifacts, tmp_path):
    env = {
        "ZANITH_AUTH_TOKEN": "ana:the-s3cret-of-ana",
        "ZANITH_TRUSTED_PROXIES": "127.0.0.1",
        "ZANITH_LOCK_RETRIES": "60",  # the restore waits until all streams are open
    }
    each = 50
    with (
        run_command(database.tcp_url, tmp_path, **env) as studio,
        locked(database),
        studio.client("the-s3cret-of-ana") as client,
        httpx.Client(limits=httpx.Limits(max_connections=None), timeout=60) as many,
        ExitStack() as streams,
    ):
        restore = f"/api/artifacts/{artifacts['column']}/restore"
        job = client.post(restore, json={"confirm": "code"}).json()["job"]["id"]
        there = f"{studio.url}/api/jobs/{job}/events"

        def opens(address: str) -> httpx.Response:
            said = {"Authorization": "Bearer the-s3cret-of-ana", "X-Forwarded-For": address}
            return streams.enter_context(many.stream("GET", there, headers=said))

        for number in range(bounds.STREAMS):
            assert opens(f"203.0.113.{number // each}").status_code == 200
        late = opens("203.0.113.99")  # who has none open yet
        late.read()
        refused(late, 429, "too_many_streams")
        assert late.headers["retry-after"]
        assert client.get(f"/api/jobs/{job}").status_code == 200
        streams.close()
        wait_until(lambda: opens("203.0.113.99").status_code == 200)
        client.post(f"/api/jobs/{job}/cancel").raise_for_status()
        assert wait_for_job(client, job)["state"] == "cancelled"


def test_event_streams_are_bounded(studio, artifacts, database):
    with locked(database), studio.client() as client, ExitStack() as streams:
        restore = f"/api/artifacts/{artifacts['column']}/restore"
        job = client.post(restore, json={"confirm": "code"}).json()["job"]["id"]
        there = f"/api/jobs/{job}/events"
        for _ in range(bounds.STREAMS_OF_ONE):
            opened = streams.enter_context(client.stream("GET", there))
            assert opened.status_code == 200
        answer = client.get(there)
        refused(answer, 429, "too_many_streams")
        assert answer.headers["retry-after"]
        assert client.get(f"/api/jobs/{job}").status_code == 200
        streams.close()
        again = []

        def opens() -> bool:
            with client.stream("GET", there) as one:
                again.append(one.status_code)
            return again[-1] == 200

        wait_until(opens)
