"""Without a mouse, with little motion, and with the browser's own buttons."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from app.recovery.core.options import options_of
from app.recovery.plan.model import Choices
from tests.studios import Running, run_studio

pytestmark = pytest.mark.newest

# What has the focus, and whether it looks another way than without it.
FOCUSED = """() => {
    const e = document.activeElement;
    const looks = () => {
        const s = getComputedStyle(e);
        return [s.outlineStyle === 'none' ? '' : s.outlineWidth + s.outlineColor, s.boxShadow] + '';
    };
    const focused = looks();
    e.blur();
    const plain = looks();
    e.focus({preventScroll: true});
    const label = e.labels && e.labels.length ? e.labels[0].innerText : '';
    return {name: (e.getAttribute('aria-label') || label || e.innerText || e.id).trim(),
            visible: focused !== plain, tag: e.tagName};
}"""


async def tab_to(page: Page, name: str, tag: str, limit: int = 80) -> None:
    """Press Tab until something of that name has the focus; every stop must show that it has."""
    passed = []
    for _ in range(limit):
        await page.keyboard.press("Tab")
        stop = await page.evaluate(FOCUSED)
        if stop["tag"] != "BODY":
            passed.append(stop["name"])
            assert stop["visible"], f"the focus on {stop['name']!r} cannot be seen"
        if stop["name"] == name and stop["tag"] == tag:
            return
    raise AssertionError(f"no {name!r} among {passed}")


async def test_restores_by_keyboard_alone(page: Page, database):
    await page.goto("/studio")
    await page.keyboard.press("Tab")
    focused = "JSON.stringify([document.activeElement.className, document.activeElement.hash])"
    assert json.loads(await page.evaluate(focused)) == ["skip", "#main"]
    await page.keyboard.press("Enter")
    await tab_to(page, "Search", "INPUT")
    await page.keyboard.type("0007")
    await expect(page.locator("#results tbody tr")).to_have_count(1)
    await tab_to(page, "public.orders.code", "A")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/studio/artifacts/*")
    await tab_to(page, "Restore", "A")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/restore")
    await tab_to(page, "Choices", "SUMMARY")
    await page.keyboard.press("Enter")
    skip = next(item for item in options_of(Choices) if item.name == "unverified")
    await tab_to(page, f"{skip.label}\n{skip.help}", "INPUT")
    await page.keyboard.press("Space")
    await page.wait_for_url("**unverified=yes**")
    await expect(page.get_by_label("Skip the seal")).to_be_checked()
    await tab_to(page, "Type public.orders.code to restore it", "INPUT")
    await page.keyboard.type("public.orders.code")
    await tab_to(page, "Restore", "BUTTON")
    await page.keyboard.press("Space")
    await page.wait_for_url("**/studio/jobs/*")
    await expect(page.get_by_role("heading", name="Fidelity")).to_be_visible(timeout=15_000)
    assert database.psql("SELECT code FROM public.orders WHERE id = 7") == "C-7"


async def test_back_and_reload_keep_the_list(page: Page):
    rows = page.locator("#results tbody tr")
    await page.goto("/studio")
    await page.get_by_label("Type").select_option("archive_column")
    await expect(rows).to_have_count(2)
    await page.get_by_role("link", name="Rows").click()
    await page.wait_for_url("**sort=rows**")
    await expect(page.get_by_role("columnheader", name="Rows")).to_have_attribute(
        "aria-sort", "descending"
    )
    await page.reload()
    await expect(page.get_by_label("Type")).to_have_value("archive_column")
    await expect(rows).to_have_count(2)
    await expect(page.get_by_role("columnheader", name="Rows")).to_have_attribute(
        "aria-sort", "descending"
    )
    await page.get_by_role("link", name="public.orders.code").click()
    await page.wait_for_url("**/studio/artifacts/*")
    for address in ("**/studio?*sort=rows*", "**/studio?*sort=created*"):
        await page.evaluate("history.back()")
        await page.wait_for_url(address)
        await expect(page.get_by_label("Type")).to_have_value("archive_column")
        await expect(rows).to_have_count(2)
    await page.evaluate("history.back()")
    await page.wait_for_url("**/studio")
    await expect(page.get_by_label("Type")).to_have_value("")
    await expect(rows).to_have_count(3)


async def test_back_and_reload_keep_the_choices(page: Page, artifacts):
    await page.goto(f"/studio/artifacts/{artifacts['column']}/restore")
    await page.locator("summary", has_text="Choices").click()
    await page.get_by_label("Restore as").fill("code_before")
    await page.get_by_label("Online").check()
    await page.wait_for_url("**as=code_before**online=yes**")
    await page.reload()
    await expect(page.get_by_label("Restore as")).to_have_value("code_before")
    await expect(page.get_by_label("Online")).to_be_checked()
    await expect(page.locator("#verdict")).to_contain_text("code_before")
    await page.get_by_role("link", name="public.orders.code").click()
    await page.wait_for_url(f"**/{artifacts['column']}")
    await page.evaluate("history.back()")
    await page.wait_for_url("**as=code_before**")
    await expect(page.get_by_label("Restore as")).to_have_value("code_before")
    await expect(page.get_by_label("Online")).to_be_checked()


MOVING = """() => [...document.querySelectorAll('*')].filter((e) => {
    const s = getComputedStyle(e);
    return s.transitionDuration.split(', ').some((d) => parseFloat(d) > 0)
        || s.animationName !== 'none' || s.scrollBehavior === 'smooth';
}).length"""


@pytest.fixture
def hard_studio(hard_database) -> Iterator[Running]:
    with run_studio(hard_database.tcp_url) as running:
        yield running


async def test_nothing_moves_where_that_is_not_wanted(
    browser: Browser, hard_studio: Running, cases
):
    moving = {}
    for motion in ("reduce", "no-preference"):
        context = await browser.new_context(base_url=hard_studio.url, reduced_motion=motion)
        page = await context.new_page()
        for path in ("/studio", f"/studio/jobs/{cases.jobs['running']}"):
            await page.goto(path)
            moving[motion, path] = await page.evaluate(MOVING)
        await context.close()
    assert [count for (motion, _), count in moving.items() if motion == "reduce"] == [0, 0]
    assert all(count for (motion, _), count in moving.items() if motion == "no-preference")
