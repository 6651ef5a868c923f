"""What a DBA does in the studio, clicked in a real browser and checked in the database."""

from __future__ import annotations

import asyncio
import hashlib
import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from tests.browser.conftest import listen
from tests.studios import Running, wait_until

pytestmark = pytest.mark.newest


async def test_restores_a_column(page: Page, database, artifacts):
    await page.goto("/studio")
    await page.get_by_role("link", name="public.orders.code").click()
    await page.get_by_role("link", name="Restore", exact=True).click()
    await expect(page.get_by_text("There is no conflict")).to_be_visible()
    await page.get_by_label("to restore it").fill("public.orders.code")
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_text("Restored.", exact=True)).to_be_visible()
    await expect(page.get_by_role("heading", name="Fidelity")).to_be_visible()
    assert database.psql("SELECT code FROM public.orders WHERE id = 7") == "C-7"
    assert database.psql("SELECT count(*) FROM public.orders WHERE code IS NULL") == "0"


async def test_asks_for_the_name_before_a_restore(page: Page, database, artifacts):
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    await page.get_by_label("to restore it").fill("orders")
    await page.get_by_role("button", name="Restore").click()
    # beside the field, which keeps what was typed: nobody has to scroll or to type it again
    await expect(page.get_by_text("Not confirmed: nothing was changed")).to_be_in_viewport()
    typed = page.get_by_label("to restore it")
    await expect(typed).to_be_in_viewport()
    await expect(typed).to_be_focused()
    await expect(typed).to_have_value("orders")
    columns = (
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'code'"
    )
    assert database.psql(columns) == "0"


async def test_resolves_drift_by_a_choice(page: Page, database, artifacts):
    database.psql("INSERT INTO public.orders VALUES (501, 0), (502, 0)")
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    await expect(
        page.get_by_text("2 rows of public.orders were inserted since the capture")
    ).to_be_visible()
    await page.get_by_label("Enter a value").fill("late")
    await page.get_by_role("button", name="Use this value").click()
    await page.wait_for_url("**fill=late**")
    await expect(page.locator("#verdict")).to_be_focused()
    await page.get_by_label("to restore it").fill("code")
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_text("Restored.", exact=True)).to_be_visible()
    assert database.psql("SELECT code FROM public.orders WHERE id = 502") == "late"


async def test_shows_another_visitor_the_same_job(
    page: Page, browser: Browser, studio: Running, database, artifacts
):
    blocker = await database.connect()
    try:
        await blocker.execute("BEGIN; SELECT count(*) FROM public.orders")
        await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
        await page.get_by_label("to restore it").fill("code")
        await page.get_by_role("button", name="Restore").click()
        await page.wait_for_url("**/studio/jobs/*")
        await expect(page.locator(".live-state")).to_have_text("Live")

        context = await browser.new_context(base_url=studio.url)
        other = await context.new_page()
        complaints = listen(other)
        await other.goto("/studio/jobs")
        await other.get_by_role("link", name="Restore", exact=True).click()
        await expect(other.get_by_text("running")).to_be_visible()
        await blocker.execute("COMMIT")
        for each in (page, other):
            await expect(each.get_by_text("Restored.", exact=True)).to_be_visible(timeout=20_000)
        assert complaints == []
        await context.close()
    finally:
        await blocker.close()


async def test_cancels_a_restore(page: Page, database, artifacts):
    blocker = await database.connect()
    try:
        await blocker.execute("BEGIN; SELECT count(*) FROM public.orders")
        await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
        await page.get_by_label("to restore it").fill("code")
        await page.get_by_role("button", name="Restore").click()
        await page.get_by_role("button", name="Cancel").click()
        await expect(page.locator(".badge", has_text="cancelled")).to_be_visible(timeout=15_000)
    finally:
        await blocker.close()
    status = "SELECT status FROM zanith._zanith_migration_artifacts WHERE source_column = 'code'"
    assert database.psql(status) == "recoverable"


