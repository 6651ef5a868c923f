"""Every page of the catalogue: accessible, not too wide, says where it is, runs nothing of data.

Each walk is over some of the pages, with all faults in one message.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page

from tests.browser.conftest import listen
from tests.catalogue import Shown
from tests.gallery import SETTINGS, Gallery, by_visitor, run_gallery
from tests.hard_cases import HardCases
from tests.studios import Running, run_studio

pytestmark = pytest.mark.newest

# Every rule, in both colours and at both widths; axe takes the time, so that each page is judged in
# one look of the four, by turns, unless ZANITH_EVERY_LOOK is set.
LOOKS = ((1280, "light"), (400, "dark"), (1280, "dark"), (400, "light"))
WIDTHS = {1280: "light", 400: "dark"}  # in which look each width is measured
PARTS = 8
EVERY_LOOK = bool(os.environ.get("ZANITH_EVERY_LOOK"))

# All rules that axe knows, and the one for the size of what a finger must hit.
AXE = """axe.run({resultTypes: ['violations'], rules: {'target-size': {enabled: true}}}).then(
    (result) => result.violations.map((v) =>
        v.id + ': ' + v.nodes.slice(0, 3).map((n) => n.html.slice(0, 160)).join(' | ')))"""
BEYOND = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
PLURAL = re.compile(r"(?<![\d,.])1 (?:rows|steps|artifacts|tables|checks|values|drops)\b")
# A table that its frame cuts, and a word of a short fact that is broken: also between the looks.
CUT_AT = (980, 740, 400)
CUT = """() => [...document.querySelectorAll('.table-wrap')]
    .filter((e) => e.scrollWidth > e.clientWidth + 1)
    .map((e) => `a table ${e.scrollWidth - e.clientWidth} wider than its frame`)
    .concat([...document.querySelectorAll(
            '.table td :is(time, .badge), .table td.number, .table th')]
        .flatMap((e) => [...e.childNodes].filter((n) => n.nodeType === 3))
        .flatMap((n) => [...n.data.matchAll(/[a-z0-9]+/gi)].filter((word) => {
            const range = document.createRange();
            range.setStart(n, word.index);
            range.setEnd(n, word.index + word[0].length);
            return new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1;
        })).map((word) => `the word ${word[0]} broken`))"""
# What only data could have made: no template has a picture, an inline script, or a handler.
MADE = """() => [...document.querySelectorAll('*')].filter((e) =>
    ['IMG', 'IFRAME', 'OBJECT', 'EMBED'].includes(e.tagName)
    || (e.tagName === 'I' || e.tagName === 'B') && !e.closest('.lock')
    || e.tagName === 'SCRIPT' && !e.src
    || e.getAttributeNames().some((name) => name.startsWith('on') || name === 'style')
    || e.protocol === 'javascript:').map((e) => e.outerHTML.slice(0, 160))"""


@pytest.fixture
def gallery(server, hard_database, database, cases, run_directory) -> Iterator[Gallery]:
    standby = run_directory / f"standby-{hard_database.name}"
    with run_gallery(server, cases, hard_database.name, database.name, standby) as opened:
        yield opened


async def faults_of(
    page: Page, shown: Shown, gallery: Gallery, axe_script: str, turn: int
) -> list[str]:
    """Return what is wrong with a page that was opened, at both widths."""
    faults = [f"violates {what}" for what in await page.evaluate("window.violations")]
    text = await page.locator("body").inner_text()
    if shown.sees not in text:
        faults.append(f"does not show {shown.sees!r}")
    faults += [f"says {wrong!r}" for wrong in PLURAL.findall(text)]
    if (
        shown.who == "viewer"
        and await page.get_by_role("button", name="Cancel", disabled=False).count()
    ):
        faults.append("offers a viewer to cancel a job of another person")
    if shown.who != "nobody":
        where = await page.get_by_role("region", name="Server").all_inner_texts()
        address = gallery.studios[shown.where].app.state.studio.server
        words = (f"{address.host}:{address.port}", gallery.databases[shown.where], "postgres")
        faults += [f"does not say {word}" for word in words if word not in " ".join(where)]
    faults += [f"has {what}" for what in await page.evaluate(MADE)]
    await page.evaluate(axe_script)
    for number, (width, colours) in enumerate(LOOKS):
        judged = EVERY_LOOK or number == turn % len(LOOKS)
        measured = WIDTHS[width] == colours
        if not judged and not measured:
            continue
        await page.set_viewport_size({"width": width, "height": 900})
        await page.emulate_media(color_scheme=colours)
        if measured and (beyond := await page.evaluate(BEYOND)) > 0:
            faults.append(f"is {beyond} too wide at {width}")
        if judged:
            # In a window as high as the page the bars at its bottom cover nothing.
            high = await page.evaluate("document.documentElement.scrollHeight")
            await page.set_viewport_size({"width": width, "height": max(900, min(high, 12_000))})
            faults += [f"{found}, {colours}, at {width}" for found in await page.evaluate(AXE)]
    for width in (*CUT_AT, 1280):
        await page.set_viewport_size({"width": width, "height": 900})
        faults += [f"has {what} at {width}" for what in await page.evaluate(CUT)]
    return faults


@pytest.mark.timeout(1800)  # a walk through pages
@pytest.mark.parametrize("part", range(PARTS))
async def test_every_page(browser: Browser, gallery: Gallery, axe_script: str, part: int):
    faults: dict[str, list[str]] = {}
    for (where, who), pages in by_visitor().items():
        # Colours that change slowly would be judged halfway.
        context = await gallery.context(browser, where, who, reduced_motion="reduce")
        page = await context.new_page()
        complaints = listen(page)
        page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
        for turn, shown in enumerate(pages[part::PARTS]):
            complaints.clear()
            await gallery.open(page, shown)
            found = await faults_of(page, shown, gallery, axe_script, turn)
            if found or complaints:
                faults[shown.name] = [*found, *complaints]
        await context.close()
    assert not faults, json.dumps(faults, indent=1, ensure_ascii=False)


@pytest.fixture
def studio(hard_database) -> Iterator[Running]:
    with run_studio(hard_database.tcp_url, **SETTINGS) as running:
        yield running


async def test_hostile_names_are_inert(
    browser: Browser, studio: Running, cases: HardCases, hard_database
):
    context = await browser.new_context(
        base_url=studio.url, extra_http_headers={"Authorization": "Bearer the-token-of-staff"}
    )
    page = await context.new_page()
    page.on("dialog", lambda dialog: pytest.fail(f"a script ran: {dialog.message}"))
    complaints = listen(page)
    faults = []
    names = "SELECT zanith._qualify(source_schema, source_table) || COALESCE('.' || quote_ident("
    names += "source_column), '') FROM zanith._zanith_migration_artifacts WHERE id = "
    objects = {each: hard_database.psql(f"{names}'{each}'") for each in cases.hostile}
    assert len(objects) > 10
    for artifact, name in objects.items():
        for below in ("", "/rows", "/restore", "/export", "/purge"):
            await page.goto(f"/studio/artifacts/{artifact}{below}")
            shown = await page.locator("main").evaluate("(main) => main.textContent")
            if name not in shown:
                faults.append(f"{name!r} is not shown as it is at {below}")
            faults += [f"{name!r} made {what} at {below}" for what in await page.evaluate(MADE)]
    await context.close()
    assert not faults, "\n".join(faults)
    assert complaints == []
