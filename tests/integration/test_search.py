"""The search for anything: what it finds, in which order, and where it leads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape

import httpx
import pytest

from tests.hard_cases import HardCases
from tests.studios import Running, run_studio

pytestmark = pytest.mark.newest

TOKEN = "the-s3cret-of-ana"
PARTIAL = {"HX-Request": "true"}


@pytest.fixture
def studio(hard_database) -> Iterator[Running]:
    with run_studio(hard_database.tcp_url, auth_token=f"ana:{TOKEN}") as running:
        yield running


@pytest.fixture
def client(studio: Running) -> Iterator[httpx.Client]:
    with studio.client(TOKEN) as opened:
        yield opened


def led_to(client: httpx.Client, text: str, headers: dict[str, str] | None = None) -> list[str]:
    """Return where the hits lead, in their order."""
    answer = client.get("/studio/search", params={"q": text}, headers=headers)
    assert answer.status_code == 200, answer.text
    body = answer.text.split("<main")[-1].split("<dialog")[0]
    return re.findall(r'<li[^>]*?(?: data-href="|><a class="object" href=")([^"]+)"', body)


def test_finds_by_name_and_by_id(client, cases: HardCases):
    ids = cases.artifacts
    artifact, job = f"/studio/artifacts/{ids['damaged']}", f"/studio/jobs/{cases.jobs['restored']}"
    for whole, place in ((ids["damaged"], artifact), (cases.jobs["restored"], job)):
        answer = client.get("/studio/search", params={"q": f" {whole} "})
        assert (answer.status_code, answer.headers["location"]) == (303, place)
        assert led_to(client, whole, PARTIAL)[0] == place
        assert place in led_to(client, whole[:10])
    for part in ("LEGACY_CODE", "orders.legacy", "public.orders.legacy_code"):
        assert artifact in led_to(client, part), part
    # the whole name comes before all that only contain it
    assert led_to(client, "public.orders.legacy_code")[0] == artifact
    assert led_to(client, "0001_fa") == ["/studio/migrations/0001_fax"]
    migration = client.get("/studio/search", params={"q": "0001_fax"})
    assert migration.headers["location"] == "/studio/migrations/0001_fax"
    for nothing in ("", "  ", "l%y", "nobody has this"):
        assert led_to(client, nothing) == [], nothing


def test_shows_no_more_than_it_may_and_says_so(client):
    assert len(led_to(client, "public")) == 20
    assert "There are more" in client.get("/studio/search?q=public").text
    assert len(led_to(client, "public", PARTIAL)) == 8
    assert client.get("/studio/search", params={"q": "x" * 201}).status_code == 422


def test_a_hostile_name_is_text(client, cases: HardCases):
    for text in ("<img src=x", "<script>"):
        for headers in ({}, PARTIAL):
            page = client.get("/studio/search", params={"q": text}, headers=headers).text
            assert text not in page
            assert escape(text) in page