@pytest.mark.parametrize("first", ["cancel", "progress"])
async def test_a_cancel_and_the_last_progress_do_not_race(
    page: Page, database, artifacts, first: str
):
    """Both answers are under way at once, and come in this order."""
    arrived = {"cancel": asyncio.Event(), "progress": asyncio.Event()}
    given = {"cancel": asyncio.Event(), "progress": asyncio.Event()}

    async def hold(route: Route, name: str, other: str) -> None:
        answer = await route.fetch()
        if name == "progress" and "hx-retarget" not in answer.headers:
            await route.fulfill(response=answer)
            return
        arrived[name].set()
        await asyncio.wait_for((arrived if name == first else given)[other].wait(), 15)
        await route.fulfill(response=answer)
        await page.wait_for_timeout(300)
        given[name].set()

    await page.route("**/cancel", lambda route: hold(route, "cancel", "progress"))
    await page.route("**/progress", lambda route: hold(route, "progress", "cancel"))
    blocker = await database.connect()
    try:
        await blocker.execute("BEGIN; SELECT count(*) FROM public.orders")
        await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
        await page.get_by_label("to restore it").fill("code")
        await page.get_by_role("button", name="Restore").click()
        # Before that the scripts are not there yet, and a click sends the form by itself.
        await expect(page.locator(".live-state", has_text="Live")).to_be_visible()
        await page.get_by_role("button", name="Cancel").click()
        await asyncio.wait_for(asyncio.gather(*(each.wait() for each in given.values())), 20)
        await expect(page.locator(".badge", has_text="cancelled")).to_be_visible()
    finally:
        await blocker.close()
    assert await page.locator(".live").count() == 1


async def test_verifies_in_place(page: Page, artifacts):
    await page.goto(f"/studio/artifacts/{artifacts['table']}")
    await page.get_by_role("button", name="Verify now").click()
    await expect(page.get_by_text("40 rows match the seal")).to_be_visible()
    await expect(page.locator("#seal .badge", has_text="matched")).to_be_visible()


async def test_refuses_a_changed_archive(page: Page, database, artifacts, studio: Running):
    tamper(database, artifacts["column"])
    await page.goto(f"/studio/artifacts/{artifacts['column']}")
    await page.get_by_role("button", name="Verify now").click()
    await expect(page.get_by_text("The archive does not match its seal")).to_be_visible()
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    if await page.get_by_label("to restore it").is_visible():
        await page.get_by_label("to restore it").fill("code")
        await page.get_by_role("button", name="Restore").click()
        await expect(page.locator(".note.bad").first).to_be_visible()
    else:
        await expect(page.get_by_text("This plan cannot run yet")).to_be_visible()
    columns = (
        "SELECT count(*) FROM pg_attribute WHERE attrelid = 'orders'::regclass AND attname = 'code'"
    )
    assert database.psql(columns) == "0"


def tamper(database, artifact_id: str) -> None:
    """Change one value of an archive, as only somebody who gets past its triggers can."""
    place = """SELECT physical_schema || '.' || quote_ident(physical_table)
        FROM zanith._zanith_migration_artifacts"""
    table = database.psql(f"{place} WHERE id = '{artifact_id}'")
    change = f"UPDATE {table} SET code = 'forged' WHERE id = 3"
    database.psql(f"ALTER TABLE {table} DISABLE TRIGGER ALL; {change}")


async def test_downloads_an_export(page: Page, artifacts, tmp_path: Path):
    await page.goto(f"/studio/artifacts/{artifacts['column']}/export")
    async with page.expect_download() as downloading:
        await page.get_by_role("button", name="Export").click()
    download = await downloading.value
    file = tmp_path / download.suggested_filename
    await download.save_as(file)
    await expect(page.get_by_text("It equals the seal.")).to_be_visible()
    shown = await page.locator("#checksum code").inner_text()
    assert hashlib.sha256(file.read_bytes()).hexdigest() == shown
    assert file.name in await page.locator("code", has_text="sha256sum").inner_text()


async def test_wants_the_name_before_a_purge(page: Page, database, artifacts):
    here = f"/studio/artifacts/{artifacts['table']}/purge"
    await page.goto(here)
    await expect(page.get_by_role("heading", name="Review")).to_be_visible()
    await page.get_by_label("to delete it for good").fill("orders")
    await page.get_by_role("button", name="Purge").click()
    await expect(page.get_by_text("not confirmed: nothing was changed")).to_be_visible()
    count = "SELECT count(*) FROM zanith._zanith_migration_artifacts WHERE source_table = 'carts'"
    assert database.psql(count) == "1"

    await page.get_by_label("Reason, for the audit log").fill("no longer needed")
    await page.get_by_label("to delete it for good").fill("public.carts")
    await page.get_by_role("button", name="Purge").click()
    await expect(page.get_by_role("heading", name="Tombstone")).to_be_visible()
    assert database.psql(count) == "0"


