"""The reviews before a purge say what was restored and what stays, for one and for chosen ones."""

from __future__ import annotations

import html
import re

import pytest

from tests.acceptance.command import done
from tests.studios import capture_orders, run_studio, wait_for_seals

pytestmark = pytest.mark.newest


def words(page: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page).split())


def test_the_review_of_one_and_of_chosen_ones(database):
    ids = capture_orders(database)
    column, table = ids["column"], ids["table"]
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        wait_for_seals(database)
        page = client.get(f"/studio/artifacts/{column}/purge").text
        assert "Purge public.orders.code" in words(page)
        assert "Stays The rows of the table stay; the archived values are deleted." in words(page)
        done("recover", "restore", column, "--yes", url=database.url)
        page = words(client.get(f"/studio/artifacts/{column}/purge").text)
        assert "Purge the archive of public.orders.code" in page
        assert "Stays The restored column and its rows stay; only its archive is deleted." in page
        assert "The archived values cannot be restored after this." in page
        chosen = client.get("/studio/cleanup", params={"chosen": [column, table]}).text
        assert "<h1>Purge 2 chosen artifacts</h1>" in chosen
        assert "<title>Purge 2 chosen artifacts" in chosen
        assert 'name="older_than" value="" placeholder' not in chosen
        assert ": only its archive goes" in words(chosen)
        by_age = client.get("/studio/cleanup", params={"older_than": "0s"}).text
        assert "<h1>Cleanup</h1>" in by_age
        assert 'placeholder="30d, 12h"' in by_age


def test_many_artifacts_are_a_part_of_their_own(database, monkeypatch):
    """The page answers before it reads a plan; without scripts a link shows all of it."""
    monkeypatch.setattr("app.routes.pages.cleanup.AT_ONCE", 1)
    ids = capture_orders(database)
    chosen = {"chosen": [ids["column"], ids["table"]]}
    with run_studio(database.tcp_url) as studio, studio.client() as client:
        wait_for_seals(database)
        by_age = {"older_than": "0s"}
        for asked, title in ((chosen, "Purge 2 chosen artifacts"), (by_age, "Cleanup")):
            page = client.get("/studio/cleanup", params=asked).text
            assert f"<h1>{title}</h1>" in page
            assert "Reading the artifacts" in page
            assert "orders.code" not in page
            part = re.search(r'hx-get="([^"]+)" hx-trigger="load" hx-target="#candidates"', page)
            assert part
            address = html.unescape(part.group(1))
            piece = client.get(address, headers={"HX-Request": "true"}).text
            whole = client.get(address).text
            assert "<h1>" not in piece
            assert f"<h1>{title}</h1>" in whole
            for text in (piece, whole):
                assert "Reading the artifacts" not in text
                assert "orders.code" in text
        one = client.get("/studio/cleanup", params={"chosen": [ids["column"]]}).text
        assert "Reading the artifacts" not in one
        assert client.get("/studio/cleanup", params={"older_than": "soon"}).status_code == 400
