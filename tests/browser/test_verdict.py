"""The card before a plan and the bar below it, in a real browser."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Page, Route, expect

from tests.studios import wait_for_seals

pytestmark = pytest.mark.newest

GAPS = """
CREATE TABLE gaps (id int PRIMARY KEY, note text NOT NULL DEFAULT 'none');
INSERT INTO gaps SELECT n, 'note ' || n FROM generate_series(1, 40) AS n;
SELECT zanith.archive_column('gaps', 'note');
INSERT INTO gaps VALUES (101), (102), (103);
"""


async def test_gives_rows_their_default_by_a_button(page: Page, database):
    artifact = database.psql(GAPS)
    await asyncio.to_thread(wait_for_seals, database)  # what is not sealed is never green
    await page.goto(f"/studio/artifacts/{artifact}")
    await expect(
        page.get_by_role("heading", name="Can be restored: needs a choice")
    ).to_be_visible()
    await expect(page.get_by_text("3 rows would hold NULL in note")).to_be_visible()
    await page.get_by_role("link", name="Use default 'none'").click()
    await expect(page.get_by_role("heading", name="Can be restored: yes")).to_be_visible()
    # what is typed before the numbers come stays, with the cursor in it
    await page.reload()
    field = page.get_by_label("to restore it")
    await field.fill("gaps")
    await field.focus()
    await expect(page.locator("#verdict.good")).to_be_visible()
    await expect(field).to_have_value("gaps")
    await expect(field).to_be_focused()
    await page.keyboard.type(".note")
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_text("Restored.", exact=True)).to_be_visible()
    found = "SELECT count(*) FILTER (WHERE note = 'none') || ' ' || count(note) FROM gaps"
    assert database.psql(found) == "3 43"
    # the definition is exact; what is lost is said beside it, and is not green
    await expect(page.locator(".badge", has_text="definition exact")).to_be_visible()
    await expect(page.get_by_text("2 known losses")).to_be_visible()


async def test_the_steps_are_one_click_away(page: Page, artifacts):
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    step = page.get_by_label("SQL of step 1", exact=True)
    await expect(step).to_be_hidden()
    await page.get_by_text("In one transaction").click()
    await expect(step).to_be_visible()


@pytest.mark.parametrize("width", [400, 1280])
async def test_the_bar_stays_in_view_and_covers_nothing(page: Page, artifacts, width: int):
    await page.set_viewport_size({"width": width, "height": 700})
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    await expect(page.locator("#verdict.good")).to_be_visible()
    await expect(page.get_by_role("button", name="Restore")).to_be_in_viewport()
    bar = await page.locator(".go-bar").bounding_box()
    assert bar is not None
    assert bar["height"] < 250
    assert bar["y"] + bar["height"] <= 700
    # what the keyboard reaches is not below it
    summary = page.locator("summary", has_text="Choices")
    await summary.focus()
    await summary.press("Enter")
    for _ in range(8):
        await page.keyboard.press("Tab")
        seen = """() => { const bar = document.querySelector('.go-bar').getBoundingClientRect();
            const at = document.activeElement, box = at.getBoundingClientRect();
            return at.closest('.go-bar') !== null || box.bottom <= bar.top + 1; }"""
        assert await page.evaluate(seen)
    await page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    end = """() => document.querySelector('#choices').getBoundingClientRect().bottom
        <= document.querySelector('.go-bar').getBoundingClientRect().top"""
    assert await page.evaluate(end)


@pytest.mark.parametrize("part", ["restore", "hold"])
async def test_a_second_click_sends_nothing(page: Page, artifacts, part: str):
    sent: list[str] = []
    going = asyncio.Event()

    async def slow(route: Route) -> None:
        if route.request.method != "POST":
            await route.continue_()
            return
        sent.append(route.request.url)
        await asyncio.wait_for(going.wait(), 15)
        await route.continue_()

    here = f"/studio/artifacts/{artifacts['column']}"
    await page.route(f"**{here}/{part}", slow)
    await page.goto(f"{here}/restore" if part == "restore" else here)
    if part == "restore":
        await page.get_by_label("to restore it").fill("code")
    # in one go: Playwright itself waits for the page that is on its way
    clicks = f"""async () => {{
        const at = [...document.querySelectorAll('button')].find(
            (one) => one.textContent.trim() === '{part.capitalize()}');
        at.click();
        await new Promise((done) => setTimeout(done, 300));
        at.click();
        const sending = at.disabled && at.getAttribute('aria-busy');
        window.dispatchEvent(new PageTransitionEvent('pageshow', {{ persisted: true }}));
        return [sending, at.disabled];
    }}"""
    # what is sent cannot be sent again; a page that the browser kept can be used
    assert await page.evaluate(clicks) == ["true", False]
    assert len(sent) == 1
    going.set()
    await page.wait_for_url("**/studio/jobs/*" if part == "restore" else f"**{here}")
    await page.wait_for_load_state()


async def test_without_scripts_a_link_counts(browser, studio, database, artifacts):
    database.psql("INSERT INTO public.orders VALUES (501, 0)")
    context = await browser.new_context(base_url=studio.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    await expect(page.get_by_text("were inserted since the capture")).to_have_count(0)
    await page.get_by_role("link", name="Count now").click()
    await expect(page.get_by_text("1 row of public.orders was inserted since")).to_be_visible()
    await page.get_by_label("Enter a value").fill("late")
    await page.get_by_role("button", name="Use this value").click()
    await page.get_by_label("to restore it").fill("code")
    await page.get_by_role("button", name="Restore").click()
    await expect(page.get_by_role("heading", name="Restore of public.orders.code")).to_be_visible()
    await context.close()
