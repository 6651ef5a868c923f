"""What pages hear: also what changed before they began to listen."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx
import pytest

from app.routes.api.events import ALL
from tests.studios import Running, capture_orders, run_studio, wait_for_seals, wait_until

pytestmark = pytest.mark.newest

DROP = "SELECT zanith.soft_drop_column('public.orders', 'total')"
CHANGED = re.compile(r"data: (\{.*\})")


@pytest.fixture
def studio(database) -> Iterator[Running]:
    capture_orders(database)
    with run_studio(database.tcp_url) as running:
        wait_for_seals(database)
        yield running


def feed(client: httpx.Client) -> str:
    """Return the address that a page listens to."""
    found = re.search(r'data-feed="([^"]+)"', client.get("/studio").text)
    assert found
    return found.group(1)


def first(client: httpx.Client, address: str) -> dict[str, list[str]] | None:
    """Return the first event, or None where none comes in time."""
    try:
        with client.stream("GET", address, timeout=2) as events:
            for line in events.iter_lines():
                if found := CHANGED.match(line):
                    return json.loads(found.group(1))
    except httpx.ReadTimeout:
        pass
    return None


def test_a_page_hears_of_what_changed_before_it_listened(studio: Running, database):
    with studio.client() as client:
        wait_until(lambda: (address := feed(client)) == feed(client) and not first(client, address))
        address = feed(client)
        assert "since=" in address
        database.psql(DROP)
        wait_until(lambda: feed(client) != address)
        assert first(client, address) == {"kinds": sorted(ALL), "ids": []}
        assert first(client, feed(client)) is None
        assert first(client, address.partition("?")[0]) is None
        assert client.get("/api/events", params={"since": "x" * 65}).status_code == 422
