"""The reviews before a purge say what was restored and what stays, for one and for chosen ones."""

from __future__ import annotations

import re

import pytest

from tests.acceptance.command import done
from tests.studios import capture_orders, run_studio, wait_for_seals

pytestmark = pytest.mark.newest


def words(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


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
