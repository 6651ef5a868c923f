"""A sign-in that ends in the middle of a form loses nothing but the click."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.studios import capture_orders, form_token, run_studio, sign_in

pytestmark = pytest.mark.newest

WORDS = "Your session ended before this form was sent. Nothing was changed."


@pytest.fixture
def artifacts(database):
    return capture_orders(database)


@pytest.fixture
def tokens(tmp_path):
    file = tmp_path / "staff"
    file.write_text("ana:the-s3cret-of-ana\nbob:the-s3cret-of-bob")
    return file


@pytest.fixture(params=["", "/zanith"], ids=["at the root", "below a path"])
def studio(request, database, artifacts, tokens):
    with run_studio(database.tcp_url, auth_token_file=tokens, root_path=request.param) as running:
        yield running, request.param


def arrive(browser: httpx.Client, prefix: str, answer: httpx.Response, page: str) -> None:
    """Follow to the sign-in, which must say what happened; sign in; come back to a page."""
    target = answer.headers.get("hx-redirect") or answer.headers["location"]
    assert target.startswith(f"{prefix}/studio/login?")
    door = browser.get(target)
    assert WORDS in door.text
    back = door.text.split('name="next" value="', 1)[1].split('"', 1)[0].replace("&amp;", "&")
    data = {"token": "the-s3cret-of-bob", "form_token": form_token(door.text), "next": back}
    entered = browser.post(f"{prefix}/studio/login", data=data)
    assert entered.headers["location"] == f"{prefix}{page}"
    assert browser.get(entered.headers["location"]).status_code == 200


@pytest.mark.parametrize("asks", ["page", "htmx"])
def test_a_form_that_came_too_late(studio, artifacts, database, tokens, asks):
    running, prefix = studio
    here = f"/studio/artifacts/{artifacts['table']}"
    for form, page, query in (
        ("/restore", "/restore", "?not_valid=yes&fill=a%26b"),
        ("/restore/rehearse", "/restore", "?as=other"),
        ("/hold", "", ""),
        ("/purge", "/purge", ""),
        ("/seal", "", ""),
    ):
        for tells in (True, False):
            tokens.write_text("ana:the-s3cret-of-ana\nbob:the-s3cret-of-bob")
            with sign_in(running, "the-s3cret-of-ana", prefix) as browser:
                whole = browser.get(f"{prefix}{here}{page}{query}")
                assert whole.status_code == 200
                tokens.write_text("bob:the-s3cret-of-bob")
                address = f"{running.url}{prefix}{here}{page}{query}"
                headers = {"HX-Request": "true"} if asks == "htmx" else {}
                if tells:
                    headers["HX-Current-URL" if asks == "htmx" else "Referer"] = address
                data = {"form_token": form_token(whole.text), "confirm": "carts"}
                answer = browser.post(f"{prefix}{here}{form}", data=data, headers=headers)
                assert answer.status_code == (401 if asks == "htmx" else 303)
                arrive(browser, prefix, answer, f"{here}{page}{query if tells else ''}")
    changed = """SELECT count(*) FROM zanith._zanith_audit_log
        WHERE action NOT IN ('capture', 'seal', 'login')"""
    assert database.psql(changed) == "0"


def test_only_a_page_of_ours_is_gone_back_to(database, artifacts, tokens):
    here = f"/studio/artifacts/{artifacts['table']}"
    with run_studio(database.tcp_url, auth_token_file=tokens) as running:
        for referer in (
            "http://evil.example/studio/jobs",
            f"{running.url}/api/artifacts",
            f"{running.url}/studio/login?next=/studio/jobs",
            f"{running.url}/studiox",
            f"{running.url}/studio/artifacts/x/hold",
            "//evil.example/studio",
            "http://[broken",
            "javascript:alert(1)",
            f"{running.url}\\@evil.example/studio/jobs",
        ):
            answer = httpx.post(
                f"{running.url}{here}/hold", headers={"Origin": running.url, "Referer": referer}
            )
            found = parse_qs(urlsplit(answer.headers["location"]).query)
            assert found == {"next": [here], "ended": ["yes"]}, referer


def test_a_piece_of_a_page_leads_back_to_the_page(database, artifacts, tokens):
    here = f"/studio/artifacts/{artifacts['table']}"
    with run_studio(database.tcp_url, auth_token_file=tokens) as running:
        for headers, page in (
            (
                {"HX-Request": "true", "HX-Current-URL": f"{running.url}{here}/purge"},
                f"{here}/purge",
            ),
            ({"HX-Request": "true"}, here),
        ):
            answer = httpx.get(f"{running.url}{here}/seal", headers=headers)
            assert answer.status_code == 401
            found = parse_qs(urlsplit(answer.headers["hx-redirect"]).query)
            assert found == {"next": [page]}
        cleanup = httpx.post(f"{running.url}/studio/cleanup", headers={"Origin": running.url})
        assert "next=%2Fstudio%2Fcleanup&ended=yes" in cleanup.headers["location"]
        cancel = httpx.post(
            f"{running.url}/studio/jobs/ab12/cancel", headers={"Origin": running.url}
        )
        assert "next=%2Fstudio%2Fjobs%2Fab12&ended=yes" in cancel.headers["location"]
