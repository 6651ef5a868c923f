"""Changes by others arrive in an open page, and take nothing away from its reader."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, expect

from app.recovery.guard.rules import Mode, Rule
from app.routes.api.events import UNTOLD_SECONDS
from tests.guard.twin import turn_guard_on
from tests.studios import Running

pytestmark = pytest.mark.newest

# The guard notifies nobody on a server that allows prepared transactions, as this one does.
UNTOLD = 2_000 * UNTOLD_SECONDS
DROP = "SELECT zanith.soft_drop_column('public.orders', 'total')"


async def test_a_new_artifact_arrives_in_the_list(page: Page, database, artifacts, monkeypatch):
    # As with very many artifacts: the totals are those of three seconds ago, and are asked again.
    monkeypatch.setattr("app.recovery.core.cache._QUICK", 0.0)
    monkeypatch.setattr("app.recovery.core.cache._TIMES", 1e6)
    monkeypatch.setattr("app.recovery.core.cache._LONGEST", 3.0)
    await page.goto("/studio")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await expect(page.locator(".figures")).to_contain_text("3 artifacts")
    database.psql(DROP)
    await expect(page.get_by_role("link", name="public.orders.total")).to_be_visible()
    await expect(page.locator(".figures")).to_contain_text("4 artifacts", timeout=15_000)


async def test_ticks_are_not_taken_away(page: Page, database, artifacts):
    await page.goto("/studio")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await page.get_by_label("Tick public.orders.code").check()
    database.psql(DROP)
    await expect(page.get_by_text("This page is out of date.")).to_be_visible()
    await expect(page.get_by_label("Tick public.orders.code")).to_be_checked()
    await expect(page.get_by_role("link", name="public.orders.total")).to_have_count(0)
    await page.get_by_role("link", name="Show the present state").click()
    await expect(page.get_by_role("link", name="public.orders.total")).to_be_visible()


async def test_a_page_that_is_read_says_that_it_is_old(
    page: Page, studio: Running, database, artifacts
):
    """The artifact was restored by somebody else while its restore was being looked at."""
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await page.get_by_label("to restore it").fill("public.orders.code")
    with studio.client() as other:
        other.post(
            f"/api/artifacts/{artifacts['column']}/restore", json={"confirm": "code"}
        ).raise_for_status()
        await expect(page.get_by_text("This page is out of date.")).to_be_visible()
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_text("It was restored already")).to_be_visible()


async def test_jobs_and_activity_follow(page: Page, database, artifacts, studio: Running):
    await page.goto("/studio/activity")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    await expect(page.locator("#results").get_by_text("Verify", exact=True)).to_have_count(0)
    with studio.client() as other:
        other.post(f"/api/artifacts/{artifacts['column']}/verify").raise_for_status()
    await expect(page.locator("#results").get_by_text("Verify", exact=True)).to_be_visible()
    await page.goto("/studio/jobs?kind=verify")
    await expect(page.locator("#results tbody tr")).to_have_count(1)
    with studio.client() as other:
        other.post(f"/api/artifacts/{artifacts['table']}/verify").raise_for_status()
    await expect(page.locator("#results tbody tr")).to_have_count(2)


async def test_several_at_once(page: Page, database, artifacts):
    await page.goto("/studio")
    await page.get_by_label("Tick public.orders.code").check()
    await page.get_by_label("Tick public.carts").check()
    await expect(page.get_by_text("With 2 ticked")).to_be_visible()
    await page.get_by_label("Reason for the hold").fill("audit <2026>")
    await page.get_by_role("button", name="Hold", exact=True).click()
    await expect(page.get_by_text("2 of 2 held")).to_be_visible()
    held = (
        "SELECT count(*) FROM zanith._zanith_migration_artifacts WHERE held_reason = 'audit <2026>'"
    )
    assert database.psql(held) == "2"
    await page.get_by_role("link", name="Back to the artifacts").click()
    await page.get_by_label("Tick all on this page").check()
    await expect(page.get_by_text("With 3 ticked")).to_be_visible()
    await page.get_by_role("button", name="Verify").click()
    await expect(page.get_by_text("Finished:")).to_be_visible(timeout=15_000)
    await expect(page.get_by_text("3 match, 0 do not")).to_be_visible()
    await page.goto("/studio")
    await page.get_by_label("Tick all on this page").check()
    await page.get_by_role("button", name="Review a purge").click()
    await expect(page.get_by_text("2 artifacts stay")).to_be_visible()
    await page.locator("input[name=id]").check()
    await page.get_by_label("Type the number").fill("1")
    await page.get_by_role("button", name="Delete 1 for good").click()
    await expect(page.get_by_text("Purged 1 of 1")).to_be_visible()
    assert database.psql("SELECT count(*) FROM zanith._zanith_migration_artifacts") == "2"


async def test_a_late_refresh_does_not_undo_a_filter(page: Page, database, artifacts):
    """The list that was asked for again is overtaken by one that somebody chose."""
    await page.goto("/studio")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    waiting = asyncio.Event()

    async def hold(route) -> None:
        await waiting.wait()
        await route.continue_()

    await page.route(lambda url: url.endswith("/studio"), hold)
    async with page.expect_request(lambda request: request.url.endswith("/studio")):
        database.psql(DROP)
    await page.get_by_label("Type").select_option("archive_table")
    rows = page.locator("#results tbody tr")
    await expect(rows).to_have_count(1)
    async with page.expect_response(lambda response: response.url.endswith("/studio")):
        waiting.set()
    await page.wait_for_timeout(300)
    await expect(rows).to_have_count(1)


async def test_a_plain_drop_appears_on_the_page_of_the_guard(page: Page, database, artifacts):
    turn_guard_on(database)
    database.psql("CREATE SCHEMA scratch; CREATE TABLE scratch.t ()")
    turn_guard_on(database, Rule(Mode.WARN, "scratch"))
    await page.goto("/studio/guard")
    await expect(page.get_by_text("Live", exact=True)).to_be_visible()
    database.psql("DROP TABLE public.orders CASCADE")
    dropped = page.get_by_role("link", name="public.orders", exact=True)
    await expect(dropped).to_be_visible(timeout=UNTOLD)
    database.psql("DROP TABLE scratch.t")
    await expect(page.get_by_text("scratch.t", exact=True)).to_be_visible(timeout=UNTOLD)