async def test_cleans_up_what_is_ticked(page: Page, database, artifacts):
    database.psql(
        "UPDATE zanith._zanith_migration_artifacts SET expires_at = now() - interval '1 day'"
    )
    await page.goto("/studio/cleanup")
    await page.get_by_label("Past their expiry").check()
    # nothing was exported: nothing is ticked before somebody looked
    await expect(page.get_by_role("heading", name="Tick what to delete")).to_be_visible()
    for box in await page.locator("input[name=id]").all():
        await box.check()
    await expect(page.get_by_role("heading", name="Delete 3 for good")).to_be_visible()
    await page.get_by_label("public.orders.code").uncheck()
    await expect(page.get_by_role("heading", name="Delete 2 for good")).to_be_visible()
    await page.get_by_label("Type the number").fill("2")
    await page.get_by_role("button", name="Delete 2 for good").click()
    await expect(page.get_by_text("Purged 2 of 2")).to_be_visible(timeout=15_000)
    left = "SELECT source_table FROM zanith._zanith_migration_artifacts"
    assert database.psql(left) == "orders"


async def test_holds_and_releases(page: Page, artifacts):
    await page.goto(f"/studio/artifacts/{artifacts['table']}")
    await page.get_by_label("Reason for the hold").fill("audit")
    await page.get_by_role("button", name="Hold").click()
    await expect(page.get_by_text(re.compile(r"on, by .+: audit"))).to_be_visible()
    await page.get_by_role("button", name="Release the hold").click()
    await expect(page.get_by_label("Reason for the hold")).to_be_visible()


async def test_filters_the_list(page: Page):
    await page.goto("/studio")
    rows = page.locator("#results tbody tr")
    await expect(rows).to_have_count(3)
    await page.get_by_label("Type").select_option("archive_table")
    await expect(rows).to_have_count(1)
    assert "type=archive_table" in page.url
    await page.go_back()
    await expect(page.locator("#results tbody tr")).to_have_count(3)
    await page.get_by_label("Search").fill("0007")
    await expect(rows).to_have_count(1)
    await page.get_by_label("Search").fill("nothing like it")
    await expect(page.get_by_text("No artifact matches")).to_be_visible()


async def test_follows_a_lost_connection(browser: Browser, studio: Running, database, artifacts):
    context = await browser.new_context(base_url=studio.url)
    page = await context.new_page()
    blocker = await database.connect()
    try:
        await blocker.execute("BEGIN; SELECT count(*) FROM public.orders")
        await page.route("**/events", lambda route: route.abort())
        await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
        await page.get_by_label("to restore it").fill("code")
        await page.get_by_role("button", name="Restore").click()
        await expect(page.get_by_text("Connection lost, retrying")).to_be_visible()
        await blocker.execute("COMMIT")
        # Polling takes over where events do not come.
        await expect(page.get_by_text("Restored.", exact=True)).to_be_visible(timeout=20_000)
    finally:
        await blocker.close()
        await context.close()


async def test_rehearses(page: Page, database, artifacts):
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    await page.get_by_role("button", name="Rehearse").click()
    await expect(page.get_by_text("Rehearsed, and rolled back")).to_be_visible(timeout=15_000)
    await page.get_by_role("link", name="Back to its plan").click()
    await expect(page.get_by_role("button", name="Rehearse")).to_be_visible()
    status = "SELECT status FROM zanith._zanith_migration_artifacts WHERE source_column = 'code'"
    assert database.psql(status) == "recoverable"


async def test_works_without_scripts(browser: Browser, studio: Running, database, artifacts):
    context = await browser.new_context(base_url=studio.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto("/studio?search=0007")
    await page.get_by_role("link", name="public.orders.code").click()
    await page.get_by_role("link", name="Restore", exact=True).click()
    await page.get_by_label("to restore it").fill("code")
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_text("Restored.", exact=True)).to_be_visible(timeout=15_000)
    await page.goto(f"/studio/artifacts/{artifacts['table']}/export")
    await page.get_by_role("button", name="Export").click()
    async with page.expect_download() as downloading:
        await page.get_by_role("link", name="Download public.carts").click()
    assert (await (await downloading.value).path()).stat().st_size > 0
    await context.close()
    wait_until(lambda: database.psql("SELECT count(*) FROM orders WHERE code IS NULL") == "0")


async def test_keeps_the_colours_chosen(page: Page):
    await page.goto("/studio")
    await page.get_by_label("Colours").select_option("dark")
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    await page.wait_for_load_state("networkidle")
    await page.reload()
    await expect(page.locator("html")).to_have_attribute("data-theme", "dark")
