"""A session ends when somebody signs out, and a stream ends with the rights to it."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from tests.studios import (
    Running,
    capture_orders,
    form_token,
    run_studio,
    sign_in,
    wait_until,
)

pytestmark = pytest.mark.newest

TOKENS = {"auth_token": "bob:the-secret-of-bob", "read_only_auth_token": "vic:the-secret-of-vic"}
ANA = "the-secret-of-ana"
SOON = 6.0
"""Seconds within which a stream ends."""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "staff"
    path.write_text(f"ana:{ANA}")
    return path


@pytest.fixture
def studio(database, file) -> Iterator[Running]:
    capture_orders(database)
    with run_studio(database.tcp_url, auth_token_file=file, **TOKENS) as running:
        yield running


def sign_out(browser: httpx.Client) -> None:
    page = browser.get("/studio")
    answer = browser.post("/studio/logout", data={"form_token": form_token(page.text)})
    assert (answer.status_code, answer.headers["location"]) == (303, "/studio/login")


def let_in(studio: Running, cookies: dict[str, str]) -> bool:
    """Whether a browser with those cookies sees pages; what is not let in is led to the sign-in."""
    return httpx.get(f"{studio.url}/studio", cookies=cookies).status_code == 200


def test_a_sign_out_ends_the_session_for_a_copy_of_its_cookie(studio, database):
    with sign_in(studio, ANA) as browser, sign_in(studio, ANA) as other:
        cookies = dict(browser.cookies)
        assert let_in(studio, cookies)
        sign_out(browser)
        assert not let_in(studio, cookies)
        api = httpx.get(f"{studio.url}/api/artifacts", cookies=cookies)
        assert api.status_code == 401
        assert let_in(studio, dict(other.cookies))  # a session of its own, of the same token
    logged = "SELECT actor, outcome FROM zanith._zanith_audit_log WHERE action = 'logout'"
    assert database.psql(logged) == "ana|done"


def test_a_sign_out_outlives_a_restart_and_holds_on_other_studios(studio, database, file):
    settings = {"auth_token_file": file, **TOKENS}
    with run_studio(database.tcp_url, **settings) as other, sign_in(studio, ANA) as browser:
        cookies = dict(browser.cookies)
        assert let_in(other, cookies)
        sign_out(browser)
        wait_until(lambda: not let_in(other, cookies))
    with run_studio(database.tcp_url, **settings) as fresh:
        assert not let_in(fresh, cookies)
    kept = database.psql("SELECT string_agg(id, ',') FROM zanith._zanith_ended_sessions")
    assert cookies["zanith_session"] not in kept
    assert len(kept) == 64


def test_a_new_sign_in_ends_the_session_that_the_browser_had(studio):
    with sign_in(studio, ANA) as browser:
        first = dict(browser.cookies)
        given = form_token(browser.get("/studio/login").text)
        browser.post("/studio/login", data={"token": ANA, "form_token": given})
        assert let_in(studio, dict(browser.cookies))
        assert not let_in(studio, first)


def ends_soon(lines: Iterator[str]) -> bool:
    began = time.monotonic()
    for _ in lines:
        assert time.monotonic() - began < SOON, "it goes on"
    return time.monotonic() - began < SOON


@pytest.mark.parametrize("how", ["token", "session"])
def test_the_events_of_all_end_with_the_rights(studio, file, how):
    with (
        sign_in(studio, ANA) as browser,
        httpx.Client(base_url=studio.url, timeout=SOON) as client,
    ):
        if how == "token":
            client.headers["Authorization"] = f"Bearer {ANA}"
        else:
            client.cookies = browser.cookies
        with client.stream("GET", "/api/events") as answer:
            assert answer.status_code == 200
            lines = answer.iter_lines()
            assert next(lines)  # it is open, and hears something
            if how == "token":
                file.write_text("eve:the-secret-of-eve")
            else:
                sign_out(browser)
            assert ends_soon(lines)
        assert client.get("/api/artifacts").status_code == 401


@pytest.fixture
def many(database) -> str:
    """An artifact whose export does not fit into any buffer."""
    return database.psql("""
        CREATE TABLE public.many (id integer PRIMARY KEY, words text);
        ALTER TABLE public.many ALTER words SET STORAGE EXTERNAL;
        INSERT INTO public.many SELECT n, repeat(md5(n::text), 400) FROM generate_series(1, 6000) n;
        SELECT zanith.archive_table('public.many')""")


@pytest.mark.parametrize("how", ["token", "session"])
def test_an_export_under_way_is_cut_off(many, studio, file, database, how):
    with (
        sign_in(studio, ANA) as browser,
        httpx.Client(base_url=studio.url, timeout=20) as client,
    ):
        if how == "token":
            client.headers["Authorization"] = f"Bearer {ANA}"
        else:
            client.cookies = browser.cookies
        with client.stream("GET", f"/api/artifacts/{many}/export") as answer:
            chunks = answer.iter_raw(65536)
            got = len(next(chunks))
            if how == "token":
                file.write_text("eve:the-secret-of-eve")
            else:
                sign_out(browser)
            time.sleep(2.5)
            rest: list[bytes] = []
            with pytest.raises(httpx.RemoteProtocolError):
                rest.extend(chunks)
            got += sum(map(len, rest))
        assert got < 6000 * 400 * 32
    state = (
        f"SELECT state FROM zanith._zanith_jobs WHERE kind = 'export' AND artifact_id = '{many}'"
    )
    wait_until(lambda: database.psql(state) in {"cancelled", "interrupted", "failed"})


def test_the_log_that_is_downloaded_is_cut_off(studio, file, database):
    database.psql("""INSERT INTO zanith._zanith_audit_log (actor, action, outcome, detail)
        SELECT 'ana', 'login', 'done', jsonb_build_object('words', repeat(md5(n::text), 300))
        FROM generate_series(1, 8000) AS n""")
    with (
        studio.client(ANA) as client,
        client.stream("GET", "/studio/activity/download") as answer,
    ):
        chunks = answer.iter_raw(65536)
        next(chunks)
        file.write_text("eve:the-secret-of-eve")
        time.sleep(2.5)
        with pytest.raises(httpx.RemoteProtocolError):
            list(chunks)


def test_who_stays_keeps_the_stream(studio, file, many):
    with studio.client("the-secret-of-bob") as client:
        file.write_text("eve:the-secret-of-eve")
        with client.stream("GET", f"/api/artifacts/{many}/export") as answer:
            time.sleep(2.5)
            assert sum(len(chunk) for chunk in answer.iter_raw()) > 6000 * 400 * 32


def test_nothing_is_told_without_a_token(studio, database):
    for method, path in (
        ("GET", "/api/openapi.json"),
        ("HEAD", "/api/openapi.json"),
        ("OPTIONS", "/api/openapi.json"),
        ("GET", "/metrics"),
        ("GET", "/api/events"),
    ):
        answer = httpx.request(method, f"{studio.url}{path}")
        assert answer.status_code in {401, 405}, (method, path)
    with studio.client("the-secret-of-vic") as viewer:
        assert viewer.get("/api/openapi.json").json()["paths"]

    database.psql("ALTER SCHEMA zanith RENAME TO gone")
    try:
        ready = httpx.get(f"{studio.url}/readyz")
        assert (ready.status_code, ready.json()["error"]["code"]) == (503, "not_ready")
        assert database.name not in ready.text
        with studio.client("the-secret-of-vic") as viewer:
            assert database.name in viewer.get("/readyz").text
    finally:
        database.psql("ALTER SCHEMA gone RENAME TO zanith")


def test_no_answer_is_kept_by_a_browser(studio):
    with sign_in(studio, ANA) as browser:
        for path in ("/studio", "/api/artifacts", "/api/openapi.json", "/studio/activity/download"):
            assert browser.get(path).headers["cache-control"] == "no-store", path
