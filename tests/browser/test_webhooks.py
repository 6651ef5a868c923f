"""A receiver that is down and comes back, seen and helped in a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Page, expect

from tests.receivers import Receiver, receiver
from tests.studios import Running, run_studio, wait_for_job, wait_for_seals

pytestmark = pytest.mark.newest

LEFT = """
SELECT count(*) FROM zanith._zanith_webhook_deliveries AS d
JOIN zanith._zanith_webhook_events AS e ON e.id = d.event_id
WHERE e.type <> 'test' AND d.state <> 'delivered'
"""
SLOW = 30_000  # a busy machine


@pytest.fixture
def hook() -> Iterator[Receiver]:
    with receiver("500") as answering:
        yield answering


@pytest.fixture
def studio(database, artifacts, hook: Receiver) -> Iterator[Running]:
    with run_studio(database.tcp_url, webhook_url=hook.url) as running:
        wait_for_seals(database)
        yield running


async def test_sends_again_what_did_not_arrive(
    page: Page, studio: Running, database, artifacts, hook: Receiver
):
    restore = f"/api/artifacts/{artifacts['column']}/restore"
    with studio.client() as client:
        job = client.post(restore, json={"confirm": "code"}).raise_for_status().json()["job"]
        assert wait_for_job(client, job["id"])["state"] == "done"
    await page.goto("/studio/webhooks")
    await expect(page.get_by_text("for a receiver. Zanith tries again")).to_be_visible(timeout=SLOW)
    await page.get_by_role("button", name="Send a test").click()
    await expect(page.get_by_text("It answered 500").first).to_be_visible(timeout=SLOW)
    assert database.psql(LEFT) != "0"
    hook.answers[:] = ["200"]
    await page.get_by_role("button", name="Try again now").click()
    # The page shows it by itself.
    await expect(page.get_by_text("Every message arrived.")).to_be_visible(timeout=SLOW)
    assert database.psql(LEFT) == "0"
    assert len(set(hook.acknowledged)) == len(hook.acknowledged) > 0
