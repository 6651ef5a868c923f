"""How every page stands up to a screen reader, a narrow screen, and hostile names."""

from __future__ import annotations

import json

import pytest
from playwright.async_api import Browser, Page

from tests.browser.conftest import listen
from tests.studios import Running, wait_for_job

pytestmark = pytest.mark.newest

HOSTILE = """
CREATE TABLE public."{name}" (id integer PRIMARY KEY, v text);
INSERT INTO public."{name}" VALUES (1, '"><img src=x onerror=alert(1)>');
SELECT zanith.archive_table('public."{name}"', reason => '</script><script>alert(1)</script>');
"""
LONG = "x<i>" * 15


def every_page(studio: Running, artifacts: dict[str, str]) -> list[str]:
    """Return the address of each kind of page, with a job and an export that ended."""
    with studio.client() as client:
        verified = client.post(f"/api/artifacts/{artifacts['column']}/verify").json()["id"]
        wait_for_job(client, verified)
        exported = client.post(f"/api/artifacts/{artifacts['column']}/exports").json()["id"]
        client.get(f"/api/exports/{exported}/content")
        wait_for_job(client, exported)
        waiting = client.post(f"/api/artifacts/{artifacts['weird']}/exports").json()["id"]
    one = f"/studio/artifacts/{artifacts['column']}"
    weird = f"/studio/artifacts/{artifacts['weird']}"
    return [
        "/studio",
        "/studio?search=nothing+like+it",
        one,
        weird,
        f"{weird}/rows",
        f"{one}/restore",
        f"{one}/restore?as=9+wrong+name&not_valid=yes",
        f"{one}/export",
        f"{one}/purge",
        f"{weird}/purge",
        "/studio/cleanup",
        "/studio/cleanup?older_than=0s",
        "/studio/jobs",
        f"/studio/jobs/{verified}",
        f"/studio/exports/{exported}",
        f"/studio/exports/{waiting}",
        "/studio/activity",
        "/studio/nowhere",
    ]


@pytest.mark.parametrize("colours", ["light", "dark"])
async def test_axe_finds_nothing(browser: Browser, studio: Running, artifacts, axe_script, colours):
    # axe-core comes in past the CSP, which allows no foreign script.
    context = await browser.new_context(base_url=studio.url, color_scheme=colours, bypass_csp=True)
    page = await context.new_page()
    found: dict[str, list] = {}
    for path in every_page(studio, artifacts):
        await page.goto(path)
        await page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        await page.add_script_tag(content=axe_script)
        result = await page.evaluate("axe.run({resultTypes: ['violations']})")
        found[path] = [
            (violation["id"], [node["html"] for node in violation["nodes"]][:3])
            for violation in result["violations"]
        ]
    await context.close()
    assert {path: violations for path, violations in found.items() if violations} == {}


@pytest.mark.parametrize("width", [400, 1280])
async def test_no_page_scrolls_sideways(
    browser: Browser, studio: Running, artifacts, database, width
):
    database.psql(HOSTILE.format(name=LONG))
    context = await browser.new_context(
        base_url=studio.url, viewport={"width": width, "height": 800}
    )
    page = await context.new_page()
    complaints = listen(page)
    wide = []
    for path in every_page(studio, artifacts):
        await page.goto(path)
        await page.evaluate("for (const d of document.querySelectorAll('details')) d.open = true")
        beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        if await page.evaluate(beyond) > 0:
            wide.append(path)
    await context.close()
    assert wide == []
    assert complaints == []


async def test_hostile_names_are_inert(page: Page, database, studio: Running):
    database.psql(HOSTILE.format(name=LONG))
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    with studio.client() as client:
        found = client.get("/api/artifacts", params={"search": LONG}).json()["artifacts"]
    await page.goto("/studio")
    for path in ("", "/rows", "/restore", "/export", "/purge"):
        await page.goto(f"/studio/artifacts/{found[0]['id']}{path}")
        assert LONG in await page.locator("body").inner_text()
        assert await page.locator("i, img").count() == 0


async def test_every_page_says_where_it_is(page: Page, database):
    for path in ("/studio", "/studio/jobs", "/studio/activity", "/studio/cleanup"):
        await page.goto(path)
        where = await page.get_by_role("region", name="Server").inner_text()
        assert database.name in where
        assert "primary" in where


async def test_the_keyboard_reaches_the_content_first(page: Page):
    await page.goto("/studio")
    await page.keyboard.press("Tab")
    focused = "JSON.stringify([document.activeElement.className, document.activeElement.hash])"
    assert json.loads(await page.evaluate(focused)) == ["skip", "#main"]
