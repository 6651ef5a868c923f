"""The list of artifacts and the search, by hand and by keyboard."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import listen
from tests.studios import Running, run_studio

pytestmark = pytest.mark.newest


@pytest.fixture
def studio(many_database) -> Iterator[Running]:
    with run_studio(many_database.tcp_url) as running:
        yield running


@pytest.fixture
async def bare_page(browser: Browser, studio: Running) -> AsyncIterator[Page]:
    """A page of a browser without scripts."""
    context = await browser.new_context(base_url=studio.url, java_script_enabled=False)
    yield await context.new_page()
    await context.close()


async def test_jumps_to_an_artifact_by_keyboard(page: Page):
    await page.goto("/studio/jobs")
    dialog = page.get_by_role("dialog")
    field = dialog.get_by_role("combobox")
    for keys in ("/", "Control+k"):
        await page.keyboard.press(keys)
        await expect(field).to_be_focused()
        await page.keyboard.press("Escape")
        await expect(dialog).to_be_hidden()
    await page.keyboard.press("/")
    await page.keyboard.type("visits_33")
    options = dialog.get_by_role("option")
    await expect(options).to_have_count(8)
    await expect(field).to_have_attribute("aria-expanded", "true")
    await expect(options.first).to_have_attribute("aria-selected", "true")
    await expect(options.first).to_contain_text("public.visits_33_old ")
    await page.keyboard.press("ArrowDown")
    second = await options.nth(1).get_attribute("id")
    await expect(field).to_have_attribute("aria-activedescendant", second or "")
    await expect(dialog.get_by_role("status")).to_contain_text("The first 8")
    await page.keyboard.press("ArrowUp")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("public.visits_33_old")
    # In a field "/" is a character.
    await page.goto("/studio")
    await page.get_by_label("Search", exact=True).press("/")
    await expect(page.get_by_label("Search", exact=True)).to_have_value("/")
    await expect(dialog).to_be_hidden()


async def test_searches_without_scripts(bare_page: Page):
    await bare_page.goto("/studio")
    await bare_page.get_by_role("link", name="Search").click()
    await bare_page.get_by_label("Name or id").fill("0033_drop_t")
    await bare_page.get_by_role("button", name="Search").click()
    await bare_page.get_by_role("link", name="0033_drop_table").click()
    await expect(bare_page.get_by_role("heading", level=1)).to_contain_text("0033_drop_table")


async def test_holds_all_that_match(page: Page, many_database):
    await page.goto("/studio")
    await page.get_by_text("More filters").click()
    await page.get_by_label("Migration", exact=True).fill("_drop_legacy")
    await page.keyboard.press("Tab")
    await page.wait_for_url("**migration=_drop_legacy**")
    await page.get_by_label("On hold").select_option("no")
    await page.wait_for_url("**held=no**")
    total = page.locator(".pager .quiet")
    await expect(total).to_have_text(re.compile(r"1–50 of 2\d\d match"))
    number = (await total.inner_text()).split(" of ")[1].split()[0]
    # The bar is there without scrolling, and is off until something is ticked.
    bar = page.get_by_role("group", name="With those that are ticked")
    await expect(bar).to_be_in_viewport()
    hold = bar.get_by_role("button", name="Hold", exact=True)
    await expect(hold).to_be_disabled()
    await bar.get_by_label(f"Select all {number} that match").check()
    await expect(bar).to_contain_text(f"With {number} ticked")
    await bar.get_by_label("Reason for the hold").fill("audit")
    await hold.click()
    await expect(page.get_by_role("heading", level=1)).to_have_text(
        f"Hold all {number} artifacts that match"
    )
    await expect(page.get_by_label("Reason for the hold")).to_have_value("audit")
    await page.get_by_role("button", name=f"Hold {number} artifacts").click()
    await expect(page.get_by_text(f"{number} artifacts are now on hold.")).to_be_visible()
    held = "SELECT count(*) FROM zanith._zanith_migration_artifacts WHERE held_reason = 'audit'"
    assert many_database.psql(held) == number


async def test_pages_by_size_lead_on_and_back(page: Page):
    await page.goto("/studio?sort=size")
    pager = page.get_by_role("navigation", name="Pages of artifacts")
    await pager.get_by_role("link", name="Next", exact=True).click()
    await expect(pager).to_contain_text("51–100 of 300")
    await pager.get_by_role("link", name="Previous", exact=True).click()
    await expect(pager).to_contain_text("1–50 of 300")


@pytest.mark.parametrize("width", [1280, 400])
async def test_the_bar_covers_nothing_that_the_keyboard_reaches(
    browser: Browser, studio: Running, width: int
):
    context = await browser.new_context(
        base_url=studio.url, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    page = await context.new_page()
    complaints = listen(page)
    await page.goto("/studio")
    for box in (await page.locator("tbody input[name=id]").all())[5:12]:
        await box.focus()
        under = "(e) => { const r = e.getBoundingClientRect();"
        under += "return document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2) === e; }"
        assert await box.evaluate(under)
    assert complaints == []
    await context.close()
