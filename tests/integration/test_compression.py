"""What the studio compresses, for whom, and what it never does."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import httpx
import pytest

from app.routes.compression import MINIMUM_BYTES
from tests.studios import Running, capture_orders, form_token, run_studio, sign_in, wait_for_seals

pytestmark = pytest.mark.newest

TOKEN = "the-s3cret-of-ana"
MANY = """CREATE TABLE public.many (id int PRIMARY KEY, note text);
INSERT INTO public.many SELECT n, 'a note like many others' FROM generate_series(1, 5000) n;
SELECT zanith.archive_table('public.many');"""


@pytest.fixture
def here(database) -> str:
    capture_orders(database)
    return "/api/artifacts/" + database.psql(MANY).splitlines()[-1]


@pytest.fixture
def studio(database, here) -> Iterator[Running]:
    with run_studio(database.tcp_url, auth_token=f"ana:{TOKEN}") as running:
        wait_for_seals(database)
        yield running


def get(client: httpx.Client, path: str, accept: str = "gzip", **headers: str) -> httpx.Response:
    """Return an answer whose body is still as it came; of an endless one no body."""
    asked = {"Accept-Encoding": accept, **{k.replace("_", "-"): v for k, v in headers.items()}}
    with client.stream("GET", path, headers=asked) as answer:
        assert answer.status_code == 200, path
        endless = answer.headers["content-type"].startswith("text/event-stream")
        answer.extensions["raw"] = b"" if endless else b"".join(answer.iter_raw())
    return answer


def test_what_is_compressed(studio, here):
    compressed = {
        "/studio": True,
        here.replace("/api", "/studio"): True,
        "/api/openapi.json": True,
        "/static/studio.css": True,
        "/static/studio.js": True,
        "/static/mark.svg": False,  # too small
        "/healthz": False,
        "/api/events": False,
        "/studio/activity/download": False,
        **{f"{here}/export?format={kind}": False for kind in ("csv", "jsonl", "json")},
        **{f"{here}/export?compress={how}": False for how in ("gzip", "zstd")},
    }
    found, large = {}, []
    with studio.client(TOKEN) as client:
        for path in compressed:
            answer = get(client, path)
            found[path] = "content-encoding" in answer.headers
            raw = answer.extensions["raw"]
            if found[path]:
                assert answer.headers["vary"].lower().endswith("accept-encoding"), path
                assert len(raw) == int(answer.headers["content-length"]), path
                whole = gzip.decompress(raw)
                assert MINIMUM_BYTES <= len(whole) > 2 * len(raw), path
            elif len(raw) >= MINIMUM_BYTES:
                large.append(path)
            plain = get(client, path, accept="identity")
            assert "content-encoding" not in plain.headers, path
    assert found == compressed
    assert [path for path in large if "/export" in path] == [p for p in found if "/export" in p]


def test_another_site_causes_no_compressed_answer(studio):
    """Who chooses a part of a page and sees its size learns nothing of the rest."""
    with sign_in(studio, TOKEN) as browser:
        for site, compressed in (
            ("same-origin", True),
            ("none", True),
            ("same-site", False),
            ("cross-site", False),
        ):
            for path in ("/studio?search=guess", "/static/studio.css"):
                answer = get(browser, path, Sec_Fetch_Site=site)
                assert ("content-encoding" in answer.headers) is compressed, (site, path)


def test_no_two_answers_carry_the_same_form_token(studio):
    with sign_in(studio, TOKEN) as browser:
        tokens = {form_token(browser.get("/studio?search=guess").text) for _ in range(5)}
        assert len(tokens) == 5
        for given in tokens:
            answer = browser.post("/studio/theme", data={"form_token": given, "theme": "dark"})
            assert answer.status_code == 303
